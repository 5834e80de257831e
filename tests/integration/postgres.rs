//! PostgreSQL in every state that it has, as servers and poolers really answer.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};

use crate::support::peer::{Peer, hold};
use crate::support::pgbouncer::Pgbouncer;
use crate::support::postgres::{PASSWORD, Postgres, SUPERUSER, Session};
use crate::support::{Run, directory, eventually, fails_for_good, free_port, not_ready, postgres_tool, ready};

/// The name of the user that runs the tests.
fn system_user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

mod login {
    use super::*;

    #[test]
    fn every_password_method_logs_in_and_trust_needs_no_password() {
        let server = Postgres::started_with(
            &["log_connections=on"],
            "host all by_md5 all md5\nhost all by_cleartext all password\nhost all by_trust all trust",
        );
        server.psql("create role by_scram login password 'pw'");
        server.psql("create role by_cleartext login password 'pw'");
        server.psql("create role by_trust login");
        server.psql("set password_encryption = 'md5'; create role by_md5 login password 'pw'");
        for (user, method) in [("by_scram", "scram-sha-256"), ("by_md5", "md5"), ("by_cleartext", "password")] {
            ready(format!("postgres://{user}:pw@127.0.0.1:{}/postgres", server.port))
                .expect_stderr(&format!("ready: logged in as {user} to the database postgres"));
            assert!(server.log().contains(&format!("method={method} ")), "{}", server.log());
            fails_for_good(format!("postgres://{user}:wrong@127.0.0.1:{}/postgres", server.port))
                .expect_stderr(&format!("password authentication failed for user \"{user}\" (28P01)"));
        }
        ready(format!("postgres://by_trust@127.0.0.1:{}/postgres", server.port))
            .expect_stderr("ready: logged in as by_trust to the database postgres");
    }

    #[test]
    fn peer_authentication_logs_in_over_the_socket() {
        let user = system_user();
        let server = Postgres::started_with(&[], "local all all peer");
        server.psql(&format!("create role \"{user}\" login"));
        let socket = server.path().display();
        ready(format!("postgres://{user}@/postgres?host={socket}&port={}", server.port))
            .expect_stderr(&format!("{socket}/.s.PGSQL.{}/postgres: ready: logged in as {user} to", server.port));
        let encoded = socket.to_string().replace('/', "%2F");
        ready(format!("postgres://{user}@{encoded}:{}/postgres", server.port)).expect_stderr("ready: logged in");
        fails_for_good(format!("postgres://{SUPERUSER}:x@/postgres?host={socket}&port={}", server.port))
            .expect_stderr("Peer authentication failed for user \"admin\" (28000)");
    }

    #[test]
    fn a_wrong_password_is_retried_until_the_deadline_and_ends_a_fail_fast_wait() {
        let server = Postgres::started();
        let url = format!("postgres://{SUPERUSER}:not-it@127.0.0.1:{}/postgres", server.port);
        let reason = "password authentication failed for user \"admin\" (28P01): check user and password";
        let run = Run::new().target(&url).timeout("5s").spawn();
        fails_for_good(url).expect_stderr(": failed: ").expect_stderr(reason);
        run.finish()
            .expect_status(124)
            .expect_stderr(reason)
            .expect_stderr("not ready after 5s")
            .expect_nowhere(", 1 attempt;")
            .expect_nowhere("not-it");
    }

    #[test]
    fn a_password_of_any_characters_comes_through_a_variable() {
        let ascii: String = (' '..='~').collect();
        let server = Postgres::started_with(
            &[],
            "host all by_md5 all md5\nhost all by_cleartext all password\nhost all by_scram all scram-sha-256",
        );
        // SASLprep (RFC 4013) maps U+00A0 to a space, drops U+00AD and takes the long s for an s.
        for password in [ascii.as_str(), " pä€😀 ", "x\u{a0}y\u{ad}zſ", "%41%", "${HOME}$$"] {
            let quoted = password.replace('\'', "''");
            server.psql("drop role if exists by_scram, by_cleartext, by_md5");
            server.psql(&format!("create role by_scram login password '{quoted}'"));
            server.psql(&format!("create role by_cleartext login password '{quoted}'"));
            server.psql(&format!("set password_encryption = 'md5'; create role by_md5 login password '{quoted}'"));
            for user in ["by_scram", "by_cleartext", "by_md5"] {
                Run::new()
                    .target(format!("postgres://{user}:${{PW}}@127.0.0.1:{}/postgres", server.port))
                    .env("PW", password)
                    .arg("--fail-fast")
                    .arg("-v")
                    .timeout("60s")
                    .finish()
                    .expect_status(0)
                    .expect_stderr("ready: logged in")
                    .expect_nowhere(password);
            }
        }
    }

    #[test]
    fn a_servers_error_shows_no_literal_of_the_query() {
        let server = Postgres::started();
        let url = format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/postgres", server.port);
        for (query, expected) in [
            ("select 'hunter2pass'::int", "integer: \"***\" (22P02)"),
            ("select 1 where 'it's hunter2pass'", "(42601)"),
            ("select 'hunter2pass", "(42601)"),
            (
                "select 1 from no_such_table where x = 'hunter2pass'",
                "relation \"no_such_table\" does not exist (42P01)",
            ),
        ] {
            let target = format!("{url}#query={}", query.replace(' ', "%20"));
            let finished = Run::new().args(["-v", "--max-attempts", "1"]).target(target).timeout("20s").finish();
            finished.expect_status(124).expect_stderr(expected).expect_nowhere("hunter2");
        }
    }

    #[test]
    fn a_password_that_is_hashed_as_often_as_is_recommended_today_logs_in() {
        // Of the password `pw`; a server since 16 makes such with scram_iterations.
        let verifier = "SCRAM-SHA-256$600000:MDEyMzQ1Njc4OWFiY2RlZg==$gTdCTuhP5vOM2J9maOnOkOsUW9a8zjkmBosVWsqsNO8=:7w5XYBhln9E7RXcPiE0e1Kqig19uHXlK2iJuM1UIRAo=";
        let server = Postgres::started();
        server.psql(&format!("create role app login password '{verifier}'"));
        ready(format!("postgres://app:pw@127.0.0.1:{}/postgres", server.port)).expect_stderr("ready: logged in as app");
        fails_for_good(format!("postgres://app:no@127.0.0.1:{}/postgres", server.port)).expect_stderr("(28P01)");
    }

