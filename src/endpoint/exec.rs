//! `exec:COMMAND ARG…`: a command as the probe.

use std::fmt;
use std::time::Duration;

use super::Expectations;
use crate::duration;
use crate::endpoint::variables::{self, Lookup};
use crate::secret::Secret;
use crate::words::beginning_of;

/// What may follow the `#`.
const KEYS: [&str; 4] = ["exit", "attempt-timeout", "timeout", "successes"];
/// Stand for variables while the words are split: private use, plane 15.
const PLACEHOLDERS: std::ops::RangeInclusive<char> = '\u{f0000}'..='\u{ffffd}';
/// What a shell would act on.
const OPERATORS: [&str; 8] = ["&&", "||", "|", ";", "&", ">", "<", "2>&1"];

/// A command that exits with an accepted status once the target is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The program, to be found as execvp(3) finds it.
    pub program: String,
    /// Its arguments, which are never shown.
    pub arguments: Vec<Secret>,
    /// `exit=`: the statuses that mean ready.
    pub accepted: Vec<i32>,
    /// `attempt-timeout=`: how long one run may take.
    pub attempt_timeout: Option<Duration>,
    /// What the command's own output must not show.
    secrets: Vec<Secret>,
    /// Arguments that are texts of several words (`sh -c '…'`): their words are no secrets by themselves.
    texts: Vec<Secret>,
}

/// `exec:`, whose words are split before variables are expanded.
pub(super) fn strip_scheme(word: &str) -> Option<&str> {
    let (scheme, rest) = word.split_once(':')?;
    scheme.eq_ignore_ascii_case("exec").then_some(rest)
}

/// Cuts off what is expected of the command: behind the last `#`, where all that follows are keys of this kind
/// and no quote is open. Any other `#` is the command's own.
pub(super) fn split_fragment(text: &str) -> (&str, Option<&str>) {
    let is_key = |pair: &str| pair.split_once('=').is_some_and(|(key, _)| KEYS.contains(&key));
    match text.rsplit_once('#') {
        Some((command, fragment)) if fragment.split('&').all(is_key) && shlex::split(command).is_some() => {
            (command, Some(fragment.trim_end()))
        }
        _ => (text, None),
    }
}

impl Exec {
    /// Parses what stands between `exec:` and the fragment.
    pub(super) fn parse(command: &str, expectations: &mut Expectations, lookup: &Lookup<'_>) -> Result<Self, String> {
        if command.starts_with("//") && !command.starts_with("///") {
            return Err("it takes no `//`; write exec:COMMAND ARG…".to_owned());
        }
        let (words, values) = words(command, lookup)?;
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        let program = program.ok_or("it names no command; write exec:COMMAND ARG…")?;
        let arguments: Vec<Secret> = words.map(Secret::new).collect();
        let accepted = expectations.take("exit")?.map_or(Ok(vec![0]), |list| statuses(&list))?;
        let attempt_timeout =
            expectations.take("attempt-timeout")?.map(|text| duration::parse_positive(&text)).transpose();
        let attempt_timeout = attempt_timeout.map_err(|problem| format!("`attempt-timeout=`: {problem}"))?;
        let mut secrets = values;
        let words: Vec<&str> = arguments.iter().map(Secret::expose).collect();
        let is_subcommand = |word: &&&str| word.bytes().all(|b| b.is_ascii_lowercase());
        let named = words.iter().take_while(is_subcommand).count();
        let (texts, words): (Vec<&str>, Vec<&str>) = words[named..].iter().partition(|word| is_text(word));
        secrets.extend(words.iter().flat_map(|word| secrets_of(word)).map(Secret::new));
        let within = texts.iter().flat_map(|text| text.split_whitespace()).flat_map(values_of);
        secrets.extend(within.map(Secret::new));
        let texts = texts.into_iter().map(Secret::new).collect();
        Ok(Self { program, arguments, accepted, attempt_timeout, secrets, texts })
    }

    /// What the command's own output must not show: its arguments, and what variables contributed.
    pub fn secrets(&self) -> Vec<&Secret> {
        self.secrets.iter().collect()
    }

    /// What the command's own output must not show as a whole, while pieces of it may be told.
    pub fn texts(&self) -> &[Secret] {
        &self.texts
    }
}

