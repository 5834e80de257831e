//! Networks that drop, reject and mislead. Each test has a network of its own, in a namespace.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

use crate::support::peer::{Peer, hold, response};
use crate::support::{Finished, Run, free_port, tool};

/// What a loaded machine may add to a deadline; the product promises 100 ms.
const SLACK: u64 = 600;

/// Runs `test` in a network with nothing but a loopback interface, and with mounts of its own. It
/// ends with the threads and processes that are in it.
fn in_private_network(test: impl FnOnce() + Send) {
    assert!(nix::unistd::geteuid().is_root(), "a network namespace takes root: run the tests as root (tests/run does)");
    let result = thread::scope(|scope| {
        // A thread of its own: whatever it starts is in the namespace too, the other tests are not.
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("a namespace");
            sh("mount --make-rprivate / && ip link set lo up");
            test();
        });
        inside.join()
    });
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a script of tools that this file needs.
fn sh(script: &str) {
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables"), ("mount", "mount")] {
        tool(&[program], package);
    }
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let status = Command::new("sh").args(["-c", script]).env("PATH", path).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{script}: {status}");
}

/// The firewall consists of this rule.
fn firewall(rule: &str) {
    sh(&format!(
        "nft flush ruleset && nft add table inet t && \
         nft add chain inet t i '{{ type filter hook input priority 0; }}' && nft add rule inet t i '{rule}'"
    ));
}

/// Puts a file in the place of one in /etc, for this test alone.
fn replace(path: &str, content: &str) {
    let directory = crate::support::directory();
    let file = directory.path().join("file");
    fs::write(&file, content).unwrap();
    sh(&format!("chmod 755 {} && mount --bind {} {path}", directory.path().display(), file.display()));
}

/// What a name server says.
#[derive(Debug, Clone)]
enum Answer {
    Nothing,
    ServFail,
    NxDomain,
    /// Those of the type that is asked for.
    Addresses(Vec<IpAddr>),
}

/// A name server on 127.0.0.1, which is the only one; ends with the namespace's test.
struct NameServer {
    stop: Arc<AtomicBool>,
}

impl NameServer {
    fn start(options: &str, answer: impl Fn(&str) -> (Duration, Answer) + Send + Sync + 'static) -> Self {
        replace("/etc/resolv.conf", &format!("nameserver 127.0.0.1\n{options}\n"));
        replace("/etc/nsswitch.conf", "hosts: files dns\n");
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:53").unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, answer) = (Arc::clone(&stop), Arc::new(answer));
        thread::spawn(move || {
            while !stopping.load(Ordering::SeqCst) {
                let mut query = [0; 512];
                let Ok((length, client)) = socket.recv_from(&mut query) else { continue };
                let (socket, answer) = (Arc::clone(&socket), Arc::clone(&answer));
                thread::spawn(move || {
                    let query = &query[..length];
                    let (after, answer) = answer(&name_of(query));
                    thread::sleep(after);
                    if let Some(reply) = reply(query, &answer) {
                        drop(socket.send_to(&reply, client));
                    }
                });
            }
        });
        Self { stop }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// The name of the question (RFC 1035, section 4.1.2), with its last dot.
fn name_of(query: &[u8]) -> String {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name.push_str(&String::from_utf8_lossy(&query[at + 1..=at + length]));
        name.push('.');
        at += length + 1;
    }
    name
}

/// The reply to a query with one question (RFC 1035, section 4.1).
fn reply(query: &[u8], answer: &Answer) -> Option<Vec<u8>> {
    let end = 12 + name_of(query).len() + 1 + 4;
    let kind = query[end - 3];
    let (rcode, addresses) = match answer {
        Answer::Nothing => return None,
        Answer::ServFail => (2, &[][..]),
        Answer::NxDomain => (3, &[][..]),
        Answer::Addresses(addresses) => (0, addresses.as_slice()),
    };
    let records = addresses.iter().filter_map(|address| match (kind, address) {
        (1, IpAddr::V4(v4)) => Some(v4.octets().to_vec()),
        (28, IpAddr::V6(v6)) => Some(v6.octets().to_vec()),
        _ => None,
    });
    let records: Vec<Vec<u8>> = records.collect();
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | rcode, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(&query[12..end]);
    for data in records {
        out.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, u8::try_from(data.len()).unwrap()]);
        out.extend(data);
    }
    Some(out)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at_once(answer: Answer) -> (Duration, Answer) {
    (Duration::ZERO, answer)
}

