//! What is waited for: the grammar `[NAME=]URL[#KEY=VALUE&...]`.

#[cfg(feature = "exec")]
pub mod exec;
pub mod http;
#[cfg(feature = "mysql")]
mod mysql;
pub mod postgres;
pub mod redirect;
pub mod redis;
pub mod server;
pub mod service;
pub mod tls;
mod url;
pub mod variables;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::duration;
use crate::secret::Secret;

pub use http::{Http, HttpDefaults};
pub use postgres::Postgres;
pub use redis::Redis;
pub use server::{Server, TlsServer};
pub use service::Service;
pub use tls::{CertificateCheck, TargetTls};
use variables::Lookup;

/// A thing that must be ready, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The label that the user gave it.
    pub name: Option<String>,
    /// What is probed.
    pub endpoint: Endpoint,
    /// `timeout=`: the target's own deadline.
    pub timeout: Option<Deadline>,
    /// `successes=`: consecutive successes that make it ready.
    pub successes: Option<u32>,
    /// Names of query parameters that mean nothing to the probe.
    pub ignored: Vec<String>,
}

/// What is probed, by protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A connection, by TCP or to a Unix socket, and nothing more.
    Connection(Place),
    /// An HTTP(S) request.
    Http(Box<Http>),
    /// A Postgres server.
    Postgres(Box<Postgres>),
    /// A Redis server.
    Redis(Box<Redis>),
    /// A TLS handshake, and nothing more.
    Tls(Box<TlsServer>),
    /// A server that is asked in its own protocol.
    Service(Box<Service>),
    /// A server whose own protocol is not spoken here: a connection, and nothing more.
    Server(Box<Server>),
    /// A path in the file system.
    File {
        /// The path that must exist.
        path: PathBuf,
        /// Whether it must also have content.
        nonempty: bool,
    },
    /// A name that must resolve.
    Dns(String),
    /// A command that must exit with an accepted status.
    #[cfg(feature = "exec")]
    Exec(Box<exec::Exec>),
}

impl Endpoint {
    /// The place that is connected to before anything else, and without which nothing can be found out. None
    /// where there are several to choose from, or none.
    pub fn only_place(&self) -> Option<Place> {
        let only = |places: &[Place]| if let [place] = places { Some(place.clone()) } else { None };
        match self {
            Self::Connection(place) => Some(place.clone()),
            Self::Http(http) => Some(http.place.clone()),
            // A time-out of its own begins with the connection.
            Self::Postgres(postgres) if postgres.connect_timeout.is_some() => None,
            Self::Postgres(postgres) => match postgres.hosts.as_slice() {
                [host] => Some(host.place.clone()),
                _ => None,
            },
            Self::Redis(redis) if redis.sentinel.is_some() => None,
            Self::Redis(redis) => only(&redis.places),
            Self::Tls(server) => Some(Place::Tcp(server.address.clone())),
            Self::Server(server) => only(&server.places),
            Self::Service(service) => only(&service.places),
            Self::File { .. } | Self::Dns(_) => None,
            #[cfg(feature = "exec")]
            Self::Exec(_) => None,
        }
    }

    /// Whether more is asked than a connection: what follows it may block.
    pub fn wants_a_conversation(&self) -> bool {
        !matches!(self, Self::Connection(_) | Self::Server(_))
    }
}

/// Where something listens: what every probe connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By TCP.
    Tcp(Address),
    /// By a Unix stream socket.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A host (name or IP address) and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// 1-65535.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a word is not a target.
#[derive(Debug, PartialEq, Eq)]
pub struct TargetError {
    /// The word as it was written, without secrets.
    pub word: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target `{}`: {}", self.word, self.problem)
    }
}

/// What a target takes from its surroundings.
pub struct Surroundings<'a> {
    /// Variables, `PG*` and `REDISCLI_AUTH`.
    pub lookup: Lookup<'a>,
    /// `--http-*`.
    pub http: &'a HttpDefaults,
}

