//! Redis in every state that it has, as servers really answer.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::peer::Peer;
use crate::support::redis::Redis;
use crate::support::{Run, directory, eventually, fails_for_good, free_port, not_ready, ready};

mod login {
    use super::*;

    #[test]
    fn a_server_without_a_password_is_ready_at_pong() {
        let server = Redis::started(&[]);
        ready(format!("redis://127.0.0.1:{}", server.port)).expect_stderr("ready: PONG");
        ready(format!("redis://127.0.0.1:{}/0", server.port)).expect_stderr("ready: PONG");
        fails_for_good(format!("redis://:pw@127.0.0.1:{}", server.port))
            .expect_stderr("ERR AUTH <password> called without any password configured for the default user")
            .expect_stderr("the server has no password; leave it out of the URL");
    }

    #[test]
    fn the_password_is_asked_for_checked_and_taken() {
        let server = Redis::started(&["--requirepass", "s3cret"]);
        let port = server.port;
        ready(format!("redis://:s3cret@127.0.0.1:{port}")).expect_stderr("ready: PONG").expect_nowhere("s3cret");
        ready(format!("redis://default:s3cret@127.0.0.1:{port}")).expect_stderr("ready: PONG");
        fails_for_good(format!("redis://127.0.0.1:{port}"))
            .expect_stderr("NOAUTH Authentication required: give a password in the URL or in REDISCLI_AUTH");
        fails_for_good(format!("redis://:mistaken@127.0.0.1:{port}"))
            .expect_stderr("WRONGPASS invalid username-password pair or user is disabled: check user and password");
        let run = || Run::new().target(format!("redis://127.0.0.1:{port}/2")).timeout("60s");
        run().env("REDISCLI_AUTH", "s3cret").finish().expect_status(0).expect_stderr("ready: PONG");
        run().arg("--fail-fast").env("REDISCLI_AUTH", "mistaken").finish().expect_status(1).expect_stderr("WRONGPASS");
        Run::new()
            .target(format!("redis://:s3cret@127.0.0.1:{port}"))
            .env("REDISCLI_AUTH", "mistaken")
            .timeout("60s")
            .finish()
            .expect_status(0);
        // By default even these failures are waited out.
        let waits = [format!("redis://127.0.0.1:{port}"), format!("redis://:new@127.0.0.1:{port}")]
            .map(|target| Run::new().target(target).timeout("60s").spawn());
        waits[0].wait_for_stderr("not ready: NOAUTH");
        waits[1].wait_for_stderr("not ready: WRONGPASS");
        let mut admin = server.connection();
        assert_eq!(admin.ask("auth s3cret"), "+OK\r\n");
        assert_eq!(admin.ask("config set requirepass new"), "+OK\r\n");
        let [open, new] = waits;
        new.finish().expect_status(0).expect_stderr("ready: PONG");
        assert_eq!(admin.ask("config set requirepass \"\""), "+OK\r\n");
        open.finish().expect_status(0).expect_stderr("ready: PONG");
    }

    #[test]
    fn an_acl_user_needs_the_right_to_what_is_asked() {
        let server = Redis::started(&[]);
        assert_eq!(server.command("acl setuser app on >pw ~* -@all +ping +select"), "+OK\r\n");
        assert_eq!(server.command("acl setuser mute on >pw ~* -@all"), "+OK\r\n");
        assert_eq!(server.command("acl setuser off off >pw ~* +@all"), "+OK\r\n");
        let url = |rest: &str| format!("redis://{}", rest.replace('@', &format!(":pw@127.0.0.1:{}", server.port)));
        ready(url("app@")).expect_stderr("ready: PONG");
        ready(url("app@/3")).expect_stderr("/3: ready: PONG");
        for (target, command) in [("mute@", "ping"), ("app@#role=master", "role"), ("app@#key=x", "exists")] {
            fails_for_good(url(target))
                .expect_stderr(&format!("NOPERM this user has no permissions to run the '{command}' command"))
                .expect_stderr("the user's ACL must allow the probe's commands");
        }
        fails_for_good(url("off@")).expect_stderr("WRONGPASS");
        fails_for_good(url("nobody@")).expect_stderr("WRONGPASS");
    }

