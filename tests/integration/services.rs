//! memcached, NATS, SMTP and what all servers with a protocol of their own have in common, by scripted peers.

use std::io::{Read, Write};

use crate::support::Run;
use crate::support::peer::{Peer, hold};

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
