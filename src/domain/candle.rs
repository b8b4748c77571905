//! Candles: what the trades of an interval make.
//!
//! A [`Candle`] is a statement about one interval. It is made of trades by a [`market`], which keeps those of one pair at all
//! venues; each venue by itself, and all together, have a [`builder`], with a `lane` for each interval. A [`tally`] adds
//! trades up, exactly (`sum`) and in whatever order they come, as their ids ([`trade_id`]) tell it, and is packed once it is
//! closed (`kept`); [`listening`] is when there was anybody to hear them. What can be done with candles that exist:
//! [`roll_up`] makes longer ones, [`composite`] that of all venues of theirs, [`gaps`] finds what is missing, [`fill`] says
//! what is shown there, and [`news`] what of a candle that somebody tells is written beside what is known.

pub mod builder;
mod by_time;
pub mod composite;
pub mod fill;
pub mod gaps;
mod kept;
mod lane;
pub mod listening;
pub mod market;
pub mod news;
pub mod roll_up;
#[cfg(test)]
mod sample;
mod sum;
pub mod tally;
pub mod trade_id;

use std::{fmt, ops::Range, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{exact::Exact, pair::Pair, venue::Venue};

/// What the trades of an interval make: of one venue, or of all together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// The market, with canonical asset names.
    pub pair: Pair,
    /// The venue whose trades it is made of; `None` for the composite of all.
    pub venue: Option<Venue>,
    /// How long it is.
    pub interval: Interval,
    /// When it opens; it closes, exclusively, an interval later.
    pub open_time: DateTime<Utc>,
    /// Counts what was said of this interval, from 0: each restatement is one more.
    pub revision: u32,
    /// What can be expected of it.
    pub state: CandleState,
    /// Who made it of the trades.
    pub maker: CandleMaker,
    /// First, highest, lowest and last price; `None` where there was no trade.
    pub prices: Option<Ohlc>,
    /// What was traded, in units of base.
    pub base_volume: Decimal,
    /// What was traded, in units of quote.
    pub quote_volume: Decimal,
    /// How many trades there were.
    pub trade_count: u64,
    /// How many venues traded.
    pub source_count: u32,
    /// The share of the interval in which its trades were listened to, from 0 to 1; of the composite, the mean share of the
    /// venues that are expected. While it is formed, time to come counts as not listened to.
    pub coverage: Decimal,
}

/// First, highest, lowest and last price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ohlc {
    /// That of the first trade.
    pub open: Decimal,
    /// The highest.
    pub high: Decimal,
    /// The lowest.
    pub low: Decimal,
    /// That of the last trade.
    pub close: Decimal,
}

/// What can be expected of a candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CandleState {
    /// Its interval is not over, or trades of it may still come: it will change.
    Forming,
    /// It is over, and no trade of it is awaited any more. How much of it was listened to is its coverage.
    Final,
    /// It was final, and has changed since: a trade came late, or the venue told more.
    Restated,
    /// It is over, and nothing is known of it: nobody listened, which is not the same as that nothing was traded.
    Gap,
}

/// Who made a candle of the trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CandleMaker {
    /// We did, of each trade.
    Service,
    /// The venue did, and told it when it was asked for the past.
    Venue,
}

/// The span of a candle: half-open, aligned to UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    /// `1s`
    Second,
    /// `1m`
    Minute,
    /// `5m`
    FiveMinutes,
    /// `15m`
    QuarterHour,
    /// `1h`
    Hour,
    /// `4h`
    FourHours,
    /// `1d`
    Day,
    /// `1w`, from Monday.
    Week,
}

impl Candle {
    /// Gets when it closes, exclusively.
    pub fn close_time(&self) -> DateTime<Utc> {
        self.interval.close_time(self.open_time)
    }

    /// Gets the mean price, weighted by volume: quote ÷ base, rounded once as every derived result is. There is none
    /// where nothing was traded, or where it is beyond the range of a decimal.
    pub fn vwap(&self) -> Option<Decimal> {
        Exact::of(self.quote_volume)
            .divided_by(self.base_volume)
            .ok()?
            .rounded()
            .ok()
            .filter(|_| self.prices.is_some())
    }
}

/// A text that names no interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no candle has the interval `{0}`: there are 1s, 1m, 5m, 15m, 1h, 4h, 1d and 1w")]
pub struct UnknownInterval(String);

