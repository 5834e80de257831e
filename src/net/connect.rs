//! TCP and Unix connections: all addresses of a name, side by side.

use std::fmt::Write;
use std::io::{self, BufRead};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Budget, Connection, resolve};
use crate::clock;
use crate::endpoint::{Address, Place};
use crate::outcome::{Kind, NotReady, Stage};

/// How long one address may be silent before the next is tried beside it (RFC 8305, section 5:
/// 250 ms is recommended, 100 ms is the least).
const STAGGER: Duration = Duration::from_millis(100);
/// How long after the last address the first is tried again: the kernel repeats an unanswered SYN
/// only after 1, 3 and 7 s. No divisor of the half second after which another attempt begins beside this
/// one: the two would ask at the same moments.
const AGAIN: Duration = Duration::from_millis(350);
/// How long this host may take to refuse a connection to itself; it does so at once, if it is not busy.
const DECIDES: Duration = Duration::from_millis(200);
/// The state of a listener in /proc/net/tcp.
const LISTEN: &str = "0A";
/// The most connections of one attempt that wait for an answer.
const MAX_PENDING: usize = 8;

/// Connects to the socket at a path, or to the first address of a name that answers.
///
/// # Errors
///
/// [`Kind::Unresolved`], [`Kind::ConnectionRefused`], [`Kind::Unreachable`], [`Kind::TimedOut`] or
/// [`Kind::LocalLimit`], with each address that failed; [`Kind::Missing`] without a socket at the path.
pub fn connect(place: &Place, budget: &Budget) -> Result<Connection, NotReady> {
    match place {
        Place::Tcp(address) => connect_tcp(address, budget),
        Place::Unix(path) => connect_unix(path, budget),
    }
}

fn connect_tcp(address: &Address, budget: &Budget) -> Result<Connection, NotReady> {
    let addresses = resolve(&address.host, address.port, budget)?;
    budget.enter(Stage::Connecting);
    let mut race = Race { addresses, started: 0, pending: Vec::new(), failed: Vec::new(), budget };
    let (socket, peer) = race.run()?;
    drop(socket.set_tcp_nodelay(true));
    connection(socket, peer.to_string(), budget)
}

fn connection(socket: Socket, peer: String, budget: &Budget) -> Result<Connection, NotReady> {
    socket.set_nonblocking(false).map_err(|error| super::io_failure(&error, budget))?;
    budget.enter(Stage::Exchanging);
    Ok(Connection { socket, budget: budget.clone(), peer })
}

struct Race<'a> {
    addresses: Vec<SocketAddr>,
    /// How many connections have begun; beyond the addresses, they begin again from the first.
    started: usize,
    pending: Vec<(Socket, SocketAddr)>,
    failed: Vec<(SocketAddr, Errno)>,
    budget: &'a Budget,
}

