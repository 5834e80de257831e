//! `--check`: one attempt each, a row each, and 0 or 1.

use nix::sys::signal::Signal;

use crate::support::peer::{Peer, hold, response};
use crate::support::{Run, directory, free_port};

#[test]
fn a_healthy_target_is_0_and_an_unhealthy_one_is_1() {
    let peer = Peer::http(response("200 OK", ""));
    Run::new()
        .arg("--check")
        .target(peer.url("/health"))
        .finish()
        .expect_status(0)
        .expect_in_stdout("HEALTHY")
        .expect_in_stdout("1 of 1 target is healthy\n");
    Run::new()
        .arg("--check")
        .target(format!("127.0.0.1:{}", free_port()))
        .finish()
        .expect_status(1)
        .expect_in_stdout("UNHEALTHY")
        .expect_in_stdout("connection refused");
}

#[test]
fn rows_come_in_the_order_given_and_are_aligned() {
    let peer = Peer::http(response("200 OK", ""));
    let finished = Run::new()
        .arg("--check")
        .target(format!("backend={}", peer.url("/health")))
        .target(format!("db=127.0.0.1:{}", free_port()))
        .target(format!("frontend={}", peer.url("/")))
        .finish()
        .expect_status(1);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", finished.stdout);
    for (line, name) in lines.iter().zip(["backend", "db", "frontend"]) {
        assert!(line.starts_with(name), "{line}");
    }
    let columns: Vec<usize> = lines[..3].iter().map(|line| line.find("HEALTHY").unwrap()).collect();
    assert_eq!((columns[0], columns[1]), (columns[2], columns[0] + 2), "{}", finished.stdout);
    assert_eq!(lines[3], "2 of 3 targets are healthy");
    assert_eq!(finished.stderr, "");
}

#[test]
fn each_target_is_probed_exactly_once() {
    let peer = Peer::http(response("500 Internal Server Error", ""));
    Run::new().args(["--check", "--successes", "3"]).target(peer.url("/")).finish().expect_status(1);
    assert_eq!(peer.connections(), 1);

    // What a target says of its wait is nothing to a check.
    let peer = Peer::http(response("200 OK", ""));
    let target = format!("{}#successes=3&timeout=1ns", peer.url("/"));
    Run::new().arg("--check").target(target).finish().expect_status(0);
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_silent_target_takes_one_attempt_timeout_and_holds_no_other_up() {
    let silent = Peer::start(|stream, _| hold(stream));
    let good = Peer::http(response("200 OK", ""));
    Run::new()
        .args(["--check", "--attempt-timeout", "700ms"])
        .target(silent.url("/"))
        .target(good.url("/"))
        .finish()
        .expect_status(1)
        .expect_elapsed(700..=6000)
        .expect_in_stdout("connected, but no answer within")
        .expect_in_stdout("1 of 2 targets are healthy");
    assert_eq!(silent.connections(), 1);
}

#[test]
fn json_is_the_report() {
    let peer = Peer::http(response("200 OK", ""));
    let finished = Run::new()
        .args(["--check", "--format", "json"])
        .target(format!("web={}", peer.url("/")))
        .target(format!("127.0.0.1:{}", free_port()))
        .finish()
        .expect_status(1);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["targets"][0]["name"], "web");
    assert_eq!(report["targets"][0]["state"], "ready");
    assert_eq!(report["targets"][1]["state"], "not_ready");
    assert_eq!(report["targets"][1]["failures"]["connection_refused"], 1);
}

#[test]
fn nothing_to_check_is_healthy() {
    Run::new()
        .arg("--check")
        .env("WHEN_READY_TARGETS", "")
        .finish()
        .expect_status(0)
        .expect_stdout("0 of 0 targets are healthy\n");
}

#[test]
fn watch_repeats_until_it_is_interrupted_and_counts_changes() {
    let port = free_port();
    let run = Run::new().args(["--check", "--watch", "100ms"]).target(format!("web=http://127.0.0.1:{port}/")).spawn();
    run.wait_for_stdout("0 changes");
    let peer = Peer::http_on(port, response("200 OK", ""));
    run.wait_for_stdout("1 change\n");
    drop(peer);
    run.wait_for_stdout("2 changes");
    run.signal(Signal::SIGINT);
    run.finish().expect_status(130);
}

#[test]
fn a_healthy_target_beside_a_dead_one_is_blamed_for_nothing() {
    let peer = Peer::http(response("200 OK", ""));
    let dead = format!("127.0.0.1:{}", free_port());
    let directory = directory();
    let file = directory.path().join("report.json");
    let run = |options: &[&str]| {
        Run::new().args(options.iter().copied()).target(peer.url("/")).target(&dead).timeout("300ms").finish()
    };
    let checked = run(&["--check", "--format", "json"]).expect_status(1).stdout;
    run(&["--report", file.to_str().unwrap()]).expect_status(124);
    for report in [checked, std::fs::read_to_string(&file).unwrap()] {
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["targets"][0]["last_reason"], serde_json::Value::Null, "{report}");
        assert_eq!(report["targets"][0]["failures"], serde_json::json!({}), "{report}");
    }
}
