//! Servers that are asked in their own protocol, as their clients' URLs describe them: MySQL, AMQP and others.

use std::fmt;

use super::{Place, TargetTls};
use crate::secret::Secret;

/// A server, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What it speaks.
    pub protocol: Protocol,
    /// The scheme that it is shown with.
    pub scheme: &'static str,
    /// The hosts, tried in order.
    pub places: Vec<Place>,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The database, virtual host or service that must be there.
    pub name: Option<String>,
    /// When TLS is used.
    pub encryption: Encryption,
    /// How TLS is used.
    pub tls: TargetTls,
    /// `query=`: a statement whose first row must be neither false nor NULL.
    pub query: Option<Secret>,
    /// `queue=`, `topic=`: what must exist within the server.
    pub object: Option<String>,
    /// The mechanism of authentication that the URL names.
    pub mechanism: Option<String>,
    /// The database that knows the user, where it is another (MongoDB).
    pub auth_source: Option<String>,
    /// The replica set that the server must belong to (MongoDB).
    pub replica_set: Option<String>,
}

/// A protocol that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The client/server protocol of MySQL and MariaDB.
    #[cfg(feature = "mysql")]
    Mysql,
}

impl Protocol {
    /// What may be expected of it.
    pub(super) fn keys(self) -> &'static str {
        match self {
            #[cfg(feature = "mysql")]
            Self::Mysql => "timeout, successes, query",
        }
    }
}

/// When TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Never,
    /// Where the server offers it.
    IfOffered,
    /// Else the server is refused.
    Always,
}

impl Service {
    /// A server at `places` of which no more is known.
    pub fn new(protocol: Protocol, scheme: &'static str, places: Vec<Place>) -> Self {
        Self {
            protocol,
            scheme,
            places,
            user: None,
            password: None,
            name: None,
            encryption: Encryption::Never,
            tls: TargetTls::default(),
            query: None,
            object: None,
            mechanism: None,
            auth_source: None,
            replica_set: None,
        }
    }

    /// The user's name, or `default`.
    pub fn user_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.user.as_deref().unwrap_or(default)
    }
}

/// The URL without password and query.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        let places: Vec<String> = self.places.iter().map(Place::to_string).collect();
        f.write_str(&places.join(","))?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}
