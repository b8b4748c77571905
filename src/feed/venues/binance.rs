//! Binance: combined streams `{"stream", "data"}` over `/stream`; spot, and futures of the same format.
//!
//! `aggTrade` and `trade` carry trades (`m` true: the buyer was the maker, so the taker sold), `bookTicker` best
//! bid and ask (spot: without a time), `ticker` the last 24 hours. Times are milliseconds. The server pings the
//! transport and cuts after 24 hours. Assets of very small worth are traded by the thousand or by the million, which
//! their names say. Source: Binance's public WebSocket documentation, and recordings.

pub(super) mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    domain::{
        pair::{Asset, Pair},
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        json::{self, Message},
        number::{Number, Text, Volume, Words, millis, positive, side},
        rest::Rest,
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Protocol, Session, split},
    },
};

/// Streams that are known and say nothing we use: by name, or by what they begin with.
const IGNORED: &[&str] = &[
    "depth",
    "kline_",
    "miniTicker",
    "avgPrice",
    "markPrice",
    "forceOrder",
    "!ticker",
    "!miniTicker",
    "!markPrice",
    "!forceOrder",
];

/// Five messages a second are allowed, and pongs are some of them.
const LIMITS: ConnectionLimits =
    ConnectionLimits { message_gap: Duration::from_millis(250), ..ConnectionLimits::DEFAULT };

/// Speaks with Binance.
#[derive(Debug)]
pub struct Binance;

/// Speaks with Binance's futures, which have a host and markets of their own. It reads recordings; it is not among
/// the venues that feed spot prices.
#[derive(Debug)]
pub struct BinanceFutures;

impl Protocol for Binance {
    fn venue(&self) -> Venue {
        Venue::new("binance")
    }

    fn evidence(&self) -> &'static str {
        "recordings of October 2021 (spot) and July 2021 (futures, parser only)"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://stream.binance.com:9443/stream")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}{}", self.native(pair.base), self.native(pair.quote))
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let pair = Pair::split_joined(symbol).map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind: MarketKind::Spot })
    }

    fn multiples(&self) -> &'static [(&'static str, &'static str, u32)] {
        &[
            ("1000SATS", "SATS", 1_000),
            ("1000CAT", "CAT", 1_000),
            ("1000CHEEMS", "CHEEMS", 1_000),
            ("1MBABYDOGE", "BABYDOGE", 1_000_000),
        ]
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        subscription(symbols)
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        message(text)
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::BinanceRest)
    }
}

impl Protocol for BinanceFutures {
    fn venue(&self) -> Venue {
        Venue::new("binancefutures")
    }

    fn evidence(&self) -> &'static str {
        Binance.evidence()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://fstream.binance.com/stream")
    }

    fn symbol(&self, pair: Pair) -> String {
        Binance.symbol(pair)
    }

    /// Reads `BTCUSDT` and `BTCUSD_PERP` as perpetual, `BTCUSD_210625` as dated.
    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let (joined, kind) = match symbol.split_once('_') {
            None => (symbol, MarketKind::Perpetual),
            Some((joined, "PERP")) => (joined, MarketKind::Perpetual),
            Some((joined, _)) => (joined, MarketKind::Dated),
        };
        let pair = Pair::split_joined(joined).map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind })
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        subscription(symbols)
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        message(text)
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    msg: Words<'a>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    s: &'a str,
    #[serde(borrow)]
    a: Option<Text<'a>>,
    #[serde(borrow)]
    t: Option<Text<'a>>,
    p: Number,
    q: Number,
    #[serde(rename = "T")]
    time: i64,
    m: bool,
    /// Where a trade of futures comes from; only those of the market are trades.
    #[serde(rename = "X")]
    origin: Option<&'a str>,
}

#[derive(Deserialize)]
struct BookTicker<'a> {
    s: &'a str,
    b: Number,
    a: Number,
    #[serde(rename = "E")]
    time: Option<i64>,
}

#[derive(Deserialize)]
struct DayTicker<'a> {
    s: &'a str,
    c: Number,
    b: Option<Number>,
    a: Option<Number>,
    v: Volume,
    q: Option<Volume>,
    #[serde(rename = "E")]
    time: i64,
}

fn subscription(symbols: &[String]) -> Vec<String> {
    let streams: Vec<String> = symbols
        .iter()
        .map(|symbol| symbol.to_lowercase())
        .flat_map(|symbol| ["aggTrade", "bookTicker", "ticker"].map(|channel| format!("{symbol}@{channel}")))
        .collect();
    vec![serde_json::json!({ "method": "SUBSCRIBE", "params": streams, "id": 1 }).to_string()]
}

