//! Whether a server's certificate is to be trusted, and whether the server holds its key.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, PeerMisbehaved, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity, VerifiedPath};

use super::algorithms::{ALGORITHMS, UNVERIFIED, is_for_tls13};
use super::certificate::{self, Certificate, Invalid, PublicKey, key_name, shown_name};
use super::failure::words;
use super::names::{Named, WantedHost, names};
use super::roots::{Limits, Roots};
use crate::net::tls_settings::CertificateCheck;
use crate::text::peer_text;
use crate::wait::outcome::{Kind, NotReady};

/// More certificates than this between a server's and a root's are not looked at; webpki's limit.
const MAX_INTERMEDIATES: usize = 6;

/// More certificates than this from a server are not looked at: each may cost a verification.
const MAX_PRESENTED: usize = 16;

/// So many signatures of certificates that the server sends are verified in all.
const MAX_TRIES: usize = 64;

/// The findings of a handshake beside the keys, for messages and for channel binding.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The server proved that it holds the key of its certificate.
    pub(crate) is_key_proven: AtomicBool,
    /// The server asked for a client's certificate.
    pub(crate) wants_certificate: AtomicBool,
    /// The server did, and there is none.
    pub(crate) lacks_certificate: AtomicBool,
    /// The root that vouched for the server's certificate.
    pub(crate) voucher: OnceLock<String>,
}

/// Verifies as much as [`CertificateCheck`] says. Whatever it is, the server must prove that it holds the key
/// of its certificate, as far as this build can tell.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// How much is verified.
    pub(crate) check: CertificateCheck,
    /// The name that the certificate must be for.
    pub(crate) host: WantedHost,
    /// The roots that are trusted.
    pub(crate) roots: Arc<Roots>,
    /// The option that names the CA, for the way out.
    pub(crate) option: &'static str,
    /// Where to note what was found.
    pub(crate) findings: Arc<Findings>,
}

fn refused(reason: impl Into<String>) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(NotReady::new(Kind::CertificateRejected, reason)))).into()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.check != CertificateCheck::Nothing {
            let limits_names = self.chain(end_entity, intermediates, now).map_err(refused)?;
            if self.check == CertificateCheck::ChainAndName {
                self.name(end_entity, limits_names).map_err(refused)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.handshake(message, certificate, signed, candidates(signed.scheme))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !is_for_tls13(signed.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let candidates = candidates(signed.scheme);
        // The scheme says by which curve.
        let is_of_a_curve =
            matches!(signed.scheme, SignatureScheme::ECDSA_NISTP256_SHA256 | SignatureScheme::ECDSA_NISTP384_SHA384);
        self.handshake(message, certificate, signed, if is_of_a_curve { &candidates[..1] } else { candidates })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // Last of all those that cannot be verified: a server that has nothing else shows its certificate then,
        // and the reason can say what is wrong with it.
        [ALGORITHMS.supported_schemes(), UNVERIFIED.to_vec()].concat()
    }
}

impl PublicKey<'_> {
    /// Whether this build can verify signatures by it.
    fn is_known(&self) -> bool {
        self.rsa_bits().is_none_or(|bits| bits >= 2048)
            && ALGORITHMS.all.iter().any(|one| one.public_key_alg_id().as_ref() == self.algorithm)
    }
}

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

fn candidates(scheme: SignatureScheme) -> &'static [Algorithm] {
    let found = ALGORITHMS.mapping.iter().find(|(known, _)| *known == scheme);
    found.map(|(_, candidates)| *candidates).unwrap_or_default()
}

impl Verifier {
    /// Whether the key of `certificate` signed the handshake.
    ///
    /// Where nothing is verified, a key of a kind that this build cannot verify with is let through: whoever
    /// stands between could as well have come with a key of his own. The one thing that rests on it is
    /// SCRAM's channel binding, which is not to be had then (`EndPoint::Unproven`).
    fn handshake(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        candidates: &[Algorithm],
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let whole = certificate::public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        let key = PublicKey::read(whole).ok_or(CertificateError::BadEncoding)?;
        if !key.is_known() {
            if self.check == CertificateCheck::Nothing {
                return Ok(HandshakeSignatureValid::assertion());
            }
            return Err(refused(unknown_key(whole, "the server's", "it")));
        }
        let fitting = candidates.iter().find(|one| one.public_key_alg_id().as_ref() == key.algorithm);
        let algorithm = fitting.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let spki = SubjectPublicKeyInfoDer::from(whole);
        RawPublicKeyEntity::try_from(&spki)
            .and_then(|entity| entity.verify_signature(*algorithm, message, signed.signature()))
            .map_err(|_| refused("the server does not hold the key of its certificate: its signature is wrong"))?;
        self.findings.is_key_proven.store(true, Ordering::Relaxed);
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Whether the certificate leads to one that is trusted; and whether one above it limits the names that
    /// it may have, which webpki holds against its subjectAltName only.
    fn chain(&self, der: &CertificateDer<'_>, presented: &[CertificateDer<'_>], now: UnixTime) -> Result<bool, String> {
        let error = match self.strict_chain(der, presented, now) {
            Ok(limits_names) => return Ok(limits_names),
            Err(error) => error,
        };
        let Some(leaf) = Certificate::read(der) else {
            return Err("the server's certificate cannot be read".to_owned());
        };
        match self.own_chain(der, &leaf, presented, now) {
            Some(result) => {
                drop(self.findings.voucher.set("a certificate that was given as trusted".to_owned()));
                result.map(|()| false)
            }
            None => Err(self.describe(&error, &leaf, presented, now)),
        }
    }