    #[test]
    fn the_password_comes_from_pgpassword() {
        let server = Postgres::started();
        let target = format!("postgres://{SUPERUSER}@127.0.0.1:{}/postgres", server.port);
        let run = || Run::new().target(&target).timeout("60s");
        run().env("PGPASSWORD", PASSWORD).finish().expect_status(0).expect_stderr("ready: logged in as admin");
        run()
            .arg("--fail-fast")
            .env("PGPASSWORD", "wrong")
            .finish()
            .expect_status(1)
            .expect_stderr("28P01")
            .expect_nowhere("wrong");
        // What the URL leaves out comes from the environment, and what it says wins.
        Run::new()
            .target("postgres://")
            .envs(&[
                ("PGHOST", "127.0.0.1"),
                ("PGUSER", SUPERUSER),
                ("PGPASSWORD", PASSWORD),
                ("PGDATABASE", "template1"),
            ])
            .env("PGPORT", server.port.to_string())
            .timeout("60s")
            .finish()
            .expect_status(0)
            .expect_stderr("ready: logged in as admin to the database template1");
        Run::new()
            .target(server.url("postgres"))
            .envs(&[("PGPASSWORD", "wrong"), ("PGUSER", "nobody"), ("PGDATABASE", "nowhere")])
            .timeout("60s")
            .finish()
            .expect_status(0)
            .expect_stderr("ready: logged in as admin to the database postgres");
    }

    #[test]
    fn the_password_comes_from_a_password_file_that_only_its_owner_reads() {
        let server = Postgres::started();
        let home = directory();
        let file = home.path().join(".pgpass");
        fs::write(&file, format!("# a comment\nelsewhere:*:*:*:no\n127.0.0.1:*:*:{SUPERUSER}:{PASSWORD}\n")).unwrap();
        let target = format!("postgres://{SUPERUSER}@127.0.0.1:{}/postgres", server.port);
        let run = || Run::new().target(&target).timeout("60s");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        run().env("PGPASSFILE", &file).finish().expect_status(0).expect_stderr("ready: logged in as admin");
        run().env("HOME", home.path()).finish().expect_status(0).expect_stderr("ready: logged in as admin");
        let mut latin = b"# p\xe4ssw\xf6rter\nelsewhere:*:*:*:\xe4\n".to_vec();
        latin.extend(fs::read(&file).unwrap());
        fs::write(&file, latin).unwrap();
        run().env("PGPASSFILE", &file).finish().expect_status(0).expect_stderr("ready: logged in as admin");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        run()
            .env("PGPASSFILE", &file)
            .finish()
            .expect_status(0)
            .expect_stderr("ready: accepting connections; no password given, login not tried")
            .expect_stderr(&format!("{} is ignored: group or others may read it; chmod 600", file.display()));
    }

    #[test]
    fn without_a_password_it_is_ready_when_it_accepts_connections() {
        let server = Postgres::started();
        let says = "ready: accepting connections; no password given, login not tried";
        ready(format!("postgres://127.0.0.1:{}", server.port)).expect_stderr(says);
        ready(format!("postgres://nobody@127.0.0.1:{}/nowhere", server.port)).expect_stderr(says);
        ready(format!("postgres://127.0.0.1:{}/?target_session_attrs=primary", server.port)).expect_stderr(
            "accepting connections; no password given, login and target_session_attrs=primary not tried",
        );
        fails_for_good(format!("postgres://{SUPERUSER}@127.0.0.1:{}/postgres#query=select%201", server.port))
            .expect_stderr(
                "query= needs a login, and no password is given: put it in the URL, PGPASSWORD or PGPASSFILE",
            );
    }

    /// A peer that answers each start-up with an error.
    fn failing_with(sqlstate: &'static str) -> Peer {
        Peer::start(move |mut stream, _| {
            let fields = format!("SFATAL\0VFATAL\0C{sqlstate}\0Mno reason\0\0");
            let length = u32::try_from(fields.len() + 4).unwrap();
            drop(stream.read(&mut [0; 512]));
            drop(stream.write_all(&[&b"E"[..], &length.to_be_bytes(), fields.as_bytes()].concat()));
        })
    }

    #[test]
    fn without_a_password_any_error_past_the_start_proves_that_it_accepts() {
        let server = Postgres::started_with(&[], "host all nobody all trust\nhost all admin all trust");
        not_ready(format!("postgres://admin@127.0.0.1:{}/template0", server.port)).expect_stderr("(55000)");
        ready(format!("postgres://nobody@127.0.0.1:{}", server.port)).expect_stderr("(28000)");
        not_ready(format!("postgres://admin@127.0.0.1:{}/nowhere", server.port)).expect_stderr("(3D000)");
        not_ready(format!("postgres://admin:x@127.0.0.1:{}/template0", server.port)).expect_stderr("(55000)");
        for state in ["55000", "XX000", "0A000", "22023", "42704", "28P02", "28000", "42501", "57P04", "08P01", "3D000"]
        {
            let peer = failing_with(state);
            ready(format!("postgres://127.0.0.1:{}?sslmode=disable", peer.port)).expect_stderr(&format!("({state})"));
            let isready = Command::new(postgres_tool("pg_isready"))
                .args(["-h", "127.0.0.1", "-p", &peer.port.to_string()])
                .env("PGSSLMODE", "disable")
                .output()
                .unwrap();
            assert_eq!(isready.status.code(), Some(0), "{state}");
        }
        for state in ["57P01", "57P02", "57P03", "53000", "53200", "53300"] {
            let peer = failing_with(state);
            not_ready(format!("postgres://127.0.0.1:{}?sslmode=disable", peer.port)).expect_stderr("no reason");
        }
        let peer = failing_with("3D000");
        not_ready(format!("postgres://127.0.0.1:{}/named?sslmode=disable", peer.port)).expect_stderr("(3D000)");
    }

