//! TLS for https, rediss, Postgres and tls: one configuration, and what each target says itself.

mod algorithms;
mod certificate;
mod failure;
mod files;
mod names;
mod verify;

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, SignatureScheme, StreamOwned, SupportedProtocolVersion};

use super::tls_settings::{EndPoint, Fallback, Settings, TlsFailure};
use super::{Budget, Connection, Stream, io_failure};
use crate::config::{TlsOptions, Verification};
use crate::endpoint::CertificateCheck;
use crate::endpoint::postgres::TlsVersion;
use crate::outcome::{Kind, NotReady, Stage};
use failure::{Context, words};
use names::Host;
use verify::{Findings, Roots, Verifier};

/// Where distributions keep their bundle of roots.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The TLS options, read.
#[derive(Debug)]
pub struct Tls {
    /// From `--tls-ca`.
    extra: Roots,
    /// From `SSL_CERT_FILE`.
    configured: Option<Roots>,
    identity: Option<Arc<CertifiedKey>>,
    verification: Verification,
    roots: OnceLock<Arc<Roots>>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    /// Reads the files that the options name.
    ///
    /// # Errors
    ///
    /// Names the option or variable, the file, and what is wrong with it.
    pub fn load(options: &TlsOptions) -> Result<Self, String> {
        let provider = ring::default_provider();
        let named = |source: &str, path: &Path| roots_in(path).map_err(|problem| format!("{source}: {problem}"));
        let extra = options.ca.as_deref().map(|path| named("--tls-ca", path)).transpose()?.unwrap_or_default();
        let configured = options.roots.as_deref().map(|path| named("SSL_CERT_FILE", path)).transpose()?;
        let identity = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => Some(identity(cert, key, ["--tls-cert: ", "--tls-key: "], &provider)?),
            _ => None,
        };
        let (verification, provider) = (options.verification, Arc::new(provider));
        Ok(Self { extra, configured, identity, verification, roots: OnceLock::new(), provider })
    }

    /// The roots: those of `SSL_CERT_FILE`, else the system's, else Mozilla's; and `--tls-ca`.
    fn roots(&self) -> Arc<Roots> {
        let load = || {
            let mut roots = self.configured.clone().unwrap_or_else(|| {
                let bundle = BUNDLES.iter().find_map(|path| roots_in(Path::new(path)).ok());
                bundle.unwrap_or_else(Roots::built_in)
            });
            roots.extend(&self.extra);
            Arc::new(roots)
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
        let findings = Arc::new(Findings::default());
        let (config, has_identity) = self.config(settings, &findings)?;
        let conn = ClientConnection::new(Arc::new(config), server_name(settings.name))
            .map_err(|error| NotReady::new(Kind::TlsFailed, words(&error.to_string())))?;
        budget.enter(Stage::TlsHandshake);
        let stream = handshake(conn, connection, settings, &findings, has_identity, budget)?;
        budget.enter(Stage::Exchanging);
        Ok(Stream::Tls(Box::new(TlsConnection { stream, findings, has_identity, has_answered: false })))
    }

    /// Whether `--tls-cert` names a certificate.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether `--tls-ca` names a CA.
    pub fn has_ca(&self) -> bool {
        !self.extra.is_empty()
    }

    fn config(&self, settings: &Settings<'_>, findings: &Arc<Findings>) -> Result<(ClientConfig, bool), NotReady> {
        let unusable = |problem: String| NotReady::new(Kind::CertificateRejected, problem);
        let check = settings.check.unwrap_or(match self.verification {
            Verification::On => settings.usual_check,
            Verification::Off => CertificateCheck::Nothing,
        });
        let roots = match check {
            CertificateCheck::Nothing => Arc::default(),
            CertificateCheck::Chain | CertificateCheck::ChainAndName => self.roots_for(settings).map_err(unusable)?,
        };
        let verifier = Verifier {
            check,
            host: Host::new(settings.name),
            roots,
            option: if settings.rootcert.is_some() { "sslrootcert" } else { "--tls-ca" },
            findings: Arc::clone(findings),
        };
        let own = settings.identity.map(|(cert, key)| identity(cert, key, ["", ""], &self.provider)).transpose();
        let key = own.map_err(unusable)?.or_else(|| self.identity.clone());
        let has_identity = key.is_some();
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions(settings)?)
            .map_err(|error| NotReady::new(Kind::TlsFailed, words(&error.to_string())))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Client { key, findings: Arc::clone(findings) }));
        config.resumption = Resumption::disabled();
        config.enable_sni = settings.sends_name;
        config.alpn_protocols = settings.protocol.iter().map(|protocol| protocol.to_vec()).collect();
        Ok((config, has_identity))
    }

    fn roots_for(&self, settings: &Settings<'_>) -> Result<Arc<Roots>, String> {
        let mut roots = match settings.rootcert {
            Some(path) => Arc::new(roots_in(path)?),
            None => self.roots(),
        };
        if let Some(path) = settings.ca {
            Arc::make_mut(&mut roots).extend(&roots_in(path)?);
        }
        Ok(roots)
    }
}

