//! HTTP targets: the request, and what the response must be.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ureq::http::{HeaderName, HeaderValue, Method, Uri, header};

use super::redirect::without_dots;
use super::schemes::{self, Grammar, Layer, Scheme};
use super::url::{self, Percent, Userinfo};
use super::{Address, Place, Reading, TargetTls, shown};
use crate::secret::Secret;
use crate::words::beginning_of;

/// What a request target may not hold as it is (RFC 3986, section 2; `%` is left alone, because
/// what is written may be encoded already).
pub(super) const NOT_IN_TARGET: AsciiSet =
    CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|').add(b'\\').add(b'^');

/// A request and what its response must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// How TLS is used, where it is: https and wss.
    pub tls: Option<TargetTls>,
    /// Whether an upgrade is asked for (RFC 6455): ws and wss. Any answer will do.
    pub upgrade: Upgrade,
    /// Where to connect.
    pub place: Place,
    /// The host's name or address, for TLS.
    pub host: String,
    /// `host[:port]` for the `Host` field: as it was written, but for a default port and a zone.
    pub authority: String,
    /// `scheme://host[:port]` as it is shown.
    pub origin: String,
    /// The path and query as they are sent.
    pub path_and_query: Secret,
    /// The values of the query, which may be tokens: a peer that echoes them does not get them shown.
    pub query_values: Vec<Secret>,
    /// The path as it is shown, without the query.
    pub path: String,
    /// GET unless told otherwise.
    pub method: Method,
    /// Fields to send, in order; the values are secrets.
    pub headers: Vec<Header>,
    /// The statuses that are accepted.
    pub status: Statuses,
    /// Texts that the body must contain.
    pub body: Vec<String>,
    /// What must hold of the body as JSON.
    pub json: Vec<JsonExpectation>,
    /// Which redirects are followed.
    pub follow: Follow,
}

/// `follow` and `follow=any`: which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Follow {
    /// None: the redirect is the answer.
    #[default]
    None,
    /// Those that stay on the host, as the kubelet does.
    SameHost,
    /// All of them.
    Any,
}

/// Whether a request asks for another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// It does not.
    None,
    /// `Upgrade: websocket`: the header fields for it are among the others.
    WebSocket,
}

/// A header field to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The field's name.
    pub name: HeaderName,
    /// The field's value, which may be a token.
    pub value: Secret,
}

/// `POINTER`, `POINTER=VALUE` or `POINTER=VALUE|VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonExpectation {
    /// A JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What it must be, or one of several between `|`; without, anything but null and false.
    pub value: Option<String>,
}

/// `--http-method`, `--http-header` and `--http-status`: what targets take unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpDefaults {
    /// The method.
    pub method: Method,
    /// The fields.
    pub headers: Vec<Header>,
    /// The statuses.
    pub status: Statuses,
}

impl Default for HttpDefaults {
    fn default() -> Self {
        Self { method: Method::GET, headers: Vec::new(), status: Statuses::default() }
    }
}

impl Http {
    /// A URL, of which `rest` stands behind `://`.
    pub(super) fn from_url(scheme: &Scheme, rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let parts = url::split(rest, Userinfo::AndPathWithAt)?;
        let default_port = scheme.port.unwrap_or(80);
        let tls = scheme.layer == Layer::Tls;
        let mut path = parts.path;
        let (place, host, authority) = match (scheme.grammar, socket_of(parts.hosts, parts.path)) {
            (Grammar::HttpUnix, _) => {
                let socket = url::decode(parts.hosts)?;
                if !socket.starts_with('/') {
                    return Err(
                        "its socket is not in the host's place; write http+unix://%2Frun%2Fapp.sock/path".to_owned()
                    );
                }
                (Place::Unix(socket.into()), "localhost".to_owned(), "localhost".to_owned())
            }
            (_, Some((socket, rest))) => {
                path = rest;
                (Place::Unix(url::decode(socket)?.into()), "localhost".to_owned(), "localhost".to_owned())
            }
            _ => {
                let address = url::address(parts.hosts, default_port)?;
                let authority = authority(&address, default_port);
                (Place::Tcp(address.clone()), address.host, authority)
            }
        };
        let origin = match &place {
            Place::Unix(path) => format!("http+unix://{}", shown::clean(&path.display().to_string())),
            Place::Tcp(_) => format!("{}://{}", scheme.name(), parts.hosts),
        };
        let mut http = Self {
            tls: None,
            upgrade: Upgrade::None,
            place,
            host,
            authority,
            origin,
            ..Self::requesting(path, parts.query, parts.userinfo, reading)?
        };
        if scheme.grammar == Grammar::WebSocket {
            http.ask_for_a_web_socket();
        }
        http.expect(reading)?;
        http.tls = tls.then(TargetTls::default).map(|tls| tls.take(&mut reading.expectations)).transpose()?;
        Ok(http)
    }

