//! Kafka: `ApiVersions`, a login (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), then `Metadata`: brokers, a controller, and a
//! topic whose partitions have leaders. Asking for a topic creates none. What is advertised there must be reachable:
//! clients go on from there.
//!
//! A listener that wants a login closes on whoever asks for `Metadata` without. Whether it wants one, `SaslHandshake`
//! tells: 0 or 33 (it does not have PLAIN) where it does, 34 elsewhere. Without a password, that is how far we go,
//! unless a topic is asked for: some brokers answer `SaslHandshake` and want no login.

mod url;
pub(crate) mod wire;

use std::collections::{BTreeMap, BTreeSet};

use crate::net::tls::Tls;
use crate::net::{Attempt, Place, StepKind, Stream, TimedStream};
use crate::secret::Secret;
use crate::targets::shared::advertised::{Advertised, reach_all, reach_any};
use crate::targets::shared::kind::{Form, Key, Scheme, TargetKind};
use crate::targets::shared::scram::{self, ScramHash};
use crate::targets::shared::server::{WANTS_LOGIN, sasl_plain};
use crate::targets::shared::talk::Talk;
use crate::text::{excerpt, peer_excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use wire::api;

pub(crate) use url::Kafka;

/// Kafka, and what speaks its protocol.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[
        Scheme::new(&[
            "kafka",
            "confluent",
            "confluentkafka",
            "redpanda",
            "plaintext",
            "sasl_plaintext",
            "kafka+sasl_plaintext",
        ])
        .port(9092),
        // Brokers call a listener SSL; in small letters, anybody calls TLS so.
        Scheme::new(&["kafkas", "kafka+ssl", "kafka+tls", "sasl_ssl", "kafka+sasl_ssl", "SSL"]).port(9093).tls(),
    ],
    forms: &[Form {
        url: "kafka://USER:PASSWORD@HOST",
        ready: "a controller is known, the brokers that clients go on to are reachable",
        keys: &[Key::new("topic=NAME", "the topic exists, and its partitions have leaders")],
    }],
    takes_lists: true,
    takes_socket: true,
    read: |written, reading| Ok(Box::new(Kafka::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

/// The protocol's name in messages.
const PROTOCOL: &str = "Kafka's protocol";
/// The mechanism of a login where the URL names none.
const PLAIN: &str = "PLAIN";
/// `UNSUPPORTED_SASL_MECHANISM`
const NO_SUCH_LOGIN: i16 = 33;
/// `ILLEGAL_SASL_STATE`
const NO_LOGIN_WANTED: i16 = 34;
/// `SASL_AUTHENTICATION_FAILED`
const LOGIN_FAILED: i16 = 58;
/// The setting of the advertised addresses.
const SETTING: &str = "advertised.listeners";

/// The answer of a broker that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadyBroker {
    /// The proof.
    pub(crate) proof: String,
    /// The brokers that must be reachable: with a topic all, else any one of them.
    pub(crate) needed: Vec<Advertised>,
}

/// The conversation with one broker, and whether those are there that a client goes on to.
pub(crate) fn probe(target: &Kafka, place: &Place, tls: &Tls, attempt: &Attempt) -> Outcome {
    let connect = |place: &Place, attempt: &Attempt| target.server.connect(place, tls, attempt);
    let mut talk = Talk::new(connect(place, attempt)?, PROTOCOL, attempt);
    let found = converse(&mut talk, target);
    talk.close();
    let found = found?;
    let reach = |place: &Place, attempt: &Attempt| connect(place, attempt).map(Stream::close);
    if target.topic.is_some() {
        reach_all(&found.needed, place, SETTING, attempt, reach)?;
    } else {
        reach_any(&found.needed, place, SETTING, attempt, reach)?;
    }
    Ok(Ready::new(found.proof))
}

pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Kafka) -> Result<ReadyBroker, NotReady> {
    let topic = target.topic.as_deref();
    let mut session = KafkaSession { talk, number: 0 };
    let knows_logins = session.check_versions()?;
    let mut proof = String::new();
    let mut login = SaslOffer::None;
    if let Some(password) = &target.server.password {
        let user = target.server.user_or("");
        if !knows_logins {
            let reason = "the broker knows no login: leave user and password out";
            return Err(NotReady::new(Kind::Forbidden, reason));
        }
        let mechanism = target.mechanism.as_deref().unwrap_or(PLAIN);
        session.log_in(mechanism, user, password)?;
        session.talk.attempt().steps().note(StepKind::Login, || format!("as {user} by {mechanism}"));
        proof = if user.is_empty() { "logged in, ".to_owned() } else { format!("logged in as {user}, ") };
    } else if knows_logins {
        login = session.wanted_login()?;
    }
    // Such a broker notes down a failed login where Metadata is asked for all the same.
    if login == SaslOffer::Plain && topic.is_none() {
        return without_login(topic);
    }
    let body = match session.ask(api::METADATA, &wire::metadata_request(topic)) {
        Err(failure) if login != SaslOffer::None && failure.kind == Kind::ConnectionClosed => {
            return without_login(topic);
        }
        body => body?,
    };
    let metadata = wire::metadata(&body).map_err(|_| session.talk.out_of_order())?;
    session.talk.attempt().steps().note(StepKind::Advertised, || {
        let broker = |(number, host, port): &(i32, Vec<u8>, i32)| {
            let is_controller = if *number == metadata.controller { ", the controller" } else { "" };
            format!("{number} at {}:{port}{is_controller}", peer_text(host))
        };
        format!("brokers: {}", metadata.brokers.iter().map(broker).collect::<Vec<_>>().join("; "))
    });
    let found = judge_metadata(&metadata, topic)?;
    let needed = needed(&metadata, topic.is_some());
    Ok(ReadyBroker { proof: format!("{proof}{found}{}", told(&needed)), needed })
}

