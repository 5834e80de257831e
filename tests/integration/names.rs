//! Names whose name servers are silent, late, wrong or brief. Each test has a network of its own.

use std::net::{SocketAddr, SocketAddrV6, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::name_server::{Answer, NameServer, at_once};
use crate::support::network::{SLACK, address, firewall, in_private_network, loopback, replace, sh};
use crate::support::peer::Peer;
use crate::support::{Run, free_port, is_static};

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
fn an_interface_that_is_not_there_is_named() {
    let run = Run::new().target("tcp://[fe80::1%nowhere0]:80").timeout("100ms").finish();
    run.expect_status(124).expect_stderr("there is no network interface nowhere0 here");
    // The interfaces are those of this network, whichever network /sys was mounted in.
    in_private_network(|| {
        sh("ip link set lo down && ip link set lo name lo7 && ip link set lo7 up && \
            ip addr add fe80::77/64 dev lo7 nodad");
        let address = SocketAddrV6::new("fe80::77".parse().unwrap(), 0, 0, 1);
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let run = Run::new().target(format!("tcp://[fe80::77%lo7]:{port}")).timeout("10s").finish();
        run.expect_status(0).expect_stderr("[fe80::77%lo7]");
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
            "many.example." => at_once(Answer::Addresses(loopback(8))),
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

#[test]
fn an_answer_too_long_for_a_datagram_is_asked_for_again_over_tcp() {
    in_private_network(|| {
        let server = NameServer::start("options timeout:1 attempts:1", |name| match name {
            // All that a datagram of 512 bytes holds, or nothing of it.
            "many.example." => at_once(Answer::Truncated(loopback(25), Some(loopback(30)))),
            "empty.example." => at_once(Answer::Truncated(Vec::new(), Some(loopback(30)))),
            "cut.example." => at_once(Answer::Truncated(loopback(30), None)),
            _ => at_once(Answer::NxDomain),
        });
        // Only what is said over TCP leads here.
        let listener = TcpListener::bind((address("127.0.0.28"), free_port())).unwrap();
        let port = Peer::serve(listener, |stream, _| drop(stream));
        let run = |name: &str| Run::new().target(format!("{name}:{}", port.port)).args(["-t", "3s"]);
        for name in ["many.example", "empty.example"] {
            let finished = run(name).finish().expect_status(0).expect_stderr("connected to 127.0.0.28:");
            println!("{name}: {:?}", finished.elapsed);
        }
        assert!(server.asked_over_tcp() >= 2, "{} questions over TCP", server.asked_over_tcp());
        // Half an answer is none.
        let finished = run("cut.example").finish().expect_status(124).expect_elapsed(3000..=3000 + SLACK);
        finished.expect_stderr("the name cut.example does not resolve");
        firewall("tcp dport 53 reject with tcp reset");
        let finished = run("many.example").finish().expect_status(124);
        // getaddrinfo does not say what failed.
        if is_static() {
            finished.expect_stderr("refuses the TCP connection for the whole").expect_nowhere("refuses questions");
        }
        firewall("tcp dport 53 drop");
        run("many.example").finish().expect_status(124).expect_elapsed(3000..=3000 + SLACK);
        sh("nft flush ruleset");
        run("many.example").finish().expect_status(0);
    });
}

#[test]
fn an_answer_that_comes_after_the_deadline_does_not_move_it() {
    in_private_network(|| {
        let peer = Peer::start(|stream, _| drop(stream));
        let _server = NameServer::start("", |_| (Duration::from_millis(1300), Answer::Addresses(loopback(1))));
        for scheme in ["tcp", "http", "postgres", "redis", "dns"] {
            let target = match scheme {
                "dns" => "dns://late.example".to_owned(),
                _ => format!("{scheme}://late.example:{}", peer.port),
            };
            let finished = Run::new().target(target).args(["-t", "1s"]).command(["echo", "ran"]).finish();
            println!("{scheme}: {:?}", finished.elapsed);
            let finished = finished.expect_status(124).expect_stdout("").expect_elapsed(1000..=1000 + SLACK);
            finished.expect_stderr("no answer from the name service within ");
        }
    });
}

#[test]
fn an_answer_that_comes_after_an_attempts_time_is_used_by_a_later_attempt() {
    in_private_network(|| {
        let peer = Peer::start(|stream, _| drop(stream));
        let port = peer.port;
        let is_first = AtomicBool::new(true);
        let _server = NameServer::start("", move |name| {
            let is_late = name.starts_with("always.") || is_first.swap(false, Ordering::SeqCst);
            (Duration::from_millis(if is_late { 900 } else { 0 }), Answer::Addresses(loopback(1)))
        });
        for target in [format!("once.example:{port}"), format!("always.example:{port}"), "dns://always.example".into()]
        {
            let run = Run::new().target(&target).args(["-t", "30s", "--attempt-timeout", "300ms"]).finish();
            println!("{target}: {:?}", run.elapsed);
            run.expect_status(0).expect_elapsed(0..=3000);
        }
        // It is the answer of its time, and not for good.
        drop(peer);
        let run = Run::new().target(format!("always.example:{port}")).args(["-t", "30s", "--attempt-timeout", "300ms"]);
        let run = run.spawn();
        run.wait_for_stderr("connection refused by 127.0.0.1:").wait_for_stderr("no answer from the name service");
        let _peer = Peer::start_on(port, |stream, _| drop(stream));
        run.finish().expect_status(0);
    });
}

#[test]
fn a_question_for_the_other_family_that_is_never_answered_is_given_up() {
    in_private_network(|| {
        let peer = Peer::start(|stream, _| drop(stream));
        let _server = NameServer::start("options timeout:1 attempts:1", |_| at_once(Answer::Only(loopback(1))));
        let run = Run::new().target(format!("v4.example:{}", peer.port)).args(["--attempt-timeout", "500ms"]);
        let run = run.args(["-t", "30s"]).finish().expect_status(0);
        println!("ready after {:?}", run.elapsed);
    });
}

/// Expects a port of this host to be reached by each of these names, within so many milliseconds.
fn all_are_reached(names: &[&str], port: u16, at_most: u64) {
    for name in names {
        let run = Run::new().target(format!("{name}:{port}")).args(["-t", "20s"]).finish();
        println!("{name}: {:?}", run.elapsed);
        run.expect_status(0).expect_elapsed(0..=at_most);
        let check = Run::new().arg("--check").target(format!("{name}:{port}")).finish();
        check.expect_status(0).expect_elapsed(0..=at_most);
    }
}

#[test]
fn a_family_without_an_answer_does_not_hold_up_the_other() {
    in_private_network(|| {
        let _server = NameServer::by_family("search nowhere.example\noptions ndots:2", |name, is_v6| {
            let ip = if name.starts_with("v6-") { "::1" } else { "127.0.0.1" };
            let found = Answer::Addresses(vec![address(ip)]);
            if name.ends_with(".nowhere.example.") {
                return at_once(Answer::NxDomain);
            }
            if is_v6 == name.starts_with("v6-") {
                return at_once(found);
            }
            let what = name.split('.').next().unwrap_or_default().trim_start_matches("v6-").trim_start_matches("v4-");
            at_once(match what {
                "nxdomain" => Answer::NxDomain,
                "servfail" => Answer::ServFail,
                "refused" => Answer::Code(5),
                "notimp" => Answer::Code(4),
                "formerr" => Answer::Code(1),
                "bare" => Answer::Bare(1),
                "dropped" => Answer::Nothing,
                _ => Answer::Addresses(Vec::new()),
            })
        });
        let port = free_port();
        let _v4 = Peer::start_on(port, |stream, _| drop(stream));
        let _v6 = TcpListener::bind((address("::1"), port)).unwrap();
        for what in ["nodata", "nxdomain", "servfail", "refused", "notimp", "formerr", "bare", "dropped"] {
            for family in ["v4", "v6"] {
                let name = format!("{family}-{what}.example");
                // 50 ms after the other, and what a loaded machine takes.
                all_are_reached(&[&name, &format!("{name}.")], port, 1000);
            }
        }
    });
}

#[test]
fn hosts_files_are_read_as_they_are() {
    in_private_network(|| {
        let _server = NameServer::start("options timeout:1 attempts:1", |_| at_once(Answer::Nothing));
        let aliases: Vec<String> = (0..100).map(|n| format!("alias-{n}.example.svc.cluster.local")).collect();
        replace(
            "/etc/hosts",
            &format!("# db\n127.0.0.1\tDb localhost # cache\n127.0.0.1 {} last\n127.0.0.1 end", aliases.join(" ")),
        );
        let peer = Peer::start(|stream, _| drop(stream));
        all_are_reached(&["db", "DB", "LocalHost", &aliases[99], "last", "end"], peer.port, 1000);
        let run = Run::new().target(format!("cache:{}", peer.port)).args(["-t", "300ms"]).finish();
        run.expect_status(124);
    });
}

#[test]
fn localhost_needs_no_hosts_file() {
    in_private_network(|| {
        let _server = NameServer::start("", |_| at_once(Answer::Nothing));
        replace("/etc/hosts", "");
        let peer = Peer::start(|stream, _| drop(stream));
        all_are_reached(&["localhost", "localhost.", "app.localhost"], peer.port, 1000);
    });
}

#[test]
fn search_lists_are_as_long_as_kubernetes_allows() {
    in_private_network(|| {
        let domains: Vec<String> = (0..32).map(|n| format!("{n}.{}.example", "d".repeat(50))).collect();
        let list = domains.join(" ");
        assert!((256..2048).contains(&list.len()) && domains.len() == 32);
        let wanted = [format!("db.{}.", domains[30]), format!("db.{}.", domains[31]), "db.x.y.".to_owned()];
        let options = format!("search {list}\noptions ndots:5 timeout:1 attempts:1 edns0 trust-ad single-request");
        let found = move |name: &str| wanted.iter().any(|wanted| *wanted == name);
        let _server = NameServer::start(&options, move |name| {
            at_once(if found(name) { Answer::Addresses(vec![address("127.0.0.1")]) } else { Answer::NxDomain })
        });
        let peer = Peer::start(|stream, _| drop(stream));
        all_are_reached(&["db", "db.x.y", "db.x.y."], peer.port, 2000);
        let run = Run::new().target(format!("missing:{}", peer.port)).args(["-t", "300ms"]).finish();
        run.expect_status(124).expect_stderr("more): is it spelt right, and is its service up");
    });
}

#[test]
fn several_name_servers_are_asked() {
    in_private_network(|| {
        let peer = Peer::start(|stream, _| drop(stream));
        let there = |_: &str, _: bool| at_once(Answer::Addresses(vec![address("127.0.0.1")]));
        let _second = NameServer::at("127.0.0.2", there);
        let _broken = NameServer::at("127.0.0.3", |_, _| at_once(Answer::ServFail));
        let _silent = NameServer::at("127.0.0.4", |_, _| at_once(Answer::Nothing));
        for (first, at_most) in [("127.0.0.3", 1500), ("127.0.0.4", 2500), ("127.0.0.9", 1500)] {
            for options in ["", "rotate", "use-vc"] {
                // glibc asks nobody else over TCP after SERVFAIL or silence.
                if options == "use-vc" && first != "127.0.0.9" {
                    continue;
                }
                let conf =
                    format!("nameserver {first}\nnameserver 127.0.0.2\noptions timeout:1 attempts:1 {options}\n");
                replace("/etc/resolv.conf", &conf);
                println!("{first}, {options}");
                all_are_reached(&["db.example"], peer.port, at_most);
            }
        }
        // Without a file, it is this host that is asked.
        replace("/etc/resolv.conf", "");
        let _own = NameServer::at("127.0.0.1", there);
        all_are_reached(&["db.example"], peer.port, 1500);
    });
}

#[test]
fn answers_of_every_form_are_read() {
    in_private_network(|| {
        let server = NameServer::start("options timeout:1 attempts:1", |name| {
            let forty: Vec<_> = (2..=40).map(|last| [127, 0, 0, last].into()).chain([address("127.0.0.1")]).collect();
            at_once(match name.split('.').next().unwrap_or_default() {
                "alias" => Answer::Aliased(vec![address("127.0.0.1")]),
                "forged" => Answer::AfterForgery(vec![address("127.0.0.1")]),
                "forty" => Answer::Truncated(forty[..20].to_vec(), Some(forty)),
                "long" => Answer::Addresses(forty),
                _ => Answer::Addresses(vec![address("127.0.0.1")]),
            })
        });
        let port = free_port();
        let _peer = Peer::start_on(port, |stream, _| drop(stream));
        all_are_reached(&["alias.example", "forged.example", "forty.example", "long.example", "single"], port, 3000);
        assert!(server.asked_over_tcp() > 0);
    });
}

#[test]
fn a_record_of_another_type_is_waited_for_by_the_search_list_too() {
    in_private_network(|| {
        let is_there = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_there);
        let _server = NameServer::start("options timeout:1 attempts:1\nsearch example.org", move |name| {
            let server = [&[0, 1, 0, 1, 0x15, 0x38][..], b"\x02db\x00"].concat();
            at_once(match name {
                "_pg._tcp.db.example.org." if seen.load(Ordering::SeqCst) => Answer::Records(vec![(33, server)]),
                "example.org." => Answer::Records(vec![(15, b"\0\x0a\x02mx\0".to_vec())]),
                _ => Answer::NxDomain,
            })
        });
        let run = Run::new().target("dns://_pg._tcp.db#type=SRV").spawn();
        run.wait_for_stderr("has no SRV record");
        is_there.store(true, Ordering::SeqCst);
        run.finish().expect_status(0).expect_stderr("SRV records: db:5432");
        let down = Run::new().args(["--until-down", "dns://_pg._tcp.db#type=srv"]).spawn();
        down.wait_for_stderr("still up");
        is_there.store(false, Ordering::SeqCst);
        down.finish().expect_status(0);
        crate::support::ready("dns://example.org#type=MX").expect_stderr("MX records: mx");
        crate::support::not_ready("dns://example.org#type=TXT").expect_stderr("has no TXT record");
    });
    Run::new().target("dns://example.org#type=WKS").finish().expect_status(2).expect_stderr("try SRV, MX or TXT");
}

#[test]
fn a_name_that_is_gone_is_down_if_it_resolved_before() {
    in_private_network(|| {
        let (is_there, peer) = (Arc::new(AtomicBool::new(true)), Peer::start(|stream, _| drop(stream)));
        let seen = Arc::clone(&is_there);
        let _server = NameServer::start("options timeout:1 attempts:1", move |name| {
            at_once(match name {
                "db.example." | "broken.example." if seen.load(Ordering::SeqCst) => Answer::Addresses(loopback(1)),
                "broken.example." => Answer::ServFail,
                _ => Answer::NxDomain,
            })
        });
        let port = peer.port;
        let until_down = |target: String, time: &str| Run::new().arg("--until-down").target(target).args(["-t", time]);
        let runs = [format!("db.example:{port}"), "dns://db.example".to_owned()].map(|target| {
            let run = until_down(target, "30s").spawn();
            run.wait_for_stderr("still up");
            run
        });
        let broken = until_down(format!("broken.example:{port}"), "4s").spawn();
        broken.wait_for_stderr("still up");
        is_there.store(false, Ordering::SeqCst);
        for run in runs {
            run.finish().expect_status(0);
        }
        // A name server that does not know proves nothing, nor does a name that never was.
        broken.finish().expect_status(124).expect_stderr("no proof that it is down");
        let never = until_down(format!("never.example:{port}"), "500ms").finish();
        never.expect_status(124).expect_stderr("no proof that it is down: the name never.example does not resolve");
    });
}
