//! AMQP 0-9-1, which RabbitMQ speaks: a login, the virtual host, a queue, and whether it takes messages.

mod url;
pub(crate) mod wire;

use std::time::Duration;

use crate::net::{Attempt, StepKind, TimedStream};
use crate::targets::shared::kind::{Form, Key, Scheme, TargetKind};
use crate::targets::shared::server::{NOT_TRIED, sasl_plain};
use crate::targets::shared::talk::Talk;
use crate::text::{excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use wire::{Frame, method};

pub(crate) use url::Amqp;

/// The port that AMQP is assigned.
const DEFAULT_PORT: u16 = 5672;

/// AMQP 0-9-1, RabbitMQ's.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[
        Scheme::new(&[
            "amqp",
            "pyamqp",
            "librabbitmq",
            "rabbitmq",
            "rabbit",
            "amqp091",
            "phpamqplib",
            "amqp+lib",
            "amqp+ext",
            "amqp+bunny",
        ])
        .port(DEFAULT_PORT),
        Scheme::new(&["amqps", "amqp+ssl", "amqp+tls", "pyamqps", "rabbitmqs", "rabbitmq+ssl", "rabbitmq+tls"])
            .port(5671)
            .tls(),
    ],
    forms: &[Form {
        url: "amqp://USER:PASSWORD@HOST/VHOST, amqps://...",
        ready: "logged in, the virtual host takes messages",
        keys: &[Key::new("queue=NAME", "the queue exists")],
    }],
    other_ports: &[(15672, "RabbitMQ's management; write http://"), (25672, "RabbitMQ's nodes, not of their clients")],
    takes_lists: true,
    takes_socket: true,
    read: |written, reading| Ok(Box::new(Amqp::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

/// The user of clients without one in the URL, and that user's password.
const GUEST: &str = "guest";
/// The login by the certificate.
const EXTERNAL: &str = "EXTERNAL";
/// Our only channel.
const CHANNEL: u16 = 1;
/// A queue that nobody has.
const NOWHERE: &str = "when-ready.no-such-queue";
/// The heartbeat in seconds. With it, RabbitMQ notices within a second or two that a connection has gone which it
/// blocks: without, it keeps the connection until its alarm ends.
const HEARTBEAT: u16 = 1;
/// How often we send one.
const BEAT: Duration = Duration::from_millis(400);
/// How long an attempt whose time is limited waits for the end of an alarm.
const ALARM: Duration = Duration::from_secs(1);
/// `basic.publish` hands back what it cannot deliver.
const MANDATORY: u8 = 1;
/// `queue.declare` only looks.
const PASSIVE: u8 = 1;

const PROTOCOL: &str = "AMQP 0-9-1";

pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Amqp) -> Outcome {
    talk.send(&wire::HEADER);
    let start = expect(talk, method::START, Phase::Login)?;
    let offered = wire::mechanisms(&start).map_err(|_| talk.out_of_order())?;
    let steps = talk.attempt().steps();
    steps.note(StepKind::Advertised, || {
        let of_server = |name: &str| peer_text(wire::property(&start, name).unwrap_or_default());
        let [product, version] = ["product", "version"].map(of_server);
        format!("{product} {version}, logins by {}", peer_text(offered.as_bytes()))
    });
    let Some((user, response)) = credentials(target) else {
        return Ok(Ready::new(NOT_TRIED));
    };
    let mechanism = target.mechanism.as_deref().unwrap_or("PLAIN");
    if !offered.split(' ').any(|one| one == mechanism) {
        let offered = peer_text(offered.as_bytes());
        let reason = format!("the server has no {mechanism} login, but {}", excerpt(&offered));
        return Err(NotReady::new(Kind::Forbidden, reason));
    }
    let arguments = [wire::client_properties(), wire::short(mechanism), wire::long(&response), wire::short("en_US")];
    talk.send(&wire::method_frame(0, method::START_OK, &arguments.each_ref().map(Vec::as_slice)));
    let tune = match expect(talk, method::TUNE, Phase::Login) {
        // As for servers that ask for a password where none is given: it accepts. A certificate is one.
        Err(failure)
            if failure.kind == Kind::CredentialsRejected
                && target.server.password.is_none()
                && mechanism != EXTERNAL =>
        {
            let proof = format!("accepting connections; no password given, login as {user} refused");
            return Ok(Ready::new(proof));
        }
        other => other?,
    };
    steps.note(StepKind::Login, || format!("as {user} by {mechanism}"));
    open(talk, &tune, target)?;
    let proven = within(talk, target);
    talk.hurry();
    close(talk);
    let host = target.virtual_host.as_deref().unwrap_or("/");
    proven.map(|more| Ready::new(format!("logged in as {user} to the virtual host {host}{more}")))
}

/// The user and the response of the login; none where a user is named without a password.
fn credentials(target: &Amqp) -> Option<(&str, Vec<u8>)> {
    if target.mechanism.as_deref() == Some(EXTERNAL) {
        return Some((target.server.user_or("the certificate's name"), Vec::new()));
    }
    let user = target.server.user_or(GUEST);
    let password = match (&target.server.password, &target.server.user) {
        (Some(password), _) => password.expose_bytes(),
        (None, None) => GUEST.as_bytes(),
        (None, Some(_)) => return None,
    };
    Some((user, sasl_plain(user, password)))
}

/// Takes the server's limits and opens the virtual host.
fn open<S: TimedStream>(talk: &mut Talk<'_, S>, tune: &[u8], target: &Amqp) -> Result<(), NotReady> {
    let (channels, frame) = wire::limits(tune).ok_or_else(|| talk.out_of_order())?;
    // 0 means no limit.
    let channels = if channels == 0 { CHANNEL } else { channels.min(CHANNEL) };
    let frame = if frame == 0 { wire::MAX_FRAME } else { frame.min(wire::MAX_FRAME) };
    let host = target.virtual_host.as_deref().unwrap_or("/");
    let tune_ok = [&channels.to_be_bytes()[..], &frame.to_be_bytes(), &HEARTBEAT.to_be_bytes()];
    talk.send(&wire::method_frame(0, method::TUNE_OK, &tune_ok));
    talk.send(&wire::method_frame(0, method::OPEN, &[&wire::short(host), &[0, 0]]));
    expect(talk, method::OPEN_OK, Phase::Open).map(drop)
}

/// The proof within the virtual host.
fn within<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Amqp) -> Result<String, NotReady> {
    talk.send(&wire::method_frame(CHANNEL, method::CHANNEL_OPEN, &[&[0]]));
    expect(talk, method::CHANNEL_OPEN_OK, Phase::Channel)?;
    let mut proof = String::new();
    if let Some(queue) = &target.queue {
        let arguments = [&[0, 0][..], &wire::short(queue), &[PASSIVE], &wire::long(b"")];
        talk.send(&wire::method_frame(CHANNEL, method::QUEUE_DECLARE, &arguments));
        expect(talk, method::QUEUE_DECLARE_OK, Phase::Queue)?;
        proof.push_str(", the queue is there");
    }
    // An alarm (memory, disk) shows only to those who publish: a message for nobody, to be handed back.
    let arguments = [&[0, 0][..], &wire::short(""), &wire::short(NOWHERE), &[MANDATORY]];
    talk.send(&wire::method_frame(CHANNEL, method::PUBLISH, &arguments));
    talk.send(&wire::empty_content(CHANNEL));
    match expect(talk, method::RETURN, Phase::Publish) {
        Ok(_) => Ok(proof),
        // A user who only consumes may not publish, and need not.
        Err(failure) if failure.kind == Kind::Forbidden => Ok(proof),
        Err(failure) => Err(failure),
    }
}

