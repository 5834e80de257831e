//! What is said: log lines, the live view, reports and the table of `--check`.

mod files;
mod live_view;
mod log_json;
mod log_text;
mod pace;
mod sink;
mod summary;
mod table;
mod termination;

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use unicode_width::UnicodeWidthChar;

use crate::config::{Config, Format, Goal, OnPermanent, Policy, Quorum, Terminal, Verbosity};
use crate::deadline::Deadline;
use crate::duration::human;
use crate::endpoint::Target;
use crate::gate::{Event, Gate, Observer, Verdict};
use crate::outcome::{Kind, NotReady, Permanence, is_plain, printable, truncated};
use crate::retry::{Change, State, Tracker};

pub use sink::Sink;
pub use summary::{Ending, Readiness, Report, TargetReport};
pub use table::Watch;
pub use termination::leave_termination_message;

/// Tells an operator what happens.
pub struct Reporter<'a> {
    targets: &'a [Target],
    policy: &'a Policy,
    log: Log,
    /// Takes the place of most lines on a terminal.
    live: Option<live_view::View>,
    told: Vec<pace::Told>,
    /// When those that are still awaited are named next.
    reminder: Duration,
}

impl<'a> Reporter<'a> {
    /// The reporter that the options ask for.
    pub fn new(config: &'a Config) -> Self {
        let Config { targets, policy, output, .. } = config;
        let is_live = output.terminal == Terminal::Allowed
            && output.verbosity == Verbosity::Normal
            && output.format == Format::Text
            && std::io::stderr().is_terminal();
        let threshold = match output.verbosity {
            Verbosity::Quiet => Level::Error,
            Verbosity::Verbose => Level::Debug,
            // The live view shows each change in its place.
            Verbosity::Normal if is_live => Level::Warn,
            Verbosity::Normal => Level::Info,
        };
        Self {
            targets,
            policy,
            log: Log { format: output.format, threshold, sink: Sink::stderr() },
            live: is_live.then(|| live_view::View::new(targets)),
            told: vec![pace::Told::default(); targets.len()],
            reminder: pace::next_reminder(Duration::ZERO),
        }
    }

    fn say(&mut self, entry: &Entry<'_>) {
        if entry.level < self.log.threshold {
            return;
        }
        if let Some(view) = &mut self.live {
            view.erase(&mut self.log.sink);
        }
        self.log.say(entry);
    }

    /// The wait is over: says how, and takes the live view away.
    pub fn conclude(&mut self, verdict: Verdict, gate: &Gate, elapsed: Duration) {
        if let Some(mut view) = self.live.take() {
            view.erase(&mut self.log.sink);
        }
        let topic = match verdict {
            Verdict::Ready => return,
            Verdict::TimedOut => Topic::Timeout,
            Verdict::Failed(target) => return self.say(&unready(self.targets, Topic::Failed, gate, target, elapsed)),
            Verdict::Interrupted(signal) => {
                let text = format!("interrupted by signal {signal} after {}", human(elapsed));
                self.say(&Entry { reason: Some(&text), ..Entry::new(Level::Error, Topic::Interrupted, elapsed) });
                Topic::Interrupted
            }
        };
        let (targets, format) = (self.targets, self.log.format);
        let line = |target| line(format, &unready(targets, topic, gate, target, elapsed));
        self.log.sink.lines(not_ready(gate).into_iter().map(line));
    }

    /// The wait ended well; with COMMAND, `program` is run now.
    pub fn done(&mut self, gate: &Gate, program: Option<&str>, elapsed: Duration) {
        let mut text = format!("{} after {}", self.what_is_ready(gate), human(elapsed));
        if let Some(program) = program {
            text.push_str("; running ");
            text.push_str(program);
        }
        let topic = if program.is_some() { Topic::Exec } else { Topic::Ready };
        self.say(&Entry { reason: Some(&text), ..Entry::new(Level::Info, topic, elapsed) });
    }

    fn what_is_ready(&self, gate: &Gate) -> String {
        let state = match self.policy.goal {
            Goal::Ready => "ready",
            Goal::Down => "down",
        };
        let (ready, all) = (self.targets.len() - not_ready(gate).len(), self.targets.len());
        match self.policy.quorum {
            Quorum::Any if ready < all => {
                let verb = if ready == 1 { "is" } else { "are" };
                format!("{ready} of {} {verb} {state} (--any)", log_text::count(all, "target"))
            }
            _ => format!("all is {state}"),
        }
    }

