//! The gate in virtual time: what the scripts of its targets lead to, and what it never does.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::wait::backoff::{Backoff, Pauses};
use crate::wait::gate::*;
use crate::wait::outcome::{Kind, Ready};
use crate::wait::tracker::{MAX_OPEN, Overlap};

const MS: Duration = Duration::from_millis(1);
/// How long a target stays as it is. Four of these are more than `STALE` and three are less, by far
/// more than the gate takes to notice.
const CELL: Duration = Duration::from_millis(1300);
/// An attempt whose time is up and that has not reported is given up this much later.
const GRACE: Duration = Duration::from_millis(20);

/// A target's answer to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TargetDoes {
    Succeed,
    Refuse,
    FailForGood,
    /// It leaves the attempt unanswered until its time is up.
    NotAnswer,
    /// It does not even let the attempt end: a name service that hangs.
    Hang,
}

/// A target as the fake world plays it.
#[derive(Debug, Clone)]
struct Script {
    /// What it does in each cell of time; the last one lasts.
    cells: Vec<TargetDoes>,
    /// How long an answer takes.
    latency: Duration,
}

impl Script {
    fn always(does: TargetDoes) -> Self {
        Self { cells: vec![does], latency: Duration::ZERO }
    }

    fn at(&self, cell: usize) -> TargetDoes {
        self.cells[cell.min(self.cells.len() - 1)]
    }
}

/// A world without threads, in which waiting takes no time.
struct Fake {
    now: Duration,
    scripts: Vec<Script>,
    /// What will be reported, by time and order of beginning.
    due: BTreeMap<(Duration, usize), Arrival>,
    starts: Vec<(Duration, usize, Begun)>,
    /// When attempts were ended before their time.
    ends: BTreeMap<(usize, u32), Duration>,
    /// After waking so often, somebody sends SIGTERM.
    patience: usize,
    jitter: f64,
}

impl Fake {
    fn new(scripts: &[Script]) -> Self {
        let (now, due, starts) = (Duration::ZERO, BTreeMap::new(), Vec::new());
        Self { now, scripts: scripts.to_vec(), due, starts, ends: BTreeMap::new(), patience: 60_000, jitter: 1.0 }
    }

    fn cell(&self) -> usize {
        usize::try_from(self.now.as_nanos() / CELL.as_nanos()).unwrap_or(usize::MAX)
    }

    /// The starts at one target.
    fn starts_at(&self, target: usize) -> impl Iterator<Item = (Duration, Duration)> {
        let of_target = self.starts.iter().filter(move |(_, of, _)| *of == target);
        of_target.map(|(at, _, begun)| (*at, begun.budget))
    }

    /// The most attempts of one target that were under way at once, had each lasted its whole time.
    fn most_in_flight_unanswered(&self, target: usize) -> usize {
        let all: Vec<_> = self.starts.iter().filter(|(_, of, _)| *of == target).collect();
        let end = |at: &Duration, begun: &Begun| {
            let ended = self.ends.get(&(target, begun.attempt)).copied().unwrap_or(Duration::MAX);
            ended.min(*at + begun.budget)
        };
        let overlapping = |at| all.iter().filter(move |(began, _, begun)| *began <= at && at < end(began, begun));
        self.starts_at(target).map(|(at, _)| overlapping(at).count()).max().unwrap_or(0)
    }
}

impl World for Fake {
    fn now(&mut self) -> Duration {
        self.now
    }

    fn has_room(&mut self, _: usize) -> bool {
        true
    }

    fn start(&mut self, target: usize, begun: Begun) -> Result<(), NotReady> {
        let script = &self.scripts[target];
        let outcome = match script.at(self.cell()) {
            TargetDoes::Succeed => Some(Ok(Ready { proof: "yes".to_owned() })),
            TargetDoes::Refuse => Some(Err(NotReady::new(Kind::ConnectionRefused, "refused"))),
            TargetDoes::FailForGood => Some(Err(NotReady::new(Kind::WrongProtocol, "wrong protocol"))),
            TargetDoes::NotAnswer | TargetDoes::Hang => None,
        };
        let at = match outcome {
            Some(_) if script.latency < begun.budget => Some(script.latency),
            None if script.at(self.cell()) == TargetDoes::Hang => None,
            _ => Some(begun.budget),
        };
        let outcome = outcome.filter(|_| at == Some(script.latency));
        let outcome = outcome.unwrap_or_else(|| Err(Stage::Exchanging.timed_out(begun.budget)));
        if let Some(at) = at {
            let message = Arrival::Done { target, attempt: begun.attempt, outcome };
            self.due.insert((self.now.saturating_add(at), self.starts.len()), message);
        }
        self.starts.push((self.now, target, begun));
        Ok(())
    }

