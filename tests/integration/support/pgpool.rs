//! Real pgpools in temporary directories.

use std::fs;
use std::net::TcpStream;
use std::process::Stdio;

use tempfile::TempDir;

use super::postgres::SUPERUSER;
use super::{Reaper, directory, eventually, free_port, tool, unprivileged};

/// A pooler that runs, before a server that trusts it.
pub struct Pgpool {
    /// The port that it listens on.
    pub port: u16,
    _process: Reaper,
    _directory: TempDir,
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
        let child = unprivileged(&tool(&["pgpool"], "pgpool2"))
            .args(["-n", "-f", "pgpool.conf", "-F", "pcp.conf", "-a", "pool_hba.conf"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgpool");
        let process = Reaper(child);
        eventually("pgpool", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, _process: process, _directory: directory }
    }

    /// `postgres://admin@127.0.0.1:PORT/` and `rest`
    pub fn url(&self, user: &str, rest: &str) -> String {
        format!("postgres://{SUPERUSER}{user}@127.0.0.1:{}/{rest}", self.port)
    }
}
