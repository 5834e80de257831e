//! The parts of an X.509 certificate that a handshake rests on (RFC 5280, section 4.1). Pure.
//!
//! rustls-webpki reads version 3 alone, and refuses some of those before a verifier is asked. Here nothing
//! is judged: a certificate of any version is taken apart, as far as it is needed.

use ring::digest::{Algorithm, SHA256, SHA384, SHA512};

/// A certificate, taken apart. The slices are the contents of DER values, without tag and length, unless
/// said otherwise.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    /// The part that is signed, with tag and length.
    pub(crate) signed: &'a [u8],
    /// 1 to 3.
    pub(crate) version: u8,
    /// The name of whoever signed it.
    pub(crate) issuer: &'a [u8],
    /// From when to when it is valid.
    pub(crate) validity: Validity,
    /// Its name.
    pub(crate) subject: &'a [u8],
    /// The subject's public key with its algorithm, with tag and length.
    pub(crate) public_key: &'a [u8],
    /// The algorithm of the signature.
    pub(crate) algorithm: &'a [u8],
    /// The signature.
    pub(crate) signature: &'a [u8],
    /// The extensions, by which it says what it is for.
    pub(crate) extensions: Extensions<'a>,
}

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    /// The first second.
    pub(crate) not_before: i64,
    /// The last one.
    pub(crate) not_after: i64,
}

/// Why a certificate is not valid at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// Its time has not come.
    NotYet,
    /// Its time is over.
    Expired,
}

impl Validity {
    /// Whether a certificate is valid `now`.
    pub(crate) fn at(self, now: i64) -> Result<(), Invalid> {
        if now > self.not_after {
            Err(Invalid::Expired)
        } else if now < self.not_before {
            Err(Invalid::NotYet)
        } else {
            Ok(())
        }
    }
}

/// The extensions that are looked at (RFC 5280, section 4.2).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extensions<'a> {
    /// basicConstraints, if it has them.
    pub(crate) basic: Option<BasicConstraints>,
    /// keyUsage: its bits, the first one the highest.
    pub(crate) key_usage: Option<u16>,
    /// extendedKeyUsage: OIDs.
    pub(crate) extended_key_usage: Option<&'a [u8]>,
    /// subjectAltName: names.
    pub(crate) alternative_names: Option<&'a [u8]>,
    /// Whether it limits the names below it.
    pub(crate) limits_names: bool,
    /// Whether it has a critical one that is not known here: then it may not be used.
    pub(crate) unknown_critical: bool,
}

/// Whether a certificate may issue others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    /// Whether it may.
    pub(crate) is_ca: bool,
    /// How many others may stand between it and the last one.
    pub(crate) path_length: Option<usize>,
}

/// keyUsage: digitalSignature, keyEncipherment or keyAgreement.
const FOR_TLS: u16 = 0b1010_1000 << 8;
/// keyUsage: keyCertSign.
const FOR_CERTIFICATES: u16 = 0b0000_0100 << 8;
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

const BOOLEAN: u8 = 1;
pub(super) const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
pub(super) const OCTET_STRING: u8 = 4;
pub(super) const OID: u8 = 6;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// DER values, one after the other (X.690).
#[derive(Debug)]
pub(crate) struct Values<'a>(pub &'a [u8]);

