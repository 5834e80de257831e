//! Postgres targets: libpq's connection URIs, and the forms that applications have them in.
//!
//! See "Connection URIs", "Parameter Key Words" and "Environment Variables" in libpq's manual.

use std::fmt;
use std::path::PathBuf;

use super::{Address, Expectations, Place, TargetTls, url};
use crate::duration;
use crate::secret::Secret;

/// libpq's default port.
const DEFAULT_PORT: u16 = 5432;
/// Debian's socket directory, libpq's default host there.
const DEFAULT_SOCKET_DIR: &str = "/var/run/postgresql";
/// Who asks, when nobody says: a role that nearly every server has, so that a server which trusts
/// everybody does not log an unknown role. (libpq takes the name of the operating system's user,
/// which a scratch image does not have.)
const DEFAULT_USER: &str = "postgres";

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
    /// SQL that must return at least one row.
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
    fn tcp(name: impl Into<String>, port: u16) -> Self {
        let name = name.into();
        Self { place: Place::Tcp(Address { host: name.clone(), port }), name, port }
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
    const ALL: [(&'static str, Self); 12] = [
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

/// `postgres`, `postgresql`, `SQLAlchemy`'s `postgresql+DRIVER` and `jdbc:postgresql`.
pub(super) fn is_scheme(scheme: &str) -> bool {
    let scheme = scheme.strip_prefix("jdbc:").unwrap_or(scheme);
    let dialect =
        scheme.split_once('+').map_or(scheme, |(dialect, driver)| if driver.is_empty() { "" } else { dialect });
    matches!(dialect, "postgres" | "postgresql")
}

/// What the query may say, before it is made usable.
#[derive(Default)]
struct UriParameters {
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<String>,
    dbname: Option<String>,
    passfile: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    sslcert: Option<String>,
    sslkey: Option<String>,
    target_session_attrs: Option<String>,
    connect_timeout: Option<String>,
    application_name: Option<String>,
}

impl UriParameters {
    fn slot(&mut self, key: &str) -> Option<&mut Option<String>> {
        Some(match key {
            "host" => &mut self.host,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "password" => &mut self.password,
            "dbname" => &mut self.dbname,
            "passfile" => &mut self.passfile,
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "sslcert" => &mut self.sslcert,
            "sslkey" => &mut self.sslkey,
            "target_session_attrs" | "targetServerType" => &mut self.target_session_attrs,
            "connect_timeout" | "connectTimeout" => &mut self.connect_timeout,
            "application_name" | "ApplicationName" => &mut self.application_name,
            _ => return None,
        })
    }

    fn parse(query: &str, ignored: &mut Vec<String>) -> Result<Self, String> {
        let mut parameters = Self::default();
        for pair in url::pairs(query) {
            let (key, value) = pair?;
            let value = value.filter(|value| !value.is_empty());
            match (key.as_str(), parameters.slot(&key)) {
                // JDBC's and asyncpg's ways to say sslmode.
                ("ssl", _) => {
                    let mode = match value.as_deref() {
                        None | Some("true" | "1") => "require",
                        Some("false" | "0") => "disable",
                        Some(mode) => mode,
                    };
                    parameters.sslmode.get_or_insert_with(|| mode.to_owned());
                }
                (_, Some(slot)) => *slot = value,
                (_, None) => ignored.push(key),
            }
        }
        Ok(parameters)
    }
}

impl Postgres {
    pub(super) fn parse(
        url: &str,
        expectations: &mut Expectations,
        ignored: &mut Vec<String>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let parts = url::split(url, true)?;
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let parameters = UriParameters::parse(parts.query.unwrap_or_default(), ignored)?;
        let (user, password) = parts.userinfo.map(url::user_and_password).transpose()?.unwrap_or_default();
        let named = url::decode(parts.path.strip_prefix('/').unwrap_or(parts.path))?;

        let default_port = match env("PGPORT") {
            Some(_) if parameters.port.is_some() => None,
            Some(port) if port.contains(',') => Some(port),
            Some(port) => {
                url::parse_port(&port).map_err(|problem| format!("PGPORT: {problem}"))?;
                Some(port)
            }
            None => None,
        };
        // As in libpq, what the query says wins over the authority.
        let port = parameters.port.clone().or(default_port);
        let hosts = match (parts.hosts, parameters.host.clone()) {
            (_, Some(list)) => list_of_hosts(&list, port.as_deref())?,
            ("", None) => {
                list_of_hosts(&env("PGHOST").unwrap_or_else(|| DEFAULT_SOCKET_DIR.to_owned()), port.as_deref())?
            }
            (written, None) => written_hosts(written, parameters.port.as_deref(), port.as_deref())?,
        };
        let choose = |written: Option<String>, variable: &str| written.or_else(|| env(variable));
        let passfile =
            choose(parameters.passfile, "PGPASSFILE").or_else(|| env("HOME").map(|home| format!("{home}/.pgpass")));
        let connect_timeout = choose(parameters.connect_timeout, "PGCONNECT_TIMEOUT")
            .map(|text| {
                duration::parse(&text).map_err(|problem| format!("`connect_timeout` or PGCONNECT_TIMEOUT: {problem}"))
            })
            .transpose()?
            .filter(|duration| !duration.is_zero());
        let target_session_attrs = match (parameters.target_session_attrs, env("PGTARGETSESSIONATTRS")) {
            (Some(text), _) => one_of(&SessionAttrs::ALL, "`target_session_attrs`", &text)?,
            (None, Some(text)) => one_of(&SessionAttrs::ALL, "PGTARGETSESSIONATTRS", &text)?,
            (None, None) => SessionAttrs::Any,
        };
        let sslmode = match (parameters.sslmode, env("PGSSLMODE")) {
            (Some(text), _) => Some(one_of(&SslMode::ALL, "`sslmode`", &text)?),
            (None, Some(text)) => Some(one_of(&SslMode::ALL, "PGSSLMODE", &text)?),
            (None, None) => None,
        };
        let sslrootcert = choose(parameters.sslrootcert, "PGSSLROOTCERT").map(PathBuf::from);
        let sslmode = match (sslmode, sslrootcert.as_deref().is_some_and(|path| path == "system")) {
            (None, true) => SslMode::VerifyFull,
            (Some(mode), true) if mode != SslMode::VerifyFull => {
                return Err("`sslrootcert=system` goes with sslmode=verify-full only, as in libpq".to_owned());
            }
            (mode, _) => mode.unwrap_or(SslMode::Prefer),
        };
        let sslcert = choose(parameters.sslcert, "PGSSLCERT").map(PathBuf::from);
        let sslkey = choose(parameters.sslkey, "PGSSLKEY").map(PathBuf::from);
        if sslcert.is_some() != sslkey.is_some() {
            return Err("`sslcert` and `sslkey` go together".to_owned());
        }
        let user = Some(user).filter(|user| !user.is_empty()).or_else(|| choose(parameters.user, "PGUSER"));
        Ok(Self {
            hosts,
            user_is_named: user.is_some(),
            user: user.unwrap_or_else(|| DEFAULT_USER.to_owned()),
            password: password
                .filter(|password| !password.is_empty())
                .or_else(|| choose(parameters.password, "PGPASSWORD"))
                .map(Secret::new),
            passfile: passfile.map(PathBuf::from),
            database: Some(named).filter(|named| !named.is_empty()).or_else(|| choose(parameters.dbname, "PGDATABASE")),
            options: None,
            settings: Vec::new(),
            sslmode,
            sslrootcert,
            sslcert,
            sslkey,
            ssl_home: None,
            sslnegotiation: Negotiation::Postgres,
            sslsni: true,
            ssl_min_protocol_version: None,
            ssl_max_protocol_version: None,
            tls: TargetTls::default(),
            channel_binding: ChannelBinding::Prefer,
            require_auth: None,
            target_session_attrs,
            connect_timeout,
            application_name: choose(parameters.application_name, "PGAPPNAME")
                .unwrap_or_else(|| "when-ready".to_owned()),
            query: expectations.take("query")?.map(Secret::new),
        })
    }
}

fn one_of<T: Copy>(all: &[(&'static str, T)], key: &str, text: &str) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("{key}: `{}` is not one of {}", super::truncated(text), names.join(", "))
    })
}

/// `h1:5432,h2,[::1]:5433` as in a URI's authority.
fn written_hosts(text: &str, override_port: Option<&str>, default_port: Option<&str>) -> Result<Vec<Host>, String> {
    let override_port = override_port.map(url::parse_port).transpose()?;
    let default_port = default_port.map(url::parse_port).transpose()?.unwrap_or(DEFAULT_PORT);
    text.split(',')
        .map(|part| {
            if part.starts_with("%2F") || part.starts_with("%2f") {
                let (directory, port) = match part.rsplit_once(':') {
                    Some((directory, port)) => (directory, url::parse_port(port)?),
                    None => (part, default_port),
                };
                return Ok(Host::socket(&url::decode(directory)?, port));
            }
            let (host, port) = url::host_and_port(part)?;
            Ok(Host::tcp(host, override_port.or(port).unwrap_or(default_port)))
        })
        .collect()
}

/// `host=` and `port=`, lists of the same length, or one port for all.
fn list_of_hosts(hosts: &str, ports: Option<&str>) -> Result<Vec<Host>, String> {
    let ports: Vec<u16> = match ports {
        None => vec![DEFAULT_PORT],
        Some(list) => list
            .split(',')
            .map(|port| if port.is_empty() { Ok(DEFAULT_PORT) } else { url::parse_port(port) })
            .collect::<Result<_, _>>()?,
    };
    let names: Vec<&str> = hosts.split(',').collect();
    if ports.len() != 1 && ports.len() != names.len() {
        return Err(format!("it has {} hosts and {} ports", names.len(), ports.len()));
    }
    names
        .iter()
        .zip(ports.iter().cycle())
        .map(|(name, &port)| {
            if name.starts_with('/') {
                return Ok(Host::socket(name, port));
            }
            if name.parse::<std::net::Ipv6Addr>().is_err() {
                url::check_name(name)?;
            }
            Ok(Host::tcp(*name, port))
        })
        .collect()
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", self.user)?;
        for (index, host) in self.hosts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{host}")?;
        }
        match &self.database {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}
