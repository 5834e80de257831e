//! One word of the command line → a target: `[NAME=]URL[#KEY=VALUE&...]`, and what else people have.

use std::fmt;

use crate::duration;
use crate::net::Address;
use crate::targets::amqp::Amqp;
use crate::targets::any_of::{self, AnyOf};
use crate::targets::exec::{self, Exec};
use crate::targets::http::Http;
use crate::targets::mysql::{self, Mysql};
use crate::targets::others::{self, OtherServer};
use crate::targets::postgres::{self, PairStyle, Postgres, keywords};
use crate::targets::redacted::{self, Own, redact_word};
use crate::targets::redis::{self, Redis};
use crate::targets::registry::{self, what_to_write};
use crate::targets::shared::ado::{self, For};
use crate::targets::shared::expectations::Expectations;
use crate::targets::shared::http_options::HttpDefaults;
use crate::targets::shared::kind::{COMMON_KEYS, Key, Probe};
use crate::targets::shared::lookup::Lookup;
use crate::targets::shared::parameters::Ignored;
use crate::targets::shared::reading::Reading;
use crate::targets::shared::target::Target;
use crate::targets::shared::tls;
use crate::targets::shared::url::{self, SEPARATE, Userinfo, split_name};
use crate::targets::tcp::Tcp;
use crate::targets::variables;
use crate::text::{did_you_mean, positive};

/// The surroundings of a target.
pub(crate) struct Surroundings<'a> {
    /// Variables, `PG*` and `REDISCLI_AUTH`.
    pub(crate) lookup: Lookup<'a>,
    /// `--http-*`.
    pub(crate) http: &'a HttpDefaults,
}

/// Why a word is not a target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TargetError {
    /// The word as it was written, without secrets.
    pub(crate) word: String,
    /// The mistake, and what would be right.
    pub(crate) problem: String,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target `{}`: {}", self.word, self.problem)
    }
}

impl Target {
    /// Parses one word of the command line.
    ///
    /// # Errors
    ///
    /// A [`TargetError`] that names the word, what is wrong and what would be right.
    pub(crate) fn parse(template: &str, context: &Surroundings<'_>) -> Result<Self, TargetError> {
        let error = |problem: String| TargetError { word: redact_word(template), problem };
        if let Some(target) = Self::parse_exec(template, context).map_err(error)? {
            return Ok(target);
        }
        let expanded = variables::expand_target(template, &context.lookup).map_err(error)?;
        Self::parse_expanded(&expanded.text, Own::new(template), expanded.doubts, context).map_err(error)
    }

    /// Parses a word that may hold several targets with commas or semicolons between them, where it cannot be
    /// read as one.
    ///
    /// # Errors
    ///
    /// As [`Target::parse`].
    pub(crate) fn parse_list(template: &str, context: &Surroundings<'_>) -> Result<Vec<Self>, TargetError> {
        let problem = match Self::parse(template, context) {
            Ok(target) => return Ok(vec![target]),
            Err(problem) => problem,
        };
        let Ok(expanded) = variables::expand_target(template, &context.lookup) else { return Err(problem) };
        let parts = parts_of_list(&expanded.text);
        let parse = |part: &&str| Self::parse_expanded(part, Own::new(template), expanded.doubts.clone(), context);
        match parts.iter().map(parse).collect::<Result<Vec<_>, _>>() {
            Ok(targets) if targets.len() > 1 => Ok(targets),
            _ => Err(problem),
        }
    }

    /// A command: its variables are expanded only after its words are split. Of one that comes from a variable as
    /// a whole, there are none left.
    fn parse_exec(template: &str, context: &Surroundings<'_>) -> Result<Option<Self>, String> {
        let (name, url) = split_name(template.trim());
        let Some(text) = exec::strip_scheme(url) else {
            return Ok(None);
        };
        let (command, fragment) = exec::split_fragment(text);
        let fragment = variables::expand(fragment.unwrap_or_default(), &context.lookup)?;
        let mut reading = Reading::new(Some(&fragment), context)?;
        let expand = |variable: &str| variables::expand(variable, &context.lookup);
        let path = (context.lookup.env)("PATH");
        let command = Exec::parse(command, &mut reading.expectations, &expand, path)?;
        Self::expecting(Box::new(command), name, Own::new(template), reading).map(Some)
    }

