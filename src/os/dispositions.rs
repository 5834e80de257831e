//! The mask and the actions of signals that this process was started with, and what its threads and commands get.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once, OnceLock};
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use signal_hook::flag;

/// Runs `start` with another mask: what it starts inherits the mask of this thread.
fn masked<T>(how: SigmaskHow, mask: Option<&SigSet>, start: impl FnOnce() -> T) -> T {
    let mut before = SigSet::empty();
    // Neither fails for any set of signals (pthread_sigmask(3)).
    let _ = pthread_sigmask(how, mask, Some(&mut before));
    let started = start();
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    started
}

/// Starts a thread that never runs a handler: exec ends it, and with it a signal that it has just taken.
///
/// # Errors
///
/// That there is no thread to be had.
pub(crate) fn start_thread(name: &str, stack: usize, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(stack);
    masked(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), || thread.spawn(work)).map(drop)
}

/// The mask that this process was started with.
static ORIGINAL: OnceLock<SigSet> = OnceLock::new();

/// Takes note of the mask that this process was started with.
pub(crate) fn remember_mask(original: SigSet) {
    // A second call has nothing to add.
    let _ = ORIGINAL.set(original);
}

/// Runs `start` with the mask that this process was started with, for the commands that it starts.
pub(crate) fn with_original_mask<T>(start: impl FnOnce() -> T) -> T {
    masked(SigmaskHow::SIG_SETMASK, ORIGINAL.get(), start)
}

/// Hands back the mask that this process was started with, for COMMAND.
pub(crate) fn restore_mask() {
    // pthread_sigmask(3) fails for no set of signals.
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, ORIGINAL.get(), None);
}

/// From here on, a write beyond `RLIMIT_FSIZE` fails and does not end the process. exec(2) undoes it.
pub(crate) fn outlive_the_limit_of_file_sizes() {
    if !is_ignored(Signal::SIGXFSZ as i32) {
        do_nothing_at(Signal::SIGXFSZ);
    }
}

/// Has the kernel keep how children end, which it forgets at once where SIGCHLD is ignored (wait(2)).
pub(crate) fn keep_statuses_of_children() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if is_ignored(Signal::SIGCHLD as i32) {
            do_nothing_at(Signal::SIGCHLD);
        }
    });
}

/// Gives COMMAND the action of SIGPIPE that this process was started with: std ignores the signal. Here a write to a
/// pipe without a reader fails as before.
pub(crate) fn restore_closed_pipes() {
    if !is_ignored(Signal::SIGPIPE as i32) {
        do_nothing_at(Signal::SIGPIPE);
    }
}

/// A handler that does nothing, rather than to ignore the signal: COMMAND would inherit that.
fn do_nothing_at(signal: Signal) {
    // Where the system refuses it, nothing else depends on it.
    let _ = flag::register(signal as i32, Arc::new(AtomicBool::new(false)));
}

/// The signals that were ignored when the process started, a bit each (`SigIgn`, proc(5)).
static IGNORED: OnceLock<u64> = OnceLock::new();

/// Takes note of the signals that are ignored, for COMMAND to start with the same. Call it before std's own start,
/// which ignores SIGPIPE.
pub(crate) fn remember_ignored() {
    // A second call finds the same, but for SIGPIPE.
    let _ = IGNORED.set(ignored_mask());
}

/// Whether the signal was ignored when the process started.
pub(crate) fn is_ignored(number: i32) -> bool {
    IGNORED.get_or_init(ignored_mask) & (1 << (number - 1)) != 0
}

/// The `SigIgn` mask of this process; where /proc is missing, nothing counts as ignored.
fn ignored_mask() -> u64 {
    let mut status = [0; 8192];
    // A single read brings all of it, which is little more than a KiB.
    let length = File::open("/proc/self/status").and_then(|mut file| file.read(&mut status)).unwrap_or(0);
    let mask = status[..length].split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"SigIgn:"));
    let hex = mask.and_then(|hex| std::str::from_utf8(hex).ok());
    hex.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}
