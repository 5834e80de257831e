//! The signatures that this build can verify.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use webpki::ring as known;

/// A key that is for RSASSA-PSS alone (RFC 4055), which rustls-webpki leaves out.
#[derive(Debug)]
struct Pss {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    verification: &'static dyn VerificationAlgorithm,
}

impl SignatureVerificationAlgorithm for Pss {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.verification, key).verify(message, signature).map_err(|_| InvalidSignature)
    }
}

/// id-RSASSA-PSS, without a word about hashes.
const PSS_KEY: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10]);

static PSS_SHA256: Pss =
    Pss { key: PSS_KEY, signature: alg_id::RSA_PSS_SHA256, verification: &signature::RSA_PSS_2048_8192_SHA256 };
static PSS_SHA384: Pss =
    Pss { key: PSS_KEY, signature: alg_id::RSA_PSS_SHA384, verification: &signature::RSA_PSS_2048_8192_SHA384 };
static PSS_SHA512: Pss =
    Pss { key: PSS_KEY, signature: alg_id::RSA_PSS_SHA512, verification: &signature::RSA_PSS_2048_8192_SHA512 };

/// For keys that name the hash themselves.
static PSS_SHA256_ONLY: Pss = Pss {
    key: alg_id::RSA_PSS_SHA256,
    signature: alg_id::RSA_PSS_SHA256,
    verification: &signature::RSA_PSS_2048_8192_SHA256,
};
static PSS_SHA384_ONLY: Pss = Pss {
    key: alg_id::RSA_PSS_SHA384,
    signature: alg_id::RSA_PSS_SHA384,
    verification: &signature::RSA_PSS_2048_8192_SHA384,
};
static PSS_SHA512_ONLY: Pss = Pss {
    key: alg_id::RSA_PSS_SHA512,
    signature: alg_id::RSA_PSS_SHA512,
    verification: &signature::RSA_PSS_2048_8192_SHA512,
};

/// `rsa_pss_pss_sha256` and its siblings (RFC 8446, section 4.2.3), which rustls has no name for.
const RSA_PSS_PSS_SHA256: SignatureScheme = SignatureScheme::Unknown(0x0809);
const RSA_PSS_PSS_SHA384: SignatureScheme = SignatureScheme::Unknown(0x080a);
const RSA_PSS_PSS_SHA512: SignatureScheme = SignatureScheme::Unknown(0x080b);

/// The algorithms of rustls, and keys for RSASSA-PSS.
pub(crate) static ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        known::ECDSA_P256_SHA256,
        known::ECDSA_P256_SHA384,
        known::ECDSA_P384_SHA256,
        known::ECDSA_P384_SHA384,
        known::ED25519,
        known::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        known::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        known::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        known::RSA_PKCS1_2048_8192_SHA256,
        known::RSA_PKCS1_2048_8192_SHA384,
        known::RSA_PKCS1_2048_8192_SHA512,
        known::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        known::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        known::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
        &PSS_SHA256,
        &PSS_SHA256_ONLY,
        &PSS_SHA384,
        &PSS_SHA384_ONLY,
        &PSS_SHA512,
        &PSS_SHA512_ONLY,
    ],
    mapping: &[
        // TLS 1.3 takes the first of a line, TLS 1.2 the one that fits the key.
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[known::ECDSA_P384_SHA384, known::ECDSA_P256_SHA384]),
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[known::ECDSA_P256_SHA256, known::ECDSA_P384_SHA256]),
        (SignatureScheme::ED25519, &[known::ED25519]),
        (SignatureScheme::RSA_PSS_SHA512, &[known::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA384, &[known::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA256, &[known::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
        (RSA_PSS_PSS_SHA512, &[&PSS_SHA512, &PSS_SHA512_ONLY]),
        (RSA_PSS_PSS_SHA384, &[&PSS_SHA384, &PSS_SHA384_ONLY]),
        (RSA_PSS_PSS_SHA256, &[&PSS_SHA256, &PSS_SHA256_ONLY]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[known::RSA_PKCS1_2048_8192_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[known::RSA_PKCS1_2048_8192_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[known::RSA_PKCS1_2048_8192_SHA256]),
    ],
};

/// The further schemes that a server may sign with, where nothing is verified but its key, if that can be: it shows
/// its certificate then, and does not give up for want of an algorithm.
pub(crate) const UNVERIFIED: [SignatureScheme; 5] = [
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED448,
    // Brainpool (RFC 8734).
    SignatureScheme::Unknown(0x081a),
    SignatureScheme::Unknown(0x081b),
    SignatureScheme::Unknown(0x081c),
];

/// Whether TLS 1.3 lets a handshake be signed so (RFC 8446, section 4.2.3): not by PKCS #1, not with SHA-1.
pub(crate) fn is_for_tls13(scheme: SignatureScheme) -> bool {
    !matches!(u16::from(scheme), 0..=0x03ff | 0x0401 | 0x0501 | 0x0601)
}
