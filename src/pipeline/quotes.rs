//! The venues' quotes as they stand: what each message changes, confirms, repeats or says too late.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use foldhash::fast::RandomState;
use rust_decimal::Decimal;

use super::lag::Lags;
use crate::domain::{
    pair::Pair,
    quote::{LastTrade, Quote, TopOfBook},
    seen::Seen,
    trade::Trade,
    venue::Venue,
};

/// Trade ids that are remembered for each market at most, to know a trade that comes twice: also the last one, which a stream tells
/// to who subscribes anew, after some pages of those that were missed before it.
const REMEMBERED: usize = 4_096;

/// How long a volume is taken for that of the last day, if it is not told again.
const VOLUME_LASTS: TimeDelta = TimeDelta::hours(6);

/// What a message did to a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Bid, ask or last trade have new values.
    Changed,
    /// They still hold.
    Confirmed,
    /// The message was older than what is known.
    OutOfOrder,
    /// The trade was known already.
    Duplicate,
}

/// What a ticker says of one market.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TickerUpdate {
    pub(super) book: Option<TopOfBook>,
    pub(super) last: Option<Decimal>,
    pub(super) base_volume_24h: Option<Decimal>,
    pub(super) quote_volume_24h: Option<Decimal>,
    pub(super) time: Option<DateTime<Utc>>,
}

/// Who said something, on which connection, and when it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) venue: Venue,
    /// `None` for an answer over REST.
    pub(super) connection: Option<u64>,
    pub(super) receive_time: DateTime<Utc>,
}

/// All quotes, by market.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    markets: HashMap<Pair, Vec<Standing>, RandomState>,
    /// What venues are listened to for, where that is known. What a connection still says of other markets is not heard.
    listened: HashMap<Venue, HashSet<Pair, RandomState>, RandomState>,
    /// How late messages come that do not tell.
    pub(super) lags: Lags,
}

/// One venue's quote of one market, and what is needed to judge the next message.
#[derive(Debug)]
struct Standing {
    quote: Quote,
    /// The times of the last tickers: of one with a book and of one without, which come over channels of their own.
    book_time: Option<DateTime<Utc>>,
    other_time: Option<DateTime<Utc>>,
    /// When the volume was told, by our clock.
    volume_time: DateTime<Utc>,
    /// The connection that has said what the quote is, while it stands. What a connection confirms is what it has said itself.
    said_on: Option<u64>,
    seen: Seen,
}

impl Quotes {
    /// Lists what all venues say of some markets.
    pub(super) fn of(&self, markets: &[Pair]) -> Vec<Quote> {
        let standing = markets.iter().filter_map(|market| self.markets.get(market)).flatten();
        standing.map(Standing::told).collect()
    }

    /// Tells whether any venue quotes a market.
    pub(super) fn has(&self, market: Pair) -> bool {
        self.markets.get(&market).is_some_and(|venues| !venues.is_empty())
    }

    /// Takes in a ticker.
    pub(super) fn ticker(
        &mut self,
        heard: Heard,
        market: Pair,
        ticker: &TickerUpdate,
        consensus: Option<Decimal>,
    ) -> Effect {
        let time = ticker.time.unwrap_or_else(|| self.lags.said_at(heard));
        let Some(standing) = self.standing(heard, market, time) else { return Effect::Confirmed };
        let known = if ticker.book.is_some() { &mut standing.book_time } else { &mut standing.other_time };
        if ticker.time.zip(*known).is_some_and(|(new, known)| new < known) {
            return Effect::OutOfOrder;
        }
        *known = ticker.time.or(*known);
        let before = (standing.quote.book, standing.quote.last.map(|last| last.price));
        let quote = &mut standing.quote;
        quote.book = ticker.book.or(quote.book);
        if let Some(price) = ticker.last
            && quote.last.is_none_or(|last| last.price != price && last.time <= time)
        {
            quote.last = Some(LastTrade { price, time });
        }
        let base_volume = ticker.base_volume_24h.zip(ticker.last).and_then(|(v, price)| v.checked_mul(price));
        if let Some(volume) = ticker.quote_volume_24h.or(base_volume) {
            (quote.quote_volume_24h, standing.volume_time) = (Some(volume), heard.receive_time);
        }
        let after = (quote.book, quote.last.map(|last| last.price));
        if ticker.book.is_some() {
            standing.touch(before.0 != after.0, time, consensus, heard);
        } else if quote.book.is_none() && ticker.last.is_some() {
            standing.touch(before != after, time, consensus, heard);
        }
        if before == after { Effect::Confirmed } else { Effect::Changed }
    }

    /// Takes in a trade.
    pub(super) fn trade(
        &mut self,
        heard: Heard,
        market: Pair,
        trade: Trade,
        consensus: Option<Decimal>,
    ) -> Effect {
        let Some(standing) = self.standing(heard, market, trade.time) else { return Effect::Confirmed };
        if let Some(id) = trade.id
            && !standing.seen.insert_joined(trade.time, &id, trade.count)
        {
            return Effect::Duplicate;
        }
        let last = standing.quote.last;
        if last.is_some_and(|last| trade.time < last.time) {
            return Effect::OutOfOrder;
        }
        standing.quote.last = Some(LastTrade { price: trade.price, time: trade.time });
        let changed = last.is_none_or(|last| last.price != trade.price);
        // Trades say nothing of bid and ask: where those have stopped coming, the quote has to grow old.
        if standing.quote.book.is_none() {
            standing.touch(changed, trade.time, consensus, heard);
        }
        if changed { Effect::Changed } else { Effect::Confirmed }
    }

