//! Timestamps and durations as JSON spells them: RFC 3339 in UTC, and seconds with an `s`.
//!
//! Source: the comments of `google/protobuf/timestamp.proto` and `duration.proto`, which also set the ranges.

use std::ops::RangeInclusive;

use super::digits::{digit, eight, pair, put_unsigned};

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const TIMESTAMP_SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// About 10,000 years either way.
const DURATION_SECONDS: u64 = 315_576_000_000;

const NANOS_PER_SECOND: u32 = 1_000_000_000;
const SECONDS_PER_DAY: u32 = 86_400;

/// Seconds from 0000-03-01, where the arithmetic of leap years is simplest, to 1970-01-01.
const EPOCH: i64 = 719_468 * SECONDS_PER_DAY as i64;

/// Spells timestamps. It keeps the last one, since those of a message are mostly of the same second.
#[derive(Debug)]
pub(super) struct Clock {
    second: i64,
    /// With quotes, and nine zeros for the fraction.
    text: [u8; 32],
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self { second: 0, text: *b"\"1970-01-01T00:00:00.000000000Z\"" }
    }

    /// Appends a timestamp with quotes, or says why it has no text.
    #[inline]
    pub(super) fn put(&mut self, second: i64, nanos: i32, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if second != self.second {
            self.set(second)?;
        }
        let nanos = u32::try_from(nanos)
            .ok()
            .filter(|nanos| *nanos < NANOS_PER_SECOND)
            .ok_or("the nanos of the timestamp are not within a second")?;
        out.extend_from_slice(&self.text);
        // Into the copy: reading back what was only just written in parts would wait for it.
        if let Some([first, rest @ .., _, _]) = out.last_chunk_mut::<11>() {
            *first = digit(nanos / 100_000_000);
            *rest = eight(nanos % 100_000_000);
        }
        let unneeded = unneeded(nanos);
        if unneeded > 0 {
            out.truncate(out.len() - 2 - unneeded);
            out.extend_from_slice(b"Z\"");
        }
        Ok(())
    }

    /// Turns to another second.
    fn set(&mut self, second: i64) -> Result<(), &'static str> {
        if !TIMESTAMP_SECONDS.contains(&second) {
            return Err("the timestamp is outside the years 1 to 9999");
        }
        self.second = second;
        let (day, second) = split_days((second + EPOCH).unsigned_abs());
        let (year, month, day) = date_of(day);
        let ([y1, y2], [y3, y4]) = (pair(year / 100), pair(year % 100));
        let ([m1, m2], [d1, d2]) = (pair(month), pair(day));
        let ([h1, h2], [i1, i2], [s1, s2]) = (pair(second / 3600), pair(second / 60 % 60), pair(second % 60));
        let text = [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2];
        if let Some(place) = self.text.get_mut(1..).and_then(|text| text.first_chunk_mut()) {
            *place = text;
        }
        Ok(())
    }
}

/// Reads a timestamp with any offset, into seconds since 1970 and nanoseconds.
pub(super) fn parse_timestamp(text: &str) -> Option<(i64, i32)> {
    let mut scan = Scan(text.as_bytes());
    let year = scan.digits(4).filter(|year| *year >= 1)?;
    scan.byte(b'-')?;
    let month = scan.digits(2).filter(|month| (1..=12).contains(month))?;
    scan.byte(b'-')?;
    let day = scan.digits(2).filter(|day| *day >= 1)?;
    scan.byte(b'T')?;
    let hour = scan.digits(2).filter(|hour| *hour < 24)?;
    scan.byte(b':')?;
    let minute = scan.digits(2).filter(|minute| *minute < 60)?;
    scan.byte(b':')?;
    let second = scan.digits(2).filter(|second| *second < 60)?;
    let nanos = scan.fraction()?;
    let offset = scan.offset()?;
    let days = days_until(year, month, day);
    // A day that its month does not have comes back as another.
    if !scan.0.is_empty() || date_of(days) != (year, month, day) {
        return None;
    }
    let midnight = i64::from(days) * i64::from(SECONDS_PER_DAY) - EPOCH;
    let seconds = midnight + i64::from(hour * 3600 + minute * 60 + second) - offset;
    TIMESTAMP_SECONDS.contains(&seconds).then_some((seconds, nanos))
}

