//! The one table, for eyes and for programs.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Milliseconds,
    Percent,
    Mebibytes,
    Bytes,
    Attempts,
    Threads,
    PerSecond,
}

/// What a figure is allowed to be, at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "of", content = "at_most")]
pub enum Budget {
    Median(f64),
    Maximum(f64),
    /// The median, as a part of the median of the peer above.
    OfPeer(f64),
}

/// One figure of one program.
#[derive(Debug, Serialize)]
pub struct Row {
    pub section: &'static str,
    pub figure: String,
    pub who: String,
    pub unit: Unit,
    pub samples: Vec<f64>,
    /// No sample is larger: what took longer was ended.
    pub cap: Option<f64>,
    pub budgets: Vec<Budget>,
    /// This median divided by that of the figure's first row.
    pub ratio: Option<f64>,
}

impl Row {
    pub fn new(section: &'static str, figure: impl Into<String>, who: impl Into<String>, unit: Unit) -> Self {
        let (figure, who) = (figure.into(), who.into());
        Self { section, figure, who, unit, samples: Vec::new(), cap: None, budgets: Vec::new(), ratio: None }
    }

    pub fn sample(mut self, sample: f64) -> Self {
        self.samples.push(sample);
        self
    }

    pub fn samples(mut self, samples: impl IntoIterator<Item = f64>) -> Self {
        self.samples.extend(samples);
        self
    }

    pub fn budget(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    pub fn cap(mut self, cap: Option<f64>) -> Self {
        self.cap = cap;
        self
    }

    pub fn median(&self) -> f64 {
        quantile(&self.samples, 0.5)
    }

    fn show(&self, value: f64) -> String {
        let more = if self.cap.is_some_and(|cap| value >= cap) { "> " } else { "" };
        match self.unit {
            Unit::Milliseconds if value.abs() >= 1000.0 => format!("{more}{:.2} s", value / 1000.0),
            Unit::Milliseconds if value.abs() >= 100.0 => format!("{more}{value:.0} ms"),
            Unit::Milliseconds => format!("{more}{value:.2} ms"),
            Unit::Percent => format!("{more}{value:.1} %"),
            Unit::Mebibytes => format!("{value:.2} MiB"),
            Unit::Bytes => format!("{:.3} MB", value / 1e6),
            Unit::Attempts | Unit::Threads => format!("{value:.0}"),
            Unit::PerSecond if value >= 100.0 => format!("{value:.0}/s"),
            Unit::PerSecond => format!("{value:.1}/s"),
        }
    }
}

/// Linear between the two nearest samples.
pub fn quantile(samples: &[f64], q: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

fn show_ratio(ratio: f64) -> String {
    match ratio {
        ..1.0 => format!("{ratio:.2}×"),
        ..100.0 => format!("{ratio:.1}×"),
        _ => format!("{ratio:.0}×"),
    }
}

/// The figures, in order.
#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// Adds the rows of one figure, which are compared with the first: the product, before its peers.
    pub fn figure(&mut self, mut rows: Vec<Row>) {
        if let Some((first, others)) = rows.split_first_mut() {
            let median = first.median();
            for other in others {
                // A difference of two runs can be nothing, or less.
                other.ratio = (median > 0.0).then(|| other.median() / median);
            }
        }
        self.0.extend(rows);
    }

    /// A figure of the product alone.
    pub fn alone(&mut self, row: Row) {
        self.figure(vec![row]);
    }

    fn verdicts(&self, index: usize) -> Vec<(String, bool)> {
        let row = &self.0[index];
        let verdict = |budget: &Budget| match *budget {
            Budget::Median(most) => (format!("median ≤ {}", row.show(most)), row.median() <= most),
            Budget::Maximum(most) => (format!("all ≤ {}", row.show(most)), quantile(&row.samples, 1.0) <= most),
            Budget::OfPeer(most) => {
                let peer = self.0.get(index + 1).and_then(|peer| peer.ratio).map_or(f64::NAN, |ratio| 1.0 / ratio);
                (format!("≤ {most:.2} of the peer's"), peer <= most)
            }
        };
        row.budgets.iter().map(verdict).collect()
    }

    /// Writes everything as JSON beside the build; gives the path.
    pub fn write(&self) -> PathBuf {
        let rows: Vec<_> = self
            .0
            .iter()
            .enumerate()
            .map(|(index, row)| {
                let budgets: Vec<_> = self
                    .verdicts(index)
                    .into_iter()
                    .map(|(budget, is_met)| json!({ "budget": budget, "met": is_met }))
                    .collect();
                json!({
                    "section": row.section, "figure": row.figure, "who": row.who, "unit": row.unit,
                    "median": row.median(), "p95": quantile(&row.samples, 0.95), "max": quantile(&row.samples, 1.0),
                    "ratio": row.ratio, "budgets": budgets, "cap": row.cap, "samples": row.samples,
                })
            })
            .collect();
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/waits.json");
        let text = serde_json::to_string_pretty(&json!({ "version": env!("CARGO_PKG_VERSION"), "rows": rows }));
        std::fs::write(&path, text.expect("JSON")).expect("target/waits.json");
        path
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![["section", "figure", "who", "n", "median", "p95", "ratio", "budget"].map(String::from)];
        for (index, row) in self.0.iter().enumerate() {
            let budgets = self
                .verdicts(index)
                .into_iter()
                .map(|(budget, is_met)| format!("{budget}: {}", if is_met { "met" } else { "MISSED" }));
            lines.push([
                row.section.to_owned(),
                row.figure.clone(),
                row.who.clone(),
                row.samples.len().to_string(),
                row.show(row.median()),
                if row.samples.len() > 1 { row.show(quantile(&row.samples, 0.95)) } else { String::new() },
                row.ratio.map(show_ratio).unwrap_or_default(),
                budgets.collect::<Vec<_>>().join(", "),
            ]);
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        for line in &lines {
            let mut out = String::new();
            for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
                // Numbers to the right.
                match column {
                    3..=6 => write!(out, "{cell:>width$}  ")?,
                    _ => write!(out, "{cell:<width$}  ")?,
                }
            }
            writeln!(f, "{}", out.trim_end())?;
        }
        Ok(())
    }
}
