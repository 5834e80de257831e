//! An HTTP server that is nothing but bytes: for the fuzzer, and for the test that runs what it found
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use when_ready::fuzzing::{MAX_READ, told};

use super::script::{End, Script};

const SECRET: &str = "hunter2secret";
/// Of `u:hunter2secret` (RFC 7617).
const BASIC: &str = "dTpodW50ZXIyc2VjcmV0";
/// A byte that stands for the secret in the answer, so that it is found without guessing.
const ECHO: u8 = 0xff;
/// What is expected of the answer.
const EXPECTATIONS: [&str; 4] = ["", "&body=ok", "&json=/a/b=1&json=/c&status=100-599", "&method=CONNECT&body=ok"];

/// Nothing panics, nothing is read without end, no secret is told and nothing but an HTTP response is
/// ready. The first byte says how the others come.
pub fn check(bytes: &[u8]) {
    let Some((&how, answer)) = bytes.split_first() else { return };
    let mut answer: Vec<u8> = answer
        .iter()
        .flat_map(|byte| if *byte == ECHO { SECRET.as_bytes() } else { std::slice::from_ref(byte) })
        .copied()
        .collect();
    let end = [End::Close, End::Reset, End::Silence, End::Again][usize::from(how >> 2 & 3)];
    let (step, end) = match (answer.is_empty(), end) {
        (true, End::Again) => (1, End::Close),
        // In large pieces: in small ones it takes long to see that there is no end.
        (false, End::Again) => {
            answer = answer.repeat((64 << 10) / answer.len() + 1);
            (usize::MAX, end)
        }
        _ => ([1, 7, 1000, usize::MAX][usize::from(how & 3)], end),
    };
    let expectation = EXPECTATIONS[usize::from(how >> 4 & 3)];
    let url = format!("http://u:{SECRET}@host/?token={SECRET}#header=X-Token:{SECRET}{expectation}");

    let read = Arc::new(AtomicUsize::new(0));
    let is_http = answer.windows(7).any(|window| window == b"HTTP/1.");
    let script = Script { answer, at: 0, step, end, read: Arc::clone(&read) };
    let told = match told(&url, script, Duration::from_secs(5)).expect("a conversation") {
        Ok(proof) => {
            assert!(is_http, "falsely ready: {proof}");
            proof
        }
        Err(reason) => reason,
    };
    assert!(!told.contains(SECRET) && !told.contains(BASIC), "{told}");
    assert!(told.chars().count() <= 401 && !told.contains(char::is_control), "{told}");
    let read = read.load(Ordering::Relaxed);
    assert!(read <= MAX_READ, "{read} bytes were read");
}
