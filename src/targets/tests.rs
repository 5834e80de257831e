use std::ffi::OsString;
use std::time::Duration;

use proptest::prelude::*;

use crate::net::tls_settings::{CertificateCheck, Encryption, TlsVersion};
use crate::targets::shared::lookup::Lookup;
use crate::targets::*;

fn env(name: &str) -> Option<OsString> {
    let value = match name {
        "PASSWORD" => "p@s/s:%#?&=",
        "URL" => "postgres://me:hunter2secret@db/app",
        "BAD_URL" => "postgres://me:hunter2secret@db:99999/app",
        "SLASH_URL" => "postgres://me:hunter2secret/x@db/app",
        "HASH_URL" => "postgres://me:hunter2secret#x@db/app",
        "EMPTY" => "",
        "HOST" => "db",
        _ => return None,
    };
    Some(value.into())
}

fn parse_in(env: &dyn Fn(&str) -> Option<OsString>, word: &str) -> Result<Target, TargetError> {
    let file = |path: &str| match path {
        "/run/secrets/pw" => Ok(b"from file\n".to_vec()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let http = HttpDefaults::default();
    Target::parse(word, &Surroundings { lookup: Lookup { env, file: &file }, http: &http })
}

fn parse(word: &str) -> Result<Target, TargetError> {
    parse_in(&env, word)
}

fn postgres(word: &str) -> Postgres {
    parse(word).unwrap().as_kind::<Postgres>().cloned().unwrap_or_else(|| panic!("{word}"))
}

fn http(word: &str) -> Http {
    parse(word).unwrap().as_kind::<Http>().cloned().unwrap_or_else(|| panic!("{word}"))
}

fn redis(word: &str) -> Redis {
    parse(word).unwrap().as_kind::<Redis>().cloned().unwrap_or_else(|| panic!("{word}"))
}

/// Each valid target with what it is shown as.
const VALID: &[(&str, &str)] = &[
    // MySQL.
    ("app:hunter2secret@tcp(db:3306)/app?parseTime=true", "mysql://app@db:3306/app"),
    ("app:p@ss/w:rd@tcp(db)/app", "mysql://app@db:3306/app"),
    ("app:hunter2secret@unix(/run/s.sock)/app", "mysql://app@/run/s.sock/app"),
    ("mysql:host=db;dbname=app", "mysql://db:3306/app"),
    ("Server=db;Database=app;Uid=app;Pwd=hunter2secret;SslMode=None", "mysql://app@db:3306/app"),
    ("jdbc:mysql://address=(host=db)(port=3307)/app", "mysql://db:3307/app"),
    ("mysql://u:hunter2secret@(host=db,port=3307)/app", "mysql://u@db:3307/app"),
    ("mysql://u:p@localhost:/run/m/s.sock/app", "mysql://u@/run/m/s.sock/app"),
    ("mysql+unix://u:hunter2secret@/run/s.sock?database=app", "mysql://u@/run/s.sock/app"),
    ("tidb://u:p@db/app", "tidb://u@db:4000/app"),
    // Others' sockets and lists.
    ("memcached+unix:///run/m.sock", "memcached:///run/m.sock"),
    ("grpc+unix:///run/csi.sock", "grpc:///run/csi.sock"),
    ("nats://a:4222,nats://b:4222", "nats://a:4222,nats://b:4222"),
    ("amqp://u:p@a//;amqp://u:q@b", "amqp://u@a:5672,amqp://u@b:5672"),
    ("postgres://u:p@queue/a@catalogue", "postgres://u@queue:5432/…"),
    ("postgres:///d?host=A&port=1&host=B&port=2", "postgres://postgres@B:2/d"),
    ("postgres://h:5/d?host=A&host=B", "postgres://postgres@B:5/d"),
    ("postgres://h:5/d?host=::1", "postgres://postgres@[::1]:5/d"),
    ("Server=db;User Id=sa;Password=hunter2secret;TrustServerCertificate=true", "mssql://db:1433"),
    // TCP.
    ("db:5432", "tcp://db:5432"),
    ("db1:5432", "tcp://db1:5432"),
    ("my_service:80", "tcp://my_service:80"),
    ("a-b.c.svc.cluster.local:1", "tcp://a-b.c.svc.cluster.local:1"),
    ("example.com.:443", "tcp://example.com.:443"),
    ("127.0.0.1:65535", "tcp://127.0.0.1:65535"),
    ("localhost:1", "tcp://localhost:1"),
    ("[::1]:5432", "tcp://[::1]:5432"),
    ("[fe80::1%eth0]:1", "tcp://[fe80::1%eth0]:1"),
    ("[::ffff:127.0.0.1]:1", "tcp://[::ffff:127.0.0.1]:1"),
    ("tcp://db:5432", "tcp://db:5432"),
    ("TCP://db:5432", "tcp://db:5432"),
    ("tcp://db:5432/", "tcp://db:5432"),
    ("tcp://[::1]:5432", "tcp://[::1]:5432"),
    ("name=db:5432", "tcp://db:5432"),
    ("my-name.2_x=db:5432", "tcp://db:5432"),
    ("db:5432#timeout=5s", "tcp://db:5432"),
    ("db:5432#timeout=none&successes=3", "tcp://db:5432"),
    ("db:5432#", "tcp://db:5432"),
    ("${HOST}:5432", "tcp://db:5432"),
    ("${NOPE:-other}:5432", "tcp://other:5432"),
    ("${EMPTY:-other}:5432", "tcp://other:5432"),
    ("n=${HOST}:5432", "tcp://db:5432"),
    // Unix sockets.
    ("unix:///run/app.sock", "unix:///run/app.sock"),
    ("unix:///run/a%20b.sock", "unix:///run/a b.sock"),
    ("unix:///run/app.sock#successes=2", "unix:///run/app.sock"),
    // HTTP.
    ("http://backend", "http://backend"),
    ("http://backend/", "http://backend"),
    ("http://backend:8000/health", "http://backend:8000/health"),
    ("https://backend/health", "https://backend/health"),
    ("HTTP://backend/x", "http://backend/x"),
    ("http://[::1]:8000/x", "http://[::1]:8000/x"),
    ("http://my_service:8000/x", "http://my_service:8000/x"),
    ("http://h/a?token=hunter2secret", "http://h/a?…"),
    ("http://h?token=hunter2secret", "http://h?…"),
    ("http://user:hunter2secret@h/a", "http://h/a"),
    ("http://hunter2secret@h/a", "http://h/a"),
    ("http://h/@scope/pkg", "http://h/@scope/pkg"),
    ("http://user:1234/hunter2secret@h/", "http://user:1234/…"),
    ("postgres://u@localhost:1/db?host=/tmp/pg", "postgres://u@/tmp/pg/.s.PGSQL.1/db"),
    ("postgres://u@127.0.0.1/db?port=5999", "postgres://u@127.0.0.1:5999/db"),
    ("postgres://db/app?sslrootcert=system", "postgres://postgres@db:5432/app"),
    ("jdbc:postgresql://db/app?targetServerType=secondary", "postgres://postgres@db:5432/app"),
    ("postgres://db/app?sslmode=no-verify", "postgres://postgres@db:5432/app"),
    ("http://h/é", "http://h/é"),
    ("http://h/a%20b", "http://h/a%20b"),
    ("http://h/#status=200", "http://h"),
    ("http://h/#status=200,204,300-399", "http://h"),
    ("http://h/#status=503", "http://h"),
    ("http://h/#method=HEAD", "http://h"),
    ("http://h/#method=POST", "http://h"),
    ("http://h/#method=PURGE", "http://h"),
    ("http://h/#header=X-Token:hunter2secret", "http://h"),
    ("http://h/#header=A:1&header=B:2", "http://h"),
    ("http://h/#header=Host:other", "http://h"),
    ("http://h/#body=ok", "http://h"),
    ("http://h/#body=a%26b", "http://h"),
    ("http://h/#json=/status", "http://h"),
    ("http://h/#json=/status=ok", "http://h"),
    ("http://h/#json=/a=b=c", "http://h"),
    ("http://h/#json=/a!", "http://h"),
    ("http://h/#json=/a%21=%3Db", "http://h"),
    ("http://h/#timeout=10&status=200", "http://h"),
    ("api=http://${HOST}:80/$$x", "http://db:80/$x"),
    ("http://h/#header=Authorization:Bearer ${PASSWORD}", "http://h"),
    // Postgres.
    ("postgres://db", "postgres://postgres@db:5432"),
    ("postgres://", "postgres://postgres@/var/run/postgresql/.s.PGSQL.5432"),
    ("postgres://db/app", "postgres://postgres@db:5432/app"),
    ("postgresql://db/app", "postgres://postgres@db:5432/app"),
    ("postgres://me@db/app", "postgres://me@db:5432/app"),
    ("postgres://me:hunter2secret@db/app", "postgres://me@db:5432/app"),
    ("postgres://me:hunter2secret@db:5433/app", "postgres://me@db:5433/app"),
    ("postgres://me:a@hunter2secret@db/app", "postgres://me@db:5432/app"),
    ("postgres://me:p%40ss@db/app", "postgres://me@db:5432/app"),
    ("postgres://me:${PASSWORD}@${HOST}/app", "postgres://me@db:5432/app"),
    ("postgres://me:${file:/run/secrets/pw}@db/app", "postgres://me@db:5432/app"),
    ("${URL}", "postgres://me@db:5432/app"),
    ("db=${URL}", "postgres://me@db:5432/app"),
    ("postgres://h1:5432,h2:5433/app", "postgres://postgres@h1:5432,h2:5433/app"),
    ("postgres://h1,[::1]:5433/app", "postgres://postgres@h1:5432,[::1]:5433/app"),
    ("postgresql+asyncpg://me:x@db/app", "postgres://me@db:5432/app"),
    ("postgresql+psycopg2://me:x@db/app", "postgres://me@db:5432/app"),
    ("postgres+pg8000://db/app", "postgres://postgres@db:5432/app"),
    ("jdbc:postgresql://db/app?user=me&password=hunter2secret", "postgres://me@db:5432/app"),
    ("jdbc:postgresql://db:5433/app?ssl=true", "postgres://postgres@db:5433/app"),
    ("db=jdbc:postgresql://db/app?user=me&password=${PASSWORD}", "postgres://me@db:5432/app"),
    ("postgres://me:x@db/app?schema=public", "postgres://me@db:5432/app"),
    ("postgres://me:x@db/app?connection_limit=5&pool_timeout=2", "postgres://me@db:5432/app"),
    ("postgres:///app", "postgres://postgres@/var/run/postgresql/.s.PGSQL.5432/app"),
    ("postgres:///app?host=/tmp/pg", "postgres://postgres@/tmp/pg/.s.PGSQL.5432/app"),
    ("postgres:///app?host=/tmp/pg&port=5433", "postgres://postgres@/tmp/pg/.s.PGSQL.5433/app"),
    ("postgres:///app?host=a,b&port=1,2", "postgres://postgres@a:1,b:2/app"),
    ("postgres://%2Ftmp%2Fpg/app", "postgres://postgres@/tmp/pg/.s.PGSQL.5432/app"),
    ("postgres://me@%2Ftmp%2Fpg:5433/app", "postgres://me@/tmp/pg/.s.PGSQL.5433/app"),
    ("postgres://db/a%20b", "postgres://postgres@db:5432/a b"),
    ("postgres://db/app?sslmode=disable", "postgres://postgres@db:5432/app"),
    ("postgres://db/app?sslmode=prefer", "postgres://postgres@db:5432/app"),
    ("postgres://db/app?application_name=x", "postgres://postgres@db:5432/app"),
    ("postgres://db/app?connect_timeout=3", "postgres://postgres@db:5432/app"),
    ("postgres://a,b/app?target_session_attrs=read-write", "postgres://postgres@a:5432,b:5432/app"),
    ("postgres://db/app?target_session_attrs=standby", "postgres://postgres@db:5432/app"),
    ("postgres://db/app#query=select 1", "postgres://postgres@db:5432/app"),
    ("postgres://db/app#query=select%201%20from%20x%20where%20a%3D1", "postgres://postgres@db:5432/app"),
    ("postgres://db?dbname=app&user=me", "postgres://me@db:5432/app"),
    // Redis.
    ("redis://cache", "redis://cache:6379"),
    ("redis://cache:6380", "redis://cache:6380"),
    ("redis://cache/0", "redis://cache:6379"),
    ("redis://cache/2", "redis://cache:6379/2"),
    ("redis://:hunter2secret@cache/1", "redis://cache:6379/1"),
    ("redis://user:hunter2secret@cache/1", "redis://cache:6379/1"),
    ("redis://:${PASSWORD}@cache", "redis://cache:6379"),
    ("redis://cache?db=3", "redis://cache:6379/3"),
    ("redis://cache?password=hunter2secret", "redis://cache:6379"),
    ("redis://[::1]:6379", "redis://[::1]:6379"),
    ("rediss://cache", "rediss://cache:6379"),
    ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
    ("redis+unix:///run/redis.sock?db=2", "redis+unix:///run/redis.sock?db=2"),
    ("redis+unix://:hunter2secret@/run/redis.sock", "redis+unix:///run/redis.sock"),
    ("redis://cache#key=ready", "redis://cache:6379"),
    ("redis://cache#key=a=b", "redis://cache:6379"),
    ("redis://cache#role=master", "redis://cache:6379"),
    ("redis://cache#role=replica&timeout=5", "redis://cache:6379"),
    ("redis://cache#cluster", "redis://cache:6379"),
    // Files and names.
    ("file:///tmp/ready", "file:///tmp/ready"),
    ("file:///tmp/a%20b", "file:///tmp/a b"),
    ("file:///tmp/ready#nonempty", "file:///tmp/ready"),
    ("file://localhost/tmp/ready", "file:///tmp/ready"),
    ("dns://db", "dns://db"),
    ("dns://db/", "dns://db"),
    ("dns://a.b.c.#timeout=3", "dns://a.b.c."),
];

#[test]
fn valid_targets_are_shown_without_secrets() {
    for (word, shown) in VALID {
        let target = parse(word).unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_eq!(target.to_string(), *shown, "{word}");
        for text in [target.to_string(), target.label(), format!("{target:?}")] {
            for secret in ["hunter2secret", "p@s/s", "p%40s", "from file"] {
                assert!(!text.contains(secret), "{word}: {text}");
            }
        }
    }
}

/// Each invalid target with a part of what is said about it.
const INVALID: &[(&str, &str)] = &[
    ("redis://:pa?ss@h/0", "%3F"),
    ("http://u:pa/ss@h/", "%2F"),
    ("amqp://u:pa?ss@h/", "%3F"),
    ("mysql://(port=3307)/app", "not understood"),
    ("mysql://x=y/app", "not understood"),
    ("grpc+foo://h:1", "its scheme is not known"),
    ("http+foo://h:1", "its scheme is not known"),
    ("Server=db;Database=app;Uid=app;Pwd=hunter2secret", "Port=3306 for MySQL"),
    ("Server=(localdb)\\mssqllocaldb;Trusted_Connection=True", "Server=HOST,1433"),
    ("", "it is empty"),
    ("db", "it has no port; write db:PORT"),
    ("localhost", "localhost:PORT"),
    ("5432", "localhost:5432"),
    (":5432", "it has no host"),
    ("db:", "its port is empty"),
    ("db:0", "port is not in 1-65535"),
    ("db:65536", "port is not in 1-65535"),
    ("db:99999999999999999999", "is not in 1-65535"),
    ("db:http", "its port is not a number"),
    ("db:+80", "its port is not a number"),
    ("db:80x", "its port is not a number"),
    ("::1:5432", "in brackets"),
    ("fe80::1", "in brackets"),
    ("[::1]", "it has no port; write [::1]:PORT"),
    ("[::1:5432", "has no `]`"),
    ("[db]:5432", "not an IPv6 address"),
    ("[::1]5432", "after `]` comes `:PORT`"),
    ("d b:5432", "a blank stands in it"),
    ("db:5432 cache:6379", "a blank stands in it"),
    ("http://h/health status=200", "a blank stands in it"),
    ("db!:5432", "its host holds '!'"),
    ("$(DB):5432", "write a variable as ${NAME}"),
    ("http://$DB/", "write a variable as ${NAME}"),
    ("dé:5432", "xn--"),
    ("a..b:1", "empty label"),
    (".a:1", "empty label"),
    ("db:5432/x", "it is not HOST:PORT"),
    ("user@db:5432", "it is not HOST:PORT"),
    ("db:5432?x", "it is not HOST:PORT"),
    ("=db:5432", "its name before `=` is empty"),
    ("name=", "it has no host"),
    ("tcp://db", "it has no port"),
    ("tcp://db:5432/x", "nothing more"),
    ("tcp://u@db:5432", "nothing more"),
    ("tcp://db:5432?x=1", "nothing more"),
    ("tcp://", "it has no host"),
    ("tcp:/db:1", "write tcp://HOST"),
    ("htp://x", "did you mean http://?"),
    ("htttps://x", "did you mean https://?"),
    ("postgre://x", "did you mean postgres://?"),
    ("reddis://x", "did you mean redis"),
    ("hunter2://x", "scheme is not known"),
    ("nonsense://x:1", "tcp://x:1"),
    ("mongodb+srv://x:27017", "names one host and no port"),
    ("prisma://accelerate.prisma-data.net/?api_key=hunter2", "postgres://"),
    ("jdbc:tc:postgresql:15:///db", "Testcontainers"),
    ("sqlite:///db.sqlite3", "file:///"),
    ("unix://run/app.sock", "three slashes"),
    ("unix:///", "three slashes"),
    ("file://tmp/x", "three slashes"),
    ("file:///tmp/x#nonempty=yes", "takes no value"),
    ("file:///tmp/%zz", "two hexadecimal digits"),
    ("file:///tmp/%00", "NUL"),
    ("dns://", "it has no host"),
    ("dns://db:53", "without a port"),
    ("dns://a b", "its host holds ' '"),
    ("http://", "it has no host"),
    ("http:///x", "it has no host"),
    ("http://h:0/", "port is not in"),
    ("http://h:x/", "not a number"),
    ("http://h/#status=", "needs a value"),
    ("http://h/#status=abc", "not a status"),
    ("http://h/#status=200-100", "not a status"),
    ("http://h/#status=99", "not a status"),
    ("http://h/#status=600", "not a status"),
    ("http://h/#method=get it", "not a method"),
    ("http://h/#method=get", "not a method"),
    ("http://h/#header=nocolon", "`Name: value`"),
    ("http://h/#header=a b:c", "not a header's name"),
    ("http://h/#json=status", "begins with `/`"),
    ("http://h/#json=/status==ok", "a single `=`"),
    ("http://h/#json=/status!=failed", "a single `=`"),
    ("http://h/#fail-json=/status==failed", "like fail-json=/status=ok"),
    ("http://h/#method=HEAD&body=x", "has no body"),
    ("http://h/#nope=1", "what stands after `#` means nothing"),
    ("http://h/#query=x", "it knows timeout, attempt-timeout, successes, optional, status"),
    ("http://h/#timeout=x", "not a duration"),
    ("http://h/#timeout=10o", "try `10s`"),
    ("http://h/#successes=0", "at least 1"),
    ("http://h/#successes=-1", "at least 1"),
    ("http://h/#timeout=1&timeout=2", "given twice"),
    ("http://h/#status=200&status=201", "given twice"),
    ("http://h/#body=%ff", "not UTF-8"),
    ("http://h/#body=100%", "%25"),
    ("postgres://db:x/app", "not a number"),
    ("postgres://db:0/app", "port is not in"),
    ("postgres://me:hunter2secret/x@db/app", "%2F"),
    ("redis://:hunter2secret#x@db/app", "%23"),
    ("postgres://db/app?sslmode=hunter2", "the value of `sslmode` is not one of disable"),
    ("postgres://db/app?target_session_attrs=x", "not one of any"),
    ("postgres://db/app?connect_timeout=hunter2", "the value of `connect_timeout`"),
    ("postgres:///app?host=a,b&port=1,2,3", "2 hosts and 3 ports"),
    ("postgres://db/app#key=x", "it knows timeout, attempt-timeout, successes, optional, query"),
    ("postgres://db/app#query=", "needs a value"),
    ("postgres://d b/app", "a blank stands in it"),
    ("postgres://h1,,h2/app", "it has no host"),
    ("postgresql+://db/app", "not known"),
    ("jdbc:nonsense://db/app", "not known"),
    ("redis://cache/x", "database is not a number"),
    ("redis://cache/-1", "database is not a number"),
    ("redis://cache:x", "not a number"),
    ("redis://:hunter2secret/x@cache", "written %2F"),
    ("redis://cache#role=leader", "neither master nor replica"),
    ("redis://cache#query=x", "key, role, cluster"),
    ("redis://default:hunter2", "its port is not a number"),
    ("redis://default:123456789", "its port is not in 1-65535"),
    ("host=d!b user=a password=hunter2", "its host holds '!'"),
    ("host=db user=a hunter2", "keyword=value"),
    ("cache:6379;password=hunter2", "redis://:PASSWORD@cache:6379"),
    ("db:5432,redis:6379", "separate targets by spaces"),
    ("'postgres://u:hunter2@h/d'", "without the quotes"),
    ("//api:8000/health", "http://api:8000/"),
    ("api/health", "http://api/"),
    ("postgres:5432/app", "postgres://postgres:5432/"),
    ("postgres:app:hunter2@db/app", "postgres://HOST"),
    ("/run/redis.sock", "unix:///"),
    ("password=hunter2:x", "not a number"),
    ("TOKEN=hunter2", "write HOST:PORT"),
    ("postgres://u:1/a#hunter2@h/db", "what stands after `#`"),
    ("postgres://db/app?sslrootcert=system&sslmode=require", "verify-full"),
    ("postgres://db/app?sslcrl=/x", "not implemented"),
    ("postgres://db/app?gssencmode=require", "not implemented"),
    ("postgres:///app?requirepeer=postgres", "not implemented"),
    ("postgres://db/app#cert-key=/x", "goes with `cert`"),
    ("http://h/#insecure", "means nothing"),
    ("redis://cache#cluster=yes", "takes no value"),
    ("redis+unix://run/redis.sock", "redis+unix:///path"),
    ("redis+unix:///", "not absolute"),
    ("${NOPE}", "NOPE is not set"),
    ("db:${NOPE}", "NOPE is not set"),
    ("${EMPTY}", "it expands to nothing"),
    ("${HOST", "no closing"),
    ("${file:/nope}:1", "/nope cannot be read"),
    ("${a-b}", "no variable"),
    ("${}", "no variable"),
    ("${BAD_URL}", "port is not in"),
    ("${SLASH_URL}", "%2F"),
    ("redis${HASH_URL}", "not known"),
    ("db\u{7}:1", "control character"),
];

#[test]
fn invalid_targets_say_what_is_wrong_and_what_would_be_right() {
    let mut problems = Vec::new();
    for (word, expected) in INVALID {
        let error = match parse(word) {
            Ok(target) => format!("taken for {target:?}"),
            Err(error) => error.to_string(),
        };
        let is_right = error.contains(expected)
            && error.starts_with("target `")
            && !error.contains("hunter2")
            && !error.chars().any(char::is_control);
        if !is_right {
            problems.push(format!("{word}: {error:?} lacks {expected:?}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_tables_are_as_long_as_they_should_be() {
    assert!(VALID.len() + INVALID.len() >= 150, "{} and {}", VALID.len(), INVALID.len());
}

#[test]
fn passwords_hold_any_character() {
    assert_eq!(postgres("postgres://me:${PASSWORD}@db").password.unwrap().expose(), "p@s/s:%#?&=");
    assert_eq!(redis("redis://:${PASSWORD}@db").server.password.unwrap().expose(), "p@s/s:%#?&=");
    assert_eq!(postgres("jdbc:postgresql://db/x?password=${PASSWORD}").password.unwrap().expose(), "p@s/s:%#?&=");
    assert_eq!(postgres("postgres://me:a@b@db").password.unwrap().expose(), "a@b");
    assert_eq!(postgres("postgres://me:${file:/run/secrets/pw}@db").password.unwrap().expose(), "from file");
    let header = &http("http://h/#header=X:${PASSWORD}").headers[0];
    assert_eq!(header.value.expose(), "p@s/s:%#?&=");
}

#[test]
fn what_the_url_leaves_out_comes_from_libpqs_variables() {
    let env = |name: &str| {
        let value = match name {
            "PGHOST" => "pghost",
            "PGPORT" => "5999",
            "PGUSER" => "pguser",
            "PGPASSWORD" => "pgpassword",
            "PGDATABASE" => "pgdatabase",
            "PGSSLMODE" => "require",
            "PGPASSFILE" => "/x",
            "REDISCLI_AUTH" => "redispw",
            _ => return None,
        };
        Some(value.into())
    };
    let target = parse_in(&env, "postgres://").unwrap();
    assert_eq!(target.to_string(), "postgres://pguser@pghost:5999/pgdatabase");
    assert!((target.probe.tls_use() == Encryption::Always));
    let target = parse_in(&env, "postgres://me:pw@db:1/x?sslmode=disable").unwrap();
    assert_eq!(target.to_string(), "postgres://me@db:1/x");
    assert!(!(target.probe.tls_use() == Encryption::Always));
    let target = parse_in(&env, "redis://cache").unwrap();
    assert_eq!(target.probe.secrets()[0].expose(), "redispw");
}

#[test]
fn libpqs_old_words_for_tls_are_kept() {
    let with = |name: &'static str, word: &str| parse_in(&|asked| (asked == name).then(|| "1".into()), word).unwrap();
    for target in [
        with("PGREQUIRESSL", "postgres://db/x"),
        with("", "postgres://db/x?requiressl=1"),
        with("", "host=db requiressl=1"),
        with("", "jdbc:postgresql://db/x?user=app&sslmode=require"),
    ] {
        assert_eq!(target.probe.tls_use(), Encryption::Always, "{target}");
    }
    assert_eq!(with("PGREQUIRESSL", "postgres://db/x?sslmode=disable").probe.tls_use(), Encryption::Never);
}

#[test]
fn parameters_that_mean_nothing_are_noted() {
    assert_eq!(parse("postgres://db/x?schema=public&sslmode=disable").unwrap().ignored, ["schema"]);
    assert_eq!(parse("redis://db?max_connections=5&hunter2").unwrap().ignored, ["max_connections", "1 more"]);
}

#[test]
fn userinfo_is_sent_as_basic_credentials() {
    // RFC 7617, section 2.
    let header = &http("http://Aladdin:open%20sesame@h/").headers[0];
    assert_eq!((header.name.as_str(), header.value.expose()), ("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

#[test]
fn a_key_and_a_value_may_hold_an_equals_sign() {
    let redis = redis("redis://cache#key=a%3Db=c=d");
    assert_eq!((redis.key.as_deref(), redis.value.as_deref()), (Some("a=b"), Some("c=d")));
    let json = &http("http://h/#json=/a=b=c").json[0];
    assert_eq!((json.pointer.as_str(), json.value.as_deref()), ("/a", Some("b=c")));
}

proptest! {
    #[test]
    fn arbitrary_words_never_panic(word: String) {
        drop(parse(&word));
        redact_word(&word);
    }

    #[test]
    fn words_that_look_like_targets_never_panic(word in "(a=)?(postgres|redis|http|unix|file|dns|tcp)?(://)?[-a-z0-9@:/?#%\\[\\]${}=,&.]{0,40}") {
        drop(parse(&word));
    }

    #[test]
    fn no_error_shows_a_password(tail in "[-a-z0-9:/?%=,&.]{0,12}", scheme in "postgres|redis|http|htp") {
        if let Err(error) = parse(&format!("{scheme}://me:hunter2secret@{tail}")) {
            prop_assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn libpqs_order_is_query_then_authority_then_service_then_environment() {
    let env = |name: &str| {
        let value = match name {
            "PGUSER" => "env",
            "PGPASSWORD" => "envpw",
            "PGDATABASE" => "envdb",
            "PGPORT" => "77",
            "HOME" => "/home/x",
            _ => return None,
        };
        Some(value.into())
    };
    let file = |path: &str| match path {
        "/home/x/.pg_service.conf" => Ok(b"[s]\nhost=svc\nport=78\nuser=svcuser\npassword=svcpw\n".to_vec()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let http = HttpDefaults::default();
    let context = Surroundings { lookup: Lookup { env: &env, file: &file }, http: &http };
    for (word, expected, password) in [
        ("postgres://u:p@h:1/d?user=v&password=q&dbname=e&port=2&host=i", "postgres://v@i:2/e", "q"),
        ("postgres://u:p@h:1/d", "postgres://u@h:1/d", "p"),
        ("postgres://h", "postgres://env@h:77/envdb", "envpw"),
        ("postgres://a,b", "postgres://env@a:5432,b:5432/envdb", "envpw"),
        ("postgres:///?service=s", "postgres://svcuser@svc:78/envdb", "svcpw"),
        ("postgres://u@h/d?service=s", "postgres://u@h:78/d", "svcpw"),
        ("service=s", "postgres://svcuser@svc:78/envdb", "svcpw"),
        ("host=h user=u", "postgres://u@h:77/envdb", "envpw"),
    ] {
        let target = Target::parse(word, &context).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((target.to_string().as_str(), target.probe.secrets()[0].expose()), (expected, password), "{word}");
    }
    let error = Target::parse("postgres://h/?service=nope", &context).unwrap_err().to_string();
    assert!(error.contains(".pg_service.conf"), "{error}");
}

#[test]
fn prismas_ca_is_of_the_string_and_a_services_certificate_is_libpqs() {
    let env = |name: &str| (name == "HOME").then(|| OsString::from("/home/x"));
    let file = |path: &str| match path {
        "/home/x/.pg_service.conf" => Ok(b"[own]\nsslcert=/client.pem\n[root]\nsslrootcert=/other.pem\n".to_vec()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let context = Surroundings { lookup: Lookup { env: &env, file: &file }, http: &HttpDefaults::default() };
    for (word, ca, certificate) in [
        ("postgres://h/d?sslcert=/ca.pem&sslaccept=strict", Some("/ca.pem"), None),
        ("postgres://h/d?sslcert=/ca.pem&connection_limit=1", None, None),
        ("postgres://h/d?sslcert=/ca.pem&sslaccept=strict&service=root", Some("/ca.pem"), None),
        ("postgres://h/d?connection_limit=5&service=own", None, Some("/client.pem")),
    ] {
        let target = Target::parse(word, &context).unwrap_or_else(|error| panic!("{error}"));
        let target = target.as_kind::<Postgres>().unwrap();
        let text = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
        assert_eq!(
            (text(&target.sslrootcert).as_deref(), text(&target.sslcert).as_deref()),
            (ca, certificate),
            "{word}"
        );
    }
}

#[test]
fn a_bad_variable_matters_only_where_it_is_used() {
    let env = |name: &str| (name == "PGPORT").then(|| OsString::from("tcp://10.0.0.1:5432"));
    assert!(parse_in(&env, "postgres://h:1/d").is_ok() && parse_in(&env, "redis://h").is_ok());
    assert!(parse_in(&env, "jdbc:postgresql://h/d").is_ok() && parse_in(&env, "postgres://a,b/d").is_ok());
    let error = parse_in(&env, "postgres://h/d").unwrap_err().to_string();
    assert!(error.contains("PGPORT") && !error.contains("10.0.0.1"), "{error}");
}

#[test]
fn addresses_are_dialled_and_names_are_kept() {
    let hosts = postgres("postgres://db.internal/x?hostaddr=10.0.0.1").hosts;
    assert_eq!((hosts[0].name.as_str(), hosts[0].place.to_string().as_str()), ("db.internal", "10.0.0.1:5432"));
    let env = |name: &str| (name == "PGHOSTADDR").then(|| OsString::from("10.0.0.2,10.0.0.3"));
    assert_eq!(
        parse_in(&env, "postgres://a,b/x").unwrap().to_string(),
        "postgres://postgres@10.0.0.2:5432,10.0.0.3:5432/x"
    );
    assert!(parse("postgres://db/x?hostaddr=db").unwrap_err().to_string().contains("not an IP address"));
    assert!(parse("postgres://a,b/x?hostaddr=10.0.0.1").unwrap_err().to_string().contains("2 hosts"));
    for (text, expected) in [("0", None), ("-1", None), ("3", Some(3)), ("%203", Some(3))] {
        let timeout = postgres(&format!("postgres://h/d?connect_timeout={text}")).connect_timeout;
        assert_eq!(timeout.map(|timeout| timeout.as_secs()), expected, "{text}");
    }
}

#[test]
fn parameters_about_security_are_taken_or_refused() {
    use crate::targets::postgres::{AuthMethod, ChannelBinding, Negotiation};
    let target = postgres(
        "postgres://h/d?channel_binding=require&require_auth=!password,!md5&sslmode=require&sslnegotiation=direct\
         &sslsni=0&ssl_min_protocol_version=TLSv1.3&options=-c%20x%3D1#ca=/ca.pem&servername=db.example",
    );
    assert_eq!(target.channel_binding, ChannelBinding::Require);
    let others = [AuthMethod::Gss, AuthMethod::Sspi, AuthMethod::ScramSha256, AuthMethod::Oauth, AuthMethod::None];
    assert_eq!(target.require_auth.as_deref(), Some(&others[..]));
    assert_eq!((target.sslnegotiation, target.sslsni), (Negotiation::Direct, false));
    assert_eq!(target.ssl_min_protocol_version, Some(TlsVersion::V1_3));
    assert_eq!(target.options.as_deref(), Some("-c x=1"));
    assert_eq!(target.tls.server_name.as_deref(), Some("db.example"));
    for word in [
        "postgres://h/d?require_auth=md5,!password",
        "postgres://h/d?sslnegotiation=direct",
        "postgres://h/d?ssl_max_protocol_version=TLSv1.1",
        "postgres://h/d?sslcertmode=require",
        "postgres://h/d?scram_client_key=x",
        "rediss://h?ssl_validate_ocsp=true",
        "redis://h#insecure",
    ] {
        assert!(parse(word).is_err(), "{word}");
    }
    let tls = redis("rediss://h?ssl_cert_reqs=required&ssl_check_hostname=false&ssl_ca_certs=/ca#cert=/c&cert-key=/k")
        .server
        .tls;
    assert_eq!((tls.check, tls.ca.is_some(), tls.key.is_some()), (Some(CertificateCheck::Chain), true, true));
}

#[test]
fn every_kind_of_target_has_an_attempt_time_of_its_own() {
    for url in [
        "db:1",
        "unix:///s",
        "http://h/",
        "wss://h/",
        "postgres://db/x",
        "redis://r",
        "redis+sentinel://r/m",
        "mysql://h/d",
        "amqp://h",
        "mongodb://h",
        "kafka://h",
        "grpc://h:1",
        "memcached://h",
        "nats://h",
        "smtp://h",
        "tls://h:1",
        "ldap://h",
        "mqtt://h",
        "mongodb+srv://h",
        "file:///f",
        "dns://n",
        "exec:true ",
        "host=db dbname=x ",
    ] {
        let own = |value: &str| parse(&format!("{url}#attempt-timeout={value}")).map(|target| target.attempt_timeout);
        assert_eq!(own("90s"), Ok(Some(Duration::from_secs(90))), "{url}");
        for wrong in ["0", "x", "-1", ""] {
            assert!(own(wrong).unwrap_err().problem.contains("attempt-timeout"), "{url} {wrong:?}");
        }
    }
}
