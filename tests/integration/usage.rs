//! Usage errors: exit status 2, before anything is probed, with what would be right.

use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::peer::Peer;
use crate::support::{Leash, Run, directory, executable, free_port, unprivileged};

#[test]
fn no_targets_is_a_usage_error() {
    Run::new().finish().expect_status(2).expect_stderr("no targets: name what to wait for");
}

#[test]
fn a_separator_without_a_command_tells_of_the_cmd_that_an_entrypoint_unsets() {
    let finished = Run::new().args(["db:1", "--"]).finish().expect_status(2);
    finished.expect_stderr("there is none").expect_stderr("unset the image's CMD");
}

#[test]
fn a_misspelt_option_is_recognised() {
    Run::new().args(["--timout", "5s", "db:1"]).finish().expect_status(2).expect_stderr("did you mean `--timeout`?");
}

#[test]
fn a_bad_target_is_reported_before_anything_is_probed() {
    let peer = Peer::start(|_, _| {});
    Run::new()
        .target(format!("127.0.0.1:{}", peer.port))
        .target("db")
        .finish()
        .expect_status(2)
        .expect_stderr("target `db`: it has no port; write db:PORT");
    assert_eq!(peer.connections(), 0);
}

#[test]
fn an_unset_variable_and_an_unreadable_file_are_named() {
    Run::new().target("${NO_SUCH_VAR}").finish().expect_status(2).expect_stderr("NO_SUCH_VAR is not set");
    Run::new().target("redis://:${file:/no/such}@h").finish().expect_status(2).expect_stderr("/no/such cannot be read");
}

#[test]
fn a_bad_environment_names_its_variable() {
    Run::new()
        .env("WHEN_READY_TIMEOUT", "10o")
        .target("db:1")
        .finish()
        .expect_status(2)
        .expect_stderr("WHEN_READY_TIMEOUT: `10o` is not a duration (try `10s`)");
}

#[test]
fn a_tls_file_that_is_missing_is_named() {
    Run::new()
        .args(["--tls-ca", "/no/such.pem"])
        .target("https://h/")
        .finish()
        .expect_status(2)
        .expect_stderr("--tls-ca: /no/such.pem cannot be read");
}

#[test]
fn a_command_that_cannot_run_is_reported_when_the_wait_begins() {
    let target = format!("127.0.0.1:{}", free_port());
    for (command, status, problem) in [
        ("no-such-command", 127, "cannot run no-such-command: it is not found"),
        ("/no/such/command", 127, "cannot run /no/such/command: it is not found"),
        // CMD ["npm start"]
        ("echo start", 127, "it is not found; each word of a command stands by itself, like [\"echo\", \"start\"]"),
        ("/etc/passwd", 126, "it is not executable"),
        ("/etc", 126, "it is a directory"),
    ] {
        Run::new()
            .target(&target)
            .timeout("30s")
            .command([command])
            .finish()
            .expect_status(status)
            .expect_stderr(problem)
            .expect_elapsed(0..=5000);
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = Run::new().arg("--help").finish().expect_status(0).expect_in_stdout("Usage: when-ready");
    assert_eq!(help.stderr, "");
    Run::new().arg("-V").finish().expect_status(0).expect_stdout(concat!(
        "when-ready ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ));
}

#[test]
fn completions_load_in_their_shell() {
    let script = Run::new().args(["--completions", "bash"]).finish().expect_status(0).stdout;
    let script = format!(
        "{script}\nCOMP_WORDS=(when-ready --on-timeout '') COMP_CWORD=2; _when_ready; echo \"${{COMPREPLY[*]}}\""
    );
    let output = std::process::Command::new("bash").args(["--norc", "-c", &script]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "fail run\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nothing_to_wait_for_runs_the_command_at_once() {
    Run::new().env("WHEN_READY_TARGETS", "").command(["echo", "ran"]).finish().expect_status(0).expect_stdout("ran\n");
}

#[test]
fn the_executable_of_the_tests_exists() {
    assert!(executable().exists(), "{}", executable().display());
}

#[test]
fn a_server_that_is_dropped_as_soon_as_it_is_started_ends() {
    for _ in 0..20 {
        let begun = Instant::now();
        drop(Leash::start(Leash::command(Path::new("/bin/sleep")).arg("60")));
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}

#[test]
fn nothing_listens_at_a_free_port_while_other_tests_start_processes() {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(unprivileged(Path::new("/bin/true")).status().unwrap().success());
                }
            });
        }
        let is_taken = || TcpStream::connect(("127.0.0.1", free_port())).is_ok();
        let taken = std::panic::catch_unwind(|| (0..300).filter(|_| is_taken()).count());
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(taken.ok(), Some(0));
    });
}

#[test]
fn an_inherited_certificate_file_that_is_missing_stops_no_wait_without_tls() {
    let peer = Peer::start(|_, _| {});
    Run::new()
        .env("SSL_CERT_FILE", "/no/such.pem")
        .target(format!("127.0.0.1:{}", peer.port))
        .finish()
        .expect_status(0);
}

