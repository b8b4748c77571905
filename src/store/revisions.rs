//! Candles that somebody tells, numbered where they are written.
//!
//! Several may speak of one candle: whoever listens, each of several replicas, a venue that was asked, whoever makes longer
//! ones. None knows what the others have said; the store does. So it looks, lets [`news`](crate::domain::candle::news) judge,
//! and writes the next revision. Nothing is locked meanwhile: where another was faster, the row is there already, and
//! what is left is judged again.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;

use super::{
    Engine, Store, StoreError,
    candles::{COLUMNS, Columns, Row, Series, StoredCandle, venue_text},
    moment::Moment,
    statement::{Bind, Statement},
};
use crate::domain::candle::{
    Candle, CandleState, Interval,
    news::{Teller, news},
};

/// Candles that are looked up in one go.
const LOOKED_UP: usize = 5_000;

/// One candle, whatever is said of it.
type Key = (Series, DateTime<Utc>);

/// All that was said of some candles, in the order of revisions.
type Known = BTreeMap<Key, Vec<Candle>>;

impl Store {
    /// Writes what one who listens has to say of candles, each with the time when it was known. Counts the rows.
    ///
    /// What is written is [news](news()) beside what is there, as its next revision, whatever number the candle brings: so
    /// saying something twice changes nothing. FORMING candles are refused, all others with them.
    pub async fn keep_candles(&self, told: &[StoredCandle]) -> Result<u64, StoreError> {
        refuse_forming(told.iter().map(|told| &told.candle))?;
        // Nearly all are told for the first time, of which nothing has to be looked up.
        let first: Vec<_> = told.iter().filter(|told| told.candle.revision == 0).collect();
        let rows = first.iter().map(|told| (&told.candle, told.record_time)).collect();
        let written = self.insert_candles(rows).await?;
        let all_new = written == first.len() as u64;
        let rest: Vec<_> = told.iter().filter(|told| !all_new || told.candle.revision > 0).cloned().collect();
        Ok(written + self.revise(rest, Teller::Listener).await?.len() as u64)
    }

    /// Writes what is [news](news()) of candles that were made or asked for, as the next revision of what is there, and
    /// gives it. FORMING candles are refused, all others with them.
    pub async fn revise_candles(
        &self,
        told: &[Candle],
        teller: Teller,
        record_time: DateTime<Utc>,
    ) -> Result<Vec<Candle>, StoreError> {
        refuse_forming(told)?;
        let told = told.iter().map(|candle| StoredCandle { candle: candle.clone(), record_time }).collect();
        self.revise(told, teller).await
    }

    async fn revise(&self, told: Vec<StoredCandle>, teller: Teller) -> Result<Vec<Candle>, StoreError> {
        let mut written = Vec::new();
        for told in told.chunks(LOOKED_UP) {
            loop {
                let mut known = self.known(told.iter().map(|told| key(&told.candle))).await?;
                let mut rows = Vec::new();
                for StoredCandle { candle, record_time } in told {
                    let known = known.entry(key(candle)).or_default();
                    if let Some(candle) = news(known, candle, teller) {
                        known.push(candle.clone());
                        rows.push((candle, *record_time));
                    }
                }
                let inserted =
                    self.insert_candles(rows.iter().map(|(candle, time)| (candle, *time)).collect()).await?;
                if inserted == rows.len() as u64 {
                    written.extend(rows.into_iter().map(|(candle, _)| candle));
                    break;
                }
                // Which it was that another was faster with is not known: all is judged again.
            }
        }
        Ok(written)
    }

    /// Looks up all that was said of some candles.
    async fn known(&self, keys: impl Iterator<Item = Key>) -> Result<Known, StoreError> {
        let mut by_interval: BTreeMap<Interval, Vec<Key>> = BTreeMap::new();
        let mut known: Known = keys.map(|key| (key, Vec::new())).collect();
        for key in known.keys() {
            by_interval.entry(key.0.interval).or_default().push(*key);
        }
        for (interval, keys) in by_interval {
            for (at, row) in self.rows_of(interval, &keys).await? {
                let key = usize::try_from(at).ok().and_then(|at| keys.get(at));
                if let Some((key, known)) = key.and_then(|key| Some((key, known.get_mut(key)?))) {
                    known.push(row.read(key.0)?.candle);
                }
            }
        }
        Ok(known)
    }

    /// Selects rows, each with the place of what was asked for, counted from 0, in the order of revisions.
    async fn rows_of(&self, interval: Interval, keys: &[Key]) -> Result<Vec<(i64, Row)>, StoreError> {
        let engine = self.engine().await?;
        if let Engine::Sqlite { read, .. } = engine {
            let text = format!(
                "SELECT {COLUMNS} FROM candles WHERE origin = ? AND interval = ? AND pair = ? AND venue = ? \
                 AND open_time = ? ORDER BY revision"
            );
            let binds: Vec<_> = keys
                .iter()
                .map(|(series, open)| {
                    self.series_binds(*series).into_iter().chain([(*open).into()]).collect::<Vec<_>>()
                })
                .collect();
            return read
                .run(move |connection| {
                    let mut rows = Vec::new();
                    for (at, binds) in (0..).zip(binds) {
                        let statement = Statement::<Columns>::new(text.clone(), binds);
                        let found: Vec<Row> = diesel::RunQueryDsl::load(statement, connection)?;
                        rows.extend(found.into_iter().map(|row| (at, row)));
                    }
                    Ok(rows)
                })
                .await;
        }
        let opens = || keys.iter().map(|(_, open)| *open);
        let (Some(first), Some(last)) = (opens().min(), opens().max()) else { return Ok(Vec::new()) };
        // The bounds tell which partitions have to be looked into.
        let text = format!(
            "SELECT asked.place - 1, found.* FROM unnest(?, ?, ?) WITH ORDINALITY AS asked (pair, venue, time, place) \
             CROSS JOIN LATERAL (SELECT {COLUMNS} FROM candles WHERE origin = ? AND interval = ? AND open_time >= ? \
             AND open_time <= ? AND pair = asked.pair AND venue = asked.venue AND open_time = asked.time) AS found \
             ORDER BY asked.place, found.revision"
        );
        let binds = vec![
            Bind::Texts(keys.iter().map(|(series, _)| series.pair.to_string()).collect()),
            Bind::Texts(keys.iter().map(|(series, _)| venue_text(series.venue).to_owned()).collect()),
            Bind::Times(opens().map(Moment).collect()),
            self.origin_bind(),
            interval.as_str().into(),
            first.into(),
            last.into(),
        ];
        engine.load(Statement::<(BigInt, Columns)>::new(text, binds)).await
    }
}

fn key(candle: &Candle) -> Key {
    (Series::of(candle), candle.open_time)
}

/// Refuses candles of which one is still to change.
pub(super) fn refuse_forming<'a>(candles: impl IntoIterator<Item = &'a Candle>) -> Result<(), StoreError> {
    match candles.into_iter().find(|candle| candle.state == CandleState::Forming) {
        None => Ok(()),
        Some(Candle { pair, interval, open_time, .. }) => Err(StoreError::Refused {
            what: format!("the candle {pair} {interval} {open_time}, which is forming"),
        }),
    }
}