    fn parse_expanded(
        word: &str,
        own: Own<'_>,
        doubts: Vec<String>,
        context: &Surroundings<'_>,
    ) -> Result<Self, String> {
        let word = word.trim_start_matches('\u{feff}').trim();
        // A command that comes from a variable as a whole: there is nothing left to expand in it.
        if exec::strip_scheme(split_name(word).1).is_some()
            && let Some(target) = Self::parse_exec(&word.replace('$', "$$"), context)?
        {
            return Ok(target);
        }
        if let Some(address) = url::plain_address(word) {
            let connection = Box::new(Tcp::to(address));
            return Self::expecting(connection, None, own, Reading::new(None, context)?.doubting(doubts));
        }
        check_word(word, own)?;
        // A string of pairs holds `=` itself: a name stands before it only where it is none without.
        if redis::is_stackexchange(word) {
            let (name, text) = split_name(word);
            let mut reading = Reading::new(None, context)?;
            let redis = Redis::from_stackexchange(text, &mut reading)?;
            return Self::expecting(Box::new(redis), name, own, reading.doubting(doubts));
        }
        if let Some(style) = postgres::style_of(word) {
            let (name, text) = if keywords::style_of_pairs(word).is_some() { (None, word) } else { split_name(word) };
            let (text, fragment) = split_fragment_of_pairs(text);
            return Self::of_pairs(name, text, style, own, Reading::new(fragment, context)?.doubting(doubts));
        }
        if keywords::is_single_pair(word) {
            let (text, fragment) = split_fragment_of_pairs(word);
            let reading = Reading::new(fragment, context)?.doubting(doubts);
            return Self::of_pairs(None, text, PairStyle::Keywords, own, reading);
        }
        let (name, url) = split_name(word);
        if name == Some("") {
            return Err("its name before `=` is empty; write NAME=URL".to_owned());
        }
        let (probe, reading) = of_url(url.trim(), own, context)?;
        Self::expecting(probe, name, own, reading.doubting(doubts))
    }

    /// A connection string of pairs.
    fn of_pairs(
        name: Option<&str>,
        text: &str,
        style: PairStyle,
        own: Own<'_>,
        mut reading: Reading<'_>,
    ) -> Result<Self, String> {
        let probe: Box<dyn Probe> = match style {
            PairStyle::Keywords => Box::new(Postgres::from_keywords(text, &mut reading)?),
            PairStyle::Ado => match ado::read(text)? {
                (For::Postgres, pairs) => Box::new(Postgres::from_ado(pairs, &mut reading)?),
                (For::Mysql, pairs) => Box::new(Mysql::from_ado(&pairs, &mut reading)?),
                (For::SqlServer, pairs) => Box::new(OtherServer::of_pairs(&pairs, &mut reading)?),
                (For::RabbitMq, pairs) => Box::new(Amqp::from_ado(&pairs, &mut reading)?),
            },
        };
        Self::expecting(probe, name, own, reading)
    }

    /// Takes what may be expected of all targets.
    fn expecting(
        mut probe: Box<dyn Probe>,
        name: Option<&str>,
        own: Own<'_>,
        reading: Reading<'_>,
    ) -> Result<Self, String> {
        let Reading { mut expectations, ignored, doubts, .. } = reading;
        let duration = "a duration (try `10s`)";
        let timeout = expectations.take_as("timeout", duration::parse_deadline, duration)?;
        let attempt_timeout = expectations.take_as("attempt-timeout", duration::parse_positive, duration)?;
        let successes = expectations.take_as("successes", positive, "a whole number of at least 1")?;
        let is_optional = expectations.take_flag("optional")?;
        refuse_what_is_left(&expectations, &*probe)?;
        redacted::check_names(&probe.to_string())?;
        let name = name.map(crate::text::harmless);
        if own.has_variables() {
            probe.hide_expected(&|part| own.is_written(part));
        }
        Ok(Self {
            name,
            probe: probe.into(),
            timeout,
            attempt_timeout,
            successes,
            is_optional,
            ignored: ignored.shown(),
            doubts,
        })
    }
}

