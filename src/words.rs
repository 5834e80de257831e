//! Words that users write, as options and URLs read them and as errors show them. Pure.

use crate::outcome::printable;

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
