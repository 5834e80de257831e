//! How long to pause between two attempts: a pure function of their number.

use std::time::Duration;

/// How far jitter may move a pause, up or down.
const JITTER: f64 = 0.1;

/// Exponential backoff: each pause is `factor` times the one before, up to `cap`.
///
/// The defaults add at most about 3 % to the time waited, never more than
/// half a second, and cost about two attempts a second in a long wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub initial: Duration,
    /// What each further pause is multiplied by, at least 1.
    pub factor: f64,
    /// No pause is longer than this.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_millis(10), factor: 1.03, cap: Duration::from_millis(500) }
    }
}

impl Backoff {
    /// The pause after `failures` failed attempts (0 gives the first pause).
    ///
    /// `jitter` is a number from -1 to 1 that moves the pause by up to 10 %, so that a thousand
    /// containers which started together do not knock together.
    pub fn pause(&self, failures: u32, jitter: f64) -> Duration {
        let exponent = i32::try_from(failures).unwrap_or(i32::MAX);
        let plain = self.initial.as_secs_f64() * self.factor.powi(exponent);
        let jittered = plain.min(self.cap.as_secs_f64()) * (1.0 + JITTER * jitter.clamp(-1.0, 1.0));
        Duration::try_from_secs_f64(jittered).map_or(self.cap, |pause| pause.min(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_schedule_starts_at_ten_milliseconds_and_ends_at_half_a_second() {
        assert_eq!(Backoff::default().pause(0, 0.0), Duration::from_millis(10));
        assert_eq!(Backoff::default().pause(1, 0.0), Duration::from_micros(10_300));
        assert_eq!(Backoff::default().pause(200, 0.0), Duration::from_millis(500));
    }

    #[test]
    fn a_doubling_schedule_is_one_two_four() {
        let doubling = Backoff { initial: Duration::from_secs(1), factor: 2.0, cap: Duration::from_mins(1) };
        let pauses: Vec<u64> = (0..4).map(|n| doubling.pause(n, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8]);
    }

    #[test]
    fn the_default_schedule_adds_about_three_percent() {
        let mut elapsed = Duration::ZERO;
        for n in 0..1000 {
            let pause = Backoff::default().pause(n, 1.0);
            let allowed = elapsed.mul_f64(0.035) + Duration::from_millis(11);
            assert!(pause <= allowed.min(Backoff::default().cap), "pause {n} is {pause:?} after {elapsed:?}");
            elapsed += Backoff::default().pause(n, 0.0);
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
            let backoff = Backoff { initial, factor, cap };
            prop_assert!(backoff.pause(failures, jitter) <= cap);
        }

        #[test]
        fn every_schedule_is_monotone_but_for_jitter(
            initial in 0..10_000u64, factor in 1.0..10.0, failures in 0..10_000u32,
        ) {
            let backoff = Backoff {
                initial: Duration::from_millis(initial), factor, cap: Duration::from_mins(1),
            };
            prop_assert!(backoff.pause(failures, 0.0) <= backoff.pause(failures + 1, 0.0));
            let plain = backoff.pause(failures, 0.0).as_secs_f64();
            prop_assert!(backoff.pause(failures, -1.0).as_secs_f64() >= plain * 0.899);
            prop_assert!(backoff.pause(failures, 1.0).as_secs_f64() <= plain * 1.101);
        }
    }
}
