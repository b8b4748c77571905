//! KuCoin spot: messages `{"type", "topic": "/market/NAME:SYMBOL", "subject", "data"}`.
//!
//! `match` carries trades (`side` is the taker's, `time` nanoseconds as text), `ticker` best bid and ask as they
//! change, `snapshot` every two seconds the same with the volume of 24 hours. The address and a token come from a
//! REST call. Contracts are spelled `XBTUSDTM` (perpetual) and `XBTMM22` (dated, a month's letter and a year);
//! they trade at another address. Source: KuCoin's public WebSocket documentation, and recorded traffic.

mod rest;

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
        json::Message,
        number::{Number, Text, Volume, Words, millis, positive, side, whole},
        rest::{Budget, Rest},
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Ping, Protocol, Session, split},
    },
};

/// Symbols that one subscription may name.
const SYMBOLS_PER_TOPIC: usize = 100;

/// An address may make 30 connections a minute, each with 300 topics; a market has three. A hundred messages in ten seconds are
/// allowed.
const LIMITS: ConnectionLimits = ConnectionLimits {
    message_gap: Duration::from_millis(100),
    connections: Some(Budget::new(30, 60)),
    ..ConnectionLimits::DEFAULT
};

/// Speaks with KuCoin.
#[derive(Debug)]
pub struct KuCoin;

impl Protocol for KuCoin {
    fn venue(&self) -> Venue {
        Venue::new("kucoin")
    }

    fn evidence(&self) -> &'static str {
        "recordings of April 2021"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Bullet("https://api.kucoin.com/api/v1/bullet-public")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}-{}", self.native(pair.base), self.native(pair.quote))
    }

    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let market = match Pair::split_at(symbol, '-') {
            Ok(pair) => Some(Market { pair, kind: MarketKind::Spot }),
            Err(_) => contract(symbol),
        };
        market.ok_or_else(|| ParseError::unknown_symbol(symbol))
    }

    fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("BCHSV", "BSV"),
            ("WAX", "WAXP"),
            // AltLayer is `KALT`, because the launch token of Aptos came first.
            ("KALT", "ALT"),
            ("ALT", "APTOSLAUNCH"),
            ("VAI", "VAIOT"),
        ]
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        symbols
            .chunks(SYMBOLS_PER_TOPIC)
            .flat_map(|chunk| ["match", "ticker", "snapshot"].map(|name| (name, chunk.join(","))))
            .enumerate()
            .map(|(id, (name, symbols))| {
                serde_json::json!({
                    "id": id,
                    "type": "subscribe",
                    "topic": format!("/market/{name}:{symbols}"),
                    "response": true,
                })
                .to_string()
            })
            .collect()
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn ping(&self, now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping {
            every: Duration::from_secs(18),
            message: format!(r#"{{"id":"{}","type":"ping"}}"#, now.timestamp_millis()),
        })
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::KuCoinRest)
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let mut message = Message::open(text, 3, ["topic", "type", "subject"], "data")?;
        let [channel, _, subject] = message.head;
        match message.given(1)? {
            "message" => topic(channel.unwrap_or_default(), subject, message),
            kind @ ("welcome" | "pong") => Ok(Parsed::ignored(kind)),
            "ack" => Ok(Parsed::one("ack", Event::Subscribed)),
            "error" => {
                let words: Option<Words<'_>> = message.body()?;
                let words = words.map_or("without a reason", |Words(words)| words);
                Ok(Parsed::one("error", Event::Refused(words)))
            }
            kind => Err(ParseError::unknown_channel(kind)),
        }
    }
}

#[derive(Deserialize)]
struct Match<'a> {
    symbol: &'a str,
    side: &'a str,
    price: Number,
    size: Number,
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(borrow, rename = "tradeId")]
    trade_id: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Top {
    best_bid: Option<Number>,
    best_ask: Option<Number>,
    price: Option<Number>,
    time: i64,
}

