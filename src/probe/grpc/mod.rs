//! gRPC's health service: `grpc.health.v1.Health/Check` answers SERVING.

pub mod http2;

use std::io::{Read, Write};

use super::talk::Talk;
use crate::endpoint::service::{Encryption, Service};
use crate::outcome::{Kind, NotReady, Outcome, Ready};
use http2::{Frame, Name, flag, kind};

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// The stream of our only call.
const STREAM: u32 = 1;
/// The most bytes of an answer: a status has two.
const MAX_ANSWER: usize = 4096;

pub(super) fn exchange<S: Read + Write>(talk: &mut Talk<'_, S>, target: &Service, authority: &str) -> Outcome {
    let call = call(target, authority);
    talk.send(&[http2::PREFACE, &http2::settings(), &call].concat());
    // A server begins with its settings (RFC 9113, section 3.4).
    let first = talk.receive(|bytes| match http2::frame(bytes)? {
        Some((frame, _)) if frame.kind != kind::SETTINGS || frame.stream != 0 => Err(super::ProtocolError),
        other => Ok(other),
    })?;
    let answer = listen(talk, first)?;
    talk.send(&http2::framed(kind::GO_AWAY, 0, 0, &[0; 8]));
    judge(&answer, target)
}

/// The frames of the call.
fn call(target: &Service, authority: &str) -> Vec<u8> {
    let agent = concat!("when-ready/", env!("CARGO_PKG_VERSION"));
    // Static table: 4 `:path`, 1 `:authority`, 31 `content-type`, 58 `user-agent`.
    let fields = http2::request(
        target.encryption == Encryption::Always,
        &[
            (Name::Index(4), METHOD),
            (Name::Index(1), authority),
            (Name::Index(31), "application/grpc"),
            (Name::Written("te"), "trailers"),
            (Name::Index(58), agent),
        ],
    );
    let service = target.name.as_deref().unwrap_or_default().as_bytes();
    // HealthCheckRequest: the field 1 is the service's name; empty, it is left out.
    let message = if service.is_empty() { Vec::new() } else { [&[0x0a][..], &varint(service.len()), service].concat() };
    let length = u32::try_from(message.len()).unwrap_or(0).to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let headers = http2::framed(kind::HEADERS, flag::END_HEADERS, STREAM, &fields);
    [headers, http2::framed(kind::DATA, flag::END_STREAM, STREAM, &body)].concat()
}

/// A length as Protocol Buffers write it: seven bits at a time, the lowest first.
fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number > 127 {
        out.push(u8::try_from(number & 127).unwrap_or(0) | 128);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
    out
}

/// What came on the stream.
#[derive(Debug, Default)]
struct Answer {
    http_status: Option<u16>,
    grpc_status: Option<u16>,
    body: Vec<u8>,
}

/// Takes frames until the stream ends.
fn listen<S: Read + Write>(talk: &mut Talk<'_, S>, first: Frame) -> Result<Answer, NotReady> {
    let mut answer = Answer::default();
    let mut block: Vec<u8> = Vec::new();
    let mut frame = first;
    loop {
        let is_ours = frame.stream == STREAM;
        match frame.kind {
            kind::SETTINGS if frame.flags & flag::ACK == 0 => {
                talk.send(&http2::framed(kind::SETTINGS, flag::ACK, 0, b""));
            }
            kind::PING if frame.flags & flag::ACK == 0 => {
                talk.send(&http2::framed(kind::PING, flag::ACK, 0, &frame.payload));
            }
            kind::GO_AWAY => return Err(NotReady::new(Kind::NotAccepting, "the server ends the connection (GOAWAY)")),
            kind::RESET if is_ours => {
                return Err(NotReady::new(Kind::NotAccepting, "the server ends the call (RST_STREAM)"));
            }
            kind::DATA if is_ours && answer.body.len() < MAX_ANSWER => answer.body.extend(&frame.payload),
            kind::HEADERS | kind::CONTINUATION if is_ours && block.len() < MAX_ANSWER => {
                block.extend(&frame.payload);
                if frame.flags & flag::END_HEADERS != 0 {
                    let fields = http2::fields(&block).map_err(|_| talk.out_of_order())?;
                    answer.http_status = answer.http_status.or(fields.http_status);
                    answer.grpc_status = answer.grpc_status.or(fields.grpc_status);
                    block.clear();
                }
            }
            _ => {}
        }
        let is_end = matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & flag::END_STREAM != 0;
        if is_ours && is_end && block.is_empty() {
            return Ok(answer);
        }
        frame = talk.receive(http2::frame)?;
    }
}

