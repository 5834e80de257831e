//! What is said: lines, JSON, reports, the termination message, and never a secret.

use std::fs;
use std::io::{Read, Write};

use nix::sys::signal::Signal;

use crate::support::peer::{Peer, hold, response};
use crate::support::{Run, directory, free_port, write_executable};

const SCHEMA: &str = include_str!("../../docs/schema/report.schema.json");

fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[test]
fn a_line_is_printed_for_a_change_and_not_for_every_attempt() {
    let finished =
        Run::new().target(format!("db=127.0.0.1:{}", free_port())).timeout("500ms").finish().expect_status(124);
    assert_eq!(finished.stderr.lines().count(), 4, "{}", finished.stderr);
    let finished = Run::new().args(["-q"]).target(format!("127.0.0.1:{}", free_port())).timeout("500ms").finish();
    assert_eq!(finished.stderr.lines().count(), 2, "{}", finished.stderr);
    let finished = Run::new().args(["-v"]).target(format!("127.0.0.1:{}", free_port())).timeout("500ms").finish();
    assert!(finished.stderr.lines().count() > 10, "{}", finished.stderr);
}

#[test]
fn a_peer_that_closes_or_resets_each_connection_is_told_of_once() {
    // Now the reset is seen while connecting, now while reading.
    let peer = Peer::start(|mut stream, number| {
        if number % 2 == 0 {
            // It has connected, and asked.
            drop(std::io::Read::read_exact(&mut stream, &mut [0]));
        }
        if number % 3 == 0 {
            // In order.
            return;
        }
        drop(socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)));
    });
    let run = Run::new().target(format!("redis://127.0.0.1:{}", peer.port)).args(["--max-interval", "10ms"]);
    let finished = run
        .timeout("1s")
        .finish()
        .expect_status(124)
        .expect_stderr("closed the connection before it answered: does it want TLS");
    // A machine that halts may see an attempt time out between them.
    assert!(finished.stderr.lines().count() <= 6, "{}", finished.stderr);
}

#[test]
fn every_target_that_is_not_ready_is_named_at_the_deadline() {
    let ready = Peer::http(response("200 OK", ""));
    let finished = Run::new()
        .target(format!("a=127.0.0.1:{}", free_port()))
        .target(format!("b={}", ready.url("/")))
        .target(format!("c=127.0.0.1:{}", free_port()))
        .timeout("300ms")
        .finish()
        .expect_status(124);
    let named: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("not ready after")).collect();
    assert_eq!(named.len(), 2, "{}", finished.stderr);
    assert!(named[0].starts_with("when-ready: a (tcp://127.0.0.1:") && named[1].starts_with("when-ready: c ("));
}

