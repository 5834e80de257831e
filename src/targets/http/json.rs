//! What is expected of a body as JSON, what stands at a JSON Pointer in it (RFC 6901), and whether that is it. Pure.
//!
//! Only what the pointer leads through is kept: the rest may be nested as deep as 1 MiB allows.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::targets::shared::expectations::Expectations;
use crate::targets::shared::url;
use crate::text::cut;

/// `POINTER`, `POINTER=VALUE`, `POINTER=VALUE|VALUE`, `POINTER>=NUMBER` or `POINTER<=NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonExpectation {
    /// A JSON Pointer (RFC 6901).
    pub(crate) pointer: String,
    /// How the value is compared.
    pub(crate) comparison: Comparison,
    /// The value that is expected, or one of several between `|`; without, anything but null and false.
    pub(crate) value: Option<String>,
}

/// How a value is compared with what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Equal, as text or as JSON.
    Is,
    /// A number that is not less.
    AtLeast,
    /// A number that is not greater.
    AtMost,
}

impl JsonExpectation {
    /// Takes a key that may be repeated.
    pub(super) fn take(key: &str, expectations: &mut Expectations) -> Result<Vec<Self>, String> {
        expectations.take_raw(key)?.iter().map(|text| Self::parse(key, text)).collect()
    }

    /// Reads a text that is not decoded yet: a sign that is no operator is encoded (`%3D`, `%3E`, `%3C`).
    fn parse(key: &str, text: &str) -> Result<Self, String> {
        let (before, value) = text.split_once('=').map_or((text, None), |(before, value)| (before, Some(value)));
        let (pointer, comparison) = match before.as_bytes().last() {
            Some(b'>') if value.is_some() => (&before[..before.len() - 1], Comparison::AtLeast),
            Some(b'<') if value.is_some() => (&before[..before.len() - 1], Comparison::AtMost),
            _ => (before, Comparison::Is),
        };
        let is_doubled = value.is_some_and(|value| value.starts_with('=') || pointer.ends_with('!'));
        if comparison == Comparison::Is && is_doubled {
            return Err(format!(
                "`{key}=`: a value is compared by a single `=`, like {key}=/status=ok, and there is no `!=`; a `!` in the \
                 pointer is written %21, a `=` in the value %3D"
            ));
        }
        let value = value.map(url::decode).transpose()?;
        if !pointer.starts_with('/') {
            return Err(format!("`{key}=`: a JSON Pointer begins with `/`, like {key}=/status=ok (RFC 6901)"));
        }
        let is_number = || value.as_deref().is_some_and(|value| number(value).is_some());
        if pointer.contains(['<', '>']) || comparison != Comparison::Is && !is_number() {
            return Err(format!("`{key}=`: numbers are compared by >= and <=, like {key}=/workers>=3"));
        }
        Ok(Self { pointer: url::decode(pointer)?, comparison, value })
    }
}

/// The value at `pointer` in `body`, if there is one.
///
/// # Errors
///
/// The body is not JSON, or what stands there is nested deeper than 128 levels.
pub(crate) fn find(body: &[u8], pointer: &str) -> Result<Option<Value>, serde_json::Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = &within_limits(body);
    let tokens: Vec<String> =
        pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = At(&tokens).deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// The text with what JSON allows and `serde_json` does not (RFC 8259, sections 6 and 8.2): a number beyond all of
/// `f64` becomes the largest, and half of a surrogate pair the replacement character.
fn within_limits(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let (mut at, mut copied, mut is_string) = (0, 0, false);
    while at < text.len() {
        let rest = &text[at..];
        let (length, replacement): (usize, &[u8]) = match rest[0] {
            b'"' => {
                is_string = !is_string;
                (1, b"")
            }
            b'\\' if is_string => match (code_unit(rest), code_unit(rest.get(6..).unwrap_or_default())) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, b""),
                (Some(0xd800..=0xdfff), _) => (6, br"\ufffd"),
                _ => (2, b""),
            },
            b'-' | b'0'..=b'9' if !is_string => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
                let number = std::str::from_utf8(&rest[..length]).ok().and_then(|number| number.parse::<f64>().ok());
                (
                    length,
                    match number {
                        Some(f64::INFINITY) => LARGEST.as_bytes(),
                        Some(f64::NEG_INFINITY) => SMALLEST.as_bytes(),
                        _ => b"",
                    },
                )
            }
            _ => (1, b""),
        };
        if !replacement.is_empty() {
            out.extend_from_slice(&text[copied..at]);
            out.extend_from_slice(replacement);
            copied = at + length;
        }
        at += length;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[copied..]);
    Cow::Owned(out)
}

/// The most characters of a value that are shown.
const MAX_SHOWN: usize = 80;
/// `f64::MAX`
const LARGEST: &str = "1.7976931348623157e308";
/// `f64::MIN`
const SMALLEST: &str = "-1.7976931348623157e308";

