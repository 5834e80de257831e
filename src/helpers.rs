//! Threads for what blocks: the name service, files, and the conversation with a peer once it is connected.
//!
//! They are detached: a getaddrinfo that hangs must never be joined. As few as are needed are
//! started, because threads count against a container's limit of processes, and exec(2) takes a
//! millisecond longer in a process that has one.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::config::{Config, Goal, TlsOptions};
use crate::endpoint::Target;
use crate::gate::Start;
use crate::net::Budget;
use crate::net::tls::Tls;
use crate::outcome::{Kind, NotReady, Outcome};
use crate::probe;
use crate::signals;

/// Enough for a TLS handshake and a name look-up; musl's own default is 128 KiB.
const STACK: usize = 256 << 10;
/// More threads than this are never useful.
const MAX_THREADS: usize = 256;
/// How long no other thread is asked for after the system has refused one.
const REFUSED: Duration = Duration::from_millis(250);

/// What every attempt needs.
#[derive(Debug)]
pub struct Context {
    /// What is probed.
    pub targets: Arc<[Target]>,
    /// Ready or down.
    pub goal: Goal,
    /// The TLS configuration.
    pub tls: Tls,
}

impl Context {
    /// What `config` comes to. The TLS files are read only where a target can use them: an inherited `SSL_CERT_FILE` that
    /// names no file stops no wait for a TCP port.
    ///
    /// # Errors
    ///
    /// What is wrong with a TLS file.
    pub fn of(config: &Config) -> Result<Self, String> {
        let nothing = TlsOptions::default();
        let options = if config.targets.iter().any(Target::may_use_tls) { &config.tls } else { &nothing };
        Ok(Self { targets: Arc::clone(&config.targets), goal: config.policy.goal, tls: Tls::load(options)? })
    }
}

/// An attempt for a helper.
#[derive(Debug)]
pub struct Job {
    /// The round in which it began: see [`crate::event_loop::EventLoop::restart`].
    pub round: u32,
    /// What was asked for.
    pub start: Start,
    /// The time that is left of it, and the connection, if it is made already.
    pub budget: Budget,
}

/// A [`Job`] that is done.
#[derive(Debug)]
pub struct Done {
    /// The round of the job.
    pub round: u32,
    /// What was asked for.
    pub start: Start,
    /// What the probe found.
    pub outcome: Outcome,
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The helpers; there is none at first, nor a way to hear of one.
#[derive(Debug)]
pub struct Helpers {
    context: Arc<Context>,
    running: Option<(Arc<Shared>, UnixStream)>,
    /// When the system has refused a thread: no more are asked for, for a while.
    refused: Option<Instant>,
}

impl Helpers {
    /// Helpers for attempts at the targets of `context`.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, running: None, refused: None }
    }

    /// Whether one more job would find a thread, if all jobs may have no more than one part in `among` of the threads.
    pub fn have_room(&mut self, now: Instant, among: usize) -> bool {
        if self.room_again().is_some_and(|again| again <= now) {
            self.refused = None;
        }
        let Some((shared, _)) = &self.running else { return self.refused.is_none() };
        let queue = shared.lock();
        let most = if self.refused.is_some() { queue.threads } else { MAX_THREADS };
        queue.running + queue.jobs.len() < (most / among).max(1)
    }

    /// When the system may be asked for a thread again that has refused one.
    pub fn room_again(&self) -> Option<Instant> {
        self.refused.map(|refused| refused + REFUSED)
    }

    /// Has a job done.
    ///
    /// # Errors
    ///
    /// That no thread can be started, where there is none.
    pub fn take(&mut self, job: Job, now: Instant) -> Result<(), NotReady> {
        let shared = match &self.running {
            Some((shared, _)) => Arc::clone(shared),
            None => self.begin().map_err(|error| no_thread(&error))?,
        };
        let mut queue = shared.lock();
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
    pub fn catch_up(&mut self, now: Instant) {
        if self.room_again().is_some_and(|again| again <= now)
            && let Some((shared, _)) = &self.running
        {
            let shared = Arc::clone(shared);
            self.start_threads(&shared, &mut shared.lock(), now);
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

    /// What becomes readable once a job is done.
    pub fn awaited(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|(_, read)| read.as_fd())
    }

    /// The jobs that are done, once [`Self::awaited`] is readable.
    pub fn collect(&mut self) -> Vec<Done> {
        let Some((shared, read)) = &mut self.running else { return Vec::new() };
        // The bell is rung by the first that leaves something: heard before it is all taken, it is never missed.
        drop(read.read(&mut [0; 64]));
        std::mem::take(&mut shared.lock().done)
    }

    /// Drops the jobs that no thread has taken yet; gives them back.
    pub fn drop_waiting(&mut self) -> VecDeque<Job> {
        self.running.as_ref().map(|(shared, _)| std::mem::take(&mut shared.lock().jobs)).unwrap_or_default()
    }
}

fn spawn(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let builder = thread::Builder::new().name("probe".to_owned()).stack_size(STACK);
    signals::held_back(|| builder.spawn(move || work(&shared))).map(drop)
}

fn work(shared: &Shared) {
    let Context { targets, goal, tls } = &*shared.context;
    let mut queue = shared.lock();
    loop {
        let Some(Job { round, start, budget }) = queue.jobs.pop_front() else {
            queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        queue.running += 1;
        drop(queue);
        let outcome = if budget.remaining().is_zero() {
            Err(budget.timed_out())
        } else {
            probe::run(&targets[start.target], *goal, tls, &budget)
        };
        // Its connection, if the probe has not taken it.
        drop(budget);
        queue = shared.lock();
        queue.running -= 1;
        queue.done.push(Done { round, start, outcome });
        if queue.done.len() == 1 {
            // It holds more rings than anybody can miss.
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