#[test]
fn the_command_runs_soon_after_a_firewall_lets_connections_through() {
    in_private_network(|| {
        let peer = Peer::start(|stream, _| hold(stream));
        let http = Peer::http(response("200 OK", ""));
        firewall(&format!("tcp dport {{ {}, {} }} drop", peer.port, http.port));
        let run = Run::new().target(format!("127.0.0.1:{}", peer.port)).target(http.url("/")).command(["echo", "ran"]);
        let run = run.spawn();
        run.wait_for_stderr("waiting for 2 targets");
        // Past the first repeats of the kernel's own, which come after 1, 3 and 7 s.
        thread::sleep(Duration::from_millis(3200));
        sh("nft flush ruleset");
        let opened = Instant::now();
        run.wait_for_stdout("ran");
        let took = opened.elapsed();
        println!("the command ran {took:?} after the firewall opened");
        assert!(took < Duration::from_millis(900), "{took:?}");
        run.finish().expect_status(0);
    });
}

#[test]
fn dropped_packets_time_out_in_time_and_are_called_that() {
    in_private_network(|| {
        let port = free_port();
        firewall(&format!("tcp dport {port} drop"));
        let run = Run::new().target(format!("tcp://127.0.0.1:{port}")).args(["-t", "1s", "--attempt-timeout", "400ms"]);
        let finished = run.finish().expect_status(124).expect_elapsed(1000..=1000 + SLACK);
        finished.expect_stderr("no answer from 127.0.0.1:").expect_stderr("a firewall drops it");
    });
}

#[test]
fn each_way_of_rejecting_is_named() {
    in_private_network(|| {
        let (v4, v6) = ("127.0.0.1", "[::1]");
        for (host, how, reason, is_down) in [
            (v4, "tcp reset", "connection refused by", true),
            (v4, "icmp port-unreachable", "connection refused by", true),
            (v4, "icmp host-unreachable", "no route to 127.0.0.1", false),
            (v4, "icmp net-unreachable", "no route to the network of 127.0.0.1", false),
            (v4, "icmp prot-unreachable", "cannot connect to 127.0.0.1", false),
            (v4, "icmp net-prohibited", "no route to the network of 127.0.0.1", false),
            (v4, "icmp host-prohibited", "no route to 127.0.0.1", false),
            (v4, "icmp admin-prohibited", "no route to 127.0.0.1", false),
            (v6, "tcp reset", "connection refused by", true),
        ] {
            let port = free_port();
            firewall(&format!("tcp dport {port} reject with {how}"));
            let target = format!("tcp://{host}:{port}");
            let run = Run::new().target(&target).args(["-t", "200ms"]).finish();
            run.expect_status(124).expect_stderr(reason).expect_stderr("not ready after ");
            let down = Run::new().target(&target).args(["-t", "200ms", "--until-down"]).finish();
            down.expect_status(if is_down { 0 } else { 124 });
        }
    });
}

#[test]
fn each_route_that_leads_nowhere_is_named() {
    in_private_network(|| {
        for (route, reason) in [
            ("unreachable 10.1.0.0/16", "no route to 10.1.2.3:5432"),
            ("prohibit 10.1.0.0/16", "rule forbids connections to 10.1.2.3:5432"),
            ("blackhole 10.1.0.0/16", "cannot connect to 10.1.2.3:5432"),
            ("unreachable 2001:db8::/32", "no route to [2001:db8::1]:5432"),
            ("prohibit 2001:db8::/32", "rule forbids connections to [2001:db8::1]:5432"),
        ] {
            sh(&format!("ip route add {route}"));
            let (_, target) = reason.rsplit_once(' ').unwrap();
            let run = Run::new().target(target).args(["-t", "200ms"]).finish();
            run.expect_status(124).expect_stderr(reason);
            sh(&format!("ip route del {route}"));
        }
    });
}

#[test]
fn without_an_interface_there_is_no_route() {
    in_private_network(|| {
        sh("ip link set lo down");
        let run = Run::new().target("10.1.2.3:5432").args(["-t", "300ms"]).finish();
        run.expect_status(124).expect_stderr("no route to the network of 10.1.2.3:5432");
    });
}

