//! No bytes panic; every message makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::probe::postgres::wire;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some(decoded)) = wire::decode(rest) {
        assert!(decoded.used > 0 && decoded.used <= rest.len());
        rest = &rest[decoded.used..];
    }
    wire::old_error(bytes);
});
