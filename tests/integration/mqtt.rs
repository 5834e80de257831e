//! MQTT, against a real mosquitto.

use std::io::{Read, Write};

use nix::sys::signal::{Signal, kill};

use crate::support::certificates::Ca;
use crate::support::mosquitto::Mosquitto;
use crate::support::{Run, eventually, fails_for_good, not_ready, ready};

#[test]
fn the_broker_lets_in_whom_it_knows_and_logs_nothing_odd() {
    let broker = Mosquitto::start("allow_anonymous false");
    let url = |userinfo: &str| format!("mqtt://{userinfo}127.0.0.1:{}", broker.port);
    ready(url("app:secret%20word@")).expect_stderr("logged in as app");
    eventually("the end of the session", || broker.log().contains("disconnected."));
    assert!(!broker.log().contains("closed its connection"), "{}", broker.log());
    for userinfo in ["app:hunter2secret@", "nobody:hunter2secret@", ":hunter2secret@"] {
        fails_for_good(url(userinfo)).expect_stderr("not authorized (CONNACK 5)").expect_nowhere("hunter2secret");
    }
    ready(url("")).expect_stderr("accepting connections; it wants a login, no password given");
    Run::new().args(["--check", &url("app:x@")]).finish().expect_status(1);
    let open = Mosquitto::start("allow_anonymous true");
    ready(format!("mqtt://127.0.0.1:{}/a/topic?keepalive=5", open.port))
        .expect_stderr("takes sessions without a login");
}

#[test]
fn a_broker_that_is_full_or_stopped_is_not_ready() {
    let full = Mosquitto::start("allow_anonymous true\nmax_connections 1");
    let url = format!("mqtt://127.0.0.1:{}", full.port);
    let mut only = std::net::TcpStream::connect(("127.0.0.1", full.port)).unwrap();
    only.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a").unwrap();
    only.read_exact(&mut [0; 4]).unwrap();
    not_ready(&url).expect_stderr("the peer closed the connection");
    drop(only);
    let stopped = Mosquitto::start("allow_anonymous true");
    kill(stopped.pid(), Signal::SIGSTOP).unwrap();
    not_ready(format!("mqtt://127.0.0.1:{}", stopped.port));
    kill(stopped.pid(), Signal::SIGCONT).unwrap();
    ready(format!("mqtt://127.0.0.1:{}", stopped.port));
}

#[test]
fn mqtts_is_mqtt_over_tls() {
    let ca = Ca::new();
    let files = ca.issue("localhost", &["127.0.0.1"]);
    let settings = format!("allow_anonymous true\ncertfile {}\nkeyfile {}", files.cert.display(), files.key.display());
    let broker = Mosquitto::start(&settings);
    let url = format!("mqtts://app:secret%20word@127.0.0.1:{}", broker.port);
    fails_for_good(&url).expect_stderr("unknown CA");
    ready(format!("{url}#ca={}", ca.file().display())).expect_stderr("logged in as app");
    not_ready(format!("mqtt://127.0.0.1:{}", broker.port));
}
