//! What a login can be made with: the password, from where it is kept, and the client's certificate.

use std::os::unix::fs::MetadataExt;

use super::passfile::{self, Key};
use crate::endpoint::postgres::Host;
use crate::endpoint::{Place, Postgres};
use crate::outcome::NotReady;
use crate::scrub::scrub;
use crate::secret::Secret;

/// What is known of credentials.
#[derive(Debug, Default)]
pub(super) struct Login {
    /// The password, if one is known.
    pub(super) password: Option<Secret>,
    /// Why none is, where a file should have one.
    pub(super) note: String,
    /// Whether a certificate was at hand for the server.
    pub(super) certificate: bool,
}

impl Login {
    /// The target's password, or that of its password file.
    pub(super) fn of(target: &Postgres, host: &Host) -> Self {
        let password = target.password.clone();
        let Some(path) = target.passfile.as_ref().filter(|_| password.is_none()) else {
            return Self { password, ..Self::default() };
        };
        let without = |note: String| Self { note, ..Self::default() };
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() && metadata.mode() & 0o077 != 0 => {
                without(format!(" ({} is ignored: group or others may read it; chmod 600)", path.display()))
            }
            Ok(metadata) if metadata.is_file() => match std::fs::read(path) {
                Ok(content) => Self { password: passfile::password(&content, key(target, host)), ..Self::default() },
                Err(error) => without(format!(" ({} cannot be read: {error})", path.display())),
            },
            _ => Self::default(),
        }
    }

    /// A password from a file is no part of the target, which scrubs its own.
    pub(super) fn scrub(&self, failure: NotReady) -> NotReady {
        match &self.password {
            Some(password) => NotReady { reason: scrub(&failure.reason, &[password]), ..failure },
            None => failure,
        }
    }

    /// Whether something was given that a server can refuse.
    pub(super) fn has_credentials(&self) -> bool {
        self.password.is_some() || self.certificate
    }
}

fn key<'a>(target: &'a Postgres, host: &'a Host) -> Key<'a> {
    let shown = match &host.place {
        Place::Unix(_) if host.name == "/var/run/postgresql" => "localhost",
        Place::Unix(_) | Place::Tcp(_) => &host.name,
    };
    Key {
        host: shown,
        port: host.port,
        database: target.database.as_deref().unwrap_or(&target.user),
        user: &target.user,
    }
}
