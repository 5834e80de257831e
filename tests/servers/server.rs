//! A server of any kind in a directory of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::{Leash, directory, eventually, free_port, tool};

/// Where `tests/run --servers` has put tests/servers/requirements.txt.
fn wheels() -> PathBuf {
    std::env::var_os("WHEN_READY_SERVERS").map_or_else(|| "/var/tmp/when-ready-servers".into(), PathBuf::from)
}

/// A program of a wheel in tests/servers/requirements.txt, by its name in `bin`.
pub fn wheel(program: &str, package: &str) -> PathBuf {
    present(wheels().join("bin").join(program), package)
}

/// The same, by a path below `site-packages`.
pub fn in_wheel(path: &str, package: &str) -> PathBuf {
    let versions = fs::read_dir(wheels().join("lib")).into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("site-packages").join(path)).find(|file| file.exists());
    present(found.unwrap_or_else(|| wheels().join(path)), package)
}

fn present(file: PathBuf, package: &str) -> PathBuf {
    assert!(
        file.exists(),
        "{} is missing: install {package} of tests/servers/requirements.txt (tests/run --servers does)",
        file.display()
    );
    file
}

/// A program of a Debian package.
pub fn debian(program: &str, package: &str) -> PathBuf {
    tool(&[program], package)
}

/// What is to be started.
pub struct Plan {
    directory: TempDir,
    port: u16,
    variables: Vec<(String, String)>,
}

impl Plan {
    /// In a directory of its own, which may hold files before it starts; a port is set apart for it.
    pub fn new() -> Self {
        Self { directory: directory(), port: free_port(), variables: Vec::new() }
    }

    /// The port that is set apart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file in the directory; `PORT` and `DIR` in it are replaced.
    pub fn file(self, name: &str, content: &str) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, self.filled(content)).expect("a file");
        give_away(self.path());
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let value = self.filled(value);
        self.variables.push((name.into(), value));
        self
    }

    fn filled(&self, text: &str) -> String {
        text.replace("PORT", &self.port.to_string()).replace("DIR", &self.path().display().to_string())
    }

    /// Starts `program`; `PORT` and `DIR` in its arguments are replaced.
    pub fn start(self, program: &Path, args: &[&str]) -> Server {
        let process = self.process(program, args);
        Server { port: self.port, process: Some(process), plan: self }
    }

    fn process(&self, program: &Path, args: &[&str]) -> Leash {
        let mut command = Leash::command(Path::new("/bin/sh"));
        command.args(["-c", "echo $$ >pid; exec \"$0\" \"$@\" >>log 2>&1"]).arg(program);
        command.args(args.iter().map(|arg| self.filled(arg))).current_dir(self.path());
        command.env("HOME", self.path()).envs(self.variables.iter().map(|(name, value)| (name, value)));
        Leash::start(&mut command)
    }
}

/// Lets the unprivileged user write what is in a directory.
fn give_away(path: &Path) {
    let status = Command::new("/bin/chmod").args(["-R", "a+rwX"]).arg(path).status().expect("chmod");
    assert!(status.success(), "chmod");
}

/// A server that was started. It ends, with all of its processes, when it is dropped.
pub struct Server {
    /// The port that was set apart for it.
    pub port: u16,
    plan: Plan,
    process: Option<Leash>,
}

impl Server {
    /// Waits until its port accepts connections.
    #[track_caller]
    pub fn listening(self) -> Self {
        let port = self.port;
        self.listens_on(port)
    }

    /// Waits until another port of it accepts connections.
    #[track_caller]
    pub fn listens_on(self, port: u16) -> Self {
        for _ in 0..6000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return self;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing listens on {port}:\n{}", self.log());
    }

    /// Waits until its log holds `text`.
    #[track_caller]
    pub fn logs(&self, text: &str) {
        eventually(&format!("`{text}` in the log"), || self.log().contains(text));
    }

    /// What it has written to its streams, or to a file called `log`.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.plan.path()
    }

    /// The process ID of its first process.
    pub fn pid(&self) -> Pid {
        let mut pid = None;
        eventually("its process ID", || {
            pid = fs::read_to_string(self.path().join("pid")).ok().and_then(|text| text.trim().parse().ok());
            pid.is_some()
        });
        Pid::from_raw(pid.expect("a process ID"))
    }

    /// Sends its first process a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("kill");
    }

    /// Kills all of its processes.
    pub fn stop(&mut self) {
        self.process.take();
    }

    /// Starts it again in the same directory.
    pub fn start_again(&mut self, program: &Path, args: &[&str]) {
        self.process = Some(self.plan.process(program, args));
    }

    /// `SCHEME://127.0.0.1:PORT` and the rest of a URL.
    pub fn url(&self, scheme: &str, rest: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{rest}", self.port)
    }

    /// Sends bytes and gives what is answered within a second, or until the end.
    pub fn ask(&self, request: &[u8]) -> Vec<u8> {
        ask(self.port, request, Duration::from_secs(1))
    }
}

/// Sends bytes to a port and gives what is answered in time, or until the end.
pub fn ask(port: u16, request: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(patience)).expect("a time-out");
    drop(stream.write_all(request));
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(n) = stream.read(&mut chunk) {
        if n == 0 {
            break;
        }
        all.extend_from_slice(&chunk[..n]);
    }
    all
}

/// Opens connections that stay open until they are dropped.
pub fn connections(port: u16, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("a connection")).collect()
}
