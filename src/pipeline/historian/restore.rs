//! Lets the longer candles go on across a restart.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};
use rust_decimal::Decimal;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use super::status::HistoryStatus;
use crate::{
    domain::{
        candle::{
            Candle, CandleState, Interval,
            gaps::{gaps, joined},
        },
        pair::Pair,
        venue::Venue,
    },
    pipeline::candles::CandleBook,
    store::{
        Store, StoreError,
        candles::{CandleQuery, Series},
    },
};

/// What the time before the start is made of: days, and where there is none, the hours of it, and so on.
const STEPS: [Interval; 4] = [Interval::Day, Interval::Hour, Interval::Minute, Interval::Second];

/// Series that are asked for at the same time.
const AT_ONCE: usize = 4;

/// Rows of a series that are read in one go.
const PAGE: u32 = 5_000;

/// Reads what is stored of this week into a book, in the given time at most; without what could not be read by then, the
/// candles that are being formed begin now.
pub async fn restore(
    store: &Store,
    status: &HistoryStatus,
    book: &mut CandleBook,
    now: DateTime<Utc>,
    within: Duration,
) {
    let deadline = Instant::now() + within;
    // What the last program has left on the disk belongs to it.
    let written = async {
        while status.spool_rows() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout_at(deadline, written).await;
    let series = book.series();
    let all = series.len();
    let asked = series.into_iter().map(|(pair, venue)| known(store, pair, venue, now));
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    let (mut restored, mut candles) = (0, 0);
    while let Ok(Some(answer)) = timeout_at(deadline, answers.next()).await {
        match answer {
            Ok(known) => {
                candles += known.len();
                for candle in &known {
                    book.restore(candle);
                }
                restored += 1;
            }
            Err(error) => {
                warn!(%error, "candles of before the start are not known: those of this time begin anew");
                return;
            }
        }
    }
    if restored < all {
        warn!(
            series = all - restored,
            "candles of before the start could not be read in time: those of this time begin anew"
        );
    }
    info!(candles, "candles go on with what is stored");
}

/// Lists what is known of a series since the week began, no two of the same time.
async fn known(
    store: &Store,
    pair: Pair,
    venue: Option<Venue>,
    now: DateTime<Utc>,
) -> Result<Vec<Candle>, StoreError> {
    let mut known: Vec<Candle> = Vec::new();
    let mut unknown = vec![Interval::Week.open_time(now)..now];
    for interval in STEPS {
        let mut left = Vec::new();
        for range in unknown {
            // Only what is over by now.
            let end = interval.open_time(range.end);
            let mut found = Vec::new();
            if range.start < end {
                let mut query = CandleQuery {
                    series: Series { pair, venue, interval },
                    from: range.start,
                    to: end,
                    descending: false,
                    limit: PAGE,
                    after: None,
                    known_by: None,
                };
                loop {
                    let page = store.list_candles(&query).await?;
                    query.after = page.last().map(|last| last.candle.open_time);
                    let more = page.len() == PAGE as usize;
                    found.extend(page.into_iter().map(|stored| stored.candle));
                    if !more {
                        break;
                    }
                }
                left.extend(gaps(&found, interval, range.start..end, Decimal::ZERO));
            }
            left.push(end.max(range.start)..range.end);
            known.extend(found.into_iter().filter(|candle| candle.state != CandleState::Gap));
        }
        left.retain(|range| range.start < range.end);
        unknown = joined(left);
    }
    Ok(known)
}
