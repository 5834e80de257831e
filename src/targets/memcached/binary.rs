//! memcached's binary protocol: a login by SASL, the version, and whether a login is wanted
//! (memcached's wiki, `BinaryProtocolRevamped` and `SASLAuthProtocol`).

use super::refused;
use crate::net::TimedStream;
use crate::targets::shared::server::{NOT_TRIED, Server, sasl_plain};
use crate::targets::shared::talk::{Decoded, ProtocolError, Talk};
use crate::text::{peer_excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};

const QUIT: u8 = 0x07;
const NOOP: u8 = 0x0a;
const VERSION: u8 = 0x0b;
const SASL_AUTH: u8 = 0x21;

const OK: u16 = 0;
/// The login is refused, or there was none.
const AUTH_ERROR: u16 = 0x20;
const UNKNOWN_COMMAND: u16 = 0x81;

const HEADER: usize = 24;
const MAX_BODY: usize = 4 << 10;

/// A response, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Response {
    status: u16,
    body: Vec<u8>,
}

/// Logs in where there is a password, and asks for the version.
pub(super) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, server: &Server) -> Outcome {
    let outcome = log_in(talk, server).and_then(|login| {
        let version = ask(talk, VERSION, b"", b"")?;
        if version.status != OK {
            return Err(failure(&version));
        }
        // Without a login, a server with SASL tells its version and nothing more.
        if login.is_empty() && ask(talk, NOOP, b"", b"")?.status == AUTH_ERROR {
            return Ok(Ready::new(NOT_TRIED));
        }
        let version = peer_excerpt(&version.body);
        Ok(Ready::new(format!("{login}memcached {version} (the binary protocol)")))
    });
    talk.send(&request(QUIT, b"", b""));
    outcome
}

/// SASL PLAIN; what is to be said of it.
fn log_in<S: TimedStream>(talk: &mut Talk<'_, S>, server: &Server) -> Result<String, NotReady> {
    let Some(password) = &server.password else { return Ok(String::new()) };
    let user = server.user_or("");
    let answer = ask(talk, SASL_AUTH, b"PLAIN", &sasl_plain(user, password.expose_bytes()))?;
    match answer.status {
        OK => Ok(format!("logged in as {user}, ")),
        AUTH_ERROR => Err(refused(&peer_text(&answer.body))),
        UNKNOWN_COMMAND => Ok("no login is wanted, ".to_owned()),
        _ => Err(failure(&answer)),
    }
}

fn ask<S: TimedStream>(talk: &mut Talk<'_, S>, opcode: u8, key: &[u8], value: &[u8]) -> Result<Response, NotReady> {
    talk.send(&request(opcode, key, value));
    talk.receive(|bytes| response(bytes, opcode))
}

fn failure(response: &Response) -> NotReady {
    let reason = format!("{} (status {:#x})", peer_excerpt(&response.body), response.status);
    NotReady::new(Kind::ServerError, reason)
}

fn request(opcode: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX);
    let mut out = vec![0x80, opcode];
    out.extend(length(key.len()).to_be_bytes());
    // Extras, data type and the server's number: none.
    out.extend([0; 4]);
    out.extend(u32::from(length(key.len() + value.len())).to_be_bytes());
    out.resize(HEADER, 0);
    out.extend([key, value].concat());
    out
}

fn response(bytes: &[u8], opcode: u8) -> Decoded<Response> {
    if bytes.first().is_some_and(|magic| *magic != 0x81) || bytes.get(1).is_some_and(|answered| *answered != opcode) {
        return Err(ProtocolError);
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
    if length > MAX_BODY {
        return Err(ProtocolError);
    }
    let Some(body) = bytes.get(HEADER..HEADER + length) else { return Ok(None) };
    let status = u16::from_be_bytes([header[6], header[7]]);
    Ok(Some((Response { status, body: body.to_vec() }, HEADER + length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::memcached::{Memcached, PROTOCOL};
    use crate::targets::scripted::{of_kind, talked};

    fn said(opcode: u8, status: u16, body: &[u8]) -> Vec<u8> {
        let mut out = request(opcode, b"", body);
        out[0] = 0x81;
        out[6..8].copy_from_slice(&status.to_be_bytes());
        out
    }

    fn outcome(url: &str, answer: &[u8]) -> (Result<String, Kind>, Vec<u8>) {
        let server = of_kind::<Memcached>(url).server;
        let (outcome, written) = talked(answer, PROTOCOL, |talk| converse(talk, &server));
        (outcome.map(|ready| ready.proof).map_err(|failure| failure.kind), written)
    }

    #[test]
    fn a_version_is_ready_and_a_login_is_tried_where_there_is_a_password() {
        let open = [said(VERSION, 0, b"1.6.18"), said(NOOP, 0, b"")].concat();
        assert!(outcome("memcached://app@h", &open).0.unwrap().contains("1.6.18"));
        for end in 0..open.len() {
            assert_eq!(outcome("memcached://app@h", &open[..end]).0, Err(Kind::ConnectionClosed), "{end}");
        }
        let closed = [said(VERSION, 0, b"1.6.18"), said(NOOP, AUTH_ERROR, b"Auth failure.")].concat();
        assert_eq!(outcome("memcached://app@h", &closed).0, Ok(NOT_TRIED.to_owned()));
        let (ready, written) =
            outcome("memcached://app:pw@h", &[said(SASL_AUTH, 0, b"Authenticated"), said(VERSION, 0, b"1")].concat());
        assert!(ready.unwrap().contains("logged in as app"));
        assert!(written.windows(13).any(|part| part == b"PLAIN\0app\0pw\x80"[..13].as_ref()), "{written:?}");
        assert_eq!(
            outcome("memcached://app:x@h", &said(SASL_AUTH, AUTH_ERROR, b"Auth failure.")).0,
            Err(Kind::CredentialsRejected)
        );
        let open = [said(SASL_AUTH, UNKNOWN_COMMAND, b"Unknown command"), said(VERSION, 0, b"1")].concat();
        assert!(outcome("memcached://app:x@h", &open).0.unwrap().contains("no login is wanted"));
        assert_eq!(outcome("memcached://app@h", b"ERROR\r\n").0, Err(Kind::WrongProtocol));
    }
}
