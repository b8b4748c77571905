//! Reads what Redis holds of the mirror.

use bytes::Bytes;

use super::{CANDLE, Position, SOURCES, STATE, States, Update};
use crate::cache::CacheError;

/// What the head says: format, epoch, entry, sequence; nothing where nothing is mirrored.
pub(super) type HeadReply = (Option<u32>, Option<u64>, Option<u64>, Option<u64>);

/// Names and values, one after the other.
pub(super) type Fields = Vec<Bytes>;

/// What `XREAD` of one stream answers: its name, and the ids and fields of entries.
pub(super) type ReadReply = Option<Vec<(String, Vec<(String, Fields)>)>>;

/// What `XREVRANGE` answers: ids and fields of entries.
pub(super) type RangeReply = Vec<(String, Fields)>;

/// What is mirrored last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) format: u32,
    pub(super) position: Position,
}

/// One entry of the stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) position: Position,
    /// Whether everything was written anew with it.
    pub(super) reset: bool,
    pub(super) updates: Vec<Update>,
    pub(super) states: States,
}

impl Head {
    pub(super) fn read((format, epoch, entry, sequence): HeadReply) -> Option<Self> {
        Some(Self {
            format: format?,
            position: Position { epoch: epoch?, entry: entry?, sequence: sequence? },
        })
    }
}

impl Entry {
    pub(super) fn read(id: &str, fields: &[Bytes]) -> Result<Self, CacheError> {
        let foreign = || CacheError::Foreign(format!("the entry {id}"));
        let (epoch, number) = id.split_once('-').ok_or_else(foreign)?;
        let (epoch, number) = epoch.parse().ok().zip(number.parse().ok()).ok_or_else(foreign)?;
        let position = Position { epoch, entry: number, sequence: 0 };
        let mut entry = Self { position, reset: false, updates: Vec::new(), states: States::default() };
        entry.updates.reserve(fields.len() / 2);
        for (name, value) in named(fields)? {
            match name {
                "sequence" => {
                    let sequence = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    entry.position.sequence = sequence.ok_or_else(foreign)?;
                }
                "reset" => entry.reset = true,
                state if state.starts_with(STATE) => entry.states.set(state, value),
                pair => entry.updates.push(Update::read(pair, value)?),
            }
        }
        Ok(entry)
    }
}

impl States {
    /// Takes a state, if its name is known.
    fn set(&mut self, name: &str, value: &Bytes) {
        if name == SOURCES {
            self.sources = Some(value.clone());
        } else if let Some(name) = name.strip_prefix(CANDLE) {
            self.candles.push((name.to_owned(), value.clone()));
        }
    }

    pub(super) fn read(fields: &[Bytes]) -> Result<Self, CacheError> {
        let mut states = Self::default();
        for (name, value) in named(fields)? {
            states.set(name, value);
        }
        states.candles.sort_unstable();
        Ok(states)
    }
}

/// Reads the entries of the one stream that was asked for.
pub(super) fn entries(reply: ReadReply) -> Result<Vec<Entry>, CacheError> {
    let entries = reply.into_iter().flatten().flat_map(|(_, entries)| entries);
    entries.map(|(id, fields)| Entry::read(&id, &fields)).collect()
}

/// Reads the latest records of all pairs, in the order of their sequences.
pub(super) fn latest(fields: &[Bytes]) -> Result<Vec<Update>, CacheError> {
    let mut updates =
        named(fields)?.map(|(pair, record)| Update::read(pair, record)).collect::<Result<Vec<_>, _>>()?;
    updates.sort_unstable_by_key(|update| update.sequence);
    Ok(updates)
}

/// Walks through names and values.
fn named(fields: &[Bytes]) -> Result<impl Iterator<Item = (&str, &Bytes)>, CacheError> {
    let mut named = Vec::with_capacity(fields.len() / 2);
    for pair in fields.chunks(2) {
        let [name, value] = pair else {
            return Err(CacheError::Foreign("a name without a value".to_owned()));
        };
        let name =
            str::from_utf8(name).map_err(|_| CacheError::Foreign("a name that is no text".to_owned()))?;
        named.push((name, value));
    }
    Ok(named.into_iter())
}
