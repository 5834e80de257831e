//! What a connection string says, by libpq's names, and what it leaves out: from a service, from the environment,
//! from libpq's defaults ("Parameter Key Words" and "Environment Variables" in its manual).

use std::path::PathBuf;
use std::time::Duration;

use crate::duration;
use crate::net::Place;
use crate::net::tls_settings::TargetTls;
use crate::secret::Secret;
use crate::targets::postgres::{
    AuthMethod, ChannelBinding, Host, Negotiation, Postgres, SessionAttrs, SslMode, TlsVersion, one_of, service,
};
use crate::targets::shared::kind::{Dialect, Layer};
use crate::targets::shared::lookup::{doubt_about, utf8};
use crate::targets::shared::parameters::ODBC_CONNECT;
use crate::targets::shared::reading::Reading;

/// The user where none is named: a role that nearly every server has, so that a server which trusts
/// everybody does not log an unknown role. (libpq takes the name of the operating system's user,
/// which a scratch image does not have.)
const DEFAULT_USER: &str = "postgres";

/// libpq's keywords, each with its variable.
const KEYWORDS: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("sslmode", "PGSSLMODE"),
    ("requiressl", "PGREQUIRESSL"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslsni", "PGSSLSNI"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("gssencmode", "PGGSSENCMODE"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("service", "PGSERVICE"),
    ("servicefile", ""),
    ("scram_client_key", ""),
    ("scram_server_key", ""),
    // These mean nothing to the probe.
    ("fallback_application_name", ""),
    ("client_encoding", ""),
    ("keepalives", ""),
    ("tcp_user_timeout", ""),
    ("replication", ""),
    ("sslcompression", ""),
    ("sslpassword", ""),
    ("krbsrvname", ""),
    ("gsslib", ""),
    ("load_balance_hosts", ""),
    ("passwd", ""),
];

/// Other clients' names for them and for what libpq does not have, in small letters and without `_`.
const ALIASES: &[(&str, &str)] = &[
    ("targetservertype", "target_session_attrs"),
    ("connecttimeout", "connect_timeout"),
    ("applicationname", "application_name"),
    ("database", "dbname"),
    ("pgdbname", "dbname"),
    ("pghost", "host"),
    ("pgport", "port"),
    ("currentschema", "search_path"),
    ("searchpath", "search_path"),
    // pg8000
    ("unixsock", "unix_sock"),
    ("socket", "unix_sock"),
    // JDBC's, node-postgres' and asyncpg's, weaker than `sslmode`.
    ("ssl", "ssl"),
    // Prisma's.
    ("sslaccept", "sslaccept"),
];

/// The words for versions of TLS.
const TLS_VERSIONS: [(&str, TlsVersion); 4] = [
    ("TLSv1", TlsVersion::V1_0),
    ("TLSv1.1", TlsVersion::V1_1),
    ("TLSv1.2", TlsVersion::V1_2),
    ("TLSv1.3", TlsVersion::V1_3),
];

/// Whether it is one of libpq's keywords.
pub(crate) fn is_keyword(text: &str) -> bool {
    KEYWORDS.iter().any(|(keyword, _)| *keyword == text)
}

/// The settings, as far as they are given.
pub(crate) struct Settings<'r, 'a> {
    /// The surroundings: variables, and what is not known.
    pub(crate) reading: &'r mut Reading<'a>,
    pub(crate) dialect: Dialect,
    pub(super) default_port: u16,
    /// What the string says, and a service for what it leaves out.
    given: Vec<(&'static str, Vec<u8>)>,
    /// pgjdbc's `NonValidatingFactory`.
    verifies_nothing: bool,
    /// Whether it is Prisma's, to which `sslcert` is the CA.
    is_prisma: bool,
    has_port_of_query: bool,
}

impl<'r, 'a> Settings<'r, 'a> {
    pub(crate) fn new(dialect: Dialect, default_port: u16, reading: &'r mut Reading<'a>) -> Self {
        Self {
            reading,
            dialect,
            default_port,
            given: Vec::new(),
            verifies_nothing: false,
            is_prisma: false,
            has_port_of_query: false,
        }
    }

    /// A setting, which replaces an earlier one.
    pub(crate) fn set(&mut self, keyword: &'static str, value: impl Into<Vec<u8>>) {
        self.given.retain(|(other, _)| *other != keyword);
        self.given.push((keyword, value.into()));
    }

    /// A setting that a URI may leave out: then it is not given.
    pub(crate) fn set_unless_empty(&mut self, keyword: &'static str, value: impl Into<Vec<u8>>) {
        let value = value.into();
        if !value.is_empty() {
            self.set(keyword, value);
        }
    }

    /// `host=A:1` brings its own ports.
    pub(crate) fn unset_ports_of_authority(&mut self) {
        if !self.has_port_of_query {
            self.given.retain(|(keyword, _)| *keyword != "port");
        }
    }

