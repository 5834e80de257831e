//! The messages of the MySQL client/server protocol, as its manual and MariaDB's describe them. Pure.

use ring::digest::{Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use crate::targets::shared::talk::{Decoded, ProtocolError};

/// A server may claim no longer message than this before we are logged in: the greeting has about 100 bytes.
pub(crate) const MAX_HANDSHAKE: usize = 64 << 10;
/// Nor a longer one of a result.
pub(crate) const MAX_ROW: usize = 1 << 20;

/// How many rows are read to the end of a result, so that the server need not break off.
const MAX_ROWS: usize = 10_000;

/// The capability flags that are used (manual: "Capabilities Flags").
pub(crate) mod capability {
    /// The database is named in the answer to the greeting.
    pub(crate) const CONNECT_WITH_DB: u32 = 0x8;
    /// TLS after the greeting.
    pub(crate) const SSL: u32 = 0x800;
    /// Named plugins for authentication.
    pub(crate) const PLUGIN_AUTH: u32 = 0x8_0000;
    /// Long passwords, the protocol of 4.1, transactions, a nonce of 20 bytes.
    pub(crate) const USUAL: u32 = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | PLUGIN_AUTH;
}

/// The largest packet that we would take, as the answer to the greeting says.
const MAX_PACKET: u32 = 1 << 24;
/// `utf8mb4_general_ci`
const CHARSET: u8 = 45;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Its number within the exchange.
    pub(crate) sequence: u8,
    /// The content.
    pub(crate) payload: Vec<u8>,
}

/// The packet at the beginning of `bytes` and its length; `None` means "read more".
///
/// # Errors
///
/// When it claims more than `max` bytes, or none.
pub(crate) fn packet(bytes: &[u8], max: usize) -> Decoded<Packet> {
    // A length that is too great in the first bytes is no packet, whatever follows.
    if bytes.get(2).is_some_and(|high| usize::from(*high) << 16 > max) {
        return Err(ProtocolError);
    }
    let Some(&[a, b, c, sequence]) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
    if length == 0 || length > max {
        return Err(ProtocolError);
    }
    let payload = bytes.get(4..4 + length).map(<[u8]>::to_vec);
    Ok(payload.map(|payload| (Packet { sequence, payload }, 4 + length)))
}

/// `payload` as a packet.
pub(crate) fn framed(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length[..3], &[sequence], payload].concat()
}

/// A server's greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// Its version, as it calls it.
    pub(crate) version: String,
    /// The nonce for the password.
    pub(crate) nonce: Vec<u8>,
    /// The capabilities.
    pub(crate) capabilities: u32,
    /// The plugin that it would have us authenticate with.
    pub(crate) plugin: String,
}

/// An error that the server reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrPacket {
    /// Its number.
    pub(crate) code: u16,
    /// Its SQLSTATE; empty before the handshake.
    pub(crate) state: Vec<u8>,
    /// The message.
    pub(crate) message: Vec<u8>,
}

/// The beginning of a message cut off, for reading fields.
struct PacketFields<'a>(&'a [u8]);

impl<'a> PacketFields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtocolError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, ProtocolError> {
        Ok(self.take(1)?[0])
    }

    fn short(&mut self) -> Result<u16, ProtocolError> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into().map_err(|_| ProtocolError)?))
    }

    /// Up to a NUL; the last one may lack it.
    fn until_nul(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0);
        let (text, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, &[][..]),
        };
        self.0 = rest;
        text
    }

    /// A length-encoded integer; `None` is NULL.
    fn length(&mut self) -> Result<Option<usize>, ProtocolError> {
        let width = match self.byte()? {
            0xfb => return Ok(None),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xff => return Err(ProtocolError),
            small => return Ok(Some(usize::from(small))),
        };
        let mut whole = [0; 8];
        whole[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(whole)).map(Some).map_err(|_| ProtocolError)
    }

    fn string(&mut self) -> Result<Option<&'a [u8]>, ProtocolError> {
        self.length()?.map(|length| self.take(length)).transpose()
    }
}

