//! The termination message: what `kubectl describe pod` shows of a wait that failed.

use std::io;
use std::path::Path;

use super::files::{self, Manner};
use crate::config::TerminationLog;
use crate::wait::gate::Verdict;

/// The bytes that Kubernetes keeps of a termination message.
const MAX_BYTES: usize = 4096;

/// Leaves `message` where Kubernetes looks for it.
///
/// # Errors
///
/// Only for a file that the user named; nothing of the message is left there then.
pub(crate) fn leave_termination_message<'a>(
    log: &'a TerminationLog,
    message: &str,
    verdict: Verdict,
) -> Result<(), (&'a Path, io::Error)> {
    // The kubelet has mounted it, and watches this file and no other in its place.
    let write = |path: &Path| files::leave_in_time(path, whole_sentences(message), Manner::InPlace, verdict);
    match log {
        // Absent or unwritable outside Kubernetes: no error.
        TerminationLog::IfPresent(path) => {
            if path.exists() {
                drop(write(path));
            }
            Ok(())
        }
        TerminationLog::Named(path) => write(path).map_err(|error| (path.as_path(), error)),
    }
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
