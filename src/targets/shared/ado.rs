//! `Key=Value;Key=Value`: the connection strings of ADO.NET's providers, ODBC and PDO, and which server one is for.
//!
//! Their keys are nearly the same for all servers. What decides is a word that one provider alone has; where there is
//! none, the string is refused with what to add, for a password must not go to another kind of server.

use crate::targets::shared::url;

/// The server that a string is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Npgsql, psqlODBC, PDO's `pgsql:`.
    Postgres,
    /// `MySqlConnector`, Connector/NET, Connector/ODBC, PDO's `mysql:`.
    Mysql,
    /// `SqlClient`.
    SqlServer,
    /// `EasyNetQ`.
    RabbitMq,
}

/// Keys in small letters without blanks, and their values.
pub(crate) type Pairs = Vec<(String, String)>;

/// Keys for a host.
pub(crate) const HOST: &[&str] =
    &["host", "server", "servername", "hostname", "datasource", "addr", "address", "networkaddress"];
/// Keys for a port.
pub(crate) const PORT: &[&str] = &["port"];
/// Keys for a database.
pub(crate) const DATABASE: &[&str] = &["database", "db", "dbname", "initialcatalog", "location"];
/// Keys for a user.
pub(crate) const USER: &[&str] = &["username", "user", "userid", "uid"];
/// Keys for a password.
pub(crate) const PASSWORD: &[&str] = &["password", "pwd", "psw", "pass"];

/// Other keys that such strings have.
const OTHERS: &[&str] = &[
    "sslmode",
    "rootcertificate",
    "sslrootcert",
    "sslcertificate",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "channelbinding",
    "requireauth",
    "targetsessionattributes",
    "timeout",
    "applicationname",
    "options",
    "passfile",
    "driver",
    "provider",
    "pooling",
    "persistsecurityinfo",
    "unixsocket",
    "protocol",
    "connectiontimeout",
    "endpoint",
    "accountendpoint",
    "defaultendpointsprotocol",
    "instrumentationkey",
    "hostingkey",
    "sharedaccesskey",
    "sharedaccesskeyname",
    "accountkey",
    "accountname",
];

/// Keys of MySQL's providers alone.
const MYSQL: &[&str] = &[
    "allowpublickeyretrieval",
    "allowuservariables",
    "allowzerodatetime",
    "convertzerodatetime",
    "charset",
    "characterset",
    "treattinyasboolean",
    "useaffectedrows",
    "guidformat",
    "oldguids",
    "serverrsapublickeyfile",
    "usecompression",
    "allowloadlocalinfile",
    "cacertificatefile",
    "defaultcommandtimeout",
    "sslca",
    "tlsversion",
    "connectionprotocol",
    "connectionreset",
    "datetimekind",
    "interactivesession",
    "loadbalance",
    "nobackslashescapes",
    "serverredirectionmode",
    "usexatransactions",
];
/// Values of `SslMode` that MySQL's providers alone have.
const MYSQL_SSL_MODES: [&str; 5] = ["none", "disabled", "preferred", "required", "verifyidentity"];

/// Keys of SQL Server's providers alone.
const SQL_SERVER: &[&str] = &[
    "initialcatalog",
    "datasource",
    "trustedconnection",
    "multipleactiveresultsets",
    "multisubnetfailover",
    "applicationintent",
    "columnencryptionsetting",
    "hostnameincertificate",
    "servercertificate",
    "connectretrycount",
    "failoverpartner",
];
/// Keys of SQL Server's that Npgsql has, or had, too: without a port they are SQL Server's.
const SQL_SERVER_TOO: &[&str] = &["trustservercertificate", "encrypt", "integratedsecurity"];

