//! Redis' URLs, in the forms of redis-cli's `-u`, redis-py, ioredis, go-redis, kombu and Predis.

use super::{DEFAULT_PORT, Expected, Redis};
use crate::endpoint::schemes::{Found, Layer};
use crate::endpoint::url::{self, Percent, Url, Userinfo};
use crate::endpoint::variables::doubt_about;
use crate::endpoint::{CertificateCheck, Place, Reading, TargetTls};
use crate::secret::Secret;

/// What the query says.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) master: Option<String>,
    pub(super) sentinel_user: Option<String>,
    pub(super) sentinel_password: Option<Secret>,
    pub(super) tls: TargetTls,
    /// `ssl=true`
    pub(super) is_tls: bool,
    checks_name: Option<bool>,
}

/// Whether a query has a parameter that only Redis' clients have: a URL of a plain socket with it is Redis.
pub(in crate::endpoint) fn has_parameters(query: &str) -> bool {
    let known = ["db", "database", "password", "username", "virtual_host"];
    url::raw_pairs(query).any(|(key, value)| value.is_some() && known.contains(&key))
}

impl Parameters {
    pub(super) fn read(query: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let mut found = Self::default();
        for (key, value) in url::raw_pairs(query) {
            let key = url::decode_as(key, Percent::Lenient)?;
            let secret = Secret::new(url::decode_bytes(value.unwrap_or_default(), Percent::Lenient)?);
            // As redis-py: an empty value counts for nothing.
            if secret.expose_bytes().is_empty() {
                reading.ignored.add(&key);
                continue;
            }
            match key.as_str() {
                "password" => found.password = Some(secret),
                "sentinel_password" | "sentinelPassword" => found.sentinel_password = Some(secret),
                _ => {
                    let text = std::str::from_utf8(secret.expose_bytes());
                    let text = text.map_err(|_| "a value of its query is not UTF-8".to_owned())?.to_owned();
                    found.set(&key, text, reading)?;
                }
            }
        }
        match found.checks_name {
            Some(false) if matches!(found.tls.check, None | Some(CertificateCheck::ChainAndName)) => {
                found.tls.check = Some(CertificateCheck::Chain);
            }
            _ => {}
        }
        Ok(found)
    }

    fn set(&mut self, key: &str, value: String, reading: &mut Reading<'_>) -> Result<(), String> {
        let is = |value: &str| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on");
        match key {
            "db" | "database" | "virtual_host" => self.database = Some(value),
            "username" | "user" => self.user = Some(value),
            "sentinel_username" | "sentinelUsername" => self.sentinel_user = Some(value),
            "service_name" | "serviceName" | "master_name" | "masterName" | "master" | "sentinelMasterId"
            | "sentinel_master_id" | "sentinel_name" | "master_set" | "masterSet" => self.master = Some(value),
            "ssl" | "tls" => self.is_tls = is(&value),
            "ssl_cert_reqs" => self.tls.check = Some(cert_reqs(&value)?),
            "ssl_ca_certs" => self.tls.ca = Some(value.into()),
            "ssl_certfile" => self.tls.cert = Some(value.into()),
            "ssl_keyfile" => self.tls.key = Some(value.into()),
            "ssl_check_hostname" => self.checks_name = Some(is(&value)),
            // go-redis, lettuce
            "skip_verify" if is(&value) => self.tls.check = Some(CertificateCheck::Nothing),
            "verifyPeer" | "verify_peer" => match value.to_ascii_lowercase().as_str() {
                "none" | "false" | "0" => self.tls.check = Some(CertificateCheck::Nothing),
                "ca" => self.tls.check = Some(CertificateCheck::Chain),
                _ => self.tls.check = Some(CertificateCheck::ChainAndName),
            },
            "ssl_validate_ocsp" | "ssl_validate_ocsp_stapled" if is(&value) => {
                return Err(format!("`{key}` is not implemented, and not ignored because it is about security"));
            }
            "ssl_ca_path" | "ssl_ca_data" => {
                return Err(format!("`{key}` is not implemented: give the CA as a file, `ssl_ca_certs`"));
            }
            _ => reading.ignored.add(key),
        }
        Ok(())
    }
}

/// redis-py's, kombu's and Python's own words.
fn cert_reqs(value: &str) -> Result<CertificateCheck, String> {
    match value.to_ascii_lowercase().trim_start_matches("ssl.").trim_start_matches("cert_") {
        "none" | "0" => Ok(CertificateCheck::Nothing),
        // A server always has a certificate to verify.
        "optional" | "required" | "1" | "2" => Ok(CertificateCheck::ChainAndName),
        _ => Err("the value of `ssl_cert_reqs` is not one of none, optional, required".to_owned()),
    }
}

/// The user and the password of AUTH.
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

