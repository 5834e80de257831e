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
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};

use super::files::Conf;
use super::wire::{Family, Question, Reply};
use super::{Trouble, is_out_of_descriptors};
use crate::clock;
use crate::outcome::Kind;

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
pub struct Lookup {
    conf: Conf,
    candidates: std::vec::IntoIter<String>,
    ask: Option<Ask>,
    trouble: Option<Trouble>,
}

impl Lookup {
    /// A look-up of `name` as /etc/resolv.conf wants it. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// There is no descriptor to read it with.
    pub fn new(name: &str) -> Result<Self, Trouble> {
        let mut conf = super::conf()?;
        if conf.rotate {
            let by = usize::from(random()) % conf.servers.len();
            conf.servers.rotate_left(by);
        }
        let candidates = conf.candidates(name).into_iter();
        Ok(Self { conf, candidates, ask: None, trouble: None })
    }

    /// Goes on until `until`, and gives the addresses, or why there are none; `None` if the time is up.
    pub fn run(&mut self, until: Instant) -> Option<Result<Vec<IpAddr>, Trouble>> {
        loop {
            let now = clock::now();
            let ask = match &mut self.ask {
                Some(ask) => ask,
                None => match self.candidates.next() {
                    Some(name) => self.ask.insert(Ask::new(&name, &self.conf, now)),
                    None => return Some(Err(self.trouble.take().unwrap_or_else(Trouble::no_name))),
                },
            };
            ask.send_what_is_due(&self.conf, now);
            match ask.end(&self.conf, now) {
                Some(Ok(addresses)) => return Some(Ok(addresses)),
                Some(Err(trouble)) if trouble.ends_search => return Some(Err(trouble)),
                Some(Err(trouble)) => {
                    // What proves the least counts: one name that could not be asked about may exist.
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
    begun: Instant,
    inquiries: Vec<Inquiry>,
}

/// The question for one family.
#[derive(Debug)]
struct Inquiry {
    question: Question,
    verdict: Option<Verdict>,
    /// When that came.
    decided: Instant,
    exchanges: Vec<Exchange>,
    /// What each server that failed said.
    failed: Vec<Option<String>>,
    /// How many turns there were: each server has its turn, again and again.
    turns: usize,
    /// When the next turn is.
    due: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Addresses(Vec<IpAddr>),
    NoName,
    Failed(String),
    OutOfDescriptors,
    Silent,
}

impl Ask {
    fn new(name: &str, conf: &Conf, now: Instant) -> Self {
        let families = if conf.no_aaaa { &[Family::V4][..] } else { &[Family::V6, Family::V4] };
        let inquiries = families.iter().filter_map(|&family| {
            Some(Inquiry {
                question: Question::new(random(), name, family)?,
                verdict: None,
                decided: now,
                exchanges: Vec::new(),
                failed: vec![None; conf.servers.len()],
                turns: 0,
                due: now,
            })
        });
        // There are no questions for what can be no name.
        Self { begun: now, inquiries: inquiries.collect() }
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
                inquiry.decide(Verdict::Silent);
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
                Some(Verdict::OutOfDescriptors) => return None,
                Some(Verdict::Addresses(addresses)) if !addresses.is_empty() => {
                    until = until.min(inquiry.decided + OTHER_FAMILY);
                }
                // There is no such name for the other family either, if the server is right.
                Some(Verdict::NoName) => {
                    let took = inquiry.decided.saturating_duration_since(self.begun);
                    until = until.min(inquiry.decided + NO_NAME + 3 * took);
                }
                _ => {}
            }
        }
        Some(until)
    }

    /// The addresses, those of IPv6 first, or why there are none, once that is known.
    fn end(&self, conf: &Conf, now: Instant) -> Option<Result<Vec<IpAddr>, Trouble>> {
        if self.patience(conf).is_some_and(|until| now < until) {
            return None;
        }
        let mut addresses = Vec::new();
        let mut trouble = Trouble::no_name();
        for inquiry in &self.inquiries {
            let own = match &inquiry.verdict {
                Some(Verdict::Addresses(found)) => {
                    addresses.extend(found.iter().copied());
                    Trouble::no_address()
                }
                Some(Verdict::NoName) => continue,
                Some(Verdict::Failed(text)) => Trouble::failed(text.clone()),
                Some(Verdict::OutOfDescriptors) => Trouble::out_of_descriptors(),
                Some(Verdict::Silent) | None => {
                    let is_denied = self.inquiries.iter().any(|inquiry| inquiry.verdict == Some(Verdict::NoName));
                    Trouble::silent(&conf.servers, !is_denied)
                }
            };
            if own.weight() > trouble.weight() {
                trouble = own;
            }
        }
        Some(if addresses.is_empty() { Err(trouble) } else { Ok(addresses) })
    }

    /// Waits for something to be said or to be due, and hears it.
    fn listen(&mut self, conf: &Conf, until: Instant) {
        let patience = self.patience(conf).unwrap_or(until);
        let due = self.undecided().map(|inquiry| inquiry.due).min().unwrap_or(until);
        let wait = due.min(patience).min(until).saturating_duration_since(clock::now());
        let wait = i32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        let exchanges = self.inquiries.iter().flat_map(|inquiry| &inquiry.exchanges);
        let mut fds: Vec<PollFd<'_>> =
            exchanges.map(|exchange| PollFd::new(exchange.socket.as_fd(), exchange.awaits())).collect();
        // An interruption, or what poll(2) says else, shows itself at the sockets and the clock.
        let _ = poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX));
        for inquiry in self.undecided() {
            inquiry.hear();
        }
    }
}

