//! The seam between a loopback venue and its words: what it hears and says beside news of its markets.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::venues::{language::Language, market::Said};

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
