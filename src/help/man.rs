//! `--man`: man(7).

use std::fmt::Write as _;

use super::{EXAMPLES, EXIT, VARIABLES};
use crate::options::{Group, OPTIONS, Opt};
use crate::targets::registry::forms;
use crate::targets::shared::kind::{COMMON_KEYS, Key};
use crate::targets::shared::tls;

/// The variables beside the options' own.
const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "WHEN_READY_TARGETS",
        "targets, separated by white space; quotes keep one together. Set but empty: there is nothing to wait for.",
    ),
    (
        "WHEN_READY_...",
        "each option but the last group, in capitals and with underscores: --max-interval is WHEN_READY_MAX_INTERVAL. One that takes no value is given by true, 1, yes or on. Set but empty it is not given. The command line wins. --check takes from here only what describes targets, attempts, TLS and output.",
    ),
    ("PGHOST ... PGSSLMODE, PGPASSWORD, PGPASSFILE, PGSERVICE", "what a Postgres URL leaves out, as in libpq."),
    ("REDISCLI_AUTH, MYSQL_PWD", "the password of Redis and MySQL targets whose URL has none."),
    ("SSL_CERT_FILE", "roots of certificates, instead of the system's."),
    ("NO_COLOR", "no colours, unless --color says always."),
    ("TERM=dumb or not set", "plain log lines on a terminal, too."),
    ("HOME, PATH", "where the files of ~ are, and COMMAND."),
];

const FILES: &[(&str, &str)] = &[
    (
        "/dev/termination-log",
        "where it exists (in Kubernetes), the summary of a failed wait goes there, but where COMMAND runs all the same.",
    ),
    ("~/.pgpass", "passwords for Postgres, as in libpq; of nobody but its owner."),
    ("~/.pg_service.conf, ~/.postgresql", "services and certificates for Postgres, as in libpq."),
    ("/etc/hosts, /etc/resolv.conf", "names, as glibc has them."),
    (
        "/etc/ssl/certs/ca-certificates.crt",
        "and where other distributions keep it: the system's roots. Without any, Mozilla's are built in.",
    ),
];

/// More than --help has room for.
const MORE_EXAMPLES: &[(&str, &str)] = &[
    (
        "ENTRYPOINT [\"/when-ready\", \"${DATABASE_URL}\", \"--\"]",
        "in a Dockerfile, before a CMD; there is no need for a shell",
    ),
    ("when-ready --until-down old:8080 -- ./new", "wait until nobody listens there any more"),
    ("when-ready 'exec:./manage.py migrate --check' -- ./serve", "ask a command of your own"),
];

/// A definition: a term and what it is.
fn define(out: &mut String, term: &str, what: &str) {
    let _ = writeln!(out, ".TP\n.B {}\n{}", roff(term), roff(what));
}

/// Several of them; those of a fragment begin with `#`.
fn define_all(out: &mut String, prefix: &str, definitions: &[(&str, &str)]) {
    for (term, what) in definitions {
        define(out, &format!("{prefix}{term}"), what);
    }
}

fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, ".SH {text}");
}

/// `--man`
pub(crate) fn man() -> String {
    let mut out = format!(
        ".TH WHEN\\-READY 1 \"\" \"when\\-ready {}\" \"User Commands\"\n.SH NAME\nwhen\\-ready \\- wait until targets are ready, then run a command\n\
         .SH SYNOPSIS\n.B when\\-ready\n[OPTIONS] [NAME=]TARGET[#KEY=VALUE&...]... [\\-\\- COMMAND [ARG...]]\n\
         .SH DESCRIPTION\nProbes every target in parallel until all are ready, then executes COMMAND in its own place: the same process, \
         environment and standard streams. Without COMMAND it exits 0.\n",
        roff(env!("CARGO_PKG_VERSION"))
    );
    targets(&mut out);
    heading(&mut out, "OPTIONS");
    for (group, name) in Group::ALL {
        let _ = writeln!(out, ".SS {}", roff(name));
        for option in OPTIONS.iter().filter(|option| option.group == group) {
            define_option(&mut out, option);
        }
    }
    for (name, definitions) in
        [("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES), ("EXIT STATUS", EXIT), ("EXAMPLES", EXAMPLES)]
    {
        heading(&mut out, name);
        define_all(&mut out, "", definitions);
    }
    define_all(&mut out, "", MORE_EXAMPLES);
    out
}

fn targets(out: &mut String) {
    heading(out, "TARGETS");
    out.push_str(
        "NAME is what logs and reports call the target. What follows # is expected of this target and never sent: \
         KEY=VALUE, joined by &, percent\\-encoded where needed.\n",
    );
    for form in forms() {
        // Further keys of the form before it have none of their own.
        if !form.url.is_empty() {
            define(out, form.url, &format!("Ready when {}.", form.ready));
        }
        if !form.keys.is_empty() {
            out.push_str(".RS\n");
            define_all(out, "#", &pairs(form.keys));
            out.push_str(".RE\n");
        }
    }
    out.push_str(".PP\nOf every target can be expected:\n");
    define_all(out, "#", &pairs(COMMON_KEYS));
    out.push_str(".PP\nOf a target with TLS:\n");
    define_all(out, "#", &pairs(tls::KEYS));
    out.push_str(".PP\nOf other servers whose schemes are well known, a connection to their port is asked.\n");
    heading(out, "VARIABLES");
    out.push_str("In targets, not in COMMAND, when\\-ready itself replaces:\n");
    define_all(out, "", VARIABLES);
}

fn pairs(keys: &[Key]) -> Vec<(&'static str, &'static str)> {
    keys.iter().map(|key| (key.written, key.meaning)).collect()
}

fn define_option(out: &mut String, option: &Opt) {
    let variable = option.variable().map_or_else(String::new, |name| format!(" Also {name}."));
    define(out, option.synopsis().trim_start(), &format!("{}.{variable}", option.help));
}

/// Escapes what troff would read: backslashes, hyphens, quotes, and a leading dot or quote.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq").replace('\'', "\\(aq");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_man_page_has_every_option_target_key_and_variable() {
        let man = man();
        let has = |text: &str| assert!(man.contains(&roff(text)), "{text}");
        for option in OPTIONS {
            has(option.flag);
            option.variable().iter().for_each(|name| has(name));
        }
        for form in forms() {
            has(form.url);
            form.keys.iter().for_each(|key| has(key.written));
        }
        for text in [
            "timeout=",
            "successes=",
            "${NAME}",
            "${NAME:-default}",
            "${file:/path}",
            "$$",
            "WHEN_READY_TARGETS",
            "124",
        ] {
            has(text);
        }
    }
}
