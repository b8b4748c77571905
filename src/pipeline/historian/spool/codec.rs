//! A batch as bytes: JSON, compressed. A spool is read by the program that comes after the one that wrote it, which may be
//! another version: names are written out, and what is added later can be told from what is missing.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::batch::Batch;
use crate::{
    domain::{
        candle::{Candle, CandleMaker, CandleState, Ohlc},
        pair::Pair,
        price::{Cursor, Origin, Price, Stamp, Status, StatusReason, Value},
        venue::Venue,
    },
    feed::venues,
    store::{
        candles::StoredCandle,
        prices::{PricePoint, StoredPrice},
    },
};

/// zstd's fastest: rows of one batch are much alike.
const LEVEL: i32 = 1;

/// More than any batch takes, unpacked: what claims more is damaged.
const LARGEST: usize = 256 << 20;

/// Why bytes are not a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    #[error("it cannot be unpacked: {0}")]
    Packed(#[from] std::io::Error),
    #[error("it is not what is written here: {0}")]
    Text(#[from] serde_json::Error),
    #[error("it names `{0}`, which is not known")]
    Name(String),
}

#[derive(Serialize, Deserialize)]
struct Rows {
    candles: Vec<CandleRow>,
    prices: Vec<PriceRow>,
}

#[derive(Serialize, Deserialize)]
struct CandleRow {
    pair: String,
    venue: Option<String>,
    interval: String,
    open_time: DateTime<Utc>,
    revision: u32,
    state: CandleState,
    maker: CandleMaker,
    prices: Option<Ohlc>,
    base_volume: Decimal,
    quote_volume: Decimal,
    trade_count: u64,
    source_count: u32,
    coverage: Decimal,
    record_time: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
struct PriceRow {
    pair: String,
    status: Status,
    status_reason: Option<StatusReason>,
    value: Option<Value>,
    source_count: u32,
    aggregate_time: DateTime<Utc>,
    route: Vec<String>,
    epoch: u64,
    sequence: u64,
    publish_time: DateTime<Utc>,
    record_time: Option<DateTime<Utc>>,
}

pub(super) fn encode(batch: &Batch) -> Result<Vec<u8>, CodecError> {
    let rows = Rows {
        candles: batch.candles.iter().map(CandleRow::of).collect(),
        prices: batch.prices.iter().map(PriceRow::of).collect(),
    };
    Ok(zstd::bulk::compress(&serde_json::to_vec(&rows)?, LEVEL)?)
}

/// Reads a batch, which was appended at a time; the prices in it are of this origin.
pub(super) fn decode(bytes: &[u8], origin: Origin, appended: DateTime<Utc>) -> Result<Batch, CodecError> {
    let mut text = Vec::new();
    let reader = zstd::stream::read::Decoder::new(bytes)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(reader, LARGEST as u64), &mut text)?;
    let rows: Rows = serde_json::from_slice(&text)?;
    Ok(Batch {
        candles: rows.candles.into_iter().map(|row| row.read(appended)).collect::<Result<_, _>>()?,
        prices: rows.prices.into_iter().map(|row| row.read(origin, appended)).collect::<Result<_, _>>()?,
    })
}

impl CandleRow {
    fn of(StoredCandle { candle, record_time }: &StoredCandle) -> Self {
        Self {
            pair: candle.pair.to_string(),
            venue: candle.venue.map(|venue| venue.as_str().to_owned()),
            interval: candle.interval.as_str().to_owned(),
            open_time: candle.open_time,
            revision: candle.revision,
            state: candle.state,
            maker: candle.maker,
            prices: candle.prices,
            base_volume: candle.base_volume,
            quote_volume: candle.quote_volume,
            trade_count: candle.trade_count,
            source_count: candle.source_count,
            coverage: candle.coverage,
            record_time: Some(*record_time),
        }
    }

    fn read(self, appended: DateTime<Utc>) -> Result<StoredCandle, CodecError> {
        // The version before did not note it.
        let record_time = self.record_time.unwrap_or(appended);
        let candle = Candle {
            pair: pair(&self.pair)?,
            venue: self.venue.as_deref().map(venue).transpose()?,
            interval: self.interval.parse().map_err(|_| CodecError::Name(self.interval.clone()))?,
            open_time: self.open_time,
            revision: self.revision,
            state: self.state,
            maker: self.maker,
            prices: self.prices,
            base_volume: self.base_volume,
            quote_volume: self.quote_volume,
            trade_count: self.trade_count,
            source_count: self.source_count,
            coverage: self.coverage,
        };
        Ok(StoredCandle { candle, record_time })
    }
}

impl PriceRow {
    fn of(StoredPrice { point: PricePoint { price, stamp }, record_time }: &StoredPrice) -> Self {
        Self {
            pair: price.pair.to_string(),
            status: price.status,
            status_reason: price.status_reason,
            value: price.value,
            source_count: price.source_count,
            aggregate_time: price.aggregate_time,
            route: price.route.iter().map(Pair::to_string).collect(),
            epoch: stamp.cursor.epoch,
            sequence: stamp.cursor.sequence,
            publish_time: stamp.publish_time,
            record_time: Some(*record_time),
        }
    }

    fn read(self, origin: Origin, appended: DateTime<Utc>) -> Result<StoredPrice, CodecError> {
        let record_time = self.record_time.unwrap_or(appended);
        let price = Price {
            pair: pair(&self.pair)?,
            status: self.status,
            status_reason: self.status_reason,
            value: self.value,
            source_count: self.source_count,
            aggregate_time: self.aggregate_time,
            route: self.route.iter().map(|text| pair(text)).collect::<Result<_, _>>()?,
            origin,
        };
        let cursor = Cursor { epoch: self.epoch, sequence: self.sequence };
        let stamp = Stamp { cursor, publish_time: self.publish_time };
        Ok(StoredPrice { point: PricePoint { price, stamp }, record_time })
    }
}

fn pair(text: &str) -> Result<Pair, CodecError> {
    Pair::split_at(text, '-').map_err(|_| CodecError::Name(text.to_owned()))
}

fn venue(name: &str) -> Result<Venue, CodecError> {
    let protocol = venues::by_name(name).ok_or_else(|| CodecError::Name(name.to_owned()))?;
    Ok(protocol.venue())
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::batch::sample::{candles, known, point, rows},
        *,
    };
    use crate::domain::candle::CandleState;

    #[test]
    fn a_batch_is_read_back_to_the_last_digit() {
        let mut batch = Batch { candles: rows(candles(0..5)), prices: vec![point(1), point(2)] };
        batch.candles[1].candle.state = CandleState::Gap;
        batch.candles[1].candle.prices = None;
        batch.candles[2].candle.base_volume = "79228162514264337593543950.335".parse().unwrap();
        batch.prices[1].point.price.value = None;
        let appended = known() + chrono::TimeDelta::hours(1);
        assert_eq!(decode(&encode(&batch).unwrap(), Origin::Live, appended).unwrap(), batch);
    }

    #[test]
    fn rows_of_the_version_before_are_known_since_they_were_appended() {
        let batch = Batch { candles: rows(candles(0..1)), prices: vec![point(1)] };
        let text = zstd::stream::decode_all(&encode(&batch).unwrap()[..]).unwrap();
        let mut old: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for kind in ["candles", "prices"] {
            old[kind][0].as_object_mut().unwrap().remove("record_time").unwrap();
        }
        let bytes = zstd::bulk::compress(old.to_string().as_bytes(), LEVEL).unwrap();
        let appended = known() + chrono::TimeDelta::hours(1);
        let read = decode(&bytes, Origin::Live, appended).unwrap();
        assert_eq!((read.candles[0].record_time, read.prices[0].record_time), (appended, appended));
        assert_eq!(read.candles[0].candle, batch.candles[0].candle);
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let packed = |text: &str| zstd::bulk::compress(text.as_bytes(), LEVEL).unwrap();
        for bytes in
            [Vec::new(), b"nonsense".to_vec(), packed("{}"), packed(r#"{"candles":[1],"prices":[]}"#)]
        {
            assert!(decode(&bytes, Origin::Live, known()).is_err(), "{bytes:?}");
        }
    }
}