#[test]
fn json_lines_are_whole_objects_with_the_promised_fields() {
    let nasty = Peer::http(b"HTTP/1.1 200 OK\r\n\r\nx".to_vec());
    let redis = Peer::start(|mut stream, _| {
        use std::io::Write;
        drop(stream.write_all(b"-ERR \"quoted\" \\ \x1b[31m \xff\xfe\r\n"));
        hold(stream);
    });
    let finished = Run::new()
        .args(["--log-format", "json", "-v"])
        .target(nasty.url("/"))
        .target(format!("cache=redis://127.0.0.1:{}", redis.port))
        .timeout("400ms")
        .finish()
        .expect_status(124);
    let lines = json_lines(&finished.stderr);
    assert_eq!(lines[0]["event"], "waiting");
    for line in &lines {
        let time = line["ts"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        assert!(line["level"].is_string() && line["elapsed_ms"].is_u64(), "{line}");
    }
    let failed = lines.iter().find(|line| line["event"] == "not_ready").unwrap();
    assert_eq!(failed["target"], "cache");
    assert!(failed["url"].as_str().unwrap().starts_with("redis://"));
    assert!(failed["reason"].as_str().unwrap().starts_with("ERR \"quoted\" \\ [31m"), "{failed}");
    assert_eq!(failed["attempt"], 1);
    assert_eq!((&failed["kind"], &failed["permanent"]), (&"server_error".into(), &false.into()));
    assert!(failed["msg"].as_str().unwrap().starts_with("cache (redis://127.0.0.1:"), "{failed}");
    assert!(lines.iter().all(|line| line["msg"].as_str().is_some_and(|msg| !msg.is_empty())));
    assert_eq!(lines.last().unwrap()["event"], "timeout");
}

#[test]
fn the_report_follows_its_schema_whatever_the_outcome() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("report", serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let schema = compiler.compile("report", &mut schemas).unwrap();

    let directory = directory();
    let file = directory.path().join("report.json");
    let peer = Peer::http(response("200 OK", ""));
    let closed = format!("db=127.0.0.1:{}", free_port());
    let run = |targets: &[String], options: &[&str]| {
        Run::new()
            .arg("--report")
            .arg(file.to_str().unwrap())
            .args(options.iter().copied())
            .args(targets.to_vec())
            .timeout("400ms")
    };
    let check = |outcome: &str| {
        let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert!(schemas.validate(&report, schema).is_ok(), "{report}");
        assert_eq!(report["outcome"], outcome);
        fs::remove_file(&file).unwrap();
        report
    };
    run(&[peer.url("/")], &[]).finish().expect_status(0);
    let report = check("ready");
    assert_eq!(report["targets"][0]["attempts"], 1);
    assert!(report["targets"][0]["ready_after_ms"].is_u64());

    run(&[closed.clone(), peer.url("/")], &[]).finish().expect_status(124);
    let report = check("timeout");
    let attempts = report["targets"][0]["attempts"].as_u64().unwrap();
    assert_eq!(report["targets"][0]["failures"]["connection_refused"], attempts);
    assert!(report["targets"][0]["last_reason"].as_str().unwrap().contains("connection refused"));

    let missing = Peer::http(response("404 Not Found", ""));
    run(&[missing.url("/#fail-status=404")], &[]).finish().expect_status(1);
    assert_eq!(check("failed")["targets"][0]["failures"]["fail_condition"], 1);
    run(&[missing.url("/#optional&timeout=50ms")], &[]).finish().expect_status(0);
    assert_eq!(check("ready")["targets"][0]["optional"], true);

    let running = run(&[closed], &[]).timeout("60s").spawn();
    running.wait_for_stderr("not ready");
    running.signal(Signal::SIGTERM);
    running.finish().expect_status(143);
    check("interrupted");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");

    // What a health check prints is the same.
    for (target, outcome, status) in [(peer.url("/"), "ready", 0), (missing.url("/"), "failed", 1)] {
        let printed =
            Run::new().args(["--check", "-v", "--format", "json", &target]).finish().expect_status(status).stdout;
        let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert!(schemas.validate(&report, schema).is_ok(), "{report}");
        assert_eq!(report["outcome"], outcome, "{report}");
    }
}

#[test]
fn the_closing_line_says_how_many_were_ready_and_that_the_command_was_not_run() {
    let peer = Peer::http(response("200 OK", ""));
    let closed = format!("db=127.0.0.1:{}", free_port());
    let run = |options: &[&str]| {
        Run::new()
            .args(options.iter().copied())
            .args([&closed, &peer.url("/")])
            .timeout("300ms")
            .command(["true", "word"])
    };
    for options in [&[][..], &["--quiet"]] {
        let finished = run(options).finish().expect_status(124);
        let last = finished.stderr.lines().last().unwrap();
        assert!(last.starts_with("when-ready: gave up after "), "{}", finished.stderr);
        assert!(last.ends_with(": 1 of 2 ready; true was not run (124)"), "{}", finished.stderr);
    }
    let finished = run(&["--log-format", "json", "--name", "backend"]).finish().expect_status(124);
    let last: serde_json::Value = serde_json::from_str(finished.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["gate"]), (&"timeout".into(), &"backend".into()), "{last}");
    assert_eq!(last.get("target"), None, "{last}");
    assert_eq!((&last["ready"], &last["total"]), (&1.into(), &2.into()), "{last}");
    assert_eq!((&last["command"], &last["exit_code"]), (&"true".into(), &124.into()), "{last}");
    // Where COMMAND runs all the same, the line says that.
    let finished = run(&["--on-timeout", "run"]).finish().expect_status(0);
    let last = finished.stderr.lines().last().unwrap();
    assert!(last.ends_with(": 1 of 2 ready; running true even so (--on-timeout run)"), "{last}");
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning_and_leaves_nothing() {
    let peer = Peer::http(response("200 OK", ""));
    Run::new()
        .args(["--report", "/no/such/directory/report.json"])
        .target(peer.url("/"))
        .command(["echo", "ran"])
        .finish()
        .expect_status(0)
        .expect_stderr("cannot be written")
        .expect_stdout("ran\n");
}

#[test]
fn the_termination_message_says_what_is_not_ready_in_sentences() {
    let directory = directory();
    let file = directory.path().join("termination-log");
    let ports: Vec<u16> = (0..60).map(|_| free_port()).collect();
    Run::new()
        .arg("--termination-log")
        .arg(file.to_str().unwrap())
        .args(ports.iter().map(|port| format!("a-rather-long-name-{port}=127.0.0.1:{port}")))
        .timeout("300ms")
        .finish()
        .expect_status(124);
    let message = fs::read_to_string(&file).unwrap();
    assert!(message.len() <= 4096 && message.ends_with(".\n"), "{message}");
    assert!(
        message.starts_with("The wait timed out after ") && message.contains(": 60 of 60 targets not ready.\n"),
        "{message}"
    );
    assert!(message.lines().all(|line| line.ends_with('.')), "{message}");
}

#[test]
fn a_command_that_runs_all_the_same_has_the_termination_message_to_itself() {
    let directory = directory();
    let file = directory.path().join("termination-log");
    let run = || {
        let run = Run::new().args(["--on-timeout", "run", "--termination-log", file.to_str().unwrap()]);
        run.target(format!("127.0.0.1:{}", free_port())).timeout("100ms")
    };
    run().command(["true"]).finish().expect_status(0);
    assert!(!file.exists());
    // Without COMMAND the wait has failed.
    run().finish().expect_status(124);
    assert!(file.exists());
}

#[test]
fn no_secret_is_in_any_output() {
    const SECRETS: [&str; 4] = ["hunter2pass", "t0kenvalue", "headervalue9", "c0mmandarg"];
    let directory = directory();
    let echo = Peer::start(|mut stream, _| {
        use std::io::Write;
        crate::support::peer::read_request(&mut stream);
        drop(
            stream.write_all(b"HTTP/1.1 500 hunter2pass t0kenvalue headervalue9\r\nX: headervalue9\r\n\r\nhunter2pass"),
        );
    });
    let redis = Peer::start(|mut stream, _| {
        use std::io::Write;
        drop(stream.write_all(b"-WRONGPASS hunter2pass is wrong\r\n"));
        hold(stream);
    });
    let garbage = Peer::start(|mut stream, _| {
        use std::io::Write;
        drop(stream.write_all(b"hunter2pass"));
    });
    for (index, options) in
        [&[][..], &["-v"], &["-q"], &["--log-format", "json", "-v"], &["--fail-fast"], &["--check"]].iter().enumerate()
    {
        let report = directory.path().join(format!("report-{index}"));
        let message = directory.path().join(format!("message-{index}"));
        let mut run = Run::new()
            .args(options.iter().copied())
            .env("TOKEN", "t0kenvalue")
            .env("PW", "hunter2pass")
            .arg("--report")
            .arg(report.to_str().unwrap())
            .arg("--termination-log")
            .arg(message.to_str().unwrap())
            .args(["--http-header", "X-Secret: headervalue9"])
            .target(format!("http://user:hunter2pass@127.0.0.1:{}/x?token=t0kenvalue", echo.port))
            .target(format!("http://127.0.0.1:{}/y?t=${{TOKEN}}#header=Authorization:Bearer ${{TOKEN}}", echo.port))
            .target(format!("redis://:${{PW}}@127.0.0.1:{}/0", redis.port))
            .target(format!("postgres://me:hunter2pass@127.0.0.1:{}/db?sslmode=disable", garbage.port))
            .target(format!("jdbc:postgresql://127.0.0.1:{}/db?password=hunter2pass&sslmode=disable", garbage.port))
            .timeout("400ms");
        if !options.contains(&"--check") {
            run = run.command(["echo", "c0mmandarg"]);
        }
        let finished = run.finish();
        assert_ne!(finished.status, 0);
        assert!(!finished.stderr.is_empty() || !finished.stdout.is_empty());
        let report = fs::read_to_string(&report).unwrap();
        let message = fs::read_to_string(&message).unwrap_or_default();
        for secret in SECRETS {
            for (what, text) in
                [("stdout", &finished.stdout), ("stderr", &finished.stderr), ("report", &report), ("message", &message)]
            {
                assert!(!text.contains(secret), "{secret} is in {what} with {options:?}:\n{text}");
            }
        }
    }
    // Usage errors quote words, but not what is secret in them.
    for word in [
        "postgres://me:hunter2pass@h:99999/x",
        "redis://:hunter2pass/x@h",
        "htp://u:hunter2pass@h",
        "http://h/?t=t0kenvalue#nope=t0kenvalue",
    ] {
        let finished = Run::new().target(word).finish().expect_status(2);
        assert!(!SECRETS.iter().any(|secret| finished.stderr.contains(secret)), "{}", finished.stderr);
    }
}

#[test]
fn one_ready_target_is_enough_for_any() {
    let peer = Peer::http(response("200 OK", ""));
    Run::new()
        .arg("--any")
        .target(format!("127.0.0.1:{}", free_port()))
        .target(peer.url("/"))
        .command(["echo", "ran"])
        .finish()
        .expect_status(0)
        .expect_stdout("ran\n");
}

#[test]
fn until_down_wants_a_refusal() {
    let port = free_port();
    let peer = Peer::http_on(port, response("503 Service Unavailable", ""));
    let run = Run::new().arg("--until-down").target(format!("http://127.0.0.1:{port}/")).timeout("30s").spawn();
    run.wait_for_stderr("it still answers: HTTP 503");
    drop(peer);
    run.finish().expect_status(0).expect_stderr("it refuses connections or is gone");
    Run::new()
        .arg("--until-down")
        .target("http://no-such-name.invalid/")
        .timeout("500ms")
        .finish()
        .expect_status(124)
        .expect_stderr("no proof that it is down");
}

#[test]
fn on_timeout_run_runs_the_command_with_a_warning() {
    Run::new()
        .args(["--on-timeout", "run"])
        .target(format!("127.0.0.1:{}", free_port()))
        .timeout("200ms")
        .command(["echo", "ran"])
        .finish()
        .expect_status(0)
        .expect_stdout("ran\n")
        .expect_stderr("running echo even so");
}

#[test]
fn max_attempts_ends_the_wait() {
    Run::new()
        .args(["--max-attempts", "3"])
        .target(format!("127.0.0.1:{}", free_port()))
        .timeout("60s")
        .finish()
        .expect_status(124)
        .expect_stderr("3 attempts")
        .expect_elapsed(0..=5000);
}

#[test]
fn a_targets_own_deadline_ends_the_wait() {
    Run::new()
        .target(format!("127.0.0.1:{}#timeout=300ms", free_port()))
        .timeout("60s")
        .finish()
        .expect_status(124)
        .expect_elapsed(300..=3000);
}

#[test]
fn files_and_sockets_are_awaited() {
    let directory = directory();
    let (file, socket) = (directory.path().join("ready"), directory.path().join("app.sock"));
    let run = Run::new()
        .target(format!("file://{}#nonempty", file.display()))
        .target(format!("log=file://{}#body=up%20and", file.display()))
        .target(format!("unix://{}", socket.display()))
        .spawn();
    run.wait_for_stderr("does not exist yet").wait_for_stderr("there is no socket");
    fs::write(&file, "").unwrap();
    run.wait_for_stderr("is empty");
    fs::write(&file, "starting up\n").unwrap();
    run.wait_for_stderr("lacks the expected text");
    fs::write(&file, "starting up and running\n").unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    run.finish().expect_status(0);
    let gone = Run::new().arg("--until-down").target(format!("file://{}", file.display())).spawn();
    gone.wait_for_stderr("still up (it exists)");
    fs::remove_file(&file).unwrap();
    gone.finish().expect_status(0);
}

#[test]
fn no_piece_of_a_secret_that_a_peer_repeats_is_shown() {
    use std::io::{Read, Write};
    const LONG: &str = "q7Zr-2kkPm_91xVbT+hhLw/03cDe==uYt55AAqwXsz.8NnMmJkIoPlO!0aSdFgHjKl\
                        ZxCvBnM1234qWeRtYuIoPaSdFgHjKlZxCvBnM0987mNbVcXzLkJhGfDsApOiUyTrEwQ";
    const BROKEN: &str = "fir5t-half\r\nsec0nd-half";
    let port = free_port();
    // As Redis tells of a command that it does not know: its first 128 characters, without line breaks.
    let _peer = Peer::start_on(port, |mut stream, number| {
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).unwrap_or(0);
        let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
        let password = asked.split("\r\n$").last().unwrap_or_default().split_once("\r\n").map_or("", |(_, word)| word);
        let password = password.trim_end();
        let answer = match number % 4 {
            0 => format!(
                "-ERR unknown command 'AUTH', with args beginning with: '{:.128}' \r\n",
                password.replace(['\r', '\n'], " ")
            ),
            1 => format!("-ERR {password:?} is wrong, {}\r\n", password.replace(['\r', '\n'], "").to_uppercase()),
            // No reply of Redis: the first 40 characters of it are shown.
            2 => format!("{}{password}", "x".repeat(36)),
            _ => format!("hello {password}"),
        };
        drop(stream.write_all(answer.as_bytes()));
        hold(stream);
    });
    for secret in [LONG, BROKEN] {
        let run = Run::new().args(["-v", "--max-attempts", "8", "--max-interval", "10ms"]).env("PW", secret);
        let finished = run.target(format!("redis://:${{PW}}@127.0.0.1:{port}")).timeout("20s").finish();
        let said = finished.expect_status(124).stderr.to_lowercase();
        assert!(said.contains("beginning with: '***'") && said.contains("it answered `"), "{said}");
        for line in secret.lines().map(str::to_lowercase) {
            let pieces = (0..line.len() - 3).map(|at| &line[at..at + 4]);
            pieces.for_each(|piece| assert!(!said.contains(piece), "{piece} is in {said}"));
        }
    }
}

