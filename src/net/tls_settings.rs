//! What a handshake is asked for, and how it fails: the same in a build without TLS.

use std::path::Path;

use crate::endpoint::postgres::TlsVersion;
use crate::endpoint::{CertificateCheck, TargetTls};
use crate::outcome::NotReady;

/// What one handshake is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The name that is verified, and sent for the server to choose its certificate by.
    pub name: &'a str,
    /// Whether the name is sent (RFC 6066, section 3). An IP address never is.
    pub sends_name: bool,
    /// What the target asks to be verified, whatever `--tls-insecure` says.
    pub check: Option<CertificateCheck>,
    /// What is verified else, without `--tls-insecure`.
    pub usual_check: CertificateCheck,
    /// The only CAs that are trusted (libpq's `sslrootcert`), instead of those of `SSL_CERT_FILE`, the system
    /// or Mozilla and those of `--tls-ca`.
    pub rootcert: Option<&'a Path>,
    /// CAs that are trusted too.
    pub ca: Option<&'a Path>,
    /// The client's certificate and key, instead of those of `--tls-cert` and `--tls-key`.
    pub identity: Option<(&'a Path, &'a Path)>,
    /// The protocol that is agreed on (RFC 7301), if one must be.
    pub protocol: Option<&'static [u8]>,
    /// The lowest version that may be spoken.
    pub min_version: Option<TlsVersion>,
    /// The highest version that may be spoken.
    pub max_version: Option<TlsVersion>,
}

impl<'a> Settings<'a> {
    /// For a server that is known as `host`: what the target says, and everything verified else.
    pub fn new(host: &'a str, target: &'a TargetTls) -> Self {
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
pub struct TlsFailure {
    /// Why.
    pub failure: NotReady,
    /// Whether plain text may be tried instead, where the user allows it.
    pub fallback: Fallback,
}

/// Whether a failed handshake may be followed by plain text (`sslmode=prefer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The server itself refused TLS: libpq goes on without, and so may we.
    Allowed,
    /// We could not, or the certificate does not verify: libpq might be in TLS here, and a password
    /// must not go where it would not send it.
    Never,
}

impl TlsFailure {
    /// A failure that the server wanted.
    pub fn refused(failure: NotReady) -> Self {
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

/// What SCRAM can be bound to, of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndPoint {
    /// The hash of the server's certificate (tls-server-end-point, RFC 5929).
    Hash(Vec<u8>),
    /// The server's key is of a kind that this build cannot verify, and nothing is verified: somebody between
    /// could show the server's certificate without holding its key. A server that offers to be bound must be
    /// refused then, and the client must not say that it is unable to (RFC 5802, section 6).
    Unproven,
}
