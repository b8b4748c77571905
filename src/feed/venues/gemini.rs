//! Gemini: market data v2, messages told apart by `type`.
//!
//! `l2_updates` carries `changes` of a book as side, price and the amount that is now there. A message with the whole
//! book has the last trades beside it, in `trades`, and is known by them: the first of a symbol, and the first after the
//! symbol was subscribed anew. `trade` carries a trade as it happens (`side` is the taker's), `heartbeat` proves the
//! connection and says nothing about a market. There is no ticker: best bid and ask come from the book, and no message
//! has the volume of 24 hours. Updates are not numbered; if one cannot be read the book is unknown, the next one tells that
//! something was missed, and its symbol is subscribed anew. Perpetual contracts are spelled `BTCGUSDPERP`. Source: Gemini's public WebSocket documentation.

mod rest;

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use crate::{
    domain::{
        pair::{Asset, Pair, PairError},
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        book::Change,
        event::{Event, Events, Parsed, Ticker, TradeReport},
        json::{self, Few, Levels, Tagged},
        number::{Number, Text, Words, millis, positive},
        rest::Rest,
        venue::{Endpoint, Market, ParseError, Protocol, Session},
    },
};

/// Kinds of messages that are known and say nothing we use, by what they begin with.
const IGNORED: &[&str] = &["heartbeat", "auction_", "block_trade", "candles_", "subscription_ack"];

/// Assets that the venue prices others in; a name that ends another one's stands after it.
const QUOTES: &[&str] = &[
    "RLUSD", "GUSD", "USDT", "USDC", "USD", "EUR", "GBP", "SGD", "DAI", "BTC", "ETH", "SOL", "LTC", "BCH",
    "FIL",
];

/// Speaks with Gemini.
#[derive(Debug)]
pub struct Gemini;

impl Protocol for Gemini {
    fn venue(&self) -> Venue {
        Venue::new("gemini")
    }

    fn evidence(&self) -> &'static str {
        "documentation only"
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Socket("wss://api.gemini.com/v2/marketdata")
    }

    fn symbol(&self, pair: Pair) -> String {
        format!("{}{}", self.native(pair.base), self.native(pair.quote))
    }

    /// Reads `BTCUSD`, and the perpetual `BTCGUSDPERP`.
    fn market(&self, symbol: &str) -> Result<Market, ParseError> {
        let (pair, kind) = match symbol.strip_suffix("GUSDPERP") {
            Some(base) => {
                let pair = Asset::raw(base).map(|base| Pair::new(base, Asset::literal("GUSD")));
                (pair, MarketKind::Perpetual)
            }
            None => (spot(symbol), MarketKind::Spot),
        };
        Ok(Market { pair: pair.map_err(|_| ParseError::unknown_symbol(symbol))?, kind })
    }

    /// One message for each market, so that one that is refused costs no other.
    fn subscribe(&self, symbols: &[String], _now: DateTime<Utc>) -> Vec<String> {
        symbols.iter().map(|symbol| subscription(symbol)).collect()
    }

    fn rest(&self) -> Option<&'static dyn Rest> {
        Some(&rest::GeminiRest)
    }

    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        let message = Tagged::open(text, &["type"])?;
        let Some(kind) = message.tag else {
            return answer(text);
        };
        match kind {
            "l2_updates" => match message.read() {
                Ok(update) => follow(session, update),
                Err(error) => Err(lose(session, text, error.into())),
            },
            "trade" => {
                let report = trade(&message.read()?, false)?;
                Ok(Parsed::one(kind, Event::Trade(report)))
            }
            "error" => answer(text),
            _ if IGNORED.iter().any(|name| kind.starts_with(name)) => {
                let _: IgnoredAny = message.read()?;
                Ok(Parsed::ignored(kind))
            }
            _ => Err(ParseError::unknown_channel(kind)),
        }
    }
}

#[derive(Deserialize)]
struct Update<'a> {
    symbol: Option<&'a str>,
    #[serde(borrow)]
    changes: Option<Levels<Level<'a>>>,
    #[serde(borrow)]
    trades: Option<Few<Trade<'a>>>,
}

