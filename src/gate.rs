//! All targets together: events in, attempts out, until there is a verdict.

use std::time::Duration;

use crate::config::{OnPermanent, Policy, Quorum};
use crate::deadline::Deadline;
use crate::endpoint::Target;
use crate::outcome::{NotReady, Outcome, Permanence, Stage};
use crate::retry::{Change, Overlap, Rules, State, Tracker};

/// A target that was ready longer ago than this is asked once more before COMMAND runs: the official
/// Postgres image starts a temporary server for its init scripts, and stops it again.
const STALE: Duration = Duration::from_secs(5);

/// How the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that is wanted is ready.
    Ready,
    /// The deadline, or the last allowed attempt, has passed.
    TimedOut,
    /// A failure that waiting cannot mend, under `--fail-fast`: of the target with this index.
    Failed(usize),
    /// A signal of this number came.
    Interrupted(i32),
}

/// An attempt to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The index of the target.
    pub target: usize,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The time that it has.
    pub budget: Duration,
}

/// What comes back from outside.
#[derive(Debug)]
pub enum Arrival {
    /// An attempt has ended.
    Done {
        /// The index of the target.
        target: usize,
        /// The number of the attempt.
        attempt: u32,
        /// What it found.
        outcome: Outcome,
    },
    /// A signal that ends the wait.
    Signal(i32),
}

/// Where attempts run and time passes.
pub trait World {
    /// The time since the wait began.
    fn now(&mut self) -> Duration;
    /// Whether a further attempt of this target can begin now. An attempt that is stuck in the name
    /// service takes room of its own target only.
    fn has_room(&mut self, target: usize) -> bool;
    /// Begins an attempt.
    ///
    /// # Errors
    ///
    /// Why none can ever begin, as things are.
    fn start(&mut self, start: Start) -> Result<(), NotReady>;
    /// What is under way for the target matters no more.
    fn abandon(&mut self, target: usize);
    /// What the attempt is doing.
    fn stage(&mut self, target: usize, attempt: u32) -> Stage;
    /// The next message, or `None` at `until` (never, without; at once, if that is past).
    fn next(&mut self, until: Option<Duration>) -> Option<Arrival>;
    /// A number from -1 to 1.
    fn jitter(&mut self) -> f64;
}

/// What is to be told.
#[derive(Debug)]
pub enum Event<'a> {
    /// The wait begins.
    Waiting,
    /// An attempt changed something, or not.
    Changed {
        /// The index of the target.
        target: usize,
        /// What.
        change: &'a Change,
        /// The number of the attempt.
        attempt: u32,
    },
    /// The observer wanted to be woken, see [`Observer::wakes_at`].
    Tick,
}

/// Who is told.
pub trait Observer {
    /// Something happened.
    fn observe(&mut self, event: &Event<'_>, gate: &Gate, now: Duration);
    /// When it wants a [`Event::Tick`]: to draw, or to remind of who is still awaited.
    fn wakes_at(&self) -> Option<Duration>;
}

/// The state of the whole wait.
#[derive(Debug)]
pub struct Gate {
    /// The targets, as they were given.
    pub trackers: Vec<Tracker>,
    policy: Policy,
}

impl Gate {
    /// A wait for `targets` that has not begun.
    pub fn new(targets: &[Target], policy: &Policy) -> Self {
        let rules = |target: &Target| Rules {
            backoff: policy.backoff,
            attempt_timeout: target.attempt_timeout().unwrap_or(policy.attempt_timeout),
            max_attempts: policy.max_attempts,
            successes: target.successes.unwrap_or(policy.successes),
            deadline: policy.timeout,
            own_deadline: target.timeout.unwrap_or(Deadline::Never),
            overlap: if target.is_command() { Overlap::OneAtATime } else { Overlap::Allowed },
        };
        Self::with_rules(targets.iter().map(rules).collect(), policy)
    }

    /// A wait for one target per rule.
    pub fn with_rules(rules: Vec<Rules>, policy: &Policy) -> Self {
        Self { trackers: rules.into_iter().map(Tracker::new).collect(), policy: policy.clone() }
    }

    /// Waits.
    pub fn run(&mut self, world: &mut impl World, observer: &mut impl Observer) -> Verdict {
        let begun = world.now();
        observer.observe(&Event::Waiting, self, begun);
        loop {
            let now = world.now();
            self.give_up_overdue(world, observer, now);
            if let Some(verdict) = self.verdict(now) {
                if verdict == Verdict::TimedOut {
                    self.explain_silence(world, now);
                }
                return verdict;
            }
            let held_up = self.start_due(world, observer, now);
            if observer.wakes_at().is_some_and(|at| at <= now) {
                observer.observe(&Event::Tick, self, now);
            }
            let until = [self.wakes_at(&held_up), observer.wakes_at()].into_iter().flatten().min();
            let mut next = world.next(until);
            // What has come meanwhile is taken together: each look at all targets takes its time.
            while let Some(message) = next {
                match message {
                    Arrival::Signal(signal) => {
                        let now = world.now();
                        self.explain_silence(world, now);
                        return Verdict::Interrupted(signal);
                    }
                    Arrival::Done { target, attempt, outcome } => {
                        if let Some(verdict) = self.finish(world, observer, target, attempt, outcome) {
                            return verdict;
                        }
                    }
                }
                next = world.next(Some(Duration::ZERO));
            }
        }
    }