    #[test]
    fn a_password_of_any_characters_comes_through_a_variable() {
        let ascii: String = (' '..='~').collect();
        let server = Redis::started(&[]);
        for password in [ascii.as_str(), " pä€😀 ", "%41%", "${HOME}$$"] {
            let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
            assert_eq!(server.command(&format!("acl setuser app reset on \">{quoted}\" ~* +@all")), "+OK\r\n");
            Run::new()
                .target(format!("redis://app:${{PW}}@127.0.0.1:{}/1", server.port))
                .env("PW", password)
                .args(["--fail-fast", "-v"])
                .timeout("60s")
                .finish()
                .expect_status(0)
                .expect_stderr("ready: PONG")
                .expect_nowhere(password);
        }
    }

    #[test]
    fn a_word_before_the_at_is_a_password_or_a_user_without_one() {
        let server = Redis::started(&["--requirepass", "s3cret"]);
        let mut admin = server.connection();
        assert_eq!(admin.ask("auth s3cret"), "+OK\r\n");
        assert_eq!(admin.ask("acl setuser open on nopass ~* +@all"), "+OK\r\n");
        for before in ["s3cret@", "open@", "open:@", "open:anything@"] {
            ready(format!("redis://{before}127.0.0.1:{}/1", server.port)).expect_stderr("ready: PONG");
        }
        fails_for_good(format!("redis://mistaken@127.0.0.1:{}", server.port))
            .expect_stderr("WRONGPASS")
            .expect_stderr("what stands before the `@` was tried as a password, and as a user without one")
            .expect_nowhere("mistaken");
    }

    #[test]
    fn a_renamed_ping_is_made_up_for() {
        let server = Redis::started(&["--rename-command", "PING", ""]);
        ready(format!("redis://127.0.0.1:{}", server.port))
            .expect_stderr("ready: DBSIZE is answered (the server has renamed PING)");
        ready(format!("redis://127.0.0.1:{}#role=master", server.port)).expect_stderr("role master");
        let quit = Redis::started(&["--rename-command", "QUIT", ""]);
        ready(format!("redis://127.0.0.1:{}", quit.port)).expect_stderr("ready: PONG").expect_nowhere("proxy");
    }

    #[test]
    fn a_database_must_be_one_of_the_servers() {
        let server = Redis::started(&["--databases", "3"]);
        ready(format!("redis://127.0.0.1:{}/2", server.port)).expect_stderr("/2: ready: PONG");
        fails_for_good(format!("redis://127.0.0.1:{}/3", server.port))
            .expect_stderr("ERR DB index is out of range: the URL's database number is not one of this server's");
    }

    #[test]
    fn a_unix_socket_is_asked_as_well() {
        let home = directory();
        let socket = home.path().join("redis.sock");
        let url = format!("redis+unix://{}", socket.display());
        let run = Run::new().target(format!("{url}?db=1")).timeout("60s").spawn();
        run.wait_for_stderr("not ready: ");
        let _server = Redis::started(&["--unixsocket", socket.to_str().unwrap()]);
        run.finish().expect_status(0).expect_stderr(&format!("{url}?db=1: ready: PONG"));
        ready(&url).expect_stderr("ready: PONG");
    }

    #[test]
    fn a_server_in_protected_mode_says_what_to_do() {
        // Redis 7's words; it says them only to addresses other than loopback ones, and hangs up.
        let denial = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is \
                      set for the default user. In this mode connections are only accepted from the loopback \
                      interface. If you want to connect from external computers to Redis you may adopt one of the \
                      following solutions: 1) Just disable protected mode sending the command 'CONFIG SET \
                      protected-mode no' from the loopback interface by connecting to Redis from the same host the \
                      server is running, however MAKE SURE Redis is not publicly accessible from internet if you do \
                      so.\r\n";
        let server = Peer::start(move |mut stream, _| drop(stream.write_all(denial.as_bytes())));
        fails_for_good(format!("redis://127.0.0.1:{}", server.port))
            .expect_stderr("DENIED Redis is running in protected mode")
            .expect_stderr("set a password, or bind the server to the address that is used");
    }
}

