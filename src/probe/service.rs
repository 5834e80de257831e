//! Servers that are asked in their own protocol: the hosts in order, each by its protocol.

use super::hosts::first_ready;
use crate::config::Goal;
use crate::endpoint::Place;
use crate::endpoint::service::{Protocol, Service};
use crate::net::Budget;
use crate::net::tls::Tls;
use crate::outcome::Outcome;

pub(super) fn probe(service: &Service, goal: Goal, tls: &Tls, budget: &Budget) -> Outcome {
    first_ready(&service.places, goal, budget, |place, budget| ask(service, place, tls, budget))
}

fn ask(service: &Service, place: &Place, tls: &Tls, budget: &Budget) -> Outcome {
    match service.protocol {
        #[cfg(feature = "mysql")]
        Protocol::Mysql => super::mysql::probe(service, place, tls, budget),
    }
}
