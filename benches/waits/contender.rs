//! What is compared: the executable and what people use in its place.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::support::{executable, postgres_tool, tool};

/// The product, in the table.
pub const PRODUCT: &str = "when-ready";
/// Debian's wait-for-it, there.
pub const WAIT_FOR_IT: &str = "wait-for-it";

/// The least that a gate can be, in C.
pub const FLOOR: &str = "a static C loop";

/// That loop, compiled here; without arguments, it is the least that a command can be.
fn floor_executable() -> String {
    static BUILT: OnceLock<String> = OnceLock::new();
    let build = || {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/waits/floor.c");
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/target/floor");
        let compiler = tool(&["cc"], "gcc");
        let status = Command::new(compiler).args(["-O2", "-static", "-o", built, source]).status().expect("a compiler");
        assert!(status.success(), "{source} does not compile");
        built.to_owned()
    };
    BUILT.get_or_init(build).clone()
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Contender {
    pub name: String,
    words: Vec<String>,
}

/// The trivial command that everything waits to run.
pub fn bare() -> Contender {
    Contender { name: "the bare command".to_owned(), words: trivial() }
}

fn trivial() -> Vec<String> {
    vec![tool(&["busybox"], "busybox-static").display().to_string(), "true".to_owned()]
}

impl Contender {
    /// The executable with these arguments, and the trivial command.
    pub fn product<S: Into<String>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut words = vec![executable().display().to_string()];
        words.extend(args.into_iter().map(Into::into));
        words.push("--".to_owned());
        words.extend(trivial());
        Self { name: PRODUCT.to_owned(), words }
    }

    /// The executable, to which its arguments are still to be added.
    pub fn this_build() -> Self {
        Self { name: PRODUCT.to_owned(), words: vec![executable().display().to_string()] }
    }

    /// Another build of it, where `WHEN_READY_BASELINE` names one.
    pub fn baseline() -> Option<Self> {
        let words = vec![std::env::var("WHEN_READY_BASELINE").ok()?];
        Some(Self { name: "the baseline".to_owned(), words })
    }

    /// The same with these arguments.
    pub fn with(&self, args: &[&str]) -> Self {
        let mut words = self.words.clone();
        words.extend(args.iter().map(|arg| (*arg).to_owned()));
        Self { name: self.name.clone(), words }
    }

    /// The product and the least that a gate can be, before the least that a command can be.
    pub fn beside_the_floor(targets: &[String]) -> [Self; 2] {
        let after = |program: String, name: &str| {
            let mut words = vec![program];
            words.extend(targets.iter().cloned());
            words.extend(["--".to_owned(), floor_executable()]);
            Self { name: name.to_owned(), words }
        };
        [after(executable().display().to_string(), PRODUCT), after(floor_executable(), FLOOR)]
    }

    /// Waits for a port, at most so many seconds.
    pub fn wait_for_it(port: u16, timeout: u64) -> Self {
        let program = tool(&["wait-for-it"], "wait-for-it").display().to_string();
        let mut words: Vec<String> =
            [&program, &format!("127.0.0.1:{port}"), "-q", "-t", &timeout.to_string(), "--strict", "--"]
                .map(str::to_owned)
                .to_vec();
        words.extend(trivial());
        Self { name: WAIT_FOR_IT.to_owned(), words }
    }

    /// `until CONDITION; do sleep SECONDS; done; exec COMMAND`, as entrypoints have it.
    fn until(name: &str, condition: &str, seconds: &str) -> Self {
        let script = format!("until {condition}; do sleep {seconds}; done; exec {}", trivial().join(" "));
        Self { name: format!("{name}, sleep {seconds}"), words: ["/bin/sh", "-c", &script].map(str::to_owned).to_vec() }
    }

    /// curl in a loop.
    pub fn curl(url: &str, options: &str, seconds: &str) -> Self {
        let curl = tool(&["curl"], "curl");
        Self::until("curl -f", &format!("{} -f {options} {url}", curl.display()), seconds)
    }

    /// `pg_isready` in a loop.
    pub fn pg_isready(port: u16) -> Self {
        let program = postgres_tool("pg_isready");
        Self::until("pg_isready", &format!("{} -h 127.0.0.1 -p {port}", program.display()), "1")
    }

    /// `psql` in a loop, for the level of a login.
    pub fn psql(url: &str) -> Self {
        Self::until("psql", &format!("{} -X -c 'select 1' '{url}'", postgres_tool("psql").display()), "1")
    }

    /// `redis-cli ping` in a loop; it exits 0 at an error too, so its answer is looked at.
    pub fn redis_cli(port: u16) -> Self {
        let program = tool(&["redis-cli"], "redis-tools");
        let ping = format!("[ \"$({} -h 127.0.0.1 -p {port} ping)\" = PONG ]", program.display());
        Self::until("redis-cli ping", &ping, "1")
    }

    /// As the first process of a PID namespace.
    pub fn in_pid_namespace(mut self) -> Self {
        let unshare = tool(&["unshare"], "util-linux").display().to_string();
        self.words.splice(0..0, [unshare, "--pid".into(), "--fork".into(), "--kill-child".into()]);
        self
    }

    /// Its command line, silent, with a bare environment, in a process group of its own.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command
    }

    /// Starts it.
    pub fn spawn(&self) -> Child {
        self.command().spawn().unwrap_or_else(|error| panic!("{}: {error}", self.words.join(" ")))
    }

    /// How long it takes from start to end.
    pub fn time(&self) -> Duration {
        let begun = Instant::now();
        let status = self.spawn().wait().expect("wait");
        let elapsed = begun.elapsed();
        assert!(status.success(), "{status}: {}", self.words.join(" "));
        elapsed
    }

    /// Starts it; its end will come through the channel.
    pub fn race(&self) -> Racer {
        let mut child = self.spawn();
        let group = Pid::from_raw(i32::try_from(child.id()).expect("a process ID"));
        let (sender, receiver) = mpsc::channel();
        let shown = self.words.join(" ");
        thread::spawn(move || {
            let status = child.wait();
            drop(sender.send((Instant::now(), status)));
        });
        Racer { group, receiver, shown }
    }
}

/// A contender under way.
pub struct Racer {
    /// Its first process, and the group of all of them.
    pub group: Pid,
    receiver: mpsc::Receiver<(Instant, io::Result<ExitStatus>)>,
    shown: String,
}

impl Racer {
    /// Its end, unless it takes until `deadline`: then it is ended.
    pub fn end_before(self, deadline: Instant) -> Option<(Instant, ExitStatus)> {
        if let Ok((ended, status)) = self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            return Some((ended, status.expect("wait")));
        }
        let _ = killpg(self.group, Signal::SIGKILL);
        // So that nothing is left of it when the next one runs.
        drop(self.receiver.recv_timeout(Duration::from_secs(5)));
        None
    }

    /// The same, where it must be a success.
    pub fn success_before(self, deadline: Instant) -> Option<Instant> {
        let shown = self.shown.clone();
        let (ended, status) = self.end_before(deadline)?;
        assert!(status.success(), "{status}: {shown}");
        Some(ended)
    }
}

/// In milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
