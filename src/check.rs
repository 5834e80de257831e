//! A health check: everything is probed once, and shown as a table or as JSON.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::clock;
use crate::config::{Check, Config, Format, Output, Policy, Quorum, Terminal, Verbosity};
use crate::deadline::Deadline;
use crate::event_loop::EventLoop;
use crate::exit_status::{ExitStatus, Stop};
use crate::gate::{Arrival, Gate, Verdict, World};
use crate::helpers::Context;
use crate::report::{Level, Report, Silence, Sink, Watch, say};
use crate::signals::Signals;
use crate::wait::end_commands;

/// A table may take this long to be read, also when the attempts took all of their time.
const TO_PRINT: Duration = Duration::from_millis(50);

/// Probes everything once, or once every so often.
///
/// # Errors
///
/// Why nothing is probed.
pub fn run(config: Config, how: Check, signals: &Signals) -> Result<ExitStatus, Stop> {
    let config = once(config);
    let context = Context::of(&config).map_err(Stop::usage)?;
    let in_colour = config.output.terminal == Terminal::Allowed && io::stdout().is_terminal();
    let mut event_loop = EventLoop::new(context, signals, clock::now());
    let mut watch = Watch::default();
    let mut stdout = Sink::stdout();
    loop {
        event_loop.restart();
        #[cfg(feature = "exec")]
        crate::children::reopen();
        signals.wait();
        let mut gate = Gate::new(&config.targets, &config.policy);
        let verdict = gate.run(&mut event_loop, &mut Silence);
        end_commands();
        let elapsed = event_loop.now();
        let verdict = signals.leave().map_or(verdict, Verdict::Interrupted);
        if let Verdict::Interrupted(signal) = verdict {
            return Ok(ExitStatus::Signal(signal));
        }
        let outcome = if verdict == Verdict::Ready { Verdict::Ready } else { Verdict::Failed(0) };
        let report = Report::new(&config.targets, &gate, outcome, elapsed);
        let now = clock::now();
        watch.record(&report, now);
        let shown = match how.format {
            Format::Json => report.to_json(),
            Format::Text => report.to_table(in_colour, how.watch.map(|_| (&watch, now))),
        };
        let in_place = how.watch.is_some() && in_colour && how.format == Format::Text;
        let shown = if in_place { format!("\x1b[H\x1b[2J{shown}") } else { shown };
        // The table counts as part of the attempt; it is not lost where that took all of the time.
        let left = config.policy.attempt_timeout.saturating_sub(elapsed).max(TO_PRINT);
        let printed = stdout.write(&shown, clock::now() + left);
        let healthy = if verdict == Verdict::Ready { ExitStatus::Ready } else { ExitStatus::NotHealthy };
        if let Some(warning) = config.output.report.as_ref().and_then(|to| report.leave(to, outcome).err()) {
            say(config.output.format, Level::Warn, &warning);
        }
        let has_reader = match printed {
            // Whoever read the table has gone (`| head -1`): it was the last check.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                say(config.output.format, Level::Warn, "the table is not printed whole: nobody reads it");
                true
            }
            _ => true,
        };
        let Some(pause) = how.watch.filter(|_| has_reader) else { return Ok(healthy) };
        signals.wait();
        let until = event_loop.now().saturating_add(pause);
        while event_loop.now() < until {
            if let Some(Arrival::Signal(signal)) = event_loop.next(Some(until)) {
                return Ok(ExitStatus::Signal(signal));
            }
        }
    }
}

/// The policy of a check: one attempt each, within one attempt's time.
fn once(config: Config) -> Config {
    let policy = Policy {
        timeout: Deadline::At(config.policy.attempt_timeout),
        max_attempts: Some(1),
        successes: 1,
        quorum: Quorum::Each,
        ..config.policy
    };
    let output = Output { verbosity: Verbosity::Quiet, ..config.output };
    Config { policy, output, ..config }
}