impl Inquiry {
    fn decide(&mut self, verdict: Verdict) {
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
            return self.decide(Verdict::Failed(said));
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
                // It is under way, and TCP repeats by itself.
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
            return self.decide(Verdict::OutOfDescriptors);
        }
        let what = match error.kind() {
            io::ErrorKind::ConnectionRefused => "refuses questions".to_owned(),
            io::ErrorKind::UnexpectedEof => "closed the connection".to_owned(),
            io::ErrorKind::InvalidData => format!("answers {error}"),
            _ => format!("cannot be asked: {}", super::super::errno::name_of(super::super::errno::errno_of(error))),
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
                Some(Reply::Truncated) => {
                    *exchange = Exchange::open(server, address, true)?;
                    Ok(None)
                }
                Some(Reply::Failed(code)) => Err(io::Error::new(io::ErrorKind::InvalidData, code)),
                reply => Ok(reply),
            });
            match heard {
                Ok(Some(Reply::Addresses(found))) => return self.decide(Verdict::Addresses(found)),
                Ok(Some(_)) => return self.decide(Verdict::NoName),
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

/// One server that is asked.
#[derive(Debug)]
struct Exchange {
    server: usize,
    address: SocketAddr,
    /// Connected, so that the kernel drops what others send; its port is random.
    socket: Socket,
    channel: Channel,
}

#[derive(Debug, PartialEq, Eq)]
enum Channel {
    Datagrams,
    /// How much of the question is written.
    Writing(usize),
    /// What of the reply is read.
    Reading(Vec<u8>),
}

impl Exchange {
    fn open(server: usize, address: SocketAddr, over_tcp: bool) -> io::Result<Self> {
        let (kind, channel) =
            if over_tcp { (Type::STREAM, Channel::Writing(0)) } else { (Type::DGRAM, Channel::Datagrams) };
        let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), None)?;
        match socket.connect(&SockAddr::from(address)) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
            _ => Ok(Self { server, address, socket, channel }),
        }
    }

    fn send(&self, question: &Question) -> io::Result<()> {
        match (&self.socket).write(&question.to_bytes()) {
            // It is as good as lost on the way: there is another turn.
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
    fn hear(&mut self, question: &Question) -> io::Result<Option<Reply>> {
        match self.go_on(question) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => Ok(None),
            other => other,
        }
    }

    fn go_on(&mut self, question: &Question) -> io::Result<Option<Reply>> {
        match &mut self.channel {
            Channel::Datagrams => {
                let mut message = vec![0; MAX_MESSAGE];
                loop {
                    let n = self.socket.read(&mut message)?;
                    // What is no reply to this question may have been sent by anybody.
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
                        Some(Reply::Truncated) | None => Err(io::Error::new(io::ErrorKind::InvalidData, "garbage")),
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

impl Trouble {
    fn no_name() -> Self {
        Self { kind: Kind::Unresolved, text: "there is no such name".to_owned(), is_definite: true, ends_search: false }
    }

    fn no_address() -> Self {
        Self { text: "it has no address".to_owned(), ..Self::no_name() }
    }

    fn failed(text: String) -> Self {
        Self { kind: Kind::Unresolved, text, is_definite: false, ends_search: false }
    }

    fn silent(servers: &[SocketAddr], ends_search: bool) -> Self {
        let servers: Vec<String> = servers.iter().map(|server| server.ip().to_string()).collect();
        let text = format!("no answer from the name server {}", servers.join(", "));
        Self { kind: Kind::Unresolved, text, is_definite: false, ends_search }
    }
}
