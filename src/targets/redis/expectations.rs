//! What a target expects of a server, from AUTH to its key.

use crate::net::{Address, StepKind, TimedStream};
use crate::targets::Redis;
use crate::targets::redis::Role;
use crate::targets::redis::errors::{error_reply, is_unknown_command, unexpected};
use crate::targets::redis::resp::{self, Reply};
use crate::targets::redis::session::RedisSession;
use crate::targets::shared::advertised::Advertised;
use crate::text::{excerpt, peer_excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady};

/// The outcome of a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// All is as the target expects it.
    Ready {
        proof: String,
        /// Whether QUIT was sent along: its answer tells whether it is Redis itself.
        has_quit: bool,
    },
    /// PING is renamed, which QUIT has left no session to make up for.
    Renamed,
    /// The key belongs to another node of the cluster.
    Moved(Address),
}

impl<S: TimedStream> RedisSession<'_, S> {
    /// Whether the server is as the target expects it; what was proven. With `may_quit`, QUIT is sent along with
    /// the last command, if that is PING.
    pub(crate) fn meet(&mut self, target: &Redis, may_quit: bool) -> Result<Met, NotReady> {
        let (user, password) = (&target.server.user, &target.server.password);
        self.log_in(user.as_deref(), password.as_ref())?;
        self.talk.attempt().steps().note(StepKind::Login, || match (user, password) {
            (None, None) => "without a login".to_owned(),
            (None, Some(_)) => "by AUTH with a password alone".to_owned(),
            (Some(_), None) => "by AUTH with one word".to_owned(),
            (Some(user), Some(_)) => format!("by AUTH as {user}"),
        });
        if target.database != 0 {
            self.select(target.database)?;
        }
        let role = target.wanted_role();
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
            let reply = self.command(&["ROLE"])?;
            proof.push_str(expect_role(role, &reply)?);
        }
        if let Some(key) = &target.key {
            let command = if target.value.is_some() { "GET" } else { "EXISTS" };
            let missing = |what: &str| Err(NotReady::new(Kind::Unexpected, what));
            match (self.command(&[command, key])?, &target.value) {
                (Reply::Integer(n), None) if n > 0 => proof.push_str(", the key is there"),
                (Reply::Bulk(Some(text)), Some(value)) if text == value.as_bytes() => {
                    proof.push_str(", the key has its value");
                }
                (Reply::Integer(_), None) | (Reply::Bulk(None), Some(_)) => {
                    return missing("the expected key is not there yet");
                }
                (Reply::Bulk(Some(_)) | Reply::LongBulk, Some(_)) => {
                    return missing("the key is there, and has another value");
                }
                (Reply::Error(text), _) if text.starts_with(b"MOVED ") => return moved(&text),
                (other, _) => return Err(unexpected(command, &other)),
            }
        }
        Ok(Met::Ready { proof, has_quit: false })
    }

    fn select(&mut self, database: u32) -> Result<(), NotReady> {
        match self.command(&["SELECT", &database.to_string()])? {
            Reply::Simple(text) if text == b"OK" => Ok(()),
            Reply::Error(text) if is_unknown_command(&peer_text(&text)) => {
                let failure = error_reply(&text);
                let role = self.command(&["ROLE"]);
                let is_sentinel = matches!(role, Ok(Reply::Array(fields)) if string_at(&fields, 0) == b"sentinel");
                let advice = "a sentinel has no databases; leave the number out, or write redis+sentinel://HOST/MASTER";
                let reason = if is_sentinel { format!("{}: {advice}", peer_excerpt(&text)) } else { failure.reason };
                Err(NotReady { reason, ..failure })
            }
            other => Err(unexpected("SELECT", &other)),
        }
    }

    /// The server's name and version (HELLO, since Redis 6), for whoever wants to know. QUIT goes along.
    pub(crate) fn introduce(&mut self) {
        let asked = self.send(&[resp::command(&["HELLO"]), resp::command(&["QUIT"])].concat());
        let Ok(Reply::Array(fields)) = asked else { return };
        let pairs = fields.chunks_exact(2).filter_map(|pair| match pair {
            [Reply::Bulk(Some(name)), Reply::Bulk(Some(value))] => Some([name.as_slice(), value].join(&b' ')),
            _ => None,
        });
        let told = peer_text(&pairs.collect::<Vec<_>>().join(&b", "[..]));
        self.talk.attempt().steps().note(StepKind::Advertised, || told);
    }

    /// PING, and QUIT in the same packet: Redis answers both.
    fn ping_and_quit(&mut self) -> Result<Met, NotReady> {
        let reply = self.send(&[resp::command(&["PING"]), resp::command(&["QUIT"])].concat())?;
        match reply {
            Reply::Simple(text) if text == b"PONG" => Ok(Met::Ready { proof: "PONG".to_owned(), has_quit: true }),
            Reply::Error(text) if is_unknown_command(&peer_text(&text)) => Ok(Met::Renamed),
            other => Err(unexpected("PING", &other)),
        }
    }

    /// PING; where the server has renamed it away, another command that a server which loads its data, or has
    /// lost its master, refuses as well.
    pub(crate) fn ping(&mut self) -> Result<String, NotReady> {
        match self.command(&["PING"])? {
            Reply::Simple(text) if text == b"PONG" => Ok("PONG".to_owned()),
            Reply::Error(text) if is_unknown_command(&peer_text(&text)) => match self.command(&["DBSIZE"])? {
                Reply::Integer(_) => Ok("DBSIZE is answered (the server has renamed PING)".to_owned()),
                other => Err(unexpected("DBSIZE", &other)),
            },
            other => Err(unexpected("PING", &other)),
        }
    }

    /// The masters of all slots, where clients of a cluster go; none where the server does not let this user ask, or has more
    /// to say than is read. `asked` is the host that the server names by no name (Redis 7).
    pub(crate) fn masters(&mut self, asked: &str) -> Result<Vec<Advertised>, NotReady> {
        let ranges = match self.command(&["CLUSTER", "SLOTS"]) {
            Ok(Reply::Array(ranges)) => ranges,
            Err(failure) if failure.kind != Kind::WrongProtocol => return Err(failure),
            _ => return Ok(Vec::new()),
        };
        let mut masters: Vec<Advertised> = Vec::new();
        for range in &ranges {
            let Reply::Array(range) = range else { continue };
            let [Reply::Integer(first), Reply::Integer(last), Reply::Array(master), ..] = &range[..] else { continue };
            let Some(Reply::Integer(port)) = master.get(1) else { continue };
            let host = Some(string_at(master, 0)).filter(|host| !host.is_empty() && *host != b"?");
            let whose = format!("the master of slots {first}-{last}");
            let found = Advertised::new(whose, host.unwrap_or(asked.as_bytes()), *port);
            if !masters.iter().any(|other| (&other.host, other.port) == (&found.host, found.port)) {
                masters.push(found);
            }
        }
        Ok(masters)
    }

    fn expect_cluster(&mut self) -> Result<(), NotReady> {
        match self.command(&["CLUSTER", "INFO"])? {
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

fn moved(text: &[u8]) -> Result<Met, NotReady> {
    let text = peer_text(text);
    let place = text.split(' ').nth(2).and_then(|place| place.rsplit_once(':'));
    match place.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        // An empty host is the one that was asked (Redis 7, `cluster-preferred-endpoint-type`).
        Some((host, port @ 1..)) => Ok(Met::Moved(Address { host: host.to_owned(), port })),
        _ => Err(NotReady::new(Kind::ServerError, excerpt(&text))),
    }
}

fn string_at(fields: &[Reply], index: usize) -> &[u8] {
    fields.get(index).and_then(Reply::string).unwrap_or_default()
}

/// The ROLE command: `master`, or `slave` with the state of its link as fourth element.
fn expect_role(wanted: Role, reply: &Reply) -> Result<&'static str, NotReady> {
    let Reply::Array(fields) = reply else {
        return Err(unexpected("ROLE", reply));
    };
    let link = string_at(fields, 3);
    match (wanted, string_at(fields, 0)) {
        (Role::Master, b"master") => Ok(", role master"),
        (Role::Replica, b"slave") if link == b"connected" => Ok(", role replica"),
        (Role::Replica, b"slave") => {
            let reason = format!("it is a replica whose link to its master is `{}`", peer_excerpt(link));
            Err(NotReady::new(Kind::NotAccepting, reason))
        }
        (Role::Master, b"slave") => Err(NotReady::new(Kind::Unexpected, "it is a replica, not a master")),
        (Role::Replica, b"master") => Err(NotReady::new(Kind::Unexpected, "it is a master, not a replica")),
        (_, other) => Err(NotReady::new(Kind::Unexpected, format!("its role is `{}`", peer_excerpt(other)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Attempt;
    use crate::targets::scripted::{self, End, Scripted};

    #[test]
    fn a_key_may_be_at_another_port_of_the_same_host() {
        for (text, host, port) in [
            ("MOVED 3999 10.0.0.2:6381", "10.0.0.2", 6381),
            ("MOVED 3999 ::1:6381", "::1", 6381),
            // Redis 7: the endpoint that the client knows already.
            ("MOVED 3999 :6381", "", 6381),
        ] {
            let to = Address { host: host.to_owned(), port };
            assert_eq!(moved(text.as_bytes()), Ok(Met::Moved(to)), "{text}");
        }
        for text in ["MOVED 3999", "MOVED 3999 x", "MOVED 3999 :0", "MOVED 3999 :x"] {
            assert!(moved(text.as_bytes()).is_err(), "{text}");
        }
    }

    fn meet(url: &str, stream: Scripted, may_quit: bool) -> (Result<Met, NotReady>, Vec<u8>) {
        let target = scripted::of_kind::<Redis>(url);
        let attempt: Attempt = scripted::attempt();
        let mut session = RedisSession::new(stream, &attempt);
        let outcome = session.meet(&target, may_quit);
        (outcome, session.talk.into_stream().written)
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
                assert!(matches!(outcome, Ok(Met::Ready { .. })), "{url}: {outcome:?}");
            }
        }
    }

    #[test]
    fn a_key_may_have_to_hold_a_text() {
        for (url, answer, kind) in [
            ("redis://db#key=a=1", &b"$1\r\n1\r\n"[..], None),
            ("redis://db#key=a%3Db=c=d", b"$3\r\nc=d\r\n", None),
            ("redis://db#key=a=", b"$0\r\n\r\n", None),
            ("redis://db#key=a=1", b"$2\r\n10\r\n", Some(Kind::Unexpected)),
            ("redis://db#key=a=1", b"$-1\r\n", Some(Kind::Unexpected)),
            ("redis://db#key=a=1", b"$100000\r\nlong", Some(Kind::Unexpected)),
            ("redis://db#key=a=1", b"-WRONGTYPE Operation against a key\r\n", Some(Kind::ServerError)),
        ] {
            let stream = Scripted::new(&[&b"+PONG\r\n"[..], answer].concat(), 9, End::Close);
            let (outcome, written) = meet(url, stream, true);
            assert_eq!(outcome.err().map(|failure| failure.kind), kind, "{url}");
            let key: &[&str] = if url.contains("%3D") { &["GET", "a=b"] } else { &["GET", "a"] };
            assert!(written.ends_with(&resp::command(key)), "{url}");
        }
    }

    #[test]
    fn a_scheme_that_says_cluster_means_a_formed_one() {
        for url in [
            "redis-cluster://a,b",
            "redis+cluster://a",
            "rediss-cluster://a",
            "valkey-cluster://a",
            "redis://a#cluster",
        ] {
            let formed = Scripted::new(b"+PONG\r\n$18\r\ncluster_state:ok\r\n\r\n", 9, End::Close);
            assert!(matches!(meet(url, formed, true).0, Ok(Met::Ready { .. })), "{url}");
            let broken = Scripted::new(b"+PONG\r\n$20\r\ncluster_state:fail\r\n\r\n", 9, End::Close);
            let failure = meet(url, broken, true).0.unwrap_err();
            assert_eq!(failure.kind, Kind::NotAccepting, "{url}");
        }
        assert!(!scripted::of_kind::<Redis>("redis://a").cluster);
    }

    #[test]
    fn quit_goes_along_with_the_last_ping_alone() {
        let quit = b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n";
        let (outcome, written) = meet("redis://db", Scripted::new(b"+PONG\r\n", 9, End::Silence), true);
        assert_eq!((outcome, written), (Ok(Met::Ready { proof: "PONG".to_owned(), has_quit: true }), quit.to_vec()));
        let unknown = b"-ERR unknown command 'PING', with args beginning with: \r\n:7\r\n";
        assert_eq!(meet("redis://db", Scripted::new(unknown, 9, End::Close), true).0, Ok(Met::Renamed));
        let says = "DBSIZE is answered (the server has renamed PING)".to_owned();
        assert_eq!(
            meet("redis://db", Scripted::new(unknown, 9, End::Close), false).0,
            Ok(Met::Ready { proof: says, has_quit: false })
        );
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
        assert_eq!(outcome, Ok(Met::Ready { proof: "PONG".to_owned(), has_quit: false }));
        assert!(written.starts_with(&[auth(&["AUTH", "word"]), auth(&["AUTH", "word", ""])].concat()));
        let answers = b"-WRONGPASS no\r\n-WRONGPASS no\r\n";
        let (outcome, _) = meet("redis://word@db", Scripted::new(answers, 9, End::Close), false);
        assert_eq!(outcome.map_err(|failure| failure.kind), Err(Kind::CredentialsRejected));
    }
}
