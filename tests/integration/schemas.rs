//! Real log lines beside their published schema.

use nix::sys::signal::Signal;

use crate::support::peer::{Peer, response};
use crate::support::{Run, free_port};

const LOG: &str = include_str!("../../docs/schema/log.schema.json");

#[test]
fn every_log_line_follows_its_schema_however_the_run_ends() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("log", serde_json::from_str(LOG).unwrap()).unwrap();
    let schema = compiler.compile("log", &mut schemas).unwrap();
    let check = |stderr: &str, last: &str| {
        let lines: Vec<serde_json::Value> = stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &lines {
            assert!(schemas.validate(line, schema).is_ok(), "{line}");
        }
        assert_eq!(lines.last().unwrap()["event"], last, "{stderr}");
    };
    let run = |words: &[&str]| Run::new().args(["--log-format", "json", "--verbose"]).args(words.iter().copied());
    let peer = Peer::http(response("200 OK", ""));
    let missing = Peer::http(response("404 Not Found", ""));
    let closed = format!("127.0.0.1:{}", free_port());

    check(&run(&[&peer.url("/"), "--", "true"]).finish().expect_status(0).stderr, "exec");
    check(&run(&[&peer.url("/"), &closed, "--timeout", "300ms"]).finish().expect_status(124).stderr, "timeout");
    check(&run(&[&missing.url("/"), "--fail-fast"]).finish().expect_status(1).stderr, "failed");
    check(&run(&["postgres://%zz"]).finish().expect_status(2).stderr, "failed");
    let running = run(&[&closed]).timeout("60s").spawn();
    running.wait_for_stderr("not ready");
    running.signal(Signal::SIGTERM);
    check(&running.finish().expect_status(143).stderr, "interrupted");
}
