//! Log lines for people.

use super::{Entry, Level, Topic};
use crate::duration::human;
use crate::endpoint::Target;

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
    let elapsed = human(entry.elapsed);
    let reason = entry.reason.unwrap_or_default();
    let attempts = || entry.attempt.map_or_else(String::new, |n| count(usize::try_from(n).unwrap_or(0), "attempt"));
    let place = || match entry.attempt {
        Some(n) => format!("(attempt {n}, {elapsed})"),
        None => format!("({elapsed})"),
    };
    match (entry.target.map(title), entry.topic) {
        (Some(target), Topic::Ready) => format!("{target}: ready: {reason} {}", place()),
        (Some(target), Topic::NotReady) if entry.is_permanent() == Some(true) => {
            format!("{target}: not ready: {reason}; failed permanently: waiting will not help {}", place())
        }
        (Some(target), Topic::NotReady) => format!("{target}: not ready: {reason} {}", place()),
        (Some(target), Topic::Timeout | Topic::Interrupted) => {
            format!("{target}: not ready after {elapsed}, {}; last: {reason}", attempts())
        }
        (Some(target), Topic::Failed) => {
            format!("{target}: failed permanently: waiting will not help: {reason} ({}, {elapsed})", attempts())
        }
        (Some(target), _) => format!("{target}: {reason}"),
        (None, Topic::StillWaiting) => format!("{reason} ({elapsed})"),
        (None, _) => reason.to_owned(),
    }
}

pub(super) fn line(entry: &Entry<'_>) -> String {
    let level = match entry.level {
        Level::Warn => "warning: ",
        Level::Debug | Level::Info | Level::Error => "",
    };
    format!("when-ready: {level}{}", sentence(entry))
}
