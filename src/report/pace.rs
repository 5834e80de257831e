//! Which lines are said, and when: pure, time is passed in.

use std::time::Duration;

use crate::wait::outcome::Kind;

/// A kind of failure that was told of is not told of again for this long, however often another one comes between:
/// a port that Docker publishes resets and closes in turn.
const PAUSE: Duration = Duration::from_secs(10);
/// The pause doubles with each time, up to this; so do the reminders.
const LONGEST: Duration = Duration::from_secs(60);

/// When the next reminder of who is still awaited is due, after the one at `after`: at 10, 20 and 40 s, then each
/// minute.
pub(super) fn next_reminder(after: Duration) -> Duration {
    match after {
        Duration::ZERO => PAUSE,
        after if after < LONGEST => after.saturating_mul(2).min(LONGEST),
        after => after.saturating_add(LONGEST),
    }
}

/// The lines that were told of one target.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    last: Option<Kind>,
    pauses: Vec<Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    kind: Kind,
    until: Duration,
    length: Duration,
}

impl Told {
    /// Whether a failure of `kind` is worth a line now: it is another kind than the one told of last, and was not told
    /// of a short while ago. If so, it counts as told.
    pub(super) fn is_news(&mut self, kind: Kind, now: Duration) -> bool {
        let pause = self.pauses.iter().position(|pause| pause.kind == kind);
        if self.last == Some(kind) || pause.is_some_and(|at| now < self.pauses[at].until) {
            return false;
        }
        let before = pause.map(|at| self.pauses.swap_remove(at));
        let length = before.map_or(PAUSE, |pause| pause.length.saturating_mul(2).min(LONGEST));
        self.pauses.push(Pause { kind, until: now.saturating_add(length), length });
        self.last = Some(kind);
        true
    }

    /// The target was ready: any failure is news again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn reminders_grow_apart_up_to_a_minute() {
        let mut at = Duration::ZERO;
        let reminders: Vec<u64> = (0..7)
            .map(|_| {
                at = next_reminder(at);
                at.as_secs()
            })
            .collect();
        assert_eq!(reminders, [10, 20, 40, 60, 120, 180, 240]);
    }

    #[test]
    fn two_kinds_in_turn_are_told_of_ever_more_rarely() {
        let mut told = Told::default();
        let mut lines = Vec::new();
        for tenth in 0..1200u32 {
            let now = Duration::from_millis(100) * tenth;
            let kind = if tenth % 2 == 0 { Kind::ConnectionClosed } else { Kind::TimedOut };
            if told.is_news(kind, now) {
                lines.push(now.as_secs());
            }
        }
        assert_eq!(lines, [0, 0, 10, 10, 30, 30, 70, 70]);
    }

    #[test]
    fn the_kind_that_lasts_is_the_last_one_told_of() {
        let mut told = Told::default();
        assert!(told.is_news(Kind::ConnectionRefused, seconds(0)));
        assert!(told.is_news(Kind::NotAccepting, seconds(1)));
        assert!(!told.is_news(Kind::ConnectionRefused, seconds(2)));
        assert!(told.is_news(Kind::ConnectionRefused, seconds(10)));
        assert!(!told.is_news(Kind::ConnectionRefused, seconds(100)));
        told.forget();
        assert!(told.is_news(Kind::ConnectionRefused, seconds(101)));
    }
}
