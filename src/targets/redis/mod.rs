//! Redis targets, in the forms of redis-cli's `-u` and of the common clients.

mod errors;
mod expectations;
pub(crate) mod probe;
pub(crate) mod resp;
mod sentinel;
mod sentinel_url;
mod session;
mod stackexchange;
mod url;

use std::fmt;

use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::net::{Attempt, Place};
use crate::secret::Secret;
use crate::targets::shared::expectations::Expectations;
use crate::targets::shared::kind::{Form, Key, Probe, Scheme, TargetKind};
use crate::targets::shared::server::{Server, shown};
use crate::targets::shared::url::decode;
use crate::text::harmless;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

pub(crate) use stackexchange::is_stackexchange;
pub(crate) use url::has_parameters;

/// Redis and what speaks its protocol: by TCP, at a Unix socket, and by its sentinels.
pub(crate) static KINDS: &[TargetKind] = &[
    TargetKind {
        schemes: &[
            Scheme::new(&[
                "redis",
                "valkey",
                "ioredis",
                "bullmq",
                "bull",
                "keydb",
                "dragonfly",
                "rediscache",
                "hiredis",
            ])
            .port(DEFAULT_PORT),
            Scheme::new(&["redis-cluster", "redis+cluster", "valkey-cluster", "valkey+cluster"]).port(DEFAULT_PORT),
            Scheme::new(&[
                "rediss",
                "valkeys",
                "redis+tls",
                "redis+ssl",
                "redis-tls",
                "redis-ssl",
                "valkey+tls",
                "valkey+ssl",
                "rediss-socket",
            ])
            .port(DEFAULT_PORT)
            .tls(),
            Scheme::new(&["rediss-cluster", "rediss+cluster", "valkeys-cluster"]).port(DEFAULT_PORT).tls(),
        ],
        forms: &[Form {
            url: "redis://..., rediss://...",
            ready: "PONG",
            keys: &[
                Key::new("key=NAME[=VALUE]", "the key exists, or holds exactly this text"),
                Key::new("role=master|replica", "the role of the server"),
                Key::new("cluster", "the whole cluster is up, as redis-cluster:// says too"),
            ],
        }],
        other_ports: &[(16379, "a cluster's nodes, not of their clients")],
        takes_driver: true,
        read: |written, reading| Ok(Box::new(Redis::from_url(written, reading)?)),
        ..TargetKind::USUAL
    },
    TargetKind {
        schemes: &[Scheme::new(&[
            "redis+unix",
            "redis+socket",
            "redis-socket",
            "redis-unix",
            "redis+uds",
            "unix+redis",
            "valkey+unix",
            "valkey+socket",
            "valkey-socket",
        ])],
        forms: &[Form { url: "redis+unix:///PATH", ready: "the same, to a socket", keys: &[] }],
        names_a_path: true,
        read: |written, reading| Ok(Box::new(Redis::from_socket_url(written, reading)?)),
        ..TargetKind::USUAL
    },
    TargetKind {
        schemes: &[
            Scheme::new(&[
                "redis+sentinel",
                "redis-sentinel",
                "sentinel",
                "valkey+sentinel",
                "valkey-sentinel",
                "redis+sentinel+srv",
            ])
            .port(SENTINEL_PORT),
            Scheme::new(&["rediss+sentinel", "rediss-sentinel", "sentinels", "redis-sentinels", "valkeys+sentinel"])
                .port(SENTINEL_PORT)
                .tls(),
        ],
        forms: &[Form {
            url: "redis+sentinel://HOST/MASTER, rediss+sentinel://...",
            ready: "the same, of the master that the sentinels name",
            keys: &[],
        }],
        // lettuce has the master's name there.
        bare_fragment: true,
        read: |written, reading| Ok(Box::new(Redis::from_sentinel_url(written, reading)?)),
        ..TargetKind::USUAL
    },
];

/// The port that Redis is assigned.
const DEFAULT_PORT: u16 = 6379;
/// The port of its sentinels.
const SENTINEL_PORT: u16 = 26379;

