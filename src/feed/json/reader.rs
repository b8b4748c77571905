//! The text, and the small steps through it.

use std::{ops::Range, str::FromStr};

use rust_decimal::Decimal;

use super::Error;
use crate::domain::decimal::digits;

/// A text, and how far it has been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    text: &'a str,
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads the same text from another place.
    pub(super) fn back_to(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// Gets the next byte that is no white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.at) {
            Some(byte) if *byte > b' ' => Some(*byte),
            _ => self.peek_on(),
        }
    }

    /// Does the same where there is white space, which venues seldom write.
    #[cold]
    fn peek_on(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes a byte that must come next.
    #[inline]
    pub(super) fn pass(&mut self, byte: u8, name: &str) -> Result<(), Error> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.wants(name))
        }
    }

    #[cold]
    pub(super) fn wants(&self, what: &str) -> Error {
        Error(format!("expected {what} at byte {}", self.at).into())
    }

    /// Gets what has been read since a place.
    #[inline]
    fn since(&self, start: usize) -> Result<&'a str, Error> {
        self.text.get(start..self.at).ok_or_else(|| self.wants("a whole character"))
    }

    /// Reads the inside of a string, as it is written.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a str, Error> {
        let start = self.pass_string()?;
        self.text.get(start..self.at - 1).ok_or_else(|| self.wants("a whole character"))
    }

    /// Reads a string in which nothing is escaped.
    #[inline]
    pub(super) fn plain(&mut self) -> Result<&'a str, Error> {
        let start = self.pass_string()?;
        let inside = start..self.at - 1;
        if find(self.text.as_bytes(), b'\\', inside.clone()).is_some() {
            return Err(self.wants("a string without escapes"));
        }
        self.text.get(inside).ok_or_else(|| self.wants("a whole character"))
    }

    /// Passes a string; tells where its inside begins.
    #[inline]
    fn pass_string(&mut self) -> Result<usize, Error> {
        self.pass(b'"', "a string")?;
        let start = self.at;
        loop {
            match find(self.text.as_bytes(), b'"', self.at..self.text.len()) {
                Some(quote) => self.at = quote + 1,
                None => return Err(self.wants("the end of a string")),
            }
            if !self.is_escaped() {
                return Ok(start);
            }
        }
    }

    /// Tells whether the quote that has just been passed is one inside of a string: an odd number of backslashes stands
    /// before it.
    #[inline]
    fn is_escaped(&self) -> bool {
        let before = self.text.as_bytes().get(..self.at - 1).unwrap_or_default();
        before.last() == Some(&b'\\')
            && before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
    }

    /// Reads a decimal as [`digits`] does, in quotes or without; passes nothing where that cannot be.
    #[inline]
    pub(super) fn decimal(&mut self) -> Option<Decimal> {
        let quoted = self.peek() == Some(b'"');
        let start = self.at + usize::from(quoted);
        let (value, length) = digits::decimal(self.text.as_bytes().get(start..)?)?;
        let end = start + length;
        let next = self.text.as_bytes().get(end);
        if quoted && next == Some(&b'"') {
            self.at = end + 1;
        } else if !quoted && !next.copied().is_some_and(is_of_token) {
            self.at = end;
        } else {
            return None;
        }
        Some(value)
    }

    /// Reads a number or a word.
    #[inline]
    pub(super) fn token(&mut self) -> Result<&'a str, Error> {
        self.peek();
        let start = self.at;
        loop {
            // Most of it is digits.
            self.at += digits::count(self.text.as_bytes().get(self.at..).unwrap_or_default());
            match self.text.as_bytes().get(self.at) {
                Some(byte) if is_of_token(*byte) => self.at += 1,
                _ => break,
            }
        }
        match self.since(start)? {
            "" => Err(self.wants("a value")),
            token => Ok(token),
        }
    }

    #[inline]
    pub(super) fn scalar(&mut self) -> Result<&'a str, Error> {
        if self.peek() == Some(b'"') { self.string() } else { self.token() }
    }

    /// Reads the inside of a string, or any other value, as it is written.
    #[inline]
    pub(super) fn inside(&mut self) -> Result<&'a str, Error> {
        if let Some(b'{' | b'[') = self.peek() { self.raw() } else { self.scalar() }
    }

    /// Passes any value.
    #[inline]
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'{' | b'[') => self.skip_nested(),
            Some(b'"') => self.pass_string().map(drop),
            _ => self.token().map(drop),
        }
    }

    /// Passes an object or an array, whatever is in it.
    fn skip_nested(&mut self) -> Result<(), Error> {
        let bytes = self.text.as_bytes();
        let mut depth = 0_usize;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.pass_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
        Err(self.wants("a closing bracket"))
    }

    pub(super) fn raw(&mut self) -> Result<&'a str, Error> {
        self.peek();
        let start = self.at;
        self.skip()?;
        self.since(start)
    }

    /// Tells whether a part of an object or an array comes next, and goes to it.
    #[inline]
    pub(super) fn more(&mut self, closing: u8, first: &mut bool) -> Result<bool, Error> {
        match self.peek() {
            Some(byte) if byte == closing => Ok(false),
            Some(b',') if !*first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if std::mem::take(first) => Ok(true),
            _ => Err(self.wants("a comma or a closing bracket")),
        }
    }

    /// Reads the name of an object's next field; passes the end of the object where there is none.
    #[inline]
    pub(super) fn name(&mut self, first: &mut bool) -> Result<Option<&'a [u8]>, Error> {
        let name = self.key(first)?;
        self.at += usize::from(name.is_none());
        Ok(name)
    }

    /// Does the same, but for the end.
    #[inline]
    pub(super) fn key(&mut self, first: &mut bool) -> Result<Option<&'a [u8]>, Error> {
        match self.key_at_once(*first) {
            Some(name) => {
                *first = false;
                Ok(Some(name))
            }
            None => self.key_in_steps(first),
        }
    }

    /// Reads `,"name":` as it is nearly always written.
    #[inline]
    fn key_at_once(&mut self, first: bool) -> Option<&'a [u8]> {
        let bytes = self.text.as_bytes();
        let mut start = self.at;
        if !first {
            bytes.get(start).filter(|byte| **byte == b',')?;
            start += 1;
        }
        bytes.get(start).filter(|byte| **byte == b'"')?;
        start += 1;
        let end = find(bytes, b'"', start..bytes.len())?;
        let (before, after) = (bytes.get(end - 1)?, bytes.get(end + 1)?);
        if *before == b'\\' || *after != b':' {
            return None;
        }
        self.at = end + 2;
        bytes.get(start..end)
    }

    #[cold]
    fn key_in_steps(&mut self, first: &mut bool) -> Result<Option<&'a [u8]>, Error> {
        if !self.more(b'}', first)? {
            return Ok(None);
        }
        let name = self.string()?;
        self.pass(b':', "a colon")?;
        Ok(Some(name.as_bytes()))
    }

    /// Checks that nothing comes any more.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if self.peek().is_none() { Ok(()) } else { Err(self.wants("nothing more")) }
    }

    /// Reads a whole number.
    #[inline]
    pub(super) fn whole<T: TryFrom<i64> + FromStr>(&mut self) -> Result<T, Error> {
        self.peek();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if let Some((value, length)) = digits::whole(rest)
            && !rest.get(length).copied().is_some_and(is_of_token)
            && let Ok(value) = T::try_from(value)
        {
            self.at += length;
            return Ok(value);
        }
        let token = self.token()?;
        token.parse().map_err(|_| self.wants("a whole number before what stands"))
    }
}

/// Tells what numbers and words are made of.
#[inline]
fn is_of_token(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'+' | b'-' | b'.' | b'E')
}

/// Finds a byte within a part of a text, eight at a time; the last seven of the text one by one.
#[inline]
fn find(text: &[u8], byte: u8, within: Range<usize>) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let mut at = within.start;
    while at < within.end {
        let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) else {
            let rest = text.get(at..within.end).unwrap_or_default();
            return rest.iter().position(|other| *other == byte).map(|place| at + place);
        };
        let others = u64::from_le_bytes(*eight) ^ (ONES * u64::from(byte));
        // The lowest bit that is set is that of the first byte which is the one looked for.
        let found = others.wrapping_sub(ONES) & !others & HIGHS;
        if found != 0 {
            let place = at + found.trailing_zeros() as usize / 8;
            return Some(place).filter(|place| *place < within.end);
        }
        at += 8;
    }
    None
}
