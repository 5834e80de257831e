//! Postgres targets: libpq's connection URIs, and the forms that applications have them in.
//!
//! See "Connection URIs", "Parameter Key Words" and "Environment Variables" in libpq's manual.

mod ado;
mod authentication;
mod cancel;
mod expectations;
mod hosts;
pub(crate) mod keywords;
mod layers;
mod login;
pub(crate) mod passfile;
pub(crate) mod probe;
mod service;
mod session;
mod settings;
mod startup_errors;
mod url;
pub(crate) mod wire;

use crate::text;
use crate::text::harmless;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::net::tls::Tls;
use crate::net::tls_settings::{Encryption, NamedFile, TargetTls, TlsFiles, TlsVersion};
use crate::net::{Attempt, Place};
use crate::secret::Secret;
use crate::targets::shared::ado::Pairs;
use crate::targets::shared::kind::{Dialect, Form, Key, Probe, Scheme, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::url::Userinfo;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

pub(crate) use hosts::Host;
pub(crate) use keywords::is_one_string as is_one_connection_string;
pub(crate) use keywords::{PairStyle, style_of};
use settings::Settings;

/// Postgres, and what speaks its protocol.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: SCHEMES,
    forms: &[Form {
        url: "postgres://USER:PASSWORD@HOST/DB",
        ready: "logged in (without a password: accepting connections)",
        keys: &[Key::new("query=SQL", "the first column of its first row is neither false, NULL nor 0")],
    }],
    takes_driver: true,
    userinfo: Userinfo::UntilSlash,
    read: |written, reading| Ok(Box::new(Postgres::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

/// The names that `SQLAlchemy`, Django, Rails, Ecto, Go, Rust, PHP and JDBC have for it.
const SCHEMES: &[Scheme] = &[
    Scheme::new(&[
        "postgres",
        "postgresql",
        "postgis",
        "pgsql",
        "psql",
        "pg",
        "pgx",
        "pgx4",
        "pgx5",
        "ecto",
        "cockroach",
        "cockroachdb",
        "crdb-postgres",
        "timescale",
        "timescaledb",
        "timescalegis",
        "yugabyte",
        "yugabytedb",
        "ysql",
        "postgresql2",
        "postgres2",
        "postgresqls",
        "postgresql_psycopg2",
        "django_postgrespool",
        "django_postgrespool2",
        "db+postgresql",
        "db+postgres",
        "postgresql-async",
        "alloydb",
        "greenplum",
        "opengauss",
        "gaussdb",
        "citus",
        "neon",
        "supabase",
        "edb",
        "npgsql",
        "pdo-pgsql",
        "pdo_pgsql",
        "asyncpg",
        "psycopg",
        "psycopg2",
        "psycopg3",
        "postgresext",
        "crdb",
    ])
    .port(5432),
    Scheme::new(&["redshift"]).port(5439),
    Scheme::new(&["materialize"]).port(6875),
    Scheme::new(&["risingwave"]).port(4566),
];

/// A Postgres server, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Postgres {
    /// The hosts, tried in order.
    pub(crate) hosts: Vec<Host>,
    /// Whether a host that refuses user, password or database leaves the others unasked, as in libpq and pgx; pgjdbc and
    /// psycopg 3 go on.
    pub(crate) stops_at_refusal: bool,
    /// The role to log in as.
    pub(crate) user: String,
    /// Whether somebody named that role; else it is a guess.
    pub(crate) user_is_named: bool,
    /// The password from the URL or `PGPASSWORD`; a password file is looked at when probing.
    pub(crate) password: Option<Secret>,
    /// `PGPASSFILE`, or `.pgpass` in the home directory.
    pub(crate) passfile: Option<PathBuf>,
    /// The database that is named, and so must exist.
    pub(crate) database: Option<String>,
    /// Command-line options for the session, sent in the start-up message: `options=`, `PGOPTIONS`.
    pub(crate) options: Option<String>,
    /// JDBC's `currentSchema`, sent in the start-up message as well.
    pub(crate) search_path: Option<String>,
    /// How TLS is used.
    pub(crate) sslmode: SslMode,
    /// The CAs that the server's certificate is checked against; a path that is `system` means the roots.
    /// As in libpq, a file that is not there matters to verify-ca and verify-full alone.
    pub(crate) sslrootcert: Option<PathBuf>,
    /// The client's certificate.
    pub(crate) sslcert: Option<PathBuf>,
    /// The key of the client's certificate.
    pub(crate) sslkey: Option<PathBuf>,
    /// `~/.postgresql`: its root.crt, postgresql.crt and postgresql.key are used, if they are there, for what
    /// nothing else is said about.
    pub(crate) ssl_home: Option<PathBuf>,
    /// When TLS begins.
    pub(crate) sslnegotiation: Negotiation,
    /// Whether the host's name is sent in the handshake (SNI).
    pub(crate) sslsni: bool,
    /// The oldest version of TLS.
    pub(crate) ssl_min_protocol_version: Option<TlsVersion>,
    /// The newest version of TLS.
    pub(crate) ssl_max_protocol_version: Option<TlsVersion>,
    /// The target's further TLS settings (`#ca=`, `#cert=`, `#cert-key=`, `#servername=`, `#insecure`).
    pub(crate) tls: TargetTls,
    /// Whether SCRAM is bound to the TLS connection.
    pub(crate) channel_binding: ChannelBinding,
    /// The ways of authentication that the server may ask for; all where they are not named.
    pub(crate) require_auth: Option<Vec<AuthMethod>>,
    /// Which kind of server alone will do.
    pub(crate) target_session_attrs: Option<SessionAttrs>,
    /// The longest that one host may take to answer.
    pub(crate) connect_timeout: Option<std::time::Duration>,
    /// The name that the server's log and `pg_stat_activity` show.
    pub(crate) application_name: String,
    /// SQL that must return a row whose first column is neither false nor NULL.
    pub(crate) query: Option<Secret>,
}

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
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

    /// Whether the certificate is verified, whatever else is given.
    pub(crate) fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }

    /// Whether a server without TLS is refused.
    pub(crate) fn requires_tls(self) -> bool {
        self == Self::Require || self.verifies()
    }
}

