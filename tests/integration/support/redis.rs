//! Real Redis servers in temporary directories.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Reaper, directory, eventually, free_port, tool};

/// A server, running.
pub struct Redis {
    /// Its directory, with its log.
    pub directory: TempDir,
    /// The port it listens on.
    pub port: u16,
    process: Option<Reaper>,
}

impl Redis {
    /// A server that is up.
    pub fn started(args: &[&str]) -> Self {
        let redis = Self::start(free_port(), args);
        // Whatever it answers, it has logged all that it has to say at its start.
        eventually("Redis", || Connection::open(redis.port).is_some_and(|mut it| !it.ask("ping").is_empty()));
        redis
    }

    /// A server that is being started on `port`.
    pub fn start(port: u16, args: &[&str]) -> Self {
        Self::start_in(directory(), port, args)
    }

    /// The same in a directory that may hold a dump.
    pub fn start_in(directory: TempDir, port: u16, args: &[&str]) -> Self {
        let child = Command::new(tool(&["redis-server"], "redis-server"))
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--logfile", "log", "--dir"])
            .arg(directory.path())
            .args(args)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server");
        Self { directory, port, process: Some(Reaper(child)) }
    }

    /// A sentinel that watches masters, each a name and a port; `settings` are lines of its configuration.
    pub fn sentinel_of(masters: &[(&str, u16)], settings: &str) -> Self {
        let (directory, port) = (directory(), free_port());
        let mut conf = format!("port {port}\nbind 127.0.0.1\nlogfile log\ndir {}\n", directory.path().display());
        for (name, port) in masters {
            let _ = writeln!(conf, "sentinel monitor {name} 127.0.0.1 {port} 1");
        }
        conf.push_str(settings);
        let file = directory.path().join("sentinel.conf");
        fs::write(&file, conf).unwrap();
        let child = Command::new(tool(&["redis-sentinel"], "redis-sentinel"))
            .arg(&file)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-sentinel");
        let sentinel = Self { directory, port, process: Some(Reaper(child)) };
        eventually("the sentinel", || Connection::open(port).is_some_and(|mut it| !it.ask("ping").is_empty()));
        sentinel
    }

    /// twemproxy before a server.
    pub fn proxy_of(port: u16) -> Self {
        let (directory, own) = (directory(), free_port());
        let conf = format!(
            "pool:\n  listen: 127.0.0.1:{own}\n  redis: true\n  auto_eject_hosts: false\n  servers:\n   - 127.0.0.1:{port}:1\n"
        );
        let file = directory.path().join("nutcracker.yml");
        fs::write(&file, conf).unwrap();
        let child = Command::new(tool(&["nutcracker"], "nutcracker"))
            .arg("-c")
            .arg(&file)
            .args(["-o", "log", "-s", &free_port().to_string()])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nutcracker");
        let proxy = Self { directory, port: own, process: Some(Reaper(child)) };
        eventually("twemproxy", || TcpStream::connect(("127.0.0.1", own)).is_ok());
        proxy
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process.take();
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Sends a command as it is typed and gives the first bytes of the answer.
    pub fn command(&self, line: &str) -> String {
        self.connection().ask(line)
    }

    /// A connection that lasts until it is dropped.
    pub fn connection(&self) -> Connection {
        Connection::open(self.port).expect("Redis")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// Ends it and keeps its directory.
    pub fn into_directory(mut self) -> TempDir {
        self.process.take();
        let empty = directory();
        std::mem::replace(&mut self.directory, empty)
    }
}

/// A connection to a server.
pub struct Connection(TcpStream);

impl Connection {
    fn open(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Some(Self(stream))
    }

    /// Sends a command as it is typed and gives the first bytes of the answer; none once it is closed.
    pub fn ask(&mut self, line: &str) -> String {
        let mut answer = [0; 4096];
        let written = self.0.write_all(format!("{line}\r\n").as_bytes());
        let n = written.and_then(|()| self.0.read(&mut answer)).unwrap_or(0);
        String::from_utf8_lossy(&answer[..n]).into_owned()
    }
}
