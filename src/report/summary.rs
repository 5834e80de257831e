//! The report: what `--report` writes, `--check --format json` prints and Kubernetes is told.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::log_text::count;
use super::{Sink, files};
use crate::config::ReportTo;
use crate::duration::{human, millis};
use crate::endpoint::Target;
use crate::gate::{Gate, Verdict};
use crate::outcome::{Kind, printable};
use crate::retry::State;

/// The whole wait, at its end.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of the tool that wrote it.
    pub version: &'static str,
    /// How the wait ended.
    pub outcome: Ending,
    /// How long the wait took.
    pub elapsed_ms: u64,
    /// The targets in the order given.
    pub targets: Vec<TargetReport>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Everything that was wanted is ready.
    Ready,
    /// The deadline, or the last allowed attempt, passed.
    Timeout,
    /// A failure that waiting cannot mend.
    Failed,
    /// A signal.
    Interrupted,
}

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ready => Self::Ready,
            Verdict::TimedOut => Self::Timeout,
            Verdict::Failed(_) => Self::Failed,
            Verdict::Interrupted(_) => Self::Interrupted,
        }
    }
}

/// Whether a target was ready at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It was.
    Ready,
    /// It was not.
    NotReady,
}

/// One target, at the end of the wait.
#[derive(Debug, Clone, Serialize)]
pub struct TargetReport {
    /// Its label.
    pub name: String,
    /// Its URL without secrets.
    pub url: String,
    /// Whether it is ready.
    pub state: Readiness,
    /// How many attempts began.
    pub attempts: u32,
    /// When it became ready; null if it did not.
    pub ready_after_ms: Option<u64>,
    /// How long the last answered attempt took; null if none was.
    pub latency_ms: Option<u64>,
    /// What the last success proved; null if there was none.
    pub proof: Option<String>,
    /// The last failure; null if there was none.
    pub last_reason: Option<String>,
    /// How often each kind of failure occurred.
    #[serde(serialize_with = "as_object")]
    pub failures: Vec<(String, u32)>,
}

/// The counts by the names of the kinds, of which some have the same; in the order of the names.
fn counts(failures: &[(Kind, u32)]) -> Vec<(String, u32)> {
    let mut counts: Vec<(String, u32)> = Vec::new();
    for (kind, count) in failures {
        let kind = kind.name();
        let at = counts.partition_point(|(name, _)| **name < *kind);
        match counts.get_mut(at) {
            Some((name, sum)) if **name == *kind => *sum += count,
            _ => counts.insert(at, (kind.into_owned(), *count)),
        }
    }
    counts
}

fn as_object<S: Serializer>(pairs: &[(String, u32)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

impl Report {
    /// The report of a wait that ended with `verdict`.
    pub fn new(targets: &[Target], gate: &Gate, verdict: Verdict, elapsed: Duration) -> Self {
        let targets = targets
            .iter()
            .zip(&gate.trackers)
            .map(|(target, tracker)| {
                let is_ready = tracker.state == State::Ready;
                TargetReport {
                    name: printable(&target.label()),
                    url: printable(&target.to_string()),
                    state: if is_ready { Readiness::Ready } else { Readiness::NotReady },
                    attempts: tracker.history.attempts,
                    ready_after_ms: tracker.history.ready_after.filter(|_| is_ready).map(millis),
                    latency_ms: tracker.history.latency.map(millis),
                    proof: tracker.history.proof.clone(),
                    last_reason: tracker.history.last.as_ref().map(|failure| failure.reason.clone()),
                    failures: counts(&tracker.history.failures),
                }
            })
            .collect();
        Self { version: env!("CARGO_PKG_VERSION"), outcome: verdict.into(), elapsed_ms: millis(elapsed), targets }
    }

    /// As one JSON object and a newline.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Leaves it where `--report` says.
    ///
    /// # Errors
    ///
    /// A warning that says why it cannot; nothing is left behind then.
    pub fn leave(&self, to: &ReportTo, verdict: Verdict) -> Result<(), String> {
        let json = self.to_json();
        let (place, left) = match to {
            ReportTo::Stdout => {
                let until = files::from_now(files::of_a_reader(verdict));
                ("standard output".into(), Sink::stdout().write(&json, until))
            }
            ReportTo::File(file) => {
                let (patience, path) = (files::patience(file, verdict), file.clone());
                let replace = move || files::replace(&path, &json, files::from_now(patience));
                (file.to_string_lossy(), files::aside(patience, Box::new(replace)))
            }
        };
        left.map_err(|error| format!("--report: {place} cannot be written: {error}"))
    }

    /// Complete sentences about what is not ready, for `kubectl describe pod`.
    pub fn message(&self) -> String {
        let unready: Vec<_> = self.targets.iter().filter(|target| target.state == Readiness::NotReady).collect();
        let elapsed = human(Duration::from_millis(self.elapsed_ms));
        let how = match self.outcome {
            Ending::Interrupted => "The wait was interrupted",
            Ending::Failed => "The wait failed permanently",
            Ending::Ready | Ending::Timeout => "The wait timed out",
        };
        let total = self.targets.len();
        let mut out = format!("{how} after {elapsed}: {} of {} not ready.\n", unready.len(), count(total, "target"));
        for target in unready {
            let shown = if target.name == target.url {
                target.url.clone()
            } else {
                format!("{} ({})", target.name, target.url)
            };
            let attempts = count(usize::try_from(target.attempts).unwrap_or(0), "attempt");
            let reason = target.last_reason.as_deref().unwrap_or("it never answered");
            let _ = writeln!(out, "{shown} is not ready after {attempts}: {reason}.");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_the_same_name_count_together() {
        let failures = [(Kind::Unresolved, 1), (Kind::TimedOut, 2), (Kind::NameGone, 3), (Kind::StillUp, 4)];
        let expected = [("still_up", 4), ("timed_out", 2), ("unresolved", 4)];
        assert_eq!(counts(&failures), expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
