//! Log lines for people.

use std::fmt::Write as _;

use super::paint::{Colour, Paint};
use super::{Entry, Level, Topic};
use crate::targets::shared::target::Target;
use crate::text::{count, human, is_plain, printable};
use crate::wait::outcome::Kind;

/// The first word of each line.
const NAME: &str = "when-ready:";

/// So many bytes hold most lines.
const USUAL: usize = 160;

/// `db (postgres://app@db:5432/app)`, or the URL alone where there is no name.
pub(super) fn title(target: &Target) -> String {
    match &target.name {
        Some(name) => format!("{name} ({target})"),
        None => target.url(),
    }
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
    let attempts = || entry.attempt.map_or_else(String::new, |n| count(n, "attempt"));
    let place = || match entry.attempt {
        Some(n) => format!("(attempt {n}, {elapsed})"),
        None => format!("({elapsed})"),
    };
    // Writing to a text does not fail.
    let _ = match (entry.target.map(title), entry.topic) {
        (Some(target), Topic::Ready) => write!(out, "{target}: ready: {reason} {}", place()),
        (Some(target), Topic::NotReady) => {
            let trying = |pause| format!("{}; still trying every {}", remedy(entry), human(pause));
            let slowly = entry.slowly.map_or_else(String::new, trying);
            write!(out, "{target}: not ready: {reason}{slowly} {}", place())
        }
        (Some(target), Topic::Timeout | Topic::Interrupted) => {
            write!(out, "{target}: not ready after {elapsed}, {}; last: {reason}", attempts())
        }
        (Some(target), Topic::Failed) => {
            write!(out, "{target}: failed: {reason}{} ({}, {elapsed})", remedy(entry), attempts())
        }
        (Some(target), _) => write!(out, "{target}: {reason}"),
        (None, Topic::StillWaiting) => write!(out, "{reason} ({elapsed})"),
        (None, _) => out.write_str(reason),
    };
    out
}

/// `; check the user and the password`, where the reason does not say already what to check.
fn remedy(entry: &Entry<'_>) -> String {
    let is_said = entry.reason.is_some_and(|reason| reason.contains(": check "));
    let remedy = entry.kind.and_then(Kind::remedy).filter(|_| !is_said);
    remedy.map_or_else(String::new, |remedy| format!("; {remedy}"))
}

/// A line of the log. Its first word is in the colour of what it says.
pub(super) fn line(entry: &Entry<'_>, paint: Paint) -> String {
    let level = match entry.level {
        Level::Warn => "warning: ",
        Level::Debug | Level::Info | Level::Error => "",
    };
    let line = behind(&[NAME, " ", level].concat(), entry);
    let line = if is_plain(&line) { line } else { printable(&line) };
    match (colour(entry), line.strip_prefix(NAME)) {
        (Some(colour), Some(rest)) if paint.in_colour => paint.text(colour, NAME) + rest,
        _ => line,
    }
}

fn colour(entry: &Entry<'_>) -> Option<Colour> {
    match (entry.level, entry.topic) {
        (Level::Error, _) => Some(Colour::Red),
        (Level::Warn, _) => Some(Colour::Yellow),
        (_, Topic::Ready | Topic::Exec) => Some(Colour::Green),
        _ => None,
    }
}
