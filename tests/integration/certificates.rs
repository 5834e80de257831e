//! Certificates of every kind that OpenSSL's own tools make, beside curl, psql and Python's ssl at the same
//! moment: who would connect there, and who would not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use crate::support::nginx::Nginx;
use crate::support::postgres::{PASSWORD, Postgres, SUPERUSER};
use crate::support::redis::Redis;
use crate::support::{Finished, Reaper, Run, eventually, free_port, postgres_tool, tool};

/// The certificates, made once: see make.sh for what each is.
fn made() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = crate::support::directory().keep();
        let output = Command::new("sh")
            .arg("-c")
            .arg(include_str!("certificates/make.sh"))
            .current_dir(&directory)
            .stdin(Stdio::null())
            .output()
            .expect("sh");
        assert!(output.status.success(), "make.sh: {}", String::from_utf8_lossy(&output.stderr));
        directory
    })
}

/// A file that make.sh made.
pub fn file(name: &str) -> String {
    made().join(name).display().to_string()
}

/// Runs a command of OpenSSL's.
pub fn openssl(args: &[&str]) {
    let output = Command::new(tool(&["openssl"], "openssl")).args(args).stdin(Stdio::null()).output().expect("openssl");
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// nginx with the certificate of one kind.
pub fn server_of(kind: &str) -> (Nginx, u16) {
    let (nginx, ports) = web_server(&[kind.to_owned()]);
    (nginx, ports[0].1)
}

/// The names of all kinds.
fn kinds() -> Vec<String> {
    let entries = fs::read_dir(made()).unwrap().flatten().map(|entry| entry.path());
    let cas = entries.filter(|path| path.extension().is_some_and(|extension| extension == "ca"));
    let mut kinds: Vec<String> = cas.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    kinds.sort();
    kinds
}

/// Whether somebody would connect, and what he says if not.
#[derive(Debug, Clone)]
struct Verdict {
    connects: bool,
    says: String,
}

impl Verdict {
    fn of(finished: &Finished) -> Self {
        let last = finished.stderr.lines().rfind(|line| !line.contains("gave up after"));
        Self { connects: finished.status == 0, says: last.unwrap_or(&finished.stderr).to_owned() }
    }

    fn by(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("the other client");
        let says = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
        Self { connects: output.status.success(), says }
    }
}

/// Runs `work` for each item, two at a time.
fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    results.lock().unwrap().insert(index, result);
                }
            });
        }
    });
    results.into_inner().unwrap().into_values().collect()
}

/// A cell in which we and the other client do not agree, and the words in our reason for it.
type Difference = (&'static str, &'static str);

/// Where we are stricter, or cannot: each reason says so.
const WEB: [Difference; 5] = [
    // OpenSSL holds a common name against name constraints only if it has a dot.
    ("limited-cn", "limits the names that it may issue for"),
    ("limited-v1", "limits the names that it may issue for"),
    // ring has no P-521, and RSASSA-PSS with a salt as long as its hash alone.
    ("p521", "of a kind that this build cannot verify (P-521)"),
    ("p521-signed", "the CA's key is of a kind that this build cannot verify (P-521)"),
    ("pss-signed", "in a way that this build cannot verify"),
];
const PYTHON: [Difference; 8] = [
    // Python takes partial chains from 3.13 on.
    ("given", ""),
    ("y-inter-given", ""),
    ("y-inter-given-v3", ""),
    ("limited-cn", "limits the names that it may issue for"),
    ("limited-v1", "limits the names that it may issue for"),
    ("p521", "of a kind that this build cannot verify (P-521)"),
    ("p521-signed", "the CA's key is of a kind that this build cannot verify (P-521)"),
    ("pss-signed", "in a way that this build cannot verify"),
];
const POSTGRES: [Difference; 13] = [
    // libpq does without OpenSSL's partial chains, which curl and Python 3.13 take.
    ("given verify-ca", "ready"),
    ("given verify-full", "ready"),
    ("limited-cn verify-full", "limits the names that it may issue for"),
    ("limited-v1 verify-ca", "limits the names that it may issue for"),
    ("limited-v1 verify-full", "limits the names that it may issue for"),
    ("p521 prefer", "this build cannot verify the server's kind of key"),
    ("p521 require", "this build cannot verify the server's kind of key"),
    ("p521 verify-ca", "of a kind that this build cannot verify (P-521)"),
    ("p521 verify-full", "of a kind that this build cannot verify (P-521)"),
    ("p521-signed verify-ca", "the CA's key is of a kind that this build cannot verify (P-521)"),
    ("p521-signed verify-full", "the CA's key is of a kind that this build cannot verify (P-521)"),
    ("pss-signed verify-ca", "in a way that this build cannot verify"),
    ("pss-signed verify-full", "in a way that this build cannot verify"),
];

