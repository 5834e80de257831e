//! A conversation in whole messages over a stream of bytes, whichever the protocol.

use std::io::{self, Read, Write};

use super::{ProtocolError, answered_like};
use crate::net::{self, Budget};
use crate::outcome::{Kind, NotReady};

/// What a decoder finds at the beginning of the bytes: a message and its length, or that more is to be read.
pub(super) type Decoded<T> = Result<Option<(T, usize)>, ProtocolError>;

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
            if let Some((message, used)) = decode(&self.buffer).map_err(|_| self.wrong_protocol())? {
                // A peer that never comes to the point has only so much time for it.
                if self.budget.remaining().is_zero() {
                    return Err(self.budget.timed_out());
                }
                self.buffer.drain(..used);
                return Ok(message);
            }
            if self.budget.remaining().is_zero() {
                return Err(self.budget.timed_out());
            }
            let mut chunk = [0; 4096];
            let failure = match self.stream.read(&mut chunk) {
                Ok(0) => net::closed(),
                Ok(n) => {
                    self.buffer.extend_from_slice(&chunk[..n]);
                    continue;
                }
                Err(error) => net::io_failure(&error, self.budget),
            };
            return Err(self.unsent.take().map_or(failure, |error| net::io_failure(&error, self.budget)));
        }
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

    /// The stream, for TLS to begin on; nothing may have come before that.
    pub(super) fn upgrade(self) -> Result<S, NotReady> {
        if self.buffer.is_empty() { Ok(self.stream) } else { Err(self.out_of_order()) }
    }

    /// The stream, when all is said.
    pub(super) fn into_stream(self) -> S {
        self.stream
    }
}
