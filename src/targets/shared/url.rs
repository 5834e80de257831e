//! The parts of a target's URL (RFC 3986, with libpq's list of hosts).

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::net::{Address, Place};
use crate::secret::Secret;

/// The advice where one word holds several targets.
pub(crate) const SEPARATE: &str = "separate targets by spaces";

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

/// The advice about a blank where none can stand.
pub(crate) const BLANK: &str = "a blank stands in it: each target is a word of its own, keys follow it at once \
                                (URL#KEY=VALUE), and a blank in a path is written %20";

/// Splits `NAME=URL`. A name holds none of the characters that a URL has before its first `=`.
pub(crate) fn split_name(word: &str) -> (Option<&str>, &str) {
    match word.split_once('=') {
        Some((name, url)) if !name.contains([':', '/', '?', '#', '[', ']', '@', '%', '&', ',', ';', ' ']) => {
            (Some(name), url)
        }
        _ => (None, word),
    }
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
    // As libpq has it: what stands behind the first `@` before a `/` is the host, whatever follows.
    let is_libpqs = userinfo == Userinfo::UntilSlash && userinfo_part.is_some() && !path.contains("://");
    if userinfo != Userinfo::AndPathWithAt && !is_libpqs && path.contains('@') {
        return Err("a `/`, `?` or `#` in a user name or password is written %2F, %3F or %23".to_owned());
    }
    // `a,mysql://b` of a kind whose clients take no such lists: the second host is not called mysql.
    let is_scheme = hosts.ends_with(':') && path.starts_with("//");
    if is_scheme && !hosts.contains(',') {
        return Err("a second scheme stands in its host's place, or no port behind its `:`".to_owned());
    }
    if is_scheme || userinfo != Userinfo::AndPathWithAt && path.split(',').skip(1).any(|part| part.contains("://")) {
        return Err("its clients take no list of whole URLs: separate targets by spaces".to_owned());
    }
    Ok(Url { userinfo: userinfo_part, hosts, path, query })
}

/// The part of `rest` before a path and a query: userinfo and hosts.
pub(crate) fn authority(rest: &str) -> &str {
    &rest[..rest.find(['/', '?']).unwrap_or(rest.len())]
}

/// Why the hosts of `rest` cannot be read: where an `@` stands behind a `/` or `?`, they are most likely a password that
/// holds one of these.
pub(crate) fn blame_password(rest: &str, problem: String) -> String {
    let authority = authority(rest);
    if !authority.contains('@') && authority.contains(':') && rest.contains('@') {
        return "a `/`, `?` or `#` in a user name or password is written %2F, %3F or %23".to_owned();
    }
    problem
}

/// The treatment of a `%` that no two hexadecimal digits follow.
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
    if text.contains(' ') {
        return Err(BLANK.to_owned());
    }
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

/// A host with a port, or else `default`.
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
            _ if host.contains('%') && !host.starts_with('[') => Ok(Place::Tcp(address(&decode(host)?, default)?)),
            _ => Ok(Place::Tcp(address(host, default)?)),
        })
        .collect()
}

/// Symfony's `redis:?host[a:6380]&host[b]&timeout=5` as `redis://a:6380,b?timeout=5`.
pub(crate) fn with_plain_hosts(url: &str) -> Option<String> {
    let (url, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let (scheme, rest) = url.split_once(':')?;
    let (userinfo, query) = rest.split_once('?')?;
    let userinfo = userinfo.trim_start_matches('/');
    let (hosts, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| pair.starts_with("host["));
    let host = |pair: &&str| Some(pair["host[".len()..].split(']').next()?.trim_end_matches(':').replace('/', "%2F"));
    let hosts: Vec<String> = hosts.iter().filter_map(host).collect();
    // An empty host would be this machine.
    let is_named = !hosts.iter().any(|host| host.is_empty() || host.starts_with(':'));
    let is_theirs = is_named && !hosts.is_empty() && (userinfo.is_empty() || userinfo.ends_with('@'));
    is_theirs.then(|| format!("{scheme}://{userinfo}{}?{}{fragment}", hosts.join(","), others.join("&")))
}

/// The absolute path behind `scheme://`; `example` is how one is written.
///
/// # Errors
///
/// The path is not absolute.
pub(crate) fn path_of(rest: &str, example: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("localhost/").map_or(rest.to_owned(), |rest| format!("/{rest}"));
    if !path.starts_with('/') || path == "/" && example.starts_with("unix") {
        return Err(format!("its path is not absolute; write three slashes, like {example}"));
    }
    Ok(PathBuf::from(decode(&path)?))
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
        // The word in its place may be a password.
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
    fn a_password_that_was_not_encoded_is_refused() {
        assert!(split("u:p/w@h/db", Userinfo::UntilSlash).unwrap_err().contains("%2F"));
    }

    #[test]
    fn hosts_of_other_forms_are_written_as_most_have_them() {
        let plain = |url: &str| with_plain_hosts(url).unwrap_or_default();
        assert_eq!(plain("redis:?host[a:1]&host[b]&timeout=5#cluster"), "redis://a:1,b?timeout=5#cluster");
        assert_eq!(plain("redis://pw@?host[/run/r.sock:]"), "redis://pw@%2Frun%2Fr.sock?");
        for url in ["redis://h?x=1", "redis:pw?host[a]", "postgres://h/d?host=a"] {
            assert_eq!(with_plain_hosts(url), None, "{url}");
        }
    }

    #[test]
    fn the_second_url_of_a_list_is_no_host() {
        for list in ["a,postgres://b", "a:1,postgres://b:2/d", "u:p@a,postgres://b", "a/x,postgres://b/x"] {
            assert!(split(list, Userinfo::UntilSlash).unwrap_err().contains("list of whole URLs"), "{list}");
        }
        assert!(split("http://h:9200", Userinfo::AndPathWithAt).unwrap_err().contains("second scheme"));
        assert_eq!(split("h/x,http://b", Userinfo::AndPathWithAt).unwrap().path, "/x,http://b");
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
