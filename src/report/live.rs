//! The live view: a line per target, redrawn in place.

use std::fmt::Write as _;
use std::time::Duration;

use terminal_size::{Height, Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Sink, last_reason};
use crate::deadline::Deadline;
use crate::duration::human;
use crate::gate::Gate;
use crate::retry::State;

/// How often it is drawn.
pub(super) const FRAME: Duration = Duration::from_millis(100);
const SPINNER: [char; 4] = ['|', '/', '-', '\\'];
/// Erases from the cursor to the end of the screen (ECMA-48, ED).
const ERASE_BELOW: &str = "\x1b[J";

/// What is on the screen now.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The width of each line drawn, to know how many rows they take after a resize.
    drawn: Vec<usize>,
    /// When it was drawn.
    at: Option<Duration>,
}

impl View {
    /// Draws the targets in place of what was drawn before.
    pub(super) fn draw(&mut self, sink: &mut Sink, titles: &[String], gate: &Gate, deadline: Deadline, now: Duration) {
        if self.at.is_some_and(|at| now < at.saturating_add(FRAME)) {
            return;
        }
        self.at = Some(now);
        let (width, height) = size();
        let lines = lines(titles, gate, deadline, now, height);
        let lines: Vec<String> = lines.iter().map(|line| fit(line, width.saturating_sub(1))).collect();
        let mut out = self.back(width);
        for line in &lines {
            out.push_str(line);
            out.push_str("\r\n");
        }
        sink.raw(out.as_bytes());
        self.drawn = lines.iter().map(|line| line.width()).collect();
    }

    /// Takes the view off the screen.
    pub(super) fn erase(&mut self, sink: &mut Sink) {
        if !self.drawn.is_empty() {
            sink.raw(self.back(size().0).as_bytes());
            self.drawn.clear();
            self.at = None;
        }
    }

    /// Prints a line above the view, which is drawn again at the next frame.
    pub(super) fn print(&mut self, sink: &mut Sink, line: &str) {
        self.erase(sink);
        sink.line(line);
    }

    /// To the view's first row, with everything from there on erased. A terminal that became
    /// narrower has wrapped the lines.
    fn back(&self, width: usize) -> String {
        let rows: usize = self.drawn.iter().map(|drawn| drawn.div_ceil(width.max(1)).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A{ERASE_BELOW}") }
    }
}

fn size() -> (usize, usize) {
    terminal_size_of(std::io::stderr())
        .map_or((80, 24), |(Width(width), Height(height))| (usize::from(width).max(10), usize::from(height).max(3)))
}

fn lines(titles: &[String], gate: &Gate, deadline: Deadline, now: Duration, height: usize) -> Vec<String> {
    let room = height.saturating_sub(2).max(1);
    // Those that are awaited first, when not all of them fit.
    let mut order: Vec<usize> = (0..titles.len()).collect();
    if order.len() > room {
        order.sort_by_key(|&index| gate.trackers[index].state == State::Ready);
        order.truncate(room);
    }
    let frame = usize::try_from(now.as_millis() / FRAME.as_millis()).unwrap_or(0);
    let mut out: Vec<String> = order
        .iter()
        .map(|&index| {
            let tracker = &gate.trackers[index];
            let title = &titles[index];
            match (tracker.state, tracker.ready_after) {
                (State::Ready | State::Confirming, Some(after)) => format!("ok {title}: ready after {}", human(after)),
                (State::GivenUp, _) => format!("x  {title}: {}", last_reason(tracker)),
                _ => {
                    let reason = tracker.last.as_ref().map_or("connecting", |failure| &failure.reason);
                    format!("{}  {title} {}: {reason}", SPINNER[frame % SPINNER.len()], human(now))
                }
            }
        })
        .collect();
    let ready = gate.trackers.iter().filter(|tracker| tracker.state == State::Ready).count();
    let mut footer = format!("{ready} of {} ready", titles.len());
    match deadline.remaining(now) {
        Some(left) => {
            let _ = write!(footer, ", {} left", human(left));
        }
        None => {
            let _ = write!(footer, ", {} waited", human(now));
        }
    }
    if order.len() < titles.len() {
        let _ = write!(footer, " ({} not shown)", titles.len() - order.len());
    }
    out.push(footer);
    out
}

/// At most `width` columns.
fn fit(line: &str, width: usize) -> String {
    if line.width() <= width {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in line.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_the_terminal() {
        assert_eq!(fit("short", 10), "short");
        assert_eq!(fit("a longer line", 8), "a longe…");
        assert_eq!(fit("日本語日本語", 7), "日本語…");
    }

    #[test]
    fn after_a_resize_the_wrapped_rows_are_counted() {
        let view = View { drawn: vec![79, 10], at: None };
        assert_eq!(view.back(80), "\r\x1b[2A\x1b[J");
        assert_eq!(view.back(40), "\r\x1b[3A\x1b[J");
        assert_eq!(View::default().back(80), "");
    }
}
