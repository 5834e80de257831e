//! Peers that do everything wrong: none may make the gate late, large, wrong or panic.

#![cfg_attr(
    not(feature = "tls"),
    allow(clippy::trivially_copy_pass_by_ref, clippy::clone_on_copy, reason = "without TLS its acceptor is `()`")
)]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::hung_mount::HungMount;
use crate::support::peer::Peer;
use crate::support::{Finished, Run, directory, eventually, executable};

/// The deadline of every cell, and how much later than that it may end.
const DEADLINE: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(100);
/// The most memory of a run, in KiB.
const MAX_MEMORY: u64 = 16 << 10;
const CELLS_AT_ONCE: usize = 12;
const TWO_GIB: u32 = 0x7fff_ffff;

/// What the gate takes the peer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Tcp,
    Http,
    Redis,
    Postgres,
    #[cfg(feature = "mysql")]
    Mysql,
    #[cfg(feature = "amqp")]
    Amqp,
    #[cfg(feature = "mongodb")]
    Mongodb,
    #[cfg(feature = "kafka")]
    Kafka,
    /// A listener that wants a login, and gets none.
    #[cfg(feature = "kafka")]
    KafkaLogin,
    #[cfg(feature = "grpc")]
    Grpc,
    Nats,
    Memcached,
    Smtp,
    /// Nothing but the handshake.
    #[cfg(feature = "tls")]
    Tls,
}

/// Where the hostility begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Plain,
    /// Instead of the TLS handshake.
    #[cfg(feature = "tls")]
    BeforeTls,
    /// After a TLS handshake in order.
    #[cfg(feature = "tls")]
    WithinTls,
}

#[derive(Debug, Clone, Copy)]
struct Protocol {
    name: &'static str,
    wire: Wire,
    layer: Layer,
    /// Around the port.
    url: (&'static str, &'static str),
}

impl Protocol {
    /// Whether the server says the first word, where the hostility begins.
    fn begins_with_the_server(&self) -> bool {
        match self.wire {
            // In TLS the client goes on where the server has said who it is.
            #[cfg(feature = "mysql")]
            Wire::Mysql => self.layer == Layer::Plain,
            Wire::Nats => self.layer == Layer::Plain,
            #[cfg(feature = "tls")]
            Wire::Smtp => self.layer != Layer::BeforeTls,
            #[cfg(not(feature = "tls"))]
            Wire::Smtp => true,
            _ => false,
        }
    }
}

const fn protocol(name: &'static str, wire: Wire, layer: Layer, url: (&'static str, &'static str)) -> Protocol {
    Protocol { name, wire, layer, url }
}

