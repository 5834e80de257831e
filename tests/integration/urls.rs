//! Connection strings of real applications against a recorder that answers on every port: what arrives is what
//! their own clients would send (tests/corpus/urls/strings.tsv).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::certificates::Ca;
use crate::support::name_server::{Answer, NameServer, at_once};
use crate::support::network::{in_private_network, replace, sh};
use crate::support::{Finished, Run};

const STRINGS: &str = concat!(include_str!("../corpus/urls/strings.tsv"), include_str!("../corpus/urls/more.tsv"));
/// Where the test itself connects, after an executable has ended.
const MARK: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 66, 66, 66));
/// How long one connection is listened to.
const PATIENCE: Duration = Duration::from_secs(2);

struct Row {
    kind: String,
    string: String,
    expect: Value,
}

fn rows() -> Vec<Row> {
    let lines = STRINGS.lines().filter(|line| !line.starts_with('#') && *line != "kind\tstring\texpect");
    lines
        .map(|line| {
            let (kind, rest) = line.split_once('\t').expect("three fields");
            let (string, expect) = rest.rsplit_once('\t').expect("three fields");
            let expect = serde_json::from_str(expect).unwrap_or_else(|error| panic!("{line}: {error}"));
            Row { kind: kind.to_owned(), string: string.to_owned(), expect }
        })
        .collect()
}

/// What came in one connection.
#[derive(Debug, Default, Clone)]
struct Arrival {
    /// The name or address, and the port; or the path of a socket.
    place: Value,
    /// `SSLRequest`, or a handshake at once.
    asked_for_tls: bool,
    /// What was read, in clear.
    startup: BTreeMap<String, String>,
    password: Option<String>,
    commands: Vec<Vec<String>>,
    http: Option<(String, BTreeMap<String, String>)>,
    /// Whether nothing more comes.
    is_over: bool,
}

/// What the recorder knows, and what it does about TLS.
struct Recorder {
    arrivals: Mutex<Vec<Arrival>>,
    names: Mutex<BTreeMap<String, IpAddr>>,
    tls: Arc<ServerConfig>,
    /// Whether the server takes TLS where Postgres asks first.
    has_tls: Mutex<bool>,
    /// How many connections to [`MARK`] have been taken: all before them have been noted.
    marks: Mutex<usize>,
    changed: Condvar,
}

trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