/// What of the rows is neither agreed on nor known to differ.
fn surprises(rows: &[(String, Verdict, Verdict)], known: &[Difference]) -> String {
    let mut out = String::new();
    let mut agreed = 0;
    for (cell, theirs, ours) in rows {
        let difference = known.iter().find(|(name, _)| cell == name);
        let is_expected = match difference {
            Some((_, words)) => theirs.connects != ours.connects && ours.says.contains(words),
            None => theirs.connects == ours.connects,
        };
        agreed += usize::from(theirs.connects == ours.connects);
        if !is_expected {
            let _ = writeln!(
                out,
                "{cell}:\n    theirs {}: {}\n    ours   {}: {}",
                theirs.connects, theirs.says, ours.connects, ours.says
            );
        }
        if std::env::var_os("SHOW_CELLS").is_some() {
            println!("{cell}\t{}\t{}\t{}\t{}", theirs.connects, ours.connects, theirs.says, ours.says);
        }
    }
    println!("{agreed} of {} cells agree", rows.len());
    out
}

fn judged(target: String, options: &[&str]) -> Verdict {
    let finished =
        Run::new().target(target).args(options.iter().copied()).args(["--max-attempts", "1"]).timeout("30s").finish();
    assert!(!finished.stderr.contains('{') && !finished.stderr.contains("::"), "a Debug form:\n{}", finished.stderr);
    Verdict::of(&finished)
}

/// nginx with each of `kinds` on a port of its own.
fn web_server(kinds: &[String]) -> (Nginx, Vec<(String, u16)>) {
    let mut blocks = String::new();
    let mut ports = Vec::new();
    for kind in kinds {
        let port = free_port();
        let _ = writeln!(
            blocks,
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; \
             ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers DEFAULT:@SECLEVEL=0; location / {{ return 200; }} }}",
            file(&format!("{kind}.pem")),
            file(&format!("{kind}.key"))
        );
        ports.push((kind.clone(), port));
    }
    let nginx = Nginx::start(&blocks);
    for (_, port) in &ports {
        eventually("nginx", || std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok());
    }
    (nginx, ports)
}

#[test]
fn https_connects_where_curl_does() {
    let (_nginx, ports) = web_server(&kinds());
    let rows = each(&ports, |(kind, port)| {
        let (url, ca) = (format!("https://localhost:{port}/"), file(&format!("{kind}.ca")));
        let curl =
            Verdict::by(Command::new(tool(&["curl"], "curl")).args(["-sS4", "-o", "/dev/null", "--cacert", &ca, &url]));
        (kind.clone(), curl, judged(url, &["--tls-ca", &ca]))
    });
    let differences = surprises(&rows, &WEB);
    assert!(differences.is_empty(), "{differences}");
    for (kind, _, ours) in rows {
        assert!(!kind.starts_with("x-") || !ours.connects, "{kind} is let in");
        assert!(!kind.starts_with("y-") || ours.connects, "{kind}: {}", ours.says);
    }
}

/// stunnel before a Redis server, with each of `kinds` on a port of its own.
fn redis_servers(kinds: &[String]) -> (Redis, Reaper, Vec<(String, u16)>) {
    let redis = Redis::started(&[]);
    let mut conf = "foreground = yes\npid =\nciphers = DEFAULT:@SECLEVEL=0\n".to_owned();
    let mut ports = Vec::new();
    for kind in kinds {
        let (port, pem, key) = (free_port(), file(&format!("{kind}.pem")), file(&format!("{kind}.key")));
        let _ = writeln!(
            conf,
            "[{kind}]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{}\ncert = {pem}\nkey = {key}",
            redis.port
        );
        ports.push((kind.clone(), port));
    }
    let path = redis.path().join("stunnel.conf");
    fs::write(&path, conf).unwrap();
    let stunnel = Command::new(tool(&["stunnel4", "stunnel"], "stunnel4"))
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("stunnel");
    let stunnel = Reaper(stunnel);
    for (_, port) in &ports {
        eventually("stunnel", || std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok());
    }
    (redis, stunnel, ports)
}