/// What a user most likely meant to write.
const FORMS: &str = "write HOST:PORT, or a URL that begins with tcp, unix, http, https, postgres, redis, rediss, \
                     redis+unix, file or dns and ://";

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
        let word = variables::expand(template, &context.lookup).map_err(error)?;
        if word.is_empty() {
            let problem = if template.is_empty() { "it is empty" } else { "it expands to nothing" };
            return Err(error(format!("{problem}; {FORMS}")));
        }
        if let Some(c) = word.chars().find(|c| c.is_control()) {
            return Err(error(format!("it holds the control character {c:?}")));
        }
        let (name, url) = split_name(&word);
        if name == Some("") {
            return Err(error("its name before `=` is empty; write NAME=URL".to_owned()));
        }
        let mut target = Self::parse_url(url, context).map_err(error)?;
        target.name = name.map(str::to_owned);
        Ok(target)
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
        let mut expectations = Expectations::parse(&fragment)?;
        let endpoint = Endpoint::Exec(Box::new(exec::Exec::parse(command, &mut expectations, &context.lookup)?));
        let mut target = Self::expecting(endpoint, expectations, Vec::new())?;
        target.name = name.map(str::to_owned);
        Ok(Some(target))
    }

    fn parse_url(url: &str, context: &Surroundings<'_>) -> Result<Self, String> {
        let (url, fragment) = url::split_fragment(url);
        if fragment.is_some_and(|f| f.contains('@'))
            && url.split_once("://").is_some_and(|(_, r)| !r.contains(['@', '/']))
        {
            return Err("a `#` in a user name or password is written %23".to_owned());
        }
        let mut expectations = Expectations::parse(fragment.unwrap_or_default())?;
        let mut ignored = Vec::new();
        let endpoint = match scheme_of(url) {
            None => Endpoint::Connection(Place::Tcp(address(url)?)),
            Some(scheme) => match scheme.to_ascii_lowercase().as_str() {
                "tcp" => {
                    let parts = url::split(url, true)?;
                    if parts.userinfo.is_some() || !matches!(parts.path, "" | "/") || parts.query.is_some() {
                        return Err("a tcp target is tcp://HOST:PORT and nothing more".to_owned());
                    }
                    Endpoint::Connection(Place::Tcp(address(parts.hosts)?))
                }
                "unix" => Endpoint::Connection(Place::Unix(path_of(url, "unix:///run/app.sock")?)),
                "file" => Endpoint::File {
                    path: path_of(url, "file:///path")?,
                    nonempty: expectations.take_flag("nonempty")?,
                },
                "dns" => Endpoint::Dns(dns_name(url)?),
                "http" | "https" => Endpoint::Http(Box::new(Http::parse(url, &mut expectations, context.http)?)),
                "redis" | "rediss" | "redis+unix" => {
                    Endpoint::Redis(Box::new(Redis::parse(url, &mut expectations, &mut ignored, context.lookup.env)?))
                }
                #[cfg(feature = "mysql")]
                scheme if is_mysql(scheme) => {
                    Endpoint::Service(Box::new(mysql::parse(url, &mut expectations, &mut ignored, context.lookup.env)?))
                }
                scheme if postgres::is_scheme(scheme) => Endpoint::Postgres(Box::new(Postgres::parse(
                    url,
                    &mut expectations,
                    &mut ignored,
                    context.lookup.env,
                )?)),
                other => return Err(unknown_scheme(other)),
            },
        };
        Self::expecting(endpoint, expectations, ignored)
    }

    /// Takes what may be expected of all targets.
    fn expecting(endpoint: Endpoint, mut expectations: Expectations, ignored: Vec<String>) -> Result<Self, String> {
        let timeout = expectations.take("timeout")?.map(|value| duration::parse_deadline(&value)).transpose();
        let timeout = timeout.map_err(|problem| format!("`timeout=`: {problem}"))?;
        let successes = expectations.take("successes")?.map(|value| positive(&value)).transpose();
        let successes = successes.map_err(|problem| format!("`successes=`: {problem}"))?;
        expectations.finish(&endpoint)?;
        Ok(Self { name: None, endpoint, timeout, successes, ignored })
    }

    /// The label in logs and reports: the name, or the URL without secrets.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.to_string())
    }

    /// Everything that must not be shown, for scrubbing what a peer echoes.
    pub fn secrets(&self) -> Vec<&Secret> {
        match &self.endpoint {
            Endpoint::Http(http) => http.secrets(),
            Endpoint::Postgres(postgres) => postgres.password.iter().collect(),
            Endpoint::Redis(redis) => redis.secrets(),
            Endpoint::Server(server) => server.secrets.iter().collect(),
            Endpoint::Service(service) => service.password.iter().collect(),
            #[cfg(feature = "exec")]
            Endpoint::Exec(exec) => exec.secrets(),
            Endpoint::Connection(_) | Endpoint::Tls(_) | Endpoint::File { .. } | Endpoint::Dns(_) => Vec::new(),
        }
    }

    /// The statement that is sent, whose literals must not be shown.
    pub fn sql(&self) -> Option<&Secret> {
        match &self.endpoint {
            Endpoint::Postgres(postgres) => postgres.query.as_ref(),
            Endpoint::Service(service) => service.query.as_ref(),
            _ => None,
        }
    }

    /// What must not be shown as a whole: scripts that a command is given.
    pub fn texts(&self) -> &[Secret] {
        match &self.endpoint {
            #[cfg(feature = "exec")]
            Endpoint::Exec(exec) => exec.texts(),
            _ => &[],
        }
    }

    /// How long one attempt may take, where the target itself says so.
    pub fn attempt_timeout(&self) -> Option<Duration> {
        match &self.endpoint {
            #[cfg(feature = "exec")]
            Endpoint::Exec(exec) => exec.attempt_timeout,
            _ => None,
        }
    }

    /// Whether it is a command, of which one runs at a time.
    pub fn is_command(&self) -> bool {
        match &self.endpoint {
            #[cfg(feature = "exec")]
            Endpoint::Exec(_) => true,
            _ => false,
        }
    }

    /// Whether a probe of it may use TLS.
    pub fn may_use_tls(&self) -> bool {
        match &self.endpoint {
            Endpoint::Postgres(postgres) => postgres.sslmode != postgres::SslMode::Disable,
            Endpoint::Service(service) => service.encryption != service::Encryption::Never,
            Endpoint::Http(http) => http.tls.is_some() || http.follow != http::Follow::None,
            _ => self.requires_tls(),
        }
    }

    /// Whether a probe of it needs TLS for certain.
    pub fn requires_tls(&self) -> bool {
        match &self.endpoint {
            Endpoint::Http(http) => http.tls.is_some(),
            Endpoint::Redis(redis) => redis.requires_tls(),
            Endpoint::Postgres(postgres) => postgres.sslmode.requires_tls(),
            Endpoint::Service(service) => service.encryption == service::Encryption::Always,
            Endpoint::Tls(_) => true,
            Endpoint::Connection(_) | Endpoint::Server(_) | Endpoint::File { .. } | Endpoint::Dns(_) => false,
            #[cfg(feature = "exec")]
            Endpoint::Exec(_) => false,
        }
    }
}

