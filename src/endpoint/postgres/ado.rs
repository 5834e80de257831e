//! `Key=Value;Key=Value`: Npgsql's connection strings, those of ODBC and PDO, and how those for other servers are
//! told from them.

use super::settings::Settings;
use crate::endpoint::parameters::Ignored;
use crate::endpoint::url;

/// The keys that such strings have, without blanks and in small letters, and libpq's name for each.
const KEYS: &[(&str, &str)] = &[
    ("host", "host"),
    ("server", "host"),
    ("servername", "host"),
    ("hostname", "host"),
    ("datasource", "host"),
    ("addr", "host"),
    ("address", "host"),
    ("networkaddress", "host"),
    ("port", "port"),
    ("database", "dbname"),
    ("db", "dbname"),
    ("dbname", "dbname"),
    ("initialcatalog", "dbname"),
    ("location", "dbname"),
    ("username", "user"),
    ("user", "user"),
    ("userid", "user"),
    ("uid", "user"),
    ("password", "password"),
    ("pwd", "password"),
    ("psw", "password"),
    ("pass", "password"),
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

/// Of these nothing is asked; they tell what kind of string it is.
const MARKS: &str = "driver provider pooling virtualhost trustservercertificate encrypt integratedsecurity \
    trustedconnection multipleactiveresultsets persistsecurityinfo charset endpoint \
    accountendpoint defaultendpointsprotocol instrumentationkey hostingkey sharedaccesskey \
    sharedaccesskeyname accountkey accountname";

/// Keys that strings for SQL Server have, and those for Postgres seldom.
const SQL_SERVER: [&str; 5] =
    ["encrypt", "integratedsecurity", "trustedconnection", "multipleactiveresultsets", "initialcatalog"];

fn normalized(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, ' ' | '_' | '-' | '\t')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether it is a key of such strings.
pub(super) fn is_key(text: &str) -> bool {
    let key = normalized(text);
    KEYS.iter().any(|(known, _)| *known == key) || MARKS.split(' ').any(|mark| mark == key)
}

/// Another server that such a string may be for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) scheme: &'static str,
    pub(crate) hosts: String,
    pub(crate) password: Option<String>,
}

/// The server that a string is for which is not Postgres.
///
/// # Errors
///
/// It is for none that is known.
pub(crate) fn server(text: &str) -> Result<Option<Server>, String> {
    let is_mysql = text.trim_start().starts_with("mysql:");
    let pairs = pairs(super::strip_pdo(text.trim_start()).unwrap_or(text))?;
    let value = |names: &[&str]| {
        pairs.iter().rev().find(|(key, _)| names.contains(&key.as_str())).map(|(_, value)| value.as_str())
    };
    let libpq = |name: &str| {
        let names: Vec<&str> = KEYS.iter().filter(|(_, libpq)| *libpq == name).map(|(key, _)| *key).collect();
        value(&names)
    };
    if ["endpoint", "accountendpoint", "defaultendpointsprotocol", "instrumentationkey"]
        .iter()
        .any(|key| value(&[key]).is_some())
    {
        return Err("it is a connection string of a cloud's service: write HOST:PORT or https://HOST".to_owned());
    }
    let driver = value(&["driver", "provider"]).unwrap_or_default().to_ascii_lowercase();
    let host = libpq("host").unwrap_or_default();
    let port = libpq("port");
    let has = |names: &[&str]| names.iter().any(|name| value(&[name]).is_some());
    let scheme = if is_mysql || driver.contains("mysql") || driver.contains("maria") || port == Some("3306") {
        "mysql"
    } else if driver.contains("sql server")
        || driver.contains("sqlncli")
        || driver.contains("msoledb")
        || host.starts_with("tcp:")
        || host.rsplit_once(',').is_some_and(|(_, port)| url::parse_port(port).is_ok())
        || port == Some("1433")
        // SQL Server's strings have no key for the port.
        || port.is_none() && has(&SQL_SERVER)
            && !has(&["sslmode"])
    {
        "mssql"
    } else if has(&["virtualhost"]) {
        "amqp"
    } else {
        return Ok(None);
    };
    // SQL Server: `tcp:host,port` and `host\instance`.
    let host = host.strip_prefix("tcp:").unwrap_or(host);
    let (host, port) = host.split_once(',').map_or((host, port), |(host, port)| (host, Some(port)));
    let host = match host.split('\\').next().unwrap_or_default() {
        "" | "." | "(local)" => "localhost",
        host => host,
    };
    let hosts = port.map_or(host.to_owned(), |port| format!("{host}:{port}"));
    Ok(Some(Server { scheme, hosts, password: libpq("password").map(str::to_owned) }))
}

