//! Redis targets, in the forms of redis-cli's `-u` and of the common clients.

mod sentinel;
mod stackexchange;
mod uri;

use std::fmt;

use super::{Expectations, Place, TargetTls, shown};
use crate::secret::Secret;

pub(super) use stackexchange::is_stackexchange;
pub(super) use uri::has_parameters;

/// The port that Redis is assigned.
const DEFAULT_PORT: u16 = 6379;
/// The port of its sentinels.
const SENTINEL_PORT: u16 = 26379;

/// A Redis server and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Where it listens; of several nodes, tried in order, one is wanted. Empty where sentinels are asked.
    pub places: Vec<Place>,
    /// The sentinels that name the place.
    pub sentinel: Option<Sentinel>,
    /// How TLS is used, where it is: rediss.
    pub tls: Option<TargetTls>,
    /// The ACL user; one without a password may be a password itself (`redis://PASSWORD@host`).
    pub user: Option<String>,
    /// The same, where it may be a password.
    word: Option<Secret>,
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

/// What the fragment expects of a server.
struct Expected {
    key: Option<String>,
    role: Option<Role>,
    cluster: bool,
}

impl Expected {
    fn take(expectations: &mut Expectations) -> Result<Self, String> {
        let role = match expectations.take("role")?.as_deref() {
            None => None,
            Some("master") => Some(Role::Master),
            Some("replica" | "slave") => Some(Role::Replica),
            Some(_) => return Err("the value of `role` is neither master nor replica".to_owned()),
        };
        Ok(Self { key: expectations.take("key")?, role, cluster: expectations.take_flag("cluster")? })
    }
}

impl Redis {
    /// What must not be shown.
    pub(super) fn secrets(&self) -> Vec<&Secret> {
        let sentinel = self.sentinel.iter().flat_map(|sentinel| &sentinel.password);
        self.password.iter().chain(&self.word).chain(sentinel).collect()
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
                write!(f, "/{}", shown::clean(master))?;
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
