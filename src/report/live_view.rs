//! The live view: a line per target, redrawn in place.

use std::fmt::Write as _;
use std::time::Duration;

use terminal_size::{Height, Width, terminal_size_of};
use unicode_width::UnicodeWidthChar;

use super::log_text::title;
use super::{Sink, columns, last_reason};
use crate::deadline::Deadline;
use crate::duration::{human, millis};
use crate::endpoint::Target;
use crate::gate::Gate;
use crate::outcome::printable;
use crate::retry::State;

/// How often it is drawn.
const FRAME: Duration = Duration::from_millis(100);
const SPINNER: [&str; 4] = ["| ", "/ ", "- ", "\\ "];
/// Erases from the cursor to the end of the screen (ECMA-48, ED).
const ERASE_BELOW: &str = "\x1b[J";
/// On a terminal of fewer columns the reason matters more than the address.
const NARROW: usize = 60;

/// What is on the screen now.
#[derive(Debug, Default)]
pub(super) struct View {
    /// How each target is called where there is room, and where there is not.
    names: Vec<(String, String)>,
    /// The width of each line drawn, to know how many rows they take after a resize.
    drawn: Vec<usize>,
    next: Duration,
}

impl View {
    /// A view of `targets`, not drawn yet.
    pub(super) fn new(targets: &[Target]) -> Self {
        let names = targets.iter().map(|target| (printable(&title(target)), printable(&target.label()))).collect();
        Self { names, ..Self::default() }
    }

    /// When it is to be drawn again.
    pub(super) fn next_frame(&self) -> Duration {
        self.next
    }

    /// Draws the targets in place of what was drawn before.
    pub(super) fn draw(&mut self, sink: &mut Sink, gate: &Gate, deadline: Deadline, now: Duration) {
        if now < self.next {
            return;
        }
        self.next = now.saturating_add(FRAME);
        let size = size();
        let lines = self.lines(gate, deadline, now, size);
        let mut out = self.back(size.width);
        for line in &lines {
            out.push_str(line);
            out.push_str("\r\n");
        }
        if sink.raw(out.as_bytes()) {
            self.drawn = lines.iter().map(|line| columns(line)).collect();
        }
    }

    /// Takes the view off the screen; it is drawn again at the next frame.
    pub(super) fn erase(&mut self, sink: &mut Sink) {
        if !self.drawn.is_empty() && sink.raw(self.back(size().width).as_bytes()) {
            self.drawn.clear();
            self.next = Duration::ZERO;
        }
    }

    fn lines(&self, gate: &Gate, deadline: Deadline, now: Duration, size: Size) -> Vec<String> {
        let room = size.height.saturating_sub(2).max(1);
        // Those that are awaited first, when not all of them fit.
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        if order.len() > room {
            let (ready, awaited): (Vec<_>, Vec<_>) =
                order.into_iter().partition(|&index| gate.trackers[index].state == State::Ready);
            order = [awaited, ready].concat();
            order.truncate(room);
        }
        // The last column stays free: some terminals wrap a line that fills it.
        let width = size.width.saturating_sub(1);
        let (is_narrow, most) = if size.width < NARROW { (true, width / 3) } else { (false, width / 2) };
        let titles_fit = !is_narrow && order.iter().all(|&index| columns(&self.names[index].0) <= most);
        let name = |index: usize| {
            let (title, label) = &self.names[index];
            if titles_fit { title } else { label }
        };
        let names = order.iter().map(|&index| columns(name(index))).max().unwrap_or(0).min(most);
        let frame = usize::try_from(millis(now) / millis(FRAME)).unwrap_or(0);
        let mut out: Vec<String> = order
            .iter()
            .map(|&index| {
                let tracker = &gate.trackers[index];
                let (sign, text) = match (tracker.state, tracker.history.ready_after) {
                    (State::Ready | State::Confirming, Some(after)) => ("ok", format!("ready after {}", human(after))),
                    (State::GivenUp, _) => ("x ", last_reason(tracker).0.to_owned()),
                    _ => {
                        let reason = tracker.history.last.as_ref().map_or("connecting", |failure| &failure.reason);
                        (SPINNER[frame % SPINNER.len()], reason.to_owned())
                    }
                };
                let name = fit(name(index), names);
                let blanks = " ".repeat(names.saturating_sub(columns(&name)));
                fit(&format!("{sign} {name}{blanks}  {text}"), width)
            })
            .collect();
        out.push(fit(&self.footer(gate, deadline, now, order.len()), width));
        out
    }

    fn footer(&self, gate: &Gate, deadline: Deadline, now: Duration, shown: usize) -> String {
        let ready = gate.trackers.iter().filter(|tracker| tracker.state == State::Ready).count();
        let mut footer = format!("{ready} of {} ready", self.names.len());
        let _ = match deadline.remaining(now) {
            Some(left) => write!(footer, ", {} left", whole_seconds(left + Duration::from_millis(999))),
            None => write!(footer, ", {} waited", whole_seconds(now)),
        };
        if shown < self.names.len() {
            let _ = write!(footer, " ({} not shown)", self.names.len() - shown);
        }
        footer
    }

    /// To the view's first row, with everything from there on erased. A terminal that became
    /// narrower has wrapped the lines.
    fn back(&self, width: usize) -> String {
        let rows: usize = self.drawn.iter().map(|drawn| drawn.div_ceil(width.max(1)).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A{ERASE_BELOW}") }
    }
}

/// In columns and rows.
#[derive(Debug, Clone, Copy)]
struct Size {
    width: usize,
    height: usize,
}

fn size() -> Size {
    let (width, height) =
        terminal_size_of(std::io::stderr()).map_or((80, 24), |(Width(width), Height(height))| (width, height));
    Size { width: usize::from(width).max(10), height: usize::from(height).max(3) }
}

/// Tenths that race by are of no use to anybody.
fn whole_seconds(duration: Duration) -> String {
    human(Duration::from_secs(duration.as_secs()))
}

/// At most `width` columns.
fn fit(line: &str, width: usize) -> String {
    if columns(line) <= width {
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
        let view = View { drawn: vec![79, 10], ..View::default() };
        assert_eq!(view.back(80), "\r\x1b[2A\x1b[J");
        assert_eq!(view.back(40), "\r\x1b[3A\x1b[J");
        assert_eq!(View::default().back(80), "");
    }
}
