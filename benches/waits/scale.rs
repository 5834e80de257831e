//! What a fleet of waiting replicas does to the one backend that they wait for: each replica is the
//! real [`Tracker`], and time is simulated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use when_ready::backoff::Backoff;
use when_ready::deadline::Deadline;
use when_ready::outcome::{Kind, NotReady};
use when_ready::retry::{Overlap, Rules, Tracker};

use crate::Depth;
use crate::table::{Row, Table, Unit, quantile};

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

const DEFAULT: Backoff = Backoff { initial: Duration::from_millis(10), factor: 1.03, cap: Duration::from_millis(500) };
/// `--interval 5s --max-interval 5s`
const SLOW: Backoff = Backoff { initial: Duration::from_secs(5), factor: 1.03, cap: Duration::from_secs(5) };
const FLEETS: [Fleet; 4] = [
    Fleet { name: "defaults, all at once", backoff: DEFAULT, started_within: Duration::ZERO },
    Fleet { name: "5s and 5s, all at once", backoff: SLOW, started_within: Duration::ZERO },
    Fleet { name: "defaults, over 60 s", backoff: DEFAULT, started_within: Duration::from_mins(1) },
    Fleet { name: "5s and 5s, over 60 s", backoff: SLOW, started_within: Duration::from_mins(1) },
];

pub fn run(_: Depth, table: &mut Table) {
    let fleets: Vec<(&str, Vec<f64>)> = FLEETS.iter().map(|fleet| (fleet.name, simulate(fleet))).collect();
    for fleets in fleets.chunks(2) {
        let figure = |what: &str, from: usize, to: usize| -> Vec<Row> {
            let row = |(name, seconds): &(&'static str, Vec<f64>)| {
                Row::new("scale", format!("{REPLICAS} replicas, one backend: {what}"), *name, Unit::PerSecond)
                    .samples(seconds[from..to].iter().copied())
            };
            fleets.iter().map(row).collect()
        };
        let mut busiest = figure("busiest second", 0, DOWN.as_secs() as usize);
        for row in &mut busiest {
            row.samples = vec![quantile(&row.samples, 1.0)];
        }
        table.figure(busiest);
        table.figure(figure("first minute", 0, 60));
        table.figure(figure("fifth minute", 240, 300));
    }
}

/// How many attempts reach the backend in each second.
fn simulate(fleet: &Fleet) -> Vec<f64> {
    let rules = Rules {
        backoff: fleet.backoff,
        attempt_timeout: Duration::from_secs(5),
        max_attempts: None,
        successes: 1,
        deadline: Deadline::Never,
        own_deadline: Deadline::Never,
        overlap: Overlap::Allowed,
    };
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut replicas: Vec<(Duration, Tracker)> =
        (0..REPLICAS).map(|_| (fleet.started_within.mul_f64(random.unit()), Tracker::new(rules))).collect();
    let mut due: BinaryHeap<_> = replicas.iter().enumerate().map(|(n, (start, _))| Reverse((*start, n))).collect();
    let mut counts = vec![0.0; DOWN.as_secs() as usize];
    while let Some(Reverse((at, replica))) = due.pop() {
        let Some(count) = counts.get_mut(at.as_secs() as usize) else { continue };
        *count += 1.0;
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
