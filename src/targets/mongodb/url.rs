//! MongoDB's connection strings ("Connection String URI Format" in its manual).

use std::fmt;

use crate::net::tls::Tls;
use crate::net::tls_settings::{CertificateCheck, Encryption};
use crate::net::{Attempt, Place};
use crate::targets::mongodb::ReadPreference;
use crate::targets::mongodb::srv::{self, Options};
use crate::targets::shared::hosts::first_ready;
use crate::targets::shared::kind::{Dialect, Probe, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::targets::shared::url;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

/// A MongoDB deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mongodb {
    /// Where it listens, and who logs in.
    pub(super) server: Server,
    /// The name whose SRV records are the servers (`mongodb+srv://`), and the name of the service.
    discovery: Option<(String, String)>,
    /// The database that the URL names.
    database: Option<String>,
    /// The mechanism of authentication that the URL names.
    pub(super) mechanism: Option<String>,
    /// The database that knows the user, where it is another.
    auth_source: Option<String>,
    /// The replica set that the server must belong to.
    pub(super) replica_set: Option<String>,
    /// Which members are used.
    pub(super) preference: ReadPreference,
    /// Whether the server that is named is asked, and no other.
    is_direct: bool,
    /// `loadBalanced`: it is a load balancer, and a server behind it answers.
    pub(super) is_balanced: bool,
}

impl Mongodb {
    pub(super) fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        // Some drivers take a `;` between options too.
        let rest = match written.rest.split_once('?') {
            Some((before, query)) if !query.contains('&') => format!("{before}?{}", query.replace(';', "&")),
            _ => written.rest.to_owned(),
        };
        let (server, path, query) = Server::from_url(&Written { rest: &rest, ..*written })?;
        if written.dialect != Dialect::Socket && host_of(&rest).is_empty() {
            return Err("it has no host; a socket is written mongodb://%2Ftmp%2Fmongodb-27017.sock".to_owned());
        }
        let mut target = Self {
            server,
            discovery: None,
            database: Some(path).filter(|path| !path.is_empty()),
            mechanism: None,
            auth_source: None,
            replica_set: None,
            preference: ReadPreference::default(),
            is_direct: false,
            is_balanced: false,
        };
        let (mut service, mut says_tls) = ("mongodb".to_owned(), false);
        for (key, value) in query {
            let name = key.to_ascii_lowercase();
            says_tls |= matches!(name.as_str(), "tls" | "ssl");
            match name.as_str() {
                "srvservicename" => service = value,
                name if target.take_parameter(name, &value) => {}
                _ if target.server.take_tls_parameter(&key, &value) => {}
                _ => reading.ignored.add(&key),
            }
        }
        if written.scheme.name() == "mongodb+srv" {
            target.discovery = Some((discovered_name(written.rest, &target.server)?, service));
            if !says_tls {
                target.server.encryption = Encryption::Always;
            }
        }
        target.server.expect(reading)?;
        Ok(target)
    }

    /// The database that knows the user.
    pub(super) fn source(&self) -> &str {
        self.auth_source.as_deref().or(self.database.as_deref()).unwrap_or("admin")
    }

    /// Asks `seeds`, with what the texts in DNS say where the URL says nothing.
    fn ask(&self, seeds: &[Place], texts: &Options, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        let target = Self {
            auth_source: self.auth_source.clone().or_else(|| texts.auth_source.clone()),
            replica_set: self.replica_set.clone().or_else(|| texts.replica_set.clone()),
            ..self.clone()
        };
        // Behind a load balancer there is nothing to discover.
        if self.is_direct || self.is_balanced {
            return first_ready(seeds, goal, attempt, |place, attempt| {
                self.server.talk_with(place, super::PROTOCOL, tls, attempt, |talk| super::converse(talk, &target))
            });
        }
        let connect = |place: &Place, attempt: &Attempt| self.server.connect(place, tls, attempt);
        super::discover(seeds, &target, goal, attempt, connect)
    }

    /// Takes a parameter, whose name is in small letters; gives whether it is one.
    fn take_parameter(&mut self, name: &str, value: &str) -> bool {
        let is_yes = value == "true";
        let tls = &mut self.server.tls;
        match name {
            "authsource" => self.auth_source = Some(value.to_owned()),
            "authmechanism" => self.mechanism = Some(value.to_owned()),
            "readpreference" => self.preference = ReadPreference::of(value).unwrap_or(self.preference),
            "directconnection" => self.is_direct |= is_yes,
            "loadbalanced" => self.is_balanced = is_yes,
            "replicaset" => self.replica_set = Some(value.to_owned()),
            "tls" | "ssl" => self.server.encryption = if is_yes { Encryption::Always } else { Encryption::Never },
            "tlscafile" | "ssl_ca_certs" | "sslcertificateauthorityfile" => tls.ca = Some(value.into()),
            "tlscertificatekeyfile" | "ssl_certfile" => tls.cert = Some(value.into()),
            "tlsinsecure" | "tlsallowinvalidcertificates" if is_yes => tls.check = Some(CertificateCheck::Nothing),
            "tlsallowinvalidhostnames" if is_yes => {
                tls.check.get_or_insert(CertificateCheck::Chain);
            }
            "tlsinsecure" | "tlsallowinvalidcertificates" | "tlsallowinvalidhostnames" => {}
            _ => return false,
        }
        true
    }
}

/// The hosts, behind the userinfo.
fn host_of(rest: &str) -> &str {
    let authority = url::authority(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The one name that `mongodb+srv://` has.
fn discovered_name(rest: &str, server: &Server) -> Result<String, String> {
    let host = host_of(rest);
    match server.places.as_slice() {
        [Place::Tcp(address)] if !host.contains(':') && !host.is_empty() => Ok(address.host.clone()),
        _ => Err("mongodb+srv:// names one host and no port: its servers and their ports stand in DNS".to_owned()),
    }
}

impl Probe for Mongodb {
    fn is_led_by_peers(&self) -> bool {
        true
    }

    fn kind(&self) -> &'static TargetKind {
        &super::KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        let Some((name, service)) = &self.discovery else {
            return self.ask(&self.server.places, &Options::default(), goal, tls, attempt);
        };
        let seeds = srv::servers(name, service, attempt)?;
        self.ask(&seeds, &srv::options(name, attempt)?, goal, tls, attempt)
    }

    fn only_place(&self) -> Option<Place> {
        if self.discovery.is_some() { None } else { self.server.only_place() }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.discovery {
            Some((name, _)) => self.server.write_as(f, "mongodb+srv", name, self.database.as_deref()),
            None => self.server.write(f, self.database.as_deref()),
        }
    }
}
