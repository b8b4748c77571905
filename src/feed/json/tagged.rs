//! Objects of which one field tells what the others are.

use serde::Deserialize;

use super::{
    Error,
    deserializer::Fields,
    reader::{Parts, Reader},
};

/// An object of which one field, the tag, tells what the others are.
#[derive(Debug, Clone, Copy)]
pub(in crate::feed) struct Tagged<'a> {
    /// What the tag holds: the inside of a string, or other JSON, as it is written.
    pub(in crate::feed) tag: Option<&'a str>,
    /// Where the fields are that have not been read.
    reader: Reader<'a>,
    parts: Parts,
}

impl<'a> Tagged<'a> {
    /// Reads an object up to its tag, which has one of these names.
    #[inline]
    pub(in crate::feed) fn open(text: &'a str, names: &[&str]) -> Result<Self, Error> {
        let mut reader = Reader::new(text);
        let mut parts = reader.enter(b'{')?;
        let begin = (reader, parts);
        let mut is_first = true;
        while let Some(name) = reader.name(&mut parts)? {
            if names.iter().any(|known| known.as_bytes() == name) {
                let tag = Some(reader.inside()?);
                let (reader, parts) = if is_first { (reader, parts) } else { begin };
                return Ok(Self { tag, reader, parts });
            }
            reader.skip()?;
            is_first = false;
        }
        reader.end()?;
        let (reader, parts) = begin;
        Ok(Self { tag: None, reader, parts })
    }

    /// Reads the object, but for a tag that comes first.
    #[inline]
    pub(in crate::feed) fn read<T: Deserialize<'a>>(mut self) -> Result<T, Error> {
        let value = T::deserialize(Fields { reader: &mut self.reader, parts: self.parts })?;
        self.reader.end()?;
        Ok(value)
    }
}
