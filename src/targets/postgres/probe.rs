//! Postgres at two honest levels: accepting connections, and logged in.

use std::time::Duration;

use super::authentication::StartupEnd;
use super::cancel;
use super::expectations::is_lenient;
use super::layers::{self, HostProbe, LayerFailure};
use super::login::PostgresCredentials;
use super::session::PostgresSession;
use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::net::{self, Attempt, StepKind, TimedStream};
use crate::targets::Postgres;
use crate::targets::shared::hosts::first_ready_until;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use crate::wait::policy::Goal;

/// How long a database may take to answer that need not.
const PATIENCE: Duration = Duration::from_millis(250);

pub(crate) fn probe(target: &Postgres, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
    let is_last = |failure: &NotReady| {
        let is_refused = matches!(failure.kind, Kind::CredentialsRejected | Kind::NoDatabase);
        is_refused && target.stops_at_refusal && goal == Goal::Ready
    };
    first_ready_until(&target.hosts, goal, attempt, is_last, |host, whole| {
        let until_login = target.connect_timeout.map_or_else(|| whole.clone(), |timeout| whole.at_most(timeout));
        HostProbe { target, host, tls, until_login, whole }.run()
    })
}

impl HostProbe<'_> {
    fn run(&self) -> Outcome {
        let mut first = None;
        for &layer in layers::layers(self.target.sslmode, &self.host.place) {
            let mut login = PostgresCredentials::of(self.target, self.host);
            match self.run_over(layer, &mut login) {
                Ok(ready) => return Ok(ready),
                Err(LayerFailure { failure, try_next: true }) => {
                    first.get_or_insert(login.scrub(self.target, failure));
                }
                Err(LayerFailure { failure, try_next: false }) => return Err(login.scrub(self.target, failure)),
            }
        }
        Err(first.unwrap_or_else(net::closed))
    }

    fn run_over(&self, layer: Encryption, login: &mut PostgresCredentials) -> Result<Ready, LayerFailure> {
        let Self { target, host, until_login, whole, .. } = self;
        let secured = self.connect(layer)?;
        login.certificate = secured.shows_certificate;
        // A server without TLS has already been tried without.
        let is_last = layer == Encryption::IfOffered && !secured.stream.is_tls();
        let end_point = secured.end_point();
        let rest;
        let mut session = PostgresSession::new(secured.stream, until_login);
        let outcome = match session.log_in(target, login, end_point) {
            Err(failure) => Err(failure),
            Ok(StartupEnd::Accepting(proof)) => Ok(Ready::new(proof)),
            Ok(StartupEnd::LoggedIn) => {
                until_login
                    .steps()
                    .note(StepKind::Login, || login.hide(target, session.reported.described(&target.user, login)));
                let is_lenient = is_lenient(target, login.has_credentials());
                rest = if is_lenient { whole.at_most(PATIENCE.min(whole.remaining() / 2)) } else { (*whole).clone() };
                session.talk.lasts(&rest);
                session.finish(target, login.has_credentials()).map(Ready::new).map_err(LayerFailure::from)
            }
        };
        let is_left = |failure: &NotReady| failure.kind == Kind::TimedOut || whole.is_abandoned();
        if let (Err(LayerFailure { failure, .. }), Some(key)) = (&outcome, session.key)
            && is_left(failure)
        {
            cancel::cancel(&host.place, key);
        }
        session.talk.close();
        outcome.map_err(|end| LayerFailure { try_next: end.try_next && !is_last, ..end })
    }
}

/// The whole conversation over a stream that stands, without TLS, with the target's own password: for tests
/// and the fuzzer.
///
/// # Errors
///
/// Why it is not ready.
pub(crate) fn converse<S: TimedStream>(target: &Postgres, stream: S, attempt: &Attempt) -> Outcome {
    let login = PostgresCredentials { password: target.password.clone(), ..PostgresCredentials::default() };
    let mut session = PostgresSession::new(stream, attempt);
    match session.log_in(target, &login, None).map_err(|end| end.failure)? {
        StartupEnd::Accepting(proof) => Ok(Ready::new(proof)),
        StartupEnd::LoggedIn => Ok(Ready::new(session.finish(target, login.has_credentials())?)),
    }
}
