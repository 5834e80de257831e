//! The outcome of an attempt: why a target is ready, or why not, in which stage, and whether waiting can mend it. Pure.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::text::human;

/// The proof that a target is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    /// For people: `HTTP 200`, `PONG`, `logged in as app to the database app`.
    pub(crate) proof: String,
}

impl Ready {
    /// A success that `proof` tells of.
    pub(crate) fn new(proof: impl Into<String>) -> Self {
        Self { proof: proof.into() }
    }
}

/// The outcome of one attempt.
pub(crate) type Outcome = Result<Ready, NotReady>;

/// A failed attempt: the kind of failure, and the words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotReady {
    /// The kind, for counting and for the policy.
    pub(crate) kind: Kind,
    /// The failure, its cause and the way out, for people. It holds no secret.
    pub(crate) reason: String,
    /// Whether somebody must mend a part of it, whatever the kind of the whole: what failed at one of several hosts, or a
    /// login to a server that shall be down.
    pub(crate) is_partly_lasting: bool,
}

impl NotReady {
    /// A failure of `kind`, explained by `reason`.
    pub(crate) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), is_partly_lasting: false }
    }

    /// Whether somebody must mend it, or a part of it: it is asked again slowly.
    pub(crate) fn waits_for_somebody(&self) -> bool {
        self.kind.waits_for_somebody() || self.is_partly_lasting
    }

    /// Whether waiting can mend it.
    pub(crate) fn permanence(&self) -> Permanence {
        self.kind.permanence()
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// So that an I/O error can carry what a layer below knows of its cause.
impl std::error::Error for NotReady {}

/// Whether waiting can mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permanence {
    /// The target may be ready at the next attempt.
    Pending,
    /// Somebody must change something first; `--fail-fast` stops here.
    Permanent,
}

/// The kinds of failure; each has a name that is stable in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The name has no address.
    Unresolved,
    /// The name had an address earlier in this wait, and has none any more.
    NameGone,
    /// Every address answered that nothing listens on the port.
    ConnectionRefused,
    /// There is no way to the address (RFC 792: host, network or protocol unreachable).
    Unreachable,
    /// No answer within the time given.
    TimedOut,
    /// The peer closed or reset the connection before it answered.
    ConnectionClosed,
    /// The TLS handshake failed for a reason that may pass.
    TlsFailed,
    /// A certificate that does not verify, in either direction.
    CertificateRejected,
    /// TLS is required and the server does not offer it.
    TlsRefused,
    /// The peer speaks another protocol.
    WrongProtocol,
    /// An HTTP status that is not accepted.
    HttpStatus(u16),
    /// The answer came, and is not what the target expects (`body`, `json`, `query`, `key`, `role`).
    Unexpected,
    /// Starting up, shutting down, in recovery, loading, busy: the server says so itself.
    NotAccepting,
    /// The server has no connection to spare.
    TooManyConnections,
    /// The file or socket does not exist.
    Missing,
    /// The database does not exist.
    NoDatabase,
    /// The command that is the probe exited with a status that is not accepted, or was ended.
    CommandFailed,
    /// The command that is the probe is not found or not executable.
    CannotRun,
    /// The server refuses these credentials.
    CredentialsRejected,
    /// The server refuses for good what the target asks of it.
    Forbidden,
    /// Any other error that the server reports.
    ServerError,
    /// This machine or container is out of threads, descriptors or memory.
    LocalLimit,
    /// Under `--until-down`: it still answers.
    StillUp,
    /// The end that the target names has come (`fail-status`, `fail-body`, `fail-json`, `fail-exit`).
    FailCondition,
}

