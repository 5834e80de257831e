//! `${NAME}`, `${NAME:-default}`, `${file:/path}` and `$$` in a target.
//!
//! The binary expands them itself, because neither an exec-form ENTRYPOINT nor a scratch image has
//! a shell.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::targets::postgres::{self, PairStyle, keywords};
use crate::targets::redis;
use crate::targets::shared::lookup::{Lookup, closing_brace, doubt_about, utf8};

/// Everything but RFC 3986's unreserved characters.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A template whose variables have been replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// The doubts about values, for the hint of a login that fails.
    pub(crate) doubts: Vec<String>,
}

/// Expands the variables in `template`.
///
/// # Errors
///
/// As `expand_target`.
pub(crate) fn expand(template: &str, lookup: &Lookup<'_>) -> Result<String, String> {
    expand_target(template, lookup).map(|expanded| expanded.text)
}

/// Expands the variables in `template`.
///
/// A value that stands in the userinfo of a URL, or after `=` in its query or fragment, is percent-encoded
/// there, so that a password may hold any character; one in a connection string is quoted as it wants it. What
/// stands before it may itself come from variables.
///
/// # Errors
///
/// Says which variable is unset, which file is unreadable, or what is not closed; it shows no value.
pub(crate) fn expand_target(template: &str, lookup: &Lookup<'_>) -> Result<Expanded, String> {
    let mut out = Expanded { text: String::with_capacity(template.len()), doubts: Vec::new() };
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.text.push('$');
            rest = tail;
        } else if let Some(body) = after.strip_prefix('{') {
            let end = closing_brace(body).ok_or("a `${` has no closing `}`; a plain `$` is written `$$`")?;
            let (value, source) = value_of(&body[..end], lookup)?;
            let tail = &body[end + 1..];
            insert(&mut out, value, &source, tail)?;
            rest = tail;
        } else {
            out.text.push('$');
            rest = after;
        }
    }
    out.text.push_str(rest);
    Ok(out)
}

/// Puts a value where it stands, in the way that is wanted there.
fn insert(out: &mut Expanded, value: Vec<u8>, source: &str, after: &str) -> Result<(), String> {
    let place = place(&out.text, after);
    if place != Position::Plain {
        out.doubts.extend(doubt_about(&value, source));
    }
    match place {
        Position::Plain => {
            let value = utf8(value, source)?;
            let is_of_option = out.text.rsplit(',').next().is_some_and(|option| option.contains('='));
            if value.contains(',') && is_of_option && redis::is_stackexchange(&out.text) {
                return Err(format!(
                    "the value of {source} holds a comma, which parts the options there: write redis://:PASSWORD@HOST"
                ));
            }
            if is_inside(&out.text) && ["tcp://", "udp://"].iter().any(|scheme| value.starts_with(scheme)) {
                return Err(format!(
                    "the value of {source} is a whole URL, as Kubernetes sets it for a service of that name: \
                     write the port itself, or take a variable of another name"
                ));
            }
            out.text.push_str(&value);
        }
        Position::Encoded => out.text.extend(percent_encode(&value, &UNRESERVED)),
        Position::Userinfo => match value.iter().position(|&byte| byte == b':') {
            Some(colon) => {
                out.text.extend(percent_encode(&value[..colon], &UNRESERVED));
                out.text.push(':');
                out.text.extend(percent_encode(&value[colon + 1..], &UNRESERVED));
            }
            None => out.text.extend(percent_encode(&value, &UNRESERVED)),
        },
        Position::Keyword | Position::KeywordQuoted => {
            let quote = if place == Position::Keyword { "'" } else { "" };
            let escaped = utf8(value, source)?.replace('\\', "\\\\").replace('\'', "\\'");
            out.text.extend([quote, &escaped, quote]);
        }
        Position::AdoValue => {
            let value = utf8(value, source)?;
            if value.is_empty() || value.contains([';', '"', '\'', '=']) || value.trim() != value {
                out.text.extend(["\"", &value.replace('"', "\"\""), "\""]);
            } else {
                out.text.push_str(&value);
            }
        }
    }
    Ok(())
}

