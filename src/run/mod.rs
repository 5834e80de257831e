//! Running: where the main thread waits for events, the helper threads and commands that attempts take, signals, and
//! the hand-over to COMMAND.

pub(crate) mod check;
pub(crate) mod entrypoint;
pub(crate) mod event_loop;
pub(crate) mod helpers;
pub(crate) mod input_files;
pub(crate) mod rules;
pub(crate) mod signals;
