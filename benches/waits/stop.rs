//! SIGTERM to the first process of a container that waits.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Depth;
use crate::contender::{Contender, millis};
use crate::support::{eventually, free_port};
use crate::table::{Budget, Row, Table, Unit};

/// What `docker stop` allows before it kills.
const ALLOWED: Duration = Duration::from_secs(10);

pub fn run(depth: Depth, table: &mut Table) {
    let port = free_port();
    let product = Contender::product([format!("127.0.0.1:{port}")]).in_pid_namespace();
    let peers = [
        Contender::wait_for_it(port, 60).in_pid_namespace(),
        Contender::curl(&format!("http://127.0.0.1:{port}/"), "", "2").in_pid_namespace(),
    ];
    let figure = "SIGTERM as PID 1 to exit";
    let samples = (0..depth.pick(10, 50)).map(|_| millis(stop(&product, Some(143)).expect("the gate obeys SIGTERM")));
    let mut rows =
        vec![Row::new("stop", figure, &product.name, Unit::Milliseconds).samples(samples).budget(Budget::Median(5.0))];
    // One run each tells: a shell has no handler, and PID 1 no default action.
    std::thread::scope(|scope| {
        let ends: Vec<_> = peers.iter().map(|peer| (peer, scope.spawn(|| stop(peer, None)))).collect();
        for (peer, end) in ends {
            let took = end.join().expect("a peer").unwrap_or(ALLOWED);
            let row = Row::new("stop", figure, &peer.name, Unit::Milliseconds).cap(Some(millis(ALLOWED)));
            rows.push(row.sample(millis(took)));
        }
    });
    table.figure(rows);
}

/// How long it runs on after SIGTERM; `None` if it has to be killed.
fn stop(contender: &Contender, expected: Option<i32>) -> Option<Duration> {
    let outside = contender.race();
    let inside = child_of(outside.group);
    // It waits: its handlers are in place and it sleeps, or a shell has a child.
    eventually("the wait", || is_waiting(inside));
    let begun = Instant::now();
    kill(inside, Signal::SIGTERM).expect("kill");
    let (ended, status) = outside.end_before(begun + ALLOWED)?;
    assert!(expected.is_none_or(|code| status.code() == Some(code)), "{status} instead of {expected:?}");
    Some(ended.saturating_duration_since(begun))
}

fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

fn child_of(parent: Pid) -> Pid {
    let mut found = None;
    eventually("the first process of the namespace", || {
        found = children(parent).first().copied();
        found.is_some()
    });
    found.expect("found")
}

fn is_waiting(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let caught = u64::from_str_radix(field("SigCgt:"), 16).unwrap_or(0);
    let is_ready = caught & (1 << (Signal::SIGTERM as i32 - 1)) != 0 && field("State:").starts_with('S');
    is_ready || !children(pid).is_empty()
}
