//! MySQL's connection strings that are no URLs: Go's, those of ADO.NET, ODBC and PDO, and Connector/J's way to write a
//! host.

use std::net::Ipv6Addr;

use crate::net::tls_settings::Encryption;
use crate::net::{Address, Place};
use crate::secret::Secret;
use crate::targets::mysql::Mysql;
use crate::targets::shared::ado::{self, Pairs};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::url::{self, Percent};

/// The port that MySQL is assigned.
pub(super) const DEFAULT_PORT: u16 = 3306;

/// Whether it is go-sql-driver's `user:password@tcp(host:3306)/database`.
pub(crate) fn is_go(text: &str) -> bool {
    split_go(text).is_some()
}

/// The credentials, the network, the address, and what stands behind them, as the driver cuts them. Without a network
/// it is TCP, without an address this machine: `user:password@/database`.
fn split_go(text: &str) -> Option<(&str, &str, &str, &str)> {
    // A password may hold anything: what counts stands last.
    let behind = |mark: &str| text.rfind(mark).map(|at| at + mark.len() - 1);
    let end = [")/", "@/", "@tcp/"].into_iter().find_map(behind).or(text.ends_with(')').then_some(text.len()))?;
    let (head, rest) = text.split_at(end);
    let (credentials, place) = head.rsplit_once('@').unwrap_or(("", head));
    let (network, address) = place.strip_suffix(')').map_or(Some((place, "")), |place| place.split_once('('))?;
    let is_known = ["", "tcp", "tcp4", "tcp6", "unix"].contains(&network);
    // `user/password@//host:1521/service` is Oracle's.
    let path = rest.split('?').next().unwrap_or_default();
    if credentials.split(':').next().is_some_and(|user| user.contains('/'))
        || path.starts_with("//")
        || path.contains('@')
    {
        return None;
    }
    let is_word = !credentials.is_empty() && network.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_known || is_word).then_some((credentials, network, address, rest))
}

impl Mysql {
    /// Reads Go's `user:password@tcp(host:3306)/database?tls=true` ("DSN (Data Source Name)" in its README).
    pub(crate) fn from_go(text: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let (credentials, network, address, rest) = split_go(text).ok_or("it is no URL")?;
        let place = match network {
            "unix" => Place::Unix(address.into()),
            "" | "tcp" | "tcp4" | "tcp6" => Place::Tcp(match address.parse::<Ipv6Addr>() {
                Ok(_) => Address { host: address.to_owned(), port: DEFAULT_PORT },
                Err(_) if address.is_empty() => url::address("127.0.0.1", DEFAULT_PORT)?,
                Err(_) => url::address(address, DEFAULT_PORT)?,
            }),
            _ => {
                return Err(
                    "its network is known to its own program alone; write USER:PASSWORD@tcp(HOST:3306)/".to_owned()
                );
            }
        };
        let mut target = Self::at(vec![place]);
        // Its default; a parameter may say otherwise.
        target.server.encryption = Encryption::Never;
        let (user, password) = credentials.split_once(':').map_or((credentials, None), |(u, p)| (u, Some(p)));
        target.server.user = Some(user.to_owned()).filter(|user| !user.is_empty());
        target.server.password = password.map(Secret::new);
        let rest = rest.strip_prefix('/').unwrap_or_default();
        let (database, query) = rest.split_once('?').unwrap_or((rest, ""));
        let database = url::decode_as(database, Percent::Lenient)?;
        target.database = Some(database).filter(|database| !database.is_empty());
        for (key, value) in url::raw_pairs(query) {
            let value = url::decode_as(value.unwrap_or_default(), Percent::Lenient)?;
            target.take_or_ignore(key, &value, reading)?;
        }
        target.finish(reading)
    }

    /// Reads `Server=db;Database=app;Uid=app;Pwd=pw` of `MySqlConnector` and Connector/NET, and PDO's pairs.
    pub(crate) fn from_ado(pairs: &Pairs, reading: &mut Reading<'_>) -> Result<Self, String> {
        let port = ado::value(pairs, ado::PORT).map(url::parse_port).transpose()?.unwrap_or(DEFAULT_PORT);
        let host = ado::value(pairs, ado::HOST).filter(|host| !host.is_empty()).unwrap_or("localhost");
        let by_protocol = ado::value(pairs, &["protocol", "connectionprotocol"]).unwrap_or_default();
        let socket = ado::value(pairs, &["unixsocket"])
            .or_else(|| (host.starts_with('/') || by_protocol.to_ascii_lowercase().contains("unix")).then_some(host));
        let places = match socket {
            Some(path) => vec![Place::Unix(path.into())],
            None => url::places(host, port)?,
        };
        let mut target = Self::at(places);
        let given = |keys| ado::value(pairs, keys).filter(|value| !value.is_empty());
        target.server.user = given(ado::USER).map(str::to_owned);
        target.server.password = given(ado::PASSWORD).map(Secret::new);
        target.database = given(ado::DATABASE).map(str::to_owned);
        let placed = [ado::HOST, ado::PORT, ado::USER, ado::PASSWORD, ado::DATABASE, &["protocol", "unixsocket"]];
        for (key, value) in pairs.iter().filter(|(key, _)| !placed.iter().any(|keys| keys.contains(&key.as_str()))) {
            target.take_or_ignore(key, value, reading)?;
        }
        target.finish(reading)
    }
}

