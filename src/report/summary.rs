//! The report: what `--report` writes, `--check --format json` prints and Kubernetes is told.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::files::{self, Manner};
use super::{Sink, gate_name, last_reason};
use crate::clock;
use crate::config::{Config, ReportTo};
use crate::duration::millis;
use crate::net::Step;
use crate::targets::shared::probe::shown_steps;
use crate::text::{count, human, printable};
use crate::wait::gate::{Gate, Verdict};
use crate::wait::outcome::Kind;
use crate::wait::tracker::State;

/// The whole wait, at its end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// The version of the tool that wrote it.
    pub(crate) version: &'static str,
    /// The gate's name.
    pub(crate) gate: String,
    /// When the wait began, in UTC (RFC 3339).
    pub(crate) started_at: String,
    /// How the wait ended.
    #[serde(serialize_with = "ending")]
    pub(crate) outcome: Verdict,
    /// How long the wait took.
    pub(crate) elapsed_ms: u64,
    /// The targets in the order given.
    pub(crate) targets: Vec<TargetReport>,
}

/// Whether a target was ready at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Readiness {
    /// The target was ready.
    Ready,
    /// The target was not ready.
    NotReady,
}

/// A target at the end of the wait.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TargetReport {
    /// Its label.
    pub(crate) name: String,
    /// Its URL without secrets.
    pub(crate) url: String,
    /// Whether it is no reason to fail.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) optional: bool,
    /// Whether what it names as its end has come.
    #[serde(skip)]
    pub(crate) has_met_its_end: bool,
    /// Whether it is ready.
    pub(crate) state: Readiness,
    /// How many attempts began.
    pub(crate) attempts: u32,
    /// When it became ready; null if it did not.
    pub(crate) ready_after_ms: Option<u64>,
    /// How long the last answered attempt took; null if none was.
    pub(crate) latency_ms: Option<u64>,
    /// The proof of the last success; null if there was none.
    pub(crate) proof: Option<String>,
    /// Why it is not ready; where it is, the last failure; null if nothing was heard.
    pub(crate) last_reason: Option<String>,
    /// How often each kind of failure occurred.
    pub(crate) failures: BTreeMap<Cow<'static, str>, u32>,
    /// The steps of the attempt, where it was looked at closely (`--check -v`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Vec<Step>>,
}

/// The counts by the names of the kinds, of which some have the same.
pub(super) fn counts(failures: &[(Kind, u32)]) -> BTreeMap<Cow<'static, str>, u32> {
    let mut counts = BTreeMap::new();
    for (kind, count) in failures {
        *counts.entry(kind.name()).or_default() += count;
    }
    counts
}

/// The word for how a wait ended.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde has it so")]
fn ending<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match verdict {
        Verdict::Ready => "ready",
        Verdict::TimedOut => "timeout",
        Verdict::Failed => "failed",
        Verdict::Interrupted(_) => "interrupted",
    })
}

impl Report {
    /// The report of a wait that ended with `verdict`.
    pub(crate) fn new(config: &Config, gate: &Gate, verdict: Verdict, elapsed: Duration) -> Self {
        let began = clock::wall().checked_sub(elapsed).unwrap_or(UNIX_EPOCH);
        let targets = config
            .targets
            .iter()
            .zip(&gate.trackers)
            .map(|(target, tracker)| {
                let is_ready = tracker.state == State::Ready;
                TargetReport {
                    name: printable(&target.label()),
                    url: printable(&target.to_string()),
                    optional: target.is_optional,
                    has_met_its_end: !is_ready && tracker.history.has_met_its_end(),
                    state: if is_ready { Readiness::Ready } else { Readiness::NotReady },
                    attempts: tracker.history.attempts,
                    ready_after_ms: tracker.history.ready_after.filter(|_| is_ready).map(millis),
                    latency_ms: tracker.history.latency.map(millis),
                    proof: tracker.history.proof.clone(),
                    last_reason: match &tracker.history.last {
                        Some(failure) if is_ready => Some(failure.reason.clone()),
                        None if is_ready || tracker.history.proof.is_none() => None,
                        _ => Some(last_reason(tracker).0.to_owned()),
                    },
                    failures: counts(&tracker.history.failures),
                    steps: None,
                }
            })
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            gate: gate_name(config.output.name.as_deref()),
            started_at: humantime::format_rfc3339_millis(began).to_string(),
            outcome: verdict,
            elapsed_ms: millis(elapsed),
            targets,
        }
    }

    /// Adds the steps of each target's attempt, fit to be shown, as far as they were recorded.
    pub(crate) fn add_steps(&mut self, config: &Config, gate: &Gate, steps: impl Fn(usize) -> Option<Vec<Step>>) {
        for (index, (report, target)) in self.targets.iter_mut().zip(config.targets.iter()).enumerate() {
            let failure = gate.trackers[index].history.last.as_ref();
            let failed = failure.filter(|_| report.state == Readiness::NotReady).map(|failure| failure.kind);
            report.steps = steps(index).map(|steps| shown_steps(steps, target, failed));
        }
    }

    /// As one JSON object and a newline.
    pub(crate) fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Leaves it where `--report` says.
    ///
    /// # Errors
    ///
    /// A warning that says why it cannot; nothing is left behind then.
    pub(crate) fn leave(&self, to: &ReportTo) -> Result<(), String> {
        let json = self.to_json();
        let (place, left) = match to {
            ReportTo::Stdout => {
                let until = clock::now() + files::of_a_reader(self.outcome);
                ("standard output".into(), Sink::stdout().write(&json, until).map_err(files::unread))
            }
            ReportTo::File(file) => {
                (file.to_string_lossy(), files::leave_in_time(file, json, Manner::Rename, self.outcome))
            }
        };
        match left {
            // A reader that has seen enough is no error.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(format!("--report: {place} cannot be written: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// Complete sentences about what is not ready, for `kubectl describe pod`.
    pub(crate) fn message(&self) -> String {
        let unready: Vec<_> = self.targets.iter().filter(|target| target.state == Readiness::NotReady).collect();
        let elapsed = human(Duration::from_millis(self.elapsed_ms));
        let how = match self.outcome {
            Verdict::Interrupted(_) => "The wait was interrupted",
            Verdict::Failed => "The wait failed",
            Verdict::Ready | Verdict::TimedOut => "The wait timed out",
        };
        let total = self.targets.len();
        let mut out = format!("{how} after {elapsed}: {} of {} not ready.\n", unready.len(), count(total, "target"));
        for target in unready {
            let shown = if target.name == target.url {
                target.url.clone()
            } else {
                format!("{} ({})", target.name, target.url)
            };
            let attempts = count(target.attempts, "attempt");
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
        assert_eq!(counts(&failures), expected.map(|(name, count)| (name.into(), count)).into());
    }
}
