//! A peer that is nothing but bytes, for the tests of sessions.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::time::Duration;

use crate::net::{Attempt, TimedStream};
use crate::targets::shared::http_options::HttpDefaults;
use crate::targets::shared::kind::Probe;
use crate::targets::shared::lookup::Lookup;
use crate::targets::shared::talk::Talk;
use crate::targets::shared::target::Target;
use crate::targets::{Surroundings, TargetError};

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

/// The talk of `converse` with a peer that gives its answer byte by byte and closes: what it comes to, and what the
/// peer was sent.
pub(crate) fn talked<T>(
    answer: &[u8],
    protocol: &'static str,
    converse: impl FnOnce(&mut Talk<'_, Scripted>) -> T,
) -> (T, Vec<u8>) {
    let attempt = attempt();
    let mut talk = Talk::new(Scripted::new(answer, 1, End::Close), protocol, &attempt);
    let end = converse(&mut talk);
    (end, talk.into_stream().written)
}

/// Parses a word where there are these variables and no files.
pub(crate) fn parse_in(env: &dyn Fn(&str) -> Option<OsString>, word: &str) -> Result<Target, TargetError> {
    Target::parse(word, &Surroundings { lookup: Lookup::without_files(env), http: &HttpDefaults::default() })
}

/// A target of a bare environment.
pub(crate) fn target(url: &str) -> Target {
    parse_in(&|_| None, url).expect("a target")
}

/// The same as one of its kind.
pub(crate) fn of_kind<P: Probe + Clone>(url: &str) -> P {
    target(url).as_kind::<P>().cloned().unwrap_or_else(|| panic!("{url}"))
}
