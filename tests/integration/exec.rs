//! Commands as probes: what they are given, what their end means, and that nothing of them is left.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Run, directory, eventually, fails_for_good, not_ready, ready, write_executable};

/// A script in `directory`.
fn script(directory: &Path, body: &str) -> String {
    let file = directory.join("probe.sh");
    write_executable(&file, format!("#!/bin/sh\n{body}\n"), 0o755);
    file.to_str().unwrap().to_owned()
}

/// What the commands of a test are known by, and those of no other run of it.
fn marker(test: &str) -> String {
    format!("when_marker_{test}_{}", std::process::id())
}

/// Which processes hold `marker` in their command line or environment.
fn processes(marker: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let holds = |path: &Path, file: &str| {
        std::fs::read(path.join(file)).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(marker))
    };
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok()))
        .filter(|path| holds(path, "cmdline") || holds(path, "environ"))
        .map(|path| {
            String::from_utf8_lossy(&std::fs::read(path.join("cmdline")).unwrap_or_default()).replace('\0', " ")
        })
        .filter(|line| !line.contains("when-ready"))
        .collect()
}

/// Asserts that no process with `marker` is left, once what was killed has had a processor to end on: the gate waits a
/// moment for that. None of them ends by itself in time.
#[track_caller]
fn expect_none_left(marker: &str) {
    eventually(&format!("the end of all with {marker}"), || processes(marker).is_empty());
}

#[test]
fn a_command_that_exits_with_0_is_ready() {
    ready("exec:true").expect_stderr("exec:true: ready");
    ready("exec:sh -c 'exit 3' #exit=0,3");
    not_ready("exec:sh -c 'exit 3'").expect_stderr("exec:sh").expect_stderr("it exited with 3");
    not_ready("exec:false #exit=0,3").expect_stderr("it exited with 1");
    not_ready("exec:sh -c 'kill -9 $$$$'").expect_stderr("it was ended by signal 9");
}

#[test]
fn it_becomes_ready_when_the_command_does() {
    let directory = directory();
    let file = directory.path().join("migrated");
    let running = Run::new()
        .target(format!("migrations=exec:test -e {}", file.display()))
        .timeout("30s")
        .command(["echo", "ran"])
        .spawn();
    running.wait_for_stderr("it exited with 1");
    std::fs::write(&file, "").unwrap();
    running.finish().expect_status(0).expect_stdout("ran\n");
}

#[test]
fn its_last_line_is_the_reason_on_one_line_and_bounded() {
    not_ready("exec:sh -c 'echo first; printf \"last \\033[31mred\\n\\n\" >&2; exit 1'")
        .expect_stderr("it exited with 1: last [31mred")
        .expect_nowhere("first")
        .expect_nowhere("\x1b");
    let long = not_ready("exec:sh -c 'head -c 100000 /dev/zero | tr \"\\0\" x; exit 1'");
    assert!(long.stderr.len() < 2000, "{} bytes", long.stderr.len());
}

#[test]
fn its_arguments_and_variables_are_never_shown() {
    let directory = directory();
    let echo = script(directory.path(), "echo \"wrong: $*\"; exit 1");
    for arguments in [
        "--token=hunter2secret",
        "-phunter2secret",
        "hunter2secret",
        "${TOKEN}",
        "sub --url postgres://u:hunter2secret@h/d",
        "--key ${TOKEN:-x}",
    ] {
        Run::new()
            .target(format!("exec:{echo} {arguments}"))
            .env("TOKEN", "hunter2secret")
            .args(["--max-attempts", "1", "-v"])
            .finish()
            .expect_status(124)
            .expect_stderr("wrong: ")
            .expect_nowhere("hunter2secret");
    }
    Run::new().target("exec:a && b hunter2secret").finish().expect_status(2).expect_nowhere("hunter2secret");
}

#[test]
fn a_variable_stays_one_word_and_no_shell_sees_it() {
    let directory = directory();
    let count = script(directory.path(), "[ $# = 2 ] && [ \"$2\" = 'a  b; $(false) *' ]");
    Run::new().target(format!("exec:{count} x ${{VALUE}}")).env("VALUE", "a  b; $(false) *").finish().expect_status(0);
}

