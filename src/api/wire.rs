//! Domain values as protobuf: the encoder that the board is given, and the encoded price.
//!
//! A price is encoded once, when the board publishes it. From then on it is bytes: [`EncodedPrice`] stands in for
//! the generated message wherever the contract has a `Price`, and "encodes" by copying.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use chrono::{DateTime, Utc};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_key, skip_field},
};

use super::{pb::v1 as pb, replies::PREFIX};
use crate::{
    client::v1 as plain,
    domain::{
        decimal,
        price::{Cursor, Origin, Price, Stamp, Status, StatusReason, Value},
    },
    pipeline::{
        board::{Encoder, Update},
        message::{Message as StreamMessage, MessageKind},
    },
};

/// A `cryptoprice.v1.Price` as its wire bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct EncodedPrice(Bytes);

impl EncodedPrice {
    /// Takes bytes that are an encoded `Price`.
    pub const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Message for EncodedPrice {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    /// Collects the fields again as they come. The service only ever sends prices; this keeps the type honest where
    /// a message that contains one is decoded.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut field = Vec::from(&*self.0);
        encode_key(tag, wire_type, &mut field);
        match wire_type {
            WireType::Varint => {
                prost::encoding::encode_varint(prost::encoding::decode_varint(buffer)?, &mut field);
            }
            WireType::LengthDelimited => {
                let mut payload = Vec::<u8>::new();
                prost::encoding::bytes::merge(wire_type, &mut payload, buffer, context)?;
                prost::encoding::encode_varint(payload.len() as u64, &mut field);
                field.extend_from_slice(&payload);
            }
            // A price has no fields of other kinds.
            _ => return skip_field(wire_type, tag, buffer, context),
        }
        self.0 = field.into();
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// All there are, to find what a name stands for.
const STATUSES: [Status; 4] = [Status::Live, Status::Degraded, Status::Stale, Status::Unavailable];

/// All there are.
const REASONS: [StatusReason; 9] = [
    StatusReason::NoFreshQuotes,
    StatusReason::TooFewSources,
    StatusReason::Divergent,
    StatusReason::JumpUnconfirmed,
    StatusReason::Depegged,
    StatusReason::LegSkew,
    StatusReason::BelowPrecision,
    StatusReason::NoRoute,
    StatusReason::NotKept,
];

/// All there are.
const ORIGINS: [Origin; 3] = [Origin::Live, Origin::Replay, Origin::Simulated];

/// What the board encodes with.
pub const ENCODER: Encoder = Encoder { price: encode_price, message: encode_message };

/// Reads what [`ENCODER`] has made of a price, here or in another process; nothing where this version does not
/// understand it. Fields that it does not know stay in the bytes.
pub fn decode_price(bytes: &Bytes) -> Option<(Price, Stamp)> {
    let plain = plain::Price::decode(bytes.clone()).ok()?;
    let number = |text: &Option<String>| text.as_deref().map(decimal::parse).transpose().ok();
    let value = match number(&plain.price)? {
        None => None,
        Some(price) => Some(Value {
            price,
            bid: number(&plain.bid)?,
            ask: number(&plain.ask)?,
            dispersion_bps: number(&plain.dispersion_bps)??,
            observe_time: time(plain.observe_time)?,
            receive_time: time(plain.receive_time)?,
        }),
    };
    let price = Price {
        pair: plain.pair.parse().ok()?,
        status: STATUSES.into_iter().find(|known| status(*known) == plain.status())?,
        status_reason: match plain.status_reason() {
            plain::PriceStatusReason::Unspecified => None,
            told => Some(REASONS.into_iter().find(|known| status_reason(Some(*known)) == told)?),
        },
        value,
        source_count: plain.source_count,
        aggregate_time: time(plain.aggregate_time)?,
        route: plain.route.iter().map(|leg| leg.parse()).collect::<Result<_, _>>().ok()?,
        origin: ORIGINS.into_iter().find(|known| i32::from(origin(*known)) == plain.origin)?,
    };
    let cursor = Cursor { epoch: plain.epoch, sequence: plain.sequence };
    Some((price, Stamp { cursor, publish_time: time(plain.publish_time)? }))
}

fn time(time: Option<prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    let time = time?;
    DateTime::from_timestamp(time.seconds, time.nanos.try_into().ok()?)
}

/// Gets a published price as it stands in a message.
pub fn price(update: &Arc<Update>) -> EncodedPrice {
    EncodedPrice::new(update.encoded.clone())
}

/// Encodes a message of a stream, framed as gRPC frames it: its prices are encoded already, and are copied.
fn encode_message(message: &StreamMessage) -> Bytes {
    let response = pb::StreamPricesResponse {
        kind: match message.kind {
            MessageKind::Snapshot => pb::StreamPricesKind::Snapshot,
            MessageKind::Update => pb::StreamPricesKind::Update,
            MessageKind::Heartbeat => pb::StreamPricesKind::Heartbeat,
            MessageKind::Reset => pb::StreamPricesKind::Reset,
        }
        .into(),
        prices: message.updates.iter().map(price).collect(),
        cursor: Some(cursor(message.cursor)),
        skipped: message.skipped,
    };
    let length = response.encoded_len();
    let mut frame = Vec::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    response.encode_raw(&mut frame);
    frame.into()
}

/// Encodes a price with its place in the sequence. The board calls this once for each update.
fn encode_price(price: &Price, stamp: Stamp) -> Bytes {
    let value = price.value.as_ref();
    let text = |of: Option<rust_decimal::Decimal>| of.map(decimal::text);
    plain::Price {
        pair: price.pair.to_string(),
        price: text(value.map(|v| v.price)),
        bid: text(value.and_then(|v| v.bid)),
        ask: text(value.and_then(|v| v.ask)),
        dispersion_bps: text(value.map(|v| v.dispersion_bps)),
        status: status(price.status).into(),
        status_reason: status_reason(price.status_reason).into(),
        source_count: price.source_count,
        observe_time: value.map(|v| timestamp(v.observe_time)),
        receive_time: value.map(|v| timestamp(v.receive_time)),
        aggregate_time: Some(timestamp(price.aggregate_time)),
        publish_time: Some(timestamp(stamp.publish_time)),
        epoch: stamp.cursor.epoch,
        sequence: stamp.cursor.sequence,
        route: price.route.iter().map(ToString::to_string).collect(),
        origin: origin(price.origin).into(),
    }
    .encode_to_vec()
    .into()
}

/// Writes an instant.
pub fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.timestamp(),
        // A leap second counts on past the second, which the format does not know.
        nanos: i32::try_from(time.timestamp_subsec_nanos().min(999_999_999)).unwrap_or_default(),
    }
}

