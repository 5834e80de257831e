//! What is shown of a target, and of a word that is none: nothing that may be a secret, nothing that writes to
//! a terminal.

use super::schemes::{self, Grammar};
use super::url;
use crate::outcome::{is_plain, is_unprintable};

/// The most characters of a word that are shown.
const MAX_WORD: usize = 120;
/// Stand for variables while a word is looked at: private use, plane 16.
const FIRST_PLACEHOLDER: u32 = 0x10_0000;

/// Text as it may be shown: control and invisible characters, by which a line is forged or a terminal is written
/// to, become U+FFFD. All that is shown of a target goes through this.
pub fn clean(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_unprintable(c) { '\u{fffd}' } else { c }).collect()
}

/// A word for an error message: its name, its scheme, its first host and its port, as far as they are
/// recognised as such, and `…` for all else. Variables are shown by their names. It is the template, not what it
/// expands to.
pub fn redact_word(template: &str) -> String {
    let (text, variables) = with_placeholders(template);
    let shown: String = redacted(text.trim())
        .chars()
        .flat_map(|c| match index_of(c).and_then(|index| variables.get(index)) {
            Some(variable) => variable.chars().collect(),
            None => vec![c],
        })
        .collect();
    let shown = clean(&shown);
    match shown.char_indices().nth(MAX_WORD) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

fn redacted(text: &str) -> String {
    let (name, url) = super::split_name(text);
    let name = name.filter(|name| name.chars().all(is_host_character)).map_or(String::new(), |name| format!("{name}="));
    if text.contains('=') && name.is_empty() && !text.contains("://") {
        return "…".to_owned();
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        // What has a name and is no place may be `password=…`.
        None if name.is_empty() || is_place(url) => return format!("{name}{}", place(url)),
        None => return format!("{name}…"),
    };
    let is_variable = scheme.chars().count() == 1 && scheme.chars().all(|c| index_of(c).is_some());
    let grammar = schemes::find(scheme).map(|found| found.scheme.grammar);
    if grammar.is_none() && !is_variable && schemes::suggestion(scheme).is_none() {
        return format!("{name}…");
    }
    if matches!(grammar, Some(Grammar::File | Grammar::Unix | Grammar::RedisUnix)) {
        let is_path = rest.starts_with('/') && !rest.contains(['@', '?', '#']);
        return format!("{name}{scheme}://{}", if is_path { until_sign(rest) } else { "…".to_owned() });
    }
    format!("{name}{scheme}://{}", authority(rest))
}

/// What follows `://`: the first host, if it is certain where it stands.
fn authority(rest: &str) -> String {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if tail.contains('@') {
        // What stands there may be the rest of a password, and the host a piece of it.
        return "…".to_owned();
    }
    if let Some((_, hosts)) = authority.rsplit_once('@') {
        // What follows the last `@` of a password that was not encoded is the rest of it; a variable is only named.
        let is_variable = hosts.split(':').all(|part| !part.is_empty() && part.chars().all(|c| index_of(c).is_some()));
        return format!("***@{}", if is_variable { hosts } else { "…" });
    }
    let shown = place(authority);
    let more = if tail.is_empty() || shown.ends_with('…') { "" } else { "/…" };
    let more = if tail == "/" { "/" } else { more };
    format!("{shown}{more}")
}

/// Whether it is `HOST:PORT`, or a variable.
fn is_place(text: &str) -> bool {
    let is_variable = text.chars().count() == 1 && text.chars().all(|c| index_of(c).is_some());
    is_variable || !place(text).contains('…') && text.contains(':')
}

/// `HOST`, `HOST:PORT`, as far as they are recognised.
fn place(text: &str) -> String {
    let end = text.find(|c: char| !(is_host_character(c) || matches!(c, ':' | '[' | ']' | '%'))).unwrap_or(text.len());
    let (place, tail) = text.split_at(end);
    // `u:p@h` is the credentials of a host.
    let dots = if tail.is_empty() { "" } else { "…" };
    if tail.contains('@') {
        return "…".to_owned();
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, Some(port)),
        _ => (place, None),
    };
    let is_host = host.chars().all(is_host_character) || url::is_bracketed(host);
    let is_port =
        |port: &str| port.is_empty() || url::parse_port(port).is_ok() || port.chars().all(|c| index_of(c).is_some());
    match port {
        _ if !is_host => "…".to_owned(),
        Some(port) if is_port(port) => format!("{host}:{port}{dots}"),
        Some(_) => format!("{host}:…"),
        None => format!("{host}{dots}"),
    }
}

