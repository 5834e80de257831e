//! A session with a server: messages over a stream.

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use crate::net::{Attempt, TimedStream};
use crate::targets::Postgres;
use crate::targets::postgres::login::PostgresCredentials;
use crate::targets::postgres::wire::{self, BackendMessage, SessionKey};
use crate::targets::shared::talk::Talk;
use crate::text::{excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady};

/// The server's report about the session.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    /// Whether it reports anything, as every server and every pooler does (`server_version`).
    pub(crate) anything: bool,
    /// `in_hot_standby`
    pub(crate) in_hot_standby: Option<bool>,
    /// `default_transaction_read_only`
    pub(crate) read_only: Option<bool>,
    /// `server_version`
    pub(crate) version: String,
    /// How the password was proven, where it was asked for.
    pub(crate) way: &'static str,
}

impl Reported {
    /// The server, the way of the login, and whether it may be written to.
    pub(crate) fn described(&self, user: &str, login: &PostgresCredentials) -> String {
        let way = match (self.way, login.certificate) {
            ("", true) => "without a password, a certificate at hand",
            ("", false) => "without a password",
            (way, _) => way,
        };
        let writes = match (self.in_hot_standby, self.read_only) {
            (Some(true), _) => ", a standby (read-only)",
            (_, Some(true)) => ", read-only",
            (Some(false), _) => ", a primary",
            _ => "",
        };
        format!("server version {}, logged in as {user} {way}{writes}", self.version)
    }
}

/// A conversation in Postgres' protocol.
pub(crate) struct PostgresSession<'a, S> {
    pub(crate) talk: Talk<'a, S>,
    pub(crate) reported: Reported,
    /// The key that ends its query.
    pub(crate) key: Option<SessionKey>,
}

impl<'a, S: TimedStream> PostgresSession<'a, S> {
    pub(crate) fn new(stream: S, attempt: &'a Attempt) -> Self {
        Self { talk: Talk::new(stream, "Postgres' protocol", attempt), reported: Reported::default(), key: None }
    }

    /// Checks the target's expectations beyond the login; then the session ends in order.
    pub(crate) fn finish(&mut self, target: &Postgres, has_credentials: bool) -> Result<String, NotReady> {
        let proven = self.meet(target, has_credentials);
        let mut terminate = BytesMut::new();
        frontend::terminate(&mut terminate);
        // The answer is known; a server that is gone by now does not change it.
        self.talk.send(&terminate);
        proven
    }

    pub(crate) fn receive(&mut self) -> Result<BackendMessage, NotReady> {
        // Errors of the protocol's second version come only before any message.
        let is_first = !self.talk.has_answered();
        let mut beyond = 0;
        let received = self.talk.receive(|bytes| match wire::decode(bytes) {
            Err(_) if is_first => {
                let error = wire::old_error(bytes)?;
                Ok(error.map(|(text, used)| (Err(NotReady::new(Kind::NotAccepting, excerpt(&text))), used)))
            }
            found => Ok(found?.map(|(message, length)| {
                beyond = length.saturating_sub(bytes.len());
                (Ok(message), length - beyond)
            })),
        })?;
        self.talk.skip(beyond)?;
        received
    }

    pub(crate) fn note(&mut self, name: &str, value: &str) {
        self.reported.anything = true;
        let is_on = Some(value == "on");
        match name {
            "server_version" => self.reported.version = peer_text(value.as_bytes()),
            "in_hot_standby" => self.reported.in_hot_standby = is_on,
            "default_transaction_read_only" => self.reported.read_only = is_on,
            _ => {}
        }
    }
}

pub(crate) fn unwritable(what: &str) -> NotReady {
    NotReady::new(Kind::Forbidden, format!("the {what} cannot be sent to Postgres: it holds a NUL character"))
}
