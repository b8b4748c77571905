//! Bytes looked at many at a time.

use wide::u8x16;

/// How many bytes are looked at at once: as many as a number has bits.
pub(super) const BLOCK: usize = 64;

/// Where quotes are in a block of a text: a bit for each byte, the first the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quotes {
    pub(super) places: u64,
    /// Some of them may be escaped.
    pub(super) has_backslashes: bool,
}

/// Where quotes and brackets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) quotes: Quotes,
    /// Both kinds, inside of strings, too.
    pub(super) opening: u64,
    pub(super) closing: u64,
}

impl Quotes {
    /// Looks at the block from a place on. There is nothing after the end of the text.
    #[inline]
    pub(super) fn at(text: &[u8], at: usize) -> Self {
        block(text, at, Self::of, |quotes, left_out| Self {
            places: quotes.places.unbounded_shr(left_out),
            ..quotes
        })
    }

    #[inline]
    fn of(bytes: &[u8; BLOCK]) -> Self {
        let (parts, _) = bytes.as_chunks();
        let (mut places, mut backslashes) = (0, u8x16::ZERO);
        for (part, bytes) in parts.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            places |= places_of(b'"', bytes, part);
            backslashes |= equal(bytes, b'\\');
        }
        Self { places, has_backslashes: backslashes.to_bitmask() != 0 }
    }

    /// Tells which bytes are inside of strings, from an opening quote to the last byte before the closing one; `before` has all
    /// bits where the block begins inside of one.
    #[inline]
    pub(super) fn strings(self, before: u64) -> u64 {
        [1, 2, 4, 8, 16, 32].iter().fold(self.places, |inside, by| inside ^ (inside << by)) ^ before
    }
}

impl Shape {
    /// Looks at the block from a place on. There is nothing after the end of the text.
    #[inline]
    pub(super) fn at(text: &[u8], at: usize) -> Self {
        block(text, at, Self::of, |shape, left_out| Self {
            quotes: Quotes { places: shape.quotes.places.unbounded_shr(left_out), ..shape.quotes },
            opening: shape.opening.unbounded_shr(left_out),
            closing: shape.closing.unbounded_shr(left_out),
        })
    }

    #[inline]
    fn of(bytes: &[u8; BLOCK]) -> Self {
        let mut shape = Self { quotes: Quotes::of(bytes), opening: 0, closing: 0 };
        let (parts, _) = bytes.as_chunks();
        for (part, bytes) in parts.iter().enumerate() {
            // `[` and `{` are one bit apart, and so are `]` and `}`.
            let bytes = u8x16::new(*bytes) | u8x16::splat(0x20);
            shape.opening |= places_of(b'{', bytes, part);
            shape.closing |= places_of(b'}', bytes, part);
        }
        shape
    }
}

/// Looks at a block; where the text ends in it, at the last one of the text, of which the first bytes are left out.
#[inline(always)]
fn block<T>(
    text: &[u8],
    at: usize,
    look: impl Fn(&[u8; BLOCK]) -> T,
    leave_out: impl FnOnce(T, u32) -> T,
) -> T {
    let missing = (at + BLOCK).saturating_sub(text.len());
    match text.get(at.wrapping_sub(missing)..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => leave_out(look(bytes), u32::try_from(missing).unwrap_or(u32::MAX)),
        None => look(&short_block(text, at)),
    }
}

/// Copies what a text of less than a block has from a place on.
#[inline(never)]
fn short_block(text: &[u8], at: usize) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    let rest = text.get(at..).unwrap_or_default();
    if let Some(bytes) = bytes.get_mut(..rest.len()) {
        bytes.copy_from_slice(rest);
    }
    bytes
}

/// Finds where a number or a word ends that may begin at a place: at a comma, a bracket or a quote. It looks no further than
/// sixteen bytes.
#[inline]
pub(super) fn end_of_token(text: &[u8], at: usize) -> Option<usize> {
    let bytes = u8x16::new(*text.get(at..).and_then(<[u8]>::first_chunk)?);
    // These bits are all in which brackets differ. `Y`, `_`, `y` and DEL, which no number and no word of JSON has, become the
    // same as they.
    let brackets = equal(bytes | u8x16::splat(0x26), 0x7f);
    let ends = (brackets | equal(bytes, b',') | equal(bytes, b'"')).to_bitmask();
    (ends != 0).then(|| at + ends.trailing_zeros() as usize)
}

/// Tells which bytes of a block are escaped: a backslash is before them that is none itself. `first` says it of the first, and
/// what is given back of the first of the next block.
pub(super) fn escaped(text: &[u8], at: usize, first: bool) -> (u64, bool) {
    let bytes = text.get(at..).unwrap_or_default().iter().take(BLOCK);
    let (mut escaped, mut is_escaped) = (0, first);
    for (place, byte) in bytes.enumerate() {
        escaped |= u64::from(is_escaped) << place;
        is_escaped = !is_escaped && *byte == b'\\';
    }
    (escaped, is_escaped)
}

#[inline]
fn places_of(byte: u8, bytes: u8x16, part: usize) -> u64 {
    u64::from(equal(bytes, byte).to_bitmask()) << (16 * part)
}

#[inline]
fn equal(bytes: u8x16, byte: u8) -> u8x16 {
    u8x16::simd_eq(bytes, u8x16::splat(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn texts()(text in prop::collection::vec(prop::sample::select(b"\"\\{}[],0\x00\xff".as_slice()), 0..150), at in 0usize..150) -> (Vec<u8>, usize) {
            let at = at.min(text.len());
            (text, at)
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_there((text, at) in texts()) {
            let bytes: Vec<u8> = (at..at + BLOCK).map(|at| text.get(at).copied().unwrap_or_default()).collect();
            let bits = |among: &[u8]| {
                (0..).zip(&bytes).fold(0_u64, |bits, (place, byte)| bits | u64::from(among.contains(byte)) << place)
            };
            let shape = Shape::at(&text, at);
            let quotes = Quotes::at(&text, at);
            prop_assert_eq!(shape.quotes, quotes);
            prop_assert_eq!([quotes.places, shape.opening, shape.closing], [bits(b"\""), bits(b"[{"), bits(b"]}")]);
            prop_assert!(quotes.has_backslashes || bits(b"\\") == 0);
            let end = bytes.iter().take(16).position(|byte| b",\"[]{}".contains(byte)).map(|place| at + place);
            prop_assert_eq!(end_of_token(&text, at), end.filter(|_| at + 16 <= text.len()));
        }

        #[test]
        fn quotes_and_backslashes_change_what_follows((text, at) in texts(), first in any::<bool>()) {
            let (places, last) = escaped(&text, at, first);
            let strings = Quotes::at(&text, at).strings(if first { u64::MAX } else { 0 });
            let (mut inside, mut is_escaped) = (first, first);
            for (place, byte) in text.iter().skip(at).take(BLOCK).enumerate() {
                inside ^= *byte == b'"';
                prop_assert_eq!(strings >> place & 1 == 1, inside);
                prop_assert_eq!(places >> place & 1 == 1, is_escaped);
                is_escaped = *byte == b'\\' && !is_escaped;
            }
            prop_assert_eq!(last, is_escaped);
        }
    }
}
