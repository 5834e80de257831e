//! What the tests are written with: a run of the executable, servers, ports and certificates.

pub mod certificates;
pub mod hung_mount;
pub mod mariadb;
pub mod mosquitto;
pub mod name_server;
pub mod network;
pub mod nginx;
pub mod nx_27017;
pub mod peer;
pub mod pgbouncer;
pub mod pgpool;
pub mod postgres;
pub mod rabbitmq;
pub mod redis;
pub mod script;
pub mod slapd;
pub mod tansu;
pub mod terminal;
pub mod wsgi;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getuid};
use socket2::{Domain, Socket, Type};

/// No test takes longer: what is still running then is ended, and the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// The executable under test.
pub fn executable() -> PathBuf {
    std::env::var_os("WHEN_READY_BIN").map_or_else(|| env!("CARGO_BIN_EXE_when-ready").into(), PathBuf::from)
}

/// The ports of this run: blocks of which each is locked by a file for as long as the run lasts.
struct Ports {
    locks: Vec<Flock<File>>,
    own: Vec<u16>,
    next: usize,
}

impl Ports {
    /// Takes a further block that no other run has.
    fn claim(&mut self) -> bool {
        const FIRST: u16 = 20_000;
        const LENGTH: u16 = 100;
        const BLOCKS: u16 = 120;
        let directory = std::env::temp_dir().join(format!("when-ready-test-ports-{}", getuid()));
        std::fs::create_dir_all(&directory).expect("a directory for locks");
        let lock = |block: u16| {
            let file = File::options().create(true).append(true).open(directory.join(block.to_string())).ok()?;
            Some((block, Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?))
        };
        // From anywhere on: what a run that has just ended left behind may still begin to listen in the blocks it had.
        let first = u16::try_from(std::process::id() % u32::from(BLOCKS)).expect("less than BLOCKS");
        let Some((block, lock)) = (first..BLOCKS).chain(0..first).find_map(lock) else { return false };
        self.locks.push(lock);
        self.own.extend((0..LENGTH).map(|port| FIRST + block * LENGTH + port));
        true
    }
}

/// A port that nothing listens on, outside the ephemeral range, and that no other test is given, of this run or another.
pub fn free_port() -> u16 {
    static PORTS: Mutex<Ports> = Mutex::new(Ports { locks: Vec::new(), own: Vec::new(), next: 0 });
    let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..20_000 {
        if ports.next == ports.own.len() && !ports.claim() {
            ports.next = 0;
        }
        let port = ports.own[ports.next];
        ports.next += 1;
        let any = [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
        if any.into_iter().all(is_free) {
            return port;
        }
    }
    panic!("no free port");
}

/// Whether a server could listen there. Nothing listens to find that out: a process that another test starts meanwhile would
/// go on listening until it is executed, with the descriptors that it has of this one until then.
fn is_free(address: SocketAddr) -> bool {
    match Socket::new(Domain::for_address(address), Type::STREAM, None) {
        // As servers do.
        Ok(socket) => socket.set_reuse_address(true).and_then(|()| socket.bind(&address.into())).is_ok(),
        // There may be no IPv6.
        Err(error) => error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32),
    }
}

/// A program that a test needs; without it the test fails and says what to install.
pub fn tool(candidates: &[&str], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    for candidate in candidates {
        if candidate.starts_with('/') && Path::new(candidate).exists() {
            return candidate.into();
        }
        if let Some(found) = directories.iter().map(|directory| directory.join(candidate)).find(|file| file.exists()) {
            return found;
        }
    }
    panic!("{} is missing: install the package {package} (tests/run does)", candidates.join(" or "));
}

/// A program of tests/requirements.txt.
pub fn venv_tool(name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv");
    let file = std::env::var_os("WHEN_READY_VENV").map_or(built, PathBuf::from).join("bin").join(name);
    assert!(file.exists(), "{} is missing: tests/run installs tests/requirements.txt", file.display());
    file
}

/// A program of PostgreSQL, wherever Debian or Ubuntu keep it, or in `WHEN_READY_POSTGRES`.
pub fn postgres_tool(name: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os("WHEN_READY_POSTGRES").filter(|it| !it.is_empty()) {
        return PathBuf::from(directory).join(name);
    }
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin").join(name)).collect())
        .unwrap_or_default();
    versions.retain(|path| path.exists());
    versions.sort();
    versions.pop().unwrap_or_else(|| tool(&[name], "postgresql"))
}

/// A command that runs as an unprivileged user where the tests run as root: PostgreSQL refuses root.
pub fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    if nix::unistd::geteuid().is_root() {
        let user = nobody();
        command.uid(user.0).gid(user.1);
    }
    command
}

fn nobody() -> (u32, u32) {
    (65534, 65534)
}