/// What is said about no market.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(alias = "type")]
    result: Option<&'a str>,
    #[serde(borrow)]
    reason: Option<Words<'a>>,
    #[serde(borrow, rename = "message")]
    words: Option<Words<'a>>,
}

/// Side, price, and the amount that is now there.
#[derive(Deserialize)]
struct Level<'a>(#[serde(borrow)] &'a str, Number, Number);

#[derive(Deserialize)]
struct Trade<'a> {
    symbol: &'a str,
    /// The number of the event is spelled one way in a past trade and another in a present one; `tid` is the same.
    #[serde(borrow)]
    tid: Option<Text<'a>>,
    #[serde(borrow, alias = "eventid")]
    event_id: Option<Text<'a>>,
    price: Number,
    quantity: Number,
    side: &'a str,
    timestamp: i64,
}

/// Splits the name of a spot market at a quote of the venue. `PAXGUSD` is gold in dollars, as there is no `PAX`.
fn spot(symbol: &str) -> Result<Pair, PairError> {
    let split = |quote: &&str| {
        let base = symbol.strip_suffix(*quote).filter(|base| !matches!(*base, "" | "PAX"))?;
        Some(Asset::raw(base).map(|base| Pair::new(base, Asset::literal(quote))))
    };
    QUOTES.iter().find_map(split).unwrap_or_else(|| Pair::split_joined(symbol))
}

/// Keeps the book, tells its best bid and ask, and asks for all of it if something was missed.
fn follow<'a>(session: &mut Session, update: Update<'a>) -> Result<Parsed<'a>, ParseError> {
    let symbol = update.symbol.ok_or_else(|| ParseError::value("symbol", "absent"))?;
    let book = session.book(symbol)?;
    let changes = changes(&update).inspect_err(|_| book.lose())?;
    let past = update.trades;
    if past.is_some() {
        book.begin(&changes);
    } else {
        book.follow(&changes);
    }
    let top = Ticker { symbol, book: Some(book.top()), ..Ticker::default() };
    let wants_all = book.wants_all();
    let reply = wants_all.then(|| subscription(symbol));
    let gap = (wants_all && book.has_begun()).then_some(Event::Gap(Some(symbol)));
    let mut events: Events<'_> = gap.into_iter().chain([Event::Ticker(top)]).collect();
    for report in past.iter().flatten() {
        events.push(Event::Trade(trade(report, true)?));
    }
    Ok(Parsed { reply, ..Parsed::many("l2_updates", events) })
}

/// Gives up the book of an update that is not understood.
#[cold]
fn lose(session: &mut Session, text: &str, error: ParseError) -> ParseError {
    if let Ok(Tagged { tag: Some(symbol), .. }) = Tagged::open(text, &["symbol"])
        && let Ok(book) = session.book(symbol)
    {
        book.lose();
    }
    error
}

fn answer(text: &str) -> Result<Parsed<'_>, ParseError> {
    let answer: Answer<'_> = json::from_str(text)?;
    if answer.result != Some("error") {
        return Err(ParseError::unknown_channel("without type"));
    }
    let words = answer.words.or(answer.reason).map_or("without a reason", |Words(words)| words);
    Ok(Parsed::one("error", Event::Refused(words)))
}

fn changes(update: &Update<'_>) -> Result<Levels<Change>, ParseError> {
    let levels = update.changes.as_ref().ok_or_else(|| ParseError::value("changes", "absent"))?;
    levels.iter().map(|Level(side, price, amount)| Change::read(read_side(side)?, *price, *amount)).collect()
}

fn trade<'a>(trade: &Trade<'a>, snapshot: bool) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol: trade.symbol,
        id: trade.tid.or(trade.event_id).map(|Text(id)| id),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("quantity", trade.quantity)?,
        side: read_side(trade.side)?,
        time: millis(trade.timestamp).ok_or_else(|| ParseError::value("timestamp", trade.timestamp))?,
        snapshot,
    })
}

fn read_side(side: &str) -> Result<Side, ParseError> {
    match side {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        other => Err(ParseError::value("side", other)),
    }
}

