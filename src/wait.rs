//! A gate's whole run: it waits, says how that ended, and hands over.

use std::ffi::{OsStr, OsString};
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::config::{Config, OnTimeout, Output};
use crate::event_loop::EventLoop;
use crate::exit_status::{ExitStatus, Stop};
use crate::gate::{Gate, Verdict, World};
use crate::helpers::Context;
use crate::launch::{self, LaunchError};
use crate::report::{Level, Report, Reporter, leave_termination_message};
use crate::signals::Signals;

/// Waits for everything, then hands over. The deadline counts from `begun`; COMMAND is looked up in `path`, the variable
/// PATH.
///
/// # Errors
///
/// Why nothing is waited for, or COMMAND does not run.
pub fn run(config: &Config, signals: &Signals, begun: Instant, path: Option<&OsStr>) -> Result<ExitStatus, Stop> {
    if let Some(command) = &config.command {
        look_up(&command[0], path)?;
    }
    let context = Context::of(config).map_err(Stop::usage)?;
    let mut reporter = Reporter::new(config);
    for note in &config.notes {
        reporter.note(Level::Info, note, Duration::ZERO);
    }
    let mut gate = Gate::new(&config.targets, &config.policy);
    let mut event_loop = EventLoop::new(context, signals, begun);
    signals.wait();
    let verdict = gate.run(&mut event_loop, &mut reporter);
    end_commands();
    let interrupted = signals.leave();
    let verdict = interrupted.map_or(verdict, Verdict::Interrupted);
    let elapsed = event_loop.now();
    reporter.conclude(verdict, &gate, elapsed);
    leave_reports(config, &gate, verdict, &mut reporter, elapsed);
    let status = match verdict {
        Verdict::Ready => ExitStatus::Ready,
        Verdict::TimedOut => ExitStatus::TimedOut,
        Verdict::Failed(_) => ExitStatus::NotHealthy,
        Verdict::Interrupted(signal) => return Ok(ExitStatus::Signal(signal)),
    };
    let runs_even_so = verdict == Verdict::TimedOut && config.policy.on_timeout == OnTimeout::Run;
    if verdict != Verdict::Ready && !runs_even_so {
        return Ok(status);
    }
    match &config.command {
        Some(command) => {
            let program = command[0].to_string_lossy();
            if runs_even_so {
                reporter.even_so(&program, elapsed);
            } else {
                reporter.done(&gate, Some(&program), elapsed);
            }
            hand_over(command, signals, path)
        }
        None if runs_even_so => Ok(status),
        None => {
            reporter.done(&gate, None, elapsed);
            Ok(ExitStatus::Ready)
        }
    }
}

/// Ends the commands that are still asked: none outlives the wait.
pub(crate) fn end_commands() {
    #[cfg(feature = "exec")]
    crate::children::end_all();
}

fn hand_over(command: &[OsString], signals: &Signals, path: Option<&OsStr>) -> Result<ExitStatus, Stop> {
    signals.restore();
    let error = launch::exec(command, path);
    look_up(&command[0], path)?;
    let message = match error {
        Errno::ENOENT => "it, or the interpreter or loader that it names, is not there".to_owned(),
        error => io::Error::from(error).to_string(),
    };
    let program = command[0].display();
    Err(Stop { message: format!("cannot run {program}: {message}"), status: ExitStatus::NotExecutable })
}

/// Whether COMMAND can be found and executed.
fn look_up(program: &OsStr, path: Option<&OsStr>) -> Result<(), Stop> {
    let Err(error) = launch::look_up(program, path) else { return Ok(()) };
    let status = match error {
        LaunchError::NotFound => ExitStatus::NotFound,
        LaunchError::NotExecutable(_) => ExitStatus::NotExecutable,
    };
    Err(Stop { message: format!("cannot run {}: {error}", program.display()), status })
}

fn leave_reports(config: &Config, gate: &Gate, verdict: Verdict, reporter: &mut Reporter<'_>, elapsed: Duration) {
    let Output { report: report_to, termination_log, .. } = &config.output;
    if verdict == Verdict::Ready && report_to.is_none() {
        // Nobody reads one.
        return;
    }
    let report = Report::new(&config.targets, gate, verdict, elapsed);
    if let Some(warning) = report_to.as_ref().and_then(|to| report.leave(to, verdict).err()) {
        reporter.note(Level::Warn, &warning, elapsed);
    }
    if verdict != Verdict::Ready
        && let Err((path, error)) = leave_termination_message(termination_log, &report.message(), verdict)
    {
        let warning = format!("--termination-log: {} cannot be written: {error}", path.display());
        reporter.note(Level::Warn, &warning, elapsed);
    }
}