impl<'a> Reading<'a> {
    fn new(fragment: Option<&str>, context: &'a Surroundings<'_>) -> Result<Self, String> {
        Ok(Self {
            lookup: &context.lookup,
            http: context.http,
            expectations: Expectations::parse(fragment.unwrap_or_default())?,
            ignored: Ignored::default(),
            doubts: Vec::new(),
        })
    }

    fn doubting(mut self, doubts: Vec<String>) -> Self {
        self.doubts.extend(doubts);
        self
    }
}

/// Refuses what nobody has taken of a target's fragment.
fn refuse_what_is_left(expectations: &Expectations, probe: &dyn Probe) -> Result<(), String> {
    let Some((key, has_taken)) = expectations.left() else { return Ok(()) };
    let tls = tls::KEYS.iter().filter(|_| probe.knows_tls_keys()).map(Key::name);
    let known: Vec<&str> = COMMON_KEYS.iter().map(Key::name).chain(probe.kind().keys()).chain(tls).collect();
    let is_key = registry::is_key(key);
    // A word that is no key may be the rest of a password with a `#` in it.
    let shown = if is_key { format!("`{key}`") } else { "what stands".to_owned() };
    let meant = did_you_mean(key, registry::all_keys().filter(|_| !is_key));
    let meant = meant.map_or(String::new(), |known| format!("; did you mean `{known}`?"));
    let ampersand = if is_key || !has_taken { "" } else { " (an `&` within a value is written %26)" };
    Err(format!("{shown} after `#` means nothing to this target; it knows {}{meant}{ampersand}", known.join(", ")))
}

/// Cuts ` #query=…` off behind a connection string of pairs.
fn split_fragment_of_pairs(text: &str) -> (&str, Option<&str>) {
    let is_key = |at: &usize| registry::begins_with_key(&text[at + 2..]);
    match text.rfind(" #").filter(is_key) {
        Some(at) => (&text[..at], Some(&text[at + 2..])),
        None => (text, None),
    }
}

/// Refuses what no target holds.
fn check_word(word: &str, own: Own<'_>) -> Result<(), String> {
    if word.is_empty() {
        let problem = if own.is_empty() { "it is empty" } else { "it expands to nothing" };
        return Err(format!("{problem}; {}", what_to_write()));
    }
    if let Some(c) = word.chars().find(|c| c.is_control()) {
        return Err(format!("it holds the control character {c:?}"));
    }
    let (_, url) = split_name(word);
    if url.starts_with(['"', '\'', '`']) && postgres::style_of(word).is_none() {
        return Err("the quotes are part of the value: write it without the quotes".to_owned());
    }
    Ok(())
}

/// The parts of a list: a comma or a semicolon before a URL begins another.
fn parts_of_list(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (at, separator) in text.match_indices([',', ';']) {
        let next = text[at + separator.len()..].trim_start();
        let scheme = split_name(next).1.split_once("://").map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| registry::find(scheme).is_some()) {
            parts.push(text[begin..at].trim());
            begin = at + separator.len();
        }
    }
    parts.push(text[begin..].trim());
    parts
}

/// The probe of a URL, or of what stands in its place.
fn of_url<'a>(url: &str, own: Own<'_>, context: &'a Surroundings<'_>) -> Result<(Box<dyn Probe>, Reading<'a>), String> {
    let plain = others::failover_as_list(url).or_else(|| url::with_plain_hosts(url));
    let url = plain.as_deref().unwrap_or(url);
    let Some((name, _)) = scheme_of(url) else {
        let (text, fragment) = split_fragment(url, Userinfo::AndPathWithAt);
        let mut reading = Reading::new(fragment, context)?;
        return without_scheme(text, own, &mut reading).map(|probe| (probe, reading));
    };
    if name.split(':').nth(1).is_some_and(|driver| driver.eq_ignore_ascii_case("tc")) {
        return Err("Testcontainers starts that server itself: there is no place to wait for".to_owned());
    }
    let found = registry::find(name).ok_or_else(|| unknown_scheme(name, url, own))?;
    let (url, fragment) = split_fragment(url, found.kind.userinfo);
    let (_, rest) = scheme_of(url).ok_or("it has no `://`")?;
    // `jdbc:postgresql:database` has a path and no authority; what stands behind `jdbc:oracle:thin:` has one.
    let has_authority = url[name.len()..].starts_with("://") || found.kind.userinfo != Userinfo::UntilSlash;
    let path_alone = if has_authority { String::new() } else { format!("/{}", rest.trim_start_matches('/')) };
    let rest = if has_authority { rest } else { &path_alone };
    if let Some(fragment) = fragment {
        check_fragment(fragment, rest)?;
    }
    if let Some(urls) = any_of::urls_of_list(url) {
        return of_list(&urls, fragment, context);
    }
    let is_bare = |text: &&str| !text.contains(['=', '&']) && !registry::is_key(text);
    let bare_fragment = fragment.filter(|text| found.kind.bare_fragment && is_bare(text));
    let mut reading = Reading::new(fragment.filter(|_| bare_fragment.is_none()), context)?;
    let probe = found.read(rest, bare_fragment, &mut reading)?;
    Ok((probe, reading))
}