const PROTOCOLS: &[Protocol] = &[
    protocol("tcp", Wire::Tcp, Layer::Plain, ("tcp://127.0.0.1:", "")),
    protocol("http", Wire::Http, Layer::Plain, ("http://127.0.0.1:", "/#status=200&body=ok")),
    protocol("redis", Wire::Redis, Layer::Plain, ("redis://127.0.0.1:", "/#key=k")),
    protocol("postgres", Wire::Postgres, Layer::Plain, ("postgres://u:p@127.0.0.1:", "/d?sslmode=disable")),
    #[cfg(feature = "mysql")]
    protocol("mysql", Wire::Mysql, Layer::Plain, ("mysql://u:p@127.0.0.1:", "/d?ssl-mode=DISABLED")),
    #[cfg(feature = "amqp")]
    protocol("amqp", Wire::Amqp, Layer::Plain, ("amqp://u:p@127.0.0.1:", "/v#queue=q")),
    #[cfg(feature = "mongodb")]
    protocol("mongodb", Wire::Mongodb, Layer::Plain, ("mongodb://127.0.0.1:", "/?replicaSet=rs0")),
    #[cfg(feature = "kafka")]
    protocol("kafka", Wire::Kafka, Layer::Plain, ("kafka://127.0.0.1:", "")),
    #[cfg(feature = "kafka")]
    protocol("kafka login", Wire::KafkaLogin, Layer::Plain, ("kafka://127.0.0.1:", "")),
    #[cfg(feature = "grpc")]
    protocol("grpc", Wire::Grpc, Layer::Plain, ("grpc://127.0.0.1:", "/my.Service")),
    protocol("nats", Wire::Nats, Layer::Plain, ("nats://u:p@127.0.0.1:", "")),
    protocol("memcached", Wire::Memcached, Layer::Plain, ("memcached://127.0.0.1:", "")),
    protocol("smtp", Wire::Smtp, Layer::Plain, ("smtp://127.0.0.1:", "")),
    #[cfg(feature = "tls")]
    protocol("https", Wire::Http, Layer::BeforeTls, ("https://127.0.0.1:", "/#status=200&body=ok")),
    #[cfg(feature = "tls")]
    protocol("rediss", Wire::Redis, Layer::BeforeTls, ("rediss://127.0.0.1:", "/#key=k")),
    #[cfg(feature = "tls")]
    protocol("postgres+ssl", Wire::Postgres, Layer::BeforeTls, ("postgres://u:p@127.0.0.1:", "/d?sslmode=require")),
    #[cfg(feature = "tls")]
    protocol("in https", Wire::Http, Layer::WithinTls, ("https://127.0.0.1:", "/#status=200&body=ok")),
    #[cfg(feature = "tls")]
    protocol("in rediss", Wire::Redis, Layer::WithinTls, ("rediss://127.0.0.1:", "/#key=k")),
    #[cfg(feature = "tls")]
    protocol("in postgres", Wire::Postgres, Layer::WithinTls, ("postgres://u:p@127.0.0.1:", "/d?sslmode=require")),
    #[cfg(all(feature = "tls", feature = "mysql"))]
    protocol("mysql+tls", Wire::Mysql, Layer::BeforeTls, ("mysql://u:p@127.0.0.1:", "/d?ssl-mode=REQUIRED")),
    #[cfg(all(feature = "tls", feature = "mysql"))]
    protocol("in mysql+tls", Wire::Mysql, Layer::WithinTls, ("mysql://u:p@127.0.0.1:", "/d?ssl-mode=REQUIRED")),
    #[cfg(all(feature = "tls", feature = "amqp"))]
    protocol("amqps", Wire::Amqp, Layer::BeforeTls, ("amqps://u:p@127.0.0.1:", "/v#queue=q")),
    #[cfg(all(feature = "tls", feature = "amqp"))]
    protocol("in amqps", Wire::Amqp, Layer::WithinTls, ("amqps://u:p@127.0.0.1:", "/v#queue=q")),
    #[cfg(all(feature = "tls", feature = "mongodb"))]
    protocol("mongodb+tls", Wire::Mongodb, Layer::BeforeTls, ("mongodb://127.0.0.1:", "/?replicaSet=rs0&tls=true")),
    #[cfg(all(feature = "tls", feature = "mongodb"))]
    protocol("in mongodb+tls", Wire::Mongodb, Layer::WithinTls, ("mongodb://127.0.0.1:", "/?replicaSet=rs0&tls=true")),
    #[cfg(all(feature = "tls", feature = "kafka"))]
    protocol("kafka+ssl", Wire::Kafka, Layer::BeforeTls, ("kafka+ssl://127.0.0.1:", "")),
    #[cfg(all(feature = "tls", feature = "kafka"))]
    protocol("in kafka+ssl", Wire::Kafka, Layer::WithinTls, ("kafka+ssl://127.0.0.1:", "")),
    #[cfg(all(feature = "tls", feature = "grpc"))]
    protocol("grpcs", Wire::Grpc, Layer::BeforeTls, ("grpcs://127.0.0.1:", "/my.Service")),
    #[cfg(all(feature = "tls", feature = "grpc"))]
    protocol("in grpcs", Wire::Grpc, Layer::WithinTls, ("grpcs://127.0.0.1:", "/my.Service")),
    #[cfg(feature = "tls")]
    protocol("nats+tls", Wire::Nats, Layer::BeforeTls, ("nats://u:p@127.0.0.1:", "")),
    #[cfg(feature = "tls")]
    protocol("in nats+tls", Wire::Nats, Layer::WithinTls, ("nats://u:p@127.0.0.1:", "")),
    #[cfg(feature = "tls")]
    protocol("smtps", Wire::Smtp, Layer::BeforeTls, ("smtps://127.0.0.1:", "")),
    #[cfg(feature = "tls")]
    protocol("in smtps", Wire::Smtp, Layer::WithinTls, ("smtps://127.0.0.1:", "")),
    #[cfg(feature = "tls")]
    protocol("tls", Wire::Tls, Layer::BeforeTls, ("tls://127.0.0.1:", "")),
    #[cfg(feature = "tls")]
    protocol("in tls", Wire::Tcp, Layer::WithinTls, ("tls://127.0.0.1:", "")),
];

/// How far a peer behaves as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Accept,
    /// It has read the request.
    Request,
    FirstByte,
    MidHeader,
    MidMessage,
    /// It has answered as the gate would have it.
    Success,
}

const STAGES: [Stage; 6] =
    [Stage::Accept, Stage::Request, Stage::FirstByte, Stage::MidHeader, Stage::MidMessage, Stage::Success];

/// What it does then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Silence,
    OneByteASecond,
    Reset,
    HalfClose,
    Garbage,
    /// One byte for ever.
    Endless,
    TlsAlert,
    AnotherProtocol,
}

const ENDS: [Then; 8] = [
    Then::Silence,
    Then::OneByteASecond,
    Then::Reset,
    Then::HalfClose,
    Then::Garbage,
    Then::Endless,
    Then::TlsAlert,
    Then::AnotherProtocol,
];

/// Answers to the request that are wrong from their first byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Messages of the protocol for ever, none of which is the answer.
    EndlessMessages,
    ClaimsTwoGib,
    HundredThousandFields,
    RedirectLoop,
    TenMibLine,
}

const ANSWERS: [Answer; 5] = [
    Answer::EndlessMessages,
    Answer::ClaimsTwoGib,
    Answer::HundredThousandFields,
    Answer::RedirectLoop,
    Answer::TenMibLine,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    After(Stage, Then),
    Answers(Answer),
}

impl Behaviour {
    /// Those that mean something in `protocol`.
    fn all(protocol: &Protocol) -> Vec<Self> {
        let is_reached = |stage: &Stage| match (protocol.wire, protocol.layer, stage) {
            // All is said and done at its first stage.
            (Wire::Tcp, _, stage) => *stage == Stage::Accept,
            #[cfg(feature = "tls")]
            (_, Layer::BeforeTls, Stage::Success) => false,
            _ => true,
        };
        let stages = STAGES.into_iter().filter(is_reached);
        let after = stages.flat_map(|stage| ENDS.map(|then| Self::After(stage, then)));
        let answers = ANSWERS.into_iter().filter(|_| protocol.wire != Wire::Tcp).map(Self::Answers);
        after.chain(answers).collect()
    }
}

