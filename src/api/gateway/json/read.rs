//! From JSON text to wire bytes.
//!
//! A length comes before what it measures, so a nested message is written with room for a length of one byte and
//! moved when that is not enough.

mod known;
mod lexer;
mod scalar;

use std::collections::HashSet;

use self::lexer::{Lexer, Token};
use super::DEPTH_LIMIT;
use super::error::{FieldPath, JsonError, shorten};
use super::table::{Field, Kind, Message, MessageId, Rule, Shape, Tables};
use super::wire::{Tag, WireType, put_varint};

/// Reads a message from a whole text.
pub(super) fn message(tables: &Tables, id: MessageId, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let text = std::str::from_utf8(json).map_err(|error| JsonError::Syntax {
        path: FieldPath::default(),
        offset: error.valid_up_to(),
        expected: "UTF-8",
    })?;
    let mut reader = Reader { tables, lexer: Lexer::new(text), out: Vec::with_capacity(text.len()) };
    reader.message(id, DEPTH_LIMIT)?;
    reader.lexer.end()?;
    Ok(reader.out)
}

/// A document being read.
struct Reader<'t, 'j> {
    tables: &'t Tables,
    lexer: Lexer<'j>,
    out: Vec<u8>,
}

/// A length-delimited value being written.
#[derive(Clone, Copy)]
struct Delimited {
    /// Where its tag starts.
    start: usize,
    /// Where its content starts, after room for a short length.
    content: usize,
}

/// Which fields of a message were given, and after them which of its oneofs.
struct Given(Vec<bool>);

impl Given {
    fn new(message: &Message) -> Self {
        Self(vec![false; message.fields.len() + message.oneofs.len()])
    }

    /// Notes one, and says whether it was there before.
    fn was_there(&mut self, position: usize) -> bool {
        self.0.get_mut(position).is_some_and(|given| std::mem::replace(given, true))
    }
}