mod sentinel {
    use super::*;

    /// A server and a password of its own, or none.
    fn master(password: Option<&str>) -> Redis {
        Redis::started(&password.map_or(vec![], |password| vec!["--requirepass", password]))
    }

    #[test]
    fn the_master_that_it_names_is_probed() {
        let server = master(None);
        let sentinel = Redis::sentinel_of(&[("mymaster", server.port)], "");
        let (port, closed) = (sentinel.port, free_port());
        let says = format!("ready: PONG, role master (127.0.0.1:{}, named by the sentinel)", server.port);
        for url in [
            format!("redis+sentinel://127.0.0.1:{port}/mymaster"),
            format!("redis+sentinel://127.0.0.1:{port}/mymaster/1"),
            format!("redis-sentinel://127.0.0.1:{closed},127.0.0.1:{port}/mymaster"),
            // It watches but one.
            format!("sentinel://127.0.0.1:{port}"),
        ] {
            ready(url).expect_stderr(&says);
        }
        not_ready(format!("redis+sentinel://127.0.0.1:{port}/other"))
            .expect_stderr("not ready: the sentinel does not know the master other");
        not_ready(format!("redis+sentinel://127.0.0.1:{closed}/mymaster")).expect_stderr("connection refused");
        fails_for_good(format!("redis+sentinel://127.0.0.1:{}/mymaster", server.port))
            .expect_stderr("ERR unknown command 'SENTINEL'")
            .expect_stderr("it is no sentinel");
        fails_for_good(format!("redis://127.0.0.1:{port}/1"))
            .expect_stderr("unknown command 'SELECT'")
            .expect_stderr("a sentinel has no databases; leave the number out");
        ready(format!("redis://127.0.0.1:{port}")).expect_stderr("ready: PONG");
        let both = Redis::sentinel_of(&[("one", server.port), ("two", closed)], "");
        fails_for_good(format!("redis+sentinel://127.0.0.1:{}", both.port))
            .expect_stderr("the sentinel watches ")
            .expect_stderr("name one of them in the URL");
    }

