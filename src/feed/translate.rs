//! From a venue's words to everybody's: symbols become canonical markets, multiples of an asset become the asset,
//! borrowed events become owned ones. It serves what was heard over either half of the seam.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use foldhash::fast::RandomState;

use super::{
    delivery::DeliveryKind,
    event::{Event, Ticker, TradeReport},
    scale::Scale,
    venue::{Market, ParseError, Protocol},
};
use crate::domain::{pair::Pair, trade::Trade, venue::MarketKind};

/// How far a venue's clock may be ahead of ours. What is further ahead is no time that can be used.
const MAX_AHEAD: TimeDelta = TimeDelta::seconds(60);

/// How long after the first word of a connection the past may still come as an answer to its subscriptions. A trade that
/// is later and yet of before comes from a venue whose clock is behind.
const ANSWERED_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// A trade that happened longer than this before the connection told anything is of the past, though the venue may not
/// mark it so: some send the last one as an answer to the subscription.
const PAST: TimeDelta = TimeDelta::seconds(2);

/// Symbols that are remembered: more than any venue lists, so that none can fill the memory.
const MAX_REMEMBERED: usize = 10_000;

/// Translates the events of one connection.
#[derive(Debug)]
pub struct Translator {
    protocol: &'static dyn Protocol,
    markets: HashMap<String, (Market, Scale), RandomState>,
    /// The pairs that were asked for, by symbol.
    asked: HashMap<String, Pair, RandomState>,
    /// When the connection first told anything.
    began: Option<DateTime<Utc>>,
}

impl Translator {
    /// Starts with a connection.
    pub fn new(protocol: &'static dyn Protocol) -> Self {
        Self { protocol, markets: HashMap::default(), asked: HashMap::default(), began: None }
    }

    /// Takes these symbols for the pairs they were asked as, and not for what else they could be read as: `BNBUSD` is
    /// also how one would spell `BN-BUSD`.
    #[must_use]
    pub fn asking_for(mut self, asked: impl IntoIterator<Item = (String, Pair)>) -> Self {
        self.ask(asked);
        self
    }

    /// Does the same for more symbols.
    pub fn ask(&mut self, asked: impl IntoIterator<Item = (String, Pair)>) {
        self.asked.extend(asked);
    }

    /// Lists those of some pairs that were asked for whose symbols alone read as others.
    pub fn unclear<'s>(
        protocol: &'static dyn Protocol,
        asked: impl IntoIterator<Item = (&'s str, Pair)>,
    ) -> Vec<(String, Pair)> {
        let mut unasked = Self::new(protocol);
        let unclear = asked
            .into_iter()
            .filter(|(symbol, pair)| !unasked.market(symbol).is_ok_and(|(market, _)| market.pair == *pair));
        unclear.map(|(symbol, pair)| (symbol.to_owned(), pair)).collect()
    }

    /// Takes the connection to have told something at a time already.
    pub fn begin(&mut self, time: DateTime<Utc>) {
        self.began = Some(time);
    }

    /// Translates one event that was received at `receive_time`.
    ///
    /// A time more than a minute ahead of that is not believed: a ticker is then without a time. A trade keeps it, for that is
    /// how far the venue's clock is ahead; when it happened tells [`believed`].
    pub fn translate(
        &mut self,
        event: &Event<'_>,
        receive_time: DateTime<Utc>,
    ) -> Result<DeliveryKind, ParseError> {
        let began = *self.began.get_or_insert(receive_time);
        Ok(match *event {
            Event::Ticker(ref ticker) => {
                let (market, scale) = self.market(ticker.symbol)?;
                if scale == Scale::ONE {
                    ticker_delivery(market, ticker, receive_time)
                } else {
                    ticker_delivery(market, &scale.ticker(ticker)?, receive_time)
                }
            }
            Event::Trade(ref trade) => {
                let (market, scale) = self.market(trade.symbol)?;
                let answer = || receive_time - began <= ANSWERED_WITHIN && began - trade.time > PAST;
                let snapshot = trade.snapshot || (trade.time < began && answer());
                if scale == Scale::ONE {
                    trade_delivery(market, trade, snapshot)
                } else {
                    trade_delivery(market, &scale.trade(trade)?, snapshot)
                }
            }
            Event::Confirm(None) => DeliveryKind::Confirm(None),
            Event::Confirm(Some(symbol)) => DeliveryKind::Confirm(Some(self.market(symbol)?.0.pair)),
            Event::Gap(None) => DeliveryKind::Gap(None),
            Event::Gap(Some(symbol)) => DeliveryKind::Gap(Some(self.market(symbol)?.0.pair)),
            Event::Subscribed => DeliveryKind::Subscribed,
            Event::Refused(words) => DeliveryKind::Refused { market: None, words: words.to_owned() },
            Event::GoingAway(words) => DeliveryKind::GoingAway(words.to_owned()),
        })
    }

