//! The parts of a target's URL (RFC 3986, with libpq's list of hosts).

use percent_encoding::percent_decode_str;

use super::{Address, Place, expectations};
use crate::secret::Secret;

/// A URL cut into its parts, none of them decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) userinfo: Option<&'a str>,
    /// `host[:port]`, or several with commas.
    pub(crate) hosts: &'a str,
    /// With its leading slash, or empty.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

/// Which characters a user name or a password may hold as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Userinfo {
    /// All but `/`: libpq and `SQLAlchemy` look for the `@` before the first `/`.
    UntilSlash,
    /// All but `/` and `?`: the authority ends there (RFC 3986, section 3.2).
    UntilSlashOrQuery,
    /// The same, and a path may hold an `@`.
    AndPathWithAt,
}

/// Cuts the fragment off: what is expected of the target. A `#` before the `@` of a password is the password's,
/// unless a key follows it.
pub(crate) fn split_fragment(word: &str, userinfo: Userinfo) -> (&str, Option<&str>) {
    let mut from = 0;
    while let Some(at) = word[from..].find('#').map(|at| from + at) {
        let (url, fragment) = (&word[..at], &word[at + 1..]);
        let key = fragment.split(['=', '&']).next().unwrap_or_default();
        let is_in_authority = url.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '@']));
        let authority = &fragment[..fragment.find('/').unwrap_or(fragment.len())];
        let is_password = userinfo == Userinfo::UntilSlash
            && is_in_authority
            && authority.contains('@')
            && !expectations::is_key(key);
        if !is_password {
            return (url, Some(fragment));
        }
        from = at + 1;
    }
    (word, None)
}

/// Cuts what follows `scheme://` into its parts.
///
/// # Errors
///
/// A `@` behind the first `/` or `?` is refused where a path cannot hold one: it is nearly always a password
/// whose `/` was not percent-encoded, and what follows would be taken for the host or be shown.
pub(crate) fn split(rest: &str, userinfo: Userinfo) -> Result<Url<'_>, String> {
    let before_slash = &rest[..rest.find('/').unwrap_or(rest.len())];
    let hosts_begin = match userinfo {
        Userinfo::UntilSlash => before_slash.rfind('@').map(|at| at + 1),
        Userinfo::UntilSlashOrQuery | Userinfo::AndPathWithAt => {
            before_slash.split('?').next().and_then(|authority| authority.rfind('@')).map(|at| at + 1)
        }
    };
    let (userinfo_part, rest) = match hosts_begin {
        Some(begin) => (Some(&rest[..begin - 1]), &rest[begin..]),
        None => (None, rest),
    };
    let (hosts, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = match tail.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tail, None),
    };
    if userinfo != Userinfo::AndPathWithAt && path.contains('@') {
        return Err("a `/`, `?` or `#` in a user name or password is written %2F, %3F or %23".to_owned());
    }
    Ok(Url { userinfo: userinfo_part, hosts, path, query })
}

/// What is done about a `%` that no two hexadecimal digits follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Percent {
    /// libpq refuses it.
    Strict,
    /// Python, curl and Node take it as it is.
    Lenient,
}

/// Decodes `%XX` to text.
///
/// # Errors
///
/// Names a stray `%` or what is not UTF-8; NUL can be part of no name, path or password.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    decode_as(text, Percent::Strict)
}

/// The same, as lenient as it is told.
pub(crate) fn decode_as(text: &str, percent: Percent) -> Result<String, String> {
    let bytes = decode_bytes(text, percent)?;
    String::from_utf8(bytes).map_err(|_| "its percent-encoding is not UTF-8".to_owned())
}

/// Decodes `%XX` to bytes, as a password is.
pub(crate) fn decode_bytes(text: &str, percent: Percent) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let is_stray =
        |index: usize| !bytes.get(index + 1..index + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if percent == Percent::Strict && text.match_indices('%').any(|(index, _)| is_stray(index)) {
        return Err("a `%` is not followed by two hexadecimal digits; a plain `%` is written %25".to_owned());
    }
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    if decoded.contains(&0) {
        return Err("it holds a NUL character".to_owned());
    }
    Ok(decoded)
}

