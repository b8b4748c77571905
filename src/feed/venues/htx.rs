//! HTX (once Huobi) spot: gzip frames of `{"ch": "market.SYMBOL.NAME", "ts", "tick"}`.
//!
//! `trade.detail` carries trades (`direction` is the taker's side), the first message of a symbol its last one;
//! `bbo` best bid and ask, `detail` the last 24 hours, `depth.step0` twenty levels of which the first are the
//! best. The venue pings and wants the same number back. Contracts, which trade at other addresses, are spelled
//! `BTC-USDT` (perpetual), `BTC-USDT-210326` and `BTC_CW` (dated). Source: HTX's public API documentation, and
//! recorded traffic.

mod rest;

use std::borrow::Cow;

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
        gzip,
        json::{self, Few, Levels, Message},
        number::{Number, Text, Volume, millis, positive, side, whole},
        rest::Rest,
        venue::{ConnectionLimits, Endpoint, Frame, MAX_FRAME, Market, ParseError, Protocol, Session, split},
    },
};

/// An address may send a hundred messages a second; three for each of many markets would be more at once.
const LIMITS: ConnectionLimits =
    ConnectionLimits { message_gap: Duration::from_millis(20), ..ConnectionLimits::DEFAULT };

/// Speaks with HTX.
#[derive(Debug)]
pub struct Htx;

impl Protocol for Htx {
    fn venue(&self) -> Venue {
        Venue::new("htx")
    }

    fn evidence(&self) -> &'static str {
        "recordings of April 2021"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://api.huobi.pro/ws")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}{}", self.native(pair.base), self.native(pair.quote)).to_lowercase()
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let (pair, kind) = if let Some((base, term)) = symbol.split_once('_') {
            if !matches!(term, "CW" | "NW" | "CQ" | "NQ") {
                return Err(ParseError::unknown_symbol(symbol));
            }
            let base = Asset::raw(base);
            (base.map(|b| Pair::new(b, Asset::USD)), MarketKind::Dated)
        } else if let Some((at, _)) = symbol.match_indices('-').nth(1) {
            let (name, _) = symbol.split_at(at);
            (Pair::split_at(name, '-'), MarketKind::Dated)
        } else if symbol.contains('-') {
            (Pair::split_at(symbol, '-'), MarketKind::Perpetual)
        } else {
            (Pair::split_joined(symbol), MarketKind::Spot)
        };
        let pair = pair.map_err(|_| ParseError::unknown_symbol(symbol))?;
        Ok(Market { pair, kind })
    }

    fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("PROPY", "PRO"),
            ("BIFI", "BITCOINFILE"),
            ("GET", "THEMIS"),
            ("GTC", "GAMECOM"),
            ("HIT", "HITCHAIN"),
            // Holo has this ticker elsewhere.
            ("HOT", "HYDROPROTOCOL"),
            ("PNT", "PENTA"),
            ("SBTC", "SUPERBITCOIN"),
        ]
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        symbols
            .iter()
            .flat_map(|symbol| {
                ["trade.detail", "bbo", "detail"].map(|name| {
                    let channel = format!("market.{symbol}.{name}");
                    serde_json::json!({ "sub": channel, "id": channel }).to_string()
                })
            })
            .collect()
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn decode<'a>(&self, frame: Frame<'a>) -> Result<Cow<'a, str>, ParseError> {
        match frame {
            Frame::Text(text) => Ok(Cow::Borrowed(text)),
            Frame::Binary(bytes) => gzip::unpack(bytes, MAX_FRAME).map(Cow::Owned),
        }
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::HtxRest)
    }

    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let message =
            Message::open(text, 2, ["ch", "ts", "ping", "status", "subbed", "err-msg", "update"], "tick")?;
        let [ch, _, ping, status, subbed, words, _] = message.head;
        if let Some(number) = ping {
            let number: u64 = json::from_str(number)?;
            return Ok(Parsed { reply: Some(format!(r#"{{"pong":{number}}}"#)), ..Parsed::ignored("ping") });
        }
        match (ch, status) {
            (Some(ch), _) => update(session, ch, message),
            (None, Some("ok")) if subbed.is_some() => Ok(Parsed::one("subbed", Event::Subscribed)),
            (None, Some("error")) => {
                Ok(Parsed::one("error", Event::Refused(words.unwrap_or("without a reason"))))
            }
            _ => Err(ParseError::unknown_channel("without ch")),
        }
    }
}

#[derive(Deserialize)]
struct Trades<'a> {
    #[serde(borrow)]
    data: Few<Deal<'a>>,
}

#[derive(Deserialize)]
struct Deal<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow, rename = "tradeId", alias = "trade-id")]
    trade_id: Option<Text<'a>>,
    ts: i64,
    amount: Number,
    price: Number,
    direction: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Best {
    bid: Option<Number>,
    ask: Option<Number>,
    quote_time: i64,
}

