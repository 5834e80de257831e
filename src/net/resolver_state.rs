//! What one attempt's look-ups found, for the attempts that follow.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clock;
use crate::mutex::lock;

/// A late answer is used no later than this after it came.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// The names that this wait has looked up.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResolverState(Arc<Mutex<HashMap<String, Remembered>>>);

/// The memory of one name.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// The answer that came after the time of the attempt that asked, or late in it, with when it came: the
    /// next attempt's answer would be as late.
    late: Option<(Instant, Vec<SocketAddr>)>,
    /// Whether it had an address in this wait.
    pub(super) is_known: bool,
    /// Which name server answered, where somebody wants to know, and for which whole name.
    pub(super) answered: Option<String>,
}

impl ResolverState {
    pub(super) fn with<T>(&self, host: &str, act: impl FnOnce(&mut Remembered) -> T) -> T {
        act(lock(&self.0).entry(host.to_owned()).or_default())
    }

    /// Keeps an answer that comes late, along with what else came late.
    pub(super) fn keep(&self, host: &str, addresses: Vec<SocketAddr>) {
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
    pub(super) fn take(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let (came, addresses) = self.with(host, |name| name.late.take())?;
        (clock::now().saturating_duration_since(came) <= FRESH).then_some(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_is_used_once() {
        let (late, address) = (ResolverState::default(), "[fe80::1%2]:1".parse().unwrap());
        late.clone().keep("db", vec![address]);
        assert_eq!(late.take("cache"), None);
        assert_eq!(late.take("db"), Some(vec![address]));
        assert_eq!(late.take("db"), None);
    }
}
