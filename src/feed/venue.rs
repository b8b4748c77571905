//! The seam between a venue and everything else: where to connect, what to say, how to understand the answer.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;

use super::{
    book::Book,
    event::Parsed,
    json,
    rest::{Budget, Rest},
};
use crate::domain::{
    pair::{Asset, Pair},
    venue::{MarketKind, Venue},
};

/// Bytes that a compressed frame may grow to.
pub const MAX_FRAME: usize = 16 << 20;

/// Symbols that a connection may keep books of, or remember for something else: more than it is asked for, so that no venue
/// can fill the memory.
const MAX_SYMBOLS: usize = 1_000;

/// How a venue is spoken to. Everything here is pure: sockets, clocks and retries live elsewhere.
pub trait Protocol: fmt::Debug + Send + Sync {
    /// Names the venue.
    fn venue(&self) -> Venue;

    /// Tells in what its formats were met: recordings and of when, single messages, or documentation only.
    fn evidence(&self) -> &'static str;

    /// Tells where to connect.
    fn endpoint(&self) -> Endpoint;

    /// Spells a canonical pair as the venue's symbol.
    fn symbol(&self, pair: Pair) -> String;

    /// Reads a symbol: the assets as the venue names them, and the kind of market.
    fn market(&self, symbol: &str) -> Result<Market, ParseError>;

    /// Lists assets that the venue names differently: its name, the canonical one. The names that mean the same
    /// everywhere (`XBT`) need not be listed.
    fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Lists assets that the venue trades in multiples: its name, the canonical one, how many of the canonical one make
    /// one of its.
    fn multiples(&self) -> &'static [(&'static str, &'static str, u32)] {
        &[]
    }

    /// Writes the messages that subscribe to trades, best bid and ask, and volume of these markets.
    fn subscribe(&self, symbols: &[String], now: DateTime<Utc>) -> Vec<String>;

    /// Tells whether a subscription takes the place of those before it on the same connection.
    fn replaces_subscriptions(&self) -> bool {
        false
    }

    /// Tells what one connection can bear.
    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits::DEFAULT
    }

    /// Tells what to send when, to keep the connection open.
    fn ping(&self, _now: DateTime<Utc>) -> Option<Ping> {
        None
    }

    /// Turns a frame into text: as it is, or unpacked where the venue compresses.
    fn decode<'a>(&self, frame: Frame<'a>) -> Result<Cow<'a, str>, ParseError> {
        match frame {
            Frame::Text(text) => Ok(Cow::Borrowed(text)),
            Frame::Binary(bytes) => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| ParseError::NotText)
            }
        }
    }

    /// Understands one message. The session holds what earlier messages of the same connection said.
    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError>;

    /// Tells how it is asked over REST; nothing does for markets that are only known from recordings.
    fn rest(&self) -> Option<&'static dyn Rest> {
        None
    }

    /// Resolves an asset's name at this venue to the canonical one.
    fn canonical(&self, asset: Asset) -> Asset {
        let name = asset.as_str();
        names(self)
            .find(|(native, _)| *native == name)
            .map_or_else(|| asset.canonical(), |(_, canonical)| Asset::literal(canonical))
    }

    /// Names a canonical asset as this venue does.
    fn native(&self, asset: Asset) -> Asset {
        let name = asset.as_str();
        names(self)
            .find(|(_, canonical)| *canonical == name)
            .map_or(asset, |(native, _)| Asset::literal(native))
    }
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A WebSocket address.
    Socket(&'static str),
    /// A REST call (POST) that answers with a WebSocket address and a token (KuCoin).
    Bullet(&'static str),
}

/// A market, with the assets named as the venue names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Market {
    /// Base and quote, before aliases are resolved.
    pub pair: Pair,
    /// Spot, or a derivative that must not enter a spot price.
    pub kind: MarketKind,
}

