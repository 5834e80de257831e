//! Command line and environment → [`Parsed`]. It validates and stores; it opens no connection and
//! prints nothing.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use pico_args::Arguments;

use crate::backoff::Backoff;
use crate::config::{
    Check, Config, Format, Goal, OnPermanent, OnTimeout, Output, Parsed, Policy, Quorum, ReportTo, Shell, Terminal,
    TerminationLog, TlsOptions, Verbosity, Verification,
};
use crate::duration;
use crate::endpoint::http::{Statuses, parse_header, parse_method};
use crate::endpoint::redact_word;
use crate::endpoint::variables::{Lookup, left_out};
use crate::endpoint::{HttpDefaults, Surroundings, Target, is_one_connection_string, positive, split_name};
use crate::options::{self, OPTIONS, Opt, Takes};
use crate::words::{self, beginning_of};

/// A wrong command line or environment: exit status 2, before anything is probed.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn usage<T>(problem: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(problem.into()))
}

/// Where a value came from: an error about it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Flag(&'static str),
    Env(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(long) => write!(f, "--{long}"),
            Self::Env(variable) => f.write_str(variable),
        }
    }
}

/// The options that were given, each with its values.
struct Given<'a> {
    flags: Flags,
    lookup: &'a Lookup<'a>,
    /// Whether it is a check that is asked for, which takes less from the environment.
    is_check: bool,
}

impl<'a> Given<'a> {
    fn new(flags: Flags, lookup: &'a Lookup<'a>) -> Result<Self, UsageError> {
        let mut given = Self { flags, lookup, is_check: false };
        given.is_check = given.flag(&options::CHECK)?;
        Ok(given)
    }

    /// The values of an option, the command line before the environment.
    fn values(&self, option: &Opt) -> Result<(Vec<String>, Source), UsageError> {
        match self.flags.iter().find(|(name, _)| *name == option.long()) {
            Some((name, values)) => Ok((values.clone(), Source::Flag(name))),
            None => {
                let variable = option.variable().filter(|_| option.in_check || !self.is_check).unwrap_or_default();
                let value = if variable.is_empty() { None } else { self.lookup.text(&variable).map_err(UsageError)? };
                // Compose passes a variable that is not set as an empty one.
                let value = value.filter(|value| !value.is_empty());
                Ok((value.into_iter().collect(), Source::Env(variable)))
            }
        }
    }

