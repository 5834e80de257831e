//! Postgres targets: libpq's connection URIs, and the forms that applications have them in.
//!
//! See "Connection URIs", "Parameter Key Words" and "Environment Variables" in libpq's manual.

mod ado;
mod hosts;
mod jdbc;
pub(super) mod keywords;
mod service;
mod settings;
mod uri;

use std::fmt;
use std::path::PathBuf;

use super::schemes::{Dialect, Found};
use super::{Address, Place, Reading, TargetTls, shown};
use crate::secret::Secret;
use crate::words;

pub(super) use ado::Server as AdoServer;
pub(crate) use keywords::is_one_string as is_one_connection_string;
pub(super) use keywords::{Style, strip_pdo, style_of};
use settings::Settings;

/// A Postgres server, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// The hosts, tried in order.
    pub hosts: Vec<Host>,
    /// The role to log in as.
    pub user: String,
    /// Whether somebody named that role; else it is a guess.
    pub user_is_named: bool,
    /// The password from the URL or `PGPASSWORD`; a password file is looked at when probing.
    pub password: Option<Secret>,
    /// `PGPASSFILE`, or `.pgpass` in the home directory.
    pub passfile: Option<PathBuf>,
    /// The database that is named, and so must exist.
    pub database: Option<String>,
    /// Command-line options for the session, sent in the start-up message: `options=`, `PGOPTIONS`.
    pub options: Option<String>,
    /// Further settings that are sent in the start-up message, like JDBC's `currentSchema` (`search_path`).
    pub settings: Vec<(String, String)>,
    /// How TLS is used.
    pub sslmode: SslMode,
    /// The CAs that the server's certificate is checked against; a path that is `system` means the roots.
    /// As in libpq, a file that is not there matters to verify-ca and verify-full alone.
    pub sslrootcert: Option<PathBuf>,
    /// The client's certificate.
    pub sslcert: Option<PathBuf>,
    /// The key of the client's certificate.
    pub sslkey: Option<PathBuf>,
    /// `~/.postgresql`: its root.crt, postgresql.crt and postgresql.key are used, if they are there, for what
    /// nothing else is said about.
    pub ssl_home: Option<PathBuf>,
    /// When TLS begins.
    pub sslnegotiation: Negotiation,
    /// Whether the host's name is sent in the handshake (SNI).
    pub sslsni: bool,
    /// The oldest version of TLS.
    pub ssl_min_protocol_version: Option<TlsVersion>,
    /// The newest version of TLS.
    pub ssl_max_protocol_version: Option<TlsVersion>,
    /// What else the target says about TLS (`#ca=`, `#cert=`, `#cert-key=`, `#servername=`, `#insecure`).
    pub tls: TargetTls,
    /// Whether SCRAM is bound to the TLS connection.
    pub channel_binding: ChannelBinding,
    /// The ways of authentication that the server may ask for.
    pub require_auth: Option<RequireAuth>,
    /// Which kind of server is wanted.
    pub target_session_attrs: SessionAttrs,
    /// The longest that one host may take to answer.
    pub connect_timeout: Option<std::time::Duration>,
    /// What the server's log and `pg_stat_activity` show.
    pub application_name: String,
    /// SQL that must return a row whose first column is neither false nor NULL.
    pub query: Option<Secret>,
}

/// One server: where to connect, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The host as it was written, for TLS and the password file; the directory of a socket.
    pub name: String,
    /// Where to connect.
    pub place: Place,
    /// The port, which also numbers the socket.
    pub port: u16,
}

impl Host {
    fn tcp(name: &str, address: &str, port: u16) -> Self {
        Self { name: name.to_owned(), place: Place::Tcp(Address { host: address.to_owned(), port }), port }
    }

    /// A socket by its own path, as pg8000 and junixsocket have it.
    fn socket_at(path: &str, port: u16) -> Self {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        Self { name: directory.to_owned(), place: Place::Unix(PathBuf::from(path)), port }
    }

    /// A server's socket in `directory` ("Connection Settings" in the PostgreSQL manual).
    fn socket(directory: &str, port: u16) -> Self {
        let path = PathBuf::from(format!("{directory}/.s.PGSQL.{port}"));
        Self { name: directory.to_owned(), place: Place::Unix(path), port }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Without TLS first, then with it.
    Allow,
    /// With TLS if the server has it, else without.
    Prefer,
    /// With TLS; verified only where a CA is given.
    Require,
    /// With TLS, and the certificate's chain is verified.
    VerifyCa,
    /// With TLS, and the certificate's chain and name are verified.
    VerifyFull,
}

impl SslMode {
    const ALL: [(&'static str, Self); 7] = [
        ("disable", Self::Disable),
        ("allow", Self::Allow),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
        // node-postgres.
        ("no-verify", Self::Require),
    ];

    /// Whether a server without TLS is refused.
    pub fn requires_tls(self) -> bool {
        matches!(self, Self::Require | Self::VerifyCa | Self::VerifyFull)
    }
}

/// libpq's `sslnegotiation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Negotiation {
    /// After `SSLRequest`.
    #[default]
    Postgres,
    /// At once, with the ALPN protocol `postgresql`.
    Direct,
}

/// A version of TLS, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.0
    V1_0,
    /// TLS 1.1
    V1_1,
    /// TLS 1.2
    V1_2,
    /// TLS 1.3
    V1_3,
}

/// libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where TLS is used and the server offers it.
    #[default]
    Prefer,
    /// Else the server is refused.
    Require,
}

/// libpq's `require_auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequireAuth {
    /// Whether the list names the ways that are refused (`!password`), not those that are allowed.
    pub negated: bool,
    /// The ways.
    pub methods: Vec<AuthMethod>,
}

/// A way of authentication, as `require_auth` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// The password in clear.
    Password,
    /// The password's MD5 hash.
    Md5,
    /// Kerberos by GSSAPI.
    Gss,
    /// Kerberos or NTLM by SSPI.
    Sspi,
    /// SCRAM, with or without channel binding.
    ScramSha256,
    /// A bearer token.
    Oauth,
    /// None at all: trust, a client certificate.
    None,
}

/// libpq's `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAttrs {
    /// Any server.
    Any,
    /// A session that may write.
    ReadWrite,
    /// A session that may not write.
    ReadOnly,
    /// Not in hot standby.
    Primary,
    /// In hot standby.
    Standby,
    /// In hot standby, or else any.
    PreferStandby,
    /// Not in hot standby, or else any (pgjdbc's preferPrimary).
    PreferPrimary,
}

impl SessionAttrs {
    const ALL: [(&'static str, Self); 13] = [
        ("any", Self::Any),
        ("read-write", Self::ReadWrite),
        ("read-only", Self::ReadOnly),
        ("primary", Self::Primary),
        ("standby", Self::Standby),
        ("prefer-standby", Self::PreferStandby),
        // JDBC's targetServerType.
        ("master", Self::Primary),
        ("secondary", Self::Standby),
        ("slave", Self::Standby),
        ("preferSecondary", Self::PreferStandby),
        ("preferSlave", Self::PreferStandby),
        ("preferPrimary", Self::PreferPrimary),
        // Npgsql
        ("prefer-primary", Self::PreferPrimary),
    ];

    /// Whether a server may be refused for it: what is only preferred is no condition.
    pub fn is_condition(self) -> bool {
        !matches!(self, Self::Any | Self::PreferStandby | Self::PreferPrimary)
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("any", |(name, _)| name)
    }
}

impl Postgres {
    /// A URL, of which `rest` stands behind `://`, or behind `jdbc:postgresql:`.
    pub(super) fn from_url(found: Found, rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let mut settings = Settings::new(found.dialect, found.scheme.port.unwrap_or(hosts::DEFAULT_PORT));
        match found.dialect {
            Dialect::Jdbc => jdbc::read(rest, &mut settings, &mut reading.ignored)?,
            Dialect::Plain | Dialect::Driver | Dialect::R2dbc(_) => {
                uri::read(rest, &mut settings, &mut reading.ignored)?;
            }
        }
        settings.finish(reading)
    }

    /// libpq's `host=db user=app`, Npgsql's `Host=db;Username=app`.
    pub(super) fn from_pairs(text: &str, style: Style, reading: &mut Reading<'_>) -> Result<Self, String> {
        let mut settings = Settings::new(Dialect::Plain, hosts::DEFAULT_PORT);
        match style {
            Style::Keywords => keywords::read(text, &mut settings, &mut reading.ignored)?,
            Style::Ado => ado::read(text, &mut settings, &mut reading.ignored)?,
        }
        settings.finish(reading)
    }
}

/// The server that pairs are for, where it is not Postgres.
pub(super) fn ado_server_of(text: &str, style: Style) -> Result<Option<AdoServer>, String> {
    match style {
        Style::Ado => ado::server(text),
        Style::Keywords => Ok(None),
    }
}

fn one_of<T: Copy>(all: &[(&'static str, T)], from: &str, text: &str) -> Result<T, String> {
    words::one_of(all, text).map_err(|names| format!("the value of {from} is not one of {names}"))
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", shown::clean(&self.user))?;
        for (index, host) in self.hosts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{host}")?;
        }
        match &self.database {
            Some(database) => write!(f, "/{}", shown::clean(database)),
            None => Ok(()),
        }
    }
}
