//! A connection through TLS: the handshake, and what the peer says of certificates after it.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::{ClientConnection, IoState, ProtocolVersion, StreamOwned};

use super::certificate::{self, Certificate};
use super::failure::Circumstances;
use super::verify::Findings;
use crate::net::attempt::Attempt;
use crate::net::closed::closed_over_tls;
use crate::net::connection::{Connection, io_failure};
use crate::net::tls_settings::{EndPoint, Fallback, Handshake, TlsFailure};
use crate::wait::outcome::{Kind, NotReady};

/// How long after a handshake a server is waited for that may refuse the client's certificate.
const REFUSAL: Duration = Duration::from_millis(500);

/// A connection that remembers the first bytes of the peer, which tell what it speaks.
struct Watched {
    connection: Connection,
    first: Vec<u8>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const ENOUGH: usize = 64;
        let n = self.connection.read(buffer)?;
        let more = n.min(ENOUGH.saturating_sub(self.first.len()));
        self.first.extend_from_slice(&buffer[..more]);
        Ok(n)
    }
}

/// The connection once the handshake is done, or why it failed.
pub(super) fn handshake(
    mut conn: ClientConnection,
    connection: Connection,
    settings: &Handshake<'_>,
    findings: Arc<Findings>,
    attempt: &Attempt,
) -> Result<TlsConnection, TlsFailure> {
    let mut watched = Watched { connection, first: Vec::new() };
    let Err(error) = drive(&mut conn, &mut watched) else {
        let stream = StreamOwned::new(conn, watched.connection);
        return Ok(TlsConnection { stream, findings, has_answered: false });
    };
    let context = Circumstances {
        first: &watched.first,
        is_chosen: conn.negotiated_cipher_suite().is_some(),
        lacks_certificate: findings.lacks_certificate.load(Ordering::Relaxed),
        protocol: settings.protocol,
        name: settings.name,
        is_limited: settings.min_version.is_some() || settings.max_version.is_some(),
    };
    match tls_error(&error) {
        Some(tls) => Err(context.failure(tls)),
        None if error.kind() == io::ErrorKind::TimedOut => Err(attempt.timed_out().into()),
        None => Err(TlsFailure { failure: context.closed(io_failure(&error, attempt)), fallback: Fallback::Allowed }),
    }
}

/// Up to the end of the handshake. What the server said before it closed comes before what failed on our side:
/// a write into a connection that it has closed already hides its alert.
fn drive(conn: &mut ClientConnection, watched: &mut Watched) -> io::Result<()> {
    loop {
        let mut broken = None;
        while conn.wants_write() && broken.is_none() {
            broken = conn.write_tls(&mut watched.connection).err();
        }
        if broken.is_none() && !conn.is_handshaking() {
            return Ok(());
        }
        match (conn.read_tls(watched), broken) {
            (Ok(0), None) => return Err(io::ErrorKind::UnexpectedEof.into()),
            (Ok(0) | Err(_), Some(broken)) => return Err(broken),
            (Err(error), None) => return Err(error),
            (Ok(_), _) => {}
        }
        if let Err(error) = process(conn) {
            // The alert that tells the server why.
            drop(conn.write_tls(&mut watched.connection));
            return Err(error);
        }
    }
}

