//! JSON scalars: strings, numbers and base64.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::digits;
use super::error::Damage;
use super::wire::{repeat, word};

/// Appends the bytes of a string with quotes and escapes, once they are known to be UTF-8.
///
/// `ahead` is what stands in memory from its first byte on, if there is so much.
#[inline]
pub(super) fn put_utf8(bytes: &[u8], ahead: Option<&[u8; 16]>, out: &mut Vec<u8>) -> Result<(), Damage> {
    if let Some(ahead) = ahead
        && put_short(ahead, bytes.len(), out)
    {
        return Ok(());
    }
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

/// Appends a 64-bit integer as a string, since many readers hold numbers as doubles.
pub(super) fn put_quoted(integer: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    digits::put_integer(integer, out);
    out.push(b'"');
}

/// Appends a 64-bit integer without a sign as a string.
pub(super) fn put_quoted_unsigned(integer: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    digits::put_unsigned(integer, out);
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

/// For each length up to 16, which of 16 bytes belong to it.
#[expect(clippy::indexing_slicing, reason = "counted up to the lengths")]
const MASKS: [[u8; 16]; 17] = {
    let mut masks = [[0; 16]; 17];
    let mut length = 0;
    while length < masks.len() {
        let mut byte = 0;
        while byte < length {
            masks[length][byte] = u8::MAX;
            byte += 1;
        }
        length += 1;
    }
    masks
};

/// Appends the first bytes with quotes if they are few and need no escape, which goes for most strings: all at once, with
/// those that follow, which are then taken back.
#[inline]
fn put_short(ahead: &[u8; 16], length: usize, out: &mut Vec<u8>) -> bool {
    let Some(masks) = MASKS.get(length) else { return false };
    // As a signed number, what is not ASCII is below the controls.
    let special = |byte: u8| byte.cast_signed() < 0x20 || byte == b'"' || byte == b'\\';
    let seen = ahead.iter().zip(masks).map(|(byte, mask)| byte & mask | b' ' & !mask);
    if seen.fold(false, |any, byte| any | special(byte)) {
        return false;
    }
    let end = out.len() + 1 + length;
    out.push(b'"');
    out.extend_from_slice(ahead);
    out.truncate(end);
    out.push(b'"');
    true
}

/// Appends bytes as they are. Short ones, which are most, go in moves of fixed size that may overlap.
#[inline]
fn put_plain(bytes: &[u8], out: &mut Vec<u8>) {
    let end = out.len() + bytes.len();
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) if bytes.len() <= 16 => {
            out.extend_from_slice(first);
            out.truncate(end - last.len());
            out.extend_from_slice(last);
        }
        (None, _) => {
            out.extend_from_slice(&word(bytes).to_le_bytes());
            out.truncate(end);
        }
        _ => out.extend_from_slice(bytes),
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

    /// Writes bytes that stand in memory with others after them, as on the wire, and alone.
    fn written_both_ways(bytes: &[u8]) -> Result<Vec<u8>, Damage> {
        let followed = [bytes, b"\"\n\x80 and more".as_slice()].concat();
        let ways = [followed.first_chunk(), None].map(|ahead| {
            let mut out = b"before".to_vec();
            put_utf8(bytes, ahead, &mut out).map(|()| out)
        });
        assert_eq!(ways[0], ways[1]);
        ways[1].clone().map(|out| out.strip_prefix(b"before").unwrap().to_vec())
    }

    #[test]
    fn every_byte_on_the_wire_is_escaped_at_every_place() {
        for byte in 0..0x80_u8 {
            for length in 0..20 {
                for place in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    let expected = serde_json::to_vec(std::str::from_utf8(&bytes).unwrap()).unwrap();
                    assert_eq!(written_both_ways(&bytes).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn what_is_not_utf8_is_refused_at_every_place() {
        for before in 0..20 {
            for after in 0..20 {
                let bytes = [&vec![b'a'; before][..], &[0xc3], &vec![b'z'; after]].concat();
                assert_eq!(written_both_ways(&bytes), Err(Damage::Utf8));
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
            let expected = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(written_both_ways(text.as_bytes()).unwrap(), expected);
        }
    }
}
