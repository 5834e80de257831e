//! The one place that says what each exit status means.

/// How the process ends when COMMAND does not take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// 0: all ready and no COMMAND; `--check`: all healthy.
    Ready,
    /// 1: `--check` found a target that is not healthy, `--fail-fast` a permanent failure, or what was asked for
    /// could not be written.
    NotHealthy,
    /// 2: a wrong command line or environment.
    Usage,
    /// 124: the deadline, or the last allowed attempt, has passed (as timeout(1)).
    TimedOut,
    /// 126: COMMAND cannot be executed (as the shell).
    NotExecutable,
    /// 127: COMMAND is not found (as the shell).
    NotFound,
    /// 128+N: signal N came while waiting. As PID 1 it is the exit status; elsewhere the process dies of the signal,
    /// which a shell shows as the same.
    Signal(i32),
}

impl ExitStatus {
    /// The number that the parent sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::NotHealthy => 1,
            Self::Usage => 2,
            Self::TimedOut => 124,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        status.code().into()
    }
}

/// Why the process ends before its time, for the one place that says it.
#[derive(Debug)]
pub(crate) struct Stop {
    /// A sentence for people.
    pub(crate) message: String,
    /// How it ends.
    pub(crate) status: ExitStatus,
}

impl Stop {
    /// A wrong command line or environment.
    pub(crate) fn usage(message: String) -> Self {
        Self { message, status: ExitStatus::Usage }
    }
}
