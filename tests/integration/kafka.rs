//! Kafka: tansu, which speaks its protocol, with kafka-python beside us; and scripted exchanges from the documented
//! protocol. What the answers mean is told apart beside `src/targets/kafka`; here is the way from a URL to an answer.

use std::io::{Read, Write};

use crate::support::peer::Peer;
use crate::support::script::{Script, gets_in};
use crate::support::tansu::Tansu;
use crate::support::{Run, fails_for_good, free_port, not_ready, ready};

/// Sends a message to a topic, as an application does.
const PRODUCER: &str = "
import sys, kafka
producer = kafka.KafkaProducer(bootstrap_servers=sys.argv[1], enable_idempotence=False, acks=1)
producer.send('jobs', b'x').get(timeout=5)
";

/// Logs in.
const LOGIN: &str = "
import sys, kafka
kafka.KafkaAdminClient(bootstrap_servers=sys.argv[1], security_protocol='SASL_PLAINTEXT', sasl_mechanism=sys.argv[2],
                       sasl_plain_username=sys.argv[3], sasl_plain_password=sys.argv[4],
                       bootstrap_timeout_ms=2000)
";

#[test]
fn a_real_broker_is_ready_where_a_producer_gets_in() {
    let broker = Tansu::start(None, &[]);
    let place = format!("127.0.0.1:{}", broker.port);
    ready(format!("kafka://{place}")).expect_stderr(&format!("a controller, advertised as {place}"));
    not_ready(format!("kafka://{place}#topic=jobs")).expect_stderr("the topic jobs does not exist yet");
    broker.create_topic("jobs");
    ready(format!("kafka://{place}#topic=jobs")).expect_stderr("partitions have leaders");
    ready(format!("PLAINTEXT://{place}#topic=jobs"));
    assert!(gets_in(PRODUCER, &[&place]));
    // A login that nobody asks for is not let in by kafka-python either.
    fails_for_good(format!("kafka://app:hunter2secret@{place}")).expect_nowhere("hunter2");
    assert!(!gets_in(LOGIN, &[&place, "PLAIN", "app", "hunter2secret"]));
}

#[test]
fn a_broker_that_advertises_where_nobody_listens_is_not_ready() {
    let dead = free_port();
    let broker = Tansu::start(Some(&format!("localhost:{dead}")), &[]);
    broker.create_topic("jobs");
    let place = format!("127.0.0.1:{}", broker.port);
    for topic in ["", "#topic=jobs"] {
        let run = not_ready(format!("kafka://{place}{topic}"));
        run.expect_stderr(&format!("the controller is advertised as localhost:{dead} (advertised.listeners)"));
    }
    assert!(!gets_in(PRODUCER, &[&place]));
    // It answers, whatever it advertises: it is not down.
    let run = Run::new().arg("--until-down").target(format!("kafka://{place}")).timeout("500ms").finish();
    run.expect_status(124).expect_stderr("it still answers");
}

#[test]
fn a_real_broker_that_wants_a_login_refuses_a_wrong_one() {
    let broker = Tansu::start(None, &["--authentication"]);
    let place = format!("127.0.0.1:{}", broker.port);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        fails_for_good(format!("SASL_PLAINTEXT://app:hunter2secret@{place}?sasl_mechanism={mechanism}"))
            .expect_stderr("check user")
            .expect_nowhere("hunter2secret");
        assert!(!gets_in(LOGIN, &[&place, mechanism, "app", "hunter2secret"]));
    }
}

#[test]
fn a_login_by_scram_is_let_in_with_the_right_password_alone() {
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let port = free_port();
        let _broker = Script::start("scram_broker.py", &[mechanism, "right=pass,word", &port.to_string()]);
        let url = |password: &str, parameter: &str| {
            format!("kafka://app:{password}@127.0.0.1:{port}?{parameter}={}", mechanism.to_ascii_lowercase())
        };
        for parameter in ["sasl_mechanism", "sasl.mechanism", "sasl.mechanisms"] {
            ready(url("right=pass,word", parameter)).expect_stderr("logged in as app, brokers: 1");
        }
        let place = format!("127.0.0.1:{port}");
        assert!(gets_in(LOGIN, &[&place, mechanism, "app", "right=pass,word"]));
        assert!(!gets_in(LOGIN, &[&place, mechanism, "app", "wrong"]));
        fails_for_good(url("wrong", "sasl_mechanism")).expect_stderr("Authentication failed (58)");
        // What the broker has is told to who asks for another.
        fails_for_good(format!("kafka://app:x@127.0.0.1:{port}")).expect_stderr(mechanism);
        ready(format!("kafka://127.0.0.1:{port}")).expect_stderr("accepting connections; it wants a login");
    }
}

#[test]
fn one_of_a_list_of_whole_urls_is_enough() {
    let broker = Tansu::start(None, &[]);
    let dead = free_port();
    ready(format!("kafka://127.0.0.1:{dead},kafka://127.0.0.1:{}", broker.port));
    ready(format!("PLAINTEXT://127.0.0.1:{dead},PLAINTEXT://127.0.0.1:{}", broker.port));
    ready(format!("kafka://127.0.0.1:{dead},127.0.0.1:{}", broker.port));
    not_ready(format!("SSL://127.0.0.1:{}", broker.port));
}

/// `Metadata` up to version 12, `SaslHandshake` up to 1.
const VERSIONS: &[u8] = b"\0\0\0\0\0\x02\0\x03\0\0\0\x0c\0\x11\0\0\0\x01";

/// One broker, which is the controller.
fn metadata(port: u16) -> Vec<u8> {
    let host = b"\0\0\0\0\0\0\0\x01\0\0\0\x01\0\x09127.0.0.1";
    [&host[..], &u32::from(port).to_be_bytes(), b"\xff\xff\0\0\0\0\0\x01\0\0\0\0"].concat()
}

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
                3 if is_open => (metadata(stream.local_addr().unwrap().port()), false),
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
