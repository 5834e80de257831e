//! Command line and environment → [`Parsed`]. It validates and stores; it opens no connection and
//! prints nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use pico_args::Arguments;

use crate::config::{
    Check, Color, Config, Format, Output, Parsed, ReportTo, Shell, Terminal, TerminationLog, Timeline, TimelineFormat,
    Verbosity,
};
use crate::duration;
use crate::net::tls_settings::{CertificateCheck, TlsOptions};
use crate::options::{self, OPTIONS, Opt, Takes};
use crate::targets::shared::http_options::{HttpDefaults, Statuses, parse_header, parse_method};
use crate::targets::shared::lookup::Lookup;
use crate::targets::shared::target::Target;
use crate::targets::shared::url::split_name;
use crate::targets::variables::left_out;
use crate::targets::{Surroundings, is_one_connection_string, mistakes, redact_word};
use crate::text::{self, beginning_of, positive, truth};
use crate::wait::backoff::{AFTER_ANSWERS, Backoff, Pauses};
use crate::wait::deadline::Deadline;
use crate::wait::policy::{Goal, OnPermanent, OnTimeout, Policy, Quorum, Silence};

/// The options that were given, each with its values.
struct Given<'a> {
    flags: Flags,
    lookup: &'a Lookup<'a>,
    /// Whether it is a check that is asked for, which takes less from the environment.
    is_check: bool,
}

impl<'a> Given<'a> {
    fn new(flags: Flags, lookup: &'a Lookup<'a>) -> Result<Self, String> {
        let mut given = Self { flags, lookup, is_check: false };
        given.is_check = given.flag(&options::CHECK)?;
        Ok(given)
    }

