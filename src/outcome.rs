//! What an attempt found: why a target is ready, or why not, in which stage, and whether waiting can mend it. Pure.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What was proven of a target that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// For people: `HTTP 200`, `PONG`, `logged in as app to the database app`.
    pub proof: String,
}

impl Ready {
    /// A success that `proof` tells of.
    pub fn new(proof: impl Into<String>) -> Self {
        Self { proof: proof.into() }
    }
}

/// What one attempt found.
pub type Outcome = Result<Ready, NotReady>;

/// One failed attempt: what kind of failure, and what to tell the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// What went wrong, for counting and for the policy.
    pub kind: Kind,
    /// What went wrong, its cause and the way out, for people. It holds no secret.
    pub reason: String,
}

impl NotReady {
    /// A failure of `kind`, explained by `reason`.
    pub fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }

    /// Whether waiting can mend it.
    pub fn permanence(&self) -> Permanence {
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
pub enum Permanence {
    /// It may be ready at the next attempt.
    Pending,
    /// Somebody must change something first; `--fail-fast` stops here.
    Permanent,
}

/// The kinds of failure; each has a name that is stable in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
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
}

impl Kind {
    /// The name in reports: it does not change between versions.
    pub fn name(self) -> Cow<'static, str> {
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
        })
    }

    /// Whether waiting can mend it.
    ///
    /// HTTP: 501 and 4xx other than 408, 425 and 429 are permanent (RFC 9110, section 15).
    pub fn permanence(self) -> Permanence {
        match self {
            Self::CertificateRejected
            | Self::TlsRefused
            | Self::WrongProtocol
            | Self::CredentialsRejected
            | Self::Forbidden
            | Self::CannotRun
            | Self::HttpStatus(501) => Permanence::Permanent,
            Self::HttpStatus(408 | 425 | 429) => Permanence::Pending,
            Self::HttpStatus(code) if (400..500).contains(&code) => Permanence::Permanent,
            Self::HttpStatus(_)
            | Self::Unresolved
            | Self::NameGone
            | Self::ConnectionRefused
            | Self::Unreachable
            | Self::TimedOut
            | Self::ConnectionClosed
            | Self::TlsFailed
            | Self::Unexpected
            | Self::NotAccepting
            | Self::TooManyConnections
            | Self::Missing
            | Self::NoDatabase
            | Self::CommandFailed
            | Self::ServerError
            | Self::LocalLimit
            | Self::StillUp => Permanence::Pending,
        }
    }
}

/// What an attempt is doing, for the reason of one that runs out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a thread, or has just begun.
    Starting,
    /// It waits for the file system.
    Reading,
    /// It waits for the name service.
    Resolving,
    /// It waits for a connection.
    Connecting,
    /// It waits for the TLS handshake.
    TlsHandshake,
    /// It waits for the answer of a connected peer.
    Exchanging,
    /// It waits for the rest of an answer that has begun.
    InBody,
    /// It waits for the end of a command.
    Running,
    /// It has not begun: it waits for a descriptor.
    Crowded,
    /// It has not begun: it waits for its turn.
    Unbegun,
}

impl Stage {
    /// All of them, those of an attempt in its order.
    pub const ALL: [Self; 10] = [
        Self::Starting,
        Self::Reading,
        Self::Resolving,
        Self::Connecting,
        Self::TlsHandshake,
        Self::Exchanging,
        Self::InBody,
        Self::Running,
        Self::Crowded,
        Self::Unbegun,
    ];

    /// What an attempt says that ran out of time here.
    pub fn timed_out(self, after: Duration) -> NotReady {
        let after = crate::duration::human(after);
        let reason = match self {
            Self::Starting => format!("not probed within {after}: no thread was free"),
            Self::Reading => format!("no answer from the file system within {after}: is the mount alive?"),
            Self::Resolving => {
                format!(
                    "no answer from the name service within {after}: is the nameserver in /etc/resolv.conf reachable?"
                )
            }
            Self::Connecting => {
                format!(
                    "no answer to the connection attempt within {after}: a firewall drops it, or the address is wrong"
                )
            }
            Self::TlsHandshake => {
                format!("connected, but no TLS handshake within {after}: does this port speak TLS?")
            }
            Self::Exchanging => format!("connected, but no answer within {after}"),
            Self::InBody => {
                format!("the answer began, but neither what is expected nor its end came within {after}")
            }
            Self::Running => format!("the command did not end within {after}"),
            Self::Crowded => {
                format!("not probed within {after}: no file descriptor was free (raise `ulimit -n`)")
            }
            Self::Unbegun => format!("not probed within {after}: this machine was too busy"),
        };
        NotReady::new(Kind::TimedOut, reason)
    }
}

/// The most characters of a peer's message that are looked at.
const MAX_QUOTED: usize = 4096;
/// The most characters of a reason that are shown.
const MAX_SHOWN: usize = 400;
/// The most characters of an excerpt that are shown.
const MAX_EXCERPT: usize = 240;
/// Stands before an excerpt until it is cut; [`quoted`] takes it from a peer's text.
pub(crate) const OPEN: char = '\u{2}';
/// Stands behind an excerpt.
pub(crate) const CLOSE: char = '\u{3}';