/// The URL without password, query and fragment.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Connection(Place::Tcp(address)) => write!(f, "tcp://{address}"),
            Endpoint::Connection(Place::Unix(path)) => write!(f, "unix://{}", path.display()),
            Endpoint::Http(http) => http.fmt(f),
            Endpoint::Postgres(postgres) => postgres.fmt(f),
            Endpoint::Redis(redis) => redis.fmt(f),
            Endpoint::Tls(server) => write!(f, "tls://{}", server.address),
            Endpoint::Server(server) => server.fmt(f),
            Endpoint::Service(service) => service.fmt(f),
            Endpoint::File { path, .. } => write!(f, "file://{}", path.display()),
            Endpoint::Dns(name) => write!(f, "dns://{name}"),
            #[cfg(feature = "exec")]
            Endpoint::Exec(exec) => exec.fmt(f),
        }
    }
}

/// The pairs of the fragment that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    pairs: Vec<(String, Option<String>)>,
}

impl Expectations {
    fn parse(fragment: &str) -> Result<Self, String> {
        Ok(Self { pairs: url::pairs(fragment).collect::<Result<_, _>>()? })
    }

    /// The values of a key that may be repeated.
    pub(crate) fn take_all(&mut self, key: &str) -> Result<Vec<String>, String> {
        self.pairs
            .extract_if(.., |(name, _)| name == key)
            .map(|(_, value)| value.filter(|v| !v.is_empty()).ok_or_else(|| format!("`{key}` needs a value: {key}=…")))
            .collect()
    }

