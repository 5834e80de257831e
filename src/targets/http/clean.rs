//! Responses as servers send them, made as strict as ureq's parser wants them (RFC 9112). Pure.
//!
//! What is taken for a response is what curl takes for one: lines that end in LF, folded fields, blanks before
//! colons, any number of fields with any characters, a status line without a reason, interim responses with
//! fields, extensions of chunks. Of the fields, only those are handed on that somebody looks at; the body comes
//! without its framing.

use std::fmt;

use crate::targets::http::Header;
use crate::targets::shared::talk::answered_like;
use crate::wait::outcome::{Kind, NotReady};

/// The most of a response's header section that is read; nginx and Node send at most 8 and 16 KiB.
pub(crate) const MAX_HEAD: usize = 64 << 10;
/// A chunk's size has at most so many digits, as in curl.
const MAX_DIGITS: u32 = 16;
/// How much of what is no HTTP is kept, to say what it looks like.
const FIRST_BYTES: usize = 64;
/// The most fields of one name that are handed on: ureq takes 128 in all.
const MAX_REPEATED: usize = 8;
/// The fields that are handed on.
const KEPT: [&str; 7] =
    ["content-encoding", "location", "sec-websocket-accept", "server", "via", "www-authenticate", "x-squid-error"];

/// Why something is not a response, or not all of one, as an error that ureq passes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) NotReady);

impl Malformed {
    pub(crate) fn too_large() -> Self {
        Self(NotReady::new(Kind::WrongProtocol, "the response's header section is larger than 64 KiB"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.reason)
    }
}

impl std::error::Error for Malformed {}

/// What is wrong with a header section or a chunk.
impl From<&'static str> for Malformed {
    fn from(problem: &'static str) -> Self {
        Self(not_http(problem))
    }
}

/// The answer is none of HTTP.
pub(crate) fn not_http(detail: &str) -> NotReady {
    NotReady::new(Kind::WrongProtocol, format!("the peer does not answer as an HTTP server ({detail})"))
}

/// The same of an answer that begins with these bytes.
fn unlike_http(first: &[u8]) -> NotReady {
    let reason = if is_http2(first) {
        "the peer speaks HTTP/2 alone, and HTTP/1.1 is asked: wait for it as tcp:// or grpc://, or let it take HTTP/1.1 too"
    } else if first.starts_with(&[0x15, 3]) {
        "the peer does not answer as an HTTP server: it answered like a TLS server (write https://)"
    } else {
        return not_http(&answered_like(first));
    };
    NotReady::new(Kind::WrongProtocol, reason)
}