    /// The wait did not end well, and COMMAND is run all the same.
    pub fn even_so(&mut self, program: &str, elapsed: Duration) {
        let text = format!("running {program} even so (--on-timeout run)");
        self.say(&Entry { reason: Some(&text), ..Entry::new(Level::Warn, Topic::Exec, elapsed) });
    }

    /// Something to know that is not about a target's state.
    pub fn note(&mut self, level: Level, text: &str, elapsed: Duration) {
        self.say(&Entry { reason: Some(text), ..Entry::new(level, Topic::Note, elapsed) });
    }

    fn begin(&mut self, now: Duration) {
        let limit = match self.policy.timeout {
            Deadline::At(at) => format!("at most {}", human(at)),
            Deadline::Never => "without a deadline".to_owned(),
        };
        let text = format!("waiting for {}, {limit}", log_text::count(self.targets.len(), "target"));
        self.say(&Entry { reason: Some(&text), ..Entry::new(Level::Info, Topic::Waiting, now) });
        for target in self.targets.iter().filter(|target| !target.ignored.is_empty()) {
            let text = format!("its parameters mean nothing to the probe: {}", target.ignored.join(", "));
            let entry =
                Entry { target: Some(target), reason: Some(&text), ..Entry::new(Level::Debug, Topic::Note, now) };
            self.say(&entry);
        }
    }

    fn changed(&mut self, target: usize, change: &Change, attempt: u32, now: Duration) {
        let (level, topic, reason, kind) = match change {
            Change::Ready(proof) => {
                self.told[target].forget();
                (Level::Info, Topic::Ready, proof.as_str(), None)
            }
            Change::Confirmed => (Level::Debug, Topic::Ready, "still ready", None),
            Change::Success(proof) => (Level::Debug, Topic::Note, proof.as_str(), None),
            Change::NotReady { failure, .. } => {
                (self.level_of(target, failure, now), Topic::NotReady, failure.reason.as_str(), Some(failure.kind))
            }
            Change::Stale => return,
        };
        self.say(&Entry {
            target: Some(&self.targets[target]),
            reason: Some(reason),
            kind,
            attempt: Some(attempt),
            ..Entry::new(level, topic, now)
        });
    }

    /// A line is for a change of kind; one that waiting cannot mend is a warning.
    fn level_of(&mut self, target: usize, failure: &NotReady, now: Duration) -> Level {
        let is_permanent = failure.permanence() == Permanence::Permanent;
        // The last line of the wait says it.
        let ends_the_wait = is_permanent
            && self.policy.on_permanent == OnPermanent::Fail
            && (self.policy.quorum == Quorum::All || self.targets.len() == 1);
        match self.told[target].is_news(failure.kind, now) {
            true if ends_the_wait => Level::Debug,
            true if is_permanent => Level::Warn,
            true => Level::Info,
            false => Level::Debug,
        }
    }

    /// One line for all that are awaited.
    fn remind(&mut self, gate: &Gate, now: Duration) {
        /// The most characters of a reminder; of its targets' reasons as many as find room.
        const MOST: usize = 600;
        let mut text = String::from("still waiting for ");
        let awaited = not_ready(gate);
        for (index, &target) in awaited.iter().enumerate() {
            let (reason, _) = last_reason(&gate.trackers[target]);
            let label = self.targets[target].label();
            let room = (MOST / awaited.len()).saturating_sub(label.chars().count() + 5);
            let part = format!("{label} ({})", truncated(reason, room.clamp(24, 120)));
            if index > 0 {
                if text.chars().count() + part.chars().count() > MOST {
                    let _ = write!(text, " and {} more", awaited.len() - index);
                    break;
                }
                text.push_str(", ");
            }
            text.push_str(&part);
        }
        self.say(&Entry { reason: Some(&text), ..Entry::new(Level::Info, Topic::StillWaiting, now) });
    }
}

/// The targets that are not ready, by index.
fn not_ready(gate: &Gate) -> Vec<usize> {
    (0..gate.trackers.len()).filter(|&index| gate.trackers[index].state != State::Ready).collect()
}

