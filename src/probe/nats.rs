//! NATS: what the server says of itself, a login, PING and PONG.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::talk::{Talk, line};
use crate::endpoint::Place;
use crate::endpoint::service::{Encryption, Service};
use crate::net::tls::Tls;
use crate::net::tls_settings::Settings;
use crate::net::{Budget, Stream};
use crate::outcome::{Kind, NotReady, Outcome, Ready, excerpt};
use crate::secret::Secret;

const PROTOCOL: &str = "NATS";

pub(super) fn probe(target: &Service, place: &Place, stream: Stream, tls: &Tls, budget: &Budget) -> Outcome {
    let mut talk = Talk::new(stream, PROTOCOL, budget);
    let info = info(&mut talk)?;
    if let (Place::Tcp(address), true) = (place, info["tls_required"] == true || target.encryption != Encryption::Never)
    {
        let connection = talk.upgrade()?.plain().ok_or_else(crate::net::closed)?;
        let stream = tls.connect(connection, &Settings::new(&address.host, &target.tls), budget)?;
        talk = Talk::new(stream, PROTOCOL, budget);
    }
    let outcome = exchange(&mut talk, target, &info);
    talk.into_stream().close();
    outcome
}

/// The conversation without TLS.
pub(super) fn converse<S: Read + Write>(talk: &mut Talk<'_, S>, target: &Service) -> Outcome {
    let info = info(talk)?;
    exchange(talk, target, &info)
}

/// The first line: `INFO {…}`.
fn info<S: Read + Write>(talk: &mut Talk<'_, S>) -> Result<Value, NotReady> {
    let line = talk.receive(|bytes| line(bytes, &["INFO ", "-ERR "]))?;
    match line.strip_prefix("INFO ") {
        Some(info) => serde_json::from_slice(info.as_bytes()).map_err(|_| talk.out_of_order()),
        None => Err(refusal(&line)),
    }
}

fn exchange<S: Read + Write>(talk: &mut Talk<'_, S>, target: &Service, info: &Value) -> Outcome {
    if info["ldm"] == true {
        return Err(NotReady::new(Kind::NotAccepting, "the server is about to stop (lame duck mode)"));
    }
    let mut connect = json!({
        "verbose": false, "pedantic": false, "name": "when-ready", "lang": "when-ready",
        "version": env!("CARGO_PKG_VERSION"), "protocol": 1,
    });
    let password = target.password.as_ref().map(Secret::expose);
    match (target.user.as_deref(), password) {
        (Some(user), Some(password)) => {
            connect["user"] = json!(user);
            connect["pass"] = json!(password);
        }
        // A token stands alone.
        (None, Some(token)) if !token.is_empty() => connect["auth_token"] = json!(token),
        _ if info["auth_required"] == true => {
            return Ok(Ready::new("accepting connections; no password given, login not tried"));
        }
        _ => {}
    }
    // Strings, numbers and flags always serialize.
    let connect = serde_json::to_string(&connect).unwrap_or_default();
    talk.send(format!("CONNECT {connect}\r\nPING\r\n").as_bytes());
    loop {
        let line = talk.receive(|bytes| line(bytes, &["PONG", "-ERR ", "INFO ", "PING", "+OK"]))?;
        match line.split(' ').next() {
            Some("PONG") => return Ok(Ready::new("PONG")),
            Some("-ERR") => return Err(refusal(&line)),
            Some("PING") => talk.send(b"PONG\r\n"),
            _ => {}
        }
    }
}

fn refusal(line: &str) -> NotReady {
    let text = line.trim_start_matches("-ERR").trim().trim_matches('\'');
    let (kind, way_out) = match text.to_ascii_lowercase() {
        text if text.contains("authorization") || text.contains("authentication") => {
            (Kind::CredentialsRejected, ": check user and password")
        }
        text if text.contains("maximum connections") => (Kind::TooManyConnections, ""),
        text if text.contains("secure connection") => {
            (Kind::TlsRefused, ": it wants TLS; write tls in the URL's scheme")
        }
        _ => (Kind::ServerError, ""),
    };
    NotReady::new(kind, format!("{}{way_out}", excerpt(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::service::Protocol;
    use crate::probe::scripted::{End, Scripted, budget};

    fn outcome(credentials: (Option<&str>, Option<&str>), answer: &[u8]) -> (Result<Ready, Kind>, String) {
        let budget = budget();
        let mut target = Service::new(Protocol::Nats, "nats", Vec::new());
        target.user = credentials.0.map(str::to_owned);
        target.password = credentials.1.map(Secret::new);
        let mut talk = Talk::new(Scripted::new(answer, 1, End::Close), PROTOCOL, &budget);
        let outcome = converse(&mut talk, &target);
        let heard = String::from_utf8(talk.into_stream().written).unwrap();
        (outcome.map_err(|failure| failure.kind), heard)
    }

    #[test]
    fn a_pong_is_ready_and_refusals_are_told_apart() {
        let open = b"INFO {\"server_id\":\"x\",\"max_payload\":1048576} \r\nPONG\r\n";
        assert_eq!(outcome((None, None), open).0, Ok(Ready::new("PONG")));
        for end in 0..open.len() {
            assert_eq!(outcome((None, None), &open[..end]).0, Err(Kind::ConnectionClosed), "{end}");
        }
        let closed = b"INFO {\"auth_required\":true}\r\n-ERR 'Authorization Violation'\r\n";
        assert!(outcome((None, None), closed).0.unwrap().proof.contains("login not tried"));
        let (refused, heard) = outcome((Some("app"), Some("p\"w")), closed);
        assert_eq!(refused, Err(Kind::CredentialsRejected));
        assert!(heard.contains(r#""pass":"p\"w""#) && heard.contains(r#""user":"app""#), "{heard}");
        assert!(outcome((None, Some("t0ken")), closed).1.contains(r#""auth_token":"t0ken""#));
        assert_eq!(outcome((None, None), b"INFO {\"ldm\":true}\r\n").0, Err(Kind::NotAccepting));
        assert_eq!(outcome((None, None), b"INFO {x\r\n").0, Err(Kind::WrongProtocol));
        assert_eq!(outcome((None, None), b"-ERR 'maximum connections exceeded'\r\n").0, Err(Kind::TooManyConnections));
        assert_eq!(outcome((None, None), b"HTTP/1.1 400\r\n").0, Err(Kind::WrongProtocol));
    }

    #[test]
    fn a_token_is_never_shown() {
        let target = crate::probe::scripted::target("nats://t0ken-of-ours@db");
        assert_eq!(target.to_string(), "nats://db:4222");
        assert_eq!(target.secrets(), [&Secret::new("t0ken-of-ours")]);
        assert_eq!(crate::probe::scripted::target("nats://app:pw@db").to_string(), "nats://app@db:4222");
    }
}
