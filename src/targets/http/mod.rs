//! HTTP targets: the request, and what the response must be.

mod clean;
mod json;
mod judge;
pub(crate) mod probe;
pub(crate) mod redirect;
pub(crate) mod visit;

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ureq::http::{HeaderName, Method, Uri, header};

use crate::net::tls::Tls;
use crate::net::tls_settings::{Encryption, TargetTls, TlsFiles};
use crate::net::{Address, Attempt, Place};
use crate::secret::Secret;
use crate::targets::shared::expectations::Expectations;
use crate::targets::shared::http_options::{Header, Statuses, parse_header, parse_method};
use crate::targets::shared::kind::{Dialect, Form, Key, Probe, Scheme, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::secret_words::{looks_random, names_a_secret};
use crate::targets::shared::tls;
use crate::targets::shared::url::{self, Percent, Userinfo};
use crate::text::harmless;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;
use json::JsonExpectation;

/// The characters that a request target may not hold as they are (RFC 3986, section 2; `%` is left alone, because
/// what is written may be encoded already).
pub(crate) const NOT_IN_TARGET: AsciiSet =
    CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|').add(b'\\').add(b'^');

/// HTTP over TCP, over a Unix socket, and its upgrade to a WebSocket.
pub(crate) static KINDS: &[TargetKind] = &[
    TargetKind {
        schemes: &[Scheme::new(&["http", "http-get"]).port(80), Scheme::new(&["https", "https-get"]).port(443).tls()],
        forms: &[
            Form { url: "http://..., https://...", ready: "the status is 200-399", keys: KEYS },
            Form { url: "", ready: "what ends the wait at once", keys: FAIL_KEYS },
        ],
        read: |written, reading| Ok(Box::new(Http::from_url(written, Request::Plain, reading)?)),
        ..TargetKind::USUAL
    },
    TargetKind {
        schemes: &[Scheme::new(&["http+unix", "http-unix", "unix+http", "httpunix"])],
        forms: &[Form {
            url: "http+unix://SOCKET/PATH",
            ready: "the same, over a socket (written %2Frun%2Fapp.sock)",
            keys: &[],
        }],
        read: |written, reading| Ok(Box::new(Http::from_url(written, Request::Socket, reading)?)),
        ..TargetKind::USUAL
    },
    TargetKind {
        schemes: &[Scheme::new(&["ws"]).port(80), Scheme::new(&["wss"]).port(443).tls()],
        forms: &[Form { url: "ws://..., wss://...", ready: "the server agrees to a WebSocket", keys: &[] }],
        read: |written, reading| Ok(Box::new(Http::from_url(written, Request::WebSocket, reading)?)),
        ..TargetKind::USUAL
    },
];

const KEYS: &[Key] = &[
    Key::new("status=LIST", "accepted statuses, like 200,204,300-399"),
    Key::new("body=TEXT", "the body holds TEXT"),
    Key::new(
        "json=/POINTER[=VALUE]",
        "the JSON value at the pointer (RFC 6901) is VALUE (A|B: either), or neither null nor false; >= and <= compare \
         numbers",
    ),
    Key::new("header-is=NAME:VALUE", "the answer has a header NAME with exactly this value"),
    Key::new("header=NAME:VALUE", "a header that is sent"),
    Key::new("method=METHOD", "instead of GET"),
    Key::new("follow[=any]", "follow redirects on the same host, or everywhere"),
];

const FAIL_KEYS: &[Key] = &[
    Key::new("fail-status=LIST", "statuses that end the wait with exit status 1"),
    Key::new("fail-body=TEXT", "a body that holds TEXT ends the wait"),
    Key::new("fail-json=/POINTER=VALUE", "a body in which the JSON value is VALUE ends the wait"),
];

/// The key of our opening handshakes, sixteen bytes in base64; and what a server that has read it answers
/// (RFC 6455, section 4.2.2).
const WEB_SOCKET_KEY: &str = "d2hlbi1yZWFkeS1wcm9iZQ==";
const WEB_SOCKET_ACCEPT: &str = "RtBsiIwVMIfqdiZEEsAjCLA3+vQ=";

/// The kind of request, by the scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// A page, by TCP or over a socket that stands in the host's place.
    Plain,
    /// A page, over a socket.
    Socket,
    /// A WebSocket: the header fields for `Upgrade: websocket` are among the others.
    WebSocket,
}

