//! What the fuzz targets, the benchmarks and the tests of their corpora ask of the crate: no promise to anybody else.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::time::Duration;

use crate::net::resolve::files::{Conf, in_hosts, literal};
use crate::net::resolve::wire::{DnsReply, Question, RecordType};
use crate::net::{Attempt, TimedStream};
use crate::targets::amqp::Amqp;
use crate::targets::grpc::Grpc;
use crate::targets::kafka::Kafka;
use crate::targets::ldap::Ldap;
use crate::targets::mongodb::{Mongodb, bson};
use crate::targets::mqtt::Mqtt;
use crate::targets::mysql::Mysql;
use crate::targets::nats::Nats;
use crate::targets::postgres::passfile;
use crate::targets::redis::resp;
use crate::targets::shared::lookup::Lookup;
use crate::targets::shared::probe::without_secrets;
use crate::targets::shared::talk::Talk;
use crate::targets::{Http, HttpDefaults, Postgres, Redis, Surroundings, Target, TargetError};
use crate::targets::{amqp, grpc, http, kafka, ldap, memcached, mongodb, mqtt, mysql, nats, postgres, redis, smtp};
use crate::wait::backoff::{Backoff, Pauses};
use crate::wait::deadline::Deadline;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use crate::wait::policy::Policy;
use crate::wait::tracker::{Overlap, Reach, Rules, Tracker};

/// The most that is read of an HTTP answer.
pub const MAX_READ: usize = http::probe::MAX_READ;

fn parsed(word: &str, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Target, TargetError> {
    Target::parse(word, &Surroundings { lookup: Lookup::without_files(env), http: &HttpDefaults::default() })
}

/// The text that is shown of a target, or of a word that is none.
pub fn shown(word: &str, env: &dyn Fn(&str) -> Option<OsString>) -> String {
    parsed(word, env).map_or_else(|error| error.to_string(), |target| target.to_string())
}

/// The words about a conversation with a peer that is nothing but a stream of bytes: the proof, or why the target is
/// not ready. None for a word that is no target, or a kind without a conversation of its own.
pub fn told<S>(word: &str, stream: S, time: Duration) -> Option<Result<String, String>>
where
    S: Read + Write + Send + Sync + 'static,
{
    let target = parsed(word, &|_| None).ok()?;
    let attempt = Attempt::new(time);
    let outcome = without_secrets(converse(&target, stream, &attempt)?, &target);
    Some(outcome.map(|ready| ready.proof).map_err(|failure| failure.reason))
}

/// A stream that keeps no time.
struct Untimed<S>(S);

impl<S: Read> Read for Untimed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for Untimed<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> TimedStream for Untimed<S> {}

/// The outcome of a conversation without TLS. None for a kind that has none of its own.
fn converse<S: Read + Write + Send + Sync + 'static>(target: &Target, stream: S, attempt: &Attempt) -> Option<Outcome> {
    macro_rules! of_kind {
        ($($kind:ty => $converse:expr,)*) => {
            $(if let Some(target) = target.as_kind::<$kind>() {
                return Some($converse(target));
            })*
        };
    }
    of_kind! {
        Http => |target| http::visit::visit_once(target, stream, attempt),
    }
    let stream = Untimed(stream);
    of_kind! {
        Postgres => |target| postgres::probe::converse(target, stream, attempt),
        Redis => |target| redis::probe::converse(target, stream, attempt),
    }
    let mut talk = Talk::new(stream, "its protocol", attempt);
    of_kind! {
        Mysql => |target| mysql::converse(talk, target),
        Amqp => |target| amqp::converse(&mut talk, target),
        Mongodb => |target| mongodb::converse(&mut talk, target),
        Kafka => |target| kafka::converse(&mut talk, target).map(|found| Ready::new(found.proof)),
        Mqtt => |target| mqtt::converse(&mut talk, target),
        Ldap => |target| ldap::converse(&mut talk, target),
        Grpc => |target| grpc::converse(&mut talk, target, "host"),
        Nats => |target| nats::converse(&mut talk, target),
        memcached::Memcached => |target| memcached::converse(&mut talk, target),
        smtp::Smtp => |_| smtp::converse(&mut talk, "[127.0.0.1]"),
    }
    None
}

/// Reads one message after the other; each makes progress and stays within the bytes.
fn each_message<T, E>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<Option<(T, usize)>, E>, look: impl Fn(T)) {
    let mut rest = bytes;
    while let Ok(Some((message, used))) = decode(rest) {
        assert!(used > 0 && used <= rest.len());
        rest = &rest[used..];
        look(message);
    }
}

/// Bytes for an AMQP probe.
pub fn amqp_frames(bytes: &[u8]) {
    use amqp::wire;
    let look = |arguments: &[u8]| {
        drop((wire::property(arguments, "product"), wire::mechanisms(arguments), wire::limits(arguments)));
        drop((wire::close_reason(arguments), wire::short_text(arguments)));
    };
    each_message(bytes, wire::frame, |frame| {
        if let wire::Frame::Method(_, arguments) = frame {
            look(&arguments);
        }
    });
    look(bytes);
}

/// Bytes for a gRPC probe.
pub fn grpc_http2(bytes: &[u8]) {
    use grpc::http2;
    each_message(bytes, http2::frame, |frame| drop(http2::fields(&frame.payload)));
    drop(http2::fields(bytes));
}

