//! NATS: what the server says of itself, a login, PING and PONG.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::net::{self, Attempt, Place, StepKind, Stream, TimedStream};
use crate::secret::Secret;
use crate::targets::shared::kind::{Form, Probe, Scheme, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::{NOT_TRIED, Server};
use crate::targets::shared::talk::{Talk, line, line_of_bytes};
use crate::text::{excerpt, human, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use crate::wait::policy::Goal;

const PROTOCOL: &str = "NATS";
/// The longest `INFO`: some 30 bytes for each server of a cluster.
const MAX_INFO: usize = 256 << 10;
/// How long after its `INFO` a server may take to say that it is full. It sends both at once.
const AFTERTHOUGHT: Duration = Duration::from_millis(20);
/// How long a server is waited for to begin with its `INFO`, before TLS is begun with one that starts with the handshake
/// (`handshake_first`). One that does so only for a while (`handshake_first: auto`) sends its `INFO` after 50 ms.
const FIRST_BYTE: Duration = Duration::from_millis(500);
const NKEYS: &str = "it takes nkeys or a .creds file, which are not spoken here";

/// NATS.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[Scheme::new(&["nats"]).port(4222), Scheme::new(&["natss", "nats+tls", "nats+ssl"]).port(4222).tls()],
    forms: &[Form {
        url: "nats://HOST, natss://HOST",
        ready: "logged in where there is a password, and PONG",
        keys: &[],
    }],
    other_ports: &[(6222, "NATS' servers, not of their clients"), (8222, "NATS' monitoring; write http://")],
    takes_lists: true,
    takes_socket: true,
    read: |written, reading| Ok(Box::new(Nats::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

/// A NATS server, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nats {
    server: Server,
}

impl Nats {
    fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let (mut server, _) = Server::read(written, reading)?;
        // A word alone is a token.
        if server.password.is_none() {
            server.password = server.user.take().map(Secret::new);
        }
        Ok(Self { server })
    }
}

impl Probe for Nats {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| ask(self, place, tls, attempt))
    }

    fn tls_use(&self) -> Encryption {
        match self.server.encryption {
            // The server says by itself that it wants TLS.
            Encryption::Never => Encryption::IfOffered,
            other => other,
        }
    }
}

fn ask(target: &Nats, place: &Place, tls: &Tls, attempt: &Attempt) -> Outcome {
    let mut talk = Talk::new(Stream::Plain(net::connect(place, attempt)?), PROTOCOL, attempt);
    let wants_tls = target.server.encryption == Encryption::Always;
    let info = if wants_tls && !talk.speaks_within(FIRST_BYTE)? {
        talk = target.server.over_tls(talk, place, tls).map_err(begun_too_early)?;
        info(&mut talk)?
    } else {
        let begun = clock::now();
        let info = info(&mut talk).map_err(|failure| without_info(failure, clock::now() - begun))?;
        // A server that is full says so at once, in plain text too where it wants TLS.
        if talk.next_byte() == Some(b'-') {
            return Err(refusal(&talk.receive(|bytes| line(bytes, &["-ERR "]))?, &info));
        }
        let is_offered = info["tls_required"] == true || info["tls_available"] == true;
        if wants_tls && !is_offered {
            return Err(NotReady::new(Kind::TlsRefused, "the server has no TLS, and the URL wants it"));
        }
        if wants_tls || info["tls_required"] == true {
            talk = target.server.over_tls(talk, place, tls)?;
        }
        info
    };
    attempt.steps().note(StepKind::Advertised, || {
        let field = |name: &str| info[name].as_str().map(|text| peer_text(text.as_bytes())).unwrap_or_default();
        let login = if info["auth_required"] == true { "wants a login" } else { "wants no login" };
        let others: Vec<&str> =
            info["connect_urls"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let others = if others.is_empty() { "none".to_owned() } else { peer_text(others.join(", ").as_bytes()) };
        format!("server {}, version {}, {login}; other servers: {others}", field("server_name"), field("version"))
    });
    let outcome = log_in(&mut talk, target, &info);
    talk.close();
    outcome
}

/// A server that is busy may send its `INFO` into the handshake that was begun without it: the next attempt may find
/// it in time.
fn begun_too_early(failure: NotReady) -> NotReady {
    if failure.kind == Kind::WrongProtocol && failure.reason.contains("like a NATS server") {
        return NotReady::new(Kind::NotAccepting, format!("its INFO came later than {}", human(FIRST_BYTE)));
    }
    failure
}

/// The failure of a conversation without `INFO`. A server that begins with TLS waits for it for a while, and then closes; a proxy
/// with nothing behind it closes at once.
fn without_info(failure: NotReady, after: Duration) -> NotReady {
    if failure.kind == Kind::ConnectionClosed && after > FIRST_BYTE {
        let reason = "the peer sent no INFO and closed the connection: it seems to begin with the TLS handshake \
                      (handshake_first); write natss://";
        return NotReady { reason: reason.to_owned(), ..failure };
    }
    failure
}

/// The conversation without TLS.
pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Nats) -> Outcome {
    let info = info(talk)?;
    log_in(talk, target, &info)
}

