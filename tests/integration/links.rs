//! Links that are slow, lossy or cut, and addresses that move. Each test has a network of its own,
//! with hosts in it that run real servers.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::name_server::{Answer, NameServer, at_once};
use crate::support::network::{
    FarHost, Host, SLACK, address, firewall, in_private_network, lan, past_the_kernels_repeats, sh,
};
use crate::support::peer::{Peer, hold, read_request, respond, response};
use crate::support::postgres::{PASSWORD, Postgres, SUPERUSER};
use crate::support::redis::Redis;
use crate::support::{Run, Running, free_port, tool};

/// A server of each kind.
struct Servers {
    tcp: Peer,
    http: Peer,
    postgres: Postgres,
    redis: Redis,
    https: tls::Https,
}

impl Servers {
    /// Starts them on `host`, for whoever can reach it.
    fn on(host: &Host) -> Self {
        host.run(|| {
            let http = std::net::TcpListener::bind(("0.0.0.0", free_port())).unwrap();
            let tcp = std::net::TcpListener::bind(("0.0.0.0", free_port())).unwrap();
            Self {
                tcp: Peer::serve(tcp, |stream, _| hold(stream)),
                http: Peer::serve(http, respond(response("200 OK", ""))),
                postgres: Self::postgres(),
                redis: Redis::started(&["--bind", "0.0.0.0", "--protected-mode", "no", "--requirepass", PASSWORD]),
                https: tls::Https::start(),
            }
        })
    }

    fn postgres() -> Postgres {
        let everywhere = "listen_addresses=*";
        let hba = "host all all 10.0.0.0/8 scram-sha-256";
        Postgres::started_with(&[&[everywhere][..], &tls::for_postgres()].concat(), hba)
    }

    /// What leads to them at `host`, each with its options.
    fn targets(&self, host: &str) -> Vec<(&'static str, Vec<String>)> {
        let postgres = format!("postgres://{SUPERUSER}:{PASSWORD}@{host}:{}/postgres", self.postgres.port);
        vec![
            ("tcp", vec![format!("tcp://{host}:{}", self.tcp.port)]),
            ("http", vec![format!("http://{host}:{}/", self.http.port)]),
            ("postgres", vec![format!("{postgres}?sslmode=disable")]),
            ("redis", vec![format!("redis://:{PASSWORD}@{host}:{}/1", self.redis.port)]),
            ("https", self.https.target(host)),
            ("postgres over TLS", vec![format!("{postgres}?sslmode=require")]),
        ]
    }
}

