//! Answers of HTTP servers as they are in the world: curl is asked the same at the same moment.

use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::peer::{Peer, hold, read_request, response};
use crate::support::{Run, directory, eventually, tool};

const BODY: &str = "{\"a\":1}";

/// A head with `fields` before its length, and the body.
fn with(status_line: &str, fields: &str) -> Vec<u8> {
    format!("{status_line}\r\n{fields}Content-Length: {}\r\n\r\n{BODY}", BODY.len()).into_bytes()
}

/// Framed by chunks: what stands after the header section.
fn chunked(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
}

fn curl(url: &str) -> bool {
    let curl = tool(&["curl"], "curl");
    let output = Command::new(curl).args(["-sS", "-f", "--noproxy", "*", "-m", "20", url]).output().unwrap();
    output.status.success()
}

#[test]
fn what_curl_takes_for_an_answer_is_one_and_what_it_refuses_is_none() {
    const OK: &str = "HTTP/1.1 200 OK";
    let lf = |response: &[u8]| String::from_utf8_lossy(response).replace("\r\n", "\n").into_bytes();
    let long = format!("X: {}\r\n", "a".repeat(60_000));
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("a plain answer", with(OK, "")),
        ("no reason", with("HTTP/1.1 200", "")),
        ("no reason, and a blank", with("HTTP/1.1 200 ", "")),
        ("two blanks", with("HTTP/1.1  200 OK", "")),
        ("no blank before the reason", with("HTTP/1.1 200OK", "")),
        ("small letters", with("http/1.1 200 OK", "")),
        ("a reason of odd characters", [b"HTTP/1.1 200 \xe4\xf6\x01\r\n", &with("", "")[2..]].concat()),
        ("HTTP/1.0", with("HTTP/1.0 200 OK", "")),
        ("lines that end in LF", lf(&with(OK, "X: y\r\n"))),
        ("a folded field", with(OK, "X: a\r\n  b\r\n\tc\r\n")),
        ("a line of blanks", with(OK, "X: a\r\n \r\n")),
        ("blanks before colons", with(OK, "X : a\r\nY\t: b\r\n")),
        (
            "odd characters in fields",
            [b"HTTP/1.1 200 OK\r\nX(y)@: \xff\x01a\r\n\xe4: b\r\n: c\r\n", &with("", "")[2..]].concat(),
        ),
        ("a CR within a field", with(OK, "X: a\rb\r\n")),
        ("many fields", with(OK, &"X: y\r\n".repeat(1000))),
        ("a long field", with(OK, &long)),
        ("100 with fields", [b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n".to_vec(), with(OK, "")].concat()),
        (
            "103 with fields",
            [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n".to_vec(), with(OK, "")].concat(),
        ),
        ("no length", format!("{OK}\r\n\r\n{BODY}").into_bytes()),
        ("the length twice", with(OK, "Content-Length: 7\r\n")),
        ("a length with a sign", format!("{OK}\r\nContent-Length: +7\r\n\r\n{BODY}").into_bytes()),
        ("a list of lengths", format!("{OK}\r\nContent-Length: 7, 7\r\n\r\n{BODY}").into_bytes()),
        (
            "a length beyond all numbers",
            format!("{OK}\r\nContent-Length: 99999999999999999999999\r\n\r\n{BODY}").into_bytes(),
        ),
        ("more than the length", [with(OK, ""), b"more".to_vec()].concat()),
        ("chunks", chunked("7\r\n{\"a\":1}\r\n0\r\n\r\n")),
        (
            "chunks of HTTP/1.0",
            format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{BODY}\r\n0\r\n\r\n").into_bytes(),
        ),
        ("extensions of chunks", chunked("3;a=\"b\"\r\n{\"a\r\n4 ; c\r\n\":1}\r\n0;x\r\nT: v\r\n\r\n")),
        ("a long line of a chunk's size", chunked(&format!("0000000007;{}\r\n{BODY}\r\n0\r\n\r\n", "a".repeat(5000)))),
        ("chunks and LF", lf(&chunked("7\r\n{\"a\":1}\r\n0\r\n\r\n"))),
        (
            "chunks and a length",
            format!("{OK}\r\nContent-Length: 3\r\nTransfer-Encoding: CHUNKED\r\n\r\n7\r\n{BODY}\r\n0\r\n\r\n")
                .into_bytes(),
        ),
        ("the identity", with(OK, "Transfer-Encoding: identity\r\n")),
        ("no status line", BODY.as_bytes().to_vec()),
        ("another protocol", with("RTSP/1.0 200 OK", "")),
        ("an empty line first", [b"\r\n".to_vec(), with(OK, "")].concat()),
        ("HTTP/1.2", with("HTTP/1.2 200 OK", "")),
        ("HTTP/0.9", with("HTTP/0.9 200 OK", "")),
        ("tabs in the status line", with("HTTP/1.1\t200\tOK", "")),
        ("a status of four digits", with("HTTP/1.1 2000 OK", "")),
        ("a status of two digits", with("HTTP/1.1 20 OK", "")),
        ("a status below 100", with("HTTP/1.1 099 OK", "")),
        ("a status of no digits", with("HTTP/1.1 abc OK", "")),
        ("a line that is no field", with(OK, "no field\r\n")),
        ("folding without a field", with(OK, "  x\r\n")),
        ("a NUL byte", with(OK, "X: a\0b\r\n")),
        ("a length that is no number", format!("{OK}\r\nContent-Length: abc\r\n\r\n{BODY}").into_bytes()),
        ("a negative length", format!("{OK}\r\nContent-Length: -1\r\n\r\n{BODY}").into_bytes()),
        ("less than the length", format!("{OK}\r\nContent-Length: 9\r\n\r\n{BODY}").into_bytes()),
        ("a coding that was not asked for", format!("{OK}\r\nTransfer-Encoding: foo\r\n\r\n{BODY}").into_bytes()),
        ("a chunk without a size", chunked("zz\r\n{\"a\":1}\r\n0\r\n\r\n")),
        ("a blank before a chunk's size", chunked(" 7\r\n{\"a\":1}\r\n0\r\n\r\n")),
        ("too many digits of a chunk's size", chunked("000000000000000000007\r\n{\"a\":1}\r\n0\r\n\r\n")),
        ("a chunk that is cut", chunked("9\r\n{\"a\":1}")),
        ("no last chunk", chunked("7\r\n{\"a\":1}\r\n")),
        ("no end of trailers", chunked("7\r\n{\"a\":1}\r\n0\r\n")),
        ("more than a chunk's size", chunked("7\r\n{\"a\":1}XX\r\n0\r\n\r\n")),
        ("nothing", Vec::new()),
        ("half a status line", b"HTTP/1.1 200 OK".to_vec()),
    ];
    let mut differences = Vec::new();
    for (what, answer) in table {
        let peer = Peer::http(answer);
        let run = Run::new().arg("--check").target(peer.url("/#json=/a=1")).finish();
        let theirs = curl(&peer.url("/"));
        if (run.status == 0) != theirs {
            differences.push(format!("{what}: curl {theirs}, {}", run.stdout));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn a_text_counts_as_soon_as_it_has_come() {
    let peer = Peer::start(|mut stream, _| {
        read_request(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: up"));
        drop(stream.write_all(b" and running\n\n"));
        hold(stream);
    });
    Run::new().target(peer.url("/#body=up%20and")).timeout("20s").finish().expect_status(0).expect_elapsed(0..=2000);
    let run = Run::new().target(peer.url("/#body=down")).args(["-t", "20s", "--attempt-timeout", "2s"]);
    let run = run.args(["--max-attempts", "1"]).finish().expect_status(124);
    run.expect_stderr("the answer began, but neither what is expected nor its end came within 2s");
}

#[test]
fn what_is_wrong_with_an_answer_is_named() {
    for (answer, rest, reason) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin"[..],
            "#body=end",
            "the body ended after 5 of 100 bytes",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin",
            "#body=end",
            "the body ended after 5 bytes",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Enc", "", "closed the connection within the response's header section"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b",
            "#body=ok",
            "the body is compressed (gzip), which was not asked for",
        ),
        (
            b"HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm=\"x\"\r\n\r\n",
            "",
            "it wants Digest authentication, which is not spoken here",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\0\x04",
            "",
            "HTTP 101 Switching Protocols: it changed to another protocol",
        ),
        (b"\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0d\0\x04\0\0\xff\xff", "", "the peer speaks HTTP/2 alone"),
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\nUnknown ALPN Protocol, expected `h2` to be available.\n",
            "",
            "the server speaks HTTP/2 alone",
        ),
        (b"\x15\x03\x01\0\x02\x02F", "", "it answered like a TLS server (write https://)"),
        (
            b"HTTP/1.1 503 Service Unavailable\r\nserver: envoy\r\n\r\nno healthy upstream",
            "",
            "the page is the proxy's own (Envoy)",
        ),
        (
            b"HTTP/1.0 503 Service Unavailable\r\n\r\n<h1>503</h1>\nNo server is available to handle this request.",
            "",
            "the proxy's own (HAProxy)",
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<hr><center>nginx/1.22.1</center>", "", "the proxy's own (nginx)"),
        (
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            "",
            "HTTP 400 Bad Request: the port is one of TLS; write https://",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n", "#status=204", "HTTP 200 OK, but 204 is expected"),
        (
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            "#status=200,300-399",
            "HTTP 404 Not Found, but one of 200, 300-399 is expected: is the path right?",
        ),
        (
            b"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"yellow\"}",
            "#json=/status=green",
            "HTTP 200 OK, but /status in the body is \"yellow\", \"green\" is expected",
        ),
    ] {
        let peer = Peer::http(answer);
        let run =
            Run::new().target(peer.url(&format!("/{rest}"))).args(["--max-attempts", "1"]).timeout("20s").finish();
        run.expect_status(124).expect_stderr(reason);
    }
}

#[test]
fn a_redirect_that_is_taken_for_ready_is_said_to_be() {
    let peer = Peer::http(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n");
    let run = Run::new().target(peer.url("/")).finish().expect_status(0);
    run.expect_stderr("ready: HTTP 302 Found: a redirect, taken for ready");
}

/// A server whose answers go by the path, and the requests that it got.
fn site(answers: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (Peer, Arc<Mutex<Vec<String>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&requests);
    let peer = Peer::start(move |mut stream, _| {
        let request = read_request(&mut stream);
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        log.lock().unwrap().push(request);
        drop(stream.write_all(&answers(&path)));
    });
    (peer, requests)
}

fn redirect_to(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

#[test]
fn redirects_are_followed_where_that_is_asked_for() {
    let (other, others) = site(|_| response("200 OK", "elsewhere"));
    let away = format!("http://localhost:{}/x", other.port);
    let (peer, requests) = site(move |path| match path {
        "/" => redirect_to("a/b?c=1"),
        "/a/b?c=1" => response("200 OK", "there"),
        "/down" => redirect_to("/503"),
        "/503" => response("503 Service Unavailable", ""),
        "/away" => redirect_to(&away),
        "/round" => redirect_to("/round"),
        _ => redirect_to("ftp://127.0.0.1/"),
    });
    let check = |rest: &str| Run::new().arg("--check").target(peer.url(rest)).finish();
    check("/#follow&body=there").expect_status(0);
    check("/#body=there").expect_status(1);
    check("/down").expect_status(0);
    check("/down#follow").expect_status(1).expect_in_stdout("HTTP 503 Service Unavailable");
    check("/ftp#follow").expect_status(1).expect_in_stdout("the redirect cannot be followed");
    requests.lock().unwrap().clear();
    check("/round#follow").expect_status(1).expect_in_stdout("more than 10 redirects");
    assert_eq!(requests.lock().unwrap().len(), 11);
    // As the kubelet does.
    check("/away#follow").expect_status(0).expect_in_stdout("a redirect to another host, localhost, taken for ready");
    assert!(others.lock().unwrap().is_empty());
    let url = peer.url("/away#follow=any&body=elsewhere&header=X-Token:hunter22").replacen("//", "//u:hunter2@", 1);
    Run::new().arg("--check").target(url).finish().expect_status(0).expect_nowhere("hunter");
    let request = others.lock().unwrap().pop().unwrap().to_ascii_lowercase();
    assert!(!request.contains("authorization") && !request.contains("hunter"), "{request}");
    assert!(request.contains(&format!("host: localhost:{}\r\n", other.port)), "{request}");
}

#[test]
fn a_method_with_a_body_says_that_there_is_none() {
    let (peer, requests) = site(|_| response("200 OK", ""));
    for (method, says) in
        [("POST", true), ("PUT", true), ("PATCH", true), ("GET", false), ("DELETE", false), ("PURGE", false)]
    {
        Run::new().arg("--check").target(peer.url(&format!("/#method={method}"))).finish().expect_status(0);
        let request = requests.lock().unwrap().pop().unwrap().to_ascii_lowercase();
        assert_eq!(request.contains("content-length: 0\r\n"), says, "{request}");
        assert!(!request.contains("transfer-encoding"), "{request}");
    }
}

#[test]
fn a_real_server_of_http_2_alone_is_named() {
    let node = tool(&["node"], "nodejs");
    let directory = directory();
    let script = directory.path().join("server.js");
    let port = crate::support::free_port();
    std::fs::write(&script, format!("require('http2').createServer().listen({port}, '127.0.0.1')")).unwrap();
    let server = Command::new(node).arg(&script).spawn().unwrap();
    let _server = crate::support::Reaper(server);
    eventually("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let run = Run::new().target(format!("http://127.0.0.1:{port}/")).args(["--max-attempts", "1"]).finish();
    run.expect_status(124).expect_stderr("speaks HTTP/2 alone");
}

#[test]
fn a_web_socket_or_any_answer_to_the_wish_for_one_is_ready() {
    let switching = |fields: &str| {
        format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{fields}\r\n")
            .into_bytes()
    };
    let (right, none) = (switching("Sec-WebSocket-Accept: RtBsiIwVMIfqdiZEEsAjCLA3+vQ=\r\n"), switching(""));
    let wrong = switching("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    for (answer, status, said) in [
        (&right[..], 0, "a WebSocket was opened"),
        // Every client must fail such a connection (RFC 6455, section 4.1).
        (&wrong, 1, "is not the answer to our key"),
        (&none, 1, "is not the answer to our key"),
        (b"HTTP/1.1 426 Upgrade Required\r\n\r\n", 0, "opened no WebSocket"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", 0, "opened no WebSocket"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 1, "HTTP 503 Service Unavailable"),
        (b"-ERR unknown command 'GET'\r\n", 1, "does not answer as an HTTP server"),
    ] {
        let peer = Peer::http(answer);
        let run = Run::new().arg("--check").target(peer.url("/ws").replacen("http", "ws", 1)).finish();
        run.expect_status(status).expect_in_stdout(said);
    }
}

#[test]
fn a_server_behind_a_unix_socket_is_asked_as_any_other() {
    let directory = directory();
    let socket = directory.path().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head) = (stream.unwrap(), Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
                head.push(byte[0]);
            }
            let answer = if head.starts_with(b"GET /health?x=1 HTTP/1.1\r\n") {
                response("200 OK", "up")
            } else {
                redirect_to("/health?x=1")
            };
            drop(stream.write_all(&answer));
        }
    });
    let url = format!("http+unix://{}", socket.display().to_string().replace('/', "%2F"));
    let check = |rest: &str| Run::new().arg("--check").target(format!("{url}{rest}")).finish();
    check("/health?x=1#body=up").expect_status(0);
    check("/#follow&body=up").expect_status(0);
    check("/health?x=1#body=down").expect_status(1);
}
