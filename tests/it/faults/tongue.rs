//! What loopback venues say and hear, in the words of real ones, written down from their documentation.
//!
//! News of markets are written by [`Language`], which the benchmark of feeds speaks, too; what goes around them, and what is
//! asked over REST, by [`Words`](super::words::Words).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_tungstenite::tungstenite::Message;

use super::{
    tongues::WORDS,
    words::{Heard, Taken, Words},
};
use crate::venues::market::{Fill, Said, What};

/// How a venue speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Tongue {
    Binance,
    Coinbase,
    Kraken,
    Okx,
    Bitfinex,
    KuCoin,
    Gate,
    CryptoCom,
    Htx,
    Upbit,
    Bybit,
    Bitstamp,
    Gemini,
    Bitget,
    BinanceUs,
}

/// Best bid and ask in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) bid: i64,
    pub(super) ask: i64,
}

/// A trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deal {
    pub(super) id: u64,
    /// In hundredths.
    pub(super) price: i64,
    pub(super) time: DateTime<Utc>,
}

/// What was said on a connection that what follows refers to.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    messages: u64,
    books: HashMap<String, (u64, Quote)>,
    places: Vec<String>,
}

pub(super) fn decimal(hundredths: i64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

impl Spoken {
    /// Begins the book of a market anew.
    pub(super) fn forget(&mut self, symbol: &str) {
        self.books.remove(symbol);
    }

    /// Counts a message that gets lost on its way.
    pub(super) fn lose(&mut self, symbol: &str) {
        self.messages += 1;
        if let Some((number, _)) = self.books.get_mut(symbol) {
            *number += 1;
        }
    }

    fn place(&mut self, symbol: &str) -> usize {
        self.places.iter().position(|known| known == symbol).unwrap_or_else(|| {
            self.places.push(symbol.to_owned());
            self.places.len() - 1
        })
    }

    /// Gets what there is to say, of a market with this quote before and now.
    fn says<'s>(&mut self, words: &dyn Words, what: What, symbol: &'s str, news: News) -> Said<'s> {
        let News { old, quote, number, time } = news;
        let update = if words.numbers_messages() { self.messages } else { number };
        self.messages += 1;
        Said {
            what,
            symbol,
            place: self.place(symbol),
            update,
            time,
            price: decimal(quote.bid),
            bid: decimal(quote.bid),
            ask: decimal(quote.ask),
            old_bid: decimal(old.bid),
            old_ask: decimal(old.ask),
            levels: (quote.bid, quote.ask, 2),
            bid_amount: "1".to_owned(),
            ask_amount: "1".to_owned(),
            base_volume: "10".to_owned(),
            quote_volume: "600000".to_owned(),
            trades: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct News {
    old: Quote,
    quote: Quote,
    number: u64,
    time: DateTime<Utc>,
}

impl News {
    fn deal(deal: &Deal) -> Self {
        let quote = Quote { bid: deal.price, ask: deal.price };
        Self { old: quote, quote, number: deal.id, time: deal.time }
    }
}

/// Splits a market's name.
pub(super) fn assets(market: &str) -> (&str, &str) {
    market.split_once('-').unwrap()
}

impl Tongue {
    /// All of them, in the order of [`WORDS`].
    pub(super) const ALL: [Self; 15] = [
        Self::Binance,
        Self::Coinbase,
        Self::Kraken,
        Self::Okx,
        Self::Bitfinex,
        Self::KuCoin,
        Self::Gate,
        Self::CryptoCom,
        Self::Htx,
        Self::Upbit,
        Self::Bybit,
        Self::Bitstamp,
        Self::Gemini,
        Self::Bitget,
        Self::BinanceUs,
    ];

    pub(super) fn words(self) -> &'static dyn Words {
        WORDS[self as usize]
    }

    pub(super) fn name(self) -> &'static str {
        self.words().protocol().venue().as_str()
    }

    /// Names the venue that has the vote of its owner.
    pub(super) fn owner(self) -> Self {
        if self == Self::BinanceUs { Self::Binance } else { self }
    }

    pub(super) fn symbol(self, market: &str) -> String {
        let (base, quote) = assets(market);
        self.words().spell(base, quote)
    }

    /// Packs a message as the venue does.
    pub(super) fn pack(self, text: String) -> Message {
        self.words().packing().pack(text).unwrap()
    }

    /// Understands what is said; nothing if the venue would not.
    pub(super) fn hears(self, text: &str) -> Option<Heard> {
        self.words().hears(text, &serde_json::from_str(text).unwrap_or_default())
    }

    /// Takes a subscription.
    pub(super) fn takes(self, spoken: &mut Spoken, asked: &str, taken: &[(String, String)]) -> Vec<String> {
        let taken: Vec<Taken> = taken
            .iter()
            .map(|(channel, symbol)| Taken {
                channel: channel.clone(),
                symbol: symbol.clone(),
                place: spoken.place(symbol),
            })
            .collect();
        let asked = serde_json::from_str(asked).unwrap_or_default();
        let said = self.words().takes(&asked, &taken, spoken.messages);
        spoken.messages += said.len() as u64;
        said
    }

    pub(super) fn refuses(self, symbol: &str) -> String {
        self.words().refuses(symbol)
    }

    pub(super) fn complains(self) -> String {
        self.words().complains()
    }

    pub(super) fn unreadable(self, symbol: &str) -> String {
        self.words().unreadable(symbol)
    }

    pub(super) fn answers_wrong(self) -> &'static str {
        self.words().answers_wrong()
    }

    /// Tells best bid and ask.
    pub(super) fn quote(
        self,
        spoken: &mut Spoken,
        symbol: &str,
        quote: Quote,
        time: DateTime<Utc>,
    ) -> String {
        let known = spoken.books.get(symbol).copied();
        let (number, old) = known.map_or((1, quote), |(number, old)| (number + 1, old));
        spoken.books.insert(symbol.to_owned(), (number, quote));
        let said = spoken.says(self.words(), What::Best, symbol, News { old, quote, number, time });
        if known.is_none() && self.words().keeps_books() {
            return self.words().greet(&said).concat();
        }
        self.words().write(&said)
    }

    /// Tells the last 24 hours.
    pub(super) fn day(self, spoken: &mut Spoken, symbol: &str, quote: Quote, time: DateTime<Utc>) -> String {
        let news = News { old: quote, quote, number: 1, time };
        self.words().write(&spoken.says(self.words(), What::Day, symbol, news))
    }

    /// Tells a trade.
    pub(super) fn deal(self, spoken: &mut Spoken, symbol: &str, deal: &Deal) -> String {
        self.words().write(&self.says_deal(spoken, symbol, deal))
    }

    /// Tells a trade of the past, where the venue does so.
    pub(super) fn past(self, spoken: &mut Spoken, symbol: &str, deal: &Deal) -> Option<String> {
        self.words().past(&self.says_deal(spoken, symbol, deal))
    }

    /// Tells whether it tells new subscribers of the past.
    pub(super) fn tells_past(self) -> bool {
        let deal = Deal { id: 1, price: 1, time: DateTime::UNIX_EPOCH };
        self.past(&mut Spoken::default(), "", &deal).is_some()
    }

    /// Pings in the venue's own words, if they want to be answered.
    pub(super) fn beats(self, spoken: &mut Spoken, number: i64) -> Option<String> {
        let time = DateTime::from_timestamp_millis(number).unwrap();
        let quote = Quote { bid: 0, ask: 0 };
        let beat = |spoken: &mut Spoken| {
            let news = News { old: quote, quote, number: 0, time };
            self.words().write(&spoken.says(self.words(), What::Beat, "", news))
        };
        self.words().wants_answers().then(|| beat(spoken))
    }

    fn says_deal<'s>(self, spoken: &mut Spoken, symbol: &'s str, deal: &Deal) -> Said<'s> {
        let fill = Fill { id: deal.id, price: decimal(deal.price), amount: "0.5".to_owned(), sold: false };
        let said = spoken.says(self.words(), What::Trades, symbol, News::deal(deal));
        Said { trades: vec![fill], ..said }
    }
}
