//! The name service by getaddrinfo(3), with a thread for each family: it knows no deadline.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use dns_lookup::{AddrFamily, AddrInfoHints, LookupError, LookupErrorKind, SockType};

use super::trouble::{Trouble, is_out_of_descriptors};
use crate::clock;
use crate::mutex::{lock, wait};
use crate::net::attempt::Attempt;
use crate::net::resolver_state::ResolverState;
use crate::os::dispositions;

/// How long to wait for the other family after one has addresses (RFC 8305, section 3).
const OTHER_FAMILY: Duration = Duration::from_millis(50);
/// Enough for what modules of nsswitch.conf(5) do.
const STACK: usize = 256 << 10;
/// More threads do not wait for the name service: then an attempt waits itself, for both families at once.
const MAX_THREADS: usize = 64;

type FamilyAnswer = Result<Vec<SocketAddr>, LookupError>;

/// The addresses of a name, those of IPv6 first, or why there are none; `None` if the attempt's time does not
/// suffice.
pub(super) fn look_up(host: &str, attempt: &Attempt) -> Option<Result<Vec<SocketAddr>, Trouble>> {
    let (sender, answers) = channel();
    let families = [AddrFamily::Inet6, AddrFamily::Inet];
    let started = families.map(|family| {
        start(LookupJob { host: host.to_owned(), family, sender: sender.clone(), state: attempt.resolver.clone() })
    });
    drop(sender);
    if started.contains(&false) {
        const BOTH: i32 = 0;
        return Some(ask(host, BOTH).map_err(|error| explain(vec![error])));
    }
    let (mut found, mut errors, mut until): (Vec<SocketAddr>, _, _) = (Vec::new(), Vec::new(), attempt.ends);
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

/// A question for one family. An answer that nobody waits for any more is kept for the next attempt.
struct LookupJob {
    host: String,
    family: AddrFamily,
    sender: Sender<FamilyAnswer>,
    state: ResolverState,
}

impl LookupJob {
    fn run(self) {
        if let Err(unheard) = self.sender.send(ask(&self.host, self.family.into()))
            && let Ok(addresses) = unheard.0
        {
            self.state.keep(&self.host, addresses);
        }
    }
}

/// The threads that ask. They stay: one that has just ended makes exec(2) slower than one that is parked.
struct Pool {
    jobs: VecDeque<LookupJob>,
    threads: usize,
    idle: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { jobs: VecDeque::new(), threads: 0, idle: 0 });
static WAKE: Condvar = Condvar::new();

/// Has a thread ask; false if there is none.
fn start(job: LookupJob) -> bool {
    let mut pool = lock(&POOL);
    if pool.jobs.len() >= pool.idle {
        if pool.threads >= MAX_THREADS {
            return false;
        }
        if dispositions::start_thread("resolve", STACK, work).is_err() {
            return false;
        }
        pool.threads += 1;
        // The new thread is idle as soon as it runs.
        pool.idle += 1;
    }
    pool.jobs.push_back(job);
    drop(pool);
    WAKE.notify_one();
    true
}

fn work() {
    let mut pool = lock(&POOL);
    loop {
        if let Some(job) = pool.jobs.pop_front() {
            pool.idle -= 1;
            drop(pool);
            job.run();
            pool = lock(&POOL);
            pool.idle += 1;
        } else {
            pool = wait(&WAKE, pool);
        }
    }
}

fn ask(host: &str, family: i32) -> FamilyAnswer {
    let hints = AddrInfoHints { address: family, socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let infos = dns_lookup::getaddrinfo(Some(host), None, Some(hints))?;
    Ok(infos.flatten().map(|info| info.sockaddr).collect())
}

/// The reason for both families: of two, the one that proves less.
fn explain(errors: Vec<LookupError>) -> Trouble {
    let is_definite = |error: &LookupError| matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData);
    let is_sure = !errors.is_empty() && errors.iter().all(is_definite);
    let error = errors.into_iter().max_by_key(|error| !is_definite(error)).map(std::io::Error::from);
    if error.as_ref().is_some_and(is_out_of_descriptors) {
        return Trouble::out_of_descriptors();
    }
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned();
    Trouble { is_definite: is_sure, ..Trouble::failed(text) }
}