    /// `HOST:PORT/PATH`, which curl takes for HTTP too.
    pub(super) fn without_scheme(text: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let scheme = schemes::find("http").ok_or("its scheme is not known")?.scheme;
        Self::from_url(scheme, text, reading)
    }

    /// What is sent, with nothing expected of it yet.
    fn requesting(
        path: &str,
        query: Option<&str>,
        userinfo: Option<&str>,
        reading: &Reading<'_>,
    ) -> Result<Self, String> {
        // curl takes dot segments out, as RFC 3986, section 5.2.4, has it.
        let path = if path.is_empty() { "/".to_owned() } else { without_dots(path) };
        let path_and_query = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let path_and_query = utf8_percent_encode(&path_and_query, &NOT_IN_TARGET).to_string();
        path_and_query.parse::<Uri>().map_err(|_| "its path or query cannot be sent in a request".to_owned())?;
        let mut headers = reading.http.headers.clone();
        if let Some(userinfo) = userinfo {
            let (user, password) = url::user_and_password(userinfo, Percent::Lenient)?;
            set(&mut headers, basic(&user, password.as_ref().map_or(b"", |password| password.expose_bytes())));
        }
        Ok(Self {
            tls: None,
            upgrade: Upgrade::None,
            place: Place::Unix(PathBuf::new()),
            host: String::new(),
            authority: String::new(),
            origin: String::new(),
            path_and_query: Secret::new(path_and_query),
            query_values: query_values(query.unwrap_or_default()),
            path: shown_path(&path),
            method: reading.http.method.clone(),
            headers,
            status: reading.http.status.clone(),
            body: Vec::new(),
            json: Vec::new(),
            follow: Follow::None,
        })
    }

    /// The opening handshake of RFC 6455, section 4.1. Whether the server switches or says why not, it is there.
    fn ask_for_a_web_socket(&mut self) {
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            // Sixteen bytes in base64; nothing here depends on them.
            (header::SEC_WEBSOCKET_KEY, "d2hlbi1yZWFkeS1wcm9iZQ=="),
        ] {
            if !self.headers.iter().any(|field| field.name == name) {
                self.headers.push(Header { name, value: Secret::new(value) });
            }
        }
        self.upgrade = Upgrade::WebSocket;
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
        if let Some(method) = expectations.take("method")? {
            self.method =
                parse_method(&method).map_err(|_| "the value of `method` is not a method (try GET, HEAD or POST)")?;
        }
        if let Some(list) = expectations.take("status")? {
            self.status = Statuses::parse(&list).map_err(|_| {
                "the value of `status` is not a status of 100-599 or a range (try 200,204,300-399)".to_owned()
            })?;
        }
        self.json =
            expectations.take_all("json")?.iter().map(|text| JsonExpectation::parse(text)).collect::<Result<_, _>>()?;
        self.body = expectations.take_all("body")?;
        self.follow = match expectations.take_either("follow")?.as_deref() {
            None => Follow::None,
            Some("") => Follow::SameHost,
            Some("any") => Follow::Any,
            Some(_) => return Err("`follow` stays on the host, `follow=any` goes everywhere".to_owned()),
        };
        if self.expects_body() && self.method == Method::HEAD {
            return Err("a response to HEAD has no body to look at; leave `method=HEAD` out".to_owned());
        }
        Ok(())
    }

    /// Whether the body must be read.
    pub fn expects_body(&self) -> bool {
        !self.body.is_empty() || !self.json.is_empty()
    }

    /// Takes what is expected in the body for a secret, where the user has not written it out.
    pub(super) fn hide_expected(&mut self, is_written: impl Fn(&str) -> bool) {
        let parts = |json: &JsonExpectation| {
            let tokens = json.pointer.split('/').map(str::to_owned);
            tokens.chain(json.value.iter().flat_map(|value| value.split('|')).map(str::to_owned)).collect::<Vec<_>>()
        };
        let contributed = self.json.iter().flat_map(parts).filter(|part| !part.is_empty() && !is_written(part));
        self.query_values.extend(contributed.map(Secret::new).collect::<Vec<_>>());
    }

    pub(super) fn secrets(&self) -> Vec<&Secret> {
        // What asks for a WebSocket is no secret, and stands in answers.
        let is_ours = |name: &HeaderName| *name == header::CONNECTION || *name == header::UPGRADE;
        let given = self.headers.iter().filter(|field| !is_ours(&field.name));
        given.map(|field| &field.value).chain(&self.query_values).collect()
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{}{path}", self.origin)?;
        if self.path_and_query.expose().contains('?') { f.write_str("?…") } else { Ok(()) }
    }
}

