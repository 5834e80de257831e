//! A session with a server: messages over a stream.

use std::io::{Read, Write};

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::wire::{self, BackendMessage, OldError, SessionKey};
use crate::endpoint::Postgres;
use crate::net::{self, Budget};
use crate::outcome::{Kind, NotReady, excerpt, quoted};
use crate::probe::answered_like;

/// What a server reports about the session.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// Whether it reports anything, as every server and every pooler does (`server_version`).
    pub(super) anything: bool,
    /// `in_hot_standby`
    pub(super) in_hot_standby: Option<bool>,
    /// `default_transaction_read_only`
    pub(super) read_only: Option<bool>,
}

/// A conversation that ends with its budget.
pub(super) struct Session<S> {
    pub(super) stream: S,
    /// What has come and is not used up.
    pub(super) buffer: BytesMut,
    pub(super) budget: Budget,
    pub(super) reported: Reported,
    /// What its query can be ended with.
    pub(super) key: Option<SessionKey>,
    /// Whether a whole message has come: errors of the protocol's second version come only before.
    has_spoken: bool,
}

impl<S: Read + Write> Session<S> {
    pub(super) fn new(stream: S, budget: &Budget) -> Self {
        let (buffer, reported) = (BytesMut::new(), Reported::default());
        Self { stream, buffer, budget: budget.clone(), reported, key: None, has_spoken: false }
    }

    /// What the target expects beyond the login; then the session ends in order.
    pub(super) fn finish(&mut self, target: &Postgres, has_credentials: bool) -> Result<String, NotReady> {
        let proven = self.meet(target, has_credentials);
        let mut terminate = BytesMut::new();
        frontend::terminate(&mut terminate);
        // The answer is known; a server that is gone by now does not change it.
        drop(self.stream.write_all(&terminate).and_then(|()| self.stream.flush()));
        proven
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), NotReady> {
        let written = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        written.map_err(|error| net::io_failure(&error, &self.budget))
    }

    pub(super) fn receive(&mut self) -> Result<BackendMessage, NotReady> {
        let mut chunk = [0; 4096];
        loop {
            match wire::decode(&self.buffer) {
                Ok(Some(decoded)) => {
                    self.has_spoken = true;
                    drop(self.buffer.split_to(decoded.used));
                    self.skip(decoded.skip)?;
                    return Ok(decoded.message);
                }
                Ok(None) => {}
                Err(_) => match wire::old_error(&self.buffer) {
                    OldError::Whole(text) if !self.has_spoken => {
                        return Err(NotReady::new(Kind::NotAccepting, excerpt(&quoted(text))));
                    }
                    OldError::Begun if !self.has_spoken => {}
                    _ => return Err(wrong_protocol(&self.buffer)),
                },
            }
            let n = self.read(&mut chunk)?;
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }

    fn skip(&mut self, mut bytes: usize) -> Result<(), NotReady> {
        let mut chunk = [0; 4096];
        while bytes > 0 {
            let want = bytes.min(chunk.len());
            bytes -= self.read(&mut chunk[..want])?;
        }
        Ok(())
    }

    fn read(&mut self, chunk: &mut [u8]) -> Result<usize, NotReady> {
        if self.budget.remaining().is_zero() {
            return Err(self.budget.timed_out());
        }
        match self.stream.read(chunk) {
            Ok(0) => Err(net::closed()),
            Ok(n) => Ok(n),
            Err(error) => Err(net::io_failure(&error, &self.budget)),
        }
    }

    pub(super) fn note(&mut self, name: &str, value: &str) {
        self.reported.anything = true;
        let value = Some(value == "on");
        match name {
            "in_hot_standby" => self.reported.in_hot_standby = value,
            "default_transaction_read_only" => self.reported.read_only = value,
            _ => {}
        }
    }
}

pub(super) fn unwritable(what: &str) -> NotReady {
    NotReady::new(Kind::Forbidden, format!("the {what} cannot be sent to Postgres: it holds a NUL character"))
}

pub(super) fn wrong_protocol(bytes: &[u8]) -> NotReady {
    let detail = if bytes.is_empty() { "a message out of order".to_owned() } else { answered_like(bytes) };
    NotReady::new(Kind::WrongProtocol, format!("the peer does not speak Postgres' protocol: {detail}"))
}