/// A server's connection preface is a SETTINGS frame of stream 0 (RFC 9113, sections 3.4 and 4.1).
fn is_http2(first: &[u8]) -> bool {
    const SETTINGS: u8 = 4;
    matches!(first, [0, _, length, SETTINGS, 0, 0, 0, 0, 0, ..] if length % 6 == 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResponseState {
    Head,
    UntilClose,
    Length { left: u64, of: u64 },
    ChunkSize { size: u64, digits: u32, in_extension: bool },
    Chunk { left: u64 },
    AfterChunk,
    Trailer { line_is_empty: bool },
    End,
}

const CHUNK_SIZE: ResponseState = ResponseState::ChunkSize { size: 0, digits: 0, in_extension: false };

/// Takes a response in pieces of any size.
pub(crate) struct Cleaner {
    state: ResponseState,
    /// The header section so far.
    head: Vec<u8>,
    /// Where its last line begins.
    line: usize,
    /// Whether a body cannot come, because the request was HEAD.
    without_body: bool,
    /// The fields that are compared (`header-is=`).
    expected: Vec<Header>,
    /// How much of the body has come.
    body: u64,
}

/// Under this name it is handed on what the comparison of an expected field came to: the field itself may be one by
/// which ureq would read the body (`transfer-encoding`).
pub(crate) fn compared(index: usize) -> String {
    format!("compared-{index}")
}

/// The value of such a field where one of the response's fields has the expected value.
pub(crate) const IS_THERE: &str = "is-there";

impl Cleaner {
    /// For the response to one request.
    pub(crate) fn new(is_head_request: bool, expected: Vec<Header>) -> Self {
        Self { state: ResponseState::Head, head: Vec::new(), line: 0, without_body: is_head_request, expected, body: 0 }
    }

    /// Whether the response is whole: what follows is none of it.
    pub(crate) fn is_at_end(&self) -> bool {
        self.state == ResponseState::End
    }

    /// Takes the next piece, and appends to `out` what it is when it is clean.
    ///
    /// # Errors
    ///
    /// The mistake. The part before it is in `out`.
    pub(crate) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        while let Some(&byte) = input.first() {
            let taken = match self.state {
                ResponseState::End => return Ok(()),
                ResponseState::Head => {
                    self.head_byte(byte, input, out)?;
                    1
                }
                ResponseState::UntilClose => self.pass(input, u64::MAX, out),
                ResponseState::Length { left, of } => {
                    let n = self.pass(input, left, out);
                    let left = left - n as u64;
                    self.state = if left == 0 { ResponseState::End } else { ResponseState::Length { left, of } };
                    n
                }
                ResponseState::Chunk { left } => {
                    let n = self.pass(input, left, out);
                    let left = left - n as u64;
                    self.state = if left == 0 { ResponseState::AfterChunk } else { ResponseState::Chunk { left } };
                    n
                }
                framing => {
                    self.state = frame(framing, byte)?;
                    1
                }
            };
            input = &input[taken..];
        }
        Ok(())
    }

    /// The connection has ended.
    ///
    /// # Errors
    ///
    /// The response has not, perhaps not even begun.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        let reason = match self.state {
            ResponseState::UntilClose | ResponseState::End => return Ok(()),
            ResponseState::Head => "the peer closed the connection within the response's header section".to_owned(),
            ResponseState::Length { of, .. } => {
                format!("the body ended after {} of {of} bytes: the peer closed the connection", self.body)
            }
            _ => format!("the body ended after {} bytes, within a chunk or before the last", self.body),
        };
        Err(Malformed(NotReady::new(Kind::ConnectionClosed, reason)))
    }

    /// Whether nothing has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.state == ResponseState::Head && self.head.is_empty()
    }

    fn pass(&mut self, input: &[u8], left: u64, out: &mut Vec<u8>) -> usize {
        let n = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        out.extend_from_slice(&input[..n]);
        self.body += n as u64;
        n
    }

    fn head_byte(&mut self, byte: u8, input: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        const BEGIN: &[u8] = b"HTTP/";
        if let Some(expected) = BEGIN.get(self.head.len())
            && !expected.eq_ignore_ascii_case(&byte)
        {
            let first: Vec<u8> = self.head.iter().chain(input).take(FIRST_BYTES).copied().collect();
            return Err(Malformed(unlike_http(&first)));
        }
        if self.head.len() == MAX_HEAD {
            return Err(Malformed::too_large());
        }
        self.head.push(byte);
        if byte != b'\n' {
            return Ok(());
        }
        // A line that begins with its end is the last, as in curl, whatever stands between CR and LF.
        let is_blank = matches!(self.head.get(self.line), Some(b'\r' | b'\n'));
        if is_blank {
            let head = std::mem::take(&mut self.head);
            let fields = &head[..std::mem::take(&mut self.line)];
            self.state = self.begin(fields, out)?;
        } else {
            self.line = self.head.len();
        }
        Ok(())
    }

    /// Hands a whole header section on, and says what follows it (RFC 9112, section 6.3).
    fn begin(&self, head: &[u8], out: &mut Vec<u8>) -> Result<ResponseState, &'static str> {
        let (status, fields) = parse(head)?;
        let framing = match status {
            101 => ResponseState::End,
            100..=199 => return Ok(ResponseState::Head),
            _ => framing(&fields)?,
        };
        out.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
        let kept = KEPT.iter().flat_map(|kept| fields.iter().filter(move |(name, _)| name == kept).take(MAX_REPEATED));
        for (name, value) in kept {
            let value: Vec<u8> = value.iter().map(|&b| if b.is_ascii_control() { b' ' } else { b }).collect();
            out.extend_from_slice(&[name.as_bytes(), b": ", &value, b"\r\n"].concat());
        }
        for (index, expected) in self.expected.iter().enumerate() {
            let mut values = fields.iter().filter(|(name, _)| name == expected.name.as_str()).map(|(_, value)| value);
            let is_there = values.clone().any(|value| value == expected.value.expose_bytes());
            if values.next().is_some() {
                let told = if is_there { IS_THERE } else { "differs" };
                out.extend_from_slice(format!("{}: {told}\r\n", compared(index)).as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        let has_none =
            self.without_body || matches!(status, 204 | 304) || matches!(framing, ResponseState::Length { of: 0, .. });
        Ok(if has_none { ResponseState::End } else { framing })
    }
}

/// A field's name in small letters, and its value.
type Field = (String, Vec<u8>);

/// The status, and the fields.
fn parse(head: &[u8]) -> Result<(u16, Vec<Field>), &'static str> {
    if head.contains(&0) {
        return Err("there is a NUL byte in the response's header section");
    }
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let status = lines.next().and_then(status_of);
    let status = status.ok_or("its status line is not one of HTTP/1.1")?;
    let mut fields: Vec<Field> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            let (_, value) = fields.last_mut().ok_or("a line of its header section is no field")?;
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let colon = colon.ok_or("a line of its header section is no field")?;
        let name = String::from_utf8_lossy(line[..colon].trim_ascii_end()).to_ascii_lowercase();
        fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
    Ok((status, fields))
}