#[test]
fn a_port_whose_service_is_not_there_yet_is_told_of_in_a_handful_of_lines() {
    // As docker-proxy does: it accepts, then resets, closes or says nothing of use, in turn.
    let peer = Peer::start(|mut stream, number| match number % 3 {
        0 => drop(socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))),
        1 => drop(std::io::Write::write_all(&mut stream, b"-LOADING not yet\r\n")),
        _ => {}
    });
    let run = Run::new().target(format!("redis://127.0.0.1:{}", peer.port)).args(["--max-interval", "10ms"]);
    let finished = run.timeout("3s").finish().expect_status(124);
    assert!(finished.stderr.lines().count() <= 7, "{}", finished.stderr);
}

#[test]
fn what_waiting_cannot_mend_is_a_warning_that_says_so() {
    use std::io::Write;
    let peer = Peer::start(|mut stream, _| drop(stream.write_all(b"-WRONGPASS invalid password\r\n")));
    let url = format!("redis://:pw@127.0.0.1:{}", peer.port);
    let run = |options: &[&str]| Run::new().args(options.iter().copied()).target(&url).timeout("500ms").finish();
    run(&[])
        .expect_status(124)
        .expect_stderr("warning: ")
        .expect_stderr("not ready: WRONGPASS")
        .expect_stderr(": check user and password; still trying every 4s (attempt 1, ")
        .expect_nowhere("check the user");
    let refused = format!("127.0.0.1:{}", free_port());
    let finished = Run::new().arg("--fail-fast").target(&refused).target(&url).timeout("5s").finish().expect_status(1);
    let finished = finished.expect_stderr(&format!("redis://127.0.0.1:{}: failed: WRONGPASS", peer.port));
    assert_eq!(finished.stderr.matches("WRONGPASS").count(), 1, "it is said once: {}", finished.stderr);
    let lines = json_lines(&run(&["--log-format", "json"]).stderr);
    let failed = lines.iter().find(|line| line["event"] == "not_ready").unwrap();
    assert_eq!(
        (&failed["level"], &failed["permanent"], &failed["kind"]),
        (&"warn".into(), &true.into(), &"credentials_rejected".into())
    );
}