#[derive(Deserialize)]
struct Snapshot {
    data: Day,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Day {
    buy: Option<Number>,
    sell: Option<Number>,
    last_traded_price: Option<Number>,
    vol: Option<Volume>,
    vol_value: Option<Volume>,
    datetime: i64,
}

/// Reads a contract's symbol.
fn contract(symbol: &str) -> Option<Market> {
    if let Some(joined) = symbol.strip_suffix('M') {
        return Some(Market { pair: Pair::split_joined(joined).ok()?, kind: MarketKind::Perpetual });
    }
    let (base, end) = symbol.split_at_checked(symbol.len().checked_sub(4)?)?;
    let [b'M', b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9'] = end.as_bytes() else {
        return None;
    };
    Some(Market { pair: Pair::new(Asset::raw(base).ok()?, Asset::USD), kind: MarketKind::Dated })
}

/// Reads a message of a subscription.
fn topic<'a, const N: usize>(
    topic: &'a str,
    subject: Option<&'a str>,
    mut message: Message<'a, N>,
) -> Result<Parsed<'a>, ParseError> {
    let (channel, symbols) = split(topic, b':').ok_or_else(|| ParseError::unknown_channel(topic))?;
    // A subscription to all markets names the market elsewhere.
    let symbol = match (symbols, subject) {
        ("all", Some(subject)) => subject,
        _ => symbols,
    };
    match channel {
        "/market/match" => Ok(Parsed::one(channel, Event::Trade(trade(&message.body()?)?))),
        "/market/ticker" => Ok(Parsed::one(channel, Event::Ticker(best(symbol, &message.body()?)?))),
        "/market/snapshot" => Ok(Parsed::one(channel, Event::Ticker(day(symbol, &message.body()?)?))),
        "/market/level2"
        | "/market/level2Snapshot"
        | "/market/candles"
        | "/spotMarket/level1"
        | "/spotMarket/level2Depth5"
        | "/spotMarket/level2Depth50"
        | "/spotMarket/level3" => {
            message.end()?;
            Ok(Parsed::ignored(channel))
        }
        _ => Err(ParseError::unknown_channel(channel)),
    }
}

fn trade<'a>(trade: &Match<'a>) -> Result<TradeReport<'a>, ParseError> {
    let nanos = whole(trade.time.0).ok_or_else(|| ParseError::value("time", trade.time.0))?;
    Ok(TradeReport {
        symbol: trade.symbol,
        id: Some(trade.trade_id.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("size", trade.size)?,
        side: match trade.side {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            other => return Err(ParseError::value("side", other)),
        },
        time: DateTime::from_timestamp_nanos(nanos),
        snapshot: false,
    })
}

fn best<'a>(symbol: &'a str, top: &Top) -> Result<Ticker<'a>, ParseError> {
    Ok(Ticker {
        symbol,
        book: Some(TopOfBook { bid: side(top.best_bid), ask: side(top.best_ask) }),
        last: side(top.price),
        time: Some(millis(top.time).ok_or_else(|| ParseError::value("time", top.time))?),
        ..Ticker::default()
    })
}

