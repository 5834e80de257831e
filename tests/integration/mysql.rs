//! MySQL: a real MariaDB, and what only MySQL says in scripts (see `src/targets/mysql`).

use std::io::Write;
use std::sync::OnceLock;

use crate::support::certificates::Ca;
use crate::support::mariadb::MariaDb;
use crate::support::peer::Peer;
use crate::support::{Run, fails_for_good, free_port, not_ready, ready};

/// One server for the tests that leave it as it is.
fn shared() -> &'static MariaDb {
    static SERVER: OnceLock<MariaDb> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = MariaDb::started(&["--max-connect-errors=3", "--performance-schema=ON"]);
        server.sql(
            "install soname 'auth_ed25519'; create user open@'%'; create user sock@'%' identified via ed25519 using password('x'); \
             create user twice@'%' identified via ed25519 using password('signed') or mysql_native_password using password('native'); \
             create user gss@'%' identified by 'another'; \
             create table app.t (id int); insert into app.t values (1), (2); create database closed",
        );
        server
    })
}

fn url(userinfo: &str, rest: &str) -> String {
    format!("mysql://{userinfo}127.0.0.1:{}/{rest}", shared().port)
}

#[test]
fn a_login_with_the_password_and_the_database_is_ready() {
    ready(url("app:secret%20word@", "app")).expect_stderr("logged in as app to the database app");
    ready(url("open@", "")).expect_stderr("logged in as open without a password");
    // MariaDB's ed25519, and an account that has it before the usual password.
    ready(url("sock:x@", "")).expect_stderr("logged in as sock");
    ready(url("twice:native@", "")).expect_stderr("logged in as twice");
    ready(url("twice:signed@", "")).expect_stderr("logged in as twice");
    Run::new().target(url("app@", "app")).env("MYSQL_PWD", "secret word").finish().expect_status(0);
    let (port, socket) = (shared().port, shared().socket());
    for target in [
        format!("mysql2://app:secret%20word@localhost:{port}/app?encoding=utf8mb4&reconnect=true"),
        format!("mysql+pymysql://app:secret%20word@localhost:{port}/app?charset=utf8mb4"),
        format!("mariadb://app:secret%20word@127.0.0.1:{port}"),
        format!("jdbc:mysql://127.0.0.1:{port}/app?user=app&password=secret+word&useSSL=false"),
        format!("jdbc:mariadb://127.0.0.1:{port}/app?user=app&password=secret%20word"),
        format!("mysql://app:secret%20word@127.0.0.1:1,127.0.0.1:{port}/app"),
        format!("mysql://app:secret%20word@localhost/app?unix_socket={socket}"),
    ] {
        ready(target);
    }
}

#[test]
fn without_a_password_it_is_enough_that_the_server_accepts() {
    ready(url("app@", "app")).expect_stderr("accepting connections; no password given, login not possible");
    ready(url("", "")).expect_stderr("accepting connections");
    ready(url("sock@", "")).expect_stderr("accepting connections");
}

#[test]
fn what_is_refused_is_refused_with_its_reason_and_without_the_password() {
    fails_for_good(url("app:hunter2secret@", "app"))
        .expect_stderr("Access denied for user 'app'")
        .expect_stderr("check user and password")
        .expect_nowhere("hunter2secret");
    not_ready(url("app:secret%20word@", "nowhere")).expect_stderr("nowhere");
    not_ready(url("root@", "nowhere")).expect_stderr("Unknown database 'nowhere' (1049)");
    fails_for_good(url("app:secret%20word@", "closed")).expect_stderr("(1044)");
    fails_for_good(url("sock:wrong@", "")).expect_stderr("Access denied for user 'sock'");
    fails_for_good(url("gss:x@", "")).expect_stderr("Access denied for user 'gss'");
    fails_for_good(url("app:secret%20word@", "app?ssl-mode=REQUIRED")).expect_stderr("the server has no TLS");
    fails_for_good(url("app@", "app#query=select 1")).expect_stderr("query= needs a login");
}

#[test]
fn an_account_whose_password_has_expired_is_refused() {
    // MariaDB lets it in, and answers nothing but SET PASSWORD.
    shared().sql("create or replace user expired@'%' identified by 'x' password expire");
    fails_for_good(url("expired:x@", "")).expect_stderr("SET PASSWORD");
}