    #[test]
    fn a_host_that_refuses_the_login_is_the_last_one_asked_where_clients_have_it_so() {
        let server = Postgres::started();
        let hosts = |refusing: u16| format!("127.0.0.1:{refusing},127.0.0.1:{}", server.port);
        let keywords = |refusing: u16| {
            let server = server.port;
            let login = format!("user={SUPERUSER} password={PASSWORD} dbname=postgres sslmode=disable");
            format!("host=127.0.0.1,127.0.0.1 port={refusing},{server} {login}")
        };
        for state in ["28P01", "28000", "3D000"] {
            let peer = failing_with(state);
            let hosts = hosts(peer.port);
            let url = format!("postgres://{SUPERUSER}:{PASSWORD}@{hosts}/postgres?sslmode=disable");
            for refused in [url.clone(), keywords(peer.port)] {
                let psql = Command::new(postgres_tool("psql")).args(["-c", "select 1", &refused]).output().unwrap();
                assert!(!psql.status.success(), "{refused}");
                not_ready(refused).expect_stderr(&format!("({state})"));
            }
            ready(format!("jdbc:postgresql://{hosts}/postgres?user={SUPERUSER}&password={PASSWORD}&sslmode=disable"));
            ready(url.replacen("postgres:", "postgresql+psycopg:", 1));
        }
        // One that is not there, and one that cannot let anybody in yet, are no refusal.
        ready(keywords(free_port()));
        let starting = failing_with("57P03");
        ready(keywords(starting.port));
    }

    #[test]
    fn a_server_that_cannot_fork_is_waited_for() {
        // postmaster.c, report_fork_failure_to_client: the form of the protocol's second version.
        let says = b"Ecould not fork new process for connection: Resource temporarily unavailable\n\0";
        let peer = Peer::start(|mut stream, _| {
            drop(stream.read(&mut [0; 512]));
            drop(stream.write_all(says));
        });
        for mode in ["disable", "allow", "prefer", "require"] {
            for credentials in ["", "u:p@"] {
                Run::new()
                    .target(format!("postgres://{credentials}127.0.0.1:{}?sslmode={mode}", peer.port))
                    .args(["--max-attempts", "2", "--fail-fast"])
                    .timeout("60s")
                    .finish()
                    .expect_status(124)
                    .expect_stderr("could not fork new process for connection: Resource temporarily unavailable");
            }
        }
    }

    #[test]
    fn a_refused_identity_is_a_refusal_where_one_was_named() {
        let server = Postgres::started_with(&[], "local all all peer");
        let socket = server.path().display();
        let url = |user: &str| format!("postgres://{user}/postgres?host={socket}&port={}", server.port);
        fails_for_good(url(&format!("{SUPERUSER}@"))).expect_stderr("Peer authentication failed for user \"admin\"");
        ready(url("")).expect_stderr("ready: accepting connections; no password given, login not tried: Peer");
    }

    #[test]
    fn the_time_to_connect_ends_with_the_login() {
        let server = Postgres::started();
        let url = server.url("postgres?connect_timeout=1#query=select%201%20from%20pg_sleep(1.5)");
        Run::new()
            .target(url)
            .args(["--max-attempts", "1"])
            .timeout("60s")
            .finish()
            .expect_status(0)
            .expect_stderr("the query returns a row");
        let silent = Peer::start(|stream, _| hold(stream));
        not_ready(format!("postgres://127.0.0.1:{}?connect_timeout=1", silent.port))
            .expect_stderr("connected, but no answer within 1s");
    }

    #[test]
    fn a_database_that_is_created_later_is_waited_for() {
        let server = Postgres::started();
        let run = Run::new().target(server.url("later")).timeout("60s").spawn();
        run.wait_for_stderr("not ready: database \"later\" does not exist (3D000)");
        server.psql("create database later");
        run.finish().expect_status(0).expect_stderr("ready: logged in as admin to the database later");
    }

    #[test]
    fn a_role_that_is_created_later_is_waited_for() {
        let server = Postgres::started();
        let url = format!("postgres://later:pw@127.0.0.1:{}/postgres", server.port);
        let run = Run::new().target(url).timeout("60s").spawn();
        run.wait_for_stderr("password authentication failed for user \"later\" (28P01)");
        server.psql("create role later login password 'pw'");
        run.finish().expect_status(0).expect_stderr("ready: logged in as later");
    }

    #[test]
    fn a_missing_entry_of_pg_hba_is_named_and_waited_for() {
        let server = Postgres::started();
        server.hba(&format!("host all {SUPERUSER} all scram-sha-256\n"));
        server.signal(Signal::SIGHUP);
        server.psql("create role app login password 'pw'");
        let reason =
            "no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"postgres\", no encryption (28000)";
        let url = format!("postgres://app:pw@127.0.0.1:{}/postgres", server.port);
        eventually("the new pg_hba.conf", || {
            let run = Run::new().target(&url).args(["--max-attempts", "1"]).finish();
            run.stderr.contains(reason)
        });
        fails_for_good(&url).expect_stderr(reason);
        // It answers, and that is all that is asked of it.
        ready(format!("postgres://app@127.0.0.1:{}/postgres", server.port))
            .expect_stderr("ready: accepting connections; no password given, login not tried: no pg_hba.conf entry");
        let run = Run::new().target(&url).timeout("60s").spawn();
        run.wait_for_stderr(reason);
        server.hba("host all all all scram-sha-256\n");
        server.signal(Signal::SIGHUP);
        run.finish().expect_status(0).expect_stderr("ready: logged in as app");
    }
}

mod tls {
    use std::io::ErrorKind;
    use std::net::TcpStream;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::support::certificates::{Ca, Files};

    /// A server with TLS that lets nobody in without.
    fn server_with(files: &Files, options: &[&str], hba: &str) -> Postgres {
        let cert = format!("ssl_cert_file={}", files.cert.display());
        let key = format!("ssl_key_file={}", files.key.display());
        let options = [&["ssl=on", &cert, &key], options].concat();
        Postgres::started_with(&options, &format!("{hba}\nhostnossl all app all reject"))
    }

    #[test]
    fn a_server_without_tls_is_refused_by_the_modes_that_want_it() {
        let server = Postgres::started();
        for mode in ["disable", "allow", "prefer"] {
            ready(server.url(&format!("postgres?sslmode={mode}"))).expect_stderr("ready: logged in as admin");
        }
        for mode in ["require", "verify-ca", "verify-full"] {
            let says = "the server has no TLS, and sslmode wants it";
            not_ready(server.url(&format!("postgres?sslmode={mode}"))).expect_stderr(says);
            fails_for_good(server.url(&format!("postgres?sslmode={mode}"))).expect_stderr(says);
        }
    }