/// Several URLs of one kind, each of which the fragment is for.
fn of_list<'a>(
    urls: &[String],
    fragment: Option<&str>,
    context: &'a Surroundings<'_>,
) -> Result<(Box<dyn Probe>, Reading<'a>), String> {
    let mut servers = Vec::new();
    let mut common = Reading::new(fragment, context)?;
    for url in urls {
        let mut reading = Reading::new(fragment, context)?;
        let (name, rest) = url.split_once("://").ok_or("it has no `://`")?;
        let found = registry::find(name).ok_or("its scheme is not known")?;
        servers.push(found.read(rest, None, &mut reading)?);
        // A key that any of the URLs took is taken.
        common.expectations = reading.expectations;
    }
    Ok((Box::new(AnyOf { servers }), common))
}

/// Cuts the fragment off: what is expected of the target. A `#` before the `@` of a password is the password's,
/// unless a key follows it.
fn split_fragment(word: &str, userinfo: Userinfo) -> (&str, Option<&str>) {
    let mut from = 0;
    while let Some(at) = word[from..].find('#').map(|at| from + at) {
        let (url, fragment) = (&word[..at], &word[at + 1..]);
        let is_in_authority = url.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '@']));
        let authority = &fragment[..fragment.find('/').unwrap_or(fragment.len())];
        let is_password = userinfo == Userinfo::UntilSlash
            && is_in_authority
            && authority.contains('@')
            && !registry::begins_with_key(fragment);
        if !is_password {
            return (url, Some(fragment));
        }
        from = at + 1;
    }
    (word, None)
}

/// A fragment that is the rest of a password with a `#` in it.
fn check_fragment(fragment: &str, rest: &str) -> Result<(), String> {
    let is_credentials = fragment.contains('@') && !rest.contains(['@', '/']);
    if is_credentials && !registry::begins_with_key(fragment) {
        return Err("a `#` in a user name or password is written %23".to_owned());
    }
    Ok(())
}

/// The scheme before `://`, and what follows; JDBC's and R2DBC's need no `//`.
fn scheme_of(url: &str) -> Option<(&str, &str)> {
    if let Some((scheme, rest)) = url.split_once("://")
        && !scheme.contains(['/', '?', '@', '#', ',', ';'])
        && !scheme.is_empty()
    {
        return Some((scheme, rest));
    }
    let lower = url.to_ascii_lowercase();
    let begin = ["jdbc:", "r2dbc:", "r2dbcs:"].iter().find(|prefix| lower.starts_with(**prefix))?.len();
    // `jdbc:postgresql:database`
    let end = url[begin..].find([':', '/', '?']).map(|end| begin + end)?;
    let (scheme, rest) = url.split_at(end);
    Some((scheme, rest.strip_prefix(':')?))
}

