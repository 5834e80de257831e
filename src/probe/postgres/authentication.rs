//! From the start-up message to the first `ReadyForQuery` ("Start-up" in "Frontend/Backend Protocol").

use std::io::{Read, Write};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::message::frontend;

use super::LayerFailure;
use super::login::Login;
use super::saslprep;
use super::scram::{self, Binding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramError, ServerSignature};
use super::session::{Session, unwritable, wrong_protocol};
use super::startup_errors::{self, judge};
use super::wire::{Authentication, BackendMessage};
use crate::endpoint::Postgres;
use crate::endpoint::postgres::{AuthMethod, ChannelBinding, RequireAuth};
use crate::net::tls_settings::EndPoint;
use crate::outcome::{Kind, NotReady, quoted};

/// What is left of an attempt when hashing stops, so that its reason still counts.
const TO_TELL: Duration = Duration::from_millis(20);

/// How far the session came.
pub(super) enum Reached {
    /// The server accepts connections; a login was not tried.
    Accepting(String),
    /// The session is ready for queries.
    LoggedIn,
}

/// How far SCRAM came.
enum Scram {
    NotBegun,
    First(scram::Client),
    Answered(ServerSignature),
    Proven,
}

/// The state of a login.
struct Progress {
    binding: Option<EndPoint>,
    scram: Scram,
    /// Whether the server was asked to prove itself over this very TLS connection.
    is_bound: bool,
    /// Whether a method that `require_auth` names was gone through.
    is_exchanged: bool,
    is_authenticated: bool,
}

impl<S: Read + Write> Session<S> {
    /// Up to the first `ReadyForQuery`, or until it is clear that there will be none. `binding` is what SCRAM can
    /// be bound to.
    pub(super) fn log_in(
        &mut self,
        target: &Postgres,
        login: &Login,
        binding: Option<EndPoint>,
    ) -> Result<Reached, LayerFailure> {
        let mut progress =
            Progress { binding, scram: Scram::NotBegun, is_bound: false, is_exchanged: false, is_authenticated: false };
        self.send(&startup_message(target)?)?;
        loop {
            match self.receive()? {
                BackendMessage::Authentication(request) => {
                    permitted(target, &request, &progress)?;
                    let needs_password = request.needs_password();
                    if needs_password && login.password.is_none() {
                        return without_password(target, login);
                    }
                    let password = login.password.as_ref().map_or(&b""[..], |password| password.expose_bytes());
                    let answer = self.answer(request, target, password, &mut progress)?;
                    if !answer.is_empty() {
                        self.send(&answer)?;
                    }
                }
                BackendMessage::Error(error) => {
                    let asked_scram = !matches!(progress.scram, Scram::NotBegun);
                    let proof = judge(target, login, &error, progress.is_authenticated)
                        .map_err(|end| if asked_scram { hint_at_normalization(end, login) } else { end })?;
                    return Ok(Reached::Accepting(proof));
                }
                BackendMessage::Parameter(name, value) => self.note(&name, &value),
                BackendMessage::Key(key) => self.key = Some(key),
                BackendMessage::ReadyForQuery if progress.is_authenticated => return Ok(Reached::LoggedIn),
                BackendMessage::Other => {}
                _ => return Err(self.out_of_order().into()),
            }
        }
    }

