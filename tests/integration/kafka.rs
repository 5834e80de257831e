//! Kafka, of which there is no package: scripted exchanges from its documented protocol. What the answers mean is told
//! apart beside `src/probe/kafka`; here is the way from a URL to an answer.

use std::io::{Read, Write};

use crate::support::peer::Peer;
use crate::support::{Run, fails_for_good, not_ready, ready};

/// `Metadata` up to version 12, `SaslHandshake` up to 1.
const VERSIONS: &[u8] = b"\0\0\0\0\0\x02\0\x03\0\0\0\x0c\0\x11\0\0\0\x01";
/// One broker, which is the controller.
const METADATA: &[u8] = b"\0\0\0\0\0\0\0\x01\0\0\0\x01\0\x01k\0\0\x23\x84\xff\xff\0\0\0\0\0\x01\0\0\0\0";

/// A listener: what it answers to `SaslHandshake`, and whether it answers `Metadata` without a login. It closes where
/// it does not answer, as a broker does.
fn listener(handshake: u8, is_open: bool) -> Peer {
    Peer::start(move |mut stream, _| {
        loop {
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_err() {
                return;
            }
            let mut request = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            stream.read_exact(&mut request).unwrap();
            let (body, is_last) = match request[1] {
                18 => (VERSIONS.to_vec(), false),
                17 => {
                    let offered: &[u8] = if handshake == 33 { b"\0\x05OAUTH" } else { b"\0\x05PLAIN" };
                    ([&[0, handshake, 0, 0, 0, 1][..], offered].concat(), handshake == 33 && !is_open)
                }
                3 if is_open => (METADATA.to_vec(), false),
                _ => return,
            };
            let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &request[4..8], &body].concat()).unwrap();
            if is_last {
                return;
            }
        }
    })
}

fn url(peer: &Peer, userinfo: &str, rest: &str) -> String {
    format!("kafka://{userinfo}127.0.0.1:{}{rest}", peer.port)
}

#[test]
fn a_listener_that_wants_a_login_accepts_without_a_password() {
    for handshake in [0, 33] {
        let closed = listener(handshake, false);
        ready(url(&closed, "", "")).expect_stderr("accepting connections; it wants a login, no password given");
        ready(url(&closed, "app@", "")).expect_stderr("accepting connections");
        Run::new().args(["--check", &url(&closed, "", "")]).finish().expect_status(0);
        fails_for_good(url(&closed, "", "#topic=jobs")).expect_stderr("topic= needs a login");
    }
    let run = fails_for_good(url(&listener(33, false), "app:hunter2secret@", ""));
    run.expect_stderr("the broker has no PLAIN login").expect_nowhere("hunter2secret");
}

#[test]
fn a_listener_that_wants_none_has_a_controller_or_is_not_ready() {
    ready(url(&listener(34, true), "", "")).expect_stderr("brokers: 1, a controller");
    // Redpanda once told of SASL where there was none.
    ready(url(&listener(33, true), "", "")).expect_stderr("brokers: 1, a controller");
    not_ready(url(&listener(34, false), "", "")).expect_stderr("the peer closed the connection");
}
