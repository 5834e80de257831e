//! What only the operating system knows, the time-outs of its poll(2), and what Linux alone has. Elsewhere `other` stands
//! in for `linux`: it knows nothing of its own, and what it answers holds nobody up. `--cfg portable` builds it on Linux,
//! for tests.

pub(crate) mod aside;
pub(crate) mod dispositions;
#[cfg(all(target_os = "linux", not(portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(portable)))]
mod listeners;
pub(crate) mod mounts;
#[cfg(any(not(target_os = "linux"), portable))]
mod other;

#[cfg(all(target_os = "linux", not(portable)))]
pub(crate) use linux::{ended_child, forbid_dumps, has_interpreter, is_noexec, last_signal, socket, watch_host};
#[cfg(all(target_os = "linux", not(portable)))]
pub(crate) use listeners::is_listening;
#[cfg(any(not(target_os = "linux"), portable))]
pub(crate) use other::{
    ended_child, forbid_dumps, has_interpreter, is_listening, is_noexec, last_signal, socket, watch_host,
};

use std::time::Instant;

use nix::poll::PollTimeout;

use crate::clock;

/// A time-out of poll(2) that ends at `until`.
pub(crate) fn poll_timeout(until: Instant) -> PollTimeout {
    // Its milliseconds are rounded up: a poll that ends early would spin.
    let millis = until.saturating_duration_since(clock::now()).as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}

/// The name of this host; in a container, that of the container.
pub(crate) fn host_name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
