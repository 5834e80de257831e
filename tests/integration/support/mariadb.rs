//! Real MariaDB servers in temporary directories.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{Leash, directory, eventually, free_port, tool, unprivileged};

/// A directory of its own for temporary tables: a server that starts deletes all that lie in /tmp, also another one's.
fn own_temporary(directory: &TempDir) -> String {
    format!("--tmpdir={}", directory.path().display())
}

/// A server, running.
pub struct MariaDb {
    /// Its directory, with its log.
    pub directory: TempDir,
    /// The port it listens on.
    pub port: u16,
    process: Option<Leash>,
}

impl MariaDb {
    /// A directory with the system tables, where root has no password.
    pub fn prepared() -> TempDir {
        let directory = directory();
        let output = unprivileged(&tool(&["mariadb-install-db"], "mariadb-server"))
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-use-native-aio=0",
            ])
            .arg(format!("--datadir={}", directory.path().join("data").display()))
            .arg(own_temporary(&directory))
            .current_dir(directory.path())
            .output()
            .expect("mariadb-install-db");
        assert!(output.status.success(), "{output:?}");
        directory
    }

    /// A server that is being started.
    pub fn start(directory: TempDir, port: u16, args: &[&str]) -> Self {
        let path = directory.path();
        let option = |name: &str, file: &str| format!("--{name}={}", path.join(file).display());
        let mut command = Leash::command(&tool(&["mariadbd"], "mariadb-server"));
        command
            .args([
                "--no-defaults",
                "--bind-address=127.0.0.1",
                "--innodb-use-native-aio=0",
                "--innodb-buffer-pool-size=8M",
                "--key-buffer-size=1M",
            ])
            .args([option("datadir", "data"), option("socket", "socket"), option("pid-file", "pid")])
            .args([option("log-error", "log"), own_temporary(&directory), format!("--port={port}")])
            .args(args)
            .current_dir(path);
        let process = Some(Leash::start(&mut command));
        Self { directory, port, process }
    }

    /// A server that is up, with the database `app` and the user `app`, whose password is `secret word`.
    pub fn started(args: &[&str]) -> Self {
        let server = Self::start(Self::prepared(), free_port(), args);
        eventually("MariaDB", || server.command("select 1").is_some());
        server
            .sql("create database app; create user app@'%' identified by 'secret word'; grant all on app.* to app@'%'");
        server
    }

    /// Runs statements as root.
    #[track_caller]
    pub fn sql(&self, statements: &str) {
        assert!(self.command(statements).is_some(), "{statements}:\n{}", self.log());
    }

    fn command(&self, statements: &str) -> Option<String> {
        let output = Command::new(tool(&["mariadb"], "mariadb-client"))
            .args(["--no-defaults", "-u", "root", "-N", "-B", "-e", statements, "-S"])
            .arg(self.path().join("socket"))
            .output()
            .expect("mariadb");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a statement of root returns.
    #[track_caller]
    pub fn value(&self, statement: &str) -> String {
        self.command(statement).expect("a value").trim().to_owned()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its socket.
    pub fn socket(&self) -> String {
        self.path().join("socket").display().to_string()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        // mariadbd adds the ending.
        std::fs::read_to_string(self.path().join("log.err")).expect("the log")
    }

    /// Ends it and keeps its directory.
    pub fn into_directory(mut self) -> TempDir {
        self.process.take();
        let empty = directory();
        std::mem::replace(&mut self.directory, empty)
    }
}
