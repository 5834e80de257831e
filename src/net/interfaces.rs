//! Network interfaces, and addresses with the zones that they name (RFC 4007, section 11).

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// The number of a network interface (sysfs).
pub(super) fn interface(name: &str) -> Option<u32> {
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}

/// Whether [`interface`] knows all of them: elsewhere than on Linux, or without sysfs, it knows none.
pub(super) fn interfaces_are_listed() -> bool {
    Path::new("/sys/class/net").exists()
}

/// An address as people write it: a zone is the name of an interface, where there is one of that number.
pub(super) fn address_text(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            let zone = interface_name(v6.scope_id()).unwrap_or_else(|| v6.scope_id().to_string());
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

fn interface_name(number: u32) -> Option<String> {
    let names = fs::read_dir("/sys/class/net").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.into_iter().find(|name| interface(name) == Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_shown_by_its_name() {
        let number = interface("lo").unwrap();
        let address: SocketAddr = format!("[fe80::1%{number}]:80").parse().unwrap();
        assert_eq!(address_text(address), "[fe80::1%lo]:80");
        assert_eq!(address_text("[fe80::1%99999]:80".parse().unwrap()), "[fe80::1%99999]:80");
        assert_eq!(address_text("[::1]:80".parse().unwrap()), "[::1]:80");
    }
}
