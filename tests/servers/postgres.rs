//! PostgreSQL of the version that `tests/run --servers` names, and the poolers before it.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::page::{check, comes_to_hold, holds};
use crate::server::{Plan, Server, debian};
use crate::support::pgbouncer::Pgbouncer;
use crate::support::postgres::{PASSWORD, Postgres, SUPERUSER, Session};
use crate::support::{eventually, free_port};

fn without_login(server: &Postgres) -> String {
    format!("postgres://127.0.0.1:{}/postgres", server.port)
}

#[test]
fn down_accepting_and_logged_in() {
    let mut server = Postgres::new();
    holds("postgres: down", &server.url("postgres"));
    server.start(&[]);
    server.wait_until_up();
    holds("postgres: accepting", &without_login(&server));
    holds("postgres: logged in", &server.url("postgres"));
    holds("postgres: password", &server.url("postgres").replace(PASSWORD, "wrong"));
    holds("postgres: no database", &server.url("nowhere"));
    // Before version 17 that leaves a line.
    holds("postgres: direct tls", &format!("{}?sslmode=require&sslnegotiation=direct", server.url("postgres")));
    let before = server.log().len();
    for target in [format!("127.0.0.1:{}", server.port), without_login(&server), server.url("postgres")] {
        check(&target);
    }
    assert_eq!(&server.log()[before..], "", "what probes leave in the log");
}

#[test]
fn crash_recovery() {
    let mut server = Postgres::started_with(&["max_wal_size=4GB", "checkpoint_timeout=1h"], "");
    server.psql("create table t as select repeat(md5(i::text), 20) from generate_series(1, 200000) i");
    let before = server.log().len();
    for child in server.children() {
        let _ = kill(child, Signal::SIGKILL);
    }
    // It starts again by itself. Its replay is halted, so that it can be looked at.
    eventually("the replay", || server.log()[before..].contains("redo starts at"));
    let replays: Vec<Pid> = server.children().into_iter().filter(|pid| title(*pid).contains("startup")).collect();
    for pid in &replays {
        kill(*pid, Signal::SIGSTOP).unwrap();
    }
    assert!(!replays.is_empty(), "no startup process to halt: the replay was too quick");
    comes_to_hold("postgres: crash recovery", &server.url("postgres"));
    holds("postgres: crash recovery", &without_login(&server));
    for pid in &replays {
        kill(*pid, Signal::SIGCONT).unwrap();
    }
    server.wait_until_up();
    server.stop(Signal::SIGINT);
}

fn title(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

#[test]
fn before_the_first_record_is_replayed() {
    let mut server = Postgres::new();
    let go = server.path().join("go");
    fs::write(server.data().join("recovery.signal"), "").unwrap();
    let restore = format!("restore_command=while [ ! -e {} ]; do sleep 0.02; done; false", go.display());
    server.start(&[&restore]);
    comes_to_hold("postgres: starting", &server.url("postgres"));
    fs::write(&go, "").unwrap();
    server.wait_until_up();
}

#[test]
fn a_smart_shutdown_with_a_session() {
    let server = Postgres::started();
    let session = server.session(SUPERUSER);
    server.signal(Signal::SIGTERM);
    comes_to_hold("postgres: shutting down", &server.url("postgres"));
    holds("postgres: shutting down", &without_login(&server));
    drop(session);
}

#[test]
fn full_and_closed_databases() {
    let server = Postgres::started_with(&["max_connections=5"], "");
    server.psql(&format!("create role app login password '{PASSWORD}'"));
    for name in ["invalid", "closed", "limited"] {
        server.psql(&format!("create database {name}"));
    }
    server.psql("update pg_database set datconnlimit = -2 where datname = 'invalid'");
    server.psql("alter database closed allow_connections false");
    server.psql("alter database limited connection limit 0");
    let app = |database: &str| server.url(database).replacen(SUPERUSER, "app", 1);
    holds("postgres: invalid database", &app("invalid"));
    holds("postgres: closed database", &app("closed"));
    holds("postgres: limited database", &app("limited"));
    let mut sessions: Vec<Session> = (0..2).map(|_| server.session("app").expect("a session")).collect();
    holds("postgres: reserved", &app("postgres"));
    sessions.extend((0..3).map(|_| server.session(SUPERUSER).expect("a session")));
    holds("postgres: full", &app("postgres"));
    // Where no login is tried, pg_isready calls it ready.
    holds("postgres: full, no login", &without_login(&server));
}

#[test]
fn standbys() {
    let primary = Postgres::started();
    let mut standby = Postgres::standby_of(&primary);
    holds("postgres: hot standby", &standby.url("postgres"));
    holds("postgres: read-only", &standby.url("postgres?target_session_attrs=read-write"));
    standby.stop(Signal::SIGINT);
    standby.start(&["hot_standby=off"]);
    comes_to_hold("postgres: no hot standby", &standby.url("postgres"));
}

#[test]
fn sockets_after_the_end() {
    let mut server = Postgres::started();
    let socket = format!("unix://{}/.s.PGSQL.{}", server.path().display(), server.port);
    holds("postgres: socket", &socket);
    server.signal(Signal::SIGKILL);
    comes_to_hold("postgres: socket after KILL", &socket);
    let socket = server.path().join(format!(".s.PGSQL.{}", server.port));
    assert!(socket.exists());
    // Its children work in the data directory until they notice.
    let data = server.data();
    let is_in_it = |entry: std::fs::DirEntry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data);
    eventually("the end of its children", || !std::fs::read_dir("/proc").unwrap().flatten().any(is_in_it));
    server.start(&[]);
    drop(server.session(SUPERUSER));
}

