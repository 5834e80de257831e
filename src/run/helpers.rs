//! Threads for what blocks: the name service, files, and the conversation with a peer once it is connected.
//!
//! They are detached: a getaddrinfo that hangs must never be joined. As few as are needed are
//! started, because threads count against a container's limit of processes, and exec(2) takes a
//! millisecond longer in a process that has one.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::config::Config;
use crate::exit_status::Stop;
use crate::mutex::{lock, wait};
use crate::net::Attempt;
use crate::net::tls::Tls;
use crate::net::tls_settings::{Encryption, TlsOptions};
use crate::os::dispositions;
use crate::run::input_files::InputFiles;
use crate::targets::shared::probe;
use crate::targets::shared::target::Target;
use crate::wait::outcome::{Kind, NotReady, Outcome};
use crate::wait::policy::Goal;

/// Enough for a TLS handshake and a name look-up; musl's own default is 128 KiB.
const STACK: usize = 256 << 10;
/// More threads than this are never useful.
const MAX_THREADS: usize = 256;
/// How long no other thread is asked for after the system has refused one.
const REFUSED: Duration = Duration::from_millis(250);

/// The targets, the goal and TLS, for every attempt.
#[derive(Debug)]
pub(crate) struct Context {
    /// The probe.
    pub(crate) targets: Arc<[Target]>,
    /// Ready or down.
    pub(crate) goal: Goal,
    /// The TLS configuration.
    pub(crate) tls: Tls,
}

impl Context {
    /// The context for `config`. The TLS files are read only where a target can use them: an inherited `SSL_CERT_FILE` that
    /// names no file stops no wait for a TCP port.
    ///
    /// # Errors
    ///
    /// The mistake in a TLS file, or which file did not come by the deadline.
    pub(crate) fn of(config: &Config, files: &InputFiles) -> Result<Self, Stop> {
        let nothing = TlsOptions::default();
        let options = if config.targets.iter().any(may_use_tls) { &config.tls } else { &nothing };
        let users = config.targets.iter().filter(|target| may_use_tls(target));
        let named = users.flat_map(|target| target.probe.tls_files().into_iter().map(|named| (target.label(), named)));
        let named: Vec<_> = named.collect();
        let tls = Tls::load(options, &named, &|path| files.read(path));
        let tls = tls.map_err(|problem| files.stop(problem))?;
        // Password files may be absent, and are read when they are wanted.
        for (target, passfile) in config.targets.iter().filter_map(|target| Some((target, target.probe.passfile()?))) {
            files.look_at(passfile).map_err(|error| {
                let (label, file) = (target.label(), passfile.display());
                files.stop(format!("target {label}: the password file {file} (PGPASSFILE) cannot be read: {error}"))
            })?;
        }
        Ok(Self { targets: Arc::clone(&config.targets), goal: config.policy.goal, tls })
    }
}

fn may_use_tls(target: &Target) -> bool {
    target.probe.tls_use() != Encryption::Never
}

/// An attempt among those of all targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AttemptId {
    /// The index of its target.
    pub(crate) target: usize,
    /// Its number, from 1.
    pub(crate) number: u32,
}

/// An attempt for a helper.
#[derive(Debug)]
pub(crate) struct Job {
    /// The round in which it began: see [`crate::run::event_loop::EventLoop::restart`].
    pub(crate) round: u32,
    /// Which attempt it is.
    pub(crate) id: AttemptId,
    /// The time that is left of it, and the connection, if it is made already.
    pub(crate) attempt: Attempt,
}

/// A [`Job`] that is done.
#[derive(Debug)]
pub(crate) struct Done {
    /// The round of the job.
    pub(crate) round: u32,
    /// Which attempt it is.
    pub(crate) id: AttemptId,
    /// The outcome.
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Jobs that a thread has taken and not finished. Threads that wait for a job are not counted: one
    /// that has just left its outcome does not wait yet, and would look busy to whoever got the outcome.
    running: usize,
    done: Vec<Done>,
    /// Wakes the event loop.
    bell: UnixStream,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    context: Arc<Context>,
}

/// The helpers; there is none at first, nor a way to hear of one.
#[derive(Debug)]
pub(crate) struct Helpers {
    context: Arc<Context>,
    running: Option<(Arc<Shared>, UnixStream)>,
    /// When the system has refused a thread: no more are asked for, for a while.
    refused: Option<Instant>,
}

