//! What is printed: a table for people, and JSON for machines.

use crate::rounds::{Figures, Ratio};

/// One measure.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name in JSON.
    pub measure: &'static str,
    /// What is measured against what.
    pub what: String,
    pub ratio: Ratio,
    pub at_least: f64,
    pub ours: Figures,
    pub theirs: Figures,
}

impl Row {
    pub fn compared(
        measure: &'static str,
        what: &str,
        ratio: Ratio,
        at_least: f64,
        ours: Figures,
        theirs: Figures,
    ) -> Self {
        Self { measure, what: what.into(), ratio, at_least, ours, theirs }
    }

    pub fn print(&self) {
        let Self { ratio, ours, theirs, .. } = self;
        println!("{}: {}", self.measure, self.what);
        println!(
            "  ratio {:.3} [{:.3}, {:.3}], at least {}",
            ratio.median, ratio.low, ratio.high, self.at_least
        );
        for (who, figures) in [("ours", ours), ("theirs", theirs)] {
            println!(
                "  {who:7} {:8.0}/s  p50 {} us  p99 {} us  {:.2} us of cpu  {} MiB",
                figures.per_second,
                figures.p50_us,
                figures.p99_us,
                figures.cpu_us,
                figures.resident >> 20
            );
        }
    }
}
