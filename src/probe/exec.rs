//! A command whose exit status tells.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::children;
use crate::endpoint::exec::Exec;
use crate::net::Budget;
use crate::outcome::{Kind, NotReady, Outcome, Ready, Stage, excerpt, quoted};
use crate::secret::Secret;

/// How long a command has between SIGTERM and SIGKILL, at most a tenth of its attempt.
const GRACE: Duration = Duration::from_millis(100);
/// SIGKILL is sent so long before the attempt's end, that its end is told in time.
const MARGIN: Duration = Duration::from_millis(10);
/// How often is looked whether a command has ended whose output has not: a child of it may keep that open.
const TICK: Duration = Duration::from_millis(20);
/// How much of the output's end is kept.
const KEPT: usize = 4 << 10;

pub(super) fn probe(exec: &Exec, budget: &Budget) -> Outcome {
    budget.enter(Stage::Running);
    let (mut reader, writer) = io::pipe().map_err(|error| cannot_start(exec, &error))?;
    let id = {
        let mut command = Command::new(&exec.program);
        command.args(exec.arguments.iter().map(Secret::expose)).stdin(Stdio::null());
        let again = writer.try_clone().map_err(|error| cannot_start(exec, &error))?;
        command.stdout(writer).stderr(again);
        // Dropped here: only the command itself keeps the pipe open for writing.
        children::start(&mut command).map_err(|error| cannot_start(exec, &error))?
    };
    let grace = GRACE.min(budget.remaining() / 10);
    let mut tail = Tail::default();
    let ended = watch(id, &mut reader, &mut tail, budget, grace + MARGIN);
    let was_running = matches!(ended, Ok(None));
    children::end(id, grace);
    if was_running {
        // What it said at its end.
        let _ = tail.drain(&mut reader);
    }
    judge(exec, ended, &tail.last_line(), budget)
}

/// Reads what it says until it ends, or until `reserve` is left of its time.
fn watch(
    id: u32,
    reader: &mut PipeReader,
    tail: &mut Tail,
    budget: &Budget,
    reserve: Duration,
) -> io::Result<Option<ExitStatus>> {
    let mut is_open = true;
    let mut pause = Duration::from_millis(1);
    loop {
        let left = budget.remaining().saturating_sub(reserve);
        let wait = if is_open { TICK.max(pause) } else { pause };
        if is_open && is_readable(reader, wait.min(left)) {
            // It may have ended, and others go on writing: that is looked at each time.
            is_open = tail.read(reader)?;
            pause = Duration::from_millis(1);
        } else if !is_open {
            let _ = poll(&mut [], timeout(wait.min(left)));
            pause = (pause * 2).min(TICK);
        }
        if let Some(status) = children::status(id)? {
            tail.drain(reader)?;
            return Ok(Some(status));
        }
        if left.is_zero() {
            return Ok(None);
        }
    }
}

fn judge(exec: &Exec, ended: io::Result<Option<ExitStatus>>, last_line: &str, budget: &Budget) -> Outcome {
    let said = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
    let status = match ended {
        Ok(Some(status)) => status,
        Ok(None) => {
            let failure = budget.timed_out();
            return Err(NotReady { reason: format!("{}{said}", failure.reason), ..failure });
        }
        Err(error) => return Err(NotReady::new(Kind::CommandFailed, format!("it cannot be waited for: {error}"))),
    };
    match (status.code(), status.signal()) {
        (Some(code), _) if exec.accepted.contains(&code) => Ok(Ready::new(format!("it exited with {code}{said}"))),
        (Some(code), _) => Err(NotReady::new(Kind::CommandFailed, format!("it exited with {code}{said}"))),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            Err(NotReady::new(Kind::CommandFailed, format!("it was ended by signal {signal}{said}")))
        }
    }
}

fn cannot_start(exec: &Exec, error: &io::Error) -> NotReady {
    let program = &exec.program;
    match error.kind() {
        io::ErrorKind::NotFound => {
            let reason = format!("the command {program}, or the interpreter that it names, is not found");
            NotReady::new(Kind::CannotRun, reason)
        }
        io::ErrorKind::PermissionDenied => {
            NotReady::new(Kind::CannotRun, format!("the command {program} is not executable (chmod +x)"))
        }
        io::ErrorKind::Interrupted => NotReady::new(Kind::CommandFailed, "the wait has ended"),
        _ if matches!(error.raw_os_error(), Some(libc_errno::ENOEXEC | libc_errno::ENOTDIR | libc_errno::E2BIG)) => {
            NotReady::new(Kind::CannotRun, format!("the command {program} cannot run: {error}"))
        }
        _ => NotReady::new(Kind::LocalLimit, format!("the command {program} cannot be started: {error}")),
    }
}

/// Errors for which waiting is no remedy.
mod libc_errno {
    use nix::errno::Errno;

    pub(super) const ENOEXEC: i32 = Errno::ENOEXEC as i32;
    pub(super) const ENOTDIR: i32 = Errno::ENOTDIR as i32;
    pub(super) const E2BIG: i32 = Errno::E2BIG as i32;
}

fn timeout(duration: Duration) -> PollTimeout {
    // Rounded up: with 0 it would not wait at all.
    PollTimeout::try_from(duration.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
}

fn is_readable(reader: &PipeReader, wait: Duration) -> bool {
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, timeout(wait)).is_ok_and(|ready| ready > 0)
}

/// The end of what a command says.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// Reads once; false at the end.
    fn read(&mut self, reader: &mut impl Read) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        match reader.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.0.extend_from_slice(&chunk[..n]);
                let surplus = self.0.len().saturating_sub(KEPT);
                self.0.drain(..surplus);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Reads what is there already, and no more than a pipe holds: others may go on writing.
    fn drain(&mut self, reader: &mut PipeReader) -> io::Result<()> {
        for _ in 0..16 {
            if !is_there(reader) || !self.read(reader)? {
                break;
            }
        }
        Ok(())
    }

    /// The last line that says something, made harmless.
    fn last_line(&self) -> String {
        let lines = self.0.split(|byte| *byte == b'\n').rev();
        lines.map(|line| excerpt(quoted(line).trim())).find(|line| line.chars().count() > 2).unwrap_or_default()
    }
}

fn is_there(reader: &PipeReader) -> bool {
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::shown;

    #[test]
    fn the_last_line_that_says_something_is_kept() {
        let mut tail = Tail::default();
        let mut text = &b"first\nsecond \x1b[31m\n\n  \n"[..];
        while tail.read(&mut text).unwrap() {}
        assert_eq!(shown(&tail.last_line()), "second [31m");
    }

    #[test]
    fn endless_output_takes_no_room() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.read(&mut io::repeat(b'x')).unwrap();
        }
        assert_eq!(tail.0.len(), KEPT);
    }
}
