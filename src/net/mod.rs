//! Connections whose every step ends at a deadline.

mod connect;
mod dial;
mod errno;
mod listeners;
mod race;
pub mod resolve;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
pub mod tls;
pub mod tls_settings;

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::clock;
use crate::endpoint::Place;
use crate::outcome::{Kind, NotReady, Stage};

pub use connect::{Begun, begin, connect, poll_timeout, reach};
pub use dial::Dial;
pub use resolve::{ResolverState, resolve};

/// The stage of an attempt, seen by the gate while the attempt is under way.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU8>);

impl Progress {
    fn enter(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }

    /// What the attempt is doing now.
    pub fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.0.load(Ordering::Relaxed)) % Stage::ALL.len()]
    }
}

/// The time that one attempt has, whatever it does.
#[derive(Debug, Clone)]
pub struct Budget {
    begun: Instant,
    ends: Instant,
    progress: Progress,
    resolver: ResolverState,
    /// The connection that the event loop has made for this attempt, until it is taken.
    made: Option<Arc<Mutex<Left>>>,
}

type Left = Option<(Place, Made)>;

/// A socket that is connected.
#[derive(Debug)]
pub struct Made {
    socket: Socket,
    /// The peer's address, for messages.
    peer: String,
}

impl Made {
    /// The peer's address, for messages.
    pub fn peer(&self) -> &str {
        &self.peer
    }
}

impl Budget {
    /// A budget that begins now.
    pub fn new(time: Duration, progress: Progress, resolver: ResolverState) -> Self {
        let begun = clock::now();
        let ends = begun.checked_add(time).unwrap_or(begun);
        Self { begun, ends, progress, resolver, made: None }
    }

    /// Leaves a connection to `place` for the probe, which takes it with its first [`connect()`].
    pub fn leave(&mut self, place: Place, made: Made) {
        self.made = Some(Arc::new(Mutex::new(Some((place, made)))));
    }

    fn take_made(&self, place: &Place) -> Option<Made> {
        let mut slot = self.made.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take_if(|(to, _)| to == place).map(|(_, made)| made)
    }

    /// A budget that ends after `time`, or with this one if that is earlier.
    #[must_use]
    pub fn at_most(&self, time: Duration) -> Self {
        let begun = clock::now();
        match begun.checked_add(time) {
            Some(ends) if ends < self.ends => Self { begun, ends, ..self.clone() },
            // It is this one still, and says so when it runs out: 5s, not 4.9s.
            _ => self.clone(),
        }
    }

    /// How far the attempt has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Says what the attempt does from here on.
    pub fn enter(&self, stage: Stage) {
        self.progress.enter(stage);
    }

    /// What remains; zero when it is used up.
    pub fn remaining(&self) -> Duration {
        self.ends.saturating_duration_since(clock::now())
    }

    /// Whether less remains than has passed.
    fn is_half_spent(&self) -> bool {
        self.remaining() < clock::now().saturating_duration_since(self.begun)
    }

    /// The failure of an attempt whose time is used up.
    pub fn timed_out(&self) -> NotReady {
        self.progress.stage().timed_out(self.length())
    }

    fn length(&self) -> Duration {
        self.ends.saturating_duration_since(self.begun)
    }
}

/// A connected socket, each of whose reads and writes ends with its budget: a peer that sends one
/// byte a second cannot stretch it.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    budget: Budget,
    /// The peer's address, for messages.
    peer: String,
}

impl Connection {
    /// The peer's address, for messages.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    fn time_left(&self) -> io::Result<Duration> {
        match self.budget.remaining() {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            // A socket time-out of 0 would mean none at all.
            left => Ok(left.max(Duration::from_millis(1))),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(Some(self.time_left()?))?;
            match self.socket.read(buffer) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                other => return other,
            }
        }
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            self.socket.set_write_timeout(Some(self.time_left()?))?;
            match self.socket.write(buffer) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection, with or without TLS: what every protocol talks over.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(Connection),
    /// Through TLS.
    #[cfg(feature = "tls")]
    Tls(Box<tls::TlsConnection>),
}

impl Stream {
    /// The connection, where there is no TLS on it yet.
    pub fn plain(self) -> Option<Connection> {
        match self {
            Self::Plain(connection) => Some(connection),
            #[cfg(feature = "tls")]
            Self::Tls(_) => None,
        }
    }

    fn connection(&self) -> &Connection {
        match self {
            Self::Plain(connection) => connection,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.connection(),
        }
    }

    /// The connection beneath.
    pub fn into_connection(self) -> Connection {
        match self {
            Self::Plain(connection) => connection,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.finish(),
        }
    }

    /// From here on, reads and writes end with `budget`.
    pub fn lasts(&mut self, budget: &Budget) {
        let connection = match self {
            Self::Plain(connection) => connection,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.connection_mut(),
        };
        connection.budget = budget.clone();
    }

    /// The reason for an I/O error on this stream.
    pub fn failure(&self, error: &io::Error) -> NotReady {
        io_failure(error, &self.connection().budget)
    }

    /// Says good-bye in order, so that the server's log stays clean; what fails here does not matter.
    pub fn close(self) {
        let connection = match self {
            Self::Plain(connection) => connection,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.finish(),
        };
        drop(connection.socket.shutdown(std::net::Shutdown::Write));
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(connection) => connection.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => match stream.read(buffer) {
                // A peer that ends without close_notify (RFC 8446, section 6.1) has ended all the same;
                // every protocol here knows by itself whether an answer is whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(connection) => connection.write(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(connection) => connection.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The reason for an I/O error of a connection.
pub fn io_failure(error: &io::Error, budget: &Budget) -> NotReady {
    #[cfg(feature = "tls")]
    if let Some(failure) = tls::failure_within(error) {
        return failure;
    }
    match error.kind() {
        io::ErrorKind::TimedOut => budget.timed_out(),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof => closed(),
        _ => NotReady::new(Kind::ConnectionClosed, format!("the connection failed: {error}")),
    }
}

/// The same whether the peer closes or resets, while connecting or later, which is chance: what alternates
/// would be told each time. docker-proxy and Envoy accept for a service that is not there.
const CLOSED: &str = "accepted, but the peer closed the connection before it answered: a proxy with nothing behind it?";

/// The peer closed the connection where an answer was due.
pub fn closed() -> NotReady {
    NotReady::new(Kind::ConnectionClosed, CLOSED)
}
