//! One target in virtual time: when it is attempted, what outcomes change, and what no history leads to.

use proptest::prelude::*;

use super::*;
use crate::wait::backoff::Backoff;
use crate::wait::outcome::Ready;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The rules of a target that says nothing of itself.
fn rules(policy: Policy) -> Rules {
    Rules { policy, own_deadline: Deadline::Never, overlap: Overlap::Allowed, is_optional: false }
}

fn configured(interval: Duration, cap: Duration) -> Pauses {
    Pauses::Configured(Backoff { initial: interval, factor: 1.02, cap })
}

fn failed(kind: Kind) -> Outcome {
    Err(NotReady::new(kind, "no"))
}

fn refused() -> Outcome {
    failed(Kind::ConnectionRefused)
}

fn silent() -> Outcome {
    failed(Kind::TimedOut)
}

fn ready() -> Outcome {
    Ok(Ready { proof: "yes".to_owned() })
}

/// A peer's answer to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It fails so after so long.
    Fail(Kind, Duration),
    /// It takes the connection, and says nothing, or a word only.
    Hang(Reach),
}

/// An attempt as a simulation saw it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    began: Duration,
    ended: Option<Duration>,
    /// Whether it had a connection, and ended without an answer.
    is_abandoned: bool,
}

/// Attempts at a target that does this at each moment; what each came to, up to `until`.
fn simulate(rules: Rules, until: Duration, jitter: impl Fn() -> f64, does: impl Fn(Duration) -> Does) -> Vec<Seen> {
    let mut tracker = Tracker::new(rules);
    let mut seen: Vec<Seen> = Vec::new();
    // What is under way: what each does, and when its outcome comes.
    let mut open: Vec<(u32, Does, Option<Duration>)> = Vec::new();
    let mut now = Duration::ZERO;
    while now < until {
        let end = |seen: &mut Vec<Seen>, attempt: u32, is_abandoned| {
            let one = &mut seen[attempt as usize - 1];
            (one.ended, one.is_abandoned) = (Some(now), is_abandoned);
        };
        let due: Vec<_> = open.extract_if(.., |(_, _, at)| at.is_some_and(|at| at <= now)).collect();
        for (attempt, does, _) in due {
            let (outcome, is_abandoned) = match does {
                Does::Fail(kind, _) => (failed(kind), false),
                Does::Hang(_) => (silent(), true),
            };
            tracker.learn(|other| if other == attempt { reach_of(does) } else { Reach::Unconnected });
            tracker.finish(attempt, now, outcome, jitter());
            end(&mut seen, attempt, is_abandoned);
        }
        let reach = |open: &[(u32, Does, Option<Duration>)], attempt| {
            open.iter().find(|(other, ..)| *other == attempt).map_or(Reach::Unconnected, |(_, does, _)| reach_of(*does))
        };
        tracker.learn(|attempt| reach(&open, attempt));
        for (attempt, _) in tracker.hanging(now) {
            tracker.report_hanging(attempt, NotReady::new(Kind::TimedOut, "no"));
        }
        if tracker.is_due(now) {
            if let Some(attempt) = tracker.make_way() {
                end(&mut seen, attempt, true);
                open.retain(|(other, ..)| *other != attempt);
            }
            let begun = tracker.begin(now, jitter());
            let does = does(now);
            let at = match does {
                Does::Fail(_, takes) => Some(now + takes),
                Does::Hang(_) => begun.patience.map(|patience| now + patience),
            };
            open.push((begun.attempt, does, at));
            seen.push(Seen { began: now, ended: None, is_abandoned: false });
            assert!(open.len() <= MAX_OPEN, "{open:?}");
        }
        let next = open.iter().filter_map(|(_, _, at)| *at).chain(tracker.wakes_at(true)).min();
        now = next.unwrap_or(until).max(now + Duration::from_micros(100));
    }
    seen
}

fn reach_of(does: Does) -> Reach {
    match does {
        Does::Fail(..) => Reach::Unconnected,
        Does::Hang(reach) => reach,
    }
}

fn begun(rules: Rules, until: Duration, does: impl Fn(Duration) -> Does) -> Vec<Duration> {
    simulate(rules, until, || 0.0, does).iter().map(|seen| seen.began).collect()
}

