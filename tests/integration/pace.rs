//! Patient and prompt: what servers see of a wait that are slow, silent or wrong, and how soon it ends once they are ready.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::peer::{Peer, hold, read_request, response};
use crate::support::pgbouncer::Pgbouncer;
use crate::support::wsgi::{Times, Wsgi};
use crate::support::{Run, connections_of, eventually, free_port};

/// A server that takes its time before it begins to answer, and for each answer.
const SLOW: Times = Times { import: 6.0, answer: 1.5 };

/// The gate is ready with the server's first answer, which is the only one that it had begun.
fn expect_ready_with_the_first_answer(server: &Wsgi) {
    let run = Run::new().target(server.url("/health")).timeout("30s").finish().expect_status(0);
    let late = server.since_the_first_answer().saturating_sub(run.withheld);
    println!("ready after {:?}, {late:?} after the first of {} answers", run.elapsed, server.requests());
    // How long the server takes to start is its own affair; a second answer would come 1.5 s after the first.
    assert!(late < Duration::from_secs(1), "{late:?}");
    assert!(server.requests() <= 2, "{} answers begun", server.requests());
}

#[test]
fn a_gunicorn_with_one_worker_is_ready_with_its_first_answer() {
    expect_ready_with_the_first_answer(&Wsgi::gunicorn(SLOW));
}

#[test]
fn a_uwsgi_with_one_worker_is_ready_with_its_first_answer() {
    expect_ready_with_the_first_answer(&Wsgi::uwsgi(SLOW));
}

#[test]
fn a_cold_pgbouncer_holds_one_login_of_each_gate() {
    let pooler = Pgbouncer::before(free_port(), "max_client_conn = 100");
    let gates: Vec<_> = (0..3).map(|_| Run::new().target(pooler.url("app")).timeout("15s").spawn()).collect();
    eventually("a login", || connections_of(pooler.port) >= 3);
    thread::sleep(Duration::from_secs(12).saturating_sub(gates[0].begun.elapsed()));
    assert_eq!(connections_of(pooler.port), 3);
    for gate in gates {
        gate.finish().expect_status(124).expect_stderr("connected, but no answer within");
    }
}

/// Answers each request after `takes`, with a number for each status.
fn slow_peer(takes: Duration) -> Peer {
    Peer::start(move |mut stream, _| {
        read_request(&mut stream);
        thread::sleep(takes);
        drop(stream.write_all(&response("200 OK", "")));
    })
}

#[test]
fn an_answer_that_takes_longer_than_an_attempt_may_counts() {
    let peer = slow_peer(Duration::from_secs(7));
    let run = Run::new().target(peer.url("/")).timeout("20s").finish().expect_status(0);
    let run = run.expect_elapsed(7000..=7500).expect_stderr("connected, but no answer within 5s");
    run.expect_stderr("ready: HTTP 200 OK (attempt 1, 7");
}

#[test]
fn a_limit_that_was_given_is_one() {
    for limit in [&["--attempt-timeout", "500ms"][..], &[]] {
        let peer = slow_peer(Duration::from_secs(2));
        let key = if limit.is_empty() { "#attempt-timeout=500ms" } else { "" };
        let run = Run::new().target(peer.url(&format!("/{key}"))).timeout("4s").args(limit.iter().copied()).finish();
        run.expect_status(124).expect_stderr("no answer within 500ms");
    }
}

#[test]
fn a_check_takes_no_longer_than_an_attempt_may() {
    let peer = slow_peer(Duration::from_secs(20));
    let run = Run::new().arg("--check").args(["--attempt-timeout", "1s"]).target(peer.url("/")).finish();
    run.expect_status(1).expect_elapsed(900..=1300);
}

#[test]
fn the_last_allowed_attempt_is_failed_five_seconds_after_it_began() {
    let peer = Peer::start(|stream, _| hold(stream));
    let run = Run::new().target(peer.url("/")).args(["--max-attempts", "1", "-t", "30s"]).finish();
    run.expect_status(124).expect_elapsed(5000..=5400);
}

/// When each connection came.
struct Arrivals {
    peer: Peer,
    moments: Arc<Mutex<Vec<Instant>>>,
}

