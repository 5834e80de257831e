//! A resolver of our own, for the static build: musl's gives up where one of the two families has no answer,
//! reads hosts files and search lists of limited lengths, and knows no deadline.
//!
//! It asks for each family by itself, side by side, and goes on with the one that was answered (RFC 8305,
//! section 3). Everything is done by whoever calls, with poll(2): no look-up goes on behind an attempt's back.
//! One that its attempt's time did not suffice for is taken up by the next attempt, with its sockets.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use socket2::{Domain, SockAddr, Socket, Type};

use super::files::Conf;
use super::host::conf;
use super::trouble::{Trouble, is_out_of_descriptors};
use super::wire::{DnsReply, Question, Record, RecordType};
use crate::net::errno::{errno_of, name_of};
use crate::{clock, os};

/// How long one name server may be silent before the next is asked beside it.
const STAGGER: Duration = Duration::from_millis(300);
/// After how long silent servers are asked again; each time it is twice as long.
const AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for the other family after one has addresses (RFC 8305, section 3).
const OTHER_FAMILY: Duration = Duration::from_millis(50);
/// How long to wait for the other family at least after one was told that there is no such name.
const NO_NAME: Duration = Duration::from_millis(300);
/// The longest message.
const MAX_MESSAGE: usize = 65_535;

/// The look-up of one name, which may be interrupted.
#[derive(Debug)]
pub(crate) struct NameLookup {
    conf: Conf,
    wanted: Vec<RecordType>,
    candidates: std::vec::IntoIter<String>,
    ask: Option<Ask>,
    trouble: Option<Trouble>,
    /// Which name server gave the records, and of which whole name.
    pub(crate) answered: Option<String>,
}

impl NameLookup {
    /// A look-up of `name` as /etc/resolv.conf wants it. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// There is no descriptor to read it with.
    pub(crate) fn new(name: &str) -> Result<Self, Trouble> {
        let mut conf = conf()?;
        if conf.rotate {
            let by = usize::from(random()) % conf.servers.len();
            conf.servers.rotate_left(by);
        }
        let candidates = conf.candidates(name).into_iter();
        let wanted = if conf.no_aaaa { vec![RecordType::A] } else { vec![RecordType::Aaaa, RecordType::A] };
        Ok(Self { conf, wanted, candidates, ask: None, trouble: None, answered: None })
    }

    /// The same of records of one type.
    ///
    /// # Errors
    ///
    /// As [`NameLookup::new`].
    pub(crate) fn of_records(name: &str, wanted: RecordType) -> Result<Self, Trouble> {
        Ok(Self { wanted: vec![wanted], ..Self::new(name)? })
    }

    /// Goes on until `until`, and gives the records, or why there are none; `None` if the time is up.
    pub(crate) fn run(&mut self, until: Instant) -> Option<Result<Vec<Record>, Trouble>> {
        // A verdict that came while nobody listened counts, even if the servers' time is over.
        for inquiry in self.ask.iter_mut().flat_map(Ask::undecided) {
            inquiry.hear();
        }
        loop {
            let now = clock::now();
            let ask = match &mut self.ask {
                Some(ask) => ask,
                None => match self.candidates.next() {
                    Some(name) => self.ask.insert(Ask::new(&name, &self.conf, &self.wanted, now)),
                    None => return Some(Err(self.trouble.take().unwrap_or_else(Trouble::no_name))),
                },
            };
            ask.send_what_is_due(&self.conf, now);
            match ask.end(&self.conf, now) {
                Some(Ok(records)) => {
                    self.answered = ask.answered();
                    return Some(Ok(records));
                }
                Some(Err(trouble)) if trouble.ends_search => return Some(Err(trouble)),
                Some(Err(trouble)) => {
                    // The trouble that proves the least counts: a name that could not be asked about may exist.
                    if self.trouble.as_ref().is_none_or(|known| known.weight() < trouble.weight()) {
                        self.trouble = Some(trouble);
                    }
                    self.ask = None;
                }
                None if now >= until => return None,
                None => ask.listen(&self.conf, until),
            }
        }
    }
}

/// The questions for one whole name.
#[derive(Debug)]
struct Ask {
    name: String,
    begun: Instant,
    inquiries: Vec<Inquiry>,
}

/// The question for one family.
#[derive(Debug)]
struct Inquiry {
    question: Question,
    verdict: Option<Finding>,
    /// When that came.
    decided: Instant,
    exchanges: Vec<Exchange>,
    /// The reason of each server that failed.
    failed: Vec<Option<String>>,
    /// The server that decided it.
    answered: Option<IpAddr>,
    /// How many turns there were: each server has its turn, again and again.
    turns: usize,
    /// When the next turn is.
    due: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Records(Vec<Record>),
    NoName,
    Failed(String),
    OutOfDescriptors,
    Silent,
}

