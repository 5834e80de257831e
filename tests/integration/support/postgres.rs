//! Real PostgreSQL servers in temporary directories.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Reaper, directory, eventually, free_port, postgres_tool, unprivileged};

/// The superuser's name and password in every cluster.
pub const SUPERUSER: &str = "admin";
/// The superuser's password.
pub const PASSWORD: &str = "s3cret-admin-pw";

/// Who is let in where a test says nothing else.
const HBA: &str = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n\
                   host replication all 127.0.0.1/32 scram-sha-256\n";

/// A cluster, running or not.
pub struct Postgres {
    directory: TempDir,
    /// The port that it listens on when it runs.
    pub port: u16,
    child: Option<Child>,
}

/// initdb takes seconds: it is run once, and copied.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    TEMPLATE
        .get_or_init(|| {
            let directory = directory();
            let password = directory.path().join("password");
            fs::write(&password, PASSWORD).unwrap();
            let output = unprivileged(&postgres_tool("initdb"))
                .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "-U", SUPERUSER])
                // 1 MiB and not 16, which each copy would cost.
                .arg("--wal-segsize=1")
                .arg(format!("--pwfile={}", password.display()))
                .arg("-D")
                .arg(directory.path().join("data"))
                .current_dir(directory.path())
                .output()
                .expect("initdb");
            assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
            directory
        })
        .path()
}

impl Postgres {
    /// A cluster that does not run yet; `pg_hba.conf` asks for SCRAM over TCP and the socket.
    pub fn new() -> Self {
        let directory = directory();
        let copied = unprivileged(Path::new("/bin/cp"))
            .arg("-a")
            .arg(template().join("data"))
            .arg(directory.path())
            .status()
            .expect("cp");
        assert!(copied.success(), "cp");
        Self { directory, port: free_port(), child: None }
    }

    /// A cluster that runs and accepts connections.
    pub fn started() -> Self {
        Self::started_with(&[], "")
    }

    /// The same with `-c` options, and with lines before the usual ones of `pg_hba.conf`.
    pub fn started_with(options: &[&str], hba: &str) -> Self {
        let mut cluster = Self::new();
        cluster.hba(&format!("{hba}\n{HBA}"));
        cluster.start(options);
        cluster.wait_until_up();
        cluster
    }

    /// A hot standby of `primary`, which runs and follows it.
    pub fn standby_of(primary: &Self) -> Self {
        let directory = directory();
        let copied = unprivileged(&postgres_tool("pg_basebackup"))
            .args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf", "-h", "127.0.0.1", "-U", SUPERUSER, "-p"])
            .arg(primary.port.to_string())
            .arg("-D")
            .arg(directory.path().join("data"))
            .env("PGPASSWORD", PASSWORD)
            .current_dir(directory.path())
            .output()
            .expect("pg_basebackup");
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        let mut standby = Self { directory, port: free_port(), child: None };
        standby.start(&[]);
        standby.wait_until_up();
        standby
    }

    /// The directory with the socket, the log and the data.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Replaces `pg_hba.conf`.
    pub fn hba(&self, content: &str) {
        fs::write(self.data().join("pg_hba.conf"), content).unwrap();
    }

    /// Starts the server with `-c` options, and does not wait for it.
    pub fn start(&mut self, options: &[&str]) {
        let log = fs::File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = unprivileged(&postgres_tool("postgres"));
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-k"]).arg(self.path());
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "logging_collector=off"]);
        for option in options {
            command.args(["-c", option]);
        }
        command.current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("postgres"));
    }

    /// Waits until it answers SQL.
    pub fn wait_until_up(&self) {
        eventually("PostgreSQL", || self.psql_status("postgres", "select 1").is_ok());
    }

    fn log_path(&self) -> PathBuf {
        self.path().join("log")
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Sends the postmaster a signal: TERM is a smart, INT a fast, QUIT an immediate shutdown.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Stops it and waits until it is gone.
    pub fn stop(&mut self, signal: Signal) {
        self.signal(signal);
        drop(self.child.take().expect("it runs").wait());
    }

    /// The process ID of the postmaster.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// The processes that the postmaster has started.
    pub fn children(&self) -> Vec<Pid> {
        let postmaster = self.pid();
        let text = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).expect("/proc");
        text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    /// Runs SQL as the superuser.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.psql_status("postgres", sql).unwrap_or_else(|error| panic!("psql {sql}: {error}"))
    }

    /// Runs SQL as the superuser in a database; the error text if it fails.
    pub fn psql_status(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(postgres_tool("psql"))
            .args(["-X", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", SUPERUSER, "-p"])
            .arg(self.port.to_string())
            .args(["-d", database, "-c", sql])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .expect("psql");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// A session of `user` that is logged in, and idle until it is dropped.
    pub fn session(&self, user: &str) -> Option<Session> {
        Session::open(self.port, user, "postgres")
    }

    /// `postgres://admin:PASSWORD@127.0.0.1:PORT/` and `rest`
    pub fn url(&self, rest: &str) -> String {
        format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/{rest}", self.port)
    }
}

/// A session that lasts until it is dropped.
pub struct Session(Reaper);

impl Session {
    /// A session with the server or pooler on `port`, if it lets the user in.
    pub fn open(port: u16, user: &str, database: &str) -> Option<Self> {
        let child = Command::new(postgres_tool("psql"))
            .args(["-X", "-At", "-q", "-h", "127.0.0.1", "-U", user, "-d", database, "-p"])
            .arg(port.to_string())
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("psql");
        let mut session = Self(Reaper(child));
        session.run("").then_some(session)
    }

    /// Runs SQL to its end; false if the session has ended.
    pub fn run(&mut self, sql: &str) -> bool {
        let child = &mut self.0.0;
        let (stdin, stdout) = (child.stdin.as_mut().expect("piped"), child.stdout.as_mut().expect("piped"));
        let mut answer = [0; 5];
        writeln!(stdin, "{sql}; select 'done';").and_then(|()| stdout.read_exact(&mut answer)).is_ok()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.stop(Signal::SIGQUIT);
        }
    }
}
