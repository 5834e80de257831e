//! pgjdbc's URLs ("Connecting to the Database" in its manual).

use crate::targets::postgres::settings::Settings;
use crate::targets::shared::parameters::{OTHER_SOCKETS, is_unix_socket_factory};
use crate::targets::shared::url::{self, Percent, Userinfo};

/// Reads what stands behind `jdbc:postgresql:` (`database`, `/`) or `jdbc:postgresql://`.
pub(crate) fn read(rest: &str, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    // As in a form's data, a `+` is a blank (Java's URLDecoder).
    let blanks = |text: &str| text.replace('+', " ");
    let parts = url::split(rest, Userinfo::UntilSlashOrQuery)?;
    super::url::authority(&parts, Percent::Lenient, settings)?;
    let database = blanks(parts.path.trim_matches('/'));
    settings.set_unless_empty("dbname", url::decode_as(&database, Percent::Lenient)?);
    let query = blanks(parts.query.unwrap_or_default());
    if let Some(path) = socket_factory(&query)? {
        settings.socket = Some(url::decode_as(&path, Percent::Lenient)?);
    }
    super::url::query(&query, Percent::Lenient, settings)
}

/// The socket of junixsocket's factory.
fn socket_factory(query: &str) -> Result<Option<String>, String> {
    let value = |name: &str| url::raw_pairs(query).find(|(key, _)| *key == name).and_then(|(_, value)| value);
    match (value("socketFactory"), value("socketFactoryArg")) {
        (None | Some(""), _) => Ok(None),
        (Some(factory), Some(path)) if is_unix_socket_factory(factory) => Ok(Some(path.to_owned())),
        _ => Err(OTHER_SOCKETS.to_owned()),
    }
}
