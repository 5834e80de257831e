//! As much BSON as the handshake has, and `OP_MSG` around it (MongoDB's wire protocol). Pure.

use crate::targets::shared::talk::{Decoded, ProtocolError};

/// A server may claim no longer message than this.
const MAX_MESSAGE: usize = 64 << 10;
/// The length, two numbers, the code and the flags of a message, and the kind of its section.
const HEAD: usize = 21;
/// `OP_MSG`
const OP_MSG: u32 = 2013;

/// A document under construction.
#[derive(Debug, Default)]
pub(crate) struct Document(Vec<u8>);

impl Document {
    fn element(mut self, kind: u8, name: &str, value: &[&[u8]]) -> Self {
        self.0.push(kind);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self.0.extend_from_slice(&value.concat());
        self
    }

    /// With a number.
    #[must_use]
    pub(crate) fn int(self, name: &str, value: i32) -> Self {
        self.element(0x10, name, &[&value.to_le_bytes()])
    }

    /// With a truth value.
    #[must_use]
    pub(crate) fn bool(self, name: &str, value: bool) -> Self {
        self.element(8, name, &[&[u8::from(value)]])
    }

    /// With a text.
    #[must_use]
    pub(crate) fn text(self, name: &str, value: &str) -> Self {
        self.element(2, name, &[&length(value.len() + 1), value.as_bytes(), &[0]])
    }

    /// With bytes.
    #[must_use]
    pub(crate) fn bytes(self, name: &str, value: &[u8]) -> Self {
        self.element(5, name, &[&length(value.len()), &[0], value])
    }

    /// With another document.
    #[must_use]
    pub(crate) fn document(self, name: &str, value: Self) -> Self {
        self.element(3, name, &[&value.finished()])
    }

    /// As it is sent.
    pub(crate) fn finished(self) -> Vec<u8> {
        [&length(self.0.len() + 5)[..], &self.0, &[0]].concat()
    }

    /// As a message.
    pub(crate) fn message(self, number: u32) -> Vec<u8> {
        let body = self.finished();
        let head = [&length(HEAD + body.len())[..], &number.to_le_bytes(), &[0; 4], &OP_MSG.to_le_bytes()];
        [&head.concat()[..], &[0; 5], &body].concat()
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// The length at the beginning of `bytes`.
fn length_at(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.first_chunk()?)).ok()
}

/// The document in the message at the beginning of `bytes`, and the message's length; `None` means "read more".
///
/// # Errors
///
/// As soon as the bytes cannot be the beginning of an `OP_MSG` with one document.
pub(crate) fn message(bytes: &[u8]) -> Decoded<Vec<u8>> {
    let Some(claimed) = length_at(bytes) else { return Ok(None) };
    if !(HEAD + 5..=MAX_MESSAGE).contains(&claimed) {
        return Err(ProtocolError);
    }
    if bytes.get(12..16).is_some_and(|code| code != OP_MSG.to_le_bytes()) {
        return Err(ProtocolError);
    }
    let Some(whole) = bytes.get(..claimed) else { return Ok(None) };
    let document = &whole[HEAD..];
    let is_whole = whole[HEAD - 1] == 0 && BsonValue::document_length(document) == Some(document.len());
    if is_whole { Ok(Some((document.to_vec(), claimed))) } else { Err(ProtocolError) }
}

