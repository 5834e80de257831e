//! What COMMAND inherits, how signals end the wait, and what the exit status says.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::signals::{PROMPTLY, waiting};
use crate::support::peer::{Peer, hold, response};
use crate::support::{
    Finished, Run, Running, as_user, directory, eventually, free_port, new_user, public_copy, reset_dispositions,
    write_executable,
};

/// How late, by itself, a deadline may be kept.
const SLACK: u64 = 100;

/// Runs `command` behind `sh -c SCRIPT`, with the gate between them and without it, and asserts
/// that the command says the same.
#[track_caller]
fn expect_the_same(script: &str, command: &[&str]) -> String {
    reset_dispositions();
    let script = format!("{script} \"$@\"");
    let peer = Peer::start(|_, _| {});
    let target = format!("127.0.0.1:{}", peer.port);
    let behind = Run::through("sh", &["-c", &script, "sh"]).args(["-q", &target]).command(command.to_vec());
    let behind = behind.finish().expect_status(0);
    let mut plain = std::process::Command::new("sh");
    plain.args(["-c", &script, "sh"]).args(command).stdin(Stdio::null());
    let plain = plain.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().unwrap();
    assert!(plain.status.success(), "{plain:?}");
    let (behind, plain) = (lasting(&behind.stdout), lasting(&String::from_utf8_lossy(&plain.stdout)));
    assert_eq!(behind, plain, "behind the gate it differs");
    behind
}

/// Of /proc/PID/status, what does not differ from one process to the next; anything else as it is.
fn lasting(text: &str) -> String {
    // FDSize follows how many files were open in what started it.
    const PASSING: [&str; 15] = [
        "FDSize:",
        "Tgid:",
        "Pid:",
        "PPid:",
        "NSpid:",
        "NStgid:",
        "NSpgid:",
        "SigQ:",
        "Vm",
        "Rss",
        "Threads:",
        "voluntary_ctxt",
        "nonvoluntary_ctxt",
        "HugetlbPages:",
        "x86_Thread",
    ];
    // Signals 32 and 33 are glibc's own: what spawns the shell may have it ignore them.
    let is_lasting = |line: &&str| !PASSING.iter().any(|prefix| line.starts_with(prefix));
    let without_own = |line: &str| match line.strip_prefix("SigIgn:") {
        Some(_) => format!("SigIgn: {:x}\n", mask(line, "SigIgn") & !(0b11 << 31)),
        None => line.to_owned(),
    };
    text.split_inclusive('\n').filter(is_lasting).map(without_own).collect()
}

const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

