//! What is asked over REST and when, and what becomes of the answers.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::{
    LIST_AGAIN, LOOK_EVERY, Listener, REVIVE_AFTER, REVIVE_AFTER_AT_MOST,
    listing::Listing,
    questions::{Answer, Left, Page, Question},
};
use crate::{
    domain::pair::Pair,
    feed::{
        delivery::DeliveryKind,
        outlet::{Outlet, Unheard},
        pulses::{Finding, Late, Missed},
        rest::{Budget, RestClient, RestError},
    },
};

/// Questions that may be on their way at the same time, however little may be asked.
const QUESTIONS: usize = 4;

/// And however much may be asked: their answers are held at the same time.
const QUESTIONS_AT_MOST: usize = 32;

/// How long the question for a volume waits for a moment in which nothing else is asked.
const PATIENCE: Duration = Duration::from_secs(300);

impl Listener {
    /// Lists what is to be asked now, while so many questions are on their way.
    pub(super) fn due(&mut self, client: &RestClient, on_their_way: usize) -> Vec<Question> {
        let (now, pulses) = (Instant::now(), &self.contact.outlet.pulses);
        let room = room(client).saturating_sub(on_their_way);
        let mut due = Vec::new();
        if self.list_at <= now && room > 0 {
            self.list_at = now + LIST_AGAIN;
            due.push(Question::Instruments);
        }
        let symbol = |market: Pair| {
            self.subscriptions.iter().find(|known| known.pair == market).map(|known| known.symbol.clone())
        };
        let tickers = groups(&pulses.late(now), client.rest().max_tickers());
        let left = room.saturating_sub(due.len());
        // Prices are more urgent, but do not keep trades waiting for ever.
        for missed in pulses.missed(left.saturating_sub(tickers.len()).max(1).min(left), now) {
            due.extend(symbol(missed.market).map(|symbol| Question::Trades { missed, symbol }));
        }
        for group in tickers.into_iter().take(room.saturating_sub(due.len())) {
            let markets: Vec<_> =
                group.into_iter().filter_map(|market| Some((market, symbol(market)?))).collect();
            for (market, _) in &markets {
                pulses.asked(*market, now);
            }
            if !markets.is_empty() {
                due.push(Question::Tickers { markets, asked: now });
            }
        }
        let patience = if on_their_way == 0 && due.is_empty() { Duration::ZERO } else { PATIENCE };
        if due.len() < room
            && let Some(market) = pulses.unmeasured(patience, now)
        {
            due.extend(symbol(market).map(|symbol| Question::Volume { market, symbol }));
        }
        if due.len() < room {
            let listing = self.listing.as_mut();
            let untold = listing.and_then(|listing| listing.ask(&self.wanted.borrow().pairs, now));
            due.extend(untold.map(|(market, query)| Question::State { market, query }));
        }
        due
    }

    /// Takes in an answer.
    pub(super) async fn take(&mut self, answer: Answer) -> Result<(), Unheard> {
        match answer {
            Answer::Instruments(Ok(instruments)) => {
                let now = Instant::now();
                let listing = Listing::new(self.contact.protocol, instruments, self.listing.as_ref(), now);
                self.listing = Some(listing);
                self.list_at = now + self.refresh_every;
                self.follow().await
            }
            Answer::State { market, outcome: Ok(state) } => {
                if let Some(listing) = &mut self.listing {
                    listing.tell(market, state, Instant::now());
                }
                self.follow().await
            }
            Answer::Instruments(Err(error)) => {
                warn!(venue = self.name(), %error, "the instruments of a venue cannot be read");
                self.list_at = Instant::now() + LIST_AGAIN.min(self.refresh_every);
                self.tell_polled(Some(error)).await
            }
            Answer::Tickers { markets, asked, outcome } => self.take_tickers(markets, asked, outcome).await,
            Answer::Volume { market, outcome: Ok(told) } => {
                self.contact.outlet.pulses.measured(market, Instant::now());
                self.tell(told).await
            }
            Answer::State { outcome: Err(error), .. } | Answer::Volume { outcome: Err(error), .. } => {
                self.tell_polled(Some(error)).await
            }
            Answer::Trades { missed, outcome } => self.take_trades(missed, outcome).await,
        }
    }

    async fn take_tickers(
        &mut self,
        mut markets: Vec<Pair>,
        asked: Instant,
        outcome: Result<Vec<DeliveryKind>, RestError>,
    ) -> Result<(), Unheard> {
        let several = markets.len() > 1;
        let (tickers, alone, error) = match outcome {
            // Those that are left out are asked for by themselves, which tells why.
            Ok(tickers) => (tickers, true, None),
            Err(error) => (Vec::new(), several && error.is_of_the_question(), Some(error)),
        };
        for told in tickers {
            if let DeliveryKind::Ticker { market, .. } = told {
                markets.retain(|asked| *asked != market);
                self.take_ticker(market, asked, told).await?;
            }
        }
        for market in &markets {
            self.contact.outlet.pulses.unanswered(*market, alone, Instant::now());
        }
        if error.is_some() { self.tell_polled(error).await } else { Ok(()) }
    }