/// The first packet (`Protocol::HandshakeV10`).
///
/// # Errors
///
/// When it is none.
pub(crate) fn greeting(payload: &[u8]) -> Result<Greeting, ProtocolError> {
    let mut fields = PacketFields(payload);
    if fields.byte()? != 10 || !payload[1..].contains(&0) {
        return Err(ProtocolError);
    }
    let version = String::from_utf8_lossy(fields.until_nul()).into_owned();
    fields.take(4)?;
    let mut nonce = fields.take(8)?.to_vec();
    fields.take(1)?;
    let low = fields.short()?;
    if fields.0.is_empty() {
        return Ok(Greeting { version, nonce, capabilities: low.into(), plugin: String::new() });
    }
    fields.take(3)?;
    let capabilities = u32::from(low) | u32::from(fields.short()?) << 16;
    let length = usize::from(fields.byte()?);
    fields.take(10)?;
    let rest = fields.take(length.saturating_sub(8).max(13).min(fields.0.len()))?;
    nonce.extend_from_slice(rest.strip_suffix(&[0]).unwrap_or(rest));
    let plugin = String::from_utf8_lossy(fields.until_nul()).into_owned();
    Ok(Greeting { version, nonce, capabilities, plugin })
}

/// An `ERR_Packet`, with its SQLSTATE or, before the handshake, without.
pub(crate) fn error(payload: &[u8]) -> Option<ErrPacket> {
    let mut fields = PacketFields(payload.strip_prefix(&[0xff])?);
    let code = fields.short().ok()?;
    let message = match fields.0 {
        [b'#', rest @ ..] if rest.len() >= 5 => &rest[5..],
        other => other,
    };
    let state = fields.0.strip_prefix(b"#").and_then(|rest| rest.get(..5)).map(<[u8]>::to_vec).unwrap_or_default();
    Some(ErrPacket { code, state, message: message.to_vec() })
}

/// The beginning of both the request for TLS and the answer to the greeting.
fn answer_head(capabilities: u32) -> Vec<u8> {
    [&capabilities.to_le_bytes()[..], &MAX_PACKET.to_le_bytes(), &[CHARSET], &[0; 23]].concat()
}

/// `Protocol::SSLRequest`. Servers take the capabilities from it alone, and none from the answer that follows it over
/// TLS: whether a database is named, it says already.
pub(crate) fn tls_request(capabilities: u32, database: Option<&str>) -> Vec<u8> {
    answer_head(capabilities | capability::SSL | of_database(database))
}

fn of_database(database: Option<&str>) -> u32 {
    if database.is_some() { capability::CONNECT_WITH_DB } else { 0 }
}

/// `Protocol::HandshakeResponse41`; `None` where a field cannot be written.
pub(crate) fn answer(
    capabilities: u32,
    user: &str,
    authentication: &[u8],
    database: Option<&str>,
    plugin: &str,
) -> Option<Vec<u8>> {
    let length = u8::try_from(authentication.len()).ok().filter(|length| *length < 0xfb)?;
    let mut out = answer_head(capabilities | of_database(database));
    let text = |text: &str, out: &mut Vec<u8>| {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
        (!text.contains('\0')).then_some(())
    };
    text(user, &mut out)?;
    out.push(length);
    out.extend_from_slice(authentication);
    if let Some(database) = database {
        text(database, &mut out)?;
    }
    text(plugin, &mut out)?;
    Some(out)
}

/// `Protocol::AuthSwitchRequest`: the plugin and its nonce; `None` for that of the time before 4.1.
pub(crate) fn auth_switch(payload: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut fields = PacketFields(payload.strip_prefix(&[0xfe])?);
    let plugin = String::from_utf8_lossy(fields.until_nul()).into_owned();
    // A nonce of 20 bytes has a NUL behind it; one of another length may end in a byte that is 0.
    let nonce = fields.0.strip_suffix(&[0]).filter(|nonce| nonce.len() == 20).unwrap_or(fields.0).to_vec();
    (!plugin.is_empty()).then_some((plugin, nonce))
}

/// Puts one of two hashes over the other.
fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

fn sha1(bytes: impl AsRef<[u8]>) -> Digest {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes.as_ref())
}

fn sha256(bytes: impl AsRef<[u8]>) -> Digest {
    digest(&SHA256, bytes.as_ref())
}

/// MariaDB's `client_ed25519`: the nonce, signed with a key whose seed is the password (Ed25519, RFC 8032, with the
/// hash of the password in place of that of 32 random bytes).
pub(crate) fn ed25519(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
    use ed25519_dalek::{Sha512, VerifyingKey};
    let key = ExpandedSecretKey::from_bytes(&<Sha512 as ed25519_dalek::Digest>::digest(password).into());
    raw_sign::<Sha512>(&key, nonce, &VerifyingKey::from(&key)).to_bytes().to_vec()
}

/// As much of a nonce as counts.
fn nonce_of(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(20)]
}

/// `mysql_native_password`: SHA1(password) XOR SHA1(the nonce and SHA1(SHA1(password))).
pub(crate) fn native_password(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = sha1(password);
    let salted = [nonce_of(nonce), sha1(once).as_ref()].concat();
    xor(once.as_ref(), sha1(salted).as_ref())
}

