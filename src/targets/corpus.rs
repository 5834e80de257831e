//! Connection strings of real applications, and where their own clients go: tests/corpus/urls/strings.tsv.

use std::ffi::OsString;

use serde_json::Value;

use crate::net::Place;
use crate::net::tls_settings::{CertificateCheck, Encryption, TargetTls};
use crate::targets::postgres::SslMode;
use crate::targets::shared::http_options::HttpDefaults;
use crate::targets::shared::lookup::Lookup;
use crate::targets::shared::server::Server;
use crate::targets::shared::target::Target;
use crate::targets::{Http, Postgres, Redis, Surroundings};

const STRINGS: &str =
    concat!(include_str!("../../tests/corpus/urls/strings.tsv"), include_str!("../../tests/corpus/urls/more.tsv"));

struct CorpusRow<'a> {
    string: &'a str,
    expect: Value,
}

fn rows() -> Vec<CorpusRow<'static>> {
    let lines =
        STRINGS.lines().filter(|line| !line.starts_with('#') && !line.is_empty() && *line != "kind\tstring\texpect");
    lines
        .map(|line| {
            let (_, rest) = line.split_once('\t').expect("three fields");
            let (string, expect) = rest.rsplit_once('\t').expect("three fields");
            CorpusRow { string, expect: serde_json::from_str(expect).unwrap_or_else(|error| panic!("{line}: {error}")) }
        })
        .collect()
}

fn parse(word: &str, row: &CorpusRow<'_>) -> Result<Target, String> {
    let env = |name: &str| match name {
        "STRING" => Some(OsString::from(row.string)),
        "HOME" => Some(OsString::from("/nonexistent")),
        name => row.expect["env"][name].as_str().map(OsString::from),
    };
    let http = HttpDefaults::default();
    let context = Surroundings { lookup: Lookup::without_files(&env), http: &http };
    let targets = Target::parse_list(word, &context).map_err(|error| error.to_string())?;
    let [target] = targets.as_slice() else { return Err("several targets".to_owned()) };
    Ok(target.clone())
}

/// `says` of the data is a list of texts.
fn says(message: &str, pattern: &Value) -> bool {
    let Some(pattern) = pattern.as_str() else { return true };
    let message = message.to_lowercase();
    pattern.split('|').any(|text| message.contains(&text.replace('\\', "").to_lowercase()))
}

fn is_one_of(found: &Value, expected: &Value) -> bool {
    found == expected || expected.as_array().is_some_and(|all| all.contains(found))
}

fn shown_place(place: &Place) -> Value {
    match place {
        Place::Unix(path) => Value::from(path.display().to_string().replacen("/var/run/", "/run/", 1)),
        Place::Tcp(address) => {
            let host = match address.host.split('%').next().unwrap_or_default() {
                // The C library reads them so (inet_aton(3)), and connects to this host for 0.0.0.0.
                "127.1" | "2130706433" | "0.0.0.0" => "127.0.0.1".to_owned(),
                host => host.trim_end_matches('.').to_ascii_lowercase(),
            };
            serde_json::json!([host, address.port])
        }
    }
}

fn tls_of(tls: Option<&TargetTls>) -> &'static str {
    match tls.map(|tls| tls.check) {
        None => "never",
        Some(Some(CertificateCheck::Nothing)) => "require",
        Some(_) => "verify",
    }
}

fn tls_of_server(server: &Server) -> &'static str {
    match server.encryption {
        Encryption::Never => "never",
        Encryption::IfOffered => "prefer",
        Encryption::Always => tls_of(Some(&server.tls)),
    }
}

/// What the data says, of a target.
fn facts(target: &Target) -> Value {
    let mut facts = serde_json::Map::new();
    let mut set = |key: &str, value: Value| drop(facts.insert(key.to_owned(), value));
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
    let secret = |secret: &Option<crate::secret::Secret>| {
        secret.as_ref().map(|secret| secret.expose().to_owned()).filter(|text| !text.is_empty())
    };
    let places: Vec<Place> = if let Some(http) = target.as_kind::<Http>() {
        set("tls", tls_of(http.tls.as_ref()).into());
        set("path", http.path_and_query.expose().into());
        set("host_header", http.authority.clone().into());
        vec![http.place.clone()]
    } else if let Some(redis) = target.as_kind::<Redis>() {
        set("tls", tls_of_server(&redis.server).into());
        set("db", redis.database.into());
        let auth: Vec<String> = redis.server.user.iter().cloned().chain(secret(&redis.server.password)).collect();
        set("auth", if auth.is_empty() { Value::Null } else { auth.into() });
        if let Some(sentinel) = &redis.sentinel {
            set("master", text(&sentinel.master));
            set("sentinels", sentinel.places.iter().map(shown_place).collect());
        }
        redis.server.places.clone()
    } else if let Some(postgres) = target.as_kind::<Postgres>() {
        let is_socket = postgres.hosts.iter().all(|host| matches!(host.place, Place::Unix(_)));
        set(
            "tls",
            match postgres.sslmode {
                _ if is_socket => "never",
                SslMode::Disable => "never",
                SslMode::Allow | SslMode::Prefer => "prefer",
                SslMode::Require if postgres.sslrootcert.is_none() => "require",
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => "verify",
            }
            .into(),
        );
        set("user", if postgres.user_is_named { postgres.user.clone().into() } else { Value::Null });
        set("password", text(&secret(&postgres.password)));
        set("database", text(&postgres.database));
        set("options", text(&postgres.options));
        postgres.hosts.iter().map(|host| host.place.clone()).collect()
    } else {
        if let Some(server) = target.probe.server() {
            set("login", serde_json::json!([server.user, secret(&server.password)]));
            set("tls", tls_of_server(server).into());
        }
        target.probe.places()
    };
    set("places", places.iter().map(shown_place).collect());
    Value::Object(facts)
}

