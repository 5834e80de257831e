//! No password file panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::probe::postgres::passfile::{Key, password};

fuzz_target!(|content: &[u8]| {
    drop(password(content, Key { host: "db", port: 5432, database: "app", user: "me" }));
});
