//! Bitfinex: API v2, objects `{"event"}` and arrays `[number, data]`, the number standing for a subscription.
//!
//! `trades` begins with past trades; then each trade comes twice, as `te` when it is executed and as `tu` when it is
//! booked, with the same id: `te` counts. A trade is `[id, milliseconds, amount, price]`, the amount below zero when
//! the taker sold. `ticker` is a row of numbers without a time. A subscription that is silent for 15 s sends `hb`,
//! now and then even before its number is told. A silence during maintenance says nothing of a market; after it, all has to
//! be subscribed anew. Source: Bitfinex's public documentation, and recordings.

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
        rest::{Budget, Rest},
        venue::{Channel, ConnectionLimits, Endpoint, Market, ParseError, Protocol, Session},
    },
};

/// The code of `info` that announces a restart.
const RESTARTS: u32 = 20_051;

/// … the one that announces maintenance…
const MAINTAINS: u32 = 20_060;

/// … and the one that ends it.
const MAINTAINED: u32 = 20_061;

/// A connection may have 25 channels, and a market has two. An address may make 20 connections a minute.
const LIMITS: ConnectionLimits =
    ConnectionLimits { markets: 12, connections: Some(Budget::new(20, 60)), ..ConnectionLimits::DEFAULT };

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

    fn limits(&self) -> ConnectionLimits {
        LIMITS
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
    platform: Option<Platform>,
}

/// Whether the venue works (1) or is being maintained (0).
#[derive(Deserialize)]
struct Platform {
    status: u8,
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
        "info" => Ok(info(session, message, words)),
        "error" => Ok(Parsed::one("error", Event::Refused(words))),
        "conf" | "pong" => Ok(Parsed::ignored(message.event)),
        unknown => Err(ParseError::unknown_channel(unknown)),
    }
}

/// Reads what the venue says of itself: when it is met, and when that changes.
fn info<'a>(session: &mut Session, message: &Message<'a>, words: &'a str) -> Parsed<'a> {
    let maintained = match (message.code, &message.platform) {
        (Some(RESTARTS | MAINTAINED), _) => return Parsed::one("info", Event::GoingAway(words)),
        (Some(MAINTAINS), _) => true,
        (None, Some(platform)) => platform.status == 0,
        _ => return Parsed::ignored("info"),
    };
    if std::mem::replace(&mut session.maintained, maintained) || !maintained {
        return Parsed::ignored("info");
    }
    // What was said before is not confirmed before it is said again.
    Parsed::one("info", Event::Gap(None))
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
        return Ok(heartbeat(channel.filter(|_| !session.maintained)));
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
mod tests;
