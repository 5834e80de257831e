//! Scarce resources: descriptors, threads, memory and disk; and that a long wait takes no more of them.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

use crate::support::name_server::{Answer, NameServer, at_once};
use crate::support::network::in_private_network;
use crate::support::peer::{Peer, hold, read_request, response};
use crate::support::{Reaper, Run, Running, as_user, directory, eventually, free_port, new_user, public_copy};

/// How late, by itself, a deadline may be kept.
const SLACK: u64 = 100;

/// Ends well with `count` targets that are ready, and with one among them that is not.
fn expect_no_false_ready(count: usize, run: impl Fn() -> Run) {
    let peer = Peer::start(|_, _| {});
    let refused = free_port();
    let ready = |n: usize| format!("t{n}=127.0.0.1:{}", peer.port);
    let finished = run().args((0..count).map(ready)).args(["-t", "30s"]).command(["echo", "ran"]).finish();
    println!("{count} targets ready after {:?}", finished.elapsed);
    finished.expect_status(0).expect_stdout("ran\n");
    let targets = (0..count).map(|n| if n == count / 2 { format!("down=127.0.0.1:{refused}") } else { ready(n) });
    let finished = run().args(targets).args(["-t", "4s"]).command(["echo", "ran"]).finish();
    println!("{count} targets, one refused, ended after {:?}", finished.elapsed);
    let finished = finished.expect_status(124).expect_stdout("").expect_elapsed(4000..=4000 + SLACK);
    finished.expect_stderr("not ready after ").expect_stderr("down (tcp://127.0.0.1:");
}

#[test]
fn three_hundred_targets_with_64_descriptors_are_never_falsely_ready() {
    expect_no_false_ready(300, || Run::through("prlimit", &["--nofile=64:64"]));
}

#[test]
fn a_thousand_targets_with_256_descriptors_are_never_falsely_ready() {
    expect_no_false_ready(1000, || Run::through("prlimit", &["--nofile=256:256"]));
}

#[test]
fn a_target_that_was_never_probed_says_what_was_short() {
    let silent = Peer::start(|stream, _| hold(stream));
    let targets = || (0..40).map(|n| format!("t{n}={}", silent.url("/")));
    let run = Run::through("prlimit", &["--nofile=40:40"]).args(targets()).timeout("1s").finish();
    let run = run.expect_status(124).expect_stderr("not probed within ");
    let run = run.expect_stderr(": no file descriptor was free").expect_elapsed(1000..=1000 + SLACK);
    assert!(!run.stderr.contains("no thread"), "{}", run.stderr);
    let (_directory, copy) = public_copy();
    let run = with_processes(&copy, 3).args(targets()).timeout("1s").finish();
    let run = run.expect_status(124).expect_stderr("not probed within ");
    let run = run.expect_stderr(": no thread was free").expect_elapsed(1000..=1000 + SLACK);
    assert!(!run.stderr.contains("descriptor"), "{}", run.stderr);
}

/// A run as a user of its own who may have so many processes and threads.
fn with_processes(copy: &Path, limit: u32) -> Run {
    as_user(new_user(), &["prlimit", &format!("--nproc={limit}:{limit}")], copy)
}

#[test]
fn a_limit_of_threads_makes_it_slower_and_never_wrong() {
    let (_directory, copy) = public_copy();
    for limit in [3, 10] {
        expect_no_false_ready(100, || with_processes(&copy, limit));
    }
    // Each of these takes a thread for its conversation.
    let http = Peer::http(response("200 OK", ""));
    let run = with_processes(&copy, 3).args((0..100).map(|n| format!("t{n}={}", http.url("/")))).timeout("30s");
    run.command(["echo", "ran"]).finish().expect_status(0).expect_stdout("ran\n");
}

