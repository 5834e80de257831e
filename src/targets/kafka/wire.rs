//! Kafka's protocol: requests, and as much of the answers as is asked for. Pure.

use crate::targets::shared::talk::{Decoded, ProtocolError};

/// A server may claim no longer answer than this: a topic of some thousand partitions.
const MAX_ANSWER: usize = 1 << 20;
/// The client's name.
const CLIENT: &str = "when-ready";

/// The requests that are sent: their keys and versions.
pub(crate) mod api {
    /// `Metadata`; from version 4 on, asking for a topic creates none.
    pub(crate) const METADATA: (i16, i16) = (3, 4);
    /// `SaslHandshake`
    pub(crate) const SASL_HANDSHAKE: (i16, i16) = (17, 1);
    /// `ApiVersions`
    pub(crate) const API_VERSIONS: (i16, i16) = (18, 0);
    /// `SaslAuthenticate`
    pub(crate) const SASL_AUTHENTICATE: (i16, i16) = (36, 0);
}

/// A request with its head (version 1).
pub(crate) fn request((key, version): (i16, i16), number: i32, body: &[u8]) -> Vec<u8> {
    let head = [&key.to_be_bytes()[..], &version.to_be_bytes(), &number.to_be_bytes(), &string(CLIENT)].concat();
    let length = i32::try_from(head.len() + body.len()).unwrap_or(i32::MAX);
    [&length.to_be_bytes()[..], &head, body].concat()
}

/// A string.
pub(crate) fn string(text: &str) -> Vec<u8> {
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// Bytes.
pub(crate) fn bytes(bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// The body of a `Metadata` request: one topic or none, not to be created.
pub(crate) fn metadata_request(topic: Option<&str>) -> Vec<u8> {
    let topics =
        topic.map_or_else(|| 0_i32.to_be_bytes().to_vec(), |topic| [&1_i32.to_be_bytes()[..], &string(topic)].concat());
    [&topics[..], &[0]].concat()
}

/// The answer at the beginning of `buffer` to the request of this number, and its length; `None` means "read more".
///
/// # Errors
///
/// As soon as the bytes cannot be the beginning of it.
pub(crate) fn answer(buffer: &[u8], number: i32) -> Decoded<Vec<u8>> {
    let Some(claimed) = buffer.first_chunk::<4>() else { return Ok(None) };
    let claimed = usize::try_from(i32::from_be_bytes(*claimed)).map_err(|_| ProtocolError)?;
    if !(4..=MAX_ANSWER).contains(&claimed) {
        return Err(ProtocolError);
    }
    if buffer.get(4..8).is_some_and(|found| found != number.to_be_bytes()) {
        return Err(ProtocolError);
    }
    Ok(buffer.get(8..4 + claimed).map(|body| (body.to_vec(), 4 + claimed)))
}

/// Reads fields from the front.
struct AnswerFields<'a>(&'a [u8]);

impl<'a> AnswerFields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtocolError> {
        self.0.split_off(..length).ok_or(ProtocolError)
    }

    fn short(&mut self) -> Result<i16, ProtocolError> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().map_err(|_| ProtocolError)?))
    }

    fn int(&mut self) -> Result<i32, ProtocolError> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().map_err(|_| ProtocolError)?))
    }

    /// A string; null is empty.
    fn string(&mut self) -> Result<&'a [u8], ProtocolError> {
        match self.short()? {
            -1 => Ok(b""),
            length => self.take(usize::try_from(length).map_err(|_| ProtocolError)?),
        }
    }

    /// The length of an array; null is empty.
    fn count(&mut self) -> Result<usize, ProtocolError> {
        match self.int()? {
            -1 => Ok(0),
            // Each element has two bytes at least.
            count => usize::try_from(count).ok().filter(|count| *count <= self.0.len() / 2).ok_or(ProtocolError),
        }
    }
}

/// The error and the versions of a request that `ApiVersions` tells of; none where the server does not know it.
///
/// # Errors
///
/// When it is no such answer.
pub(crate) fn versions(body: &[u8], key: i16) -> Result<(i16, Option<(i16, i16)>), ProtocolError> {
    let mut fields = AnswerFields(body);
    let error = fields.short()?;
    let mut found = None;
    for _ in 0..fields.count()? {
        let (one, min, max) = (fields.short()?, fields.short()?, fields.short()?);
        if one == key {
            found = Some((min, max));
        }
    }
    Ok((error, found))
}