#[test]
fn until_down_takes_a_refusal_for_proof_and_a_time_out_or_an_unknown_name_for_none() {
    in_private_network(|| {
        let server = NameServer::start("options timeout:1 attempts:1", |_| at_once(Answer::NxDomain));
        let port = free_port();
        let peer = Peer::start_on(port, |stream, _| drop(stream));
        let until_down = |target: &str| Run::new().target(target).args(["--until-down", "-t", "1s"]);
        let run = until_down(&format!("127.0.0.1:{port}")).command(["echo", "ran"]).finish();
        run.expect_status(124).expect_stdout("").expect_stderr("still up");
        firewall(&format!("tcp dport {port} drop"));
        let run = until_down(&format!("127.0.0.1:{port}")).args(["--attempt-timeout", "300ms"]).finish();
        run.expect_status(124).expect_stderr("no proof that it is down");
        let run = until_down(&format!("db.example:{port}")).finish();
        run.expect_status(124).expect_stderr("no proof that it is down").expect_stderr("db.example");
        sh("nft flush ruleset");
        let run = Run::new().target(format!("127.0.0.1:{port}")).args(["--until-down", "-t", "30s"]).spawn();
        run.wait_for_stderr("still up");
        drop(peer);
        run.finish().expect_status(0);
        drop(server);
    });
}

#[test]
fn a_name_server_that_never_answers_does_not_move_the_deadline() {
    in_private_network(|| {
        let _server = NameServer::start("", |_| at_once(Answer::Nothing));
        for target in ["tcp://db.example:5432", "http://db.example/", "postgres://db.example/x", "dns://db.example"] {
            let finished = Run::new().target(target).args(["-t", "2s"]).command(["echo", "ran"]).finish();
            println!("{target}: {:?}", finished.elapsed);
            let finished = finished.expect_status(124).expect_stdout("").expect_elapsed(2000..=2000 + SLACK);
            finished.expect_stderr("no answer from the name service");
        }
        // An attempt's own limit is kept as well, and a signal still ends the wait.
        let run = Run::new().target("db.example:5432").args(["-t", "60s", "--attempt-timeout", "300ms"]).spawn();
        run.wait_for_stderr("no answer from the name service within 300ms");
        run.signal(nix::sys::signal::Signal::SIGTERM);
        run.finish().expect_status(143).expect_elapsed(300..=2000);
    });
}

#[test]
fn what_a_name_server_says_is_what_is_reported() {
    in_private_network(|| {
        let _server = NameServer::start("options timeout:1 attempts:1", |name| match name {
            "servfail.example." => at_once(Answer::ServFail),
            "empty.example." => at_once(Answer::Addresses(Vec::new())),
            _ => at_once(Answer::NxDomain),
        });
        for name in ["servfail.example", "empty.example", "missing.example"] {
            // musl asks once more after SERVFAIL, and waits its second for the answer.
            let run = Run::new().target(format!("{name}:80")).args(["-t", "3s"]).finish();
            let run = run.expect_status(124).expect_elapsed(3000..=3000 + SLACK);
            run.expect_stderr(&format!("the name {name} does not resolve"));
        }
    });
}

#[test]
fn a_name_is_reached_by_whichever_of_its_addresses_answers() {
    in_private_network(|| {
        let _server = NameServer::start("options timeout:1 attempts:1", |name| match name {
            "v4.example." => at_once(Answer::Addresses(vec![address("127.0.0.1")])),
            "v6.example." => at_once(Answer::Addresses(vec![address("::1")])),
            // The first is refused or silent.
            "both.example." => at_once(Answer::Addresses(vec![address("::1"), address("127.0.0.1")])),
            "many.example." => at_once(Answer::Addresses((1..9).map(|n| Ipv4Addr::new(127, 0, 0, n).into()).collect())),
            "slow.example." => (Duration::from_millis(700), Answer::Addresses(vec![address("127.0.0.1")])),
            _ => at_once(Answer::NxDomain),
        });
        let port = free_port();
        let v4 = Peer::start_on(port, |stream, _| drop(stream));
        let v6 = TcpListener::bind((address("::1"), port)).unwrap();
        let reach = |name: &str, at_most: u64| {
            let finished = Run::new().target(format!("{name}:{port}")).args(["-t", "20s"]).finish();
            println!("{name}: {:?}", finished.elapsed);
            finished.expect_status(0).expect_elapsed(0..=at_most);
        };
        reach("v4.example", 1000);
        reach("v6.example", 1000);
        reach("slow.example", 2000);
        drop(v6);
        reach("both.example", 1000);
        firewall("ip6 daddr ::1 drop");
        reach("both.example", 1500);
        firewall("ip daddr { 127.0.0.2-127.0.0.8 } drop");
        reach("many.example", 2000);
        drop(v4);
    });
}

