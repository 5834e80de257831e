//! Connections whose every step ends at a deadline.

mod attempt;
mod closed;
mod connect;
mod connection;
mod dial;
mod errno;
mod interfaces;
mod place;
mod race;
pub(crate) mod resolve;
mod resolver_state;
mod steps;
mod stream;
pub(crate) mod tls;
pub(crate) mod tls_settings;

pub(crate) use attempt::{Attempt, Made, Progress};
pub(crate) use closed::{closed, closed_midway, closed_over_tls, over_tls};
pub(crate) use connect::{BegunConnection, begin, connect, note_end, reach};
pub(crate) use connection::io_failure;
pub(crate) use dial::Dial;
pub(crate) use place::{Address, Place};
pub(crate) use resolve::resolve;
pub(crate) use resolver_state::ResolverState;
pub(crate) use steps::{Step, StepKind, Steps};
pub(crate) use stream::{Stream, TimedStream};
