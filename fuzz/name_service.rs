//! What name servers, hosts files and resolv.conf may hold: shared by the fuzzer and the tests.

use when_ready::net::resolve::files::{Conf, in_hosts, literal};
use when_ready::net::resolve::wire::{Family, Question, Reply};

/// Nothing panics, no reply has more addresses than fit into it, and what is no reply to the question has none.
pub fn check(bytes: &[u8]) {
    let id = u16::from_be_bytes([bytes.first().copied().unwrap_or(0), bytes.get(1).copied().unwrap_or(0)]);
    for family in [Family::V4, Family::V6] {
        let question = Question::new(id, "db.example", family).expect("a name");
        // As it is, and as what follows the head of a reply.
        let mut reply = question.to_bytes();
        reply[2..4].copy_from_slice(&[0x81, 0x80]);
        reply[7] = 3;
        reply.extend_from_slice(bytes);
        for message in [bytes, &reply] {
            if let Some(Reply::Addresses(found)) = question.reply(message) {
                assert!(found.len() * 14 <= message.len(), "{} addresses", found.len());
                let other = Question::new(id ^ 1, "db.example", family).expect("a name");
                assert_eq!(other.reply(message), None);
            }
        }
    }
    let interface = |name: &str| (name == "eth0").then_some(2);
    drop(in_hosts(bytes, "db", &interface));
    let text = String::from_utf8_lossy(bytes);
    let _ = literal(&text, &interface);
    let conf = Conf::parse(&text, &text, &interface);
    assert!(!conf.servers.is_empty() && conf.ndots <= 15);
    assert!(!conf.candidates("db").is_empty());
    drop(Question::new(id, &text, Family::V4));
}