/// libpq's `sslnegotiation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Negotiation {
    /// After `SSLRequest`.
    #[default]
    Postgres,
    /// At once, with the ALPN protocol `postgresql`.
    Direct,
}

impl Negotiation {
    const ALL: [(&'static str, Self); 2] = [("postgres", Self::Postgres), ("direct", Self::Direct)];
}

/// libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ChannelBinding {
    /// Never.
    Disable,
    /// Where TLS is used and the server offers it.
    #[default]
    Prefer,
    /// Else the server is refused.
    Require,
}

impl ChannelBinding {
    const ALL: [(&'static str, Self); 3] =
        [("disable", Self::Disable), ("prefer", Self::Prefer), ("require", Self::Require)];
}

/// A way of authentication, as `require_auth` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthMethod {
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

impl AuthMethod {
    const ALL: [(&'static str, Self); 7] = [
        ("password", Self::Password),
        ("md5", Self::Md5),
        ("gss", Self::Gss),
        ("sspi", Self::Sspi),
        ("scram-sha-256", Self::ScramSha256),
        ("oauth", Self::Oauth),
        ("none", Self::None),
    ];
}

/// The conditions that libpq's `target_session_attrs` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionAttrs {
    /// A session that may write.
    ReadWrite,
    /// A session that may not write.
    ReadOnly,
    /// Not in hot standby.
    Primary,
    /// In hot standby.
    Standby,
}

impl SessionAttrs {
    /// What is only preferred is no condition.
    const ALL: [(&'static str, Option<Self>); 13] = [
        ("any", None),
        ("read-write", Some(Self::ReadWrite)),
        ("read-only", Some(Self::ReadOnly)),
        ("primary", Some(Self::Primary)),
        ("standby", Some(Self::Standby)),
        ("prefer-standby", None),
        // JDBC's targetServerType.
        ("master", Some(Self::Primary)),
        ("secondary", Some(Self::Standby)),
        ("slave", Some(Self::Standby)),
        ("preferSecondary", None),
        ("preferSlave", None),
        ("preferPrimary", None),
        // Npgsql
        ("prefer-primary", None),
    ];

    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
        }
    }
}

impl Postgres {
    /// A URL, of which `rest` stands behind `://`, or behind `jdbc:postgresql:`.
    fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let mut settings = Settings::new(written.dialect, written.default_port(), reading);
        url::read(written.rest, &mut settings)?;
        settings.finish()
    }

