//! `--http-method`, `--http-header` and `--http-status`, and the keys of the same names.

use std::fmt;

use ureq::http::{HeaderName, HeaderValue, Method};

use crate::secret::Secret;
use crate::text::beginning_of;

/// `--http-method`, `--http-header` and `--http-status`: what targets take unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HttpDefaults {
    /// The method; GET by default.
    pub(crate) method: Method,
    /// The fields.
    pub(crate) headers: Vec<Header>,
    /// The statuses.
    pub(crate) status: Statuses,
}

/// A header field to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The field's name.
    pub(crate) name: HeaderName,
    /// The field's value, which may be a token.
    pub(crate) value: Secret,
}

/// `Name: value`. The value is in no message.
///
/// # Errors
///
/// Says what a field looks like.
pub(crate) fn parse_header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("a header is written `Name: value`")?;
    let name =
        HeaderName::try_from(name.trim()).map_err(|_| "what stands before `:` is not a header's name".to_owned())?;
    let value = value.trim();
    HeaderValue::try_from(value).map_err(|_| "its value cannot be sent in a header".to_owned())?;
    Ok(Header { name, value: Secret::new(value) })
}

/// A method's token (RFC 9110, section 9).
///
/// # Errors
///
/// Names what is not one.
pub(crate) fn parse_method(text: &str) -> Result<Method, String> {
    let method = Method::try_from(text).ok().filter(|_| text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
    method.ok_or_else(|| format!("`{}` is not a method (try GET, HEAD or POST)", beginning_of(text)))
}

/// A list of statuses and ranges of them, like `200,204,300-399`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statuses(pub(crate) Vec<std::ops::RangeInclusive<u16>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl Statuses {
    /// Parses the list.
    ///
    /// # Errors
    ///
    /// Names the entry that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let status = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
        let range = |entry: &str| match entry.split_once('-') {
            Some((first, last)) => Some(status(first)?..=status(last)?),
            None => status(entry).map(|code| code..=code),
        };
        text.split(',')
            .map(|entry| {
                range(entry).filter(|range| !range.is_empty()).ok_or_else(|| {
                    format!("`{}` is not a status of 100-599 or a range (try 200,204,300-399)", beginning_of(entry))
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `code` is one of them.
    pub(crate) fn accepts(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

/// `204`, or `one of 200, 204, 300-399`.
impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
        let shown: Vec<String> = shown.collect();
        let one_of = if shown.len() > 1 || shown.iter().any(|entry| entry.contains('-')) { "one of " } else { "" };
        write!(f, "{one_of}{}", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_a_list_of_numbers_and_ranges() {
        let statuses = Statuses::parse("200,204,300-399").unwrap();
        for (code, accepted) in [(200, true), (201, false), (204, true), (302, true), (400, false)] {
            assert_eq!(statuses.accepts(code), accepted, "{code}");
        }
        for wrong in ["", "abc", "99", "600", "300-200", "200,", "2-3-4"] {
            assert!(Statuses::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_header_is_not_shown() {
        assert!(!parse_header("Bearer hunter2").unwrap_err().contains("hunter2"));
        assert!(!parse_header("X: hunter2\u{7f}").unwrap_err().contains("hunter2"));
    }
}
