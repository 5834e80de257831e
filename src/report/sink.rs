//! Standard error and standard output, which may be full, closed, stopped or on a file system that has gone away,
//! and hold nobody up.
//!
//! Both belong to COMMAND too, and `O_NONBLOCK` is a flag of the open file that is shared with it: it must not be set
//! there. /proc/self/fd opens the same pipe or terminal a second time, with the flag.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;
use socket2::SockRef;

use crate::clock;
use crate::os::{self, dispositions, mounts};

/// A pipe that poll calls writable takes this much without blocking (`PIPE_BUF`, pipe(7)).
const CHUNK: usize = 4096;
/// How long a line may wait for a reader: a log driver that is busy, not one that is dead. After a line that was lost,
/// none waits until one has gone through: hundreds of targets have hundreds of lines, and the deadline does not wait
/// for them.
const PATIENCE: Duration = Duration::from_millis(5);
/// How long many lines that are written at once may wait in all, each of them no longer than one may.
const PATIENCE_WITH_ALL: Duration = Duration::from_millis(50);
/// How many lines may wait for a file system that does not answer.
const QUEUED: usize = 256;

/// Lines to a stream; what nobody takes is dropped and counted.
pub(crate) struct Sink {
    stream: Box<dyn AsFd>,
    way: Way,
    /// The rest of a line that was begun.
    begun: Vec<u8>,
    dropped: usize,
}

/// How the stream is written to without waiting for it.
enum Way {
    /// The stream is opened again, with `O_NONBLOCK`.
    Reopened(File),
    /// A socket cannot be opened again, but takes the wish with each message.
    Socket,
    /// A file is always ready.
    Direct,
    /// A stream that could not be opened again: it belongs to another user. What it has room for is written, in pieces of so many
    /// bytes that it takes them whole.
    Polled(usize),
    /// A file system that answers over a network, or not at all: a thread waits for it.
    Thread(Writer),
    /// Nowhere: a test looks at it.
    #[cfg(test)]
    Kept(Vec<u8>),
}