    #[test]
    fn that_the_sentinels_are_gone_proves_nothing_of_the_master() {
        let server = master(None);
        let (closed, other) = (free_port(), free_port());
        let directory = crate::support::directory();
        let socket = directory.path().join("gone.sock");
        let down = |url: String| {
            let run = Run::new().target(url).args(["--until-down", "--max-attempts", "1"]).timeout("60s");
            run.command(["echo", "ran"]).finish()
        };
        for place in [format!("127.0.0.1:{closed}"), format!("127.0.0.1:{closed},127.0.0.1:{other}")] {
            down(format!("redis+sentinel://{place}/m"))
                .expect_status(124)
                .expect_stderr("nothing is known of the master");
        }
        // Nor does what a sentinel says of a name that it does not know.
        let sentinel = Redis::sentinel_of(&[("m", server.port)], "");
        down(format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port)).expect_status(124);
        // A server that is asked itself, and is gone, is down.
        down(format!("redis://127.0.0.1:{closed}")).expect_status(0);
        down(format!("redis+unix://{}", socket.display())).expect_status(0);
    }

    #[test]
    fn a_renamed_select_is_not_taken_for_a_sentinel() {
        let server = Redis::started(&["--rename-command", "SELECT", "\"\""]);
        let failed = fails_for_good(format!("redis://127.0.0.1:{}/1", server.port));
        assert!(!failed.stderr.contains("sentinel"), "{}", failed.stderr);
        failed.expect_stderr("unknown command 'SELECT'").expect_stderr("the server has renamed");
        ready(format!("redis://127.0.0.1:{}/0", server.port));
    }

    #[test]
    fn a_master_that_is_not_there_yet_is_waited_for() {
        let port = free_port();
        let sentinel = Redis::sentinel_of(&[("m", port)], "");
        let url = format!("redis+sentinel://127.0.0.1:{}/m", sentinel.port);
        let run = Run::new().target(&url).timeout("60s").spawn();
        run.wait_for_stderr(&format!(
            "not ready: the master at 127.0.0.1:{port}, which the sentinel names: connection refused"
        ));
        let down = || Run::new().target(&url).args(["--until-down", "--max-attempts", "1"]).timeout("60s").finish();
        down().expect_status(0);
        let _server = Redis::start(port, &[]);
        run.finish().expect_status(0).expect_stderr("ready: PONG, role master");
        down().expect_status(124).expect_stderr("still up");
    }

    #[test]
    fn each_has_its_password() {
        let server = master(Some("s3cret"));
        let sentinel = Redis::sentinel_of(&[("m", server.port)], "requirepass sentin3l\nsentinel auth-pass m s3cret\n");
        let url = |user: &str, rest: &str| format!("redis+sentinel://{user}127.0.0.1:{}/m{rest}", sentinel.port);
        ready(url(":s3cret@", "?sentinel_password=sentin3l")).expect_stderr("ready: PONG, role master");
        fails_for_good(url(":s3cret@", "")).expect_stderr("NOAUTH");
        fails_for_good(url("", "?sentinel_password=sentin3l")).expect_stderr("NOAUTH");
        fails_for_good(url(":s3cret@", "?sentinel_password=mistaken")).expect_stderr("WRONGPASS");
        let same = Redis::sentinel_of(&[("m", server.port)], "requirepass s3cret\nsentinel auth-pass m s3cret\n");
        ready(format!("redis+sentinel://:s3cret@127.0.0.1:{}/m", same.port)).expect_stderr("ready: PONG, role master");
    }
}

mod proxy {
    use super::*;

    #[test]
    fn the_pong_of_twemproxy_is_told_from_that_of_redis() {
        let mut server = Redis::started(&[]);
        let proxy = Redis::proxy_of(server.port);
        let url = |rest: &str| format!("redis://127.0.0.1:{}{rest}", proxy.port);
        ready(url("")).expect_stderr("ready: PONG, from a proxy: key= would reach behind it");
        not_ready(url("#key=x")).expect_stderr("not ready: the expected key is not there yet");
        assert_eq!(server.command("set x 1"), "+OK\r\n");
        ready(url("#key=x")).expect_stderr("ready: PONG, the key is there");
        not_ready(url("/1")).expect_stderr("SELECT: is it a proxy, which has no such command?");
        not_ready(url("#role=master")).expect_stderr("ROLE: is it a proxy, which has no such command?");
        server.stop();
        ready(url("")).expect_stderr("from a proxy");
        not_ready(url("#key=x")).expect_stderr("not ready: ");
    }
}

mod hosts {
    use super::*;

    #[test]
    fn the_first_of_several_that_is_ready_is_taken() {
        let server = Redis::started(&[]);
        let closed = free_port();
        let silent = Peer::start(|stream, _| crate::support::peer::hold(stream));
        for before in [closed, silent.port] {
            ready(format!("redis://127.0.0.1:{before},127.0.0.1:{}", server.port)).expect_stderr("ready: PONG");
        }
        let url = format!("redis://127.0.0.1:{closed},127.0.0.1:{}", server.port);
        let down =
            |url: &str| Run::new().target(url).args(["--until-down", "--max-attempts", "1"]).timeout("60s").finish();
        down(&url).expect_status(124).expect_stderr("still up (PONG)");
        // What refuses the password is up as well.
        down(&url.replace("://", "://:pw@")).expect_status(124).expect_stderr("still");
        down(&format!("redis://127.0.0.1:{closed},127.0.0.1:{}", free_port())).expect_status(0);
    }
}

mod tls {
    use std::path::Path;

    use super::*;
    use crate::support::certificates::{Ca, Files};