/// `HTTP/1.1 200 OK`; the reason, and the blank before it, may be missing. curl takes HTTP/2 here too, from
/// gateways that pass on what they got.
fn status_of(line: &[u8]) -> Option<u16> {
    let line = line.get(5..)?;
    let version = ["1.1", "1.0", "2.0", "2"].into_iter().find(|version| line.starts_with(version.as_bytes()))?;
    let rest = line[version.len()..].strip_prefix(b" ")?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let status = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    (digits == 3 && status >= 100).then_some(status)
}

fn framing(fields: &[Field]) -> Result<ResponseState, &'static str> {
    let all = |name: &'static str| fields.iter().filter(move |(other, _)| other == name).map(|(_, value)| value);
    let codings = all("transfer-encoding").flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let mut is_chunked = false;
    for coding in codings {
        if coding.eq_ignore_ascii_case(b"chunked") {
            is_chunked = true;
        } else if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
            return Err("it has a transfer encoding that was not asked for");
        }
    }
    if is_chunked {
        return Ok(CHUNK_SIZE);
    }
    let mut framing = ResponseState::UntilClose;
    for value in all("content-length") {
        let value = value.trim_ascii();
        let value = value.strip_prefix(b"+").unwrap_or(value);
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err("its Content-Length is not a number");
        }
        // A length beyond all numbers is none that will come.
        let length = std::str::from_utf8(&value[..digits]).ok().and_then(|digits| digits.parse::<u64>().ok());
        framing = length.map_or(ResponseState::UntilClose, |of| ResponseState::Length { left: of, of });
    }
    Ok(framing)
}