/// What is right for a cell; of several phrases one must be given as a reason.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Ready,
    /// Whichever the kernel tells first.
    ReadyOrNot,
    /// For whatever reason.
    NotReady,
    Pending(&'static [&'static str]),
    Permanent(&'static [&'static str]),
}

const NO_ANSWER: Expected =
    Expected::Pending(&["no answer within", "no TLS handshake within", "nor its end came within"]);
const CLOSED: Expected =
    Expected::Pending(&["the peer closed the connection", "the peer reset the connection", "reset the connection"]);

fn expected(protocol: &Protocol, behaviour: Behaviour) -> Expected {
    let wrong_protocol = match (protocol.layer, protocol.wire) {
        #[cfg(feature = "tls")]
        (Layer::BeforeTls, Wire::Postgres) => {
            Expected::Permanent(&["does not speak Postgres' protocol", "does not speak TLS"])
        }
        #[cfg(feature = "tls")]
        (Layer::BeforeTls, _) | (_, Wire::Tls) => Expected::Permanent(&["does not speak TLS"]),
        (_, Wire::Http) => Expected::Permanent(&["does not answer as an HTTP server", "larger than 64 KiB"]),
        (_, Wire::Redis) => Expected::Permanent(&["does not speak Redis' protocol"]),
        #[cfg(feature = "mysql")]
        (_, Wire::Mysql) => Expected::Permanent(&["does not speak MySQL's protocol"]),
        #[cfg(feature = "amqp")]
        (_, Wire::Amqp) => Expected::Permanent(&["does not speak AMQP 0-9-1"]),
        #[cfg(feature = "mongodb")]
        (_, Wire::Mongodb) => Expected::Permanent(&["does not speak MongoDB's protocol"]),
        #[cfg(feature = "kafka")]
        (_, Wire::Kafka | Wire::KafkaLogin) => Expected::Permanent(&["does not speak Kafka's protocol"]),
        #[cfg(feature = "grpc")]
        (_, Wire::Grpc) => Expected::Permanent(&["does not speak gRPC"]),
        (_, Wire::Memcached) => Expected::Permanent(&["does not speak memcached's protocol"]),
        (_, Wire::Smtp) => Expected::Permanent(&["does not speak SMTP"]),
        (_, Wire::Nats) => Expected::Permanent(&["does not speak NATS"]),
        (_, Wire::Postgres | Wire::Tcp) => Expected::Permanent(&["does not speak Postgres' protocol"]),
    };
    let answer = match behaviour {
        Behaviour::After(stage, then) => return expected_after(protocol, stage, then, wrong_protocol),
        Behaviour::Answers(answer) => answer,
    };
    #[cfg(feature = "tls")]
    if protocol.layer == Layer::BeforeTls {
        match (protocol.wire, answer) {
            // Its first byte is what a server without TLS, or one that cannot fork, answers.
            (Wire::Postgres, Answer::EndlessMessages | Answer::HundredThousandFields) => {
                return Expected::Permanent(&["the server has no TLS"]);
            }
            (Wire::Postgres, Answer::TenMibLine) => {
                return Expected::Pending(&["the server ended the connection before TLS"]);
            }
            _ => return wrong_protocol,
        }
    }
    match (protocol.wire, answer) {
        // The first MiB is read, if the machine is fast enough.
        (Wire::Http, Answer::ClaimsTwoGib) => {
            Expected::Pending(&["the body lacks the expected text", "no answer within"])
        }
        (Wire::Http, Answer::RedirectLoop) => Expected::Pending(&["HTTP 302 Found, but 200 is expected: a redirect"]),
        (Wire::Redis, Answer::RedirectLoop) => Expected::Pending(&["moves the key from node to node"]),
        (Wire::Postgres, Answer::EndlessMessages | Answer::HundredThousandFields) => NO_ANSWER,
        #[cfg(feature = "amqp")]
        (Wire::Amqp, Answer::EndlessMessages | Answer::HundredThousandFields) => NO_ANSWER,
        (Wire::Nats | Wire::Smtp, Answer::EndlessMessages | Answer::HundredThousandFields) => NO_ANSWER,
        #[cfg(feature = "mongodb")]
        (Wire::Mongodb, Answer::EndlessMessages | Answer::HundredThousandFields) => {
            Expected::Pending(&["a member of another replica set"])
        }
        #[cfg(feature = "grpc")]
        (Wire::Grpc, Answer::EndlessMessages | Answer::HundredThousandFields) => NO_ANSWER,
        _ => wrong_protocol,
    }
}