#[test]
fn without_any_thread_it_says_so_until_the_deadline() {
    let (_directory, copy) = public_copy();
    let peer = Peer::http(response("200 OK", ""));
    let run = with_processes(&copy, 1).target(peer.url("/")).timeout("1s");
    let finished = run.command(["echo", "ran"]).finish();
    finished
        .expect_status(124)
        .expect_stdout("")
        .expect_stderr("no thread can be started")
        .expect_stderr("raise the limit of processes or memory")
        .expect_elapsed(1000..=1000 + SLACK);
    // And a signal still ends it.
    let run = with_processes(&copy, 1).target(peer.url("/")).timeout("60s").spawn();
    run.wait_for_stderr("no thread");
    eventually("the executable runs", || {
        fs::read_to_string(format!("/proc/{}/comm", run.pid())).unwrap() == "when-ready\n"
    });
    run.signal(Signal::SIGTERM);
    run.finish().expect_status(143);
    // A connection alone takes none.
    let run = with_processes(&copy, 1).target(format!("127.0.0.1:{}", peer.port)).timeout("10s");
    run.command(["true"]).finish().expect_status(0);
}

#[test]
fn a_thread_that_was_refused_once_is_asked_for_again() {
    let (_directory, copy) = public_copy();
    let user = new_user();
    // One takes the only thread that there is, for as long as its attempt lasts; another becomes ready.
    let silent = Peer::start(|stream, _| hold(stream));
    let ready = Peer::http(response("200 OK", ""));
    let mut others: Vec<Reaper> = Vec::new();
    let pressure = |count: usize| -> Vec<Reaper> {
        let sleep = || {
            let mut command = Command::new("sleep");
            command.arg("60").uid(user).gid(user).stdin(Stdio::null());
            Reaper(command.spawn().expect("sleep"))
        };
        (0..count).map(|_| sleep()).collect()
    };
    others.extend(pressure(2));
    let run = as_user(user, &["prlimit", "--nproc=4:4"], &copy).args([silent.url("/"), ready.url("/")]);
    let run = run.args(["--any", "-t", "30s"]).command(["echo", "ran"]).spawn();
    eventually("the first attempt", || silent.connections() > 0);
    let relieved = Instant::now();
    others.clear();
    run.wait_for_stdout("ran");
    println!("ready {:?} after the pressure was over", relieved.elapsed());
    assert!(relieved.elapsed() < Duration::from_secs(2), "{:?}", relieved.elapsed());
    run.finish().expect_status(0);
}

#[test]
fn a_wait_for_a_port_or_socket_takes_one_thread() {
    let directory = directory();
    let missing = format!("unix://{}/socket", directory.path().display());
    let targets = [format!("127.0.0.1:{}", free_port()), missing, format!("http://127.0.0.1:{}/", free_port())];
    let run = Run::new().args(targets).timeout("60s").spawn();
    run.wait_for_stderr("connection refused").wait_for_stderr("there is no socket");
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    assert!(status.contains("\nThreads:\t1\n"), "{status}");
    run.signal(Signal::SIGTERM);
    run.finish().expect_status(143);
}

#[test]
fn targets_that_hang_starve_no_other_of_its_attempt() {
    let silent = Peer::start(|stream, _| hold(stream));
    let listening = Peer::start(|stream, _| drop(stream));
    for (count, limit) in [(8, "--nofile=64:64"), (60, "--nofile=64:64"), (200, "--nofile=128:128")] {
        for other in ["file:///etc/passwd", &format!("127.0.0.1:{}", listening.port)] {
            let hanging = (0..count).map(|n| format!("t{n}={}", silent.url("/")));
            let run = Run::through("prlimit", &[limit]).args(hanging).target(other);
            let run = run.args(["--any", "-t", "4s"]).command(["echo", "ran"]).finish();
            println!("{count} hanging targets, {limit}: {other} is found after {:?}", run.elapsed);
            run.expect_status(0).expect_stdout("ran\n").expect_elapsed(0..=1000);
        }
    }
}

/// What a process has of what could leak.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// In KiB.
    memory: u64,
    descriptors: usize,
    threads: usize,
}

