//! Servers of which no more is asked than a connection or a TLS handshake.

use std::borrow::Cow;
use std::fmt;

use super::schemes::{Found, Scheme};
use super::url::{self, Percent, Url, Userinfo};
use super::{Address, Place, Reading, TargetTls, shown};
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

/// The parts of a server's URL that most protocols have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// At least one; without a host it is localhost.
    pub(crate) places: Vec<Place>,
    /// Decoded, without its first `/`.
    pub(crate) path: String,
    /// Decoded.
    pub(crate) query: Vec<(String, String)>,
}

impl Parts {
    /// Cuts up what stands behind `://`: `user:password@host:port,host:port/path?key=value`, and kombu's
    /// `host;scheme://host`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with a host or a port, and shows neither.
    pub(crate) fn of(rest: &str, default_port: u16) -> Result<Self, String> {
        let (whole, socket) = without_go_socket(rest);
        let (first, others) = alternatives(&whole);
        let Url { userinfo, hosts, path, query } = url::split(first, Userinfo::UntilSlashOrQuery)?;
        let credentials = userinfo.map(|userinfo| url::user_and_password(userinfo, Percent::Lenient)).transpose()?;
        let (user, password) = credentials.unwrap_or_default();
        // Behind a `;` in it stand further hosts, as in a list of memcached's, or properties.
        let is_host = |part: &&str| !part.is_empty() && !part.contains('=');
        let hosts = hosts.split(';').filter(is_host).collect::<Vec<_>>().join(",");
        let mut places = places(&hosts, default_port)?;
        for other in others {
            let Url { hosts, .. } = url::split(other, Userinfo::UntilSlashOrQuery)?;
            places.extend(self::places(hosts, default_port)?);
        }
        if let Some(path) = socket {
            places = vec![Place::Unix(path.into())];
        }
        let decoded = |text: &str| url::decode_as(text, Percent::Lenient);
        let query = url::raw_pairs(query.unwrap_or_default())
            .map(|(key, value)| Ok((decoded(key)?, decoded(value.unwrap_or_default())?)))
            .collect::<Result<_, String>>()?;
        Ok(Self {
            user: Some(user).filter(|user| !user.is_empty()),
            password: password.filter(|password| !password.expose_bytes().is_empty()),
            places,
            path: decoded(path.strip_prefix('/').unwrap_or(path))?,
            query,
        })
    }