impl<'t> Reader<'t, '_> {
    /// Reads one value as the content of a message.
    fn message(&mut self, id: MessageId, depth: u32) -> Result<(), JsonError> {
        let message = self.tables.message_at(id);
        match message.shape {
            Shape::Object | Shape::Entry => self.object(message, depth),
            Shape::Bare => match message.fields.first() {
                Some(field) => self.field(field, depth),
                None => Ok(()),
            },
            Shape::Value => self.any_value(message, depth),
            Shape::Timestamp => self.timestamp(),
            Shape::Duration => self.duration(),
            Shape::FieldMask => self.field_mask(),
            Shape::Any => self.any(depth),
        }
    }

    /// Reads an object whose members are the fields of a message.
    fn object(&mut self, message: &'t Message, depth: u32) -> Result<(), JsonError> {
        self.expect(Token::Object, "an object")?;
        let mut given = Given::new(message);
        let mut members = self.lexer.open();
        while self.lexer.next_in(&mut members, b'}')? {
            let name = self.lexer.key()?;
            self.member(message, &name, &mut given, depth)?;
        }
        Ok(())
    }

    /// Reads the value of one member.
    fn member(
        &mut self,
        message: &'t Message,
        name: &str,
        given: &mut Given,
        depth: u32,
    ) -> Result<(), JsonError> {
        let position = message.positions.get(name);
        let Some((position, field)) = position.and_then(|p| Some((p, message.fields.get(p)?))) else {
            let path = FieldPath::default();
            let message = message.name.to_string();
            return Err(JsonError::UnknownField { path, message }.in_field(&shorten(name)));
        };
        if given.was_there(position) {
            return Err(JsonError::Duplicate { path: FieldPath::default() }.in_field(&field.name));
        }
        if self.lexer.peek()? == Token::Null && !self.means_null(field) {
            return self.lexer.word("null");
        }
        let oneof = field.oneof.and_then(|o| Some((o, message.oneofs.get(o)?)));
        if let Some((position, oneof)) = oneof
            && given.was_there(message.fields.len() + position)
        {
            let (path, oneof) = (FieldPath::default(), oneof.to_string());
            return Err(JsonError::Conflict { path, oneof }.in_field(&field.name));
        }
        self.field(field, depth).map_err(|error| error.in_field(&field.name))
    }

    /// Says whether `null` is a value of the field, and not its absence.
    fn means_null(&self, field: &Field) -> bool {
        field.rule.is_singular()
            && match field.kind {
                Kind::Null => true,
                Kind::Message(id) => self.tables.message_at(id).shape == Shape::Value,
                _ => false,
            }
    }

    /// Reads what a field holds: one value, a list or a map.
    fn field(&mut self, field: &'t Field, depth: u32) -> Result<(), JsonError> {
        match field.rule {
            Rule::Explicit | Rule::Implicit => self.value(field, depth),
            Rule::Expanded => self.list(|reader| reader.value(field, depth)),
            Rule::Packed => {
                let run = self.begin(Tag::new(field.number, WireType::Length));
                self.list(|reader| {
                    let scalar = reader.scalar(field.kind)?;
                    scalar.put(&mut reader.out);
                    Ok(())
                })?;
                if self.out.len() == run.content {
                    self.out.truncate(run.start);
                } else {
                    self.finish(run);
                }
                Ok(())
            }
            Rule::Map => self.map(field, depth),
        }
    }

    fn list(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        self.expect(Token::Array, "a list")?;
        let mut elements = self.lexer.open();
        while self.lexer.next_in(&mut elements, b']')? {
            element(self).map_err(|error| error.in_element(elements.before()))?;
        }
        Ok(())
    }

    fn map(&mut self, field: &'t Field, depth: u32) -> Result<(), JsonError> {
        self.expect(Token::Object, "an object")?;
        let mut keys = HashSet::new();
        let mut entries = self.lexer.open();
        while self.lexer.next_in(&mut entries, b'}')? {
            let key = self.lexer.key()?;
            self.entry(field, &key, &mut keys, depth).map_err(|error| error.in_entry(&key))?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        field: &'t Field,
        key: &str,
        keys: &mut HashSet<Vec<u8>>,
        depth: u32,
    ) -> Result<(), JsonError> {
        let Kind::Message(id) = field.kind else {
            return Ok(());
        };
        let [key_field, value_field] = &*self.tables.message_at(id).fields else {
            return Ok(());
        };
        let mut encoded_key = Vec::new();
        scalar::map_key(key_field.kind, key)?.put(&mut encoded_key);
        let entry = self.begin(field.tag);
        key_field.tag.put(&mut self.out);
        self.out.extend_from_slice(&encoded_key);
        if !keys.insert(encoded_key) {
            return Err(JsonError::Duplicate { path: FieldPath::default() });
        }
        self.value(value_field, below(depth)?)?;
        self.finish(entry);
        Ok(())
    }

    /// Reads one value and writes it with its tag, unless it is a zero that is the same as none.
    fn value(&mut self, field: &'t Field, depth: u32) -> Result<(), JsonError> {
        match field.kind {
            Kind::Message(id) => {
                let message = self.begin(field.tag);
                self.message(id, below(depth)?)?;
                self.finish(message);
            }
            Kind::Group(id) => {
                field.tag.put(&mut self.out);
                self.message(id, below(depth)?)?;
                Tag::new(field.number, WireType::GroupEnd).put(&mut self.out);
            }
            kind => {
                let scalar = self.scalar(kind)?;
                if field.rule != Rule::Implicit || !scalar.is_zero() {
                    field.tag.put(&mut self.out);
                    scalar.put(&mut self.out);
                }
            }
        }
        Ok(())
    }

    /// Fails unless a value of this form comes next.
    fn expect(&mut self, token: Token, expected: &'static str) -> Result<(), JsonError> {
        if self.lexer.peek()? == token { Ok(()) } else { Err(self.lexer.mismatch(expected)) }
    }

    fn begin(&mut self, tag: Tag) -> Delimited {
        let start = self.out.len();
        tag.put(&mut self.out);
        self.out.push(0);
        Delimited { start, content: self.out.len() }
    }

    fn finish(&mut self, value: Delimited) {
        let length = self.out.len() - value.content;
        let room = self.out.get_mut(value.content - 1);
        if let (Some(room), Ok(short @ ..0x80)) = (room, u8::try_from(length)) {
            *room = short;
        } else {
            let mut varint = Vec::new();
            put_varint(length as u64, &mut varint);
            self.out.splice(value.content - 1..value.content, varint);
        }
    }
}

/// Gets the depth that is left for a message within.
fn below(depth: u32) -> Result<u32, JsonError> {
    depth.checked_sub(1).ok_or_else(|| JsonError::TooDeep { path: FieldPath::default() })
}