    /// A server that has TLS on the port that is given back.
    fn server_with(files: &Files, ca: &Path, clients: &str) -> (Redis, u16) {
        let port = free_port();
        let tls = ["--tls-port", &port.to_string(), "--tls-cert-file", files.cert.to_str().unwrap()];
        let key = ["--tls-key-file", files.key.to_str().unwrap(), "--tls-ca-cert-file", ca.to_str().unwrap()];
        (Redis::started(&[&tls[..], &key, &["--tls-auth-clients", clients]].concat()), port)
    }

    #[test]
    fn rediss_verifies_the_server() {
        let ca = Ca::new();
        let (server, port) = server_with(&ca.issue("redis", &["localhost", "127.0.0.1"]), &ca.file(), "no");
        let url = format!("rediss://127.0.0.1:{port}");
        let trusting = |target: String| {
            Run::new().target(target).arg("--tls-ca").arg(ca.file().to_str().unwrap()).arg("--fail-fast").timeout("60s")
        };
        trusting(url.clone()).finish().expect_status(0).expect_stderr(&format!("{url}: ready: PONG"));
        trusting(format!("rediss://localhost:{port}/1")).finish().expect_status(0).expect_stderr("ready: PONG");
        Run::new().target(&url).arg("--tls-insecure").timeout("60s").finish().expect_status(0);
        Run::new().target(&url).env("SSL_CERT_FILE", ca.file()).timeout("60s").finish().expect_status(0);
        fails_for_good(&url)
            .expect_stderr("the server's certificate is from an unknown CA: give that CA with --tls-ca FILE");
        // Without TLS a server waits for the end of what it takes for a line.
        trusting(format!("rediss://127.0.0.1:{}", server.port))
            .args(["--max-attempts", "1", "--attempt-timeout", "1s"])
            .finish()
            .expect_status(124)
            .expect_stderr("connected, but no TLS handshake within 1s");
        // OpenSSL hangs up on what is no TLS.
        not_ready(format!("redis://127.0.0.1:{port}")).expect_stderr("the connection before it answered");
    }

    #[test]
    fn a_certificate_that_is_expired_or_for_another_name_is_refused() {
        let ca = Ca::new();
        for (files, says) in [
            (ca.issue("other", &["redis.example"]), "the server's certificate is not for 127.0.0.1 but for"),
            (ca.issue_expired("old", &["127.0.0.1"]), "the server's certificate has expired: renew it"),
        ] {
            let (_server, port) = server_with(&files, &ca.file(), "no");
            Run::new()
                .target(format!("rediss://127.0.0.1:{port}"))
                .args(["--tls-ca", ca.file().to_str().unwrap(), "--fail-fast"])
                .timeout("60s")
                .finish()
                .expect_status(1)
                .expect_stderr(says);
        }
    }

