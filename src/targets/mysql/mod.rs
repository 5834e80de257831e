//! MySQL and MariaDB: the greeting, a login, and what the target expects.
//!
//! Every handshake that is begun is finished, if only with a login that is refused: a server counts those that are
//! not, and blocks the host after `max_connect_errors` of them (100).

pub(crate) mod strings;
mod url;
pub(crate) mod wire;

use std::fmt::Write as _;

use crate::net::tls::Tls;
use crate::net::tls_settings::{CertificateCheck, Encryption, Handshake};
use crate::net::{self, Attempt, Place, StepKind, Stream, TimedStream};
use crate::secret::Secret;
use crate::targets::shared::kind::{Form, Key, Scheme, TargetKind};
use crate::targets::shared::talk::Talk;
use crate::text::{excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use wire::{Greeting, Packet, Rows, capability};

pub(crate) use url::Mysql;

/// MySQL, and what speaks its protocol.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[
        Scheme::new(&[
            "mysql",
            "mysql2",
            "mariadb",
            "mysqlgis",
            "percona",
            "aurora-mysql",
            "mysql-connector",
            "trilogy",
            "mysqli",
            "pdo-mysql",
            "pdo_mysql",
        ])
        .port(3306),
        Scheme::new(&["tidb"]).port(4000),
        Scheme::new(&["starrocks", "doris"]).port(9030),
        Scheme::new(&["singlestoredb", "singlestore", "memsql"]).port(3306),
    ],
    forms: &[Form {
        url: "mysql://USER:PASSWORD@HOST/DB",
        ready: "logged in (without a password: accepting connections)",
        keys: &[Key::new("query=SQL", "the first column of its first row is neither false, NULL nor 0")],
    }],
    other_ports: &[(33060, "MySQL's X protocol, which is not spoken here")],
    takes_driver: true,
    takes_socket: true,
    read: |written, reading| Ok(Box::new(Mysql::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

const PROTOCOL: &str = "MySQL's protocol";
const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";
const SHA256: &str = "sha256_password";
/// MariaDB's.
const ED25519: &str = "client_ed25519";
/// The user that asks whether the server accepts logins, where the URL names nobody.
const NOBODY: &str = "when-ready";
/// How often a server may ask for another plugin: MariaDB's accounts may have several.
const MAX_SWITCHES: u8 = 4;
/// The commands `COM_QUIT` and `COM_QUERY`.
const QUIT: &[u8] = &[1];
const QUERY: u8 = 3;

pub(crate) fn probe(target: &Mysql, place: &Place, tls: &Tls, attempt: &Attempt) -> Outcome {
    let connection = net::connect(place, attempt)?;
    let mut talk = Talk::new(Stream::Plain(connection), PROTOCOL, attempt);
    let greeting = greet(&mut talk)?;
    let offers_tls = greeting.capabilities & capability::SSL != 0;
    attempt.steps().note(StepKind::Advertised, || {
        let tls = if offers_tls { "offers TLS" } else { "has no TLS" };
        // The prefix of MariaDB's version, for clients that know MySQL alone.
        let version = greeting.version.trim_start_matches("5.5.5-");
        format!("server version {}, {tls}, logins by {}", peer_text(version.as_bytes()), greeting.plugin)
    });
    let is_local = matches!(place, Place::Unix(_));
    let wants_tls = match target.server.encryption {
        Encryption::Never => false,
        // As the server's own client does: a Unix socket is as safe.
        Encryption::IfOffered => offers_tls && !is_local,
        Encryption::Always if offers_tls => true,
        Encryption::Always => {
            decline(&mut talk, target);
            let reason = "the server has no TLS, and ssl-mode wants it";
            return Err(NotReady::new(Kind::TlsRefused, reason));
        }
    };
    let mut number = 1;
    if wants_tls {
        talk.send(&wire::framed(number, &wire::tls_request(capability::USUAL, target.database.as_deref())));
        number += 1;
        talk = Talk::new(secure(talk.upgrade()?, target, place, tls, attempt)?, PROTOCOL, attempt);
    }
    let mut session = MysqlSession { talk, greeting, number, is_encrypted: wants_tls, is_local, way: String::new() };
    let outcome = session.run(target);
    session.talk.close();
    outcome
}

/// The conversation over a socket.
pub(crate) fn converse<S: TimedStream>(mut talk: Talk<'_, S>, target: &Mysql) -> Outcome {
    let greeting = greet(&mut talk)?;
    MysqlSession { talk, greeting, number: 1, is_encrypted: false, is_local: true, way: String::new() }.run(target)
}

/// TLS, as much verified as the target says: by itself, nothing is.
fn secure(stream: Stream, target: &Mysql, place: &Place, tls: &Tls, attempt: &Attempt) -> Result<Stream, NotReady> {
    let connection = stream.plain().ok_or_else(net::closed)?;
    let host = match place {
        Place::Tcp(address) => address.host.as_str(),
        Place::Unix(_) => "localhost",
    };
    let settings = Handshake { usual_check: CertificateCheck::Nothing, ..Handshake::new(host, &target.server.tls) };
    Ok(tls.connect(connection, &settings, attempt)?)
}

/// A packet; one that begins a conversation is of this protocol, or is shown as what it is.
fn receive<S: TimedStream>(talk: &mut Talk<'_, S>, max: usize, is_first: bool) -> Result<Packet, NotReady> {
    talk.receive(|bytes| {
        let found = wire::packet(bytes, max)?;
        match &found {
            Some((packet, _)) if is_first && wire::error(&packet.payload).is_none() => {
                wire::greeting(&packet.payload).map(|_| found)
            }
            _ => Ok(found),
        }
    })
}

/// The server's greeting, or why it will not talk to us.
fn greet<S: TimedStream>(talk: &mut Talk<'_, S>) -> Result<Greeting, NotReady> {
    let packet = receive(talk, wire::MAX_HANDSHAKE, true)?;
    match wire::error(&packet.payload) {
        Some(error) => Err(refusal(&error)),
        None => wire::greeting(&packet.payload).map_err(|_| talk.out_of_order()),
    }
}

/// Ends the handshake in order where there is nothing more to be asked.
fn decline<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Mysql) {
    if let Some(answer) = wire::answer(capability::USUAL, target.server.user_or(NOBODY), b"", None, NATIVE) {
        talk.send(&wire::framed(1, &answer));
        drop(receive(talk, wire::MAX_HANDSHAKE, false));
    }
}

struct MysqlSession<'a, S> {
    talk: Talk<'a, S>,
    greeting: Greeting,
    /// That of the next packet of the handshake.
    number: u8,
    is_encrypted: bool,
    /// Whether it goes over a Unix socket.
    is_local: bool,
    /// The plugin of the login.
    way: String,
}