/// A request and what its response must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Http {
    /// How TLS is used, where it is: https and wss.
    pub(crate) tls: Option<TargetTls>,
    /// Its kind. To a WebSocket, an upgrade (RFC 6455), any answer will do but a false 101.
    pub(crate) request: Request,
    /// Where to connect.
    pub(crate) place: Place,
    /// The host's name or address, for TLS.
    pub(crate) host: String,
    /// `host[:port]` for the `Host` field: as it was written, but for a default port and a zone.
    pub(crate) authority: String,
    /// `scheme://host[:port]` as it is shown.
    pub(crate) origin: String,
    /// The path and query as they are sent.
    pub(crate) path_and_query: Secret,
    /// The values of the query, which may be tokens: a peer that echoes them does not get them shown.
    pub(crate) query_values: Vec<Secret>,
    /// The path as it is shown, without the query.
    pub(crate) path: String,
    /// GET unless told otherwise.
    pub(crate) method: Method,
    /// Fields to send, in order; the values are secrets.
    pub(crate) headers: Vec<Header>,
    /// The statuses that are accepted.
    pub(crate) status: Statuses,
    /// Texts that the body must contain.
    pub(crate) body: Vec<String>,
    /// The expectations of the body as JSON.
    pub(crate) json: Vec<JsonExpectation>,
    /// Fields of which the answer must have one with this value each.
    pub(crate) header_is: Vec<Header>,
    /// The answers that end the wait.
    pub(crate) fails: FailConditions,
    /// Which redirects are followed.
    pub(crate) follow: Follow,
}

/// `fail-status=`, `fail-body=` and `fail-json=`: the answers that end the wait, whatever else would be ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FailConditions {
    /// Any of these statuses.
    pub(crate) status: Option<Statuses>,
    /// A body that holds one of these texts.
    pub(crate) body: Vec<String>,
    /// A body in which one of these holds.
    pub(crate) json: Vec<JsonExpectation>,
}

impl FailConditions {
    /// Takes what the fragment says.
    fn take(expectations: &mut Expectations) -> Result<Self, String> {
        let statuses = "a status of 100-599 or a range (try 400,404,500-599)";
        let status = expectations.take_as("fail-status", Statuses::parse, statuses)?;
        let body = expectations.take_all("fail-body")?;
        let json = JsonExpectation::take("fail-json", expectations)?;
        if json.iter().any(|expectation| expectation.value.is_none()) {
            return Err("`fail-json` needs a value: fail-json=/status=failed".to_owned());
        }
        Ok(Self { status, body, json })
    }

    /// Whether the body must be read for them.
    pub(crate) fn look_at_the_body(&self) -> bool {
        !self.body.is_empty() || !self.json.is_empty()
    }
}

/// `follow` and `follow=any`: which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Follow {
    /// None: the redirect is the answer.
    #[default]
    None,
    /// Redirects that stay on the host, as the kubelet does.
    SameHost,
    /// All of them.
    Any,
}

impl Http {
    /// A URL, of which `rest` stands behind `://`.
    pub(crate) fn from_url(written: &Written<'_>, request: Request, reading: &mut Reading<'_>) -> Result<Self, String> {
        let parts = url::split(written.rest, Userinfo::AndPathWithAt)?;
        let default_port = written.default_port();
        let (socket, path) = match (request, parts.hosts) {
            (Request::Socket, socket) => (Some(socket), parts.path),
            // `http://unix:/run/app.sock:/path`, as wait-on, got and undici have it.
            (_, "unix:") => match parts.path.split_once(':') {
                Some((socket, path)) => (Some(socket), path),
                None => (Some(parts.path), "/"),
            },
            _ => (None, parts.path),
        };
        let localhost = || "localhost".to_owned();
        let (place, host, authority) = match socket.map(url::decode).transpose()? {
            Some(socket) if request == Request::Socket && !socket.starts_with('/') => {
                let problem = "its socket is not in the host's place; write http+unix://%2Frun%2Fapp.sock/path";
                return Err(problem.to_owned());
            }
            Some(socket) => (Place::Unix(socket.into()), localhost(), localhost()),
            None => {
                let address = url::address(parts.hosts, default_port)
                    .map_err(|problem| url::blame_password(written.rest, problem))?;
                let authority = authority(&address, default_port);
                (Place::Tcp(address.clone()), address.host, authority)
            }
        };
        let origin = match &place {
            Place::Unix(path) => format!("http+unix://{}", harmless(&path.display().to_string())),
            Place::Tcp(_) => format!("{}://{}", written.scheme.name(), parts.hosts),
        };
        if path.contains(' ') {
            return Err(url::BLANK.to_owned());
        }
        let (path, path_and_query) = request_target(path, parts.query)?;
        let mut headers = reading.http.headers.clone();
        if let Some(userinfo) = parts.userinfo {
            let (user, password) = url::user_and_password(userinfo, Percent::Lenient)?;
            set(&mut headers, basic(&user, password.as_ref().map_or(b"", |password| password.expose_bytes())));
        }
        let mut http = Self {
            tls: None,
            request,
            place,
            host,
            authority,
            origin,
            path_and_query,
            query_values: query_values(parts.query.unwrap_or_default()),
            path: shown_path(&path),
            method: reading.http.method.clone(),
            headers,
            status: reading.http.status.clone(),
            body: Vec::new(),
            json: Vec::new(),
            header_is: Vec::new(),
            fails: FailConditions::default(),
            follow: Follow::None,
        };
        if request == Request::WebSocket {
            http.ask_for_a_web_socket();
        }
        http.expect(reading)?;
        if written.is_tls() {
            http.tls = Some(tls::take(TargetTls::default(), &mut reading.expectations)?);
        }
        Ok(http)
    }

