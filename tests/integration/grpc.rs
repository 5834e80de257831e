//! gRPC's health service, with gRPC's own server (grpcio).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::support::{Run, fails_for_good, free_port, not_ready, ready, venv_tool};

struct Server {
    port: u16,
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let port = free_port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/support/health_server.py");
        let mut child = Command::new(venv_tool("python3"))
            .arg(script)
            .arg(port.to_string())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { port, child, answers };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the server has ended: are grpcio and grpcio-health-checking installed?");
    }

    fn set(&mut self, state: &str, service: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{state} {service}").unwrap();
        self.wait();
    }

    fn url(&self, service: &str) -> String {
        format!("grpc://127.0.0.1:{}/{service}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn it_waits_until_the_service_is_serving() {
    let mut server = Server::start(&[]);
    let running = Run::new().target(format!("api={}", server.url(""))).timeout("60s").command(["echo", "ran"]).spawn();
    running.wait_for_stderr("the server is NOT_SERVING");
    server.set("SERVING", "");
    running.finish().expect_status(0).expect_stdout("ran\n").expect_stderr("the server is SERVING");
    not_ready(server.url("my.Service")).expect_stderr("my.Service is not known to its health service yet");
    server.set("SERVING", "my.Service");
    ready(server.url("my.Service")).expect_stderr("my.Service is SERVING");
    server.set("NOT_SERVING", "my.Service");
    not_ready(server.url("my.Service")).expect_stderr("NOT_SERVING");
    Run::new().args(["--check", &server.url("")]).finish().expect_status(0);
    Run::new().args(["--until-down", &server.url(""), "-t", "300ms"]).finish().expect_status(124);
}

#[test]
fn a_server_without_a_health_service_stays_so() {
    let server = Server::start(&["--without-health"]);
    fails_for_good(server.url("")).expect_stderr("the server has no health service");
}

#[test]
fn a_health_service_that_fails_says_why() {
    let server = Server::start(&["--failing"]);
    not_ready(server.url("")).expect_stderr("its health service fails (status 13): the table “jobs” is missing");
}

#[test]
fn over_tls_it_is_verified() {
    let ca = crate::support::certificates::Ca::new();
    let files = ca.issue("localhost", &["localhost", "127.0.0.1"]);
    let mut server = Server::start(&["--tls", files.cert.to_str().unwrap(), files.key.to_str().unwrap()]);
    server.set("SERVING", "");
    let url = format!("grpcs://localhost:{}", server.port);
    fails_for_good(url.clone()).expect_stderr("unknown CA");
    ready(format!("{url}#ca={}", ca.file().display())).expect_stderr("SERVING");
}