const REFUSE: Does = Does::Fail(Kind::ConnectionRefused, MS);
const SILENCE: Does = Does::Hang(Reach::Connected);

#[test]
fn the_third_time_out_names_the_limit() {
    let mut tracker = Tracker::new(rules(Policy::default()));
    let mut now = Duration::ZERO;
    for time in 1..=4 {
        let attempt = tracker.begin(now, 0.0).attempt;
        now += 5 * SECOND;
        let Change::NotReady { failure, .. } = tracker.finish(attempt, now, silent(), 0.0) else { panic!("{time}") };
        assert_eq!(failure.reason.matches("attempt-timeout").count(), usize::from(time >= 3), "{time}");
    }
}

#[test]
fn a_refusal_is_followed_by_a_short_pause() {
    let mut tracker = Tracker::new(rules(Policy::default()));
    assert!(tracker.is_due(Duration::ZERO));
    tracker.begin(Duration::ZERO, 0.0);
    let change = tracker.finish(1, MS, refused(), 0.0);
    assert!(matches!(change, Change::NotReady { slowly: None, .. }));
    assert_eq!(tracker.wakes_at(true), Some(11 * MS));
    tracker.begin(11 * MS, 0.0);
    assert!(matches!(tracker.finish(2, 12 * MS, refused(), 0.0), Change::NotReady { .. }));
}

#[test]
fn a_long_wait_costs_five_refusals_or_two_answers_a_second_in_the_end() {
    for (kind, first, later) in
        [(Kind::ConnectionRefused, 150..=180, 290..=300), (Kind::HttpStatus(503), 135..=150, 115..=125)]
    {
        let rules = rules(Policy { timeout: Deadline::Never, ..Policy::default() });
        let began = begun(rules, 120 * SECOND, |_| Does::Fail(kind, MS));
        let count = |range: std::ops::Range<u32>| {
            began.iter().filter(|at| **at >= range.start * SECOND && **at < range.end * SECOND).count()
        };
        assert!(first.contains(&count(0..8)), "{kind:?}: {} in the first 8 s", count(0..8));
        assert!(later.contains(&count(60..120)), "{kind:?}: {} in the second minute", count(60..120));
    }
}

#[test]
fn a_silent_peer_is_asked_sixteen_times_in_a_minute_the_last_time_just_before_the_deadline() {
    let began = begun(rules(Policy::default()), 60 * SECOND, |_| SILENCE);
    let millis: Vec<u128> = began.iter().map(Duration::as_millis).collect();
    assert_eq!(millis[..7], [0, 500, 1500, 3200, 6400, 11_400, 16_400]);
    assert_eq!((millis.len(), millis.last()), (16, Some(&59_950)), "{millis:?}");
    let configured = rules(Policy { pauses: configured(5 * SECOND, 5 * SECOND), ..Policy::default() });
    for jitter in [-1.0, 0.0, 1.0] {
        let count = simulate(configured, 60 * SECOND, || jitter, |_| SILENCE).len();
        assert!(count <= 13, "{count} attempts");
    }
}

#[test]
fn the_oldest_silent_attempt_is_kept_to_the_end() {
    let seen = simulate(rules(Policy::default()), 60 * SECOND, || 0.0, |_| SILENCE);
    assert_eq!(seen.iter().position(|seen| seen.ended.is_none()), Some(0));
    assert_eq!(seen.iter().filter(|seen| seen.ended.is_none()).count(), MAX_OPEN);
}

#[test]
fn a_limit_ends_silent_attempts_and_their_gaps_grow_all_the_same() {
    let limited = rules(Policy { silence: Silence::Ended, attempt_timeout: 200 * MS, ..Policy::default() });
    let began = begun(limited, 20 * SECOND, |_| SILENCE);
    let millis: Vec<u128> = began.iter().map(Duration::as_millis).collect();
    assert_eq!(millis[..6], [0, 500, 1500, 3200, 6400, 11_400]);
}

