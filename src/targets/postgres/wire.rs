//! The messages of a Postgres server: bytes in, messages out ("Frontend/Backend Protocol" in the
//! PostgreSQL manual). Framing and fields come from postgres-protocol.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{Header, Message as Backend};

use crate::targets::shared::talk::{Decoded, ProtocolError};
use crate::text::{excerpt, peer_text};

/// A peer may claim no longer message than this; only rows and notices are longer, and they are
/// passed over.
pub(crate) const MAX_MESSAGE: usize = 64 << 10;
/// A value of a row is kept up to this length: the probe reads only its own short answers.
const MAX_VALUE: usize = 1 << 10;
/// Up to where the first value of a row is one byte: tag, length, count of columns, length, value.
const ONE_BYTE_VALUE: usize = 1 + 4 + 2 + 4 + 1;
/// libpq's limits of a message of the third version: an error of another length is one of the second.
const ERROR_LENGTHS: std::ops::RangeInclusive<usize> = 8..=30_000;

/// A message of a server, as far as a probe cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BackendMessage {
    /// A request for authentication.
    Authentication(Authentication),
    /// An error ends the session or the query.
    Error(ErrorResponse),
    /// A setting, like `in_hot_standby`.
    Parameter(String, String),
    /// The key for ending the session's query.
    Key(SessionKey),
    /// The session is ready for a query.
    ReadyForQuery,
    /// The columns of the rows that follow: the type of their first column, if it is known.
    Columns(Option<u32>),
    /// A row of a result: its values as text, long ones cut; of a very long row, the first value alone.
    Row(Vec<Option<String>>),
    /// Waiting for the rest of COPY data.
    CopyIn,
    /// Anything else.
    Other,
}

/// `BackendKeyData`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionKey {
    /// The process that serves the session.
    pub(crate) process: i32,
    /// Proves that the request comes from the session's client.
    pub(crate) secret: i32,
}

/// How a server wants to be convinced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// The login is accepted.
    Ok,
    /// The password as it is.
    Cleartext,
    /// The password, hashed with a salt.
    Md5([u8; 4]),
    /// One of these SASL mechanisms (RFC 5802).
    Sasl(Vec<String>),
    /// The server's first SCRAM message.
    SaslContinue(Vec<u8>),
    /// The server's proof.
    SaslFinal(Vec<u8>),
    /// A method that needs more than a password, by name.
    Unsupported(&'static str),
}

impl Authentication {
    /// Whether it is answered with what a password gives.
    pub(crate) fn needs_password(&self) -> bool {
        !matches!(self, Self::Ok | Self::SaslContinue(_) | Self::SaslFinal(_))
    }
}

/// An `ErrorResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ErrorResponse {
    /// Five characters, as in "PostgreSQL Error Codes".
    pub(crate) sqlstate: String,
    /// The primary message.
    pub(crate) message: String,
    /// More about it (DETAIL), or empty.
    pub(crate) detail: String,
    /// The server's advice (HINT), or empty.
    pub(crate) hint: String,
}

impl ErrorResponse {
    /// As part of a reason: `the database system is not accepting connections (57P03); Hot standby mode is disabled.`
    pub(crate) fn shown(&self) -> String {
        self.shown_with("")
    }

    /// The same, with our own advice behind the message.
    pub(crate) fn shown_with(&self, advice: &str) -> String {
        let message = format!("{} ({}){advice}", excerpt(&self.message), self.sqlstate);
        let more = [&self.detail, &self.hint].into_iter().filter(|text| !text.is_empty());
        more.fold(message, |said, text| format!("{said}; {}", excerpt(text)))
    }
}

