//! As much of HTTP/2 (RFC 9113) and HPACK (RFC 7541) as one unary call needs. Pure.
//!
//! We allow the server no dynamic table, so that nothing need be remembered; of Huffman's code only digits and two
//! names are read.

use crate::probe::ProtocolError;

/// What a client says first (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that a server may send unless it is allowed more.
const MAX_FRAME: usize = 16 << 10;
/// The length of a frame's head.
const HEAD: usize = 9;
/// `grpc-status` in Huffman's code.
const GRPC_STATUS: &[u8] = &[0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f];
/// `:status` in the static table is 8 to 14, by value.
const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// The kinds of frames that are sent or understood.
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// `RST_STREAM`
    pub const RESET: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GO_AWAY: u8 = 7;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// The flags of frames.
pub mod flag {
    /// The stream ends with it; of SETTINGS and PING, an acknowledgement.
    pub const END_STREAM: u8 = 1;
    /// The same bit as [`END_STREAM`].
    pub const ACK: u8 = 1;
    /// The field block ends with it.
    pub const END_HEADERS: u8 = 4;
    /// Padding follows.
    pub const PADDED: u8 = 8;
    /// A priority stands before the fields.
    pub const PRIORITY: u8 = 0x20;
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it holds, without padding and priority.
    pub payload: Vec<u8>,
}

/// The frame at the beginning of `bytes` and its length; `None` means "read more".
///
/// # Errors
///
/// When it claims to be larger than allowed, or its padding is.
pub fn frame(bytes: &[u8]) -> Result<Option<(Frame, usize)>, ProtocolError> {
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
    Ok(Some((Frame { kind, flags, stream, payload }, HEAD + length)))
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
pub fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Our settings: no dynamic table, no push.
pub fn settings() -> Vec<u8> {
    framed(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0])
}

/// A field whose name is in the static table, or is written.
#[derive(Debug, Clone, Copy)]
pub enum Name<'a> {
    /// The index in RFC 7541, appendix A.
    Index(u8),
    /// The name itself.
    Written(&'a str),
}

/// The fields of a request: `POST`, the scheme, and those that are given, none of them indexed.
pub fn request(is_tls: bool, fields: &[(Name<'_>, &str)]) -> Vec<u8> {
    let mut block = vec![0x83, if is_tls { 0x87 } else { 0x86 }];
    for (name, value) in fields {
        match name {
            Name::Index(index) if *index < 15 => block.push(*index),
            Name::Index(index) => block.extend([15, index - 15]),
            Name::Written(name) => {
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
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap_or(0) | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap_or(0));
        }
    }
    block.extend_from_slice(text.as_bytes());
}

/// What the fields of an answer say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields {
    /// `:status`
    pub http_status: Option<u16>,
    /// `grpc-status`
    pub grpc_status: Option<u16>,
}

/// Reads a field block.
///
/// # Errors
///
/// When it is none.
pub fn fields(block: &[u8]) -> Result<Fields, ProtocolError> {
    let mut found = Fields::default();
    let mut rest = block;
    while let Some(&first) = rest.first() {
        if first & 0x80 != 0 {
            let index = integer(&mut rest, 7)?;
            // Entries beyond the static table would be of the dynamic one, which is none.
            if index == 0 || index > 61 {
                return Err(ProtocolError);
            }
            if let Some(status) = index.checked_sub(8).and_then(|at| STATUSES.get(at)) {
                found.http_status = Some(*status);
            }
            continue;
        }
        if first & 0xe0 == 0x20 {
            integer(&mut rest, 5)?;
            continue;
        }
        let index = integer(&mut rest, if first & 0x40 != 0 { 6 } else { 4 })?;
        let name = if index == 0 { Some(text(&mut rest)?) } else { None };
        let value = text(&mut rest)?;
        match name {
            None if (8..=14).contains(&index) => found.http_status = value.digits(),
            Some(name) if name.is("grpc-status", GRPC_STATUS) => found.grpc_status = value.digits(),
            _ => {}
        }
    }
    Ok(found)
}

/// RFC 7541, section 5.1.
fn integer(bytes: &mut &[u8], prefix: u32) -> Result<usize, ProtocolError> {
    let (&first, mut rest) = bytes.split_first().ok_or(ProtocolError)?;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (&next, after) = rest.split_first().filter(|_| shift <= 14).ok_or(ProtocolError)?;
            rest = after;
            value += usize::from(next & 127) << shift;
            shift += 7;
            if next & 128 == 0 {
                break;
            }
        }
    }
    *bytes = rest;
    Ok(value)
}

/// A string, as it is or in Huffman's code.
struct Text<'a> {
    is_coded: bool,
    bytes: &'a [u8],
}

fn text<'a>(bytes: &mut &'a [u8]) -> Result<Text<'a>, ProtocolError> {
    let is_coded = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(bytes, 7)?;
    let (text, rest) = bytes.split_at_checked(length).ok_or(ProtocolError)?;
    *bytes = rest;
    Ok(Text { is_coded, bytes: text })
}

impl Text<'_> {
    fn is(&self, plain: &str, coded: &[u8]) -> bool {
        self.bytes == if self.is_coded { coded } else { plain.as_bytes() }
    }

    fn digits(&self) -> Option<u16> {
        if !self.is_coded {
            return std::str::from_utf8(self.bytes).ok()?.parse().ok();
        }
        // RFC 7541, appendix B: 0, 1 and 2 are 00000 to 00010, 3 to 9 are 011001 to 011111; ones fill up.
        let bits: Vec<bool> =
            self.bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1)).collect();
        let value = |from: usize, length: usize| {
            let bits = bits.get(from..from + length)?;
            Some(bits.iter().fold(0_u16, |value, bit| value * 2 + u16::from(*bit)))
        };
        let (mut at, mut number) = (0, None);
        loop {
            let (digit, length) = match (value(at, 5), value(at, 6)) {
                (Some(digit @ 0..=2), _) => (digit, 5),
                (_, Some(code @ 0b01_1001..=0b01_1111)) => (code - 0b01_1001 + 3, 6),
                _ if bits.len() - at < 8 && bits[at..].iter().all(|bit| *bit) => return number,
                _ => return None,
            };
            number = Some(number.unwrap_or(0_u16).checked_mul(10)?.checked_add(digit)?);
            at += length;
        }
    }
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

    #[test]
    fn fields_are_read_as_servers_write_them() {
        let status = |http_status, grpc_status| Ok(Fields { http_status, grpc_status });
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
        for wrong in [&b"\x80"[..], b"\xff\xff\xff\xff\xff", b"\x40\x0bgrpc", b"\xbe"] {
            assert_eq!(fields(wrong), Err(ProtocolError), "{wrong:?}");
        }
    }

    #[test]
    fn a_long_path_is_written_with_its_length() {
        let long = "x".repeat(300);
        let block = request(false, &[(Name::Index(4), &long)]);
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
