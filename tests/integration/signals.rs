//! Which signals end the wait, as PID 1 and elsewhere, and what the parent is told.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::peer::Peer;
use crate::support::terminal::Terminal;
use crate::support::{Finished, Run, Running, directory, executable, fifo, free_port, is_static, tool};

/// The product promises 50 ms; a loaded machine is given more.
pub const PROMPTLY: Duration = Duration::from_millis(500);
/// Through as many levels as it takes to be PID 1.
const AS_PID_1: [&str; 3] = ["--pid", "--fork", "--kill-child"];

/// What a signal does to a gate that is PID 1 and has no terminal.
fn ends_pid_1(number: i32) -> bool {
    match number {
        // SIGRTMIN itself is musl's own (SIGSYNCCALL): it gives nobody a handler for it.
        34 => !is_static(),
        // HUP INT QUIT, USR1 USR2 ALRM TERM STKFLT, XCPU XFSZ VTALRM PROF WINCH IO PWR
        1..=3 | 10 | 12 | 14..=16 | 24..=30 | 35..=64 => true,
        // ILL TRAP ABRT BUS FPE SEGV SYS, PIPE, CHLD CONT URG, STOP TSTP TTIN TTOU, and glibc's own
        4..=8 | 11 | 13 | 17..=23 | 31..=33 => false,
        other => panic!("signal {other}"),
    }
}

/// Sends a signal by its number: nix knows none in real time.
fn send(number: i32, pid: u32) -> Instant {
    let sent = Instant::now();
    let status = Command::new("kill").args([format!("-{number}"), pid.to_string()]).status().expect("kill");
    assert!(status.success(), "kill -{number} {pid}");
    sent
}

/// Its only child, which is PID 1 in a namespace of its own.
fn child_of(running: &Running) -> u32 {
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    fs::read_to_string(children).unwrap().trim().parse().expect("one child")
}

/// A wait that has begun, for a port that nothing listens on.
pub fn waiting(run: Run) -> Running {
    let running = run.target(format!("127.0.0.1:{}", free_port())).timeout("60s").command(["echo", "ran"]).spawn();
    running.wait_for_stderr("connection refused");
    running
}

#[track_caller]
fn expect_ended(running: Running, number: i32, sent: Instant) -> Finished {
    let finished = running.finish();
    let took = finished.ended_after(sent);
    assert_eq!(finished.status, 128 + number, "signal {number}: {finished:?}");
    assert!(took < PROMPTLY, "signal {number} took {took:?}");
    finished.expect_stdout("")
}

/// Does something with every signal but SIGKILL, several at a time.
fn for_every_signal(work: impl Fn(i32) + Sync) {
    const AT_ONCE: usize = 4;
    let next = AtomicI32::new(1);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let number @ 1..=64 = next.fetch_add(1, Ordering::Relaxed) {
                    if number != Signal::SIGKILL as i32 {
                        work(number);
                    }
                }
            });
        }
    });
}

#[test]
fn as_pid_1_whatever_may_be_a_stop_signal_ends_the_wait_and_nothing_else_does() {
    for_every_signal(|number| {
        let running = waiting(Run::through("unshare", &AS_PID_1));
        let first = child_of(&running);
        let sent = send(number, first);
        if ends_pid_1(number) {
            let finished = expect_ended(running, number, sent);
            assert_eq!(finished.died_of, None, "PID 1 exits: {finished:?}");
            finished.expect_stderr(&format!("interrupted by signal {number}"));
            return;
        }
        // It is still there, and this is the first that it hears of.
        send(Signal::SIGCONT as i32, first);
        let sent = send(Signal::SIGTERM as i32, first);
        expect_ended(running, 15, sent).expect_stderr("interrupted by signal 15");
    });
}

#[test]
fn elsewhere_the_gate_dies_of_what_ends_it_as_its_parent_can_tell() {
    for number in [1, 2, 3, 15] {
        let running = waiting(Run::new());
        let sent = send(number, running.pid());
        let finished = expect_ended(running, number, sent);
        assert_eq!(finished.died_of, Some(number), "WIFSIGNALED: {finished:?}");
        assert!(!finished.dumped_core, "{finished:?}");
        finished.expect_stderr(&format!("interrupted by signal {number}"));
    }
}