fn day<'a>(symbol: &'a str, Snapshot { data: day }: &Snapshot) -> Result<Ticker<'a>, ParseError> {
    Ok(Ticker {
        symbol,
        book: Some(TopOfBook { bid: side(day.buy), ask: side(day.sell) }),
        last: side(day.last_traded_price),
        base_volume_24h: day.vol.map(|Volume(v)| v),
        quote_volume_24h: day.vol_value.map(|Volume(v)| v),
        time: Some(millis(day.datetime).ok_or_else(|| ParseError::value("datetime", day.datetime))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const MATCH: &str = r#"{"type":"message","topic":"/market/match:ABC-USDT","subject":"trade.l3match","data":{"symbol":"ABC-USDT","sequence":"1","side":"sell","type":"match","size":"12.50","price":"0.00000110","takerOrderId":"t","makerOrderId":"m","time":"1700000000123456789","tradeId":"5f"}}"#;
    const TICKER: &str = r#"{"type":"message","topic":"/market/ticker:ABC-USDT","subject":"trade.ticker","data":{"sequence":"1","price":"2.5","size":"1","bestAsk":"2.51","bestAskSize":"3","bestBid":"2.49","bestBidSize":"4","time":1700000000123}}"#;
    const SNAPSHOT: &str = r#"{"type":"message","topic":"/market/snapshot:ABC-USDT","subject":"trade.snapshot","data":{"sequence":"1","data":{"symbol":"ABC-USDT","buy":2.1E-7,"sell":null,"lastTradedPrice":2.2e-7,"vol":1000.5,"volValue":0.00021,"datetime":1700000000456,"trading":true}}}"#;

    fn parse(text: &str) -> Result<String, ParseError> {
        let mut session = Session::default();
        KuCoin.parse(&mut session, text).map(|p| format!("{p:?}"))
    }

    fn event(text: &str) -> Event<'_> {
        let parsed = KuCoin.parse(Box::leak(Box::default()), text).unwrap();
        parsed.events.into_iter().next().unwrap()
    }

    #[test]
    fn a_trade_keeps_every_digit_and_nanosecond() {
        let Event::Trade(trade) = event(MATCH) else { panic!("no trade") };
        assert_eq!(
            (trade.symbol, trade.id, trade.side, trade.snapshot),
            ("ABC-USDT", Some("5f"), Side::Sell, false)
        );
        assert_eq!(trade.price.normalize().to_string(), "0.0000011");
        assert_eq!(trade.amount.normalize().to_string(), "12.5");
        assert_eq!(trade.time.timestamp_nanos_opt(), Some(1_700_000_000_123_456_789));
    }

    #[test]
    fn tickers_come_with_and_without_volume() {
        assert_eq!(
            expect::line(&event(TICKER)),
            "ABC-USDT 2.49/2.51 last 2.5 base - quote - at 1700000000123"
        );
        assert_eq!(
            expect::line(&event(SNAPSHOT)),
            "ABC-USDT 0.00000021/- last 0.00000022 base 1000.5 quote 0.00021 at 1700000000456"
        );
    }

    #[test]
    fn a_subscription_to_all_markets_names_the_market_in_the_subject() {
        let text = TICKER.replace("ticker:ABC-USDT", "ticker:all").replace("trade.ticker", "XYZ-USDT");
        let parsed = parse(&text).unwrap();
        assert!(parsed.contains(r#"symbol: "XYZ-USDT""#), "{parsed}");
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("{}", "json"),
            (r#"{"type":"nonsense"}"#, "unknown_channel"),
            (r#"{"type":"message"}"#, "unknown_channel"),
            (r#"{"type":"message","topic":"/market/nonsense:A-B","data":{}}"#, "unknown_channel"),
            (r#"{"type":"message","topic":"/market/match:A-B"}"#, "value"),
            (&MATCH.replace("0.00000110", "0.0"), "value"),
            (&MATCH.replace("12.50", "-12.50"), "value"),
            (&MATCH.replace("12.50", "12,50"), "json"),
            (&MATCH.replace("\"sell\"", "\"both\""), "value"),
            (&MATCH.replace("1700000000123456789", "soon"), "value"),
        ] {
            assert_eq!(parse(text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn the_venue_may_refuse() {
        let refused = r#"{"id":"1","type":"error","code":404,"data":"topic \"x\" is not found"}"#;
        assert_eq!(event(refused), Event::Refused(r#"topic \"x\" is not found"#));
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &KuCoin,
            &[
                ("BTC-USDT", "BTC-USDT Spot"),
                ("BCHSV-USDT", "BCHSV-USDT Spot"),
                ("KALT-USDT", "KALT-USDT Spot"),
                ("XBTUSDTM", "XBT-USDT Perpetual"),
                ("XBTMM22", "XBT-USD Dated"),
            ],
            &["", "BTC", "M", "BTC-", "XBTM22", "XBTMM2X", "é-é"],
        );
        assert_eq!(KuCoin.canonical(Asset::literal("BCHSV")), Asset::literal("BSV"));
    }

    #[test]
    fn a_subscription_names_at_most_a_hundred_symbols() {
        let symbols: Vec<String> = (0..150).map(|n| format!("A{n}-USDT")).collect();
        let messages = KuCoin.subscribe(&symbols, DateTime::default());
        assert_eq!(messages.len(), 6);
        assert!(messages[0].contains("/market/match:A0-USDT,A1-USDT,"), "{}", messages[0]);
        assert!(messages[3].contains("/market/match:A100-USDT,"), "{}", messages[3]);
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(
            &KuCoin,
            &[MATCH, TICKER, SNAPSHOT, r#"{"id":"x","type":"welcome"}"#, r#"{"id":"1","type":"ack"}"#],
        );
    }
}