    /// A parameter by the name that some client has for it.
    ///
    /// # Errors
    ///
    /// The parameter is about security, and not implemented.
    pub(crate) fn set_parameter(&mut self, key: &str, value: Vec<u8>) -> Result<(), String> {
        let normalized: String = key.replace('_', "").to_ascii_lowercase();
        let keyword =
            KEYWORDS.iter().map(|(keyword, _)| *keyword).find(|keyword| keyword.replace('_', "") == normalized);
        let alias = ALIASES.iter().find(|(alias, _)| *alias == normalized).map(|(_, keyword)| *keyword);
        if ["connectionlimit", "pooltimeout", "sslaccept", "sslidentity", "statementcachesize"].contains(&&*normalized)
        {
            self.is_prisma = true;
        }
        match keyword.or(alias) {
            Some("unix_sock") if !value.starts_with(b"/") => self.given.retain(|(other, _)| *other != "unix_sock"),
            Some("port") => {
                self.has_port_of_query = true;
                self.set("port", value);
            }
            // R2DBC's VERIFY_FULL.
            Some("sslmode") if self.dialect != Dialect::Plain => {
                let value: Vec<u8> = value.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
                self.set("sslmode", value.to_ascii_lowercase());
            }
            Some("sslmode") => self.set("sslmode", value),
            Some(keyword) => self.set(keyword, value),
            None if normalized == "odbcconnect" => return Err(ODBC_CONNECT.to_owned()),
            // pgjdbc's way to say that nothing is verified, before `ssl` or behind it.
            None if normalized == "sslfactory" && value.ends_with(b"NonValidatingFactory") => {
                self.verifies_nothing = true;
            }
            None => self.reading.ignored.add(key),
        }
        Ok(())
    }

    /// The given value, or else the environment's, and what it is called in messages. One that is given empty is libpq's
    /// default, whatever the environment has.
    fn choose(&self, keyword: &str) -> Option<(Vec<u8>, String)> {
        if let Some((_, value)) = self.given.iter().find(|(name, _)| *name == keyword) {
            return Some((value.clone(), format!("`{keyword}`")));
        }
        let variable = KEYWORDS.iter().find(|(name, _)| *name == keyword).map(|(_, variable)| *variable)?;
        // pgjdbc takes no place from libpq's variables.
        let is_place = matches!(keyword, "host" | "hostaddr" | "port");
        if variable.is_empty() || is_place && !self.is_libpqs() {
            return None;
        }
        let value = self.reading.lookup.bytes(variable).filter(|value| !value.is_empty())?;
        Some((value, variable.to_owned()))
    }

    pub(super) fn is_libpqs(&self) -> bool {
        matches!(self.dialect, Dialect::Plain | Dialect::Driver | Dialect::DriverOverTls)
    }

    /// The same, as text, with what it is called.
    fn written(&self, keyword: &str) -> Result<Option<(String, String)>, String> {
        let Some((value, from)) = self.choose(keyword) else { return Ok(None) };
        let text = utf8(value, &from)?;
        if text.contains('\0') {
            return Err(format!("the value of {from} holds a NUL character"));
        }
        Ok(Some((text, from)))
    }

    /// The same; nothing where it is empty.
    pub(super) fn text(&self, keyword: &str) -> Result<Option<(String, String)>, String> {
        Ok(self.written(keyword)?.filter(|(text, _)| !text.is_empty()))
    }

    pub(super) fn value(&self, keyword: &str) -> Result<Option<String>, String> {
        Ok(self.text(keyword)?.map(|(value, _)| value))
    }

    fn path(&self, keyword: &str) -> Result<Option<PathBuf>, String> {
        Ok(self.value(keyword)?.map(PathBuf::from))
    }

