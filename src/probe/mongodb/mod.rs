//! MongoDB: hello, the state within a replica set, and a login (SCRAM-SHA-256).

pub mod bson;

use std::io::{Read, Write};

use super::postgres::scram::{self, Binding, SCRAM_SHA_256, ScramError};
use super::talk::Talk;
use crate::endpoint::service::Service;
use crate::outcome::{Kind, NotReady, Outcome, Ready, excerpt, quoted};
use crate::secret::Secret;
use bson::{Document, Value, get};

/// The server does not know the command.
const COMMAND_NOT_FOUND: i32 = 59;

pub(super) fn exchange<S: Read + Write>(talk: &mut Talk<'_, S>, target: &Service) -> Outcome {
    let mut session = Session { talk, number: 0 };
    let state = session.hello(target)?;
    let role = judge(&state, target)?;
    let Some((user, password)) = target.user.as_deref().zip(target.password.as_ref()) else {
        return Ok(Ready::new(format!("accepting connections ({role}); no password given, login not tried")));
    };
    session.log_in(target, user, password, &state)?;
    Ok(Ready::new(format!("logged in as {user} ({role})")))
}

struct Session<'t, 'a, S> {
    talk: &'t mut Talk<'a, S>,
    number: u32,
}

impl<S: Read + Write> Session<'_, '_, S> {
    /// Sends a command to a database, and gives the answer, whatever it is.
    fn command(&mut self, command: Document, database: &str) -> Result<Vec<u8>, NotReady> {
        self.number += 1;
        self.talk.send(&command.text("$db", database).message(self.number));
        self.talk.receive(bson::message)
    }

    /// What the server says of itself; servers before 4.4.2 know it by its old name.
    fn hello(&mut self, target: &Service) -> Result<Vec<u8>, NotReady> {
        let mut answer = Vec::new();
        for name in ["hello", "isMaster"] {
            let driver = Document::default().text("name", "when-ready").text("version", env!("CARGO_PKG_VERSION"));
            let client =
                Document::default().document("driver", driver).document("os", Document::default().text("type", "unix"));
            let mut command = Document::default().int(name, 1).bool("helloOk", true).document("client", client);
            if let Some(user) = target.user.as_ref().filter(|_| target.password.is_some()) {
                command = command.text("saslSupportedMechs", &format!("{}.{user}", source(target)));
            }
            answer = self.command(command, "admin")?;
            if code(&answer) != Some(COMMAND_NOT_FOUND) {
                break;
            }
        }
        succeeded(&answer).map(|()| answer)
    }

    fn log_in(&mut self, target: &Service, user: &str, password: &Secret, state: &[u8]) -> Result<(), NotReady> {
        let mechanism = target.mechanism.as_deref().unwrap_or(SCRAM_SHA_256);
        let offered = mechanisms(state);
        let is_offered = offered.is_empty() || offered.iter().any(|one| one == mechanism);
        if mechanism != SCRAM_SHA_256 || !is_offered {
            let wanted = if is_offered { mechanism.to_owned() } else { offered.join(", ") };
            let reason = format!(
                "the login wants {}, which is not supported (SCRAM-SHA-256 is): leave the password out to wait only \
                 until the server accepts connections",
                quoted(wanted.as_bytes())
            );
            return Err(NotReady::new(Kind::Forbidden, reason));
        }
        let nonce = scram::nonce()
            .map_err(|error| NotReady::new(Kind::LocalLimit, format!("the system has no random numbers: {error}")))?;
        let client = scram::Client::for_user(user, password.expose_bytes(), Binding::Unsupported, nonce);
        let options = Document::default().bool("skipEmptyExchange", true);
        let start = Document::default()
            .int("saslStart", 1)
            .text("mechanism", SCRAM_SHA_256)
            .bytes("payload", client.first_message().as_bytes())
            .document("options", options);
        let first = self.step(start, target)?;
        let budget = self.talk.budget();
        let (proof, signature) = client
            .answer(payload(&first), &mut || !budget.remaining().is_zero())
            .map_err(|error| self.scram_failure(&error))?;
        let conversation = match get(&first, "conversationId") {
            Some(Value::Int(number)) => number,
            _ => 1,
        };
        let proceed = |payload: &[u8]| {
            Document::default().int("saslContinue", 1).int("conversationId", conversation).bytes("payload", payload)
        };
        let last = self.step(proceed(proof.as_bytes()), target)?;
        signature.check(payload(&last)).map_err(|error| self.scram_failure(&error))?;
        // Servers before 4.4 want an empty exchange at the end.
        if get(&last, "done") == Some(Value::Bool(false)) {
            self.step(proceed(b""), target)?;
        }
        Ok(())
    }

