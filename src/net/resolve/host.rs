//! What this host's own files say of names and name servers.

use std::fs;

use super::files;
use super::trouble::{Trouble, is_out_of_descriptors};
use crate::net::interfaces::interface;
use crate::os;

/// A file of the system's; one that is not there is empty.
pub(super) fn read_file(path: &str) -> Result<Vec<u8>, Trouble> {
    fs::read(path).or_else(|error| {
        if is_out_of_descriptors(&error) { Err(Trouble::out_of_descriptors()) } else { Ok(Vec::new()) }
    })
}

/// The resolver's configuration (/etc/resolv.conf).
pub(super) fn conf() -> Result<files::Conf, Trouble> {
    let text = read_file("/etc/resolv.conf")?;
    Ok(files::Conf::parse(&String::from_utf8_lossy(&text), &os::host_name(), &interface))
}
