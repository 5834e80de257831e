//! One TLS configuration for https, rediss and Postgres.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

use super::tls_settings::{Fallback, Settings, TlsFailure};
use super::{Budget, Connection, Stream, io_failure};
use crate::config::{TlsOptions, Verification};
use crate::endpoint::postgres::TlsVersion;
use crate::endpoint::{CertificateCheck, TargetTls};
use crate::outcome::{Kind, NotReady, Stage, quoted};

/// A connection through TLS.
pub type TlsConnection = StreamOwned<ClientConnection, Connection>;

/// Where distributions keep their bundle of roots.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A client's certificate and its key.
#[derive(Debug)]
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// The TLS options, read.
#[derive(Debug)]
pub struct Tls {
    extra: Vec<CertificateDer<'static>>,
    configured_roots: Option<Vec<CertificateDer<'static>>>,
    identity: Option<Identity>,
    verification: Verification,
    roots: OnceLock<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    /// Reads the files that the options name.
    ///
    /// # Errors
    ///
    /// Names the option or variable, the file, and what is wrong with it.
    pub fn load(options: &TlsOptions) -> Result<Self, String> {
        let named = |source: &str, path: &Path| certificates(path).map_err(|problem| format!("{source}: {problem}"));
        let extra = options.ca.as_deref().map(|path| named("--tls-ca", path)).transpose()?.unwrap_or_default();
        let configured_roots = options.roots.as_deref().map(|path| named("SSL_CERT_FILE", path)).transpose()?;
        let identity = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => Some(Identity {
                chain: named("--tls-cert", cert)?,
                key: private_key(key).map_err(|problem| format!("--tls-key: {problem}"))?,
            }),
            _ => None,
        };
        let tls = Self {
            extra,
            configured_roots,
            identity,
            verification: options.verification,
            roots: OnceLock::new(),
            provider: Arc::new(ring::default_provider()),
        };
        if tls.identity.is_some() {
            let nothing = TargetTls { check: Some(CertificateCheck::Nothing), ..TargetTls::default() };
            let settings = Settings::new("", &nothing);
            tls.config(&settings).map_err(|failure| format!("--tls-cert: {}", failure.reason))?;
        }
        Ok(tls)
    }

    /// The roots: those of `SSL_CERT_FILE`, else the system's, else Mozilla's; and `--tls-ca`.
    fn roots(&self) -> Arc<RootCertStore> {
        let load = || {
            let mut store = RootCertStore::empty();
            match &self.configured_roots {
                Some(roots) => {
                    store.add_parsable_certificates(roots.iter().cloned());
                }
                None => {
                    let bundle = BUNDLES.iter().find_map(|path| certificates(Path::new(path)).ok());
                    store.add_parsable_certificates(bundle.unwrap_or_default());
                    if store.is_empty() {
                        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                    }
                }
            }
            store.add_parsable_certificates(self.extra.iter().cloned());
            Arc::new(store)
        };
        Arc::clone(self.roots.get_or_init(load))
    }

    /// A handshake as `settings` ask for it.
    ///
    /// # Errors
    ///
    /// Says which check or file failed, and the way out; and whether plain text may be tried instead.
    pub fn connect(
        &self,
        connection: Connection,
        settings: &Settings<'_>,
        budget: &Budget,
    ) -> Result<Stream, TlsFailure> {
        let config = self.config(settings)?;
        handshake(config, connection, settings.name, budget)
    }

    /// Whether `--tls-cert` names a certificate.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether `--tls-ca` names a CA.
    pub fn has_ca(&self) -> bool {
        !self.extra.is_empty()
    }

    fn config(&self, settings: &Settings<'_>) -> Result<Arc<ClientConfig>, NotReady> {
        let check = settings.check.unwrap_or(match self.verification {
            Verification::On => settings.usual_check,
            Verification::Off => CertificateCheck::Nothing,
        });
        let inner = match check {
            CertificateCheck::Nothing => None,
            CertificateCheck::Chain | CertificateCheck::ChainAndName => {
                let roots = self.roots_for(settings)?;
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider)).build();
                Some(verifier.map_err(|error| {
                    NotReady::new(Kind::CertificateRejected, format!("the CA certificates cannot be used: {error}"))
                })?)
            }
        };
        let verifier = Verifier { check, inner, provider: Arc::clone(&self.provider) };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions(settings)?)
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let own = settings.identity.map(|(cert, key)| Identity::read(cert, key)).transpose();
        let own = own.map_err(|problem| NotReady::new(Kind::CertificateRejected, problem))?;
        let mut config = match own.as_ref().or(self.identity.as_ref()) {
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(|error| unusable(&error))?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.enable_sni = settings.sends_name;
        config.alpn_protocols = settings.protocol.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn roots_for(&self, settings: &Settings<'_>) -> Result<Arc<RootCertStore>, NotReady> {
        let read = |path| certificates(path).map_err(|problem| NotReady::new(Kind::CertificateRejected, problem));
        let mut roots = self.roots();
        if let Some(path) = settings.rootcert {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(read(path)?);
            roots = Arc::new(store);
        }
        if let Some(path) = settings.ca {
            let mut store = RootCertStore::clone(&roots);
            store.add_parsable_certificates(read(path)?);
            roots = Arc::new(store);
        }
        Ok(roots)
    }
}

