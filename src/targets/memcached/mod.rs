//! memcached: its version, in the text protocol or, where a server speaks nothing else, in the binary one; a login
//! where there is a password.

mod binary;

use std::time::Duration;

use crate::net::tls::Tls;
use crate::net::{Attempt, Place, TimedStream};
use crate::targets::shared::kind::{Form, Probe, Scheme, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::{NOT_TRIED, Server};
use crate::targets::shared::talk::{Talk, line};
use crate::text::excerpt;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use crate::wait::policy::Goal;

/// memcached.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[Scheme::new(&[
        "memcached",
        "memcache",
        "memcaches",
        "pymemcache",
        "pymemcachecache",
        "pylibmc",
        "pylibmccache",
        "djangopylibmc",
        "elasticache",
    ])
    .port(11211)],
    forms: &[Form {
        url: "memcached://HOST",
        ready: "logged in where there is a password, and it tells its version",
        keys: &[],
    }],
    takes_driver: true,
    takes_socket: true,
    takes_lists: true,
    read: |written, reading| Ok(Box::new(Memcached::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

/// A memcached server, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memcached {
    server: Server,
}

impl Memcached {
    fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let (mut server, path) = Server::read(written, reading)?;
        // Symfony's `memcached:///run/memcached.sock`: without a host, the path is a socket's.
        let authority = written.rest.split('/').next().unwrap_or_default();
        if !path.is_empty() && (authority.is_empty() || authority.ends_with('@')) {
            server.places = vec![Place::Unix(format!("/{path}").into())];
        }
        Ok(Self { server })
    }
}

impl Probe for Memcached {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| ask(self, place, tls, attempt))
    }
}

const PROTOCOL: &str = "memcached's protocol";
/// How long a server may take to answer in text before it is tempted to show that it speaks the binary protocol alone.
const FIRST_ANSWER: Duration = Duration::from_millis(300);
const BEGINNINGS: [&str; 4] = ["VERSION ", "ERROR", "CLIENT_ERROR ", "SERVER_ERROR "];

fn ask(target: &Memcached, place: &Place, tls: &Tls, attempt: &Attempt) -> Outcome {
    let server = &target.server;
    let mut talk = Talk::new(server.connect(place, tls, attempt)?, PROTOCOL, attempt);
    talk.send(b"version\r\n");
    let is_silent = talk.speaks_within(FIRST_ANSWER) == Ok(false);
    if is_silent {
        // A server of the binary protocol alone (`-B binary`, SASL) waits for the rest of a header, 24 bytes: at these
        // it closes. One of the text protocol answers once more.
        talk.send(b"version\r\nversion\r\n");
    }
    let outcome = answer(&mut talk, server);
    talk.close();
    match outcome {
        Err(failure) if is_silent && failure.kind == Kind::ConnectionClosed => {
            server.talk_with(place, PROTOCOL, tls, attempt, |talk| binary::converse(talk, server))
        }
        other => other,
    }
}

/// The conversation in text, without TLS: for the fuzzer.
pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Memcached) -> Outcome {
    talk.send(b"version\r\n");
    answer(talk, &target.server)
}

/// The answer to `version`.
fn answer<S: TimedStream>(talk: &mut Talk<'_, S>, server: &Server) -> Outcome {
    let outcome = in_text(talk, server);
    talk.send(b"quit\r\n");
    outcome
}

fn in_text<S: TimedStream>(talk: &mut Talk<'_, S>, server: &Server) -> Outcome {
    let answer = talk.receive(|bytes| line(bytes, &BEGINNINGS))?;
    if !answer.contains("unauthenticated") {
        let more = if server.password.is_some() { "; it wants no login" } else { "" };
        return Ok(Ready::new(format!("memcached {}{more}", excerpt(&version(&answer)?))));
    }
    let Some(password) = &server.password else { return Ok(Ready::new(NOT_TRIED)) };
    // `-Y`: a `set` of any key, whose value is the user and the password (memcached's doc/protocol.txt,
    // "Authentication").
    let user = server.user_or("");
    let mut login = format!("set auth 0 0 {}\r\n{user} ", user.len() + 1 + password.expose_bytes().len()).into_bytes();
    login.extend([password.expose_bytes(), b"\r\n"].concat());
    talk.send(&login);
    let answer = talk.receive(|bytes| line(bytes, &["STORED", "ERROR", "CLIENT_ERROR ", "SERVER_ERROR "]))?;
    if answer != "STORED" {
        return Err(refused(&answer));
    }
    talk.send(b"version\r\n");
    let answer = talk.receive(|bytes| line(bytes, &BEGINNINGS))?;
    Ok(Ready::new(format!("logged in as {user}, memcached {}", excerpt(&version(&answer)?))))
}

fn version(answer: &str) -> Result<String, NotReady> {
    if let Some(version) = answer.strip_prefix("VERSION ") {
        return Ok(version.to_owned());
    }
    let kind = if answer.contains("Too many open connections") { Kind::TooManyConnections } else { Kind::ServerError };
    Err(NotReady::new(kind, excerpt(answer)))
}

fn refused(answer: &str) -> NotReady {
    NotReady::new(Kind::CredentialsRejected, format!("{}: check user and password", excerpt(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::{of_kind, talked};

    fn outcome_of(url: &str, answer: &[u8]) -> (Result<String, Kind>, String) {
        let server = of_kind::<Memcached>(url).server;
        let (outcome, heard) = talked(answer, PROTOCOL, |talk| super::answer(talk, &server));
        (outcome.map(|ready| ready.proof).map_err(|failure| failure.kind), String::from_utf8(heard).unwrap())
    }

    fn outcome(answer: &[u8]) -> Result<String, Kind> {
        outcome_of("memcached://h", answer).0
    }

    #[test]
    fn only_its_version_is_ready() {
        assert!(outcome(b"VERSION 1.6.18\r\n").is_ok());
        assert!(outcome(b"CLIENT_ERROR unauthenticated\r\n").unwrap().contains("login not tried"));
        assert_eq!(outcome(b"ERROR Too many open connections\r\n"), Err(Kind::TooManyConnections));
        assert_eq!(outcome(b"SERVER_ERROR out of memory\r\n"), Err(Kind::ServerError));
        assert_eq!(outcome(b"+PONG\r\n"), Err(Kind::WrongProtocol));
        for end in 0..15 {
            assert_eq!(outcome(&b"VERSION 1.6.18\r\n"[..end]), Err(Kind::ConnectionClosed));
        }
    }

    #[test]
    fn a_password_logs_in_where_the_server_wants_it() {
        let app = "memcached://app:p%20w@h";
        let (ready, heard) = outcome_of(app, b"CLIENT_ERROR unauthenticated\r\nSTORED\r\nVERSION 1.6.18\r\n");
        assert!(ready.unwrap().contains("logged in as app"));
        assert_eq!(heard, "set auth 0 0 7\r\napp p w\r\nversion\r\nquit\r\n");
        let refused = b"CLIENT_ERROR unauthenticated\r\nCLIENT_ERROR authentication failure\r\n";
        assert_eq!(outcome_of(app, refused).0, Err(Kind::CredentialsRejected));
        assert!(outcome_of(app, b"VERSION 1.6.18\r\n").0.unwrap().contains("wants no login"));
    }
}
