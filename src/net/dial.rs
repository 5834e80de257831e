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

/// On Linux alone: elsewhere a queue is never full, a port that is bound and not listened at is silent, and no connection
/// leads to itself.
#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, poll};

    use super::*;
    use crate::net::steps::Steps;
    use crate::wait::outcome::Kind;

    const MS: Duration = Duration::from_millis(1);
    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(60);

    /// A port of this host that is taken, at which nobody listens.
    fn closed() -> (Socket, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = end(socket.local_addr()).unwrap();
        (socket, address)
    }

    fn listening(backlog: i32) -> (Socket, SocketAddr) {
        let (socket, address) = closed();
        socket.listen(backlog).unwrap();
        (socket, address)
    }

    fn connected_to(address: SocketAddr) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.connect(&address.into()).unwrap();
        socket
    }

    /// A listener that answers nobody until it has accepted the connection that fills its queue.
    fn full() -> (Socket, SocketAddr, Socket) {
        let (listener, address) = listening(0);
        let client = connected_to(address);
        // The client may have its answer before the listener counts it.
        wait_for(&listener, PollFlags::POLLIN);
        (listener, address, client)
    }

    fn wait_for(socket: &Socket, flags: PollFlags) {
        assert_eq!(poll(&mut [PollFd::new(socket.as_fd(), flags)], os::poll_timeout(clock::now() + LONG)), Ok(1));
    }

    fn dial(addresses: &[SocketAddr]) -> Dial {
        Dial::new(addresses.to_vec(), &Attempt::new(LONG).recorded_in(Steps::recording()))
    }

    fn contact(socket: Socket, address: SocketAddr) -> Contact {
        let may_meet = is_ephemeral(address.port());
        Contact { number: 0, address, socket, answered: Answered::Yes, may_meet, resets: false, proof: None }
    }

    /// Waits until one of the sockets has its answer.
    fn wait(dial: &mut Dial, until: Instant) {
        let mut fds: Vec<_> = dial.awaited().map(|fd| PollFd::new(fd, PollFlags::POLLOUT)).collect();
        poll(&mut fds, os::poll_timeout(until)).unwrap();
        let writable: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap()).collect();
        dial.note(writable.into_iter());
    }

    fn end_of(mut dial: Dial) -> Result<Made, NotReady> {
        loop {
            match dial.advance(clock::now()) {
                Some(end) => return end,
                None => {
                    let until = dial.wakes_at();
                    wait(&mut dial, until);
                }
            }
        }
    }

    #[test]
    fn of_several_addresses_the_one_that_answers_is_connected() {
        let ((_socket, shut), (_listener, open)) = (closed(), listening(1));
        // A connection to it cannot even begin.
        let broadcast = SocketAddr::from(([255, 255, 255, 255], 1));
        let made = end_of(dial(&[broadcast, shut, open])).unwrap();
        assert_eq!(made.peer(), address_text(open));
        for other in [broadcast, shut] {
            assert!(made.others.contains(&address_text(other)), "{}", made.others);
        }
        assert_eq!(end_of(dial(&[broadcast])).unwrap_err().kind, Kind::Unreachable);
    }

    #[test]
    fn where_all_refuse_the_failure_names_each() {
        let ((_one, first), (_other, second)) = (closed(), closed());
        let failure = end_of(dial(&[first, second])).unwrap_err();
        assert_eq!(failure.kind, Kind::ConnectionRefused);
        assert!([first, second].iter().all(|address| failure.reason.contains(&address_text(*address))), "{failure:?}");
    }

    #[test]
    fn a_silent_address_is_not_waited_for_where_another_answers() {
        let ((_listener, silent, _client), (_other, open)) = (full(), listening(1));
        let made = end_of(dial(&[silent, open])).unwrap();
        assert_eq!(made.peer(), address_text(open));
        assert!(made.others.contains(&address_text(silent)), "{}", made.others);
    }

    #[test]
    fn a_silent_address_is_asked_again_and_with_few_descriptors_once_only() {
        let (_listener, silent, _client) = full();
        let mut dial = dial(&[silent]);
        assert!(dial.advance(dial.begun).is_none());
        assert_eq!(dial.sockets(), 1);
        let again = dial.wakes_at();
        assert!(dial.begun < again && again < dial.begun + 1000 * MS, "before the kernel repeats its own question");
        assert!(dial.advance(again).is_none());
        assert_eq!((dial.sockets(), dial.awaited().count()), (2, 2));
        dial.spare();
        assert_eq!(dial.sockets(), 1);
        assert!(dial.advance(dial.wakes_at()).is_none());
        assert_eq!(dial.sockets(), 1);
        let failure = dial.advance(dial.attempt.ends).unwrap().unwrap_err();
        assert_eq!(failure.kind, Kind::TimedOut);
        assert!(failure.reason.contains(&address_text(silent)), "{failure:?}");
    }

    #[test]
    fn a_server_that_has_room_again_is_connected() {
        let (listener, silent, _client) = full();
        let mut dial = dial(&[silent]);
        assert!(dial.advance(dial.begun).is_none());
        assert_eq!(dial.contacts[0].socket.linger().unwrap(), Some(Duration::ZERO), "given up, it leaves no TIME_WAIT");
        listener.accept().unwrap();
        let again = dial.wakes_at();
        let made = dial.advance(again).unwrap_or_else(|| end_of(dial)).unwrap();
        assert_eq!(made.peer(), address_text(silent));
    }

    #[test]
    fn an_address_that_has_refused_is_not_listened_to_any_more() {
        let ((_socket, shut), (_listener, silent, _client)) = (closed(), full());
        let mut dial = dial(&[shut, silent]);
        let until = clock::now() + LONG;
        while dial.advance(clock::now()).is_none() && dial.race.failures().is_empty() {
            assert!(clock::now() < until);
            let wakes = dial.wakes_at();
            wait(&mut dial, wakes);
        }
        assert_eq!((dial.sockets(), dial.race.silent()), (1, vec![silent]));
    }

    #[test]
    fn each_answer_is_noted_for_its_own_connection() {
        let ((_first, one, _a), (_second, other, _b)) = (full(), full());
        let mut dial = dial(&[one, other]);
        assert!(dial.advance(dial.begun).is_none() && dial.advance(dial.wakes_at()).is_none());
        assert!(!dial.note([false, false].into_iter()));
        assert!(dial.note([false, true].into_iter()));
        assert_eq!([0, 1].map(|index| dial.contacts[index].answered), [Answered::No, Answered::Yes]);
    }

    #[test]
    fn a_connection_to_itself_is_no_server_and_leaves_its_port_free() {
        let (socket, own) = closed();
        socket.connect(&own.into()).unwrap();
        let mut contact = contact(socket, own);
        assert!(matches!(contact.look(clock::now()), Contacted::Failed(Errno::ECONNREFUSED)));
        drop(contact);
        let next = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        next.bind(&own.into()).unwrap();
    }

    #[test]
    fn a_connection_to_a_port_where_nobody_listens_is_no_server() {
        let (listener, address) = listening(1);
        let socket = connected_to(address);
        let (_peer, _) = listener.accept().unwrap();
        drop(listener);
        let mut contact = contact(socket, address);
        let now = clock::now();
        assert!(matches!(contact.look(now), Contacted::None), "a second connection is to prove it");
        wait_for(contact.awaited(), PollFlags::POLLOUT);
        contact.answered = Answered::Yes;
        assert!(matches!(contact.look(now), Contacted::Failed(Errno::ECONNREFUSED)));
    }

    #[test]
    fn a_second_connection_that_is_not_refused_proves_a_listener() {
        let ((_listener, open), (_full, silent, _client)) = (listening(8), full());
        for (proves, by_silence) in [(open, false), (silent, true)] {
            let until = clock::now() + LONG;
            let proof = if by_silence { begin(proves).unwrap().0 } else { connected_to(proves) };
            let mut contact = contact(connected_to(open), open);
            contact.proof = Some(Proof { socket: proof, until });
            contact.answered = Answered::No;
            assert!(matches!(contact.look(clock::now()), Contacted::None));
            contact.answered = if by_silence { Answered::No } else { Answered::Yes };
            assert!(matches!(contact.look(if by_silence { until } else { clock::now() }), Contacted::Stands));
            assert_eq!(contact.made().socket.linger().unwrap(), None, "it ends as other connections do");
        }
    }
}
