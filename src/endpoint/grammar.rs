//! One word of the command line → a target: `[NAME=]URL[#KEY=VALUE&...]`, and what else people have.

use std::path::PathBuf;

#[cfg(feature = "exec")]
use super::exec;
use super::postgres::{self, AdoServer, Style, keywords};
use super::schemes::{self, FORMS, Found, Grammar};
use super::shown::{Own, redact_word};
use super::url::{self, Userinfo};
use super::variables;
use super::{
    Endpoint, Expectations, Http, Place, Postgres, Reading, Redis, Server, Service, Surroundings, Target, TargetError,
    TlsServer, positive, redis,
};
use crate::duration;
use crate::secret::Secret;

/// What is said where one word holds several targets.
const SEPARATE: &str = "separate targets by spaces";

impl Target {
    /// Parses one word of the command line.
    ///
    /// # Errors
    ///
    /// A [`TargetError`] that names the word, what is wrong and what would be right.
    pub fn parse(template: &str, context: &Surroundings<'_>) -> Result<Self, TargetError> {
        let error = |problem: String| TargetError { word: redact_word(template), problem };
        #[cfg(feature = "exec")]
        if let Some(target) = Self::parse_exec(template, context).map_err(error)? {
            return Ok(target);
        }
        #[cfg(not(feature = "exec"))]
        if split_name(template).1.starts_with("exec:") {
            return Err(error("this build runs no commands; use one with the feature exec".to_owned()));
        }
        let expanded = variables::expand_target(template, &context.lookup).map_err(error)?;
        let target = Self::parse_expanded(&expanded.text, Own::new(template), expanded.doubts, context);
        target.map(|target| target.hiding_contributed(template)).map_err(error)
    }

    /// What a variable or a file contributed to an expectation is not shown where the answer is another.
    fn hiding_contributed(mut self, template: &str) -> Self {
        if let Endpoint::Http(http) = &mut self.endpoint
            && template.contains("${")
        {
            http.hide_expected(|part| Own::new(template).is_written(part));
        }
        self
    }

    /// Parses a word that may hold several targets with commas or semicolons between them, where it cannot be
    /// read as one.
    ///
    /// # Errors
    ///
    /// As [`Target::parse`].
    pub fn parse_list(template: &str, context: &Surroundings<'_>) -> Result<Vec<Self>, TargetError> {
        let problem = match Self::parse(template, context) {
            Ok(target) => return Ok(vec![target]),
            Err(problem) => problem,
        };
        let Ok(expanded) = variables::expand_target(template, &context.lookup) else { return Err(problem) };
        let parts = parts_of_list(&expanded.text);
        let parse = |part: &&str| {
            let target = Self::parse_expanded(part, Own::new(template), expanded.doubts.clone(), context);
            target.map(|target| target.hiding_contributed(template))
        };
        match parts.iter().map(parse).collect::<Result<Vec<_>, _>>() {
            Ok(targets) if targets.len() > 1 => Ok(targets),
            _ => Err(problem),
        }
    }

    /// A command: its variables are expanded only after its words are split. Of one that comes from a variable as
    /// a whole, there are none left.
    #[cfg(feature = "exec")]
    fn parse_exec(template: &str, context: &Surroundings<'_>) -> Result<Option<Self>, String> {
        let (name, url) = split_name(template.trim());
        let Some(text) = exec::strip_scheme(url) else {
            return Ok(None);
        };
        let (command, fragment) = exec::split_fragment(text);
        let fragment = variables::expand(fragment.unwrap_or_default(), &context.lookup)?;
        let mut reading = Reading::new(Some(&fragment), context)?;
        let command = exec::Exec::parse(command, &mut reading.expectations, &context.lookup)?;
        Self::expecting(Endpoint::Exec(Box::new(command)), name, reading).map(Some)
    }

