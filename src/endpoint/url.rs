//! The parts of a target's URL (RFC 3986, with libpq's list of hosts).

use percent_encoding::percent_decode_str;

/// A URL cut into its parts, none of them decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) userinfo: Option<&'a str>,
    /// `host[:port]`, or several with commas.
    pub(crate) hosts: &'a str,
    /// With its leading slash, or empty.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

/// Cuts the fragment off: what is expected of the target.
pub(crate) fn split_fragment(word: &str) -> (&str, Option<&str>) {
    match word.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment)),
        None => (word, None),
    }
}

/// Cuts `scheme://authority/path?query` into its parts.
///
/// # Errors
///
/// A `@` behind the first `/` or `?` is refused where a path cannot hold one (`strict`): it is
/// nearly always a password whose `/` or `?` was not percent-encoded, and what follows would be
/// taken for the host or be shown.
pub(crate) fn split(url: &str, strict: bool) -> Result<Url<'_>, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no `://`")?;
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    if strict && tail.split('?').next().is_some_and(|path| path.contains('@')) {
        return Err("a `/`, `?` or `#` in a user name or password is written %2F, %3F or %23".to_owned());
    }
    let (userinfo, hosts) = match authority.rsplit_once('@') {
        Some((userinfo, hosts)) => (Some(userinfo), hosts),
        None => (None, authority),
    };
    let (path, query) = match tail.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tail, None),
    };
    Ok(Url { scheme, userinfo, hosts, path, query })
}

/// Decodes `%XX`.
///
/// # Errors
///
/// Names a stray `%` or what is not UTF-8; NUL can be part of no name, path or password.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    for (index, _) in text.match_indices('%') {
        if !bytes.get(index + 1..index + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
            return Err("a `%` is not followed by two hexadecimal digits; a plain `%` is written %25".to_owned());
        }
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "its percent-encoding is not UTF-8".to_owned())?;
    if decoded.contains('\0') {
        return Err("it holds a NUL character".to_owned());
    }
    Ok(decoded.into_owned())
}

/// `user[:password]`, decoded.
pub(crate) fn user_and_password(userinfo: &str) -> Result<(String, Option<String>), String> {
    match userinfo.split_once(':') {
        Some((user, password)) => Ok((decode(user)?, Some(decode(password)?))),
        None => Ok((decode(userinfo)?, None)),
    }
}

/// `key=value&…`, decoded; a key without `=` has an empty value.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = Result<(String, Option<String>), String>> + '_ {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((key, value)) => Ok((decode(key)?, Some(decode(value)?))),
        None => Ok((decode(pair)?, None)),
    })
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
///
/// # Errors
///
/// Says what is wrong with the host or the port. A port is only quoted when it is all digits: it
/// might be a piece of a password.
pub(crate) fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (literal, after) = rest.split_once(']').ok_or("its `[` has no `]`")?;
        check_ipv6(literal)?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or("after `]` comes `:PORT`")?),
        };
        (literal.replace("%25", "%"), port)
    } else {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if host.contains(':') {
            return Err("an IPv6 address is written in brackets, like [::1]:5432".to_owned());
        }
        check_name(host)?;
        (host.to_owned(), port)
    };
    Ok((host, port.map(parse_port).transpose()?))
}

fn check_ipv6(literal: &str) -> Result<(), String> {
    let address = literal.split('%').next().unwrap_or_default();
    match address.parse::<std::net::Ipv6Addr>() {
        Ok(_) => Ok(()),
        Err(_) => Err("what is in brackets is not an IPv6 address".to_owned()),
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
        Some(c) if c.is_ascii() => Err(format!("its host holds {c:?}; names are letters, digits, `-`, `_` and `.`")),
        Some(_) => Err("its host is not ASCII; write it in its xn-- form (RFC 5891)".to_owned()),
    }
}

pub(crate) fn parse_port(text: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if port > 0 && is_number => Ok(port),
        // More digits than a port has may be a password that stands in its place.
        _ if is_number && text.len() <= 5 => Err(format!("port {text} is not in 1-65535")),
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
            split("postgres://u:p@w@h1:1,h2/db?x=1", true).unwrap(),
            Url { scheme: "postgres", userinfo: Some("u:p@w"), hosts: "h1:1,h2", path: "/db", query: Some("x=1") }
        );
        assert_eq!(
            split("http://h/@scope?q", false).unwrap(),
            Url { scheme: "http", userinfo: None, hosts: "h", path: "/@scope", query: Some("q") }
        );
    }

    #[test]
    fn a_password_that_was_not_encoded_is_refused() {
        assert!(split("postgres://u:p/w@h/db", true).unwrap_err().contains("%2F"));
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(host_and_port("db1:5432"), Ok(("db1".to_owned(), Some(5432))));
        assert_eq!(host_and_port("[::1]:1"), Ok(("::1".to_owned(), Some(1))));
        assert_eq!(host_and_port("[fe80::1%25eth0]"), Ok(("fe80::1%eth0".to_owned(), None)));
        assert!(host_and_port("::1:5432").unwrap_err().contains("brackets"));
        assert!(host_and_port("h:0").unwrap_err().contains("port 0"));
        assert!(host_and_port("h:secret").unwrap_err().contains("not a number"));
        assert!(host_and_port("h:+80").unwrap_err().contains("not a number"));
    }

    #[test]
    fn percent_encoding_is_strict() {
        assert_eq!(decode("a%40b"), Ok("a@b".to_owned()));
        assert!(decode("100%").unwrap_err().contains("%25"));
        assert!(decode("%ff").unwrap_err().contains("UTF-8"));
        assert!(decode("%00").unwrap_err().contains("NUL"));
    }
}