impl Ask {
    fn new(name: &str, conf: &Conf, wanted: &[RecordType], now: Instant) -> Self {
        let inquiries = wanted.iter().filter_map(|&wanted| {
            Some(Inquiry {
                question: Question::new(random(), name, wanted)?,
                verdict: None,
                decided: now,
                exchanges: Vec::new(),
                failed: vec![None; conf.servers.len()],
                answered: None,
                turns: 0,
                due: now,
            })
        });
        // There are no questions for what can be no name.
        Self { name: name.to_owned(), begun: now, inquiries: inquiries.collect() }
    }

    /// Which name server gave records, and of which whole name.
    fn answered(&self) -> Option<String> {
        let server = self.inquiries.iter().find_map(|inquiry| inquiry.answered)?;
        Some(format!("{} by the name server {server}", self.name))
    }

    fn undecided(&mut self) -> impl Iterator<Item = &mut Inquiry> {
        self.inquiries.iter_mut().filter(|inquiry| inquiry.verdict.is_none())
    }

    /// When nothing is awaited any more.
    fn gives_up(&self, conf: &Conf) -> Instant {
        let servers = u32::try_from(conf.servers.len()).unwrap_or(1);
        self.begun + conf.timeout * conf.attempts * servers
    }

    fn send_what_is_due(&mut self, conf: &Conf, now: Instant) {
        let (begun, is_over) = (self.begun, now >= self.gives_up(conf));
        for inquiry in self.undecided() {
            if is_over {
                inquiry.decide(inquiry.failure().unwrap_or(Finding::Silent));
            }
            while inquiry.verdict.is_none() && inquiry.due <= now {
                inquiry.take_turn(conf, begun, now);
            }
        }
    }

    /// Until when this is worth waiting for, once one of the families is decided; `None` if the end has come.
    fn patience(&self, conf: &Conf) -> Option<Instant> {
        let mut until = self.gives_up(conf);
        if self.inquiries.iter().all(|inquiry| inquiry.verdict.is_some()) {
            return None;
        }
        for inquiry in &self.inquiries {
            match &inquiry.verdict {
                Some(Finding::OutOfDescriptors) => return None,
                Some(Finding::Records(records)) if !records.is_empty() => {
                    until = until.min(inquiry.decided + OTHER_FAMILY);
                }
                // There is no such name for the other family either, if the server is right.
                Some(Finding::NoName) => {
                    let took = inquiry.decided.saturating_duration_since(self.begun);
                    until = until.min(inquiry.decided + NO_NAME + 3 * took);
                }
                _ => {}
            }
        }
        Some(until)
    }

    /// The records, addresses of IPv6 first, or why there are none, once that is known.
    fn end(&self, conf: &Conf, now: Instant) -> Option<Result<Vec<Record>, Trouble>> {
        if self.patience(conf).is_some_and(|until| now < until) {
            return None;
        }
        let mut records = Vec::new();
        let mut trouble = Trouble::no_name();
        for inquiry in &self.inquiries {
            let own = match &inquiry.verdict {
                Some(Finding::Records(found)) => {
                    records.extend(found.iter().cloned());
                    Trouble::no_address()
                }
                Some(Finding::NoName) => continue,
                Some(Finding::Failed(text)) => Trouble::failed(text.clone()),
                Some(Finding::OutOfDescriptors) => Trouble::out_of_descriptors(),
                Some(Finding::Silent) | None => {
                    let is_denied = self.inquiries.iter().any(|inquiry| inquiry.verdict == Some(Finding::NoName));
                    Trouble::silent(&conf.servers, !is_denied)
                }
            };
            if own.weight() > trouble.weight() {
                trouble = own;
            }
        }
        Some(if records.is_empty() { Err(trouble) } else { Ok(records) })
    }

    /// Waits for something to be said or to be due, and hears it.
    fn listen(&mut self, conf: &Conf, until: Instant) {
        let patience = self.patience(conf).unwrap_or(until);
        let due = self.undecided().map(|inquiry| inquiry.due).min().unwrap_or(until);
        let exchanges = self.inquiries.iter().flat_map(|inquiry| &inquiry.exchanges);
        let mut fds: Vec<PollFd<'_>> =
            exchanges.map(|exchange| PollFd::new(exchange.socket.as_fd(), exchange.awaits())).collect();
        // An interruption, or what poll(2) says else, shows itself at the sockets and the clock.
        let _ = poll(&mut fds, os::poll_timeout(due.min(patience).min(until)));
        for inquiry in self.undecided() {
            inquiry.hear();
        }
    }
}

impl Inquiry {
    fn decide(&mut self, verdict: Finding) {
        self.verdict = Some(verdict);
        self.decided = clock::now();
        self.exchanges.clear();
    }

    /// The reason of the first server, once each has failed.
    fn failure(&self) -> Option<Finding> {
        let reasons = self.failed.iter().cloned().collect::<Option<Vec<String>>>()?;
        Some(Finding::Failed(reasons.into_iter().next()?))
    }

