//! What name servers, hosts files and resolv.conf may hold does no harm.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../name_service.rs"]
mod name_service;

fuzz_target!(|bytes: &[u8]| name_service::check(bytes));
