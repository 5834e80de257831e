//! Servers that are asked in their own protocol, as their clients' URLs describe them: MySQL, AMQP and others.

use std::fmt;

use super::schemes::{Dialect, Found, Layer};
use super::server::Parts;
use super::{CertificateCheck, Place, Reading, TargetTls};
use crate::secret::Secret;

/// A server, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What it speaks.
    pub protocol: Protocol,
    /// The scheme that it is shown with.
    pub scheme: &'static str,
    /// The hosts, tried in order.
    pub places: Vec<Place>,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The database, virtual host or service that must be there.
    pub name: Option<String>,
    /// When TLS is used.
    pub encryption: Encryption,
    /// How TLS is used.
    pub tls: TargetTls,
    /// `query=`: a statement whose first row must be neither false nor NULL.
    pub query: Option<Secret>,
    /// `queue=`, `topic=`: what must exist within the server.
    pub object: Option<String>,
    /// The mechanism of authentication that the URL names.
    pub mechanism: Option<String>,
    /// The database that knows the user, where it is another (MongoDB).
    pub auth_source: Option<String>,
    /// The replica set that the server must belong to (MongoDB).
    pub replica_set: Option<String>,
}

/// A protocol that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The client/server protocol of MySQL and MariaDB.
    #[cfg(feature = "mysql")]
    Mysql,
    /// AMQP 0-9-1, RabbitMQ's.
    #[cfg(feature = "amqp")]
    Amqp,
    /// MongoDB's wire protocol.
    #[cfg(feature = "mongodb")]
    Mongodb,
    /// Kafka's protocol.
    #[cfg(feature = "kafka")]
    Kafka,
    /// gRPC's health service.
    #[cfg(feature = "grpc")]
    Grpc,
    /// memcached's text protocol.
    Memcached,
    /// NATS.
    Nats,
    /// SMTP.
    Smtp,
}

impl Protocol {
    /// What the path of a URL names.
    #[cfg_attr(
        not(any(feature = "mysql", feature = "amqp", feature = "mongodb", feature = "grpc")),
        expect(unused_variables, reason = "to none of the others it means anything")
    )]
    fn name_in(self, path: &str) -> Option<String> {
        match self {
            #[cfg(feature = "mysql")]
            Self::Mysql => Some(path.trim_matches('/').to_owned()).filter(|path| !path.is_empty()),
            // No path, `/` and `//` are the virtual host `/`.
            #[cfg(feature = "amqp")]
            Self::Amqp => Some(path.to_owned()).filter(|path| !path.is_empty()),
            #[cfg(feature = "mongodb")]
            Self::Mongodb => Some(path.to_owned()).filter(|path| !path.is_empty()),
            #[cfg(feature = "grpc")]
            Self::Grpc => Some(path.to_owned()).filter(|path| !path.is_empty()),
            _ => None,
        }
    }

    /// What may be expected of it.
    pub(super) fn keys(self) -> &'static str {
        match self {
            #[cfg(feature = "mysql")]
            Self::Mysql => "timeout, successes, query",
            #[cfg(feature = "amqp")]
            Self::Amqp => "timeout, successes, queue",
            #[cfg(feature = "mongodb")]
            Self::Mongodb => "timeout, successes",
            #[cfg(feature = "kafka")]
            Self::Kafka => "timeout, successes, topic",
            #[cfg(feature = "grpc")]
            Self::Grpc => "timeout, successes",
            Self::Memcached | Self::Nats | Self::Smtp => "timeout, successes",
        }
    }

    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "mysql")]
            Self::Mysql => "MySQL's protocol",
            #[cfg(feature = "amqp")]
            Self::Amqp => "AMQP 0-9-1",
            #[cfg(feature = "mongodb")]
            Self::Mongodb => "MongoDB's protocol",
            #[cfg(feature = "kafka")]
            Self::Kafka => "Kafka's protocol",
            #[cfg(feature = "grpc")]
            Self::Grpc => "gRPC (HTTP/2)",
            Self::Memcached => "memcached's protocol",
            Self::Nats => "NATS",
            Self::Smtp => "SMTP",
        }
    }

    /// When TLS is used where the URL does not say it.
    fn usual_encryption(self) -> Encryption {
        match self {
            #[cfg(feature = "mysql")]
            Self::Mysql => Encryption::IfOffered,
            _ => Encryption::Never,
        }
    }

    /// The protocol that TLS agrees on (RFC 7301), where one must be.
    pub fn alpn(self) -> Option<&'static [u8]> {
        match self {
            #[cfg(feature = "grpc")]
            Self::Grpc => Some(b"h2"),
            _ => None,
        }
    }

    /// That of a scheme.
    fn of(scheme: &str) -> Option<Self> {
        match scheme {
            #[cfg(feature = "mysql")]
            "mysql" => Some(Self::Mysql),
            #[cfg(feature = "amqp")]
            "amqp" | "amqps" => Some(Self::Amqp),
            #[cfg(feature = "mongodb")]
            "mongodb" => Some(Self::Mongodb),
            #[cfg(feature = "kafka")]
            "kafka" | "kafkas" => Some(Self::Kafka),
            #[cfg(feature = "grpc")]
            "grpc" | "grpcs" => Some(Self::Grpc),
            "memcached" => Some(Self::Memcached),
            "nats" => Some(Self::Nats),
            "smtp" | "smtps" | "submission" => Some(Self::Smtp),
            _ => None,
        }
    }
}

/// When TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Never,
    /// Where the server offers it.
    IfOffered,
    /// Else the server is refused.
    Always,
}

