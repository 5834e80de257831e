//! Connections to all addresses of a place at once, in the hands of whoever polls them.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::errno::{errno_of, explain_all, unanswered};
use super::listeners::is_listed;
use super::race::{Move, Number, Race};
use super::{Budget, Made};
use crate::clock;
use crate::outcome::NotReady;

/// How long this host may take to refuse a connection to itself; it does so at once, if it is not busy.
const DECIDES: Duration = Duration::from_millis(200);

/// A `Race` and its sockets.
#[derive(Debug)]
pub struct Dial {
    race: Race,
    contacts: Vec<Contact>,
    begun: Instant,
    /// When there is something to be done even if nobody answers.
    wakes: Instant,
    budget: Budget,
}

impl Dial {
    /// A race to these addresses that has not begun.
    pub(super) fn new(addresses: Vec<SocketAddr>, budget: &Budget) -> Self {
        let begun = clock::now();
        let race = Race::new(addresses, budget.remaining());
        Self { race, contacts: Vec::new(), begun, wakes: begun, budget: budget.clone() }
    }

    /// Looks at what has been answered by `now`, and does what is due: to be called at first, whenever one
    /// of [`Self::awaited`] has become writable, and at [`Self::wakes_at`]. Gives the end, once it has come.
    pub fn advance(&mut self, now: Instant) -> Option<Result<Made, NotReady>> {
        for index in 0..self.contacts.len() {
            let contact = &mut self.contacts[index];
            match contact.look(now) {
                Answer::None => {}
                Answer::Stands => return Some(Ok(self.contacts.swap_remove(index).made())),
                Answer::Failed(errno) => self.race.failed(contact.number, errno),
            }
        }
        loop {
            self.contacts.retain(|contact| self.race.is_pending(contact.number));
            match self.race.next(now.saturating_duration_since(self.begun)) {
                Move::Begin(number, address) => match Contact::begin(number, address) {
                    Ok(contact) => self.contacts.push(contact),
                    Err(errno) => self.race.not_begun(number, errno),
                },
                Move::Wait(until) => {
                    let proofs = self.contacts.iter().filter_map(|contact| contact.proof.as_ref());
                    let next = self.begun.checked_add(until).into_iter().chain(proofs.map(|proof| proof.until)).min();
                    self.wakes = next.map_or(self.budget.ends, |next| next.min(self.budget.ends));
                    break;
                }
                Move::Lost => return Some(Err(explain_all(self.race.failures()))),
            }
        }
        (now >= self.budget.ends)
            .then(|| Err(unanswered(&self.race.silent(), self.budget.length(), self.race.failures())))
    }

    /// From here on it has one socket for each address, and those that it has beyond that are closed.
    pub fn spare(&mut self) {
        self.race.spare();
        self.contacts.retain(|contact| self.race.is_pending(contact.number));
    }

    /// When it wants to advance even if nobody answers.
    pub fn wakes_at(&self) -> Instant {
        self.wakes
    }

    /// How many sockets it has open.
    pub fn sockets(&self) -> usize {
        self.contacts.iter().map(|contact| 1 + usize::from(contact.proof.is_some())).sum()
    }

    /// What becomes writable with an answer.
    pub fn awaited(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.contacts.iter().map(|contact| contact.awaited().as_fd())
    }

    /// Says of each of [`Self::awaited`], in their order, whether it is writable; whether any is.
    pub fn note(&mut self, writable: impl Iterator<Item = bool>) -> bool {
        for (contact, writable) in self.contacts.iter_mut().zip(writable) {
            contact.is_writable = writable;
        }
        self.contacts.iter().any(|contact| contact.is_writable)
    }
}

/// What has become of a connection.
enum Answer {
    None,
    Stands,
    Failed(Errno),
}

/// A connection on its way.
#[derive(Debug)]
struct Contact {
    number: Number,
    address: SocketAddr,
    socket: Socket,
    /// Whether an answer is there to be looked at.
    is_writable: bool,
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
        // Until it is known to lead to a server: closing a connection to itself in order would leave
        // the port in TIME-WAIT, where nobody can listen. Elsewhere a connection that is not needed
        // any more is to end as others do, not by a reset in the server's log.
        let resets = address.ip().is_loopback() && is_ephemeral(address.port());
        let (socket, is_writable) = begin(address, resets)?;
        Ok(Self { number, address, socket, is_writable, resets, proof: None })
    }

    fn awaited(&self) -> &Socket {
        self.proof.as_ref().map_or(&self.socket, |proof| &proof.socket)
    }

    fn look(&mut self, now: Instant) -> Answer {
        let answer = match &self.proof {
            Some(proof) if self.is_writable => judge(proof),
            Some(proof) if now >= proof.until => Answer::Stands,
            None if self.is_writable => self.admit(now),
            _ => Answer::None,
        };
        self.is_writable = false;
        if let (Some(_), Answer::Failed(_)) = (&self.proof, &answer) {
            self.reset();
        }
        answer
    }

    /// Takes a connection that is decided, unless nobody may listen at its other end.
    fn admit(&mut self, now: Instant) -> Answer {
        if let Ok(Some(error)) | Err(error) = self.socket.take_error() {
            return Answer::Failed(errno_of(&error));
        }
        if self.address.ip().is_loopback() && !self.resets {
            // The kernel gives that port to no connection.
            return Answer::Stands;
        }
        match ends_of(&self.socket) {
            None => Answer::Failed(Errno::ECONNRESET),
            Some((local, peer)) if local == peer => {
                self.reset();
                Answer::Failed(Errno::ECONNREFUSED)
            }
            Some((local, peer)) if may_be_a_port_of_ours(local, peer) && !is_listed(peer, now) => {
                match begin(self.address, self.resets) {
                    Ok((socket, _)) => {
                        let until = clock::now() + DECIDES;
                        self.proof = Some(Proof { socket, until });
                        Answer::None
                    }
                    // Nothing is decided about a listener where the kernel could not be asked.
                    Err(errno) => {
                        self.reset();
                        Answer::Failed(errno)
                    }
                }
            }
            Some(_) => Answer::Stands,
        }
    }

    /// What is connected and leads to no server is to leave no port behind.
    fn reset(&self) {
        drop(self.socket.set_linger(Some(Duration::ZERO)));
    }

    fn made(self) -> Made {
        if self.resets {
            let proof = self.proof.as_ref().map(|proof| &proof.socket);
            for socket in [Some(&self.socket), proof].into_iter().flatten() {
                drop(socket.set_linger(None));
            }
        }
        Made { socket: self.socket, peer: self.address.to_string() }
    }
}

/// What the second connection says, once it is decided.
fn judge(proof: &Proof) -> Answer {
    if let Ok(Some(error)) | Err(error) = proof.socket.take_error()
        && errno_of(&error) == Errno::ECONNREFUSED
    {
        return Answer::Failed(Errno::ECONNREFUSED);
    }
    match ends_of(&proof.socket) {
        Some((local, peer)) if local == peer => Answer::Failed(Errno::ECONNREFUSED),
        // Also if it was reset since: it was more than a socket that connects.
        _ => Answer::Stands,
    }
}

/// The two ends of a connection, or `None` once it is gone.
fn ends_of(socket: &Socket) -> Option<(SocketAddr, SocketAddr)> {
    Some((socket.local_addr().ok()?.as_socket()?, socket.peer_addr().ok()?.as_socket()?))
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
fn begin(address: SocketAddr, resets: bool) -> Result<(Socket, bool), Errno> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), None)
        .map_err(|error| errno_of(&error))?;
    if resets {
        drop(socket.set_linger(Some(Duration::ZERO)));
    }
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
