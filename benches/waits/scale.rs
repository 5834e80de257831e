//! What a fleet of waiting replicas does to the one backend that they wait for: each replica is the
//! real [`Tracker`], and time is simulated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use when_ready::backoff::Backoff;
use when_ready::deadline::Deadline;
use when_ready::not_ready::{Kind, NotReady};
use when_ready::retry::{Rules, Tracker};

use crate::Depth;
use crate::table::{Row, Table, Unit};

const REPLICAS: usize = 10_000;
/// So long the backend is down.
const DOWN: Duration = Duration::from_mins(5);
/// A refusal's way there and back.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// How the replicas pause, and over what time they are started.
struct Fleet {
    name: &'static str,
    backoff: Backoff,
    started_within: Duration,
}

const fn backoff(initial: u64, factor: f64, cap: u64) -> Backoff {
    Backoff { initial: Duration::from_millis(initial), factor, cap: Duration::from_millis(cap) }
}

const DEFAULT: Backoff = backoff(10, 1.03, 500);
const GENTLE: Backoff = backoff(1000, 1.1, 10_000);
const FLEETS: [Fleet; 4] = [
    Fleet { name: "defaults, started at once", backoff: DEFAULT, started_within: Duration::ZERO },
    Fleet { name: "defaults, started over 60 s", backoff: DEFAULT, started_within: Duration::from_mins(1) },
    Fleet { name: "1s, 1.1, 10s, started at once", backoff: GENTLE, started_within: Duration::ZERO },
    Fleet { name: "1s, 1.1, 10s, started over 60 s", backoff: GENTLE, started_within: Duration::from_mins(1) },
];

pub fn run(_: Depth, table: &mut Table) {
    for fleet in &FLEETS {
        let attempts = simulate(fleet);
        let second = |from: usize| f64::from(attempts[from * 10..(from + 1) * 10].iter().sum::<u32>());
        let row = |what: &str| Row::new("scale", format!("{REPLICAS} replicas, {what}"), fleet.name, Unit::PerSecond);
        let tenth = attempts.iter().copied().max().unwrap_or(0);
        let seconds: Vec<f64> = (0..attempts.len() / 10).map(second).collect();
        let peak = seconds.iter().copied().fold(0.0, f64::max);
        let last = &seconds[seconds.len() - 60..];
        table.alone(row("busiest tenth of a second").sample(f64::from(tenth) * 10.0));
        table.alone(row("busiest second").sample(peak));
        for (from, to) in [(0, 1), (4, 5), (8, 9), (16, 17), (60, 61)] {
            table.alone(row(&format!("from {from} s to {to} s")).sample(second(from)));
        }
        table.alone(row("the fifth minute").samples(last.iter().copied()));
    }
}

/// How many attempts reach the backend in each tenth of a second.
fn simulate(fleet: &Fleet) -> Vec<u32> {
    let rules = Rules {
        backoff: fleet.backoff,
        attempt_timeout: Duration::from_secs(5),
        max_attempts: None,
        successes: 1,
        deadline: Deadline::Never,
        own_deadline: Deadline::Never,
    };
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut replicas: Vec<(Duration, Tracker)> =
        (0..REPLICAS).map(|_| (fleet.started_within.mul_f64(random.unit()), Tracker::new(rules))).collect();
    let mut due: BinaryHeap<_> = replicas.iter().enumerate().map(|(n, (start, _))| Reverse((*start, n))).collect();
    let mut counts = vec![0; DOWN.as_millis() as usize / 100];
    while let Some(Reverse((at, replica))) = due.pop() {
        let Some(count) = counts.get_mut(at.as_millis() as usize / 100) else { continue };
        *count += 1;
        // A replica's own clock begins at its own start.
        let (start, tracker) = &mut replicas[replica];
        let now = at.saturating_sub(*start);
        let (attempt, _) = tracker.begin(now);
        let refused = Err(NotReady::new(Kind::ConnectionRefused, "refused"));
        tracker.finish(attempt, now + ROUND_TRIP, refused, random.unit() * 2.0 - 1.0);
        let next = tracker.wakes_at(true).expect("it waits for ever");
        due.push(Reverse((*start + next, replica)));
    }
    counts
}

/// xorshift64 (Marsaglia, 2003), the same in each run.
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
