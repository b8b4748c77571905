//! What can be wrong with a message or its JSON, and where.

use std::fmt;

/// Why bytes or text could not be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("not JSON: expected {expected} at byte {offset}")]
    Syntax {
        /// Where reading had got to.
        path: FieldPath,
        /// Bytes from the start of the text.
        offset: usize,
        /// What the grammar asks for.
        expected: &'static str,
    },
    /// The message has no field of this name.
    #[error("{path}: no such field in {message}")]
    UnknownField {
        /// The field as it was written.
        path: FieldPath,
        /// The full name of the message.
        message: String,
    },
    /// One field or map key was given twice.
    #[error("{path}: given twice")]
    Duplicate {
        /// The second one.
        path: FieldPath,
    },
    /// Two fields of one oneof were given.
    #[error("{path}: only one field of `{oneof}` may be given")]
    Conflict {
        /// The second field.
        path: FieldPath,
        /// The name of the oneof.
        oneof: String,
    },
    /// A value is not of the kind, form or range that its field holds.
    #[error("{path}: expected {expected}, found {found}")]
    Mismatch {
        /// The field.
        path: FieldPath,
        /// What the field holds.
        expected: &'static str,
        /// The value as it was written, shortened.
        found: String,
    },
    /// Messages nest deeper than 100 levels.
    #[error("{path}: nested too deep")]
    TooDeep {
        /// The first message that is too deep.
        path: FieldPath,
    },
    /// A `google.protobuf.Any` names a type that is not in the tables.
    #[error("{path}: unknown type `{type_url}`")]
    UnknownType {
        /// The field that holds the `Any`.
        path: FieldPath,
        /// The type as it was written, shortened.
        type_url: String,
    },
    /// Wire bytes are not a message of this type.
    #[error("{path}: {damage}")]
    Damaged {
        /// The field where it was noticed.
        path: FieldPath,
        /// What was noticed.
        damage: Damage,
    },
    /// A value on the wire has no spelling in JSON.
    #[error("{path}: {reason}")]
    Unrepresentable {
        /// The field.
        path: FieldPath,
        /// Why it has none.
        reason: &'static str,
    },
}

/// What is wrong with wire bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes end within a field.
    #[error("the message ends within a field")]
    Truncated,
    /// A varint is longer than 64 bits.
    #[error("a varint is longer than 64 bits")]
    Varint,
    /// A tag has no field number or no known wire type.
    #[error("a tag is invalid")]
    Tag,
    /// A field is encoded as another type.
    #[error("the wire type is not that of the field")]
    WireType,
    /// A group ends that did not begin.
    #[error("a group ends that did not begin")]
    Group,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// Messages nest deeper than 100 levels.
    #[error("nested too deep")]
    TooDeep,
}

/// Where in a message something is, in JSON names: `prices[3].status` or `labels["a"]`; empty for the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPath(String);

impl JsonError {
    /// Gets where the error is.
    pub fn path(&self) -> &FieldPath {
        match self {
            Self::Syntax { path, .. }
            | Self::UnknownField { path, .. }
            | Self::Duplicate { path }
            | Self::Conflict { path, .. }
            | Self::Mismatch { path, .. }
            | Self::TooDeep { path }
            | Self::UnknownType { path, .. }
            | Self::Damaged { path, .. }
            | Self::Unrepresentable { path, .. } => path,
        }
    }

    /// Says whether wire bytes are at fault, and not what they stand for.
    pub(super) const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// Says that the error is within this field. Paths grow from the inside out, only once something failed.
    #[cold]
    pub(super) fn in_field(mut self, name: &str) -> Self {
        self.path_mut().prepend(name);
        self
    }

    /// Says that the error is within this element of a list.
    #[cold]
    pub(super) fn in_element(mut self, index: usize) -> Self {
        self.path_mut().prepend(&format!("[{index}]"));
        self
    }

    /// Says that the error is within the value of this map key.
    #[cold]
    pub(super) fn in_entry(mut self, key: &str) -> Self {
        self.path_mut().prepend(&format!("[{:?}]", shorten(key)));
        self
    }

    fn path_mut(&mut self) -> &mut FieldPath {
        match self {
            Self::Syntax { path, .. }
            | Self::UnknownField { path, .. }
            | Self::Duplicate { path }
            | Self::Conflict { path, .. }
            | Self::Mismatch { path, .. }
            | Self::TooDeep { path }
            | Self::UnknownType { path, .. }
            | Self::Damaged { path, .. }
            | Self::Unrepresentable { path, .. } => path,
        }
    }
}

impl FieldPath {
    /// Gets the path as text, empty for the whole message.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn prepend(&mut self, segment: &str) {
        if !segment.is_empty() && !self.0.is_empty() && !self.0.starts_with('[') {
            self.0.insert(0, '.');
        }
        self.0.insert_str(0, segment);
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "message" } else { &self.0 })
    }
}

/// Keeps an error message short whatever was sent.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
