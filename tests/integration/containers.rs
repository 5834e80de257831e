//! In containers: as PID 1, confined, by the engine's names, in a whole stack, and in a pod.
//!
//! The executable is the static one, as images have it. Every image, network and container is made
//! here and removed again; no registry is asked.

mod engine;
mod pod;
mod stack;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine::{Container, Images, Sandbox, both, docker, eventually, output, run, unique};

use crate::support::tool;

/// Its executable may be this large.
const MOST_BYTES: u64 = 2_600_000;

/// A port of the container's own that nothing listens on.
const NOBODY: &str = "127.0.0.1:1";

/// Serves `/health` on port 8000.
const SERVER: &str = "mkdir /srv/www; echo ok >/srv/www/health; exec httpd -f -p 8000 -h /srv/www";

#[test]
fn stopping_a_container_that_waits_takes_no_time() {
    let Some(sandbox) = Sandbox::new("stop") else { return };
    for options in [&["--network", "none"][..], &["--network", "none", "--init"]] {
        let waiting =
            sandbox.start(options, &sandbox.images.alone, &["--timeout", "none", NOBODY, "--", "/when-ready"]);
        waiting.wait_for_log("not ready");
        let took = waiting.stop();
        eprintln!("docker stop with {options:?} took {took:?}");
        assert_eq!(waiting.wait(), 143, "{}", waiting.logs());
        assert!(took < Duration::from_secs(2), "{took:?}");
        waiting.wait_for_log("interrupted");
    }
}

/// An image of the executable alone whose stop signal is another, as that of a base image is.
fn image_with_stop_signal(sandbox: &Sandbox, signal: &str) -> String {
    let image = unique("stop-signal");
    let script = r#"printf 'FROM %s\nSTOPSIGNAL %s\n' "$0" "$1" | DOCKER_BUILDKIT=0 docker build --quiet -t "$2" -"#;
    run(Command::new("sh").args(["-c", script, &sandbox.images.alone, signal, &image]));
    image
}

#[test]
fn stopping_a_container_takes_no_time_whatever_the_stop_signal_of_its_image_is() {
    let Some(sandbox) = Sandbox::new("stop-signal") else { return };
    // httpd and php:*-apache, haproxy, images with systemd, nginx and php-fpm; and others that may be named.
    let signals =
        [("SIGWINCH", 28), ("SIGUSR1", 10), ("SIGRTMIN+3", 37), ("SIGQUIT", 3), ("SIGUSR2", 12), ("SIGPWR", 30)];
    for (signal, number) in signals.into_iter().chain([("SIGALRM", 14), ("37", 37), ("SIGRTMAX", 64)]) {
        let image = image_with_stop_signal(&sandbox, signal);
        let waiting =
            sandbox.start(&["--network", "none"], &image, &["--timeout", "none", NOBODY, "--", "/when-ready"]);
        waiting.wait_for_log("not ready");
        let took = waiting.stop();
        eprintln!("docker stop by {signal} took {took:?}");
        assert_eq!(waiting.wait(), 128 + number, "{signal}: {}", waiting.logs());
        assert!(took < Duration::from_secs(2), "{signal}: {took:?}");
        waiting.wait_for_log("interrupted");
    }
}

#[test]
fn once_the_application_runs_signals_are_its_own() {
    let Some(sandbox) = Sandbox::new("signals") else { return };
    let script = "trap 'echo told to stop; exit 7' TERM; echo up as $$; while :; do sleep 0.05; done";
    let gate = ["/when-ready", "file:///bin", "--", "sh", "-c", script];
    let application = sandbox.start(&["--network", "none"], &sandbox.images.busybox, &gate);
    application.wait_for_log("up as 1\n");
    let took = application.stop();
    assert_eq!(application.wait(), 7, "{}", application.logs());
    assert!(took < Duration::from_secs(3), "{took:?}");
    application.wait_for_log("told to stop");
}