impl Race<'_> {
    fn run(&mut self) -> Result<(Socket, SocketAddr), NotReady> {
        let mut next = clock::now();
        loop {
            let now = clock::now();
            if self.pending.is_empty() && self.started >= self.addresses.len() {
                return Err(describe(&self.failed));
            }
            if now >= next || self.pending.is_empty() {
                if let Some(winner) = self.start_next() {
                    return Ok(winner);
                }
                next = now + if self.started < self.addresses.len() { STAGGER } else { AGAIN };
            }
            if self.budget.remaining().is_zero() {
                return Err(self.out_of_time());
            }
            if let Some(winner) = self.wait(next)? {
                return Ok(winner);
            }
        }
    }

    /// Begins a connection to the next address.
    fn start_next(&mut self) -> Option<(Socket, SocketAddr)> {
        let address = self.addresses[self.started % self.addresses.len()];
        let is_repeat = self.started >= self.addresses.len();
        if is_repeat && self.failed.iter().any(|(failed, _)| *failed == address) {
            self.started += 1;
            return None;
        }
        self.started += 1;
        match begin(address) {
            Ok((socket, true)) => self.admit(socket, address),
            Ok((socket, false)) => {
                // The oldest waits on, for a path that is slow; a younger one makes room.
                if self.pending.len() >= MAX_PENDING {
                    self.pending.remove(self.pending.len() / 2);
                }
                self.pending.push((socket, address));
                None
            }
            Err(errno) => {
                if !is_repeat {
                    self.failed.push((address, errno));
                }
                None
            }
        }
    }

    /// Waits until a connection is decided or the next one is due.
    fn wait(&mut self, next: Instant) -> Result<Option<(Socket, SocketAddr)>, NotReady> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let until = next.saturating_duration_since(clock::now()).min(self.budget.remaining());
        let mut fds: Vec<PollFd<'_>> =
            self.pending.iter().map(|(socket, _)| PollFd::new(socket.as_fd(), PollFlags::POLLOUT)).collect();
        match poll(&mut fds, timeout(until)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(NotReady::new(Kind::LocalLimit, format!("poll failed: {}", errno.desc()))),
        }
        let decided: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let mut decided = decided.into_iter();
        let ready: Vec<_> = self.pending.extract_if(.., |_| decided.next().unwrap_or(false)).collect();
        for (socket, address) in ready {
            match socket.take_error() {
                Ok(None) => {
                    if let Some(winner) = self.admit(socket, address) {
                        return Ok(Some(winner));
                    }
                }
                Ok(Some(error)) | Err(error) => self.fail(address, errno_of(&error)),
            }
        }
        Ok(None)
    }

    fn fail(&mut self, address: SocketAddr, errno: Errno) {
        // A repeat that fails decides nothing while an earlier one to the same address may answer.
        if !self.failed.iter().any(|(failed, _)| *failed == address) {
            self.failed.push((address, errno));
        }
        self.pending.retain(|(_, other)| *other != address);
    }

    /// Takes a connection, unless nobody listens at its other end.
    fn admit(&mut self, socket: Socket, address: SocketAddr) -> Option<(Socket, SocketAddr)> {
        let refused = match ends_of(&socket) {
            None => {
                self.fail(address, Errno::ECONNRESET);
                return None;
            }
            Some((local, peer)) if local == peer => Some(Errno::ECONNREFUSED),
            Some((local, peer)) if may_be_a_port_of_ours(local, peer) => listens(peer, self.budget).err(),
            Some(_) => None,
        };
        if let Some(errno) = refused {
            drop(socket.set_linger(Some(Duration::ZERO)));
            self.fail(address, errno);
            return None;
        }
        drop(socket.set_linger(None));
        Some((socket, address))
    }

    fn out_of_time(&self) -> NotReady {
        let mut failure = self.budget.timed_out();
        let silent: Vec<String> = self
            .addresses
            .iter()
            .filter(|address| !self.failed.iter().any(|(failed, _)| failed == *address))
            .map(ToString::to_string)
            .collect();
        failure.reason = failure.reason.replacen("no answer", &format!("no answer from {}", few(&silent)), 1);
        if !self.failed.is_empty() {
            failure.reason = format!("{}; {}", failure.reason, describe(&self.failed).reason);
        }
        failure
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

/// Whether somebody listens at `peer`, an address of this host.
///
/// Where the kernel's list does not say so (a redirected port is not in it, nor anything without
/// /proc), a second connection beside the first does: a socket that only connects has no room for
/// it, and the kernel refuses it at once.
fn listens(peer: SocketAddr, budget: &Budget) -> Result<(), Errno> {
    if ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|list| is_listed(list, peer)) {
        return Ok(());
    }
    let (socket, connected) = begin(peer)?;
    if !connected {
        let until = budget.remaining().min(DECIDES);
        if poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], timeout(until))? == 0 {
            // Silence is a queue that is full, and thus a listener's, if it lasted.
            return if until < DECIDES { Err(Errno::ETIMEDOUT) } else { Ok(()) };
        }
        if let Ok(Some(error)) | Err(error) = socket.take_error()
            && errno_of(&error) == Errno::ECONNREFUSED
        {
            return Err(Errno::ECONNREFUSED);
        }
    }
    match ends_of(&socket) {
        Some((local, peer)) if local == peer => Err(Errno::ECONNREFUSED),
        // Also if it was reset since: it was more than a socket that connects.
        _ => {
            drop(socket.set_linger(None));
            Ok(())
        }
    }
}