    fn step(&mut self, command: Document, target: &Service) -> Result<Vec<u8>, NotReady> {
        let answer = self.command(command, source(target))?;
        succeeded(&answer).map(|()| answer)
    }

    fn scram_failure(&self, error: &ScramError) -> NotReady {
        match error {
            ScramError::OutOfTime => self.talk.budget().timed_out(),
            ScramError::WrongSignature => {
                NotReady::new(Kind::CredentialsRejected, "the server cannot prove that it knows the password (SCRAM)")
            }
            ScramError::Server(text) => NotReady::new(Kind::CredentialsRejected, excerpt(text)),
            ScramError::Malformed(_) | ScramError::Iterations(_) => self.talk.out_of_order(),
        }
    }
}

/// The database that knows the user: `authSource`, else the URL's, else admin.
fn source(target: &Service) -> &str {
    target.auth_source.as_deref().or(target.name.as_deref()).unwrap_or("admin")
}

fn payload(answer: &[u8]) -> &[u8] {
    match get(answer, "payload") {
        Some(Value::Bytes(bytes)) => bytes,
        _ => b"",
    }
}

fn mechanisms(state: &[u8]) -> Vec<String> {
    let Some(Value::Document(list)) = get(state, "saslSupportedMechs") else { return Vec::new() };
    let text = |(_, value)| if let Value::Text(text) = value { Some(text.to_owned()) } else { None };
    bson::elements(list).filter_map(text).collect()
}

fn text<'a>(document: &'a [u8], name: &str) -> Option<&'a str> {
    if let Some(Value::Text(text)) = get(document, name) { Some(text) } else { None }
}

fn code(answer: &[u8]) -> Option<i32> {
    if let Some(Value::Int(code)) = get(answer, "code") { Some(code) } else { None }
}

/// Codes of `error_codes.yml`.
fn succeeded(answer: &[u8]) -> Result<(), NotReady> {
    let is_ok = match get(answer, "ok") {
        Some(Value::Int(ok)) => ok == 1,
        Some(Value::Double(ok)) => ok > 0.0,
        Some(Value::Bool(ok)) => ok,
        _ => false,
    };
    if is_ok {
        return Ok(());
    }
    let code = code(answer).unwrap_or(0);
    let (kind, way_out) = match code {
        11 | 18 => (Kind::CredentialsRejected, ": check user, password and authSource"),
        13 => (Kind::Forbidden, ""),
        // Shutting down, interrupted, not primary, recovering.
        91 | 189 | 10107 | 11600 | 11602 | 13435 | 13436 => (Kind::NotAccepting, ""),
        _ => (Kind::ServerError, ""),
    };
    let message = quoted(text(answer, "errmsg").unwrap_or("it says no more").as_bytes());
    Err(NotReady::new(kind, format!("{} ({code}){way_out}", excerpt(&message))))
}

