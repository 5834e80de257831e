//! What an error before the first `ReadyForQuery` means.

use super::LayerFailure;
use super::login::Login;
use super::wire::ServerError;
use crate::endpoint::Postgres;
use crate::outcome::{Kind, NotReady, excerpt};

/// 57P01 to 57P03 (class 57 is "operator intervention"): shutting down, ended by a crash, starting up.
pub(super) fn is_shutdown(sqlstate: &str) -> bool {
    matches!(sqlstate, "57P01" | "57P02" | "57P03")
}

/// Errors of poolers that have one SQLSTATE for all of theirs: a part of the message, and what it means.
const POOLERS: [(&str, Kind, &str); 17] = [
    ("no such database", Kind::NoDatabase, " (pgbouncer)"),
    ("no such user", Kind::CredentialsRejected, " (pgbouncer)"),
    ("no more connections", Kind::TooManyConnections, " (pgbouncer)"),
    ("client_login_timeout", Kind::TooManyConnections, " (pgbouncer)"),
    ("query_wait_timeout", Kind::NotAccepting, " (pgbouncer): no connection to the server in time"),
    ("server login has been failing", Kind::NotAccepting, " (pgbouncer)"),
    ("server login failed", Kind::NotAccepting, " (pgbouncer)"),
    ("connect to server", Kind::NotAccepting, " (pgbouncer)"),
    ("server_login_retry", Kind::NotAccepting, " (pgbouncer)"),
    ("database removed", Kind::NotAccepting, " (pgbouncer)"),
    ("database is disabled", Kind::NotAccepting, " (pgbouncer)"),
    ("does not allow connections", Kind::NotAccepting, " (pgbouncer)"),
    ("shutting down", Kind::NotAccepting, " (pgbouncer)"),
    ("unsupported startup parameter", Kind::Forbidden, ": pgbouncer needs it in its ignore_startup_parameters"),
    ("password", Kind::CredentialsRejected, ": check user and password"),
    ("authentication", Kind::CredentialsRejected, ": check user and password"),
    ("SASL", Kind::CredentialsRejected, ": check user and password"),
];

/// The proof where a login was not tried.
pub(super) fn accepting(target: &Postgres) -> String {
    let attrs = target.target_session_attrs;
    if attrs.is_condition() {
        let name = attrs.name();
        return format!("accepting connections; no password given, login and target_session_attrs={name} not tried");
    }
    "accepting connections; no password given, login not tried".to_owned()
}

/// What an error proves: without credentials, that the server accepts connections, if it is past its start-up
/// (`pg_isready`'s level); with them, that it does not let us in.
pub(super) fn judge(
    target: &Postgres,
    login: &Login,
    error: &ServerError,
    is_authenticated: bool,
) -> Result<String, LayerFailure> {
    let text = format!("{} ({})", excerpt(&error.message), error.sqlstate);
    let (kind, way_out) = meaning(target, error);
    if !demands_login(target, login, error) && is_past_startup(target, error, kind) {
        return Ok(format!("{}: {text}", accepting(target)));
    }
    // libpq: what pg_hba.conf refuses over one layer may be let in over the other.
    let try_next = error.sqlstate == "28000" && !is_authenticated;
    Err(LayerFailure { failure: NotReady::new(kind, format!("{text}{way_out}")), try_next })
}

fn meaning(target: &Postgres, error: &ServerError) -> (Kind, &'static str) {
    match error.sqlstate.as_str() {
        state if is_shutdown(state) => (Kind::NotAccepting, ""),
        "53300" => (Kind::TooManyConnections, ""),
        // Insufficient resources.
        state if state.starts_with("53") => (Kind::NotAccepting, ""),
        "3D000" if target.database.is_some() => (Kind::NoDatabase, ""),
        "3D000" => (Kind::NoDatabase, ": name the database in the URL"),
        "28P01" => (Kind::CredentialsRejected, ": check user and password"),
        "28000" => (Kind::CredentialsRejected, ""),
        "42501" => (Kind::Forbidden, ""),
        "08P01" | "58000" => POOLERS
            .iter()
            .find(|(part, ..)| error.message.contains(part))
            .map_or((Kind::ServerError, ""), |(_, kind, way_out)| (*kind, *way_out)),
        _ => (Kind::ServerError, ""),
    }
}

/// Whether the target asks for more than that the server accepts connections, or something was given that the
/// server refused: a password, a certificate, the operating system's user.
fn demands_login(target: &Postgres, login: &Login, error: &ServerError) -> bool {
    // `peer` and `ident` need no more than who we are, and have looked at it; a role that nobody named is no
    // login that was wanted.
    let is_identity_refused = error.sqlstate == "28000"
        && ["Peer", "Ident"].iter().any(|method| error.message.starts_with(&format!("{method} authentication failed")))
        && target.user_is_named;
    login.has_credentials() || target.query.is_some() || is_identity_refused
}

/// Every error but those of a server that is not there yet, and of a database that was named and is not there.
fn is_past_startup(target: &Postgres, error: &ServerError, kind: Kind) -> bool {
    match kind {
        Kind::NotAccepting | Kind::TooManyConnections => false,
        Kind::NoDatabase => target.database.is_none(),
        // An error without SQLSTATE is no server's that pg_isready would believe.
        _ => error.sqlstate.len() == 5,
    }
}