    #[test]
    fn a_server_that_insists_on_tls_is_checked_as_sslmode_says() {
        let ca = Ca::new();
        let files = ca.issue("server", &["127.0.0.1", "localhost"]);
        let server = server_with(&files, &[], "");
        server.psql("create role app login password 'pw'");
        let url = |rest: &str| format!("postgres://app:pw@127.0.0.1:{}/postgres?{rest}", server.port);
        let root = ca.file();
        let root = root.display();
        for rest in [
            String::new(),
            "sslmode=prefer".to_owned(),
            "sslmode=allow".to_owned(),
            "sslmode=require".to_owned(),
            format!("sslmode=require&sslrootcert={root}"),
            format!("sslmode=verify-ca&sslrootcert={root}"),
            format!("sslmode=verify-full&sslrootcert={root}"),
        ] {
            ready(url(&rest)).expect_stderr("ready: logged in as app");
        }
        Run::new()
            .target(url("sslmode=verify-full"))
            .arg("--tls-ca")
            .arg(root.to_string())
            .timeout("60s")
            .finish()
            .expect_status(0);
        fails_for_good(url("sslmode=disable")).expect_stderr("no encryption (28000)");
        for mode in ["verify-ca", "verify-full"] {
            fails_for_good(url(&format!("sslmode={mode}")))
                .expect_stderr("the server's certificate is from an unknown CA: give that CA with --tls-ca FILE");
        }
        // libpq: a CA makes `require` as strict as `verify-ca`.
        for mode in ["require", "verify-ca", "verify-full"] {
            for (other, says) in [
                (Ca::named("Other CA"), "the server's certificate is from an unknown CA"),
                (Ca::new(), "the server's certificate is signed by a CA of the same name but with another key"),
            ] {
                fails_for_good(url(&format!("sslmode={mode}&sslrootcert={}", other.file().display())))
                    .expect_stderr(says);
            }
        }
    }

    #[test]
    fn a_certificate_for_another_name_fails_only_verify_full() {
        let ca = Ca::new();
        let server = server_with(&ca.issue("other", &["db.example"]), &[], "");
        let root = ca.file();
        let url = |mode: &str| server.url(&format!("postgres?sslmode={mode}&sslrootcert={}", root.display()));
        for mode in ["require", "verify-ca"] {
            ready(url(mode));
        }
        fails_for_good(url("verify-full"))
            .expect_stderr("the server's certificate is not for 127.0.0.1 but for")
            .expect_stderr("db.example");
    }

    #[test]
    fn an_expired_certificate_fails_the_modes_that_verify() {
        let ca = Ca::new();
        let server = server_with(&ca.issue_expired("server", &["127.0.0.1"]), &[], "");
        let root = ca.file();
        ready(server.url("postgres?sslmode=require"));
        for mode in ["verify-ca", "verify-full"] {
            fails_for_good(server.url(&format!("postgres?sslmode={mode}&sslrootcert={}", root.display())))
                .expect_stderr("the server's certificate has expired: renew it");
        }
    }

    #[test]
    fn a_client_certificate_logs_in() {
        let ca = Ca::new();
        let client = ca.issue("app", &[]);
        let others = [Ca::new(), Ca::named("Other CA")];
        let strangers = others.each_ref().map(|other| other.issue("app", &[]));
        let server = server_with(
            &ca.issue("server", &["127.0.0.1"]),
            &[&format!("ssl_ca_file={}", ca.file().display())],
            "hostssl all app all cert clientcert=verify-full\nhostssl all certified all scram-sha-256 clientcert=verify-ca",
        );
        server.psql("create role app login");
        server.psql("create role certified login password 'pw'");
        let url = |user: &str, files: &Files| {
            format!(
                "postgres://{user}@127.0.0.1:{}/postgres?sslmode=verify-full&sslrootcert={}&sslcert={}&sslkey={}",
                server.port,
                ca.file().display(),
                files.cert.display(),
                files.key.display()
            )
        };
        ready(url("app", &client)).expect_stderr("ready: logged in as app to the database postgres");
        ready(url("certified:pw", &client)).expect_stderr("ready: logged in as certified to the database postgres");
        for stranger in &strangers {
            fails_for_good(url("app:x", stranger)).expect_stderr("the server does not take this client's certificate");
        }
        let plain = format!("postgres://app@127.0.0.1:{}/postgres?sslmode=require", server.port);
        Run::new()
            .target(&plain)
            .args(["--tls-cert", client.cert.to_str().unwrap(), "--tls-key", client.key.to_str().unwrap()])
            .timeout("60s")
            .finish()
            .expect_status(0)
            .expect_stderr("ready: logged in as app");
        Run::new()
            .target(&plain)
            .env("PGPASSWORD", "x")
            .arg("--fail-fast")
            .timeout("60s")
            .finish()
            .expect_status(1)
            .expect_stderr("connection requires a valid client certificate (28000)");
        // A certificate is a credential: who gives one and is refused is not merely "accepting".
        server.psql("create role other login");
        let other = url("other", &client).replace("verify-full&", "require&");
        server.hba("hostssl all other all cert\nhost all all all scram-sha-256\n");
        server.signal(Signal::SIGHUP);
        eventually("the new pg_hba.conf", || {
            let run = Run::new().target(&other).args(["--max-attempts", "1"]).timeout("60s").finish();
            run.stderr.contains("certificate authentication failed for user \"other\"")
        });
        fails_for_good(&other).expect_stderr("certificate authentication failed for user \"other\" (28000)");
    }

    #[test]
    fn a_certificate_that_is_not_there_or_is_a_ca_alone_does_not_end_the_login() {
        let ca = Ca::new();
        let server = server_with(&ca.issue("server", &["127.0.0.1"]), &[], "");
        // psql gets in without the first; to Prisma the second is the CA.
        for cert in ["/nowhere/client.pem", ca.file().to_str().unwrap()] {
            ready(server.url(&format!("postgres?sslmode=require&sslcert={cert}"))).expect_stderr("logged in");
        }
    }

