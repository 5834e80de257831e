//! Why a handshake failed, in words, and what to do about it.

use rustls::{AlertDescription, CertificateError, PeerIncompatible, PeerMisbehaved};

use crate::net::tls_settings::{Fallback, TlsFailure};
use crate::wait::outcome::{Kind, NotReady};

/// The circumstances of a handshake that fails.
#[derive(Debug)]
pub(super) struct Circumstances<'a> {
    /// The first bytes that the peer sent.
    pub(crate) first: &'a [u8],
    /// Whether the server has chosen a version and a cipher suite.
    pub(crate) is_chosen: bool,
    /// Whether the server asked for a client's certificate and there is none.
    pub(crate) lacks_certificate: bool,
    /// The protocol that was asked for.
    pub(crate) protocol: Option<&'a [u8]>,
    /// The name that was sent.
    pub(crate) name: &'a str,
    /// Whether the target limits the versions.
    pub(crate) is_limited: bool,
}

const WANTS_CERTIFICATE: &str = "give one with --tls-cert and --tls-key";
const OLD_VERSION: &str =
    "the server speaks only TLS 1.1 or older, which this build does not: let the server speak TLS 1.2 or 1.3";
const NOTHING_IN_COMMON: &str = "this build has TLS 1.3, and TLS 1.2 with ECDHE (X25519, P-256, P-384) and AES-GCM or ChaCha20-Poly1305; it has no RSA key exchange, DHE, CBC, P-521 or Ed448: let the server offer one of those, or wait for the port alone (tcp://)";