impl Recorder {
    fn new(ca: &Ca) -> Arc<Self> {
        let files = ca.issue("recorder", &["recorder"]);
        let cert = CertificateDer::pem_file_iter(&files.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = Arc::new(builder.with_no_client_auth().with_single_cert(cert, key).unwrap());
        Arc::new(Self {
            arrivals: Mutex::default(),
            names: Mutex::default(),
            tls,
            has_tls: Mutex::new(false),
            marks: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// The address of a name: one of its own for each.
    fn resolve(&self, name: &str) -> IpAddr {
        let mut names = self.names.lock().unwrap();
        let next = u16::try_from(names.len() + 1).unwrap().to_be_bytes();
        *names.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_insert([127, 77, next[0], next[1]].into())
    }

    fn name_of(&self, address: IpAddr) -> String {
        let address = address.to_canonical();
        let names = self.names.lock().unwrap();
        let name = names.iter().find(|(_, other)| **other == address).map(|(name, _)| name.clone());
        name.unwrap_or_else(|| address.to_string())
    }

    fn listen(self: &Arc<Self>, port: u16) {
        let listener = TcpListener::bind(("::", port)).unwrap_or_else(|error| panic!("port {port}: {error}"));
        let recorder = Arc::clone(self);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let address = stream.local_addr().unwrap().ip().to_canonical();
                if address == MARK {
                    *recorder.marks.lock().unwrap() += 1;
                    recorder.changed.notify_all();
                    continue;
                }
                let place = json!([recorder.name_of(address), port]);
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let (recorder, index) = (Arc::clone(&recorder), recorder.arrive(place));
                thread::spawn(move || recorder.hear(Box::new(stream), index));
            }
        });
    }

    /// Notes a connection, which is known by what it returns.
    fn arrive(&self, place: Value) -> usize {
        let mut arrivals = self.arrivals.lock().unwrap();
        arrivals.push(Arrival { place, ..Arrival::default() });
        self.changed.notify_all();
        arrivals.len() - 1
    }

    fn listen_at(self: &Arc<Self>, path: &str) {
        std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        let listener = UnixListener::bind(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (recorder, place) = (Arc::clone(self), json!(path));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let (recorder, index) = (Arc::clone(&recorder), recorder.arrive(place.clone()));
                thread::spawn(move || recorder.hear(Box::new(stream), index));
            }
        });
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Arrival)) {
        // A connection of an earlier row may still speak, if it was not over in time.
        if let Some(arrival) = self.arrivals.lock().unwrap().get_mut(index) {
            change(arrival);
        }
    }

    /// Notes what comes in a connection, to its end.
    fn hear(&self, stream: Box<dyn Both>, index: usize) {
        drop(self.speak(stream, index));
        self.note(index, |arrival| arrival.is_over = true);
        self.changed.notify_all();
    }

    /// Waits until all has been noted that an executable, which has ended, connected to and sent: at `ports`, or at a socket.
    fn settle(&self, ports: &[u16], socket: bool) {
        for port in ports {
            let before = *self.marks.lock().unwrap();
            drop(TcpStream::connect((MARK, *port)));
            let marks = self.marks.lock().unwrap();
            drop(self.changed.wait_timeout_while(marks, PATIENCE, |marks| *marks == before).unwrap());
        }
        if socket {
            let arrivals = self.arrivals.lock().unwrap();
            drop(self.changed.wait_timeout_while(arrivals, PATIENCE, |arrivals| arrivals.is_empty()).unwrap());
        }
        let arrivals = self.arrivals.lock().unwrap();
        let go_on = |arrivals: &mut Vec<Arrival>| !arrivals.iter().all(|arrival| arrival.is_over);
        drop(self.changed.wait_timeout_while(arrivals, PATIENCE, go_on).unwrap());
    }

    fn speak(&self, mut stream: Box<dyn Both>, index: usize) -> std::io::Result<()> {
        let mut first = [0; 1];
        stream.read_exact(&mut first)?;
        match first[0] {
            0x16 => {
                self.note(index, |arrival| arrival.asked_for_tls = true);
                let stream = self.handshake(Box::new(Prefixed(first.to_vec(), stream)))?;
                self.speak(stream, index)
            }
            b'*' => self.speak_redis(Box::new(Prefixed(first.to_vec(), stream)), index),
            0 => self.speak_postgres(Box::new(Prefixed(first.to_vec(), stream)), index),
            _ => self.speak_http(Box::new(Prefixed(first.to_vec(), stream)), index),
        }
    }

    fn handshake(&self, mut stream: Box<dyn Both>) -> std::io::Result<Box<dyn Both>> {
        let mut connection = ServerConnection::new(Arc::clone(&self.tls)).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }

    fn speak_postgres(&self, mut stream: Box<dyn Both>, index: usize) -> std::io::Result<()> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4).min(10_000)];
        stream.read_exact(&mut body)?;
        if body == 80_877_103_u32.to_be_bytes() {
            self.note(index, |arrival| arrival.asked_for_tls = true);
            if !*self.has_tls.lock().unwrap() {
                stream.write_all(b"N")?;
                return self.speak(stream, index);
            }
            stream.write_all(b"S")?;
            let stream = self.handshake(stream)?;
            return self.speak(stream, index);
        }
        let fields: Vec<String> =
            body[4..].split(|byte| *byte == 0).map(|f| String::from_utf8_lossy(f).into()).collect();
        let pairs = fields.chunks_exact(2).filter(|pair| !pair[0].is_empty());
        let startup = pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        self.note(index, |arrival| arrival.startup = startup);
        // AuthenticationCleartextPassword
        stream.write_all(b"R\0\0\0\x08\0\0\0\x03")?;
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let mut password = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4];
        stream.read_exact(&mut password)?;
        let password = String::from_utf8_lossy(password.strip_suffix(b"\0").unwrap_or(&password)).into_owned();
        self.note(index, |arrival| arrival.password = Some(password));
        Ok(())
    }

    fn speak_redis(&self, mut stream: Box<dyn Both>, index: usize) -> std::io::Result<()> {
        loop {
            let count: usize = line(&mut stream)?.trim_start_matches('*').parse().unwrap_or(0);
            let mut words = Vec::new();
            for _ in 0..count {
                let length: usize = line(&mut stream)?.trim_start_matches('$').parse().unwrap_or(0);
                let mut word = vec![0; length + 2];
                stream.read_exact(&mut word)?;
                words.push(String::from_utf8_lossy(&word[..length]).into_owned());
            }
            let answer: &[u8] = match words.first().map(String::as_str) {
                Some("PING") => b"+PONG\r\n",
                Some("SENTINEL") if words[1].eq_ignore_ascii_case("masters") => b"*0\r\n",
                Some("SENTINEL") => b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n",
                Some("ROLE") => b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
                _ => b"+OK\r\n",
            };
            self.note(index, |arrival| arrival.commands.push(words));
            stream.write_all(answer)?;
        }
    }

    fn speak_http(&self, mut stream: Box<dyn Both>, index: usize) -> std::io::Result<()> {
        let request = line(&mut stream)?;
        let mut fields = BTreeMap::new();
        loop {
            let field = line(&mut stream)?;
            let Some((name, value)) = field.split_once(':') else { break };
            fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        self.note(index, |arrival| arrival.http = Some((path, fields)));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    }
}

