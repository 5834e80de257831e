//! HTTP/1.1 (RFC 9112), as tolerant of servers as curl.

mod clean;
mod json;
mod judge;
mod status;

use std::io::{self, Read, Write};

use crate::endpoint::Http;
use crate::endpoint::http::{Follow, Header};
use crate::endpoint::redirect::Redirect;
use crate::net::tls::Tls;
use crate::net::tls_settings::Settings;
use crate::net::{self, Budget, Stream};
use crate::outcome::{Kind, NotReady, Outcome};
use clean::{Cleaner, Head, Malformed};

/// The most that is read in all: interim responses, trailers and the framing of chunks may have no end.
pub const MAX_READ: usize = 2 << 20;
/// How much is read at a time.
const PIECE: usize = 8 << 10;
/// The most redirects that are followed, as the kubelet does.
const MAX_HOPS: usize = 10;

pub(super) fn probe(target: &Http, tls: &Tls, budget: &Budget) -> Outcome {
    let mut next;
    let mut current = target;
    for _ in 0..=MAX_HOPS {
        let connection = net::connect(&current.place, budget)?;
        let stream = match &current.tls {
            // A server that has only HTTP/2 says so in the handshake.
            Some(own) => {
                let settings = Settings { protocol: Some(b"http/1.1"), ..Settings::new(&current.host, own) };
                tls.connect(connection, &settings, budget)?
            }
            None => Stream::Plain(connection),
        };
        let mut answer = ask(current, stream, budget)?;
        match redirect(current, &answer)? {
            Some(Redirect::Next(request)) => {
                next = request;
                current = &next;
            }
            Some(Redirect::OtherHost(host)) => return judge::judge(current, &mut answer, Some(&host), budget),
            None => return judge::judge(current, &mut answer, None, budget),
        }
    }
    Err(NotReady::new(Kind::Unexpected, format!("more than {MAX_HOPS} redirects: they lead round in a circle?")))
}

