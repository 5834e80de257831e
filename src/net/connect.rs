//! The one way to a connection: the one that the event loop has made for the attempt, or a new one.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};

use super::dial::{Dial, start};
use super::errno::{errno_of, explain, name_of};
use super::{Budget, Connection, Made, resolve};
use crate::clock;
use crate::endpoint::Place;
use crate::outcome::{Kind, NotReady, Stage};

/// Connects to the socket at a path, or to the first address of a name that answers.
///
/// # Errors
///
/// [`Kind::Unresolved`], [`Kind::ConnectionRefused`], [`Kind::Unreachable`], [`Kind::TimedOut`] or
/// [`Kind::LocalLimit`], with each address that failed; [`Kind::Missing`] without a socket at the path.
pub fn connect(place: &Place, budget: &Budget) -> Result<Connection, NotReady> {
    let made = reach(place, budget)?;
    if let Place::Tcp(_) = place {
        drop(made.socket.set_tcp_nodelay(true));
    }
    made.socket.set_nonblocking(false).map_err(|error| super::io_failure(&error, budget))?;
    budget.enter(Stage::Exchanging);
    Ok(Connection { socket: made.socket, budget: budget.clone(), peer: made.peer })
}

/// The same, for a caller that has nothing to say to the peer.
///
/// # Errors
///
/// Those of [`connect`].
pub fn reach(place: &Place, budget: &Budget) -> Result<Made, NotReady> {
    if let Some(made) = budget.take_made(place) {
        return Ok(made);
    }
    match place {
        Place::Tcp(address) => {
            let addresses = resolve(&address.host, address.port, budget)?;
            budget.enter(Stage::Connecting);
            await_end(Dial::new(addresses, budget))
        }
        Place::Unix(path) => {
            budget.enter(Stage::Connecting);
            connect_unix(path)
        }
    }
}

/// Begins a connection without blocking: the race to an IP address, or how connecting to a socket has ended.
/// None where a name has to be looked up first.
pub fn begin(place: &Place, budget: &Budget) -> Option<Begun> {
    let begun = match place {
        Place::Tcp(address) => {
            let ip: IpAddr = address.host.parse().ok()?;
            Begun::Dial(Dial::new(vec![(ip, address.port).into()], budget))
        }
        Place::Unix(path) => Begun::Ended(connect_unix(path)),
    };
    budget.enter(Stage::Connecting);
    Some(begun)
}

/// What [`begin`] has begun.
#[derive(Debug)]
pub enum Begun {
    /// A race, for whoever polls.
    Dial(Dial),
    /// There was nothing to wait for.
    Ended(Result<Made, NotReady>),
}

/// Drives a race to its end.
fn await_end(mut dial: Dial) -> Result<Made, NotReady> {
    loop {
        if let Some(end) = dial.advance(clock::now()) {
            return end;
        }
        let until = dial.wakes_at().saturating_duration_since(clock::now());
        let mut fds: Vec<PollFd<'_>> = dial.awaited().map(|fd| PollFd::new(fd, PollFlags::POLLOUT)).collect();
        match poll(&mut fds, poll_timeout(until)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(NotReady::new(Kind::LocalLimit, format!("poll failed: {}", name_of(errno)))),
        }
        let writable: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        dial.note(writable.into_iter());
    }
}

/// A time-out for poll(2), in its whole milliseconds.
pub fn poll_timeout(until: Duration) -> PollTimeout {
    // Rounded up: a poll that ends early would spin.
    let millis = until.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}

fn connect_unix(path: &Path) -> Result<Made, NotReady> {
    let shown = path.display();
    let address = SockAddr::unix(path)
        .map_err(|_| NotReady::new(Kind::Forbidden, format!("the path {shown} is too long for a socket")))?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
        .map_err(|error| explain(errno_of(&error), &shown.to_string()))?;
    match start(socket, &address) {
        Ok((socket, _)) => Ok(Made { socket, peer: shown.to_string() }),
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
