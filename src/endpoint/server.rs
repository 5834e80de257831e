//! Servers of which no more is asked than a connection or a TLS handshake.

use std::fmt;

use super::{Address, Place, TargetTls};
use crate::secret::Secret;

/// `tls://HOST:PORT`: a handshake whose certificate verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsServer {
    /// Where it listens.
    pub address: Address,
    /// What the target says about TLS.
    pub tls: TargetTls,
}

/// A server of a well-known kind whose protocol is not spoken here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The scheme that it is shown with.
    pub scheme: &'static str,
    /// What it is called in messages: "a TCP connection; AMQP is not asked".
    pub protocol: &'static str,
    /// The hosts, tried in order until one takes a connection.
    pub places: Vec<Place>,
    /// What the URL holds that may not be shown.
    pub secrets: Vec<Secret>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.places.iter().map(Place::to_string).collect();
        write!(f, "{}://{}", self.scheme, places.join(","))
    }
}
