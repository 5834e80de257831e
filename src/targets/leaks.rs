//! Nothing that is said about a word holds a secret, wherever in it the secret stands.

use std::ffi::OsString;

use crate::targets::scripted::{self, parse_in};
use crate::targets::shared::http_options::HttpDefaults;
use crate::targets::shared::lookup::Lookup;
use crate::targets::shared::target::Target;
use crate::targets::{Surroundings, redact_word};

/// What is planted; each has another shape, because a part that looks like a host, a port or a name is taken for one.
const SECRETS: [&str; 7] = [
    "hunter2secret",
    "98765",
    "hunter2/secret",
    "hunter2@secret",
    "hunter2#secret",
    "hunter2,secret=x;y",
    "dG9rZW4K==",
];

/// Words with `PW` where the secret stands. What is understood is no leak: a host, a port, a path, a user, a database.
const WORDS: &[&str] = &[
    "cache:6380,password=PW,ssl=True",
    "cache:6380,ssl=True,password=PW",
    "cache:6380,password=PW,nonsense",
    "Host=db;Username=u;Password=PW",
    "Password=PW;Host=db",
    "Host=db;Password=PW;nonsense",
    "Server=db;Port=x;Password=PW",
    "password=PW",
    "Password=PW",
    "TOKEN=PW",
    "redis://db,password=PW",
    "redis://cache/0&password=PW",
    "redis://cache:6379/0;password=PW",
    "redis://cache?db=PW",
    "redis://cache?ssl_cert_reqs=PW",
    "redis://cache?password=PW&db=x",
    "redis://cache?PW",
    "redis://default:PW",
    "redis://:PW",
    "redis://:PW@",
    "redis://:PW@d b",
    "redis://:PW@cache:x",
    "redis://cache#PW",
    "redis://cache#key=PW&role=PW",
    "redis://cache#role=PW",
    "redis+sentinel://:PW@h:x/m",
    "redis+unix://:PW@run/redis.sock",
    "unix://:PW@/run/redis.sock?db=x",
    "jdbc:sqlserver://db;user=sa;password=PW",
    "jdbc:sqlserver://d b;user=sa;password=PW",
    "jdbc:oracle:thin:u/PW@db:x",
    "jdbc:postgresql://db/x?user=u&password=PW&sslmode=no",
    "jdbc:postgresql://db/x?socketFactory=x&password=PW",
    "jdbc:nonsense:PW",
    "jdbc:mysql://db/x?password=PW&sslMode=PW",
    "pgsql:host=db;password=PW",
    "pgsql:host=d b;password=PW;x",
    "host=d!b user=u password=PW",
    "host=db password=PW sslmode=no",
    "host=db user=u PW",
    "user=app&password=PW&host=db",
    "user=app,password=PW",
    "host=db user=app&password=PW",
    "host=db dbname=x&password=PW",
    "user=app&token=PW",
    "host=db user=u PW=x sslmode=no",
    "host=db user=u password='PW",
    "postgres://u:PW@d b/x",
    "postgres://u:PW@db:x/x",
    "postgres://u:PW@db/x?sslmode=no",
    "postgres://db/x?sslmode=PW",
    "postgres://db/x?ssl=PW",
    "postgres://db/x?connect_timeout=PW",
    "postgres://db/x?target_session_attrs=PW",
    "postgres://db/x?channel_binding=PW",
    "postgres://db/x?require_auth=PW",
    "postgres://db/x?port=PW",
    "postgres://db/x?hostaddr=PW",
    "postgres://db/x?service=PW",
    "postgres://db/x?gssencmode=PW",
    "postgres://db/x?sslcrl=PW",
    "postgres://db/x?PW",
    "postgres://db/x?PW=1",
    "postgres://db/x?password=PW&PW",
    "postgres://db/x#query=select 'PW'&nope",
    "postgres://db/x#PW",
    "postgres://db/x#PW=1",
    "postgres://db/x#timeout=PW",
    "postgres://db/x#successes=PW",
    "postgres://u:PW",
    "postgres://u:PW@",
    "postgre://u:PW@db/x",
    "mysql://u:PW@d b/x",
    "mysql://u:PW@db:x/x",
    "mysql://db/x?ssl-mode=PW",
    "u:PW@tcp(db:x)/x",
    "amqp://u:PW@d b",
    "amqp://u:PW@a;amqp://u:PW@b:x",
    "mongodb://u:PW@a,b:x/db",
    "nonsense://u:PW@h",
    "nonsense://PW",
    "PW://h",
    "http://u:PW@h:x/",
    "http://h:PW/",
    "http://h/#method=PW",
    "http://h/#status=PW",
    "http://h/#header=PW",
    "http://h/#header=X Y:PW",
    "http://h/#json=PW",
    "http://h/#follow=PW",
    "http://h/#body=PW&nope=PW",
    "http://h/x;key=PW",
    "http://h/?t=PW#nope",
    "http://h/?PW",
    "tls://u:PW@h:1",
    "tls://h:PW",
    "tls://h:1#servername=PW!",
    "tcp://h:PW",
    "tcp://h:1?PW",
    "h:PW",
    "h:1/x?PW@",
    "h:6379;password=PW",
    "user:PW@h:5432",
    "postgres:u:PW@h/x",
    "dns://h:PW",
    "file://PW#nonempty=x",
    "\"postgres://u:PW@h/x\"",
    "'PW'",
    "prisma://h/?api_key=PW",
    "Endpoint=sb://h/;SharedAccessKey=PW",
    "AccountEndpoint=https://h:443/;AccountKey=PW;",
    "${NOPE:-PW",
    "${NOPE-PW}",
    "postgres://${NOPE}:PW@h",
    "redis://h:${NOPE:-PW}x",
    "x\u{7}PW",
];

