//! From the start-up message to the first `ReadyForQuery` ("Start-up" in "Frontend/Backend Protocol").

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::message::frontend;

use crate::net::TimedStream;
use crate::net::tls_settings::EndPoint;
use crate::targets::Postgres;
use crate::targets::postgres::layers::LayerFailure;
use crate::targets::postgres::login::PostgresCredentials;
use crate::targets::postgres::session::{PostgresSession, unwritable};
use crate::targets::postgres::startup_errors::{self, judge_startup_error};
use crate::targets::postgres::wire::{Authentication, BackendMessage};
use crate::targets::postgres::{AuthMethod, ChannelBinding};
use crate::targets::shared::scram::{self, Binding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramError, ServerSignature};
use crate::text::peer_text;
use crate::wait::outcome::{Kind, NotReady};

/// The time left of an attempt when hashing stops, so that its reason still counts.
const TO_TELL: Duration = Duration::from_millis(20);

/// How far the session came.
pub(crate) enum StartupEnd {
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
struct AuthProgress {
    binding: Option<EndPoint>,
    scram: Scram,
    /// Whether the server was asked to prove itself over this very TLS connection.
    is_bound: bool,
    /// Whether a method that `require_auth` names was gone through.
    is_exchanged: bool,
    is_authenticated: bool,
}

impl<S: TimedStream> PostgresSession<'_, S> {
    /// Up to the first `ReadyForQuery`, or until it is clear that there will be none. `binding` is what SCRAM can
    /// be bound to.
    pub(crate) fn log_in(
        &mut self,
        target: &Postgres,
        login: &PostgresCredentials,
        binding: Option<EndPoint>,
    ) -> Result<StartupEnd, LayerFailure> {
        let mut progress = AuthProgress {
            binding,
            scram: Scram::NotBegun,
            is_bound: false,
            is_exchanged: false,
            is_authenticated: false,
        };
        self.talk.send(&startup_message(target)?);
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
                        self.talk.send(&answer);
                    }
                }
                BackendMessage::Error(error) => {
                    return judge_startup_error(target, login, &error, progress.is_authenticated)
                        .map(StartupEnd::Accepting);
                }
                BackendMessage::Parameter(name, value) => self.note(&name, &value),
                BackendMessage::Key(key) => self.key = Some(key),
                BackendMessage::ReadyForQuery if progress.is_authenticated => return Ok(StartupEnd::LoggedIn),
                BackendMessage::Other => {}
                _ => return Err(self.talk.out_of_order().into()),
            }
        }
    }

    /// The answer to a request for authentication, if there is one.
    fn answer(
        &mut self,
        request: Authentication,
        target: &Postgres,
        password: &[u8],
        progress: &mut AuthProgress,
    ) -> Result<BytesMut, NotReady> {
        let mut answer = BytesMut::new();
        match request {
            Authentication::Ok => progress.is_authenticated = true,
            Authentication::Cleartext => {
                self.reported.way = "by a password in clear";
                progress.is_exchanged = true;
                frontend::password_message(password, &mut answer).map_err(|_| unwritable("password"))?;
            }
            Authentication::Md5(salt) => {
                self.reported.way = "by MD5";
                progress.is_exchanged = true;
                let hash = md5_hash(target.user.as_bytes(), password, salt);
                frontend::password_message(hash.as_bytes(), &mut answer).map_err(|_| unwritable("password"))?;
            }
            Authentication::Sasl(offered) => {
                let (mechanism, binding) = mechanism(&offered, target.channel_binding, progress.binding.clone())?;
                progress.is_bound = matches!(binding, Binding::EndPoint(_));
                self.reported.way =
                    if progress.is_bound { "by SCRAM-SHA-256, bound to TLS" } else { "by SCRAM-SHA-256" };
                let client = scram::Client::new(password, binding, scram::nonce()?);
                frontend::sasl_initial_response(mechanism, client.first_message().as_bytes(), &mut answer)
                    .map_err(|_| unwritable("password"))?;
                progress.scram = Scram::First(client);
            }
            Authentication::SaslContinue(data) => {
                let Scram::First(client) = std::mem::replace(&mut progress.scram, Scram::NotBegun) else {
                    return Err(self.talk.out_of_order());
                };
                let attempt = self.talk.attempt();
                let (message, signature) = client
                    .answer(&data, &mut || attempt.remaining() > TO_TELL)
                    .map_err(|error| scram_failure(&error, &|| attempt.timed_out()))?;
                frontend::sasl_response(message.as_bytes(), &mut answer).map_err(|_| unwritable("password"))?;
                progress.scram = Scram::Answered(signature);
            }
            Authentication::SaslFinal(data) => {
                let Scram::Answered(signature) = &progress.scram else { return Err(self.talk.out_of_order()) };
                signature.check(&data).map_err(|error| scram_failure(&error, &|| self.talk.attempt().timed_out()))?;
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
    parameters.extend(target.search_path.as_deref().map(|path| ("search_path", path)));
    frontend::startup_message(parameters, &mut message).map_err(|_| unwritable("user, database or options"))?;
    Ok(message)
}

/// The server wants a password and none is known: it accepts connections, and more was not asked.
fn without_password(target: &Postgres, login: &PostgresCredentials) -> Result<StartupEnd, LayerFailure> {
    if target.query.is_some() {
        let reason = format!(
            "query= needs a login, and no password is given: put it in the URL, PGPASSWORD or PGPASSFILE{}",
            login.note
        );
        return Err(NotReady::new(Kind::CredentialsRejected, reason).into());
    }
    Ok(StartupEnd::Accepting(format!("{}{}", startup_errors::accepting(target), login.note)))
}

/// The word of `require_auth` and `channel_binding` about a request, before anything is sent (libpq's
/// `check_expected_areq`).
fn permitted(target: &Postgres, request: &Authentication, progress: &AuthProgress) -> Result<(), NotReady> {
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
    if let (Some(allowed), Some(method)) = (&target.require_auth, method)
        && !allowed.contains(&method)
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
            let offered = peer_text(offered.join(", ").as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::postgres::probe;
    use crate::targets::scripted::{self, End, Scripted};
    use crate::text::bounded_line;
    use crate::wait::outcome::Outcome;

    fn target(url: &str) -> Postgres {
        scripted::target(url).as_kind::<Postgres>().cloned().unwrap_or_else(|| panic!("{url}"))
    }

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    fn converse(url: &str, answer: &[u8], step: usize) -> Outcome {
        probe::converse(&target(url), Scripted::new(answer, step, End::Close), &scripted::attempt())
    }

    fn ok() -> Vec<u8> {
        [frame(b'R', &[0, 0, 0, 0]), frame(b'S', b"server_version\x0015.1\0")].concat()
    }

    fn row(first_type: u32, value: &[u8]) -> Vec<u8> {
        let first_type = first_type.to_be_bytes();
        let column = [&b"\0\x01x\0\0\0\0\0\0\0"[..], &first_type, b"\0\x01\xff\xff\xff\xff\0\0"].concat();
        let length = u32::try_from(value.len()).unwrap();
        [frame(b'T', &column), frame(b'D', &[&b"\0\x01"[..], &length.to_be_bytes(), value].concat())].concat()
    }

    #[test]
    fn half_an_answer_is_not_ready() {
        let ready = frame(b'Z', b"I");
        let logged_in = [ok(), frame(b'S', b"in_hot_standby\0off\0"), ready.clone()].concat();
        for (url, answer) in [
            ("postgres://u:p@h/d", [logged_in.clone(), frame(b'1', b""), ready.clone()].concat()),
            ("postgres://u:p@h/d", [frame(b'R', &[0, 0, 0, 3]), logged_in.clone(), ready.clone()].concat()),
            ("postgres://u:p@h/d#query=select%201", [logged_in, row(23, b"1"), ready].concat()),
            ("postgres://h/d", frame(b'R', &[0, 0, 0, 3])),
            ("postgres://h", frame(b'E', b"SFATAL\0C28000\0Mno\0\0")),
        ] {
            for step in [1, usize::MAX] {
                for end in 0..answer.len() {
                    assert!(converse(url, &answer[..end], step).is_err(), "{url} cut at {end} of {}", answer.len());
                }
                assert!(converse(url, &answer, step).is_ok(), "{url}: {:?}", converse(url, &answer, step));
            }
        }
    }

    #[test]
    fn a_query_is_answered_by_what_is_neither_false_nor_null() {
        let url = "postgres://u:p@h/d#query=select%201";
        let answer = |rows: Vec<u8>| {
            let ready = frame(b'Z', b"I");
            converse(url, &[ok(), ready.clone(), rows, ready].concat(), usize::MAX).is_ok()
        };
        assert!(answer(row(16, b"t")) && answer(row(25, b"f")) && answer(row(25, b"0")));
        // smallint, integer, bigint, oid, real, double precision, numeric, money.
        for number in [21, 23, 20, 26, 700, 701, 1700, 790] {
            for zero in ["0", "0.00", "-0", "0e0", "$0.00"] {
                assert!(!answer(row(number, zero.as_bytes())), "{number} {zero}");
            }
            for other in ["1", "-1", "0.01", "1e-30", "100", "NaN", "Infinity"] {
                assert!(answer(row(number, other.as_bytes())), "{number} {other}");
            }
        }
        assert!(!answer(row(16, b"f")) && !answer(Vec::new()));
        assert!(!answer(frame(b'D', b"\0\x01\xff\xff\xff\xff")));
        assert!(answer(frame(b'D', b"\0\0")));
    }

    #[test]
    fn the_error_before_a_close_is_what_is_shown() {
        let failing = frame(b'E', b"SFATAL\0C08P01\0Mserver login has been failing\0\0");
        for (url, says) in [
            (
                "postgres://u:p@h/d",
                "logged in, but the database does not answer: server login has been failing (08P01)",
            ),
            ("postgres://u:p@h/d#query=select%201", "the query fails: server login has been failing (08P01)"),
        ] {
            let answer = [ok(), frame(b'Z', b"I"), failing.clone()].concat();
            assert_eq!(
                converse(url, &answer, 5).map_err(|failure| bounded_line(&failure.reason)),
                Err(says.to_owned())
            );
        }
        // Without credentials, silence takes nothing from what was proven; an error does.
        let let_in = [ok(), frame(b'Z', b"I")].concat();
        assert!(converse("postgres://u@h/d", &let_in, 5).is_ok());
        assert!(converse("postgres://u:p@h/d", &let_in, 5).is_err());
        assert!(converse("postgres://u@h/d", &[let_in, failing].concat(), 5).is_err());
        // An error that leaves the session as it is was an answer, if it is not about the database's absence.
        for (state, is_ready) in
            [("42601", true), ("0A000", true), ("08006", false), ("58000", false), ("57P03", false)]
        {
            let error = frame(b'E', format!("SERROR\0C{state}\0Mno\0\0").as_bytes());
            let answer = [ok(), frame(b'Z', b"I"), error, frame(b'Z', b"I")].concat();
            assert_eq!(converse("postgres://u:p@h/d", &answer, 5).is_ok(), is_ready, "{state}");
        }
    }

    #[test]
    fn what_the_target_does_not_allow_is_sent_nothing() {
        let cleartext = frame(b'R', &[0, 0, 0, 3]);
        let md5 = frame(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]);
        let scram = frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        let plus = frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        for (parameter, answer, is_sent) in [
            ("", &cleartext, true),
            ("require_auth=password", &cleartext, true),
            ("require_auth=md5,password", &cleartext, true),
            ("require_auth=scram-sha-256", &cleartext, false),
            ("require_auth=scram-sha-256,none", &md5, false),
            ("require_auth=none", &scram, false),
            ("require_auth=scram-sha-256", &scram, true),
            ("require_auth=!password", &cleartext, false),
            ("require_auth=!password", &md5, true),
            ("require_auth=!password,!md5", &md5, false),
            ("require_auth=!none", &scram, true),
            ("channel_binding=prefer", &md5, true),
            ("channel_binding=require", &cleartext, false),
            ("channel_binding=require", &md5, false),
            // There is no TLS here to bind to.
            ("channel_binding=require", &plus, false),
            ("channel_binding=disable", &plus, true),
        ] {
            let target = target(&format!("postgres://u:hunter2@h/d?{parameter}"));
            let login = PostgresCredentials { password: target.password.clone(), ..PostgresCredentials::default() };
            let attempt = scripted::attempt();
            let mut session = PostgresSession::new(Scripted::new(answer, 99, End::Close), &attempt);
            let startup = startup_message(&target).ok().unwrap().len();
            let failure = session.log_in(&target, &login, None).err().expect("the peer closes").failure;
            assert_eq!(session.talk.into_stream().written.len() > startup, is_sent, "{parameter}");
            assert_eq!(failure.kind == Kind::Forbidden, !is_sent, "{parameter}: {failure}");
        }
        // Let in without having been asked for anything.
        let let_in = [ok(), frame(b'Z', b"I"), frame(b'Z', b"I")].concat();
        for (parameter, is_fine) in [
            ("", true),
            ("require_auth=none", true),
            ("require_auth=!password", true),
            ("require_auth=!none", false),
            ("require_auth=scram-sha-256", false),
            ("channel_binding=require", false),
        ] {
            let outcome = converse(&format!("postgres://u:p@h/d?{parameter}"), &let_in, 99);
            assert_eq!(outcome.is_ok(), is_fine, "{parameter}: {outcome:?}");
        }
        // SCRAM that the server does not end with its own proof is none.
        let unproven = [scram, let_in].concat();
        assert!(converse("postgres://u:p@h/d?require_auth=scram-sha-256", &unproven, 99).is_err());
    }

    #[test]
    fn the_strongest_mechanism_in_common_is_taken() {
        let hash = || Some(EndPoint::Hash(b"hash".to_vec()));
        let offered = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let both = offered(&[SCRAM_SHA_256_PLUS, SCRAM_SHA_256]);
        let plain = offered(&[SCRAM_SHA_256]);
        for (offered, wanted, end_point, expected) in [
            (&both, ChannelBinding::Prefer, hash(), Some((SCRAM_SHA_256_PLUS, Binding::EndPoint(b"hash".to_vec())))),
            (&both, ChannelBinding::Require, hash(), Some((SCRAM_SHA_256_PLUS, Binding::EndPoint(b"hash".to_vec())))),
            (&both, ChannelBinding::Disable, hash(), Some((SCRAM_SHA_256, Binding::Unsupported))),
            (&both, ChannelBinding::Prefer, None, Some((SCRAM_SHA_256, Binding::Unsupported))),
            (&plain, ChannelBinding::Prefer, hash(), Some((SCRAM_SHA_256, Binding::NotOffered))),
            (&plain, ChannelBinding::Require, hash(), None),
            (&both, ChannelBinding::Require, None, None),
            (&both, ChannelBinding::Prefer, Some(EndPoint::Unproven), None),
            (&both, ChannelBinding::Disable, Some(EndPoint::Unproven), Some((SCRAM_SHA_256, Binding::Unsupported))),
            (&offered(&["OAUTHBEARER"]), ChannelBinding::Prefer, hash(), None),
        ] {
            assert_eq!(mechanism(offered, wanted, end_point).ok(), expected, "{offered:?} {wanted:?}");
        }
    }
}