impl Helpers {
    /// Helpers for attempts at the targets of `context`.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context, running: None, refused: None }
    }

    /// Whether one more job would find a thread, if all jobs may have no more than one part in `among` of the threads.
    pub(crate) fn have_room(&mut self, now: Instant, among: usize) -> bool {
        if self.room_again().is_some_and(|again| again <= now) {
            self.refused = None;
        }
        let Some((shared, _)) = &self.running else { return self.refused.is_none() };
        let queue = lock(&shared.queue);
        let most = if self.refused.is_some() { queue.threads } else { MAX_THREADS };
        queue.running + queue.jobs.len() < (most / among).max(1)
    }

    /// When the system may be asked for a thread again that has refused one.
    pub(crate) fn room_again(&self) -> Option<Instant> {
        self.refused.map(|refused| refused + REFUSED)
    }

    /// Has a job done.
    ///
    /// # Errors
    ///
    /// That no thread can be started, where there is none.
    pub(crate) fn take(&mut self, job: Job, now: Instant) -> Result<(), NotReady> {
        let shared = match &self.running {
            Some((shared, _)) => Arc::clone(shared),
            None => self.begin().map_err(|error| no_thread(&error))?,
        };
        let mut queue = lock(&shared.queue);
        queue.jobs.push_back(job);
        let may_start = self.room_again().is_none_or(|again| again <= now);
        let refusal = if may_start { self.start_threads(&shared, &mut queue, now) } else { None };
        if queue.threads == 0 {
            queue.jobs.pop_back();
            return Err(no_thread(&refusal.unwrap_or(Errno::EAGAIN.into())));
        }
        drop(queue);
        shared.wake.notify_one();
        Ok(())
    }

    /// Starts a thread for each job that waits for one, if the system refused some and may give them by now.
    pub(crate) fn catch_up(&mut self, now: Instant) {
        if self.room_again().is_some_and(|again| again <= now)
            && let Some((shared, _)) = &self.running
        {
            let shared = Arc::clone(shared);
            self.start_threads(&shared, &mut lock(&shared.queue), now);
        }
    }

    /// Starts as many threads as the jobs want; gives why not all.
    fn start_threads(&mut self, shared: &Arc<Shared>, queue: &mut Queue, now: Instant) -> Option<io::Error> {
        self.refused = None;
        while queue.running + queue.jobs.len() > queue.threads && queue.threads < MAX_THREADS {
            if let Err(error) = spawn(shared) {
                self.refused = Some(now);
                return Some(error);
            }
            queue.threads += 1;
        }
        None
    }

    fn begin(&mut self) -> io::Result<Arc<Shared>> {
        let (read, bell) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        let queue = Queue { jobs: VecDeque::new(), threads: 0, running: 0, done: Vec::new(), bell };
        let context = Arc::clone(&self.context);
        let shared = Arc::new(Shared { queue: Mutex::new(queue), wake: Condvar::new(), context });
        self.running = Some((Arc::clone(&shared), read));
        Ok(shared)
    }

    /// The descriptor that becomes readable once a job is done.
    pub(crate) fn awaited(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|(_, read)| read.as_fd())
    }

    /// The jobs that are done, once [`Self::awaited`] is readable.
    pub(crate) fn collect(&mut self) -> Vec<Done> {
        let Some((shared, read)) = &mut self.running else { return Vec::new() };
        // The bell is rung by the first that leaves something: heard before it is all taken, it is never missed.
        drop(read.read(&mut [0; 64]));
        std::mem::take(&mut lock(&shared.queue).done)
    }

    /// Drops the jobs that no thread has taken yet; gives them back.
    pub(crate) fn drop_waiting(&mut self) -> VecDeque<Job> {
        self.running.as_ref().map(|(shared, _)| std::mem::take(&mut lock(&shared.queue).jobs)).unwrap_or_default()
    }
}

fn spawn(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    dispositions::start_thread("probe", STACK, move || work(&shared))
}

fn work(shared: &Shared) {
    let Context { targets, goal, tls } = &*shared.context;
    let mut queue = lock(&shared.queue);
    loop {
        let Some(Job { round, id, attempt }) = queue.jobs.pop_front() else {
            queue = wait(&shared.wake, queue);
            continue;
        };
        queue.running += 1;
        drop(queue);
        let outcome = if attempt.is_over() || attempt.is_abandoned() {
            Err(attempt.timed_out())
        } else {
            probe::run(&targets[id.target], *goal, tls, &attempt)
        };
        // Its connection, if the probe has not taken it.
        drop(attempt);
        queue = lock(&shared.queue);
        queue.running -= 1;
        queue.done.push(Done { round, id, outcome });
        if queue.done.len() == 1 {
            // The bell holds more rings than anybody can miss.
            drop(queue.bell.write(&[0]));
        }
    }
}

