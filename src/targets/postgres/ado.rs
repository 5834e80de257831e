//! Npgsql's connection strings, and those of ODBC and PDO, by libpq's names.

use crate::targets::postgres::settings::Settings;
use crate::targets::shared::ado::{self, Pairs};

/// libpq's names for keys that stand for one thing each.
const KEYS: &[(&str, &str)] = &[
    ("sslmode", "sslmode"),
    ("rootcertificate", "sslrootcert"),
    ("sslrootcert", "sslrootcert"),
    ("sslcertificate", "sslcert"),
    ("sslcert", "sslcert"),
    ("sslkey", "sslkey"),
    ("sslnegotiation", "sslnegotiation"),
    ("channelbinding", "channel_binding"),
    ("requireauth", "require_auth"),
    ("targetsessionattributes", "target_session_attrs"),
    ("timeout", "connect_timeout"),
    ("applicationname", "application_name"),
    ("searchpath", "search_path"),
    ("options", "options"),
    ("passfile", "passfile"),
];

/// The same for keys of which all servers have several.
const SHARED: &[(&[&str], &str)] = &[
    (ado::HOST, "host"),
    (ado::PORT, "port"),
    (ado::DATABASE, "dbname"),
    (ado::USER, "user"),
    (ado::PASSWORD, "password"),
];

/// Takes the pairs of a string for Postgres.
pub(crate) fn take(pairs: Pairs, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    for (key, value) in pairs {
        let shared = SHARED.iter().find(|(keys, _)| keys.contains(&key.as_str())).map(|(_, libpq)| *libpq);
        let known = shared.or_else(|| KEYS.iter().find(|(known, _)| *known == key).map(|(_, libpq)| *libpq));
        let Some(libpq) = known else {
            settings.reading.ignored.add(&key);
            continue;
        };
        let value = match libpq {
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
