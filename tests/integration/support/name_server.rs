//! A name server (RFC 1035) that says what a test wants.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::network::replace;

/// What it says.
#[derive(Debug, Clone)]
pub enum Answer {
    Nothing,
    ServFail,
    NxDomain,
    /// This code, and nothing else (RFC 1035, section 4.1.1).
    Code(u8),
    /// The same without the question.
    Bare(u8),
    /// An alias of an alias, and the addresses of that.
    Aliased(Vec<IpAddr>),
    /// A reply to another question, then the right one.
    AfterForgery(Vec<IpAddr>),
    /// Those of the type that is asked for.
    Addresses(Vec<IpAddr>),
    /// Records of other types: the number of the type, and the data.
    Records(Vec<(u8, Vec<u8>)>),
    /// The same as addresses, and nothing at all where there is none of that type.
    Only(Vec<IpAddr>),
    /// The first, and that there are more than fit into a datagram; all of them over TCP, or nothing.
    Truncated(Vec<IpAddr>, Option<Vec<IpAddr>>),
}

/// What it says, and after how long.
pub type Timed = (Duration, Answer);

/// An answer that does not wait.
pub fn at_once(answer: Answer) -> Timed {
    (Duration::ZERO, answer)
}

/// A name server on 127.0.0.1, which is the only one; ends with the namespace's test.
pub struct NameServer {
    listener: Arc<TcpListener>,
    state: Arc<State>,
}

/// What it says to a name, and whether IPv6 addresses are asked for.
type Script = dyn Fn(&str, bool) -> Timed + Send + Sync;

struct State {
    stop: AtomicBool,
    over_tcp: AtomicUsize,
    answer: Box<Script>,
}

impl NameServer {
    /// Starts it, for the names of /etc/hosts as well; `options` are further lines of resolv.conf(5).
    pub fn start(options: &str, answer: impl Fn(&str) -> Timed + Send + Sync + 'static) -> Self {
        Self::by_family(options, move |name, _| answer(name))
    }

    /// The same; whether it is asked for IPv6 addresses is passed as well.
    pub fn by_family(options: &str, answer: impl Fn(&str, bool) -> Timed + Send + Sync + 'static) -> Self {
        replace("/etc/resolv.conf", &format!("nameserver 127.0.0.1\n{options}\n"));
        Self::at("127.0.0.1", answer)
    }

    /// The same at another address, of which resolv.conf(5) is yet to be told.
    pub fn at(address: &str, answer: impl Fn(&str, bool) -> Timed + Send + Sync + 'static) -> Self {
        replace("/etc/nsswitch.conf", "hosts: files dns\n");
        let socket = Arc::new(UdpSocket::bind((address, 53)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let listener = Arc::new(TcpListener::bind((address, 53)).unwrap());
        let (stop, over_tcp) = (AtomicBool::new(false), AtomicUsize::new(0));
        let state = Arc::new(State { stop, over_tcp, answer: Box::new(answer) });
        let (shared, accepting) = (Arc::clone(&state), Arc::clone(&listener));
        thread::spawn(move || serve_datagrams(&socket, &shared));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve_stream(stream, &shared));
            }
        });
        Self { listener, state }
    }

    /// How many questions have come over TCP.
    pub fn asked_over_tcp(&self) -> usize {
        self.state.over_tcp.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        drop(SockRef::from(&*self.listener).shutdown(Shutdown::Both));
    }
}

fn serve_datagrams(socket: &Arc<UdpSocket>, state: &Arc<State>) {
    while !state.stop.load(Ordering::SeqCst) {
        let mut query = [0; 512];
        let Ok((length, client)) = socket.recv_from(&mut query) else { continue };
        let (socket, state) = (Arc::clone(socket), Arc::clone(state));
        thread::spawn(move || {
            let query = &query[..length];
            let (after, answer) = (state.answer)(&name_of(query), is_for_v6(query));
            thread::sleep(after);
            if let Answer::AfterForgery(_) = answer {
                let mut forged = reply(query, &Answer::NxDomain).unwrap();
                forged[0] ^= 1;
                drop(socket.send_to(&forged, client));
            }
            if let Some(reply) = reply(query, &answer) {
                drop(socket.send_to(&reply, client));
            }
        });
    }
}

