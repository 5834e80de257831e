//! What the attempts of one target have found so far.

use std::time::Duration;

use crate::outcome::{Kind, NotReady};

/// What the attempts of one target have found so far.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// How many attempts have begun.
    pub attempts: u32,
    /// When it became ready the first time.
    pub ready_after: Option<Duration>,
    /// How long the last attempt took that was answered.
    pub latency: Option<Duration>,
    /// What the last success proved.
    pub proof: Option<String>,
    /// The last failure.
    pub last: Option<NotReady>,
    /// How often each kind of failure occurred.
    pub failures: Vec<(Kind, u32)>,
    pub(super) failed_in_a_row: u32,
    pub(super) succeeded_in_a_row: u32,
    pub(super) failed_at: Duration,
    last_success_began: Option<Duration>,
    became_ready: Duration,
}

impl History {
    /// An attempt that began then was a success.
    pub(super) fn succeeded(&mut self, began: Duration, proof: &str) {
        self.last_success_began = self.last_success_began.max(Some(began));
        self.succeeded_in_a_row += 1;
        self.failed_in_a_row = 0;
        self.proof = Some(proof.to_owned());
    }

    /// It has become ready, for the first time or again.
    pub(super) fn became_ready(&mut self, now: Duration) {
        self.became_ready = now;
        self.ready_after.get_or_insert(now);
    }

    /// How long it has been ready, if it is.
    pub(super) fn has_been_ready_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.became_ready)
    }

    /// Whether an attempt was a success that began after that moment.
    pub(super) fn has_succeeded_since(&self, moment: Duration) -> bool {
        self.last_success_began.is_some_and(|began| moment < began)
    }

    /// Counts a failure, whatever it means.
    pub(super) fn count(&mut self, failure: &NotReady) {
        match self.failures.iter_mut().find(|(kind, _)| *kind == failure.kind) {
            Some((_, count)) => *count += 1,
            None => self.failures.push((failure.kind, 1)),
        }
    }

    /// An attempt has failed, for a reason that is worth keeping or not.
    pub(super) fn failed(&mut self, now: Duration, reason: Option<&NotReady>) {
        self.succeeded_in_a_row = 0;
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        self.failed_at = now;
        if let Some(reason) = reason {
            self.last = Some(reason.clone());
        }
    }

    /// Records why it was not ready when the wait ended.
    pub fn note_reason(&mut self, failure: NotReady) {
        self.count(&failure);
        self.last = Some(failure);
    }
}
