//! Where a report and a termination message end up, and what the exit status says of what could not be written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Finished, Run, directory, fifo, free_port};

const FULL: &str = "/dev/full";

/// Runs the gate behind `sh -c SCRIPT`, in which `"$@"` is the gate and its arguments.
fn shell(script: &str, args: &[&str]) -> Finished {
    Run::through("sh", &["-c", script, "sh"]).args(args.iter().copied()).finish()
}

/// Whether the file has this text before a report, and that after it.
#[track_caller]
fn expect_report_between(file: &Path, before: &str, after: &str) {
    let text = fs::read_to_string(file).unwrap();
    let rest = text.strip_prefix(before).unwrap_or_else(|| panic!("`{before}` is lost:\n{text}"));
    let json = rest.strip_suffix(after).unwrap_or_else(|| panic!("`{after}` does not follow:\n{text}"));
    let report: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    assert!(report["outcome"].is_string(), "{text}");
}

#[test]
fn a_report_for_a_descriptor_of_ours_is_written_where_it_stands() {
    let directory = directory();
    let link = directory.path().join("link");
    symlink("/dev/stdout", &link).unwrap();
    let linked = link.to_str().unwrap();
    let names = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", linked, "//dev/./fd/1"];
    for (index, name) in names.into_iter().enumerate() {
        for redirection in [">>", ">"] {
            let log = directory.path().join(format!("app-{index}.log"));
            fs::write(&log, "earlier\n").unwrap();
            let script = format!("exec \"$@\" {redirection} {}", log.display());
            shell(&script, &["--report", name, "file:///", "--", "echo", "later"]).expect_status(0);
            expect_report_between(&log, if redirection == ">>" { "earlier\n" } else { "" }, "later\n");
        }
    }
    // Standard error and standard input, as far as it may be written to.
    let log = directory.path().join("0.log");
    for (number, name) in [(2, "/dev/stderr"), (2, "/dev/fd/2"), (0, "/dev/stdin"), (0, "/proc/self/fd/0")] {
        fs::write(&log, "earlier\n").unwrap();
        let script = format!("exec \"$@\" {number}>>{}", log.display());
        let command = format!("echo later >&{number}");
        shell(&script, &["-q", "--report", name, "file:///", "--", "sh", "-c", &command]).expect_status(0);
        expect_report_between(&log, "earlier\n", "later\n");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), names.len() + 2, "nothing else is left there");
}

#[test]
fn a_report_for_another_descriptor_takes_no_file_from_behind_it() {
    let directory = directory();
    let log = directory.path().join("log");
    fs::write(&log, "earlier\n").unwrap();
    let script = format!("exec \"$@\" 7>>{}", log.display());
    let command = ["--", "sh", "-c", "echo later >&7"];
    shell(&script, &[&["--report", "/dev/fd/7", "file:///"][..], &command].concat()).expect_status(0);
    expect_report_between(&log, "earlier\n", "later\n");
    // The log of a container is what its PID 1 writes to: here, of another process.
    fs::write(&log, "earlier\n").unwrap();
    let other = "(exec \"$@\" --report /proc/$$/fd/1 file:///) >/dev/null; echo later";
    let script = format!("exec >>{}; {other}", log.display());
    shell(&script, &[]).expect_status(0);
    expect_report_between(&log, "earlier\n", "later\n");
}

#[test]
fn a_report_of_a_check_and_through_a_pipe_follow_what_was_said() {
    let finished = Run::new().args(["--check", "--report", "/dev/stdout", "file:///"]).finish().expect_status(0);
    let (table, report) = finished.stdout.split_once("healthy\n").unwrap();
    assert!(table.contains("HEALTHY") && report.starts_with('{'), "{finished:?}");
    let finished = shell("\"$@\" | cat", &["--report", "/dev/stdout", "file:///", "--", "echo", "later"]);
    assert!(finished.stdout.starts_with('{') && finished.stdout.ends_with("}\nlater\n"), "{finished:?}");
}