    /// Asks the server whose turn it is, unless it has failed.
    fn take_turn(&mut self, conf: &Conf, begun: Instant, now: Instant) {
        let count = conf.servers.len();
        let server = self.turns % count;
        self.turns += 1;
        if let Some(failure) = self.failure() {
            return self.decide(failure);
        }
        if self.failed[server].is_some() {
            return;
        }
        let (round, place) = (self.turns / count, self.turns % count);
        let round_of = AGAIN.max(STAGGER * u32::try_from(count).unwrap_or(1));
        // So many rounds take days; /etc/resolv.conf can have servers waited for 20 minutes at most.
        let doublings = u32::try_from(round).unwrap_or(u32::MAX).min(20);
        let after = round_of * (2_u32.pow(doublings) - 1) + STAGGER * u32::try_from(place).unwrap_or(0);
        // Turns that an interrupted look-up missed do not come all at once.
        self.due = (begun + after).max(now + STAGGER);
        if let Err(error) = self.ask(server, conf.servers[server], conf.use_vc) {
            self.server_failed(server, conf.servers[server], &error);
        }
    }

    fn ask(&mut self, server: usize, address: SocketAddr, over_tcp: bool) -> io::Result<()> {
        if let Some(exchange) = self.exchanges.iter().find(|exchange| exchange.server == server) {
            return match exchange.channel {
                Channel::Datagrams => exchange.send(&self.question),
                // The question is under way, and TCP repeats by itself.
                _ => Ok(()),
            };
        }
        let exchange = Exchange::open(server, address, over_tcp)?;
        if exchange.channel == Channel::Datagrams {
            exchange.send(&self.question)?;
        }
        self.exchanges.push(exchange);
        Ok(())
    }

    fn server_failed(&mut self, server: usize, address: SocketAddr, error: &io::Error) {
        if is_out_of_descriptors(error) {
            return self.decide(Finding::OutOfDescriptors);
        }
        let mut of_server = self.exchanges.iter().filter(|exchange| exchange.server == server);
        let is_cut = of_server.any(|exchange| exchange.is_cut);
        let what = match error.kind() {
            io::ErrorKind::ConnectionRefused if is_cut => {
                "gives a part of the answer, and refuses the TCP connection for the whole".to_owned()
            }
            io::ErrorKind::ConnectionRefused => "refuses questions".to_owned(),
            io::ErrorKind::UnexpectedEof => "closed the connection".to_owned(),
            io::ErrorKind::InvalidData => format!("answers {error}"),
            _ => format!("cannot be asked: {}", name_of(errno_of(error))),
        };
        self.failed[server] = Some(format!("the name server {} {what}", address.ip()));
        self.exchanges.retain(|exchange| exchange.server != server);
        // The next one's turn is now; where all have failed, that is seen then.
        self.due = clock::now();
    }

    /// Takes what has come.
    fn hear(&mut self) {
        let mut index = 0;
        while let Some(exchange) = self.exchanges.get_mut(index) {
            let (server, address) = (exchange.server, exchange.address);
            let heard = exchange.hear(&self.question).and_then(|reply| match reply {
                Some(DnsReply::Truncated) => {
                    exchange.is_cut = true;
                    *exchange = Exchange { is_cut: true, ..Exchange::open(server, address, true)? };
                    Ok(None)
                }
                Some(DnsReply::Failed(code)) => Err(io::Error::new(io::ErrorKind::InvalidData, code)),
                reply => Ok(reply),
            });
            match heard {
                Ok(Some(DnsReply::Records(found))) => {
                    self.answered = Some(address.ip()).filter(|_| !found.is_empty());
                    return self.decide(Finding::Records(found));
                }
                Ok(Some(_)) => return self.decide(Finding::NoName),
                Ok(None) => index += 1,
                Err(error) => {
                    self.server_failed(server, address, &error);
                    if self.verdict.is_some() {
                        return;
                    }
                }
            }
        }
    }
}

/// A server that is asked.
#[derive(Debug)]
struct Exchange {
    server: usize,
    address: SocketAddr,
    /// Connected, so that the kernel drops what others send; its port is random.
    socket: Socket,
    channel: Channel,
    /// Whether the answer was too long for a datagram: the whole is asked for over TCP.
    is_cut: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Channel {
    Datagrams,
    /// How much of the question is written.
    Writing(usize),
    /// The part of the reply that is read.
    Reading(Vec<u8>),
}

impl Exchange {
    fn open(server: usize, address: SocketAddr, over_tcp: bool) -> io::Result<Self> {
        let (kind, channel) =
            if over_tcp { (Type::STREAM, Channel::Writing(0)) } else { (Type::DGRAM, Channel::Datagrams) };
        let socket = os::socket(Domain::for_address(address), kind)?;
        match socket.connect(&SockAddr::from(address)) {
            Err(error) if errno_of(&error) != Errno::EINPROGRESS => Err(error),
            _ => Ok(Self { server, address, socket, channel, is_cut: false }),
        }
    }

