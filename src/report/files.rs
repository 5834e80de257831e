//! Files that are left behind: the report and the termination message. Each is written whole or not at all, and a file
//! system that does not answer holds nobody up.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::sink::{Sink, wait_until_writable};
use crate::os::{aside::aside, mounts};
use crate::wait::gate::Verdict;
use crate::{clock, os::dispositions};

/// The time to say that a file was waited for in vain.
const TO_SAY: Duration = Duration::from_millis(5);

/// How long a file may take: what is on a disk of this host is not waited for in vain; what comes over a network may
/// delay COMMAND, but neither the deadline nor the answer to a signal.
fn patience(path: &Path, verdict: Verdict) -> Duration {
    match verdict {
        _ if !mounts::is_remote_path(path) => match fs::metadata(path) {
            Ok(there) if !there.is_file() => of_a_reader(verdict),
            _ => Duration::from_secs(5),
        },
        Verdict::Ready => Duration::from_secs(1),
        Verdict::TimedOut | Verdict::Failed => Duration::from_millis(80),
        Verdict::Interrupted(_) => Duration::from_millis(30),
    }
}

/// How long a pipe's reader may take that does not read: of a report and a termination message, each may have to wait.
pub(super) fn of_a_reader(verdict: Verdict) -> Duration {
    match verdict {
        Verdict::Ready | Verdict::Failed => Duration::from_secs(1),
        Verdict::TimedOut => Duration::from_millis(40),
        Verdict::Interrupted(_) => Duration::from_millis(10),
    }
}

/// Leaves `text` where `path` leads, as [`leave`] does, on a thread of its own, which is left alone when its time is up.
///
/// # Errors
///
/// The errors of [`leave`], and `TimedOut`.
pub(super) fn leave_in_time(path: &Path, text: String, manner: Manner, verdict: Verdict) -> io::Result<()> {
    dispositions::outlive_the_limit_of_file_sizes();
    let (patience, path) = (patience(path, verdict), path.to_owned());
    let work = move || leave(&path, &text, manner, clock::now() + patience);
    let late = || io::Error::new(io::ErrorKind::TimedOut, "its file system does not answer");
    aside(Some(clock::now() + patience + TO_SAY), work)?.unwrap_or_else(|| Err(late()))
}

/// How the content of a regular file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// By a temporary file beside it and a rename, which keeps its mode and owner; where that cannot be (a mount
    /// point, a directory that may not be written to, another owner), in place.
    Rename,
    /// In place.
    InPlace,
}

/// Leaves `text` where `path` leads: in place of what is in a regular file, at the end of what is open as a
/// descriptor, straight into anything else (a pipe, a terminal).
///
/// # Errors
///
/// As the file system has it; nothing of `text` is left in a file of its own then.
fn leave(path: &Path, text: &str, manner: Manner, until: Instant) -> io::Result<()> {
    let path = match Destination::of(path)? {
        Destination::Stream(mut stream) => return stream.write(text, until).map_err(unread),
        Destination::Descriptor(path) => return append(&path, text, until),
        Destination::File(path) => path,
    };
    match fs::metadata(&path) {
        Ok(there) if !there.is_file() => append(&path, text, until),
        Ok(_) if manner == Manner::InPlace => write_in_place(&path, text),
        Ok(there) => match rename_over(&path, text, Some(&there)) {
            Err(error) if needs_its_place(&error) => write_in_place(&path, text),
            result => result,
        },
        Err(_) => rename_over(&path, text, None),
    }
}

/// The kind of file at a path.
enum Destination {
    /// A standard stream of this process.
    Stream(Sink),
    /// Another descriptor, of this or another process (`/proc/PID/fd/N`): what is behind it belongs to who writes to
    /// it, and is neither replaced nor cut.
    Descriptor(PathBuf),
    /// A name in a directory, where there may be something or not.
    File(PathBuf),
}

impl Destination {
    /// Follows symbolic links, also to where nothing is yet, as the shell's `>` does.
    fn of(path: &Path) -> io::Result<Self> {
        // As the kernel (path_resolution(7)).
        const MOST_LINKS: usize = 40;
        let own = PathBuf::from(format!("/proc/{}", std::process::id()));
        let mut path = std::path::absolute(path)?;
        for _ in 0..=MOST_LINKS {
            let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { break };
            let directory = fs::canonicalize(directory)?;
            let file = directory.join(name);
            if directory.starts_with("/proc") && directory.ends_with("fd") {
                let number = name.to_str().and_then(|name| name.parse().ok()).filter(|_| directory.starts_with(own));
                return Ok(number.and_then(Sink::of_descriptor).map_or(Self::Descriptor(file), Self::Stream));
            }
            match fs::read_link(&file) {
                // An absolute one takes the place of the directory.
                Ok(to) => path = directory.join(to),
                Err(_) => return Ok(Self::File(file)),
            }
        }
        Err(Errno::ELOOP.into())
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
fn write_in_place(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        drop(file.set_len(0));
    }
    written
}

/// Writes at the end, without waiting for a reader at the other end of a pipe to come, and for the one that is there
/// until `until`.
fn append(path: &Path, text: &str, until: Instant) -> io::Result<()> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut file = OpenOptions::new().append(true).custom_flags(flags.bits()).open(path)?;
    let mut left = text.as_bytes();
    while !left.is_empty() {
        match file.write(left) {
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_until_writable(&file, until).map_err(unread)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The error of a stream whose reader did not read in time, in words.
pub(super) fn unread(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it is full, and nobody reads it"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_its_other_names() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("report"), directory.path().join("other"));
        let until = clock::now() + Duration::from_secs(5);
        leave(&file, "first", Manner::Rename, until).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        leave(&file, "second", Manner::Rename, until).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        fs::hard_link(&file, &other).unwrap();
        leave(&file, "third", Manner::Rename, until).unwrap();
        assert_eq!(
            (fs::read_to_string(&file).unwrap(), fs::read_to_string(&other).unwrap()),
            ("third".into(), "third".into())
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside them");
    }
}
