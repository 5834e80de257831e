//! Patient and prompt: what slow, silent, failing and late servers see of a wait, and how soon it ends once they
//! are ready. With `WHEN_READY_BASELINE=/path` another build of the product waits beside this one, in the same run.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Depth;
use crate::contender::{Contender, Racer, millis};
use crate::detect::{Before, Late, Scripted, http, postgres, redis};
use crate::idle::used;
use crate::support::peer::{Peer, hold, read_request, response};
use crate::support::pgbouncer::Pgbouncer;
use crate::support::rabbitmq::RabbitMq;
use crate::support::wsgi::{Times, Wsgi};
use crate::support::{connections_of, free_port};
use crate::table::{Row, Table, Unit};

/// What one build comes to.
type Measure = Box<dyn Fn(&Contender) -> Vec<f64> + Send + Sync>;

struct Figure {
    name: String,
    unit: Unit,
    measure: Measure,
}

fn figure(
    name: impl Into<String>,
    unit: Unit,
    measure: impl Fn(&Contender) -> Vec<f64> + Send + Sync + 'static,
) -> Figure {
    Figure { name: name.into(), unit, measure: Box::new(measure) }
}

pub fn run(depth: Depth, table: &mut Table) {
    // They mostly sleep: the figures of a group are measured side by side, with each build.
    for group in [slow(), failing(), late(depth), real()] {
        side_by_side(&group, table);
    }
    one_worker(table);
    let name = "a closed port for 60 s: CPU time";
    let builds = builds();
    let rows = builds.iter().map(|gate| {
        let url = format!("127.0.0.1:{}", free_port());
        let before = used();
        // Nothing else is waited for meanwhile.
        let status = gate.with(&["-t", "60s", &url]).spawn().wait().expect("wait");
        assert!(!status.success(), "{status}");
        Row::new("pace", name, &gate.name, Unit::Milliseconds).sample(used() - before)
    });
    table.figure(rows.collect());
}

/// This build and the baseline, if there is one.
fn builds() -> Vec<Contender> {
    [Some(Contender::this_build()), Contender::baseline()].into_iter().flatten().collect()
}

fn side_by_side(figures: &[Figure], table: &mut Table) {
    let builds = builds();
    thread::scope(|scope| {
        let running: Vec<Vec<_>> = figures
            .iter()
            .map(|figure| builds.iter().map(|gate| scope.spawn(|| (figure.measure)(gate))).collect())
            .collect();
        for (figure, each) in figures.iter().zip(running) {
            let rows: Vec<Row> = each
                .into_iter()
                .zip(&builds)
                .map(|(samples, gate)| {
                    let samples = samples.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
                    eprintln!("{}: {}: mean {mean:.1} of {samples:.0?}", figure.name, gate.name);
                    Row::new("pace", figure.name.clone(), &gate.name, figure.unit).samples(samples)
                })
                .collect();
            table.figure(rows);
        }
    });
}

const BOOT: Duration = Duration::from_secs(12);

fn slow() -> Vec<Figure> {
    let mut figures = Vec::new();
    for takes in [500, 1000, 2000].map(Duration::from_millis) {
        let name = format!("a single worker, boot 12 s, {takes:?} an answer: ready after");
        figures.push(figure(name, Unit::Milliseconds, move |gate| {
            let worker = single_worker(takes);
            let begun = Instant::now();
            let ready = gate.with(&["-t", "60s", &worker.url("/")]).race().end_before(begun + Duration::from_secs(65));
            // One that gives up counts as never.
            let end = ready.filter(|(_, status)| status.success()).map(|(end, _)| end);
            vec![end.map_or(f64::INFINITY, |end| millis(end.saturating_duration_since(begun)))]
        }));
    }
    for (name, args) in [("defaults", &[][..]), ("5s and 5s", &["--interval", "5s", "--max-interval", "5s"])] {
        figures.push(figure(format!("a silent peer for 60 s, {name}: attempts"), Unit::Attempts, move |gate| {
            let peer = Peer::start(|stream, _| hold(stream));
            let url = peer.url("/");
            let racer = gate.with(&[args, &["-t", "60s", &url]].concat()).race();
            let _ = racer.end_before(Instant::now() + Duration::from_secs(65));
            vec![peer.connections() as f64]
        }));
    }
    for seconds in [2, 20] {
        figures.push(figure(format!("a stall of {seconds} s: lag"), Unit::Milliseconds, move |gate| {
            many(8, |n| {
                let (mut server, port) = Scripted::start_anywhere(Before::Stall, http);
                lag(gate, Duration::from_millis(seconds * 1000 + n * 53), &mut server, port, "http://127.0.0.1:PORT/")
            })
        }));
    }
    figures
}

