//! Addresses that a server advertises: clients that discover go there, so they must be reachable from here.

use std::fmt;
use std::time::Duration;

use crate::net::{Address, Attempt, Place};
use crate::targets::shared::url;
use crate::text::{excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady};

/// No more hosts than this are tried in one attempt.
const MAX_HOSTS: usize = 16;
/// How long before its attempt the last of them ends: the time to say why.
const SAY_SO: Duration = Duration::from_millis(150);
/// How long one of them is tried at most, where its attempt has more time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// An address that a server advertises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// The owner of the address: `the controller`.
    pub(crate) whose: String,
    /// A name or an IP address without brackets, as the server wrote it.
    pub(crate) host: String,
    /// The port, as the server wrote it.
    pub(crate) port: i64,
}

impl Advertised {
    pub(crate) fn new(whose: impl Into<String>, host: &[u8], port: i64) -> Self {
        Self { whose: whose.into(), host: peer_text(host), port }
    }

    /// The address `HOST:PORT` of one text.
    pub(crate) fn of(whose: impl Into<String>, text: &str) -> Self {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self::new(whose, host.as_bytes(), port.parse().unwrap_or_default())
    }

    /// Where it is, if it can be an address at all.
    pub(crate) fn address(&self) -> Option<Address> {
        let port = u16::try_from(self.port).ok().filter(|port| *port > 0)?;
        let is_ip = self.host.parse::<std::net::IpAddr>().is_ok();
        (is_ip || url::check_name(&self.host).is_ok()).then(|| Address { host: self.host.clone(), port })
    }
}

/// `HOST:PORT`
impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reaches every one of `hosts` but those at `asked`, the place that has answered already.
///
/// # Errors
///
/// The first that cannot be reached, with `setting`, where the server's operator mends it.
pub(crate) fn reach_all(
    hosts: &[Advertised],
    asked: &Place,
    setting: &str,
    attempt: &Attempt,
    mut connect: impl FnMut(&Place, &Attempt) -> Result<(), NotReady>,
) -> Result<(), NotReady> {
    let mut seen: Vec<Place> = vec![asked.clone()];
    let hosts = &hosts[..hosts.len().min(MAX_HOSTS)];
    for (index, host) in hosts.iter().enumerate() {
        let Some(address) = host.address() else { return Err(unreachable(host, setting, "that is no address")) };
        let place = Place::Tcp(address);
        if seen.contains(&place) {
            continue;
        }
        let left = u32::try_from(hosts.len() - index).unwrap_or(u32::MAX);
        let time = attempt.remaining();
        let time = time.saturating_sub(SAY_SO.min(time / 5)) / left;
        connect(&place, &attempt.at_most(PATIENCE.min(time)))
            .map_err(|failure| unreachable(host, setting, &failure.reason))?;
        seen.push(place);
    }
    Ok(())
}

/// Reaches any one of `hosts`.
///
/// # Errors
///
/// As [`reach_all`], of the first.
pub(crate) fn reach_any(
    hosts: &[Advertised],
    asked: &Place,
    setting: &str,
    attempt: &Attempt,
    mut connect: impl FnMut(&Place, &Attempt) -> Result<(), NotReady>,
) -> Result<(), NotReady> {
    let hosts = &hosts[..hosts.len().min(MAX_HOSTS)];
    let mut first = None;
    for (index, host) in hosts.iter().enumerate() {
        let left = u32::try_from(hosts.len() - index).unwrap_or(u32::MAX);
        let share = attempt.at_most(attempt.remaining() / left);
        match reach_all(std::slice::from_ref(host), asked, setting, &share, &mut connect) {
            Ok(()) => return Ok(()),
            Err(failure) => first = first.or(Some(failure)),
        }
    }
    first.map_or(Ok(()), Err)
}

/// The server that was asked is up: whatever the other said, that is what this failure stands for.
fn unreachable(host: &Advertised, setting: &str, why: &str) -> NotReady {
    let advertised = excerpt(&host.to_string());
    let whose = &host.whose;
    let reason = format!("{whose} is advertised as {advertised} ({setting}), which cannot be reached from here: {why}");
    NotReady::new(Kind::Unexpected, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::attempt;

    fn hosts() -> Vec<Advertised> {
        vec![Advertised::of("the controller", "a:1"), Advertised::of("a leader", "b:2"), Advertised::of("x", "b:2")]
    }

    /// Connects to what is in `up`, and gives what was tried.
    fn tried(all: bool, asked: &str, up: &[&str]) -> (Result<(), NotReady>, Vec<String>) {
        let (attempt, mut tried) = (attempt(), Vec::new());
        let connect = |place: &Place, _: &Attempt| {
            tried.push(place.to_string());
            let is_up = up.contains(&place.to_string().as_str());
            if is_up { Ok(()) } else { Err(NotReady::new(Kind::ConnectionRefused, "connection refused")) }
        };
        let asked = Place::Tcp(Advertised::of("", asked).address().unwrap());
        let reached = if all {
            reach_all(&hosts(), &asked, "advertised.listeners", &attempt, connect)
        } else {
            reach_any(&hosts(), &asked, "advertised.listeners", &attempt, connect)
        };
        (reached, tried)
    }

    #[test]
    fn each_that_is_needed_is_reached_once_and_what_fails_is_named() {
        assert_eq!(tried(true, "s:1", &["a:1", "b:2"]), (Ok(()), vec!["a:1".to_owned(), "b:2".to_owned()]));
        // The one that has answered is not connected to again.
        assert_eq!(tried(true, "a:1", &["b:2"]).1, ["b:2"]);
        let failure = tried(true, "a:1", &[]).0.unwrap_err();
        assert_eq!(failure.kind, Kind::Unexpected);
        assert!(failure.reason.starts_with("a leader is advertised as "), "{failure}");
        assert!(failure.reason.contains("b:2") && failure.reason.contains("(advertised.listeners)"), "{failure}");
        assert_eq!(tried(false, "s:1", &["b:2"]).0, Ok(()));
        assert!(tried(false, "s:1", &[]).0.unwrap_err().reason.contains("a:1"));
    }

    #[test]
    fn what_is_no_address_is_not_looked_up() {
        for (text, address) in [("db:27017", Some("db:27017")), ("[::1]:9092", Some("[::1]:9092")), ("db", None)] {
            let found = Advertised::of("", text).address().map(|address| address.to_string());
            assert_eq!(found.as_deref(), address, "{text}");
        }
        for (host, port) in [("", 1), ("a b", 1), ("a\nb", 1), ("db", 0), ("db", -1), ("db", 65_536), ("a/b", 1)] {
            assert_eq!(Advertised::new("", host.as_bytes(), port).address(), None, "{host:?}");
        }
    }
}
