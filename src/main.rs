//! Waits until targets are ready, then runs the command in its own place.
#![deny(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use when_ready::cli;
use when_ready::config::{Output, Parsed, Verbosity};
use when_ready::endpoint::variables::Lookup;
use when_ready::exit_status::{ExitStatus, Stop};
use when_ready::gate::Verdict;
use when_ready::report::{Level, Sink, leave_termination_message, say};
use when_ready::signals::Signals;
use when_ready::{check, clock, help, secret, wait};

#[cfg(all(
    target_env = "musl",
    panic = "abort",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "x86")
))]
mod no_unwinder;

fn main() -> ExitCode {
    let begun = clock::now();
    secret::keep_from_others();
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            Sink::stderr().line(&format!("when-ready: signals cannot be watched: {error}"));
            return ExitStatus::Usage.into();
        }
    };
    let lookup = Lookup { env: &environment, file: &|path| std::fs::read(path) };
    #[expect(clippy::disallowed_methods, reason = "main alone touches argv")]
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let voice = cli::voice(&args, &lookup);
    let status = match cli::parse(args, &lookup) {
        Ok(Parsed::Help) => answer(&help::help()),
        Ok(Parsed::Version) => answer(&help::version()),
        Ok(Parsed::Completions(shell)) => answer(&help::completions(shell)),
        Ok(Parsed::Man) => answer(&help::man()),
        Ok(Parsed::Run(config)) => {
            warn_of_misspelt_variables(&config.output);
            wait::run(&config, &signals, begun, environment("PATH").as_deref())
        }
        Ok(Parsed::Check(config, how)) => {
            warn_of_misspelt_variables(&config.output);
            check::run(*config, how, &signals)
        }
        Err(error) => Err(Stop::usage(error.to_string())),
    };
    status
        .unwrap_or_else(|stop| {
            say(voice.format, Level::Error, &stop.message);
            if let Some(log) = &voice.termination_log {
                // There is nothing left to be told of it.
                drop(leave_termination_message(log, &format!("{}\n", stop.message), Verdict::Failed(0)));
            }
            stop.status
        })
        .into()
}

#[expect(clippy::disallowed_methods, reason = "main alone touches the environment")]
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// How long somebody who asked may take to read the answer.
const READING: Duration = Duration::from_secs(5);

/// Prints what was asked for.
fn answer(text: &str) -> Result<ExitStatus, Stop> {
    // A reader that has seen enough (`--help | head`) is no error.
    drop(Sink::stdout().write(text, clock::now() + READING));
    Ok(ExitStatus::Ready)
}

/// Warns of variables that look like misspelt ones of ours.
fn warn_of_misspelt_variables(output: &Output) {
    if output.verbosity == Verbosity::Quiet {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "main alone touches the environment")]
    let set: Vec<String> = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    for warning in cli::misspelt(set.iter().map(String::as_str)) {
        say(output.format, Level::Warn, &warning);
    }
}
