//! What TLS is asked for, by the options, by a target and by one handshake, and how a handshake fails.

use std::path::{Path, PathBuf};

use crate::wait::outcome::NotReady;

/// `--tls-*`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsOptions {
    /// `--tls-ca`: added to the roots.
    pub(crate) ca: Option<PathBuf>,
    /// `--tls-cert`
    pub(crate) cert: Option<PathBuf>,
    /// `--tls-key`
    pub(crate) key: Option<PathBuf>,
    /// `--tls-insecure`: nothing is checked, unless a target says otherwise.
    pub(crate) check: Option<CertificateCheck>,
    /// `SSL_CERT_FILE`: the roots, instead of the system's bundle.
    pub(crate) roots: Option<PathBuf>,
}

/// When TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// Never.
    Never,
    /// Where the server offers or wants it, or leads to one that does.
    IfOffered,
    /// Else the server is refused.
    Always,
}

/// The checks of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificateCheck {
    /// Nothing but that the server holds its key.
    Nothing,
    /// The chain up to a root.
    Chain,
    /// The chain, and that it names the host.
    ChainAndName,
}

/// A target's own word about TLS. It counts for that target alone, and before the options for all
/// (`--tls-insecure`, `--tls-cert`); a CA is added to theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TargetTls {
    /// `#insecure`, or redis-py's `ssl_cert_reqs` and `ssl_check_hostname`. Without: the chain and the name,
    /// unless `--tls-insecure`.
    pub(crate) check: Option<CertificateCheck>,
    /// `#ca=FILE`, `ssl_ca_certs`: CA certificates (PEM), added to the roots.
    pub(crate) ca: Option<PathBuf>,
    /// `#cert=FILE`, `ssl_certfile`: the client's certificate (PEM).
    pub(crate) cert: Option<PathBuf>,
    /// `#cert-key=FILE`, `ssl_keyfile`: its key (PEM). Without, the file of the certificate holds it too.
    pub(crate) key: Option<PathBuf>,
    /// `#servername=NAME`: the name that is sent (SNI) and looked for in the certificate, instead of the host's.
    pub(crate) server_name: Option<String>,
}

impl TargetTls {
    /// The files that it names.
    pub(crate) fn files(&self) -> TlsFiles<'_> {
        let identity = self.cert.as_deref().map(|cert| {
            let key = self.key.as_deref().map_or(NamedFile::new("cert", cert), |key| NamedFile::new("cert-key", key));
            [NamedFile::new("cert", cert), key]
        });
        TlsFiles { ca: self.ca.as_deref().map(|path| NamedFile::new("ca", path)).into_iter().collect(), identity }
    }
}

/// A file that a target names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedFile<'a> {
    /// The key that names it, for messages.
    pub(crate) key: &'static str,
    /// Where it is.
    pub(crate) path: &'a Path,
    /// Whether the target does without, where it is not there.
    pub(crate) is_optional: bool,
}

impl<'a> NamedFile<'a> {
    pub(crate) fn new(key: &'static str, path: &'a Path) -> Self {
        Self { key, path, is_optional: false }
    }
}

/// The files that a target names for TLS.
#[derive(Debug, Default)]
pub(crate) struct TlsFiles<'a> {
    /// CAs.
    pub(crate) ca: Vec<NamedFile<'a>>,
    /// The client's certificate and its key.
    pub(crate) identity: Option<[NamedFile<'a>; 2]>,
}

/// A version of TLS, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsVersion {
    /// TLS 1.0
    V1_0,
    /// TLS 1.1
    V1_1,
    /// TLS 1.2
    V1_2,
    /// TLS 1.3
    V1_3,
}

/// The settings of one handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handshake<'a> {
    /// The name that is verified, and sent for the server to choose its certificate by.
    pub(crate) name: &'a str,
    /// Whether the name is sent (RFC 6066, section 3). An IP address never is.
    pub(crate) sends_name: bool,
    /// The check that the target asks for, whatever `--tls-insecure` says.
    pub(crate) check: Option<CertificateCheck>,
    /// The usual check, without `--tls-insecure`.
    pub(crate) usual_check: CertificateCheck,
    /// The only CAs that are trusted (libpq's `sslrootcert`), instead of those of `SSL_CERT_FILE`, the system
    /// or Mozilla and those of `--tls-ca`.
    pub(crate) rootcert: Option<&'a Path>,
    /// CAs that are trusted too.
    pub(crate) ca: Option<&'a Path>,
    /// The client's certificate and key, instead of those of `--tls-cert` and `--tls-key`.
    pub(crate) identity: Option<(&'a Path, &'a Path)>,
    /// The protocol that is agreed on (RFC 7301), if one must be.
    pub(crate) protocol: Option<&'static [u8]>,
    /// The lowest version that may be spoken.
    pub(crate) min_version: Option<TlsVersion>,
    /// The highest version that may be spoken.
    pub(crate) max_version: Option<TlsVersion>,
}

impl<'a> Handshake<'a> {
    /// For a server that is known as `host`: what the target says, and everything verified else.
    pub(crate) fn new(host: &'a str, target: &'a TargetTls) -> Self {
        Self {
            name: target.server_name.as_deref().unwrap_or(host),
            sends_name: true,
            check: target.check,
            usual_check: CertificateCheck::ChainAndName,
            rootcert: None,
            ca: target.ca.as_deref(),
            identity: target.cert.as_deref().map(|cert| (cert, target.key.as_deref().unwrap_or(cert))),
            protocol: None,
            min_version: None,
            max_version: None,
        }
    }
}

/// A handshake that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFailure {
    /// Why.
    pub(crate) failure: NotReady,
    /// Whether plain text may be tried instead, where the user allows it.
    pub(crate) fallback: Fallback,
}

/// Whether a failed handshake may be followed by plain text (`sslmode=prefer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// The server itself refused TLS: libpq goes on without, and so may we.
    Allowed,
    /// We could not, or the certificate does not verify: libpq might be in TLS here, and a password
    /// must not go where it would not send it.
    Never,
}

impl TlsFailure {
    /// A failure that the server wanted.
    pub(crate) fn refused(failure: NotReady) -> Self {
        Self { failure, fallback: Fallback::Allowed }
    }
}

impl From<NotReady> for TlsFailure {
    fn from(failure: NotReady) -> Self {
        Self { failure, fallback: Fallback::Never }
    }
}

impl From<TlsFailure> for NotReady {
    fn from(failure: TlsFailure) -> Self {
        failure.failure
    }
}

/// The part of a TLS connection that SCRAM can be bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndPoint {
    /// The hash of the server's certificate (tls-server-end-point, RFC 5929).
    Hash(Vec<u8>),
    /// The server's key is of a kind that this build cannot verify, and nothing is verified: somebody between
    /// could show the server's certificate without holding its key. A server that offers to be bound must be
    /// refused then, and the client must not say that it is unable to (RFC 5802, section 6).
    Unproven,
}
