//! What is said: log lines, the live view, reports and the table of `--check`.

mod files;
mod final_block;
mod live_view;
mod log_json;
mod log_text;
mod pace;
mod paint;
mod screen;
mod sink;
mod summary;
mod table;
mod termination;

use std::fmt::Write as _;
use std::io::stderr;
use std::time::Duration;

use serde::Serialize;

use crate::config::{Config, Format, Output, Verbosity};
use crate::exit_status::ExitStatus;
use crate::os::host_name;
use crate::targets::shared::target::Target;
use crate::text::{count, cut, human, printable};
use crate::wait::deadline::Deadline;
use crate::wait::gate::{Event, Gate, Observer, Verdict};
use crate::wait::outcome::{Kind, NotReady, Permanence};
use crate::wait::policy::{Goal, OnPermanent, Policy, Quorum};
use crate::wait::tracker::{Change, State, Tracker};

pub(crate) use paint::{Colour, Paint};
pub(crate) use screen::{columns, fit, is_in_colour, padded, size};
pub(crate) use sink::Sink;
pub(crate) use summary::{Readiness, Report, TargetReport};
pub(crate) use table::{Page, Watch};
pub(crate) use termination::leave_termination_message;

/// Tells an operator what happens.
pub(crate) struct Reporter<'a> {
    targets: &'a [Target],
    policy: &'a Policy,
    style: Style,
    /// What matters less is not said.
    threshold: Level,
    sink: Sink,
    /// Takes the place of most lines on a terminal.
    live: Option<live_view::View>,
    told: Vec<pace::Told>,
    /// When those that are still awaited are named next.
    reminder: Duration,
}

impl<'a> Reporter<'a> {
    /// The reporter that the options ask for.
    pub(crate) fn new(config: &'a Config) -> Self {
        let Config { targets, policy, output, .. } = config;
        let is_live =
            output.verbosity == Verbosity::Normal && output.format == Format::Text && screen::is_ours(stderr(), output);
        let threshold = match output.verbosity {
            Verbosity::Quiet => Level::Error,
            Verbosity::Verbose => Level::Debug,
            // The live view shows each change in its place.
            Verbosity::Normal if is_live => Level::Warn,
            Verbosity::Normal => Level::Info,
        };
        let style = Style::of(output);
        Self {
            targets,
            policy,
            live: is_live.then(|| live_view::View::new(targets, style.paint)),
            style,
            threshold,
            sink: Sink::stderr(),
            told: vec![pace::Told::default(); targets.len()],
            reminder: pace::next_reminder(Duration::ZERO),
        }
    }

    fn say(&mut self, entry: &Entry<'_>) {
        if entry.level < self.threshold {
            return;
        }
        if let Some(view) = &mut self.live {
            view.erase(&mut self.sink);
        }
        self.sink.line(&self.style.line(entry));
    }

    /// The wait is over: what became of each target. On a terminal the last state of all of them stays; in a log there
    /// is a line for each that is not ready.
    pub(crate) fn conclude(&mut self, verdict: Verdict, gate: &Gate, elapsed: Duration) {
        if let Some(view) = self.live.take() {
            view.conclude(&mut self.sink, gate, final_block::WaitEnd { verdict, elapsed });
            self.threshold = Level::Info;
            return;
        }
        let (topic, targets) = match verdict {
            Verdict::Ready => return self.tell_of_optional(gate, elapsed),
            Verdict::TimedOut => (Topic::Timeout, not_ready(gate)),
            Verdict::Failed => (Topic::Failed, gate.failed.into_iter().collect()),
            Verdict::Interrupted(_) => (Topic::Interrupted, not_ready(gate)),
        };
        let line = |target| self.style.line(&unready(self.targets, topic, gate, target, elapsed));
        self.sink.lines(targets.into_iter().map(line));
    }

    /// The optional targets that the command runs without.
    fn tell_of_optional(&mut self, gate: &Gate, elapsed: Duration) {
        for target in not_ready(gate).into_iter().filter(|&target| self.targets[target].is_optional) {
            let tracker = &gate.trackers[target];
            let (reason, kind) = last_reason(tracker);
            let text = format!("optional, and not waited for any longer: {reason}");
            self.say(&Entry {
                target: Some(&self.targets[target]),
                reason: Some(&text),
                kind,
                failures: &tracker.history.failures,
                ..Entry::new(Level::Warn, Topic::Note, elapsed)
            });
        }
    }

