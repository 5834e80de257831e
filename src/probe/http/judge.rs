//! What an answer is worth: its status, its body, and the words for it.

use std::io::{self, Read};

use serde_json::Value;
use ureq::http::{StatusCode, header};

use super::{Answer, failure, json};
use crate::endpoint::Http;
use crate::endpoint::http::{Follow, JsonExpectation, Statuses, Upgrade};
use crate::net::Budget;
use crate::outcome::{Kind, NotReady, Outcome, Ready, Stage, quoted};

/// The most of a body that is read: 1 MiB.
const MAX_BODY: usize = 1 << 20;
/// The most characters of a value in a body that are shown.
const MAX_VALUE: usize = 80;
/// What proxies say where they answer in the place of a server that they do not reach: in their pages, or in
/// the field `server`.
const PROXIES: [(&str, &str); 10] = [
    ("upstream connect error", "Envoy"),
    ("no healthy upstream", "Envoy"),
    ("no available server", "Traefik"),
    ("no server is available to handle this request", "HAProxy"),
    ("<center>nginx", "nginx"),
    ("squid", "Squid"),
    ("cloudflare", "Cloudflare"),
    ("awselb", "AWS' load balancer"),
    ("varnish", "Varnish"),
    ("envoy", "Envoy"),
];

/// Judges an answer. `redirects_to` is another host, to which it leads and where it is not followed to.
pub(super) fn judge(target: &Http, answer: &mut Answer, redirects_to: Option<&str>, budget: &Budget) -> Outcome {
    let status = answer.response.status();
    let shown = show(status);
    if !target.status.accepts(status.as_u16()) {
        let but = expected(&target.status);
        let hint = way_out(answer);
        return Err(NotReady::new(Kind::HttpStatus(status.as_u16()), format!("{shown}{but}{hint}")));
    }
    if target.upgrade == Upgrade::WebSocket && !target.expects_body() {
        return Ok(Ready::new(match status {
            StatusCode::SWITCHING_PROTOCOLS => format!("{shown}: a WebSocket was opened"),
            _ => format!("{shown}: it answers, but opened no WebSocket"),
        }));
    }
    if !target.expects_body() {
        return Ok(Ready::new(format!("{shown}{}", taken_for_ready(target, answer, redirects_to))));
    }
    read_body(target, answer, &shown, budget)?;
    Ok(Ready::new(format!("{shown}, the body as expected")))
}

fn show(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("HTTP {} {reason}", status.as_u16()),
        None => format!("HTTP {}", status.as_u16()),
    }
}

/// What is expected instead, where somebody said so.
fn expected(statuses: &Statuses) -> String {
    if *statuses == Statuses::default() { String::new() } else { format!(", but {statuses} is expected") }
}

/// A redirect that counts as ready says so: it often leads to a page that is not.
fn taken_for_ready(target: &Http, answer: &Answer, redirects_to: Option<&str>) -> String {
    if let Some(host) = redirects_to {
        return format!(": a redirect to another host, {host}, taken for ready (follow=any follows it)");
    }
    let is_redirect =
        answer.response.status().is_redirection() && answer.response.headers().contains_key(header::LOCATION);
    if is_redirect && target.follow == Follow::None {
        ": a redirect, taken for ready (follow would follow it)".to_owned()
    } else {
        String::new()
    }
}

/// What to do about a status, where that is known.
fn way_out(answer: &mut Answer) -> String {
    let status = answer.response.status().as_u16();
    let field = |name| answer.response.headers().get_all(name).iter().map(|value| quoted(value.as_bytes()));
    let hint = match status {
        101 => ": it changed to another protocol though nobody asked for that",
        300..=399 => ": a redirect, which is not followed; probe the place it leads to, or use #follow",
        401 => {
            let schemes: Vec<String> = field(header::WWW_AUTHENTICATE).collect();
            return match only_scheme(&schemes) {
                Some(scheme) => format!(
                    ": it wants {scheme} authentication, which is not spoken here; probe a place that wants none, or \
                     take its answer for ready with status=401"
                ),
                None => ": it wants credentials; give them in the URL or with header=Authorization:…".to_owned(),
            };
        }
        407 => ": a proxy answered, and wants credentials; no proxy should stand before what is waited for",
        400 if is_https(answer) => ": the port is one of TLS; write https://",
        403 if speaks_http2(answer) => {
            ": the server speaks HTTP/2 alone, and HTTP/1.1 is asked; wait for it as tcp://, tls:// or grpc://, or let it \
             take HTTP/1.1 too"
        }
        403 => ": forbidden to this client",
        404 => ": is the path right?",
        405 => ": it does not take this method (method=)",
        426 => ": it wants another protocol than HTTP/1.1",
        429 => ": too many requests",
        502..=504 => {
            let Some(proxy) = proxy(answer) else {
                return if status == 503 {
                    ": it says itself that it is not ready"
                } else {
                    ": the proxy is up, what is behind it is not"
                }
                .to_owned();
            };
            return format!(": the page is the proxy's own ({proxy}): it reaches no server behind it");
        }
        505 => ": it does not speak HTTP/1.1",
        _ => "",
    };
    hint.to_owned()
}

