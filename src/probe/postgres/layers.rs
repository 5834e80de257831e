//! With or without TLS: what is tried, and how TLS is agreed on.

use std::path::Path;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use std::io::{Read, Write};

use super::LayerFailure;
use super::session::{Session, wrong_protocol};
use super::wire::BackendMessage;
use crate::endpoint::postgres::{Host, Negotiation, SslMode};
use crate::endpoint::{CertificateCheck, Place, Postgres};
use crate::net::tls::Tls;
use crate::net::tls_settings::{EndPoint, Fallback, Settings, TlsFailure};
use crate::net::{self, Budget, Connection, Stream};
use crate::outcome::{Kind, NotReady, excerpt};

/// The protocol that a handshake without `SSLRequest` must agree on ("SSL Session Encryption").
const ALPN: &[u8] = b"postgresql";

/// One thing that may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// Without TLS.
    Plain,
    /// With TLS, or else without on the same connection.
    TlsIfOffered,
    /// With TLS.
    Tls,
}

/// What `sslmode` lets be tried, in order.
pub(super) fn layers(mode: SslMode, place: &Place) -> &'static [Layer] {
    match (mode, place) {
        (SslMode::Disable, _) | (_, Place::Unix(_)) => &[Layer::Plain],
        _ if cfg!(not(feature = "tls")) => &[Layer::Plain],
        (SslMode::Allow, _) => &[Layer::Plain, Layer::Tls],
        (SslMode::Prefer, _) => &[Layer::TlsIfOffered, Layer::Plain],
        (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, _) => &[Layer::Tls],
    }
}

/// A stream over which the session can begin.
pub(super) struct Secured {
    pub(super) stream: Stream,
    /// Whether it is TLS.
    pub(super) is_tls: bool,
    /// Whether a certificate of ours was at hand for the server.
    pub(super) shows_certificate: bool,
    /// What SCRAM can be bound to.
    pub(super) binding: Option<EndPoint>,
}

impl Secured {
    fn plain(stream: Stream) -> Self {
        Self { stream, is_tls: false, shows_certificate: false, binding: None }
    }
}

/// Makes of a connection what `layer` asks for.
pub(super) fn secure(
    target: &Postgres,
    host: &Host,
    layer: Layer,
    connection: Connection,
    tls: &Tls,
    budget: &Budget,
) -> Result<Secured, LayerFailure> {
    if layer == Layer::Plain {
        return Ok(Secured::plain(Stream::Plain(connection)));
    }
    let mut stream = Stream::Plain(connection);
    if target.sslnegotiation == Negotiation::Postgres {
        match request(&mut stream, budget)? {
            b'S' => {}
            b'N' if layer == Layer::TlsIfOffered => return Ok(Secured::plain(stream)),
            b'N' => {
                let reason = "the server has no TLS, and sslmode wants it";
                return Err(NotReady::new(Kind::TlsRefused, reason).into());
            }
            // Before it can fork, a server answers with an error. libpq does not go on without TLS then.
            b'E' => return Err(early_error(stream, budget).into()),
            other => {
                let mut bytes = vec![other];
                let mut more = [0; 64];
                if let Ok(n) = stream.read(&mut more) {
                    bytes.extend_from_slice(&more[..n]);
                }
                return Err(wrong_protocol(&bytes).into());
            }
        }
    }
    handshake(target, host, stream, tls, budget).map_err(|TlsFailure { failure, fallback }| LayerFailure {
        failure,
        try_next: layer == Layer::TlsIfOffered && fallback == Fallback::Allowed,
    })
}

/// `SSLRequest`, and the one byte that answers it.
fn request(stream: &mut Stream, budget: &Budget) -> Result<u8, NotReady> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    let mut answer = [0];
    match stream.write_all(&request).and_then(|()| stream.read(&mut answer)) {
        Err(error) => Err(net::io_failure(&error, budget)),
        Ok(0) => Err(net::closed()),
        Ok(_) => Ok(answer[0]),
    }
}

/// The error that begins with the `E` that was read. Whatever follows, the server has ended it.
fn early_error(stream: Stream, budget: &Budget) -> NotReady {
    let mut session = Session::new(stream, budget);
    session.buffer.extend_from_slice(b"E");
    let cause = match session.receive() {
        Ok(BackendMessage::Error(error)) => format!("{} ({})", excerpt(&error.message), error.sqlstate),
        Err(failure) if failure.kind == Kind::NotAccepting => failure.reason,
        Ok(_) | Err(_) => "it is out of processes or memory".to_owned(),
    };
    NotReady::new(Kind::NotAccepting, format!("the server ended the connection before TLS: {cause}"))
}

fn handshake(
    target: &Postgres,
    host: &Host,
    stream: Stream,
    tls: &Tls,
    budget: &Budget,
) -> Result<Secured, TlsFailure> {
    let connection = stream.into_connection();
    let home = |name: &str| target.ssl_home.as_deref().map(|home| home.join(name)).filter(|path| path.exists());
    let own = Settings::new(&host.name, &target.tls);
    let home_root = home("root.crt").filter(|_| target.sslrootcert.is_none() && own.ca.is_none());
    let is_system = target.sslrootcert.as_deref().is_some_and(|path| path == "system");
    // What sslmode does not verify, libpq lets pass although the file is not there.
    let is_verified = matches!(target.sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
    let rootcert = target.sslrootcert.as_deref().filter(|_| !is_system).filter(|path| is_verified || path.exists());
    let rootcert = rootcert.or(home_root.as_deref());
    // libpq: with a CA at hand, `require` is as strict as `verify-ca`.
    let has_ca = rootcert.is_some() || own.ca.is_some() || tls.has_ca();
    let usual_check = match target.sslmode {
        _ if is_system => CertificateCheck::ChainAndName,
        SslMode::VerifyFull => CertificateCheck::ChainAndName,
        SslMode::VerifyCa => CertificateCheck::Chain,
        SslMode::Require if has_ca => CertificateCheck::Chain,
        SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => CertificateCheck::Nothing,
    };
    let home_identity = home("postgresql.crt").zip(home("postgresql.key"));
    let identity = target
        .sslcert
        .as_deref()
        .map(|cert| (cert, target.sslkey.as_deref().unwrap_or(cert)))
        .or(own.identity)
        .or_else(|| home_identity.as_ref().map(|(cert, key)| (Path::new(cert), Path::new(key))));
    let settings = Settings {
        sends_name: target.sslsni,
        usual_check,
        rootcert,
        identity,
        protocol: (target.sslnegotiation == Negotiation::Direct).then_some(ALPN),
        min_version: target.ssl_min_protocol_version,
        max_version: target.ssl_max_protocol_version,
        ..own
    };
    let stream = tls.connect(connection, &settings, budget)?;
    let binding = end_point(&stream);
    Ok(Secured { stream, is_tls: true, shows_certificate: identity.is_some() || tls.has_identity(), binding })
}

#[cfg(feature = "tls")]
fn end_point(stream: &Stream) -> Option<EndPoint> {
    match stream {
        Stream::Tls(stream) => net::tls::server_end_point(stream),
        Stream::Plain(_) => None,
    }
}

#[cfg(not(feature = "tls"))]
fn end_point(_: &Stream) -> Option<EndPoint> {
    None
}