/// `user[:password]`, decoded.
pub(crate) fn user_and_password(userinfo: &str, percent: Percent) -> Result<(String, Option<Secret>), String> {
    match userinfo.split_once(':') {
        Some((user, password)) => Ok((decode_as(user, percent)?, Some(Secret::new(decode_bytes(password, percent)?)))),
        None => Ok((decode_as(userinfo, percent)?, None)),
    }
}

/// `key=value&…`, neither decoded; a key without `=` has no value.
pub(crate) fn raw_pairs(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (pair, None),
    })
}

/// `key=value&…`, decoded.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = Result<(String, Option<String>), String>> + '_ {
    raw_pairs(text).map(|(key, value)| Ok((decode(key)?, value.map(decode).transpose()?)))
}

/// `host`, `host:port`, `host:`, `[v6]` or `[v6]:port`.
///
/// # Errors
///
/// Says what is wrong with the host or the port, and shows neither: it might be a piece of a password.
pub(crate) fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    match host_and_port_text(text)? {
        (_, Some("")) => Err("its port is empty; a port is a number in 1-65535".to_owned()),
        (host, port) => Ok((host, port.map(parse_port).transpose()?)),
    }
}

/// The same, with a port that is not looked at.
pub(crate) fn host_and_port_text(text: &str) -> Result<(String, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (literal, after) = rest.split_once(']').ok_or("its `[` has no `]`")?;
        check_ipv6(literal)?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or("after `]` comes `:PORT`")?),
        };
        return Ok((literal.replace("%25", "%"), port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if host.contains(':') {
        let is_ipv6 = [text, host].iter().any(|text| check_ipv6(text).is_ok());
        return Err(if is_ipv6 {
            "an IPv6 address is written in brackets, like [::1]:5432".to_owned()
        } else {
            "its host holds ':'; after the host comes one `:PORT`".to_owned()
        });
    }
    check_name(host)?;
    Ok((host.to_owned(), port))
}

/// The most common word: a name or an IPv4 address and a port, and nothing that could mean more.
pub(crate) fn plain_address(word: &str) -> Option<Address> {
    let (host, port) = word.split_once(':')?;
    let port = parse_port(port).ok()?;
    check_name(host).ok()?;
    Some(Address { host: host.to_owned(), port })
}

/// One host with a port, or else `default`.
pub(crate) fn address(text: &str, default: u16) -> Result<Address, String> {
    let (host, port) = host_and_port_text(text)?;
    let port = port.filter(|port| !port.is_empty()).map(parse_port).transpose()?.unwrap_or(default);
    Ok(Address { host, port })
}

/// Several hosts with commas between them, each with a port, or else `default`; a path in the host's place
/// (`%2Frun%2Fx.sock`) is a socket.
pub(crate) fn places(hosts: &str, default: u16) -> Result<Vec<Place>, String> {
    hosts
        .split(',')
        .filter(|host| !host.is_empty() || hosts.is_empty())
        .map(|host| match host.get(..3) {
            Some("%2F" | "%2f") => Ok(Place::Unix(decode(host)?.into())),
            _ => Ok(Place::Tcp(address(host, default)?)),
        })
        .collect()
}

/// Whether it is an IPv6 address in brackets.
pub(crate) fn is_bracketed(text: &str) -> bool {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).is_some_and(|literal| check_ipv6(literal).is_ok())
}

fn check_ipv6(literal: &str) -> Result<(), String> {
    let (address, zone) = literal.split_once('%').unwrap_or((literal, ""));
    let is_zone = zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@%".contains(&b));
    match address.parse::<std::net::Ipv6Addr>() {
        Ok(_) if is_zone => Ok(()),
        _ => Err("what is in brackets is not an IPv6 address; is it a placeholder that was not filled in?".to_owned()),
    }
}

/// Letters, digits, `-`, `_` and `.`: what names of hosts, services and containers are made of.
pub(crate) fn check_name(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    if host.len() > 253 {
        return Err("its host is longer than 253 characters".to_owned());
    }
    match host.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        None if host.starts_with('.') || host.contains("..") => Err("its host has an empty label".to_owned()),
        None => Ok(()),
        Some('$') => Err("its host holds '$': write a variable as ${NAME}; Kubernetes leaves $(NAME) as it is where \
                          it has no such variable"
            .to_owned()),
        Some('<' | '{') => Err("its host is a placeholder that was not filled in".to_owned()),
        Some(c) if c.is_ascii() => Err(format!("its host holds {c:?}; names are letters, digits, `-`, `_` and `.`")),
        Some(_) => Err("its host is not ASCII; write it in its xn-- form (RFC 5891)".to_owned()),
    }
}