/// A value as it was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BsonValue<'a> {
    /// A whole number.
    Int(i32),
    /// Any other number.
    Double(f64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A truth value.
    Bool(bool),
    /// A document, or an array, whose names are numbers.
    Document(&'a [u8]),
    /// Anything else.
    Other,
}

impl<'a> BsonValue<'a> {
    fn document_length(bytes: &[u8]) -> Option<usize> {
        let length = length_at(bytes)?;
        (length >= 5 && length <= bytes.len() && bytes[length - 1] == 0).then_some(length)
    }

    /// The value of a kind at the beginning of `bytes`, and its length.
    fn read(kind: u8, bytes: &'a [u8]) -> Option<(Self, usize)> {
        let fixed = |length: usize| (bytes.len() >= length).then_some((Self::Other, length));
        Some(match kind {
            0x01 => (Self::Double(f64::from_le_bytes(*bytes.first_chunk()?)), 8),
            0x10 => (Self::Int(i32::from_le_bytes(*bytes.first_chunk()?)), 4),
            0x02 => {
                let length = length_at(bytes)?;
                let text = bytes.get(4..4_usize.checked_add(length)?)?.strip_suffix(&[0])?;
                (Self::Text(std::str::from_utf8(text).ok()?), 4 + length)
            }
            0x05 => {
                let end = 5_usize.checked_add(length_at(bytes)?)?;
                (Self::Bytes(bytes.get(5..end)?), end)
            }
            0x08 => (Self::Bool(*bytes.first()? != 0), 1),
            0x03 | 0x04 => {
                let length = Self::document_length(bytes)?;
                (Self::Document(&bytes[..length]), length)
            }
            0x06 | 0x0a | 0x7f | 0xff => (Self::Other, 0),
            0x07 => fixed(12)?,
            0x09 | 0x11 | 0x12 => fixed(8)?,
            0x13 => fixed(16)?,
            _ => return None,
        })
    }
}

/// The elements of a document, up to the first that cannot be read.
pub(crate) fn elements(document: &[u8]) -> impl Iterator<Item = (&str, BsonValue<'_>)> {
    let mut rest = document.get(4..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&kind, after) = rest.split_first().filter(|(kind, _)| **kind != 0)?;
        let end = after.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&after[..end]).ok()?;
        let (value, length) = BsonValue::read(kind, &after[end + 1..])?;
        rest = &after[end + 1 + length..];
        Some((name, value))
    })
}

/// The value of that name.
pub(crate) fn get<'a>(document: &'a [u8], name: &str) -> Option<BsonValue<'a>> {
    elements(document).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The text of that name.
pub(crate) fn text_at<'a>(document: &'a [u8], name: &str) -> Option<&'a str> {
    if let Some(BsonValue::Text(text)) = get(document, name) { Some(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let inner = Document::default().text("0", "SCRAM-SHA-256");
        let sample = Document::default().bool("isWritablePrimary", true).int("maxWireVersion", 21);
        sample.document("mechs", inner).bytes("payload", b"x").text("setName", "rs0").int("ok", 1).message(7)
    }

    #[test]
    fn every_proper_prefix_means_read_more_and_the_whole_is_a_message() {
        let whole = sample();
        for end in 0..whole.len() {
            assert_eq!(message(&whole[..end]), Ok(None), "{end}");
        }
        let (document, used) = message(&whole).unwrap().unwrap();
        assert_eq!(used, whole.len());
        assert_eq!(get(&document, "isWritablePrimary"), Some(BsonValue::Bool(true)));
        assert_eq!(get(&document, "setName"), Some(BsonValue::Text("rs0")));
        assert_eq!(get(&document, "payload"), Some(BsonValue::Bytes(b"x")));
        assert_eq!(get(&document, "ok"), Some(BsonValue::Int(1)));
        assert_eq!(get(&document, "nothing"), None);
        let Some(BsonValue::Document(mechanisms)) = get(&document, "mechs") else { panic!() };
        assert_eq!(elements(mechanisms).collect::<Vec<_>>(), [("0", BsonValue::Text("SCRAM-SHA-256"))]);
    }

    #[test]
    fn what_is_no_message_is_refused_at_once() {
        for wrong in [
            &b"HTTP"[..],
            b"\x15\x03\x03\0",
            b"\x05\0\0\0",
            b"\xff\xff\xff\x7f",
            &[60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        ] {
            assert_eq!(message(wrong), Err(ProtocolError), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            drop(message(&bytes));
            elements(&bytes).for_each(drop);
        }

        #[test]
        fn documents_of_any_content_never_panic(kinds in proptest::collection::vec(0..20_u8, 0..4), rest: Vec<u8>) {
            let mut bytes = vec![0; 4];
            for kind in kinds {
                bytes.extend([kind, b'a', 0]);
                bytes.extend(rest.iter().take(9));
            }
            elements(&bytes).for_each(drop);
        }
    }
}
