//! The one table of options: it makes the parser, the environment variables, `--help`, the shell
//! completions and the man page.

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    /// `--timeout`
    pub flag: &'static str,
    /// `-t`
    pub short: Option<&'static str>,
    /// What the option takes.
    pub takes: Takes,
    /// Where `--help` shows it.
    pub group: Group,
    /// One line, with the default.
    pub help: &'static str,
    /// Whether `--check` takes it from the environment too: the variables of a gate reach its container's health
    /// check as well, whose verdict they must not change.
    pub in_check: bool,
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A value; the word is shown in its place.
    Value(&'static str),
    /// A file's path.
    File,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Takes {
    /// What `--help` shows in the value's place.
    pub fn placeholder(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Value(word) => Some(word.to_owned()),
            Self::File => Some("FILE".to_owned()),
            Self::OneOf(words) => Some(words.join("|")),
        }
    }
}

/// The groups of `--help`, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// How long and how often.
    Time,
    /// What counts.
    Policy,
    /// `--check`.
    Check,
    /// What is said.
    Output,
    /// HTTP and TLS.
    Http,
    /// Options that answer and end: no environment variable.
    About,
}

impl Group {
    /// All of them with their headings.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Time, "Time (90, 500ms, 1m30s)"),
        (Self::Policy, "Policy"),
        (Self::Check, "Health check"),
        (Self::Output, "Output"),
        (Self::Http, "HTTP and TLS"),
        (Self::About, "About"),
    ];
}

const fn opt(flag: &'static str, takes: Takes, group: Group, help: &'static str) -> Opt {
    let in_check = matches!(group, Group::Check | Group::Output | Group::Http);
    Opt { flag, short: None, takes, group, help, in_check }
}

/// One that describes attempts, and not the wait.
const fn of_attempts(option: Opt) -> Opt {
    Opt { in_check: true, ..option }
}

/// One that is the gate's own.
const fn of_the_gate(option: Opt) -> Opt {
    Opt { in_check: false, ..option }
}

const fn short(short: &'static str, option: Opt) -> Opt {
    Opt { short: Some(short), ..option }
}

/// `--timeout`
pub static TIMEOUT: Opt = short(
    "-t",
    opt("--timeout", Takes::Value("DURATION"), Group::Time, "give up after this long [60s]; 0 or none: never"),
);
/// `--attempt-timeout`
pub static ATTEMPT_TIMEOUT: Opt =
    of_attempts(opt("--attempt-timeout", Takes::Value("DURATION"), Group::Time, "longest single attempt [5s]"));
/// `--interval`
pub static INTERVAL: Opt =
    opt("--interval", Takes::Value("DURATION"), Group::Time, "first pause between attempts [10ms]");
/// `--backoff`
pub static BACKOFF: Opt =
    opt("--backoff", Takes::Value("FACTOR"), Group::Time, "each pause is this much longer [1.03]");
/// `--max-interval`
pub static MAX_INTERVAL: Opt = opt("--max-interval", Takes::Value("DURATION"), Group::Time, "longest pause [500ms]");
/// `--max-attempts`
pub static MAX_ATTEMPTS: Opt =
    opt("--max-attempts", Takes::Value("N"), Group::Time, "give up a target after N attempts [unlimited]");
/// `--successes`
pub static SUCCESSES: Opt = opt("--successes", Takes::Value("N"), Group::Time, "ready after N successes in a row [1]");
/// `--any`
pub static ANY: Opt = opt("--any", Takes::Nothing, Group::Policy, "one ready target is enough");
/// `--until-down`
pub static UNTIL_DOWN: Opt =
    opt("--until-down", Takes::Nothing, Group::Policy, "wait until targets refuse connections or are gone");
/// `--fail-fast`
pub static FAIL_FAST: Opt =
    opt("--fail-fast", Takes::Nothing, Group::Policy, "stop at a failure that waiting cannot mend");
/// `--on-timeout`
pub static ON_TIMEOUT: Opt = opt(
    "--on-timeout",
    Takes::OneOf(&["fail", "run"]),
    Group::Policy,
    "at the deadline exit 124, or run COMMAND [fail]",
);
/// `--check`
pub static CHECK: Opt = opt("--check", Takes::Nothing, Group::Check, "probe once, print a table, exit 0 or 1");
/// `--format`
pub static FORMAT: Opt = opt("--format", Takes::OneOf(&["text", "json"]), Group::Check, "format of the table [text]");
/// `--watch`
pub static WATCH: Opt = opt("--watch", Takes::Value("DURATION"), Group::Check, "repeat the check until interrupted");
/// `--quiet`
pub static QUIET: Opt = short("-q", opt("--quiet", Takes::Nothing, Group::Output, "errors only"));
/// `--verbose`
pub static VERBOSE: Opt = short("-v", opt("--verbose", Takes::Nothing, Group::Output, "every attempt"));
/// `--log-format`
pub static LOG_FORMAT: Opt =
    opt("--log-format", Takes::OneOf(&["text", "json"]), Group::Output, "format of the log on stderr [text]");