impl Interval {
    /// All of them, from the shortest.
    pub const ALL: [Self; 8] = [
        Self::Second,
        Self::Minute,
        Self::FiveMinutes,
        Self::QuarterHour,
        Self::Hour,
        Self::FourHours,
        Self::Day,
        Self::Week,
    ];

    /// Gets its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "1s",
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::QuarterHour => "15m",
            Self::Hour => "1h",
            Self::FourHours => "4h",
            Self::Day => "1d",
            Self::Week => "1w",
        }
    }

    /// Gets how many seconds it spans.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::FiveMinutes => 300,
            Self::QuarterHour => 900,
            Self::Hour => 3_600,
            Self::FourHours => 14_400,
            Self::Day => 86_400,
            Self::Week => 604_800,
        }
    }

    /// Gets how long it is.
    pub const fn span(self) -> TimeDelta {
        TimeDelta::seconds(self.seconds())
    }

    /// Gets when the candle opened that a moment falls into.
    pub fn open_time(self, time: DateTime<Utc>) -> DateTime<Utc> {
        // 1970-01-01 was a Thursday: the Monday before it is three days earlier.
        let origin = if self == Self::Week { -3 * 86_400 } else { 0 };
        let seconds = time.timestamp();
        let open = seconds - (seconds - origin).rem_euclid(self.seconds());
        // Only what lies before the first week that can be said is left as it is.
        DateTime::from_timestamp(open, 0).unwrap_or(time)
    }

    /// Gets the first moment at or after another at which a candle opens.
    pub fn next_open(self, time: DateTime<Utc>) -> DateTime<Utc> {
        match self.open_time(time) {
            open if open < time => self.close_time(open),
            open => open,
        }
    }

    /// Widens a half-open range to whole candles.
    pub fn widened(self, range: &Range<DateTime<Utc>>) -> Range<DateTime<Utc>> {
        self.open_time(range.start)..self.next_open(range.end)
    }

    /// Gets when the candle closes, exclusively, that opens at a moment.
    pub fn close_time(self, open_time: DateTime<Utc>) -> DateTime<Utc> {
        open_time.checked_add_signed(self.span()).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Interval {
    type Err = UnknownInterval;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownInterval(text.chars().take(20).collect());
        Self::ALL.into_iter().find(|interval| interval.as_str() == text).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_falls_into_one_candle_of_each_interval() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (moment, interval, open) in [
            ("2026-11-22T23:59:59.999Z", "1s", "2026-11-22T23:59:59Z"),
            ("2026-11-22T23:59:59.999Z", "5m", "2026-11-22T23:55:00Z"),
            ("2026-11-22T23:59:59.999Z", "4h", "2026-11-22T20:00:00Z"),
            ("2026-11-22T23:59:59.999Z", "1d", "2026-11-22T00:00:00Z"),
            // A Sunday belongs to the week of the Monday before it.
            ("2026-11-22T23:59:59.999Z", "1w", "2026-11-16T00:00:00Z"),
            ("2026-11-23T00:00:00Z", "1w", "2026-11-23T00:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1m", "1969-12-31T23:59:00Z"),
            ("1969-12-31T23:59:59.5Z", "1w", "1969-12-29T00:00:00Z"),
        ] {
            let interval: Interval = interval.parse().unwrap();
            assert_eq!(interval.open_time(time(moment)), time(open), "{moment} {interval}");
        }
    }

    #[test]
    fn a_range_is_widened_to_whole_candles() {
        let at = |second: i64| DateTime::from_timestamp(1_795_392_000 + second, 0).unwrap();
        for (from, to, whole_from, whole_to) in
            [(0, 60, 0, 60), (1, 60, 0, 60), (0, 61, 0, 120), (59, 61, 0, 120), (60, 60, 60, 60)]
        {
            let widened = Interval::Minute.widened(&(at(from)..at(to)));
            assert_eq!(widened, at(whole_from)..at(whole_to), "{from} {to}");
        }
    }

    #[test]
    fn names_are_read_and_others_refused() {
        for interval in Interval::ALL {
            assert_eq!(interval.as_str().parse(), Ok(interval));
            assert_eq!(interval.span().num_seconds(), interval.seconds());
        }
        for text in ["", "1", "60", "1M", "2m", "1 m"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
