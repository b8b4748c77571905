//! Well-known types whose JSON is not an object of their fields.

use std::borrow::Cow;

use super::super::error::{FieldPath, JsonError, shorten};
use super::super::table::Message;
use super::super::time;
use super::super::wire::{Tag, WireType, put_varint};
use super::lexer::Token;
use super::scalar::Scalar;
use super::{Given, Reader, below};

impl<'t, 'j> Reader<'t, 'j> {
    pub(super) fn timestamp(&mut self) -> Result<(), JsonError> {
        self.seconds_and_nanos("a time such as 2026-01-31T12:00:00Z", time::parse_timestamp)
    }

    pub(super) fn duration(&mut self) -> Result<(), JsonError> {
        self.seconds_and_nanos("a duration such as 1.5s", time::parse_duration)
    }

    fn seconds_and_nanos(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<(i64, i32)>,
    ) -> Result<(), JsonError> {
        const SECONDS: Tag = Tag::new(1, WireType::Varint);
        const NANOS: Tag = Tag::new(2, WireType::Varint);
        let before = self.lexer;
        let (seconds, nanos) = parse(&self.text(expected)?).ok_or_else(|| before.mismatch(expected))?;
        for (tag, value) in [(SECONDS, seconds), (NANOS, nanos.into())] {
            if value != 0 {
                tag.put(&mut self.out);
                put_varint(value.cast_unsigned(), &mut self.out);
            }
        }
        Ok(())
    }

    pub(super) fn field_mask(&mut self) -> Result<(), JsonError> {
        const EXPECTED: &str = "camel case paths with commas between";
        const PATH: Tag = Tag::new(1, WireType::Length);
        let before = self.lexer;
        let mask = self.text(EXPECTED)?;
        for path in mask.split(',').filter(|_| !mask.is_empty()) {
            let path = snake(path).ok_or_else(|| before.mismatch(EXPECTED))?;
            PATH.put(&mut self.out);
            Scalar::Text(path.into()).put(&mut self.out);
        }
        Ok(())
    }

    fn text(&mut self, expected: &'static str) -> Result<Cow<'j, str>, JsonError> {
        self.expect(Token::String, expected)?;
        self.lexer.string()
    }

    /// Reads any JSON into a `google.protobuf.Value`.
    pub(super) fn any_value(&mut self, message: &'t Message, depth: u32) -> Result<(), JsonError> {
        let number = match self.lexer.peek()? {
            Token::Null => 1,
            Token::Number => 2,
            Token::String => 3,
            Token::True | Token::False => 4,
            Token::Object => 5,
            Token::Array => 6,
        };
        let field = message.position(number).and_then(|position| message.fields.get(position));
        match field {
            Some(field) => self.value(field, depth),
            None => Err(self.lexer.mismatch("another value")),
        }
    }

    /// Reads a message of the type that its `@type` names, wherever among the members that stands.
    pub(super) fn any(&mut self, depth: u32) -> Result<(), JsonError> {
        const TYPE_URL: Tag = Tag::new(1, WireType::Length);
        const VALUE: Tag = Tag::new(2, WireType::Length);
        let depth = below(depth)?;
        self.expect(Token::Object, "an object with @type")?;
        let Some(type_url) = self.find_type()? else {
            return Ok(());
        };
        let named = type_url.rsplit_once('/').and_then(|(_, name)| self.tables.message(name));
        let Some(id) = named else {
            return Err(JsonError::UnknownType { path: FieldPath::default(), type_url: shorten(&type_url) });
        };
        let message = self.tables.message_at(id);
        TYPE_URL.put(&mut self.out);
        Scalar::Text(type_url).put(&mut self.out);
        let value = self.begin(VALUE);
        let mut given = Given::new(message);
        let mut value_given = false;
        let mut members = self.lexer.open();
        while self.lexer.next_in(&mut members, b'}')? {
            let name = self.lexer.key()?;
            match &*name {
                "@type" => self.lexer.skip_value()?,
                "value" if message.apart_in_any => {
                    if std::mem::replace(&mut value_given, true) {
                        return Err(JsonError::Duplicate { path: FieldPath::default() }.in_field("value"));
                    }
                    self.message(id, depth).map_err(|error| error.in_field("value"))?;
                }
                _ if message.apart_in_any => {
                    let path = FieldPath::default();
                    let message = "google.protobuf.Any".to_owned();
                    return Err(JsonError::UnknownField { path, message }.in_field(&shorten(&name)));
                }
                _ => self.member(message, &name, &mut given, depth)?,
            }
        }
        if message.apart_in_any && !value_given {
            return Err(missing("a value beside @type"));
        }
        self.finish(value);
        Ok(())
    }

    /// Looks ahead for the `@type` of an object. An object without members is an `Any` without anything.
    fn find_type(&mut self) -> Result<Option<Cow<'j, str>>, JsonError> {
        let before = self.lexer;
        let mut found = None;
        let mut members = self.lexer.open();
        let mut is_empty = true;
        while self.lexer.next_in(&mut members, b'}')? {
            is_empty = false;
            if self.lexer.key()? != "@type" {
                self.lexer.skip_value()?;
                continue;
            }
            let type_url = self.text("the name of a type").map_err(|error| error.in_field("@type"))?;
            if found.replace(type_url).is_some() {
                return Err(JsonError::Duplicate { path: FieldPath::default() }.in_field("@type"));
            }
        }
        if is_empty {
            return Ok(None);
        }
        self.lexer = before;
        match found {
            Some(type_url) => Ok(Some(type_url)),
            None => Err(missing("an object with @type")),
        }
    }
}

fn missing(expected: &'static str) -> JsonError {
    let found = "an object without".to_owned();
    JsonError::Mismatch { path: FieldPath::default(), expected, found }
}

/// Gets a path with its camel case names in `snake_case`.
fn snake(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    for letter in path.chars() {
        match letter {
            '_' => return None,
            'A'..='Z' => {
                out.push('_');
                out.push(letter.to_ascii_lowercase());
            }
            _ => out.push(letter),
        }
    }
    (!out.is_empty()).then_some(out)
}
