//! gRPC's health service: `grpc.health.v1.Health/Check` answers SERVING.

pub(crate) mod http2;
mod url;

use percent_encoding::percent_decode;

use crate::net::TimedStream;
use crate::net::tls_settings::Encryption;
use crate::targets::shared::kind::{Form, Scheme, TargetKind};
use crate::targets::shared::talk::{ProtocolError, Talk, base_128};
use crate::text::peer_text;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use http2::{FieldName, Http2Frame, flag, kind};

pub(crate) use url::Grpc;

/// gRPC's health service.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[
        Scheme::new(&["grpc", "grpc+tcp", "dns+grpc"]).port(50051),
        Scheme::new(&["grpcs", "grpc+tls", "grpc+ssl"]).port(443).tls(),
    ],
    forms: &[Form { url: "grpc://HOST:PORT[/SERVICE]", ready: "the health service says SERVING", keys: &[] }],
    takes_socket: true,
    read: |written, reading| Ok(Box::new(Grpc::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

const PROTOCOL: &str = "gRPC (HTTP/2)";
const METHOD: &str = "/grpc.health.v1.Health/Check";
/// The stream of our only call.
const STREAM: u32 = 1;
/// The most bytes of an answer: a status has two.
const MAX_ANSWER: usize = 4096;
/// The largest field block, in its frames together.
const MAX_BLOCK: usize = 64 << 10;

pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Grpc, authority: &str) -> Outcome {
    let call = call(target, authority);
    talk.send(&[http2::PREFACE, &http2::settings(), &call].concat());
    // A server begins with its settings (RFC 9113, section 3.4).
    let first = talk.receive(|bytes| match http2::frame(bytes)? {
        Some((frame, _)) if frame.kind != kind::SETTINGS || frame.stream != 0 => Err(ProtocolError),
        other => Ok(other),
    })?;
    let answer = listen(talk, first)?;
    talk.send(&http2::framed(kind::GO_AWAY, 0, 0, &[0; 8]));
    judge_health(&answer, target)
}

/// The frames of the call.
fn call(target: &Grpc, authority: &str) -> Vec<u8> {
    let agent = concat!("when-ready/", env!("CARGO_PKG_VERSION"));
    // Static table: 4 `:path`, 1 `:authority`, 31 `content-type`, 58 `user-agent`.
    let fields = http2::request(
        target.server.encryption == Encryption::Always,
        &[
            (FieldName::Index(4), METHOD),
            (FieldName::Index(1), authority),
            (FieldName::Index(31), "application/grpc"),
            (FieldName::Written("te"), "trailers"),
            (FieldName::Index(58), agent),
        ],
    );
    let service = target.service.as_deref().unwrap_or_default().as_bytes();
    // HealthCheckRequest: the field 1 is the service's name; empty, it is left out.
    let message =
        if service.is_empty() { Vec::new() } else { [&[0x0a][..], &base_128(service.len()), service].concat() };
    let length = u32::try_from(message.len()).unwrap_or(0).to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let headers = http2::framed(kind::HEADERS, flag::END_HEADERS, STREAM, &fields);
    [headers, http2::framed(kind::DATA, flag::END_STREAM, STREAM, &body)].concat()
}

/// The answer on the stream.
#[derive(Debug, Default)]
struct HealthAnswer {
    http_status: Option<u16>,
    grpc_status: Option<u16>,
    /// Percent-encoded (gRPC over HTTP2, Status-Message).
    grpc_message: Option<Vec<u8>>,
    body: Vec<u8>,
}

/// Takes frames until the stream ends.
fn listen<S: TimedStream>(talk: &mut Talk<'_, S>, first: Http2Frame) -> Result<HealthAnswer, NotReady> {
    let mut answer = HealthAnswer::default();
    let mut block: Vec<u8> = Vec::new();
    // END_STREAM stands on HEADERS also where CONTINUATION ends the block (RFC 9113, section 6.2).
    let (mut is_within_block, mut is_end) = (false, false);
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
            kind::HEADERS | kind::CONTINUATION if is_ours => {
                if block.len() + frame.payload.len() > MAX_BLOCK {
                    return Err(talk.out_of_order());
                }
                block.extend(&frame.payload);
                is_within_block = frame.flags & flag::END_HEADERS == 0;
                if !is_within_block {
                    let fields = http2::fields(&block).map_err(|_| talk.out_of_order())?;
                    answer.http_status = answer.http_status.or(fields.http_status);
                    answer.grpc_status = answer.grpc_status.or(fields.grpc_status);
                    answer.grpc_message = answer.grpc_message.or(fields.grpc_message);
                    block.clear();
                }
            }
            _ => {}
        }
        is_end |= is_ours && matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & flag::END_STREAM != 0;
        if is_end && !is_within_block {
            return Ok(answer);
        }
        frame = talk.receive(http2::frame)?;
    }
}

