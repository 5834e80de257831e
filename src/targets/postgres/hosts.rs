//! The hosts of a target, from libpq's `host`, `hostaddr` and `port`, each a list.

use std::net::IpAddr;

use crate::targets::postgres::Host;
use crate::targets::shared::url;

/// libpq's default port.
pub(crate) const DEFAULT_PORT: u16 = 5432;

/// The three lists, and what stands for what they leave out.
pub(crate) struct Lists<'a> {
    pub(crate) hosts: Option<&'a str>,
    pub(crate) addresses: Option<&'a str>,
    pub(crate) ports: Option<&'a str>,
    pub(crate) default_host: &'a str,
    pub(crate) default_port: u16,
}

impl Lists<'_> {
    /// The hosts, in order ("Specifying Multiple Hosts" in libpq's manual).
    pub(crate) fn hosts(&self) -> Result<Vec<Host>, String> {
        let names: Vec<&str> = self.hosts.map(|list| list.split(',').collect()).unwrap_or_default();
        let addresses: Vec<&str> = self.addresses.map(|list| list.split(',').collect()).unwrap_or_default();
        if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
            return Err(format!("it has {} hosts and {} values of `hostaddr`", names.len(), addresses.len()));
        }
        let count = names.len().max(addresses.len()).max(1);
        let ports = self.ports(count)?;
        (0..count)
            .map(|index| {
                let name = names.get(index).copied().filter(|name| !name.is_empty());
                let address = addresses.get(index).copied().filter(|address| !address.is_empty());
                self.host(name, address, ports[index])
            })
            .collect()
    }

    /// A port for all, or one for each.
    fn ports(&self, count: usize) -> Result<Vec<u16>, String> {
        let port = |text: &str| if text.is_empty() { Ok(self.default_port) } else { url::parse_port(text.trim()) };
        let ports: Vec<u16> = match self.ports {
            None => vec![self.default_port],
            Some(list) => list.split(',').map(port).collect::<Result<_, _>>()?,
        };
        match ports.len() {
            1 => Ok(vec![ports[0]; count]),
            length if length == count => Ok(ports),
            length => Err(format!("it has {count} hosts and {length} ports")),
        }
    }

    fn host(&self, name: Option<&str>, address: Option<&str>, port: u16) -> Result<Host, String> {
        if let Some(address) = address {
            let is_address = address.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok());
            if !is_address {
                return Err(
                    "the value of `hostaddr` is not an IP address; a name goes into the host's place".to_owned()
                );
            }
            return Ok(Host::tcp(name.unwrap_or(address), address, port));
        }
        let name = name.unwrap_or(self.default_host);
        if name.starts_with('/') {
            return Ok(Host::socket(name.trim_end_matches('/'), port));
        }
        let is_ipv6 = |text: &str| text.split('%').next().is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
        if is_ipv6(name) {
            return Ok(Host::tcp(name, name, port));
        }
        // SQLAlchemy: `?host=A:5432&host=B:5433`
        let (name, port) = match url::host_and_port_text(name)? {
            (name, Some(own)) if !own.is_empty() => (name, url::parse_port(own)?),
            (name, _) => (name, port),
        };
        Ok(Host::tcp(&name, &name, port))
    }
}