    async fn take_ticker(&mut self, market: Pair, asked: Instant, told: DeliveryKind) -> Result<(), Unheard> {
        let Outlet { pulses, clock, .. } = &self.contact.outlet;
        if let DeliveryKind::Ticker { book, last, base_volume_24h, quote_volume_24h, .. } = &told {
            let now = Instant::now();
            if base_volume_24h.or(*quote_volume_24h).is_some() {
                pulses.measured(market, now);
            }
            match pulses.answered(market, *book, *last, asked, (now, clock.now())) {
                Finding::Expected => {}
                Finding::Overtaken => return Ok(()),
                Finding::Dead { since } => {
                    self.revive(market);
                    self.tell(DeliveryKind::Unheard { market, since }).await?;
                }
            }
        }
        self.tell(told).await
    }

    async fn take_trades(&mut self, missed: Missed, outcome: Result<Page, RestError>) -> Result<(), Unheard> {
        let (venue, market, now) = (self.name(), missed.market, Instant::now());
        let pulses = &self.contact.outlet.pulses;
        let Page { trades, left } = match outcome {
            Ok(page) => page,
            Err(error) => {
                let again = match &error {
                    // An answer that cannot be understood will not be the next time.
                    RestError::Answer(_) => false,
                    RestError::TooOften(wait) => pulses.still_missed(missed, Some(*wait), now),
                    _ => pulses.still_missed(missed, None, now),
                };
                if !again {
                    warn!(venue, %market, %error, "trades that were missed are not told over REST");
                }
                return self.tell_polled(Some(error)).await;
            }
        };
        for trade in trades {
            self.tell(trade).await?;
        }
        match left {
            Left::Nothing => Ok(()),
            Left::After(last) => {
                self.contact.outlet.pulses.missed_after(missed, last, now);
                Ok(())
            }
            Left::Untold { from, to } => {
                warn!(venue, %market, %from, %to, "a venue does not tell all trades that were missed");
                self.tell(DeliveryKind::Untold { market, from, to }).await
            }
        }
    }

    /// Has another connection take over from that of a market whose stream is dead.
    fn revive(&mut self, market: Pair) {
        let venue = self.name();
        let now = Instant::now();
        let shard = self.shards.iter_mut().find(|shard| shard.markets.contains(&market));
        if let Some(shard) = shard.filter(|shard| shard.revival.0 <= now) {
            warn!(venue, %market, "a market has moved and its stream has not said so: it is subscribed anew");
            let (last, wait) = shard.revival;
            // After a long time without, it begins anew.
            let wait = if now - last > REVIVE_AFTER_AT_MOST { REVIVE_AFTER } else { wait };
            shard.revival = (now + wait, (2 * wait).min(REVIVE_AFTER_AT_MOST));
            shard.wanted.send_modify(|_| ());
        }
    }

    /// Tells how many markets REST speaks for, where that has changed or something went wrong.
    pub(super) async fn tell_polled(&mut self, error: Option<RestError>) -> Result<(), Unheard> {
        let polled = self.contact.outlet.pulses.polled();
        if polled == self.polled && error.is_none() {
            return Ok(());
        }
        self.polled = polled;
        let error = error.map(|error| error.to_string());
        self.tell(DeliveryKind::Asked { polled, error }).await
    }
}

/// Tells how many questions may be on their way: those for prices that may be asked from one look to the next.
fn room(client: &RestClient) -> usize {
    let Budget { weight, per } = client.budget();
    let each = u128::from(client.rest().ticker("").weight.max(1)) * per.as_millis().max(1);
    let questions = u128::from(weight) * LOOK_EVERY.as_millis() / each;
    usize::try_from(questions).unwrap_or(usize::MAX).clamp(QUESTIONS, QUESTIONS_AT_MOST)
}

/// Puts markets together that are asked for in one question, so many at most, and otherwise keeps their turn.
fn groups(late: &[Late], most: usize) -> Vec<Vec<Pair>> {
    let mut groups: Vec<Vec<Pair>> = Vec::new();
    let mut open = None;
    for Late { market, alone } in late {
        let group = open.filter(|_| !alone).and_then(|at: usize| groups.get_mut(at));
        if let Some(group) = group.filter(|group| group.len() < most) {
            group.push(*market);
            continue;
        }
        open = if *alone { open } else { Some(groups.len()) };
        groups.push(vec![*market]);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markets_are_asked_for_together_but_those_that_may_spoil_it_for_others() {
        let market = |name: &str| Pair::new(name.parse().unwrap(), "USD".parse().unwrap());
        let late = |names: &[&str]| -> Vec<Late> {
            let of = |name: &&str| Late { market: market(name), alone: name.starts_with('X') };
            names.iter().map(of).collect()
        };
        for (names, most, expected) in [
            (&["A", "B", "C"] as &[&str], 1, "A|B|C"),
            (&["A", "B", "C"], 2, "A B|C"),
            (&["A", "XA", "B", "XB", "C"], 9, "A B C|XA|XB"),
            (&["XA", "A", "B", "C"], 2, "XA|A B|C"),
            (&[], 2, ""),
        ] {
            let written = |group: Vec<Pair>| {
                group.iter().map(|market| market.base.as_str().to_owned()).collect::<Vec<_>>().join(" ")
            };
            let grouped: Vec<_> = groups(&late(names), most).into_iter().map(written).collect();
            assert_eq!(grouped.join("|"), expected, "{names:?} {most}");
        }
    }
}
