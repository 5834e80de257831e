//! Redis: AUTH, SELECT, PING and what the target expects.

pub mod resp;

use std::io::{Read, Write};

use super::answered_like;
use crate::config::Goal;
use crate::endpoint::Redis;
use crate::endpoint::redis::Role;
use crate::endpoint::{Address, Place};
use crate::net::tls::Tls;
use crate::net::tls_settings::Settings;
use crate::net::{self, Budget, Stream};
use crate::outcome::{Kind, NotReady, Outcome, Ready, excerpt, quoted};
use resp::Reply;

/// How often a key is followed to the node that holds its slot.
const MAX_REDIRECTS: u8 = 3;

pub(super) fn probe(target: &Redis, goal: Goal, tls: &Tls, budget: &Budget) -> Outcome {
    let Some(place) = target.places.first() else {
        return Err(NotReady::new(Kind::Forbidden, "sentinels are not asked yet"));
    };
    let mut place = place.clone();
    for _ in 0..=MAX_REDIRECTS {
        let mut session = Session::open(target, &place, tls, budget)?;
        let outcome = session.exchange(target);
        session.stream.close();
        match outcome? {
            Step::Ready(proof) => return Ok(Ready::new(proof)),
            // Another node tells nothing about whether this one is down.
            Step::Moved(_) if goal == Goal::Down => return Ok(Ready::new("PONG")),
            Step::Moved(to) => place = Place::Tcp(to),
        }
    }
    Err(NotReady::new(Kind::NotAccepting, "the cluster moves the key from node to node"))
}

/// What a session came to.
enum Step {
    Ready(String),
    /// The key belongs to another node of the cluster.
    Moved(Address),
}

struct Session<'a> {
    stream: Stream,
    buffer: Vec<u8>,
    budget: &'a Budget,
}

impl<'a> Session<'a> {
    fn open(target: &Redis, place: &Place, tls: &Tls, budget: &'a Budget) -> Result<Self, NotReady> {
        let connection = net::connect(place, budget)?;
        let stream = match (place, &target.tls) {
            (Place::Tcp(address), Some(own)) => tls.connect(connection, &Settings::new(&address.host, own), budget)?,
            _ => Stream::Plain(connection),
        };
        Ok(Self { stream, buffer: Vec::new(), budget })
    }

    fn exchange(&mut self, target: &Redis) -> Result<Step, NotReady> {
        let mut proof = String::from("PONG");
        if let Some(password) = &target.password {
            let words = match &target.user {
                Some(user) => vec![b"AUTH", user.as_bytes(), password.expose_bytes()],
                None => vec![b"AUTH", password.expose_bytes()],
            };
            self.ok("AUTH", &words)?;
        }
        if target.database != 0 {
            self.ok("SELECT", &["SELECT", &target.database.to_string()])?;
        }
        match self.ask(&["PING"])? {
            Reply::Simple(text) if text == b"PONG" => {}
            other => return Err(unexpected("PING", &other)),
        }
        if target.cluster {
            match self.ask(&["CLUSTER", "INFO"])? {
                Reply::Bulk(Some(info)) if line_of(&info, "cluster_state") == Some("ok") => {
                    proof.push_str(", cluster formed");
                }
                Reply::Bulk(Some(_)) => return Err(NotReady::new(Kind::NotAccepting, "the cluster is not formed")),
                other => return Err(unexpected("CLUSTER INFO", &other)),
            }
        }
        if let Some(role) = target.role {
            let reply = self.ask(&["ROLE"])?;
            proof.push_str(expect_role(role, &reply)?);
        }
        if let Some(key) = &target.key {
            match self.command(&["EXISTS", key])? {
                Reply::Integer(n) if n > 0 => proof.push_str(", the key is there"),
                Reply::Integer(_) => return Err(NotReady::new(Kind::Unexpected, "the expected key is not there yet")),
                Reply::Error(text) if text.starts_with(b"MOVED ") => return moved(&text),
                Reply::Error(text) => return Err(error_reply(&text)),
                other => return Err(unexpected("EXISTS", &other)),
            }
        }
        Ok(Step::Ready(proof))
    }

    fn ok<W: AsRef<[u8]>>(&mut self, name: &str, words: &[W]) -> Result<(), NotReady> {
        match self.ask(words)? {
            Reply::Simple(text) if text == b"OK" => Ok(()),
            other => Err(unexpected(name, &other)),
        }
    }

    /// Sends a command; an error reply is a failure.
    fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply, NotReady> {
        match self.command(words)? {
            Reply::Error(text) => Err(error_reply(&text)),
            other => Ok(other),
        }
    }

    fn command<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply, NotReady> {
        // A server that refuses us (protected mode, max clients) says so at once and closes: the
        // write may fail while the reason is there to be read.
        let written = self.stream.write_all(&resp::command(words)).and_then(|()| self.stream.flush());
        let reply = self.read_reply();
        match (written, reply) {
            (_, Ok(reply)) => Ok(reply),
            (Err(error), Err(_)) => Err(self.stream.failure(&error)),
            (Ok(()), Err(failure)) => Err(failure),
        }
    }

    fn read_reply(&mut self) -> Result<Reply, NotReady> {
        let mut chunk = [0; 4096];
        loop {
            if let Some((reply, used)) = resp::parse(&self.buffer).map_err(|_| self.wrong_protocol())? {
                self.buffer.drain(..used);
                return Ok(reply);
            }
            if self.budget.remaining().is_zero() {
                return Err(self.budget.timed_out());
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(net::closed()),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) => return Err(self.stream.failure(&error)),
            }
        }
    }

    fn wrong_protocol(&self) -> NotReady {
        NotReady::new(
            Kind::WrongProtocol,
            format!("the peer does not speak Redis' protocol: {}", answered_like(&self.buffer)),
        )
    }
}