/// Starts a wait for each of them.
fn waits(targets: Vec<(&'static str, Vec<String>)>) -> Vec<(&'static str, Running)> {
    let wait = |words: Vec<String>| Run::new().args(words).args(["-t", "60s"]).command(["echo", "ran"]).spawn();
    targets.into_iter().map(|(name, words)| (name, wait(words))).collect()
}

/// Asserts that each of them runs its command at most so long after `since`.
fn ran_within(at_most: Duration, since: Instant, waits: Vec<(&'static str, Running)>) {
    for (name, run) in waits {
        run.wait_for_stdout("ran");
        let took = since.elapsed();
        println!("{name}: the command has run after {took:?}");
        assert!(took < at_most, "{name} took {took:?}:\n{}", run.stderr_so_far());
        run.finish().expect_status(0);
    }
}

/// Where an attempt of the last half second is what finds the server, on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Where nothing does before the kernel asks for the server's link address once more, each second, or
/// the next attempt asks for the name's address, at most 2 s after the one before. It is still well
/// before the kernel would send its next SYN.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn a_link_that_comes_back_is_used_at_once() {
    in_private_network(|| {
        lan();
        let host = Host::in_lan("server", "10.0.0.2");
        let servers = Servers::on(&host);
        println!("this host's interface:");
        sh("ip link set lan down");
        let runs = waits(servers.targets("10.0.0.2"));
        for (_, run) in &runs {
            run.wait_for_stderr("no route to the network of 10.0.0.2:");
        }
        past_the_kernels_repeats();
        let up = Instant::now();
        sh("ip link set lan up");
        ran_within(AT_ONCE, up, runs);
        println!("the server's interface:");
        host.sh("ip link set lan down");
        let runs = waits(servers.targets("10.0.0.2"));
        for (_, run) in &runs {
            run.wait_for_stderr("no route to 10.0.0.2:");
        }
        let up = Instant::now();
        host.sh("ip link set lan up");
        ran_within(SOON, up, runs);
    });
}

#[test]
fn a_link_that_is_cut_while_a_server_starts_is_used_again_soon() {
    in_private_network(|| {
        lan();
        let host = Host::in_lan("server", "10.0.0.2");
        let has_started = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_started);
        let server = Peer::serve(host.listen((address("10.0.0.2"), free_port())), move |stream, number| {
            let status = if seen.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
            respond(response(status, ""))(stream, number);
        });
        let wait = || waits(vec![("http", vec![format!("http://10.0.0.2:{}/", server.port)])]);

        let run = wait();
        run[0].1.wait_for_stderr("HTTP 503");
        sh("ip link set server down");
        has_started.store(true, Ordering::SeqCst);
        past_the_kernels_repeats();
        let back = Instant::now();
        sh("ip link set server up");
        ran_within(SOON, back, run);

        has_started.store(false, Ordering::SeqCst);
        let run = wait();
        run[0].1.wait_for_stderr("HTTP 503");
        firewall("iifname lan drop");
        has_started.store(true, Ordering::SeqCst);
        past_the_kernels_repeats();
        let back = Instant::now();
        sh("nft flush ruleset");
        ran_within(AT_ONCE, back, run);
    });
}

#[test]
fn a_name_that_moves_to_another_address_is_followed() {
    in_private_network(|| {
        lan();
        let (old, new) = (Host::in_lan("old", "10.0.0.2"), Host::in_lan("new", "10.0.0.3"));
        let servers = Servers::on(&new);
        let has_moved = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_moved);
        let _names = NameServer::start("options timeout:1 attempts:1", move |_| {
            let now = if seen.load(Ordering::SeqCst) { "10.0.0.3" } else { "10.0.0.2" };
            at_once(Answer::Addresses(vec![address(now)]))
        });
        println!("from where connections are refused:");
        let runs = waits(servers.targets("server.example"));
        for (_, run) in &runs {
            run.wait_for_stderr("connection refused by 10.0.0.2:");
        }
        let moved = Instant::now();
        has_moved.store(true, Ordering::SeqCst);
        ran_within(AT_ONCE, moved, runs);

        println!("from where nothing answers:");
        has_moved.store(false, Ordering::SeqCst);
        old.run(|| firewall("meta l4proto tcp drop"));
        let runs = waits(servers.targets("server.example"));
        past_the_kernels_repeats();
        let moved = Instant::now();
        has_moved.store(true, Ordering::SeqCst);
        ran_within(SOON, moved, runs);
    });
}

#[test]
fn a_host_that_goes_in_the_middle_of_a_login_keeps_nobody_from_the_new_one() {
    in_private_network(|| {
        lan();
        let (old, new) = (Host::in_lan("old", "10.0.0.2"), Host::in_lan("new", "10.0.0.3"));
        let port = free_port();
        let (spoken, has_spoken) = mpsc::channel();
        let spoken = Mutex::new(spoken);
        // It takes the password, and says no more: whoever has spoken is not asked again beside that for 20 s.
        let _silent = Peer::serve(old.listen((address("10.0.0.2"), port)), move |mut stream, _| {
            drop(stream.read(&mut [0; 1024]));
            drop(stream.write_all(b"+OK\r\n"));
            let _ = spoken.lock().unwrap().send(());
            hold(stream);
        });
        let _ready = Peer::serve(new.listen((address("10.0.0.3"), port)), |mut stream, _| {
            while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
                drop(stream.write_all(b"+OK\r\n+PONG\r\n"));
            }
        });
        let has_moved = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_moved);
        let _names = NameServer::start("options timeout:1 attempts:1", move |_| {
            let now = if seen.load(Ordering::SeqCst) { "10.0.0.3" } else { "10.0.0.2" };
            at_once(Answer::Addresses(vec![address(now)]))
        });
        let runs = waits(vec![("redis", vec![format!("redis://:{PASSWORD}@server.example:{port}")])]);
        has_spoken.recv_timeout(Duration::from_secs(10)).expect("a login");
        has_moved.store(true, Ordering::SeqCst);
        old.run(|| firewall("meta l4proto tcp drop"));
        ran_within(Duration::from_secs(12), Instant::now(), runs);
    });
}

