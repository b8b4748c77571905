//! One message of a stream of prices, shared by all who get the same one.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::board::{Board, Update};
use crate::domain::price::Cursor;

/// Prices of one message at most: more go out as several.
pub(super) const CHUNK: usize = 500;

/// Messages that belong together, oldest first.
pub type Batch = Arc<[Arc<Message>]>;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The state of the pairs asked for, or a part of it.
    Snapshot,
    /// What has changed.
    Update,
    /// Nothing has changed.
    Heartbeat,
    /// The stream cannot go on where it was: a snapshot follows.
    Reset,
}

/// A message.
#[derive(Debug)]
pub struct Message {
    board: Board,
    /// What it is.
    pub kind: MessageKind,
    /// The prices, oldest first; those of a snapshot by their pairs.
    pub updates: Vec<Arc<Update>>,
    /// All matching updates up to here were delivered or superseded.
    pub cursor: Cursor,
    /// Updates that were superseded by newer ones of the same pair.
    pub skipped: u64,
    encoded: OnceLock<Encoded>,
}

/// A message as it leaves the service, in each form that anybody has asked for: opaque here.
#[derive(Debug)]
pub struct Encoded {
    bytes: Bytes,
    forms: [OnceLock<Bytes>; 3],
}

/// A form other than the plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Compressed with gzip.
    Gzip,
    /// Compressed with zstd.
    Zstd,
    /// As text.
    Text,
}

impl Message {
    /// Makes a message.
    pub fn new(
        board: &Board,
        kind: MessageKind,
        updates: Vec<Arc<Update>>,
        cursor: Cursor,
        skipped: u64,
    ) -> Arc<Self> {
        Arc::new(Self { board: board.clone(), kind, updates, cursor, skipped, encoded: OnceLock::new() })
    }

    /// Makes the messages that say what has changed, or one for what has not: `updates` in the order of their
    /// sequence, and everything up to `cursor`.
    pub(super) fn changes(board: &Board, updates: Vec<Arc<Update>>, cursor: Cursor, skipped: u64) -> Batch {
        if updates.len() <= CHUNK {
            return [Self::new(board, MessageKind::Update, updates, cursor, skipped)].into();
        }
        let chunks = updates.chunks(CHUNK).enumerate().map(|(at, chunk)| {
            let whole = (at + 1) * CHUNK >= updates.len();
            let reached = chunk.last().filter(|_| !whole).map(|update| update.stamp.cursor.sequence);
            let cursor = Cursor { sequence: reached.unwrap_or(cursor.sequence), ..cursor };
            Self::new(board, MessageKind::Update, chunk.to_vec(), cursor, if at == 0 { skipped } else { 0 })
        });
        chunks.collect()
    }

    /// Makes the messages that say the state of all pairs: at least one, if only to say the cursor.
    pub fn snapshot(board: &Board, updates: &[Arc<Update>], cursor: Cursor) -> Batch {
        let message = |updates: &[_]| Self::new(board, MessageKind::Snapshot, updates.to_vec(), cursor, 0);
        if updates.is_empty() { [message(&[])].into() } else { updates.chunks(CHUNK).map(message).collect() }
    }

    /// Gets the message as it leaves the service; encodes it if nobody has asked before.
    pub fn encoded(&self) -> &Encoded {
        self.encoded.get_or_init(|| Encoded::new(self.board.encode_message(self)))
    }
}

impl Encoded {
    /// Takes the plain bytes.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, forms: Default::default() }
    }

    /// Gets the plain bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Gets another form, made out of the plain bytes if nobody has asked for it before.
    pub fn form(&self, form: Form, make: impl FnOnce(&Bytes) -> Bytes) -> &Bytes {
        let [gzip, zstd, text] = &self.forms;
        let cell = match form {
            Form::Gzip => gzip,
            Form::Zstd => zstd,
            Form::Text => text,
        };
        cell.get_or_init(|| make(&self.bytes))
    }
}