    /// The values of an option, the command line before the environment; and where they came from: an error about
    /// them says so.
    fn values<'o>(&self, option: &'o Opt) -> Result<(Vec<String>, &'o str), String> {
        match self.on_command_line(option) {
            Some(values) => Ok((values.to_vec(), option.flag)),
            None => {
                let variable = option.variable().filter(|_| option.in_check || !self.is_check).unwrap_or_default();
                let value = if variable.is_empty() { None } else { self.lookup.text(variable)? };
                // Compose passes a variable that is not set as an empty one.
                let value = value.filter(|value| !value.is_empty());
                Ok((value.map_or_else(Vec::new, |value| vec![value]), variable))
            }
        }
    }

    /// The value of an option; the last one where it was given twice, as with curl.
    fn value<T>(&self, option: &Opt, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
        let mut found = None;
        self.read(option, &mut |text| {
            found = Some(parse(text)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Has the value of an option read, if it is given. What is the same for values of all types is here.
    fn read(&self, option: &Opt, parse: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), String> {
        let (values, source) = self.values(option)?;
        let Some(value) = values.last() else { return Ok(()) };
        parse(value).map_err(|problem| format!("{source}: {problem}"))
    }

    /// Whether a flag is on.
    fn flag(&self, option: &Opt) -> Result<bool, String> {
        Ok(self.value(option, parse_bool)?.unwrap_or(false))
    }

    /// The values of an option on the command line, if it is there.
    fn on_command_line(&self, option: &Opt) -> Option<&[String]> {
        self.flags.iter().find(|(flag, _)| *flag == option.flag).map(|(_, values)| values.as_slice())
    }

    fn path(&self, option: &Opt) -> Result<Option<PathBuf>, String> {
        self.value(option, |text| match text {
            "" => Err("it names no file".to_owned()),
            path => Ok(PathBuf::from(path)),
        })
    }
}

fn parse_bool(text: &str) -> Result<bool, String> {
    truth(text).ok_or_else(|| format!("`{}` is not true or false (try `true`)", beginning_of(text)))
}

/// Parses the arguments (without the program's name) and the environment.
///
/// # Errors
///
/// Names the word, option or variable, and what would be right: exit status 2, before anything is probed.
pub(crate) fn parse(args: Vec<OsString>, lookup: &Lookup<'_>) -> Result<Parsed, String> {
    let mut words = args;
    let command = words.iter().position(|word| word == "--").map(|at| {
        let command = words.split_off(at + 1);
        words.truncate(at);
        command
    });
    let words = words
        .into_iter()
        .map(|word| {
            word.into_string().map_err(|word| format!("`{}` is not UTF-8", redact_word(&word.to_string_lossy())))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (flags, targets) = extract(words)?;
    let given = Given::new(flags, lookup)?;

    for (option, parsed) in
        [(&options::HELP, Parsed::Help), (&options::VERSION, Parsed::Version), (&options::MAN, Parsed::Man)]
    {
        if given.flag(option)? {
            return Ok(parsed);
        }
    }
    let shells = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];
    if let Some(shell) = given.value(&options::COMPLETIONS, |text| one_of(&shells, text))? {
        return Ok(Parsed::Completions(shell));
    }
    if given.flag(&options::TIMELINE)? {
        return timeline(&given, targets, command.is_some());
    }
    if command.as_ref().is_some_and(Vec::is_empty) {
        return Err(
            "after `--` comes the command to run, and there is none: ENTRYPOINT and Compose's `entrypoint:` unset the \
             image's CMD; write it again (CMD, `command:`)"
                .to_owned(),
        );
    }
    let config = config(&given, &targets, command)?;
    if config.output.report == Some(ReportTo::Stdout) {
        let source = given.values(&options::REPORT)?.1;
        if given.is_check {
            return Err(format!("{source}: the table is on standard output already; --format json is its report"));
        }
        if config.command.is_some() {
            return Err(format!("{source}: standard output belongs to COMMAND; name a file for the report"));
        }
    }
    check(&given, config)
}

/// How and where an error is told that the rest of the command line, or of the environment, may hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Voice {
    /// The format of the log.
    pub(crate) format: Format,
    /// Where a failed wait leaves its summary; a check leaves none.
    pub(crate) termination_log: Option<TerminationLog>,
    /// Whether it is a check that is asked for.
    pub(crate) is_check: bool,
    /// When the files that the rest names must have been read: the deadline, or that of a check's attempts.
    pub(crate) limit: Deadline,
    /// COMMAND, where it runs at the deadline even so.
    pub(crate) even_so: Option<Vec<OsString>>,
    /// `--name`
    pub(crate) name: Option<String>,
}

/// The options that can be made out, whatever else is wrong.
pub(crate) fn voice(args: &[OsString], env: &dyn Fn(&str) -> Option<OsString>) -> Voice {
    let mut parts = args.splitn(2, |word| word == "--");
    let words = parts.next().unwrap_or_default().iter().filter_map(|word| word.to_str());
    let (options, _) = spell_out(words.map(str::to_owned).collect());
    let given = |option: &Opt| {
        let value_of = |pair: &[String]| (pair[0] == option.flag).then(|| pair[1].clone());
        let on_command_line = options.windows(2).filter_map(value_of).next_back();
        on_command_line.or_else(|| env(option.variable()?)?.into_string().ok()).filter(|value| !value.is_empty())
    };
    let is_check = given(&options::CHECK).is_some_and(|value| parse_bool(&value) == Ok(true));
    let termination_log = given(&options::TERMINATION_LOG).map(PathBuf::from);
    let defaults = Policy::default();
    let attempt = given(&options::ATTEMPT_TIMEOUT).and_then(|value| duration::parse_positive(&value).ok());
    let deadline = given(&options::TIMEOUT).and_then(|value| duration::parse_deadline(&value).ok());
    let runs_even_so = !is_check && given(&options::ON_TIMEOUT).is_some_and(|value| value == "run");
    Voice {
        format: given(&options::LOG_FORMAT).and_then(|value| parse_format(&value).ok()).unwrap_or(Format::Text),
        termination_log: (!is_check).then(|| TerminationLog::of(termination_log)),
        is_check,
        limit: if is_check {
            Deadline::At(attempt.unwrap_or(defaults.attempt_timeout))
        } else {
            deadline.unwrap_or(defaults.timeout)
        },
        even_so: parts.next().filter(|words| runs_even_so && !words.is_empty()).map(<[_]>::to_vec),
        name: given(&options::NAME),
    }
}

/// Warnings about variables that look like misspelt ones of ours.
pub(crate) fn misspelt<'a>(variables: impl Iterator<Item = &'a str>) -> Vec<String> {
    let warning =
        |name| Some(format!("{name} is no variable of when-ready: {} is", options::suggested_variable(name)?));
    variables.filter_map(warning).collect()
}

fn timeline(given: &Given<'_>, words: Vec<String>, has_command: bool) -> Result<Parsed, String> {
    if has_command {
        return Err("--timeline runs no command; leave out `--` and what follows it".to_owned());
    }
    if given.is_check {
        return Err("--timeline and --check contradict each other".to_owned());
    }
    let formats = [("text", TimelineFormat::Text), ("svg", TimelineFormat::Svg)];
    // The variable is for checks.
    let is_given = given.on_command_line(&options::FORMAT).is_some();
    let format = if is_given { given.value(&options::FORMAT, |text| one_of(&formats, text))? } else { None };
    let files = words.into_iter().map(PathBuf::from).collect();
    let timeline = Timeline { files, format: format.unwrap_or(TimelineFormat::Text) };
    Ok(Parsed::Timeline(timeline, output(given)?))
}

fn check(given: &Given<'_>, config: Config) -> Result<Parsed, String> {
    let watch = given.value(&options::WATCH, duration::parse_positive)?;
    let format = given.value(&options::FORMAT, parse_format)?;
    if !given.is_check {
        for (option, with) in [(&options::WATCH, "--check"), (&options::FORMAT, "--check and --timeline")] {
            if given.on_command_line(option).is_some() {
                return Err(format!("{} goes with {with}", option.flag));
            }
        }
        return Ok(Parsed::Run(Box::new(config)));
    }
    if config.command.is_some() {
        return Err("--check runs no command; leave out `--` and what follows it".to_owned());
    }
    Ok(Parsed::Check(Box::new(config), Check { format: format.unwrap_or(Format::Text), watch }))
}

fn config(given: &Given<'_>, words: &[String], command: Option<Vec<OsString>>) -> Result<Config, String> {
    let http = http_defaults(given)?;
    let policy = policy(given)?;
    let tls = tls_options(given)?;
    let output = output(given)?;
    let context = Surroundings { lookup: Lookup { env: given.lookup.env, file: given.lookup.file }, http: &http };
    let (targets, notes) = targets(words, &context)?;
    if policy.goal == Goal::Down
        && let Some(target) = targets.iter().find(|target| target.probe.can_end_the_wait())
    {
        let problem = "`fail-…=` ends a wait for what shall be ready; it means nothing under --until-down";
        return Err(format!("target `{}`: {problem}", target.label()));
    }
    Ok(Config { targets: targets.into(), notes, policy, tls, output, command })
}

/// The targets, and what is said about those that are left out.
fn targets(words: &[String], context: &Surroundings<'_>) -> Result<(Vec<Target>, Vec<String>), String> {
    const VARIABLE: &str = options::TARGETS_VARIABLE;
    let (mut targets, mut notes) = (Vec::new(), Vec::new());
    let mut add = |word: &str| -> Result<(), String> {
        if let Some(variable) = left_out(word, &context.lookup)? {
            notes.push(format!("a target is left out: {variable} is empty or not set"));
            return Ok(());
        }
        if let Some(hint) = mistakes::recognised(word, &context.lookup) {
            return Err(format!("target `{}`: {hint}", redact_word(word)));
        }
        targets.extend(Target::parse_list(word, context).map_err(|error| error.to_string())?);
        Ok(())
    };
    if !words.is_empty() {
        for (index, word) in words.iter().enumerate() {
            add(word).map_err(|error| format!("{error}{}", slip(index, word)))?;
        }
        return Ok((targets, notes));
    }
    match context.lookup.text(VARIABLE)? {
        Some(list) => {
            let problem = |problem: String| format!("{VARIABLE}: {problem}");
            words_of(&list).map_err(problem)?.iter().try_for_each(|word| add(word)).map_err(problem)?;
            Ok((targets, notes))
        }
        None => Err("no targets: name what to wait for, like `when-ready db:5432 -- COMMAND`".to_owned()),
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
        // A word in a quote or behind a blank is no name.
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

fn policy(given: &Given<'_>) -> Result<Policy, String> {
    let defaults = Policy::default();
    let on_timeout = [("fail", OnTimeout::Fail), ("run", OnTimeout::Run)];
    let attempt_timeout = given.value(&options::ATTEMPT_TIMEOUT, duration::parse_positive)?;
    Ok(Policy {
        timeout: given.value(&options::TIMEOUT, duration::parse_deadline)?.unwrap_or(defaults.timeout),
        attempt_timeout: attempt_timeout.unwrap_or(defaults.attempt_timeout),
        silence: if attempt_timeout.is_some() { Silence::Ended } else { defaults.silence },
        pauses: pauses(given)?,
        max_attempts: given.value(&options::MAX_ATTEMPTS, positive)?.or(defaults.max_attempts),
        successes: given.value(&options::SUCCESSES, positive)?.unwrap_or(defaults.successes),
        quorum: if given.flag(&options::ANY)? { Quorum::Any } else { defaults.quorum },
        goal: if given.flag(&options::UNTIL_DOWN)? { Goal::Down } else { defaults.goal },
        on_permanent: if given.flag(&options::FAIL_FAST)? { OnPermanent::Fail } else { defaults.on_permanent },
        on_timeout: given.value(&options::ON_TIMEOUT, |text| one_of(&on_timeout, text))?.unwrap_or(defaults.on_timeout),
    })
}

fn pauses(given: &Given<'_>) -> Result<Pauses, String> {
    let initial = given.value(&options::INTERVAL, duration::parse_positive)?;
    let factor = given.value(&options::BACKOFF, parse_factor)?;
    let cap = given.value(&options::MAX_INTERVAL, duration::parse)?;
    if (initial, factor, cap) == (None, None, None) {
        return Ok(Pauses::Default);
    }
    let defaults = AFTER_ANSWERS;
    let initial = initial.unwrap_or(defaults.initial);
    if let Some(cap) = cap.filter(|cap| *cap < initial) {
        return Err(format!(
            "{}: {} is shorter than the first pause of {} (--interval)",
            given.values(&options::MAX_INTERVAL)?.1,
            text::human(cap),
            text::human(initial)
        ));
    }
    let (factor, cap) = (factor.unwrap_or(defaults.factor), cap.unwrap_or(defaults.cap).max(initial));
    Ok(Pauses::Configured(Backoff { initial, factor, cap }))
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
    text::one_of(all, text).map_err(|names| format!("`{}` is not one of {names}", beginning_of(text)))
}

fn http_defaults(given: &Given<'_>) -> Result<HttpDefaults, String> {
    let (headers, source) = given.values(&options::HTTP_HEADER)?;
    let headers = headers
        .iter()
        .flat_map(|value| value.lines().filter(|line| !line.trim().is_empty()))
        .map(|line| parse_header(line).map_err(|problem| format!("{source}: {problem}")))
        .collect::<Result<_, _>>()?;
    let defaults = HttpDefaults::default();
    Ok(HttpDefaults {
        method: given.value(&options::HTTP_METHOD, parse_method)?.unwrap_or(defaults.method),
        headers,
        status: given.value(&options::HTTP_STATUS, Statuses::parse)?.unwrap_or(defaults.status),
    })
}

fn tls_options(given: &Given<'_>) -> Result<TlsOptions, String> {
    let (cert, key) = (given.path(&options::TLS_CERT)?, given.path(&options::TLS_KEY)?);
    match (&cert, &key) {
        (Some(_), None) => return Err("--tls-cert needs the certificate's key: --tls-key FILE".to_owned()),
        (None, Some(_)) => return Err("--tls-key needs the certificate: --tls-cert FILE".to_owned()),
        _ => {}
    }
    let ca = given.path(&options::TLS_CA)?;
    let check = given.flag(&options::TLS_INSECURE)?.then_some(CertificateCheck::Nothing);
    let roots = (given.lookup.env)("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(TlsOptions { ca, cert, key, check, roots })
}

fn output(given: &Given<'_>) -> Result<Output, String> {
    let (quiet, verbose) = (given.flag(&options::QUIET)?, given.flag(&options::VERBOSE)?);
    // The command line overrules the environment.
    let is_on = |option| given.on_command_line(option).and_then(<[_]>::last).is_some_and(|value| value == "true");
    let verbosity = match (quiet, verbose) {
        (true, true) if is_on(&options::QUIET) == is_on(&options::VERBOSE) => {
            return Err("--quiet and --verbose contradict each other".to_owned());
        }
        (true, true) if is_on(&options::VERBOSE) => Verbosity::Verbose,
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    };
    let env = |name: &str| (given.lookup.env)(name).filter(|value| !value.is_empty());
    let is_dumb = env("TERM").is_none_or(|term| term == "dumb");
    let colors = [("auto", Color::Auto), ("always", Color::Always), ("never", Color::Never)];
    let color = given.value(&options::COLOR, |text| one_of(&colors, text))?.unwrap_or(Color::Auto);
    Ok(Output {
        verbosity,
        format: given.value(&options::LOG_FORMAT, parse_format)?.unwrap_or(Format::Text),
        report: given.path(&options::REPORT)?.map(|path| match path.to_str() {
            Some("-") => ReportTo::Stdout,
            _ => ReportTo::File(path),
        }),
        termination_log: TerminationLog::of(given.path(&options::TERMINATION_LOG)?),
        terminal: if is_dumb { Terminal::Plain } else { Terminal::Allowed },
        color: if color == Color::Auto && env("NO_COLOR").is_some() { Color::Never } else { color },
        name: given.value(&options::NAME, |name| Ok(name.to_owned()))?,
    })
}

/// The option names and values that were given.
type Flags = Vec<(&'static str, Vec<String>)>;

/// Takes the options out of `words`; what is left are targets.
fn extract(words: Vec<String>) -> Result<(Flags, Vec<String>), String> {
    let (options, targets) = spell_out(words);
    check_values_are_there(&options)?;
    // Each search goes through all words: there is one for each option that is given, not for all that there are. A word
    // that is given may be the value of another option.
    let given: Vec<&Opt> =
        OPTIONS.iter().copied().filter(|option| options.iter().any(|word| word == option.flag)).collect();
    let mut args = Arguments::from_vec(options.into_iter().map(OsString::from).collect());
    let mut flags = Vec::new();
    for Opt { flag, .. } in given {
        let values = args.values_from_str(*flag).map_err(|error| format!("{flag}: {error}"))?;
        if !values.is_empty() {
            flags.push((*flag, values));
        }
    }
    if let Some(word) = targets.iter().find(|word| looks_like_an_option(word)) {
        let name = word.split('=').next().unwrap_or_default();
        // `db:5432 npm run start --port 3000`
        let before = targets.iter().take_while(|before| *before != word).enumerate();
        if let Some((_, command)) = before.skip(1).find(|(index, word)| !slip(*index, word).is_empty()) {
            return Err(format!("unknown option `{}`{}", without_value(name), slip(1, command)));
        }
        return match options::suggested_option(name) {
            Some(known) => Err(format!("unknown option `{}`; did you mean `{known}`?", without_value(name))),
            None => Err(format!(
                "unknown option `{}`; `when-ready --help` shows the usage, and options of COMMAND stand behind `--`",
                without_value(name)
            )),
        };
    }
    Ok((flags, targets))
}

/// An option of somebody else's as it is shown: `-p` of `-phunter2`.
fn without_value(option: &str) -> String {
    match option.char_indices().nth(2) {
        Some((end, _)) if !option.starts_with("--") => format!("{}…", beginning_of(&option[..end])),
        _ => beginning_of(option),
    }
}

/// Options in one spelling: `-qt5`, `-t=5` and `--timeout=5` become `--quiet true --timeout 5`, so that
/// of a repeated option the last wins, however it is written. Gives the options, and apart from them the words
/// that are none.
fn spell_out(words: Vec<String>) -> (Vec<String>, Vec<String>) {
    let (mut options, mut others) = (Vec::new(), Vec::with_capacity(words.len()));
    let mut is_value = false;
    for word in words {
        // A word that looks like an option is no value: the option before it lacks its own.
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
fn check_values_are_there(words: &[String]) -> Result<(), String> {
    for (index, word) in words.iter().enumerate() {
        let option = OPTIONS.iter().find(|option| word == option.flag);
        let Some(option) = option.filter(|option| option.takes != Takes::Nothing) else { continue };
        let next = words.get(index + 1);
        if next.is_none_or(|next| looks_like_an_option(next)) {
            let value = option.takes.placeholder().unwrap_or_default();
            return Err(format!("{} needs a value: {} {value}", option.flag, option.flag));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
