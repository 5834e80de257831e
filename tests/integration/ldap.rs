//! LDAP, against a real slapd.

use crate::support::certificates::Ca;
use crate::support::slapd::Slapd;
use crate::support::{eventually, fails_for_good, not_ready, ready};

#[test]
fn the_server_lets_in_whom_it_knows_and_the_session_ends_in_order() {
    let server = Slapd::start("", false);
    let url = |userinfo: &str, base: &str| format!("ldap://{userinfo}127.0.0.1:{}{base}", server.port);
    ready(url("", "")).expect_stderr("accepting connections; no password given, login not tried");
    let admin = "cn=admin,dc=example,dc=com:secret%20word@";
    ready(url(admin, "/dc=example,dc=com"))
        .expect_stderr("logged in as cn=admin,dc=example,dc=com, the entry dc=example,dc=com exists");
    eventually("UNBIND", || server.log().matches(" UNBIND").count() == 2);
    assert!(!server.log().contains("connection lost"), "{}", server.log());
    for user in ["cn=admin,dc=example,dc=com", "cn=nobody,dc=example,dc=com"] {
        fails_for_good(url(&format!("{user}:hunter2secret@"), ""))
            .expect_stderr("invalidCredentials (49)")
            .expect_nowhere("hunter2secret");
    }
    fails_for_good(url("app:hunter2secret@", "")).expect_stderr("the user is a distinguished name");
    ready(url("", "/dc=example,dc=com?cn?sub?(objectClass=*)")).expect_stderr("the entry dc=example,dc=com exists");
    not_ready(url("", "/ou=people,dc=example,dc=com")).expect_stderr("does not exist yet");
    fails_for_good(url("", "/no-name")).expect_stderr("invalidDNSyntax");
    let socket = server.socket().display().to_string().replace('/', "%2F");
    ready(format!("ldapi://{socket}/dc=example,dc=com"));
    ready(format!("ldap+unix://{}", server.socket().display()));
}

#[test]
fn a_server_that_shows_nothing_before_a_login_accepts() {
    let server = Slapd::start("require authc\ndisallow bind_anon", false);
    let url = |userinfo: &str, base: &str| format!("ldap://{userinfo}127.0.0.1:{}{base}", server.port);
    ready(url("", "")).expect_stderr("it wants a login, no password given");
    fails_for_good(url("", "/dc=example,dc=com")).expect_stderr("give user and password in the URL");
    ready(url("cn=admin,dc=example,dc=com:secret%20word@", "/dc=example,dc=com"));
}

#[test]
fn ldaps_is_ldap_over_tls() {
    let ca = Ca::new();
    let files = ca.issue("localhost", &["127.0.0.1"]);
    let settings =
        format!("TLSCertificateFile {}\nTLSCertificateKeyFile {}", files.cert.display(), files.key.display());
    let server = Slapd::start(&settings, true);
    let url = format!("ldaps://cn=admin,dc=example,dc=com:secret%20word@127.0.0.1:{}", server.port);
    fails_for_good(&url).expect_stderr("unknown CA");
    ready(format!("{url}/dc=example,dc=com#ca={}", ca.file().display())).expect_stderr("logged in as cn=admin");
    not_ready(format!("ldap://127.0.0.1:{}", server.port));
}

#[test]
fn tls_may_begin_in_the_conversation() {
    let ca = Ca::new();
    let files = ca.issue("localhost", &["127.0.0.1"]);
    let settings = format!(
        "TLSCertificateFile {}\nTLSCertificateKeyFile {}\nsecurity tls=1",
        files.cert.display(),
        files.key.display()
    );
    let server = Slapd::start(&settings, false);
    let place = format!("cn=admin,dc=example,dc=com:secret%20word@127.0.0.1:{}/dc=example,dc=com", server.port);
    let (key, port) = (format!("#ca={}", ca.file().display()), server.port);
    fails_for_good(format!("ldap://{place}")).expect_stderr("confidentialityRequired");
    fails_for_good(format!("ldap+starttls://{place}")).expect_stderr("unknown CA");
    for url in [format!("ldap+starttls://{place}"), format!("ldap://{place}????!StartTLS")] {
        ready(format!("{url}{key}")).expect_stderr("logged in as cn=admin");
    }
    // The second of a list, with blanks as OpenLDAP's own library has them.
    ready(format!("ldap://127.0.0.1:1 ldap+starttls://127.0.0.1:{port}{key}"));
    let plain = Slapd::start("", false);
    fails_for_good(format!("ldap+starttls://127.0.0.1:{}", plain.port)).expect_stderr("does not begin TLS");
}
