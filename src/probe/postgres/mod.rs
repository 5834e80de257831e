//! Postgres at two honest levels: accepting connections, and logged in.

pub mod passfile;
pub mod wire;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::frontend;

use super::answered_like;
use crate::endpoint::postgres::{Host, SessionAttrs, SslMode};
use crate::endpoint::{CertificateCheck, Place, Postgres};
use crate::net::tls::Tls;
use crate::net::tls_settings::{Fallback, Settings, TlsFailure};
use crate::net::{self, Budget, Connection, Progress, ResolverState, Stream};
use crate::outcome::{Kind, NotReady, Outcome, Ready, excerpt, quoted};
use crate::scrub::scrub;
use crate::secret::Secret;
use passfile::Key;
use wire::{Authentication, BackendMessage, ServerError, SessionKey};

/// A server that asks for more is not honest: `PBKDF2` would run for minutes.
const MAX_SCRAM_ITERATIONS: u32 = 1_000_000;
/// How long a server has to take note that a query has outlived its attempt.
const CANCEL_TIME: Duration = Duration::from_millis(500);
/// Tells whether the session may write, for servers before 14 and poolers that do not report it.
const SESSION_QUERY: &str =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')";

pub(super) fn probe(target: &Postgres, tls: &Tls, budget: &Budget) -> Outcome {
    let mut failures: Vec<(&Host, NotReady)> = Vec::new();
    for (index, host) in target.hosts.iter().enumerate() {
        // A silent host leaves the others their share of the time.
        let left = u32::try_from(target.hosts.len() - index).unwrap_or(u32::MAX);
        let share = budget.remaining() / left;
        let budget = budget.at_most(target.connect_timeout.map_or(share, |timeout| timeout.min(share)));
        match probe_host(target, host, tls, &budget) {
            Ok(ready) => return Ok(ready),
            Err(failure) => failures.push((host, failure)),
        }
    }
    Err(summary(failures))
}

/// One reason for all hosts; its kind is that of a host which may yet become ready, if there is one.
fn summary(mut failures: Vec<(&Host, NotReady)>) -> NotReady {
    use crate::outcome::Permanence;
    if failures.len() == 1
        && let Some((_, failure)) = failures.pop()
    {
        return failure;
    }
    let decisive = failures
        .iter()
        .filter(|(_, failure)| failure.kind != Kind::ConnectionRefused)
        .chain(&failures)
        .find(|(_, failure)| failure.permanence() == Permanence::Pending)
        .or(failures.first());
    let kind = decisive.map_or(Kind::Unreachable, |(_, failure)| failure.kind);
    let each: Vec<String> = failures.iter().map(|(host, failure)| format!("{host}: {}", failure.reason)).collect();
    NotReady::new(kind, each.join("; "))
}

/// With or without TLS: what `sslmode` lets be tried, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Plain,
    /// With TLS, or else without on the same connection.
    TlsIfOffered,
    Tls,
}

fn layers(mode: SslMode, host: &Host) -> &'static [Layer] {
    match (mode, &host.place) {
        (SslMode::Disable, _) | (_, Place::Unix(_)) => &[Layer::Plain],
        _ if cfg!(not(feature = "tls")) => &[Layer::Plain],
        (SslMode::Allow, _) => &[Layer::Plain, Layer::Tls],
        (SslMode::Prefer, _) => &[Layer::TlsIfOffered, Layer::Plain],
        (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, _) => &[Layer::Tls],
    }
}

/// What ended an attempt over one layer.
struct LayerFailure {
    failure: NotReady,
    /// Whether libpq would try the next layer: the server refused TLS itself, or its `pg_hba.conf`
    /// refused this one.
    try_next: bool,
}

impl From<NotReady> for LayerFailure {
    fn from(failure: NotReady) -> Self {
        Self { failure, try_next: false }
    }
}

fn probe_host(target: &Postgres, host: &Host, tls: &Tls, budget: &Budget) -> Outcome {
    let login = Login::of(target, host);
    let mut first = None;
    for &layer in layers(target.sslmode, host) {
        match probe_layer(target, host, layer, &login, tls, budget) {
            Ok(ready) => return Ok(ready),
            Err(LayerFailure { failure, try_next: true }) => {
                first.get_or_insert(login.scrub(failure));
            }
            Err(LayerFailure { failure, try_next: false }) => return Err(login.scrub(failure)),
        }
    }
    Err(first.unwrap_or_else(net::closed))
}

