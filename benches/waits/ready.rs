//! Everything is up: what the gate adds to the bare command.

use std::net::{TcpListener, TcpStream};

use crate::Depth;
use crate::contender::{Contender, bare, millis};
use crate::support::certificates::Ca;
use crate::support::nginx::Nginx;
use crate::support::postgres::{PASSWORD, Postgres, SUPERUSER};
use crate::support::redis::Redis;
use crate::support::{eventually, free_port};
use crate::table::{Budget, Row, Table, Unit};

/// What is up, and who waits for it; the product comes first.
struct Figure {
    name: &'static str,
    budget: Option<f64>,
    contenders: Vec<Contender>,
}

pub fn run(depth: Depth, table: &mut Table) {
    let (http, https) = (free_port(), free_port());
    let ca = Ca::new();
    let files = ca.issue("server", &["127.0.0.1"]);
    let _nginx = Nginx::start(&format!(
        "server {{ listen 127.0.0.1:{http}; location / {{ return 200; }} }}\n\
         server {{ listen 127.0.0.1:{https} ssl; ssl_certificate {}; ssl_certificate_key {};\n\
         location / {{ return 200; }} }}",
        files.cert.display(),
        files.key.display()
    ));
    let postgres = Postgres::started();
    let redis = Redis::started(&[]);
    eventually("nginx", || [http, https].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()));

    let ca = ca.file().display().to_string();
    let url = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}/");
    let login = format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/postgres", postgres.port);
    let figures = [
        Figure {
            name: "tcp",
            budget: Some(1.0),
            contenders: vec![Contender::product([format!("127.0.0.1:{http}")]), Contender::wait_for_it(http, 30)],
        },
        Figure {
            name: "http",
            budget: Some(1.5),
            contenders: vec![Contender::product([url("http", http)]), Contender::curl(&url("http", http), "", "2")],
        },
        Figure {
            name: "https",
            budget: None,
            contenders: vec![
                Contender::product(["--tls-ca", &ca, &url("https", https)]),
                Contender::curl(&url("https", https), &format!("--cacert {ca}"), "2"),
            ],
        },
        Figure {
            name: "postgres, accepting",
            budget: None,
            contenders: vec![
                Contender::product([url("postgres", postgres.port)]),
                Contender::pg_isready(postgres.port),
            ],
        },
        Figure {
            name: "postgres, SCRAM login",
            budget: None,
            contenders: vec![Contender::product([&login]), Contender::psql(&login)],
        },
        Figure {
            name: "redis",
            budget: None,
            contenders: vec![Contender::product([url("redis", redis.port)]), Contender::redis_cli(redis.port)],
        },
    ];
    let bare = bare();
    let mut commands = Vec::new();
    for figure in figures {
        let mut rows: Vec<Row> = figure
            .contenders
            .iter()
            .map(|contender| {
                Row::new(
                    "ready",
                    format!("{}, over the bare command", figure.name),
                    &contender.name,
                    Unit::Milliseconds,
                )
            })
            .collect();
        // The first of each finds cold caches.
        for contender in &figure.contenders {
            contender.time();
        }
        for _ in 0..depth.pick(25, 200) {
            let alone = bare.time();
            commands.push(millis(alone));
            for (contender, row) in figure.contenders.iter().zip(&mut rows) {
                row.samples.push(millis(contender.time()) - millis(alone));
            }
        }
        rows[0].budgets.extend(figure.budget.map(Budget::Median));
        table.figure(rows);
    }
    beside_the_floor(depth, table, http);
    table.alone(Row::new("ready", "start to end", &bare.name, Unit::Milliseconds).samples(commands));
}

/// From the spawn to the end of the least command, beside the least gate.
fn beside_the_floor(depth: Depth, table: &mut Table, port: u16) {
    let own = |count: usize| -> Vec<TcpListener> {
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a listener")).collect()
    };
    let figures = [
        ("one tcp target, spawn to command".to_owned(), vec![format!("127.0.0.1:{port}")], Vec::new(), 1.4),
        ports_of_this_host(own(10)),
        ports_of_this_host(own(100)),
        ports_of_this_host(own(500)),
    ];
    for (figure, targets, listeners, most) in figures {
        let contenders = Contender::beside_the_floor(&targets);
        let mut rows =
            contenders.each_ref().map(|contender| Row::new("ready", &figure, &contender.name, Unit::Milliseconds));
        let rounds = depth.pick(25, 200) / if targets.len() > 50 { 2 } else { 1 };
        for round in 0..=rounds {
            for (contender, row) in contenders.iter().zip(&mut rows) {
                let took = millis(contender.time());
                // The first of each finds cold caches.
                row.samples.extend((round > 0).then_some(took));
                empty(&listeners);
            }
        }
        rows[0].budgets.push(Budget::OfPeer(most));
        table.figure(rows.into());
    }
}

/// Ready targets on ports that the kernel also gives to connections.
fn ports_of_this_host(listeners: Vec<TcpListener>) -> (String, Vec<String>, Vec<TcpListener>, f64) {
    let targets: Vec<String> =
        listeners.iter().map(|listener| listener.local_addr().expect("an address").to_string()).collect();
    (format!("ports of this host: {} tcp targets", targets.len()), targets, listeners, 1.6)
}

/// Takes the connections that wait, so that no queue is ever full.
fn empty(listeners: &[TcpListener]) {
    for listener in listeners {
        listener.set_nonblocking(true).expect("O_NONBLOCK");
        while listener.accept().is_ok() {}
    }
}
