//! TLS for https, rediss, Postgres and tls: one configuration, and what each target says itself.

mod algorithms;
mod certificate;
pub(crate) mod connection;
mod failure;
mod files;
mod names;
mod roots;
mod verify;

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, SignatureScheme, SupportedProtocolVersion};

use crate::net::attempt::Attempt;
use crate::net::connection::Connection;
use crate::net::steps::StepKind;
use crate::net::stream::Stream;
use crate::net::tls_settings::{CertificateCheck, Handshake, NamedFile, TlsFailure, TlsFiles, TlsOptions, TlsVersion};
use crate::wait::outcome::{Kind, NotReady, Stage};
use connection::{TlsConnection, handshake};
use failure::words;
use files::{READ, ReadFile};
use names::WantedHost;
use roots::Roots;
use verify::{Findings, Verifier};

/// The TLS options, read.
#[derive(Debug)]
pub(crate) struct Tls {
    /// From `--tls-ca`.
    extra: Roots,
    /// From `SSL_CERT_FILE`.
    configured: Option<Roots>,
    identity: Option<Arc<CertifiedKey>>,
    /// The roots in the files that targets name as CAs.
    of_targets: HashMap<PathBuf, Roots>,
    /// The identities in the files that targets name as certificate and key.
    identities: HashMap<(PathBuf, PathBuf), Arc<CertifiedKey>>,
    /// `--tls-insecure`
    check: Option<CertificateCheck>,
    roots: OnceLock<Arc<Roots>>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    /// Reads the files that the options name, and those of targets, each with the target's label.
    ///
    /// # Errors
    ///
    /// Names the option or variable, or the target and its key, the file, and what is wrong with it.
    pub(crate) fn load(
        options: &TlsOptions,
        named: &[(String, TlsFiles<'_>)],
        read: ReadFile<'_>,
    ) -> Result<Self, String> {
        let provider = ring::default_provider();
        let roots =
            |source: &str, path: &Path| Roots::in_file(path, read).map_err(|problem| format!("{source}: {problem}"));
        let extra = options.ca.as_deref().map(|path| roots("--tls-ca", path)).transpose()?.unwrap_or_default();
        let configured = options.roots.as_deref().map(|path| roots("SSL_CERT_FILE", path)).transpose()?;
        let identity = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => Some(identity(cert, key, ["--tls-cert: ", "--tls-key: "], &provider, read)?),
            _ => None,
        };
        let mut tls = Self {
            extra,
            configured,
            identity,
            of_targets: HashMap::new(),
            identities: HashMap::new(),
            check: options.check,
            roots: OnceLock::new(),
            provider: Arc::new(provider),
        };
        for (target, files) in named {
            tls.add(files, read).map_err(|problem| format!("target {target}: {problem}"))?;
        }
        Ok(tls)
    }

    /// Reads the files that a target names.
    fn add(&mut self, files: &TlsFiles<'_>, read: ReadFile<'_>) -> Result<(), String> {
        for NamedFile { key, path, is_optional } in &files.ca {
            if self.of_targets.contains_key(*path) {
                continue;
            }
            if *is_optional && read(path).is_err_and(|error| is_missing(&error)) {
                continue;
            }
            let roots = Roots::in_file(path, read).map_err(|problem| format!("`{key}`: {problem}"))?;
            self.of_targets.insert((*path).to_owned(), roots);
        }
        if let Some([cert, key]) = files.identity.as_ref().filter(|[cert, key]| !is_left_out(cert, key, read)) {
            let sources = [format!("`{}`: ", cert.key), format!("`{}`: ", key.key)];
            let identity = identity(cert.path, key.path, sources.each_ref().map(String::as_str), &self.provider, read)?;
            self.identities.insert((cert.path.to_owned(), key.path.to_owned()), identity);
        }
        Ok(())
    }

    /// Whether a target's certificate and key have been read.
    pub(crate) fn has_read(&self, cert: &Path, key: &Path) -> bool {
        self.identities.contains_key(&(cert.to_owned(), key.to_owned()))
    }

    /// The roots: those of `SSL_CERT_FILE`, else the system's, else Mozilla's; and `--tls-ca`.
    fn roots(&self) -> Arc<Roots> {
        let load = || {
            let mut roots = self.configured.clone().unwrap_or_else(Roots::of_system);
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
    pub(crate) fn connect(
        &self,
        connection: Connection,
        settings: &Handshake<'_>,
        attempt: &Attempt,
    ) -> Result<Stream, TlsFailure> {
        let findings = Arc::new(Findings::default());
        let config = self.config(settings, &findings)?;
        let conn = ClientConnection::new(Arc::new(config), server_name(settings.name))
            .map_err(|error| NotReady::new(Kind::TlsFailed, words(&error.to_string())))?;
        attempt.enter(Stage::TlsHandshake);
        let stream = handshake(conn, connection, settings, findings, attempt);
        attempt.steps().note(StepKind::Tls, || match &stream {
            Ok(stream) => described(stream),
            Err(failed) => format!("failed: {}", failed.failure.reason),
        });
        let stream = stream?;
        attempt.enter(Stage::Exchanging);
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Whether `--tls-cert` names a certificate.
    pub(crate) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether `--tls-ca` names a CA.
    pub(crate) fn has_ca(&self) -> bool {
        !self.extra.is_empty()
    }

    fn config(&self, settings: &Handshake<'_>, findings: &Arc<Findings>) -> Result<ClientConfig, NotReady> {
        let unusable = |problem: String| NotReady::new(Kind::CertificateRejected, problem);
        let check = settings.check.or(self.check).unwrap_or(settings.usual_check);
        let roots = match check {
            CertificateCheck::Nothing => Arc::default(),
            CertificateCheck::Chain | CertificateCheck::ChainAndName => self.roots_for(settings).map_err(unusable)?,
        };
        let verifier = Verifier {
            check,
            host: WantedHost::new(settings.name),
            roots,
            option: if settings.rootcert.is_some() { "sslrootcert" } else { "--tls-ca" },
            findings: Arc::clone(findings),
        };
        let own = settings.identity.map(|(cert, key)| self.identity_in(cert, key)).transpose();
        let key = own.map_err(unusable)?.or_else(|| self.identity.clone());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions(settings)?)
            .map_err(|error| NotReady::new(Kind::TlsFailed, words(&error.to_string())))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(ClientCertificate { key, findings: Arc::clone(findings) }));
        config.resumption = Resumption::disabled();
        config.enable_sni = settings.sends_name;
        config.alpn_protocols = settings.protocol.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }

    fn roots_for(&self, settings: &Handshake<'_>) -> Result<Arc<Roots>, String> {
        let mut roots = match settings.rootcert {
            Some(path) => Arc::new(self.roots_in(path)?),
            None => self.roots(),
        };
        if let Some(path) = settings.ca {
            Arc::make_mut(&mut roots).extend(&self.roots_in(path)?);
        }
        Ok(roots)
    }

    /// As they were read at the start; those that no target names (libpq's own in the home directory) as they are now.
    fn roots_in(&self, path: &Path) -> Result<Roots, String> {
        self.of_targets.get(path).map_or_else(|| Roots::in_file(path, READ), |roots| Ok(roots.clone()))
    }

    /// In the same way.
    fn identity_in(&self, cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, String> {
        let there = self.identities.get(&(cert.to_owned(), key.to_owned()));
        there.map_or_else(|| identity(cert, key, ["", ""], &self.provider, READ), |identity| Ok(Arc::clone(identity)))
    }
}

/// The version, the certificate and who vouched for it.
fn described(connection: &TlsConnection) -> String {
    let conn = &connection.stream.conn;
    let version = match conn.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    let leaf = conn.peer_certificates().and_then(|chain| chain.first());
    let Some(leaf) = leaf.and_then(|der| certificate::Certificate::read(der)) else {
        return format!("{version}, a certificate that cannot be read");
    };
    let names = names::all(&leaf).join(", ");
    let issuer = certificate::shown_name(leaf.issuer).unwrap_or_default();
    let now = crate::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = (leaf.validity.not_after - i64::try_from(now).unwrap_or(i64::MAX)).div_euclid(24 * 60 * 60);
    let voucher = connection.findings.voucher.get().map_or("not verified", String::as_str);
    format!("{version}, a certificate for {names}, issued by {issuer}, {days} days left, vouched for by: {voucher}")
}

/// The versions within the limits that this build has.
fn versions(settings: &Handshake<'_>) -> Result<&'static [&'static SupportedProtocolVersion], NotReady> {
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

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Whether a target does without a certificate of its own: the file is not there, or it should hold the key too and is
/// a CA alone (Prisma's `sslcert`).
fn is_left_out(cert: &NamedFile<'_>, key: &NamedFile<'_>, read: ReadFile<'_>) -> bool {
    let holds_no_key = |pem: Vec<u8>| cert.path == key.path && !pem.windows(11).any(|part| part == b"PRIVATE KEY");
    cert.is_optional && read(cert.path).map_or_else(|error| is_missing(&error), holds_no_key)
}

/// The client's certificate with its key. Of which version it is does not matter: the server judges it.
fn identity(
    cert: &Path,
    key: &Path,
    [cert_source, key_source]: [&str; 2],
    provider: &CryptoProvider,
    read: ReadFile<'_>,
) -> Result<Arc<CertifiedKey>, String> {
    let chain = files::certificates(cert, read).map_err(|problem| format!("{cert_source}{problem}"))?;
    let secret = files::private_key(key, read).map_err(|problem| format!("{key_source}{problem}"))?;
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
struct ClientCertificate {
    key: Option<Arc<CertifiedKey>>,
    findings: Arc<Findings>,
}

impl ResolvesClientCert for ClientCertificate {
    /// Whatever CAs the server names: it may name others than it takes (OpenSSL sends its own all the same).
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.findings.wants_certificate.store(true, Ordering::Relaxed);
        self.findings.lacks_certificate.store(self.key.is_none(), Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

/// The name that is sent; an address, and what is no name that can be sent, is not.
fn server_name(host: &str) -> ServerName<'static> {
    ServerName::try_from(names::bare(host).to_owned())
        .unwrap_or_else(|_| ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()))
}