fn mask(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

#[test]
fn the_command_has_the_signal_mask_and_dispositions_that_the_gate_was_started_with() {
    let plain = expect_the_same("exec", &STATUS);
    assert_eq!((mask(&plain, "SigBlk"), mask(&plain, "SigCgt")), (0, 0), "{plain}");
    assert_eq!(mask(&plain, "SigIgn") & bit(Signal::SIGPIPE), 0, "SIGPIPE has its default action: {plain}");
    let blocked = expect_the_same("exec env --block-signal=TERM --block-signal=USR1", &STATUS);
    assert_eq!(mask(&blocked, "SigBlk"), bit(Signal::SIGTERM) | bit(Signal::SIGUSR1));
    let ignored = expect_the_same("exec env --ignore-signal=HUP --ignore-signal=USR2", &STATUS);
    let both = bit(Signal::SIGHUP) | bit(Signal::SIGUSR2);
    assert_eq!(mask(&ignored, "SigIgn") & both, both);
    // As systemd starts its services (IgnoreSIGPIPE=yes).
    let deaf = expect_the_same("exec env --ignore-signal=PIPE", &STATUS);
    assert_ne!(mask(&deaf, "SigIgn") & bit(Signal::SIGPIPE), 0, "{deaf}");
    expect_the_same("exec env --ignore-signal", &STATUS);
    // Not all: musl hides SIGRTMIN in the mask that it gives.
    let blocked = ["TERM", "PIPE", "CHLD", "WINCH", "RTMIN+3"].map(|name| format!("--block-signal={name}")).join(" ");
    expect_the_same(&format!("exec env --ignore-signal {blocked}"), &STATUS);
    expect_the_same("ulimit -f 1000; exec env --ignore-signal=PIPE", &STATUS);
}

#[test]
fn a_command_that_was_started_with_sigpipe_ignored_writes_to_a_pipe_without_a_reader() {
    let peer = Peer::start(|_, _| {});
    let writes = "echo x; echo \"wrote, status $?\" >&2";
    for (start, lives) in [(&["--ignore-signal=PIPE"][..], true), (&[], false)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        // Nor has a process that another test starts, which has all of ours until it is executed.
        eventually("a pipe without a reader", || {
            let mut fds = [PollFd::new(writer.as_fd(), PollFlags::empty())];
            poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
        });
        let run = Run::through("env", start).target(format!("127.0.0.1:{}", peer.port)).stdout(writer);
        let finished = run.command(["sh", "-c", writes]).finish();
        assert_eq!(finished.stderr.contains("wrote, status"), lives, "{finished:?}");
        assert_eq!(finished.died_of, (!lives).then_some(Signal::SIGPIPE as i32), "{finished:?}");
    }
}

#[test]
fn the_command_has_the_descriptors_that_the_gate_was_started_with_and_no_other() {
    expect_the_same("exec", &["ls", "/proc/self/fd"]);
    let more = expect_the_same("exec 7</dev/null 9>/dev/null; exec", &["ls", "/proc/self/fd"]);
    assert!(more.contains("7\n9\n"), "{more}");
}

#[test]
fn the_command_has_the_gates_directory_umask_limits_and_environment() {
    assert_eq!(expect_the_same("cd /proc; exec", &["pwd"]), "/proc\n");
    assert_eq!(expect_the_same("umask 027; exec", &["sh", "-c", "umask"]), "0027\n");
    expect_the_same("ulimit -c 0; ulimit -n 100; exec", &["cat", "/proc/self/limits"]);
    let environment = expect_the_same("exec env A=1 B= WHEN_READY_TIMEOUT=30s 'C=x y'", &["env"]);
    assert!(environment.contains("WHEN_READY_TIMEOUT=30s"), "{environment}");
    expect_the_same("exec nice -n 5", &["nice"]);
}

#[test]
fn every_exit_status_of_the_command_is_the_runs_own() {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let code @ 0..=255 = i32::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap() {
                    let run = Run::new().env("WHEN_READY_TARGETS", "").command(["sh", "-c", &format!("exit {code}")]);
                    run.finish().expect_status(code);
                }
            });
        }
    });
}

#[test]
fn a_command_that_cannot_run_is_told_from_one_that_is_not_there() {
    let refused = format!("127.0.0.1:{}", free_port());
    for (command, status) in [("/etc/passwd", 126), ("/etc", 126), ("/nonexistent/x", 127), ("no-such-command", 127)] {
        // It is told when the wait begins: nobody waits for the deadline.
        let run = Run::new().target(&refused).timeout("30s").command([command]);
        run.finish().expect_status(status).expect_stderr(command).expect_elapsed(0..=2000);
    }
    let directory = directory();
    let script = directory.path().join("script");
    write_executable(&script, "#!/nonexistent/interpreter\n", 0o755);
    let run = Run::new().env("WHEN_READY_TARGETS", "").command([script.to_str().unwrap()]);
    run.finish().expect_status(126).expect_stderr("interpreter");
    Run::new().target(&refused).timeout("300ms").command(["true"]).finish().expect_status(124);
}