    fn parse_expanded(
        word: &str,
        own: Own<'_>,
        doubts: Vec<String>,
        context: &Surroundings<'_>,
    ) -> Result<Self, String> {
        let word = word.trim_start_matches('\u{feff}').trim();
        // A command that comes from a variable as a whole: there is nothing left to expand in it.
        #[cfg(feature = "exec")]
        if exec::strip_scheme(split_name(word).1).is_some()
            && let Some(target) = Self::parse_exec(&word.replace('$', "$$"), context)?
        {
            return Ok(target);
        }
        if let Some(address) = url::plain_address(word) {
            let endpoint = Endpoint::Connection(Place::Tcp(address));
            return Self::expecting(endpoint, None, Reading::new(None, context)?.doubting(doubts));
        }
        check_word(word, own)?;
        // A string of pairs holds `=` itself: a name stands before it only where it is none without.
        if redis::is_stackexchange(word) {
            let (name, text) = split_name(word);
            let mut reading = Reading::new(None, context)?;
            let redis = Redis::from_stackexchange(text, &mut reading)?;
            return Self::expecting(Endpoint::Redis(Box::new(redis)), name, reading.doubting(doubts));
        }
        if let Some(style) = postgres::style_of(word) {
            let (name, text) = if keywords::style_of_pairs(word).is_some() { (None, word) } else { split_name(word) };
            return Self::of_pairs(name, text, style, doubts, context);
        }
        if keywords::is_single_pair(word) {
            return Self::of_pairs(None, word, Style::Keywords, doubts, context);
        }
        let (name, url) = split_name(word);
        if name == Some("") {
            return Err("its name before `=` is empty; write NAME=URL".to_owned());
        }
        let (endpoint, reading) = endpoint(url.trim(), own, context)?;
        Self::expecting(endpoint, name, reading.doubting(doubts))
    }

    /// A connection string of pairs; ` #query=…` may stand behind it.
    fn of_pairs(
        name: Option<&str>,
        text: &str,
        style: Style,
        doubts: Vec<String>,
        context: &Surroundings<'_>,
    ) -> Result<Self, String> {
        let cut = text.rfind(" #").filter(|&at| {
            let key = text[at + 2..].split(['=', '&']).next().unwrap_or_default();
            super::expectations::is_key(key)
        });
        let (text, fragment) = cut.map_or((text, None), |at| (&text[..at], Some(&text[at + 2..])));
        let mut reading = Reading::new(fragment, context)?;
        let endpoint = match (style, postgres::ado_server_of(text, style)?) {
            (_, Some(AdoServer { scheme, hosts, password })) => {
                let scheme = schemes::find(scheme).ok_or("its kind of server is not known")?.scheme;
                let places = url::places(&hosts, scheme.port.unwrap_or_default())?;
                Endpoint::Server(Box::new(Server::at(scheme, places, password.map(Secret::new).into_iter().collect())))
            }
            (style, None) => Endpoint::Postgres(Box::new(Postgres::from_pairs(text, style, &mut reading)?)),
        };
        Self::expecting(endpoint, name, reading.doubting(doubts))
    }

    /// Takes what may be expected of all targets.
    fn expecting(endpoint: Endpoint, name: Option<&str>, reading: Reading<'_>) -> Result<Self, String> {
        let Reading { mut expectations, ignored, doubts, .. } = reading;
        let timeout = expectations.take("timeout")?.map(|value| duration::parse_deadline(&value)).transpose();
        let timeout = timeout.map_err(|_| "the value of `timeout` is not a duration (try `10s`)".to_owned())?;
        let successes = expectations.take("successes")?.map(|value| positive(&value)).transpose();
        let successes =
            successes.map_err(|_| "the value of `successes` is not a whole number of at least 1".to_owned())?;
        expectations.finish(&endpoint)?;
        let name = name.map(super::shown::clean);
        Ok(Self { name, endpoint, timeout, successes, ignored: ignored.shown(), doubts })
    }
}

