//! Real pgbouncers in temporary directories.

use std::fs;
use std::net::TcpStream;
use std::process::Stdio;

use tempfile::TempDir;

use super::postgres::{PASSWORD, SUPERUSER};
use super::{Reaper, directory, eventually, free_port, tool, unprivileged};

/// A pooler that runs.
pub struct Pgbouncer {
    directory: TempDir,
    /// The port that it listens on.
    pub port: u16,
    _process: Reaper,
}

impl Pgbouncer {
    /// A pooler whose database `app` is `postgres` of the server on `port`; `settings` are lines of
    /// its section `[pgbouncer]`.
    pub fn before(server_port: u16, settings: &str) -> Self {
        let (directory, port) = (directory(), free_port());
        let path = directory.path();
        let conf = format!(
            "[databases]\napp = host=127.0.0.1 port={server_port} dbname=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n\
             auth_file = {0}/users\nlogfile = {0}/log\npidfile = {0}/pid\n{settings}\n",
            path.display()
        );
        fs::write(path.join("pgbouncer.ini"), conf).unwrap();
        fs::write(path.join("users"), format!("\"{SUPERUSER}\" \"{PASSWORD}\"\n")).unwrap();
        let child = unprivileged(&tool(&["pgbouncer"], "pgbouncer"))
            .arg(path.join("pgbouncer.ini"))
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer");
        let process = Reaper(child);
        eventually("pgbouncer", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { directory, port, _process: process }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// `postgres://admin:PASSWORD@127.0.0.1:PORT/` and `rest`
    pub fn url(&self, rest: &str) -> String {
        format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/{rest}", self.port)
    }
}