/// `HOST:PORT`, `HOST:PORT/PATH`, or something that only looks like a URL.
fn without_scheme(text: &str, own: Own<'_>, reading: &mut Reading<'_>) -> Result<Box<dyn Probe>, String> {
    if let Some((scheme @ ("unix" | "file"), path)) = text.split_once(':')
        && path.starts_with('/')
        && let Some(found) = registry::find(scheme)
    {
        return found.read(path, None, reading);
    }
    if mysql::strings::is_go(text) {
        return Ok(Box::new(Mysql::from_go(text, reading)?));
    }
    let text = text.trim_end_matches([',', ';']);
    if let Some(end) = text.find(['/', '?', '@', ',', ';', '=', '&']) {
        return with_more(text, end, own, reading);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let port = if own.is_written(text) && url::parse_port(text).is_ok() { text } else { "PORT" };
        return Err(format!("it has no host; for this machine write localhost:{port}"));
    }
    if let Some((scheme, rest)) = text.split_once(':')
        && rest.is_empty()
        && registry::find(scheme).is_some()
    {
        return Err(format!("its port is empty; {}", what_to_write()));
    }
    let (host, port) = url::host_and_port(text)?;
    let port = port.ok_or_else(|| {
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        // `TOKEN=…` is no host.
        let shown = if own.has_name() { "HOST" } else { own.host(&shown) };
        format!("it has no port; write {shown}:PORT")
    })?;
    Ok(Box::new(Tcp::to(Address { host, port })))
}

/// The probe of more than `HOST:PORT`, beginning at `end`.
fn with_more(text: &str, end: usize, own: Own<'_>, reading: &mut Reading<'_>) -> Result<Box<dyn Probe>, String> {
    let (place, more) = text.split_at(end);
    if place.is_empty() && more.starts_with('/') {
        if let Some(rest) = more.strip_prefix("//") {
            return Err(format!("it has no scheme; write http://{}/…", own.place(url::authority(rest))));
        }
        return Err(
            "it is a path: a socket is written unix:///PATH or redis+unix:///PATH, a file file:///PATH".to_owned()
        );
    }
    if more.starts_with([',', ';']) {
        let lower = more.to_ascii_lowercase();
        if ["password=", "pwd=", "ssl=", "abortconnect="].iter().any(|option| lower.contains(option)) {
            return Err(format!(
                "what follows its host is no option that is known; write redis://:PASSWORD@{}",
                own.place(place)
            ));
        }
        return Err(format!("it is not one HOST:PORT: {SEPARATE}"));
    }
    if let Some((scheme, _)) = place.split_once(':')
        && let Some(found) = registry::find(scheme)
        && (place.matches(':').count() > 1
            || place.rsplit_once(':').is_none_or(|(_, port)| url::parse_port(port).is_err()))
    {
        let name = found.scheme.name();
        return Err(format!("after `{name}:` comes `//`; write {name}://HOST, or HOST:PORT and nothing more"));
    }
    if more.contains('@') || !more.starts_with('/') || place.ends_with(':') {
        return Err(format!("it is not HOST:PORT; {}", what_to_write()));
    }
    match url::host_and_port(place)? {
        (_, None) => Err(format!(
            "it has a path and no scheme; write http://{}/…",
            if own.has_name() { "HOST" } else { own.host(place) }
        )),
        (_, Some(port)) => match registry::by_port(port) {
            Some(scheme) => Err(format!(
                "it is not HOST:PORT and nothing more; write {place}, or {}://{place}/…",
                scheme.name(),
                place = own.place(place)
            )),
            None => Ok(Box::new(Http::without_scheme(text, reading)?)),
        },
    }
}

fn unknown_scheme(written: &str, url: &str, own: Own<'_>) -> String {
    if let Some(known) = registry::suggested_scheme(written) {
        return format!("its scheme is not known; did you mean {known}://?");
    }
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#', ';', ',']).unwrap_or(rest.len())];
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let place = if rest[authority.len()..].contains('@') { "HOST:PORT" } else { own.place(place) };
    format!("its scheme is not known; {}. For any other server, tcp://{place}", what_to_write())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_in_a_password_is_the_passwords_unless_a_key_follows() {
        let cut = |word| split_fragment(word, Userinfo::UntilSlash);
        assert_eq!(cut("postgres://u:p#w@h/d"), ("postgres://u:p#w@h/d", None));
        assert_eq!(cut("postgres://u:p#w@h/d#query=x"), ("postgres://u:p#w@h/d", Some("query=x")));
        assert_eq!(cut("postgres://h#query=select '@'"), ("postgres://h", Some("query=select '@'")));
        assert_eq!(cut("postgres://u@h#x@y"), ("postgres://u@h", Some("x@y")));
        assert_eq!(split_fragment("http://u:p#w@h", Userinfo::AndPathWithAt), ("http://u:p", Some("w@h")));
    }
}