#[test]
fn the_engine_sees_the_exit_codes() {
    let Some(sandbox) = Sandbox::new("codes") else { return };
    let cases: [(&[&str], i32); 7] = [
        (&["--timeout", "300ms", NOBODY, "--", "true"], 124),
        (&["file:///bin", "--", "/etc/not-executable"], 126),
        (&["file:///bin", "--", "no-such-command"], 127),
        (&["file:///bin", "--", "sh", "-c", "exit 42"], 42),
        (&["--no-such-option"], 2),
        (&["file:///bin"], 0),
        (&["--check", NOBODY], 1),
    ];
    for options in [&["--network", "none"][..], &["--network", "none", "--init"]] {
        let begun = cases.map(|(args, code)| {
            let words = [&["/when-ready"], args].concat();
            (sandbox.start(options, &sandbox.images.busybox, &words), args, code)
        });
        for (container, args, code) in begun {
            assert_eq!(container.wait(), code, "{options:?} {args:?}\n{}", container.logs());
        }
    }
}

#[test]
fn the_application_is_pid_1_as_if_it_had_been_started_alone() {
    let Some(sandbox) = Sandbox::new("traces") else { return };
    // Its signals, descriptors, limits, environment and directory; and every process there is.
    let script = "echo pid $$; grep -E '^(Sig(Blk|Ign|Cgt)|Threads|Uid|Groups|Cap.*|NoNewPrivs|Umask):' /proc/1/status; \
                  ls /proc/1/fd; cat /proc/1/limits; tr '\\0' '\\n' </proc/1/environ | sort; pwd; \
                  set -- /proc/[0-9]*; echo processes $#; sleep 0.2";
    let options = ["--network", "none", "--hostname", "same"];
    let alone = sandbox.start(&options, &sandbox.images.busybox, &["sh", "-c", script]);
    let words = ["/when-ready", "--quiet", "file:///bin", NOBODY, "--any", "--", "sh", "-c", script];
    let gated = sandbox.start(&options, &sandbox.images.busybox, &words);
    assert_eq!((alone.wait(), gated.wait()), (0, 0), "{}{}", alone.logs(), gated.logs());
    assert!(gated.logs().contains("pid 1\n") && gated.logs().contains("processes 1\n"), "{}", gated.logs());
    assert_eq!(gated.logs(), alone.logs());
}