fn held(running: &Running) -> Held {
    let process = format!("/proc/{}", running.pid());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let count = |of: &str| fs::read_dir(format!("{process}/{of}")).unwrap().count();
    Held {
        memory: memory.trim().trim_end_matches(" kB").parse().unwrap(),
        descriptors: count("fd"),
        threads: count("task"),
    }
}

/// What a server that is starting up says to whoever wants to log in.
fn starting_up(mut stream: std::net::TcpStream) {
    use std::io::Read;
    let body = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0";
    let length = u32::try_from(body.len() + 4).unwrap();
    drop(stream.read(&mut [0; 1024]));
    drop(stream.write_all(&[&b"E"[..], &length.to_be_bytes(), body].concat()));
    hold(stream);
}

#[test]
fn tens_of_thousands_of_attempts_leave_no_memory_descriptor_or_thread_behind() {
    // At two a second, ten minutes are 1,200 attempts of each target.
    const WARM_UP: usize = 600;
    const ATTEMPTS: usize = 3000;
    // In KiB. The least that malloc gives is 16 bytes (musl) or 32: were they lost at each of the 30,000
    // attempts in between, of all targets, it would be as much or more.
    const MARGIN: u64 = 480;
    const EACH_THREAD: u64 = 256;
    in_private_network(|| {
        let _server = NameServer::start("", |_| at_once(Answer::NxDomain));
        let silent = Peer::start(|stream, _| hold(stream));
        let resetting = Peer::start(|stream, _| {
            drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
        });
        let http = Peer::http(response("503 Service Unavailable", ""));
        let postgres = Peer::start(|stream, _| starting_up(stream));
        let redis = Peer::start(|mut stream, _| {
            drop(stream.write_all(b"-LOADING Redis is loading\r\n"));
            hold(stream);
        });
        let targets = [
            format!("refused=127.0.0.1:{}", free_port()),
            format!("silent=http://127.0.0.1:{}/", silent.port),
            format!("resetting=redis://127.0.0.1:{}", resetting.port),
            format!("http={}", http.url("/")),
            format!("postgres=postgres://u:p@127.0.0.1:{}/d?sslmode=disable", postgres.port),
            format!("redis=redis://127.0.0.1:{}", redis.port),
            "name=http://nowhere.example/".to_owned(),
            "file=file:///nonexistent/file".to_owned(),
        ];
        let most_in_flight = (targets.len() + 1) * 4;
        let directory = directory();
        let report = directory.path().join("report");
        let run = Run::new().args(targets).args(["--interval", "2ms", "--max-interval", "2ms"]);
        let run = run.args(["--attempt-timeout", "50ms", "-t", "none", "--report", report.to_str().unwrap()]);
        let ca = crate::support::certificates::Ca::new();
        let (_nginx, port) = crate::tls::server(&ca.issue("server", &["127.0.0.1"]), "return 503;");
        let run = run.args(["--tls-ca", ca.file().to_str().unwrap(), &format!("tls=https://127.0.0.1:{port}/")]);
        let running = run.spawn();

        let mut most = Vec::new();
        for wanted in [WARM_UP, ATTEMPTS] {
            while [&resetting, &http, &postgres, &redis].iter().any(|peer| peer.connections() < wanted) {
                assert!(
                    running.begun.elapsed() < Duration::from_secs(85),
                    "it attempts too seldom:\n{}",
                    running.stderr_so_far()
                );
                thread::sleep(Duration::from_millis(50));
                let now = held(&running);
                // A socket for each, or the resolver's files and sockets; and a few of the gate's own.
                assert!(now.descriptors <= most_in_flight * 2 + 16, "{now:?}");
                assert!(now.threads <= most_in_flight + 2, "{now:?}");
            }
            most.push(held(&running));
        }
        let took = running.begun.elapsed();
        running.signal(Signal::SIGTERM);
        running.finish().expect_status(143);
        let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
        let attempts = |target: &serde_json::Value| format!("{} {}", target["attempts"], target["failures"]);
        let attempts: Vec<String> = report["targets"].as_array().unwrap().iter().map(attempts).collect();
        println!("{most:?} after {WARM_UP} and {ATTEMPTS} attempts, in {took:?}: {attempts:#?}");
        // An executable that starts more threads because the machine halted has their stacks and arenas.
        let threads = u64::try_from(most[1].threads.saturating_sub(most[0].threads)).unwrap();
        assert!(most[1].memory <= most[0].memory + MARGIN + threads * EACH_THREAD, "{most:?}");
    });
}

