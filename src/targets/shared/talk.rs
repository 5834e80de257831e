//! A conversation in whole messages over a stream of bytes, whichever the protocol.

use std::io;
use std::time::Duration;

use crate::net::{self, Attempt, TimedStream};
use crate::text::{first_bytes, peer_text};
use crate::wait::outcome::{Kind, NotReady};

/// The bytes are not of the protocol, or claim more than a probe has use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProtocolError;

/// A decoder's finding at the beginning of the bytes: a message and its length, or that more is to be read.
pub(crate) type Decoded<T> = Result<Option<(T, usize)>, ProtocolError>;

/// How long a server may take to say good-bye: the answer is known, and not held up.
const GOOD_BYE: Duration = Duration::from_millis(200);
/// The longest line of a text protocol.
const MAX_LINE: usize = 16 << 10;

/// A conversation.
pub(crate) struct Talk<'a, S> {
    stream: S,
    buffer: Vec<u8>,
    attempt: &'a Attempt,
    /// The protocol's name in messages.
    protocol: &'static str,
    /// Whether a message has been received: it says what it means that the peer closes.
    has_answered: bool,
    /// Why the last message could not be sent: the peer may have said why before it closed.
    unsent: Option<io::Error>,
}

impl<'a, S: TimedStream> Talk<'a, S> {
    pub(crate) fn new(stream: S, protocol: &'static str, attempt: &'a Attempt) -> Self {
        Self { stream, buffer: Vec::new(), attempt, protocol, has_answered: false, unsent: None }
    }

    /// Sends a message. That it could not be sent is told when no answer comes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        self.unsent = self.unsent.take().or(sent.err());
    }

    /// Receives a message.
    pub(crate) fn receive<T>(&mut self, mut decode: impl FnMut(&[u8]) -> Decoded<T>) -> Result<T, NotReady> {
        loop {
            let found = decode(&self.buffer);
            self.go_on(found.as_ref().map(|found| found.as_ref().map(|(_, used)| *used)).map_err(|error| *error))?;
            if let Ok(Some((message, _))) = found {
                return Ok(message);
            }
        }
    }

    /// Passes over a message's bytes, or reads more of it. All that is the same for messages of all types is here.
    fn go_on(&mut self, used: Result<Option<usize>, ProtocolError>) -> Result<(), NotReady> {
        let used = used.map_err(|_| self.wrong_protocol())?;
        // A peer that never comes to the point has only so much time for it.
        if self.attempt.remaining().is_zero() {
            return Err(self.attempt.timed_out());
        }
        let Some(used) = used else { return self.read_more() };
        self.buffer.drain(..used);
        self.has_answered = true;
        Ok(())
    }

    /// Reads what has come, or waits for it.
    pub(crate) fn read_more(&mut self) -> Result<(), NotReady> {
        let mut chunk = [0; 4096];
        let failure = match self.stream.read(&mut chunk) {
            Ok(0) => net::closed(),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                return Ok(());
            }
            Err(error) => net::io_failure(&error, self.attempt),
        };
        let failure = self.unsent.take().map_or(failure, |error| net::io_failure(&error, self.attempt));
        Err(match failure.kind {
            Kind::ConnectionClosed if self.has_answered => net::closed_midway(),
            Kind::ConnectionClosed if self.stream.is_tls() => net::closed_over_tls(),
            _ => failure,
        })
    }

    /// Waits until something has come that is not yet received.
    fn await_byte(&mut self) -> Result<(), NotReady> {
        if self.buffer.is_empty() { self.read_more() } else { Ok(()) }
    }

    /// The first byte of what has come along with the last message.
    pub(crate) fn next_byte(&self) -> Option<u8> {
        self.buffer.first().copied()
    }

    /// The protocol's name in messages.
    pub(crate) fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// The time that there is for it.
    pub(crate) fn attempt(&self) -> &'a Attempt {
        self.attempt
    }

    /// From here on, the conversation ends with `attempt`.
    pub(crate) fn lasts(&mut self, attempt: &'a Attempt) {
        self.stream.lasts(attempt);
        self.attempt = attempt;
    }

    /// From here on, a read ends after `time`, or with the attempt; the conversation has its own time still.
    pub(crate) fn reads_for(&mut self, time: Duration) {
        self.stream.lasts(&self.attempt.at_most(time));
    }

    /// From here on, only the good-bye is waited for.
    pub(crate) fn hurry(&mut self) {
        self.reads_for(GOOD_BYE);
    }

    /// Whether the peer says something within `time`, or half of what there is.
    pub(crate) fn speaks_within(&mut self, time: Duration) -> Result<bool, NotReady> {
        self.reads_for(time.min(self.attempt.remaining() / 2));
        let first = self.await_byte();
        self.stream.lasts(self.attempt);
        match first {
            Ok(()) => Ok(true),
            Err(failure) if failure.kind == Kind::TimedOut => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Ends the connection in order.
    pub(crate) fn close(self) {
        self.stream.close();
    }

    /// Passes over bytes that are of no use.
    pub(crate) fn skip(&mut self, mut bytes: usize) -> Result<(), NotReady> {
        while bytes > 0 {
            if self.attempt.remaining().is_zero() {
                return Err(self.attempt.timed_out());
            }
            self.await_byte()?;
            let passed = bytes.min(self.buffer.len());
            self.buffer.drain(..passed);
            bytes -= passed;
        }
        Ok(())
    }

    /// The peer speaks something else.
    pub(crate) fn wrong_protocol(&self) -> NotReady {
        let reason = format!("the peer does not speak {}: {}", self.protocol, answered_like(&self.buffer));
        NotReady::new(Kind::WrongProtocol, reason)
    }

    /// The peer said what is not to be said at this point.
    pub(crate) fn out_of_order(&self) -> NotReady {
        let reason = format!("the peer does not speak {}: a message out of order", self.protocol);
        NotReady::new(Kind::WrongProtocol, reason)
    }

    /// The stream.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Whether a message has been received.
    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// The same conversation, of which `bytes` have been read already.
    pub(crate) fn begun_with(self, bytes: &[u8]) -> Self {
        Self { buffer: bytes.to_vec(), ..self }
    }

    /// The stream, for TLS to begin on; nothing may have come before that.
    pub(crate) fn upgrade(self) -> Result<S, NotReady> {
        if self.buffer.is_empty() { Ok(self.stream) } else { Err(self.out_of_order()) }
    }

    /// The stream, when all is said.
    #[cfg(test)]
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }
}