impl<'a> Reading<'a> {
    fn new(fragment: Option<&str>, context: &'a Surroundings<'_>) -> Result<Self, String> {
        Ok(Self {
            lookup: &context.lookup,
            http: context.http,
            expectations: Expectations::parse(fragment.unwrap_or_default())?,
            ignored: super::Ignored::default(),
            doubts: Vec::new(),
        })
    }

    fn doubting(mut self, doubts: Vec<String>) -> Self {
        self.doubts.extend(doubts);
        self
    }
}

/// What no target holds.
fn check_word(word: &str, own: Own<'_>) -> Result<(), String> {
    if word.is_empty() {
        let problem = if own.is_empty() { "it is empty" } else { "it expands to nothing" };
        return Err(format!("{problem}; {FORMS}"));
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

/// Splits `NAME=URL`. A name holds none of the characters that a URL has before its first `=`.
pub(crate) fn split_name(word: &str) -> (Option<&str>, &str) {
    match word.split_once('=') {
        Some((name, url)) if !name.contains([':', '/', '?', '#', '[', ']', '@', '%', '&', ',', ';', ' ']) => {
            (Some(name), url)
        }
        _ => (None, word),
    }
}

/// The parts of a list: a comma or a semicolon before a URL begins another.
fn parts_of_list(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (at, separator) in text.match_indices([',', ';']) {
        let next = text[at + separator.len()..].trim_start();
        let scheme = split_name(next).1.split_once("://").map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| schemes::find(scheme).is_some()) {
            parts.push(text[begin..at].trim());
            begin = at + separator.len();
        }
    }
    parts.push(text[begin..].trim());
    parts
}

/// What a URL, or what stands in its place, leads to.
fn endpoint<'a>(url: &str, own: Own<'_>, context: &'a Surroundings<'_>) -> Result<(Endpoint, Reading<'a>), String> {
    let Some((written, _)) = scheme_of(url) else {
        let (text, fragment) = url::split_fragment(url, Userinfo::AndPathWithAt);
        let mut reading = Reading::new(fragment, context)?;
        return without_scheme(text, own, &mut reading).map(|endpoint| (endpoint, reading));
    };
    if written.to_ascii_lowercase().starts_with("jdbc:tc:") || written.eq_ignore_ascii_case("jdbc:tc") {
        return Err("Testcontainers starts that server itself: there is no place to wait for".to_owned());
    }
    let found = schemes::find(written).ok_or_else(|| unknown_scheme(written, url, own))?;
    let userinfo = match found.scheme.grammar {
        Grammar::Postgres => Userinfo::UntilSlash,
        _ => Userinfo::AndPathWithAt,
    };
    let (url, fragment) = url::split_fragment(url, userinfo);
    let (_, rest) = scheme_of(url).ok_or("it has no `://`")?;
    // `jdbc:postgresql:database` has a path and no authority.
    let has_authority = url[written.len()..].starts_with("://");
    let path_alone = if has_authority { String::new() } else { format!("/{}", rest.trim_start_matches('/')) };
    let rest = if has_authority || found.scheme.grammar == Grammar::Server { rest } else { &path_alone };
    if found.scheme.grammar == Grammar::Refused {
        return Err(found.scheme.protocol.to_owned());
    }
    let hash = |fragment: &str| fragment.contains('@') && !rest.contains(['@', '/']);
    if fragment.is_some_and(hash)
        && !fragment.and_then(|f| f.split(['=', '&']).next()).is_some_and(super::expectations::is_key)
    {
        return Err("a `#` in a user name or password is written %23".to_owned());
    }
    // lettuce has the master's name there, and a route of a browser's application is nothing to a server.
    let (fragment, master) = match (found.scheme.grammar, fragment) {
        (Grammar::Sentinel, Some(text)) if !text.contains(['=', '&']) && !super::expectations::is_key(text) => {
            (None, Some(url::decode(text)?).filter(|text| !text.is_empty()))
        }
        (_, fragment) => (fragment, None),
    };
    let mut reading = Reading::new(fragment, context)?;
    let endpoint = of_scheme(found, rest, master, own, &mut reading)?;
    Ok((endpoint, reading))
}