fn failing() -> Vec<Figure> {
    let attempts = figure("a wrong password for 30 s: attempts", Unit::Attempts, |gate| {
        let peer = Peer::start(|stream, _| wrong_password(stream));
        let url = format!("redis://:pw@127.0.0.1:{}", peer.port);
        let _ = gate.with(&["-t", "30s", &url]).race().end_before(Instant::now() + Duration::from_secs(35));
        vec![peer.connections() as f64]
    });
    let mended = figure("a password that is mended after 15 s: lag", Unit::Milliseconds, |gate| {
        many(6, |n| {
            let (mut server, port) = Scripted::start_anywhere(Before::Refuse(wrong_password), logged_in);
            lag(gate, Duration::from_millis(15_000 + n * 700), &mut server, port, "redis://:pw@127.0.0.1:PORT")
        })
    });
    vec![attempts, mended]
}

/// A server that is ready or not.
type Script = fn(TcpStream, bool);

fn late(depth: Depth) -> Vec<Figure> {
    let count = depth.pick(12, 24);
    let mut figures = Vec::new();
    for (from, to) in [(3, 10), (20, 60)] {
        figures.push(figure(
            format!("a port that opens after {from} to {to} s: lag"),
            Unit::Milliseconds,
            move |gate| {
                many(count, |n| {
                    let delay = Duration::from_millis(from * 1000 + (to - from) * 1000 * n / count);
                    let mut server = Opening::reserved(|_| {});
                    let port = server.port;
                    lag(gate, delay, &mut server, port, "127.0.0.1:PORT")
                })
            },
        ));
    }
    let scripts: [(&str, Script, &str); 3] = [
        ("57P03", postgres, "postgres://127.0.0.1:PORT/"),
        ("LOADING", redis, "redis://127.0.0.1:PORT"),
        ("503", http, "http://127.0.0.1:PORT/"),
    ];
    for (name, script, url) in scripts {
        figures.push(figure(format!("refused for 20 s, {name} for 2 s: lag"), Unit::Milliseconds, move |gate| {
            many(8, |n| {
                let is_ready = Arc::new(AtomicBool::new(false));
                let flag = Arc::clone(&is_ready);
                let opening = Opening::reserved(move |stream| script(stream, flag.load(Ordering::SeqCst)));
                let port = opening.port;
                let mut server = Starting { opening, is_ready };
                lag(gate, Duration::from_millis(22_000 + n * 61), &mut server, port, url)
            })
        }));
    }
    figures
}

/// A port that is closed and nobody else's, and then a server's.
struct Opening {
    port: u16,
    socket: Socket,
    script: Option<Box<dyn Fn(TcpStream) + Send + Sync>>,
    peer: Option<Peer>,
}

impl Opening {
    fn reserved(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // Another run on this machine may take the port first.
        let is_bound = |port: &u16| socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, *port)).into()).is_ok();
        let port = std::iter::repeat_with(free_port).take(50).find(is_bound).expect("a port");
        Self { port, socket, script: Some(Box::new(script)), peer: None }
    }
}

impl Late for Opening {
    fn make_ready(&mut self) -> Instant {
        let script = self.script.take().expect("it opens once");
        let ready = Instant::now();
        self.socket.listen(128).expect("a listener");
        let listener = TcpListener::from(self.socket.try_clone().expect("a descriptor"));
        self.peer = Some(Peer::serve(listener, move |stream, _| script(stream)));
        ready
    }
}

/// A server that is there 2 s before it is ready.
struct Starting {
    opening: Opening,
    is_ready: Arc<AtomicBool>,
}

impl Late for Starting {
    fn prepare(&mut self, delay: Duration) {
        thread::sleep(delay.saturating_sub(Duration::from_secs(2)));
        self.opening.make_ready();
    }

    fn make_ready(&mut self) -> Instant {
        let ready = Instant::now();
        self.is_ready.store(true, Ordering::SeqCst);
        ready
    }
}

/// So many runs at once.
fn many(count: u64, sample: impl Fn(u64) -> f64 + Sync) -> Vec<f64> {
    let sample = &sample;
    thread::scope(|scope| {
        let all: Vec<_> = (0..count).map(|n| scope.spawn(move || sample(n))).collect();
        all.into_iter().map(|one| one.join().expect("a run")).collect()
    })
}

/// From the moment at which the server becomes ready, so long after the wait began, to the end of the wait.
fn lag(gate: &Contender, delay: Duration, server: &mut dyn Late, port: u16, url: &str) -> f64 {
    const CAP: Duration = Duration::from_secs(30);
    let begun = Instant::now();
    let racer = gate.with(&["-t", "none", &url.replace("PORT", &port.to_string())]).race();
    server.prepare(delay);
    thread::sleep((begun + delay).saturating_duration_since(Instant::now()));
    let ready = server.make_ready();
    let end = racer.success_before(ready + CAP);
    millis(end.map_or(CAP, |end| end.saturating_duration_since(ready)))
}

