//! hosts(5), resolv.conf(5), and addresses that are written as numbers. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// The port of name servers.
const PORT: u16 = 53;
/// More name servers are not asked; glibc asks three.
const MAX_SERVERS: usize = 8;

/// The number of a network interface, by its name.
pub(crate) type Interfaces<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// The address in a text that getaddrinfo takes for one that is written as a number: also with a zone (RFC 4007, section
/// 11), and IPv4 with fewer parts, in octal or in hexadecimal digits (`inet_aton(3)`).
pub(crate) fn literal(text: &str, interfaces: Interfaces<'_>) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    if let Some((address, zone)) = text.split_once('%') {
        let address = address.parse::<Ipv6Addr>().ok()?;
        let scope = zone.parse().ok().or_else(|| interfaces(zone))?;
        return Some(SocketAddrV6::new(address, 0, 0, scope).into());
    }
    inet_aton(text).map(|address| SocketAddr::new(address.into(), 0))
}

/// `a`, `a.b`, `a.b.c` or `a.b.c.d`; the last part fills what is left.
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| {
        let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if part.len() > 1 && part.starts_with('0') => (&part[1..], 8),
            None => (part, 10),
        };
        u32::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
    };
    let parts = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|&part| part > 255) {
        return None;
    }
    let bits = 32 - 8 * u32::try_from(first.len()).ok()?;
    if u64::from(*last) >= 1 << bits {
        return None;
    }
    let high = first.iter().enumerate().fold(0, |sum, (index, part)| sum | part << (24 - 8 * index));
    Some(Ipv4Addr::from(high | last))
}

/// All addresses that a hosts file gives a name, whatever its case.
pub(crate) fn in_hosts(content: &[u8], name: &str, interfaces: Interfaces<'_>) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in content.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(address) = words.next().and_then(|word| std::str::from_utf8(word).ok()) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name.as_bytes())) {
            found.extend(literal(address, interfaces).filter(|address| !found.contains(address)));
        }
    }
    found
}

/// `localhost` and what ends in `.localhost` is this machine, whatever a name server says (RFC 6761, section
/// 6.3).
pub(crate) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The settings of resolv.conf. EDNS, trust, sorting and the order of the two families' questions make no
/// difference here; `LOCALDOMAIN` and `RES_OPTIONS` are not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conf {
    /// The name servers, in order.
    pub(crate) servers: Vec<SocketAddr>,
    /// The domains that are appended to names; an empty one is the root.
    pub(crate) search: Vec<String>,
    /// A name with so many dots is tried as it is first.
    pub(crate) ndots: usize,
    /// How long to wait for one server.
    pub(crate) timeout: Duration,
    /// How often each server is asked.
    pub(crate) attempts: u32,
    /// Whether to begin with another server each time.
    pub(crate) rotate: bool,
    /// Whether to ask over TCP at once.
    pub(crate) use_vc: bool,
    /// Whether IPv6 addresses are not asked for.
    pub(crate) no_aaaa: bool,
}

impl Conf {
    /// Reads it, with the limits that glibc sets to numbers. A line that makes no sense is left out.
    pub(crate) fn parse(text: &str, hostname: &str, interfaces: Interfaces<'_>) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            // Without a search list, it is the domain of this host.
            search: hostname.split_once('.').map(|(_, domain)| domain.to_owned()).into_iter().collect(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_vc: false,
            no_aaaa: false,
        };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < MAX_SERVERS => {
                    let server = words.next().and_then(|word| literal(word, interfaces));
                    conf.servers.extend(server.map(|mut server| {
                        server.set_port(PORT);
                        server
                    }));
                }
                Some("search") => conf.search = words.map(domain).collect(),
                Some("domain") => conf.search = words.take(1).map(domain).collect(),
                Some("options") => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        if conf.servers.is_empty() {
            conf.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        conf
    }

    fn set(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let number = value.parse::<u32>();
        match (name, number) {
            ("ndots", Ok(number)) => self.ndots = number.min(15) as usize,
            ("timeout", Ok(number)) => self.timeout = Duration::from_secs(number.clamp(1, 30).into()),
            ("attempts", Ok(number)) => self.attempts = number.clamp(1, 5),
            ("rotate", _) => self.rotate = true,
            ("use-vc", _) => self.use_vc = true,
            ("no-aaaa", _) => self.no_aaaa = true,
            _ => {}
        }
    }

    /// The whole names that `name` may stand for, in the order in which they are tried.
    pub(crate) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let is_first = name.matches('.').count() >= self.ndots;
        let searched = self.search.iter().map(|domain| match domain.as_str() {
            "" => name.to_owned(),
            domain => format!("{name}.{domain}"),
        });
        let as_it_is = || std::iter::once(name.to_owned());
        let mut all: Vec<String> = Vec::new();
        for candidate in as_it_is().filter(|_| is_first).chain(searched).chain(as_it_is()) {
            if !all.contains(&candidate) {
                all.push(candidate);
            }
        }
        all
    }
}