#[test]
fn a_command_that_is_not_there_or_cannot_run_stays_so() {
    fails_for_good("exec:no-such-command x").expect_stderr("the command no-such-command").expect_stderr("not found");
    fails_for_good("exec:/etc/passwd").expect_stderr("not executable");
    fails_for_good("exec:/etc/passwd/x").expect_stderr("cannot run");
    let directory = directory();
    let gone = script(directory.path(), "");
    std::fs::write(&gone, "#!/no/such/interpreter\n").unwrap();
    fails_for_good(format!("exec:{gone}")).expect_stderr("interpreter");
    // Waiting may mend what a command says.
    let run = Run::new().target("exec:sh -c 'echo broken; exit 3' #exit=0,3&fail-exit=3,4").finish();
    run.expect_status(1).expect_stderr("it exited with 3 (fail-exit=): broken");
    let run = Run::new().target("exec:false").args(["--fail-fast", "-t", "300ms"]).finish();
    run.expect_status(124);
}

#[test]
fn it_gets_no_input_the_environment_and_default_signals() {
    let directory = directory();
    let probe = script(
        directory.path(),
        "cat > /dev/null\n\
         [ \"$MINE\" = here ] || { echo environment; exit 1; }\n\
         exec grep -E '^Sig(Blk|Ign):' /proc/self/status > \"$OUT\"",
    );
    let out = directory.path().join("signals");
    Run::new().target(format!("exec:{probe}")).env("MINE", "here").env("OUT", &out).finish().expect_status(0);
    let masks = std::fs::read_to_string(out).unwrap();
    let ours = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = ours.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    // The tests ignore SIGPIPE; glibc's posix_spawn ignores the two signals that it keeps for itself (32, 33).
    let heeded = |hex: &str| u64::from_str_radix(hex, 16).unwrap() & 0x7fff_ffff;
    let ignored = heeded(ignored) & !(1 << (Signal::SIGPIPE as u32 - 1));
    let (blocked, others) = masks.strip_prefix("SigBlk:\t").unwrap().split_once("\nSigIgn:\t").unwrap();
    assert_eq!((heeded(blocked), heeded(others.trim_end())), (0, ignored), "{masks}");
}

#[test]
fn its_whole_group_ends_with_the_attempt() {
    let marker = marker("attempt");
    Run::new()
        .target("exec:sh -c 'trap \"\" TERM; sleep 1000 & sleep 1000; echo late'")
        .env("MARK", &marker)
        .args(["--attempt-timeout", "500ms", "--max-attempts", "1"])
        .finish()
        .expect_status(124)
        .expect_stderr("the command did not end within 500ms")
        .expect_elapsed(400..=900);
    expect_none_left(&marker);
}

#[test]
fn what_a_command_leaves_in_its_group_ends_with_it() {
    let marker = marker("background");
    Run::new()
        .target("exec:sh -c 'sleep 1000 & exit 0'")
        .env("MARK", &marker)
        .finish()
        .expect_status(0)
        .expect_elapsed(0..=3000);
    expect_none_left(&marker);
}

#[test]
fn nothing_is_left_at_the_deadline_at_a_signal_or_when_the_command_runs() {
    let hang = "exec:sh -c 'trap \"\" TERM; sleep 1000 & while :; do sleep 1000; done'";
    let mark = marker("deadline");
    let run = Run::new().target(hang).env("MARK", &mark).args(["-t", "700ms"]).finish();
    run.expect_status(124).expect_elapsed(600..=800).expect_stderr("did not end within");
    expect_none_left(&mark);

    // The other two are ignored where the tests run in the background.
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let mark = marker(&format!("signal_{signal}"));
        let running = Run::new().target(hang).env("MARK", &mark).spawn();
        eventually("the command", || !processes(&mark).is_empty());
        let begun = std::time::Instant::now();
        running.signal(signal);
        running.finish().expect_status(128 + signal as i32);
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
        expect_none_left(&mark);
    }

    let mark = marker("any");
    // `ps` and the substitution itself, once what was killed has ended.
    let check = "for i in $(seq 300); do \
                 n=$(ps -o pid= --ppid $$ | wc -l); [ $n = 1 ] && break; sleep 0.1; done; echo $n";
    Run::new()
        .args(["--any", hang, "exec:true"])
        .env("MARK", &mark)
        .command(["sh", "-c", check])
        .finish()
        .expect_status(0)
        .expect_stdout("1\n");
    expect_none_left(&mark);
}

