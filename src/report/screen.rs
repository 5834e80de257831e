//! The terminal that is drawn on: whether it is ours, its size, and what fits into a line.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use nix::unistd;
use terminal_size::{Height, Width, terminal_size_of};
use unicode_width::UnicodeWidthChar;

use crate::config::{Color, Output, Terminal};

/// A terminal of fewer columns shows less.
pub(super) const NARROW: usize = 60;

/// In columns and rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(super) height: usize,
}

/// The size of a terminal; 80×24 where it does not say.
pub(crate) fn size(stream: impl AsFd) -> Size {
    let (width, height) = terminal_size_of(stream).map_or((80, 24), |(Width(width), Height(height))| (width, height));
    Size { width: usize::from(width).max(10), height: usize::from(height).max(3) }
}

/// Whether something may be drawn in place there: on a terminal that has a size (Docker's `tty: true` that nobody is
/// attached to has none) and whose foreground we are in (a shell's job in the background is not).
pub(super) fn is_ours(stream: impl AsFd, output: &Output) -> bool {
    output.terminal == Terminal::Allowed && terminal_size_of(&stream).is_some() && is_in_foreground(stream)
}

/// Whether this process is in the foreground of the terminal.
pub(super) fn is_in_foreground(terminal: impl AsFd) -> bool {
    unistd::tcgetpgrp(terminal).is_ok_and(|group| group == unistd::getpgrp())
}

/// Whether the stream is in colour.
pub(crate) fn is_in_colour(stream: &impl IsTerminal, output: &Output) -> bool {
    match output.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => output.terminal == Terminal::Allowed && stream.is_terminal(),
    }
}

/// Columns that a text takes on the terminal.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// At most `width` columns.
pub(crate) fn fit(line: &str, width: usize) -> String {
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

/// At least `width` columns.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// The lines of a text, broken between words so that each takes at most `width` columns; a longer word stays whole.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// How each target is called where there is room, and where there is not.
#[derive(Debug, Default)]
pub(super) struct Names(pub(super) Vec<(String, String)>);

impl Names {
    /// The names of `targets`, of as many columns each, on a terminal of `width` columns. On a narrow one the reason matters
    /// more than the address.
    pub(super) fn shown(&self, targets: &[usize], width: usize) -> Vec<String> {
        let (is_narrow, most) = if width < NARROW { (true, width / 3) } else { (false, width / 2) };
        let titles_fit = !is_narrow && targets.iter().all(|&index| columns(&self.0[index].0) <= most);
        let name = |&index: &usize| {
            let (title, label) = &self.0[index];
            fit(if titles_fit { title } else { label }, most)
        };
        let names: Vec<String> = targets.iter().map(name).collect();
        let widest = names.iter().map(|name| columns(name)).max().unwrap_or(0);
        names.iter().map(|name| padded(name, widest)).collect()
    }
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
    fn a_text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-word-that-is-long and", 7), ["a-word-that-is-long", "and"]);
        assert_eq!(wrapped("", 7), [""]);
    }
}
