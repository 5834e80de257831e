//! Connections to all addresses of a place at once, in the hands of whoever polls them.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::attempt::{Attempt, Made};
use super::errno::{errno_of, explain_all, unanswered};
use super::interfaces::address_text;
use super::race::{Move, Number, Race};
use crate::clock;
use crate::os::{self, is_listening};
use crate::wait::outcome::NotReady;

/// How long this host may take to refuse a connection to itself; it does so at once, if it is not busy.
const DECIDES: Duration = Duration::from_millis(200);

/// A `Race` and its sockets.
#[derive(Debug)]
pub(crate) struct Dial {
    race: Race,
    contacts: Vec<Contact>,
    begun: Instant,
    /// When there is something to be done even if nobody answers.
    wakes: Instant,
    attempt: Attempt,
}

impl Dial {
    /// A race to these addresses that has not begun.
    pub(super) fn new(addresses: Vec<SocketAddr>, attempt: &Attempt) -> Self {
        let begun = clock::now();
        let race = Race::new(addresses, attempt.remaining());
        Self { race, contacts: Vec::with_capacity(1), begun, wakes: begun, attempt: attempt.clone() }
    }

    /// Looks at what has been answered by `now`, and does what is due: to be called at first, whenever one
    /// of [`Self::awaited`] has become writable, and at [`Self::wakes_at`]. Gives the end, once it has come.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Result<Made, NotReady>> {
        for index in 0..self.contacts.len() {
            if let Some(made) = self.look(index, now) {
                return Some(Ok(made));
            }
        }
        loop {
            self.contacts.retain(|contact| self.race.is_pending(contact.number));
            match self.race.next(now.saturating_duration_since(self.begun)) {
                Move::Begin(number, address) => match Contact::begin(number, address) {
                    Ok(contact) => {
                        self.contacts.push(contact);
                        if let Some(made) = self.look(self.contacts.len() - 1, now) {
                            return Some(Ok(made));
                        }
                    }
                    Err(errno) => self.race.not_begun(number, errno),
                },
                Move::Wait(until) => {
                    let proofs = self.contacts.iter().filter_map(|contact| contact.proof.as_ref());
                    let next = self.begun.checked_add(until).into_iter().chain(proofs.map(|proof| proof.until)).min();
                    self.wakes = next.map_or(self.attempt.ends, |next| next.min(self.attempt.ends));
                    break;
                }
                Move::Lost => return Some(Err(explain_all(self.race.failures()))),
            }
        }
        (now >= self.attempt.ends)
            .then(|| Err(unanswered(&self.race.silent(), self.attempt.length(), self.race.failures())))
    }

    /// Looks at one of the connections; gives it, if it stands.
    fn look(&mut self, index: usize, now: Instant) -> Option<Made> {
        let contact = &mut self.contacts[index];
        match contact.look(now) {
            Contacted::None => return None,
            Contacted::Stands => {
                let made = self.contacts.swap_remove(index).made();
                return Some(Made { others: self.others(), ..made });
            }
            Contacted::Failed(errno) => self.race.failed(contact.number, errno),
        }
        None
    }

    /// The fate of the other addresses, for the steps.
    fn others(&self) -> String {
        if !self.attempt.steps().are_recorded() {
            return String::new();
        }
        let failed = Some(self.race.failures()).filter(|failed| !failed.is_empty());
        let failed = failed.map(|failed| explain_all(failed).reason);
        let silent = self.contacts.iter().map(|contact| format!("{} had not answered", address_text(contact.address)));
        let all: Vec<String> = failed.into_iter().chain(silent).collect();
        if all.is_empty() { String::new() } else { format!("; {}", all.join("; ")) }
    }

    /// From here on it has one socket for each address, and those that it has beyond that are closed.
    pub(crate) fn spare(&mut self) {
        self.race.spare();
        self.contacts.retain(|contact| self.race.is_pending(contact.number));
    }

    /// When it wants to advance even if nobody answers.
    pub(crate) fn wakes_at(&self) -> Instant {
        self.wakes
    }

    /// How many sockets it has open.
    pub(crate) fn sockets(&self) -> usize {
        self.contacts.iter().map(|contact| 1 + usize::from(contact.proof.is_some())).sum()
    }

    /// The descriptors that become writable with an answer.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.contacts.iter().map(|contact| contact.awaited().as_fd())
    }

    /// Says of each of [`Self::awaited`], in their order, whether it is writable; whether any is.
    pub(crate) fn note(&mut self, writable: impl Iterator<Item = bool>) -> bool {
        for (contact, writable) in self.contacts.iter_mut().zip(writable) {
            contact.answered = if writable { Answered::Yes } else { Answered::No };
        }
        self.contacts.iter().any(|contact| contact.answered == Answered::Yes)
    }
}

