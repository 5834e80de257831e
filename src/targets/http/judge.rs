//! What an answer is worth: its status, its body, and the words for it.

use std::io::{self, Read};

use serde_json::Value;
use ureq::http::{StatusCode, header};

use crate::net::Attempt;
use crate::targets::Http;
use crate::targets::http::clean::{IS_THERE, compared};
use crate::targets::http::json::{self, JsonExpectation};
use crate::targets::http::probe::{UnreadResponse, failure};
use crate::targets::http::{Follow, Request, WEB_SOCKET_ACCEPT, WEB_SOCKET_KEY};
use crate::targets::shared::http_options::{Header, Statuses};
use crate::text::{excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready, Stage};

/// The most of a body that is read: 1 MiB.
const MAX_BODY: usize = 1 << 20;
/// The marks of proxies where they answer in the place of a server that they do not reach: in their pages, or in
/// the field `server`.
const PROXIES: [(&str, &str); 10] = [
    ("upstream connect error", "Envoy"),
    ("no healthy upstream", "Envoy"),
    ("upstream request timeout", "Envoy"),
    ("no available server", "Traefik"),
    ("no server is available to handle this request", "HAProxy"),
    ("<center>nginx", "nginx"),
    ("squid", "Squid"),
    ("cloudflare", "Cloudflare"),
    ("awselb", "AWS' load balancer"),
    ("varnish", "Varnish"),
];

/// What Node says to HTTP/1.1 where it has an HTTP/2 server.
const HTTP2_ALONE: &[&str] = &["Unknown ALPN Protocol", "allowHTTP1"];
/// What nginx, Go, Apache and Tomcat say to HTTP where they expect TLS.
const TLS_ALONE: &[&str] = &[
    "plain HTTP request was sent to HTTPS port",
    "HTTP request to an HTTPS server",
    "plain HTTP to an SSL-enabled server",
    "combination of host and port requires TLS",
];

/// Judges an answer. `redirects_to` is another host, to which it leads and where it is not followed to.
pub(crate) fn judge_answer(
    target: &Http,
    answer: &mut UnreadResponse,
    redirects_to: Option<&str>,
    attempt: &Attempt,
) -> Outcome {
    let status = answer.response.status();
    let shown = show(status);
    let whole = fail_condition(target, answer, &shown, attempt)?;
    if !target.status.accepts(status.as_u16()) {
        let but = expected(&target.status);
        let hint = way_out(target, answer);
        return Err(NotReady::new(Kind::HttpStatus(status.as_u16()), format!("{shown}{but}{hint}")));
    }
    for (index, expected) in target.header_is.iter().enumerate() {
        let told = answer.response.headers().get(compared(index));
        if told.is_none_or(|told| told != IS_THERE) {
            // The values may be secrets.
            let what = if told.is_some() { "has another value than expected" } else { "is not there" };
            let name = peer_text(expected.name.as_str().as_bytes());
            return Err(unexpected(&shown, &format!("the header {name} {what}")));
        }
    }
    if target.request == Request::WebSocket && !target.expects_body() {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Ready::new(format!("{shown}: it answers, but opened no WebSocket")));
        }
        let is_our_key = |field: &Header| field.value.expose() == WEB_SOCKET_KEY;
        let accept = answer.response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if target.headers.iter().any(is_our_key) && accept.is_none_or(|accept| accept != WEB_SOCKET_ACCEPT) {
            let what = "Sec-WebSocket-Accept is not the answer to our key: no client goes on";
            return Err(unexpected(&shown, what));
        }
        return Ok(Ready::new(format!("{shown}: a WebSocket was opened")));
    }
    if !target.expects_body() {
        return Ok(Ready::new(format!("{shown}{}", taken_for_ready(target, answer, redirects_to))));
    }
    let body = whole.map_or_else(|| read_body(target, answer, &shown, attempt), Ok)?;
    judge_body(target, &body, &shown)?;
    Ok(Ready::new(format!("{shown}, the body as expected")))
}

