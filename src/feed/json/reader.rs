//! The text, and the small steps through it.

use std::str::FromStr;

use super::Error;

/// Digits that every whole number can have.
const MAX_SHORT: usize = 18;

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

    /// Reads the inside of a string, and tells whether there are escapes in it.
    #[inline]
    pub(super) fn string(&mut self) -> Result<(&'a str, bool), Error> {
        let (start, escapes) = self.pass_string()?;
        Ok((self.inside_from(start)?, escapes))
    }

    /// Passes the bytes before the next quote or backslash, eight at a time; the last seven of a text one by one.
    #[inline]
    fn pass_plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGHS: u64 = 0x8080_8080_8080_8080;
        // The lowest bit that is set is that of the first byte which is the one looked for.
        let finds = |eight: u64, byte: u8| {
            let other = eight ^ (ONES * u64::from(byte));
            other.wrapping_sub(ONES) & !other & HIGHS
        };
        let bytes = self.text.as_bytes();
        while let Some(eight) = bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let eight = u64::from_le_bytes(*eight);
            let found = finds(eight, b'"') | finds(eight, b'\\');
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while bytes.get(self.at).is_some_and(|byte| !matches!(byte, b'"' | b'\\')) {
            self.at += 1;
        }
    }

    /// Passes a string; tells where its inside begins, and whether there are escapes in it.
    #[inline]
    fn pass_string(&mut self) -> Result<(usize, bool), Error> {
        self.pass(b'"', "a string")?;
        let start = self.at;
        let mut escapes = false;
        loop {
            self.pass_plain();
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => break,
                Some(_) => {
                    escapes = true;
                    self.at += 2;
                }
                None => return Err(self.wants("the end of a string")),
            }
        }
        self.at += 1;
        Ok((start, escapes))
    }

    /// Gets the inside of a string that has just been passed.
    #[inline]
    fn inside_from(&self, start: usize) -> Result<&'a str, Error> {
        self.text.get(start..self.at - 1).ok_or_else(|| self.wants("a whole character"))
    }

    #[inline]
    pub(super) fn plain(&mut self) -> Result<&'a str, Error> {
        match self.string()? {
            (inside, false) => Ok(inside),
            (_, true) => Err(self.wants("a string without escapes")),
        }
    }

    /// Reads a number or a word.
    #[inline]
    pub(super) fn token(&mut self) -> Result<&'a str, Error> {
        self.peek();
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let ends = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'+' | b'-' | b'.' | b'E');
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
        match self.since(start)? {
            "" => Err(self.wants("a value")),
            token => Ok(token),
        }
    }

    #[inline]
    pub(super) fn scalar(&mut self) -> Result<&'a str, Error> {
        if self.peek() == Some(b'"') { Ok(self.string()?.0) } else { self.token() }
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
    pub(super) fn name(&mut self, first: &mut bool) -> Result<Option<&'a str>, Error> {
        if !self.more(b'}', first)? {
            self.at += 1;
            return Ok(None);
        }
        let (name, _) = self.string()?;
        self.pass(b':', "a colon")?;
        Ok(Some(name))
    }

    /// Checks that nothing comes any more.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if self.peek().is_none() { Ok(()) } else { Err(self.wants("nothing more")) }
    }

    /// Reads a whole number.
    #[inline]
    pub(super) fn whole<T: TryFrom<i64> + FromStr>(&mut self) -> Result<T, Error> {
        let token = self.token()?;
        let digits = token.strip_prefix('-').unwrap_or(token);
        let short = digits.len() <= MAX_SHORT && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = if short && !digits.is_empty() {
            let number = digits.bytes().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
            T::try_from(if digits.len() == token.len() { number } else { -number }).ok()
        } else {
            token.parse().ok()
        };
        value.ok_or_else(|| self.wants("a whole number before what stands"))
    }
}