impl Arrivals {
    fn of(script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let moments = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&moments);
        let peer = Peer::start(move |stream, number| {
            noted.lock().unwrap().push(Instant::now());
            script(stream, number);
        });
        Self { peer, moments }
    }

    /// How long after `begun`, in order.
    fn after(&self, begun: Instant) -> Vec<Duration> {
        let moments = self.moments.lock().unwrap();
        let mut after: Vec<Duration> = moments.iter().map(|moment| moment.saturating_duration_since(begun)).collect();
        after.sort();
        after
    }
}

#[test]
fn configured_pauses_hold_whatever_the_peer_does() {
    // Silent, answering, closing, and all of them in turn.
    let scripts: [fn(TcpStream, usize); 4] = [
        |stream, _| hold(stream),
        |mut stream, _| {
            read_request(&mut stream);
            drop(stream.write_all(&response("503 Service Unavailable", "")));
        },
        |stream, _| drop(stream),
        |mut stream, number| match number % 3 {
            0 => hold(stream),
            1 => drop(stream),
            _ => drop(stream.write_all(&response("503 Service Unavailable", ""))),
        },
    ];
    thread::scope(|scope| {
        for script in scripts {
            for limit in [&[][..], &["--attempt-timeout", "200ms"]] {
                scope.spawn(move || {
                    let arrivals = Arrivals::of(script);
                    let run =
                        Run::new().target(arrivals.peer.url("/")).args(["--interval", "1s", "--max-interval", "1s"]);
                    let running = run.args(limit.iter().copied()).timeout("8s").spawn();
                    let begun = running.begun;
                    running.finish().expect_status(124);
                    let mut after = arrivals.after(begun);
                    // The last attempt before the deadline is exempt.
                    after.pop();
                    // Not the gap between two: a connection may be accepted late, and the next at once. None is early.
                    let is_kept = (0..).zip(&after).all(|(number, after)| *after >= Duration::from_secs(number));
                    assert!(is_kept, "{after:?}");
                });
            }
        }
    });
}

#[test]
fn a_login_that_is_refused_is_tried_slowly_also_where_the_server_shall_be_down() {
    let peer = Peer::start(|mut stream, _| {
        drop(stream.read(&mut [0; 512]));
        drop(stream.write_all(b"-WRONGPASS invalid username-password pair\r\n"));
        hold(stream);
    });
    let run = Run::new().target(format!("redis://:x@127.0.0.1:{}", peer.port)).arg("--until-down").timeout("6s");
    run.finish().expect_status(124).expect_stderr("it still answers: WRONGPASS").expect_stderr("still trying every 4s");
    // At once, after 4 s, and just before the deadline.
    assert!(peer.connections() <= 3, "{} logins", peer.connections());
}

#[test]
fn a_silent_host_is_asked_no_more_often_because_another_one_refuses() {
    thread::scope(|scope| {
        for (scheme, path) in [("redis", "0"), ("mysql", "d"), ("mongodb", "d"), ("redis+sentinel", "m")] {
            scope.spawn(move || {
                let (peer, closed) = (Peer::start(|stream, _| hold(stream)), free_port());
                let url = format!("{scheme}://127.0.0.1:{},127.0.0.1:{closed}/{path}", peer.port);
                let run = Run::new().target(url).args(["--attempt-timeout", "300ms"]).timeout("6s").finish();
                run.expect_status(124).expect_stderr("refused");
                // After 0, 0.5, 1.5 and 3.2 s, and just before the deadline.
                assert!(peer.connections() <= 6, "{scheme}: {} connections", peer.connections());
            });
        }
    });
}

#[test]
fn what_swallowed_the_first_connections_is_found_within_two_seconds() {
    let is_ready = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_ready);
    let peer = Peer::start(move |mut stream, _| {
        if flag.load(Ordering::SeqCst) {
            read_request(&mut stream);
            drop(stream.write_all(&response("200 OK", "")));
        } else {
            hold(stream);
        }
    });
    let run = Run::new().target(peer.url("/")).timeout("20s").spawn();
    thread::sleep(Duration::from_secs(2).saturating_sub(run.begun.elapsed()));
    is_ready.store(true, Ordering::SeqCst);
    run.finish().expect_status(0).expect_elapsed(2000..=4000);
}

