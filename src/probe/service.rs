//! Servers that are asked in their own protocol: the hosts in order, each by its protocol.

use std::io::{Read, Write};
use std::time::Duration;

use super::hosts::first_ready;
use super::talk::Talk;
use super::{memcached, nats, smtp};
use crate::config::Goal;
use crate::endpoint::Place;
use crate::endpoint::service::{Encryption, Protocol, Service};
use crate::net::tls::Tls;
use crate::net::tls_settings::Settings;
use crate::net::{self, Budget, Stream};
use crate::outcome::{NotReady, Outcome};

/// How long a server may take to say good-bye: the answer is known, and not held up.
const GOOD_BYE: Duration = Duration::from_millis(200);

/// How long before its attempt a conversation ends that has only to tell why.
#[cfg(feature = "amqp")]
const SAY_SO: Duration = Duration::from_millis(150);

pub(super) fn probe(service: &Service, goal: Goal, tls: &Tls, budget: &Budget) -> Outcome {
    first_ready(&service.places, goal, budget, |place, budget| ask(service, place, tls, budget))
}

fn ask(service: &Service, place: &Place, tls: &Tls, budget: &Budget) -> Outcome {
    match service.protocol {
        // These two begin in plain text and go on in TLS.
        #[cfg(feature = "mysql")]
        Protocol::Mysql => super::mysql::probe(service, place, tls, budget),
        Protocol::Nats => {
            let stream = Stream::Plain(net::connect(place, budget)?);
            nats::probe(service, place, stream, tls, budget)
        }
        _ => {
            let budget = &budget_of(service, budget);
            let mut talk = Talk::new(connect(service, place, tls, budget)?, service.protocol.name(), budget);
            let outcome = exchange(service, &place.to_string(), &mut talk, hurry);
            talk.into_stream().close();
            outcome
        }
    }
}

/// The time of a conversation. One with RabbitMQ lasts as long as an alarm does, and must have the time to say so
/// before its attempt is given up.
#[cfg_attr(not(feature = "amqp"), expect(unused_variables, reason = "AMQP alone"))]
fn budget_of(service: &Service, budget: &Budget) -> Budget {
    #[cfg(feature = "amqp")]
    if service.protocol == Protocol::Amqp {
        let left = budget.remaining();
        return budget.at_most(left.saturating_sub(SAY_SO.min(left / 5)));
    }
    budget.clone()
}

/// From here on only the good-bye is waited for.
fn hurry(stream: &mut Stream, budget: &Budget) {
    stream.lasts(&budget.at_most(GOOD_BYE));
}

#[cfg_attr(not(feature = "grpc"), expect(unused_variables, reason = "gRPC alone names the host that it asks"))]
fn exchange<S: Read + Write>(
    service: &Service,
    authority: &str,
    talk: &mut Talk<'_, S>,
    hurry: impl Fn(&mut S, &Budget),
) -> Outcome {
    match service.protocol {
        #[cfg(feature = "mysql")]
        Protocol::Mysql => Err(talk.out_of_order()),
        Protocol::Nats => Err(talk.out_of_order()),
        #[cfg(feature = "amqp")]
        Protocol::Amqp => super::amqp::exchange(talk, service, hurry),
        #[cfg(feature = "mongodb")]
        Protocol::Mongodb => super::mongodb::exchange(talk, service),
        #[cfg(feature = "kafka")]
        Protocol::Kafka => super::kafka::exchange(talk, service),
        #[cfg(feature = "grpc")]
        Protocol::Grpc => super::grpc::exchange(talk, service, authority),
        Protocol::Memcached => memcached::exchange(talk),
        Protocol::Smtp => smtp::exchange(talk, hurry),
    }
}

/// The conversation alone, with a peer that is nothing but a stream: for fuzzing.
///
/// # Errors
///
/// Why the server is not ready.
pub fn converse<S: Read + Write>(service: &Service, stream: S, budget: &Budget) -> Outcome {
    let mut talk = Talk::new(stream, service.protocol.name(), budget);
    match service.protocol {
        #[cfg(feature = "mysql")]
        Protocol::Mysql => super::mysql::converse(talk, service),
        Protocol::Nats => nats::converse(&mut talk, service),
        _ => exchange(service, "host", &mut talk, |_, _| {}),
    }
}

/// A connection, with TLS from its first byte where the URL says so.
fn connect(service: &Service, place: &Place, tls: &Tls, budget: &Budget) -> Result<Stream, NotReady> {
    let connection = net::connect(place, budget)?;
    match (place, service.encryption) {
        (Place::Tcp(address), Encryption::Always) => {
            let settings = Settings { protocol: service.protocol.alpn(), ..Settings::new(&address.host, &service.tls) };
            Ok(tls.connect(connection, &settings, budget)?)
        }
        _ => Ok(Stream::Plain(connection)),
    }
}
