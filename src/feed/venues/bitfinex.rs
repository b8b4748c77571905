//! Bitfinex: API v2, objects `{"event"}` and arrays `[number, data]`, the number standing for a subscription.
//!
//! `trades` begins with past trades; then each trade comes twice, as `te` when it is executed and as `tu` when it is
//! booked, with the same id: `te` counts. A trade is `[id, milliseconds, amount, price]`, the amount below zero when
//! the taker sold. `ticker` is a row of numbers without a time. A subscription that is silent for 15 s sends `hb`,
//! now and then even before its number is told. Source: Bitfinex's public documentation, and recordings.

mod rest;

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
        json::{self, Few, Items},
        number::{Number, Text, Volume, Words, millis, positive, side},
        rest::Rest,
        venue::{Channel, Endpoint, Market, ParseError, Protocol, Session},
    },
};

/// Codes of `info` that announce the end of the connection: a restart, and maintenance.
const GOING_AWAY: &[u32] = &[20051, 20060];

/// What ends the names of both assets of a perpetual market.
const PERPETUAL: &str = "F0";

/// Speaks with Bitfinex.
#[derive(Debug)]
pub struct Bitfinex;

impl Protocol for Bitfinex {
    fn venue(&self) -> Venue {
        Venue::new("bitfinex")
    }

    fn evidence(&self) -> &'static str {
        "recordings of April 2021"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://api-pub.bitfinex.com/ws/2")
    }

    /// Writes `tBTCUSD`, and `tDUSK:USD` where a name is not three letters long.
    fn symbol(&self, pair: Pair) -> String {
        let (base, quote) = (self.native(pair.base), self.native(pair.quote));
        let short = base.as_str().len() == 3 && quote.as_str().len() == 3;
        let separator = if short { "" } else { ":" };
        format!("t{base}{separator}{quote}")
    }

    /// Reads `tBTCUSD`, `tDUSK:USD` and the perpetual `tBTCF0:USTF0`.
    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let unknown = || ParseError::unknown_symbol(symbol);
        let names = symbol.strip_prefix('t').ok_or_else(unknown)?;
        let (base, quote) = match names.split_once(':') {
            Some(names) => names,
            None if names.len() == 6 => names.split_at_checked(3).ok_or_else(unknown)?,
            None => return Err(unknown()),
        };
        let (base, quote, kind) = match (base.strip_suffix(PERPETUAL), quote.strip_suffix(PERPETUAL)) {
            (Some(base), Some(quote)) => (base, quote, MarketKind::Perpetual),
            _ => (base, quote, MarketKind::Spot),
        };
        let asset = |name| Asset::raw(name).map_err(|_| unknown());
        Ok(Market { pair: Pair::new(asset(base)?, asset(quote)?), kind })
    }

    /// Most names are cut to three letters. `DOG` is a million `DOGE`, and so it is not the same asset.
    fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("UST", "USDT"),
            ("UDC", "USDC"),
            ("TSD", "TUSD"),
            ("EUT", "EURT"),
            ("EUS", "EURS"),
            ("ALG", "ALGO"),
            ("AMP", "AMPL"),
            ("ATO", "ATOM"),
            ("BCHN", "BCH"),
            ("DAT", "DATA"),
            ("DOG", "MDOGE"),
            ("DSH", "DASH"),
            ("IOT", "IOTA"),
            ("LUNA", "LUNC"),
            ("LUNA2", "LUNA"),
            ("MNA", "MANA"),
            ("QSH", "QASH"),
            ("QTM", "QTUM"),
            ("RBT", "RBTC"),
            ("SNG", "SNGLS"),
            ("STJ", "STORJ"),
            ("TERRAUST", "USTC"),
            ("VSY", "VSYS"),
            ("WAX", "WAXP"),
            ("YYW", "YOYOW"),
        ]
    }

    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        symbols
            .iter()
            .flat_map(|symbol| {
                ["trades", "ticker"].map(|channel| {
                    json!({ "event": "subscribe", "channel": channel, "symbol": symbol }).to_string()
                })
            })
            .collect()
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::BitfinexRest)
    }

    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        if text.trim_start().starts_with('[') {
            data(session, Items::open(text)?)
        } else {
            event(session, &json::from_str(text)?)
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    event: &'a str,
    channel: Option<&'a str>,
    chan_id: Option<u64>,
    symbol: Option<&'a str>,
    key: Option<&'a str>,
    code: Option<u32>,
    #[serde(borrow)]
    msg: Option<Words<'a>>,
}

