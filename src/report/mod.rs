//! What is said: log lines, the live view, reports and the table of `--check`.

mod final_report;
mod live;
mod log_json;
mod log_text;
mod sink;
mod table;

use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::config::{Config, Format, Terminal, TerminationLog, Verbosity};
use crate::deadline::Deadline;
use crate::duration::human;
use crate::endpoint::Target;
use crate::gate::{Event, Gate, Observer, Verdict};
use crate::retry::{Change, State, Tracker};

pub use final_report::{Report, TargetReport};
pub use sink::Sink;
pub use table::Watch;

/// What Kubernetes keeps of a termination message.
const MAX_TERMINATION_MESSAGE: usize = 4096;

/// Tells an operator what happens.
pub struct Reporter<'a> {
    targets: &'a [Target],
    deadline: Deadline,
    verbosity: Verbosity,
    style: Style,
    sink: Sink,
}

enum Style {
    Text,
    Json,
    Live(live::View),
    /// `--check` says all it has to say on stdout.
    Silent,
}

impl<'a> Reporter<'a> {
    /// The reporter that the options ask for.
    pub fn new(config: &'a Config) -> Self {
        let Config { targets, policy, output, .. } = config;
        let is_live = output.terminal == Terminal::Allowed
            && output.verbosity == Verbosity::Normal
            && std::io::stderr().is_terminal();
        let style = match output.format {
            Format::Json => Style::Json,
            Format::Text if is_live => Style::Live(live::View::default()),
            Format::Text => Style::Text,
        };
        Self { targets, deadline: policy.timeout, verbosity: output.verbosity, style, sink: Sink::stderr() }
    }

    /// A reporter that keeps quiet.
    pub fn silent(config: &'a Config) -> Self {
        Self { style: Style::Silent, ..Self::new(config) }
    }

    fn name(&self, target: usize) -> String {
        log_text::title(&self.targets[target])
    }

    fn say(&mut self, entry: &Entry<'_>) {
        if entry.level < self.threshold() {
            return;
        }
        match &mut self.style {
            Style::Silent => {}
            Style::Json => self.sink.line(&log_json::line(entry)),
            Style::Text => self.sink.line(&log_text::line(entry)),
            Style::Live(view) => view.print(&mut self.sink, &log_text::line(entry)),
        }
    }

    fn threshold(&self) -> Level {
        match (self.verbosity, &self.style) {
            (Verbosity::Quiet, _) => Level::Error,
            (Verbosity::Verbose, _) => Level::Debug,
            // The live view shows each change in its place.
            (Verbosity::Normal, Style::Live(_)) => Level::Warn,
            (Verbosity::Normal, _) => Level::Info,
        }
    }

    /// The wait is over: says how, and takes the live view away.
    pub fn conclude(&mut self, verdict: Verdict, gate: &Gate, elapsed: Duration) {
        if let Style::Live(view) = &mut self.style {
            view.erase(&mut self.sink);
        }
        match verdict {
            Verdict::Ready => {}
            Verdict::TimedOut => {
                for target in not_ready(gate) {
                    self.unready(Topic::Timeout, gate, target, elapsed);
                }
            }
            Verdict::Failed(target) => self.unready(Topic::Failed, gate, target, elapsed),
            Verdict::Interrupted(signal) => {
                let reason = format!("interrupted by signal {signal} after {}", human(elapsed));
                self.say(&Entry { reason: Some(&reason), ..Entry::new(Level::Error, Topic::Interrupted, elapsed) });
                for target in not_ready(gate) {
                    self.unready(Topic::Interrupted, gate, target, elapsed);
                }
            }
        }
    }

    /// One line for a target that is not ready at the end.
    fn unready(&mut self, topic: Topic, gate: &Gate, target: usize, elapsed: Duration) {
        let tracker = &gate.trackers[target];
        let reason = last_reason(tracker);
        self.say(&Entry {
            target: Some(&self.targets[target]),
            reason: Some(&reason),
            attempt: Some(tracker.attempts),
            ..Entry::new(Level::Error, topic, elapsed)
        });
    }

    /// COMMAND is run now.
    pub fn exec(&mut self, program: &str, elapsed: Duration) {
        let reason = format!("running {program}");
        self.say(&Entry { reason: Some(&reason), ..Entry::new(Level::Info, Topic::Exec, elapsed) });
    }

    /// Everything is ready and there is no COMMAND.
    pub fn done(&mut self, elapsed: Duration) {
        self.say(&Entry { reason: Some("done"), ..Entry::new(Level::Info, Topic::Exec, elapsed) });
    }

    /// Something to know that is not about a target's state.
    pub fn note(&mut self, level: Level, text: &str, elapsed: Duration) {
        self.say(&Entry { reason: Some(text), ..Entry::new(level, Topic::Note, elapsed) });
    }
}

/// The targets that are not ready, by index.
fn not_ready(gate: &Gate) -> Vec<usize> {
    (0..gate.trackers.len()).filter(|&index| gate.trackers[index].state != State::Ready).collect()
}