#[test]
fn a_name_that_appears_later_is_found() {
    in_private_network(|| {
        let (is_there, peer) = (Arc::new(AtomicBool::new(false)), Peer::start(|stream, _| drop(stream)));
        let seen = Arc::clone(&is_there);
        let _server = NameServer::start("options timeout:1 attempts:1", move |_| {
            let found = Answer::Addresses(vec![address("127.0.0.1")]);
            at_once(if seen.load(Ordering::SeqCst) { found } else { Answer::NxDomain })
        });
        let run = Run::new().target(format!("late.example:{}", peer.port)).args(["-t", "30s"]).spawn();
        run.wait_for_stderr("the name late.example does not resolve");
        is_there.store(true, Ordering::SeqCst);
        run.finish().expect_status(0).expect_elapsed(0..=3000);
    });
}

#[test]
fn a_kubernetes_search_list_with_a_dot_finds_short_and_whole_names() {
    in_private_network(|| {
        let options =
            "search ns.svc.cluster.local svc.cluster.local cluster.local .\noptions ndots:5 timeout:1 attempts:1";
        let _server = NameServer::start(options, |name| match name {
            "db.ns.svc.cluster.local." | "outside.example." => at_once(Answer::Addresses(vec![address("127.0.0.1")])),
            _ => at_once(Answer::NxDomain),
        });
        let peer = Peer::start(|stream, _| drop(stream));
        for name in ["db", "db.ns", "db.ns.svc", "db.ns.svc.cluster.local", "outside.example", "outside.example."] {
            Run::new().target(format!("{name}:{}", peer.port)).args(["-t", "5s"]).finish().expect_status(0);
        }
        let run = Run::new().target(format!("missing:{}", peer.port)).args(["-t", "500ms"]).finish();
        run.expect_status(124).expect_stderr("search list: ns.svc.cluster.local svc.cluster.local cluster.local .");
    });
}

#[test]
fn localhost_is_both_families() {
    in_private_network(|| {
        replace("/etc/hosts", "::1 localhost\n127.0.0.1 localhost\n");
        for ip in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind(SocketAddr::new(address(ip), free_port())).unwrap();
            let port = listener.local_addr().unwrap().port();
            let run = Run::new().target(format!("localhost:{port}")).args(["-t", "5s"]).finish();
            run.expect_status(0).expect_stderr(&SocketAddr::new(address(ip), port).to_string());
        }
    });
}

/// The attempts that a timed-out run counts, over all its targets.
fn attempts_of(finished: &Finished) -> u32 {
    let attempts = finished.stderr.lines().filter_map(|line| line.split_once(" attempts; last: "));
    attempts.filter_map(|(head, _)| head.rsplit(' ').next()?.parse::<u32>().ok()).sum()
}

#[test]
fn closed_ports_that_meet_themselves_or_each_other_are_never_taken_for_servers() {
    in_private_network(|| {
        sh("echo 40000 40015 > /proc/sys/net/ipv4/ip_local_port_range");
        let closed = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_004));
        // It does happen here: this is what must not be taken for a server.
        let met_itself =
            (0..5000).any(|_| TcpStream::connect(closed).is_ok_and(|s| s.local_addr().ok() == Some(closed)));
        assert!(met_itself, "no connection to itself in 5000 attempts: the test proves nothing");
        // The port that this leaves in TIME-WAIT is none of these. Two gates, because the connections
        // of one can also meet those of the other.
        let gates =
            [[40_000, 40_003, 40_006, 40_009, 40_010, 40_013], [40_001, 40_002, 40_007, 40_008, 40_011, 40_014]];
        let mut attempts = 0;
        for _ in 0..30 {
            let runs = gates.map(|ports| {
                let targets = ports.map(|port| format!("127.0.0.1:{port}"));
                let fast = ["--any", "-t", "5s", "--interval", "200us", "--max-interval", "200us"];
                Run::new().args(targets).args(fast).command(["echo", "ran"]).spawn()
            });
            for run in runs {
                let finished = run.finish().expect_status(124).expect_stdout("");
                attempts += attempts_of(&finished);
            }
            if attempts >= 200_000 {
                break;
            }
        }
        println!("{attempts} attempts at closed ephemeral ports, none falsely ready");
        assert!(attempts >= 200_000, "{attempts} attempts");
        // And no attempt leaves a port behind that a server could not listen on.
        for port in gates.into_iter().flatten() {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        }
        // A server on such a port is one, even where a single connection fills its queue.
        for backlog in [128, 0] {
            let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 40_009)).into()).unwrap();
            listener.listen(backlog).unwrap();
            Run::new().target("127.0.0.1:40009").args(["-t", "5s"]).finish().expect_status(0);
        }
    });
}