fn expected_after(protocol: &Protocol, stage: Stage, then: Then, wrong_protocol: Expected) -> Expected {
    match (protocol.wire, stage, then) {
        (Wire::Tcp, _, Then::Reset) | (_, Stage::Success, Then::Reset) => Expected::ReadyOrNot,
        (Wire::Tcp, ..) | (_, Stage::Success, _) => Expected::Ready,
        // What ends an OK may be any number of warnings.
        #[cfg(all(feature = "mysql", feature = "tls"))]
        (Wire::Mysql, Stage::MidMessage, Then::Garbage | Then::Endless | Then::TlsAlert | Then::AnotherProtocol)
            if protocol.layer == Layer::WithinTls =>
        {
            Expected::Ready
        }
        // The end of its line.
        (Wire::Memcached, Stage::MidMessage, Then::AnotherProtocol) => Expected::Ready,
        (_, _, Then::Silence | Then::OneByteASecond) => NO_ANSWER,
        (_, _, Then::Reset | Then::HalfClose) => CLOSED,
        #[cfg(feature = "tls")]
        (_, Stage::Request, Then::TlsAlert) if protocol.layer == Layer::BeforeTls => {
            Expected::Pending(&["the server finds no TLS in common with this build"])
        }
        (_, Stage::Request, _) => wrong_protocol,
        #[cfg(feature = "tls")]
        _ if protocol.layer == Layer::BeforeTls => Expected::NotReady,
        _ => Expected::NotReady,
    }
}

/// A connection to be hostile on.
struct Conn {
    tcp: TcpStream,
    io: Box<dyn Duplex>,
}

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

impl Conn {
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.io.write_all(bytes).and_then(|()| self.io.flush()).is_ok()
    }

    /// Until the other side has had enough.
    fn hold(&mut self) {
        let mut chunk = [0; 1024];
        while matches!(self.io.read(&mut chunk), Ok(n) if n > 0) {}
    }

    fn send_for_ever(&mut self, bytes: &[u8], pause: Duration) {
        while self.send(bytes) {
            thread::sleep(pause);
        }
    }

    fn reset(self) {
        drop(socket2::SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)));
    }
}

fn postgres_message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// A packet of MySQL's protocol.
#[cfg(feature = "mysql")]
fn mysql_packet(number: u8, payload: &[u8]) -> Vec<u8> {
    [&[u8::try_from(payload.len()).unwrap(), 0, 0, number], payload].concat()
}

/// What MySQL says first; 8 in the byte of its capabilities is TLS.
#[cfg(feature = "mysql")]
fn mysql_greeting(capabilities: u8) -> Vec<u8> {
    let begin = [&b"\n8.0.36\0\x08\0\0\0abcdefgh\0\xff"[..], &[capabilities], b"\xff\x02\0\xff\xdf\x15"].concat();
    mysql_packet(0, &[&begin[..], &[0; 10], b"ijklmnopqrst\0mysql_native_password\0"].concat())
}

/// A method of AMQP.
#[cfg(feature = "amqp")]
fn amqp_method(channel: u8, class: u8, method: u8, arguments: &[u8]) -> Vec<u8> {
    let length = u8::try_from(arguments.len() + 4).unwrap();
    [&[1, 0, channel, 0, 0, 0, length, 0, class, 0, method], arguments, &[0xce]].concat()
}

/// A document of MongoDB's protocol.
#[cfg(feature = "mongodb")]
fn mongodb_message(elements: &[u8]) -> Vec<u8> {
    let length = u8::try_from(elements.len() + 5).unwrap();
    let document = [&[length, 0, 0, 0], elements, &[0]].concat();
    [&[length + 21, 0, 0, 0][..], &[0; 8], &[0xdd, 7, 0, 0], &[0; 5], &document].concat()
}

/// What a server in order answers first.
fn answer(protocol: &Protocol) -> Vec<u8> {
    #[cfg(feature = "tls")]
    if protocol.layer == Layer::BeforeTls {
        let hello = [&[0x16, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3][..], &[7; 116]].concat();
        return if protocol.wire == Wire::Postgres { [&b"S"[..], &hello].concat() } else { hello };
    }
    #[cfg(feature = "tls")]
    match protocol.wire {
        // The answer to the login.
        #[cfg(feature = "mysql")]
        Wire::Mysql if protocol.layer == Layer::WithinTls => return mysql_packet(3, &[0, 0, 0, 2, 0, 0, 0]),
        Wire::Nats if protocol.layer == Layer::WithinTls => return b"PONG\r\n".to_vec(),
        _ => {}
    }
    match protocol.wire {
        Wire::Tcp | Wire::Http => b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nit should be like ok".to_vec(),
        Wire::Redis => b"+PONG\r\n".to_vec(),
        Wire::Postgres => postgres_message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]),
        #[cfg(feature = "mysql")]
        Wire::Mysql => mysql_greeting(0xf7),
        #[cfg(feature = "amqp")]
        Wire::Amqp => amqp_method(0, 10, 10, b"\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US"),
        #[cfg(feature = "mongodb")]
        Wire::Mongodb => mongodb_message(b"\x08ismaster\0\x01\x02setName\0\x04\0\0\0rs0\0\x10ok\0\x01\0\0\0"),
        // ApiVersions: Metadata up to 12; then Metadata: one broker, which is the controller.
        #[cfg(feature = "kafka")]
        Wire::Kafka => [
            &b"\0\0\0\x10\0\0\0\x01\0\0\0\0\0\x01\0\x03\0\0\0\x0c"[..],
            b"\0\0\0\x23\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x01\0\x01k\0\0\x23\x84\xff\xff\0\0\0\0\0\x01\0\0\0\0",
        ]
        .concat(),
        // ApiVersions: SaslHandshake too; then it takes PLAIN.
        #[cfg(feature = "kafka")]
        Wire::KafkaLogin => [
            &b"\0\0\0\x16\0\0\0\x01\0\0\0\0\0\x02\0\x03\0\0\0\x0c\0\x11\0\0\0\x01"[..],
            b"\0\0\0\x11\0\0\0\x02\0\0\0\0\0\x01\0\x05PLAIN",
        ]
        .concat(),
        // Settings, `:status: 200`, SERVING, `grpc-status: 0`.
        #[cfg(feature = "grpc")]
        Wire::Grpc => [
            &b"\0\0\0\x04\0\0\0\0\0"[..],
            b"\0\0\x01\x01\x04\0\0\0\x01\x88",
            b"\0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01",
            b"\0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010",
        ]
        .concat(),
        Wire::Nats => b"INFO {\"server_id\":\"x\",\"max_payload\":1048576}\r\n".to_vec(),
        Wire::Memcached => b"VERSION 1.6.18\r\n".to_vec(),
        Wire::Smtp => b"220 mail.example ESMTP\r\n".to_vec(),
        #[cfg(feature = "tls")]
        Wire::Tls => Vec::new(),
    }
}