#[test]
fn kept_attempts_that_are_answered_at_once_are_one_success_of_a_row() {
    let kept = Arc::new(Mutex::new(Some(Vec::new())));
    let list = Arc::clone(&kept);
    let peer = Peer::start(move |mut stream, _| {
        read_request(&mut stream);
        match &mut *list.lock().unwrap() {
            Some(kept) => kept.push(stream),
            None => drop(stream.write_all(&response("200 OK", ""))),
        }
    });
    let run = Run::new().target(peer.url("/")).args(["--successes", "3", "--interval", "500ms"]).timeout("20s").spawn();
    eventually("three attempts", || kept.lock().unwrap().as_ref().is_some_and(|kept| kept.len() >= 3));
    let opened = Instant::now();
    for mut stream in kept.lock().unwrap().take().unwrap() {
        drop(stream.write_all(&response("200 OK", "")));
    }
    run.finish().expect_status(0);
    // Two pauses, of which the answers may take some milliseconds.
    assert!(opened.elapsed() >= Duration::from_millis(900), "{:?}", opened.elapsed());
}

#[test]
fn a_greeting_is_a_word_and_no_second_login_begins_beside_it() {
    let peer = Peer::start(|mut stream, _| {
        drop(stream.write_all(b"220 mail.example ESMTP\r\n"));
        hold(stream);
    });
    let run = Run::new().target(format!("smtp://127.0.0.1:{}", peer.port)).timeout("10s").finish();
    run.expect_status(124);
    assert!(peer.connections() <= 2, "{} connections, one of them just before the deadline", peer.connections());
}

#[test]
fn a_query_that_hangs_is_asked_once_and_a_limit_makes_it_no_loop() {
    // The last attempt before the deadline is one of them, and on a machine that halts one more.
    for (limit, most) in [(&[][..], 3), (&["--attempt-timeout", "1s"], 6)] {
        let logins = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&logins);
        let peer = Peer::start(move |mut stream, _| {
            let mut chunk = [0; 1024];
            let Ok(length) = stream.read(&mut chunk) else { return };
            // A cancel request (PostgreSQL's manual, 55.7) is none.
            if chunk[..length].get(4..8) != Some(&80_877_102_u32.to_be_bytes()) {
                counter.fetch_add(1, Ordering::SeqCst);
                drop(stream.write_all(b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I"));
                hold(stream);
            }
        });
        let url = format!("postgres://a:b@127.0.0.1:{}/d?sslmode=disable#query=select%201", peer.port);
        let run = Run::new().target(url).args(limit.iter().copied()).timeout("7s").finish();
        run.expect_status(124).expect_stderr("the database does not answer within");
        let logins = logins.load(Ordering::SeqCst);
        assert!(logins <= most, "{logins} logins, {limit:?}");
    }
}

#[test]
fn a_password_that_is_mended_is_noticed_within_five_seconds() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let (flag, refused) = (Arc::clone(&is_mended), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&refused);
    let peer = Peer::start(move |mut stream, _| {
        if flag.load(Ordering::SeqCst) {
            let mut chunk = [0; 1024];
            while matches!(stream.read(&mut chunk), Ok(1..)) {
                drop(stream.write_all(b"+OK\r\n+PONG\r\n"));
            }
        } else {
            counter.fetch_add(1, Ordering::SeqCst);
            drop(stream.write_all(b"-WRONGPASS invalid username-password pair\r\n"));
        }
    });
    let run = Run::new().target(format!("redis://:pw@127.0.0.1:{}", peer.port)).timeout("30s").spawn();
    thread::sleep(Duration::from_secs(6).saturating_sub(run.begun.elapsed()));
    is_mended.store(true, Ordering::SeqCst);
    run.finish().expect_status(0).expect_elapsed(6000..=11_000);
    assert!(refused.load(Ordering::SeqCst) <= 2, "{refused:?}");
}
