//! What becomes ready late: from that moment to the end of the command.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Depth;
use crate::contender::{Contender, Racer, millis};
use crate::support::free_port;
use crate::support::peer::{Peer, hold, read_request, response};
use crate::table::{Budget, Row, Table, Unit};

/// So many delays are measured side by side: more would take the processor from each other.
const ABREAST: usize = 4;
/// So often the product waits for the same server: where its pauses fall is chance, and it costs little.
const TIMES: usize = 3;

/// A server that is told when to be ready.
pub trait Late: Send {
    /// Has the time until it is to be ready, and may be there before that.
    fn prepare(&mut self, _: Duration) {}
    /// Makes it ready; gives the moment just before.
    fn make_ready(&mut self) -> Instant;
}

/// Something that comes late, and who waits for it; the product comes first.
struct Kind {
    name: &'static str,
    server: fn(u16) -> Box<dyn Late>,
    contenders: fn(u16) -> Vec<Contender>,
    budgets: &'static [Budget],
    /// Of the time waited, in percent.
    share: Option<f64>,
}

const MEDIAN: &[Budget] = &[Budget::Median(60.0)];
const STALL: &[Budget] = &[Budget::Median(1000.0), Budget::Maximum(2000.0)];

const KINDS: [Kind; 8] = [
    Kind {
        name: "tcp, closed, then listening",
        server: |port| Box::new(Closed { port, peer: None }),
        contenders: |port| vec![Contender::product([format!("127.0.0.1:{port}")]), Contender::wait_for_it(port, 60)],
        budgets: MEDIAN,
        share: Some(2.0),
    },
    Kind {
        name: "http, 503, then 200",
        server: |port| Box::new(Scripted::start(port, Before::Answer, http)),
        contenders: http_contenders,
        budgets: MEDIAN,
        share: Some(2.0),
    },
    Kind {
        name: "postgres, 57P03, then accepting",
        server: |port| Box::new(Scripted::start(port, Before::Answer, postgres)),
        contenders: postgres_contenders,
        budgets: MEDIAN,
        share: Some(2.0),
    },
    Kind {
        name: "redis, LOADING, then PONG",
        server: |port| Box::new(Scripted::start(port, Before::Answer, redis)),
        contenders: redis_contenders,
        budgets: MEDIAN,
        share: Some(2.0),
    },
    Kind {
        name: "tcp, SYNs dropped, then let through",
        server: |port| Box::new(Full::start(port)),
        contenders: |port| vec![Contender::product([format!("127.0.0.1:{port}")]), Contender::wait_for_it(port, 60)],
        budgets: &[Budget::OfPeer(1.0 / 3.0)],
        share: None,
    },
    Kind {
        name: "http, stalled, then 200",
        server: |port| Box::new(Scripted::start(port, Before::Stall, http)),
        contenders: http_contenders,
        budgets: STALL,
        share: None,
    },
    Kind {
        name: "postgres, stalled, then accepting",
        server: |port| Box::new(Scripted::start(port, Before::Stall, postgres)),
        contenders: postgres_contenders,
        budgets: STALL,
        share: None,
    },
    Kind {
        name: "redis, stalled, then PONG",
        server: |port| Box::new(Scripted::start(port, Before::Stall, redis)),
        contenders: redis_contenders,
        budgets: STALL,
        share: None,
    },
];

fn http_contenders(port: u16) -> Vec<Contender> {
    let url = format!("http://127.0.0.1:{port}/health");
    vec![Contender::product([&url]), Contender::curl(&url, "", "2"), Contender::curl(&url, "", "0.1")]
}

fn postgres_contenders(port: u16) -> Vec<Contender> {
    vec![Contender::product([format!("postgres://127.0.0.1:{port}/")]), Contender::pg_isready(port)]
}

fn redis_contenders(port: u16) -> Vec<Contender> {
    vec![Contender::product([format!("redis://127.0.0.1:{port}")]), Contender::redis_cli(port)]
}