/// Writes a span.
pub fn duration(span: chrono::TimeDelta) -> prost_types::Duration {
    prost_types::Duration { seconds: span.num_seconds(), nanos: span.subsec_nanos() }
}

/// Writes a cursor.
pub fn cursor(cursor: Cursor) -> pb::Cursor {
    pb::Cursor { epoch: cursor.epoch, sequence: cursor.sequence }
}

/// Writes where a price comes from.
pub fn origin(origin: Origin) -> pb::Origin {
    match origin {
        Origin::Live => pb::Origin::Live,
        Origin::Replay => pb::Origin::Replay,
        Origin::Simulated => pb::Origin::Simulated,
    }
}

/// Writes how good a price is.
pub fn status(status: Status) -> plain::PriceStatus {
    match status {
        Status::Live => plain::PriceStatus::Live,
        Status::Degraded => plain::PriceStatus::Degraded,
        Status::Stale => plain::PriceStatus::Stale,
        Status::Unavailable => plain::PriceStatus::Unavailable,
    }
}

fn status_reason(reason: Option<StatusReason>) -> plain::PriceStatusReason {
    use plain::PriceStatusReason as Wire;
    match reason {
        None => Wire::Unspecified,
        Some(StatusReason::NoFreshQuotes) => Wire::NoFreshQuotes,
        Some(StatusReason::TooFewSources) => Wire::TooFewSources,
        Some(StatusReason::Divergent) => Wire::Divergent,
        Some(StatusReason::JumpUnconfirmed) => Wire::JumpUnconfirmed,
        Some(StatusReason::Depegged) => Wire::Depegged,
        Some(StatusReason::LegSkew) => Wire::LegSkew,
        Some(StatusReason::BelowPrecision) => Wire::BelowPrecision,
        Some(StatusReason::NoRoute) => Wire::NoRoute,
        Some(StatusReason::NotKept) => Wire::NotKept,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rust_decimal::Decimal;

    use super::*;
    use crate::domain::pair::Pair;

    #[test]
    fn a_price_that_is_encoded_reads_back_whole() {
        let now = DateTime::from_timestamp_nanos(1_700_000_000_123_456_789);
        let full = Value {
            price: Decimal::new(976_123_205_575, 7),
            bid: Some(Decimal::new(1, 28)),
            ask: Some(Decimal::from(3)),
            dispersion_bps: Decimal::ZERO,
            observe_time: now - TimeDelta::nanoseconds(1),
            receive_time: now,
        };
        let bare = Value { bid: None, ask: None, ..full };
        let values = [None, Some(full), Some(bare)];
        let stamp = Stamp { cursor: Cursor { epoch: 7, sequence: u64::MAX }, publish_time: now };
        for (at, status) in STATUSES.into_iter().enumerate() {
            for status_reason in REASONS.into_iter().map(Some).chain([None]) {
                let price = Price {
                    pair: Pair::literal("BTC", "EUR"),
                    status,
                    status_reason,
                    value: values[at % 3],
                    source_count: 5,
                    aggregate_time: now + TimeDelta::seconds(1),
                    route: vec![Pair::literal("BTC", "USD"), Pair::literal("EUR", "USD")],
                    origin: ORIGINS[at % 3],
                };
                let bytes = encode_price(&price, stamp);
                assert_eq!(decode_price(&bytes), Some((price, stamp)));
                assert_eq!(decode_price(&bytes.slice(1..)), None);
            }
        }
        assert_eq!(decode_price(&Bytes::new()), None);
    }
}
