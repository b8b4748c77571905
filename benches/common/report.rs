//! What is printed: a table for people, as it stands in the README, and JSON for machines.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::ratio::Ratio;

/// One measure, or a part of one.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The name of the measure in JSON.
    measure: String,
    /// What is measured against what.
    what: String,
    ratio: Option<Ratio>,
    bound: Option<Bound>,
    /// What else was found, in the order in which it is told.
    figures: Vec<Figure>,
    /// The same of what it is held against.
    baseline: Vec<Figure>,
}

/// A number that was found, after its unit.
pub(crate) type Figure = (&'static str, f64);

/// What the ratio must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    pub(crate) fn new(measure: impl Into<String>, what: impl Into<String>) -> Self {
        let (figures, baseline) = (Vec::new(), Vec::new());
        Self { measure: measure.into(), what: what.into(), ratio: None, bound: None, figures, baseline }
    }

    pub(crate) fn ratio(self, ratio: Ratio, bound: Bound) -> Self {
        Self { ratio: Some(ratio), bound: Some(bound), ..self }
    }

    /// Adds figures of both sides.
    pub(crate) fn figures(mut self, ours: Vec<Figure>, theirs: Vec<Figure>) -> Self {
        self.figures.extend(ours);
        self.baseline.extend(theirs);
        self
    }

    pub(crate) fn figure(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push((name, value));
        self
    }

    pub(crate) fn baseline(mut self, name: &'static str, value: f64) -> Self {
        self.baseline.push((name, value));
        self
    }

    /// Tells whether the ratio is what it must be.
    pub(crate) fn holds(&self) -> bool {
        match (self.ratio, self.bound) {
            (Some(ratio), Some(Bound::AtLeast(least))) => ratio.median >= least,
            (Some(ratio), Some(Bound::AtMost(most))) => ratio.median <= most,
            _ => true,
        }
    }

    /// Writes the row as a line of a table.
    pub(crate) fn line(&self) -> String {
        let ratio = self.ratio.map_or_else(String::new, |ratio| {
            format!("**{}** [{}, {}]", short(ratio.median), short(ratio.low), short(ratio.high))
        });
        let bound = match self.bound {
            Some(Bound::AtLeast(least)) => format!("≥ {}", short(least)),
            Some(Bound::AtMost(most)) => format!("≤ {}", short(most)),
            None => String::new(),
        };
        let told = |figures: &[(&str, f64)]| {
            figures
                .iter()
                .map(|(name, value)| format!("{} {name}", short(*value)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        format!("| {} | {ratio} | {bound} | {} | {} |", self.what, told(&self.figures), told(&self.baseline))
    }

    fn json(&self) -> Value {
        let named = |figures: &[(&str, f64)]| {
            let named = figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
            named.collect::<Map<_, _>>()
        };
        let ratio = self.ratio.as_ref().map(|ratio| ratio.median);
        let mut row =
            json!({ "measure": self.measure, "what": self.what, "ratio": ratio, "holds": self.holds() });
        if let Some(ratio) = &self.ratio {
            row["interval"] = json!([ratio.low, ratio.high]);
        }
        match self.bound {
            Some(Bound::AtLeast(least)) => row["at_least"] = json!(least),
            Some(Bound::AtMost(most)) => row["at_most"] = json!(most),
            None => {}
        }
        row["figures"] = named(&self.figures).into();
        row["baseline"] = named(&self.baseline).into();
        row
    }
}

/// Prints the head of the table.
pub(crate) fn head() {
    println!("| measure | ratio | bound | cryptoprice | baseline |");
    println!("|---|---|---|---|---|");
}

/// Writes the rows as JSON.
pub(crate) fn write(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    Ok(std::fs::write(path, format!("{:#}\n", json!({ "rows": rows })))?)
}

/// Writes a number with as many digits as it is worth.
fn short(number: f64) -> String {
    match number.abs() {
        large if large >= 1_000.0 => {
            let digits = format!("{number:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        medium if medium >= 100.0 => format!("{number:.0}"),
        small if small >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
