//! MongoDB, of which there is no package: scripted exchanges from its documented protocol. The states of a server are
//! told apart beside `src/probe/mongodb`; here is the way from a URL to an answer.

use std::io::{Read, Write};

use crate::support::peer::Peer;
use crate::support::{Run, fails_for_good, not_ready, ready};

/// A document with these elements, as an `OP_MSG`.
fn message(elements: &[u8]) -> Vec<u8> {
    let document = [&u32::try_from(elements.len() + 5).unwrap().to_le_bytes()[..], elements, &[0]].concat();
    let length = u32::try_from(document.len() + 21).unwrap();
    [&length.to_le_bytes()[..], &[0; 8], &2013_u32.to_le_bytes(), &[0; 5], &document].concat()
}

fn answering(answers: &'static [&'static [u8]]) -> Peer {
    Peer::start(move |mut stream, _| {
        for answer in answers {
            let mut request = [0; 4096];
            if !matches!(stream.read(&mut request), Ok(n) if n > 0) {
                return;
            }
            drop(stream.write_all(&message(answer)));
        }
        drop(stream.read(&mut [0; 4096]));
    })
}

const PRIMARY: &[u8] = b"\x08isWritablePrimary\0\x01\x02setName\0\x04\0\0\0rs0\0\x01ok\0\0\0\0\0\0\0\xf0\x3f";
const SECONDARY: &[u8] = b"\x08secondary\0\x01\x02setName\0\x04\0\0\0rs0\0\x10ok\0\x01\0\0\0";
const NOT_INITIATED: &[u8] = b"\x08isreplicaset\0\x01\x08secondary\0\0\x10ok\0\x01\0\0\0";
const REFUSED: &[u8] = b"\x10ok\0\0\0\0\0\x10code\0\x12\0\0\0\x02errmsg\0\x17\0\0\0Authentication failed.\0";

fn url(peer: &Peer, userinfo: &str, rest: &str) -> String {
    format!("mongodb://{userinfo}127.0.0.1:{}/{rest}", peer.port)
}

#[test]
fn a_primary_is_ready_and_a_secondary_where_no_primary_is_wanted() {
    let (primary, secondary) = (answering(&[PRIMARY]), answering(&[SECONDARY]));
    ready(url(&primary, "", "app?replicaSet=rs0")).expect_stderr("accepting connections (primary)");
    ready(url(&secondary, "", "")).expect_stderr("secondary");
    not_ready(url(&secondary, "", "?replicaSet=rs0")).expect_stderr("the URL wants a primary");
    ready(url(&secondary, "", "?replicaSet=rs0&readPreference=secondaryPreferred"));
    not_ready(url(&primary, "", "?replicaSet=rs1")).expect_stderr("another replica set (rs0, not rs1)");
    // Of several hosts the primary is looked for.
    ready(format!("mongodb://127.0.0.1:{},127.0.0.1:{}/?replicaSet=rs0", secondary.port, primary.port));
    Run::new().args(["--check", &url(&primary, "", "")]).finish().expect_status(0);
}

#[test]
fn a_set_that_is_not_initiated_is_not_ready_and_a_refused_login_stays_refused() {
    not_ready(url(&answering(&[NOT_INITIATED]), "", "?replicaSet=rs0")).expect_stderr("rs.initiate()");
    fails_for_good(url(&answering(&[PRIMARY, REFUSED]), "app:hunter2secret@", "app?authSource=admin"))
        .expect_stderr("Authentication failed. (18): check user, password and authSource")
        .expect_nowhere("hunter2secret");
    Run::new()
        .target("mongodb+srv://u:hunter2secret@cluster.example/")
        .finish()
        .expect_status(2)
        .expect_nowhere("hunter2");
}
