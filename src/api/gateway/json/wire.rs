//! The protobuf wire format: tags, varints, fixed-width values, lengths and groups.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use super::error::Damage;

/// A field number and a wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u32);

/// How the value after a tag is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    GroupStart = 3,
    GroupEnd = 4,
    Fixed32 = 5,
}

impl Tag {
    pub(super) const fn new(number: u32, wire_type: WireType) -> Self {
        Self(number << 3 | wire_type as u32)
    }

    pub(super) const fn number(self) -> u32 {
        self.0 >> 3
    }

    const fn wire_type(self) -> Option<WireType> {
        Some(match self.0 & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Length,
            3 => WireType::GroupStart,
            4 => WireType::GroupEnd,
            5 => WireType::Fixed32,
            _ => return None,
        })
    }

    /// Gets the only byte of a short one, or what is no byte.
    pub(super) const fn short(self) -> u32 {
        if self.0 < 0x80 { self.0 } else { u32::MAX }
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        put_varint(u64::from(self.0), out);
    }
}

/// Wire bytes that are still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'w> {
    rest: &'w [u8],
}

impl<'w> Wire<'w> {
    pub(super) const fn new(bytes: &'w [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads a tag of one byte, if it is this one.
    #[inline]
    pub(super) fn take(&mut self, short: u32) -> bool {
        match self.rest {
            [byte, rest @ ..] if u32::from(*byte) == short => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads a tag.
    pub(super) fn tag(&mut self) -> Result<Tag, Damage> {
        let tag = Tag(u32::try_from(self.varint()?).map_err(|_| Damage::Tag)?);
        if tag.number() == 0 || tag.wire_type().is_none() {
            return Err(Damage::Tag);
        }
        Ok(tag)
    }

    /// Gets the next tag without reading it, or nothing at the end.
    pub(super) fn ahead(&self) -> Result<Option<Tag>, Damage> {
        let mut ahead = *self;
        if ahead.is_empty() { Ok(None) } else { ahead.tag().map(Some) }
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Damage> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline]
    fn long_varint(&mut self) -> Result<u64, Damage> {
        let word = word(self.rest);
        let ends = !word & repeat(0x80);
        let length = ends.trailing_zeros() as usize / 8 + 1;
        let Some(rest) = self.rest.get(length..) else { return self.any_varint() };
        if ends == 0 {
            return self.any_varint();
        }
        self.rest = rest;
        // Up to the byte that ends it, without the bits that say whether more follow, and then without their gaps:
        // each step joins neighbours.
        let bits = word & (ends ^ (ends - 1)) & repeat(0x7f);
        let bits = bits & 0x007f_007f_007f_007f | (bits & 0x7f00_7f00_7f00_7f00) >> 1;
        let bits = bits & 0x0000_3fff_0000_3fff | (bits & 0x3fff_0000_3fff_0000) >> 2;
        Ok(bits & 0x0000_0000_0fff_ffff | (bits & 0x0fff_ffff_0000_0000) >> 4)
    }

    /// Reads one that may be damaged, cut off, or longer than a word.
    fn any_varint(&mut self) -> Result<u64, Damage> {
        const LONGEST: usize = 10;
        let mut value = 0;
        for (position, &byte) in self.rest.iter().take(LONGEST).enumerate() {
            // The tenth byte holds the last bit of 64.
            if position == LONGEST - 1 && byte > 1 {
                return Err(Damage::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                self.rest = self.rest.get(position + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Damage::Truncated)
    }

    pub(super) fn fixed32(&mut self) -> Result<u32, Damage> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Damage::Truncated)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, Damage> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Damage::Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Reads a length and that many bytes.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'w [u8], Damage> {
        let length = usize::try_from(self.varint()?).map_err(|_| Damage::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Damage::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads the same, with what stands there on the wire: the value and whatever follows.
    #[inline]
    pub(super) fn bytes_ahead(&mut self) -> Result<(&'w [u8], Option<&'w [u8; 16]>), Damage> {
        let length = usize::try_from(self.varint()?).map_err(|_| Damage::Truncated)?;
        let ahead = self.rest.first_chunk();
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Damage::Truncated)?;
        self.rest = rest;
        Ok((bytes, ahead))
    }

    /// Reads what is within a group whose start was read, and its end. Groups nest within it at most `depth` deep.
    pub(super) fn group(&mut self, number: u32, depth: u32) -> Result<&'w [u8], Damage> {
        let depth = depth.checked_sub(1).ok_or(Damage::TooDeep)?;
        let from = *self;
        loop {
            let end = *self;
            let tag = self.tag()?;
            if tag == Tag::new(number, WireType::GroupEnd) {
                return Ok(from.until(end));
            }
            self.skip(tag, depth)?;
        }
    }

    /// Passes over the value after a tag, and returns its bytes as they stand, with the length or end of group.
    pub(super) fn skip(&mut self, tag: Tag, depth: u32) -> Result<&'w [u8], Damage> {
        let from = *self;
        match tag.wire_type() {
            Some(WireType::Varint) => {
                self.varint()?;
            }
            Some(WireType::Fixed32) => {
                self.fixed32()?;
            }
            Some(WireType::Fixed64) => {
                self.fixed64()?;
            }
            Some(WireType::Length) => {
                self.bytes()?;
            }
            Some(WireType::GroupStart) => {
                self.group(tag.number(), depth)?;
            }
            Some(WireType::GroupEnd) => return Err(Damage::Group),
            None => return Err(Damage::Tag),
        }
        Ok(from.until(*self))
    }

    fn until(self, end: Self) -> &'w [u8] {
        let length = self.rest.len() - end.rest.len();
        self.rest.get(..length).unwrap_or_default()
    }
}

/// Gets the first eight bytes as a little-endian number, with zeros where there are fewer.
#[inline]
pub(super) fn word(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk() {
        return u64::from_le_bytes(*first);
    }
    // Two reads that may overlap, since the same bytes are the same at the same place.
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (bytes.len() - 4));
    }
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Makes a word of one byte eight times.
pub(super) const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Appends a varint.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// Folds the sign into the lowest bit, so that small negative numbers are short.
pub(super) const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Undoes [`zigzag`].
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Gets what a 32-bit field keeps of a varint.
#[expect(clippy::cast_possible_truncation, reason = "the wire format drops the high bits of 32-bit fields")]
pub(super) const fn low_word(value: u64) -> u32 {
    value as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the higher bits follow in the next bytes")]
const fn low_byte(value: u64) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn damaged_varints_are_told_apart() {
        for (bytes, expected) in [
            (&[][..], Damage::Truncated),
            (&[0x80], Damage::Truncated),
            (&[0xff; 9], Damage::Truncated),
            (&[0xff; 10], Damage::Varint),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], Damage::Varint),
        ] {
            assert_eq!(Wire::new(bytes).varint(), Err(expected), "{bytes:x?}");
        }
    }

    #[test]
    fn damaged_tags_are_told_apart() {
        for (bytes, expected) in [
            (&[0x00][..], Damage::Tag),
            (&[0x0e], Damage::Tag),
            (&[0x0f], Damage::Tag),
            (&[0xff, 0xff, 0xff, 0xff, 0x1f], Damage::Tag),
            (&[0x88], Damage::Truncated),
        ] {
            assert_eq!(Wire::new(bytes).tag(), Err(expected), "{bytes:x?}");
        }
    }

    #[test]
    fn groups_end_with_their_own_number() {
        let skip = |bytes: &[u8]| {
            let mut wire = Wire::new(bytes);
            let tag = wire.tag()?;
            wire.skip(tag, 3).map(<[u8]>::to_vec)
        };
        assert_eq!(skip(&[0x0b, 0x10, 0x05, 0x0c]), Ok(vec![0x10, 0x05, 0x0c]));
        assert_eq!(skip(&[0x0b, 0x13, 0x14, 0x0c]), Ok(vec![0x13, 0x14, 0x0c]));
        assert_eq!(skip(&[0x0b, 0x14]), Err(Damage::Group));
        assert_eq!(skip(&[0x0c]), Err(Damage::Group));
        assert_eq!(skip(&[0x0b, 0x10, 0x05]), Err(Damage::Truncated));
        assert_eq!(skip(&[0x0b; 4]), Err(Damage::TooDeep));
    }

    proptest! {
        #[test]
        fn varints_read_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            let mut wire = Wire::new(&bytes);
            prop_assert_eq!(wire.varint(), Ok(value));
            prop_assert!(wire.is_empty());
        }

        #[test]
        fn zigzag_is_undone(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