/// `--report`
pub static REPORT: Opt =
    of_the_gate(opt("--report", Takes::File, Group::Output, "write a JSON report at the end; -: stdout"));
/// `--termination-log`
pub static TERMINATION_LOG: Opt = of_the_gate(opt(
    "--termination-log",
    Takes::File,
    Group::Output,
    "summary of a failed wait [/dev/termination-log]",
));
/// `--http-method`
pub static HTTP_METHOD: Opt = opt("--http-method", Takes::Value("METHOD"), Group::Http, "method of HTTP targets [GET]");
/// `--http-header`
pub static HTTP_HEADER: Opt =
    opt("--http-header", Takes::Value("'NAME: VALUE'"), Group::Http, "header of HTTP targets (repeatable)");
/// `--http-status`
pub static HTTP_STATUS: Opt = opt("--http-status", Takes::Value("LIST"), Group::Http, "accepted statuses [200-399]");
/// `--tls-ca`
pub static TLS_CA: Opt = opt("--tls-ca", Takes::File, Group::Http, "CA certificates (PEM), added to the roots");
/// `--tls-cert`
pub static TLS_CERT: Opt = opt("--tls-cert", Takes::File, Group::Http, "client certificate (PEM)");
/// `--tls-key`
pub static TLS_KEY: Opt = opt("--tls-key", Takes::File, Group::Http, "key of the client certificate (PEM)");
/// `--tls-insecure`
pub static TLS_INSECURE: Opt = opt("--tls-insecure", Takes::Nothing, Group::Http, "do not verify certificates");
/// `--help`
pub static HELP: Opt = short("-h", opt("--help", Takes::Nothing, Group::About, "print this help"));
/// `--version`
pub static VERSION: Opt = short("-V", opt("--version", Takes::Nothing, Group::About, "print the version"));
/// `--completions`
pub static COMPLETIONS: Opt =
    opt("--completions", Takes::OneOf(&["bash", "zsh", "fish"]), Group::About, "print shell completions");
/// `--man`
pub static MAN: Opt = opt("--man", Takes::Nothing, Group::About, "print the man page");

/// Every option, in the order of `--help`.
pub static OPTIONS: &[&Opt] = &[
    &TIMEOUT,
    &ATTEMPT_TIMEOUT,
    &INTERVAL,
    &BACKOFF,
    &MAX_INTERVAL,
    &MAX_ATTEMPTS,
    &SUCCESSES,
    &ANY,
    &UNTIL_DOWN,
    &FAIL_FAST,
    &ON_TIMEOUT,
    &CHECK,
    &FORMAT,
    &WATCH,
    &QUIET,
    &VERBOSE,
    &LOG_FORMAT,
    &REPORT,
    &TERMINATION_LOG,
    &HTTP_METHOD,
    &HTTP_HEADER,
    &HTTP_STATUS,
    &TLS_CA,
    &TLS_CERT,
    &TLS_KEY,
    &TLS_INSECURE,
    &HELP,
    &VERSION,
    &COMPLETIONS,
    &MAN,
];

impl Opt {
    /// `timeout` for `--timeout`.
    pub fn long(&self) -> &'static str {
        self.flag.strip_prefix("--").unwrap_or(self.flag)
    }

    /// The environment variable of the option, where it has one.
    pub fn variable(&self) -> Option<String> {
        if self.group == Group::About {
            return None;
        }
        let mut name = [PREFIX, self.long()].concat().into_bytes();
        for byte in &mut name {
            *byte = if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
        }
        String::from_utf8(name).ok()
    }

    /// `-t, --timeout DURATION`
    pub fn synopsis(&self) -> String {
        let short = self.short.map_or_else(|| "    ".to_owned(), |short| format!("{short}, "));
        let value = self.takes.placeholder().map_or_else(String::new, |word| format!(" {word}"));
        format!("{short}{}{value}", self.flag)
    }
}

/// What the names of our variables begin with.
pub const PREFIX: &str = "WHEN_READY_";
/// The variable with the targets.
pub const TARGETS_VARIABLE: &str = "WHEN_READY_TARGETS";

