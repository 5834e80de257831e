//! When waiting ends.

use std::time::Duration;

/// The moment at which a wait ends, measured from its beginning. The earlier of two is the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// The wait ends this long after it began.
    At(Duration),
    /// The wait goes on until it succeeds or is interrupted.
    Never,
}

impl Deadline {
    /// The moment, or `None` when the wait has no end.
    pub(crate) fn at(self) -> Option<Duration> {
        match self {
            Self::At(at) => Some(at),
            Self::Never => None,
        }
    }

    /// Whether the deadline has passed `elapsed` after the beginning.
    pub(crate) fn is_past(self, elapsed: Duration) -> bool {
        self.at().is_some_and(|at| elapsed >= at)
    }

    /// The rest of the wait, or `None` when it has no end.
    pub(crate) fn remaining(self, elapsed: Duration) -> Option<Duration> {
        self.at().map(|at| at.saturating_sub(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_deadline_is_past_from_its_moment_on() {
        assert!(!Deadline::At(SECOND).is_past(SECOND / 2));
        assert!(Deadline::At(SECOND).is_past(SECOND));
        assert!(!Deadline::Never.is_past(Duration::MAX));
    }

    #[test]
    fn nothing_remains_after_it() {
        assert_eq!(Deadline::At(SECOND).remaining(SECOND * 2), Some(Duration::ZERO));
        assert_eq!(Deadline::Never.remaining(SECOND), None);
    }

    #[test]
    fn the_earlier_of_two_wins() {
        assert_eq!(Deadline::At(SECOND).min(Deadline::Never), Deadline::At(SECOND));
        assert_eq!(Deadline::At(SECOND * 2).min(Deadline::At(SECOND)), Deadline::At(SECOND));
    }
}