/// What a server in order may say any number of times before its answer.
fn preamble(protocol: &Protocol) -> Vec<u8> {
    match protocol.wire {
        Wire::Tcp | Wire::Http => b"X-Field: value\r\n".to_vec(),
        Wire::Redis => b":1\r\n".to_vec(),
        Wire::Postgres => postgres_message(b'N', b"SNOTICE\0C00000\0Mpatience\0\0"),
        #[cfg(feature = "mysql")]
        Wire::Mysql => mysql_packet(0, b"\x01x"),
        // A heartbeat.
        #[cfg(feature = "amqp")]
        Wire::Amqp => b"\x08\0\0\0\0\0\0\xce".to_vec(),
        #[cfg(feature = "mongodb")]
        Wire::Mongodb => mongodb_message(b"\x10ok\0\x01\0\0\0"),
        #[cfg(feature = "kafka")]
        Wire::Kafka | Wire::KafkaLogin => b"\0\0\0\x06\0\0\0\x09\0\0".to_vec(),
        #[cfg(feature = "grpc")]
        Wire::Grpc => b"\0\0\0\x04\0\0\0\0\0".to_vec(),
        Wire::Nats => b"INFO {}\r\n".to_vec(),
        Wire::Memcached => b"STAT pid 1\r\n".to_vec(),
        Wire::Smtp => b"220-patience\r\n".to_vec(),
        #[cfg(feature = "tls")]
        Wire::Tls => b"hello\r\n".to_vec(),
    }
}

/// Reads the first request, where there is one, so that what follows is an answer to it.
fn read_first_request(protocol: &Protocol, conn: &mut Conn) {
    if !protocol.begins_with_the_server() {
        read_request(conn);
    }
}

fn read_request(conn: &mut Conn) {
    drop(conn.io.read(&mut [0; 4096]));
}

/// Answers as the gate would have it.
fn succeed(protocol: &Protocol, conn: &mut Conn) {
    match protocol.wire {
        Wire::Tcp | Wire::Http | Wire::Memcached => drop(conn.send(&answer(protocol))),
        #[cfg(feature = "tls")]
        Wire::Tls => drop(conn.send(&answer(protocol))),
        // In TLS the answer to the login is all that is due.
        #[cfg(all(feature = "mysql", feature = "tls"))]
        Wire::Mysql if protocol.layer == Layer::WithinTls => drop(conn.send(&answer(protocol))),
        #[cfg(feature = "tls")]
        Wire::Nats if protocol.layer == Layer::WithinTls => drop(conn.send(&answer(protocol))),
        Wire::Smtp => {
            conn.send(&answer(protocol));
            read_request(conn);
            conn.send(b"250 mail.example\r\n");
        }
        Wire::Redis => {
            conn.send(b"+PONG\r\n");
            read_request(conn);
            conn.send(b":1\r\n");
        }
        #[cfg(feature = "mysql")]
        Wire::Mysql => {
            conn.send(&answer(protocol));
            read_request(conn);
            conn.send(&mysql_packet(2, &[0, 0, 0, 2, 0, 0, 0]));
        }
        #[cfg(feature = "amqp")]
        Wire::Amqp => {
            let tune = amqp_method(0, 10, 30, &[7, 0xff, 0, 2, 0, 0, 0, 60]);
            let declared = amqp_method(1, 50, 11, b"\x01q\0\0\0\0\0\0\0\0");
            let opened = [amqp_method(0, 10, 41, b"\0"), amqp_method(1, 20, 11, b"\0\0\0\0")].concat();
            let returned = amqp_method(1, 60, 50, b"\x01\x38\x08NO_ROUTE\0\x01q");
            conn.send(&[answer(protocol), tune, opened, declared, returned].concat());
        }
        #[cfg(feature = "mongodb")]
        Wire::Mongodb => drop(conn.send(&answer(protocol))),
        #[cfg(feature = "kafka")]
        Wire::Kafka | Wire::KafkaLogin => drop(conn.send(&answer(protocol))),
        #[cfg(feature = "grpc")]
        Wire::Grpc => drop(conn.send(&answer(protocol))),
        Wire::Nats => {
            conn.send(&answer(protocol));
            read_request(conn);
            conn.send(b"PONG\r\n");
        }
        Wire::Postgres => {
            let logged_in = postgres_message(b'R', &[0; 4]);
            conn.send(&[logged_in, postgres_message(b'Z', b"I")].concat());
            // It is asked whether the database answers.
            read_request(conn);
            conn.send(&[postgres_message(b'1', b""), postgres_message(b'Z', b"I")].concat());
        }
    }
}

