//! Objects and arrays, from part to part.

use super::{Error, Reader, others};

/// How far an object or an array has been read.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::feed::json) struct Parts {
    /// What stands before the next part: the opening bracket, or a comma.
    before: u8,
    closing: u8,
}

impl<'a> Reader<'a> {
    /// Goes to an object or an array: its opening bracket is passed with its first part, or with its end.
    #[inline(always)]
    pub(in crate::feed::json) fn enter(&mut self, opening: u8) -> Result<Parts, Error> {
        if self.peek() == Some(opening) {
            // As it happens, for both kinds.
            Ok(Parts { before: opening, closing: opening + 2 })
        } else {
            Err(self.wants(if opening == b'{' { "an object" } else { "an array" }))
        }
    }

    /// Tells whether a part of an object or an array comes next, and goes to it.
    #[inline(always)]
    pub(in crate::feed::json) fn more(&mut self, parts: &mut Parts) -> Result<bool, Error> {
        match self.peek() {
            Some(byte) if byte == parts.before => {
                self.at += 1;
                parts.before = b',';
                Ok(byte == b',' || self.peek() != Some(parts.closing))
            }
            Some(byte) if byte == parts.closing && parts.before == b',' => Ok(false),
            _ => Err(self.wants("a comma or a closing bracket")),
        }
    }

    /// Passes the end of an object or an array.
    #[inline(always)]
    pub(in crate::feed::json) fn leave(&mut self, parts: &mut Parts) -> Result<(), Error> {
        if parts.before != b',' && self.more(parts)? {
            return Err(self.wants("a closing bracket"));
        }
        self.pass(parts.closing, "a closing bracket")
    }

    /// Reads the name of an object's next field; passes the end of the object where there is none.
    #[inline(always)]
    pub(in crate::feed::json) fn name(&mut self, parts: &mut Parts) -> Result<Option<&'a [u8]>, Error> {
        let name = self.key(parts)?;
        self.at += usize::from(name.is_none());
        Ok(name)
    }

    /// Does the same, but for the end.
    #[inline(always)]
    pub(in crate::feed::json) fn key(&mut self, parts: &mut Parts) -> Result<Option<&'a [u8]>, Error> {
        if let Some(name) = self.key_at_once(parts.before) {
            parts.before = b',';
            return Ok(Some(name));
        }
        if self.byte(self.at) == Some(parts.closing) && parts.before == b',' {
            return Ok(None);
        }
        self.key_in_steps(parts)
    }

    /// Reads `,"name":` as it is nearly always written, and where all of it is in one block.
    #[inline(always)]
    fn key_at_once(&mut self, before: u8) -> Option<&'a [u8]> {
        let closing = others(self.quotes);
        if closing == 0 {
            return None;
        }
        let bytes = self.text.as_bytes();
        let end = self.place(closing);
        match bytes.get(self.at..end) {
            Some([first, b'"', name @ ..]) if *first == before && bytes.get(end + 1) == Some(&b':') => {
                self.quotes = others(closing);
                self.at = end + 2;
                Some(name)
            }
            _ => None,
        }
    }

    /// Does the same where that cannot be.
    #[inline(never)]
    fn key_in_steps(&mut self, parts: &mut Parts) -> Result<Option<&'a [u8]>, Error> {
        self.look();
        if let Some(name) = self.key_at_once(parts.before) {
            parts.before = b',';
            return Ok(Some(name));
        }
        if !self.more(parts)? {
            return Ok(None);
        }
        let name = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.wants("a colon"));
        }
        self.at += 1;
        Ok(Some(name.as_bytes()))
    }
}
