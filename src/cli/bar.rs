//! The bar that the caller sets: what a price must meet to be shown.

use std::time::Duration;

use rust_decimal::{Decimal, prelude::ToPrimitive};

/// What the caller asks of a price; the server judges.
#[derive(Debug, Default, clap::Args)]
pub struct BarArgs {
    /// Accept prices up to this old, such as 500ms, 5s or 2m
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    max_age: Option<Duration>,
    /// Accept prices from at least this many independent sources
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    min_sources: u32,
    /// Accept prices whose sources differ by at most this many basis points
    #[arg(long, value_name = "BPS", default_value = "", hide_default_value = true)]
    max_dispersion_bps: String,
    /// Accept no price that is derived through other pairs
    #[arg(long)]
    no_derived: bool,
}

/// The bar as requests carry it.
pub(super) struct Bar {
    pub(super) max_age: Option<prost_types::Duration>,
    pub(super) min_sources: u32,
    pub(super) max_dispersion_bps: String,
    pub(super) allow_derived: Option<bool>,
}

impl From<BarArgs> for Bar {
    fn from(arguments: BarArgs) -> Self {
        Self {
            // Longer than protobuf can say is as good as no limit.
            max_age: arguments.max_age.and_then(|age| age.try_into().ok()),
            min_sources: arguments.min_sources,
            max_dispersion_bps: arguments.max_dispersion_bps,
            allow_derived: arguments.no_derived.then_some(false),
        }
    }
}

/// Reads a number with its unit: `ms`, `s`, `m` or `h`.
pub(super) fn parse_span(text: &str) -> Result<Duration, SpanError> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit_ms = match text.strip_prefix(digits) {
        Some("ms") => 1,
        Some("s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        _ => return Err(SpanError),
    };
    let number: Decimal = digits.parse().map_err(|_| SpanError)?;
    let milliseconds = number.checked_mul(Decimal::from(unit_ms)).ok_or(SpanError)?;
    // A span below a millisecond would arrive as zero, which asks for something else.
    let milliseconds = milliseconds.ceil().to_u64().ok_or(SpanError)?;
    Ok(Duration::from_millis(milliseconds))
}

/// Why a text is no span.
#[derive(Debug, thiserror::Error)]
#[error("expected a number with a unit (ms, s, m or h), such as 5s")]
pub(super) struct SpanError;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_span_is_a_number_with_a_unit() {
        for (given, expected) in [
            ("500ms", Some(500)),
            ("5s", Some(5_000)),
            ("1.5s", Some(1_500)),
            ("0s", Some(0)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("0.1ms", Some(1)),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("5 s", None),
            ("5d", None),
            ("five s", None),
            ("99999999999999999999999999h", None),
        ] {
            assert_eq!(parse_span(given).ok(), expected.map(Duration::from_millis), "{given}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(given in ".*") {
            let _ = parse_span(&given);
        }
    }
}
