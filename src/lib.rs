//! Waits until targets are ready: ports, HTTP, databases, brokers, and whatever a command can tell.
//!
//! The library is for this program alone: it promises nothing to anybody else. The way of data, on which only outcomes
//! flow back: arguments and environment → `cli` → `config::Config` → `run::entrypoint` or `run::check`: the pure
//! `wait::gate` ⇄ `run::event_loop` (each attempt a conversation of one of the `targets`) → a `wait::gate::Verdict` →
//! `report` and `launch`, or an `exit_status`.
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

mod cli;
mod clock;
mod config;
mod duration;
mod exit_status;
#[doc(hidden)]
pub mod fuzzing;
mod help;
mod launch;
mod mutex;
mod net;
mod options;
mod os;
pub mod program;
mod report;
mod run;
mod scrub;
mod secret;
mod targets;
mod text;
mod timeline;
mod wait;
