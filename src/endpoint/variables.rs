//! `${NAME}`, `${NAME:-default}`, `${file:/path}` and `$$` in a target.
//!
//! The binary expands them itself, because neither an exec-form ENTRYPOINT nor a scratch image has
//! a shell.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where variables come from: the environment and files, injected so that tests need neither.
pub struct Lookup<'a> {
    /// The value of an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The content of a file, or why it cannot be read.
    pub file: &'a dyn Fn(&str) -> std::io::Result<String>,
}

/// Expands the variables in `template`.
///
/// A value that stands in the userinfo of a written-out URL, or after `=` in its query or
/// fragment, is percent-encoded there, so that a password may hold any character.
///
/// # Errors
///
/// Says which variable is unset, which file is unreadable, or what is not closed.
pub fn expand(template: &str, lookup: &Lookup<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(body) = after.strip_prefix('{') {
            let end = closing_brace(body).ok_or("a `${` has no closing `}`; a plain `$` is written `$$`")?;
            let value = value_of(&body[..end], lookup)?;
            let position = template.len() - rest.len() + at;
            let tail = &body[end + 1..];
            if is_encoded_position(&template[..position], tail) {
                out.extend(utf8_percent_encode(&value, &UNRESERVED));
            } else {
                out.push_str(&value);
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The index of the `}` that closes a `${`, whose default may hold further `${…}`.
pub(super) fn closing_brace(body: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (index, c) in body.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn value_of(body: &str, lookup: &Lookup<'_>) -> Result<String, String> {
    if let Some(path) = body.strip_prefix("file:") {
        let content = (lookup.file)(path).map_err(|error| format!("the file {path} cannot be read: {error}"))?;
        let line = content.strip_suffix('\n').unwrap_or(&content);
        return Ok(line.strip_suffix('\r').unwrap_or(line).to_owned());
    }
    let (name, default) = match body.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (body, None),
    };
    if !is_name(name) {
        return Err(format!("`${{{name}}}` is not a variable: names hold letters, digits and `_`"));
    }
    match ((lookup.env)(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => expand(default, lookup),
        (None, None) => Err(format!("the variable {name} is not set (`${{{name}:-default}}` gives a default)")),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a value between `before` and `after` stands where a URL wants it percent-encoded.
fn is_encoded_position(before: &str, after: &str) -> bool {
    let Some((_, rest)) = before.split_once(':').filter(|(scheme, _)| scheme.len() > 1) else {
        return false;
    };
    let in_value = |part: &str| part.rsplit('&').next().is_some_and(|pair| pair.contains('='));
    if let Some((_, fragment)) = rest.split_once('#') {
        return in_value(fragment);
    }
    if let Some((_, query)) = rest.split_once('?') {
        return in_value(query);
    }
    // In the authority, with the `@` that ends the userinfo still to come. Braces are jumped over:
    // a default may hold any character.
    let Some(authority) = rest.strip_prefix("//").or_else(|| rest.split_once("://").map(|(_, a)| a)) else {
        return false;
    };
    let literal_before = without_variables(authority);
    let literal_after = without_variables(after);
    !literal_before.contains('/')
        && literal_after.find(['/', '?', '#']).map_or(literal_after.as_str(), |end| &literal_after[..end]).contains('@')
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
    use std::io;

    fn expand_with(template: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "PASSWORD" => Some("p@s/s:%#?".to_owned()),
            "HOST" => Some("db".to_owned()),
            "URL" => Some("postgres://a:b%40c@db/app".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let file = |path: &str| match path {
            "/run/secrets/x" => Ok("from file\n".to_owned()),
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
    fn what_cannot_be_expanded_is_named() {
        assert!(expand_with("${NOPE}").unwrap_err().contains("NOPE is not set"));
        assert!(expand_with("${HOST").unwrap_err().contains("no closing"));
        assert!(expand_with("${file:/nope}").unwrap_err().contains("/nope"));
        assert!(expand_with("${a b}").unwrap_err().contains("not a variable"));
    }
}
