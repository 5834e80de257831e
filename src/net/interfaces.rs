//! Network interfaces, and addresses with the zones that they name (RFC 4007, section 11).

use std::net::{Ipv6Addr, SocketAddr};

use nix::errno::Errno;
use nix::net::if_::{if_indextoname, if_nametoindex};

/// The number of a network interface.
pub(super) fn interface(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// The zone of an address, where it names an interface that is not here, or not yet.
pub(super) fn missing_zone(host: &str) -> Option<&str> {
    let (address, zone) = host.split_once('%').filter(|(_, zone)| !zone.is_empty())?;
    address.parse::<Ipv6Addr>().ok()?;
    // The second is BSD's and macOS'.
    matches!(if_nametoindex(zone), Err(Errno::ENODEV | Errno::ENXIO)).then_some(zone)
}

/// An address as people write it: a zone is the name of an interface, where there is one of that number.
pub(super) fn address_text(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            let name = if_indextoname(v6.scope_id()).ok().and_then(|name| name.into_string().ok());
            // nix 0.32 gives an empty name where there is none.
            let zone = name.filter(|name| !name.is_empty()).unwrap_or_else(|| v6.scope_id().to_string());
            format!("[{}%{zone}]:{}", v6.ip(), v6.port())
        }
        address => address.to_string(),
    }
}

/// Several of them, without their ports.
pub(super) fn ip_list(addresses: &[SocketAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first interface is the loopback one, whatever the system calls it.
    const FIRST: u32 = 1;

    #[test]
    fn a_zone_is_shown_by_its_name() {
        let name = if_indextoname(FIRST).unwrap().into_string().unwrap();
        assert_eq!(interface(&name), Some(FIRST));
        let address: SocketAddr = format!("[fe80::1%{FIRST}]:80").parse().unwrap();
        assert_eq!(address_text(address), format!("[fe80::1%{name}]:80"));
        assert_eq!(address_text("[fe80::1%99999]:80".parse().unwrap()), "[fe80::1%99999]:80");
        assert_eq!(address_text("[::1]:80".parse().unwrap()), "[::1]:80");
    }

    #[test]
    fn a_zone_is_missing_where_no_interface_has_its_name() {
        let name = if_indextoname(FIRST).unwrap().into_string().unwrap();
        assert_eq!(missing_zone("fe80::1%nowhere0"), Some("nowhere0"));
        for host in [&format!("fe80::1%{name}"), "fe80::1", "fe80::1%", "db%nowhere0", "db"] {
            assert_eq!(missing_zone(host), None, "{host}");
        }
    }
}
