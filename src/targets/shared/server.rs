//! What most servers' URLs say: where they listen, who logs in, how TLS is used.

use std::borrow::Cow;
use std::fmt;

use crate::net::tls::Tls;
use crate::net::tls_settings::{CertificateCheck, Encryption, Handshake, TargetTls};
use crate::net::{self, Attempt, Place, Stream, TimedStream};
use crate::secret::Secret;
use crate::targets::shared::hosts::first_ready;
use crate::targets::shared::reading::Reading;
use crate::targets::shared::scheme::{Dialect, Written};
use crate::targets::shared::talk::Talk;
use crate::targets::shared::tls;
use crate::targets::shared::url::{self, Percent, Url, Userinfo};
use crate::text::truth;
use crate::wait::outcome::{NotReady, Outcome};
use crate::wait::policy::Goal;

/// The pairs of a query, decoded.
pub(crate) type Query = Vec<(String, String)>;

/// The proof of a server of which no login was tried.
pub(crate) const NOT_TRIED: &str = "accepting connections; no password given, login not tried";
/// The proof of a server that lets nobody in without one.
pub(crate) const WANTS_LOGIN: &str = "accepting connections; it wants a login, no password given";

/// The message of a login by SASL's PLAIN (RFC 4616).
pub(crate) fn sasl_plain(user: &str, password: &[u8]) -> Vec<u8> {
    [b"\0", user.as_bytes(), b"\0", password].concat()
}

/// A server: what all kinds with a usual URL have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// The scheme that it is shown with.
    pub(crate) scheme: &'static str,
    /// The hosts, tried in order.
    pub(crate) places: Vec<Place>,
    /// The user.
    pub(crate) user: Option<String>,
    /// The password.
    pub(crate) password: Option<Secret>,
    /// When TLS is used.
    pub(crate) encryption: Encryption,
    /// How TLS is used.
    pub(crate) tls: TargetTls,
    /// The protocol that TLS agrees on (RFC 7301), where one must be.
    pub(crate) alpn: Option<&'static [u8]>,
}

impl Server {
    /// A server at `places` of which no more is known.
    pub(crate) fn at(scheme: &'static str, places: Vec<Place>) -> Self {
        Self {
            scheme,
            places,
            user: None,
            password: None,
            encryption: Encryption::Never,
            tls: TargetTls::default(),
            alpn: None,
        }
    }

    /// Reads a URL; gives its path and query too, which mean something to its kind alone.
    pub(crate) fn from_url(written: &Written<'_>) -> Result<(Self, String, Query), String> {
        let Parts { user, password, places, path, mut query } = Parts::of(written)?;
        // `${CA:-}` may be empty.
        query.retain(|(_, value)| !value.is_empty());
        let encryption = if written.is_tls() { Encryption::Always } else { Encryption::Never };
        let server = Self { user, password, encryption, ..Self::at(written.scheme.name(), places) };
        Ok((server, path, query))
    }

    /// The same of a kind to which a query says nothing but how TLS is used, with what the fragment says about that.
    pub(crate) fn read(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<(Self, String), String> {
        let (mut server, path, query) = Self::from_url(written)?;
        for (key, value) in query {
            if !server.take_tls_parameter(&key, &value) {
                reading.ignored.add(&key);
            }
        }
        server.expect(reading)?;
        Ok((server, path))
    }

    /// Takes a parameter of the query that is about TLS, as RabbitMQ's URIs and Celery's name it; gives whether it
    /// is one.
    pub(crate) fn take_tls_parameter(&mut self, key: &str, value: &str) -> bool {
        match key {
            "cacertfile" | "ssl_ca_certs" => self.tls.ca = Some(value.into()),
            "certfile" | "ssl_certfile" => self.tls.cert = Some(value.into()),
            "keyfile" | "ssl_keyfile" => self.tls.key = Some(value.into()),
            "ssl" | "tls" if truth(value) == Some(true) => self.encryption = Encryption::Always,
            "server_name_indication" => self.tls.server_name = Some(value.to_owned()),
            "verify" if value == "verify_none" => self.tls.check = Some(CertificateCheck::Nothing),
            _ => return false,
        }
        true
    }

    /// Takes what the fragment says about TLS.
    pub(crate) fn expect(&mut self, reading: &mut Reading<'_>) -> Result<(), String> {
        self.tls = tls::take(std::mem::take(&mut self.tls), &mut reading.expectations)?;
        Ok(())
    }

    /// User and password, where a login is tried with both.
    pub(crate) fn credentials(&self) -> Option<(&str, &Secret)> {
        self.user.as_deref().zip(self.password.as_ref())
    }

    /// The user's name, or `default`.
    pub(crate) fn user_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.user.as_deref().unwrap_or(default)
    }

