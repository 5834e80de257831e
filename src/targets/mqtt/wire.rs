//! Packets of MQTT 3.1.1 (OASIS standard), as far as a connection needs them. Pure.

use crate::targets::shared::talk::{Decoded, ProtocolError, base_128};

/// The level of the protocol (3.1.1, section 3.1.2.2).
const LEVEL: u8 = 4;
/// `CONNACK`: its type and flags.
const CONNACK: u8 = 0x20;
/// A server may send no longer `CONNACK`: that of MQTT 5 has properties.
const MAX_CONNACK: usize = 4096;

/// `DISCONNECT`
pub(crate) const DISCONNECT: &[u8] = &[0xe0, 0];

/// After how long without a word a server may close the session: no attempt lasts as long.
const KEEP_ALIVE_SECONDS: u16 = 60;

/// `CONNECT` with a clean session.
pub(crate) fn connect(client: &str, user: Option<&str>, password: Option<&[u8]>) -> Vec<u8> {
    // A clean session; a password takes a user, if an empty one.
    let mut flags = 0x02;
    let mut payload = string(client.as_bytes());
    if user.is_some() || password.is_some() {
        flags |= 0x80;
        payload.extend(string(user.unwrap_or_default().as_bytes()));
    }
    if let Some(password) = password {
        flags |= 0x40;
        payload.extend(string(password));
    }
    let head = [&string(b"MQTT")[..], &[LEVEL, flags], &KEEP_ALIVE_SECONDS.to_be_bytes()].concat();
    let body = [head, payload].concat();
    // Section 2.2.3.
    [&[0x10][..], &base_128(body.len()), &body].concat()
}

/// A string or binary data: no longer than their length can say.
fn string(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// The return code of the `CONNACK` at the beginning of `bytes`, and its length; `None` means "read more".
///
/// # Errors
///
/// As soon as the bytes cannot be the beginning of one.
pub(crate) fn connack(bytes: &[u8]) -> Decoded<u8> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    if kind != CONNACK {
        return Err(ProtocolError);
    }
    let mut length = 0_usize;
    for (index, byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 != 0 {
            continue;
        }
        if !(2..=MAX_CONNACK).contains(&length) {
            return Err(ProtocolError);
        }
        let body = &rest[index + 1..];
        // The first byte says whether there is a session, and no more.
        if body.first().is_some_and(|flags| flags & 0xfe != 0) {
            return Err(ProtocolError);
        }
        let Some(body) = body.get(..length) else { return Ok(None) };
        // Only a server of MQTT 5, which refuses, says more than its code.
        let is_in_order = length == 2 || body[1] >= 0x80;
        return if is_in_order { Ok(Some((body[1], 2 + index + length))) } else { Err(ProtocolError) };
    }
    if rest.len() < 4 { Ok(None) } else { Err(ProtocolError) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_connect_is_as_the_standard_has_it() {
        assert_eq!(connect("c", None, None), b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c");
        let with = connect("c", Some("app"), Some(b"pw"));
        assert_eq!(with, b"\x10\x16\0\x04MQTT\x04\xc2\0\x3c\0\x01c\0\x03app\0\x02pw");
        assert_eq!(connect("c", None, Some(b"pw"))[9], 0xc2);
    }

    #[test]
    fn every_proper_prefix_of_a_connack_means_read_more() {
        for (whole, code) in [(&b"\x20\x02\0\x05"[..], 5), (b"\x20\x03\0\x87\0", 0x87), (b"\x20\x83\0\0\x87\0", 0x87)] {
            for end in 0..whole.len() {
                assert_eq!(connack(&whole[..end]), Ok(None), "{end}");
            }
            assert_eq!(connack(whole), Ok(Some((code, whole.len()))));
        }
        for wrong in [
            &b"HTTP"[..],
            b"\x30",
            b"\x20\x01",
            b"\x20\x02\x02",
            b"\x20\xff\xff\xff\xff",
            b"\x20\xff\x7f",
            b"\x20\x03\0\0\0",
        ] {
            assert_eq!(connack(wrong), Err(ProtocolError), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>) {
            let _ = connack(&bytes);
            bytes.insert(0, CONNACK);
            let _ = connack(&bytes);
        }
    }
}
