//! A peer that is nothing but bytes, for the tests of sessions.

use std::io::{self, Read, Write};
use std::time::Duration;

use crate::net::{Attempt, TimedStream};
use crate::targets::Surroundings;
use crate::targets::shared::http_options::HttpDefaults;
use crate::targets::shared::lookup::Lookup;
use crate::targets::shared::target::Target;

/// What comes after the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Close,
    Silence,
}

/// Gives its answer piece by piece, and keeps what was written to it.
#[derive(Debug)]
pub(crate) struct Scripted {
    answer: Vec<u8>,
    at: usize,
    step: usize,
    end: End,
    pub(crate) written: Vec<u8>,
}

impl Scripted {
    /// A peer that gives `step` bytes of `answer` at a time.
    pub(crate) fn new(answer: &[u8], step: usize, end: End) -> Self {
        Self { answer: answer.to_vec(), at: 0, step, end, written: Vec::new() }
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.answer[self.at..];
        if rest.is_empty() {
            return match self.end {
                End::Close => Ok(0),
                End::Silence => Err(io::ErrorKind::TimedOut.into()),
            };
        }
        let n = self.step.min(rest.len()).min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

impl Write for Scripted {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TimedStream for Scripted {}

/// Time enough.
pub(crate) fn attempt() -> Attempt {
    Attempt::new(Duration::from_secs(60))
}

/// A target of a bare environment.
pub(crate) fn target(url: &str) -> Target {
    let (env, file) = (|_: &str| None, |_: &str| Err(io::ErrorKind::NotFound.into()));
    let context = Surroundings { lookup: Lookup { env: &env, file: &file }, http: &HttpDefaults::default() };
    Target::parse(url, &context).expect("a target")
}
