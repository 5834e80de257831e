//! When the next attempt begins, beside those that go unanswered and before the deadline. Pure functions of
//! moments since the wait began.

use std::time::Duration;

use crate::deadline::Deadline;

/// The most attempts of one target that are under way at once.
pub const MAX_IN_FLIGHT: usize = 4;
/// How long an attempt may go unanswered before another begins beside it.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// One last attempt is made this long before the deadline.
const LAST_CALL: Duration = Duration::from_millis(50);

/// What the moment of an attempt beside others depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace<'a> {
    /// When the last attempt began.
    pub(super) last_began: Duration,
    /// The longest that one may take.
    pub(super) attempt_timeout: Duration,
    /// When the time of each is up that is under way.
    pub(super) ends: &'a [Duration],
    /// How long after that it has made room for certain.
    pub(super) grace: Duration,
    /// When the last one before the deadline begins.
    pub(super) last_call: Option<Duration>,
    /// Whether the peer has been found to leave attempts unanswered.
    pub(super) is_hanging: bool,
}

/// When an attempt may begin beside those under way: soon after the first, and evenly over the time that one
/// may take once it is clear that the peer hangs.
pub(super) fn beside(pace: &Pace<'_>) -> Duration {
    let even = share(pace.attempt_timeout, MAX_IN_FLIGHT);
    if !pace.is_hanging {
        return pace.last_began.saturating_add(even.min(PATIENCE));
    }
    let gap = even.max(gap_before_the_oldest_ends(pace)).max(gap_before_the_last_call(pace));
    pace.last_began.saturating_add(gap)
}

/// Those that may still begin share what is left before the oldest makes room for one more.
fn gap_before_the_oldest_ends(pace: &Pace<'_>) -> Duration {
    let Some(oldest) = pace.ends.iter().min() else { return Duration::ZERO };
    let left = oldest.saturating_add(pace.grace).saturating_sub(pace.last_began);
    share(left, MAX_IN_FLIGHT.saturating_sub(pace.ends.len()) + 1)
}

/// Those that last until the last call share what is left before it, so that it finds room.
fn gap_before_the_last_call(pace: &Pace<'_>) -> Duration {
    let Some(last_call) = pace.last_call else { return Duration::ZERO };
    match pace.ends.iter().filter(|ends| **ends >= last_call).count() {
        0 => Duration::ZERO,
        lasting => share(last_call.saturating_sub(pace.last_began), MAX_IN_FLIGHT.saturating_sub(lasting)),
    }
}

/// A part of a time, one of so many; nothing, among none.
fn share(time: Duration, among: usize) -> Duration {
    match u32::try_from(among) {
        Ok(among @ 1..) => time / among,
        _ => Duration::ZERO,
    }
}

/// When the last attempt before the deadline begins. What takes long, and has to rest as long, is given a chance.
pub(super) fn last_call(deadline: Deadline, rest: Duration) -> Option<Duration> {
    match deadline {
        Deadline::Never => None,
        Deadline::At(deadline) => Some(deadline.saturating_sub(LAST_CALL.min(deadline / 4).max(rest / 2))),
    }
}

/// The moment nearest to `at` that leaves the peer its rest and is not after the last call; none, if the last
/// call was the last.
pub(super) fn fit(at: Duration, now: Duration, rest: Duration, last_call: Option<Duration>) -> Option<Duration> {
    let earliest = now.saturating_add(rest);
    let at = at.max(earliest);
    match last_call {
        // One that rests beyond it begins after it.
        Some(last_call) if at > last_call && earliest <= last_call.max(now) => (now < last_call).then_some(last_call),
        _ => Some(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_attempt_begins_beside_others_as_the_table_says() {
        // Of attempts that may take 5 s, with a deadline after 60 s.
        for (what, last_began, ends, is_hanging, expected) in [
            ("the second comes after half a second", 0, &[5000][..], false, 500),
            ("the third leaves the fourth its share of what is left", 500, &[5000, 5500], true, 2006),
            ("the fourth comes in the middle of what is left", 2006, &[5000, 5500, 7006], true, 3513),
            (
                "with four under way, the next comes when the oldest has ended",
                3513,
                &[5000, 5500, 7006, 8513],
                true,
                5020,
            ),
            ("after it has ended, a quarter of the time lies between two", 5000, &[5500, 7006, 8513], true, 6250),
            ("with nothing under way, a quarter as well", 5000, &[], true, 6250),
            (
                "three that last until the last call leave the fourth to it",
                57_000,
                &[59_960, 59_970, 59_980],
                true,
                59_950,
            ),
        ] {
            let ends: Vec<Duration> = ends.iter().map(|end| ms(*end)).collect();
            let pace = Pace {
                last_began: ms(last_began),
                attempt_timeout: ms(5000),
                ends: &ends,
                grace: ms(20),
                last_call: Some(ms(59_950)),
                is_hanging,
            };
            assert_eq!(beside(&pace).as_millis(), expected, "{what}");
        }
    }

    #[test]
    fn short_attempts_are_not_left_alone_for_half_a_second() {
        let ends = [ms(200)];
        let pace = Pace {
            last_began: ms(0),
            attempt_timeout: ms(200),
            ends: &ends,
            grace: ms(20),
            last_call: None,
            is_hanging: false,
        };
        assert_eq!(beside(&pace), ms(50));
    }

    #[test]
    fn the_last_call_is_just_before_the_deadline() {
        assert_eq!(last_call(Deadline::Never, Duration::ZERO), None);
        assert_eq!(last_call(Deadline::At(ms(1000)), Duration::ZERO), Some(ms(950)));
        assert_eq!(last_call(Deadline::At(ms(100)), Duration::ZERO), Some(ms(75)));
        assert_eq!(last_call(Deadline::At(ms(10_000)), ms(700)), Some(ms(9650)), "half of what it took");
    }

    #[test]
    fn an_attempt_that_would_come_too_late_is_the_last_call() {
        for (at, now, rest, expected) in [
            (500, 400, 0, Some(500)),
            (990, 900, 0, Some(950)),
            (990, 950, 0, None),
            (500, 400, 300, Some(700)),
            (500, 900, 200, Some(1100)),
        ] {
            let fitted = fit(ms(at), ms(now), ms(rest), Some(ms(950)));
            assert_eq!(fitted, expected.map(ms), "{at} at {now}, resting {rest}");
        }
        assert_eq!(fit(ms(500), ms(400), Duration::ZERO, None), Some(ms(500)));
    }
}