/// Keys of Npgsql alone.
const POSTGRES: &[&str] = &[
    "host",
    "username",
    "searchpath",
    "includeerrordetail",
    "servercompatibilitymode",
    "targetsessionattributes",
    "rootcertificate",
    "passfile",
    "channelbinding",
    "sslnegotiation",
    "gssencryptionmode",
    "noresetonclose",
    "maxautoprepare",
    "writecoalescingbufferthresholdbytes",
    "loadbalancehosts",
    "multiplexing",
    "timezone",
    "autoprepareminusages",
    "clientencoding",
    "connectionidlelifetime",
    "connectionpruninginterval",
    "internalcommandtimeout",
    "kerberosservicename",
    "logparameters",
    "tcpkeepalive",
];
/// Values of `SSL Mode` that Npgsql alone has.
const POSTGRES_SSL_MODES: [&str; 4] = ["disable", "allow", "prefer", "require"];

/// What drivers and providers have in their names, or in those of their files.
#[rustfmt::skip]
const DRIVERS: [(&str, For); 17] = [
    ("mysql", For::Mysql), ("maria", For::Mysql), ("myodbc", For::Mysql), ("maodbc", For::Mysql),
    ("postgres", For::Postgres), ("psqlodbc", For::Postgres), ("pgsql", For::Postgres), ("npgsql", For::Postgres),
    ("sql server", For::SqlServer), ("msodbcsql", For::SqlServer), ("sqlncli", For::SqlServer),
    ("msoledb", For::SqlServer), ("sqloledb", For::SqlServer), ("sqlclient", For::SqlServer), ("tds", For::SqlServer),
    ("sqlserver", For::SqlServer), ("mssql", For::SqlServer),
];

/// Keys of `EasyNetQ` alone.
const RABBIT_MQ: &[&str] = &["virtualhost", "publisherconfirms", "requestedheartbeat", "prefetchcount"];

/// Whether it is a key of such strings.
pub(crate) fn is_key(text: &str) -> bool {
    let key = normalized(text);
    [HOST, PORT, DATABASE, USER, PASSWORD, OTHERS, MYSQL, SQL_SERVER, SQL_SERVER_TOO, POSTGRES, RABBIT_MQ]
        .iter()
        .any(|keys| keys.contains(&key.as_str()))
}

/// Reads a string, and finds the server that it is for.
///
/// # Errors
///
/// The text is no such string, is for a cloud's service, or nothing in it tells the server.
pub(crate) fn read(text: &str) -> Result<(For, Pairs), String> {
    let text = text.trim_start();
    let (pdo, text) = strip_pdo(text).map_or((None, text), |(server, rest)| (Some(server), rest));
    let pairs = pairs(text)?;
    let clouds = ["endpoint", "accountendpoint", "defaultendpointsprotocol", "instrumentationkey"];
    if has(&pairs, &clouds) {
        return Err("it is a connection string of a cloud's service: write HOST:PORT or https://HOST".to_owned());
    }
    match pdo.map_or_else(|| decide(&pairs), Some) {
        Some(server) => Ok((server, pairs)),
        None if !driver(&pairs).is_empty() => {
            Err("its driver is none of PostgreSQL, MySQL, MariaDB or SQL Server: write it as a URL".to_owned())
        }
        None => Err("nothing in it says which server it is for: add Port=5432 for Postgres, Port=3306 for MySQL, or \
                     `,1433` to the host for SQL Server; or write it as a URL"
            .to_owned()),
    }
}

/// Takes PDO's `pgsql:` off, or Perl's `dbi:Pg:`, which pairs follow.
pub(crate) fn strip_pdo(text: &str) -> Option<(For, &str)> {
    let drivers = [
        ("pgsql:", For::Postgres),
        ("mysql:", For::Mysql),
        ("sqlsrv:", For::SqlServer),
        // Perl's.
        ("dbi:Pg:", For::Postgres),
        ("DBI:Pg:", For::Postgres),
        ("dbi:mysql:", For::Mysql),
        ("DBI:mysql:", For::Mysql),
    ];
    let (server, rest) = drivers.iter().find_map(|(name, server)| Some((*server, text.strip_prefix(name)?)))?;
    (!rest.starts_with("//") && rest.contains('=')).then_some((server, rest))
}

/// The value of the last of the pairs that has one of these keys.
pub(crate) fn value<'a>(pairs: &'a Pairs, keys: &[&str]) -> Option<&'a str> {
    pairs.iter().rev().find(|(key, _)| keys.contains(&key.as_str())).map(|(_, value)| value.as_str())
}