/// The state of a connection that was begun.
enum Contacted {
    None,
    Stands,
    Failed(Errno),
}

/// Whether there is an answer to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    No,
    /// This host answers itself while it is asked, and nothing is heard of it.
    Perhaps,
    Yes,
}

/// A connection on its way.
#[derive(Debug)]
struct Contact {
    number: Number,
    address: SocketAddr,
    socket: Socket,
    answered: Answered,
    /// Whether it may lead to itself, or to another socket of this host that connects.
    may_meet: bool,
    /// Whether closing it resets it.
    resets: bool,
    proof: Option<Proof>,
}

/// A second connection beside one, to find out whether anybody listens: a socket that only connects has
/// no room for it, and the kernel refuses it at once.
#[derive(Debug)]
struct Proof {
    socket: Socket,
    /// When silence is a listener's, whose queue is full.
    until: Instant,
}

impl Contact {
    fn begin(number: Number, address: SocketAddr) -> Result<Self, Errno> {
        let (socket, is_writable) = begin(address)?;
        let is_here = address.ip().is_loopback();
        let answered = match is_here {
            _ if is_writable => Answered::Yes,
            true => Answered::Perhaps,
            false => Answered::No,
        };
        let may_meet = is_here && is_ephemeral(address.port());
        Ok(Self { number, address, socket, answered, may_meet, resets: false, proof: None })
    }

    fn awaited(&self) -> &Socket {
        self.proof.as_ref().map_or(&self.socket, |proof| &proof.socket)
    }

    fn look(&mut self, now: Instant) -> Contacted {
        let answer = match &self.proof {
            Some(proof) if self.answered == Answered::Yes => decided_by(proof),
            Some(proof) if now >= proof.until => Contacted::Stands,
            None if self.answered != Answered::No => self.admit(),
            _ => Contacted::None,
        };
        self.answered = Answered::No;
        match answer {
            // Until it is known to lead to a server: closing a connection to itself in order would leave the port
            // in TIME-WAIT, where nobody can listen. Elsewhere a connection that is not needed any more is to end
            // as others do, not by a reset in the server's log.
            Contacted::None if self.may_meet && !self.resets => self.reset(),
            Contacted::Failed(_) if self.proof.is_some() => self.reset(),
            _ => {}
        }
        answer
    }

    /// Takes a connection that is decided, unless nobody may listen at its other end.
    fn admit(&mut self) -> Contacted {
        let Some(peer) = end(self.socket.peer_addr()) else {
            return match self.socket.take_error() {
                Ok(Some(error)) | Err(error) => Contacted::Failed(errno_of(&error)),
                Ok(None) if self.answered == Answered::Yes => Contacted::Failed(Errno::ECONNRESET),
                Ok(None) => Contacted::None,
            };
        };
        let is_here = self.address.ip().is_loopback();
        // The kernel gives that port to no connection, or somebody listens there.
        if is_here && (!self.may_meet || is_listening(peer)) {
            return Contacted::Stands;
        }
        match end(self.socket.local_addr()) {
            None => Contacted::Failed(Errno::ECONNRESET),
            Some(local) if local == peer => {
                self.reset();
                Contacted::Failed(Errno::ECONNREFUSED)
            }
            Some(local) if may_be_a_port_of_ours(local, peer) && (is_here || !is_listening(peer)) => {
                match self.prove() {
                    Ok(proof) => {
                        self.proof = Some(proof);
                        Contacted::None
                    }
                    // Nothing is decided about a listener where the kernel could not be asked.
                    Err(errno) => {
                        self.reset();
                        Contacted::Failed(errno)
                    }
                }
            }
            Some(_) => Contacted::Stands,
        }
    }

