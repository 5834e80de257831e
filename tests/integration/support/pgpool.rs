//! Real pgpools in temporary directories.

use std::fs;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::postgres::SUPERUSER;
use super::{Leash, directory, eventually, free_port, tool};

/// A pooler that runs, before a server that trusts it.
pub struct Pgpool {
    /// The port that it listens on.
    pub port: u16,
    _process: Leash,
    directory: TempDir,
}

impl Pgpool {
    /// A pooler before the server on `port`.
    pub fn before(server_port: u16) -> Self {
        let (directory, port) = (directory(), free_port());
        let path = directory.path().display();
        let conf = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nsocket_dir = '{path}'\npcp_port = {}\n\
             pcp_listen_addresses = '127.0.0.1'\npcp_socket_dir = '{path}'\nbackend_hostname0 = '127.0.0.1'\n\
             backend_port0 = {server_port}\nbackend_clustering_mode = 'raw'\nenable_pool_hba = off\npool_passwd = ''\n\
             num_init_children = 4\npid_file_name = '{path}/pid'\nlogdir = '{path}'\nwork_dir = '{path}'\n\
             failover_on_backend_error = off\n",
            free_port()
        );
        for (name, content) in [("pgpool.conf", conf.as_str()), ("pcp.conf", ""), ("pool_hba.conf", "")] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        // Its children outlive it where it alone is killed.
        let mut command = Leash::command(&tool(&["pgpool"], "pgpool2"));
        command
            .args(["-n", "-f", "pgpool.conf", "-F", "pcp.conf", "-a", "pool_hba.conf"])
            .current_dir(directory.path());
        let process = Leash::start(&mut command);
        eventually("pgpool", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, _process: process, directory }
    }

    /// `postgres://admin@127.0.0.1:PORT/` and `rest`
    pub fn url(&self, user: &str, rest: &str) -> String {
        format!("postgres://{SUPERUSER}{user}@127.0.0.1:{}/{rest}", self.port)
    }
}

impl Drop for Pgpool {
    fn drop(&mut self) {
        // Its shared memory outlives all of them where they are killed: told to end, it removes that itself.
        let pid = fs::read_to_string(self.directory.path().join("pid")).unwrap_or_default();
        let Ok(pid) = pid.trim_matches(['\0', '\n', ' ']).parse() else { return };
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        for _ in 0..500 {
            if kill(Pid::from_raw(pid), None).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
