//! Npgsql's connection strings, and those of ODBC and PDO, by libpq's names.

use crate::targets::postgres::settings::Settings;
use crate::targets::shared::ado::{self, Pairs};

/// libpq's name for one of their keys.
fn keyword(key: &str) -> Option<&'static str> {
    Some(match key {
        _ if ado::HOST.contains(&key) => "host",
        _ if ado::PORT.contains(&key) => "port",
        _ if ado::DATABASE.contains(&key) => "dbname",
        _ if ado::USER.contains(&key) => "user",
        _ if ado::PASSWORD.contains(&key) => "password",
        "sslmode" => "sslmode",
        "rootcertificate" | "sslrootcert" => "sslrootcert",
        "sslcertificate" | "sslcert" => "sslcert",
        "sslkey" => "sslkey",
        "sslnegotiation" => "sslnegotiation",
        "channelbinding" => "channel_binding",
        "requireauth" => "require_auth",
        "targetsessionattributes" => "target_session_attrs",
        "timeout" => "connect_timeout",
        "applicationname" => "application_name",
        "searchpath" => "search_path",
        "options" => "options",
        "passfile" => "passfile",
        _ => return None,
    })
}

/// Takes the pairs of a string for Postgres.
pub(crate) fn take(pairs: Pairs, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    for (key, value) in pairs {
        let Some(keyword) = keyword(&key) else {
            settings.reading.ignored.add(&key);
            continue;
        };
        let value = match keyword {
            "sslmode" => match ado::normalized(&value).as_str() {
                "verifyca" => "verify-ca".to_owned(),
                "verifyfull" => "verify-full".to_owned(),
                other => other.to_owned(),
            },
            "channel_binding" | "target_session_attrs" | "sslnegotiation" => value.to_ascii_lowercase(),
            _ => value,
        };
        settings.set_parameter(keyword, value.into_bytes())?;
    }
    Ok(())
}
