//! The steps of an attempt, kept for whoever wants to look at them (`--check -v`).

use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::Serialize;

use crate::clock;
use crate::duration::millis;
use crate::mutex::lock;

/// No attempt has more steps than this.
const MOST: usize = 64;

/// The kind of a step. The names are those of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepKind {
    /// A name was looked up.
    Resolve,
    /// A connection was made.
    Connect,
    /// A TLS handshake.
    Tls,
    /// The server said who it is, or let us in.
    Login,
    /// A question and its answer.
    Query,
    /// The addresses that the server advertises to its clients.
    Advertised,
}

impl StepKind {
    /// As a row says it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::Query => "query",
            Self::Advertised => "advertised",
        }
    }
}

/// A step of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// The kind.
    #[serde(rename = "step")]
    pub(crate) kind: StepKind,
    /// How long it took, in milliseconds.
    pub(crate) ms: u64,
    /// The finding, for people. Secrets are hidden before it is shown.
    pub(crate) detail: String,
}

/// A recorder that travels with the attempt; by default it records nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps(Option<Arc<Mutex<Recording>>>);

#[derive(Debug)]
struct Recording {
    /// When the last step ended.
    since: Instant,
    steps: Vec<Step>,
}

impl Steps {
    /// A recorder that records from now on.
    pub(crate) fn recording() -> Self {
        Self(Some(Arc::new(Mutex::new(Recording { since: clock::now(), steps: Vec::new() }))))
    }

    /// Whether somebody wants to know.
    pub(crate) fn are_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// A step has ended. `detail` is asked only where somebody wants to know.
    pub(crate) fn note(&self, kind: StepKind, detail: impl FnOnce() -> String) {
        if self.are_recorded() {
            self.push(kind, detail());
        }
    }

    /// The same with the step in words. What the step before has said already is not said again.
    fn push(&self, kind: StepKind, detail: String) {
        let Some(record) = &self.0 else { return };
        let mut record = lock(record);
        let now = clock::now();
        let is_told = record.steps.last().is_some_and(|last| last.detail == detail);
        if record.steps.len() < MOST && !is_told {
            let ms = millis(now.saturating_duration_since(record.since));
            record.steps.push(Step { kind, ms, detail });
        }
        record.since = now;
    }

    /// All steps so far; none where nothing is recorded.
    pub(crate) fn taken(&self) -> Option<Vec<Step>> {
        self.0.as_ref().map(|record| lock(record).steps.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recorder_asks_for_details() {
        Steps::default().note(StepKind::Query, || panic!("nobody wants to know"));
        let steps = Steps::recording();
        steps.clone().note(StepKind::Connect, || "to 127.0.0.1:1".to_owned());
        steps.note(StepKind::Query, || "to 127.0.0.1:1".to_owned());
        let taken = steps.taken().unwrap();
        assert_eq!(taken.len(), 1, "what is said once more is no step");
        assert_eq!((taken[0].kind, taken[0].detail.as_str()), (StepKind::Connect, "to 127.0.0.1:1"));
    }
}