    /// Moves what has come from one side to the other; false at its end.
    fn pump(from: &mut impl Read, to: &mut impl Write) -> bool {
        let mut chunk = [0; 4096];
        match from.read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => to.write_all(&chunk[..n]).and_then(|()| to.flush()).is_ok(),
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_file(path).unwrap()]
    }

    /// One who ends TLS on the way with a certificate of their own, and passes everything on.
    fn man_in_the_middle(files: &Files, server_port: u16, ca: &Ca) -> Peer {
        let mut roots = RootCertStore::empty();
        roots.add(chain(&ca.file()).remove(0)).unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let front = ServerConfig::builder().with_no_client_auth().with_single_cert(chain(&files.cert), key).unwrap();
        let back = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let (front, back) = (Arc::new(front), Arc::new(back));
        Peer::start(move |mut client, _| {
            let mut server = TcpStream::connect(("127.0.0.1", server_port)).unwrap();
            let mut request = [0; 8];
            client.read_exact(&mut request).unwrap();
            server.write_all(&request).unwrap();
            let mut answer = [0];
            server.read_exact(&mut answer).unwrap();
            client.write_all(&answer).unwrap();
            for stream in [&client, &server] {
                stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            }
            let mut client = StreamOwned::new(ServerConnection::new(Arc::clone(&front)).unwrap(), client);
            let name = "127.0.0.1".try_into().unwrap();
            let mut server = StreamOwned::new(ClientConnection::new(Arc::clone(&back), name).unwrap(), server);
            while pump(&mut client, &mut server) && pump(&mut server, &mut client) {}
        })
    }

    /// TLS at once, as servers since 17 have it, before one that has none.
    fn direct_tls(files: &Files, server_port: u16) -> Peer {
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let mut front =
            ServerConfig::builder().with_no_client_auth().with_single_cert(chain(&files.cert), key).unwrap();
        front.alpn_protocols = vec![b"postgresql".to_vec()];
        let front = Arc::new(front);
        Peer::start(move |client, _| {
            let mut server = TcpStream::connect(("127.0.0.1", server_port)).unwrap();
            for stream in [&client, &server] {
                stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            }
            let mut client = StreamOwned::new(ServerConnection::new(Arc::clone(&front)).unwrap(), client);
            while pump(&mut client, &mut server) && pump(&mut server, &mut client) {
                // sslnegotiation=direct must agree on the protocol.
                assert!(client.conn.is_handshaking() || client.conn.alpn_protocol() == Some(b"postgresql"));
            }
        })
    }

    #[test]
    fn tls_begins_at_once_where_it_shall() {
        let ca = Ca::new();
        let server = Postgres::started();
        let direct = direct_tls(&ca.issue("server", &["127.0.0.1"]), server.port);
        let url = |port: u16| {
            format!(
                "postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/postgres?sslnegotiation=direct&sslmode=verify-full&\
                 sslrootcert={}&channel_binding=disable",
                ca.file().display()
            )
        };
        ready(url(direct.port)).expect_stderr("ready: logged in as admin to the database postgres");
        not_ready(url(server.port)).expect_stderr("not ready: ");
    }

    #[test]
    fn channel_binding_finds_a_man_in_the_middle() {
        let ca = Ca::new();
        let files = ca.issue("server", &["127.0.0.1"]);
        let server = server_with(&files, &[], "");
        let url = |port| format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=require");
        ready(url(server.port)).expect_stderr("ready: logged in");
        // Passed on with the server's own certificate, the session is the same to both sides.
        let honest = man_in_the_middle(&files, server.port, &ca);
        ready(url(honest.port)).expect_stderr("ready: logged in");
        for (parameter, says) in [
            ("channel_binding=require", None),
            ("channel_binding=disable", None),
            ("require_auth=scram-sha-256", None),
            ("require_auth=!password,!md5,!none", None),
            ("require_auth=md5", Some("the server asks for SCRAM, which require_auth does not allow")),
            ("require_auth=!scram-sha-256", Some("the server asks for SCRAM, which require_auth does not allow")),
        ] {
            let url = format!("{}&{parameter}", url(server.port));
            match says {
                None => drop(ready(url).expect_stderr("ready: logged in")),
                Some(says) => drop(fails_for_good(url).expect_stderr(says)),
            }
        }
        let plain = Postgres::started_with(&[], "host all admin all password");
        for (parameter, says) in [
            ("channel_binding=require", "channel_binding=require"),
            (
                "require_auth=scram-sha-256",
                "the server asks for the password in clear, which require_auth does not allow",
            ),
        ] {
            fails_for_good(plain.url(&format!("postgres?{parameter}"))).expect_stderr(says);
            let (name, value) = parameter.split_once('=').unwrap();
            let variable = format!("PG{}", name.to_uppercase().replace('_', ""));
            Run::new()
                .target(plain.url("postgres"))
                .env(&variable, value)
                .arg("--fail-fast")
                .timeout("60s")
                .finish()
                .expect_status(1)
                .expect_stderr(says);
        }
        let forged = man_in_the_middle(&ca.issue("forged", &["127.0.0.1"]), server.port, &ca);
        fails_for_good(url(forged.port)).expect_stderr("SCRAM channel binding check failed (28000)");
    }

    #[test]
    fn probes_over_tls_leave_nothing_in_the_log() {
        let ca = Ca::new();
        let server = server_with(&ca.issue("server", &["127.0.0.1"]), &[], "hostssl all admin 127.0.0.1/32 trust");
        let length = server.log().len();
        for (target, successes) in [
            (
                format!("postgres://{SUPERUSER}@127.0.0.1:{}/postgres?sslmode=require#query=select%201", server.port),
                200,
            ),
            (format!("postgres://nobody@127.0.0.1:{}/?sslmode=require", server.port), 50),
        ] {
            succeeds_often(&target, successes);
        }
        assert_eq!(logged_since(length, &server), "");
    }
}

/// What a server has logged since its log was so long, but for checkpoints.
fn logged_since(length: usize, server: &Postgres) -> String {
    server.log()[length..].lines().filter(|line| !line.contains("checkpoint")).collect::<Vec<_>>().join("\n")
}

mod life {
    use super::*;

    #[test]
    fn a_server_in_recovery_is_not_ready_until_it_has_recovered() {
        let mut server = Postgres::new();
        let go = server.path().join("go");
        fs::write(server.data().join("recovery.signal"), "").unwrap();
        let restore = format!("restore_command=while [ ! -e {} ]; do sleep 0.02; done; false", go.display());
        server.start(&[&restore]);
        let login = Run::new().target(server.url("postgres")).timeout("60s").spawn();
        let accepting = Run::new().target(format!("postgres://127.0.0.1:{}", server.port)).timeout("60s").spawn();
        for run in [&login, &accepting] {
            run.wait_for_stderr("not ready: the database system is starting up (57P03)");
        }
        fs::write(&go, "").unwrap();
        login.finish().expect_status(0).expect_stderr("ready: logged in as admin to the database postgres");
        accepting.finish().expect_status(0).expect_stderr("ready: accepting connections");
    }