impl Credentials {
    /// As redis-py, the userinfo wins over the query. A user with a `:` and no password has an empty one; what is
    /// meant by a word alone, only the server knows.
    pub(super) fn of(
        userinfo: Option<&str>,
        found: &mut Parameters,
        reading: &mut Reading<'_>,
    ) -> Result<Self, String> {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let own = userinfo.map(|userinfo| url::user_and_password(userinfo, Percent::Lenient)).transpose()?;
        let (user, password) = match own {
            Some((user, password)) => (some(user), password),
            None => (None, None),
        };
        let is_word = password.is_none() && user.is_some();
        let password = password.filter(|password| !password.expose_bytes().is_empty());
        let user = user.or(found.user.take());
        let password = password.or(found.password.take()).or_else(|| {
            let value = reading.lookup.bytes("REDISCLI_AUTH").filter(|value| !value.is_empty())?;
            reading.doubts.extend(doubt_about(&value, "REDISCLI_AUTH"));
            Some(Secret::new(value))
        });
        let password = password.or_else(|| (user.is_some() && !is_word).then(|| Secret::new("")));
        Ok(Self { user, password })
    }
}

impl Redis {
    /// A URL, of which `rest` stands behind `://`.
    pub(in crate::endpoint) fn from_url(found: Found, rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let rest = same_credentials(rest);
        let parts = url::split(&rest, Userinfo::UntilSlashOrQuery).map_err(slash)?;
        let mut parameters = Parameters::read(parts.query.unwrap_or_default(), reading)?;
        let credentials = Credentials::of(parts.userinfo, &mut parameters, reading)?;
        let database = parameters.database.take();
        let path = parts.path.trim_matches('/');
        if parts.hosts.is_empty() && path.contains('/') {
            return Err("a path in the host's place is a socket: write redis+unix:///path/to/redis.sock".to_owned());
        }
        let database = database.or_else(|| Some(path.to_owned()).filter(|path| !path.is_empty()));
        let hosts =
            if parts.hosts.starts_with(':') { format!("localhost{}", parts.hosts) } else { parts.hosts.to_owned() };
        let hosts = if hosts.is_empty() { "localhost" } else { &hosts };
        let is_tls = found.scheme.layer == Layer::Tls || parameters.is_tls;
        Self::assemble(
            url::places(hosts, found.scheme.port.unwrap_or(DEFAULT_PORT))?,
            credentials,
            database.as_deref(),
            is_tls.then_some(parameters.tls),
            reading,
        )
    }

    /// A URL of a socket.
    pub(in crate::endpoint) fn from_socket_url(rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let Url { userinfo, hosts, path, query } = url::split(rest, Userinfo::UntilSlashOrQuery).map_err(slash)?;
        if !matches!(hosts, "" | "localhost") || matches!(path, "" | "/") {
            return Err("its path is not absolute; write redis+unix:///path/to/redis.sock".to_owned());
        }
        let mut parameters = Parameters::read(query.unwrap_or_default(), reading)?;
        let credentials = Credentials::of(userinfo, &mut parameters, reading)?;
        let place = Place::Unix(url::decode(path)?.into());
        Self::assemble(vec![place], credentials, parameters.database.as_deref(), None, reading)
    }

    pub(super) fn assemble(
        places: Vec<Place>,
        credentials: Credentials,
        database: Option<&str>,
        tls: Option<TargetTls>,
        reading: &mut Reading<'_>,
    ) -> Result<Self, String> {
        let Expected { key, role, cluster } = Expected::take(&mut reading.expectations)?;
        Ok(Self {
            places,
            sentinel: None,
            tls: tls.map(|tls| tls.take(&mut reading.expectations)).transpose()?,
            word: credentials
                .user
                .as_ref()
                .filter(|_| credentials.password.is_none())
                .map(|word| Secret::new(word.as_str())),
            user: credentials.user,
            password: credentials.password,
            database: number(database)?,
            key,
            role,
            cluster,
        })
    }
}

/// The number of a database; none is 0.
fn number(text: Option<&str>) -> Result<u32, String> {
    let Some(text) = text else { return Ok(0) };
    let number = url::decode_as(text, Percent::Lenient)?
        .trim()
        .parse::<u32>()
        .ok()
        .filter(|number| i32::try_from(*number).is_ok());
    number.ok_or_else(|| "its database is not a number, like redis://HOST:6379/0".to_owned())
}

fn slash(_: String) -> String {
    "a `/`, `?` or `#` in a user name or password is written %2F, %3F or %23".to_owned()
}

/// `u:p@h1,u:p@h2` as `u:p@h1,h2`.
fn same_credentials(rest: &str) -> String {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let hosts: Option<Vec<(&str, &str)>> = authority.split(',').map(|host| host.rsplit_once('@')).collect();
    match hosts.as_deref() {
        Some([(first, _), others @ ..])
            if !others.is_empty() && others.iter().all(|(userinfo, _)| userinfo == first) =>
        {
            let hosts: Vec<&str> = hosts.iter().flatten().map(|(_, host)| *host).collect();
            format!("{first}@{}{tail}", hosts.join(","))
        }
        _ => rest.to_owned(),
    }
}
