//! The hosts of a target, from libpq's `host`, `hostaddr` and `port`, each a list.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use crate::net::{Address, Place};
use crate::targets::postgres::settings::Settings;
use crate::targets::shared::url;

/// libpq's default port.
pub(crate) const DEFAULT_PORT: u16 = 5432;
/// Debian's socket directory, libpq's default host there.
const DEFAULT_SOCKET_DIR: &str = "/var/run/postgresql";

/// A server: where to connect, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// The host as it was written, for TLS and the password file; the directory of a socket.
    pub(crate) name: String,
    /// Where to connect.
    pub(crate) place: Place,
    /// The port, which also numbers the socket.
    pub(crate) port: u16,
}

impl Host {
    /// At an IP address; `name` is for TLS and the password file.
    fn at_address(name: &str, address: &str, port: u16) -> Result<Self, String> {
        let is_address = address.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok());
        if !is_address {
            return Err("the value of `hostaddr` is not an IP address; a name goes into the host's place".to_owned());
        }
        Ok(Self::tcp(name, address, port))
    }

    /// By its name, which may be an address, the directory of a socket, or bring a port.
    fn named(name: &str, port: u16) -> Result<Self, String> {
        if name.starts_with('/') {
            return Ok(Self::socket(name.trim_end_matches('/'), port));
        }
        if name.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) {
            return Ok(Self::tcp(name, name, port));
        }
        // SQLAlchemy: `?host=A:5432&host=B:5433`
        let (name, port) = match url::host_and_port_text(name)? {
            (name, Some(own)) if !own.is_empty() => (name, url::parse_port(own)?),
            (name, _) => (name, port),
        };
        Ok(Self::tcp(&name, &name, port))
    }

    fn tcp(name: &str, address: &str, port: u16) -> Self {
        Self { name: name.to_owned(), place: Place::Tcp(Address { host: address.to_owned(), port }), port }
    }

    /// A socket by its own path, as pg8000 and junixsocket have it.
    fn socket_at(path: &str, port: u16) -> Self {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        Self { name: directory.to_owned(), place: Place::Unix(PathBuf::from(path)), port }
    }

    /// A server's socket in `directory` ("Connection Settings" in the PostgreSQL manual).
    fn socket(directory: &str, port: u16) -> Self {
        if directory.contains("/.s.PGSQL.") {
            // asyncpg's, which takes the socket too.
            return Self::socket_at(directory, port);
        }
        let path = PathBuf::from(format!("{directory}/.s.PGSQL.{port}"));
        Self { name: directory.to_owned(), place: Place::Unix(path), port }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl Settings<'_, '_> {
    /// The hosts, in order ("Specifying Multiple Hosts" in libpq's manual).
    pub(super) fn hosts(&self) -> Result<Vec<Host>, String> {
        let (names, addresses, ports) = (self.value("host")?, self.value("hostaddr")?, self.text("port")?);
        // A port that is not used may be anything.
        if let Some(socket) = self.value("unix_sock")? {
            return Ok(vec![Host::socket_at(&socket, self.default_port)]);
        }
        let names: Vec<&str> = names.as_deref().map(|list| list.split(',').collect()).unwrap_or_default();
        let addresses: Vec<&str> = addresses.as_deref().map(|list| list.split(',').collect()).unwrap_or_default();
        if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
            return Err(format!("it has {} hosts and {} values of `hostaddr`", names.len(), addresses.len()));
        }
        let count = names.len().max(addresses.len()).max(1);
        let ports = match ports {
            None => vec![self.default_port; count],
            Some((list, from)) => self.ports(&list, count).map_err(|problem| match from.as_str() {
                "PGPORT" => format!("PGPORT: {problem}"),
                _ => problem,
            })?,
        };
        let default_host = if self.is_libpqs() { DEFAULT_SOCKET_DIR } else { "localhost" };
        let host = |(index, port): (usize, u16)| {
            let name = names.get(index).copied().filter(|name| !name.is_empty());
            match addresses.get(index).copied().filter(|address| !address.is_empty()) {
                Some(address) => Host::at_address(name.unwrap_or(address), address, port),
                None => Host::named(name.unwrap_or(default_host), port),
            }
        };
        ports.into_iter().enumerate().map(host).collect()
    }

    /// A port for all, or one for each.
    fn ports(&self, list: &str, count: usize) -> Result<Vec<u16>, String> {
        let port = |text: &str| if text.is_empty() { Ok(self.default_port) } else { url::parse_port(text.trim()) };
        let ports: Vec<u16> = list.split(',').map(port).collect::<Result<_, _>>()?;
        match ports.len() {
            1 => Ok(vec![ports[0]; count]),
            length if length == count => Ok(ports),
            length => Err(format!("it has {count} hosts and {length} ports")),
        }
    }
}