/// The message at the beginning of `bytes`; `None` means "read more". Of one that is too long to be kept, a part is enough:
/// its length is beyond the bytes.
///
/// # Errors
///
/// As soon as the bytes cannot be the beginning of a message.
pub(crate) fn decode(bytes: &[u8]) -> Decoded<BackendMessage> {
    if bytes.first().is_some_and(|tag| !is_tag(*tag)) {
        return Err(ProtocolError);
    }
    let Some(header) = Header::parse(bytes).map_err(|_| ProtocolError)? else { return Ok(None) };
    let total = usize::try_from(header.len()).map_err(|_| ProtocolError)?.checked_add(1).ok_or(ProtocolError)?;
    if total > MAX_MESSAGE {
        let message = match header.tag() {
            b'D' if bytes.len() < ONE_BYTE_VALUE => return Ok(None),
            b'D' => BackendMessage::Row(vec![first_value(bytes)]),
            b'T' => BackendMessage::Columns(None),
            b'N' | b'A' => BackendMessage::Other,
            _ => return Err(ProtocolError),
        };
        return Ok(Some((message, total)));
    }
    if bytes.len() < total {
        return Ok(None);
    }
    Ok(Some((parse(&bytes[..total])?, total)))
}

/// The first value of a row that is too long to be kept: NULL, its one byte, or something.
fn first_value(frame: &[u8]) -> Option<String> {
    match frame.get(7..11)? {
        [0xff, 0xff, 0xff, 0xff] => None,
        [0, 0, 0, 1] => Some(String::from_utf8_lossy(&frame[11..12]).into_owned()),
        _ => Some("…".to_owned()),
    }
}

/// The text of an error in the form of the protocol's second version: `E`, text, NUL. Servers use it where they could not
/// even start a process for the connection.
///
/// # Errors
///
/// As soon as the bytes, which are no message of the third version, cannot be the beginning of such an error.
pub(crate) fn old_error(bytes: &[u8]) -> Decoded<String> {
    let Some((b'E', text)) = bytes.split_first() else { return Err(ProtocolError) };
    let length = text.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    // A text does not begin with NUL, as the length of a message below 16 MiB does.
    if ERROR_LENGTHS.contains(&length) || text.first() == Some(&0) {
        return Err(ProtocolError);
    }
    match text.iter().position(|&byte| byte == 0) {
        Some(end) => Ok(Some((peer_text(text[..end].trim_ascii()), bytes.len()))),
        // Other protocols end their errors so.
        None if text.contains(&b'\r') || text.len() > *ERROR_LENGTHS.end() => Err(ProtocolError),
        None => Ok(None),
    }
}

/// The tags of the messages that a server sends.
fn is_tag(tag: u8) -> bool {
    b"123AcCdDEGHIKnNRsStTvVWZ".contains(&tag)
}

