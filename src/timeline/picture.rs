//! The timeline as a picture (SVG 1.1). It brings its own background, so that it can be read on light and dark pages. Pure.

use std::fmt::Write as _;

use super::rows::{Row, RowKind, rows, totals};
use super::scale::{place, ticks};
use super::stack::Stack;
use crate::text::cut;

/// In units of the picture, which are pixels at its own size.
const WIDTH: usize = 1000;
const ROW: usize = 24;
const MARGIN: usize = 20;
const LABELS: usize = 308;
const NOTES: usize = 250;
const BARS: usize = WIDTH - 2 * MARGIN - LABELS - NOTES;
/// The characters that a label with its mark has room for, and a line of the totals: at 13px one is up to 8.1 wide.
const MOST_OF_A_LABEL: usize = (LABELS - 8) * 10 / 81;
const MOST_OF_A_LINE: usize = (WIDTH - 2 * MARGIN) * 10 / 81;

const STYLE: &str = "\
    text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #e6edf3; white-space: pre } \
    .gate { font-weight: bold } .dim { fill: #9da7b3 } .grid { stroke: #30363d } .critical { fill: #e3b341 } \
    rect.ready { fill: #3fb950 } rect.critical { fill: #e3b341 } rect.failed { fill: #f85149 } ";

/// All of it.
pub(super) fn draw(stack: &Stack) -> String {
    let (rows, totals) = (rows(stack), totals(stack));
    let (_, whole) = stack.span();
    let bottom = MARGIN + ROW * (rows.len() + 1);
    let height = bottom + ROW * (totals.len() + 1) + MARGIN / 2;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{}\">\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n",
        escaped(totals.first().map_or("", String::as_str)),
    );
    for (moment, word) in ticks(whole, BARS / 80) {
        let x = MARGIN + LABELS + place(moment, whole, BARS);
        let (top, y) = (MARGIN + ROW - 6, MARGIN + 10);
        let _ = writeln!(out, "<line class=\"grid\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\"/>");
        let _ = writeln!(out, "<text class=\"dim\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{word}</text>");
    }
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut out, row, whole, MARGIN + ROW * (index + 1));
    }
    for (index, line) in totals.iter().enumerate() {
        let y = bottom + ROW * (index + 1);
        let line = escaped(&cut(line, MOST_OF_A_LINE - 1));
        let _ = writeln!(out, "<text class=\"dim\" x=\"{MARGIN}\" y=\"{y}\">{line}</text>");
    }
    out.push_str("</svg>\n");
    out
}

fn draw_row(out: &mut String, row: &Row, whole: u64, top: usize) {
    let (y, indent) = (top + 16, if row.kind == RowKind::Target { 16 } else { 0 });
    let class = match (row.kind, row.is_critical) {
        (RowKind::Gate, true) => "gate critical",
        (RowKind::Gate, false) => "gate",
        (RowKind::Target, true) => "critical",
        (RowKind::Target, false) => "target",
    };
    let mark = if row.is_critical { "* " } else { "  " };
    let label = escaped(&cut(&format!("{mark}{}", row.label), MOST_OF_A_LABEL - 1 - indent / 8));
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{}\" y=\"{y}\">{label}</text>", MARGIN + indent);
    let left = MARGIN + LABELS;
    let (from, to) = (place(row.from, whole, BARS), place(row.to, whole, BARS));
    let (height, offset) = if row.kind == RowKind::Gate { (4, 10) } else { (14, 5) };
    let state = match row.is_ready {
        true if row.is_critical => "critical",
        true => "ready",
        false => "failed",
    };
    let _ = writeln!(
        out,
        "<rect class=\"{state}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\" rx=\"2\"><title>{}: {}</title></rect>",
        left + from,
        top + offset,
        to.saturating_sub(from).max(2),
        escaped(&row.label),
        escaped(row.note.trim()),
    );
    let note = escaped(&row.note);
    let _ = writeln!(out, "<text class=\"dim\" x=\"{}\" y=\"{y}\">{note}</text>", left + BARS + 10);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
