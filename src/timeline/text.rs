//! The timeline as text, as wide as the terminal. Pure.

use super::rows::{Row, RowKind, rows, totals};
use super::scale::{place, ticks};
use super::stack::Stack;
use crate::report::{Colour, Paint, columns, fit, padded};

/// On fewer columns there is no room for bars.
const LEAST_BARS: usize = 10;
/// The columns that a word of the axis needs.
const TICK: usize = 9;

/// All of it.
pub(super) fn draw(stack: &Stack, width: usize, paint: Paint) -> String {
    let rows = rows(stack);
    let (_, whole) = stack.span();
    let most_of_a_label = width / 3;
    let labels = rows.iter().map(|row| columns(&label(row))).max().unwrap_or(0).min(most_of_a_label);
    let notes = rows.iter().map(|row| columns(&row.note)).max().unwrap_or(0);
    // The last column stays free: some terminals wrap a line that fills it.
    let bars = width.saturating_sub(1 + labels + 2 + 2 + notes);
    let bars = if bars < LEAST_BARS { 0 } else { bars };
    let mut out = String::new();
    if bars > 0 {
        out = format!("{}  {}\n", " ".repeat(labels), axis(whole, bars));
    }
    for row in &rows {
        let name = padded(&fit(&label(row), labels), labels);
        let name = if row.kind == RowKind::Target { name } else { paint.text(Colour::Bold, &name) };
        let bar = if bars > 0 { format!("  {}", bar(row, whole, bars, paint)) } else { String::new() };
        out.push_str(format!("{name}{bar}  {}", row.note).trim_end());
        out.push('\n');
    }
    out.push('\n');
    for line in totals(stack) {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// `* web`, and under it `*   api`: the mark is for the critical path.
fn label(row: &Row) -> String {
    let mark = if row.is_critical { "*" } else { " " };
    let indent = if row.kind == RowKind::Target { "  " } else { "" };
    format!("{mark} {indent}{}", row.label)
}

fn axis(whole: u64, width: usize) -> String {
    let mut line = String::new();
    for (moment, word) in ticks(whole, width / TICK) {
        let at = place(moment, whole, width);
        if at + columns(&word) <= width {
            line = padded(&line, at);
            line.push_str(&word);
        }
    }
    line
}

/// A line for the gate, a block for a target; what was never ready is drawn lighter.
fn bar(row: &Row, whole: u64, width: usize, paint: Paint) -> String {
    let (from, to) = (place(row.from, whole, width).min(width - 1), place(row.to, whole, width));
    let length = to.saturating_sub(from).max(1);
    let cell = match (row.kind, row.is_ready) {
        (RowKind::Gate, _) => "─",
        (RowKind::Target, true) => "█",
        (RowKind::Target, false) => "░",
    };
    let colour = match row.is_ready {
        true if row.is_critical => Colour::Yellow,
        true => Colour::Green,
        false => Colour::Red,
    };
    let blanks = " ".repeat(width - from - length);
    format!("{}{}{blanks}", " ".repeat(from), paint.text(colour, &cell.repeat(length)))
}
