//! `exec:COMMAND ARG…`: a command as the probe.

pub(crate) mod children;
pub(crate) mod probe;

use std::ffi::OsString;
use std::fmt;

use crate::net::Attempt;
use crate::net::tls::Tls;
use crate::secret::Secret;
use crate::targets::shared::expectations::Expectations;
use crate::targets::shared::kind::{COMMON_KEYS, Form, Key, Probe, TargetKind};
use crate::targets::shared::lookup::closing_brace;
use crate::targets::shared::secret_words::{looks_random, names_a_secret};
use crate::text::beginning_of;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;
use crate::wait::tracker::Overlap;

/// A command; its words are split before anything of it is a URL, so it has no scheme.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    forms: &[Form {
        url: "exec:COMMAND ARG...",
        ready: "the command exits 0",
        keys: &[
            Key::new("exit=LIST", "accepted exit codes, like 0,3"),
            Key::new("fail-exit=LIST", "exit codes that end the wait with exit status 1"),
        ],
    }],
    ..TargetKind::USUAL
}];

/// Stand for variables while the words are split: private use, plane 15.
const PLACEHOLDERS: std::ops::RangeInclusive<char> = '\u{f0000}'..='\u{ffffd}';
/// Words that a shell would act on.
const OPERATORS: [&str; 8] = ["&&", "||", "|", ";", "&", ">", "<", "2>&1"];

/// A command that exits with an accepted status once the target is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exec {
    /// The program, to be found as execvp(3) finds it.
    pub(crate) program: String,
    /// Its arguments, which are never shown.
    pub(crate) arguments: Vec<Secret>,
    /// The variable PATH, in which it is found.
    pub(crate) path: Option<OsString>,
    /// `exit=`: the statuses that mean ready.
    pub(crate) accepted: Vec<i32>,
    /// `fail-exit=`: the statuses that end the wait.
    pub(crate) fail_exit: Vec<i32>,
    /// The secrets that the command's own output must not show.
    secrets: Vec<Secret>,
    /// Users, databases, hosts and ports among its words, which are shown in their places.
    names: Vec<String>,
    /// Arguments that are texts of several words (`sh -c '…'`): their words are no secrets by themselves.
    texts: Vec<Secret>,
}

/// `exec:`, whose words are split before variables are expanded.
pub(crate) fn strip_scheme(word: &str) -> Option<&str> {
    let (scheme, rest) = word.split_once(':')?;
    scheme.eq_ignore_ascii_case("exec").then_some(rest)
}

/// Cuts off what is expected of the command: behind the last `#`, where all that follows are keys of this kind
/// and no quote is open. Any other `#` is the command's own.
pub(crate) fn split_fragment(text: &str) -> (&str, Option<&str>) {
    let known = || KINDS[0].forms.iter().flat_map(|form| form.keys).chain(COMMON_KEYS);
    let is_key = |pair: &str| match pair.split_once('=') {
        Some((name, _)) => known().any(|key| key.name() == name),
        None => known().any(|key| key.typed() == pair.trim_end()),
    };
    match text.rsplit_once('#') {
        Some((command, fragment)) if fragment.split('&').all(is_key) && shlex::split(command).is_some() => {
            (command, Some(fragment.trim_end()))
        }
        _ => (text, None),
    }
}

/// Gives what a variable stands for: `${NAME}`, `${file:/path}`.
pub(crate) type Expand<'a> = &'a dyn Fn(&str) -> Result<String, String>;

impl Exec {
    /// Parses what stands between `exec:` and the fragment.
    pub(crate) fn parse(
        command: &str,
        expectations: &mut Expectations,
        expand: Expand<'_>,
        path: Option<OsString>,
    ) -> Result<Self, String> {
        if command.starts_with("//") && !command.starts_with("///") {
            return Err("it takes no `//`; write exec:COMMAND ARG…".to_owned());
        }
        let (words, values) = words(command, expand)?;
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        let program = program.ok_or("it names no command; write exec:COMMAND ARG…")?;
        let arguments: Vec<Secret> = words.map(Secret::new).collect();
        let accepted = expectations.take("exit")?.map_or(Ok(vec![0]), |list| statuses("exit", &list))?;
        let fail_exit = expectations.take("fail-exit")?.map_or(Ok(Vec::new()), |list| statuses("fail-exit", &list))?;
        let words: Vec<&str> = arguments.iter().map(Secret::expose).collect();
        let (texts, plain): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| is_text(word));
        let is_part = |value: &str, name: &str| !value.is_empty() && name.contains(value);
        let mut names = Vec::new();
        let mut before = "";
        for word in &plain {
            let secrets = secrets_of(before, word);
            for name in names_of(word) {
                // A word that may be a secret is no name; of a URL the parts are told from its password.
                let may_be_secret = !word.contains("://") && secrets.iter().any(|secret| is_part(secret, name));
                if !may_be_secret && !values.iter().any(|value| is_part(value.expose(), name)) {
                    names.push(name.to_owned());
                }
            }
            before = word;
        }
        let mut secrets = values;
        secrets.extend(secrets_among(&plain).map(Secret::new));
        for text in &texts {
            let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches(is_around)).collect();
            secrets.extend(secrets_among(&words).map(Secret::new));
        }
        let texts = texts.into_iter().map(Secret::new).collect();
        Ok(Self { program, arguments, path, accepted, fail_exit, secrets, names, texts })
    }
}

