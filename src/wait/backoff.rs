//! How long to pause between two attempts: a pure function of their number.

use std::time::Duration;

/// How far jitter may move a pause.
const JITTER: f64 = 0.1;

/// Exponential backoff: each pause is `factor` times the one before, up to `cap`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backoff {
    /// The first pause.
    pub(crate) initial: Duration,
    /// The factor of each further pause, at least 1.
    pub(crate) factor: f64,
    /// No pause is longer than this, but for jitter.
    pub(crate) cap: Duration,
}

/// The pauses of a wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pauses {
    /// The default pauses: they add at most about 2 % to the time waited, and no more than
    /// half a second. They are jittered up and down, so that a thousand containers which started together do not knock
    /// together.
    Default,
    /// The pauses that the user wants: attempts begin no closer together than this, whatever the peer does. They are
    /// jittered up only.
    Configured(Backoff),
}

/// After an answer that is not the wanted one.
pub(crate) const AFTER_ANSWERS: Backoff =
    Backoff { initial: Duration::from_millis(10), factor: 1.02, cap: Duration::from_millis(500) };
/// After a failure that costs nobody more than a packet (a refusal, a name without an address): asked more often.
pub(crate) const AFTER_REFUSALS: Backoff =
    Backoff { initial: Duration::from_millis(10), factor: 1.015, cap: Duration::from_millis(200) };

impl Pauses {
    /// The pause after attempt number `attempts` (from 1) since the pauses began, whose failure was a refusal or not.
    ///
    /// `jitter` is a number from -1 to 1 that moves the pause by up to 10 %.
    pub(crate) fn pause(&self, attempts: u32, is_refusal: bool, jitter: f64) -> Duration {
        let jitter = jitter.clamp(-1.0, 1.0);
        let failures = attempts.saturating_sub(1);
        match self {
            Self::Default => {
                let backoff = if is_refusal { AFTER_REFUSALS } else { AFTER_ANSWERS };
                backoff.pause(failures, jitter).min(backoff.cap)
            }
            Self::Configured(backoff) => backoff.pause(failures, upwards(jitter)),
        }
    }

    /// The least time from the beginning of attempt number `attempts` to that of the next; 0 where none was asked for.
    pub(crate) fn least(&self, attempts: u32, jitter: f64) -> Duration {
        match self {
            Self::Default => Duration::ZERO,
            Self::Configured(_) => self.pause(attempts, false, jitter),
        }
    }
}

/// A jitter from -1 to 1 as one from 0 to 1.
pub(crate) fn upwards(jitter: f64) -> f64 {
    f64::midpoint(jitter, 1.0)
}

/// A time that is moved by `jitter`, a number from -1 to 1, by up to 10 %.
pub(crate) fn jittered(time: Duration, jitter: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * (1.0 + JITTER * jitter)).unwrap_or(time)
}

impl Backoff {
    /// The pause after `failures` failed attempts (0 gives the first pause), moved by `jitter`.
    fn pause(&self, failures: u32, jitter: f64) -> Duration {
        let exponent = i32::try_from(failures).unwrap_or(i32::MAX);
        let plain = self.initial.as_secs_f64() * self.factor.powi(exponent);
        let plain = Duration::try_from_secs_f64(plain.min(self.cap.as_secs_f64())).unwrap_or(self.cap);
        jittered(plain, jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_pauses_grow_from_ten_milliseconds_to_half_a_second_and_to_a_fifth_for_refusals() {
        let pauses = Pauses::Default;
        assert_eq!(pauses.pause(1, false, 0.0), Duration::from_millis(10));
        assert_eq!(pauses.pause(2, false, 0.0), Duration::from_micros(10_200));
        assert_eq!(pauses.pause(2, true, 0.0), Duration::from_micros(10_150));
        assert_eq!(pauses.pause(300, false, 0.0), Duration::from_millis(500));
        assert_eq!(pauses.pause(300, true, 0.0), Duration::from_millis(200));
        assert_eq!(pauses.least(300, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_doubling_schedule_is_one_two_four_and_never_less() {
        let doubling = Backoff { initial: Duration::from_secs(1), factor: 2.0, cap: Duration::from_secs(6) };
        for (jitter, times) in [(-1.0, 1.0), (0.0, 1.05), (1.0, 1.1)] {
            for (attempts, plain) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 6.0), (9, 6.0)] {
                let pause = Pauses::Configured(doubling).pause(attempts, true, jitter).as_secs_f64();
                assert!((pause - plain * times).abs() < 1e-6, "{pause} after {attempts}, jitter {jitter}");
            }
        }
    }

    #[test]
    fn the_default_schedules_add_about_two_percent() {
        for is_refusal in [false, true] {
            let mut elapsed = Duration::ZERO;
            for n in 1..1000 {
                let pause = Pauses::Default.pause(n, is_refusal, 1.0);
                let allowed = (elapsed.mul_f64(0.023) + Duration::from_millis(11)).min(Duration::from_millis(500));
                assert!(pause <= allowed, "pause {n} is {pause:?} after {elapsed:?}");
                elapsed += Pauses::Default.pause(n, is_refusal, 0.0);
            }
        }
    }

    fn any_duration() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0..u64::MAX).prop_map(Duration::from_nanos),
            (0..u64::MAX).prop_map(Duration::from_secs),
            Just(Duration::MAX),
        ]
    }

    proptest! {
        #[test]
        fn no_schedule_overflows_or_exceeds_its_cap(
            initial in any_duration(), cap in any_duration(),
            factor in 1.0..f64::MAX, failures: u32, jitter in -1.0..=1.0,
        ) {
            let pauses = Pauses::Configured(Backoff { initial, factor, cap });
            prop_assert!(pauses.pause(failures, false, jitter) <= cap.saturating_add(cap / 9));
        }

        #[test]
        fn configured_pauses_are_monotone_and_move_upwards_only(
            initial in 0..10_000u64, factor in 1.0..10.0, failures in 1..10_000u32,
        ) {
            let initial = Duration::from_millis(initial);
            let pauses = Pauses::Configured(Backoff { initial, factor, cap: Duration::from_secs(60) });
            let least = pauses.pause(failures, false, -1.0);
            prop_assert!(least <= pauses.pause(failures + 1, false, -1.0));
            prop_assert!(least >= initial.min(Duration::from_secs(60)));
            prop_assert!(pauses.pause(failures, false, 1.0).as_secs_f64() <= least.as_secs_f64() * 1.101);
        }
    }
}
