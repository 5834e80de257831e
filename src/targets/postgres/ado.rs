//! Npgsql's connection strings, and those of ODBC and PDO, by libpq's names.

use crate::targets::postgres::settings::Settings;
use crate::targets::shared::ado::{self, Pairs};

/// Their keys, and libpq's names for them.
const KEYS: &[(&[&str], &str)] = &[
    (ado::HOST, "host"),
    (ado::PORT, "port"),
    (ado::DATABASE, "dbname"),
    (ado::USER, "user"),
    (ado::PASSWORD, "password"),
    (&["sslmode"], "sslmode"),
    (&["rootcertificate", "sslrootcert"], "sslrootcert"),
    (&["sslcertificate", "sslcert"], "sslcert"),
    (&["sslkey"], "sslkey"),
    (&["sslnegotiation"], "sslnegotiation"),
    (&["channelbinding"], "channel_binding"),
    (&["requireauth"], "require_auth"),
    (&["targetsessionattributes"], "target_session_attrs"),
    (&["timeout"], "connect_timeout"),
    (&["applicationname"], "application_name"),
    (&["searchpath"], "search_path"),
    (&["options"], "options"),
    (&["passfile"], "passfile"),
];

/// Takes the pairs of a string for Postgres.
pub(crate) fn take(pairs: Pairs, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    for (key, value) in pairs {
        let Some((_, libpq)) = KEYS.iter().find(|(keys, _)| keys.contains(&key.as_str())) else {
            settings.reading.ignored.add(&key);
            continue;
        };
        let value = match *libpq {
            "sslmode" => match ado::normalized(&value).as_str() {
                "verifyca" => "verify-ca".to_owned(),
                "verifyfull" => "verify-full".to_owned(),
                other => other.to_owned(),
            },
            "channel_binding" | "target_session_attrs" | "sslnegotiation" => value.to_ascii_lowercase(),
            _ => value,
        };
        settings.set_parameter(libpq, value.into_bytes())?;
    }
    Ok(())
}
