//! A gate's whole run: it waits, says how that ended, and hands over.

use std::ffi::{OsStr, OsString};
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::config::{Config, Output};
use crate::exit_status::{ExitStatus, Stop};
use crate::launch::{self, LaunchError};
use crate::report::{Closing, Level, Report, Reporter, leave_termination_message};
use crate::run::event_loop::EventLoop;
use crate::run::helpers::Context;
use crate::run::input_files::InputFiles;
use crate::run::rules;
use crate::run::signals::Signals;
use crate::targets::exec::children;
use crate::wait::gate::{Gate, Verdict, World};
use crate::wait::policy::OnTimeout;

/// Waits for everything, then hands over. The deadline counts from `begun`; COMMAND is looked up in `path`, the variable
/// PATH.
///
/// # Errors
///
/// Why nothing is waited for, or COMMAND does not run.
pub(crate) fn run(
    config: &Config,
    signals: &Signals,
    files: &InputFiles,
    begun: Instant,
    path: Option<&OsStr>,
) -> Result<ExitStatus, Stop> {
    if let Some(command) = &config.command {
        look_up_in_time(&command[0], path, files)?;
    }
    let context = Context::of(config, files)?;
    let mut reporter = Reporter::new(config);
    for note in &config.notes {
        reporter.note(Level::Info, note, Duration::ZERO);
    }
    let mut gate = rules::gate(config);
    let mut event_loop = EventLoop::new(context, signals, begun);
    signals.wait();
    let verdict = gate.run(&mut event_loop, &mut reporter);
    children::end_all();
    let interrupted = signals.leave();
    let verdict = interrupted.map_or(verdict, Verdict::Interrupted);
    let elapsed = event_loop.now();
    reporter.conclude(verdict, &gate, elapsed);
    let runs = verdict == Verdict::Ready || verdict == Verdict::TimedOut && config.policy.on_timeout == OnTimeout::Run;
    let command = config.command.as_ref();
    let next = command.filter(|_| runs);
    let report_is_left = leave_reports(config, &gate, verdict, next.is_none(), &mut reporter, elapsed);
    let status = match verdict {
        Verdict::Ready if report_is_left => ExitStatus::Ready,
        Verdict::Ready | Verdict::Failed => ExitStatus::NotHealthy,
        Verdict::TimedOut => ExitStatus::TimedOut,
        Verdict::Interrupted(signal) => ExitStatus::Signal(signal),
    };
    let program = command.map(|command| command[0].to_string_lossy());
    let closing = Closing { verdict, program: program.as_deref(), status: next.is_none().then_some(status) };
    reporter.close(&gate, &closing, elapsed);
    match next {
        Some(command) => hand_over(command, signals, path),
        None => Ok(status),
    }
}

/// Makes COMMAND of this process.
///
/// # Errors
///
/// Why it does not run.
pub(crate) fn hand_over(command: &[OsString], signals: &Signals, path: Option<&OsStr>) -> Result<ExitStatus, Stop> {
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

/// Whether COMMAND can be found and executed, as far as the file systems that it may lie on answer by the deadline.
fn look_up_in_time(program: &OsStr, path: Option<&OsStr>, files: &InputFiles) -> Result<(), Stop> {
    if !launch::may_hang(program, path) {
        return look_up(program, path);
    }
    let (name, places) = (program.to_owned(), path.map(OsStr::to_owned));
    let found = files.in_time(move || look_up(&name, places.as_deref()));
    found.map_err(|error| files.stop(format!("{} cannot be looked up: {error}", program.display())))?
}

/// Whether COMMAND can be found and executed.
fn look_up(program: &OsStr, path: Option<&OsStr>) -> Result<(), Stop> {
    let Err(error) = launch::look_up(program, path) else { return Ok(()) };
    let status = match error {
        LaunchError::NotFound => ExitStatus::NotFound,
        LaunchError::NotExecutable(_) => ExitStatus::NotExecutable,
    };
    let mut words = program.to_str().unwrap_or_default().split_whitespace();
    let hint = match (words.next(), words.next()) {
        (Some(first), Some(second)) if error == LaunchError::NotFound => {
            format!("; each word of a command stands by itself, like [\"{first}\", \"{second}\"]")
        }
        _ => String::new(),
    };
    Err(Stop { message: format!("cannot run {}: {error}{hint}", program.display()), status })
}

/// Whether the report is where it was asked for, if it was. A termination message is left where this process
/// `ends_here`: the message of a container that COMMAND ends is COMMAND's.
fn leave_reports(
    config: &Config,
    gate: &Gate,
    verdict: Verdict,
    ends_here: bool,
    reporter: &mut Reporter<'_>,
    elapsed: Duration,
) -> bool {
    let Output { report: report_to, termination_log, .. } = &config.output;
    if report_to.is_none() && (verdict == Verdict::Ready || !ends_here) {
        // Nobody reads one.
        return true;
    }
    let report = Report::new(config, gate, verdict, elapsed);
    let problem = report_to.as_ref().and_then(|to| report.leave(to).err());
    if let Some(problem) = &problem {
        // Without COMMAND the report is what this run was for.
        let level = if config.command.is_some() { Level::Warn } else { Level::Error };
        reporter.note(level, problem, elapsed);
    }
    if verdict != Verdict::Ready
        && ends_here
        && let Err((path, error)) = leave_termination_message(termination_log, &report.message(), verdict)
    {
        let warning = format!("--termination-log: {} cannot be written: {error}", path.display());
        reporter.note(Level::Warn, &warning, elapsed);
    }
    problem.is_none()
}
