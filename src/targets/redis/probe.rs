//! Redis: AUTH, SELECT, PING and what the target expects; sentinels, who know where the master is.

use std::time::Duration;

use super::expectations::Met;
use super::resp::Reply;
use super::session::RedisSession;
use crate::net::tls::Tls;
use crate::net::{Attempt, Place, StepKind, Stream, TimedStream};
use crate::targets::Redis;
use crate::targets::redis::Sentinel;
use crate::targets::shared::advertised::reach_all;
use crate::targets::shared::hosts::first_ready;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use crate::wait::policy::Goal;

/// How often a key is followed to the node that holds its slot.
const MAX_REDIRECTS: u8 = 3;
/// How long the answer to QUIT may take after that to PING. Redis sends both at once; who sends none hangs up.
const FAREWELL: Duration = Duration::from_millis(20);

pub(crate) fn probe(target: &Redis, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
    match &target.sentinel {
        Some(sentinel) => probe_master(target, sentinel, goal, tls, attempt),
        None => {
            target.server.first_ready(goal, attempt, |place, attempt| probe_place(target, place, goal, tls, attempt))
        }
    }
}

/// Asks the sentinels in order, then the master that one of them names.
fn probe_master(target: &Redis, sentinel: &Sentinel, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
    // Silent sentinels leave the master its share of the time.
    let asking = attempt.share(2);
    let master = first_ready(&sentinel.places, goal, &asking, |place, attempt| {
        let mut session = RedisSession::new(target.server.connect(place, tls, attempt)?, attempt);
        let master = session.master(target, sentinel);
        session.talk.close();
        master
    });
    let master = match master {
        // Sentinels that are gone prove nothing of the master.
        Err(failure) if goal == Goal::Down => {
            let reason = format!("nothing is known of the master: {}", failure.reason);
            return Err(NotReady::new(Kind::Unreachable, reason));
        }
        other => other?,
    };
    let place = Place::Tcp(master);
    attempt.steps().note(StepKind::Advertised, || format!("the master by the sentinel's word: {place}"));
    match probe_place(target, &place, goal, tls, attempt) {
        Ok(ready) => Ok(Ready::new(format!("{} ({place}, named by the sentinel)", ready.proof))),
        Err(failure) => {
            let reason = format!("the master at {place}, which the sentinel names: {}", failure.reason);
            Err(NotReady { reason, ..failure })
        }
    }
}

fn probe_place(target: &Redis, place: &Place, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
    let mut place = place.clone();
    let mut may_quit = !attempt.steps().are_recorded();
    for _ in 0..=MAX_REDIRECTS {
        let farewell;
        let mut session = RedisSession::new(target.server.connect(&place, tls, attempt)?, attempt);
        let mut outcome = session.meet(target, may_quit);
        let mut masters = Ok(Vec::new());
        if let Ok(Met::Ready { proof, has_quit }) = &mut outcome {
            if let Place::Tcp(address) = &place
                && target.cluster
                && goal != Goal::Down
            {
                masters = session.masters(&address.host);
            }
            if attempt.steps().are_recorded() {
                session.introduce();
                // A proxy that has passed GET on is none that answers by itself.
                *has_quit = target.key.is_none();
            }
            if *has_quit {
                farewell = attempt.at_most(FAREWELL);
                session.talk.lasts(&farewell);
                proof.push_str(session.farewell());
            }
        }
        session.talk.close();
        match outcome? {
            Met::Ready { proof, .. } => {
                reach_all(&masters?, &place, "cluster-announce-ip", attempt, |place, attempt| {
                    target.server.connect(place, tls, attempt).map(Stream::close)
                })?;
                return Ok(Ready::new(proof));
            }
            Met::Renamed => may_quit = false,
            // Another node tells nothing about whether this one is down.
            Met::Moved(_) if goal == Goal::Down => return Ok(Ready::new("PONG")),
            Met::Moved(to) if to.host.is_empty() => match &mut place {
                Place::Tcp(address) => address.port = to.port,
                Place::Unix(_) => {
                    return Err(NotReady::new(Kind::NotAccepting, format!("the key is at port {}", to.port)));
                }
            },
            Met::Moved(to) => place = Place::Tcp(to),
        }
    }
    Err(NotReady::new(Kind::NotAccepting, "the cluster moves the key from node to node"))
}

impl<S: TimedStream> RedisSession<'_, S> {
    /// The peer that answered PING, by the answer to QUIT: Redis says OK, or that it does not know the command (where it
    /// is renamed); twemproxy answers PING itself and hangs up, Envoy answers PING itself and calls QUIT
    /// unsupported.
    fn farewell(&mut self) -> &'static str {
        const PROXY: &str = ", from a proxy: key= would reach behind it";
        match self.read_reply() {
            Ok(Reply::Error(text)) if text.windows(11).any(|part| part == b"unsupported") => PROXY,
            Err(failure) if failure.kind == Kind::ConnectionClosed => PROXY,
            Ok(_) | Err(_) => "",
        }
    }
}

/// The whole conversation over a stream that stands, without TLS: for tests and the fuzzer.
///
/// # Errors
///
/// Why it is not ready.
pub(crate) fn converse<S: TimedStream>(target: &Redis, stream: S, attempt: &Attempt) -> Outcome {
    let mut session = RedisSession::new(stream, attempt);
    if let Some(sentinel) = &target.sentinel {
        return session.master(target, sentinel).map(|master| Ready::new(format!("the master is {master}")));
    }
    match session.meet(target, true)? {
        Met::Ready { proof, has_quit: true } => Ok(Ready::new(format!("{proof}{}", session.farewell()))),
        Met::Ready { proof, has_quit: false } => Ok(Ready::new(proof)),
        Met::Renamed => Err(NotReady::new(Kind::Forbidden, "the server has renamed PING")),
        Met::Moved(to) => Err(NotReady::new(Kind::NotAccepting, format!("the key is at {to}"))),
    }
}