/// The least memory with which the executable runs at all, in KiB.
fn least_memory() -> u64 {
    let runs = |kib: &u64| {
        let limit = format!("--as={}", kib << 10);
        Run::through("prlimit", &[&limit]).arg("--version").finish().status == 0
    };
    (1 << 10..1 << 20).step_by(128).find(runs).expect("it runs with a GiB")
}

#[test]
fn without_memory_it_says_so_and_is_never_falsely_ready() {
    let peer = Peer::http(response("200 OK", ""));
    let refused = free_port();
    let least = least_memory();
    let mut statuses = Vec::new();
    for kib in (least..least + (3 << 10)).step_by(128) {
        let limit = format!("--as={}", kib << 10);
        let run = || Run::through("prlimit", &[&limit]).target(peer.url("/#successes=2")).args(["-t", "300ms"]);
        let finished = run().target(format!("127.0.0.1:{refused}")).command(["echo", "ran"]).finish();
        let is_told = match finished.status {
            124 => finished.stderr.contains("not ready after"),
            // Rust aborts, of its allocator or of a new thread's signal stack, and so does the C library.
            134 => {
                let reasons = ["memory allocation of ", "failed to allocate", "out of memory"];
                reasons.iter().any(|why| finished.stderr.contains(why))
            }
            2 => finished.stderr.starts_with("when-ready: "),
            // The loader of shared libraries has been refused memory before the gate began.
            127 => finished.stderr.contains("error while loading shared libraries"),
            _ => false,
        };
        statuses.push(finished.status);
        assert!(is_told, "with {kib} KiB: {finished:?}");
        finished.expect_stdout("").expect_elapsed(0..=300 + SLACK);
        // Whether COMMAND can run with so little is its own affair.
        run().finish().expect_elapsed(0..=300 + SLACK);
    }
    println!("from {least} KiB on: {statuses:?}");
    assert_eq!(statuses.last(), Some(&124));
}