fn behave(protocol: &Protocol, behaviour: Behaviour, mut conn: Conn) {
    match behaviour {
        Behaviour::After(stage, then) => {
            let answer = answer(protocol);
            if stage != Stage::Accept {
                read_first_request(protocol, &mut conn);
            }
            let sent = match stage {
                Stage::Accept | Stage::Request => 0,
                Stage::FirstByte => 1,
                Stage::MidHeader => 4,
                Stage::MidMessage => answer.len() - 2,
                Stage::Success => {
                    succeed(protocol, &mut conn);
                    answer.len()
                }
            };
            if stage != Stage::Success {
                conn.send(&answer[..sent]);
            }
            end(protocol, then, &answer[sent..], conn);
        }
        Behaviour::Answers(answer) => {
            read_first_request(protocol, &mut conn);
            give(protocol, answer, conn);
        }
    }
}

/// Does it; `rest` is what would have followed.
fn end(protocol: &Protocol, then: Then, rest: &[u8], mut conn: Conn) {
    match then {
        Then::Silence => {}
        Then::OneByteASecond => {
            for byte in rest {
                thread::sleep(Duration::from_secs(1));
                if !conn.send(&[*byte]) {
                    return;
                }
            }
        }
        Then::Reset => {
            // What is under way is lost with the reset: it is let through first.
            thread::sleep(Duration::from_millis(5));
            return conn.reset();
        }
        Then::HalfClose => drop(conn.tcp.shutdown(Shutdown::Write)),
        Then::Garbage => {
            let mut state = 0x9e37_79b9_u32;
            let noise = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state.to_le_bytes()[1] | 0x80
            });
            conn.send(&noise.take(4096).collect::<Vec<u8>>());
        }
        Then::Endless => conn.send_for_ever(&[b'a'; 16 << 10], Duration::from_millis(1)),
        Then::TlsAlert => {
            if rest.starts_with(b"S\x16") {
                conn.send(b"S");
            }
            conn.send(&[0x15, 3, 3, 0, 2, 2, 40]);
        }
        Then::AnotherProtocol => {
            let other: &[u8] = match protocol.wire {
                Wire::Tcp | Wire::Http => b"-ERR unknown command 'GET'\r\n",
                Wire::Redis => b"HTTP/1.1 400 Bad Request\r\n\r\n",
                _ => b"SSH-2.0-OpenSSH_9.6\r\n",
            };
            conn.send(other);
        }
    }
    conn.hold();
}

#[allow(clippy::match_wildcard_for_single_variants, reason = "what there is depends on the features")]
fn give(protocol: &Protocol, answer: Answer, mut conn: Conn) {
    let begin: &[u8] = match protocol.wire {
        Wire::Tcp | Wire::Http => b"HTTP/1.1 200 OK\r\n",
        Wire::Redis => b"*100000\r\n",
        Wire::Nats => b"INFO {}\r\n",
        _ => b"",
    };
    let port = conn.tcp.local_addr().map_or(0, |address| address.port());
    match answer {
        Answer::EndlessMessages => {
            conn.send(begin);
            conn.send_for_ever(&preamble(protocol).repeat(100), Duration::from_millis(1));
        }
        Answer::ClaimsTwoGib => {
            let claim = match protocol.wire {
                Wire::Tcp | Wire::Http => b"HTTP/1.1 200 OK\r\nContent-Length: 2147483647\r\n\r\n".to_vec(),
                Wire::Redis => b"$2147483647\r\n".to_vec(),
                Wire::Postgres => [&b"R"[..], &TWO_GIB.to_be_bytes()].concat(),
                #[cfg(feature = "mysql")]
                Wire::Mysql => b"\xff\xff\xff\0".to_vec(),
                #[cfg(feature = "amqp")]
                Wire::Amqp => [&b"\x01\0\0"[..], &TWO_GIB.to_be_bytes()].concat(),
                #[cfg(feature = "mongodb")]
                Wire::Mongodb => TWO_GIB.to_le_bytes().to_vec(),
                #[cfg(feature = "kafka")]
                Wire::Kafka | Wire::KafkaLogin => TWO_GIB.to_be_bytes().to_vec(),
                #[cfg(feature = "grpc")]
                Wire::Grpc => b"\x7f\xff\xff".to_vec(),
                Wire::Nats => b"INFO {\"x\":\"".to_vec(),
                Wire::Memcached => b"VERSION ".to_vec(),
                Wire::Smtp => b"220 ".to_vec(),
                #[cfg(feature = "tls")]
                Wire::Tls => b"\x16\x03\x03\xff\xff".to_vec(),
            };
            conn.send(&claim);
            conn.send_for_ever(&vec![b'x'; 128 << 10], Duration::from_millis(1));
        }
        Answer::HundredThousandFields => {
            conn.send(&[begin, &preamble(protocol).repeat(100_000)].concat());
        }
        Answer::RedirectLoop => {
            if protocol.wire == Wire::Redis {
                conn.send(b"+PONG\r\n");
                read_request(&mut conn);
                conn.send(format!("-MOVED 1 127.0.0.1:{port}\r\n").as_bytes());
            } else {
                let head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n";
                conn.send(format!("{head}Location: http://127.0.0.1:{port}/\r\n\r\n").as_bytes());
            }
        }
        Answer::TenMibLine => {
            let begin: &[u8] = match protocol.wire {
                Wire::Tcp | Wire::Http => b"HTTP/1.1 200 ",
                Wire::Redis => b"+",
                Wire::Postgres => b"E\x00\xa0\x00\x00M",
                #[cfg(feature = "mysql")]
                Wire::Mysql => b"\n",
                #[cfg(feature = "amqp")]
                Wire::Amqp => b"\x01\0\0\0\xa0\0\0",
                #[cfg(feature = "mongodb")]
                Wire::Mongodb => b"\0\0\xa0\0",
                #[cfg(feature = "kafka")]
                Wire::Kafka | Wire::KafkaLogin => b"\0\xa0\0\0",
                #[cfg(feature = "grpc")]
                Wire::Grpc => b"\0\xa0\0",
                Wire::Nats => b"INFO ",
                Wire::Memcached => b"VERSION ",
                Wire::Smtp => b"220 ",
                #[cfg(feature = "tls")]
                Wire::Tls => b"",
            };
            conn.send(&[begin, &vec![b'a'; 10 << 20], b"\r\n\r\n"].concat());
        }
    }
    conn.hold();
}

