//! HTTP/1.1 by ureq, over our own connections.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::sync::Mutex;

use ureq::http::{HeaderValue, Request, Response, header};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use ureq::{Agent, Body};

use crate::endpoint::Http;
use crate::endpoint::http::JsonExpectation;
use crate::net::tls::Tls;
use crate::net::tls_settings::Settings;
use crate::net::{self, Budget, Stream};
use crate::outcome::{Kind, NotReady, Outcome, Ready, quoted};

/// The most of a body that is read: 1 MiB.
const MAX_BODY: u64 = 1 << 20;
/// The most of a response's header section that is read; nginx and Node send at most 8 and 16 KiB.
const MAX_HEADER: usize = 64 << 10;
/// The most that is read in all: interim responses, trailers and the framing of chunks may have no end.
pub const MAX_READ: usize = 2 << 20;

pub(super) fn probe(target: &Http, tls: &Tls, budget: &Budget) -> Outcome {
    let connection = net::connect(&target.place, budget)?;
    let stream = match &target.tls {
        Some(own) => tls.connect(connection, &Settings::new(&target.host, own), budget)?,
        None => Stream::Plain(connection),
    };
    exchange(target, stream, budget)
}

/// What a connected stream can be; ureq asks for no less.
pub trait Wire: Read + Write + Debug + Send + Sync + 'static {}
impl<T: Read + Write + Debug + Send + Sync + 'static> Wire for T {}

/// Asks over a stream that is connected already, and judges the answer.
///
/// # Errors
///
/// Why the answer is not the one expected. What the peer said may be in the reason: see
/// [`super::without_secrets`].
pub fn exchange(target: &Http, stream: impl Wire, budget: &Budget) -> Outcome {
    let connector = OneStream(Mutex::new(Some(stream)));
    let agent = Agent::with_parts(config(), connector, NoResolver);
    let mut response = agent.run(request(target)?).map_err(|error| failure(error, budget))?;
    judge(target, &mut response, budget)
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
        .max_response_header_size(MAX_HEADER)
        // One byte more: a full buffer would look like the end of the connection.
        .input_buffer_size(MAX_HEADER + 1)
        .output_buffer_size(16 << 10)
        .build()
}

fn request(target: &Http) -> Result<Request<()>, NotReady> {
    // The scheme is http whatever the target's is: TLS is the business of our stream.
    let uri = format!("http://{}{}", target.authority, target.path_and_query.expose());
    let mut request = Request::builder().method(target.method.clone()).uri(uri);
    if !target.headers.iter().any(|field| field.name == header::HOST) {
        request = request.header(header::HOST, &target.authority);
    }
    if !target.headers.iter().any(|field| field.name == header::CONNECTION) {
        request = request.header(header::CONNECTION, "close");
    }
    for field in &target.headers {
        if let Ok(mut value) = HeaderValue::from_str(field.value.expose()) {
            value.set_sensitive(true);
            request = request.header(&field.name, value);
        }
    }
    request.body(()).map_err(|_| NotReady::new(Kind::Forbidden, "the request cannot be written"))
}

fn judge(target: &Http, response: &mut Response<Body>, budget: &Budget) -> Outcome {
    let status = response.status();
    let shown = match status.canonical_reason() {
        Some(reason) => format!("HTTP {} {reason}", status.as_u16()),
        None => format!("HTTP {}", status.as_u16()),
    };
    if !target.status.accepts(status.as_u16()) {
        let hint = way_out(response);
        return Err(NotReady::new(Kind::HttpStatus(status.as_u16()), format!("{shown}{hint}")));
    }
    if !target.expects_body() {
        return Ok(Ready::new(shown));
    }
    let body = read_body(response, budget)?;
    for text in &target.body {
        if !contains(&body, text.as_bytes()) {
            return Err(NotReady::new(Kind::Unexpected, format!("{shown}, but the body lacks the expected text")));
        }
    }
    if !target.json.is_empty() {
        let value = serde_json::from_slice::<serde_json::Value>(&body)
            .map_err(|_| NotReady::new(Kind::Unexpected, format!("{shown}, but {}", not_json(&body))))?;
        for expectation in &target.json {
            if !holds(expectation, &value) {
                let found = value.pointer(&expectation.pointer).map_or("is absent", |_| "is not as expected");
                let pointer = quoted(expectation.pointer.as_bytes());
                return Err(NotReady::new(Kind::Unexpected, format!("{shown}, but {pointer} in the body {found}")));
            }
        }
    }
    Ok(Ready::new(format!("{shown}, the body as expected")))
}

fn not_json(body: &[u8]) -> &'static str {
    if body.len() as u64 >= MAX_BODY { "the body is longer than 1 MiB" } else { "the body is not JSON" }
}

