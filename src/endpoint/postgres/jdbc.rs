//! pgjdbc's URLs ("Connecting to the Database" in its manual).

use super::settings::Settings;
use super::uri;
use crate::endpoint::parameters::Ignored;
use crate::endpoint::url::{self, Percent, Userinfo};

/// Reads what stands behind `jdbc:postgresql:` (`database`, `/`) or `jdbc:postgresql://`.
pub(super) fn read(rest: &str, settings: &mut Settings, ignored: &mut Ignored) -> Result<(), String> {
    // As in a form's data, a `+` is a blank (Java's URLDecoder).
    let blanks = |text: &str| text.replace('+', " ");
    let parts = url::split(rest, Userinfo::UntilSlashOrQuery)?;
    if let Some(userinfo) = parts.userinfo {
        let (user, password) = url::user_and_password(userinfo, Percent::Lenient)?;
        settings.set_unless_empty("user", user);
        settings.set_secret_unless_empty(password.as_ref());
    }
    let (hosts, ports) = uri::authority(parts.hosts, Percent::Lenient)?;
    settings.set_unless_empty("host", hosts);
    settings.set_unless_empty("port", ports);
    let database = blanks(parts.path.trim_matches('/'));
    settings.set_unless_empty("dbname", url::decode_as(&database, Percent::Lenient)?);
    let query = blanks(parts.query.unwrap_or_default());
    if let Some(path) = socket_factory(&query)? {
        settings.socket = Some(url::decode_as(&path, Percent::Lenient)?);
    }
    uri::query(&query, Percent::Lenient, settings, ignored)
}

/// The socket of junixsocket's factory.
fn socket_factory(query: &str) -> Result<Option<String>, String> {
    let value = |name: &str| url::raw_pairs(query).find(|(key, _)| *key == name).and_then(|(_, value)| value);
    match (value("socketFactory"), value("socketFactoryArg")) {
        (None | Some(""), _) => Ok(None),
        (Some(factory), Some(path)) if factory.contains("newsclub") || factory.contains("UNIXSocketFactory") => {
            Ok(Some(path.to_owned()))
        }
        _ => Err("its `socketFactory` connects elsewhere, where only Java can follow: leave it out, and give the \
                  address of the proxy or of the server"
            .to_owned()),
    }
}