#[test]
fn elsewhere_a_resize_and_what_is_no_order_to_end_do_not_end_it() {
    let running = waiting(Run::new());
    for number in [28, 17, 18, 23, 28] {
        send(number, running.pid());
    }
    let sent = send(15, running.pid());
    expect_ended(running, 15, sent).expect_stderr("interrupted by signal 15");
}

#[test]
fn a_signal_ends_a_watch_too() {
    for (number, run) in [(15, Run::new()), (10, Run::through("unshare", &AS_PID_1))]
        .into_iter()
        .chain([28, 37, 64].map(|number| (number, Run::through("unshare", &AS_PID_1))))
    {
        let target = format!("127.0.0.1:{}", free_port());
        let running = run.args(["--check", "--watch", "60s"]).target(target).spawn();
        running.wait_for_stdout("0 of 1 target");
        let pid = if number == 15 { running.pid() } else { child_of(&running) };
        let sent = send(number, pid);
        let finished = running.finish();
        let took = finished.ended_after(sent);
        assert!(took < PROMPTLY, "signal {number} took {took:?}");
        let died_of = (number == 15).then_some(15);
        assert_eq!((finished.status, finished.died_of), (128 + number, died_of), "{finished:?}");
    }
}

#[test]
fn a_signal_between_the_wait_and_exec_is_not_lost() {
    let peer = Peer::start(|_, _| {});
    let directory = directory();
    for (number, run) in [(2, Run::new()), (15, Run::new())]
        .into_iter()
        .chain([12, 28, 30, 37].map(|number| (number, Run::through("unshare", &AS_PID_1))))
    {
        // All is ready, and the report is held up: its pipe is full, and its reader does not read.
        let pipe = fifo(directory.path(), &format!("full-{number}"));
        let mut full = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        full.write_all(&vec![b'.'; 65536]).unwrap();
        let run = run.target(format!("127.0.0.1:{}", peer.port)).args(["--report", pipe.to_str().unwrap()]);
        let running = run.command(["sleep", "60"]).spawn();
        running.wait_for_stderr(": ready: ");
        let is_child = number != 2 && number != 15;
        let pid = if is_child { child_of(&running) } else { running.pid() };
        let sent = send(number, pid);
        let finished = running.finish();
        let took = finished.ended_after(sent);
        assert!(took < PROMPTLY, "signal {number} took {took:?}");
        let died_of = (!is_child).then_some(number);
        assert_eq!((finished.status, finished.died_of), (128 + number, died_of), "{finished:?}");
    }
}

#[test]
fn on_a_terminal_a_resize_of_pid_1_is_a_resize() {
    let gate = executable();
    let command = format!("unshare --pid --fork --kill-child {} -t 60s 127.0.0.1:{}", gate.display(), free_port());
    let terminal = Terminal::start(80, 20, &command);
    terminal.wait_for("connection refused");
    terminal.tmux(&["resize-window", "-x", "100", "-y", "30"]);
    terminal.tmux(&["resize-window", "-x", "70", "-y", "20"]);
    terminal.wait_for("connection refused");
    terminal.keys(&["C-c"]);
    terminal.wait_for("interrupted");
}

#[test]
fn control_c_ends_a_loop_of_bash_around_the_gate() {
    let terminal = Terminal::start(100, 20, "PS1='$ ' bash --norc --noprofile -i");
    terminal.wait_for("$");
    let gate = executable();
    let port = free_port();
    let line =
        format!("until {} -t 1s -q 127.0.0.1:{port}; do echo once more; done; echo went $((6 * 7))", gate.display());
    terminal.keys(&["-l", &line]);
    terminal.keys(&["Enter"]);
    terminal.wait_for("\nonce more");
    terminal.keys(&["C-c"]);
    terminal.wait_for("^C");
    terminal.keys(&["-l", "echo status $?"]);
    terminal.keys(&["Enter"]);
    let screen = terminal.wait_for("\nstatus 130");
    assert!(!screen.contains("went 42"), "{screen}");
}

