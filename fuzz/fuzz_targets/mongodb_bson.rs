//! No bytes panic; every message makes progress and stays within the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::probe::mongodb::bson;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((document, used))) = bson::message(rest) {
        assert!(used > document.len() && used <= rest.len());
        bson::elements(&document).for_each(drop);
        rest = &rest[used..];
    }
    bson::elements(bytes).for_each(drop);
});