/// The status of the call, then that of the service (gRPC Health Checking Protocol).
fn judge_health(answer: &HealthAnswer, target: &Grpc) -> Outcome {
    let service = target.service.as_deref().unwrap_or("the server");
    let failure = |kind, reason: String| Err(NotReady::new(kind, reason));
    if let Some(code @ 1..) = answer.grpc_status {
        let (kind, reason) = match code {
            5 => (Kind::Unexpected, format!("{service} is not known to its health service yet")),
            7 | 16 => (Kind::CredentialsRejected, "its health service wants a login".to_owned()),
            12 => (Kind::Forbidden, "the server has no health service (grpc.health.v1)".to_owned()),
            14 => (Kind::NotAccepting, "the server is not available (14)".to_owned()),
            _ => (Kind::ServerError, format!("its health service fails (status {code})")),
        };
        let message: Vec<u8> = answer.grpc_message.iter().flat_map(|text| percent_decode(text)).collect();
        let reason = if message.is_empty() { reason } else { format!("{reason}: {}", peer_text(&message).trim()) };
        return failure(kind, reason);
    }
    match (answer.grpc_status, answer.http_status) {
        (Some(_), _) => {}
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
    use crate::targets::scripted::talked;
    use crate::targets::shared::server::Server;

    fn outcome(frames: &[Vec<u8>]) -> Result<Ready, Kind> {
        whole_outcome(frames).map_err(|failure| failure.kind)
    }

    fn whole_outcome(frames: &[Vec<u8>]) -> Outcome {
        let target = Grpc { server: Server::at("grpc", Vec::new()), service: None };
        talked(&frames.concat(), PROTOCOL, |talk| converse(talk, &target, "db:1")).0
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
    fn the_reason_that_the_server_gives_is_shown() {
        let block = b"\x88\x00\x0bgrpc-status\x0213\x00\x0cgrpc-message\x10database%20is%0a";
        let failure = whole_outcome(&[settings(), headers(1, block)]).unwrap_err();
        assert_eq!(failure.kind, Kind::ServerError);
        assert!(failure.reason.ends_with("fails (status 13): database is"), "{}", failure.reason);
    }

    #[test]
    fn a_stream_ends_with_its_headers_also_where_their_block_goes_on() {
        let trailers = b"\x40\x0bgrpc-status\x010";
        let long = [&b"\x00\x01x\x7f\xa1\x46"[..], &[b'y'; 9120], trailers].concat();
        let body = http2::framed(kind::DATA, 0, STREAM, &[0, 0, 0, 0, 2, 8, 1]);
        let begun = || vec![settings(), headers(0, b"\x88"), body.clone()];
        for (block, pieces) in
            [(&trailers[..], &[0][..]), (trailers, &[5]), (trailers, &[5, 9]), (&long, &[4000, 8000])]
        {
            let mut frames = begun();
            let mut from = 0;
            for (index, end) in pieces.iter().chain([&block.len()]).enumerate() {
                let (kind, flags) =
                    if index == 0 { (kind::HEADERS, flag::END_STREAM) } else { (kind::CONTINUATION, 0) };
                let flags = flags | if *end == block.len() { flag::END_HEADERS } else { 0 };
                frames.push(http2::framed(kind, flags, STREAM, &block[from..*end]));
                from = *end;
            }
            assert_eq!(outcome(&frames), Ok(Ready::new("the server is SERVING")), "{pieces:?}");
            frames.pop();
            assert_eq!(outcome(&frames), Err(Kind::ConnectionClosed), "cut: {pieces:?}");
        }
        let endless = vec![http2::framed(kind::CONTINUATION, 0, STREAM, &[0; 16_000]); 9];
        assert_eq!(outcome(&[begun(), endless].concat()), Err(Kind::WrongProtocol));
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
            let mut target = Grpc { server: Server::at("grpc", Vec::new()), service: None };
            target.service = Some("s".repeat(length));
            let message = [head, "s".repeat(length).as_bytes()].concat();
            let sent = call(&target, "db:1");
            assert!(sent.ends_with(&message), "{length}");
        }
    }
}
