//! The seam between a venue's REST interface and everything else: what to ask, how to understand the answer.
//!
//! As with [`Protocol`](super::venue::Protocol), everything about a venue is pure; one [`RestClient`] asks for all. Markets are named by the symbols that the venue's
//! WebSocket uses; where REST spells them differently, the venue's own file knows how. Trades carry the ids that the
//! WebSocket's carry, so that what comes over both is told apart.

mod client;

use std::{fmt, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;

pub use self::client::{RestClient, RestError, http_client};
use super::{
    event::{Ticker, TradeReport},
    number::{Number, Words, positive},
    venue::{Market, ParseError},
};
use crate::domain::{
    candle::Interval,
    pair::{Asset, Pair},
    quote::TopOfBook,
    venue::MarketKind,
};

/// How a venue is asked over REST.
pub trait Rest: fmt::Debug + Send + Sync {
    /// Tells what all addresses begin with: scheme, host and what of the path is common. No slash at its end.
    fn base(&self) -> &'static str;

    /// Tells how much may be asked.
    fn budget(&self) -> Budget;

    /// Asks for all spot markets.
    fn instruments(&self) -> Query;

    /// Understands the answer. Markets that are not spot, or whose assets cannot be named, are left out.
    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError>;

    /// Understands the answer to what [`InstrumentState::Untold`] asks: whether one market is traded.
    fn read_state(&self, body: &str) -> Result<InstrumentState, ParseError> {
        Err(ParseError::value("state", body))
    }

    /// Asks for best bid and ask, last price and volume of a market.
    fn ticker(&self, symbol: &str) -> Query;

    /// Understands the answer.
    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError>;

    /// Tells of how many markets one question for tickers may be.
    fn max_tickers(&self) -> usize {
        1
    }

    /// Asks for the tickers of several markets, [`max_tickers`](Self::max_tickers) at most; `None` where they are asked for
    /// one by one.
    fn tickers(&self, _symbols: &[&str]) -> Option<Query> {
        None
    }

    /// Understands the answer. Markets that it does not tell of are left out.
    fn read_tickers<'a>(&self, symbols: &[&'a str], body: &'a str) -> Result<Vec<Ticker<'a>>, ParseError> {
        symbols.iter().map(|symbol| self.read_ticker(symbol, body)).filter(|read| !is_unknown(read)).collect()
    }

    /// Asks for best bid and ask of some markets, as many as tickers are asked for, where tickers leave these out.
    fn books(&self, _symbols: &[&str]) -> Option<Query> {
        None
    }

    /// Understands what the answer says of one of them.
    fn read_book(&self, symbol: &str, _body: &str) -> Result<TopOfBook, ParseError> {
        Err(ParseError::unknown_symbol(symbol))
    }

    /// Tells whether the stream tells volumes. Where it does not, they are asked for every few minutes.
    fn streams_volumes(&self) -> bool {
        true
    }

    /// Asks for the volume of a market, and its last price.
    fn volume(&self, symbol: &str) -> Query {
        self.ticker(symbol)
    }

    /// Understands the answer.
    fn read_volume<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        self.read_ticker(symbol, body)
    }

    /// Asks for the trades of a market since a moment, as many as the venue tells in one answer.
    fn trades(&self, symbol: &str, since: DateTime<Utc>) -> Query;

    /// Tells which trades an answer has, if there are more since that moment than fit.
    fn reach(&self) -> Reach;

    /// Understands the answer: in the order in which they happened, whatever the venue's order is.
    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError>;

    /// Asks for the candles that open in a half-open range, [`max_candles`](Self::max_candles) at most; `None` where the
    /// venue has no candles of this interval.
    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Query>;

    /// Tells how many candles one answer has at most.
    fn max_candles(&self) -> usize;

    /// Understands the answer: in order of time, whatever the venue's order is.
    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError>;
}

/// What to ask: by GET, below the venue's base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Path and query, with the slash before it.
    pub path: String,
    /// What it costs of the budget.
    pub weight: u32,
}

/// Which trades an answer has, where there are more than fit. One that has been thinned of what is no trade of the market may
/// have fewer, so that the numbers here may be lower than the venue's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The oldest: after so many, the rest is asked for from the last one on.
    Oldest(usize),
    /// The newest: where there are so many, older ones may be missing.
    Newest(usize),
    /// All of the last span of time, and none from before it.
    Within(TimeDelta),
}

/// How much may be asked in a span of time: below what the venue allows, for others may ask from the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The weights of all queries together.
    pub weight: u32,
    /// The span.
    pub per: Duration,
}

/// A market as the venue lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// The symbol that the WebSocket uses.
    pub symbol: String,
    /// What is traded for what, with the assets named as the venue names them.
    pub market: Market,
    /// Whether it is traded.
    pub state: InstrumentState,
}