    fn abandon(&mut self, _: usize) {}

    fn end(&mut self, target: usize, attempt: u32) {
        self.ends.insert((target, attempt), self.now);
    }

    fn stage(&mut self, _: usize, _: u32) -> Stage {
        Stage::Resolving
    }

    fn next(&mut self, until: Option<Duration>) -> Option<Arrival> {
        let Some(patience) = self.patience.checked_sub(1) else { return Some(Arrival::Signal(15)) };
        self.patience = patience;
        // What has come by now has come, however little time there is.
        let until = until.map_or(Duration::MAX, |until| until.max(self.now));
        match self.due.first_key_value() {
            Some((&(at, _), _)) if at <= until => {
                self.now = self.now.max(at);
                self.due.pop_first().map(|(_, message)| message)
            }
            _ if until == Duration::MAX => Some(Arrival::Signal(15)),
            _ => {
                self.now = self.now.max(until);
                None
            }
        }
    }

    fn jitter(&mut self) -> f64 {
        self.jitter = -self.jitter;
        self.jitter
    }
}

fn policy(timeout: Deadline) -> Policy {
    Policy { timeout, ..Policy::default() }
}

fn rules(policy: &Policy, own_deadline: Deadline) -> Rules {
    Rules { policy: *policy, own_deadline, overlap: Overlap::Allowed, is_optional: false }
}

fn run(policy: &Policy, scripts: &[Script], own_deadlines: &[Deadline]) -> (Verdict, Fake) {
    let rules = own_deadlines.iter().map(|own| rules(policy, *own)).collect();
    let mut world = Fake::new(scripts);
    let verdict = Gate::new(rules, policy).run(&mut world, &mut Mute);
    (verdict, world)
}

fn run_one(policy: &Policy, script: Script) -> (Verdict, Fake) {
    run(policy, &[script], &[Deadline::Never])
}

/// A wait whose deadlines fall into the middle of cells.
#[derive(Debug, Clone)]
struct Case {
    scripts: Vec<Script>,
    /// The cell of each target's own deadline.
    own_deadlines: Vec<Option<usize>>,
    last_cell: usize,
    quorum: Quorum,
    on_permanent: OnPermanent,
    successes: u32,
}

/// The reference: what becomes of the wait, cell by cell. What was ready is stale after so many cells.
fn expected(case: &Case, stale: usize) -> Verdict {
    let count = case.scripts.len();
    // Since when it is ready; whether it ever was; whether it is given up.
    let (mut since, mut was, mut lost) = (vec![None; count], vec![false; count], vec![false; count]);
    for cell in 0..=case.last_cell {
        // First the targets that are awaited, then those that were ready long ago.
        for again in [false, true] {
            let all_ready = since.iter().all(Option::is_some);
            for target in 0..count {
                let asked = match since[target] {
                    None => !again && !lost[target],
                    Some(then) => again && all_ready && case.quorum == Quorum::All && cell - then >= stale,
                };
                let does = case.scripts[target].at(cell);
                if asked {
                    since[target] = (does == TargetDoes::Succeed).then_some(cell);
                    was[target] |= does == TargetDoes::Succeed;
                }
                if asked && does == TargetDoes::FailForGood && case.on_permanent == OnPermanent::Fail {
                    lost[target] = true;
                    if case.quorum == Quorum::All || lost.iter().all(|lost| *lost) {
                        return Verdict::Failed;
                    }
                }
            }
        }
        match case.quorum {
            Quorum::Any if since.iter().any(Option::is_some) => return Verdict::Ready,
            Quorum::All if since.iter().all(Option::is_some) => return Verdict::Ready,
            _ => {}
        }
        for target in 0..count {
            lost[target] |= !was[target] && case.own_deadlines[target].is_some_and(|own| own <= cell);
        }
        if lost.iter().all(|lost| *lost) || case.quorum == Quorum::All && lost.contains(&true) {
            return Verdict::TimedOut;
        }
    }
    Verdict::TimedOut
}

