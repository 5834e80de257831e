//! As much of HTTP/2 (RFC 9113) as one unary call needs. Pure.
//!
//! The server is allowed no dynamic table of fields (RFC 7541, section 4.2), so that a block of bytes cannot become a
//! thousand times as many.

use std::borrow::Cow;

use loona_hpack::Decoder;

use crate::targets::shared::talk::{Decoded, ProtocolError, base_128};

/// The first bytes of a client (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that a server may send unless it is allowed more.
const MAX_FRAME: usize = 16 << 10;
/// The length of a frame's head.
const HEAD: usize = 9;

/// The kinds of frames that are sent or understood.
pub(crate) mod kind {
    /// DATA
    pub(crate) const DATA: u8 = 0;
    /// HEADERS
    pub(crate) const HEADERS: u8 = 1;
    /// `RST_STREAM`
    pub(crate) const RESET: u8 = 3;
    /// SETTINGS
    pub(crate) const SETTINGS: u8 = 4;
    /// PING
    pub(crate) const PING: u8 = 6;
    /// GOAWAY
    pub(crate) const GO_AWAY: u8 = 7;
    /// CONTINUATION
    pub(crate) const CONTINUATION: u8 = 9;
}

/// The flags of frames.
pub(crate) mod flag {
    /// The stream ends with it; of SETTINGS and PING, an acknowledgement.
    pub(crate) const END_STREAM: u8 = 1;
    /// The same bit as [`END_STREAM`].
    pub(crate) const ACK: u8 = 1;
    /// The field block ends with it.
    pub(crate) const END_HEADERS: u8 = 4;
    /// Padding follows.
    pub(crate) const PADDED: u8 = 8;
    /// A priority stands before the fields.
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Http2Frame {
    /// The type.
    pub(crate) kind: u8,
    /// Its flags.
    pub(crate) flags: u8,
    /// Its stream.
    pub(crate) stream: u32,
    /// The payload, without padding and priority.
    pub(crate) payload: Vec<u8>,
}

/// The frame at the beginning of `bytes` and its length; `None` means "read more".
///
/// # Errors
///
/// When it claims to be larger than allowed, or its padding is.
pub(crate) fn frame(bytes: &[u8]) -> Decoded<Http2Frame> {
    if bytes.first().is_some_and(|high| *high != 0) {
        return Err(ProtocolError);
    }
    let Some(&[a, b, c, kind, flags, stream @ ..]) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    if length > MAX_FRAME {
        return Err(ProtocolError);
    }
    let Some(payload) = bytes.get(HEAD..HEAD + length) else { return Ok(None) };
    let payload = unpadded(kind, flags, payload)?.to_vec();
    let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
    Ok(Some((Http2Frame { kind, flags, stream, payload }, HEAD + length)))
}

fn unpadded(kind: u8, flags: u8, payload: &[u8]) -> Result<&[u8], ProtocolError> {
    let mut payload = payload;
    if matches!(kind, kind::DATA | kind::HEADERS) && flags & flag::PADDED != 0 {
        let (padding, rest) = payload.split_first().ok_or(ProtocolError)?;
        let end = rest.len().checked_sub(usize::from(*padding)).ok_or(ProtocolError)?;
        payload = &rest[..end];
    }
    if kind == kind::HEADERS && flags & flag::PRIORITY != 0 {
        payload = payload.get(5..).ok_or(ProtocolError)?;
    }
    Ok(payload)
}

/// A frame as it is sent.
pub(crate) fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Our settings: no dynamic table, no push.
pub(crate) fn settings() -> Vec<u8> {
    framed(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0])
}

/// A field whose name is in the static table, or is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldName<'a> {
    /// The index in RFC 7541, appendix A.
    Index(u8),
    /// The name itself.
    Written(&'a str),
}

/// The fields of a request: `POST`, the scheme, and those that are given, none of them indexed.
pub(crate) fn request(is_tls: bool, fields: &[(FieldName<'_>, &str)]) -> Vec<u8> {
    let mut block = vec![0x83, if is_tls { 0x87 } else { 0x86 }];
    for (name, value) in fields {
        match name {
            FieldName::Index(index) if *index < 15 => block.push(*index),
            FieldName::Index(index) => block.extend([15, index - 15]),
            FieldName::Written(name) => {
                block.push(0);
                push_text(&mut block, name);
            }
        }
        push_text(&mut block, value);
    }
    block
}

fn push_text(block: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => block.push(length),
        // RFC 7541, section 5.1: 7 bits, then 7 at a time.
        _ => {
            block.push(127);
            block.extend(base_128(text.len() - 127));
        }
    }
    block.extend_from_slice(text.as_bytes());
}

/// The fields of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResponseFields {
    /// `:status`
    pub(crate) http_status: Option<u16>,
    /// `grpc-status`
    pub(crate) grpc_status: Option<u16>,
    /// `grpc-message`, as it was sent: percent-encoded.
    pub(crate) grpc_message: Option<Vec<u8>>,
}

