//! Standard error that can be full, closed or stuck, and holds nobody up.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A pipe that poll calls writable takes this much without blocking (`PIPE_BUF`, pipe(7)).
const CHUNK: usize = 4096;
/// How long one chunk may wait for a reader: a log driver that is busy, not one that is dead. After
/// a line that was lost, none waits until one has gone through: hundreds of targets have hundreds of
/// lines, and the deadline does not wait for them.
const PATIENCE_MS: u16 = 5;

/// Lines to standard error; what nobody takes is dropped and counted.
#[derive(Debug)]
pub struct Sink {
    dropped: usize,
}

impl Sink {
    /// Standard error.
    pub fn stderr() -> Self {
        Self { dropped: 0 }
    }

    /// Writes a line.
    pub fn line(&mut self, text: &str) {
        if self.dropped > 0 {
            let note = format!("when-ready: {} lines were lost: nobody read them\n", self.dropped);
            if self.write(note.as_bytes()).is_err() {
                self.dropped += 1;
                return;
            }
            self.dropped = 0;
        }
        if self.write(format!("{text}\n").as_bytes()).is_err() {
            self.dropped += 1;
        }
    }

    /// Writes bytes as they are; they may be lost.
    pub fn raw(&mut self, bytes: &[u8]) {
        drop(self.write(bytes));
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        let patience = if self.dropped == 0 { PATIENCE_MS } else { 0 };
        for chunk in bytes.chunks(CHUNK) {
            let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
            let is_writable = matches!(poll(&mut fds, PollTimeout::from(patience)), Ok(n) if n > 0)
                && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLOUT));
            if !is_writable {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            stderr.write_all(chunk)?;
        }
        Ok(())
    }
}
