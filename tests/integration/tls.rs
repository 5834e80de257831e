//! TLS: which check failed, and that none is skipped.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::certificates;
use crate::support::certificates::{Ca, Files, accept, acceptor};
use crate::support::nginx::Nginx;
use crate::support::peer::{Peer, hold};
use crate::support::redis::Redis;
use crate::support::{Finished, Reaper, Run, eventually, free_port, tool};

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
fn of_a_peer_that_closes_after_the_handshake_nobody_asks_whether_it_wants_tls() {
    let ca = Ca::new();
    let acceptor = acceptor(&ca.issue("good", &["127.0.0.1"]));
    let peer = Peer::start(move |tcp, _| drop(accept(&acceptor, tcp)));
    let here = format!("127.0.0.1:{}", peer.port);
    for target in [
        format!("https://{here}/"),
        format!("rediss://{here}"),
        format!("amqps://u:p@{here}"),
        format!("kafka+ssl://{here}"),
        format!("grpcs://{here}"),
        format!("memcached+tls://{here}"),
        format!("mongodb://{here}/?tls=true"),
        format!("mqtts://{here}"),
        format!("ldaps://{here}"),
        format!("smtps://{here}"),
    ] {
        let run = Run::new().arg("--tls-insecure").target(&target).timeout("300ms").finish().expect_status(124);
        assert!(run.stderr.contains("the peer closed the connection before it answered"), "{target}: {}", run.stderr);
        assert!(!run.stderr.contains("does it want TLS"), "{target}: {}", run.stderr);
    }
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
    run(port, &options).arg("--fail-fast").timeout("1s").finish().expect_status(124).expect_stderr("HTTP 400");
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

/// What a server of OpenSSL's is told, the certificate that it shows, and what is said of it.
type Told = (&'static str, &'static str, &'static str);

#[test]
fn what_this_build_has_not_is_named_and_is_nobodys_fault_but_its_own() {
    const OLD: &str = "the server speaks only TLS 1.1 or older, which this build does not";
    const OTHER: &str = "it has no RSA key exchange, DHE, CBC, P-521 or Ed448";
    const TOLD: [Told; 11] = [
        ("-tls1 -cipher DEFAULT:@SECLEVEL=0", "rsa", OLD),
        ("-tls1_1 -cipher DEFAULT:@SECLEVEL=0", "rsa", OLD),
        ("-tls1_2 -cipher AES128-GCM-SHA256", "rsa", OTHER),
        ("-tls1_2 -cipher ECDHE-RSA-AES128-SHA256", "rsa", OTHER),
        ("-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256", "rsa", OTHER),
        ("-tls1_2 -curves secp521r1", "rsa", OTHER),
        ("-tls1_3 -curves secp521r1", "rsa", OTHER),
        ("-tls1_3", "p521", "of a kind that this build cannot verify (P-521)"),
        ("-tls1_2", "p521", OTHER),
        ("-tls1_2", "pss", "(RSASSA-PSS keys): let it speak TLS 1.3"),
        ("-tls1_3 -cipher DEFAULT:@SECLEVEL=0", "rsa-1024", "of a kind that this build cannot verify (RSA-1024)"),
    ];
    for (told, kind, says) in TOLD {
        let server = OpenSsl::start(kind, told);
        let ca = certificates::file(&format!("{kind}.ca"));
        run(server.port, &["--tls-ca", &ca, "--max-attempts", "1"])
            .finish()
            .expect_status(124)
            .expect_stderr(says)
            .expect_nowhere("another key");
    }
}

#[test]
fn unverified_the_kind_of_key_does_not_matter() {
    for (told, kind) in [
        ("-tls1_3", "p521"),
        ("-tls1_3", "pss"),
        ("-tls1_3 -cipher DEFAULT:@SECLEVEL=0", "rsa-1024"),
        ("-tls1_2 -cipher DEFAULT:@SECLEVEL=0", "rsa-1024"),
        ("-tls1_2", "v1"),
        ("-tls1_3", "critical"),
    ] {
        let server = OpenSsl::start(kind, told);
        run(server.port, &["--tls-insecure"]).finish().expect_status(0).expect_stderr("HTTP 200");
    }
}

/// `expected` of each of several attempts: which packet comes first is chance, what is said must not be.
fn always(expected: &str, run: impl Fn() -> Run) {
    for _ in 0..4 {
        run().args(["--max-attempts", "1"]).timeout("60s").finish().expect_status(124).expect_stderr(expected);
    }
}

#[test]
fn a_missing_client_certificate_is_one_reason_whatever_the_server() {
    let (cert, key, ca) = (certificates::file("rsa.pem"), certificates::file("rsa.key"), certificates::file("rsa.ca"));
    let options = ["--tls-ca", &ca];
    for (version, alert) in [("2", "handshake_failure"), ("3", "certificate_required")] {
        let says = format!("the server wants a client's certificate (TLS alert {alert}): give one with --tls-cert");
        let openssl = OpenSsl::start("rsa", &format!("-tls1_{version} -verify_return_error -Verify 1 -CAfile {ca}"));
        always(&says, || run(openssl.port, &options));

        let tls = [("--tls-auth-clients", "yes"), ("--tls-cert-file", &cert), ("--tls-key-file", &key)];
        let port = free_port();
        let port_text = port.to_string();
        let more = [("--tls-ca-cert-file", ca.as_str()), ("--tls-port", &port_text)];
        let version_text = format!("TLSv1.{version}");
        let protocols = [("--tls-protocols", version_text.as_str())];
        let args: Vec<&str> =
            tls.iter().chain(&more).chain(&protocols).flat_map(|(name, value)| [*name, *value]).collect();
        let _redis = Redis::started(&args);
        always(&says, || Run::new().target(format!("rediss://127.0.0.1:{port}")).args(options));
        // Where nothing is asked after the handshake the refusal is heard as well.
        for scheme in ["tls", "stomps", "activemq+ssl"] {
            always(&says, || Run::new().target(format!("{scheme}://127.0.0.1:{port}")).args(options));
        }
        let ours = format!("#ca={ca}&cert={cert}&cert-key={key}");
        Run::new().target(format!("tls://127.0.0.1:{port}{ours}")).timeout("60s").finish().expect_status(0);
        always(&says, || Run::new().target(format!("tls://127.0.0.1:{}", openssl.port)).args(options));

        let node = Node::start(&format!(
            "require('https').createServer({{key: fs.readFileSync('{key}'), cert: fs.readFileSync('{cert}'), \
             ca: fs.readFileSync('{ca}'), requestCert: true, maxVersion: 'TLSv1.{version}'}}, (q, s) => s.end())"
        ));
        always(&says, || run(node.port, &options));
        let stranger =
            ["--tls-cert", &certificates::file("self-ca.pem"), "--tls-key", &certificates::file("self-ca.key")]
                .map(str::to_owned);
        always("the server does not take this client's certificate (TLS alert unknown_ca)", || {
            run(openssl.port, &options).args(stranger.clone())
        });
        // Version 1 is for the server to judge.
        let own = ["--tls-cert", &certificates::file("v1.pem"), "--tls-key", &certificates::file("v1.key")];
        run(openssl.port, &options).args(own).finish().expect_status(0);
    }
}

#[test]
fn a_server_that_has_http_2_alone_is_said_to() {
    let (cert, key, ca) = (certificates::file("rsa.pem"), certificates::file("rsa.key"), certificates::file("rsa.ca"));
    let node = Node::start(&format!(
        "require('http2').createSecureServer({{key: fs.readFileSync('{key}'), cert: fs.readFileSync('{cert}')}}, (q, s) => s.end())"
    ));
    fail_fast(node.port, &["--tls-ca", &ca])
        .expect_stderr("the server speaks HTTP/2 alone")
        .expect_stderr("wait for it as tls:// or grpc://");
    Run::new()
        .target(format!("tls://127.0.0.1:{}", node.port))
        .args(["--tls-ca", &ca])
        .timeout("20s")
        .finish()
        .expect_status(0);
}

#[test]
fn a_server_that_knows_another_name_is_given_it_by_servername() {
    let ca = Ca::new();
    let files = ca.issue("known", &["known.example"]);
    let port = free_port();
    let _nginx = Nginx::start(&format!(
        "server {{ listen 127.0.0.1:{port} ssl default_server; ssl_reject_handshake on; }}\n\
         server {{ listen 127.0.0.1:{port} ssl; server_name known.example; ssl_certificate {}; ssl_certificate_key {}; \
         location / {{ return 200; }} }}",
        files.cert.display(),
        files.key.display()
    ));
    let target = |fragment: &str| {
        Run::new()
            .target(format!("tls://localhost:{port}{fragment}"))
            .args(["--tls-ca", path(&ca.file())])
            .timeout("20s")
    };
    target("#servername=known.example").finish().expect_status(0);
    target("")
        .args(["--max-attempts", "1"])
        .finish()
        .expect_status(124)
        .expect_stderr("the server knows no host named localhost (TLS alert unrecognized_name)")
        .expect_stderr("give the name that it knows (servername=)");
}

#[test]
fn a_peer_without_tls_is_named_by_its_first_bytes() {
    for (greeting, says) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "it answers like an HTTP server; use http://"),
        ("<!DOCTYPE HTML>", "it answers like an HTTP server; use http://"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "it answers like an SSH server"),
        ("-ERR unknown command\r\n", "it answers like a Redis server; use redis://"),
        ("220 mail.example ESMTP\r\n", "it answers like a mail or FTP server"),
        ("J\0\0\0\x0a8.0.36\0", "it answers like a MySQL server"),
    ] {
        let peer = Peer::start(move |mut stream, _| {
            drop(stream.write_all(greeting.as_bytes()));
            hold(stream);
        });
        let port: u16 = peer.url("").rsplit(':').next().unwrap().parse().unwrap();
        fail_fast(port, &[]).expect_stderr("the peer does not speak TLS on this port").expect_stderr(says);
    }
}

