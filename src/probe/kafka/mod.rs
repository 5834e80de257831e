//! Kafka: `ApiVersions`, a login (PLAIN), then `Metadata`: brokers, a controller, and a topic whose partitions have
//! leaders. Asking for a topic creates none.
//!
//! A listener that wants a login closes on whoever asks for `Metadata` without. Whether it wants one, `SaslHandshake`
//! tells: 0 or 33 (it does not have PLAIN) where it does, 34 elsewhere. Without a password, that is how far we go.

pub mod wire;

use std::io::{Read, Write};

use super::talk::Talk;
use crate::endpoint::service::Service;
use crate::outcome::{Kind, NotReady, Outcome, Ready, excerpt, quoted};
use crate::secret::Secret;
use wire::api;

/// The mechanism of authentication that is known here.
const PLAIN: &str = "PLAIN";
/// `UNSUPPORTED_SASL_MECHANISM`
const NO_SUCH_LOGIN: i16 = 33;

pub(super) fn exchange<S: Read + Write>(talk: &mut Talk<'_, S>, target: &Service) -> Outcome {
    let mut session = Session { talk, number: 0 };
    let knows_logins = session.check_versions()?;
    let mut proof = String::new();
    let mut login = Login::None;
    if let Some(password) = &target.password {
        let user = target.user.as_deref().unwrap_or_default();
        session.log_in(target, user, password)?;
        proof = if user.is_empty() { "logged in, ".to_owned() } else { format!("logged in as {user}, ") };
    } else if knows_logins {
        login = session.wanted_login()?;
    }
    let body = match login {
        Login::Plain => return without_login(target),
        _ => session.ask(api::METADATA, &wire::metadata_request(target.object.as_deref())),
    };
    let body = match body {
        Err(failure) if login == Login::Another && failure.kind == Kind::ConnectionClosed => {
            return without_login(target);
        }
        body => body?,
    };
    let metadata = wire::metadata(&body).map_err(|_| session.talk.out_of_order())?;
    judge(&metadata, target).map(|found| Ready::new(format!("{proof}{found}")))
}

/// What `SaslHandshake` tells of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// It wants none.
    None,
    /// It wants one, and PLAIN is one.
    Plain,
    /// It has no PLAIN: it wants another, and is about to close. Redpanda said so too where it wanted none.
    Another,
}

struct Session<'t, 'a, S> {
    talk: &'t mut Talk<'a, S>,
    number: i32,
}

impl<S: Read + Write> Session<'_, '_, S> {
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
                let reason =
                    format!("the broker does not know Metadata in version {version}: it is too old or too new");
                Err(NotReady::new(Kind::Forbidden, reason))
            }
            (error, _) => Err(NotReady::new(Kind::ServerError, format!("the broker answers with error {error}"))),
        }
    }

    /// Gives the error of `SaslHandshake`, and whether PLAIN is among what the broker has.
    fn handshake(&mut self) -> Result<(i16, bool), NotReady> {
        let body = self.ask(api::SASL_HANDSHAKE, &wire::string(PLAIN))?;
        wire::handshake(&body, PLAIN).map_err(|_| self.talk.out_of_order())
    }

    fn wanted_login(&mut self) -> Result<Login, NotReady> {
        match self.handshake()? {
            (0, true) => Ok(Login::Plain),
            (0, false) => Err(self.talk.out_of_order()),
            (NO_SUCH_LOGIN, _) => Ok(Login::Another),
            _ => Ok(Login::None),
        }
    }

    fn log_in(&mut self, target: &Service, user: &str, password: &Secret) -> Result<(), NotReady> {
        let mechanism = target.mechanism.as_deref().unwrap_or(PLAIN);
        let unsupported = || {
            let reason = format!("the login wants {}, and PLAIN is what is supported", quoted(mechanism.as_bytes()));
            NotReady::new(Kind::Forbidden, reason)
        };
        if mechanism != PLAIN {
            return Err(unsupported());
        }
        match self.handshake()?.0 {
            0 => {}
            NO_SUCH_LOGIN => {
                let reason = "the broker has no PLAIN login: leave user and password out to see whether it accepts";
                return Err(NotReady::new(Kind::Forbidden, reason));
            }
            error => return Err(NotReady::new(Kind::ServerError, format!("the broker answers with error {error}"))),
        }
        let credentials = [b"\0", user.as_bytes(), b"\0", password.expose_bytes()].concat();
        let body = self.ask(api::SASL_AUTHENTICATE, &wire::bytes(&credentials))?;
        let (error, text, _) = wire::authenticated(&body).map_err(|_| self.talk.out_of_order())?;
        if error == 0 {
            return Ok(());
        }
        let text = quoted(&text);
        let reason = format!("{} ({error}): check user and password", excerpt(&text));
        Err(NotReady::new(Kind::CredentialsRejected, reason))
    }
}