fn line_of<'a>(info: &'a [u8], key: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(info).ok()?;
    text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'))
}

fn moved(text: &[u8]) -> Result<Step, NotReady> {
    let text = quoted(text);
    let place = text.split(' ').nth(2).and_then(|place| place.rsplit_once(':'));
    match place.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) if !host.is_empty() => Ok(Step::Moved(Address { host: host.to_owned(), port })),
        _ => Err(NotReady::new(Kind::ServerError, text)),
    }
}

/// The ROLE command: `master`, or `slave` with the state of its link as fourth element.
fn expect_role(wanted: Role, reply: &Reply) -> Result<&'static str, NotReady> {
    let Reply::Array(fields) = reply else {
        return Err(unexpected("ROLE", reply));
    };
    let text = |index: usize| match fields.get(index) {
        Some(Reply::Bulk(Some(text)) | Reply::Simple(text)) => text.as_slice(),
        _ => b"",
    };
    match (wanted, text(0)) {
        (Role::Master, b"master") => Ok(", role master"),
        (Role::Replica, b"slave") if text(3) == b"connected" => Ok(", role replica"),
        (Role::Replica, b"slave") => {
            let reason = format!("it is a replica whose link to its master is `{}`", quoted(text(3)));
            Err(NotReady::new(Kind::NotAccepting, reason))
        }
        (Role::Master, b"slave") => Err(NotReady::new(Kind::Unexpected, "it is a replica, not a master")),
        (Role::Replica, b"master") => Err(NotReady::new(Kind::Unexpected, "it is a master, not a replica")),
        (_, other) => Err(NotReady::new(Kind::Unexpected, format!("its role is `{}`", quoted(other)))),
    }
}

fn unexpected(command: &str, reply: &Reply) -> NotReady {
    NotReady::new(Kind::WrongProtocol, format!("an answer to {command} that Redis does not give ({})", reply.shape()))
}

/// What an error reply means: its first word is its code.
fn error_reply(text: &[u8]) -> NotReady {
    let text = quoted(text);
    let code = text.split(' ').next().unwrap_or_default();
    let (kind, way_out) = match code {
        "LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "ASK" => (Kind::NotAccepting, ""),
        "NOAUTH" => (Kind::CredentialsRejected, ": give a password in the URL or in REDISCLI_AUTH"),
        "WRONGPASS" => (Kind::CredentialsRejected, ": check user and password"),
        "NOPERM" => {
            (Kind::Forbidden, ": the user's ACL must allow the probe's commands (+ping, +select, +role, +exists)")
        }
        // The server's own advice is a page long: what matters comes first.
        "DENIED" => {
            let advice = "set a password, or bind the server to the address that is used";
            return NotReady::new(Kind::Forbidden, format!("DENIED (protected mode): {advice}. {text}"));
        }
        _ if text.contains("max number of clients") || text.contains("max number of connections") => {
            (Kind::TooManyConnections, "")
        }
        _ if text.contains("without any password configured") => {
            (Kind::CredentialsRejected, ": the server has no password; leave it out of the URL")
        }
        _ if text.contains("wrong number of arguments for 'auth'") => {
            (Kind::CredentialsRejected, ": this server knows no ACL users; leave the user out of the URL")
        }
        _ if text.contains("invalid password") => (Kind::CredentialsRejected, ": check the password"),
        _ if text.contains("DB index") || text.contains("SELECT is not allowed") => {
            (Kind::Forbidden, ": the URL's database number is not one of this server's")
        }
        _ if text.contains("cluster support disabled") => (Kind::Forbidden, ": it is not a cluster's node"),
        _ => (Kind::ServerError, ""),
    };
    NotReady::new(kind, format!("{}{way_out}", excerpt(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Permanence;

    #[test]
    fn states_pass_and_refusals_stay() {
        for (text, kind, permanence) in [
            ("LOADING Redis is loading the dataset in memory", Kind::NotAccepting, Permanence::Pending),
            ("MASTERDOWN Link with MASTER is down", Kind::NotAccepting, Permanence::Pending),
            ("BUSY Redis is busy running a script.", Kind::NotAccepting, Permanence::Pending),
            ("TRYAGAIN Multiple keys request", Kind::NotAccepting, Permanence::Pending),
            ("CLUSTERDOWN The cluster is down", Kind::NotAccepting, Permanence::Pending),
            ("ERR max number of clients reached", Kind::TooManyConnections, Permanence::Pending),
            ("NOAUTH Authentication required.", Kind::CredentialsRejected, Permanence::Permanent),
            ("WRONGPASS invalid username-password pair", Kind::CredentialsRejected, Permanence::Permanent),
            ("NOPERM this user has no permissions", Kind::Forbidden, Permanence::Permanent),
            ("DENIED Redis is running in protected mode", Kind::Forbidden, Permanence::Permanent),
            ("ERR DB index is out of range", Kind::Forbidden, Permanence::Permanent),
            ("ERR something else", Kind::ServerError, Permanence::Pending),
        ] {
            let failure = error_reply(text.as_bytes());
            assert_eq!((failure.kind, failure.permanence()), (kind, permanence), "{text}");
            assert!(failure.reason.contains(text));
        }
    }

    #[test]
    fn a_moved_key_names_its_node() {
        assert!(matches!(moved(b"MOVED 1 127.0.0.1:7001"), Ok(Step::Moved(to)) if to.port == 7001));
        assert!(matches!(moved(b"MOVED 1 ::1:7001"), Ok(Step::Moved(to)) if to.host == "::1"));
        assert!(moved(b"MOVED 1").is_err());
        assert!(moved(b"MOVED 1 :70").is_err());
    }
}