impl<S: TimedStream> MysqlSession<'_, S> {
    fn run(&mut self, target: &Mysql) -> Outcome {
        if let Some(error) = self.log_in(target)? {
            return judge_refusal(target, &error);
        }
        let attempt = self.talk.attempt();
        if attempt.steps().are_recorded() {
            let is_read_only = self.first_row("select @@global.read_only") == Ok(Some(true));
            let writes = if is_read_only { ", read-only" } else { "" };
            attempt.steps().note(StepKind::Login, || format!("by {}{writes}", peer_text(self.way.as_bytes())));
        }
        let proven = self.logged_in(target);
        // The answer is known; a server that is gone by now does not change it.
        self.talk.send(&wire::framed(0, QUIT));
        proven.map(Ready::new)
    }

    fn send(&mut self, payload: &[u8]) {
        self.talk.send(&wire::framed(self.number, payload));
    }

    fn receive(&mut self) -> Result<Vec<u8>, NotReady> {
        let packet = receive(&mut self.talk, wire::MAX_HANDSHAKE, false)?;
        self.number = packet.sequence.wrapping_add(1);
        Ok(packet.payload)
    }

    /// Logs in; gives the error with which the server refuses that.
    fn log_in(&mut self, target: &Mysql) -> Result<Option<wire::ErrPacket>, NotReady> {
        let user = target.server.user_or(if target.server.password.is_some() { "root" } else { NOBODY });
        let password = target.server.password.as_ref().map_or(&b""[..], Secret::expose_bytes);
        let mut plugin = std::mem::take(&mut self.greeting.plugin);
        let nonce = self.greeting.nonce.clone();
        let response = match self.response(&plugin, password, &nonce) {
            Some(response) => response,
            None => {
                // The server asks again with the plugin of the account.
                NATIVE.clone_into(&mut plugin);
                wire::native_password(password, &nonce)
            }
        };
        let capabilities = capability::USUAL | if self.is_encrypted { capability::SSL } else { 0 };
        let answer = wire::answer(capabilities, user, &response, target.database.as_deref(), &plugin);
        let unwritable = || NotReady::new(Kind::Forbidden, "the user or database holds what cannot be sent");
        self.send(&answer.ok_or_else(unwritable)?);
        self.way = plugin;
        let mut switches = 0;
        let mut unknown: Option<String> = None;
        loop {
            let payload = self.receive()?;
            match payload.as_slice() {
                [0, ..] => return Ok(None),
                [0xff, ..] => {
                    let error = wire::error(&payload).ok_or_else(|| self.talk.out_of_order())?;
                    return match unknown.filter(|_| target.server.password.is_some()) {
                        Some(plugin) => Err(unsupported(&peer_text(plugin.as_bytes()))),
                        None => Ok(Some(error)),
                    };
                }
                [0xfe, ..] if switches < MAX_SWITCHES => {
                    switches += 1;
                    let Some((wanted, nonce)) = wire::auth_switch(&payload) else {
                        return Err(unsupported("passwords of the time before 4.1"));
                    };
                    let response = self.response(&wanted, password, &nonce);
                    self.way.clone_from(&wanted);
                    if response.is_none() {
                        unknown = Some(wanted);
                    }
                    // An account may have several plugins: refused in order, the server asks with the next one.
                    self.send(&response.unwrap_or_else(|| vec![0]));
                }
                // The password was remembered: the server goes on.
                [1, 3] => {}
                [1, 4] if self.is_private() => self.send(&[password, &[0]].concat()),
                [1, 4] => {
                    self.send(&[0]);
                    drop(self.receive());
                    let reason = "the account's caching_sha2_password wants TLS for its first login: turn TLS on in \
                                  the server and here (ssl-mode), or let another client log in first";
                    return Err(NotReady::new(Kind::TlsRefused, reason));
                }
                _ => return Err(self.talk.out_of_order()),
            }
        }
    }

    /// Whether nobody else can read what is sent.
    fn is_private(&self) -> bool {
        self.is_encrypted || self.is_local
    }

    /// The proof that we know the password; `None` for a plugin that is not known here.
    fn response(&self, plugin: &str, password: &[u8], nonce: &[u8]) -> Option<Vec<u8>> {
        match plugin {
            NATIVE | "" if password.is_empty() => Some(Vec::new()),
            NATIVE | "" => Some(wire::native_password(password, nonce)),
            CACHING_SHA2 | SHA256 if password.is_empty() => Some(vec![0]),
            CACHING_SHA2 => Some(wire::caching_sha2(password, nonce)),
            SHA256 if self.is_private() => Some([password, &[0]].concat()),
            ED25519 => Some(wire::ed25519(password, nonce)),
            _ => None,
        }
    }

    /// Checks the target's expectations beyond the login.
    fn logged_in(&mut self, target: &Mysql) -> Result<String, NotReady> {
        let user = target.server.user_or(NOBODY);
        let mut proof = match (&target.server.password, &target.server.user) {
            (None, None) => "accepting connections; no user given".to_owned(),
            (None, Some(_)) => format!("logged in as {user} without a password"),
            (Some(_), _) => format!("logged in as {}", target.server.user_or("root")),
        };
        if let Some(name) = &target.database {
            let _ = write!(proof, " to the database {name}");
        }
        if let Some(query) = &target.query {
            self.limit_time();
            let Some(row) = self.first_row(query.expose())? else {
                return Err(NotReady::new(Kind::Unexpected, "the query returns no row yet"));
            };
            if !row {
                return Err(NotReady::new(Kind::Unexpected, "the query's first column is 0 or NULL"));
            }
            proof.push_str(", the query returns a row");
        } else if target.server.password.is_some() {
            // MariaDB lets in whose password has expired, and proxies whoever they know: both answer no statement.
            self.first_row("select 1").map_err(|failure| {
                let reason = format!("logged in, but {}", failure.reason);
                NotReady { reason, ..failure }
            })?;
        }
        // The server that an image starts for its init scripts listens to its socket alone.
        if self.is_local && self.first_row("select @@skip_networking") == Ok(Some(true)) {
            proof.push_str(" (without networking: is it the temporary server of an image's first start?)");
        }
        Ok(proof)
    }

    /// A statement that hangs would go on after we have gone.
    fn limit_time(&mut self) {
        const MOST: u64 = 3_600_000;
        // 0 would be no limit.
        let left = u64::try_from(self.talk.attempt().remaining().as_millis()).unwrap_or(MOST).clamp(1, MOST);
        let statement = if self.greeting.version.contains("MariaDB") {
            format!("set max_statement_time={}.{:03}", left / 1000, left % 1000)
        } else {
            format!("set max_execution_time={left}")
        };
        // A server without it does without.
        drop(self.first_row(&statement));
    }

    /// Whether the first column of the first row holds; `None` without a row.
    fn first_row(&mut self, sql: &str) -> Result<Option<bool>, NotReady> {
        self.talk.send(&wire::framed(0, &[&[QUERY], sql.as_bytes()].concat()));
        let mut rows = Rows::default();
        loop {
            let packet = self.result()?;
            if rows.take(&packet).map_err(|_| self.talk.out_of_order())? {
                return Ok(rows.first);
            }
        }
    }

    /// A packet of a result.
    fn result(&mut self) -> Result<Vec<u8>, NotReady> {
        let packet = receive(&mut self.talk, wire::MAX_ROW, false)?;
        match wire::error(&packet.payload) {
            Some(error) => {
                // ER_MUST_CHANGE_PASSWORD
                let kind = if error.code == 1820 { Kind::CredentialsRejected } else { Kind::ServerError };
                Err(NotReady::new(kind, format!("the query fails: {}", told(&error, ""))))
            }
            None => Ok(packet.payload),
        }
    }
}