/// Where an answer leads that is a redirect, if redirects are followed.
fn redirect<S>(target: &Http, answer: &Answer<S>) -> Result<Option<Redirect>, NotReady> {
    let status = answer.head.status;
    if target.follow == Follow::None || !matches!(status, 301..=303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = answer.head.get("location") else { return Ok(None) };
    let location = String::from_utf8_lossy(location);
    target.redirected(status, &location).map(Some).map_err(|problem| {
        NotReady::new(Kind::Unexpected, format!("HTTP {status}: the redirect cannot be followed: {problem}"))
    })
}

/// Asks over a stream that is connected already, and judges the answer. It follows no redirect.
///
/// # Errors
///
/// Why the answer is not the one expected. What the peer said may be in the reason: see
/// [`super::without_secrets`].
pub fn exchange(target: &Http, stream: impl Read + Write, budget: &Budget) -> Outcome {
    judge::judge(target, &mut ask(target, stream, budget)?, None, budget)
}

/// A response whose body has not been read.
struct Answer<S> {
    head: Head,
    body: Body<S>,
}

impl<S: Read> Answer<S> {
    /// What of the body came along with the header section.
    fn beginning(&self) -> &[u8] {
        self.body.here()
    }
}

fn ask<S: Read + Write>(target: &Http, mut stream: S, budget: &Budget) -> Result<Answer<S>, NotReady> {
    let sent = stream.write_all(&request(target)).and_then(|()| stream.flush());
    sent.map_err(|error| failure(&error, budget))?;
    let cleaner = Cleaner::new(target.method == "HEAD");
    let mut body = Body { stream, cleaner, clean: Vec::new(), used: 0, failure: None, read: 0 };
    loop {
        if let Some(head) = body.cleaner.take_head() {
            return Ok(Answer { head, body });
        }
        if let Some(malformed) = body.failure.take() {
            return Err(explain(&malformed));
        }
        body.read_more().map_err(|error| failure(&error, budget))?;
    }
}

/// The request as it is sent (RFC 9112, sections 2 and 3).
fn request(target: &Http) -> Vec<u8> {
    let given = |name: &str| target.headers.iter().any(|field| field.name == name);
    let place = if target.method == "CONNECT" { &target.authority } else { target.path_and_query.expose() };
    let mut out = format!("{} {place} HTTP/1.1\r\n", target.method).into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        out.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    };
    for (name, value) in [
        ("user-agent", concat!("when-ready/", env!("CARGO_PKG_VERSION"))),
        ("accept", "*/*"),
        ("host", &target.authority),
        ("connection", "close"),
    ] {
        if !given(name) {
            field(name, value.as_bytes());
        }
    }
    // A server may wait for a body whose length it is not told (RFC 9110, section 8.6).
    if matches!(target.method.as_str(), "POST" | "PUT" | "PATCH") && !given("content-length") {
        field("content-length", b"0");
    }
    for Header { name, value } in &target.headers {
        field(name, value.expose_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn failure(error: &io::Error, budget: &Budget) -> NotReady {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return NotReady::new(Kind::WrongProtocol, "the response does not end: 2 MiB of it were read");
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Malformed>()) {
        Some(malformed) => explain(malformed),
        None => net::io_failure(error, budget),
    }
}

fn explain(malformed: &Malformed) -> NotReady {
    match malformed {
        Malformed::NotHttp(first) if is_http2(first) => NotReady::new(
            Kind::WrongProtocol,
            "the peer speaks HTTP/2 alone, and HTTP/1.1 is asked: wait for it as tcp:// or grpc://, or let it take \
             HTTP/1.1 too",
        ),
        Malformed::NotHttp(first) if first.starts_with(&[0x15, 3]) => NotReady::new(
            Kind::WrongProtocol,
            "the peer does not answer as an HTTP server: it answered like a TLS server (write https://)",
        ),
        Malformed::NotHttp(_) | Malformed::Head(_) | Malformed::Chunk(_) => not_http(&malformed.to_string()),
        Malformed::HeadTooLarge => NotReady::new(Kind::WrongProtocol, malformed.to_string()),
        Malformed::HeadEnds | Malformed::BodyEnds(..) => NotReady::new(Kind::ConnectionClosed, malformed.to_string()),
    }
}

fn not_http(detail: &str) -> NotReady {
    NotReady::new(Kind::WrongProtocol, format!("the peer does not answer as an HTTP server ({detail})"))
}

/// A server's connection preface is a SETTINGS frame of stream 0 (RFC 9113, sections 3.4 and 4.1).
fn is_http2(first: &[u8]) -> bool {
    const SETTINGS: u8 = 4;
    matches!(first, [0, _, length, SETTINGS, 0, 0, 0, 0, 0, ..] if length % 6 == 0)
}

/// A response's body, without its framing.
struct Body<S> {
    stream: S,
    cleaner: Cleaner,
    /// What has come of it, and how much of that is handed on.
    clean: Vec<u8>,
    used: usize,
    /// What is wrong with that which comes after it.
    failure: Option<Malformed>,
    /// How much of the response has been read.
    read: usize,
}

impl<S: Read> Read for Body<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let here = self.here();
            if !here.is_empty() || room.is_empty() {
                let n = here.len().min(room.len());
                room[..n].copy_from_slice(&here[..n]);
                self.used += n;
                return Ok(n);
            }
            if let Some(failure) = self.failure.take() {
                return Err(io::Error::other(failure));
            }
            if self.cleaner.is_at_end() {
                return Ok(0);
            }
            self.read_more()?;
        }
    }
}

impl<S: Read> Body<S> {
    /// What has come, and is not handed on.
    fn here(&self) -> &[u8] {
        &self.clean[self.used..]
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut piece = [0; PIECE];
        let n = PIECE.min(MAX_READ - self.read);
        if n == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let n = self.stream.read(&mut piece[..n])?;
        self.read += n;
        self.clean.clear();
        self.used = 0;
        if n > 0 {
            self.failure = self.cleaner.push(&piece[..n], &mut self.clean).err();
            return Ok(());
        }
        if self.cleaner.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.cleaner.end().map_err(io::Error::other)?;
        self.cleaner.finish();
        Ok(())
    }
}