/// The answer to `Metadata` (version 4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// The brokers: their numbers, hosts and ports as they are advertised.
    pub(crate) brokers: Vec<(i32, Vec<u8>, i32)>,
    /// The number of the controller; negative where there is none.
    pub(crate) controller: i32,
    /// The topic's error, if a topic was asked for.
    pub(crate) topic_error: Option<i16>,
    /// The leader of each of its partitions; negative where there is none.
    pub(crate) leaders: Vec<i32>,
}

impl Metadata {
    /// How many partitions have no leader.
    pub(crate) fn leaderless(&self) -> usize {
        self.leaders.iter().filter(|leader| **leader < 0).count()
    }
}

/// Reads it.
///
/// # Errors
///
/// When it is no such answer.
pub(crate) fn metadata(body: &[u8]) -> Result<Metadata, ProtocolError> {
    let mut fields = AnswerFields(body);
    let mut found = Metadata::default();
    fields.int()?;
    for _ in 0..fields.count()? {
        let (number, host, port) = (fields.int()?, fields.string()?.to_vec(), fields.int()?);
        fields.string()?;
        found.brokers.push((number, host, port));
    }
    fields.string()?;
    found.controller = fields.int()?;
    for _ in 0..fields.count()? {
        found.topic_error = Some(fields.short()?);
        fields.string()?;
        fields.take(1)?;
        for _ in 0..fields.count()? {
            fields.short()?;
            fields.int()?;
            found.leaders.push(fields.int()?);
            for _ in 0..2 {
                let nodes = fields.int()?.max(0);
                fields.take(usize::try_from(nodes).map_err(|_| ProtocolError)?.checked_mul(4).ok_or(ProtocolError)?)?;
            }
        }
    }
    Ok(found)
}

/// The error, its text and the bytes of `SaslAuthenticate`.
///
/// # Errors
///
/// When it is no such answer.
pub(crate) fn authenticated(body: &[u8]) -> Result<(i16, Vec<u8>, Vec<u8>), ProtocolError> {
    let mut fields = AnswerFields(body);
    let (error, text) = (fields.short()?, fields.string()?.to_vec());
    let length = usize::try_from(fields.int()?.max(0)).map_err(|_| ProtocolError)?;
    Ok((error, text, fields.take(length)?.to_vec()))
}

/// The error of `SaslHandshake`, and the mechanisms that the broker has.
///
/// # Errors
///
/// When it is no such answer.
pub(crate) fn handshake(body: &[u8]) -> Result<(i16, Vec<String>), ProtocolError> {
    let mut fields = AnswerFields(body);
    let error = fields.short()?;
    let mut offered = Vec::new();
    for _ in 0..fields.count()? {
        offered.push(String::from_utf8_lossy(fields.string()?).into_owned());
    }
    Ok((error, offered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_proper_prefix_of_an_answer_means_read_more() {
        let whole = [&10_i32.to_be_bytes()[..], &7_i32.to_be_bytes(), &[0; 6]].concat();
        for end in 0..whole.len() {
            assert_eq!(answer(&whole[..end], 7), Ok(None), "{end}");
        }
        assert_eq!(answer(&whole, 7), Ok(Some((vec![0; 6], 14))));
        for wrong in [&b"HTTP"[..], b"\x15\x03\x03\0", b"\xff\xff\xff\xff", b"\0\0\0\x03", &whole] {
            assert_eq!(answer(wrong, 8), Err(ProtocolError), "{wrong:?}");
        }
    }

    #[test]
    fn versions_are_found_by_their_key() {
        let body = [&[0, 0, 0, 0, 0, 2][..], &[0, 3, 0, 0, 0, 12], &[0, 17, 0, 0, 0, 1]].concat();
        assert_eq!(versions(&body, 3), Ok((0, Some((0, 12)))));
        assert_eq!(versions(&body, 36), Ok((0, None)));
        for end in 0..body.len() {
            assert!(versions(&body[..end], 3).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            drop(answer(&bytes, 1));
            crate::fuzzing::kafka_wire(&bytes);
        }
    }
}
