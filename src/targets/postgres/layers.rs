//! With or without TLS: what is tried, and how TLS is agreed on.

use std::path::Path;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::io::{Read, Write};

use crate::net::tls::Tls;
use crate::net::tls_settings::{CertificateCheck, Encryption, EndPoint, Fallback, Handshake, TlsFailure};
use crate::net::{self, Attempt, Place, Stream};
use crate::targets::postgres::session::PostgresSession;
use crate::targets::postgres::wire::BackendMessage;
use crate::targets::postgres::{Host, Negotiation, Postgres, SslMode};
use crate::wait::outcome::{Kind, NotReady};

/// The end of an attempt over one layer.
pub(super) struct LayerFailure {
    pub(super) failure: NotReady,
    /// Whether libpq would try the next layer: the server refused TLS itself, or its `pg_hba.conf`
    /// refused this one.
    pub(super) try_next: bool,
}

impl From<NotReady> for LayerFailure {
    fn from(failure: NotReady) -> Self {
        Self { failure, try_next: false }
    }
}

/// A probe of one host.
pub(super) struct HostProbe<'a> {
    pub(super) target: &'a Postgres,
    pub(super) host: &'a Host,
    pub(super) tls: &'a Tls,
    /// The time up to `ReadyForQuery`. As in libpq, `connect_timeout` counts for one host, and so far.
    pub(super) until_login: Attempt,
    /// The time for all of it.
    pub(super) whole: &'a Attempt,
}

/// The protocol that a handshake without `SSLRequest` must agree on ("SSL Session Encryption").
const ALPN: &[u8] = b"postgresql";

/// The ways to connect that `sslmode` allows, in order; `IfOffered` goes on without TLS on the same connection.
pub(crate) fn layers(mode: SslMode, place: &Place) -> &'static [Encryption] {
    match (mode, place) {
        (SslMode::Disable, _) | (_, Place::Unix(_)) => &[Encryption::Never],
        (SslMode::Allow, _) => &[Encryption::Never, Encryption::Always],
        (SslMode::Prefer, _) => &[Encryption::IfOffered, Encryption::Never],
        (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, _) => &[Encryption::Always],
    }
}

/// A stream over which the session can begin.
pub(crate) struct Secured {
    pub(crate) stream: Stream,
    /// Whether a certificate of ours was at hand for the server.
    pub(crate) shows_certificate: bool,
}

impl Secured {
    /// The data that SCRAM can be bound to.
    pub(crate) fn end_point(&self) -> Option<EndPoint> {
        match &self.stream {
            Stream::Tls(stream) => stream.end_point(),
            Stream::Plain(_) => None,
        }
    }
}

impl HostProbe<'_> {
    /// Connects as `layer` asks for.
    pub(super) fn connect(&self, layer: Encryption) -> Result<Secured, LayerFailure> {
        let mut stream = Stream::Plain(net::connect(&self.host.place, &self.until_login)?);
        if layer == Encryption::Never {
            return Ok(Secured { stream, shows_certificate: false });
        }
        if self.target.sslnegotiation == Negotiation::Postgres {
            match request(&mut stream, &self.until_login)? {
                b'S' => {}
                b'N' if layer == Encryption::IfOffered => return Ok(Secured { stream, shows_certificate: false }),
                b'N' => {
                    let reason = "the server has no TLS, and sslmode wants it";
                    return Err(NotReady::new(Kind::TlsRefused, reason).into());
                }
                // Before it can fork, a server answers with an error. libpq does not go on without TLS then.
                b'E' => return Err(early_error(stream, &self.until_login).into()),
                other => {
                    let mut talk = PostgresSession::new(stream, &self.until_login).talk.begun_with(&[other]);
                    drop(talk.read_more());
                    return Err(talk.wrong_protocol().into());
                }
            }
        }
        self.handshake(stream).map_err(|TlsFailure { failure, fallback }| LayerFailure {
            failure,
            try_next: layer == Encryption::IfOffered && fallback == Fallback::Allowed,
        })
    }

    fn handshake(&self, stream: Stream) -> Result<Secured, TlsFailure> {
        let Self { target, host, tls, .. } = self;
        let connection = stream.into_connection();
        let home = |name: &str| target.ssl_home.as_deref().map(|home| home.join(name)).filter(|path| path.exists());
        let own = Handshake::new(&host.name, &target.tls);
        let home_root = home("root.crt").filter(|_| target.sslrootcert.is_none() && own.ca.is_none());
        // A file that sslmode does not verify by may be absent, as in libpq.
        let rootcert = target.rootcert().filter(|path| target.sslmode.verifies() || path.exists());
        let rootcert = rootcert.or(home_root.as_deref());
        // libpq: with a CA at hand, `require` is as strict as `verify-ca`.
        let has_ca = rootcert.is_some() || own.ca.is_some() || tls.has_ca();
        let usual_check = match target.sslmode {
            SslMode::VerifyFull => CertificateCheck::ChainAndName,
            SslMode::VerifyCa => CertificateCheck::Chain,
            SslMode::Require if has_ca => CertificateCheck::Chain,
            SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => CertificateCheck::Nothing,
        };
        let home_identity = home("postgresql.crt").zip(home("postgresql.key")).filter(|_| target.sslcert.is_none());
        let identity = target
            .sslcert
            .as_deref()
            .map(|cert| (cert, target.sslkey.as_deref().unwrap_or(cert)))
            // A file that was not there, or is a CA alone, does not end the login.
            .filter(|(cert, key)| tls.has_read(cert, key))
            .or(own.identity)
            .or_else(|| home_identity.as_ref().map(|(cert, key)| (Path::new(cert), Path::new(key))));
        let settings = Handshake {
            sends_name: target.sslsni,
            usual_check,
            rootcert,
            identity,
            protocol: (target.sslnegotiation == Negotiation::Direct).then_some(ALPN),
            min_version: target.ssl_min_protocol_version,
            max_version: target.ssl_max_protocol_version,
            ..own
        };
        let stream = tls.connect(connection, &settings, &self.until_login)?;
        Ok(Secured { stream, shows_certificate: identity.is_some() || tls.has_identity() })
    }
}

/// `SSLRequest`, and the one byte that answers it.
fn request(stream: &mut Stream, attempt: &Attempt) -> Result<u8, NotReady> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    let mut answer = [0];
    match stream.write_all(&request).and_then(|()| stream.read(&mut answer)) {
        Err(error) => Err(net::io_failure(&error, attempt)),
        Ok(0) => Err(net::closed()),
        Ok(_) => Ok(answer[0]),
    }
}

/// The error that begins with the `E` that was read. Whatever follows, the server has ended it.
fn early_error(stream: Stream, attempt: &Attempt) -> NotReady {
    let mut session = PostgresSession::new(stream, attempt);
    session.talk = session.talk.begun_with(b"E");
    let cause = match session.receive() {
        Ok(BackendMessage::Error(error)) => error.shown(),
        Err(failure) if failure.kind == Kind::NotAccepting => failure.reason,
        Ok(_) | Err(_) => "it is out of processes or memory".to_owned(),
    };
    NotReady::new(Kind::NotAccepting, format!("the server ended the connection before TLS: {cause}"))
}
