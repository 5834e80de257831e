//! HTTP targets: which response is ready, and what is said of any other.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::peer::{Peer, read_request, response};
use crate::support::{Finished, Run};

fn probe(url: &str) -> Finished {
    Run::new().target(url).timeout("400ms").finish()
}

fn ready(response: impl Into<Vec<u8>>, rest: &str) {
    let peer = Peer::http(response);
    Run::new().target(peer.url(rest)).timeout("20s").finish().expect_status(0);
}

fn not_ready(response: impl Into<Vec<u8>>, rest: &str, reason: &str) {
    let peer = Peer::http(response);
    probe(&peer.url(rest)).expect_status(124).expect_stderr(reason);
}

#[test]
fn statuses_from_200_to_399_are_ready() {
    for status in ["200 OK", "204 No Content", "301 Moved Permanently", "399 Custom"] {
        ready(response(status, ""), "/");
    }
}

#[test]
fn other_statuses_are_named_with_a_way_out() {
    for (status, reason) in [
        ("401 Unauthorized", "HTTP 401 Unauthorized: it wants credentials"),
        ("404 Not Found", "HTTP 404 Not Found: is the path right?"),
        ("500 Internal Server Error", "HTTP 500 Internal Server Error"),
        ("502 Bad Gateway", "the proxy is up, what is behind it is not"),
        ("503 Service Unavailable", "it says itself that it is not ready"),
    ] {
        not_ready(response(status, ""), "/", reason);
    }
}

#[test]
fn the_accepted_statuses_are_a_choice() {
    ready(response("503 Service Unavailable", ""), "/#status=200,500-599");
    not_ready(response("301 Moved Permanently", ""), "/#status=200", "a redirect, which is not followed");
    let peer = Peer::http(response("418 I'm a teapot", ""));
    Run::new().args(["--http-status", "418"]).target(peer.url("/")).finish().expect_status(0);
}

#[test]
fn a_service_that_recovers_is_ready_then() {
    let peer = Peer::start(|mut stream, number| {
        read_request(&mut stream);
        let status = if number < 3 { "503 Service Unavailable" } else { "200 OK" };
        drop(stream.write_all(&response(status, "")));
    });
    Run::new()
        .target(peer.url("/health"))
        .finish()
        .expect_status(0)
        .expect_stderr("HTTP 503")
        .expect_stderr("ready: HTTP 200 OK (attempt 4");
}

#[test]
fn no_status_ends_the_wait_by_itself() {
    for status in ["401 Unauthorized", "404 Not Found", "429 X", "472 X", "473 X", "500 X", "501 X", "503 X"] {
        let peer = Peer::http(response(status, ""));
        Run::new().arg("--fail-fast").target(peer.url("/")).timeout("300ms").finish().expect_status(124);
    }
}

