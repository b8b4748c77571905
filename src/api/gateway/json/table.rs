//! What the two directions know of each message, laid out for walking.

use std::collections::HashMap;

use super::literal::Literal;
use super::wire::{Tag, WireType};

/// What is known of every message of a descriptor pool; compiled once, shared by all calls.
#[derive(Debug)]
pub struct Tables {
    pub(super) messages: Vec<Message>,
    pub(super) enumerations: Vec<Enumeration>,
    pub(super) names: HashMap<String, MessageId>,
}

/// A message of the [`Tables`] that gave the id, and of no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(pub(super) usize);

/// An enumeration of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EnumId(pub(super) usize);

impl Tables {
    /// Gets a message by its full name, such as `google.protobuf.Timestamp`.
    pub fn message(&self, full_name: &str) -> Option<MessageId> {
        self.names.get(full_name).copied()
    }

    #[expect(clippy::indexing_slicing, reason = "only these tables make ids, one for each of their messages")]
    pub(super) fn message_at(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    #[expect(clippy::indexing_slicing, reason = "only these tables make ids, one for each of their enums")]
    pub(super) fn enumeration_at(&self, id: EnumId) -> &Enumeration {
        &self.enumerations[id.0]
    }
}

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    /// The full name.
    pub(super) name: Box<str>,
    pub(super) shape: Shape,
    /// Whether an `Any` holds the JSON of this message under `value`, and not its fields.
    pub(super) apart_in_any: bool,
    /// In the order of their numbers.
    pub(super) fields: Box<[Field]>,
    pub(super) oneofs: Box<[Box<str>]>,
    /// Positions of the fields by both of their names.
    pub(super) positions: Names<usize>,
}

impl Message {
    /// Gets the position of the field with this number.
    pub(super) fn position(&self, number: u32) -> Option<usize> {
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }
}

/// What the JSON of a message looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object of its fields.
    Object,
    /// What its only field is: wrappers, `Struct`, `ListValue`.
    Bare,
    /// One entry of a map: its two fields with a colon between.
    Entry,
    /// Any JSON value.
    Value,
    Timestamp,
    Duration,
    FieldMask,
    Any,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// The number with the wire type of one value.
    pub(super) tag: Tag,
    /// [`Tag::short`] of the same.
    pub(super) short_tag: u32,
    pub(super) kind: Kind,
    pub(super) rule: Rule,
    /// The position of its oneof among those of the message.
    pub(super) oneof: Option<usize>,
    /// What comes before the value: `,"name":`, or less where the shape of the message leaves the name out.
    pub(super) key: Literal,
    pub(super) absent: Absent,
    /// The JSON name.
    pub(super) name: Box<str>,
}

impl Field {
    /// A bit for the oneof of the field. Two oneofs may share one, which only costs the slower path.
    pub(super) fn oneof_bit(&self) -> u64 {
        self.oneof.map_or(0, |position| 1 << (position % 64))
    }
}

/// How often a field occurs, and whether its zero value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// At most once; a zero value is a value.
    Explicit,
    /// At most once; a zero value is the same as none.
    Implicit,
    /// A list, written one tag for each.
    Expanded,
    /// A list, written as one length-delimited run.
    Packed,
    /// A list of entries.
    Map,
}

impl Rule {
    pub(super) const fn is_singular(self) -> bool {
        matches!(self, Self::Explicit | Self::Implicit)
    }
}

/// What is written for a field that is not on the wire.
#[derive(Debug)]
pub(super) enum Absent {
    Nothing,
    /// The key and the zero value.
    Text(Literal),
    /// The key and this message without fields.
    Empty(MessageId),
}

/// What one value of a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    /// A double that may not be infinite or NaN: the number of a `google.protobuf.Value`.
    Finite,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    /// `google.protobuf.NullValue`.
    Null,
    Message(MessageId),
    Group(MessageId),
}

impl Kind {
    pub(super) const fn wire_type(self) -> WireType {
        match self {
            Self::Int32
            | Self::Int64
            | Self::Uint32
            | Self::Uint64
            | Self::Sint32
            | Self::Sint64
            | Self::Bool
            | Self::Enum(_)
            | Self::Null => WireType::Varint,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::Fixed32,
            Self::Double | Self::Finite | Self::Fixed64 | Self::Sfixed64 => WireType::Fixed64,
            Self::String | Self::Bytes | Self::Message(_) => WireType::Length,
            Self::Group(_) => WireType::GroupStart,
        }
    }

    /// Says whether a list of these may come as one length-delimited run, whatever its declaration says.
    pub(super) const fn is_packable(self) -> bool {
        !matches!(self.wire_type(), WireType::Length | WireType::GroupStart)
    }
}

/// An enumeration.
#[derive(Debug)]
pub(super) struct Enumeration {
    /// Names with their quotes, ordered by number.
    pub(super) by_number: Box<[(i32, Literal)]>,
    pub(super) by_name: Names<i32>,
}

impl Enumeration {
    /// Gets the quoted name of a number; the first declared of several.
    #[inline]
    pub(super) fn name(&self, number: i32) -> Option<&Literal> {
        // Most enums count up from zero.
        let near = usize::try_from(number).ok().and_then(|n| self.by_number.get(n));
        if let Some((found, name)) = near
            && *found == number
        {
            return Some(name);
        }
        let position = self.by_number.binary_search_by_key(&number, |(n, _)| *n).ok()?;
        self.by_number.get(position).map(|(_, name)| name)
    }
}

/// A small map from names, searched by halving.
#[derive(Debug)]
pub(super) struct Names<T>(Box<[(Box<str>, T)]>);

impl<T: Copy> Names<T> {
    /// Keeps the first of several values under one name.
    pub(super) fn new(names: impl IntoIterator<Item = (Box<str>, T)>) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        names.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Self(names.into())
    }

    pub(super) fn get(&self, name: &str) -> Option<T> {
        let position = self.0.binary_search_by(|(n, _)| (**n).cmp(name)).ok()?;
        self.0.get(position).map(|(_, value)| *value)
    }
}
