//! MQTT 3.1.1: CONNECT, what CONNACK says, DISCONNECT.

pub(crate) mod wire;

use crate::net::tls::Tls;
use crate::net::{Attempt, TimedStream};
use crate::secret::Secret;
use crate::targets::shared::kind::{Form, Probe, Scheme, TargetKind};
use crate::targets::shared::server::{Server, WANTS_LOGIN};
use crate::targets::shared::talk::Talk;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use crate::wait::policy::Goal;

const PROTOCOL: &str = "MQTT";

/// MQTT.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[
        Scheme::new(&["mqtt", "mqtt+tcp"]).port(1883),
        Scheme::new(&["mqtts", "mqtt+ssl", "mqtt+tls", "mqtt-ssl"]).port(8883).tls(),
    ],
    forms: &[Form {
        url: "mqtt://USER:PASSWORD@HOST, mqtts://...",
        ready: "the broker takes the session (without a password: accepting connections)",
        keys: &[],
    }],
    takes_socket: true,
    takes_lists: true,
    // A path is a topic's, in the URLs that have one: what a session may publish is not asked.
    read: |written, reading| Ok(Box::new(Mqtt { server: Server::read(written, reading)?.0 })),
    ..TargetKind::USUAL
}];

/// A broker, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mqtt {
    server: Server,
}

impl Probe for Mqtt {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| {
            self.server.talk_with(place, PROTOCOL, tls, attempt, |talk| converse(talk, self))
        })
    }
}

pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Mqtt) -> Outcome {
    let (user, password) = (target.server.user.as_deref(), target.server.password.as_ref());
    talk.send(&wire::connect(&client_id()?, user, password.map(Secret::expose_bytes)));
    let code = talk.receive(wire::connack)?;
    if code == 0 {
        talk.send(wire::DISCONNECT);
        return Ok(Ready::new(match user {
            Some(user) => format!("logged in as {user}"),
            None if password.is_some() => "logged in".to_owned(),
            None => "the broker takes sessions without a login".to_owned(),
        }));
    }
    let failure = refusal(code);
    if failure.kind == Kind::CredentialsRejected && password.is_none() {
        return Ok(Ready::new(WANTS_LOGIN));
    }
    Err(failure)
}

/// A client of our own: the application's would be thrown out by one of the same name. A server need not take a
/// longer one (section 3.1.3.1).
fn client_id() -> Result<String, NotReady> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes)
        .map_err(|error| NotReady::new(Kind::LocalLimit, format!("the system has no random numbers: {error}")))?;
    Ok(bytes.iter().fold("whenready".to_owned(), |id, byte| format!("{id}{byte:02x}")))
}

/// The return codes of 3.1.1 (table 3.1), and the reason codes with which servers of MQTT 5 alone answer it (section
/// 3.2.2.2 of its standard).
fn refusal(code: u8) -> NotReady {
    let (kind, name, way_out) = match code {
        0x01 | 0x84 => (Kind::Forbidden, "unacceptable protocol version", ": it takes no MQTT 3.1.1"),
        0x02 | 0x85 => (Kind::Forbidden, "identifier rejected", ""),
        0x03 | 0x88 => (Kind::NotAccepting, "server unavailable", ""),
        0x04 | 0x86 => (Kind::CredentialsRejected, "bad user name or password", ": check user and password"),
        0x05 | 0x87 => (Kind::CredentialsRejected, "not authorized", ": check user and password"),
        0x89 => (Kind::TooManyConnections, "server busy", ""),
        0x8a => (Kind::Forbidden, "banned", ""),
        0x8c => (Kind::Forbidden, "bad authentication method", ""),
        0x97 => (Kind::TooManyConnections, "quota exceeded", ""),
        0x9c | 0x9d => (Kind::NotAccepting, "use another server", ""),
        0x9f => (Kind::TooManyConnections, "connection rate exceeded", ""),
        _ => (Kind::ServerError, "the broker refuses the session", ""),
    };
    NotReady::new(kind, format!("{name} (CONNACK {code}){way_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::{of_kind, talked};

    fn outcome(url: &str, answer: &[u8]) -> (Result<String, Kind>, Vec<u8>) {
        let (outcome, written) = talked(answer, PROTOCOL, |talk| converse(talk, &of_kind(url)));
        (outcome.map(|ready| ready.proof).map_err(|failure| failure.kind), written)
    }

    #[test]
    fn a_session_that_is_taken_is_ready_and_ends_in_order() {
        let (found, heard) = outcome("mqtt://app:secret@h", b"\x20\x02\0\0");
        assert_eq!(found, Ok("logged in as app".to_owned()));
        assert!(heard.ends_with(wire::DISCONNECT));
        assert!(outcome("mqtt://h", b"\x20\x02\0\0").0.is_ok());
    }

    #[test]
    fn what_the_broker_refuses_is_told_apart() {
        for (code, kind) in [
            (1, Kind::Forbidden),
            (2, Kind::Forbidden),
            (3, Kind::NotAccepting),
            (4, Kind::CredentialsRejected),
            (5, Kind::CredentialsRejected),
            (0x87, Kind::CredentialsRejected),
            (0x89, Kind::TooManyConnections),
            (6, Kind::ServerError),
        ] {
            assert_eq!(outcome("mqtt://app:x@h", &[0x20, 2, 0, code]).0, Err(kind), "{code}");
        }
        // Without a password it is known to accept.
        assert!(outcome("mqtt://h", b"\x20\x02\0\x05").0.is_ok_and(|proof| proof.contains("no password given")));
        assert_eq!(outcome("mqtt://h", b"\x20\x02\0\x03").0, Err(Kind::NotAccepting));
        assert_eq!(outcome("mqtt://h", b"").0, Err(Kind::ConnectionClosed));
        assert_eq!(outcome("mqtt://h", b"HTTP/1.1").0, Err(Kind::WrongProtocol));
    }

    #[test]
    fn no_two_sessions_have_the_same_name() {
        let (one, other) = (client_id().unwrap(), client_id().unwrap());
        assert!(one != other && one.len() <= 23 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
