//! The stream of prices, opened again whenever it is cut.

use std::{fmt, time::Duration};

use futures::Stream;
use tonic::Streaming;

use crate::{
    cli::{
        client::{Address, Client},
        failure::Failure,
        words,
    },
    client::v1 as api,
};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What happens to a stream.
#[derive(Debug)]
pub(super) enum Event {
    /// A message came.
    Message(Box<api::StreamPricesResponse>),
    /// The stream was cut, and will be opened again.
    Cut(Cut),
}

/// Why a stream was cut, and how long it stays so at least.
#[derive(Debug)]
pub(super) struct Cut {
    cause: String,
    pause: Duration,
}

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, pause } = self;
        write!(formatter, "{cause}; trying again in {}", words::span(*pause))
    }
}

/// Follows prices for ever, from a snapshot on; after a cut it goes on where it was, or with a new snapshot if the
/// server says that this cannot be.
///
/// It ends with an error if the server refuses what is asked, or if nothing answers the first time.
pub(super) fn follow(
    address: Address,
    request: api::StreamPricesRequest,
) -> impl Stream<Item = Result<Event, Failure>> {
    let follower = Follower { address, request, stream: None, cuts: None, pause: Duration::ZERO };
    futures::stream::try_unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Ok(Some((event, follower)))
    })
}

struct Follower {
    address: Address,
    request: api::StreamPricesRequest,
    stream: Option<Streaming<api::StreamPricesResponse>>,
    /// Cuts since the last message; nothing before the first message.
    cuts: Option<u32>,
    /// How long to wait before the stream is opened again.
    pause: Duration,
}

impl Follower {
    async fn next(&mut self) -> Result<Event, Failure> {
        let failure = match self.message().await {
            Ok(message) => {
                self.cuts = Some(0);
                self.request.resume_after = message.cursor;
                return Ok(Event::Message(Box::new(message)));
            }
            Err(failure) => failure,
        };
        let Some(cuts) = self.cuts.filter(|_| failure.is_passing()) else {
            return Err(failure);
        };
        self.cuts = Some(cuts.saturating_add(1));
        self.pause = pause(cuts);
        Ok(Event::Cut(Cut { cause: failure.to_string(), pause: self.pause }))
    }

    /// Gets the next message. A stream that failed is dropped, and opened again by the call after.
    async fn message(&mut self) -> Result<api::StreamPricesResponse, Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open().await?,
        };
        match stream.message().await {
            Ok(Some(message)) => {
                self.stream = Some(stream);
                Ok(message)
            }
            Ok(None) => Err(Failure::Unreachable {
                address: self.address.clone(),
                cause: "the stream has ended".to_owned(),
            }),
            Err(status) => Err(Failure::of_call(&self.address, status)),
        }
    }

    async fn open(&self) -> Result<Streaming<api::StreamPricesResponse>, Failure> {
        tokio::time::sleep(self.pause).await;
        let client = Client::connect(&self.address).await?;
        client.answer(client.prices().stream_prices(self.request.clone()).await)
    }
}

/// Chooses how long to wait after a number of cuts in a row: twice as long each time, up to a limit, and not at the
/// same moment as everybody else who was cut.
fn pause(cuts: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(cuts)).min(LONGEST_PAUSE);
    rand::random_range(longest / 2..=longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        for (cuts, longest) in [(0, 1), (1, 2), (4, 16), (5, 30), (u32::MAX, 30)] {
            let longest = Duration::from_secs(longest);
            let pause = pause(cuts);
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?} after {cuts} cuts");
        }
    }
}
