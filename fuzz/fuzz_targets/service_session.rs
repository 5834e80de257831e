//! A whole conversation: no bytes panic, tell a secret or are falsely ready; see `scripted_session.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../script.rs"]
mod script;
#[path = "../scripted_session.rs"]
#[allow(dead_code, reason = "the other protocols'")]
mod scripted_session;

fuzz_target!(|bytes: &[u8]| scripted_session::check_service(bytes));
