//! Questions to name servers and their replies (RFC 1035, section 4). Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longer names do not exist (RFC 1035, section 2.3.4), as they are in messages.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
const IN: u16 = 1;

/// Which records are asked for, with the numbers of their types in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum RecordType {
    /// Addresses of IPv4.
    A = 1,
    /// Addresses of IPv6 (RFC 3596).
    Aaaa = 28,
    /// Servers of a service (RFC 2782).
    Srv = 33,
    /// Texts.
    Txt = 16,
    /// Servers for mail.
    Mx = 15,
    /// Name servers.
    Ns = 2,
    /// The name of an address.
    Ptr = 12,
    /// The name that it is an alias of.
    Cname = 5,
}

impl RecordType {
    /// All of them.
    pub(crate) const ALL: [Self; 8] =
        [Self::A, Self::Aaaa, Self::Srv, Self::Txt, Self::Mx, Self::Ns, Self::Ptr, Self::Cname];

    fn number(self) -> u16 {
        self as u16
    }

    /// As zone files have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Ns => "NS",
            Self::Cname => "CNAME",
            Self::Ptr => "PTR",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
        }
    }
}

/// The content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// An address.
    Address(IpAddr),
    /// A server of a service: its name, in small letters and without the last dot, and its port.
    Server {
        /// The lowest comes first.
        priority: u16,
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A text, put together of its pieces.
    Text(String),
    /// Another name, in small letters and without the last dot.
    Name(String),
}

/// As a message has it.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Server { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    id: u16,
    /// Labels with their lengths, in small letters.
    name: Vec<u8>,
    wanted: RecordType,
}

/// A name server's reply to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DnsReply {
    /// The records of the name; none where it has some of another type alone.
    Records(Vec<Record>),
    /// There is no such name.
    NoName,
    /// The reply does not fit into a datagram.
    Truncated,
    /// The server cannot or will not say: why.
    Failed(&'static str),
}

impl Question {
    /// For a whole name, whose last dot may be missing; `None` if there can be no such name.
    pub(crate) fn new(id: u16, name: &str, wanted: RecordType) -> Option<Self> {
        let mut labels = Vec::with_capacity(name.len() + 2);
        for label in name.strip_suffix('.').unwrap_or(name).split('.') {
            let length = u8::try_from(label.len()).ok().filter(|_| (1..=MAX_LABEL).contains(&label.len()))?;
            labels.push(length);
            labels.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        labels.push(0);
        (labels.len() <= MAX_NAME).then_some(Self { id, name: labels, wanted })
    }

    /// The message that asks it; recursion is desired.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.id.to_be_bytes().to_vec();
        out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        out.extend(&self.name);
        out.extend(self.wanted.number().to_be_bytes());
        out.extend(IN.to_be_bytes());
        out
    }

    /// The reply that `message` is to this question; `None` if it is none: of another question, or not of a
    /// name server.
    pub(crate) fn reply(&self, message: &[u8]) -> Option<DnsReply> {
        let mut reader = Reader { message, at: 0 };
        let (id, flags, questions, answers) = (reader.word()?, reader.word()?, reader.word()?, reader.word()?);
        // How many records stand behind the answers.
        reader.skip(4)?;
        // A reply, and to a question of the usual kind.
        let is_reply = flags & 0xf800 == 0x8000;
        if id != self.id || !is_reply {
            return None;
        }
        let failure = failure_of(flags & 0xf);
        if questions == 0 {
            // Some say no more than that they do not understand.
            return failure.map(DnsReply::Failed);
        }
        let echoed = (reader.name()?, reader.word()?, reader.word()?);
        if questions != 1 || echoed != (self.name.clone(), self.wanted.number(), IN) {
            return None;
        }
        if let Some(failure) = failure {
            return Some(DnsReply::Failed(failure));
        }
        let is_truncated = flags & 0x200 != 0;
        if is_truncated {
            return Some(DnsReply::Truncated);
        }
        let is_name_error = flags & 0xf == 3;
        let Some(records) = self.records(reader, answers) else { return Some(DnsReply::Failed("garbage")) };
        let [has_authority, is_recursive] = [flags & 0x400 != 0, flags & 0x80 != 0];
        Some(if is_name_error && records.is_empty() {
            DnsReply::NoName
        } else if answers == 0 && !has_authority && !is_recursive {
            // The server refers to others, and we cannot go there; glibc asks the next one as well.
            DnsReply::Failed("no answer but a referral")
        } else {
            DnsReply::Records(records)
        })
    }

