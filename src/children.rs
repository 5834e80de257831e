//! Commands that run as probes, each a process group of its own, none of which outlives the wait.
//!
//! There is one list for the whole process, as there is one set of children: the thread that waits for a command
//! and the main thread, which ends them all, both must find it. What leaves its group (setsid) cannot be caught.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::{clock, signals};

/// How long commands have between SIGTERM and SIGKILL when the wait ends: a signal ends it within 50 ms.
const GRACE: Duration = Duration::from_millis(20);
/// How long the kernel may take to end what was killed.
const KILLED: Duration = Duration::from_millis(50);
/// How often is looked whether they have ended, in ms.
const TICK: u8 = 1;

struct Running {
    child: Child,
    status: Option<ExitStatus>,
}

impl Running {
    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// Whether the command has ended, and all others of its group.
    fn is_over(&mut self) -> bool {
        self.status = self.status.or_else(|| self.child.try_wait().ok().flatten());
        if self.status.is_none() {
            return false;
        }
        // As PID 1 this process inherits what the command left behind.
        let orphans = Pid::from_raw(-self.group().as_raw());
        while matches!(waitpid(orphans, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
        killpg(self.group(), None) == Err(Errno::ESRCH)
    }

    fn signal(&self, signal: Signal) {
        // It may be gone by now.
        let _ = killpg(self.group(), signal);
    }
}

struct Children {
    running: Vec<Running>,
    /// How many are about to run: the file system that a command lies on may not answer.
    starting: usize,
    /// Whether none may be started any more.
    closed: bool,
}

static CHILDREN: Mutex<Children> = Mutex::new(Children { running: Vec::new(), starting: 0, closed: false });

fn lock() -> MutexGuard<'static, Children> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Children {
    fn find(&mut self, id: u32) -> Option<&mut Running> {
        self.running.iter_mut().find(|running| running.child.id() == id)
    }

    /// Forgets what has ended; as PID 1, reaps what was left behind by it.
    fn sweep(&mut self) {
        self.running.retain_mut(|running| !running.is_over());
        // Only where no child is waited for by its own number.
        if self.running.is_empty() && std::process::id() == 1 {
            while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
        }
    }
}

/// Starts a command in a process group of its own, with the signal mask that this process was started with.
/// Gives the number by which it is known here.
///
/// # Errors
///
/// Those of the system; [`io::ErrorKind::Interrupted`] once the wait has ended.
pub fn start(command: &mut Command) -> io::Result<u32> {
    let mut children = lock();
    if children.closed {
        return Err(io::ErrorKind::Interrupted.into());
    }
    children.starting += 1;
    // Nobody is held up by what may take for ever.
    drop(children);
    command.process_group(0);
    let spawned = signals::with_original_mask(|| command.spawn());
    let mut children = lock();
    children.starting -= 1;
    let running = Running { child: spawned?, status: None };
    let (id, is_late) = (running.child.id(), children.closed);
    if is_late {
        running.signal(Signal::SIGKILL);
    }
    children.running.push(running);
    if is_late { Err(io::ErrorKind::Interrupted.into()) } else { Ok(id) }
}

/// How the command ended, if it has. One that was ended from elsewhere counts as interrupted.
///
/// # Errors
///
/// [`io::ErrorKind::Interrupted`] once the wait has ended.
pub fn status(id: u32) -> io::Result<Option<ExitStatus>> {
    let mut children = lock();
    let running = children.find(id).ok_or(io::ErrorKind::Interrupted)?;
    if running.status.is_none() {
        running.status = running.child.try_wait()?;
    }
    Ok(running.status)
}

/// Ends the command and all others of its group: SIGTERM, and SIGKILL after `grace`. Gives how it ended by itself,
/// if it did.
pub fn end(id: u32, grace: Duration) -> Option<ExitStatus> {
    let ended = status(id).ok().flatten();
    let only = |running: &Running| running.child.id() == id;
    end_those(only, grace);
    ended
}

/// Ends all of them, and lets none begin until [`reopen`].
pub fn end_all() {
    lock().closed = true;
    let until = clock::now() + GRACE;
    while lock().starting > 0 && clock::now() < until {
        let _ = poll(&mut [], PollTimeout::from(TICK));
    }
    end_those(|_| true, until.saturating_duration_since(clock::now()));
}

/// Commands may begin again: for the next round of a watch.
pub fn reopen() {
    lock().closed = false;
}

fn end_those(which: impl Fn(&Running) -> bool, grace: Duration) {
    for (signal, patience) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, KILLED)] {
        let until = clock::now() + patience;
        let mut is_signalled = false;
        loop {
            let mut children = lock();
            children.sweep();
            let mut left = children.running.iter().filter(|running| which(running)).peekable();
            if left.peek().is_none() {
                return;
            }
            if !is_signalled {
                left.for_each(|running| running.signal(signal));
                is_signalled = true;
            }
            drop(children);
            if clock::now() >= until {
                break;
            }
            // Nothing is polled: it sleeps.
            let _ = poll(&mut [], PollTimeout::from(TICK));
        }
    }
    // What even SIGKILL does not end at once hangs in the kernel, and ends when it leaves it.
    lock().running.retain(|running| !which(running));
}