/// Accepts at once, and after its boot serves one request after another.
fn single_worker(takes: Duration) -> Peer {
    let booted = Instant::now() + BOOT;
    let worker = Mutex::new(());
    let turn = AtomicUsize::new(0);
    Peer::start(move |mut stream, number| {
        // Requests are served in the order of their connections.
        while turn.load(Ordering::SeqCst) < number {
            thread::sleep(Duration::from_millis(1));
        }
        let busy = worker.lock().expect("the worker");
        thread::sleep(booted.saturating_duration_since(Instant::now()));
        read_request(&mut stream);
        thread::sleep(takes);
        drop(stream.write_all(&response("200 OK", "")));
        drop(busy);
        turn.fetch_add(1, Ordering::SeqCst);
    })
}

/// Redis, after AUTH.
fn logged_in(mut stream: TcpStream, _: bool) {
    let mut chunk = [0; 1024];
    while matches!(stream.read(&mut chunk), Ok(1..)) {
        drop(stream.write_all(b"+OK\r\n+PONG\r\n"));
    }
}

fn wrong_password(mut stream: TcpStream) {
    drop(stream.read(&mut [0; 1024]));
    drop(stream.write_all(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"));
}

fn real() -> Vec<Figure> {
    let pooler = figure("cold pgbouncer, three gates, 60 s: clients that it holds", Unit::Attempts, |gate| {
        let pooler = Pgbouncer::before(free_port(), "max_client_conn = 100");
        let racers: Vec<Racer> = (0..3).map(|_| gate.with(&["-t", "60s", &pooler.url("app")]).race()).collect();
        thread::sleep(Duration::from_secs(58));
        let held = connections_of(pooler.port);
        for racer in racers {
            let _ = racer.end_before(Instant::now() + Duration::from_secs(4));
        }
        vec![held as f64]
    });
    let broker = figure("RabbitMQ with an alarm, 30 s: connections left", Unit::Attempts, |gate| {
        vec![rabbitmq_with_an_alarm(gate)]
    });
    vec![pooler, broker]
}

/// gunicorn with one worker, beside the loop that people write.
fn one_worker(table: &mut Table) {
    let gates = builds().into_iter().map(|gate| {
        let name = gate.name.clone();
        (name, Box::new(move |url: &str| gate.with(&["-t", "90s", url])) as Box<dyn Fn(&str) -> Contender + Send>)
    });
    let curl = |url: &str| Contender::curl(url, "-m5", "1");
    let all: Vec<_> = gates.chain([("a curl -m5 loop".to_owned(), Box::new(curl) as _)]).collect();
    let all: Vec<_> =
        all.into_iter().map(|(name, gate)| thread::spawn(move || (name, behind_gunicorn(&gate)))).collect();
    let all: Vec<_> = all.into_iter().map(|run| run.join().expect("a run")).collect();
    let row = |what: &str, unit, name: &str, figure| {
        Row::new("pace", format!("gunicorn, import 12 s, /health 2 s: {what}"), name, unit).sample(figure)
    };
    table.figure(all.iter().map(|(name, (after, _))| row("ready after", Unit::Milliseconds, name, *after)).collect());
    table.figure(all.iter().map(|(name, (_, begun))| row("answers begun", Unit::Attempts, name, *begun)).collect());
}

/// When the wait ends, and how many answers the server had begun by then.
fn behind_gunicorn(contender: &dyn Fn(&str) -> Contender) -> (f64, f64) {
    let server = Wsgi::gunicorn(Times { import: 12.0, answer: 2.0 });
    let begun = Instant::now();
    let end = contender(&server.url("/health")).race().end_before(begun + Duration::from_secs(95));
    let answers = server.requests() as f64;
    let end = end.filter(|(_, status)| status.success()).map(|(end, _)| end);
    (end.map_or(f64::INFINITY, |end| millis(end.saturating_duration_since(begun))), answers)
}

fn rabbitmq_with_an_alarm(gate: &Contender) -> f64 {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().expect("a turn");
    let server = RabbitMq::shared();
    server.control(&["set_vm_memory_high_watermark", "0.00001"]);
    let url = format!("amqp://app:secret%20word@127.0.0.1:{}", server.port);
    let _ = gate.with(&["-t", "30s", &url]).race().end_before(Instant::now() + Duration::from_secs(33));
    let left = server.control(&["-q", "list_connections", "name"]).lines().filter(|line| line.contains("->")).count();
    server.control(&["set_vm_memory_high_watermark", "0.4"]);
    left as f64
}
