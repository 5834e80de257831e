//! Nothing that is said holds the gate up: streams that are full, stopped, closed, limited or another user's.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Run, as_user, directory, eventually, executable, free_port, new_user, public_copy, tool};

/// Runs it with `which` stream a terminal that is full and that nobody reads, and gives its status and how long it took,
/// or how long it took from a SIGTERM on. The terminal's flags must stay as they are: it is COMMAND's too.
fn with_unread_terminal(which: &str, signal_after: &str, args: &[&str]) -> (String, u64) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/support/unread_terminal.py");
    let output = Command::new(tool(&["python3"], "python3"))
        .args([script, which, signal_after])
        .arg(executable())
        .args(args)
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words[2], "True", "the terminal's flags have changed: {text}");
    (words[0].to_owned(), words[1].parse().unwrap())
}

#[test]
fn a_terminal_that_nobody_reads_holds_nobody_up() {
    let target = format!("127.0.0.1:{}", free_port());
    for (which, options, status, at_most) in [
        ("stderr", &["-t", "1"][..], "124", 2000),
        ("stderr", &["-v", "-t", "1"], "124", 2000),
        ("stderr", &["--log-format", "json", "-v", "-t", "1"], "124", 2000),
        ("stdout", &["--check", "--attempt-timeout", "1"], "1", 2000),
    ] {
        let (ended, elapsed) = with_unread_terminal(which, "0", &[options, &[target.as_str()]].concat());
        assert_eq!(ended, status, "{options:?}");
        assert!(elapsed < at_most, "{options:?} took {elapsed} ms");
    }
    for (which, options) in [("stderr", &["-v", "-t", "0"][..]), ("stdout", &["--check", "--watch", "1s"])] {
        let (ended, elapsed) = with_unread_terminal(which, "0.5", &[options, &[target.as_str()]].concat());
        assert!(ended == "-15" && elapsed < 1000, "{options:?} ended with {ended} {elapsed} ms after SIGTERM");
    }
    // An error of usage has nowhere to go.
    assert_eq!(with_unread_terminal("stderr", "0", &["nonsense"]).0, "2");
}

/// Runs it with standard error as `stream`, and gives its status and how long it took.
fn with_stderr(program: &mut Command, stream: OwnedFd) -> (Option<i32>, Duration) {
    let begun = Instant::now();
    let target = format!("127.0.0.1:{}", free_port());
    let status = program.args(["-v", "-t", "1", &target]).stderr(Stdio::from(stream)).status().unwrap();
    (status.code(), begun.elapsed())
}

#[test]
fn a_socket_that_nobody_reads_holds_nobody_up() {
    let (_reader, mut writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    while writer.write(&[b'x'; 1000]).is_ok() {}
    writer.set_nonblocking(false).unwrap();
    let (status, elapsed) = with_stderr(&mut Command::new(executable()), writer.into());
    assert_eq!(status, Some(124));
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
}

#[test]
fn a_check_ends_when_the_reader_of_its_table_has_gone() {
    for (target, status) in [("file:///", 0), ("file:///no/such/file", 1)] {
        let mut command = Command::new(executable());
        let mut child =
            command.args(["--check", "--watch", "50ms", target]).stdout(Stdio::piped()).spawn().expect("when-ready");
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let mut ended = None;
        eventually("the end of the check", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(status), "the status is that of the last check");
    }
}

#[test]
fn a_log_that_may_not_grow_ends_nobody() {
    let directory = directory();
    let command = format!(
        "ulimit -f 1; exec {} -v -t 1 127.0.0.1:{} 2> {}",
        executable().display(),
        free_port(),
        directory.path().join("log").display()
    );
    let status = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert_eq!(status.code(), Some(124));
}

#[test]
fn a_report_takes_the_place_of_a_file_that_cannot_be_replaced() {
    let directory = directory();
    let (there, mounted) = (directory.path().join("there"), directory.path().join("mounted"));
    std::fs::write(&there, "x".repeat(10_000)).unwrap();
    std::fs::write(&mounted, "").unwrap();
    // As Docker mounts one file of the host.
    let script = format!("mount --bind {} {} && exec \"$@\"", there.display(), mounted.display());
    let run = Run::through("unshare", &["--mount", "sh", "-c", &script, "sh"]);
    run.args(["--report", mounted.to_str().unwrap(), "file:///"]).finish().expect_status(0).expect_nowhere("warning");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&there).unwrap()).unwrap();
    assert_eq!(report["outcome"], "ready");

    // A file that may be written to, in a directory that may not.
    let (_copy_directory, copy) = public_copy();
    let user = new_user();
    let file = directory.path().join("theirs");
    std::fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, Some(user), None).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let report = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&file).unwrap()).unwrap();
    let theirs = as_user(user, &[], &copy).args(["--report", file.to_str().unwrap(), "file:///"]).finish();
    theirs.expect_status(0).expect_nowhere("warning");
    assert_eq!(report()["outcome"], "ready");
    // And replaced by root it is still theirs.
    Run::new().args(["--report", file.to_str().unwrap(), "file:///no/such", "-t", "100ms"]).finish().expect_status(124);
    assert_eq!(report()["outcome"], "timeout");
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (user, 0o640));
}

#[test]
fn a_report_that_may_not_be_so_large_is_a_warning_and_command_has_its_signals_as_they_were() {
    const SIGXFSZ: u64 = 1 << 24;
    let directory = directory();
    let report = directory.path().join("report");
    for (before, ignored) in [("", false), ("trap '' XFSZ;", true)] {
        let script = format!("{before} ulimit -f 0; exec \"$@\" -- grep -h SigIgn /proc/self/status");
        let run = Run::through("sh", &["-c", &script, "sh"]).args(["--report", report.to_str().unwrap(), "file:///"]);
        let finished = run.finish().expect_status(0).expect_stderr("--report: ");
        assert!(!report.exists(), "nothing is left behind");
        let mask = finished.stdout.trim().strip_prefix("SigIgn:\t").map(|hex| u64::from_str_radix(hex, 16).unwrap());
        assert_eq!(mask.unwrap() & SIGXFSZ != 0, ignored, "{}", finished.stdout);
    }
}

#[test]
fn a_file_system_that_does_not_answer_holds_nobody_up() {
    let directory = directory();
    let (dead, link) = (directory.path().join("dead"), directory.path().join("link"));
    std::fs::create_dir(&dead).unwrap();
    std::os::unix::fs::symlink(dead.join("report"), &link).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/support/dead_file_system.py");
    let refused = format!("127.0.0.1:{}", free_port());
    for (option, file) in
        [("--report", dead.join("report")), ("--report", link), ("--termination-log", dead.join("log"))]
    {
        let run = Run::through("python3", &[script, dead.to_str().unwrap()]).args([option, file.to_str().unwrap()]);
        let finished = run.target(&refused).timeout("1s").finish().expect_status(124);
        finished.expect_stderr("its file system does not answer").expect_elapsed(1000..=2500);
    }
}
