//! A `google.protobuf.Timestamp` that is written as JSON without a calendar library: pbjson's own goes through chrono.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Timestamp {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0_u8; 30];
        let length = self.write(&mut text).ok_or_else(|| S::Error::custom("not a time"))?;
        let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok());
        serializer.serialize_str(text.ok_or_else(|| S::Error::custom("not a time"))?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = pbjson_types::Timestamp::deserialize(deserializer).map_err(D::Error::custom)?;
        Ok(Self { seconds: time.seconds, nanos: time.nanos })
    }
}

impl Timestamp {
    /// Writes `YYYY-MM-DDThh:mm:ss[.fff[fff[fff]]]Z`; gives its length, or nothing for a year of more than 4 digits.
    fn write(&self, text: &mut [u8; 30]) -> Option<usize> {
        let (days, second) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let year = u32::try_from(year).ok().filter(|year| (1..=9999).contains(year))?;
        let nanos = u32::try_from(self.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
        let second = u32::try_from(second).ok()?;
        text.copy_from_slice(b"0000-00-00T00:00:00.000000000Z");
        digits(text.get_mut(0..4)?, year);
        digits(text.get_mut(5..7)?, month);
        digits(text.get_mut(8..10)?, day);
        digits(text.get_mut(11..13)?, second / 3_600);
        digits(text.get_mut(14..16)?, second / 60 % 60);
        digits(text.get_mut(17..19)?, second % 60);
        digits(text.get_mut(20..29)?, nanos);
        let length = match nanos {
            0 => 19,
            _ if nanos % 1_000_000 == 0 => 23,
            _ if nanos % 1_000 == 0 => 26,
            _ => 29,
        };
        *text.get_mut(length)? = b'Z';
        Some(length + 1)
    }
}

fn digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// Turns days since 1970 into a date, by counting years from March so that leap days come last.
fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or_default(), u32::try_from(day).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn times_are_written_as_the_mapping_says() {
        for (seconds, nanos, expected) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_709_210_096, 120_000_000, "2024-02-29T12:34:56.120Z"),
            (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
            (253_402_300_799, 1_000, "9999-12-31T23:59:59.000001Z"),
        ] {
            let json = serde_json::to_string(&Timestamp { seconds, nanos }).unwrap();
            assert_eq!(json, format!("\"{expected}\""));
        }
    }
}
