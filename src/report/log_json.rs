//! Log lines for programs: one JSON object a line.

use serde::Serialize;

use super::{Entry, Level, Topic};
use crate::clock;

#[derive(Serialize)]
struct Line<'a> {
    ts: String,
    level: &'static str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    elapsed_ms: u128,
}

pub(super) fn line(entry: &Entry<'_>) -> String {
    let line = Line {
        ts: humantime::format_rfc3339_millis(clock::wall()).to_string(),
        level: match entry.level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        },
        event: match entry.topic {
            Topic::Waiting => "waiting",
            Topic::NotReady => "not_ready",
            Topic::Ready => "ready",
            Topic::StillWaiting => "still_waiting",
            Topic::Timeout => "timeout",
            Topic::Failed => "failed",
            Topic::Interrupted => "interrupted",
            Topic::Exec => "exec",
            Topic::Note => "note",
        },
        target: entry.target.map(crate::endpoint::Target::label),
        url: entry.target.map(ToString::to_string),
        reason: entry.reason,
        attempt: entry.attempt,
        elapsed_ms: entry.elapsed.as_millis(),
    };
    // Strings and numbers always serialize.
    serde_json::to_string(&line).unwrap_or_default()
}