/// Whether the answer is one that ends the wait: it is looked at before anything that would be ready. Gives the body
/// where it had to be read for that.
///
/// # Errors
///
/// The end; or why the body of an accepted answer cannot be looked at.
fn fail_condition<'a>(
    target: &'a Http,
    answer: &mut UnreadResponse,
    shown: &str,
    attempt: &Attempt,
) -> Result<Option<Searched<'a>>, NotReady> {
    let status = answer.response.status();
    let ends = |what: String| Err(NotReady::new(Kind::FailCondition, what));
    if target.fails.status.as_ref().is_some_and(|statuses| statuses.accepts(status.as_u16())) {
        return ends(format!("{shown} (fail-status=)"));
    }
    if !target.fails.look_at_the_body() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(None);
    }
    let body = match read_body(target, answer, shown, attempt) {
        Ok(body) => body,
        // The status tells more than a body that is not complete.
        Err(_) if !target.status.accepts(status.as_u16()) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    if target.fails.body.iter().any(|text| body.holds(text)) {
        return ends(format!("{shown}, and the body holds the text of fail-body="));
    }
    for condition in &target.fails.json {
        if let Ok(found) = json::find(&body.kept, &condition.pointer)
            && json::holds(condition, found.as_ref())
        {
            let value = found.as_ref().map(json::shown).unwrap_or_default();
            let pointer = peer_text(condition.pointer.as_bytes());
            return ends(format!("{shown}, and {pointer} in the body is {value} (fail-json=)"));
        }
    }
    Ok(Some(body))
}

/// How the body is compressed, if it is.
fn encoding(answer: &UnreadResponse) -> Option<String> {
    let encoding = answer.response.headers().get(header::CONTENT_ENCODING)?;
    Some(peer_text(encoding.as_bytes())).filter(|value| !value.eq_ignore_ascii_case("identity"))
}

fn compressed(encoding: &str, shown: &str) -> NotReady {
    unexpected(shown, &format!("the body is compressed ({encoding}), which was not asked for"))
}

/// An answer that is not as expected, and in what.
fn unexpected(shown: &str, what: &str) -> NotReady {
    NotReady::new(Kind::Unexpected, format!("{shown}, but {what}"))
}

fn show(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("HTTP {} {reason}", status.as_u16()),
        None => format!("HTTP {}", status.as_u16()),
    }
}

/// The status that is expected instead, where one is named.
fn expected(statuses: &Statuses) -> String {
    if *statuses == Statuses::default() { String::new() } else { format!(", but {statuses} is expected") }
}

/// A redirect that counts as ready says so: it often leads to a page that is not.
fn taken_for_ready(target: &Http, answer: &UnreadResponse, redirects_to: Option<&str>) -> String {
    let is_redirect =
        answer.response.status().is_redirection() && answer.response.headers().contains_key(header::LOCATION);
    match redirects_to {
        Some(host) => format!(": a redirect to another host, {host}, taken for ready (follow=any follows it)"),
        None if is_redirect && target.follow == Follow::None => {
            ": a redirect, taken for ready (follow would follow it)".to_owned()
        }
        None => String::new(),
    }
}

