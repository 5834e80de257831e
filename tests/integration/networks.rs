//! Networks that drop, reject and mislead. Each test has a network of its own, in a namespace.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::name_server::{Answer, NameServer, at_once};
use crate::support::network::{SLACK, address, firewall, in_private_network, past_the_kernels_repeats, sh};
use crate::support::peer::{Peer, hold, response};
use crate::support::{Finished, Run, directory, eventually, free_port};

#[test]
fn the_command_runs_soon_after_a_firewall_lets_connections_through() {
    in_private_network(|| {
        let peer = Peer::start(|stream, _| hold(stream));
        let http = Peer::http(response("200 OK", ""));
        firewall(&format!("tcp dport {{ {}, {} }} drop", peer.port, http.port));
        let run = Run::new().target(format!("127.0.0.1:{}", peer.port)).target(http.url("/")).command(["echo", "ran"]);
        let run = run.spawn();
        run.wait_for_stderr("waiting for 2 targets");
        past_the_kernels_repeats();
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
fn a_queue_that_is_full_is_told_from_a_firewall() {
    in_private_network(|| {
        let port = free_port();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
        socket.listen(0).unwrap();
        let _first = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let run = Run::new().target(format!("127.0.0.1:{port}")).args(["-t", "1s", "--attempt-timeout", "400ms"]);
        run.finish().expect_status(124).expect_stderr("its queue is full, or a firewall drops it");
    });
}

#[test]
fn an_address_of_a_link_wants_its_interface_and_shows_it() {
    in_private_network(|| {
        let port = free_port();
        sh("ip link add eth7 type veth peer name eth8 && ip link set eth7 up && ip link set eth8 up");
        let run = Run::new().target(format!("[fe80::1]:{port}")).args(["-t", "300ms", "--report", "-"]).finish();
        run.expect_status(124).expect_in_stdout("\"unreachable\"").expect_stderr("needs its interface");
        let run = Run::new().target(format!("[fe80::9%eth7]:{port}")).args(["-t", "1s", "--attempt-timeout", "300ms"]);
        run.finish().expect_status(124).expect_stderr("[fe80::9%eth7]:").expect_nowhere("fe80::9%2");
    });
}

#[test]
fn a_socket_that_is_mounted_by_itself_and_made_anew_says_to_mount_its_directory() {
    in_private_network(|| {
        let directory = directory();
        let (outside, inside) = (directory.path().join("outside.sock"), directory.path().join("inside.sock"));
        let listener = std::os::unix::net::UnixListener::bind(&outside).unwrap();
        // Not dropped alone: a process that another test starts has it too, until it is executed.
        socket2::SockRef::from(&listener).shutdown(std::net::Shutdown::Both).unwrap();
        drop(listener);
        std::fs::write(&inside, "").unwrap();
        sh(&format!("mount --bind {} {}", outside.display(), inside.display()));
        std::fs::remove_file(&outside).unwrap();
        let _anew = std::os::unix::net::UnixListener::bind(&outside).unwrap();
        let run = Run::new().target(format!("unix://{}", inside.display())).args(["-t", "300ms"]).finish();
        run.expect_status(124).expect_stderr("mount its directory");
        sh(&format!("umount {}", inside.display()));
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
            (v4, "icmp prot-unreachable", "no route to 127.0.0.1", false),
            (v4, "icmp net-prohibited", "no route to the network of 127.0.0.1", false),
            (v4, "icmp host-prohibited", "no route to 127.0.0.1", false),
            (v4, "icmp admin-prohibited", "no route to 127.0.0.1", false),
            (v6, "tcp reset", "connection refused by", true),
            (v6, "icmpv6 port-unreachable", "connection refused by", true),
            (v6, "icmpv6 addr-unreachable", "no route to [::1]", false),
            (v6, "icmpv6 no-route", "no route to the network of [::1]", false),
            (v6, "icmpv6 admin-prohibited", "a firewall rule forbids connections to [::1]", false),
            (v6, "icmpv6 policy-fail", "a firewall rule forbids connections to [::1]", false),
            (v6, "icmpv6 reject-route", "a firewall rule forbids connections to [::1]", false),
        ] {
            let port = free_port();
            firewall(&format!("tcp dport {port} reject with {how}"));
            let run = Run::new().target(format!("tcp://{host}:{port}")).args(["-t", "30s"]);
            let down = Run::new().target(format!("tcp://{host}:{port}")).args(["-t", "30s", "--until-down"]).spawn();
            let run = run.spawn();
            // The kernel believes an ICMPv6 error only after its second SYN, if the first brings it while
            // connect(2) lasts.
            run.wait_for_stderr(&format!("not ready: {reason}")).signal(Signal::SIGTERM);
            run.finish().expect_status(143);
            if is_down {
                down.finish().expect_status(0);
            } else {
                down.wait_for_stderr("no proof that it is down: ").wait_for_stderr(reason).signal(Signal::SIGTERM);
                down.finish().expect_status(143);
            }
        }
    });
}

#[test]
fn until_down_wants_a_refusal_from_each_address_that_this_machine_can_have_a_way_to() {
    in_private_network(|| {
        let _server = NameServer::start("options timeout:1 attempts:1", |name| {
            let addresses: &[&str] = match name {
                // An IPv6 address means nothing where there is no IPv6: that of a Compose service, say.
                "dual.example." => &["127.0.0.1", "2001:db8::1"],
                // No way to a replica now is not the end of it.
                "replicas.example." => &["127.0.0.1", "10.1.2.3"],
                _ => &["127.0.0.1", "127.0.0.2"],
            };
            at_once(Answer::Addresses(addresses.iter().copied().map(address).collect()))
        });
        let until_down = |name| {
            let target = format!("{name}:{}", free_port());
            Run::new().target(target).args(["--until-down", "-t", "30s"]).spawn()
        };
        until_down("two.example").finish().expect_status(0);
        until_down("dual.example").finish().expect_status(0);
        let run = until_down("replicas.example");
        run.wait_for_stderr("no proof that it is down: ").wait_for_stderr("10.1.2.3").signal(Signal::SIGTERM);
        run.finish().expect_status(143);
    });
}

#[test]
fn each_route_that_leads_nowhere_is_named() {
    in_private_network(|| {
        for (route, reason) in [
            ("unreachable 10.1.0.0/16", "no route to 10.1.2.3:5432"),
            ("prohibit 10.1.0.0/16", "rule forbids connections to 10.1.2.3:5432"),
            ("blackhole 10.1.0.0/16", "no route to 10.1.2.3:5432"),
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

/// The attempts that a timed-out run counts, over all its targets.
fn attempts_of(finished: &Finished) -> u32 {
    let attempts = finished.stderr.lines().filter_map(|line| line.split_once(" attempts; last: "));
    attempts.filter_map(|(head, _)| head.rsplit(' ').next()?.parse::<u32>().ok()).sum()
}

/// The sockets of this network, and in which state they are.
fn sockets() -> String {
    std::fs::read_to_string("/proc/thread-self/net/tcp").expect("a list of sockets")
}

#[test]
fn what_meets_itself_at_an_address_of_this_host_leaves_no_port_behind() {
    in_private_network(|| {
        sh("echo 40000 40019 > /proc/sys/net/ipv4/ip_local_port_range");
        sh("ip addr add 10.9.9.9/32 dev lo");
        // Nobody listens here: what connects has met itself.
        let met_itself = |_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            socket.connect(&SocketAddr::from(([10, 9, 9, 9], 40_004)).into()).is_ok()
        };
        assert!((0..5000).any(met_itself), "no connection to itself in 5000 attempts: the test proves nothing");
        let targets = (40_000..40_020).map(|port| format!("10.9.9.9:{port}"));
        let fast = ["--any", "-t", "6s", "--interval", "200us", "--max-interval", "200us"];
        let runs = [0; 3].map(|_| Run::through("nice", &["-n", "19"]).args(targets.clone()).args(fast).spawn());
        for run in runs {
            run.finish().expect_status(124);
        }
        // In TIME-WAIT, between a port and itself.
        let left = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            matches!(fields[..], [_, local, remote, "06", ..] if local == remote)
        };
        assert!(!sockets().lines().any(left), "{}", sockets());
    });
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
        // As many rounds as a busy machine needs.
        for _ in 0..150 {
            let runs = gates.map(|ports| {
                let targets = ports.map(|port| format!("127.0.0.1:{port}"));
                let fast = ["--any", "-t", "5s", "--interval", "200us", "--max-interval", "200us"];
                // In the background: the other tests have deadlines to keep.
                Run::through("nice", &["-n", "19"]).args(targets).args(fast).command(["echo", "ran"]).spawn()
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
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
            free.unwrap_or_else(|error| panic!("{port}: {error}\n{}", sockets()));
        }
        // A server on such a port is one, even where a single connection fills its queue.
        for backlog in [128, 0] {
            let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_009)).into();
            // A process that another test starts has what listened here before, until it is executed. A port in TIME-WAIT
            // would be taken for longer than this waits.
            eventually("a port to listen on", || listener.bind(&address).is_ok());
            listener.listen(backlog).unwrap();
            Run::new().target("127.0.0.1:40009").args(["-t", "5s"]).finish().expect_status(0);
        }
        // So is one that is redirected to, of which the kernel lists no listener at that port.
        let peer = Peer::start(|stream, _| drop(stream));
        sh(&format!(
            "nft add table ip t && nft add chain ip t o '{{ type nat hook output priority -100; }}' && \
             nft add rule ip t o tcp dport 40010 redirect to :{}",
            peer.port
        ));
        Run::new().target("127.0.0.1:40010").args(["-t", "5s"]).finish().expect_status(0);
        // The peer counts a connection when it takes it, which may be after the gate has ended.
        eventually("a connection to probe and one to prove that somebody listens", || peer.connections() >= 2);
    });
}
