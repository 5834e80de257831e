//! Inputs that fuzzing found to reach different code, run again: nothing panics, nothing is shown.

use std::fs;
use std::path::Path;

use when_ready::endpoint::variables::Lookup;
use when_ready::endpoint::{HttpDefaults, Surroundings, Target};
use when_ready::probe::postgres::{passfile, wire};
use when_ready::probe::redis::resp;

#[path = "../../fuzz/script.rs"]
mod script;
#[path = "../../fuzz/scripted_http.rs"]
mod scripted_http;
#[path = "../../fuzz/scripted_session.rs"]
mod scripted_session;

#[path = "../../fuzz/name_service.rs"]
mod name_service;

fn each(corpus: &str, mut check: impl FnMut(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(corpus);
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        check(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", directory.display());
}

#[test]
fn what_servers_might_say_to_a_postgres_probe() {
    each("postgres_wire", |bytes| {
        let mut rest = bytes;
        while let Ok(Some(decoded)) = wire::decode(rest) {
            assert!(decoded.used > 0 && decoded.used <= rest.len());
            rest = &rest[decoded.used..];
        }
        wire::old_error(bytes);
    });
}

#[test]
fn what_servers_might_say_to_an_http_probe() {
    each("http_response", scripted_http::check);
}

#[test]
fn what_name_servers_and_their_files_might_hold() {
    each("name_service", name_service::check);
}

#[test]
fn what_servers_might_say_to_a_redis_probe() {
    each("redis_resp", |bytes| {
        let mut rest = bytes;
        while let Ok(Some((_, used))) = resp::parse(rest) {
            assert!(used > 0 && used <= rest.len());
            rest = &rest[used..];
        }
    });
}

#[cfg(feature = "mysql")]
#[test]
fn what_servers_might_say_to_a_mysql_probe() {
    use when_ready::probe::mysql::wire;
    each("mysql_wire", |bytes| {
        let mut rest = bytes;
        while let Ok(Some((packet, used))) = wire::packet(rest, wire::MAX_ROW) {
            assert!(used > packet.payload.len() && used <= rest.len());
            wire::read_anything(&packet.payload);
            rest = &rest[used..];
        }
        wire::read_anything(bytes);
    });
}

#[cfg(feature = "amqp")]
#[test]
fn what_servers_might_say_to_an_amqp_probe() {
    use when_ready::probe::amqp::wire;
    each("amqp_frames", |bytes| {
        let mut rest = bytes;
        while let Ok(Some((_, used))) = wire::frame(rest) {
            assert!(used > 0 && used <= rest.len());
            rest = &rest[used..];
        }
        wire::read_anything(bytes);
    });
}

#[cfg(feature = "mongodb")]
#[test]
fn what_servers_might_say_to_a_mongodb_probe() {
    use when_ready::probe::mongodb::bson;
    each("mongodb_bson", |bytes| {
        if let Ok(Some((document, used))) = bson::message(bytes) {
            assert!(used > document.len() && used <= bytes.len());
            bson::elements(&document).for_each(drop);
        }
        bson::elements(bytes).for_each(drop);
    });
}

#[cfg(feature = "kafka")]
#[test]
fn what_servers_might_say_to_a_kafka_probe() {
    use when_ready::probe::kafka::wire;
    each("kafka_wire", |bytes| {
        if let Ok(Some((body, used))) = wire::answer(bytes, 1) {
            assert!(used > body.len() && used <= bytes.len());
            wire::read_anything(&body);
        }
        wire::read_anything(bytes);
    });
}

#[cfg(feature = "grpc")]
#[test]
fn what_servers_might_say_to_a_grpc_probe() {
    use when_ready::probe::grpc::http2;
    each("grpc_http2", |bytes| {
        let mut rest = bytes;
        while let Ok(Some((frame, used))) = http2::frame(rest) {
            assert!(used > frame.payload.len() && used <= rest.len());
            let _ = http2::fields(&frame.payload);
            rest = &rest[used..];
        }
        let _ = http2::fields(bytes);
    });
}

#[test]
fn conversations_that_servers_might_have() {
    each("postgres_session", scripted_session::check_postgres);
    each("redis_session", scripted_session::check_redis);
    each("service_session", scripted_session::check_service);
}

#[test]
fn what_users_might_write_as_a_target() {
    let http = HttpDefaults::default();
    let env = |name: &str| (name == "PW").then(|| "hunter2secret".into());
    let file = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let context = Surroundings { lookup: Lookup { env: &env, file: &file }, http: &http };
    each("target_grammar", |bytes| {
        let word = format!("postgres://u:${{PW}}@{}", String::from_utf8_lossy(bytes));
        let shown = match Target::parse(&word, &context) {
            Ok(target) => target.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(!shown.contains("hunter2secret"), "{shown}");
        drop(Target::parse(&String::from_utf8_lossy(bytes), &context));
    });
}

#[test]
fn what_a_password_file_might_hold() {
    each("passfile", |bytes| {
        let key = passfile::Key { host: "db", port: 5432, database: "app", user: "me" };
        drop(passfile::password(bytes, key));
    });
}
