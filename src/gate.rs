//! All targets together: events in, attempts out, until there is a verdict.

use std::time::Duration;

use crate::config::{OnPermanent, Policy, Quorum};
use crate::deadline::Deadline;
use crate::endpoint::Target;
use crate::outcome::{NotReady, Outcome, Permanence, Stage};
use crate::retry::{Change, Overlap, Rules, State, Tracker};
use crate::sort;

/// A target that was ready longer ago than this is asked once more before COMMAND runs: the official
/// Postgres image starts a temporary server for its init scripts, and stops it again.
const STALE: Duration = Duration::from_secs(5);
/// Beginning attempts and taking outcomes goes on no longer than this before signals, the deadline and all else are
/// looked at again: with ten thousand targets each takes its time.
const TURN: Duration = Duration::from_millis(5);

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
    /// Whether a further attempt of this target can begin now, as far as threads and descriptors go.
    fn has_room(&mut self, target: usize) -> bool;
    /// Begins an attempt.
    ///
    /// # Errors
    ///
    /// Why none can ever begin, as things are.
    fn start(&mut self, start: Start) -> Result<(), NotReady>;
    /// What is under way for the target matters no more.
    fn abandon(&mut self, target: usize);
    /// What the attempt is doing; of attempt 0, why none has begun.
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
    /// The deadline came while this target, which had been ready, was asked once more and had not answered: it is
    /// taken at its word.
    Unconfirmed {
        /// The index of the target.
        target: usize,
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

/// How far beginning attempts went.
enum Turn {
    /// Everything else is to be looked at, and then on with it.
    Over,
    /// All that is due has begun, but for the targets that there is no room for before a message comes.
    Done {
        /// For each target, whether it is one of these.
        held_up: Vec<bool>,
    },
}

/// The state of the whole wait.
#[derive(Debug)]
pub struct Gate {
    /// The targets, as they were given.
    pub trackers: Vec<Tracker>,
    policy: Policy,
    /// The target whose failure ends the wait, under `--fail-fast`.
    failed: Option<usize>,
}

impl Gate {
    /// A wait for `targets` that has not begun.
    pub fn new(targets: &[Target], policy: &Policy) -> Self {
        // Where each is given one chance, what a target says of its wait means nothing.
        let waits = policy.quorum != Quorum::Each;
        let rules = |target: &Target| Rules {
            backoff: policy.backoff,
            attempt_timeout: target.attempt_timeout().unwrap_or(policy.attempt_timeout),
            max_attempts: policy.max_attempts,
            successes: target.successes.filter(|_| waits).unwrap_or(policy.successes),
            deadline: policy.timeout,
            own_deadline: target.timeout.filter(|_| waits).unwrap_or(Deadline::Never),
            overlap: if target.is_command() { Overlap::OneAtATime } else { Overlap::Allowed },
        };
        Self::with_rules(targets.iter().map(rules).collect(), policy)
    }

    /// A wait for one target per rule.
    pub fn with_rules(rules: Vec<Rules>, policy: &Policy) -> Self {
        Self { trackers: rules.into_iter().map(Tracker::new).collect(), policy: policy.clone(), failed: None }
    }

    /// Waits.
    pub fn run(&mut self, world: &mut impl World, observer: &mut dyn Observer) -> Verdict {
        let begun = world.now();
        observer.observe(&Event::Waiting, self, begun);
        loop {
            let now = world.now();
            self.give_up_overdue(world, observer, now);
            self.settle(observer, now);
            if let Some(verdict) = self.verdict(now) {
                if verdict == Verdict::TimedOut {
                    self.explain_silence(world, now);
                }
                return verdict;
            }
            let until = match self.start_due(world, observer, now) {
                Turn::Over => Some(Duration::ZERO),
                Turn::Done { held_up } => [self.wakes_at(&held_up), observer.wakes_at()].into_iter().flatten().min(),
            };
            if observer.wakes_at().is_some_and(|at| at <= now) {
                observer.observe(&Event::Tick, self, now);
            }
            if let Some(signal) = self.hear(world, observer, until) {
                let now = world.now();
                self.explain_silence(world, now);
                return Verdict::Interrupted(signal);
            }
        }
    }

    /// Takes what comes before `until`. What has come meanwhile is taken together, because each look at all
    /// targets takes its time. Gives the signal, if there is one.
    fn hear(&mut self, world: &mut impl World, observer: &mut dyn Observer, until: Option<Duration>) -> Option<i32> {
        let mut next = world.next(until);
        let mut ends = None;
        while let Some(message) = next {
            match message {
                Arrival::Signal(signal) => return Some(signal),
                Arrival::Done { target, attempt, outcome } => self.finish(world, observer, target, attempt, outcome),
            }
            let now = world.now();
            if self.failed.is_some() || now > *ends.get_or_insert(now.saturating_add(TURN)) {
                break;
            }
            next = world.next(Some(Duration::ZERO));
        }
        None
    }

    fn finish(
        &mut self,
        world: &mut impl World,
        observer: &mut dyn Observer,
        target: usize,
        attempt: u32,
        outcome: Outcome,
    ) {
        let (now, jitter) = (world.now(), world.jitter());
        let change = self.trackers[target].finish(attempt, now, outcome, jitter);
        observer.observe(&Event::Changed { target, change: &change, attempt }, self, now);
        if matches!(change, Change::Ready(_) | Change::Confirmed) {
            world.abandon(target);
        }
        let is_permanent =
            matches!(&change, Change::NotReady { failure, .. } if failure.permanence() == Permanence::Permanent);
        if is_permanent && self.policy.on_permanent == OnPermanent::Fail {
            self.trackers[target].give_up();
            // Where one of several is enough, the others may yet become ready.
            if self.policy.quorum == Quorum::All || self.all(State::GivenUp) {
                self.failed = Some(target);
            }
        }
    }

    /// Begins what is due, as far as there is room and this turn lasts.
    fn start_due(&mut self, world: &mut impl World, observer: &mut dyn Observer, now: Duration) -> Turn {
        let mut held_up = vec![false; self.trackers.len()];
        let mut due: Vec<usize> = (0..self.trackers.len()).filter(|&index| self.trackers[index].is_due(now)).collect();
        let urgency = |index: usize| (self.trackers[index].urgency(), index);
        sort::indices(&mut due, &|one, other| urgency(one).cmp(&urgency(other)));
        let (mut is_over, turn_ends) = (false, now.saturating_add(TURN));
        for target in due {
            if !world.has_room(target) {
                held_up[target] = true;
                continue;
            }
            let now = world.now();
            if is_over || !self.trackers[target].is_due(now) {
                return Turn::Over;
            }
            let (attempt, budget) = self.trackers[target].begin(now);
            if let Err(failure) = world.start(Start { target, attempt, budget }) {
                self.finish(world, observer, target, attempt, Err(failure));
                // It may have been the last thing that the verdict waited for.
                is_over = true;
            }
            is_over |= now > turn_ends;
        }
        if is_over { Turn::Over } else { Turn::Done { held_up } }
    }

    /// Ends the attempts that are stuck where no deadline reaches: in the name service or a file system.
    fn give_up_overdue(&mut self, world: &mut impl World, observer: &mut dyn Observer, now: Duration) {
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
                Some((attempt, since)) => tracker.history.note_reason(world.stage(target, attempt).timed_out(since)),
                None if tracker.history.last.is_none() => {
                    tracker.history.note_reason(world.stage(target, 0).timed_out(now));
                }
                None => {}
            }
        }
    }

    /// Does what becomes due by time alone, or because all are ready.
    fn settle(&mut self, observer: &mut dyn Observer, now: Duration) {
        let is_last_moment = self.policy.timeout.is_past(now);
        if self.policy.quorum == Quorum::Any && !is_last_moment {
            for tracker in self.trackers.iter_mut().filter(|tracker| tracker.is_out_of_time(now)) {
                tracker.give_up();
            }
        }
        if self.policy.quorum != Quorum::Any && self.all(State::Ready) && !is_last_moment {
            for tracker in self.trackers.iter_mut().filter(|tracker| tracker.wants_confirmation(now, STALE)) {
                tracker.confirm(now);
            }
        }
        // All of them were ready, and of none is it known that it is so no more.
        let were_ready = |tracker: &Tracker| matches!(tracker.state, State::Ready | State::Confirming);
        if is_last_moment && self.policy.quorum == Quorum::All && self.trackers.iter().all(were_ready) {
            for target in 0..self.trackers.len() {
                if self.trackers[target].state == State::Confirming {
                    self.trackers[target].take_at_its_word();
                    observer.observe(&Event::Unconfirmed { target }, self, now);
                }
            }
        }
    }

    fn all(&self, state: State) -> bool {
        self.trackers.iter().all(|tracker| tracker.state == state)
    }

    /// How the wait has ended, if it has.
    fn verdict(&self, now: Duration) -> Option<Verdict> {
        let is_lost = |tracker: &Tracker| tracker.state == State::GivenUp || tracker.is_out_of_time(now);
        let is_ready = |tracker: &Tracker| tracker.state == State::Ready;
        let mut trackers = self.trackers.iter();
        let all_ready = self.all(State::Ready);
        let (is_ready, is_over) = match self.policy.quorum {
            Quorum::Any => (all_ready || trackers.any(is_ready), self.trackers.iter().all(is_lost)),
            Quorum::All => (all_ready, trackers.any(is_lost)),
            Quorum::Each => (all_ready, trackers.all(|tracker| is_lost(tracker) || is_ready(tracker))),
        };
        match self.failed {
            _ if is_ready => Some(Verdict::Ready),
            Some(target) => Some(Verdict::Failed(target)),
            None => (is_over || self.policy.timeout.is_past(now)).then_some(Verdict::TimedOut),
        }
    }

    fn wakes_at(&self, held_up: &[bool]) -> Option<Duration> {
        let targets =
            self.trackers.iter().zip(held_up).filter_map(|(tracker, held_up)| tracker.wakes_at(!held_up)).min();
        let deadline = match self.policy.timeout {
            Deadline::At(at) => Some(at),
            Deadline::Never => None,
        };
        [targets, deadline].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