/// A trade: id, milliseconds, amount, price.
#[derive(Deserialize)]
struct Trade<'a>(#[serde(borrow)] Text<'a>, i64, Number, Number);

fn event<'a>(session: &mut Session, message: &Message<'a>) -> Result<Parsed<'a>, ParseError> {
    let words = message.msg.map_or("without a reason", |Words(words)| words);
    match message.event {
        "subscribed" => {
            let absent = |field| move || ParseError::value(field, "absent");
            let number = message.chan_id.ok_or_else(absent("chanId"))?;
            let name = message.channel.ok_or_else(absent("channel"))?;
            let symbol = message.symbol.or(message.key).ok_or_else(absent("symbol"))?;
            let channel = Channel { name: name.to_owned(), symbol: symbol.to_owned() };
            session.subscribed(number, channel)?;
            Ok(Parsed::one("subscribed", Event::Subscribed))
        }
        "unsubscribed" => {
            if let Some(number) = message.chan_id {
                session.channels.remove(&number);
            }
            Ok(Parsed::ignored("unsubscribed"))
        }
        "info" if message.code.is_some_and(|code| GOING_AWAY.contains(&code)) => {
            Ok(Parsed::one("info", Event::Refused(words)))
        }
        "error" => Ok(Parsed::one("error", Event::Refused(words))),
        "info" | "conf" | "pong" => Ok(Parsed::ignored(message.event)),
        unknown => Err(ParseError::unknown_channel(unknown)),
    }
}

/// Reads the data of a subscription: `[number, data]` or `[number, "kind", data]`, with counters after it that
/// the connection may have asked for.
fn data<'a>(session: &'a Session, mut parts: Items<'a>) -> Result<Parsed<'a>, ParseError> {
    let number: Option<u64> = parts.next()?;
    let (Some(number), true) = (number, parts.has_more()?) else {
        return Err(ParseError::unknown_channel("short array"));
    };
    let channel = session.channels.get(&number);
    let kind = parts.next_word()?;
    if kind == Some("hb") {
        parts.end()?;
        // The number of a subscription is sometimes told only after its first heartbeat.
        return Ok(heartbeat(channel));
    }
    let Channel { name, symbol } =
        channel.ok_or_else(|| ParseError::unknown_channel(&format!("number {number}")))?;
    let data = || ParseError::value("data", "absent");
    let parsed = match (name.as_str(), kind) {
        // Funding is lent, not traded: its rows are other rows.
        ("trades" | "ticker", _) if symbol.starts_with('f') => Parsed::ignored(name),
        ("trades", None) => {
            let trades: Few<Trade<'a>> = parts.next()?.ok_or_else(data)?;
            let trades = trades.iter().map(|t| trade(symbol, t, true).map(Event::Trade));
            Parsed::many(name, trades.collect::<Result<_, _>>()?)
        }
        ("trades", Some("te")) => {
            let row: Trade<'a> = parts.next()?.ok_or_else(data)?;
            Parsed::one(name, Event::Trade(trade(symbol, &row, false)?))
        }
        ("ticker", None) => {
            parts.enter()?;
            Parsed::one(name, Event::Ticker(ticker(symbol, &mut parts)?))
        }
        ("trades", Some("tu")) | ("book" | "candles" | "status", _) => Parsed::ignored(name),
        (name, kind) => return Err(ParseError::unknown_channel(kind.unwrap_or(name))),
    };
    parts.end()?;
    Ok(parsed)
}

/// A silent ticker still stands, and it holds all that is quoted; a silent channel of another kind says less.
fn heartbeat(channel: Option<&Channel>) -> Parsed<'_> {
    match channel {
        Some(Channel { name, symbol }) if name == "ticker" => Parsed::one("hb", Event::Confirm(Some(symbol))),
        _ => Parsed::ignored("hb"),
    }
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>, snapshot: bool) -> Result<TradeReport<'a>, ParseError> {
    let Trade(Text(id), time, Number(amount), price) = *trade;
    Ok(TradeReport {
        symbol,
        id: Some(id),
        count: 1,
        price: positive("price", price)?,
        amount: positive("amount", Number(amount.abs()))?,
        side: if amount.is_sign_negative() { Side::Sell } else { Side::Buy },
        time: millis(time).ok_or_else(|| ParseError::value("time", time))?,
        snapshot,
    })
}