#[test]
fn a_query_must_return_a_row_that_is_neither_0_nor_null() {
    let base = url("app:secret%20word@", "app");
    for (query, is_ready) in [
        ("select count(*) > 1 from t", true),
        ("select count(*) > 5 from t", false),
        ("select id from t", true),
        ("select id from t where id > 5", false),
        ("select null", false),
        ("select 'x'", true),
        ("select 0.0", false),
        ("select 0e0", false),
        ("select count(*) from t where id > 5", false),
        ("select '0'", true),
        ("select 0.5", true),
        ("do 1", false),
        ("select seq from seq_1_to_5000", true),
    ] {
        let target = format!("{base}#query={}", query.replace(' ', "%20"));
        if is_ready {
            ready(target).expect_stderr("the query returns a row");
        } else {
            not_ready(target);
        }
    }
    not_ready(format!("{base}#query=select x from nothing where y='topsecret'"))
        .expect_stderr("the query fails: Table 'app.nothing' doesn't exist (1146)")
        .expect_nowhere("topsecret");
}

#[test]
fn a_query_that_hangs_does_not_go_on_in_the_server() {
    let target = url("app:secret%20word@", "app#query=select benchmark(1000000000000, md5('a'))");
    Run::new().target(target).args(["--attempt-timeout", "500ms", "--max-attempts", "1"]).finish().expect_status(124);
    crate::support::eventually("the end of the query", || {
        shared().value("select count(*) from information_schema.processlist where info like 'select benchmark%'") == "0"
    });
}

#[test]
fn nothing_is_logged_and_no_host_is_blocked() {
    let server = MariaDb::started(&[
        "--max-connect-errors=2",
        "--performance-schema=ON",
        "--log-warnings=4",
        // It would log the end of it whenever that comes.
        "--innodb-buffer-pool-load-at-startup=OFF",
    ]);
    let quiet = server.log();
    // By this address, connections that break off count against a host; by 127.0.0.1 they do not.
    for _ in 0..5 {
        for (userinfo, rest) in
            [("app:secret%20word@", "app"), ("app:secret%20word@", "app#query=select 1"), ("root@", "")]
        {
            ready(format!("mysql://{userinfo}127.0.0.1:{}/{rest}", server.port));
        }
    }
    assert_eq!(server.log(), quiet, "a login leaves nothing in the log");
    for _ in 0..5 {
        for (userinfo, rest) in [("app@", "app"), ("", ""), ("app:wrong@", "app"), ("app:x@", "app?ssl-mode=REQUIRED")]
        {
            let target = format!("mysql://{userinfo}127.0.0.1:{}/{rest}", server.port);
            Run::new().target(target).args(["--max-attempts", "1"]).finish();
        }
    }
    assert!(!server.log().contains("Aborted connection"), "{}", server.log());
    assert_eq!(server.value("show global status like 'Aborted_connects_preauth'"), "Aborted_connects_preauth\t0");
}

#[test]
fn it_waits_from_before_the_start_to_the_end_of_the_init_scripts() {
    let (directory, port) = (MariaDb::prepared(), free_port());
    let target = format!("db=mysql://app:secret%20word@127.0.0.1:{port}/app");
    let running = Run::new().target(target).timeout("60s").command(["echo", "ran"]).spawn();
    running.wait_for_stderr("nothing listens");
    // As the images do: a temporary server without networking, then the real one.
    let temporary = MariaDb::start(directory, port, &["--skip-networking"]);
    crate::support::eventually("the temporary server", || temporary.path().join("socket").exists());
    ready(format!("mysql://root@localhost/?unix_socket={}", temporary.socket())).expect_stderr("without networking");
    let server = MariaDb::start(temporary.into_directory(), port, &[]);
    running.wait_for_stderr("Access denied");
    server.sql("create database app; create user app@'%' identified by 'secret word'; grant all on app.* to app@'%'");
    running.finish().expect_status(0).expect_stdout("ran\n");
}

