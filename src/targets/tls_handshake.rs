//! `tls://HOST:PORT`: a handshake whose certificate verifies.

use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::net::{Address, Attempt, Place};
use crate::targets::redis::{self, Redis};
use crate::targets::shared::kind::{Form, Probe, Scheme, TargetKind};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::targets::shared::url::{self, Userinfo};
use crate::wait::outcome::{Outcome, Ready};
use crate::wait::policy::Goal;

/// A TLS handshake, and nothing more.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[Scheme::new(&["tls", "ssl", "tcp+tls", "tcps"]).tls()],
    forms: &[Form { url: "tls://HOST:PORT", ready: "a TLS handshake with a certificate that verifies", keys: &[] }],
    read: |written, reading| match written.rest.split_once('?') {
        // Predis'.
        Some((_, query)) if redis::has_parameters(query) => Ok(Box::new(Redis::from_url(written, reading)?)),
        _ => Ok(Box::new(TlsHandshake::from_url(written.rest, reading)?)),
    },
    ..TargetKind::USUAL
}];

/// A server that must have a certificate which verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsHandshake {
    server: Server,
}

impl TlsHandshake {
    fn from_url(rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let parts = url::split(rest, Userinfo::UntilSlashOrQuery)?;
        if parts.userinfo.is_some() || !matches!(parts.path, "" | "/") || parts.query.is_some() {
            return Err("a tls target is tls://HOST:PORT and nothing more".to_owned());
        }
        let (host, port) = url::host_and_port(parts.hosts)?;
        let port = port.ok_or("it has no port; write tls://HOST:PORT")?;
        let places = vec![Place::Tcp(Address { host, port })];
        let mut server = Server { encryption: Encryption::Always, ..Server::at("tls", places) };
        server.expect(reading)?;
        Ok(Self { server })
    }
}

impl Probe for TlsHandshake {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| {
            self.server.shake_hands(place, tls, attempt)?;
            Ok(Ready::new("the TLS handshake succeeded"))
        })
    }
}
