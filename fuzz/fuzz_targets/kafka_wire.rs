//! No bytes panic; every answer makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::probe::kafka::wire;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((body, used))) = wire::answer(bytes, 1) {
        assert!(used > body.len() && used <= bytes.len());
        wire::read_anything(&body);
    }
    wire::read_anything(bytes);
});