#[test]
fn too_many_connections_is_not_ready() {
    let server = MariaDb::started(&["--max-connections=10"]);
    let mut clients: Vec<std::process::Child> = (0..11)
        .map(|_| {
            std::process::Command::new(crate::support::tool(&["mariadb"], "mariadb-client"))
                .args(["--no-defaults", "-u", "root", "-S", &server.socket(), "-e", "select sleep(30)"])
                .spawn()
                .unwrap()
        })
        .collect();
    let target = format!("mysql://app:secret%20word@127.0.0.1:{}/app", server.port);
    crate::support::eventually("too many connections", || {
        let run = Run::new().target(target.clone()).args(["--max-attempts", "1"]).finish();
        run.status == 124 && run.stderr.contains("Too many connections (1040)")
    });
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    ready(target);
}

#[test]
fn until_down_and_a_check_ask_it_too() {
    Run::new().args(["--check", &url("app:secret%20word@", "app")]).finish().expect_status(0);
    let down = format!("mysql://127.0.0.1:{}", free_port());
    Run::new().args(["--until-down", &down]).finish().expect_status(0);
    let up = Run::new().args(["--until-down", &url("app:wrong@", "app"), "-t", "300ms"]).finish();
    up.expect_status(124).expect_stderr("it still answers");
}

#[test]
fn the_host_that_is_blocked_or_not_allowed_fails_for_good() {
    for (code, text, phrase) in [
        (1129_u16, "Host '10.0.0.1' is blocked because of many connection errors", "FLUSH HOSTS"),
        (
            1130,
            "Host '10.0.0.1' is not allowed to connect to this MySQL server",
            "no account may log in from this host",
        ),
    ] {
        let mut packet = vec![0xff, code.to_le_bytes()[0], code.to_le_bytes()[1]];
        packet.extend_from_slice(text.as_bytes());
        let head = [u8::try_from(packet.len()).unwrap(), 0, 0, 0];
        let greeting = [&head[..], &packet].concat();
        let peer = Peer::start(move |mut stream, _| drop(stream.write_all(&greeting)));
        fails_for_good(format!("mysql://app:x@127.0.0.1:{}/", peer.port)).expect_stderr(phrase).expect_stderr(text);
    }
}

#[test]
fn tls_is_used_where_it_is_offered_and_verified_where_it_is_asked() {
    let ca = Ca::new();
    let files = ca.issue("localhost", &["localhost", "127.0.0.1"]);
    let args = [
        format!("--ssl-cert={}", files.cert.display()),
        format!("--ssl-key={}", files.key.display()),
        format!("--ssl-ca={}", ca.file().display()),
    ];
    let server = MariaDb::started(&args.each_ref().map(String::as_str));
    server.sql("create user tls@'%' identified by 'x' require ssl");
    let url = |host: &str, rest: &str| format!("mysql://tls:x@{host}:{}/{rest}", server.port);
    ready(url("localhost", ""));
    ready(url("localhost", "?ssl-mode=REQUIRED"));
    fails_for_good(url("localhost", "?ssl-mode=DISABLED")).expect_stderr("Access denied");
    fails_for_good(url("localhost", "?ssl-mode=VERIFY_CA")).expect_stderr("unknown CA");
    ready(url("localhost", &format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={}", ca.file().display())));
    let run = Run::new().target(url("localhost", "?ssl-mode=VERIFY_IDENTITY"));
    run.args(["--tls-ca", ca.file().to_str().unwrap()]).finish().expect_status(0);
}

#[test]
fn a_database_is_asked_for_plain_over_tls_and_by_socket() {
    let ca = Ca::new();
    let files = ca.issue("db", &["127.0.0.1"]);
    let server = MariaDb::started(&[
        &format!("--ssl-cert={}", files.cert.display()),
        &format!("--ssl-key={}", files.key.display()),
    ]);
    server.sql("create table app.t (id int); insert into app.t values (1)");
    let socket = server.socket();
    let tcp =
        |path: &str, mode: &str| format!("mysql://app:secret%20word@127.0.0.1:{}/{path}?ssl-mode={mode}", server.port);
    let by_socket = |path: &str| format!("mysql://app:secret%20word@localhost/{path}?unix_socket={socket}");
    for mode in ["DISABLED", "PREFERRED", "REQUIRED"] {
        ready(tcp("app", mode)).expect_stderr("to the database app");
        not_ready(tcp("nowhere", mode));
        ready(format!("{}#query=select count(*)>0 from t", tcp("app", mode)));
    }
    ready(by_socket("app"));
    not_ready(by_socket("nowhere"));
    ready(format!("{}#query=select count(*)>0 from t", by_socket("app")));
}