/// Whether a market is traded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstrumentState {
    /// Orders meet continuously.
    Trading,
    /// The list does not tell; this question does. Until it is answered the market is taken for traded.
    Untold(Query),
    /// They do not: halted, not open yet, delisted, an auction, limited to cancelling or to posting. In the venue's word.
    Suspended(String),
}

/// A candle as the venue makes it; what the venue does not say is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandleReport {
    /// When it opened.
    pub open_time: DateTime<Utc>,
    /// The first price: at some venues (Bybit) that of the candle before.
    pub open: Decimal,
    /// The highest price.
    pub high: Decimal,
    /// The lowest price.
    pub low: Decimal,
    /// The last price.
    pub close: Decimal,
    /// What was traded, in units of base.
    pub base_volume: Option<Decimal>,
    /// What was traded, in units of quote.
    pub quote_volume: Option<Decimal>,
    /// How many trades there were.
    pub trade_count: Option<u64>,
}

impl Query {
    /// Asks for something that costs one.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), weight: 1 }
    }

    /// Says what it costs.
    #[must_use]
    pub fn weighing(self, weight: u32) -> Self {
        Self { weight, ..self }
    }
}

impl Budget {
    /// Allows so much in so many seconds.
    pub const fn new(weight: u32, seconds: u64) -> Self {
        Self { weight, per: Duration::from_secs(seconds) }
    }
}

impl Instrument {
    /// Lists a market by what the venue calls its assets; `None` where one of them cannot be named.
    pub(super) fn spot(symbol: &str, base: &str, quote: &str, state: InstrumentState) -> Option<Self> {
        let pair = Pair::new(Asset::raw(base).ok()?, Asset::raw(quote).ok()?);
        Some(Self { symbol: symbol.to_owned(), market: Market { pair, kind: MarketKind::Spot }, state })
    }
}

impl InstrumentState {
    /// Takes one word of the venue's for traded, and any other for not.
    pub fn of(word: &str, trading: &str) -> Self {
        if word.eq_ignore_ascii_case(trading) {
            Self::Trading
        } else {
            Self::Suspended(word.chars().take(40).collect())
        }
    }
}

impl CandleReport {
    /// Makes a candle of open, high, low and close, which must be above zero; the rest is for the caller to add.
    pub(super) fn of(
        open_time: DateTime<Utc>,
        [open, high, low, close]: [Number; 4],
    ) -> Result<Self, ParseError> {
        Ok(Self {
            open_time,
            open: positive("open", open)?,
            high: positive("high", high)?,
            low: positive("low", low)?,
            close: positive("close", close)?,
            base_volume: None,
            quote_volume: None,
            trade_count: None,
        })
    }
}

/// Reads an answer, or the object of the shape `R` that stands in its place and refuses.
pub(super) fn answer<'a, T, R>(body: &'a str, words: impl FnOnce(R) -> Words<'a>) -> Result<T, ParseError>
where
    T: Deserialize<'a>,
    R: Deserialize<'a>,
{
    // A list would be read as an object with its fields in order.
    let refusal = body.trim_start().starts_with('{').then(|| serde_json::from_str(body));
    match refusal {
        Some(Ok(refusal)) => Err(ParseError::refused(words(refusal).0)),
        _ => Ok(serde_json::from_str(body)?),
    }
}

/// Tells whether an answer does not tell of a market.
fn is_unknown<T>(read: &Result<T, ParseError>) -> bool {
    matches!(read, Err(ParseError::UnknownSymbol(_)))
}

/// Puts trades in the order in which they happened: by time, and those of one moment by their numbers.
pub(super) fn trades_in_order<'a>(
    trades: impl Iterator<Item = Result<TradeReport<'a>, ParseError>>,
) -> Result<Vec<TradeReport<'a>>, ParseError> {
    let mut trades = trades.collect::<Result<Vec<_>, _>>()?;
    trades.sort_by_key(|trade| (trade.time, trade.id.map(|id| (id.len(), id))));
    Ok(trades)
}

/// Puts candles in the order of time.
pub(super) fn candles_in_order(
    candles: impl Iterator<Item = Result<CandleReport, ParseError>>,
) -> Result<Vec<CandleReport>, ParseError> {
    let mut candles = candles.collect::<Result<Vec<_>, _>>()?;
    candles.sort_by_key(|candle| candle.open_time);
    Ok(candles)
}

/// Gets the last moment before another: up to there is asked where a range includes its end.
pub(super) fn just_before(time: DateTime<Utc>) -> DateTime<Utc> {
    time.checked_sub_signed(TimeDelta::nanoseconds(1)).unwrap_or(time)
}
