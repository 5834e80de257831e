//! TLS: which check failed, and that none is skipped.

use crate::support::certificates::{Ca, Files};
use crate::support::nginx::Nginx;
use crate::support::{Finished, Run, free_port};

/// A server whose `server` block also holds `extra`.
pub fn server(files: &Files, extra: &str) -> (Nginx, u16) {
    let port = free_port();
    let nginx = Nginx::start(&format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; {extra} location / {{ return 200; }} }}",
        files.cert.display(),
        files.key.display()
    ));
    (nginx, port)
}

fn run(port: u16, options: &[&str]) -> Run {
    Run::new().args(options.iter().copied()).target(format!("https://127.0.0.1:{port}/"))
}

fn fail_fast(port: u16, options: &[&str]) -> Finished {
    run(port, options).arg("--fail-fast").timeout("20s").finish().expect_status(1)
}

fn path(file: &std::path::Path) -> &str {
    file.to_str().unwrap()
}

#[test]
fn a_certificate_of_a_ca_of_ones_own_is_verified() {
    let ca = Ca::new();
    let (_nginx, port) = server(&ca.issue("good", &["127.0.0.1"]), "");
    run(port, &["--tls-ca", path(&ca.file())]).finish().expect_status(0).expect_stderr("HTTP 200 OK");
    run(port, &[]).env("SSL_CERT_FILE", ca.file()).finish().expect_status(0);
    fail_fast(port, &[]).expect_stderr("from an unknown CA: give that CA with --tls-ca FILE");
    fail_fast(port, &["--tls-ca", path(&Ca::new().file())]).expect_stderr("of the same name but with another key");
    run(port, &["--tls-insecure"]).finish().expect_status(0);
}

#[test]
fn an_expired_certificate_is_said_to_be_expired() {
    let ca = Ca::new();
    let (_nginx, port) = server(&ca.issue_expired("old", &["127.0.0.1"]), "");
    fail_fast(port, &["--tls-ca", path(&ca.file())]).expect_stderr("the server's certificate has expired");
}

#[test]
fn a_certificate_that_is_a_cas_too_may_be_a_servers() {
    let ca = Ca::new();
    let (_nginx, port) = server(&ca.issue_ca("authority", &["127.0.0.1"]), "");
    run(port, &["--tls-ca", path(&ca.file())]).finish().expect_status(0).expect_stderr("HTTP 200 OK");
}

#[test]
fn a_certificate_for_another_name_says_for_which() {
    let ca = Ca::new();
    let (_nginx, port) = server(&ca.issue("other", &["other.example"]), "");
    fail_fast(port, &["--tls-ca", path(&ca.file())])
        .expect_stderr("not for 127.0.0.1 but for")
        .expect_stderr("other.example");
}

#[test]
fn a_client_certificate_is_sent_where_it_is_wanted() {
    let ca = Ca::new();
    let extra = format!("ssl_client_certificate {}; ssl_verify_client on;", ca.file().display());
    let (_nginx, port) = server(&ca.issue("server", &["127.0.0.1"]), &extra);
    let client = ca.issue("client", &[]);
    let ca_file = ca.file();
    let options = ["--tls-ca", path(&ca_file)];
    run(port, &[&options[..], &["--tls-cert", path(&client.cert), "--tls-key", path(&client.key)]].concat())
        .finish()
        .expect_status(0);
    // nginx lets the handshake through and answers 400 for a missing certificate.
    fail_fast(port, &options).expect_stderr("HTTP 400");
}

#[test]
fn a_peer_without_tls_is_recognised() {
    let port = free_port();
    let _nginx = Nginx::start(&format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}"));
    fail_fast(port, &[]).expect_stderr("the peer does not speak TLS on this port");
}

#[test]
fn a_key_that_is_none_is_a_usage_error_that_does_not_quote_it() {
    let ca = Ca::new();
    let client = ca.issue("client", &[]);
    run(1, &["--tls-cert", path(&client.cert), "--tls-key", path(&client.cert)])
        .finish()
        .expect_status(2)
        .expect_stderr("holds no PEM private key")
        .expect_nowhere("BEGIN");
}
