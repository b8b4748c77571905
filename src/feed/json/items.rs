//! Arrays whose items are not alike.

use serde::{Deserialize, de::IgnoredAny};

use super::{
    Error,
    reader::{Parts, Reader},
};

/// An array whose items are read one by one.
pub(in crate::feed) struct Items<'a> {
    reader: Reader<'a>,
    parts: Parts,
    /// What is before the next item has been passed.
    ready: bool,
    /// Arrays around this one.
    depth: usize,
}

impl<'a> Items<'a> {
    pub(in crate::feed) fn open(text: &'a str) -> Result<Self, Error> {
        let mut reader = Reader::new(text);
        let parts = reader.enter(b'[')?;
        Ok(Self { reader, parts, ready: false, depth: 0 })
    }

    /// Reads the next item, if there is one more.
    pub(in crate::feed) fn next<T: Deserialize<'a>>(&mut self) -> Result<Option<T>, Error> {
        if self.more()? { T::deserialize(&mut self.reader).map(Some) } else { Ok(None) }
    }

    /// Tells whether there is one more.
    pub(in crate::feed) fn has_more(&mut self) -> Result<bool, Error> {
        self.ready = self.more()?;
        Ok(self.ready)
    }

    /// Goes to the next item, if there is one.
    #[inline]
    fn more(&mut self) -> Result<bool, Error> {
        if std::mem::take(&mut self.ready) { Ok(true) } else { self.reader.more(&mut self.parts) }
    }

    /// Reads the next item if it is a string.
    pub(in crate::feed) fn next_word(&mut self) -> Result<Option<&'a str>, Error> {
        if self.has_more()? && self.reader.peek() == Some(b'"') {
            self.ready = false;
            return self.reader.unescaped().map(Some);
        }
        Ok(None)
    }

    /// Goes into the next item, an array: its items come next.
    pub(in crate::feed) fn enter(&mut self) -> Result<(), Error> {
        self.more()?;
        self.parts = self.reader.enter(b'[')?;
        self.depth += 1;
        Ok(())
    }

    /// Passes all that is left, to the end of the text.
    pub(in crate::feed) fn end(&mut self) -> Result<(), Error> {
        for _ in 0..=std::mem::take(&mut self.depth) {
            while self.next::<IgnoredAny>()?.is_some() {}
            self.reader.leave(&mut self.parts)?;
        }
        self.reader.end()
    }
}
