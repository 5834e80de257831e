//! What the options say of the wait for all targets, and in its place what each target says of itself.

use crate::config::Config;
use crate::targets::shared::target::Target;
use crate::wait::deadline::Deadline;
use crate::wait::gate::Gate;
use crate::wait::policy::{Policy, Quorum, Silence};
use crate::wait::tracker::Rules;

/// The wait for the targets of `config`, which has not begun.
pub(crate) fn gate(config: &Config) -> Gate {
    let policy = &config.policy;
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
    Gate::new(config.targets.iter().map(of_target).collect(), policy)
}
