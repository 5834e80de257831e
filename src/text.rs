//! Text that is shown, made fit for a log and a terminal; words that users write. Pure.

use std::fmt;
use std::time::Duration;

/// The most characters of a peer's message that are looked at.
const MAX_QUOTED: usize = 4096;
/// The most characters of a reason that are shown.
const MAX_SHOWN: usize = 400;
/// The most characters of an excerpt that are shown.
const MAX_EXCERPT: usize = 240;
/// Stands before an excerpt until it is cut; [`peer_text`] takes it from a peer's text.
pub(crate) const OPEN: char = '\u{2}';
/// Stands behind an excerpt.
pub(crate) const CLOSE: char = '\u{3}';

/// A peer's message as text, as it is: [`bounded_line`] makes it fit to be read once secrets have been looked for.
pub(crate) fn peer_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if matches!(c, OPEN | CLOSE) { ' ' } else { c }).take(MAX_QUOTED).collect()
}

/// A peer's message as part of a reason: [`bounded_line`] cuts this and not what follows it, which is ours.
pub(crate) fn excerpt(text: &str) -> String {
    format!("{OPEN}{text}{CLOSE}")
}

/// What a peer said, as part of a reason.
pub(crate) fn peer_excerpt(said: impl AsRef<[u8]>) -> String {
    excerpt(&peer_text(said.as_ref()))
}

/// The first bytes of an answer, of which at most 40 characters are shown.
pub(crate) fn first_bytes(bytes: &[u8]) -> String {
    format!("{OPEN}{OPEN}{}{CLOSE}", peer_text(bytes))
}

/// A reason as one line of bounded length, so that no server can flood a log or write to an operator's terminal.
/// Secrets have been looked for before: a piece of one would not be found.
pub(crate) fn bounded_line(reason: &str) -> String {
    const MAX_BEGINNING: usize = 40;
    if reason.len() <= MAX_SHOWN && is_one_line(reason) {
        return reason.to_owned();
    }
    let mut out = String::new();
    let mut rest = reason;
    while let Some((ours, behind)) = rest.split_once(OPEN) {
        let (inside, behind) = behind.split_once(CLOSE).unwrap_or((behind, ""));
        let (inside, most) = inside.strip_prefix(OPEN).map_or((inside, MAX_EXCERPT), |inside| (inside, MAX_BEGINNING));
        out.push_str(ours);
        out.push_str(&cut(&one_line(inside), most));
        rest = behind;
    }
    out.push_str(rest);
    cut(&one_line(&out), MAX_SHOWN)
}

