//! The smallest parts of what is mirrored: numbers without leading zeros, texts with their lengths.
//!
//! Whole numbers are written seven bits to a byte, the lowest first, the eighth bit saying that more follows; signed
//! ones alternate (0, -1, 1, -2, …). A decimal is its scale, with the sign in the eighth bit, and its digits. A time is
//! its distance in nanoseconds from another that both sides know.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use crate::domain::pair::{Asset, Pair};

/// The eighth bit of a byte.
const HIGH: u8 = 0x80;

/// What is being written.
#[derive(Debug, Default)]
pub(super) struct Sink {
    bytes: Vec<u8>,
    /// What times are told from.
    time: DateTime<Utc>,
}

/// What is being read. Everything is nothing once something was not understood.
#[derive(Debug)]
pub(super) struct Source<'a> {
    rest: &'a [u8],
    time: DateTime<Utc>,
}

impl Sink {
    /// Begins with the time from which the others are told.
    pub(super) fn at(time: DateTime<Utc>) -> Self {
        let mut sink = Self::default();
        sink.time(time);
        sink.time = time;
        sink
    }

    pub(super) fn into_bytes(self) -> bytes::Bytes {
        self.bytes.into()
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn number(&mut self, number: impl Into<u128>) {
        let mut rest = number.into();
        // What is wider than a word is rare, and dear.
        while u64::try_from(rest).is_err() {
            self.byte(low_bits(rest) | HIGH);
            rest >>= 7;
        }
        let Ok(mut rest) = u64::try_from(rest) else { return };
        while rest >= u64::from(HIGH) {
            self.byte(low_bits(rest.into()) | HIGH);
            rest >>= 7;
        }
        self.byte(low_bits(rest.into()));
    }

    pub(super) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(super) fn float(&mut self, float: f64) {
        self.bytes.extend_from_slice(&float.to_bits().to_be_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn pair(&mut self, pair: Pair) {
        self.text(pair.base.as_str());
        self.text(pair.quote.as_str());
    }

    pub(super) fn decimal(&mut self, decimal: Decimal) {
        // At most 28.
        let scale = u8::try_from(decimal.scale()).unwrap_or(HIGH - 1);
        self.byte(if decimal.is_sign_negative() { scale | HIGH } else { scale });
        self.number(decimal.mantissa().unsigned_abs());
    }

    pub(super) fn span(&mut self, span: TimeDelta) {
        let nanos = i128::from(span.num_seconds()) * 1_000_000_000 + i128::from(span.subsec_nanos());
        let zigzag = (nanos << 1) ^ (nanos >> 127);
        self.number(zigzag.cast_unsigned());
    }

    pub(super) fn time(&mut self, time: DateTime<Utc>) {
        self.span(time - self.time);
    }

    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.byte(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn list<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.count(values.len());
        values.for_each(|value| write(self, value));
    }
}

impl<'a> Source<'a> {
    /// Begins with the time from which the others are told.
    pub(super) fn open(bytes: &'a [u8]) -> Option<(Self, DateTime<Utc>)> {
        let mut source = Self { rest: bytes, time: DateTime::default() };
        let time = source.time()?;
        source.time = time;
        Some((source, time))
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn wide(&mut self) -> Option<u128> {
        let mut number = 0;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u128::from(byte & !HIGH) << shift;
            if byte & HIGH == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.wide()?.try_into().ok()
    }

    pub(super) fn count(&mut self) -> Option<usize> {
        self.wide()?.try_into().ok()
    }

    pub(super) fn float(&mut self) -> Option<f64> {
        let (float, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(f64::from_bits(u64::from_be_bytes(*float)))
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        str::from_utf8(text).ok()
    }

    pub(super) fn pair(&mut self) -> Option<Pair> {
        let (base, quote) = (self.text()?, self.text()?);
        Some(Pair::new(Asset::raw(base).ok()?, Asset::raw(quote).ok()?))
    }

    pub(super) fn decimal(&mut self) -> Option<Decimal> {
        let scale = self.byte()?;
        let digits = i128::try_from(self.wide()?).ok()?;
        let mut decimal = Decimal::try_from_i128_with_scale(digits, (scale & !HIGH).into()).ok()?;
        decimal.set_sign_negative(scale & HIGH != 0);
        Some(decimal)
    }

    pub(super) fn span(&mut self) -> Option<TimeDelta> {
        let zigzag = self.wide()?;
        let nanos = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
        let (seconds, nanos) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
        TimeDelta::new(seconds.try_into().ok()?, nanos.try_into().ok()?)
    }

    pub(super) fn time(&mut self) -> Option<DateTime<Utc>> {
        let span = self.span()?;
        self.time.checked_add_signed(span)
    }

    /// Reads what may be missing: nothing where it is not understood, `Some(None)` where it is missing.
    #[expect(clippy::option_option, reason = "as its line says")]
    pub(super) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    pub(super) fn list<T, C: FromIterator<T>>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<C> {
        let count = self.count()?;
        (0..count).map(|_| read(self)).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the rest is cut off on purpose")]
const fn low_bits(number: u128) -> u8 {
    number as u8 & !HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_nothing_else_does_harm(
            numbers: Vec<u64>,
            digits: i64,
            scale in 0_u32..=28,
            text: String,
            nanos: i64,
            float: f64,
            cut in 0_usize..200,
            junk: Vec<u8>,
        ) {
            let (start, span) = (DateTime::from_timestamp_nanos(nanos), TimeDelta::nanoseconds(nanos / 2));
            let decimal = Decimal::new(digits, scale);
            let mut sink = Sink::at(start);
            sink.list(numbers.iter(), |sink, number| sink.number(*number));
            sink.decimal(decimal);
            sink.text(&text);
            sink.time(start - span);
            sink.span(span);
            sink.float(float);
            sink.optional(Some(scale), Sink::number);
            sink.optional(None::<u32>, Sink::number);
            let bytes = sink.into_bytes();
            let read = |bytes: &[u8]| {
                let (mut source, time) = Source::open(bytes)?;
                let numbers: Vec<u64> = source.list(Source::number)?;
                let decimal = source.decimal()?;
                let text = source.text()?.to_owned();
                let times = (time, source.time()?, source.span()?);
                let float = source.float()?;
                let optional = (source.optional(Source::number)?, source.optional(Source::number)?);
                Some((numbers, decimal, decimal.scale(), text, times, float.to_bits(), optional))
            };
            let times = (start, start - span, span);
            let optional = (Some(u64::from(scale)), None);
            let expected = (numbers, decimal, scale, text, times, float.to_bits(), optional);
            prop_assert_eq!(read(&bytes), Some(expected));
            if cut > 0 {
                let cut = bytes.get(..bytes.len().saturating_sub(cut)).unwrap();
                prop_assert_eq!(read(cut), None);
            }
            read(&junk);
        }
    }

    #[test]
    fn the_largest_decimals_and_the_signs_of_zero_are_held() {
        let negative_zero = -Decimal::ZERO;
        for decimal in [Decimal::MAX, Decimal::MIN, Decimal::ZERO, negative_zero, Decimal::new(-1, 28)] {
            let mut sink = Sink::at(DateTime::UNIX_EPOCH);
            sink.decimal(decimal);
            let bytes = sink.into_bytes();
            let (mut source, _) = Source::open(&bytes).unwrap();
            let read = source.decimal().unwrap();
            assert_eq!((read, read.is_sign_negative()), (decimal, decimal.is_sign_negative()));
        }
    }
}