/// A peer's message as text, as it is: [`shown`] makes it fit to be read once secrets have been looked for.
pub fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if matches!(c, OPEN | CLOSE) { ' ' } else { c }).take(MAX_QUOTED).collect()
}

/// A peer's message as part of a reason: [`shown`] cuts this and not what follows it, which is ours.
pub fn excerpt(text: &str) -> String {
    format!("{OPEN}{text}{CLOSE}")
}

/// The first bytes of an answer, of which at most 40 characters are shown.
pub fn beginning(bytes: &[u8]) -> String {
    format!("{OPEN}{OPEN}{}{CLOSE}", quoted(bytes))
}

/// A reason as one line of bounded length, so that no server can flood a log or write to an operator's terminal.
/// Secrets have been looked for before: a piece of one would not be found.
pub fn shown(reason: &str) -> String {
    const MAX_BEGINNING: usize = 40;
    if reason.len() <= MAX_SHOWN && is_one_line(reason) {
        return reason.to_owned();
    }
    let mut out = String::new();
    let mut rest = reason;
    while let Some((ours, behind)) = rest.split_once(OPEN) {
        let (inside, behind) = behind.split_once(CLOSE).unwrap_or((behind, ""));
        let (inside, most) = inside.strip_prefix(OPEN).map_or((inside, MAX_EXCERPT), |inside| (inside, MAX_BEGINNING));
        out.push_str(ours);
        out.push_str(&truncated(&one_line(inside), most));
        rest = behind;
    }
    out.push_str(rest);
    truncated(&one_line(&out), MAX_SHOWN)
}

/// At most `most` characters, and an ellipsis where some are left out.
pub fn truncated(text: &str, most: usize) -> String {
    // No text has more characters than bytes.
    let end = if text.len() > most { text.char_indices().nth(most) } else { None };
    match end {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// A text as one line that cannot move a terminal's cursor: what is not printable becomes a blank, and blanks
/// are taken together.
pub fn one_line(text: &str) -> String {
    if is_one_line(text) {
        return text.to_owned();
    }
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in which what is not printable is a blank: everything that is shown goes through here.
pub fn printable(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}

/// Whether it is so already, as nearly all is that is shown: printable ASCII, with single blanks between words.
fn is_one_line(text: &str) -> bool {
    let mut follows_blank = true;
    for byte in text.bytes() {
        let is_blank = byte == b' ';
        if !matches!(byte, b' '..=b'~') || is_blank && follows_blank {
            return false;
        }
        follows_blank = is_blank;
    }
    !follows_blank
}

/// Whether it is printable ASCII.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Control characters, and those that reorder or break a line or are not seen (UAX 9, UAX 14).
pub fn is_unprintable(c: char) -> bool {
    let is_invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundreds_but_501_are_worth_waiting_for() {
        for code in [408, 425, 429, 500, 502, 503, 504, 301] {
            assert_eq!(Kind::HttpStatus(code).permanence(), Permanence::Pending, "{code}");
        }
        for code in [400, 401, 403, 404, 410, 499, 501] {
            assert_eq!(Kind::HttpStatus(code).permanence(), Permanence::Permanent, "{code}");
        }
    }

    #[test]
    fn a_peers_message_is_one_harmless_line() {
        assert_eq!(shown(&quoted(b"a\r\nb\x1b[31mc\0")), "a b [31mc");
        assert_eq!(shown(&quoted("x\u{202e}y\u{2028}z".as_bytes())), "x y z");
        assert_eq!(shown(&quoted(b"\xff\xfe")), "\u{fffd}\u{fffd}");
        assert_eq!(shown(&quoted("é".repeat(500).as_bytes())).chars().count(), 401);
    }

    #[test]
    fn what_is_one_line_already_stays_as_it_is() {
        for text in ["a", "a b", "connection refused by 10.0.0.1:80: nothing listens there yet"] {
            assert!(is_one_line(text), "{text}");
        }
        for (text, line) in
            [("", ""), (" ", ""), (" a", "a"), ("a ", "a"), ("a  b", "a b"), ("a\tb", "a b"), ("é", "é")]
        {
            assert!(!is_one_line(text), "{text:?}");
            assert_eq!((one_line(text), shown(text)), (line.to_owned(), line.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_a_peer_says_is_cut_and_the_advice_behind_it_is_not() {
        let long = "x".repeat(500);
        assert_eq!(shown(&format!("{}: do this", excerpt(&long))), format!("{}…: do this", "x".repeat(240)));
        assert_eq!(
            shown(&format!("it answered `{}`", beginning(long.as_bytes()))),
            format!("it answered `{}…`", "x".repeat(40))
        );
        // A peer cannot end its excerpt by itself.
        assert_eq!(shown(&format!("`{}`", beginning(b"\x02a\x03b\x02"))), "`a b`");
    }
}
