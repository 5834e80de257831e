//! Whether a server's certificate is to be trusted, and whether the server holds its key.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime,
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
    /// The root that vouched for the server's certificate, or that it was itself given as trusted.
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
                drop(self.findings.voucher.set(result?));
                Ok(false)
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
        drop(self.findings.voucher.set(name_of_root(path.anchor())));
        let limits_names = path.anchor().name_constraints.is_some()
            || path.intermediate_certificates().any(|one| {
                let der = one.der();
                Certificate::read(&der).is_none_or(|read| read.extensions.limits_names)
            });
        Ok(limits_names)
    }

    /// The certificates that every other client accepts and webpki does not: one that was itself given as
    /// trusted, one of X.509 version 1, and one that is a CA's too (`openssl req -x509` and `openssl x509
    /// -req` make them so). Gives who vouches for it; None where it is no such one.
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
    ) -> Option<Result<String, String>> {
        let is_given = self.roots.given.iter().any(|given| given.as_ref() == der);
        let is_ca = leaf.extensions.basic.is_some_and(|basic| basic.is_ca);
        if !is_given && leaf.version != 1 && !is_ca {
            return None;
        }
        if let Err(problem) = dates(leaf, now) {
            return Some(Err(problem));
        }
        if !leaf.is_servers() {
            return Some(Err(NOT_FOR_SERVERS.to_owned()));
        }
        if is_given {
            return Some(Ok("a certificate that was given as trusted".to_owned()));
        }
        let presented = presented.iter().take(MAX_PRESENTED);
        let presented: Vec<_> = presented.filter_map(|der| Certificate::read(der)).collect();
        let mut tries_left = MAX_TRIES;
        self.climb(leaf, &presented, now, 0, &mut tries_left)
    }

    /// From `below`, with `depth` certificates between it and the server's, to an anchor, whose name it gives.
    fn climb(
        &self,
        below: &Certificate<'_>,
        presented: &[Certificate<'_>],
        now: UnixTime,
        depth: usize,
        tries_left: &mut usize,
    ) -> Option<Result<String, String>> {
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
            return Some(Ok(name_of_root(anchor)));
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
            let result = match issuer.validity.at(seconds(now)) {
                Ok(()) => self.climb(issuer, presented, now, depth + 1, tries_left),
                Err(invalid) => Some(Err(dates_of_ca(invalid, issuer.subject))),
            };
            match result {
                Some(Ok(_)) if issuer.extensions.limits_names => problem = Some(LIMITS_NAMES.to_owned()),
                Some(Ok(root)) => return Some(Ok(root)),
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
        if let Err(problem) = dates(leaf, now) {
            return problem;
        }
        match error {
            Problem::CertExpired { not_after, .. } => dates_above(Invalid::Expired, *not_after, leaf, presented),
            Problem::CertNotValidYet { not_before, .. } => dates_above(Invalid::NotYet, *not_before, leaf, presented),
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
                "the certificate{name} that is given as the CA of the server's is no CA's: it lacks basicConstraints=CA:TRUE, or its keyUsage lacks keyCertSign"
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

fn name_of_root(anchor: &TrustAnchor<'_>) -> String {
    shown_name(&anchor.subject).unwrap_or_else(|| "a root without a name".to_owned())
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

/// Whether the dates of the server's own certificate are right.
fn dates(leaf: &Certificate<'_>, now: UnixTime) -> Result<(), String> {
    leaf.validity.at(seconds(now)).map_err(|invalid| match invalid {
        Invalid::Expired => "the server's certificate has expired: renew it".to_owned(),
        Invalid::NotYet => "the server's certificate is not valid yet: is the clock right?".to_owned(),
    })
}

/// ` (Example CA)`
fn in_brackets(name: &[u8]) -> String {
    shown_name(name).map_or(String::new(), |name| format!(" ({})", peer_text(name.as_bytes())))
}

/// The certificate above the server's that is not valid, by its `date`: one that is sent, or else the root.
fn dates_above(invalid: Invalid, date: UnixTime, leaf: &Certificate<'_>, presented: &[CertificateDer<'_>]) -> String {
    let sent: Vec<_> = presented.iter().filter_map(|der| Certificate::read(der)).collect();
    let has_date = |one: &&Certificate<'_>| match invalid {
        Invalid::Expired => one.validity.not_after == seconds(date),
        Invalid::NotYet => one.validity.not_before == seconds(date),
    };
    dates_of_ca(invalid, sent.iter().find(has_date).map_or_else(|| top(leaf, &sent).issuer, |one| one.subject))
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;
    use std::slice::from_ref;

    use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose as Purpose};
    use rcgen::{GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SigningKey};
    use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm, date_time_ymd};
    use rustls::internal::msgs::codec::Codec;

    use super::*;
    use crate::net::tls::certificate::{SEQUENCE, Values};

    type Change = fn(&mut CertificateParams);

    const AS_IS: Change = |_| {};
    const NO_CA: Change = |params| params.is_ca = IsCa::NoCa;
    const NEVER_CA: Change = |params| params.is_ca = IsCa::ExplicitNoCa;
    const ABOVE_NONE: Change = |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    const NO_SIGNER: Change = |params| params.key_usages = vec![KeyUsagePurpose::CrlSign];
    /// For anything but TLS.
    const NO_SERVER: Change = |params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    const FOR_CLIENTS: Change = |params| params.extended_key_usages = vec![Purpose::ClientAuth];
    const EXPIRED: Change = |params| params.not_after = date_time_ymd(2019, 12, 31);
    const NOT_YET: Change = |params| params.not_before = date_time_ymd(2020, 1, 2);
    const CRITICAL: Change = |params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    };
    const OTHER_NAME: Change = |params| params.subject_alt_names = alternatives(&["other.example.com"]);
    const FURTHER_NAME: Change = |params| params.subject_alt_names = alternatives(&[HOST, "example.org"]);
    const LIMITS: Change = |params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("example.com".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    };

    const CHECKS: [CertificateCheck; 3] =
        [CertificateCheck::Nothing, CertificateCheck::Chain, CertificateCheck::ChainAndName];
    const HOST: &str = "db.example.com";
    /// 2020-01-01
    const NOW: u64 = 1_577_836_800;

    fn alternatives(names: &[&str]) -> Vec<SanType> {
        names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect()
    }

    /// A certificate with its key.
    #[derive(Clone)]
    struct Made {
        der: CertificateDer<'static>,
        params: CertificateParams,
        key: Rc<KeyPair>,
    }

    const KINDS: [(&SignatureAlgorithm, SignatureScheme); 3] = [
        (&PKCS_ECDSA_P384_SHA384, SignatureScheme::ECDSA_NISTP384_SHA384),
        (&PKCS_ED25519, SignatureScheme::ED25519),
        (&PKCS_ECDSA_P256_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256),
    ];

    fn key() -> Rc<KeyPair> {
        Rc::new(KeyPair::generate().unwrap())
    }

    /// A certificate for this key, signed by `by` or else by itself, valid from 2000 to 2040.
    fn made(name: &str, key: &Rc<KeyPair>, by: Option<&Made>, change: impl FnOnce(&mut CertificateParams)) -> Made {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2040, 1, 1));
        change(&mut params);
        let certificate = match by {
            Some(by) => params.signed_by(&**key, &Issuer::from_params(&by.params, &*by.key)),
            None => params.self_signed(&**key),
        };
        Made { der: certificate.unwrap().into(), params, key: Rc::clone(key) }
    }

    fn ca(name: &str, key: &Rc<KeyPair>, by: Option<&Made>, change: Change) -> Made {
        made(name, key, by, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            change(params);
        })
    }

    /// CAs, each issued by the one before it, with keys of each kind.
    fn cas(changes: &[Change]) -> Vec<Made> {
        let mut all: Vec<Made> = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            let key = Rc::new(KeyPair::generate_for(KINDS[index % KINDS.len()].0).unwrap());
            all.push(ca(&format!("CA {index}"), &key, all.last(), *change));
        }
        all
    }

    /// A server's certificate that webpki can take.
    fn plain(key: &Rc<KeyPair>, by: &Made, change: Change) -> Made {
        made(HOST, key, Some(by), |params| {
            params.subject_alt_names = alternatives(&[HOST]);
            change(params);
        })
    }

    /// A server's certificate that is a CA's too.
    fn ca_too(key: &Rc<KeyPair>, by: &Made, change: Change) -> Made {
        ca(HOST, key, Some(by), change)
    }

    /// A server's certificate of version 1: without the field for the version, and without extensions.
    fn version_1(key: &Rc<KeyPair>, by: &Made, change: Change) -> Made {
        let leaf = made(HOST, key, Some(by), change);
        let read = Certificate::read(&leaf.der).unwrap();
        let fields = Values(Values(read.signed).tagged(SEQUENCE).unwrap());
        let fields = fields.filter(|(tag, _)| ![0xa0, 0xa3].contains(tag)).map(|(tag, contents)| der(tag, contents));
        let signed = der(SEQUENCE, &fields.collect::<Vec<_>>().concat());
        let signature = [vec![0], by.key.sign(&signed).unwrap()].concat();
        let whole = der(SEQUENCE, &[signed, der(SEQUENCE, read.algorithm), der(3, &signature)].concat());
        assert_eq!(Certificate::read(&whole).unwrap().version, 1);
        Made { der: whole.into(), ..leaf }
    }

    fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
        let header = match u16::try_from(contents.len()).unwrap().to_be_bytes() {
            [0, low @ ..=0x7f] => vec![tag, low],
            [0, low] => vec![tag, 0x81, low],
            [high, low] => vec![tag, 0x82, high, low],
        };
        [&header, contents].concat()
    }

    fn verifier(check: CertificateCheck, trusted: &[Made]) -> Verifier {
        let mut roots = Roots::default();
        for made in trusted {
            roots.extend(&Roots::in_file(Path::new("ca.der"), &|_| Ok(made.der.to_vec())).unwrap());
        }
        let (roots, findings) = (Arc::new(roots), Arc::default());
        Verifier { check, host: WantedHost::new(HOST), roots, option: "--tls-ca", findings }
    }

    /// The reason, where a certificate is refused.
    fn judged(verifier: &Verifier, leaf: &Made, sent: &[Made], now: u64) -> Result<(), String> {
        let sent: Vec<_> = sent.iter().map(|made| made.der.clone()).collect();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let ignored = ServerName::try_from("ignored").unwrap();
        match verifier.verify_server_cert(&leaf.der, &sent, &ignored, &[], now) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
                let refused = other.0.downcast_ref::<NotReady>().unwrap();
                assert_eq!(refused.kind, Kind::CertificateRejected);
                Err(refused.reason.clone())
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// The same, of the chain alone.
    fn chain(trusted: &[Made], leaf: &Made, sent: &[Made], now: u64) -> Result<(), String> {
        judged(&verifier(CertificateCheck::Chain, trusted), leaf, sent, now)
    }

    type Leaf = fn(&Rc<KeyPair>, &Made, Change) -> Made;
    const LEAVES: [(&str, Leaf); 3] = [("plain", plain), ("a CA too", ca_too), ("version 1", version_1)];

    #[test]
    fn a_chain_is_as_good_as_each_certificate_in_it() {
        type Verdict = Result<(), &'static str>;
        // The anchor and what stands below it; webpki's verdict (it ignores keyUsage), then that of own chain building.
        let cases: [(&str, &[Change], Verdict, Verdict); 21] = [
            ("the anchor alone", &[AS_IS], Ok(()), Ok(())),
            ("one below it", &[AS_IS; 2], Ok(()), Ok(())),
            ("as many as may be", &[AS_IS; 1 + MAX_INTERMEDIATES], Ok(()), Ok(())),
            ("one more", &[AS_IS; 2 + MAX_INTERMEDIATES], Err("depth"), Err("unknown CA")),
            ("an anchor that is no CA", &[NO_CA], Err("no CA's"), Err("no CA's")),
            ("an anchor that may not sign", &[NO_SIGNER], Err("no CA's"), Err("no CA's")),
            ("an anchor that has expired", &[EXPIRED], Err("has expired"), Err("has expired")),
            ("an anchor of tomorrow", &[NOT_YET], Err("not valid yet"), Err("not valid yet")),
            ("an anchor above the server's alone", &[ABOVE_NONE], Ok(()), Ok(())),
            ("an anchor above one too many", &[ABOVE_NONE, AS_IS], Err("more CAs"), Err("may not issue")),
            ("an anchor that limits names", &[LIMITS], Ok(()), Err("limits")),
            ("no CA", &[AS_IS, NO_CA], Err("may not issue"), Err("may not issue")),
            ("no CA by its own word", &[AS_IS, NEVER_CA], Err("may not issue"), Err("may not issue")),
            ("a CA that may not sign", &[AS_IS, NO_SIGNER], Ok(()), Err("may not issue")),
            ("a CA for clients", &[AS_IS, FOR_CLIENTS], Err("serverAuth"), Err("may not issue")),
            ("a CA with an unknown critical extension", &[AS_IS, CRITICAL], Err("critical"), Err("may not issue")),
            ("a CA above the server's alone", &[AS_IS, ABOVE_NONE], Ok(()), Ok(())),
            ("a CA above one too many", &[AS_IS, ABOVE_NONE, AS_IS], Err("more CAs"), Err("may not issue")),
            ("a CA that has expired", &[AS_IS, EXPIRED], Err("has expired"), Err("has expired")),
            ("a CA of tomorrow", &[AS_IS, NOT_YET], Err("not valid yet"), Err("not valid yet")),
            ("a CA that limits names", &[AS_IS, LIMITS, AS_IS], Ok(()), Err("limits")),
        ];
        for (what, changes, by_webpki, by_own) in cases {
            let cas = cas(changes);
            for ((kind, leaf), expected) in LEAVES.into_iter().zip([by_webpki, by_own, by_own]) {
                let verdict = chain(&cas[..1], &leaf(&key(), cas.last().unwrap(), AS_IS), &cas[1..], NOW);
                let is_expected = match (&verdict, expected) {
                    (Ok(()), Ok(())) => true,
                    (Err(reason), Err(word)) => reason.contains(word),
                    _ => false,
                };
                assert!(is_expected, "{what}, {kind}: {verdict:?}");
            }
        }
    }

    #[test]
    fn dates_count_to_the_second_for_each_certificate_of_a_chain() {
        const YEAR: Change = |params| {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        };
        const END: u64 = 1_609_459_200;
        for (short, (kind, leaf)) in (0..3).flat_map(|short| LEAVES.map(|leaf| (short, leaf))) {
            let changes: [Change; 3] = std::array::from_fn(|index| if index == short { YEAR } else { AS_IS });
            let cas = cas(&changes[..2]);
            let leaf = leaf(&key(), &cas[1], changes[2]);
            for (now, is_valid) in [(NOW - 1, false), (NOW, true), (END, true), (END + 1, false)] {
                assert_eq!(chain(&cas[..1], &leaf, &cas[1..], now).is_ok(), is_valid, "{kind}, {short}, {now}");
                let as_given = chain(from_ref(&leaf), &leaf, &[], now);
                assert_eq!(as_given.is_ok(), is_valid || short != 2, "{kind}, {short}, {now}, given");
            }
        }
    }

    #[test]
    fn a_certificate_that_is_given_is_trusted_as_that_very_one() {
        let unknown = cas(&[AS_IS]);
        for (kind, leaf) in LEAVES {
            let given = [leaf(&key(), &unknown[0], AS_IS)];
            let twin = leaf(&given[0].key, &unknown[0], AS_IS);
            assert_eq!(chain(&given, &given[0], &[], NOW), Ok(()), "{kind}");
            assert!(chain(&given, &twin, &[&given[..], &unknown].concat(), NOW).is_err(), "{kind}: same name and key");
        }
    }

    #[test]
    fn a_certificate_that_is_not_for_servers_is_refused_even_where_it_is_given() {
        let cas = cas(&[AS_IS]);
        let is_taken = |leaf: Leaf, change: Change| {
            let leaf = leaf(&key(), &cas[0], change);
            [&cas, from_ref(&leaf)].map(|trusted| chain(trusted, &leaf, &[], NOW).is_ok())
        };
        for leaf in [plain, ca_too] {
            assert_eq!(is_taken(leaf, AS_IS), [true, true]);
            assert_eq!(is_taken(leaf, FOR_CLIENTS), [false, false]);
            assert_eq!(is_taken(leaf, CRITICAL), [false, false]);
        }
        assert_eq!(is_taken(ca_too, NO_SERVER), [false, false]);
        assert!(!is_taken(plain, NO_SERVER)[1]);
    }

    #[test]
    fn a_ca_is_known_by_its_name_and_its_key_together() {
        let (cas, others) = (cas(&[AS_IS; 2]), cas(&[AS_IS; 2]));
        let root = ca("another name", &cas[0].key, None, AS_IS);
        let renamed = vec![root, ca("another name", &cas[1].key, Some(&cas[0]), AS_IS)];
        for (kind, leaf) in LEAVES {
            for (issuers, is_right) in [(&cas, true), (&others, false), (&renamed, false)] {
                let [by_root, by_between] = [0, 1].map(|index| leaf(&key(), &issuers[index], AS_IS));
                assert_eq!(chain(&cas[..1], &by_root, &others, NOW).is_ok(), is_right, "{kind}, by the root");
                assert_eq!(chain(&cas[..1], &by_between, &cas[1..], NOW).is_ok(), is_right, "{kind}, by the other");
                assert!(chain(&cas[..1], &by_between, &others[1..], NOW).is_err(), "{kind}, where another is sent");
            }
        }
    }

    #[test]
    fn a_ca_that_leads_nowhere_hides_no_twin_that_leads_further() {
        for bad in [EXPIRED, NOT_YET, LIMITS, NO_CA, NO_SIGNER] {
            let keys = [key(), key()];
            let roots = [bad, AS_IS, bad].map(|change| ca("root", &keys[0], None, change));
            let between = [bad, AS_IS, bad].map(|change| ca("between", &keys[1], Some(&roots[1]), change));
            for (kind, leaf) in LEAVES {
                assert_eq!(chain(&roots, &leaf(&key(), &between[1], AS_IS), &between, NOW), Ok(()), "{kind}");
            }
        }
    }

    #[test]
    fn a_certificate_of_version_1_vouches_for_others_only_as_a_root() {
        let (root, cas) = (ca(HOST, &key(), None, AS_IS), cas(&[AS_IS]));
        let by_itself = [version_1(&root.key, &root, AS_IS)];
        let by_another = [version_1(&key(), &cas[0], AS_IS)];
        for (kind, leaf) in LEAVES {
            assert_eq!(chain(&by_itself, &leaf(&key(), &by_itself[0], AS_IS), &[], NOW), Ok(()), "{kind}");
            for trusted in [&cas[..], &by_another] {
                let verdict = chain(trusted, &leaf(&key(), &by_another[0], AS_IS), &by_another, NOW);
                assert!(verdict.is_err(), "{kind}");
            }
        }
    }

    #[test]
    fn a_server_that_sends_countless_ways_is_refused_at_once() {
        let root = [ca("root", &key(), None, AS_IS)];
        let round = ca("round", &key(), None, AS_IS);
        let out = ca("round", &round.key, Some(&root[0]), ABOVE_NONE);
        let leaf = ca_too(&key(), &round, AS_IS);
        // The way out is the last of all. Each twin can stand above each, at six depths: 2 + 4 + … + 64 are too many.
        for (twins, is_found) in [(0, true), (1, true), (2, false)] {
            let sent = [vec![round.clone(); twins], vec![out.clone()]].concat();
            assert_eq!(chain(&root, &leaf, &sent, NOW).is_ok(), is_found, "{twins} twins");
        }
        for (others, is_found) in [(MAX_PRESENTED - 1, true), (MAX_PRESENTED, false)] {
            let sent = [vec![root[0].clone(); others], vec![out.clone()]].concat();
            assert_eq!(chain(&root, &leaf, &sent, NOW).is_ok(), is_found, "{others} others");
        }
    }

    #[test]
    fn as_much_is_verified_as_was_asked_for() {
        let (cas, unknown) = (cas(&[AS_IS]), cas(&[AS_IS]));
        let given = plain(&key(), &unknown[0], OTHER_NAME);
        let garbage = Made { der: vec![5, 0].into(), ..given.clone() };
        let trusted = [cas[0].clone(), given.clone()];
        for (what, leaf, expected) in [
            ("right", plain(&key(), &cas[0], AS_IS), [true, true, true]),
            ("of another name", plain(&key(), &cas[0], OTHER_NAME), [true, true, false]),
            ("given, of another name", given, [true, true, false]),
            ("from an unknown CA", plain(&key(), &unknown[0], AS_IS), [true, false, false]),
            ("no certificate", garbage, [true, false, false]),
        ] {
            assert_eq!(
                CHECKS.map(|check| judged(&verifier(check, &trusted), &leaf, &[], NOW).is_ok()),
                expected,
                "{what}"
            );
        }
    }

    #[test]
    fn a_ca_that_limits_names_limits_alternatives_and_leaves_common_names_out() {
        const NO_ALTERNATIVE: Change = |params| params.subject_alt_names.clear();
        for (changes, name, is_taken) in [
            ([AS_IS, AS_IS], NO_ALTERNATIVE, true),
            ([LIMITS, AS_IS], NO_ALTERNATIVE, false),
            ([AS_IS, LIMITS], NO_ALTERNATIVE, false),
            ([LIMITS, LIMITS], AS_IS, true),
            ([LIMITS, AS_IS], FURTHER_NAME, false),
            ([AS_IS, LIMITS], FURTHER_NAME, false),
            ([AS_IS, AS_IS], FURTHER_NAME, true),
        ] {
            let cas = cas(&changes);
            let leaf = plain(&key(), &cas[1], name);
            let verdict = judged(&verifier(CertificateCheck::ChainAndName, &cas[..1]), &leaf, &cas[1..], NOW);
            assert_eq!(verdict.is_ok(), is_taken, "{verdict:?}");
        }
    }

    #[test]
    fn the_voucher_is_the_root_or_what_was_given() {
        let cas = cas(&[AS_IS; 2]);
        for (kind, leaf) in LEAVES {
            let leaf = leaf(&key(), &cas[1], AS_IS);
            for (trusted, sent, word) in
                [(&cas[0], &cas[1..], Some("CA 0")), (&leaf, &[], Some("given")), (&cas[0], &[], None)]
            {
                let verifier = verifier(CertificateCheck::Chain, from_ref(trusted));
                assert_eq!(judged(&verifier, &leaf, sent, NOW).is_ok(), word.is_some());
                let voucher = verifier.findings.voucher.get();
                assert!(
                    voucher.map_or(word.is_none(), |voucher| voucher.contains(word.unwrap())),
                    "{kind}: {voucher:?}"
                );
            }
        }
    }

    #[test]
    fn of_several_cas_the_one_whose_dates_are_wrong_is_named() {
        let stranger = made("stranger", &key(), None, |params| params.not_after = date_time_ymd(2018, 12, 31));
        for (bad, index) in [EXPIRED, NOT_YET].into_iter().flat_map(|bad| [(bad, 0), (bad, 1), (bad, 2)]) {
            let cas = cas(&std::array::from_fn::<_, 3, _>(|at| if at == index { bad } else { AS_IS }));
            let sent = [from_ref(&stranger), &cas[1..]].concat();
            for (kind, leaf) in LEAVES {
                let reason = chain(&cas[..1], &leaf(&key(), &cas[2], AS_IS), &sent, NOW).unwrap_err();
                assert!(reason.contains(&format!("CA {index}")), "{kind}: {reason}");
            }
        }
    }

    /// The outcome of a handshake over TLS 1.2 and 1.3, and whether the key is proven then. A `DigitallySignedStruct` can only
    /// be had of bytes, by a path of rustls that its next version may change.
    fn shaken(
        check: CertificateCheck,
        der: &CertificateDer<'_>,
        scheme: SignatureScheme,
        signature: &[u8],
    ) -> [(Result<(), rustls::Error>, bool); 2] {
        let length = u16::try_from(signature.len()).unwrap().to_be_bytes();
        let signed = [&u16::from(scheme).to_be_bytes(), &length, signature].concat();
        let signed = DigitallySignedStruct::read_bytes(&signed).unwrap();
        [Verifier::verify_tls12_signature, Verifier::verify_tls13_signature].map(|verify| {
            let verifier = verifier(check, &[]);
            let result = verify(&verifier, b"handshake", der, &signed).map(drop);
            (result, verifier.findings.is_key_proven.load(Ordering::Relaxed))
        })
    }

    #[test]
    fn a_server_must_hold_the_key_of_its_certificate_whatever_is_verified() {
        for (algorithm, scheme) in KINDS {
            let [key, other] = [(); 2].map(|()| Rc::new(KeyPair::generate_for(algorithm).unwrap()));
            let der = made(HOST, &key, None, AS_IS).der;
            for check in CHECKS {
                for proven in shaken(check, &der, scheme, &key.sign(b"handshake").unwrap()) {
                    assert_eq!(proven, (Ok(()), true));
                }
                for wrong in [other.sign(b"handshake"), key.sign(b"another"), Ok(Vec::new())] {
                    for (result, is_proven) in shaken(check, &der, scheme, &wrong.unwrap()) {
                        assert!(result.is_err() && !is_proven, "{scheme:?}, {check:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_signature_is_of_the_kind_that_fits_the_key() {
        let is_misbehaved = |algorithm, scheme| {
            let key = Rc::new(KeyPair::generate_for(algorithm).unwrap());
            let signature = key.sign(b"handshake").unwrap();
            shaken(CertificateCheck::Chain, &made(HOST, &key, None, AS_IS).der, scheme, &signature)
                .map(|(result, _)| matches!(result.unwrap_err(), rustls::Error::PeerMisbehaved(_)))
        };
        assert_eq!(is_misbehaved(&PKCS_ECDSA_P256_SHA256, SignatureScheme::ED25519), [true, true]);
        assert_eq!(is_misbehaved(&PKCS_ED25519, SignatureScheme::ED448), [true, true]);
        // TLS 1.2 leaves the curve open: it is the wrong signature then.
        assert_eq!(is_misbehaved(&PKCS_ECDSA_P384_SHA384, SignatureScheme::ECDSA_NISTP256_SHA256), [false, true]);
    }

    #[test]
    fn a_key_of_an_unknown_kind_passes_only_where_nothing_is_verified_and_proves_nothing() {
        const P_256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let leaf = made(HOST, &key(), None, AS_IS);
        let mut der = leaf.der.to_vec();
        let curve = der.windows(P_256.len()).position(|window| window == P_256).unwrap();
        // P-192
        der[curve + P_256.len() - 1] = 1;
        let signature = leaf.key.sign(b"handshake").unwrap();
        for check in CHECKS {
            let both = shaken(check, &der.as_slice().into(), SignatureScheme::ECDSA_NISTP256_SHA256, &signature);
            assert!(
                both.iter().all(|(result, is_proven)| {
                    result.is_ok() == (check == CertificateCheck::Nothing) && !is_proven
                }),
                "{both:?}"
            );
        }
    }
}