impl JsonExpectation {
    fn parse(text: &str) -> Result<Self, String> {
        let (pointer, value) = match text.split_once('=') {
            Some((pointer, value)) => (pointer, Some(value.to_owned())),
            None => (text, None),
        };
        if !pointer.starts_with('/') {
            return Err("`json=`: a JSON Pointer begins with `/`, like json=/status=ok (RFC 6901)".to_owned());
        }
        Ok(Self { pointer: pointer.to_owned(), value })
    }
}

/// `http://user:1/x@host` is the host `user`, port 1 and a path with the rest of a password: from such
/// a segment on, the path is not shown. (`/@scope/` is a path.)
pub(super) fn shown_path(path: &str) -> String {
    let at = path.find('@').filter(|&at| !path[..at].ends_with('/'));
    // `;jsessionid=…`, `;AccountKey=…`
    let parameter = path.find(';').filter(|&at| path[at..].contains('=')).map(|at| (at, at));
    match at.map(|at| (at, path[..at].rfind('/').map_or(0, |slash| slash + 1))).into_iter().chain(parameter).min() {
        Some((_, end)) => format!("{}…", shown::clean(&path[..end])),
        None => shown::clean(path),
    }
}

/// The values of a query as they are written and decoded; short ones (`v=1`) are no tokens.
pub(super) fn query_values(query: &str) -> Vec<Secret> {
    const SHORT: usize = 8;
    query
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value))
        .flat_map(|value| [value.to_owned(), url::decode(value).unwrap_or_default()])
        .filter(|value| value.len() >= SHORT)
        .map(Secret::new)
        .collect()
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
pub(super) fn authority(address: &Address, default_port: u16) -> String {
    let host = address.host.split('%').next().unwrap_or_default();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if address.port == default_port { host } else { format!("{host}:{}", address.port) }
}

/// `http://unix:/run/app.sock:/path`, as wait-on, got and undici have it: the socket and the path.
fn socket_of<'a>(hosts: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    if hosts != "unix:" {
        return None;
    }
    Some(path.split_once(':').unwrap_or((path, "/")))
}

/// `Name: value`. The value is in no message.
///
/// # Errors
///
/// Says what a field looks like.
pub fn parse_header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("a header is written `Name: value`")?;
    let name =
        HeaderName::try_from(name.trim()).map_err(|_| "what stands before `:` is not a header's name".to_owned())?;
    let value = value.trim();
    HeaderValue::try_from(value).map_err(|_| "its value cannot be sent in a header".to_owned())?;
    Ok(Header { name, value: Secret::new(value) })
}

/// A method's token (RFC 9110, section 9).
///
/// # Errors
///
/// Names what is not one.
pub fn parse_method(text: &str) -> Result<Method, String> {
    let method = Method::try_from(text).ok().filter(|_| text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
    method.ok_or_else(|| format!("`{}` is not a method (try GET, HEAD or POST)", beginning_of(text)))
}

/// A list of statuses and ranges of them, like `200,204,300-399`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<std::ops::RangeInclusive<u16>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl Statuses {
    /// Parses the list.
    ///
    /// # Errors
    ///
    /// Names the entry that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let status = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
        let range = |entry: &str| match entry.split_once('-') {
            Some((first, last)) => Some(status(first)?..=status(last)?),
            None => status(entry).map(|code| code..=code),
        };
        text.split(',')
            .map(|entry| {
                range(entry).filter(|range| !range.is_empty()).ok_or_else(|| {
                    format!("`{}` is not a status of 100-599 or a range (try 200,204,300-399)", beginning_of(entry))
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `code` is one of them.
    pub fn accepts(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

/// `204`, or `one of 200, 204, 300-399`.
impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
        let shown: Vec<String> = shown.collect();
        let one_of = if shown.len() > 1 || shown.iter().any(|entry| entry.contains('-')) { "one of " } else { "" };
        write!(f, "{one_of}{}", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_a_list_of_numbers_and_ranges() {
        let statuses = Statuses::parse("200,204,300-399").unwrap();
        for (code, accepted) in [(200, true), (201, false), (204, true), (302, true), (400, false)] {
            assert_eq!(statuses.accepts(code), accepted, "{code}");
        }
        for wrong in ["", "abc", "99", "600", "300-200", "200,", "2-3-4"] {
            assert!(Statuses::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_header_is_not_shown() {
        assert!(!parse_header("Bearer hunter2").unwrap_err().contains("hunter2"));
        assert!(!parse_header("X: hunter2\u{7f}").unwrap_err().contains("hunter2"));
    }

    #[test]
    fn a_later_field_replaces_an_earlier_one_whatever_its_case() {
        let mut headers = vec![parse_header("X-Token: a").unwrap()];
        set(&mut headers, parse_header("x-token: b").unwrap());
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].value.expose(), "b");
    }
}
