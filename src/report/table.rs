//! The table of `--check`.

use std::fmt::Write as _;
use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use super::paint::{Colour, Paint};
use super::screen::{self, columns, fit, padded};
use super::{Readiness, Report, TargetReport};
use crate::clock;
use crate::config::{Check, Config, Terminal};
use crate::text::{count, human};

/// The memory of `--watch` between two checks.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    history: Vec<PastChecks>,
}

#[derive(Debug, Clone, Copy)]
struct PastChecks {
    is_ready: bool,
    since: Instant,
    changes: u32,
}

impl Watch {
    /// Takes note of a further check.
    pub(crate) fn record(&mut self, report: &Report, now: Instant) {
        for (index, target) in report.targets.iter().enumerate() {
            let is_ready = target.state == Readiness::Ready;
            match self.history.get_mut(index) {
                None => self.history.push(PastChecks { is_ready, since: now, changes: 0 }),
                Some(history) if history.is_ready != is_ready => {
                    *history = PastChecks { is_ready, since: now, changes: history.changes + 1 };
                }
                Some(_) => {}
            }
        }
    }

    fn note(&self, index: usize, now: Instant) -> String {
        self.history.get(index).map_or_else(String::new, |history| {
            let since = human(now.saturating_duration_since(history.since));
            format!("for {since}, {}", count(history.changes, "change"))
        })
    }
}

/// How a table is printed.
#[derive(Debug)]
pub(crate) struct Page {
    paint: Paint,
    /// The pause of `--watch`.
    watch: Option<Duration>,
    /// Whether each table takes the place of the one before, on a terminal.
    in_place: bool,
}

impl Page {
    /// The one that the options ask for.
    pub(crate) fn of(config: &Config, how: Check) -> Self {
        let stdout = stdout();
        let in_colour = screen::is_in_colour(&stdout, &config.output);
        let is_terminal = config.output.terminal == Terminal::Allowed && stdout.is_terminal();
        Self { paint: Paint { in_colour }, watch: how.watch, in_place: how.watch.is_some() && is_terminal }
    }
}

impl Report {
    /// A row for each target, in the order given, and a summary; under `--watch` the time and the pause stand above them, and
    /// no row is wider than the terminal.
    pub(crate) fn to_table(&self, page: &Page, watch: &Watch) -> String {
        let column = |cell: fn(&TargetReport) -> &str| self.targets.iter().map(|t| columns(cell(t))).max().unwrap_or(0);
        let width = if page.in_place { screen::size(stdout()).width.saturating_sub(1) } else { usize::MAX };
        let (names, urls) = (column(|target| &target.name), column(|target| &target.url));
        // Where no target has a name of its own, the address says it once.
        let named = self.targets.iter().any(|target| target.name != target.url);
        let places = match (named, page.in_place) {
            (false, _) => Places::Urls(urls.min(width / 3)),
            // State, latency and history take half of a usual terminal; the reason matters more than the address.
            (true, true) if names + urls + 70 > width => Places::Names(names.min(width / 3)),
            (true, _) => Places::Both(names, urls),
        };
        let mut out = if page.in_place { "\x1b[H\x1b[2J".to_owned() } else { String::new() };
        if let Some(pause) = page.watch {
            let now = humantime::format_rfc3339_seconds(clock::wall()).to_string().replace('T', " ");
            let _ = writeln!(out, "every {}, {}", human(pause), now.replace('Z', " UTC"));
        }
        for (index, target) in self.targets.iter().enumerate() {
            let note = page.watch.map_or_else(String::new, |_| watch.note(index, clock::now()));
            out.push_str(&row(target, &places, &note, width, page.paint));
            out.push('\n');
            for step in target.steps.iter().flatten() {
                let time = human(Duration::from_millis(step.ms));
                let line = format!("    {:<10} {time:>6}  {}", step.kind.word(), step.detail);
                out.push_str(&fit(&line, width));
                out.push('\n');
            }
        }
        let counting: Vec<_> = self.targets.iter().filter(|target| target.counts()).collect();
        let healthy = counting.iter().filter(|target| target.state == Readiness::Ready).count();
        let verb = if counting.len() == 1 { "is" } else { "are" };
        let optional = self.targets.len() - counting.len();
        let beside = if optional == 0 { String::new() } else { format!(" ({optional} optional not counted)") };
        let _ = writeln!(out, "{healthy} of {} {verb} healthy{beside}", count(counting.len(), "target"));
        out
    }
}

impl TargetReport {
    /// Whether it decides on the exit status.
    fn counts(&self) -> bool {
        !self.optional || self.has_met_its_end
    }
}

/// The addresses of a table's targets, in so many columns.
enum Places {
    Names(usize),
    Urls(usize),
    Both(usize, usize),
}

impl Places {
    fn of(&self, target: &TargetReport) -> String {
        let cell = |text: &str, width: usize| padded(&fit(text, width), width);
        match *self {
            Self::Names(names) => cell(&target.name, names),
            Self::Urls(urls) => cell(&target.url, urls),
            Self::Both(names, urls) => format!("{}  {}", cell(&target.name, names), cell(&target.url, urls)),
        }
    }
}

/// The row of a target. What `--watch` remembers of it comes before the reason, which is cut where it must be.
fn row(target: &TargetReport, places: &Places, note: &str, width: usize, paint: Paint) -> String {
    let is_ready = target.state == Readiness::Ready;
    let (word, colour) = match is_ready {
        true => ("HEALTHY  ", Colour::Green),
        false if target.counts() => ("UNHEALTHY", Colour::Red),
        false => ("OPTIONAL ", Colour::Yellow),
    };
    let latency = target.latency_ms.map_or_else(|| "-".to_owned(), |ms| human(Duration::from_millis(ms)));
    let reason = if is_ready { target.proof.as_deref() } else { target.last_reason.as_deref() };
    let place = places.of(target);
    let mut rest = format!("  {latency:>6}");
    for part in [note, reason.unwrap_or_default()].into_iter().filter(|part| !part.is_empty()) {
        rest.push_str("  ");
        rest.push_str(part);
    }
    let room = width.saturating_sub(columns(&place) + 2 + word.len());
    format!("{place}  {}{}", paint.text(colour, word), fit(&rest, room))
}
