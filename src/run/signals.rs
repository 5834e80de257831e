//! Signals end the wait, also as PID 1, which has no default actions.
//!
//! Handlers rather than a blocked mask and sigwait: exec(2) resets a handler by itself, and in the
//! instant before exec a handler can still end the process, where an unblocked default action would
//! be discarded for PID 1.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::{flag, low_level};

use crate::os::{self, dispositions};

/// The signals that end the wait elsewhere than as PID 1, where all others have their default actions.
const ENDING: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// The signals that never end the wait of PID 1: they tell of an error in this program, or their default is
/// another than to terminate. Any other may be an image's STOPSIGNAL.
const NOT_ENDING: [Signal; 16] = [
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGPIPE,
    Signal::SIGCHLD,
    Signal::SIGCONT,
    Signal::SIGURG,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    // These two have no handlers.
    Signal::SIGKILL,
    Signal::SIGSTOP,
];

/// The first signal that no C library has for itself alone (nptl(7)).
const FIRST_REAL_TIME: i32 = 34;

/// The facts about this process that differ from one to the next.
#[derive(Debug, Clone, Copy)]
struct OwnProcess {
    /// Whether it is PID 1.
    is_first: bool,
    /// Whether a standard stream is a terminal, whose resizing SIGWINCH tells.
    has_terminal: bool,
    /// Whether a write to a file may raise SIGXFSZ.
    has_file_limit: bool,
}

impl OwnProcess {
    fn look() -> Self {
        Self {
            is_first: std::process::id() == 1,
            has_terminal: io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal(),
            has_file_limit: getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(soft, _)| soft != RLIM_INFINITY),
        }
    }

    /// Whether a signal ends the wait, unless it was ignored at the start.
    fn end_at(self, number: i32) -> bool {
        match Signal::try_from(number) {
            Ok(signal) if !self.is_first => ENDING.contains(&signal),
            Ok(Signal::SIGWINCH) => !self.has_terminal,
            Ok(Signal::SIGXFSZ) => !self.has_file_limit,
            Ok(signal) => !NOT_ENDING.contains(&signal),
            Err(_) => self.is_first && number >= FIRST_REAL_TIME,
        }
    }

    /// The signals that end the wait, as far as there are names for them; as PID 1 with all real-time ones.
    fn mask(self, numbers: &[i32]) -> SigSet {
        let mut mask = if self.is_first { SigSet::all() } else { SigSet::empty() };
        for signal in Signal::iterator() {
            if numbers.contains(&(signal as i32)) {
                mask.add(signal);
            } else {
                mask.remove(signal);
            }
        }
        mask
    }
}

/// The handlers, and what was there before them.
#[derive(Debug)]
pub(crate) struct Signals {
    /// While it is set, the handlers end the process themselves.
    leaving: Arc<AtomicBool>,
    /// The signals that have come, and the pipe that tells of them.
    delivery: RefCell<SignalDelivery<UnixStream, SignalOnly>>,
    /// Becomes readable with a signal.
    pipe: UnixStream,
    /// Ignores a signal.
    ignore: fn(Signal),
    is_first: bool,
}

impl Signals {
    /// Installs the handlers, which end the process at once until [`Self::wait`]; from then on each signal is
    /// heard by who polls [`Self::awaited`]. Call it before anything else.
    ///
    /// A signal that was ignored at the start (as nohup does) stays ignored. `ignore` ignores one: no library does it
    /// without unsafe code.
    ///
    /// # Errors
    ///
    /// When the system refuses a handler or a socket pair.
    pub(crate) fn install(ignore: fn(Signal)) -> io::Result<Self> {
        let leaving = Arc::new(AtomicBool::new(true));
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let delivery = SignalDelivery::with_pipe(pipe.try_clone()?, write, SignalOnly, [0_i32; 0])?;
        let surroundings = OwnProcess::look();
        let is_heeded = |number: &i32| surroundings.end_at(*number) && !dispositions::is_ignored(*number);
        let numbers: Vec<i32> = (1..=os::last_signal()).filter(is_heeded).collect();
        let mask = surroundings.mask(&numbers);
        // Held back until everything is in place: a signal that met only the first of its handlers
        // would be lost.
        let mut original = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&mask), Some(&mut original))?;
        dispositions::remember_mask(original);
        for number in numbers {
            // In this order: the process ends first if it is leaving already.
            let ends = if surroundings.is_first {
                flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&leaving))
            } else {
                flag::register_conditional_default(number, Arc::clone(&leaving))
            };
            match ends.and_then(|_| delivery.handle().add_signal(number)) {
                // musl keeps SIGRTMIN for itself too (SIGSYNCCALL), and gives nobody a handler for it.
                Err(_) if number == FIRST_REAL_TIME => {}
                result => result?,
            }
        }
        pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&mask), None)?;
        Ok(Self { leaving, delivery: RefCell::new(delivery), pipe, ignore, is_first: surroundings.is_first })
    }

    /// From here on a signal is a message, until [`Self::leave`].
    pub(crate) fn wait(&self) {
        self.leaving.store(false, Ordering::SeqCst);
    }

    /// The descriptor that becomes readable with a signal.
    pub(crate) fn awaited(&self) -> &UnixStream {
        &self.pipe
    }

    /// A signal that has come, once [`Self::awaited`] is readable.
    pub(crate) fn take(&self) -> Option<i32> {
        self.delivery.borrow_mut().pending().next()
    }

    /// From here on a signal ends the process at once, as it did before [`Self::wait`]. Gives one that has come
    /// already and was not taken, if any.
    pub(crate) fn leave(&self) -> Option<i32> {
        self.leaving.store(true, Ordering::SeqCst);
        self.take()
    }

    /// Ends the process as the signal would have ended it without us, so that shells and service managers see what
    /// it died of. As PID 1, for which nothing is deadly, it comes back: the exit status has to tell.
    pub(crate) fn die_of(&self, number: i32) {
        if !self.is_first {
            // signal-hook knows all that have handlers here.
            let _ = low_level::emulate_default_handler(number);
        }
    }

    /// Hands the original mask back, for COMMAND, and ignores SIGCHLD again, if it was ignored.
    pub(crate) fn restore(&self) {
        if dispositions::is_ignored(Signal::SIGCHLD as i32) {
            (self.ignore)(Signal::SIGCHLD);
        }
        dispositions::restore_mask();
    }
}
