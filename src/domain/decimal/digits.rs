//! Digits read eight at a time, as one number: most decimals are then read without a loop, and without a branch that
//! depends on how many digits they have.

use std::num::NonZeroU64;

use rust_decimal::Decimal;

/// Digits that a decimal may have here, so that no sum below can overflow.
const MAX: usize = 18;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// A decimal of at most 18 digits, read from a text: two numbers, which registers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    mantissa: u64,
    /// From the lowest byte on: the bytes that it takes of the text, digits after the point, and whether it is negative.
    layout: NonZeroU64,
}

impl Short {
    #[inline]
    fn new(mantissa: u64, places: usize, negative: bool, length: usize) -> Option<Self> {
        let layout = length as u64 | (places as u64) << 8 | u64::from(negative) << 16;
        NonZeroU64::new(layout).map(|layout| Self { mantissa, layout })
    }

    /// Makes the decimal of it.
    #[inline]
    pub fn decimal(self) -> Decimal {
        let layout = self.layout.get();
        let negative = layout >> 16 != 0 && self.mantissa > 0;
        Decimal::from_parts(
            low(self.mantissa),
            low(self.mantissa >> 32),
            0,
            negative,
            low(layout >> 8 & 0xff),
        )
    }

    /// Tells how many bytes it takes.
    #[inline]
    pub fn length(self) -> usize {
        usize::try_from(self.layout.get() & 0xff).unwrap_or_default()
    }

    /// Puts it into one number, for ways that only numbers go.
    #[inline]
    pub fn pack(self) -> u128 {
        u128::from(self.mantissa) | u128::from(self.layout.get()) << 64
    }

    /// Takes it out again.
    #[inline]
    pub fn unpack(packed: u128) -> Option<Self> {
        let layout = NonZeroU64::new(u64::try_from(packed >> 64).ok()?)?;
        u64::try_from(packed & u128::from(u64::MAX)).ok().map(|mantissa| Self { mantissa, layout })
    }
}

/// Reads the plain decimal that stands at a place of a text, without zeros at the end of its fraction. It gives nothing
/// where something else stands, or a number of more than 18 digits or 15 places.
#[inline(never)]
pub fn decimal(text: &[u8], at: usize) -> Option<Short> {
    // More than is looked at here.
    let near: Option<&[u8; 24]> = text.get(at..).and_then(<[u8]>::first_chunk);
    near.and_then(near_decimal).or_else(|| long_decimal(text, at))
}

#[inline]
fn near_decimal(text: &[u8; 24]) -> Option<Short> {
    let [first, ..] = text;
    let negative = *first == b'-';
    let start = usize::from(negative);
    let head = eight(text, start);
    let count = leading(head);
    if !(1..8).contains(&count) {
        return None;
    }
    let whole = sum(aligned(head, count));
    let end = start + count;
    if head >> (8 * count) & 0xff != u64::from(b'.') {
        return Short::new(whole, 0, negative, end);
    }
    let tail = eight(text, end + 1);
    let count = leading(tail);
    if !(1..8).contains(&count) {
        return None;
    }
    let (fraction, places) = fraction(tail, count);
    Short::new(whole * power(places) + fraction, places, negative, end + 1 + count)
}

/// Does the same for more than seven digits before the point or after it, and near the end of the text.
#[inline(never)]
fn long_decimal(text: &[u8], at: usize) -> Option<Short> {
    let negative = text.get(at) == Some(&b'-');
    let start = usize::from(negative);
    let (whole, digits) = run(text, at + start)?;
    let end = start + digits;
    if text.get(at + end) != Some(&b'.') {
        return Short::new(whole, 0, negative, end);
    }
    let (first, second) = (eight(text, at + end + 1), eight(text, at + end + 9));
    let (count, more) = (leading(first), if leading(first) < 8 { 0 } else { leading(second) });
    if count == 0 || more == 8 || digits + count + more > MAX {
        return None;
    }
    let (fraction, places) = match fraction(second, more) {
        (_, 0) => fraction(first, count),
        (rest, places) => (sum(aligned(first, 8)) * power(places) + rest, 8 + places),
    };
    Short::new(whole * power(places) + fraction, places, negative, end + 1 + count + more)
}

/// Reads the whole number that stands at a place of a text, of at most 18 digits; tells how many bytes it takes.
#[inline]
pub fn whole(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = text.get(at) == Some(&b'-');
    let start = usize::from(negative);
    let (value, count) = run(text, at + start)?;
    let value = value.cast_signed();
    Some((if negative { -value } else { value }, start + count))
}

/// Counts the digits that stand at a place of a text.
#[inline]
pub fn count(text: &[u8], at: usize) -> usize {
    let mut count = 0;
    loop {
        let more = leading(eight(text, at + count));
        count += more;
        if more < 8 {
            return count;
        }
    }
}

/// Reads the digits from a place on: their value, and how many. There is nothing where there are none, or too many.
#[inline]
fn run(text: &[u8], at: usize) -> Option<(u64, usize)> {
    let head = eight(text, at);
    let count = leading(head);
    if count < 8 {
        return (count > 0).then(|| (sum(aligned(head, count)), count));
    }
    let tail = eight(text, at + 8);
    let more = leading(tail);
    let number = sum(aligned(head, 8)) * power(more) + sum(aligned(tail, more));
    if more < 8 { Some((number, 8 + more)) } else { long_run(text, at, number) }
}

