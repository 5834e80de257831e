//! The live view: a line per target, redrawn in place.

use std::fmt::Write as _;
use std::time::Duration;

use super::final_block::{self, WaitEnd, colour_of_failure};
use super::log_text::title;
use super::paint::{Colour, Paint};
use super::screen::{Names, Size, columns, fit, size};
use super::{Sink, last_reason};
use crate::duration::millis;
use crate::targets::shared::target::Target;
use crate::text::{human, printable};
use crate::wait::deadline::Deadline;
use crate::wait::gate::Gate;
use crate::wait::tracker::{State, Tracker};

/// How often it is drawn.
const FRAME: Duration = Duration::from_millis(100);
const SPINNER: [&str; 4] = ["| ", "/ ", "- ", "\\ "];
/// Erases from the cursor to the end of the screen (ECMA-48, ED).
const ERASE_BELOW: &str = "\x1b[J";

/// The live view, with its lines on the screen.
#[derive(Debug, Default)]
pub(super) struct View {
    names: Names,
    paint: Paint,
    /// The width of each line drawn, to know how many rows they take after a resize.
    drawn: Vec<usize>,
    next: Duration,
}

impl View {
    /// A view of `targets`, not drawn yet.
    pub(super) fn new(targets: &[Target], paint: Paint) -> Self {
        let names = targets.iter().map(|target| (printable(&title(target)), printable(&target.label()))).collect();
        Self { names: Names(names), paint, ..Self::default() }
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
        let size = size(std::io::stderr());
        let lines = self.lines(gate, deadline, now, size);
        let mut out = self.back(size.width);
        for line in &lines {
            out.push_str(&line.painted(self.paint));
            out.push_str("\r\n");
        }
        if sink.raw(out.as_bytes()) {
            self.drawn = lines.iter().map(Line::columns).collect();
        }
    }

    /// Puts the last state of all targets in place of the view: it stays.
    pub(super) fn conclude(mut self, sink: &mut Sink, gate: &Gate, end: WaitEnd) {
        self.erase(sink);
        let rows = final_block::rows(&self.names, gate, end, size(std::io::stderr()).width, self.paint);
        sink.lines(rows.into_iter());
    }

    /// Takes the view off the screen; it is drawn again at the next frame.
    pub(super) fn erase(&mut self, sink: &mut Sink) {
        if !self.drawn.is_empty() && sink.raw(self.back(size(std::io::stderr()).width).as_bytes()) {
            self.drawn.clear();
            self.next = Duration::ZERO;
        }
    }

    fn lines(&self, gate: &Gate, deadline: Deadline, now: Duration, size: Size) -> Vec<Line> {
        let room = size.height.saturating_sub(2).max(1);
        // The awaited targets first, when not all of them fit.
        let mut order: Vec<usize> = (0..gate.trackers.len()).collect();
        if order.len() > room {
            let (ready, awaited): (Vec<_>, Vec<_>) =
                order.into_iter().partition(|&index| gate.trackers[index].state == State::Ready);
            order = [awaited, ready].concat();
            order.truncate(room);
        }
        // The last column stays free: some terminals wrap a line that fills it.
        let width = size.width.saturating_sub(1);
        let names = self.names.shown(&order, size.width);
        let mut out: Vec<Line> =
            order.iter().zip(names).map(|(&index, name)| line(&gate.trackers[index], &name, width, now)).collect();
        let footer = fit(&footer(gate, deadline, now, order.len()), width);
        out.push(Line { sign: "", name: footer, text: String::new(), colour: None });
        out
    }

    /// To the view's first row, with everything from there on erased. A terminal that became
    /// narrower has wrapped the lines.
    fn back(&self, width: usize) -> String {
        let rows: usize = self.drawn.iter().map(|drawn| drawn.div_ceil(width.max(1)).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A{ERASE_BELOW}") }
    }
}

/// A line before it is painted.
#[derive(Debug)]
struct Line {
    sign: &'static str,
    name: String,
    text: String,
    colour: Option<Colour>,
}

impl Line {
    fn columns(&self) -> usize {
        columns(self.sign) + columns(&self.name) + columns(&self.text)
    }

    /// A ready target has a green sign; of any other, the reason has its colour too.
    fn painted(&self, paint: Paint) -> String {
        let Self { sign, name, text, .. } = self;
        match self.colour {
            None => format!("{sign}{name}{text}"),
            Some(Colour::Green) => format!("{}{name}{text}", paint.text(Colour::Green, sign)),
            Some(colour) => format!("{}{name}{}", paint.text(colour, sign), paint.text(colour, text)),
        }
    }
}

/// The line below the targets.
fn footer(gate: &Gate, deadline: Deadline, now: Duration, shown: usize) -> String {
    let ready = gate.trackers.iter().filter(|tracker| tracker.state == State::Ready).count();
    let mut footer = format!("{ready} of {} ready", gate.trackers.len());
    let _ = match deadline.remaining(now) {
        Some(left) => write!(footer, ", {} left", whole_seconds(left + Duration::from_millis(999))),
        None => write!(footer, ", {} waited", whole_seconds(now)),
    };
    if shown < gate.trackers.len() {
        let _ = write!(footer, " ({} not shown)", gate.trackers.len() - shown);
    }
    footer
}

/// The line of a target.
fn line(tracker: &Tracker, name: &str, width: usize, now: Duration) -> Line {
    let frame = usize::try_from(millis(now) / millis(FRAME)).unwrap_or(0);
    let (sign, colour, text) = match (tracker.state, tracker.history.ready_after) {
        (State::Ready | State::Confirming, Some(after)) => {
            ("ok", Some(Colour::Green), format!("ready after {}", human(after)))
        }
        (State::GivenUp, _) => ("x ", Some(colour_of_failure(tracker)), last_reason(tracker).0.to_owned()),
        _ => {
            let reason = tracker.history.last.as_ref().map_or("connecting", |failure| &failure.reason);
            let colour = Some(colour_of_failure(tracker)).filter(|colour| *colour == Colour::Yellow);
            (SPINNER[frame % SPINNER.len()], colour, reason.to_owned())
        }
    };
    let name = format!(" {name}  ");
    let text = fit(&text, width.saturating_sub(columns(sign) + columns(&name)));
    Line { sign, name, text, colour }
}

/// Tenths that race by are of no use to anybody.
fn whole_seconds(duration: Duration) -> String {
    human(Duration::from_secs(duration.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_resize_the_wrapped_rows_are_counted() {
        let view = View { drawn: vec![79, 10], ..View::default() };
        assert_eq!(view.back(80), "\r\x1b[2A\x1b[J");
        assert_eq!(view.back(40), "\r\x1b[3A\x1b[J");
        assert_eq!(View::default().back(80), "");
    }
}
