//! Asks one venue for candles, slowly, and again where that may help.

use std::{sync::Arc, time::Duration};

use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

use super::{Options, pages::Span};
use crate::{
    domain::{candle::Interval, pair::Pair},
    feed::{
        rest::{CandleReport, Query, RestClient, RestError},
        scale::Scale,
        venue::Protocol,
    },
};

/// How often a question is asked at most, where the venue could not be reached or did not answer it.
const ATTEMPTS: u32 = 4;

/// A venue that can be asked, and who asks it.
#[derive(Debug, Clone)]
pub struct VenueClient {
    /// How it is spoken to.
    pub protocol: &'static dyn Protocol,
    /// Who asks.
    pub client: Arc<RestClient>,
}

/// Asks one venue.
#[derive(Debug)]
pub(super) struct Asker {
    venue: VenueClient,
    share: Decimal,
    patience: Duration,
    back_off: Duration,
    /// When the next question may be asked. Whoever holds it asks, so that there is one question at a time.
    turn: Mutex<Instant>,
}

impl Asker {
    pub(super) fn new(venue: VenueClient, options: &Options) -> Self {
        let Options { share, patience, back_off, .. } = *options;
        Self { venue, share, patience, back_off, turn: Mutex::new(Instant::now()) }
    }

    /// Finds the longest interval that the venue has candles of, up to one; seconds stand for nothing longer, as there are
    /// too many of them.
    pub(super) fn offered(&self, pair: Pair, wanted: Interval) -> Option<Interval> {
        let symbol = self.venue.protocol.symbol(pair);
        let (from, rest) = (chrono::DateTime::UNIX_EPOCH, self.venue.client.rest());
        let offers =
            |interval: &Interval| rest.candles(&symbol, *interval, from, from + interval.span()).is_some();
        Interval::ALL
            .into_iter()
            .rev()
            .filter(|interval| *interval == wanted || (*interval < wanted && *interval > Interval::Second))
            .find(offers)
    }

    /// Tells how many candles an answer has at most.
    pub(super) fn max_candles(&self) -> usize {
        self.venue.client.rest().max_candles()
    }

    /// Asks for the candles of a span, in units of the assets themselves. What lies outside of it may come, too.
    pub(super) async fn rows(
        &self,
        pair: Pair,
        interval: Interval,
        span: &Span,
    ) -> Result<Vec<CandleReport>, RestError> {
        let VenueClient { protocol, client } = &self.venue;
        let symbol = protocol.symbol(pair);
        let scale = Scale::of_symbol(*protocol, &symbol)?;
        let Some(query) = client.rest().candles(&symbol, interval, span.start, span.end) else {
            return Ok(Vec::new());
        };
        let body = self.insist(query).await?;
        let rows = client.rest().read_candles(&body)?.into_iter();
        Ok(rows.map(|row| scale.candle(row)).collect::<Result<_, _>>()?)
    }

    /// Asks until there is an answer or none will come.
    async fn insist(&self, query: Query) -> Result<String, RestError> {
        let mut attempt = 1;
        loop {
            match self.ask(query.clone()).await {
                Err(RestError::TooOften(wait)) if wait <= self.patience => sleep(wait).await,
                Err(RestError::Refused(_) | RestError::Transport(_)) if attempt < ATTEMPTS => {
                    sleep(self.back_off * (1 << attempt)).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Asks once it is our turn, and leaves the rest of the budget to others.
    async fn ask(&self, query: Query) -> Result<String, RestError> {
        let mut turn = self.turn.lock().await;
        sleep_until(*turn).await;
        let (budget, weight) = (self.venue.client.budget(), query.weight);
        let outcome = self.venue.client.ask(query).await;
        if self.share < Decimal::ONE {
            let share = self.share.to_f64().unwrap_or(1.0).max(0.001);
            let pause = (budget.per * weight / budget.weight.max(1)).div_f64(share);
            *turn = Instant::now() + pause;
        }
        outcome
    }
}
