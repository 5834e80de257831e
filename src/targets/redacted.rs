//! What is shown of a target, and of a word that is none: nothing that may be a secret, nothing that writes to
//! a terminal.

use crate::targets::registry;
use crate::targets::shared::url;
use crate::text::harmless;

/// The most characters of a word that are shown.
const MAX_WORD: usize = 120;
/// Stand for variables while a word is looked at: private use, plane 16.
const FIRST_PLACEHOLDER: u32 = 0x10_0000;

/// A word for an error message: its name, its scheme, its first host and its port, as far as they are
/// recognised as such, and `…` for all else. Variables are shown by their names. It is the template, not what it
/// expands to.
pub(crate) fn redact_word(template: &str) -> String {
    let (text, variables) = with_placeholders(template);
    let shown: String = redacted(text.trim())
        .chars()
        .flat_map(|c| match index_of(c).and_then(|index| variables.get(index)) {
            Some(variable) => variable.chars().collect(),
            None => vec![c],
        })
        .collect();
    let shown = harmless(&shown);
    match shown.char_indices().nth(MAX_WORD) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// Refuses a user or a database that holds a password: pairs that were separated otherwise than they are here. All of
/// it would be shown.
pub(crate) fn check_names(url: &str) -> Result<(), String> {
    const KEYS: [&str; 5] = ["password=", "passwd=", "pwd=", "secret=", "token="];
    // These show a path and no names.
    const PATHS: [&str; 7] = ["http", "https", "ws", "wss", "http+unix", "file", "unix"];
    // Each of the keys ends with `=`, as it is or encoded.
    if !url.contains(['=', '%']) {
        return Ok(());
    }
    let url = url.to_ascii_lowercase();
    let Some((scheme, _)) = url.split_once("://").filter(|(scheme, _)| !PATHS.contains(scheme)) else { return Ok(()) };
    let decoded = percent_encoding::percent_decode_str(&url).decode_utf8_lossy();
    if KEYS.iter().any(|key| url.contains(key) || decoded.contains(key)) {
        return Err(format!(
            "a user or database of {scheme} holds `password=`: separate pairs by blanks (host=… user=… password=…), or \
             write a URL"
        ));
    }
    Ok(())
}

fn redacted(text: &str) -> String {
    let (name, url) = url::split_name(text);
    let name = name.filter(|name| name.chars().all(is_host_character)).map_or(String::new(), |name| format!("{name}="));
    if text.contains('=') && name.is_empty() && !text.contains("://") {
        return "…".to_owned();
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        // A word that has a name and is no place may be `password=…`.
        None if name.is_empty() || is_place(url) => return format!("{name}{}", place(url)),
        None => return format!("{name}…"),
    };
    let found = registry::find(scheme);
    if found.is_none() && !is_variable(scheme) && registry::suggested_scheme(scheme).is_none() {
        return format!("{name}…");
    }
    if found.is_some_and(|found| found.kind.names_a_path) {
        let is_path = rest.starts_with('/') && !rest.contains(['@', '?', '#']);
        return format!("{name}{scheme}://{}", if is_path { until_sign(rest) } else { "…".to_owned() });
    }
    format!("{name}{scheme}://{}", authority(rest))
}

/// The part behind `://`: the first host, if it is certain where it stands.
fn authority(rest: &str) -> String {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if tail.contains('@') {
        // The tail may be the rest of a password, and the host a piece of it.
        return "…".to_owned();
    }
    if let Some((_, hosts)) = authority.rsplit_once('@') {
        // Behind the last `@` of a password that was not encoded stands the rest of it; a variable is only named.
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
    is_variable(text) || !place(text).contains('…') && text.contains(':')
}

/// Whether it is one variable and nothing more.
fn is_variable(text: &str) -> bool {
    text.chars().count() == 1 && text.chars().all(|c| index_of(c).is_some())
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
        let Some(end) = crate::targets::shared::lookup::closing_brace(body) else {
            text.push('…');
            return (text, variables);
        };
        let (name, default) = match body[..end].split_once(":-") {
            Some((name, _)) => (name, ":-…"),
            None => (&body[..end], ""),
        };
        let shown = format!("${{{name}{default}}}");
        let is_variable = body.starts_with("file:") || name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
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
pub(crate) struct Own<'a> {
    template: &'a str,
}

impl<'a> Own<'a> {
    pub(crate) fn new(template: &'a str) -> Self {
        Self { template }
    }

    /// A host, or what stands for it.
    pub(crate) fn host(self, host: &'a str) -> &'a str {
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:[]".contains(c));
        if is_host && self.is_written(host) { host } else { "HOST" }
    }

    /// `HOST:PORT`, or what stands for it.
    pub(crate) fn place(self, place: &'a str) -> &'a str {
        let port = place.rsplit_once(':').map(|(_, port)| port);
        if port.is_some_and(|port| url::parse_port(port).is_ok()) && self.host(place) == place {
            place
        } else {
            "HOST:PORT"
        }
    }

    /// Whether it holds variables.
    pub(crate) fn has_variables(self) -> bool {
        self.template.contains("${")
    }

    /// Whether nothing was written at all.
    pub(crate) fn is_empty(self) -> bool {
        self.template.trim().is_empty()
    }

    /// Whether a name stands before it.
    pub(crate) fn has_name(self) -> bool {
        url::split_name(self.template).0.is_some()
    }

    /// Whether the user wrote it, and no variable.
    pub(crate) fn is_written(self, part: &str) -> bool {
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
