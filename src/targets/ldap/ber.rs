//! Messages of LDAP (RFC 4511) in BER (X.690), as far as a bind and a search of one entry need them. Pure.
//!
//! It is our own because that takes three requests and three answers; the crates that read LDAP read all of it.

use crate::targets::shared::talk::{Decoded, ProtocolError};

/// A server may send no longer message than this.
const MAX_MESSAGE: usize = 1 << 20;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;

/// The requests and answers: the tags of their operations.
pub(crate) mod op {
    /// `BindRequest`
    pub(crate) const BIND: u8 = 0x60;
    /// `BindResponse`
    pub(crate) const BIND_RESPONSE: u8 = 0x61;
    /// `UnbindRequest`
    pub(crate) const UNBIND: u8 = 0x42;
    /// `SearchRequest`
    pub(crate) const SEARCH: u8 = 0x63;
    /// `SearchResultEntry`
    pub(crate) const ENTRY: u8 = 0x64;
    /// `SearchResultReference`
    pub(crate) const REFERENCE: u8 = 0x73;
    /// `SearchResultDone`
    pub(crate) const DONE: u8 = 0x65;
    /// `ExtendedRequest`
    pub(crate) const EXTENDED: u8 = 0x77;
    /// `ExtendedResponse`: the notice of disconnection (section 4.4.1), where its number is 0.
    pub(crate) const EXTENDED_RESPONSE: u8 = 0x78;
}

/// A value with its tag and length.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let head = match length {
        [short] if *short < 0x80 => vec![tag, *short],
        long => [&[tag, 0x80 | u8::try_from(long.len()).unwrap_or_default()][..], long].concat(),
    };
    [head, content.to_vec()].concat()
}

fn message(number: u8, operation: &[u8]) -> Vec<u8> {
    value(SEQUENCE, &[&value(INTEGER, &[number])[..], operation].concat())
}

/// A simple bind, version 3.
pub(crate) fn bind(number: u8, name: &str, password: &[u8]) -> Vec<u8> {
    const SIMPLE: u8 = 0x80;
    let fields = [value(INTEGER, &[3]), value(OCTET_STRING, name.as_bytes()), value(SIMPLE, password)];
    message(number, &value(op::BIND, &fields.concat()))
}

/// A search of the entry `base` alone, of which no attribute is wanted.
pub(crate) fn search(number: u8, base: &str) -> Vec<u8> {
    const BOOLEAN: u8 = 0x01;
    const PRESENT: u8 = 0x87;
    let fields = [
        value(OCTET_STRING, base.as_bytes()),
        // The base object alone; aliases stay as they are.
        value(ENUMERATED, &[0]),
        value(ENUMERATED, &[0]),
        // No limits of entries and time but the server's.
        value(INTEGER, &[0]),
        value(INTEGER, &[0]),
        value(BOOLEAN, &[0]),
        value(PRESENT, b"objectClass"),
        // `1.1`: no attributes (section 4.5.1.8).
        value(SEQUENCE, &value(OCTET_STRING, b"1.1")),
    ];
    message(number, &value(op::SEARCH, &fields.concat()))
}

/// The name of `StartTLS` (section 4.14).
pub(crate) const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// That TLS shall begin.
pub(crate) fn start_tls(number: u8) -> Vec<u8> {
    const NAME: u8 = 0x80;
    message(number, &value(op::EXTENDED, &value(NAME, START_TLS.as_bytes())))
}

