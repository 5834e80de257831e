//! The main job: wait for what starts late, then become the command.

use crate::support::nginx::Nginx;
use crate::support::peer::{Peer, response};
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{Run, directory, free_port};

#[test]
fn an_optional_target_is_waited_for_and_is_no_reason_to_fail() {
    let (ready, closed) = (Peer::http(response("200 OK", "")), format!("127.0.0.1:{}", free_port()));
    let run = |targets: &[&str], options: &[&str]| {
        let run = Run::new().args(options.iter().copied()).args(targets.iter().copied());
        run.command(["echo", "ran"]).finish()
    };
    let optional = |keys: &str| format!("cache={closed}#optional{keys}");
    // Until its own deadline, or that of the wait.
    let finished = run(&[&ready.url("/"), &optional("&timeout=400ms")], &["-t", "20s"]);
    let finished = finished.expect_status(0).expect_elapsed(400..=5000).expect_stdout("ran\n");
    finished
        .expect_stderr("optional, and not waited for any longer: connection refused")
        .expect_stderr(": 1 of 2; running");
    run(&[&ready.url("/"), &optional("")], &["-t", "400ms"]).expect_status(0).expect_elapsed(400..=5000);
    run(&[&optional("")], &["-t", "300ms"]).expect_status(0);
    // It forgives nobody else.
    run(&[&closed, &optional("")], &["-t", "300ms"]).expect_status(124).expect_stdout("");
    // Whatever it answers: under --fail-fast it is given up at once.
    let other = Peer::http(b"220 mail\r\n".to_vec());
    let mail = other.url("/#optional");
    run(&[&ready.url("/"), &mail], &["-t", "20s", "--fail-fast"]).expect_status(0).expect_elapsed(0..=5000);
    // For --any it does not do, unless all are.
    let up = ready.url("/#optional");
    run(&[&up, &closed], &["-t", "300ms", "--any"]).expect_status(124);
    run(&[&up, &optional("")], &["-t", "20s", "--any"]).expect_status(0).expect_elapsed(0..=5000);
    // A check shows it, and does not count it.
    let checked = Run::new().args(["--check", &ready.url("/"), &optional("")]).finish().expect_status(0);
    checked.expect_in_stdout("OPTIONAL ").expect_in_stdout("1 of 1 target is healthy (1 optional not counted)");
}

#[test]
fn a_closed_port_times_out_and_says_why() {
    let port = free_port();
    Run::new()
        .target(format!("127.0.0.1:{port}"))
        .timeout("1s")
        .command(["true"])
        .finish()
        .expect_status(124)
        .expect_elapsed(1000..=4000)
        .expect_stderr(&format!("connection refused by 127.0.0.1:{port}: nothing listens there yet"))
        .expect_stderr("not ready after 1");
}

#[test]
fn eight_seconds_at_a_closed_port_cost_at_most_22_attempts_a_second() {
    let directory = directory();
    let report = directory.path().join("report");
    Run::new()
        .target(format!("127.0.0.1:{}", free_port()))
        .timeout("8s")
        .args(["--report", &report.display().to_string()])
        .finish()
        .expect_status(124);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let attempts = report["targets"][0]["attempts"].as_u64().unwrap();
    assert!(attempts <= 8 * 22, "{attempts} attempts");
}

#[test]
fn the_command_runs_with_the_gates_pid_once_everything_is_ready() {
    let mut postgres = Postgres::new();
    let (redis_port, http_port, nginx_port) = (free_port(), free_port(), free_port());
    let run = Run::new()
        .target(format!("db={}", postgres.url("postgres")))
        .target(format!("redis=redis://127.0.0.1:{redis_port}"))
        .target(format!("api=http://127.0.0.1:{http_port}/health"))
        .target(format!("web=http://127.0.0.1:{nginx_port}/"))
        .timeout("60s")
        .command(["sh", "-c", "echo pid $$; echo args \"$@\"", "sh", "a b", "$HOME"])
        .spawn();
    for name in ["db", "redis", "api", "web"] {
        run.wait_for_stderr(&format!("{name} ("));
    }
    let _redis = Redis::start(redis_port, &[]);
    let _nginx = Nginx::start(&format!("server {{ listen 127.0.0.1:{nginx_port}; location / {{ return 200; }} }}"));
    postgres.start(&[]);
    run.wait_for_stderr("redis (redis://").wait_for_stderr("db (postgres://admin@");
    run.wait_for_stderr("logged in as admin to the database postgres");
    let _http = Peer::http_on(http_port, response("200 OK", ""));
    let pid = run.pid();
    run.finish().expect_status(0).expect_stdout(&format!("pid {pid}\nargs a b $HOME\n"));
}
