//! Objects whose fields tell what one of them, the body, is about.

use serde::{Deserialize, de::IgnoredAny};

use super::{
    Error,
    reader::{Parts, Reader},
};
use crate::feed::venue::ParseError;

/// An object of which one field, the body, can be read once others are known. Those may lie inside another object, and
/// are then asked for as `outer.inner`.
pub(in crate::feed) struct Message<'a, const N: usize> {
    names: [&'static str; N],
    /// So many of them have to be known before the body is read.
    needed: usize,
    body: &'static str,
    /// What the fields asked for hold: the inside of a string, or other JSON, as it is written; `None` where there is
    /// none, or null, also in quotes.
    pub(in crate::feed) head: [Option<&'a str>; N],
    reader: Reader<'a>,
    parts: Parts,
    state: Body<'a>,
    /// Objects around this one.
    depth: usize,
}

/// Where the body is.
#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    /// There is none, or it has been read.
    Gone,
    /// It is what comes next.
    Next,
    /// It lies before what has been read: the whole object.
    At(Reader<'a>),
}

impl<'a, const N: usize> Message<'a, N> {
    /// Reads an object up to its body; where that comes before the first `needed` of the fields asked for, to the end.
    #[inline(always)]
    pub(in crate::feed) fn open(
        text: &'a str,
        needed: usize,
        names: [&'static str; N],
        body: &'static str,
    ) -> Result<Self, Error> {
        Self::open_at(Reader::new(text), 0, needed, names, body)
    }

    /// Gets a field that must be there, by its place among those asked for.
    pub(in crate::feed) fn given(&self, at: usize) -> Result<&'a str, Error> {
        let value = self.head.get(at).copied().flatten();
        value.ok_or_else(|| self.reader.wants(self.names.get(at).copied().unwrap_or_default()))
    }

    /// Tells whether there is a body, as far as has been read.
    pub(in crate::feed) fn has_body(&self) -> bool {
        !matches!(self.state, Body::Gone)
    }

    /// Opens the body, which is an object itself.
    pub(in crate::feed) fn nested<const M: usize>(
        self,
        needed: usize,
        names: [&'static str; M],
        body: &'static str,
    ) -> Result<Message<'a, M>, ParseError> {
        match self.state {
            Body::Gone => Err(ParseError::value(self.body, "absent")),
            Body::Next => Ok(Message::open_at(self.reader, self.depth + 1, needed, names, body)?),
            Body::At(mut reader) => Ok(Message::open(reader.raw()?, needed, names, body)?),
        }
    }

    #[inline(always)]
    fn open_at(
        reader: Reader<'a>,
        depth: usize,
        needed: usize,
        names: [&'static str; N],
        body: &'static str,
    ) -> Result<Self, Error> {
        let (head, parts, state) = ([None; N], Parts::default(), Body::Gone);
        // It is large, and so is made where it stays.
        let mut message = Self { names, needed, body, head, reader, parts, state, depth };
        message.parts = message.reader.enter(b'{')?;
        message.fields(false)?;
        Ok(message)
    }

    /// Reads what comes after the body, to the end of the text.
    #[inline(never)]
    fn tail(&mut self) -> Result<(), Error> {
        self.fields(true)
    }

    /// Reads fields: up to the body, or to the end of the text. The first body is the one.
    #[inline(always)]
    fn fields(&mut self, has_had_body: bool) -> Result<(), Error> {
        while let Some(name) = self.reader.name(&mut self.parts)? {
            if let Some(at) = self.names.iter().position(|known| is_same(known, name)) {
                self.note(at)?;
            } else if name != self.body.as_bytes() {
                self.unfold(name)?;
            } else if has_had_body || self.has_body() || self.reader.peek() == Some(b'n') {
                self.reader.skip()?;
            } else if self.head.iter().take(self.needed).all(Option::is_some) {
                self.state = Body::Next;
                return Ok(());
            } else {
                self.state = Body::At(self.reader);
                self.reader.skip()?;
            }
        }
        for _ in 0..std::mem::take(&mut self.depth) {
            while self.reader.name(&mut self.parts)?.is_some() {
                self.reader.skip()?;
            }
        }
        self.reader.end()
    }

    /// Keeps what a field asked for holds.
    #[inline(always)]
    fn note(&mut self, at: usize) -> Result<(), Error> {
        let value = Some(self.reader.inside()?).filter(|value| *value != "null");
        if let Some(noted) = self.head.get_mut(at) {
            *noted = value;
        }
        Ok(())
    }

    /// Passes a field that was not asked for; if it is an object, fields of it may have been.
    fn unfold(&mut self, outer: &[u8]) -> Result<(), Error> {
        let asked = |known: &&'static str| inner(known, outer).is_some();
        if self.reader.peek() != Some(b'{') || !self.names.iter().any(asked) {
            return self.reader.skip();
        }
        let mut parts = self.reader.enter(b'{')?;
        while let Some(name) = self.reader.name(&mut parts)? {
            match self.names.iter().position(|known| inner(known, outer) == Some(name)) {
                Some(at) => self.note(at)?,
                None => self.reader.skip()?,
            }
        }
        Ok(())
    }

    /// Reads the body, and what comes after it.
    pub(in crate::feed) fn body<T: Deserialize<'a>>(&mut self) -> Result<T, ParseError> {
        match std::mem::replace(&mut self.state, Body::Gone) {
            Body::Gone => Err(ParseError::value(self.body, "absent")),
            Body::Next => {
                let value = T::deserialize(&mut self.reader)?;
                self.tail()?;
                Ok(value)
            }
            Body::At(mut reader) => Ok(T::deserialize(&mut reader)?),
        }
    }

    /// Passes the body, if there is one, and what comes after it.
    pub(in crate::feed) fn end(&mut self) -> Result<(), ParseError> {
        if matches!(self.state, Body::Gone) { Ok(()) } else { self.body::<IgnoredAny>().map(drop) }
    }
}

/// Compares names, most of which differ in their length or their first letter.
#[inline]
fn is_same(known: &str, name: &[u8]) -> bool {
    let known = known.as_bytes();
    known.len() == name.len() && known.first() == name.first() && known == name
}

/// Takes the inner name out of `outer.inner`.
fn inner(known: &'static str, outer: &[u8]) -> Option<&'static [u8]> {
    let known = known.as_bytes();
    let inner = known.get(outer.len() + 1..).filter(|_| known.get(outer.len()) == Some(&b'.'))?;
    known.starts_with(outer).then_some(inner)
}
