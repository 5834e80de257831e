//! Log lines for people.

use std::fmt::Write as _;

use super::{Entry, Level, Topic};
use crate::duration::human;
use crate::endpoint::Target;

/// So many bytes hold most lines.
const USUAL: usize = 160;

/// `db (postgres://app@db:5432/app)`, or the URL alone where there is no name.
pub(super) fn title(target: &Target) -> String {
    match &target.name {
        Some(name) => format!("{name} ({target})"),
        None => target.url(),
    }
}

/// `1 target`, `2 targets`
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// The sentence, which is in the JSON line too.
pub(super) fn sentence(entry: &Entry<'_>) -> String {
    behind("", entry)
}

/// The sentence behind a text.
fn behind(text: &str, entry: &Entry<'_>) -> String {
    let mut out = String::with_capacity(USUAL);
    out.push_str(text);
    let elapsed = human(entry.elapsed);
    let reason = entry.reason.unwrap_or_default();
    let attempts = || entry.attempt.map_or_else(String::new, |n| count(usize::try_from(n).unwrap_or(0), "attempt"));
    let place = || match entry.attempt {
        Some(n) => format!("(attempt {n}, {elapsed})"),
        None => format!("({elapsed})"),
    };
    // Writing to a text does not fail.
    let _ = match (entry.target.map(title), entry.topic) {
        (Some(target), Topic::Ready) => write!(out, "{target}: ready: {reason} {}", place()),
        (Some(target), Topic::NotReady) if entry.is_permanent() == Some(true) => {
            write!(out, "{target}: not ready: {reason}; failed permanently: waiting will not help {}", place())
        }
        (Some(target), Topic::NotReady) => write!(out, "{target}: not ready: {reason} {}", place()),
        (Some(target), Topic::Timeout | Topic::Interrupted) => {
            write!(out, "{target}: not ready after {elapsed}, {}; last: {reason}", attempts())
        }
        (Some(target), Topic::Failed) => {
            write!(out, "{target}: failed permanently: waiting will not help: {reason} ({}, {elapsed})", attempts())
        }
        (Some(target), _) => write!(out, "{target}: {reason}"),
        (None, Topic::StillWaiting) => write!(out, "{reason} ({elapsed})"),
        (None, _) => out.write_str(reason),
    };
    out
}

pub(super) fn line(entry: &Entry<'_>) -> String {
    let level = match entry.level {
        Level::Warn => "warning: ",
        Level::Debug | Level::Info | Level::Error => "",
    };
    behind(&["when-ready: ", level].concat(), entry)
}
