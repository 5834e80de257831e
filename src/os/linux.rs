//! System calls that Linux alone has, or has in a shorter form.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{self, Pid};
use socket2::{Domain, Socket, TcpKeepalive, Type};

/// A socket that never blocks, and is closed by exec.
pub(crate) fn socket(domain: Domain, kind: Type) -> io::Result<Socket> {
    Socket::new(domain, kind.nonblocking().cloexec(), None)
}

/// Fails a TCP connection with `ETIMEDOUT` once its host has acknowledged nothing for so long (tcp(7)).
pub(crate) fn watch_host(socket: &Socket, lost: Duration) -> io::Result<()> {
    let each = lost / 4;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(each).with_interval(each).with_retries(3))?;
    socket.set_tcp_user_timeout(Some(lost))
}

/// The highest number of a signal.
pub(crate) fn last_signal() -> i32 {
    libc::SIGRTMAX()
}

/// Keeps this process's memory from core dumps, and from other processes of the same user (prctl(2)).
pub(crate) fn forbid_dumps() {
    // Where a filter of system calls forbids it, nothing else depends on it.
    let _ = nix::sys::prctl::set_dumpable(false);
}

/// Whether a file lies on a file system that runs none.
pub(crate) fn is_noexec(file: &Path) -> bool {
    statvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOEXEC))
}

/// A child that has ended, which is left to be waited for.
pub(crate) fn ended_child() -> Option<Pid> {
    let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, ended).ok().and_then(|status| status.pid())
}

/// Whether the kernel has something to run a file that begins with `head` with (`binfmt_misc`). It is asked to run a file
/// of these bytes and no more, which does nothing: without it answers `ENOEXEC`.
pub(crate) fn has_interpreter(head: &[u8]) -> bool {
    const NO_VARIABLES: [&CStr; 0] = [];
    let ask = || -> nix::Result<()> {
        let file = memfd_create(c"when-ready", MFdFlags::MFD_CLOEXEC)?;
        // Enough for an emulator to be chosen, and not for it to load anything.
        unistd::write(&file, &head[..head.len().min(64)])?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut streams = PosixSpawnFileActions::init()?;
        for stream in 0..=2 {
            streams.add_dup2(null.as_raw_fd(), stream)?;
        }
        let emulator = posix_spawn(path.as_str(), &streams, &PosixSpawnAttr::init()?, &[c"when-ready"], &NO_VARIABLES)?;
        // How it ends does not matter; where SIGCHLD is ignored, nothing is told of it.
        let _ = waitpid(emulator, None);
        Ok(())
    };
    // A memory file is closed when the emulator would open it (ENOENT): it was there even so.
    matches!(ask(), Ok(()) | Err(Errno::ENOENT))
}
