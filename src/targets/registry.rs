//! The one list of the kinds of targets: parsing, suggestions, messages, help and completions follow from it.
//!
//! A new kind is a folder beside this file and a line here.

use crate::targets::shared::kind::{COMMON_KEYS, Dialect, Form, FoundScheme, Key, Layer, Scheme, TargetKind};
use crate::targets::{
    amqp, dns, exec, file, grpc, http, kafka, ldap, memcached, mongodb, mqtt, mysql, nats, others, postgres, redis,
    refused, smtp, tcp, tls_handshake,
};
use crate::text::did_you_mean;

/// Every kind, in the order of the help: those first that are probed most thoroughly.
static KINDS: &[&[TargetKind]] = &[
    tcp::KINDS,
    http::KINDS,
    postgres::KINDS,
    redis::KINDS,
    mysql::KINDS,
    amqp::KINDS,
    kafka::KINDS,
    mongodb::KINDS,
    grpc::KINDS,
    memcached::KINDS,
    nats::KINDS,
    smtp::KINDS,
    mqtt::KINDS,
    ldap::KINDS,
    tls_handshake::KINDS,
    file::KINDS,
    dns::KINDS,
    exec::KINDS,
    others::KINDS,
    refused::KINDS,
];

/// Schemes whose servers have a port that no HTTP server is usually found at: `db:3306/x` is not taken for HTTP.
const NOT_HTTP: [&str; 13] = [
    "postgres",
    "redis",
    "redis+sentinel",
    "amqp",
    "mysql",
    "mongodb",
    "kafka",
    "mqtt",
    "ldap",
    "smtp",
    "memcached",
    "mssql",
    "oracle",
];

/// Every kind.
pub(crate) fn kinds() -> impl Iterator<Item = &'static TargetKind> {
    KINDS.iter().copied().flatten()
}

/// Every form of the help.
pub(crate) fn forms() -> impl Iterator<Item = &'static Form> {
    kinds().flat_map(|kind| kind.forms)
}

/// Whether it is a key of any target's fragment.
pub(crate) fn is_key(text: &str) -> bool {
    all_keys().any(|key| key == text)
}

/// Whether a fragment begins with a key of any target's.
pub(crate) fn begins_with_key(fragment: &str) -> bool {
    fragment.split(['=', '&']).next().is_some_and(is_key)
}

/// The name of every key of every kind.
pub(crate) fn all_keys() -> impl Iterator<Item = &'static str> {
    let common = COMMON_KEYS.iter().chain(crate::targets::shared::tls::KEYS).map(Key::name);
    kinds().flat_map(TargetKind::keys).chain(common)
}

/// The kind and the scheme of what stands before `://`, in any case.
pub(crate) fn find(written: &str) -> Option<FoundScheme> {
    // Some names mean something else in capitals: Kafka's listener SSL.
    if let Some((kind, scheme)) = exact(written) {
        return Some(FoundScheme { kind, scheme, dialect: Dialect::Plain });
    }
    let name = written.to_ascii_lowercase();
    for (prefix, dialect) in [
        ("jdbc:", Dialect::Jdbc),
        ("jdbc-secretsmanager:", Dialect::Jdbc),
        ("r2dbcs:", Dialect::R2dbc(Layer::Tls)),
        ("r2dbc:", Dialect::R2dbc(Layer::Plain)),
    ] {
        if let Some(rest) = name.strip_prefix(prefix) {
            return wrapped(rest).map(|(kind, scheme)| FoundScheme { kind, scheme, dialect });
        }
    }
    let name =
        ["db+", "cache+", "vertx-reactive:"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(&name);
    if let Some((kind, scheme)) = exact(name) {
        return Some(FoundScheme { kind, scheme, dialect: Dialect::Plain });
    }
    let (base, driver) = name.split_once('+')?;
    let (kind, scheme) = exact(base)?;
    let dialect = match driver {
        "unix" | "socket" if kind.takes_socket => Dialect::Socket,
        // No place is named where the servers stand in DNS alone.
        "" | "unix" | "socket" | "srv" => return None,
        "ssl" | "tls" | "https" | "wss" if kind.takes_driver => Dialect::DriverOverTls,
        _ if kind.takes_driver => Dialect::Driver,
        _ => return None,
    };
    Some(FoundScheme { kind, scheme, dialect })
}

fn exact(name: &str) -> Option<(&'static TargetKind, &'static Scheme)> {
    let mut schemes = kinds().flat_map(|kind| kind.schemes.iter().map(move |scheme| (kind, scheme)));
    schemes.find(|(_, scheme)| scheme.names.contains(&name))
}

/// JDBC's and R2DBC's drivers have wrappers before them (`aws-wrapper:postgresql`), and some a part behind
/// (`oracle:thin`).
fn wrapped(name: &str) -> Option<(&'static TargetKind, &'static Scheme)> {
    let parts: Vec<&str> = name.split(':').collect();
    let by_end = (0..parts.len()).find_map(|begin| exact(&parts[begin..].join(":")));
    by_end.or_else(|| parts.iter().find_map(|part| exact(part)).filter(|(kind, _)| kind.takes_driver))
}

/// The scheme that a misspelt one was most likely meant to be.
pub(crate) fn suggested_scheme(written: &str) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    let names = kinds().flat_map(|kind| kind.schemes).flat_map(|scheme| {
        let first = scheme.name();
        // The other names that are spelt like the first: postgresql, not ysql.
        let alike = scheme.names.iter().copied().skip(1).filter(move |name| name.starts_with(first));
        std::iter::once(first).chain(alike)
    });
    did_you_mean(&written, names.filter(|name| !name.contains('+')))
}

