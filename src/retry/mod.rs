//! One target: when to attempt, what an outcome means, when to attempt again. Pure: time is passed in.

mod flights;
mod history;
mod spacing;

use std::time::Duration;

use crate::backoff::Backoff;
use crate::deadline::Deadline;
use crate::outcome::{Kind, NotReady, Outcome};

use flights::{Flight, Flights};
pub use history::History;
pub use spacing::MAX_IN_FLIGHT;
use spacing::{PATIENCE, Pace};

/// An attempt that has not reported this long after its time is up is stuck in the name service or a file system.
const GRACE: Duration = Duration::from_millis(20);

/// What is asked of one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The pauses.
    pub backoff: Backoff,
    /// The longest that one attempt may take.
    pub attempt_timeout: Duration,
    /// No more attempts than this.
    pub max_attempts: Option<u32>,
    /// Consecutive successes that make it ready.
    pub successes: u32,
    /// The deadline of the whole wait.
    pub deadline: Deadline,
    /// The target's own deadline, for becoming ready the first time.
    pub own_deadline: Deadline,
    /// Whether attempts may overlap.
    pub overlap: Overlap,
}

/// Whether an attempt that goes unanswered is left alone, and another begins beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is: what hangs is one connection of many.
    Allowed,
    /// One at a time, and no pause is shorter than the last attempt took: commands cost what they cost, and a wait
    /// with one keeps no more than half a core busy.
    OneAtATime,
}

/// Where a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is not ready yet.
    Waiting,
    /// It was ready a while ago and is asked once more.
    Confirming,
    /// It is ready.
    Ready,
    /// Its attempts, its own deadline or its chances are used up.
    GivenUp,
}

/// What an outcome changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is ready, as this proves.
    Ready(String),
    /// Once more, as it was a while ago.
    Confirmed,
    /// One success of several.
    Success(String),
    /// It failed for this reason; `news` says whether the reason is a new one.
    NotReady {
        /// Why.
        failure: NotReady,
        /// Whether it differs from the one before.
        news: bool,
    },
    /// The outcome came too late to matter.
    Stale,
}

/// One target through the whole wait.
#[derive(Debug, Clone)]
pub struct Tracker {
    rules: Rules,
    /// Where it stands.
    pub state: State,
    /// What its attempts have found.
    pub history: History,
    flights: Flights,
    /// When the next attempt begins, if nothing is heard before.
    next: Option<Duration>,
    /// The least pause before the next attempt.
    rest: Duration,
    /// Whether the peer has been found to leave attempts unanswered.
    is_hanging: bool,
    /// Whether it has been asked once more since it became ready.
    is_confirmed: bool,
}

