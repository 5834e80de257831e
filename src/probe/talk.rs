//! A conversation in whole messages over a stream of bytes, whichever the protocol.

use std::io::{self, Read, Write};

use super::{ProtocolError, answered_like};
use crate::net::{self, Budget};
use crate::outcome::{Kind, NotReady, quoted};

/// What a decoder finds at the beginning of the bytes: a message and its length, or that more is to be read.
pub(super) type Decoded<T> = Result<Option<(T, usize)>, ProtocolError>;

/// The longest line of a text protocol.
const MAX_LINE: usize = 16 << 10;

/// A conversation.
pub(super) struct Talk<'a, S> {
    stream: S,
    buffer: Vec<u8>,
    budget: &'a Budget,
    /// What it is called in messages.
    protocol: &'static str,
    /// Why the last message could not be sent: the peer may have said why before it closed.
    unsent: Option<io::Error>,
}

impl<'a, S: Read + Write> Talk<'a, S> {
    pub(super) fn new(stream: S, protocol: &'static str, budget: &'a Budget) -> Self {
        Self { stream, buffer: Vec::new(), budget, protocol, unsent: None }
    }

    /// Sends a message. That it could not be sent is told when no answer comes.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        self.unsent = self.unsent.take().or(sent.err());
    }

    /// Receives a message.
    pub(super) fn receive<T>(&mut self, mut decode: impl FnMut(&[u8]) -> Decoded<T>) -> Result<T, NotReady> {
        loop {
            let found = decode(&self.buffer).map_err(|_| self.wrong_protocol())?;
            // A peer that never comes to the point has only so much time for it.
            if self.budget.remaining().is_zero() {
                return Err(self.budget.timed_out());
            }
            if let Some((message, used)) = found {
                self.buffer.drain(..used);
                return Ok(message);
            }
            self.read_more()?;
        }
    }

    /// Apart, for it is the same for messages of all kinds.
    #[inline(never)]
    fn read_more(&mut self) -> Result<(), NotReady> {
        let mut chunk = [0; 4096];
        let failure = match self.stream.read(&mut chunk) {
            Ok(0) => net::closed(),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                return Ok(());
            }
            Err(error) => net::io_failure(&error, self.budget),
        };
        Err(self.unsent.take().map_or(failure, |error| net::io_failure(&error, self.budget)))
    }

    /// The time that there is for it.
    pub(super) fn budget(&self) -> &'a Budget {
        self.budget
    }

    /// The peer speaks something else.
    pub(super) fn wrong_protocol(&self) -> NotReady {
        let reason = format!("the peer does not speak {}: {}", self.protocol, answered_like(&self.buffer));
        NotReady::new(Kind::WrongProtocol, reason)
    }

    /// The peer said what is not to be said at this point.
    pub(super) fn out_of_order(&self) -> NotReady {
        let reason = format!("the peer does not speak {}: a message out of order", self.protocol);
        NotReady::new(Kind::WrongProtocol, reason)
    }

    /// The stream.
    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream, for TLS to begin on; nothing may have come before that.
    pub(super) fn upgrade(self) -> Result<S, NotReady> {
        if self.buffer.is_empty() { Ok(self.stream) } else { Err(self.out_of_order()) }
    }

    /// The stream, when all is said.
    pub(super) fn into_stream(self) -> S {
        self.stream
    }
}

/// A line of a text protocol, without its end, where the bytes begin as one of `beginnings` does.
pub(super) fn line(bytes: &[u8], beginnings: &[&str]) -> Decoded<String> {
    let fits = |beginning: &&str| beginning.as_bytes().iter().zip(bytes).all(|(a, b)| a == b);
    if !beginnings.iter().any(fits) || bytes.len() > MAX_LINE {
        return Err(ProtocolError);
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    Ok(Some((quoted(&bytes[..end]).trim_end().to_owned(), end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whole_or_refused_at_once() {
        let whole = b"VERSION 1.6\r\nx";
        for end in 0..13 {
            assert_eq!(line(&whole[..end], &["ERROR", "VERSION "]), Ok(None), "{end}");
        }
        assert_eq!(line(whole, &["VERSION "]), Ok(Some(("VERSION 1.6".to_owned(), 13))));
        for wrong in [&b"HTTP/1.1"[..], b"\x15\x03\x03", b"VERS\n", b"\n"] {
            assert_eq!(line(wrong, &["VERSION "]), Err(ProtocolError));
        }
        assert_eq!(line(&[b'V'; 2], &["VERSION "]), Err(ProtocolError));
        assert_eq!(line(&[&b"VERSION "[..], &[b'1'; MAX_LINE]].concat(), &["VERSION "]), Err(ProtocolError));
    }
}
