//! No bytes panic; every frame makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::amqp_frames(bytes));
