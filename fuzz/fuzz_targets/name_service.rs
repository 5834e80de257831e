//! What name servers, hosts files and resolv.conf may hold does no harm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use when_ready::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::name_service(bytes));