fn any_does() -> impl Strategy<Value = TargetDoes> {
    prop_oneof![
        3 => Just(TargetDoes::Succeed),
        4 => Just(TargetDoes::Refuse),
        1 => Just(TargetDoes::FailForGood),
        2 => Just(TargetDoes::NotAnswer),
        1 => Just(TargetDoes::Hang),
    ]
}

fn any_script() -> impl Strategy<Value = Script> {
    let cells = prop::collection::vec(any_does(), 1..12);
    (cells, 0..20u32).prop_map(|(cells, latency)| Script { cells, latency: latency * MS })
}

fn any_case() -> impl Strategy<Value = Case> {
    let targets = prop::collection::vec((any_script(), prop::option::weighted(0.3, 0..12usize)), 1..4);
    let quorum = prop_oneof![2 => Just(Quorum::All), 1 => Just(Quorum::Any)];
    let on_permanent = prop_oneof![Just(OnPermanent::Retry), Just(OnPermanent::Fail)];
    (targets, 0..16usize, quorum, on_permanent, 1..4u32).prop_map(
        |(targets, last_cell, quorum, on_permanent, successes)| {
            let (scripts, own_deadlines) = targets.into_iter().unzip();
            Case { scripts, own_deadlines, last_cell, quorum, on_permanent, successes }
        },
    )
}

/// The middle of a cell.
fn within(cell: usize) -> Duration {
    CELL * u32::try_from(cell).unwrap() + CELL / 2
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0..5000u64).prop_map(Duration::from_millis),
        (0..u64::MAX).prop_map(Duration::from_nanos),
        (0..u64::MAX).prop_map(Duration::from_secs),
        Just(Duration::MAX),
    ]
}