/// A temporary directory that the unprivileged user owns. What tests share is never dropped, and so a directory has the
/// process ID in its name: those of processes that have ended are removed here.
pub fn directory() -> tempfile::TempDir {
    const PREFIX: &str = "when-ready-";
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for entry in std::fs::read_dir(std::env::temp_dir()).expect("a temporary directory").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')?.0.parse::<u32>().ok());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
                drop(std::fs::remove_dir_all(entry.path()));
            }
        }
    });
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let directory = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a temporary directory");
    if nix::unistd::geteuid().is_root() {
        let (user, group) = nobody();
        std::os::unix::fs::chown(directory.path(), Some(user), Some(group)).expect("chown");
    }
    directory
}

/// A new FIFO of this name.
pub fn fifo(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    path
}

/// Whether the executable under test is the static one, with another C library than these tests have.
pub fn is_static() -> bool {
    executable().components().any(|part| part.as_os_str().to_string_lossy().contains("musl"))
}

/// A copy of the executable that any user may run.
pub fn public_copy() -> (tempfile::TempDir, PathBuf) {
    let directory = directory();
    let copy = directory.path().join("when-ready");
    write_executable(&copy, std::fs::read(executable()).unwrap(), 0o755);
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    (directory, copy)
}

/// Writes a file that may be executed at once. Another process writes it: one of ours that a test starts meanwhile would
/// hold the file open for a moment, and what is open for writing is not executed (`ETXTBSY`).
pub fn write_executable(path: &Path, content: impl AsRef<[u8]>, mode: u32) {
    let mut install = Command::new("install");
    install.arg(format!("--mode={mode:o}")).arg("/dev/stdin").arg(path).stdin(Stdio::piped());
    let mut install = install.spawn().expect("install");
    install.stdin.take().unwrap().write_all(content.as_ref()).unwrap();
    assert!(install.wait().unwrap().success(), "{}", path.display());
}

/// A user that no other test is.
pub fn new_user() -> u32 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    100_000 + std::process::id() % 10_000 * 100 + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A run of `copy` as that user, through `more` programs.
pub fn as_user(user: u32, more: &[&str], copy: &Path) -> Run {
    let user = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
    // The executable itself comes last, and is dropped for its copy.
    let instead = ["sh", "-c", "shift; exec \"$0\" \"$@\"", copy.to_str().unwrap()];
    let args: Vec<&str> = user.iter().map(String::as_str).chain(more.iter().copied()).chain(instead).collect();
    Run::through("setpriv", &args)
}

/// Lets processes that are started from here on have the default dispositions of the signals that end a wait. What
/// runs in the background of a script, or under nohup, inherits that some of them are ignored.
pub fn reset_dispositions() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("SigIgn");
        let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a mask");
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            if ignored & (1 << (signal as i32 - 1)) != 0 {
                // A handler that does nothing: it is as if ignored here, and exec resets it.
                signal_hook::flag::register(signal as i32, Arc::default()).expect("a handler");
            }
        }
    });
}

/// A run of the executable, to be described.
#[must_use]
pub struct Run {
    command: Command,
    shown: Vec<String>,
}

