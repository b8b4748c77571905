//! What loopback venues say and hear, in the words of real ones, written down from their documentation.
//!
//! News of markets are written by [`Language`], which the benchmark of feeds speaks, too; what goes around them, and what is
//! asked over REST, by [`Words`].

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::tongues::WORDS;
use crate::venues::{
    language::Language,
    market::{Fill, Said, What},
};

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

/// What a venue hears and says beside news of its markets. Names and symbols are the venue's own.
pub(super) trait Words: Language {
    /// Spells a market.
    fn spell(&self, base: &str, quote: &str) -> String;

    /// Understands the name of a channel, if there is one.
    fn channel(&self, name: &str) -> Option<Channel>;

    /// Understands what is said; nothing if the venue would not.
    fn hears(&self, text: &str, said: &Value) -> Option<Heard>;

    /// Greets whoever has connected.
    fn welcomes(&self) -> Option<String> {
        None
    }

    /// Tells whether a subscription takes the place of those before it.
    fn replaces(&self) -> bool {
        false
    }

    /// Takes a subscription. So many messages were said before on the connection.
    fn takes(&self, asked: &Value, taken: &[Taken], messages: u64) -> Vec<String>;

    /// Refuses a subscription, for the sake of one symbol.
    fn refuses(&self, symbol: &str) -> String;

    /// Says what is wrong, of no market.
    fn complains(&self) -> String;

    /// Tells a past trade to a new subscriber, where the venue does so.
    fn past(&self, _said: &Said<'_>) -> Option<String> {
        None
    }

    /// Tells whether its book comes once in full, and then in changes.
    fn keeps_books(&self) -> bool {
        false
    }

    /// Tells whether all messages of a connection are numbered together.
    fn numbers_messages(&self) -> bool {
        false
    }

    /// Tells whether its beat wants to be answered.
    fn wants_answers(&self) -> bool {
        false
    }

    /// Tells best bid and ask of which a change cannot be read.
    fn unreadable(&self, _symbol: &str) -> String {
        "{\"channel\":\"ticker\",\"data\":[{".to_owned()
    }

    /// Spells a market over REST.
    fn spell_in_questions(&self, base: &str, quote: &str) -> String {
        self.spell(base, quote)
    }

    /// Tells by what questions are known.
    fn questions(&self) -> Questions;

    /// Lists a market, if the venue lists it in its state.
    fn lists(&self, market: &Listed<'_>) -> Option<String>;

    /// Tells whether a market is traded, where the list does not.
    fn tells_state(&self, _trading: bool) -> String {
        self.answers_wrong().to_owned()
    }

    /// Tells the book of a market, where how it stands does not.
    fn tells_book(&self, _market: &Standing<'_>) -> String {
        self.answers_wrong().to_owned()
    }

    /// Tells how a market stands.
    fn stands(&self, market: &Standing<'_>) -> String;

    /// Tells a trade.
    fn dealt(&self, symbol: &str, dealt: &Dealt) -> String;

    /// Puts around it what an answer begins and ends with.
    fn answers(&self, _kind: Answers, rows: &str) -> String {
        format!("[{rows}]")
    }

    /// Tells how many trades an answer has at most.
    fn deals_at_most(&self) -> usize {
        500
    }

    /// Says over REST, with the status 200, that something is wrong.
    fn answers_wrong(&self) -> &'static str;
}

/// What is said to a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Wants to be told of these: channel and symbol.
    Wants(Vec<(String, String)>),
    /// Wants to hear this back.
    Pings(&'static str),
    /// Answers the venue's own ping of this number.
    Answers(i64),
}

/// A subscription that is taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) channel: String,
    pub(super) symbol: String,
    /// The market's place among those that the connection knows.
    pub(super) place: usize,
}

/// By what questions over REST are known: by a part of their path.
#[derive(Debug)]
pub(super) struct Questions {
    /// Which markets there are.
    pub(super) markets: &'static str,
    /// Whether one is traded, where that is a question of its own.
    pub(super) state: Option<&'static str>,
    /// How some stand.
    pub(super) quotes: &'static str,
    /// Their books, where that is a question of its own.
    pub(super) books: Option<&'static str>,
    /// What was traded on one.
    pub(super) deals: &'static str,
}

impl Questions {
    pub(super) fn of(markets: &'static str, quotes: &'static str, deals: &'static str) -> Self {
        Self { markets, state: None, quotes, books: None, deals }
    }
}

/// A market in a list.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    pub(super) symbol: String,
    pub(super) base: &'a str,
    pub(super) quote: &'a str,
    pub(super) trading: bool,
}

/// How a market stands.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    pub(super) symbol: &'a str,
    pub(super) base: &'a str,
    pub(super) quote: &'a str,
    pub(super) bid: String,
    pub(super) ask: String,
    pub(super) time: DateTime<Utc>,
}

/// A trade as it is told over REST.
#[derive(Debug)]
pub(super) struct Dealt {
    pub(super) id: String,
    pub(super) price: String,
    pub(super) time: DateTime<Utc>,
}

/// What is answered over REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    Markets,
    /// How one market stands.
    Quote,
    /// How several stand.
    Quotes,
    Deals,
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

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Channel {
    Quotes,
    Deals,
    /// The last 24 hours, in a channel of their own.
    Day,
    /// Something that is taken and not told.
    Other,
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
