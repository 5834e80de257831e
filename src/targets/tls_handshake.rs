//! `tls://HOST:PORT`: a handshake whose certificate verifies.

use std::fmt;

use crate::net::tls::Tls;
use crate::net::tls_settings::{Encryption, Handshake, TargetTls, TlsFiles};
use crate::net::{self, Address, Attempt, Place, TimedStream};
use crate::targets::redis::{self, Redis};
use crate::targets::shared::kind::{Form, Probe, Scheme, TargetKind};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::tls;
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
    /// Where it listens.
    pub(crate) address: Address,
    /// The target's own TLS settings.
    pub(crate) tls: TargetTls,
}

impl TlsHandshake {
    fn from_url(rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let parts = url::split(rest, Userinfo::UntilSlashOrQuery)?;
        if parts.userinfo.is_some() || !matches!(parts.path, "" | "/") || parts.query.is_some() {
            return Err("a tls target is tls://HOST:PORT and nothing more".to_owned());
        }
        let (host, port) = url::host_and_port(parts.hosts)?;
        let port = port.ok_or("it has no port; write tls://HOST:PORT")?;
        Ok(Self { address: Address { host, port }, tls: tls::take(TargetTls::default(), &mut reading.expectations)? })
    }
}

impl Probe for TlsHandshake {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn run(&self, _: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        let connection = net::connect(&Place::Tcp(self.address.clone()), attempt)?;
        let mut stream = tls.connect(connection, &Handshake::new(&self.address.host, &self.tls), attempt)?;
        stream.hear_refusal(attempt)?;
        stream.close();
        Ok(Ready::new("the TLS handshake succeeded"))
    }

    fn only_place(&self) -> Option<Place> {
        Some(Place::Tcp(self.address.clone()))
    }

    fn tls_use(&self) -> Encryption {
        Encryption::Always
    }

    fn tls_files(&self) -> Vec<TlsFiles<'_>> {
        vec![self.tls.files()]
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls://{}", self.address)
    }
}
