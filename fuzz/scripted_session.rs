//! Whole conversations with a server that is nothing but bytes: for the fuzzer, and for the
//! test that runs what it found again.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use when_ready::fuzzing::told;

use super::script::{End, Script};

const SECRET: &str = "hunter2secret";
/// A byte that stands for the secret in the answer, so that it is found without guessing.
const ECHO: u8 = 0xfe;
/// The same where 0xfe is the protocol's own.
const OTHER_ECHO: u8 = 0xe7;
const POSTGRES: [&str; 4] = [
    "postgres://u:hunter2secret@h/d",
    "postgres://h/d",
    "postgres://u:hunter2secret@h/d?target_session_attrs=standby#query=select%20'hunter2secret'",
    "postgres://u:hunter2secret@h/d?require_auth=!password&channel_binding=disable",
];
const REDIS: [&str; 4] = [
    "redis://:hunter2secret@h",
    "redis://u:hunter2secret@h/1#role=master&key=k&cluster",
    "redis://hunter2secret@h",
    "redis+sentinel://:hunter2secret@h/m",
];

/// The others, each with what an answer holds at least that is ready.
const SERVICES: [(&str, &[u8]); 18] = [
    ("mysql://u:hunter2secret@h/d", b"\n"),
    ("mysql://h", b"\n"),
    ("mysql://u:hunter2secret@h#query=select%20'hunter2secret'", b"\xfe\0\0"),
    ("mysql://u@h/d#query=select%201", b"\xfe\0\0"),
    ("amqp://u:hunter2secret@h/v#queue=q", b"\x01\x00\x01\0\0"),
    ("amqp://u@h", b"\0\x0a\0\x0a"),
    ("mongodb://u:hunter2secret@h/d", b"v="),
    ("mongodb://h/?replicaSet=rs0", b"rs0"),
    ("kafka://u:hunter2secret@h#topic=t", b"\0\0\0\x04"),
    ("kafka://h", b"\0\0\0\x02"),
    ("kafka://u@h#topic=t", b"\0\0\0\x02"),
    ("grpc://h:1/s", b"\x08\x01"),
    ("memcached://h", b"\n"),
    ("nats://u:hunter2secret@h", b"PONG"),
    ("nats://hunter2secret@h", b"PONG"),
    ("smtp://h", b"2"),
    ("mqtt://u:hunter2secret@h", b"\x20"),
    ("ldap://cn=u:hunter2secret@h/dc=x", b"\x64"),
];

/// The same of the others; the first byte names one of them.
pub fn check_service(bytes: &[u8]) {
    let Some((&which, rest)) = bytes.split_first() else { return };
    let Some((_, script, answer)) = scripted(rest, OTHER_ECHO) else { return };
    let (url, least) = SERVICES[usize::from(which) % SERVICES.len()];
    // Hashing ends with it.
    let told = match told(url, script, Duration::from_millis(100)).expect("a conversation") {
        Ok(proof) => {
            assert!(holds(&answer, least), "falsely ready: {proof}");
            proof
        }
        Err(reason) => reason,
    };
    let is_secret = url.contains(SECRET);
    assert!((!is_secret || !told.contains(SECRET)) && !told.contains(char::is_control), "{told}");
}

/// What the first byte says of how the others come, and the others.
fn scripted(bytes: &[u8], echo: u8) -> Option<(usize, Script, Vec<u8>)> {
    let (&how, answer) = bytes.split_first()?;
    let answer: Vec<u8> = answer
        .iter()
        .flat_map(|byte| if *byte == echo { SECRET.as_bytes() } else { std::slice::from_ref(byte) })
        .copied()
        .collect();
    let end = [End::Close, End::Reset, End::Silence, End::Close][usize::from(how >> 2 & 3)];
    let step = [1, 7, 1000, usize::MAX][usize::from(how & 3)];
    let script = Script { answer: answer.clone(), at: 0, step, end, read: Arc::new(AtomicUsize::new(0)) };
    Some((usize::from(how >> 4 & 3), script, answer))
}

fn holds(answer: &[u8], part: &[u8]) -> bool {
    answer.windows(part.len()).any(|window| window == part)
}

/// Nothing panics, no secret is told, and nothing but what the protocol has for it is ready.
pub fn check_postgres(bytes: &[u8]) {
    let Some((which, script, answer)) = scripted(bytes, ECHO) else { return };
    let url = POSTGRES[which];
    let is_secret = url.contains(SECRET);
    // Hashing ends with it.
    let told = match told(url, script, Duration::from_millis(100)).expect("a conversation") {
        Ok(proof) => {
            let is_let_in = holds(&answer, b"R\0\0\0\x08\0\0\0\0") && holds(&answer, b"Z\0\0\0");
            let accepts = !is_secret && (answer.contains(&b'R') || answer.contains(&b'E'));
            assert!(is_let_in || accepts, "falsely ready: {proof}");
            proof
        }
        Err(reason) => reason,
    };
    assert!((!is_secret || !told.contains(SECRET)) && !told.contains(char::is_control), "{told}");
}

/// The same.
pub fn check_redis(bytes: &[u8]) {
    let Some((which, script, answer)) = scripted(bytes, ECHO) else { return };
    let url = REDIS[which];
    let told = match told(url, script, Duration::from_secs(5)).expect("a conversation") {
        Ok(proof) => {
            let is_redis = holds(&answer, b"+PONG\r\n") || holds(&answer, b":");
            assert!(is_redis || url.starts_with("redis+sentinel"), "falsely ready: {proof}");
            proof
        }
        Err(reason) => reason,
    };
    assert!(!told.contains(SECRET) && !told.contains(char::is_control), "{told}");
}