/// The variable that an unknown one was most likely meant to be. Those that Kubernetes sets for a service of such a name
/// are no spelling mistakes, and neither is what looks like none of ours.
pub fn suggested_variable(name: &str) -> Option<String> {
    let known = || OPTIONS.iter().filter_map(|option| option.variable()).chain([TARGETS_VARIABLE.to_owned()]);
    let word = name.strip_prefix(PREFIX)?;
    if is_of_kubernetes(word) || known().any(|known| known == name) {
        return None;
    }
    let most = (word.len() / 4).clamp(1, 2);
    let distance = |known: &String| strsim::osa_distance(name, known);
    known().min_by_key(distance).filter(|known| distance(known) <= most)
}

/// `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_HTTP`, `PORT`, `PORT_80_TCP`, `PORT_80_TCP_ADDR`; before them the rest of
/// a service's name may stand.
fn is_of_kubernetes(word: &str) -> bool {
    let ends = |end: &str| word == end || word.ends_with(&format!("_{end}"));
    let holds = |part: &str| word.starts_with(part) || word.contains(&format!("_{part}"));
    let is_port = |digits: &str| digits.split('_').next().is_some_and(|port| port.parse::<u16>().is_ok());
    ends("SERVICE_HOST")
        || ends("SERVICE_PORT")
        || holds("SERVICE_PORT_")
        || ends("PORT")
        || holds("PORT_") && word.rsplit_once("PORT_").is_some_and(|(_, rest)| is_port(rest))
        || ["_PORT", "_PROTO", "_ADDR"].iter().any(|end| {
            word.strip_suffix(end).and_then(|word| word.rsplit_once("PORT_")).is_some_and(|(_, rest)| is_port(rest))
        })
}

/// The option that an unknown word was most likely meant to be.
pub fn suggestion(word: &str) -> Option<String> {
    let word = word.trim_start_matches('-').split('=').next().unwrap_or_default();
    let (distance, option) = OPTIONS
        .iter()
        .map(|option| (strsim::osa_distance(word, option.long()), option))
        .min_by_key(|(distance, _)| *distance)?;
    let is_prefix = word.len() > 2 && option.long().starts_with(word);
    (distance <= 2.max(word.len() / 3) && word.len() > 1 || is_prefix).then(|| option.flag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_but_those_that_answer_has_a_variable() {
        assert_eq!(ATTEMPT_TIMEOUT.variable().as_deref(), Some("WHEN_READY_ATTEMPT_TIMEOUT"));
        assert_eq!(HELP.variable(), None);
    }

    #[test]
    fn a_misspelt_variable_is_recognised_and_those_of_others_are_left_alone() {
        for (name, meant) in [
            ("WHEN_READY_TIMOUT", "WHEN_READY_TIMEOUT"),
            ("WHEN_READY_TARGET", "WHEN_READY_TARGETS"),
            ("WHEN_READY_FAILFAST", "WHEN_READY_FAIL_FAST"),
            ("WHEN_READY_ATTEMPT_TIMEOUTS", "WHEN_READY_ATTEMPT_TIMEOUT"),
            ("WHEN_READY_REPROT", "WHEN_READY_REPORT"),
        ] {
            assert_eq!(suggested_variable(name).as_deref(), Some(meant), "{name}");
        }
        for name in [
            "WHEN_READY_TIMEOUT",
            "WHEN_READY_TARGETS",
            "WHEN_READY_SERVICE_HOST",
            "WHEN_READY_SERVICE_PORT",
            "WHEN_READY_SERVICE_PORT_HTTP",
            "WHEN_READY_PORT",
            "WHEN_READY_PORT_80_TCP",
            "WHEN_READY_PORT_80_TCP_PROTO",
            "WHEN_READY_PORT_80_TCP_PORT",
            "WHEN_READY_PORT_80_TCP_ADDR",
            "WHEN_READY_WEB_PORT_80_TCP_ADDR",
            "WHEN_READY_VERSION",
            "WHEN_READY_HOME",
            "READY_TIMOUT",
        ] {
            assert_eq!(suggested_variable(name), None, "{name}");
        }
    }

    #[test]
    fn a_check_takes_what_describes_targets_attempts_tls_and_output() {
        let taken: Vec<&str> = OPTIONS.iter().filter(|option| option.in_check).map(|option| option.long()).collect();
        let expected = "attempt-timeout check format watch quiet verbose log-format http-method http-header http-status \
                        tls-ca tls-cert tls-key tls-insecure";
        assert_eq!(taken.join(" "), expected);
    }

    #[test]
    fn a_misspelt_option_is_recognised() {
        assert_eq!(suggestion("--timout").as_deref(), Some("--timeout"));
        assert_eq!(suggestion("--zzzzzzzz"), None);
        assert_eq!(suggestion("--sucesses=3").as_deref(), Some("--successes"));
        assert_eq!(suggestion("-x"), None);
    }
}