#[test]
fn a_peer_that_has_spoken_has_no_second_login_for_twenty_seconds() {
    // One that is held back is told on its own connection when that is over.
    for (reach, expected) in [(Reach::Spoken, &[0, 20_000, 40_000, 59_950][..]), (Reach::HeldBack, &[0])] {
        // Jitter makes it longer, and never shorter.
        let seen = simulate(rules(Policy::default()), 60 * SECOND, || -1.0, |_| Does::Hang(reach));
        let millis: Vec<u128> = seen.iter().map(|seen| seen.began.as_millis()).collect();
        assert_eq!(millis, expected, "{reach:?}");
    }
}

#[test]
fn what_has_no_connection_ends_and_is_asked_again_at_once() {
    let unconnected = Does::Fail(Kind::TimedOut, 5 * SECOND);
    let seen = simulate(rules(Policy::default()), 30 * SECOND, || 0.0, |_| unconnected);
    // There is always one that could be answered.
    for at in (0..29_000).step_by(100).map(|ms| ms * MS) {
        let is_open = |seen: &Seen| seen.began <= at && seen.ended.is_none_or(|ended| at < ended + 500 * MS);
        assert!(seen.iter().any(is_open), "none at {at:?}: {seen:?}");
    }
}

#[test]
fn a_wrong_password_is_asked_eight_times_in_thirty_seconds() {
    let rules = rules(Policy { timeout: Deadline::At(30 * SECOND), ..Policy::default() });
    for jitter in [-1.0, 0.0, 1.0] {
        let wrong = Does::Fail(Kind::CredentialsRejected, MS);
        let seen = simulate(rules, 30 * SECOND, || jitter, |_| wrong);
        assert!(seen.len() <= 8, "{seen:?}");
        let longest = seen.windows(2).map(|pair| pair[1].began.saturating_sub(pair[0].began)).max();
        assert!(longest < Some(7 * SECOND), "{seen:?}");
    }
    // Routes, schemas and databases come by themselves.
    for kind in [Kind::HttpStatus(404), Kind::NoDatabase] {
        assert!(begun(rules, SECOND, |_| Does::Fail(kind, MS)).len() > 30, "{kind:?}");
    }
}

#[test]
fn the_change_says_how_slowly_it_goes_on() {
    let mut tracker = Tracker::new(rules(Policy::default()));
    tracker.begin(Duration::ZERO, 0.0);
    let change = tracker.finish(1, MS, failed(Kind::CredentialsRejected), -1.0);
    assert!(matches!(change, Change::NotReady { slowly: Some(pause), .. } if pause == 4 * SECOND), "{change:?}");
}

#[test]
fn a_new_kind_of_failure_begins_again_with_short_pauses() {
    let at_once = |at: Duration| if at < 20 * SECOND { REFUSE } else { Does::Fail(Kind::NotAccepting, MS) };
    let began = begun(rules(Policy::default()), 23 * SECOND, at_once);
    let after = |from: u32, to: u32| {
        let within = |at: &&Duration| **at >= from * SECOND && **at < to * SECOND;
        let moments: Vec<Duration> = began.iter().filter(within).copied().collect();
        moments.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap()
    };
    assert!(after(18, 20) >= 190 * MS);
    assert!(after(21, 22) <= 60 * MS, "{:?}", after(21, 22));
}

#[test]
fn kinds_in_turn_do_not_begin_again_each_time() {
    let in_turn = |at: Duration| {
        let kind = if at.as_secs().is_multiple_of(2) { Kind::ConnectionRefused } else { Kind::NotAccepting };
        Does::Fail(kind, MS)
    };
    let count = begun(rules(Policy::default()), 40 * SECOND, in_turn).iter().filter(|at| **at > 20 * SECOND).count();
    assert!(count < 20 * 5, "{count}");
}

#[test]
fn the_last_attempt_is_made_just_before_the_deadline() {
    let mut tracker = Tracker::new(rules(Policy { timeout: Deadline::At(SECOND), ..Policy::default() }));
    let mut last = Duration::ZERO;
    for now in (0..1000).map(|ms| ms * MS) {
        if tracker.is_due(now) {
            let begun = tracker.begin(now, 0.0);
            assert!(now + begun.budget <= SECOND, "no attempt outlives the deadline");
            tracker.finish(begun.attempt, now, refused(), 0.0);
            last = now;
        }
    }
    assert_eq!(last, 950 * MS);
}