    /// What a request for authentication is answered with, if it is.
    fn answer(
        &mut self,
        request: Authentication,
        target: &Postgres,
        password: &[u8],
        progress: &mut Progress,
    ) -> Result<BytesMut, NotReady> {
        let mut answer = BytesMut::new();
        match request {
            Authentication::Ok => progress.is_authenticated = true,
            Authentication::Cleartext => {
                progress.is_exchanged = true;
                frontend::password_message(password, &mut answer).map_err(|_| unwritable("password"))?;
            }
            Authentication::Md5(salt) => {
                progress.is_exchanged = true;
                let hash = md5_hash(target.user.as_bytes(), password, salt);
                frontend::password_message(hash.as_bytes(), &mut answer).map_err(|_| unwritable("password"))?;
            }
            Authentication::Sasl(offered) => {
                let (mechanism, binding) = mechanism(&offered, target.channel_binding, progress.binding.clone())?;
                progress.is_bound = matches!(binding, Binding::EndPoint(_));
                let nonce = scram::nonce().map_err(|error| {
                    NotReady::new(Kind::LocalLimit, format!("the system has no random numbers: {error}"))
                })?;
                let client = scram::Client::new(password, binding, nonce);
                frontend::sasl_initial_response(mechanism, client.first_message().as_bytes(), &mut answer)
                    .map_err(|_| unwritable("password"))?;
                progress.scram = Scram::First(client);
            }
            Authentication::SaslContinue(data) => {
                let Scram::First(client) = std::mem::replace(&mut progress.scram, Scram::NotBegun) else {
                    return Err(self.out_of_order());
                };
                let budget = &self.budget;
                let (message, signature) = client
                    .answer(&data, &mut || budget.remaining() > TO_TELL)
                    .map_err(|error| scram_failure(&error, &|| budget.timed_out()))?;
                frontend::sasl_response(message.as_bytes(), &mut answer).map_err(|_| unwritable("password"))?;
                progress.scram = Scram::Answered(signature);
            }
            Authentication::SaslFinal(data) => {
                let Scram::Answered(signature) = &progress.scram else { return Err(self.out_of_order()) };
                signature.check(&data).map_err(|error| scram_failure(&error, &|| self.budget.timed_out()))?;
                progress.scram = Scram::Proven;
                progress.is_exchanged = true;
            }
            Authentication::Unsupported(method) => {
                let reason = format!(
                    "the server wants {method}, which is not supported: leave the password out to wait only until it accepts connections"
                );
                return Err(NotReady::new(Kind::Forbidden, reason));
            }
        }
        Ok(answer)
    }

    fn out_of_order(&self) -> NotReady {
        wrong_protocol(&self.buffer)
    }
}