    /// The value of a key that may be given once.
    pub(crate) fn take(&mut self, key: &str) -> Result<Option<String>, String> {
        let mut values = self.take_all(key)?;
        if values.len() > 1 {
            return Err(format!("`{key}` is given twice"));
        }
        Ok(values.pop())
    }

    /// Whether a key that takes no value is there.
    pub(crate) fn take_flag(&mut self, key: &str) -> Result<bool, String> {
        let given: Vec<_> = self.pairs.extract_if(.., |(name, _)| name == key).collect();
        match given.as_slice() {
            [] => Ok(false),
            all if all.iter().all(|(_, value)| value.is_none()) => Ok(true),
            _ => Err(format!("`{key}` takes no value")),
        }
    }

    /// A key that may be given once, with a value or without, which is an empty one.
    pub(crate) fn take_either(&mut self, key: &str) -> Result<Option<String>, String> {
        let mut given: Vec<_> = self.pairs.extract_if(.., |(name, _)| name == key).map(|(_, value)| value).collect();
        if given.len() > 1 {
            return Err(format!("`{key}` is given twice"));
        }
        Ok(given.pop().map(Option::unwrap_or_default))
    }

    fn finish(self, endpoint: &Endpoint) -> Result<(), String> {
        let Some((key, _)) = self.pairs.first() else {
            return Ok(());
        };
        let known = match endpoint {
            Endpoint::Http(_) => "timeout, successes, status, method, header, body, json and follow",
            Endpoint::Postgres(_) => "timeout, successes and query",
            Endpoint::Redis(_) => "timeout, successes, key, role and cluster",
            Endpoint::Service(service) => service.protocol.keys(),
            Endpoint::File { .. } => "timeout, successes and nonempty",
            #[cfg(feature = "exec")]
            Endpoint::Exec(_) => "timeout, successes, attempt-timeout and exit",
            Endpoint::Connection(_) | Endpoint::Tls(_) | Endpoint::Server(_) | Endpoint::Dns(_) => {
                "timeout and successes"
            }
        };
        // What does not look like a key may be the rest of a password with a `#` in it.
        let is_key = key.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'));
        let shown = if is_key { format!("`{}`", truncated(key)) } else { "what stands".to_owned() };
        Err(format!("{shown} after `#` means nothing to this target; it knows {known}"))
    }
}

/// `mysql`, `mysql+pymysql`, `jdbc:mariadb`
#[cfg(feature = "mysql")]
fn is_mysql(scheme: &str) -> bool {
    let scheme = scheme.strip_prefix("jdbc:").unwrap_or(scheme);
    matches!(scheme.split('+').next(), Some("mysql" | "mysql2" | "mariadb"))
}

fn truncated(text: &str) -> String {
    text.chars().take(24).collect()
}

/// Splits `NAME=URL`. A name holds none of the characters that a URL has before its first `=`.
fn split_name(word: &str) -> (Option<&str>, &str) {
    match word.split_once('=') {
        Some((name, url)) if !name.contains([':', '/', '?', '#', '[', ']', '@', '%', '&']) => (Some(name), url),
        _ => (None, word),
    }
}