#[test]
fn a_peer_that_never_answers_gets_the_last_attempt_too() {
    for timeout in [1000, 2000, 3000, 7000, 60_000] {
        for silence in [Silence::Kept, Silence::Ended] {
            let rules = rules(Policy { timeout: Deadline::At(timeout * MS), silence, ..Policy::default() });
            let began = begun(rules, timeout * MS, |_| SILENCE);
            assert_eq!(began.last(), Some(&((timeout - 50) * MS)), "{timeout}: {began:?}");
        }
    }
}

#[test]
fn a_row_that_is_too_short_is_told_from_what_was_heard_since() {
    let mut tracker = Tracker::new(rules(Policy { successes: 2, ..Policy::default() }));
    for (at, outcome, ends_with_a_success) in
        [(0, failed(Kind::TimedOut), false), (6, Ok(Ready::new("PONG")), true), (7, failed(Kind::NotAccepting), false)]
    {
        let attempt = tracker.begin(at * SECOND, 0.0).attempt;
        tracker.finish(attempt, at * SECOND + MS, outcome, 0.0);
        assert_eq!(tracker.history.ends_with_a_success(), ends_with_a_success, "at {at}");
    }
    // It is kept, and the peer has said that it holds it back.
    let attempt = tracker.begin(8 * SECOND, 0.0).attempt;
    tracker.finish(attempt, 8 * SECOND, Ok(Ready::new("PONG")), 0.0);
    let attempt = tracker.begin(9 * SECOND, 0.0).attempt;
    tracker.report_hanging(attempt, NotReady::new(Kind::NotAccepting, "an alarm"));
    assert!(!tracker.history.ends_with_a_success());
}

#[test]
fn the_time_to_confirm_counts_from_when_it_is_asked() {
    let mut tracker = Tracker::new(rules(Policy::default()));
    let attempt = tracker.begin(Duration::ZERO, 0.0).attempt;
    tracker.finish(attempt, MS, Ok(Ready::new("PONG")), 0.0);
    tracker.confirm(10 * SECOND);
    let counts = |tracker: &Tracker, ms: u32| tracker.may_count_as_ready(ms * MS);
    assert!(counts(&tracker, 10_600), "there was no room to ask");
    tracker.begin(10_600 * MS, 0.0);
    assert!(counts(&tracker, 10_800) && !counts(&tracker, 10_900));
    // This process was stopped.
    tracker.look_once_more(20 * SECOND, 21 * SECOND, true);
    assert!(counts(&tracker, 20_100));
}

#[test]
fn commands_run_one_at_a_time_and_rest_as_long_as_they_ran() {
    let rules = Rules {
        overlap: Overlap::OneAtATime,
        ..rules(Policy { timeout: Deadline::At(10 * SECOND), ..Policy::default() })
    };
    let (mut tracker, mut began) = (Tracker::new(rules), Vec::new());
    let took = 700 * MS;
    let mut now = Duration::ZERO;
    while let Some(at) = tracker.wakes_at(true).filter(|at| *at < 10 * SECOND) {
        now = now.max(at);
        let begun = tracker.begin(now, 0.0);
        began.push(now);
        assert!(tracker.next.is_none(), "nothing begins beside it");
        now += took.min(begun.budget);
        tracker.finish(begun.attempt, now, failed(Kind::CommandFailed), 0.0);
    }
    let gaps: Vec<Duration> = began.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    // But for the last that can end before the deadline, and one just before it that may succeed at once.
    let (others, last) = gaps.split_last_chunk::<2>().expect("ten seconds are enough");
    assert!(others.iter().all(|gap| *gap >= 2 * took), "{gaps:?}");
    assert!(last.iter().all(|gap| *gap >= took), "{gaps:?}");
    let ends: Vec<Duration> = began.iter().map(|began| *began + took).collect();
    assert!(ends.iter().any(|end| (9500 * MS..10_000 * MS).contains(end)), "{began:?}");
    assert_eq!(began.last(), Some(&(9950 * MS)));
}