impl Service {
    /// A server at `places` of which no more is known.
    pub fn new(protocol: Protocol, scheme: &'static str, places: Vec<Place>) -> Self {
        Self {
            protocol,
            scheme,
            places,
            user: None,
            password: None,
            name: None,
            encryption: Encryption::Never,
            tls: TargetTls::default(),
            query: None,
            object: None,
            mechanism: None,
            auth_source: None,
            replica_set: None,
        }
    }

    /// What a URL of a scheme leads to, where its protocol is spoken.
    pub(super) fn from_url(found: Found, rest: &str, reading: &mut Reading<'_>) -> Result<Option<Self>, String> {
        let Some(protocol) = Protocol::of(found.scheme.name()) else { return Ok(None) };
        // JDBC's drivers decode a `+` as forms do.
        let form = rest.split_once('?').filter(|_| found.dialect == Dialect::Jdbc);
        let form = form.map(|(before, query)| format!("{before}?{}", query.replace('+', "%20")));
        let parts = Parts::of(form.as_deref().unwrap_or(rest), found.scheme.port.unwrap_or_default())?;
        let mut service = Self::new(protocol, found.scheme.name(), parts.places);
        service.encryption = match found.scheme.layer {
            Layer::Tls => Encryption::Always,
            Layer::Plain => protocol.usual_encryption(),
        };
        service.user = parts.user;
        service.password = parts.password;
        #[cfg(feature = "mysql")]
        let is_prisma = parts.query.iter().any(|(key, _)| key == "sslaccept");
        for (key, value) in parts.query {
            #[cfg(feature = "mysql")]
            if protocol == Protocol::Mysql {
                if !service.take_mysql(&key, &value, is_prisma)? {
                    reading.ignored.add(&key);
                }
                continue;
            }
            #[cfg(feature = "mongodb")]
            if protocol == Protocol::Mongodb && service.take_mongodb(&key, &value) {
                continue;
            }
            service.take_parameter(&key, value, reading);
        }
        #[cfg(feature = "mongodb")]
        service.want_primary();
        // What stands there alone is a token.
        if protocol == Protocol::Nats && service.password.is_none() {
            service.password = service.user.take().map(Secret::new);
        }
        service.name = protocol.name_in(&parts.path).or(service.name);
        #[cfg(feature = "mysql")]
        if protocol == Protocol::Mysql {
            service.finish_mysql(reading)?;
        }
        #[cfg(feature = "kafka")]
        if protocol == Protocol::Kafka {
            service.object = reading.expectations.take("topic")?;
        }
        #[cfg(feature = "amqp")]
        if protocol == Protocol::Amqp {
            service.object = reading.expectations.take("queue")?;
        }
        service.tls = std::mem::take(&mut service.tls).take(&mut reading.expectations)?;
        Ok(Some(service))
    }

    /// A parameter of MongoDB's connection strings, in any case.
    #[cfg(feature = "mongodb")]
    fn take_mongodb(&mut self, key: &str, value: &str) -> bool {
        let is_yes = value == "true";
        match key.to_ascii_lowercase().as_str() {
            "authsource" => self.auth_source = Some(value.to_owned()),
            "authmechanism" => self.mechanism = Some(value.to_owned()),
            "replicaset" => self.replica_set = Some(value.to_owned()),
            "tls" | "ssl" => self.encryption = if is_yes { Encryption::Always } else { Encryption::Never },
            "tlscafile" | "ssl_ca_certs" | "sslcertificateauthorityfile" => self.tls.ca = Some(value.into()),
            "tlscertificatekeyfile" | "ssl_certfile" => self.tls.cert = Some(value.into()),
            "tlsinsecure" | "tlsallowinvalidcertificates" if is_yes => {
                self.tls.check = Some(CertificateCheck::Nothing);
            }
            "tlsallowinvalidhostnames" if is_yes => {
                self.tls.check.get_or_insert(CertificateCheck::Chain);
            }
            // What is preferred is no condition; what is not said is a primary, where drivers look for one.
            "readpreference" if value != "primary" => self.object = Some("any".to_owned()),
            "directconnection" if is_yes => self.object = Some("any".to_owned()),
            "tlsinsecure"
            | "tlsallowinvalidcertificates"
            | "tlsallowinvalidhostnames"
            | "readpreference"
            | "directconnection" => {}
            _ => return false,
        }
        true
    }

    /// Drivers look for a primary where a set or several hosts are named.
    #[cfg(feature = "mongodb")]
    fn want_primary(&mut self) {
        if self.protocol == Protocol::Mongodb && (self.replica_set.is_some() || self.places.len() > 1) {
            self.object.get_or_insert_with(|| "primary".to_owned());
        }
    }

    /// A parameter of the query; those of RabbitMQ's URIs are about TLS and the mechanism.
    fn take_parameter(&mut self, key: &str, value: String, reading: &mut Reading<'_>) {
        match key {
            "cacertfile" | "ssl_ca_certs" => self.tls.ca = Some(value.into()),
            "certfile" | "ssl_certfile" => self.tls.cert = Some(value.into()),
            "keyfile" | "ssl_keyfile" => self.tls.key = Some(value.into()),
            "server_name_indication" => self.tls.server_name = Some(value),
            "verify" if value == "verify_none" => self.tls.check = Some(CertificateCheck::Nothing),
            "auth_mechanism" | "sasl_mechanism" | "sasl.mechanism" => self.mechanism = Some(value.to_ascii_uppercase()),
            _ => reading.ignored.add(key),
        }
    }

    /// Whether a probe of it may use TLS; NATS says by itself that it wants it.
    pub(super) fn may_use_tls(&self) -> bool {
        self.encryption != Encryption::Never || self.protocol == Protocol::Nats
    }

    /// The user's name, or `default`.
    pub fn user_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.user.as_deref().unwrap_or(default)
    }
}

/// The URL without password and query.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        let places: Vec<String> = self.places.iter().map(Place::to_string).collect();
        f.write_str(&places.join(","))?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}
