//! How a pair did in the last hour, day and week.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{
    Store, StoreError,
    candles::{CandleQuery, Series},
};
use crate::domain::{candle::Interval, decimal, pair::Pair};

/// How a pair did. What the history does not tell is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PriceStats {
    /// The last price.
    pub last: Option<Decimal>,
    /// How far that lies from the price an hour ago, as a share of the latter.
    pub change_1h: Option<Decimal>,
    /// The same of a day ago.
    pub change_24h: Option<Decimal>,
    /// The same of a week ago.
    pub change_7d: Option<Decimal>,
    /// The highest price of a trade in the last day.
    pub high_24h: Option<Decimal>,
    /// The lowest price of a trade in the last day.
    pub low_24h: Option<Decimal>,
    /// What was traded in the last day, in units of base.
    pub base_volume_24h: Option<Decimal>,
    /// What was traded in the last day, in units of quote.
    pub quote_volume_24h: Option<Decimal>,
}

/// The minutes of a day.
const DAY_OF_MINUTES: u32 = 1_440;

impl Store {
    /// Tells how a pair did up to `now`: by its prices, or where there are none by its composite candles. A price from
    /// longer before a time than a twelfth of the span is not taken for the price of that time. High, low and volume are
    /// those of the composite candles of a minute that are over, for the day that ends with the last whole minute.
    pub async fn price_stats(&self, pair: Pair, now: DateTime<Utc>) -> Result<PriceStats, StoreError> {
        let spans = [TimeDelta::hours(1), TimeDelta::days(1), TimeDelta::days(7)];
        let mut asked = vec![(pair, now)];
        asked.extend(spans.map(|span| (pair, now - span)));
        let mut prices = Vec::new();
        let allowances =
            [spans.first().copied().unwrap_or_default()].into_iter().chain(spans).map(|span| span / 12);
        for ((stored, (_, time)), allowance) in
            self.prices_at(&asked, None).await?.into_iter().zip(&asked).zip(allowances)
        {
            let price = stored
                .filter(|stored| *time - stored.point.price.aggregate_time <= allowance)
                .and_then(|stored| stored.point.price.value)
                .map(|value| value.price);
            prices.push(match price {
                Some(price) => Some(price),
                None => self.close_before(pair, *time, allowance).await?,
            });
        }
        let mut stats = self.last_day(pair, now).await?;
        if let [last, hour, day, week] = prices[..] {
            let change = |then: Option<Decimal>| change(last?, then?);
            stats = PriceStats {
                last,
                change_1h: change(hour),
                change_24h: change(day),
                change_7d: change(week),
                ..stats
            };
        }
        Ok(stats)
    }

    /// Gets the last price of the composite candle of a minute or an hour that closed at or shortly before a time.
    async fn close_before(
        &self,
        pair: Pair,
        time: DateTime<Utc>,
        allowance: TimeDelta,
    ) -> Result<Option<Decimal>, StoreError> {
        for interval in [Interval::Minute, Interval::Hour] {
            let mut query = composite(pair, interval, time - allowance, time);
            // One that opened before that time, and closed after it, knows too much.
            query.to = interval.open_time(time) - interval.span() + TimeDelta::microseconds(1);
            query.from -= interval.span();
            query.descending = true;
            query.limit = 1;
            let candle = self.list_candles(&query).await?.pop();
            if let Some(prices) = candle.and_then(|stored| stored.candle.prices) {
                return Ok(Some(prices.close));
            }
        }
        Ok(None)
    }

    async fn last_day(&self, pair: Pair, now: DateTime<Utc>) -> Result<PriceStats, StoreError> {
        let end = Interval::Minute.open_time(now);
        let candles =
            self.list_candles(&composite(pair, Interval::Minute, end - TimeDelta::days(1), end)).await?;
        let mut stats = PriceStats::default();
        for candle in candles.into_iter().map(|stored| stored.candle) {
            if let Some(prices) = candle.prices {
                stats.high_24h = Some(stats.high_24h.map_or(prices.high, |high| high.max(prices.high)));
                stats.low_24h = Some(stats.low_24h.map_or(prices.low, |low| low.min(prices.low)));
            }
            stats.base_volume_24h = stats.base_volume_24h.unwrap_or_default().checked_add(candle.base_volume);
            stats.quote_volume_24h =
                stats.quote_volume_24h.unwrap_or_default().checked_add(candle.quote_volume);
        }
        Ok(stats)
    }
}

fn composite(pair: Pair, interval: Interval, from: DateTime<Utc>, to: DateTime<Utc>) -> CandleQuery {
    let series = Series { pair, venue: None, interval };
    CandleQuery { series, from, to, descending: false, limit: DAY_OF_MINUTES, after: None, known_by: None }
}

fn change(last: Decimal, then: Decimal) -> Option<Decimal> {
    let share = last.checked_sub(then)?.checked_div(then)?;
    Some(decimal::round_significant(share))
}