    fn finish(
        &mut self,
        world: &mut impl World,
        observer: &mut impl Observer,
        target: usize,
        attempt: u32,
        outcome: Outcome,
    ) -> Option<Verdict> {
        let (now, jitter) = (world.now(), world.jitter());
        let change = self.trackers[target].finish(attempt, now, outcome, jitter);
        observer.observe(&Event::Changed { target, change: &change, attempt }, self, now);
        if matches!(change, Change::Ready(_) | Change::Confirmed) {
            world.abandon(target);
        }
        let is_permanent =
            matches!(&change, Change::NotReady { failure, .. } if failure.permanence() == Permanence::Permanent);
        if !is_permanent || self.policy.on_permanent == OnPermanent::Retry {
            return None;
        }
        self.trackers[target].give_up();
        match self.policy.quorum {
            Quorum::All => Some(Verdict::Failed(target)),
            Quorum::Any | Quorum::Each if self.trackers.iter().all(|tracker| tracker.state == State::GivenUp) => {
                Some(Verdict::Failed(target))
            }
            Quorum::Any | Quorum::Each => None,
        }
    }

    /// Begins what is due; gives the targets that there is no room for before a message comes.
    fn start_due(&mut self, world: &mut impl World, observer: &mut impl Observer, now: Duration) -> Vec<usize> {
        let mut held_up = Vec::new();
        let mut due: Vec<usize> = (0..self.trackers.len()).filter(|&index| self.trackers[index].is_due(now)).collect();
        due.sort_by_key(|&index| self.trackers[index].urgency());
        for target in due {
            if !world.has_room(target) {
                held_up.push(target);
                continue;
            }
            let (attempt, budget) = self.trackers[target].begin(now);
            if let Err(failure) = world.start(Start { target, attempt, budget }) {
                self.finish(world, observer, target, attempt, Err(failure));
            }
        }
        held_up
    }

    /// Ends the attempts that are stuck where no deadline reaches: in the name service.
    fn give_up_overdue(&mut self, world: &mut impl World, observer: &mut impl Observer, now: Duration) {
        for target in 0..self.trackers.len() {
            for (attempt, after) in self.trackers[target].overdue(now) {
                let failure = world.stage(target, attempt).timed_out(after);
                self.finish(world, observer, target, attempt, Err(failure));
            }
        }
    }

    /// At the end, a target that never answered is explained by what its attempts were doing.
    fn explain_silence(&mut self, world: &mut impl World, now: Duration) {
        for (target, tracker) in self.trackers.iter_mut().enumerate() {
            if tracker.state == State::Ready {
                continue;
            }
            match tracker.unanswered(now) {
                Some((attempt, since)) => tracker.note_reason(world.stage(target, attempt).timed_out(since)),
                None if tracker.last.is_none() => tracker.note_reason(Stage::Starting.timed_out(now)),
                None => {}
            }
        }
    }

    fn verdict(&mut self, now: Duration) -> Option<Verdict> {
        let is = |state: State| move |tracker: &Tracker| tracker.state == state;
        match self.policy.quorum {
            Quorum::Any if self.trackers.is_empty() || self.trackers.iter().any(is(State::Ready)) => {
                return Some(Verdict::Ready);
            }
            Quorum::All | Quorum::Each if self.trackers.iter().all(is(State::Ready)) => {
                let mut confirmed = true;
                for tracker in self.trackers.iter_mut().filter(|tracker| tracker.wants_confirmation(now, STALE)) {
                    tracker.confirm(now);
                    confirmed = false;
                }
                if confirmed {
                    return Some(Verdict::Ready);
                }
            }
            _ => {}
        }
        for tracker in &mut self.trackers {
            if tracker.is_out_of_time(now) && self.policy.quorum == Quorum::Any && !self.policy.timeout.is_past(now) {
                tracker.give_up();
            }
        }
        let lost = |tracker: &Tracker| tracker.state == State::GivenUp || tracker.is_out_of_time(now);
        let is_lost = match self.policy.quorum {
            Quorum::All => self.trackers.iter().any(lost),
            Quorum::Any => self.trackers.iter().all(lost),
            Quorum::Each => self.trackers.iter().all(|tracker| lost(tracker) || tracker.state == State::Ready),
        };
        (is_lost || self.policy.timeout.is_past(now)).then_some(Verdict::TimedOut)
    }

    fn wakes_at(&self, held_up: &[usize]) -> Option<Duration> {
        let targets = (0..self.trackers.len())
            .filter_map(|target| self.trackers[target].wakes_at(!held_up.contains(&target)))
            .min();
        let deadline = match self.policy.timeout {
            Deadline::At(at) => Some(at),
            Deadline::Never => None,
        };
        [targets, deadline].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