fn parse(frame: &[u8]) -> Result<BackendMessage, ProtocolError> {
    // Messages that postgres-protocol does not know (NegotiateProtocolVersion, CopyBoth) say
    // nothing to a probe.
    if matches!(frame[0], b'v' | b'V' | b'W') {
        return Ok(BackendMessage::Other);
    }
    let parsed = Backend::parse(&mut BytesMut::from(frame)).map_err(|_| ProtocolError)?.ok_or(ProtocolError)?;
    let asks = BackendMessage::Authentication;
    Ok(match parsed {
        Backend::AuthenticationOk => asks(Authentication::Ok),
        Backend::AuthenticationCleartextPassword => asks(Authentication::Cleartext),
        Backend::AuthenticationMd5Password(body) => asks(Authentication::Md5(body.salt())),
        Backend::AuthenticationSasl(body) => {
            let mechanisms = body.mechanisms().map(|name| Ok(name.to_owned())).collect().map_err(|_| ProtocolError)?;
            asks(Authentication::Sasl(mechanisms))
        }
        Backend::AuthenticationSaslContinue(body) => asks(Authentication::SaslContinue(body.data().to_vec())),
        Backend::AuthenticationSaslFinal(body) => asks(Authentication::SaslFinal(body.data().to_vec())),
        Backend::AuthenticationGss | Backend::AuthenticationGssContinue(_) => {
            asks(Authentication::Unsupported("GSSAPI"))
        }
        Backend::AuthenticationSspi => asks(Authentication::Unsupported("SSPI")),
        Backend::AuthenticationKerberosV5 | Backend::AuthenticationScmCredential => {
            asks(Authentication::Unsupported("an obsolete method"))
        }
        Backend::ErrorResponse(body) => BackendMessage::Error(error(&body)?),
        Backend::ParameterStatus(body) => BackendMessage::Parameter(
            body.name().map_err(|_| ProtocolError)?.to_owned(),
            body.value().map_err(|_| ProtocolError)?.to_owned(),
        ),
        Backend::BackendKeyData(body) => {
            BackendMessage::Key(SessionKey { process: body.process_id(), secret: body.secret_key() })
        }
        Backend::ReadyForQuery(_) => BackendMessage::ReadyForQuery,
        Backend::DataRow(body) => {
            let buffer = body.buffer();
            let values = body.ranges().map(|range| {
                let value = range.and_then(|range| buffer.get(range));
                Ok(value.map(|value| String::from_utf8_lossy(&value[..value.len().min(MAX_VALUE)]).into_owned()))
            });
            BackendMessage::Row(values.collect().map_err(|_| ProtocolError)?)
        }
        Backend::RowDescription(body) => {
            let first = body.fields().next().map_err(|_| ProtocolError)?;
            BackendMessage::Columns(first.map(|field| field.type_oid()))
        }
        Backend::CopyInResponse(_) => BackendMessage::CopyIn,
        _ => BackendMessage::Other,
    })
}

