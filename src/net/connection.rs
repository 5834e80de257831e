//! A connection whose reads and writes end with its attempt.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::Socket;

use crate::net::attempt::Attempt;
use crate::net::closed::closed;
use crate::net::errno::errno_of;
use crate::os;
use crate::wait::outcome::{Kind, NotReady};

/// The time after which a host that acknowledges nothing counts as gone.
const LOST: Duration = Duration::from_secs(8);

/// A connected socket, each of whose reads and writes ends with its attempt: a peer that sends one
/// byte a second cannot stretch it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) socket: Arc<Socket>,
    pub(super) attempt: Attempt,
}

impl Connection {
    /// The peer has said something on this connection. From here on it keeps other attempts back, so it must not
    /// outlast its host, whose name may lead elsewhere by now.
    pub(crate) fn has_spoken(&self) {
        if self.attempt.progress().note_spoken() {
            // Where the system refuses, the connection is kept as long as any; a Unix socket has no host.
            let _ = os::watch_host(&self.socket, LOST);
        }
    }

    fn time_left(&self) -> io::Result<Duration> {
        match self.attempt.remaining() {
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
            match (&*self.socket).read(buffer) {
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
            match (&*self.socket).write(buffer) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reason for an I/O error of a connection.
pub(crate) fn io_failure(error: &io::Error, attempt: &Attempt) -> NotReady {
    // TLS knows the cause, where it is on the connection.
    if let Some(failure) = error.get_ref().and_then(|inner| inner.downcast_ref::<NotReady>()) {
        return failure.clone();
    }
    match error.kind() {
        io::ErrorKind::TimedOut if errno_of(error) == Errno::ETIMEDOUT => {
            NotReady::new(Kind::Unreachable, "the connection is lost: its host answers nothing any more")
        }
        io::ErrorKind::TimedOut => attempt.timed_out(),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof => closed(),
        _ => NotReady::new(Kind::ConnectionClosed, format!("the connection failed: {error}")),
    }
}
