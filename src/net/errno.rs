//! Why a connection failed, from the system's error numbers to a sentence.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;

use super::closed::CLOSED;
use super::interfaces::address_text;
use crate::os::is_listening;
use crate::text::human;
use crate::wait::outcome::{Kind, NO_ANSWER, NotReady};

/// Why there is no answer where somebody listens.
const QUEUE_OR_FIREWALL: &str = "something listens there; its queue is full, or a firewall drops it";

/// The reason where no descriptor is free.
pub(super) const OUT_OF_DESCRIPTORS: &str = "out of file descriptors (raise `ulimit -n`)";

/// The system's number of an error.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// The system's words for an error, without its number. nix would bring a table of its own, of 7 KB.
pub(super) fn name_of(error: impl Into<io::Error>) -> String {
    let text = error.into().to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The reason for all addresses that failed.
pub(super) fn explain_all(failed: &[(SocketAddr, Errno)]) -> NotReady {
    if let [(address, errno)] = failed {
        return explain(*errno, &address_text(*address));
    }
    let mut decisive: Vec<&(SocketAddr, Errno)> =
        failed.iter().filter(|(address, _)| !is_family_missing(failed, address.is_ipv6())).collect();
    if decisive.is_empty() {
        decisive = failed.iter().collect();
    }
    let Some(&&(_, first)) = decisive.first() else {
        return NotReady::new(Kind::Unreachable, "no address could be tried");
    };
    if decisive.iter().all(|(_, errno)| *errno == first) {
        let all: Vec<String> = decisive.iter().map(|(address, _)| address_text(*address)).collect();
        return explain(first, &few(&all));
    }
    let each: Vec<String> = decisive
        .iter()
        .map(|&&(address, errno)| format!("{}: {}", address_text(address), brief(errno, &address_text(address))))
        .collect();
    let kind = decisive.iter().map(|(_, errno)| kind_of(*errno)).find(|kind| *kind != Kind::ConnectionRefused);
    NotReady::new(kind.unwrap_or(Kind::ConnectionRefused), few(&each))
}

/// The reason when the time is used up: who has not answered after so long, and who has failed.
pub(super) fn unanswered(silent: &[SocketAddr], after: Duration, failed: &[(SocketAddr, Errno)]) -> NotReady {
    // Whether somebody listens is known of this host alone.
    let is_full =
        !silent.is_empty() && silent.iter().all(|address| address.ip().is_loopback() && is_listening(*address));
    let cause = if is_full { QUEUE_OR_FIREWALL } else { NO_ANSWER };
    let silent: Vec<String> = silent.iter().map(|address| address_text(*address)).collect();
    let mut reason =
        format!("no answer from {} to the connection attempt within {}: {cause}", few(&silent), human(after));
    if !failed.is_empty() {
        reason = format!("{reason}; {}", explain_all(failed).reason);
    }
    NotReady::new(Kind::TimedOut, reason)
}

/// The reason for one error, which all these peers have in common.
pub(super) fn explain(errno: Errno, peers: &str) -> NotReady {
    let reason = match errno {
        Errno::ECONNREFUSED => format!("connection refused by {peers}: nothing listens there yet"),
        Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNABORTED => CLOSED.to_owned(),
        Errno::ETIMEDOUT => format!("no answer from {peers}: {NO_ANSWER}"),
        Errno::EHOSTUNREACH => format!("no route to {peers}: the host is down, or a firewall rejects the packets"),
        Errno::ENETUNREACH => format!("no route to the network of {peers}"),
        Errno::EADDRNOTAVAIL => format!("no local address or port from which to reach {peers}"),
        Errno::EMFILE | Errno::ENFILE => OUT_OF_DESCRIPTORS.to_owned(),
        Errno::EPERM | Errno::EACCES => format!("a firewall rule forbids connections to {peers}"),
        Errno::EINVAL | Errno::ENOPROTOOPT => format!("no route to {peers}: {}", brief(errno, peers)),
        other => format!("cannot connect to {peers}: {}", name_of(other)),
    };
    NotReady::new(kind_of(errno), reason)
}

/// The same in a list of addresses. What connect(2) says where routes and firewalls answer is no word of theirs:
/// EINVAL for an address of a link whose interface is not named and for a blackhole route, ENOPROTOOPT for an ICMP
/// protocol-unreachable.
fn brief(errno: Errno, peer: &str) -> String {
    match errno {
        Errno::EINVAL if is_link_local_without_zone(peer) => {
            "a link-local address needs its interface (fe80::1%eth0)".to_owned()
        }
        Errno::EINVAL => "a blackhole route takes the packets".to_owned(),
        Errno::ENOPROTOOPT => "a firewall rejects the packets (protocol unreachable)".to_owned(),
        other => name_of(other),
    }
}

fn is_link_local_without_zone(peer: &str) -> bool {
    peer.starts_with("[fe80:") && !peer.contains('%')
}

fn kind_of(errno: Errno) -> Kind {
    match errno {
        Errno::ECONNREFUSED => Kind::ConnectionRefused,
        Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNABORTED => Kind::ConnectionClosed,
        Errno::ETIMEDOUT => Kind::TimedOut,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::EAGAIN => Kind::LocalLimit,
        _ => Kind::Unreachable,
    }
}

/// Whether this machine has no such address family, or no route for it at all: then the addresses of
/// the other decide. Where one of a family could be asked, the others of it count as well.
fn is_family_missing(failed: &[(SocketAddr, Errno)], is_v6: bool) -> bool {
    let mut of_family = failed.iter().filter(|(address, _)| address.is_ipv6() == is_v6);
    of_family.all(|(_, errno)| matches!(errno, Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::ENETUNREACH))
}

/// At most three of a list.
fn few(all: &[String]) -> String {
    match all.len() {
        0..=3 => all.join(", "),
        n => format!("{} and {} more", all[..3].join(", "), n - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn what_all_addresses_have_in_common_is_said_once() {
        let failed: Vec<_> = (1..=5).map(|n| (at(&format!("10.0.0.{n}:80")), Errno::ECONNREFUSED)).collect();
        let failure = explain_all(&failed);
        assert_eq!(failure.kind, Kind::ConnectionRefused);
        assert_eq!(
            failure.reason,
            "connection refused by 10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80 and 2 more: nothing listens there yet"
        );
    }

    #[test]
    fn a_family_that_this_machine_lacks_decides_nothing() {
        let failed = [(at("[2001:db8::1]:80"), Errno::ENETUNREACH), (at("10.0.0.1:80"), Errno::ECONNREFUSED)];
        assert_eq!(explain_all(&failed).kind, Kind::ConnectionRefused);
        let failed = [(at("10.0.0.2:80"), Errno::EHOSTUNREACH), (at("10.0.0.1:80"), Errno::ECONNREFUSED)];
        let failure = explain_all(&failed);
        assert_eq!(failure.kind, Kind::Unreachable, "one refusal of two proves nothing: {failure}");
    }

    #[test]
    fn what_routes_and_firewalls_answer_is_said_in_words() {
        for (address, errno, words) in [
            ("[fe80::1]:80", Errno::EINVAL, "needs its interface"),
            ("10.0.0.1:80", Errno::EINVAL, "blackhole"),
            ("10.0.0.1:80", Errno::ENOPROTOOPT, "firewall"),
        ] {
            for failed in
                [&[(at(address), errno)][..], &[(at(address), errno), (at("10.0.0.9:80"), Errno::EHOSTUNREACH)]]
            {
                let failure = explain_all(failed);
                assert_eq!(failure.kind, Kind::Unreachable, "{failure}");
                assert!(failure.reason.contains(words), "{failure}");
            }
        }
    }

    #[test]
    fn what_was_closed_before_it_was_looked_at_had_been_accepted() {
        // EPIPE is a reset after a close, ECONNRESET one without it.
        for errno in [Errno::ECONNRESET, Errno::EPIPE] {
            let failure = explain_all(&[(at("10.0.0.1:80"), errno)]);
            assert_eq!(failure, NotReady::new(Kind::ConnectionClosed, CLOSED));
        }
    }

    #[test]
    fn silence_names_the_silent_and_the_failed() {
        let failed = [(at("10.0.0.1:80"), Errno::ECONNREFUSED)];
        let failure = unanswered(&[at("10.0.0.2:80")], Duration::from_secs(5), &failed);
        assert_eq!(failure.kind, Kind::TimedOut);
        assert_eq!(
            failure.reason,
            "no answer from 10.0.0.2:80 to the connection attempt within 5s: a firewall drops it, its queue is \
             full, or the address is wrong; connection refused by 10.0.0.1:80: nothing listens there yet"
        );
    }
}