    /// As RFC 5280 has it, by webpki. An anchor that has expired is none: OpenSSL checks its dates too.
    fn strict_chain(
        &self,
        der: &CertificateDer<'_>,
        presented: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<bool, webpki::Error> {
        let leaf = EndEntityCert::try_from(der)?;
        let is_valid = |path: &VerifiedPath<'_>| {
            let Limits { validity, path_length } = self.roots.limits_of(path.anchor());
            let time = |seconds: i64| UnixTime::since_unix_epoch(Duration::from_secs(seconds.unsigned_abs()));
            validity.at(seconds(now)).map_err(|invalid| match invalid {
                Invalid::NotYet => webpki::Error::CertNotValidYet { time: now, not_before: time(validity.not_before) },
                Invalid::Expired => webpki::Error::CertExpired { time: now, not_after: time(validity.not_after) },
            })?;
            if path.intermediate_certificates().count() > path_length {
                return Err(webpki::Error::PathLenConstraintViolated);
            }
            Ok(())
        };
        let path = leaf.verify_for_usage(
            ALGORITHMS.all,
            &self.roots.anchors,
            presented,
            now,
            KeyUsage::server_auth(),
            None,
            Some(&is_valid),
        )?;
        let root = shown_name(&path.anchor().subject).unwrap_or_else(|| "a root without a name".to_owned());
        drop(self.findings.voucher.set(root));
        let limits_names = path.anchor().name_constraints.is_some()
            || path.intermediate_certificates().any(|one| {
                let der = one.der();
                Certificate::read(&der).is_none_or(|read| read.extensions.limits_names)
            });
        Ok(limits_names)
    }