/// What is said of a target that is not ready at the end.
fn unready<'a>(targets: &'a [Target], topic: Topic, gate: &'a Gate, target: usize, elapsed: Duration) -> Entry<'a> {
    let tracker = &gate.trackers[target];
    let (reason, kind) = last_reason(tracker);
    Entry {
        target: Some(&targets[target]),
        reason: Some(reason),
        kind,
        attempt: Some(tracker.history.attempts),
        ..Entry::new(Level::Error, topic, elapsed)
    }
}

/// Why a target is not ready.
fn last_reason(tracker: &Tracker) -> (&str, Option<Kind>) {
    match &tracker.history.last {
        _ if tracker.state == State::Confirming => ("it was ready, and has not answered since", None),
        Some(failure) => (&failure.reason, Some(failure.kind)),
        None if tracker.history.proof.is_some() => ("it succeeded, but not often enough in a row", None),
        None => ("not probed yet", None),
    }
}

impl Observer for Reporter<'_> {
    fn observe(&mut self, event: &Event<'_>, gate: &Gate, now: Duration) {
        match event {
            Event::Waiting => self.begin(now),
            Event::Changed { target, change, attempt } => self.changed(*target, change, *attempt, now),
            Event::Unconfirmed { target } => {
                let reason = "it was ready, and had not answered once more when the deadline came: it counts as ready";
                let target = Some(&self.targets[*target]);
                self.say(&Entry { target, reason: Some(reason), ..Entry::new(Level::Warn, Topic::Ready, now) });
            }
            Event::Tick => {
                if now >= self.reminder {
                    self.remind(gate, now);
                    while self.reminder <= now {
                        self.reminder = pace::next_reminder(self.reminder);
                    }
                }
                if let Some(view) = &mut self.live {
                    view.draw(&mut self.log.sink, gate, self.policy.timeout, now);
                }
            }
        }
    }

    fn wakes_at(&self) -> Option<Duration> {
        match &self.live {
            Some(view) => Some(view.next_frame()),
            None => (self.log.threshold <= Level::Info).then_some(self.reminder),
        }
    }
}

/// Tells nothing: `--check` says all it has to say on stdout.
pub struct Silence;

impl Observer for Silence {
    fn observe(&mut self, _: &Event<'_>, _: &Gate, _: Duration) {}

    fn wakes_at(&self) -> Option<Duration> {
        None
    }
}

/// How much an entry matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every attempt.
    Debug,
    /// Every change.
    Info,
    /// What an operator should know even in the live view.
    Warn,
    /// The wait failed.
    Error,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Waiting,
    NotReady,
    Ready,
    StillWaiting,
    Timeout,
    Failed,
    Interrupted,
    Exec,
    Note,
}

/// One line of the log, before it has a format.
struct Entry<'a> {
    level: Level,
    topic: Topic,
    target: Option<&'a Target>,
    reason: Option<&'a str>,
    kind: Option<Kind>,
    attempt: Option<u32>,
    elapsed: Duration,
}

impl Entry<'_> {
    fn new(level: Level, topic: Topic, elapsed: Duration) -> Self {
        Self { level, topic, target: None, reason: None, kind: None, attempt: None, elapsed }
    }

    /// Whether waiting can mend the failure; nothing where there is none.
    fn is_permanent(&self) -> Option<bool> {
        self.kind.map(|kind| kind.permanence() == Permanence::Permanent)
    }
}

/// Where lines go, and how they look.
struct Log {
    format: Format,
    threshold: Level,
    sink: Sink,
}

impl Log {
    fn say(&mut self, entry: &Entry<'_>) {
        self.sink.line(&line(self.format, entry));
    }
}

fn line(format: Format, entry: &Entry<'_>) -> String {
    match format {
        Format::Json => log_json::line(entry),
        Format::Text => {
            let line = log_text::line(entry);
            if is_plain(&line) { line } else { printable(&line) }
        }
    }
}

/// Says something in `format` before there is a wait to be reported on, or why there is none.
pub fn say(format: Format, level: Level, text: &str) {
    let mut log = Log { format, threshold: level, sink: Sink::stderr() };
    let topic = if level == Level::Error { Topic::Failed } else { Topic::Note };
    log.say(&Entry { reason: Some(text), ..Entry::new(level, topic, Duration::ZERO) });
}

/// Columns that a text takes on the terminal.
fn columns(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

#[cfg(test)]
mod tests;