/// Whether something of a target stands there already, so that no other begins.
fn is_inside(before: &str) -> bool {
    !before.is_empty() && !before.ends_with('=') && !before.ends_with(char::is_whitespace)
}

/// The variable of a target that is nothing but `${NAME:-}`, and comes to nothing: it is left out.
///
/// # Errors
///
/// Names the variable that is set and no UTF-8.
pub(crate) fn left_out<'a>(template: &'a str, lookup: &Lookup<'_>) -> Result<Option<&'a str>, String> {
    let body = template.split_once('=').filter(|(name, _)| !name.contains(['$', ':'])).map_or(template, |(_, url)| url);
    let name = body.strip_prefix("${").and_then(|body| body.strip_suffix(":-}")).filter(|name| is_name(name));
    Ok(match name {
        Some(name) if lookup.text(name)?.is_none_or(|value| value.trim().is_empty()) => Some(name),
        _ => None,
    })
}

/// The value, and what it is called in messages.
fn value_of(body: &str, lookup: &Lookup<'_>) -> Result<(Vec<u8>, String), String> {
    if let Some(path) = body.strip_prefix("file:") {
        let content = (lookup.file)(path).map_err(|error| format!("the file {path} cannot be read: {error}"))?;
        // As `$(<file)` has it: every line break at the end goes.
        let end = content.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        return Ok((content[..end].to_vec(), format!("the file {path}")));
    }
    let (name, default) = match body.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (body, None),
    };
    if let Some((name, _)) = name.split_once(':').filter(|(name, _)| is_name(name)) {
        return Err(format!(
            "a default stands behind `:-`: write ${{{name}:-default}}, not Spring's ${{{name}:default}}"
        ));
    }
    if !is_name(name) {
        return Err("what stands in a `${…}` is no variable: names hold letters, digits and `_`".to_owned());
    }
    match (lookup.bytes(name), default) {
        (Some(value), None) => Ok((value, name.to_owned())),
        (Some(value), Some(_)) if !value.is_empty() => Ok((value, name.to_owned())),
        (_, Some(default)) => Ok((expand(default, lookup)?.into_bytes(), name.to_owned())),
        (None, None) => Err(format!("the variable {name} is not set (`${{{name}:-default}}` gives a default)")),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The form that a value needs where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// As it is: part of the text.
    Plain,
    /// A URL wants it percent-encoded.
    Encoded,
    /// The same, and it is all of the userinfo: a `:` in it parts user and password.
    Userinfo,
    /// libpq's `key=value` wants it in quotes.
    Keyword,
    /// The same, between quotes that are there.
    KeywordQuoted,
    /// A value of `Key=Value;`, in quotes where it must be.
    AdoValue,
}

/// The form of a value between `before`, whose variables are expanded, and `after`, whose are not.
fn place(before: &str, after: &str) -> Position {
    let literal_after = without_variables(after);
    let Some(rest) = after_scheme(before) else {
        let begins_here = before.trim_end().ends_with('=');
        let ends_pair = literal_after.is_empty() || literal_after.trim_start().starts_with(';');
        return match postgres::style_of(before) {
            Some(PairStyle::Keywords) if keywords::is_quoted(before) => Position::KeywordQuoted,
            Some(PairStyle::Keywords) if begins_here && is_end(&literal_after) => Position::Keyword,
            Some(PairStyle::Ado) if begins_here && ends_pair => Position::AdoValue,
            _ => Position::Plain,
        };
    };
    let in_value = |part: &str| {
        let is_value = part.rsplit('&').next().is_some_and(|pair| pair.contains('='));
        if is_value { Position::Encoded } else { Position::Plain }
    };
    if let Some((_, fragment)) = rest.split_once('#') {
        return in_value(fragment);
    }
    if let Some((_, query)) = rest.split_once('?') {
        return in_value(query);
    }
    // In the authority, with the `@` that ends the userinfo still to come.
    let Some(authority) = rest.strip_prefix("//").or_else(|| rest.split_once("://").map(|(_, a)| a)) else {
        return Position::Plain;
    };
    let end = literal_after.find(['/', '?', '#']).unwrap_or(literal_after.len());
    match (authority.contains('/'), literal_after[..end].contains('@')) {
        (false, true) if authority.is_empty() && literal_after.starts_with('@') && after.starts_with('@') => {
            Position::Userinfo
        }
        (false, true) => Position::Encoded,
        _ => Position::Plain,
    }
}