    /// The closing line: how the wait ended, for how many targets, and what becomes of COMMAND. `status` is the exit
    /// status, where COMMAND does not run.
    pub(crate) fn close(&mut self, gate: &Gate, closing: &Closing<'_>, elapsed: Duration) {
        let Closing { verdict, program, status } = *closing;
        let (ready, total) = (self.targets.len() - not_ready(gate).len(), self.targets.len());
        let after = human(elapsed);
        let in_vain = |how: &str| format!("{how} after {after}: {ready} of {total} {}", self.state());
        let (level, topic, how) = match verdict {
            Verdict::Ready if program.is_some() => (Level::Info, Topic::Exec, self.what_is_ready(ready, &after)),
            Verdict::Ready => (Level::Info, Topic::Ready, self.what_is_ready(ready, &after)),
            Verdict::TimedOut if status.is_none() => (Level::Warn, Topic::Exec, in_vain("gave up")),
            Verdict::TimedOut => (Level::Error, Topic::Timeout, in_vain("gave up")),
            Verdict::Failed => (Level::Error, Topic::Failed, in_vain("stopped")),
            Verdict::Interrupted(signal) => {
                (Level::Error, Topic::Interrupted, in_vain(&format!("interrupted by signal {signal}")))
            }
        };
        let code = status.map(ExitStatus::code);
        let what_now = match (program, code) {
            (Some(program), None) if verdict == Verdict::Ready => format!("; running {program}"),
            (Some(program), None) => format!("; running {program} even so (--on-timeout run)"),
            (Some(program), Some(code)) => format!("; {program} was not run ({code})"),
            (None, Some(code)) if verdict != Verdict::Ready => format!(" ({code})"),
            (None, _) => String::new(),
        };
        let text = [how, what_now].concat();
        let tally = Tally { ready, total, command: program, exit_code: code };
        self.say(&Entry { reason: Some(&text), tally: Some(tally), ..Entry::new(level, topic, elapsed) });
    }