/// The scheme of a server whose own port this is, if it is none that speaks HTTP.
pub(crate) fn by_port(port: u16) -> Option<&'static Scheme> {
    let mut schemes = kinds().flat_map(|kind| kind.schemes);
    schemes.find(|scheme| scheme.port == Some(port) && NOT_HTTP.contains(&scheme.name()))
}

/// The advice about what may be written: every scheme by its first name.
pub(crate) fn what_to_write() -> String {
    let schemes: Vec<&str> = kinds().flat_map(|kind| kind.schemes).map(Scheme::name).collect();
    format!("write HOST:PORT, or a URL that begins with one of these and ://: {}", schemes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_in_two_rows() {
        let mut all: Vec<&str> =
            kinds().flat_map(|kind| kind.schemes).flat_map(|scheme| scheme.names).copied().collect();
        all.sort_unstable();
        let twice: Vec<_> = all.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert!(!all.contains(&""));
    }

    #[test]
    fn every_scheme_that_is_probed_by_its_own_protocol_is_told_of() {
        let told: Vec<&str> = forms().flat_map(Form::schemes).collect();
        let spoken = kinds().filter(|kind| !kind.forms.is_empty()).flat_map(|kind| kind.schemes);
        let variants = [
            "redshift",
            "materialize",
            "risingwave",
            "smtps",
            "submission",
            "tidb",
            "starrocks",
            "singlestoredb",
            "grpcs",
            "ldap+starttls",
            "kafkas",
            "redis-cluster",
            "rediss-cluster",
        ];
        for name in spoken.map(Scheme::name).filter(|name| !variants.contains(name)) {
            assert!(told.iter().any(|url| url.starts_with(&format!("{name}://"))), "{name}");
        }
    }

    #[test]
    fn postgres_has_many_names() {
        for name in [
            "postgres",
            "PostgreSQL",
            "postgresql+asyncpg",
            "postgis",
            "db+postgresql",
            "ecto",
            "cockroachdb",
            "cockroachdb+psycopg2",
            "jdbc:postgresql",
            "jdbc:aws-wrapper:postgresql",
            "jdbc:p6spy:postgresql",
            "jdbc:otel:postgresql",
            "r2dbc:pool:postgresql",
            "r2dbcs:postgresql",
        ] {
            assert_eq!(find(name).map(|found| found.scheme.name()), Some("postgres"), "{name}");
        }
        for name in ["postgresql+", "https+x", "grpc+foo", "mysql+srv", "nonsense", "jdbc:nonsense", ""] {
            assert!(find(name).is_none(), "{name}");
        }
        assert_eq!(find("jdbc:oracle:thin").map(|found| found.scheme.name()), Some("oracle"));
        assert_eq!(find("jdbc:sqlserver").map(|found| found.scheme.name()), Some("mssql"));
    }

    #[test]
    fn a_misspelt_scheme_is_recognised_and_a_short_one_is_not_guessed() {
        assert_eq!(suggested_scheme("htp"), Some("http"));
        assert_eq!(suggested_scheme("htttps"), Some("https"));
        assert_eq!(suggested_scheme("postgre"), Some("postgres"));
        assert_eq!(suggested_scheme("postgressql"), Some("postgresql"));
        assert_eq!(suggested_scheme("wx"), None);
    }
}