/// The advice about a status, where that is known.
fn way_out(target: &Http, answer: &mut UnreadResponse) -> String {
    let status = answer.response.status().as_u16();
    let hint = match status {
        101 => ": it changed to another protocol though nobody asked for that",
        300..=399 => ": a redirect, which is not followed; probe the place it leads to, or use #follow",
        401 => {
            let schemes = answer.response.headers().get_all(header::WWW_AUTHENTICATE).iter();
            let schemes: Vec<String> = schemes.map(|value| peer_text(value.as_bytes())).collect();
            return match only_scheme(&schemes) {
                Some(scheme) => format!(
                    ": it wants {scheme} authentication, which is not spoken here; probe a place that wants none, or \
                     take its answer for ready with status=401"
                ),
                None if target.headers.iter().any(|field| field.name == header::AUTHORIZATION) => {
                    ": the server refuses these credentials; check them".to_owned()
                }
                None => ": it wants credentials; give them in the URL or with header=Authorization:…".to_owned(),
            };
        }
        407 => ": a proxy answered, and wants credentials; no proxy should stand before what is waited for",
        400 if says(answer, TLS_ALONE) => ": the port is one of TLS; write https://",
        403 if says(answer, HTTP2_ALONE) => {
            ": the server speaks HTTP/2 alone, and HTTP/1.1 is asked; wait for it as tcp://, tls:// or grpc://, or let it \
             take HTTP/1.1 too"
        }
        403 => ": forbidden to this client",
        404 => ": is the path right?",
        405 => ": it does not take this method (method=)",
        426 => ": it wants another protocol than HTTP/1.1",
        429 => ": too many requests",
        502..=504 => match proxy(answer) {
            Some(proxy) => return format!(": the page is the proxy's own ({proxy}): it reaches no server behind it"),
            None if status == 503 => ": it says itself that it is not ready",
            None => ": the proxy is up, what is behind it is not",
        },
        505 => ": it does not speak HTTP/1.1",
        _ => "",
    };
    hint.to_owned()
}

/// The scheme of authentication that is asked for, where none is that can be given here.
fn only_scheme(challenges: &[String]) -> Option<&'static str> {
    const OTHERS: [&str; 4] = ["Digest", "Negotiate", "NTLM", "Kerberos"];
    let begins =
        |challenge: &str, scheme: &str| challenge.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    let all_others = challenges.iter().all(|challenge| OTHERS.iter().any(|scheme| begins(challenge, scheme)));
    let first = challenges.first().filter(|_| all_others)?;
    OTHERS.into_iter().find(|scheme| begins(first, scheme))
}

/// Whether the answer's body begins with a text that has one of these in it.
fn says(answer: &mut UnreadResponse, texts: &[&str]) -> bool {
    let beginning = answer.beginning();
    texts.iter().any(|text| contains(&beginning, text.as_bytes()))
}

/// The proxy whose own page this is.
fn proxy(answer: &mut UnreadResponse) -> Option<&'static str> {
    let headers = answer.response.headers();
    if headers.contains_key("x-squid-error") {
        return Some("Squid");
    }
    let is_caddy = headers.get(header::SERVER).is_some_and(|server| server == "Caddy");
    // An answer that Caddy passes on has a Via; its own has no body.
    if is_caddy && !headers.contains_key(header::VIA) && answer.beginning().is_empty() {
        return Some("Caddy");
    }
    let headers = answer.response.headers();
    let server = headers.get(header::SERVER).map(|value| peer_text(value.as_bytes())).unwrap_or_default();
    let page = server + "\n" + &String::from_utf8_lossy(&answer.beginning());
    let page = page.to_ascii_lowercase();
    PROXIES.iter().find(|(needle, _)| page.contains(needle)).map(|(_, proxy)| *proxy)
}

/// A body that was searched for texts.
struct Searched<'a> {
    /// All of it that was read; for texts alone only its end, as much as may be the beginning of one.
    kept: Vec<u8>,
    /// How much was read.
    read: usize,
    /// The texts that it lacks.
    missing: Vec<&'a [u8]>,
}

impl Searched<'_> {
    fn holds(&self, text: &str) -> bool {
        !self.missing.contains(&text.as_bytes())
    }
}

/// Reads a body, to its end or 1 MiB, or until it is enough that these texts are missing.
fn search<'a>(
    answer: &mut UnreadResponse,
    texts: Vec<&'a [u8]>,
    is_kept_whole: bool,
    is_enough: impl Fn(&[&[u8]]) -> bool,
) -> io::Result<Searched<'a>> {
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut found = Searched { kept: Vec::new(), read: 0, missing: texts };
    let mut reader = answer.response.body_mut().as_reader();
    let mut piece = [0; 8 << 10];
    while !is_enough(&found.missing) {
        let room = piece.len().min(MAX_BODY - found.read);
        let length = reader.read(&mut piece[..room])?;
        if length == 0 {
            break;
        }
        found.read += length;
        let from = found.kept.len().saturating_sub(longest);
        found.kept.extend_from_slice(&piece[..length]);
        found.missing.retain(|text| !contains(&found.kept[from..], text));
        if !is_kept_whole {
            found.kept.drain(..found.kept.len().saturating_sub(longest));
        }
    }
    Ok(found)
}