/// One frame of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A text frame.
    Text(&'a str),
    /// A binary frame: compressed, or text in disguise.
    Binary(&'a [u8]),
}

/// What one connection can bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Markets at most; more are spread over several connections.
    pub markets: usize,
    /// Time between two messages of ours.
    pub message_gap: Duration,
    /// Time between connecting and the first message.
    pub settle: Duration,
    /// How many connections may be made in what time, where the venue says so.
    pub connections: Option<Budget>,
}

impl ConnectionLimits {
    /// What all venues bear that say nothing else.
    pub const DEFAULT: Self =
        Self { markets: 100, message_gap: Duration::ZERO, settle: Duration::ZERO, connections: None };
}

/// A message to send at intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// How often.
    pub every: Duration,
    /// What.
    pub message: String,
}

/// What earlier messages of one connection said that later ones refer to.
#[derive(Debug, Default)]
pub struct Session {
    /// Subscriptions by the number that stands for them (Bitfinex).
    pub channels: HashMap<u64, Channel, RandomState>,
    /// Symbols whose past trades have come, at venues that send them first and do not mark them.
    pub begun: HashSet<String, RandomState>,
    /// Books by symbol, at venues that send changes of them.
    books: Vec<Book>,
    /// Which of them is that of a symbol.
    book_of: HashMap<String, usize, RandomState>,
    /// The number of the last message, at venues that count all messages of a connection.
    number: Option<u64>,
    /// The venue is being maintained: that a market is silent says nothing.
    pub maintained: bool,
}

impl Session {
    /// Tells how much it holds: what changes when a message says something that later ones refer to.
    pub(super) fn extent(&self) -> (usize, usize, bool) {
        (self.channels.len(), self.begun.len(), self.maintained)
    }

    /// Notes which subscription a number stands for.
    pub(super) fn subscribed(&mut self, number: u64, channel: Channel) -> Result<(), ParseError> {
        if self.channels.len() >= MAX_SYMBOLS && !self.channels.contains_key(&number) {
            return Err(ParseError::unknown_symbol(&channel.symbol));
        }
        self.channels.insert(number, channel);
        Ok(())
    }

    /// Tells whether this is the first message of trades of a symbol: the one with past trades. Of symbols beyond what is
    /// remembered, each message is taken for it.
    pub(super) fn begins(&mut self, symbol: &str) -> bool {
        let new = !self.begun.contains(symbol);
        if new && self.begun.len() < MAX_SYMBOLS {
            self.begun.insert(symbol.to_owned());
        }
        new
    }

    /// Takes in the number of a message; tells whether some before it were missed. One that comes late is none the more.
    pub(super) fn missed_before(&mut self, number: u64) -> bool {
        let last = self.number.replace(self.number.map_or(number, |last| last.max(number)));
        last.is_some_and(|last| number > last.saturating_add(1))
    }

    /// Finds the book of a symbol, or starts to keep one of which nothing is known yet.
    pub(super) fn book(&mut self, symbol: &str) -> Result<&mut Book, ParseError> {
        let next = self.books.len();
        let at = self.book_of.get(symbol).copied().unwrap_or(next);
        if at == next && next < MAX_SYMBOLS {
            self.book_of.insert(symbol.to_owned(), next);
            self.books.push(Book::default());
        }
        self.books.get_mut(at).ok_or_else(|| ParseError::unknown_symbol(symbol))
    }
}

/// A numbered subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The venue's name of the channel.
    pub name: String,
    /// The venue's symbol.
    pub symbol: String,
}

/// Why a frame is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A binary frame that is neither UTF-8 nor what the venue compresses with.
    #[error("binary frame that is not text")]
    NotText,
    /// A compressed frame that is damaged or too large.
    #[error("compressed frame cannot be unpacked: {0}")]
    Compression(String),
    /// Not the JSON that was expected.
    #[error("unexpected JSON: {0}")]
    Json(String),
    /// A kind of message that this protocol does not have.
    #[error("unknown channel `{0}`")]
    UnknownChannel(String),
    /// A symbol that names no market.
    #[error("unknown symbol `{0}`")]
    UnknownSymbol(String),
    /// The venue refuses what was asked, in its own words.
    #[error("refused: {0}")]
    Refused(String),
    /// A field with a value that cannot be.
    #[error("bad {field}: `{value}`")]
    Value {
        /// The venue's name of the field.
        field: &'static str,
        /// What it held, shortened.
        value: String,
    },
}

