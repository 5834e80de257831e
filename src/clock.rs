//! The only place that reads the time.

use std::time::{Instant, SystemTime};

/// The monotonic clock that every deadline is measured on.
#[expect(clippy::disallowed_methods, reason = "this is where time is read")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall clock, for the time stamps of log lines.
#[expect(clippy::disallowed_methods, reason = "this is where time is read")]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