/// Appends a duration with quotes, or says why it has no text.
pub(super) fn put_duration(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if seconds.unsigned_abs() > DURATION_SECONDS || nanos.unsigned_abs() >= NANOS_PER_SECOND {
        return Err("the duration is out of range");
    }
    if seconds != 0 && nanos != 0 && (seconds < 0) != (nanos < 0) {
        return Err("the seconds and nanos of the duration differ in sign");
    }
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    put_unsigned(seconds.unsigned_abs(), out);
    put_fraction(nanos.unsigned_abs(), out);
    out.extend_from_slice(b"s\"");
    Ok(())
}

/// Reads a duration into seconds and nanoseconds of the same sign.
pub(super) fn parse_duration(text: &str) -> Option<(i64, i32)> {
    let mut scan = Scan(text.as_bytes());
    let sign = if scan.byte(b'-').is_some() { -1_i32 } else { 1 };
    let mut seconds = i64::from(scan.digits(1)?);
    while let Some(digit) = scan.digits(1) {
        seconds = seconds * 10 + i64::from(digit);
        if seconds.unsigned_abs() > DURATION_SECONDS {
            return None;
        }
    }
    let nanos = scan.fraction()?;
    (scan.0 == b"s").then(|| (i64::from(sign) * seconds, sign * nanos))
}

/// Appends a point and three, six or nine digits, or nothing.
fn put_fraction(nanos: u32, out: &mut Vec<u8>) {
    if nanos > 0 {
        out.extend_from_slice(&[b'.', digit(nanos / 100_000_000)]);
        out.extend_from_slice(&eight(nanos % 100_000_000));
        out.truncate(out.len() - unneeded(nanos));
    }
}

/// Counts the last of nine digits that are left out: none, three or six. A point goes with the last of them.
#[inline]
const fn unneeded(nanos: u32) -> usize {
    if !nanos.is_multiple_of(1_000) {
        0
    } else if !nanos.is_multiple_of(1_000_000) {
        3
    } else if nanos > 0 {
        6
    } else {
        10
    }
}

/// Gets the day, counted from 0000-03-01, and the second within it.
#[expect(clippy::cast_possible_truncation, reason = "the years 1 to 9999 have fewer days than 32 bits count")]
const fn split_days(seconds: u64) -> (u32, u32) {
    let per_day = SECONDS_PER_DAY as u64;
    ((seconds / per_day) as u32, (seconds % per_day) as u32)
}

/// Gets year, month and day of a day counted from 0000-03-01, in the Gregorian calendar extended to before its
/// invention.
///
/// Source: `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>.
const fn date_of(days: u32) -> (u32, u32, u32) {
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months counted from March follow one line of slope 153/5.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + carry, month, day)
}

/// Undoes [`date_of`], from the year 1.
const fn days_until(year: u32, month: u32, day: u32) -> u32 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year / 400, year % 400);
    era * 146_097 + year * 365 + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 1
}

/// Text that is still to be read.
struct Scan<'t>(&'t [u8]);

impl Scan<'_> {
    fn byte(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == expected).then(|| self.0 = rest)
    }

    /// Reads so many digits, at most nine.
    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let value = digits.iter().try_fold(0, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
        })?;
        self.0 = rest;
        Some(value)
    }

    /// Reads a point and one to nine digits into nanoseconds, if there is a point.
    fn fraction(&mut self) -> Option<i32> {
        if self.byte(b'.').is_none() {
            return Some(0);
        }
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let missing = u32::try_from(9_usize.checked_sub(count)?).ok()?;
        let nanos = if count == 0 { None } else { self.digits(count) }?;
        i32::try_from(nanos * 10_u32.pow(missing)).ok()
    }

    /// Reads `Z` or an offset from UTC, into seconds.
    fn offset(&mut self) -> Option<i64> {
        if self.byte(b'Z').is_some() {
            return Some(0);
        }
        let sign = if self.byte(b'+').is_some() {
            1
        } else {
            self.byte(b'-')?;
            -1
        };
        let hours = self.digits(2).filter(|hours| *hours < 24)?;
        self.byte(b':')?;
        let minutes = self.digits(2).filter(|minutes| *minutes < 60)?;
        Some(sign * i64::from(hours * 3600 + minutes * 60))
    }
}

#[cfg(test)]
mod tests;