    fn send(&self, question: &Question) -> io::Result<()> {
        match (&self.socket).write(&question.to_bytes()) {
            // A question that is not sent is as good as lost on the way: there is another turn.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other.map(drop),
        }
    }

    fn awaits(&self) -> PollFlags {
        match self.channel {
            Channel::Writing(_) => PollFlags::POLLOUT,
            Channel::Datagrams | Channel::Reading(_) => PollFlags::POLLIN,
        }
    }

    /// The reply, if it has come.
    fn hear(&mut self, question: &Question) -> io::Result<Option<DnsReply>> {
        match self.go_on(question) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => Ok(None),
            other => other,
        }
    }

    fn go_on(&mut self, question: &Question) -> io::Result<Option<DnsReply>> {
        match &mut self.channel {
            Channel::Datagrams => {
                let mut message = vec![0; MAX_MESSAGE];
                loop {
                    let n = self.socket.read(&mut message)?;
                    // Anybody may have sent a message that is no reply to this question.
                    if let Some(reply) = question.reply(&message[..n]) {
                        return Ok(Some(reply));
                    }
                }
            }
            Channel::Writing(written) => {
                if let Some(error) = self.socket.take_error()? {
                    return Err(error);
                }
                let message = framed(&question.to_bytes());
                *written += self.socket.write(&message[*written..])?;
                if *written == message.len() {
                    self.channel = Channel::Reading(Vec::new());
                }
                Ok(None)
            }
            Channel::Reading(got) => loop {
                let mut piece = [0; 4096];
                let n = self.socket.read(&mut piece)?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                got.extend_from_slice(&piece[..n]);
                if let Some(message) = unframed(got) {
                    return match question.reply(message) {
                        Some(DnsReply::Truncated) | None => Err(io::Error::new(io::ErrorKind::InvalidData, "garbage")),
                        reply => Ok(reply),
                    };
                }
            },
        }
    }
}

/// A message with its length before it (RFC 1035, section 4.2.2).
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), message].concat()
}

