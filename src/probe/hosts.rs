//! Several hosts of which one is wanted: tried in order, and decided one by one before anything is summed up.

use std::fmt::Display;

use crate::config::Goal;
use crate::net::Budget;
use crate::outcome::{Kind, NotReady, Permanence};

/// What a failed attempt says about whether a host is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    /// It answers, whatever it answers.
    Up,
    /// It proves nothing.
    Neither,
    /// It refuses connections, or its path or name is gone.
    Down,
}

impl Evidence {
    /// What a failure of this kind is evidence of.
    pub(super) fn of(kind: Kind) -> Self {
        match kind {
            Kind::ConnectionRefused | Kind::Missing | Kind::NameGone => Self::Down,
            Kind::Unresolved | Kind::TimedOut | Kind::Unreachable | Kind::LocalLimit | Kind::CannotRun => Self::Neither,
            _ => Self::Up,
        }
    }
}

/// The first of `hosts` that is ready, each with its share of the time: a silent one leaves the others theirs.
///
/// # Errors
///
/// One failure for all of them.
pub(super) fn first_ready<T: Display, R>(
    hosts: &[T],
    goal: Goal,
    budget: &Budget,
    mut probe: impl FnMut(&T, &Budget) -> Result<R, NotReady>,
) -> Result<R, NotReady> {
    let mut failures = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let left = u32::try_from(hosts.len() - index).unwrap_or(u32::MAX);
        match probe(host, &budget.at_most(budget.remaining() / left)) {
            Ok(ready) => return Ok(ready),
            Err(failure) => failures.push((host.to_string(), failure)),
        }
    }
    Err(summary(goal, failures))
}

/// One failure for all hosts. Its kind decides what becomes of the target, so it is that of the host which
/// matters most: for a target that shall be ready, one which may yet become it; for one that shall be down,
/// one which is not.
fn summary(goal: Goal, mut failures: Vec<(String, NotReady)>) -> NotReady {
    if failures.len() == 1
        && let Some((_, failure)) = failures.pop()
    {
        return failure;
    }
    let decisive = match goal {
        // min_by_key gives the first of equals.
        Goal::Down => failures.iter().min_by_key(|(_, failure)| Evidence::of(failure.kind)),
        Goal::Ready => failures.iter().min_by_key(|(_, failure)| {
            let is_refused = failure.kind == Kind::ConnectionRefused;
            (failure.permanence() == Permanence::Permanent, is_refused)
        }),
    };
    let kind = decisive.map_or(Kind::Unreachable, |(_, failure)| failure.kind);
    let each: Vec<String> = failures.iter().map(|(host, failure)| format!("{host}: {}", failure.reason)).collect();
    NotReady::new(kind, each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_matters_most_decides() {
        use Kind::{
            ConnectionRefused as Refused, CredentialsRejected as Wrong, LocalLimit, Missing, NotAccepting, TimedOut,
            Unreachable, Unresolved,
        };
        for (hosts, ready, down) in [
            (&[Refused, Wrong][..], Refused, Wrong),
            (&[Wrong, Refused], Refused, Wrong),
            (&[Missing, NotAccepting], Missing, NotAccepting),
            (&[Refused, NotAccepting], NotAccepting, NotAccepting),
            (&[Refused, TimedOut], TimedOut, TimedOut),
            (&[Refused, Unreachable, Refused], Unreachable, Unreachable),
            (&[Unresolved, Wrong, Refused], Unresolved, Wrong),
            (&[LocalLimit, Refused], LocalLimit, LocalLimit),
            (&[Refused, Missing], Missing, Refused),
            (&[Refused, Refused], Refused, Refused),
            (&[Wrong, Kind::TlsRefused], Wrong, Wrong),
            (&[Wrong], Wrong, Wrong),
        ] {
            let failures = || hosts.iter().map(|kind| ("h".to_owned(), NotReady::new(*kind, "r"))).collect();
            assert_eq!(summary(Goal::Ready, failures()).kind, ready, "ready: {hosts:?}");
            assert_eq!(summary(Goal::Down, failures()).kind, down, "down: {hosts:?}");
            let is_down = Evidence::of(down) == Evidence::Down;
            assert_eq!(is_down, hosts.iter().all(|kind| Evidence::of(*kind) == Evidence::Down), "{hosts:?}");
        }
    }

    #[test]
    fn each_host_is_named_with_its_reason() {
        let failures = ["a:1", "b:2"].map(|host| (host.to_owned(), NotReady::new(Kind::TimedOut, "silent")));
        assert_eq!(summary(Goal::Ready, failures.into()).reason, "a:1: silent; b:2: silent");
    }
}
