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
mod tests {
    use super::*;
    use crate::domain::trade::Side;

    const VENUE: Venue = Venue::new("kraken");
    const MARKET: Pair = Pair::literal("BTC", "USD");

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
    }

    fn heard(second: i64) -> Heard {
        Heard { venue: VENUE, connection: Some(1), receive_time: at(second) }
    }

    fn book(bid: i64, ask: i64, time: Option<i64>) -> TickerUpdate {
        let book = TopOfBook { bid: Some(bid.into()), ask: Some(ask.into()) };
        TickerUpdate { book: Some(book), time: time.map(at), ..TickerUpdate::default() }
    }

    fn trade(id: &str, price: i64, time: i64) -> Trade {
        Trade {
            id: Some(id.into()),
            count: 1,
            price: price.into(),
            amount: 1.into(),
            side: Side::Buy,
            time: at(time),
        }
    }

    #[test]
    fn what_is_not_listened_to_any_more_is_not_heard() {
        let mut quotes = Quotes::default();
        quotes.ticker(heard(1), MARKET, &book(1, 3, None), None);
        assert_eq!(quotes.keep(VENUE, &[]), [MARKET]);
        // A connection that has not been left yet still says something.
        quotes.ticker(heard(2), MARKET, &book(1, 3, None), None);
        assert!(quotes.of(&[MARKET]).is_empty() && !quotes.has(MARKET));
        quotes.keep(VENUE, &[MARKET]);
        quotes.ticker(heard(3), MARKET, &book(1, 3, None), None);
        assert!(quotes.has(MARKET));
    }

    #[test]
    fn a_change_is_not_a_confirmation() {
        let mut quotes = Quotes::default();
        assert_eq!(quotes.ticker(heard(0), MARKET, &book(1, 3, Some(0)), None), Effect::Changed);
        assert_eq!(quotes.ticker(heard(6), MARKET, &book(1, 3, Some(5)), None), Effect::Confirmed);
        assert_eq!(quotes.confirm(heard(9), None), [MARKET]);
        let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
        assert_eq!((quote.observe_time, quote.change_time, quote.confirm_time), (at(0), at(0), at(9)));
    }

    #[test]
    fn what_comes_late_or_twice_changes_nothing() {
        let mut quotes = Quotes::default();
        quotes.ticker(heard(5), MARKET, &book(1, 3, Some(4)), None);
        assert_eq!(quotes.ticker(heard(6), MARKET, &book(7, 9, Some(3)), None), Effect::OutOfOrder);
        assert_eq!(quotes.trade(heard(6), MARKET, trade("1", 2, 5), None), Effect::Changed);
        assert_eq!(quotes.trade(heard(7), MARKET, trade("1", 2, 5), None), Effect::Duplicate);
        assert_eq!(quotes.trade(heard(7), MARKET, trade("0", 8, 4), None), Effect::OutOfOrder);
        let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
        assert_eq!(quote.book.unwrap().bid, Some(1.into()));
        assert_eq!(quote.last.unwrap().price, 2.into());
    }

    #[test]
    fn trades_do_not_keep_a_book_fresh() {
        let mut quotes = Quotes::default();
        quotes.ticker(heard(0), MARKET, &book(1, 3, Some(0)), None);
        assert_eq!(quotes.trade(heard(50), MARKET, trade("1", 2, 50), None), Effect::Changed);
        let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
        assert_eq!((quote.confirm_time, quote.change_time, quote.last.unwrap().time), (at(0), at(0), at(50)));
    }

    #[test]
    fn a_last_price_does_not_keep_a_book_fresh() {
        let mut quotes = Quotes::default();
        let last = |price: i64, time| TickerUpdate {
            last: Some(price.into()),
            time: Some(at(time)),
            ..TickerUpdate::default()
        };
        quotes.ticker(heard(0), MARKET, &last(2, 0), None);
        quotes.ticker(heard(1), MARKET, &book(1, 3, Some(1)), None);
        assert_eq!(quotes.ticker(heard(50), MARKET, &last(4, 50), None), Effect::Changed);
        assert_eq!(quotes.ticker(heard(51), MARKET, &last(4, 51), None), Effect::Confirmed);
        let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
        assert_eq!((quote.confirm_time, quote.change_time, quote.last.unwrap().time), (at(1), at(1), at(50)));
    }

    #[test]
    fn a_volume_that_is_not_told_again_is_unknown_after_some_hours() {
        let mut quotes = Quotes::default();
        let volume = || TickerUpdate { quote_volume_24h: Some(7.into()), ..TickerUpdate::default() };
        let known = |quotes: &Quotes| quotes.of(&[MARKET])[0].quote_volume_24h.is_some();
        let hours = |hours: i64| hours * 3_600;
        quotes.ticker(heard(0), MARKET, &book(1, 3, None), None);
        // It says nothing of bid and ask, which are as old as they were.
        assert_eq!(quotes.ticker(heard(9), MARKET, &volume(), None), Effect::Confirmed);
        assert_eq!((quotes.of(&[MARKET])[0].receive_time, known(&quotes)), (at(0), true));
        for (hour, told, expected) in
            [(6, false, true), (7, false, false), (8, true, true), (15, false, false)]
        {
            quotes.ticker(heard(hours(hour)), MARKET, &book(1, 3, None), None);
            if told {
                quotes.ticker(heard(hours(hour)), MARKET, &volume(), None);
            }
            assert_eq!(known(&quotes), expected, "hour {hour}");
        }
    }

    #[test]
    fn a_volume_alone_does_not_keep_a_last_price_fresh() {
        let mut quotes = Quotes::default();
        quotes.trade(heard(0), MARKET, trade("1", 2, 0), None);
        let volume = TickerUpdate { quote_volume_24h: Some(7.into()), ..TickerUpdate::default() };
        quotes.ticker(heard(50), MARKET, &volume, None);
        assert_eq!(quotes.of(&[MARKET])[0].confirm_time, at(0));
    }

    #[test]
    fn each_channel_of_a_market_is_in_order_by_itself() {
        let mut quotes = Quotes::default();
        let last = |price: i64, time| TickerUpdate {
            last: Some(price.into()),
            time: Some(at(time)),
            ..TickerUpdate::default()
        };
        for (ticker, expected) in [
            (last(2, 10), Effect::Changed),
            (book(1, 3, Some(9)), Effect::Changed),
            (book(2, 4, Some(8)), Effect::OutOfOrder),
            (last(3, 9), Effect::OutOfOrder),
            (book(2, 4, Some(11)), Effect::Changed),
            (last(3, 10), Effect::Changed),
        ] {
            assert_eq!(quotes.ticker(heard(12), MARKET, &ticker, None), expected, "{ticker:?}");
        }
        let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
        assert_eq!((quote.book, quote.last.map(|last| last.price)), (book(2, 4, None).book, Some(3.into())));
    }

    #[test]
    fn a_new_connection_confirms_only_what_it_has_said() {
        let mut quotes = Quotes::default();
        let other = Pair::literal("ETH", "USD");
        quotes.ticker(heard(0), MARKET, &book(1, 3, Some(0)), None);
        quotes.ticker(heard(0), other, &book(1, 3, Some(0)), None);
        quotes.left(VENUE, Some(1));
        assert_eq!(quotes.confirm(heard(300), None), []);
        quotes.ticker(heard(300), other, &book(1, 3, Some(300)), None);
        assert_eq!(quotes.confirm(heard(301), None), [other]);
        let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
        assert_eq!(quote.confirm_time, at(0));
    }

    #[test]
    fn two_equal_trades_without_ids_are_two() {
        let mut quotes = Quotes::default();
        let nameless = Trade { id: None, ..trade("", 2, 5) };
        assert_eq!(quotes.trade(heard(6), MARKET, nameless.clone(), None), Effect::Changed);
        assert_eq!(quotes.trade(heard(6), MARKET, nameless, None), Effect::Confirmed);
    }
}