/// Does what a server in order does up to where the hostility begins.
fn admit(protocol: &Protocol, tls: &Acceptor, mut tcp: TcpStream) -> Option<Conn> {
    let again = tcp.try_clone().ok()?;
    #[cfg(feature = "tls")]
    match protocol.wire {
        #[cfg(feature = "mysql")]
        Wire::Mysql if protocol.layer != Layer::Plain => {
            tcp.write_all(&mysql_greeting(0xff)).ok()?;
            // `Protocol::SSLRequest`
            tcp.read_exact(&mut [0; 36]).ok()?;
        }
        Wire::Nats if protocol.layer != Layer::Plain => tcp.write_all(b"INFO {\"tls_required\":true}\r\n").ok()?,
        Wire::Postgres if protocol.layer == Layer::WithinTls => {
            tcp.read_exact(&mut [0; 8]).ok()?;
            tcp.write_all(b"S").ok()?;
        }
        _ => {}
    }
    #[cfg(feature = "tls")]
    if protocol.layer == Layer::WithinTls {
        let stream = crate::support::certificates::accept(tls, tcp)?;
        return Some(Conn { tcp: again, io: Box::new(stream) });
    }
    let _ = (protocol, tls, &mut tcp);
    Some(Conn { tcp: again, io: Box::new(tcp) })
}

#[cfg(feature = "tls")]
type Acceptor = Arc<rustls::ServerConfig>;
#[cfg(not(feature = "tls"))]
type Acceptor = ();

#[cfg(feature = "tls")]
fn acceptor() -> Acceptor {
    let ca = crate::support::certificates::Ca::new();
    crate::support::certificates::acceptor(&ca.issue("localhost", &["127.0.0.1"]))
}

#[cfg(not(feature = "tls"))]
fn acceptor() -> Acceptor {}

/// Runs the gate to its end; gives the most memory it had, in KiB.
fn measured(run: Run) -> (Finished, u64) {
    let running = run.spawn();
    let status = format!("/proc/{}/status", running.pid());
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    // Between vfork and exec its memory is that of the tests; the name changes after the memory does.
    let name = executable().file_name().unwrap().to_str().unwrap().chars().take(15).collect::<String>();
    let name = format!("Name:\t{name}\n");
    let watcher = thread::spawn(move || {
        let mut peak = 0;
        while !stop.load(Ordering::Relaxed) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line =
                text.strip_prefix(&name).and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmHWM:")));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            peak = peak.max(kib.unwrap_or(0));
            thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    let finished = running.finish();
    is_over.store(true, Ordering::Relaxed);
    (finished, watcher.join().unwrap())
}

fn gate(url: &str) -> Run {
    let run = Run::new().target(url).args(["-t", "1s", "--attempt-timeout", "700ms"]);
    if cfg!(feature = "tls") { run.arg("--tls-insecure") } else { run }
}

/// One row of the table, and what is wrong with it.
struct Row {
    shown: String,
    late: Duration,
    memory: u64,
    wrong: Vec<String>,
}

impl Row {
    fn is_late(&self) -> bool {
        self.late > SLACK
    }
}

fn try_cell(protocol: &'static Protocol, behaviour: Behaviour, tls: &Acceptor) -> Row {
    let (scripted, acceptor) = (*protocol, tls.clone());
    let peer = Peer::start(move |tcp, _| {
        if let Some(conn) = admit(&scripted, &acceptor, tcp) {
            behave(&scripted, behaviour, conn);
        }
    });
    let url = format!("{}{}{}", protocol.url.0, peer.port, protocol.url.1);
    let (run, memory) = measured(gate(&url).command(["echo", "ran"]));
    let expected = expected(protocol, behaviour);
    let mut late = run.taken().saturating_sub(DEADLINE);
    let reason = run.stderr.lines().last().unwrap_or_default();
    let reason = reason.rsplit_once("last: ").map_or(reason, |(_, reason)| reason);
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{} x {behaviour:?}: {what}\n{}", protocol.name, run.stderr));
        }
    };
    check(memory < MAX_MEMORY, format!("{memory} KiB"));
    check(!run.stderr.contains("panicked"), "panicked".to_owned());
    check((run.stdout == "ran\n") == (run.status == 0), format!("status {} with {:?}", run.status, run.stdout));
    match expected {
        Expected::Ready => check(run.status == 0, format!("status {}", run.status)),
        Expected::ReadyOrNot => check(matches!(run.status, 0 | 124), format!("status {}", run.status)),
        Expected::NotReady => check(run.status == 124, format!("status {}", run.status)),
        Expected::Pending(phrases) | Expected::Permanent(phrases) => {
            check(run.status == 124, format!("status {}", run.status));
            // Not the last reason alone: on a loaded machine the last attempt may run out of time.
            check(phrases.iter().any(|phrase| run.stderr.contains(phrase)), format!("none of {phrases:?}"));
        }
    }
    if let Expected::Permanent(_) = expected {
        let fast = gate(&url).arg("--fail-fast").finish();
        check(fast.status == 1, format!("status {} under --fail-fast after {:?}", fast.status, fast.elapsed));
        late = late.max(fast.taken().saturating_sub(DEADLINE));
    }
    let elapsed = run.elapsed.as_millis();
    let shown = format!(
        "{:<12} {:<33} {:>4} {elapsed:>5} ms {memory:>6} KiB  {reason}",
        protocol.name,
        format!("{behaviour:?}"),
        run.status
    );
    Row { shown, late, memory, wrong }
}

