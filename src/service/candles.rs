//! Candles: a page of those that were, and those that form.

mod follower;

use std::{slice, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, stream};
use rust_decimal::Decimal;

use self::follower::Follower;
use super::{
    archive::Archive,
    error::ServiceError,
    history::check_known_by,
    page,
    prices::{Prices, nearest},
};
use crate::{
    clock::Clock,
    domain::{
        candle::{
            Candle, Interval, builder,
            fill::{Fill, Row, fill},
            news::{Teller, news},
        },
        pair::Pair,
        price::Origin,
        venue::Venue,
    },
    feed::{venue::Protocol, venues},
    pipeline::candles::hub::CandleHub,
    store::candles::{CandleQuery, Series},
};

/// How far back the last price before a range is looked for.
const LOOK_BACK: TimeDelta = TimeDelta::days(31);

/// Reads candles.
#[derive(Debug, Clone)]
pub struct Candles {
    archive: Archive,
    hub: CandleHub,
    prices: Prices,
    clock: Clock,
}

/// Which candles a list shows.
#[derive(Debug, Clone)]
pub struct CandlesQuery {
    /// The pair, as the caller wrote it.
    pub pair: String,
    /// The name of the interval; a minute if it is empty.
    pub interval: String,
    /// The name of the source; all together if it is empty.
    pub source: String,
    /// The earliest time at which one may open.
    pub start_time: Option<DateTime<Utc>>,
    /// All open before this.
    pub end_time: Option<DateTime<Utc>>,
    /// `open_time` or `open_time desc`; empty for the former.
    pub order_by: String,
    /// Candles of a page; zero for the default.
    pub page_size: i32,
    /// Where the page starts; empty for the start.
    pub page_token: String,
    /// What is shown where there is nothing; `None` for what is known.
    pub fill: Option<Fill>,
    /// As they were known at this time.
    pub known_by: Option<DateTime<Utc>>,
}

/// A page of candles.
#[derive(Debug)]
pub struct CandlePage {
    /// The candles.
    pub rows: Vec<Row>,
    /// The token of the next page; empty at the end.
    pub next_page_token: String,
}

/// What is asked for, understood.
struct Asked {
    series: Series,
    range: (DateTime<Utc>, DateTime<Utc>),
    descending: bool,
    size: usize,
    after: Option<DateTime<Utc>>,
}

impl Candles {
    /// Reads the archive, and what is not in it yet.
    pub fn new(archive: Archive, hub: CandleHub, prices: Prices, clock: Clock) -> Self {
        Self { archive, hub, prices, clock }
    }

    /// Gets where the trades come from.
    pub fn origin(&self) -> Origin {
        self.archive.origin()
    }

    /// Lists a page of candles.
    pub async fn list(&self, query: &CandlesQuery) -> Result<CandlePage, ServiceError> {
        let arguments = self.arguments(query);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let asked = self.understand(query, &arguments)?;
        let (mut rows, more) = match query.fill {
            Some(fill) => self.filled(&asked, fill, query.known_by).await?,
            None => self.known(&asked, query.known_by).await?,
        };
        rows.truncate(asked.size);
        let last = rows.last().filter(|_| more).map(|row| row.candle.open_time.timestamp().to_string());
        let next_page_token = last.map_or_else(String::new, |last| page::token(&arguments, &last));
        Ok(CandlePage { rows, next_page_token })
    }

    /// Understands which series is asked for.
    pub fn series(&self, pair: &str, interval: &str, source: &str) -> Result<Series, ServiceError> {
        let interval: Interval = if interval.is_empty() {
            Interval::Minute
        } else {
            interval.parse().map_err(|error| ServiceError::field("interval", error))?
        };
        let venue = (!source.is_empty()).then(|| venue(source)).transpose()?;
        Ok(Series { pair: self.prices.resolve("pair", pair)?, venue, interval })
    }

