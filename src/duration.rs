//! Durations as users write them.

use std::time::Duration;

use crate::text::beginning_of;
use crate::wait::deadline::Deadline;

/// The longest duration that is taken as one: a hundred years.
const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// `1m30s`, `500ms`, or a bare number of seconds (`5`, `0.5`).
///
/// # Errors
///
/// Says what would be right.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || {
        let shown = beginning_of(text);
        match text.strip_suffix('o').filter(|rest| rest.parse::<u32>().is_ok()) {
            Some(number) => format!("`{shown}` is not a duration (try `{number}s`)"),
            None => format!("`{shown}` is not a duration (try `10s`, `500ms` or `1m30s`)"),
        }
    };
    let duration = match decimal(text) {
        Some(seconds) => seconds,
        None => humantime::parse_duration(text).map_err(|_| wrong())?,
    };
    Ok(duration.min(MAX))
}

/// A number such as `5`, `0.5` or `.5`, as seconds: to the nanosecond, what is finer is left out.
pub(crate) fn decimal(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some(Duration::new(whole, nanos))
}

/// A duration that must be longer than nothing.
///
/// # Errors
///
/// As [`parse`], and for 0.
pub(crate) fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err(format!("`{text}` is no time at all; it must be longer than 0")),
        duration => Ok(duration),
    }
}

/// A deadline: a duration, or `0` or `none` for waiting for ever.
///
/// # Errors
///
/// As [`parse`].
pub(crate) fn parse_deadline(text: &str) -> Result<Deadline, String> {
    if text == "none" {
        return Ok(Deadline::Never);
    }
    Ok(match parse(text)? {
        Duration::ZERO => Deadline::Never,
        duration => Deadline::At(duration),
    })
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_are_seconds_and_units_are_humantimes() {
        assert_eq!(parse("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse(".5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1."), Ok(Duration::from_secs(1)));
        assert_eq!(parse("007.0000000019"), Ok(Duration::new(7, 1)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn nought_and_none_mean_for_ever() {
        assert_eq!(parse_deadline("0"), Ok(Deadline::Never));
        assert_eq!(parse_deadline("none"), Ok(Deadline::Never));
        assert_eq!(parse_deadline("0s"), Ok(Deadline::Never));
        assert_eq!(parse_deadline("2"), Ok(Deadline::At(Duration::from_secs(2))));
    }

    #[test]
    fn a_wrong_duration_says_what_would_be_right() {
        assert_eq!(parse("10o"), Err("`10o` is not a duration (try `10s`)".to_owned()));
        for text in ["", "-1", "x", "1.2.3", "1e400", "5 apples", "."] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        assert_eq!(parse("999999999999999999"), Ok(MAX));
        assert!(parse("99999999999999999999999999").is_err());
    }
}