#[test]
fn as_pid_1_it_reaps_what_is_left_to_it() {
    // A grandchild that leaves its group is reparented to PID 1 and ends there.
    let orphans = "exec:sh -c 'setsid sleep 0.05 & setsid sleep 0.05 & sleep 0.3; exit 0'";
    let count = "ps -eo stat= | grep -c ^Z; true";
    Run::through("unshare", &["--pid", "--fork", "--kill-child", "--mount-proc"])
        .target(orphans)
        .command(["sh", "-c", count])
        .finish()
        .expect_status(0)
        .expect_stdout("0\n");
}

#[test]
fn one_runs_at_a_time_and_rests_as_long_as_it_ran() {
    let directory = directory();
    let body = "echo \"begin $(date +%s%N)\" >> \"$LOG\"; sleep 0.6; echo \"end $(date +%s%N)\" >> \"$LOG\"; exit 1";
    let slow = script(directory.path(), body);
    let log = directory.path().join("log");
    Run::new()
        .target(format!("exec:{slow}"))
        .env("LOG", &log)
        .args(["-t", "5s"])
        .finish()
        .expect_status(124)
        .expect_stderr("it exited with 1");
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<(&str, u64)> =
        text.lines().filter_map(|line| line.split_once(' ')).map(|(what, at)| (what, at.parse().unwrap())).collect();
    assert!(lines.len() >= 6, "{text}");
    for (index, pair) in lines.windows(2).enumerate() {
        let expected = if index % 2 == 0 { ("begin", "end") } else { ("end", "begin") };
        assert_eq!((pair[0].0, pair[1].0), expected, "one at a time: {text}");
        // But for the last ones: they would end after the deadline.
        if index % 2 == 1 && pair[1].1 < lines[0].1 + 4_000_000_000 {
            assert!(pair[1].1 - pair[0].1 >= 600_000_000, "it rests: {text}");
        }
    }
}

#[test]
fn a_check_and_until_down_ask_commands_too() {
    Run::new().args(["--check", "exec:true"]).finish().expect_status(0).expect_in_stdout("exec:true");
    Run::new()
        .args(["--check", "exec:sh -c 'echo not yet; exit 1'"])
        .finish()
        .expect_status(1)
        .expect_in_stdout("it exited with 1: not yet");
    Run::new().args(["--until-down", "exec:false"]).finish().expect_status(0);
    Run::new().args(["--until-down", "exec:true", "-t", "300ms"]).finish().expect_status(124).expect_stderr("still up");
    let missing = Run::new().args(["--until-down", "exec:no-such-command", "-t", "300ms"]).finish();
    missing.expect_status(124);
}

#[test]
fn what_is_no_command_is_a_usage_error() {
    for (target, problem) in [
        ("exec:", "names no command"),
        ("exec:a | b", "needs a shell"),
        ("exec:echo 'x", "a quote in it is not closed"),
        ("exec:true #exit=300", "not an exit status"),
        ("exec:echo ${NOPE}", "NOPE is not set"),
    ] {
        Run::new().target(target).finish().expect_status(2).expect_stderr(problem);
    }
}

#[test]
fn a_command_has_ended_though_what_it_leaves_behind_goes_on_talking() {
    let run = Run::new().target("exec:sh -c 'yes & exit 0'").timeout("20s");
    run.finish().expect_status(0).expect_elapsed(0..=2000);
}

