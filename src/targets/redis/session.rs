//! A session with a server: commands and replies over a stream.

use crate::net::{Attempt, TimedStream};
use crate::secret::Secret;
use crate::targets::redis::errors::unexpected;
use crate::targets::redis::resp::{self, Reply};
use crate::targets::shared::talk::Talk;
use crate::wait::outcome::{Kind, NotReady};

/// A conversation in Redis' protocol.
pub(crate) struct RedisSession<'a, S> {
    pub(crate) talk: Talk<'a, S>,
}

impl<'a, S: TimedStream> RedisSession<'a, S> {
    pub(crate) fn new(stream: S, attempt: &'a Attempt) -> Self {
        Self { talk: Talk::new(stream, "Redis' protocol", attempt) }
    }

    /// AUTH as clients send it.
    pub(crate) fn log_in(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<(), NotReady> {
        match (user.map(str::as_bytes), password.map(Secret::expose_bytes)) {
            (None, None) => Ok(()),
            (None, Some(password)) => self.ok("AUTH", &[&b"AUTH"[..], password]),
            (Some(user), Some(password)) => self.ok("AUTH", &[&b"AUTH"[..], user, password]),
            (Some(word), None) => self.log_in_with_one_word(word),
        }
    }

    /// `redis://WORD@host`: redis-cli takes the word for a password, redis-py for a user with an empty one
    /// (`nopass`). Both are tried.
    fn log_in_with_one_word(&mut self, word: &[u8]) -> Result<(), NotReady> {
        let Err(as_password) = self.ok("AUTH", &[&b"AUTH"[..], word]) else { return Ok(()) };
        if as_password.kind != Kind::CredentialsRejected {
            return Err(as_password);
        }
        self.ok("AUTH", &[&b"AUTH"[..], word, b""]).map_err(|_| NotReady {
            reason: format!(
                "{}; what stands before the `@` was tried as a password, and as a user without one",
                as_password.reason
            ),
            ..as_password
        })
    }

    /// Sends a command whose only good answer is OK.
    pub(crate) fn ok<W: AsRef<[u8]>>(&mut self, name: &str, words: &[W]) -> Result<(), NotReady> {
        match self.command(words)? {
            Reply::Simple(text) if text == b"OK" => Ok(()),
            other => Err(unexpected(name, &other)),
        }
    }

    /// Sends a command, whatever is answered.
    pub(crate) fn command<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply, NotReady> {
        let name = words.first().map_or(&b""[..], AsRef::as_ref);
        self.send(&resp::command(words)).map_err(|failure| match name {
            b"AUTH" | b"PING" => failure,
            // A proxy's way to say that it does not pass a command on.
            name if failure.kind == Kind::ConnectionClosed => {
                let name = String::from_utf8_lossy(name);
                let reason =
                    format!("the peer closed the connection at {name}: is it a proxy, which has no such command?");
                NotReady { reason, ..failure }
            }
            _ => failure,
        })
    }

    /// Sends what may be several commands, and gives the first reply.
    pub(crate) fn send(&mut self, commands: &[u8]) -> Result<Reply, NotReady> {
        self.talk.send(commands);
        self.read_reply()
    }

    /// The next reply.
    pub(crate) fn read_reply(&mut self) -> Result<Reply, NotReady> {
        self.talk.receive(resp::parse)
    }
}
