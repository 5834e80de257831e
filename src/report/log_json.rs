//! Log lines for programs: one JSON object a line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::summary::counts;
use super::{Entry, Level, Topic, log_text};
use crate::clock;
use crate::duration::millis;
use crate::text::printable;
use crate::wait::outcome::Kind;

/// The fields in the order in which they are written; docs/schema/log.schema.json describes them.
#[derive(Serialize)]
struct JsonLine<'a> {
    ts: String,
    level: Level,
    event: Topic,
    gate: &'a str,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permanent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    failures: BTreeMap<Cow<'static, str>, u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    elapsed_ms: u64,
}

pub(super) fn line(entry: &Entry<'_>, gate: &str) -> String {
    let tally = entry.tally;
    let line = JsonLine {
        ts: humantime::format_rfc3339_millis(clock::wall()).to_string(),
        level: entry.level,
        event: entry.topic,
        gate,
        msg: printable(&log_text::sentence(entry)),
        target: entry.target.map(|target| printable(&target.label())),
        url: entry.target.map(|target| printable(&target.to_string())),
        optional: entry.target.is_some_and(|target| target.is_optional),
        kind: entry.kind.map(Kind::name),
        permanent: entry.is_permanent(),
        reason: entry.reason.map(printable),
        attempt: entry.attempt.filter(|attempt| *attempt > 0),
        failures: counts(entry.failures),
        ready: tally.map(|tally| tally.ready),
        total: tally.map(|tally| tally.total),
        command: tally.and_then(|tally| tally.command).map(printable),
        exit_code: tally.and_then(|tally| tally.exit_code),
        elapsed_ms: millis(entry.elapsed),
    };
    // Strings and numbers always serialize.
    serde_json::to_string(&line).unwrap_or_default()
}
