//! MongoDB: hello, discovery of the other members as drivers do it, and a login (SCRAM-SHA-256, SCRAM-SHA-1).

pub(crate) mod bson;
mod srv;
pub(crate) mod topology;
mod url;

use md5::{Digest as _, Md5};

use crate::net::{Attempt, Place, StepKind, TimedStream};
use crate::secret::Secret;
use crate::targets::shared::kind::{Form, Scheme, TargetKind};
use crate::targets::shared::scram::{self, ScramError, ScramHash};
use crate::targets::shared::talk::Talk;
use crate::targets::shared::{advertised, hosts};
use crate::text::{excerpt, peer_excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use crate::wait::policy::Goal;
use bson::{BsonValue, Document, get, text_at};
pub(crate) use topology::ReadPreference;
use topology::{MemberState, Topology};
pub(crate) use url::Mongodb;

/// MongoDB.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[Scheme::new(&["mongodb", "mongo"]).port(27017), Scheme::new(&["mongodb+srv", "mongo+srv"]).port(27017)],
    forms: &[Form {
        url: "mongodb://USER:PASSWORD@HOST/DB, mongodb+srv://...",
        ready: "the member that a driver would use, logged in with a password",
        keys: &[],
    }],
    takes_driver: true,
    takes_lists: true,
    takes_socket: true,
    read: |written, reading| Ok(Box::new(Mongodb::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

/// The protocol's name in messages.
const PROTOCOL: &str = "MongoDB's protocol";
/// The server does not know the command.
const COMMAND_NOT_FOUND: i32 = 59;
/// The fewest iterations of SCRAM that a client takes (MongoDB's authentication specification, SCRAM-SHA-256).
const MIN_ITERATIONS: u32 = 4096;

/// The conversation with one server, whatever others it names.
pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Mongodb) -> Outcome {
    let mut session = MongodbSession { talk, number: 0 };
    let state = session.hello(target)?;
    judge_member(&state, target.replica_set.as_deref())?;
    // "Load Balancers", MongoDB's driver specifications.
    if target.is_balanced && !state.is_balanced {
        let reason =
            "the server knows nothing of a load balancer, and drivers refuse that: leave loadBalanced=true out";
        return Err(NotReady::new(Kind::Unexpected, reason));
    }
    session.log_in(target, &state, state.role.name())
}

/// Begins at `seeds`, goes on to the members that they name, and ends at the one that a driver would use.
pub(crate) fn discover<S: TimedStream>(
    seeds: &[Place],
    target: &Mongodb,
    goal: Goal,
    attempt: &Attempt,
    mut connect: impl FnMut(&Place, &Attempt) -> Result<S, NotReady>,
) -> Outcome {
    let mut topology = Topology::new(seeds, target.replica_set.as_deref(), target.preference);
    while let Some(place) = topology.next().cloned() {
        let left = u32::try_from(topology.open()).unwrap_or(u32::MAX);
        let share = attempt.share(left);
        let share = if topology.is_seed(&place) { share } else { share.at_most(advertised::PATIENCE) };
        let mut talk = match connect(&place, &share) {
            Ok(stream) => Talk::new(stream, PROTOCOL, &share),
            Err(failure) => {
                topology.hear(&place, Err(failure));
                continue;
            }
        };
        let mut session = MongodbSession { talk: &mut talk, number: 0 };
        let state = session.hello(target);
        let is_used = topology.hear(&place, state.clone());
        let outcome = is_used.then(|| state.and_then(|state| session.log_in_at(&place, target, &state)));
        talk.close();
        if let Some(outcome) = outcome {
            return outcome;
        }
    }
    let place = match topology.second_choice() {
        Ok(place) => place.clone(),
        Err(Some(failure)) => return Err(failure),
        Err(None) => return Err(hosts::summary(goal, topology.into_failures())),
    };
    let mut talk = Talk::new(connect(&place, attempt)?, PROTOCOL, attempt);
    let mut session = MongodbSession { talk: &mut talk, number: 0 };
    let outcome = session.hello(target).and_then(|state| session.log_in_at(&place, target, &state));
    talk.close();
    outcome
}

struct MongodbSession<'t, 'a, S> {
    talk: &'t mut Talk<'a, S>,
    number: u32,
}

impl<S: TimedStream> MongodbSession<'_, '_, S> {
    /// Sends a command to a database, and gives the answer, whatever it is.
    fn command(&mut self, command: Document, database: &str) -> Result<Vec<u8>, NotReady> {
        self.number += 1;
        self.talk.send(&command.text("$db", database).message(self.number));
        self.talk.receive(bson::message)
    }

    /// Asks the server about itself; servers before 4.4.2 know it by its old name.
    fn hello(&mut self, target: &Mongodb) -> Result<MemberState, NotReady> {
        let mut answer = Vec::new();
        for name in ["hello", "isMaster"] {
            let driver = Document::default().text("name", "when-ready").text("version", env!("CARGO_PKG_VERSION"));
            let client =
                Document::default().document("driver", driver).document("os", Document::default().text("type", "unix"));
            let mut command = Document::default().int(name, 1).bool("helloOk", true).document("client", client);
            if target.is_balanced {
                command = command.bool("loadBalanced", true);
            }
            if let Some((user, _)) = target.server.credentials() {
                command = command.text("saslSupportedMechs", &format!("{}.{user}", target.source()));
            }
            answer = self.command(command, "admin")?;
            if code(&answer) != Some(COMMAND_NOT_FOUND) {
                break;
            }
        }
        succeeded(&answer)?;
        let state = MemberState::of(&answer);
        self.talk.attempt().steps().note(StepKind::Advertised, || {
            let of_set = state.set.as_ref().map_or_else(String::new, |set| format!(" of {set}"));
            let members = state.hosts.join(", ");
            let members = if members.is_empty() { members } else { format!(", members: {members}") };
            peer_text(format!("{}{of_set}{members}", state.role.name()).as_bytes())
        });
        Ok(state)
    }

    /// Notes the way of the login and the server's version for whoever wants to know.
    fn introduce(&mut self, way: &str) {
        let steps = self.talk.attempt().steps();
        if steps.are_recorded() {
            let told = self.command(Document::default().int("buildInfo", 1), "admin").unwrap_or_default();
            let version = peer_text(text_at(&told, "version").unwrap_or("unknown").as_bytes());
            steps.note(StepKind::Login, || format!("{way}, server version {version}"));
        }
    }

    /// Logs in to the server that a driver would use; the others are given no credentials.
    fn log_in_at(&mut self, place: &Place, target: &Mongodb, state: &MemberState) -> Outcome {
        let role = state.role.name();
        let role = match &state.set {
            Some(set) => format!("{role} of {}, at {place}", peer_excerpt(set)),
            None => role.to_owned(),
        };
        self.log_in(target, state, &role)
    }

    fn log_in(&mut self, target: &Mongodb, state: &MemberState, role: &str) -> Outcome {
        let Some((user, password)) = target.server.credentials() else {
            self.introduce("without a login");
            return Ok(Ready::new(format!("accepting connections ({role}); no password given, login not tried")));
        };
        let hash = mechanism(target.mechanism.as_deref(), &state.mechanisms)?;
        self.log_in_by_scram(hash, target, user, password)?;
        self.introduce(&format!("as {user} by {}", hash.mechanism()));
        Ok(Ready::new(format!("logged in as {user} ({role})")))
    }

    fn log_in_by_scram(
        &mut self,
        hash: ScramHash,
        target: &Mongodb,
        user: &str,
        password: &Secret,
    ) -> Result<(), NotReady> {
        let client = scram::Client::for_user(hash, user, &hashed(hash, user, password), scram::nonce()?)
            .demanding(MIN_ITERATIONS);
        let options = Document::default().bool("skipEmptyExchange", true);
        let start = Document::default()
            .int("saslStart", 1)
            .text("mechanism", hash.mechanism())
            .bytes("payload", client.first_message().as_bytes())
            .document("options", options);
        let first = self.step(start, target)?;
        let attempt = self.talk.attempt();
        let (proof, signature) = client
            .answer(payload(&first), &mut || !attempt.remaining().is_zero())
            .map_err(|error| self.scram_failure(&error))?;
        let conversation = match get(&first, "conversationId") {
            Some(BsonValue::Int(number)) => number,
            _ => 1,
        };
        let proceed = |payload: &[u8]| {
            Document::default().int("saslContinue", 1).int("conversationId", conversation).bytes("payload", payload)
        };
        let last = self.step(proceed(proof.as_bytes()), target)?;
        signature.check(payload(&last)).map_err(|error| self.scram_failure(&error))?;
        // Servers before 4.4 want an empty exchange at the end.
        if get(&last, "done") == Some(BsonValue::Bool(false)) {
            self.step(proceed(b""), target)?;
        }
        Ok(())
    }

    fn step(&mut self, command: Document, target: &Mongodb) -> Result<Vec<u8>, NotReady> {
        let answer = self.command(command, target.source())?;
        succeeded(&answer).map(|()| answer)
    }

    fn scram_failure(&self, error: &ScramError) -> NotReady {
        match error {
            ScramError::Iterations(count) if *count < MIN_ITERATIONS.into() => {
                let reason = format!(
                    "the server asks for {count} iterations of SCRAM, and MongoDB's clients for at least \
                     {MIN_ITERATIONS}: is it the right server?"
                );
                NotReady::new(Kind::Forbidden, reason)
            }
            _ => error.failure(self.talk),
        }
    }
}

/// The mechanism of the login: the URL's, or as drivers choose (`DEFAULT`).
fn mechanism(wanted: Option<&str>, offered: &[String]) -> Result<ScramHash, NotReady> {
    let is_offered = |hash: ScramHash| offered.iter().any(|one| one == hash.mechanism());
    let known = |name: &str| ScramHash::of(name).filter(|hash| *hash != ScramHash::Sha512);
    let chosen = match wanted.filter(|wanted| !wanted.eq_ignore_ascii_case("DEFAULT")) {
        Some(name) => known(name),
        // A server that names none may not tell strangers which its users have.
        None if offered.is_empty() || is_offered(ScramHash::Sha256) => Some(ScramHash::Sha256),
        None => Some(ScramHash::Sha1).filter(|hash| is_offered(*hash)),
    };
    chosen.ok_or_else(|| {
        let wanted = wanted.map_or_else(|| offered.join(", "), str::to_owned);
        let reason = format!(
            "the login wants {}, which is not supported (SCRAM-SHA-256 and SCRAM-SHA-1 are): leave the password out to \
             wait only until the server accepts connections",
            peer_excerpt(wanted)
        );
        NotReady::new(Kind::Forbidden, reason)
    })
}

/// The password as SCRAM hashes it: with SHA-1 the MD5 hash of user and password, as MongoDB stored passwords before.
fn hashed(hash: ScramHash, user: &str, password: &Secret) -> Vec<u8> {
    if hash != ScramHash::Sha1 {
        return scram::prepared(password.expose_bytes());
    }
    let md5 = Md5::new().chain_update(user).chain_update(":mongo:").chain_update(password.expose_bytes()).finalize();
    md5.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn payload(answer: &[u8]) -> &[u8] {
    match get(answer, "payload") {
        Some(BsonValue::Bytes(bytes)) => bytes,
        _ => b"",
    }
}

fn code(answer: &[u8]) -> Option<i32> {
    if let Some(BsonValue::Int(code)) = get(answer, "code") { Some(code) } else { None }
}

/// Codes of `error_codes.yml`.
fn succeeded(answer: &[u8]) -> Result<(), NotReady> {
    let is_ok = match get(answer, "ok") {
        Some(BsonValue::Int(ok)) => ok == 1,
        Some(BsonValue::Double(ok)) => ok > 0.0,
        Some(BsonValue::Bool(ok)) => ok,
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
    let message = peer_text(text_at(answer, "errmsg").unwrap_or("it says no more").as_bytes());
    Err(NotReady::new(kind, format!("{} ({code}){way_out}", excerpt(&message))))
}

/// Whether a driver that is connected to this server alone would take it.
fn judge_member(state: &MemberState, wanted: Option<&str>) -> Result<(), NotReady> {
    if let Some(wanted) = wanted
        && state.set.as_deref() != Some(wanted)
        && state.role != topology::MemberRole::NotInitiated
    {
        return Err(topology::of_another_set(state.set.as_deref(), wanted));
    }
    state.role.problem().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{Read, Write};

    use super::*;
    use crate::net::Address;
    use crate::targets::scripted::{End, Scripted, attempt, of_kind, talked};

    fn outcome(target: &Mongodb, answers: Vec<Document>) -> (Outcome, Vec<u8>) {
        let bytes: Vec<u8> = answers.into_iter().flat_map(|answer| answer.message(1)).collect();
        talked(&bytes, PROTOCOL, |talk| converse(talk, target))
    }

    fn kind(outcome: &Outcome) -> Option<Kind> {
        outcome.as_ref().err().map(|failure| failure.kind)
    }

    fn primary() -> Document {
        Document::default().bool("isWritablePrimary", true).text("setName", "rs0").int("ok", 1)
    }

    #[test]
    fn a_load_balancer_has_servers_that_know_of_it() {
        let balanced = &of_kind("mongodb://db/?loadBalanced=true");
        let mongos = || Document::default().bool("ismaster", true).text("msg", "isdbgrid").int("ok", 1);
        let (ready, heard) = outcome(balanced, vec![mongos().text("serviceId", "x")]);
        assert!(ready.is_ok() && heard.windows(12).any(|window| window == b"loadBalanced"));
        assert_eq!(kind(&outcome(balanced, vec![mongos()]).0), Some(Kind::Unexpected));
    }

    #[test]
    fn the_state_of_a_server_is_told_apart() {
        let of_set = &of_kind("mongodb://db/?replicaSet=rs0");
        let any = &of_kind("mongodb://db");
        let state = |fields: &[&str]| {
            fields
                .iter()
                .fold(Document::default(), |document, name| document.bool(name, true))
                .text("setName", "rs0")
                .int("ok", 1)
        };
        for (asked, answer, expected) in [
            (any, Document::default().bool("ismaster", true).int("ok", 1), Ok("standalone")),
            (any, Document::default().bool("ismaster", true).text("msg", "isdbgrid").int("ok", 1), Ok("mongos")),
            (of_set, primary(), Ok("primary")),
            (of_set, state(&["secondary"]), Ok("secondary")),
            (any, state(&[]), Err(Kind::NotAccepting)),
            (any, Document::default().bool("isreplicaset", true).int("ok", 1), Err(Kind::NotAccepting)),
            (of_set, Document::default().bool("ismaster", true).int("ok", 1), Err(Kind::Unexpected)),
            (any, state(&["arbiterOnly"]), Err(Kind::Unexpected)),
            (
                any,
                Document::default().int("ok", 0).int("code", 91).text("errmsg", "shutdown in progress"),
                Err(Kind::NotAccepting),
            ),
        ] {
            let (outcome, _) = outcome(asked, vec![answer]);
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
            outcome(&of_kind("mongodb://db"), vec![unknown, Document::default().bool("ismaster", true).int("ok", 1)]);
        assert!(outcome.is_ok());
        assert!(heard.windows(8).any(|window| window == b"isMaster"));
    }

    fn of_mechanisms(names: &[&str]) -> Document {
        let list = names.iter().enumerate();
        let list = list.fold(Document::default(), |list, (index, name)| list.text(&index.to_string(), name));
        primary().document("saslSupportedMechs", list)
    }

    #[test]
    fn a_login_that_is_refused_or_not_possible_is_told() {
        let asked = &of_kind("mongodb://app:hunter2secret@db");
        let refused = || Document::default().int("ok", 0).int("code", 18).text("errmsg", "Authentication failed.");
        let (outcome_of, heard) = outcome(asked, vec![primary(), refused()]);
        assert_eq!(kind(&outcome_of), Some(Kind::CredentialsRejected));
        assert!(!heard.windows(13).any(|window| window == b"hunter2secret"));
        assert!(heard.windows(9).any(|window| window == b"admin.app"));
        let (outcome_of, _) = outcome(asked, vec![of_mechanisms(&["PLAIN"])]);
        assert_eq!(kind(&outcome_of), Some(Kind::Forbidden));
        assert!(outcome_of.unwrap_err().reason.contains("PLAIN"));
        let foreign = Document::default().int("conversationId", 1).bytes("payload", b"r=x,s=eA==,i=4096").int("ok", 1);
        assert_eq!(kind(&outcome(asked, vec![primary(), foreign]).0), Some(Kind::WrongProtocol));
        for (wanted, offered, used) in [
            (None, &["SCRAM-SHA-1"][..], "SCRAM-SHA-1"),
            (Some("DEFAULT"), &["SCRAM-SHA-1"], "SCRAM-SHA-1"),
            (None, &["SCRAM-SHA-1", "SCRAM-SHA-256"], "SCRAM-SHA-256"),
            (Some("DEFAULT"), &[], "SCRAM-SHA-256"),
            (Some("SCRAM-SHA-1"), &["SCRAM-SHA-1", "SCRAM-SHA-256"], "SCRAM-SHA-1"),
        ] {
            let mut wanting = asked.clone();
            wanting.mechanism = wanted.map(str::to_owned);
            let (_, heard) = outcome(&wanting, vec![of_mechanisms(offered), refused()]);
            let start =
                [&b"mechanism\0"[..], &[u8::try_from(used.len() + 1).unwrap(), 0, 0, 0], used.as_bytes()].concat();
            assert!(heard.windows(start.len()).any(|window| window == start), "{wanted:?} {offered:?}");
        }
    }

    // By Python's hashlib.
    #[test]
    fn old_users_hash_their_password_with_md5_first() {
        assert_eq!(hashed(ScramHash::Sha1, "app", &Secret::new("secret")), b"13a21453049f532d1fc5c0ea59c6265e");
        assert_eq!(hashed(ScramHash::Sha256, "app", &Secret::new("secret")), b"secret");
    }

    /// A server that asks for so many iterations.
    struct Asking {
        heard: Vec<u8>,
        answers: Vec<u8>,
        iterations: u32,
    }

    impl Write for Asking {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.heard.extend_from_slice(bytes);
            let heard = String::from_utf8_lossy(&self.heard).into_owned();
            let answer = match heard.split_once(",r=") {
                None => primary(),
                Some(_) if self.answers.is_empty() && heard.contains("saslContinue") => return Ok(bytes.len()),
                Some((_, nonce)) => {
                    let first = format!("r={}x,s=eA==,i={}", &nonce[..24], self.iterations);
                    Document::default().int("conversationId", 1).bytes("payload", first.as_bytes()).int("ok", 1)
                }
            };
            self.answers.extend(answer.message(1));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl TimedStream for Asking {}

    impl Read for Asking {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = buffer.len().min(self.answers.len());
            self.answers.drain(..n).zip(buffer).for_each(|(byte, room)| *room = byte);
            Ok(n)
        }
    }

    #[test]
    fn a_server_that_asks_for_few_iterations_is_given_no_proof() {
        for (iterations, expected, is_given) in [
            (1, Kind::Forbidden, false),
            (4095, Kind::Forbidden, false),
            (4096, Kind::ConnectionClosed, true),
            (15_000, Kind::ConnectionClosed, true),
        ] {
            let attempt = attempt();
            let server = Asking { heard: Vec::new(), answers: Vec::new(), iterations };
            let mut talk = Talk::new(server, "x", &attempt);
            assert_eq!(
                kind(&converse(&mut talk, &of_kind("mongodb://app:hunter2secret@db"))),
                Some(expected),
                "{iterations}"
            );
            let heard = talk.into_stream().heard;
            assert_eq!(String::from_utf8_lossy(&heard).contains(",p="), is_given, "{iterations}");
        }
    }

    #[test]
    fn every_proper_prefix_of_an_answer_ends_as_a_closed_connection() {
        let whole = primary().message(1);
        for end in 0..whole.len() {
            let (outcome, _) = talked(&whole[..end], PROTOCOL, |talk| converse(talk, &of_kind("mongodb://db")));
            assert_eq!(kind(&outcome), Some(Kind::ConnectionClosed), "{end}");
        }
    }

    /// Servers by their ports, each with what it answers to whoever connects, in turn.
    fn discovered(target: &Mongodb, servers: Vec<(u16, Vec<Document>)>) -> Outcome {
        let mut servers: Vec<(Place, VecDeque<Vec<u8>>)> = servers
            .into_iter()
            .map(|(port, answers)| {
                let place = Place::Tcp(Address { host: "db".to_owned(), port });
                (place, answers.into_iter().map(|answer| answer.message(1)).collect())
            })
            .collect();
        let seeds = [servers[0].0.clone()];
        let connect = |place: &Place, _: &Attempt| {
            let server = servers.iter_mut().find(|(at, _)| at == place);
            let answer = server.and_then(|(_, answers)| answers.pop_front());
            answer
                .map(|answer| Scripted::new(&answer, 7, End::Close))
                .ok_or_else(|| NotReady::new(Kind::ConnectionRefused, "connection refused"))
        };
        discover(&seeds, target, Goal::Ready, &attempt(), connect)
    }

    fn member(role: &str, primary: Option<&str>) -> Document {
        let hosts = Document::default().text("0", "db:1").text("1", "db:2");
        let answer = Document::default().bool(role, true).text("setName", "rs0").document("hosts", hosts).int("ok", 1);
        primary.into_iter().fold(answer, |answer, primary| answer.text("primary", primary))
    }

    #[test]
    fn the_primary_that_a_secondary_names_is_asked() {
        let secondary = || member("secondary", Some("db:2"));
        let found =
            discovered(&of_kind("mongodb://db"), vec![(1, vec![secondary()]), (2, vec![member("ismaster", None)])]);
        assert!(found.unwrap().proof.contains("primary of "));
        let failure = discovered(&of_kind("mongodb://db"), vec![(1, vec![secondary()])]).unwrap_err();
        assert_eq!(failure.kind, Kind::Unexpected);
        assert!(failure.reason.contains("db:2"), "{failure}");
        // Where a secondary does, it is asked again once the primary is known to be away.
        let asked = &of_kind("mongodb://db/?readPreference=primaryPreferred");
        let found = discovered(asked, vec![(1, vec![secondary(), secondary()])]);
        assert!(found.unwrap().proof.contains("secondary of "));
        assert_eq!(kind(&discovered(asked, vec![(1, vec![])])), Some(Kind::ConnectionRefused));
    }
}
