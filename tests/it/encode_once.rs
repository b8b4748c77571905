//! What changes is encoded once, however many are told.

use std::time::Duration;

use cryptoprice::{app::Mode, client::v1::StreamPricesRequest, pipeline::replay::ReplayOptions};
use tokio::task::JoinSet;

use crate::harness::{Metrics, Running, eventually, frames};

/// Messages that each subscriber waits for.
const MESSAGES: u32 = 20;

/// How much what is read at one moment may be apart: the market goes on meanwhile.
const SLACK: u64 = 20;

async fn market() -> Running {
    let options = ReplayOptions { files: frames(), speed: Some(50.0), repeat: true };
    let running = Running::start(Mode::Replay(options), &[]).await;
    eventually("there are prices", async || (running.get("/v1/prices/EUR-USD").await.0 == 200).then_some(()))
        .await;
    running
}

/// What has been counted between two moments.
struct Between {
    updates: u64,
    sent: u64,
    prices: u64,
    messages: u64,
    texts: u64,
}

impl Between {
    fn of(before: &Metrics, after: &Metrics) -> Self {
        let more = |name: &str| after.get(name) - before.get(name);
        Self {
            updates: more("cryptoprice_board_updates_total"),
            sent: more("cryptoprice_stream_messages_total"),
            prices: more("cryptoprice_encodings_price_total"),
            messages: more("cryptoprice_encodings_message_total"),
            texts: more("cryptoprice_encodings_text_total"),
        }
    }

    /// Prices are encoded when they are published, and messages once for all who get them.
    fn assert_once(&self, subscribers: u64) {
        assert!(self.sent >= subscribers * u64::from(MESSAGES), "{} were sent", self.sent);
        assert!(self.prices.abs_diff(self.updates) <= SLACK, "{} of {}", self.prices, self.updates);
        assert!(self.messages <= self.updates + SLACK, "{} of {}", self.messages, self.updates);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_protobuf() {
    let running = market().await;
    for subscribers in [1, 100, 1_000] {
        let before = running.metrics().await;
        let client = running.prices().await;
        let mut reading = JoinSet::new();
        for _ in 0..subscribers {
            let mut client = client.clone();
            reading.spawn(async move {
                let request = StreamPricesRequest::default();
                let mut stream = client.stream_prices(request).await.unwrap().into_inner();
                for _ in 0..MESSAGES {
                    stream.message().await.unwrap().unwrap();
                }
            });
        }
        reading.join_all().await;
        let between = Between::of(&before, &running.metrics().await);
        between.assert_once(subscribers);
        assert_eq!(between.texts, 0, "nobody has asked for text");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_json() {
    let running = market().await;
    // Over HTTP/2, whose streams share a connection as those of gRPC do.
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for subscribers in [1, 100, 1_000] {
        let before = running.metrics().await;
        let mut reading = JoinSet::new();
        for number in 0..subscribers {
            let mut request = client.get(running.url("/v1/prices:stream"));
            if number % 2 == 1 {
                // A line is a part of an event: both are of the same text.
                request = request.header("accept", "text/event-stream");
            }
            reading.spawn(async move {
                let mut answer = request.send().await.unwrap();
                let mut messages = 0_usize;
                while messages < MESSAGES as usize {
                    let chunk = tokio::time::timeout(Duration::from_secs(20), answer.chunk()).await.unwrap();
                    let chunk = chunk.unwrap().expect("more to come");
                    messages += chunk.windows(9).filter(|bytes| bytes == b"\"cursor\":").count();
                }
            });
        }
        reading.join_all().await;
        let between = Between::of(&before, &running.metrics().await);
        between.assert_once(subscribers);
        // Each message, and each price within.
        assert!(between.texts > 0 && between.texts <= 2 * (between.updates + SLACK), "{}", between.texts);
    }
    running.stop().await;
}
