//! Files that are read before the wait: secrets, service files, certificates and keys. They are read under its
//! deadline.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::exit_status::{ExitStatus, Stop};
use crate::os::{aside::aside, mounts};
use crate::text::human;
use crate::wait::deadline::Deadline;

/// More than any bundle of certificates has; /dev/zero has no end.
const MOST_BYTES: u64 = 16 << 20;

/// Reads files in time. What may never answer (a pipe that nobody writes, a file system that is gone) is read on a
/// thread of its own.
#[derive(Debug)]
pub(crate) struct InputFiles {
    limit: Deadline,
    until: Option<Instant>,
    /// How the run ends where a file did not come in time.
    late: ExitStatus,
    is_late: Cell<bool>,
    /// Contents of pipes, which have them once.
    streams: RefCell<HashMap<PathBuf, Vec<u8>>>,
}

impl InputFiles {
    /// Files that are to be read within `limit` from `begun` on; `late` is how the run ends where one is not.
    pub(crate) fn new(begun: Instant, limit: Deadline, late: ExitStatus) -> Self {
        let until = limit.at().and_then(|limit| begun.checked_add(limit));
        Self { limit, until, late, is_late: Cell::new(false), streams: RefCell::default() }
    }

    /// The content of a file.
    ///
    /// # Errors
    ///
    /// Errors of the file system; [`io::ErrorKind::TimedOut`] where it did not come in time.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(content) = self.streams.borrow().get(path) {
            return Ok(content.clone());
        }
        if answers_at_once(path) {
            return read(path);
        }
        let file = path.to_owned();
        let content = self.in_time(move || read(&file))??;
        self.streams.borrow_mut().insert(path.to_owned(), content.clone());
        Ok(content)
    }

    /// Waits until the file system of `path` has said whether it is there.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] where it has not in time.
    pub(crate) fn look_at(&self, path: &Path) -> io::Result<()> {
        if !mounts::is_remote_path(path) {
            return Ok(());
        }
        let path = path.to_owned();
        self.in_time(move || drop(fs::metadata(path)))
    }

    /// Does `work` on a thread of its own, until the deadline.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] where it was not done in time; that no thread can be started.
    pub(crate) fn in_time<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let done = aside(self.until, work)?;
        self.is_late.set(done.is_none());
        done.ok_or_else(|| {
            let within = self.limit.at().map_or_else(String::new, human);
            let why = format!("nothing came within {within}: does nobody write it, or is its mount dead?");
            io::Error::new(io::ErrorKind::TimedOut, why)
        })
    }

    /// The end of a run that lacks a file, or has read something wrong in it.
    pub(crate) fn stop(&self, message: String) -> Stop {
        Stop { message, status: if self.is_late.get() { self.late } else { ExitStatus::Usage } }
    }
}

/// Whether neither open(2) nor read(2) can wait for anybody else.
fn answers_at_once(path: &Path) -> bool {
    !mounts::is_remote_path(path) && fs::metadata(path).map_or(true, |there| there.is_file() || there.is_dir())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 16 MiB"));
    }
    Ok(content)
}
