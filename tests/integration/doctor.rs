//! `--check -v`: the steps of an attempt at real servers, and at servers that repeat what they were sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::PoisonError;

use serde_json::Value;

use crate::support::mariadb::MariaDb;
use crate::support::name_server::{Answer, NameServer, at_once};
use crate::support::network::{in_private_network, replace};
use crate::support::nx_27017::Nx;
use crate::support::peer::Peer;
use crate::support::postgres::Postgres;
use crate::support::rabbitmq::{ALARM, RabbitMq};
use crate::support::redis::Redis;
use crate::support::tansu::Tansu;
use crate::support::{Run, free_port};

const SECRET: &str = "hunter2secret";
const SCHEMA: &str = include_str!("../../docs/schema/report.schema.json");

/// The steps of a check as `step: detail`, from a report that follows its schema and holds no secret.
#[track_caller]
fn steps(target: &str) -> Vec<String> {
    let run = |options: &[&str]| {
        Run::new().args(["--check", "-v"]).args(options.iter().copied()).target(target).finish().expect_nowhere(SECRET)
    };
    let table = run(&[]).stdout;
    println!("{table}");
    let report: Value = serde_json::from_str(&run(&["--format", "json"]).stdout).unwrap();
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("report", serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let schema = compiler.compile("report", &mut schemas).unwrap();
    assert!(schemas.validate(&report, schema).is_ok(), "{report}");
    let steps = report["targets"][0]["steps"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    steps.map(|step| format!("{}: {}", text(&step["step"]), text(&step["detail"]))).collect()
}

#[track_caller]
fn expect(steps: &[String], expected: &[&str]) {
    for part in expected {
        let (step, detail) = part.split_once(": ").unwrap();
        let is_there = |line: &&String| line.starts_with(step) && line.contains(detail);
        assert!(steps.iter().any(|line| is_there(&line)), "{part} in {steps:#?}");
    }
}

#[test]
fn a_real_server_says_who_it_is_and_how_it_let_us_in() {
    let redis = Redis::started(&[]);
    assert_eq!(redis.command(&format!("acl setuser app on >{SECRET} ~* +@all")), "+OK\r\n");
    let told = steps(&format!("redis://app:{SECRET}@127.0.0.1:{}", redis.port));
    expect(&told, &["connect: connected to 127.0.0.1:", "login: by AUTH as app", "query: PONG"]);
    expect(&told, &["advertised: server redis, version ", "advertised: mode standalone, role master"]);

    let postgres = Postgres::started_with(&[], "host all app all scram-sha-256");
    postgres.psql(&format!("create role app login password '{SECRET}'"));
    let told = steps(&format!("postgres://app:{SECRET}@127.0.0.1:{}/postgres", postgres.port));
    expect(&told, &["login: server version ", "login: logged in as app by SCRAM-SHA-256, a primary"]);

    let mariadb = MariaDb::started(&["--read-only"]);
    mariadb.sql(&format!("create user checked@'%' identified by '{SECRET}'"));
    let told = steps(&format!("mysql://checked:{SECRET}@127.0.0.1:{}", mariadb.port));
    expect(&told, &["advertised: MariaDB", "login: by mysql_native_password, read-only"]);

    let _calm = ALARM.read().unwrap_or_else(PoisonError::into_inner);
    let rabbitmq = RabbitMq::shared();
    let told = steps(&format!("amqp://guest:guest@127.0.0.1:{}", rabbitmq.port));
    expect(&told, &["advertised: RabbitMQ 3", "advertised: logins by ", "login: as guest by PLAIN"]);

    let broker = Tansu::start(None, &[]);
    let told = steps(&format!("kafka://127.0.0.1:{}", broker.port));
    expect(&told, &["advertised: brokers: ", "advertised: , the controller"]);

    let mongo = Nx::start();
    let told = steps(&format!("mongodb://127.0.0.1:{}", mongo.port));
    expect(&told, &["advertised: standalone", "login: without a login, server version "]);
}

#[test]
fn what_a_server_repeats_of_a_login_is_hidden_in_its_steps() {
    // Redis, which says in its name what it was sent.
    let redis = Peer::start(|mut stream, _| {
        let mut sent = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut sent) {
            let name = SECRET.as_bytes();
            let reply = match &sent[..n] {
                text if text.windows(4).any(|word| word == b"AUTH") => b"+OK\r\n".to_vec(),
                text if text.windows(5).any(|word| word == b"HELLO") => {
                    [b"*2\r\n$6\r\nserver\r\n$13\r\n", name, b"\r\n+OK\r\n"].concat()
                }
                _ => b"+PONG\r\n".to_vec(),
            };
            drop(stream.write_all(&reply));
        }
    });
    expect(&steps(&format!("redis://:{SECRET}@127.0.0.1:{}", redis.port)), &["advertised: server ***"]);

    // Postgres, which is sent a password in clear from a file, and has it as its version.
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    };
    let postgres = Peer::start(move |mut stream, _| {
        let mut sent = [0; 4096];
        drop(stream.read(&mut sent));
        drop(stream.write_all(&message(b'R', &[0, 0, 0, 3])));
        drop(stream.read(&mut sent));
        let version = [b"server_version\0", SECRET.as_bytes(), b"\0"].concat();
        drop(stream.write_all(&[message(b'R', &[0; 4]), message(b'S', &version), message(b'Z', b"I")].concat()));
        drop(stream.read(&mut sent));
        drop(stream.write_all(&[message(b'I', b""), message(b'Z', b"I")].concat()));
    });
    let directory = crate::support::directory();
    let passfile = directory.path().join("pgpass");
    std::fs::write(&passfile, format!("*:*:*:*:{SECRET}\n")).unwrap();
    std::fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let place = format!("postgres://app@127.0.0.1:{}/app?sslmode=disable", postgres.port);
    let told = steps(&format!("{place}&passfile={}", passfile.display()));
    expect(&told, &["login: server version ***, logged in as app by a password in clear"]);
}

#[test]
fn addresses_are_told_with_their_source_and_what_became_of_each() {
    in_private_network(|| {
        let _server = NameServer::start("options timeout:1 attempts:1\nsearch example.org", |name| match name {
            "cache.example.org." => at_once(Answer::Addresses(vec![[127, 0, 0, 1].into()])),
            _ => at_once(Answer::NxDomain),
        });
        replace("/etc/hosts", "127.0.0.1 localhost\n\n127.0.0.2 db\n127.0.0.1 db\n");
        let port = free_port();
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let told = steps(&format!("db:{port}"));
        expect(&told, &["resolve: db is 127.0.0.2, 127.0.0.1 (/etc/hosts, line 3, 4)"]);
        let connected = format!("connect: connected to 127.0.0.1:{port}; connection refused by 127.0.0.2:{port}");
        expect(&told, &[&connected]);
        let told = steps(&format!("cache:{port}"));
        expect(&told, &["resolve: cache is 127.0.0.1 (", "resolve: name server 127.0.0.1)"]);
        let told = steps("nothing:1");
        expect(
            &told,
            &["resolve: failed: the name nothing does not resolve", "resolve: ; next: whether its container"],
        );
        assert_eq!(told.len(), 1, "{told:#?}");
    });
}