fn startup_message(target: &Postgres) -> Result<BytesMut, NotReady> {
    let mut message = BytesMut::new();
    let mut parameters = vec![
        ("user", target.user.as_str()),
        ("application_name", target.application_name.as_str()),
        ("client_encoding", "UTF8"),
    ];
    parameters.extend(target.database.as_deref().map(|database| ("database", database)));
    parameters.extend(target.options.as_deref().map(|options| ("options", options)));
    parameters.extend(target.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    frontend::startup_message(parameters, &mut message).map_err(|_| unwritable("user, database or options"))?;
    Ok(message)
}

/// The server wants a password and none is known: it accepts connections, and more was not asked.
fn without_password(target: &Postgres, login: &Login) -> Result<Reached, LayerFailure> {
    if target.query.is_some() {
        let reason = format!(
            "query= needs a login, and no password is given: put it in the URL, PGPASSWORD or PGPASSFILE{}",
            login.note
        );
        return Err(NotReady::new(Kind::CredentialsRejected, reason).into());
    }
    Ok(Reached::Accepting(format!("{}{}", startup_errors::accepting(target), login.note)))
}

/// A refused password may be one that other clients would have sent in another form.
fn hint_at_normalization(end: LayerFailure, login: &Login) -> LayerFailure {
    let is_uncertain = login.password.as_ref().is_some_and(|password| saslprep::is_uncertain(password.expose_bytes()));
    if !is_uncertain || end.failure.kind != Kind::CredentialsRejected {
        return end;
    }
    let reason = format!(
        "{}; the password holds characters that SASLprep (RFC 4013) may change and this client does not",
        end.failure.reason
    );
    LayerFailure { failure: NotReady { reason, ..end.failure }, ..end }
}

/// What `require_auth` and `channel_binding` say of a request, before anything is sent (libpq's
/// `check_expected_areq`).
fn permitted(target: &Postgres, request: &Authentication, progress: &Progress) -> Result<(), NotReady> {
    let refused = |reason: String| Err(NotReady::new(Kind::Forbidden, reason));
    let (method, asks) = match request {
        Authentication::Ok if progress.is_exchanged => (None, ""),
        Authentication::Ok => (Some(AuthMethod::None), "lets us in without authentication"),
        Authentication::Cleartext => (Some(AuthMethod::Password), "asks for the password in clear"),
        Authentication::Md5(_) => (Some(AuthMethod::Md5), "asks for the password's MD5 hash"),
        Authentication::Sasl(_) => (Some(AuthMethod::ScramSha256), "asks for SCRAM"),
        Authentication::Unsupported("GSSAPI") => (Some(AuthMethod::Gss), "asks for GSSAPI"),
        Authentication::Unsupported("SSPI") => (Some(AuthMethod::Sspi), "asks for SSPI"),
        Authentication::Unsupported(_) | Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => (None, ""),
    };
    if let (Some(list), Some(method)) = (&target.require_auth, method)
        && !allows(list, method)
    {
        return refused(format!("the server {asks}, which require_auth does not allow: nothing was sent"));
    }
    let is_scram =
        matches!(request, Authentication::Sasl(_) | Authentication::SaslContinue(_) | Authentication::SaslFinal(_));
    let is_bound = matches!(progress.scram, Scram::Proven) && progress.is_bound;
    if target.channel_binding == ChannelBinding::Require && !is_scram && !is_bound {
        let how = if asks.is_empty() { "lets us in without proving itself" } else { asks };
        return refused(format!("the server {how}, and channel_binding=require wants SCRAM bound to TLS"));
    }
    Ok(())
}

fn allows(list: &RequireAuth, method: AuthMethod) -> bool {
    list.methods.contains(&method) != list.negated
}

/// The strongest mechanism that both sides have: with channel binding over TLS (RFC 5802, section 6).
fn mechanism(
    offered: &[String],
    wanted: ChannelBinding,
    end_point: Option<EndPoint>,
) -> Result<(&'static str, Binding), NotReady> {
    let has = |name: &str| offered.iter().any(|mechanism| mechanism == name);
    let end_point = end_point.filter(|_| wanted != ChannelBinding::Disable);
    match end_point {
        Some(EndPoint::Hash(hash)) if has(SCRAM_SHA_256_PLUS) => Ok((SCRAM_SHA_256_PLUS, Binding::EndPoint(hash))),
        Some(EndPoint::Unproven) if has(SCRAM_SHA_256_PLUS) || wanted == ChannelBinding::Require => {
            let reason = "this build cannot verify the server's kind of key, so the login cannot be bound to the TLS connection: let the server have an RSA key of 2,048 bits, P-256, P-384 or Ed25519, or say channel_binding=disable";
            Err(NotReady::new(Kind::Forbidden, reason))
        }
        found if wanted == ChannelBinding::Require => {
            let reason = match found {
                Some(_) => "channel_binding=require, and the server does not offer SCRAM-SHA-256-PLUS",
                None => "channel_binding=require, and there is no TLS connection with a certificate to bind to",
            };
            Err(NotReady::new(Kind::Forbidden, reason))
        }
        Some(_) if has(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, Binding::NotOffered)),
        None if has(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, Binding::Unsupported)),
        _ => {
            let offered = quoted(offered.join(", ").as_bytes());
            Err(NotReady::new(Kind::Forbidden, format!("no SASL mechanism in common (the server has {offered})")))
        }
    }
}

fn scram_failure(error: &ScramError, timed_out: &dyn Fn() -> NotReady) -> NotReady {
    match error {
        ScramError::Malformed(problem) => {
            NotReady::new(Kind::WrongProtocol, format!("the server's SCRAM message cannot be used: {problem}"))
        }
        ScramError::Iterations(count) => NotReady::new(
            Kind::Forbidden,
            format!(
                "the server asks for {count} iterations of SCRAM; from 1 to {} are accepted",
                scram::MAX_ITERATIONS
            ),
        ),
        ScramError::OutOfTime => {
            let failure = timed_out();
            let reason = "the time ran out while the password was hashed as often as the server's SCRAM asks: raise \
                          --attempt-timeout";
            NotReady { reason: reason.to_owned(), ..failure }
        }
        ScramError::Server(error) => {
            NotReady::new(Kind::CredentialsRejected, format!("the server ends SCRAM with `{error}`"))
        }
        ScramError::WrongSignature => NotReady::new(
            Kind::CredentialsRejected,
            "the server cannot prove that it knows the password (SCRAM): it is another server, or somebody is in between",
        ),
    }
}
