//! No bytes panic; every packet makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::probe::mysql::wire;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((packet, used))) = wire::packet(rest, wire::MAX_ROW) {
        assert!(used > packet.payload.len() && used <= rest.len());
        wire::read_anything(&packet.payload);
        rest = &rest[used..];
    }
    wire::read_anything(bytes);
});
