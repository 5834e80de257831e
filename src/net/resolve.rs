//! Names to addresses, by the system's resolver.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dns_lookup::{AddrFamily, AddrInfoHints, LookupError, LookupErrorKind, SockType};
use nix::errno::Errno;

use super::Budget;
use crate::clock;
use crate::outcome::{Kind, NotReady, Stage};

/// More addresses of one name are not tried.
const MAX_ADDRESSES: usize = 32;
/// A late answer is used no later than this after it came.
const FRESH: Duration = Duration::from_secs(5);

/// What attempts leave to the attempts that follow.
#[derive(Debug, Clone, Default)]
pub struct ResolverState(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    /// Answers that came after the time of the attempt that asked, or late in it, with when they came.
    /// Where the question for one of the two families gets lost, the resolver answers only after it has
    /// asked again for longer than an attempt may last, and the next attempt's answer would be as late.
    late: HashMap<String, (Instant, Vec<SocketAddr>)>,
    /// The hosts that are to be asked for IPv4 addresses alone the next time. musl takes one answer without the
    /// other for none, and there are name servers that leave questions for IPv6 addresses unanswered;
    /// glibc takes what it has got.
    only_v4: HashSet<String>,
}

impl ResolverState {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, host: &str, addresses: Vec<SocketAddr>) {
        self.lock().late.insert(host.to_owned(), (clock::now(), addresses));
    }

    /// An answer is used once: it may have been wrong, or be so by now.
    fn take(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let (came, mut addresses) = self.lock().late.remove(host)?;
        for address in &mut addresses {
            address.set_port(port);
        }
        (clock::now().saturating_duration_since(came) <= FRESH).then_some(addresses)
    }

    /// Asks the name service; for one family after it had no answer for both.
    fn look_up(&self, host: &str) -> Result<Vec<SocketAddr>, LookupError> {
        const BOTH: i32 = 0;
        let family = if self.lock().only_v4.remove(host) { AddrFamily::Inet.into() } else { BOTH };
        let hints = AddrInfoHints { address: family, socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
        let answer = dns_lookup::getaddrinfo(Some(host), None, Some(hints));
        if let Err(error) = &answer
            && cfg!(target_env = "musl")
            && family == BOTH
            && matches!(error.kind(), LookupErrorKind::Again)
        {
            self.lock().only_v4.insert(host.to_owned());
        }
        Ok(answer?.flatten().map(|info| info.sockaddr).collect())
    }
}

/// All addresses of `host`, the two families in turn (RFC 8305, section 4).
///
/// getaddrinfo knows no deadline: whoever calls this must be able to walk away from it.
///
/// # Errors
///
/// [`Kind::Unresolved`], with the search list that was tried, or [`Kind::TimedOut`].
pub fn resolve(host: &str, port: u16, budget: &Budget) -> Result<Vec<SocketAddr>, NotReady> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if let Some(addresses) = budget.resolver.take(host, port) {
        return Ok(addresses);
    }
    budget.enter(Stage::Resolving);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for mut address in budget.resolver.look_up(host).map_err(|error| unresolved(host, &error.into()))? {
        address.set_port(port);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(NotReady::new(Kind::Unresolved, format!("the name {host} has no address")));
    }
    let mut addresses = interleave(addresses);
    addresses.truncate(MAX_ADDRESSES);
    if budget.is_half_spent() {
        // What is left may be too little for all that follows.
        budget.resolver.keep(host, addresses.clone());
    }
    if budget.remaining().is_zero() { Err(budget.timed_out()) } else { Ok(addresses) }
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

fn unresolved(host: &str, error: &io::Error) -> NotReady {
    // Descriptors can run out inside getaddrinfo too; then the name is not to blame.
    if error.raw_os_error().is_some_and(|code| matches!(Errno::from_raw(code), Errno::EMFILE | Errno::ENFILE)) {
        return NotReady::new(Kind::LocalLimit, "out of file descriptors (raise `ulimit -n`)");
    }
    let text = error.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    let search = std::fs::read_to_string("/etc/resolv.conf").map_or_else(|_| String::new(), |conf| search_list(&conf));
    let tried =
        if search.is_empty() || host.ends_with('.') { String::new() } else { format!("; search list: {search}") };
    let reason = format!(
        "the name {host} does not resolve ({text}{tried}): is it spelt right, and is its service up and in this network?"
    );
    NotReady::new(Kind::Unresolved, reason)
}

/// The `search` or `domain` line of resolv.conf(5): the last one counts.
fn search_list(conf: &str) -> String {
    let mut lines = conf.lines().rev().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("search" | "domain")).then(|| words.collect::<Vec<_>>().join(" "))
    });
    lines.next().unwrap_or_default()
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
    fn a_late_answer_is_used_once_and_with_any_port() {
        let (late, address) = (ResolverState::default(), "[fe80::1%2]:1".parse().unwrap());
        late.clone().keep("db", vec![address]);
        assert_eq!(late.take("cache", 5432), None);
        assert_eq!(late.take("db", 5432), Some(vec!["[fe80::1%2]:5432".parse().unwrap()]));
        assert_eq!(late.take("db", 5432), None);
    }

    #[test]
    fn the_last_search_line_counts() {
        assert_eq!(search_list("nameserver 1.1.1.1\nsearch a b\nsearch c.svc .\n"), "c.svc .");
        assert_eq!(search_list("domain x\n"), "x");
        assert_eq!(search_list(""), "");
    }
}