#[test]
fn no_peer_makes_the_gate_late_large_wrong_or_panic() {
    let cells: VecDeque<(&'static Protocol, Behaviour)> = PROTOCOLS
        .iter()
        .flat_map(|protocol| Behaviour::all(protocol).into_iter().map(move |it| (protocol, it)))
        .collect();
    let (tls, cells) = (acceptor(), Mutex::new(cells));
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CELLS_AT_ONCE {
            scope.spawn(|| {
                while let Some((protocol, behaviour)) = { cells.lock().unwrap().pop_front() } {
                    let row = try_cell(protocol, behaviour, &tls);
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    let mut rows: Vec<Row> = rows.into_inner().unwrap();
    rows.sort_by(|a, b| a.shown.cmp(&b.shown));
    let mut table = String::new();
    for row in &rows {
        let _ = writeln!(table, "{}", row.shown);
    }
    let latest = rows.iter().map(|row| row.late).max().unwrap_or_default();
    let largest = rows.iter().map(|row| row.memory).max().unwrap_or_default();
    println!("{table}{} cells, at most {latest:?} late, at most {largest} KiB", rows.len());
    let late = rows.iter().filter(|row| row.is_late()).map(|row| format!("late: {}", row.shown));
    let wrong: Vec<String> = late.chain(rows.iter().flat_map(|row| row.wrong.iter().cloned())).collect();
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_file_system_that_does_not_answer_holds_up_neither_the_deadline_nor_a_signal() {
    let mount = HungMount::new().expect("a mount: run the tests as root, where /dev/fuse is (tests/run does)");
    let path = |name: &str| mount.path(name).display().to_string();
    for target in [
        format!("file://{}", path("file")),
        format!("unix://{}", path("socket")),
        format!("redis+unix://{}", path("redis")),
        #[cfg(feature = "exec")]
        format!("exec:{}", path("command")),
    ] {
        let run = Run::new().target(target.clone()).timeout("600ms").finish().expect_status(124);
        assert!(run.taken() <= Duration::from_millis(600) + SLACK, "{target}: {:?}", run.taken());
        let begun = std::time::Instant::now();
        let run = Run::new().target(target.clone()).timeout("1h").spawn();
        run.wait_for_stderr("waiting for 1 target");
        // The thread that hangs is not the one that listens to signals.
        let tasks = format!("/proc/{}/task", run.pid());
        eventually("a thread for the file system", || std::fs::read_dir(&tasks).is_ok_and(|all| all.count() > 1));
        let sent = begun.elapsed();
        run.signal(nix::sys::signal::Signal::SIGTERM);
        // What hangs in the kernel may keep the streams open, but not the gate.
        let took = run.finish().expect_status(143).taken().saturating_sub(sent);
        assert!(took <= SLACK, "{target}: {took:?}");
    }
}

#[test]
fn a_full_pipe_for_a_report_holds_up_neither_the_deadline_nor_a_signal() {
    let directory = directory();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut kept = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    // The capacity of a pipe (pipe(7)).
    kept.write_all(&vec![b'.'; 65536]).unwrap();
    let fifo = fifo.to_str().unwrap();
    let run = || Run::new().args(["--report", fifo, "--termination-log", fifo]).target("127.0.0.1:1");
    let finished = run().timeout("500ms").finish().expect_status(124).expect_stderr("nobody reads it");
    assert!(finished.taken() <= Duration::from_millis(500) + SLACK, "{:?}", finished.taken());
    let running = run().timeout("1h").spawn();
    running.wait_for_stderr("not ready");
    let sent = std::time::Instant::now();
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.finish().expect_status(143);
    assert!(sent.elapsed() <= SLACK, "{:?}", sent.elapsed());
}