/// The answer of a listener to `SaslHandshake`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SaslOffer {
    /// No login is wanted.
    None,
    /// A login is wanted, and PLAIN is a way.
    Plain,
    /// No PLAIN: the listener wants another way, and is about to close. Redpanda said so too where it wanted none.
    Another,
}

struct KafkaSession<'t, 'a, S> {
    talk: &'t mut Talk<'a, S>,
    number: i32,
}

impl<S: TimedStream> KafkaSession<'_, '_, S> {
    fn ask(&mut self, api: (i16, i16), body: &[u8]) -> Result<Vec<u8>, NotReady> {
        self.number += 1;
        let number = self.number;
        self.talk.send(&wire::request(api, number, body));
        self.talk.receive(|bytes| wire::answer(bytes, number))
    }

    /// Gives whether the broker knows `SaslHandshake`.
    fn check_versions(&mut self) -> Result<bool, NotReady> {
        let body = self.ask(api::API_VERSIONS, b"")?;
        let (key, version) = api::METADATA;
        match wire::versions(&body, key).map_err(|_| self.talk.out_of_order())? {
            (0, Some((min, max))) if (min..=max).contains(&version) => {
                Ok(matches!(wire::versions(&body, api::SASL_HANDSHAKE.0), Ok((_, Some(_)))))
            }
            (0, _) => {
                let reason = format!(
                    "the broker does not know Metadata in version {version}: is it the controllers' own listener, or \
                     too old or too new?"
                );
                Err(NotReady::new(Kind::Forbidden, reason))
            }
            (error, _) => Err(NotReady::new(Kind::ServerError, format!("the broker answers with error {error}"))),
        }
    }

    /// Gives the error of `SaslHandshake`, and the mechanisms that the broker has.
    fn handshake(&mut self, mechanism: &str) -> Result<(i16, Vec<String>), NotReady> {
        let body = self.ask(api::SASL_HANDSHAKE, &wire::string(mechanism))?;
        wire::handshake(&body).map_err(|_| self.talk.out_of_order())
    }

    fn wanted_login(&mut self) -> Result<SaslOffer, NotReady> {
        let (error, offered) = self.handshake(PLAIN)?;
        match error {
            0 if offered.iter().any(|one| one == PLAIN) => Ok(SaslOffer::Plain),
            0 => Err(self.talk.out_of_order()),
            NO_SUCH_LOGIN => Ok(SaslOffer::Another),
            _ => Ok(SaslOffer::None),
        }
    }

