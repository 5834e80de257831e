//! `--timeline`: the start of a stack, drawn from what its gates have written.

use std::fs;
use std::path::Path;

use crate::support::peer::{Peer, response};
use crate::support::{Run, directory, free_port};

/// What two gates write: `api` waits for `db`, and `web` for a target of the name `api`.
fn written(directory: &Path) -> (String, String) {
    let peer = Peer::http(response("200 OK", ""));
    let port = free_port();
    let late = Run::new()
        .args(["--log-format", "json", "--name", "api"])
        .target(format!("db=127.0.0.1:{port}"))
        .timeout("60s")
        .command(["true"])
        .spawn();
    late.wait_for_stderr("not_ready");
    let db = Peer::http_on(port, response("200 OK", ""));
    let log = late.finish().expect_status(0).stderr;
    drop(db);
    let report = directory.join("web.json");
    Run::new()
        .args(["--name", "web", "--report", report.to_str().unwrap()])
        .target(format!("api={}", peer.url("/")))
        .finish()
        .expect_status(0);
    (log, fs::read_to_string(report).unwrap())
}

#[test]
fn logs_and_reports_of_several_gates_make_one_picture_with_its_critical_path() {
    let directory = directory();
    let (log, report) = written(directory.path());
    let (logs, reports) = (directory.path().join("all.log"), directory.path().join("web.json"));
    fs::write(&logs, format!("starting up\n{}\nready to serve\n", log.replace("{\"ts\"", "api-1  | {\"ts\""))).unwrap();
    let finished =
        Run::new().args(["--timeline", logs.to_str().unwrap(), reports.to_str().unwrap()]).finish().expect_status(0);
    let said = finished.stdout;
    assert!(said.lines().all(|line| line.chars().count() < 80), "{said}");
    let row = |start: &str| said.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{said}"));
    assert!(row("* api ").contains('─') && row("* api ").ends_with("ready"), "{said}");
    assert!(row("*   db ").contains('█') && row("*   db ").contains(" retr"), "{said}");
    assert!(row("* web ").ends_with("ready"), "{said}");
    assert_eq!(row("critical path (*): "), "critical path (*): web ← api ← api ← db", "{said}");
    assert!(row("api waited ").ends_with(" for db"), "{said}");
    assert!(row("failures: connection_refused ").len() > 29, "{said}");
    assert_eq!(row("skipped: "), "skipped: 2 lines of no gate");

    // The same from standard input, as a picture.
    let all = format!("{log}{report}");
    let svg = Run::new().args(["--timeline", "-", "--format", "svg"]).stdin(&all).finish().expect_status(0).stdout;
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" ") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(svg.contains(">* api</text>") && svg.contains("<rect class=\"critical\""), "{svg}");
}

#[test]
fn nothing_of_a_gate_is_1_and_a_file_that_cannot_be_read_is_2() {
    Run::new()
        .arg("--timeline")
        .stdin("no JSON\n{\"some\": \"other\"}\n")
        .finish()
        .expect_status(1)
        .expect_stderr("no report and no JSON log line")
        .expect_stderr("2 lines skipped")
        .expect_stdout("");
    let finished = Run::new().args(["--timeline", "/no/such/file"]).finish().expect_status(2);
    finished.expect_stderr("/no/such/file cannot be read");
    Run::new().args(["--timeline", "--format", "json", "x"]).finish().expect_status(2).expect_stderr("text, svg");
    Run::new().args(["--timeline", "x", "--", "true"]).finish().expect_status(2).expect_stderr("runs no command");
}

#[test]
fn a_picture_holds_nothing_that_its_reader_would_run() {
    let line = r#"{"ts":"2026-11-29T10:00:02.000Z","level":"info","event":"ready","gate":"<script>","msg":"m","target":"a&b\u001b[31m","url":"x","attempt":1,"elapsed_ms":1900}"#;
    let draw =
        |format: &str| Run::new().args(["--timeline", "--format", format]).stdin(line).finish().expect_status(0).stdout;
    let svg = draw("svg");
    assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>") && svg.contains("a&amp;b"), "{svg}");
    assert!(!draw("text").contains('\x1b'));
}
