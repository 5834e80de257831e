//! The name service by the [resolver of our own](super::stub).

use std::net::SocketAddr;

use super::stub::Lookup;
use super::{Budget, FRESH, Trouble};
use crate::clock;

/// The addresses of a name, or why there are none; `None` if the attempt's time does not suffice.
pub(super) fn look_up(host: &str, budget: &Budget) -> Option<Result<Vec<SocketAddr>, Trouble>> {
    let begun = budget.resolver.with(host, |name| name.begun.take());
    let begun = begun.filter(|(left, _)| clock::now().saturating_duration_since(*left) <= FRESH);
    let mut lookup = match begun.map_or_else(|| Lookup::new(host), |(_, lookup)| Ok(lookup)) {
        Ok(lookup) => lookup,
        Err(trouble) => return Some(Err(trouble)),
    };
    match lookup.run(budget.ends) {
        Some(end) => Some(end.map(|found| found.into_iter().map(|ip| (ip, 0).into()).collect())),
        None => {
            // Its sockets hear the answer that comes now.
            budget.resolver.with(host, |name| name.begun = Some((clock::now(), lookup)));
            None
        }
    }
}
