//! libpq's `host=db user=app` ("Keyword/Value Connection Strings" in its manual), and how such strings are told
//! from other targets.

use crate::targets::postgres::settings::{self, Settings};
use crate::targets::shared::ado::{self, strip_pdo};
use crate::targets::shared::url::split_name;

/// A connection string of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairStyle {
    /// libpq's: blanks between pairs, quotes and backslashes.
    Keywords,
    /// ADO.NET's, ODBC's and PDO's: semicolons between pairs.
    Ado,
}

/// The style of a text of at least two pairs, with or without a `NAME=` before it.
pub(crate) fn style_of(text: &str) -> Option<PairStyle> {
    style_of_pairs(text).or_else(|| split_name(text).0.and_then(|name| style_of_pairs(&text[name.len() + 1..])))
}

/// The same without a `NAME=` before it.
pub(crate) fn style_of_pairs(text: &str) -> Option<PairStyle> {
    let text = text.trim_start();
    let pdo = strip_pdo(text);
    let (is_pdo, text) = (pdo.is_some(), pdo.map_or(text, |(_, rest)| rest));
    let (first, rest) = text.split_once('=')?;
    let is_known = ado::is_key(first);
    // `x=Host=db;…` is a name and pairs.
    let is_pair = |value: &str| !first.contains([':', '/']) && !is_url_or_place(value) && !value.contains('=');
    if rest.split_once(';').is_some_and(|(value, _)| is_known || is_pair(value)) {
        let known = text.split(';').filter(|pair| pair.split_once('=').is_some_and(|(key, _)| ado::is_key(key)));
        if known.count() > 1 || is_pdo || is_known && text.trim_end().ends_with(';') && !is_url_or_place(rest) {
            return Some(PairStyle::Ado);
        }
    }
    if !settings::is_keyword(first.trim()) {
        return None;
    }
    // A second pair: a blank, a keyword and `=`.
    let is_pair = |word: &str| word.split_once('=').is_some_and(|(key, _)| settings::is_keyword(key));
    let words: Vec<&str> = rest.split_whitespace().collect();
    let is_spaced = |pair: &[&str]| settings::is_keyword(pair[0]) && pair[1].starts_with('=');
    (is_pdo || words.iter().any(|word| is_pair(word)) || words.windows(2).any(is_spaced)).then_some(PairStyle::Keywords)
}

fn is_url_or_place(text: &str) -> bool {
    text.contains("://") || text.split(';').next().is_some_and(|value| value.contains(':'))
}

/// A single pair that is no `NAME=TARGET`, like `dbname=app` and `service=x`.
pub(crate) fn is_single_pair(text: &str) -> bool {
    text.split_once('=').is_some_and(|(key, value)| {
        settings::is_keyword(key.trim()) && !value.is_empty() && !value.contains([':', '$', ';'])
    })
}

/// Whether all of a text's words are libpq's pairs, and none of them a target of its own.
pub(crate) fn is_one_string(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.clone().count() > 1 && words.all(is_single_pair)
}

/// Whether a quote is open at the end of `text`.
pub(crate) fn is_quoted(text: &str) -> bool {
    let (mut is_open, mut is_escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\'' => is_open = !is_open,
            _ => {}
        }
    }
    is_open
}

/// Reads the pairs.
pub(crate) fn read(text: &str, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    for (key, value) in pairs(strip_pdo(text).map_or(text, |(_, rest)| rest))? {
        settings.set_parameter(&key, value.into_bytes())?;
    }
    Ok(())
}

/// `key = value` or `key = 'value'`, with `\'` and `\\` in both.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=') {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if key.is_empty() && chars.peek().is_none() {
            return Ok(pairs);
        }
        if chars.next_if_eq(&'=').is_none() || key.is_empty() {
            return Err("one of its words is no `keyword=value`; a value with a blank in it stands in quotes: \
                        password='a b'"
                .to_owned());
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\'') if quoted => break,
                Some('\\') => value.extend(chars.next()),
                Some(c) if c.is_whitespace() && !quoted => break,
                Some(c) => value.push(c),
                None if quoted => return Err("a `'` in it is not closed".to_owned()),
                None => break,
            }
        }
        pairs.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_read_as_libpq_reads_them() {
        let read = |text: &str| pairs(text).map(|pairs| pairs.into_iter().map(|(k, v)| format!("{k}|{v}")).collect());
        for (text, expected) in [
            ("host=db user=app", vec!["host|db", "user|app"]),
            (" host = db\tuser= 'a b' ", vec!["host|db", "user|a b"]),
            (r"password='it\'s' x=1", vec!["password|it's", "x|1"]),
            (r"password=it\'s\ me", vec!["password|it's me"]),
            (r"password='a\\b'", vec![r"password|a\b"]),
            ("password='' x=", vec!["password|", "x|"]),
            ("", vec![]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(read(text), Ok::<Vec<String>, String>(expected), "{text}");
        }
        assert!(pairs("password='x").is_err() && pairs("host=db hunter2").is_err() && pairs("=x").is_err());
    }

    #[test]
    fn strings_of_pairs_are_told_from_targets() {
        for text in ["host=db user=app", "dbname=a password='x y'", "db=host=db port=1", "host = db user = x"] {
            assert_eq!(style_of(text), Some(PairStyle::Keywords), "{text}");
        }
        for text in [
            "Host=db;Username=u",
            "XpoProvider=Postgres;Server=db;Database=a",
            "Server=db;Port=1;",
            "pgsql:host=db;port=1",
            "x=Host=db;Password=p",
        ] {
            assert_eq!(style_of(text), Some(PairStyle::Ado), "{text}");
        }
        for text in ["db:5432", "host=db:5432", "user=http://h/x?a=b", "db=", "password=", "postgres://h/d?user=x"] {
            assert_eq!(style_of(text), None, "{text}");
        }
        assert!(is_single_pair("dbname=mydb") && is_single_pair("service=x") && !is_single_pair("host=db:5432"));
    }
}