fn any_deadline() -> impl Strategy<Value = Deadline> {
    prop_oneof![Just(Deadline::Never), any_duration().prop_map(Deadline::At)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_verdict_is_what_the_scripts_lead_to(mut case in any_case()) {
        if case.on_permanent == OnPermanent::Retry {
            // What somebody has to mend is asked too slowly for the reference.
            let cells = case.scripts.iter_mut().flat_map(|script| &mut script.cells);
            cells.filter(|does| **does == TargetDoes::FailForGood).for_each(|does| *does = TargetDoes::Refuse);
        }
        let policy = Policy {
            attempt_timeout: 200 * MS,
            pauses: Pauses::Configured(Backoff { initial: 10 * MS, factor: 1.5, cap: 50 * MS }),
            successes: case.successes,
            quorum: case.quorum,
            on_permanent: case.on_permanent,
            ..policy(Deadline::At(within(case.last_cell)))
        };
        let own: Vec<Deadline> =
            case.own_deadlines.iter().map(|own| own.map_or(Deadline::Never, |own| Deadline::At(within(own)))).collect();
        let (verdict, world) = run(&policy, &case.scripts, &own);
        // Beside an attempt that hangs the next one may begin late in its cell: after four cells less than 5 s may
        // have passed since it was ready.
        let expected = [expected(&case, 4), expected(&case, 5)];
        prop_assert!(expected.contains(&verdict), "{:?}, not {:?}", verdict, expected);
        prop_assert!(world.now <= within(case.last_cell), "late: {:?}", world.now);
        if verdict == Verdict::Ready && case.quorum == Quorum::All && world.now < within(case.last_cell) {
            let oldest = world.now.saturating_sub(STALE + policy.attempt_timeout);
            for target in 0..case.scripts.len() {
                let last = world.starts_at(target).last();
                prop_assert!(last.is_some_and(|(at, _)| at >= oldest), "{} was last asked at {:?}", target, last);
            }
        }
        for target in 0..case.scripts.len() {
            let mut was_ready = false;
            for (at, budget) in world.starts_at(target) {
                prop_assert!(at < within(case.last_cell) && at + budget <= within(case.last_cell));
                prop_assert!(budget <= policy.attempt_timeout);
                // Only one that was ready in time may be asked once more after its own deadline.
                if let Deadline::At(own) = own[target] {
                    prop_assert!(was_ready || at < own && at + budget <= own);
                }
                let cell = usize::try_from(at.as_millis() / CELL.as_millis()).unwrap();
                was_ready |= case.scripts[target].at(cell) == TargetDoes::Succeed;
            }
        }
    }

    #[test]
    fn no_target_is_attempted_more_often_than_allowed(case in any_case(), most in 1..4u32) {
        let deadline = within(case.last_cell);
        let policy = Policy {
            attempt_timeout: 10_000 * MS,
            pauses: Pauses::Configured(Backoff { initial: CELL, factor: 1.0, cap: CELL }),
            max_attempts: Some(most),
            successes: case.successes,
            quorum: case.quorum,
            on_permanent: case.on_permanent,
            ..policy(Deadline::At(deadline))
        };
        let own: Vec<Deadline> =
            case.own_deadlines.iter().map(|own| own.map_or(Deadline::Never, |own| Deadline::At(within(own)))).collect();
        // Some answers take so long that a target is ready when another one has been for long.
        let scripts: Vec<Script> =
            case.scripts.iter().map(|script| Script { latency: script.latency * 500, ..script.clone() }).collect();
        let (verdict, world) = run(&policy, &scripts, &own);
        prop_assert!(!matches!(verdict, Verdict::Interrupted(_)), "a limit of attempts ends every wait");
        let succeeds = |target: usize, at: Duration| {
            let cell = usize::try_from(at.as_millis() / CELL.as_millis()).unwrap();
            scripts[target].at(cell) == TargetDoes::Succeed
        };
        let mut out_of_attempts = 0;
        for target in 0..scripts.len() {
            let attempts = u32::try_from(world.starts_at(target).count()).unwrap();
            prop_assert!(attempts <= most, "{} attempts, {} are allowed", attempts, most);
            out_of_attempts += usize::from(attempts == most);
            if verdict == Verdict::Ready && case.quorum == Quorum::All {
                prop_assert!(world.starts_at(target).any(|(at, _)| succeeds(target, at)));
            }
        }
        // It ends early only where attempts are used up or a deadline of a target's own has passed.
        let has_own = case.own_deadlines.iter().any(Option::is_some);
        if verdict == Verdict::TimedOut && world.now < deadline && !has_own {
            prop_assert!(out_of_attempts > 0);
        }
    }

    #[test]
    fn a_check_attempts_each_target_once(scripts in prop::collection::vec(any_script(), 1..5), seconds in 1..30u64) {
        // Some are ready long after others, and none in the instant of the deadline.
        let scripts: Vec<Script> =
            scripts.into_iter().map(|script| Script { latency: script.latency * 500 + MS, ..script }).collect();
        let attempt_timeout = Duration::from_secs(seconds);
        let policy = Policy {
            attempt_timeout,
            max_attempts: Some(1),
            quorum: Quorum::Each,
            ..policy(Deadline::At(attempt_timeout))
        };
        let (verdict, world) = run(&policy, &scripts, &vec![Deadline::Never; scripts.len()]);
        let is_healthy = |script: &Script| script.at(0) == TargetDoes::Succeed && script.latency < attempt_timeout;
        let expected = if scripts.iter().all(is_healthy) { Verdict::Ready } else { Verdict::TimedOut };
        prop_assert_eq!(verdict, expected);
        prop_assert_eq!(world.starts.len(), scripts.len());
        prop_assert!(world.now <= attempt_timeout);
    }

    #[test]
    fn silent_peers_never_make_it_late_and_are_asked_by_four_at_most(
        hangs: bool, deadline in 1..30_000u64, attempt_timeout in 100..8000u64, interval in 0..5000u64,
    ) {
        let policy = Policy {
            attempt_timeout: Duration::from_millis(attempt_timeout),
            pauses: Pauses::Configured(Backoff { initial: Duration::from_millis(interval), factor: 1.03, cap: 5000 * MS }),
            ..policy(Deadline::At(Duration::from_millis(deadline)))
        };
        let (verdict, world) = run_one(&policy, Script::always(if hangs { TargetDoes::Hang } else { TargetDoes::NotAnswer }));
        prop_assert_eq!(verdict, Verdict::TimedOut);
        prop_assert_eq!(world.now, Duration::from_millis(deadline));
        prop_assert!(world.most_in_flight_unanswered(0) <= MAX_OPEN);
        // It is never left alone for longer than an attempt, the grace of one that hangs and a pause take.
        let begun: Vec<Duration> = world.starts_at(0).map(|(at, _)| at).collect();
        // The pauses have grown by then.
        let growth = 1.03_f64.powi(i32::try_from(begun.len()).unwrap());
        let pause = Duration::from_millis(interval).mul_f64(growth).min(5000 * MS);
        let most = policy.attempt_timeout.max(500 * MS) + GRACE + pause.mul_f64(3.0);
        prop_assert!(begun.windows(2).all(|pair| pair[1] <= pair[0] + most), "{:?}", begun);
    }

    #[test]
    fn one_last_attempt_is_made_just_before_the_deadline(
        deadline in 1..20_000u64, interval in 0..20_000u64, factor in 1.0..4.0f64, cap in 1..20_000u64,
    ) {
        let deadline = Duration::from_millis(deadline);
        let cap = Duration::from_millis(cap);
        let policy = Policy {
            pauses: Pauses::Configured(Backoff { initial: Duration::from_millis(interval).max(MS).min(cap), factor, cap }),
            ..policy(Deadline::At(deadline))
        };
        let (verdict, world) = run_one(&policy, Script::always(TargetDoes::Refuse));
        prop_assert!(matches!(verdict, Verdict::TimedOut | Verdict::Interrupted(_)));
        if verdict == Verdict::TimedOut {
            let (last, _) = world.starts_at(0).last().unwrap();
            prop_assert!(last < deadline && deadline <= last + 50 * MS, "{:?} of {:?}", last, deadline);
        }
    }

    #[test]
    fn extreme_durations_neither_overflow_nor_hang(
        does in any_does(), timeout in any_deadline(), own in any_deadline(), attempt_timeout in any_duration(),
        initial in any_duration(), cap in any_duration(), factor in 1.0..=f64::MAX,
        max_attempts in prop::option::of(1..5u32), successes in prop_oneof![Just(1), Just(u32::MAX)],
    ) {
        let pauses = Pauses::Configured(Backoff { initial, factor, cap });
        let policy = Policy { attempt_timeout, pauses, max_attempts, successes, ..policy(timeout) };
        let rules = vec![rules(&policy, own)];
        let mut world = Fake::new(&[Script::always(does)]);
        world.patience = 200;
        let verdict = Gate::new(rules, &policy).run(&mut world, &mut Mute);
        prop_assert!(verdict != Verdict::Ready || does == TargetDoes::Succeed);
        for (at, budget) in world.starts_at(0) {
            prop_assert!(budget <= attempt_timeout);
            prop_assert!(!timeout.is_past(at) && timeout.remaining(at).is_none_or(|left| budget <= left));
        }
    }
}

#[test]
fn without_a_deadline_only_a_signal_ends_the_wait() {
    let (verdict, world) = run_one(&policy(Deadline::Never), Script::always(TargetDoes::Refuse));
    assert_eq!(verdict, Verdict::Interrupted(15));
    assert!(world.now > Duration::from_secs(1000));
}

#[test]
fn a_target_that_falls_before_the_last_is_ready_is_waited_for_again() {
    use TargetDoes::{Refuse, Succeed};
    let twice = Script { cells: vec![Succeed, Refuse, Refuse, Refuse, Refuse, Refuse, Succeed], latency: MS };
    let late = Script { cells: vec![Refuse, Refuse, Refuse, Refuse, Refuse, Succeed], latency: MS };
    let (verdict, world) =
        run(&policy(Deadline::At(60_000 * MS)), &[twice, late], &[Deadline::At(1000 * MS), Deadline::Never]);
    assert_eq!(verdict, Verdict::Ready);
    assert!(world.now >= CELL * 6 && world.now < CELL * 7, "ready at {:?}", world.now);
}

#[test]
fn the_last_allowed_attempt_ends_the_wait_at_once() {
    let policy = Policy { max_attempts: Some(3), ..policy(Deadline::At(60_000 * MS)) };
    let (verdict, world) = run_one(&policy, Script::always(TargetDoes::Refuse));
    assert_eq!((verdict, world.starts.len()), (Verdict::TimedOut, 3));
    assert!(world.now < 100 * MS, "ended at {:?}", world.now);
}

#[test]
fn a_target_without_attempts_left_is_taken_at_its_word() {
    use TargetDoes::{Refuse, Succeed};
    let late = Script { cells: vec![Refuse, Refuse, Refuse, Refuse, Refuse, Refuse, Succeed], latency: MS };
    let limited = policy(Deadline::At(60_000 * MS));
    let rules = [Some(1), None].map(|max_attempts| rules(&Policy { max_attempts, ..limited }, Deadline::Never));
    let mut world = Fake::new(&[Script { cells: vec![Succeed, Refuse], latency: MS }, late]);
    let verdict = Gate::new(rules.to_vec(), &limited).run(&mut world, &mut Mute);
    assert_eq!((verdict, world.starts_at(0).count()), (Verdict::Ready, 1));
}

#[test]
fn a_target_that_was_ready_from_the_start_is_blamed_for_nothing() {
    for quorum in [Quorum::All, Quorum::Each] {
        let policy = Policy { quorum, max_attempts: Some(1), ..policy(Deadline::At(500 * MS)) };
        let mut gate = Gate::new(vec![rules(&policy, Deadline::Never); 3], &policy);
        let mut world = Fake::new(&[TargetDoes::Succeed, TargetDoes::Refuse, TargetDoes::Hang].map(Script::always));
        gate.run(&mut world, &mut Mute);
        assert_eq!(gate.trackers[0].history.last, None, "{quorum:?}");
        assert_eq!(gate.trackers[0].history.failures, Vec::new(), "{quorum:?}");
        assert!(gate.trackers[1].history.last.is_some() && gate.trackers[2].history.last.is_some());
    }
}

/// A target that is ready long before another, which becomes so this long before the deadline.
fn close_to_the_deadline(first: Script, left: Duration) -> (Verdict, Fake) {
    let late = Script { cells: [vec![TargetDoes::Refuse; 5], vec![TargetDoes::Succeed]].concat(), latency: MS };
    let policy = policy(Deadline::At(CELL * 5 + left));
    run(&policy, &[first, late], &[Deadline::Never; 2])
}

#[test]
fn what_was_ready_and_has_not_failed_by_the_deadline_counts_as_ready() {
    use TargetDoes::{Hang, NotAnswer, Refuse, Succeed};
    let then = |does| Script { cells: [vec![Succeed; 5], vec![does]].concat(), latency: MS };
    // Silent, or so slow that the deadline cuts its answer off.
    for first in [then(NotAnswer), then(Hang), Script { latency: 400 * MS, ..then(Succeed) }] {
        let (verdict, world) = close_to_the_deadline(first.clone(), 300 * MS);
        assert_eq!(verdict, Verdict::Ready, "{first:?}");
        assert!(world.starts_at(0).count() > 1, "it was asked once more: {first:?}");
        assert_eq!(world.now, CELL * 5 + 300 * MS, "it is given all of the time: {first:?}");
    }
    // It answers in time, or is known to be down.
    let (verdict, world) = close_to_the_deadline(then(Succeed), 300 * MS);
    assert_eq!(verdict, Verdict::Ready);
    assert!(world.now < CELL * 5 + 100 * MS, "{:?}", world.now);
    assert_eq!(close_to_the_deadline(then(Refuse), 300 * MS).0, Verdict::TimedOut);
    // What has been silent for longer than it ever took may be gone.
    for (first, left, expected) in [
        (then(NotAnswer), 1000 * MS, Verdict::TimedOut),
        (then(NotAnswer), 4000 * MS, Verdict::TimedOut),
        (Script { latency: 1100 * MS, ..then(Succeed) }, 1000 * MS, Verdict::Ready),
    ] {
        assert_eq!(close_to_the_deadline(first.clone(), left).0, expected, "{first:?} for {left:?}");
    }
}

#[test]
fn a_row_of_successes_that_is_too_short_is_no_time_out() {
    for (max_attempts, pauses) in [
        (Some(1), policy(Deadline::Never).pauses),
        (None, Pauses::Configured(Backoff { initial: 400 * MS, factor: 1.0, cap: 400 * MS })),
    ] {
        let policy = Policy { successes: 5, max_attempts, pauses, ..policy(Deadline::At(1000 * MS)) };
        let mut gate = Gate::new(vec![rules(&policy, Deadline::Never)], &policy);
        let verdict = gate.run(&mut Fake::new(&[Script::always(TargetDoes::Succeed)]), &mut Mute);
        let history = &gate.trackers[0].history;
        assert_eq!((verdict, &history.last, history.failures.len()), (Verdict::TimedOut, &None, 0));
    }
}

/// A world in which beginning an attempt and taking an outcome take their time, as with ten thousand targets.
struct Slow {
    fake: Fake,
    each: Duration,
}

impl World for Slow {
    fn now(&mut self) -> Duration {
        self.fake.now()
    }

    fn has_room(&mut self, target: usize) -> bool {
        self.fake.has_room(target)
    }

    fn start(&mut self, target: usize, begun: Begun) -> Result<(), NotReady> {
        self.fake.now += self.each;
        self.fake.start(target, begun)
    }

    fn abandon(&mut self, target: usize) {
        self.fake.abandon(target);
    }

    fn stage(&mut self, target: usize, attempt: u32) -> Stage {
        self.fake.stage(target, attempt)
    }

    fn next(&mut self, until: Option<Duration>) -> Option<Arrival> {
        let next = self.fake.next(until);
        self.fake.now += if next.is_some() { self.each } else { Duration::ZERO };
        next
    }

    fn jitter(&mut self) -> f64 {
        self.fake.jitter()
    }
}

#[test]
fn ten_thousand_targets_make_neither_the_deadline_nor_a_signal_late() {
    for each in [10, 50].map(Duration::from_micros) {
        let policy = policy(Deadline::At(1000 * MS));
        let scripts = vec![Script { cells: vec![TargetDoes::Refuse], latency: MS }; 10_000];
        let mut world = Slow { fake: Fake::new(&scripts), each };
        world.fake.patience = 1_000_000;
        let gate = |world: &mut Slow| {
            let rules = vec![rules(&policy, Deadline::Never); 10_000];
            Gate::new(rules, &policy).run(world, &mut Mute)
        };
        assert_eq!(gate(&mut world), Verdict::TimedOut);
        assert!(world.fake.now <= 1000 * MS + TURN * 3, "{:?}", world.fake.now);
        // A signal that comes while attempts begin.
        let mut world = Slow { fake: Fake::new(&scripts), each };
        world.fake.patience = 1_000_000;
        world.fake.due.insert((20 * MS, usize::MAX), Arrival::Signal(15));
        assert_eq!(gate(&mut world), Verdict::Interrupted(15));
        assert!(world.fake.now <= 70 * MS, "heard at {:?}", world.fake.now);
    }
}

#[test]
fn an_attempt_that_cannot_begin_is_counted_and_ends_the_wait_if_it_was_the_last() {
    struct Full(Fake);
    impl World for Full {
        fn now(&mut self) -> Duration {
            self.0.now()
        }
        fn has_room(&mut self, _: usize) -> bool {
            true
        }
        fn start(&mut self, target: usize, begun: Begun) -> Result<(), NotReady> {
            self.0.starts.push((self.0.now, target, begun));
            Err(NotReady::new(Kind::LocalLimit, "no thread"))
        }
        fn abandon(&mut self, _: usize) {}
        fn stage(&mut self, _: usize, _: u32) -> Stage {
            Stage::Starting
        }
        fn next(&mut self, until: Option<Duration>) -> Option<Arrival> {
            self.0.next(until)
        }
        fn jitter(&mut self) -> f64 {
            0.0
        }
    }
    let policy = Policy { max_attempts: Some(1), ..policy(Deadline::At(60_000 * MS)) };
    let mut world = Full(Fake::new(&[]));
    let mut gate = Gate::new(vec![rules(&policy, Deadline::Never)], &policy);
    assert_eq!(gate.run(&mut world, &mut Mute), Verdict::TimedOut);
    assert_eq!((world.0.now, world.0.starts.len()), (Duration::ZERO, 1), "nobody waits for the deadline");
    assert_eq!(gate.trackers[0].history.failures, [(Kind::LocalLimit, 1)]);
}

#[test]
fn a_target_that_died_after_it_was_confirmed_is_waited_for_again() {
    use TargetDoes::{Refuse, Succeed};
    let of = |parts: &[(usize, TargetDoes)]| {
        let cells = parts.iter().flat_map(|(count, does)| vec![*does; *count]).collect();
        Script { cells, latency: MS }
    };
    // When the first is ready, the second is confirmed and the third has gone. Then the second dies.
    let scripts = [
        of(&[(5, Refuse), (1, Succeed)]),
        of(&[(6, Succeed), (8, Refuse), (1, Succeed)]),
        of(&[(5, Succeed), (6, Refuse), (1, Succeed)]),
    ];
    let (verdict, world) = run(&policy(Deadline::At(60_000 * MS)), &scripts, &[Deadline::Never; 3]);
    assert_eq!(verdict, Verdict::Ready);
    assert!(world.now >= CELL * 14, "the second was down at {:?}", world.now);
}

#[test]
fn what_is_optional_makes_no_readiness_older() {
    use TargetDoes::{Refuse, Succeed};
    let policy = policy(Deadline::At(9000 * MS));
    for (second, expected) in [(Refuse, Verdict::TimedOut), (Succeed, Verdict::Ready)] {
        let scripts = [Script { cells: vec![Succeed, second], latency: MS }, Script::always(Refuse)];
        let rules = [false, true].map(|is_optional| Rules { is_optional, ..rules(&policy, Deadline::Never) }).to_vec();
        let mut world = Fake::new(&scripts);
        assert_eq!(Gate::new(rules, &policy).run(&mut world, &mut Mute), expected);
        let last = world.starts_at(0).last().map(|(at, _)| at);
        assert!(last >= Some(8000 * MS), "asked again shortly before the deadline, not at {last:?}");
    }
}

#[test]
fn a_slow_round_of_confirmations_comes_to_an_end() {
    use TargetDoes::{Refuse, Succeed};
    let late = Script { cells: [vec![Refuse; 5], vec![Succeed]].concat(), latency: MS };
    let slow = |seconds: u32| Script { latency: seconds * 1000 * MS, ..Script::always(Succeed) };
    let policy = Policy { attempt_timeout: 60_000 * MS, ..policy(Deadline::At(600_000 * MS)) };
    let (verdict, world) = run(&policy, &[late, slow(7), slow(13)], &[Deadline::Never; 3]);
    assert_eq!(verdict, Verdict::Ready);
    // The slow ones are ready after 7 s and 13 s; one round asks the first two again, side by side.
    assert!(world.now < 21_000 * MS, "{:?}", world.now);
}

/// A world that stands still for a while, as by SIGSTOP or in a stalled machine.
struct Stopped {
    fake: Fake,
    from: Duration,
    until: Duration,
    is_over: bool,
}

impl World for Stopped {
    fn now(&mut self) -> Duration {
        self.fake.now()
    }

    fn has_room(&mut self, target: usize) -> bool {
        self.fake.has_room(target)
    }

    fn start(&mut self, target: usize, begun: Begun) -> Result<(), NotReady> {
        self.fake.start(target, begun)
    }

    fn abandon(&mut self, target: usize) {
        self.fake.abandon(target);
    }

    fn stage(&mut self, target: usize, attempt: u32) -> Stage {
        self.fake.stage(target, attempt)
    }

    fn next(&mut self, until: Option<Duration>) -> Option<Arrival> {
        let next_due = self.fake.due.first_key_value().map(|(&(at, _), _)| at);
        let next = until.into_iter().chain(next_due).min();
        if self.is_over || next.is_some_and(|next| next <= self.from) {
            return self.fake.next(until);
        }
        self.is_over = true;
        self.fake.now = self.until;
        // What came meanwhile is found a moment later.
        let due = std::mem::take(&mut self.fake.due);
        self.fake.due =
            due.into_iter().map(|((at, order), arrival)| ((at.max(self.until + MS), order), arrival)).collect();
        None
    }

    fn jitter(&mut self) -> f64 {
        self.fake.jitter()
    }
}

/// A gate with 2 s, stopped after 500 ms for 10 s.
fn stopped(script: Script) -> (Verdict, Duration) {
    let policy = policy(Deadline::At(2000 * MS));
    let mut world = Stopped { fake: Fake::new(&[script]), from: 500 * MS, until: 10_500 * MS, is_over: false };
    let verdict = Gate::new(vec![rules(&policy, Deadline::Never)], &policy).run(&mut world, &mut Mute);
    (verdict, world.fake.now)
}

#[test]
fn what_came_while_the_gate_stood_still_is_heard_before_the_verdict() {
    // The answer of an attempt under way.
    assert_eq!(stopped(Script { latency: 1500 * MS, ..Script::always(TargetDoes::Succeed) }).0, Verdict::Ready);
    // A port that refused before, and is open now.
    let opened = Script { cells: vec![TargetDoes::Refuse, TargetDoes::Succeed], latency: MS };
    assert_eq!(stopped(opened).0, Verdict::Ready);
    for does in [TargetDoes::Refuse, TargetDoes::NotAnswer, TargetDoes::Hang] {
        let (verdict, now) = stopped(Script::always(does));
        assert_eq!(verdict, Verdict::TimedOut, "{does:?}");
        assert!(now <= 10_600 * MS, "{does:?}: {now:?}");
    }
}
