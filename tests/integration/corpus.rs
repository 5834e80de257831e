//! Inputs that fuzzing found to reach different code, run again: nothing panics, nothing is shown.

use std::fs;
use std::path::Path;

use when_ready::fuzzing;

#[path = "../../fuzz/script.rs"]
mod script;
#[path = "../../fuzz/scripted_http.rs"]
mod scripted_http;
#[path = "../../fuzz/scripted_session.rs"]
mod scripted_session;

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
fn what_servers_might_say_to_a_probe() {
    each("amqp_frames", fuzzing::amqp_frames);
    each("grpc_http2", fuzzing::grpc_http2);
    each("http_response", scripted_http::check);
    each("kafka_wire", fuzzing::kafka_wire);
    each("mongodb_bson", fuzzing::mongodb_bson);
    each("mysql_wire", fuzzing::mysql_wire);
    each("postgres_wire", fuzzing::postgres_wire);
    each("redis_resp", fuzzing::redis_resp);
}

#[test]
fn what_name_servers_and_their_files_might_hold() {
    each("name_service", fuzzing::name_service);
}

#[test]
fn conversations_that_servers_might_have() {
    each("postgres_session", scripted_session::check_postgres);
    each("redis_session", scripted_session::check_redis);
    each("service_session", scripted_session::check_service);
}

#[test]
fn what_users_might_write_as_a_target() {
    let env = |name: &str| (name == "PW").then(|| "hunter2secret".into());
    each("target_grammar", |bytes| {
        let word = String::from_utf8_lossy(bytes);
        let shown = fuzzing::shown(&format!("postgres://u:${{PW}}@{word}"), &env);
        assert!(!shown.contains("hunter2secret"), "{shown}");
        fuzzing::shown(&word, &env);
    });
}

#[test]
fn what_a_password_file_might_hold() {
    each("passfile", fuzzing::password_file);
}
