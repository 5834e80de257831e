//! Names to addresses: /etc/hosts, then the name service.
//!
//! Where there is glibc, its getaddrinfo is asked, which knows other sources than DNS (nsswitch.conf(5)); the
//! static build has a [resolver of its own](stub). Either asks for each family by itself, so that one without
//! an answer does not hold up the other.

pub(crate) mod files;
mod host;
#[cfg_attr(not(target_env = "musl"), path = "system.rs")]
#[cfg_attr(target_env = "musl", path = "own.rs")]
mod service;
mod stub;
mod trouble;
pub(crate) mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::net::attempt::Attempt;
use crate::net::interfaces::{interface, ip_list, missing_zone};
use crate::net::resolver_state::ResolverState;
use crate::net::steps::StepKind;
use crate::wait::outcome::{Kind, NotReady, Stage};
use host::{conf, read_file};
use trouble::Trouble;
use wire::{Record, RecordType};

/// All addresses of `host`, the two families in turn (RFC 8305, section 4).
///
/// Where getaddrinfo is asked, this may end late: whoever calls it must be able to walk away.
///
/// # Errors
///
/// [`Kind::Unresolved`], with the search list that was tried; [`Kind::NameGone`] if the name resolved earlier
/// in this wait, and the name service is sure that it does not any more; [`Kind::Unreachable`], where an address names an
/// interface that is not here; [`Kind::TimedOut`].
pub(crate) fn resolve(host: &str, port: u16, attempt: &Attempt) -> Result<Vec<SocketAddr>, NotReady> {
    let mut addresses = match files::literal(host, &interface) {
        Some(address) => vec![address],
        None => {
            if let Some(zone) = missing_zone(host) {
                // No name service knows it.
                let reason = format!("there is no network interface {zone} here, which {host} names");
                return Err(NotReady::new(Kind::Unreachable, reason));
            }
            let found = look_up(host, attempt);
            note_end(host, &found, attempt);
            found?
        }
    };
    for address in &mut addresses {
        address.set_port(port);
    }
    Ok(addresses)
}

/// Notes what a look-up has found, and where.
fn note_end(host: &str, found: &Result<Vec<SocketAddr>, NotReady>, attempt: &Attempt) {
    attempt.steps().note(StepKind::Resolve, || match found {
        Ok(addresses) => format!("{host} is {} ({})", ip_list(addresses), source(host, attempt)),
        Err(failure) => format!("failed: {} ({})", failure.reason, source(host, attempt)),
    });
}

/// Where a name's addresses come from: lines of the hosts file, the name server that answered, or those that are asked.
fn source(host: &str, attempt: &Attempt) -> String {
    let hosts = read_file("/etc/hosts").unwrap_or_default();
    let lines = (1..).zip(hosts.split(|byte| *byte == b'\n'));
    let lines = lines.filter(|(_, line)| !files::in_hosts(line, host, &interface).is_empty());
    let lines: Vec<String> = lines.map(|(number, _): (usize, _)| number.to_string()).collect();
    if !lines.is_empty() {
        return format!("/etc/hosts, line {}", lines.join(", "));
    }
    if files::is_localhost(host) {
        return "this machine, RFC 6761".to_owned();
    }
    if let Some(answered) = attempt.resolver.with(host, |name| name.answered.take()) {
        return answered;
    }
    let servers = conf().map_or(Vec::new(), |conf| conf.servers);
    format!("name server {}", ip_list(&servers))
}

/// The records of one type that a name has, by the [resolver of our own](stub) in every build: getaddrinfo knows
/// addresses alone. None where there is no such name, or it has none.
///
/// # Errors
///
/// [`Kind::Unresolved`] where the name service says nothing; [`Kind::TimedOut`]; [`Kind::LocalLimit`].
pub(crate) fn records(name: &str, wanted: RecordType, attempt: &Attempt) -> Result<Vec<Record>, NotReady> {
    attempt.enter(Stage::Resolving);
    let lookup = stub::NameLookup::of_records(name, wanted);
    let found = lookup.map_or_else(|trouble| Some(Err(trouble)), |mut lookup| lookup.run(attempt.ends));
    match found {
        None => Err(attempt.timed_out()),
        Some(Ok(records)) => Ok(records),
        Some(Err(trouble)) if trouble.is_definite => Ok(Vec::new()),
        Some(Err(trouble)) => {
            Err(NotReady::new(trouble.kind, format!("{}: {}", name.trim_end_matches('.'), trouble.text)))
        }
    }
}

