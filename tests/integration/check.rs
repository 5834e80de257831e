//! `--check`: one attempt each, a row each, and 0 or 1.

use std::io::Write;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::peer::{Peer, hold, read_request, response};
use crate::support::terminal::Terminal;
use crate::support::{Run, directory, eventually, executable, free_port};

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
fn with_any_one_healthy_target_is_enough_unless_another_has_met_its_end() {
    let (up, down) = (Peer::http(response("200 OK", "")), format!("127.0.0.1:{}", free_port()));
    let check = || Run::new().args(["--check", "--any"]);
    let both = check().target(up.url("/")).target(down.clone()).finish();
    both.expect_status(0).expect_in_stdout("1 of 2 targets are healthy");
    check().target(down.clone()).target(down.clone()).finish().expect_status(1);
    check().target(up.url("/#optional")).target(down).finish().expect_status(1);
    check().target(up.url("/")).target(up.url("/#fail-status=200")).finish().expect_status(1);
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
    eventually("its one connection", || silent.connections() == 1);
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
    run.wait_for_stdout("1 change  HTTP 200");
    drop(peer);
    run.wait_for_stdout("2 changes");
    run.signal(Signal::SIGINT);
    run.finish().expect_status(130);
}

#[test]
fn rows_of_a_watch_fit_the_terminal_and_the_time_and_the_pause_stand_above_them() {
    let _directory = directory();
    let peer = Peer::http(response("200 OK", ""));
    let command = format!(
        "{} --check --watch 2s db=postgres://app@127.0.0.1:{}/application-with-a-name web={}",
        executable().display(),
        free_port(),
        peer.url("/a/long/path/to/the/health/of/it")
    );
    let terminal = Terminal::start(80, 24, &command);
    let screen = terminal.wait_for("1 of 2 targets are healthy");
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 4, "{screen}");
    assert!(lines[0].starts_with("every 2s, 20") && lines[0].ends_with(" UTC"), "{screen}");
    assert!(lines[1].starts_with("db   UNHEALTHY ") && lines[1].contains("  for 0ms, 0 changes  connect"), "{screen}");
    assert!(lines[2].starts_with("web  HEALTHY ") && lines[2].ends_with("HTTP 200 OK"), "{screen}");
    assert!(lines.iter().all(|line| line.chars().count() < 80), "{screen}");

    let terminal = Terminal::start(80, 24, &command.replace("--check", "--check -v"));
    let screen = terminal.wait_for("1 of 2 targets are healthy");
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[2].starts_with("    connect ") && lines[2].ends_with('…'), "{screen}");
    assert!(lines.iter().all(|line| line.chars().count() < 80), "{screen}");
}

#[test]
fn colours_are_where_they_are_asked_for() {
    let peer = Peer::http(response("200 OK", ""));
    let run = |options: &[&str], no_color: &str| {
        Run::new()
            .arg("--check")
            .args(options.iter().copied())
            .env("NO_COLOR", no_color)
            .target(peer.url("/"))
            .finish()
            .expect_status(0)
            .stdout
    };
    let green = "\x1b[32mHEALTHY  \x1b[0m";
    assert!(run(&["--color", "always"], "").contains(green));
    assert!(run(&["--color", "always"], "1").contains(green), "the option is nearer than the variable");
    assert!(!run(&["--color", "never"], "").contains('\x1b'));
    assert!(!run(&[], "").contains('\x1b'), "a pipe has none by itself");
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

#[test]
fn a_targets_own_attempt_time_holds_in_a_check_and_in_a_gate() {
    let slow = || {
        Peer::start(|mut stream, _| {
            read_request(&mut stream);
            std::thread::sleep(Duration::from_millis(900));
            drop(stream.write_all(&response("200 OK", "")));
        })
    };
    let check = |target: &str| Run::new().args(["--check", "--attempt-timeout", "300ms"]).target(target).finish();
    let gate = |target: &str| Run::new().args(["-t", "30s", "--attempt-timeout", "300ms"]).target(target).finish();
    let url = slow();
    for target in [url.url("/#attempt-timeout=5s"), "exec:sleep 0.9 #attempt-timeout=5s".to_owned()] {
        check(&target).expect_status(0).expect_elapsed(900..=4500);
        gate(&target).expect_status(0).expect_elapsed(900..=4500);
    }
    // A short one is no longer than it says, and one target's time is not another's.
    let silent = Peer::start(|stream, _| hold(stream));
    for target in [silent.url("/"), format!("redis://127.0.0.1:{}", silent.port), "exec:sleep 60 ".to_owned()] {
        let short = Run::new().arg("--check").target(format!("{target}#attempt-timeout=300ms"));
        short.finish().expect_status(1).expect_elapsed(250..=2000);
    }
    let other = Run::new().args(["--check", "--attempt-timeout", "300ms"]).target(url.url("/#attempt-timeout=5s"));
    let other = other.target(silent.url("/")).finish().expect_status(1).expect_elapsed(900..=4500);
    other.expect_in_stdout("1 of 2 targets are healthy").expect_in_stdout("within 300ms");
}

#[test]
fn a_closer_look_shows_each_step_with_its_time_and_no_secret() {
    let answer = b"HTTP/1.1 200 OK\r\nServer: nginx/1.2 hunter2secret\r\nContent-Length: 0\r\n\r\n";
    let peer = Peer::http(answer.to_vec());
    let url = format!("http://app:hunter2secret@localhost:{}/", peer.port);
    let closed = format!("db=127.0.0.1:{}", free_port());
    let look = |options: &[&str]| {
        let run = Run::new().args(["--check", "-v"]).args(options.iter().copied()).args([&url, &closed]);
        run.finish().expect_status(1).expect_nowhere("hunter2secret").stdout
    };
    let text = look(&[]);
    let has = |step: &str, what: &str| text.lines().any(|line| line.starts_with(step) && line.contains(what));
    assert!(has("    resolve ", "localhost is ") && has("    connect ", "connected to "), "{text}");
    assert!(has("    advertised ", "server: nginx/1.2 ***") && has("    query ", "HTTP 200 OK"), "{text}");
    assert!(
        has("    connect ", "failed: connection refused") && text.contains("; next: whether the process"),
        "{text}"
    );
    let report: serde_json::Value = serde_json::from_str(&look(&["--format", "json"])).unwrap();
    let steps = report["targets"][0]["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["resolve", "connect", "advertised", "query"]);
    assert!(steps.iter().all(|step| step["ms"].is_u64() && step["detail"].is_string()), "{report}");
}