impl Probe for Exec {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn run(&self, _: Goal, _: &Tls, attempt: &Attempt) -> Outcome {
        probe::probe(self, attempt)
    }

    fn overlap(&self) -> Overlap {
        Overlap::OneAtATime
    }

    fn can_end_the_wait(&self) -> bool {
        !self.fail_exit.is_empty()
    }

    /// Its arguments, and what variables contributed.
    fn secrets(&self) -> Vec<&Secret> {
        self.secrets.iter().collect()
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn texts(&self) -> &[Secret] {
        &self.texts
    }

    /// The program's name alone.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec:{}", self.program)
    }
}

/// The words, split as a shell splits them, and what variables contributed: each stays within its word.
fn words(command: &str, expand: Expand<'_>) -> Result<(Vec<String>, Vec<Secret>), String> {
    let (text, values) = with_placeholders(command, expand)?;
    // A word of our own at the end shows whether all before it was read: a comment would swallow it.
    let sentinel = PLACEHOLDERS.end().to_string();
    let mut words = shlex::split(&format!("{text} {sentinel}")).ok_or("a quote in it is not closed")?;
    if words.pop().as_ref() != Some(&sentinel) {
        return Err(
            "what follows its ` #` is no key (exit=, fail-exit=, timeout=, …), and would be a comment; quote it"
                .to_owned(),
        );
    }
    let operator = OPERATORS.iter().find(|operator| {
        words.iter().any(|word| word == *operator) && text.split_whitespace().any(|word| word == **operator)
    });
    if let Some(operator) = operator {
        return Err(format!("`{operator}` needs a shell; write exec:sh -c '…'"));
    }
    let expanded = |word: String| {
        word.chars().fold(String::new(), |mut out, c| {
            match index_of(c).and_then(|index| values.get(index)) {
                Some(value) => out.push_str(value),
                None => out.push(c),
            }
            out
        })
    };
    let words: Vec<String> = words.into_iter().map(expanded).collect();
    if words.iter().any(|word| word.contains('\0')) {
        return Err("it holds a NUL character".to_owned());
    }
    Ok((words, values.into_iter().map(Secret::new).collect()))
}

/// The text with a character for each variable, and their values.
fn with_placeholders(command: &str, expand: Expand<'_>) -> Result<(String, Vec<String>), String> {
    if command.chars().any(|c| PLACEHOLDERS.contains(&c)) {
        return Err("it holds a character for private use".to_owned());
    }
    let (mut text, mut values) = (String::new(), Vec::new());
    let mut rest = command;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("$$") {
            text.push('$');
            rest = tail;
        } else if rest.starts_with("${") {
            let end = closing_brace(&rest[2..]).ok_or("a `${` has no closing `}`; a plain `$` is `$$`")?;
            let (variable, tail) = rest.split_at(end + 3);
            let placeholder = u32::try_from(values.len()).ok().and_then(|index| char::from_u32(0xf_0000 + index));
            text.push(placeholder.filter(|c| c < PLACEHOLDERS.end()).ok_or("it holds too many variables")?);
            values.push(expand(variable)?);
            rest = tail;
        } else {
            text.push('$');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    Ok((text, values))
}

fn index_of(c: char) -> Option<usize> {
    PLACEHOLDERS.contains(&c).then(|| usize::try_from(u32::from(c) - 0xf_0000).ok()).flatten()
}

/// `0,3`
fn statuses(key: &str, list: &str) -> Result<Vec<i32>, String> {
    let status = |text: &str| match text.trim().parse::<u8>() {
        Ok(status) => Ok(i32::from(status)),
        Err(_) => Err(format!("`{key}=`: `{}` is not an exit status of 0-255", beginning_of(text))),
    };
    list.split(',').map(status).collect()
}

/// Whether it is a script or a statement.
fn is_text(argument: &str) -> bool {
    argument.contains(char::is_whitespace)
}

/// Characters around a word of a script.
fn is_around(c: char) -> bool {
    matches!(c, '\'' | '"' | ';' | ')')
}

/// The likely secrets among a command's words: the value of an option or variable whose name says so, the
/// password of a URL or behind a user's name, and what nobody would call a host, a database or a file.
fn secrets_among<'a>(words: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let before = std::iter::once("").chain(words.iter().copied());
    let found: Vec<&str> = before.zip(words).flat_map(|(before, word)| secrets_of(before, word)).collect();
    found.into_iter().filter(|secret| !secret.is_empty())
}