fn unsupported(plugin: &str) -> NotReady {
    let reason = format!(
        "the account wants {plugin}, which is not supported: leave the password out to wait only until the server \
         accepts connections"
    );
    NotReady::new(Kind::Forbidden, reason)
}

/// Numbers of the servers' manuals: ER_…
fn judge_refusal(target: &Mysql, error: &wire::ErrPacket) -> Outcome {
    let demands_login = target.server.password.is_some() || target.server.tls.cert.is_some() || target.query.is_some();
    // 1045 and 1698: the account, its password or its way of authentication; 1251: its plugin.
    if matches!(error.code, 1045 | 1251 | 1698) && !demands_login {
        let text = peer_text(&error.message);
        let proof = format!("accepting connections; no password given, login not possible: {}", excerpt(&text));
        return Ok(Ready::new(proof));
    }
    if matches!(error.code, 1045 | 1698) && target.server.password.is_none() {
        let way_out = ": query= needs a login; give a password in the URL or in MYSQL_PWD";
        return Err(NotReady::new(Kind::CredentialsRejected, told(error, way_out)));
    }
    Err(refusal(error))
}

/// The error as part of a reason, with our advice.
fn told(error: &wire::ErrPacket, way_out: &str) -> String {
    format!("{} ({}){way_out}", excerpt(&peer_text(&error.message)), error.code)
}

