//! Log lines for programs: one JSON object a line.

use std::borrow::Cow;

use serde::Serialize;

use super::{Entry, Level, Topic, log_text};
use crate::clock;
use crate::duration::millis;
use crate::outcome::{Kind, printable};

/// The fields in the order in which they are written; docs/schema/log.schema.json describes them.
#[derive(Serialize)]
struct Line {
    ts: String,
    level: &'static str,
    event: &'static str,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permanent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    elapsed_ms: u64,
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
        msg: printable(&log_text::sentence(entry)),
        target: entry.target.map(|target| printable(&target.label())),
        url: entry.target.map(|target| printable(&target.to_string())),
        kind: entry.kind.map(Kind::name),
        permanent: entry.is_permanent(),
        reason: entry.reason.map(printable),
        attempt: entry.attempt.filter(|attempt| *attempt > 0),
        elapsed_ms: millis(entry.elapsed),
    };
    // Strings and numbers always serialize.
    serde_json::to_string(&line).unwrap_or_default()
}
