//! Certificates and keys in files, in the forms that tools write them.

use std::io;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::{Certificate, INTEGER, OCTET_STRING, OID, SEQUENCE, Values};

/// How files are read.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Files are read so in the middle of an attempt, which has a thread of its own.
pub(super) const READ: ReadFile<'static> = &|path| std::fs::read(path);

fn content(path: &Path, read: ReadFile<'_>) -> Result<Vec<u8>, String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    read(path).map(without_mark).map_err(unreadable)
}

/// Editors and shells on Windows put a byte order mark before text, and some write UTF-16.
fn without_mark(bytes: Vec<u8>) -> Vec<u8> {
    match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        [0xff, 0xfe, rest @ ..] | [0xfe, 0xff, rest @ ..] => rest.iter().copied().filter(|byte| *byte != 0).collect(),
        _ => bytes,
    }
}

/// The certificates in a file: PEM, OpenSSL's TRUSTED CERTIFICATE, or one in DER.
///
/// # Errors
///
/// Names the file, and what it is instead.
pub(crate) fn certificates(path: &Path, read: ReadFile<'_>) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = content(path, read)?;
    let shown = path.display();
    let found = if bytes.first() == Some(&SEQUENCE) {
        if let Some(other) = other_der(&bytes) {
            return Err(format!("{shown} {other}"));
        }
        vec![CertificateDer::from(bytes)]
    } else {
        // X509 is an old word for the same, and TRUSTED has a few more bytes behind the certificate.
        let text = String::from_utf8_lossy(&bytes);
        let text = text.replace(" TRUSTED CERTIFICATE-----", " CERTIFICATE-----");
        let text = text.replace(" X509 CERTIFICATE-----", " CERTIFICATE-----");
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let found = found.map_err(|error| format!("{shown} cannot be read: {error}"))?;
        if found.is_empty() {
            let what = other_pem(&text).unwrap_or("holds no PEM certificate");
            return Err(format!("{shown} {what}"));
        }
        found.into_iter().map(alone).collect()
    };
    // PEM around something else would be passed over, and the server's certificate be blamed.
    if found.iter().any(|der| Certificate::read(der).is_some()) {
        Ok(found)
    } else {
        Err(format!("{shown} holds no certificate that can be read"))
    }
}

/// A certificate without what OpenSSL puts behind it.
fn alone(der: CertificateDer<'static>) -> CertificateDer<'static> {
    let first = Values(&der).whole(SEQUENCE).map(<[u8]>::to_vec);
    first.map_or(der, CertificateDer::from)
}

/// The key in a file: PEM or DER, of PKCS #8, PKCS #1 or SEC 1.
///
/// # Errors
///
/// Names the file, and what it is instead. Nothing of its content: it might be the key.
pub(crate) fn private_key(path: &Path, read: ReadFile<'_>) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = content(path, read)?;
    let shown = path.display();
    if bytes.first() == Some(&SEQUENCE) {
        if let Some(other) = other_der(&bytes) {
            return Err(format!("{shown} {other}"));
        }
        return PrivateKeyDer::try_from(bytes).map_err(|_| format!("{shown} holds no private key"));
    }
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(format!("{shown} {ENCRYPTED}"));
    }
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| format!("{shown} {}", other_pem(&text).unwrap_or("holds no PEM private key")))
}

const ENCRYPTED: &str = "is encrypted, which is not supported: decrypt it for this (openssl pkey -in FILE -out PLAIN)";
const PKCS12: &str =
    "is a PKCS #12 bundle, which is not supported: take it apart (openssl pkcs12 -in FILE -nodes -out PEM)";
const PKCS7: &str =
    "is a PKCS #7 bundle, which is not supported: take it apart (openssl pkcs7 -in FILE -print_certs -out PEM)";

/// The content of DER that is neither a certificate nor a plain key.
fn other_der(bytes: &[u8]) -> Option<&'static str> {
    let mut fields = Values(Values(bytes).tagged(SEQUENCE)?);
    match (fields.next()?, fields.next()?) {
        // PFX ::= SEQUENCE { version 3, authSafe ContentInfo, … } (RFC 7292)
        ((INTEGER, [3]), (SEQUENCE, _)) => Some(PKCS12),
        // ContentInfo ::= SEQUENCE { signedData, … } (RFC 2315)
        ((OID, _), _) => Some(PKCS7),
        // EncryptedPrivateKeyInfo ::= SEQUENCE { algorithm, encrypted OCTET STRING } (RFC 5958)
        ((SEQUENCE, _), (OCTET_STRING, _)) => Some(ENCRYPTED),
        _ => None,
    }
}

/// The content of a PEM file that is neither.
fn other_pem(text: &str) -> Option<&'static str> {
    let holds = |label: &str| text.contains(&format!("-----BEGIN {label}-----"));
    if holds("ENCRYPTED PRIVATE KEY") {
        Some(ENCRYPTED)
    } else if holds("PKCS7") || holds("CMS") {
        Some(PKCS7)
    } else if holds("CERTIFICATE REQUEST") || holds("NEW CERTIFICATE REQUEST") {
        Some("is a request for a certificate: give the certificate that was issued for it")
    } else {
        None
    }
}
