//! AMQP with a real RabbitMQ; what it says in other states is in scripts (see `src/targets/amqp`).

use std::sync::PoisonError;
use std::time::Duration;

use crate::support::rabbitmq::{ALARM, RabbitMq};
use crate::support::{Run, connections_of, directory, eventually, fails_for_good, free_port, not_ready, ready};

fn url(userinfo: &str, rest: &str) -> String {
    format!("amqp://{userinfo}127.0.0.1:{}{rest}", RabbitMq::shared().port)
}

#[test]
fn a_login_with_its_virtual_host_is_ready() {
    let _calm = ALARM.read().unwrap_or_else(PoisonError::into_inner);
    for rest in ["", "/", "//", "/%2F", "/%2f?heartbeat=30"] {
        ready(url("app:secret%20word@", rest)).expect_stderr("logged in as app to the virtual host /");
    }
    ready(url("app:secret%20word@", "/prod%2Feu")).expect_stderr("to the virtual host prod/eu");
    ready(url("", "")).expect_stderr("logged in as guest");
    ready(url("app@", "")).expect_stderr("accepting connections; no password given, login not tried");
    ready(url("app:secret%20word@", "#queue=jobs")).expect_stderr("the queue is there");
    Run::new()
        .target(url("app:${PASSWORD}@", "/${VHOST}"))
        .envs(&[("PASSWORD", "secret word"), ("VHOST", "prod%2Feu")])
        .finish()
        .expect_status(0);
    let hosts = format!("amqp://app:secret%20word@127.0.0.1:{}", free_port());
    ready(format!("{hosts},127.0.0.1:{}", RabbitMq::shared().port));
    Run::new().args(["--check", &url("app:secret%20word@", "")]).finish().expect_status(0);
}

#[test]
fn what_is_refused_is_refused_with_its_reason_and_without_the_password() {
    let _calm = ALARM.read().unwrap_or_else(PoisonError::into_inner);
    fails_for_good(url("app:hunter2secret@", ""))
        .expect_stderr("ACCESS_REFUSED")
        .expect_stderr("check user and password")
        .expect_nowhere("hunter2secret");
    not_ready(url("app:secret%20word@", "/nope")).expect_stderr("vhost nope not found (530)");
    fails_for_good(url("app:secret%20word@", "/closed")).expect_stderr("has no permissions there");
    not_ready(url("app:secret%20word@", "#queue=mails")).expect_stderr("no queue 'mails'");
    Run::new().args(["--until-down", &url("", ""), "-t", "300ms"]).finish().expect_status(124);
    Run::new().args(["--until-down", &format!("amqp://127.0.0.1:{}", free_port())]).finish().expect_status(0);
}

#[test]
fn a_login_leaves_nothing_but_notes_in_the_log() {
    let _alone = ALARM.write().unwrap_or_else(PoisonError::into_inner);
    let server = RabbitMq::shared();
    // What other tests left is noted down a little later.
    let mut before = 0;
    eventually("a quiet log", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        std::mem::replace(&mut before, server.log().len()) == before
    });
    for _ in 0..3 {
        ready(url("app:secret%20word@", "#queue=jobs"));
    }
    eventually("the end of three connections", || {
        server.log()[before..].matches("closing AMQP connection").count() >= 3
    });
    let log = server.log();
    assert!(!log[before..].contains("[warning]") && !log[before..].contains("[error]"), "{}", &log[before..]);
}

#[test]
fn a_server_with_an_alarm_is_not_ready_until_it_is_over() {
    let _alone = ALARM.write().unwrap_or_else(PoisonError::into_inner);
    let server = RabbitMq::shared();
    server.control(&["set_vm_memory_high_watermark", "0.00001"]);
    eventually("the alarm", || {
        server.control(&["list_connections"]).len() < 10_000 && server.log().contains("alarm set")
    });
    Run::new()
        .target(url("app:secret%20word@", ""))
        .args(["--max-attempts", "1", "--attempt-timeout", "1s"])
        .finish()
        .expect_status(124)
        .expect_stderr("the server takes no messages: low on memory");
    let running = Run::new().target(url("app:secret%20word@", "")).timeout("60s").spawn();
    // Its connection is open, and blocked.
    eventually("a blocked connection", || server.control(&["list_connections", "state"]).contains("blocked"));
    server.control(&["set_vm_memory_high_watermark", "0.9"]);
    running.finish().expect_status(0);
}

#[test]
fn under_an_alarm_one_connection_is_held_and_none_is_left() {
    let _alone = ALARM.write().unwrap_or_else(PoisonError::into_inner);
    let server = RabbitMq::shared();
    server.control(&["set_vm_memory_high_watermark", "0.00001"]);
    let before = server.log().len();
    let run = Run::new().target(url("app:secret%20word@", "")).timeout("12s").spawn();
    run.wait_for_stderr("the server takes no messages: low on memory");
    let told = run.begun.elapsed();
    assert!(told < Duration::from_secs(5), "it is told at once, not after {told:?}:\n{}", run.stderr_so_far());
    // As the kernel sees it: rabbitmqctl may take longer than the gate waits.
    assert_eq!(connections_of(server.port), 1);
    run.finish().expect_status(124).expect_stderr("last: the server takes no messages: low on memory");
    let opened = server.log()[before..].matches("accepting AMQP connection").count();
    assert!(opened <= 2, "{opened} connections: the one that is kept, and one beside a late greeting");
    // The alarm is not over.
    eventually("the end of the connections", || connections_of(server.port) == 0);
    server.control(&["set_vm_memory_high_watermark", "0.9"]);
}

#[test]
fn it_waits_for_a_server_that_boots() {
    let port = free_port();
    let running = Run::new()
        .target(format!("amqp://app:secret%20word@127.0.0.1:{port}"))
        .timeout("80s")
        .command(["echo", "ran"])
        .spawn();
    running.wait_for_stderr("nothing listens");
    let server = RabbitMq::start(directory(), port);
    running.finish().expect_status(0).expect_stdout("ran\n");
    drop(server);
}