fn said(word: &str, secret: &str) -> String {
    let env = |name: &str| (name == "PW").then(|| OsString::from(secret));
    let context = Surroundings { lookup: Lookup::without_files(&env), http: &HttpDefaults::default() };
    let of_target = |target: &Target| format!("{target} {} {:?} {:?}", target.label(), target.ignored, target.doubts);
    match Target::parse_list(word, &context) {
        Ok(targets) => targets.iter().map(of_target).collect(),
        Err(error) => format!("{error} {}", redact_word(word)),
    }
}

fn said_is_error(word: &str, secret: &str) -> bool {
    said(&word.replace("PW", secret), secret).starts_with("target `")
}

/// What was read as a host, a path or a name, as the user wrote it, is shown by intent.
fn is_shown_by_intent(word: &str, secret: &str) -> bool {
    // What follows the last `@` is the host to every client.
    if secret.contains('@') && !said_is_error(word, secret) {
        return true;
    }
    match word {
        "PW://h" => secret.contains(['/', '#']),
        "redis://cache?db=PW" => secret.parse::<u32>().is_ok(),
        "tcp://h:PW" | "h:PW" | "redis://:PW" | "postgres://u:PW" | "redis://default:PW" | "http://h:PW/"
        | "tls://h:PW" => secret.parse::<u16>().is_ok(),
        _ => false,
    }
}

