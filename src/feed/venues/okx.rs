//! OKX: API v5, messages `{"arg": {"channel", "instId"}, "data": [...]}`.
//!
//! `trades` carries trades with the taker's side, those of one order at one price told as one (`count`), `tickers` best bid and ask, last price and volume as they change,
//! `bbo-tbt` best bid and ask as often as every 10 ms. Volume is in base (`vol24h`) and quote (`volCcy24h`) for spot, in
//! contracts and base for derivatives. Times are milliseconds as text. After 30 s of silence the server cuts, unless
//! the text `ping` comes; it answers with the text `pong`. A `notice` announces that it will end the connection. Source: OKX's public documentation, and recordings.

mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use crate::{
    domain::{
        pair::{Asset, Pair},
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        json::{Few, Levels, Message},
        number::{Number, Text, Volume, milliseconds, optional, positive, side},
        rest::{Budget, Rest},
        venue::{ConnectionLimits, Endpoint, Market, ParseError, Ping, Protocol, Session},
    },
};

/// Channels that are known and say nothing we use, by what they begin with.
const IGNORED: &[&str] = &[
    "books",
    "candle",
    "estimated-price",
    "funding-rate",
    "index-",
    "instruments",
    "liquidation-",
    "mark-price",
    "open-interest",
    "opt-summary",
    "price-limit",
    "status",
];

/// The code of a `notice` that announces the end of the connection.
const GOING_AWAY: &str = "64008";

/// An address may make three connections a second.
const LIMITS: ConnectionLimits =
    ConnectionLimits { connections: Some(Budget::new(3, 1)), ..ConnectionLimits::DEFAULT };

/// Speaks with OKX.
#[derive(Debug)]
pub struct Okx;

impl Protocol for Okx {
    fn venue(&self) -> Venue {
        Venue::new("okx")
    }

    fn evidence(&self) -> &'static str {
        "recordings of May 2022"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://ws.okx.com:8443/ws/v5/public")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}-{}", self.native(pair.base), self.native(pair.quote))
    }

    /// Reads `BTC-USDT`, `BTC-USD-SWAP`, `BTC-USD-220527` and the option `BTC-USD-220304-32000-P`.
    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let parts: Vec<&str> = symbol.split('-').collect();
        let (base, quote, kind) = match parts.as_slice() {
            [base, quote] => (base, quote, MarketKind::Spot),
            [base, quote, "SWAP"] => (base, quote, MarketKind::Perpetual),
            [base, quote, day] | [base, quote, day, _, "C" | "P"]
                if day.len() == 6 && day.bytes().all(|digit| digit.is_ascii_digit()) =>
            {
                (base, quote, MarketKind::Dated)
            }
            _ => return Err(ParseError::unknown_symbol(symbol)),
        };
        let asset = |text| Asset::raw(text).map_err(|_| ParseError::unknown_symbol(symbol));
        Ok(Market { pair: Pair::new(asset(base)?, asset(quote)?), kind })
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        let channels: Vec<_> = symbols
            .iter()
            .flat_map(|symbol| {
                ["trades", "tickers"].map(|channel| json!({ "channel": channel, "instId": symbol }))
            })
            .collect();
        vec![json!({ "op": "subscribe", "args": channels }).to_string()]
    }

    fn limits(&self) -> ConnectionLimits {
        LIMITS
    }

    fn ping(&self, _now: DateTime<Utc>) -> Option<Ping> {
        Some(Ping { every: Duration::from_secs(20), message: "ping".to_owned() })
    }

    fn parse<'a>(&self, _session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        if text == "pong" {
            return Ok(Parsed::ignored("pong"));
        }
        let message = Message::open(text, 1, ["arg.channel", "arg.instId", "event", "msg", "code"], "data")?;
        match message.head {
            [_, _, Some(event), words, code] => answer(event, words, code),
            [Some(channel), symbol, None, ..] => data(channel, symbol, message),
            [None, _, None, ..] => Err(ParseError::unknown_channel("without channel")),
        }
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::OkxRest)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trade<'a> {
    inst_id: &'a str,
    #[serde(borrow, rename = "tradeId")]
    id: Text<'a>,
    px: Number,
    sz: Number,
    side: &'a str,
    #[serde(borrow)]
    ts: Text<'a>,
    /// Trades of one order at one price are told as one; over REST each by itself.
    #[serde(borrow)]
    count: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DayTicker<'a> {
    inst_type: &'a str,
    inst_id: &'a str,
    #[serde(default, deserialize_with = "optional")]
    last: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    bid_px: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    ask_px: Option<Number>,
    vol24h: Volume,
    #[serde(rename = "volCcy24h")]
    vol_ccy24h: Volume,
    #[serde(borrow)]
    ts: Text<'a>,
}