fn probe_layer(
    target: &Postgres,
    host: &Host,
    layer: Layer,
    login: &Login,
    tls: &Tls,
    budget: &Budget,
) -> Result<Ready, LayerFailure> {
    let connection = net::connect(&host.place, budget)?;
    let stream = match layer {
        Layer::Plain => Stream::Plain(connection),
        Layer::Tls | Layer::TlsIfOffered => start_tls(target, host, layer, connection, tls, budget)?,
    };
    // A server without TLS has already been tried without.
    let is_last = layer == Layer::TlsIfOffered && matches!(stream, Stream::Plain(_));
    let mut session =
        Session { stream, buffer: BytesMut::new(), budget, parameters: SessionState::default(), key: None };
    let outcome = session.run(target, login);
    if let (Err(LayerFailure { failure: NotReady { kind: Kind::TimedOut, .. }, .. }), Some(key)) =
        (&outcome, session.key)
    {
        cancel(host, key);
    }
    session.stream.close();
    outcome.map_err(|end| LayerFailure { try_next: end.try_next && !is_last, ..end })
}

/// Ends a query that hangs: the server would not notice that nobody waits for it, and attempt by
/// attempt be left without connections.
fn cancel(host: &Host, key: SessionKey) {
    let budget = Budget::new(CANCEL_TIME, Progress::default(), ResolverState::default());
    let mut request = BytesMut::new();
    frontend::cancel_request(key.process, key.secret, &mut request);
    if let Ok(mut connection) = net::connect(&host.place, &budget) {
        // The server closes the connection once it has done so. It promises nothing, and neither do we.
        drop(connection.write_all(&request).and_then(|()| connection.read(&mut [0])));
    }
}

/// `SSLRequest`, and the handshake where the server agrees.
fn start_tls(
    target: &Postgres,
    host: &Host,
    layer: Layer,
    connection: Connection,
    tls: &Tls,
    budget: &Budget,
) -> Result<Stream, LayerFailure> {
    let mut stream = Stream::Plain(connection);
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    let mut answer = [0];
    let exchange = stream.write_all(&request).and_then(|()| stream.read(&mut answer));
    match exchange {
        Err(error) => return Err(stream.failure(&error).into()),
        Ok(0) => return Err(net::closed().into()),
        Ok(_) => {}
    }
    match answer[0] {
        b'S' => secure(target, host, stream, tls, budget).map_err(|TlsFailure { failure, fallback }| LayerFailure {
            failure,
            try_next: layer == Layer::TlsIfOffered && fallback == Fallback::Allowed,
        }),
        b'N' if layer == Layer::TlsIfOffered => Ok(stream),
        b'N' => {
            let reason = "the server has no TLS, and sslmode wants it";
            Err(NotReady::new(Kind::TlsRefused, reason).into())
        }
        // Before it can fork, a server answers with an error (of the protocol's second version too).
        b'E' => {
            let reason = "the server ended the connection before TLS: it is out of processes or memory";
            Err(LayerFailure {
                failure: NotReady::new(Kind::NotAccepting, reason),
                try_next: layer == Layer::TlsIfOffered,
            })
        }
        other => {
            let mut bytes = vec![other];
            let mut more = [0; 64];
            if let Ok(n) = stream.read(&mut more) {
                bytes.extend_from_slice(&more[..n]);
            }
            Err(LayerFailure { failure: wrong_protocol(&bytes), try_next: false })
        }
    }
}