fn error(body: &postgres_protocol::message::backend::ErrorResponseBody) -> Result<ErrorResponse, ProtocolError> {
    let mut error = ErrorResponse::default();
    let mut fields = body.fields();
    while let Some(field) = fields.next().map_err(|_| ProtocolError)? {
        let text = || peer_text(field.value_bytes());
        match field.type_() {
            b'C' => error.sqlstate = text(),
            b'M' => error.message = text(),
            b'D' => error.detail = text(),
            b'H' => error.hint = text(),
            _ => {}
        }
    }
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    fn valid() -> Vec<(Vec<u8>, BackendMessage)> {
        vec![
            (frame(b'R', &[0, 0, 0, 0]), BackendMessage::Authentication(Authentication::Ok)),
            (frame(b'R', &[0, 0, 0, 3]), BackendMessage::Authentication(Authentication::Cleartext)),
            (frame(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]), BackendMessage::Authentication(Authentication::Md5([1, 2, 3, 4]))),
            (
                frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
                BackendMessage::Authentication(Authentication::Sasl(vec![
                    "SCRAM-SHA-256-PLUS".into(),
                    "SCRAM-SHA-256".into(),
                ])),
            ),
            (
                frame(b'R', b"\0\0\0\x0br=x,s=y,i=4096"),
                BackendMessage::Authentication(Authentication::SaslContinue(b"r=x,s=y,i=4096".to_vec())),
            ),
            (
                frame(
                    b'E',
                    b"SFATAL\0VFATAL\0C57P03\0Mthe database system is not accepting connections\0\
                      DHot standby mode is disabled.\0Hwait\0\0",
                ),
                BackendMessage::Error(ErrorResponse {
                    sqlstate: "57P03".into(),
                    message: "the database system is not accepting connections".into(),
                    detail: "Hot standby mode is disabled.".into(),
                    hint: "wait".into(),
                }),
            ),
            (frame(b'S', b"in_hot_standby\0on\0"), BackendMessage::Parameter("in_hot_standby".into(), "on".into())),
            (frame(b'Z', b"I"), BackendMessage::ReadyForQuery),
            (
                frame(b'T', b"\0\x01x\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0"),
                BackendMessage::Columns(Some(16)),
            ),
            (frame(b'T', b"\0\0"), BackendMessage::Columns(None)),
            (frame(b'D', b"\0\x02\0\0\0\x01t\xff\xff\xff\xff"), BackendMessage::Row(vec![Some("t".into()), None])),
            (frame(b'C', b"SELECT 1\0"), BackendMessage::Other),
            (frame(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]), BackendMessage::Key(SessionKey { process: 1, secret: 2 })),
            (frame(b's', b""), BackendMessage::Other),
        ]
    }

    #[test]
    fn every_proper_prefix_means_read_more_and_the_whole_is_a_message() {
        for (bytes, message) in valid() {
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), Ok(None), "{message:?} cut at {end}");
            }
            assert_eq!(decode(&bytes), Ok(Some((message, bytes.len()))));
        }
    }

    #[test]
    fn a_huge_row_is_passed_over_and_any_other_huge_message_refused() {
        let mut row = vec![b'D'];
        row.extend_from_slice(&0x7fff_ffff_u32.to_be_bytes());
        row.extend_from_slice(b"\0\x01\0\x01\0\0x");
        assert_eq!(decode(&row), Ok(Some((BackendMessage::Row(vec![Some("…".into())]), 0x8000_0000))));
        row[0] = b'R';
        assert_eq!(decode(&row), Err(ProtocolError));
    }

    #[test]
    fn other_protocols_are_recognised_by_their_first_bytes() {
        for bytes in [&b"\x15\x03\x01"[..], b"-ERR unknown", b"220 smtp", b"\0\0\0\0", b"J\0\0\0\n8.0"] {
            assert_eq!(decode(bytes), Err(ProtocolError), "{bytes:?}");
        }
        // `H` begins CopyOutResponse too; the length that `TTP/` comes to gives HTTP away.
        assert_eq!(decode(b"HTTP/1.1 400"), Err(ProtocolError));
    }

    #[test]
    fn an_error_of_the_second_version_is_told_from_other_protocols() {
        let fork = b"Ecould not fork new process for connection: Resource temporarily unavailable\n\0";
        assert_eq!(decode(fork), Err(ProtocolError));
        for end in 1..fork.len() {
            assert_eq!(old_error(&fork[..end]), Ok(None), "cut at {end}");
        }
        let text = String::from_utf8_lossy(fork[1..].strip_suffix(b"\n\0").unwrap()).into_owned();
        assert_eq!(old_error(fork), Ok(Some((text, fork.len()))));
        for other in [&b"ERROR\r\n"[..], b"E\0\xa0\0\0Maaa\0", b"-ERR x", b"", b"S", &frame(b'E', b"SFATAL\0\0")] {
            assert_eq!(old_error(other), Err(ProtocolError), "{other:?}");
        }
    }

    #[test]
    fn the_first_value_of_a_huge_row_is_known() {
        let huge = |value: &[u8]| {
            let mut row = vec![b'D'];
            row.extend_from_slice(&1_000_000_u32.to_be_bytes());
            row.extend_from_slice(b"\0\x02");
            row.extend_from_slice(value);
            decode(&row).map(|decoded| decoded.map(|(message, _)| message))
        };
        assert_eq!(huge(b"\0\0\0\x01f"), Ok(Some(BackendMessage::Row(vec![Some("f".into())]))));
        assert_eq!(huge(b"\xff\xff\xff\xff\0"), Ok(Some(BackendMessage::Row(vec![None]))));
        assert_eq!(huge(b"\0\x01\0\0f"), Ok(Some(BackendMessage::Row(vec![Some("…".into())]))));
        assert_eq!(huge(b"\0\0\0\x01"), Ok(None));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(Some((_, used))) = decode(&bytes) {
                prop_assert!(used <= bytes.len() || used > MAX_MESSAGE);
            }
        }

        #[test]
        fn arbitrary_bodies_never_panic(index in 0usize..24, body: Vec<u8>) {
            drop(decode(&frame(b"123AcCdDEGHIKnNRsStTvVWZ"[index], &body)));
        }
    }
}