    /// The certificates that every other client accepts and webpki does not: one that was itself given as
    /// trusted, one of X.509 version 1, and one that is a CA's too (`openssl req -x509` and `openssl x509
    /// -req` make them so). None where it is no such one.
    ///
    /// Why this lets nobody in: a certificate that was given is accepted as that very one, byte for byte.
    /// Else each signature from the server's certificate up to an anchor is verified, by algorithms that webpki
    /// takes too; an anchor is what the user or the system trusts as a CA; and what stands between must be of
    /// version 3, a CA by its basicConstraints, within its path length, for signing certificates, for servers
    /// and without a critical extension unknown here. So a certificate of version 1, or one that is no CA's,
    /// is never anybody's issuer. Dates count for all of them. A chain that limits names is refused, since
    /// they would have to be held against the names in the certificate.
    fn own_chain(
        &self,
        der: &[u8],
        leaf: &Certificate<'_>,
        presented: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Option<Result<(), String>> {
        let is_given = self.roots.given.iter().any(|given| given.as_ref() == der);
        let is_ca = leaf.extensions.basic.is_some_and(|basic| basic.is_ca);
        if !is_given && leaf.version != 1 && !is_ca {
            return None;
        }
        if let Err(problem) = dates(leaf, now, "the server's certificate") {
            return Some(Err(problem));
        }
        if !leaf.is_servers() {
            return Some(Err(NOT_FOR_SERVERS.to_owned()));
        }
        if is_given {
            return Some(Ok(()));
        }
        let presented = presented.iter().take(MAX_PRESENTED);
        let presented: Vec<_> = presented.filter_map(|der| Certificate::read(der)).collect();
        let mut tries_left = MAX_TRIES;
        self.climb(leaf, &presented, now, 0, &mut tries_left)
    }

    /// From `below`, with `depth` certificates between it and the server's, to an anchor.
    fn climb(
        &self,
        below: &Certificate<'_>,
        presented: &[Certificate<'_>],
        now: UnixTime,
        depth: usize,
        tries_left: &mut usize,
    ) -> Option<Result<(), String>> {
        let mut problem = None;
        for (anchor, limits) in self.roots.anchors.iter().zip(&self.roots.limits) {
            let spki = webpki::spki_for_anchor(anchor);
            if anchor.subject.as_ref() != below.issuer || depth > limits.path_length || !is_signed(below, spki.as_ref())
            {
                continue;
            }
            if let Err(invalid) = limits.validity.at(seconds(now)) {
                problem = Some(dates_of_ca(invalid, below.issuer));
                continue;
            }
            if anchor.name_constraints.is_some() {
                problem = Some(LIMITS_NAMES.to_owned());
                continue;
            }
            return Some(Ok(()));
        }
        if depth == MAX_INTERMEDIATES {
            return problem.map(Err);
        }
        // A certificate may have a twin of the same name and key, which leads further.
        for issuer in presented {
            if issuer.subject != below.issuer || !issuer.is_intermediate(depth) {
                continue;
            }
            // Each may cost a verification, at each depth anew.
            let Some(left) = tries_left.checked_sub(1) else { break };
            *tries_left = left;
            if !is_signed(below, issuer.public_key) {
                continue;
            }
            let result = match dates(issuer, now, "a CA's certificate that the server sends") {
                Ok(()) => self.climb(issuer, presented, now, depth + 1, tries_left),
                Err(problem) => Some(Err(problem)),
            };
            match result {
                Some(Ok(())) if issuer.extensions.limits_names => problem = Some(LIMITS_NAMES.to_owned()),
                Some(Ok(())) => return Some(Ok(())),
                Some(Err(other)) => problem = problem.or(Some(other)),
                None => {}
            }
        }
        problem.map(Err)
    }

    fn name(&self, der: &CertificateDer<'_>, limits_names: bool) -> Result<(), String> {
        let shown = match &self.host {
            WantedHost::Name(name) => name.clone(),
            WantedHost::Address(address) => address.to_string(),
        };
        let list = |names: Vec<String>| peer_text(names.join(", ").as_bytes());
        let Some(leaf) = Certificate::read(der) else {
            return Err(format!("the server's certificate cannot be read, so nothing says that it is for {shown}"));
        };
        match names(&leaf, &self.host) {
            Named::AsCommonName if limits_names => Err(LIMITS_NAMES.to_owned()),
            Named::AsAlternative | Named::AsCommonName => Ok(()),
            Named::Otherwise(others) if others.contains(&shown) => Err(format!(
                "the server's certificate has {shown} as a host's name (DNS:) and not as an address: issue it with IP:{shown}"
            )),
            Named::Otherwise(others) => {
                Err(format!("the server's certificate is not for {shown} but for {}", list(others)))
            }
            Named::WithoutAlternatives(common) if common.is_empty() => {
                Err(format!("the server's certificate is for no host at all: it has no subjectAltName for {shown}"))
            }
            Named::WithoutAlternatives(common) => Err(format!(
                "the server's certificate is not for {shown}: it has no subjectAltName, and its common name is {}",
                list(common)
            )),
        }
    }

    /// Why webpki refuses a certificate, and the way out.
    fn describe(
        &self,
        error: &webpki::Error,
        leaf: &Certificate<'_>,
        presented: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> String {
        use webpki::Error as Problem;
        if let Err(problem) = dates(leaf, now, "the server's certificate") {
            return problem;
        }
        match error {
            Problem::CertExpired { .. } => dates_of_ca(Invalid::Expired, leaf.issuer),
            Problem::CertNotValidYet { .. } => dates_of_ca(Invalid::NotYet, leaf.issuer),
            Problem::NameConstraintViolation => LIMITS_NAMES.to_owned(),
            Problem::RequiredEkuNotFoundContext(_) | Problem::EmptyEkuExtension => NOT_FOR_SERVERS.to_owned(),
            Problem::PathLenConstraintViolated => {
                "more CAs stand between the server's certificate and its root than the root allows".to_owned()
            }
            Problem::UnsupportedCriticalExtension => {
                "the server's certificate has a critical extension that this build does not know".to_owned()
            }
            Problem::UnknownIssuer
            | Problem::InvalidSignatureForPublicKey
            | Problem::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | Problem::UnsupportedSignatureAlgorithmContext(_)
            | Problem::EndEntityUsedAsCa
            | Problem::CaUsedAsEndEntity
            | Problem::UnsupportedCertVersion => self.without_issuer(leaf, presented),
            other => format!("the server's certificate does not verify ({})", words(&format!("{other:?}"))),
        }
    }

    /// Why no chain of signatures leads from the server's certificate to one that is trusted.
    fn without_issuer(&self, leaf: &Certificate<'_>, presented: &[CertificateDer<'_>]) -> String {
        let option = self.option;
        let presented: Vec<_> = presented.iter().filter_map(|der| Certificate::read(der)).collect();
        let top = top(leaf, &presented);
        let name = in_brackets(top.issuer);
        let keys: Vec<_> = self
            .roots
            .anchors
            .iter()
            .filter(|anchor| anchor.subject.as_ref() == top.issuer)
            .map(webpki::spki_for_anchor)
            .collect();
        let given = self.roots.given.iter().filter_map(|der| Certificate::read(der));
        if keys.iter().any(|key| is_signed(top, key.as_ref())) {
            "a CA between the server's certificate and its root may not issue it (keyUsage, extendedKeyUsage, basicConstraints or path length)".to_owned()
        } else if !keys.is_empty() {
            unverifiable(top, &keys, option)
        } else if presented.iter().any(|one| one.subject == leaf.issuer && !one.is_intermediate(0)) {
            "the server's certificate was issued by a certificate that is no CA's: let a CA sign it".to_owned()
        } else if leaf.issuer == leaf.subject {
            format!("the server's certificate is signed by itself alone, not by a known CA: give it with {option} FILE")
        } else if given.into_iter().any(|given| given.subject == top.issuer) {
            format!(
                "the certificate{name} that is given as the CA of the server's is no CA's: it lacks basicConstraints=CA:TRUE"
            )
        } else {
            format!("the server's certificate is from an unknown CA: give that CA with {option} FILE{name}")
        }
    }
}

/// Why none of the keys of a CA of the right name is proven to have signed a certificate: it is another key, or of
/// a kind that this build does not know.
fn unverifiable(certificate: &Certificate<'_>, keys: &[SubjectPublicKeyInfoDer<'_>], option: &str) -> String {
    let unknown = keys.iter().find(|key| PublicKey::read(key.as_ref()).is_none_or(|key| !key.is_known()));
    let is_known_signature = ALGORITHMS.all.iter().any(|one| one.signature_alg_id().as_ref() == certificate.algorithm);
    match unknown {
        Some(key) => unknown_key(key.as_ref(), "the CA's", "the CA"),
        None if is_known_signature => format!(
            "the server's certificate is signed by a CA of the same name but with another key: give that CA with {option} FILE"
        ),
        None => "the server's certificate is signed in a way that this build cannot verify (SHA-1, or RSASSA-PSS with an unusual salt): let the CA sign it with SHA-256, or verify nothing (--tls-insecure)".to_owned(),
    }
}

const NOT_FOR_SERVERS: &str =
    "the server's certificate is not for TLS servers: its keyUsage or extendedKeyUsage says so (serverAuth)";
const LIMITS_NAMES: &str = "a CA above the server's certificate limits the names that it may issue for, and this one is not proven to be within them: give it a subjectAltName that is";

/// Why nothing that is signed by this key can be verified.
fn unknown_key(whole: &[u8], whose: &str, who: &str) -> String {
    let name = key_name(whole).unwrap_or_else(|| "an unknown kind".to_owned());
    format!(
        "{whose} key is of a kind that this build cannot verify ({name}): let {who} use RSA of 2,048 bits or more, P-256, P-384 or Ed25519, or verify nothing (--tls-insecure)"
    )
}

/// The last certificate that is reached from the server's.
fn top<'a>(leaf: &'a Certificate<'a>, presented: &'a [Certificate<'a>]) -> &'a Certificate<'a> {
    let mut top = leaf;
    for _ in 0..MAX_INTERMEDIATES {
        match presented.iter().find(|one| one.subject == top.issuer && one.subject != one.issuer) {
            Some(next) => top = next,
            None => break,
        }
    }
    top
}

fn is_signed(certificate: &Certificate<'_>, by: &[u8]) -> bool {
    let Some(key) = PublicKey::read(by) else { return false };
    let fitting = ALGORITHMS.all.iter().find(|one| {
        one.public_key_alg_id().as_ref() == key.algorithm && one.signature_alg_id().as_ref() == certificate.algorithm
    });
    fitting.is_some_and(|one| one.verify_signature(key.key, certificate.signed, certificate.signature).is_ok())
}

fn seconds(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn dates(certificate: &Certificate<'_>, now: UnixTime, whose: &str) -> Result<(), String> {
    certificate.validity.at(seconds(now)).map_err(|invalid| match invalid {
        Invalid::Expired => format!("{whose} has expired: renew it"),
        Invalid::NotYet => format!("{whose} is not valid yet: is the clock right?"),
    })
}

/// ` (Example CA)`
fn in_brackets(name: &[u8]) -> String {
    shown_name(name).map_or(String::new(), |name| format!(" ({})", peer_text(name.as_bytes())))
}

fn dates_of_ca(invalid: Invalid, name: &[u8]) -> String {
    let name = in_brackets(name);
    match invalid {
        Invalid::Expired => format!("the certificate of the CA{name} above the server's has expired: renew that one"),
        Invalid::NotYet => {
            format!("the certificate of the CA{name} above the server's is not valid yet: is the clock right?")
        }
    }
}