fn roots_in(path: &Path) -> Result<Roots, String> {
    let mut roots = Roots::default();
    roots.add(&files::certificates(path)?);
    Ok(roots)
}

/// The versions within the limits that this build has.
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

/// The client's certificate with its key. Of which version it is does not matter: the server judges it.
fn identity(
    cert: &Path,
    key: &Path,
    [cert_source, key_source]: [&str; 2],
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, String> {
    let chain = files::certificates(cert).map_err(|problem| format!("{cert_source}{problem}"))?;
    let secret = files::private_key(key).map_err(|problem| format!("{key_source}{problem}"))?;
    let own = chain.first().and_then(|der| certificate::public_key(der));
    let Ok(signing) = provider.key_provider.load_private_key(secret) else {
        let kind = own.and_then(certificate::key_name).map_or(String::new(), |name| format!(" ({name})"));
        let path = key.display();
        return Err(format!(
            "{key_source}the key in {path} is of a kind that this build cannot sign with{kind}: use RSA of 2,048 bits or more, P-256, P-384 or Ed25519"
        ));
    };
    // The public key is known with every kind of key; if it were not, the server would judge it.
    if signing.public_key().is_some_and(|public| own.is_some_and(|own| own != public.as_ref())) {
        return Err(format!("{key_source}the key in {} is not that of the certificate", key.display()));
    }
    Ok(Arc::new(CertifiedKey::new(chain, signing)))
}

/// The client's certificate, if it has one, for a server that asks.
#[derive(Debug)]
struct Client {
    key: Option<Arc<CertifiedKey>>,
    findings: Arc<Findings>,
}

impl ResolvesClientCert for Client {
    /// Whatever CAs the server names: it may name others than it takes (OpenSSL sends its own all the same).
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.findings.wants_certificate.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

/// The name that is sent; an address, and what is no name that can be sent, is not.
fn server_name(host: &str) -> ServerName<'static> {
    let host = host.split('%').next().unwrap_or(host).trim_end_matches('.');
    ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()))
}

/// A connection that remembers the first bytes of the peer, which tell what it speaks.
struct Watched {
    connection: Connection,
    first: Vec<u8>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const ENOUGH: usize = 64;
        let n = self.connection.read(buffer)?;
        let more = n.min(ENOUGH.saturating_sub(self.first.len()));
        self.first.extend_from_slice(&buffer[..more]);
        Ok(n)
    }
}

fn handshake(
    mut conn: ClientConnection,
    connection: Connection,
    settings: &Settings<'_>,
    findings: &Findings,
    has_identity: bool,
    budget: &Budget,
) -> Result<StreamOwned<ClientConnection, Connection>, TlsFailure> {
    let mut watched = Watched { connection, first: Vec::new() };
    let ended = drive(&mut conn, &mut watched);
    let Err(error) = ended else { return Ok(StreamOwned::new(conn, watched.connection)) };
    let context = Context {
        first: &watched.first,
        is_chosen: conn.negotiated_cipher_suite().is_some(),
        lacks_certificate: findings.wants_certificate.load(Ordering::Relaxed) && !has_identity,
        protocol: settings.protocol,
        name: settings.name,
        is_limited: settings.min_version.is_some() || settings.max_version.is_some(),
    };
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => Err(context.failure(tls)),
        None if error.kind() == io::ErrorKind::TimedOut => Err(budget.timed_out().into()),
        None => Err(TlsFailure { failure: context.closed(io_failure(&error, budget)), fallback: Fallback::Allowed }),
    }
}

