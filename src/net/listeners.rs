//! The kernel's list of sockets that listen (`proc_pid_net(5)`), read once for all who ask at one moment, and as far
//! as they want: after the listeners, which come first, the kernel looks through all of the host's connections.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::clock;

/// The state of a listener in the list.
const LISTEN: &str = "0A";

/// So much is read at once: a few lines.
const CHUNK: usize = 600;

/// The list of one family, as it was once.
#[derive(Debug)]
struct Reading {
    /// When reading it began.
    began: Instant,
    /// The listeners that have been read.
    listeners: Vec<(IpAddr, u16)>,
    /// What has not been read yet.
    rest: Option<BufReader<File>>,
    line: String,
}

#[derive(Debug)]
struct List {
    path: &'static str,
    last: Mutex<Option<Reading>>,
}

static TCP: List = List { path: "/proc/net/tcp", last: Mutex::new(None) };
static TCP6: List = List { path: "/proc/net/tcp6", last: Mutex::new(None) };

/// Whether somebody listens at `address` of this host, or at its port of all addresses, as the kernel's
/// list was at `asked` or later. What is not in it may be there all the same: a port that is redirected
/// is not listed, nor is anything without /proc.
pub(super) fn is_listed(address: SocketAddr, asked: Instant) -> bool {
    // A socket for both families is in the other's list.
    address.is_ipv4() && TCP.has(address, asked) || TCP6.has(address, asked)
}

impl List {
    fn has(&self, address: SocketAddr, asked: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = match last.take() {
            Some(reading) if reading.began >= asked => reading,
            _ => Reading::begin(self.path),
        };
        let reading = last.insert(reading);
        let anywhere = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        match address.ip() {
            IpAddr::V4(v4) => reading
                .has([v4.into(), Ipv4Addr::UNSPECIFIED.into(), v4.to_ipv6_mapped().into(), anywhere], address.port()),
            IpAddr::V6(v6) => reading.has([v6.into(), anywhere], address.port()),
        }
    }
}

impl Reading {
    fn begin(path: &str) -> Self {
        let began = clock::now();
        // Where it cannot be read, it has nobody.
        let rest = File::open(path).ok().map(|file| BufReader::with_capacity(CHUNK, file));
        let mut reading = Self { began, listeners: Vec::new(), rest, line: String::new() };
        // The heading.
        reading.read_line();
        reading
    }

    /// Reads the next line; says whether there is one.
    fn read_line(&mut self) -> bool {
        self.line.clear();
        let read = self.rest.as_mut().map(|rest| rest.read_line(&mut self.line));
        matches!(read, Some(Ok(1..)))
    }

    /// Whether somebody listens at the port of one of these addresses.
    fn has<const N: usize>(&mut self, at: [IpAddr; N], port: u16) -> bool {
        self.listeners.iter().any(|(ip, of)| *of == port && at.contains(ip))
            || std::iter::from_fn(|| self.read_on()).any(|(ip, found)| found == port && at.contains(&ip))
    }

    /// The next listener of the list, which is one of those that have been read from here on.
    fn read_on(&mut self) -> Option<(IpAddr, u16)> {
        let found = if self.read_line() { listener(&self.line) } else { None };
        match found {
            Some(found) => {
                self.listeners.push(found);
            }
            None => self.rest = None,
        }
        found
    }
}

/// The address and port of a line's socket, if it listens.
fn listener(line: &str) -> Option<(IpAddr, u16)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, _, state) = (words.next()?, words.next()?, words.next()?);
    let (ip, port) = local.split_once(':')?;
    (state == LISTEN).then_some((as_address(ip)?, u16::from_str_radix(port, 16).ok()?))
}

/// An address from its hexadecimal digits, each 32 bits of it in the order of this machine.
fn as_address(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(digits.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let octets = [word(0)?, word(1)?, word(2)?, word(3)?];
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets.as_flattened()).ok()?).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listed(address: SocketAddr) -> bool {
        is_listed(address, clock::now())
    }

    #[test]
    fn a_listener_is_found_in_the_kernels_list() {
        let local = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = local.local_addr().unwrap();
        assert!(listed(here));
        assert!(!listed(SocketAddr::new("127.0.0.2".parse().unwrap(), here.port())));
        let everywhere = TcpListener::bind("[::]:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();
        for ip in ["::1", "127.0.0.1"] {
            assert!(listed(SocketAddr::new(ip.parse().unwrap(), port)), "{ip}");
        }
        drop((local, everywhere));
        assert!(!listed(here), "it is asked anew");
        assert!(!Reading::begin("/nonexistent").has([here.ip()], here.port()));
    }

    #[test]
    fn a_line_tells_who_listens() {
        let line =
            |local: &str, state: &str| listener(&format!("   0: {local} 00000000:0000 {state} 00000000:00000000"));
        let ip = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(line(&format!("{ip}:1F90"), "0A"), Some((Ipv4Addr::LOCALHOST.into(), 8080)));
        assert_eq!(line(&format!("{ip}:1F90"), "01"), None);
        let ip = format!("{}{:08X}", "0".repeat(24), u32::from_ne_bytes([0, 0, 0, 1]));
        assert_eq!(line(&format!("{ip}:0050"), "0A"), Some((Ipv6Addr::LOCALHOST.into(), 80)));
        for broken in ["", "x", "0: 1:2", "0: zz:0050 0:0 0A", "0: 7F000001 0:0 0A"] {
            assert_eq!(listener(broken), None, "{broken}");
        }
    }
}