fn unusable(error: &rustls::Error) -> NotReady {
    NotReady::new(Kind::CertificateRejected, format!("the TLS settings cannot be used: {error}"))
}

/// The versions within these limits that this build has.
fn versions(settings: &Settings<'_>) -> Result<&'static [&'static SupportedProtocolVersion], NotReady> {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    let lowest = settings.min_version.unwrap_or(TlsVersion::V1_0);
    let highest = settings.max_version.unwrap_or(TlsVersion::V1_3);
    if lowest > highest {
        return Err(NotReady::new(Kind::Forbidden, "the lowest TLS version that is allowed is above the highest"));
    }
    match (lowest <= TlsVersion::V1_2, highest) {
        (true, TlsVersion::V1_3) => Ok(&BOTH),
        (false, TlsVersion::V1_3) => Ok(&BOTH[..1]),
        (true, TlsVersion::V1_2) => Ok(&BOTH[1..]),
        _ => {
            let reason = "only TLS 1.1 or older is allowed here, which this build does not speak: allow TLS 1.2";
            Err(NotReady::new(Kind::Forbidden, reason))
        }
    }
}

impl Identity {
    fn read(cert: &Path, key: &Path) -> Result<Self, String> {
        Ok(Self { chain: certificates(cert)?, key: private_key(key)? })
    }
}

/// Verifies as much as [`CertificateCheck`] says. Whatever it is, the server must prove that it holds the key
/// of its certificate, because channel binding rests on that.
struct Verifier {
    check: CertificateCheck,
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.check.fmt(f)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is checked last: the chain has been found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == CertificateCheck::Chain => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn handshake(
    config: Arc<ClientConfig>,
    mut connection: Connection,
    host: &str,
    budget: &Budget,
) -> Result<Stream, TlsFailure> {
    budget.enter(Stage::TlsHandshake);
    let host = host.split('%').next().unwrap_or(host).trim_end_matches('.');
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        NotReady::new(Kind::CertificateRejected, format!("no certificate can be valid for the name {host}"))
    })?;
    let mut conn = ClientConnection::new(config, name).map_err(|error| describe(&error))?;
    while conn.is_handshaking() {
        match conn.complete_io(&mut connection) {
            Ok((0, 0)) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let reason = "the peer closed the connection during the TLS handshake";
                return Err(TlsFailure::refused(NotReady::new(Kind::TlsFailed, reason)));
            }
            Err(error) => {
                return Err(TlsFailure { failure: io_failure(&error, budget), fallback: fallback_after(&error) });
            }
        }
    }
    budget.enter(Stage::Exchanging);
    Ok(Stream::Tls(Box::new(StreamOwned::new(conn, connection))))
}

/// Whether the server itself ended the handshake.
///
/// libpq goes on in plain text after any failure. We do so only where it would have failed with libpq's
/// OpenSSL too: these alerts say that the server has nothing in common with *this build*, which has
/// fewer algorithms and versions.
fn fallback_after(error: &io::Error) -> Fallback {
    use AlertDescription as Alert;
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(
            Alert::HandshakeFailure
            | Alert::InsufficientSecurity
            | Alert::ProtocolVersion
            | Alert::IllegalParameter
            | Alert::DecodeError
            | Alert::UnsupportedExtension
            | Alert::MissingExtension
            | Alert::UnexpectedMessage
            | Alert::NoApplicationProtocol,
        )) => Fallback::Never,
        Some(rustls::Error::AlertReceived(_)) => Fallback::Allowed,
        Some(_) => Fallback::Never,
        None if error.kind() == io::ErrorKind::TimedOut => Fallback::Never,
        None => Fallback::Allowed,
    }
}

