//! A health check: everything is probed once, and shown as a table or as JSON.

use std::io;
use std::time::Duration;

use crate::clock;
use crate::config::{Check, Config, Format, Output, Verbosity};
use crate::exit_status::{ExitStatus, Stop};
use crate::report::{Level, Page, Report, Sink, Style, Watch, say};
use crate::run::event_loop::EventLoop;
use crate::run::helpers::Context;
use crate::run::input_files::InputFiles;
use crate::run::rules;
use crate::run::signals::Signals;
use crate::targets::exec::children;
use crate::wait::deadline::Deadline;
use crate::wait::gate::{Arrival, Mute, Verdict, World};
use crate::wait::policy::{Policy, Quorum};

/// A table may take this long to be read, also when the attempts took all of their time.
const TO_PRINT: Duration = Duration::from_millis(50);

/// Probes everything once, or once every so often.
///
/// # Errors
///
/// Why nothing is probed.
pub(crate) fn run(config: Config, how: Check, signals: &Signals, files: &InputFiles) -> Result<ExitStatus, Stop> {
    let looks_closer = config.output.verbosity == Verbosity::Verbose;
    let one_will_do = config.policy.quorum == Quorum::Any;
    let config = once(config);
    let context = Context::of(&config, files)?;
    let page = Page::of(&config, how);
    let mut event_loop = EventLoop::new(context, signals, clock::now());
    if looks_closer {
        event_loop.record_steps();
    }
    let mut watch = Watch::default();
    let mut stdout = Sink::stdout();
    loop {
        event_loop.restart();
        children::reopen();
        signals.wait();
        let mut gate = rules::gate(&config);
        // All that there is to say stands in the table.
        let verdict = gate.run(&mut event_loop, &mut Mute);
        children::end_all();
        let elapsed = event_loop.now();
        let verdict = signals.leave().map_or(verdict, Verdict::Interrupted);
        if let Verdict::Interrupted(signal) = verdict {
            return Ok(ExitStatus::Signal(signal));
        }
        let is_healthy = verdict == Verdict::Ready || one_will_do && gate.has_one_ready();
        let outcome = if is_healthy { Verdict::Ready } else { Verdict::Failed };
        let mut report = Report::new(&config, &gate, outcome, elapsed);
        report.add_steps(&config, &gate, |target| event_loop.steps(target));
        watch.record(&report, clock::now());
        let shown = match how.format {
            Format::Json => report.to_json(),
            Format::Text => report.to_table(&page, &watch),
        };
        // The table counts as part of the attempt; it is not lost where that took all of the time.
        let left = config.policy.timeout.remaining(elapsed).unwrap_or_default().max(TO_PRINT);
        let printed = stdout.write(&shown, clock::now() + left);
        let reader = TableReader::after(printed, &config.output);
        let problem = config.output.report.as_ref().and_then(|to| report.leave(to).err());
        if let Some(problem) = &problem {
            say(&Style::of(&config.output), Level::Error, problem);
        }
        let is_well = is_healthy && reader.is_told() && problem.is_none();
        let status = if is_well { ExitStatus::Ready } else { ExitStatus::NotHealthy };
        let goes_on = matches!(reader, TableReader::Told | TableReader::Slow);
        let Some(pause) = how.watch.filter(|_| goes_on) else { return Ok(status) };
        signals.wait();
        let until = event_loop.now().saturating_add(pause);
        while event_loop.now() < until {
            if let Some(Arrival::Signal(signal)) = event_loop.next(Some(until)) {
                return Ok(ExitStatus::Signal(signal));
            }
        }
    }
}

/// The reader of a check's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableReader {
    /// Has it.
    Told,
    /// Has seen enough (`| head -1`): it was the last check.
    Gone,
    /// Does not read now.
    Slow,
    /// Cannot have it: a full disk.
    Unreachable,
}

impl TableReader {
    /// The reader that printing came to; an error about it is said here.
    fn after(printed: io::Result<()>, output: &Output) -> Self {
        let Err(error) = printed else { return Self::Told };
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Gone,
            io::ErrorKind::WouldBlock => {
                say(&Style::of(output), Level::Error, "the table is not printed whole: nobody reads it");
                Self::Slow
            }
            _ => {
                say(&Style::of(output), Level::Error, &format!("the table cannot be printed: {error}"));
                Self::Unreachable
            }
        }
    }

    fn is_told(self) -> bool {
        matches!(self, Self::Told | Self::Gone)
    }
}

/// The policy of a check: one attempt each, within the longest time that one of them has.
fn once(config: Config) -> Config {
    let usual = config.policy.attempt_timeout;
    let longest = config.targets.iter().map(|target| target.attempt_timeout.unwrap_or(usual)).max();
    let policy = Policy {
        timeout: Deadline::At(longest.unwrap_or(usual)),
        max_attempts: Some(1),
        successes: 1,
        quorum: Quorum::Each,
        ..config.policy
    };
    let output = Output { verbosity: Verbosity::Quiet, ..config.output };
    Config { policy, output, ..config }
}
