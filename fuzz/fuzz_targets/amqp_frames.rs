//! No bytes panic; every frame makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::probe::amqp::wire::{self, Frame};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((frame, used))) = wire::frame(rest) {
        assert!(used > 0 && used <= rest.len());
        if let Frame::Method(_, arguments) = frame {
            wire::read_anything(&arguments);
        }
        rest = &rest[used..];
    }
    wire::read_anything(bytes);
});
