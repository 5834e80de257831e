//! The last state of the live view, which stays: a row for each target, with a bar from the beginning to the moment when
//! it became ready, so that one sees which of them the start waited for.

use std::fmt::Write as _;
use std::time::Duration;

use super::last_reason;
use super::paint::{Colour, Paint};
use super::screen::{NARROW, Names, columns, fit, wrapped};
use crate::text::{count, human};
use crate::wait::gate::{Gate, Verdict};
use crate::wait::outcome::Permanence;
use crate::wait::tracker::{State, Tracker};

/// The columns of the longest bar.
const BAR: usize = 20;
/// The columns of the longest time, `59m 59s`.
const TIME: usize = 7;
/// The proof is shown if so many columns are left for it.
const LEAST_PROOF: usize = 12;
/// Stands before the reason of a target that is not ready, under its row.
const INDENT: &str = "     ";

/// How the wait ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitEnd {
    pub(super) verdict: Verdict,
    pub(super) elapsed: Duration,
}

/// The rows, none of them wider than the terminal.
pub(super) fn rows(names: &Names, gate: &Gate, end: WaitEnd, width: usize, paint: Paint) -> Vec<String> {
    let all: Vec<usize> = (0..gate.trackers.len()).collect();
    let mut out = Vec::with_capacity(all.len());
    for (name, tracker) in names.shown(&all, width).into_iter().zip(&gate.trackers) {
        out.extend(row(&name, tracker, end, width, paint));
    }
    out
}

/// The row of a target, and under it why the wait failed, if it did.
fn row(name: &str, tracker: &Tracker, end: WaitEnd, terminal: usize, paint: Paint) -> Vec<String> {
    // The last column stays free: some terminals wrap a line that fills it.
    let width = terminal.saturating_sub(1);
    let ready_after = tracker.history.ready_after.filter(|_| tracker.state == State::Ready);
    let (sign, colour) = match (ready_after, end.verdict) {
        (Some(_), _) => ("ok", Colour::Green),
        // The target was not needed.
        (None, Verdict::Ready) => ("- ", Colour::Dim),
        (None, _) => ("x ", colour_of_failure(tracker)),
    };
    let time = format!("{:>TIME$}", ready_after.map_or_else(|| "-".to_owned(), human));
    let mut row = format!("{} {name}  {time}", paint.text(colour, sign));
    let mut used = 2 + 1 + columns(name) + 2 + TIME;
    if terminal >= NARROW {
        // A target that never became ready is drawn lighter, as in a timeline: there may be no colours.
        let bar = ready_after.map_or_else(|| "░".repeat(BAR), |after| bar(after, end.elapsed));
        let blanks = " ".repeat(BAR.saturating_sub(columns(&bar)));
        let _ = write!(row, "  {}{blanks}", paint.text(colour, &bar));
        used += 2 + BAR;
    }
    let room = width.saturating_sub(used + 2);
    let (reason, _) = last_reason(tracker);
    if ready_after.is_none() && end.verdict != Verdict::Ready {
        let attempts = count(tracker.history.attempts, "attempt");
        let reason = wrapped(&format!("{attempts}; last: {reason}"), width.saturating_sub(INDENT.len()));
        let under = reason.iter().map(|line| format!("{INDENT}{}", paint.text(colour, line)));
        return [row.trim_end().to_owned()].into_iter().chain(under).collect();
    }
    let note = if ready_after.is_some() { tracker.history.proof.as_deref().unwrap_or_default() } else { reason };
    if room >= LEAST_PROOF && !note.is_empty() {
        let _ = write!(row, "  {}", paint.text(Colour::Dim, &fit(note, room)));
    }
    vec![row.trim_end().to_owned()]
}

/// Yellow is for what a person must mend.
pub(super) fn colour_of_failure(tracker: &Tracker) -> Colour {
    match &tracker.history.last {
        Some(failure) if failure.permanence() == Permanence::Permanent => Colour::Yellow,
        _ => Colour::Red,
    }
}

/// A bar of eighths of columns: all of it is `whole`, and the least one can be seen.
fn bar(part: Duration, whole: Duration) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let most = BAR * 8;
    let share = part.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "0..=160")]
    let length = ((share.clamp(0.0, 1.0) * most as f64) as usize).max(1);
    format!("{}{}", "█".repeat(length / 8), EIGHTHS[length % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_to_the_same_scale() {
        let seconds = Duration::from_secs;
        assert_eq!(bar(seconds(20), seconds(20)), "█".repeat(20));
        assert_eq!(bar(seconds(10), seconds(20)), "█".repeat(10));
        assert_eq!(bar(seconds(1), seconds(40)), "▌");
        assert_eq!(bar(Duration::ZERO, seconds(20)), "▏");
        assert_eq!(bar(Duration::ZERO, Duration::ZERO), "▏");
    }
}