#[test]
fn no_message_holds_a_secret_wherever_it_stands() {
    let mut leaks = Vec::new();
    for word in WORDS {
        for secret in SECRETS {
            let as_variable = word.replace("PW", "${PW}");
            let as_text = word.replace("PW", secret);
            let pieces: Vec<&str> = secret.split(['/', '@', '#', ',', ';']).filter(|piece| piece.len() > 4).collect();
            for template in [as_variable.as_str(), as_text.as_str()] {
                let said = said(template, secret);
                let is_intended =
                    is_shown_by_intent(word, secret) && (template == as_text || !said.starts_with("target `"));
                if !is_intended && pieces.iter().any(|piece| said.contains(piece)) {
                    leaks.push(format!("{template} (PW={secret}): {said}"));
                }
            }
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn a_variable_that_is_all_of_the_userinfo_shows_its_user_alone() {
    let env = |name: &str| (name == "CR").then(|| OsString::from("app:hunter2secret"));
    for word in ["postgres://${CR}@h/d", "redis://${CR}@h", "http://${CR}@h/", "mysql://${CR}@h/d", "amqp://${CR}@h"] {
        let target = parse_in(&env, word).unwrap();
        assert!(!target.to_string().contains("hunter2"), "{target}");
    }
    assert_eq!(parse_in(&env, "postgres://${CR}@h/d").unwrap().to_string(), "postgres://app@h:5432/d");
}

#[test]
fn a_database_that_may_be_the_rest_of_a_password_is_not_shown() {
    for (word, value, shown) in [
        ("postgres://app:p@ss/w0rd@db/app", "", "postgres://app@ss:5432/…"),
        ("postgresql+asyncpg://app:p@ss/w0rd@db:5433/app", "", "postgres://app@ss:5432/…"),
        ("${PW}", "postgres://app:p@ss/w0rd@db/app", "postgres://app@ss:5432/…"),
        ("postgres://${PW}@db/app", "app:p@ss/w0rd", "postgres://app@db:5432/app"),
        ("postgres://app:p%40ss%2Fw0rd@db/app", "", "postgres://app@db:5432/app"),
    ] {
        let said = said(word, value);
        assert!(said.contains(shown) && !said.contains("w0rd"), "{word}: {said}");
    }
}

#[test]
fn what_is_shown_of_a_target_cannot_write_to_a_terminal() {
    for word in [
        "postgres://a%0Ab:x@h/d%1B[31m",
        "redis+unix:///run/a%1B[2J.sock",
        "unix:///run/a%0Ab.sock",
        "file:///run/%1b]0;x%07",
        "redis+sentinel://h/ma%0Aster",
        "http+unix://%2Frun%2Fa%0A.sock/x",
        "mysql://a%0Ab@h/d%1B",
        "postgres://u@%2Ftmp%2F%1B/d",
        "na\u{202e}me=db:1",
        "host=h user='a\u{9b}b' dbname=x",
    ] {
        let said = said(word, "");
        assert!(!said.chars().any(crate::text::is_unprintable), "{word}: {said:?}");
    }
}

#[test]
fn a_short_value_of_a_query_is_a_secret_where_it_is_called_so() {
    let hides = |word: &str| !scripted::target(word).probe.secrets().is_empty();
    for query in ["token=hunter2", "api_key=abcd", "q=a1b2c3", "q=hunter2secret", "password=hunter2"] {
        assert!(hides(&format!("http://h/?{query}")), "{query}");
    }
    for query in ["v=1", "verbose=true", "status=ready", "wait_for=green"] {
        assert!(!hides(&format!("http://h/?{query}")), "{query}");
    }
}

#[test]
fn what_a_variable_says_is_expected_of_a_body_is_a_secret() {
    let env = |name: &str| (name == "PW").then(|| OsString::from("hunter2"));
    let hidden = |word: &str| {
        let target = parse_in(&env, word).unwrap();
        target.probe.secrets().into_iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hidden("http://h/#json=/a=${PW}"), ["hunter2"]);
    assert_eq!(hidden("http://h/#json=/a=up|${PW}"), ["hunter2"]);
    assert_eq!(hidden("http://h/#json=/${PW}=up"), ["hunter2"]);
    assert_eq!(hidden("http://h/#body=${PW}"), ["hunter2"]);
    assert_eq!(hidden("http://h/#fail-body=${PW}"), ["hunter2"]);
    assert_eq!(hidden("http://h/?a=b&q=${PW}"), ["hunter2"]);
    assert_eq!(hidden("redis://h#key=lock:${PW}"), ["lock:hunter2"]);
    assert!(hidden("http://h/${PW}#json=/a=up").is_empty());
    assert!(hidden("http://h/#json=/a=hunter2").is_empty());
}
