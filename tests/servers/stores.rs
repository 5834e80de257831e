//! Stores of keys and values, directories, time series and jobs.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::page::{comes_to_hold, holds};
use crate::server::{Plan, Server, ask, connections, debian};
use crate::support::{eventually, free_port};

mod etcd {
    use super::*;

    /// Members of a cluster of `size`, the first `count` of which are started.
    fn members(size: usize, count: usize) -> Vec<Server> {
        let peers: Vec<u16> = (0..size).map(|_| free_port()).collect();
        let cluster: Vec<String> =
            peers.iter().enumerate().map(|(n, port)| format!("m{n}=http://127.0.0.1:{port}")).collect();
        (0..count).map(|n| member(n, peers[n], &cluster.join(","), &[])).collect()
    }

    fn member(n: usize, peer: u16, cluster: &str, more: &[&str]) -> Server {
        let (name, peer) = (format!("m{n}"), format!("http://127.0.0.1:{peer}"));
        let args = [
            "--name",
            &name,
            "--data-dir",
            "DIR/data",
            "--listen-client-urls",
            "http://127.0.0.1:PORT",
            "--advertise-client-urls",
            "http://127.0.0.1:PORT",
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            cluster,
        ];
        Plan::new().start(&debian("etcd", "etcd-server"), &[&args[..], more].concat())
    }

    #[test]
    fn alone() {
        let member = members(1, 1).pop().unwrap();
        comes_to_hold("etcd: healthy", &member.url("http", "/health#json=/health=true"));
        holds("etcd: status alone", &member.url("http", "/health"));
        holds("etcd: grpc", &member.url("grpc", ""));
    }

    #[test]
    fn a_member_whose_peers_were_never_there() {
        let member = members(3, 1).pop().unwrap().listening();
        holds("etcd: no cluster yet, port", &format!("127.0.0.1:{}", member.port));
        holds("etcd: no cluster yet", &member.url("http", "/health#json=/health=true"));
    }

    #[test]
    fn a_member_that_has_lost_its_quorum() {
        let mut all = members(3, 3);
        comes_to_hold("etcd: healthy", &all[0].url("http", "/health#json=/health=true"));
        all.truncate(1);
        comes_to_hold("etcd: no quorum", &all[0].url("http", "/health#json=/health=true"));
        holds("etcd: no quorum, serializable", &all[0].url("http", "/health?serializable=true"));
        holds("etcd: no quorum, grpc", &all[0].url("grpc", ""));
    }

    #[test]
    fn a_member_out_of_space() {
        let peer = free_port();
        let member = member(0, peer, &format!("m0=http://127.0.0.1:{peer}"), &["--quota-backend-bytes", "65536"]);
        comes_to_hold("etcd: healthy", &member.url("http", "/health#json=/health=true"));
        let body = format!("{{\"key\":\"a2V5\",\"value\":\"{}\"}}", "QUFB".repeat(20_000));
        for _ in 0..3 {
            let head = format!(
                "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            ask(member.port, format!("{head}{body}").as_bytes(), Duration::from_secs(2));
        }
        comes_to_hold("etcd: out of space", &member.url("http", "/health#json=/health=true"));
    }
}

mod zookeeper {
    use super::*;

    fn start(more: &str) -> Server {
        let java = debian("java", "default-jre-headless");
        assert!(std::path::Path::new("/usr/share/java/zookeeper.jar").exists(), "install the package zookeeper");
        Plan::new()
            .file("zoo.cfg", &format!("tickTime=2000\ninitLimit=5\nsyncLimit=2\ndataDir=DIR/data\nclientPort=PORT\nadmin.enableServer=false\n{more}"))
            .file("data/myid", "1")
            .start(&java, &["-Xmx128m", "-cp", "/usr/share/java/*:/usr/share/zookeeper/*", "-Dzookeeper.jmx.log4j.disable=true", "org.apache.zookeeper.server.quorum.QuorumPeerMain", "zoo.cfg"])
            .listening()
    }

    #[test]
    fn alone_and_full() {
        let server = start("maxClientCnxns=2\n");
        holds("zookeeper: port", &format!("127.0.0.1:{}", server.port));
        // Connections that have just been closed still count.
        let refusal = b"ruok is not executed because it is not in the whitelist.\n";
        eventually("its refusal", || server.ask(b"ruok") == refusal);
        eventually("its version", || server.ask(b"srvr").starts_with(b"Zookeeper version: "));
        holds("zookeeper: scheme", &server.url("zookeeper", ""));
        let all = connections(server.port, 2);
        // Where its reset comes before the connection was looked at, that attempt is closed.
        comes_to_hold("zookeeper: full", &format!("127.0.0.1:{}", server.port));
        drop(all);
    }

