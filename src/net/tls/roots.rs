//! The certificates that are trusted, and where they come from.

use std::path::Path;

use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::certificate::{Certificate, Validity};
use super::files::{READ, ReadFile, certificates};

/// Where distributions keep their bundle of roots.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Certificates that are trusted.
#[derive(Debug, Default, Clone)]
pub(super) struct Roots {
    /// The certificates that may issue others.
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// How long each of them is valid, and how many may stand below it.
    pub(super) limits: Vec<Limits>,
    /// All that were given, of CAs or not: what is trusted is trusted as it is.
    pub(super) given: Vec<CertificateDer<'static>>,
}

/// The limits that a root sets to the chains that lead to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// When it vouches for others.
    pub(super) validity: Validity,
    /// How many certificates may stand between it and the last one.
    pub(super) path_length: usize,
}

impl Limits {
    const NONE: Self =
        Self { validity: Validity { not_before: i64::MIN, not_after: i64::MAX }, path_length: usize::MAX };
}

impl Roots {
    /// Those in a file.
    ///
    /// A certificate that may not issue others is no anchor: whoever holds the key of a server's certificate that was
    /// given as it is must not be able to speak for other names.
    ///
    /// # Errors
    ///
    /// Names the file, and what it is instead.
    pub(super) fn in_file(path: &Path, read: ReadFile<'_>) -> Result<Self, String> {
        let mut roots = Self::default();
        for der in certificates(path, read)? {
            let Some(read) = Certificate::read(&der) else { continue };
            if read.is_trustworthy_issuer()
                && let Ok(anchor) = webpki::anchor_from_trusted_cert(&der)
            {
                let path_length = read.extensions.basic.and_then(|basic| basic.path_length).unwrap_or(usize::MAX);
                roots.anchors.push(anchor.to_owned());
                roots.limits.push(Limits { validity: read.validity, path_length });
            }
            roots.given.push(der);
        }
        Ok(roots)
    }

    /// Those of the system, or else Mozilla's.
    pub(super) fn of_system() -> Self {
        BUNDLES.iter().find_map(|path| Self::in_file(Path::new(path), READ).ok()).unwrap_or_else(Self::built_in)
    }

    /// Mozilla's, of which no more is known than what is needed.
    fn built_in() -> Self {
        let anchors = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        Self { limits: vec![Limits::NONE; anchors.len()], anchors, given: Vec::new() }
    }

    /// Trusts those of `other` too.
    pub(super) fn extend(&mut self, other: &Self) {
        self.anchors.extend_from_slice(&other.anchors);
        self.limits.extend_from_slice(&other.limits);
        self.given.extend_from_slice(&other.given);
    }

    /// Whether nothing is trusted.
    pub(super) fn is_empty(&self) -> bool {
        self.anchors.is_empty() && self.given.is_empty()
    }

    /// The limits of one of the anchors.
    pub(super) fn limits_of(&self, anchor: &TrustAnchor<'_>) -> Limits {
        let index = self.anchors.iter().position(|one| std::ptr::eq(one, anchor));
        index.and_then(|index| self.limits.get(index)).copied().unwrap_or(Limits::NONE)
    }
}
