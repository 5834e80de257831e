//! Waits until targets are ready: ports, HTTP, databases, brokers, and whatever a command can tell.
//!
//! The way of data, on which only outcomes flow back: arguments and environment → [`cli`] → [`config::Config`] →
//! [`wait`] or [`check`]: [`gate`] ⇄ [`event_loop`] (each attempt a [`probe`]) → a [`gate::Verdict`] → [`report`] and
//! [`launch`], or an [`exit_status`].
#![forbid(unsafe_code)]

pub mod backoff;
pub mod check;
#[cfg(feature = "exec")]
pub mod children;
pub mod cli;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod duration;
pub mod endpoint;
pub mod event_loop;
pub mod exit_status;
pub mod gate;
pub mod help;
pub mod helpers;
pub mod launch;
pub mod mounts;
pub mod net;
pub mod options;
pub mod outcome;
pub mod probe;
pub mod report;
pub mod retry;
pub mod scrub;
pub mod secret;
pub mod signals;
mod sort;
pub mod wait;
mod words;
