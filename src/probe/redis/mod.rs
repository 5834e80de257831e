//! Redis: AUTH, SELECT, PING and what the target expects; sentinels, who know where the master is.

mod errors;
mod expectations;
pub mod resp;
mod sentinel;
mod session;

use std::io::{Read, Write};
use std::time::Duration;

use super::hosts::first_ready;
use crate::config::Goal;
use crate::endpoint::redis::{Role, Sentinel};
use crate::endpoint::{Place, Redis, TargetTls};
use crate::net::tls::Tls;
use crate::net::tls_settings::Settings;
use crate::net::{self, Budget, Stream};
use crate::outcome::{Kind, NotReady, Outcome, Ready};
use expectations::Step;
use resp::Reply;
use session::Session;

/// How often a key is followed to the node that holds its slot.
const MAX_REDIRECTS: u8 = 3;
/// How long the answer to QUIT may take after that to PING. Redis sends both at once; who sends none hangs up.
const FAREWELL: Duration = Duration::from_millis(20);

pub(super) fn probe(target: &Redis, goal: Goal, tls: &Tls, budget: &Budget) -> Outcome {
    match &target.sentinel {
        Some(sentinel) => probe_master(target, sentinel, goal, tls, budget),
        None => first_ready(&target.places, goal, budget, |place, budget| {
            probe_place(target, place, target.role, goal, tls, budget)
        }),
    }
}

/// Asks the sentinels in order, then the master that one of them names.
fn probe_master(target: &Redis, sentinel: &Sentinel, goal: Goal, tls: &Tls, budget: &Budget) -> Outcome {
    // Silent sentinels leave the master its share of the time.
    let asking = budget.at_most(budget.remaining() / 2);
    let master = first_ready(&sentinel.places, goal, &asking, |place, budget| {
        let mut session = Session::new(open(place, sentinel.tls.as_ref(), tls, budget)?, budget);
        let master = session.master(target, sentinel);
        session.stream.close();
        master
    })?;
    let place = Place::Tcp(master);
    // It may be a replica by now: then the sentinel's answer was old.
    let role = Some(target.role.unwrap_or(Role::Master));
    match probe_place(target, &place, role, goal, tls, budget) {
        Ok(ready) => Ok(Ready::new(format!("{} ({place}, named by the sentinel)", ready.proof))),
        Err(failure) => {
            let reason = format!("the master at {place}, which the sentinel names: {}", failure.reason);
            Err(NotReady { reason, ..failure })
        }
    }
}

fn probe_place(target: &Redis, place: &Place, role: Option<Role>, goal: Goal, tls: &Tls, budget: &Budget) -> Outcome {
    let mut place = place.clone();
    let mut may_quit = true;
    for _ in 0..=MAX_REDIRECTS {
        let mut session = Session::new(open(&place, target.tls.as_ref(), tls, budget)?, budget);
        let outcome = session.meet(target, role, may_quit);
        let outcome = match outcome {
            Ok(Step::ReadyAndQuit(proof)) => {
                let farewell = budget.at_most(FAREWELL);
                session.stream.lasts(&farewell);
                session.budget = farewell;
                Ok(Step::Ready(format!("{proof}{}", session.farewell())))
            }
            other => other,
        };
        session.stream.close();
        match outcome? {
            Step::Ready(proof) | Step::ReadyAndQuit(proof) => return Ok(Ready::new(proof)),
            Step::Renamed => may_quit = false,
            // Another node tells nothing about whether this one is down.
            Step::Moved(_) if goal == Goal::Down => return Ok(Ready::new("PONG")),
            Step::Moved(to) => place = Place::Tcp(to),
        }
    }
    Err(NotReady::new(Kind::NotAccepting, "the cluster moves the key from node to node"))
}

fn open(place: &Place, own: Option<&TargetTls>, tls: &Tls, budget: &Budget) -> Result<Stream, NotReady> {
    let connection = net::connect(place, budget)?;
    Ok(match (place, own) {
        (Place::Tcp(address), Some(own)) => tls.connect(connection, &Settings::new(&address.host, own), budget)?,
        _ => Stream::Plain(connection),
    })
}

impl<S: Read + Write> Session<S> {
    /// Who answered PING, by the answer to QUIT: Redis says OK, or that it does not know the command (where it
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
pub fn exchange<S: Read + Write>(target: &Redis, stream: S, budget: &Budget) -> Outcome {
    let mut session = Session::new(stream, budget);
    if let Some(sentinel) = &target.sentinel {
        return session.master(target, sentinel).map(|master| Ready::new(format!("the master is {master}")));
    }
    match session.meet(target, target.role, true)? {
        Step::ReadyAndQuit(proof) => Ok(Ready::new(format!("{proof}{}", session.farewell()))),
        Step::Ready(proof) => Ok(Ready::new(proof)),
        Step::Renamed => Err(NotReady::new(Kind::Forbidden, "the server has renamed PING")),
        Step::Moved(to) => Err(NotReady::new(Kind::NotAccepting, format!("the key is at {to}"))),
    }
}