fn unframed(got: &[u8]) -> Option<&[u8]> {
    let (length, rest) = got.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// A number that nobody else can guess: the hasher's keys are the system's random bytes.
fn random() -> u16 {
    let [a, b, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
    u16::from_be_bytes([a, b])
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;
    use crate::wait::outcome::Kind;

    const MS: Duration = Duration::from_millis(1);
    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(30);
    const A: [RecordType; 1] = [RecordType::A];
    const BOTH: [RecordType; 2] = [RecordType::Aaaa, RecordType::A];

    // The flags of a reply.
    const OK: u16 = 0x8180;
    const SERVFAIL: u16 = 0x8182;
    const NXDOMAIN: u16 = 0x8183;
    const NOTIMP: u16 = 0x8184;
    const REFUSED: u16 = 0x8185;
    const TRUNCATED: u16 = 0x8380;

    // The one address of each family, and its record for the name that is asked for.
    const V4: &str = "10.0.0.1";
    const V6: &str = "fd00::1";
    const V4_RECORD: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x0a\0\0\x01";
    const V6_RECORD: &[u8] = b"\xc0\x0c\0\x1c\0\x01\0\0\0\0\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";

    fn addresses(all: &[&str]) -> Vec<Record> {
        all.iter().map(|ip| Record::Address(ip.parse().unwrap())).collect()
    }

    /// A question as a name server hears it.
    #[derive(Debug, Clone)]
    struct Heard {
        message: Vec<u8>,
        over_tcp: bool,
    }

    impl Heard {
        fn from_datagram(server: &UdpSocket) -> (Self, SocketAddr) {
            let mut message = vec![0; 512];
            let (n, from) = server.recv_from(&mut message).unwrap();
            message.truncate(n);
            (Self { message, over_tcp: false }, from)
        }

        fn from_stream(stream: &mut TcpStream) -> io::Result<Self> {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut message)?;
            Ok(Self { message, over_tcp: true })
        }

        fn name(&self) -> String {
            let labels = &self.message[13..self.message.len() - 5];
            // The labels are short: their lengths are no letters.
            labels.iter().map(|&byte| if byte < 32 { '.' } else { char::from(byte) }).collect()
        }

        fn is_v6(&self) -> bool {
            self.message[self.message.len() - 3] == 28
        }

        /// The reply with these flags, and with the address so many times.
        fn reply(&self, flags: u16, count: u8) -> Vec<u8> {
            let mut reply = self.message.clone();
            reply[2..4].copy_from_slice(&flags.to_be_bytes());
            reply[7] = count;
            let record = if self.is_v6() { V6_RECORD } else { V4_RECORD };
            reply.extend(record.repeat(count.into()));
            if self.over_tcp { framed(&reply) } else { reply }
        }

        /// The address, or what these flags say of it.
        fn says(&self, flags: u16) -> Vec<Vec<u8>> {
            vec![self.reply(flags, u8::from(flags == OK))]
        }

        /// These bytes, but over TCP alone.
        fn says_over_tcp(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
            if self.over_tcp { vec![bytes.to_vec()] } else { self.says(TRUNCATED) }
        }
    }

    /// The messages that a name server sends in answer to a question; it closes a TCP connection after them.
    type Script = fn(&Heard) -> Vec<Vec<u8>>;

    /// A name server that follows its script, and what it hears; its threads end with the process.
    fn server(script: Script) -> (SocketAddr, Receiver<Heard>) {
        start(script, true)
    }

    /// The same, where TCP may be refused.
    fn start(script: Script, has_tcp: bool) -> (SocketAddr, Receiver<Heard>) {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let tcp = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            if tcp.bind(&udp.local_addr().unwrap().into()).is_ok() {
                break (udp, tcp);
            }
        };
        let (address, (hears, heard)) = (udp.local_addr().unwrap(), channel());
        if has_tcp {
            tcp.listen(8).unwrap();
            let (listener, hears) = (TcpListener::from(tcp.try_clone().unwrap()), hears.clone());
            thread::spawn(move || {
                while let Ok((mut stream, _)) = listener.accept() {
                    // Where this fails, nobody waits any more.
                    let Ok(question) = Heard::from_stream(&mut stream) else { continue };
                    let _ = hears.send(question.clone());
                    let _ = stream.write_all(&script(&question).concat());
                }
            });
        }
        thread::spawn(move || {
            // Where nobody listens, it keeps the port from others.
            let _tcp = tcp;
            loop {
                let (question, from) = Heard::from_datagram(&udp);
                let _ = hears.send(question.clone());
                for message in script(&question) {
                    let _ = udp.send_to(&message, from);
                }
            }
        });
        (address, heard)
    }

    /// Name servers that say nothing by themselves, and their addresses.
    fn silent(count: usize) -> (Vec<UdpSocket>, Vec<SocketAddr>) {
        let sockets: Vec<_> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for socket in &sockets {
            socket.set_read_timeout(Some(LONG)).unwrap();
        }
        let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        (sockets, addresses)
    }

    fn hears_nothing(server: &UdpSocket) -> bool {
        server.set_nonblocking(true).unwrap();
        server.recv(&mut [0; 512]).is_err()
    }

    /// Each server is waited for five seconds, and twice.
    fn conf(servers: &[SocketAddr]) -> Conf {
        Conf { servers: servers.to_vec(), ..Conf::parse("search a b", "", &|_| None) }
    }

    fn lookup(name: &str, conf: Conf) -> NameLookup {
        let candidates = conf.candidates(name).into_iter();
        NameLookup { conf, wanted: A.to_vec(), candidates, ask: None, trouble: None, answered: None }
    }

    fn run(lookup: &mut NameLookup) -> Result<Vec<Record>, Trouble> {
        lookup.run(clock::now() + LONG).expect("it ends before its time is up")
    }

    /// The look-up with its first questions sent, at a time to come: before that, no other is due by time alone.
    fn asked(mut lookup: NameLookup) -> NameLookup {
        let (name, begun) = (lookup.candidates.next().unwrap(), clock::now() + 2 * LONG);
        let ask = lookup.ask.insert(Ask::new(&name, &lookup.conf, &lookup.wanted, begun));
        ask.send_what_is_due(&lookup.conf, begun);
        lookup
    }

    /// The questions for both families, with a verdict of each or none, after `took`.
    fn decided(conf: &Conf, took: Duration, verdicts: [Option<Finding>; 2]) -> Ask {
        let mut ask = Ask::new("db", conf, &BOTH, clock::now());
        for (inquiry, verdict) in ask.inquiries.iter_mut().zip(verdicts) {
            (inquiry.verdict, inquiry.decided) = (verdict, ask.begun + took);
        }
        ask
    }

    fn found(all: &[&str]) -> Finding {
        Finding::Records(addresses(all))
    }

    fn failed() -> Finding {
        Finding::Failed("SERVFAIL".to_owned())
    }

    #[test]
    fn silent_servers_are_asked_in_turn_and_each_round_waits_twice_as_long() {
        for (count, all) in [
            // Five seconds for each, and twice.
            (1, &[0, 1000, 3000, 7000][..]),
            (2, &[0, 300, 1000, 1300, 3000, 3300, 7000, 7300, 15_000, 15_300]),
            (4, &[0, 300, 600, 900, 1200, 1500, 1800, 2100, 3600, 3900, 4200, 4500]),
        ] {
            let (sockets, addresses) = silent(count);
            let conf = conf(&addresses);
            let mut ask = Ask::new("db", &conf, &A, clock::now());
            let mut askers = vec![None; count];
            for (turn, at) in all.iter().enumerate() {
                assert_eq!(ask.inquiries[0].due, ask.begun + *at * MS, "turn {turn} of {count}");
                ask.send_what_is_due(&conf, ask.inquiries[0].due);
                let asker = Heard::from_datagram(&sockets[turn % count]).1;
                assert_eq!(*askers[turn % count].get_or_insert(asker), asker, "the socket hears late answers as well");
            }
            ask.send_what_is_due(&conf, ask.begun + 10_000 * MS * u32::try_from(count).unwrap());
            assert_eq!(ask.inquiries[0].verdict, Some(Finding::Silent));
            assert!(sockets.iter().all(hears_nothing));
        }
    }

    #[test]
    fn the_pauses_grow_for_as_long_as_servers_may_be_silent() {
        let (_sockets, servers) = silent(2);
        let conf = Conf { timeout: Duration::from_secs(30), attempts: 5, ..conf(&servers) };
        let mut ask = Ask::new("db", &conf, &A, clock::now());
        let mut turns = 0;
        while ask.inquiries[0].verdict.is_none() {
            ask.send_what_is_due(&conf, ask.inquiries[0].due);
            turns += 1;
        }
        // After 0, 1, 3, … 255 s each of the two, and the end after 300 s.
        assert_eq!(turns, 2 * 9 + 1);
    }

    #[test]
    fn turns_that_an_interrupted_lookup_missed_do_not_come_all_at_once() {
        let (sockets, servers) = silent(1);
        let conf = conf(&servers);
        let mut ask = Ask::new("db", &conf, &A, clock::now());
        for (at, due) in [(0, 1000), (6900, 7200), (7200, 7500)] {
            ask.send_what_is_due(&conf, ask.begun + at * MS);
            assert_eq!(ask.inquiries[0].due, ask.begun + due * MS, "after {at} ms");
            Heard::from_datagram(&sockets[0]);
        }
        assert!(hears_nothing(&sockets[0]));
    }

    #[test]
    fn a_server_that_has_failed_is_not_asked_again() {
        let (sockets, servers) = silent(2);
        let conf = conf(&servers);
        let mut ask = Ask::new("db", &conf, &A, clock::now());
        ask.inquiries[0].failed[0] = Some("SERVFAIL".to_owned());
        for _ in 0..3 {
            ask.send_what_is_due(&conf, ask.inquiries[0].due);
            Heard::from_datagram(&sockets[1]);
        }
        assert!(hears_nothing(&sockets[0]));
    }

    #[test]
    fn one_family_waits_for_the_other_as_long_as_its_own_verdict_allows() {
        let conf = conf(&silent(1).1);
        for (verdict, took, until) in [
            (found(&[V6]), 20, 70),
            (found(&[V6]), 9990, 10_000),
            (found(&[]), 20, 10_000),
            (failed(), 20, 10_000),
            (Finding::NoName, 0, 300),
            (Finding::NoName, 200, 1100),
            (Finding::NoName, 9900, 10_000),
        ] {
            let about = format!("{verdict:?} after {took} ms");
            let ask = decided(&conf, took * MS, [Some(verdict), None]);
            assert_eq!(ask.patience(&conf), Some(ask.begun + until * MS), "{about}");
            assert_eq!(ask.end(&conf, ask.begun + (until - 1) * MS), None, "{about}");
            assert!(ask.end(&conf, ask.begun + until * MS).is_some(), "{about}");
        }
    }

    #[test]
    fn of_two_verdicts_addresses_count_first_and_then_what_proves_the_least() {
        let conf = conf(&silent(2).1);
        let silent = |ends_search| Err(Trouble::silent(&conf.servers, ends_search));
        for (first, second, end) in [
            (Some(found(&[V6])), Some(found(&[V4])), Ok(addresses(&[V6, V4]))),
            (Some(found(&[V6])), Some(Finding::OutOfDescriptors), Ok(addresses(&[V6]))),
            (Some(failed()), Some(found(&[V4])), Ok(addresses(&[V4]))),
            (None, Some(found(&[V4])), Ok(addresses(&[V4]))),
            (Some(Finding::NoName), Some(Finding::NoName), Err(Trouble::no_name())),
            (Some(found(&[])), Some(Finding::NoName), Err(Trouble::no_address())),
            (Some(found(&[])), Some(failed()), Err(Trouble::failed("SERVFAIL".to_owned()))),
            (Some(failed()), Some(Finding::Silent), silent(true)),
            (Some(found(&[])), None, silent(true)),
            // The server is there and knows no such name: the search goes on.
            (Some(Finding::NoName), Some(Finding::Silent), silent(false)),
            (None, Some(Finding::NoName), silent(false)),
            (Some(Finding::Silent), Some(Finding::OutOfDescriptors), Err(Trouble::out_of_descriptors())),
        ] {
            let ask = decided(&conf, MS, [first, second]);
            assert_eq!(ask.end(&conf, ask.begun + LONG), Some(end), "{:?}", ask.inquiries);
        }
    }

    #[test]
    fn a_lack_of_descriptors_ends_it_at_once_and_is_no_fault_of_the_server() {
        let conf = conf(&silent(2).1);
        let mut ask = Ask::new("db", &conf, &BOTH, clock::now());
        ask.inquiries[1].server_failed(0, conf.servers[0], &Errno::EMFILE.into());
        assert_eq!(ask.end(&conf, ask.begun).unwrap().unwrap_err().kind, Kind::LocalLimit);
    }

    #[test]
    fn a_message_over_tcp_is_whole_once_its_last_byte_is_there() {
        let wire = [&framed(b"message"), &b"more"[..]].concat();
        for end in 0..wire.len() {
            assert_eq!(unframed(&wire[..end]), Some(&b"message"[..]).filter(|_| end >= 9), "{end} bytes");
        }
    }

    #[test]
    fn a_family_that_is_silent_does_not_hold_up_the_other() {
        let only_v6: Script = |question| if question.is_v6() { question.says(OK) } else { Vec::new() };
        let only_v4: Script = |question| if question.is_v6() { Vec::new() } else { question.says(OK) };
        for (script, address) in [(only_v6, V6), (only_v4, V4)] {
            let mut lookup = lookup("db.", conf(&[server(script).0]));
            lookup.wanted = BOTH.to_vec();
            // Half of the time that the silent one would be waited for by itself.
            assert_eq!(lookup.run(clock::now() + Duration::from_secs(5)), Some(Ok(addresses(&[address]))));
            assert_eq!(lookup.answered.as_deref(), Some("db by the name server 127.0.0.1"));
        }
    }

    #[test]
    fn an_interrupted_lookup_is_taken_up_with_its_sockets() {
        let (sockets, servers) = silent(1);
        let mut lookup = asked(NameLookup { wanted: BOTH.to_vec(), ..lookup("db.", conf(&servers)) });
        let questions = [(); 2].map(|()| Heard::from_datagram(&sockets[0]));
        assert_eq!([(); 2].map(|()| lookup.run(clock::now())), [None, None]);
        for (question, from) in questions {
            sockets[0].send_to(&question.reply(OK, 1), from).unwrap();
        }
        assert_eq!(run(&mut lookup), Ok(addresses(&[V6, V4])));
        assert!(hears_nothing(&sockets[0]), "both were asked for already");
    }

    #[test]
    fn an_answer_that_came_while_nobody_listened_counts_however_late_it_is() {
        assert_eq!(found_afterwards(OK), Ok(addresses(&[V4])));
        assert_eq!(found_afterwards(NXDOMAIN), Err(Trouble::no_name()));
        let trouble = found_afterwards(SERVFAIL).unwrap_err();
        assert_eq!((trouble.text.contains("SERVFAIL"), trouble.ends_search), (true, false), "{trouble:?}");
    }

    /// The end of a look-up that is taken up once its time is over, with a reply of these flags there.
    fn found_afterwards(flags: u16) -> Result<Vec<Record>, Trouble> {
        let (sockets, servers) = silent(1);
        let mut lookup = lookup("db.", conf(&servers));
        let name = lookup.candidates.next().unwrap();
        let ask = lookup.ask.insert(Ask::new(&name, &lookup.conf, &A, clock::now()));
        ask.send_what_is_due(&lookup.conf, ask.begun);
        let (question, from) = Heard::from_datagram(&sockets[0]);
        sockets[0].send_to(&question.reply(flags, u8::from(flags == OK)), from).unwrap();
        let asking = ask.inquiries[0].exchanges[0].socket.as_fd();
        poll(&mut [PollFd::new(asking, PollFlags::POLLIN)], os::poll_timeout(clock::now() + LONG)).unwrap();
        // The pause between two attempts was longer than all servers are waited for.
        lookup.conf.timeout = Duration::ZERO;
        lookup.run(clock::now()).expect("the time is over")
    }

    #[test]
    fn only_the_reply_to_the_question_is_taken() {
        let script: Script = |question| {
            // Another number, no reply, another name, another type: with another address.
            let others = [0, 2, 13, question.message.len() - 3].map(|at| {
                let mut other = question.reply(OK, 1);
                other[at] ^= 0x80;
                *other.last_mut().unwrap() = 66;
                other
            });
            others.into_iter().chain(question.says(OK)).collect()
        };
        assert_eq!(run(&mut lookup("db.", conf(&[server(script).0]))), Ok(addresses(&[V4])));
    }

    #[test]
    fn what_is_too_long_for_a_datagram_is_asked_for_over_tcp() {
        // More than is read at once.
        let script: Script = |question| question.says_over_tcp(&question.reply(OK, 255));
        for (use_vc, channels) in [(false, &[false, true][..]), (true, &[true])] {
            let (server, heard) = server(script);
            let mut lookup = asked(lookup("db.", Conf { use_vc, ..conf(&[server]) }));
            assert_eq!(run(&mut lookup), Ok(addresses(&[V4; 255])));
            assert_eq!(heard.try_iter().map(|question| question.over_tcp).collect::<Vec<_>>(), channels);
        }
    }

    #[test]
    fn a_reply_over_tcp_that_comes_in_pieces_is_put_together() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let conf = Conf { use_vc: true, ..conf(&[listener.local_addr().unwrap()]) };
        let mut lookup = asked(lookup("db.", conf));
        let ask = lookup.ask.as_mut().unwrap();
        ask.listen(&lookup.conf, clock::now() + LONG);
        assert_eq!(ask.inquiries[0].exchanges[0].channel, Channel::Reading(Vec::new()), "the question is written");
        let mut stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(LONG)).unwrap();
        let reply = Heard::from_stream(&mut stream).unwrap().reply(OK, 1);
        for piece in reply.chunks(13) {
            assert_eq!(ask.inquiries[0].verdict, None);
            stream.write_all(piece).unwrap();
            ask.listen(&lookup.conf, clock::now() + LONG);
        }
        assert_eq!(ask.inquiries[0].verdict, Some(found(&[V4])));
        assert!(ask.inquiries[0].exchanges.is_empty(), "the connection is closed");
    }

    #[test]
    fn a_server_that_gives_no_verdict_is_named_and_the_next_is_asked_at_once() {
        // A socket hears none but the one that it is connected to.
        let (sockets, deaf) = silent(2);
        sockets[0].connect(deaf[1]).unwrap();
        let truncated: Script = |question| question.says(TRUNCATED);
        let (last, good) = (server(|question| question.says(NOTIMP)).0, server(|question| question.says(OK)).0);
        for (word, bad) in [
            ("SERVFAIL", server(|question| question.says(SERVFAIL)).0),
            ("REFUSED", server(|question| question.says(REFUSED)).0),
            ("refuses questions", deaf[0]),
            ("closed", server(|question| question.says_over_tcp(&question.reply(OK, 1)[..20])).0),
            ("garbage", server(truncated).0),
            ("garbage", server(|question| question.says_over_tcp(&framed(b"something else"))).0),
            // Elsewhere a port that is bound and not listened at is silent.
            #[cfg(target_os = "linux")]
            ("a part", start(truncated, false).0),
        ] {
            let end = run(&mut asked(lookup("db.", conf(&[bad, good]))));
            assert_eq!(end, Ok(addresses(&[V4])), "{word}");
            let trouble = run(&mut asked(lookup("db.", conf(&[bad, last])))).unwrap_err();
            assert_eq!(trouble, Trouble::failed(trouble.text.clone()));
            assert!(trouble.text.contains(word), "{word}: {trouble:?}");
        }
    }

    #[test]
    fn the_search_list_is_gone_through_to_the_first_name_that_has_addresses() {
        let script: Script = |question| question.says(if question.name() == "db.b" { OK } else { NXDOMAIN });
        let (server, heard) = server(script);
        let mut lookup = lookup("db", conf(&[server]));
        assert_eq!(run(&mut lookup), Ok(addresses(&[V4])));
        assert_eq!(lookup.answered.as_deref(), Some("db.b by the name server 127.0.0.1"));
        let mut names: Vec<_> = heard.try_iter().map(|question| question.name()).collect();
        names.dedup();
        assert_eq!(names, ["db.a", "db.b"]);
    }

    #[test]
    fn of_a_search_list_the_trouble_that_proves_the_least_is_told() {
        let none: Script = |question| question.says(NXDOMAIN);
        let first: Script = |question| question.says(if question.name() == "db.a" { SERVFAIL } else { NXDOMAIN });
        let last: Script = |question| question.says(if question.name() == "db" { SERVFAIL } else { NXDOMAIN });
        for (script, is_definite) in [(none, true), (first, false), (last, false)] {
            let trouble = run(&mut lookup("db", conf(&[server(script).0]))).unwrap_err();
            assert_eq!((trouble.kind, trouble.is_definite), (Kind::Unresolved, is_definite), "{trouble:?}");
        }
    }

    #[test]
    fn where_all_servers_are_silent_no_other_name_is_tried() {
        let mut lookup = lookup("db", Conf { timeout: Duration::ZERO, ..conf(&silent(1).1) });
        assert_eq!(lookup.run(clock::now()), Some(Err(Trouble::silent(&lookup.conf.servers, true))));
        assert_eq!(lookup.candidates.as_slice(), ["db.b", "db"]);
    }

    #[test]
    fn a_name_that_cannot_be_is_not_asked_for() {
        let (sockets, servers) = silent(1);
        assert_eq!(lookup("d..b.", conf(&servers)).run(clock::now()), Some(Err(Trouble::no_name())));
        assert!(hears_nothing(&sockets[0]));
    }
}