fn subscription(symbol: &str) -> String {
    json!({ "type": "subscribe", "subscriptions": [{ "name": "l2", "symbols": [symbol] }] }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect;

    const FIRST: &str = r#"{"type":"l2_updates","symbol":"ABCUSD","changes":[["buy","1.49","3"],["buy","1.48","5"],["sell","1.51","2"]],"trades":[{"type":"trade","symbol":"ABCUSD","eventid":70,"timestamp":1700000000050,"price":"1.5","quantity":"0.5","side":"sell","tid":71}],"auction_events":[]}"#;
    const UPDATE: &str =
        r#"{"type":"l2_updates","symbol":"ABCUSD","changes":[["buy","1.49","0"],["sell","1.505","0.10"]]}"#;
    const TRADE: &str = r#"{"type":"trade","symbol":"ABCUSD","event_id":80,"timestamp":1700000000099,"price":"1.50","quantity":"0.25","side":"buy","tid":81}"#;
    const HEARTBEAT: &str = r#"{"type":"heartbeat","timestamp":1700000000100}"#;

    fn events(text: &str) -> Vec<Event<'_>> {
        Gemini.parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
    }

    /// Reads messages of one connection; tells best bid and ask after each, or the error, and what is answered.
    fn tops(texts: &[&str]) -> Vec<String> {
        let mut session = Session::default();
        let mut tops = Vec::new();
        for text in texts {
            tops.push(match Gemini.parse(&mut session, text) {
                Ok(parsed) => {
                    let gap = parsed.events[0] == Event::Gap(Some("ABCUSD"));
                    let top = expect::line(&parsed.events[usize::from(gap)]);
                    let gap = if gap { " gap" } else { "" };
                    let asked = if parsed.reply.is_some() { " asked" } else { "" };
                    format!("{}{gap}{asked}", top.split(' ').nth(1).unwrap())
                }
                Err(error) => error.kind().to_owned(),
            });
        }
        tops
    }

    #[test]
    fn a_trade_names_the_takers_side() {
        for (text, side) in [(TRADE, Side::Buy), (&TRADE.replace("buy", "sell"), Side::Sell)] {
            let events = events(text);
            let [Event::Trade(trade)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!(
                (trade.symbol, trade.id, trade.side, trade.snapshot),
                ("ABCUSD", Some("81"), side, false)
            );
            assert_eq!(trade.price.normalize().to_string(), "1.5");
            assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_099);
        }
    }

    #[test]
    fn the_trades_beside_a_whole_book_are_past() {
        let events = events(FIRST);
        let [top, Event::Trade(trade)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(expect::line(top), "ABCUSD 1.49/1.51 last - base - quote - at 0");
        assert_eq!((trade.id, trade.side, trade.snapshot), (Some("71"), Side::Sell, true));
    }

    #[test]
    fn the_book_follows_its_changes_and_begins_anew_with_its_trades() {
        let without_trades = FIRST.replace(r#""trades""#, r#""other""#);
        let anew = FIRST.replace("1.49", "1.3").replace("1.48", "1.2");
        assert_eq!(tops(&[FIRST, UPDATE, &anew]), ["1.49/1.51", "1.48/1.505", "1.3/1.51"]);
        assert_eq!(tops(&[FIRST, &without_trades, UPDATE]), ["1.49/1.51", "1.49/1.51", "1.48/1.505"]);
        let traded_never = FIRST.replace(r#""trades":[{"#, r#""trades":[],"other":[{"#);
        assert_eq!(tops(&[&traded_never, UPDATE]), ["1.49/1.51", "1.48/1.505"]);
    }

    #[test]
    fn changes_without_a_whole_book_before_them_are_not_believed() {
        let without_trades = FIRST.replace(r#""trades""#, r#""other""#);
        assert_eq!(tops(&[&without_trades, UPDATE, FIRST]), ["-/- asked", "-/-", "1.49/1.51"]);
    }

    #[test]
    fn books_of_two_markets_are_apart() {
        let other = FIRST.replace("ABC", "XYZ").replace("1.49", "1.2").replace("1.48", "1.1");
        assert_eq!(tops(&[FIRST, &other, UPDATE]), ["1.49/1.51", "1.2/1.51", "1.48/1.505"]);
    }

    #[test]
    fn what_cannot_be_read_makes_the_book_unknown_until_it_comes_anew() {
        for (bad, kind) in [
            (UPDATE.replace("0.10", "-1"), "value"),
            (UPDATE.replace("sell", "hold"), "value"),
            (UPDATE.replace("\"1.505\"", "null"), "json"),
            (UPDATE.replace("changes", "other"), "value"),
        ] {
            assert_eq!(
                tops(&[FIRST, &bad, UPDATE, UPDATE, FIRST]),
                ["1.49/1.51", kind, "-/- gap asked", "-/-", "1.49/1.51"],
                "{bad}"
            );
        }
    }

    #[test]
    fn heartbeats_say_nothing_and_the_venue_may_refuse() {
        for (text, expected) in [
            (HEARTBEAT, vec![]),
            (r#"{"type":"auction_indicative","symbol":"ABCUSD"}"#, vec![]),
            (r#"{"type":"candles_1m_updates","symbol":"ABCUSD","changes":[]}"#, vec![]),
            (r#"{"result":"error","reason":"InvalidSymbol"}"#, vec![Event::Refused("InvalidSymbol")]),
            (
                r#"{"result":"error","reason":"InvalidSymbol","message":"no \"X\""}"#,
                vec![Event::Refused(r#"no \"X\""#)],
            ),
            (r#"{"type":"error"}"#, vec![Event::Refused("without a reason")]),
        ] {
            assert_eq!(events(text), expected, "{text}");
        }
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        for (text, kind) in [
            ("{}", "unknown_channel"),
            ("[]", "json"),
            (r#"{"type":"nonsense"}"#, "unknown_channel"),
            (r#"{"result":"ok"}"#, "unknown_channel"),
            (r#"{"type":"l2_updates","changes":[]}"#, "value"),
            (&TRADE.replace("1.50", "0"), "value"),
            (&TRADE.replace("1.50", "-1"), "value"),
            (&TRADE.replace("1.50", "1,5"), "json"),
            (&TRADE.replace("\"1.50\"", "null"), "json"),
            (&TRADE.replace("buy", "BUY"), "value"),
            (&TRADE.replace("1700000000099", "9223372036854775807"), "value"),
            (&FIRST.replace("0.5", "0"), "value"),
        ] {
            let mut session = Session::default();
            assert_eq!(Gemini.parse(&mut session, text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn symbols_read_and_spell() {
        expect::spells(
            &Gemini,
            &[
                ("BTCUSD", "BTC-USD Spot"),
                ("ETHBTC", "ETH-BTC Spot"),
                ("USDCUSD", "USDC-USD Spot"),
                ("DOTUSD", "DOT-USD Spot"),
                ("SHIBUSD", "SHIB-USD Spot"),
                ("PAXGUSD", "PAXG-USD Spot"),
                ("BTCGUSD", "BTC-GUSD Spot"),
                ("GUSDSGD", "GUSD-SGD Spot"),
                ("RLUSDUSD", "RLUSD-USD Spot"),
                ("XRPRLUSD", "XRP-RLUSD Spot"),
                ("BTCGUSDPERP", "BTC-GUSD Perpetual"),
            ],
            &["", "BTC", "USD", "GUSDPERP", "BTC-USD", "BTCPERP"],
        );
    }

    #[test]
    fn each_market_is_subscribed_by_a_message_of_its_own() {
        let messages = Gemini.subscribe(&["ABCUSD".to_owned(), "XYZUSD".to_owned()], DateTime::default());
        assert_eq!(messages.len(), 2);
        assert_eq!(
            messages[0],
            r#"{"subscriptions":[{"name":"l2","symbols":["ABCUSD"]}],"type":"subscribe"}"#
        );
    }

    #[test]
    fn hostile_frames_are_errors() {
        expect::survives(&Gemini, &[FIRST, TRADE, HEARTBEAT]);
        expect::survives_after(&Gemini, &[FIRST], &[UPDATE]);
    }
}
