//! MariaDB, alone and in a Galera cluster.

use std::net::TcpStream;
use std::time::Duration;

use crate::page::{comes_to_hold, holds};
use crate::server::{ask, connections};
use crate::support::mariadb::MariaDb;
use crate::support::{eventually, free_port};

fn login(server: &MariaDb) -> String {
    format!("mysql://app:secret%20word@127.0.0.1:{}/app", server.port)
}

#[test]
fn states() {
    let server = MariaDb::started(&[]);
    holds("mariadb: logged in", &login(&server));
    holds("mariadb: accepting", &format!("mysql://127.0.0.1:{}", server.port));
    holds("mariadb: password", &login(&server).replace("secret", "wrong"));
    holds("mariadb: no database", &format!("mysql://app:secret%20word@127.0.0.1:{}/nowhere", server.port));
    server.sql("create database nobodys");
    server.sql("set global read_only = 1");
    holds("mariadb: read-only", &login(&server));
    let before = server.log().len();
    holds("mariadb: logged in", &login(&server));
    assert_eq!(&server.log()[before..], "", "what a login leaves in the log");
    drop(TcpStream::connect(("127.0.0.1", server.port)));
    eventually("a line", || server.log()[before..].contains("This connection closed normally without authentication"));
}

#[test]
fn a_lock_that_holds_everybody_up_does_not_hold_logins_up() {
    let server = MariaDb::started(&[]);
    let mut client = std::process::Command::new(crate::support::tool(&["mariadb"], "mariadb-client"))
        .args(["--no-defaults", "-u", "root", "-S", &server.socket()])
        .args(["-e", "flush tables with read lock; select sleep(60)"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the lock", || server.value("show processlist").contains("sleep(60)"));
    holds("mariadb: read lock", &login(&server));
    client.kill().unwrap();
    client.wait().unwrap();
}

#[test]
fn full() {
    let server = MariaDb::started(&["--max-connections=10"]);
    let all = connections(server.port, 40);
    comes_to_hold("mariadb: full", &login(&server));
    comes_to_hold("mariadb: full, no login", &format!("mysql://127.0.0.1:{}", server.port));
    drop(all);
}

#[test]
fn crash_recovery_leaves_port_and_socket_closed() {
    let server = MariaDb::started(&[]);
    let socket = format!("unix://{}", server.socket());
    holds("mariadb: socket", &socket);
    let pid: i32 = std::fs::read_to_string(server.path().join("pid")).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    comes_to_hold("mariadb: socket after KILL", &socket);
    comes_to_hold("mariadb: starting", &login(&server));
}

mod galera {
    use super::*;

    const READY: &str = "#query=select%20variable_value='ON'%20from%20information_schema.global_status%20\
                         where%20variable_name='wsrep_ready'";

    fn node(directory: tempfile::TempDir, cluster: &str, listen: u16, more: &[&str]) -> MariaDb {
        let base = format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{listen};ist.recv_addr=127.0.0.1:{}",
            free_port()
        );
        let provider = crate::support::tool(&["/usr/lib/galera/libgalera_smm.so"], "galera-4");
        let args = [
            "--wsrep-on=1".to_owned(),
            format!("--wsrep-provider={}", provider.display()),
            format!("--wsrep-cluster-address={cluster}"),
            "--binlog-format=row".to_owned(),
            "--wsrep-node-address=127.0.0.1".to_owned(),
            base,
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        MariaDb::start(directory, free_port(), &args)
    }

    #[test]
    fn a_node_without_its_cluster() {
        let lonely = node(MariaDb::prepared(), &format!("gcomm://127.0.0.1:{}", free_port()), free_port(), &[]);
        eventually("its search for the cluster", || {
            lonely.path().join("log.err").exists() && lonely.log().contains("gcomm")
        });
        holds("galera: joining", &login(&lonely));
    }

    #[test]
    fn a_node_that_has_lost_its_quorum() {
        let server = node(MariaDb::prepared(), "gcomm://", free_port(), &["--wsrep-new-cluster"]);
        eventually("the node", || {
            server.path().join("log.err").exists() && server.log().contains("Synchronized with group")
        });
        eventually("its port", || !ask(server.port, b"", Duration::from_millis(300)).is_empty());
        server
            .sql("create database app; create user app@'%' identified by 'secret word'; grant all on app.* to app@'%'");
        holds("galera: synced", &login(&server));
        let state = format!("{}{}", login(&server), READY);
        holds("galera: synced, wsrep_ready", &state);
        server.sql("set global wsrep_provider_options = 'pc.weight=0'");
        server.sql("set global wsrep_cluster_address = 'gcomm://127.0.0.1:1'");
        comes_to_hold("galera: no quorum", &login(&server));
        holds("galera: no quorum, query", &format!("{}#query=select%201", login(&server)));
        holds("galera: no quorum, wsrep_ready", &state);
    }
}