fn message(text: &str) -> Result<Parsed<'_>, ParseError> {
    let mut message = Message::open(text, 1, ["stream", "result", "error", "id"], "data")?;
    let [stream, result, error, id] = message.head;
    let Some(stream) = stream else {
        return answer(result, error, id);
    };
    if !message.has_body() {
        return Err(ParseError::value("data", "absent"));
    }
    // A stream of all markets has no symbol before its name.
    let channel = match split(stream, b'@') {
        Some((symbol, channel)) if !symbol.starts_with('!') => channel,
        _ => stream,
    };
    match channel {
        "aggTrade" | "trade" => {
            let trade = trade(&message.body()?)?.map(Event::Trade);
            Ok(Parsed::many(channel, trade.into_iter().collect()))
        }
        "bookTicker" | "!bookTicker" => {
            Ok(Parsed::one(channel, Event::Ticker(book_ticker(&message.body()?))))
        }
        "ticker" => Ok(Parsed::one(channel, Event::Ticker(ticker(&message.body()?)))),
        _ if IGNORED.iter().any(|name| channel.starts_with(name)) => {
            message.end()?;
            Ok(Parsed::ignored(channel))
        }
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

/// Reads the answer to a subscription.
fn answer<'a>(
    result: Option<&str>,
    error: Option<&'a str>,
    id: Option<&str>,
) -> Result<Parsed<'a>, ParseError> {
    match (error, id) {
        (Some(error), _) => {
            let refusal: Refusal<'_> = json::from_str(error)?;
            Ok(Parsed::one("error", Event::Refused(refusal.msg.0)))
        }
        (None, Some(_)) if result.is_none() => Ok(Parsed::one("result", Event::Subscribed)),
        _ => Err(ParseError::unknown_channel("without stream")),
    }
}

fn trade<'a>(trade: &Trade<'a>) -> Result<Option<TradeReport<'a>>, ParseError> {
    if trade.origin.is_some_and(|origin| origin != "MARKET") {
        return Ok(None);
    }
    Ok(Some(TradeReport {
        symbol: trade.s,
        // In a `trade`, `a` is an order of the seller.
        id: trade.t.or(trade.a).map(|Text(id)| id),
        count: 1,
        price: positive("p", trade.p)?,
        amount: positive("q", trade.q)?,
        side: if trade.m { Side::Sell } else { Side::Buy },
        time: millis(trade.time).ok_or_else(|| ParseError::value("T", trade.time))?,
        snapshot: false,
    }))
}

/// Tells whether volume is in contracts and base, as it is where contracts are worth a sum of dollars.
fn coin_margined(symbol: &str) -> bool {
    symbol.contains('_') && BinanceFutures.market(symbol).is_ok_and(|market| market.pair.quote == Asset::USD)
}

fn book_ticker<'a>(ticker: &BookTicker<'a>) -> Ticker<'a> {
    Ticker {
        symbol: ticker.s,
        book: Some(TopOfBook { bid: side(Some(ticker.b)), ask: side(Some(ticker.a)) }),
        time: ticker.time.and_then(millis),
        ..Ticker::default()
    }
}

