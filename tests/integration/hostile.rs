//! Peers that do everything wrong: none may make the gate late, large, wrong or panic.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use crate::support::hung_mount::HungMount;
use crate::support::peer::Peer;
use crate::support::{Finished, Run, directory, eventually, executable, withheld};

/// The deadline of every cell, and how much later than that it may end.
const DEADLINE: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(100);
/// The most memory of a run, in KiB.
const MAX_MEMORY: u64 = 16 << 10;
const TWO_GIB: u32 = 0x7fff_ffff;

/// What the gate takes the peer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Tcp,
    Http,
    Redis,
    Postgres,
    Mysql,
    Amqp,
    Mongodb,
    Kafka,
    /// A listener that wants a login, and gets none.
    KafkaLogin,
    Grpc,
    Nats,
    Memcached,
    Smtp,
    Mqtt,
    Ldap,
    /// Nothing but the handshake.
    Tls,
}

/// Where the hostility begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Plain,
    /// Instead of the TLS handshake.
    BeforeTls,
    /// After a TLS handshake in order.
    WithinTls,
}

#[derive(Debug, Clone, Copy)]
struct Protocol {
    wire: Wire,
    layer: Layer,
    /// The target, around its port.
    url: (&'static str, &'static str),
}

impl Protocol {
    /// Whether the server says the first word, where the hostility begins.
    fn begins_with_the_server(&self) -> bool {
        match self.wire {
            // In TLS the client goes on where the server has said who it is.
            Wire::Mysql | Wire::Nats => self.layer == Layer::Plain,
            Wire::Smtp => self.layer != Layer::BeforeTls,
            _ => false,
        }
    }
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    After(Stage, Then),
    Answers(Answer),
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

const NO_ANSWER: Expected = Expected::Pending(&[
    "no answer within",
    "no TLS handshake within",
    "its last line did not come",
    "nor its end came within",
]);
const CLOSED: Expected =
    Expected::Pending(&["the peer closed the connection", "the peer reset the connection", "reset the connection"]);

fn expected(protocol: &Protocol, behaviour: Behaviour) -> Expected {
    let wrong_protocol = match (protocol.layer, protocol.wire) {
        (Layer::BeforeTls, Wire::Postgres) => {
            Expected::Permanent(&["does not speak Postgres' protocol", "does not speak TLS"])
        }
        (Layer::BeforeTls, _) | (_, Wire::Tls) => Expected::Permanent(&["does not speak TLS"]),
        (_, Wire::Http) => Expected::Permanent(&["does not answer as an HTTP server", "larger than 64 KiB"]),
        (_, Wire::Redis) => Expected::Permanent(&["does not speak Redis' protocol"]),
        (_, Wire::Mysql) => Expected::Permanent(&["does not speak MySQL's protocol"]),
        (_, Wire::Amqp) => Expected::Permanent(&["does not speak AMQP 0-9-1"]),
        (_, Wire::Mongodb) => Expected::Permanent(&["does not speak MongoDB's protocol"]),
        (_, Wire::Kafka | Wire::KafkaLogin) => Expected::Permanent(&["does not speak Kafka's protocol"]),
        (_, Wire::Grpc) => Expected::Permanent(&["does not speak gRPC"]),
        (_, Wire::Memcached) => Expected::Permanent(&["does not speak memcached's protocol"]),
        (_, Wire::Smtp) => Expected::Permanent(&["does not speak SMTP"]),
        (_, Wire::Mqtt) => Expected::Permanent(&["does not speak MQTT"]),
        (_, Wire::Ldap) => Expected::Permanent(&["does not speak LDAP"]),
        (_, Wire::Nats) => Expected::Permanent(&["does not speak NATS"]),
        (_, Wire::Postgres | Wire::Tcp) => Expected::Permanent(&["does not speak Postgres' protocol"]),
    };
    let answer = match behaviour {
        Behaviour::After(stage, then) => return expected_after(protocol, stage, then, wrong_protocol),
        Behaviour::Answers(answer) => answer,
    };
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
            Expected::Pending(&["the body lacks the expected text", "no answer within", "nor its end came within"])
        }
        (Wire::Http, Answer::RedirectLoop) => Expected::Pending(&["HTTP 302 Found, but 200 is expected: a redirect"]),
        (Wire::Redis, Answer::RedirectLoop) => Expected::Pending(&["moves the key from node to node"]),
        (
            Wire::Postgres | Wire::Amqp | Wire::Nats | Wire::Smtp | Wire::Grpc | Wire::Ldap,
            Answer::EndlessMessages | Answer::HundredThousandFields,
        ) => NO_ANSWER,
        (Wire::Mongodb, Answer::EndlessMessages | Answer::HundredThousandFields) => {
            Expected::Pending(&["a member of another replica set"])
        }
        _ => wrong_protocol,
    }
}

