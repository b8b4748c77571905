//! A reader: nothing but a place in a channel.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Fanout,
    channel::{Channel, Place, Taken},
};
use crate::{
    domain::price::Cursor,
    pipeline::{board::Update, message::Batch},
};

/// Follows the updates of some pairs, or of all, from a position.
#[derive(Debug)]
pub struct Subscription {
    fanout: Fanout,
    channel: Arc<Channel>,
    place: Place,
    /// The number it goes by among the readers of its lane.
    number: usize,
}

/// The log has moved past the position of a reader that wants every update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow;

impl Subscription {
    pub(super) fn new(fanout: Fanout, channel: Arc<Channel>, position: u64, total: Option<u64>) -> Self {
        let number = channel.join(fanout.lane);
        Self { fanout, channel, place: Place { position, total }, number }
    }

    /// Gets the position: all matching updates up to here were taken or superseded.
    pub fn cursor(&self) -> Cursor {
        self.fanout.cursor(self.place.position)
    }

    /// Gets the state of all pairs as of the last flush, and goes on from there.
    pub fn snapshot(&mut self) -> Batch {
        let flushed = self.fanout.flushed();
        let taken = self.channel.snapshot();
        self.place = Place { position: taken.position.max(flushed), total: Some(taken.total) };
        taken.batch
    }

    /// Lists the pairs as they are as of the last flush, and goes on from there.
    pub fn state(&mut self) -> Vec<Arc<Update>> {
        let flushed = self.fanout.flushed();
        let (kept, place) = self.channel.kept();
        self.place = Place { position: place.position.max(flushed), ..place };
        kept
    }

    /// Waits until there are updates past the position.
    pub async fn changed(&self) {
        poll_fn(|context| self.poll_changed(context)).await;
    }

    /// Waits until there are updates past the position.
    pub fn poll_changed(&self, context: &mut Context<'_>) -> Poll<()> {
        let readers = self.channel.readers(self.fanout.lane);
        readers.poll_past(self.place.position, self.number, context)
    }

    /// Takes the latest update of each pair that changed since the position, and moves on; `None` if none has.
    pub fn take(&mut self) -> Option<Batch> {
        let flushed = self.fanout.flushed();
        let taken = self.channel.latest_since(self.place);
        self.moved(flushed, taken)
    }

    /// Takes every update since the position, and moves on; `None` if there is none.
    pub fn take_all(&mut self) -> Result<Option<Batch>, TooSlow> {
        let flushed = self.fanout.flushed();
        let taken = self.channel.every_since(self.place).map_err(|_| TooSlow)?;
        Ok(self.moved(flushed, taken))
    }

    /// Moves on to what was taken; or, as nothing that matches was flushed before, to where all were flushed by then.
    fn moved(&mut self, flushed: u64, taken: Option<Taken>) -> Option<Batch> {
        let Some(Taken { batch, position, total }) = taken else {
            self.place.position = self.place.position.max(flushed);
            return None;
        };
        self.place = Place { position, total: Some(total) };
        Some(batch)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.readers(self.fanout.lane).leave(self.number);
        self.fanout.leave(&self.channel);
    }
}
