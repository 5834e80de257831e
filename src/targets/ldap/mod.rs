//! LDAP (RFC 4511): a simple bind where there are user and password, then a search of the root DSE or of the entry that
//! the URL names.

pub(crate) mod ber;
mod url;

use crate::net::TimedStream;
use crate::secret::Secret;
use crate::targets::shared::kind::{Form, Scheme, TargetKind};
use crate::targets::shared::server::{NOT_TRIED, WANTS_LOGIN};
use crate::targets::shared::talk::Talk;
use crate::text::{excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready};
use ber::{LdapAnswer, op};

pub(crate) use url::Ldap;

/// TLS that begins in the conversation: no client has a scheme for it, but all have an option.
const STARTTLS: &str = "ldap+starttls";

/// LDAP.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[
        Scheme::new(&["ldap"]).port(389),
        Scheme::new(&["ldaps"]).port(636).tls(),
        Scheme::new(&[STARTTLS, "ldap+tls"]).port(389),
        Scheme::new(&["ldapi"]),
    ],
    forms: &[
        Form {
            url: "ldap://USER:PASSWORD@HOST/BASE, ldaps://...",
            ready: "the server answers, the login is let in, the entry BASE exists",
            keys: &[],
        },
        Form {
            url: "ldapi://SOCKET/BASE",
            ready: "the same, over a socket (written %2Frun%2Fslapd%2Fldapi)",
            keys: &[],
        },
    ],
    takes_socket: true,
    takes_lists: true,
    read: |written, reading| Ok(Box::new(Ldap::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

const PROTOCOL: &str = "LDAP";

/// The conversation, up to the end of the session.
pub(crate) fn converse<S: TimedStream>(talk: &mut Talk<'_, S>, target: &Ldap) -> Outcome {
    let mut session = LdapSession { talk, number: 0 };
    let outcome = session.ask(target);
    let number = session.next();
    session.talk.send(&ber::unbind(number));
    outcome
}

/// Asks for TLS on the same connection (`StartTLS`). Its number is that of the next request too, whose answer comes
/// over TLS.
pub(crate) fn start_tls<S: TimedStream>(talk: &mut Talk<'_, S>) -> Result<(), NotReady> {
    let mut session = LdapSession { talk, number: 0 };
    let number = session.next();
    session.talk.send(&ber::start_tls(number));
    let answer = session.receive()?;
    match (answer.operation, answer.code) {
        (op::EXTENDED_RESPONSE, 0) => Ok(()),
        (op::EXTENDED_RESPONSE, _) => {
            Err(NotReady { kind: Kind::TlsRefused, ..failure(&answer, ": the server does not begin TLS there") })
        }
        _ => Err(session.talk.out_of_order()),
    }
}

struct LdapSession<'t, 'a, S> {
    talk: &'t mut Talk<'a, S>,
    number: u8,
}

impl<S: TimedStream> LdapSession<'_, '_, S> {
    fn next(&mut self) -> u8 {
        self.number += 1;
        self.number
    }

    /// Receives the next answer to the last request.
    fn receive(&mut self) -> Result<LdapAnswer, NotReady> {
        let answer = self.talk.receive(ber::answer)?;
        match answer.operation {
            // The notice of disconnection (section 4.4.1).
            op::EXTENDED_RESPONSE if answer.number == 0 => Err(failure(&answer, "")),
            _ if answer.number == u32::from(self.number) => Ok(answer),
            _ => Err(self.talk.out_of_order()),
        }
    }

    fn ask(&mut self, target: &Ldap) -> Outcome {
        let mut proof = String::new();
        let credentials = target.server.credentials();
        if let Some((user, password)) = credentials {
            self.bind(user, password)?;
            proof = format!("logged in as {user}");
        }
        let (found, done) = self.search(target.base.as_deref().unwrap_or_default())?;
        let has_bound = credentials.is_some();
        let told = match &target.base {
            Some(base) => judge_entry(base, found, &done, has_bound)?,
            None => judge_root(&done, has_bound)?.to_owned(),
        };
        Ok(Ready::new(if proof.is_empty() { told } else { format!("{proof}, {told}") }))
    }

    fn bind(&mut self, user: &str, password: &Secret) -> Result<(), NotReady> {
        let number = self.next();
        self.talk.send(&ber::bind(number, user, password.expose_bytes()));
        let answer = self.receive()?;
        match (answer.operation, answer.code) {
            (op::BIND_RESPONSE, 0) => Ok(()),
            (op::BIND_RESPONSE, _) => Err(failure(&answer, "")),
            _ => Err(self.talk.out_of_order()),
        }
    }

    /// Gives whether the entry was found, and how the search ended.
    fn search(&mut self, base: &str) -> Result<(bool, LdapAnswer), NotReady> {
        let number = self.next();
        self.talk.send(&ber::search(number, base));
        let mut found = false;
        loop {
            let answer = self.receive()?;
            match answer.operation {
                op::ENTRY => found = true,
                op::REFERENCE => {}
                op::DONE => return Ok((found, answer)),
                _ => return Err(self.talk.out_of_order()),
            }
        }
    }
}

/// Whether the entry that the URL names is there.
fn judge_entry(base: &str, found: bool, done: &LdapAnswer, has_bound: bool) -> Result<String, NotReady> {
    let login = if has_bound { "" } else { ", or is not shown without a login" };
    match done.code {
        0 if found => Ok(format!("the entry {base} exists")),
        // An entry that may not be seen is not found, or found without content.
        0 | 32 => {
            let reason = format!("the entry {base} does not exist yet{login} (noSuchObject)");
            Err(NotReady::new(Kind::Unexpected, reason))
        }
        10 => {
            let reason = format!("the server does not hold the entry {base}, and refers to another (referral)");
            Err(NotReady::new(Kind::Unexpected, reason))
        }
        34 => Err(NotReady::new(Kind::Forbidden, format!("{base} is no distinguished name (invalidDNSyntax)"))),
        _ if wants_login(done.code) && !has_bound => {
            let way_out = ": the entry is shown after a login; give user and password in the URL";
            Err(NotReady { kind: Kind::CredentialsRejected, ..failure(done, way_out) })
        }
        _ => Err(failure(done, "")),
    }
}

/// Whether the server answers: before a login it need not show its root DSE.
fn judge_root(done: &LdapAnswer, has_bound: bool) -> Result<&'static str, NotReady> {
    match done.code {
        0 | 32 if has_bound => Ok("the server answers"),
        0 | 32 => Ok(NOT_TRIED),
        code if wants_login(code) && !has_bound => Ok(WANTS_LOGIN),
        _ => Err(failure(done, "")),
    }
}

/// Results that say no more than that somebody must log in first: operationsError (Active Directory's), strong or
/// inappropriate authentication, insufficient rights, unwillingToPerform.
fn wants_login(code: u32) -> bool {
    matches!(code, 1 | 8 | 48 | 50 | 53)
}

/// The results of RFC 4511, section 4.1.9 and appendix A.
fn failure(answer: &LdapAnswer, way_out: &str) -> NotReady {
    let (kind, name, own_way_out) = match answer.code {
        3 => (Kind::ServerError, "timeLimitExceeded", ""),
        7 => (Kind::Forbidden, "authMethodNotSupported", ": it takes no simple bind"),
        8 => (Kind::Forbidden, "strongerAuthRequired", ": it wants TLS or SASL; try ldaps://"),
        11 => (Kind::TooManyConnections, "adminLimitExceeded", ""),
        13 => (Kind::TlsRefused, "confidentialityRequired", ": it wants TLS; write ldaps://"),
        32 => (Kind::CredentialsRejected, "noSuchObject", ": check the name that logs in"),
        34 => (
            Kind::CredentialsRejected,
            "invalidDNSyntax",
            ": the user is a distinguished name, cn=app,dc=example,dc=com",
        ),
        48 => (Kind::CredentialsRejected, "inappropriateAuthentication", ""),
        49 => (Kind::CredentialsRejected, "invalidCredentials", ": check user and password"),
        50 => (Kind::Forbidden, "insufficientAccessRights", ""),
        51 => (Kind::NotAccepting, "busy", ""),
        52 => (Kind::NotAccepting, "unavailable", ""),
        53 => (Kind::Forbidden, "unwillingToPerform", ""),
        _ => (Kind::ServerError, "the server answers with an error", ""),
    };
    let way_out = if way_out.is_empty() { own_way_out } else { way_out };
    let text = peer_text(&answer.text);
    let said = if text.is_empty() { String::new() } else { format!(": {}", excerpt(&text)) };
    NotReady::new(kind, format!("{name} ({}){said}{way_out}", answer.code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::{of_kind, talked};

    fn anonymous() -> Ldap {
        of_kind("ldap://h")
    }

    fn outcome(target: &Ldap, answers: &[Vec<u8>]) -> (Result<String, Kind>, Vec<u8>) {
        let (outcome, written) = talked(&answers.concat(), PROTOCOL, |talk| converse(talk, target));
        (outcome.map(|ready| ready.proof).map_err(|failure| failure.kind), written)
    }

    fn entry(number: u8) -> Vec<u8> {
        ber::sent(number, op::ENTRY, 0, "")
    }

    fn done(number: u8, code: u8) -> Vec<u8> {
        ber::sent(number, op::DONE, code, "")
    }

    fn bound(code: u8) -> Vec<u8> {
        ber::sent(1, op::BIND_RESPONSE, code, "")
    }

    const BASE: &str = "dc=example,dc=com";

    #[test]
    fn a_server_that_answers_is_ready_and_the_session_ends_in_order() {
        let (found, heard) = outcome(&anonymous(), &[entry(1), done(1, 0)]);
        assert!(found.is_ok());
        assert!(heard.ends_with(&ber::unbind(2)));
        // Before a login it need not show anything.
        for code in [1, 8, 32, 48, 50, 53] {
            assert!(outcome(&anonymous(), &[done(1, code)]).0.is_ok(), "{code}");
        }
        for (code, kind) in
            [(51, Kind::NotAccepting), (52, Kind::NotAccepting), (13, Kind::TlsRefused), (80, Kind::ServerError)]
        {
            assert_eq!(outcome(&anonymous(), &[done(1, code)]).0, Err(kind), "{code}");
        }
    }

    #[test]
    fn a_login_is_let_in_or_refused() {
        let asked = &of_kind("ldap://cn=app,dc=example,dc=com:hunter2secret@h");
        let (found, heard) = outcome(asked, &[bound(0), entry(2), done(2, 0)]);
        assert_eq!(found, Ok("logged in as cn=app,dc=example,dc=com, the server answers".to_owned()));
        assert!(heard.ends_with(&ber::unbind(3)));
        for (code, kind) in [
            (49, Kind::CredentialsRejected),
            (34, Kind::CredentialsRejected),
            (13, Kind::TlsRefused),
            (53, Kind::Forbidden),
            (51, Kind::NotAccepting),
        ] {
            let (refused, heard) = outcome(asked, &[bound(code)]);
            assert_eq!(refused, Err(kind), "{code}");
            assert!(heard.ends_with(&ber::unbind(2)));
        }
    }

    #[test]
    fn the_entry_that_the_url_names_must_exist() {
        let asked = &of_kind(&format!("ldap://h/{BASE}"));
        assert_eq!(outcome(asked, &[entry(1), done(1, 0)]).0, Ok(format!("the entry {BASE} exists")));
        for (code, kind) in [
            (0, Kind::Unexpected),
            (10, Kind::Unexpected),
            (32, Kind::Unexpected),
            (34, Kind::Forbidden),
            (50, Kind::CredentialsRejected),
            (52, Kind::NotAccepting),
        ] {
            assert_eq!(outcome(asked, &[done(1, code)]).0, Err(kind), "{code}");
        }
    }

    #[test]
    fn other_peers_are_told_apart() {
        assert_eq!(outcome(&anonymous(), &[b"HTTP/1.1 400".to_vec()]).0, Err(Kind::WrongProtocol));
        assert_eq!(outcome(&anonymous(), &[done(2, 0)]).0, Err(Kind::WrongProtocol));
        let notice = ber::sent(0, op::EXTENDED_RESPONSE, 52, "shutting down");
        assert_eq!(outcome(&anonymous(), &[notice]).0, Err(Kind::NotAccepting));
        let whole = [entry(1), done(1, 0)].concat();
        for end in 0..whole.len() {
            assert_eq!(outcome(&anonymous(), &[whole[..end].to_vec()]).0, Err(Kind::ConnectionClosed), "{end}");
        }
    }
}