/// Reads a string for Postgres.
pub(super) fn read(text: &str, settings: &mut Settings, ignored: &mut Ignored) -> Result<(), String> {
    for (key, value) in pairs(super::strip_pdo(text.trim_start()).unwrap_or(text))? {
        let known = KEYS.iter().find(|(known, _)| *known == key);
        let Some((_, libpq)) = known else {
            ignored.add(&key);
            continue;
        };
        let value = match *libpq {
            "sslmode" => match normalized(&value).as_str() {
                "verifyca" => "verify-ca".to_owned(),
                "verifyfull" => "verify-full".to_owned(),
                other => other.to_owned(),
            },
            "channel_binding" | "target_session_attrs" | "sslnegotiation" => value.to_ascii_lowercase(),
            // ODBC has it in braces.
            _ => value,
        };
        settings.set_parameter(libpq, value.into_bytes(), ignored)?;
    }
    Ok(())
}

/// The pairs, with keys in small letters and without blanks. A value may stand in `"` or `'`, doubled within, or
/// in ODBC's braces.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t', '\n', '\r']);
        if rest.is_empty() {
            return Ok(pairs);
        }
        let (key, after) = rest.split_once('=').ok_or("one of its parts is no `Key=Value`")?;
        let after = after.trim_start();
        let (value, tail) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(&after[1..], quote)?,
            Some('{') => quoted(&after[1..], '}')?,
            _ => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim_end().to_owned(), &after[end..])
            }
        };
        if key.contains(';') || !tail.trim_start().is_empty() && !tail.trim_start().starts_with(';') {
            return Err("one of its parts is no `Key=Value`".to_owned());
        }
        pairs.push((normalized(key), value));
        rest = tail;
    }
}

/// Up to the closing quote, which stands for itself where it is doubled.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once(quote).ok_or("a quote in it is not closed")?;
        value.push_str(before);
        match after.strip_prefix(quote) {
            Some(after) => {
                value.push(quote);
                rest = after;
            }
            None => return Ok((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_ado_net_reads_them() {
        let pairs = |text: &str| pairs(text).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs("Host=db; User Id = u ;"), [pair("host", "db"), pair("userid", "u")]);
        assert_eq!(pairs(r#"Password="a;""b";x=1"#), [pair("password", "a;\"b"), pair("x", "1")]);
        assert_eq!(pairs(r#"Password="a;b";Host=db"#), [pair("password", "a;b"), pair("host", "db")]);
        assert_eq!(pairs("PWD={a;b};Host=db"), [pair("pwd", "a;b"), pair("host", "db")]);
        assert_eq!(pairs("Password=a=b;"), [pair("password", "a=b")]);
    }

    #[test]
    fn strings_for_other_servers_are_told_by_their_marks() {
        let found = |text: &str| server(text).unwrap().map(|server| (server.scheme, server.hosts));
        for (text, expected) in [
            (
                "Server=tcp:x.database.windows.net,1433;Initial Catalog=a;User ID=u",
                ("mssql", "x.database.windows.net:1433"),
            ),
            ("Server=db\\SQLEXPRESS;Database=a;Trusted_Connection=True", ("mssql", "db")),
            ("Server=db;Port=3306;Uid=u;Pwd=p", ("mysql", "db:3306")),
            ("mysql:host=db;dbname=a", ("mysql", "db")),
            ("host=rabbit;virtualHost=/;username=u;password=p", ("amqp", "rabbit")),
        ] {
            assert_eq!(found(text), Some((expected.0, expected.1.to_owned())), "{text}");
        }
        assert_eq!(found("Server=127.0.0.1;Port=5432;Database=d;User Id=u;Password=p;"), None);
        assert_eq!(
            found("Host=h;Database=d;Username=u;Password=p;SSL Mode=Require;Trust Server Certificate=true"),
            None
        );
        assert!(server("Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=b").is_err());
    }
}
