//! What is waited for: the grammar `[NAME=]URL[#KEY=VALUE&...]`.

#[cfg(feature = "exec")]
pub mod exec;
mod expectations;
mod grammar;
pub mod http;
#[cfg(feature = "mysql")]
mod mysql;
mod parameters;
pub mod postgres;
pub mod redirect;
pub mod redis;
pub mod schemes;
pub mod server;
pub mod service;
mod shown;
pub mod tls;
mod url;
pub mod variables;

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::outcome::is_plain;
use crate::secret::Secret;
use crate::words::beginning_of;

pub(crate) use expectations::Expectations;
#[cfg(test)]
pub(crate) use expectations::KEYS;
pub(crate) use grammar::split_name;
pub use http::{Http, HttpDefaults};
use parameters::Ignored;
pub use postgres::Postgres;
pub(crate) use postgres::is_one_connection_string;
pub use redis::Redis;
pub use server::{Server, TlsServer};
pub use service::Service;
pub use shown::redact_word;
pub use tls::{CertificateCheck, TargetTls};
use variables::Lookup;

/// A thing that must be ready, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The label that the user gave it.
    pub name: Option<String>,
    /// What is probed.
    pub endpoint: Endpoint,
    /// `timeout=`: the target's own deadline.
    pub timeout: Option<Deadline>,
    /// `successes=`: consecutive successes that make it ready.
    pub successes: Option<u32>,
    /// Names of query parameters that mean nothing to the probe.
    pub ignored: Vec<String>,
    /// What is odd about a value that a variable or a file contributed, for the hint of a login that fails.
    pub doubts: Vec<String>,
}

/// What is probed, by protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A connection, by TCP or to a Unix socket, and nothing more.
    Connection(Place),
    /// An HTTP(S) request.
    Http(Box<Http>),
    /// A Postgres server.
    Postgres(Box<Postgres>),
    /// A Redis server.
    Redis(Box<Redis>),
    /// A TLS handshake, and nothing more.
    Tls(Box<TlsServer>),
    /// A server that is asked in its own protocol.
    Service(Box<Service>),
    /// A server whose own protocol is not spoken here: a connection, and nothing more.
    Server(Box<Server>),
    /// A path in the file system.
    File {
        /// The path that must exist.
        path: PathBuf,
        /// Whether it must also have content.
        nonempty: bool,
    },
    /// A name that must resolve.
    Dns(String),
    /// A command that must exit with an accepted status.
    #[cfg(feature = "exec")]
    Exec(Box<exec::Exec>),
}

impl Endpoint {
    /// The place that is connected to before anything else, and without which nothing can be found out. None
    /// where there are several to choose from, or none.
    pub fn only_place(&self) -> Option<Place> {
        let only = |places: &[Place]| if let [place] = places { Some(place.clone()) } else { None };
        match self {
            Self::Connection(place) => Some(place.clone()),
            Self::Http(http) => Some(http.place.clone()),
            // A time-out of its own begins with the connection.
            Self::Postgres(postgres) if postgres.connect_timeout.is_some() => None,
            Self::Postgres(postgres) => match postgres.hosts.as_slice() {
                [host] => Some(host.place.clone()),
                _ => None,
            },
            Self::Redis(redis) if redis.sentinel.is_some() => None,
            Self::Redis(redis) => only(&redis.places),
            Self::Tls(server) => Some(Place::Tcp(server.address.clone())),
            Self::Server(server) => only(&server.places),
            Self::Service(service) => only(&service.places),
            Self::File { .. } | Self::Dns(_) => None,
            #[cfg(feature = "exec")]
            Self::Exec(_) => None,
        }
    }

    /// Whether more is asked than a connection: what follows it may block.
    pub fn wants_a_conversation(&self) -> bool {
        !matches!(self, Self::Connection(_) | Self::Server(_))
    }
}

/// Where something listens: what every probe connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By TCP.
    Tcp(Address),
    /// By a Unix stream socket.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A host (name or IP address) and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// 1-65535.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a word is not a target.
#[derive(Debug, PartialEq, Eq)]
pub struct TargetError {
    /// The word as it was written, without secrets.
    pub word: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target `{}`: {}", self.word, self.problem)
    }
}

/// What a target takes from its surroundings.
pub struct Surroundings<'a> {
    /// Variables, `PG*` and `REDISCLI_AUTH`.
    pub lookup: Lookup<'a>,
    /// `--http-*`.
    pub http: &'a HttpDefaults,
}

/// What a target is read with, and what is found beside it.
pub(crate) struct Reading<'a> {
    /// Variables, `PG*` and `REDISCLI_AUTH`.
    pub(crate) lookup: &'a Lookup<'a>,
    /// `--http-*`.
    pub(crate) http: &'a HttpDefaults,
    /// What the fragment says.
    pub(crate) expectations: Expectations,
    /// Parameters that mean nothing.
    pub(crate) ignored: Ignored,
    /// What is odd about a value.
    pub(crate) doubts: Vec<String>,
}

