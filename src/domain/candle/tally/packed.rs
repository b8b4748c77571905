//! Tallies as few bytes, for the many that are closed and seldom change.
//!
//! A byte of flags says what follows from the rest and is left out. Numbers are written seven bits a byte, the low ones first,
//! and those with a sign as twice their size, less one where they are negative. Nobody else reads this: it stays in memory.

use chrono::{DateTime, Utc};
use num_bigint::BigInt;
use rust_decimal::Decimal;

use super::{Mark, Tally};
use crate::domain::{
    candle::{
        CandleMaker,
        sum::{Sum, Units},
        trade_id::{Text, TradeId},
    },
    venue::Venue,
};

/// A venue added up.
const VENUE: u8 = 1;
/// First and last are the same.
const SAME: u8 = 2;
/// The highest price is the first or the last.
const HIGH: u8 = 4;
/// The lowest price is.
const LOW: u8 = 8;
/// The venue of the first trade is all that traded.
const ALONE: u8 = 16;

/// Packs a tally. Venues are written as their places in a list, which grows by those that it lacks; times as what they are from
/// a moment on.
pub(in super::super) fn pack(tally: &Tally, from: DateTime<Utc>, venues: &mut Vec<Venue>) -> Box<[u8]> {
    let (first, last) = (&tally.first, &tally.last);
    let flags = [
        (VENUE, tally.maker == CandleMaker::Venue),
        (SAME, first == last),
        (HIGH, tally.high == first.1.max(last.1)),
        (LOW, tally.low == first.1.min(last.1)),
        (ALONE, tally.venues.as_slice() == [first.0.venue]),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set).fold(0, |flags, (flag, _)| flags | flag);
    let mut out = Out { bytes: vec![flags], from, venues };
    out.edge(first);
    if flags & SAME == 0 {
        out.edge(last);
    }
    if flags & HIGH == 0 {
        out.decimal(tally.high);
    }
    if flags & LOW == 0 {
        out.decimal(tally.low);
    }
    out.sum(&tally.base);
    out.sum(&tally.quote);
    out.number(tally.trade_count.into());
    out.number(tally.unnamed_venues.into());
    if flags & ALONE == 0 {
        out.number(tally.venues.len() as u128);
        tally.venues.iter().for_each(|venue| out.venue(*venue));
    }
    out.bytes.into()
}

/// Unpacks what was [packed](pack) with that list and that moment.
pub(in super::super) fn unpack(bytes: &[u8], from: DateTime<Utc>, venues: &[Venue]) -> Option<Tally> {
    let mut read = In { bytes, from, venues };
    let flags = read.byte()?;
    let first = read.edge()?;
    let last = if flags & SAME == 0 { read.edge()? } else { first.clone() };
    let high = if flags & HIGH == 0 { read.decimal()? } else { first.1.max(last.1) };
    let low = if flags & LOW == 0 { read.decimal()? } else { first.1.min(last.1) };
    let (base, quote) = (read.sum()?, read.sum()?);
    let trade_count = read.small()?;
    let unnamed_venues = read.small()?;
    let venues = if flags & ALONE == 0 {
        (0..read.small::<usize>()?).map(|_| read.venue()).collect::<Option<_>>()?
    } else {
        [first.0.venue].into_iter().collect()
    };
    let maker = if flags & VENUE == 0 { CandleMaker::Service } else { CandleMaker::Venue };
    Some(Tally { first, last, high, low, base, quote, trade_count, venues, unnamed_venues, maker })
}

struct Out<'a> {
    bytes: Vec<u8>,
    from: DateTime<Utc>,
    venues: &'a mut Vec<Venue>,
}

impl Out<'_> {
    fn number(&mut self, mut number: u128) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.bytes.push(low & 127);
            }
            self.bytes.push(low | 128);
        }
    }

    fn signed(&mut self, number: i128) {
        self.number((number << 1 ^ number >> 127).cast_unsigned());
    }

    fn text(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u128);
        self.bytes.extend(bytes);
    }

    fn decimal(&mut self, decimal: Decimal) {
        self.number(decimal.scale().into());
        self.signed(decimal.mantissa());
    }

    fn sum(&mut self, sum: &Sum) {
        match &sum.units {
            Units::Small(units) => {
                self.number((sum.scale * 2).into());
                self.signed(*units);
            }
            Units::Large(units) => {
                self.number((sum.scale * 2 + 1).into());
                self.text(&units.to_signed_bytes_le());
            }
        }
    }

    fn venue(&mut self, venue: Venue) {
        let place = self.venues.iter().position(|known| *known == venue);
        self.number(place.unwrap_or(self.venues.len()) as u128);
        if place.is_none() {
            self.venues.push(venue);
        }
    }

    fn edge(&mut self, (Mark { time, venue, id }, price): &(Mark, Decimal)) {
        self.signed((time.timestamp() - self.from.timestamp()).into());
        self.number(time.timestamp_subsec_nanos().into());
        self.venue(*venue);
        match id {
            TradeId::Number(value, digits) => {
                self.bytes.extend([0, *digits]);
                self.number(u128::from_be_bytes(*value));
            }
            TradeId::Text(Text::Uuid(bytes)) => {
                self.bytes.push(1);
                self.bytes.extend(bytes);
            }
            TradeId::Text(Text::Other(text)) => {
                self.bytes.push(2);
                self.text(text.as_bytes());
            }
            TradeId::Unnamed(number) => {
                self.bytes.push(3);
                self.number((*number).into());
            }
        }
        self.decimal(*price);
    }
}

struct In<'a> {
    bytes: &'a [u8],
    from: DateTime<Utc>,
    venues: &'a [Venue],
}

impl<'a> In<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u128> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            number |= u128::from(byte & 127).checked_shl(shift)?;
            if byte < 128 {
                return Some(number);
            }
            shift += 7;
        }
    }

    fn small<T: TryFrom<u128>>(&mut self) -> Option<T> {
        self.number()?.try_into().ok()
    }

    fn signed(&mut self) -> Option<i128> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.small()?;
        self.bytes(length)
    }

    fn decimal(&mut self) -> Option<Decimal> {
        let scale = self.small()?;
        Decimal::try_from_i128_with_scale(self.signed()?, scale).ok()
    }

    fn sum(&mut self) -> Option<Sum> {
        let scale: u32 = self.small()?;
        let units = if scale.is_multiple_of(2) {
            Units::Small(self.signed()?)
        } else {
            Units::Large(BigInt::from_signed_bytes_le(self.text()?))
        };
        Some(Sum { units, scale: scale / 2 })
    }

    fn venue(&mut self) -> Option<Venue> {
        let place: usize = self.small()?;
        self.venues.get(place).copied()
    }

    fn edge(&mut self) -> Option<(Mark, Decimal)> {
        let seconds = i64::try_from(self.signed()?).ok()?;
        let time = DateTime::from_timestamp(self.from.timestamp().checked_add(seconds)?, self.small()?)?;
        let venue = self.venue()?;
        let id = match self.byte()? {
            0 => {
                let digits = self.byte()?;
                TradeId::Number(self.number()?.to_be_bytes(), digits)
            }
            1 => TradeId::Text(Text::Uuid(self.bytes(16)?.try_into().ok()?)),
            2 => TradeId::Text(Text::Other(str::from_utf8(self.text()?).ok()?.into())),
            _ => TradeId::Unnamed(self.small()?),
        };
        Some((Mark { time, venue, id }, self.decimal()?))
    }
}

#[cfg(test)]
mod tests;
