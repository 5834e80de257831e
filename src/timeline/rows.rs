//! What is drawn, as text or as a picture: the rows and the totals. Pure.

use std::time::Duration;

use super::stack::{Link, Stack, StackEnd, StackTarget, Wait};
use crate::text::{count, human, printable};

/// A bar over the time that a gate, or one of its targets, took.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: RowKind,
    pub(super) label: String,
    /// In milliseconds since the stack's start.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) is_ready: bool,
    /// Whether the start of the stack took as long as it did because of this.
    pub(super) is_critical: bool,
    /// The text behind the bar.
    pub(super) note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    Gate,
    Target,
}

/// A row for each gate, and under it one for each of its targets.
pub(super) fn rows(stack: &Stack) -> Vec<Row> {
    let (began, _) = stack.span();
    let path = stack.critical_path();
    let mut rows = Vec::new();
    for (index, wait) in stack.waits.iter().enumerate() {
        let link = path.iter().find(|(on_path, _)| *on_path == index);
        let from = wait.began - began;
        rows.push(Row {
            kind: RowKind::Gate,
            label: printable(&wait.gate),
            from,
            to: from + wait.elapsed,
            is_ready: wait.ending == StackEnd::Ready,
            is_critical: link.is_some(),
            note: format!("{}  {}", time(wait.elapsed), wait.ending.word()),
        });
        rows.extend(wait.targets.iter().zip(0..).map(|(target, at)| Row {
            kind: RowKind::Target,
            label: printable(&target.name),
            from,
            to: from + target.ready_after.unwrap_or(wait.elapsed),
            is_ready: target.ready_after.is_some(),
            is_critical: link.is_some_and(|(_, last)| *last == Some(at)),
            note: note(wait, target),
        }));
    }
    rows
}

/// How long a target took, and what is to be said of that.
fn note(wait: &Wait, target: &StackTarget) -> String {
    let (time_taken, state) = match target.ready_after {
        Some(after) => (time(after), None),
        None => (format!("{:>7}", "-"), Some(if wait.ending == StackEnd::Ready { "not needed" } else { "not ready" })),
    };
    let retries = match target.retries() {
        0 => None,
        1 => Some("1 retry".to_owned()),
        n => Some(format!("{n} retries")),
    };
    let rest: Vec<String> = state.map(str::to_owned).into_iter().chain(retries).collect();
    format!("{time_taken}  {}", rest.join(", ")).trim_end().to_owned()
}

fn time(millis: u64) -> String {
    format!("{:>7}", human(Duration::from_millis(millis)))
}

/// The lines under the rows.
pub(super) fn totals(stack: &Stack) -> Vec<String> {
    let (began, whole) = stack.span();
    let at = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_millis(began)).to_string();
    let targets: Vec<&StackTarget> = stack.waits.iter().flat_map(|wait| &wait.targets).collect();
    let mut lines = vec![format!(
        "{} and {}: {} from {}",
        count(stack.waits.len(), "gate"),
        count(targets.len(), "target"),
        human(Duration::from_millis(whole)),
        at.replace('T', " ").replace('Z', " UTC"),
    )];
    lines.push(format!("critical path (*): {}", path(stack, &stack.critical_path())));
    lines.extend(stack.waits.iter().filter_map(waited_for));
    let retries: u64 = targets.iter().map(|target| target.retries()).sum();
    let most = targets.iter().max_by_key(|target| target.retries()).filter(|target| target.retries() > 0);
    lines.push(match most {
        Some(target) if targets.len() > 1 => {
            format!("retries: {retries}, most of them for {} ({})", printable(&target.name), target.retries())
        }
        _ => format!("retries: {retries}"),
    });
    let failures: Vec<String> = stack.failures().iter().map(|(kind, n)| format!("{} {n}", printable(kind))).collect();
    if !failures.is_empty() {
        lines.push(format!("failures: {}", failures.join(", ")));
    }
    if stack.skipped > 0 {
        lines.push(format!("skipped: {} of no gate", count(stack.skipped, "line")));
    }
    lines
}

/// `web, for api (8.9s); api, for db (6.9s)`
fn path(stack: &Stack, path: &[Link]) -> String {
    let part = |&(index, last): &Link| {
        let wait = &stack.waits[index];
        let target = last.map(|target| &wait.targets[target]);
        let name = printable(&wait.gate);
        target.map_or(name.clone(), |target| format!("{name} ← {}", printable(&target.name)))
    };
    path.iter().map(part).collect::<Vec<_>>().join(" ← ")
}

/// The sentence about who waited for whom, and for how long.
fn waited_for(wait: &Wait) -> Option<String> {
    let target = &wait.targets[wait.last()?];
    let (gate, name) = (printable(&wait.gate), printable(&target.name));
    Some(match target.ready_after {
        Some(after) => format!("{gate} waited {} for {name}", human(Duration::from_millis(after))),
        None => {
            let reason = target.last_reason.as_deref().map_or_else(String::new, |why| format!(": {}", printable(why)));
            format!("{gate} waited {} in vain for {name}{reason}", human(Duration::from_millis(wait.elapsed)))
        }
    })
}