    fn prove(&self) -> Result<Proof, Errno> {
        let (socket, _) = begin(self.address)?;
        if self.may_meet {
            drop(socket.set_linger(Some(Duration::ZERO)));
        }
        Ok(Proof { socket, until: clock::now() + DECIDES })
    }

    /// Close with RST: no `TIME_WAIT`.
    fn reset(&mut self) {
        self.set_linger(Some(Duration::ZERO));
        self.resets = true;
    }

    fn set_linger(&self, linger: Option<Duration>) {
        let proof = self.proof.as_ref().map(|proof| &proof.socket);
        for socket in [Some(&self.socket), proof].into_iter().flatten() {
            drop(socket.set_linger(linger));
        }
    }

    fn made(self) -> Made {
        if self.resets {
            self.set_linger(None);
        }
        Made { socket: self.socket, peer: address_text(self.address), others: String::new() }
    }
}

/// The word of the second connection, once it is decided.
fn decided_by(proof: &Proof) -> Contacted {
    if let Ok(Some(error)) | Err(error) = proof.socket.take_error()
        && errno_of(&error) == Errno::ECONNREFUSED
    {
        return Contacted::Failed(Errno::ECONNREFUSED);
    }
    let peer = end(proof.socket.peer_addr());
    if peer.is_some() && peer == end(proof.socket.local_addr()) {
        return Contacted::Failed(Errno::ECONNREFUSED);
    }
    // Also if it was reset since: it was more than a socket that connects.
    Contacted::Stands
}

/// An end of a connection; none, once it is gone.
fn end(asked: io::Result<SockAddr>) -> Option<SocketAddr> {
    asked.ok()?.as_socket()
}

/// Whether the other end of a connection may be a socket that connects as we do, instead of one that
/// listens: two connects to closed ports of this host whose own ports happen to be each other's
/// destinations become one connection (RFC 9293, section 3.5, simultaneous open), be they one and
/// the same, two of ours, or one of another process.
fn may_be_a_port_of_ours(local: SocketAddr, peer: SocketAddr) -> bool {
    local.ip() == peer.ip() && is_ephemeral(peer.port())
}

/// Whether it may be a port that the kernel gives to a connection (ip-sysctl, for both families).
fn is_ephemeral(port: u16) -> bool {
    static PORTS: OnceLock<RangeInclusive<u16>> = OnceLock::new();
    let read = || {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
        let mut ends = text.split_whitespace().map(str::parse);
        Some(ends.next()?.ok()?..=ends.next()?.ok()?)
    };
    PORTS.get().map_or_else(
        // Unreadable now, as without descriptors, need not be so the next time.
        || read().is_none_or(|range| PORTS.get_or_init(|| range).contains(&port)),
        |range| range.contains(&port),
    )
}

/// Begins a connection; says whether it is decided already.
fn begin(address: SocketAddr) -> Result<(Socket, bool), Errno> {
    let socket = os::socket(Domain::for_address(address), Type::STREAM).map_err(|error| errno_of(&error))?;
    start(socket, &SockAddr::from(address))
}

/// The same with a socket of any family.
pub(super) fn start(socket: Socket, address: &SockAddr) -> Result<(Socket, bool), Errno> {
    match socket.connect(address) {
        Ok(()) => Ok((socket, true)),
        Err(error) => match errno_of(&error) {
            Errno::EINPROGRESS | Errno::EINTR => Ok((socket, false)),
            errno => Err(errno),
        },
    }
}