fn has(pairs: &Pairs, keys: &[&str]) -> bool {
    value(pairs, keys).is_some()
}

fn driver(pairs: &Pairs) -> String {
    value(pairs, &["driver", "provider"]).unwrap_or_default().to_ascii_lowercase()
}

/// The server that the words of a string are for. The driver and the port say most, then the keys of one alone.
fn decide(pairs: &Pairs) -> Option<For> {
    let driver = driver(pairs);
    let host = value(pairs, HOST).unwrap_or_default();
    let port = value(pairs, PORT);
    let ssl_mode = value(pairs, &["sslmode"]).map(normalized).unwrap_or_default();
    let host_is_sql_servers = host.starts_with("tcp:")
        || host.contains('\\')
        || matches!(host, "." | "(local)")
        || host.rsplit_once(',').is_some_and(|(_, port)| url::parse_port(port.trim()).is_ok());
    if !driver.is_empty() {
        // One that is not known is for another server, whatever else the string says.
        return DRIVERS.iter().find(|(name, _)| driver.contains(name)).map(|(_, server)| *server);
    }
    if port == Some("3306") {
        return Some(For::Mysql);
    }
    if port == Some("1433") || host_is_sql_servers {
        return Some(For::SqlServer);
    }
    if port == Some("5432") {
        return Some(For::Postgres);
    }
    if has(pairs, RABBIT_MQ) || host.ends_with(":5672") {
        return Some(For::RabbitMq);
    }
    let is_socket = host.contains(".sock") || value(pairs, &["protocol"]).map(normalized).as_deref() == Some("unix");
    if has(pairs, MYSQL) || is_socket || MYSQL_SSL_MODES.contains(&ssl_mode.as_str()) {
        return Some(For::Mysql);
    }
    if has(pairs, SQL_SERVER) {
        return Some(For::SqlServer);
    }
    if has(pairs, POSTGRES) || POSTGRES_SSL_MODES.contains(&ssl_mode.as_str()) {
        return Some(For::Postgres);
    }
    // SQL Server's strings have no key for the port; an old Npgsql had these two besides.
    has(pairs, SQL_SERVER_TOO).then_some(if port.is_some() { For::Postgres } else { For::SqlServer })
}

