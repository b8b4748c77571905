//! Digits read eight at a time, as one number: most decimals are then read without a loop, and without a branch that
//! depends on how many digits they have.

use rust_decimal::Decimal;

/// Digits that a decimal may have here, so that no sum below can overflow.
const MAX: usize = 18;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Reads the plain decimal that a text begins with, without zeros at the end of its fraction; tells how many bytes it
/// takes. It gives nothing of a text that begins otherwise, or has more than 18 digits.
#[inline]
pub fn decimal(text: &[u8]) -> Option<(Decimal, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let (whole, count) = run(text, start)?;
    let mut end = start + count;
    let (mut mantissa, mut places) = (whole, 0);
    if text.get(end) == Some(&b'.') {
        let (fraction, count, zeros) = fraction(text, end + 1)?;
        (end, places) = (end + 1 + count, count - zeros);
        if end - start > MAX + 1 {
            return None;
        }
        mantissa = mantissa * power(places) + fraction;
    }
    let [low, middle] = [mantissa, mantissa >> 32].map(|part| u32::try_from(part & 0xffff_ffff));
    let places = u32::try_from(places).ok()?;
    Some((Decimal::from_parts(low.ok()?, middle.ok()?, 0, negative && mantissa > 0, places), end))
}

/// Reads the whole number that a text begins with, of at most 18 digits; tells how many bytes it takes.
#[inline]
pub fn whole(text: &[u8]) -> Option<(i64, usize)> {
    let negative = text.first() == Some(&b'-');
    let (value, count) = run(text, usize::from(negative))?;
    let value = i64::try_from(value).ok()?;
    Some((if negative { -value } else { value }, usize::from(negative) + count))
}

/// Counts the digits that a text begins with.
#[inline]
pub fn count(text: &[u8]) -> usize {
    let mut count = 0;
    loop {
        let more = leading(eight(text, count));
        count += more;
        if more < 8 {
            return count;
        }
    }
}

/// Reads the digits from a place on: their value, and how many. There is nothing where there are none, or too many.
#[inline]
fn run(text: &[u8], at: usize) -> Option<(u64, usize)> {
    let (mut value, mut count) = (0, 0);
    loop {
        let eight = eight(text, at + count);
        let more = leading(eight);
        if more > 0 {
            if count + more > MAX {
                return None;
            }
            value = value * power(more) + first(eight, more);
            count += more;
        }
        if more < 8 {
            return (count > 0).then_some((value, count));
        }
    }
}

/// Reads the digits from a place on, but for the zeros at their end: the value, how many there are with the zeros, and
/// how many zeros.
#[inline]
fn fraction(text: &[u8], at: usize) -> Option<(u64, usize, usize)> {
    let eight = eight(text, at);
    let count = leading(eight);
    if count == 8 {
        return long_fraction(text, at);
    }
    let zeros = zeros(eight, count);
    (count > 0).then(|| (first(eight, count - zeros), count, zeros))
}

#[cold]
fn long_fraction(text: &[u8], at: usize) -> Option<(u64, usize, usize)> {
    let (mut value, count) = run(text, at)?;
    let mut zeros = 0;
    while zeros < count && value.is_multiple_of(10) {
        value /= 10;
        zeros += 1;
    }
    Some((value, count, zeros))
}

/// Counts how many of eight bytes are digits, up to the first that is none.
#[inline]
fn leading(eight: u64) -> usize {
    let values = eight ^ (ONES * u64::from(b'0'));
    // What is no digit is now above 9, or has its highest bit set.
    let others = (values.wrapping_add(ONES * 0x76) | values) & HIGHS;
    others.trailing_zeros() as usize / 8
}

/// Counts the zeros at the end of the first so many bytes, all of them digits.
#[inline]
fn zeros(eight: u64, count: usize) -> usize {
    (aligned(eight, count).leading_zeros() as usize / 8).min(count)
}

/// Gets the values of the first so many bytes, all of them digits: the last in the highest byte.
#[inline]
fn aligned(eight: u64, count: usize) -> u64 {
    let values = eight ^ (ONES * u64::from(b'0'));
    let unused = u32::try_from(64 - 8 * count).unwrap_or_default();
    values.checked_shl(unused).unwrap_or_default()
}

/// Adds up the first so many bytes, all of them digits: to pairs, to fours, to one number.
#[inline]
fn first(eight: u64, count: usize) -> u64 {
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    let digits = aligned(eight, count);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let [outer, inner] = [pairs & PAIRS, (pairs >> 16) & PAIRS];
    let outer = outer.wrapping_mul(100 + (1_000_000 << 32));
    let inner = inner.wrapping_mul(1 + (10_000 << 32));
    outer.wrapping_add(inner) >> 32
}

/// Gets eight bytes of a text from a place on, the first the lowest; zeros after its end.
#[inline]
fn eight(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => rest.iter().rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte)),
    }
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

    #[test]
    fn what_a_text_begins_with_is_read() {
        for (text, expected) in [
            ("0", Some(("0", 1))),
            ("-0.00]", Some(("0.00", 5))),
            ("12345678", Some(("12345678", 8))),
            ("-123456789.00000000\"", Some(("-123456789", 19))),
            ("0.123456789012345600,", None),
            ("0.12345678901234560,", Some(("0.1234567890123456", 19))),
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
            let read = decimal(text.as_bytes());
            assert_eq!(read, expected.map(|(value, end)| (value.parse().unwrap(), end)), "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_a_sign() {
        for (text, expected) in
            [("-17,", Some((-17, 3))), ("1700000000123}", Some((1_700_000_000_123, 13))), ("x", None)]
        {
            assert_eq!(whole(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_library_reads(text in "-?[0-9]{1,9}(\\.[0-9]{1,9})?", zeros in 0usize..12, rest in "([^0-9.].*)?") {
            let point = text.contains('.');
            let number = if point { format!("{text}{}", "0".repeat(zeros)) } else { text.clone() };
            let read = decimal(format!("{number}{rest}").as_bytes());
            let digits = number.bytes().filter(u8::is_ascii_digit).count();
            match read {
                Some((value, end)) => {
                    prop_assert_eq!(value, Decimal::from_str_exact(&text).unwrap());
                    prop_assert_eq!((value.scale(), end), (value.normalize().scale(), number.len()));
                }
                None => prop_assert!(digits > MAX, "{}", number),
            }
        }
    }
}