fn expected_after(protocol: &Protocol, stage: Stage, then: Then, wrong_protocol: Expected) -> Expected {
    match (protocol.wire, stage, then) {
        (Wire::Tcp, _, Then::Reset) | (_, Stage::Success, Then::Reset) => Expected::ReadyOrNot,
        // One has said its word with the end of a line.
        (Wire::Tcp, ..) | (_, Stage::Success, _) | (Wire::Memcached, Stage::MidMessage, Then::AnotherProtocol) => {
            Expected::Ready
        }
        (_, _, Then::Silence | Then::OneByteASecond) => NO_ANSWER,
        (_, _, Then::Reset | Then::HalfClose) => CLOSED,
        (_, Stage::Request, Then::TlsAlert) if protocol.layer == Layer::BeforeTls => {
            Expected::Pending(&["the server finds no TLS in common with this build"])
        }
        (_, Stage::Request, _) => wrong_protocol,
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
    /// Where the peer listens.
    fn port(&self) -> u16 {
        self.tcp.local_addr().map_or(0, |address| address.port())
    }

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
fn mysql_packet(number: u8, payload: &[u8]) -> Vec<u8> {
    [&[u8::try_from(payload.len()).unwrap(), 0, 0, number], payload].concat()
}

/// What MySQL says first; 8 in the byte of its capabilities is TLS.
fn mysql_greeting(capabilities: u8) -> Vec<u8> {
    let begin = [&b"\n8.0.36\0\x08\0\0\0abcdefgh\0\xff"[..], &[capabilities], b"\xff\x02\0\xff\xdf\x15"].concat();
    mysql_packet(0, &[&begin[..], &[0; 10], b"ijklmnopqrst\0mysql_native_password\0"].concat())
}

/// A method of AMQP.
fn amqp_method(channel: u8, class: u8, method: u8, arguments: &[u8]) -> Vec<u8> {
    let length = u8::try_from(arguments.len() + 4).unwrap();
    [&[1, 0, channel, 0, 0, 0, length, 0, class, 0, method], arguments, &[0xce]].concat()
}

/// A document of MongoDB's protocol.
fn mongodb_message(elements: &[u8]) -> Vec<u8> {
    let length = u8::try_from(elements.len() + 5).unwrap();
    let document = [&[length, 0, 0, 0], elements, &[0]].concat();
    [&[length + 21, 0, 0, 0][..], &[0; 8], &[0xdd, 7, 0, 0], &[0; 5], &document].concat()
}

/// What a server in order answers first, at this port.
fn answer(protocol: &Protocol, port: u16) -> Vec<u8> {
    if protocol.layer == Layer::BeforeTls {
        let hello = [&[0x16, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3][..], &[7; 116]].concat();
        return if protocol.wire == Wire::Postgres { [&b"S"[..], &hello].concat() } else { hello };
    }
    match protocol.wire {
        // The answer to the login.
        Wire::Mysql if protocol.layer == Layer::WithinTls => return mysql_packet(3, &[0, 0, 0, 2, 0, 0, 0]),
        Wire::Nats if protocol.layer == Layer::WithinTls => return b"PONG\r\n".to_vec(),
        _ => {}
    }
    match protocol.wire {
        Wire::Tcp | Wire::Http => b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nit should be like ok".to_vec(),
        Wire::Redis => b"+PONG\r\n".to_vec(),
        Wire::Postgres => postgres_message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]),
        Wire::Mysql => mysql_greeting(0xf7),
        Wire::Amqp => amqp_method(0, 10, 10, b"\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US"),
        Wire::Mongodb => mongodb_message(b"\x08ismaster\0\x01\x02setName\0\x04\0\0\0rs0\0\x10ok\0\x01\0\0\0"),
        // ApiVersions: Metadata up to 12; then Metadata: one broker, which is the controller.
        Wire::Kafka => [
            &b"\0\0\0\x10\0\0\0\x01\0\0\0\0\0\x01\0\x03\0\0\0\x0c"[..],
            b"\0\0\0\x2b\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x01\0\x09127.0.0.1\0\0",
            &port.to_be_bytes(),
            b"\xff\xff\0\0\0\0\0\x01\0\0\0\0",
        ]
        .concat(),
        // ApiVersions: SaslHandshake too; then it takes PLAIN.
        Wire::KafkaLogin => [
            &b"\0\0\0\x16\0\0\0\x01\0\0\0\0\0\x02\0\x03\0\0\0\x0c\0\x11\0\0\0\x01"[..],
            b"\0\0\0\x11\0\0\0\x02\0\0\0\0\0\x01\0\x05PLAIN",
        ]
        .concat(),
        // Settings, `:status: 200`, SERVING, `grpc-status: 0`.
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
        Wire::Mqtt => b"\x20\x02\0\0".to_vec(),
        // The root DSE, then the end of the search.
        Wire::Ldap => {
            b"\x30\x09\x02\x01\x01\x64\x04\x04\0\x30\0\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\0\x04\0\x04\0".to_vec()
        }
        Wire::Tls => Vec::new(),
    }
}

