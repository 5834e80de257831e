//! Kafka's brokers, in URLs.

use crate::net::Attempt;
use crate::net::tls::Tls;
use crate::net::tls_settings::Encryption;
use crate::secret::Secret;
use crate::targets::shared::kind::{Form, Key, Probe, Scheme, TargetKind, Written};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

/// Kafka, and what speaks its protocol.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[
        Scheme::new(&[
            "kafka",
            "confluent",
            "confluentkafka",
            "redpanda",
            "plaintext",
            "sasl_plaintext",
            "kafka+sasl_plaintext",
        ])
        .port(9092),
        // Brokers call a listener SSL; in small letters, anybody calls TLS so.
        Scheme::new(&["kafkas", "kafka+ssl", "kafka+tls", "sasl_ssl", "kafka+sasl_ssl", "SSL"]).port(9093).tls(),
    ],
    forms: &[Form {
        url: "kafka://USER:PASSWORD@HOST",
        ready: "a controller is known, the brokers that clients go on to are reachable",
        keys: &[Key::new("topic=NAME", "the topic exists, and its partitions have leaders")],
    }],
    takes_lists: true,
    takes_socket: true,
    read: |written, reading| Ok(Box::new(Kafka::from_url(written, reading)?)),
    ..TargetKind::USUAL
}];

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
    fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
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
        &KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| super::probe(self, place, tls, attempt))
    }
}
