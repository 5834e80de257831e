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
    let path = executable();
    let bytes = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len();
    let row = Row::new("size", "static executable", PRODUCT, Unit::Bytes);
    table.alone(row.sample(bytes as f64).budget(Budget::Median(2_400_000.0)));
    if let Ok(path) = env::var("WHEN_READY_CRATE_SIZES") {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let sizes: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let crates = sizes["crates"].as_array().expect("crates");
        let bytes = |entry: &serde_json::Value| entry["size"].as_f64().unwrap_or(0.0);
        let mut sorted: Vec<_> = crates.iter().collect();
        sorted.sort_by(|a, b| bytes(b).total_cmp(&bytes(a)));
        for entry in sorted.iter().take(NAMED) {
            let name = entry["name"].as_str().unwrap_or("?");
            table.alone(Row::new("size", "code by crate", name, Unit::Bytes).sample(bytes(entry)));
        }
        let rest = sorted.iter().skip(NAMED).map(|entry| bytes(entry)).sum();
        table.alone(Row::new("size", "code by crate", "all others", Unit::Bytes).sample(rest));
    }
}