fn of_scheme(
    found: Found,
    rest: &str,
    master: Option<String>,
    own: Own<'_>,
    reading: &mut Reading<'_>,
) -> Result<Endpoint, String> {
    Ok(match found.scheme.grammar {
        Grammar::Tcp => tcp(found, rest, reading)?,
        Grammar::Unix => unix(rest, reading)?,
        Grammar::Tls => Endpoint::Tls(Box::new(TlsServer::from_url(rest, reading)?)),
        Grammar::File => Endpoint::File {
            path: path_of(rest, "file:///path")?,
            nonempty: reading.expectations.take_flag("nonempty")?,
        },
        Grammar::Dns => Endpoint::Dns(dns_name(rest)?),
        Grammar::Http | Grammar::HttpUnix | Grammar::WebSocket => {
            Endpoint::Http(Box::new(Http::from_url(found.scheme, rest, reading)?))
        }
        Grammar::Postgres => Endpoint::Postgres(Box::new(Postgres::from_url(found, rest, reading)?)),
        Grammar::Redis => Endpoint::Redis(Box::new(Redis::from_url(found, rest, reading)?)),
        Grammar::RedisUnix => Endpoint::Redis(Box::new(Redis::from_socket_url(rest, reading)?)),
        Grammar::Sentinel => Endpoint::Redis(Box::new(Redis::from_sentinel_url(found, rest, master, reading)?)),
        Grammar::Server => match Service::from_url(found, rest, reading)? {
            Some(service) => Endpoint::Service(Box::new(service)),
            None => Endpoint::Server(Box::new(Server::from_url(found, rest, reading)?)),
        },
        Grammar::Refused => return Err(unknown_scheme(found.scheme.name(), rest, own)),
    })
}

/// A connection; with Redis' parameters in the query it is Predis'.
fn tcp(found: Found, rest: &str, reading: &mut Reading<'_>) -> Result<Endpoint, String> {
    let parts = url::split(rest, Userinfo::UntilSlashOrQuery)?;
    if parts.query.is_some_and(redis::has_parameters) && matches!(parts.path, "" | "/") {
        return Ok(Endpoint::Redis(Box::new(Redis::from_url(found, rest, reading)?)));
    }
    if parts.userinfo.is_some() || !matches!(parts.path, "" | "/") || parts.query.is_some() {
        return Err("a tcp target is tcp://HOST:PORT and nothing more".to_owned());
    }
    if parts.hosts.contains([',', ';']) {
        return Err(SEPARATE.to_owned());
    }
    let (host, port) = url::host_and_port(parts.hosts)?;
    let port = port.ok_or("it has no port; write tcp://HOST:PORT")?;
    Ok(Endpoint::Connection(Place::Tcp(super::Address { host, port })))
}

