//! The table of `--check`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::log_text::count;
use super::{Readiness, Report, TargetReport, columns};
use crate::duration::human;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// What `--watch` remembers of each target between two checks.
#[derive(Debug, Default)]
pub struct Watch {
    history: Vec<History>,
}

#[derive(Debug, Clone, Copy)]
struct History {
    is_ready: bool,
    since: Instant,
    changes: u32,
}

impl Watch {
    /// Takes note of a further check.
    pub fn record(&mut self, report: &Report, now: Instant) {
        for (index, target) in report.targets.iter().enumerate() {
            let is_ready = target.state == Readiness::Ready;
            match self.history.get_mut(index) {
                None => self.history.push(History { is_ready, since: now, changes: 0 }),
                Some(history) if history.is_ready != is_ready => {
                    *history = History { is_ready, since: now, changes: history.changes + 1 };
                }
                Some(_) => {}
            }
        }
    }

    fn note(&self, index: usize, now: Instant) -> String {
        self.history.get(index).map_or_else(String::new, |history| {
            let since = human(now.saturating_duration_since(history.since));
            format!("  for {since}, {}", count(usize::try_from(history.changes).unwrap_or(0), "change"))
        })
    }
}

impl Report {
    /// One row a target, in the order given, and a summary.
    pub fn to_table(&self, in_colour: bool, watch: Option<(&Watch, Instant)>) -> String {
        let column = |cell: fn(&TargetReport) -> &str| self.targets.iter().map(|t| columns(cell(t))).max().unwrap_or(0);
        let (names, urls) = (column(|target| &target.name), column(|target| &target.url));
        // Where no target has a name of its own, the address says it once.
        let named = self.targets.iter().any(|target| target.name != target.url);
        let mut out = String::new();
        for (index, target) in self.targets.iter().enumerate() {
            let is_ready = target.state == Readiness::Ready;
            let (word, colour) = if is_ready { ("HEALTHY  ", GREEN) } else { ("UNHEALTHY", RED) };
            let word = if in_colour { format!("{colour}{word}{PLAIN}") } else { word.to_owned() };
            let latency = target.latency_ms.map_or_else(|| "-".to_owned(), |ms| human(Duration::from_millis(ms)));
            let reason = if is_ready { target.proof.as_deref() } else { target.last_reason.as_deref() };
            let name = if named { format!("{}  ", padded(&target.name, names)) } else { String::new() };
            let note = watch.map_or_else(String::new, |(watch, now)| watch.note(index, now));
            let url = padded(&target.url, urls);
            let _ = writeln!(out, "{name}{url}  {word}  {latency:>6}  {}{note}", reason.unwrap_or_default());
        }
        let healthy = self.targets.iter().filter(|target| target.state == Readiness::Ready).count();
        let verb = if self.targets.len() == 1 { "is" } else { "are" };
        let _ = writeln!(out, "{healthy} of {} {verb} healthy", count(self.targets.len(), "target"));
        out
    }
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}