/// The end of the session.
pub(crate) fn unbind(number: u8) -> Vec<u8> {
    message(number, &value(op::UNBIND, &[]))
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LdapAnswer {
    /// The number of the request that it answers; 0 for none.
    pub(crate) number: u32,
    /// The tag of its operation.
    pub(crate) operation: u8,
    /// Its result; 0 (success) for an entry or a reference.
    pub(crate) code: u32,
    /// The server's text about the result.
    pub(crate) text: Vec<u8>,
}

/// The answer at the beginning of `bytes`, and its length; `None` means "read more".
///
/// # Errors
///
/// As soon as the bytes cannot be the beginning of one.
pub(crate) fn answer(bytes: &[u8]) -> Decoded<LdapAnswer> {
    if bytes.first().is_some_and(|tag| *tag != SEQUENCE) {
        return Err(ProtocolError);
    }
    let Some((head, length)) = length(bytes.get(1..).unwrap_or_default())? else { return Ok(None) };
    let begin = 1 + head;
    if !(5..=MAX_MESSAGE).contains(&length) {
        return Err(ProtocolError);
    }
    // The number comes first, whatever the rest is.
    if bytes.get(begin).is_some_and(|tag| *tag != INTEGER) {
        return Err(ProtocolError);
    }
    let Some(content) = bytes.get(begin..begin + length) else { return Ok(None) };
    Ok(Some((read_answer(content)?, begin + length)))
}

fn read_answer(mut content: &[u8]) -> Result<LdapAnswer, ProtocolError> {
    let number = number(take(&mut content, INTEGER)?)?;
    let operation = *content.first().ok_or(ProtocolError)?;
    let mut fields = take(&mut content, operation)?;
    match operation {
        op::ENTRY | op::REFERENCE => Ok(LdapAnswer { number, operation, code: 0, text: Vec::new() }),
        op::BIND_RESPONSE | op::DONE | op::EXTENDED_RESPONSE => {
            let code = self::number(take(&mut fields, ENUMERATED)?)?;
            take(&mut fields, OCTET_STRING)?;
            Ok(LdapAnswer { number, operation, code, text: take(&mut fields, OCTET_STRING)?.to_vec() })
        }
        _ => Err(ProtocolError),
    }
}

/// A length of the definite form, and how many bytes say it (RFC 4511, section 5.1 allows no other).
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, ProtocolError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let count = usize::from(first & 0x7f);
    match first {
        ..=0x7f => Ok(Some((1, count))),
        // 0x80 is the indefinite form, and longer ones than four bytes are nobody's.
        0x81..=0x84 => {
            let Some(length) = rest.get(..count) else { return Ok(None) };
            Ok(Some((1 + count, length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))))
        }
        _ => Err(ProtocolError),
    }
}

/// Takes the content of a value with this tag from the front.
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Result<&'a [u8], ProtocolError> {
    let after = bytes.strip_prefix(&[tag]).ok_or(ProtocolError)?;
    let (head, length) = length(after)?.ok_or(ProtocolError)?;
    let (content, rest) = after[head..].split_at_checked(length).ok_or(ProtocolError)?;
    *bytes = rest;
    Ok(content)
}

fn number(content: &[u8]) -> Result<u32, ProtocolError> {
    if !(1..=4).contains(&content.len()) {
        return Err(ProtocolError);
    }
    Ok(content.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// An answer as a server sends it: for tests.
#[cfg(test)]
pub(crate) fn sent(number: u8, operation: u8, code: u8, text: &str) -> Vec<u8> {
    let fields = match operation {
        op::ENTRY => [value(OCTET_STRING, b""), value(SEQUENCE, b"")].concat(),
        _ => [value(ENUMERATED, &[code]), value(OCTET_STRING, b""), value(OCTET_STRING, text.as_bytes())].concat(),
    };
    message(number, &value(operation, &fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_as_ldapsearch_sends_them() {
        assert_eq!(bind(1, "cn=a", b"pw"), b"\x30\x12\x02\x01\x01\x60\x0d\x02\x01\x03\x04\x04cn=a\x80\x02pw");
        let root = b"\x30\x2a\x02\x01\x02\x63\x25\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\0\x01\x01\0\x87\x0bobjectClass\x30\x05\x04\x031.1";
        assert_eq!(search(2, ""), root);
        assert_eq!(unbind(3), b"\x30\x05\x02\x01\x03\x42\0");
        let long = search(2, &"x".repeat(200));
        assert_eq!(long[..4], [0x30, 0x81, 0xf4, 0x02]);
        assert_eq!(long.len(), 3 + 0xf4);
    }

    #[test]
    fn every_proper_prefix_of_an_answer_means_read_more() {
        for whole in
            [sent(1, op::BIND_RESPONSE, 49, ""), sent(2, op::DONE, 32, &"x".repeat(300)), sent(2, op::ENTRY, 0, "")]
        {
            for end in 0..whole.len() {
                assert_eq!(answer(&whole[..end]), Ok(None), "{end}");
            }
            assert!(matches!(answer(&whole), Ok(Some((_, length))) if length == whole.len()));
        }
        let found = answer(&sent(1, op::BIND_RESPONSE, 49, "no")).unwrap().unwrap().0;
        assert_eq!(found, LdapAnswer { number: 1, operation: op::BIND_RESPONSE, code: 49, text: b"no".to_vec() });
    }

    #[test]
    fn what_is_no_answer_is_refused_at_once() {
        for wrong in [
            &b"HTTP"[..],
            b"\x30\x80",
            b"\x30\x85",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x03",
            b"\x30\x0c\x04",
            b"\x30\x05\x02\x01\x01\x42\0",
            b"\x30\x06\x02\x01\x01\x61\x01\x0a",
        ] {
            assert_eq!(answer(wrong), Err(ProtocolError), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            drop(answer(&bytes));
            drop(answer(&value(SEQUENCE, &[&[INTEGER, 1, 1][..], &bytes].concat())));
        }
    }
}