    /// The place, where there is one alone.
    pub(crate) fn only_place(&self) -> Option<Place> {
        if let [place] = self.places.as_slice() { Some(place.clone()) } else { None }
    }

    /// Asks the hosts in order until one is ready.
    pub(crate) fn first_ready(
        &self,
        goal: Goal,
        attempt: &Attempt,
        ask: impl FnMut(&Place, &Attempt) -> Outcome,
    ) -> Outcome {
        first_ready(&self.places, goal, attempt, ask)
    }

    /// A connection to one of the hosts, with TLS from its first byte where the URL says so, but to a socket.
    pub(crate) fn connect(&self, place: &Place, tls: &Tls, attempt: &Attempt) -> Result<Stream, NotReady> {
        let connection = net::connect(place, attempt)?;
        match place {
            Place::Tcp(address) if self.encryption == Encryption::Always => {
                let settings = Handshake { protocol: self.alpn, ..Handshake::new(&address.host, &self.tls) };
                Ok(tls.connect(connection, &settings, attempt)?)
            }
            _ => Ok(Stream::Plain(connection)),
        }
    }

    /// The same conversation over TLS, which begins in the middle of it.
    pub(crate) fn over_tls<'a>(
        &self,
        talk: Talk<'a, Stream>,
        place: &Place,
        tls: &Tls,
    ) -> Result<Talk<'a, Stream>, NotReady> {
        let (protocol, attempt) = (talk.protocol(), talk.attempt());
        let connection = talk.upgrade()?.plain().ok_or_else(net::closed)?;
        let stream = tls.connect(connection, &Handshake::new(name_at(place), &self.tls), attempt)?;
        Ok(Talk::new(stream, protocol, attempt))
    }

    /// A TLS handshake with one of the hosts, which it takes to the end, and nothing more.
    pub(crate) fn shake_hands(&self, place: &Place, tls: &Tls, attempt: &Attempt) -> Result<(), NotReady> {
        let connection = net::connect(place, attempt)?;
        let mut stream = tls.connect(connection, &Handshake::new(name_at(place), &self.tls), attempt)?;
        stream.hear_refusal(attempt)?;
        stream.close();
        Ok(())
    }

    /// Talks with one of the hosts in messages of `protocol`, and closes the connection in order.
    pub(crate) fn talk_with(
        &self,
        place: &Place,
        protocol: &'static str,
        tls: &Tls,
        attempt: &Attempt,
        converse: impl FnOnce(&mut Talk<'_, Stream>) -> Outcome,
    ) -> Outcome {
        let mut talk = Talk::new(self.connect(place, tls, attempt)?, protocol, attempt);
        let outcome = converse(&mut talk);
        talk.close();
        outcome
    }

    /// The URL without password and query, with what stands in its path.
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>, path: Option<&str>) -> fmt::Result {
        self.write_as(f, self.scheme, &shown(&self.places), path)
    }

    /// The same with another scheme, and other places than those that are connected to.
    pub(crate) fn write_as(
        &self,
        f: &mut fmt::Formatter<'_>,
        scheme: &str,
        places: &str,
        path: Option<&str>,
    ) -> fmt::Result {
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(places)?;
        path.map_or(Ok(()), |path| write!(f, "/{path}"))
    }
}

/// Places as they are shown: with commas between them.
pub(crate) fn shown(places: &[Place]) -> String {
    places.iter().map(Place::to_string).collect::<Vec<_>>().join(",")
}

/// The name of a server in its certificate. That of a socket has none of its own.
fn name_at(place: &Place) -> &str {
    if let Place::Tcp(address) = place { &address.host } else { "localhost" }
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
    pub(crate) query: Query,
}

impl Parts {
    /// Cuts up what stands behind `://`: `user:password@host:port,host:port/path?key=value`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with a host or a port, and shows neither.
    pub(crate) fn of(written: &Written<'_>) -> Result<Self, String> {
        match written.dialect {
            // JDBC's drivers decode a `+` as forms do.
            Dialect::Jdbc => Self::read(&without_plus(written.rest), written.default_port()),
            Dialect::Socket => Self::at_socket(written.rest),
            Dialect::Plain | Dialect::Driver | Dialect::DriverOverTls | Dialect::R2dbc(_) => {
                Self::read(written.rest, written.default_port())
            }
        }
    }

