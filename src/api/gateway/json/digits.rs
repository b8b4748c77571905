//! Decimal digits, found side by side in words.

const EIGHT_DIGITS: u64 = 100_000_000;

/// Appends a number.
#[inline]
pub(super) fn put_integer(value: impl Into<i64>, out: &mut Vec<u8>) {
    let value = value.into();
    if value < 0 {
        out.push(b'-');
    }
    put_unsigned(value.unsigned_abs(), out);
}

/// Appends a number.
#[inline]
pub(super) fn put_unsigned(value: u64, out: &mut Vec<u8>) {
    if value < EIGHT_DIGITS {
        let digits = split(value);
        // The last digit stays where all are zeros.
        let zeros = (digits | 1 << 56).trailing_zeros() / 8;
        let end = out.len() + 8 - zeros as usize;
        out.extend_from_slice(&(spell(digits) >> (8 * zeros)).to_le_bytes());
        out.truncate(end);
    } else {
        put_unsigned(value / EIGHT_DIGITS, out);
        out.extend_from_slice(&spell(split(value % EIGHT_DIGITS)).to_le_bytes());
    }
}

/// Spells a number below 100,000,000 with eight digits.
#[inline]
pub(super) const fn eight(number: u32) -> [u8; 8] {
    spell(split(number as u64)).to_le_bytes()
}

/// Spells a number below 100 with two digits.
pub(super) const fn pair(number: u32) -> [u8; 2] {
    [digit(number / 10), digit(number % 10)]
}

/// Spells a number below 10.
#[expect(clippy::cast_possible_truncation, reason = "below 10")]
pub(super) const fn digit(number: u32) -> u8 {
    b'0' + number as u8
}

/// Splits a number of up to eight digits into bytes of one digit each, the first one lowest.
#[inline]
const fn split(number: u64) -> u64 {
    // Each step splits all parts at once: into two of four digits, four of two, eight of one. Multiplying and shifting
    // divides by 100, and then by 10, what is small enough for that to be exact.
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

const fn spell(digits: u64) -> u64 {
    digits | u64::from_ne_bytes([b'0'; 8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before".to_vec();
        put(&mut out);
        String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn every_length_is_spelled() {
        for exponent in 0..20 {
            let power = 10_u64.pow(exponent);
            for value in [power - 1, power, power + 1, power / 3 * 2] {
                assert_eq!(written(|out| put_unsigned(value, out)), value.to_string());
            }
        }
        for value in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(written(|out| put_integer(value, out)), value.to_string());
        }
        assert_eq!(written(|out| put_unsigned(u64::MAX, out)), u64::MAX.to_string());
    }

    #[test]
    fn every_part_of_four_digits_is_split() {
        for number in 0..10_000 {
            let expected = format!("{number:04}{:04}", 9_999 - number);
            assert_eq!(eight(number * 10_000 + 9_999 - number), expected.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_number_is_spelled(signed: i64, unsigned: u64) {
            prop_assert_eq!(written(|out| put_integer(signed, out)), signed.to_string());
            prop_assert_eq!(written(|out| put_unsigned(unsigned, out)), unsigned.to_string());
        }
    }
}
