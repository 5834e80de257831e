//! The threads that attempts run on, off the thread that keeps the deadline.
//!
//! They are detached: a getaddrinfo that hangs must never be joined. As few as are needed are
//! started, because threads count against a container's limit of processes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};

use crate::clock;
use crate::config::Goal;
use crate::endpoint::Target;
use crate::gate::{Arrival, Start, World};
use crate::net::tls::Tls;
use crate::net::{Budget, Progress, ResolverState};
use crate::outcome::{Kind, NotReady, Stage};
use crate::probe;
use crate::retry::MAX_IN_FLIGHT;
use crate::signals;

/// Enough for a TLS handshake and a name look-up; musl's own default is 128 KiB.
const STACK: usize = 256 << 10;
/// More threads than this are never useful.
const MAX_THREADS: usize = 256;
/// Descriptors that an attempt may hold: a few connections side by side.
const DESCRIPTORS_EACH: u64 = 4;
/// Descriptors that are not for attempts.
const DESCRIPTORS_KEPT: u64 = 32;

/// What every attempt needs.
#[derive(Debug)]
pub struct Context {
    /// What is probed.
    pub targets: Vec<Target>,
    /// Ready or down.
    pub goal: Goal,
    /// The TLS configuration.
    pub tls: Tls,
}

struct Job {
    round: u32,
    start: Start,
    progress: Progress,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Jobs that a thread has taken and not finished. Threads that wait for a job are not counted: one
    /// that has just sent its outcome does not wait yet, and would look busy to whoever got the outcome.
    running: usize,
    /// How many jobs of each target are queued or running, those of an earlier round too.
    taken: Vec<usize>,
    /// Outcomes of an earlier round are nobody's any more.
    round: u32,
}

impl Queue {
    fn release(&mut self, target: usize) {
        self.taken[target] -= 1;
    }
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    context: Context,
    resolver: ResolverState,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The real [`World`]: threads, a channel and the clock.
pub struct Workers {
    shared: Arc<Shared>,
    sender: Sender<Arrival>,
    receiver: Receiver<Arrival>,
    begun: Instant,
    max_threads: usize,
    /// Set once the system has refused a thread: no more are asked for.
    refused: bool,
    progress: HashMap<(usize, u32), Progress>,
    random: u64,
}

impl Workers {
    /// Workers for `context`, whose outcomes come through `receiver` as signals do.
    pub fn new(context: Context, (sender, receiver): (Sender<Arrival>, Receiver<Arrival>)) -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        let most = context.targets.len().saturating_mul(MAX_IN_FLIGHT).max(1);
        let queue = Queue { taken: vec![0; context.targets.len()], ..Queue::default() };
        Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(queue),
                wake: Condvar::new(),
                context,
                resolver: ResolverState::default(),
            }),
            sender,
            receiver,
            begun: clock::now(),
            max_threads: most.min(MAX_THREADS).min(descriptors_allow()),
            refused: false,
            progress: HashMap::new(),
            random: RandomState::new().build_hasher().finish() | 1,
        }
    }

    /// Begins a new round: the time starts again, and outcomes of the old round are dropped. A signal
    /// is not.
    pub fn restart(&mut self) {
        let mut queue = self.shared.lock();
        queue.round = queue.round.wrapping_add(1);
        for job in std::mem::take(&mut queue.jobs) {
            queue.release(job.start.target);
        }
        let kept: Vec<Arrival> =
            self.receiver.try_iter().filter(|message| matches!(message, Arrival::Signal(_))).collect();
        drop(queue);
        for signal in kept {
            // The receiver is ours: it takes what is sent.
            drop(self.sender.send(signal));
        }
        self.progress.clear();
        self.begun = clock::now();
    }

    fn spawn(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let sender = self.sender.clone();
        let builder = thread::Builder::new().name("probe".to_owned()).stack_size(STACK);
        signals::held_back(|| builder.spawn(move || work(&shared, &sender))).map(drop)
    }
}

/// How many attempts the limit of open files leaves room for.
fn descriptors_allow() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let threads = limit.saturating_sub(DESCRIPTORS_KEPT) / DESCRIPTORS_EACH;
    usize::try_from(threads).unwrap_or(MAX_THREADS).max(1)
}

fn work(shared: &Shared, sender: &Sender<Arrival>) {
    let Context { targets, goal, tls } = &shared.context;
    let mut queue = shared.lock();
    loop {
        let Some(job) = queue.jobs.pop_front() else {
            queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        queue.running += 1;
        drop(queue);
        let Start { target, attempt, budget } = job.start;
        let budget = Budget::new(budget, job.progress, shared.resolver.clone());
        let outcome = probe::run(&targets[target], *goal, tls, &budget);
        queue = shared.lock();
        queue.running -= 1;
        queue.release(target);
        // Under the lock, so that no outcome slips in after a restart has emptied the channel.
        if queue.round == job.round && sender.send(Arrival::Done { target, attempt, outcome }).is_err() {
            return;
        }
    }
}

impl World for Workers {
    fn now(&mut self) -> Duration {
        clock::now().saturating_duration_since(self.begun)
    }

    fn has_room(&mut self, target: usize) -> bool {
        let queue = self.shared.lock();
        if queue.taken[target] >= MAX_IN_FLIGHT {
            return false;
        }
        let limit = if self.refused { queue.threads.max(1) } else { self.max_threads };
        queue.running + queue.jobs.len() < limit.max(1) || queue.threads == 0
    }

    fn start(&mut self, start: Start) -> Result<(), NotReady> {
        let progress = Progress::default();
        self.progress.insert((start.target, start.attempt), progress.clone());
        let mut queue = self.shared.lock();
        let round = queue.round;
        queue.jobs.push_back(Job { round, start, progress });
        queue.taken[start.target] += 1;
        if queue.running + queue.jobs.len() > queue.threads
            && queue.threads < self.max_threads
            && (!self.refused || queue.threads == 0)
        {
            match self.spawn() {
                Ok(()) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    queue.jobs.pop_back();
                    queue.release(start.target);
                    return Err(no_thread(&error));
                }
                Err(_) => self.refused = true,
            }
        }
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    fn stage(&mut self, target: usize, attempt: u32) -> Stage {
        self.progress.get(&(target, attempt)).map_or(Stage::Starting, Progress::stage)
    }

    fn next(&mut self, until: Option<Duration>) -> Option<Arrival> {
        let now = self.now();
        let message = match until {
            None => self.receiver.recv().ok(),
            Some(until) if until <= now => self.receiver.try_recv().ok(),
            Some(until) => self.receiver.recv_timeout(until.saturating_sub(now)).ok(),
        };
        if let Some(Arrival::Done { target, attempt, .. }) = &message {
            self.progress.remove(&(*target, *attempt));
        }
        message
    }

    fn jitter(&mut self) -> f64 {
        // xorshift64 (Marsaglia, 2003): any spread will do.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let upper = u32::try_from(self.random >> 32).unwrap_or(0);
        f64::from(upper) / f64::from(u32::MAX) * 2.0 - 1.0
    }
}

fn no_thread(error: &io::Error) -> NotReady {
    NotReady::new(
        Kind::LocalLimit,
        format!("no thread can be started ({error}): raise the limit of processes or memory"),
    )
}