/// Runs a check of commands that end at nearly the same moment, and expects all of them healthy.
#[track_caller]
fn all_are_healthy(through: impl Fn() -> Run, commands: u32, rounds: u32) {
    for round in 0..rounds {
        let targets = (0..commands).map(|number| format!("exec:sleep 0.05{number}"));
        let finished = through().arg("--check").args(targets).finish();
        assert!(!finished.stdout.contains("UNHEALTHY"), "round {round}:\n{}", finished.stdout);
        finished.expect_status(0);
    }
}

#[test]
fn commands_that_end_together_each_keep_their_own_status() {
    for commands in [2, 4, 10] {
        all_are_healthy(Run::new, commands, 10);
    }
    let as_pid_1 = || Run::through("unshare", &["--pid", "--fork", "--kill-child", "--mount-proc"]);
    all_are_healthy(as_pid_1, 10, 10);
    // Started while others end, and orphans with them.
    for through in [Run::new, as_pid_1] {
        for _ in 0..10 {
            let run = through().args(["-t", "20s", "--successes", "5", "--interval", "1ms"]);
            let leaves = "exec:sh -c 'setsid sleep 0.01 & exit 0'";
            let run = run.args(["exec:true", leaves, "exec:sh -c 'exit 3' #exit=3", leaves, "exec:true"]);
            let finished = run.arg("-v").finish().expect_status(0);
            assert!(!finished.stderr.contains("not ready"), "{}", finished.stderr);
        }
    }
}

#[test]
fn a_status_that_is_not_known_proves_neither_ready_nor_down() {
    let directory = directory();
    let ran = directory.path().join("ran");
    for _ in 0..20 {
        let run = Run::new().args(["--any", "--until-down", "exec:true", "exec:true", "-t", "200ms"]);
        run.command(["touch", ran.to_str().unwrap()]).finish().expect_status(124);
    }
    assert!(!ran.exists());
}

#[test]
fn a_script_without_an_interpreter_is_the_shells_as_it_is_for_a_command() {
    let directory = directory();
    let file = directory.path().join("bare");
    let target = format!("exec:{} one 'two  words'", file.display());
    let bare = |body: &str| {
        write_executable(&file, body, 0o755);
    };
    bare("[ $# = 2 ] && [ \"$2\" = 'two  words' ] && [ \"$0\" != sh ]\n");
    ready(&target).expect_stderr("it exited with 0");
    // Found in PATH, and with its own status.
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    bare("exit 3\n");
    Run::new().args(["--check", "exec:bare#exit=3"]).env("PATH", &path).finish().expect_status(0);
    Run::new().args(["-q", "file:///"]).command([file.to_str().unwrap()]).finish().expect_status(3);
    // What no shell can run is none.
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x16\0".to_vec();
    elf.resize(64, 0);
    std::fs::write(&file, elf).unwrap();
    fails_for_good(&target).expect_stderr("for another architecture");
}

#[test]
fn an_ignored_sigchld_is_heeded_while_commands_are_asked_and_given_back() {
    let ignoring = || Run::through("env", &["--ignore-signal=CHLD"]);
    let targets = ["exec:true", "exec:sh -c 'exit 3' #exit=3", "exec:sleep 0.05"];
    ignoring().arg("--check").args(targets).finish().expect_status(0);
    ignoring().args(["--check", "exec:false"]).finish().expect_status(1).expect_in_stdout("it exited with 1");
    let status = ["grep", "SigIgn", "/proc/self/status"];
    let is_ignored = |run: Run| {
        let stdout = run.args(["-t", "20s"]).command(status).finish().expect_status(0).stdout;
        let mask = u64::from_str_radix(stdout.trim_start_matches("SigIgn:").trim(), 16).unwrap();
        mask & (1 << (Signal::SIGCHLD as u32 - 1)) != 0
    };
    assert!(is_ignored(ignoring().args(targets)), "with commands");
    assert!(is_ignored(ignoring().arg("file:///")), "without");
    assert!(!is_ignored(Run::new().args(targets)), "where it was not");
}