/// The code unit of `\uXXXX`, if the text begins with one.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?, 16).ok()
}

/// Whether what was found is what is expected. Without a value, anything but null and false is:
/// `{"ready": false}` is not what a user waits for.
pub(crate) fn holds(expectation: &JsonExpectation, found: Option<&Value>) -> bool {
    match (found, &expectation.value) {
        (None | Some(Value::Null | Value::Bool(false)), None) | (None, Some(_)) => false,
        (Some(_), None) => true,
        (Some(found), Some(wanted)) => match expectation.comparison {
            // The whole may be one value with a `|` in it.
            Comparison::Is => is(found, wanted) || wanted.split('|').any(|wanted| is(found, wanted)),
            Comparison::AtLeast => order(found, wanted).is_some_and(Ordering::is_ge),
            Comparison::AtMost => order(found, wanted).is_some_and(Ordering::is_le),
        },
    }
}

/// A number as JSON writes it.
fn number(text: &str) -> Option<Number> {
    serde_json::from_slice(&within_limits(text.as_bytes())).ok()
}

/// How a number, or a text that is one, compares with the wanted one: whole ones to the last digit.
fn order(found: &Value, wanted: &str) -> Option<Ordering> {
    let found = found.as_number().cloned().or_else(|| number(found.as_str()?))?;
    let wanted = number(wanted)?;
    match (found.as_i128(), wanted.as_i128()) {
        (Some(found), Some(wanted)) => Some(found.cmp(&wanted)),
        _ => found.as_f64()?.partial_cmp(&wanted.as_f64()?),
    }
}

/// Compares as text or as JSON; numbers by their value, for which 1 is 1.0.
fn is(found: &Value, wanted: &str) -> bool {
    if found.as_str() == Some(wanted) {
        return true;
    }
    let Ok(wanted) = serde_json::from_slice::<Value>(&within_limits(wanted.as_bytes())) else { return false };
    match (found, &wanted) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() != b.is_f64() => a.as_f64() == b.as_f64(),
        _ => *found == wanted,
    }
}

/// `"green" or "yellow"`, `at least 3`: what is expected, for people.
pub(crate) fn shown_expected(comparison: Comparison, wanted: &str) -> String {
    let shown = |wanted: &str| match serde_json::from_slice::<Value>(wanted.as_bytes()) {
        Ok(_) => wanted.to_owned(),
        Err(_) => serde_json::to_string(wanted).unwrap_or_default(),
    };
    let whole = match comparison {
        Comparison::Is => wanted.split('|').map(shown).collect::<Vec<_>>().join(" or "),
        Comparison::AtLeast => format!("at least {wanted}"),
        Comparison::AtMost => format!("at most {wanted}"),
    };
    cut(&whole, MAX_SHOWN)
}

/// As much of a value as is shown.
pub(crate) fn shown(value: &Value) -> String {
    cut(&serde_json::to_string(value).unwrap_or_default(), MAX_SHOWN)
}