impl Run {
    /// A run without arguments, with a bare environment and the default dispositions of signals.
    pub fn new() -> Self {
        reset_dispositions();
        let mut command = Command::new(executable());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, shown: Vec::new() }
    }

    /// The executable through another program, like `unshare` or `prlimit`.
    pub fn through(program: &str, args: &[&str]) -> Self {
        let mut run = Self::new();
        let mut command = Command::new(tool(&[program], "util-linux"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(args).arg(executable());
        run.command = command;
        run
    }

    /// An argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        let arg = arg.into();
        self.command.arg(&arg);
        self.shown.push(arg);
        self
    }

    /// Several arguments.
    pub fn args<S: Into<String>>(self, args: impl IntoIterator<Item = S>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// A target.
    pub fn target(self, target: impl Into<String>) -> Self {
        self.arg(target)
    }

    /// `--timeout`
    pub fn timeout(self, timeout: &str) -> Self {
        self.arg("--timeout").arg(timeout)
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Several variables.
    pub fn envs(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(self, |run, (name, value)| run.env(name, value))
    }

    /// COMMAND and its arguments.
    pub fn command<S: Into<String>>(self, words: impl IntoIterator<Item = S>) -> Self {
        self.arg("--").args(words)
    }

    /// What it reads from standard input.
    pub fn stdin(mut self, text: &str) -> Self {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).and_then(|()| file.rewind()).unwrap();
        self.command.stdin(file);
        self
    }

    /// Where standard error goes, instead of into the test.
    pub fn stderr(mut self, stream: impl Into<Stdio>) -> Self {
        self.command.stderr(stream);
        self
    }

    /// Where standard output goes, instead of into the test.
    pub fn stdout(mut self, stream: impl Into<Stdio>) -> Self {
        self.command.stdout(stream);
        self
    }

    /// Starts it.
    pub fn spawn(mut self) -> Running {
        let (begun, withheld) = (Instant::now(), withheld(OWN));
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let stdout = Collected::from(child.stdout.take());
        let stderr = Collected::from(child.stderr.take());
        Running { child, begun, withheld, stdout, stderr, shown: self.shown.join(" ") }
    }

    /// Runs it to its end.
    pub fn finish(self) -> Finished {
        self.spawn().finish()
    }
}

/// What a stream has brought so far, readable while more comes.
#[derive(Clone)]
struct Collected(Arc<(Mutex<Bytes>, Condvar)>);

/// The bytes so far, and whether the stream has ended.
type Bytes = (Vec<u8>, bool);

impl Collected {
    fn from(stream: Option<impl Read + Send + 'static>) -> Self {
        let shared = Self(Arc::new((Mutex::new((Vec::new(), false)), Condvar::new())));
        let writer = shared.clone();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            let mut stream = stream;
            loop {
                let n = stream.as_mut().and_then(|stream| stream.read(&mut chunk).ok()).unwrap_or(0);
                let mut state = writer.0.0.lock().unwrap();
                state.0.extend_from_slice(&chunk[..n]);
                state.1 |= n == 0;
                writer.0.1.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        shared
    }

    /// Waits until the text holds `needle`; false at the end of the stream or of patience.
    fn wait_for(&self, needle: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.0.0.lock().unwrap();
        loop {
            if String::from_utf8_lossy(&state.0).contains(needle) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return false;
            }
            state = self.0.1.wait_timeout(state, left).unwrap().0;
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().0).into_owned()
    }

    /// Everything, once the stream has ended (or a stray child keeps it open for too long).
    fn all(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut state = self.0.0.lock().unwrap();
        while !state.1 && Instant::now() < deadline {
            state = self.0.1.wait_timeout(state, Duration::from_millis(100)).unwrap().0;
        }
        String::from_utf8_lossy(&state.0).into_owned()
    }
}

/// What is known of this thread's time.
const OWN: &str = "/proc/thread-self/schedstat";

/// How long a thread has been ready to run without a processor (sched-stats); nothing, where the kernel does not say.
pub fn withheld(schedstat: impl AsRef<Path>) -> Duration {
    let text = std::fs::read_to_string(schedstat).unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// The executable, running.
pub struct Running {
    child: Child,
    /// When it was started.
    pub begun: Instant,
    /// What had been withheld from the thread that started it.
    withheld: Duration,
    stdout: Collected,
    stderr: Collected,
    shown: String,
}

impl Running {
    /// Its process ID, which becomes COMMAND's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard error holds `text`.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str) -> &Self {
        assert!(self.stderr.wait_for(text), "no `{text}` on stderr of {}:\n{}", self.shown, self.stderr.so_far());
        self
    }

    /// Waits until standard output holds `text`.
    #[track_caller]
    pub fn wait_for_stdout(&self, text: &str) -> &Self {
        assert!(
            self.stdout.wait_for(text),
            "no `{text}` on stdout of {}:\n{}{}",
            self.shown,
            self.stdout.so_far(),
            self.stderr.so_far()
        );
        self
    }

    /// What standard error holds so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> &Self {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).expect("kill");
        self
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let (ended, watched) = mpsc::channel::<()>();
        let (pid, left) = (self.child.id(), PATIENCE.saturating_sub(self.begun.elapsed()));
        let watchdog = thread::spawn(move || {
            let is_late = watched.recv_timeout(left) == Err(RecvTimeoutError::Timeout);
            if is_late {
                let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
            }
            is_late
        });
        // It has ended, and is still there to be asked.
        let pid = i32::try_from(self.child.id()).unwrap();
        while waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
        let end = Instant::now();
        let elapsed = end - self.begun;
        let own = withheld(OWN).saturating_sub(self.withheld);
        let withheld = withheld(format!("/proc/{pid}/schedstat")) + own;
        let status = self.child.wait().expect("wait");
        drop(ended);
        let is_late = watchdog.join().expect("the watchdog");
        assert!(!is_late, "{} did not end within {PATIENCE:?}:\n{}", self.shown, self.stderr.so_far());
        let (dumped_core, died_of) = (status.core_dumped(), status.signal());
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Finished {
            status,
            died_of,
            dumped_core,
            ended: end,
            elapsed,
            withheld,
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
            shown: std::mem::take(&mut self.shown),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only after a failed assertion is it still running.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The executable, at its end.
#[derive(Debug)]
pub struct Finished {
    /// The exit status, 128+N after signal N.
    pub status: i32,
    /// The signal that it died of, if it did (`WIFSIGNALED`).
    pub died_of: Option<i32>,
    /// Whether the kernel made a core dump of it.
    pub dumped_core: bool,
    /// When it ended.
    pub ended: Instant,
    /// From start to end.
    pub elapsed: Duration,
    /// For how much of that it, or the thread that waited for it, would have run and had no processor: what others
    /// kept busy is not its fault.
    pub withheld: Duration,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    shown: String,
}

impl Finished {
    fn dump(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "when-ready {}", self.shown);
        let _ = writeln!(out, "status {} after {:?}", self.status, self.elapsed);
        let _ = writeln!(out, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr);
        out
    }

    /// Asserts the exit status.
    #[track_caller]
    pub fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.status, status, "the exit status of\n{}", self.dump());
        self
    }

    /// Asserts that standard error holds `text`.
    #[track_caller]
    pub fn expect_stderr(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` on stderr of\n{}", self.dump());
        self
    }

    /// Asserts that neither stream holds `text`.
    #[track_caller]
    pub fn expect_nowhere(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text) && !self.stdout.contains(text), "`{text}` is shown by\n{}", self.dump());
        self
    }

    /// Asserts standard output as a whole.
    #[track_caller]
    pub fn expect_stdout(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "the stdout of\n{}", self.dump());
        self
    }

    /// Asserts that standard output holds `text`.
    #[track_caller]
    pub fn expect_in_stdout(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no `{text}` on stdout of\n{}", self.dump());
        self
    }

    /// How long it took by itself.
    pub fn taken(&self) -> Duration {
        self.taken_where_withheld(self.withheld)
    }

    /// The same where this is how long it had no processor. A gate that was held up for 20 ms at its deadline listens for
    /// 75 ms more to what has come meanwhile.
    pub fn taken_where_withheld(&self, withheld: Duration) -> Duration {
        let last_look = if withheld >= Duration::from_millis(20) { Duration::from_millis(75) } else { Duration::ZERO };
        self.elapsed.saturating_sub(withheld).saturating_sub(last_look)
    }

    /// How long it went on after something had been sent to it. Its streams may end later: what another test forks
    /// meanwhile holds them until it executes.
    pub fn ended_after(&self, sent: Instant) -> Duration {
        self.ended.saturating_duration_since(sent)
    }

    /// Asserts that it took at least so long, and by itself at most so long.
    #[track_caller]
    pub fn expect_elapsed(self, range: std::ops::RangeInclusive<u64>) -> Self {
        let [elapsed, taken] = [self.elapsed, self.taken()].map(|time| u64::try_from(time.as_millis()).unwrap());
        let is_kept = elapsed >= *range.start() && taken <= *range.end();
        assert!(is_kept, "{elapsed} ms, {taken} of its own, is not in {range:?} ms:\n{}", self.dump());
        self
    }
}

/// Waits for one target and expects it to become ready.
#[track_caller]
pub fn ready(url: impl Into<String>) -> Finished {
    Run::new().target(url).timeout("60s").finish().expect_status(0)
}

/// Probes one target once and expects it not to be ready.
#[track_caller]
pub fn not_ready(url: impl Into<String>) -> Finished {
    Run::new().target(url).args(["--max-attempts", "1"]).timeout("60s").finish().expect_status(124)
}

/// Expects the wait to end at the first failure, as one that waiting cannot mend.
#[track_caller]
pub fn fails_for_good(url: impl Into<String>) -> Finished {
    Run::new().target(url).arg("--fail-fast").timeout("60s").finish().expect_status(1).expect_stderr(": failed: ")
}

/// Ends a process that a fixture started.
pub struct Reaper(pub Child);

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A server that ends with the tests, however they end: one that tests share is never dropped.
pub struct Leash(Child);

impl Leash {
    /// The command `program`, unprivileged, to which arguments may be added.
    pub fn command(program: &Path) -> Command {
        let mut command = unprivileged(Path::new("/bin/sh"));
        // The end of its standard input is the end of the tests. The server may have no group of its own yet.
        command
            .args(["-c", "setsid \"$@\" </dev/null & cat >/dev/null; kill -9 -$! || kill -9 $!; wait", "sh"])
            .arg(program);
        command
    }

    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("a server"))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

/// How many connections a server holds on a port, those whose client has gone included.
pub fn connections_of(port: u16) -> usize {
    const HELD: [&str; 2] = ["01", "08"];
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_held = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1).is_some_and(|address| address.ends_with(&local))
            && fields.get(3).is_some_and(|state| HELD.contains(state))
    };
    table.lines().filter(is_held).count()
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::sleep(Duration::from_millis(10));
    }
}
