//! Prices as they were published.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::{
    Queryable,
    result::DatabaseErrorKind,
    sql_types::{BigInt, Integer, Nullable, Text},
};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};

use super::{
    Engine, Store, StoreError,
    moment::{Moment, Timestamp},
    number::{Number, Numeric},
    partitions::Table,
    pool::Lines,
    statement::{Bind, Statement},
    words::{name, named, natural, whole},
};
use crate::domain::{
    pair::Pair,
    price::{Cursor, Price, Stamp, Status, StatusReason, Value},
};

/// A price with its place among all updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricePoint {
    /// The price.
    pub price: Price,
    /// Where the board put it, and when.
    pub stamp: Stamp,
}

/// A price, and when it was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPrice {
    /// The price.
    pub point: PricePoint,
    /// When it was known to whoever wrote it, to the microsecond.
    pub record_time: DateTime<Utc>,
}

/// The columns of a row but for its key's origin and pair, in the order of [`COLUMNS`].
type Columns = (
    Timestamp,
    BigInt,
    BigInt,
    Timestamp,
    Text,
    Nullable<Text>,
    Nullable<Numeric>,
    Nullable<Numeric>,
    Nullable<Numeric>,
    Nullable<Numeric>,
    Nullable<Timestamp>,
    Nullable<Timestamp>,
    Integer,
    Text,
    Timestamp,
);

const COLUMNS: &str = "aggregate_time, epoch, sequence, publish_time, status, status_reason, price, bid, ask, \
     dispersion_bps, observe_time, receive_time, source_count, route, record_time";

/// A row but for origin and pair.
#[derive(Queryable)]
struct Row {
    aggregate_time: Moment,
    epoch: i64,
    sequence: i64,
    publish_time: Moment,
    status: String,
    status_reason: Option<String>,
    price: Option<Number>,
    bid: Option<Number>,
    ask: Option<Number>,
    dispersion_bps: Option<Number>,
    observe_time: Option<Moment>,
    receive_time: Option<Moment>,
    source_count: i32,
    route: String,
    record_time: Moment,
}

impl Store {
    /// Writes prices, and counts those that were not there. What was written once stays as it is.
    pub async fn write_prices(
        &self,
        points: &[PricePoint],
        record_time: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.insert_prices(points.iter().map(|point| (point, record_time)).collect()).await
    }

    /// Does the same with prices that were known at times of their own.
    pub async fn keep_prices(&self, prices: &[StoredPrice]) -> Result<u64, StoreError> {
        self.insert_prices(prices.iter().map(|price| (&price.point, price.record_time)).collect()).await
    }

    async fn insert_prices(&self, prices: Vec<(&PricePoint, DateTime<Utc>)>) -> Result<u64, StoreError> {
        if let Some((point, _)) = prices.iter().find(|(point, _)| point.price.origin != self.origin) {
            return Err(StoreError::Refused {
                what: format!("a price of {} of another origin", point.price.pair),
            });
        }
        let engine = self.engine().await?;
        let rows = || {
            let binds = prices.iter().map(|(point, time)| self.price_binds(point, *time));
            binds.collect::<Result<Vec<_>, _>>()
        };
        let lines = match engine {
            Engine::Sqlite { write, .. } => return write.insert("prices", rows()?).await,
            Engine::Postgres(lines) => lines,
        };
        let leaves: BTreeSet<_> =
            prices.iter().map(|(point, _)| Table::Prices.leaf(point.price.aggregate_time)).collect();
        let leaves: Vec<_> = leaves.into_iter().collect();
        self.ensure(lines, leaves.clone()).await?;
        match insert(lines, rows()?).await {
            // The leaves that were known to be there have been dropped by another.
            Err(StoreError::Query {
                source: diesel::result::Error::DatabaseError(DatabaseErrorKind::CheckViolation, _),
                ..
            }) => {
                self.forget_leaves();
                self.ensure(lines, leaves).await?;
                insert(lines, rows()?).await
            }
            result => result,
        }
    }

    /// Gets the last price of a pair that was computed at or before a time, as it was known at `known_by`, or is known now
    /// if that is `None`. How old it is, is for the caller to judge.
    pub async fn price_at(
        &self,
        pair: Pair,
        time: DateTime<Utc>,
        known_by: Option<DateTime<Utc>>,
    ) -> Result<Option<StoredPrice>, StoreError> {
        Ok(self.prices_at(&[(pair, time)], known_by).await?.pop().flatten())
    }

    /// Gets the same for many pairs and times at once, in the order in which they were given.
    pub async fn prices_at(
        &self,
        asked: &[(Pair, DateTime<Utc>)],
        known_by: Option<DateTime<Utc>>,
    ) -> Result<Vec<Option<StoredPrice>>, StoreError> {
        let known_by = known_by.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut found = vec![None; asked.len()];
        for (at, row) in self.rows_at(asked, known_by).await? {
            let place = usize::try_from(at).ok().and_then(|at| Some((asked.get(at)?.0, found.get_mut(at)?)));
            if let Some((pair, place)) = place {
                *place = Some(self.read(pair, row)?);
            }
        }
        Ok(found)
    }

