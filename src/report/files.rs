//! Files that are left behind: the report and the termination message. Each is written whole or not at all, and a file
//! system that does not answer holds nobody up.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::sink::wait_until_writable;
use crate::gate::Verdict;
use crate::{clock, mounts, signals};

/// Who has waited in vain may take this long to say so.
const TO_SAY: Duration = Duration::from_millis(5);

/// How long a file may take: what is on a disk of this host is not waited for in vain; what comes over a network may
/// delay COMMAND, but neither the deadline nor the answer to a signal.
pub(super) fn patience(path: &Path, verdict: Verdict) -> Duration {
    match verdict {
        _ if !mounts::is_remote_path(path) => match fs::metadata(path) {
            Ok(there) if !there.is_file() => of_a_reader(verdict),
            _ => Duration::from_secs(5),
        },
        Verdict::Ready => Duration::from_secs(1),
        Verdict::TimedOut | Verdict::Failed(_) => Duration::from_millis(80),
        Verdict::Interrupted(_) => Duration::from_millis(30),
    }
}

/// How long a pipe's reader may take that does not read: of a report and a termination message, each may have to wait.
pub(super) fn of_a_reader(verdict: Verdict) -> Duration {
    match verdict {
        Verdict::Ready | Verdict::Failed(_) => Duration::from_secs(1),
        Verdict::TimedOut => Duration::from_millis(40),
        Verdict::Interrupted(_) => Duration::from_millis(10),
    }
}

/// Does `work` on a thread of its own, which is left alone after `patience`: open(2) and write(2) may never come back.
///
/// # Errors
///
/// Those of `work`, and `TimedOut`.
pub(super) fn aside(patience: Duration, work: Box<dyn FnOnce() -> io::Result<()> + Send>) -> io::Result<()> {
    signals::outlive_the_limit_of_file_sizes();
    // A lock and a bell: std's channels are 10 KB.
    let shared = Arc::new((Mutex::new(None), Condvar::new()));
    let done = Arc::clone(&shared);
    let tell = move || {
        let result = work();
        *done.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        done.1.notify_one();
    };
    let builder = thread::Builder::new().name("file".to_owned()).stack_size(64 << 10);
    signals::held_back(|| builder.spawn(tell))?;
    let (result, bell) = &*shared;
    let result = result.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = bell.wait_timeout_while(result, patience + TO_SAY, |result| result.is_none());
    let result = waited.unwrap_or_else(PoisonError::into_inner).0.take();
    result.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, "its file system does not answer")))
}

/// Writes `text` in place of what is in the file: a temporary file beside it and a rename, which keeps its mode and
/// owner; where that cannot be (a mount point, a directory that may not be written to, another owner), into the file
/// itself. Straight into what is not a regular file (a pipe, a terminal).
///
/// # Errors
///
/// As the file system has it; nothing of `text` is left behind then.
pub(super) fn replace(path: &Path, text: &str, until: Instant) -> io::Result<()> {
    // Through a symbolic link: the file that it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => write_special(path, text, until),
        Ok(there) => match rename_over(path, text, Some(&there)) {
            Err(error) if needs_its_place(&error) => write_in_place(path, text),
            result => result,
        },
        Err(_) => rename_over(path, text, None),
    }
}

/// Whether an error says that the file itself is to be written, and no other put in its place.
fn needs_its_place(error: &io::Error) -> bool {
    const ERRORS: [Errno; 5] = [Errno::EBUSY, Errno::EACCES, Errno::EPERM, Errno::EROFS, Errno::EXDEV];
    error.raw_os_error().is_some_and(|number| ERRORS.contains(&Errno::from_raw(number)))
}

fn rename_over(path: &Path, text: &str, there: Option<&Metadata>) -> io::Result<()> {
    // Of a file with two names, the other one would keep what it has.
    if there.is_some_and(|there| there.nlink() > 1) {
        return Err(Errno::EBUSY.into());
    }
    let temporary = beside(path);
    // As PID 1, a leftover of a container that was killed has the same name.
    drop(fs::remove_file(&temporary));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut file| {
            there.map_or(Ok(()), |there| take_after(&file, there))?;
            file.write_all(text.as_bytes())
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        drop(fs::remove_file(&temporary));
    }
    written
}

/// Gives a new file the owner and the mode of the one that it takes the place of.
fn take_after(file: &File, there: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (there.uid(), there.gid()) {
        std::os::unix::fs::fchown(file, Some(there.uid()), Some(there.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(there.mode() & 0o7777))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Into a file that is there; it is empty if that fails: half a text would be taken for the whole.
pub(super) fn write_in_place(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        drop(file.set_len(0));
    }
    written
}

/// Without waiting for a reader at the other end of a pipe to come, and for the one that is there until `until`.
pub(super) fn write_special(path: &Path, text: &str, until: Instant) -> io::Result<()> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut file = OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)?;
    let mut left = text.as_bytes();
    while !left.is_empty() {
        match file.write(left) {
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_until_writable(&file, until)
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it is full, and nobody reads it"))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// When something that began now has taken `patience`.
pub(super) fn from_now(patience: Duration) -> Instant {
    clock::now() + patience
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_file_system_that_does_not_answer_is_left_alone() {
        let (mut answer, _never) = io::pipe().unwrap();
        let error = aside(Duration::from_millis(1), Box::new(move || answer.read_exact(&mut [0])));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_file_keeps_its_mode_and_its_other_names() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("report"), directory.path().join("other"));
        let until = from_now(Duration::from_secs(5));
        replace(&file, "first", until).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&file, "second", until).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        fs::hard_link(&file, &other).unwrap();
        replace(&file, "third", until).unwrap();
        assert_eq!(
            (fs::read_to_string(&file).unwrap(), fs::read_to_string(&other).unwrap()),
            ("third".into(), "third".into())
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside them");
    }
}