/// `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)) and the nonce).
pub(crate) fn caching_sha2(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = sha256(password);
    let salted = [sha256(once).as_ref(), nonce_of(nonce)].concat();
    xor(once.as_ref(), sha256(salted).as_ref())
}

/// The result of a statement, packet by packet.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// How many columns there are, once that is known.
    columns: Option<usize>,
    /// How many packets there were after that.
    seen: usize,
    first_type: u8,
    /// Whether the first column of the first row holds; `None` without a row.
    pub(crate) first: Option<bool>,
}

impl Rows {
    /// Takes the next packet, and says whether it was the last that is wanted.
    ///
    /// # Errors
    ///
    /// When it is none of a result, or has no place there.
    pub(crate) fn take(&mut self, packet: &[u8]) -> Result<bool, ProtocolError> {
        let Some(columns) = self.columns else {
            self.columns = column_count(packet)?;
            return Ok(self.columns.is_none());
        };
        let index = self.seen;
        self.seen += 1;
        if index == 0 && columns > 0 {
            self.first_type = column_type(packet)?;
        }
        if index < columns {
            return Ok(false);
        }
        let is_end = is_end(packet);
        if index == columns {
            return if is_end { Ok(false) } else { Err(ProtocolError) };
        }
        if !is_end && self.first.is_none() {
            self.first = Some(holds(packet, self.first_type)?);
        }
        Ok(is_end || index == columns + MAX_ROWS)
    }
}

/// How many columns a result has; `None` for a statement that has no result.
///
/// # Errors
///
/// When it begins no result.
pub(crate) fn column_count(payload: &[u8]) -> Result<Option<usize>, ProtocolError> {
    match payload {
        [0, ..] => Ok(None),
        _ => PacketFields(payload).length()?.filter(|count| *count <= 4096).map(Some).ok_or(ProtocolError),
    }
}

/// The type of a column (`Protocol::ColumnDefinition41`).
///
/// # Errors
///
/// When it describes no column.
pub(crate) fn column_type(payload: &[u8]) -> Result<u8, ProtocolError> {
    let mut fields = PacketFields(payload);
    for _ in 0..6 {
        fields.string()?;
    }
    fields.take(1 + 2 + 4)?;
    fields.byte()
}

/// Whether it ends the columns or the rows.
pub(crate) fn is_end(payload: &[u8]) -> bool {
    payload.first() == Some(&0xfe) && payload.len() < 9
}