#[test]
fn what_the_deadline_cut_short_does_not_replace_a_reason() {
    let rules =
        Rules { overlap: Overlap::OneAtATime, ..rules(Policy { timeout: Deadline::At(SECOND), ..Policy::default() }) };
    let mut tracker = Tracker::new(rules);
    tracker.begin(Duration::ZERO, 0.0);
    tracker.finish(1, 400 * MS, refused(), 0.0);
    tracker.begin(800 * MS, 0.0);
    assert_eq!(tracker.unanswered(990 * MS), None);
    tracker.finish(2, SECOND, silent(), 0.0);
    assert_eq!(tracker.history.last.map(|failure| failure.kind), Some(Kind::ConnectionRefused));
}

#[test]
fn a_last_attempt_that_the_deadline_cut_short_does_not_replace_a_reason() {
    let mut tracker = Tracker::new(rules(Policy { timeout: Deadline::At(SECOND), ..Policy::default() }));
    tracker.begin(Duration::ZERO, 0.0);
    tracker.finish(1, MS, failed(Kind::WrongProtocol), 0.0);
    tracker.begin(950 * MS, 0.0);
    tracker.finish(2, SECOND, silent(), 0.0);
    assert_eq!(tracker.history.last.map(|failure| failure.kind), Some(Kind::WrongProtocol));
}

#[test]
fn successes_must_be_consecutive() {
    let mut tracker = Tracker::new(rules(Policy { successes: 2, ..Policy::default() }));
    for (attempt, outcome, state) in [
        (1, ready(), State::Waiting),
        (2, refused(), State::Waiting),
        (3, ready(), State::Waiting),
        (4, ready(), State::Ready),
    ] {
        let now = tracker.wakes_at(true).unwrap();
        assert_eq!(tracker.begin(now, 0.0).attempt, attempt);
        tracker.finish(attempt, now, outcome, 0.0);
        assert_eq!(tracker.state, state, "after attempt {attempt}");
    }
}

#[test]
fn successes_that_take_longer_than_an_attempt_may_are_consecutive_all_the_same() {
    let mut tracker = Tracker::new(rules(Policy { successes: 2, ..Policy::default() }));
    for attempt in 1..=2 {
        let now = tracker.wakes_at(true).unwrap();
        tracker.begin(now, 0.0);
        tracker.learn(|_| Reach::Connected);
        tracker.report_hanging(attempt, NotReady::new(Kind::TimedOut, "no"));
        assert_eq!(tracker.history.failures, [(Kind::TimedOut, 1)]);
        tracker.finish(attempt, now + 7 * SECOND, ready(), 0.0);
        assert_eq!(tracker.history.failures, [], "it was answered after all");
    }
    assert_eq!(tracker.state, State::Ready);
}

#[test]
fn kept_attempts_that_are_answered_at_once_are_one_success_of_a_row() {
    for pauses in [Pauses::Default, configured(SECOND, SECOND)] {
        let mut tracker = Tracker::new(rules(Policy { successes: 3, pauses, ..Policy::default() }));
        for second in 0..3 {
            tracker.begin(second * SECOND, 0.0);
            tracker.learn(|_| Reach::Connected);
        }
        for attempt in 1..=3 {
            let change = tracker.finish(attempt, 3 * SECOND + attempt * MS, ready(), 0.0);
            assert_eq!(change, Change::Success("yes".to_owned()), "attempt {attempt}, {pauses:?}");
        }
        for attempt in 4..=5 {
            let now = tracker.wakes_at(true).unwrap();
            tracker.begin(now, 0.0);
            tracker.finish(attempt, now + MS, ready(), 0.0);
        }
        assert_eq!(tracker.state, State::Ready, "{pauses:?}");
    }
}

#[test]
fn an_attempt_that_began_after_a_success_is_another_one_of_the_row() {
    // As the last attempt before the deadline, which no pause holds back.
    let mut tracker =
        Tracker::new(rules(Policy { successes: 2, pauses: configured(10 * SECOND, 10 * SECOND), ..Policy::default() }));
    tracker.begin(Duration::ZERO, 0.0);
    tracker.finish(1, SECOND, ready(), 0.0);
    tracker.begin(2 * SECOND, 0.0);
    tracker.finish(2, 3 * SECOND, ready(), 0.0);
    assert_eq!(tracker.state, State::Ready);
}

