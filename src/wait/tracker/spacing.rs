//! When the next attempt begins: beside those that go unanswered, after a failure, and before the deadline. Pure
//! functions of moments since the wait began.

use std::time::Duration;

use crate::wait::backoff::Pauses;
use crate::wait::deadline::Deadline;

/// The most attempts of one target that are open at once: the oldest, which a server with one worker serves next, and
/// three beside it.
pub(crate) const MAX_OPEN: usize = 4;
/// The gaps between an attempt that is not answered and the next beside it. They grow, because a peer that swallowed
/// connections for long is rarely cured the next moment: a stall of 2 s is found within 2 s, a longer one within 5 s, and a
/// peer that stays silent is asked 16 times in a minute.
const GAPS: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(1700),
    Duration::from_millis(3200),
    LONGEST_GAP,
];
const LONGEST_GAP: Duration = Duration::from_secs(5);
/// The time over which unanswered attempts are counted for the next gap. It bounds what is abandoned: no minute has
/// more attempts that hang than the gaps leave room for, 15.
pub(super) const MEMORY: Duration = Duration::from_secs(60);
/// How long a peer that has said something may take for the rest before another attempt begins beside this one. It is
/// no proxy that swallowed the connection, and each login more is one that it has to keep: a pgbouncer whose server is
/// down keeps them for a minute.
const AFTER_A_WORD: Duration = Duration::from_secs(20);
/// The same where the peer has said that it holds this attempt back (RabbitMQ's `connection.blocked`).
const WHILE_HELD_BACK: Duration = Duration::from_secs(60);
/// How often a target is asked whose failure somebody must mend: servers lock accounts and hosts out for less.
pub(super) const SLOW: Duration = Duration::from_secs(4);
/// The last attempt is made this long before the deadline.
const LAST_CALL: Duration = Duration::from_millis(50);
/// The last call takes the place of an attempt shortly before it where pauses are at least so long.
const MERGES: Duration = Duration::from_secs(1);

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// No connection: the attempt ends when its time is up.
    #[default]
    Unconnected,
    /// Connected, and the peer has said nothing.
    Connected,
    /// The peer has said something, and not all.
    Spoken,
    /// The peer has said that it holds this attempt back for now.
    HeldBack,
}

/// The gap after an attempt that has come so far and goes unanswered, where so many others hung before it. A peer that
/// took long for its last answer is given twice that time.
pub(super) fn gap(reach: Reach, hung: usize, last_took: Duration) -> Duration {
    match reach {
        Reach::Unconnected | Reach::Connected => {
            GAPS[hung.min(GAPS.len() - 1)].max(last_took.saturating_mul(2).min(LONGEST_GAP))
        }
        Reach::Spoken => AFTER_A_WORD,
        Reach::HeldBack => WHILE_HELD_BACK,
    }
}

/// When the last attempt begins, just before the deadline. Of what rests for longer than that, which is given a chance to
/// end as well, one begins as early as it takes, unless that were before `least`.
pub(super) fn last_call(deadline: Deadline, now: Duration, least: Duration, rest: Duration) -> Option<Duration> {
    let deadline = deadline.at()?;
    let brief = deadline.saturating_sub(LAST_CALL.min(deadline / 4));
    let whole = brief.saturating_sub(rest.saturating_add(rest / 10));
    Some(if rest > LAST_CALL && now.max(least) < whole { whole } else { brief })
}

/// The moment nearest to `at` that leaves the peer its rest, or the last call, which no rest puts off, where that comes first
/// or so soon after it that the two might as well be one; none, if the last call was the last.
pub(super) fn fit(
    at: Duration,
    now: Duration,
    rest: Duration,
    pauses: Pauses,
    last_call: Option<Duration>,
) -> Option<Duration> {
    let at = at.max(now.saturating_add(rest));
    let pause = at.saturating_sub(now);
    let nearly = match pauses {
        _ if pause < MERGES => Duration::ZERO,
        Pauses::Default => pause / 2,
        // What was given is the longest pause.
        Pauses::Configured(_) => pause / 10,
    };
    match last_call {
        Some(last_call) if at.saturating_add(nearly) > last_call => (now < last_call).then_some(last_call),
        _ => Some(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::backoff::Backoff;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn gaps_beside_a_silent_peer_grow_from_half_a_second_to_five() {
        let gaps: Vec<u64> = (0..7)
            .map(|hung| u64::try_from(gap(Reach::Connected, hung, Duration::ZERO).as_millis()).unwrap())
            .collect();
        assert_eq!(gaps, [500, 1000, 1700, 3200, 5000, 5000, 5000]);
    }

    #[test]
    fn a_peer_that_is_slow_or_has_spoken_is_given_its_time() {
        assert_eq!(gap(Reach::Connected, 0, ms(1500)), ms(3000));
        assert_eq!(gap(Reach::Connected, 0, ms(60_000)), ms(5000));
        assert_eq!(gap(Reach::Spoken, 0, Duration::ZERO), ms(20_000));
        assert_eq!(gap(Reach::HeldBack, 0, Duration::ZERO), ms(60_000));
    }

    #[test]
    fn the_last_call_is_just_before_the_deadline_or_as_early_as_it_takes() {
        let never = last_call(Deadline::Never, ms(0), ms(0), ms(0));
        assert_eq!(never, None);
        for (deadline, now, least, rest, expected) in [
            (1000, 0, 0, 0, 950),
            (100, 0, 0, 0, 75),
            // A run that is too short to be held up by its rest.
            (9000, 8900, 0, 20, 8950),
            (9000, 3000, 0, 3000, 5650),
            (9000, 8650, 0, 3000, 8950),
            // A configured pause is kept.
            (30_000, 26_000, 43_000, 3000, 29_950),
        ] {
            let at = last_call(Deadline::At(ms(deadline)), ms(now), ms(least), ms(rest));
            assert_eq!(at, Some(ms(expected)), "{deadline} at {now}, resting {rest}");
        }
    }

    #[test]
    fn an_attempt_that_would_come_too_late_is_the_last_call() {
        for (at, now, rest, expected) in [
            (500, 400, 0, Some(500)),
            (940, 900, 0, Some(940)),
            (990, 900, 0, Some(950)),
            (990, 950, 0, None),
            (500, 400, 300, Some(700)),
            (500, 900, 200, Some(950)),
        ] {
            let fitted = fit(ms(at), ms(now), ms(rest), Pauses::Default, Some(ms(950)));
            assert_eq!(fitted, expected.map(ms), "{at} at {now}, resting {rest}");
        }
        assert_eq!(fit(ms(500), ms(400), Duration::ZERO, Pauses::Default, None), Some(ms(500)));
        // Of a slow pace, the last one moves; but no pause becomes longer than the longest that was asked for, or hardly.
        let configured = Pauses::Configured(Backoff { initial: ms(4000), factor: 1.0, cap: ms(4000) });
        for (pauses, at, expected) in [
            (Pauses::Default, 24_000, 24_000),
            (Pauses::Default, 28_000, 29_950),
            (configured, 28_000, 28_000),
            (configured, 29_800, 29_950),
        ] {
            let fitted = fit(ms(at), ms(at - 4000), Duration::ZERO, pauses, Some(ms(29_950)));
            assert_eq!(fitted, Some(ms(expected)), "{pauses:?} at {at}");
        }
    }
}