/// An executable file of this content, and its directory, open to everybody.
fn command_file(content: &[u8], mode: u32) -> (tempfile::TempDir, String) {
    let directory = directory();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = directory.path().join("command");
    write_executable(&file, content, mode);
    (directory, file.to_str().unwrap().to_owned())
}

#[test]
fn a_script_without_an_interpreter_is_run_by_the_shell_with_its_arguments() {
    let (directory, file) = command_file(b"echo \"$0 has $#: $1\"\n", 0o755);
    let run = |command: &str| Run::new().env("WHEN_READY_TARGETS", "").command([command, "a b"]);
    run(&file).finish().expect_status(0).expect_stdout(&format!("{file} has 1: a b\n"));
    let path = format!("{}:/bin:/usr/bin", directory.path().display());
    run("command").env("PATH", &path).finish().expect_status(0).expect_stdout(&format!("{file} has 1: a b\n"));
    let (_empty, file) = command_file(b"", 0o755);
    run(&file).finish().expect_status(0).expect_stdout("");
}

#[test]
fn what_the_kernel_would_refuse_is_told_before_the_wait() {
    let refused = format!("127.0.0.1:{}", free_port());
    let foreign: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x08\0\x01\0\0\0";
    for (content, why) in [
        (&b"#!/bin/sh\r\necho\r\n"[..], "its first line ends with CR LF"),
        (b"#!/usr/bin/env bash\r\n", "its first line ends with CR LF"),
        (b"#!/no/such/interpreter\n", "its interpreter /no/such/interpreter is not there"),
        (b"#!/usr/bin/env no-such-interpreter\n", "its interpreter no-such-interpreter is not found in PATH"),
        (foreign, "it is an executable for another architecture (mips; this is "),
    ] {
        let (_directory, file) = command_file(content, 0o755);
        let finished = Run::new().target(&refused).timeout("30s").command([&file]).finish().expect_status(126);
        finished.expect_stderr(&format!("cannot run {file}: {why}")).expect_elapsed(0..=2000);
    }
    let (_copy_directory, copy) = public_copy();
    let (_directory, file) = command_file(b"#!/bin/sh\n", 0o700);
    let run = as_user(new_user(), &[], &copy).target(&refused).timeout("30s").command([&file]);
    run.finish().expect_status(126).expect_stderr("this user may not execute it (its mode is 700)");
}

#[test]
fn an_exec_that_fails_is_126_although_nobody_reads_the_reason() {
    let (_directory, file) = command_file(b"#!/bin/sh\n", 0o755);
    let script = "exec 3>&1; (\"$@\"; echo $? >&3) 2>&1 >/dev/null | true";
    // It can be run when the wait begins, and not when it ends.
    let run = Run::through("sh", &["-c", script, "sh"]).target(format!("exec:chmod 644 {file}"));
    run.timeout("30s").command([&file]).finish().expect_stdout("126\n");
}

