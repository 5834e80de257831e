//! memcached, NATS, SMTP and what all servers with a protocol of their own have in common, by scripted peers.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use crate::support::peer::{Peer, hold, response};
use crate::support::{Run, directory};

/// What is said without being asked, and what to each request in turn.
type Script = (&'static [u8], &'static [&'static [u8]]);

/// Servers in order, by the beginning and the end of their URLs.
const SERVERS: &[(&str, &str, Script)] = &[
    (
        "mongodb://127.0.0.1:",
        "/",
        (
            b"",
            &[b"\x2d\0\0\0\0\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
                \x18\0\0\0\x08ismaster\0\x01\x10ok\0\x01\0\0\0\0"],
        ),
    ),
    // ApiVersions, then a login that is wanted.
    (
        "kafka://127.0.0.1:",
        "",
        (
            b"",
            &[
                b"\0\0\0\x16\0\0\0\x01\0\0\0\0\0\x02\0\x03\0\0\0\x0c\0\x11\0\0\0\x01",
                b"\0\0\0\x11\0\0\0\x02\0\0\0\0\0\x01\0\x05PLAIN",
            ],
        ),
    ),
    ("mqtt://127.0.0.1:", "", (b"", &[b"\x20\x02\0\0"])),
    ("ldap://127.0.0.1:", "", (b"", &[b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\0\x04\0\x04\0"])),
    ("memcached://127.0.0.1:", "", (b"", &[b"VERSION 1.6.18\r\n"])),
    ("nats://127.0.0.1:", "", (b"INFO {}\r\n", &[b"PONG\r\n"])),
    ("smtp://127.0.0.1:", "", (b"220 mail.example ESMTP\r\n", &[b"250 mail.example\r\n", b"221 bye\r\n"])),
];

fn serve(script: Script) -> Peer {
    Peer::start(move |mut stream, _| {
        drop(stream.write_all(script.0));
        for answer in script.1 {
            if !matches!(stream.read(&mut [0; 4096]), Ok(n) if n > 0) || stream.write_all(answer).is_err() {
                return;
            }
        }
        hold(stream);
    })
}

/// That `url` counts as up while `server` is there, and as down when it is dropped.
fn up_until_dropped<T>(url: &str, server: T) {
    let until_down = || Run::new().arg("--until-down").target(url);
    until_down().timeout("300ms").finish().expect_status(124).expect_stderr("still up");
    let waiting = until_down().timeout("60s").command(["echo", "it is gone"]).spawn();
    waiting.wait_for_stderr("still up");
    drop(server);
    waiting.finish().expect_status(0).expect_stdout("it is gone\n");
    // And from the first attempt on.
    until_down().timeout("60s").finish().expect_status(0).expect_stderr("it refuses connections or is gone (attempt 1");
}

#[test]
fn until_down_asks_every_kind_of_server() {
    for (begin, end, script) in SERVERS {
        let peer = serve(*script);
        up_until_dropped(&format!("{begin}{}{end}", peer.port), peer);
    }
    {
        use crate::support::certificates::{Ca, accept, acceptor};
        let config = acceptor(&Ca::new().issue("localhost", &["127.0.0.1"]));
        let peer = Peer::start(move |stream, _| drop(accept(&config, stream)));
        up_until_dropped(&format!("tls://127.0.0.1:{}#insecure", peer.port), peer);
    }
    let directory = directory();
    let path = directory.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let closing = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(&response("200 OK", "")));
        }
    });
    let url = format!("http+unix://{}/", path.display().to_string().replace('/', "%2F"));
    up_until_dropped(&url, Closing(closing));
    // Neither the file alone nor its absence is a server.
    std::fs::remove_file(&path).unwrap();
    Run::new().arg("--until-down").target(url).timeout("60s").finish().expect_status(0);
}

/// Shuts a listener down, and with it its clones.
struct Closing(UnixListener);

impl Drop for Closing {
    fn drop(&mut self) {
        drop(socket2::SockRef::from(&self.0).shutdown(std::net::Shutdown::Both));
    }
}

#[test]
fn a_mail_server_that_says_no_good_bye_holds_nothing_up() {
    let peer = Peer::start(|mut stream, _| {
        drop(stream.write_all(b"220 mail.example ESMTP\r\n"));
        drop(stream.read(&mut [0; 64]));
        drop(stream.write_all(b"250 mail.example\r\n"));
        hold(stream);
    });
    let run = Run::new().target(format!("smtp://127.0.0.1:{}", peer.port)).timeout("30s").finish();
    run.expect_status(0).expect_stderr("it greets and answers EHLO").expect_elapsed(0..=2000);
}

#[test]
fn nats_goes_on_in_tls_where_the_server_wants_it_and_as_the_options_say() {
    use crate::support::certificates::{Ca, accept, acceptor};
    let ca = Ca::new();
    let config = acceptor(&ca.issue("localhost", &["127.0.0.1"]));
    let peer = Peer::start(move |mut stream, _| {
        drop(stream.write_all(b"INFO {\"tls_required\":true}\r\n"));
        let Some(mut stream) = accept(&config, stream) else { return };
        drop(stream.read(&mut [0; 1024]));
        drop(stream.write_all(b"PONG\r\n"));
        drop(stream.read(&mut [0; 1024]));
    });
    let url = format!("nats://app:secret@127.0.0.1:{}", peer.port);
    crate::support::fails_for_good(&url).expect_stderr("unknown CA");
    let file = ca.file();
    for options in [&["--tls-ca", file.to_str().unwrap()][..], &["--tls-insecure"]] {
        Run::new().target(&url).args(options.iter().copied()).finish().expect_status(0).expect_stderr("PONG");
    }
}

/// A NATS server over TLS that begins with its `INFO`, or with the handshake.
fn nats_over_tls(ca: &crate::support::certificates::Ca, handshake_first: bool) -> Peer {
    use crate::support::certificates::{accept, acceptor};
    let config = acceptor(&ca.issue("localhost", &["127.0.0.1"]));
    Peer::start(move |mut stream, _| {
        let info = b"INFO {\"tls_required\":true}\r\n";
        if !handshake_first {
            drop(stream.write_all(info));
        }
        let Some(mut stream) = accept(&config, stream) else { return };
        if handshake_first {
            drop(stream.write_all(info));
        }
        drop(stream.read(&mut [0; 1024]));
        drop(stream.write_all(b"PONG\r\n"));
        drop(stream.read(&mut [0; 1024]));
    })
}

#[test]
fn natss_is_nats_over_tls_whoever_begins_and_never_without() {
    let ca = crate::support::certificates::Ca::new();
    let file = ca.file();
    for handshake_first in [false, true] {
        let peer = nats_over_tls(&ca, handshake_first);
        for scheme in ["natss", "nats+tls"] {
            let url = format!("{scheme}://127.0.0.1:{}#ca={}", peer.port, file.display());
            crate::support::ready(url).expect_stderr("PONG");
        }
    }
    let plain = Peer::start(|mut stream, _| {
        drop(stream.write_all(b"INFO {}\r\n"));
        drop(stream.read(&mut [0; 1024]));
        drop(stream.write_all(b"PONG\r\n"));
        hold(stream);
    });
    crate::support::fails_for_good(format!("natss://127.0.0.1:{}", plain.port)).expect_stderr("has no TLS");
    // What NATS' clients mean by tls://
    crate::support::fails_for_good(format!("tls://127.0.0.1:{}", plain.port)).expect_stderr("nats+tls://");
}

#[test]
fn nats_at_a_server_that_begins_with_the_handshake_says_so() {
    // As nats-server, which waits for the handshake for two seconds.
    let peer = Peer::start(|stream, _| {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        drop(stream);
    });
    let run = crate::support::not_ready(format!("nats://127.0.0.1:{}", peer.port));
    run.expect_stderr("natss://").expect_nowhere("proxy");
}

#[test]
fn a_scheme_that_says_tls_is_not_ready_at_a_plain_port() {
    let peer = Peer::start(|mut stream, _| {
        drop(stream.write_all(b"* OK IMAP4rev1 ready\r\n"));
        hold(stream);
    });
    for scheme in ["imaps", "ftps", "stomps", "clickhouses", "pulsar+ssl", "neo4j+s", "neo4j+ssc", "etcds"] {
        crate::support::fails_for_good(format!("{scheme}://127.0.0.1:{}", peer.port))
            .expect_stderr("does not speak TLS");
    }
}

#[test]
fn a_mail_server_that_lets_clients_wait_is_ready_at_its_whole_greeting() {
    let peer = Peer::start(|mut stream, number| {
        drop(stream.write_all(b"220-mail.example ESMTP\r\n"));
        if number == 0 {
            return hold(stream);
        }
        stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        // Whoever speaks now is turned away.
        let begins_too_early = matches!(stream.read(&mut [0; 64]), Ok(n) if n > 0);
        stream.set_read_timeout(None).unwrap();
        drop(stream.write_all(if begins_too_early { b"521 no\r\n" } else { b"220 mail.example\r\n" }));
        let mut said = [0; 64];
        let n = stream.read(&mut said).unwrap_or(0);
        assert!(said[..n].starts_with(b"EHLO [127.0.0.1]\r\n"), "{:?}", String::from_utf8_lossy(&said[..n]));
        drop(stream.write_all(b"250 mail.example\r\n"));
        drop(stream.read(&mut said));
        drop(stream.write_all(b"221 bye\r\n"));
    });
    let url = format!("smtp://127.0.0.1:{}", peer.port);
    let run = Run::new().target(&url).args(["--max-attempts", "1", "--attempt-timeout", "500ms"]).finish();
    run.expect_status(124).expect_stderr("postscreen");
    crate::support::ready(&url);
}

/// memcached on a port of its own.
fn memcached(args: &[&str]) -> (crate::support::Reaper, u16) {
    memcached_with(args, "/nowhere")
}

/// The same, with the directory of what SASL is told.
fn memcached_with(args: &[&str], sasl: &str) -> (crate::support::Reaper, u16) {
    use std::process::{Command, Stdio};
    let port = crate::support::free_port();
    let child = Command::new(crate::support::tool(&["memcached"], "memcached"))
        .args(["-u", "nobody", "-l", "127.0.0.1", "-p", &port.to_string()])
        .args(args)
        .env("SASL_CONF_PATH", sasl)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    crate::support::eventually("memcached", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (crate::support::Reaper(child), port)
}

#[test]
fn memcached_with_sasl_lets_in_whom_it_knows() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};
    let directory = directory();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let users = directory.path().join("users");
    let mut made = Command::new(crate::support::tool(&["saslpasswd2"], "sasl2-bin"))
        .args(["-p", "-c", "-a", "memcached", "-f", users.to_str().unwrap(), "app"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    made.stdin.take().unwrap().write_all(b"secret").unwrap();
    assert!(made.wait().unwrap().success());
    std::fs::set_permissions(&users, PermissionsExt::from_mode(0o644)).unwrap();
    let told = format!("mech_list: plain\nsasldb_path: {}\n", users.display());
    std::fs::write(directory.path().join("memcached.conf"), told).unwrap();
    let (_server, port) = memcached_with(&["-S"], directory.path().to_str().unwrap());
    crate::support::ready(format!("memcached://app:secret@127.0.0.1:{port}")).expect_stderr("logged in as app");
    crate::support::ready(format!("memcached://127.0.0.1:{port}")).expect_stderr("login not tried");
    crate::support::fails_for_good(format!("memcached://app:wrong@127.0.0.1:{port}")).expect_stderr("Auth failure");
}

#[test]
fn memcached_is_asked_in_the_protocol_that_it_speaks_and_logged_in_to() {
    use std::os::unix::fs::PermissionsExt;
    let (_binary, port) = memcached(&["-B", "binary"]);
    crate::support::ready(format!("memcached://127.0.0.1:{port}")).expect_stderr("the binary protocol");
    let directory = directory();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let users = directory.path().join("users");
    std::fs::write(&users, "app:secret\n").unwrap();
    let (_text, port) = memcached(&["-Y", users.to_str().unwrap()]);
    crate::support::ready(format!("memcached://app:secret@127.0.0.1:{port}")).expect_stderr("logged in as app");
    crate::support::ready(format!("memcached://127.0.0.1:{port}")).expect_stderr("login not tried");
    crate::support::fails_for_good(format!("memcached://app:wrong@127.0.0.1:{port}"))
        .expect_stderr("authentication failure");
    let (_open, port) = memcached(&[]);
    crate::support::ready(format!("memcached://app:x@127.0.0.1:{port}")).expect_stderr("it wants no login");
}
