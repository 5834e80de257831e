//! Several hosts of which one is wanted: tried in order, and decided one by one before anything is summed up.

use std::fmt::Display;

use crate::net::Attempt;
use crate::wait::outcome::{Kind, NotReady, Permanence};
use crate::wait::policy::Goal;

/// The evidence of a failed attempt about whether a host is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Evidence {
    /// An answer, whatever it says.
    Up,
    /// No proof.
    Neither,
    /// A refusal, or a path or name that is gone.
    Down,
}

impl Evidence {
    /// The evidence of a failure of this kind.
    pub(crate) fn of(kind: Kind) -> Self {
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
/// The failure of all of them.
pub(crate) fn first_ready<T: Display, R>(
    hosts: &[T],
    goal: Goal,
    attempt: &Attempt,
    probe: impl FnMut(&T, &Attempt) -> Result<R, NotReady>,
) -> Result<R, NotReady> {
    first_ready_until(hosts, goal, attempt, |_| false, probe)
}

/// As [`first_ready`]; after a failure that `is_last` no further host is asked.
pub(crate) fn first_ready_until<T: Display, R>(
    hosts: &[T],
    goal: Goal,
    attempt: &Attempt,
    is_last: impl Fn(&NotReady) -> bool,
    mut probe: impl FnMut(&T, &Attempt) -> Result<R, NotReady>,
) -> Result<R, NotReady> {
    let mut failures = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let left = u32::try_from(hosts.len() - index).unwrap_or(u32::MAX);
        match probe(host, &attempt.share(left)) {
            Ok(ready) => return Ok(ready),
            Err(failure) => {
                let ends = is_last(&failure);
                failures.push((host.to_string(), failure));
                if ends {
                    break;
                }
            }
        }
    }
    Err(summary(goal, failures))
}

/// The failure of all hosts. Its kind decides what becomes of the target, so it is that of the host which
/// matters most: for a target that shall be ready, one which may yet become it; for one that shall be down,
/// one which is not.
pub(crate) fn summary(goal: Goal, mut failures: Vec<(String, NotReady)>) -> NotReady {
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
    let is_partly_lasting = failures.iter().any(|(_, failure)| failure.waits_for_somebody());
    NotReady { is_partly_lasting, ..NotReady::new(kind, each.join("; ")) }
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
    fn what_somebody_must_mend_at_one_host_slows_all() {
        for (other, kind, slow) in
            [(Kind::CredentialsRejected, Kind::ConnectionRefused, true), (Kind::TimedOut, Kind::TimedOut, false)]
        {
            let failures = [Kind::ConnectionRefused, other].map(|kind| ("h".to_owned(), NotReady::new(kind, "r")));
            let all = summary(Goal::Ready, failures.into());
            assert_eq!((all.kind, all.waits_for_somebody()), (kind, slow));
        }
    }

    #[test]
    fn each_host_is_named_with_its_reason() {
        let failures = ["a:1", "b:2"].map(|host| (host.to_owned(), NotReady::new(Kind::TimedOut, "silent")));
        assert_eq!(summary(Goal::Ready, failures.into()).reason, "a:1: silent; b:2: silent");
    }
}
