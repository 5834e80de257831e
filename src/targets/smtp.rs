//! SMTP: the greeting and EHLO (RFC 5321). No mail is sent, and nobody logs in.

use std::net::IpAddr;

use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::net::{Attempt, Place, StepKind, TimedStream};
use crate::targets::shared::kind::{Form, Probe, Scheme, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::targets::shared::talk::{Talk, line};
use crate::text::excerpt;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready, Stage};
use crate::wait::policy::Goal;

/// The port of SMTP over TLS.
const TLS_PORT: u16 = 465;

/// SMTP, and the submission of mail.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[
        Scheme::new(&["smtp", "smtp+plain", "mail"]).port(25),
        Scheme::new(&["smtps", "smtp+ssl", "submissions"]).port(TLS_PORT).tls(),
        Scheme::new(&["submission", "smtp+tls", "smtp+starttls"]).port(587),
    ],
    forms: &[Form { url: "smtp://HOST", ready: "the server greets and answers EHLO", keys: &[] }],
    takes_socket: true,
    read: |written, reading| Ok(Box::new(Smtp::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

/// A mail server, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Smtp {
    server: Server,
}

impl Smtp {
    fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let (mut server, _, query) = Server::from_url(written)?;
        // By its number, the port is that of TLS: Nodemailer and Symfony take it for that.
        if server.places.iter().all(|place| matches!(place, Place::Tcp(address) if address.port == TLS_PORT)) {
            server.encryption = Encryption::Always;
        }
        for (key, value) in query {
            // Django's `tls=True` is STARTTLS, which is not begun.
            if key == "tls" || !server.take_tls_parameter(&key, &value) {
                reading.ignored.add(&key);
            }
        }
        server.expect(reading)?;
        Ok(Self { server })
    }
}

impl Probe for Smtp {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| {
            self.server.talk_with(place, PROTOCOL, tls, attempt, |talk| {
                let name = literal(talk.stream().local_ip());
                converse(talk, &name)
            })
        })
    }
}

const PROTOCOL: &str = "SMTP";

/// Our name: an address literal (RFC 5321, section 4.1.3), as whoever has no name of its own says it.
fn literal(ip: Option<IpAddr>) -> String {
    match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => format!("[{ip}]"),
        Some(IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        None => "[127.0.0.1]".to_owned(),
    }
}

/// Talks with the server as `name`.
pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, name: &str) -> Outcome {
    let greeting = reply(talk, Stage::Greeting)?;
    talk.attempt().steps().note(StepKind::Advertised, || greeting.clone());
    let outcome = match greeting.as_bytes() {
        [b'2', ..] => {
            talk.send(format!("EHLO {name}\r\n").as_bytes());
            reply(talk, Stage::Exchanging)
                .and_then(|answer| judge_reply(&answer, "it greets and answers EHLO; no login is tried"))
        }
        _ => judge_reply(&greeting, ""),
    };
    talk.send(b"QUIT\r\n");
    if outcome.is_ok() {
        // Its good-bye: a server may note down whoever does not wait for it.
        talk.hurry();
        drop(reply(talk, Stage::Exchanging));
    }
    outcome
}

/// A reply of one line or more; its last line. Once its first line has come, the rest is awaited in `stage`.
fn reply<S: TimedStream>(talk: &mut Talk<'_, S>, stage: Stage) -> Result<String, NotReady> {
    talk.attempt().enter(Stage::Exchanging);
    loop {
        let line = talk.receive(|bytes| line(bytes, &["2", "4", "5"]))?;
        let (code, rest) = line.split_at_checked(3).ok_or_else(|| talk.out_of_order())?;
        if !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(talk.out_of_order());
        }
        if !rest.starts_with('-') {
            return Ok(line);
        }
        talk.attempt().enter(stage);
    }
}

/// RFC 5321, section 4.2: 2 is yes, 4 is not now, 5 is no; 421 and 554 are said by servers that start or stop too.
fn judge_reply(reply: &str, proof: &str) -> Outcome {
    match reply.as_bytes() {
        [b'2', ..] => Ok(Ready::new(proof)),
        _ => Err(NotReady::new(Kind::NotAccepting, excerpt(reply))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::{End, Scripted, attempt, talked};

    fn outcome(answer: &[u8]) -> Result<Ready, Kind> {
        let (outcome, _) = talked(answer, PROTOCOL, |talk| converse(talk, "[127.0.0.1]"));
        outcome.map_err(|failure| failure.kind)
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

    #[test]
    fn it_says_who_it_is_by_its_address_and_only_after_the_whole_greeting() {
        assert_eq!(literal(Some([192, 0, 2, 1].into())), "[192.0.2.1]");
        assert_eq!(literal(Some("::ffff:192.0.2.1".parse().unwrap())), "[192.0.2.1]");
        assert_eq!(literal(Some("2001:db8::1".parse().unwrap())), "[IPv6:2001:db8::1]");
        let attempt = attempt();
        let mut talk = Talk::new(Scripted::new(b"220-wait\r\n", 1, End::Silence), PROTOCOL, &attempt);
        let failure = converse(&mut talk, "[192.0.2.1]").unwrap_err();
        assert!(failure.reason.contains("postscreen"), "{failure}");
        assert_eq!(talk.into_stream().written, b"");
    }
}