/// Says good-bye in order; what fails here does not matter.
fn close<S: TimedStream>(talk: &mut Talk<'_, S>) {
    let arguments = [&200_u16.to_be_bytes()[..], &wire::short("done"), &[0; 4]];
    talk.send(&wire::method_frame(0, method::CLOSE, &arguments));
    // A server that blocks us reads it later, and finds that we left in order.
    for _ in 0..16 {
        match talk.receive(wire::frame) {
            Ok(Frame::Method(method::CLOSE_OK, _)) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The phase of the conversation, which tells what a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Login,
    Open,
    Channel,
    Queue,
    Publish,
}

/// Waits for a method; what may come at any time is passed over.
fn expect<S: TimedStream>(talk: &mut Talk<'_, S>, wanted: (u16, u16), step: Phase) -> Result<Vec<u8>, NotReady> {
    let mut blocked: Option<NotReady> = None;
    let mut answer = None;
    let mut whole = talk.attempt().clone();
    loop {
        let received = receive(talk, step, &whole);
        let frame = received.map_err(|failure| blocked.clone().unwrap_or(failure))?;
        let (found, arguments) = match frame {
            Frame::Method(found, arguments) => (found, arguments),
            Frame::Other => continue,
            Frame::Header(version) => {
                let shown: Vec<String> = version.iter().map(u8::to_string).collect();
                let reason = format!("the server speaks another version of AMQP ({})", shown.join("-"));
                return Err(NotReady::new(Kind::WrongProtocol, reason));
            }
        };
        match found {
            _ if found == wanted && blocked.is_none() => return Ok(arguments),
            // RabbitMQ goes on with what it had read when it blocked.
            _ if found == wanted => answer = Some(arguments),
            method::CLOSE => {
                talk.send(&wire::method_frame(0, method::CLOSE_OK, &[]));
                return Err(refusal(step, &arguments));
            }
            method::CHANNEL_CLOSE => {
                talk.send(&wire::method_frame(CHANNEL, method::CHANNEL_CLOSE_OK, &[]));
                return Err(refusal(step, &arguments));
            }
            // An alarm (memory, disk). The server answers what was asked once it is over.
            method::BLOCKED => {
                let why = peer_text(&wire::short_text(&arguments));
                let reason = format!("the server takes no messages: {} (an alarm)", excerpt(&why));
                blocked = Some(NotReady::new(Kind::NotAccepting, reason));
                // An attempt whose time is limited waits a moment more and no longer: a blocked connection costs the server one.
                if !whole.is_patient() {
                    whole = whole.at_most(ALARM);
                }
                talk.attempt().hold_back(blocked.clone());
            }
            method::UNBLOCKED => {
                blocked = None;
                whole = talk.attempt().clone();
                talk.attempt().hold_back(None);
                if let Some(arguments) = answer.take() {
                    return Ok(arguments);
                }
            }
            _ if blocked.is_some() => {}
            _ => return Err(talk.out_of_order()),
        }
    }
}

/// Receives a frame in the time that `whole` has, sending heartbeats meanwhile once they are agreed on.
fn receive<S: TimedStream>(talk: &mut Talk<'_, S>, step: Phase, whole: &Attempt) -> Result<Frame, NotReady> {
    if step == Phase::Login {
        return talk.receive(wire::frame);
    }
    loop {
        let beat = whole.at_most(BEAT);
        talk.stream().lasts(&beat);
        match talk.receive(wire::frame) {
            // Whatever the kind: an attempt that ran out of time while the server holds it back fails with the server's reason.
            Err(_) if beat.is_over() && !whole.is_over() => talk.send(&wire::heartbeat()),
            received => return received,
        }
    }
}

/// The meaning of a server's `close` (AMQP 0-9-1, section 1.1; RabbitMQ's texts tell apart what one code says).
fn refusal(step: Phase, arguments: &[u8]) -> NotReady {
    let (code, text) = wire::close_reason(arguments);
    let text = peer_text(&text);
    let (kind, way_out) = match (code, step) {
        _ if text.contains("limit") && text.contains("reached") => (Kind::TooManyConnections, ""),
        (320, _) | (541, Phase::Open) => (Kind::NotAccepting, ""),
        (403, Phase::Login) => (Kind::CredentialsRejected, ": check user and password"),
        (403 | 530, Phase::Open) if text.contains("refused") => {
            (Kind::Forbidden, ": the user has no permissions there (rabbitmqctl set_permissions)")
        }
        (530, Phase::Open) if text.contains("not found") => {
            (Kind::NoDatabase, ": the URL's path names the virtual host")
        }
        (403, _) => (Kind::Forbidden, ""),
        (404, Phase::Queue) => (Kind::Unexpected, ""),
        _ => (Kind::ServerError, ""),
    };
    NotReady::new(kind, format!("{} ({code}){way_out}", excerpt(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::{of_kind, talked};

    /// A user with a password, and a queue that must be there.
    const JOBS: &str = "amqp://app:secret@h#queue=jobs";

    fn outcome(url: &str, messages: &[Vec<u8>]) -> (Outcome, Vec<u8>) {
        talked(&messages.concat(), PROTOCOL, |talk| converse(talk, &of_kind(url)))
    }

    fn start() -> Vec<u8> {
        let arguments = [&[0, 9][..], &wire::long(b""), &wire::long(b"PLAIN AMQPLAIN"), &wire::long(b"en_US")];
        wire::method_frame(0, method::START, &arguments)
    }

    fn reply(channel: u16, name: (u16, u16)) -> Vec<u8> {
        wire::method_frame(channel, name, &[&[0]])
    }

    fn tune() -> Vec<u8> {
        wire::method_frame(0, method::TUNE, &[&[7, 0xff, 0, 2, 0, 0, 0, 60]])
    }

    fn opened() -> Vec<Vec<u8>> {
        vec![start(), tune(), reply(0, method::OPEN_OK), reply(1, method::CHANNEL_OPEN_OK)]
    }

    fn returned() -> Vec<u8> {
        [wire::method_frame(1, method::RETURN, &[&[1, 0x38], &wire::short("NO_ROUTE")]), wire::empty_content(1)]
            .concat()
    }

    fn closed(channel: u16, code: u16, text: &str) -> Vec<u8> {
        let name = if channel == 0 { method::CLOSE } else { method::CHANNEL_CLOSE };
        wire::method_frame(channel, name, &[&code.to_be_bytes(), &wire::short(text), &[0; 4]])
    }

    fn kind(outcome: &Outcome) -> Option<Kind> {
        outcome.as_ref().err().map(|failure| failure.kind)
    }

    fn holds(heard: &[u8], needle: &[u8]) -> bool {
        heard.windows(needle.len()).any(|window| window == needle)
    }

    #[test]
    fn a_login_ends_in_order() {
        let mut messages = opened();
        messages.extend([returned(), reply(0, method::CLOSE_OK)]);
        let (outcome, heard) = outcome("amqp://app:secret@h/prod%2Feu", &messages);
        assert_eq!(outcome.unwrap().proof, "logged in as app to the virtual host prod/eu");
        assert!(heard.starts_with(&wire::HEADER));
        assert!(holds(&heard, b"\0\0\0\x0b\0app\0secret"));
        assert!(holds(&heard, b"\x07prod/eu"));
        assert!(holds(&heard, &[0, 10, 0, 50]), "connection.close");
    }

    #[test]
    fn without_a_password_it_is_enough_that_the_server_greets() {
        let (outcome_of, _) = outcome("amqp://app@h", &[start()]);
        assert!(outcome_of.unwrap().proof.contains("login not tried"));
        // Without a user, clients are guest.
        let refused = closed(0, 403, "ACCESS_REFUSED - Login was refused");
        let (outcome_of, heard) = outcome("amqp://h", &[start(), refused.clone()]);
        assert!(outcome_of.unwrap().proof.contains("login as guest refused"));
        assert!(holds(&heard, b"\0guest\0guest"));
        let (outcome_of, _) = outcome("amqp://app:wrong@h", &[start(), refused]);
        assert_eq!(kind(&outcome_of), Some(Kind::CredentialsRejected));
    }

    #[test]
    fn a_virtual_host_a_queue_and_an_alarm_are_told_apart() {
        let at_open = |code, text| vec![start(), tune(), closed(0, code, text)];
        let after = |more: Vec<u8>| [opened(), vec![more, reply(0, method::CLOSE_OK)]].concat();
        let blocked = wire::method_frame(0, method::BLOCKED, &[&wire::short("low on memory")]);
        for (messages, expected) in [
            (at_open(530, "NOT_ALLOWED - vhost nope not found"), Kind::NoDatabase),
            (at_open(530, "NOT_ALLOWED - access to vhost 'x' refused for user 'app'"), Kind::Forbidden),
            (
                at_open(
                    530,
                    "NOT_ALLOWED - access to vhost '/' refused for user 'app': connection limit (1) is reached",
                ),
                Kind::TooManyConnections,
            ),
            (at_open(541, "INTERNAL_ERROR - vhost '/' is down"), Kind::NotAccepting),
            (at_open(320, "CONNECTION_FORCED - broker forced connection closure"), Kind::NotAccepting),
            (after(closed(1, 404, "NOT_FOUND - no queue 'jobs' in vhost '/'")), Kind::Unexpected),
            (after([reply(1, method::QUEUE_DECLARE_OK), blocked].concat()), Kind::NotAccepting),
            (vec![b"AMQP\0\x01\0\0".to_vec()], Kind::WrongProtocol),
            (vec![b"HTTP/1.1 400 Bad Request".to_vec()], Kind::WrongProtocol),
            (vec![tune()], Kind::WrongProtocol),
        ] {
            let (outcome, _) = outcome(JOBS, &messages);
            assert_eq!(kind(&outcome), Some(expected), "{outcome:?}");
        }
    }

    #[test]
    fn who_may_not_publish_is_ready_all_the_same() {
        let mut messages = opened();
        messages.extend([closed(1, 403, "ACCESS_REFUSED - write access"), reply(0, method::CLOSE_OK)]);
        assert!(outcome("amqp://app:secret@h", &messages).0.is_ok());
    }

    #[test]
    fn every_proper_prefix_of_an_exchange_ends_as_a_closed_connection() {
        let whole = [opened(), vec![returned()]].concat().concat();
        let complete = whole.len() - wire::empty_content(1).len();
        for end in 0..complete {
            let (outcome, _) = outcome("amqp://app:secret@h", &[whole[..end].to_vec()]);
            assert_eq!(kind(&outcome), Some(Kind::ConnectionClosed), "{end}");
        }
    }

    #[test]
    fn a_certificate_that_is_refused_is_a_refusal() {
        let arguments = [&[0, 9][..], &wire::long(b""), &wire::long(b"EXTERNAL"), &wire::long(b"en_US")];
        let start = wire::method_frame(0, method::START, &arguments);
        let refused = closed(0, 403, "ACCESS_REFUSED - Login was refused");
        let (outcome, _) = outcome("amqp://h?auth_mechanism=EXTERNAL", &[start, refused]);
        assert_eq!(kind(&outcome), Some(Kind::CredentialsRejected));
    }

    #[test]
    fn an_alarm_that_ends_answers_nothing_that_was_asked() {
        let alarm = || {
            let blocked = wire::method_frame(0, method::BLOCKED, &[&wire::short("low on memory")]);
            [blocked, wire::method_frame(0, method::UNBLOCKED, &[])].concat()
        };
        let refused = closed(1, 403, "ACCESS_REFUSED - read access to queue 'jobs'");
        let (refusal, _) = outcome(JOBS, &[opened(), vec![alarm(), refused, reply(0, method::CLOSE_OK)]].concat());
        assert_eq!(kind(&refusal), Some(Kind::Forbidden), "{refusal:?}");
        // What is answered while it lasts is not taken for its end.
        let blocked = wire::method_frame(0, method::BLOCKED, &[&wire::short("low on memory")]);
        let during = [opened(), vec![reply(1, method::QUEUE_DECLARE_OK), blocked, returned()]].concat();
        assert_eq!(kind(&outcome(JOBS, &during).0), Some(Kind::NotAccepting));
        let over = vec![wire::method_frame(0, method::UNBLOCKED, &[]), reply(0, method::CLOSE_OK)];
        assert!(outcome(JOBS, &[during, over].concat()).0.is_ok());
        // Whenever it comes, what is asked is answered after it.
        let all = [opened(), vec![reply(1, method::QUEUE_DECLARE_OK), returned(), reply(0, method::CLOSE_OK)]].concat();
        for at in 0..=5 {
            let mut messages = all.clone();
            messages.insert(at, alarm());
            let (outcome, _) = outcome(JOBS, &messages);
            assert!(outcome.is_ok(), "{at}: {outcome:?}");
        }
    }
}
