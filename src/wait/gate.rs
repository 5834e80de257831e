//! All targets together: events in, attempts out, until there is a verdict.

use std::time::Duration;

use crate::wait::deadline::Deadline;
use crate::wait::outcome::{Kind, NotReady, Outcome, Permanence, Stage};
use crate::wait::policy::{OnPermanent, Policy, Quorum};
use crate::wait::tracker::{Begun, Change, Reach, Rules, State, Tracker};

/// A target that was seen ready longer ago than this is asked again before COMMAND runs: the official
/// Postgres image starts a temporary server for its init scripts, and stops it again.
const STALE: Duration = Duration::from_secs(5);
/// How long before the deadline the last round begins.
const LAST_ROUND: Duration = Duration::from_secs(1);
/// A wait that wakes so much later than it wanted to was stopped meanwhile (SIGSTOP, `docker pause`, a stalled machine).
pub(crate) const STALLED: Duration = Duration::from_millis(20);
/// The time after such a stop for hearing what has arrived, and for one more attempt.
pub(crate) const LAST_LOOK: Duration = Duration::from_millis(75);
/// Beginning attempts and taking outcomes goes on no longer than this before signals, the deadline and all else are
/// looked at again: with ten thousand targets each takes its time.
const TURN: Duration = Duration::from_millis(5);
/// Attempts that are kept make way for targets that find no room, no more often than this: room takes a moment to come.
const EVICTIONS: Duration = Duration::from_millis(100);

/// How the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything that is wanted is ready.
    Ready,
    /// The deadline, or the last allowed attempt, has passed.
    TimedOut,
    /// A failure that ends the wait: of the target [`Gate::failed`] where a gate says so. A check that is not healthy, and
    /// a run that stops before the wait, have failed too.
    Failed,
    /// A signal of this number came.
    Interrupted(i32),
}

/// A message from outside.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// An attempt has ended.
    Done {
        /// The index of the target.
        target: usize,
        /// The number of the attempt.
        attempt: u32,
        /// The outcome.
        outcome: Outcome,
    },
    /// A signal that ends the wait.
    Signal(i32),
}

/// Where attempts run and time passes.
pub(crate) trait World {
    /// The time since the wait began.
    fn now(&mut self) -> Duration;
    /// Whether a further attempt of this target can begin now, as far as threads and descriptors go.
    fn has_room(&mut self, target: usize) -> bool;
    /// Begins an attempt at the target.
    ///
    /// # Errors
    ///
    /// Why none can ever begin, as things are.
    fn start(&mut self, target: usize, begun: Begun) -> Result<(), NotReady>;
    /// The attempts under way for the target matter no more.
    fn abandon(&mut self, target: usize);
    /// The stage of the attempt; of attempt 0, why none has begun.
    fn stage(&mut self, target: usize, attempt: u32) -> Stage;
    /// How far the attempt has come; also right after its outcome was given by [`Self::next`].
    fn reach(&mut self, target: usize, attempt: u32) -> Reach {
        if self.stage(target, attempt).is_connected() { Reach::Connected } else { Reach::Unconnected }
    }
    /// The reason of an attempt that has gone unanswered for so long.
    fn unanswered(&mut self, target: usize, attempt: u32, after: Duration) -> NotReady {
        self.stage(target, attempt).timed_out(after)
    }
    /// Nobody waits for this attempt any more: its connection is closed.
    fn end(&mut self, _target: usize, _attempt: u32) {}
    /// The next message, or `None` at `until` (never, without; at once, if that is past).
    fn next(&mut self, until: Option<Duration>) -> Option<Arrival>;
    /// A number from -1 to 1.
    fn jitter(&mut self) -> f64;
}

/// An event to be told.
#[derive(Debug)]
pub(crate) enum Event<'a> {
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