/// What comes of a listener that wants a login where no password is given.
fn without_login(target: &Service) -> Outcome {
    if target.object.is_some() {
        let reason = "topic= needs a login; give user and password in the URL: kafka://USER:PASSWORD@HOST";
        return Err(NotReady::new(Kind::CredentialsRejected, reason));
    }
    Ok(Ready::new("accepting connections; it wants a login, no password given"))
}

fn judge(metadata: &wire::Metadata, target: &Service) -> Result<String, NotReady> {
    let failure = |kind, reason: String| Err(NotReady::new(kind, reason));
    if metadata.brokers == 0 {
        return failure(Kind::NotAccepting, "the broker knows no brokers yet".to_owned());
    }
    if !metadata.has_controller {
        return failure(Kind::NotAccepting, "the cluster has no controller yet".to_owned());
    }
    let found = format!("brokers: {}, a controller", metadata.brokers);
    let Some(topic) = &target.object else { return Ok(found) };
    match metadata.topic_error {
        Some(0) if metadata.leaderless == 0 && metadata.partitions > 0 => {
            Ok(format!("{found}, the topic's {} partitions have leaders", metadata.partitions))
        }
        Some(0 | 5) => {
            let reason =
                format!("{} of the {} partitions of {topic} have no leader", metadata.leaderless, metadata.partitions);
            failure(Kind::NotAccepting, reason)
        }
        Some(3) => failure(Kind::Unexpected, format!("the topic {topic} does not exist yet")),
        Some(17) => failure(Kind::Forbidden, format!("{topic} is no name of a topic")),
        Some(29) => failure(Kind::Forbidden, format!("the user may not see the topic {topic}")),
        Some(error) => failure(Kind::ServerError, format!("the topic {topic}: error {error}")),
        None => failure(Kind::ServerError, format!("the broker says nothing of the topic {topic}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::service::Protocol;
    use crate::probe::scripted::{End, Scripted, budget};

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

    fn target(topic: Option<&str>) -> Service {
        Service { object: topic.map(str::to_owned), ..Service::new(Protocol::Kafka, "kafka", Vec::new()) }
    }

    fn outcome(target: &Service, bodies: &[Vec<u8>]) -> (Outcome, Vec<u8>) {
        let budget = budget();
        let bytes: Vec<u8> = (1..).zip(bodies).flat_map(|(number, body)| answer(number, body)).collect();
        let mut talk = Talk::new(Scripted::new(&bytes, 1, End::Close), "Kafka's protocol", &budget);
        let outcome = exchange(&mut talk, target);
        (outcome, talk.into_stream().written)
    }

    fn kind(outcome: &Outcome) -> Option<Kind> {
        outcome.as_ref().err().map(|failure| failure.kind)
    }

    #[test]
    fn a_controller_and_leaders_are_wanted() {
        let jobs = || target(Some("jobs"));
        for (target, body, expected) in [
            (target(None), metadata(1, None), None),
            (target(None), metadata(-1, None), Some(Kind::NotAccepting)),
            (target(None), [&[0; 8][..], &[0xff; 2], &[0; 8]].concat(), Some(Kind::NotAccepting)),
            (jobs(), metadata(1, Some((0, &[1, 1]))), None),
            (jobs(), metadata(1, Some((0, &[1, -1]))), Some(Kind::NotAccepting)),
            (jobs(), metadata(1, Some((5, &[]))), Some(Kind::NotAccepting)),
            (jobs(), metadata(1, Some((3, &[]))), Some(Kind::Unexpected)),
            (jobs(), metadata(1, Some((29, &[]))), Some(Kind::Forbidden)),
            (jobs(), metadata(1, None), Some(Kind::ServerError)),
        ] {
            let (outcome, heard) = outcome(&target, &[versions(12), body]);
            assert_eq!(kind(&outcome), expected, "{outcome:?}");
            assert_eq!(heard.last(), Some(&0), "no topic is created");
        }
        assert_eq!(kind(&outcome(&target(None), &[versions(3)]).0), Some(Kind::Forbidden));
    }

    #[test]
    fn a_login_is_plain() {
        let with = || Service { user: Some("app".to_owned()), password: Some(Secret::new("secret")), ..target(None) };
        let refused = [&58_i16.to_be_bytes()[..], &wire::string("Invalid credentials"), &[0; 4]].concat();
        let (outcome_of, heard) = outcome(&with(), &[versions(12), vec![0; 6], refused]);
        assert_eq!(kind(&outcome_of), Some(Kind::CredentialsRejected));
        assert!(heard.ends_with(b"\0app\0secret"));
        let (outcome_of, _) = outcome(&with(), &[versions(12), vec![0; 6], vec![0; 8], metadata(1, None)]);
        assert_eq!(outcome_of.unwrap().proof, "logged in as app, brokers: 1, a controller");
        // Without a user as well: the password is what is to be proven.
        let nameless = Service { user: None, ..with() };
        let refused = [&58_i16.to_be_bytes()[..], &wire::string("Invalid credentials"), &[0; 4]].concat();
        let (outcome_of, heard) = outcome(&nameless, &[versions(12), vec![0; 6], refused]);
        assert_eq!(kind(&outcome_of), Some(Kind::CredentialsRejected));
        assert!(heard.ends_with(b"\0\0secret"));
        let (outcome_of, _) = outcome(&with(), &[versions(12), [&[0, 33][..], &[0; 4]].concat()]);
        assert_eq!(kind(&outcome_of), Some(Kind::Forbidden));
    }

    #[test]
    fn a_listener_that_wants_a_login_accepts_without_a_password() {
        let versions = || [&[0, 0, 0, 0, 0, 2][..], &[0, 3, 0, 0, 0, 12], &[0, 17, 0, 0, 0, 1]].concat();
        let handshake = |error: u8| {
            let offered = wire::string(if error == 0 { PLAIN } else { "SCRAM-SHA-256" });
            [&[0, error][..], &1_i32.to_be_bytes(), &offered].concat()
        };
        let asked = |error, topic: Option<&str>, more: &[Vec<u8>]| {
            outcome(&target(topic), &[&[versions(), handshake(error)][..], more].concat())
        };
        for error in [0, 33] {
            let (accepting, heard) = asked(error, None, &[]);
            assert_eq!(accepting.unwrap().proof, "accepting connections; it wants a login, no password given");
            // It is not asked what it would note down as a failed login.
            assert_eq!(heard.ends_with(&wire::string(PLAIN)), error == 0);
            let (refused, _) = asked(error, Some("jobs"), &[]);
            assert_eq!(kind(&refused), Some(Kind::CredentialsRejected));
        }
        // One that wants none must have a controller; that it closes is no sign of a login.
        assert!(asked(34, None, &[metadata(1, None)]).0.is_ok());
        assert!(asked(33, None, &[metadata(1, None)]).0.is_ok());
        assert_eq!(kind(&asked(33, None, &[metadata(-1, None)]).0), Some(Kind::NotAccepting));
        assert_eq!(kind(&asked(34, None, &[metadata(-1, None)]).0), Some(Kind::NotAccepting));
        assert_eq!(kind(&asked(34, None, &[]).0), Some(Kind::ConnectionClosed));
        assert_eq!(kind(&outcome(&target(None), &[versions()]).0), Some(Kind::ConnectionClosed));
        // What it takes it must have.
        let odd = [handshake(33)[2..].to_vec()].map(|list| [&[0, 0][..], &list].concat());
        assert_eq!(kind(&outcome(&target(None), &[&[versions()][..], &odd].concat()).0), Some(Kind::WrongProtocol));
    }

    #[test]
    fn every_proper_prefix_of_an_exchange_ends_as_a_closed_connection() {
        let whole = [answer(1, &versions(12)), answer(2, &metadata(1, Some((0, &[1]))))].concat();
        for end in 0..whole.len() {
            let budget = budget();
            let mut talk = Talk::new(Scripted::new(&whole[..end], 1, End::Close), "x", &budget);
            assert_eq!(kind(&exchange(&mut talk, &target(Some("jobs")))), Some(Kind::ConnectionClosed), "{end}");
        }
    }
}
