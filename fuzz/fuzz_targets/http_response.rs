//! No answer panics, is read without end or makes a secret known; see `scripted_http.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../script.rs"]
mod script;
#[path = "../scripted_http.rs"]
mod scripted_http;

fuzz_target!(|bytes: &[u8]| scripted_http::check(bytes));