    /// Selects rows, each with the place of what was asked for, counted from 0.
    async fn rows_at(
        &self,
        asked: &[(Pair, DateTime<Utc>)],
        known_by: DateTime<Utc>,
    ) -> Result<Vec<(i64, Row)>, StoreError> {
        const LAST: &str = "record_time <= ? ORDER BY aggregate_time DESC, epoch DESC, sequence DESC LIMIT 1";
        let engine = self.engine().await?;
        if let Engine::Sqlite { read, .. } = engine {
            let text = format!(
                "SELECT {COLUMNS} FROM prices WHERE origin = ? AND pair = ? AND aggregate_time <= ? AND {LAST}"
            );
            let binds: Vec<_> = asked
                .iter()
                .map(|(pair, time)| {
                    vec![self.origin_bind(), pair.to_string().into(), (*time).into(), known_by.into()]
                })
                .collect();
            return read
                .run(move |connection| {
                    let mut rows = Vec::new();
                    for (at, binds) in (0..).zip(binds) {
                        let statement = Statement::<Columns>::new(text.clone(), binds);
                        let row: Vec<Row> = diesel::RunQueryDsl::load(statement, connection)?;
                        rows.extend(row.into_iter().map(|row| (at, row)));
                    }
                    Ok(rows)
                })
                .await;
        }
        let text = format!(
            "SELECT asked.place - 1, found.* FROM unnest(?, ?) WITH ORDINALITY AS asked (pair, time, place) \
             CROSS JOIN LATERAL (SELECT {COLUMNS} FROM prices WHERE origin = ? AND pair = asked.pair \
             AND aggregate_time <= asked.time AND {LAST}) AS found"
        );
        let pairs = asked.iter().map(|(pair, _)| pair.to_string()).collect();
        let times = asked.iter().map(|(_, time)| Moment(*time)).collect();
        let binds = vec![Bind::Texts(pairs), Bind::Times(times), self.origin_bind(), known_by.into()];
        engine.load(Statement::<(BigInt, Columns)>::new(text, binds)).await
    }

    fn price_binds(&self, point: &PricePoint, record_time: DateTime<Utc>) -> Result<Vec<Bind>, StoreError> {
        let PricePoint { price, stamp } = point;
        let value = price.value;
        let route: Vec<_> = price.route.iter().map(Pair::to_string).collect();
        Ok(vec![
            self.origin_bind(),
            price.pair.to_string().into(),
            price.aggregate_time.into(),
            whole::<_, i64>("epoch", stamp.cursor.epoch)?.into(),
            whole::<_, i64>("sequence", stamp.cursor.sequence)?.into(),
            stamp.publish_time.into(),
            name(&STATUSES, price.status).into(),
            Bind::OptionalText(price.status_reason.map(|reason| name(&REASONS, reason))),
            value.map(|value| value.price).into(),
            value.and_then(|value| value.bid).into(),
            value.and_then(|value| value.ask).into(),
            value.map(|value| value.dispersion_bps).into(),
            Bind::OptionalTime(value.map(|value| Moment(value.observe_time))),
            Bind::OptionalTime(value.map(|value| Moment(value.receive_time))),
            whole::<_, i32>("source_count", price.source_count)?.into(),
            route.join(",").into(),
            record_time.into(),
        ])
    }

    fn read(&self, pair: Pair, row: Row) -> Result<StoredPrice, StoreError> {
        let value = match (row.price, row.dispersion_bps, row.observe_time, row.receive_time) {
            (Some(price), Some(dispersion_bps), Some(observe_time), Some(receive_time)) => Some(Value {
                price: price.0,
                bid: row.bid.map(|bid| bid.0),
                ask: row.ask.map(|ask| ask.0),
                dispersion_bps: dispersion_bps.0,
                observe_time: observe_time.0,
                receive_time: receive_time.0,
            }),
            _ => None,
        };
        let price = Price {
            pair,
            status: named(&STATUSES, "prices.status", &row.status)?,
            status_reason: row
                .status_reason
                .map(|reason| named(&REASONS, "prices.status_reason", &reason))
                .transpose()?,
            value,
            source_count: natural("source_count", row.source_count)?,
            aggregate_time: row.aggregate_time.0,
            route: route(&row.route)?,
            origin: self.origin,
        };
        let cursor =
            Cursor { epoch: natural("epoch", row.epoch)?, sequence: natural("sequence", row.sequence)? };
        let stamp = Stamp { cursor, publish_time: row.publish_time.0 };
        Ok(StoredPrice { point: PricePoint { price, stamp }, record_time: row.record_time.0 })
    }
}

async fn insert(lines: &Lines<AsyncPgConnection>, rows: Vec<Vec<Bind>>) -> Result<u64, StoreError> {
    let mut connection = lines.get().await?;
    let inserting = connection.transaction(async |connection| {
        let mut written = 0;
        for statement in Statement::insert("prices", rows) {
            written += diesel_async::RunQueryDsl::execute(statement, connection).await?;
        }
        Ok(written)
    });
    let written = lines.bounded(inserting).await?;
    Ok(u64::try_from(written).unwrap_or(u64::MAX))
}

fn route(text: &str) -> Result<Vec<Pair>, StoreError> {
    let unreadable =
        || StoreError::Unreadable { column: "prices.route", value: text.chars().take(40).collect() };
    text.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| Pair::split_at(pair, '-').map_err(|_| unreadable()))
        .collect()
}

const STATUSES: [(Status, &str); 4] = [
    (Status::Live, "LIVE"),
    (Status::Degraded, "DEGRADED"),
    (Status::Stale, "STALE"),
    (Status::Unavailable, "UNAVAILABLE"),
];

const REASONS: [(StatusReason, &str); 9] = [
    (StatusReason::NoFreshQuotes, "NO_FRESH_QUOTES"),
    (StatusReason::TooFewSources, "TOO_FEW_SOURCES"),
    (StatusReason::Divergent, "DIVERGENT"),
    (StatusReason::JumpUnconfirmed, "JUMP_UNCONFIRMED"),
    (StatusReason::Depegged, "DEPEGGED"),
    (StatusReason::LegSkew, "LEG_SKEW"),
    (StatusReason::BelowPrecision, "BELOW_PRECISION"),
    (StatusReason::NoRoute, "NO_ROUTE"),
    (StatusReason::NotKept, "NOT_KEPT"),
];