#[test]
fn a_server_with_one_worker_answers_kept_attempts_in_a_row() {
    let mut tracker =
        Tracker::new(rules(Policy { successes: 3, pauses: configured(SECOND, SECOND), ..Policy::default() }));
    for second in 0..3 {
        tracker.begin(second * SECOND, 0.0);
        tracker.learn(|_| Reach::Connected);
    }
    for attempt in 1..=3 {
        // Each answer takes as long as the pause, or a little less.
        tracker.finish(attempt, 5 * SECOND + attempt * 990 * MS, ready(), 1.0);
    }
    assert_eq!(tracker.state, State::Ready);
}

#[test]
fn a_late_failure_does_not_undo_a_later_success() {
    let mut tracker = Tracker::new(rules(Policy { successes: 2, ..Policy::default() }));
    tracker.begin(Duration::ZERO, 0.0);
    tracker.begin(500 * MS, 0.0);
    tracker.finish(2, 501 * MS, ready(), 0.0);
    assert_eq!(tracker.finish(1, 600 * MS, silent(), 0.0), Change::Stale);
    tracker.begin(700 * MS, 0.0);
    assert!(matches!(tracker.finish(3, 701 * MS, ready(), 0.0), Change::Ready(_)));
}

#[test]
fn the_last_allowed_attempt_gives_up() {
    let mut tracker = Tracker::new(rules(Policy { max_attempts: Some(2), ..Policy::default() }));
    tracker.begin(Duration::ZERO, 0.0);
    tracker.finish(1, MS, refused(), 0.0);
    assert_eq!(tracker.state, State::Waiting);
    tracker.begin(11 * MS, 0.0);
    tracker.finish(2, 12 * MS, refused(), 0.0);
    assert_eq!(tracker.state, State::GivenUp);
}

#[test]
fn the_last_allowed_attempt_counts_as_failed_when_its_time_is_up() {
    let mut tracker = Tracker::new(rules(Policy { max_attempts: Some(2), ..Policy::default() }));
    tracker.begin(Duration::ZERO, 0.0);
    tracker.begin(500 * MS, 0.0);
    tracker.learn(|_| Reach::Connected);
    assert!(tracker.overdue(5100 * MS).is_empty(), "the first is kept");
    let overdue = tracker.overdue(5520 * MS);
    assert_eq!(overdue.len(), 2);
    for (attempt, _) in overdue {
        tracker.finish(attempt, 5520 * MS, silent(), 0.0);
    }
    assert_eq!(tracker.state, State::GivenUp);
}

#[test]
fn a_last_attempt_that_had_no_time_explains_nothing_beside_one_that_had() {
    let mut tracker = Tracker::new(rules(Policy { timeout: Deadline::At(SECOND), ..Policy::default() }));
    tracker.begin(300 * MS, 0.0);
    assert_eq!(tracker.begin(977 * MS, 0.0).budget, 23 * MS);
    assert!(matches!(tracker.finish(2, SECOND, silent(), 0.0), Change::NotReady { .. }));
    assert_eq!(tracker.history.last, None, "it keeps no reason");
    assert_eq!(tracker.unanswered(SECOND).map(|(attempt, _)| attempt), Some(1));
}

#[test]
fn attempts_that_are_kept_end_with_the_time_of_the_last_that_was_allowed() {
    let mut tracker = Tracker::new(rules(Policy { max_attempts: Some(2), ..Policy::default() }));
    tracker.begin(Duration::ZERO, 0.0);
    tracker.begin(500 * MS, 0.0);
    tracker.learn(|attempt| if attempt == 1 { Reach::Connected } else { Reach::Unconnected });
    tracker.finish(2, 501 * MS, refused(), 0.0);
    assert!(tracker.overdue(4900 * MS).is_empty(), "the first has its time");
    assert_eq!(tracker.overdue(5020 * MS).len(), 1);
    tracker.finish(1, 5020 * MS, silent(), 0.0);
    assert_eq!(tracker.state, State::GivenUp);

    let mut tracker = Tracker::new(rules(Policy { max_attempts: Some(1), ..Policy::default() }));
    tracker.begin(Duration::ZERO, 0.0);
    tracker.forget(1);
    assert_eq!(tracker.state, State::GivenUp, "its last attempt made way");
}