impl<'a> Values<'a> {
    /// Takes the next value: its tag, its contents, and all of it.
    fn split(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let whole = self.0;
        let (&[tag, first], rest) = whole.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents, &whole[..whole.len() - rest.len()]))
    }

    /// Takes the next value if it has this tag.
    pub(crate) fn tagged(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = Self(self.0);
        let (found, contents, _) = ahead.split()?;
        (found == tag).then(|| {
            *self = ahead;
            contents
        })
    }

    /// Takes the next value, which must have this tag, with tag and length.
    pub(crate) fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.split().and_then(|(found, _, whole)| (found == tag).then_some(whole))
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.split().map(|(tag, contents, _)| (tag, contents))
    }
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }`: the fields of the
/// first, and all three.
fn opened(der: &[u8]) -> Option<(Values<'_>, Values<'_>)> {
    let fields = Values(der).tagged(SEQUENCE)?;
    Some((Values(fields), Values(Values(fields).tagged(SEQUENCE)?)))
}

/// Its public key with tag and length, whatever else stands in it.
pub(crate) fn public_key(der: &[u8]) -> Option<&[u8]> {
    let (_, mut fields) = opened(der)?;
    // version, serialNumber; signature, issuer, validity, subject.
    fields.tagged(0xa0);
    fields.tagged(INTEGER)?;
    for _ in 0..4 {
        fields.tagged(SEQUENCE)?;
    }
    fields.whole(SEQUENCE)
}

impl<'a> Certificate<'a> {
    /// Takes a certificate apart; none if it is not one.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let (mut outer, mut fields) = opened(der)?;
        let signed = outer.whole(SEQUENCE)?;
        let algorithm = outer.tagged(SEQUENCE)?;
        let signature = bits(outer.tagged(BIT_STRING)?)?;
        let version = match fields.tagged(0xa0) {
            Some(version) => Values(version).tagged(INTEGER)?.last()?.checked_add(1)?,
            None => 1,
        };
        fields.tagged(INTEGER)?;
        // Both say by what it is signed; one that differs would be a forgery that nobody vouches for.
        if fields.tagged(SEQUENCE)? != algorithm {
            return None;
        }
        let issuer = fields.tagged(SEQUENCE)?;
        let mut dates = Values(fields.tagged(SEQUENCE)?);
        let validity = Validity { not_before: time(dates.next()?)?, not_after: time(dates.next()?)? };
        let subject = fields.tagged(SEQUENCE)?;
        let public_key = fields.whole(SEQUENCE)?;
        // issuerUniqueID and subjectUniqueID.
        fields.tagged(0x81);
        fields.tagged(0x82);
        let extensions = match fields.tagged(0xa3) {
            Some(list) if version == 3 => Extensions::read(Values(Values(list).tagged(SEQUENCE)?))?,
            // Before version 3 there are none: what says otherwise is not a certificate.
            Some(_) => return None,
            None => Extensions::default(),
        };
        Some(Self { signed, version, issuer, validity, subject, public_key, algorithm, signature, extensions })
    }

    /// Whether it may issue others where somebody trusts it for that: as OpenSSL's `check_ca` has it, but
    /// for Netscape's extension. Without basicConstraints, a root of version 1 may, and one whose keyUsage
    /// says so.
    pub(crate) fn is_trustworthy_issuer(&self) -> bool {
        let may_sign = self.extensions.key_usage.is_none_or(|usage| usage & FOR_CERTIFICATES != 0);
        let is_ca = match self.extensions.basic {
            Some(basic) => basic.is_ca,
            None => self.extensions.key_usage.is_some() || self.version == 1 && self.issuer == self.subject,
        };
        may_sign && is_ca
    }

    /// Whether it may stand between a root and another certificate, with `below` more between it and the last.
    pub(crate) fn is_intermediate(&self, below: usize) -> bool {
        let extensions = &self.extensions;
        let is_ca =
            extensions.basic.is_some_and(|basic| basic.is_ca && basic.path_length.is_none_or(|length| below <= length));
        let may_sign = extensions.key_usage.is_none_or(|usage| usage & FOR_CERTIFICATES != 0);
        self.version == 3 && is_ca && may_sign && self.is_for_servers() && !extensions.unknown_critical
    }

    /// Whether it may be a server's own.
    pub(crate) fn is_servers(&self) -> bool {
        let may_agree = self.extensions.key_usage.is_none_or(|usage| usage & FOR_TLS != 0);
        may_agree && self.is_for_servers() && !self.extensions.unknown_critical
    }

    /// Whether its extendedKeyUsage, if it has one, is about TLS servers.
    fn is_for_servers(&self) -> bool {
        let is_server = |(tag, oid): (u8, &[u8])| tag == OID && (oid == SERVER_AUTH || oid == ANY_PURPOSE);
        self.extensions.extended_key_usage.is_none_or(|list| Values(list).any(is_server))
    }

    /// The common names of the subject, the most specific one last.
    pub(crate) fn common_names(&self) -> Vec<String> {
        attributes(self.subject).filter(|(oid, _)| *oid == COMMON_NAME).map(|(_, value)| value).collect()
    }
}

/// `Name ::= SEQUENCE OF SET OF SEQUENCE { type, value }`
fn attributes(name: &[u8]) -> impl Iterator<Item = (&[u8], String)> {
    Values(name).filter(|(tag, _)| *tag == SET).flat_map(|(_, set)| Values(set)).filter_map(|(_, attribute)| {
        let mut attribute = Values(attribute);
        let oid = attribute.tagged(OID)?;
        Some((oid, decoded(attribute.next()?)))
    })
}

/// The last common name in a `Name`, or else its last attribute: what people call it by.
pub(crate) fn shown_name(name: &[u8]) -> Option<String> {
    let best = attributes(name).filter(|(oid, _)| *oid == COMMON_NAME).last().or_else(|| attributes(name).last());
    best.map(|(_, value)| value)
}

/// A `BMPString` has two bytes a character; the others are ASCII, Latin-1 or UTF-8.
fn decoded((tag, bytes): (u8, &[u8])) -> String {
    const BMP_STRING: u8 = 0x1e;
    if tag == BMP_STRING {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        return String::from_utf16_lossy(&units);
    }
    String::from_utf8_lossy(bytes).into_owned()
}

impl<'a> Extensions<'a> {
    fn read(list: Values<'a>) -> Option<Self> {
        let mut all = Self::default();
        for (tag, extension) in list {
            let mut parts = Values(if tag == SEQUENCE { extension } else { return None });
            let oid = parts.tagged(OID)?;
            let is_critical = parts.tagged(BOOLEAN).is_some_and(|value| value != [0]);
            let mut value = Values(parts.tagged(OCTET_STRING)?);
            match oid {
                [0x55, 0x1d, 0x0f] => once(&mut all.key_usage, first_bits(value.tagged(BIT_STRING)?))?,
                [0x55, 0x1d, 0x11] => once(&mut all.alternative_names, value.tagged(SEQUENCE)?)?,
                [0x55, 0x1d, 0x13] => {
                    let mut value = Values(value.tagged(SEQUENCE)?);
                    let is_ca = value.tagged(BOOLEAN).is_some_and(|value| value != [0]);
                    let path_length = value.tagged(INTEGER).map(|bytes| {
                        bytes.iter().fold(0_usize, |n, byte| n.saturating_mul(256).saturating_add(usize::from(*byte)))
                    });
                    once(&mut all.basic, BasicConstraints { is_ca, path_length })?;
                }
                [0x55, 0x1d, 0x1e] => all.limits_names = true,
                [0x55, 0x1d, 0x25] => once(&mut all.extended_key_usage, value.tagged(SEQUENCE)?)?,
                // Policies, key identifiers, where revocation is published: no condition of ours.
                [0x55, 0x1d, 0x0e | 0x12 | 0x1f | 0x20 | 0x23] => {}
                _ => all.unknown_critical |= is_critical,
            }
        }
        Some(all)
    }
}

/// An extension that comes twice would mean one thing here and another there.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// The contents of a BIT STRING of whole bytes.
fn bits(contents: &[u8]) -> Option<&[u8]> {
    contents.split_first().and_then(|(unused, bits)| (*unused == 0).then_some(bits))
}

/// The first sixteen bits of a BIT STRING.
fn first_bits(contents: &[u8]) -> u16 {
    let byte = |index| contents.get(index).copied().unwrap_or(0);
    u16::from_be_bytes([byte(1), byte(2)])
}

/// A public key, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicKey<'a> {
    /// Its algorithm with parameters.
    pub(crate) algorithm: &'a [u8],
    /// The key itself.
    pub(crate) key: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// Takes `SubjectPublicKeyInfo ::= SEQUENCE { algorithm, subjectPublicKey }` apart.
    pub(crate) fn read(whole: &'a [u8]) -> Option<Self> {
        let mut fields = Values(Values(whole).tagged(SEQUENCE)?);
        Some(Self { algorithm: fields.tagged(SEQUENCE)?, key: bits(fields.tagged(BIT_STRING)?)? })
    }

    /// The size of an RSA key, in bits.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        if !matches!(oid(self.algorithm)?, RSA | RSA_PSS) {
            return None;
        }
        let modulus = Values(Values(self.key).tagged(SEQUENCE)?).tagged(INTEGER)?;
        let digits = &modulus[modulus.iter().position(|byte| *byte != 0)?..];
        Some(digits.len() * 8 - digits.first()?.leading_zeros() as usize)
    }
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];

fn oid(algorithm: &[u8]) -> Option<&[u8]> {
    Values(algorithm).tagged(OID)
}

/// The common name of a public key's algorithm, if it has a name here.
pub(crate) fn key_name(whole: &[u8]) -> Option<String> {
    let key = PublicKey::read(whole)?;
    let mut parts = Values(key.algorithm);
    let name = match parts.tagged(OID)? {
        RSA => return Some(format!("RSA-{}", key.rsa_bits()?)),
        RSA_PSS => "RSASSA-PSS",
        // id-ecPublicKey, with a curve.
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1] => match parts.tagged(OID).unwrap_or_default() {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7] => "P-256",
            [0x2b, 0x81, 4, 0, 33] => "P-224",
            [0x2b, 0x81, 4, 0, 34] => "P-384",
            [0x2b, 0x81, 4, 0, 35] => "P-521",
            [0x2b, 0x81, 4, 0, 10] => "secp256k1",
            [0x2b, 0x24, 3, 3, 2, 8, 1, 1, ..] => "Brainpool",
            _ => "elliptic curve",
        },
        [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1] => "DSA",
        [0x2b, 0x65, 0x70] => "Ed25519",
        [0x2b, 0x65, 0x71] => "Ed448",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17..=19] => "ML-DSA",
        [0x2a, 0x81, 0x1c, ..] => "SM2",
        _ => return None,
    };
    Some(name.to_owned())
}

/// The hash in a signature's algorithm, as channel binding takes it: SHA-256 in place of MD5 and SHA-1 (RFC 5929, section
/// 4.1). None where the algorithm has none of its own (Ed25519).
pub(crate) fn signature_hash(algorithm: &[u8]) -> Option<&'static Algorithm> {
    let mut parts = Values(algorithm);
    match parts.tagged(OID)? {
        // PKCS #1: md5WithRSA, sha1WithRSA, sha256WithRSA, …
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, last] => match last {
            4 | 5 | 11 => Some(&SHA256),
            12 => Some(&SHA384),
            13 => Some(&SHA512),
            10 => pss_hash(parts.tagged(SEQUENCE)?),
            _ => None,
        },
        // ecdsa-with-SHA1, ecdsa-with-SHA256, …
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] => Some(&SHA256),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, last] => match last {
            2 => Some(&SHA256),
            3 => Some(&SHA384),
            4 => Some(&SHA512),
            _ => None,
        },
        _ => None,
    }
}

/// `RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] DEFAULT sha1, … }` (RFC 4055, section 3.1)
fn pss_hash(parameters: &[u8]) -> Option<&'static Algorithm> {
    let Some(algorithm) = Values(parameters).tagged(0xa0) else {
        return Some(&SHA256);
    };
    match oid(Values(algorithm).tagged(SEQUENCE)?)? {
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1] => Some(&SHA256),
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2] => Some(&SHA384),
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3] => Some(&SHA512),
        _ => None,
    }
}

/// `UTCTime` and `GeneralizedTime` as RFC 5280 has them: `YYMMDDHHMMSSZ` and `YYYYMMDDHHMMSSZ`.
fn time((tag, bytes): (u8, &[u8])) -> Option<i64> {
    let text = bytes.strip_suffix(b"Z")?;
    let mut numbers = text.chunks_exact(2).map(|pair| match pair {
        [tens @ b'0'..=b'9', units @ b'0'..=b'9'] => Some(i64::from(tens - b'0') * 10 + i64::from(units - b'0')),
        _ => None,
    });
    let mut next = || numbers.next().flatten();
    let year = match tag {
        UTC_TIME => next().map(|year| if year < 50 { 2000 + year } else { 1900 + year })?,
        GENERALIZED_TIME => next()? * 100 + next()?,
        _ => return None,
    };
    let (month, day, hour, minute) = (next()?, next()?, next()?, next()?);
    // Some leave the seconds out.
    let second = numbers.next().unwrap_or(Some(0))?;
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    is_date.then(|| days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Howard Hinnant's `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{BasicConstraints as Basic, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
    use rcgen::{KeyUsagePurpose, date_time_ymd};

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["db.example.com".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "db");
        params.not_before = date_time_ymd(2024, 2, 29);
        params.not_after = date_time_ymd(2050, 1, 1);
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_taken_apart() {
        let der = made(|params| {
            params.is_ca = IsCa::Ca(Basic::Constrained(3));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        let read = Certificate::read(&der).unwrap();
        assert_eq!((read.version, read.issuer == read.subject), (3, true));
        // `date -u -d 2024-02-29 +%s`, and of 2050-01-01, which takes four digits for the year.
        assert_eq!(read.validity, Validity { not_before: 1_709_164_800, not_after: 2_524_608_000 });
        assert!(read.is_trustworthy_issuer() && read.is_intermediate(3) && !read.is_intermediate(4));
        assert!(!read.is_servers(), "keyCertSign alone");
        assert_eq!(read.common_names(), ["db"]);
        assert_eq!(key_name(read.public_key).as_deref(), Some("P-256"));
        assert_eq!(public_key(&der), Some(read.public_key));
        assert_eq!(signature_hash(read.algorithm), Some(&SHA256));
    }

    #[test]
    fn a_certificate_that_is_no_cas_is_nobodys_issuer() {
        let der = made(|_| {});
        let read = Certificate::read(&der).unwrap();
        assert!(read.is_servers() && !read.is_trustworthy_issuer() && !read.is_intermediate(0));
    }

    #[test]
    fn a_part_of_a_certificate_is_none() {
        let der = made(|_| {});
        for length in 0..der.len() {
            assert!(Certificate::read(&der[..length]).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn dates_are_read_in_both_forms() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", 0),
            (UTC_TIME, "491231235959Z", 2_524_607_999),
            (UTC_TIME, "500101000000Z", -631_152_000),
            (GENERALIZED_TIME, "20000229120000Z", 951_825_600),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(time((tag, text.as_bytes())), Some(seconds), "{text}");
        }
        for text in ["", "Z", "700101000000", "701301000000Z", "70010100000xZ"] {
            assert_eq!(time((UTC_TIME, text.as_bytes())), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Certificate::read(&bytes), public_key(&bytes), key_name(&bytes), signature_hash(&bytes));
            let _ = shown_name(&bytes);
        }

        #[test]
        fn no_change_is_too_much(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut der = made(|_| {});
            let index = position.index(der.len());
            der[index] = byte;
            let _ = (public_key(&der).map(key_name), Certificate::read(&der).map(|read| read.common_names().len()));
        }
    }
}