/// Questions and answers with their lengths before them (RFC 1035, section 4.2.2).
fn serve_stream(mut stream: TcpStream, state: &State) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        state.over_tcp.fetch_add(1, Ordering::SeqCst);
        let (after, answer) = (state.answer)(&name_of(&query), is_for_v6(&query));
        thread::sleep(after);
        let answer = match answer {
            Answer::Truncated(_, None) => return,
            Answer::Truncated(_, Some(all)) => Answer::Addresses(all),
            other => other,
        };
        let Some(reply) = reply(&query, &answer) else { continue };
        let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
        if stream.write_all(&[&length[..], &reply].concat()).is_err() {
            return;
        }
    }
}

/// The name of the question (RFC 1035, section 4.1.2), with its last dot.
fn name_of(query: &[u8]) -> String {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name.push_str(&String::from_utf8_lossy(&query[at + 1..=at + length]));
        name.push('.');
        at += length + 1;
    }
    name
}

/// Whether it asks for AAAA.
fn is_for_v6(query: &[u8]) -> bool {
    query[12 + name_of(query).len() + 2] == 28
}

/// The reply to a query with one question (RFC 1035, section 4.1).
fn reply(query: &[u8], answer: &Answer) -> Option<Vec<u8>> {
    const TRUNCATED: u8 = 2;
    let end = 12 + name_of(query).len() + 1 + 4;
    let kind = query[end - 3];
    let (flags, rcode, addresses) = match answer {
        Answer::Nothing => return None,
        Answer::ServFail => (0, 2, &[][..]),
        Answer::NxDomain => (0, 3, &[][..]),
        Answer::Code(code) => (0, *code, &[][..]),
        Answer::Bare(code) => return Some([&query[..2], &[0x81, 0x80 | code, 0, 0, 0, 0, 0, 0, 0, 0]].concat()),
        Answer::Addresses(addresses)
        | Answer::Only(addresses)
        | Answer::Aliased(addresses)
        | Answer::AfterForgery(addresses) => (0, 0, addresses.as_slice()),
        Answer::Records(_) => (0, 0, &[][..]),
        Answer::Truncated(first, _) => (TRUNCATED, 0, first.as_slice()),
    };
    let records = addresses.iter().filter_map(|address| match (kind, address) {
        (1, IpAddr::V4(v4)) => Some(v4.octets().to_vec()),
        (28, IpAddr::V6(v6)) => Some(v6.octets().to_vec()),
        _ => None,
    });
    let mut records: Vec<Vec<u8>> = records.collect();
    if let Answer::Records(others) = answer {
        records.extend(others.iter().filter(|(other, _)| *other == kind).map(|(_, data)| data.clone()));
    }
    if records.is_empty() && matches!(answer, Answer::Only(_)) {
        return None;
    }
    let aliases: &[&[u8]] = match answer {
        // `a` and then `b`, in the place of the name.
        Answer::Aliased(_) => &[
            &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 3, 1, b'a', 0],
            &[1, b'A', 0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 3, 1, b'b', 0],
        ],
        _ => &[],
    };
    let owner: &[u8] = if aliases.is_empty() { &[0xc0, 12] } else { &[1, b'b', 0] };
    let mut out = query[..2].to_vec();
    let count = u8::try_from(aliases.len() + records.len()).unwrap();
    out.extend([0x81 | flags, 0x80 | rcode, 0, 1, 0, count, 0, 0, 0, 0]);
    out.extend(&query[12..end]);
    out.extend(aliases.concat());
    for data in records {
        out.extend(owner);
        out.extend([0, kind, 0, 1, 0, 0, 0, 1, 0, u8::try_from(data.len()).unwrap()]);
        out.extend(data);
    }
    Some(out)
}
