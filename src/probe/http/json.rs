//! What stands at a JSON Pointer (RFC 6901), and whether it is what is expected. Pure.
//!
//! Only what the pointer leads through is kept: the rest may be nested as deep as 1 MiB allows.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::endpoint::http::JsonExpectation;

/// What stands at `pointer` in `body`, if anything does.
///
/// # Errors
///
/// The body is not JSON, or what stands there is nested deeper than 128 levels.
pub fn find(body: &[u8], pointer: &str) -> Result<Option<Value>, serde_json::Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let tokens: Vec<String> =
        pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = At(&tokens).deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// Whether what was found is what is expected. Without a value, anything but null and false is:
/// `{"ready": false}` is not what a user waits for.
pub fn holds(expectation: &JsonExpectation, found: Option<&Value>) -> bool {
    match (found, &expectation.value) {
        (None | Some(Value::Null | Value::Bool(false)), None) | (None, Some(_)) => false,
        (Some(_), None) => true,
        // The whole may be one value with a `|` in it.
        (Some(found), Some(wanted)) => is(found, wanted) || wanted.split('|').any(|wanted| is(found, wanted)),
    }
}

/// Compares as text or as JSON; numbers by their value, for which 1 is 1.0.
fn is(found: &Value, wanted: &str) -> bool {
    if found.as_str() == Some(wanted) {
        return true;
    }
    let Ok(wanted) = serde_json::from_slice::<Value>(wanted.as_bytes()) else { return false };
    match (found, &wanted) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() != b.is_f64() => a.as_f64() == b.as_f64(),
        _ => *found == wanted,
    }
}

/// `"green" or "yellow"`: what is expected, for people.
pub fn shown_expected(wanted: &str) -> String {
    let shown = |wanted: &str| match serde_json::from_slice::<Value>(wanted.as_bytes()) {
        Ok(_) => wanted.to_owned(),
        Err(_) => serde_json::to_string(wanted).unwrap_or_default(),
    };
    wanted.split('|').map(shown).collect::<Vec<_>>().join(" or ")
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
        let expectation = JsonExpectation { pointer: pointer.to_owned(), value: value.map(str::to_owned) };
        holds(&expectation, find(BODY.as_bytes(), pointer).unwrap().as_ref())
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
    fn what_is_expected_is_shown_as_json() {
        assert_eq!(shown_expected("green|3"), "\"green\" or 3");
    }
}