impl Kind {
    /// The name in reports: it does not change between versions.
    pub(crate) fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unresolved | Self::NameGone => "unresolved",
            Self::ConnectionRefused => "connection_refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::ConnectionClosed => "connection_closed",
            Self::TlsFailed => "tls_failed",
            Self::CertificateRejected => "certificate_rejected",
            Self::TlsRefused => "tls_refused",
            Self::WrongProtocol => "wrong_protocol",
            Self::HttpStatus(code) => return Cow::Owned(format!("http_{code}")),
            Self::Unexpected => "unexpected_answer",
            Self::NotAccepting => "not_accepting",
            Self::TooManyConnections => "too_many_connections",
            Self::Missing => "missing",
            Self::NoDatabase => "no_database",
            Self::CommandFailed => "command_failed",
            Self::CannotRun => "cannot_run",
            Self::CredentialsRejected => "credentials_rejected",
            Self::Forbidden => "forbidden",
            Self::ServerError => "server_error",
            Self::LocalLimit => "local_limit",
            Self::StillUp => "still_up",
            Self::FailCondition => "fail_condition",
        })
    }

    /// Whether asking costs the other side no more than a packet: there is nobody to be asked.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Unresolved
                | Self::NameGone
                | Self::ConnectionRefused
                | Self::Unreachable
                | Self::TimedOut
                | Self::Missing
                | Self::LocalLimit
        )
    }

    /// Whether somebody has to mend it, so that asking often helps nobody and may lock an account or a host out.
    pub(crate) fn waits_for_somebody(self) -> bool {
        self.permanence() == Permanence::Permanent
    }

    /// The place to look at next.
    pub(crate) fn look_at(self) -> &'static str {
        match self {
            Self::Unresolved | Self::NameGone => "whether its container runs in the same network, and /etc/resolv.conf",
            Self::ConnectionRefused => "whether the process runs, and on which address and port it listens",
            Self::Unreachable => "routes and firewalls between here and there",
            Self::TimedOut => "firewalls and network policies between, then the server's own log",
            Self::ConnectionClosed => "what stands between (a proxy, a published port), and the server behind it",
            Self::TlsFailed | Self::TlsRefused => "which port has TLS, and the server's TLS settings",
            Self::CertificateRejected => "the CA that is given here, and the certificate's names and dates",
            Self::WrongProtocol => "whether this is the right port and scheme",
            Self::HttpStatus(_) | Self::Unexpected => "what the path answers, and what is expected of it",
            Self::NotAccepting | Self::TooManyConnections => {
                "the server's own log: it says itself that it is not ready"
            }
            Self::Missing => "whether the path is mounted here",
            Self::NoDatabase => "whether the database was created, and its name",
            Self::CommandFailed | Self::CannotRun => "the command, run by hand in this image",
            Self::CredentialsRejected => "the user and the password that the server knows",
            Self::Forbidden => "what this user is allowed there",
            Self::ServerError => "the server's own log",
            Self::LocalLimit => "the limits of this container (descriptors, processes, memory)",
            Self::StillUp | Self::FailCondition => "the target's own log",
        }
    }

    /// The remedy for a failure that waiting cannot mend: the one list of these kinds. An HTTP status is none of them:
    /// routes, logins and seals come up late.
    pub(crate) fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Self::CertificateRejected => "check the certificates",
            Self::TlsRefused => "check whether the server has TLS",
            Self::WrongProtocol => "check the address and the scheme",
            Self::CredentialsRejected => "check the user and the password",
            Self::Forbidden => "check what is asked for, and what is allowed there",
            Self::CannotRun => "check the command",
            Self::FailCondition => "the target says so itself",
            _ => return None,
        })
    }

    /// Whether waiting can mend it.
    pub(crate) fn permanence(self) -> Permanence {
        if self.remedy().is_some() { Permanence::Permanent } else { Permanence::Pending }
    }
}

/// The causes of a SYN that nobody answers. A listener whose queue is full drops it as well (listen(2)).
pub(crate) const NO_ANSWER: &str = "a firewall drops it, its queue is full, or the address is wrong";

