//! TCP and Unix sockets: an established connection is all that is asked for.

use std::path::Path;

use super::{Outcome, Ready};
use crate::net::{self, Budget, Stream};
use crate::target::Address;

pub(super) fn probe(address: &Address, budget: &Budget) -> Outcome {
    let stream = Stream::Plain(net::connect(address, budget)?);
    Ok(Ready::new(format!("connected to {}", stream.peer())))
}

pub(super) fn probe_unix(path: &Path, budget: &Budget) -> Outcome {
    net::connect_unix(path, budget)?;
    Ok(Ready::new("connected"))
}