    /// Finds the market of a symbol, with canonical asset names, and how the venue's units relate to theirs.
    fn market(&mut self, symbol: &str) -> Result<(Market, Scale), ParseError> {
        if let Some(market) = self.markets.get(symbol) {
            return Ok(*market);
        }
        let native = |asset| self.protocol.native(asset);
        let Market { pair, kind } = match self.asked.get(symbol) {
            Some(pair) => {
                Market { pair: Pair::new(native(pair.base), native(pair.quote)), kind: MarketKind::Spot }
            }
            None => self.protocol.market(symbol)?,
        };
        let scale = Scale::of(self.protocol, Market { pair, kind });
        let pair = Pair::new(self.protocol.canonical(pair.base), self.protocol.canonical(pair.quote));
        if pair.base == pair.quote {
            return Err(ParseError::unknown_symbol(symbol));
        }
        let market = (Market { pair, kind }, scale);
        if self.markets.len() < MAX_REMEMBERED {
            self.markets.insert(symbol.to_owned(), market);
        }
        Ok(market)
    }
}

/// Tells when something happened: when the venue says, unless that is more than a minute ahead of when it was received.
pub fn believed(time: DateTime<Utc>, receive_time: DateTime<Utc>) -> DateTime<Utc> {
    if is_far_ahead(time, receive_time) { receive_time } else { time }
}

/// Tells whether a time is more than a minute ahead. Most are not ahead at all, which is seen at once.
fn is_far_ahead(time: DateTime<Utc>, receive_time: DateTime<Utc>) -> bool {
    let moment = |time: DateTime<Utc>| (time.timestamp(), time.timestamp_subsec_nanos());
    let (seconds, nanos) = moment(receive_time);
    time > receive_time && moment(time) > (seconds + MAX_AHEAD.num_seconds(), nanos)
}

fn ticker_delivery(market: Market, ticker: &Ticker<'_>, receive_time: DateTime<Utc>) -> DeliveryKind {
    DeliveryKind::Ticker {
        market: market.pair,
        kind: market.kind,
        book: ticker.book,
        last: ticker.last,
        base_volume_24h: ticker.base_volume_24h,
        quote_volume_24h: ticker.quote_volume_24h,
        time: ticker.time.filter(|time| !is_far_ahead(*time, receive_time)),
    }
}