    /// The last value of a query's key.
    pub(crate) fn parameter(&self, key: &str) -> Option<&str> {
        self.query.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Takes the path out of Go's `user:password@unix(/run/mysqld.sock)/database`: it is no URL's.
pub(super) fn without_go_socket(rest: &str) -> (Cow<'_, str>, Option<&str>) {
    match rest.split_once("unix(").and_then(|(before, after)| Some((before, after.split_once(')')?))) {
        Some((before, (path, after))) => (Cow::Owned(format!("{before}{after}")), Some(path)),
        None => (Cow::Borrowed(rest), None),
    }
}

/// The URL itself, and those that kombu has behind a `;`.
fn alternatives(rest: &str) -> (&str, Vec<&str>) {
    let mut parts = rest.split(';');
    let first = parts.next().unwrap_or_default();
    let others: Vec<&str> = parts.filter_map(|part| part.split_once("://").map(|(_, rest)| rest)).collect();
    // Any other `;` is a character like others.
    if others.is_empty() { (rest, others) } else { (first, others) }
}

/// The URL without the properties that SQL Server has behind a `;`. In a path or a query it is theirs.
fn without_properties(rest: &str) -> &str {
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    match authority.find(';') {
        Some(end) if !rest[end..].contains("://") => &rest[..end],
        _ => rest,
    }
}

/// Oracle's `thin:user/password@//host:1521/service` and `thin:@host:1521:SID`, from the host to its port.
fn of_oracle(rest: &str) -> &str {
    let rest = rest.rsplit_once('@').map_or(rest, |(_, place)| place).trim_start_matches("//");
    match rest.match_indices([':', '/']).nth(1) {
        Some((end, ":")) => &rest[..end],
        _ => rest,
    }
}

/// Hosts as drivers write them; none is localhost.
pub(super) fn places(hosts: &str, default_port: u16) -> Result<Vec<Place>, String> {
    // Go's `tcp(host:3306)`, SQL Server's `host\instance`.
    let hosts = hosts.strip_prefix("tcp(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(hosts);
    let hosts = hosts.split('\\').next().unwrap_or_default();
    let localhost = format!("localhost{hosts}");
    url::places(if hosts.is_empty() || hosts.starts_with(':') { &localhost } else { hosts }, default_port)
}

impl Server {
    /// A URL, of which `rest` stands behind `://`.
    pub(super) fn from_url(found: Found, rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let rest = if found.scheme.name() == "oracle" { of_oracle(rest) } else { rest };
        let parts = Parts::of(without_properties(rest), found.scheme.port.unwrap_or_default())?;
        let mut secrets: Vec<Secret> = parts.password.iter().cloned().collect();
        for (key, value) in &parts.query {
            reading.ignored.add(key);
            secrets.push(Secret::new(value.as_str()));
        }
        // What may stand behind a `;`.
        secrets.extend(
            rest.split(';').skip(1).filter_map(|pair| pair.split_once('=')).map(|(_, value)| Secret::new(value)),
        );
        let socket = ["unix_socket", "unixSocket", "socket"].iter().find_map(|key| parts.parameter(key));
        let places = match socket.filter(|path| path.starts_with('/')) {
            Some(path) => vec![Place::Unix(path.into())],
            None => parts.places,
        };
        Ok(Self::at(found.scheme, places, secrets))
    }

    /// One that is named by other means than a URL.
    pub(super) fn at(scheme: &'static Scheme, places: Vec<Place>, secrets: Vec<Secret>) -> Self {
        Self { scheme: scheme.name(), protocol: scheme.protocol, places, secrets }
    }
}

impl TlsServer {
    pub(super) fn from_url(rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let parts = url::split(rest, Userinfo::UntilSlashOrQuery)?;
        if parts.userinfo.is_some() || !matches!(parts.path, "" | "/") || parts.query.is_some() {
            return Err("a tls target is tls://HOST:PORT and nothing more".to_owned());
        }
        let (host, port) = url::host_and_port(parts.hosts)?;
        let port = port.ok_or("it has no port; write tls://HOST:PORT")?;
        Ok(Self { address: Address { host, port }, tls: TargetTls::default().take(&mut reading.expectations)? })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.places.iter().map(|place| shown::clean(&place.to_string())).collect();
        write!(f, "{}://{}", self.scheme, places.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_url_is_cut_into_its_parts() {
        let parts = Parts::of("u%40x:p%2Fw@h1:1,h2/a%20b?x=1&y=2", 5672).unwrap();
        assert_eq!((parts.user.as_deref(), parts.path.as_str()), (Some("u@x"), "a b"));
        assert_eq!(parts.password, Some(Secret::new("p/w")));
        assert_eq!(parts.parameter("y"), Some("2"));
        let places = |rest: &str| -> Vec<String> {
            Parts::of(rest, 5672).unwrap().places.iter().map(Place::to_string).collect()
        };
        assert_eq!(places("h1:1,h2/x"), ["h1:1", "h2:5672"]);
        assert_eq!(places("u:p@h1//;amqp://u:p@h2:2"), ["h1:5672", "h2:2"]);
        assert_eq!(places("u:p;w@db"), ["db:5672"]);
        assert_eq!(places("u:p;w@h1:1;h2:2;/x;y"), ["h1:1", "h2:2"]);
        assert_eq!(places("h1;"), ["h1:5672"]);
        assert_eq!(places("h1:1;user=x"), ["h1:1"]);
        assert_eq!(places(without_properties("db;user=sa;password=x@y")), ["db:5672"]);
        assert_eq!(places(without_properties("u:p@db/x;y=z")), ["db:5672"]);
        assert_eq!(places("db\\EXPRESS:1433/x;y=z"), ["db:5672"]);
        assert_eq!(places("u:p@tcp(db:3306)/x"), ["db:3306"]);
        assert_eq!(places("u:p@unix(/run/m.sock)/x").len(), 1);
        assert_eq!(places(""), ["localhost:5672"]);
        for rest in ["thin:@//db:1522/x", "thin:u/p@db:1522:XE", "db:1522/x", "u:p@db:1522/?service_name=x"] {
            assert_eq!(places(of_oracle(rest)), ["db:1522"], "{rest}");
        }
        assert!(Parts::of("u:p/w@h/x", 1).unwrap_err().contains("%2F"));
    }
}