#[test]
fn bash_runs_no_next_command_of_a_script_whose_gate_was_interrupted() {
    let script = format!("{} -t 60s 127.0.0.1:{}; echo went on", executable().display(), free_port());
    let terminal = Terminal::start(
        100,
        20,
        &format!("PS1='$ ' bash --norc --noprofile -ic 'bash -c \"$0\"; echo status $?' '{script}'"),
    );
    terminal.wait_for("connection refused");
    terminal.keys(&["C-c"]);
    let screen = terminal.wait_for("interrupted");
    assert!(!screen.contains("went on"), "{screen}");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let run = || Run::through("env", &["--ignore-signal=HUP"]);
    let running = waiting(run());
    let pid = running.pid();
    let sent = send(15, pid);
    expect_ended(running, 15, sent);
    let port = free_port();
    let running = run().target(format!("127.0.0.1:{port}")).timeout("60s").command(["echo", "ran"]).spawn();
    running.wait_for_stderr("connection refused");
    running.signal(Signal::SIGHUP);
    // What it finds from here on comes after the signal.
    let _peer = Peer::start_on(port, |stream, _| drop(stream));
    let finished = running.finish().expect_status(0).expect_stdout("ran\n");
    assert!(!finished.stderr.contains("interrupted"), "{}", finished.stderr);
}

#[test]
fn what_was_ignored_at_the_start_ends_nothing_as_pid_1_either() {
    let run =
        Run::through("unshare", &[&AS_PID_1[..], &["env", "--ignore-signal=USR1", "--ignore-signal=RTMIN+3"]].concat());
    let running = waiting(run);
    let first = child_of(&running);
    for number in [10, 37] {
        send(number, first);
    }
    let sent = send(12, first);
    expect_ended(running, 12, sent).expect_stderr("interrupted by signal 12");
}

/// A service manager's view: SIGTERM is a clean end for it where the process dies of it.
#[test]
fn a_parent_that_asks_waitid_is_told_of_the_signal() {
    let script = "import os, signal, subprocess, sys\n\
                  gate = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE)\n\
                  gate.stderr.readline()\n\
                  gate.send_signal(signal.SIGTERM)\n\
                  end = os.waitid(os.P_PID, gate.pid, os.WEXITED)\n\
                  print('killed' if end.si_code == os.CLD_KILLED else 'exited', end.si_status)";
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(executable()).args(["-t", "60s", &format!("127.0.0.1:{}", free_port())]);
    let output = command.stdin(Stdio::null()).output().expect("python3");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "killed 15\n", "{output:?}");
}

#[test]
fn under_systemd_a_stop_is_a_success_and_an_ignored_sigpipe_stays_ignored() {
    tool(&["/usr/lib/systemd/systemd", "/lib/systemd/systemd"], "systemd");
    let directory = directory();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let gate = executable().display().to_string();
    let unit = |name: &str, text: String| {
        fs::write(directory.path().join(name), format!("[Unit]\nDefaultDependencies=no\n{text}\n")).unwrap();
    };
    let waits = format!("{gate} -t none 127.0.0.1:{}", free_port());
    unit("gate.service", format!("[Service]\nExecStart={waits}\nStandardError=append:{}", path("gate.log")));
    let runs = format!("{gate} file:/// -- grep SigIgn /proc/self/status");
    let told = format!("StandardOutput=append:{}\nStandardError=journal", path("runs.log"));
    unit("runs.service", format!("[Service]\nType=oneshot\nExecStart={runs}\n{told}"));
    let script = format!(
        "systemctl start gate; until grep -q refused {}; do sleep 0.05; done; systemctl stop gate; \
         systemctl is-failed gate; systemctl start runs",
        path("gate.log")
    );
    let ends = "ExecStopPost=/bin/systemctl --force --force poweroff";
    let told = format!("StandardOutput=append:{}", path("try.log"));
    unit("try.service", format!("[Service]\nType=oneshot\nExecStart=/bin/sh -c '{script}'\n{ends}\n{told}"));
    unit("try.target", "Wants=try.service".to_owned());
    let systemd = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/support/systemd.sh");
    let output = Command::new("sh").arg(systemd).arg(directory.path()).stdin(Stdio::null()).output().unwrap();
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap_or_default();
    let all = format!("{output:?}\n{}{}{}", read("gate.log"), read("try.log"), read("runs.log"));
    assert!(read("gate.log").contains("interrupted by signal 15"), "{all}");
    assert!(read("try.log").contains("inactive") && !read("try.log").contains("failed"), "{all}");
    // By its default, IgnoreSIGPIPE=yes.
    let ignored = read("runs.log");
    let ignored = ignored.trim().strip_prefix("SigIgn:\t").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    assert!(ignored.is_some_and(|mask| mask & 1 << (Signal::SIGPIPE as i32 - 1) != 0), "{all}");
}