impl Circumstances<'_> {
    /// Why TLS failed.
    pub(crate) fn failure(&self, error: &rustls::Error) -> TlsFailure {
        use rustls::Error as Problem;
        match error {
            Problem::AlertReceived(alert) => self.alert(*alert),
            Problem::InvalidCertificate(CertificateError::Other(other)) => match other.0.downcast_ref::<NotReady>() {
                Some(refused) => refused.clone().into(),
                None => rejected("the server's certificate does not verify"),
            },
            Problem::InvalidCertificate(problem) => {
                let problem = words(&format!("{problem:?}"));
                rejected(&format!("the server's certificate does not verify ({problem})"))
            }
            Problem::InvalidMessage(_) if !self.is_chosen => self.other_protocol(),
            Problem::PeerIncompatible(
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ) => NotReady::new(Kind::TlsRefused, self.version()).into(),
            Problem::PeerMisbehaved(PeerMisbehaved::SignedKxWithWrongAlgorithm) => rejected(
                "the server signs TLS 1.2's key exchange in a way that this build cannot verify (RSASSA-PSS keys): let it speak TLS 1.3",
            ),
            Problem::PeerIncompatible(problem) => {
                let problem = words(&format!("{problem:?}"));
                let reason =
                    format!("the server and this build have no TLS in common ({problem}): {NOTHING_IN_COMMON}");
                NotReady::new(Kind::TlsFailed, reason).into()
            }
            Problem::PeerMisbehaved(problem) => {
                let problem = words(&format!("{problem:?}"));
                NotReady::new(Kind::TlsFailed, format!("the server breaks the rules of TLS ({problem})")).into()
            }
            other => NotReady::new(Kind::TlsFailed, format!("TLS failed ({})", words(&format!("{other:?}")))).into(),
        }
    }

    /// The server's own words (RFC 8446, section 6.2).
    ///
    /// libpq goes on in plain text after any failure. We do so only where it would have failed with libpq's
    /// OpenSSL too, so not where the server has nothing in common with *this build*, which has fewer
    /// algorithms and versions.
    fn alert(&self, alert: AlertDescription) -> TlsFailure {
        use AlertDescription as Alert;
        let name = words(&format!("{alert:?}")).replace(' ', "_");
        match alert {
            Alert::ProtocolVersion => NotReady::new(Kind::TlsRefused, self.version()).into(),
            Alert::NoApplicationProtocol => NotReady::new(Kind::WrongProtocol, self.no_protocol()).into(),
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            // The signature on the certificate: its CA has the right name and another key.
            | Alert::DecryptError
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::AccessDenied => TlsFailure::refused(self.certificate_refused(&name)),
            // Under TLS 1.2 there is no word of its own for it.
            Alert::HandshakeFailure if self.lacks_certificate => TlsFailure::refused(self.certificate_refused(&name)),
            Alert::HandshakeFailure | Alert::InsufficientSecurity if !self.is_chosen => {
                let reason = format!("the server finds no TLS in common with this build (TLS alert {name}): {NOTHING_IN_COMMON}");
                NotReady::new(Kind::TlsFailed, reason).into()
            }
            Alert::UnrecognisedName => {
                let reason = format!(
                    "the server knows no host named {} (TLS alert unrecognized_name): give the name that it knows (servername=)",
                    self.name
                );
                TlsFailure::refused(NotReady::new(Kind::TlsFailed, reason))
            }
            _ => {
                let failure = NotReady::new(Kind::TlsFailed, format!("the server ended the TLS handshake (alert {name})"));
                let is_ours = matches!(
                    alert,
                    Alert::HandshakeFailure
                        | Alert::InsufficientSecurity
                        | Alert::IllegalParameter
                        | Alert::DecodeError
                        | Alert::UnsupportedExtension
                        | Alert::MissingExtension
                        | Alert::UnexpectedMessage
                );
                TlsFailure { failure, fallback: if is_ours { Fallback::Never } else { Fallback::Allowed } }
            }
        }
    }

    fn certificate_refused(&self, alert: &str) -> NotReady {
        let reason = if self.lacks_certificate {
            format!("the server wants a client's certificate (TLS alert {alert}): {WANTS_CERTIFICATE}")
        } else {
            format!(
                "the server does not take this client's certificate (TLS alert {alert}): is it valid, and from a CA that the server trusts? Else {WANTS_CERTIFICATE}"
            )
        };
        NotReady::new(Kind::CertificateRejected, reason)
    }

    fn version(&self) -> String {
        if self.is_limited {
            "the server speaks no version of TLS that is allowed here (ssl_min_protocol_version, ssl_max_protocol_version)".to_owned()
        } else {
            OLD_VERSION.to_owned()
        }
    }

    fn no_protocol(&self) -> String {
        match self.protocol {
            Some(b"http/1.1") => {
                "the server speaks HTTP/2 alone (TLS alert no_application_protocol), and HTTP/1.1 is asked: wait for it as tls:// or grpc://, or let it take HTTP/1.1 too".to_owned()
            }
            Some(protocol) => format!(
                "the server does not know the protocol {} (TLS alert no_application_protocol)",
                String::from_utf8_lossy(protocol)
            ),
            None => "the server wants a protocol to be named in the handshake (TLS alert no_application_protocol): is it HTTP/2 only?".to_owned(),
        }
    }

    /// The peer closed the connection in the middle of it.
    pub(crate) fn closed(&self, failure: NotReady) -> NotReady {
        if self.lacks_certificate {
            let reason = format!(
                "the server wants a client's certificate, and closed the connection without one: {WANTS_CERTIFICATE}"
            );
            return NotReady::new(Kind::CertificateRejected, reason);
        }
        if !self.first.is_empty() && !is_tls(self.first) {
            return self.other_protocol().into();
        }
        if failure.kind == Kind::ConnectionClosed && self.first.is_empty() {
            let cause = if self.protocol == Some(b"postgresql") {
                "a server without TLS does that, and one before PostgreSQL 17; write sslnegotiation=postgres"
            } else {
                "does it speak TLS there, or is it a proxy with nothing behind it?"
            };
            let reason = format!("accepted, but the peer closed the connection at the TLS handshake: {cause}");
            return NotReady { reason, ..failure };
        }
        failure
    }

    fn other_protocol(&self) -> TlsFailure {
        let what = match self.first {
            // Some answer what is no request without a status line.
            [b'H', b'T', b'T', b'P', b'/', ..] | [b'<', b'!' | b'h' | b'H', ..] => {
                ": it answers like an HTTP server; use http://"
            }
            [b'S', b'S', b'H', b'-', ..] => ": it answers like an SSH server",
            [b'+', b'O', b'K', b' ', ..] => ": it answers like a POP3 server, which begins in plain text",
            [b'*', b' ', b'O' | b'P' | b'B', ..] => ": it answers like an IMAP server, which begins in plain text",
            [b'-' | b'+', b'A'..=b'Z', ..] => ": it answers like a Redis server; use redis://",
            [b'2', b'2', b'0', b' ' | b'-', ..] => ": it answers like a mail or FTP server, which begins in plain text",
            [_, _, 0, 0, 0x0a, ..] => ": it answers like a MySQL server, which begins in plain text",
            [b'I', b'N', b'F', b'O', b' ', ..] => {
                ": it answers like a NATS server, which begins in plain text and then turns to TLS (what NATS' clients mean by tls://); use nats+tls://"
            }
            [b'E' | b'N', ..] => ": it answers like a Postgres server; use postgres://",
            _ => "",
        };
        NotReady::new(Kind::WrongProtocol, format!("the peer does not speak TLS on this port{what}")).into()
    }
}

/// A TLS record: a content type, and a version of 3 and something (RFC 8446, section 5.1).
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x17] | [0x14..=0x17, 3, ..])
}

fn rejected(reason: &str) -> TlsFailure {
    NotReady::new(Kind::CertificateRejected, reason).into()
}

/// The name of a case of an enum as words: `UnknownIssuer(…)` is "unknown issuer".
pub(super) fn words(debug: &str) -> String {
    let mut words = String::new();
    let mut was_lower = false;
    for c in debug.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && was_lower {
            words.push(' ');
        }
        was_lower = !c.is_ascii_uppercase();
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_shown_as_words() {
        for (debug, expected) in [
            ("HandshakeFailure", "handshake failure"),
            ("UnknownCA", "unknown ca"),
            ("UnsupportedSignatureAlgorithmContext(Foo { oid: [1, 2] })", "unsupported signature algorithm context"),
        ] {
            assert_eq!(words(debug), expected);
        }
    }
}
