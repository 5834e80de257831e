//! Redis' URLs, in the forms of redis-cli's `-u`, redis-py, ioredis, go-redis, kombu and Predis.

use crate::net::Place;
use crate::net::tls_settings::{CertificateCheck, Encryption, TargetTls};
use crate::secret::Secret;
use crate::targets::redis::{DEFAULT_PORT, Redis, Sentinel, take_key, take_role};
use crate::targets::shared::kind::Written;
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::targets::shared::url::{self, Percent, Url, Userinfo};
use crate::text::truth;

/// What a URL, or another string, says.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    pub(crate) database: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) master: Option<String>,
    pub(crate) sentinel_user: Option<String>,
    pub(crate) sentinel_password: Option<Secret>,
    pub(crate) tls: TargetTls,
    /// go-redis' `addr=`: further hosts.
    pub(crate) hosts: Vec<String>,
    /// `ssl=true`
    pub(crate) is_tls: bool,
    /// Symfony's `redis_cluster=1`
    is_cluster: bool,
    checks_name: Option<bool>,
}

/// Whether a query has a parameter that only Redis' clients have: a URL of a plain socket with it is Redis.
pub(crate) fn has_parameters(query: &str) -> bool {
    let known = ["db", "database", "password", "username", "virtual_host", "alias"];
    url::raw_pairs(query).any(|(key, value)| value.is_some() && known.contains(&key))
}

impl Parameters {
    /// Reads the userinfo and the query of a URL.
    pub(crate) fn read(userinfo: Option<&str>, query: Option<&str>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let mut found = Self::default();
        for (key, value) in url::raw_pairs(query.unwrap_or_default()) {
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
        if found.checks_name == Some(false) && found.tls.check != Some(CertificateCheck::Nothing) {
            found.tls.check = Some(CertificateCheck::Chain);
        }
        found.take_userinfo(userinfo, reading)?;
        Ok(found)
    }

    /// As redis-py, the userinfo wins over the query. A user with a `:` and no password has an empty one; what is
    /// meant by a word alone, only the server knows.
    fn take_userinfo(&mut self, userinfo: Option<&str>, reading: &mut Reading<'_>) -> Result<(), String> {
        let own = userinfo.map(|userinfo| url::user_and_password(userinfo, Percent::Lenient)).transpose()?;
        let (user, password) = own.unwrap_or_default();
        let is_word = password.is_none() && !user.is_empty();
        let password = password.filter(|password| !password.expose_bytes().is_empty());
        self.user = Some(user).filter(|user| !user.is_empty()).or(self.user.take());
        self.password = password.or(self.password.take()).or_else(|| reading.password_in("REDISCLI_AUTH"));
        if self.user.is_some() && !is_word {
            self.password.get_or_insert_with(|| Secret::new(""));
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: String, reading: &mut Reading<'_>) -> Result<(), String> {
        let is = |value: &str| truth(value) == Some(true);
        match key {
            "db" | "database" | "virtual_host" => self.database = Some(value),
            "username" | "user" => self.user = Some(value),
            "sentinel_username" | "sentinelUsername" => self.sentinel_user = Some(value),
            "service_name" | "serviceName" | "master_name" | "masterName" | "master" | "sentinelMasterId"
            | "sentinel_master_id" | "sentinel_name" | "master_set" | "masterSet" | "redis_sentinel"
            | "sentinel_master" => self.master = Some(value),
            "addr" => self.hosts.push(value),
            "ssl" | "tls" => self.is_tls = is(&value),
            "redis_cluster" => self.is_cluster = is(&value),
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

impl Redis {
    /// A URL, of which `rest` stands behind `://`.
    pub(crate) fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let rest = same_credentials(written.rest);
        let parts = url::split(&rest, Userinfo::UntilSlashOrQuery)?;
        let mut found = Parameters::read(parts.userinfo, parts.query, reading)?;
        let path = parts.path.trim_matches('/');
        if parts.hosts.is_empty() && path.contains('/') {
            return Err("a path in the host's place is a socket: write redis+unix:///path/to/redis.sock".to_owned());
        }
        // Behind the number Rails and Django have a prefix of keys.
        let number = path.split('/').next().filter(|number| !number.is_empty());
        found.database = found.database.or_else(|| number.map(str::to_owned));
        let hosts =
            if parts.hosts.starts_with(':') { format!("localhost{}", parts.hosts) } else { parts.hosts.to_owned() };
        let hosts = if hosts.is_empty() { "localhost".to_owned() } else { hosts };
        let hosts = [vec![hosts], std::mem::take(&mut found.hosts)].concat().join(",");
        found.is_tls |= written.is_tls();
        let says_cluster = written.scheme.name().ends_with("-cluster") || found.is_cluster;
        let places = url::places(&hosts, written.scheme.port.unwrap_or(DEFAULT_PORT))
            .map_err(|problem| url::blame_password(&rest, problem))?;
        let mut redis = Self::assemble(places, found, reading)?;
        redis.cluster |= says_cluster;
        Ok(redis)
    }

    /// A URL of a socket.
    pub(crate) fn from_socket_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let Url { userinfo, hosts, path, query } = url::split(written.rest, Userinfo::UntilSlashOrQuery)?;
        if !matches!(hosts, "" | "localhost") || matches!(path, "" | "/") {
            return Err("its path is not absolute; write redis+unix:///path/to/redis.sock".to_owned());
        }
        // Over a socket there is no TLS, and no sentinel behind it.
        let found = Parameters { is_tls: false, master: None, ..Parameters::read(userinfo, query, reading)? };
        let place = Place::Unix(url::decode(path)?.into());
        Self::assemble(vec![place], found, reading)
    }

    /// A server at `places`, or the one that the sentinels there name, with what the fragment says.
    pub(crate) fn assemble(places: Vec<Place>, found: Parameters, reading: &mut Reading<'_>) -> Result<Self, String> {
        let role = take_role(&mut reading.expectations)?;
        let (key, value) = take_key(&mut reading.expectations)?;
        let cluster = reading.expectations.take_flag("cluster")?;
        let Parameters { user, password, database, master, tls, is_tls, .. } = found;
        let word = user.as_ref().filter(|_| password.is_none()).map(|word| Secret::new(word.as_str()));
        let mut server = Server { user, password, ..Server::at("redis", places) };
        if is_tls {
            server = Server { scheme: "rediss", encryption: Encryption::Always, tls, ..server };
            server.expect(reading)?;
        }
        // go-redis' and StackExchange's way to name sentinels.
        let sentinel = master.map(|master| {
            let places = std::mem::take(&mut server.places);
            Sentinel { places, master: Some(master), user: None, password: None }
        });
        Ok(Self {
            server,
            word,
            sentinel,
            database: number(database.as_deref())?,
            key,
            value,
            hidden: Vec::new(),
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