/// Does the same where sixteen have been read.
#[inline(never)]
fn long_run(text: &[u8], at: usize, sixteen: u64) -> Option<(u64, usize)> {
    let tail = eight(text, at + 16);
    let more = leading(tail);
    (16 + more <= MAX).then(|| (sixteen * power(more) + sum(aligned(tail, more)), 16 + more))
}

/// Counts how many of eight bytes are digits, up to the first that is none.
#[inline]
fn leading(eight: u64) -> usize {
    let values = eight ^ (ONES * u64::from(b'0'));
    // What is no digit is now above 9, or has its highest bit set.
    let others = (values.wrapping_add(ONES * 0x76) | values) & HIGHS;
    others.trailing_zeros() as usize / 8
}

/// Adds up the first so many bytes, all of them digits, but for the zeros at their end; tells how many are left.
#[inline]
fn fraction(eight: u64, count: usize) -> (u64, usize) {
    let digits = aligned(eight, count);
    let zeros = digits.leading_zeros() / 8;
    (sum(digits.unbounded_shl(8 * zeros)), count.saturating_sub(zeros as usize))
}

/// Gets the values of the first so many bytes, all of them digits: the last in the highest byte.
#[inline]
fn aligned(eight: u64, count: usize) -> u64 {
    let unused = 64 - 8 * low(count as u64);
    (eight ^ (ONES * u64::from(b'0'))).unbounded_shl(unused)
}

/// Adds up eight digits: to pairs, to fours, to one number.
#[inline]
fn sum(digits: u64) -> u64 {
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let [outer, inner] = [pairs & PAIRS, (pairs >> 16) & PAIRS];
    let outer = outer.wrapping_mul(100 + (1_000_000 << 32));
    let inner = inner.wrapping_mul(1 + (10_000 << 32));
    outer.wrapping_add(inner) >> 32
}

/// Gets eight bytes of a text from a place on, the first the lowest; zeros after its end.
#[inline]
fn eight(text: &[u8], at: usize) -> u64 {
    match text.get(at..).and_then(<[u8]>::first_chunk) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => last(text, at),
    }
}

/// Does the same where less than eight are left.
#[inline(never)]
fn last(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    match text.last_chunk() {
        Some(eight) => u64::from_le_bytes(*eight).unbounded_shr(64 - 8 * low(rest.len() as u64)),
        None => rest.iter().rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte)),
    }
}

#[inline]
fn low(number: u64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap_or_default()
}

/// Gets a power of ten, up to the highest that is needed.
#[inline]
fn power(of: usize) -> u64 {
    const POWERS: [u64; MAX + 1] = [
        1,
        10,
        100,
        1_000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
        1_000_000_000,
        10_000_000_000,
        100_000_000_000,
        1_000_000_000_000,
        10_000_000_000_000,
        100_000_000_000_000,
        1_000_000_000_000_000,
        10_000_000_000_000_000,
        100_000_000_000_000_000,
        1_000_000_000_000_000_000,
    ];
    POWERS.get(of).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn short(text: &[u8]) -> Option<(Decimal, usize)> {
        decimal(text, 0).map(|short| (Short::unpack(short.pack()).unwrap().decimal(), short.length()))
    }

    #[test]
    fn what_a_text_begins_with_is_read() {
        for (text, expected) in [
            ("0", Some(("0", 1))),
            ("-0.00]", Some(("0.00", 5))),
            ("12345678", Some(("12345678", 8))),
            ("-123456789.00000000\"", Some(("-123456789", 19))),
            ("0.123456789012345600,", None),
            ("0.12345678901234560,", None),
            ("0.123456789012340,", Some(("0.12345678901234", 17))),
            ("0.1234567800000000,", None),
            ("12345678.123456789,", Some(("12345678.123456789", 18))),
            ("1.120000000000,", Some(("1.12", 14))),
            ("12.00000000,", Some(("12", 11))),
            ("1.2.3", Some(("1.2", 3))),
            ("1e5", Some(("1", 1))),
            ("7\u{e9}", Some(("7", 1))),
            ("123456789012345678", Some(("123456789012345678", 18))),
            ("1234567890123456789", None),
            ("", None),
            ("-", None),
            (".5", None),
            ("1.", None),
            ("1.x", None),
        ] {
            let read = short(text.as_bytes());
            assert_eq!(read, expected.map(|(value, end)| (value.parse().unwrap(), end)), "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_a_sign() {
        for (text, expected) in
            [("-17,", Some((-17, 3))), ("1700000000123}", Some((1_700_000_000_123, 13))), ("x", None)]
        {
            assert_eq!(whole(text.as_bytes(), 0), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_library_reads(text in "-?[0-9]{1,9}(\\.[0-9]{1,9})?", zeros in 0usize..12, rest in "([^0-9.].*)?") {
            let point = text.contains('.');
            let number = if point { format!("{text}{}", "0".repeat(zeros)) } else { text.clone() };
            let read = short(format!("{number}{rest}").as_bytes());
            let digits = number.bytes().filter(u8::is_ascii_digit).count();
            let places = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            match read {
                Some((value, end)) => {
                    prop_assert_eq!(value, Decimal::from_str_exact(&text).unwrap());
                    prop_assert_eq!((value.scale(), end), (value.normalize().scale(), number.len()));
                }
                None => prop_assert!(digits > MAX || places > 15, "{}", number),
            }
        }
    }
}