/// A Redis server and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redis {
    /// Where it listens, and who logs in. Of several nodes one is wanted; there is none where sentinels are asked. An
    /// ACL user without a password may be a password itself (`redis://PASSWORD@host`).
    pub(crate) server: Server,
    /// The user, where it may be a password.
    word: Option<Secret>,
    /// The sentinels that name the place.
    pub(crate) sentinel: Option<Sentinel>,
    /// The database to select.
    pub(crate) database: u32,
    /// `key=`: a key that must exist.
    pub(crate) key: Option<String>,
    /// `key=NAME=VALUE`: the text that it must hold.
    pub(crate) value: Option<String>,
    /// The two, where a variable contributed to them: the server repeats them in its errors.
    hidden: Vec<Secret>,
    /// `role=`: what the server must be.
    role: Option<Role>,
    /// `cluster`: the cluster must be formed.
    pub(crate) cluster: bool,
}

/// Sentinels, of which one is asked where the master is (`SENTINEL GET-MASTER-ADDR-BY-NAME`): over TLS where that uses
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sentinel {
    /// The sentinels, tried in order.
    pub(crate) places: Vec<Place>,
    /// The name of the master; without, that of the only one which the sentinel watches (`SENTINEL MASTERS`).
    pub(crate) master: Option<String>,
    /// The ACL user at the sentinels.
    pub(crate) user: Option<String>,
    /// The password at the sentinels.
    pub(crate) password: Option<Secret>,
}

/// The role that the ROLE command tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A master.
    Master,
    /// A replica whose link to its master is up.
    Replica,
}

/// Takes `role=`.
fn take_role(expectations: &mut Expectations) -> Result<Option<Role>, String> {
    match expectations.take("role")?.as_deref() {
        None => Ok(None),
        Some("master") => Ok(Some(Role::Master)),
        Some("replica" | "slave") => Ok(Some(Role::Replica)),
        Some(_) => Err("the value of `role` is neither master nor replica".to_owned()),
    }
}

/// Takes `key=NAME` or `key=NAME=VALUE`. A `=` within the name is encoded.
fn take_key(expectations: &mut Expectations) -> Result<(Option<String>, Option<String>), String> {
    let Some(written) = expectations.take_raw_once("key")? else { return Ok((None, None)) };
    let (key, value) = written.split_once('=').map_or((&*written, None), |(key, value)| (key, Some(value)));
    Ok((Some(decode(key)?), value.map(decode).transpose()?))
}

impl Redis {
    /// The role that the server must have. What a sentinel calls the master may be a replica by now: then its word was
    /// old.
    fn wanted_role(&self) -> Option<Role> {
        self.role.or(self.sentinel.is_some().then_some(Role::Master))
    }
}

impl Probe for Redis {
    /// A word that stands alone may be a password.
    fn names(&self) -> Vec<String> {
        self.server.user.clone().filter(|_| self.server.password.is_some()).into_iter().collect()
    }

    fn is_led_by_peers(&self) -> bool {
        self.sentinel.is_some() || self.key.is_some() || self.cluster
    }

    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        probe::probe(self, goal, tls, attempt)
    }

    fn knows_tls_keys(&self) -> bool {
        self.server.encryption == Encryption::Always
    }

    fn secrets(&self) -> Vec<&Secret> {
        let sentinel = self.sentinel.iter().flat_map(|sentinel| &sentinel.password);
        self.server.password.iter().chain(&self.word).chain(sentinel).chain(&self.hidden).collect()
    }

    fn hide_expected(&mut self, is_written: &dyn Fn(&str) -> bool) {
        let contributed = self.key.iter().chain(&self.value).filter(|part| !is_written(part));
        self.hidden = contributed.map(|part| Secret::new(part.as_str())).collect();
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.server.scheme;
        let database = |f: &mut fmt::Formatter<'_>, sign: &str| match self.database {
            0 => Ok(()),
            database => write!(f, "{sign}{database}"),
        };
        if let Some(sentinel) = &self.sentinel {
            write!(f, "{scheme}+sentinel://{}", shown(&sentinel.places))?;
            if let Some(master) = &sentinel.master {
                write!(f, "/{}", harmless(master))?;
            }
            return database(f, "/");
        }
        match self.server.places.as_slice() {
            [Place::Unix(path)] => {
                write!(f, "redis+unix://{}", path.display())?;
                database(f, "?db=")
            }
            places => {
                write!(f, "{scheme}://{}", shown(places))?;
                database(f, "/")
            }
        }
    }
}
