//! Real nginx servers in temporary directories.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Reaper, directory, tool};

/// A server that is being started.
pub struct Nginx {
    _directory: TempDir,
    _process: Reaper,
}

impl Nginx {
    /// Starts a server whose `http` block holds `servers`.
    pub fn start(servers: &str) -> Self {
        let directory = directory();
        let path = directory.path().display();
        let conf = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\nevents {{}}\n\
             http {{ access_log off; client_body_temp_path {path}/a; proxy_temp_path {path}/b; fastcgi_temp_path {path}/c;\n\
             uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;\n{servers}\n}}\n"
        );
        fs::write(directory.path().join("nginx.conf"), conf).unwrap();
        let child = Command::new(tool(&["nginx"], "nginx-light"))
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(directory.path().join("nginx.conf"))
            .arg("-e")
            .arg(directory.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx");
        Self { _directory: directory, _process: Reaper(child) }
    }
}
