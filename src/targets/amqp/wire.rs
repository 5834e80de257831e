//! Frames and methods of AMQP 0-9-1, as its specification describes them. Pure.

use crate::targets::shared::talk::{Decoded, ProtocolError};

/// The first bytes of a client.
pub(crate) const HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";
/// A server may claim no longer frame than this, which is what we ask for.
pub(crate) const MAX_FRAME: u32 = 128 << 10;
/// The octet at the end of each frame.
const END: u8 = 0xce;

/// The methods that are sent or understood, as class and number.
pub(crate) mod method {
    /// `connection.start`
    pub(crate) const START: (u16, u16) = (10, 10);
    /// `connection.start-ok`
    pub(crate) const START_OK: (u16, u16) = (10, 11);
    /// `connection.tune`
    pub(crate) const TUNE: (u16, u16) = (10, 30);
    /// `connection.tune-ok`
    pub(crate) const TUNE_OK: (u16, u16) = (10, 31);
    /// `connection.open`
    pub(crate) const OPEN: (u16, u16) = (10, 40);
    /// `connection.open-ok`
    pub(crate) const OPEN_OK: (u16, u16) = (10, 41);
    /// `connection.close`
    pub(crate) const CLOSE: (u16, u16) = (10, 50);
    /// `connection.close-ok`
    pub(crate) const CLOSE_OK: (u16, u16) = (10, 51);
    /// `connection.blocked`, RabbitMQ's extension.
    pub(crate) const BLOCKED: (u16, u16) = (10, 60);
    /// `connection.unblocked`
    pub(crate) const UNBLOCKED: (u16, u16) = (10, 61);
    /// `channel.open`
    pub(crate) const CHANNEL_OPEN: (u16, u16) = (20, 10);
    /// `channel.open-ok`
    pub(crate) const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
    /// `channel.close`
    pub(crate) const CHANNEL_CLOSE: (u16, u16) = (20, 40);
    /// `channel.close-ok`
    pub(crate) const CHANNEL_CLOSE_OK: (u16, u16) = (20, 41);
    /// `queue.declare`
    pub(crate) const QUEUE_DECLARE: (u16, u16) = (50, 10);
    /// `queue.declare-ok`
    pub(crate) const QUEUE_DECLARE_OK: (u16, u16) = (50, 11);
    /// `basic.publish`
    pub(crate) const PUBLISH: (u16, u16) = (60, 40);
    /// `basic.return`
    pub(crate) const RETURN: (u16, u16) = (60, 50);
}

/// A frame from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A method and its arguments.
    Method((u16, u16), Vec<u8>),
    /// Content or a heartbeat: nothing to be answered.
    Other,
    /// The protocol that it would speak instead of ours.
    Header([u8; 4]),
}

/// The frame at the beginning of `bytes` and its length; `None` means "read more".
///
/// # Errors
///
/// As soon as the bytes cannot be the beginning of a frame.
pub(crate) fn frame(bytes: &[u8]) -> Decoded<Frame> {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    if kind == HEADER[0] {
        let begins_so = bytes.iter().zip(&HEADER[..4]).all(|(a, b)| a == b);
        let version = bytes.get(4..8).and_then(|version| version.try_into().ok());
        return match version {
            _ if !begins_so => Err(ProtocolError),
            Some(version) => Ok(Some((Frame::Header(version), 8))),
            None => Ok(None),
        };
    }
    if !matches!(kind, 1 | 2 | 3 | 8) {
        return Err(ProtocolError);
    }
    let Some(head) = bytes.first_chunk::<7>() else { return Ok(None) };
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    if length > MAX_FRAME {
        return Err(ProtocolError);
    }
    let end = 7 + usize::try_from(length).map_err(|_| ProtocolError)?;
    match bytes.get(end) {
        None => Ok(None),
        Some(&END) if kind != 1 => Ok(Some((Frame::Other, end + 1))),
        Some(&END) => {
            let (method, arguments) = bytes[7..end].split_at_checked(4).ok_or(ProtocolError)?;
            let number = |at: usize| u16::from_be_bytes([method[at], method[at + 1]]);
            Ok(Some((Frame::Method((number(0), number(2)), arguments.to_vec()), end + 1)))
        }
        Some(_) => Err(ProtocolError),
    }
}

fn framed(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&[kind][..], &channel.to_be_bytes(), &length.to_be_bytes(), payload, &[END]].concat()
}

/// A heartbeat (AMQP 0-9-1, section 4.2.7).
pub(crate) fn heartbeat() -> Vec<u8> {
    framed(8, 0, &[])
}

/// A method as a frame.
pub(crate) fn method_frame(channel: u16, (class, number): (u16, u16), arguments: &[&[u8]]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &number.to_be_bytes(), &arguments.concat()].concat();
    framed(1, channel, &payload)
}

/// The header of a message without a body or properties, for `basic.publish`.
pub(crate) fn empty_content(channel: u16) -> Vec<u8> {
    framed(2, channel, &[&60_u16.to_be_bytes()[..], &[0; 12]].concat())
}

/// A short string; longer ones are cut, which no server takes for the same.
pub(crate) fn short(text: &str) -> Vec<u8> {
    let length = text.len().min(255);
    [&[u8::try_from(length).unwrap_or(u8::MAX)], &text.as_bytes()[..length]].concat()
}

