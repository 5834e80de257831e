//! The one way to a connection: the one that the event loop has made for the attempt, or a new one.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use socket2::{Domain, SockAddr, Type};

use super::attempt::{Attempt, Made};
use super::connection::{Connection, io_failure};
use super::dial::{Dial, start};
use super::errno::{errno_of, explain, name_of};
use super::place::Place;
use super::resolve::resolve;
use super::steps::StepKind;
use crate::os::mounts;
use crate::wait::outcome::{Kind, NotReady, Stage};
use crate::{clock, os};

/// Connects to the socket at a path, or to the first address of a name that answers.
///
/// # Errors
///
/// [`Kind::Unresolved`], [`Kind::ConnectionRefused`], [`Kind::Unreachable`], [`Kind::TimedOut`] or
/// [`Kind::LocalLimit`], with each address that failed; [`Kind::Missing`] without a socket at the path.
pub(crate) fn connect(place: &Place, attempt: &Attempt) -> Result<Connection, NotReady> {
    let made = reach(place, attempt)?;
    if let Place::Tcp(_) = place {
        drop(made.socket.set_tcp_nodelay(true));
    }
    connection_of(made, attempt)
}

fn connection_of(made: Made, attempt: &Attempt) -> Result<Connection, NotReady> {
    made.socket.set_nonblocking(false).map_err(|error| io_failure(&error, attempt))?;
    let socket = Arc::new(made.socket);
    attempt.progress().connected(&socket);
    Ok(Connection { socket, attempt: attempt.clone() })
}

/// The same, for a caller that has nothing to say to the peer.
///
/// # Errors
///
/// The errors of [`connect`].
pub(crate) fn reach(place: &Place, attempt: &Attempt) -> Result<Made, NotReady> {
    if attempt.is_abandoned() {
        return Err(attempt.timed_out());
    }
    if let Some(made) = attempt.take_made(place) {
        return Ok(made);
    }
    let attempt = &attempt.going_on();
    let made = match place {
        Place::Tcp(address) => {
            let addresses = resolve(&address.host, address.port, attempt)?;
            attempt.enter(Stage::Connecting);
            await_end(Dial::new(addresses, attempt))
        }
        Place::Unix(path) => {
            attempt.enter(Stage::Connecting);
            connect_unix(path)
        }
    };
    note_end(&made, attempt);
    made
}

/// Notes how connecting has ended.
pub(crate) fn note_end(made: &Result<Made, NotReady>, attempt: &Attempt) {
    attempt.steps().note(StepKind::Connect, || match made {
        Ok(made) => format!("connected to {}{}", made.peer, made.others),
        Err(failure) => format!("failed: {}", failure.reason),
    });
}

/// Begins a connection without blocking: the race to an IP address, or how connecting to a socket has ended.
/// None where a name has to be looked up first.
pub(crate) fn begin(place: &Place, attempt: &Attempt) -> Option<BegunConnection> {
    let begun = match place {
        Place::Tcp(address) => {
            let ip: IpAddr = address.host.parse().ok()?;
            BegunConnection::Dial(Box::new(Dial::new(vec![(ip, address.port).into()], attempt)))
        }
        Place::Unix(path) => BegunConnection::Ended(connect_unix(path)),
    };
    attempt.enter(Stage::Connecting);
    Some(begun)
}

/// The outcome of [`begin`].
#[derive(Debug)]
pub(crate) enum BegunConnection {
    /// A race, for whoever polls.
    Dial(Box<Dial>),
    /// There was nothing to wait for.
    Ended(Result<Made, NotReady>),
}

/// Drives a race to its end.
fn await_end(mut dial: Dial) -> Result<Made, NotReady> {
    loop {
        if let Some(end) = dial.advance(clock::now()) {
            return end;
        }
        let mut fds: Vec<PollFd<'_>> = dial.awaited().map(|fd| PollFd::new(fd, PollFlags::POLLOUT)).collect();
        match poll(&mut fds, os::poll_timeout(dial.wakes_at())) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(NotReady::new(Kind::LocalLimit, format!("poll failed: {}", name_of(errno)))),
        }
        let writable: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        dial.note(writable.into_iter());
    }
}

fn connect_unix(path: &Path) -> Result<Made, NotReady> {
    let shown = path.display();
    let address = SockAddr::unix(path)
        .map_err(|_| NotReady::new(Kind::Forbidden, format!("the path {shown} is too long for a socket")))?;
    let socket =
        os::socket(Domain::UNIX, Type::STREAM).map_err(|error| explain(errno_of(&error), &shown.to_string()))?;
    match start(socket, &address) {
        Ok((socket, _)) => Ok(Made { socket, peer: shown.to_string(), others: String::new() }),
        Err(Errno::ENOENT | Errno::ENOTDIR) => {
            Err(NotReady::new(Kind::Missing, format!("there is no socket {shown} yet")))
        }
        Err(Errno::ECONNREFUSED) => {
            let hint = if mounts::is_mount_point(path) {
                "; it is mounted by itself, and one that was made anew since is not seen here: mount its directory"
            } else {
                ""
            };
            let reason = format!("connection refused: nothing listens on the socket {shown}{hint}");
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
    use std::io::Read;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::net::place::Address;

    #[test]
    fn an_attempt_that_nobody_waits_for_any_more_waits_for_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::Tcp(Address { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() });
        // Given up after its connection stood, in the moment when it did, and before.
        let attempt = Attempt::new(Duration::from_secs(2)).patient(Duration::from_secs(4));
        let mut connection = connect(&place, &attempt).unwrap();
        attempt.progress().end();
        assert_eq!(connection.read(&mut [0]).ok(), Some(0));
        let attempt = Attempt::new(Duration::from_secs(2)).patient(Duration::from_secs(4));
        let made = reach(&place, &attempt).unwrap();
        attempt.progress().end();
        let mut connection = connection_of(made, &attempt).unwrap();
        assert_eq!(connection.read(&mut [0]).ok(), Some(0));
        assert_eq!(connect(&place, &attempt).unwrap_err().kind, Kind::TimedOut);
    }
}