/// What to do about a status, where that is known.
fn way_out(response: &Response<Body>) -> &'static str {
    match response.status().as_u16() {
        300..=399 => ": a redirect, which is not followed; probe the place it leads to",
        401 | 407 => ": it wants credentials; give them in the URL or with header=Authorization:…",
        403 => ": forbidden to this client",
        404 => ": is the path right?",
        405 => ": it does not take this method (method=)",
        429 => ": too many requests",
        502 | 504 => ": the proxy is up, what is behind it is not",
        503 => ": it says itself that it is not ready",
        _ => "",
    }
}

fn read_body(response: &mut Response<Body>, budget: &Budget) -> Result<Vec<u8>, NotReady> {
    let mut body = Vec::new();
    let mut reader = response.body_mut().as_reader().take(MAX_BODY);
    let mut chunk = [0; 8 << 10];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(body),
            Ok(n) => body.extend_from_slice(&chunk[..n]),
            Err(error) => return Err(failure(ureq::Error::from(error), budget)),
        }
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

/// Without a value, anything but null and false: `{"ready": false}` is not what a user waits for.
fn holds(expectation: &JsonExpectation, body: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (body.pointer(&expectation.pointer), &expectation.value) {
        (None | Some(Value::Null | Value::Bool(false)), None) | (None, Some(_)) => false,
        (Some(_), None) => true,
        (Some(Value::String(found)), Some(wanted)) => {
            found == wanted || serde_json::from_str::<String>(wanted).is_ok_and(|wanted| *found == wanted)
        }
        (Some(found), Some(wanted)) => serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| *found == wanted),
    }
}

fn failure(error: ureq::Error, budget: &Budget) -> NotReady {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            NotReady::new(Kind::WrongProtocol, "the response does not end: 2 MiB of it were read")
        }
        ureq::Error::Io(error) => net::io_failure(&error, budget),
        ureq::Error::Protocol(error) => {
            let detail = quoted(error.to_string().as_bytes());
            NotReady::new(Kind::WrongProtocol, format!("the peer does not answer as an HTTP server ({detail})"))
        }
        ureq::Error::LargeResponseHeader(..) => {
            NotReady::new(Kind::WrongProtocol, "the response's header section is larger than 64 KiB")
        }
        ureq::Error::BodyStalled => net::closed(),
        other => NotReady::new(Kind::ServerError, format!("HTTP failed: {}", quoted(other.to_string().as_bytes()))),
    }
}

/// Hands ureq the stream that is already connected.
#[derive(Debug)]
struct OneStream<S>(Mutex<Option<S>>);

impl<S: Wire> Connector<()> for OneStream<S> {
    type Out = Buffered<S>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Buffered<S>>, ureq::Error> {
        let stream = self.0.lock().ok().and_then(|mut slot| slot.take());
        Ok(stream.map(|stream| Buffered {
            stream,
            buffers: LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size()),
            read: 0,
        }))
    }
}

#[derive(Debug)]
struct Buffered<S> {
    stream: S,
    buffers: LazyBuffers,
    /// How much has been read.
    read: usize,
}

impl<S: Wire> Transport for Buffered<S> {
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
        let room = self.buffers.input_append_buf();
        let n = room.len().min(MAX_READ - self.read);
        if n == 0 && !room.is_empty() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        let n = self.stream.read(&mut room[..n])?;
        self.read += n;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    fn is_open(&mut self) -> bool {
        false
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

#[cfg(test)]
mod tests {
    use super::*;

    fn json(pointer: &str, value: Option<&str>) -> bool {
        let body = serde_json::json!({"status": "ok", "ready": false, "n": 3, "none": null, "list": [{"a/b": true}]});
        holds(&JsonExpectation { pointer: pointer.to_owned(), value: value.map(str::to_owned) }, &body)
    }

    #[test]
    fn a_pointer_alone_must_lead_to_something_true() {
        assert!(json("/status", None));
        assert!(json("/n", None));
        assert!(json("/list/0/a~1b", None));
        for pointer in ["/ready", "/none", "/absent", "/list/1"] {
            assert!(!json(pointer, None), "{pointer}");
        }
    }

    #[test]
    fn a_value_is_compared_as_text_or_as_json() {
        for (pointer, value, expected) in [
            ("/status", "ok", true),
            ("/status", "\"ok\"", true),
            ("/status", "OK", false),
            ("/n", "3", true),
            ("/n", "4", false),
            ("/ready", "false", true),
            ("/none", "null", true),
            ("/absent", "null", false),
        ] {
            assert_eq!(json(pointer, Some(value)), expected, "{pointer}={value}");
        }
    }
}