    #[test]
    fn a_server_that_recovers_from_a_crash_is_waited_for() {
        let mut server = Postgres::started();
        let run = Run::new()
            .target(server.url("postgres#query=select%201%20from%20pg_roles%20where%20rolname='go'"))
            .arg("-v")
            .timeout("60s")
            .spawn();
        run.wait_for_stderr("the query returns no row yet");
        for child in server.children() {
            // Some have ended by themselves.
            let _ = kill(child, Signal::SIGKILL);
        }
        eventually("the crash in the log", || server.log().contains("all server processes terminated; reinitializing"));
        server.wait_until_up();
        server.stop(Signal::SIGQUIT);
        run.wait_for_stderr("nothing listens there yet");
        server.start(&[]);
        server.wait_until_up();
        server.psql("create role go");
        let finished = run.finish().expect_status(0).expect_stderr("the query returns a row");
        for line in finished.stderr.lines().filter(|line| line.contains("not ready: ")) {
            let is_known = [
                "the query returns no row yet",
                "(57P03)",
                "(57P02)",
                "(57P01)",
                "connection refused by",
                "closed the connection",
                "reset the connection",
            ];
            assert!(is_known.iter().any(|text| line.contains(text)), "{line}");
        }
    }

    #[test]
    fn a_standby_is_ready_for_what_it_is_asked_and_for_more_once_promoted() {
        let primary = Postgres::started();
        let standby = Postgres::standby_of(&primary);
        let of_standby = |attrs: &str| standby.url(&format!("postgres?target_session_attrs={attrs}"));
        let of_primary = |attrs: &str| primary.url(&format!("postgres?target_session_attrs={attrs}"));
        for attrs in ["any", "read-only", "standby", "prefer-standby"] {
            ready(of_standby(attrs)).expect_stderr("ready: logged in as admin to the database postgres");
        }
        for attrs in ["any", "read-write", "primary"] {
            ready(of_primary(attrs)).expect_stderr("ready: logged in as admin to the database postgres");
        }
        not_ready(of_standby("read-write"))
            .expect_stderr("not ready: sessions are read-only here (target_session_attrs=read-write)");
        not_ready(of_standby("primary"))
            .expect_stderr("not ready: it is a standby, not the primary (target_session_attrs=primary)");
        not_ready(of_primary("read-only"))
            .expect_stderr("not ready: sessions are read-write here (target_session_attrs=read-only)");
        not_ready(of_primary("standby"))
            .expect_stderr("not ready: it is the primary, not a standby (target_session_attrs=standby)");

        // Of two hosts the second is the one that is wanted.
        let two = |attrs: &str, first: u16, second: u16| {
            format!(
                "postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{first},127.0.0.1:{second}/postgres?target_session_attrs={attrs}"
            )
        };
        ready(two("read-write", standby.port, primary.port)).expect_stderr("ready: logged in");
        ready(two("standby", primary.port, standby.port)).expect_stderr("ready: logged in");
        ready(two("primary", free_port(), primary.port)).expect_stderr("ready: logged in");
        let closed = free_port();
        not_ready(two("primary", closed, standby.port))
            .expect_stderr(&format!("127.0.0.1:{closed}: connection refused"))
            .expect_stderr(&format!("127.0.0.1:{}: it is a standby, not the primary", standby.port));

        let runs = ["read-write", "primary"].map(|attrs| Run::new().target(of_standby(attrs)).timeout("60s").spawn());
        for run in &runs {
            run.wait_for_stderr("not ready: ");
        }
        assert_eq!(standby.psql("select pg_promote()"), "t");
        for run in runs {
            run.finish().expect_status(0).expect_stderr("ready: logged in");
        }
    }

    /// `--until-down`, once.
    fn down(url: &str) -> Run {
        Run::new().target(url).args(["--until-down", "--max-attempts", "1"]).timeout("60s")
    }

    #[test]
    fn down_is_only_what_is_down_at_every_host() {
        let mut server = Postgres::started();
        let (closed, other) = (free_port(), free_port());
        let gone = directory();
        let gone = gone.path().display();
        let to_server = |user: &str, rest: &str| format!("postgres://{user}{rest}/postgres");
        let urls = [
            to_server("u:wrong@", &format!("127.0.0.1:{closed},127.0.0.1:{}", server.port)),
            to_server("u:wrong@", &format!("127.0.0.1:{},127.0.0.1:{closed}", server.port)),
            to_server("", &format!("127.0.0.1:{closed},127.0.0.1:{}", server.port)),
            format!("postgres://u:wrong@/d?host={gone},127.0.0.1&port={closed},{}", server.port),
        ];
        for url in &urls {
            down(url).finish().expect_status(124).expect_stderr("still");
        }
        // In recovery it is up as well.
        server.stop(Signal::SIGINT);
        for url in &urls {
            down(url).finish().expect_status(0).expect_stderr("ready: it refuses connections or is gone");
        }
        fs::write(server.data().join("recovery.signal"), "").unwrap();
        server.start(&["restore_command=sleep 3600; false"]);
        eventually("the start-up", || {
            !not_ready(format!("postgres://127.0.0.1:{}", server.port)).stderr.contains("connection refused")
        });
        for url in &urls {
            down(url).finish().expect_status(124).expect_stderr("(57P03)");
        }
        down(&format!("postgres://127.0.0.1:{closed},127.0.0.1:{other}")).finish().expect_status(0);
    }

    #[test]
    fn a_silent_host_leaves_the_next_one_its_time() {
        let silent = Peer::start(|stream, _| hold(stream));
        let server = Postgres::started();
        let url = |rest: &str| {
            format!(
                "postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{},127.0.0.1:{}/postgres{rest}",
                silent.port, server.port
            )
        };
        for rest in ["", "?connect_timeout=2"] {
            ready(url(rest)).expect_stderr("ready: logged in as admin to the database postgres");
        }
        assert!(silent.connections() >= 2, "it was asked first");
    }

    #[test]
    fn a_server_out_of_connections_is_waited_for() {
        let server =
            Postgres::started_with(&["max_connections=2", "superuser_reserved_connections=0", "max_wal_senders=0"], "");
        let mut sessions = Vec::new();
        eventually("all connections taken", || {
            sessions.extend(server.session(SUPERUSER));
            sessions.len() == 2
        });
        let login = Run::new().target(server.url("postgres")).timeout("60s").spawn();
        let accepting = Run::new().target(format!("postgres://127.0.0.1:{}", server.port)).timeout("60s").spawn();
        for run in [&login, &accepting] {
            run.wait_for_stderr("not ready: sorry, too many clients already (53300)");
        }
        sessions.clear();
        login.finish().expect_status(0).expect_stderr("ready: logged in");
        accepting.finish().expect_status(0).expect_stderr("ready: accepting connections");
    }

