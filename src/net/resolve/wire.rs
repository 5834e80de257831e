//! Questions to name servers and their replies (RFC 1035, section 4). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longer names do not exist (RFC 1035, section 2.3.4), as they are in messages.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
const HEADER: usize = 12;
const IN: u16 = 1;
const CNAME: u16 = 5;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `A`
    V4,
    /// `AAAA` (RFC 3596)
    V6,
}

impl Family {
    fn number(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    id: u16,
    /// Labels with their lengths, in small letters.
    name: Vec<u8>,
    family: Family,
}

/// What a name server says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The addresses of the name; none where it has some of the other family alone.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// It does not fit into a datagram.
    Truncated,
    /// The server cannot or will not say: why.
    Failed(&'static str),
}

impl Question {
    /// For a whole name, whose last dot may be missing; `None` if there can be no such name.
    pub fn new(id: u16, name: &str, family: Family) -> Option<Self> {
        let mut labels = Vec::with_capacity(name.len() + 2);
        for label in name.strip_suffix('.').unwrap_or(name).split('.') {
            let length = u8::try_from(label.len()).ok().filter(|_| (1..=MAX_LABEL).contains(&label.len()))?;
            labels.push(length);
            labels.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        labels.push(0);
        (labels.len() <= MAX_NAME).then_some(Self { id, name: labels, family })
    }

    /// The message that asks it; recursion is desired.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.id.to_be_bytes().to_vec();
        out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        out.extend(&self.name);
        out.extend(self.family.number().to_be_bytes());
        out.extend(IN.to_be_bytes());
        out
    }

    /// The reply that `message` is to this question; `None` if it is none: of another question, or not of a
    /// name server.
    pub fn reply(&self, message: &[u8]) -> Option<Reply> {
        let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let (id, flags, questions, answers) = (word(0)?, word(2)?, word(4)?, word(6)?);
        word(HEADER - 2)?;
        // A reply, and to a question of the usual kind.
        let is_reply = flags & 0xf800 == 0x8000;
        if id != self.id || !is_reply {
            return None;
        }
        let failure = failure_of(flags & 0xf);
        if questions == 0 {
            // Some say no more than that they do not understand.
            return failure.map(Reply::Failed);
        }
        let mut reader = Reader { message, at: HEADER };
        let echoed = (reader.name()?, reader.word()?, reader.word()?);
        if questions != 1 || echoed != (self.name.clone(), self.family.number(), IN) {
            return None;
        }
        if let Some(failure) = failure {
            return Some(Reply::Failed(failure));
        }
        let is_truncated = flags & 0x200 != 0;
        if is_truncated {
            return Some(Reply::Truncated);
        }
        let is_name_error = flags & 0xf == 3;
        let Some(addresses) = self.addresses(reader, answers) else { return Some(Reply::Failed("garbage")) };
        let [has_authority, is_recursive] = [flags & 0x400 != 0, flags & 0x80 != 0];
        Some(if !addresses.is_empty() {
            Reply::Addresses(addresses)
        } else if is_name_error {
            Reply::NoName
        } else if answers == 0 && !has_authority && !is_recursive {
            // It refers to others, and we cannot go there; glibc asks the next one as well.
            Reply::Failed("no answer but a referral")
        } else {
            Reply::Addresses(addresses)
        })
    }

    /// The addresses at the end of the chain of aliases.
    fn addresses(&self, mut reader: Reader<'_>, count: u16) -> Option<Vec<IpAddr>> {
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
                CNAME => aliases.push((owner, data.clone().name()?)),
                _ if kind == self.family.number() => found.push((owner, data.address(self.family)?)),
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
        Some(found.iter().filter(|(owner, _)| owner == name).map(|(_, address)| *address).collect())
    }
}

/// Of the codes of RFC 1035, section 4.1.1, those that say nothing about the name.
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

    fn address(self, family: Family) -> Option<IpAddr> {
        let data = self.message.get(self.at..)?;
        Some(match family {
            Family::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
            Family::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question() -> Question {
        Question::new(0x1234, "DB.example.", Family::V4).unwrap()
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

    fn found(last: &[u8]) -> Option<Reply> {
        Some(Reply::Addresses(last.iter().map(|&last| Ipv4Addr::new(10, 0, 0, last).into()).collect()))
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
        assert_eq!(question().reply(&message(0x8183, &[])), Some(Reply::NoName));
        assert_eq!(question().reply(&message(0x8180, &[])), found(&[]));
        assert_eq!(question().reply(&message(0x8380, &[A_OF_DB])), Some(Reply::Truncated));
        assert_eq!(question().reply(&message(0x8182, &[])), Some(Reply::Failed("SERVFAIL")));
        assert_eq!(question().reply(&message(0x8185, &[])), Some(Reply::Failed("REFUSED")));
        assert_eq!(question().reply(&message(0x8000, &[])), Some(Reply::Failed("no answer but a referral")));
        let bare = [0x12, 0x34, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(question().reply(&bare), Some(Reply::Failed("FORMERR")));
    }

    #[test]
    fn a_reply_to_another_question_is_none() {
        let good = message(OK, &[A_OF_DB]);
        for (at, value) in [(0, 0), (2, 1), (3, 0x80 | 0x10), (5, 2), (13, b'x'), (24, 28), (26, 3)] {
            let mut other = good.clone();
            other[at] = value;
            assert!(at == 3 || question().reply(&other).is_none(), "{at}");
        }
        let v6 = Question::new(0x1234, "db.example", Family::V6).unwrap();
        assert_eq!(v6.reply(&good), None);
    }

    #[test]
    fn names_that_cannot_be_are_not_asked_for() {
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", &long, &"a.".repeat(128)] {
            assert_eq!(Question::new(1, name, Family::V4), None, "{name}");
        }
        assert!(Question::new(1, &"a.".repeat(127), Family::V4).is_some());
    }

    #[test]
    fn no_part_of_a_reply_has_addresses() {
        let whole = message(OK, &[ALIAS, A_OF_A]);
        for end in 0..whole.len() {
            let reply = question().reply(&whole[..end]);
            assert!(matches!(reply, None | Some(Reply::Failed(_))), "{end}: {reply:?}");
        }
    }

    #[test]
    fn names_that_point_at_themselves_or_forward_end() {
        for pointer in [12, 28, 30, 255] {
            let record: &[u8] = &[0xc0, pointer, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 28];
            drop(question().reply(&message(OK, &[record, record])));
        }
        let itself: &[u8] = &[0xc0, 28, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4];
        assert_eq!(question().reply(&message(OK, &[itself])), Some(Reply::Failed("garbage")));
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
