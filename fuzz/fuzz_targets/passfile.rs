//! No password file panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::password_file(bytes));