/// The best level of each side, as price, amount, and counts; none where the side is empty.
#[derive(Deserialize)]
struct Best<'a> {
    bids: Levels<(Number, IgnoredAny, IgnoredAny, IgnoredAny)>,
    asks: Levels<(Number, IgnoredAny, IgnoredAny, IgnoredAny)>,
    #[serde(borrow)]
    ts: Text<'a>,
}

fn answer<'a>(event: &'a str, words: Option<&'a str>, code: Option<&str>) -> Result<Parsed<'a>, ParseError> {
    match event {
        "subscribe" => Ok(Parsed::one(event, Event::Subscribed)),
        "error" => Ok(Parsed::one(event, Event::Refused(words.unwrap_or("without a reason")))),
        "notice" if code == Some(GOING_AWAY) => {
            Ok(Parsed::one(event, Event::GoingAway(words.unwrap_or("without a reason"))))
        }
        "unsubscribe" | "notice" | "channel-conn-count" => Ok(Parsed::ignored(event)),
        _ => Err(ParseError::unknown_channel(event)),
    }
}

fn data<'a, const N: usize>(
    channel: &'a str,
    symbol: Option<&'a str>,
    mut message: Message<'a, N>,
) -> Result<Parsed<'a>, ParseError> {
    let events = match channel {
        "trades" | "trades-all" => {
            let trades: Few<Trade<'a>> = message.body()?;
            trades.iter().map(|t| trade(t).map(Event::Trade)).collect::<Result<_, _>>()?
        }
        "tickers" => {
            let tickers: Few<DayTicker<'a>> = message.body()?;
            tickers.iter().map(|t| ticker(t).map(Event::Ticker)).collect::<Result<_, _>>()?
        }
        "bbo-tbt" => {
            let symbol = symbol.ok_or_else(|| ParseError::value("instId", "absent"))?;
            let best: Few<Best<'a>> = message.body()?;
            best.iter().map(|b| top(symbol, b)).collect::<Result<_, _>>()?
        }
        _ if IGNORED.iter().any(|name| channel.starts_with(name)) => {
            message.end()?;
            return Ok(Parsed::ignored(channel));
        }
        _ => return Err(ParseError::unknown_channel(channel)),
    };
    Ok(Parsed::many(channel, events))
}

fn trade<'a>(trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol: trade.inst_id,
        id: Some(trade.id.0),
        count: match trade.count {
            Some(Text(count)) => count.parse().map_err(|_| ParseError::value("count", count))?,
            None => 1,
        },
        price: positive("px", trade.px)?,
        amount: positive("sz", trade.sz)?,
        side: match trade.side {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            other => return Err(ParseError::value("side", other)),
        },
        time: milliseconds("ts", trade.ts)?,
        snapshot: false,
    })
}

fn ticker<'a>(ticker: &DayTicker<'a>) -> Result<Ticker<'a>, ParseError> {
    let (base_volume, quote_volume) = match ticker.inst_type {
        "SPOT" | "MARGIN" => (ticker.vol24h, Some(ticker.vol_ccy24h.0)),
        _ => (ticker.vol_ccy24h, None),
    };
    Ok(Ticker {
        symbol: ticker.inst_id,
        book: Some(TopOfBook { bid: side(ticker.bid_px), ask: side(ticker.ask_px) }),
        last: side(ticker.last),
        base_volume_24h: Some(base_volume.0),
        quote_volume_24h: quote_volume,
        time: Some(milliseconds("ts", ticker.ts)?),
    })
}