/// The text behind the `:` of a scheme.
fn after_scheme(before: &str) -> Option<&str> {
    let (scheme, rest) = before.split_once(':')?;
    let scheme = scheme.rsplit_once('=').map_or(scheme, |(_, scheme)| scheme);
    let is_scheme = scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
    (is_scheme && (rest.starts_with("//") || rest.contains("://") || is_opaque(scheme))).then_some(rest)
}

/// Schemes whose URL may have no `//`.
fn is_opaque(scheme: &str) -> bool {
    ["jdbc", "r2dbc", "r2dbcs"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Whether a value ends here.
fn is_end(after: &str) -> bool {
    after.is_empty() || after.starts_with(char::is_whitespace)
}

fn without_variables(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let body = &rest[at + 2..];
        match closing_brace(body) {
            Some(end) => rest = &body[end + 1..],
            None => return out,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::io;

    fn expand_with(template: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "PASSWORD" => Some("p@s/s:%#?".to_owned()),
            "HOST" => Some("db".to_owned()),
            "URL" => Some("postgres://a:b%40c@db/app".to_owned()),
            "EMPTY" => Some(String::new()),
            "BASE" => Some("http://web:80".to_owned()),
            "CREDENTIALS" => Some("me:p:w@x".to_owned()),
            "TOKEN" => Some("a&b=c%41".to_owned()),
            "REDIS_PORT" => Some("tcp://10.0.0.1:6379".to_owned()),
            "QUOTED" => Some("\"pw\"".to_owned()),
            "COMMA" => Some("a,b".to_owned()),
            _ => None,
        };
        let env = |name: &str| env(name).map(OsString::from);
        let file = |path: &str| match path {
            "/run/secrets/x" => Ok(b"from file\r\n\n".to_vec()),
            "/run/secrets/latin1" => Ok(b"p\xe4ss\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        expand(template, &Lookup { env: &env, file: &file })
    }

    #[test]
    fn variables_defaults_files_and_dollars() {
        for (template, expected) in [
            ("${URL}", "postgres://a:b%40c@db/app"),
            ("${HOST}:5432", "db:5432"),
            ("${NOPE:-x}:1", "x:1"),
            ("${EMPTY:-x}:1", "x:1"),
            ("${NOPE:-${HOST}}:1", "db:1"),
            ("${EMPTY}", ""),
            ("${file:/run/secrets/x}", "from file"),
            ("a$$b$c", "a$b$c"),
            ("http://${HOST}:80/$$x", "http://db:80/$x"),
        ] {
            assert_eq!(expand_with(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_value_in_the_userinfo_is_percent_encoded() {
        assert_eq!(
            expand_with("postgres://app:${PASSWORD}@${HOST}/app").unwrap(),
            "postgres://app:p%40s%2Fs%3A%25%23%3F@db/app"
        );
        assert_eq!(
            expand_with("db=redis://:${PASSWORD}@${HOST}:1/0").unwrap(),
            "db=redis://:p%40s%2Fs%3A%25%23%3F@db:1/0"
        );
        assert_eq!(expand_with("redis://:${NOPE:-a/b}@db").unwrap(), "redis://:a%2Fb@db");
    }

    #[test]
    fn a_value_of_a_query_or_fragment_key_is_percent_encoded() {
        assert_eq!(
            expand_with("http://h/#header=X:${PASSWORD}&status=200").unwrap(),
            "http://h/#header=X:p%40s%2Fs%3A%25%23%3F&status=200"
        );
        assert_eq!(
            expand_with("jdbc:postgresql://h/d?password=${PASSWORD}").unwrap(),
            "jdbc:postgresql://h/d?password=p%40s%2Fs%3A%25%23%3F"
        );
    }

    #[test]
    fn a_value_is_encoded_where_the_base_is_a_variable_too() {
        for (template, expected) in [
            ("${BASE}/x?t=${TOKEN}", "http://web:80/x?t=a%26b%3Dc%2541"),
            ("${BASE}/x#header=X-T:${TOKEN}", "http://web:80/x#header=X-T:a%26b%3Dc%2541"),
            ("api=${BASE}/x?t=${TOKEN}", "api=http://web:80/x?t=a%26b%3Dc%2541"),
            ("postgres://${CREDENTIALS}@db/app", "postgres://me:p%3Aw%40x@db/app"),
            ("postgres://u:${file:/run/secrets/latin1}@db", "postgres://u:p%E4ss@db"),
            ("jdbc:postgresql:app?password=${TOKEN}", "jdbc:postgresql:app?password=a%26b%3Dc%2541"),
            ("host=db password=${PASSWORD} user=x", "host=db password='p@s/s:%#?' user=x"),
            ("host=db password='${QUOTED}'", "host=db password='\"pw\"'"),
            ("Host=db;Password=${TOKEN};Username=x", "Host=db;Password=\"a&b=c%41\";Username=x"),
        ] {
            assert_eq!(expand_with(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_is_odd_about_a_secret_is_noted() {
        let env = |name: &str| (name == "PW").then(|| OsString::from("'x'"));
        let file = |_: &str| Ok("\u{feff}x\n".into());
        let lookup = Lookup { env: &env, file: &file };
        let doubts = |template: &str| expand_target(template, &lookup).unwrap().doubts;
        assert_eq!(doubts("redis://:${PW}@h"), ["the value of PW has quotes around it, which count"]);
        assert_eq!(doubts("redis://:${file:/x}@h"), ["the value of the file /x begins with a byte order mark"]);
        assert_eq!(doubts("redis://:x@${PW}"), Vec::<String>::new());
    }

    #[test]
    fn a_variable_alone_that_comes_to_nothing_is_left_out() {
        let env = |name: &str| match name {
            "EMPTY" => Some(OsString::new()),
            "URL" => Some(OsString::from("db:1")),
            _ => None,
        };
        let lookup = Lookup::without_files(&env);
        for (template, expected) in [
            ("${EMPTY:-}", Some("EMPTY")),
            ("${NOPE:-}", Some("NOPE")),
            ("db=${NOPE:-}", Some("NOPE")),
            ("${URL:-}", None),
            ("${EMPTY}", None),
            ("${EMPTY:-x}", None),
            ("redis://${EMPTY:-}", None),
        ] {
            assert_eq!(left_out(template, &lookup), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_named() {
        assert!(expand_with("${NOPE}").unwrap_err().contains("NOPE is not set"));
        assert!(expand_with("${HOST").unwrap_err().contains("no closing"));
        assert!(expand_with("${HOST:localhost}").unwrap_err().contains("${HOST:-default}"));
        assert!(expand_with("${file:/nope}").unwrap_err().contains("/nope"));
        assert!(expand_with("${a b}").unwrap_err().contains("no variable"));
        assert!(
            expand_with("db:${file:/run/secrets/latin1}").unwrap_err().contains("/run/secrets/latin1 is not UTF-8")
        );
        let problem = expand_with("redis://cache:${REDIS_PORT}/0").unwrap_err();
        assert!(problem.contains("REDIS_PORT") && !problem.contains("10.0.0.1"), "{problem}");
        let problem = expand_with("cache:6379,password=${COMMA}").unwrap_err();
        assert!(problem.contains("COMMA holds a comma") && !problem.contains("a,b"), "{problem}");
        assert!(expand_with("${COMMA},password=x").is_ok());
        // Whole options, and not a value of one.
        assert!(expand_with("cache:6380,ssl=True,${COMMA}").is_ok());
        assert!(expand_with("${REDIS_PORT}").is_ok() && expand_with("x=${REDIS_PORT}").is_ok());
    }
}
