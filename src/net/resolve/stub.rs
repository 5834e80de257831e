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
                inquiry.decide(Finding::Silent);
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

    /// Asks the server whose turn it is, unless it has failed.
    fn take_turn(&mut self, conf: &Conf, begun: Instant, now: Instant) {
        let count = conf.servers.len();
        let server = self.turns % count;
        self.turns += 1;
        if self.failed.iter().all(Option::is_some) {
            let said = self.failed.iter().flatten().next().cloned().unwrap_or_default();
            return self.decide(Finding::Failed(said));
        }
        if self.failed[server].is_some() {
            return;
        }
        let (round, place) = (self.turns / count, self.turns % count);
        let round_of = AGAIN.max(STAGGER * u32::try_from(count).unwrap_or(1));
        let doublings = u32::try_from(round).unwrap_or(u32::MAX).min(8);
        let after = round_of * (2_u32.pow(doublings) - 1) + STAGGER * u32::try_from(place).unwrap_or(0);
        // Whoever was interrupted does not catch up with the turns that it missed.
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