fn line(stream: &mut impl Read) -> std::io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        stream.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => return Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            other => line.push(other),
        }
    }
}

/// A stream of which some has been read.
struct Prefixed(Vec<u8>, Box<dyn Both>);

impl Read for Prefixed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return self.1.read(buffer);
        }
        let n = buffer.len().min(self.0.len());
        buffer[..n].copy_from_slice(&self.0.drain(..n).collect::<Vec<_>>());
        Ok(n)
    }
}

impl Write for Prefixed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.1.flush()
    }
}

/// How a row came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Agrees,
    Elsewhere,
    RefusedWithAWayOut,
    RefusedWithout,
    Leaks,
}

/// `says` of the data is a list of texts.
fn says(message: &str, pattern: &Value) -> bool {
    let message = message.to_lowercase();
    let any = |pattern: &str| pattern.split('|').any(|text| message.contains(&text.replace('\\', "").to_lowercase()));
    pattern.as_str().is_none_or(any)
}

fn is_one_of(found: &Value, expected: &Value) -> bool {
    found == expected || expected.as_array().is_some_and(|all| all.contains(found))
}

fn judge(row: &Row, run: &Finished, arrivals: &[Arrival]) -> (Class, String) {
    let output = format!("{}{}", run.stdout, run.stderr);
    let secrets = row.expect["secret"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let password = row.expect["password"].as_str().filter(|text| row.string.matches(text).count() == 1);
    if let Some(leak) = secrets.chain(password).find(|secret| secret.len() > 3 && output.contains(secret)) {
        return (Class::Leaks, format!("{leak} in {output}"));
    }
    let wanted = [&row.expect["says"], &row.expect["or_refuse"]];
    if run.status == 2 {
        let is_expected = wanted.iter().any(|wanted| !wanted.is_null() && says(&output, wanted));
        return match (is_expected, row.expect["refuse"].is_null()) {
            (true, _) => (Class::Agrees, String::new()),
            (false, _) if output.contains("://") => (Class::RefusedWithAWayOut, output),
            (false, _) => (Class::RefusedWithout, output),
        };
    }
    if !row.expect["refuse"].is_null() {
        return (Class::Elsewhere, format!("not refused: {output}"));
    }
    let Some(first) = arrivals.first() else { return (Class::Elsewhere, format!("nothing arrived: {output}")) };
    match difference(row, arrivals, first) {
        Some(problem) => (Class::Elsewhere, format!("{problem}; {output}")),
        None => (Class::Agrees, String::new()),
    }
}

/// What is wrong with what arrived.
fn difference(row: &Row, arrivals: &[Arrival], first: &Arrival) -> Option<String> {
    let expect = &row.expect;
    let mut wrong = String::new();
    let mut check = |key: &str, found: Value, expected: &Value| {
        if !is_one_of(&found, expected) {
            let _ = write!(wrong, "{key} is {found}, not {expected}; ");
        }
    };
    let last = arrivals.iter().rev().find(|a| !a.startup.is_empty() || !a.commands.is_empty()).unwrap_or(first);
    let (host, port) = match &first.place {
        Value::Array(place) => (place[0].clone(), place[1].clone()),
        socket => (socket.clone(), Value::from(0)),
    };
    if !expect["socket"].is_null() {
        check("socket", first.place.clone(), &expect["socket"]);
    } else if !expect["sentinel"].is_null() {
        check("sentinel", first.place.clone(), &expect["sentinel"]["hosts"]);
    } else {
        // That it was given by its name cannot be seen.
        let is_localhost = host == "127.0.0.1" && is_one_of(&"localhost".into(), &expect["host"]);
        check("host", if is_localhost { expect["host"].clone() } else { host }, &expect["host"]);
        check("port", port, &expect["port"]);
    }
    let tls = expect["tls"].as_str();
    match tls {
        Some("never") => check("TLS", first.asked_for_tls.into(), &false.into()),
        Some("prefer" | "require" | "verify") => check("TLS", first.asked_for_tls.into(), &true.into()),
        _ => {}
    }
    if tls == Some("verify") {
        let is_told = last.startup.contains_key("user") || last.http.is_some() || !last.commands.is_empty();
        check("what an unknown authority is told", is_told.into(), &false.into());
        return Some(wrong).filter(|wrong| !wrong.is_empty());
    }
    let value = |text: Option<&String>| text.map_or(Value::Null, |text| Value::from(text.as_str()));
    if row.kind == "postgres" {
        for key in ["user", "database", "options"] {
            // Nobody named one: the default is sent.
            let found = last.startup.get(key);
            if key != "user" || !expect[key].is_null() {
                check(key, value(found), &expect[key]);
            }
        }
        // The recorder asks for it in clear, which this refuses.
        if !row.string.contains("channel_binding=require") {
            check("password", value(last.password.as_ref()), &expect["password"]);
        }
    }
    if row.kind == "redis" {
        let words = |name: &str| last.commands.iter().find(|words| words[0] == name).map(|words| words[1..].to_vec());
        let auth = words("AUTH").map(|words| words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>());
        check("auth", auth.map_or(Value::Null, Value::from), &expect["auth"]);
        let db = words("SELECT").and_then(|words| words[0].parse::<u64>().ok()).unwrap_or(0);
        check("db", db.into(), &expect.get("db").cloned().unwrap_or(0.into()));
    }
    // Of other protocols, a line break among the first bytes is chance.
    let speaks_http = row.kind != "tcp";
    if let Some((path, fields)) = &last.http.clone().or_else(|| first.http.clone()).filter(|_| speaks_http) {
        check("path", path.as_str().into(), &expect["path"]);
        if !expect["host_header"].is_null() {
            check("Host", value(fields.get("host")), &expect["host_header"]);
        }
        let basic = expect["auth"].as_str().map(|auth| base64::engine::general_purpose::STANDARD.encode(auth));
        check(
            "Authorization",
            value(fields.get("authorization")),
            &basic.map_or(Value::Null, |b| format!("Basic {b}").into()),
        );
    }
    Some(wrong).filter(|wrong| !wrong.is_empty())
}

/// Sockets that a test may make: below what it mounts itself.
fn is_own(path: &str) -> bool {
    path.starts_with("/run/") || path.starts_with("/var/lib/")
}

#[test]
fn strings_of_real_applications_reach_the_place_that_their_clients_reach() {
    in_private_network(|| {
        let (rows, ca) = (rows(), Ca::new());
        let recorder = Recorder::new(&ca);
        sh("mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && mkdir -p /run/secrets");
        sh("ip addr add fe80::1/64 dev lo nodad && ip addr add 2001:db8::1/128 dev lo");
        sh("ip addr add 2001:db8::1234/128 dev lo");
        for address in ["192.0.2.17", "10.0.0.1", "10.96.0.1"] {
            sh(&format!("ip addr add {address}/32 dev lo"));
        }
        for file in ["ca.pem", "client.pem", "client.key"] {
            std::fs::write(format!("/run/secrets/{file}"), "").unwrap();
        }
        std::fs::copy(ca.file(), "/run/secrets/other.pem").unwrap();
        std::fs::copy(Ca::named("Another CA").file(), "/run/secrets/ca.pem").unwrap();
        let client = ca.issue("client", &["client"]);
        std::fs::copy(&client.cert, "/run/secrets/client.pem").unwrap();
        std::fs::copy(&client.key, "/run/secrets/client.key").unwrap();
        replace("/etc/hosts", "127.0.0.1 localhost\n");
        let names = Arc::clone(&recorder);
        let _name_server = NameServer::start("", move |name| at_once(Answer::Addresses(vec![names.resolve(name)])));
        let mut ports: Vec<u16> = Vec::new();
        for row in &rows {
            let more = row.expect["sentinel"]["hosts"].as_array().into_iter().flatten().map(|place| &place[1]);
            let wanted = row.expect["port"].as_array().into_iter().flatten().chain([&row.expect["port"]]).chain(more);
            ports.extend(wanted.filter_map(|port| u16::try_from(port.as_u64()?).ok()).filter(|port| *port > 0));
            if let Some(socket) = row.expect["socket"].as_str().filter(|path| is_own(path) && !Path::new(path).exists())
            {
                recorder.listen_at(socket);
            }
        }
        ports.extend([5432, 6379, 26379, 80, 443]);
        ports.sort_unstable();
        ports.dedup();
        for port in &ports {
            recorder.listen(*port);
        }
        let mut table: BTreeMap<Class, usize> = BTreeMap::new();
        let mut told = String::new();
        for row in &rows {
            // Servers that stand in SRV records are found in mongodb.rs.
            let is_in_dns = row.string.starts_with("mongodb+srv://");
            if is_in_dns || row.expect["socket"].as_str().is_some_and(|path| !is_own(path)) {
                continue;
            }
            let (class, problem) = run(&recorder, row, &ports);
            *table.entry(class).or_default() += 1;
            if class != Class::Agrees {
                let _ = writeln!(told, "{class:?} {}: {problem}", row.string);
            }
        }
        println!("{table:?}");
        assert!(told.is_empty(), "{told}");
    });
}

/// One string as the one target.
fn run(recorder: &Arc<Recorder>, row: &Row, ports: &[u16]) -> (Class, String) {
    let wants_tls = ["require", "verify"].iter().any(|mode| is_one_of(&(*mode).into(), &row.expect["tls"]));
    *recorder.has_tls.lock().unwrap() = wants_tls;
    recorder.arrivals.lock().unwrap().clear();
    let begun = Instant::now();
    let is_open = matches!(row.kind.as_str(), "tcp") || !row.expect["ready"].is_null();
    let mut run = Run::new().arg("--check").arg("--attempt-timeout").arg(if is_open { "300ms" } else { "3s" });
    for (name, value) in row.expect["env"].as_object().into_iter().flatten() {
        run = run.env(name, value.as_str().unwrap_or_default());
    }
    let finished = run.target(row.string.as_str()).finish();
    let is_at =
        |port: &&u16| row.expect.to_string().contains(&port.to_string()) || [5432, 6379, 80, 443].contains(*port);
    let used: Vec<u16> = ports.iter().filter(is_at).copied().collect();
    recorder.settle(&used, finished.status != 2 && !row.expect["socket"].is_null());
    let arrivals = recorder.arrivals.lock().unwrap().clone();
    assert!(begun.elapsed() < Duration::from_secs(20), "{}", row.string);
    judge(row, &finished, &arrivals)
}