    /// The records at the end of the chain of aliases.
    fn records(&self, mut reader: Reader<'_>, count: u16) -> Option<Vec<Record>> {
        let (mut aliases, mut found) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let owner = reader.name()?;
            let (kind, class) = (reader.word()?, reader.word()?);
            reader.skip(4)?;
            let length = usize::from(reader.word()?);
            let data = Reader { message: reader.message.get(..reader.at + length)?, at: reader.at };
            reader.skip(length)?;
            match kind {
                _ if class != IN => {}
                _ if kind == self.wanted.number() => found.push((owner, data.record(self.wanted)?)),
                _ if kind == RecordType::Cname.number() => aliases.push((owner, data.clone().name()?)),
                _ => {}
            }
        }
        let mut name = &self.name;
        // As many steps as there are aliases: they may lead round in a circle.
        for _ in 0..aliases.len() {
            match aliases.iter().find(|(owner, _)| owner == name) {
                Some((_, target)) => name = target,
                None => break,
            }
        }
        Some(found.iter().filter(|(owner, _)| owner == name).map(|(_, record)| record.clone()).collect())
    }
}

/// The codes of RFC 1035, section 4.1.1, that say nothing about the name.
fn failure_of(code: u16) -> Option<&'static str> {
    match code {
        0 | 3 => None,
        1 => Some("FORMERR"),
        2 => Some("SERVFAIL"),
        4 => Some("NOTIMP"),
        5 => Some("REFUSED"),
        _ => Some("an error"),
    }
}