/// At most `most` characters, and an ellipsis where some are left out.
pub(crate) fn cut(text: &str, most: usize) -> String {
    // No text has more characters than bytes.
    let end = if text.len() > most { text.char_indices().nth(most) } else { None };
    match end {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// A text as one line that cannot move a terminal's cursor: what is not printable becomes a blank, and blanks
/// are taken together.
pub(crate) fn one_line(text: &str) -> String {
    if is_one_line(text) {
        return text.to_owned();
    }
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in which what is not printable is a blank: everything that is shown goes through here.
pub(crate) fn printable(text: &str) -> String {
    without_unprintable(text, ' ')
}

/// Text of the user's as it may be shown: control and invisible characters, by which a line is forged or a terminal is
/// written to, become U+FFFD. All that is shown of a target goes through this.
pub(crate) fn harmless(text: &str) -> String {
    without_unprintable(text, '\u{fffd}')
}

fn without_unprintable(text: &str, instead: char) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_unprintable(c) { instead } else { c }).collect()
}

/// Whether it is so already, as nearly all is that is shown: printable ASCII, with single blanks between words.
fn is_one_line(text: &str) -> bool {
    let mut follows_blank = true;
    for byte in text.bytes() {
        let is_blank = byte == b' ';
        if !matches!(byte, b' '..=b'~') || is_blank && follows_blank {
            return false;
        }
        follows_blank = is_blank;
    }
    !follows_blank
}

/// Whether it is printable ASCII.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Control characters, and those that reorder or break a line or are not seen (UAX 9, UAX 14).
pub(crate) fn is_unprintable(c: char) -> bool {
    let is_invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || is_invisible
}

/// The value of the word `text`.
///
/// # Errors
///
/// The words that there are, for the caller's sentence.
pub(crate) fn one_of<T: Copy>(all: &[(&'static str, T)], text: &str) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    })
}

/// As much of a wrong value as an error shows.
pub(crate) fn beginning_of(text: &str) -> String {
    const MOST: usize = 24;
    printable(&text.chars().take(MOST).collect::<String>())
}

/// The known word that a misspelt one was most likely meant to be: one letter away, in longer words two.
pub(crate) fn did_you_mean<K: AsRef<str>>(word: &str, known: impl IntoIterator<Item = K>) -> Option<K> {
    let near = known.into_iter().filter_map(|known| {
        let most = match known.as_ref().len().min(word.len()) {
            // Of two short words each is near the other: ws and dns.
            0..=2 => return None,
            3 | 4 => 1,
            _ => 2,
        };
        let distance = strsim::osa_distance(word, known.as_ref());
        (distance <= most).then_some((distance, known))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// `1 target`, `2 targets`
pub(crate) fn count<N: Copy + fmt::Display + PartialEq + From<u8>>(n: N, noun: &str) -> String {
    if n == N::from(1) { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// The truth that a word says, in any case.
pub(crate) fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A whole number of at least 1.
pub(crate) fn positive(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{}` is not a whole number of at least 1", beginning_of(text))),
    }
}

/// A duration as people read it: three digits at most (`3ms`, `1.2s`, `2m 5s`).
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration < Duration::from_secs(1) {
        format!("{}ms", duration.subsec_millis())
    } else if seconds < 10 {
        format!("{seconds}{}", tenths(duration))
    } else if seconds < 60 {
        format!("{seconds}s")
    } else if seconds < 3600 {
        pair(seconds / 60, "m", seconds % 60, "s")
    } else {
        pair(seconds / 3600, "h", seconds % 3600 / 60, "m")
    }
}

fn tenths(duration: Duration) -> String {
    match duration.subsec_millis() / 100 {
        0 => "s".to_owned(),
        tenth => format!(".{tenth}s"),
    }
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit} {small}{small_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_message_is_one_harmless_line() {
        assert_eq!(bounded_line(&peer_text(b"a\r\nb\x1b[31mc\0")), "a b [31mc");
        assert_eq!(bounded_line(&peer_text("x\u{202e}y\u{2028}z".as_bytes())), "x y z");
        assert_eq!(bounded_line(&peer_text(b"\xff\xfe")), "\u{fffd}\u{fffd}");
        assert_eq!(bounded_line(&peer_text("é".repeat(500).as_bytes())).chars().count(), 401);
    }

    #[test]
    fn what_is_one_line_already_stays_as_it_is() {
        for text in ["a", "a b", "connection refused by 10.0.0.1:80: nothing listens there yet"] {
            assert!(is_one_line(text), "{text}");
        }
        for (text, line) in
            [("", ""), (" ", ""), (" a", "a"), ("a ", "a"), ("a  b", "a b"), ("a\tb", "a b"), ("é", "é")]
        {
            assert!(!is_one_line(text), "{text:?}");
            assert_eq!((one_line(text), bounded_line(text)), (line.to_owned(), line.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_a_peer_says_is_cut_and_the_advice_behind_it_is_not() {
        let long = "x".repeat(500);
        assert_eq!(bounded_line(&format!("{}: do this", excerpt(&long))), format!("{}…: do this", "x".repeat(240)));
        assert_eq!(
            bounded_line(&format!("it answered `{}`", first_bytes(long.as_bytes()))),
            format!("it answered `{}…`", "x".repeat(40))
        );
        // A peer cannot end its excerpt by itself.
        assert_eq!(bounded_line(&format!("`{}`", first_bytes(b"\x02a\x03b\x02"))), "`a b`");
    }

    #[test]
    fn durations_read_well() {
        for (millis, text) in [
            (3, "3ms"),
            (1000, "1s"),
            (1249, "1.2s"),
            (10_900, "10s"),
            (60_000, "1m"),
            (125_000, "2m 5s"),
            (3_660_000, "1h 1m"),
        ] {
            assert_eq!(human(Duration::from_millis(millis)), text);
        }
    }
}
