//! Percent-decoding of paths and query strings, strict: what is not well-formed is refused, not kept.

use std::borrow::Cow;

/// A percent sign without two hexadecimal digits after it, or bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed percent-encoding")]
pub struct Malformed;

/// Decodes everything.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, Malformed> {
    decode_where(text, |_| true)
}

/// Decodes everything but the reserved characters of RFC 3986, section 2.2.
pub(super) fn decode_unreserved(text: &str) -> Result<Cow<'_, str>, Malformed> {
    decode_where(text, |byte| !b"!#$&'()*+,/:;=?@[]".contains(&byte))
}

/// Decodes a key or a value of a query string, where a plus is a space.
pub(super) fn decode_query(text: &str) -> Result<Cow<'_, str>, Malformed> {
    if text.contains('+') {
        decode(&text.replace('+', " ")).map(|decoded| Cow::Owned(decoded.into_owned()))
    } else {
        decode(text)
    }
}

fn decode_where(text: &str, wanted: impl Fn(u8) -> bool) -> Result<Cow<'_, str>, Malformed> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (&[high, low], tail) = rest.split_first_chunk::<2>().ok_or(Malformed)?;
        let value = hexadecimal(high)? << 4 | hexadecimal(low)?;
        if wanted(value) {
            decoded.push(value);
        } else {
            decoded.extend([b'%', high, low]);
        }
        rest = tail;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Malformed)
}

fn hexadecimal(digit: u8) -> Result<u8, Malformed> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_decoded_depends_on_the_place() {
        for (text, all, unreserved, query) in [
            ("plain", "plain", "plain", "plain"),
            ("a%2Fb%2fc", "a/b/c", "a%2Fb%2fc", "a/b/c"),
            ("a+b%2B", "a+b+", "a+b%2B", "a b+"),
            ("%E2%82%AC%20", "€ ", "€ ", "€ "),
            ("%2525", "%25", "%25", "%25"),
        ] {
            assert_eq!(decode(text).as_deref(), Ok(all));
            assert_eq!(decode_unreserved(text).as_deref(), Ok(unreserved));
            assert_eq!(decode_query(text).as_deref(), Ok(query));
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in ["%", "%1", "a%", "%g0", "%0g", "%+1", "%%41", "%ff", "%C0%80"] {
            assert_eq!(decode(text), Err(Malformed), "{text}");
            assert_eq!(decode_query(text), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(text in ".*") {
            let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode(&encoded).unwrap(), text.as_str());
            prop_assert_eq!(decode_query(&encoded).unwrap(), text.as_str());
        }

        #[test]
        fn nothing_panics(text in "[%+a-f0-9é]*") {
            let _ = (decode(&text), decode_unreserved(&text), decode_query(&text));
        }
    }
}
