//! One attempt at one target. A probe knows nothing of retries.

#[cfg(feature = "amqp")]
pub mod amqp;
mod connection;
mod dns;
#[cfg(feature = "exec")]
mod exec;
mod file;
#[cfg(feature = "grpc")]
pub mod grpc;
mod hosts;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
mod memcached;
#[cfg(feature = "mongodb")]
pub mod mongodb;
#[cfg(feature = "mysql")]
pub mod mysql;
mod nats;
pub mod postgres;
pub mod redis;
#[cfg(test)]
mod scripted;
mod service;
mod smtp;
mod talk;

use crate::config::Goal;
use crate::endpoint::{Endpoint, Target};
use crate::net::Budget;
use crate::net::tls::Tls;
use crate::outcome::{Kind, NotReady, Outcome, Ready, beginning, shown};
use crate::scrub::Needles;
use hosts::Evidence;
pub use service::converse;

/// Probes `target` once, within `budget`.
///
/// # Errors
///
/// Why it is not what `goal` wants of it. No secret of the target is in the reason.
pub fn run(target: &Target, goal: Goal, tls: &Tls, budget: &Budget) -> Outcome {
    let outcome = match &target.endpoint {
        Endpoint::Connection(place) => connection::probe(place, budget),
        Endpoint::Http(http) => http::probe(http, goal, tls, budget),
        Endpoint::Postgres(postgres) => postgres::probe(postgres, goal, tls, budget),
        Endpoint::Redis(redis) => redis::probe(redis, goal, tls, budget),
        Endpoint::Tls(server) => connection::probe_tls(server, tls, budget),
        Endpoint::Service(service) => service::probe(service, goal, tls, budget),
        Endpoint::Server(server) => connection::probe_server(server, goal, budget),
        Endpoint::File { path, nonempty } => file::probe(path, *nonempty, budget),
        Endpoint::Dns(name) => dns::probe(name, budget),
        #[cfg(feature = "exec")]
        Endpoint::Exec(exec) => exec::probe(exec, budget),
    };
    conclude(outcome, target, goal)
}

/// What an attempt comes to that found this of `target`.
///
/// # Errors
///
/// Why that is not what `goal` wants.
pub fn conclude(outcome: Outcome, target: &Target, goal: Goal) -> Outcome {
    let outcome = match goal {
        Goal::Ready => outcome,
        Goal::Down => invert(outcome),
    };
    without_secrets(outcome, target)
}

/// The outcome as it may be shown: a peer may repeat what it was sent.
///
/// # Errors
///
/// The failure that `outcome` is.
pub fn without_secrets(outcome: Outcome, target: &Target) -> Outcome {
    // No peer has said anything: these are by far the most, and each look takes its time.
    if let Err(NotReady { kind: Kind::ConnectionRefused | Kind::Unreachable | Kind::Unresolved, .. }) = &outcome {
        return outcome.map_err(|failure| NotReady { reason: shown(&failure.reason), ..failure });
    }
    let mut needles = Needles::default();
    for secret in target.secrets() {
        needles.add_value(secret);
    }
    for text in target.texts() {
        needles.add_text(text);
    }
    if let Some(sql) = target.sql() {
        needles.add_sql(sql);
    }
    match outcome {
        Ok(ready) => Ok(Ready { proof: shown(&needles.hide(&ready.proof)) }),
        Err(failure) => {
            let reason = shown(&needles.hide(&failure.reason));
            let doubts =
                if failure.kind == Kind::CredentialsRejected { target.doubts.join("; ") } else { String::new() };
            let hint = if doubts.is_empty() { doubts } else { format!(" ({doubts})") };
            Err(NotReady { kind: failure.kind, reason: format!("{reason}{hint}") })
        }
    }
}

/// `--until-down`: only a refusal, or a path or name that is gone, proves that a target is down.
fn invert(outcome: Outcome) -> Outcome {
    match outcome {
        Ok(ready) => Err(NotReady::new(Kind::StillUp, format!("still up ({})", ready.proof))),
        // A command may ask anything: that it says no is all that can be known.
        Err(failure) if failure.kind == Kind::CommandFailed => Ok(Ready::new(failure.reason)),
        Err(failure) => match Evidence::of(failure.kind) {
            Evidence::Down => Ok(Ready::new("it refuses connections or is gone")),
            Evidence::Neither => {
                Err(NotReady { reason: format!("no proof that it is down: {}", failure.reason), ..failure })
            }
            Evidence::Up => Err(NotReady::new(Kind::StillUp, format!("it still answers: {}", failure.reason))),
        },
    }
}

/// The bytes are not of the protocol, or claim more than a probe has use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolError;

/// What a peer seems to speak, from its first bytes.
fn answered_like(bytes: &[u8]) -> String {
    if bytes.starts_with(b"HTTP/") {
        "it answered like an HTTP server".to_owned()
    } else if bytes.starts_with(b"SSH-") {
        "it answered like an SSH server".to_owned()
    } else if bytes.starts_with(&[0x15, 0x03]) {
        "it answered like a TLS server".to_owned()
    } else if bytes.get(4) == Some(&0x0a) && bytes.get(3) == Some(&0) {
        "it answered like a MySQL server".to_owned()
    } else if bytes.starts_with(b"-ERR") || bytes.starts_with(b"-NOAUTH") {
        "it answered like a Redis server".to_owned()
    } else {
        format!("it answered `{}`", beginning(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_proves_that_a_target_is_down() {
        let inverted = |kind| invert(Err(NotReady::new(kind, "x"))).map_err(|failure| failure.kind);
        assert!(inverted(Kind::ConnectionRefused).is_ok());
        assert!(inverted(Kind::Missing).is_ok());
        assert!(inverted(Kind::NameGone).is_ok());
        for kind in [Kind::Unresolved, Kind::TimedOut, Kind::Unreachable, Kind::LocalLimit] {
            assert_eq!(inverted(kind), Err(kind));
        }
        for kind in [Kind::HttpStatus(503), Kind::NotAccepting, Kind::ConnectionClosed] {
            assert_eq!(inverted(kind), Err(Kind::StillUp));
        }
    }
}