/// Up to the end of the handshake. What the server said before it closed comes before what failed on our side:
/// a write into a connection that it has closed already hides its alert.
fn drive(conn: &mut ClientConnection, watched: &mut Watched) -> io::Result<()> {
    loop {
        let mut broken = None;
        while conn.wants_write() && broken.is_none() {
            broken = conn.write_tls(&mut watched.connection).err();
        }
        if broken.is_none() && !conn.is_handshaking() {
            return Ok(());
        }
        match (conn.read_tls(watched), broken) {
            (Ok(0), None) => return Err(io::ErrorKind::UnexpectedEof.into()),
            (Ok(0) | Err(_), Some(broken)) => return Err(broken),
            (Err(error), None) => return Err(error),
            (Ok(_), _) => {}
        }
        if let Err(error) = conn.process_new_packets() {
            // The alert that tells the server why.
            drop(conn.write_tls(&mut watched.connection));
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
}

/// A connection through TLS.
#[derive(Debug)]
pub struct TlsConnection {
    stream: StreamOwned<ClientConnection, Connection>,
    findings: Arc<Findings>,
    has_identity: bool,
    has_answered: bool,
}

impl TlsConnection {
    /// The connection beneath.
    pub fn connection(&self) -> &Connection {
        &self.stream.sock
    }

    /// The same, to change.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.stream.sock
    }

    /// Tells the peer that nothing more comes, and gives the connection beneath.
    pub fn finish(mut self) -> Connection {
        self.stream.conn.send_close_notify();
        drop(self.stream.flush());
        self.stream.sock
    }

    /// Whether the server proved that it holds the key of its certificate: [`EndPoint::Unproven`].
    fn is_key_proven(&self) -> bool {
        self.findings.is_key_proven.load(Ordering::Relaxed)
    }

    /// An I/O error with what TLS knows of its cause: under TLS 1.3 a server that refuses the client's
    /// certificate says so after the handshake.
    fn explained(&mut self, error: io::Error) -> io::Error {
        use io::ErrorKind as Kind;
        let is_broken = matches!(error.kind(), Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted);
        let error = if is_broken { self.last_words().unwrap_or(error) } else { error };
        let context = Context {
            first: &[],
            is_chosen: true,
            lacks_certificate: self.findings.wants_certificate.load(Ordering::Relaxed) && !self.has_identity,
            protocol: None,
            name: "",
            is_limited: false,
        };
        let explanation = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => context.failure(tls).failure,
            None if context.lacks_certificate
                && !self.has_answered
                && (is_broken || error.kind() == Kind::UnexpectedEof) =>
            {
                context.closed(super::closed())
            }
            None => return error,
        };
        io::Error::new(Kind::InvalidData, explanation)
    }

    /// The alert that the server sent before it closed.
    fn last_words(&mut self) -> Option<io::Error> {
        while self.stream.conn.read_tls(&mut self.stream.sock).is_ok_and(|n| n > 0) {
            if let Err(error) = self.stream.conn.process_new_packets() {
                return Some(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        None
    }
}

impl Read for TlsConnection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Ok(n) => {
                self.has_answered |= n > 0;
                Ok(n)
            }
            Err(error) => Err(self.explained(error)),
        }
    }
}

impl Write for TlsConnection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer).map_err(|error| self.explained(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().map_err(|error| self.explained(error))
    }
}

/// The reason within an I/O error that TLS caused.
pub(super) fn failure_within(error: &io::Error) -> Option<NotReady> {
    error.get_ref()?.downcast_ref::<NotReady>().cloned()
}

/// The data for tls-server-end-point channel binding (RFC 5929, section 4): the hash of the server's
/// certificate, by its signature's hash, or SHA-256 where that is MD5 or SHA-1.
///
/// `None` where the algorithm leaves it undefined (Ed25519).
pub fn server_end_point(connection: &TlsConnection) -> Option<EndPoint> {
    use certificate::{Certificate, Hash};
    if !connection.is_key_proven() {
        return Some(EndPoint::Unproven);
    }
    let certificate = connection.stream.conn.peer_certificates()?.first()?;
    let algorithm = match certificate::signature_hash(Certificate::read(certificate)?.algorithm)? {
        Hash::Old | Hash::Sha256 => &::ring::digest::SHA256,
        Hash::Sha384 => &::ring::digest::SHA384,
        Hash::Sha512 => &::ring::digest::SHA512,
    };
    Some(EndPoint::Hash(::ring::digest::digest(algorithm, certificate).as_ref().to_vec()))
}
