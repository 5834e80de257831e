//! SMTP: the greeting and EHLO (RFC 5321). No mail is sent, and nobody logs in.

use std::io::{Read, Write};

use super::talk::{Talk, line};
use crate::net::Budget;
use crate::outcome::{Kind, NotReady, Outcome, Ready, excerpt};

/// Talks with the server; `hurry` is called before the good-bye.
pub(super) fn exchange<S: Read + Write>(talk: &mut Talk<'_, S>, hurry: impl Fn(&mut S, &Budget)) -> Outcome {
    let greeting = reply(talk)?;
    let outcome = match greeting.as_bytes() {
        [b'2', ..] => {
            talk.send(b"EHLO when-ready.invalid\r\n");
            reply(talk).and_then(|answer| judge(&answer, "it greets and answers EHLO; no login is tried"))
        }
        _ => judge(&greeting, ""),
    };
    talk.send(b"QUIT\r\n");
    if outcome.is_ok() {
        // Its good-bye: a server may note down whoever does not wait for it.
        let budget = talk.budget();
        hurry(talk.stream(), budget);
        drop(reply(talk));
    }
    outcome
}

/// A reply of one line or more; its last line.
fn reply<S: Read + Write>(talk: &mut Talk<'_, S>) -> Result<String, NotReady> {
    loop {
        let line = talk.receive(|bytes| line(bytes, &["2", "4", "5"]))?;
        let (code, rest) = line.split_at_checked(3).ok_or_else(|| talk.out_of_order())?;
        if !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(talk.out_of_order());
        }
        if !rest.starts_with('-') {
            return Ok(line);
        }
    }
}

/// RFC 5321, section 4.2: 2 is yes, 4 is not now, 5 is no; 421 and 554 are said by servers that start or stop too.
fn judge(reply: &str, proof: &str) -> Outcome {
    match reply.as_bytes() {
        [b'2', ..] => Ok(Ready::new(proof)),
        _ => Err(NotReady::new(Kind::NotAccepting, excerpt(reply))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::service::Protocol;
    use crate::probe::scripted::{End, Scripted, budget};

    fn outcome(answer: &[u8]) -> Result<Ready, Kind> {
        let budget = budget();
        let mut talk = Talk::new(Scripted::new(answer, 1, End::Close), Protocol::Smtp.name(), &budget);
        exchange(&mut talk, |_, _| {}).map_err(|failure| failure.kind)
    }

    #[test]
    fn a_greeting_and_an_answer_of_several_lines_are_ready() {
        let whole = b"220-mail.example\r\n220 ESMTP\r\n250-mail\r\n250 PIPELINING\r\n";
        assert!(outcome(whole).is_ok());
        for end in 0..whole.len() {
            assert_eq!(outcome(&whole[..end]), Err(Kind::ConnectionClosed), "{end}");
        }
        assert_eq!(outcome(b"421 too busy\r\n"), Err(Kind::NotAccepting));
        assert_eq!(outcome(b"554 no\r\n"), Err(Kind::NotAccepting));
        assert_eq!(outcome(b"220 x\r\n451 not now\r\n"), Err(Kind::NotAccepting));
        assert_eq!(outcome(b"SSH-2.0-x\r\n"), Err(Kind::WrongProtocol));
        assert_eq!(outcome(b"2xx\r\n"), Err(Kind::WrongProtocol));
    }
}