    #[test]
    fn a_client_certificate_is_shown_where_the_server_wants_one() {
        let ca = Ca::new();
        let client = ca.issue("client", &[]);
        let others = [Ca::new(), Ca::named("Other CA")];
        let strangers = others.each_ref().map(|other| other.issue("client", &[]));
        let (_server, port) = server_with(&ca.issue("redis", &["127.0.0.1"]), &ca.file(), "yes");
        let run = |files: Option<&Files>| {
            let run = Run::new()
                .target(format!("rediss://127.0.0.1:{port}"))
                .args(["--tls-ca", ca.file().to_str().unwrap(), "--fail-fast"])
                .timeout("60s");
            match files {
                Some(Files { cert, key }) => {
                    run.args(["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]).finish()
                }
                None => run.finish(),
            }
        };
        run(Some(&client)).expect_status(0).expect_stderr("ready: PONG");
        let refused = "the server does not take this client's certificate";
        run(None)
            .expect_status(1)
            .expect_stderr("the server wants a client's certificate")
            .expect_stderr("give one with --tls-cert and --tls-key");
        for stranger in &strangers {
            run(Some(stranger)).expect_status(1).expect_stderr(refused);
        }
    }

    #[test]
    fn probes_over_tls_leave_nothing_in_the_log() {
        let ca = Ca::new();
        let (server, port) = server_with(&ca.issue("redis", &["127.0.0.1"]), &ca.file(), "no");
        let length = server.log().len();
        Run::new()
            .target(format!("rediss://127.0.0.1:{port}"))
            .args(["--tls-ca", ca.file().to_str().unwrap(), "--successes", "200", "--interval", "1ms"])
            .timeout("80s")
            .finish()
            .expect_status(0)
            .expect_nowhere("not ready");
        assert_eq!(&server.log()[length..], "");
    }
}

mod life {
    use super::*;

    #[test]
    fn a_server_that_loads_its_dump_is_waited_for() {
        let filled = Redis::started(&[]);
        let fill = "eval \"for i = 1, 3000 do redis.call('set', i, string.rep('x', 100)) end\" 0";
        assert_eq!(filled.command(fill), "$-1\r\n");
        assert_eq!(filled.command("save"), "+OK\r\n");
        let directory = filled.into_directory();
        // It looks after its clients each time that it has read 1 KiB, and takes 10 ms a key.
        let slowly = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"];
        let port = free_port();
        let run = Run::new().target(format!("redis://127.0.0.1:{port}/0#key=3000")).timeout("60s").spawn();
        run.wait_for_stderr("not ready: connection refused");
        let server = Redis::start_in(directory, port, &slowly);
        run.wait_for_stderr("not ready: LOADING Redis is loading the dataset in memory");
        assert_eq!(server.command("config set key-load-delay 0"), "+OK\r\n");
        run.finish().expect_status(0).expect_stderr("ready: PONG, the key is there");
    }

    #[test]
    fn a_replica_without_its_master_is_waited_for() {
        let closed = free_port();
        let replica_of = format!("127.0.0.1 {closed}");
        let server = Redis::started(&["--replicaof", &replica_of, "--replica-serve-stale-data", "no"]);
        let run = Run::new().target(format!("redis://127.0.0.1:{}", server.port)).timeout("60s").spawn();
        run.wait_for_stderr(
            "not ready: MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        );
        assert_eq!(server.command("replicaof no one"), "+OK\r\n");
        run.finish().expect_status(0).expect_stderr("ready: PONG");
    }

    #[test]
    fn a_server_that_is_busy_with_a_script_is_waited_for() {
        let server = Redis::started(&["--busy-reply-threshold", "10"]);
        let mut script = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        script.write_all(b"eval \"while true do end\" 0\r\n").unwrap();
        let run = Run::new().target(format!("redis://127.0.0.1:{}", server.port)).timeout("60s").spawn();
        run.wait_for_stderr("not ready: BUSY Redis is busy running a script.");
        assert_eq!(server.command("script kill"), "+OK\r\n");
        run.finish().expect_status(0).expect_stderr("ready: PONG");
    }

    #[test]
    fn a_server_out_of_clients_is_waited_for() {
        let server = Redis::started(&["--maxclients", "1"]);
        // The client that found it up may not have left yet.
        let mut client = None;
        eventually("the only client", || {
            let mut connection = server.connection();
            let is_in = connection.ask("ping") == "+PONG\r\n";
            client = is_in.then_some(connection);
            is_in
        });
        let run = Run::new().target(format!("redis://127.0.0.1:{}", server.port)).timeout("60s").spawn();
        run.wait_for_stderr("not ready: ERR max number of clients reached");
        drop(client);
        run.finish().expect_status(0).expect_stderr("ready: PONG");
    }

    #[test]
    fn a_role_is_waited_for() {
        let master_port = free_port();
        let replica =
            Redis::started(&["--replicaof", &format!("127.0.0.1 {master_port}"), "--repl-diskless-sync-delay", "0"]);
        let url = |port: u16, role: &str| format!("redis://127.0.0.1:{port}#role={role}");
        let linked = Run::new().target(url(replica.port, "replica")).timeout("60s").spawn();
        linked.wait_for_stderr("not ready: it is a replica whose link to its master is `connect");
        let promoted = Run::new().target(url(replica.port, "master")).timeout("60s").spawn();
        promoted.wait_for_stderr("not ready: it is a replica, not a master");
        let master = Redis::start(master_port, &["--repl-diskless-sync-delay", "0"]);
        linked.finish().expect_status(0).expect_stderr("ready: PONG, role replica");
        ready(url(master.port, "master")).expect_stderr("ready: PONG, role master");
        not_ready(url(master.port, "replica")).expect_stderr("not ready: it is a master, not a replica");
        assert_eq!(replica.command("replicaof no one"), "+OK\r\n");
        promoted.finish().expect_status(0).expect_stderr("ready: PONG, role master");
    }

    #[test]
    fn a_key_is_waited_for() {
        let server = Redis::started(&[]);
        let run =
            Run::new().target(format!("redis://127.0.0.1:{}/1#key=a%3Db%20c", server.port)).timeout("60s").spawn();
        run.wait_for_stderr("not ready: the expected key is not there yet");
        assert_eq!(server.command("set \"a=b c\" \"\""), "+OK\r\n");
        let mut second = server.connection();
        assert_eq!(second.ask("select 1"), "+OK\r\n");
        assert!(!run.stderr_so_far().contains(": ready: "));
        assert_eq!(second.ask("set \"a=b c\" \"\""), "+OK\r\n");
        run.finish().expect_status(0).expect_stderr("ready: PONG, the key is there");

        let target = format!("redis://127.0.0.1:{}#key=migrated=v2", server.port);
        let run = Run::new().arg("-v").target(target).spawn();
        run.wait_for_stderr("the expected key is not there yet");
        assert_eq!(server.command("set migrated v1"), "+OK\r\n");
        run.wait_for_stderr("the key is there, and has another value");
        assert_eq!(server.command("set migrated v2"), "+OK\r\n");
        run.finish().expect_status(0).expect_stderr("ready: PONG, the key has its value");
    }
}

mod cluster {
    use super::*;

    /// A node of a cluster, and the port by which nodes talk.
    fn node() -> (Redis, u16) {
        let port = free_port();
        (Redis::started(&["--cluster-enabled", "yes", "--cluster-port", &port.to_string()]), port)
    }

    #[test]
    fn a_cluster_that_is_not_formed_is_waited_for() {
        let (server, _) = node();
        let url = |rest: &str| format!("redis://127.0.0.1:{}{rest}", server.port);
        ready(url("")).expect_stderr("ready: PONG");
        not_ready(url("#key=x")).expect_stderr("not ready: CLUSTERDOWN Hash slot not served");
        let run = Run::new().target(url("#cluster")).timeout("60s").spawn();
        run.wait_for_stderr("not ready: the cluster is not formed");
        assert_eq!(server.command("cluster addslotsrange 0 16383"), "+OK\r\n");
        run.finish().expect_status(0).expect_stderr("ready: PONG, cluster formed");
        fails_for_good(url("/1")).expect_stderr("SELECT is not allowed in cluster mode");
    }

    #[test]
    fn what_a_cluster_advertises_must_be_reachable() {
        let (server, _) = node();
        let url = format!("redis-cluster://127.0.0.1:{}", server.port);
        assert_eq!(server.command("cluster addslotsrange 0 16383"), "+OK\r\n");
        assert_eq!(server.command("config set cluster-announce-ip 127.0.0.9"), "+OK\r\n");
        let run = Run::new().target(url.clone()).timeout("60s").spawn();
        run.wait_for_stderr("the master of slots 0-16383 is advertised as 127.0.0.9");
        Run::new().target(url.clone()).args(["--until-down", "-t", "300ms"]).finish().expect_status(124);
        // A user who may not ask knows what it knew.
        let acl = "acl setuser probe on >pw -@all +ping +cluster|info";
        assert_eq!(server.command(acl), "+OK\r\n");
        ready(url.replace("//", "//probe:pw@")).expect_stderr("cluster formed");
        assert_eq!(server.command("config set cluster-announce-ip 127.0.0.1"), "+OK\r\n");
        run.finish().expect_status(0).expect_stderr("ready: PONG, cluster formed");
    }

    #[test]
    fn a_server_outside_of_a_cluster_is_none_of_its_nodes() {
        let server = Redis::started(&[]);
        fails_for_good(format!("redis://127.0.0.1:{}#cluster", server.port))
            .expect_stderr("ERR This instance has cluster support disabled: it is not a cluster's node");
    }

    #[test]
    fn a_key_is_found_on_the_node_that_holds_it() {
        let ((first, _), (second, bus)) = (node(), node());
        assert_eq!(first.command("cluster addslotsrange 0 8191"), "+OK\r\n");
        assert_eq!(second.command("cluster addslotsrange 8192 16383"), "+OK\r\n");
        // Else both claim to be of the same epoch, and settle it only later.
        assert_eq!(second.command("cluster set-config-epoch 2"), "+OK\r\n");
        let meet = format!("cluster meet 127.0.0.1 {} {bus}", second.port);
        assert_eq!(first.command(&meet), "+OK\r\n");
        let targets = [&first, &second].map(|node| format!("redis://127.0.0.1:{}#cluster&key=foo", node.port));
        let runs = targets.map(|target| Run::new().target(target).timeout("60s").spawn());
        for run in &runs {
            run.wait_for_stderr("not ready: the expected key is not there yet");
        }
        // Slot 12182.
        assert_eq!(second.command("set foo bar"), "+OK\r\n");
        for run in runs {
            run.finish().expect_status(0).expect_stderr("ready: PONG, cluster formed, the key is there");
        }
    }
}

#[test]
fn a_thousand_probes_leave_neither_a_line_in_the_log_nor_a_connection() {
    let socket = directory();
    let socket = socket.path().join("redis.sock");
    let server = Redis::started(&["--requirepass", "pw", "--unixsocket", socket.to_str().unwrap()]);
    let length = server.log().len();
    for target in [
        format!("redis://:pw@127.0.0.1:{}", server.port),
        format!("redis://:pw@127.0.0.1:{}/1#role=master", server.port),
        format!("redis+unix://{}?password=pw", socket.display()),
    ] {
        Run::new()
            .target(target)
            .args(["--successes", "350", "--interval", "1ms"])
            .timeout("80s")
            .finish()
            .expect_status(0)
            .expect_nowhere("not ready");
    }
    let mut admin = server.connection();
    assert_eq!(admin.ask("auth pw"), "+OK\r\n");
    eventually("no connection left", || admin.ask("info clients").contains("\r\nconnected_clients:1\r\n"));
    assert_eq!(&server.log()[length..], "");
}

#[test]
fn a_peer_that_hangs_up_or_answers_something_else_is_named() {
    for (answer, says) in [
        (&b""[..], "the peer closed the connection before it answered"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answered like an HTTP server"),
        (b":1\r\n", "an answer to PING that Redis does not give (an integer)"),
        (b"-ERR anything else\r\n", "not ready: ERR anything else"),
    ] {
        let server = Peer::start(move |mut stream, _| {
            drop(stream.read(&mut [0; 64]));
            drop(stream.write_all(answer));
        });
        not_ready(format!("redis://127.0.0.1:{}", server.port)).expect_stderr(says);
    }
}

#[test]
fn a_key_is_followed_to_another_port_of_the_same_host() {
    let serve = |answer: String| {
        Peer::start(move |mut stream, _| {
            drop(stream.read(&mut [0; 64]));
            drop(stream.write_all(b"+PONG\r\n"));
            drop(stream.read(&mut [0; 64]));
            drop(stream.write_all(answer.as_bytes()));
        })
    };
    let there = serve(":1\r\n".to_owned());
    for host in ["", "127.0.0.1"] {
        let first = serve(format!("-MOVED 3999 {host}:{}\r\n", there.port));
        for name in ["127.0.0.1", "localhost"] {
            ready(format!("redis://{name}:{}#key=a", first.port)).expect_stderr("the key is there");
        }
    }
    assert_eq!(there.connections(), 4);
}
