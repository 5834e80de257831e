//! The result of the command line and the environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::net::tls_settings::TlsOptions;
use crate::targets::shared::target::Target;
use crate::wait::policy::Policy;

/// Everything that a run needs.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The goal of the wait.
    pub(crate) targets: Arc<[Target]>,
    /// Notes about targets that are left out, said at the beginning.
    pub(crate) notes: Vec<String>,
    /// How it is waited for.
    pub(crate) policy: Policy,
    /// How https, rediss and Postgres use TLS.
    pub(crate) tls: TlsOptions,
    /// The output: how much, in which format, where.
    pub(crate) output: Output,
    /// The command that runs afterwards, with its arguments.
    pub(crate) command: Option<Vec<OsString>>,
}

/// The output: how much, in which format, where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// `-q` and `-v`
    pub(crate) verbosity: Verbosity,
    /// `--log-format`
    pub(crate) format: Format,
    /// `--report`
    pub(crate) report: Option<ReportTo>,
    /// `--termination-log`
    pub(crate) termination_log: TerminationLog,
    /// Whether a terminal may be drawn on: not with `TERM=dumb`.
    pub(crate) terminal: Terminal,
    /// `--color`
    pub(crate) color: Color,
    /// `--name`: who waits; the host's name, where there is none.
    pub(crate) name: Option<String>,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// A line for each change.
    Normal,
    /// A line for each attempt.
    Verbose,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines.
    Text,
    /// JSON.
    Json,
}

/// Where the report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportTo {
    /// `-`: standard output, which no COMMAND has a claim to.
    Stdout,
    /// The file that the user named.
    File(PathBuf),
}

/// Where a failed wait leaves its summary for `kubectl describe pod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TerminationLog {
    /// /dev/termination-log, if it is there.
    IfPresent(PathBuf),
    /// The file that the user named.
    Named(PathBuf),
}

impl TerminationLog {
    /// The file that the user named, else where Kubernetes looks.
    pub(crate) fn of(named: Option<PathBuf>) -> Self {
        named.map_or_else(|| Self::IfPresent(PathBuf::from("/dev/termination-log")), Self::Named)
    }
}

/// Whether the user lets us draw on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// If there is one.
    Allowed,
    /// Plain lines even there.
    Plain,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Color {
    /// On a terminal that knows them.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// The request of the command line.
#[derive(Debug, Clone)]
pub(crate) enum Parsed {
    /// Wait, then run.
    Run(Box<Config>),
    /// `--check`
    Check(Box<Config>, Check),
    /// `--timeline`
    Timeline(Timeline, Output),
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
pub(crate) struct Check {
    /// `--format`
    pub(crate) format: Format,
    /// `--watch`
    pub(crate) watch: Option<Duration>,
}

/// The files of a timeline, and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// The files; none, or `-`, is standard input.
    pub(crate) files: Vec<PathBuf>,
    /// `--format`
    pub(crate) format: TimelineFormat,
}

/// The formats of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimelineFormat {
    /// As wide as the terminal.
    Text,
    /// A picture.
    Svg,
}

/// The shells that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}
