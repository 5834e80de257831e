//! TCP and Unix sockets: an established connection is all that is asked for.

use crate::endpoint::Place;
use crate::net::{self, Budget};
use crate::outcome::{Outcome, Ready};

pub(super) fn probe(place: &Place, budget: &Budget) -> Outcome {
    let connection = net::connect(place, budget)?;
    Ok(Ready::new(match place {
        Place::Tcp(_) => format!("connected to {}", connection.peer()),
        Place::Unix(_) => "connected".to_owned(),
    }))
}