    /// `HOST:PORT/PATH`, which curl takes for HTTP too.
    pub(crate) fn without_scheme(text: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let scheme = &KINDS[0].schemes[0];
        let written = Written { scheme, dialect: Dialect::Plain, rest: text, bare_fragment: None };
        Self::from_url(&written, Request::Plain, reading)
    }

    /// The opening handshake of RFC 6455, section 4.1. Whether the server switches, with the right answer to our key, or says why not, it is there.
    fn ask_for_a_web_socket(&mut self) {
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, WEB_SOCKET_KEY),
        ] {
            if !self.headers.iter().any(|field| field.name == name) {
                self.headers.push(Header { name, value: Secret::new(value) });
            }
        }
        if self.status == Statuses::default() {
            self.status = Statuses(vec![101..=101, 200..=499]);
        }
    }

    /// Takes what the fragment says.
    fn expect(&mut self, reading: &mut Reading<'_>) -> Result<(), String> {
        let expectations = &mut reading.expectations;
        for header in expectations.take_all("header")? {
            set(&mut self.headers, parse_header(&header).map_err(|problem| format!("`header=`: {problem}"))?);
        }
        if let Some(method) = expectations.take_as("method", parse_method, "a method (try GET, HEAD or POST)")? {
            self.method = method;
        }
        let statuses = "a status of 100-599 or a range (try 200,204,300-399)";
        if let Some(status) = expectations.take_as("status", Statuses::parse, statuses)? {
            self.status = status;
        }
        let header_is = expectations.take_all("header-is")?;
        let header_is = header_is.iter().map(|field| parse_header(field)).collect::<Result<_, _>>();
        self.header_is = header_is.map_err(|problem| format!("`header-is=`: {problem}"))?;
        self.json = JsonExpectation::take("json", expectations)?;
        self.body = expectations.take_all("body")?;
        self.fails = FailConditions::take(expectations)?;
        self.follow = match expectations.take_either("follow")?.as_deref() {
            None => Follow::None,
            Some("") => Follow::SameHost,
            Some("any") => Follow::Any,
            Some(_) => return Err("`follow` stays on the host, `follow=any` goes everywhere".to_owned()),
        };
        if (self.expects_body() || self.fails.look_at_the_body()) && self.method == Method::HEAD {
            return Err("a response to HEAD has no body to look at; leave `method=HEAD` out".to_owned());
        }
        Ok(())
    }

    /// Whether the body must be read.
    pub(crate) fn expects_body(&self) -> bool {
        !self.body.is_empty() || !self.json.is_empty()
    }
}