fn ticker<'a>(ticker: &DayTicker<'a>) -> Ticker<'a> {
    // Futures send no book here.
    let book = (ticker.b.is_some() || ticker.a.is_some())
        .then(|| TopOfBook { bid: side(ticker.b), ask: side(ticker.a) });
    let (first, second) = (Some(ticker.v.0), ticker.q.map(|Volume(volume)| volume));
    let (base_volume, quote_volume) = if coin_margined(ticker.s) { (second, None) } else { (first, second) };
    Ticker {
        symbol: ticker.s,
        book,
        last: side(Some(ticker.c)),
        base_volume_24h: base_volume,
        quote_volume_24h: quote_volume,
        time: millis(ticker.time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const AGGREGATE: &str = r#"{"stream":"abcusdt@aggTrade","data":{"e":"aggTrade","E":1700000000100,"s":"ABCUSDT","a":7,"p":"1.5000","q":"2","f":1,"l":1,"T":1700000000099,"m":true,"M":true}}"#;
    const TRADE: &str = r#"{"stream":"abcusdt@trade","data":{"e":"trade","E":1700000000100,"s":"ABCUSDT","t":9,"p":"1.5","q":"2","b":3,"a":4,"T":1700000000099,"m":false}}"#;
    const BEST: &str = r#"{"stream":"abcusdt@bookTicker","data":{"u":1,"s":"ABCUSDT","b":"1.49","B":"3","a":"0.00","A":"0"}}"#;
    const DAY: &str = r#"{"stream":"abcusdt@ticker","data":{"e":"24hrTicker","E":1700000000200,"s":"ABCUSDT","c":"1.5","b":"1.49","a":"1.51","v":"1000.50","q":"1500.75"}}"#;
    const FUTURE_DAY: &str = r#"{"stream":"abcusdt@ticker","data":{"e":"24hrTicker","E":1700000000200,"s":"ABCUSDT","c":"1.5","v":"1000","q":"1500"}}"#;

    fn event(text: &str) -> Event<'_> {
        let parsed = message(text).unwrap();
        parsed.events.into_iter().next().unwrap()
    }

    #[test]
    fn a_trade_names_the_takers_side() {
        for (text, id, side) in [(AGGREGATE, "7", Side::Sell), (TRADE, "9", Side::Buy)] {
            let Event::Trade(trade) = event(text) else { panic!("no trade: {text}") };
            assert_eq!(
                (trade.symbol, trade.id, trade.side, trade.snapshot),
                ("ABCUSDT", Some(id), side, false)
            );
            assert_eq!(trade.price.normalize().to_string(), "1.5");
            assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_099);
        }
    }

    #[test]
    fn what_an_insurance_fund_takes_over_is_no_trade() {
        for (origin, trades) in [("MARKET", 1), ("INSURANCE_FUND", 0)] {
            let text = TRADE.replace(r#""m":false"#, &format!(r#""X":"{origin}","m":false"#));
            assert_eq!(message(&text).unwrap().events.len(), trades, "{origin}");
        }
    }

    #[test]
    fn tickers_carry_what_their_stream_does() {
        for (text, expected) in [
            (BEST, "ABCUSDT 1.49/- last - base - quote - at 0"),
            (DAY, "ABCUSDT 1.49/1.51 last 1.5 base 1000.5 quote 1500.75 at 1700000000200"),
            (
                &FUTURE_DAY.replace("ABCUSDT", "ABCUSD_PERP"),
                "ABCUSD_PERP - last 1.5 base 1500 quote - at 1700000000200",
            ),
            (&BEST.replace("abcusdt@", "!"), "ABCUSDT 1.49/- last - base - quote - at 0"),
            (FUTURE_DAY, "ABCUSDT - last 1.5 base 1000 quote 1500 at 1700000000200"),
        ] {
            assert_eq!(expect::line(&event(text)), expected);
        }
    }

    #[test]
    fn subscriptions_are_answered() {
        assert_eq!(event(r#"{"result":null,"id":1}"#), Event::Subscribed);
        let refused = r#"{"error":{"code":2,"msg":"Invalid \"stream\""},"id":1}"#;
        assert_eq!(event(refused), Event::Refused(r#"Invalid \"stream\""#));
    }

    #[test]
    fn known_streams_that_are_not_used_are_ignored_by_name() {
        for channel in ["depth@100ms", "kline_1m", "miniTicker", "avgPrice", "markPrice@1s", "forceOrder"] {
            let text = format!(r#"{{"stream":"abcusdt@{channel}","data":{{}}}}"#);
            assert_eq!(message(&text), Ok(Parsed::ignored(channel)));
        }
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("", "json"),
            ("[]", "json"),
            ("{}", "unknown_channel"),
            ("null", "json"),
            (r#"{"stream":"abc"}"#, "value"),
            (r#"{"stream":"abc","data":{}}"#, "unknown_channel"),
            (r#"{"stream":"!abc@arr","data":{}}"#, "unknown_channel"),
            (r#"{"stream":"abc@nonsense","data":{}}"#, "unknown_channel"),
            (r#"{"stream":"abc@aggTrade","data":{}}"#, "json"),
            (&AGGREGATE.replace("1.5000", "0.000"), "value"),
            (&AGGREGATE.replace("1.5000", "-1.5"), "value"),
            (&AGGREGATE.replace("1.5000", "1,500"), "json"),
            (&AGGREGATE.replace("1.5000", "NaN"), "json"),
            (&AGGREGATE.replace("\"1.5000\"", "null"), "json"),
            (&AGGREGATE.replace("1700000000099", "9223372036854775807"), "value"),
        ] {
            assert_eq!(message(text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Binance,
            &[("BTCUSDT", "BTC-USDT Spot"), ("ETHBTC", "ETH-BTC Spot")],
            &["", "BTC", "USDT", "BTC_USDT", "比特币USDT"],
        );
        expect::spells(
            &BinanceFutures,
            &[
                ("BTCUSDT", "BTC-USDT Perpetual"),
                ("BTCUSD_PERP", "BTC-USD Perpetual"),
                ("BTCUSD_210625", "BTC-USD Dated"),
            ],
            &["", "BTC", "_PERP"],
        );
    }

    #[test]
    fn a_subscription_names_three_streams_per_market() {
        let messages = Binance.subscribe(&["ABCUSDT".to_owned()], DateTime::default());
        assert_eq!(
            messages,
            [
                r#"{"id":1,"method":"SUBSCRIBE","params":["abcusdt@aggTrade","abcusdt@bookTicker","abcusdt@ticker"]}"#
            ]
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Binance, &[AGGREGATE, TRADE, BEST, DAY, FUTURE_DAY]);
    }
}
