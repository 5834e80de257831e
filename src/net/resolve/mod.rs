//! Names to addresses: /etc/hosts, then the name service.
//!
//! Where there is glibc, its getaddrinfo is asked, which knows other sources than DNS (nsswitch.conf(5)); the
//! static build has a [resolver of its own](stub). Either asks for each family by itself, so that one without
//! an answer does not hold up the other.

pub mod files;
#[cfg_attr(not(target_env = "musl"), path = "system.rs")]
#[cfg_attr(target_env = "musl", path = "own.rs")]
mod service;
pub mod stub;
pub mod wire;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::Budget;
use crate::clock;
use crate::outcome::{Kind, NotReady, Stage};

/// A late answer is used no later than this after it came.
const FRESH: Duration = Duration::from_secs(5);

/// What attempts leave to the attempts that follow.
#[derive(Debug, Clone, Default)]
pub struct ResolverState(Arc<Mutex<HashMap<String, Remembered>>>);

/// What is remembered of a name.
#[derive(Debug, Default)]
struct Remembered {
    /// The answer that came after the time of the attempt that asked, or late in it, with when it came: the
    /// next attempt's answer would be as late.
    late: Option<(Instant, Vec<SocketAddr>)>,
    /// Whether it had an address in this wait.
    is_known: bool,
    /// The look-up that an attempt's time did not suffice for, with when it was left.
    #[cfg(target_env = "musl")]
    begun: Option<(Instant, stub::Lookup)>,
}

impl ResolverState {
    fn with<T>(&self, host: &str, act: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(names.entry(host.to_owned()).or_default())
    }

    /// Keeps an answer that comes late, along with what else came late.
    fn keep(&self, host: &str, addresses: Vec<SocketAddr>) {
        let now = clock::now();
        self.with(host, |name| {
            name.is_known = true;
            let mut kept = name.late.take().filter(|(came, _)| now.saturating_duration_since(*came) <= FRESH);
            let (came, known) = kept.get_or_insert_with(|| (now, Vec::new()));
            *came = now;
            for address in addresses {
                if !known.contains(&address) {
                    known.push(address);
                }
            }
            name.late = kept;
        });
    }

    /// An answer is used once: it may have been wrong, or be so by now.
    fn take(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let (came, addresses) = self.with(host, |name| name.late.take())?;
        (clock::now().saturating_duration_since(came) <= FRESH).then_some(addresses)
    }
}

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    kind: Kind,
    text: String,
    /// Whether the name service is sure that there are none.
    is_definite: bool,
    /// Whether it makes no sense to try the other names of the search list.
    ends_search: bool,
}

impl Trouble {
    fn out_of_descriptors() -> Self {
        let text = "out of file descriptors (raise `ulimit -n`)".to_owned();
        Self { kind: Kind::LocalLimit, text, is_definite: false, ends_search: true }
    }

    /// What is told of several.
    fn weight(&self) -> u8 {
        u8::from(self.kind == Kind::LocalLimit) * 8
            + u8::from(self.ends_search) * 4
            + u8::from(!self.is_definite) * 2
            + u8::from(self.text.starts_with("it has"))
    }
}

/// All addresses of `host`, the two families in turn (RFC 8305, section 4).
///
/// Where getaddrinfo is asked, this may end late: whoever calls it must be able to walk away.
///
/// # Errors
///
/// [`Kind::Unresolved`], with the search list that was tried; [`Kind::NameGone`] if the name resolved earlier
/// in this wait, and the name service is sure that it does not any more; [`Kind::TimedOut`].
pub fn resolve(host: &str, port: u16, budget: &Budget) -> Result<Vec<SocketAddr>, NotReady> {
    let mut addresses = match files::literal(host, &interface) {
        Some(address) => vec![address],
        None => look_up(host, budget)?,
    };
    for address in &mut addresses {
        address.set_port(port);
    }
    Ok(addresses)
}

fn look_up(host: &str, budget: &Budget) -> Result<Vec<SocketAddr>, NotReady> {
    let state = &budget.resolver;
    if let Some(addresses) = state.take(host) {
        return Ok(addresses);
    }
    budget.enter(Stage::Resolving);
    let found = match local(host) {
        Ok(addresses) if addresses.is_empty() => service::look_up(host, budget),
        local => Some(local),
    };
    let Some(found) = found else { return Err(budget.timed_out()) };
    let addresses = interleave(found.map_err(|trouble| unresolved(host, &trouble, state))?);
    state.with(host, |name| name.is_known = true);
    if budget.is_half_spent() {
        // What is left may be too little for all that follows.
        state.keep(host, addresses.clone());
    }
    if budget.remaining().is_zero() { Err(budget.timed_out()) } else { Ok(addresses) }
}

/// What is known without the name service.
fn local(host: &str) -> Result<Vec<SocketAddr>, Trouble> {
    let mut found = files::in_hosts(&read_file("/etc/hosts")?, host, &interface);
    if found.is_empty() && files::is_localhost(host) {
        found = [IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into()].map(|ip| (ip, 0).into()).to_vec();
    }
    // As RFC 6724 has it, by and large.
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(SocketAddr::is_ipv6);
    Ok([first, second].concat())
}

/// A file of the system's; one that is not there is empty.
fn read_file(path: &str) -> Result<Vec<u8>, Trouble> {
    fs::read(path).or_else(|error| {
        // Then the name is not to blame.
        if is_out_of_descriptors(&error) { Err(Trouble::out_of_descriptors()) } else { Ok(Vec::new()) }
    })
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| matches!(Errno::from_raw(code), Errno::EMFILE | Errno::ENFILE))
}

/// The number of a network interface (sysfs).
fn interface(name: &str) -> Option<u32> {
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}

/// The families in turn, beginning with that of the first address.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut out = Vec::with_capacity(first.len() + second.len());
    first.reverse();
    second.reverse();
    while let Some(address) = first.pop() {
        out.push(address);
        out.extend(second.pop());
    }
    second.reverse();
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

/// What /etc/resolv.conf says to this host.
fn conf() -> Result<files::Conf, Trouble> {
    let text = read_file("/etc/resolv.conf")?;
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Ok(files::Conf::parse(&String::from_utf8_lossy(&text), &hostname, &interface))
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

    #[test]
    fn a_late_answer_is_used_once() {
        let (late, address) = (ResolverState::default(), "[fe80::1%2]:1".parse().unwrap());
        late.clone().keep("db", vec![address]);
        assert_eq!(late.take("cache"), None);
        assert_eq!(late.take("db"), Some(vec![address]));
        assert_eq!(late.take("db"), None);
    }
}
