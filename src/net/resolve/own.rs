//! The name service by the [resolver of our own](super::stub).

use std::net::SocketAddr;

use super::state::FRESH;
use super::stub::NameLookup;
use super::trouble::Trouble;
use super::wire::Record;
use crate::clock;
use crate::net::attempt::Attempt;

/// The addresses of a name, or why there are none; `None` if the attempt's time does not suffice.
pub(super) fn look_up(host: &str, attempt: &Attempt) -> Option<Result<Vec<SocketAddr>, Trouble>> {
    let begun = attempt.resolver.with(host, |name| name.begun.take());
    let begun = begun.filter(|(left, _)| clock::now().saturating_duration_since(*left) <= FRESH);
    let mut lookup = match begun.map_or_else(|| NameLookup::new(host), |(_, lookup)| Ok(lookup)) {
        Ok(lookup) => lookup,
        Err(trouble) => return Some(Err(trouble)),
    };
    match lookup.run(attempt.ends) {
        Some(end) => {
            attempt.resolver.with(host, |name| name.answered = lookup.answered.take());
            Some(end.map(|records| records.into_iter().filter_map(address).collect()))
        }
        None => {
            // Its sockets hear the answer that comes now.
            attempt.resolver.with(host, |name| name.begun = Some((clock::now(), lookup)));
            None
        }
    }
}

fn address(record: Record) -> Option<SocketAddr> {
    if let Record::Address(ip) = record { Some((ip, 0).into()) } else { None }
}