/// Whether a list of sockets as in /proc/net/tcp (`proc_pid_net(5)`) has a listener at `peer`, or at its
/// port of all addresses. Listeners come first in it.
fn is_listed(list: &str, peer: SocketAddr) -> bool {
    let Ok(file) = std::fs::File::open(list) else { return false };
    let mut listeners = io::BufReader::new(file).lines().skip(1).map_while(|line| {
        let line = line.ok()?;
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        (state == LISTEN).then(|| local.to_owned())
    });
    let (address, port) = (as_listed(peer.ip()), format!("{:04X}", peer.port()));
    listeners.any(|local| {
        let Some((at, of)) = local.split_once(':') else { return false };
        of == port && (at == address || at.bytes().all(|digit| digit == b'0'))
    })
}

/// An address in hexadecimal digits, each 32 bits of it in the order of this machine.
fn as_listed(address: IpAddr) -> String {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    octets.as_chunks::<4>().0.iter().fold(String::new(), |mut out, word| {
        let _ = write!(out, "{:08X}", u32::from_ne_bytes(*word));
        out
    })
}

/// At most three of a list.
fn few(all: &[String]) -> String {
    match all.len() {
        0..=3 => all.join(", "),
        n => format!("{} and {} more", all[..3].join(", "), n - 3),
    }
}

fn timeout(until: Duration) -> PollTimeout {
    // Rounded up: a poll that ends early would spin.
    let millis = until.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}

fn begin(address: SocketAddr) -> Result<(Socket, bool), Errno> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), None)
        .map_err(|error| errno_of(&error))?;
    if address.ip().is_loopback() && is_ephemeral(address.port()) {
        // Until it is known to lead to a server: closing a connection to itself in order would leave
        // the port in TIME-WAIT, where nobody can listen. Elsewhere a connection that is not needed
        // any more is to end as others do, not by a reset in the server's log.
        drop(socket.set_linger(Some(Duration::ZERO)));
    }
    start(socket, &SockAddr::from(address))
}