fn secure(target: &Postgres, host: &Host, stream: Stream, tls: &Tls, budget: &Budget) -> Result<Stream, TlsFailure> {
    let connection = stream.into_connection();
    // libpq: with a CA at hand, `require` is as strict as `verify-ca`.
    let has_ca = target.sslrootcert.is_some() || target.tls.ca.is_some() || tls.has_ca();
    let is_system = target.sslrootcert.as_deref().is_some_and(|path| path == "system");
    let check = match target.sslmode {
        _ if is_system => CertificateCheck::ChainAndName,
        SslMode::VerifyFull => CertificateCheck::ChainAndName,
        SslMode::VerifyCa => CertificateCheck::Chain,
        SslMode::Require if has_ca => CertificateCheck::Chain,
        SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => CertificateCheck::Nothing,
    };
    let rootcert = target.sslrootcert.as_deref().filter(|_| !is_system);
    let own = Settings::new(&host.name, &target.tls);
    let settings = Settings {
        sends_name: target.sslsni,
        usual_check: check,
        rootcert,
        identity: target.sslcert.as_deref().zip(target.sslkey.as_deref()).or(own.identity),
        min_version: target.ssl_min_protocol_version,
        max_version: target.ssl_max_protocol_version,
        ..own
    };
    tls.connect(connection, &settings, budget)
}

/// The password, if one is known, and where it was looked for.
struct Login {
    password: Option<Secret>,
    note: String,
}

impl Login {
    /// A password from a file is no part of the target, which scrubs its own.
    fn scrub(&self, failure: NotReady) -> NotReady {
        match &self.password {
            Some(password) => NotReady { reason: scrub(&failure.reason, &[password]), ..failure },
            None => failure,
        }
    }

    fn of(target: &Postgres, host: &Host) -> Self {
        if target.password.is_some() {
            return Self { password: target.password.clone(), note: String::new() };
        }
        let Some(path) = &target.passfile else {
            return Self { password: None, note: String::new() };
        };
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() && metadata.mode() & 0o077 != 0 => {
                let note = format!(" ({} is ignored: group or others may read it; chmod 600)", path.display());
                Self { password: None, note }
            }
            Ok(metadata) if metadata.is_file() => {
                let shown = match &host.place {
                    Place::Unix(_) if host.name == "/var/run/postgresql" => "localhost",
                    Place::Unix(_) | Place::Tcp(_) => &host.name,
                };
                let key = Key {
                    host: shown,
                    port: host.port,
                    database: target.database.as_deref().unwrap_or(&target.user),
                    user: &target.user,
                };
                match std::fs::read(path) {
                    Ok(content) => Self { password: passfile::password(&content, key), note: String::new() },
                    Err(error) => {
                        Self { password: None, note: format!(" ({} cannot be read: {error})", path.display()) }
                    }
                }
            }
            _ => Self { password: None, note: String::new() },
        }
    }
}

/// What a server reports about the session.
#[derive(Default)]
struct SessionState {
    in_hot_standby: Option<bool>,
    read_only: Option<bool>,
}

struct Session<'a> {
    stream: Stream,
    buffer: BytesMut,
    budget: &'a Budget,
    parameters: SessionState,
    key: Option<SessionKey>,
}

