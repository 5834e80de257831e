//! What an error before the first `ReadyForQuery` means.

use crate::targets::Postgres;
use crate::targets::postgres::layers::LayerFailure;
use crate::targets::postgres::login::PostgresCredentials;
use crate::targets::postgres::wire::ErrorResponse;
use crate::targets::shared::server::NOT_TRIED;
use crate::wait::outcome::{Kind, NotReady};

/// 57P01 to 57P03 (class 57 is "operator intervention"): shutting down, ended by a crash, starting up.
pub(crate) fn is_shutdown(sqlstate: &str) -> bool {
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

/// The words of pgpool while there is no server behind it, with the SQLSTATE of an internal error.
const PGPOOL: [&str; 3] = ["failed to create a backend", "all backend nodes are down", "pgpool is not accepting"];

/// The proof where a login was not tried.
pub(crate) fn accepting(target: &Postgres) -> String {
    if let Some(wanted) = target.target_session_attrs {
        let name = wanted.name();
        return format!("accepting connections; no password given, login and target_session_attrs={name} not tried");
    }
    NOT_TRIED.to_owned()
}

/// The proof in an error: without credentials, that the server accepts connections, if it is past its start-up
/// (`pg_isready`'s level); with them, that it does not let us in.
pub(crate) fn judge_startup_error(
    target: &Postgres,
    login: &PostgresCredentials,
    error: &ErrorResponse,
    is_authenticated: bool,
) -> Result<String, LayerFailure> {
    let (kind, way_out) = meaning(target, error);
    if !demands_login(target, login, error) && is_past_startup(target, error, kind) {
        return Ok(format!("{}: {}", accepting(target), error.shown()));
    }
    // libpq: what pg_hba.conf refuses over one layer may be let in over the other.
    let try_next = error.sqlstate == "28000" && !is_authenticated;
    Err(LayerFailure { failure: NotReady::new(kind, error.shown_with(way_out)), try_next })
}

fn meaning(target: &Postgres, error: &ErrorResponse) -> (Kind, &'static str) {
    match error.sqlstate.as_str() {
        // Without "yet": "Hot standby mode is disabled", says its DETAIL.
        "57P03" if error.message == "the database system is not accepting connections" => {
            (Kind::NotAccepting, ": a standby with hot_standby=off takes no connections until it is promoted")
        }
        state if is_shutdown(state) => (Kind::NotAccepting, ""),
        "53300" => (Kind::TooManyConnections, ""),
        // Insufficient resources.
        state if state.starts_with("53") => (Kind::NotAccepting, ""),
        "3D000" if target.database.is_some() => (Kind::NoDatabase, ""),
        "3D000" => (Kind::NoDatabase, ": name the database in the URL"),
        // The database takes no connections, or an interrupted DROP DATABASE has left it.
        "55000" if target.database.is_some() => (Kind::NotAccepting, ""),
        "28P01" => (Kind::CredentialsRejected, ": check user and password"),
        "28000" => (Kind::CredentialsRejected, ""),
        "42501" => (Kind::Forbidden, ""),
        _ if PGPOOL.iter().any(|part| error.message.contains(part)) => (Kind::NotAccepting, " (pgpool)"),
        "08P01" | "58000" => POOLERS
            .iter()
            .find(|(part, ..)| error.message.contains(part))
            .map_or((Kind::ServerError, ""), |(_, kind, way_out)| (*kind, *way_out)),
        _ => (Kind::ServerError, ""),
    }
}

/// Whether the target asks for more than that the server accepts connections, or something was given that the
/// server refused: a password, a certificate, the operating system's user.
fn demands_login(target: &Postgres, login: &PostgresCredentials, error: &ErrorResponse) -> bool {
    // `peer` and `ident` need no more than who we are, and have looked at it; a role that nobody named is no
    // login that was wanted.
    let is_identity_refused = error.sqlstate == "28000"
        && ["Peer", "Ident"].iter().any(|method| error.message.starts_with(&format!("{method} authentication failed")))
        && target.user_is_named;
    login.has_credentials() || target.query.is_some() || is_identity_refused
}

/// Every error but those of a server that is not there yet, and of a database that was named and is not there.
fn is_past_startup(target: &Postgres, error: &ErrorResponse, kind: Kind) -> bool {
    match kind {
        Kind::NotAccepting | Kind::TooManyConnections => false,
        Kind::NoDatabase => target.database.is_none(),
        // An error without SQLSTATE is no server's that pg_isready would believe.
        _ => error.sqlstate.len() == 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::targets::scripted;
    use crate::wait::outcome::Permanence;

    fn judged(url: &str, credentials: bool, state: &str, message: &str) -> Result<String, NotReady> {
        let target = scripted::target(url).as_kind::<Postgres>().cloned().unwrap();
        let login =
            PostgresCredentials { password: credentials.then(|| Secret::new("pw")), ..PostgresCredentials::default() };
        let error =
            ErrorResponse { sqlstate: state.to_owned(), message: message.to_owned(), ..ErrorResponse::default() };
        judge_startup_error(&target, &login, &error, false).map_err(|end| end.failure)
    }

    #[test]
    fn without_credentials_every_error_past_the_start_is_acceptance() {
        for (state, message) in [
            ("28000", "no pg_hba.conf entry"),
            ("28P01", "password authentication failed"),
            ("28P02", "x"),
            ("3D000", "database \"u\" does not exist"),
            ("42501", "permission denied"),
            ("55000", "database \"template0\" is not currently accepting connections"),
            ("XX000", "cache lookup failed"),
            ("0A000", "x"),
            ("22023", "x"),
            ("42704", "x"),
            ("57P04", "x"),
            ("08P01", "no such user"),
            ("08P01", "no such database: u"),
        ] {
            assert!(judged("postgres://u@h", false, state, message).is_ok(), "{state} {message}");
            assert!(judged("postgres://u@h", true, state, message).is_err(), "{state} {message}");
            assert!(judged("postgres://u@h#query=select%201", false, state, message).is_err(), "{state} {message}");
        }
        for (state, message) in [
            ("57P01", "x"),
            ("57P02", "x"),
            ("57P03", "the database system is starting up"),
            ("53000", "x"),
            ("53300", "sorry, too many clients already"),
            ("3D000", "database \"d\" does not exist"),
            ("08P01", "no such database: d"),
            ("55000", "database \"d\" is not currently accepting connections"),
            ("55000", "cannot connect to invalid database \"d\""),
            ("08P01", "no more connections allowed (max_client_conn)"),
            ("08P01", "server login has been failing, try again later (server_login_retry)"),
            ("08P01", "query_wait_timeout"),
            ("08P01", "pgbouncer cannot connect to server"),
            ("XX000", "failed to create a backend 0 connection"),
            ("", "an error without a state"),
        ] {
            for credentials in [false, true] {
                let failure = judged("postgres://u@h/d", credentials, state, message).unwrap_err();
                assert_eq!(failure.permanence(), Permanence::Pending, "{state} {message}");
            }
        }
    }

    #[test]
    fn the_servers_detail_and_hint_are_told() {
        let error = ErrorResponse {
            sqlstate: "57P03".to_owned(),
            message: "not accepting".to_owned(),
            detail: "Hot standby mode is disabled.".to_owned(),
            hint: "repair the backend nodes".to_owned(),
        };
        let target = scripted::target("postgres://u@h").as_kind::<Postgres>().cloned().unwrap();
        let failure = judge_startup_error(&target, &PostgresCredentials::default(), &error, false).unwrap_err().failure;
        let shown = crate::text::bounded_line(&failure.reason);
        assert_eq!(shown, "not accepting (57P03); Hot standby mode is disabled.; repair the backend nodes");
    }

    #[test]
    fn what_was_given_and_refused_is_a_refusal() {
        let login = PostgresCredentials { certificate: true, ..PostgresCredentials::default() };
        let target = scripted::target("postgres://u@h/d").as_kind::<Postgres>().cloned().unwrap();
        let error = |state: &str, message: &str| ErrorResponse {
            sqlstate: state.into(),
            message: message.into(),
            ..ErrorResponse::default()
        };
        let refused = error("28000", "certificate authentication failed for user \"u\"");
        assert!(judge_startup_error(&target, &login, &refused, false).is_err());
        assert!(judge_startup_error(&target, &PostgresCredentials::default(), &refused, false).is_ok());
        let peer = error("28000", "Peer authentication failed for user \"u\"");
        assert!(judge_startup_error(&target, &PostgresCredentials::default(), &peer, false).is_err());
        let unnamed = scripted::target("postgres://h").as_kind::<Postgres>().cloned().unwrap();
        assert!(judge_startup_error(&unnamed, &PostgresCredentials::default(), &peer, false).is_ok());
    }
}
