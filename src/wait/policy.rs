//! What the user has said of the wait: when it ends, what is waited for, and what a failure does. The defaults.

use std::time::Duration;

use crate::wait::backoff::Pauses;
use crate::wait::deadline::Deadline;

/// When the wait ends, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Policy {
    /// `--timeout`
    pub(crate) timeout: Deadline,
    /// `--attempt-timeout`
    pub(crate) attempt_timeout: Duration,
    /// The fate of an attempt that is connected when that time is up.
    pub(crate) silence: Silence,
    /// `--interval`, `--backoff` and `--max-interval`
    pub(crate) pauses: Pauses,
    /// `--max-attempts`
    pub(crate) max_attempts: Option<u32>,
    /// `--successes`
    pub(crate) successes: u32,
    /// `--any`
    pub(crate) quorum: Quorum,
    /// `--until-down`
    pub(crate) goal: Goal,
    /// `--fail-fast`
    pub(crate) on_permanent: OnPermanent,
    /// `--on-timeout`
    pub(crate) on_timeout: OnTimeout,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Deadline::At(Duration::from_secs(60)),
            attempt_timeout: Duration::from_secs(5),
            silence: Silence::Kept,
            pauses: Pauses::Default,
            max_attempts: None,
            successes: 1,
            quorum: Quorum::All,
            goal: Goal::Ready,
            on_permanent: OnPermanent::Retry,
            on_timeout: OnTimeout::Fail,
        }
    }
}

/// The fate of an attempt that is connected, and not answered when its time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Reported and kept: its late answer counts.
    Kept,
    /// Ended: the user has set the time, or it is a check.
    Ended,
}

/// How many targets must be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quorum {
    /// Every one.
    All,
    /// Any one target is enough.
    Any,
    /// Every one, and each is given its chance before the verdict (`--check`).
    Each,
}

/// The goal of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// That the target is ready.
    Ready,
    /// That it refuses connections or is gone.
    Down,
}

/// The effect of a failure that waiting cannot mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnPermanent {
    /// Wait on: somebody may mend it in time.
    Retry,
    /// End at once.
    Fail,
}

/// The effect of the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnTimeout {
    /// Exit with 124.
    Fail,
    /// Run COMMAND even so.
    Run,
}