/// The protocol that a peer seems to speak, from its first bytes.
pub(crate) fn answered_like(bytes: &[u8]) -> String {
    let server = match bytes {
        _ if bytes.starts_with(b"HTTP/") => "an HTTP",
        _ if bytes.starts_with(b"SSH-") => "an SSH",
        [0x15, 0x03, ..] => "a TLS",
        [_, _, _, 0, 0x0a, ..] => "a MySQL",
        _ if bytes.starts_with(b"-ERR") || bytes.starts_with(b"-NOAUTH") => "a Redis",
        _ => return format!("it answered `{}`", first_bytes(bytes)),
    };
    format!("it answered like {server} server")
}

/// A number, seven bits at a time, the lowest first, and the eighth where more follow: Protocol Buffers' varint, MQTT's
/// lengths, the rest of HPACK's.
pub(crate) fn base_128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(u8::try_from(number & 127).unwrap_or_default() | 128);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
    bytes
}

/// A line of a text protocol, without its end, where the bytes begin as one of `beginnings` does.
pub(crate) fn line(bytes: &[u8], beginnings: &[&str]) -> Decoded<String> {
    let line = line_of_bytes(bytes, beginnings, MAX_LINE)?;
    Ok(line.map(|(line, used)| (peer_text(&line).trim_end().to_owned(), used)))
}

/// The same as it is, up to that length.
pub(crate) fn line_of_bytes(bytes: &[u8], beginnings: &[&str], longest: usize) -> Decoded<Vec<u8>> {
    let fits = |beginning: &&str| beginning.as_bytes().iter().zip(bytes).all(|(a, b)| a == b);
    if !beginnings.iter().any(fits) {
        return Err(ProtocolError);
    }
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) if end <= longest => Ok(Some((bytes[..end].trim_ascii_end().to_vec(), end + 1))),
        None if bytes.len() <= longest => Ok(None),
        _ => Err(ProtocolError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_seven_bits_at_a_time() {
        for (number, bytes) in [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (321, &[0xc1, 0x02])] {
            assert_eq!(base_128(number), bytes, "{number}");
        }
        // 1337 behind a prefix of five bits (RFC 7541, appendix C.1.2).
        assert_eq!(base_128(1337 - 31), [154, 10]);
    }

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
