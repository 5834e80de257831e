//! What a fleet of waiting replicas does to the one backend that they wait for: each replica is the
//! real tracker, and time is simulated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use when_ready::fuzzing::{Backend, Replica};

use crate::Depth;
use crate::table::{Row, Table, Unit, quantile};

const REPLICAS: usize = 10_000;
/// Each replica that is simulated stands for so many.
const EACH: usize = 20;
/// So long the backend is down.
const DOWN: Duration = Duration::from_secs(300);
/// An answer's way there and back.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// What the backend does while it is down.
const BACKENDS: [(&str, Backend); 3] =
    [("refusing", Backend::Refuses), ("silent", Backend::IsSilent), ("answering 503", Backend::Answers503)];

/// How the replicas pause, and over what time they are started.
struct Fleet {
    name: &'static str,
    /// `--interval` and `--max-interval`, where they are given.
    interval: Option<Duration>,
    started_within: Duration,
}

const SLOW: Option<Duration> = Some(Duration::from_secs(5));
const FLEETS: [Fleet; 4] = [
    Fleet { name: "defaults, all at once", interval: None, started_within: Duration::ZERO },
    Fleet { name: "5s and 5s, all at once", interval: SLOW, started_within: Duration::ZERO },
    Fleet { name: "defaults, over 60 s", interval: None, started_within: Duration::from_secs(60) },
    Fleet { name: "5s and 5s, over 60 s", interval: SLOW, started_within: Duration::from_secs(60) },
];

pub fn run(_: Depth, table: &mut Table) {
    for (backend, does) in BACKENDS {
        let fleets: Vec<(&str, Vec<f64>)> = FLEETS.iter().map(|fleet| (fleet.name, simulate(fleet, does))).collect();
        let figure = |what: &str, from: usize, to: usize| -> Vec<Row> {
            let row = |(name, seconds): &(&'static str, Vec<f64>)| {
                Row::new(
                    "scale",
                    format!("{REPLICAS} replicas, one backend, {backend}: {what}"),
                    *name,
                    Unit::PerSecond,
                )
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
fn simulate(fleet: &Fleet, backend: Backend) -> Vec<f64> {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut replicas: Vec<(Duration, Replica)> = (0..REPLICAS / EACH)
        .map(|_| (fleet.started_within.mul_f64(random.unit()), Replica::new(fleet.interval)))
        .collect();
    let mut due: BinaryHeap<_> = replicas.iter().enumerate().map(|(n, (start, _))| Reverse((*start, n))).collect();
    let mut counts = vec![0.0; DOWN.as_secs() as usize];
    while let Some(Reverse((at, replica))) = due.pop() {
        let Some(count) = counts.get_mut(at.as_secs() as usize) else { continue };
        // A replica's own clock begins at its own start.
        let (start, waiting) = &mut replicas[replica];
        if waiting.turn(at.saturating_sub(*start), backend, ROUND_TRIP, || random.unit() * 2.0 - 1.0) {
            *count += EACH as f64;
        }
        let next = waiting.wakes_at().expect("it waits for ever");
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