#[derive(Deserialize)]
struct Day {
    close: Option<Number>,
    amount: Option<Volume>,
    vol: Option<Volume>,
}

#[derive(Deserialize)]
struct Depth {
    #[serde(default)]
    bids: Levels<(Number, Number)>,
    #[serde(default)]
    asks: Levels<(Number, Number)>,
}

/// Reads a message of a subscription.
fn update<'a>(
    session: &mut Session,
    ch: &'a str,
    mut message: Message<'a, 7>,
) -> Result<Parsed<'a>, ParseError> {
    let (symbol, channel) = ch
        .strip_prefix("market.")
        .and_then(|rest| split(rest, b'.'))
        .ok_or_else(|| ParseError::unknown_channel(ch))?;
    let time = |[_, ts, ..]: [Option<&str>; 7]| ts.and_then(whole).and_then(millis);
    match channel {
        "trade.detail" => {
            let Trades { data } = message.body()?;
            let snapshot = session.begins(symbol);
            let events: Result<_, _> =
                data.iter().map(|t| trade(symbol, t, snapshot).map(Event::Trade)).collect();
            Ok(Parsed::many(channel, events?))
        }
        "bbo" => Ok(Parsed::one(channel, Event::Ticker(best(symbol, &message.body()?)?))),
        "detail" => {
            let tick = message.body()?;
            Ok(Parsed::one(channel, Event::Ticker(day(symbol, &tick, time(message.head)))))
        }
        "depth.step0" => {
            let tick = message.body()?;
            // The first levels of an increment are not the best of the book.
            Ok(match message.head {
                [.., Some("true")] => Parsed::ignored(channel),
                head => Parsed::one(channel, Event::Ticker(depth(symbol, &tick, time(head)))),
            })
        }
        _ if ["depth.", "mbp.", "kline."].iter().any(|p| channel.starts_with(p)) => {
            message.end()?;
            Ok(Parsed::ignored(channel))
        }
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

fn trade<'a>(symbol: &'a str, trade: &Deal<'a>, snapshot: bool) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.trade_id.unwrap_or(trade.id).0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("amount", trade.amount)?,
        side: match trade.direction {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            other => return Err(ParseError::value("direction", other)),
        },
        time: millis(trade.ts).ok_or_else(|| ParseError::value("ts", trade.ts))?,
        snapshot,
    })
}

fn best<'a>(symbol: &'a str, best: &Best) -> Result<Ticker<'a>, ParseError> {
    Ok(Ticker {
        symbol,
        book: Some(TopOfBook { bid: side(best.bid), ask: side(best.ask) }),
        time: Some(millis(best.quote_time).ok_or_else(|| ParseError::value("quoteTime", best.quote_time))?),
        ..Ticker::default()
    })
}

fn day<'a>(symbol: &'a str, day: &Day, time: Option<DateTime<Utc>>) -> Ticker<'a> {
    Ticker {
        symbol,
        last: side(day.close),
        base_volume_24h: day.amount.map(|Volume(v)| v),
        quote_volume_24h: day.vol.map(|Volume(v)| v),
        time,
        ..Ticker::default()
    }
}

