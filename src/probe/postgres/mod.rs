//! Postgres at two honest levels: accepting connections, and logged in.

mod authentication;
mod cancel;
mod expectations;
mod layers;
mod login;
pub mod passfile;
mod saslprep;
pub mod scram;
mod session;
mod startup_errors;
pub mod wire;

use std::io::{Read, Write};
use std::time::Duration;

use super::hosts::first_ready;
use crate::config::Goal;
use crate::endpoint::Postgres;
use crate::endpoint::postgres::Host;
use crate::net::tls::Tls;
use crate::net::{self, Budget};
use crate::outcome::{Kind, NotReady, Outcome, Ready};
use authentication::Reached;
use expectations::is_lenient;
use layers::{Layer, layers};
use login::Login;
use session::Session;

/// How long a database may take to answer that need not.
const PATIENCE: Duration = Duration::from_millis(250);

pub(super) fn probe(target: &Postgres, goal: Goal, tls: &Tls, budget: &Budget) -> Outcome {
    first_ready(&target.hosts, goal, budget, |host, budget| probe_host(target, host, tls, budget))
}

/// What ended an attempt over one layer.
struct LayerFailure {
    failure: NotReady,
    /// Whether libpq would try the next layer: the server refused TLS itself, or its `pg_hba.conf`
    /// refused this one.
    try_next: bool,
}

impl From<NotReady> for LayerFailure {
    fn from(failure: NotReady) -> Self {
        Self { failure, try_next: false }
    }
}

fn probe_host(target: &Postgres, host: &Host, tls: &Tls, budget: &Budget) -> Outcome {
    // As in libpq, it counts for one host, up to `ReadyForQuery`; what is asked then has the whole time.
    let until_login = target.connect_timeout.map_or_else(|| budget.clone(), |timeout| budget.at_most(timeout));
    let mut first = None;
    for &layer in layers(target.sslmode, &host.place) {
        let mut login = Login::of(target, host);
        match probe_layer(target, host, layer, &mut login, tls, (&until_login, budget)) {
            Ok(ready) => return Ok(ready),
            Err(LayerFailure { failure, try_next: true }) => {
                first.get_or_insert(login.scrub(failure));
            }
            Err(LayerFailure { failure, try_next: false }) => return Err(login.scrub(failure)),
        }
    }
    Err(first.unwrap_or_else(net::closed))
}

fn probe_layer(
    target: &Postgres,
    host: &Host,
    layer: Layer,
    login: &mut Login,
    tls: &Tls,
    (until_login, whole): (&Budget, &Budget),
) -> Result<Ready, LayerFailure> {
    let connection = net::connect(&host.place, until_login)?;
    let secured = layers::secure(target, host, layer, connection, tls, until_login)?;
    login.certificate = secured.shows_certificate;
    // A server without TLS has already been tried without.
    let is_last = layer == Layer::TlsIfOffered && !secured.is_tls;
    let mut session = Session::new(secured.stream, until_login);
    let outcome = session.log_in(target, login, secured.binding).and_then(|reached| match reached {
        Reached::Accepting(proof) => Ok(Ready::new(proof)),
        Reached::LoggedIn => {
            let is_lenient = is_lenient(target, login.has_credentials());
            let rest = if is_lenient { whole.at_most(PATIENCE.min(whole.remaining() / 2)) } else { whole.clone() };
            session.stream.lasts(&rest);
            session.budget = rest;
            Ok(Ready::new(session.finish(target, login.has_credentials())?))
        }
    });
    if let (Err(LayerFailure { failure: NotReady { kind: Kind::TimedOut, .. }, .. }), Some(key)) =
        (&outcome, session.key)
    {
        cancel::cancel(&host.place, key);
    }
    session.stream.close();
    outcome.map_err(|end| LayerFailure { try_next: end.try_next && !is_last, ..end })
}

/// The whole conversation over a stream that stands, without TLS, with the target's own password: for tests
/// and the fuzzer.
///
/// # Errors
///
/// Why it is not ready.
pub fn exchange<S: Read + Write>(target: &Postgres, stream: S, budget: &Budget) -> Outcome {
    let login = Login { password: target.password.clone(), ..Login::default() };
    let mut session = Session::new(stream, budget);
    match session.log_in(target, &login, None).map_err(|end| end.failure)? {
        Reached::Accepting(proof) => Ok(Ready::new(proof)),
        Reached::LoggedIn => Ok(Ready::new(session.finish(target, login.has_credentials())?)),
    }
}