    fn parsed<T: Copy>(&self, keyword: &str, all: &[(&'static str, T)]) -> Result<Option<T>, String> {
        let Some((value, from)) = self.text(keyword)? else { return Ok(None) };
        one_of(all, &from, &value).map(Some)
    }

    /// The target that it makes.
    pub(crate) fn finish(mut self) -> Result<Postgres, String> {
        self.take_prismas_ca()?;
        self.read_service()?;
        self.refuse_what_is_not_implemented()?;
        let home = self.reading.lookup.text("HOME")?.filter(|home| !home.is_empty());
        let hosts = self.hosts()?;
        self.refuse_for_sockets(&hosts)?;
        let (sslmode, sslrootcert) = self.sslmode()?;
        let password = self.choose("password").filter(|(password, _)| !password.is_empty());
        if let Some((password, _)) = password.as_ref().filter(|(_, from)| from == "PGPASSWORD") {
            self.reading.doubts.extend(doubt_about(password, "PGPASSWORD"));
        }
        // pgjdbc looks for the key in its home only once the server asks for the certificate.
        let lacks_key = self.dialect == Dialect::Jdbc && self.value("sslkey")?.is_none();
        let is_certificate_sent = self.value("sslcertmode")?.as_deref() != Some("disable") && !lacks_key;
        let passfile = self.path("passfile")?;
        let sslnegotiation = self.parsed("sslnegotiation", &Negotiation::ALL)?.unwrap_or_default();
        let ssl_min_protocol_version = self.parsed("ssl_min_protocol_version", &TLS_VERSIONS)?;
        let ssl_max_protocol_version = self.parsed("ssl_max_protocol_version", &TLS_VERSIONS)?;
        if ssl_max_protocol_version.is_some_and(|max| max < TlsVersion::V1_2 || ssl_min_protocol_version > Some(max)) {
            return Err("its `ssl_max_protocol_version` leaves no version: TLS 1.2 and 1.3 are spoken".to_owned());
        }
        if sslnegotiation == Negotiation::Direct && !sslmode.requires_tls() {
            return Err("`sslnegotiation=direct` goes with sslmode=require or stricter, as in libpq".to_owned());
        }
        let user = self.value("user")?;
        Ok(Postgres {
            hosts,
            stops_at_refusal: self.dialect == Dialect::Plain,
            user_is_named: user.is_some(),
            user: user.unwrap_or_else(|| DEFAULT_USER.to_owned()),
            password: password.map(|(password, _)| Secret::new(password)),
            passfile: passfile.or_else(|| home.as_ref().map(|home| PathBuf::from(format!("{home}/.pgpass")))),
            database: self.value("dbname")?,
            options: self.value("options")?,
            search_path: self.written("search_path")?.map(|(path, _)| path),
            sslmode,
            sslrootcert,
            sslcert: self.path("sslcert")?.filter(|_| is_certificate_sent),
            sslkey: self.path("sslkey")?.filter(|_| is_certificate_sent),
            ssl_home: home
                .filter(|_| is_certificate_sent || lacks_key)
                .map(|home| PathBuf::from(format!("{home}/.postgresql"))),
            sslnegotiation,
            sslsni: self.value("sslsni")?.as_deref() != Some("0"),
            ssl_min_protocol_version,
            ssl_max_protocol_version,
            tls: crate::targets::shared::tls::take(TargetTls::default(), &mut self.reading.expectations)?,
            channel_binding: self.parsed("channel_binding", &ChannelBinding::ALL)?.unwrap_or_default(),
            require_auth: self.require_auth()?,
            target_session_attrs: self.session_attrs()?,
            connect_timeout: self.connect_timeout()?,
            application_name: self.value("application_name")?.unwrap_or_else(|| "when-ready".to_owned()),
            query: self.reading.expectations.take("query")?.map(Secret::new),
        })
    }

    /// Prisma's `sslcert` is the CA, and verified only with sslaccept=strict. A service's is what it is to libpq.
    fn take_prismas_ca(&mut self) -> Result<(), String> {
        let is_strict = self.value("sslaccept")?.as_deref() == Some("strict");
        if self.is_prisma
            && !self.given.iter().any(|(keyword, _)| matches!(*keyword, "sslkey" | "sslrootcert"))
            && let Some(at) = self.given.iter().position(|(keyword, _)| *keyword == "sslcert")
        {
            let (_, ca) = self.given.remove(at);
            if is_strict {
                self.set("sslrootcert", ca);
            }
        }
        Ok(())
    }

    fn read_service(&mut self) -> Result<(), String> {
        let Some(name) = self.value("service")? else { return Ok(()) };
        let file = self.value("servicefile")?;
        for (key, value) in service::settings(&name, file.as_deref(), self.reading.lookup)? {
            let keyword = KEYWORDS.iter().map(|(keyword, _)| *keyword).find(|keyword| *keyword == key);
            let keyword = keyword.ok_or("its service has a keyword that libpq does not know")?;
            if !self.given.iter().any(|(given, _)| *given == keyword) {
                self.given.push((keyword, value));
            }
        }
        Ok(())
    }

    /// Refuses what would be less safe, or lead elsewhere, if it were ignored.
    fn refuse_what_is_not_implemented(&self) -> Result<(), String> {
        for (keyword, second) in [("gssencmode", "prefer"), ("sslcertmode", "allow")] {
            let Some((mode, from)) = self.text(keyword)? else { continue };
            if one_of(&[("disable", false), (second, false), ("require", true)], &from, &mode)? {
                return Err(not_implemented(&format!("{from}=require")));
            }
        }
        for keyword in ["sslcrl", "sslcrldir", "scram_client_key", "scram_server_key"] {
            if let Some((_, from)) = self.text(keyword)? {
                return Err(not_implemented(&from));
            }
        }
        Ok(())
    }

    fn refuse_for_sockets(&self, hosts: &[Host]) -> Result<(), String> {
        match self.text("requirepeer")? {
            Some((_, from)) if hosts.iter().any(|host| matches!(host.place, Place::Unix(_))) => {
                Err(not_implemented(&format!("{from} of a socket")))
            }
            _ => Ok(()),
        }
    }

    /// The mode and the CA, which depend on each other.
    fn sslmode(&self) -> Result<(SslMode, Option<PathBuf>), String> {
        let ssl = self.written("ssl")?.map(|(ssl, _)| ssl);
        let given = self.given.iter().any(|(keyword, value)| *keyword == "sslmode" && !value.is_empty());
        let sslmode = match (ssl, self.dialect) {
            _ if given => self.parsed("sslmode", &SslMode::ALL)?,
            _ if self.verifies_nothing => Some(SslMode::Require),
            (Some(ssl), _) => Some(self.mode_of_ssl(&ssl)?),
            (None, Dialect::DriverOverTls) => Some(SslMode::Require),
            // r2dbcs is R2DBC's way to say `ssl=true`, which is verify-full.
            (None, Dialect::R2dbc(Layer::Tls)) => Some(SslMode::VerifyFull),
            // "Obsolete" since 2005, and in use.
            _ => {
                let is_required = self.value("requiressl")?.is_some_and(|value| value.starts_with('1'));
                self.parsed("sslmode", &SslMode::ALL)?.or(is_required.then_some(SslMode::Require))
            }
        };
        let sslrootcert = self.path("sslrootcert")?;
        match (sslmode, sslrootcert.as_deref().is_some_and(|path| path.as_os_str() == "system")) {
            (None, true) => Ok((SslMode::VerifyFull, sslrootcert)),
            (Some(mode), true) if mode != SslMode::VerifyFull => {
                Err("`sslrootcert=system` goes with sslmode=verify-full only, as in libpq".to_owned())
            }
            (mode, _) => Ok((mode.unwrap_or(SslMode::Prefer), sslrootcert)),
        }
    }

    /// JDBC's, node-postgres' and asyncpg's `ssl=`. To pgjdbc and R2DBC `true` is verify-full and `false` is not
    /// given; to libpq and the others it is require.
    fn mode_of_ssl(&self, ssl: &str) -> Result<SslMode, String> {
        let is_java = !self.is_libpqs();
        match ssl.to_ascii_lowercase().as_str() {
            "true" | "1" | "" if is_java => Ok(SslMode::VerifyFull),
            "true" | "1" | "on" | "yes" | "" => Ok(SslMode::Require),
            "false" | "0" if is_java => Ok(SslMode::Prefer),
            "false" | "0" | "off" | "no" => Ok(SslMode::Disable),
            mode => one_of(&SslMode::ALL, "`ssl`", mode),
        }
    }

    /// The ways that `a,b` allows, or `!a,!b`; not both.
    fn require_auth(&self) -> Result<Option<Vec<AuthMethod>>, String> {
        let Some((list, from)) = self.text("require_auth")? else { return Ok(None) };
        let is_negated = list.starts_with('!');
        let named = list
            .split(',')
            .map(|method| match (method.strip_prefix('!'), is_negated) {
                (Some(method), true) => one_of(&AuthMethod::ALL, &from, method),
                (None, false) => one_of(&AuthMethod::ALL, &from, method),
                _ => Err(format!("{from}: methods with and without `!` cannot be mixed")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let all = AuthMethod::ALL.into_iter().map(|(_, method)| method);
        Ok(Some(all.filter(|method| named.contains(method) != is_negated).collect()))
    }

    fn session_attrs(&self) -> Result<Option<SessionAttrs>, String> {
        let Some((value, from)) = self.text("target_session_attrs")? else { return Ok(None) };
        // pgjdbc reads its values in any case.
        let is_lenient = self.dialect != Dialect::Plain;
        let found = SessionAttrs::ALL.iter().find(|(name, _)| is_lenient && name.eq_ignore_ascii_case(&value));
        found.map_or_else(|| one_of(&SessionAttrs::ALL, &from, &value), |(_, attrs)| Ok(*attrs))
    }

    /// Whole seconds; 0 and less are none at all.
    fn connect_timeout(&self) -> Result<Option<Duration>, String> {
        let Some((value, from)) = self.text("connect_timeout")? else { return Ok(None) };
        if let Ok(seconds) = value.trim().parse::<i64>() {
            return Ok(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs));
        }
        let parsed = duration::parse(value.trim());
        parsed
            .map(|duration| Some(duration).filter(|duration| !duration.is_zero()))
            .map_err(|_| format!("the value of {from} is not a number of seconds"))
    }
}

fn not_implemented(what: &str) -> String {
    format!("{what} is not implemented, and not ignored because it is about security")
}
