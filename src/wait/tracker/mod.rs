//! One target: when to attempt, what an outcome means, when to attempt again. Pure: time is passed in.

mod flights;
mod history;
mod spacing;

use std::time::Duration;

use crate::wait::backoff::{Pauses, jittered, upwards};
use crate::wait::deadline::Deadline;
use crate::wait::outcome::{Kind, NotReady, Outcome};
use crate::wait::policy::{Policy, Silence};

use flights::{Flight, Flights};
pub(crate) use history::History;
use spacing::SLOW;
pub(crate) use spacing::{MAX_OPEN, Reach};

/// The age from which an attempt that is under way at the end says more than the last failure does.
const TELLING: Duration = Duration::from_millis(500);
/// From this time-out on, its reason names the limit.
const NAMES_LIMIT: u32 = 3;
/// A kind of failure that is new begins again with short pauses, no more often than this.
const RESTARTS: Duration = Duration::from_secs(5);
/// For how long at least a target that was ready may leave the attempt unanswered that confirms it, and count as ready when
/// the deadline comes.
const UNCONFIRMED: Duration = Duration::from_millis(250);

/// The rules of one target's wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// What the options say of all targets, but for what this one says of itself.
    pub(crate) policy: Policy,
    /// The target's own deadline, for becoming ready the first time.
    pub(crate) own_deadline: Deadline,
    /// Whether attempts may overlap.
    pub(crate) overlap: Overlap,
    /// Whether it is waited for, and no reason to fail.
    pub(crate) is_optional: bool,
}

/// Whether another attempt begins beside one that goes unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// Allowed: what hangs is one connection of many.
    Allowed,
    /// One at a time, and no pause but those before the last calls is shorter than the last attempt took: commands cost what
    /// they cost, and a wait with one keeps no more than half a core busy.
    OneAtATime,
}

/// Where a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not ready yet.
    Waiting,
    /// Ready a while ago, and asked once more.
    Confirming,
    /// Ready.
    Ready,
    /// Its attempts, its own deadline or its chances are used up.
    GivenUp,
}

impl State {
    /// Whether an answer is still to come.
    fn is_awaited(self) -> bool {
        matches!(self, Self::Waiting | Self::Confirming)
    }
}

/// The change that an outcome made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Ready, as this proves.
    Ready(String),
    /// Once more, as it was a while ago.
    Confirmed,
    /// A success of several.
    Success(String),
    /// Not ready.
    NotReady {
        /// Why.
        failure: NotReady,
        /// The pause until it is asked again, where it is asked slowly because somebody has to mend it.
        slowly: Option<Duration>,
    },
    /// The outcome came too late to matter.
    Stale,
}

/// An attempt that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Its number, from 1.
    pub(crate) attempt: u32,
    /// The time that it has, or has to connect where silent ones are kept.
    pub(crate) budget: Duration,
    /// The time that it has once it is connected; none, if it lasts until it is answered.
    pub(crate) patience: Option<Duration>,
}

/// A target through the whole wait.
#[derive(Debug, Clone)]
pub(crate) struct Tracker {
    rules: Rules,
    /// Where it stands.
    pub(crate) state: State,
    /// The findings of its attempts.
    pub(crate) history: History,
    flights: Flights,
    /// When the next attempt begins, if nothing is heard before.
    next: Option<Duration>,
    /// When an attempt last began or ended: the next is planned from here.
    since: Duration,
    /// The end of the pause after what was heard last.
    rested: Duration,
    /// The least pause before the next attempt but a last call.
    rest: Duration,
    /// When a success of a row last counted.
    counted: Duration,
    /// How many attempts have begun since the pauses began: at first, after a success, and with a kind of failure
    /// that is new in this wait.
    attempts: u32,
    /// How long the last answer took.
    answered_in: Duration,
    /// When it was last asked once more whether it is still ready.
    asked_again: Duration,
    /// When the pauses began again for a kind of failure that was new.
    restarted: Duration,
    /// The last random number, from -1 to 1.
    jitter: f64,
    /// Whether the next attempt is due whatever the pauses say.
    is_urgent: bool,
}

