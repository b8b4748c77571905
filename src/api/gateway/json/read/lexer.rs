//! JSON text as a row of tokens.
//!
//! Source: RFC 8259. Text outside the grammar is refused: trailing commas, comments, leading zeros, lone
//! surrogates, control characters within strings.

use std::borrow::Cow;

use super::super::error::{FieldPath, JsonError, shorten};

/// A text, and how far it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexer<'j> {
    text: &'j str,
    at: usize,
}

/// What the next value is, by its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// An open object or list: how many members were begun.
#[derive(Debug)]
pub(super) struct Members(usize);

impl Members {
    /// Gets how many members came before this one.
    pub(super) const fn before(&self) -> usize {
        self.0.saturating_sub(1)
    }
}

impl<'j> Lexer<'j> {
    pub(super) const fn new(text: &'j str) -> Self {
        Self { text, at: 0 }
    }

    /// Looks at the next value.
    pub(super) fn peek(&mut self) -> Result<Token, JsonError> {
        Ok(match self.skip_space() {
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'"') => Token::String,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b't') => Token::True,
            Some(b'f') => Token::False,
            Some(b'n') => Token::Null,
            _ => return Err(self.syntax("a value")),
        })
    }

    /// Passes the bracket that [`Self::peek`] has seen.
    pub(super) const fn open(&mut self) -> Members {
        self.at += 1;
        Members(0)
    }

    /// Moves to the next member, or past the closing bracket.
    pub(super) fn next_in(&mut self, members: &mut Members, close: u8) -> Result<bool, JsonError> {
        let next = self.skip_space();
        if next == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if members.0 > 0 {
            if next != Some(b',') {
                return Err(self.syntax("a comma or a closing bracket"));
            }
            self.at += 1;
        }
        members.0 += 1;
        Ok(true)
    }

    /// Reads the key of a member and its colon.
    pub(super) fn key(&mut self) -> Result<Cow<'j, str>, JsonError> {
        if self.skip_space() != Some(b'"') {
            return Err(self.syntax("a key"));
        }
        let key = self.string()?;
        if self.skip_space() != Some(b':') {
            return Err(self.syntax("a colon"));
        }
        self.at += 1;
        Ok(key)
    }

    /// Reads a string whose opening quote was seen.
    pub(super) fn string(&mut self) -> Result<Cow<'j, str>, JsonError> {
        self.at += 1;
        let mut unescaped = String::new();
        loop {
            let special = |byte| matches!(byte, b'"' | b'\\' | 0..0x20);
            let rest = self.rest();
            let plain = rest.bytes().position(special).unwrap_or(rest.len());
            let plain = rest.get(..plain).unwrap_or_default();
            self.at += plain.len();
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    if unescaped.is_empty() {
                        return Ok(Cow::Borrowed(plain));
                    }
                    unescaped.push_str(plain);
                    return Ok(Cow::Owned(unescaped));
                }
                Some(b'\\') => {
                    self.at += 1;
                    unescaped.push_str(plain);
                    unescaped.push(self.escape()?);
                }
                _ => return Err(self.syntax("a closing quote")),
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        const INVALID: &str = "an escape";
        let letter = self.byte();
        let character = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let first = self.hex()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first).ok_or_else(|| self.syntax(INVALID));
                }
                // The first half of a pair of surrogates.
                if self.rest().starts_with("\\u") {
                    self.at += 2;
                    let second = self.hex()?;
                    if (0xdc00..0xe000).contains(&second) {
                        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return char::from_u32(code).ok_or_else(|| self.syntax(INVALID));
                    }
                }
                return Err(self.syntax(INVALID));
            }
            _ => return Err(self.syntax(INVALID)),
        };
        self.at += 1;
        Ok(character)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.syntax("four hexadecimal digits"))?;
        self.at += 4;
        Ok(value)
    }

    /// Reads a number whose first character was seen, as it is written.
    pub(super) fn number(&mut self) -> Result<&'j str, JsonError> {
        let Some(length) = number_length(self.rest()) else {
            return Err(self.syntax("a number"));
        };
        let number = self.rest().get(..length).unwrap_or_default();
        self.at += length;
        Ok(number)
    }

    /// Reads `true`, `false` or `null`.
    pub(super) fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.syntax(word));
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes over a value that is read for good later: only brackets and strings are looked at.
    pub(super) fn skip_value(&mut self) -> Result<(), JsonError> {
        let mut open = 0_usize;
        loop {
            match self.skip_space() {
                Some(b'{' | b'[') => {
                    open += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') if open > 0 => {
                    open -= 1;
                    self.at += 1;
                }
                Some(b'"') => drop(self.string()?),
                Some(b',' | b':') if open > 0 => {
                    self.at += 1;
                    continue;
                }
                Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z') => {
                    let word = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
                    self.at += self.rest().bytes().take_while(word).count();
                }
                _ => return Err(self.syntax("a value")),
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// Fails if anything but space follows.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        match self.skip_space() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end")),
        }
    }

    /// Says that the next value is not what a field holds.
    #[cold]
    pub(super) fn mismatch(&self, expected: &'static str) -> JsonError {
        let mut ahead = *self;
        let start = ahead.at;
        let found = match ahead.peek() {
            Ok(Token::Object) => "an object",
            Ok(Token::Array) => "a list",
            _ if ahead.skip_value().is_ok() => self.text.get(start..ahead.at).unwrap_or_default(),
            _ => "",
        };
        JsonError::Mismatch { path: FieldPath::default(), expected, found: shorten(found.trim_start()) }
    }

    #[cold]
    fn syntax(&self, expected: &'static str) -> JsonError {
        JsonError::Syntax { path: FieldPath::default(), offset: self.at, expected }
    }

    fn skip_space(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'j str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// Gets the length of the number that a text starts with.
pub(super) fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let whole = usize::from(bytes.first() == Some(&b'-'));
    let mut end = digits(whole)?;
    if bytes.get(whole) == Some(&b'0') && end > whole + 1 {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign)?;
    }
    Some(end)
}