#[test]
fn its_own_deadline_is_met_once_it_was_ready_in_time() {
    let mut tracker = Tracker::new(Rules { own_deadline: Deadline::At(SECOND), ..rules(Policy::default()) });
    assert!(tracker.is_out_of_time(SECOND));
    tracker.begin(Duration::ZERO, 0.0);
    tracker.finish(1, MS, ready(), 0.0);
    tracker.confirm(9 * SECOND);
    tracker.begin(9 * SECOND, 0.0);
    assert!(matches!(tracker.finish(2, 9001 * MS, refused(), 0.0), Change::NotReady { .. }));
    assert!(!tracker.is_out_of_time(9001 * MS));
}

fn any_does() -> impl Strategy<Value = Does> {
    let kinds = prop::sample::select(vec![
        Kind::Unresolved,
        Kind::ConnectionRefused,
        Kind::ConnectionClosed,
        Kind::HttpStatus(503),
        Kind::NotAccepting,
        Kind::CredentialsRejected,
        Kind::TimedOut,
    ]);
    let reaches = prop::sample::select(vec![Reach::Connected, Reach::Spoken, Reach::HeldBack]);
    prop_oneof![
        (kinds, prop_oneof![Just(1), 1..4000u64]).prop_map(|(kind, ms)| Does::Fail(kind, Duration::from_millis(ms))),
        reaches.prop_map(Does::Hang),
    ]
}

/// The most attempts of any minute that had a connection and were left without an answer. Of a peer that is silent from
/// the start it is 16; a failure of a new kind among them begins with short gaps again.
const MOST_ABANDONED: usize = 20;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the peer does, and however it changes from attempt to attempt. `simulate` asserts that no more than
    /// `MAX_OPEN` are open at any time.
    #[test]
    fn whatever_the_peer_does_few_attempts_are_open_and_few_are_abandoned(
        history in prop::collection::vec(any_does(), 1..60), is_limited: bool,
        attempt_timeout in 50..6000u64, jitter in -1.0..=1.0f64,
    ) {
        let rules = rules(Policy {
            silence: if is_limited { Silence::Ended } else { Silence::Kept },
            attempt_timeout: Duration::from_millis(attempt_timeout),
            timeout: Deadline::At(180 * SECOND),
            ..Policy::default()
        });
        let number = std::cell::Cell::new(0);
        let next = |_| history[number.replace(number.get() + 1) % history.len()];
        let seen = simulate(rules, 180 * SECOND, || jitter, next);
        let abandoned: Vec<Duration> = seen.iter().filter(|seen| seen.is_abandoned).map(|seen| seen.began).collect();
        for from in &abandoned {
            let minute = abandoned.iter().filter(|at| *at >= from && **at < *from + 60 * SECOND).count();
            prop_assert!(minute <= MOST_ABANDONED, "{minute} abandoned in a minute: {abandoned:?}");
        }
    }

    #[test]
    fn whatever_the_peer_does_no_gap_is_below_the_configured_one(
        history in prop::collection::vec(any_does(), 1..60), is_limited: bool, is_command: bool,
        interval in 1..6000u64, jitter in -1.0..=1.0f64,
    ) {
        let interval = Duration::from_millis(interval);
        let policy = Policy {
            silence: if is_limited { Silence::Ended } else { Silence::Kept },
            pauses: configured(interval, interval),
            ..Policy::default()
        };
        let overlap = if is_command { Overlap::OneAtATime } else { Overlap::Allowed };
        let rules = Rules { overlap, ..rules(policy) };
        let number = std::cell::Cell::new(0);
        let next = |_| history[number.replace(number.get() + 1) % history.len()];
        let seen = simulate(rules, 60 * SECOND, || jitter, next);
        for pair in seen.windows(2) {
            let gap = pair[1].began.saturating_sub(pair[0].began);
            let is_last_call = pair[1].began >= 59_940 * MS;
            prop_assert!(gap >= interval || is_last_call, "{gap:?} is below {interval:?}: {seen:?}");
        }
    }
}