/// The first line: `INFO {…}`, which names each server of a cluster.
fn info<S: TimedStream>(talk: &mut Talk<'_, S>) -> Result<Value, NotReady> {
    let line = talk.receive(|bytes| line_of_bytes(bytes, &["INFO ", "-ERR "], MAX_INFO))?;
    match line.strip_prefix(b"INFO ") {
        Some(info) => serde_json::from_slice(info).map_err(|_| talk.out_of_order()),
        None => Err(refusal(&peer_text(&line), &Value::Null)),
    }
}

/// The proof of a server for a client that has no credentials and does not log in. It may not let anybody in.
fn without_login<S: TimedStream>(talk: &mut Talk<'_, S>, info: &Value) -> Outcome {
    let accepting = || {
        let more = if takes_nkeys(info) { format!(" ({NKEYS})") } else { String::new() };
        Ok(Ready::new(format!("{NOT_TRIED}{more}")))
    };
    talk.reads_for(AFTERTHOUGHT);
    let failure = match talk.receive(|bytes| line(bytes, &["-ERR ", "PING", "INFO "])) {
        Ok(line) if line.starts_with("-ERR") => refusal(&line, info),
        Ok(_) => return accepting(),
        Err(failure) => failure,
    };
    match failure.kind {
        // The server waits for the login, or has waited for it.
        Kind::TimedOut | Kind::CredentialsRejected => accepting(),
        _ => Err(failure),
    }
}

fn log_in<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Nats, info: &Value) -> Outcome {
    if info["ldm"] == true {
        return Err(NotReady::new(Kind::NotAccepting, "the server is about to stop (lame duck mode)"));
    }
    let mut connect = json!({
        "verbose": false, "pedantic": false, "name": "when-ready", "lang": "when-ready",
        "version": env!("CARGO_PKG_VERSION"), "protocol": 1,
    });
    let password = target.server.password.as_ref().map(Secret::expose);
    match (target.server.user.as_deref(), password) {
        (Some(user), Some(password)) => {
            connect["user"] = json!(user);
            connect["pass"] = json!(password);
        }
        // A token stands alone.
        (None, Some(token)) if !token.is_empty() => connect["auth_token"] = json!(token),
        _ if info["auth_required"] == true => {
            return without_login(talk, info);
        }
        _ => {}
    }
    // Strings, numbers and flags always serialize.
    let connect = serde_json::to_string(&connect).unwrap_or_default();
    talk.send(format!("CONNECT {connect}\r\nPING\r\n").as_bytes());
    loop {
        let line = talk.receive(|bytes| line(bytes, &["PONG", "-ERR ", "INFO ", "PING", "+OK"]))?;
        match line.split(' ').next() {
            Some("PONG") => return Ok(Ready::new("PONG")),
            Some("-ERR") => return Err(refusal(&line, info)),
            Some("PING") => talk.send(b"PONG\r\n"),
            _ => {}
        }
    }
}

/// Whether clients can prove who they are by a signature: the server gives them a number to sign.
fn takes_nkeys(info: &Value) -> bool {
    info["nonce"].is_string()
}

