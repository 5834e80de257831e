//! A session with a server: commands and replies over a stream.

use std::io::{Read, Write};

use super::errors::{error_reply, unexpected};
use super::resp::{self, Reply};
use crate::net::{self, Budget};
use crate::outcome::{Kind, NotReady};
use crate::probe::answered_like;
use crate::secret::Secret;

/// A conversation that ends with its budget.
pub(super) struct Session<S> {
    pub(super) stream: S,
    buffer: Vec<u8>,
    pub(super) budget: Budget,
}

impl<S: Read + Write> Session<S> {
    pub(super) fn new(stream: S, budget: &Budget) -> Self {
        Self { stream, buffer: Vec::new(), budget: budget.clone() }
    }

    /// AUTH as clients send it.
    pub(super) fn log_in(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<(), NotReady> {
        match (user.map(str::as_bytes), password.map(Secret::expose_bytes)) {
            (None, None) => Ok(()),
            (None, Some(password)) => self.ok("AUTH", &[b"AUTH", password]),
            (Some(user), Some(password)) => self.ok("AUTH", &[b"AUTH", user, password]),
            (Some(word), None) => self.log_in_with_one_word(word),
        }
    }

    /// `redis://WORD@host`: redis-cli takes the word for a password, redis-py for a user with an empty one
    /// (`nopass`). Both are tried.
    fn log_in_with_one_word(&mut self, word: &[u8]) -> Result<(), NotReady> {
        let Err(as_password) = self.ok("AUTH", &[b"AUTH", word]) else { return Ok(()) };
        if as_password.kind != Kind::CredentialsRejected {
            return Err(as_password);
        }
        self.ok("AUTH", &[b"AUTH", word, b""]).map_err(|_| NotReady {
            reason: format!(
                "{}; what stands before the `@` was tried as a password, and as a user without one",
                as_password.reason
            ),
            ..as_password
        })
    }

    /// Sends a command whose only good answer is OK.
    pub(super) fn ok<W: AsRef<[u8]>>(&mut self, name: &str, words: &[W]) -> Result<(), NotReady> {
        match self.ask(words)? {
            Reply::Simple(text) if text == b"OK" => Ok(()),
            other => Err(unexpected(name, &other)),
        }
    }

    /// Sends a command; an error reply is a failure.
    pub(super) fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply, NotReady> {
        match self.command(words)? {
            Reply::Error(text) => Err(error_reply(&text)),
            other => Ok(other),
        }
    }

    /// Sends a command, whatever is answered.
    pub(super) fn command<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply, NotReady> {
        let name = words.first().map_or(&b""[..], AsRef::as_ref);
        self.send(&resp::command(words)).map_err(|failure| match name {
            b"AUTH" | b"PING" => failure,
            // A proxy's way to say that it does not pass a command on.
            name if failure.kind == Kind::ConnectionClosed => {
                let name = String::from_utf8_lossy(name);
                let reason = format!("{} {name}: is it a proxy, which has no such command?", failure.reason);
                NotReady { reason, ..failure }
            }
            _ => failure,
        })
    }

    /// Sends what may be several commands, and gives the first reply.
    pub(super) fn send(&mut self, commands: &[u8]) -> Result<Reply, NotReady> {
        // A server that refuses us (protected mode, max clients) says so at once and closes: the
        // write may fail while the reason is there to be read.
        let written = self.stream.write_all(commands).and_then(|()| self.stream.flush());
        let reply = self.read_reply();
        match (written, reply) {
            (_, Ok(reply)) => Ok(reply),
            (Err(error), Err(_)) => Err(net::io_failure(&error, &self.budget)),
            (Ok(()), Err(failure)) => Err(failure),
        }
    }

    /// The next reply.
    pub(super) fn read_reply(&mut self) -> Result<Reply, NotReady> {
        let mut chunk = [0; 4096];
        loop {
            if let Some((reply, used)) = resp::parse(&self.buffer).map_err(|_| self.wrong_protocol())? {
                self.buffer.drain(..used);
                return Ok(reply);
            }
            if self.budget.remaining().is_zero() {
                return Err(self.budget.timed_out());
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(net::closed()),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) => return Err(net::io_failure(&error, &self.budget)),
            }
        }
    }

    fn wrong_protocol(&self) -> NotReady {
        NotReady::new(
            Kind::WrongProtocol,
            format!("the peer does not speak Redis' protocol: {}", answered_like(&self.buffer)),
        )
    }
}
