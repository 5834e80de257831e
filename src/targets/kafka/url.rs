//! Kafka's brokers, in URLs.

use crate::net::Attempt;
use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::secret::Secret;
use crate::targets::shared::kind::{Probe, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

/// A broker, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kafka {
    /// Where it listens, and who logs in.
    pub(super) server: Server,
    /// `topic=`: the topic that must exist.
    pub(super) topic: Option<String>,
    /// The mechanism of authentication that the URL names.
    pub(super) mechanism: Option<String>,
}

impl Kafka {
    pub(super) fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let (mut server, _, query) = Server::from_url(written)?;
        let mut mechanism = None;
        for (key, value) in query {
            // librdkafka's and Java's names have dots, kafka-python's have not.
            match key.replace('.', "_").as_str() {
                "auth_mechanism" | "sasl_mechanism" | "sasl_mechanisms" => mechanism = Some(value.to_ascii_uppercase()),
                "security_protocol" => server.encryption = encryption(&value)?,
                "sasl_username" | "sasl_plain_username" => server.user = Some(value),
                "sasl_password" | "sasl_plain_password" => server.password = Some(Secret::new(value)),
                "ssl_cafile" | "ssl_ca_location" => server.tls.ca = Some(value.into()),
                "ssl_certificate_location" => server.tls.cert = Some(value.into()),
                "ssl_key_location" => server.tls.key = Some(value.into()),
                _ if server.take_tls_parameter(&key, &value) => {}
                _ => reading.ignored.add(&key),
            }
        }
        server.expect(reading)?;
        Ok(Self { server, topic: reading.expectations.take("topic")?, mechanism })
    }
}

/// `security.protocol`
fn encryption(value: &str) -> Result<Encryption, String> {
    match value.to_ascii_uppercase().as_str() {
        "PLAINTEXT" | "SASL_PLAINTEXT" => Ok(Encryption::Never),
        "SSL" | "SASL_SSL" => Ok(Encryption::Always),
        _ => Err("its security_protocol is none of PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL".to_owned()),
    }
}

impl Probe for Kafka {
    fn is_led_by_peers(&self) -> bool {
        true
    }

    fn kind(&self) -> &'static TargetKind {
        &super::KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| super::probe(self, place, tls, attempt))
    }
}