fn top<'a>(symbol: &'a str, best: &Best<'a>) -> Result<Event<'a>, ParseError> {
    Ok(Event::Ticker(Ticker {
        symbol,
        book: Some(TopOfBook {
            bid: side(best.bids.first().map(|level| level.0)),
            ask: side(best.asks.first().map(|level| level.0)),
        }),
        time: Some(milliseconds("ts", best.ts)?),
        ..Ticker::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const TRADES: &str = r#"{"arg":{"channel":"trades","instId":"ABC-USDT"},"data":[{"instId":"ABC-USDT","tradeId":"12","px":"1.50","sz":"0.25","side":"sell","ts":"1700000000099","count":"2"}]}"#;
    const TICKERS: &str = r#"{"arg":{"channel":"tickers","instId":"ABC-USDT"},"data":[{"instType":"SPOT","instId":"ABC-USDT","last":"1.50","lastSz":"1","askPx":"","askSz":"","bidPx":"1.49","bidSz":"2","open24h":"1","high24h":"2","low24h":"1","vol24h":"1000.5","volCcy24h":"1500.75","ts":"1700000000099"}]}"#;
    const BEST: &str = r#"{"arg":{"channel":"bbo-tbt","instId":"ABC-USDT"},"data":[{"asks":[["1.51","3","0","1"]],"bids":[],"ts":"1700000000099","seqId":7}]}"#;

    fn events(text: &str) -> Vec<Event<'_>> {
        Okx.parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
    }

    #[test]
    fn a_trade_names_the_takers_side() {
        for text in [TRADES, &TRADES.replace("\"trades\"", "\"trades-all\"")] {
            let events = events(text);
            let [Event::Trade(trade)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!(
                (trade.symbol, trade.id, trade.count, trade.side, trade.snapshot),
                ("ABC-USDT", Some("12"), 2, Side::Sell, false)
            );
            assert_eq!(trade.price.normalize().to_string(), "1.5");
            assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_099);
        }
    }

    #[test]
    fn the_volume_of_derivatives_is_in_base_where_spot_has_quote() {
        for (text, expected) in [
            (TICKERS, "ABC-USDT 1.49/- last 1.5 base 1000.5 quote 1500.75 at 1700000000099"),
            (
                &TICKERS.replace("SPOT", "SWAP"),
                "ABC-USDT 1.49/- last 1.5 base 1500.75 quote - at 1700000000099",
            ),
            (BEST, "ABC-USDT -/1.51 last - base - quote - at 1700000000099"),
        ] {
            assert_eq!(expect::line(&events(text)[0]), expected);
        }
    }

    #[test]
    fn answers_are_told_and_pongs_confirm_nothing() {
        for (text, expected) in [
            ("pong", vec![]),
            (
                r#"{"event":"subscribe","arg":{"channel":"trades","instId":"ABC-USDT"},"connId":"a4d3"}"#,
                vec![Event::Subscribed],
            ),
            (
                r#"{"event":"error","code":"60018","msg":"no such \"instId\"","connId":"a4d3"}"#,
                vec![Event::Refused(r#"no such \"instId\""#)],
            ),
            (
                r#"{"event":"notice","code":"64008","msg":"service upgrade","connId":"a"}"#,
                vec![Event::GoingAway("service upgrade")],
            ),
            (r#"{"event":"notice","code":"64999","msg":"something else"}"#, vec![]),
        ] {
            assert_eq!(events(text), expected, "{text}");
        }
    }

    #[test]
    fn known_channels_that_are_not_used_are_ignored_by_name() {
        for channel in ["books", "books5", "books-l2-tbt", "candle1m", "funding-rate", "mark-price"] {
            let text = format!(r#"{{"arg":{{"channel":"{channel}","instId":"ABC-USDT"}},"data":[]}}"#);
            let mut session = Session::default();
            assert_eq!(Okx.parse(&mut session, &text), Ok(Parsed::ignored(channel)));
        }
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, expected) in [
            ("{}", "unknown_channel"),
            ("ping", "json"),
            (r#"{"event":"nonsense"}"#, "unknown_channel"),
            (r#"{"arg":{"channel":"nonsense"},"data":[]}"#, "unknown_channel"),
            (r#"{"arg":{"channel":"trades","instId":"ABC-USDT"}}"#, "value"),
            (r#"{"arg":{"channel":"bbo-tbt"},"data":[]}"#, "value"),
            (&TRADES.replace("1.50", "0"), "value"),
            (&TRADES.replace("1.50", "-1"), "value"),
            (&TRADES.replace("1.50", ""), "json"),
            (&TRADES.replace("1.50", "1,500"), "json"),
            (&TRADES.replace("\"sell\"", "\"\""), "value"),
            (&TRADES.replace("1700000000099", "soon"), "value"),
            (&TRADES.replace(r#""count":"2""#, r#""count":"-2""#), "value"),
        ] {
            let mut session = Session::default();
            let error = Okx.parse(&mut session, text).unwrap_err();
            assert_eq!(error.kind(), expected, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Okx,
            &[
                ("BTC-USDT", "BTC-USDT Spot"),
                ("BTC-USD-SWAP", "BTC-USD Perpetual"),
                ("BTC-USD-220527", "BTC-USD Dated"),
                ("BTC-USD-220304-32000-P", "BTC-USD Dated"),
            ],
            &["", "BTC", "BTC-", "BTC-USD-SOON", "BTC-USD-220304-32000-X", "A-B-C-D-E-F"],
        );
    }

    #[test]
    fn one_message_subscribes_to_all() {
        let messages = Okx.subscribe(&["ABC-USDT".to_owned()], DateTime::default());
        assert_eq!(
            messages,
            [
                r#"{"args":[{"channel":"trades","instId":"ABC-USDT"},{"channel":"tickers","instId":"ABC-USDT"}],"op":"subscribe"}"#
            ]
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Okx, &[TRADES, TICKERS, BEST, "pong"]);
    }
}