/// The stage of an attempt, for the reason of one that runs out of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waiting for a thread, or just begun.
    #[default]
    Starting,
    /// Waiting for the file system.
    Reading,
    /// Waiting for the name service.
    Resolving,
    /// Waiting for a connection.
    Connecting,
    /// Waiting for the TLS handshake.
    TlsHandshake,
    /// Waiting for the answer of a connected peer.
    Exchanging,
    /// Waiting for the rest of a greeting that has begun.
    Greeting,
    /// Logged in, waiting for the database behind a pooler.
    Querying,
    /// Waiting for the rest of an answer that has begun.
    InBody,
    /// Waiting for the end of a command.
    Running,
    /// Not begun: waiting for a descriptor.
    Crowded,
    /// Not begun: waiting for its turn.
    Unbegun,
}

impl Stage {
    /// Whether a peer has taken the connection, and is to answer.
    pub(crate) fn is_connected(self) -> bool {
        match self {
            Self::TlsHandshake | Self::Exchanging | Self::Greeting | Self::Querying | Self::InBody => true,
            Self::Starting
            | Self::Reading
            | Self::Resolving
            | Self::Connecting
            | Self::Running
            | Self::Crowded
            | Self::Unbegun => false,
        }
    }

    /// The failure of an attempt that ran out of time at this stage.
    pub(crate) fn timed_out(self, after: Duration) -> NotReady {
        let (what, why) = match self {
            Self::Starting => ("not probed", "no thread was free"),
            Self::Reading => ("no answer from the file system", "is the mount alive?"),
            Self::Resolving => ("no answer from the name service", "is the nameserver in /etc/resolv.conf reachable?"),
            Self::Connecting => ("no answer to the connection attempt", NO_ANSWER),
            Self::TlsHandshake => ("connected, but no TLS handshake", "does this port speak TLS?"),
            Self::Exchanging => ("connected, but no answer", "is it busy, paused, or before a server that is down?"),
            Self::Greeting => (
                "the greeting began, but its last line did not come",
                "postscreen lets clients wait (postscreen_greet_wait, 6s); allow more with --attempt-timeout",
            ),
            Self::Querying => {
                ("logged in, but the database does not answer", "is the pooler paused, or its server down?")
            }
            Self::InBody => ("the answer began, but neither what is expected nor its end came", ""),
            Self::Running => ("the command did not end", ""),
            Self::Crowded => ("not probed", "no file descriptor was free (raise `ulimit -n`)"),
            Self::Unbegun => ("not probed", "this machine was too busy"),
        };
        let colon = if why.is_empty() { "" } else { ": " };
        NotReady::new(Kind::TimedOut, format!("{what} within {}{colon}{why}", human(after)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_http_status_is_permanent() {
        for code in 100..=599 {
            assert_eq!(Kind::HttpStatus(code).permanence(), Permanence::Pending, "{code}");
        }
    }

    #[test]
    fn the_kinds_in_bold_of_the_reference_are_the_permanent_ones() {
        let page = include_str!("../../docs/reference.md");
        let all = [
            Kind::Unresolved,
            Kind::ConnectionRefused,
            Kind::Unreachable,
            Kind::TimedOut,
            Kind::ConnectionClosed,
            Kind::TlsFailed,
            Kind::CertificateRejected,
            Kind::TlsRefused,
            Kind::WrongProtocol,
            Kind::Unexpected,
            Kind::NotAccepting,
            Kind::TooManyConnections,
            Kind::Missing,
            Kind::NoDatabase,
            Kind::CommandFailed,
            Kind::CannotRun,
            Kind::CredentialsRejected,
            Kind::Forbidden,
            Kind::ServerError,
            Kind::LocalLimit,
            Kind::StillUp,
            Kind::FailCondition,
        ];
        for kind in all {
            let name = kind.name();
            let is_of = |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{name}`")));
            let row = page.lines().find(is_of);
            let is_bold = row.unwrap_or_else(|| panic!("{name}")).starts_with("| **");
            assert_eq!(is_bold, kind.permanence() == Permanence::Permanent, "{name}");
        }
    }
}
