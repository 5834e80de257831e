//! The peer closed the connection: what that may mean, by what it had said before.

use crate::wait::outcome::{Kind, NotReady};

/// The same whether the peer closes or resets, while connecting or later, which is chance: what alternates
/// would be told each time. docker-proxy and Envoy accept for a service that is not there.
/// Servers that expect TLS do the same: those of Kafka, MongoDB, NATS and Redis say nothing.
pub(super) const CLOSED: &str = "accepted, but the peer closed the connection before it answered: does it want TLS or another \
                      protocol there? a proxy with nothing behind it? a published port whose service is not up?";

/// The peer closed the connection where its first answer was due.
pub(crate) fn closed() -> NotReady {
    NotReady::new(Kind::ConnectionClosed, CLOSED)
}

/// The same, after a TLS handshake.
pub(crate) fn closed_over_tls() -> NotReady {
    let reason = "accepted, but the peer closed the connection before it answered: does it want another protocol there, or is it a proxy with nothing behind it?";
    NotReady::new(Kind::ConnectionClosed, reason)
}

/// A failure of an exchange over TLS: where it is that the peer closed before it answered, TLS is not what it lacks.
pub(crate) fn over_tls(failure: NotReady) -> NotReady {
    if failure == closed() { closed_over_tls() } else { failure }
}

/// The peer has answered before, and closed the connection where another answer was due.
pub(crate) fn closed_midway() -> NotReady {
    NotReady::new(Kind::ConnectionClosed, "the peer closed the connection in the middle of the conversation")
}