/// What a server in order may say any number of times before its answer.
fn preamble(protocol: &Protocol) -> Vec<u8> {
    match protocol.wire {
        Wire::Tcp | Wire::Http => b"X-Field: value\r\n".to_vec(),
        Wire::Redis => b":1\r\n".to_vec(),
        Wire::Postgres => postgres_message(b'N', b"SNOTICE\0C00000\0Mpatience\0\0"),
        Wire::Mysql => mysql_packet(0, b"\x01x"),
        // A heartbeat.
        Wire::Amqp => b"\x08\0\0\0\0\0\0\xce".to_vec(),
        Wire::Mongodb => mongodb_message(b"\x10ok\0\x01\0\0\0"),
        Wire::Kafka | Wire::KafkaLogin => b"\0\0\0\x06\0\0\0\x09\0\0".to_vec(),
        Wire::Grpc => b"\0\0\0\x04\0\0\0\0\0".to_vec(),
        Wire::Nats => b"INFO {}\r\n".to_vec(),
        Wire::Memcached => b"STAT pid 1\r\n".to_vec(),
        Wire::Smtp => b"220-patience\r\n".to_vec(),
        // PINGRESP
        Wire::Mqtt => b"\xd0\0".to_vec(),
        Wire::Ldap => b"\x30\x09\x02\x01\x01\x64\x04\x04\0\x30\0".to_vec(),
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
        Wire::Tcp
        | Wire::Http
        | Wire::Memcached
        | Wire::Tls
        | Wire::Mongodb
        | Wire::Kafka
        | Wire::KafkaLogin
        | Wire::Mqtt
        | Wire::Ldap
        | Wire::Grpc => {
            conn.send(&answer(protocol, conn.port()));
        }
        // In TLS the answer to the login is all that is due, and of MySQL that to a statement.
        Wire::Mysql | Wire::Nats if protocol.layer == Layer::WithinTls => {
            conn.send(&answer(protocol, conn.port()));
            if protocol.wire == Wire::Mysql {
                read_request(conn);
                conn.send(&mysql_packet(1, &[0, 0, 0, 2, 0, 0, 0]));
            }
        }
        Wire::Smtp => {
            conn.send(&answer(protocol, conn.port()));
            read_request(conn);
            conn.send(b"250 mail.example\r\n");
        }
        Wire::Redis => {
            conn.send(b"+PONG\r\n");
            read_request(conn);
            conn.send(b":1\r\n");
        }
        Wire::Mysql => {
            conn.send(&answer(protocol, conn.port()));
            read_request(conn);
            conn.send(&mysql_packet(2, &[0, 0, 0, 2, 0, 0, 0]));
            read_request(conn);
            conn.send(&mysql_packet(1, &[0, 0, 0, 2, 0, 0, 0]));
        }
        Wire::Amqp => {
            let tune = amqp_method(0, 10, 30, &[7, 0xff, 0, 2, 0, 0, 0, 60]);
            let declared = amqp_method(1, 50, 11, b"\x01q\0\0\0\0\0\0\0\0");
            let opened = [amqp_method(0, 10, 41, b"\0"), amqp_method(1, 20, 11, b"\0\0\0\0")].concat();
            let returned = amqp_method(1, 60, 50, b"\x01\x38\x08NO_ROUTE\0\x01q");
            conn.send(&[answer(protocol, conn.port()), tune, opened, declared, returned].concat());
        }
        Wire::Nats => {
            conn.send(&answer(protocol, conn.port()));
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
            let answer = answer(protocol, conn.port());
            if stage != Stage::Accept {
                read_first_request(protocol, &mut conn);
            }
            let sent = match stage {
                Stage::Accept | Stage::Request => 0,
                Stage::FirstByte => 1,
                Stage::MidHeader => 4.min(answer.len() - 1),
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
                Wire::Mysql => b"\xff\xff\xff\0".to_vec(),
                Wire::Amqp => [&b"\x01\0\0"[..], &TWO_GIB.to_be_bytes()].concat(),
                Wire::Mongodb => TWO_GIB.to_le_bytes().to_vec(),
                Wire::Kafka | Wire::KafkaLogin => TWO_GIB.to_be_bytes().to_vec(),
                Wire::Grpc => b"\x7f\xff\xff".to_vec(),
                Wire::Nats => b"INFO {\"x\":\"".to_vec(),
                Wire::Memcached => b"VERSION ".to_vec(),
                Wire::Smtp => b"220 ".to_vec(),
                Wire::Mqtt => b"\x20\xff\xff\xff\x7f".to_vec(),
                Wire::Ldap => [&b"\x30\x84"[..], &TWO_GIB.to_be_bytes()].concat(),
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
                Wire::Mysql => b"\n",
                Wire::Amqp => b"\x01\0\0\0\xa0\0\0",
                Wire::Mongodb => b"\0\0\xa0\0",
                Wire::Kafka | Wire::KafkaLogin => b"\0\xa0\0\0",
                Wire::Grpc => b"\0\xa0\0",
                Wire::Nats => b"INFO ",
                Wire::Memcached => b"VERSION ",
                Wire::Smtp => b"220 ",
                Wire::Mqtt => b"\x20\x80\x80\x80\x05",
                Wire::Ldap => b"\x30\x83\xa0\0\0",
                Wire::Tls => b"",
            };
            conn.send(&[begin, &vec![b'a'; 10 << 20], b"\r\n\r\n"].concat());
        }
    }
    conn.hold();
}

