//! What the command line and the environment come to.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::deadline::Deadline;
use crate::endpoint::Target;

/// Everything that a run needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What is waited for.
    pub targets: Arc<[Target]>,
    /// What is said at the beginning, about targets that are left out.
    pub notes: Vec<String>,
    /// How it is waited for.
    pub policy: Policy,
    /// How https, rediss and Postgres use TLS.
    pub tls: TlsOptions,
    /// What is said, and where.
    pub output: Output,
    /// What runs afterwards, with its arguments.
    pub command: Option<Vec<OsString>>,
}

/// When the wait ends, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// `--timeout`
    pub timeout: Deadline,
    /// `--attempt-timeout`
    pub attempt_timeout: Duration,
    /// `--interval`, `--backoff` and `--max-interval`
    pub backoff: Backoff,
    /// `--max-attempts`
    pub max_attempts: Option<u32>,
    /// `--successes`
    pub successes: u32,
    /// `--any`
    pub quorum: Quorum,
    /// `--until-down`
    pub goal: Goal,
    /// `--fail-fast`
    pub on_permanent: OnPermanent,
    /// `--on-timeout`
    pub on_timeout: OnTimeout,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Deadline::At(Duration::from_mins(1)),
            attempt_timeout: Duration::from_secs(5),
            backoff: Backoff::default(),
            max_attempts: None,
            successes: 1,
            quorum: Quorum::All,
            goal: Goal::Ready,
            on_permanent: OnPermanent::Retry,
            on_timeout: OnTimeout::Fail,
        }
    }
}

/// How many targets must be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// Every one.
    All,
    /// One is enough.
    Any,
    /// Every one, and each is given its chance before the verdict (`--check`).
    Each,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// That the target is ready.
    Ready,
    /// That it refuses connections or is gone.
    Down,
}

/// What a failure does that waiting cannot mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPermanent {
    /// Wait on: somebody may mend it in time.
    Retry,
    /// End at once.
    Fail,
}

/// What happens at the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    /// Exit with 124.
    Fail,
    /// Run COMMAND even so.
    Run,
}

/// `--tls-*`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// `--tls-ca`: added to the roots.
    pub ca: Option<PathBuf>,
    /// `--tls-cert`
    pub cert: Option<PathBuf>,
    /// `--tls-key`
    pub key: Option<PathBuf>,
    /// `--tls-insecure`
    pub verification: Verification,
    /// `SSL_CERT_FILE`: the roots, instead of the system's bundle.
    pub roots: Option<PathBuf>,
}

/// Whether certificates are verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verification {
    /// They are.
    #[default]
    On,
    /// `--tls-insecure`
    Off,
}

/// What is said, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// `-q` and `-v`
    pub verbosity: Verbosity,
    /// `--log-format`
    pub format: Format,
    /// `--report`
    pub report: Option<ReportTo>,
    /// `--termination-log`
    pub termination_log: TerminationLog,
    /// Whether a terminal may be drawn on: neither `NO_COLOR` nor `TERM=dumb`.
    pub terminal: Terminal,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// A line for each change.
    Normal,
    /// A line for each attempt.
    Verbose,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines.
    Text,
    /// JSON.
    Json,
}

/// Where the report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportTo {
    /// `-`: standard output, which no COMMAND has a claim to.
    Stdout,
    /// The file that the user named.
    File(PathBuf),
}

/// Where a failed wait leaves its summary for `kubectl describe pod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminationLog {
    /// /dev/termination-log, if it is there.
    IfPresent(PathBuf),
    /// The file that the user named.
    Named(PathBuf),
}

impl TerminationLog {
    /// The file that the user named, else where Kubernetes looks.
    pub fn of(named: Option<PathBuf>) -> Self {
        named.map_or_else(|| Self::IfPresent(PathBuf::from("/dev/termination-log")), Self::Named)
    }
}

/// Whether the user lets us draw on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// If there is one.
    Allowed,
    /// Plain lines even there.
    Plain,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// Wait, then run.
    Run(Box<Config>),
    /// `--check`
    Check(Box<Config>, Check),
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// `--completions`
    Completions(Shell),
    /// `--man`
    Man,
}

/// How a check is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// `--format`
    pub format: Format,
    /// `--watch`
    pub watch: Option<Duration>,
}

/// The shells that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}
