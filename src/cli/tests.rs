use std::time::Duration;

use super::*;
use crate::targets::Http;
use crate::wait::deadline::Deadline;
use std::collections::HashMap;

fn parse_with(env: &[(&str, &str)], args: &[&str]) -> Result<Parsed, String> {
    let env: HashMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let env = |name: &str| env.get(name).map(Into::into);
    parse(args.iter().map(OsString::from).collect(), &Lookup::without_files(&env))
}

fn run(args: &[&str]) -> Config {
    run_with(&[], args)
}

fn run_with(env: &[(&str, &str)], args: &[&str]) -> Config {
    match parse_with(env, args) {
        Ok(Parsed::Run(config)) => *config,
        other => panic!("{args:?} gave {other:?}"),
    }
}

fn error(args: &[&str]) -> String {
    parse_with(&[], args).unwrap_err()
}

#[test]
fn help_and_version_are_outcomes() {
    assert!(matches!(parse_with(&[], &["--help"]), Ok(Parsed::Help)));
    assert!(matches!(parse_with(&[], &["-h", "nonsense:x"]), Ok(Parsed::Help)));
    assert!(matches!(parse_with(&[], &["-V"]), Ok(Parsed::Version)));
    assert!(matches!(parse_with(&[], &["--completions", "fish"]), Ok(Parsed::Completions(Shell::Fish))));
    assert!(matches!(parse_with(&[], &["--man"]), Ok(Parsed::Man)));
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let policy = run(&["db:5432"]).policy;
    assert_eq!(policy.timeout, Deadline::At(Duration::from_secs(60)));
    assert_eq!(policy.attempt_timeout, Duration::from_secs(5));
    assert_eq!((policy.pauses, policy.silence), (Pauses::Default, Silence::Kept));
    assert_eq!((policy.max_attempts, policy.successes), (None, 1));
    assert_eq!((policy.quorum, policy.goal), (Quorum::All, Goal::Ready));
    assert_eq!((policy.on_permanent, policy.on_timeout), (OnPermanent::Retry, OnTimeout::Fail));
}

#[test]
fn options_may_stand_anywhere_before_the_command() {
    let config = run(&["a:1", "-t", "5", "b:2", "--any", "--", "cmd", "-t", "9"]);
    assert_eq!(config.policy.timeout, Deadline::At(Duration::from_secs(5)));
    assert_eq!(config.policy.quorum, Quorum::Any);
    assert_eq!(config.targets.len(), 2);
    assert_eq!(config.command, Some(vec!["cmd".into(), "-t".into(), "9".into()]));
}

#[test]
fn values_may_be_joined_to_their_option() {
    for args in [["a:1", "--timeout=5s"], ["a:1", "-t5"], ["a:1", "-qt5"], ["a:1", "-t=5"]] {
        assert_eq!(run(&args).policy.timeout, Deadline::At(Duration::from_secs(5)), "{args:?}");
    }
}

#[test]
fn of_a_repeated_option_the_last_wins() {
    for args in [["-t5", "--timeout=7"], ["--timeout=5", "-t7"], ["--timeout=5s", "-t=7"]] {
        let config = run(&["a:1", args[0], args[1]]);
        assert_eq!(config.policy.timeout, Deadline::At(Duration::from_secs(7)), "{args:?}");
    }
    assert_eq!(run(&["a:1", "--any=false", "--any"]).policy.quorum, Quorum::Any);
    assert_eq!(run(&["a:1", "--any", "--any=false"]).policy.quorum, Quorum::All);
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let env = [("WHEN_READY_TIMEOUT", "9s"), ("WHEN_READY_ANY", "true"), ("WHEN_READY_TARGETS", "x:1 y:2")];
    let config = run_with(&env, &[]);
    assert_eq!(config.policy.timeout, Deadline::At(Duration::from_secs(9)));
    assert_eq!((config.policy.quorum, config.targets.len()), (Quorum::Any, 2));
    let config = run_with(&env, &["a:1", "-t", "3", "--any=false"]);
    assert_eq!(config.policy.timeout, Deadline::At(Duration::from_secs(3)));
    assert_eq!((config.policy.quorum, config.targets.len()), (Quorum::All, 1));
}

#[test]
fn targets_that_are_set_but_empty_are_nothing_to_wait_for() {
    assert!(run_with(&[("WHEN_READY_TARGETS", " ")], &["--", "cmd"]).targets.is_empty());
    assert!(error(&["--", "cmd"]).contains("no targets"));
}