/// What is wrong with a target.
fn differences(facts: &Value, expect: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |key: &str, found: &Value, expected: &Value| {
        if !is_one_of(found, expected) {
            wrong.push(format!("{key} is {found}, not {expected}"));
        }
    };
    let first = &facts["places"][0];
    match &expect["socket"] {
        Value::Null => {}
        socket => check("socket", first, socket),
    }
    if !expect["host"].is_null() {
        let (host, port) = if first.is_array() { (&first[0], &first[1]) } else { (first, &Value::from(0)) };
        check("host", host, &expect["host"]);
        check("port", port, &expect["port"]);
    }
    if !expect["hosts"].is_null() {
        check("hosts", &facts["places"], &expect["hosts"]);
    }
    if !expect["sentinel"].is_null() {
        check("sentinels", &facts["sentinels"], &expect["sentinel"]["hosts"]);
        check("master", &facts["master"], &expect["sentinel"]["master"]);
        check("db", &facts["db"], &expect["sentinel"].get("db").cloned().unwrap_or(0.into()));
    }
    for key in ["tls", "db", "path", "host_header", "login"] {
        if !expect[key].is_null() && !facts[key].is_null() {
            check(key, &facts[key], &expect[key]);
        }
    }
    if facts.get("database").is_some() {
        for key in ["user", "password", "database", "options"] {
            check(key, &facts[key], &expect[key]);
        }
    }
    if facts.get("auth").is_some() && expect["sentinel"].is_null() {
        check("auth", &facts["auth"], &expect["auth"]);
    }
    wrong
}

#[test]
fn strings_of_real_applications_lead_where_their_clients_go() {
    let mut wrong = Vec::new();
    let rows = rows();
    for row in &rows {
        for word in [row.string, "${STRING}"] {
            if word == "${STRING}" && row.string.contains("${") {
                continue;
            }
            let problems = match parse(word, row) {
                Ok(target) if !row.expect["refuse"].is_null() => vec![format!("it is taken for {target}")],
                Ok(target) => differences(&facts(&target), &row.expect),
                Err(message) if !row.expect["refuse"].is_null() => {
                    if says(&message, &row.expect["says"]) {
                        vec![]
                    } else {
                        vec![format!("it says {message}")]
                    }
                }
                Err(message) if !row.expect["or_refuse"].is_null() && says(&message, &row.expect["or_refuse"]) => {
                    vec![]
                }
                Err(message) => vec![format!("it is refused: {message}")],
            };
            wrong.extend(problems.into_iter().map(|problem| format!("{word} {}: {problem}", row.string)));
        }
    }
    assert!(rows.len() > 250 && wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn nothing_that_is_shown_of_a_string_holds_its_secrets() {
    for row in rows() {
        let secrets = ["password", "auth", "secret"].iter().flat_map(|key| match &row.expect[*key] {
            Value::String(text) => {
                text.split_once(':').map_or(vec![text.clone()], |(_, password)| vec![password.to_owned()])
            }
            Value::Array(all) => {
                all.iter().filter_map(Value::as_str).skip(usize::from(all.len() == 2)).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        });
        // What stands in another place of the string too is shown there.
        let secrets: Vec<String> =
            secrets.filter(|secret| secret.len() > 3 && row.string.matches(secret.as_str()).count() == 1).collect();
        let shown = match parse(row.string, &row) {
            Ok(target) => format!("{target} {} {:?}", target.label(), target.ignored),
            Err(message) => message,
        };
        for secret in secrets {
            assert!(!shown.contains(&secret), "{}: {shown} shows {secret}", row.string);
        }
    }
}
