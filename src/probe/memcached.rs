//! memcached's text protocol: its version.

use std::io::{Read, Write};

use super::talk::{Talk, line};
use crate::outcome::{Kind, NotReady, Outcome, Ready, excerpt};

const BEGINNINGS: [&str; 4] = ["VERSION ", "ERROR", "CLIENT_ERROR ", "SERVER_ERROR "];

pub(super) fn exchange<S: Read + Write>(talk: &mut Talk<'_, S>) -> Outcome {
    talk.send(b"version\r\n");
    let answer = talk.receive(|bytes| line(bytes, &BEGINNINGS))?;
    talk.send(b"quit\r\n");
    if let Some(version) = answer.strip_prefix("VERSION ") {
        return Ok(Ready::new(format!("memcached {}", excerpt(version))));
    }
    if answer.contains("unauthenticated") {
        return Ok(Ready::new("accepting connections; it wants a login, which is not tried"));
    }
    let kind = if answer.contains("Too many open connections") { Kind::TooManyConnections } else { Kind::ServerError };
    Err(NotReady::new(kind, excerpt(&answer)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::service::Protocol;
    use crate::probe::scripted::{End, Scripted, budget};

    fn outcome(answer: &[u8]) -> Result<Ready, Kind> {
        let budget = budget();
        let mut talk = Talk::new(Scripted::new(answer, 1, End::Close), Protocol::Memcached.name(), &budget);
        exchange(&mut talk).map_err(|failure| failure.kind)
    }

    #[test]
    fn only_its_version_is_ready() {
        assert!(outcome(b"VERSION 1.6.18\r\n").is_ok());
        assert!(outcome(b"CLIENT_ERROR unauthenticated\r\n").is_ok());
        assert_eq!(outcome(b"ERROR Too many open connections\r\n"), Err(Kind::TooManyConnections));
        assert_eq!(outcome(b"SERVER_ERROR out of memory\r\n"), Err(Kind::ServerError));
        assert_eq!(outcome(b"+PONG\r\n"), Err(Kind::WrongProtocol));
        for end in 0..15 {
            assert_eq!(outcome(&b"VERSION 1.6.18\r\n"[..end]), Err(Kind::ConnectionClosed));
        }
    }
}
