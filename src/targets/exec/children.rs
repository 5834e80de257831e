//! Commands that run as probes, each a process group of its own, none of which outlives the wait.
//!
//! There is one list for the whole process, as there is one set of children: the thread that waits for a command
//! and the main thread, which ends them all, both must find it. What leaves its group (setsid) cannot be caught.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::clock;
use crate::mutex::lock;
use crate::os::{self, dispositions};

/// How long commands have between SIGTERM and SIGKILL when the wait ends: a signal ends it within 50 ms.
const GRACE: Duration = Duration::from_millis(20);
/// How long the kernel may take to end what was killed. Where nobody reaps what a command leaves behind, its group never
/// seems to end.
const KILLED: Duration = Duration::from_millis(20);
const _: () = assert!(GRACE.as_millis() + KILLED.as_millis() < 50);
/// How often is looked whether they have ended, in ms.
const TICK: u8 = 1;

struct Running {
    child: Child,
    status: Option<ExitStatus>,
    /// Whether a thread waits for it, and will [`end`] it. Nobody does for one that started after the wait had ended.
    is_awaited: bool,
    /// Whether nothing is left of its group: the number may be another's by now.
    is_gone: bool,
}

impl Running {
    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// Asks for the status of this child alone, and keeps it for the thread that waits for it.
    fn ask(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Whether the command has ended, and all others of its group. One whose status cannot be had counts as ended.
    fn is_over(&mut self) -> bool {
        if self.is_gone || matches!(self.ask(), Ok(None)) {
            return self.is_gone;
        }
        // As PID 1 this process inherits what the command left behind.
        let orphans = Pid::from_raw(-self.group().as_raw());
        while matches!(waitpid(orphans, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
        self.is_gone = killpg(self.group(), None) == Err(Errno::ESRCH);
        self.is_gone
    }

    fn signal(&self, signal: Signal) {
        // The group may be gone by now.
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

impl Children {
    fn find(&mut self, id: u32) -> Option<&mut Running> {
        self.running.iter_mut().find(|running| running.child.id() == id)
    }

    /// As PID 1, reaps what was left to it. Each child is waited for by its own number alone: the status of one of
    /// ours is kept, and while one is being started nobody else's is taken, for it may be that one's.
    fn reap_orphans(&mut self) {
        if std::process::id() != 1 {
            return;
        }
        while let Some(pid) = os::ended_child() {
            let is_reaped = match self.running.iter_mut().find(|running| running.group() == pid) {
                Some(running) => running.ask().is_ok_and(|status| status.is_some()),
                None => self.starting == 0 && waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_ok(),
            };
            if !is_reaped {
                return;
            }
        }
    }
}

/// Starts a command in a process group of its own, with the signal mask that this process was started with.
/// Gives the number by which it is known here, until [`end`].
///
/// # Errors
///
/// Errors of the system; [`io::ErrorKind::Interrupted`] once the wait has ended.
pub(crate) fn start(command: &mut Command) -> io::Result<u32> {
    let mut children = lock(&CHILDREN);
    if children.closed {
        return Err(io::ErrorKind::Interrupted.into());
    }
    children.starting += 1;
    // Nobody is held up by what may take for ever.
    drop(children);
    dispositions::keep_statuses_of_children();
    command.process_group(0);
    let spawned = dispositions::with_original_mask(|| command.spawn());
    let mut children = lock(&CHILDREN);
    children.starting -= 1;
    let is_late = children.closed;
    let running = Running { child: spawned?, status: None, is_awaited: !is_late, is_gone: false };
    let id = running.child.id();
    if is_late {
        running.signal(Signal::SIGKILL);
    }
    children.running.push(running);
    if is_late { Err(io::ErrorKind::Interrupted.into()) } else { Ok(id) }
}

/// How the command ended, if it has.
///
/// # Errors
///
/// Errors of the system: the status is not known then, and never will be.
pub(crate) fn status(id: u32) -> io::Result<Option<ExitStatus>> {
    lock(&CHILDREN).find(id).ok_or(io::ErrorKind::NotFound)?.ask()
}

/// Ends the command and all others of its group: SIGTERM, and SIGKILL after `grace`. It is not known any more then.
pub(crate) fn end(id: u32, grace: Duration) {
    end_those(|running| running.child.id() == id, grace);
    lock(&CHILDREN).running.retain(|running| running.child.id() != id);
}

/// Ends all of them, and lets none begin until [`reopen`].
pub(crate) fn end_all() {
    lock(&CHILDREN).closed = true;
    let until = clock::now() + GRACE;
    while lock(&CHILDREN).starting > 0 && clock::now() < until {
        let _ = poll(&mut [], PollTimeout::from(TICK));
    }
    end_those(|_| true, until.saturating_duration_since(clock::now()));
    // Children that a thread waits for are ended by that thread.
    lock(&CHILDREN).running.retain(|running| running.is_awaited);
}

/// Commands may begin again: for the next round of a watch.
pub(crate) fn reopen() {
    lock(&CHILDREN).closed = false;
}

fn end_those(which: impl Fn(&Running) -> bool, grace: Duration) {
    for (signal, patience) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, KILLED)] {
        let until = clock::now() + patience;
        let mut is_signalled = false;
        loop {
            let mut children = lock(&CHILDREN);
            children.reap_orphans();
            let mut is_over = true;
            for running in children.running.iter_mut().filter(|running| which(running)) {
                if running.is_over() {
                    continue;
                }
                is_over = false;
                if !is_signalled {
                    running.signal(signal);
                }
            }
            if is_over {
                return;
            }
            is_signalled = true;
            drop(children);
            // A command that even SIGKILL does not end at once hangs in the kernel, and ends when it leaves it.
            if clock::now() >= until {
                break;
            }
            // Nothing is polled: it sleeps.
            let _ = poll(&mut [], PollTimeout::from(TICK));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::process::Stdio;
    use std::sync::MutexGuard;

    use super::*;

    /// There is one list for the whole process: a test that ends all commands would end those of the others.
    static ALONE: Mutex<()> = Mutex::new(());

    fn alone() -> MutexGuard<'static, ()> {
        let alone = lock(&ALONE);
        reopen();
        alone
    }

    /// A script of the shell's, and what it says; that ends once nothing of its group is left.
    fn started(script: &str) -> (u32, PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(writer);
        (start(&mut command).unwrap(), reader)
    }

    /// The same, once it has said `up`.
    fn up(script: &str) -> (u32, PipeReader) {
        let (id, mut reader) = started(script);
        let mut word = [0; 3];
        reader.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"up\n");
        (id, reader)
    }

    fn rest(mut reader: PipeReader) -> String {
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        said
    }

    /// The status of a command that ends by itself.
    fn awaited(id: u32) -> ExitStatus {
        let until = clock::now() + Duration::from_secs(20);
        while clock::now() < until {
            if let Some(status) = status(id).unwrap() {
                return status;
            }
            let _ = poll(&mut [], PollTimeout::from(TICK));
        }
        panic!("it has not ended");
    }

    #[test]
    fn each_command_keeps_its_own_status_however_many_end_at_once() {
        let _alone = alone();
        let ids: Vec<u32> = (0..8).map(|code| started(&format!("exit {code}")).0).collect();
        // The last first: looking at one must not take the status of another.
        for (code, id) in ids.iter().enumerate().rev() {
            assert_eq!(awaited(*id).code(), i32::try_from(code).ok());
        }
        for id in ids {
            // A status that was had is kept until the command is given up.
            assert!(status(id).unwrap().is_some());
            end(id, Duration::ZERO);
            assert_eq!(status(id).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_command_hears_sigterm_and_has_its_grace() {
        let _alone = alone();
        let (id, reader) = up("trap 'echo heard; exit' TERM; echo up; while :; do sleep 0.01; done");
        end(id, Duration::from_secs(20));
        assert_eq!(rest(reader), "heard\n");
    }

    #[test]
    fn what_does_not_heed_sigterm_is_killed_with_all_of_its_group() {
        let _alone = alone();
        let (id, reader) = up("trap '' TERM; sleep 30 & echo up; wait; sleep 30");
        end(id, Duration::from_millis(10));
        assert_eq!(rest(reader), "");
    }

    #[test]
    fn what_a_command_leaves_in_its_group_ends_with_it() {
        let _alone = alone();
        let (id, reader) = up("sleep 30 & echo up");
        assert!(awaited(id).success());
        end(id, Duration::from_millis(10));
        assert_eq!(rest(reader), "");
    }

    #[test]
    fn once_the_wait_has_ended_nothing_runs_and_nothing_begins() {
        let _alone = alone();
        let (id, reader) = up("echo up; sleep 30");
        end_all();
        assert_eq!(rest(reader), "");
        // The thread that waits for it still learns how it ended.
        assert_eq!(awaited(id).code(), None);
        let known = lock(&CHILDREN).running.len();
        assert_eq!(start(&mut Command::new("true")).unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(lock(&CHILDREN).running.len(), known, "it is not even begun");
        reopen();
        assert_eq!(awaited(started("exit 3").0).code(), Some(3));
        end_all();
        end(id, Duration::ZERO);
        reopen();
    }
}
