//! Who listens on this host: the kernel is asked for the socket that a connection would go to (`sock_diag(7)`).

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

use crate::mutex::lock;

/// `NETLINK_SOCK_DIAG`
const SOCK_DIAG: i32 = 4;
/// `SOCK_DIAG_BY_FAMILY`, the type of the request and of the answer.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;
/// `TCP_LISTEN`
const LISTEN: u8 = 10;
/// The bytes of a header (`struct nlmsghdr`) and of what is asked (`struct inet_diag_req_v2`).
const LENGTH: u32 = 16 + 56;

/// Whether somebody listens at `address` of this host, or at its port of all addresses. Who does not may be there all
/// the same: a port that is redirected has no listener, and a kernel without `sock_diag` says nothing.
pub(crate) fn is_listening(address: SocketAddr) -> bool {
    static KERNEL: Mutex<Option<Socket>> = Mutex::new(None);
    let mut kernel = lock(&KERNEL);
    let (domain, kind) = (Domain::from(libc::AF_NETLINK), Type::RAW.nonblocking().cloexec());
    let open = || Socket::new(domain, kind, Some(Protocol::from(SOCK_DIAG))).ok();
    let Some(mut socket) = kernel.take().or_else(open) else { return false };
    let mut answer = [0; 128];
    // The kernel answers while it is asked.
    if socket.write(&question(address)).is_err() || socket.read(&mut answer).is_err() {
        return false;
    }
    *kernel = Some(socket);
    answer[4..6] == BY_FAMILY.to_ne_bytes() && answer[17] == LISTEN
}

fn question(address: SocketAddr) -> Vec<u8> {
    let (family, octets) = match address.ip() {
        IpAddr::V4(ip) => (libc::AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
    };
    let mut out = Vec::with_capacity(LENGTH as usize);
    out.extend(LENGTH.to_ne_bytes());
    out.extend([BY_FAMILY.to_ne_bytes(), REQUEST.to_ne_bytes()].as_flattened());
    // The number of the question, and the port of whoever asks: the kernel knows it.
    out.extend([0; 8]);
    // TCP, nothing beyond, in all states.
    out.extend([u8::try_from(family).unwrap_or(0), 6, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    // From there, from any port of any address.
    out.extend([address.port(), 0].map(u16::to_be_bytes).as_flattened());
    out.extend(octets);
    out.resize(LENGTH as usize - 8, 0);
    // Whichever socket it is.
    out.resize(LENGTH as usize, 0xff);
    out
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_kernel_knows_who_listens() {
        let local = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = local.local_addr().unwrap();
        assert!(is_listening(here));
        assert!(!is_listening(SocketAddr::new("127.0.0.2".parse().unwrap(), here.port())));
        let everywhere = TcpListener::bind("[::]:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();
        for ip in ["::1", "127.0.0.1"] {
            assert!(is_listening(SocketAddr::new(ip.parse().unwrap(), port)), "{ip}");
        }
        drop((local, everywhere));
        assert!(!is_listening(here), "it is asked anew");
    }
}
