//! Waits until targets are ready, then runs the command in its own place.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use when_ready::cli::{self, UsageError};
use when_ready::config::{
    Check, Config, Format, OnTimeout, Output, Parsed, Policy, Quorum, ReportTo, Terminal, TlsOptions, Verbosity,
};
use when_ready::deadline::Deadline;
use when_ready::endpoint::Target;
use when_ready::endpoint::variables::Lookup;
use when_ready::event_loop::EventLoop;
use when_ready::exit_status::ExitStatus;
use when_ready::gate::{Arrival, Gate, Verdict, World};
use when_ready::helpers::Context;
use when_ready::launch::{self, LaunchError};
use when_ready::net::tls::Tls;
use when_ready::report::{Level, Report, Reporter, Silence, Sink, Watch, leave_termination_message, say};
use when_ready::signals::Signals;
use when_ready::{clock, help, secret, signals};

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
        Ok(Parsed::Run(config)) => run(&config, &signals, begun),
        Ok(Parsed::Check(config, how)) => check(*config, how, &signals),
        Err(error) => Err(Stop::usage(&error)),
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

/// Why the process ends, for the one place that prints it.
struct Stop {
    message: String,
    status: ExitStatus,
}

impl Stop {
    fn usage(error: &UsageError) -> Self {
        Self { message: error.to_string(), status: ExitStatus::Usage }
    }
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

/// Waits for everything, then hands over.
fn run(config: &Config, signals: &Signals, begun: Instant) -> Result<ExitStatus, Stop> {
    if let Some(command) = &config.command {
        look_up(&command[0])?;
    }
    let tls = load_tls(config)?;
    warn_of_misspelt_variables(&config.output);
    let mut reporter = Reporter::new(config);
    for note in &config.notes {
        reporter.note(Level::Info, note, Duration::ZERO);
    }
    let mut gate = Gate::new(&config.targets, &config.policy);
    let mut event_loop = EventLoop::new(context(config, tls), signals, begun);
    signals.wait();
    let verdict = gate.run(&mut event_loop, &mut reporter);
    end_commands();
    let interrupted = signals.leave();
    let verdict = interrupted.map_or(verdict, Verdict::Interrupted);
    let elapsed = event_loop.now();
    reporter.conclude(verdict, &gate, elapsed);
    let report = Report::new(&config.targets, &gate, verdict, elapsed);
    leave_reports(config, &report, verdict, &mut reporter, elapsed);
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
            hand_over(command, signals)
        }
        None if runs_even_so => Ok(status),
        None => {
            reporter.done(&gate, None, elapsed);
            Ok(ExitStatus::Ready)
        }
    }
}

/// Ends the commands that are still asked: none outlives the wait.
fn end_commands() {
    #[cfg(feature = "exec")]
    when_ready::children::end_all();
}

fn hand_over(command: &[OsString], signals: &Signals) -> Result<ExitStatus, Stop> {
    signals.restore();
    let error = launch::exec(command, search_path().as_deref());
    // std has made a closed pipe deadly again, for COMMAND: the reason is still to be told.
    signals::outlive_closed_pipes();
    look_up(&command[0])?;
    let message = match error.kind() {
        io::ErrorKind::NotFound => "it, or the interpreter or loader that it names, is not there".to_owned(),
        _ => error.to_string(),
    };
    let program = command[0].display();
    Err(Stop { message: format!("cannot run {program}: {message}"), status: ExitStatus::NotExecutable })
}

/// Whether COMMAND can be found and executed.
fn look_up(program: &OsStr) -> Result<(), Stop> {
    let Err(error) = launch::look_up(program, search_path().as_deref()) else { return Ok(()) };
    let status = match error {
        LaunchError::NotFound => ExitStatus::NotFound,
        LaunchError::NotExecutable(_) => ExitStatus::NotExecutable,
    };
    Err(Stop { message: format!("cannot run {}: {error}", program.display()), status })
}

#[expect(clippy::disallowed_methods, reason = "main alone touches the environment")]
fn search_path() -> Option<OsString> {
    std::env::var_os("PATH")
}

fn leave_reports(config: &Config, report: &Report, verdict: Verdict, reporter: &mut Reporter<'_>, elapsed: Duration) {
    let Output { report: report_to, termination_log, .. } = &config.output;
    if let Some(warning) = report_to.as_ref().and_then(|to| leave_report(report, to, verdict)) {
        reporter.note(Level::Warn, &warning, elapsed);
    }
    if verdict != Verdict::Ready
        && let Err((path, error)) = leave_termination_message(termination_log, &report.message(), verdict)
    {
        let warning = format!("--termination-log: {} cannot be written: {error}", path.display());
        reporter.note(Level::Warn, &warning, elapsed);
    }
}

/// Leaves the report where it is asked for, or says why it cannot.
fn leave_report(report: &Report, to: &ReportTo, verdict: Verdict) -> Option<String> {
    let error = report.leave(to, verdict).err()?;
    let place = match to {
        ReportTo::Stdout => "standard output".into(),
        ReportTo::File(path) => path.to_string_lossy(),
    };
    Some(format!("--report: {place} cannot be written: {error}"))
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

/// A table may take this long to be read, also when the attempts took all of their time.
const TO_PRINT: Duration = Duration::from_millis(50);

/// Probes everything once, or once every so often.
fn check(config: Config, how: Check, signals: &Signals) -> Result<ExitStatus, Stop> {
    warn_of_misspelt_variables(&config.output);
    let config = once(config);
    let tls = load_tls(&config)?;
    let in_colour = config.output.terminal == Terminal::Allowed && io::stdout().is_terminal();
    let mut event_loop = EventLoop::new(context(&config, tls), signals, clock::now());
    let mut watch = Watch::default();
    let mut stdout = Sink::stdout();
    loop {
        event_loop.restart();
        #[cfg(feature = "exec")]
        when_ready::children::reopen();
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
        if let Some(warning) = config.output.report.as_ref().and_then(|to| leave_report(&report, to, outcome)) {
            say(config.output.format, Level::Warn, &warning);
        }
        // Whoever read the table has gone (`| head -1`): it was the last check.
        let has_reader = !printed.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
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
    let targets = config.targets.into_iter().map(|target| when_ready::endpoint::Target {
        successes: None,
        timeout: None,
        ..target
    });
    Config { targets: targets.collect(), policy, output, ..config }
}

/// Reads the TLS files only where a target can use them: an inherited `SSL_CERT_FILE` that names no
/// file stops no wait for a TCP port.
fn load_tls(config: &Config) -> Result<Tls, Stop> {
    let nothing = TlsOptions::default();
    let options = if config.targets.iter().any(Target::may_use_tls) { &config.tls } else { &nothing };
    Tls::load(options).map_err(|problem| Stop { message: problem, status: ExitStatus::Usage })
}

fn context(config: &Config, tls: Tls) -> Context {
    Context { targets: config.targets.clone(), goal: config.policy.goal, tls }
}
