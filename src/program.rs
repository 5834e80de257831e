//! The whole program, for main, which gives it what belongs to the process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use nix::sys::signal::Signal;

use crate::config::{Output, Parsed, Verbosity};
use crate::exit_status::{ExitStatus, Stop};
use crate::os::dispositions;
use crate::report::{Level, Sink, Style, leave_termination_message, say};
use crate::run::input_files::InputFiles;
use crate::run::signals::Signals;
use crate::run::{check, entrypoint};
use crate::targets::shared::lookup::Lookup;
use crate::wait::gate::Verdict;
use crate::{cli, clock, help, options, os, timeline};

/// The prefix of our variables.
pub const PREFIX: &str = options::PREFIX;

/// Arguments, environment and signals, which main alone touches.
pub struct Process<'a> {
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    /// The variables whose names begin with [`PREFIX`], most often none: gathered once, as each option looks for its own.
    pub ours: Vec<(OsString, OsString)>,
    /// The value of any other variable.
    pub others: &'a dyn Fn(&str) -> Option<OsString>,
    /// Ignores a signal, which no library does without unsafe code.
    pub ignore: fn(Signal),
}

/// Takes note of what std's own start changes: to be called before it.
pub fn before_main() {
    dispositions::remember_ignored();
}

/// The whole run, up to the exit status.
pub fn run(process: Process<'_>) -> ExitCode {
    let Process { args, ours, others, ignore } = process;
    let environment = |name: &str| match ours.iter().find(|(our, _)| our == name) {
        Some((_, value)) => Some(value.clone()),
        None if name.starts_with(PREFIX) => None,
        None => others(name),
    };
    let begun = clock::now();
    // What this process knows stays out of its core dumps, and from other processes of the same user, which could read
    // its memory and its /proc/PID/environ. exec undoes it: COMMAND is none of our business.
    os::forbid_dumps();
    let signals = match Signals::install(ignore) {
        // The handlers stay until the end: to drop them would take as long as to install them.
        Ok(signals) => &*Box::leak(Box::new(signals)),
        Err(error) => {
            Sink::stderr().line(&format!("when-ready: signals cannot be watched: {error}"));
            return ExitStatus::Usage.into();
        }
    };
    let voice = cli::voice(&args, &environment);
    let late = if voice.is_check { ExitStatus::NotHealthy } else { ExitStatus::TimedOut };
    let files = InputFiles::new(begun, voice.limit, late);
    let lookup = Lookup { env: &environment, file: &|path| files.read(Path::new(path)) };
    let path = environment("PATH");
    let status = match cli::parse(args, &lookup) {
        Ok(Parsed::Help) => answer(&help::help()),
        Ok(Parsed::Version) => answer(&help::version()),
        Ok(Parsed::Completions(shell)) => answer(&help::completions(shell)),
        Ok(Parsed::Man) => answer(&help::man()),
        Ok(Parsed::Timeline(timeline, output)) => timeline::run(&timeline, &output),
        Ok(Parsed::Run(config)) => {
            warn_of_misspelt_variables(&config.output, &ours);
            entrypoint::run(&config, signals, &files, begun, path.as_deref())
        }
        Ok(Parsed::Check(config, how)) => {
            warn_of_misspelt_variables(&config.output, &ours);
            check::run(*config, how, signals, &files)
        }
        Err(problem) => Err(files.stop(problem)),
    };
    let style = Style::plain(voice.format, voice.name.as_deref());
    let status = status.or_else(|stop| match &voice.even_so {
        // A file did not come by the deadline.
        Some(command) if stop.status == late => {
            let text = format!("{}; running {} even so", stop.message, command[0].display());
            say(&style, Level::Warn, &text);
            entrypoint::hand_over(command, signals, path.as_deref())
        }
        _ => Err(stop),
    });
    let status = status.unwrap_or_else(|stop| {
        say(&style, Level::Error, &stop.message);
        if let Some(log) = &voice.termination_log {
            // There is nothing left to be told of it.
            drop(leave_termination_message(log, &format!("{}\n", stop.message), Verdict::Failed));
        }
        stop.status
    });
    if let ExitStatus::Signal(number) = status {
        signals.die_of(number);
    }
    status.into()
}

/// Prints what was asked for.
fn answer(text: &str) -> Result<ExitStatus, Stop> {
    match Sink::print(text) {
        Ok(()) => Ok(ExitStatus::Ready),
        Err(error) => {
            let message = format!("standard output cannot be written: {error}");
            Err(Stop { message, status: ExitStatus::NotHealthy })
        }
    }
}

/// Warns of variables that look like misspelt ones of ours.
fn warn_of_misspelt_variables(output: &Output, ours: &[(OsString, OsString)]) {
    if output.verbosity == Verbosity::Quiet {
        return;
    }
    let set = ours.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(name, _)| name.to_str());
    for warning in cli::misspelt(set) {
        say(&Style::of(output), Level::Warn, &warning);
    }
}
