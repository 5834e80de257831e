//! What every protocol talks over: a connection, with or without TLS.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};

use crate::net::attempt::Attempt;
use crate::net::connection::Connection;
use crate::net::tls::connection::TlsConnection;
use crate::wait::outcome::NotReady;

/// What a conversation goes over: a [`Stream`]; for tests and the fuzzer bytes alone, which end by themselves.
pub(crate) trait TimedStream: Read + Write + Sized {
    /// From here on, reads and writes end with `attempt`.
    fn lasts(&mut self, _: &Attempt) {}

    /// Whether TLS is on it.
    fn is_tls(&self) -> bool {
        false
    }

    /// Says good-bye in order, so that the server's log stays clean; what fails here does not matter.
    fn close(self) {}
}

/// A connection, with or without TLS: what every protocol talks over.
#[derive(Debug)]
pub(crate) enum Stream {
    /// As it is.
    Plain(Connection),
    /// Through TLS.
    Tls(Box<TlsConnection>),
}

impl Stream {
    /// The connection, where there is no TLS on it yet.
    pub(crate) fn plain(self) -> Option<Connection> {
        match self {
            Self::Plain(connection) => Some(connection),
            Self::Tls(_) => None,
        }
    }

    fn connection(&self) -> &Connection {
        match self {
            Self::Plain(connection) => connection,
            Self::Tls(stream) => stream.connection(),
        }
    }

    /// This end's address; none of a socket in the file system.
    pub(crate) fn local_ip(&self) -> Option<IpAddr> {
        Some(self.connection().socket.local_addr().ok()?.as_socket()?.ip())
    }

    /// The connection beneath.
    pub(crate) fn into_connection(self) -> Connection {
        match self {
            Self::Plain(connection) => connection,
            Self::Tls(stream) => stream.finish(),
        }
    }

    /// Hears whether the server refuses the client's certificate after the handshake: see
    /// [`TlsConnection::hear_refusal`].
    ///
    /// # Errors
    ///
    /// The refusal.
    pub(crate) fn hear_refusal(&mut self, attempt: &Attempt) -> Result<(), NotReady> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.hear_refusal(attempt),
        }
    }
}

impl TimedStream for Stream {
    fn lasts(&mut self, attempt: &Attempt) {
        let connection = match self {
            Self::Plain(connection) => connection,
            Self::Tls(stream) => stream.connection_mut(),
        };
        connection.attempt = attempt.clone();
    }

    fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    fn close(self) {
        drop(self.into_connection().socket.shutdown(Shutdown::Write));
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::Plain(connection) => connection.read(buffer),
            Self::Tls(stream) => match stream.read(buffer) {
                // A peer that ends without close_notify (RFC 8446, section 6.1) has ended all the same;
                // every protocol here knows by itself whether an answer is whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
        };
        // The handshake alone is no word of the peer: a proxy may have ended it.
        if matches!(read, Ok(1..)) {
            self.connection().has_spoken();
        }
        read
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(connection) => connection.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(connection) => connection.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
