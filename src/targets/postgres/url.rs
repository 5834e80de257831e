//! Connection URIs ("Connection URIs" in libpq's manual), as other clients write them too; pgjdbc's ("Connecting to the
//! Database" in its manual).

use crate::targets::postgres::settings::Settings;
use crate::targets::shared::kind::Dialect;
use crate::targets::shared::parameters::{OTHER_SOCKETS, is_unix_socket_factory};
use crate::targets::shared::url::{self, Percent, Url, Userinfo};

/// Reads what stands behind `://`, or behind `jdbc:postgresql:`.
pub(crate) fn read(rest: &str, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    if settings.dialect == Dialect::Jdbc {
        return read_jdbc(rest, settings);
    }
    let parts = url::split(rest, Userinfo::UntilSlash)?;
    let percent = if settings.dialect == Dialect::Plain { Percent::Strict } else { Percent::Lenient };
    authority(&parts, percent, settings)?;
    settings.set_unless_empty("dbname", url::decode_as(parts.path.strip_prefix('/').unwrap_or_default(), percent)?);
    query(parts.query.unwrap_or_default(), percent, settings)
}

/// Reads what stands behind `jdbc:postgresql:` (`database`, `/`) or `jdbc:postgresql://`.
fn read_jdbc(rest: &str, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    // As in a form's data, a `+` is a blank (Java's URLDecoder).
    let blanks = |text: &str| text.replace('+', " ");
    let parts = url::split(rest, Userinfo::UntilSlashOrQuery)?;
    authority(&parts, Percent::Lenient, settings)?;
    let database = blanks(parts.path.trim_matches('/'));
    settings.set_unless_empty("dbname", url::decode_as(&database, Percent::Lenient)?);
    let query = blanks(parts.query.unwrap_or_default());
    if let Some(path) = socket_factory(&query)? {
        settings.set("unix_sock", url::decode_as(&path, Percent::Lenient)?);
    }
    self::query(&query, Percent::Lenient, settings)
}

/// The socket of junixsocket's factory.
fn socket_factory(query: &str) -> Result<Option<String>, String> {
    let value = |name: &str| url::raw_pairs(query).find(|(key, _)| *key == name).and_then(|(_, value)| value);
    match (value("socketFactory"), value("socketFactoryArg")) {
        (None | Some(""), _) => Ok(None),
        (Some(factory), Some(path)) if is_unix_socket_factory(factory) && !path.is_empty() => Ok(Some(path.to_owned())),
        _ => Err(OTHER_SOCKETS.to_owned()),
    }
}

/// Who logs in, and where.
fn authority(parts: &Url<'_>, percent: Percent, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    if let Some(userinfo) = parts.userinfo {
        let (user, password) = url::user_and_password(userinfo, percent)?;
        settings.set_unless_empty("user", user);
        if let Some(password) = password {
            settings.set_unless_empty("password", password.expose_bytes());
        }
    }
    let (hosts, ports) = hosts_and_ports(parts.hosts, percent)?;
    settings.set_unless_empty("host", hosts);
    settings.set_unless_empty("port", ports);
    Ok(())
}

/// The lists of hosts and of ports, as libpq makes them: where there are several hosts, each has its port or the
/// default one, and PGPORT is not asked.
fn hosts_and_ports(text: &str, percent: Percent) -> Result<(String, String), String> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let is_encoded = part.contains('%') && !part.starts_with('[');
        let (host, port) = if part.is_empty() || part.starts_with(':') {
            (String::new(), part.strip_prefix(':'))
        } else if is_encoded {
            let (host, port) = part.rsplit_once(':').map_or((part, None), |(host, port)| (host, Some(port)));
            (url::decode_as(host, percent)?, port)
        } else {
            url::host_and_port_text(part)?
        };
        if let Some(port) = port.filter(|port| !port.is_empty()) {
            url::parse_port(port)?;
        }
        hosts.push(host);
        ports.push(port.unwrap_or_default());
    }
    if hosts.len() > 1 && hosts.iter().any(String::is_empty) {
        return Err("it has no host between two commas".to_owned());
    }
    Ok((hosts.join(","), ports.join(",")))
}

/// The query's parameters, which win over the authority and the path.
fn query(text: &str, percent: Percent, settings: &mut Settings<'_, '_>) -> Result<(), String> {
    let (mut hosts, mut ports) = (Vec::<String>::new(), Vec::<String>::new());
    for (key, value) in url::raw_pairs(text) {
        let key = url::decode_as(key, percent)?;
        let value = url::decode_bytes(value.unwrap_or_default(), percent)?;
        let list = match key.as_str() {
            "host" => &mut hosts,
            "port" => &mut ports,
            _ => {
                settings.set_parameter(&key, value)?;
                continue;
            }
        };
        list.push(String::from_utf8(value).map_err(|_| format!("the value of `{key}` is not UTF-8"))?);
    }
    let has_port =
        |host: &String| host.contains(':') && !host.starts_with('/') && host.parse::<std::net::Ipv6Addr>().is_err();
    let have_ports = hosts.iter().any(has_port);
    // SQLAlchemy repeats both for several hosts; of pairs that are repeated libpq takes the last.
    if settings.dialect == Dialect::Plain && !have_ports {
        for list in [&mut hosts, &mut ports] {
            list.drain(..list.len().saturating_sub(1));
        }
    }
    if !ports.is_empty() {
        settings.set_parameter("port", ports.join(",").into_bytes())?;
    }
    if !hosts.is_empty() {
        settings.set("host", hosts.join(","));
        // The authority's ports belong to its hosts.
        if have_ports {
            settings.unset_ports_of_authority();
        }
    }
    Ok(())
}