/// A connection to a socket; with Redis' parameters or with credentials it is redis-py's.
fn unix(rest: &str, reading: &mut Reading<'_>) -> Result<Endpoint, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let has_credentials = path.split('/').next().is_some_and(|authority| authority.contains('@'));
    if redis::has_parameters(query) || has_credentials {
        return Ok(Endpoint::Redis(Box::new(Redis::from_socket_url(rest, reading)?)));
    }
    Ok(Endpoint::Connection(Place::Unix(path_of(rest, "unix:///run/app.sock")?)))
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
fn without_scheme(text: &str, own: Own<'_>, reading: &mut Reading<'_>) -> Result<Endpoint, String> {
    for (scheme, example) in [("unix:/", "unix:///run/app.sock"), ("file:/", "file:///path")] {
        if let Some(path) = text.strip_prefix(scheme) {
            let path = path_of(&format!("/{path}"), example)?;
            return Ok(match scheme {
                "unix:/" => Endpoint::Connection(Place::Unix(path)),
                _ => Endpoint::File { path, nonempty: reading.expectations.take_flag("nonempty")? },
            });
        }
    }
    if let Some(endpoint) = go_mysql(text)? {
        return Ok(endpoint);
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
        && schemes::find(scheme).is_some()
    {
        return Err(format!("its port is empty; write HOST:PORT or a URL; {FORMS}"));
    }
    let (host, port) = url::host_and_port(text)?;
    let port = port.ok_or_else(|| {
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        // `TOKEN=…` is no host.
        let shown = if own.has_name() { "HOST" } else { own.host(&shown) };
        format!("it has no port; write {shown}:PORT")
    })?;
    Ok(Endpoint::Connection(Place::Tcp(super::Address { host, port })))
}

/// What has more than `HOST:PORT`, beginning at `end`.
fn with_more(text: &str, end: usize, own: Own<'_>, reading: &mut Reading<'_>) -> Result<Endpoint, String> {
    let (place, more) = text.split_at(end);
    if place.is_empty() && more.starts_with('/') {
        if let Some(rest) = more.strip_prefix("//") {
            let place = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
            return Err(format!("it has no scheme; write http://{}/…", own.place(place)));
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
        && let Some(found) = schemes::find(scheme)
        && (place.matches(':').count() > 1
            || place.rsplit_once(':').is_none_or(|(_, port)| url::parse_port(port).is_err()))
    {
        let name = found.scheme.name();
        return Err(format!("after `{name}:` comes `//`; write {name}://HOST, or HOST:PORT and nothing more"));
    }
    if more.contains('@') || !more.starts_with('/') || place.ends_with(':') {
        return Err(format!("it is not HOST:PORT; {FORMS}"));
    }
    match url::host_and_port(place)? {
        (_, None) => Err(format!(
            "it has a path and no scheme; write http://{}/…",
            if own.has_name() { "HOST" } else { own.host(place) }
        )),
        (_, Some(port)) => match schemes::by_port(port) {
            Some(scheme) => Err(format!(
                "it is not HOST:PORT and nothing more; write {place}, or {}://{place}/…",
                scheme.name(),
                place = own.place(place)
            )),
            None => Ok(Endpoint::Http(Box::new(Http::without_scheme(text, reading)?))),
        },
    }
}

/// Go's `user:password@tcp(host:3306)/database`.
fn go_mysql(text: &str) -> Result<Option<Endpoint>, String> {
    let Some((at, _)) = ["@tcp(", "@unix("].iter().find_map(|mark| Some((text.find(mark)?, mark))) else {
        return Ok(None);
    };
    let scheme = schemes::find("mysql").ok_or("its kind of server is not known")?.scheme;
    let password = text[..at].split_once(':').map(|(_, password)| Secret::new(password));
    let places = super::server::Parts::of(&text[at + 1..], scheme.port.unwrap_or_default())?.places;
    Ok(Some(Endpoint::Server(Box::new(Server::at(scheme, places, password.into_iter().collect())))))
}

/// The absolute path behind `scheme://`.
fn path_of(rest: &str, example: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("localhost/").map_or(rest.to_owned(), |rest| format!("/{rest}"));
    if !path.starts_with('/') || path == "/" && example.starts_with("unix") {
        return Err(format!("its path is not absolute; write three slashes, like {example}"));
    }
    Ok(PathBuf::from(url::decode(&path)?))
}

fn dns_name(rest: &str) -> Result<String, String> {
    let name = rest.strip_suffix('/').unwrap_or(rest);
    if name.contains(':') {
        return Err("a dns target is dns://NAME, without a port".to_owned());
    }
    url::check_name(name)?;
    Ok(name.to_owned())
}

fn unknown_scheme(written: &str, url: &str, own: Own<'_>) -> String {
    if let Some(known) = schemes::suggestion(written) {
        return format!("its scheme is not known; did you mean {known}://?");
    }
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#', ';', ',']).unwrap_or(rest.len())];
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let place = if rest[authority.len()..].contains('@') { "HOST:PORT" } else { own.place(place) };
    format!("its scheme is not known; {FORMS}. For any other server, tcp://{place}")
}