impl ParseError {
    /// Makes an error of a field's value.
    pub fn value(field: &'static str, value: impl fmt::Display) -> Self {
        Self::Value { field, value: shorten(&value.to_string()) }
    }

    /// Makes an error of an unknown kind of message.
    pub fn unknown_channel(name: &str) -> Self {
        Self::UnknownChannel(shorten(name))
    }

    /// Makes an error of a symbol.
    pub fn unknown_symbol(symbol: &str) -> Self {
        Self::UnknownSymbol(shorten(symbol))
    }

    /// Makes an error of a venue's words.
    pub fn refused(words: &str) -> Self {
        Self::Refused(shorten(words))
    }

    /// Gets a short constant name for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotText => "not_text",
            Self::Compression(_) => "compression",
            Self::Json(_) => "json",
            Self::UnknownChannel(_) => "unknown_channel",
            Self::UnknownSymbol(_) => "unknown_symbol",
            Self::Refused(_) => "refused",
            Self::Value { .. } => "value",
        }
    }
}

impl From<json::Error> for ParseError {
    fn from(error: json::Error) -> Self {
        Self::Json(shorten(&error.to_string()))
    }
}

impl From<serde_json::Error> for ParseError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(shorten(&error.to_string()))
    }
}

/// Lists what a venue names differently: its name, the canonical one.
fn names<P: Protocol + ?Sized>(protocol: &P) -> impl Iterator<Item = (&'static str, &'static str)> {
    let multiples = protocol.multiples().iter().map(|(native, canonical, _)| (*native, *canonical));
    protocol.aliases().iter().copied().chain(multiples)
}

/// Splits a name at the first of a letter; names are short, and the general search of the library pays off in longer ones.
#[inline]
pub(super) fn split(name: &str, letter: u8) -> Option<(&str, &str)> {
    around(name, name.bytes().position(|other| other == letter)?)
}

/// Splits a name at the last of a letter.
#[inline]
pub(super) fn split_last(name: &str, letter: u8) -> Option<(&str, &str)> {
    around(name, name.bytes().rposition(|other| other == letter)?)
}

fn around(name: &str, at: usize) -> Option<(&str, &str)> {
    Some((name.get(..at)?, name.get(at + 1..)?))
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_left_out_is_a_message_that_was_missed() {
        let mut session = Session::default();
        let missed: Vec<bool> = [7, 8, 8, 10, 9, 11, 14].map(|number| session.missed_before(number)).into();
        assert_eq!(missed, [false, false, false, true, false, false, true]);
    }

    #[test]
    fn what_a_connection_remembers_is_bounded() {
        let mut session = Session::default();
        let channel = |n| Channel { name: "trades".to_owned(), symbol: format!("A{n}USD") };
        for n in 0..2 * MAX_SYMBOLS as u64 {
            let remembered = n < MAX_SYMBOLS as u64;
            assert_eq!(session.subscribed(n, channel(n)).is_ok(), remembered);
            let symbol = channel(n).symbol;
            assert_eq!([(); 2].map(|()| session.begins(&symbol)), [true, !remembered]);
        }
        assert_eq!(session.extent(), (MAX_SYMBOLS, MAX_SYMBOLS, false));
        assert!(session.subscribed(7, channel(8)).is_ok(), "another in its place");
    }

    #[test]
    fn the_books_of_a_connection_are_bounded() {
        let mut session = Session::default();
        for n in 0..MAX_SYMBOLS {
            session.book(&format!("A{n}USD")).unwrap();
        }
        assert_eq!(session.book("BUSD").unwrap_err().kind(), "unknown_symbol");
        assert!(session.book("A0USD").is_ok());
    }
}