/// A long string, or a table whose fields are written already.
pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()[..], bytes].concat()
}

/// Our properties as a client.
pub(crate) fn client_properties() -> Vec<u8> {
    let text = |name: &str, value: &str| [short(name), b"S".to_vec(), long(value.as_bytes())].concat();
    let yes = |name: &str| [short(name), b"t\x01".to_vec()].concat();
    let capabilities = [yes("connection.blocked"), yes("authentication_failure_close")].concat();
    let properties = [
        text("product", "when-ready"),
        text("version", env!("CARGO_PKG_VERSION")),
        short("capabilities"),
        b"F".to_vec(),
        long(&capabilities),
    ];
    long(&properties.concat())
}

/// The mechanisms that `connection.start` offers.
///
/// # Errors
///
/// When the arguments are cut short.
pub(crate) fn mechanisms(start: &[u8]) -> Result<String, ProtocolError> {
    let mut rest = start.get(2..).ok_or(ProtocolError)?;
    take_long(&mut rest)?;
    Ok(String::from_utf8_lossy(take_long(&mut rest)?).into_owned())
}

/// A text among the server's properties, of which `connection.start` has a table.
pub(crate) fn property<'a>(start: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut table = take_long(&mut start.get(2..)?).ok()?;
    loop {
        let length = usize::from(*table.split_off_first()?);
        let name = table.split_off(..length)?;
        let kind = table.split_off_first()?;
        let value = match kind {
            // Texts, tables and lists have their length before them.
            b'S' | b'F' | b'A' => take_long(&mut table).ok()?,
            b't' => table.split_off(..1)?,
            _ => return None,
        };
        if *kind == b'S' && name == wanted.as_bytes() {
            return Some(value);
        }
    }
}

/// Takes a long string, or a table, from the front.
fn take_long<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], ProtocolError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(ProtocolError)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ProtocolError)?;
    *bytes = rest;
    bytes.split_off(..length).ok_or(ProtocolError)
}

/// The limits of `connection.tune`: how many channels, how long a frame.
pub(crate) fn limits(tune: &[u8]) -> Option<(u16, u32)> {
    let (channels, rest) = tune.split_first_chunk::<2>()?;
    let frame = rest.first_chunk::<4>()?;
    Some((u16::from_be_bytes(*channels), u32::from_be_bytes(*frame)))
}

/// The code and text of a `close`.
pub(crate) fn close_reason(arguments: &[u8]) -> (u16, Vec<u8>) {
    let Some((code, rest)) = arguments.split_first_chunk::<2>() else { return (0, Vec::new()) };
    (u16::from_be_bytes(*code), short_text(rest))
}

/// The short string at the beginning.
pub(crate) fn short_text(bytes: &[u8]) -> Vec<u8> {
    let (length, rest) = bytes.split_first().map_or((0, &[][..]), |(length, rest)| (usize::from(*length), rest));
    rest[..length.min(rest.len())].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn valid() -> Vec<Vec<u8>> {
        vec![
            method_frame(0, method::START, &[&[0, 9], &long(b""), &long(b"PLAIN AMQPLAIN"), &long(b"en_US")]),
            method_frame(0, method::TUNE, &[&[7, 0xff, 0, 2, 0, 0, 0, 60]]),
            empty_content(1),
            framed(8, 0, b""),
            b"AMQP\0\0\x09\x01".to_vec(),
        ]
    }

    #[test]
    fn every_proper_prefix_means_read_more_and_the_whole_is_a_frame() {
        for whole in valid() {
            for end in 0..whole.len() {
                assert_eq!(frame(&whole[..end]), Ok(None), "{:?}", &whole[..end]);
            }
            assert_eq!(frame(&whole).unwrap().unwrap().1, whole.len());
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_at_once() {
        for wrong in [
            &b"HTTP/1.1"[..],
            b"AMQX",
            b"\x15\x03\x03",
            b"\x01\0\0\x7f\xff\xff\xff",
            b"\x01\0\0\0\0\0\x04\0\x0a\0\x0a\0",
            b"\x01\0\0\0\0\0\0\xce",
        ] {
            assert_eq!(frame(wrong), Err(ProtocolError), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_in_a_method_is_read_or_refused() {
        let Some((Frame::Method(method::START, arguments), _)) = frame(&valid()[0]).unwrap() else { panic!() };
        assert_eq!(mechanisms(&arguments), Ok("PLAIN AMQPLAIN".to_owned()));
        for end in 0..arguments.len() - 9 {
            assert!(mechanisms(&arguments[..end]).is_err(), "{end}");
        }
        assert_eq!(limits(&[7, 0xff, 0, 2, 0, 0, 0, 60]), Some((2047, 131_072)));
        assert_eq!(close_reason(b"\x01\x93\x02no\0\0\0\0"), (403, b"no".to_vec()));
        assert_eq!(close_reason(b"\x01\x93\xffno"), (403, b"no".to_vec()));
        assert_eq!(close_reason(b"\x01"), (0, Vec::new()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(Some((_, used))) = frame(&bytes) {
                prop_assert!(used > 0 && used <= bytes.len());
            }
            crate::fuzzing::amqp_frames(&bytes);
        }
    }
}
