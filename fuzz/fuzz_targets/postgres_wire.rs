//! No bytes panic; every message makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::postgres_wire(bytes));