/// The scheme of authentication that is asked for, where none is that can be given here.
fn only_scheme(challenges: &[String]) -> Option<String> {
    const OTHERS: [&str; 4] = ["Digest", "Negotiate", "NTLM", "Kerberos"];
    let begins =
        |challenge: &str, scheme: &str| challenge.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    let all_others = challenges.iter().all(|challenge| OTHERS.iter().any(|scheme| begins(challenge, scheme)));
    let first = challenges.first().filter(|_| all_others)?;
    OTHERS.iter().find(|scheme| begins(first, scheme)).map(|scheme| (*scheme).to_owned())
}

/// Node's answer to HTTP/1.1 where it has an HTTP/2 server.
fn speaks_http2(answer: &mut Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.beginning()).into_owned();
    text.contains("Unknown ALPN Protocol") || text.contains("allowHTTP1")
}

/// What nginx, Go, Apache and Tomcat say to HTTP where they expect TLS.
fn is_https(answer: &mut Answer) -> bool {
    const SAID: [&str; 4] = [
        "plain HTTP request was sent to HTTPS port",
        "HTTP request to an HTTPS server",
        "plain HTTP to an SSL-enabled server",
        "combination of host and port requires TLS",
    ];
    let text = String::from_utf8_lossy(&answer.beginning()).into_owned();
    SAID.iter().any(|said| text.contains(said))
}

/// The proxy whose own page this is.
fn proxy(answer: &mut Answer) -> Option<&'static str> {
    let headers = answer.response.headers();
    if headers.contains_key("x-squid-error") {
        return Some("Squid");
    }
    let server = headers.get(header::SERVER).map(|value| quoted(value.as_bytes())).unwrap_or_default();
    let page = server + "\n" + &String::from_utf8_lossy(&answer.beginning());
    let page = page.to_ascii_lowercase();
    PROXIES.iter().find(|(needle, _)| page.contains(needle)).map(|(_, proxy)| *proxy)
}

/// Reads the body as far as needed: texts count as soon as they have come, for some bodies never end.
fn read_body(target: &Http, answer: &mut Answer, shown: &str, budget: &Budget) -> Result<(), NotReady> {
    let unexpected = |what: &str| NotReady::new(Kind::Unexpected, format!("{shown}, but {what}"));
    let encoding = answer.response.headers().get(header::CONTENT_ENCODING);
    let encoding =
        encoding.map(|value| quoted(value.as_bytes())).filter(|value| !value.eq_ignore_ascii_case("identity"));
    budget.enter(Stage::InBody);
    let mut missing: Vec<&[u8]> = target.body.iter().map(String::as_bytes).collect();
    let longest = missing.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut body = Vec::new();
    let mut reader = answer.response.body_mut().as_reader();
    let mut piece = [0; 8 << 10];
    loop {
        missing.retain(|text| !text.is_empty());
        if missing.is_empty() && target.json.is_empty() {
            return Ok(());
        }
        let room = piece.len().min(MAX_BODY - body.len());
        match reader.read(&mut piece[..room]) {
            Ok(0) => break,
            Ok(n) => {
                let from = body.len().saturating_sub(longest);
                body.extend_from_slice(&piece[..n]);
                missing.retain(|text| !contains(&body[from..], text));
            }
            Err(error) => return Err(interrupted(error, shown, budget)),
        }
    }
    if let Some(encoding) = encoding {
        return Err(unexpected(&format!("the body is compressed ({encoding}), which was not asked for")));
    }
    if !missing.is_empty() {
        let within = if body.len() == MAX_BODY { " in its first 1 MiB" } else { "" };
        return Err(unexpected(&format!("the body lacks the expected text{within}")));
    }
    for expectation in &target.json {
        let Ok(found) = json::find(&body, &expectation.pointer) else {
            return Err(unexpected(not_json(&body)));
        };
        if !json::holds(expectation, found.as_ref()) {
            return Err(unexpected(&difference(expectation, found.as_ref())));
        }
    }
    Ok(())
}

/// Why the rest of a body did not come.
fn interrupted(error: io::Error, shown: &str, budget: &Budget) -> NotReady {
    let failure = failure(ureq::Error::from(error), budget);
    if failure.kind == Kind::TimedOut {
        // The gate may be the first to say it, in the same words.
        return failure;
    }
    let reason = failure.reason.trim_start_matches("accepted, but ");
    NotReady { kind: failure.kind, reason: format!("{shown}, but {reason}") }
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
    let pointer = quoted(expectation.pointer.as_bytes());
    let found = match found {
        Some(value) => format!("is {}", cut(&quoted(&serde_json::to_vec(value).unwrap_or_default()))),
        None => "is absent".to_owned(),
    };
    match &expectation.value {
        Some(wanted) => {
            let wanted = cut(&quoted(json::shown_expected(wanted).as_bytes()));
            format!("{pointer} in the body {found}, {wanted} is expected")
        }
        None => format!("{pointer} in the body {found}"),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
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
        assert_eq!(schemes(&["digest realm=\"x\""]), Some("Digest".to_owned()));
        assert_eq!(schemes(&["Negotiate", "NTLM"]), Some("Negotiate".to_owned()));
        assert_eq!(schemes(&["Digest realm=\"x\"", "Basic realm=\"x\""]), None);
        assert_eq!(schemes(&["Bearer"]), None);
        assert_eq!(schemes(&[]), None);
    }
}