impl Target {
    /// The label in logs and reports: the name, or the URL without secrets.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.url())
    }

    /// The URL without password, query and fragment, fit to be shown.
    pub fn url(&self) -> String {
        let mut url = String::with_capacity(48);
        // Writing to a text does not fail.
        let _ = write!(url, "{}", self.endpoint);
        if is_plain(&url) { url } else { shown::clean(&url) }
    }

    /// Everything that must not be shown, for scrubbing what a peer echoes.
    pub fn secrets(&self) -> Vec<&Secret> {
        match &self.endpoint {
            Endpoint::Http(http) => http.secrets(),
            Endpoint::Postgres(postgres) => postgres.password.iter().collect(),
            Endpoint::Redis(redis) => redis.secrets(),
            Endpoint::Server(server) => server.secrets.iter().collect(),
            Endpoint::Service(service) => service.password.iter().collect(),
            #[cfg(feature = "exec")]
            Endpoint::Exec(exec) => exec.secrets(),
            Endpoint::Connection(_) | Endpoint::Tls(_) | Endpoint::File { .. } | Endpoint::Dns(_) => Vec::new(),
        }
    }

    /// The statement that is sent, whose literals must not be shown.
    pub fn sql(&self) -> Option<&Secret> {
        match &self.endpoint {
            Endpoint::Postgres(postgres) => postgres.query.as_ref(),
            Endpoint::Service(service) => service.query.as_ref(),
            _ => None,
        }
    }

    /// What must not be shown as a whole: scripts that a command is given.
    pub fn texts(&self) -> &[Secret] {
        match &self.endpoint {
            #[cfg(feature = "exec")]
            Endpoint::Exec(exec) => exec.texts(),
            _ => &[],
        }
    }

    /// How long one attempt may take, where the target itself says so.
    pub fn attempt_timeout(&self) -> Option<Duration> {
        match &self.endpoint {
            #[cfg(feature = "exec")]
            Endpoint::Exec(exec) => exec.attempt_timeout,
            _ => None,
        }
    }

    /// Whether it is a command, of which one runs at a time.
    pub fn is_command(&self) -> bool {
        match &self.endpoint {
            #[cfg(feature = "exec")]
            Endpoint::Exec(_) => true,
            _ => false,
        }
    }

    /// Whether a probe of it may use TLS.
    pub fn may_use_tls(&self) -> bool {
        match &self.endpoint {
            Endpoint::Postgres(postgres) => postgres.sslmode != postgres::SslMode::Disable,
            Endpoint::Service(service) => service.may_use_tls(),
            Endpoint::Http(http) => http.tls.is_some() || http.follow != http::Follow::None,
            _ => self.requires_tls(),
        }
    }

    /// Whether a probe of it needs TLS for certain.
    pub fn requires_tls(&self) -> bool {
        match &self.endpoint {
            Endpoint::Http(http) => http.tls.is_some(),
            Endpoint::Redis(redis) => redis.requires_tls(),
            Endpoint::Postgres(postgres) => postgres.sslmode.requires_tls(),
            Endpoint::Service(service) => service.encryption == service::Encryption::Always,
            Endpoint::Tls(_) => true,
            Endpoint::Connection(_) | Endpoint::Server(_) | Endpoint::File { .. } | Endpoint::Dns(_) => false,
            #[cfg(feature = "exec")]
            Endpoint::Exec(_) => false,
        }
    }
}

impl Endpoint {
    /// Whether the fragment's keys about TLS mean something to it.
    fn knows_tls_keys(&self) -> bool {
        match self {
            Self::Http(http) => http.tls.is_some(),
            Self::Redis(redis) => redis.requires_tls(),
            Self::Postgres(_) | Self::Tls(_) | Self::Service(_) => true,
            _ => false,
        }
    }
}

/// [`Target::url`]
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(Place::Tcp(address)) => write!(f, "tcp://{address}"),
            Self::Connection(Place::Unix(path)) => write!(f, "unix://{}", path.display()),
            Self::Http(http) => http.fmt(f),
            Self::Postgres(postgres) => postgres.fmt(f),
            Self::Redis(redis) => redis.fmt(f),
            Self::Tls(server) => write!(f, "tls://{}", server.address),
            Self::Server(server) => server.fmt(f),
            Self::Service(service) => service.fmt(f),
            Self::File { path, .. } => write!(f, "file://{}", path.display()),
            Self::Dns(name) => write!(f, "dns://{name}"),
            #[cfg(feature = "exec")]
            Self::Exec(exec) => exec.fmt(f),
        }
    }
}

/// A whole number of at least 1.
pub(crate) fn positive(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{}` is not a whole number of at least 1", beginning_of(text))),
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod tests;