/// The scheme before `://`, or `jdbc:postgresql` before it.
fn scheme_of(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    (!scheme.contains(['/', '?', '@'])).then_some(scheme)
}

fn address(text: &str) -> Result<Address, String> {
    if text.contains(['/', '?', '@']) {
        return Err(format!("it is not HOST:PORT; {FORMS}"));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("it has no host; for this machine write localhost:{text}"));
    }
    let (host, port) = url::host_and_port(text)?;
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let port = port.ok_or_else(|| format!("it has no port; write {shown}:PORT"))?;
    Ok(Address { host, port })
}

/// The absolute path of a `scheme:///path` URL.
fn path_of(url: &str, example: &str) -> Result<PathBuf, String> {
    let (_, path) = url.split_once("://").ok_or("it has no `://`")?;
    let path = path.strip_prefix("localhost/").map_or(path.to_owned(), |rest| format!("/{rest}"));
    if !path.starts_with('/') || path == "/" && example.starts_with("unix") {
        return Err(format!("its path is not absolute; write three slashes, like {example}"));
    }
    Ok(PathBuf::from(url::decode(&path)?))
}

fn dns_name(url: &str) -> Result<String, String> {
    let (_, name) = url.split_once("://").ok_or("it has no `://`")?;
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.contains(':') {
        return Err("a dns target is dns://NAME, without a port".to_owned());
    }
    url::check_name(name)?;
    Ok(name.to_owned())
}

fn unknown_scheme(scheme: &str) -> String {
    const KNOWN: [&str; 10] =
        ["tcp", "unix", "http", "https", "postgres", "postgresql", "redis", "rediss", "file", "dns"];
    let best = KNOWN.iter().map(|known| (strsim::damerau_levenshtein(scheme, known), known)).min();
    match best {
        Some((distance, known)) if distance <= 2 => {
            format!("the scheme `{}` is not known; did you mean {known}://?", truncated(scheme))
        }
        _ => format!("the scheme `{}` is not known; {FORMS}. For any other server, tcp://HOST:PORT", truncated(scheme)),
    }
}

/// A whole number of at least 1.
pub(crate) fn positive(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{}` is not a whole number of at least 1", truncated(text))),
    }
}

/// `redis://user:password` without a host: what stands in the port's place is none, and is masked.
fn without_false_port(word: &str) -> Option<String> {
    let scheme = word.find("://")? + 3;
    let authority = &word[scheme..];
    let authority = &authority[..authority.find(['/', '?', '#']).unwrap_or(authority.len())];
    let (_, port) = authority.rsplit_once(':')?;
    let is_innocent =
        port.is_empty() || port.starts_with("${") || port.ends_with([']', '}']) || url::parse_port(port).is_ok();
    let begin = scheme + authority.len() - port.len();
    (!is_innocent && !word.contains('@')).then(|| format!("{}***", &word[..begin]))
}

/// A word for an error message: everything that may be a secret is masked. It is the template, not
/// what it expands to.
pub fn redact_word(word: &str) -> String {
    // `host=db password=x` is not one word; what stands behind the first space is not shown.
    if let Some((first, _)) = word.split_once(char::is_whitespace) {
        return format!("{} …", redact_word(first));
    }
    if let Some(masked) = without_false_port(word) {
        return masked;
    }
    let (head, tail) = match word.rfind('@') {
        Some(at) => {
            let begin = word
                .find("://")
                .map_or_else(|| word.find('=').filter(|&eq| eq < at).map_or(0, |eq| eq + 1), |scheme| scheme + 3);
            if begin <= at { (format!("{}***", &word[..begin]), &word[at..]) } else { (String::new(), word) }
        }
        None => (String::new(), word),
    };
    let tail = match tail.find(['?', '#']) {
        Some(end) => format!("{}{}…", &tail[..end], &tail[end..=end]),
        None => tail.to_owned(),
    };
    let shown: String = (head + &tail).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.chars().count() > 200 { shown.chars().take(200).chain(['…']).collect() } else { shown }
}

#[cfg(test)]
mod tests;