fn start(socket: Socket, address: &SockAddr) -> Result<(Socket, bool), Errno> {
    match socket.connect(address) {
        Ok(()) => Ok((socket, true)),
        Err(error) => match errno_of(&error) {
            Errno::EINPROGRESS | Errno::EINTR => Ok((socket, false)),
            errno => Err(errno),
        },
    }
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// Whether this machine has no such address family, or no route for it at all: then the addresses of
/// the other decide. Where one of a family could be asked, the others of it count as well.
fn is_family_missing(failed: &[(SocketAddr, Errno)], is_v6: bool) -> bool {
    let mut of_family = failed.iter().filter(|(address, _)| address.is_ipv6() == is_v6);
    of_family.all(|(_, errno)| matches!(errno, Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::ENETUNREACH))
}

/// One reason for all addresses.
fn describe(failed: &[(SocketAddr, Errno)]) -> NotReady {
    let mut decisive: Vec<&(SocketAddr, Errno)> =
        failed.iter().filter(|(address, _)| !is_family_missing(failed, address.is_ipv6())).collect();
    if decisive.is_empty() {
        decisive = failed.iter().collect();
    }
    let Some(&&(_, first)) = decisive.first() else {
        return NotReady::new(Kind::Unreachable, "no address could be tried");
    };
    if decisive.iter().all(|(_, errno)| *errno == first) {
        let all: Vec<String> = decisive.iter().map(|(address, _)| address.to_string()).collect();
        return explain(first, &few(&all));
    }
    let each: Vec<String> = decisive.iter().map(|(address, errno)| format!("{address}: {}", errno.desc())).collect();
    let kind = decisive.iter().map(|(_, errno)| kind_of(*errno)).find(|kind| *kind != Kind::ConnectionRefused);
    NotReady::new(kind.unwrap_or(Kind::ConnectionRefused), few(&each))
}

fn kind_of(errno: Errno) -> Kind {
    match errno {
        Errno::ECONNREFUSED => Kind::ConnectionRefused,
        Errno::ECONNRESET | Errno::ECONNABORTED => Kind::ConnectionClosed,
        Errno::ETIMEDOUT => Kind::TimedOut,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::EAGAIN => Kind::LocalLimit,
        _ => Kind::Unreachable,
    }
}

fn explain(errno: Errno, peers: &str) -> NotReady {
    let reason = match errno {
        Errno::ECONNREFUSED => format!("connection refused by {peers}: nothing listens there yet"),
        Errno::ECONNRESET | Errno::ECONNABORTED => super::RESET.to_owned(),
        Errno::ETIMEDOUT => format!("no answer from {peers}: a firewall drops the packets, or the address is wrong"),
        Errno::EHOSTUNREACH => format!("no route to {peers}: the host is down, or a firewall rejects the packets"),
        Errno::ENETUNREACH => format!("no route to the network of {peers}"),
        Errno::EADDRNOTAVAIL => format!("no local address or port from which to reach {peers}"),
        Errno::EMFILE | Errno::ENFILE => "out of file descriptors (raise `ulimit -n`)".to_owned(),
        Errno::EPERM | Errno::EACCES => format!("a firewall rule forbids connections to {peers}"),
        other => format!("cannot connect to {peers}: {}", other.desc()),
    };
    NotReady::new(kind_of(errno), reason)
}

fn connect_unix(path: &Path, budget: &Budget) -> Result<Connection, NotReady> {
    budget.enter(Stage::Connecting);
    let shown = path.display();
    let address = SockAddr::unix(path)
        .map_err(|_| NotReady::new(Kind::Forbidden, format!("the path {shown} is too long for a socket")))?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
        .map_err(|error| explain(errno_of(&error), &shown.to_string()))?;
    match start(socket, &address) {
        Ok((socket, _)) => connection(socket, shown.to_string(), budget),
        Err(Errno::ENOENT | Errno::ENOTDIR) => {
            Err(NotReady::new(Kind::Missing, format!("there is no socket {shown} yet")))
        }
        Err(Errno::ECONNREFUSED) => {
            let reason = format!("connection refused: nothing listens on the socket {shown}");
            Err(NotReady::new(Kind::ConnectionRefused, reason))
        }
        Err(Errno::EAGAIN) => {
            Err(NotReady::new(Kind::TooManyConnections, format!("the socket {shown} has its queue full")))
        }
        Err(Errno::EACCES | Errno::EPERM) => {
            let reason = format!("no permission for the socket {shown}: run as its user or group");
            Err(NotReady::new(Kind::Unreachable, reason))
        }
        Err(Errno::EPROTOTYPE) => {
            Err(NotReady::new(Kind::WrongProtocol, format!("{shown} is a datagram socket, not a stream socket")))
        }
        Err(errno) => Err(explain(errno, &shown.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_in_the_kernels_list() {
        let local = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let here = local.local_addr().unwrap();
        let listed =
            |address: SocketAddr| ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|list| is_listed(list, address));
        assert!(listed(here));
        assert!(!listed(SocketAddr::new("127.0.0.2".parse().unwrap(), here.port())));
        let everywhere = std::net::TcpListener::bind("[::]:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();
        assert!(listed(SocketAddr::new("::1".parse().unwrap(), port)));
        drop((local, everywhere));
        assert_eq!(as_listed("127.0.0.1".parse().unwrap()), format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1])));
        assert!(!is_listed("/nonexistent", here));
    }
}
