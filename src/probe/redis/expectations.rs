//! What a target expects of a server, from AUTH to its key.

use std::io::{Read, Write};

use super::errors::{error_reply, is_unknown_command, unexpected};
use super::resp::{self, Reply};
use super::session::Session;
use crate::endpoint::redis::Role;
use crate::endpoint::{Address, Redis};
use crate::outcome::{Kind, NotReady, quoted};

/// What a session came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All is as the target expects it.
    Ready(String),
    /// The same, and QUIT was sent along: its answer tells whether it is Redis itself.
    ReadyAndQuit(String),
    /// PING is renamed, which QUIT has left no session to make up for.
    Renamed,
    /// The key belongs to another node of the cluster.
    Moved(Address),
}

impl<S: Read + Write> Session<S> {
    /// Whether the server is as the target expects it; what was proven. With `may_quit`, QUIT is sent along with
    /// the last command, if that is PING.
    pub(super) fn meet(&mut self, target: &Redis, role: Option<Role>, may_quit: bool) -> Result<Step, NotReady> {
        self.log_in(target.user.as_deref(), target.password.as_ref())?;
        if target.database != 0 {
            self.ok("SELECT", &["SELECT", &target.database.to_string()])?;
        }
        let expects_more = target.cluster || role.is_some() || target.key.is_some();
        if !expects_more && may_quit {
            return self.ping_and_quit();
        }
        let mut proof = self.ping()?;
        if target.cluster {
            self.expect_cluster()?;
            proof.push_str(", cluster formed");
        }
        if let Some(role) = role {
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

    /// PING, and QUIT in the same packet: Redis answers both.
    fn ping_and_quit(&mut self) -> Result<Step, NotReady> {
        let reply = self.send(&[resp::command(&["PING"]), resp::command(&["QUIT"])].concat())?;
        match reply {
            Reply::Simple(text) if text == b"PONG" => Ok(Step::ReadyAndQuit("PONG".to_owned())),
            Reply::Error(text) if is_unknown_command(&quoted(&text)) => Ok(Step::Renamed),
            Reply::Error(text) => Err(error_reply(&text)),
            other => Err(unexpected("PING", &other)),
        }
    }

    /// PING; where the server has renamed it away, another command that a server which loads its data, or has
    /// lost its master, refuses as well.
    pub(super) fn ping(&mut self) -> Result<String, NotReady> {
        match self.command(&["PING"])? {
            Reply::Simple(text) if text == b"PONG" => Ok("PONG".to_owned()),
            Reply::Error(text) if is_unknown_command(&quoted(&text)) => match self.ask(&["DBSIZE"])? {
                Reply::Integer(_) => Ok("DBSIZE is answered (the server has renamed PING)".to_owned()),
                other => Err(unexpected("DBSIZE", &other)),
            },
            Reply::Error(text) => Err(error_reply(&text)),
            other => Err(unexpected("PING", &other)),
        }
    }

    fn expect_cluster(&mut self) -> Result<(), NotReady> {
        match self.ask(&["CLUSTER", "INFO"])? {
            Reply::Bulk(Some(info)) if line_of(&info, "cluster_state") == Some("ok") => Ok(()),
            Reply::Bulk(Some(_)) => Err(NotReady::new(Kind::NotAccepting, "the cluster is not formed")),
            other => Err(unexpected("CLUSTER INFO", &other)),
        }
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
pub(super) fn expect_role(wanted: Role, reply: &Reply) -> Result<&'static str, NotReady> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Target;
    use crate::net::Budget;
    use crate::probe::scripted::{self, End, Scripted};

    fn target(url: &str) -> Redis {
        match scripted::target(url) {
            Target { endpoint: crate::endpoint::Endpoint::Redis(redis), .. } => *redis,
            other => panic!("{other:?}"),
        }
    }

    fn meet(url: &str, stream: Scripted, may_quit: bool) -> (Result<Step, NotReady>, Vec<u8>) {
        let target = target(url);
        let budget: Budget = scripted::budget();
        let mut session = Session::new(stream, &budget);
        let outcome = session.meet(&target, target.role, may_quit);
        (outcome, session.stream.written)
    }

    #[test]
    fn half_a_reply_is_not_ready() {
        for (url, answers) in [
            ("redis://db", &b"+PONG\r\n"[..]),
            ("redis://:pw@db/1", b"+OK\r\n+OK\r\n+PONG\r\n"),
            ("redis://db#role=master&key=k", b"+PONG\r\n*1\r\n$6\r\nmaster\r\n:1\r\n"),
            ("redis://db#cluster", b"+PONG\r\n$18\r\ncluster_state:ok\r\n\r\n"),
        ] {
            for step in [1, usize::MAX] {
                for end in 0..answers.len() {
                    let (outcome, _) = meet(url, Scripted::new(&answers[..end], step, End::Close), false);
                    assert!(outcome.is_err(), "{url} cut at {end}");
                }
                let (outcome, _) = meet(url, Scripted::new(answers, step, End::Close), false);
                assert!(matches!(outcome, Ok(Step::Ready(_))), "{url}: {outcome:?}");
            }
        }
    }

    #[test]
    fn quit_goes_along_with_the_last_ping_alone() {
        let quit = b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n";
        let (outcome, written) = meet("redis://db", Scripted::new(b"+PONG\r\n", 9, End::Silence), true);
        assert_eq!((outcome, written), (Ok(Step::ReadyAndQuit("PONG".to_owned())), quit.to_vec()));
        let unknown = b"-ERR unknown command 'PING', with args beginning with: \r\n:7\r\n";
        assert_eq!(meet("redis://db", Scripted::new(unknown, 9, End::Close), true).0, Ok(Step::Renamed));
        let says = "DBSIZE is answered (the server has renamed PING)".to_owned();
        assert_eq!(meet("redis://db", Scripted::new(unknown, 9, End::Close), false).0, Ok(Step::Ready(says)));
        let (_, written) = meet("redis://db#key=k", Scripted::new(b"+PONG\r\n:1\r\n", 9, End::Close), true);
        assert!(!written.windows(4).any(|word| word == b"QUIT"));
    }

    #[test]
    fn a_word_before_the_at_is_a_password_or_a_user_without_one() {
        let auth = |words: &[&str]| resp::command(words);
        let (_, written) = meet("redis://word@db", Scripted::new(b"+OK\r\n+PONG\r\n", 9, End::Close), false);
        assert!(written.starts_with(&auth(&["AUTH", "word"])));
        let answers = b"-WRONGPASS no\r\n+OK\r\n+PONG\r\n";
        let (outcome, written) = meet("redis://word@db", Scripted::new(answers, 9, End::Close), false);
        assert_eq!(outcome, Ok(Step::Ready("PONG".to_owned())));
        assert!(written.starts_with(&[auth(&["AUTH", "word"]), auth(&["AUTH", "word", ""])].concat()));
        let answers = b"-WRONGPASS no\r\n-WRONGPASS no\r\n";
        let (outcome, _) = meet("redis://word@db", Scripted::new(answers, 9, End::Close), false);
        assert_eq!(outcome.map_err(|failure| failure.kind), Err(Kind::CredentialsRejected));
    }

    #[test]
    fn a_moved_key_names_its_node() {
        assert!(matches!(moved(b"MOVED 1 127.0.0.1:7001"), Ok(Step::Moved(to)) if to.port == 7001));
        assert!(matches!(moved(b"MOVED 1 ::1:7001"), Ok(Step::Moved(to)) if to.host == "::1"));
        assert!(moved(b"MOVED 1").is_err());
        assert!(moved(b"MOVED 1 :70").is_err());
    }
}