fn no_thread(error: &io::Error) -> NotReady {
    NotReady::new(
        Kind::LocalLimit,
        format!("no thread can be started ({error}): raise the limit of processes or memory"),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;
    use std::net::TcpListener;
    use std::thread;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::clock;
    use crate::targets::scripted;

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(60);

    /// The context of attempts at these targets, without TLS files.
    pub(in crate::run) fn context(urls: &[&str]) -> Context {
        let targets = urls.iter().map(|url| scripted::target(url)).collect();
        let tls = Tls::load(&TlsOptions::default(), &[], &|_| Err(io::ErrorKind::NotFound.into())).unwrap();
        Context { targets, goal: Goal::Ready, tls }
    }

    fn helpers(urls: &[&str]) -> Helpers {
        Helpers::new(Arc::new(context(urls)))
    }

    fn job(number: u32, time: Duration) -> Job {
        Job { round: 7, id: AttemptId { target: 0, number }, attempt: Attempt::new(time) }
    }

    /// So many jobs that are done, as they come.
    fn collected(helpers: &mut Helpers, count: usize) -> Vec<Done> {
        let until = clock::now() + LONG;
        let mut all = Vec::new();
        while all.len() < count {
            assert!(clock::now() < until, "{} of {count} are done", all.len());
            let mut fds = [PollFd::new(helpers.awaited().unwrap(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(1000_u16)).unwrap();
            all.extend(helpers.collect());
        }
        all
    }

    #[test]
    fn a_job_comes_back_with_its_attempt_its_round_and_its_outcome() {
        let mut helpers = helpers(&["file:///", "file:///nowhere/at/all"]);
        assert!(helpers.awaited().is_none(), "without a job there is no thread");
        helpers.take(job(1, LONG), clock::now()).unwrap();
        let other = Job { id: AttemptId { target: 1, number: 5 }, ..job(5, LONG) };
        helpers.take(other, clock::now()).unwrap();
        let mut done = collected(&mut helpers, 2);
        done.sort_by_key(|done| done.id.number);
        assert_eq!([done[0].id, done[1].id], [(0, 1), (1, 5)].map(|(target, number)| AttemptId { target, number }));
        assert!(done.iter().all(|done| done.round == 7));
        assert!(done[0].outcome.is_ok() && done[1].outcome.is_err(), "{done:?}");
    }

    #[test]
    fn an_attempt_whose_time_is_up_or_that_nobody_waits_for_is_not_begun() {
        let mut helpers = helpers(&["file:///"]);
        let abandoned = job(2, LONG);
        abandoned.attempt.progress().end();
        for job in [job(1, Duration::ZERO), abandoned] {
            helpers.take(job, clock::now()).unwrap();
        }
        for done in collected(&mut helpers, 2) {
            assert_eq!(done.outcome.as_ref().unwrap_err().kind, Kind::TimedOut, "{:?}", done.id);
        }
    }

    #[test]
    fn more_jobs_than_threads_all_come_back_once() {
        let mut helpers = helpers(&["file:///"]);
        let count = MAX_THREADS * 2;
        for number in 0..count {
            helpers.take(job(u32::try_from(number).unwrap(), LONG), clock::now()).unwrap();
        }
        let ids: HashSet<AttemptId> = collected(&mut helpers, count).iter().map(|done| done.id).collect();
        assert_eq!(ids.len(), count);
        assert!(helpers.collect().is_empty());
        assert!(lock(&helpers.running.as_ref().unwrap().0.queue).threads <= MAX_THREADS);
    }

    #[test]
    fn a_thread_that_is_done_takes_the_next_job() {
        let mut helpers = helpers(&["file:///"]);
        for number in 1..=20 {
            helpers.take(job(number, LONG), clock::now()).unwrap();
            collected(&mut helpers, 1);
        }
        assert_eq!(lock(&helpers.running.as_ref().unwrap().0.queue).threads, 1);
    }

    #[test]
    fn jobs_that_no_thread_has_taken_are_given_back_and_the_others_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = format!("http://{}/", listener.local_addr().unwrap());
        let mut helpers = helpers(&[&silent]);
        let attempts: Vec<u32> = (0..u32::try_from(MAX_THREADS).unwrap() + 3).collect();
        for number in &attempts {
            helpers.take(job(*number, LONG), clock::now()).unwrap();
        }
        // All threads have one, which nobody answers; then all connections are closed.
        let threads = lock(&helpers.running.as_ref().unwrap().0.queue).threads;
        let accepted = thread::spawn(move || listener.incoming().take(threads).collect::<Vec<_>>());
        drop(accepted.join().unwrap());
        let waiting = helpers.drop_waiting();
        assert!(waiting.len() <= attempts.len() - threads, "{}", waiting.len());
        let done = collected(&mut helpers, attempts.len() - waiting.len());
        let ids = waiting.iter().map(|job| job.id).chain(done.iter().map(|done| done.id));
        assert_eq!(ids.map(|id| id.number).collect::<HashSet<u32>>().len(), attempts.len());
    }

    #[test]
    fn a_part_of_the_threads_has_room_for_its_part_of_the_jobs() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut helpers = helpers(&[&format!("http://{}/", listener.local_addr().unwrap())]);
        let now = clock::now();
        assert!(helpers.have_room(now, MAX_THREADS), "nothing runs");
        helpers.take(job(1, LONG), now).unwrap();
        assert!(!helpers.have_room(now, MAX_THREADS), "one thread is all that this part has");
        assert!(helpers.have_room(now, 1));
    }

    #[test]
    fn a_refused_thread_is_not_asked_for_again_at_once() {
        let mut helpers = helpers(&["file:///"]);
        let now = clock::now();
        helpers.refused = Some(now);
        assert!(!helpers.have_room(now, 1));
        let refusal = helpers.take(job(1, LONG), now).unwrap_err();
        assert_eq!(refusal.kind, Kind::LocalLimit);
        let again = helpers.room_again().unwrap();
        assert!(helpers.have_room(again, 1));
        helpers.take(job(2, LONG), again).unwrap();
        assert_eq!(collected(&mut helpers, 1)[0].id.number, 2);
    }
}
