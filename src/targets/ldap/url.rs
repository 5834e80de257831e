//! LDAP's URLs (RFC 4516), with the user and password that applications write before the host.

use std::fmt;

use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::net::{self, Attempt, Place, Stream};
use crate::targets::ldap::STARTTLS;
use crate::targets::ldap::ber::START_TLS;
use crate::targets::shared::kind::{Probe, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::targets::shared::talk::Talk;
use crate::targets::shared::url::{Percent, decode_as};
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

/// Where `OpenLDAP`'s clients look for the socket, as Debian builds them.
const SOCKET: &str = "/run/slapd/ldapi";

/// A directory server, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ldap {
    pub(super) server: Server,
    /// Whether TLS begins in the conversation (`StartTLS`).
    starts_tls: bool,
    /// The entry that must exist.
    pub(super) base: Option<String>,
}

impl Ldap {
    pub(super) fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        // Behind the entry stand what is wanted of it, how far, a filter and extensions, each behind a `?`.
        let (rest, query) = written.rest.split_once('?').unwrap_or((written.rest, ""));
        let is_socket = written.scheme.name() == "ldapi";
        let (rest, socket) = if is_socket { without_socket(rest)? } else { (rest.to_owned(), None) };
        let (mut server, base, _) = Server::from_url(&Written { rest: &rest, ..*written })?;
        if let Some(path) = socket {
            server.places = vec![Place::Unix(path.into())];
        }
        let mut parts = query.split('?');
        for (name, _) in
            ["attributes", "scope", "filter"].into_iter().zip(&mut parts).filter(|(_, part)| !part.is_empty())
        {
            reading.ignored.add(name);
        }
        let mut starts_tls = server.scheme == STARTTLS;
        for extension in parts.next().unwrap_or_default().split(',').filter(|extension| !extension.is_empty()) {
            starts_tls |= take_extension(&mut server, extension, reading)?;
        }
        server.expect(reading)?;
        Ok(Self { server, starts_tls, base: Some(base).filter(|base| !base.is_empty()) })
    }
}

/// Takes an extension of the URL, and gives whether it is that TLS begins in the conversation (as `OpenLDAP`'s library
/// knows it); one that is critical and not known is an error (RFC 4516, section 2).
fn take_extension(server: &mut Server, extension: &str, reading: &mut Reading<'_>) -> Result<bool, String> {
    let (name, value) = extension.split_once('=').unwrap_or((extension, ""));
    match name.trim_start_matches('!').to_ascii_lowercase().as_str() {
        "starttls" | "x-starttls" | START_TLS => return Ok(true),
        "bindname" | "e-bindname" => {
            let name = decode_as(value, Percent::Lenient)?;
            server.user.get_or_insert(name);
        }
        _ if name.starts_with('!') => return Err("it has a critical extension that is not supported".to_owned()),
        _ => reading.ignored.add("extension"),
    }
    Ok(false)
}

/// Takes the socket's path out of `user:password@%2Frun%2Fslapd%2Fldapi/base`, and puts a host there.
fn without_socket(rest: &str) -> Result<(String, Option<String>), String> {
    let (authority, base) = rest.split_once('/').unwrap_or((rest, ""));
    let (userinfo, socket) = authority.rsplit_once('@').map_or(("", authority), |(user, socket)| (user, socket));
    let at = if userinfo.is_empty() { "" } else { "@" };
    let path = decode_as(socket, Percent::Lenient)?;
    let path = if path.is_empty() { SOCKET.to_owned() } else { path };
    if !path.starts_with('/') {
        return Err("its socket is written with %2F for each slash, like ldapi://%2Frun%2Fslapd%2Fldapi".to_owned());
    }
    Ok((format!("{userinfo}{at}localhost/{base}"), Some(path)))
}

impl Probe for Ldap {
    fn kind(&self) -> &'static TargetKind {
        &super::KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| {
            if !self.starts_tls {
                return self.server.talk_with(place, super::PROTOCOL, tls, attempt, |talk| super::converse(talk, self));
            }
            let mut talk = Talk::new(Stream::Plain(net::connect(place, attempt)?), super::PROTOCOL, attempt);
            super::start_tls(&mut talk)?;
            let mut talk = self.server.over_tls(talk, place, tls)?;
            let outcome = super::converse(&mut talk, self);
            talk.close();
            outcome
        })
    }

    fn tls_use(&self) -> Encryption {
        if self.starts_tls { Encryption::Always } else { self.server.encryption }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base.as_deref();
        match self.server.places.as_slice() {
            [Place::Unix(path)] => self.server.write_as(f, "ldapi", &path.to_string_lossy().replace('/', "%2F"), base),
            _ => self.server.write(f, base),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::targets::scripted::target;

    #[test]
    fn commas_need_no_encoding_and_sockets_do() {
        for (url, shown) in [
            ("ldap://directory/dc=example,dc=com", "ldap://directory:389/dc=example,dc=com"),
            ("ldap://cn=app,dc=example,dc=com:pw@d/dc=a,dc=b", "ldap://cn=app,dc=example,dc=com@d:389/dc=a,dc=b"),
            ("ldap://d/dc=a%2Cdc=b?cn?sub?(uid=x)", "ldap://d:389/dc=a,dc=b"),
            ("ldap://d/??base??bindname=cn=x%2Cdc=a", "ldap://cn=x,dc=a@d:389"),
            ("ldaps://a,b:1636", "ldaps://a:636,b:1636"),
            ("ldapi://%2Frun%2Fs/dc=a,dc=b", "ldapi://%2Frun%2Fs/dc=a,dc=b"),
            ("ldap+tls://d/dc=a", "ldap+starttls://d:389/dc=a"),
            ("ldapi:///", "ldapi://%2Frun%2Fslapd%2Fldapi"),
            ("ldapi://cn=a:pw@%2Frun%2Fs", "ldapi://cn=a@%2Frun%2Fs"),
        ] {
            assert_eq!(target(url).to_string(), shown, "{url}");
        }
    }
}
