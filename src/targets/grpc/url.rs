//! gRPC servers, in URLs: `grpc://HOST:PORT/SERVICE`.

use crate::net::tls::Tls;
use crate::net::{Attempt, Place};
use crate::targets::shared::kind::{Probe, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::targets::shared::talk::Talk;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

/// The protocol that TLS agrees on (RFC 9113, section 3.2).
const ALPN: &[u8] = b"h2";

/// A server, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grpc {
    /// Where it listens.
    pub(super) server: Server,
    /// The service whose health is asked; none is the server's own.
    pub(super) service: Option<String>,
}

impl Grpc {
    pub(super) fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let (mut server, path) = Server::read(written, reading)?;
        server.alpn = Some(ALPN);
        Ok(Self { server, service: Some(path).filter(|path| !path.is_empty()) })
    }

    fn ask(&self, place: &Place, tls: &Tls, attempt: &Attempt) -> Outcome {
        // A socket's server has no name that anybody says.
        let authority = match place {
            Place::Tcp(address) => address.to_string(),
            Place::Unix(_) => "localhost".to_owned(),
        };
        let mut talk = Talk::new(self.server.connect(place, tls, attempt)?, super::PROTOCOL, attempt);
        let outcome = super::converse(&mut talk, self, &authority);
        talk.close();
        outcome
    }
}

impl Probe for Grpc {
    fn kind(&self) -> &'static TargetKind {
        &super::KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| self.ask(place, tls, attempt))
    }

    fn shown_path(&self) -> Option<&str> {
        self.service.as_deref()
    }
}