/// Does what a server in order does up to where the hostility begins.
fn admit(protocol: &Protocol, mut tcp: TcpStream) -> Option<Conn> {
    let again = tcp.try_clone().ok()?;
    match protocol.wire {
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
    if protocol.layer == Layer::WithinTls {
        let stream = crate::support::certificates::accept(&ACCEPTOR, tcp)?;
        return Some(Conn { tcp: again, io: Box::new(stream) });
    }
    Some(Conn { tcp: again, io: Box::new(tcp) })
}

type Acceptor = Arc<rustls::ServerConfig>;

static ACCEPTOR: LazyLock<Acceptor> = LazyLock::new(|| {
    let ca = crate::support::certificates::Ca::new();
    crate::support::certificates::acceptor(&ca.issue("localhost", &["127.0.0.1"]))
});

/// A run, and what it took.
struct Measured {
    run: Finished,
    /// The most memory that it had, in KiB.
    memory: u64,
    /// For how long its helpers had no processor: the main thread waits for them where they hold a lock.
    withheld: Duration,
}

impl Measured {
    /// How much later than the deadline it ended by itself.
    fn late(&self) -> Duration {
        self.run.taken_where_withheld(self.run.withheld + self.withheld).saturating_sub(DEADLINE)
    }
}

/// Runs the gate to its end.
fn measured(run: Run) -> Measured {
    let running = run.spawn();
    let pid = running.pid();
    let (status, tasks) = (format!("/proc/{pid}/status"), format!("/proc/{pid}/task"));
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    // Between vfork and exec its memory is that of the tests; the name changes after the memory does.
    let name = executable().file_name().unwrap().to_str().unwrap().chars().take(15).collect::<String>();
    let name = format!("Name:\t{name}\n");
    let watcher = thread::spawn(move || {
        let mut peak = 0;
        let mut helpers = HashMap::new();
        while !stop.load(Ordering::Relaxed) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line =
                text.strip_prefix(&name).and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmHWM:")));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            peak = peak.max(kib.unwrap_or(0));
            for task in std::fs::read_dir(&tasks).into_iter().flatten().flatten() {
                if task.file_name() != pid.to_string().as_str() {
                    helpers.insert(task.file_name(), withheld(task.path().join("schedstat")));
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        (peak, helpers.into_values().sum())
    });
    let run = running.finish();
    is_over.store(true, Ordering::Relaxed);
    let (memory, withheld) = watcher.join().unwrap();
    Measured { run, memory, withheld }
}

fn gate(url: &str, timeout: &str) -> Run {
    Run::new().target(url).args(["-t", timeout, "--attempt-timeout", "700ms", "--tls-insecure"])
}

/// How much later than it should a process ends that only sleeps until the deadline: the kernel holds up the start and the
/// end of every process while an engine moves others between control groups.
fn machine_lateness() -> thread::JoinHandle<Duration> {
    thread::spawn(|| {
        let begun = std::time::Instant::now();
        let status = std::process::Command::new("sleep").arg(DEADLINE.as_secs().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "sleep");
        begun.elapsed().saturating_sub(DEADLINE)
    })
}

/// Runs one cell: the gate is neither late nor large, does not panic, and says what is expected.
fn holds(protocol: Protocol, behaviour: Behaviour) {
    let peer = Peer::start(move |tcp, _| {
        if let Some(conn) = admit(&protocol, tcp) {
            behave(&protocol, behaviour, conn);
        }
    });
    let url = format!("{}{}{}", protocol.url.0, peer.port, protocol.url.1);
    let machine = machine_lateness();
    let first = measured(gate(&url, "1s").command(["echo", "ran"]));
    let (late, machine) = (first.late(), machine.join().expect("the sleeping process"));
    let Measured { run, memory, .. } = first;
    assert!(late <= SLACK + machine, "{late:?} late, where sleep(1) was {machine:?} late\n{}", run.stderr);
    assert!(memory < MAX_MEMORY, "{memory} KiB\n{}", run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    assert_eq!(run.stdout == "ran\n", run.status == 0, "status {}\n{}", run.status, run.stderr);
    let expected = expected(&protocol, behaviour);
    let statuses: &[i32] = match expected {
        Expected::Ready => &[0],
        Expected::ReadyOrNot => &[0, 124],
        Expected::NotReady | Expected::Pending(_) | Expected::Permanent(_) => &[124],
    };
    assert!(statuses.contains(&run.status), "status {}\n{}", run.status, run.stderr);
    let says = |said: &str, phrases: &[&str]| {
        assert!(phrases.iter().any(|phrase| said.contains(phrase)), "none of {phrases:?}\n{said}");
    };
    match expected {
        // Not the last reason alone: on a loaded machine the last attempt may run out of time.
        Expected::Pending(phrases) => says(&run.stderr, phrases),
        // It ends by itself for that reason, and no later than the deadline would have been.
        Expected::Permanent(phrases) => {
            let fast = measured(gate(&url, "20s").arg("--fail-fast"));
            let late = fast.late();
            let fast = fast.run.expect_status(1);
            says(&fast.stderr, phrases);
            assert!(late <= SLACK, "{late:?} late under --fail-fast\n{}", fast.stderr);
        }
        Expected::Ready | Expected::ReadyOrNot | Expected::NotReady => {}
    }
}

macro_rules! cells {
    ($group:ident { $($name:ident: $behaviour:expr,)* }) => {
        mod $group {
            use crate::hostile::*;

            $(
                #[test]
                fn $name() {
                    holds(super::PROTOCOL, $behaviour);
                }
            )*
        }
    };
}

macro_rules! stages {
    ($($group:ident: $stage:ident),*) => {
        $(cells! {
            $group {
                silence: Behaviour::After(Stage::$stage, Then::Silence),
                one_byte_a_second: Behaviour::After(Stage::$stage, Then::OneByteASecond),
                reset: Behaviour::After(Stage::$stage, Then::Reset),
                half_close: Behaviour::After(Stage::$stage, Then::HalfClose),
                garbage: Behaviour::After(Stage::$stage, Then::Garbage),
                endless: Behaviour::After(Stage::$stage, Then::Endless),
                tls_alert: Behaviour::After(Stage::$stage, Then::TlsAlert),
                another_protocol: Behaviour::After(Stage::$stage, Then::AnotherProtocol),
            }
        })*
    };
}

macro_rules! answers {
    () => {
        cells! {
            answers {
                endless_messages: Behaviour::Answers(Answer::EndlessMessages),
                claims_two_gib: Behaviour::Answers(Answer::ClaimsTwoGib),
                hundred_thousand_fields: Behaviour::Answers(Answer::HundredThousandFields),
                redirect_loop: Behaviour::Answers(Answer::RedirectLoop),
                ten_mib_line: Behaviour::Answers(Answer::TenMibLine),
            }
        }
    };
}

/// All is said and done once there is a connection.
macro_rules! connection {
    () => {
        stages! { accept: Accept }
    };
}

/// The hostility ends before the protocol itself begins.
macro_rules! handshake {
    () => {
        stages! { accept: Accept, request: Request, first_byte: FirstByte, mid_header: MidHeader, mid_message: MidMessage }
        answers! {}
    };
}

macro_rules! conversation {
    () => {
        handshake! {}
        stages! { success: Success }
    };
}

/// A named test for each cell of a protocol, for example `in_kafka_ssl::mid_message::reset`.
macro_rules! protocols {
    ($($name:ident: $cells:ident $wire:ident $layer:ident $before:literal $after:literal;)*) => {
        $(mod $name {
            const PROTOCOL: super::Protocol = super::Protocol {
                wire: super::Wire::$wire,
                layer: super::Layer::$layer,
                url: ($before, $after),
            };

            $cells! {}
        })*
    };
}

protocols! {
    tcp: connection Tcp Plain "tcp://127.0.0.1:" "";
    http: conversation Http Plain "http://127.0.0.1:" "/#status=200&body=ok";
    redis: conversation Redis Plain "redis://127.0.0.1:" "/#key=k";
    postgres: conversation Postgres Plain "postgres://u:p@127.0.0.1:" "/d?sslmode=disable";
    mysql: conversation Mysql Plain "mysql://u:p@127.0.0.1:" "/d?ssl-mode=DISABLED";
    amqp: conversation Amqp Plain "amqp://u:p@127.0.0.1:" "/v#queue=q";
    mongodb: conversation Mongodb Plain "mongodb://127.0.0.1:" "/?replicaSet=rs0";
    kafka: conversation Kafka Plain "kafka://127.0.0.1:" "";
    kafka_login: conversation KafkaLogin Plain "kafka://127.0.0.1:" "";
    grpc: conversation Grpc Plain "grpc://127.0.0.1:" "/my.Service";
    nats: conversation Nats Plain "nats://u:p@127.0.0.1:" "";
    memcached: conversation Memcached Plain "memcached://127.0.0.1:" "";
    smtp: conversation Smtp Plain "smtp://127.0.0.1:" "";
    https: handshake Http BeforeTls "https://127.0.0.1:" "/#status=200&body=ok";
    rediss: handshake Redis BeforeTls "rediss://127.0.0.1:" "/#key=k";
    postgres_ssl: handshake Postgres BeforeTls "postgres://u:p@127.0.0.1:" "/d?sslmode=require";
    in_https: conversation Http WithinTls "https://127.0.0.1:" "/#status=200&body=ok";
    in_rediss: conversation Redis WithinTls "rediss://127.0.0.1:" "/#key=k";
    in_postgres: conversation Postgres WithinTls "postgres://u:p@127.0.0.1:" "/d?sslmode=require";
    mysql_tls: handshake Mysql BeforeTls "mysql://u:p@127.0.0.1:" "/d?ssl-mode=REQUIRED";
    in_mysql_tls: conversation Mysql WithinTls "mysql://u:p@127.0.0.1:" "/d?ssl-mode=REQUIRED";
    amqps: handshake Amqp BeforeTls "amqps://u:p@127.0.0.1:" "/v#queue=q";
    in_amqps: conversation Amqp WithinTls "amqps://u:p@127.0.0.1:" "/v#queue=q";
    mongodb_tls: handshake Mongodb BeforeTls "mongodb://127.0.0.1:" "/?replicaSet=rs0&tls=true";
    in_mongodb_tls: conversation Mongodb WithinTls "mongodb://127.0.0.1:" "/?replicaSet=rs0&tls=true";
    kafka_ssl: handshake Kafka BeforeTls "kafka+ssl://127.0.0.1:" "";
    in_kafka_ssl: conversation Kafka WithinTls "kafka+ssl://127.0.0.1:" "";
    grpcs: handshake Grpc BeforeTls "grpcs://127.0.0.1:" "/my.Service";
    in_grpcs: conversation Grpc WithinTls "grpcs://127.0.0.1:" "/my.Service";
    nats_tls: handshake Nats BeforeTls "nats://u:p@127.0.0.1:" "";
    in_nats_tls: conversation Nats WithinTls "nats://u:p@127.0.0.1:" "";
    smtps: handshake Smtp BeforeTls "smtps://127.0.0.1:" "";
    in_smtps: conversation Smtp WithinTls "smtps://127.0.0.1:" "";
    mqtt: conversation Mqtt Plain "mqtt://u:p@127.0.0.1:" "";
    mqtts: handshake Mqtt BeforeTls "mqtts://u:p@127.0.0.1:" "";
    in_mqtts: conversation Mqtt WithinTls "mqtts://u:p@127.0.0.1:" "";
    ldap: conversation Ldap Plain "ldap://127.0.0.1:" "";
    ldaps: handshake Ldap BeforeTls "ldaps://127.0.0.1:" "";
    in_ldaps: conversation Ldap WithinTls "ldaps://127.0.0.1:" "";
    tls: handshake Tls BeforeTls "tls://127.0.0.1:" "";
    in_tls: connection Tcp WithinTls "tls://127.0.0.1:" "";
}

#[test]
fn a_file_system_that_does_not_answer_holds_up_neither_the_deadline_nor_a_signal() {
    let mount = HungMount::new();
    let path = |name: &str| mount.path(name).display().to_string();
    for target in [
        format!("file://{}", path("file")),
        format!("unix://{}", path("socket")),
        format!("redis+unix://{}", path("redis")),
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
    let sent = running.begun.elapsed();
    running.signal(nix::sys::signal::Signal::SIGTERM);
    let took = running.finish().expect_status(143).taken().saturating_sub(sent);
    assert!(took <= SLACK, "{took:?}");
}