    /// The value of an option; the last one where it was given twice, as with curl.
    fn value<T>(&self, option: &Opt, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, UsageError> {
        let mut found = None;
        self.read(option, &mut |text| {
            found = Some(parse(text)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Has the value of an option read, if it is given. What is the same for values of all types is here.
    fn read(&self, option: &Opt, parse: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), UsageError> {
        let (values, source) = self.values(option)?;
        let Some(value) = values.last() else { return Ok(()) };
        parse(value).map_err(|problem| UsageError(format!("{source}: {problem}")))
    }

    /// Whether a flag is on, and who said so.
    fn flag(&self, option: &Opt) -> Result<bool, UsageError> {
        Ok(self.value(option, parse_bool)?.unwrap_or(false))
    }

    fn is_on_command_line(&self, option: &Opt) -> bool {
        let is_on = |values: &[String]| values.last().is_some_and(|value| value == "true");
        self.flags.iter().any(|(name, values)| *name == option.long() && is_on(values))
    }

    fn path(&self, option: &Opt) -> Result<Option<PathBuf>, UsageError> {
        self.value(option, |text| match text {
            "" => Err("it names no file".to_owned()),
            path => Ok(PathBuf::from(path)),
        })
    }
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("`{}` is not true or false (try `true`)", beginning_of(text))),
    }
}

/// Parses the arguments (without the program's name) and the environment.
///
/// # Errors
///
/// A [`UsageError`] that names the word, option or variable, and what would be right.
pub fn parse(args: Vec<OsString>, lookup: &Lookup<'_>) -> Result<Parsed, UsageError> {
    let mut words = args;
    let command = words.iter().position(|word| word == "--").map(|at| {
        let command = words.split_off(at + 1);
        words.truncate(at);
        command
    });
    let words = words
        .into_iter()
        .map(|word| {
            word.into_string()
                .map_err(|word| UsageError(format!("`{}` is not UTF-8", redact_word(&word.to_string_lossy()))))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (flags, targets) = extract(words)?;
    let given = Given::new(flags, lookup)?;

    if given.flag(&options::HELP)? {
        return Ok(Parsed::Help);
    }
    if given.flag(&options::VERSION)? {
        return Ok(Parsed::Version);
    }
    if given.flag(&options::MAN)? {
        return Ok(Parsed::Man);
    }
    let shells = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];
    if let Some(shell) = given.value(&options::COMPLETIONS, |text| one_of(&shells, text))? {
        return Ok(Parsed::Completions(shell));
    }
    if command.as_ref().is_some_and(Vec::is_empty) {
        return usage("after `--` comes the command to run, and there is none");
    }
    let config = config(&given, &targets, command)?;
    if config.output.report == Some(ReportTo::Stdout) {
        let source = given.values(&options::REPORT)?.1;
        if given.is_check {
            return usage(format!("{source}: the table is on standard output already; --format json is its report"));
        }
        if config.command.is_some() {
            return usage(format!("{source}: standard output belongs to COMMAND; name a file for the report"));
        }
    }
    check(&given, config)
}

/// How and where an error is told that the rest of the command line, or of the environment, may hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Voice {
    /// The format of the log.
    pub format: Format,
    /// Where a failed wait leaves its summary; a check leaves none.
    pub termination_log: Option<TerminationLog>,
}

/// What of it can be made out, whatever else is wrong.
pub fn voice(args: &[OsString], lookup: &Lookup<'_>) -> Voice {
    let words = args.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
    let (options, _) = spell_out(words.map(str::to_owned).collect());
    let given = |option: &Opt| {
        let value_of = |pair: &[String]| (pair[0] == option.flag).then(|| pair[1].clone());
        let on_command_line = options.windows(2).filter_map(value_of).next_back();
        on_command_line
            .or_else(|| (lookup.env)(&option.variable()?)?.into_string().ok())
            .filter(|value| !value.is_empty())
    };
    let is_check = given(&options::CHECK).is_some_and(|value| parse_bool(&value) == Ok(true));
    let termination_log = given(&options::TERMINATION_LOG).map(PathBuf::from);
    Voice {
        format: given(&options::LOG_FORMAT).and_then(|value| parse_format(&value).ok()).unwrap_or(Format::Text),
        termination_log: (!is_check).then(|| TerminationLog::of(termination_log)),
    }
}

/// Warnings about variables that look like misspelt ones of ours.
pub fn misspelt<'a>(variables: impl Iterator<Item = &'a str>) -> Vec<String> {
    let warning =
        |name| Some(format!("{name} is no variable of when-ready: {} is", options::suggested_variable(name)?));
    variables.filter_map(warning).collect()
}

fn check(given: &Given<'_>, config: Config) -> Result<Parsed, UsageError> {
    let watch = given.value(&options::WATCH, duration::parse_positive)?;
    let format = given.value(&options::FORMAT, parse_format)?;
    if !given.is_check {
        for (option, is_set) in [(options::WATCH, watch.is_some()), (options::FORMAT, format.is_some())] {
            if is_set && given.values(&option)?.1 == Source::Flag(option.long()) {
                return usage(format!("{} goes with --check", option.flag));
            }
        }
        return Ok(Parsed::Run(Box::new(config)));
    }
    if config.command.is_some() {
        return usage("--check runs no command; leave out `--` and what follows it");
    }
    Ok(Parsed::Check(Box::new(config), Check { format: format.unwrap_or(Format::Text), watch }))
}

fn config(given: &Given<'_>, words: &[String], command: Option<Vec<OsString>>) -> Result<Config, UsageError> {
    let http = http_defaults(given)?;
    let policy = policy(given)?;
    let tls = tls_options(given)?;
    let output = output(given)?;
    let context = Surroundings { lookup: Lookup { env: given.lookup.env, file: given.lookup.file }, http: &http };
    let (targets, notes) = targets(words, &context)?;
    for target in &targets {
        if cfg!(not(feature = "tls")) && target.requires_tls() {
            return usage(format!("target {}: this build has no TLS; use one with it", target.label()));
        }
    }
    Ok(Config { targets: targets.into(), notes, policy, tls, output, command })
}

/// The targets, and what is said about those that are left out.
fn targets(words: &[String], context: &Surroundings<'_>) -> Result<(Vec<Target>, Vec<String>), UsageError> {
    const VARIABLE: &str = options::TARGETS_VARIABLE;
    let (mut targets, mut notes) = (Vec::new(), Vec::new());
    let mut add = |word: &str| -> Result<(), String> {
        match left_out(word, &context.lookup)? {
            Some(variable) => notes.push(format!("a target is left out: {variable} is empty or not set")),
            None => targets.extend(Target::parse_list(word, context).map_err(|error| error.to_string())?),
        }
        Ok(())
    };
    if !words.is_empty() {
        for (index, word) in words.iter().enumerate() {
            add(word).map_err(|error| UsageError(format!("{error}{}", slip(index, word))))?;
        }
        return Ok((targets, notes));
    }
    match context.lookup.text(VARIABLE).map_err(UsageError)? {
        Some(list) => {
            let problem = |problem: String| UsageError(format!("{VARIABLE}: {problem}"));
            words_of(&list).map_err(problem)?.iter().try_for_each(|word| add(word)).map_err(problem)?;
            Ok((targets, notes))
        }
        None => usage("no targets: name what to wait for, like `when-ready db:5432 -- COMMAND`"),
    }
}

/// The words of a list. One that begins with a quote, itself or behind its `NAME=`, ends with it, so that it may
/// hold blanks.
fn words_of(list: &str) -> Result<Vec<String>, String> {
    // libpq's `host=db user=app`, as a variable may hold it already.
    if is_one_connection_string(list) {
        return Ok(vec![list.to_owned()]);
    }
    let mut words = Vec::new();
    let mut rest = list.trim_start();
    while !rest.is_empty() {
        // What stands in a quote or behind a blank is no name.
        let name =
            split_name(rest).0.filter(|name| !name.contains(char::is_whitespace) && !name.starts_with(['"', '\'']));
        let begin = name.map_or(0, |name| name.len() + 1);
        let (name, text) = rest.split_at(begin);
        let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (word, tail) = match quote {
            Some(quote) => {
                let ends = |(at, _): &(usize, &str)| text[at + 1..].chars().next().is_none_or(char::is_whitespace);
                let end = text.match_indices(quote).skip(1).find(ends).map(|(at, _)| at);
                let end = end.ok_or("a quote at the beginning of a target is not closed")?;
                (format!("{name}{}", &text[1..end]), &text[end + 1..])
            }
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        words.push(word);
        rest = tail.trim_start();
    }
    Ok(words)
}

/// A plain word behind a target is most likely the command.
fn slip(index: usize, word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if index > 0 && word.chars().all(is_plain) {
        format!("; is `{word}` the command? write `--` before it")
    } else {
        String::new()
    }
}

fn policy(given: &Given<'_>) -> Result<Policy, UsageError> {
    let defaults = Policy::default();
    let initial = given.value(&options::INTERVAL, duration::parse_positive)?.unwrap_or(defaults.backoff.initial);
    let cap = given.value(&options::MAX_INTERVAL, duration::parse)?;
    if let Some(cap) = cap.filter(|cap| *cap < initial) {
        return usage(format!(
            "{}: {} is shorter than the first pause of {} (--interval)",
            given.values(&options::MAX_INTERVAL)?.1,
            duration::human(cap),
            duration::human(initial)
        ));
    }
    let backoff = Backoff {
        initial,
        factor: given.value(&options::BACKOFF, parse_factor)?.unwrap_or(defaults.backoff.factor),
        cap: cap.unwrap_or(defaults.backoff.cap).max(initial),
    };
    let on_timeout = [("fail", OnTimeout::Fail), ("run", OnTimeout::Run)];
    let attempt_timeout = given.value(&options::ATTEMPT_TIMEOUT, duration::parse_positive)?;
    Ok(Policy {
        timeout: given.value(&options::TIMEOUT, duration::parse_deadline)?.unwrap_or(defaults.timeout),
        attempt_timeout: attempt_timeout.unwrap_or(defaults.attempt_timeout),
        backoff,
        max_attempts: given.value(&options::MAX_ATTEMPTS, positive)?.or(defaults.max_attempts),
        successes: given.value(&options::SUCCESSES, positive)?.unwrap_or(defaults.successes),
        quorum: if given.flag(&options::ANY)? { Quorum::Any } else { defaults.quorum },
        goal: if given.flag(&options::UNTIL_DOWN)? { Goal::Down } else { defaults.goal },
        on_permanent: if given.flag(&options::FAIL_FAST)? { OnPermanent::Fail } else { defaults.on_permanent },
        on_timeout: given.value(&options::ON_TIMEOUT, |text| one_of(&on_timeout, text))?.unwrap_or(defaults.on_timeout),
    })
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match duration::decimal(text) {
        Some(factor) if factor >= Duration::from_secs(1) => Ok(factor.as_secs_f64()),
        _ => Err(format!("`{}` is not a factor of at least 1 (try `1.5`)", beginning_of(text))),
    }
}

fn parse_format(text: &str) -> Result<Format, String> {
    one_of(&[("text", Format::Text), ("json", Format::Json)], text)
}

fn one_of<T: Copy>(all: &[(&'static str, T)], text: &str) -> Result<T, String> {
    words::one_of(all, text).map_err(|names| format!("`{}` is not one of {names}", beginning_of(text)))
}

fn http_defaults(given: &Given<'_>) -> Result<HttpDefaults, UsageError> {
    let (headers, source) = given.values(&options::HTTP_HEADER)?;
    let headers = headers
        .iter()
        .flat_map(|value| value.lines().filter(|line| !line.trim().is_empty()))
        .map(|line| parse_header(line).map_err(|problem| UsageError(format!("{source}: {problem}"))))
        .collect::<Result<_, _>>()?;
    let defaults = HttpDefaults::default();
    Ok(HttpDefaults {
        method: given.value(&options::HTTP_METHOD, parse_method)?.unwrap_or(defaults.method),
        headers,
        status: given.value(&options::HTTP_STATUS, Statuses::parse)?.unwrap_or(defaults.status),
    })
}

fn tls_options(given: &Given<'_>) -> Result<TlsOptions, UsageError> {
    let (cert, key) = (given.path(&options::TLS_CERT)?, given.path(&options::TLS_KEY)?);
    match (&cert, &key) {
        (Some(_), None) => return usage("--tls-cert needs the certificate's key: --tls-key FILE"),
        (None, Some(_)) => return usage("--tls-key needs the certificate: --tls-cert FILE"),
        _ => {}
    }
    let ca = given.path(&options::TLS_CA)?;
    let verification = if given.flag(&options::TLS_INSECURE)? { Verification::Off } else { Verification::On };
    if cfg!(not(feature = "tls")) && (ca.is_some() || cert.is_some() || verification == Verification::Off) {
        return usage("this build has no TLS, so no --tls option; use one with it");
    }
    let roots = (given.lookup.env)("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(TlsOptions { ca, cert, key, verification, roots })
}

fn output(given: &Given<'_>) -> Result<Output, UsageError> {
    let (quiet, verbose) = (given.flag(&options::QUIET)?, given.flag(&options::VERBOSE)?);
    let verbosity = match (quiet, verbose) {
        (true, true) if given.is_on_command_line(&options::QUIET) == given.is_on_command_line(&options::VERBOSE) => {
            return usage("--quiet and --verbose contradict each other");
        }
        (true, true) if given.is_on_command_line(&options::VERBOSE) => Verbosity::Verbose,
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    };
    let env = |name: &str| (given.lookup.env)(name).filter(|value| !value.is_empty());
    let plain = env("NO_COLOR").is_some() || env("TERM").is_none_or(|term| term == "dumb");
    Ok(Output {
        verbosity,
        format: given.value(&options::LOG_FORMAT, parse_format)?.unwrap_or(Format::Text),
        report: given.path(&options::REPORT)?.map(|path| match path.to_str() {
            Some("-") => ReportTo::Stdout,
            _ => ReportTo::File(path),
        }),
        termination_log: TerminationLog::of(given.path(&options::TERMINATION_LOG)?),
        terminal: if plain { Terminal::Plain } else { Terminal::Allowed },
    })
}

/// The option names and values that were given.
type Flags = Vec<(&'static str, Vec<String>)>;

/// Takes the options out of `words`; what is left are targets.
fn extract(words: Vec<String>) -> Result<(Flags, Vec<String>), UsageError> {
    let (options, targets) = spell_out(words);
    check_values_are_there(&options)?;
    let mut args = Arguments::from_vec(options.into_iter().map(OsString::from).collect());
    let mut flags = Vec::new();
    for option in OPTIONS {
        let found = args.values_from_str::<_, String>(option.flag);
        let values = found.map_err(|error| UsageError(format!("{}: {error}", option.flag)))?;
        if !values.is_empty() {
            flags.push((option.long(), values));
        }
    }
    if let Some(word) = targets.iter().find(|word| looks_like_an_option(word)) {
        let name = word.split('=').next().unwrap_or_default();
        return match options::suggestion(name) {
            Some(known) => usage(format!("unknown option `{}`; did you mean `{known}`?", beginning_of(name))),
            None => usage(format!(
                "unknown option `{}`; `when-ready --help` shows the usage, and options of COMMAND stand behind `--`",
                beginning_of(name)
            )),
        };
    }
    Ok((flags, targets))
}

/// One spelling for all: `-qt5`, `-t=5` and `--timeout=5` become `--quiet true --timeout 5`, so that
/// of a repeated option the last wins, however it is written. Gives the options, and apart from them the words
/// that are none.
fn spell_out(words: Vec<String>) -> (Vec<String>, Vec<String>) {
    let (mut options, mut others) = (Vec::new(), Vec::with_capacity(words.len()));
    let mut is_value = false;
    for word in words {
        // What looks like an option is no value: the option before it lacks its own.
        if is_value && !looks_like_an_option(&word) {
            options.push(word);
            is_value = false;
            continue;
        }
        let parts = if word.starts_with("--") { long(&word) } else { cluster(&word) };
        match parts {
            Some(parts) => {
                is_value = parts.len() % 2 == 1;
                options.extend(parts);
            }
            None => {
                is_value = false;
                others.push(word);
            }
        }
    }
    (options, others)
}

fn looks_like_an_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// `--timeout`, `--timeout=5`, `--any`, `--any=false`
fn long(word: &str) -> Option<Vec<String>> {
    let (flag, value) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
    let option = OPTIONS.iter().find(|option| option.flag == flag)?;
    let value = value.or((option.takes == Takes::Nothing).then_some("true"));
    Some([option.flag].into_iter().chain(value).map(str::to_owned).collect())
}

/// `-q`, `-t5`, `-qt5`, as getopt reads them.
fn cluster(word: &str) -> Option<Vec<String>> {
    let letters = word.strip_prefix('-').filter(|letters| !letters.is_empty())?;
    let mut out = Vec::new();
    for (index, letter) in letters.char_indices() {
        let option = OPTIONS.iter().find(|option| option.short.is_some_and(|short| short.ends_with(letter)))?;
        out.push(option.flag.to_owned());
        if option.takes == Takes::Nothing {
            out.push("true".to_owned());
        } else {
            let value = letters[index + letter.len_utf8()..].trim_start_matches('=');
            out.extend(Some(value.to_owned()).filter(|value| !value.is_empty()));
            return Some(out);
        }
    }
    Some(out)
}

/// `--timeout --quiet` would take `--quiet` for the duration.
fn check_values_are_there(words: &[String]) -> Result<(), UsageError> {
    for (index, word) in words.iter().enumerate() {
        let option = OPTIONS.iter().find(|option| word == option.flag);
        let Some(option) = option.filter(|option| option.takes != Takes::Nothing) else { continue };
        let next = words.get(index + 1);
        if next.is_none_or(|next| looks_like_an_option(next)) {
            let value = option.takes.placeholder().unwrap_or_default();
            return usage(format!("{} needs a value: {} {value}", option.flag, option.flag));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