#[test]
fn what_a_target_names_as_its_end_ends_the_wait_at_once() {
    let failed = r#"{"status":"failed","step":3}"#;
    for (answer, keys) in [
        (response("500 X", ""), "fail-status=404,500-599"),
        // They win over what would be ready, and look at any answer whatever its status.
        (response("200 OK", ""), "fail-status=200"),
        (response("200 OK", "the migration FAILED"), "fail-body=FAILED"),
        (response("503 X", "the migration FAILED"), "body=done&fail-body=FAILED"),
        (response("200 OK", failed), "json=/step&fail-json=/status=failed|broken"),
        (response("404 X", failed), "optional&fail-json=/step=3"),
    ] {
        let peer = Peer::http(answer);
        let ready = Peer::http(response("503 X", ""));
        let target = format!("migration={}", peer.url(&format!("/#{keys}")));
        let run = Run::new().args(["--log-format", "json", "--any", "--on-timeout", "run"]).target(&target);
        let finished = run.target(ready.url("/")).timeout("60s").command(["echo", "ran"]).finish();
        let finished = finished.expect_status(1).expect_elapsed(0..=5000).expect_stdout("");
        assert!(finished.stderr.contains("\"kind\":\"fail_condition\""), "{keys}: {}", finished.stderr);
        let checked = Run::new().arg("--check").target(&target).finish().expect_status(1);
        checked.expect_in_stdout("UNHEALTHY");
    }
    // What does not hold is nothing.
    ready(response("200 OK", r#"{"status":"ok"}"#), "/#fail-status=500&fail-body=FAILED&fail-json=/status=failed");
    not_ready(response("404 X", "FAIL"), "/#fail-body=FAILED", "HTTP 404");
}

#[test]
fn a_target_that_shall_be_down_has_no_end_of_its_own() {
    for target in ["http://127.0.0.1:1/#fail-status=500", "exec:true #fail-exit=3"] {
        let finished = Run::new().arg("--until-down").target(target).finish().expect_status(2);
        finished.expect_stderr("--until-down");
    }
}

#[test]
fn a_body_may_be_expected() {
    ready(response("200 OK", "all systems go"), "/#body=systems%20go");
    not_ready(response("200 OK", "starting"), "/#body=ready", "the body lacks the expected text");
    ready(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n0\r\n\r\n".to_vec(), "/#body=foo");
    ready(b"HTTP/1.0 200 OK\r\n\r\nuntil the end".to_vec(), "/#body=the%20end");
}

#[test]
fn json_may_be_expected() {
    let health = r#"{"status":"ok","checks":{"db":true,"cache":false}}"#;
    ready(response("200 OK", health), "/#json=/status=ok");
    ready(response("200 OK", health), "/#json=/checks/db&json=/checks/cache=false");
    not_ready(response("200 OK", health), "/#json=/checks/cache", "but /checks/cache in the body is false");
    not_ready(
        response("200 OK", health),
        "/#json=/status=up|green",
        "in the body is \"ok\", \"up\" or \"green\" is expected",
    );
    ready(response("200 OK", health), "/#json=/status=green|ok");
    ready(response("200 OK", "\u{feff}{\"n\":1.0}"), "/#json=/n=1");
    not_ready(response("200 OK", ""), "/#json=/n", "the body is empty, and JSON is expected");
    not_ready(response("200 OK", health), "/#json=/nope", "/nope in the body is absent");
    not_ready(response("200 OK", "<html>"), "/#json=/status", "the body is not JSON");
}

#[test]
fn an_endless_body_is_read_to_one_mebibyte_only() {
    let peer = Peer::start(|mut stream, _| {
        read_request(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while stream.write_all(&[b'x'; 8192]).is_ok() {}
    });
    Run::new().target(peer.url("/")).finish().expect_status(0);
    Run::new()
        .target(peer.url("/#body=needle"))
        .timeout("1s")
        .finish()
        .expect_status(124)
        .expect_stderr("lacks the expected text");
}

#[test]
fn an_answer_whose_framing_has_no_end_is_given_up() {
    for (begin, again) in [
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;a=b\r\nx\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "Trailer: x\r\n"),
    ] {
        let peer = Peer::start(move |mut stream, _| {
            read_request(&mut stream);
            drop(stream.write_all(begin.as_bytes()));
            while stream.write_all(again.repeat(1000).as_bytes()).is_ok() {}
        });
        let run = Run::new().target(peer.url("/#body=needle")).args(["--fail-fast", "--attempt-timeout", "30s"]);
        let finished = run.finish().expect_status(1);
        // Interim responses that come in a flood look like one header section.
        let is_said =
            ["the response does not end", "larger than 64 KiB"].iter().any(|why| finished.stderr.contains(why));
        assert!(is_said, "{again}: {finished:?}");
    }
}

#[test]
fn the_request_is_what_the_url_and_options_say() {
    let seen = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    let peer = Peer::start(move |mut stream, _| {
        *log.lock().unwrap() = read_request(&mut stream);
        drop(stream.write_all(&response("200 OK", "")));
    });
    let url = format!("http://user:p%40ss@127.0.0.1:{}/a%20b/c?x=1&y=2#header=X-Two:2&method=POST", peer.port);
    Run::new().args(["--http-header", "X-One: 1", "--http-header", "x-two: 1"]).target(url).finish().expect_status(0);
    let request = seen.lock().unwrap().to_ascii_lowercase();
    assert!(request.starts_with("post /a%20b/c?x=1&y=2 http/1.1\r\n"), "{request}");
    for field in [
        &format!("host: 127.0.0.1:{}\r\n", peer.port),
        concat!("user-agent: when-ready/", env!("CARGO_PKG_VERSION"), "\r\n"),
        "authorization: basic dxnlcjpwqhnz\r\n",
        "x-one: 1\r\n",
        "x-two: 2\r\n",
    ] {
        assert_eq!(request.matches(field).count(), 1, "{field} in {request}");
    }
    assert!(!request.contains("accept-encoding") && !request.contains("x-two: 1"), "{request}");
}

#[test]
fn numbers_in_a_body_and_headers_of_an_answer_are_waited_for() {
    let answer = |workers: u32, ready: &str| {
        let body = format!("{{\"workers\": {workers}}}");
        format!("HTTP/1.1 200 OK\r\nX-Ready: no\r\nx-ready: {ready}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let peer = Peer::start(move |mut stream, number| {
        read_request(&mut stream);
        let text = match number {
            0..20 => answer(1, "hunter2no"),
            20..40 => answer(2, "hunter2no"),
            _ => answer(12, "hunter2yes"),
        };
        drop(stream.write_all(text.as_bytes()));
    });
    let run = |keys: &str| Run::new().target(peer.url(&format!("/#{keys}"))).spawn();
    let (body, header) = (run("json=/workers>=2&json=/workers<=12"), run("header-is=X-READY:%20hunter2yes"));
    body.wait_for_stderr("/workers in the body is 1, at least 2 is expected");
    header.wait_for_stderr("the header x-ready has another value than expected");
    body.finish().expect_status(0);
    header.finish().expect_status(0).expect_nowhere("hunter2");
    let absent = crate::support::not_ready(peer.url("/#header-is=X-Other:%201"));
    absent.expect_stderr("the header x-other is not there");
    // A field that says how the body is read is compared like any other, and read as before.
    let read = crate::support::ready(peer.url("/#header-is=Content-Length:15&json=/workers=12"));
    read.expect_stderr("the body as expected");
    let failed = Run::new().target(peer.url("/#fail-json=/workers>=12")).finish().expect_status(1);
    failed.expect_stderr("(fail-json=)");
}

#[test]
fn the_proxy_of_the_environment_is_not_used() {
    let peer = Peer::http(response("200 OK", ""));
    Run::new()
        .env("http_proxy", "http://127.0.0.1:1")
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .target(peer.url("/"))
        .finish()
        .expect_status(0);
}

#[test]
fn credentials_that_are_refused_are_not_asked_for() {
    let peer = Peer::http(response("401 Unauthorized", ""));
    let bearer = format!("{}#header=Authorization:Bearer%20x", peer.url("/"));
    for url in [peer.url("/").replace("http://", "http://app:secret@"), bearer] {
        let run = crate::support::not_ready(url);
        run.expect_stderr("the server refuses these credentials").expect_nowhere("wants credentials");
    }
}

#[test]
fn a_peer_that_is_no_http_server_is_recognised() {
    not_ready(b"-ERR unknown command 'GET'\r\n".to_vec(), "/", "does not answer as an HTTP server");
    not_ready(b"".to_vec(), "/", "closed the connection before it answered");
}

#[test]
fn the_first_answer_wins_while_others_hang() {
    let peer = Peer::start(|mut stream, number| {
        read_request(&mut stream);
        if number == 0 {
            crate::support::peer::hold(stream);
        } else {
            drop(stream.write_all(&response("200 OK", "")));
        }
    });
    // The second begins after half a second, less a tenth.
    Run::new().target(peer.url("/")).finish().expect_status(0).expect_elapsed(450..=4900);
}

#[test]
fn a_server_whose_redirect_leads_nowhere_is_not_down() {
    let gone = crate::support::free_port();
    let peer =
        Peer::http(format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{gone}/\r\nContent-Length: 0\r\n\r\n"));
    for follow in ["follow", "follow=any"] {
        let run = Run::new().args(["--until-down", "-t", "300ms"]).target(peer.url(&format!("/#{follow}")));
        run.finish().expect_status(124).expect_stderr("still up");
    }
}
