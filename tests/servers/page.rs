//! docs/servers.md, and what `--check` says held against it.
//!
//! The last column of a row is its key, by which a test names it; or `integration: NAME` for a test of
//! tests/integration, or `not tried`. Column three is what `--check` says: `healthy` or a kind in bold, a colon, the
//! reason, in which `…` stands for anything.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Finished, Run};

const PAGE: &str = include_str!("../../docs/servers.md");

/// A row of a table of states.
struct Row {
    key: &'static str,
    says: &'static str,
}

/// All rows of states: of the tables whose first column is `state`.
fn rows() -> Vec<Row> {
    let (mut rows, mut is_states) = (Vec::new(), false);
    for line in PAGE.lines() {
        let cells: Vec<&'static str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        match cells[..] {
            ["state", ..] => is_states = true,
            [_, _, says, key] if is_states => rows.push(Row { key: key.trim_matches('`'), says }),
            _ if !line.starts_with('|') => is_states = false,
            _ => {}
        }
    }
    rows
}

/// What `--check` said of a target.
pub struct Seen {
    finished: Finished,
}

impl Seen {
    /// Whether the target was ready.
    pub fn is_healthy(&self) -> bool {
        verdict(self).0 == "healthy"
    }
}

/// Probes a target once.
pub fn check(target: &str) -> Seen {
    let run = Run::new().args(["--check", "--format", "json", "--attempt-timeout", "2s"]);
    Seen { finished: run.target(target).finish() }
}

/// The verdict: `healthy` or the kind, and its words.
fn verdict(row: &Seen) -> (String, String) {
    let json: Value = serde_json::from_str(&row.finished.stdout).expect("a report");
    let target = &json["targets"][0];
    let text = |field: &str| target[field].as_str().unwrap_or_default().to_owned();
    if target["state"] == "ready" {
        return ("healthy".to_owned(), text("proof"));
    }
    let kinds = target["failures"].as_object().expect("failures");
    (kinds.keys().next().expect("a kind").clone(), text("last_reason"))
}

/// Whether `text` is `pattern`, in which `…` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let pieces: Vec<&str> = pattern.split('…').collect();
    for (at, piece) in pieces.iter().enumerate() {
        let found = if at == 0 { rest.starts_with(piece).then_some(0) } else { rest.find(piece) };
        let Some(found) = found else { return false };
        rest = &rest[found + piece.len()..];
    }
    pieces.last().is_none_or(|last| last.is_empty()) || rest.is_empty()
}

/// Why what was said is not what the page says.
fn differs(key: &str, row: &Seen) -> Option<String> {
    let found = rows().into_iter().find(|row| row.key == key);
    let (kind, words) = verdict(row);
    let said = format!("**{kind}**: {words}");
    match found {
        None => Some(format!("docs/servers.md has no row `{key}`; --check says {said}")),
        Some(row) if !fits(row.says, &said) => Some(format!("{key}: the page says\n  {}\n--check\n  {said}", row.says)),
        Some(_) => None,
    }
}

/// Holds what `--check` says of a target now against the row `key` of the page.
#[track_caller]
pub fn holds(key: &str, target: &str) {
    let difference = differs(key, &check(target));
    assert!(difference.is_none(), "{}", difference.unwrap_or_default());
}

/// Waits until it holds: for states that begin at a moment that nothing tells.
#[track_caller]
pub fn comes_to_hold(key: &str, target: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Some(difference) = differs(key, &check(target)) {
        assert!(Instant::now() < deadline, "{difference}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// All Rust files of a directory of tests, as one text.
fn sources(directory: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let files = fs::read_dir(path).expect("tests").flatten().map(|entry| entry.path());
    files
        .filter(|file| file.extension().is_some_and(|it| it == "rs"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

#[test]
fn every_row_of_the_page_has_its_test_or_says_that_it_was_not_tried() {
    let (own, integration) = (sources("servers"), sources("integration"));
    let rows = rows();
    // Servers that are taken through the same states share a test, where `name` is what stands before the colon.
    let shared =
        |key: &str| key.split_once(": ").is_some_and(|(_, state)| own.contains(&format!("{{name}}: {state}\"")));
    for row in &rows {
        let is_tried = match row.key.strip_prefix("integration: ") {
            Some(name) => integration.contains(&format!("fn {name}(")),
            None => row.key == "not tried" || own.contains(&format!("\"{}\"", row.key)) || shared(row.key),
        };
        assert!(is_tried, "no test holds the row `{}`", row.key);
    }
    assert!(rows.len() > 150, "{} rows", rows.len());
}

#[test]
fn dots_stand_for_anything_in_the_words_of_the_page() {
    assert!(fits("**a**: b…d", "**a**: b c d") && fits("**a**: …", "**a**: x") && fits("a", "a"));
    assert!(!fits("**a**: b", "**a**: b c") && !fits("a…c", "a b") && !fits("b", "a b"));
}
