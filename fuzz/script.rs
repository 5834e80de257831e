//! A server that is nothing but bytes.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What comes after the answer.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Close,
    Reset,
    Silence,
    /// The answer once more, for ever.
    #[allow(dead_code, reason = "not every protocol reads on for ever")]
    Again,
}

/// Gives its answer piece by piece, and takes everything.
#[derive(Debug)]
pub struct Script {
    pub answer: Vec<u8>,
    pub at: usize,
    pub step: usize,
    pub end: End,
    pub read: Arc<AtomicUsize>,
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.answer.len() {
            match self.end {
                End::Close => return Ok(0),
                End::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
                End::Silence => return Err(io::ErrorKind::TimedOut.into()),
                End::Again => self.at = 0,
            }
        }
        let rest = &self.answer[self.at..];
        let n = self.step.min(rest.len()).min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        self.read.fetch_add(n, Ordering::Relaxed);
        Ok(n)
    }
}

impl Write for Script {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