/// The same of a name that must have some.
///
/// # Errors
///
/// The same; and where there are none, as [`resolve`].
pub(crate) fn required_records(name: &str, wanted: RecordType, attempt: &Attempt) -> Result<Vec<Record>, NotReady> {
    let found = records(name, wanted, attempt)?;
    let kind = wanted.name();
    let is_known = attempt.resolver.with(&format!("{kind} {name}"), |known| {
        known.is_known |= !found.is_empty();
        known.is_known
    });
    match is_known {
        _ if !found.is_empty() => Ok(found),
        true => Err(NotReady::new(Kind::NameGone, format!("the name {name} had {kind} records and has none now"))),
        false => Err(NotReady::new(Kind::Unresolved, format!("the name {name} has no {kind} record"))),
    }
}

fn look_up(host: &str, attempt: &Attempt) -> Result<Vec<SocketAddr>, NotReady> {
    let state = &attempt.resolver;
    if let Some(addresses) = state.take(host) {
        return Ok(addresses);
    }
    attempt.enter(Stage::Resolving);
    let found = match local(host) {
        Ok(addresses) if addresses.is_empty() => service::look_up(host, attempt),
        local => Some(local),
    };
    let Some(found) = found else { return Err(attempt.timed_out()) };
    let addresses = interleave(found.map_err(|trouble| unresolved(host, &trouble, state))?);
    state.with(host, |name| name.is_known = true);
    if attempt.is_half_spent() {
        // The time that is left may be too little for all that follows.
        state.keep(host, addresses.clone());
    }
    if attempt.remaining().is_zero() { Err(attempt.timed_out()) } else { Ok(addresses) }
}

/// The addresses that are known without the name service.
fn local(host: &str) -> Result<Vec<SocketAddr>, Trouble> {
    let mut found = files::in_hosts(&read_file("/etc/hosts")?, host, &interface);
    if found.is_empty() && files::is_localhost(host) {
        found = [IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into()].map(|ip| (ip, 0).into()).to_vec();
    }
    // As RFC 6724 has it, by and large.
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(SocketAddr::is_ipv6);
    Ok([first, second].concat())
}

/// The families in turn, beginning with that of the first address.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut out = Vec::with_capacity(first.len() + second.len());
    let mut second = second.into_iter();
    for address in first {
        out.push(address);
        out.extend(second.next());
    }
    out.extend(second);
    out
}

fn unresolved(host: &str, trouble: &Trouble, state: &ResolverState) -> NotReady {
    let Trouble { kind, text, .. } = trouble;
    if *kind != Kind::Unresolved {
        return NotReady::new(*kind, text);
    }
    let search = search_list(host).unwrap_or_default();
    let tried = if search.is_empty() { String::new() } else { format!("; search list: {search}") };
    if trouble.is_definite && state.with(host, |name| name.is_known) {
        return NotReady::new(
            Kind::NameGone,
            format!("the name {host} resolved before and is gone now ({text}{tried})"),
        );
    }
    let reason = format!(
        "the name {host} does not resolve ({text}{tried}): is it spelt right, and is its service up and in this network?"
    );
    NotReady::new(Kind::Unresolved, reason)
}

/// The search list that a name was tried with; of a long one, its beginning: the advice comes after it.
fn search_list(host: &str) -> Option<String> {
    const LONG: usize = 120;
    let search = conf().ok().filter(|_| !host.ends_with('.'))?.search;
    let mut shown = String::new();
    for (index, domain) in search.iter().enumerate() {
        if shown.len() + domain.len() > LONG && index > 0 {
            return Some(format!("{shown} and {} more", search.len() - index));
        }
        let blank = if index == 0 { "" } else { " " };
        shown = format!("{shown}{blank}{}", if domain.is_empty() { "." } else { domain });
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        assert_eq!(
            interleave(parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"])),
            parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"])
        );
        assert_eq!(
            interleave(parse(&["1.1.1.1:1", "[::1]:1", "[::2]:1"])),
            parse(&["1.1.1.1:1", "[::1]:1", "[::2]:1"])
        );
    }
}