    fn state(&self) -> &'static str {
        match self.policy.goal {
            Goal::Ready => "ready",
            Goal::Down => "down",
        }
    }

    fn what_is_ready(&self, ready: usize, after: &str) -> String {
        let (state, all) = (self.state(), self.targets.len());
        match self.policy.quorum {
            Quorum::Any if ready < all => {
                let verb = if ready == 1 { "is" } else { "are" };
                format!("{ready} of {} {verb} {state} (--any) after {after}", count(all, "target"))
            }
            // Only optional ones are not.
            _ if ready < all => format!("all is {state} that must be, after {after}: {ready} of {all}"),
            _ => format!("all is {state} after {after}"),
        }
    }

    /// Something to know that is not about a target's state.
    pub(crate) fn note(&mut self, level: Level, text: &str, elapsed: Duration) {
        self.say(&Entry { reason: Some(text), ..Entry::new(level, Topic::Note, elapsed) });
    }

    /// A job that was put into the background draws no more: the shell has the terminal now.
    fn leave_a_terminal_that_is_not_ours(&mut self) {
        if self.live.is_some() && !screen::is_in_foreground(stderr()) {
            self.live = None;
            self.threshold = Level::Info;
        }
    }

    fn begin(&mut self, now: Duration) {
        let limit = match self.policy.timeout {
            Deadline::At(at) => format!("at most {}", human(at)),
            Deadline::Never => "without a deadline".to_owned(),
        };
        let text = format!("waiting for {}, {limit}", count(self.targets.len(), "target"));
        self.say(&Entry { reason: Some(&text), ..Entry::new(Level::Info, Topic::Waiting, now) });
        for target in self.targets.iter().filter(|target| !target.ignored.is_empty()) {
            let text = format!("its parameters mean nothing to the probe: {}", target.ignored.join(", "));
            let entry =
                Entry { target: Some(target), reason: Some(&text), ..Entry::new(Level::Debug, Topic::Note, now) };
            self.say(&entry);
        }
    }

    fn changed(&mut self, target: usize, change: &Change, attempt: u32, gate: &Gate, now: Duration) {
        let mut pace = None;
        let (level, topic, reason, kind) = match change {
            Change::Ready(proof) => {
                self.told[target].forget();
                (Level::Info, Topic::Ready, proof.as_str(), None)
            }
            Change::Confirmed => (Level::Debug, Topic::Ready, "still ready", None),
            Change::Success(proof) => (Level::Debug, Topic::Note, proof.as_str(), None),
            Change::NotReady { failure, slowly, .. } => {
                // As whole seconds: jitter is nobody's concern.
                pace = slowly.map(|pause| Duration::from_secs(pause.as_secs()));
                (self.level_of(target, failure, now), Topic::NotReady, failure.reason.as_str(), Some(failure.kind))
            }
            Change::Stale => return,
        };
        self.say(&Entry {
            target: Some(&self.targets[target]),
            reason: Some(reason),
            kind,
            attempt: Some(attempt),
            slowly: pace,
            failures: if topic == Topic::Ready { &gate.trackers[target].history.failures } else { &[] },
            ..Entry::new(level, topic, now)
        });
    }

    /// A line is for a change of kind; one that waiting cannot mend is a warning.
    fn level_of(&mut self, target: usize, failure: &NotReady, now: Duration) -> Level {
        let is_permanent = failure.permanence() == Permanence::Permanent;
        // The last line of the wait says it.
        let ends_the_wait = is_permanent
            && self.policy.on_permanent == OnPermanent::Fail
            && !self.targets[target].is_optional
            && (self.policy.quorum == Quorum::All || self.targets.len() == 1);
        let ends_the_wait = ends_the_wait || failure.kind == Kind::FailCondition;
        match self.told[target].is_news(failure.kind, now) {
            true if ends_the_wait => Level::Debug,
            true if is_permanent => Level::Warn,
            true => Level::Info,
            false => Level::Debug,
        }
    }

    /// A line for all targets that are awaited.
    fn remind(&mut self, gate: &Gate, now: Duration) {
        /// The most characters of a reminder; of its targets' reasons as many as find room.
        const MOST: usize = 600;
        let mut text = String::from("still waiting for ");
        let awaited = not_ready(gate);
        for (index, &target) in awaited.iter().enumerate() {
            let (reason, _) = last_reason(&gate.trackers[target]);
            let label = self.targets[target].label();
            let room = (MOST / awaited.len()).saturating_sub(label.chars().count() + 5);
            let part = format!("{label} ({})", cut(reason, room.clamp(24, 120)));
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

/// The sentence about a target that is not ready at the end.
fn unready<'a>(targets: &'a [Target], topic: Topic, gate: &'a Gate, target: usize, elapsed: Duration) -> Entry<'a> {
    let tracker = &gate.trackers[target];
    let (reason, kind) = last_reason(tracker);
    Entry {
        target: Some(&targets[target]),
        reason: Some(reason),
        kind,
        attempt: Some(tracker.history.attempts),
        failures: &tracker.history.failures,
        ..Entry::new(Level::Error, topic, elapsed)
    }
}

/// Why a target is not ready.
fn last_reason(tracker: &Tracker) -> (&str, Option<Kind>) {
    match &tracker.history.last {
        _ if tracker.state == State::Confirming => ("it was ready, and has not answered since", None),
        Some(failure) if !tracker.history.ends_with_a_success() => (&failure.reason, Some(failure.kind)),
        _ if tracker.history.proof.is_some() => ("it succeeded, but not often enough in a row", None),
        _ => ("not probed yet", None),
    }
}

impl Observer for Reporter<'_> {
    fn observe(&mut self, event: &Event<'_>, gate: &Gate, now: Duration) {
        match event {
            Event::Waiting => self.begin(now),
            Event::Changed { target, change, attempt } => self.changed(*target, change, *attempt, gate, now),
            Event::Unconfirmed { target } => {
                let reason = "it was ready, and had not answered once more when the deadline came: it counts as ready";
                let target = Some(&self.targets[*target]);
                self.say(&Entry { target, reason: Some(reason), ..Entry::new(Level::Warn, Topic::Ready, now) });
            }
            Event::Tick => {
                self.leave_a_terminal_that_is_not_ours();
                if now >= self.reminder {
                    self.remind(gate, now);
                    while self.reminder <= now {
                        self.reminder = pace::next_reminder(self.reminder);
                    }
                }
                if let Some(view) = &mut self.live {
                    view.draw(&mut self.sink, gate, self.policy.timeout, now);
                }
            }
        }
    }

    fn wakes_at(&self) -> Option<Duration> {
        match &self.live {
            Some(view) => Some(view.next_frame()),
            None => (self.threshold <= Level::Info).then_some(self.reminder),
        }
    }
}

/// How much an entry matters; the names are those of the JSON log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Every attempt.
    Debug,
    /// Every change.
    Info,
    /// A note that the live view shows too.
    Warn,
    /// The wait failed.
    Error,
}

