//! nx-27017, a server of MongoDB's protocol over `SQLite`, in Python.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Reaper, directory, eventually, free_port, venv_tool};

/// A server, running.
pub struct Nx {
    /// The port it listens on.
    pub port: u16,
    _process: Reaper,
    _directory: TempDir,
}

impl Nx {
    /// One that keeps everything in memory.
    pub fn start() -> Self {
        let (directory, port) = (directory(), free_port());
        let process = Command::new(venv_tool("nx-27017"))
            .args(["--db", "memory", "--port", &port.to_string(), "--log-file", "log", "--pid-file", "pid"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nx-27017");
        let server = Self { port, _process: Reaper(process), _directory: directory };
        eventually("nx-27017", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }
}
