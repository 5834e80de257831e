//! SIGTERM, SIGINT, SIGHUP and SIGQUIT end the wait, also as PID 1, which has no default actions.
//!
//! Handlers rather than a blocked mask and sigwait: exec(2) resets a handler by itself, and in the
//! instant before exec a handler can still end the process, where an unblocked default action would
//! be discarded for PID 1.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use signal_hook::{flag, low_level::pipe};

/// The signals that end the wait.
const ENDING: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// The handlers, and what was there before them.
#[derive(Debug)]
pub struct Signals {
    /// While it is set, the handlers end the process themselves.
    leaving: Arc<AtomicBool>,
    /// The number of the last signal, 0 for none.
    arrived: Arc<AtomicUsize>,
    /// Becomes readable with a signal.
    pipe: UnixStream,
    /// The mask that COMMAND inherits.
    original: SigSet,
}

impl Signals {
    /// Installs the handlers, which end the process at once with 128+N until [`Self::wait`]; from then
    /// on each signal is heard by who polls [`Self::awaited`]. Call it before anything else.
    ///
    /// A signal that was ignored at the start (as nohup does) stays ignored.
    ///
    /// # Errors
    ///
    /// When the system refuses a handler or a socket pair.
    pub fn install() -> io::Result<Self> {
        let leaving = Arc::new(AtomicBool::new(true));
        let arrived = Arc::new(AtomicUsize::new(0));
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let ignored = ignored_mask();
        let heeded: SigSet = ENDING.into_iter().filter(|signal| !is_ignored(ignored, *signal)).collect();
        // Held back until everything is in place: a signal that met only the first of its handlers
        // would be lost.
        let mut original = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&heeded), Some(&mut original))?;
        let _ = ORIGINAL.set(original);
        for signal in &heeded {
            let number = signal as i32;
            // In this order: the process ends first if it is leaving already.
            flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&leaving))?;
            flag::register_usize(number, Arc::clone(&arrived), usize::try_from(number).unwrap_or(0))?;
            pipe::register(number, write.try_clone()?)?;
        }
        pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&heeded), None)?;
        Ok(Self { leaving, arrived, pipe: read, original })
    }

    /// From here on a signal is a message, until [`Self::leave`].
    pub fn wait(&self) {
        self.leaving.store(false, Ordering::SeqCst);
    }

    /// What becomes readable with a signal.
    pub fn awaited(&self) -> &UnixStream {
        &self.pipe
    }

    /// The signal that has come, once [`Self::awaited`] is readable.
    pub fn take(&self) -> Option<i32> {
        drop((&self.pipe).read(&mut [0; 64]));
        self.arrived()
    }

    fn arrived(&self) -> Option<i32> {
        i32::try_from(self.arrived.load(Ordering::SeqCst)).ok().filter(|number| *number != 0)
    }

    /// From here on a signal ends the process at once with 128+N, as it did before [`Self::wait`].
    /// Gives the one that has come already, if any.
    pub fn leave(&self) -> Option<i32> {
        self.leaving.store(true, Ordering::SeqCst);
        self.arrived()
    }

    /// Hands the original mask back, for COMMAND.
    pub fn restore(&self) {
        // It fails for no set of signals (pthread_sigmask(3)).
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.original), None);
    }
}

/// Runs `start` so that the threads which it starts never run a handler: exec ends them, and with
/// them a signal that one of them has just taken.
pub fn held_back<T>(start: impl FnOnce() -> T) -> T {
    let ending: SigSet = ENDING.into_iter().collect();
    let mut before = SigSet::empty();
    // Neither fails for any set of signals (pthread_sigmask(3)).
    let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&ending), Some(&mut before));
    let started = start();
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    started
}

/// The mask that this process was started with.
static ORIGINAL: OnceLock<SigSet> = OnceLock::new();

/// Runs `start` with the mask that this process was started with, for the commands that it starts: they
/// inherit the mask of this thread.
pub fn with_original_mask<T>(start: impl FnOnce() -> T) -> T {
    let mut before = SigSet::empty();
    // Neither fails for any set of signals (pthread_sigmask(3)).
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, ORIGINAL.get(), Some(&mut before));
    let started = start();
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    started
}

/// From here on, a write beyond `RLIMIT_FSIZE` fails and does not end the process. exec(2) undoes it.
pub fn outlive_the_limit_of_file_sizes() {
    if !is_ignored(ignored_mask(), Signal::SIGXFSZ) {
        do_nothing_at(Signal::SIGXFSZ);
    }
}

/// Makes a write to a pipe without a reader deadly for COMMAND, as it is by default: std has the signal ignored. Here
/// such a write fails as before.
pub fn leave_closed_pipes_to_exec() {
    do_nothing_at(Signal::SIGPIPE);
}

/// A handler that does nothing, rather than to ignore the signal: COMMAND would inherit that.
fn do_nothing_at(signal: Signal) {
    // Where the system refuses it, nothing else depends on it.
    let _ = flag::register(signal as i32, Arc::new(AtomicBool::new(false)));
}

fn is_ignored(mask: u64, signal: Signal) -> bool {
    mask & (1 << (signal as i32 - 1)) != 0
}

/// The `SigIgn` mask of this process; where /proc is missing, nothing counts as ignored.
fn ignored_mask() -> u64 {
    let mut status = [0; 8192];
    // One read brings all of it, which is little more than a KiB.
    let length = File::open("/proc/self/status").and_then(|mut file| file.read(&mut status)).unwrap_or(0);
    let mask = status[..length].split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"SigIgn:"));
    let hex = mask.and_then(|hex| std::str::from_utf8(hex).ok());
    hex.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}
