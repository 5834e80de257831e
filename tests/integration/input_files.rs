//! Files that the gate reads: pipes that nobody writes, mounts that are gone, files that are not there.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::certificates::Ca;
use crate::support::hung_mount::HungMount;
use crate::support::{Run, directory, fifo, free_port};

/// How late, by itself, a deadline may be kept.
const SLACK: u64 = 100;
/// The product promises 50 ms; a loaded machine is given more.
const PROMPTLY: Duration = Duration::from_millis(500);

/// A way to name a file: what a message about it names besides, arguments and variables.
type Way = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// FILE is the file, CERT a certificate.
const WAYS: [Way; 19] = [
    ("FILE", &["redis://:${file:FILE}@127.0.0.1:1"], &[]),
    ("FILE", &["x=http://127.0.0.1:1/#header=A:${file:FILE}"], &[]),
    ("--tls-ca", &["--tls-ca", "FILE", "https://127.0.0.1:1"], &[]),
    ("--tls-ca", &["https://127.0.0.1:1"], &[("WHEN_READY_TLS_CA", "FILE")]),
    ("--tls-cert", &["--tls-cert", "FILE", "--tls-key", "/etc/hostname", "https://127.0.0.1:1"], &[]),
    ("--tls-key", &["--tls-cert", "CERT", "--tls-key", "FILE", "https://127.0.0.1:1"], &[]),
    ("SSL_CERT_FILE", &["tls://127.0.0.1:1"], &[("SSL_CERT_FILE", "FILE")]),
    ("service", &["postgres://127.0.0.1:1/?service=x"], &[("PGSERVICEFILE", "FILE")]),
    ("service", &["postgres://127.0.0.1:1/?service=x&servicefile=FILE"], &[]),
    ("`ca`", &["api=https://127.0.0.1:1#ca=FILE"], &[]),
    ("`ca`", &["nats=tls://127.0.0.1:1#ca=FILE"], &[]),
    ("`cert`", &["api=https://127.0.0.1:1#cert=FILE"], &[]),
    ("`cert-key`", &["api=https://127.0.0.1:1#cert=CERT&cert-key=FILE"], &[]),
    ("`ca`", &["cache=rediss://127.0.0.1:1?ssl_ca_certs=FILE"], &[]),
    ("`ca`", &["my=mysql://127.0.0.1:1/d?ssl-mode=VERIFY_CA&ssl-ca=FILE"], &[]),
    ("`ca`", &["amqps://127.0.0.1:1#ca=FILE"], &[]),
    ("`sslrootcert`", &["postgres://127.0.0.1:1/?sslmode=verify-full&sslrootcert=FILE"], &[]),
    ("`sslcert`", &["postgres://127.0.0.1:1/?sslmode=require"], &[("PGSSLCERT", "FILE")]),
    ("`sslkey`", &["postgres://127.0.0.1:1/?sslmode=require&sslcert=CERT&sslkey=FILE"], &[]),
];

/// A run of each of them, with what its message is to name.
fn each(file: &Path, certificate: &Path) -> impl Iterator<Item = (&'static str, Run)> {
    let filled =
        |text: &str| text.replace("CERT", certificate.to_str().unwrap()).replace("FILE", file.to_str().unwrap());
    WAYS.map(|(named, args, variables)| {
        let named = if named == "FILE" { "file" } else { named };
        let run = Run::new().args(args.iter().map(|arg| filled(arg)));
        (named, variables.iter().fold(run, |run, (name, value)| run.env(name, filled(value))))
    })
    .into_iter()
}

fn certificate(directory: &Path) -> std::path::PathBuf {
    let cert = directory.join("a.pem");
    fs::write(&cert, fs::read(Ca::new().file()).unwrap()).unwrap();
    cert
}

#[test]
fn a_file_that_nobody_writes_ends_with_the_deadline_and_is_named() {
    let directory = directory();
    let (pipe, cert) = (fifo(directory.path(), "pipe"), certificate(directory.path()));
    for (named, run) in each(&pipe, &cert) {
        let finished = run.timeout("300ms").command(["echo", "ran"]).finish().expect_status(124).expect_stdout("");
        finished.expect_elapsed(300..=300 + SLACK).expect_stderr(named).expect_stderr(pipe.to_str().unwrap());
    }
    for (named, run) in each(&pipe, &cert) {
        let finished = run.args(["--check", "--attempt-timeout", "300ms"]).finish().expect_status(1);
        finished.expect_elapsed(300..=300 + SLACK).expect_stderr(named).expect_stderr(pipe.to_str().unwrap());
    }
}