/// Pseudo-random numbers (splitmix64): any spread will do.
fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn no_signal_is_lost_at_any_moment_from_before_main_to_after_exec() {
    const RUNS: u64 = 2000;
    const AT_ONCE: usize = 6;
    const SECRET: &str = "hunter2secret";
    const COMMAND: &str =
        "trap 'echo caught; exit 7' TERM; i=0; while [ $i -lt 5000000 ]; do i=$((i+1)); done; exit 99";
    let peer = Peer::http(response("200 OK", ""));
    let (next, counts) = (AtomicU64::new(0), Mutex::new(std::collections::BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= RUNS {
                        return;
                    }
                    // Three successes 10 ms apart: about half of the moments fall into the wait.
                    let url = format!("http://u:{SECRET}@127.0.0.1:{}/?token={SECRET}#successes=3", peer.port);
                    let run = Run::new().target(url);
                    let running = run
                        .args(["--log-format", "json", "-v"])
                        .command(["nice", "-n", "19", "sh", "-c", COMMAND])
                        .spawn();
                    thread::sleep(Duration::from_micros(random(number) % 60_000));
                    running.signal(Signal::SIGTERM);
                    let finished = running.finish().expect_nowhere(SECRET);
                    assert!(
                        finished.status == 143 && finished.stdout.is_empty()
                            || finished.status == 7 && finished.stdout == "caught\n",
                        "run {number}: {finished:?}"
                    );
                    for line in finished.stderr.split_inclusive('\n') {
                        let is_whole = line.ends_with('\n') && serde_json::from_str::<serde_json::Value>(line).is_ok();
                        assert!(is_whole, "run {number}: half a line: {finished:?}");
                    }
                    let phase = match &finished {
                        _ if finished.status == 7 => "caught by COMMAND",
                        _ if finished.stderr.contains("\"interrupted\"") => "ended the wait",
                        _ if finished.stderr.contains("\"exec\"") => "around exec",
                        _ if finished.stderr.is_empty() => "before the wait",
                        _ => "at the end of the wait",
                    };
                    *counts.lock().unwrap().entry(phase).or_insert(0) += 1;
                }
            });
        }
    });
    println!("{RUNS} runs: {:?}", counts.into_inner().unwrap());
}

#[test]
fn a_closed_or_full_stderr_harms_neither_the_wait_nor_the_command() {
    let peer = Peer::start(|_, _| {});
    for redirection in ["2>&-", "2>/dev/full"] {
        let script = format!("exec \"$@\" {redirection}");
        let run = Run::through("sh", &["-c", &script, "sh"]).target(format!("127.0.0.1:{}", peer.port));
        run.command(["echo", "ran"]).finish().expect_status(0).expect_stdout("ran\n");
        let run = Run::through("sh", &["-c", &script, "sh"]).target(format!("127.0.0.1:{}", free_port()));
        let run = run.timeout("500ms").arg("-v").command(["echo", "ran"]);
        run.finish().expect_status(124).expect_stdout("").expect_elapsed(500..=500 + SLACK);
    }
}

/// A pipe that is full and stays full while its other end is kept.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // The capacity of a pipe (pipe(7)).
    writer.write_all(&vec![b'.'; 65536]).unwrap();
    (reader, writer)
}

#[test]
fn a_stderr_that_nobody_reads_does_not_delay_the_deadline() {
    for targets in [1, 300] {
        let (_reader, writer) = full_pipe();
        let port = free_port();
        let run = Run::new().args((0..targets).map(|n| format!("t{n}=127.0.0.1:{port}"))).timeout("1s").arg("-v");
        let finished = run.stderr(writer).finish();
        println!("{targets} targets, full stderr: {:?}", finished.elapsed);
        finished.expect_status(124).expect_elapsed(1000..=1000 + SLACK);
    }
}

#[test]
fn a_stderr_that_nobody_reads_does_not_delay_the_command() {
    let (_reader, writer) = full_pipe();
    let peer = Peer::start(|_, _| {});
    let run = Run::new().args((0..300).map(|n| format!("t{n}=127.0.0.1:{}", peer.port))).command(["echo", "ran"]);
    let finished = run.stderr(writer).finish();
    finished.expect_status(0).expect_stdout("ran\n").expect_elapsed(0..=1500);
}

#[test]
fn what_the_gate_knows_is_closed_to_other_processes_of_its_user_and_open_again_for_the_command() {
    let (directory, copy) = public_copy();
    let (user, awaited) = (new_user(), directory.path().join("awaited"));
    let run =
        as_user(user, &[], &copy).env("PASSWORD", "hunter2secret").target(format!("file://{}", awaited.display()));
    let running = run.command(["sh", "-c", "echo ran; exec sleep 60"]).spawn();
    let read = |file: &str| {
        let path = format!("/proc/{}/{file}", running.pid());
        let cat = std::process::Command::new("cat").arg(path).uid(user).gid(user).stdin(Stdio::null()).output();
        let cat = cat.unwrap();
        cat.status.success().then(|| String::from_utf8_lossy(&cat.stdout).into_owned())
    };
    running.wait_for_stderr("does not exist yet");
    assert_eq!(read("environ"), None, "the environment of the waiting gate");
    assert_eq!(read("fd/2"), None);
    assert!(read("status").is_some() && read("cmdline").is_some(), "ps shows it as ever");
    fs::write(&awaited, "").unwrap();
    running.wait_for_stdout("ran");
    assert!(read("environ").expect("COMMAND is as without the gate").contains("hunter2secret"));
    running.signal(Signal::SIGKILL);
    running.finish().expect_status(137);
}

