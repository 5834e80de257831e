//! No bytes panic; every frame makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::probe::grpc::http2;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((frame, used))) = http2::frame(rest) {
        assert!(used > frame.payload.len() && used <= rest.len());
        let _ = http2::fields(&frame.payload);
        rest = &rest[used..];
    }
    let _ = http2::fields(bytes);
});
