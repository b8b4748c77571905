//! Arrays whose items are not alike.

use serde::{Deserialize, de::IgnoredAny};

use super::{Error, reader::Reader};

/// An array whose items are read one by one.
pub(in crate::feed) struct Items<'a> {
    reader: Reader<'a>,
    first: bool,
    /// Arrays around this one.
    depth: usize,
}

impl<'a> Items<'a> {
    pub(in crate::feed) fn open(text: &'a str) -> Result<Self, Error> {
        let mut items = Self { reader: Reader::new(text), first: true, depth: 0 };
        items.reader.pass(b'[', "an array")?;
        Ok(items)
    }

    /// Reads the next item, if there is one more.
    pub(in crate::feed) fn next<T: Deserialize<'a>>(&mut self) -> Result<Option<T>, Error> {
        if self.reader.more(b']', &mut self.first)? {
            T::deserialize(&mut self.reader).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Tells whether there is one more.
    pub(in crate::feed) fn has_more(&mut self) -> bool {
        self.reader.peek() != Some(b']')
    }

    /// Reads the next item if it is a string.
    pub(in crate::feed) fn next_word(&mut self) -> Result<Option<&'a str>, Error> {
        let before = (self.reader.at, self.first);
        if self.reader.more(b']', &mut self.first)? && self.reader.peek() == Some(b'"') {
            return self.reader.plain().map(Some);
        }
        (self.reader.at, self.first) = before;
        Ok(None)
    }

    /// Goes into the next item, an array: its items come next.
    pub(in crate::feed) fn enter(&mut self) -> Result<(), Error> {
        self.reader.more(b']', &mut self.first)?;
        self.reader.pass(b'[', "an array")?;
        self.depth += 1;
        self.first = true;
        Ok(())
    }

    /// Passes all that is left, to the end of the text.
    pub(in crate::feed) fn end(&mut self) -> Result<(), Error> {
        for _ in 0..=std::mem::take(&mut self.depth) {
            while self.next::<IgnoredAny>()?.is_some() {}
            self.reader.pass(b']', "a closing bracket")?;
            self.first = false;
        }
        self.reader.end()
    }
}