    fn log_in(&mut self, mechanism: &str, user: &str, password: &Secret) -> Result<(), NotReady> {
        let hash = ScramHash::of(mechanism).filter(|hash| *hash != ScramHash::Sha1);
        if hash.is_none() && mechanism != PLAIN {
            let mechanism = peer_text(mechanism.as_bytes());
            let reason = format!("the login {mechanism} is not supported; PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are");
            return Err(NotReady::new(Kind::Forbidden, reason));
        }
        let (error, offered) = self.handshake(mechanism)?;
        if error != 0 {
            return Err(no_such_login(error, mechanism, &offered));
        }
        if let Some(hash) = hash {
            return self.log_in_by_scram(hash, user, password);
        }
        self.authenticate(&sasl_plain(user, password.expose_bytes())).map(drop)
    }

    /// RFC 5802 in `SaslAuthenticate`'s bytes. Kafka's own client does not prepare passwords (`SASLprep`).
    fn log_in_by_scram(&mut self, hash: ScramHash, user: &str, password: &Secret) -> Result<(), NotReady> {
        let client = scram::Client::for_user(hash, user, password.expose_bytes(), scram::nonce()?);
        let first = self.authenticate(client.first_message().as_bytes())?;
        let attempt = self.talk.attempt();
        let (proof, signature) =
            client.answer(&first, &mut || !attempt.remaining().is_zero()).map_err(|error| error.failure(self.talk))?;
        let last = self.authenticate(proof.as_bytes())?;
        signature.check(&last).map_err(|error| error.failure(self.talk))
    }

    /// `SaslAuthenticate`: bytes of the mechanism, and those that are answered.
    fn authenticate(&mut self, bytes: &[u8]) -> Result<Vec<u8>, NotReady> {
        let body = self.ask(api::SASL_AUTHENTICATE, &wire::bytes(bytes))?;
        let (error, text, bytes) = wire::authenticated(&body).map_err(|_| self.talk.out_of_order())?;
        if error == 0 {
            return Ok(bytes);
        }
        let kind = if error == LOGIN_FAILED { Kind::CredentialsRejected } else { Kind::ServerError };
        let text = peer_excerpt(&text);
        Err(NotReady::new(kind, format!("{text} ({error}): check user, password and sasl_mechanism")))
    }
}

/// The meaning of an error of `SaslHandshake` for a login.
fn no_such_login(error: i16, mechanism: &str, offered: &[String]) -> NotReady {
    match error {
        NO_SUCH_LOGIN if !offered.iter().any(|one| one == mechanism) => {
            let offered = peer_excerpt(offered.join(", "));
            let reason = format!(
                "the broker has no {mechanism} login, but {offered}: name one with ?sasl_mechanism= in the URL"
            );
            NotReady::new(Kind::Forbidden, reason)
        }
        // tansu without logins offers what it then refuses.
        NO_SUCH_LOGIN | NO_LOGIN_WANTED => {
            let way_out = "leave user and password out, or name another listener";
            NotReady::new(Kind::Forbidden, format!("this listener takes no login ({error}): {way_out}"))
        }
        error => NotReady::new(Kind::ServerError, format!("the broker answers with error {error}")),
    }
}

/// The failure of a listener that wants a login where no password is given.
fn without_login(topic: Option<&str>) -> Result<ReadyBroker, NotReady> {
    if topic.is_some() {
        let reason = "topic= needs a login; give user and password in the URL: kafka://USER:PASSWORD@HOST";
        return Err(NotReady::new(Kind::CredentialsRejected, reason));
    }
    let proof = WANTS_LOGIN.to_owned();
    Ok(ReadyBroker { proof, needed: Vec::new() })
}

fn judge_metadata(metadata: &wire::Metadata, topic: Option<&str>) -> Result<String, NotReady> {
    let failure = |kind, reason: String| Err(NotReady::new(kind, reason));
    if metadata.brokers.is_empty() {
        return failure(Kind::NotAccepting, "the broker knows no brokers yet".to_owned());
    }
    if metadata.controller < 0 {
        return failure(Kind::NotAccepting, "the cluster has no controller yet".to_owned());
    }
    let found = format!("brokers: {}, a controller", metadata.brokers.len());
    let Some(topic) = topic else { return Ok(found) };
    let (partitions, leaderless) = (metadata.leaders.len(), metadata.leaderless());
    match metadata.topic_error {
        Some(0) if leaderless == 0 && partitions > 0 => {
            Ok(format!("{found}, the topic's {partitions} partitions have leaders"))
        }
        Some(0 | 5) => failure(
            Kind::NotAccepting,
            format!("{leaderless} of the {partitions} partitions of {topic} have no leader"),
        ),
        Some(3) => failure(Kind::Unexpected, format!("the topic {topic} does not exist yet")),
        Some(17) => failure(Kind::Forbidden, format!("{topic} is no name of a topic")),
        Some(29) => failure(Kind::Forbidden, format!("the user may not see the topic {topic}")),
        Some(error) => failure(Kind::ServerError, format!("the topic {topic}: error {error}")),
        None => failure(Kind::ServerError, format!("the broker says nothing of the topic {topic}")),
    }
}