    #[test]
    fn a_role_out_of_connections_is_waited_for() {
        let server = Postgres::started();
        server.psql(&format!("create role app login connection limit 1 password '{PASSWORD}'"));
        let session = server.session("app").expect("a session");
        let run = Run::new()
            .target(format!("postgres://app:{PASSWORD}@127.0.0.1:{}/postgres", server.port))
            .timeout("60s")
            .spawn();
        run.wait_for_stderr("not ready: too many connections for role \"app\" (53300)");
        drop(session);
        run.finish().expect_status(0).expect_stderr("ready: logged in as app");
    }

    #[test]
    fn a_server_that_shuts_down_before_the_last_target_is_ready_is_waited_for_again() {
        let mut server = Postgres::started();
        let last = free_port();
        let run = Run::new()
            .target(format!("db={}", server.url("postgres")))
            .target(format!("last=127.0.0.1:{last}"))
            .timeout("80s")
            .command(["echo", "run"])
            .spawn();
        run.wait_for_stderr("/postgres): ready: logged in");
        server.stop(Signal::SIGINT);
        // What was ready more than 5 s ago is asked once more; a wait for the last target passes the time.
        Run::new().target(format!("127.0.0.1:{last}")).timeout("5200ms").finish().expect_status(124);
        let _last = Peer::start_on(last, |stream, _| hold(stream));
        run.wait_for_stderr("/postgres): not ready: connection refused by");
        assert!(!run.stderr_so_far().contains("all is ready"));
        server.start(&[]);
        run.finish().expect_status(0).expect_stdout("run\n");
    }
}

mod query {
    use super::*;

    #[test]
    fn a_row_is_waited_for() {
        let server = Postgres::started();
        ready(server.url("postgres#query=select%201"))
            .expect_stderr("ready: logged in as admin to the database postgres, the query returns a row");
        for (query, says) in [
            ("select%20null", Some("the query's first column is NULL")),
            ("select%20false,1", Some("the query's first column is false")),
            ("select%20count(*)>5%20from%20pg_am%20where%20false", Some("the query's first column is false")),
            ("select%20false,repeat('x',100000)", Some("the query's first column is false")),
            ("select%20null,repeat('x',100000)", Some("the query's first column is NULL")),
            ("select%20count(*)>0%20from%20pg_am", None),
            ("select%20'f'::text", None),
            ("select%200", Some("the query's first column is 0")),
            ("select%20count(*)%20from%20pg_am%20where%20false", Some("the query's first column is 0")),
            ("select%200.0::numeric", Some("the query's first column is 0")),
            ("select%200::float8", Some("the query's first column is 0")),
            ("select%20sum(x)%20from%20(values(1),(-1))v(x)", Some("the query's first column is 0")),
            ("select%20'0'::text", None),
            ("select%200.5", None),
            ("select%20count(*)%20from%20pg_am", None),
            ("select%20''", None),
            ("select%201,null,false", None),
            ("select%20from%20pg_am", None),
            ("select%20true,repeat('x',100000)", None),
            ("select%20'f'||repeat('x',100000)", None),
        ] {
            let url = server.url(&format!("postgres#query={query}"));
            match says {
                Some(says) => drop(not_ready(url).expect_stderr(says)),
                None => drop(ready(url).expect_stderr("the query returns a row")),
            }
        }
        ready(server.url("postgres#query=select%20repeat('x',1000000)%20from%20generate_series(1,1000)"))
            .expect_stderr("the query returns a row");
        not_ready(server.url("postgres#query=select%201%20where%20false"))
            .expect_stderr("the query returns no row yet");
        not_ready(server.url("postgres#query=copy%20(select%201)%20to%20stdout"))
            .expect_stderr("the query returns no row yet");
        fails_for_good(server.url("postgres#query=copy%20pg_am%20from%20stdin"))
            .expect_stderr("the query is a COPY FROM STDIN, which returns no row");
        not_ready(server.url("postgres#query=listen%20x")).expect_stderr("the query returns no row yet");
        not_ready(server.url("postgres#query=select%201;select%202"))
            .expect_stderr("the query fails: cannot insert multiple commands into a prepared statement (42601)");
        not_ready(server.url("postgres#query=select%201/0")).expect_stderr("the query fails: division by zero (22012)");

        let target = server.url("postgres#query=select%201%20from%20migrations%20where%20version=7");
        let run = Run::new().target(target).timeout("60s").spawn();
        run.wait_for_stderr("not ready: the query fails: relation \"migrations\" does not exist (42P01)");
        server.psql("create table migrations (version int)");
        run.wait_for_stderr("not ready: the query returns no row yet");
        server.psql("insert into migrations values (7)");
        run.finish().expect_status(0).expect_stderr("the query returns a row").expect_nowhere("version=7");
    }

    #[test]
    fn a_query_that_hangs_ends_with_its_attempt_on_the_server_too() {
        let server = Postgres::started();
        let pooler = Pgbouncer::before(server.port, "");
        let socket = server.path().display();
        for target in [
            server.url("postgres"),
            pooler.url("app"),
            format!("postgres://{SUPERUSER}:{PASSWORD}@/postgres?host={socket}&port={}", server.port),
        ] {
            let length = server.log().len();
            let run = Run::new()
                .target(format!("{target}#query=select%20pg_sleep(3600)"))
                .args(["--attempt-timeout", "1s"])
                .timeout("60s")
                .spawn();
            run.wait_for_stderr("does not answer within 1s");
            eventually("the end of the query", || {
                server.log()[length..].contains("canceling statement due to user request")
            });
            run.signal(Signal::SIGTERM);
            run.finish().expect_status(128 + 15).expect_stderr("does not answer within 1s");
        }
    }

    #[test]
    fn a_query_that_waits_for_a_lock_becomes_ready_with_it() {
        let server = Postgres::started();
        server.psql("create table t as select 1");
        let mut session = server.session(SUPERUSER).expect("a session");
        assert!(session.run("begin; lock t"));
        let run = Run::new().target(server.url("postgres#query=select%201%20from%20t")).timeout("60s").spawn();
        eventually("the query waits", || {
            server.psql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") != "0"
        });
        drop(session);
        run.finish().expect_status(0).expect_stderr("the query returns a row");
    }
}