/// Reads a ticker: bid, its amount, ask, its amount, change, relative change, last price, volume, high, low. Any of
/// them may be null.
fn ticker<'a>(symbol: &'a str, row: &mut Items<'_>) -> Result<Ticker<'a>, ParseError> {
    let bid = column(row)?;
    let _: IgnoredAny = column(row)?;
    let ask = column(row)?;
    for _ in 0..3 {
        let _: IgnoredAny = column(row)?;
    }
    let (last, volume): (_, Option<Volume>) = (column(row)?, column(row)?);
    Ok(Ticker {
        symbol,
        book: Some(TopOfBook { bid: side(bid), ask: side(ask) }),
        last: side(last),
        base_volume_24h: volume.map(|Volume(volume)| volume),
        ..Ticker::default()
    })
}

/// Reads the next column of a row, which may be null but not missing.
fn column<'a, T: Deserialize<'a>>(row: &mut Items<'a>) -> Result<T, ParseError> {
    row.next()?.ok_or_else(|| ParseError::value("column", "absent"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const SUBSCRIBED: &[&str] = &[
        r#"{"event":"subscribed","channel":"trades","chanId":7,"symbol":"tABCUSD","pair":"ABCUSD"}"#,
        r#"{"event":"subscribed","channel":"ticker","chanId":8,"symbol":"tABCUSD","pair":"ABCUSD"}"#,
        r#"{"event":"subscribed","channel":"book","chanId":9,"symbol":"tABCUSD","prec":"P0","freq":"F0","len":"25","pair":"ABCUSD"}"#,
        r#"{"event":"subscribed","channel":"candles","chanId":10,"key":"trade:1m:tABCUSD"}"#,
        r#"{"event":"subscribed","channel":"ticker","chanId":11,"symbol":"fUSD","currency":"USD"}"#,
    ];
    const PAST: &str = "[7,[[31,1700000000099,-0.25,1.50],[30,1700000000001,2,1.4e0]]]";
    const EXECUTED: &str = r#"[7,"te",[32,1700000000100,-0.25,1.50],18,1700000000101]"#;
    const BOOKED: &str = r#"[7,"tu",[32,1700000000100,-0.25,1.50],19,1700000000102]"#;
    const TICKER: &str = "[8,[1.49,2,1.51,3.0000000000000004,9.7e-06,0.0096,1.50,1000.5,2,1],20]";

    fn parse<'a>(session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        for message in SUBSCRIBED {
            Bitfinex.parse(session, message).unwrap();
        }
        Bitfinex.parse(session, text)
    }

    fn events(text: &str) -> Vec<Event<'_>> {
        parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
    }

    #[test]
    fn past_trades_come_first() {
        let events = events(PAST);
        let [Event::Trade(newer), Event::Trade(older)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((newer.id, newer.side, newer.snapshot), (Some("31"), Side::Sell, true));
        assert_eq!((older.id, older.side, older.snapshot), (Some("30"), Side::Buy, true));
        assert_eq!(newer.amount.normalize().to_string(), "0.25");
    }

    #[test]
    fn a_trade_that_is_told_twice_counts_once() {
        let executed = events(EXECUTED);
        let [Event::Trade(trade)] = executed.as_slice() else { panic!("{executed:?}") };
        assert_eq!(
            (trade.symbol, trade.id, trade.side, trade.snapshot),
            ("tABCUSD", Some("32"), Side::Sell, false)
        );
        assert_eq!(trade.price.normalize().to_string(), "1.5");
        assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_100);
        assert_eq!(events(BOOKED), []);
    }

    #[test]
    fn a_ticker_is_a_row_of_numbers() {
        for (text, expected) in [
            (TICKER, "tABCUSD 1.49/1.51 last 1.5 base 1000.5 quote - at 0"),
            (
                "[8,[null,0,1.51,3,null,null,null,0,null,null,null]]",
                "tABCUSD -/1.51 last - base 0 quote - at 0",
            ),
        ] {
            assert_eq!(expect::line(&events(text)[0]), expected);
        }
    }

    #[test]
    fn only_the_heartbeat_of_a_ticker_confirms_what_is_quoted() {
        assert_eq!(events(r#"[8,"hb",21]"#), [Event::Confirm(Some("tABCUSD"))]);
        for text in [r#"[7,"hb"]"#, r#"[9,"hb"]"#, r#"[99,"hb"]"#] {
            assert_eq!(events(text), [], "{text}");
        }
    }

    #[test]
    fn answers_are_told() {
        for (text, expected) in [
            (r#"{"event":"info","version":2,"platform":{"status":1}}"#, vec![]),
            (r#"{"event":"conf","status":"OK","flags":65536}"#, vec![]),
            (r#"{"event":"info","code":20051,"msg":"Stopping"}"#, vec![Event::Refused("Stopping")]),
            (
                r#"{"event":"error","msg":"symbol: invalid","code":10300}"#,
                vec![Event::Refused("symbol: invalid")],
            ),
        ] {
            assert_eq!(events(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_unsubscribed_is_forgotten() {
        let mut session = Session::default();
        parse(&mut session, r#"{"event":"unsubscribed","status":"OK","chanId":8}"#).unwrap();
        let error = Bitfinex.parse(&mut session, TICKER).unwrap_err();
        assert_eq!(error, ParseError::UnknownChannel("number 8".to_owned()));
    }

    #[test]
    fn what_is_not_used_is_ignored_by_name() {
        for (text, channel) in [
            ("[9,[1.5,2,-3]]", "book"),
            (r#"[9,"cs",123]"#, "book"),
            ("[10,[1700000000000,1,1,1,1,2]]", "candles"),
            ("[11,[1.25e-05,7.88e-06,90]]", "ticker"),
        ] {
            let mut session = Session::default();
            assert_eq!(parse(&mut session, text), Ok(Parsed::ignored(channel)));
        }
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, expected) in [
            ("{}", "json"),
            ("[]", "unknown_channel"),
            ("[8]", "unknown_channel"),
            ("[-8,[]]", "json"),
            ("[99,[]]", "unknown_channel"),
            (r#"{"event":"nonsense"}"#, "unknown_channel"),
            (r#"{"event":"subscribed","channel":"ticker"}"#, "value"),
            (r#"[7,"nonsense"]"#, "unknown_channel"),
            (r#"[7,"te"]"#, "value"),
            ("[8,[1,2,3]]", "value"),
            (&EXECUTED.replace("1.50", "0"), "value"),
            (&EXECUTED.replace("1.50", "-1.5"), "value"),
            (&EXECUTED.replace("-0.25", "0"), "value"),
            (&EXECUTED.replace("1.50", "null"), "json"),
            (&EXECUTED.replace("1700000000100", "9223372036854775807"), "value"),
        ] {
            let mut session = Session::default();
            let error = parse(&mut session, text).unwrap_err();
            assert_eq!(error.kind(), expected, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Bitfinex,
            &[
                ("tBTCUSD", "BTC-USD Spot"),
                ("tBTCUST", "BTC-UST Spot"),
                ("tDUSK:USD", "DUSK-USD Spot"),
                ("tTESTBTC:TESTUSD", "TESTBTC-TESTUSD Spot"),
                ("tBTCF0:USTF0", "BTC-UST Perpetual"),
            ],
            &["", "t", "BTCUSD", "fUSD", "tBTC", "tDUSKUSD", "t:USD", "téééé"],
        );
        for (name, canonical) in [("UST", "USDT"), ("IOT", "IOTA"), ("DOG", "MDOGE")] {
            assert_eq!(Bitfinex.canonical(Asset::literal(name)), Asset::literal(canonical));
        }
        let tether = Pair::literal("BTC", "USDT");
        assert_eq!(Bitfinex.symbol(tether), "tBTCUST");
    }

    #[test]
    fn each_channel_of_each_market_is_subscribed_apart() {
        let messages = Bitfinex.subscribe(&["tABCUSD".to_owned()], DateTime::default());
        assert_eq!(
            messages,
            [
                r#"{"channel":"trades","event":"subscribe","symbol":"tABCUSD"}"#,
                r#"{"channel":"ticker","event":"subscribe","symbol":"tABCUSD"}"#,
            ]
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Bitfinex, SUBSCRIBED);
        let heartbeat = r#"[8,"hb"]"#;
        expect::survives_after(&Bitfinex, SUBSCRIBED, &[PAST, EXECUTED, BOOKED, TICKER, heartbeat]);
    }
}