#[test]
fn the_last_line_says_what_is_ready() {
    let peer = Peer::http(response("200 OK", ""));
    let run = |options: &[&str]| {
        Run::new().args(options.iter().copied()).target(peer.url("/")).target(format!("127.0.0.1:{}", free_port()))
    };
    let finished = run(&["--any", "--log-format", "json"]).finish().expect_status(0);
    let last = json_lines(&finished.stderr).pop().unwrap();
    assert_eq!(last["event"], "ready");
    assert!(last["msg"].as_str().unwrap().starts_with("1 of 2 targets is ready (--any) after "), "{last}");
    assert!(last.get("target").is_none());
    let run = run(&["--any"]).command(["true"]).finish().expect_status(0);
    run.expect_stderr("1 of 2 targets is ready (--any) after ").expect_stderr("; running true");
    let finished =
        Run::new().args(["--log-format", "json"]).target(peer.url("/")).command(["true"]).finish().expect_status(0);
    assert_eq!(json_lines(&finished.stderr).pop().unwrap()["event"], "exec");
}

#[test]
fn a_usage_error_is_told_in_the_format_of_the_log() {
    for (options, variable) in [
        (&["--log-format", "json", "nonsense"][..], ""),
        (&["--log-format=json", "--nope"], ""),
        (&["-t", "--log-format", "json", "db:1"], ""),
        (&["nonsense"], "json"),
    ] {
        let run = Run::new().args(options.iter().copied()).env("WHEN_READY_LOG_FORMAT", variable);
        let lines = json_lines(&run.finish().expect_status(2).stderr);
        assert_eq!((&lines[0]["level"], &lines[0]["event"]), (&"error".into(), &"failed".into()), "{options:?}");
    }
}