impl Probe for Http {
    fn is_led_by_peers(&self) -> bool {
        self.follow != Follow::None
    }

    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        visit::visit(self, goal, tls, attempt)
    }

    fn only_place(&self) -> Option<Place> {
        Some(self.place.clone())
    }

    /// A redirect may lead to TLS.
    fn tls_use(&self) -> Encryption {
        match self.tls {
            Some(_) => Encryption::Always,
            None if self.follow == Follow::None => Encryption::Never,
            None => Encryption::IfOffered,
        }
    }

    fn knows_tls_keys(&self) -> bool {
        self.tls.is_some()
    }

    fn tls_files(&self) -> Vec<TlsFiles<'_>> {
        self.tls.iter().map(TargetTls::files).collect()
    }

    fn secrets(&self) -> Vec<&Secret> {
        // The fields that ask for a WebSocket are no secrets, and stand in answers.
        let is_ours = |name: &HeaderName| *name == header::CONNECTION || *name == header::UPGRADE;
        let given = self.headers.iter().filter(|field| !is_ours(&field.name));
        given.map(|field| &field.value).chain(&self.query_values).collect()
    }

    fn can_end_the_wait(&self) -> bool {
        self.fails != FailConditions::default()
    }

    fn hide_expected(&mut self, is_written: &dyn Fn(&str) -> bool) {
        let mut expected: Vec<String> = self.body.iter().chain(&self.fails.body).cloned().collect();
        expected.extend(self.header_is.iter().map(|field| field.value.expose().to_owned()));
        for json in self.json.iter().chain(&self.fails.json) {
            expected.extend(json.pointer.split('/').map(str::to_owned));
            expected.extend(json.value.iter().flat_map(|value| value.split('|')).map(str::to_owned));
        }
        let query = self.path_and_query.expose().split_once('?').map_or("", |(_, query)| query);
        let values = pairs_of(query).map(|(_, value)| value).filter(|value| !is_written(value));
        expected.extend(values.map(|value| url::decode(value).unwrap_or_default()));
        expected.retain(|part| !part.is_empty() && !is_written(part));
        self.query_values.extend(expected.into_iter().map(Secret::new));
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{}{path}", self.origin)?;
        if self.path_and_query.expose().contains('?') { f.write_str("?…") } else { Ok(()) }
    }
}

/// `http://user:1/x@host` is the host `user`, port 1 and a path with the rest of a password: from such
/// a segment on, the path is not shown. (`/@scope/` is a path.)
pub(crate) fn shown_path(path: &str) -> String {
    let at = path.find('@').filter(|&at| !path[..at].ends_with('/'));
    // `;jsessionid=…`, `;AccountKey=…`
    let parameter = path.find(';').filter(|&at| path[at..].contains('=')).map(|at| (at, at));
    match at.map(|at| (at, path[..at].rfind('/').map_or(0, |slash| slash + 1))).into_iter().chain(parameter).min() {
        Some((_, end)) => format!("{}…", harmless(&path[..end])),
        None => harmless(path),
    }
}

/// The path, and with the query as it is sent. curl takes dot segments out, as RFC 3986, section 5.2.4, has it.
pub(crate) fn request_target(path: &str, query: Option<&str>) -> Result<(String, Secret), String> {
    let path = if path.is_empty() { "/".to_owned() } else { without_dots(path) };
    let whole = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let whole = utf8_percent_encode(&whole, &NOT_IN_TARGET).to_string();
    whole.parse::<Uri>().map_err(|_| "its path or query cannot be sent in a request".to_owned())?;
    Ok((path, Secret::new(whole)))
}

/// A path without its `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

/// The values of a query as they are written and decoded; short ones (`v=1`) are tokens only where they are called so.
pub(crate) fn query_values(query: &str) -> Vec<Secret> {
    const SHORT: usize = 8;
    pairs_of(query)
        .filter(|(name, value)| value.len() >= SHORT || names_a_secret(name) || looks_random(value))
        .flat_map(|(_, value)| [value.to_owned(), url::decode(value).unwrap_or_default()])
        .map(Secret::new)
        .collect()
}

/// The names and values of a query; a word alone is a value.
fn pairs_of(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or(("", pair)))
}

/// A field replaces an earlier one of the same name, whatever its case (RFC 9110, section 5.1).
fn set(headers: &mut Vec<Header>, header: Header) {
    headers.retain(|other| other.name != header.name);
    headers.push(header);
}

/// RFC 7617.
fn basic(user: &str, password: &[u8]) -> Header {
    use base64::Engine as _;
    let credentials = base64::engine::general_purpose::STANDARD.encode([user.as_bytes(), b":", password].concat());
    Header { name: HeaderName::from_static("authorization"), value: Secret::new(format!("Basic {credentials}")) }
}

/// `host[:port]` for the `Host` field: curl leaves out the scheme's own port, and the zone of an address, which
/// means nothing to another machine (RFC 6874).
pub(crate) fn authority(address: &Address, default_port: u16) -> String {
    let host = address.host.split('%').next().unwrap_or_default();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if address.port == default_port { host } else { format!("{host}:{}", address.port) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::shared::http_options::parse_header;

    #[test]
    fn a_later_field_replaces_an_earlier_one_whatever_its_case() {
        let mut headers = vec![parse_header("X-Token: a").unwrap()];
        set(&mut headers, parse_header("x-token: b").unwrap());
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].value.expose(), "b");
    }
}
