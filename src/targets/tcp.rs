//! TCP and Unix sockets: an established connection, or a TLS handshake, is all that is asked for.
//!
//! A connection that the peer closes at once, without a byte, counts as well, as it does for the kubelet's
//! `tcpSocket` and for `nc -z`. Measured on loopback with nothing behind them, a proxy closed after 0.07 ms in
//! the median and 0.25 ms at most (docker-proxy), 0.66 ms and 61 ms (stunnel), 0.66 ms and 16 ms (socat), 3 s
//! (haproxy without checks). A look that waits for less proves nothing, for attempts go on and one that is not
//! seen closing is enough; one that waits for more would hold up every server that speaks second (Postgres,
//! Redis, HTTP, memcached), in a wait that takes 1 ms in all. What shall prove more than the port asks in the
//! service's own protocol.

use std::fmt;

use crate::net::tls::Tls;
use crate::net::{self, Address, Attempt, Place};
use crate::targets::redis::{self, Redis};
use crate::targets::shared::kind::{Form, Probe, Scheme, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::url::SEPARATE;
use crate::targets::shared::url::{self, Userinfo};
use crate::wait::outcome::{Outcome, Ready};
use crate::wait::policy::Goal;

/// By TCP, and to a Unix socket.
pub(crate) static KINDS: &[TargetKind] = &[
    TargetKind {
        schemes: &[Scheme::new(&["tcp"])],
        forms: &[Form { url: "HOST:PORT, tcp://HOST:PORT", ready: "a connection is established", keys: &[] }],
        read: read_tcp,
        ..TargetKind::USUAL
    },
    TargetKind {
        schemes: &[Scheme::new(&["unix"])],
        forms: &[Form { url: "unix:///PATH", ready: "the same, to a socket", keys: &[] }],
        names_a_path: true,
        read: read_unix,
        ..TargetKind::USUAL
    },
];

/// A place that must take a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tcp {
    /// Where it listens.
    pub(crate) place: Place,
}

impl Tcp {
    /// A connection by TCP.
    pub(crate) fn to(address: Address) -> Self {
        Self { place: Place::Tcp(address) }
    }
}

impl Probe for Tcp {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn run(&self, _: Goal, _: &Tls, attempt: &Attempt) -> Outcome {
        let connection = net::reach(&self.place, attempt)?;
        Ok(Ready::new(match self.place {
            Place::Tcp(_) => format!("connected to {}", connection.peer()),
            Place::Unix(_) => "connected".to_owned(),
        }))
    }

    fn only_place(&self) -> Option<Place> {
        Some(self.place.clone())
    }

    fn wants_a_conversation(&self) -> bool {
        false
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(address) => write!(f, "tcp://{address}"),
            Place::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// With Redis' parameters in the query it is Predis'.
fn read_tcp(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Box<dyn Probe>, String> {
    let parts = url::split(written.rest, Userinfo::UntilSlashOrQuery)?;
    if parts.query.is_some_and(redis::has_parameters) && matches!(parts.path, "" | "/") {
        return Ok(Box::new(Redis::from_url(written, reading)?));
    }
    if parts.userinfo.is_some() || !matches!(parts.path, "" | "/") || parts.query.is_some() {
        return Err("a tcp target is tcp://HOST:PORT and nothing more".to_owned());
    }
    if parts.hosts.contains([',', ';']) {
        return Err(SEPARATE.to_owned());
    }
    let (host, port) = url::host_and_port(parts.hosts)?;
    let port = port.ok_or("it has no port; write tcp://HOST:PORT")?;
    Ok(Box::new(Tcp::to(Address { host, port })))
}

/// With Redis' parameters or with credentials it is redis-py's.
fn read_unix(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Box<dyn Probe>, String> {
    let (path, query) = written.rest.split_once('?').unwrap_or((written.rest, ""));
    let has_credentials = path.split('/').next().is_some_and(|authority| authority.contains('@'));
    if redis::has_parameters(query) || has_credentials {
        return Ok(Box::new(Redis::from_socket_url(written, reading)?));
    }
    Ok(Box::new(Tcp { place: Place::Unix(url::path_of(written.rest, "unix:///run/app.sock")?) }))
}