pub(crate) fn parse_port(text: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if port > 0 && is_number => Ok(port),
        // What it is instead may be a password that stands in its place.
        _ if is_number => Err("its port is not in 1-65535".to_owned()),
        _ if text.is_empty() => Err("its port is empty; a port is a number in 1-65535".to_owned()),
        _ => Err("its port is not a number in 1-65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_into_its_parts() {
        assert_eq!(
            split("u:p@w@h1:1,h2/db?x=1", Userinfo::UntilSlash).unwrap(),
            Url { userinfo: Some("u:p@w"), hosts: "h1:1,h2", path: "/db", query: Some("x=1") }
        );
        assert_eq!(
            split("h/@scope?q", Userinfo::AndPathWithAt).unwrap(),
            Url { userinfo: None, hosts: "h", path: "/@scope", query: Some("q") }
        );
        assert_eq!(split("u:p?w@h/d", Userinfo::UntilSlash).unwrap().hosts, "h");
        assert_eq!(split("127.0.0.1:1?x@h/d", Userinfo::UntilSlash).unwrap().hosts, "h");
        assert_eq!(split("127.0.0.1:1?x@h/d", Userinfo::AndPathWithAt).unwrap().hosts, "127.0.0.1:1");
    }

    #[test]
    fn a_hash_in_a_password_is_the_passwords_unless_a_key_follows() {
        let cut = |word| split_fragment(word, Userinfo::UntilSlash);
        assert_eq!(cut("postgres://u:p#w@h/d"), ("postgres://u:p#w@h/d", None));
        assert_eq!(cut("postgres://u:p#w@h/d#query=x"), ("postgres://u:p#w@h/d", Some("query=x")));
        assert_eq!(cut("postgres://h#query=select '@'"), ("postgres://h", Some("query=select '@'")));
        assert_eq!(cut("postgres://u@h#x@y"), ("postgres://u@h", Some("x@y")));
        assert_eq!(split_fragment("http://u:p#w@h", Userinfo::AndPathWithAt), ("http://u:p", Some("w@h")));
    }

    #[test]
    fn a_password_that_was_not_encoded_is_refused() {
        assert!(split("u:p/w@h/db", Userinfo::UntilSlash).unwrap_err().contains("%2F"));
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(host_and_port("db1:5432"), Ok(("db1".to_owned(), Some(5432))));
        assert_eq!(host_and_port("[::1]:1"), Ok(("::1".to_owned(), Some(1))));
        assert_eq!(host_and_port("[fe80::1%25eth0]"), Ok(("fe80::1%eth0".to_owned(), None)));
        assert_eq!(host_and_port("db:08000"), Ok(("db".to_owned(), Some(8000))));
        assert!(host_and_port("::1:5432").unwrap_err().contains("brackets"));
        assert!(!host_and_port("a:b:5432").unwrap_err().contains("brackets"));
        assert!(host_and_port("h:0").unwrap_err().contains("1-65535"));
        assert!(host_and_port("h:secret").unwrap_err().contains("not a number"));
        assert!(host_and_port("h:+80").unwrap_err().contains("not a number"));
        assert_eq!(places("h1:1,h2", 9).unwrap().len(), 2);
        assert_eq!(address("h:", 9), Ok(Address { host: "h".to_owned(), port: 9 }));
    }

    #[test]
    fn percent_encoding_is_strict_where_libpq_is() {
        assert_eq!(decode("a%40b"), Ok("a@b".to_owned()));
        assert!(decode("100%").unwrap_err().contains("%25"));
        assert!(decode("%ff").unwrap_err().contains("UTF-8"));
        assert!(decode("%00").unwrap_err().contains("NUL"));
        assert_eq!(decode_as("100%", Percent::Lenient), Ok("100%".to_owned()));
        assert_eq!(decode_bytes("%ff", Percent::Strict), Ok(vec![0xff]));
    }
}