/// Takes in what was read; an error carries the one of TLS: see [`tls_error`].
fn process(conn: &mut ClientConnection) -> io::Result<IoState> {
    conn.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The error of TLS that an I/O error carries.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// A connection through TLS, whose handshake is done.
#[derive(Debug)]
pub(crate) struct TlsConnection {
    pub(super) stream: StreamOwned<ClientConnection, Connection>,
    pub(super) findings: Arc<Findings>,
    has_answered: bool,
}

impl TlsConnection {
    /// The connection beneath.
    pub(crate) fn connection(&self) -> &Connection {
        &self.stream.sock
    }

    /// The same, to change.
    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.stream.sock
    }

    /// Tells the peer that nothing more comes, and gives the connection beneath.
    pub(crate) fn finish(mut self) -> Connection {
        self.stream.conn.send_close_notify();
        drop(self.stream.flush());
        self.stream.sock
    }

    /// Under TLS 1.3 a server that wants a client's certificate refuses it after the handshake (RFC 8446, section
    /// 4.4.2.4). One that takes it sends a session ticket, as a rule; where neither comes within `REFUSAL`, it is
    /// taken for content.
    ///
    /// # Errors
    ///
    /// The refusal: an alert, or that it closes the connection.
    pub(crate) fn hear_refusal(&mut self, attempt: &Attempt) -> Result<(), NotReady> {
        let may_refuse = self.findings.wants_certificate.load(Ordering::Relaxed)
            && self.stream.conn.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if !may_refuse {
            return Ok(());
        }
        self.stream.sock.attempt = attempt.at_most(REFUSAL.min(attempt.remaining() / 2));
        let heard = self.hear();
        self.stream.sock.attempt = attempt.clone();
        match heard {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            Err(error) => {
                let failure = io_failure(&self.explained(error), attempt);
                let is_closed = failure.kind == Kind::ConnectionClosed;
                Err(if is_closed { closed_over_tls() } else { failure })
            }
        }
    }

    /// The data for tls-server-end-point channel binding (RFC 5929, section 4): the hash of the server's
    /// certificate, by its signature's hash, or SHA-256 where that is MD5 or SHA-1.
    ///
    /// `None` where the algorithm leaves it undefined (Ed25519).
    pub(crate) fn end_point(&self) -> Option<EndPoint> {
        if !self.findings.is_key_proven.load(Ordering::Relaxed) {
            return Some(EndPoint::Unproven);
        }
        let certificate = self.stream.conn.peer_certificates()?.first()?;
        let algorithm = certificate::signature_hash(Certificate::read(certificate)?.algorithm)?;
        Some(EndPoint::Hash(ring::digest::digest(algorithm, certificate).as_ref().to_vec()))
    }

    /// Reads until a ticket has come, or content.
    fn hear(&mut self) -> io::Result<()> {
        loop {
            if self.stream.conn.read_tls(&mut self.stream.sock)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let state = process(&mut self.stream.conn)?;
            if state.plaintext_bytes_to_read() > 0 || self.stream.conn.tls13_tickets_received() > 0 {
                return Ok(());
            }
            if state.peer_has_closed() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// An I/O error with what TLS knows of its cause: under TLS 1.3 a server that refuses the client's
    /// certificate says so after the handshake.
    fn explained(&mut self, error: io::Error) -> io::Error {
        use io::ErrorKind as Kind;
        let is_broken = matches!(error.kind(), Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted);
        let error = if is_broken { self.last_words().unwrap_or(error) } else { error };
        let context = Circumstances {
            first: &[],
            is_chosen: true,
            lacks_certificate: self.findings.lacks_certificate.load(Ordering::Relaxed),
            protocol: None,
            name: "",
            is_limited: false,
        };
        let explanation = match tls_error(&error) {
            Some(tls) => context.failure(tls).failure,
            None if context.lacks_certificate
                && !self.has_answered
                && (is_broken || error.kind() == Kind::UnexpectedEof) =>
            {
                context.closed(closed_over_tls())
            }
            None => return error,
        };
        io::Error::new(Kind::InvalidData, explanation)
    }

    /// The alert that the server sent before it closed.
    fn last_words(&mut self) -> Option<io::Error> {
        while self.stream.conn.read_tls(&mut self.stream.sock).is_ok_and(|n| n > 0) {
            if let Err(error) = process(&mut self.stream.conn) {
                return Some(error);
            }
        }
        None
    }
}

impl Read for TlsConnection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Ok(n) => {
                self.has_answered |= n > 0;
                Ok(n)
            }
            Err(error) => Err(self.explained(error)),
        }
    }
}

impl Write for TlsConnection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer).map_err(|error| self.explained(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().map_err(|error| self.explained(error))
    }
}
