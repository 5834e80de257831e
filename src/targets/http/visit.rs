//! A whole visit: the request, the redirects that are followed, and what the last answer is worth.

use ureq::http::header;

use super::judge::judge_answer;
use super::probe::{UnreadResponse, Wire, ask};
use crate::net::tls::Tls;
use crate::net::tls_settings::Handshake;
use crate::net::{self, Attempt, StepKind, Stream};
use crate::targets::Http;
use crate::targets::http::Follow;
use crate::targets::http::redirect::Redirect;
use crate::text::peer_text;
use crate::wait::outcome::{Kind, NotReady, Outcome};
use crate::wait::policy::Goal;

/// The most redirects that are followed, as the kubelet does.
const MAX_HOPS: usize = 10;

pub(crate) fn visit(target: &Http, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
    let mut next;
    let mut current = target;
    for _ in 0..=MAX_HOPS {
        let connection = net::connect(&current.place, attempt)?;
        let stream = match &current.tls {
            // A server that has only HTTP/2 says so in the handshake.
            Some(own) => {
                let settings = Handshake { protocol: Some(b"http/1.1"), ..Handshake::new(&current.host, own) };
                tls.connect(connection, &settings, attempt)?
            }
            None => Stream::Plain(connection),
        };
        let asked = ask(current, stream, attempt);
        let mut answer =
            asked.map_err(|failure| if current.tls.is_some() { net::over_tls(failure) } else { failure })?;
        attempt.steps().note(StepKind::Advertised, || {
            let server = answer.response.headers().get(header::SERVER);
            let server = server.map_or_else(|| "no name".to_owned(), |server| peer_text(server.as_bytes()));
            format!("status {}, server: {server}", answer.response.status().as_u16())
        });
        // Where a redirect leads tells nothing about whether this server is down: it has answered.
        let followed = if goal == Goal::Down { None } else { redirect(current, &answer)? };
        match followed {
            Some(Redirect::Next(request)) => {
                next = request;
                current = &next;
            }
            Some(Redirect::OtherHost(host)) => return judge_answer(current, &mut answer, Some(&host), attempt),
            None => return judge_answer(current, &mut answer, None, attempt),
        }
    }
    Err(NotReady::new(Kind::Unexpected, format!("more than {MAX_HOPS} redirects: they lead round in a circle?")))
}

/// Where an answer leads that is a redirect, if redirects are followed.
fn redirect(target: &Http, answer: &UnreadResponse) -> Result<Option<Redirect>, NotReady> {
    let status = answer.response.status().as_u16();
    if target.follow == Follow::None || !matches!(status, 301..=303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = answer.response.headers().get(header::LOCATION) else { return Ok(None) };
    let location = String::from_utf8_lossy(location.as_bytes());
    target.redirected(status, &location).map(Some).map_err(|problem| {
        NotReady::new(Kind::Unexpected, format!("HTTP {status}: the redirect cannot be followed: {problem}"))
    })
}

/// Asks over a stream that is connected already, and judges the answer. It follows no redirect.
///
/// # Errors
///
/// Why the answer is not the one expected. What the peer said may be in the reason: see
/// [`crate::targets::shared::probe::without_secrets`].
pub(crate) fn visit_once(target: &Http, stream: impl Wire, attempt: &Attempt) -> Outcome {
    judge_answer(target, &mut ask(target, stream, attempt)?, None, attempt)
}
