//! AMQP 0-9-1, in the URLs of RabbitMQ, kombu and Celery ("RabbitMQ URI Specification").

use crate::net::Attempt;
use crate::net::tls::Tls;
use crate::secret::Secret;
use crate::targets::amqp::DEFAULT_PORT;
use crate::targets::shared::ado::{self, Pairs};
use crate::targets::shared::kind::{Probe, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::targets::shared::url;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

/// A broker, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Amqp {
    /// Where it listens, and who logs in.
    pub(super) server: Server,
    /// The virtual host; none is `/`.
    pub(super) virtual_host: Option<String>,
    /// `queue=`: the queue that must exist.
    pub(super) queue: Option<String>,
    /// The mechanism of authentication that the URL names.
    pub(super) mechanism: Option<String>,
}

impl Amqp {
    pub(super) fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let (mut server, mut path, query) = Server::from_url(written)?;
        let mut mechanism = None;
        for (key, value) in query {
            match key.as_str() {
                // Of several the first one, and AMQPLAIN with PLAIN's own credentials.
                "auth_mechanism" | "login_method" => {
                    mechanism.get_or_insert(value.to_ascii_uppercase().replace("AMQPLAIN", "PLAIN"));
                }
                // Symfony's.
                "vhost" => path = value,
                _ if server.take_tls_parameter(&key, &value) => {}
                _ => reading.ignored.add(&key),
            }
        }
        Self::finish(server, Some(path), mechanism, reading)
    }

    /// `EasyNetQ`'s `host=rabbit;virtualHost=/;username=u;password=p`.
    pub(crate) fn from_ado(pairs: &Pairs, reading: &mut Reading<'_>) -> Result<Self, String> {
        let given = |keys: &[&str]| ado::value(pairs, keys).filter(|value| !value.is_empty()).map(str::to_owned);
        let port = ado::value(pairs, ado::PORT).map(url::parse_port).transpose()?.unwrap_or(DEFAULT_PORT);
        let host = given(ado::HOST).ok_or("it names no host; write amqp://HOST")?;
        let mut server = Server::at("amqp", url::places(&host, port)?);
        server.user = given(ado::USER);
        server.password = given(ado::PASSWORD).map(Secret::new);
        Self::finish(server, given(&["virtualhost"]), None, reading)
    }

    fn finish(
        mut server: Server,
        virtual_host: Option<String>,
        mechanism: Option<String>,
        reading: &mut Reading<'_>,
    ) -> Result<Self, String> {
        server.expect(reading)?;
        // No path, `/` and `//` are the virtual host `/`, and so is Symfony's `/%2f/messages`.
        let virtual_host = virtual_host.filter(|path| !matches!(path.as_str(), "" | "/") && !path.starts_with("//"));
        Ok(Self { server, virtual_host, queue: reading.expectations.take("queue")?, mechanism })
    }
}

impl Probe for Amqp {
    fn kind(&self) -> &'static TargetKind {
        &super::KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| {
            self.server.talk_with(place, super::PROTOCOL, tls, attempt, |talk| super::converse(talk, self))
        })
    }

    fn shown_path(&self) -> Option<&str> {
        self.virtual_host.as_deref()
    }
}
