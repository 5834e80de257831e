//! The rules of a wait for targets: the options for all, and what each target says of itself.

use crate::targets::shared::target::Target;
use crate::wait::deadline::Deadline;
use crate::wait::policy::{Policy, Quorum, Silence};
use crate::wait::tracker::Rules;

/// The rules of each target, in the same order.
pub(crate) fn rules(targets: &[Target], policy: &Policy) -> Vec<Rules> {
    // Where each is given one chance, what a target says of its wait means nothing.
    let waits = policy.quorum != Quorum::Each;
    let of_target = |target: &Target| Rules {
        policy: Policy {
            attempt_timeout: target.attempt_timeout.unwrap_or(policy.attempt_timeout),
            silence: if target.attempt_timeout.is_some() { Silence::Ended } else { policy.silence },
            successes: target.successes.filter(|_| waits).unwrap_or(policy.successes),
            ..*policy
        },
        own_deadline: target.timeout.filter(|_| waits).unwrap_or(Deadline::Never),
        overlap: target.probe.overlap(),
        is_optional: target.is_optional,
    };
    targets.iter().map(of_target).collect()
}
