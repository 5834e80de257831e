//! Work that may never end, on a thread of its own.

use std::io;
use std::sync::mpsc;
use std::time::Instant;

use crate::clock;
use crate::os::dispositions;

/// Enough to read a file, or to look a command up.
const STACK: usize = 128 << 10;

/// Does `work` on a thread of its own, which is left alone at `until`: open(2), read(2) and write(2) may never come
/// back. Gives what came of it by then, if anything. Without `until` it is waited for for ever.
///
/// # Errors
///
/// That no thread can be started.
pub(crate) fn aside<T: Send + 'static>(
    until: Option<Instant>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let (done, finished) = mpsc::channel();
    // Nobody listens any more when it comes too late.
    let tell = move || drop(done.send(work()));
    dispositions::start_thread("file", STACK, tell)?;
    Ok(match until {
        Some(until) => finished.recv_timeout(until.saturating_duration_since(clock::now())).ok(),
        None => finished.recv().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::Duration;

    #[test]
    fn what_does_not_come_back_is_left_alone() {
        let (mut answer, _never) = io::pipe().unwrap();
        let until = clock::now() + Duration::from_millis(1);
        let nothing = aside(Some(until), move || answer.read_exact(&mut [0]).is_ok());
        assert_eq!(nothing.unwrap(), None);
        assert_eq!(aside(None, || 7).unwrap(), Some(7));
    }
}