fn refusal(line: &str, info: &Value) -> NotReady {
    let text = line.trim_start_matches("-ERR").trim().trim_matches('\'');
    let (kind, way_out) = match text.to_ascii_lowercase() {
        text if takes_nkeys(info) && (text.contains("authorization") || text.contains("authentication")) => (
            Kind::CredentialsRejected,
            ": check user and password, or wait for its /healthz: it takes nkeys or a .creds file, which are not spoken here",
        ),
        text if text.contains("authorization") || text.contains("authentication") => {
            (Kind::CredentialsRejected, ": check user and password")
        }
        text if text.contains("connections exceeded") => (Kind::TooManyConnections, ""),
        text if text.contains("secure connection") => {
            (Kind::TlsRefused, ": it wants TLS; write tls in the URL's scheme")
        }
        _ => (Kind::ServerError, ""),
    };
    NotReady::new(kind, format!("{}{way_out}", excerpt(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::{End, Scripted, attempt, of_kind};

    fn outcome(url: &str, answer: &[u8]) -> (Result<Ready, Kind>, String) {
        outcome_then(End::Close, url, answer)
    }

    fn outcome_then(end: End, url: &str, answer: &[u8]) -> (Result<Ready, Kind>, String) {
        let attempt = attempt();
        let mut talk =
            Talk::new(Scripted::new(answer, if answer.len() > 1000 { 4096 } else { 1 }, end), PROTOCOL, &attempt);
        let outcome = converse(&mut talk, &of_kind(url));
        let heard = String::from_utf8(talk.into_stream().written).unwrap();
        (outcome.map_err(|failure| failure.kind), heard)
    }

    #[test]
    fn a_pong_is_ready_and_refusals_are_told_apart() {
        let open = b"INFO {\"server_id\":\"x\",\"max_payload\":1048576} \r\nPONG\r\n";
        assert_eq!(outcome("nats://h", open).0, Ok(Ready::new("PONG")));
        for end in 0..open.len() {
            assert_eq!(outcome("nats://h", &open[..end]).0, Err(Kind::ConnectionClosed), "{end}");
        }
        let closed = b"INFO {\"auth_required\":true}\r\n-ERR 'Authorization Violation'\r\n";
        assert!(outcome("nats://h", closed).0.unwrap().proof.contains("login not tried"));
        let (refused, heard) = outcome("nats://app:p%22w@h", closed);
        assert_eq!(refused, Err(Kind::CredentialsRejected));
        assert!(heard.contains(r#""pass":"p\"w""#) && heard.contains(r#""user":"app""#), "{heard}");
        assert!(outcome("nats://t0ken@h", closed).1.contains(r#""auth_token":"t0ken""#));
        assert_eq!(outcome("nats://h", b"INFO {\"ldm\":true}\r\n").0, Err(Kind::NotAccepting));
        assert_eq!(outcome("nats://h", b"INFO {x\r\n").0, Err(Kind::WrongProtocol));
        assert_eq!(outcome("nats://h", b"-ERR 'maximum connections exceeded'\r\n").0, Err(Kind::TooManyConnections));
        assert_eq!(outcome("nats://h", b"HTTP/1.1 400\r\n").0, Err(Kind::WrongProtocol));
    }

    #[test]
    fn a_refusal_that_comes_with_the_greeting_is_heard() {
        let info = |fields: &str| format!("INFO {{\"auth_required\":true{fields}}}\r\n").into_bytes();
        let full = b"-ERR 'maximum connections exceeded'\r\n";
        assert_eq!(outcome("nats://h", &[&info("")[..], full].concat()).0, Err(Kind::TooManyConnections));
        // Also behind a long greeting, and where it is the end.
        let names: Vec<String> = (0..2000).map(|n| format!("\"10.0.{}.{}:4222\"", n / 256, n % 256)).collect();
        let long = info(&format!(",\"connect_urls\":[{}]", names.join(",")));
        assert!(long.len() > 30_000);
        assert_eq!(outcome("nats://h", &[&long[..], full].concat()).0, Err(Kind::TooManyConnections));
        assert_eq!(outcome("nats://h", &info("")).0, Err(Kind::ConnectionClosed));
        // It says no more for now, or that nobody has logged in: a client with credentials would be let in.
        assert!(outcome_then(End::Silence, "nats://h", &info("")).0.is_ok());
        assert!(outcome_then(End::Silence, "nats://h", &long).0.is_ok());
        assert!(outcome("nats://h", &[&info("")[..], b"-ERR 'Authentication Timeout'\r\n"].concat()).0.is_ok());
    }

    #[test]
    fn a_long_greeting_is_read_whole() {
        for length in [4000, 4096, 5000, 20_000, 200_000] {
            let info = format!("INFO {{\"server_name\":\"{}\"}}\r\nPONG\r\n", "n".repeat(length));
            assert_eq!(outcome("nats://h", info.as_bytes()).0, Ok(Ready::new("PONG")), "{length}");
        }
        let endless = vec![b'n'; 3 << 20];
        assert_eq!(outcome("nats://h", &[b"INFO {", &endless[..]].concat()).0, Err(Kind::WrongProtocol));
    }

    #[test]
    fn a_server_that_wants_nkeys_says_so() {
        let closed = b"INFO {\"auth_required\":true,\"nonce\":\"x\"}\r\n-ERR 'Authorization Violation'\r\n";
        assert!(outcome("nats://h", closed).0.unwrap().proof.contains("nkeys"));
        assert_eq!(outcome("nats://app:pw@h", closed).0, Err(Kind::CredentialsRejected));
        let info = json!({"nonce": "x"});
        assert!(refusal("-ERR 'Authorization Violation'", &info).reason.contains(".creds"));
        assert!(!refusal("-ERR 'Authorization Violation'", &json!({})).reason.contains(".creds"));
        let full = refusal("-ERR 'maximum account active connections exceeded'", &info);
        assert_eq!(full.kind, Kind::TooManyConnections);
    }

    #[test]
    fn a_token_is_never_shown() {
        let target = crate::targets::scripted::target("nats://t0ken-of-ours@db");
        assert_eq!(target.to_string(), "nats://db:4222");
        assert_eq!(target.probe.secrets(), [&Secret::new("t0ken-of-ours")]);
        assert_eq!(crate::targets::scripted::target("nats://app:pw@db").to_string(), "nats://app@db:4222");
    }
}
