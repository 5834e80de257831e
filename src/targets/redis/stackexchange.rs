//! StackExchange.Redis' `host:6380,password=…,ssl=True` ("Configuration" in its manual).

use crate::secret::Secret;
use crate::targets::redis::url::Parameters;
use crate::targets::redis::{DEFAULT_PORT, Redis, SENTINEL_PORT};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::url::{self, split_name};

/// Its options, in small letters.
#[rustfmt::skip]
const OPTIONS: &[&str] = &[
    "abortconnect", "allowadmin", "asynctimeout", "channelprefix", "checkcertificaterevocation", "clientname",
    "configcheckseconds", "configchannel", "connectretry", "connecttimeout", "defaultdatabase",
    "heartbeatconsistencychecks", "heartbeatinterval", "highintegrity", "includedetailinexceptions",
    "includeperformancecountersinexceptions", "keepalive", "libname", "name", "password", "preservingasyncorder",
    "preserveasyncorder", "protocol", "proxy", "resolvedns", "responsetimeout", "servicename", "setclientlibrary",
    "ssl", "sslhost", "sslprotocols", "synctimeout", "tiebreaker", "tunnel", "user", "version",
];
/// The port that it takes with TLS.
const TLS_PORT: u16 = 6380;

/// Whether a text is such a string: parts with commas between them, of which one is an option.
pub(crate) fn is_stackexchange(text: &str) -> bool {
    let is_option = |part: &str| {
        part.split_once('=').is_some_and(|(key, _)| OPTIONS.iter().any(|name| key.trim().eq_ignore_ascii_case(name)))
    };
    // Such a string begins with a host; `password=a,ssl=b` is a password.
    let text = if is_option(text) { text } else { split_name(text).1 };
    let begins_with_host = text.split(',').next().is_some_and(|first| !first.contains('='));
    // A port is an option of databases' strings.
    let is_databases = text.split(',').any(|part| part.split_once('=').is_some_and(|(key, _)| key.trim() == "port"));
    begins_with_host && !is_databases && !text.contains("://") && text.contains(',') && text.split(',').any(is_option)
}

impl Redis {
    /// Reads such a string.
    pub(crate) fn from_stackexchange(text: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let mut hosts: Vec<&str> = Vec::new();
        let mut found = Parameters::default();
        let mut names_tls_host = false;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                hosts.push(part);
                continue;
            };
            let is =
                |value: &str| matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "enabled");
            match key.trim().to_ascii_lowercase().as_str() {
                "password" => found.password = Some(Secret::new(value)),
                "user" => found.user = Some(value.to_owned()).filter(|user| !user.is_empty()),
                "defaultdatabase" => {
                    found.database =
                        Some(value.to_owned()).filter(|text| !text.trim().is_empty() && text.trim() != "-1");
                }
                "servicename" => found.master = Some(value.to_owned()).filter(|name| !name.is_empty()),
                "ssl" => found.is_tls = is(value),
                "sslhost" => {
                    names_tls_host = true;
                    found.tls.server_name = Some(value.to_owned()).filter(|name| !name.is_empty());
                }
                // Revocation is checked by the operating system there; a chain is verified all the same.
                other => reading.ignored.add(other),
            }
        }
        // `sslHost` means TLS by itself.
        found.is_tls |= names_tls_host;
        if hosts.is_empty() {
            return Err("it has no host; write HOST:6379,password=…".to_owned());
        }
        let port = if found.is_tls { TLS_PORT } else { DEFAULT_PORT };
        let port = if found.master.is_some() { SENTINEL_PORT } else { port };
        let places = url::places(&hosts.join(","), port)?;
        let given = found.password.filter(|password| !password.expose_bytes().is_empty());
        found.password = given.or_else(|| reading.password_in("REDISCLI_AUTH"));
        Self::assemble(places, found, reading)
    }
}