#[test]
fn a_gate_that_is_aborted_leaves_no_core_dump_behind() {
    let directory = directory();
    let script = format!("ulimit -c \"$(ulimit -H -c)\"; cd {}; exec \"$@\"", directory.path().display());
    let running = waiting(Run::through("sh", &["-c", &script, "sh"]));
    running.signal(Signal::SIGABRT);
    let finished = running.finish().expect_status(134);
    assert!(!finished.dumped_core, "{finished:?}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Stops `running` until its deadline of 1.5 s has passed, does `meanwhile`, and lets it go on.
fn stopped_beyond_the_deadline(running: Running, meanwhile: impl FnOnce()) -> (Finished, Duration) {
    running.signal(Signal::SIGSTOP);
    meanwhile();
    thread::sleep(Duration::from_secs(2).saturating_sub(running.begun.elapsed()));
    let continued = Instant::now();
    running.signal(Signal::SIGCONT);
    let finished = running.finish();
    (finished, continued.elapsed())
}

#[test]
fn what_came_while_it_was_stopped_is_heard_after_the_deadline() {
    let gate = |target: String| Run::new().target(target).args(["-v", "-t", "1500ms"]).command(["echo", "ran"]);
    // The answer lies in the socket.
    for (scheme, answer) in [("http", response("200 OK", "")), ("redis", b"+PONG\r\n+OK\r\n".to_vec())] {
        let (asked, hears) = mpsc::channel();
        let (answers, may_answer) = mpsc::channel::<()>();
        let (script, answered) = (Mutex::new((asked, may_answer)), mpsc::channel());
        let sent = Mutex::new(answered.0);
        let peer = Peer::start(move |mut stream, number| {
            if number > 0 {
                return hold(stream);
            }
            let (asked, may_answer) = &*script.lock().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            asked.send(()).unwrap();
            may_answer.recv().unwrap();
            stream.write_all(&answer).unwrap();
            sent.lock().unwrap().send(()).unwrap();
            hold(stream);
        });
        let running = gate(format!("{scheme}://127.0.0.1:{}", peer.port)).spawn();
        hears.recv().unwrap();
        let (finished, _) = stopped_beyond_the_deadline(running, || {
            answers.send(()).unwrap();
            answered.1.recv().unwrap();
        });
        finished.expect_status(0).expect_stdout("ran\n");
    }
    // A port that opened meanwhile.
    for scheme in ["tcp", "http"] {
        let port = free_port();
        let running = gate(format!("{scheme}://127.0.0.1:{port}")).spawn();
        running.wait_for_stderr("refused");
        let mut peer = None;
        let open = || peer = Some(Peer::http_on(port, response("200 OK", "")));
        stopped_beyond_the_deadline(running, open).0.expect_status(0).expect_stdout("ran\n");
    }
    // Nobody has answered, nor does now.
    let silent = Peer::start(|stream, _| hold(stream));
    for target in [silent.url("/"), format!("127.0.0.1:{}", free_port())] {
        let running = gate(target).spawn();
        running.wait_for_stderr("waiting");
        let (finished, late) = stopped_beyond_the_deadline(running, || {});
        finished.expect_status(124);
        assert!(late < PROMPTLY, "it ended after {late:?}");
    }
}