/// Probes a target until so many attempts have succeeded, and none has failed.
#[track_caller]
fn succeeds_often(target: &str, successes: u32) {
    Run::new()
        .target(target)
        .args(["--successes", &successes.to_string(), "--interval", "1ms"])
        .timeout("80s")
        .finish()
        .expect_status(0)
        .expect_nowhere("not ready");
}

#[test]
fn a_thousand_probes_leave_neither_a_line_in_the_log_nor_a_connection() {
    let server = Postgres::started_with(&[], "host all by_trust all trust");
    server.psql("create role by_trust login");
    let length = server.log().len();
    let (port, socket) = (server.port, server.path().display());
    for (target, successes) in [
        (format!("postgres://by_trust@127.0.0.1:{port}/postgres"), 200),
        (format!("postgres://by_trust@127.0.0.1:{port}/template1"), 200),
        (
            format!("postgres://by_trust@127.0.0.1:{port}/postgres?target_session_attrs=read-write#query=select%201"),
            300,
        ),
        (format!("postgres://127.0.0.1:{port}"), 150),
        (format!("postgres:///?host={socket}&port={port}"), 100),
        (server.url("postgres"), 50),
    ] {
        succeeds_often(&target, successes);
    }
    eventually("no connection left", || {
        server.psql("select count(*) from pg_stat_activity where application_name = 'when-ready'") == "0"
    });
    assert_eq!(logged_since(length, &server), "");
}

#[test]
fn a_login_is_quiet_where_every_statement_is_logged() {
    let server = Postgres::started_with(&["log_statement=all"], "");
    let length = server.log().len();
    succeeds_often(&server.url("postgres"), 5);
    assert_eq!(logged_since(length, &server), "");
}

mod pgpool {
    use super::*;
    use crate::support::pgpool::Pgpool;

    #[test]
    fn a_server_that_is_down_behind_it_is_waited_for() {
        let mut server = Postgres::started_with(&[], "host all admin 127.0.0.1/32 trust");
        let pooler = Pgpool::before(server.port);
        ready(pooler.url(":x", "postgres")).expect_stderr("ready: logged in as admin to the database postgres");
        ready(pooler.url(":x", "postgres#query=select%201")).expect_stderr("the query returns a row");
        not_ready(pooler.url("", "nowhere")).expect_stderr("database \"nowhere\" does not exist (3D000)");
        server.stop(Signal::SIGINT);
        for user in ["", ":x"] {
            not_ready(pooler.url(user, "postgres")).expect_stderr("not ready: ");
        }
        let run = Run::new().target(pooler.url(":x", "postgres")).timeout("60s").spawn();
        run.wait_for_stderr("not ready: ");
        server.start(&[]);
        run.finish().expect_status(0).expect_stderr("ready: logged in");
    }
}

mod pgbouncer {
    use super::*;

    #[test]
    fn a_login_goes_through_to_the_server() {
        let server = Postgres::started();
        let pooler = Pgbouncer::before(server.port, "");
        ready(pooler.url("app")).expect_stderr("ready: logged in as admin to the database app");
        ready(pooler.url("app?target_session_attrs=read-write#query=select%201"))
            .expect_stderr("the query returns a row");
        ready(format!("postgres://127.0.0.1:{}", pooler.port)).expect_stderr("ready: accepting connections");
        not_ready(pooler.url("nowhere")).expect_stderr("not ready: no such database: nowhere (08P01) (pgbouncer)");
        for user in [SUPERUSER, "nobody"] {
            fails_for_good(format!("postgres://{user}:wrong@127.0.0.1:{}/app", pooler.port))
                .expect_stderr(": failed: ")
                .expect_stderr("check user and password");
        }
        let length = pooler.log().len();
        succeeds_often(&pooler.url("app"), 20);
        let log = pooler.log();
        let complaints: Vec<&str> = log[length..]
            .lines()
            .filter(|line| ["WARNING", "ERROR"].iter().any(|level| line.contains(level)))
            .collect();
        assert!(complaints.is_empty(), "{complaints:?}");
    }

    #[test]
    fn a_server_that_is_down_behind_it_is_waited_for() {
        let mut server = Postgres::new();
        let pooler = Pgbouncer::before(server.port, "server_login_retry = 1\nquery_wait_timeout = 1");
        let run = Run::new().target(pooler.url("app")).timeout("60s").spawn();
        run.wait_for_stderr("not ready: query_wait_timeout (08P01)");
        server.start(&[]);
        run.finish().expect_status(0).expect_stderr("ready: logged in as admin to the database app");
    }

    #[test]
    fn a_login_that_a_warm_pooler_lets_through_is_none_while_its_database_is_down() {
        let mut server = Postgres::started();
        let pooler = Pgbouncer::before(server.port, "server_login_retry = 1");
        ready(pooler.url("app")).expect_stderr("ready: logged in");
        server.stop(Signal::SIGINT);
        let urls = ["app", "app?target_session_attrs=read-write", "app#query=select%201"].map(|rest| pooler.url(rest));
        // It takes note of it at the first client.
        eventually("the pooler's own notice", || {
            not_ready(&urls[0]).stderr.contains("server login has been failing, try again later")
        });
        for url in &urls {
            not_ready(url).expect_stderr("(08P01)");
        }
        let run = Run::new().target(&urls[0]).timeout("60s").spawn();
        run.wait_for_stderr("not ready: ");
        server.start(&[]);
        run.finish().expect_status(0).expect_stderr("ready: logged in as admin to the database app");
    }

    #[test]
    fn its_console_is_ready_as_well() {
        let server = Postgres::started();
        let pooler = Pgbouncer::before(server.port, &format!("admin_users = {SUPERUSER}"));
        ready(pooler.url("pgbouncer")).expect_stderr("ready: logged in as admin to the database pgbouncer");
    }

    #[test]
    fn a_pooler_without_a_connection_to_spare_is_waited_for() {
        let server = Postgres::started();
        let pooler = Pgbouncer::before(server.port, "max_client_conn = 1");
        let target = pooler.url("app");
        let client = Session::open(pooler.port, SUPERUSER, "app").expect("a session");
        let run = Run::new().target(target).timeout("60s").spawn();
        run.wait_for_stderr("not ready: no more connections allowed (max_client_conn) (08P01) (pgbouncer)");
        drop(client);
        run.finish().expect_status(0).expect_stderr("ready: logged in");
    }
}