    /// Cuts up what stands behind `mysql+unix://`: `user:password@/run/mysqld.sock?database=app`.
    fn at_socket(rest: &str) -> Result<Self, String> {
        let Url { hosts, path, .. } = url::split(rest, Userinfo::UntilSlashOrQuery)?;
        if !matches!(hosts, "" | "localhost") || matches!(path, "" | "/") {
            return Err("its path is not absolute; write three slashes, like mysql+unix:///run/mysqld.sock".to_owned());
        }
        let place = Place::Unix(url::decode(path)?.into());
        Ok(Self { places: vec![place], path: String::new(), ..Self::read(rest, 0)? })
    }

    /// The same, of hosts.
    pub(crate) fn read(rest: &str, default_port: u16) -> Result<Self, String> {
        let (whole, socket) = without_go_socket(rest);
        let Url { userinfo, hosts, path, query } = url::split(&whole, Userinfo::UntilSlashOrQuery)?;
        let credentials = userinfo.map(|userinfo| url::user_and_password(userinfo, Percent::Lenient)).transpose()?;
        let (user, password) = credentials.unwrap_or_default();
        // Behind a `;` in it stand further hosts, as in a list of memcached's, or properties.
        let is_host = |part: &&str| !part.is_empty() && !part.contains('=');
        let named = hosts;
        let hosts = hosts.split(';').filter(is_host).collect::<Vec<_>>().join(",");
        if hosts.is_empty() && !named.trim_matches(';').is_empty() {
            return Err("its host is not understood; after `://` comes HOST:PORT".to_owned());
        }
        let mut places = places(&hosts, default_port).map_err(|problem| url::blame_password(rest, problem))?;
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
fn without_go_socket(rest: &str) -> (Cow<'_, str>, Option<&str>) {
    match rest.split_once("unix(").and_then(|(before, after)| Some((before, after.split_once(')')?))) {
        Some((before, (path, after))) => (Cow::Owned(format!("{before}{after}")), Some(path)),
        None => (Cow::Borrowed(rest), None),
    }
}

/// Hosts as drivers write them; none is localhost.
pub(crate) fn places(hosts: &str, default_port: u16) -> Result<Vec<Place>, String> {
    // Go's `tcp(host:3306)`, SQL Server's `host\instance`.
    let hosts = hosts.strip_prefix("tcp(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(hosts);
    let hosts = hosts.split('\\').next().unwrap_or_default();
    let localhost = format!("localhost{hosts}");
    url::places(if hosts.is_empty() || hosts.starts_with(':') { &localhost } else { hosts }, default_port)
}

/// A query whose `+` are blanks.
fn without_plus(rest: &str) -> String {
    match rest.split_once('?') {
        Some((before, query)) => format!("{before}?{}", query.replace('+', "%20")),
        None => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_url_is_cut_into_its_parts() {
        let parts = Parts::read("u%40x:p%2Fw@h1:1,h2/a%20b?x=1&y=2", 5672).unwrap();
        assert_eq!((parts.user.as_deref(), parts.path.as_str()), (Some("u@x"), "a b"));
        assert_eq!(parts.password, Some(Secret::new("p/w")));
        assert_eq!(parts.parameter("y"), Some("2"));
        let places = |rest: &str| -> Vec<String> {
            Parts::read(rest, 5672).unwrap().places.iter().map(Place::to_string).collect()
        };
        assert_eq!(places("h1:1,h2/x"), ["h1:1", "h2:5672"]);
        assert_eq!(places("u:p;w@db"), ["db:5672"]);
        assert_eq!(places("u:p;w@h1:1;h2:2;/x;y"), ["h1:1", "h2:2"]);
        assert_eq!(places("h1;"), ["h1:5672"]);
        assert_eq!(places("h1:1;user=x"), ["h1:1"]);
        assert_eq!(places("db\\EXPRESS:1433/x;y=z"), ["db:5672"]);
        assert_eq!(places("u:p@tcp(db:3306)/x"), ["db:3306"]);
        assert_eq!(places("u:p@unix(/run/m.sock)/x").len(), 1);
        assert_eq!(places(""), ["localhost:5672"]);
        assert!(Parts::read("u:p/w@h/x", 1).unwrap_err().contains("%2F"));
        assert!(Parts::read("a,mysql://b", 1).is_err() && Parts::read("a/x,mysql://b/x", 1).is_err());
    }
}
