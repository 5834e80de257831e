//! The name service by the [resolver of our own](super::stub).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

use super::stub::NameLookup;
use super::trouble::Trouble;
use super::wire::Record;
use crate::clock;
use crate::mutex::lock;
use crate::net::attempt::Attempt;
use crate::net::resolver_state::FRESH;

/// The look-ups that an attempt's time did not suffice for, by name, with when each was left. Their sockets hear the
/// answer that comes now.
static UNFINISHED: LazyLock<Mutex<HashMap<String, (Instant, NameLookup)>>> = LazyLock::new(Mutex::default);

/// The addresses of a name, or why there are none; `None` if the attempt's time does not suffice.
pub(super) fn look_up(host: &str, attempt: &Attempt) -> Option<Result<Vec<SocketAddr>, Trouble>> {
    let begun =
        lock(&UNFINISHED).remove(host).filter(|(left, _)| clock::now().saturating_duration_since(*left) <= FRESH);
    let mut lookup = match begun.map_or_else(|| NameLookup::new(host), |(_, lookup)| Ok(lookup)) {
        Ok(lookup) => lookup,
        Err(trouble) => return Some(Err(trouble)),
    };
    match lookup.run(attempt.ends) {
        Some(end) => {
            attempt.resolver.with(host, |name| name.answered = lookup.answered.take());
            Some(end.map(|records| records.iter().filter_map(address).collect()))
        }
        None => {
            lock(&UNFINISHED).insert(host.to_owned(), (clock::now(), lookup));
            None
        }
    }
}

fn address(record: &Record) -> Option<SocketAddr> {
    if let Record::Address(ip) = record { Some((*ip, 0).into()) } else { None }
}
