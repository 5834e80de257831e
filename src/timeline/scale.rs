//! The axis of time. Pure.

use std::time::Duration;

use crate::text::human;

/// Where a moment is on an axis of `width`, for a span of `whole` milliseconds.
pub(super) fn place(moment: u64, whole: u64, width: usize) -> usize {
    let (moment, whole) = (u128::from(moment.min(whole)), u128::from(whole.max(1)));
    usize::try_from(moment * u128::try_from(width).unwrap_or(0) / whole).unwrap_or(width)
}

/// Round moments for an axis, in milliseconds, with their words: at most `most` of them beside 0.
pub(super) fn ticks(whole: u64, most: usize) -> Vec<(u64, String)> {
    /// A second, a minute or an hour is divided by tens, tens of seconds, …
    const STEPS: [u64; 21] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
        600_000, 1_800_000, 3_600_000,
    ];
    let fits = |step: &u64| whole / step <= u64::try_from(most.max(1)).unwrap_or(1);
    let step = STEPS.into_iter().find(fits).unwrap_or_else(|| whole.max(1));
    let word = |at: u64| if at == 0 { "0".to_owned() } else { human(Duration::from_millis(at)) };
    (0..=whole / step).map(|n| (n * step, word(n * step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let words = |whole, most| ticks(whole, most).into_iter().map(|(_, word)| word).collect::<Vec<_>>();
        assert_eq!(words(14_200, 4), ["0", "5s", "10s"]);
        assert_eq!(words(90_000, 6), ["0", "15s", "30s", "45s", "1m", "1m 15s", "1m 30s"]);
        assert_eq!(words(0, 4), ["0"]);
        assert!(ticks(u64::MAX, 4).len() <= 5);
    }

    #[test]
    fn places_stay_on_the_axis() {
        assert_eq!((place(0, 100, 50), place(100, 100, 50), place(999, 100, 50), place(5, 0, 50)), (0, 50, 50, 0));
    }
}