/// A listener for events.
pub(crate) trait Observer {
    /// Something happened.
    fn observe(&mut self, event: &Event<'_>, gate: &Gate, now: Duration);
    /// When it wants a [`Event::Tick`]: to draw, or to remind of who is still awaited.
    fn wakes_at(&self) -> Option<Duration>;
}

/// A listener that tells nobody.
pub(crate) struct Mute;

impl Observer for Mute {
    fn observe(&mut self, _: &Event<'_>, _: &Gate, _: Duration) {}

    fn wakes_at(&self) -> Option<Duration> {
        None
    }
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
pub(crate) struct Gate {
    /// The targets, as they were given.
    pub(crate) trackers: Vec<Tracker>,
    policy: Policy,
    /// The target whose failure ends the wait: under `--fail-fast`, or because it is what the target names as its end.
    pub(crate) failed: Option<usize>,
    /// Whether the stale targets have been asked again since all became ready, and none of them has failed.
    is_round_begun: bool,
    /// Whether the deadline has been moved, because it came while this process was stopped.
    is_deadline_moved: bool,
    /// When attempts that are kept made way for others.
    evicted: Option<Duration>,
}

impl Gate {
    /// A wait for one target per rule, which has not begun.
    pub(crate) fn new(rules: Vec<Rules>, policy: &Policy) -> Self {
        Self {
            trackers: rules.into_iter().map(Tracker::new).collect(),
            policy: *policy,
            failed: None,
            is_round_begun: false,
            is_deadline_moved: false,
            evicted: None,
        }
    }

    /// Waits.
    pub(crate) fn run(&mut self, world: &mut impl World, observer: &mut dyn Observer) -> Verdict {
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
            let listened = world.now();
            if let Some(signal) = self.hear(world, observer, until) {
                let now = world.now();
                self.explain_silence(world, now);
                return Verdict::Interrupted(signal);
            }
            let now = world.now();
            let due = until.map(|until| until.max(listened).saturating_add(TURN).saturating_add(STALLED));
            if due.is_some_and(|due| due < now) {
                self.look_once_more(now);
            }
        }
    }

    /// Gives a moment to what was to end while this process was stopped: what has arrived meanwhile is heard, and a
    /// target that is not ready is asked once more.
    fn look_once_more(&mut self, now: Duration) {
        let ends = now.saturating_add(LAST_LOOK);
        let is_last = self.policy.timeout.is_past(now) && !self.is_deadline_moved;
        if is_last {
            self.policy.timeout = Deadline::At(ends);
            self.is_deadline_moved = true;
        }
        for tracker in &mut self.trackers {
            tracker.look_once_more(now, ends, is_last);
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
        if matches!(&outcome, Err(failure) if failure.kind == Kind::TimedOut || !failure.kind.is_refusal()) {
            self.trackers[target].learn(|attempt| world.reach(target, attempt));
        }
        let change = self.trackers[target].finish(attempt, now, outcome, jitter);
        self.is_round_begun &= !matches!(change, Change::NotReady { .. });
        observer.observe(&Event::Changed { target, change: &change, attempt }, self, now);
        if matches!(change, Change::Ready(_) | Change::Confirmed) {
            world.abandon(target);
        }
        let Change::NotReady { failure, .. } = &change else { return };
        if failure.kind == Kind::FailCondition {
            self.trackers[target].give_up();
            world.abandon(target);
            self.failed = self.failed.or(Some(target)).filter(|_| self.policy.quorum != Quorum::Each);
            return;
        }
        if failure.permanence() == Permanence::Permanent && self.policy.on_permanent == OnPermanent::Fail {
            self.trackers[target].give_up();
            world.abandon(target);
            // Where one of several is enough, the others may yet become ready.
            let is_needed = self.policy.quorum == Quorum::All || self.all_required(State::GivenUp);
            if is_needed && !self.trackers[target].is_optional() {
                self.failed = Some(target);
            }
        }
    }

    /// Whether all that are required are in this state.
    fn all_required(&self, state: State) -> bool {
        self.required().all(|tracker| tracker.state == state)
    }

    /// The targets that are not optional.
    fn required(&self) -> impl Iterator<Item = &Tracker> {
        self.trackers.iter().filter(|tracker| !tracker.is_optional())
    }

    /// Whether each optional target is ready, or is not waited for any more.
    fn optional_are_done(&self, now: Duration) -> bool {
        let mut optional = self.trackers.iter().filter(|tracker| tracker.is_optional());
        optional.all(|tracker| tracker.state == State::Ready || is_lost(tracker, now))
    }

    /// Whether one of those that are no optional ones is ready, and none has met its end: enough for a check under `--any`.
    pub(crate) fn has_one_ready(&self) -> bool {
        let has_failed = self.trackers.iter().any(|tracker| tracker.history.has_met_its_end());
        !has_failed && self.required().any(|tracker| tracker.state == State::Ready)
    }

    /// Begins what is due, as far as there is room and this turn lasts.
    fn start_due(&mut self, world: &mut impl World, observer: &mut dyn Observer, now: Duration) -> Turn {
        let mut held_up = vec![false; self.trackers.len()];
        let mut due: Vec<usize> = (0..self.trackers.len()).filter(|&index| self.trackers[index].is_due(now)).collect();
        due.sort_by_key(|&index| self.trackers[index].urgency());
        let (mut is_over, turn_ends) = (false, now.saturating_add(TURN));
        let mut starved = 0;
        for target in due {
            let now = world.now();
            self.trackers[target].learn(|attempt| world.reach(target, attempt));
            self.report_hanging(world, observer, target, now);
            if !self.trackers[target].is_due(now) {
                is_over |= self.policy.timeout.is_past(now);
                continue;
            }
            if !world.has_room(target) {
                held_up[target] = true;
                starved += usize::from(!self.trackers[target].is_under_way());
                continue;
            }
            if is_over {
                return Turn::Over;
            }
            if let Some(attempt) = self.trackers[target].make_way() {
                world.end(target, attempt);
            }
            let begun = self.trackers[target].begin(now, world.jitter());
            if let Err(failure) = world.start(target, begun) {
                self.finish(world, observer, target, begun.attempt, Err(failure));
                // The verdict may have waited for this target alone.
                is_over = true;
            }
            is_over |= now > turn_ends;
        }
        self.make_room(world, now, starved);
        if is_over { Turn::Over } else { Turn::Done { held_up } }
    }

    /// Where so many targets find no room for any attempt, as many that are kept elsewhere although their time is up
    /// make way, the oldest first.
    fn make_room(&mut self, world: &mut impl World, now: Duration, starved: usize) {
        if starved == 0 || self.evicted.is_some_and(|evicted| now < evicted.saturating_add(EVICTIONS)) {
            return;
        }
        self.evicted = Some(now);
        let mut kept: Vec<(Duration, usize, u32)> = Vec::new();
        for (target, tracker) in self.trackers.iter().enumerate() {
            kept.extend(tracker.oldest_kept().map(|(began, attempt)| (began, target, attempt)));
        }
        kept.sort_unstable();
        for (_, target, attempt) in kept.into_iter().take(starved) {
            self.trackers[target].forget(attempt);
            world.end(target, attempt);
        }
    }

    /// Ends the attempts that are stuck where no deadline reaches, in the name service or a file system, and reports
    /// those that are kept.
    fn give_up_overdue(&mut self, world: &mut impl World, observer: &mut dyn Observer, now: Duration) {
        for target in 0..self.trackers.len() {
            if self.trackers[target].is_overdue(now) {
                self.trackers[target].learn(|attempt| world.reach(target, attempt));
            }
            for (attempt, after) in self.trackers[target].overdue(now) {
                let failure = world.unanswered(target, attempt, after);
                world.end(target, attempt);
                self.finish(world, observer, target, attempt, Err(failure));
            }
            self.report_hanging(world, observer, target, now);
        }
    }

    fn report_hanging(&mut self, world: &mut impl World, observer: &mut dyn Observer, target: usize, now: Duration) {
        for (attempt, after) in self.trackers[target].hanging(now) {
            let failure = world.unanswered(target, attempt, after);
            let change = self.trackers[target].report_hanging(attempt, failure);
            // It is ready no more: once it is again, what is stale by then is asked again.
            self.is_round_begun = false;
            observer.observe(&Event::Changed { target, change: &change, attempt }, self, now);
        }
    }

    /// At the end, a target that never answered is explained by what its attempts were doing.
    fn explain_silence(&mut self, world: &mut impl World, now: Duration) {
        for (target, tracker) in self.trackers.iter_mut().enumerate() {
            if tracker.state == State::Ready {
                continue;
            }
            match tracker.unanswered(now) {
                Some((attempt, since)) => {
                    let failure = world.unanswered(target, attempt, since);
                    tracker.explain(attempt, failure);
                }
                None => {
                    let stage = world.stage(target, 0);
                    let had_no_room = matches!(stage, Stage::Crowded | Stage::Starting);
                    if tracker.history.last.is_none() && (tracker.history.proof.is_none() || had_no_room) {
                        tracker.history.note_reason(stage.timed_out(now));
                    }
                }
            }
        }
    }

    /// Does what becomes due by time alone, or because all are ready.
    fn settle(&mut self, observer: &mut dyn Observer, now: Duration) {
        let is_last_moment = self.policy.timeout.is_past(now);
        if !is_last_moment {
            for tracker in &mut self.trackers {
                if tracker.is_out_of_time(now) && (self.policy.quorum == Quorum::Any || tracker.is_optional()) {
                    tracker.give_up();
                }
            }
        }
        // Side by side, so that all are ready at one time. A slow round is not followed by another.
        let is_time = self.optional_are_done(now) || self.last_round_at().is_some_and(|at| at <= now);
        let all_ready = self.all_required(State::Ready) && is_time;
        if self.policy.quorum != Quorum::Any && all_ready && !is_last_moment && !self.is_round_begun {
            self.is_round_begun = true;
            for tracker in &mut self.trackers {
                if !tracker.is_optional() && tracker.wants_confirmation(now, STALE) {
                    tracker.confirm(now);
                }
            }
        }
        // All of them were ready, and of none is it known that it is so no more.
        let may_count = |tracker: &Tracker| tracker.may_count_as_ready(now);
        if is_last_moment && self.policy.quorum == Quorum::All && self.required().all(may_count) {
            for target in 0..self.trackers.len() {
                if self.trackers[target].state == State::Confirming {
                    self.trackers[target].become_ready();
                    observer.observe(&Event::Unconfirmed { target }, self, now);
                }
            }
        }
    }

    /// When the required targets are asked again at the latest, so that what is optional, and is waited for until the
    /// deadline, makes their readiness no older.
    fn last_round_at(&self) -> Option<Duration> {
        self.policy.timeout.at().map(|at| at.saturating_sub(LAST_ROUND.min(at / 4)))
    }

    /// How the wait has ended, if it has.
    fn verdict(&self, now: Duration) -> Option<Verdict> {
        let is_ready = |tracker: &Tracker| tracker.state == State::Ready;
        let is_past = self.policy.timeout.is_past(now);
        let all_ready = self.all_required(State::Ready) && (is_past || self.optional_are_done(now));
        let (is_ready, is_over) = match self.policy.quorum {
            // An optional one does only where all are.
            Quorum::Any if self.required().next().is_none() => (all_ready || self.trackers.iter().any(is_ready), false),
            Quorum::Any => (self.required().any(is_ready), self.required().all(|tracker| is_lost(tracker, now))),
            Quorum::All => (all_ready, self.required().any(|tracker| is_lost(tracker, now))),
            Quorum::Each => {
                let is_done = |tracker: &Tracker| is_lost(tracker, now) || is_ready(tracker);
                let has_failed = self.trackers.iter().any(|tracker| tracker.history.has_met_its_end());
                (all_ready && !has_failed, self.trackers.iter().all(is_done))
            }
        };
        match self.failed {
            Some(target) if self.trackers[target].history.has_met_its_end() => Some(Verdict::Failed),
            _ if is_ready => Some(Verdict::Ready),
            Some(_) => Some(Verdict::Failed),
            None => (is_over || is_past).then_some(Verdict::TimedOut),
        }
    }

    fn wakes_at(&self, held_up: &[bool]) -> Option<Duration> {
        let targets =
            self.trackers.iter().zip(held_up).filter_map(|(tracker, held_up)| tracker.wakes_at(!held_up)).min();
        let round = self.last_round_at().filter(|_| !self.is_round_begun && self.all_required(State::Ready));
        [targets, self.policy.timeout.at(), round].into_iter().flatten().min()
    }
}

/// Whether nothing more comes of a target.
fn is_lost(tracker: &Tracker, now: Duration) -> bool {
    tracker.state == State::GivenUp || tracker.is_out_of_time(now)
}

#[cfg(test)]
mod tests;