/// What may be a name in a word: a word that is no option, and of a URL the user, hosts, ports and the parts of its path.
fn names_of(word: &str) -> Vec<&str> {
    let Some((_, rest)) = word.split_once("://") else {
        return if word.starts_with('-') { vec![] } else { vec![word] };
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (userinfo, places) = rest.rsplit_once('@').unwrap_or(("", rest));
    let user = userinfo.split(':').next().unwrap_or_default();
    std::iter::once(user).chain(places.split(['/', ',', ':'])).collect()
}

fn secrets_of<'a>(before: &str, word: &'a str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let is_number = |text: &str| text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.contains("://")) {
        let value = value.trim_matches(is_around);
        if names_a_secret(key) || looks_random(value) {
            found.push(value);
        }
    } else if let Some(value) = word.strip_prefix("-p").filter(|value| !is_number(value) && !word.starts_with("--")) {
        // mysql's password stands behind it, psql's port too.
        found.push(value);
    } else if !word.starts_with('-') {
        let is_announced = before.starts_with('-') && names_a_secret(before)
            || matches!(before, "-a" | "-p" | "-w") && !is_number(word)
            || ["Bearer", "Basic"].iter().any(|scheme| scheme.eq_ignore_ascii_case(before));
        if is_announced || looks_random(word) {
            found.push(word);
        } else if matches!(before, "-u" | "-U" | "--user") {
            found.extend(word.split_once(':').map(|(_, password)| password));
        }
    }
    if let Some((_, rest)) = word.split_once("://") {
        let userinfo = rest.rsplit_once('@').map(|(userinfo, _)| userinfo);
        let password = userinfo.and_then(|userinfo| userinfo.split_once(':')).map(|(_, password)| password);
        let pairs = rest.split(['?', '&', '#']).skip(1).filter_map(|pair| pair.split_once('='));
        let named = pairs.filter(|(key, value)| names_a_secret(key) || looks_random(value)).map(|(_, value)| value);
        found.extend(password.into_iter().chain(named));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::shared::lookup::Lookup;
    use crate::targets::variables;

    fn parse_with(text: &str) -> Result<Exec, String> {
        let env = |name: &str| match name {
            "DB" => Some(std::ffi::OsString::from("my db")),
            "QUOTE" => Some("it's \"#1\" $HOME".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        };
        let (command, fragment) = split_fragment(text);
        let mut expectations = Expectations::parse(fragment.unwrap_or_default())?;
        let lookup = Lookup::without_files(&env);
        Exec::parse(command, &mut expectations, &|variable| variables::expand(variable, &lookup), None)
    }

    fn words_of(text: &str) -> Vec<String> {
        let exec = parse_with(text).unwrap();
        let arguments = exec.arguments.iter().map(|argument| argument.expose().to_owned());
        std::iter::once(exec.program.clone()).chain(arguments).collect()
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them_and_a_variable_stays_one_word() {
        for (text, expected) in [
            ("./manage.py migrate --check", &["./manage.py", "migrate", "--check"][..]),
            ("sh -c 'a && b; c'", &["sh", "-c", "a && b; c"]),
            (r#"echo "a b" c\ d 'e"f'"#, &["echo", "a b", "c d", "e\"f"]),
            ("psql -d ${DB} -c ${QUOTE}", &["psql", "-d", "my db", "-c", "it's \"#1\" $HOME"]),
            ("echo x${DB}y '${DB}' ${EMPTY}", &["echo", "xmy dby", "my db", ""]),
            ("echo ${NOPE:-a b} $$X $Y", &["echo", "a b", "$X", "$Y"]),
            ("echo '&&' \"|\"", &["echo", "&&", "|"]),
            ("  true\n  x ", &["true", "x"]),
        ] {
            assert_eq!(words_of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_number_sign_begins_the_fragment_only_before_known_keys() {
        let exec = parse_with("check #exit=0,3&timeout=5s").unwrap();
        assert_eq!((exec.program.as_str(), exec.accepted), ("check", vec![0, 3]));
        assert_eq!(parse_with("check a#exit=1").unwrap().accepted, [1]);
        assert_eq!(words_of("echo a#b 'x #exit=1'"), ["echo", "a#b", "x #exit=1"]);
        assert_eq!(words_of("curl http://h/#frag=x"), ["curl", "http://h/#frag=x"]);
        assert_eq!(words_of("echo '#'#exit=0"), ["echo", "#"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, problem) in [
            ("", "no command"),
            ("''", "no command"),
            ("echo 'a", "not closed"),
            ("echo #1", "comment"),
            ("check #fail-exti=3", "fail-exit="),
            ("a && b", "`&&` needs a shell"),
            ("a | b", "`|` needs a shell"),
            ("//x", "no `//`"),
            ("echo ${NOPE}", "NOPE is not set"),
            ("echo ${", "no closing"),
            ("check #exit=256", "not an exit status"),
            ("check #exit=", "needs a value"),
        ] {
            let error = parse_with(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn its_arguments_are_secrets_and_its_name_is_shown() {
        let exec = parse_with("mysqladmin ping -phunter2 --token=t0ken db+x://u:pw123@h ${DB} --wait").unwrap();
        assert_eq!((&exec as &dyn Probe).to_string(), "exec:mysqladmin");
        let secrets: Vec<&str> = exec.secrets.iter().map(Secret::expose).collect();
        for secret in ["hunter2", "t0ken", "pw123", "my db"] {
            assert!(secrets.contains(&secret), "{secret}: {secrets:?}");
        }
        assert!(!secrets.contains(&"ping") && !secrets.contains(&"--wait"));
        let exec = parse_with("sh -c 'curl http://u:pw123@h -H X=t0ken; echo not yet'").unwrap();
        let secrets: Vec<&str> = exec.secrets.iter().map(Secret::expose).collect();
        assert_eq!((secrets, exec.texts.len()), (vec!["pw123", "t0ken"], 1));
        assert!(!format!("{exec:?}").contains("hunter2"));
    }

    #[test]
    fn of_its_words_only_those_that_look_like_a_secret_are_hidden() {
        let secrets_of = |command: &str| -> Vec<String> {
            parse_with(command).unwrap().secrets.iter().map(|secret| secret.expose().to_owned()).collect()
        };
        for command in [
            "pg_isready -h db.example -p 5432 -U app -d orders",
            "pg_isready --host=db.example --port=5432 --username=app --dbname=orders",
            "pg_isready -hdb.example -p5432",
            "nc -z -w 5 kafka-broker-01 9092",
            "curl -fsS http://backend:8000/health",
            "redis-cli -h redis7 -p 6379 ping",
            "mysqladmin -h mysql8 -u root ping",
            "rabbitmq-diagnostics -q check_running",
            "mongosh --authenticationDatabase admin --host mongo",
            "manage.py migrate --check --settings=app.settings",
            "test -e /run/secrets/token",
            "sh -c 'test -f /tmp/ready && echo ok'",
        ] {
            assert_eq!(secrets_of(command), [""; 0], "{command}");
        }
        for (command, expected) in [
            ("redis-cli -a hunter -h db ping", &["hunter"][..]),
            ("mysql -phunter -h db", &["hunter"]),
            ("sshpass -p hunter ssh db", &["hunter"]),
            ("x --password hunter --token=letters", &["hunter", "letters"]),
            ("env PGPASSWORD=hunter psql -h db", &["hunter"]),
            ("curl -u app:hunter http://db/", &["hunter"]),
            ("curl http://db/?api_key=hunter&x=y", &["hunter"]),
            ("curl -H 'Authorization: Bearer letters' http://db/", &["letters"]),
            ("psql postgres://app:hunter@db/x", &["hunter"]),
            ("check S3cr3t hunter2secret p@ssword 12345678", &["S3cr3t", "hunter2secret", "p@ssword", "12345678"]),
            ("check 0b9c2f3e-5a4d-4c1b-9e8f-7a6b5c4d3e2f", &["0b9c2f3e-5a4d-4c1b-9e8f-7a6b5c4d3e2f"]),
            ("check -x ${DB}", &["my db"]),
        ] {
            assert_eq!(secrets_of(command), expected, "{command}");
        }
    }

    #[test]
    fn no_word_that_may_be_a_secret_is_a_name() {
        for command in
            ["probe -u app:s3cr3t!pw", "login app s3cr3t!pw", "x --password hunter", "psql postgres://app:hunter@db/x"]
        {
            let names = parse_with(command).unwrap().names;
            let is_secret = |name: &String| ["s3cr3t!pw", "hunter"].iter().any(|secret| name.contains(secret));
            assert!(!names.iter().any(is_secret), "{command}: {names:?}");
        }
        assert_eq!(parse_with("login ${EMPTY} app").unwrap().names, ["", "app"]);
    }
}
