//! The text, and the small steps through it.

mod parts;

use std::str::FromStr;

use super::{
    Error,
    scan::{self, BLOCK, Quotes, Shape},
};
use crate::domain::decimal::digits::{self, Short};

pub(super) use self::parts::Parts;

/// A text, and how far it has been read.
///
/// Where a string ends is not searched for: the quotes of a block of the text are known at once. So a step does not have to wait
/// for what the step before it has found, which costs more than all else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    text: &'a str,
    /// All before it has been read.
    at: usize,
    /// The quotes of a block of the text, but for those that have been passed.
    quotes: u64,
    /// Where that block ends.
    end: usize,
    /// Backslashes have been seen.
    has_backslashes: bool,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, quotes: 0, end: 0, has_backslashes: false }
    }

    /// Gets a byte.
    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Gets the next byte that is no white space.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.byte(self.at) {
            Some(byte) if byte > b' ' => Some(byte),
            _ => self.peek_on(),
        }
    }

    /// Does the same where there is white space, which venues seldom write.
    #[cold]
    fn peek_on(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte(self.at) {
            self.at += 1;
        }
        self.byte(self.at)
    }

    /// Tells where the first of some quotes is.
    #[inline(always)]
    fn place(&self, quotes: u64) -> usize {
        (self.end + quotes.trailing_zeros() as usize).wrapping_sub(BLOCK)
    }

    /// Looks at the block that begins where reading is, outside of strings.
    #[inline(never)]
    fn look(&mut self) -> bool {
        self.end = self.at;
        self.look_on(false)
    }

    /// Looks at the next block, of which the first byte may have a backslash before it; tells that of the block after it.
    #[inline]
    fn look_on(&mut self, is_escaped: bool) -> bool {
        let quotes = Quotes::at(self.text.as_bytes(), self.end);
        self.quotes = quotes.places;
        let mut next_is_escaped = false;
        if quotes.has_backslashes || is_escaped {
            let (escaped, next) = scan::escaped(self.text.as_bytes(), self.end, is_escaped);
            self.quotes &= !escaped;
            (next_is_escaped, self.has_backslashes) = (next, true);
        }
        self.end += BLOCK;
        next_is_escaped
    }

    /// Goes on to a place outside of strings.
    fn go_to(&mut self, at: usize) {
        (self.at, self.quotes) = (at, 0);
    }

    /// Passes a bracket that must come next.
    #[inline(always)]
    fn pass(&mut self, byte: u8, name: &str) -> Result<(), Error> {
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
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<&'a str, Error> {
        let start = self.pass_string()?;
        self.text.get(start..self.at - 1).ok_or_else(|| self.wants("a whole character"))
    }

    /// Reads a string in which nothing is escaped.
    #[inline(always)]
    pub(super) fn unescaped(&mut self) -> Result<&'a str, Error> {
        let inside = self.string()?;
        if self.has_backslashes && inside.contains('\\') {
            return Err(self.wants("a string without escapes"));
        }
        Ok(inside)
    }

    /// Passes a string; tells where its inside begins.
    #[inline(always)]
    fn pass_string(&mut self) -> Result<usize, Error> {
        let closing = others(self.quotes);
        if self.byte(self.at) != Some(b'"') || closing == 0 {
            return self.pass_string_in_steps();
        }
        let start = self.at + 1;
        self.at = self.place(closing) + 1;
        self.quotes = others(closing);
        Ok(start)
    }

    /// Does the same where the string is not in one block, or is none.
    #[inline(never)]
    fn pass_string_in_steps(&mut self) -> Result<usize, Error> {
        if self.peek() != Some(b'"') {
            return Err(self.wants("a string"));
        }
        let start = self.at + 1;
        let mut is_escaped = self.look();
        self.quotes = others(self.quotes);
        while self.quotes == 0 {
            if self.end >= self.text.len() {
                return Err(self.wants("the end of a string"));
            }
            is_escaped = self.look_on(is_escaped);
        }
        self.at = self.place(self.quotes) + 1;
        self.quotes = others(self.quotes);
        Ok(start)
    }

    /// Reads a decimal as [`digits`] does, in quotes or without; passes nothing where that cannot be.
    #[inline(always)]
    pub(super) fn decimal(&mut self) -> Option<Short> {
        let quoted = self.peek() == Some(b'"');
        let start = self.at + usize::from(quoted);
        let short = digits::decimal(self.text.as_bytes(), start)?;
        let end = start + short.length();
        match self.byte(end) {
            Some(b'"') if quoted => {
                self.quotes = others(others(self.quotes));
                self.at = end + 1;
            }
            next if !quoted && !next.is_some_and(is_of_token) => self.at = end,
            _ => return None,
        }
        Some(short)
    }

    /// Reads a number or a word.
    #[inline]
    pub(super) fn token(&mut self) -> Result<&'a str, Error> {
        self.peek();
        let start = self.at;
        loop {
            // Most of it is digits.
            self.at += digits::count(self.text.as_bytes(), self.at);
            match self.byte(self.at) {
                Some(byte) if is_of_token(byte) => self.at += 1,
                _ => break,
            }
        }
        match self.since(start)? {
            "" => Err(self.wants("a value")),
            token => Ok(token),
        }
    }

    /// Passes a word, if it is what comes next.
    #[inline(always)]
    pub(super) fn is_word(&mut self, word: &[u8]) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let is_next = rest.starts_with(word) && !rest.get(word.len()).copied().is_some_and(is_of_token);
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    /// Reads the inside of a string, a number or a word.
    #[inline(always)]
    pub(super) fn scalar(&mut self) -> Result<&'a str, Error> {
        if self.peek() == Some(b'"') { self.string() } else { self.token() }
    }

    /// Does the same where it is seldom done.
    #[inline(never)]
    pub(super) fn other_scalar(&mut self) -> Result<&'a str, Error> {
        self.scalar()
    }

    /// Reads the inside of a string, or any other value, as it is written.
    #[inline]
    pub(super) fn inside(&mut self) -> Result<&'a str, Error> {
        if let Some(b'{' | b'[') = self.peek() { self.raw() } else { self.scalar() }
    }

    /// Passes any value.
    #[inline(always)]
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'{' | b'[') => self.skip_nested(0),
            Some(b'"') => self.pass_string().map(drop),
            _ => self.skip_token(),
        }
    }

    /// Passes what is neither in quotes nor in brackets.
    #[inline(always)]
    fn skip_token(&mut self) -> Result<(), Error> {
        match scan::end_of_token(self.text.as_bytes(), self.at) {
            Some(end) if end > self.at => {
                self.at = end;
                Ok(())
            }
            _ => self.token().map(drop),
        }
    }

    /// Passes a value, and all after it up to the bracket that closes the one which is open.
    #[inline]
    pub(super) fn skip_rest(&mut self) -> Result<(), Error> {
        if matches!(self.peek(), Some(b'}' | b']')) {
            Err(self.wants("a value"))
        } else {
            self.skip_nested(1)
        }
    }

    /// Passes an object or an array, whatever is in it; where one is open, what is left of it, but for the bracket that
    /// closes it.
    #[inline(never)]
    fn skip_nested(&mut self, open: usize) -> Result<(), Error> {
        let text = self.text.as_bytes();
        let (mut depth, mut inside, mut escaped) = (open, 0, false);
        let mut start = self.at;
        while start < text.len() {
            let mut shape = Shape::at(text, start);
            if shape.quotes.has_backslashes || escaped {
                let (places, next) = scan::escaped(text, start, escaped);
                shape.quotes.places &= !places;
                escaped = next;
            }
            let strings = shape.quotes.strings(inside);
            // Where the block ends in a string, all bits.
            inside = (strings.cast_signed() >> (BLOCK - 1)).cast_unsigned();
            let mut brackets = (shape.opening | shape.closing) & !strings;
            while brackets != 0 {
                let first = brackets & brackets.wrapping_neg();
                depth = if shape.opening & first != 0 { depth + 1 } else { depth - 1 };
                if depth == 0 {
                    let place = start + first.trailing_zeros() as usize;
                    self.go_to(place + usize::from(open == 0));
                    return Ok(());
                }
                brackets ^= first;
            }
            start += BLOCK;
        }
        self.at = text.len();
        Err(self.wants("a closing bracket"))
    }

    /// Reads any value, as it is written.
    pub(super) fn raw(&mut self) -> Result<&'a str, Error> {
        self.peek();
        let start = self.at;
        self.skip()?;
        self.since(start).map(str::trim_ascii_end)
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
        let bytes = self.text.as_bytes();
        if let Some((value, length)) = digits::whole(bytes, self.at)
            && let end = self.at + length
            && !bytes.get(end).copied().is_some_and(is_of_token)
            && let Ok(value) = T::try_from(value)
        {
            self.at = end;
            return Ok(value);
        }
        let token = self.token()?;
        token.parse().map_err(|_| self.wants("a whole number before what stands"))
    }
}

/// Gets some quotes without the first.
#[inline(always)]
fn others(quotes: u64) -> u64 {
    quotes & quotes.wrapping_sub(1)
}

/// Tells what numbers and words are made of.
#[inline]
fn is_of_token(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'+' | b'-' | b'.' | b'E')
}