/// What the server is; whether a driver would take it.
fn judge(state: &[u8], target: &Service) -> Result<String, NotReady> {
    let is = |name: &str| get(state, name) == Some(Value::Bool(true));
    let not_accepting = |reason: &str| Err(NotReady::new(Kind::NotAccepting, reason));
    let set = text(state, "setName");
    let is_primary = is("isWritablePrimary") || is("ismaster");
    if is("isreplicaset") {
        return not_accepting("the replica set is not initiated: rs.initiate()");
    }
    if let Some(wanted) = &target.replica_set
        && set != Some(wanted.as_str())
    {
        let found = set.map_or("none".to_owned(), |set| excerpt(&quoted(set.as_bytes())));
        let reason = format!("it is a member of another replica set ({found}, not {wanted})");
        return Err(NotReady::new(Kind::Unexpected, reason));
    }
    if is("arbiterOnly") {
        return Err(NotReady::new(Kind::Unexpected, "it is an arbiter, which holds no data"));
    }
    match (is_primary, is("secondary")) {
        (true, _) if text(state, "msg") == Some("isdbgrid") => Ok("mongos".to_owned()),
        (true, _) => Ok(set.map_or("standalone", |_| "primary").to_owned()),
        (false, true) if target.object.as_deref() == Some("primary") => {
            not_accepting("it is a secondary, and the URL wants a primary")
        }
        (false, true) => Ok("secondary".to_owned()),
        (false, false) => not_accepting("it is neither primary nor secondary: it starts, recovers or elects"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::service::Protocol;
    use crate::probe::scripted::{End, Scripted, budget};

    fn target() -> Service {
        Service::new(Protocol::Mongodb, "mongodb", Vec::new())
    }

    fn outcome(target: &Service, answers: Vec<Document>) -> (Outcome, Vec<u8>) {
        let budget = budget();
        let bytes: Vec<u8> = answers.into_iter().flat_map(|answer| answer.message(1)).collect();
        let mut talk = Talk::new(Scripted::new(&bytes, 1, End::Close), Protocol::Mongodb.name(), &budget);
        let outcome = exchange(&mut talk, target);
        (outcome, talk.into_stream().written)
    }

    fn kind(outcome: &Outcome) -> Option<Kind> {
        outcome.as_ref().err().map(|failure| failure.kind)
    }

    fn primary() -> Document {
        Document::default().bool("isWritablePrimary", true).text("setName", "rs0").int("ok", 1)
    }

    #[test]
    fn the_state_of_a_server_is_told_apart() {
        let of_set = || Service { replica_set: Some("rs0".to_owned()), ..target() };
        let wants_primary = || Service { object: Some("primary".to_owned()), ..of_set() };
        let state = |fields: &[&str]| {
            fields
                .iter()
                .fold(Document::default(), |document, name| document.bool(name, true))
                .text("setName", "rs0")
                .int("ok", 1)
        };
        for (target, answer, expected) in [
            (target(), Document::default().bool("ismaster", true).int("ok", 1), Ok("standalone")),
            (target(), Document::default().bool("ismaster", true).text("msg", "isdbgrid").int("ok", 1), Ok("mongos")),
            (of_set(), primary(), Ok("primary")),
            (of_set(), state(&["secondary"]), Ok("secondary")),
            (wants_primary(), state(&["secondary"]), Err(Kind::NotAccepting)),
            (target(), state(&[]), Err(Kind::NotAccepting)),
            (target(), Document::default().bool("isreplicaset", true).int("ok", 1), Err(Kind::NotAccepting)),
            (of_set(), Document::default().bool("ismaster", true).int("ok", 1), Err(Kind::Unexpected)),
            (target(), state(&["arbiterOnly"]), Err(Kind::Unexpected)),
            (
                target(),
                Document::default().int("ok", 0).int("code", 91).text("errmsg", "shutdown in progress"),
                Err(Kind::NotAccepting),
            ),
        ] {
            let (outcome, _) = outcome(&target, vec![answer]);
            match expected {
                Ok(role) => assert!(outcome.unwrap().proof.contains(role), "{role}"),
                Err(expected) => assert_eq!(kind(&outcome), Some(expected), "{outcome:?}"),
            }
        }
    }

    #[test]
    fn an_old_server_is_asked_by_the_old_name() {
        let unknown = Document::default().int("ok", 0).int("code", 59).text("errmsg", "no such command: 'hello'");
        let (outcome, heard) =
            outcome(&target(), vec![unknown, Document::default().bool("ismaster", true).int("ok", 1)]);
        assert!(outcome.is_ok());
        assert!(heard.windows(8).any(|window| window == b"isMaster"));
    }

    fn with_login() -> Service {
        Service { user: Some("app".to_owned()), password: Some(Secret::new("hunter2secret")), ..target() }
    }

    #[test]
    fn a_login_that_is_refused_or_not_possible_is_told() {
        let refused = Document::default().int("ok", 0).int("code", 18).text("errmsg", "Authentication failed.");
        let (outcome_of, heard) = outcome(&with_login(), vec![primary(), refused]);
        assert_eq!(kind(&outcome_of), Some(Kind::CredentialsRejected));
        assert!(!heard.windows(13).any(|window| window == b"hunter2secret"));
        assert!(heard.windows(9).any(|window| window == b"admin.app"));
        let old = primary().document("saslSupportedMechs", Document::default().text("0", "SCRAM-SHA-1"));
        let (outcome_of, _) = outcome(&with_login(), vec![old]);
        assert_eq!(kind(&outcome_of), Some(Kind::Forbidden));
        assert!(outcome_of.unwrap_err().reason.contains("SCRAM-SHA-1"));
        let foreign = Document::default().int("conversationId", 1).bytes("payload", b"r=x,s=eA==,i=4096").int("ok", 1);
        assert_eq!(kind(&outcome(&with_login(), vec![primary(), foreign]).0), Some(Kind::WrongProtocol));
    }

    #[test]
    fn every_proper_prefix_of_an_answer_ends_as_a_closed_connection() {
        let whole = primary().message(1);
        for end in 0..whole.len() {
            let budget = budget();
            let mut talk = Talk::new(Scripted::new(&whole[..end], 1, End::Close), "x", &budget);
            assert_eq!(kind(&exchange(&mut talk, &target())), Some(Kind::ConnectionClosed), "{end}");
        }
    }
}