/// Reads a field block.
///
/// # Errors
///
/// When it is none.
pub(crate) fn fields(block: &[u8]) -> Result<ResponseFields, ProtocolError> {
    let mut decoder = Decoder::new();
    decoder.set_max_table_size(0);
    decoder.set_max_allowed_table_size(0);
    let mut found = ResponseFields::default();
    let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse().ok();
    let take = |name: Cow<[u8]>, value: Cow<[u8]>| match &*name {
        b":status" => found.http_status = number(&value),
        b"grpc-status" => found.grpc_status = number(&value),
        b"grpc-message" => found.grpc_message = Some(value.into_owned()),
        _ => {}
    };
    decoder.decode_with_cb(block, take).map_err(|_| ProtocolError)?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_proper_prefix_of_a_frame_means_read_more() {
        let whole = framed(kind::DATA, flag::PADDED, 1, &[2, 7, 0, 0]);
        for end in 0..whole.len() {
            assert_eq!(frame(&whole[..end]), Ok(None), "{end}");
        }
        let (frame, used) = frame(&whole).unwrap().unwrap();
        assert_eq!((frame.kind, frame.stream, frame.payload.as_slice(), used), (kind::DATA, 1, &[7][..], whole.len()));
        for wrong in [
            &b"HTTP/1.1"[..],
            b"\x15\x03",
            &framed(kind::DATA, flag::PADDED, 1, &[9, 0]),
            &[0, 0xff, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(super::frame(wrong), Err(ProtocolError), "{wrong:?}");
        }
    }

    /// `grpc-status` in Huffman's code, as Go writes it.
    const GRPC_STATUS: &[u8] = &[0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f];

    #[test]
    fn fields_are_read_as_servers_write_them() {
        let status = |http_status, grpc_status| Ok(ResponseFields { http_status, grpc_status, grpc_message: None });
        // grpc-core: literals that are not coded.
        assert_eq!(fields(b"\x88\x40\x0bgrpc-status\x011"), status(Some(200), Some(1)));
        // Go: both coded.
        let go = [&[0x88, 0x40, 0x88][..], GRPC_STATUS, &[0x81, 0x07]].concat();
        assert_eq!(fields(&go), status(Some(200), Some(0)));
        let twelve = [&[0x00, 0x88][..], GRPC_STATUS, &[0x82, 0x08, 0xbf]].concat();
        assert_eq!(fields(&twelve), status(None, Some(12)));
        assert_eq!(fields(b"\x08\x03503"), status(Some(503), None));
        assert_eq!(fields(b"\x8d"), status(Some(404), None));
        assert_eq!(fields(b"\x20\x88"), status(Some(200), None));
        // RFC 7541, appendix C.4.1: `www.example.com` in Huffman's code.
        let coded = b"\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let message = fields(&[&b"\x00\x0cgrpc-message"[..], coded].concat()).unwrap().grpc_message;
        assert_eq!(message.as_deref(), Some(&b"www.example.com"[..]));
        for wrong in [&b"\x80"[..], b"\xff\xff\xff\xff\xff", b"\x40\x0bgrpc", b"\xbe", b"\x3f\x01"] {
            assert_eq!(fields(wrong), Err(ProtocolError), "{wrong:?}");
        }
    }

    #[test]
    fn a_server_that_adds_to_a_table_all_the_same_is_not_answered_from_it() {
        assert_eq!(fields(b"\x40\x0bgrpc-status\x010\xbe"), Err(ProtocolError));
    }

    #[test]
    fn a_long_path_is_written_with_its_length() {
        let long = "x".repeat(300);
        let block = request(false, &[(FieldName::Index(4), &long)]);
        assert_eq!(&block[..6], &[0x83, 0x86, 4, 127, 0xad, 0x01]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            drop(frame(&bytes));
            let _ = fields(&bytes);
        }
    }
}
