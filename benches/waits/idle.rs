//! Nothing is there: what waiting costs.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::Depth;
use crate::contender::{Contender, PRODUCT, WAIT_FOR_IT};
use crate::support::{Run, Running, directory, free_port};
use crate::table::{Budget, Row, Table, Unit};

/// The wait that the budgets are for.
const WAIT: Duration = Duration::from_secs(10);
/// When the pauses have long reached their longest.
const LONG: Duration = Duration::from_secs(75);
const STEADY: Duration = Duration::from_secs(60);

pub fn run(depth: Depth, table: &mut Table) {
    let wait = WAIT;
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/");
    let [_, floor] = Contender::beside_the_floor(&[format!("127.0.0.1:{port}")]);
    let contenders = [
        Contender::product(["--timeout", "none", &format!("127.0.0.1:{port}")]),
        Contender::wait_for_it(port, wait.as_secs()),
        floor,
        Contender::curl(&url, "", "2"),
        Contender::curl(&url, "", "0.1"),
        Contender::pg_isready(port),
        Contender::redis_cli(port),
    ];
    let figure = format!("a closed port for {} s: ", wait.as_secs());
    let row = |what: &str, unit, name: &str| Row::new("idle", format!("{figure}{what}"), name, unit);
    let mut times: Vec<Row> =
        contenders.iter().map(|contender| row("CPU time", Unit::Milliseconds, &contender.name)).collect();
    let mut peaks: Vec<Row> =
        contenders.iter().map(|contender| row("peak of the first process", Unit::Mebibytes, &contender.name)).collect();
    times[0].budgets.push(Budget::Median(12.0));
    peaks[0].budgets.push(Budget::Median(1600.0 / 1024.0));
    let mut threads = row("threads", Unit::Threads, PRODUCT).budget(Budget::Maximum(1.0));

    // The attempts are counted beside, by a run that tells of each.
    let counting = Counting::start(port);
    for _ in 0..depth.pick(1, 2) {
        measure(&contenders, wait, &mut times, &mut peaks, &mut threads);
    }
    let attempts = counting.until(depth.pick(wait, LONG));
    table.figure(times);
    table.figure(peaks);
    table.alone(threads);
    let until = |moment: Duration| attempts.iter().filter(|at| **at <= moment).count() as f64;
    let first = Duration::from_secs(8);
    table.alone(row("attempts", Unit::Attempts, PRODUCT).sample(until(wait)));
    table.alone(
        Row::new("idle", "attempts in the first 8 s", PRODUCT, Unit::PerSecond)
            .sample(until(first) / first.as_secs_f64())
            .budget(Budget::Maximum(15.0)),
    );
    if depth == Depth::Full {
        let steady = (until(LONG) - until(STEADY)) / LONG.saturating_sub(STEADY).as_secs_f64();
        table.alone(
            Row::new("idle", "attempts after 60 s", PRODUCT, Unit::PerSecond)
                .sample(steady)
                .budget(Budget::Maximum(2.3)),
        );
    }
}

/// All of them at once for `wait`; then one after another is ended and accounted for.
fn measure(contenders: &[Contender], wait: Duration, times: &mut [Row], peaks: &mut [Row], threads: &mut Row) {
    let begun = Instant::now();
    let mut children: Vec<_> = contenders.iter().map(Contender::spawn).collect();
    thread::sleep((begun + wait).saturating_duration_since(Instant::now() + Duration::from_millis(50)));
    for (child, row) in children.iter().zip(peaks) {
        row.samples.push(peak(child.id()));
    }
    threads.samples.push(status_of(children[0].id(), "Threads:"));
    for (index, (child, row)) in children.iter_mut().zip(times).enumerate() {
        // That one ends by itself: its children leave its process group, and count once they have ended.
        if contenders[index].name != WAIT_FOR_IT {
            let group = Pid::from_raw(i32::try_from(child.id()).expect("a process ID"));
            killpg(group, Signal::SIGTERM).expect("it waits still");
        }
        // No other child is waited for meanwhile: the difference is this one's, and its children's.
        let before = used();
        let status = child.wait().expect("wait");
        assert!(!status.success(), "{}: nothing is there, and it says it is", contenders[index].name);
        row.samples.push(used() - before);
    }
}

/// The user and system time of all children that have been waited for, in milliseconds.
pub fn used() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1000.0
}

/// The most memory that a running process has had resident, in MiB.
pub fn peak(pid: u32) -> f64 {
    status_of(pid, "VmHWM:") / 1024.0
}

/// A number of /proc/PID/status.
fn status_of(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A run that logs each attempt.
struct Counting {
    directory: TempDir,
    running: Running,
}

impl Counting {
    fn start(port: u16) -> Self {
        let directory = directory();
        let log = fs::File::create(directory.path().join("log")).expect("a log");
        let run = Run::new().args(["-v", "--log-format", "json", "--timeout", "none"]).stderr(log);
        Self { running: run.target(format!("127.0.0.1:{port}")).spawn(), directory }
    }

    /// Lets it run for so long; gives when each attempt ended.
    fn until(self, wait: Duration) -> Vec<Duration> {
        thread::sleep(wait.saturating_sub(self.running.begun.elapsed()));
        drop(self.running);
        let text = fs::read_to_string(self.directory.path().join("log")).expect("a log");
        let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let ended =
            events.filter(|event| event["event"] == "not_ready").filter_map(|event| event["elapsed_ms"].as_u64());
        ended.map(Duration::from_millis).collect()
    }
}
