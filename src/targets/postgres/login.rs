//! What a login can be made with: the password, from where it is kept, and the client's certificate.

use std::os::unix::fs::MetadataExt;

use crate::net::Place;
use crate::scrub::Needles;
use crate::secret::Secret;
use crate::targets::Postgres;
use crate::targets::postgres::Host;
use crate::targets::postgres::passfile::{self, PassfileKey};
use crate::wait::outcome::NotReady;

/// The credentials, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct PostgresCredentials {
    /// The password, if one is known.
    pub(crate) password: Option<Secret>,
    /// Why none is, where a file should have one.
    pub(crate) note: String,
    /// Whether a certificate was at hand for the server.
    pub(crate) certificate: bool,
}

impl PostgresCredentials {
    /// The target's password, or that of its password file.
    pub(crate) fn of(target: &Postgres, host: &Host) -> Self {
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
    pub(crate) fn scrub(&self, target: &Postgres, failure: NotReady) -> NotReady {
        NotReady { reason: self.hide(target, failure.reason), ..failure }
    }

    /// The same of any text.
    pub(crate) fn hide(&self, target: &Postgres, text: String) -> String {
        let Some(password) = &self.password else { return text };
        let mut needles = Needles::default();
        needles.add_value(password);
        let hosts = target.hosts.iter().flat_map(|host| [host.name.clone(), host.port.to_string()]);
        let names = hosts.chain([target.user.clone()]).chain(target.database.clone());
        for name in names {
            needles.add_name(&name);
        }
        needles.hide(&text)
    }

    /// Whether something was given that a server can refuse.
    pub(crate) fn has_credentials(&self) -> bool {
        self.password.is_some() || self.certificate
    }
}

fn key<'a>(target: &'a Postgres, host: &'a Host) -> PassfileKey<'a> {
    let shown = match &host.place {
        Place::Unix(_) if host.name == "/var/run/postgresql" => "localhost",
        Place::Unix(_) | Place::Tcp(_) => &host.name,
    };
    PassfileKey {
        host: shown,
        port: host.port,
        database: target.database.as_deref().unwrap_or(&target.user),
        user: &target.user,
    }
}
