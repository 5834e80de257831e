//! `--help`, `--version`, the completions and the man page, all from the one table of options.

mod completions;
mod man;

use std::fmt::Write as _;

use crate::options::{Group, OPTIONS};
use crate::targets::registry::forms;
use crate::targets::shared::kind::{COMMON_KEYS, Key};
use crate::targets::shared::tls;

pub(crate) use completions::completions;
pub(crate) use man::man;

const EXAMPLES: &[(&str, &str)] = &[
    ("when-ready db:5432 -- ./app", "wait for a TCP port, then become ./app"),
    ("when-ready '${DATABASE_URL}' http://api:8000/health -- ./app", "log in to Postgres, and HTTP 200-399"),
    ("when-ready --check http://localhost:8000/health", "probe once: exit 0 or 1"),
    ("docker compose logs --no-log-prefix | when-ready --timeline", "draw the start of a stack from its gates' logs"),
];

/// The placeholders in targets.
const VARIABLES: &[(&str, &str)] = &[
    ("${NAME}", "the variable's value; one that is not set is an error that names it"),
    (
        "${NAME:-default}",
        "the same, or the default where it is not set or empty; ${NAME:-} alone that comes to nothing leaves its target out",
    ),
    ("${file:/path}", "the file's content, without the line breaks at its end"),
    ("$$", "a dollar sign"),
];

const EXIT: &[(&str, &str)] = &[
    ("0", "all is ready and there is no COMMAND; --check: all is healthy"),
    ("COMMAND's own", "it was run"),
    ("1", "--check: not healthy; --fail-fast, #fail-...=: a failure for good; --timeline: no gate; output cut off"),
    ("2", "a usage error, or a file that cannot be read"),
    ("124", "the deadline, or the last allowed attempt, has passed"),
    ("126, 127", "COMMAND cannot be executed, is not found"),
    ("128+N", "signal N came while waiting; elsewhere than as PID 1 it dies of the signal"),
];

/// `--help`
pub(crate) fn help() -> String {
    let mut out = String::from(
        "Waits until targets are ready, then runs COMMAND in its own place.\n\n\
         Usage: when-ready [OPTIONS] [NAME=]TARGET[#KEY=VALUE&...]... [-- COMMAND [ARG...]]\n\nExamples:\n",
    );
    for (command, what) in EXAMPLES {
        let _ = writeln!(out, "  {command}\n      {what}");
    }
    let common: Vec<String> = COMMON_KEYS.iter().map(|key| format!("#{}", key.written)).collect();
    let _ = writeln!(out, "\nTargets, and when they are ready (all know {}):", common.join(", "));
    for form in forms() {
        let _ = writeln!(out, "  {:<34} {}", form.url, form.summary());
    }
    let tls: Vec<String> = tls::KEYS.iter().map(|key| format!("#{}", Key::typed(key))).collect();
    let _ = writeln!(out, "  {:<34} {}", "any with TLS", tls.join(" "));
    out.push_str("  ${NAME}, ${NAME:-default} and ${file:/path} in a target are expanded; $$ is $.\n");
    for (group, heading) in Group::ALL {
        let _ = writeln!(out, "\n{heading}:");
        for option in OPTIONS.iter().filter(|option| option.group == group) {
            let _ = writeln!(out, "  {:<34} {}", option.synopsis(), option.help);
        }
    }
    out.push_str(
        "\nEach option but the last group is also a variable: --max-interval is WHEN_READY_MAX_INTERVAL.\n\
         Targets are also taken from WHEN_READY_TARGETS, separated by white space.\n\
         Of them --check takes what describes targets, attempts, TLS and output: --attempt-timeout, -q, -v,\n\
         with --log-format, --http-*, --tls-* and its own. NO_COLOR: no colours; TERM=dumb: log lines, no live view.\n\n\
         Exit status:\n",
    );
    for (status, when) in EXIT {
        let _ = writeln!(out, "  {status:<14} {when}");
    }
    out
}

/// `--version`
pub(crate) fn version() -> String {
    format!("when-ready {}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_what_the_defaults_are() {
        use crate::options;
        use crate::text::human;
        use crate::wait::deadline::Deadline;
        use crate::wait::policy::Policy;
        let Policy { timeout, attempt_timeout, successes, .. } = Policy::default();
        let backoff = crate::wait::backoff::AFTER_ANSWERS;
        assert_eq!(crate::wait::backoff::AFTER_REFUSALS.initial, backoff.initial, "the help names one first pause");
        let Deadline::At(timeout) = timeout else { panic!("the default is a deadline") };
        assert_eq!(timeout.as_secs(), 60, "written as [60s]");
        for (option, default) in [
            (options::TIMEOUT, format!("{}s", timeout.as_secs())),
            (options::ATTEMPT_TIMEOUT, human(attempt_timeout)),
            (options::INTERVAL, human(backoff.initial)),
            (options::BACKOFF, backoff.factor.to_string()),
            (options::MAX_INTERVAL, human(backoff.cap)),
            (options::SUCCESSES, successes.to_string()),
        ] {
            assert!(
                option.help.contains(&format!("[{default}]")),
                "{}: {} is not [{default}]",
                option.flag,
                option.help
            );
        }
    }

    #[test]
    fn help_begins_with_examples_and_names_every_option() {
        let help = help();
        assert!(help.find("Examples:").unwrap() < help.find("Targets").unwrap());
        for option in OPTIONS {
            assert!(help.contains(option.flag), "{}", option.flag);
        }
        assert!(help.lines().all(|line| line.chars().count() <= 120), "it fits a wide terminal");
    }
}