pub fn run(depth: Depth, table: &mut Table) {
    let delays: &[u64] = depth.pick(
        &[500, 730, 1090, 1370, 1910, 2230, 2670, 3010],
        &[500, 730, 1010, 1370, 1730, 2230, 2690, 3170, 3830, 4510, 5230, 6000],
    );
    // What has not noticed by then never will, or as good as never.
    let cap = Duration::from_secs(depth.pick(5, 6));
    for kind in &KINDS {
        eprintln!("measuring: detect: {}", kind.name);
        let mut trials = Vec::new();
        for round in 0..depth.pick(1, 3_u64) {
            for some in delays.chunks(ABREAST) {
                let some: Vec<Duration> = some.iter().map(|delay| Duration::from_millis(delay + 37 * round)).collect();
                thread::scope(|scope| {
                    let running: Vec<_> =
                        some.iter().map(|&delay| (delay, scope.spawn(move || trial(kind, delay, cap)))).collect();
                    for (delay, trial) in running {
                        trials.push((delay, trial.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
                    }
                });
            }
        }
        tabulate(kind, cap, &trials, table);
    }
}

/// One delay; what each contender took from readiness to its end, at most `cap`, each time that it ran.
fn trial(kind: &Kind, delay: Duration, cap: Duration) -> Vec<Vec<Duration>> {
    let port = free_port();
    let mut server = (kind.server)(port);
    let contenders = (kind.contenders)(port);
    let begun = Instant::now();
    let times = |index: usize| if index == 0 { TIMES } else { 1 };
    let racers: Vec<Vec<Racer>> = contenders
        .iter()
        .enumerate()
        .map(|(index, contender)| (0..times(index)).map(|_| contender.race()).collect())
        .collect();
    thread::sleep((begun + delay).saturating_duration_since(Instant::now()));
    let ready = server.make_ready();
    let took = |racer: Racer, name: &str| {
        let end = racer.success_before(ready + cap);
        assert!(end.is_none_or(|end| end >= ready), "{}: {name} was done before it was ready", kind.name);
        end.map_or(cap, |end| end.saturating_duration_since(ready))
    };
    let ends = racers.into_iter().zip(&contenders);
    ends.map(|(racers, contender)| racers.into_iter().map(|racer| took(racer, &contender.name)).collect()).collect()
}

fn tabulate(kind: &Kind, cap: Duration, trials: &[(Duration, Vec<Vec<Duration>>)], table: &mut Table) {
    let names: Vec<String> = (kind.contenders)(0).into_iter().map(|contender| contender.name).collect();
    let samples =
        |index: usize| trials.iter().flat_map(move |(delay, took)| took[index].iter().map(move |took| (*delay, *took)));
    let rows = names.iter().enumerate().map(|(index, name)| {
        let took = samples(index).map(|(_, took)| millis(took));
        Row::new("detect", kind.name, name, Unit::Milliseconds).samples(took).cap(Some(millis(cap)))
    });
    let mut rows: Vec<Row> = rows.collect();
    rows[0].budgets = kind.budgets.to_vec();
    table.figure(rows);
    if let Some(most) = kind.share {
        let rows = names.iter().enumerate().map(|(index, name)| {
            let shares = samples(index).map(|(delay, took)| took.as_secs_f64() / delay.as_secs_f64() * 100.0);
            Row::new("detect", format!("{}: share of the wait", kind.name), name, Unit::Percent).samples(shares)
        });
        let mut rows: Vec<Row> = rows.collect();
        rows[0].budgets.push(Budget::Median(most));
        table.figure(rows);
    }
}

/// A port that is closed at first.
struct Closed {
    port: u16,
    peer: Option<Peer>,
}

impl Late for Closed {
    fn make_ready(&mut self) -> Instant {
        let ready = Instant::now();
        self.peer = Some(Peer::start_on(self.port, |_, _| {}));
        ready
    }
}

/// What a connection meets that comes too early.
#[derive(Clone, Copy)]
pub enum Before {
    /// An answer that says "not yet".
    Answer,
    /// Nothing, even after the server is ready.
    Stall,
    /// Something else.
    Refuse(fn(TcpStream)),
}

/// A server that accepts from the start.
pub struct Scripted {
    is_ready: Arc<AtomicBool>,
    peer: Peer,
}

impl Scripted {
    fn start(port: u16, before: Before, answer: fn(TcpStream, bool)) -> Self {
        Self::of(before, answer, |script| Peer::start_on(port, script))
    }

    /// On any port, which it tells.
    pub fn start_anywhere(before: Before, answer: fn(TcpStream, bool)) -> (Self, u16) {
        let server = Self::of(before, answer, Peer::start);
        let port = server.peer.port;
        (server, port)
    }

    fn of(
        before: Before,
        answer: fn(TcpStream, bool),
        start: impl FnOnce(Box<dyn Fn(TcpStream, usize) + Send + Sync>) -> Peer,
    ) -> Self {
        let is_ready = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_ready);
        let script = move |stream: TcpStream, _: usize| match (before, flag.load(Ordering::SeqCst)) {
            (Before::Stall, false) => hold(stream),
            (Before::Refuse(refuse), false) => refuse(stream),
            (_, is_ready) => answer(stream, is_ready),
        };
        Self { is_ready, peer: start(Box::new(script)) }
    }
}

impl Late for Scripted {
    fn make_ready(&mut self) -> Instant {
        let ready = Instant::now();
        self.is_ready.store(true, Ordering::SeqCst);
        ready
    }
}

pub fn http(mut stream: TcpStream, is_ready: bool) {
    read_request(&mut stream);
    let status = if is_ready { "200 OK" } else { "503 Service Unavailable" };
    drop(stream.write_all(&response(status, "")));
}

pub fn redis(mut stream: TcpStream, is_ready: bool) {
    let answer: &[u8] = if is_ready { b"+PONG\r\n" } else { b"-LOADING Redis is loading the dataset in memory\r\n" };
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        // QUIT may be in the same packet as PING, and is obeyed.
        let quits = chunk[..length].windows(4).any(|word| word == b"QUIT");
        let answers = [answer, if quits { b"+OK\r\n" } else { b"" }].concat();
        if stream.write_all(&answers).is_err() || quits {
            return;
        }
    }
}