/// Goes where these tokens lead.
struct At<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return serde::Deserialize::deserialize(input).map(Some);
        }
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.0[0] {
                found = map.next_value_seed(At(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let token = &self.0[0];
        // No leading zeros, no sign (RFC 6901, section 4).
        let index = token.parse::<usize>().ok().filter(|index| index.to_string() == *token);
        let mut found = None;
        for at in 0.. {
            let more = if Some(at) == index {
                let inner = list.next_element_seed(At(&self.0[1..]))?;
                let more = inner.is_some();
                found = inner.flatten();
                more
            } else {
                list.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str =
        r#"{"status": "ok", "ready": false, "n": 3, "f": 1.0, "none": null, "list": [{"a/b": true}], "x": "a|b"}"#;

    fn json(pointer: &str, value: Option<&str>) -> bool {
        compares(BODY, pointer, Comparison::Is, value)
    }

    fn compares(body: &str, pointer: &str, comparison: Comparison, value: Option<&str>) -> bool {
        let expectation = JsonExpectation { pointer: pointer.to_owned(), comparison, value: value.map(str::to_owned) };
        holds(&expectation, find(body.as_bytes(), pointer).unwrap().as_ref())
    }

    #[test]
    fn json_is_split_at_the_first_operator_that_is_not_encoded() {
        for (text, pointer, comparison, value) in [
            ("/a", "/a", Comparison::Is, None),
            ("/a=b=c", "/a", Comparison::Is, Some("b=c")),
            ("/a=", "/a", Comparison::Is, Some("")),
            ("/a>=3", "/a", Comparison::AtLeast, Some("3")),
            ("/a<=-1.5e3", "/a", Comparison::AtMost, Some("-1.5e3")),
            ("/a=>=3", "/a", Comparison::Is, Some(">=3")),
            ("/a%3E=3", "/a>", Comparison::Is, Some("3")),
            ("/a%3Db>=%33", "/a=b", Comparison::AtLeast, Some("3")),
        ] {
            let expected = JsonExpectation { pointer: pointer.into(), comparison, value: value.map(str::to_owned) };
            assert_eq!(JsonExpectation::parse("json", text), Ok(expected), "{text}");
        }
        for wrong in ["a=1", "=1", "/a>=x", "/a>=", "/a>=1|2", "/a>3", "/a<3=4", ">=3", "/a=%zz"] {
            assert!(JsonExpectation::parse("json", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_compared_by_their_value() {
        const BODY: &str =
            r#"{"n": 3, "f": 2.5, "big": 9007199254740993, "text": "12", "s": "x", "t": true, "low": -1e400}"#;
        for (pointer, at_least, at_most, wanted) in [
            ("/n", true, true, "3"),
            ("/n", true, false, "2"),
            ("/n", false, true, "10"),
            ("/n", true, false, "2.9"),
            ("/f", true, true, "2.50"),
            ("/big", false, true, "9007199254740994"),
            ("/big", true, false, "9007199254740992"),
            ("/text", true, false, "9"),
            ("/low", false, true, "0"),
            ("/s", false, false, "0"),
            ("/t", false, false, "0"),
            ("/absent", false, false, "0"),
        ] {
            assert_eq!(compares(BODY, pointer, Comparison::AtLeast, Some(wanted)), at_least, "{pointer} >= {wanted}");
            assert_eq!(compares(BODY, pointer, Comparison::AtMost, Some(wanted)), at_most, "{pointer} <= {wanted}");
        }
    }

    #[test]
    fn a_pointer_alone_must_lead_to_something_true() {
        for pointer in ["/status", "/n", "/list/0/a~1b", "/list"] {
            assert!(json(pointer, None), "{pointer}");
        }
        for pointer in ["/ready", "/none", "/absent", "/list/1", "/list/00", "/status/0", "/n/x", "/none/x", "/ready/x"]
        {
            assert!(!json(pointer, None), "{pointer}");
        }
    }

    #[test]
    fn a_value_is_compared_as_text_or_as_json() {
        for (pointer, value, expected) in [
            ("/status", "ok", true),
            ("/status", "\"ok\"", true),
            ("/status", "OK", false),
            ("/status", "green|ok", true),
            ("/status", "ok|green", true),
            ("/status", "green|yellow", false),
            ("/x", "a|b", true),
            ("/n", "3", true),
            ("/n", "3.0", true),
            ("/n", "2|3", true),
            ("/n", "4", false),
            ("/f", "1", true),
            ("/ready", "false", true),
            ("/none", "null", true),
            ("/absent", "null", false),
        ] {
            assert_eq!(json(pointer, Some(value)), expected, "{pointer}={value}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_depth_do_no_harm() {
        let deep = format!("\u{feff}{{\"a\":{}{},\"b\":1}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(find(deep.as_bytes(), "/b").unwrap(), Some(Value::from(1)));
        assert!(find(deep.as_bytes(), "/a").is_err(), "what is looked at is not so deep");
        assert!(find(b"{\"b\":1}x", "/b").is_err());
        assert!(find(b"<html>", "/b").is_err());
        assert_eq!(find(b"3", "/b").unwrap(), None);
    }

    #[test]
    fn json_that_another_parser_takes_is_json() {
        let body = br#"{"big": 1e400, "low": -1E+400, "long": 1LONG, "s": "\ud800", "\udfff": [1e999, "x\ud83d"],
            "pair": "\ud83d\ude00", "back": "\\\\ud800", "quote": "\"1e400", "ok": "yes", "n": 1e308}"#;
        let body = String::from_utf8_lossy(body).replace("1LONG", &"1".repeat(400));
        let holds = |pointer: &str, value: Option<&str>| compares(&body, pointer, Comparison::Is, value);
        for pointer in ["/big", "/low", "/long", "/s", "/ok", "/pair"] {
            assert!(holds(pointer, None), "{pointer}");
        }
        for (pointer, value, expected) in [
            ("/ok", "yes", true),
            ("/big", "1e400", true),
            ("/big", "-1e400", false),
            ("/big", "1", false),
            ("/low", "-1e400", true),
            ("/s", "\u{fffd}", true),
            ("/pair", "\u{1f600}", true),
            ("/back", "\\\\ud800", true),
            ("/back", "\\ud800", false),
            ("/quote", "\"1e400", true),
            ("/n", "1e308", true),
        ] {
            assert_eq!(holds(pointer, Some(value)), expected, "{pointer}={value}");
        }
        for wrong in [&br#"{"a": 1e400"#[..], br#"{"a": "\ud80"}"#, b"1e", b"-", br#""\u+123""#, b"1e400x"] {
            assert!(find(wrong, "/a").is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn what_is_expected_is_shown_as_json() {
        assert_eq!(shown_expected(Comparison::Is, "green|3"), "\"green\" or 3");
        assert_eq!(shown_expected(Comparison::AtMost, "3"), "at most 3");
    }
}