/// Whether the first column of a row holds: it is neither NULL nor, where it is a number, 0. MySQL has no other
/// false.
///
/// # Errors
///
/// When it is no row.
pub(crate) fn holds(row: &[u8], column_type: u8) -> Result<bool, ProtocolError> {
    // DECIMAL, TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, YEAR, NEWDECIMAL; BIT is bytes.
    let is_number = matches!(column_type, 0..=5 | 8 | 9 | 13 | 246);
    Ok(match PacketFields(row).string()? {
        None => false,
        Some(bits) if column_type == 16 => bits.iter().any(|byte| *byte != 0),
        Some(text) if is_number => text.iter().any(|byte| matches!(byte, b'1'..=b'9')),
        Some(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As MariaDB 10.11 of Debian greets.
    pub(crate) const MARIADB: &[u8] =
        b"\n5.5.5-10.11.19-MariaDB-0+deb12u1\0\x04\0\0\x002\\Z-qsnO\0\xfe\xf7\x08\x02\0\xff\x81\
        \x15\0\0\0\0\0\0\x1d\0\0\0~MEPC@Uj7oMs\0mysql_native_password\0";

    #[test]
    fn every_proper_prefix_of_a_packet_means_read_more() {
        let whole = framed(0, MARIADB);
        for end in 0..whole.len() {
            assert_eq!(packet(&whole[..end], MAX_HANDSHAKE), Ok(None), "{end}");
        }
        let (packet, used) = packet(&whole, MAX_HANDSHAKE).unwrap().unwrap();
        assert_eq!((packet.sequence, packet.payload.as_slice(), used), (0, MARIADB, whole.len()));
    }

    #[test]
    fn what_is_no_packet_is_refused_at_once() {
        for wrong in [&b"HTT"[..], b"SSH", b"-ER", b"+OK", b"\x15\x03\x03", b"\xff\xff\xff", b"\0\0\0\0"] {
            assert_eq!(packet(wrong, MAX_HANDSHAKE), Err(ProtocolError), "{wrong:?}");
        }
    }

    #[test]
    fn a_greeting_is_read_whole_or_not_at_all() {
        let greeting_of = greeting(MARIADB).unwrap();
        assert_eq!(greeting_of.version, "5.5.5-10.11.19-MariaDB-0+deb12u1");
        assert_eq!(greeting_of.nonce, b"2\\Z-qsnO~MEPC@Uj7oMs");
        assert_eq!(greeting_of.plugin, "mysql_native_password");
        assert_eq!(greeting_of.capabilities & capability::SSL, 0);
        for wrong in [&b""[..], b"\n", b"\n5.5", b"\n5\0abc", b"\x0bx\0", b"\x05\0\0\0"] {
            assert!(greeting(wrong).is_err(), "{wrong:?}");
        }
        for end in 0..MARIADB.len() {
            drop(greeting(&MARIADB[..end]));
        }
    }

    #[test]
    fn errors_come_with_a_state_and_without() {
        let with = error(b"\xff\x15\x04#28000Access denied").unwrap();
        assert_eq!((with.code, with.message.as_slice()), (1045, &b"Access denied"[..]));
        let without = error(b"\xff\x6a\x04Host 'x' is not allowed").unwrap();
        assert_eq!((without.code, without.message.as_slice()), (1130, &b"Host 'x' is not allowed"[..]));
        assert_eq!(error(b"\xff\x15"), None);
        assert_eq!(error(b"\0"), None);
    }

    #[test]
    fn a_nonce_is_signed_as_mariadb_wants_it() {
        // Of RFC 8032's seed of 32 bytes the hash is that of the password: its first test vector.
        let seed: Vec<u8> = (0..32)
            .map(|i| {
                u8::from_str_radix(
                    &"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"[2 * i..2 * i + 2],
                    16,
                )
            })
            .collect::<Result<_, _>>()
            .unwrap();
        let signature = ed25519(&seed, b"");
        assert_eq!(&signature[..8], [0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72]);
    }

    #[test]
    fn passwords_are_scrambled_as_the_servers_want_it() {
        // Computed with Python's hashlib.
        let nonce = b"abcdefghijklmnopqrst";
        assert_eq!(hex(&native_password(b"secret", nonce)), NATIVE);
        assert_eq!(hex(&caching_sha2(b"secret", nonce)), SHA2);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    const NATIVE: &str = "8817c50fa779daef010ee7577825b0847df9842e";
    const SHA2: &str = "c76e2898612a4cf042c77fa8c4702c4c64c0c2c557c53c4d75595aaa6abae809";

    #[test]
    fn a_result_is_taken_to_its_end_and_in_its_order() {
        let column = b"\x03def\0\0\0\x01x\0\x0c\x3f\0\x15\0\0\0\x08\x81\0\0\0\0";
        let end: &[u8] = b"\xfe\0\0\x02\0";
        let taken = |packets: &[&[u8]]| {
            let mut rows = Rows::default();
            let all: Result<Vec<bool>, ProtocolError> = packets.iter().map(|packet| rows.take(packet)).collect();
            (all, rows.first)
        };
        let more = |count| Ok([vec![false; count], vec![true]].concat());
        assert_eq!(taken(&[&[0, 0, 0]]), (more(0), None));
        assert_eq!(taken(&[&[1], column, end, end]), (more(3), None));
        assert_eq!(taken(&[&[1], column, end, b"\x010", b"\x011", end]), (more(5), Some(false)));
        assert_eq!(taken(&[&[1], column, column]).0, Err(ProtocolError));
        assert_eq!(taken(&[&[1], b"\x03de"]).0, Err(ProtocolError));
        let rows = vec![&b"\x011"[..]; MAX_ROWS];
        let many = [&[&b"\x01"[..], column, end][..], &rows].concat();
        assert_eq!(taken(&many), (more(MAX_ROWS + 2), Some(true)));
    }

    #[test]
    fn a_row_holds_unless_it_is_null_or_a_zero() {
        for (row, column, expected) in [
            (&b"\x011"[..], 8, true),
            (b"\x010", 8, false),
            (b"\x040.00", 246, false),
            (b"\x040.01", 246, true),
            (b"\x02-1", 3, true),
            (b"\x010", 253, true),
            (b"\0", 253, true),
            (b"\xfb", 253, false),
            (b"\x01\0", 16, false),
            (b"\x01\x01", 16, true),
        ] {
            assert_eq!(holds(row, column), Ok(expected), "{row:?} {column}");
        }
        assert!(holds(b"\x05a", 8).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            check(&bytes);
        }
    }

    fn check(bytes: &[u8]) {
        if let Ok(Some((packet, used))) = packet(bytes, MAX_ROW) {
            assert!(used <= bytes.len() && packet.payload.len() < used);
        }
        crate::fuzzing::mysql_wire(bytes);
    }
}