fn last_reason(tracker: &Tracker) -> String {
    match &tracker.last {
        _ if tracker.state == State::Confirming => "it was ready, and has not answered since".to_owned(),
        Some(failure) => failure.reason.clone(),
        None if tracker.attempts > 0 => "it succeeded, but not often enough in a row".to_owned(),
        None => "not probed yet".to_owned(),
    }
}

impl Observer for Reporter<'_> {
    fn observe(&mut self, event: &Event<'_>, gate: &Gate, now: Duration) {
        match event {
            Event::Waiting => {
                let limit = match self.deadline {
                    Deadline::At(at) => format!("at most {}", human(at)),
                    Deadline::Never => "without a deadline".to_owned(),
                };
                let count = log_text::count(self.targets.len(), "target");
                let reason = format!("waiting for {count}, {limit}");
                self.say(&Entry { reason: Some(&reason), ..Entry::new(Level::Info, Topic::Waiting, now) });
                for target in self.targets {
                    if !target.ignored.is_empty() {
                        let reason = format!("its parameters mean nothing to the probe: {}", target.ignored.join(", "));
                        self.say(&Entry {
                            target: Some(target),
                            reason: Some(&reason),
                            ..Entry::new(Level::Debug, Topic::Note, now)
                        });
                    }
                }
            }
            Event::Changed { target, change, attempt } => {
                let (level, topic, reason) = match change {
                    Change::Ready(proof) => (Level::Info, Topic::Ready, proof.as_str()),
                    Change::Confirmed => (Level::Debug, Topic::Ready, "still ready"),
                    Change::Success(proof) => (Level::Debug, Topic::Note, proof.as_str()),
                    Change::NotReady { failure, news } => {
                        let level = if *news { Level::Info } else { Level::Debug };
                        (level, Topic::NotReady, failure.reason.as_str())
                    }
                    Change::Stale => return,
                };
                self.say(&Entry {
                    target: Some(&self.targets[*target]),
                    reason: Some(reason),
                    attempt: Some(*attempt),
                    ..Entry::new(level, topic, now)
                });
            }
            Event::StillWaiting => {
                for target in not_ready(gate) {
                    let reason = last_reason(&gate.trackers[target]);
                    self.say(&Entry {
                        target: Some(&self.targets[target]),
                        reason: Some(&reason),
                        attempt: Some(gate.trackers[target].attempts),
                        ..Entry::new(Level::Info, Topic::StillWaiting, now)
                    });
                }
            }
            Event::Tick => {
                let titles: Vec<String> = (0..self.targets.len()).map(|index| self.name(index)).collect();
                if let Style::Live(view) = &mut self.style {
                    view.draw(&mut self.sink, &titles, gate, self.deadline, now);
                }
            }
        }
    }

    fn tick(&self) -> Option<Duration> {
        matches!(self.style, Style::Live(_)).then_some(live::FRAME)
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
    attempt: Option<u32>,
    elapsed: Duration,
}

impl Entry<'_> {
    fn new(level: Level, topic: Topic, elapsed: Duration) -> Self {
        Self { level, topic, target: None, reason: None, attempt: None, elapsed }
    }
}

/// Leaves the summary of a failed wait where Kubernetes looks for it.
///
/// # Errors
///
/// Only for a file that the user named; nothing of the message is left there then.
pub fn write_termination_message<'a>(
    log: &'a TerminationLog,
    report: &Report,
) -> Result<(), (&'a Path, std::io::Error)> {
    let message = truncate(&report.message(), MAX_TERMINATION_MESSAGE);
    let write = |path: &Path, create: bool| {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).truncate(true).create(create).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
        let is_new = create && !path.exists();
        let mut file = options.open(path)?;
        let written = std::io::Write::write_all(&mut file, message.as_bytes());
        if written.is_err() {
            // Half a message would be taken for the whole; a pipe has nothing to be taken back.
            drop(file.set_len(0));
            if is_new {
                drop(std::fs::remove_file(path));
            }
        }
        written
    };
    match log {
        // Absent or unwritable outside Kubernetes: no error.
        TerminationLog::IfPresent(path) => {
            drop(write(path, false));
            Ok(())
        }
        TerminationLog::Named(path) => write(path, true).map_err(|error| (path.as_path(), error)),
    }
}

/// At most `max` bytes, cut where a sentence ends.
fn truncate(text: &str, max: usize) -> String {
    const MORE: &str = "More targets are not ready.\n";
    if text.len() <= max {
        return text.to_owned();
    }
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        if out.len() + line.len() + MORE.len() > max {
            break;
        }
        out.push_str(line);
    }
    out.push_str(MORE);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_where_a_sentence_ends() {
        let text = "A sentence.\n".repeat(1000);
        let cut = truncate(&text, MAX_TERMINATION_MESSAGE);
        assert!(cut.len() <= MAX_TERMINATION_MESSAGE);
        assert!(cut.ends_with("A sentence.\nMore targets are not ready.\n"));
        assert_eq!(truncate("short\n", 4096), "short\n");
    }
}