    /// Streams the candles of a series: the one that forms first, then what is said of any; nothing where there is nothing
    /// to say for as long as a heartbeat takes.
    pub fn stream(
        &self,
        pair: &str,
        interval: &str,
        source: &str,
        heartbeat: Duration,
    ) -> Result<impl Stream<Item = Result<Option<Arc<Candle>>, ServiceError>> + Send + use<>, ServiceError>
    {
        let series = self.series(pair, interval, source)?;
        self.require(series.pair)?;
        let follower = Follower::new(self.hub.clone(), series, heartbeat);
        Ok(stream::try_unfold(follower, |mut follower| async move {
            Ok(Some((follower.next().await?, follower)))
        }))
    }

    /// Refuses a pair that nothing is known of.
    pub fn require(&self, pair: Pair) -> Result<(), ServiceError> {
        self.prices.find(pair).map(drop)
    }

    fn arguments(&self, query: &CandlesQuery) -> Vec<String> {
        let time = |time: Option<DateTime<Utc>>| time.map_or_else(String::new, |time| format!("{time:?}"));
        vec![
            "candles".to_owned(),
            self.prices
                .resolve("pair", &query.pair)
                .map_or_else(|_| query.pair.clone(), |pair| pair.to_string()),
            query.interval.clone(),
            query.source.clone(),
            time(query.start_time),
            time(query.end_time),
            query.order_by.trim().to_owned(),
            format!("{:?}", query.fill),
            time(query.known_by),
        ]
    }

    fn understand(&self, query: &CandlesQuery, arguments: &[&str]) -> Result<Asked, ServiceError> {
        let series = self.series(&query.pair, &query.interval, &query.source)?;
        let now = self.clock.now();
        let descending = match query.order_by.trim() {
            "" | "open_time" | "open_time asc" => false,
            "open_time desc" => true,
            other => {
                let wrong = format!("`{other}` is not `open_time` or `open_time desc`");
                return Err(ServiceError::field("order_by", wrong));
            }
        };
        let size = page::size(query.page_size)?;
        let after = page::after(&query.page_token, arguments)?
            .map(|text| {
                let seconds = text.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
                seconds.ok_or(ServiceError::PageToken)
            })
            .transpose()?;
        if query.fill.is_some() && query.start_time.is_none() {
            return Err(ServiceError::field("start_time", "is needed where candles are filled in"));
        }
        let start = query.start_time.unwrap_or(DateTime::UNIX_EPOCH);
        let end = query.end_time.unwrap_or(now);
        if query.end_time.is_some() && query.start_time.is_some() && end < start {
            return Err(ServiceError::field("end_time", "lies before start_time"));
        }
        check_known_by(query.known_by, start, now)?;
        // What has not begun has no candle.
        let range = (start, end.min(now + TimeDelta::microseconds(1)));
        Ok(Asked { series, range, descending, size, after })
    }

    /// Lists what is known; tells whether there is more.
    async fn known(
        &self,
        asked: &Asked,
        known_by: Option<DateTime<Utc>>,
    ) -> Result<(Vec<Row>, bool), ServiceError> {
        let candles = self.candles(asked, known_by, asked.size + 1).await?;
        if candles.is_empty() && asked.after.is_none() {
            self.require(asked.series.pair)?;
        }
        let more = candles.len() > asked.size;
        Ok((candles.into_iter().map(|candle| Row { candle, filled: false }).collect(), more))
    }