#[test]
fn control_characters_of_a_target_reach_no_output() {
    let directory = directory();
    let file = directory.path().join("message");
    for options in [&["-v"][..], &["--log-format", "json"], &["--check"], &["--check", "--format", "json"]] {
        let finished = Run::new()
            .args(options.iter().copied())
            .arg("--termination-log")
            .arg(file.to_str().unwrap())
            .target(format!("postgres://a%0Ab:x@127.0.0.1:{}/d%1B%5B31m%E2%80%AE", free_port()))
            .target(format!("http://127.0.0.1:{}/x%0Ay%1B[31m", free_port()))
            .target("file:///no/such%0Afile%1B[31m")
            .timeout("300ms")
            .finish();
        assert_ne!(finished.status, 0);
        let message = fs::read_to_string(&file).unwrap_or_default();
        for text in [&finished.stderr, &finished.stdout, &message] {
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text:?}");
            assert!(text.lines().all(|line| !line.starts_with("b@") && !line.starts_with("file [")), "{text}");
        }
    }
}

#[test]
fn a_place_that_a_peer_names_shows_no_secret() {
    const SECRET: &str = "topsecretpw1";
    let redis = |answer: String| {
        Peer::start(move |mut stream, _| {
            let mut heard = [0; 512];
            while let Ok(n @ 1..) = stream.read(&mut heard) {
                let heard = String::from_utf8_lossy(&heard[..n]).to_ascii_uppercase();
                let said = match heard {
                    heard if heard.contains("AUTH") => "+OK\r\n",
                    heard if heard.contains("PING") => "+PONG\r\n",
                    _ => &answer,
                };
                drop(stream.write_all(said.as_bytes()));
            }
        })
    };
    let moved = redis(format!("-MOVED 1 {SECRET}:6379\r\n"));
    let nowhere = redis(format!("-MOVED {SECRET}\r\n"));
    let sentinel = redis(format!("*2\r\n$12\r\n{SECRET}\r\n$4\r\n6379\r\n"));
    let redirect =
        Peer::http(format!("HTTP/1.1 302 Found\r\nLocation: http://{SECRET}:1/{SECRET}\r\nContent-Length: 0\r\n\r\n"));
    for target in [
        format!("redis://:{SECRET}@127.0.0.1:{}/#key=a", moved.port),
        format!("redis://:{SECRET}@127.0.0.1:{}/#key=a", nowhere.port),
        format!("redis+sentinel://:{SECRET}@127.0.0.1:{}/m", sentinel.port),
        redirect.url(&format!("/?token={SECRET}#follow=any")),
        redirect.url(&format!("/#follow=any&header=Authorization:Bearer%20{SECRET}")),
        redirect.url(&format!("/#follow&status=200&header=X:{SECRET}")),
    ] {
        let directory = directory();
        let [report, log] = ["report", "log"].map(|name| directory.path().join(name));
        std::fs::write(&log, "").unwrap();
        let run = Run::new().target(&target).args(["-v", "-t", "300ms", "--report", report.to_str().unwrap()]);
        let run = run.args(["--termination-log", log.to_str().unwrap()]).finish();
        assert!(!run.stderr.contains(SECRET), "{target}: {}", run.stderr);
        for file in [report, log] {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(!text.contains(SECRET), "{target}: {text}");
        }
    }
}

