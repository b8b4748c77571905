//! Where candles are missing, or do not cover all of their time.

use chrono::{DateTime, Utc};

use super::{
    Engine, Store, StoreError,
    candles::Series,
    moment::{Moment, Timestamp},
    statement::Statement,
};

/// In SQLite: that there is no later revision, which is looked up by the primary key.
const NEWEST: &str = "NOT EXISTS (SELECT 1 FROM candles AS later WHERE later.origin = candle.origin \
     AND later.interval = candle.interval AND later.pair = candle.pair AND later.venue = candle.venue \
     AND later.open_time = candle.open_time AND later.revision > candle.revision)";

/// A span of time, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The first moment after it.
    pub to: DateTime<Utc>,
}

impl Store {
    /// Lists the spans within a time of which a series has no candles, or such as do not cover all of their time; from the
    /// oldest, and at most so many. The ends are moved outwards to where candles open and close.
    pub async fn incomplete(
        &self,
        series: Series,
        within: Range,
        limit: u32,
    ) -> Result<Vec<Range>, StoreError> {
        let span = series.interval.span();
        let std::ops::Range { start: from, end: to } = series.interval.widened(&(within.from..within.to));
        if from >= to {
            return Ok(Vec::new());
        }
        let engine = self.engine().await?;
        let key =
            "origin = ? AND interval = ? AND pair = ? AND venue = ? AND open_time >= ? AND open_time < ?";
        let mut binds = self.series_binds(series);
        binds.extend([from.into(), to.into()]);
        // The candle before the first, and the one after the last, stand at the ends as if they were there.
        let (known, close) = match engine {
            Engine::Postgres(_) => (
                format!(
                    "SELECT open_time FROM (SELECT DISTINCT ON (open_time) open_time, coverage FROM candles WHERE {key} \
                     ORDER BY open_time DESC, revision DESC) AS newest WHERE coverage >= 1"
                ),
                "open_time + ? * interval '1 microsecond'",
            ),
            Engine::Sqlite { .. } => {
                let text = format!(
                    "SELECT open_time FROM candles AS candle WHERE {key} AND {NEWEST} AND CAST(coverage AS REAL) >= 1"
                );
                (text, "open_time + ?")
            }
        };
        let text = format!(
            "SELECT open_time, next FROM (SELECT open_time, lead(open_time, 1) OVER (ORDER BY open_time) AS next \
             FROM (SELECT open_time FROM ({known}) AS known UNION ALL SELECT ? UNION ALL SELECT ?) AS edge) AS step \
             WHERE next > {close} ORDER BY open_time LIMIT ?"
        );
        let micros = span.num_microseconds().unwrap_or_default();
        binds.extend([(from - span).into(), to.into(), micros.into(), i64::from(limit).into()]);
        let rows: Vec<(Moment, Moment)> =
            engine.load(Statement::<(Timestamp, Timestamp)>::new(text, binds)).await?;
        Ok(rows.into_iter().map(|(open, next)| Range { from: open.0 + span, to: next.0 }).collect())
    }
}
