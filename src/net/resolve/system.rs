//! The name service by getaddrinfo(3), with a thread for each family: it knows no deadline.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use dns_lookup::{AddrFamily, AddrInfoHints, LookupError, LookupErrorKind, SockType};

use super::{Budget, Kind, ResolverState, Trouble, is_out_of_descriptors};
use crate::clock;
use crate::signals;

/// How long to wait for the other family after one has addresses (RFC 8305, section 3).
const OTHER_FAMILY: Duration = Duration::from_millis(50);
/// Enough for what modules of nsswitch.conf(5) do.
const STACK: usize = 256 << 10;
/// More threads do not wait for the name service: then attempts wait themselves.
const MAX_THREADS: usize = 64;

static THREADS: AtomicUsize = AtomicUsize::new(0);

type Answer = Result<Vec<SocketAddr>, LookupError>;

/// The addresses of a name, those of IPv6 first, or why there are none; `None` if the attempt's time does not
/// suffice.
pub(super) fn look_up(host: &str, budget: &Budget) -> Option<Result<Vec<SocketAddr>, Trouble>> {
    let (sender, answers) = channel();
    let families = [AddrFamily::Inet6, AddrFamily::Inet];
    let started = families.map(|family| start(host, family, &sender, &budget.resolver));
    drop(sender);
    if started.contains(&false) {
        const BOTH: i32 = 0;
        return Some(ask(host, BOTH).map_err(|error| explain(vec![error])));
    }
    let (mut found, mut errors, mut until): (Vec<SocketAddr>, _, _) = (Vec::new(), Vec::new(), budget.ends);
    while found.is_empty() || errors.is_empty() {
        match answers.recv_timeout(until.saturating_duration_since(clock::now())) {
            Ok(Ok(addresses)) => {
                found.extend(addresses);
                until = until.min(clock::now() + OTHER_FAMILY);
            }
            Ok(Err(error)) => errors.push(error),
            Err(_) => break,
        }
    }
    found.sort_by_key(SocketAddr::is_ipv4);
    match (found.is_empty(), errors.len() == families.len()) {
        (false, _) => Some(Ok(found)),
        (true, true) => Some(Err(explain(errors))),
        (true, false) => None,
    }
}

/// Starts a thread that asks; an answer that nobody waits for any more is kept for the next attempt.
fn start(host: &str, family: AddrFamily, sender: &Sender<Answer>, state: &ResolverState) -> bool {
    if THREADS.fetch_add(1, Ordering::Relaxed) >= MAX_THREADS {
        THREADS.fetch_sub(1, Ordering::Relaxed);
        return false;
    }
    let (host, sender, state) = (host.to_owned(), sender.clone(), state.clone());
    let work = move || {
        let answer = ask(&host, family.into());
        THREADS.fetch_sub(1, Ordering::Relaxed);
        if let Err(unheard) = sender.send(answer)
            && let Ok(addresses) = unheard.0
        {
            state.keep(&host, addresses);
        }
    };
    let builder = thread::Builder::new().name("resolve".to_owned()).stack_size(STACK);
    let is_started = signals::held_back(|| builder.spawn(work)).is_ok();
    if !is_started {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
    is_started
}

fn ask(host: &str, family: i32) -> Answer {
    let hints = AddrInfoHints { address: family, socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let infos = dns_lookup::getaddrinfo(Some(host), None, Some(hints))?;
    Ok(infos.flatten().map(|info| info.sockaddr).collect())
}

/// One reason for both families: of two, the one that proves less.
fn explain(errors: Vec<LookupError>) -> Trouble {
    let is_definite = |error: &LookupError| matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData);
    let is_sure = errors.iter().all(is_definite);
    let error = errors.into_iter().max_by_key(|error| !is_definite(error)).map(std::io::Error::from);
    let Some(error) = error else {
        return Trouble { kind: Kind::Unresolved, text: String::new(), is_definite: false, ends_search: true };
    };
    if is_out_of_descriptors(&error) {
        return Trouble::out_of_descriptors();
    }
    let text = error.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned();
    Trouble { kind: Kind::Unresolved, text, is_definite: is_sure, ends_search: true }
}
