//! Timestamps and durations as JSON spells them: RFC 3339 in UTC, and seconds with an `s`.
//!
//! Source: the comments of `google/protobuf/timestamp.proto` and `duration.proto`, which also set the ranges.

use super::text::put_integer;

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// About 10,000 years either way.
const DURATION_SECONDS: u64 = 315_576_000_000;

const NANOS_PER_SECOND: u32 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Days from 0000-03-01, where the arithmetic of leap years is simplest, to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Appends a timestamp with quotes, or says why it has no text.
pub(super) fn put_timestamp(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if !TIMESTAMP_SECONDS.contains(&seconds) {
        return Err("the timestamp is outside the years 1 to 9999");
    }
    let nanos = u32::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos < NANOS_PER_SECOND)
        .ok_or("the nanos of the timestamp are not within a second")?;
    let (year, month, day) = date_of(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let [y1, y2] = pair(year / 100);
    let [y3, y4] = pair(year % 100);
    let [m1, m2] = pair(month);
    let [d1, d2] = pair(day);
    let [h1, h2] = pair(second / 3600);
    let [i1, i2] = pair(second / 60 % 60);
    let [s1, s2] = pair(second % 60);
    out.extend_from_slice(&[
        b'"', y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2,
    ]);
    put_fraction(nanos, out);
    out.extend_from_slice(b"Z\"");
    Ok(())
}

/// Reads a timestamp with any offset, into seconds since 1970 and nanoseconds.
pub(super) fn parse_timestamp(text: &str) -> Option<(i64, i32)> {
    let mut scan = Scan(text.as_bytes());
    let year = scan.digits(4)?;
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
    if !scan.0.is_empty() {
        return None;
    }
    let days = days_until(year, month, day);
    // A day that its month does not have comes back as another.
    if date_of(days) != (year, month, day) {
        return None;
    }
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
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
    put_integer(seconds.unsigned_abs(), out);
    put_fraction(nanos.unsigned_abs(), out);
    out.extend_from_slice(b"s\"");
    Ok(())
}

/// Reads a duration into seconds and nanoseconds of the same sign.
pub(super) fn parse_duration(text: &str) -> Option<(i64, i32)> {
    let mut scan = Scan(text.as_bytes());
    let sign = if scan.byte(b'-').is_some() { -1_i32 } else { 1 };
    let mut seconds = scan.digits(1)?;
    while let Some(digit) = scan.digits(1) {
        seconds = seconds * 10 + digit;
        if seconds.unsigned_abs() > DURATION_SECONDS {
            return None;
        }
    }
    let nanos = scan.fraction()?;
    (scan.0 == b"s").then(|| (i64::from(sign) * seconds, sign * nanos))
}

/// Appends a point and three, six or nine digits, or nothing.
fn put_fraction(nanos: u32, out: &mut Vec<u8>) {
    let (mut value, width) = match nanos {
        0 => return,
        _ if nanos.is_multiple_of(1_000_000) => (nanos / 1_000_000, 3),
        _ if nanos.is_multiple_of(1_000) => (nanos / 1_000, 6),
        _ => (nanos, 9),
    };
    let mut text = *b".000000000";
    for digit in text.iter_mut().take(width + 1).skip(1).rev() {
        let [_, last] = pair(value % 10);
        *digit = last;
        value /= 10;
    }
    out.extend_from_slice(text.get(..=width).unwrap_or_default());
}

/// Gets year, month and day of a day since 1970, in the Gregorian calendar extended to before its invention.
///
/// Source: `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months counted from March follow one line of slope 153/5.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + carry, month, day)
}

/// Undoes [`date_of`].
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year * 365 + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 1 - EPOCH
}

/// Spells a number below 100 with two digits.
fn pair(number: impl Into<i64>) -> [u8; 2] {
    let number = u8::try_from(number.into()).unwrap_or_default();
    [b'0' + number / 10, b'0' + number % 10]
}

/// Text that is still to be read.
struct Scan<'t>(&'t [u8]);

impl Scan<'_> {
    fn byte(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == expected).then(|| self.0 = rest)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let value = digits.iter().try_fold(0, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
        })?;
        self.0 = rest;
        Some(value)
    }

    /// Reads a point and up to nine digits, if there is a point.
    fn fraction(&mut self) -> Option<i32> {
        if self.byte(b'.').is_none() {
            return Some(0);
        }
        let (mut nanos, mut unit) = (0, i64::from(NANOS_PER_SECOND));
        while let Some(digit) = self.digits(1) {
            unit /= 10;
            if unit == 0 {
                return None;
            }
            nanos += digit * unit;
        }
        (unit < i64::from(NANOS_PER_SECOND)).then(|| i32::try_from(nanos).ok())?
    }

    /// Reads `Z` or an offset from UTC, into seconds.
    fn offset(&mut self) -> Option<i64> {
        if self.byte(b'Z').is_some() {
            return Some(0);
        }
        let sign = if self.byte(b'+').is_some() { 1 } else { -1 };
        if sign < 0 {
            self.byte(b'-')?;
        }
        let hours = self.digits(2).filter(|hours| *hours < 24)?;
        self.byte(b':')?;
        let minutes = self.digits(2).filter(|minutes| *minutes < 60)?;
        Some(sign * (hours * 3600 + minutes * 60))
    }
}
