//! The findings of one target's attempts so far.

use std::time::Duration;

use crate::wait::outcome::{Kind, NotReady};

/// The findings of one target's attempts so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// How many attempts have begun.
    pub(crate) attempts: u32,
    /// When it became ready the first time.
    pub(crate) ready_after: Option<Duration>,
    /// How long the last attempt took that was answered.
    pub(crate) latency: Option<Duration>,
    /// The proof of the last success.
    pub(crate) proof: Option<String>,
    /// The last failure.
    pub(crate) last: Option<NotReady>,
    /// How often each kind of failure occurred.
    pub(crate) failures: Vec<(Kind, u32)>,
    pub(super) succeeded_in_a_row: u32,
    /// Whether something was noted since the last success that ended no row.
    has_note: bool,
    pub(super) failed_at: Duration,
    last_success_began: Option<Duration>,
    seen_ready: Duration,
}

impl History {
    /// An attempt that began then was a success, which counts as another one of a row or not.
    pub(super) fn succeeded(&mut self, began: Duration, proof: &str, counts: bool) {
        self.last_success_began = self.last_success_began.max(Some(began));
        self.succeeded_in_a_row += u32::from(counts);
        self.has_note = false;
        self.proof = Some(proof.to_owned());
    }

    /// Whether nothing has been heard since a success that would say why the target is not ready.
    pub(crate) fn ends_with_a_success(&self) -> bool {
        self.succeeded_in_a_row > 0 && !self.has_note
    }

    /// The target is ready: for the first time, once more, or again.
    pub(super) fn was_seen_ready(&mut self, now: Duration) {
        self.seen_ready = now;
        self.ready_after.get_or_insert(now);
    }

    /// How long ago it was last seen ready, if it was.
    pub(super) fn last_seen_ready(&self, now: Duration) -> Duration {
        now.saturating_sub(self.seen_ready)
    }

    /// Whether an attempt was a success that began after that moment.
    pub(super) fn has_succeeded_since(&self, moment: Duration) -> bool {
        self.last_success_began.is_some_and(|began| moment < began)
    }

    /// Counts a failure, whatever it means; whether it is the first of its kind.
    pub(super) fn count(&mut self, failure: &NotReady) -> bool {
        match self.failures.iter_mut().find(|(kind, _)| *kind == failure.kind) {
            Some((_, count)) => {
                *count += 1;
                false
            }
            None => {
                self.failures.push((failure.kind, 1));
                true
            }
        }
    }

    /// How often a kind of failure has been counted.
    pub(super) fn times(&self, kind: Kind) -> u32 {
        self.failures.iter().find(|(counted, _)| *counted == kind).map_or(0, |(_, count)| *count)
    }

    /// Takes back that an attempt was counted as hanging: it has been answered after all.
    pub(super) fn uncount(&mut self, reported: Kind) {
        if let Some((_, count)) = self.failures.iter_mut().find(|(kind, _)| *kind == reported) {
            *count -= 1;
        }
        self.failures.retain(|(_, count)| *count > 0);
    }

    /// An attempt has failed, for a reason that is worth keeping or not.
    pub(super) fn failed(&mut self, now: Duration, reason: Option<&NotReady>) {
        self.succeeded_in_a_row = 0;
        self.failed_at = now;
        if let Some(reason) = reason {
            self.last = Some(reason.clone());
        }
    }

    /// Whether what the target names as its end has come.
    pub(crate) fn has_met_its_end(&self) -> bool {
        self.last.as_ref().is_some_and(|failure| failure.kind == Kind::FailCondition)
    }

    /// Records why it is not ready where no attempt has failed: one goes unanswered for so long that it is worth a word,
    /// and is under way still, or the wait ended. It ends no row of successes.
    pub(crate) fn note_reason(&mut self, failure: NotReady) {
        self.count(&failure);
        self.has_note = true;
        self.last = Some(failure);
    }
}