    /// Lists every interval of a page, filled in where nothing is known; tells whether there is more.
    async fn filled(
        &self,
        asked: &Asked,
        how: Fill,
        known_by: Option<DateTime<Utc>>,
    ) -> Result<(Vec<Row>, bool), ServiceError> {
        let Asked { series, range, descending, size, after } = asked;
        let interval = series.interval;
        let page = span(interval, *size);
        let (mut from, mut to) = (interval.next_open(range.0), interval.next_open(range.1));
        match after {
            Some(after) if *descending => to = to.min(*after),
            Some(after) => from = from.max(interval.close_time(*after)),
            None => {}
        }
        let more = to - from > page;
        if more && *descending {
            from = to - page;
        } else if more {
            to = from + page;
        }
        let within =
            Asked { series: *series, range: (from, to), descending: false, size: *size, after: None };
        let candles = self.candles(&within, known_by, *size).await?;
        let previous =
            if how == Fill::Previous { self.last_before(*series, from, known_by).await? } else { None };
        let of = (builder::Series { pair: series.pair, venue: series.venue }, interval);
        if candles.is_empty() && previous.is_none() && after.is_none() {
            self.require(series.pair)?;
        }
        let mut rows: Vec<Row> = fill(&candles, of, from..to, how, previous).collect();
        if *descending {
            rows.reverse();
        }
        Ok((rows, more))
    }

    /// Gets the last price before a time.
    async fn last_before(
        &self,
        series: Series,
        time: DateTime<Utc>,
        known_by: Option<DateTime<Utc>>,
    ) -> Result<Option<Decimal>, ServiceError> {
        let mut query = CandleQuery {
            series,
            from: time.checked_sub_signed(LOOK_BACK).unwrap_or(DateTime::UNIX_EPOCH),
            to: time,
            descending: true,
            limit: 1_000,
            after: None,
            known_by,
        };
        // Quiet markets have many candles without prices.
        loop {
            let page = self.archive.list_candles(&query).await?;
            let close = page.iter().find_map(|stored| stored.candle.prices.map(|prices| prices.close));
            match page.last() {
                Some(last) if close.is_none() && page.len() == 1_000 => {
                    query.after = Some(last.candle.open_time);
                }
                _ => return Ok(close),
            }
        }
    }

    /// Lists candles of a range: those that are stored, and those that are not yet.
    async fn candles(
        &self,
        asked: &Asked,
        known_by: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<Candle>, ServiceError> {
        let Asked { series, range: (from, to), descending, after, .. } = asked;
        let query = CandleQuery {
            series: *series,
            from: *from,
            to: *to,
            descending: *descending,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            after: *after,
            known_by,
        };
        let stored = self.archive.list_candles(&query).await?;
        let mut candles: Vec<Candle> = stored.into_iter().map(|stored| stored.candle).collect();
        if known_by.is_some() {
            return Ok(candles);
        }
        let beyond = |open: DateTime<Utc>| {
            after.is_none_or(|after| if *descending { open < after } else { open > after })
        };
        let fresh = newest(&self.hub, *series)
            .filter(|candle| (*from..*to).contains(&candle.open_time) && beyond(candle.open_time));
        for candle in fresh {
            let key = candle.open_time;
            match candles.iter_mut().find(|known| known.open_time == key) {
                Some(known) => {
                    let news = news(slice::from_ref(known), &candle, Teller::Listener);
                    *known = news.unwrap_or_else(|| known.clone());
                }
                None => candles.push(candle),
            }
        }
        candles.sort_by_key(|candle| candle.open_time);
        if *descending {
            candles.reverse();
        }
        candles.truncate(limit);
        Ok(candles)
    }
}

/// Lists the candles of a series that may not be stored yet, those that form last.
fn newest(hub: &CandleHub, series: Series) -> impl Iterator<Item = Candle> + use<> {
    hub.recent(series).into_iter().chain(hub.forming(series)).map(|candle| Candle::clone(&candle))
}

fn span(interval: Interval, count: usize) -> TimeDelta {
    TimeDelta::seconds(interval.seconds().saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn venue(name: &str) -> Result<Venue, ServiceError> {
    let known = || venues::ALL.iter().map(|protocol| protocol.venue().as_str().to_owned());
    venues::by_name(name).map(Protocol::venue).ok_or_else(|| ServiceError::SourceUnknown {
        source_name: name.chars().take(48).collect(),
        nearest: nearest(name, known()),
    })
}
