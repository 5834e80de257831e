//! RESP2, the Redis serialization protocol: bytes in, replies out.

use crate::targets::shared::talk::{Decoded, ProtocolError};

/// A peer may claim no longer string or array than this.
const MAX_LENGTH: usize = 64 << 10;
/// The longest string that a key may hold (`proto-max-bulk-len`).
const MAX_VALUE: usize = 512 << 20;
/// Arrays within arrays: ROLE has two levels.
const MAX_DEPTH: u8 = 4;
/// The longest line: a simple string or an error.
const MAX_LINE: usize = 8 << 10;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+OK`
    Simple(Vec<u8>),
    /// `-ERR …`
    Error(Vec<u8>),
    /// `:1`
    Integer(i64),
    /// `$3 foo`, or null.
    Bulk(Option<Vec<u8>>),
    /// `$100000 …`, longer than anybody asks for: it is not read.
    LongBulk,
    /// `*2 …`; null is empty.
    Array(Vec<Reply>),
}

impl Reply {
    /// The type of the reply, without its content.
    pub(crate) fn shape(&self) -> &'static str {
        match self {
            Self::Simple(_) => "a simple string",
            Self::Error(_) => "an error",
            Self::Integer(_) => "an integer",
            Self::Bulk(_) | Self::LongBulk => "a bulk string",
            Self::Array(_) => "an array",
        }
    }

    /// The string that it is, if it is one.
    pub(crate) fn string(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(Some(text)) | Self::Simple(text) => Some(text),
            _ => None,
        }
    }
}

/// A command as an array of bulk strings.
pub(crate) fn command<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The reply at the beginning of `bytes` and its length; `None` means "read more".
///
/// # Errors
///
/// As soon as the bytes cannot be the beginning of a reply.
pub(crate) fn parse(bytes: &[u8]) -> Decoded<Reply> {
    parse_nested(bytes, MAX_DEPTH)
}

fn parse_nested(bytes: &[u8], depth: u8) -> Decoded<Reply> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    if !matches!(kind, b'+' | b'-' | b':' | b'$' | b'*') {
        return Err(ProtocolError);
    }
    let Some(line) = line(rest)? else { return Ok(None) };
    let used = 1 + line.len() + 2;
    let reply = match kind {
        b'+' => Reply::Simple(line.to_vec()),
        b'-' => Reply::Error(line.to_vec()),
        b':' => Reply::Integer(number(line)?),
        b'$' if depth == MAX_DEPTH && is_long(line) => Reply::LongBulk,
        b'$' => return bulk(line, bytes, used),
        _ => return array(line, bytes, used, depth),
    };
    Ok(Some((reply, used)))
}

/// Up to the CRLF, without it.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, ProtocolError> {
    match bytes.iter().position(|&byte| byte == b'\r' || byte == b'\n') {
        None if bytes.len() > MAX_LINE => Err(ProtocolError),
        None => Ok(None),
        Some(end) => match bytes[end..] {
            [b'\r'] => Ok(None),
            [b'\r', b'\n', ..] => Ok(Some(&bytes[..end])),
            _ => Err(ProtocolError),
        },
    }
}

fn number(line: &[u8]) -> Result<i64, ProtocolError> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(ProtocolError)
}

/// A length: `None` for -1, null.
fn length(line: &[u8]) -> Result<Option<usize>, ProtocolError> {
    match number(line)? {
        -1 => Ok(None),
        n => usize::try_from(n).ok().filter(|n| *n <= MAX_LENGTH).map(Some).ok_or(ProtocolError),
    }
}

fn is_long(line: &[u8]) -> bool {
    let length = number(line).ok().and_then(|length| usize::try_from(length).ok());
    length.is_some_and(|length| length > MAX_LENGTH && length <= MAX_VALUE)
}

fn bulk(line: &[u8], bytes: &[u8], used: usize) -> Decoded<Reply> {
    let Some(length) = length(line)? else { return Ok(Some((Reply::Bulk(None), used))) };
    let end = used + length;
    match bytes.get(end..) {
        None | Some([] | [b'\r']) => Ok(None),
        Some([b'\r', b'\n', ..]) => Ok(Some((Reply::Bulk(Some(bytes[used..end].to_vec())), end + 2))),
        Some(_) => Err(ProtocolError),
    }
}

fn array(line: &[u8], bytes: &[u8], mut used: usize, depth: u8) -> Decoded<Reply> {
    let count = length(line)?.unwrap_or(0);
    let depth = depth.checked_sub(1).ok_or(ProtocolError)?;
    let mut items = Vec::new();
    for _ in 0..count {
        let Some((item, length)) = parse_nested(&bytes[used..], depth)? else {
            // The bytes so far are parsed again when more has come: keep them few.
            return if bytes.len() > MAX_LENGTH { Err(ProtocolError) } else { Ok(None) };
        };
        items.push(item);
        used += length;
    }
    Ok(Some((Reply::Array(items), used)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALID: &[&[u8]] = &[
        b"+PONG\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b":1\r\n",
        b":-1\r\n",
        b"$3\r\nfoo\r\n",
        b"$0\r\n\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$7\r\n3129242\r\n",
    ];

    #[test]
    fn every_proper_prefix_means_read_more_and_the_whole_is_a_reply() {
        for valid in VALID {
            for end in 0..valid.len() {
                assert_eq!(parse(&valid[..end]), Ok(None), "{:?}", String::from_utf8_lossy(&valid[..end]));
            }
            let (_, used) = parse(valid).unwrap().unwrap();
            assert_eq!(used, valid.len());
            let followed = [valid, &b"+X"[..]].concat();
            assert_eq!(parse(&followed).unwrap().unwrap().1, valid.len());
        }
    }

    #[test]
    fn what_is_no_reply_is_refused_at_once() {
        for wrong in [
            &b"HTTP/1.1"[..],
            b"$2147483647\r\n",
            b"$-2\r\n",
            b"*2147483647\r\n",
            b":x\r\n",
            b"+a\nb",
            b"$1\r\nxy\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
            b"\0",
        ] {
            assert_eq!(parse(wrong), Err(ProtocolError), "{wrong:?}");
        }
        assert_eq!(parse(&[&b"+"[..], &[b'a'; 9000]].concat()), Err(ProtocolError));
    }

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        assert_eq!(command(&["AUTH", "é\r\n"]), b"*2\r\n$4\r\nAUTH\r\n$4\r\n\xc3\xa9\r\n\r\n");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(Some((_, used))) = parse(&bytes) {
                prop_assert!(used <= bytes.len());
            }
        }

        #[test]
        fn bytes_that_look_like_replies_never_panic(text in "[-+:$*0-9\r\n]{0,40}") {
            drop(parse(text.as_bytes()));
        }
    }
}