mod pgbouncer {
    use super::*;

    #[test]
    fn cold() {
        let server = Postgres::new();
        let pooler = Pgbouncer::before(server.port, "");
        holds("pgbouncer: cold", &pooler.url("app"));
    }

    #[test]
    fn paused_and_stopping() {
        let server = Postgres::started();
        let pooler = Pgbouncer::before(server.port, &format!("admin_users = {SUPERUSER}"));
        holds("pgbouncer: logged in", &pooler.url("app"));
        holds("pgbouncer: unknown database", &pooler.url("nowhere"));
        let mut console = Console::of(&pooler);
        console.run("PAUSE");
        holds("pgbouncer: paused", &pooler.url("app"));
        holds("pgbouncer: paused, no login", &format!("postgres://127.0.0.1:{}/app", pooler.port));
        console.run("RESUME");
        comes_to_hold("pgbouncer: logged in", &pooler.url("app"));
    }

    /// pgbouncer's administration console.
    struct Console(u16);

    impl Console {
        fn of(pooler: &Pgbouncer) -> Self {
            Self(pooler.port)
        }

        fn run(&mut self, command: &str) {
            let status = std::process::Command::new(crate::support::postgres_tool("psql"))
                .args(["-X", "-q", "-h", "127.0.0.1", "-U", SUPERUSER, "-d", "pgbouncer", "-c", command, "-p"])
                .arg(self.0.to_string())
                .env("PGPASSWORD", PASSWORD)
                .status()
                .expect("psql");
            assert!(status.success(), "{command}");
        }
    }
}

mod pgpool {
    use super::*;

    const CONF: &str = "listen_addresses = '127.0.0.1'\nport = PORT\nsocket_dir = 'DIR'\n\
        pcp_listen_addresses = ''\npcp_socket_dir = 'DIR'\nbackend_hostname0 = '127.0.0.1'\n\
        backend_clustering_mode = 'raw'\nenable_pool_hba = off\npool_passwd = ''\nnum_init_children = 4\n\
        pid_file_name = 'DIR/pgpool.pid'\nlogdir = 'DIR'\nwork_dir = 'DIR'\n";

    /// With `failover_on_backend_error` as it is by default, which is what detaches a node for good.
    fn before(port: u16) -> Server {
        Plan::new()
            .file("pgpool.conf", &format!("{CONF}pcp_port = {}\nbackend_port0 = {port}\n", free_port()))
            .file("pcp.conf", "")
            .file("hba", "")
            .start(&debian("pgpool", "pgpool2"), &["-n", "-f", "pgpool.conf", "-F", "pcp.conf", "-a", "hba"])
            .listening()
    }

    #[test]
    fn before_its_server() {
        let mut server = Postgres::new();
        server.hba("host all all 127.0.0.1/32 trust\n");
        let pooler = before(server.port);
        let login = format!("postgres://{SUPERUSER}:x@127.0.0.1:{}/postgres", pooler.port);
        holds("pgpool: port alone", &format!("127.0.0.1:{}", pooler.port));
        // The first login detaches the node.
        holds("pgpool: first login", &login);
        comes_to_hold("pgpool: all down", &login);
        server.start(&["password_encryption=md5"]);
        eventually("PostgreSQL", || check(&server.url("postgres")).is_healthy());
        holds("pgpool: all down", &login);
        // Its shared memory outlives it where it is killed: told to end, it removes that itself.
        pooler.signal(Signal::SIGINT);
        eventually("the end of pgpool", || kill(pooler.pid(), None).is_err());
    }
}

#[test]
fn twemproxy() {
    let mut server = crate::support::redis::Redis::started(&[]);
    let proxy = crate::support::redis::Redis::proxy_of(server.port);
    holds("twemproxy: its own", &format!("redis://127.0.0.1:{}", proxy.port));
    holds("twemproxy: key", &format!("redis://127.0.0.1:{}#key=k=v", proxy.port));
    server.stop();
    holds("twemproxy: its own", &format!("redis://127.0.0.1:{}", proxy.port));
    comes_to_hold("twemproxy: dead server", &format!("redis://127.0.0.1:{}#key=k", proxy.port));
}

#[test]
fn a_port_that_accepts_and_says_nothing() {
    // What a paused container looks like, and a listener whose process is stopped.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    holds("silent: tcp", &format!("127.0.0.1:{port}"));
    holds("silent: http", &format!("http://127.0.0.1:{port}/"));
    holds("silent: postgres", &format!("postgres://127.0.0.1:{port}/"));
    holds("silent: redis", &format!("redis://127.0.0.1:{port}/"));
}