#[test]
fn an_answer_that_comes_late_may_lead_to_another_host() {
    in_private_network(|| {
        lan();
        let (slow, next) = (Host::in_lan("slow", "10.0.0.2"), Host::in_lan("next", "10.0.0.3"));
        let port = free_port();
        let _next = Peer::serve(next.listen((address("10.0.0.3"), port)), respond(response("200 OK", "")));
        let _slow = Peer::serve(slow.listen((address("10.0.0.2"), port)), move |mut stream, _| {
            read_request(&mut stream);
            // Longer than an attempt has to connect.
            std::thread::sleep(Duration::from_secs(6));
            let head = format!("HTTP/1.1 302 Found\r\nLocation: http://10.0.0.3:{port}/\r\nContent-Length: 0\r\n\r\n");
            drop(stream.write_all(head.as_bytes()));
        });
        let url = format!("http://10.0.0.2:{port}/#follow=any");
        Run::new().target(url).args(["-t", "30s"]).finish().expect_status(0).expect_elapsed(6000..=9000);
    });
}

#[test]
fn an_address_that_moves_to_another_host_is_found_there() {
    in_private_network(|| {
        lan();
        let (old, new) = (Host::in_lan("old", "10.0.0.2"), Host::in_lan("new", "10.0.0.3"));
        old.sh("ip addr add 10.0.0.9/24 dev lan");
        let servers = Servers::on(&new);
        let runs = waits(servers.targets("10.0.0.9"));
        for (_, run) in &runs {
            run.wait_for_stderr("connection refused by 10.0.0.9:");
        }
        old.sh("ip addr del 10.0.0.9/24 dev lan");
        past_the_kernels_repeats();
        // Whoever takes over an address says so (RFC 5227, section 3), or it may take half a minute.
        let arping = format!("{} arping", tool(&["busybox"], "busybox-static").display());
        let moved = Instant::now();
        new.sh(&format!("ip addr add 10.0.0.9/24 dev lan && {arping} -U -c 1 -I lan 10.0.0.9 >/dev/null"));
        ran_within(AT_ONCE, moved, runs);
    });
}

#[test]
fn three_hundred_milliseconds_each_way_leave_time_for_an_attempt() {
    in_private_network(|| {
        let far = FarHost::new(0.3);
        let servers = Servers::on(&far.host);
        let reports = crate::support::directory();
        // The first wait also asks for the link address, which takes a round trip of its own.
        let mut targets = servers.targets("10.0.0.2");
        let others = targets.split_off(1);
        for targets in [targets, others] {
            let report = |name: &str| reports.path().join(name).display().to_string();
            let with_report = |(name, words): (&'static str, Vec<String>)| {
                (name, [words, vec!["--report".to_owned(), report(name)]].concat())
            };
            for (name, run) in waits(targets.into_iter().map(with_report).collect()) {
                let finished = run.finish().expect_status(0);
                let json: serde_json::Value = serde_json::from_slice(&std::fs::read(report(name)).unwrap()).unwrap();
                let target = &json["targets"][0];
                let (attempts, after) =
                    (target["attempts"].as_u64().unwrap(), target["ready_after_ms"].as_u64().unwrap());
                println!("{name}: ready after {after} ms, {attempts} attempts");
                // One after half a second, and then four in the time that an attempt has, which is 5 s.
                assert!(attempts <= 3 + after / 1250, "{attempts} attempts:\n{}", finished.stderr);
                assert!(after >= 600, "{after} ms for a round trip of 600 ms");
            }
        }
    });
}

