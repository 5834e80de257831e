//! In place of `linux.rs`: POSIX alone, and the answer that is safe not to know.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

/// A socket that never blocks, and is closed by exec.
pub(crate) fn socket(domain: Domain, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Nothing: a system's own keep-alive may take hours.
pub(crate) fn watch_host(_socket: &Socket, _lost: Duration) -> io::Result<()> {
    Ok(())
}

/// The highest number of a signal that may end the wait: SIGUSR2 of macOS and FreeBSD.
pub(crate) fn last_signal() -> i32 {
    31
}

/// Nothing: what can read the memory of this process is up to the system.
pub(crate) fn forbid_dumps() {}

/// Not known, so that no reason is given that is not proven.
pub(crate) fn is_noexec(_file: &Path) -> bool {
    false
}

/// None: this process is not PID 1 of a container here, which inherits what others leave behind.
pub(crate) fn ended_child() -> Option<Pid> {
    None
}

/// Not known. exec(2) will tell, after the wait.
pub(crate) fn has_interpreter(_head: &[u8]) -> bool {
    true
}

/// Not known: a connection to a port of this host is proven by a second one instead.
pub(crate) fn is_listening(_address: SocketAddr) -> bool {
    false
}