#[test]
fn what_operators_need_is_shown_though_it_equals_a_secret() {
    let directory = directory();
    let script = directory.path().join("pg_isready");
    write_executable(&script, "#!/bin/sh\necho \"$2:$4 - no response\"\nexit 2\n", 0o755);
    let run = |target: String| Run::new().target(target).args(["--max-attempts", "1"]).finish();
    run(format!("exec:{} -h db.example -p 5432", script.display())).expect_stderr("db.example:5432 - no response");
    let given = Run::new().target(format!("exec:{} -h ${{H}} -p 5432", script.display())).env("H", "db.example");
    given.args(["--max-attempts", "1"]).finish().expect_stderr("***:5432 - no response");
    // A name that a command says, and that is a password in its URL.
    let psql = directory.path().join("psql");
    write_executable(
        &psql,
        "#!/bin/sh\necho 'FATAL: bad password application for user \"application\"'\nexit 2\n",
        0o755,
    );
    let url = "postgres://application:application@db/application";
    run(format!("exec:{} {url}", psql.display())).expect_stderr("bad password *** for user \"application\"");
    // A user, a database and a host whose password is the same.
    let closed = free_port();
    run(format!("redis://:localhost@localhost:{closed}")).expect_stderr(&format!("localhost:{closed}"));
    let says = |state: &str, message: &str| {
        let fields = format!("SFATAL\0C{state}\0M{message}\0\0").into_bytes();
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        let error = [&b"E"[..], &length, &fields].concat();
        Peer::start(move |mut stream, _| {
            drop(stream.read(&mut [0; 512]));
            drop(stream.write_all(&error));
            hold(stream);
        })
    };
    for (state, message, shown) in [
        ("3D000", "database \"postgres\" is not there", "database \"postgres\" is not there (3D000)"),
        ("28P01", "bad password \"postgres\"", "bad password \"***\" (28P01)"),
    ] {
        let peer = says(state, message);
        let target = format!("postgres://postgres:postgres@127.0.0.1:{}/postgres?sslmode=disable", peer.port);
        run(target).expect_stderr(shown);
    }
}