    /// libpq's `host=db user=app`.
    pub(crate) fn from_keywords(text: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let mut settings = Settings::new(Dialect::Plain, hosts::DEFAULT_PORT, reading);
        keywords::read(text, &mut settings)?;
        settings.finish()
    }

    /// Npgsql's `Host=db;Username=app`.
    pub(crate) fn from_ado(pairs: Pairs, reading: &mut Reading<'_>) -> Result<Self, String> {
        let mut settings = Settings::new(Dialect::Plain, hosts::DEFAULT_PORT, reading);
        ado::take(pairs, &mut settings)?;
        Ok(Self { stops_at_refusal: false, ..settings.finish()? })
    }

    /// The file of the CAs, where they are not those of the system.
    fn rootcert(&self) -> Option<&Path> {
        self.sslrootcert.as_deref().filter(|path| path.as_os_str() != "system")
    }
}

impl Probe for Postgres {
    fn names(&self) -> Vec<String> {
        std::iter::once(self.user.clone()).chain(self.database.clone()).collect()
    }

    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        probe::probe(self, goal, tls, attempt)
    }

    fn only_place(&self) -> Option<Place> {
        match self.hosts.as_slice() {
            // A time-out of its own begins with the connection.
            [host] if self.connect_timeout.is_none() => Some(host.place.clone()),
            _ => None,
        }
    }

    fn tls_use(&self) -> Encryption {
        match self.sslmode {
            SslMode::Disable => Encryption::Never,
            mode if mode.requires_tls() => Encryption::Always,
            _ => Encryption::IfOffered,
        }
    }

    fn knows_tls_keys(&self) -> bool {
        true
    }

    fn tls_files(&self) -> Vec<TlsFiles<'_>> {
        if self.hosts.iter().all(|host| matches!(host.place, Place::Unix(_))) {
            return Vec::new();
        }
        let mut files = self.tls.files();
        // A file that sslmode does not verify by may be absent, as in libpq.
        let is_optional = !self.sslmode.verifies();
        files.ca.extend(self.rootcert().map(|path| NamedFile { key: "sslrootcert", path, is_optional }));
        if let Some(cert) = self.sslcert.as_deref() {
            // As in libpq: one that is not there is not shown.
            let cert = NamedFile { key: "sslcert", path: cert, is_optional: true };
            let key = self.sslkey.as_deref().map_or(cert, |key| NamedFile::new("sslkey", key));
            files.identity = Some([cert, key]);
        }
        vec![files]
    }

    fn passfile(&self) -> Option<&Path> {
        self.passfile.as_deref().filter(|_| self.password.is_none())
    }

    fn secrets(&self) -> Vec<&Secret> {
        self.password.iter().collect()
    }

    fn sql(&self) -> Option<&Secret> {
        self.query.as_ref()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        write!(f, "postgres://{}@{}", harmless(&self.user), hosts.join(","))?;
        match &self.database {
            // As libpq reads it, a password with a plain `@` and `/` in it goes on in the database's name.
            Some(database) if database.contains('@') => f.write_str("/…"),
            Some(database) => write!(f, "/{}", harmless(database)),
            None => Ok(()),
        }
    }
}

fn one_of<T: Copy>(all: &[(&'static str, T)], from: &str, text: &str) -> Result<T, String> {
    text::one_of(all, text).map_err(|names| format!("the value of {from} is not one of {names}"))
}
