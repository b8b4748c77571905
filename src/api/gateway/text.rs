//! The texts of prices, each written once, for all the answers that it is a part of.

use std::sync::Arc;

use bytes::Bytes;

use super::json::{MessageId, Tables};
use crate::pipeline::board::Update;

/// Gives the texts of updates to whoever writes a message that holds them, in their order: each as it was written
/// before, or for the first time, of which `wrote` takes note.
pub(super) fn of<'u>(
    updates: &'u [Arc<Update>],
    tables: &'u Tables,
    wrote: impl Fn() + 'u,
) -> impl FnMut(MessageId, &[u8]) -> Option<Bytes> + 'u {
    let mut updates = updates.iter().peekable();
    move |price, wire| {
        let update = updates.next_if(|update| update.encoded == wire)?;
        let text = update.text.get_or_init(|| {
            let mut text = Vec::new();
            wrote();
            match tables.write_json(price, wire, &mut text) {
                Ok(()) => text.into(),
                Err(_) => Bytes::new(),
            }
        });
        // What cannot be written fails where it is written as a part.
        Some(text.clone()).filter(|text| !text.is_empty())
    }
}
