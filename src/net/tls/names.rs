//! Whether a certificate names a host (RFC 6125, and the common name as curl and libpq take it). Pure.

use std::net::IpAddr;

use super::certificate::{Certificate, Values};

/// In a `GeneralName`: dNSName and iPAddress (RFC 5280, section 4.2.1.6).
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// The name or the address that a host is known as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WantedHost {
    /// By name, in lower case, without a dot at its end.
    Name(String),
    /// By address.
    Address(IpAddr),
}

impl WantedHost {
    /// From what stands in a target; a zone is of no interest to a certificate.
    pub(crate) fn new(text: &str) -> Self {
        let text = bare(text);
        text.parse().map_or_else(|_| Self::Name(text.to_ascii_lowercase()), Self::Address)
    }
}

/// A host without the zone of an address and the dot at the end of a name.
pub(crate) fn bare(host: &str) -> &str {
    host.split('%').next().unwrap_or(host).trim_end_matches('.')
}

/// Whether a certificate names a host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// In its subjectAltName.
    AsAlternative,
    /// By its common name, which counts only where it has no subjectAltName for hosts.
    AsCommonName,
    /// The certificate does not name the host; the names that it has instead.
    Otherwise(Vec<String>),
    /// The certificate has no subjectAltName for hosts, and its common name, if it has one, is another.
    WithoutAlternatives(Vec<String>),
}

/// Whether `certificate` names `host`.
pub(crate) fn names(certificate: &Certificate<'_>, host: &WantedHost) -> Named {
    let is_host = |(tag, value): (u8, &[u8])| match (tag, host) {
        (DNS_NAME, WantedHost::Name(name)) => matches(value, name),
        (IP_ADDRESS, WantedHost::Address(address)) => address_in(value) == Some(*address),
        _ => false,
    };
    if Values(certificate.extensions.alternative_names.unwrap_or_default()).any(is_host) {
        return Named::AsAlternative;
    }
    let others = alternatives(certificate);
    if !others.is_empty() {
        return Named::Otherwise(others);
    }
    let common = certificate.common_names();
    let is_named = common.iter().any(|common| match host {
        WantedHost::Name(name) => matches(common.as_bytes(), name),
        WantedHost::Address(address) => common.parse() == Ok(*address),
    });
    if is_named { Named::AsCommonName } else { Named::WithoutAlternatives(common) }
}

/// All names of hosts that a certificate has; without any, its common names.
pub(crate) fn all(certificate: &Certificate<'_>) -> Vec<String> {
    let names = alternatives(certificate);
    if names.is_empty() { certificate.common_names() } else { names }
}

/// The names of hosts in a certificate's subjectAltName.
fn alternatives(certificate: &Certificate<'_>) -> Vec<String> {
    let name = |(tag, value): (u8, &[u8])| match tag {
        DNS_NAME => Some(String::from_utf8_lossy(value).into_owned()),
        IP_ADDRESS => address_in(value).map(|address| address.to_string()),
        _ => None,
    };
    Values(certificate.extensions.alternative_names.unwrap_or_default()).filter_map(name).collect()
}

fn address_in(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// Whether a name in a certificate is `host`, or its wildcard stands for the first label of it: a whole
/// label and no more, and at least two must follow.
fn matches(presented: &[u8], host: &str) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let presented = presented.strip_suffix(b".").unwrap_or(presented);
    match presented.strip_prefix(b"*.") {
        Some(parent) => {
            let Some((label, rest)) = host.split_once('.') else { return false };
            let is_whole = !label.is_empty() && rest.contains('.') && !rest.starts_with('.');
            is_whole && parent.iter().all(is_name) && parent.eq_ignore_ascii_case(rest.as_bytes())
        }
        None => {
            !presented.is_empty() && presented.iter().all(is_name) && presented.eq_ignore_ascii_case(host.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_whole_label_below_two_others() {
        for (presented, host) in [
            ("db.example.com", "db.example.com"),
            ("DB.Example.com", "db.example.com"),
            ("db.example.com.", "db.example.com"),
            ("*.example.com", "db.example.com"),
            ("localhost", "localhost"),
            ("my_db", "my_db"),
        ] {
            assert!(matches(presented.as_bytes(), host), "{presented} is not {host}");
        }
        for (presented, host) in [
            ("*.example.com", "example.com"),
            ("*.example.com", "a.b.example.com"),
            ("*.com", "example.com"),
            ("*", "localhost"),
            ("*.", "localhost"),
            ("*.localhost", "db.localhost"),
            ("d*.example.com", "db.example.com"),
            ("*b.example.com", "db.example.com"),
            ("db.*.com", "db.example.com"),
            ("*.*.com", "db.example.com"),
            ("**.example.com", "db.example.com"),
            ("*.example.com", ".example.com"),
            ("db.example.com\0.evil.org", "db.example.com"),
            ("db.example.com ", "db.example.com"),
            ("", ""),
        ] {
            assert!(!matches(presented.as_bytes(), host), "{presented} is {host}");
        }
    }
}
