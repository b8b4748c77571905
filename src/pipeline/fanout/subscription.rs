//! A reader: nothing but a place in a channel.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Fanout,
    channel::{Channel, Place, Since, Taken},
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

/// What there is for a reader.
#[derive(Debug, Clone)]
pub enum News {
    /// Nothing yet.
    Nothing,
    /// These messages.
    Batch(Batch),
    /// Another epoch has begun, or a pair has left unheard. Nothing comes before the reader has taken a snapshot.
    Turned,
}

/// The log has moved past the position of a reader that wants every update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow;

impl Subscription {
    pub(super) fn new(fanout: Fanout, channel: Arc<Channel>, position: Cursor, total: Option<u64>) -> Self {
        let number = channel.join(fanout.lane);
        Self { fanout, channel, place: Place { position, total }, number }
    }

    /// Gets the position: all matching updates up to here were taken or superseded.
    pub const fn cursor(&self) -> Cursor {
        self.place.position
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

    /// Lists the pairs whose prices have grown old since they were told, as nobody has been heard of who would say so. No
    /// flush tells of them, and they are past no position.
    pub fn aged(&self) -> Vec<Arc<Update>> {
        self.channel.aged()
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

    /// Takes the latest update of each pair that changed since the position, and moves on.
    pub fn take(&mut self) -> News {
        let flushed = self.fanout.flushed();
        let taken = self.channel.latest_since(self.place);
        self.moved(flushed, taken)
    }

    /// Takes every update since the position, and moves on.
    pub fn take_all(&mut self) -> Result<News, TooSlow> {
        let flushed = self.fanout.flushed();
        let taken = self.channel.every_since(self.place).map_err(|_| TooSlow)?;
        Ok(self.moved(flushed, taken))
    }

    /// Moves on to what was taken; or, as nothing that matches was flushed before, to where all were flushed by then.
    fn moved(&mut self, flushed: Cursor, since: Since) -> News {
        match since {
            Since::Nothing => {
                if flushed.epoch == self.place.position.epoch {
                    self.place.position = self.place.position.max(flushed);
                }
                News::Nothing
            }
            Since::Taken(Taken { batch, position, total }) => {
                self.place = Place { position, total: Some(total) };
                News::Batch(batch)
            }
            Since::Turned => News::Turned,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.readers(self.fanout.lane).leave(self.number);
        self.fanout.leave(&self.channel);
    }
}