/// Without the dot at its end: the root is empty.
fn domain(word: &str) -> String {
    word.strip_suffix('.').unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eth0(name: &str) -> Option<u32> {
        (name == "eth0").then_some(7)
    }

    fn shown(found: &[SocketAddr]) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn numbers_are_what_getaddrinfo_takes_for_them() {
        for (text, address) in [
            ("127.1", "127.0.0.1:0"),
            ("0x7f000001", "127.0.0.1:0"),
            ("2130706433", "127.0.0.1:0"),
            ("010.0.0.1", "8.0.0.1:0"),
            ("10.258", "10.0.1.2:0"),
            ("::1", "[::1]:0"),
            ("fe80::1%eth0", "[fe80::1%7]:0"),
            ("fe80::1%3", "[fe80::1%3]:0"),
        ] {
            assert_eq!(literal(text, &eth0).map(|found| found.to_string()).as_deref(), Some(address), "{text}");
        }
        for text in
            ["", "db", "1.2.3.4.5", "256.1", "1.16777216", "4294967296", "1..2", "+1", "0x", "09", "fe80::1%eth1", "1."]
        {
            assert_eq!(literal(text, &eth0), None, "{text}");
        }
    }

    #[test]
    fn hosts_files_are_read_whole() {
        let long = format!("10.0.0.9 {} last.example", "alias.example ".repeat(1000));
        let content = format!(
            "# 10.0.0.1 db\n127.0.0.1\tlocalhost\n10.0.0.2 DB db2 # db3\r\n\n  10.0.0.3 db\n::1 db\nfe80::1%eth0 db\n\
             10.0.0.2 db\nnonsense db\n10.0.0.4\n{long}\n10.0.0.8 end"
        );
        let find = |name: &str| shown(&in_hosts(content.as_bytes(), name, &eth0));
        assert_eq!(find("Db"), ["10.0.0.2:0", "10.0.0.3:0", "[::1]:0", "[fe80::1%7]:0"]);
        assert_eq!(find("last.example"), ["10.0.0.9:0"]);
        assert_eq!(find("END"), ["10.0.0.8:0"]);
        assert!(find("db3").is_empty() && find("d").is_empty() && find("").is_empty());
        assert_eq!(shown(&in_hosts(b"\xff\xfe x\n1.2.3.4 x\xff y", "y", &eth0)), ["1.2.3.4:0"]);
    }

    #[test]
    fn the_last_search_line_counts_and_limits_are_those_of_glibc() {
        let conf = Conf::parse(
            "; nameserver 9.9.9.9\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver nonsense\n\
             domain a\nsearch b. c.svc .\noptions ndots:99 timeout:0 attempts:9 rotate edns0 trust-ad use-vc x:y\n",
            "host",
            &eth0,
        );
        assert_eq!(shown(&conf.servers), ["10.0.0.1:53", "[fe80::1%7]:53"]);
        assert_eq!(conf.search, ["b", "c.svc", ""]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (15, Duration::from_secs(1), 5));
        assert!(conf.rotate && conf.use_vc && !conf.no_aaaa);
    }

    #[test]
    fn without_a_file_this_host_is_asked() {
        let conf = Conf::parse("", "pod.ns.example", &eth0);
        assert_eq!(shown(&conf.servers), ["127.0.0.1:53"]);
        assert_eq!(conf.search, ["ns.example"]);
    }

    #[test]
    fn names_are_tried_in_the_order_of_glibc() {
        let conf = |text: &str| Conf::parse(text, "", &eth0);
        let kubernetes = conf("search ns.svc svc .\noptions ndots:5\n");
        assert_eq!(kubernetes.candidates("db"), ["db.ns.svc", "db.svc", "db"]);
        assert_eq!(kubernetes.candidates("a.b.c.d.e.f"), ["a.b.c.d.e.f", "a.b.c.d.e.f.ns.svc", "a.b.c.d.e.f.svc"]);
        assert_eq!(kubernetes.candidates("db.example."), ["db.example"]);
        assert_eq!(conf("search x").candidates("db"), ["db.x", "db"]);
        assert_eq!(conf("search x").candidates("db.y"), ["db.y", "db.y.x"]);
        assert_eq!(conf("").candidates("db"), ["db"]);
        let many: Vec<String> = (0..32).map(|n| format!("{n}.{}", "d".repeat(60))).collect();
        let many = conf(&format!("search {}\n", many.join(" ")));
        assert_eq!(many.candidates("db").len(), 33);
    }
}