/// The program's name alone.
impl fmt::Display for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec:{}", self.program)
    }
}

/// The words, split as a shell splits them, and what variables contributed: each stays within its word.
fn words(command: &str, lookup: &Lookup<'_>) -> Result<(Vec<String>, Vec<Secret>), String> {
    let (text, values) = with_placeholders(command, lookup)?;
    // A word of our own at the end shows whether all before it was read: a comment would swallow it.
    let sentinel = PLACEHOLDERS.end().to_string();
    let mut words = shlex::split(&format!("{text} {sentinel}")).ok_or("a quote in it is not closed")?;
    if words.pop().as_ref() != Some(&sentinel) {
        return Err("what follows its ` #` would be a comment; quote it".to_owned());
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
fn with_placeholders(command: &str, lookup: &Lookup<'_>) -> Result<(String, Vec<String>), String> {
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
            let end = variables::closing_brace(&rest[2..]).ok_or("a `${` has no closing `}`; a plain `$` is `$$`")?;
            let (variable, tail) = rest.split_at(end + 3);
            let placeholder = u32::try_from(values.len()).ok().and_then(|index| char::from_u32(0xf_0000 + index));
            text.push(placeholder.filter(|c| c < PLACEHOLDERS.end()).ok_or("it holds too many variables")?);
            values.push(variables::expand(variable, lookup)?);
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
fn statuses(list: &str) -> Result<Vec<i32>, String> {
    let status = |text: &str| match text.trim().parse::<u8>() {
        Ok(status) => Ok(i32::from(status)),
        Err(_) => Err(format!("`exit=`: `{}` is not an exit status of 0-255", beginning_of(text))),
    };
    list.split(',').map(status).collect()
}

/// Whether it is a script or a statement.
fn is_text(argument: &str) -> bool {
    argument.contains(char::is_whitespace)
}

/// What an argument must not show: itself, unless it is a bare option, and the values in it. The words that name a
/// subcommand (`migrate`, `db check`) are not asked.
fn secrets_of(argument: &str) -> impl Iterator<Item = &str> {
    let whole = Some(argument).filter(|argument| !argument.starts_with('-'));
    whole.into_iter().chain(values_of(argument))
}

/// The value of `--key=VALUE` and `-kVALUE`, the password of a URL.
fn values_of(word: &str) -> impl Iterator<Item = &str> {
    let value = match word.split_once('=') {
        Some((_, value)) => Some(value),
        None if word.starts_with('-') && !word.starts_with("--") => word.get(2..),
        None => None,
    };
    let userinfo = word.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    let password = userinfo.and_then(|(userinfo, _)| userinfo.split_once(':')).map(|(_, password)| password);
    let is_around = |c: char| matches!(c, '\'' | '"' | ';' | ')');
    let values = value.into_iter().chain(password).map(move |value| value.trim_matches(is_around));
    values.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_with(text: &str) -> Result<Exec, String> {
        let env = |name: &str| match name {
            "DB" => Some(std::ffi::OsString::from("my db")),
            "QUOTE" => Some("it's \"#1\" $HOME".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        };
        let file = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let (command, fragment) = split_fragment(text);
        let mut expectations = Expectations::parse(fragment.unwrap_or_default())?;
        Exec::parse(command, &mut expectations, &Lookup { env: &env, file: &file })
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
        assert_eq!(parse_with("check#attempt-timeout=9s").unwrap().attempt_timeout, Some(Duration::from_secs(9)));
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
            ("a && b", "`&&` needs a shell"),
            ("a | b", "`|` needs a shell"),
            ("//x", "no `//`"),
            ("echo ${NOPE}", "NOPE is not set"),
            ("echo ${", "no closing"),
            ("check #exit=256", "not an exit status"),
            ("check #exit=", "needs a value"),
            ("check #attempt-timeout=x", "attempt-timeout"),
        ] {
            let error = parse_with(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn its_arguments_are_secrets_and_its_name_is_shown() {
        let exec = parse_with("mysqladmin ping -phunter2 --token=t0ken db+x://u:pw123@h ${DB} --wait").unwrap();
        assert_eq!(exec.to_string(), "exec:mysqladmin");
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
}