/// Reads the body as far as needed: texts count as soon as they have come, for some bodies never end. What ends the wait
/// is looked for to the end.
fn read_body<'a>(
    target: &'a Http,
    answer: &mut UnreadResponse,
    shown: &str,
    attempt: &Attempt,
) -> Result<Searched<'a>, NotReady> {
    let may_end_the_wait = target.fails.look_at_the_body();
    let encoding = encoding(answer);
    if let Some(encoding) = encoding.as_ref().filter(|_| may_end_the_wait) {
        return Err(compressed(encoding, shown));
    }
    attempt.enter(Stage::InBody);
    let texts = target.fails.body.iter().chain(&target.body).map(String::as_bytes).collect();
    let is_kept_whole = !target.json.is_empty() || !target.fails.json.is_empty();
    let is_enough = |missing: &[&[u8]]| missing.is_empty() && target.json.is_empty() && !may_end_the_wait;
    let body = search(answer, texts, is_kept_whole, is_enough).map_err(|error| interrupted(error, shown, attempt))?;
    match encoding {
        Some(encoding) if !is_enough(&body.missing) => Err(compressed(&encoding, shown)),
        _ => Ok(body),
    }
}

fn judge_body(target: &Http, body: &Searched<'_>, shown: &str) -> Result<(), NotReady> {
    if !target.body.iter().all(|text| body.holds(text)) {
        let within = if body.read == MAX_BODY { " in its first 1 MiB" } else { "" };
        return Err(unexpected(shown, &format!("the body lacks the expected text{within}")));
    }
    for expectation in &target.json {
        let Ok(found) = json::find(&body.kept, &expectation.pointer) else {
            return Err(unexpected(shown, not_json(&body.kept)));
        };
        if !json::holds(expectation, found.as_ref()) {
            return Err(unexpected(shown, &difference(expectation, found.as_ref())));
        }
    }
    Ok(())
}

/// Why the rest of a body did not come.
fn interrupted(error: io::Error, shown: &str, attempt: &Attempt) -> NotReady {
    let failure = failure(ureq::Error::from(error), attempt);
    if failure.kind == Kind::TimedOut {
        // The gate may be the first to say it, in the same words.
        return failure;
    }
    let reason = failure.reason.trim_start_matches("accepted, but ");
    NotReady { reason: format!("{shown}, but {reason}"), ..failure }
}

fn not_json(body: &[u8]) -> &'static str {
    match body {
        [] => "the body is empty, and JSON is expected",
        _ if body.len() >= MAX_BODY => "the body is longer than 1 MiB",
        _ => "the body is not JSON",
    }
}

/// `/status in the body is "yellow", "green" is expected`
fn difference(expectation: &JsonExpectation, found: Option<&Value>) -> String {
    let pointer = peer_text(expectation.pointer.as_bytes());
    let found = match found {
        Some(value) => format!("is {}", excerpt(&json::shown(value))),
        None => "is absent".to_owned(),
    };
    match &expectation.value {
        Some(wanted) => {
            let wanted = json::shown_expected(expectation.comparison, wanted);
            format!("{pointer} in the body {found}, {wanted} is expected")
        }
        None => format!("{pointer} in the body {found}"),
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_named_where_none_can_be_given() {
        let schemes = |list: &[&str]| only_scheme(&list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(schemes(&["digest realm=\"x\""]), Some("Digest"));
        assert_eq!(schemes(&["Negotiate", "NTLM"]), Some("Negotiate"));
        assert_eq!(schemes(&["Digest realm=\"x\"", "Basic realm=\"x\""]), None);
        assert_eq!(schemes(&["Bearer"]), None);
        assert_eq!(schemes(&[]), None);
    }
}
