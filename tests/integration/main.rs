//! Runs the real executable against real servers and scripted ones.
//!
//! `WHEN_READY_BIN=/path` runs the same tests against any build.

mod support;

mod gate;
