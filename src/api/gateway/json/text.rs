//! JSON scalars: strings, numbers and base64.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::Damage;

/// Appends the bytes of a string with quotes and escapes, once they are known to be UTF-8.
#[inline]
pub(super) fn put_utf8(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Damage> {
    let seen = survey(bytes);
    if seen.any_not_ascii() {
        std::str::from_utf8(bytes).map_err(|_| Damage::Utf8)?;
    }
    put_surveyed(bytes, seen, out);
    Ok(())
}

/// Appends a string with quotes and escapes.
pub(super) fn put_str(text: &str, out: &mut Vec<u8>) {
    put_surveyed(text.as_bytes(), survey(text.as_bytes()), out);
}

/// Appends a number, without quotes.
pub(super) fn put_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a 64-bit integer as a string, since many readers hold numbers as doubles.
pub(super) fn put_quoted_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.push(b'"');
    put_integer(value, out);
    out.push(b'"');
}

/// Appends the shortest number that reads back equal, or the name of what is not a number.
pub(super) fn put_float<F: zmij::Float + Into<f64> + Copy>(value: F, out: &mut Vec<u8>) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if wide.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if wide > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

/// Appends bytes as base64 of the standard alphabet, padded.
pub(super) fn put_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// What a string contains, found eight bytes at a time: the high bit of any byte says that there is such a byte.
#[derive(Clone, Copy)]
struct Survey {
    to_escape: u64,
    not_ascii: u64,
}

impl Survey {
    const HIGH_BITS: u64 = repeat(0x80);

    fn add(self, word: u64) -> Self {
        /// Sets high bits if any byte of the word is zero.
        const fn has_zero(word: u64) -> u64 {
            word.wrapping_sub(repeat(1)) & !word
        }
        let controls = word.wrapping_sub(repeat(0x20)) & !word;
        let quotes = has_zero(word ^ repeat(b'"'));
        let backslashes = has_zero(word ^ repeat(b'\\'));
        Self { to_escape: self.to_escape | controls | quotes | backslashes, not_ascii: self.not_ascii | word }
    }

    const fn any_to_escape(self) -> bool {
        self.to_escape & Self::HIGH_BITS != 0
    }

    const fn any_not_ascii(self) -> bool {
        self.not_ascii & Self::HIGH_BITS != 0
    }
}

const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[inline]
fn survey(bytes: &[u8]) -> Survey {
    let nothing = Survey { to_escape: 0, not_ascii: 0 };
    if let Some(last) = bytes.last_chunk() {
        // The last eight bytes may overlap those before, which does no harm.
        let (words, _) = bytes.as_chunks();
        let words = words.iter().chain([last]);
        words.fold(nothing, |seen, word| seen.add(u64::from_ne_bytes(*word)))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_ne_bytes(*first), u32::from_ne_bytes(*last));
        nothing.add(u64::from(first) << 32 | u64::from(last))
    } else {
        bytes.iter().fold(nothing, |seen, byte| seen.add(repeat(*byte)))
    }
}

#[inline]
fn put_surveyed(bytes: &[u8], seen: Survey, out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if seen.any_to_escape() {
        put_escaped(bytes, out);
    } else {
        put_plain(bytes, out);
    }
    out.push(b'"');
}

/// Appends bytes as they are. Short ones, which are most, go in two moves of fixed size that may overlap.
#[inline]
fn put_plain(bytes: &[u8], out: &mut Vec<u8>) {
    if let (Some(first), Some(last), ..=16) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>(), bytes.len())
    {
        let end = out.len() + bytes.len();
        out.extend_from_slice(first);
        out.truncate(end - last.len());
        out.extend_from_slice(last);
    } else {
        out.extend_from_slice(bytes);
    }
}

#[cold]
fn put_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let hex = |digit: u8| HEX.get(usize::from(digit)).copied().unwrap_or(b'0');
    for &byte in bytes {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => {
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 0xf)]);
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_byte_is_escaped_at_every_place() {
        for byte in 0..0x80_u8 {
            for before in 0..20 {
                for after in [0, 1, 7, 8, 9] {
                    let text = format!("{}{}{}", "a".repeat(before), char::from(byte), "z".repeat(after));
                    let expected = serde_json::to_string(&text).unwrap();
                    assert_eq!(written(|out| put_str(&text, out)), expected);
                }
            }
        }
    }

    #[test]
    fn what_is_not_utf8_is_refused_at_every_place() {
        for before in 0..20 {
            for after in 0..20 {
                let bytes = [&vec![b'a'; before][..], &[0xc3], &vec![b'z'; after]].concat();
                assert_eq!(put_utf8(&bytes, &mut Vec::new()), Err(Damage::Utf8));
            }
        }
    }

    #[test]
    fn what_is_not_a_number_has_a_name() {
        for (value, expected) in [
            (f64::NAN, r#""NaN""#),
            (f64::INFINITY, r#""Infinity""#),
            (f64::NEG_INFINITY, r#""-Infinity""#),
            (-0.0, "-0.0"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(written(|out| put_float(value, out)), expected);
        }
        assert_eq!(written(|out| put_float(0.1_f32, out)), "0.1");
        assert_eq!(written(|out| put_float(f32::NAN, out)), r#""NaN""#);
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_does(text: String) {
            let mut out = Vec::new();
            put_utf8(text.as_bytes(), &mut out).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
