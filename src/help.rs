//! `--help`, `--version`, the completions and the man page, all from the one table of options.

use std::fmt::Write as _;

use crate::config::Shell;
use crate::options::{Group, OPTIONS, Opt, Takes};

const EXAMPLES: &[(&str, &str)] = &[
    ("when-ready db:5432 -- ./app", "wait for a TCP port, then become ./app"),
    ("when-ready '${DATABASE_URL}' http://api:8000/health -- ./app", "log in to Postgres, and HTTP 200-399"),
    ("when-ready --check http://localhost:8000/health", "probe once: exit 0 or 1"),
];

const TARGETS: &[(&str, &str)] = &[
    ("HOST:PORT, tcp://HOST:PORT", "a connection is established"),
    ("unix:///PATH", "the same, to a socket"),
    ("http://..., https://...", "status 200-399; #status= #body= #json=/POINTER=VALUE #header= #method="),
    ("postgres://USER:PASSWORD@HOST/DB", "logged in (without a password: accepting connections); #query=SQL"),
    ("redis://..., rediss://...", "PONG; #key=NAME #role=master|replica #cluster"),
    ("redis+unix:///PATH", "the same, to a socket"),
    ("file:///PATH", "the path exists; #nonempty"),
    ("dns://NAME", "the name resolves"),
];

const EXIT: &str = "COMMAND's own, or 0 ready, 1 not healthy (--check) or permanent failure (--fail-fast),\n  \
                    2 usage error, 124 timed out, 126/127 COMMAND not executable/not found, 128+N signal N";

/// The table of options as lines, by group.
fn option_lines(out: &mut String) {
    for (group, heading) in Group::ALL {
        let _ = writeln!(out, "\n{heading}:");
        for option in OPTIONS.iter().filter(|option| option.group == group) {
            let _ = writeln!(out, "  {:<34} {}", option.synopsis(), option.help);
        }
    }
}

/// `--help`
pub fn help() -> String {
    let mut out = String::from(
        "Waits until targets are ready, then runs COMMAND in its own place.\n\n\
         Usage: when-ready [OPTIONS] [NAME=]TARGET[#KEY=VALUE&...]... [-- COMMAND [ARG...]]\n\nExamples:\n",
    );
    for (command, what) in EXAMPLES {
        let _ = writeln!(out, "  {command}\n      {what}");
    }
    out.push_str("\nTargets, and when they are ready (all know #timeout= and #successes=):\n");
    for (form, what) in TARGETS {
        let _ = writeln!(out, "  {form:<34} {what}");
    }
    out.push_str("  ${NAME}, ${NAME:-default} and ${file:/path} in a target are expanded; $$ is $.\n");
    option_lines(&mut out);
    out.push_str(
        "\nEach option but the last group is also a variable: --max-interval is WHEN_READY_MAX_INTERVAL.\n\
         Targets are also taken from WHEN_READY_TARGETS, separated by white space.\n\nExit status:\n  ",
    );
    out.push_str(EXIT);
    out.push('\n');
    out
}

/// `--version`
pub fn version() -> String {
    format!("when-ready {}\n", env!("CARGO_PKG_VERSION"))
}

/// The names under which an option is typed.
fn names(option: &Opt) -> Vec<&'static str> {
    option.short.into_iter().chain([option.flag]).collect()
}

/// `--completions`
pub fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

fn bash() -> String {
    let mut cases = String::new();
    for option in OPTIONS {
        let reply = match option.takes {
            Takes::Nothing => continue,
            Takes::File => "COMPREPLY=($(compgen -f -- \"$word\"))".to_owned(),
            Takes::OneOf(words) => format!("COMPREPLY=($(compgen -W '{}' -- \"$word\"))", words.join(" ")),
            Takes::Value(_) => "COMPREPLY=()".to_owned(),
        };
        let _ = writeln!(cases, "        {}) {reply}; return ;;", names(option).join("|"));
    }
    let all: Vec<&str> = OPTIONS.iter().flat_map(names).collect();
    format!(
        "_when_ready() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} i\n    \
         for ((i = 1; i < COMP_CWORD; i++)); do\n        \
         if [[ ${{COMP_WORDS[i]}} == -- ]]; then COMPREPLY=($(compgen -c -f -- \"$word\")); return; fi\n    done\n    \
         case $before in\n{cases}    esac\n    \
         if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '{}' -- \"$word\")); fi\n}}\n\
         complete -F _when_ready when-ready\n",
        all.join(" ")
    )
}

