//! The one table of options: it makes the parser, the environment variables, `--help`, the shell
//! completions and the man page.

use Group::{About, Check, Http, Output, Policy, Time};
use Takes::{File, Nothing, OneOf, Value};

use crate::text::did_you_mean;

/// An option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opt {
    /// `--timeout`
    pub(crate) flag: &'static str,
    /// `-t`
    pub(crate) short: Option<&'static str>,
    /// The kind of value.
    pub(crate) takes: Takes,
    /// Where `--help` shows it.
    pub(crate) group: Group,
    /// A line of help, with the default.
    pub(crate) help: &'static str,
    /// Whether `--check` takes it from the environment too: the variables of a gate reach its container's health
    /// check as well, whose verdict they must not change.
    pub(crate) in_check: bool,
    /// `WHEN_READY_TIMEOUT`; none of the group [`About`] is heeded.
    variable: &'static str,
}

/// The kind of value of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing.
    Nothing,
    /// A value; the word is shown in its place.
    Value(&'static str),
    /// A file's path.
    File,
    /// A word of these.
    OneOf(&'static [&'static str]),
}

impl Takes {
    /// The word that `--help` shows in the value's place.
    pub(crate) fn placeholder(self) -> Option<String> {
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
pub(crate) enum Group {
    /// How long and how often.
    Time,
    /// The number of repetitions.
    Policy,
    /// `--check`.
    Check,
    /// Output.
    Output,
    /// HTTP and TLS.
    Http,
    /// Options that answer and end: no environment variable.
    About,
}

impl Group {
    /// All of them with their headings.
    pub(crate) const ALL: [(Self, &'static str); 6] = [
        (Self::Time, "Time (90, 500ms, 1m30s)"),
        (Self::Policy, "Policy"),
        (Self::Check, "Health check"),
        (Self::Output, "Output"),
        (Self::Http, "HTTP and TLS"),
        (Self::About, "Print and end"),
    ];
}

/// Makes each option a static of its name, which its variable shares, and all of them [`OPTIONS`].
macro_rules! options {
    ($($name:ident = $option:expr;)*) => {
        $(pub(crate) static $name: Opt = Opt { variable: concat!("WHEN_READY_", stringify!($name)), ..$option };)*

        /// Every option, in the order of `--help`.
        pub(crate) static OPTIONS: &[&Opt] = &[$(&$name),*];
    };
}

const fn opt(flag: &'static str, takes: Takes, group: Group, help: &'static str) -> Opt {
    let in_check = matches!(group, Check | Output | Http);
    Opt { flag, short: None, takes, group, help, in_check, variable: "" }
}

/// An option that describes attempts, and not the wait.
const fn of_attempts(option: Opt) -> Opt {
    Opt { in_check: true, ..option }
}

/// An option that is the gate's own.
const fn of_the_gate(option: Opt) -> Opt {
    Opt { in_check: false, ..option }
}

const fn short(short: &'static str, option: Opt) -> Opt {
    Opt { short: Some(short), ..option }
}

options! {
    TIMEOUT = short("-t", opt("--timeout", Value("DURATION"), Time,
        "give up after this long [60s]; 0 or none: never"));
    ATTEMPT_TIMEOUT = of_attempts(opt("--attempt-timeout", Value("DURATION"), Time, "longest single attempt [5s]"));
    INTERVAL = opt("--interval", Value("DURATION"), Time, "first pause between attempts [10ms]");
    BACKOFF = opt("--backoff", Value("FACTOR"), Time, "each pause is this much longer [1.02]");
    MAX_INTERVAL = opt("--max-interval", Value("DURATION"), Time, "longest pause [500ms]");
    MAX_ATTEMPTS = opt("--max-attempts", Value("N"), Time, "give up a target after N attempts [unlimited]");
    SUCCESSES = opt("--successes", Value("N"), Time, "ready after N successes in a row [1]");
    ANY = opt("--any", Nothing, Policy, "one ready target is enough");
    UNTIL_DOWN = opt("--until-down", Nothing, Policy, "wait until targets refuse connections or are gone");
    FAIL_FAST = opt("--fail-fast", Nothing, Policy, "stop at a failure that waiting cannot mend");
    ON_TIMEOUT = opt("--on-timeout", OneOf(&["fail", "run"]), Policy,
        "at the deadline exit 124, or run COMMAND [fail]");
    CHECK = opt("--check", Nothing, Check, "probe once, print a table, exit 0 or 1");
    FORMAT = opt("--format", OneOf(&["text", "json", "svg"]), Check,
        "of the table (text, json), of --timeline (text, svg) [text]");
    WATCH = opt("--watch", Value("DURATION"), Check, "repeat the check until interrupted");
    QUIET = short("-q", opt("--quiet", Nothing, Output, "errors only"));
    VERBOSE = short("-v", opt("--verbose", Nothing, Output, "every attempt"));
    LOG_FORMAT = opt("--log-format", OneOf(&["text", "json"]), Output, "format of the log on stderr [text]");
    COLOR = opt("--color", OneOf(&["auto", "always", "never"]), Output, "colours; auto: on a terminal [auto]");
    NAME = opt("--name", Value("NAME"), Output, "who waits, in JSON logs and reports [the host's name]");
    REPORT = of_the_gate(opt("--report", File, Output, "write a JSON report at the end; -: stdout"));
    TERMINATION_LOG = of_the_gate(opt("--termination-log", File, Output,
        "summary of a failed wait [/dev/termination-log]"));
    HTTP_METHOD = opt("--http-method", Value("METHOD"), Http, "method of HTTP targets [GET]");
    HTTP_HEADER = opt("--http-header", Value("'NAME: VALUE'"), Http, "header of HTTP targets (repeatable)");
    HTTP_STATUS = opt("--http-status", Value("LIST"), Http, "accepted statuses [200-399]");
    TLS_CA = opt("--tls-ca", File, Http, "CA certificates (PEM), added to the roots");
    TLS_CERT = opt("--tls-cert", File, Http, "client certificate (PEM)");
    TLS_KEY = opt("--tls-key", File, Http, "key of the client certificate (PEM)");
    TLS_INSECURE = opt("--tls-insecure", Nothing, Http, "do not verify certificates");
    TIMELINE = opt("--timeline", Nothing, About,
        "draw the start of a stack: words are FILEs with reports and JSON logs");
    HELP = short("-h", opt("--help", Nothing, About, "print this help"));
    VERSION = short("-V", opt("--version", Nothing, About, "print the version"));
    COMPLETIONS = opt("--completions", OneOf(&["bash", "zsh", "fish"]), About, "print shell completions");
    MAN = opt("--man", Nothing, About, "print the man page");
}

impl Opt {
    /// `timeout` for `--timeout`.
    pub(crate) fn long(&self) -> &'static str {
        self.flag.strip_prefix("--").unwrap_or(self.flag)
    }

    /// The environment variable of the option, where it has one.
    pub(crate) fn variable(&self) -> Option<&'static str> {
        (self.group != About).then_some(self.variable)
    }

    /// `-t, --timeout DURATION`
    pub(crate) fn synopsis(&self) -> String {
        let short = self.short.map_or_else(|| "    ".to_owned(), |short| format!("{short}, "));
        let value = self.takes.placeholder().map_or_else(String::new, |word| format!(" {word}"));
        format!("{short}{}{value}", self.flag)
    }
}

/// The prefix of our variables.
pub(crate) const PREFIX: &str = "WHEN_READY_";
/// The variable with the targets.
pub(crate) const TARGETS_VARIABLE: &str = "WHEN_READY_TARGETS";

/// The variable that an unknown one was most likely meant to be. Those that Kubernetes sets for a service of such a name
/// are no spelling mistakes, and neither is what looks like none of ours.
pub(crate) fn suggested_variable(name: &str) -> Option<String> {
    let known = || OPTIONS.iter().filter_map(|option| option.variable()).chain([TARGETS_VARIABLE]);
    let word = name.strip_prefix(PREFIX)?;
    if is_of_kubernetes(word) || known().any(|known| known == name) {
        return None;
    }
    let meant = did_you_mean(word, known().map(|known| known[PREFIX.len()..].to_owned()))?;
    Some(format!("{PREFIX}{meant}"))
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
pub(crate) fn suggested_option(word: &str) -> Option<String> {
    let word = word.trim_start_matches('-').split('=').next().unwrap_or_default();
    let begins = |option: &&&Opt| word.len() > 2 && option.long().starts_with(word);
    let meant = did_you_mean(word, OPTIONS.iter().map(|option| option.long()));
    let meant = meant.or_else(|| OPTIONS.iter().find(begins).map(|option| option.long()));
    meant.map(|long| format!("--{long}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_but_those_that_answer_has_a_variable_of_its_name() {
        let names: Vec<&str> = OPTIONS.iter().map(|option| option.variable().unwrap_or_default()).collect();
        let expected = "TIMEOUT ATTEMPT_TIMEOUT INTERVAL BACKOFF MAX_INTERVAL MAX_ATTEMPTS SUCCESSES ANY UNTIL_DOWN \
                        FAIL_FAST ON_TIMEOUT CHECK FORMAT WATCH QUIET VERBOSE LOG_FORMAT COLOR NAME REPORT \
                        TERMINATION_LOG HTTP_METHOD HTTP_HEADER HTTP_STATUS TLS_CA TLS_CERT TLS_KEY TLS_INSECURE";
        let expected: Vec<String> = expected.split(' ').map(|name| format!("WHEN_READY_{name}")).collect();
        assert_eq!(names[..expected.len()], expected);
        assert!(names[expected.len()..].iter().all(|name| name.is_empty()), "{names:?}");
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
        let expected = "attempt-timeout check format watch quiet verbose log-format color name http-method http-header http-status \
                        tls-ca tls-cert tls-key tls-insecure";
        assert_eq!(taken.join(" "), expected);
    }

    #[test]
    fn a_misspelt_option_is_recognised() {
        assert_eq!(suggested_option("--timout").as_deref(), Some("--timeout"));
        assert_eq!(suggested_option("--zzzzzzzz"), None);
        assert_eq!(suggested_option("--sucesses=3").as_deref(), Some("--successes"));
        assert_eq!(suggested_option("-x"), None);
    }
}