/// The reason within an I/O error that TLS caused.
pub(super) fn failure_within(error: &io::Error) -> Option<NotReady> {
    error.get_ref()?.downcast_ref::<rustls::Error>().map(describe)
}

fn describe(error: &rustls::Error) -> NotReady {
    use CertificateError as Cert;
    let rejected = |reason: &str| NotReady::new(Kind::CertificateRejected, reason);
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            Cert::Expired | Cert::ExpiredContext { .. } => rejected("the server's certificate has expired: renew it"),
            Cert::NotValidYet | Cert::NotValidYetContext { .. } => {
                rejected("the server's certificate is not valid yet: is the clock right?")
            }
            Cert::UnknownIssuer => {
                rejected("the server's certificate is from an unknown CA: give that CA with --tls-ca FILE")
            }
            Cert::BadSignature => rejected(
                "the server's certificate is signed by a CA of the same name but with another key: give that CA with --tls-ca FILE",
            ),
            Cert::NotValidForName => rejected("the server's certificate is for another name"),
            Cert::NotValidForNameContext { expected, presented } => {
                let presented = quoted(presented.join(", ").as_bytes());
                rejected(&format!("the server's certificate is not for {} but for {presented}", expected.to_str()))
            }
            // `openssl req -x509` makes such. The verifier's own type of error is not within reach.
            Cert::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                rejected("the server's certificate is a CA's (CA:TRUE): issue one with basicConstraints=CA:FALSE")
            }
            other => rejected(&format!("the server's certificate does not verify: {other}")),
        },
        rustls::Error::InvalidMessage(_) => {
            NotReady::new(Kind::WrongProtocol, "the peer does not speak TLS on this port")
        }
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            // The signature on the certificate: its CA has the right name and another key.
            | AlertDescription::DecryptError
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied => rejected(&format!(
                "the server does not take this client's certificate (TLS alert {alert:?}): give one with --tls-cert and --tls-key"
            )),
            other => NotReady::new(Kind::TlsFailed, format!("the server ended the TLS handshake (alert {other:?})")),
        },
        other => NotReady::new(Kind::TlsFailed, format!("TLS failed: {}", quoted(other.to_string().as_bytes()))),
    }
}

/// The certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error: &dyn fmt::Display| format!("{} cannot be read: {error}", path.display());
    let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    if found.is_empty() {
        return Err(format!("{} holds no PEM certificate", path.display()));
    }
    // PEM around something else would be passed over, and the server's certificate be blamed.
    match RootCertStore::empty().add_parsable_certificates(found.iter().cloned()) {
        (0, _) => Err(format!("{} holds no certificate that can be read", path.display())),
        _ => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    // The error of the parser is left out: it might quote the key.
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| format!("{} holds no PEM private key", path.display()))
}

/// The data for tls-server-end-point channel binding (RFC 5929, section 4): the hash of the server's
/// certificate, by its signature's hash, or SHA-256 where that is MD5 or SHA-1.
///
/// `None` where the algorithm leaves it undefined (Ed25519).
pub fn server_end_point(stream: &TlsConnection) -> Option<Vec<u8>> {
    let certificate = stream.conn.peer_certificates()?.first()?;
    let algorithm = match signature_algorithm(certificate)?.as_str() {
        // md5WithRSA, sha1WithRSA, ecdsa-with-SHA1, sha256WithRSA, ecdsa-with-SHA256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2" => &::ring::digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &::ring::digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &::ring::digest::SHA512,
        _ => return None,
    };
    Some(::ring::digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, … }`
/// (RFC 5280, section 4.1).
fn signature_algorithm(certificate: &[u8]) -> Option<String> {
    use der::{Decode, Reader, SliceReader, asn1::AnyRef, asn1::ObjectIdentifier};
    let whole = AnyRef::from_der(certificate).ok()?;
    let mut fields = SliceReader::new(whole.value()).ok()?;
    AnyRef::decode(&mut fields).ok()?;
    let algorithm = AnyRef::decode(&mut fields).ok()?;
    let mut parts = SliceReader::new(algorithm.value()).ok()?;
    parts.decode::<ObjectIdentifier>().ok().map(|oid| oid.to_string())
}