fn refusal(error: &wire::ErrPacket) -> NotReady {
    let (kind, way_out) = match error.code {
        // Too many connections, of this user, out of memory or threads.
        1040 | 1041 | 1135 | 1203 | 1226 => (Kind::TooManyConnections, ""),
        1053 | 1079 | 1080 | 3169 => (Kind::NotAccepting, ""),
        1129 => {
            (Kind::Forbidden, ": the server has blocked this host; FLUSH HOSTS there, or a larger max_connect_errors")
        }
        1130 => (Kind::Forbidden, ": no account may log in from this host; create one like app@'%'"),
        1045 | 1698 => (Kind::CredentialsRejected, ": check user and password"),
        1251 | 1862 | 3118 | 4151 => (Kind::CredentialsRejected, ""),
        4150 => (Kind::CredentialsRejected, ": too many wrong passwords; FLUSH PRIVILEGES on the server unblocks it"),
        1044 => (Kind::Forbidden, ": the account has no rights there, or the database is not there"),
        1049 => (Kind::NoDatabase, ""),
        3159 => (Kind::TlsRefused, ": ask for TLS with ssl-mode=REQUIRED"),
        _ => (kind_of_state(&error.state), ""),
    };
    NotReady::new(kind, told(error, way_out))
}

/// The failure that servers with error numbers of their own (`TiDB`, `StarRocks`, proxies) mean by the class of
/// their SQLSTATE.
fn kind_of_state(state: &[u8]) -> Kind {
    match state {
        b"08004" => Kind::TooManyConnections,
        [b'0', b'8', ..] => Kind::NotAccepting,
        [b'2', b'8', ..] => Kind::CredentialsRejected,
        b"3D000" => Kind::NoDatabase,
        _ => Kind::ServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::{End, Scripted, attempt};
    use crate::targets::shared::server::Server;
    use crate::text::bounded_line;

    /// As MySQL 8.0 greets, per its protocol manual; the nonce is a constant.
    fn mysql8(capabilities: u32) -> Vec<u8> {
        let bytes = capabilities.to_le_bytes();
        let mut greeting = b"\n8.0.36\0\x08\0\0\0abcdefgh\0".to_vec();
        greeting.extend_from_slice(&bytes[..2]);
        greeting.extend_from_slice(&[0xff, 2, 0]);
        greeting.extend_from_slice(&bytes[2..]);
        greeting.extend_from_slice(&[21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        greeting.extend_from_slice(b"ijklmnopqrst\0caching_sha2_password\0");
        wire::framed(0, &greeting)
    }

    fn target(password: Option<&str>) -> Mysql {
        let mut server = Server::at("mysql", Vec::new());
        server.user = Some("app".to_owned());
        server.password = password.map(Secret::new);
        Mysql { server, database: None, query: None }
    }

    /// What comes of it when a server says this, and what it has heard.
    fn outcome(target: &Mysql, is_private: bool, messages: &[&[u8]]) -> (Outcome, Vec<u8>) {
        let attempt = attempt();
        let mut talk = Talk::new(Scripted::new(&messages.concat(), 1, End::Close), PROTOCOL, &attempt);
        let outcome = greet(&mut talk);
        let greeting = match outcome {
            Ok(greeting) => greeting,
            Err(failure) => return (Err(failure), Vec::new()),
        };
        let mut session =
            MysqlSession { talk, greeting, number: 1, is_encrypted: is_private, is_local: false, way: String::new() };
        let outcome = session.run(target);
        (outcome, session.talk.into_stream().written)
    }

    const OK: &[u8] = b"\0\0\0\x02\0\0\0";

    /// One row of one number.
    fn row(value: &[u8]) -> Vec<u8> {
        let column = b"\x03def\0\0\0\x01x\0\x0c\x3f\0\x15\0\0\0\x08\x81\0\0\0\0";
        let end: &[u8] = b"\xfe\0\0\x02\0";
        [&b"\x01"[..], column, end, value, end].map(|payload| wire::framed(1, payload)).concat()
    }

    fn one() -> Vec<u8> {
        row(b"\x011")
    }

    fn kind(outcome: &Outcome) -> Option<Kind> {
        outcome.as_ref().err().map(|failure| failure.kind)
    }

    #[test]
    fn a_remembered_password_logs_in_and_says_good_bye() {
        let (fast, ok) = (wire::framed(2, &[1, 3]), wire::framed(3, OK));
        let (outcome, heard) = outcome(&target(Some("secret")), false, &[&mysql8(0x8_0000), &fast, &ok, &one()]);
        assert_eq!(outcome.unwrap().proof, "logged in as app");
        let scramble = wire::caching_sha2(b"secret", b"abcdefghijklmnopqrst");
        assert!(heard.windows(32).any(|window| window == scramble));
        assert!(heard.ends_with(&[1, 0, 0, 0, 1]), "COM_QUIT");
    }

    #[test]
    fn a_password_that_is_not_remembered_is_sent_only_where_nobody_else_reads_it() {
        let (full, ok) = (wire::framed(2, &[1, 4]), wire::framed(4, OK));
        let (private, heard) = outcome(&target(Some("secret")), true, &[&mysql8(0x8_0000), &full, &ok, &one()]);
        assert!(private.is_ok());
        assert!(heard.windows(7).any(|window| window == b"secret\0"));
        let refused = wire::framed(4, b"\xff\x15\x04#28000Access denied");
        let (open, heard) = outcome(&target(Some("secret")), false, &[&mysql8(0x8_0000), &full, &refused]);
        assert_eq!(kind(&open), Some(Kind::TlsRefused));
        assert!(open.unwrap_err().reason.contains("wants TLS"));
        assert!(!heard.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn the_server_may_ask_for_another_plugin() {
        let switch = wire::framed(2, b"\xfemysql_native_password\0ABCDEFGHIJKLMNOPQRST\0");
        let ok = wire::framed(4, OK);
        let (outcome_of, heard) = outcome(&target(Some("secret")), false, &[&mysql8(0x8_0000), &switch, &ok, &one()]);
        assert!(outcome_of.is_ok());
        let scramble = wire::native_password(b"secret", b"ABCDEFGHIJKLMNOPQRST");
        assert!(heard.windows(20).any(|window| window == scramble));
        let unknown = wire::framed(2, b"\xfeauth_gssapi_client\0abc\0");
        let refused = wire::framed(4, b"\xff\x15\x04#28000Access denied");
        let (outcome_of, _) = outcome(&target(Some("secret")), false, &[&mysql8(0x8_0000), &unknown, &refused]);
        assert_eq!(kind(&outcome_of), Some(Kind::Forbidden));
        assert!(outcome_of.unwrap_err().reason.contains("auth_gssapi_client"));
        // An account with several goes on with the next one.
        let native = wire::framed(4, b"\xfemysql_native_password\0ABCDEFGHIJKLMNOPQRST\0");
        let ok = wire::framed(6, OK);
        let answers = [mysql8(0x8_0000), unknown.clone(), native, ok, one()].concat();
        let (outcome_of, heard) = outcome(&target(Some("secret")), false, &[&answers]);
        assert!(outcome_of.is_ok() && heard.windows(20).any(|window| window == scramble));
        // It may not ask for ever.
        let many = switch.repeat(9);
        let (outcome_of, _) = outcome(&target(Some("secret")), false, &[&mysql8(0x8_0000), &many]);
        assert_eq!(kind(&outcome_of), Some(Kind::WrongProtocol));
    }

    #[test]
    fn what_the_server_refuses_is_told_apart() {
        for (code, login, expected) in [
            (1040_u16, Some("secret"), Some(Kind::TooManyConnections)),
            (1129, None, Some(Kind::Forbidden)),
            (1130, None, Some(Kind::Forbidden)),
            (1045, Some("secret"), Some(Kind::CredentialsRejected)),
            (1045, None, None),
            (1698, None, None),
            (1049, Some("secret"), Some(Kind::NoDatabase)),
            (1049, None, Some(Kind::NoDatabase)),
            (1053, None, Some(Kind::NotAccepting)),
            (3159, Some("secret"), Some(Kind::TlsRefused)),
            (1105, None, Some(Kind::ServerError)),
        ] {
            let payload = [&[0xff][..], &code.to_le_bytes(), b"#00000words"].concat();
            let refused = wire::framed(2, &payload);
            let (outcome_of, _) = outcome(&target(login), false, &[&mysql8(0x8_0000), &refused]);
            assert_eq!(kind(&outcome_of), expected, "{code} {login:?}");
            // The first packet may say it as well, without a state.
            if matches!(code, 1040 | 1129 | 1130) {
                let payload = [&[0xff][..], &code.to_le_bytes(), b"Host is blocked"].concat();
                let (outcome_of, _) = outcome(&target(login), false, &[&wire::framed(0, &payload)]);
                assert_eq!(kind(&outcome_of), expected, "{code}");
                assert!(bounded_line(&outcome_of.unwrap_err().reason).starts_with("Host is blocked"));
            }
        }
    }

    #[test]
    fn a_query_must_return_a_row_that_holds() {
        let column = b"\x03def\0\0\0\x01x\0\x0c\x3f\0\x15\0\0\0\x08\x81\0\0\0\0";
        let end: &[u8] = b"\xfe\0\0\x02\0";
        let answers = |rows: &[&[u8]]| {
            let mut all = vec![mysql8(0x8_0000), wire::framed(2, &[1, 3]), wire::framed(3, OK), wire::framed(1, OK)];
            all.extend([&b"\x01"[..], column, end].map(|payload| wire::framed(1, payload)));
            all.extend(rows.iter().map(|row| wire::framed(1, row)));
            all.push(wire::framed(1, end));
            all.concat()
        };
        let mut target = target(Some("secret"));
        target.query = Some(Secret::new("select count(*) > 5 from t"));
        for (rows, expected) in [
            (&[&b"\x011"[..]][..], None),
            (&[b"\x011", b"\x010"], None),
            (&[b"\x010"], Some("0 or NULL")),
            (&[b"\xfb"], Some("0 or NULL")),
            (&[], Some("no row yet")),
        ] {
            let (outcome, _) = outcome(&target, false, &[&answers(rows)]);
            match expected {
                None => assert!(outcome.unwrap().proof.contains("the query returns a row")),
                Some(phrase) => assert!(outcome.unwrap_err().reason.contains(phrase), "{rows:?}"),
            }
        }
    }

    #[test]
    fn whoever_is_let_in_and_answered_nothing_is_not_ready() {
        let expired = wire::framed(1, b"\xff\x1c\x07#HY000You must SET PASSWORD");
        let answers = [mysql8(0x8_0000), wire::framed(2, &[1, 3]), wire::framed(3, OK), expired].concat();
        let (refused, _) = outcome(&target(Some("secret")), false, &[&answers]);
        assert_eq!(kind(&refused), Some(Kind::CredentialsRejected));
        assert!(refused.unwrap_err().reason.starts_with("logged in, but "));
    }

    #[test]
    fn every_proper_prefix_of_an_exchange_ends_as_a_closed_connection() {
        let whole = [mysql8(0x8_0000), wire::framed(2, &[1, 3]), wire::framed(3, OK), one()].concat();
        for end in 0..whole.len() {
            let (outcome, _) = outcome(&target(Some("secret")), false, &[&whole[..end]]);
            assert_eq!(kind(&outcome), Some(Kind::ConnectionClosed), "{end}");
        }
    }

    #[test]
    fn another_protocol_is_told_at_once() {
        for other in
            [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"SSH-2.0-x\r\n", b"-ERR x\r\n", b"\x05\0\0\0\x0b\x08\x05\x1a\0"]
        {
            let (outcome, _) = outcome(&target(None), false, &[other]);
            assert_eq!(kind(&outcome), Some(Kind::WrongProtocol), "{other:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_refused_is_a_refusal() {
        let refused = wire::framed(2, b"\xff\x15\x04#28000Access denied for user 'app'");
        let mut target = target(None);
        assert!(outcome(&target, true, &[&mysql8(0x8_0000), &refused]).0.is_ok());
        target.server.tls.cert = Some("/client.pem".into());
        let (outcome, _) = outcome(&target, true, &[&mysql8(0x8_0000), &refused]);
        assert_eq!(kind(&outcome), Some(Kind::CredentialsRejected));
    }
}
