//! How each venue's server speaks, and how its frames are read the ordinary way: parsed into a tree of values, from
//! which what is needed is dug out.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io::Write as _,
};

use chrono::{DateTime, Utc};
use cryptoprice::{
    domain::{
        pair::Pair,
        quote::TopOfBook,
        trade::{Side, Trade},
        venue::MarketKind,
    },
    feed::{delivery::DeliveryKind, venue::Protocol},
};
use flate2::{Compression, write::GzEncoder};
use rust_decimal::Decimal;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::market::Said;

/// One venue, from the server's side, and read the ordinary way.
pub(crate) trait Language: Sync {
    /// Says which venue it is: its protocol is what is measured.
    fn protocol(&self) -> &'static dyn Protocol;

    /// Names the asset that its markets are quoted in.
    fn quote(&self) -> &'static str {
        "USDT"
    }

    /// Tells how frames are packed.
    fn packing(&self) -> Packing {
        Packing::Text
    }

    /// Tells whether one message may carry several trades.
    fn gathers(&self) -> bool {
        true
    }

    /// Names a trade by its number.
    fn trade_id(&self, number: u64) -> String {
        number.to_string()
    }

    /// Writes what a new subscriber of a market hears first.
    fn greet(&self, _said: &Said<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Writes a message.
    fn write(&self, said: &Said<'_>) -> String;

    /// Reads a message the ordinary way.
    fn read(&self, reader: &mut Reader, text: &str, heard: &mut Vec<DeliveryKind>) -> Option<()>;
}

/// How frames are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Text,
    Binary,
    Gzip,
}

impl Packing {
    /// Packs a frame.
    pub(crate) fn pack(self, text: String) -> std::io::Result<Message> {
        Ok(match self {
            Self::Text => Message::text(text),
            Self::Binary => Message::binary(text.into_bytes()),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(text.as_bytes())?;
                Message::binary(encoder.finish()?)
            }
        })
    }
}

/// What is known of a connection that is read the ordinary way.
#[derive(Default)]
pub(crate) struct Reader {
    markets: HashMap<String, Pair>,
    /// Subscriptions by number: channel and symbol.
    pub(crate) channels: HashMap<u64, (String, String)>,
    begun: HashSet<String>,
    books: HashMap<String, (BTreeSet<Decimal>, BTreeSet<Decimal>)>,
    /// What the venue wants to hear back.
    pub(crate) reply: Option<String>,
}

/// What a ticker says.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) book: Option<TopOfBook>,
    pub(crate) last: Option<Decimal>,
    pub(crate) base_volume: Option<Decimal>,
    pub(crate) quote_volume: Option<Decimal>,
    pub(crate) time: Option<DateTime<Utc>>,
}

impl Reader {
    /// Starts to read a connection about these markets.
    pub(crate) fn new(protocol: &dyn Protocol, pairs: impl Iterator<Item = Pair>) -> Self {
        Self { markets: pairs.map(|pair| (protocol.symbol(pair), pair)).collect(), ..Self::default() }
    }

    pub(crate) fn pair(&self, symbol: &str) -> Option<Pair> {
        self.markets.get(symbol).copied()
    }

    /// Tells whether a symbol is new.
    pub(crate) fn begins(&mut self, symbol: &str) -> bool {
        !self.begun.contains(symbol) && self.begun.insert(symbol.to_owned())
    }

    /// Puts changes of a book in and gets its best prices.
    pub(crate) fn book(&mut self, symbol: &str, anew: bool, changes: Changes) -> TopOfBook {
        let (bids, asks) = self.books.entry(symbol.to_owned()).or_default();
        if anew {
            bids.clear();
            asks.clear();
        }
        for (side, price, amount) in changes {
            let prices = if side == Side::Buy { &mut *bids } else { &mut *asks };
            if amount.is_zero() {
                prices.remove(&price);
            } else {
                prices.insert(price);
            }
        }
        TopOfBook { bid: bids.last().copied(), ask: asks.first().copied() }
    }

    pub(crate) fn ticker(&self, symbol: &str, told: Told) -> Option<DeliveryKind> {
        Some(DeliveryKind::Ticker {
            market: self.pair(symbol)?,
            kind: MarketKind::Spot,
            book: told.book,
            last: told.last,
            base_volume_24h: told.base_volume,
            quote_volume_24h: told.quote_volume,
            time: told.time,
        })
    }

    pub(crate) fn trade(&self, symbol: &str, trade: Trade, snapshot: bool) -> Option<DeliveryKind> {
        Some(DeliveryKind::Trade { market: self.pair(symbol)?, kind: MarketKind::Spot, trade, snapshot })
    }
}

/// Side, price and the amount that is now there.
pub(crate) type Changes = Vec<(Side, Decimal, Decimal)>;

/// Reads a number, written as one or as text.
pub(crate) fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => decimal(text),
        Value::Number(number) => decimal(&number.to_string()),
        _ => None,
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    text.parse().or_else(|_| Decimal::from_scientific(text)).ok()
}

/// Reads a price that must be above zero.
pub(crate) fn price(value: &Value) -> Option<Decimal> {
    number(value).filter(|price| price.is_sign_positive() && !price.is_zero())
}

/// Reads an id, written as a number or as text.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads milliseconds, written as a number or as text.
pub(crate) fn millis(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(whole(value)?)
}

/// Reads a whole number, written as one or as text.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

/// Reads a date as RFC 3339 writes it.
pub(crate) fn date(value: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc())
}

/// Reads best bid and ask.
#[expect(clippy::unnecessary_wraps, reason = "as a ticker holds it")]
pub(crate) fn top(bid: &Value, ask: &Value) -> Option<TopOfBook> {
    Some(TopOfBook { bid: price(bid), ask: price(ask) })
}

/// Reads the words for the taker's side.
pub(crate) fn side(value: &Value, bought: &str, sold: &str) -> Option<Side> {
    match value.as_str()? {
        word if word == bought => Some(Side::Buy),
        word if word == sold => Some(Side::Sell),
        _ => None,
    }
}
