//! A command whose exit status tells.

use std::ffi::OsStr;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::launch;
use crate::net::Attempt;
use crate::secret::Secret;
use crate::targets::exec::{Exec, children};
use crate::text::{excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready, Stage};

/// How long a command has between SIGTERM and SIGKILL, at most a tenth of its attempt. It is taken from the attempt's time.
const GRACE: Duration = Duration::from_millis(20);
/// SIGKILL is sent so long before the attempt's end, that its end is told in time.
const MARGIN: Duration = Duration::from_millis(10);
/// How often is looked whether a command has ended whose output has not: a child of it may keep that open.
const TICK: Duration = Duration::from_millis(20);
/// How much of the output's end is kept.
const KEPT: usize = 4 << 10;

pub(crate) fn probe(exec: &Exec, attempt: &Attempt) -> Outcome {
    attempt.enter(Stage::Running);
    let (mut reader, writer) = io::pipe().map_err(|error| cannot_start(exec, &error))?;
    // Given away: only the command itself keeps the pipe open for writing.
    let id = start(exec, writer)?;
    let grace = GRACE.min(attempt.remaining() / 10);
    let mut tail = Tail::default();
    let ended = watch(id, &mut reader, &mut tail, attempt, grace + MARGIN);
    let was_running = matches!(ended, Ok(None));
    children::end(id, grace);
    if was_running {
        // The command's last words.
        let _ = tail.drain(&mut reader);
    }
    judge_exit(exec, ended, &tail.last_line(), attempt)
}

/// Starts it as execvp(3) does: what the kernel does not know is the shell's.
fn start(exec: &Exec, writer: PipeWriter) -> Result<u32, NotReady> {
    let begin = |mut command: Command, writer: PipeWriter| {
        command.args(exec.arguments.iter().map(Secret::expose)).stdin(Stdio::null());
        command.stdout(writer.try_clone()?).stderr(writer);
        children::start(&mut command)
    };
    let again = writer.try_clone().map_err(|error| cannot_start(exec, &error))?;
    let started = begin(Command::new(&exec.program), writer);
    let started = match started {
        Err(error) if errno(&error) == Some(Errno::ENOEXEC) => {
            let file = launch::look_up(OsStr::new(&exec.program), exec.path.as_deref()).map_err(|why| {
                NotReady::new(Kind::CannotRun, format!("the command {} cannot run: {why}", exec.program))
            })?;
            let mut shell = Command::new(launch::SHELL);
            shell.arg(file);
            begin(shell, again)
        }
        other => other,
    };
    started.map_err(|error| cannot_start(exec, &error))
}

/// Reads what it says until it ends, or until `reserve` is left of its time.
fn watch(
    id: u32,
    reader: &mut PipeReader,
    tail: &mut Tail,
    attempt: &Attempt,
    reserve: Duration,
) -> io::Result<Option<ExitStatus>> {
    let mut is_open = true;
    let mut pause = Duration::from_millis(1);
    loop {
        let left = attempt.remaining().saturating_sub(reserve);
        let wait = if is_open { TICK.max(pause) } else { pause };
        if is_open && is_readable(reader, timeout(wait.min(left))) {
            // The command may have ended while others go on writing: its status is looked at each time.
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

fn judge_exit(exec: &Exec, ended: io::Result<Option<ExitStatus>>, last_line: &str, attempt: &Attempt) -> Outcome {
    let said = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
    let status = match ended {
        Ok(Some(status)) => status,
        Ok(None) => {
            let failure = attempt.timed_out();
            return Err(NotReady { reason: format!("{}{said}", failure.reason), ..failure });
        }
        // The command may have succeeded or failed.
        Err(error) => return Err(NotReady::new(Kind::LocalLimit, format!("its exit status is not known: {error}"))),
    };
    match (status.code(), status.signal()) {
        (Some(code), _) if exec.fail_exit.contains(&code) => {
            Err(NotReady::new(Kind::FailCondition, format!("it exited with {code} (fail-exit=){said}")))
        }
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
        io::ErrorKind::Interrupted => NotReady::new(Kind::LocalLimit, "the wait has ended"),
        // Errors for which waiting is no remedy.
        _ if matches!(errno(error), Some(Errno::ENOEXEC | Errno::ENOTDIR | Errno::E2BIG)) => {
            NotReady::new(Kind::CannotRun, format!("the command {program} cannot run: {error}"))
        }
        _ => NotReady::new(Kind::LocalLimit, format!("the command {program} cannot be started: {error}")),
    }
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

fn timeout(duration: Duration) -> PollTimeout {
    // Rounded up: with 0 it would not wait at all.
    PollTimeout::try_from(duration.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
}

fn is_readable(reader: &PipeReader, wait: PollTimeout) -> bool {
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, wait).is_ok_and(|ready| ready > 0)
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
            if !is_readable(reader, PollTimeout::ZERO) || !self.read(reader)? {
                break;
            }
        }
        Ok(())
    }

    /// The last line that says something, made harmless.
    fn last_line(&self) -> String {
        let lines = self.0.split(|byte| *byte == b'\n').rev();
        lines.map(|line| excerpt(peer_text(line).trim())).find(|line| line.chars().count() > 2).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::bounded_line;

    #[test]
    fn the_last_line_that_says_something_is_kept() {
        let mut tail = Tail::default();
        let mut text = &b"first\nsecond \x1b[31m\n\n  \n"[..];
        while tail.read(&mut text).unwrap() {}
        assert_eq!(bounded_line(&tail.last_line()), "second [31m");
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
