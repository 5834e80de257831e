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
    /// Those of the type that is asked for.
    Addresses(Vec<IpAddr>),
    /// The same, and nothing at all where there is none of that type.
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

struct State {
    stop: AtomicBool,
    over_tcp: AtomicUsize,
    answer: Box<dyn Fn(&str) -> Timed + Send + Sync>,
}

impl NameServer {
    /// Starts it, for the names of /etc/hosts as well; `options` are further lines of resolv.conf(5).
    pub fn start(options: &str, answer: impl Fn(&str) -> Timed + Send + Sync + 'static) -> Self {
        replace("/etc/resolv.conf", &format!("nameserver 127.0.0.1\n{options}\n"));
        replace("/etc/nsswitch.conf", "hosts: files dns\n");
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:53").unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let listener = Arc::new(TcpListener::bind("127.0.0.1:53").unwrap());
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
            let (after, answer) = (state.answer)(&name_of(query));
            thread::sleep(after);
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
        let (after, answer) = (state.answer)(&name_of(&query));
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

/// The reply to a query with one question (RFC 1035, section 4.1).
fn reply(query: &[u8], answer: &Answer) -> Option<Vec<u8>> {
    const TRUNCATED: u8 = 2;
    let end = 12 + name_of(query).len() + 1 + 4;
    let kind = query[end - 3];
    let (flags, rcode, addresses) = match answer {
        Answer::Nothing => return None,
        Answer::ServFail => (0, 2, &[][..]),
        Answer::NxDomain => (0, 3, &[][..]),
        Answer::Addresses(addresses) | Answer::Only(addresses) => (0, 0, addresses.as_slice()),
        Answer::Truncated(first, _) => (TRUNCATED, 0, first.as_slice()),
    };
    let records = addresses.iter().filter_map(|address| match (kind, address) {
        (1, IpAddr::V4(v4)) => Some(v4.octets().to_vec()),
        (28, IpAddr::V6(v6)) => Some(v6.octets().to_vec()),
        _ => None,
    });
    let records: Vec<Vec<u8>> = records.collect();
    if records.is_empty() && matches!(answer, Answer::Only(_)) {
        return None;
    }
    let mut out = query[..2].to_vec();
    out.extend([0x81 | flags, 0x80 | rcode, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(&query[12..end]);
    for data in records {
        out.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, u8::try_from(data.len()).unwrap()]);
        out.extend(data);
    }
    Some(out)
}