/// The brokers that a client goes on to: of a topic the controller and each leader; without one, any one of all
/// brokers, of which the controller comes first.
fn needed(metadata: &wire::Metadata, has_topic: bool) -> Vec<Advertised> {
    let mut numbers = vec![metadata.controller];
    if has_topic {
        numbers.extend(&metadata.leaders);
    } else {
        numbers.extend(metadata.brokers.iter().map(|(number, ..)| number));
    }
    // Sets and maps, because a peer may name as many as fit into its answer.
    let mut seen = BTreeSet::new();
    numbers.retain(|number| seen.insert(*number));
    let places: BTreeMap<i32, (&[u8], i32)> =
        metadata.brokers.iter().rev().map(|(number, host, port)| (*number, (&**host, *port))).collect();
    let advertised = |number: i32| {
        let whose =
            if number == metadata.controller { "the controller".to_owned() } else { format!("broker {number}") };
        let (host, port) = places.get(&number)?;
        Some(Advertised::new(whose, host, i64::from(*port)))
    };
    numbers.into_iter().filter_map(advertised).collect()
}

/// The advertised addresses, as part of the proof.
fn told(needed: &[Advertised]) -> String {
    const MOST: usize = 4;
    let mut hosts: Vec<String> = needed.iter().take(MOST).map(|host| excerpt(&host.to_string())).collect();
    if needed.len() > MOST {
        hosts.push(format!("{} more", needed.len() - MOST));
    }
    if hosts.is_empty() { String::new() } else { format!(", advertised as {}", hosts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::talked;
    use crate::targets::shared::server::Server;

    fn answer(number: i32, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len() + 4).unwrap();
        [&length.to_be_bytes()[..], &number.to_be_bytes(), body].concat()
    }

    fn versions(max: u8) -> Vec<u8> {
        [&[0, 0, 0, 0, 0, 1][..], &[0, 3, 0, 0, 0, max]].concat()
    }

    /// One broker, a controller or none, and a topic with the leaders of its partitions.
    fn metadata(controller: i32, topic: Option<(i16, &[i32])>) -> Vec<u8> {
        let broker =
            [&1_i32.to_be_bytes()[..], &wire::string("kafka"), &9092_i32.to_be_bytes(), &[0xff, 0xff]].concat();
        let mut body =
            [&[0; 4][..], &1_i32.to_be_bytes(), &broker, &wire::string("id"), &controller.to_be_bytes()].concat();
        let Some((error, leaders)) = topic else { return [body, vec![0; 4]].concat() };
        body.extend(1_i32.to_be_bytes());
        body.extend([&error.to_be_bytes()[..], &wire::string("jobs"), &[0]].concat());
        body.extend(i32::try_from(leaders.len()).unwrap().to_be_bytes());
        for leader in leaders {
            let nodes = [&1_i32.to_be_bytes()[..], &leader.to_be_bytes()].concat();
            body.extend([&[0; 6][..], &leader.to_be_bytes(), &nodes, &nodes].concat());
        }
        body
    }

    /// A broker of which no login is known.
    fn asked(topic: Option<&str>) -> Kafka {
        Kafka { server: Server::at("kafka", Vec::new()), topic: topic.map(str::to_owned), mechanism: None }
    }

    fn with_login(password: &str, mechanism: Option<&str>) -> Kafka {
        let (user, password) = (Some("app".to_owned()), Some(Secret::new(password)));
        let server = Server { user, password, ..asked(None).server };
        Kafka { server, mechanism: mechanism.map(str::to_owned), ..asked(None) }
    }

    fn outcome(target: &Kafka, bodies: &[Vec<u8>]) -> (Result<ReadyBroker, NotReady>, Vec<u8>) {
        let bytes: Vec<u8> = (1..).zip(bodies).flat_map(|(number, body)| answer(number, body)).collect();
        talked(&bytes, PROTOCOL, |talk| converse(talk, target))
    }

    fn kind(outcome: &Result<ReadyBroker, NotReady>) -> Option<Kind> {
        outcome.as_ref().err().map(|failure| failure.kind)
    }

    #[test]
    fn a_controller_and_leaders_are_wanted() {
        let jobs = || asked(Some("jobs"));
        for (asked, body, expected) in [
            (asked(None), metadata(1, None), None),
            (asked(None), metadata(-1, None), Some(Kind::NotAccepting)),
            (asked(None), [&[0; 8][..], &[0xff; 2], &[0; 8]].concat(), Some(Kind::NotAccepting)),
            (jobs(), metadata(1, Some((0, &[1, 1]))), None),
            (jobs(), metadata(1, Some((0, &[1, -1]))), Some(Kind::NotAccepting)),
            (jobs(), metadata(1, Some((5, &[]))), Some(Kind::NotAccepting)),
            (jobs(), metadata(1, Some((3, &[]))), Some(Kind::Unexpected)),
            (jobs(), metadata(1, Some((29, &[]))), Some(Kind::Forbidden)),
            (jobs(), metadata(1, None), Some(Kind::ServerError)),
        ] {
            let (outcome, heard) = outcome(&asked, &[versions(12), body]);
            assert_eq!(kind(&outcome), expected, "{outcome:?}");
            assert_eq!(heard.last(), Some(&0), "no topic is created");
        }
        assert_eq!(kind(&outcome(&asked(None), &[versions(3)]).0), Some(Kind::Forbidden));
    }

    /// `ApiVersions` with logins.
    fn with_logins() -> Vec<u8> {
        [&[0, 0, 0, 0, 0, 2][..], &[0, 3, 0, 0, 0, 12], &[0, 17, 0, 0, 0, 1]].concat()
    }

    fn handshake(error: u8, offered: &str) -> Vec<u8> {
        [&[0, error][..], &1_i32.to_be_bytes(), &wire::string(offered)].concat()
    }

    fn authenticated(error: i16, text: &str, payload: &[u8]) -> Vec<u8> {
        [&error.to_be_bytes()[..], &wire::string(text), &wire::bytes(payload)].concat()
    }

    #[test]
    fn a_login_is_plain_where_the_url_names_no_other() {
        let with = &with_login("secret", None);
        let refused = || authenticated(LOGIN_FAILED, "Invalid credentials", b"");
        let (outcome_of, heard) = outcome(with, &[with_logins(), handshake(0, PLAIN), refused()]);
        assert_eq!(kind(&outcome_of), Some(Kind::CredentialsRejected));
        assert!(heard.ends_with(b"\0app\0secret"));
        let let_in = [with_logins(), handshake(0, PLAIN), authenticated(0, "", b""), metadata(1, None)];
        let proof = outcome(with, &let_in).0.unwrap().proof;
        assert!(proof.starts_with("logged in as app, brokers: 1, a controller, advertised as "), "{proof}");
        // Without a user as well: the password is what is to be proven.
        let nameless = Kafka { server: Server { user: None, ..with.server.clone() }, ..with.clone() };
        let (outcome_of, heard) = outcome(&nameless, &[with_logins(), handshake(0, PLAIN), refused()]);
        assert_eq!(kind(&outcome_of), Some(Kind::CredentialsRejected));
        assert!(heard.ends_with(b"\0\0secret"));
        // What the broker has instead is told; where it takes no login, or knows none, it is not asked for one.
        let (outcome_of, _) = outcome(with, &[with_logins(), handshake(33, "SCRAM-SHA-512")]);
        assert_eq!(kind(&outcome_of), Some(Kind::Forbidden));
        assert!(outcome_of.unwrap_err().reason.contains("SCRAM-SHA-512"));
        assert_eq!(kind(&outcome(with, &[with_logins(), handshake(34, PLAIN)]).0), Some(Kind::Forbidden));
        let (outcome_of, heard) = outcome(with, &[versions(12)]);
        assert_eq!(kind(&outcome_of), Some(Kind::Forbidden));
        assert!(!heard.ends_with(&wire::string(PLAIN)));
        assert_eq!(kind(&outcome(&with_login("secret", Some("GSSAPI")), &[with_logins()]).0), Some(Kind::Forbidden));
    }

    #[test]
    fn a_login_by_scram_sends_no_password() {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let with = &with_login("hunter2secret", Some(mechanism));
            let refused = authenticated(LOGIN_FAILED, "Authentication failed", b"");
            let (outcome_of, heard) = outcome(with, &[with_logins(), handshake(0, mechanism), refused]);
            assert_eq!(kind(&outcome_of), Some(Kind::CredentialsRejected));
            assert!(heard.windows(12).any(|window| window == b"n,,n=app,r=x" || window.starts_with(b"n,,n=app,r=")));
            assert!(!heard.windows(13).any(|window| window == b"hunter2secret"));
            let foreign = authenticated(0, "", b"r=x,s=eA==,i=4096");
            let (outcome_of, _) = outcome(with, &[with_logins(), handshake(0, mechanism), foreign]);
            assert_eq!(kind(&outcome_of), Some(Kind::WrongProtocol));
        }
    }

    #[test]
    fn what_a_client_goes_on_to_is_needed() {
        let found = outcome(&asked(None), &[versions(12), metadata(1, None)]).0.unwrap();
        assert_eq!(found.needed, [Advertised::new("the controller", b"kafka", 9092)]);
        let found = outcome(&asked(Some("jobs")), &[versions(12), metadata(1, Some((0, &[1, 1])))]).0.unwrap();
        assert_eq!(found.needed.len(), 1);
        let three = wire::Metadata {
            brokers: (1..=3).map(|number| (number, format!("k{number}").into_bytes(), 9092)).collect(),
            controller: 3,
            topic_error: Some(0),
            leaders: vec![2, 2, 3],
        };
        let hosts = |has_topic| needed(&three, has_topic).iter().map(Advertised::to_string).collect::<Vec<_>>();
        assert_eq!(hosts(true), ["k3:9092", "k2:9092"]);
        assert_eq!(hosts(false), ["k3:9092", "k1:9092", "k2:9092"]);
    }

    #[test]
    fn a_listener_that_wants_a_login_accepts_without_a_password() {
        let offered = |error| handshake(error, if error == 0 { PLAIN } else { "SCRAM-SHA-256" });
        let told = |error, topic, more: &[Vec<u8>]| {
            outcome(&asked(topic), &[&[with_logins(), offered(error)][..], more].concat())
        };
        for error in [0, 33] {
            let (accepting, heard) = told(error, None, &[]);
            assert_eq!(accepting.unwrap().proof, "accepting connections; it wants a login, no password given");
            // It is not asked what it would note down as a failed login.
            assert_eq!(heard.ends_with(&wire::string(PLAIN)), error == 0);
            let (refused, _) = told(error, Some("jobs"), &[]);
            assert_eq!(kind(&refused), Some(Kind::CredentialsRejected));
            // Some answer SaslHandshake and want no login.
            assert!(told(error, Some("jobs"), &[metadata(1, Some((0, &[1])))]).0.is_ok());
        }
        // One that wants none must have a controller; that it closes is no sign of a login.
        assert!(told(34, None, &[metadata(1, None)]).0.is_ok());
        assert!(told(33, None, &[metadata(1, None)]).0.is_ok());
        assert_eq!(kind(&told(33, None, &[metadata(-1, None)]).0), Some(Kind::NotAccepting));
        assert_eq!(kind(&told(34, None, &[metadata(-1, None)]).0), Some(Kind::NotAccepting));
        assert_eq!(kind(&told(34, None, &[]).0), Some(Kind::ConnectionClosed));
        assert_eq!(kind(&outcome(&asked(None), &[with_logins()]).0), Some(Kind::ConnectionClosed));
        // What it takes it must have.
        let odd = handshake(0, "SCRAM-SHA-256");
        assert_eq!(kind(&outcome(&asked(None), &[with_logins(), odd]).0), Some(Kind::WrongProtocol));
    }

    #[test]
    fn every_proper_prefix_of_an_exchange_ends_as_a_closed_connection() {
        let whole = [answer(1, &versions(12)), answer(2, &metadata(1, Some((0, &[1]))))].concat();
        for end in 0..whole.len() {
            let (outcome, _) = talked(&whole[..end], PROTOCOL, |talk| converse(talk, &asked(Some("jobs"))));
            assert_eq!(kind(&outcome), Some(Kind::ConnectionClosed), "{end}");
        }
    }
}
