//! No bytes panic; every reply makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::probe::redis::resp;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((_, used))) = resp::parse(rest) {
        assert!(used > 0 && used <= rest.len());
        rest = &rest[used..];
    }
});