impl Sink {
    /// Standard error.
    pub(crate) fn stderr() -> Self {
        Self::new(io::stderr())
    }

    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Self::new(io::stdout())
    }

    /// The standard stream of this number. Standard input, too, may have been opened for writing.
    pub(super) fn of_descriptor(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::new(io::stdin())),
            1 => Some(Self::stdout()),
            2 => Some(Self::stderr()),
            _ => None,
        }
    }

    /// Prints what somebody has asked for on standard output. A reader that has seen enough (`--help | head`) is no error.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(crate) fn print(text: &str) -> io::Result<()> {
        /// How long somebody who asked may take to read the answer.
        const READING: Duration = Duration::from_secs(5);
        match Self::stdout().write(text, clock::now() + READING) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Kept in memory, for tests.
    #[cfg(test)]
    pub(super) fn kept() -> Self {
        Self { way: Way::Kept(Vec::new()), stream: Box::new(io::stderr()), begun: Vec::new(), dropped: 0 }
    }

    /// The lines that were kept.
    #[cfg(test)]
    pub(super) fn lines_kept(&self) -> Vec<String> {
        let Way::Kept(kept) = &self.way else { return Vec::new() };
        String::from_utf8_lossy(kept).lines().map(str::to_owned).collect()
    }

    fn new(stream: impl AsFd + 'static) -> Self {
        Self { way: Way::to(stream.as_fd()), stream: Box::new(stream), begun: Vec::new(), dropped: 0 }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) {
        self.some([text, "\n"].concat().as_bytes(), 1, clock::now() + PATIENCE);
    }

    /// Writes many lines, several at a time.
    pub(crate) fn lines(&mut self, lines: impl Iterator<Item = String>) {
        let until = clock::now() + PATIENCE_WITH_ALL;
        let (mut bytes, mut count) = (Vec::with_capacity(CHUNK), 0);
        for line in lines {
            if count > 0 && bytes.len() + line.len() >= CHUNK {
                self.some(&bytes, count, until);
                bytes.clear();
                count = 0;
            }
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
            count += 1;
        }
        self.some(&bytes, count, until);
    }

    /// Writes so many lines, and before them how many were lost.
    fn some(&mut self, bytes: &[u8], lines: usize, until: Instant) {
        if self.dropped > 0 {
            let note = format!("when-ready: {} lines were lost: nobody read them\n", self.dropped);
            if !self.raw_until(note.as_bytes(), until) {
                self.dropped += lines;
                return;
            }
            self.dropped = 0;
        }
        if !self.raw_until(bytes, until) {
            self.dropped += lines;
        }
    }

    /// Writes bytes as they are. Says whether they are on their way: all of them, or so many that the rest follows
    /// before anything else.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> bool {
        self.raw_until(bytes, clock::now() + PATIENCE)
    }

    fn raw_until(&mut self, bytes: &[u8], until: Instant) -> bool {
        let patience = if self.dropped == 0 { PATIENCE } else { Duration::ZERO };
        let until = until.min(clock::now() + patience);
        let begun = std::mem::take(&mut self.begun);
        let (written, result) = self.write_part(&begun, until);
        if result.is_err() {
            self.begun = begun[written..].to_vec();
            return false;
        }
        let (written, result) = self.write_part(bytes, until);
        if written > 0 {
            self.begun = bytes[written..].to_vec();
        }
        written > 0 || result.is_ok()
    }

    /// Writes text that somebody has asked for, and waits for its reader `until` then.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` where the reader has gone, `WouldBlock` where it does not read, others as the system has them.
    pub(crate) fn write(&mut self, text: &str, until: Instant) -> io::Result<()> {
        self.write_part(text.as_bytes(), until).1
    }

    fn write_part(&mut self, bytes: &[u8], until: Instant) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < bytes.len() {
            let result = match self.write_some(&bytes[written..], until) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    written += n;
                    Ok(())
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(until),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                Err(error) => Err(error),
            };
            if result.is_err() {
                return (written, result);
            }
        }
        (written, Ok(()))
    }

    fn write_some(&mut self, bytes: &[u8], until: Instant) -> io::Result<usize> {
        match &mut self.way {
            Way::Reopened(file) => file.write(bytes),
            Way::Socket => {
                let flags = nix::libc::MSG_DONTWAIT | nix::libc::MSG_NOSIGNAL;
                SockRef::from(&self.stream).send_with_flags(bytes, flags)
            }
            Way::Direct => Ok(unistd::write(&self.stream, bytes)?),
            Way::Polled(_) if !is_writable(self.stream.as_fd(), PollTimeout::ZERO) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Way::Polled(whole) => Ok(unistd::write(&self.stream, &bytes[..bytes.len().min(*whole)])?),
            Way::Thread(writer) => writer.write(bytes, until),
            #[cfg(test)]
            Way::Kept(kept) => {
                kept.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    /// Waits until the stream may take more.
    fn wait(&self, until: Instant) -> io::Result<()> {
        let fd = match &self.way {
            Way::Reopened(file) => file.as_fd(),
            Way::Socket | Way::Direct | Way::Polled(_) => self.stream.as_fd(),
            Way::Thread(_) => return Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(test)]
            Way::Kept(_) => return Ok(()),
        };
        wait_until_writable(fd, until)
    }
}

/// Waits until `fd` may take more.
///
/// # Errors
///
/// `WouldBlock`, where it takes nothing `until` then.
pub(super) fn wait_until_writable(fd: impl AsFd, until: Instant) -> io::Result<()> {
    if clock::now() >= until || !is_writable(fd.as_fd(), os::poll_timeout(until)) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(())
}

fn is_writable(fd: BorrowedFd<'_>, timeout: PollTimeout) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    // An error shows in the write that follows.
    poll(&mut fds, timeout).is_ok_and(|n| n > 0)
}

impl Way {
    fn to(stream: BorrowedFd<'_>) -> Self {
        let number = stream.as_raw_fd();
        let link = format!("/proc/self/fd/{number}");
        let is_terminal = stream.is_terminal();
        let whole = if is_terminal { 1 } else { CHUNK };
        let Ok(name) = fs::read_link(&link) else { return Self::Polled(whole) };
        let name = name.to_string_lossy();
        if name.starts_with("socket:") {
            return Self::Socket;
        }
        let is_pipe = name.starts_with("pipe:");
        if !is_terminal && !is_pipe {
            // Asked before fstat(2), which may wait for the same file system.
            if mounts::is_remote_descriptor(number) {
                return Writer::start(stream).map_or(Self::Direct, Self::Thread);
            }
            let is_fifo = fs::metadata(&link).is_ok_and(|metadata| metadata.file_type().is_fifo());
            if !is_fifo {
                // A write beyond the limit of a file's size is an error, and not the end of this process.
                dispositions::outlive_the_limit_of_file_sizes();
                return Self::Direct;
            }
        }
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let opened = OpenOptions::new().write(true).custom_flags(flags.bits()).open(&link);
        opened.map_or(Self::Polled(whole), Self::Reopened)
    }
}

/// A thread that writes what it is given, and says when that is done. It ends with this.
struct Writer {
    texts: SyncSender<Vec<u8>>,
    /// The result for each text, in order.
    results: Receiver<io::Result<()>>,
    /// How many texts have no result yet.
    under_way: usize,
}

impl Writer {
    fn start(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let mut file = File::from(fd.try_clone_to_owned()?);
        let (texts, queue) = mpsc::sync_channel::<Vec<u8>>(QUEUED);
        let (done, results) = mpsc::channel();
        let work = move || {
            for text in queue {
                // A reader that is gone needs no result.
                drop(done.send(file.write_all(&text)));
            }
        };
        dispositions::start_thread("log", 64 << 10, work)?;
        Ok(Self { texts, results, under_way: 0 })
    }

    fn write(&mut self, bytes: &[u8], until: Instant) -> io::Result<usize> {
        self.under_way -= self.results.try_iter().count();
        self.texts.try_send(bytes.to_vec()).map_err(|_| io::ErrorKind::WouldBlock)?;
        self.under_way += 1;
        // The file system that is not done with an earlier text is not waited for again.
        if self.under_way == 1
            && let Ok(result) = self.results.recv_timeout(until.saturating_duration_since(clock::now()))
        {
            self.under_way = 0;
            result?;
        }
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_are_written_several_at_a_time_and_each_of_them_whole() {
        let lines: Vec<String> = (0..500).map(|n| format!("line {n} {}", "x".repeat(n % 90))).collect();
        let mut sink = Sink::kept();
        sink.lines(lines.iter().cloned());
        assert_eq!(sink.lines_kept(), lines);
    }

    #[cfg(target_os = "linux")]
    /// How long this thread has run, or could have run and had no processor (`/proc/thread-self/schedstat`).
    fn awake() -> Duration {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(stat.split(' ').take(2).map(|nanos| nanos.parse::<u64>().unwrap()).sum())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn many_lines_wait_for_a_slow_reader_no_longer_than_all_may() {
        let (mut read, write) = io::pipe().unwrap();
        let again = format!("/proc/self/fd/{}", write.as_raw_fd());
        let way = File::options().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(again).map(Way::Reopened);
        let mut sink = Sink { way: way.unwrap(), ..Sink::kept() };
        let (written, all_are_written) = mpsc::channel::<()>();
        let reader = std::thread::spawn(move || {
            let (mut text, mut chunk) = (Vec::new(), [0; CHUNK]);
            for number in 0.. {
                let Ok(length @ 1..) = std::io::Read::read(&mut read, &mut chunk) else { break };
                text.extend_from_slice(&chunk[..length]);
                // In time for each, but not for all; and never for all, however long the writer is held up.
                match number {
                    0..200 => drop(poll(&mut [], PollTimeout::from(2_u8))),
                    200 => drop(all_are_written.recv()),
                    _ => {}
                }
            }
            String::from_utf8(text).unwrap()
        });
        let (began, awake_before) = (clock::now(), awake());
        sink.lines((0..20_000).map(|n| format!("{n:0>200}")));
        let took = clock::now().saturating_duration_since(began);
        let waited = took.saturating_sub(awake().saturating_sub(awake_before));
        assert!(waited < PATIENCE_WITH_ALL + Duration::from_millis(40), "{waited:?}");
        let lost_at_the_end = sink.dropped;
        drop((written, sink, write));
        let text = reader.join().unwrap();
        let noted = |line: &str| line.strip_prefix("when-ready: ")?.split(' ').next()?.parse::<usize>().ok();
        let lost = lost_at_the_end + text.lines().filter_map(noted).sum::<usize>();
        let whole = text.lines().filter(|line| noted(line).is_none()).count();
        assert!(lost > 0 && whole > 0 && whole + lost == 20_000, "{whole} written, {lost} lost");
    }

    #[test]
    fn a_writer_takes_lines_that_its_file_does_not_take_until_its_queue_is_full() {
        let (_kept, full) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut writer = Writer::start(full.as_fd()).unwrap();
        let line = vec![b'x'; 1 << 20];
        let taken = (0..=QUEUED + 2).take_while(|_| writer.write(&line, clock::now()).is_ok()).count();
        assert!((QUEUED..=QUEUED + 1).contains(&taken), "{taken}");
    }
}