/// A key or a word as it is compared: in small letters, without blanks, `_` and `-`.
pub(crate) fn normalized(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, ' ' | '_' | '-' | '\t')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The pairs, with keys in small letters and without blanks. A value may stand in `"` or `'`, doubled within, or
/// in ODBC's braces.
pub(crate) fn pairs(text: &str) -> Result<Pairs, String> {
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
    fn a_string_is_for_the_server_whose_words_it_has() {
        for (text, expected) in [
            ("Host=h;Database=d;Username=u;Password=p", For::Postgres),
            ("Server=127.0.0.1;Port=5432;Database=d;User Id=u;Password=p;", For::Postgres),
            ("Host=h;Username=u;SSL Mode=Require;Trust Server Certificate=true", For::Postgres),
            (
                "User ID=u;Password=p;Server=h;Port=5433;Database=d;Integrated Security=false;Pooling=true;",
                For::Postgres,
            ),
            ("Driver={PostgreSQL Unicode};Server=h;Database=d;Uid=u;Pwd=p;", For::Postgres),
            ("Server=h;Database=d;User Id=u;Password=p;Search Path=app", For::Postgres),
            ("Server=h;Database=d;User Id=u;Password=p;Include Error Detail=true", For::Postgres),
            ("Server=h;Database=d;User Id=u;Password=p;SSL Mode=Prefer", For::Postgres),
            ("pgsql:host=h;dbname=d", For::Postgres),
            ("Server=db;Port=3306;Uid=u;Pwd=p", For::Mysql),
            ("Server=db;Database=app;Uid=app;Pwd=pw;SslMode=None", For::Mysql),
            ("Server=db;Database=app;Uid=app;Pwd=pw;SslMode=Required", For::Mysql),
            ("Server=db;Database=app;User=app;Password=pw;AllowPublicKeyRetrieval=true", For::Mysql),
            ("Server=db;Database=app;Uid=app;Pwd=pw;CharSet=utf8mb4", For::Mysql),
            ("Server=db;Database=app;Uid=app;Pwd=pw;Allow User Variables=True", For::Mysql),
            ("Server=db;Database=app;Uid=app;Pwd=pw;Convert Zero Datetime=True", For::Mysql),
            ("Host=db;Port=3306;Username=u;Password=p", For::Mysql),
            ("mysql:host=db;dbname=a", For::Mysql),
            ("Server=tcp:x.database.windows.net,1433;Initial Catalog=a;User ID=u", For::SqlServer),
            ("Server=db\\SQLEXPRESS;Database=a;Trusted_Connection=True", For::SqlServer),
            ("Server=db;Database=a;User Id=sa;Password=p;TrustServerCertificate=true", For::SqlServer),
            ("Data Source=db;User Id=sa;Password=p", For::SqlServer),
            ("Server=db;Database=a;User Id=sa;Password=p;Encrypt=False", For::SqlServer),
            ("Server=db;Database=a;User Id=sa;Password=p;MultipleActiveResultSets=true", For::SqlServer),
            ("Server=.;Database=a;User Id=sa;Password=p", For::SqlServer),
            ("host=rabbit;virtualHost=/;username=u;password=p", For::RabbitMq),
            ("host=rabbit:5672;username=u;password=p", For::RabbitMq),
            ("host=rabbit;username=u;password=p;publisherConfirms=true", For::RabbitMq),
            ("Server=db;Database=app;Uid=app;Pwd=pw;SslMode=VerifyFull;SslCa=/ca.pem", For::Mysql),
            ("Server=/tmp/mysql.sock;Database=app;Uid=app;Pwd=pw", For::Mysql),
            ("Server=/tmp/mysql;Database=app;Uid=app;Pwd=pw;Protocol=unix", For::Mysql),
            ("Server=db;Database=app;Uid=app;Pwd=pw;Load Balance=RoundRobin", For::Mysql),
            ("Server=db;Database=a;User Id=u;Password=p;Tcp Keepalive=true", For::Postgres),
            ("Server=db;Database=a;User Id=u;Password=p;Multiplexing=true", For::Postgres),
            ("Server=db;Database=a;User Id=sa;Password=p;ConnectRetryCount=3", For::SqlServer),
            ("sqlsrv:Server=db,1433;Database=app", For::SqlServer),
            ("dbi:Pg:dbname=app;host=db", For::Postgres),
            ("DBI:mysql:database=app;host=db", For::Mysql),
            ("Driver=/opt/lib/libmsodbcsql-18.so;Server=db;Database=app;UID=u;PWD=p", For::SqlServer),
            ("Driver={FreeTDS};Server=db;Database=app;UID=u;PWD=p", For::SqlServer),
            ("Driver=/usr/lib/libmaodbc.so;Server=db;Database=app;UID=u;PWD=p", For::Mysql),
        ] {
            assert_eq!(read(text).map(|(server, _)| server), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_says_nothing_of_its_server_is_refused() {
        for text in ["Server=db;Database=app;Uid=app;Pwd=pw", "Server=db;Port=4000;Database=app;User Id=u;Password=p"] {
            let error = read(text).unwrap_err();
            assert!(["Port=5432", "Port=3306", "1433"].iter().all(|hint| error.contains(hint)), "{error}");
        }
        // What a driver that is not known leads to, no further word can say.
        for text in [
            "Driver={ClickHouse ODBC Driver};Host=ch;Port=8123;Database=d;Uid=u;Pwd=p",
            "Driver={Amazon Redshift};Host=r;Database=d;Uid=u;Pwd=p;SSL Mode=Require",
            "Provider=OraOLEDB.Oracle;Data Source=orcl;User Id=u;Password=p",
        ] {
            assert!(read(text).unwrap_err().contains("its driver"), "{text}");
        }
        assert!(read("Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=b").is_err());
    }
}
