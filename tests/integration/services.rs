//! memcached, NATS, SMTP and what all servers with a protocol of their own have in common, by scripted peers.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use crate::support::peer::{Peer, hold, response};
use crate::support::{Run, directory};

/// What is said without being asked, and what to each request in turn.
type Script = (&'static [u8], &'static [&'static [u8]]);

/// Servers in order, by the beginning and the end of their URLs.
const SERVERS: &[(&str, &str, Script)] = &[
    #[cfg(feature = "mongodb")]
    (
        "mongodb://127.0.0.1:",
        "/",
        (
            b"",
            &[b"\x2d\0\0\0\0\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
                \x18\0\0\0\x08ismaster\0\x01\x10ok\0\x01\0\0\0\0"],
        ),
    ),
    // ApiVersions, then one broker, which is the controller.
    #[cfg(feature = "kafka")]
    (
        "kafka://127.0.0.1:",
        "",
        (
            b"",
            &[
                b"\0\0\0\x10\0\0\0\x01\0\0\0\0\0\x01\0\x03\0\0\0\x0c",
                b"\0\0\0\x23\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x01\0\x01k\0\0\x23\x84\xff\xff\0\0\0\0\0\x01\0\0\0\0",
            ],
        ),
    ),
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
    #[cfg(feature = "tls")]
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

#[cfg(feature = "tls")]
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