/// The subject of an entry; the names are those of the JSON log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// A line of the log, before it has a format.
struct Entry<'a> {
    level: Level,
    topic: Topic,
    target: Option<&'a Target>,
    reason: Option<&'a str>,
    kind: Option<Kind>,
    attempt: Option<u32>,
    /// The pause of a target that is asked slowly because somebody has to mend it.
    slowly: Option<Duration>,
    /// How often each kind of failure occurred, where the target's wait is over.
    failures: &'a [(Kind, u32)],
    tally: Option<Tally<'a>>,
    elapsed: Duration,
}

/// The counts of a closing line.
#[derive(Debug, Clone, Copy)]
struct Tally<'a> {
    ready: usize,
    total: usize,
    /// COMMAND's first word.
    command: Option<&'a str>,
    exit_code: Option<u8>,
}

/// How a run ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing<'a> {
    /// How the wait ended.
    pub(crate) verdict: Verdict,
    /// COMMAND's first word, where there is a COMMAND.
    pub(crate) program: Option<&'a str>,
    /// The exit status; none where COMMAND runs now.
    pub(crate) status: Option<ExitStatus>,
}

impl Entry<'_> {
    fn new(level: Level, topic: Topic, elapsed: Duration) -> Self {
        Self {
            level,
            topic,
            target: None,
            reason: None,
            kind: None,
            attempt: None,
            slowly: None,
            failures: &[],
            tally: None,
            elapsed,
        }
    }

    /// Whether waiting can mend the failure; nothing where there is none.
    fn is_permanent(&self) -> Option<bool> {
        self.kind.map(|kind| kind.permanence() == Permanence::Permanent)
    }
}

/// How lines look, also where there is no wait yet to be reported on.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    format: Format,
    /// The gate's name; lines for people do not say it.
    gate: String,
    paint: Paint,
}

impl Style {
    /// The one that the options ask for.
    pub(crate) fn of(output: &Output) -> Self {
        let paint = Paint { in_colour: screen::is_in_colour(&stderr(), output) };
        Self { paint, ..Self::plain(output.format, output.name.as_deref()) }
    }

    /// The one of a run whose options cannot be read whole: in this format, with this name.
    pub(crate) fn plain(format: Format, name: Option<&str>) -> Self {
        let gate = match format {
            Format::Json => gate_name(name),
            Format::Text => String::new(),
        };
        Self { format, gate, paint: Paint::default() }
    }

    fn line(&self, entry: &Entry<'_>) -> String {
        match self.format {
            Format::Json => log_json::line(entry, &self.gate),
            Format::Text => log_text::line(entry, self.paint),
        }
    }
}

/// The gate's name: the one that was given, or that of the host.
pub(crate) fn gate_name(given: Option<&str>) -> String {
    printable(&given.map_or_else(host_name, str::to_owned))
}

/// Says something before there is a wait to be reported on, or why there is none.
pub(crate) fn say(style: &Style, level: Level, text: &str) {
    let topic = if level == Level::Error { Topic::Failed } else { Topic::Note };
    let entry = Entry { reason: Some(text), ..Entry::new(level, topic, Duration::ZERO) };
    Sink::stderr().line(&style.line(&entry));
}

#[cfg(test)]
mod tests;