impl Tracker {
    /// A target that has not been attempted; the first attempt is due at once.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Waiting,
            history: History::default(),
            flights: Flights::default(),
            next: Some(Duration::ZERO),
            rest: Duration::ZERO,
            is_hanging: false,
            is_confirmed: false,
        }
    }

    /// Whether an attempt is due.
    pub fn is_due(&self, now: Duration) -> bool {
        self.next.is_some_and(|next| next <= now) && !self.deadline().is_past(now)
    }

    /// The moment at which something is to be done: an attempt begun or given up.
    pub fn wakes_at(&self, with_starts: bool) -> Option<Duration> {
        let next = self.next.filter(|_| with_starts);
        let expiry = self.flights.first_end().map(|end| end.saturating_add(GRACE));
        let own = match self.deadline() {
            Deadline::At(at) if matches!(self.state, State::Waiting | State::Confirming) => Some(at),
            _ => None,
        };
        [next, expiry, own].into_iter().flatten().min()
    }

    /// The order in which due targets begin: those that were never attempted first, then those with nothing
    /// under way, then those that have waited longest.
    pub fn urgency(&self) -> (bool, usize, Duration) {
        (self.history.attempts > 0, self.flights.count(), self.flights.last_began())
    }

    /// The deadline that counts now: a target that was ready in time has met its own.
    fn deadline(&self) -> Deadline {
        match self.history.ready_after {
            Some(_) => self.rules.deadline,
            None => self.rules.deadline.min(self.rules.own_deadline),
        }
    }

    /// Begins an attempt; gives its number and the time that it has.
    pub fn begin(&mut self, now: Duration) -> (u32, Duration) {
        self.history.attempts += 1;
        let attempt = self.history.attempts;
        let ends = self.deadline().or(now.saturating_add(self.rules.attempt_timeout));
        self.flights.begin(Flight { attempt, began: now, ends });
        self.is_hanging |= self.flights.count() > 1;
        let beside = self.beside();
        self.plan(now, beside);
        (attempt, ends.saturating_sub(now))
    }

    /// When the next attempt may begin beside the last one.
    fn beside(&self) -> Duration {
        let ends: Vec<Duration> = self.flights.ends().collect();
        spacing::beside(&Pace {
            last_began: self.flights.last_began(),
            attempt_timeout: self.rules.attempt_timeout,
            ends: &ends,
            grace: GRACE,
            last_call: self.last_call(),
            is_hanging: self.is_hanging,
        })
    }

    fn last_call(&self) -> Option<Duration> {
        spacing::last_call(self.deadline(), self.rest)
    }

    /// Plans the next attempt for `at`, or just before the deadline, if there may be one at all.
    fn plan(&mut self, now: Duration, at: Duration) {
        let most = match self.rules.overlap {
            Overlap::Allowed => MAX_IN_FLIGHT,
            Overlap::OneAtATime => 1,
        };
        self.next = if self.is_exhausted() || self.flights.count() >= most {
            None
        } else {
            spacing::fit(at, now, self.rest, self.last_call())
        };
    }

    /// Takes the outcome of an attempt. `jitter` is a number from -1 to 1.
    pub fn finish(&mut self, attempt: u32, now: Duration, outcome: Outcome, jitter: f64) -> Change {
        let Some(flight) = self.flights.land(attempt) else {
            return Change::Stale;
        };
        let took = now.saturating_sub(flight.began);
        self.history.latency = Some(took);
        if self.rules.overlap == Overlap::OneAtATime {
            self.rest = took;
        }
        match outcome {
            Ok(ready) => self.succeed(flight, now, ready.proof),
            Err(failure) => self.fail(flight, now, failure, jitter),
        }
    }

    fn succeed(&mut self, flight: Flight, now: Duration, proof: String) -> Change {
        self.history.succeeded(flight.began, &proof);
        self.is_hanging = false;
        let was = self.state;
        if was == State::Waiting && self.history.succeeded_in_a_row < self.rules.successes {
            self.plan(now, now.saturating_add(self.rules.backoff.initial));
            // The last of the attempts that are allowed was a success, but not the last one needed.
            self.give_up_if_exhausted();
            return Change::Success(proof);
        }
        if was == State::Waiting {
            self.history.became_ready(now);
        }
        self.become_ready();
        if was == State::Confirming { Change::Confirmed } else { Change::Ready(proof) }
    }

    fn become_ready(&mut self) {
        self.state = State::Ready;
        self.flights.clear();
        self.next = None;
    }

    fn fail(&mut self, flight: Flight, now: Duration, failure: NotReady, jitter: f64) -> Change {
        self.history.count(&failure);
        // A later attempt has succeeded already: this one tells of an earlier time.
        if self.history.has_succeeded_since(flight.began) {
            if self.next.is_none() {
                // It has made room.
                self.plan(now, self.beside().max(now));
            }
            self.give_up_if_exhausted();
            return Change::Stale;
        }
        // What the deadline cut short tells less than an attempt that came to its end.
        let is_cut = failure.kind == Kind::TimedOut && flight.length() < self.rules.attempt_timeout;
        let fell = self.state == State::Confirming;
        if fell && is_cut {
            // It was ready, and nothing says that it is not.
            return Change::Stale;
        }
        self.state = State::Waiting;
        self.is_confirmed = false;
        self.is_hanging = failure.kind == Kind::TimedOut && flight.ends <= now.saturating_add(GRACE);
        let at = if self.is_hanging {
            self.beside().max(now)
        } else {
            now.saturating_add(self.rules.backoff.pause(self.history.failed_in_a_row, jitter))
        };
        let keeps_reason = is_cut && self.rules.overlap == Overlap::OneAtATime && self.history.last.is_some();
        let news = !keeps_reason && (fell || self.history.last.as_ref() != Some(&failure));
        self.history.failed(now, (!keeps_reason).then_some(&failure));
        self.plan(now, at);
        self.give_up_if_exhausted();
        Change::NotReady { failure, news }
    }

    fn is_exhausted(&self) -> bool {
        self.rules.max_attempts.is_some_and(|max| self.history.attempts >= max)
    }

    fn give_up_if_exhausted(&mut self) {
        if self.is_exhausted() && self.flights.count() == 0 && self.state != State::Ready {
            self.give_up();
        }
    }

    /// The attempts whose time is up and that have not reported, and the time that each had.
    pub fn overdue(&self, now: Duration) -> Vec<(u32, Duration)> {
        self.flights.ended_before(now, GRACE).map(|flight| (flight.attempt, flight.length())).collect()
    }

    /// The oldest attempt under way that tells more than the last failure does, and its age: without
    /// a failure any, else one that began after it and has gone unanswered for a while.
    pub fn unanswered(&self, now: Duration) -> Option<(u32, Duration)> {
        let flight = self.flights.oldest()?;
        let age = now.saturating_sub(flight.began);
        let may_overlap = self.rules.overlap == Overlap::Allowed;
        let is_later = flight.began >= self.history.failed_at;
        let tells_more = self.history.last.is_none() || may_overlap && is_later && age >= PATIENCE;
        tells_more.then_some((flight.attempt, age))
    }

    /// Asks a target once more that was ready a while ago.
    pub fn confirm(&mut self, now: Duration) {
        self.state = State::Confirming;
        self.is_confirmed = true;
        self.history.failed_in_a_row = 0;
        self.next = Some(now);
    }

    /// Takes a target for ready that was so, and whose confirmation has not failed.
    pub fn take_at_its_word(&mut self) {
        self.become_ready();
    }

    /// Whether it became ready longer ago than `stale`, and has not been asked once more since. One that
    /// has no attempt left for it is taken at its word.
    pub fn wants_confirmation(&self, now: Duration, stale: Duration) -> bool {
        !self.is_confirmed && !self.is_exhausted() && self.history.has_been_ready_for(now) > stale
    }

    /// Whether the deadline that counts has passed for a target that is not ready.
    pub fn is_out_of_time(&self, now: Duration) -> bool {
        matches!(self.state, State::Waiting | State::Confirming) && self.deadline().is_past(now)
    }

    /// Attempts it no more.
    pub fn give_up(&mut self) {
        self.state = State::GivenUp;
        self.next = None;
        self.flights.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Ready;

    const MS: Duration = Duration::from_millis(1);

    fn rules() -> Rules {
        Rules {
            backoff: Backoff { initial: 10 * MS, factor: 1.03, cap: 500 * MS },
            attempt_timeout: 5000 * MS,
            max_attempts: None,
            successes: 1,
            deadline: Deadline::At(60_000 * MS),
            own_deadline: Deadline::Never,
            overlap: Overlap::Allowed,
        }
    }

    fn refused() -> Outcome {
        Err(NotReady::new(Kind::ConnectionRefused, "refused"))
    }

    fn ready() -> Outcome {
        Ok(Ready { proof: "yes".to_owned() })
    }

    #[test]
    fn a_refusal_is_followed_by_a_short_pause() {
        let mut tracker = Tracker::new(rules());
        assert!(tracker.is_due(Duration::ZERO));
        tracker.begin(Duration::ZERO);
        let change = tracker.finish(1, MS, refused(), 0.0);
        assert!(matches!(change, Change::NotReady { news: true, .. }));
        assert_eq!(tracker.wakes_at(true), Some(11 * MS));
        tracker.begin(11 * MS);
        assert!(matches!(tracker.finish(2, 12 * MS, refused(), 0.0), Change::NotReady { news: false, .. }));
    }

    /// When a target that refuses at once is attempted, up to `until`.
    fn attempts(rules: Rules, jitter: f64, until: Duration) -> Vec<Duration> {
        let mut tracker = Tracker::new(rules);
        let mut began = Vec::new();
        while let Some(now) = tracker.wakes_at(true).filter(|now| *now <= until) {
            let (attempt, _) = tracker.begin(now);
            tracker.finish(attempt, now, refused(), jitter);
            began.push(now);
        }
        began
    }

    #[test]
    fn a_long_wait_costs_fifteen_attempts_a_second_at_first_and_two_in_the_end() {
        let rules = Rules { deadline: Deadline::Never, ..rules() };
        for (jitter, later) in [(-1.0, 134), (0.0, 120), (1.0, 120)] {
            let began = attempts(rules, jitter, 120_000 * MS);
            let first = began.iter().filter(|at| **at <= 8000 * MS).count();
            assert!(first <= 8 * 15, "{first} attempts in the first 8 s, jitter {jitter}");
            let after = began.iter().filter(|at| **at > 60_000 * MS).count();
            assert!((119..=later).contains(&after), "{after} attempts from 60 s to 120 s, jitter {jitter}");
        }
    }

    #[test]
    fn an_unanswered_attempt_does_not_block_the_next() {
        let mut tracker = Tracker::new(rules());
        let mut began = Vec::new();
        let mut now = Duration::ZERO;
        while now < 12_000 * MS {
            for (attempt, _) in tracker.overdue(now) {
                tracker.finish(attempt, now, Err(NotReady::new(Kind::TimedOut, "silent")), 0.0);
            }
            if tracker.is_due(now) {
                tracker.begin(now);
                assert!(tracker.flights.count() <= MAX_IN_FLIGHT);
                began.push(now);
            }
            now += 5 * MS;
        }
        assert_eq!(began[1], 500 * MS);
        let gaps: Vec<Duration> = began.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        assert!(gaps.iter().all(|gap| *gap <= 1600 * MS), "{gaps:?}");
        assert!(gaps[1..].iter().all(|gap| *gap >= 1200 * MS), "spread evenly: {gaps:?}");
    }

    #[test]
    fn the_last_attempt_is_made_just_before_the_deadline() {
        let mut tracker = Tracker::new(Rules { deadline: Deadline::At(1000 * MS), ..rules() });
        let mut now = Duration::ZERO;
        let mut last = now;
        while now < 1000 * MS {
            if tracker.is_due(now) {
                let (attempt, budget) = tracker.begin(now);
                assert!(now + budget <= 1000 * MS, "no attempt outlives the deadline");
                tracker.finish(attempt, now, refused(), 0.0);
                last = now;
            }
            now += MS;
        }
        assert_eq!(last, 950 * MS);
    }

    #[test]
    fn a_peer_that_never_answers_gets_the_last_attempt_too() {
        for (timeout, attempt_timeout) in
            [(1000, 5000), (1000, 700), (2000, 5000), (3000, 5000), (7000, 5000), (60_000, 5000), (60_000, 900)]
        {
            let rules =
                Rules { deadline: Deadline::At(timeout * MS), attempt_timeout: attempt_timeout * MS, ..rules() };
            let (mut tracker, mut began) = (Tracker::new(rules), Vec::new());
            for now in (0..timeout).map(|ms| ms * MS) {
                for (attempt, _) in tracker.overdue(now) {
                    tracker.finish(attempt, now, Err(NotReady::new(Kind::TimedOut, "silent")), 0.0);
                }
                if tracker.is_due(now) {
                    tracker.begin(now);
                    assert!(tracker.flights.count() <= MAX_IN_FLIGHT, "{timeout} {attempt_timeout}: {began:?}");
                    began.push(now);
                }
            }
            assert_eq!(began.last(), Some(&((timeout - 50) * MS)), "{timeout} {attempt_timeout}: {began:?}");
            let longest = began.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max();
            assert!(longest <= Some(1700 * MS), "{timeout} {attempt_timeout}: {began:?}");
        }
    }

    #[test]
    fn commands_run_one_at_a_time_and_rest_as_long_as_they_ran() {
        let rules = Rules { overlap: Overlap::OneAtATime, deadline: Deadline::At(10_000 * MS), ..rules() };
        let (mut tracker, mut began) = (Tracker::new(rules), Vec::new());
        let took = 700 * MS;
        let mut now = Duration::ZERO;
        while let Some(at) = tracker.wakes_at(true).filter(|at| *at < 10_000 * MS) {
            now = now.max(at);
            let (attempt, budget) = tracker.begin(now);
            began.push(now);
            assert!(tracker.next.is_none(), "nothing begins beside it");
            now += took.min(budget);
            tracker.finish(attempt, now, refused(), 0.0);
        }
        let gaps: Vec<Duration> = began.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        assert!(gaps.iter().all(|gap| *gap >= 2 * took), "{gaps:?}");
        assert_eq!(began.last(), Some(&(9800 * MS)), "{began:?}");
    }

    #[test]
    fn what_the_deadline_cut_short_does_not_replace_a_reason() {
        let rules = Rules { overlap: Overlap::OneAtATime, deadline: Deadline::At(1000 * MS), ..rules() };
        let mut tracker = Tracker::new(rules);
        tracker.begin(Duration::ZERO);
        tracker.finish(1, 400 * MS, refused(), 0.0);
        tracker.begin(800 * MS);
        assert_eq!(tracker.unanswered(990 * MS), None);
        let cut = Err(NotReady::new(Kind::TimedOut, "the command did not end within 200ms"));
        tracker.finish(2, 1000 * MS, cut, 0.0);
        assert_eq!(tracker.history.last.map(|failure| failure.kind), Some(Kind::ConnectionRefused));
    }

    #[test]
    fn successes_must_be_consecutive() {
        let mut tracker = Tracker::new(Rules { successes: 2, ..rules() });
        for (attempt, outcome, state) in [
            (1, ready(), State::Waiting),
            (2, refused(), State::Waiting),
            (3, ready(), State::Waiting),
            (4, ready(), State::Ready),
        ] {
            let now = tracker.wakes_at(true).unwrap();
            assert_eq!(tracker.begin(now).0, attempt);
            tracker.finish(attempt, now, outcome, 0.0);
            assert_eq!(tracker.state, state, "after attempt {attempt}");
        }
    }

    #[test]
    fn a_late_failure_does_not_undo_a_later_success() {
        let mut tracker = Tracker::new(Rules { successes: 2, ..rules() });
        tracker.begin(Duration::ZERO);
        tracker.begin(500 * MS);
        tracker.finish(2, 501 * MS, ready(), 0.0);
        let late = Err(NotReady::new(Kind::TimedOut, "silent"));
        assert_eq!(tracker.finish(1, 600 * MS, late, 0.0), Change::Stale);
        tracker.begin(700 * MS);
        assert!(matches!(tracker.finish(3, 701 * MS, ready(), 0.0), Change::Ready(_)));
    }

    #[test]
    fn a_late_failure_makes_room_for_the_next_attempt() {
        let mut tracker = Tracker::new(Rules { successes: 2, ..rules() });
        let silent = || Err(NotReady::new(Kind::TimedOut, "silent"));
        for now in [0, 500, 2000, 3500] {
            tracker.begin(now * MS);
        }
        tracker.finish(4, 3501 * MS, ready(), 0.0);
        tracker.begin(3511 * MS);
        assert_eq!(tracker.wakes_at(true), Some(5020 * MS), "four are under way");
        assert_eq!(tracker.finish(1, 5000 * MS, silent(), 0.0), Change::Stale);
        assert!(tracker.wakes_at(true) <= Some(5500 * MS), "{:?}", tracker.wakes_at(true));
        assert!(tracker.next.is_some());
    }

    #[test]
    fn the_last_allowed_attempt_gives_up() {
        let mut tracker = Tracker::new(Rules { max_attempts: Some(2), ..rules() });
        tracker.begin(Duration::ZERO);
        tracker.finish(1, MS, refused(), 0.0);
        assert_eq!(tracker.state, State::Waiting);
        tracker.begin(11 * MS);
        tracker.finish(2, 12 * MS, refused(), 0.0);
        assert_eq!(tracker.state, State::GivenUp);
    }

    #[test]
    fn its_own_deadline_is_met_once_it_was_ready_in_time() {
        let mut tracker = Tracker::new(Rules { own_deadline: Deadline::At(1000 * MS), ..rules() });
        assert!(tracker.is_out_of_time(1000 * MS));
        tracker.begin(Duration::ZERO);
        tracker.finish(1, MS, ready(), 0.0);
        tracker.confirm(9000 * MS);
        tracker.begin(9000 * MS);
        assert!(matches!(tracker.finish(2, 9001 * MS, refused(), 0.0), Change::NotReady { news: true, .. }));
        assert!(!tracker.is_out_of_time(9001 * MS));
    }
}
