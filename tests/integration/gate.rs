//! The main job: wait for what starts late, then become the command.

use crate::support::nginx::Nginx;
use crate::support::peer::{Peer, response};
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::{Run, directory, free_port};

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
fn eight_seconds_of_waiting_cost_at_most_fifteen_attempts_a_second() {
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
    assert!(attempts <= 8 * 15, "{attempts} attempts");
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
