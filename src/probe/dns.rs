//! Names that must resolve.

use crate::net::{self, Budget};
use crate::outcome::{Outcome, Ready};

pub(super) fn probe(name: &str, budget: &Budget) -> Outcome {
    let addresses = net::resolve(name, 0, budget)?;
    let shown: Vec<String> = addresses.iter().take(3).map(|address| address.ip().to_string()).collect();
    let more = if addresses.len() > shown.len() { ", …" } else { "" };
    Ok(Ready::new(format!("resolves to {}{more}", shown.join(", "))))
}
