//! Redis targets, in the forms of redis-cli's `-u` and of the common clients.

use std::fmt;
use std::path::PathBuf;

use super::{Address, Expectations, Place, TargetTls, url};
use crate::secret::Secret;

/// The port that Redis is assigned.
const DEFAULT_PORT: u16 = 6379;

/// A Redis server and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Where it listens; of several nodes, tried in order, one is wanted. Empty where sentinels are asked.
    pub places: Vec<Place>,
    /// The sentinels that name the place.
    pub sentinel: Option<Sentinel>,
    /// How TLS is used, where it is: rediss.
    pub tls: Option<TargetTls>,
    /// The ACL user.
    pub user: Option<String>,
    /// The password, from the URL or `REDISCLI_AUTH`.
    pub password: Option<Secret>,
    /// The database to select.
    pub database: u32,
    /// `key=`: a key that must exist.
    pub key: Option<String>,
    /// `role=`: what the server must be.
    pub role: Option<Role>,
    /// `cluster`: the cluster must be formed.
    pub cluster: bool,
}

/// Sentinels, of which one is asked where the master is (`SENTINEL GET-MASTER-ADDR-BY-NAME`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinel {
    /// The sentinels, tried in order.
    pub places: Vec<Place>,
    /// The name of the master; without, that of the only one which the sentinel watches (`SENTINEL MASTERS`).
    pub master: Option<String>,
    /// The ACL user at the sentinels.
    pub user: Option<String>,
    /// The password at the sentinels.
    pub password: Option<Secret>,
    /// How TLS is used with the sentinels, where it is.
    pub tls: Option<TargetTls>,
}

/// The role that the ROLE command tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A master.
    Master,
    /// A replica whose link to its master is up.
    Replica,
}

impl Redis {
    pub(super) fn parse(
        url: &str,
        expectations: &mut Expectations,
        ignored: &mut Vec<String>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let parts = url::split(url, false)?;
        let scheme = parts.scheme.to_ascii_lowercase();
        if parts.path.contains('@') {
            return Err("a `/` or `#` in a user name or password is written %2F or %23".to_owned());
        }
        let (user, mut password) = parts.userinfo.map(url::user_and_password).transpose()?.unwrap_or_default();
        let mut user = Some(user).filter(|user| !user.is_empty());
        let mut database = None;
        for pair in url::pairs(parts.query.unwrap_or_default()) {
            let (key, value) = pair?;
            match (key.as_str(), value) {
                ("db" | "database", Some(value)) => database = Some(value),
                ("password", Some(value)) => password = Some(value),
                ("username" | "user", Some(value)) => user = Some(value),
                (_, _) => ignored.push(key),
            }
        }
        let path = parts.path.strip_prefix('/').unwrap_or(parts.path);
        let place = if scheme == "redis+unix" {
            if !parts.hosts.is_empty() || path.is_empty() {
                return Err("its path is not absolute; write redis+unix:///path/to/redis.sock".to_owned());
            }
            Place::Unix(PathBuf::from(url::decode(parts.path)?))
        } else {
            if !path.is_empty() {
                database = Some(url::decode(path)?);
            }
            let (host, port) = url::host_and_port(parts.hosts)?;
            Place::Tcp(Address { host, port: port.unwrap_or(DEFAULT_PORT) })
        };
        let database = match database {
            Some(text) => {
                text.parse().map_err(|_| "its database is not a number, like redis://host:6379/0".to_owned())?
            }
            None => 0,
        };
        let role = match expectations.take("role")?.as_deref() {
            None => None,
            Some("master") => Some(Role::Master),
            Some("replica" | "slave") => Some(Role::Replica),
            Some(other) => return Err(format!("`role=`: `{}` is neither master nor replica", super::truncated(other))),
        };
        Ok(Self {
            places: vec![place],
            sentinel: None,
            tls: (scheme == "rediss").then(TargetTls::default),
            user,
            password: password
                .or_else(|| env("REDISCLI_AUTH"))
                .filter(|password| !password.is_empty())
                .map(Secret::new),
            database,
            key: expectations.take("key")?,
            role,
            cluster: expectations.take_flag("cluster")?,
        })
    }
}

impl Redis {
    /// What must not be shown.
    pub(super) fn secrets(&self) -> Vec<&Secret> {
        let sentinel = self.sentinel.iter().flat_map(|sentinel| &sentinel.password);
        self.password.iter().chain(sentinel).collect()
    }

    /// Whether a probe of it needs TLS for certain.
    pub(super) fn requires_tls(&self) -> bool {
        self.tls.is_some() || self.sentinel.as_ref().is_some_and(|sentinel| sentinel.tls.is_some())
    }
}

impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |places: &[Place]| places.iter().map(Place::to_string).collect::<Vec<_>>().join(",");
        let s = if self.tls.is_some() { "s" } else { "" };
        let database = |f: &mut fmt::Formatter<'_>, sign: &str| match self.database {
            0 => Ok(()),
            database => write!(f, "{sign}{database}"),
        };
        if let Some(sentinel) = &self.sentinel {
            let s = if sentinel.tls.is_some() { "s" } else { s };
            write!(f, "redis{s}+sentinel://{}", list(&sentinel.places))?;
            if let Some(master) = &sentinel.master {
                write!(f, "/{master}")?;
            }
            return database(f, "/");
        }
        match self.places.as_slice() {
            [Place::Unix(path)] => {
                write!(f, "redis+unix://{}", path.display())?;
                database(f, "?db=")
            }
            places => {
                write!(f, "redis{s}://{}", list(places))?;
                database(f, "/")
            }
        }
    }
}
