//! One attempt at one target. A probe knows nothing of retries.

use super::hosts::Evidence;
use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::net::{Address, Attempt, Place, Step, StepKind};
use crate::scrub::Needles;
use crate::targets::shared::kind::{Layer, Scheme};
use crate::targets::shared::target::Target;
use crate::text::bounded_line;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use crate::wait::policy::Goal;

/// Probes `target` once, within `attempt`.
///
/// # Errors
///
/// Why it is not what `goal` wants of it. No secret of the target is in the reason.
pub(crate) fn run(target: &Target, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
    let outcome = target.probe.run(goal, tls, attempt).map_err(|failure| at_another_port(failure, target));
    if target.probe.wants_a_conversation() {
        let is_login = matches!(&outcome, Err(failure) if failure.kind == Kind::CredentialsRejected);
        attempt.steps().note(if is_login { StepKind::Login } else { StepKind::Query }, || match &outcome {
            Ok(ready) => ready.proof.clone(),
            Err(failure) => format!("failed: {}", failure.reason),
        });
    }
    conclude(outcome, target, goal)
}

/// A failure of a conversation with what the number of the port says, which is likelier than a proxy with nothing
/// behind it.
fn at_another_port(failure: NotReady, target: &Target) -> NotReady {
    let Some(Place::Tcp(Address { port, .. })) = target.probe.only_place() else { return failure };
    let kind = target.probe.kind();
    let is_plain = target.probe.tls_use() != Encryption::Always;
    // NATS has one port for both.
    let is_usual = kind.schemes.first().is_some_and(|scheme| scheme.port == Some(port));
    let is_of_tls = |scheme: &&Scheme| is_plain && scheme.layer == Layer::Tls && scheme.port == Some(port);
    let of_tls = kind.schemes.iter().find(is_of_tls).filter(|_| !is_usual);
    let other = kind.other_ports.iter().find(|(other, _)| *other == port).map(|(_, whose)| format!("that of {whose}"));
    let Some(hint) = of_tls.map(|scheme| format!("that of TLS; write {}://", scheme.name())).or(other) else {
        return failure;
    };
    let said = match failure.kind {
        Kind::ConnectionClosed => failure.reason.split(": does it").next().unwrap_or_default(),
        Kind::WrongProtocol | Kind::TimedOut => &failure.reason,
        _ => return failure,
    };
    NotReady::new(failure.kind, format!("{said}: by its number, the port is {hint}"))
}

/// The outcome for `goal` of an attempt that found this of `target`.
///
/// # Errors
///
/// Why that is not what `goal` wants.
pub(crate) fn conclude(outcome: Outcome, target: &Target, goal: Goal) -> Outcome {
    let outcome = match goal {
        Goal::Ready => outcome,
        Goal::Down => invert(outcome),
    };
    without_secrets(outcome, target)
}

/// The steps of an attempt as they may be shown; of a failure, with what to look at next.
pub(crate) fn shown_steps(steps: Vec<Step>, target: &Target, failed: Option<Kind>) -> Vec<Step> {
    let needles = needles(target);
    let mut steps: Vec<Step> =
        steps.into_iter().map(|step| Step { detail: bounded_line(&needles.hide(&step.detail)), ..step }).collect();
    if let (Some(last), Some(kind)) = (steps.last_mut(), failed) {
        last.detail = format!("{}; next: {}", last.detail, kind.look_at());
    }
    steps
}

fn needles(target: &Target) -> Needles {
    let mut needles = Needles::default();
    for secret in target.probe.secrets() {
        needles.add_value(secret);
    }
    for text in target.probe.texts() {
        needles.add_text(text);
    }
    if let Some(sql) = target.probe.sql() {
        needles.add_sql(sql);
    }
    // Names are what is shown even so.
    if !needles.is_empty() {
        for name in target.names() {
            needles.add_name(&name);
        }
    }
    needles
}

/// The outcome as it may be shown: a peer may repeat what it was sent.
///
/// # Errors
///
/// The failure that `outcome` is.
pub(crate) fn without_secrets(outcome: Outcome, target: &Target) -> Outcome {
    // No peer has said anything: these are by far the most, and each look takes its time. Of several hosts, another may
    // have said something.
    if let Err(NotReady { kind: Kind::ConnectionRefused | Kind::Unreachable | Kind::Unresolved, .. }) = &outcome
        && target.probe.only_place().is_some()
        && !target.probe.is_led_by_peers()
    {
        return outcome.map_err(|failure| NotReady { reason: bounded_line(&failure.reason), ..failure });
    }
    let needles = needles(target);
    match outcome {
        Ok(ready) => Ok(Ready { proof: bounded_line(&needles.hide(&ready.proof)) }),
        Err(failure) => {
            let reason = bounded_line(&needles.hide(&failure.reason));
            let doubts =
                if failure.kind == Kind::CredentialsRejected { target.doubts.join("; ") } else { String::new() };
            let hint = if doubts.is_empty() { doubts } else { format!(" ({doubts})") };
            Err(NotReady { reason: format!("{reason}{hint}"), ..failure })
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
            // A login that is refused locks accounts out here too.
            Evidence::Up => Err(NotReady {
                is_partly_lasting: failure.kind == Kind::CredentialsRejected || failure.is_partly_lasting,
                ..NotReady::new(Kind::StillUp, format!("it still answers: {}", failure.reason))
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_a_peer_names_shows_no_secret() {
        for url in [
            "redis://:topsecretpw1@h/#key=a",
            "redis://:topsecretpw1@h/#cluster",
            "redis+sentinel://:topsecretpw1@h/m",
            "http://u:topsecretpw1@h/#follow=any",
            "kafka://u:topsecretpw1@h",
            "mongodb://u:topsecretpw1@h",
            "ldap://cn=app:topsecretpw1@h,i/",
            "postgres://u:topsecretpw1@h,i/d",
            "nats://u:topsecretpw1@h,nats://i",
        ] {
            let target = crate::targets::scripted::target(url);
            for kind in [Kind::ConnectionRefused, Kind::Unreachable, Kind::Unresolved, Kind::TimedOut] {
                let failure = NotReady::new(kind, "connection refused by topsecretpw1:6379");
                let shown = without_secrets(Err(failure), &target).unwrap_err().reason;
                assert_eq!(shown, "connection refused by ***:6379", "{url}");
            }
        }
    }

    #[test]
    fn the_number_of_a_port_says_more_than_that_the_peer_closes() {
        let told = |url: &str| at_another_port(crate::net::closed(), &crate::targets::scripted::target(url)).reason;
        for (url, hint) in [
            ("amqp://h:5671", "amqps://"),
            ("mqtt://h:8883", "mqtts://"),
            ("ldap://h:636", "ldaps://"),
            ("amqp://h:15672", "management"),
            ("nats://h:8222", "http://"),
            ("redis://h:16379", "nodes"),
        ] {
            let reason = told(url);
            assert!(reason.contains(hint) && !reason.contains("proxy"), "{reason}");
        }
        for url in ["amqp://h:5672", "amqps://h:5671", "nats://h:4222", "redis://h:6379"] {
            assert_eq!(told(url), crate::net::closed().reason, "{url}");
        }
    }

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