fn zsh() -> String {
    let mut out = String::from("#compdef when-ready\n\n_arguments -s \\\n");
    for option in OPTIONS {
        let help = option.help.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
        let value = match option.takes {
            Takes::Nothing => String::new(),
            Takes::File => ":file:_files".to_owned(),
            Takes::OneOf(words) => format!(":value:({})", words.join(" ")),
            Takes::Value(word) => format!(":{}:", word.replace('\'', "").replace(':', "\\:")),
        };
        for name in names(option) {
            let _ = writeln!(out, "  '*{name}[{help}]{value}' \\");
        }
    }
    out.push_str("  '*:target:_hosts'\n");
    out
}

fn fish() -> String {
    let mut out = String::from("complete -c when-ready -f\n");
    for option in OPTIONS {
        let short = option.short.map_or_else(String::new, |short| format!(" -s {}", &short[1..]));
        let value = match option.takes {
            Takes::Nothing => String::new(),
            Takes::File => " -r -F".to_owned(),
            Takes::OneOf(words) => format!(" -x -a '{}'", words.join(" ")),
            Takes::Value(_) => " -x".to_owned(),
        };
        let help = option.help.replace('\'', "\\'");
        let _ = writeln!(out, "complete -c when-ready{short} -l {}{value} -d '{help}'", option.long());
    }
    out
}

/// `--man`: man(7).
pub fn man() -> String {
    let mut out = format!(
        ".TH WHEN-READY 1 \"\" \"when-ready {}\" \"User Commands\"\n.SH NAME\nwhen-ready \\- wait until targets are ready, then run a command\n\
         .SH SYNOPSIS\n.B when-ready\n[OPTIONS] [NAME=]TARGET[#KEY=VALUE&...]... [\\-\\- COMMAND [ARG...]]\n\
         .SH DESCRIPTION\nProbes every target in parallel until all are ready, then executes COMMAND in its own place.\n.SH TARGETS\n",
        env!("CARGO_PKG_VERSION")
    );
    for (form, what) in TARGETS {
        let _ = writeln!(out, ".TP\n{}\n{}", roff(form), roff(what));
    }
    out.push_str(".SH OPTIONS\n");
    for option in OPTIONS {
        let variable = option.variable().map_or_else(String::new, |name| format!(" Also {name}."));
        let _ = writeln!(
            out,
            ".TP\n.B {}\n{}.{}",
            roff(option.synopsis().trim_start()),
            roff(option.help),
            roff(&variable)
        );
    }
    let _ = write!(out, ".SH EXIT STATUS\n{}\n.SH EXAMPLES\n", roff(&EXIT.replace("\n  ", " ")));
    for (command, what) in EXAMPLES {
        let _ = writeln!(out, ".TP\n.B {}\n{}", roff(command), roff(what));
    }
    out
}

/// Escapes what troff would read: backslashes, hyphens, and a leading dot or quote.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_what_the_defaults_are() {
        use crate::config::Policy;
        use crate::deadline::Deadline;
        use crate::duration::human;
        use crate::options;
        let Policy { timeout, attempt_timeout, backoff, successes, .. } = Policy::default();
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

    #[test]
    fn every_option_is_completed_and_in_the_man_page() {
        for text in [completions(Shell::Bash), completions(Shell::Zsh)] {
            for option in OPTIONS {
                assert!(text.contains(option.flag), "{}", option.flag);
            }
        }
        assert!(OPTIONS.iter().all(|option| completions(Shell::Fish).contains(&format!("-l {}", option.long()))));
        assert!(OPTIONS.iter().all(|option| man().contains(&option.flag.replace('-', "\\-"))));
    }
}