#[derive(Debug, Clone)]
struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.message.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.message.len()).then_some(())
    }

    fn record(mut self, wanted: RecordType) -> Option<Record> {
        let data = self.message.get(self.at..)?;
        Some(match wanted {
            RecordType::A => Record::Address(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            RecordType::Aaaa => Record::Address(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            RecordType::Srv => {
                let (priority, _weight, port) = (self.word()?, self.word()?, self.word()?);
                Record::Server { priority, host: dotted(&self.name()?)?, port }
            }
            RecordType::Ns | RecordType::Ptr | RecordType::Cname => Record::Name(dotted(&self.name()?)?),
            RecordType::Mx => {
                self.skip(2)?;
                Record::Name(dotted(&self.name()?)?)
            }
            RecordType::Txt => {
                let mut text = Vec::new();
                while let Some(length) = self.byte() {
                    text.extend(self.message.get(self.at..self.at + usize::from(length))?);
                    self.at += usize::from(length);
                }
                Record::Text(String::from_utf8(text).ok()?)
            }
        })
    }

    /// A name, in small letters and without compression (RFC 1035, section 4.1.4).
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut after = None;
        loop {
            let begin = self.at;
            let length = self.byte()?;
            match length >> 6 {
                0 => {
                    let label = self.message.get(self.at..self.at + usize::from(length))?;
                    name.push(length);
                    name.extend(label.iter().map(u8::to_ascii_lowercase));
                    self.at += usize::from(length);
                    if name.len() > MAX_NAME {
                        return None;
                    }
                    if length == 0 {
                        break;
                    }
                }
                3 => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(self.byte()?);
                    after.get_or_insert(self.at);
                    // Only backwards: no loop has an end otherwise.
                    if target >= begin {
                        return None;
                    }
                    self.at = target;
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(self.at);
        Some(name)
    }
}

/// A name of labels with their lengths, as it is written; without its last dot.
fn dotted(name: &[u8]) -> Option<String> {
    let (mut rest, mut labels) = (name, Vec::new());
    while let Some((&length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, others) = after.split_at_checked(usize::from(length))?;
        labels.push(std::str::from_utf8(label).ok()?);
        rest = others;
    }
    Some(labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question() -> Question {
        Question::new(0x1234, "DB.example.", RecordType::A).unwrap()
    }

    /// The reply to [`question`] with these flags and records.
    fn message(flags: u16, records: &[&[u8]]) -> Vec<u8> {
        let mut out = question().to_bytes();
        out[2..4].copy_from_slice(&flags.to_be_bytes());
        out[7] = u8::try_from(records.len()).unwrap();
        out.extend(records.concat());
        out
    }

    /// The name of the question; `db` is an alias of `a.example`.
    const ALIAS: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 4, 1, b'a', 0xc0, 15];
    const A_OF_DB: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 0, 0, 1];
    const A_OF_A: &[u8] =
        &[1, b'A', 7, b'e', b'X', b'a', b'm', b'p', b'l', b'e', 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 0, 0, 2];
    const OK: u16 = 0x8180;

    fn found(last: &[u8]) -> Option<DnsReply> {
        Some(DnsReply::Records(
            last.iter().map(|&last| Record::Address(Ipv4Addr::new(10, 0, 0, last).into())).collect(),
        ))
    }

    #[test]
    fn addresses_are_found_at_the_end_of_aliases_in_any_order() {
        assert_eq!(question().reply(&message(OK, &[A_OF_DB])), found(&[1]));
        assert_eq!(question().reply(&message(OK, &[ALIAS, A_OF_A])), found(&[2]));
        assert_eq!(question().reply(&message(OK, &[A_OF_A, ALIAS])), found(&[2]));
        assert_eq!(question().reply(&message(OK, &[A_OF_A])), found(&[]), "of another name");
        let circle: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12];
        assert_eq!(question().reply(&message(OK, &[circle])), found(&[]));
    }

    #[test]
    fn what_the_server_says_is_told_apart() {
        assert_eq!(question().reply(&message(0x8183, &[])), Some(DnsReply::NoName));
        assert_eq!(question().reply(&message(0x8180, &[])), found(&[]));
        assert_eq!(question().reply(&message(0x8380, &[A_OF_DB])), Some(DnsReply::Truncated));
        assert_eq!(question().reply(&message(0x8182, &[])), Some(DnsReply::Failed("SERVFAIL")));
        assert_eq!(question().reply(&message(0x8185, &[])), Some(DnsReply::Failed("REFUSED")));
        assert_eq!(question().reply(&message(0x8000, &[])), Some(DnsReply::Failed("no answer but a referral")));
        let bare = [0x12, 0x34, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(question().reply(&bare), Some(DnsReply::Failed("FORMERR")));
    }

    #[test]
    fn a_reply_to_another_question_is_none() {
        let good = message(OK, &[A_OF_DB]);
        for (at, value) in [(0, 0), (2, 1), (3, 0x80 | 0x10), (5, 2), (13, b'x'), (24, 28), (26, 3)] {
            let mut other = good.clone();
            other[at] = value;
            assert!(at == 3 || question().reply(&other).is_none(), "{at}");
        }
        let v6 = Question::new(0x1234, "db.example", RecordType::Aaaa).unwrap();
        assert_eq!(v6.reply(&good), None);
    }

    #[test]
    fn names_that_cannot_be_are_not_asked_for() {
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", &long, &"a.".repeat(128)] {
            assert_eq!(Question::new(1, name, RecordType::A), None, "{name}");
        }
        assert!(Question::new(1, &"a.".repeat(127), RecordType::A).is_some());
    }

    #[test]
    fn no_part_of_a_reply_has_addresses() {
        let whole = message(OK, &[ALIAS, A_OF_A]);
        for end in 0..whole.len() {
            let reply = question().reply(&whole[..end]);
            assert!(matches!(reply, None | Some(DnsReply::Failed(_))), "{end}: {reply:?}");
        }
    }

    #[test]
    fn servers_and_texts_are_read() {
        let reply = |wanted: RecordType, data: &[u8]| {
            let question = Question::new(0x1234, "DB.example.", wanted).unwrap();
            let mut out = question.to_bytes();
            out[2..4].copy_from_slice(&OK.to_be_bytes());
            out[7] = 1;
            let number = u8::try_from(wanted.number()).unwrap();
            out.extend([0xc0, 12, 0, number, 0, 1, 0, 0, 0, 0, 0, u8::try_from(data.len()).unwrap()]);
            out.extend(data);
            question.reply(&out)
        };
        let server = Record::Server { priority: 5, host: "a.example".to_owned(), port: 27017 };
        let data = [0, 5, 0, 0, 0x69, 0x89, 1, b'A', 0xc0, 15];
        assert_eq!(reply(RecordType::Srv, &data), Some(DnsReply::Records(vec![server])));
        for (wanted, data) in [
            (RecordType::Mx, &b"\0\x0a\x01A\xc0\x0f"[..]),
            (RecordType::Ns, b"\x01A\xc0\x0f"),
            (RecordType::Ptr, b"\x01A\xc0\x0f"),
            (RecordType::Cname, b"\x01A\xc0\x0f"),
        ] {
            let name = Record::Name("a.example".to_owned());
            assert_eq!(reply(wanted, data), Some(DnsReply::Records(vec![name])), "{}", wanted.name());
        }
        let text = Record::Text("replicaSet=rs0".to_owned());
        assert_eq!(reply(RecordType::Txt, b"\x0breplicaSet=\x03rs0"), Some(DnsReply::Records(vec![text])));
        for (wanted, data) in
            [(RecordType::Srv, &data[..7]), (RecordType::Txt, b"\x0brs0"), (RecordType::Txt, b"\x01\xff")]
        {
            assert_eq!(reply(wanted, data), Some(DnsReply::Failed("garbage")));
        }
    }

    #[test]
    fn names_that_point_at_themselves_or_forward_end() {
        for pointer in [12, 28, 30, 255] {
            let record: &[u8] = &[0xc0, pointer, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 28];
            drop(question().reply(&message(OK, &[record, record])));
        }
        let itself: &[u8] = &[0xc0, 28, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4];
        assert_eq!(question().reply(&message(OK, &[itself])), Some(DnsReply::Failed("garbage")));
    }

    proptest! {
        #[test]
        fn garbage_is_no_reply_and_does_no_harm(bytes: Vec<u8>, flags: u16) {
            let mut reply = message(flags, &[]);
            reply[7] = 9;
            reply.extend(bytes);
            drop(question().reply(&reply));
        }
    }
}