/// PostgreSQL without TLS that trusts everyone (section 55.2 of its manual).
pub fn postgres(mut stream: TcpStream, is_ready: bool) {
    const REQUESTS_FOR_ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];
    loop {
        let mut head = [0; 8];
        if stream.read_exact(&mut head).is_err() {
            return;
        }
        let [length, code] = [0, 4].map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let mut rest = vec![0; (length as usize).saturating_sub(8).min(10_000)];
        if stream.read_exact(&mut rest).is_err() {
            return;
        }
        if !REQUESTS_FOR_ENCRYPTION.contains(&code) {
            break;
        }
        if stream.write_all(b"N").is_err() {
            return;
        }
    }
    let answer: &[u8] = if is_ready {
        b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"
    } else {
        b"E\0\0\0\x3eSFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    };
    if stream.write_all(answer).is_ok() && is_ready {
        hold(stream);
    }
}

/// A listener whose queue is full: Linux drops the SYNs of all others, until it is drained.
struct Full {
    socket: Socket,
    queued: Vec<TcpStream>,
    peer: Option<Peer>,
}

impl Full {
    fn start(port: u16) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&address.into()).and_then(|()| socket.listen(0)).expect("a listener");
        let queued: Vec<_> =
            (0..16).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()).collect();
        assert!(queued.len() < 16, "no SYN is dropped");
        Self { socket, queued, peer: None }
    }
}

impl Late for Full {
    fn make_ready(&mut self) -> Instant {
        let ready = Instant::now();
        self.socket.listen(1024).expect("a longer queue");
        self.peer = Some(Peer::serve(TcpListener::from(self.socket.try_clone().expect("a descriptor")), |_, _| {}));
        self.queued.clear();
        ready
    }
}
