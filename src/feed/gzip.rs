//! Unpacks gzip frames, within bounds: a small frame may unpack to more than memory holds.

use std::io::Read;

use flate2::read::GzDecoder;

use super::venue::ParseError;

/// Unpacks a frame of text, which must not grow beyond `limit` bytes.
pub(super) fn unpack(bytes: &[u8], limit: usize) -> Result<String, ParseError> {
    let mut text = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(bytes)
        .take(most)
        .read_to_end(&mut text)
        .map_err(|error| ParseError::Compression(error.to_string()))?;
    if text.len() > limit {
        return Err(ParseError::Compression(format!("more than {limit} bytes")));
    }
    String::from_utf8(text).map_err(|_| ParseError::NotText)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn pack(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_frame_that_is_no_text_within_bounds_is_an_error() {
        let bomb = pack(&vec![b' '; LIMIT + 1]);
        assert!(bomb.len() < LIMIT / 100);
        let packed = pack(b"{}");
        for (bytes, kind) in [
            (&b""[..], "compression"),
            (b"{}", "compression"),
            (packed.split_at(packed.len() / 2).0, "compression"),
            (&bomb, "compression"),
            (&pack(&[0xff, 0xfe]), "not_text"),
        ] {
            assert_eq!(unpack(bytes, LIMIT).unwrap_err().kind(), kind);
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_unpacks_up_to_the_limit(text in ".{1,200}") {
            let packed = pack(text.as_bytes());
            prop_assert_eq!(unpack(&packed, text.len()), Ok(text.clone()));
            prop_assert!(unpack(&packed, text.len() - 1).is_err());
        }

        #[test]
        fn damaged_frames_never_panic(text in ".{0,200}", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut packed = pack(text.as_bytes());
            let at = at.index(packed.len());
            packed[at] = byte;
            let _ = unpack(&packed, LIMIT);
        }
    }
}
