//! HTTP/1.1 by ureq, over our own connections, and as tolerant of servers as curl.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ureq::http::{HeaderValue, Method, Request, Response, header};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use ureq::{Agent, Body};

use super::clean::{Cleaner, MAX_HEAD, Malformed, not_http};
use crate::net::{self, Attempt};
use crate::targets::Http;
use crate::text::peer_text;
use crate::wait::outcome::{Kind, NotReady};

/// The most that is read in all: interim responses, trailers and the framing of chunks may have no end.
pub(crate) const MAX_READ: usize = 2 << 20;
/// How much is read at a time.
const PIECE: usize = 8 << 10;
/// Room for all that one piece may complete: a header section, which takes a little more where it is clean, and the
/// beginning of the body.
const INPUT: usize = MAX_HEAD + 2 * PIECE;

/// The traits of a connected stream that ureq asks for.
pub(crate) trait Wire: Read + Write + Send + Sync + 'static {}
impl<T: Read + Write + Send + Sync + 'static> Wire for T {}

/// A response whose body has not been read.
pub(super) struct UnreadResponse {
    pub(super) response: Response<Body>,
    /// Once set, the body ends with what has come already.
    pub(super) is_enough: Arc<AtomicBool>,
}

impl UnreadResponse {
    /// The part of the body that came along with the header section.
    pub(super) fn beginning(&mut self) -> Vec<u8> {
        self.is_enough.store(true, Ordering::Relaxed);
        let mut body = Vec::new();
        // An answer that cannot be read says nothing.
        drop(self.response.body_mut().as_reader().take(PIECE as u64).read_to_end(&mut body));
        body
    }
}

/// Asks over a stream that is connected already.
///
/// # Errors
///
/// Why there is no answer.
pub(super) fn ask(target: &Http, stream: impl Wire, attempt: &Attempt) -> Result<UnreadResponse, NotReady> {
    let is_enough = Arc::new(AtomicBool::new(false));
    let stream = Cleaned {
        stream,
        cleaner: Cleaner::new(target.method == Method::HEAD, target.header_is.clone()),
        failure: None,
        read: 0,
        is_enough: Arc::clone(&is_enough),
        buffers: LazyBuffers::new(INPUT, 16 << 10),
    };
    let agent = Agent::with_parts(config(), OneStream(Mutex::new(Some(stream))), NoResolver);
    let response = agent.run(request(target)?).map_err(|error| failure(error, attempt))?;
    Ok(UnreadResponse { response, is_enough })
}

fn config() -> ureq::config::Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_connections(0)
        .allow_non_standard_methods(true)
        .user_agent(concat!("when-ready/", env!("CARGO_PKG_VERSION")))
        .max_response_header_size(INPUT)
        .build()
}

fn request(target: &Http) -> Result<Request<()>, NotReady> {
    // The scheme is http whatever the target's is: TLS is the business of our stream.
    let uri = format!("http://{}{}", target.authority, target.path_and_query.expose());
    let mut request = Request::builder().method(target.method.clone()).uri(uri);
    let mut usual = vec![(header::HOST, target.authority.as_str()), (header::CONNECTION, "close")];
    // A server may wait for a body whose length it is not told (RFC 9110, section 8.6).
    if matches!(target.method, Method::POST | Method::PUT | Method::PATCH) {
        usual.push((header::CONTENT_LENGTH, "0"));
    }
    for (name, value) in usual {
        if !target.headers.iter().any(|field| field.name == name) {
            request = request.header(name, value);
        }
    }
    for field in &target.headers {
        if let Ok(mut value) = HeaderValue::from_str(field.value.expose()) {
            value.set_sensitive(true);
            request = request.header(&field.name, value);
        }
    }
    request.body(()).map_err(|_| NotReady::new(Kind::Forbidden, "the request cannot be written"))
}

pub(super) fn failure(error: ureq::Error, attempt: &Attempt) -> NotReady {
    match error {
        ureq::Error::Io(error) => {
            let inner = error.get_ref();
            if let Some(Malformed(failure)) = inner.and_then(|inner| inner.downcast_ref()) {
                return failure.clone();
            }
            net::io_failure(inner.and_then(|inner| inner.downcast_ref::<io::Error>()).unwrap_or(&error), attempt)
        }
        ureq::Error::Protocol(error) => not_http(&peer_text(error.to_string().as_bytes())),
        other => NotReady::new(Kind::ServerError, format!("HTTP failed: {}", peer_text(other.to_string().as_bytes()))),
    }
}

/// A stream that is connected already, and from which responses come clean.
struct Cleaned<S> {
    stream: S,
    cleaner: Cleaner,
    /// The mistake behind the part that was handed on last.
    failure: Option<Malformed>,
    /// How much has been read.
    read: usize,
    is_enough: Arc<AtomicBool>,
    buffers: LazyBuffers,
}

impl<S: Wire> Cleaned<S> {
    /// The next clean part; an empty one at the end of the response.
    fn next_part(&mut self) -> io::Result<Vec<u8>> {
        let mut part = Vec::new();
        while part.is_empty() {
            if let Some(failure) = self.failure.take() {
                return Err(io::Error::other(failure));
            }
            if self.cleaner.is_at_end() || self.is_enough.load(Ordering::Relaxed) {
                break;
            }
            self.read_more(&mut part)?;
        }
        Ok(part)
    }

    fn read_more(&mut self, part: &mut Vec<u8>) -> io::Result<()> {
        let mut piece = [0; PIECE];
        let n = PIECE.min(MAX_READ - self.read);
        if n == 0 {
            let reason = "the response does not end: 2 MiB of it were read";
            return Err(io::Error::other(Malformed(NotReady::new(Kind::WrongProtocol, reason))));
        }
        // ureq takes a reset for the end of a body; wrapped up, it is an error.
        let n = self.stream.read(&mut piece[..n]).map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => io::Error::other(error),
            _ => error,
        })?;
        self.read += n;
        if n > 0 {
            self.failure = self.cleaner.push(&piece[..n], part).err();
            return Ok(());
        }
        if self.cleaner.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.cleaner.end().map_err(io::Error::other)?;
        self.is_enough.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl<S: Wire> Transport for Cleaned<S> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    // The stream has the deadline of the attempt; ureq's own time-outs are not set.
    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.write_all(&self.buffers.output()[..amount])?;
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let part = self.next_part()?;
        // There is room for any part, but where a target expects hundreds of fields.
        let Some(room) = self.buffers.input_append_buf().get_mut(..part.len()) else {
            return Err(io::Error::other(Malformed::too_large()).into());
        };
        room.copy_from_slice(&part);
        self.buffers.input_appended(part.len());
        Ok(!part.is_empty())
    }

    fn is_open(&mut self) -> bool {
        false
    }
}

/// Hands ureq the stream.
struct OneStream<S>(Mutex<Option<Cleaned<S>>>);

impl<S: Wire> Connector<()> for OneStream<S> {
    type Out = Cleaned<S>;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Cleaned<S>>, ureq::Error> {
        Ok(self.0.lock().ok().and_then(|mut slot| slot.take()))
    }
}

// ureq asks for it and never shows it; derived, it brings the text of everything within.
impl<S> fmt::Debug for OneStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneStream")
    }
}

impl<S> fmt::Debug for Cleaned<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cleaned")
    }
}

/// The stream is connected before ureq is asked: there is nothing to resolve.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(addresses)
    }
}