/// The status of the call, then that of the service (gRPC Health Checking Protocol).
fn judge(answer: &Answer, target: &Service) -> Outcome {
    let service = target.name.as_deref().unwrap_or("the server");
    let failure = |kind, reason: String| Err(NotReady::new(kind, reason));
    match (answer.grpc_status, answer.http_status) {
        (Some(0), _) => {}
        (Some(5), _) => return failure(Kind::Unexpected, format!("{service} is not known to its health service yet")),
        (Some(12), _) => {
            return failure(Kind::Forbidden, "the server has no health service (grpc.health.v1)".to_owned());
        }
        (Some(14), _) => return failure(Kind::NotAccepting, "the server is not available (14)".to_owned()),
        (Some(7 | 16), _) => return failure(Kind::CredentialsRejected, "its health service wants a login".to_owned()),
        (Some(code), _) => return failure(Kind::ServerError, format!("its health service fails (status {code})")),
        (None, Some(200) | None) => return failure(Kind::ServerError, "its answer has no status".to_owned()),
        (None, Some(code)) => return failure(Kind::HttpStatus(code), format!("HTTP {code} instead of gRPC")),
    }
    // Not compressed, its length, and the field 1.
    let status = match answer.body.get(5..) {
        Some([8, status, ..]) if answer.body[0] == 0 => *status,
        _ => 0,
    };
    match status {
        1 => Ok(Ready::new(format!("{service} is SERVING"))),
        2 => failure(Kind::NotAccepting, format!("{service} is NOT_SERVING")),
        3 => failure(Kind::Unexpected, format!("{service} is not known to its health service yet")),
        _ => failure(Kind::NotAccepting, format!("the state of {service} is UNKNOWN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::service::Protocol;
    use crate::probe::scripted::{End, Scripted, budget};

    fn outcome(frames: &[Vec<u8>]) -> Result<Ready, Kind> {
        let budget = budget();
        let target = Service::new(Protocol::Grpc, "grpc", Vec::new());
        let mut talk = Talk::new(Scripted::new(&frames.concat(), 1, End::Close), "gRPC", &budget);
        exchange(&mut talk, &target, "db:1").map_err(|failure| failure.kind)
    }

    fn settings() -> Vec<u8> {
        http2::framed(kind::SETTINGS, 0, 0, b"")
    }

    fn headers(flags: u8, block: &[u8]) -> Vec<u8> {
        http2::framed(kind::HEADERS, flags | flag::END_HEADERS, STREAM, block)
    }

    fn answer(status: u8) -> Vec<Vec<u8>> {
        let body = http2::framed(kind::DATA, 0, STREAM, &[0, 0, 0, 0, 2, 8, status]);
        vec![settings(), headers(0, b"\x88"), body, headers(1, b"\x40\x0bgrpc-status\x010")]
    }

    #[test]
    fn only_serving_is_ready() {
        assert_eq!(outcome(&answer(1)), Ok(Ready::new("the server is SERVING")));
        assert_eq!(outcome(&answer(2)), Err(Kind::NotAccepting));
        assert_eq!(outcome(&answer(0)), Err(Kind::NotAccepting));
        let refused = |code: &str| {
            let block =
                [&b"\x88\x40\x0bgrpc-status"[..], &[u8::try_from(code.len()).unwrap()], code.as_bytes()].concat();
            vec![settings(), headers(1, &block)]
        };
        for (code, expected) in [
            ("5", Kind::Unexpected),
            ("12", Kind::Forbidden),
            ("14", Kind::NotAccepting),
            ("16", Kind::CredentialsRejected),
            ("2", Kind::ServerError),
        ] {
            assert_eq!(outcome(&refused(code)), Err(expected), "{code}");
        }
        assert_eq!(outcome(&[settings(), headers(1, b"\x8d")]), Err(Kind::HttpStatus(404)));
        assert_eq!(outcome(&[settings(), http2::framed(kind::GO_AWAY, 0, 0, &[0; 8])]), Err(Kind::NotAccepting));
        assert_eq!(outcome(&[b"HTTP/1.1 400 Bad Request\r\n".to_vec()]), Err(Kind::WrongProtocol));
        assert_eq!(outcome(&[headers(1, b"\x88")]), Err(Kind::WrongProtocol));
    }

    #[test]
    fn every_proper_prefix_of_an_answer_ends_as_a_closed_connection() {
        let whole = answer(1).concat();
        for end in 0..whole.len() {
            assert_eq!(outcome(&[whole[..end].to_vec()]), Err(Kind::ConnectionClosed), "{end}");
        }
    }

    #[test]
    fn a_service_is_asked_for_by_its_whole_name() {
        for (length, head) in [(127, &[0x0a, 127][..]), (128, &[0x0a, 0x80, 1]), (300, &[0x0a, 0xac, 2])] {
            let mut target = Service::new(Protocol::Grpc, "grpc", Vec::new());
            target.name = Some("s".repeat(length));
            let message = [head, "s".repeat(length).as_bytes()].concat();
            let sent = call(&target, "db:1");
            assert!(sent.ends_with(&message), "{length}");
        }
    }
}