/// What Python's ssl finds on each of the ports.
fn by_python(ports: &[(String, u16)]) -> Vec<Verdict> {
    let mut python = Command::new(tool(&["/usr/bin/python3"], "python3"))
        .args(["-c", include_str!("certificates/verdicts.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = python.stdin.take().unwrap();
    for (kind, port) in ports {
        writeln!(input, "{port} {}", file(&format!("{kind}.ca"))).unwrap();
    }
    drop(input);
    let output = python.wait_with_output().unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().map(|line| Verdict { connects: line == "yes", says: line.to_owned() }).collect()
}

#[test]
fn each_rediss_and_tls_target_has_its_own_ca_and_connects_where_python_does() {
    // stunnel does not load a key of 1,024 bits.
    let kinds: Vec<String> = kinds().into_iter().filter(|kind| kind != "rsa-1024").collect();
    let (_redis, _stunnel, ports) = redis_servers(&kinds);
    let theirs = by_python(&ports);
    assert_eq!(theirs.len(), ports.len());
    for scheme in ["rediss", "tls"] {
        let targets = ports
            .iter()
            .map(|(kind, port)| format!("{kind}={scheme}://localhost:{port}#ca={}", file(&format!("{kind}.ca"))));
        let finished = Run::new().args(["--check", "--format", "json"]).args(targets).finish().expect_status(1);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        let rows: Vec<_> = ports
            .iter()
            .zip(&theirs)
            .map(|((kind, _), theirs)| {
                let entries = report["targets"].as_array().unwrap();
                let entry = entries.iter().find(|entry| entry["name"] == **kind).unwrap();
                let ours = Verdict { connects: entry["state"] == "ready", says: entry["last_reason"].to_string() };
                (kind.clone(), theirs.clone(), ours)
            })
            .collect();
        let differences = surprises(&rows, &PYTHON);
        assert!(differences.is_empty(), "{scheme}: {differences}");
    }
}

#[test]
fn one_lax_target_makes_no_other_lax() {
    let (_nginx, ports) = web_server(&["self-ca".to_owned()]);
    let url = format!("https://localhost:{}/", ports[0].1);
    let ca = file("self-ca.ca");
    let finished = Run::new()
        .args(["--check", "--format", "json"])
        .args([
            format!("lax={url}#insecure"),
            format!("strict={url}"),
            format!("own={url}#ca={ca}"),
            format!("other-name={url}#ca={ca}&servername=other.example"),
        ])
        .finish()
        .expect_status(1);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let states: Vec<_> = report["targets"].as_array().unwrap().iter().map(|entry| &entry["state"]).collect();
    assert_eq!(states, ["ready", "not_ready", "ready", "not_ready"], "{}", finished.stdout);
}

#[test]
fn unverified_https_connects_whatever_the_certificate() {
    let (_nginx, ports) = web_server(&kinds());
    let rows = each(&ports, |(kind, port)| {
        let url = format!("https://localhost:{port}/");
        let curl = Verdict::by(Command::new(tool(&["curl"], "curl")).args(["-sSk4", "-o", "/dev/null", &url]));
        (kind.clone(), curl, judged(url, &["--tls-insecure"]))
    });
    let differences = surprises(&rows, &[]);
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn postgres_connects_where_psql_does() {
    let mut server = Postgres::new();
    server
        .hba("hostssl all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\nhostnossl all all 127.0.0.1/32 reject");
    let options = give_certificate(&server, "plain");
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.push("ssl_ciphers=DEFAULT:@SECLEVEL=0");
    server.start(&options);
    server.wait_until_up();
    let mut rows = Vec::new();
    // Forgeries are held against curl.
    for kind in kinds().into_iter().filter(|kind| !kind.starts_with("x-") && !kind.starts_with("y-")) {
        give_certificate(&server, &kind);
        let (loaded, said) = (server.psql("select pg_conf_load_time()"), server.log().len());
        server.signal(Signal::SIGHUP);
        eventually("the new certificate", || server.psql("select pg_conf_load_time()") != loaded);
        // OpenSSL's security level keeps it out, whatever ssl_ciphers says.
        if server.log()[said..].contains("key too small") {
            assert_eq!(kind, "rsa-1024");
            continue;
        }
        let ca = file(&format!("{kind}.ca"));
        // `prefer` differs from `require` only in what follows a failure.
        let modes: &[&str] = match kind.as_str() {
            "v1" | "p521" | "pss" | "critical" => &["prefer", "require", "verify-ca", "verify-full"],
            _ => &["require", "verify-ca", "verify-full"],
        };
        rows.extend(each(modes, |mode| {
            let root = if mode.starts_with("verify") { format!("&sslrootcert={ca}") } else { String::new() };
            let rest = format!("{SUPERUSER}:{PASSWORD}@localhost:{}/postgres?sslmode={mode}{root}", server.port);
            let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
            let mut psql = Command::new(postgres_tool("psql"));
            psql.args(["-XAtc", sql])
                .arg(format!("postgresql://{rest}&hostaddr=127.0.0.1"))
                .env("HOME", "/nonexistent");
            (format!("{kind} {mode}"), Verdict::by(&mut psql), judged(format!("postgres://{rest}"), &[]))
        }));
    }
    let differences = surprises(&rows, &POSTGRES);
    assert!(differences.is_empty(), "{differences}");
}

/// Puts a certificate and its key where the server finds them; the options that say so.
fn give_certificate(server: &Postgres, kind: &str) -> [String; 3] {
    let [cert, key] = ["pem", "key"].map(|extension| {
        let own = server.path().join("own").with_extension(extension);
        fs::write(&own, fs::read(file(&format!("{kind}.{extension}"))).unwrap()).unwrap();
        private(&own, server.path());
        own
    });
    ["ssl=on".to_owned(), format!("ssl_cert_file={}", cert.display()), format!("ssl_key_file={}", key.display())]
}

/// A server with TLS and these options, which lets everybody in, over TLS or not.
fn open_server(options: &[&str]) -> Postgres {
    let mut server = Postgres::new();
    server.hba("host all all 127.0.0.1/32 trust");
    let own = give_certificate(&server, "rsa");
    let own = own.iter().map(String::as_str).chain(["log_connections=on"]);
    server.start(&own.chain(options.iter().copied()).collect::<Vec<_>>());
    server.wait_until_up();
    server
}

#[test]
fn prefer_goes_on_in_plain_text_only_where_the_server_refuses_tls() {
    // psql is in TLS here, and so a password must not go in clear.
    let server = open_server(&["ssl_max_protocol_version=TLSv1.2", "ssl_ciphers=AES128-SHA256"]);
    let said = server.log().len();
    let url = server.url("postgres?sslmode=prefer");
    let ours = judged(url.clone(), &[]);
    assert!(!ours.connects && ours.says.contains("finds no TLS in common with this build"), "{}", ours.says);
    assert!(!server.log()[said..].contains("connection authorized"), "{}", server.log());
    assert_eq!(is_psql_in_tls(&url), "t");

    // Here the server refuses the client's certificate, and psql goes on without TLS.
    let ca = format!("ssl_ca_file={}", file("rsa.ca"));
    let server = open_server(&["ssl_max_protocol_version=TLSv1.2", &ca]);
    let (cert, key) = (file("self-ca.pem"), file("self-ca.key"));
    let url = server.url(&format!("postgres?sslmode=prefer&sslcert={cert}&sslkey={key}"));
    assert_eq!(is_psql_in_tls(&url), "f");
    let ours = judged(url, &[]);
    assert!(ours.connects, "{}", ours.says);
}

fn is_psql_in_tls(url: &str) -> String {
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    let output = Command::new(postgres_tool("psql")).args(["-XAtc", sql, url]).env("HOME", "/nonexistent").output();
    String::from_utf8_lossy(&output.expect("psql").stdout).trim().to_owned()
}

/// As PostgreSQL wants its key: its own, and nobody else's.
fn private(path: &Path, directory: &Path) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let owner = fs::metadata(directory).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    if nix::unistd::geteuid().is_root() {
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}