/// The next byte of what stands around chunks (RFC 9112, section 7.1).
fn frame(state: ResponseState, byte: u8) -> Result<ResponseState, &'static str> {
    match (state, byte) {
        (ResponseState::ChunkSize { digits: 0, .. }, b'\n') => Err("a chunk has no size"),
        (ResponseState::ChunkSize { size: 0, .. }, b'\n') => Ok(ResponseState::Trailer { line_is_empty: true }),
        (ResponseState::ChunkSize { size, .. }, b'\n') => Ok(ResponseState::Chunk { left: size }),
        (ResponseState::ChunkSize { size, digits, in_extension: false }, byte) if byte.is_ascii_hexdigit() => {
            if digits == MAX_DIGITS {
                return Err("a chunk's size has too many digits");
            }
            let digit = u64::from(char::from(byte).to_digit(16).unwrap_or_default());
            Ok(ResponseState::ChunkSize { size: size << 4 | digit, digits: digits + 1, in_extension: false })
        }
        (ResponseState::ChunkSize { digits: 0, .. }, _) => Err("a chunk has no size"),
        (ResponseState::ChunkSize { size, digits, .. }, _) => {
            Ok(ResponseState::ChunkSize { size, digits, in_extension: true })
        }
        (ResponseState::AfterChunk, b'\r') => Ok(ResponseState::AfterChunk),
        (ResponseState::AfterChunk, b'\n') => Ok(CHUNK_SIZE),
        (ResponseState::AfterChunk, _) => Err("a chunk is longer than it says"),
        (ResponseState::Trailer { line_is_empty: true }, b'\n') => Ok(ResponseState::End),
        (ResponseState::Trailer { .. }, b'\n') => Ok(ResponseState::Trailer { line_is_empty: true }),
        (ResponseState::Trailer { line_is_empty }, byte) => {
            Ok(ResponseState::Trailer { line_is_empty: line_is_empty && byte == b'\r' })
        }
        (state, _) => Ok(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed on of a response that comes in pieces of `step` bytes, and how it ends.
    fn cleaned(response: &[u8], step: usize) -> (String, Result<(), Malformed>) {
        let (mut cleaner, mut out) = (Cleaner::new(false, Vec::new()), Vec::new());
        let pushed = response.chunks(step).try_for_each(|piece| cleaner.push(piece, &mut out));
        (String::from_utf8_lossy(&out).into_owned(), pushed.and_then(|()| cleaner.end()))
    }

    const CLEAN: &str = "HTTP/1.1 200\r\n\r\nok";

    #[test]
    fn what_curl_takes_is_made_clean_however_it_is_cut() {
        let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "X: y\r\n".repeat(1000));
        for response in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.0  200OK\nContent-Length: 2\n\nokmore",
            "HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Length:\r\n 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length : 2, 2\r\nX(y)@: \u{1}\u{e4}\r\n: x\r\n \r\n\r\nok",
            "HTTP/1.1 200 OK\r\r\nContent-Length: 2\r\r\n\r\r\nok",
            "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 103\r\nLink: x\r\nContent-Length: 9\r\n\r\nhttp/2 200\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: identity, Chunked\r\n\r\n2 ;x=\"y\"\r\nok\r\n00\r\nT: v\r\n\r\nmore",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\rjunk\nok",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\no\n01\nk\n0\n\n",
            &many,
        ] {
            for step in [1, 2, 3, 7, usize::MAX] {
                assert_eq!(cleaned(response.as_bytes(), step), (CLEAN.to_owned(), Ok(())), "{response}, {step}");
            }
        }
    }

    #[test]
    fn what_is_looked_at_is_handed_on_without_control_characters() {
        let (clean, _) =
            cleaned(b"HTTP/1.1 302 \xff\r\nLOCATION : /a\x01b\r\nSet-Cookie: x\r\nContent-Length: 0\r\n\r\n", 5);
        assert_eq!(clean, "HTTP/1.1 302\r\nlocation: /a b\r\n\r\n");
    }

    #[test]
    fn a_field_that_is_repeated_is_handed_on_a_few_times() {
        for name in KEPT {
            let response =
                format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", format!("{name}: x\r\n").repeat(300));
            let (clean, end) = cleaned(response.as_bytes(), 100);
            assert_eq!((clean.matches(name).count(), end), (MAX_REPEATED, Ok(())), "{name}");
        }
    }

    #[test]
    fn every_part_of_a_response_is_no_response() {
        for response in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: v\r\n\r\n",
        ] {
            for cut in 0..response.len() {
                assert!(cleaned(&response.as_bytes()[..cut], usize::MAX).1.is_err(), "{}", &response[..cut]);
            }
            assert_eq!(cleaned(response.as_bytes(), usize::MAX).1, Ok(()));
        }
    }

    #[test]
    fn what_curl_refuses_is_refused() {
        let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"x".repeat(MAX_HEAD);
        for response in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            " HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1\t200\tOK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n  folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000002\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX\r\n0\r\n\r\n",
            &endless,
        ] {
            for step in [1, 5, usize::MAX] {
                assert!(cleaned(response.as_bytes(), step).1.is_err(), "{response}");
            }
        }
    }
}
