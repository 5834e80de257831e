//! The termination message: what `kubectl describe pod` shows of a wait that failed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::config::TerminationLog;

/// What Kubernetes keeps of a termination message.
const MAX_BYTES: usize = 4096;

/// Leaves `message` where Kubernetes looks for it.
///
/// # Errors
///
/// Only for a file that the user named; nothing of the message is left there then.
pub fn write_termination_message<'a>(log: &'a TerminationLog, message: &str) -> Result<(), (&'a Path, io::Error)> {
    let message = whole_sentences(message);
    match log {
        // Absent or unwritable outside Kubernetes: no error.
        TerminationLog::IfPresent(path) => {
            drop(write(path, &message, false));
            Ok(())
        }
        TerminationLog::Named(path) => write(path, &message, true).map_err(|error| (path.as_path(), error)),
    }
}

fn write(path: &Path, message: &str, create: bool) -> io::Result<()> {
    let is_new = create && !path.exists();
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).create(create).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut file = options.open(path)?;
    let written = file.write_all(message.as_bytes());
    if written.is_err() {
        // Half a message would be taken for the whole; a pipe has nothing to be taken back.
        drop(file.set_len(0));
        if is_new {
            drop(std::fs::remove_file(path));
        }
    }
    written
}

/// At most [`MAX_BYTES`], cut where a sentence ends.
fn whole_sentences(text: &str) -> String {
    const MORE: &str = "More targets are not ready.\n";
    if text.len() <= MAX_BYTES {
        return text.to_owned();
    }
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        if out.len() + line.len() + MORE.len() > MAX_BYTES {
            break;
        }
        out.push_str(line);
    }
    out.push_str(MORE);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_where_a_sentence_ends() {
        let text = "A sentence.\n".repeat(1000);
        let cut = whole_sentences(&text);
        assert!(cut.len() <= MAX_BYTES);
        assert!(cut.ends_with("A sentence.\nMore targets are not ready.\n"));
        assert_eq!(whole_sentences("short\n"), "short\n");
    }
}
