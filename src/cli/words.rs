//! Values of the contract in words that fit a table.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::client::v1 as api;

/// What stands where there is nothing to show.
pub(super) const NOTHING: &str = "-";

/// Shows an optional decimal as the server wrote it.
pub(super) fn known(decimal: Option<&str>) -> String {
    decimal.unwrap_or(NOTHING).to_owned()
}

/// Says how good a price is, why it is not better, and where it comes from if that is not a live market.
pub(super) fn status(price: &api::Price) -> String {
    let mut notes = Vec::new();
    if price.status_reason() != api::PriceStatusReason::Unspecified {
        notes.push(lower(price.status_reason().as_str_name(), "PRICE_STATUS_REASON_"));
    }
    notes.extend(origin(price.origin()));
    let status = short(price.status().as_str_name(), "PRICE_STATUS_");
    if notes.is_empty() { status.to_owned() } else { format!("{status} ({})", notes.join(", ")) }
}

/// Names an origin that must not pass for a live market.
pub(super) fn origin(origin: api::Origin) -> Option<String> {
    (origin != api::Origin::Live).then(|| lower(origin.as_str_name(), "ORIGIN_"))
}

/// Takes the prefix off the name of an enum's value.
pub(super) fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// Turns the name of an enum's value into lower-case words.
pub(super) fn lower(name: &str, prefix: &str) -> String {
    short(name, prefix).replace('_', " ").to_lowercase()
}

/// Shows basis points to two places.
pub(super) fn bps(decimal: Option<&str>) -> String {
    decimal.map_or_else(|| NOTHING.to_owned(), |text| rounded(text, Decimal::ONE, 2))
}

/// Shows a share from 0 to 1 as per cent to one place.
pub(super) fn percent(share: &str) -> String {
    rounded(share, Decimal::ONE_HUNDRED, 1)
}

/// Says how long ago a time was.
pub(super) fn age(time: Option<&Timestamp>, now: SystemTime) -> String {
    let Some(time) = time.and_then(|time| SystemTime::try_from(*time).ok()) else {
        return NOTHING.to_owned();
    };
    // A server whose clock is ahead of ours observes "in the future"; to us that is now.
    span(now.duration_since(time).unwrap_or_default())
}

/// Shows a span in at most two units.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{}.{}s", seconds, span.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Keeps a text from breaking the line or steering the terminal.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Scales and rounds a decimal for the eye; what is no decimal is shown as it is.
fn rounded(text: &str, factor: Decimal, places: u32) -> String {
    let scaled = text.parse::<Decimal>().ok().and_then(|value| value.checked_mul(factor));
    scaled.map_or_else(
        || text.to_owned(),
        |value| {
            let mut value = value.round_dp_with_strategy(places, RoundingStrategy::MidpointNearestEven);
            value.rescale(places);
            value.to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_take_two_units_at_most() {
        for (milliseconds, expected) in [
            (0, "0.0s"),
            (1_999, "1.9s"),
            (59_999, "59s"),
            (60_000, "1m 0s"),
            (3_725_000, "1h 2m"),
            (180_000_000, "2d 2h"),
        ] {
            assert_eq!(span(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn a_time_ahead_of_our_clock_is_now() {
        let now = SystemTime::UNIX_EPOCH;
        let ahead = Timestamp { seconds: 5, nanos: 0 };
        assert_eq!(age(Some(&ahead), now), "0.0s");
        assert_eq!(age(None, now), "-");
    }

    #[test]
    fn numbers_are_rounded_for_the_eye() {
        for (shown, expected) in [
            (bps(Some("1.234567890123456")), "1.23"),
            (bps(Some("0")), "0.00"),
            (bps(Some("-12.005")), "-12.00"),
            (bps(Some("1e99")), "1e99"),
            (bps(None), "-"),
            (percent("0.3333333333333333"), "33.3"),
            (percent("1"), "100.0"),
        ] {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn a_status_says_why_and_from_where() {
        let mut price = api::Price {
            status: api::PriceStatus::Live.into(),
            origin: api::Origin::Live.into(),
            ..api::Price::default()
        };
        assert_eq!(status(&price), "LIVE");
        price.set_origin(api::Origin::Simulated);
        assert_eq!(status(&price), "LIVE (simulated)");
        price.set_status(api::PriceStatus::Degraded);
        price.set_status_reason(api::PriceStatusReason::TooFewSources);
        assert_eq!(status(&price), "DEGRADED (too few sources, simulated)");
    }
}