fn depth<'a>(symbol: &'a str, depth: &Depth, time: Option<DateTime<Utc>>) -> Ticker<'a> {
    Ticker {
        symbol,
        book: Some(TopOfBook {
            bid: side(depth.bids.first().map(|(price, _)| *price)),
            ask: side(depth.asks.first().map(|(price, _)| *price)),
        }),
        time,
        ..Ticker::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const TRADES: &str = r#"{"ch":"market.abcusdt.trade.detail","ts":1700000000200,"tick":{"id":9,"ts":1700000000123,"data":[{"id":100182534526255757567432481,"ts":1700000000123,"tradeId":100045088885,"amount":2.5E3,"price":9.2E-7,"direction":"buy"},{"id":"77","ts":1700000000124,"amount":1,"price":9.1E-7,"direction":"sell"}]}}"#;
    const BEST: &str = r#"{"ch":"market.abcusdt.bbo","ts":1700000000200,"tick":{"seqId":5,"ask":1.51,"askSize":2,"bid":1.49,"bidSize":3,"quoteTime":1700000000199,"symbol":"abcusdt"}}"#;
    const DAY: &str = r#"{"ch":"market.abcusdt.detail","ts":1700000000200,"tick":{"id":5,"low":1,"high":2,"open":1.4,"close":1.5,"vol":8.181588598785326E8,"amount":26897.159881877742,"version":5,"count":6}}"#;
    const DEPTH: &str = r#"{"ch":"market.abcusdt.depth.step0","ts":1700000000200,"tick":{"bids":[[1.49,10.0],[1.48,5]],"asks":[],"version":5,"ts":1700000000199}}"#;

    fn parse(text: &str) -> Result<String, ParseError> {
        let mut session = Session::default();
        Htx.parse(&mut session, text).map(|p| format!("{p:?}"))
    }

    fn event(text: &str) -> Event<'_> {
        let parsed = Htx.parse(Box::leak(Box::default()), text).unwrap();
        parsed.events.into_iter().next().unwrap()
    }

    #[test]
    fn ids_too_large_for_a_float_are_kept() {
        let mut session = Session::default();
        let parsed = Htx.parse(&mut session, TRADES).unwrap();
        let [Event::Trade(first), Event::Trade(second)] = parsed.events.as_slice() else {
            panic!("{parsed:?}")
        };
        assert_eq!(
            (first.symbol, first.id, first.side, first.snapshot),
            ("abcusdt", Some("100045088885"), Side::Buy, true)
        );
        assert_eq!(first.price.to_string(), "0.00000092");
        assert_eq!(first.amount.normalize().to_string(), "2500");
        assert_eq!((second.id, second.side), (Some("77"), Side::Sell));
        let mut session = Session::default();
        session.begun.insert("abcusdt".to_owned());
        let parsed = Htx.parse(&mut session, TRADES).unwrap();
        assert!(matches!(&parsed.events[0], Event::Trade(trade) if !trade.snapshot));
    }

    #[test]
    fn tickers_come_in_three_kinds() {
        assert_eq!(expect::line(&event(BEST)), "abcusdt 1.49/1.51 last - base - quote - at 1700000000199");
        assert_eq!(
            expect::line(&event(DAY)),
            "abcusdt - last 1.5 base 26897.159881877742 quote 818158859.8785326 at 1700000000200"
        );
        assert_eq!(expect::line(&event(DEPTH)), "abcusdt 1.49/- last - base - quote - at 1700000000200");
    }

    #[test]
    fn an_increment_of_the_book_is_not_taken_for_the_book() {
        let text = DEPTH.replace("\"tick\"", "\"update\":true,\"tick\"");
        let mut session = Session::default();
        let parsed = Htx.parse(&mut session, &text);
        assert_eq!(parsed, Ok(Parsed::ignored("depth.step0")));
    }

    #[test]
    fn a_ping_is_answered_with_its_number() {
        let mut session = Session::default();
        let parsed = Htx.parse(&mut session, r#"{"ping":1700000000123}"#).unwrap();
        assert_eq!(parsed.reply.as_deref(), Some(r#"{"pong":1700000000123}"#));
        assert!(parsed.events.is_empty());
    }

    #[test]
    fn the_venue_takes_or_refuses() {
        let taken = r#"{"id":"x","status":"ok","subbed":"market.abcusdt.bbo","ts":1700000000200}"#;
        assert_eq!(event(taken), Event::Subscribed);
        let refused =
            r#"{"status":"error","ts":1,"id":"x","err-code":"bad-request","err-msg":"invalid symbol"}"#;
        assert_eq!(event(refused), Event::Refused("invalid symbol"));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("{}", "unknown_channel"),
            (r#"{"ping":"soon"}"#, "json"),
            (r#"{"ch":"nonsense","tick":{}}"#, "unknown_channel"),
            (r#"{"ch":"market.abcusdt.nonsense","tick":{}}"#, "unknown_channel"),
            (r#"{"ch":"market.abcusdt.bbo"}"#, "value"),
            (&TRADES.replace("9.2E-7", "0.0"), "value"),
            (&TRADES.replace("9.2E-7", "null"), "json"),
            (&TRADES.replace("buy", "both"), "value"),
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Htx,
            &[
                ("btcusdt", "BTC-USDT Spot"),
                ("yfihusd", "YFI-HUSD Spot"),
                ("propyeth", "PROPY-ETH Spot"),
                ("hotusdt", "HOT-USDT Spot"),
                ("fil3susdt", "FIL3S-USDT Spot"),
                ("BTC-USDT", "BTC-USDT Perpetual"),
                ("BTC-USD", "BTC-USD Perpetual"),
                ("BTC-USDT-210326", "BTC-USDT Dated"),
                ("BTC-USDT-210326-C-32000", "BTC-USDT Dated"),
                ("BTC_CW", "BTC-USD Dated"),
            ],
            &["", "btc", "usdt", "BTC_XX", "_CW", "-", "--", "BTC-"],
        );
        let holo = Asset::literal("HOT");
        assert_ne!(Htx.canonical(holo), holo, "Holo has this ticker elsewhere");
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Htx, &[TRADES, BEST, DAY, DEPTH, r#"{"ping":1700000000123}"#]);
    }
}
