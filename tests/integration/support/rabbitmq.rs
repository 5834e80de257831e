//! A real RabbitMQ in a temporary directory. It takes its time to boot, so the tests share one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{OnceLock, RwLock};

use tempfile::TempDir;

use super::{Leash, directory, eventually, free_port, tool, unprivileged};

/// Its scripts, without Debian's wrapper, which wants its own user and directory.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// An alarm of the server that tests share is everybody's: who raises one, or counts what the server does, writes; others
/// read.
pub static ALARM: RwLock<()> = RwLock::new(());

/// A server, running.
pub struct RabbitMq {
    directory: TempDir,
    /// The port it listens on.
    pub port: u16,
    /// The port of its own name daemon, which is also the name of the node.
    names: u16,
    _process: Leash,
    _names: Leash,
}

impl RabbitMq {
    /// The one that the tests share: with the users app (`secret word`) and guest, the virtual hosts `/`, `prod/eu`
    /// and `closed`, and the queue `jobs`.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<RabbitMq> = OnceLock::new();
        SERVER.get_or_init(|| {
            let server = Self::start(directory(), free_port());
            eventually("RabbitMQ", || server.log().contains("startup complete"));
            server
        })
    }

    /// One that is being started.
    pub fn start(directory: TempDir, port: u16) -> Self {
        let path = directory.path();
        std::fs::write(path.join("definitions.json"), DEFINITIONS).unwrap();
        std::fs::write(path.join("plugins"), "[].\n").unwrap();
        let definitions = path.join("definitions.json");
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\nload_definitions = {}\n",
            definitions.display()
        );
        std::fs::write(path.join("rabbitmq.conf"), config).unwrap();
        let names = free_port();
        // In the foreground, so that it ends with the tests.
        let mut epmd = Leash::command(&erlang("epmd"));
        epmd.args(["-port", &names.to_string(), "-address", "127.0.0.1"]);
        let epmd = Leash::start(&mut epmd);
        // A node that finds none starts one that outlives it.
        eventually("epmd", || std::net::TcpStream::connect(("127.0.0.1", names)).is_ok());
        let mut command = Leash::command(Path::new("/bin/sh"));
        command.args(["-c", "exec \"$0\""]).arg(script("rabbitmq-server"));
        environment(&mut command, path, names);
        command.env("RABBITMQ_DIST_PORT", free_port().to_string());
        Self { port, names, _process: Leash::start(&mut command), _names: epmd, directory }
    }

    /// Runs `rabbitmqctl`.
    #[track_caller]
    pub fn control(&self, args: &[&str]) -> String {
        let mut command = unprivileged(&script("rabbitmqctl"));
        environment(&mut command, self.directory.path(), self.names);
        let output = command.args(args).output().expect("rabbitmqctl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let log = self.directory.path().join("log").join(format!("{}.log", node(self.names)));
        std::fs::read_to_string(log).unwrap_or_default()
    }
}

fn script(name: &str) -> PathBuf {
    tool(&[&format!("{SCRIPTS}/{name}")], "rabbitmq-server")
}

fn erlang(name: &str) -> PathBuf {
    tool(&[name], "erlang-base")
}

fn node(names: u16) -> String {
    format!("when-ready-{names}@localhost")
}

fn environment(command: &mut Command, directory: &Path, names: u16) {
    for (name, file) in [
        ("HOME", ""),
        ("RABBITMQ_MNESIA_BASE", "mnesia"),
        ("RABBITMQ_LOG_BASE", "log"),
        ("RABBITMQ_PID_FILE", "pid"),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
        ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
    ] {
        command.env(name, directory.join(file));
    }
    command
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", node(names))
        .env("ERL_EPMD_PORT", names.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .current_dir(directory);
}

const DEFINITIONS: &str = r#"{
  "users": [{"name": "app", "password": "secret word", "tags": ""}, {"name": "guest", "password": "guest", "tags": ""}],
  "vhosts": [{"name": "/"}, {"name": "prod/eu"}, {"name": "closed"}],
  "permissions": [
    {"user": "app", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
    {"user": "app", "vhost": "prod/eu", "configure": "", "write": "^$", "read": ".*"},
    {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
  ],
  "queues": [{"name": "jobs", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {}}]
}"#;