#[test]
fn certificates_and_keys_are_read_in_the_forms_that_tools_write() {
    let directory = crate::support::directory();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let (ca, cert, key) = (certificates::file("rsa.ca"), certificates::file("rsa.pem"), certificates::file("rsa.key"));
    certificates::openssl(&["x509", "-in", &ca, "-outform", "DER", "-out", &at("ca.der")]);
    certificates::openssl(&["x509", "-in", &ca, "-addtrust", "serverAuth", "-trustout", "-out", &at("ca.trusted")]);
    certificates::openssl(&["pkey", "-in", &key, "-outform", "DER", "-out", &at("key.der")]);
    certificates::openssl(&["pkey", "-in", &key, "-traditional", "-out", &at("key.pkcs1")]);
    certificates::openssl(&["pkey", "-in", &key, "-aes128", "-passout", "pass:x", "-out", &at("key.encrypted")]);
    certificates::openssl(&[
        "pkey",
        "-in",
        &key,
        "-traditional",
        "-aes128",
        "-passout",
        "pass:x",
        "-out",
        &at("key.old"),
    ]);
    certificates::openssl(&[
        "pkcs12",
        "-export",
        "-in",
        &cert,
        "-inkey",
        &key,
        "-passout",
        "pass:x",
        "-out",
        &at("key.p12"),
    ]);
    certificates::openssl(&["crl2pkcs7", "-nocrl", "-certfile", &ca, "-out", &at("ca.p7b")]);
    let text = std::fs::read_to_string(&ca).unwrap();
    std::fs::write(at("ca.bom"), format!("\u{feff}{text}")).unwrap();
    std::fs::write(at("ca.crlf"), text.replace('\n', "\r\n")).unwrap();
    let wide: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    std::fs::write(at("ca.utf16"), wide).unwrap();

    let (_nginx, port) = certificates::server_of("rsa");
    for name in ["ca.der", "ca.trusted", "ca.bom", "ca.crlf", "ca.utf16"] {
        run(port, &["--tls-ca", &at(name)]).finish().expect_status(0);
    }
    for name in ["key.der", "key.pkcs1"] {
        run(port, &["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &at(name)]).finish().expect_status(0);
    }
    for (option, name, says) in [
        ("--tls-key", "key.encrypted", "is encrypted, which is not supported: decrypt it for this (openssl pkey"),
        ("--tls-key", "key.old", "is encrypted, which is not supported"),
        ("--tls-key", "key.p12", "is a PKCS #12 bundle, which is not supported: take it apart"),
        ("--tls-ca", "key.p12", "is a PKCS #12 bundle, which is not supported: take it apart"),
        ("--tls-ca", "ca.p7b", "is a PKCS #7 bundle, which is not supported: take it apart"),
        ("--tls-ca", "key.pkcs1", "holds no PEM certificate"),
    ] {
        let mut options = vec![option.to_owned(), at(name)];
        if option == "--tls-key" {
            options.extend(["--tls-cert".to_owned(), cert.clone()]);
        }
        run(port, &[]).args(options).finish().expect_status(2).expect_stderr(says).expect_stderr(option);
    }
    let other = ["--tls-cert", &cert, "--tls-key", &certificates::file("plain.key")];
    run(port, &other).finish().expect_status(2).expect_stderr("is not that of the certificate");
    let p521 = ["--tls-cert", &certificates::file("p521.pem"), "--tls-key", &certificates::file("p521.key")];
    run(port, &p521).finish().expect_status(2).expect_stderr("of a kind that this build cannot sign with (P-521)");
}

/// `openssl s_server`, which serves a status page.
struct OpenSsl {
    port: u16,
    _process: Reaper,
}

impl OpenSsl {
    fn start(kind: &str, options: &str) -> Self {
        let port = free_port();
        let child = Command::new(tool(&["openssl"], "openssl"))
            .args(["s_server", "-www", "-quiet", "-accept", &format!("127.0.0.1:{port}")])
            .args([
                "-cert",
                &certificates::file(&format!("{kind}.pem")),
                "-key",
                &certificates::file(&format!("{kind}.key")),
            ])
            .args(options.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let server = Self { port, _process: Reaper(child) };
        eventually("openssl s_server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }
}

/// A server of Node.
struct Node {
    port: u16,
    _process: Reaper,
}

impl Node {
    fn start(server: &str) -> Self {
        let port = free_port();
        let script = format!("const fs = require('fs'); {server}.listen({port}, '127.0.0.1')");
        let child = Command::new(tool(&["node"], "nodejs"))
            .args(["-e", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let server = Self { port, _process: Reaper(child) };
        eventually("node", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }
}