#[test]
fn a_bad_value_names_its_source() {
    for (variable, value, expected) in [
        ("WHEN_READY_TIMEOUT", "10o", "WHEN_READY_TIMEOUT: `10o` is not a duration (try `10s`)"),
        ("WHEN_READY_ANY", "maybe", "WHEN_READY_ANY: `maybe` is not true or false"),
        ("WHEN_READY_BACKOFF", "0.5", "WHEN_READY_BACKOFF: `0.5` is not a factor"),
        ("WHEN_READY_TARGETS", "db", "WHEN_READY_TARGETS: target `db`: it has no port; write db:PORT"),
    ] {
        let problem = parse_with(&[(variable, value)], if variable.ends_with("TARGETS") { &[] } else { &["a:1"] });
        let problem = problem.unwrap_err();
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn wrong_command_lines_say_what_would_be_right() {
    for (args, expected) in [
        (&["a:1", "--timout", "5"][..], "did you mean `--timeout`?"),
        (&["a:1", "--timeout"], "--timeout needs a value: --timeout DURATION"),
        (&["a:1", "--timeout", "--quiet"], "--timeout needs a value"),
        (&["a:1", "--timeout", "5x"], "--timeout: `5x` is not a duration"),
        (&["a:1", "--attempt-timeout", "0"], "longer than 0"),
        (&["a:1", "--backoff", "nan"], "factor of at least 1"),
        (&["a:1", "--successes", "0"], "at least 1"),
        (&["a:1", "--max-attempts", "-1"], "--max-attempts needs a value"),
        (&["a:1", "--http-status", "2xx"], "--http-status: `2xx`"),
        (&["a:1", "--http-header", "nocolon"], "`Name: value`"),
        (&["a:1", "--http-method", "G T"], "not a method"),
        (&["a:1", "--on-timeout", "ignore"], "not one of fail, run"),
        (&["a:1", "--log-format", "xml"], "not one of text, json"),
        (&["a:1", "--interval", "2s", "--max-interval", "1s"], "shorter than the first pause"),
        (&["a:1", "-q", "-v"], "contradict"),
        (&["a:1", "--"], "there is none"),
        (&["a:1", "--check", "--", "cmd"], "--check runs no command"),
        (&["a:1", "--watch", "5s"], "--watch goes with --check"),
        (&["a:1", "--format", "json"], "--format goes with --check"),
        (&["a:1", "--tls-cert", "x"], "--tls-key FILE"),
        (&["a:1", "-x"], "unknown option `-x`"),
        (&["a:1", "mysql", "-phunter2"], "unknown option `-p…`; is `mysql` the command?"),
        (&["a:1", "-phunter2"], "unknown option `-p…`; `when-ready --help`"),
        (&[], "no targets"),
    ] {
        let problem = error(args);
        assert!(problem.contains(expected), "{args:?}: {problem}");
    }
}

#[test]
fn an_interval_longer_than_the_cap_raises_the_cap() {
    let policy = run(&["a:1", "--interval", "2s"]).policy;
    let Pauses::Configured(backoff) = policy.pauses else { panic!("{:?}", policy.pauses) };
    assert_eq!(backoff.cap, Duration::from_secs(2));
}

#[test]
fn a_check_is_an_outcome_of_its_own() {
    let parsed = parse_with(&[], &["--check", "--format", "json", "a:1"]);
    assert!(matches!(parsed, Ok(Parsed::Check(_, Check { format: Format::Json, watch: None }))));
}

#[test]
fn headers_from_the_environment_are_one_a_line() {
    let config = run_with(&[("WHEN_READY_HTTP_HEADER", "A: 1\nB: 2")], &["http://h/"]);
    let http = config.targets[0].as_kind::<Http>().unwrap();
    assert_eq!(http.headers.len(), 2);
}

#[test]
fn a_list_of_targets_keeps_what_is_quoted_together() {
    for (list, expected) in [
        ("db:1 cache:2", &["tcp://db:1", "tcp://cache:2"][..]),
        ("db:1 'host=db user=app dbname=x'", &["tcp://db:1", "postgres://app@db:5432/x"]),
        ("'host=db user=app' db:1", &["postgres://app@db:5432", "tcp://db:1"]),
        ("main='host=db user=app' db:1", &["postgres://app@db:5432", "tcp://db:1"]),
        ("host=db user=app dbname=x", &["postgres://app@db:5432/x"]),
        ("\"postgres://app:x y@db/app\"", &["postgres://app@db:5432/app"]),
        ("host=db:1 user=cache:2", &["tcp://db:1", "tcp://cache:2"]),
    ] {
        let config = run_with(&[("WHEN_READY_TARGETS", list)], &[]);
        let shown: Vec<String> = config.targets.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected, "{list}");
    }
}

fn shown(env: &[(&str, &str)], args: &[&str]) -> Vec<String> {
    run_with(env, args).targets.iter().map(ToString::to_string).collect()
}

#[test]
fn a_target_whose_variable_comes_to_nothing_is_left_out_with_a_note() {
    let config = run_with(&[("EMPTY", "")], &["db:1", "${EMPTY:-}", "cache=${NOPE:-}"]);
    assert_eq!(config.targets.len(), 1);
    assert_eq!(config.notes.len(), 2);
    assert!(config.notes[1].contains("NOPE"), "{:?}", config.notes);
    assert!(run_with(&[], &["${NOPE:-}"]).targets.is_empty());
    let error = parse_with(&[("EMPTY", "")], &["${EMPTY}"]).unwrap_err();
    assert!(error.contains("the variable EMPTY is empty"), "{error}");
}

#[test]
fn quotes_keep_a_target_with_blanks_together() {
    let list = "'host=db user=app dbname=x' cache=\"redis://c:1\" http://h/\n name='host=d2 user=u'";
    let expected = ["postgres://app@db:5432/x", "redis://c:1", "http://h", "postgres://u@d2:5432"];
    assert_eq!(shown(&[("WHEN_READY_TARGETS", list)], &[]), expected);
    assert!(parse_with(&[("WHEN_READY_TARGETS", "'db:1")], &[]).unwrap_err().contains("not closed"));
}

#[test]
fn a_list_with_commas_is_understood_where_it_cannot_be_one_target() {
    for (word, expected) in [
        ("tcp://a:1,tcp://b:2", &["tcp://a:1", "tcp://b:2"][..]),
        ("redis://a:1,redis://b:2", &["redis://a:1", "redis://b:2"]),
        ("postgres://u:p@a/x,postgres://u:p@b/y", &["postgres://u@a:5432/x", "postgres://u@b:5432/y"]),
        ("http://a;redis://b", &["http://a", "redis://b:6379"]),
        ("db:5432,", &["tcp://db:5432"]),
    ] {
        assert_eq!(shown(&[], &[word]), expected, "{word}");
        assert_eq!(shown(&[("LIST", word)], &["${LIST}"]), expected, "{word}");
    }
    assert!(error(&["db:5432,cache:6379"]).contains("separate targets by spaces"));
}

#[test]
fn an_option_variable_that_is_set_and_empty_is_not_given() {
    let config = run_with(&[("WHEN_READY_TIMEOUT", ""), ("WHEN_READY_ANY", "")], &["db:1"]);
    assert_eq!(config.policy, Policy::default());
}

#[test]
fn a_variable_that_is_no_text_is_an_error_that_names_it() {
    use std::os::unix::ffi::OsStringExt as _;
    let env = |name: &str| {
        let is_set = ["WHEN_READY_TIMEOUT", "H", "PGUSER", "PGPASSWORD"].contains(&name);
        is_set.then(|| OsString::from_vec(b"p\xe4ss".to_vec()))
    };
    let lookup = Lookup::without_files(&env);
    for (args, name) in [
        (vec!["postgres://db"], "WHEN_READY_TIMEOUT"),
        (vec!["-t", "1", "${H}:1"], "H"),
        (vec!["-t", "1", "postgres://db"], "PGUSER"),
    ] {
        let error = parse(args.iter().map(OsString::from).collect(), &lookup).unwrap_err();
        assert!(error.contains(name) && error.contains("UTF-8"), "{error}");
    }
    // A password is bytes.
    let Ok(Parsed::Run(config)) = parse(["-t", "1", "postgres://u@db"].map(OsString::from).to_vec(), &lookup) else {
        panic!("it is no target");
    };
    assert_eq!(config.targets[0].probe.secrets()[0].expose_bytes(), b"p\xe4ss");
}