#[test]
fn a_file_on_a_mount_that_is_gone_ends_with_the_deadline_and_is_named() {
    let (mount, directory) = (HungMount::new(), directory());
    let (file, cert) = (mount.path("file"), certificate(directory.path()));
    for (named, run) in each(&file, &cert) {
        let finished = run.timeout("300ms").command(["echo", "ran"]).finish().expect_status(124).expect_stdout("");
        finished.expect_elapsed(300..=300 + SLACK).expect_stderr(named).expect_stderr(file.to_str().unwrap());
    }
    // A password file is optional, and the mount that it lies on still does not answer. So with COMMAND itself.
    let shown = file.to_str().unwrap();
    let target = format!("postgres://127.0.0.1:{}/", free_port());
    let run = Run::new().env("PGPASSFILE", shown).target(&target).timeout("300ms").finish();
    run.expect_status(124).expect_stderr("PGPASSFILE").expect_stderr(shown).expect_elapsed(300..=300 + SLACK);
    let run = Run::new().env("PGPASSFILE", shown).args(["--check", "--attempt-timeout", "300ms", &target]).finish();
    run.expect_status(1).expect_stderr(shown).expect_elapsed(300..=300 + SLACK);
    let run = Run::new().target("file:///").timeout("300ms").command([shown]).finish();
    run.expect_status(124).expect_stderr(shown).expect_elapsed(300..=300 + SLACK);
    let path = format!("{}:/bin", file.parent().unwrap().display());
    let run = Run::new().env("PATH", path).target("file:///").timeout("300ms").command(["true"]).finish();
    run.expect_status(124).expect_stderr("true").expect_elapsed(300..=300 + SLACK);
}

#[test]
fn a_file_that_is_not_there_or_is_none_is_a_usage_error() {
    let directory = directory();
    let cert = certificate(directory.path());
    for file in [&directory.path().join("missing"), directory.path()] {
        // libpq goes on without a client certificate that is not there.
        for (named, run) in each(file, &cert).filter(|(named, _)| *named != "`sslcert`") {
            let finished = run.timeout("30s").finish().expect_status(2);
            finished.expect_stderr(named).expect_stderr(file.to_str().unwrap()).expect_elapsed(0..=2000);
        }
    }
    // Nor is a certificate what holds none.
    let run = Run::new().target("api=https://127.0.0.1:1#ca=/etc/hostname").finish().expect_status(2);
    run.expect_stderr("api").expect_stderr("/etc/hostname holds no PEM certificate");
}

#[test]
fn a_file_without_an_end_is_a_usage_error() {
    let zero = Path::new("/dev/zero");
    let directory = directory();
    for (_, run) in each(zero, &certificate(directory.path())) {
        run.timeout("30s").finish().expect_status(2).expect_stderr("/dev/zero").expect_elapsed(0..=5000);
    }
}

#[test]
fn a_signal_ends_it_while_a_file_does_not_come() {
    let directory = directory();
    let (pipe, cert) = (fifo(directory.path(), "pipe"), certificate(directory.path()));
    for (named, run) in each(&pipe, &cert) {
        let running = run.timeout("none").command(["echo", "ran"]).spawn();
        // The pipe's writer gets through once its reader is there.
        let writer = fs::File::options().write(true).open(&pipe).unwrap();
        let sent = Instant::now();
        running.signal(Signal::SIGTERM);
        let finished = running.finish();
        let took = finished.ended_after(sent);
        assert!(took < PROMPTLY, "{named}: {took:?}");
        assert_eq!((finished.status, finished.died_of), (143, Some(15)), "{finished:?}");
        drop(writer);
    }
}

#[test]
fn a_pipe_that_is_written_in_time_is_read_once_for_all_that_name_it() {
    use std::io::Write;
    let directory = directory();
    let pipe = fifo(directory.path(), "pipe");
    let running = Run::new()
        .args(["a", "b"].map(|name| format!("{name}=http://127.0.0.1:1/#header=A:${{file:{}}}", pipe.display())))
        .args(["--any", "file:///"])
        .timeout("10s")
        .command(["echo", "ran"])
        .spawn();
    let mut writer = fs::File::options().write(true).open(&pipe).unwrap();
    writer.write_all(b"secret\n").unwrap();
    drop(writer);
    running.finish().expect_status(0).expect_stdout("ran\n");
}

#[test]
fn at_the_deadline_the_command_runs_even_so_where_that_is_wanted() {
    let directory = directory();
    let (pipe, cert) = (fifo(directory.path(), "pipe"), certificate(directory.path()));
    for (_, run) in each(&pipe, &cert) {
        let run = run.timeout("300ms").args(["--on-timeout", "run"]).command(["echo", "ran"]);
        run.finish().expect_status(0).expect_stdout("ran\n").expect_stderr(pipe.to_str().unwrap());
    }
}