#[test]
fn a_termination_message_for_standard_error_is_appended_to_it() {
    let directory = directory();
    let log = directory.path().join("e.log");
    fs::write(&log, "earlier\n").unwrap();
    for name in ["/dev/stderr", "/proc/self/fd/2"] {
        let before = fs::read_to_string(&log).unwrap();
        let script = format!("\"$@\" 2>>{0}; status=$?; echo later >>{0}; exit $status", log.display());
        let refused = format!("127.0.0.1:{}", free_port());
        shell(&script, &["--termination-log", name, "-t", "100ms", &refused]).expect_status(124);
        let text = fs::read_to_string(&log).unwrap();
        let new = text.strip_prefix(&before).unwrap_or_else(|| panic!("the earlier lines are lost:\n{text}"));
        assert!(new.contains("when-ready: waiting for") && new.contains("The wait timed out"), "{text}");
        assert!(new.ends_with("(124)\nlater\n"), "{text}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_link_that_leads_to_nothing_yet_is_followed_as_the_shell_follows_it() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("data")).unwrap();
    // A chain, relative and absolute.
    symlink("data/report.json", path("relative")).unwrap();
    symlink(path("relative"), path("absolute")).unwrap();
    symlink("absolute", path("chain")).unwrap();
    for (option, status) in [("--report", 0), ("--termination-log", 124)] {
        for name in ["relative", "absolute", "chain"] {
            let target = if status == 0 { "file:///" } else { "file:///no/such/file" };
            let link = path(name);
            let run = Run::new().args([option, link.to_str().unwrap(), "-t", "100ms", target]).finish();
            run.expect_status(status).expect_nowhere("cannot be written");
            assert!(link.is_symlink(), "{option} {name}: the link itself was replaced");
            assert!(!fs::read_to_string(path("data/report.json")).unwrap().is_empty());
            fs::remove_file(path("data/report.json")).unwrap();
        }
    }
    // Where the shell could not write either, it is told.
    symlink("no-such-directory/report", path("nowhere")).unwrap();
    symlink("circle", path("circle")).unwrap();
    for name in ["nowhere", "circle"] {
        let link = path(name);
        let run = Run::new().args(["--report", link.to_str().unwrap(), "file:///"]).finish();
        run.expect_status(1).expect_stderr("cannot be written");
        assert!(link.is_symlink());
    }
    assert_eq!(fs::read_dir(path("data")).unwrap().count(), 0);
}

#[test]
fn what_was_asked_for_and_could_not_be_written_is_1() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["--man"],
        &["--completions", "bash"],
        &["--check", "file:///"],
        &["--check", "--format", "json", "file:///"],
        &["--check", "--watch", "50ms", "file:///"],
        &["--report", "-", "file:///"],
        &["--report", "/dev/stdout", "file:///"],
    ] {
        shell("exec \"$@\" >/dev/full", args).expect_status(1).expect_stderr("No space left");
    }
    for args in [&["--report", FULL, "file:///"][..], &["--check", "--report", FULL, "file:///"]] {
        Run::new().args(args.iter().copied()).finish().expect_status(1).expect_stderr("No space left");
    }
    // What failed for another reason says that.
    let run = Run::new().args(["--report", FULL, "-t", "100ms", "file:///no/such/file"]).finish();
    run.expect_status(124).expect_stderr("No space left");
}

#[test]
fn with_a_command_a_report_that_cannot_be_written_is_a_warning() {
    for report in [FULL, "/no/such/directory/report"] {
        let run = Run::new().args(["--report", report, "file:///"]).command(["echo", "ran"]);
        run.finish().expect_status(0).expect_stdout("ran\n").expect_stderr("--report: ");
    }
    let run = shell("\"$@\" >/dev/full", &["--report", "/dev/stdout", "file:///", "--", "sh", "-c", "echo ran >&2"]);
    run.expect_status(0).expect_stderr("No space left").expect_stderr("ran\n");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["--man"],
        &["--check", "file:///"],
        &["--report", "-", "file:///"],
        &["--report", "/dev/stdout", "file:///"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Run::new().args(args.iter().copied()).stdout(writer).finish().expect_status(0).expect_nowhere("cannot");
    }
}

#[test]
fn a_pipe_that_stays_full_is_1_too() {
    use std::io::Write;
    let directory = directory();
    let pipe = fifo(directory.path(), "full");
    let mut full = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    // The capacity of a pipe (pipe(7)).
    full.write_all(&vec![b'.'; 65536]).unwrap();
    for args in [&["--check", "--attempt-timeout", "1s", "file:///"][..], &["--report", "-", "file:///"]] {
        let run = Run::new().args(args.iter().copied()).stdout(full.try_clone().unwrap()).finish();
        run.expect_status(1).expect_stderr("nobody reads");
    }
}
