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
    Opt { flag, short: None, takes, group, help }
}

const fn short(short: &'static str, option: Opt) -> Opt {
    Opt { short: Some(short), ..option }
}

/// Every option.
pub const OPTIONS: &[Opt] = &[
    short(
        "-t",
        opt("--timeout", Takes::Value("DURATION"), Group::Time, "give up after this long [60s]; 0 or none: never"),
    ),
    opt("--attempt-timeout", Takes::Value("DURATION"), Group::Time, "longest single attempt [5s]"),
    opt("--interval", Takes::Value("DURATION"), Group::Time, "first pause between attempts [10ms]"),
    opt("--backoff", Takes::Value("FACTOR"), Group::Time, "each pause is this much longer [1.03]"),
    opt("--max-interval", Takes::Value("DURATION"), Group::Time, "longest pause [500ms]"),
    opt("--max-attempts", Takes::Value("N"), Group::Time, "give up a target after N attempts [unlimited]"),
    opt("--successes", Takes::Value("N"), Group::Time, "ready after N successes in a row [1]"),
    opt("--any", Takes::Nothing, Group::Policy, "one ready target is enough"),
    opt("--until-down", Takes::Nothing, Group::Policy, "wait until targets refuse connections or are gone"),
    opt("--fail-fast", Takes::Nothing, Group::Policy, "stop at a failure that waiting cannot mend"),
    opt(
        "--on-timeout",
        Takes::OneOf(&["fail", "run"]),
        Group::Policy,
        "at the deadline exit 124, or run COMMAND [fail]",
    ),
    opt("--check", Takes::Nothing, Group::Check, "probe once, print a table, exit 0 or 1"),
    opt("--format", Takes::OneOf(&["text", "json"]), Group::Check, "format of the table [text]"),
    opt("--watch", Takes::Value("DURATION"), Group::Check, "repeat the check until interrupted"),
    short("-q", opt("--quiet", Takes::Nothing, Group::Output, "errors only")),
    short("-v", opt("--verbose", Takes::Nothing, Group::Output, "every attempt")),
    opt("--log-format", Takes::OneOf(&["text", "json"]), Group::Output, "format of the log on stderr [text]"),
    opt("--report", Takes::File, Group::Output, "write a JSON report at the end"),
    opt("--termination-log", Takes::File, Group::Output, "summary of a failed wait [/dev/termination-log]"),
    opt("--http-method", Takes::Value("METHOD"), Group::Http, "method of HTTP targets [GET]"),
    opt("--http-header", Takes::Value("'NAME: VALUE'"), Group::Http, "header of HTTP targets (repeatable)"),
    opt("--http-status", Takes::Value("LIST"), Group::Http, "accepted statuses [200-399]"),
    opt("--tls-ca", Takes::File, Group::Http, "CA certificates (PEM), added to the roots"),
    opt("--tls-cert", Takes::File, Group::Http, "client certificate (PEM)"),
    opt("--tls-key", Takes::File, Group::Http, "key of the client certificate (PEM)"),
    opt("--tls-insecure", Takes::Nothing, Group::Http, "do not verify certificates"),
    short("-h", opt("--help", Takes::Nothing, Group::About, "print this help")),
    short("-V", opt("--version", Takes::Nothing, Group::About, "print the version")),
    opt("--completions", Takes::OneOf(&["bash", "zsh", "fish"]), Group::About, "print shell completions"),
    opt("--man", Takes::Nothing, Group::About, "print the man page"),
];

impl Opt {
    /// `timeout` for `--timeout`.
    pub fn long(&self) -> &'static str {
        self.flag.strip_prefix("--").unwrap_or(self.flag)
    }

    /// The environment variable of the option, where it has one.
    pub fn variable(&self) -> Option<String> {
        (self.group != Group::About)
            .then(|| format!("WHEN_READY_{}", self.long().replace('-', "_").to_ascii_uppercase()))
    }

    /// `-t, --timeout DURATION`
    pub fn synopsis(&self) -> String {
        let short = self.short.map_or_else(|| "    ".to_owned(), |short| format!("{short}, "));
        let value = self.takes.placeholder().map_or_else(String::new, |word| format!(" {word}"));
        format!("{short}{}{value}", self.flag)
    }
}

/// The option of this long name.
pub fn find(long: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.long() == long)
}

/// The option that an unknown word was most likely meant to be.
pub fn suggestion(word: &str) -> Option<String> {
    let word = word.trim_start_matches('-').split('=').next().unwrap_or_default();
    let (distance, option) = OPTIONS
        .iter()
        .map(|option| (strsim::damerau_levenshtein(word, option.long()), option))
        .min_by_key(|(distance, _)| *distance)?;
    let is_prefix = word.len() > 2 && option.long().starts_with(word);
    (distance <= 2.max(word.len() / 3) && word.len() > 1 || is_prefix).then(|| option.flag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_but_those_that_answer_has_a_variable() {
        assert_eq!(find("attempt-timeout").unwrap().variable().as_deref(), Some("WHEN_READY_ATTEMPT_TIMEOUT"));
        assert_eq!(find("help").unwrap().variable(), None);
    }

    #[test]
    fn a_misspelt_option_is_recognised() {
        assert_eq!(suggestion("--timout").as_deref(), Some("--timeout"));
        assert_eq!(suggestion("--zzzzzzzz"), None);
        assert_eq!(suggestion("--sucesses=3").as_deref(), Some("--successes"));
        assert_eq!(suggestion("-x"), None);
    }
}