#[test]
fn a_fifth_of_the_packets_lost_deceives_nobody_and_moves_no_deadline() {
    in_private_network(|| {
        lan();
        let host = Host::in_lan("server", "10.0.0.2");
        let servers = Servers::on(&host);
        let starting = host.listen((address("10.0.0.2"), free_port()));
        let starting = Peer::serve(starting, respond(response("503 Service Unavailable", "")));
        let mute = Peer::serve(host.listen((address("10.0.0.2"), free_port())), |stream, _| hold(stream));
        let loss = "iifname lan numgen random mod 100 < 20 drop";
        firewall(loss);
        host.run(|| firewall(loss));
        for _ in 0..5 {
            let never: Vec<_> = [
                format!("tcp://10.0.0.2:{}", free_port()),
                format!("http://10.0.0.2:{}/", starting.port),
                format!("http://10.0.0.2:{}/", mute.port),
                format!("postgres://10.0.0.2:{}/", mute.port),
                format!("postgres://{SUPERUSER}:wrong@10.0.0.2:{}/postgres", servers.postgres.port),
                format!("redis://:wrong@10.0.0.2:{}", servers.redis.port),
            ]
            .map(|target| Run::new().target(target).args(["-t", "2s"]).command(["echo", "ran"]).spawn())
            .into();
            let begun = Instant::now();
            ran_within(Duration::from_secs(60), begun, waits(servers.targets("10.0.0.2")));
            for run in never {
                run.finish().expect_status(124).expect_stdout("");
            }
        }
        // Alone, so that nothing but the network makes it late.
        for port in [free_port(), starting.port, mute.port] {
            let run = Run::new().target(format!("http://10.0.0.2:{port}/")).args(["-t", "2s"]).finish();
            println!("not ready after {:?}", run.elapsed);
            run.expect_status(124).expect_elapsed(2000..=2000 + SLACK);
        }
    });
}

mod tls {
    use std::sync::OnceLock;

    use crate::support::certificates::{Ca, Files};
    use crate::support::free_port;
    use crate::support::nginx::Nginx;

    /// A CA and the certificate that all servers have.
    fn certificate() -> &'static (Ca, Files) {
        static CERTIFICATE: OnceLock<(Ca, Files)> = OnceLock::new();
        CERTIFICATE.get_or_init(|| {
            let ca = Ca::new();
            let files = ca.issue("server", &["10.0.0.2", "10.0.0.9", "server.example"]);
            (ca, files)
        })
    }

    /// Options of a PostgreSQL server.
    pub fn for_postgres() -> Vec<&'static str> {
        static OPTIONS: OnceLock<[String; 2]> = OnceLock::new();
        let options = OPTIONS.get_or_init(|| {
            let files = &certificate().1;
            [format!("ssl_cert_file={}", files.cert.display()), format!("ssl_key_file={}", files.key.display())]
        });
        vec!["ssl=on", &options[0], &options[1]]
    }

    /// A server of https.
    pub struct Https {
        _nginx: Nginx,
        port: u16,
    }

    impl Https {
        pub fn start() -> Self {
            let (port, files) = (free_port(), &certificate().1);
            let nginx = Nginx::start(&format!(
                "server {{ listen {port} ssl; ssl_certificate {}; ssl_certificate_key {}; location / {{ return 200; }} }}",
                files.cert.display(),
                files.key.display()
            ));
            Self { _nginx: nginx, port }
        }

        pub fn target(&self, host: &str) -> Vec<String> {
            let ca = certificate().0.file().display().to_string();
            vec![format!("https://{host}:{}/", self.port), "--tls-ca".to_owned(), ca]
        }
    }
}