#[test]
fn ctrl_c_ends_an_interactive_wait() {
    let Some(sandbox) = Sandbox::new("keys") else { return };
    let mut inner = sandbox.docker_run(&["--network", "none", "--interactive", "--tty"]);
    inner.args([&sandbox.images.alone, "--timeout", "none", NOBODY]);
    let words: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new(tool(&["script"], "bsdutils"))
        .args(["--quiet", "--return", "--flush", "--command", &words.join(" "), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = script.stdin.take().unwrap();
    let mut screen = script.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    let mut pressed = None;
    loop {
        let n = screen.read(&mut chunk).unwrap_or(0);
        seen.extend_from_slice(&chunk[..n]);
        if n == 0 {
            break;
        }
        if pressed.is_none() && String::from_utf8_lossy(&seen).contains("connection refused") {
            keys.write_all(b"\x03").unwrap();
            pressed = Some(Instant::now());
        }
    }
    let status = script.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{}", String::from_utf8_lossy(&seen));
    let took = pressed.expect("the wait began").elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// What a cautious operator allows.
const CONFINED: [&str; 10] = [
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=65534:65534",
    "--memory=16m",
    "--memory-swap=16m",
    "--ulimit=nofile=64:64",
    "--ulimit=core=0",
    "--cpus=0.5",
    "--ipc=none",
];

/// Twenty targets, on ports that are served and later ones.
fn twenty() -> Vec<String> {
    let http = (1..=10).map(|n| format!("http-{n}=http://server:8000/health"));
    http.chain((1..=10).map(|n| format!("tcp-{n}=server:8000"))).collect()
}

#[test]
fn a_confined_container_of_nothing_but_the_executable_waits_for_twenty_targets() {
    let Some(sandbox) = Sandbox::new("confined") else { return };
    let network = sandbox.network(&[]);
    let targets = twenty();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    // Two is the least: names are asked for, and HTTP is spoken, by a thread beside the one that keeps the deadline.
    let start = |limit: &str, args: &[&str]| {
        let limit = format!("--pids-limit={limit}");
        let options = [&CONFINED[..], &[&limit, "--network", &network]].concat();
        sandbox.start_limited(&options, &sandbox.images.alone, &[args, &targets].concat())
    };
    let waiting = ["64", "8", "2"].map(|limit| start(limit, &["--timeout", "100s"]));
    for container in &waiting {
        container.wait_for_log("not ready");
    }
    let _server = sandbox.script(&["--network", &network, "--network-alias", "server"], SERVER);
    for container in waiting {
        assert_eq!(container.wait(), 0, "{}", container.logs());
        assert_eq!(container.logs().matches(": ready: ").count(), 20, "{}", container.logs());
        assert_eq!(container.inspect("{{.State.OOMKilled}}"), "false");
    }
    for limit in ["64", "8", "2"] {
        let check = start(limit, &["--check", "--attempt-timeout", "20s"]);
        assert_eq!(check.wait(), 0, "pids limit {limit}:\n{}", check.logs());
        check.wait_for_log("20 of 20 targets are healthy");
    }
}

#[test]
fn a_name_may_appear_while_the_gate_waits() {
    let Some(sandbox) = Sandbox::new("later") else { return };
    let network = sandbox.network(&[]);
    let words = ["--timeout", "100s", "http://later:8000/health"];
    let waiting = sandbox.start(&["--network", &network], &sandbox.images.alone, &words);
    waiting.wait_for_log("not ready");
    let _server = sandbox.script(&["--network", &network, "--network-alias", "later"], SERVER);
    let begun = Instant::now();
    assert_eq!(waiting.wait(), 0, "{}", waiting.logs());
    eprintln!("seen {:?} after the name appeared", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(15), "{}", waiting.logs());
}

#[test]
fn a_name_may_change_its_address_while_the_gate_waits() {
    let Some(sandbox) = Sandbox::new("moved") else { return };
    let network = sandbox.network(&[]);
    let as_moving = ["--network", &network, "--network-alias", "moving"];
    let first = sandbox.script(&as_moving, "sleep 1000");
    let old = first.address();
    let words = ["--timeout", "100s", "http://moving:8000/health"];
    let waiting = sandbox.start(&["--network", &network], &sandbox.images.alone, &words);
    waiting.wait_for_log(&format!("connection refused by {old}:8000"));
    run(&mut docker(["rm", "--force", &first.name]));
    // Takes the address, and never answers there.
    let squatter = sandbox.script(&["--network", &network], "sleep 1000");
    let second = sandbox.script(&as_moving, SERVER);
    let begun = Instant::now();
    assert_ne!(second.address(), old, "the squatter has {}", squatter.address());
    assert_eq!(waiting.wait(), 0, "{}", waiting.logs());
    eprintln!("seen {:?} after the name had moved", begun.elapsed());
}

#[test]
fn one_of_several_addresses_of_a_name_is_enough() {
    let Some(sandbox) = Sandbox::new("several") else { return };
    let network = sandbox.network(&[]);
    let as_many = ["--network", &network, "--network-alias", "many"];
    let refusing = [(); 3].map(|()| sandbox.script(&as_many, "sleep 1000"));
    let words = ["--timeout", "100s", "http://many:8000/health"];
    let waiting = sandbox.start(&["--network", &network], &sandbox.images.alone, &words);
    waiting.wait_for_log("connection refused");
    let _server = sandbox.script(&as_many, SERVER);
    assert_eq!(waiting.wait(), 0, "{}", waiting.logs());
    drop(refusing);
}

#[test]
fn ipv6_networks_work_by_name_and_by_address() {
    let Some(sandbox) = Sandbox::new("six") else { return };
    let subnet = format!("fd57:{:x}:{:x}::/64", std::process::id() & 0xffff, std::process::id() >> 16);
    let network = sandbox.network(&["--ipv6", "--subnet", &subnet]);
    // On its IPv6 address only; the kernel gives it out once it knows that nobody else has it.
    let listen = "mkdir /srv/www; echo ok >/srv/www/health; \
                  address=$(ip -6 -o address show dev eth0 scope global | sed 's/.*inet6 \\([^/]*\\).*/\\1/'); \
                  until httpd -f -p \"[$address]:8000\" -h /srv/www; do sleep 0.1; done";
    let server = sandbox.script(&["--network", &network, "--network-alias", "six"], listen);
    let address = server.inspect("{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}");
    for host in ["six", &format!("[{address}]")] {
        let words = ["--timeout", "100s", &format!("http://{host}:8000/health")];
        let waiting = sandbox.start(&["--network", &network], &sandbox.images.alone, &words);
        assert_eq!(waiting.wait(), 0, "{}", waiting.logs());
    }
}

#[test]
fn the_image_of_the_executable_alone_is_small_and_described() {
    if !engine::is_there() {
        return;
    }
    let images = Images::get();
    let inspect = |format: &str| run(&mut docker(["image", "inspect", "--format", format, &images.alone]));
    let size: u64 = inspect("{{.Size}}").parse().unwrap();
    eprintln!("the image has {size} bytes");
    assert!(size <= MOST_BYTES, "{size} bytes");
    assert_eq!(inspect("{{len .RootFS.Layers}}"), "1");
    assert_eq!(inspect("{{.Config.User}}"), "65534:65534");
    assert_eq!(inspect("{{index .Config.Labels \"org.opencontainers.image.title\"}}"), "when-ready");
    let version = output(&mut docker(["run", "--rm", "--network", "none", &images.alone, "--version"]));
    assert!(both(&version).starts_with("when-ready "), "{}", both(&version));
}

#[test]
fn the_example_gates_an_application_and_checks_its_health() {
    let Some(sandbox) = Sandbox::new("example") else { return };
    let image = unique("example");
    run(&mut sandbox.images.build(&image, &["--target", "app"]));
    let network = sandbox.network(&[]);
    // A password as it is, because a variable may hold a whole URL or any part of one.
    let options = [
        &["--network", &network, "--read-only", "--cap-drop=ALL", "--health-interval=500ms"][..],
        &["--env", "DATABASE_URL=postgres://app@postgres/app", "--env", "REDIS_URL=redis://redis"],
    ];
    let application = sandbox.start(&options.concat(), &image, &[]);
    application.wait_for_log("postgres://app@postgres:5432/app: not ready");
    assert_eq!(application.inspect("{{.State.Health.Status}}"), "starting");
    let dependency = |name: &str, script: &str| {
        let options = ["--network", &network, "--network-alias", name, "--user", "70:70"];
        sandbox.start(&options, sandbox.images.stack(), &["sh", "-c", script])
    };
    let _postgres = dependency("postgres", "exec /stack/postgres.sh");
    let _redis = dependency("redis", "exec redis-server --dir /tmp --protected-mode no");
    application.wait_for_health("healthy");
    assert_eq!(application.inspect("{{.Config.User}}"), "65534:65534");
    let missing = output(sandbox.docker_run(&["--rm", "--network", "none"]).arg(&image));
    assert_eq!(missing.status.code(), Some(2), "{}", both(&missing));
    assert!(both(&missing).contains("DATABASE_URL"), "{}", both(&missing));
}

/// What a container wrote in one of its runs, cut where its application began.
fn application_logs(container: &Container) -> String {
    let logs = container.logs();
    logs.split_inclusive('\n').filter(|line| !line.starts_with("when-ready:")).collect()
}

/// Waits until a container has been restarted so often.
fn wait_for_restarts(container: &Container, least: u32) {
    let restarts = || container.inspect("{{.RestartCount}}").parse::<u32>().unwrap();
    eventually(|| format!("{least} restarts of\n{}", container.logs()), || restarts() >= least);
}