#[test]
fn a_command_that_cannot_run_is_reported_in_the_format_of_the_log() {
    let finished = Run::new()
        .args(["--log-format", "json"])
        .target(format!("127.0.0.1:{}", free_port()))
        .command(["no-such-command"])
        .finish()
        .expect_status(127);
    let line: serde_json::Value = serde_json::from_str(&finished.stderr).unwrap();
    assert_eq!(line["level"], "error");
    assert_eq!(line["reason"], "cannot run no-such-command: it is not found");
}

#[test]
fn a_signal_ends_it_while_it_still_reads_its_options() {
    let directory = crate::support::directory();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let run = Run::new().target(format!("redis://:${{file:{}}}@127.0.0.1", fifo.display())).spawn();
    // A writer gets through once the reader is there, which is then in the middle of its options.
    let writer = std::fs::File::options().write(true).open(&fifo).unwrap();
    run.signal(nix::sys::signal::Signal::SIGTERM);
    run.finish().expect_status(143);
    drop(writer);
}

#[test]
fn a_check_ignores_the_variables_of_its_containers_gate() {
    let peer = Peer::start(|_, _| {});
    let directory = directory();
    let report = directory.path().join("report.json");
    std::fs::write(&report, "the gate's").unwrap();
    let run = |target: String| {
        Run::new()
            .env("WHEN_READY_UNTIL_DOWN", "true")
            .env("WHEN_READY_ANY", "true")
            .env("WHEN_READY_TIMEOUT", "nonsense")
            .env("WHEN_READY_REPORT", report.to_str().unwrap())
            .env("WHEN_READY_TERMINATION_LOG", report.to_str().unwrap())
            .args(["--check", "file:///"])
            .target(target)
            .finish()
    };
    run(format!("127.0.0.1:{}", peer.port)).expect_status(0).expect_in_stdout("2 of 2 targets are healthy");
    run(format!("127.0.0.1:{}", free_port())).expect_status(1).expect_in_stdout("1 of 2 targets are healthy");
    assert_eq!(std::fs::read_to_string(&report).unwrap(), "the gate's");
    // What describes attempts and output counts, and is checked.
    let run = Run::new().env("WHEN_READY_ATTEMPT_TIMEOUT", "soon").args(["--check", "file:///"]).finish();
    run.expect_status(2).expect_stderr("WHEN_READY_ATTEMPT_TIMEOUT");
}

#[test]
fn a_misspelt_variable_is_a_warning_with_the_right_name() {
    let run = || {
        Run::new()
            .env("WHEN_READY_TIMOUT", "5s")
            .env("WHEN_READY_SERVICE_HOST", "10.0.0.1")
            .env("WHEN_READY_SERVICE_PORT", "80")
            .env("WHEN_READY_PORT", "tcp://10.0.0.1:80")
            .env("WHEN_READY_PORT_80_TCP_ADDR", "10.0.0.1")
            .env("WHEN_READY_ANY", "")
            .target("file:///")
    };
    let finished = run().finish().expect_status(0);
    let warnings: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("warning: ")).collect();
    let expected = "when-ready: warning: WHEN_READY_TIMOUT is no variable of when-ready: WHEN_READY_TIMEOUT is";
    assert_eq!(warnings, [expected]);
    run().arg("--check").finish().expect_status(0).expect_stderr(expected);
    assert_eq!(run().arg("-q").finish().expect_status(0).stderr, "");
}

#[test]
fn a_report_to_standard_output_is_for_a_gate_without_command() {
    let run = || Run::new().args(["--report", "-"]).target("file:///");
    let finished = run().finish().expect_status(0);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["outcome"], "ready");
    run().command(["true"]).finish().expect_status(2).expect_stderr("--report: standard output belongs to COMMAND");
    run().arg("--check").finish().expect_status(2).expect_stderr("--report: the table is on standard output already");
}

#[test]
fn what_ends_the_gate_before_it_waits_reaches_the_termination_log() {
    let directory = directory();
    let file = directory.path().join("termination-log");
    let run = || Run::new().env("WHEN_READY_TERMINATION_LOG", file.to_str().unwrap());
    for (run, status, message) in [
        (run().target("nonsense"), 2, "target `nonsense`: it has no port"),
        (run().arg("--timeout=10o").target("db:5432"), 2, "--timeout: `10o` is not a duration"),
        (run().target("file:///").command(["no-such-command"]), 127, "cannot run no-such-command: it is not found\n"),
    ] {
        run.finish().expect_status(status);
        let said = std::fs::read_to_string(&file).unwrap();
        assert!(said.starts_with(message) && said.ends_with('\n'), "{said}");
        std::fs::remove_file(&file).unwrap();
    }
    run().args(["--check", "nonsense"]).finish().expect_status(2);
    assert!(!file.exists(), "a check leaves the gate's message alone");
}

#[test]
fn a_forgotten_separator_is_recognised() {
    let said = |words: &[&str]| Run::new().args(words.iter().copied()).finish().expect_status(2).stderr;
    for command in ["true", "./app", "/usr/bin/python3"] {
        let said = said(&["db:5432", command]);
        assert!(said.contains(&format!("is `{command}` the command? write `--` before it")), "{said}");
    }
    let said = said(&["db:5432", "--workers"]);
    assert!(said.contains("options of COMMAND stand behind `--`"), "{said}");
}