/// Connector/J's hosts with pairs of their own, as `host:port,host:port`: `address=(host=db)(port=3307)`,
/// `(host=db,port=3307)` and lists of them in brackets. Any other hosts as they are. A user and a password among the
/// pairs stand before them, those of the first host for all.
///
/// # Errors
///
/// A pair of parentheses names no host.
pub(crate) fn plain_hosts(hosts: &str) -> Result<String, String> {
    if !hosts.contains('(') {
        return Ok(hosts.to_owned());
    }
    let unknown = || "its host is not understood; write mysql://HOST:PORT/DATABASE".to_owned();
    let list = hosts.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(hosts);
    let (mut plain, mut userinfo) = (Vec::new(), String::new());
    for one in hosts_of_list(list) {
        let pairs = one.strip_prefix("address=").or_else(|| one.starts_with('(').then_some(one));
        // Go's `(host:port)` has none.
        let Some(pairs) = pairs.filter(|pairs| pairs.contains('=')) else {
            plain.push(one.trim_matches(['(', ')']).to_owned());
            continue;
        };
        let pairs = pairs.replace([')', '('], ",");
        let value = |name: &str| {
            let of = |pair: &str| {
                pair.split_once('=').map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().to_owned()))
            };
            pairs.split(',').filter_map(of).find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let host = value("host").filter(|host| !host.is_empty()).ok_or_else(unknown)?;
        plain.push(value("port").map_or(host.clone(), |port| format!("{host}:{port}")));
        if let Some(user) = value("user").filter(|_| userinfo.is_empty()) {
            let password = value("password").map_or_else(String::new, |password| format!(":{password}"));
            userinfo = format!("{user}{password}@");
        }
    }
    Ok(userinfo + &plain.join(","))
}

/// Hosts with commas between them, and none within parentheses.
fn hosts_of_list(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_u32, 0);
    for (at, c) in list.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connector_js_hosts_are_hosts() {
        for (hosts, plain) in [
            ("db:3306", "db:3306"),
            ("address=(host=db)(port=3307)", "db:3307"),
            ("address=(protocol=tcp)(host=db)(port=3307)(user=x)", "x@db:3307"),
            ("(host=db,port=3307)", "db:3307"),
            ("(host=db)", "db"),
            ("[(host=a,port=1),(host=b,port=2)]", "a:1,b:2"),
            ("(host=a,port=1),b:2", "a:1,b:2"),
            ("(db:3306)", "db:3306"),
            ("address=(host=a)(port=1)(user=u)(password=p),address=(host=b)(user=v)", "u:p@a:1,b"),
        ] {
            assert_eq!(plain_hosts(hosts).as_deref(), Ok(plain), "{hosts}");
        }
        assert!(plain_hosts("(port=3307)").is_err() && plain_hosts("address=(host=)").is_err());
    }

    #[test]
    fn gos_strings_are_told_from_others() {
        for text in ["app:pw@tcp(db:3306)/app", "app:p@w/x@unix(/s)/app", "tcp(db:3306)/", "u@tcp(db)/d?tls=true"] {
            assert!(is_go(text), "{text}");
        }
        for text in [
            "db:3306",
            "app:pw@db:3306/app",
            "u:p@tcp(db",
            "http://h/@tcp(x",
            "a(b)/c",
            "/db",
            "db/x",
            "u/p@//db:1521/x",
            "mysql:@/u:p@db/x",
        ] {
            assert!(!is_go(text), "{text}");
        }
    }

    #[test]
    fn gos_strings_lead_where_its_driver_goes() {
        for (text, shown, password) in [
            ("app:pw@/app?charset=utf8", "mysql://app@127.0.0.1:3306/app", "pw"),
            ("app:pw@tcp/app", "mysql://app@127.0.0.1:3306/app", "pw"),
            ("app:pw@(db:3307)/app", "mysql://app@db:3307/app", "pw"),
            ("app:pw@tcp(fd00::1)/app", "mysql://app@[fd00::1]:3306/app", "pw"),
            ("app:p@(w)/x@tcp(db)/app", "mysql://app@db:3306/app", "p@(w)/x"),
            ("app:p%40w@unix(/s)/app", "mysql://app@/s/app", "p%40w"),
        ] {
            let target = crate::targets::scripted::target(text);
            assert_eq!(target.to_string(), shown, "{text}");
            assert_eq!(target.probe.secrets()[0].expose(), password, "{text}");
        }
    }
}