impl Session<'_> {
    fn run(&mut self, target: &Postgres, login: &Login) -> Result<Ready, LayerFailure> {
        let mut startup = BytesMut::new();
        let mut parameters = vec![
            ("user", target.user.as_str()),
            ("application_name", target.application_name.as_str()),
            ("client_encoding", "UTF8"),
        ];
        parameters.extend(target.database.as_deref().map(|database| ("database", database)));
        frontend::startup_message(parameters, &mut startup).map_err(|_| unwritable("user or database"))?;
        self.send(&startup)?;
        match self.authenticate(target, login)? {
            Reached::Accepting(proof) => Ok(Ready::new(proof)),
            Reached::LoggedIn => {
                let proven = self.logged_in(target);
                let mut terminate = BytesMut::new();
                frontend::terminate(&mut terminate);
                // The answer is known; a server that is gone by now does not change it.
                drop(self.stream.write_all(&terminate).and_then(|()| self.stream.flush()));
                Ok(Ready::new(proven?))
            }
        }
    }

    /// Up to the first `ReadyForQuery`.
    fn authenticate(&mut self, target: &Postgres, login: &Login) -> Result<Reached, LayerFailure> {
        let mut scram: Option<ScramSha256> = None;
        let mut authenticated = false;
        loop {
            let request = match self.receive()? {
                BackendMessage::Authentication(request) => request,
                BackendMessage::Error(error) => return judge_startup(target, login, &error, authenticated),
                BackendMessage::Parameter(name, value) => {
                    self.note(&name, &value);
                    continue;
                }
                BackendMessage::Key(key) => {
                    self.key = Some(key);
                    continue;
                }
                BackendMessage::ReadyForQuery if authenticated => return Ok(Reached::LoggedIn),
                BackendMessage::Other if authenticated => continue,
                BackendMessage::Other => continue,
                _ => return Err(self.out_of_order()),
            };
            let needs_password =
                !matches!(request, Authentication::Ok | Authentication::SaslContinue(_) | Authentication::SaslFinal(_));
            let password = match &login.password {
                Some(password) => password.expose_bytes(),
                None if needs_password => return Self::without_password(target, login),
                None => b"",
            };
            let mut answer = BytesMut::new();
            match request {
                Authentication::Ok => authenticated = true,
                Authentication::Cleartext => {
                    frontend::password_message(password, &mut answer).map_err(|_| unwritable("password"))?;
                }
                Authentication::Md5(salt) => {
                    let hash = md5_hash(target.user.as_bytes(), password, salt);
                    frontend::password_message(hash.as_bytes(), &mut answer).map_err(|_| unwritable("password"))?;
                }
                Authentication::Sasl(mechanisms) => {
                    let (mechanism, binding) = self.mechanism(&mechanisms)?;
                    let state = ScramSha256::new(password, binding);
                    frontend::sasl_initial_response(mechanism, state.message(), &mut answer)
                        .map_err(|_| unwritable("password"))?;
                    scram = Some(state);
                }
                Authentication::SaslContinue(data) => {
                    let state = scram.as_mut().ok_or_else(|| self.out_of_order())?;
                    if wire::scram_iterations(&data).is_none_or(|n| n == 0 || n > MAX_SCRAM_ITERATIONS) {
                        return Err(self.out_of_order());
                    }
                    state.update(&data).map_err(|_| wrong_protocol(b""))?;
                    frontend::sasl_response(state.message(), &mut answer).map_err(|_| unwritable("password"))?;
                }
                Authentication::SaslFinal(data) => {
                    let state = scram.as_mut().ok_or_else(|| self.out_of_order())?;
                    state.finish(&data).map_err(|_| {
                        NotReady::new(
                            Kind::CredentialsRejected,
                            "the server cannot prove that it knows the password (SCRAM)",
                        )
                    })?;
                }
                Authentication::Unsupported(method) => {
                    let reason = format!(
                        "the server wants {method}, which is not supported: leave the password out to wait only until it accepts connections"
                    );
                    return Err(NotReady::new(Kind::Forbidden, reason).into());
                }
            }
            if !answer.is_empty() {
                self.send(&answer)?;
            }
        }
    }

    /// The server wants a password and none is known: it accepts connections, and more was not asked.
    fn without_password(target: &Postgres, login: &Login) -> Result<Reached, LayerFailure> {
        let wanted = match (&target.query, target.target_session_attrs) {
            (Some(_), _) => "query= needs a login",
            (None, attrs) if !attrs.is_condition() => {
                let proof = format!("accepting connections; no password given, login not tried{}", login.note);
                return Ok(Reached::Accepting(proof));
            }
            (None, _) => "target_session_attrs needs a login",
        };
        let reason =
            format!("{wanted}, and no password is given: put it in the URL, PGPASSWORD or PGPASSFILE{}", login.note);
        Err(NotReady::new(Kind::CredentialsRejected, reason).into())
    }

    /// The strongest mechanism that both sides have: with channel binding over TLS (RFC 5802, section 6).
    fn mechanism(&self, offered: &[String]) -> Result<(&'static str, ChannelBinding), LayerFailure> {
        let has = |name: &str| offered.iter().any(|mechanism| mechanism == name);
        match self.channel_binding() {
            Some(binding) if has(SCRAM_SHA_256_PLUS) => {
                Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(binding)))
            }
            Some(_) if has(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
            None if has(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
            _ => {
                let reason =
                    format!("no SASL mechanism in common (the server has {})", quoted(offered.join(", ").as_bytes()));
                Err(NotReady::new(Kind::Forbidden, reason).into())
            }
        }
    }

    #[cfg(feature = "tls")]
    fn channel_binding(&self) -> Option<Vec<u8>> {
        match &self.stream {
            Stream::Tls(stream) => net::tls::server_end_point(stream),
            Stream::Plain(_) => None,
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "it has a channel only with TLS")]
    fn channel_binding(&self) -> Option<Vec<u8>> {
        None
    }

    /// What the target expects beyond the login.
    fn logged_in(&mut self, target: &Postgres) -> Result<String, NotReady> {
        let database = target.database.as_deref().unwrap_or(&target.user);
        let mut proof = format!("logged in as {} to the database {database}", target.user);
        if target.target_session_attrs.is_condition() {
            self.expect_session(target.target_session_attrs)?;
            proof = format!("{proof}, {}", target.target_session_attrs.name());
        }
        if let Some(query) = &target.query {
            if self.first_row(query.expose())?.is_none() {
                return Err(NotReady::new(Kind::Unexpected, "the query returns no row yet"));
            }
            proof.push_str(", the query returns a row");
        }
        Ok(proof)
    }

    fn expect_session(&mut self, wanted: SessionAttrs) -> Result<(), NotReady> {
        let (standby, read_only) = match (self.parameters.in_hot_standby, self.parameters.read_only) {
            (Some(standby), Some(read_only)) => (standby, read_only || standby),
            _ => {
                let row = self.first_row(SESSION_QUERY)?.unwrap_or_default();
                let is = |index: usize, text: &str| row.get(index).and_then(Option::as_deref) == Some(text);
                (is(0, "t"), is(1, "on"))
            }
        };
        let problem = match wanted {
            SessionAttrs::ReadWrite if read_only => "sessions are read-only here",
            SessionAttrs::ReadOnly if !read_only => "sessions are read-write here",
            SessionAttrs::Primary if standby => "it is a standby, not the primary",
            SessionAttrs::Standby if !standby => "it is the primary, not a standby",
            _ => return Ok(()),
        };
        Err(NotReady::new(Kind::Unexpected, format!("{problem} (target_session_attrs={})", wanted.name())))
    }

    /// Runs `sql` for at most one row, by the extended query protocol: the server stops after it.
    fn first_row(&mut self, sql: &str) -> Result<Option<Vec<Option<String>>>, NotReady> {
        let mut request = BytesMut::new();
        let written = frontend::parse("", sql, [], &mut request).and_then(|()| {
            frontend::bind("", "", [], [(); 0], |(), _| Ok(postgres_protocol::IsNull::No), [], &mut request)
                .map_err(|_| std::io::ErrorKind::InvalidInput)?;
            frontend::execute("", 1, &mut request)
        });
        written.map_err(|_| unwritable("query"))?;
        frontend::sync(&mut request);
        self.send(&request)?;
        let mut row = None;
        let mut failed = None;
        loop {
            match self.receive()? {
                BackendMessage::Row(values) => row = Some(values),
                BackendMessage::Error(error) => {
                    let reason = format!("the query fails: {} ({})", excerpt(&error.message), error.sqlstate);
                    failed.get_or_insert(NotReady::new(Kind::Unexpected, reason));
                    if is_shutdown(&error.sqlstate) {
                        break;
                    }
                }
                BackendMessage::CopyIn => {
                    return Err(NotReady::new(Kind::Forbidden, "the query is a COPY FROM STDIN, which returns no row"));
                }
                BackendMessage::ReadyForQuery => break,
                BackendMessage::Parameter(..)
                | BackendMessage::Key(_)
                | BackendMessage::Other
                | BackendMessage::Authentication(_) => {}
            }
        }
        failed.map_or(Ok(row), Err)
    }

    fn note(&mut self, name: &str, value: &str) {
        let value = Some(value == "on");
        match name {
            "in_hot_standby" => self.parameters.in_hot_standby = value,
            "default_transaction_read_only" => self.parameters.read_only = value,
            _ => {}
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), NotReady> {
        let written = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        written.map_err(|error| self.stream.failure(&error))
    }

    fn receive(&mut self) -> Result<BackendMessage, NotReady> {
        let mut chunk = [0; 4096];
        loop {
            let decoded = wire::decode(&self.buffer).map_err(|_| wrong_protocol(&self.buffer))?;
            if let Some(decoded) = decoded {
                drop(self.buffer.split_to(decoded.used));
                self.skip(decoded.skip)?;
                return Ok(decoded.message);
            }
            let n = self.read(&mut chunk)?;
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }

    fn skip(&mut self, mut bytes: usize) -> Result<(), NotReady> {
        let mut chunk = [0; 4096];
        while bytes > 0 {
            let want = bytes.min(chunk.len());
            bytes -= self.read(&mut chunk[..want])?;
        }
        Ok(())
    }

    fn read(&mut self, chunk: &mut [u8]) -> Result<usize, NotReady> {
        if self.budget.remaining().is_zero() {
            return Err(self.budget.timed_out());
        }
        match self.stream.read(chunk) {
            Ok(0) => Err(net::closed()),
            Ok(n) => Ok(n),
            Err(error) => Err(self.stream.failure(&error)),
        }
    }

    fn out_of_order(&self) -> LayerFailure {
        LayerFailure { failure: wrong_protocol(&self.buffer), try_next: false }
    }
}

/// How far the session came.
enum Reached {
    Accepting(String),
    LoggedIn,
}

fn unwritable(what: &str) -> NotReady {
    NotReady::new(Kind::Forbidden, format!("the {what} cannot be sent to Postgres: it holds a NUL character"))
}

fn wrong_protocol(bytes: &[u8]) -> NotReady {
    let detail = if bytes.is_empty() { "a message out of order".to_owned() } else { answered_like(bytes) };
    NotReady::new(Kind::WrongProtocol, format!("the peer does not speak Postgres' protocol: {detail}"))
}

/// Class 57, operator intervention: starting up, shutting down, in recovery, and why sessions end.
fn is_shutdown(sqlstate: &str) -> bool {
    sqlstate.starts_with("57P")
}

/// What an error before the first `ReadyForQuery` means.
fn judge_startup(
    target: &Postgres,
    login: &Login,
    error: &ServerError,
    authenticated: bool,
) -> Result<Reached, LayerFailure> {
    let text = format!("{} ({})", excerpt(&error.message), error.sqlstate);
    let demands_login =
        login.password.is_some() || target.query.is_some() || target.target_session_attrs.is_condition();
    let is_named = target.database.is_some();
    let (kind, way_out) = match error.sqlstate.as_str() {
        state if is_shutdown(state) => (Kind::NotAccepting, ""),
        "53300" => (Kind::TooManyConnections, ""),
        // Class 53: insufficient resources.
        state if state.starts_with("53") => (Kind::NotAccepting, ""),
        // Without a password, what proves that the server is past its start-up is all that is asked.
        "28000" | "28P01" | "42501" if !demands_login => return accepting(&text),
        "3D000" if !demands_login && !is_named && !authenticated => return accepting(&text),
        "3D000" if is_named => (Kind::NoDatabase, ""),
        "3D000" => (Kind::NoDatabase, ": name the database in the URL"),
        "28P01" => (Kind::CredentialsRejected, ": check user and password"),
        "28000" => (Kind::CredentialsRejected, ""),
        "42501" => (Kind::Forbidden, ""),
        // pgbouncer has one SQLSTATE for all of its own errors.
        "08P01" if !demands_login && error.message.contains("no such user") => return accepting(&text),
        "08P01" if error.message.contains("password") || error.message.contains("authentication") => {
            (Kind::CredentialsRejected, ": check user and password")
        }
        "08P01" if error.message.contains("no such database") => (Kind::NoDatabase, " (pgbouncer)"),
        "08P01" if error.message.contains("no such user") => (Kind::CredentialsRejected, " (pgbouncer)"),
        "08P01" if error.message.contains("no more connections") || error.message.contains("client_login_timeout") => {
            (Kind::TooManyConnections, " (pgbouncer)")
        }
        "08P01" if error.message.contains("shutting down") => (Kind::NotAccepting, " (pgbouncer)"),
        _ => (Kind::ServerError, ""),
    };
    // libpq: what pg_hba.conf refuses over one layer may be let in over the other.
    let try_next = error.sqlstate == "28000" && !authenticated;
    Err(LayerFailure { failure: NotReady::new(kind, format!("{text}{way_out}")), try_next })
}

fn accepting(text: &str) -> Result<Reached, LayerFailure> {
    Ok(Reached::Accepting(format!("accepting connections; no password given, login not tried: {text}")))
}
