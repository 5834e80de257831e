//! Bytes of the static executable, and which crates they come from.

use std::env;
use std::fs;

use crate::Depth;
use crate::contender::PRODUCT;
use crate::support::executable;
use crate::table::{Budget, Row, Table, Unit};

/// So many crates are named.
const NAMED: usize = 12;

pub fn run(_: Depth, table: &mut Table) {
    size(table, "with TLS", &executable().display().to_string(), 2_000_000.0);
    if let Ok(path) = env::var("WHEN_READY_NO_TLS_BIN") {
        size(table, "without TLS", &path, 1_000_000.0);
    }
    if let Ok(path) = env::var("WHEN_READY_CRATE_SIZES") {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let sizes: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let crates = sizes["crates"].as_array().expect("crates");
        let bytes = |entry: &serde_json::Value| entry["size"].as_f64().unwrap_or(0.0);
        let mut sorted: Vec<_> = crates.iter().collect();
        sorted.sort_by(|a, b| bytes(b).total_cmp(&bytes(a)));
        for entry in sorted.iter().take(NAMED) {
            let name = entry["name"].as_str().unwrap_or("?");
            table.alone(
                Row::new("size", "code by crate, with the std that comes with Rust", name, Unit::Bytes)
                    .sample(bytes(entry)),
            );
        }
        let rest = sorted.iter().skip(NAMED).map(|entry| bytes(entry)).sum();
        table.alone(
            Row::new("size", "code by crate, with the std that comes with Rust", "all others", Unit::Bytes)
                .sample(rest),
        );
    }
}

fn size(table: &mut Table, which: &str, path: &str, most: f64) {
    let bytes = fs::metadata(path).unwrap_or_else(|error| panic!("{path}: {error}")).len();
    let row = Row::new("size", format!("static executable, {which}"), PRODUCT, Unit::Bytes);
    table.alone(row.sample(bytes as f64).budget(Budget::Median(most)));
}