fn trade_delivery(market: Market, trade: &TradeReport<'_>, snapshot: bool) -> DeliveryKind {
    DeliveryKind::Trade {
        market: market.pair,
        kind: market.kind,
        trade: Trade {
            id: trade.id.map(str::to_owned),
            count: trade.count,
            price: trade.price,
            amount: trade.amount,
            side: trade.side,
            time: trade.time,
        },
        snapshot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{decimal, trade::Side},
        feed::venues::{binance::Binance, binanceus::BinanceUs, htx::Htx, kraken::Kraken, kucoin::KuCoin},
    };

    const RECEIVED: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).unwrap();

    fn trade(symbol: &str, time: DateTime<Utc>) -> Event<'_> {
        Event::Trade(TradeReport {
            symbol,
            id: Some("7"),
            count: 1,
            price: decimal::parse("1.5").unwrap(),
            amount: decimal::parse("2").unwrap(),
            side: Side::Sell,
            time,
            snapshot: true,
        })
    }

    #[test]
    fn symbols_become_canonical_markets() {
        for (symbol, expected, kind) in [
            ("BTC-USDT", "BTC-USDT", MarketKind::Spot),
            ("BCHSV-USDT", "BSV-USDT", MarketKind::Spot),
            ("XBTUSDTM", "BTC-USDT", MarketKind::Perpetual),
            ("XBTMM22", "BTC-USD", MarketKind::Dated),
        ] {
            let mut translator = Translator::new(&KuCoin);
            // Twice: looked up, then remembered.
            for _ in 0..2 {
                let delivery = translator.translate(&trade(symbol, RECEIVED), RECEIVED).unwrap();
                let DeliveryKind::Trade { market, kind: found, trade, snapshot } = delivery else {
                    panic!("{delivery:?}")
                };
                assert_eq!((market.to_string().as_str(), found), (expected, kind));
                assert_eq!((trade.id.as_deref(), trade.side, snapshot), (Some("7"), Side::Sell, true));
                assert_eq!(trade.time, RECEIVED);
            }
        }
    }

    #[test]
    fn multiples_of_an_asset_become_the_asset() {
        let mut translator = Translator::new(&Binance);
        let delivery = translator.translate(&trade("1000SATSUSDT", RECEIVED), RECEIVED).unwrap();
        let DeliveryKind::Trade { market, trade, .. } = delivery else { panic!("{delivery:?}") };
        let told = (market.to_string(), decimal::text(trade.price), decimal::text(trade.amount));
        assert_eq!(told, ("SATS-USDT".to_owned(), "0.0015".to_owned(), "2000".to_owned()));
        let price = decimal::parse("0.5").unwrap();
        let ticker = Event::Ticker(Ticker { symbol: "1000SATSUSDT", last: Some(price), ..Ticker::default() });
        let DeliveryKind::Ticker { last, .. } = translator.translate(&ticker, RECEIVED).unwrap() else {
            panic!("no ticker")
        };
        assert_eq!(last.map(decimal::text).as_deref(), Some("0.0005"));
    }

    #[test]
    fn a_symbol_means_what_was_asked_with_it() {
        let check = |protocol: &'static dyn Protocol, asked: &[&str], symbol: &str, expected: &str| {
            let asked = asked.iter().map(|pair| pair.parse().unwrap());
            let asked = asked.map(|pair| (protocol.symbol(pair), pair));
            let mut translator = Translator::new(protocol).asking_for(asked);
            let told = translator.translate(&Event::Confirm(Some(symbol)), RECEIVED).unwrap();
            assert_eq!(told, DeliveryKind::Confirm(Some(expected.parse().unwrap())), "{symbol}");
        };
        check(&BinanceUs, &["BNB-USD", "DOT-USD"], "BNBUSD", "BNB-USD");
        check(&BinanceUs, &["BNB-USD", "DOT-USD"], "DOTUSD", "DOT-USD");
        check(&BinanceUs, &["BNB-USD"], "BTCUSDT", "BTC-USDT");
        check(&Kraken, &["REP-USD"], "REPV2/USD", "REP-USD");
    }

    #[test]
    fn a_symbol_that_prices_nothing_is_refused() {
        let mut translator = Translator::new(&KuCoin);
        for symbol in ["", "NONSENSE", "XBT-BTC"] {
            let error = translator.translate(&trade(symbol, RECEIVED), RECEIVED).unwrap_err();
            assert_eq!(error.kind(), "unknown_symbol", "{symbol}");
        }
        assert!(translator.translate(&Event::Confirm(Some("?")), RECEIVED).is_err());
    }

    #[test]
    fn a_clock_far_ahead_is_not_believed() {
        let mut translator = Translator::new(&Htx);
        for (ahead, is_believed) in [(-3600, true), (0, true), (60, true), (61, false), (1_000_000, false)] {
            let time = RECEIVED + TimeDelta::seconds(ahead);
            let ticker = Event::Ticker(Ticker { symbol: "btcusdt", time: Some(time), ..Ticker::default() });
            let DeliveryKind::Ticker { time: told, .. } = translator.translate(&ticker, RECEIVED).unwrap()
            else {
                panic!("no ticker")
            };
            assert_eq!(told, is_believed.then_some(time), "{ahead}");
            let event = trade("btcusdt", time);
            let DeliveryKind::Trade { trade, .. } = translator.translate(&event, RECEIVED).unwrap() else {
                panic!("no trade")
            };
            assert_eq!(trade.time, time, "it tells how far the clock is ahead");
            assert_eq!(believed(time, RECEIVED), if is_believed { time } else { RECEIVED }, "{ahead}");
        }
    }

    #[test]
    fn a_trade_from_before_the_connection_is_past() {
        let mut translator = Translator::new(&KuCoin);
        translator.translate(&Event::Confirm(None), RECEIVED).unwrap();
        for (after, past) in [(-3600, true), (-3, true), (-2, false), (0, false), (90, false)] {
            let time = RECEIVED + TimeDelta::seconds(after);
            let Event::Trade(report) = trade("BTC-USDT", time) else { panic!("no trade") };
            let event = Event::Trade(TradeReport { snapshot: false, ..report });
            // Received late: what counts is when the connection began.
            let delivery = translator.translate(&event, RECEIVED + TimeDelta::seconds(10)).unwrap();
            let DeliveryKind::Trade { snapshot, .. } = delivery else { panic!("no trade") };
            assert_eq!(snapshot, past, "{after}");
            // Later than any answer: the venue's clock is behind.
            let event = Event::Trade(TradeReport { snapshot: false, ..report });
            let delivery = translator.translate(&event, RECEIVED + TimeDelta::seconds(11)).unwrap();
            assert!(matches!(delivery, DeliveryKind::Trade { snapshot: false, .. }), "{after}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut translator = Translator::new(&KuCoin);
        for n in 0..MAX_REMEMBERED + 10 {
            let symbol = format!("A{n}-USDT");
            translator.translate(&Event::Confirm(Some(&symbol)), RECEIVED).unwrap();
        }
        assert_eq!(translator.markets.len(), MAX_REMEMBERED);
    }
}