    #[test]
    fn without_a_quorum() {
        let member = |n: u8| format!("server.{n}=127.0.0.1:{}:{}\n", free_port(), free_port());
        let members = [1, 2, 3].map(member).concat();
        let server = start(&members);
        let refusal = b"This ZooKeeper instance is not currently serving requests\n";
        eventually("its refusal", || server.ask(b"srvr") == refusal);
        holds("zookeeper: no quorum", &format!("127.0.0.1:{}", server.port));
    }
}

mod memcached {
    use super::*;

    fn start(more: &[&str]) -> Server {
        let args = ["-l", "127.0.0.1", "-p", "PORT", "-U", "0"];
        Plan::new()
            .file("users", "app:secret-word\n")
            .start(&debian("memcached", "memcached"), &[&args[..], more].concat())
            .listening()
    }

    #[test]
    fn ready_and_full() {
        let server = start(&["-c", "100", "-t", "4"]);
        holds("memcached: ready", &server.url("memcached", ""));
        let all = connections(server.port, 100);
        comes_to_hold("memcached: full", &server.url("memcached", ""));
        holds("memcached: full, port", &format!("127.0.0.1:{}", server.port));
        drop(all);
    }

    #[test]
    fn with_users() {
        let server = start(&["-Y", "DIR/users"]);
        holds("memcached: login wanted", &server.url("memcached", ""));
        holds("memcached: password", &format!("memcached://app:wrong@127.0.0.1:{}", server.port));
        holds("memcached: credentials", &format!("memcached://app:secret-word@127.0.0.1:{}", server.port));
        let server = start(&["-B", "binary"]);
        holds("memcached: binary", &server.url("memcached", ""));
    }

    #[test]
    fn sockets_after_the_end() {
        let mut server = Plan::new().start(&debian("memcached", "memcached"), &["-s", "DIR/socket"]);
        let socket = format!("unix://{}/socket", server.path().display());
        comes_to_hold("memcached: socket", &socket);
        server.signal(Signal::SIGTERM);
        comes_to_hold("memcached: socket after TERM", &socket);
        server.stop();
    }
}

#[test]
fn slapd() {
    let conf = "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
                pidfile DIR/slapd.pid\nloglevel stats\ndatabase mdb\nsuffix dc=example,dc=org\ndirectory DIR/data\n";
    let server = Plan::new()
        .file("slapd.conf", conf)
        .file("data/.keep", "")
        .start(&debian("slapd", "slapd"), &["-f", "slapd.conf", "-h", "ldap://127.0.0.1:PORT", "-d", "stats"])
        .listening();
    holds("slapd: port", &server.url("ldap", ""));
    server.logs("closed");
    server.signal(Signal::SIGTERM);
    comes_to_hold("slapd: gone", &server.url("ldap", ""));
}

#[test]
fn influxdb() {
    let conf = format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:{}\"\n[meta]\ndir = \"DIR/meta\"\n[data]\ndir = \"DIR/data\"\n\
         wal-dir = \"DIR/wal\"\n[http]\nbind-address = \"127.0.0.1:PORT\"\n",
        free_port()
    );
    let server =
        Plan::new().file("conf", &conf).start(&debian("influxd", "influxdb"), &["-config", "conf"]).listening();
    holds("influxdb: ping", &server.url("http", "/ping"));
    holds("influxdb: health", &server.url("http", "/health"));
}

#[test]
fn prometheus() {
    let server = Plan::new()
        .file("prometheus.yml", "global:\n  scrape_interval: 1h\n")
        .start(
            &debian("prometheus", "prometheus"),
            &["--config.file=prometheus.yml", "--storage.tsdb.path=DIR/data", "--web.listen-address=127.0.0.1:PORT"],
        )
        .listening();
    comes_to_hold("prometheus: ready", &server.url("http", "/-/ready"));
    holds("prometheus: healthy", &server.url("http", "/-/healthy"));
}

#[test]
fn beanstalkd() {
    let server = Plan::new().start(&debian("beanstalkd", "beanstalkd"), &["-l", "127.0.0.1", "-p", "PORT"]).listening();
    holds("beanstalkd: port", &format!("127.0.0.1:{}", server.port));
    server.signal(Signal::SIGUSR1);
    eventually("its draining", || server.ask(b"put 0 0 1 1\r\nx\r\n") == b"DRAINING\r\n");
    holds("beanstalkd: draining", &format!("127.0.0.1:{}", server.port));
}