    /// Confirms one market of a connection, or all, as still holding; gives the markets. One that this connection has said
    /// nothing of is not confirmed by it.
    pub(super) fn confirm(&mut self, heard: Heard, market: Option<Pair>) -> Vec<Pair> {
        let Heard { venue, connection, receive_time: received } = heard;
        let time = self.lags.said_at(heard);
        let mut confirmed = Vec::new();
        for (pair, venues) in &mut self.markets {
            if market.is_none_or(|market| market == *pair)
                && let Some(standing) = venues.iter_mut().find(|standing| standing.quote.venue == venue)
                && standing.said_on.is_some()
                && standing.said_on == connection
            {
                standing.quote.confirm_time = standing.quote.confirm_time.max(time);
                standing.quote.receive_time = standing.quote.receive_time.max(received);
                confirmed.push(*pair);
            }
        }
        confirmed
    }

    /// Notes that messages of a market were missed: what was said is not confirmed before it is said again.
    pub(super) fn unsay(&mut self, venue: Venue, market: Pair) {
        let standing = self.markets.get_mut(&market).into_iter().flatten();
        standing
            .filter(|standing| standing.quote.venue == venue)
            .for_each(|standing| standing.said_on = None);
    }

    /// Forgets what a venue said of markets that it is not listened to for any more; lists these.
    pub(super) fn keep(&mut self, venue: Venue, listened: &[Pair]) -> Vec<Pair> {
        self.listened.insert(venue, listened.iter().copied().collect());
        let mut gone = Vec::new();
        for (pair, venues) in &mut self.markets {
            let before = venues.len();
            venues.retain(|standing| standing.quote.venue != venue || listened.contains(pair));
            if venues.len() < before {
                gone.push(*pair);
            }
        }
        self.markets.retain(|_, venues| !venues.is_empty());
        gone
    }

    /// Notes the end of a connection: what the next one confirms is what it has said itself.
    pub(super) fn left(&mut self, venue: Venue, connection: Option<u64>) {
        let standing = self.markets.values_mut().flatten();
        standing
            .filter(|standing| standing.quote.venue == venue && standing.said_on == connection)
            .for_each(|standing| standing.said_on = None);
    }

    /// Forgets which trades have come: a recording that starts again says them again.
    pub(super) fn forget_trades(&mut self) {
        for standing in self.markets.values_mut().flatten() {
            standing.seen.clear();
        }
    }

    fn standing(
        &mut self,
        Heard { venue, receive_time: received, .. }: Heard,
        market: Pair,
        time: DateTime<Utc>,
    ) -> Option<&mut Standing> {
        let venues = self.markets.entry(market).or_default();
        let known = venues.iter().position(|standing| standing.quote.venue == venue);
        if known.is_none() {
            if self.listened.get(&venue).is_some_and(|listened| !listened.contains(&market)) {
                return None;
            }
            venues.push(Standing::new(venue, market, time, received));
        }
        match known {
            Some(at) => venues.get_mut(at),
            None => venues.last_mut(),
        }
    }
}

impl Standing {
    fn new(venue: Venue, market: Pair, time: DateTime<Utc>, received: DateTime<Utc>) -> Self {
        Self {
            quote: Quote {
                venue,
                market,
                book: None,
                last: None,
                quote_volume_24h: None,
                observe_time: time,
                confirm_time: time,
                receive_time: received,
                change_time: received,
                consensus_at_change: None,
            },
            book_time: None,
            other_time: None,
            volume_time: received,
            said_on: None,
            seen: Seen::new(REMEMBERED, TimeDelta::MAX),
        }
    }

    /// Tells what is known, without a volume that was not told for long.
    fn told(&self) -> Quote {
        let quote = self.quote.clone();
        let lasts = quote.receive_time - self.volume_time <= VOLUME_LASTS;
        Quote { quote_volume_24h: quote.quote_volume_24h.filter(|_| lasts), ..quote }
    }

    /// Notes when bid and ask (without a book: the last trade) were said, and whether they changed.
    fn touch(
        &mut self,
        changed: bool,
        time: DateTime<Utc>,
        consensus: Option<Decimal>,
        Heard { connection, receive_time: received, .. }: Heard,
    ) {
        // An answer over REST that says something new shows that the connection does not know any more.
        self.said_on = connection.or(self.said_on.filter(|_| !changed));
        let quote = &mut self.quote;
        quote.confirm_time = quote.confirm_time.max(time);
        quote.receive_time = quote.receive_time.max(received);
        if changed {
            quote.observe_time = quote.observe_time.max(time);
            quote.change_time = received;
            quote.consensus_at_change = consensus;
        }
    }
}

#[cfg(test)]
mod tests;
