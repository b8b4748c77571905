//! What a venue's server says, and the seam that all venues share.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::{
    floor::Step,
    ticker::{Ticker, Trade},
};

/// How one venue's server speaks on one connection.
pub(super) trait Dialect: Send {
    /// Says what the server says before it is asked.
    fn greet(&mut self, _step: &Step, _out: &mut Outbox) {}

    /// Answers a message of the client: with an acknowledgement and a snapshot, or with the venue's form of an
    /// error.
    fn answer(&mut self, request: &str, step: &Step, out: &mut Outbox);

    /// Reports a new best bid and ask to those who subscribed to it.
    fn quoted(&mut self, ticker: &Ticker, step: &Step, out: &mut Outbox);

    /// Reports a trade to those who subscribed to it.
    fn traded(&mut self, ticker: &Ticker, trade: &Trade, step: &Step, out: &mut Outbox);

    /// Does what the venue does by the clock: heartbeats, and tickers sent at intervals.
    fn beat(&mut self, step: &Step, out: &mut Outbox);
}

/// Frames on their way to a client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) frames: Vec<Message>,
    /// Whether the server closes the connection after them.
    pub(super) hang_up: bool,
}

impl Outbox {
    /// Sends a message as JSON.
    pub(super) fn json(&mut self, message: &impl Serialize) {
        match serde_json::to_string(message) {
            Ok(text) => self.frames.push(Message::text(text)),
            Err(error) => tracing::error!(%error, "a simulated frame cannot be written"),
        }
    }

    /// Sends plain text.
    pub(super) fn text(&mut self, text: impl Into<Utf8Bytes>) {
        self.frames.push(Message::text(text));
    }

    /// Sends a ping frame, which clients answer by themselves.
    pub(super) fn ping(&mut self, payload: &str) {
        self.frames.push(Message::Ping(Bytes::copy_from_slice(payload.as_bytes())));
    }

    /// Breaks a text off in the middle: the first one.
    pub(super) fn damage(&mut self) {
        let first = self.frames.iter_mut().find(|frame| frame.is_text());
        if let Some(frame) = first {
            let text = frame.to_text().unwrap_or_default();
            let half = text.chars().take(text.len() / 2);
            *frame = Message::text(half.collect::<String>());
        }
    }

    /// Closes the connection after what was sent.
    pub(super) fn hang_up(&mut self) {
        self.hang_up = true;
    }
}

/// Writes digits as a JSON number, exactly as they are.
pub(super) fn number<S: Serializer>(digits: String, serializer: S) -> Result<S::Ok, S::Error> {
    let raw = RawValue::from_string(digits).map_err(serde::ser::Error::custom)?;
    raw.serialize(serializer)
}

/// Writes a time as RFC 3339 with microseconds.
pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