/// Bytes for a Kafka probe.
pub fn kafka_wire(bytes: &[u8]) {
    use kafka::wire;
    let look = |body: &[u8]| {
        let _ = wire::versions(body, 3);
        drop((wire::metadata(body), wire::handshake(body), wire::authenticated(body)));
    };
    if let Ok(Some((body, used))) = wire::answer(bytes, 1) {
        assert!(used > body.len() && used <= bytes.len());
        look(&body);
    }
    look(bytes);
}

/// Bytes for a MongoDB probe.
pub fn mongodb_bson(bytes: &[u8]) {
    each_message(bytes, bson::message, |document| bson::elements(&document).for_each(drop));
    bson::elements(bytes).for_each(drop);
}

/// Bytes for a MySQL probe.
pub fn mysql_wire(bytes: &[u8]) {
    use mysql::wire;
    let look = |payload: &[u8]| {
        drop((wire::greeting(payload), wire::error(payload), wire::auth_switch(payload)));
        let _ = (wire::column_count(payload), wire::column_type(payload), wire::is_end(payload));
        let _ = wire::holds(payload, payload.first().copied().unwrap_or(0));
    };
    each_message(bytes, |bytes| wire::packet(bytes, wire::MAX_ROW), |packet| look(&packet.payload));
    look(bytes);
}

/// Bytes for a Postgres probe.
pub fn postgres_wire(bytes: &[u8]) {
    use postgres::wire;
    let mut rest = bytes;
    while let Ok(Some((_, length))) = wire::decode(rest) {
        // Only of a message that is too long to be kept, its end is not there yet.
        assert!(length > 0 && (length <= rest.len() || length > wire::MAX_MESSAGE));
        rest = rest.get(length..).unwrap_or_default();
    }
    drop(wire::old_error(bytes));
}

/// Bytes for a Redis probe.
pub fn redis_resp(bytes: &[u8]) {
    each_message(bytes, resp::parse, drop);
}

/// Bytes of a password file.
pub fn password_file(bytes: &[u8]) {
    drop(passfile::password(bytes, passfile::PassfileKey { host: "db", port: 5432, database: "app", user: "me" }));
}

/// Bytes of name servers, hosts files and resolv.conf: no reply has more addresses than fit into it, and what is
/// no reply to the question has none.
pub fn name_service(bytes: &[u8]) {
    let id = u16::from_be_bytes([bytes.first().copied().unwrap_or(0), bytes.get(1).copied().unwrap_or(0)]);
    for family in [RecordType::A, RecordType::Aaaa] {
        let Some(question) = Question::new(id, "db.example", family) else { continue };
        // As it is, and as what follows the head of a reply.
        let mut reply = question.to_bytes();
        reply[2..4].copy_from_slice(&[0x81, 0x80]);
        reply[7] = 3;
        reply.extend_from_slice(bytes);
        for message in [bytes, &reply] {
            if let Some(DnsReply::Records(found)) = question.reply(message) {
                assert!(found.len() * 14 <= message.len(), "{} addresses", found.len());
                let other = Question::new(id ^ 1, "db.example", family);
                assert!(other.is_some_and(|other| other.reply(message).is_none()));
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
}

/// The hundredth pause between refusals.
pub fn pause(jitter: f64) -> Duration {
    Pauses::Default.pause(100, true, jitter)
}

/// The behaviour of a backend that many replicas wait for.
#[derive(Debug, Clone, Copy)]
pub enum Backend {
    /// Nothing listens.
    Refuses,
    /// Connections are taken, and nothing is said.
    IsSilent,
    /// HTTP 503
    Answers503,
}

/// A waiting gate, in simulated time.
#[derive(Debug)]
pub struct Replica(Tracker);

impl Replica {
    /// A gate that pauses by default, or for `interval`.
    pub fn new(interval: Option<Duration>) -> Self {
        let slow = |interval| Pauses::Configured(Backoff { initial: interval, factor: 1.02, cap: interval });
        Self(Tracker::new(Rules {
            policy: Policy {
                pauses: interval.map_or(Pauses::Default, slow),
                timeout: Deadline::Never,
                ..Policy::default()
            },
            own_deadline: Deadline::Never,
            overlap: Overlap::Allowed,
            is_optional: false,
        }))
    }

    /// Does what is due `now`: whether an attempt begins. An answer comes after `round_trip`; `jitter` gives numbers from
    /// -1 to 1.
    pub fn turn(
        &mut self,
        now: Duration,
        backend: Backend,
        round_trip: Duration,
        mut jitter: impl FnMut() -> f64,
    ) -> bool {
        let Self(tracker) = self;
        for (attempt, _) in tracker.hanging(now) {
            tracker.report_hanging(attempt, NotReady::new(Kind::TimedOut, "silent"));
        }
        if !tracker.is_due(now) {
            return false;
        }
        tracker.make_way();
        let attempt = tracker.begin(now, jitter()).attempt;
        let kind = match backend {
            Backend::IsSilent => {
                tracker.learn(|_| Reach::Connected);
                return true;
            }
            Backend::Refuses => Kind::ConnectionRefused,
            Backend::Answers503 => Kind::HttpStatus(503),
        };
        tracker.finish(attempt, now + round_trip, Err(NotReady::new(kind, "not yet")), jitter());
        true
    }

    /// When the next turn is.
    pub fn wakes_at(&self) -> Option<Duration> {
        self.0.wakes_at(true)
    }
}