fn until_sign(text: &str) -> String {
    match text.find([';', ',', '&', '=', '@', '?', '#', ' ']) {
        Some(end) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn is_host_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || index_of(c).is_some()
}

/// The word with one character for each variable, and how the variables are shown: a default may be a password.
fn with_placeholders(template: &str) -> (String, Vec<String>) {
    let (mut text, mut variables) = (String::new(), Vec::new());
    let mut rest = template;
    while let Some(at) = rest.find("${") {
        text.push_str(&rest[..at]);
        let body = &rest[at + 2..];
        let Some(end) = super::variables::closing_brace(body) else {
            text.push('…');
            return (text, variables);
        };
        let shown = match body[..end].split_once(":-") {
            Some((name, _)) => format!("${{{name}:-…}}"),
            None => format!("${{{}}}", &body[..end]),
        };
        let is_variable = body.starts_with("file:")
            || shown[2..]
                .trim_end_matches('}')
                .trim_end_matches(":-…")
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
        match u32::try_from(variables.len()).ok().and_then(|index| char::from_u32(FIRST_PLACEHOLDER + index)) {
            Some(c) => text.push(c),
            None => text.push('…'),
        }
        variables.push(if is_variable { shown } else { "${…}".to_owned() });
        rest = &body[end + 1..];
    }
    text.push_str(rest);
    (text, variables)
}

fn index_of(c: char) -> Option<usize> {
    u32::from(c).checked_sub(FIRST_PLACEHOLDER).and_then(|index| usize::try_from(index).ok())
}

/// A part of a URL for a message, as long as the user wrote it and no variable contributed it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    template: &'a str,
}

impl<'a> Own<'a> {
    pub(super) fn new(template: &'a str) -> Self {
        Self { template }
    }

    /// A host, or what stands for it.
    pub(super) fn host(self, host: &'a str) -> &'a str {
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:[]".contains(c));
        if is_host && self.is_written(host) { host } else { "HOST" }
    }

    /// `HOST:PORT`, or what stands for it.
    pub(super) fn place(self, place: &'a str) -> &'a str {
        let port = place.rsplit_once(':').map(|(_, port)| port);
        if port.is_some_and(|port| url::parse_port(port).is_ok()) && self.host(place) == place {
            place
        } else {
            "HOST:PORT"
        }
    }

    /// Whether nothing was written at all.
    pub(super) fn is_empty(self) -> bool {
        self.template.trim().is_empty()
    }

    /// Whether a name stands before it.
    pub(super) fn has_name(self) -> bool {
        super::split_name(self.template).0.is_some()
    }

    /// Whether the user wrote it, and no variable.
    pub(super) fn is_written(self, part: &str) -> bool {
        if !self.template.contains("${") {
            return self.template.contains(part);
        }
        let (text, _) = with_placeholders(self.template);
        text.split(|c: char| index_of(c).is_some()).any(|literal| literal.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_shown_as_far_as_it_is_recognised() {
        for (word, shown) in [
            ("db", "db"),
            ("db:5432", "db:5432"),
            ("db:99999", "db:…"),
            ("db:secret", "db:…"),
            ("name=db:5432", "name=db:5432"),
            ("postgres://u:pw@db:5432/app?x=1", "postgres://***@…"),
            ("postgres://u:p/w@db:5432/app", "postgres://…"),
            ("postgres://u:p@db:5432/a@b", "postgres://…"),
            ("redis://default:98765", "redis://default:…"),
            ("redis://db,password=PW", "redis://db…"),
            ("redis://cache/0&password=PW", "redis://cache/…"),
            ("cache:6380,password=PW,ssl=True", "…"),
            ("Host=db;Username=u;Password=PW", "Host=…"),
            ("Password=PW;Host=db", "Password=…"),
            ("TOKEN=hunter2", "TOKEN=…"),
            ("password=${PW}", "password=${PW}"),
            ("pgsql:host=db;password=PW", "…"),
            ("jdbc:sqlserver://db;user=sa;password=PW", "jdbc:sqlserver://db…"),
            ("sEcr3t://db", "…"),
            ("htp://db", "htp://db"),
            ("${CS}", "${CS}"),
            ("${CS:-pw}", "${CS:-…}"),
            ("x=${CS}", "x=${CS}"),
            ("postgres://u:${PW}@${H}:${P}/x", "postgres://***@${H}:${P}"),
            ("${S}://h:1/", "${S}://h:1/"),
            ("${file:/run/secrets/url}", "${file:/run/secrets/url}"),
            ("unix://run/app.sock", "unix://…"),
            ("file:///tmp/%zz", "file:///tmp/%zz"),
            ("user:pw@db:5432", "…"),
            ("[::1]:5432", "[::1]:5432"),
            ("a\u{1b}b:1", "a…"),
            ("host=db password=x", "host=…"),
        ] {
            assert_eq!(redact_word(word), shown, "{word}");
        }
    }

    #[test]
    fn only_what_the_user_wrote_is_repeated() {
        let own = Own::new("redis://${A}:6379,${B}cache/0");
        assert_eq!((own.host("cache"), own.host("hunter2"), own.host("c ache")), ("cache", "HOST", "HOST"));
        assert_eq!(Own::new("db:5432/x").place("db:5432"), "db:5432");
        assert_eq!(Own::new("db:x/x").place("db:x"), "HOST:PORT");
    }
}