/// Runs `test` with a file system of 64 KiB at the path that it is given, which nobody else sees.
fn on_a_small_disk(test: impl FnOnce(&Path) + Send) {
    let directory = directory();
    let path = directory.path();
    thread::scope(|scope| {
        // A thread of its own: what it and its children mount is not mounted for the other tests.
        let inside = scope.spawn(move || {
            unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace takes root (tests/run does)");
            let script = "mount --make-rprivate / && mount -t tmpfs -o size=64k tmpfs \"$0\"";
            let status = Command::new("sh").args(["-c", script]).arg(path).stdin(Stdio::null()).status();
            assert!(status.unwrap().success(), "mount");
            test(path);
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Leaves so many bytes of the disk free; it is counted in pages of 4 KiB.
fn fill(disk: &Path, free: usize) {
    let file = disk.join("filling");
    drop(fs::remove_file(&file));
    let mut filling = fs::File::create(&file).unwrap();
    while filling.write(&[b'x'; 4096]).is_ok_and(|n| n > 0) {}
    let length = usize::try_from(filling.metadata().unwrap().len()).unwrap();
    filling.set_len(u64::try_from(length - free).unwrap()).unwrap();
}

fn names(disk: &Path) -> Vec<String> {
    let entries = fs::read_dir(disk).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn on_a_full_disk_a_report_is_written_whole_or_not_at_all() {
    on_a_small_disk(|disk| {
        let peer = Peer::http(response("200 OK", ""));
        let report = disk.join("report.json");
        let path = report.to_str().unwrap();
        // Nothing fits; or the first page does, and the rest does not.
        for free in [0, 4096] {
            let run = |target: String| {
                let targets = (0..30).map(|n| format!("t{n}={target}"));
                Run::new().args(targets).args(["-t", "300ms", "--report", path])
            };
            let refused = format!("127.0.0.1:{}", free_port());
            let warning = format!("--report: {path} cannot be written: No space left on device");

            drop(fs::remove_file(&report));
            fill(disk, free);
            run(refused.clone()).finish().expect_status(124).expect_stderr(&warning);
            assert_eq!(names(disk), ["filling"], "{free} bytes free");
            let run_command = run(peer.url("/")).command(["echo", "ran"]).finish();
            run_command.expect_status(0).expect_stderr(&warning).expect_stdout("ran\n");
            assert_eq!(names(disk), ["filling"], "{free} bytes free");

            fs::remove_file(disk.join("filling")).unwrap();
            fs::write(&report, "the report of an earlier run").unwrap();
            fill(disk, free);
            run(refused).finish().expect_status(124).expect_stderr(&warning);
            assert_eq!(names(disk), ["filling", "report.json"], "{free} bytes free");
            assert_eq!(fs::read_to_string(&report).unwrap(), "the report of an earlier run");
        }
    });
}

#[test]
fn on_a_full_disk_a_termination_message_is_a_warning() {
    on_a_small_disk(|disk| {
        let log = disk.join("termination-log");
        let path = log.to_str().unwrap();
        let run = || {
            let target = format!("127.0.0.1:{}", free_port());
            Run::new().target(target).args(["-t", "300ms", "--termination-log", path]).finish()
        };
        let warning = format!("--termination-log: {path} cannot be written: No space left on device");
        fill(disk, 0);
        run().expect_status(124).expect_stderr(&warning);
        assert_eq!(names(disk), ["filling"]);
        // The kubelet makes it, empty, before it starts the container.
        fs::write(&log, "").unwrap();
        run().expect_status(124).expect_stderr(&warning);
        assert_eq!(fs::read_to_string(&log).unwrap(), "");
    });
}

#[test]
fn endless_bodies_that_are_searched_for_a_text_take_little_memory() {
    const TARGETS: usize = 50;
    /// Beside what one target takes, which depends on the build; whole bodies are 50 MiB.
    const MOST: u64 = 20 << 10;
    let peer = Peer::start(|mut stream, _| {
        read_request(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"));
        for _ in 0..1000 {
            drop(stream.write_all(&[b'x'; 1000]));
        }
        hold(stream);
    });
    let peak = |key: &str, targets: usize| {
        let targets = (0..targets).map(|number| peer.url(&format!("/{number}#{key}=needle")));
        // One attempt each, and one arena of glibc's: the stacks of attempts beside it, and arenas that keep what was freed in
        // them, are not the bodies'.
        let once = ["-t", "5s", "--interval", "10s", "--max-interval", "10s"];
        let running = Run::new().env("MALLOC_ARENA_MAX", "1").args(targets).args(once).spawn();
        let status = format!("/proc/{}/status", running.pid());
        let mut peak = 0;
        while let Some(now) = fs::read_to_string(&status).ok().and_then(|status| {
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            peak.trim().trim_end_matches(" kB").parse::<u64>().ok()
        }) {
            peak = now;
            thread::sleep(Duration::from_millis(20));
        }
        running.finish().expect_status(124);
        peak
    };
    for key in ["body", "fail-body"] {
        let (one, all) = (peak(key, 1), peak(key, TARGETS));
        println!("{key}: one endless body takes {one} KiB, {TARGETS} take {all} KiB");
        assert!(all <= one + MOST, "{key}: {one} and {all} KiB");
    }
}