impl Tracker {
    /// A target that has not been attempted; the first attempt is due at once.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Waiting,
            history: History::default(),
            flights: Flights::default(),
            next: Some(Duration::ZERO),
            since: Duration::ZERO,
            rested: Duration::ZERO,
            rest: Duration::ZERO,
            counted: Duration::ZERO,
            attempts: 0,
            answered_in: Duration::ZERO,
            asked_again: Duration::ZERO,
            restarted: Duration::ZERO,
            jitter: 0.0,
            is_urgent: false,
        }
    }

    /// Whether it is waited for, and no reason to fail.
    pub(crate) fn is_optional(&self) -> bool {
        self.rules.is_optional
    }

    /// Whether an attempt is due.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.next.is_some_and(|next| next <= now) && !self.deadline().is_past(now)
    }

    /// The moment at which something is to be done: an attempt begun, reported or given up.
    pub(crate) fn wakes_at(&self, with_starts: bool) -> Option<Duration> {
        let next = self.next.filter(|_| with_starts);
        let expires = |flight: &Flight| flight.reported.is_none();
        let expiry = self.flights.iter().filter(expires).map(|flight| flight.overdue_at()).min();
        let own = self.deadline().at().filter(|_| self.state.is_awaited());
        [next, expiry, own].into_iter().flatten().min()
    }

    /// The order in which due targets begin: those that were never attempted first, then those with nothing
    /// under way, then those that have waited longest.
    pub(crate) fn urgency(&self) -> (bool, usize, Duration) {
        (self.history.attempts > 0, self.flights.count(), self.flights.last_began())
    }

    /// The deadline that counts now: a target that was ready in time has met its own.
    fn deadline(&self) -> Deadline {
        match self.history.ready_after {
            Some(_) => self.rules.policy.timeout,
            None => self.rules.policy.timeout.min(self.rules.own_deadline),
        }
    }

    /// Begins an attempt. `jitter` is a number from -1 to 1.
    pub(crate) fn begin(&mut self, now: Duration, jitter: f64) -> Begun {
        self.history.attempts += 1;
        self.attempts = self.attempts.saturating_add(1);
        self.jitter = jitter;
        let attempt = self.history.attempts;
        let longest = now.saturating_add(self.rules.policy.attempt_timeout);
        let ends = self.deadline().at().map_or(longest, |at| at.min(longest));
        self.flights.begin(Flight::new(attempt, now, ends));
        if self.is_urgent {
            self.asked_again = now;
        }
        (self.since, self.rested, self.is_urgent) = (now, now, false);
        self.plan();
        let budget = ends.saturating_sub(now);
        let patience = match self.rules.policy.silence {
            Silence::Kept => self.deadline().remaining(now),
            Silence::Ended => Some(budget),
        };
        Begun { attempt, budget, patience }
    }

    /// The attempt that is to end before another begins, so that no more than [`MAX_OPEN`] are open.
    pub(crate) fn make_way(&mut self) -> Option<u32> {
        if self.flights.count() < MAX_OPEN {
            return None;
        }
        let flight = self.flights.least_useful()?;
        self.flights.land(flight.attempt);
        Some(flight.attempt)
    }

    /// Learns how far the attempts under way have come, each by its number, on which depends when the next may begin
    /// beside them.
    pub(crate) fn learn(&mut self, reach: impl FnMut(u32) -> Reach) {
        if self.flights.count() > 0 && self.state != State::Ready {
            self.flights.learn(reach);
            self.plan();
        }
    }

    /// Whether attempts are under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.flights.count() > 0
    }

    /// Plans the next attempt: when the pause is over, what is under way has had its time, and no closer to the last
    /// one than configured; or just before the deadline.
    fn plan(&mut self) {
        if self.is_urgent {
            return;
        }
        let is_alone = self.rules.overlap == Overlap::Allowed || self.flights.count() == 0;
        if self.is_exhausted() || !is_alone {
            self.next = None;
            return;
        }
        let beside = self.flights.leave_room_at(self.since, self.answered_in);
        let beside = match self.flights.newest() {
            Some(newest) => newest.began.saturating_add(self.jittered(beside.saturating_sub(newest.began))),
            None => Duration::ZERO,
        };
        let least =
            self.flights.last_began().saturating_add(self.rules.policy.pauses.least(self.attempts, self.jitter));
        let at = self.rested.max(beside).max(least);
        // Whom the peer holds back is told when that is over: another connection would only be held back as well.
        let is_held_back = self.flights.newest().is_some_and(|flight| flight.reach == Reach::HeldBack);
        let deadline = if is_held_back { Deadline::Never } else { self.deadline() };
        let last_call = spacing::last_call(deadline, self.since, least, self.rest);
        self.next = spacing::fit(at, self.since, self.rest, self.rules.policy.pauses, last_call);
    }

    /// A gap beside what is under way, with its jitter.
    fn jittered(&self, gap: Duration) -> Duration {
        let is_least = self.flights.iter().any(|flight| flight.reach >= Reach::Spoken);
        match self.rules.policy.pauses {
            Pauses::Default if !is_least => jittered(gap, self.jitter),
            _ => jittered(gap, upwards(self.jitter)),
        }
    }

    /// Takes the outcome of an attempt. `jitter` is a number from -1 to 1.
    pub(crate) fn finish(&mut self, attempt: u32, now: Duration, outcome: Outcome, jitter: f64) -> Change {
        let Some(flight) = self.flights.land(attempt) else {
            return Change::Stale;
        };
        (self.since, self.jitter) = (now, jitter);
        let took = now.saturating_sub(flight.began);
        self.history.latency = Some(took);
        if is_answer(&outcome) {
            self.answered_in = took;
        }
        if self.rules.overlap == Overlap::OneAtATime {
            self.rest = took;
        }
        if let Some(kind) = flight.reported {
            self.history.uncount(kind);
        }
        match outcome {
            Ok(ready) => self.succeed(flight, now, ready.proof),
            Err(failure) => self.fail(flight, now, failure),
        }
    }

    fn succeed(&mut self, flight: Flight, now: Duration, proof: String) -> Change {
        let pause = self.rules.policy.pauses.pause(1, false, self.jitter);
        // Attempts that were kept side by side may be answered all at once: they are one success. One that began later is
        // another; so is one that comes half a pause later: answers take unequally long.
        let is_apart = flight.began >= self.counted || now >= self.counted.saturating_add(pause / 2);
        let counts = self.history.succeeded_in_a_row == 0 || is_apart;
        self.history.succeeded(flight.began, &proof, counts);
        self.attempts = 0;
        let was = self.state;
        if was == State::Waiting && self.history.succeeded_in_a_row < self.rules.policy.successes {
            if counts {
                self.counted = now;
                self.rested = now.saturating_add(pause);
            }
            self.plan();
            // The last of the attempts that are allowed was a success, but not the last one needed.
            self.give_up_if_exhausted();
            return Change::Success(proof);
        }
        self.history.was_seen_ready(now);
        self.become_ready();
        if was == State::Confirming { Change::Confirmed } else { Change::Ready(proof) }
    }

    /// Takes it for ready: it has proven so; or it was so, and its confirmation has not failed.
    pub(crate) fn become_ready(&mut self) {
        self.state = State::Ready;
        self.flights.clear();
        (self.next, self.is_urgent) = (None, false);
    }

    fn fail(&mut self, flight: Flight, now: Duration, mut failure: NotReady) -> Change {
        let is_new = self.history.count(&failure);
        // A later attempt has succeeded already: this one tells of an earlier time.
        if self.history.has_succeeded_since(flight.began) {
            self.plan();
            self.give_up_if_exhausted();
            return Change::Stale;
        }
        // An attempt that the deadline cut short tells less than an attempt that came to its end.
        let is_cut = failure.kind == Kind::TimedOut && flight.length() < self.rules.policy.attempt_timeout;
        if failure.kind == Kind::TimedOut && !is_cut && self.history.times(Kind::TimedOut) >= NAMES_LIMIT {
            name_the_limit(&mut failure.reason);
        }
        if self.state == State::Confirming && is_cut {
            // The target was ready, and nothing says that it is not.
            return Change::Stale;
        }
        self.state = State::Waiting;
        let is_brief = self.rules.overlap == Overlap::OneAtATime || flight.length() < TELLING;
        // So does one that is still under way: it had more time.
        let tells_more = self.history.last.is_some() || self.flights.count() > 0;
        let keeps_reason = is_cut && is_brief && tells_more;
        self.history.failed(now, (!keeps_reason).then_some(&failure));
        let pause = self.pause_after(&flight, now, &failure, is_new);
        self.rested = now.saturating_add(pause);
        self.plan();
        self.give_up_if_exhausted();
        let slowly = failure.waits_for_somebody().then_some(pause);
        Change::NotReady { failure, slowly }
    }

    /// The pause after a failure.
    fn pause_after(&mut self, flight: &Flight, now: Duration, failure: &NotReady, is_new: bool) -> Duration {
        let ran_out = failure.kind == Kind::TimedOut || !failure.kind.is_refusal() && flight.ends <= now;
        if ran_out && flight.reach > Reach::Unconnected {
            self.flights.hung(flight);
            let at = self.flights.leave_room_after(flight, now);
            return at.saturating_sub(now);
        }
        if is_new && now >= self.restarted.saturating_add(RESTARTS) {
            self.restarted = now;
            self.attempts = 1;
        }
        let pause = self.rules.policy.pauses.pause(self.attempts, failure.kind.is_refusal(), self.jitter);
        if failure.waits_for_somebody() { pause.max(jittered(SLOW, upwards(self.jitter))) } else { pause }
    }

    fn is_exhausted(&self) -> bool {
        self.rules.policy.max_attempts.is_some_and(|max| self.history.attempts >= max)
    }

    fn give_up_if_exhausted(&mut self) {
        if self.is_exhausted() && self.flights.count() == 0 && self.state != State::Ready {
            self.give_up();
        }
    }

    /// The attempts whose time is up, and the time that each had: those that have not reported, and those that are
    /// kept but were the last.
    pub(crate) fn overdue(&self, now: Duration) -> Vec<(u32, Duration)> {
        let is_over = self.is_exhausted() && self.flights.iter().all(|flight| flight.is_overdue(now));
        let is_kept = |flight: &Flight| self.rules.policy.silence == Silence::Kept && flight.reach > Reach::Unconnected;
        let due = self.flights.iter().filter(|flight| flight.is_overdue(now));
        due.filter(|flight| is_over || !is_kept(flight)).map(|flight| (flight.attempt, flight.length())).collect()
    }

    /// Whether the time of any attempt is up that has not been reported.
    pub(crate) fn is_overdue(&self, now: Duration) -> bool {
        self.flights.iter().any(|flight| flight.reported.is_none() && flight.is_overdue(now))
    }

    /// The attempts that are kept and of which nothing has been said although their time is up, or the peer has said
    /// that it holds them back; and the time that each has had.
    pub(crate) fn hanging(&self, now: Duration) -> Vec<(u32, Duration)> {
        let is_due = |flight: &Flight| flight.reach == Reach::HeldBack || flight.is_overdue(now);
        let due = self.flights.iter().filter(|flight| flight.reported.is_none() && is_due(flight));
        due.map(|flight| (flight.attempt, flight.length())).collect()
    }

    /// Reports an attempt as hanging for this reason. It is kept.
    pub(crate) fn report_hanging(&mut self, attempt: u32, failure: NotReady) -> Change {
        self.flights.report(attempt, failure.kind);
        self.state = State::Waiting;
        self.history.note_reason(failure.clone());
        Change::NotReady { failure, slowly: None }
    }

    /// The oldest attempt that is kept although its time is up: where room is short, it makes way for another target.
    pub(crate) fn oldest_kept(&self) -> Option<(Duration, u32)> {
        self.flights.iter().find(|flight| flight.reported.is_some()).map(|flight| (flight.began, flight.attempt))
    }

    /// Waits for this attempt no more.
    pub(crate) fn forget(&mut self, attempt: u32) {
        self.flights.land(attempt);
        self.give_up_if_exhausted();
    }

    /// The oldest attempt under way that tells more than the last failure does, and its age: without
    /// a failure any, else one that began after it and has gone unanswered for a while, or that is the failure.
    pub(crate) fn unanswered(&self, now: Duration) -> Option<(u32, Duration)> {
        let flight = self.flights.oldest()?;
        let age = now.saturating_sub(flight.began);
        let may_overlap = self.rules.overlap == Overlap::Allowed;
        let is_later = flight.began >= self.history.failed_at;
        let tells_more = match &self.history.last {
            None => true,
            Some(last) if flight.reported.is_some() => Some(last.kind) == flight.reported,
            Some(_) => may_overlap && is_later && age >= TELLING,
        };
        tells_more.then_some((flight.attempt, age))
    }

    /// Records at the end why the attempt that was found by [`Self::unanswered`] leaves it not ready.
    pub(crate) fn explain(&mut self, attempt: u32, failure: NotReady) {
        if let Some(kind) = self.flights.land(attempt).and_then(|flight| flight.reported) {
            self.history.uncount(kind);
        }
        self.history.note_reason(failure);
    }

    /// Asks a target once more that was ready a while ago.
    pub(crate) fn confirm(&mut self, now: Duration) {
        self.state = State::Confirming;
        self.attempts = 0;
        (self.next, self.is_urgent) = (Some(now), true);
    }

    /// Whether it is ready; or was so, and has been asked once more so lately that it may yet answer as it did.
    pub(crate) fn may_count_as_ready(&self, now: Duration) -> bool {
        let patience = UNCONFIRMED.max(self.answered_in.saturating_mul(2));
        let is_recent = now.saturating_sub(self.asked_again) <= patience;
        // One that is urgent has not been asked yet.
        self.state == State::Ready || self.state == State::Confirming && (self.is_urgent || is_recent)
    }

    /// Whether it was last seen ready longer ago than `stale`. One that has no attempt left is taken at its word.
    pub(crate) fn wants_confirmation(&self, now: Duration, stale: Duration) -> bool {
        !self.is_exhausted() && self.history.last_seen_ready(now) > stale
    }

    /// Lets what was to end by `now` last until `ends`: its own attempts, its own deadline, and with `is_last` the
    /// deadline of the whole wait. One that is not ready is asked once more then.
    pub(crate) fn look_once_more(&mut self, now: Duration, ends: Duration, is_last: bool) {
        if !self.state.is_awaited() {
            return;
        }
        let is_over = self.deadline().is_past(now);
        self.flights.extend(now, ends);
        self.asked_again = now;
        if is_last {
            self.rules.policy.timeout = Deadline::At(ends);
        }
        if self.rules.own_deadline.is_past(now) {
            self.rules.own_deadline = Deadline::At(ends);
        }
        if is_over && !self.is_exhausted() && self.rules.overlap == Overlap::Allowed {
            (self.next, self.is_urgent) = (Some(now), true);
        }
    }

    /// Whether the deadline that counts has passed for a target that is not ready.
    pub(crate) fn is_out_of_time(&self, now: Duration) -> bool {
        self.state.is_awaited() && self.deadline().is_past(now)
    }

    /// Attempts it no more.
    pub(crate) fn give_up(&mut self) {
        self.state = State::GivenUp;
        (self.next, self.is_urgent) = (None, false);
        self.flights.clear();
    }
}

/// Says which option allows an attempt more time, unless the reason says so already.
fn name_the_limit(reason: &mut String) {
    if !reason.contains("attempt-timeout") {
        reason.push_str("; attempt-timeout allows more");
    }
}

/// Whether the peer has said what it thinks.
fn is_answer(outcome: &Outcome) -> bool {
    match outcome {
        Ok(_) => true,
        Err(failure) => !failure.kind.is_refusal() && failure.kind != Kind::ConnectionClosed,
    }
}

#[cfg(test)]
mod tests;
