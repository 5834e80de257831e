//! The whole executable beside its peers, on loopback: `benches/run` installs and builds what this
//! needs, and calls it. Slowness is reported and never an error; a wrong result is one.

#![allow(missing_docs)]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "benchmarks look at the product from outside: they have clocks of their own"
)]

#[path = "../../tests/integration/support/mod.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod support;

mod contender;
mod detect;
mod idle;
mod many;
mod pace;
mod ready;
mod scale;
mod size;
mod stop;
mod table;

use table::Table;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// A few minutes.
    Quick,
    /// A quarter of an hour.
    Full,
}

impl Depth {
    /// One of two values.
    pub fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

type Section = (&'static str, fn(Depth, &mut Table));

const SECTIONS: [Section; 8] = [
    ("ready", ready::run),
    ("detect", detect::run),
    ("idle", idle::run),
    ("many", many::run),
    ("pace", pace::run),
    ("stop", stop::run),
    ("size", size::run),
    ("scale", scale::run),
];

fn main() {
    let mut depth = Depth::Full;
    let mut wanted = Vec::new();
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            // cargo says so to every benchmark.
            "--bench" => {}
            "--quick" => depth = Depth::Quick,
            name if SECTIONS.iter().any(|(section, _)| *section == name) => wanted.push(arg),
            other => {
                let names = SECTIONS.map(|(name, _)| name).join(", ");
                eprintln!("`{other}` is not a section: choose among {names}, or --quick");
                std::process::exit(2);
            }
        }
    }
    let mut table = Table::default();
    for (name, run) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|section| section == name) {
            eprintln!("measuring: {name}");
            run(depth, &mut table);
        }
    }
    print!("{table}");
    let path = table.write();
    println!("every sample: {}", path.display());
}
