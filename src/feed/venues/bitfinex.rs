//! Bitfinex: API v2, objects `{"event"}` and arrays `[number, data]`, the number standing for a subscription.
//!
//! `trades` begins with past trades; then each trade comes twice, as `te` when it is executed and as `tu` when it is
//! booked, with the same id: `te` counts. A trade is `[id, milliseconds, amount, price]`, the amount below zero when
//! the taker sold. `ticker` is a row of numbers without a time. A subscription that is silent for 15 s sends `hb`,
//! now and then even before its number is told. Source: Bitfinex's public documentation, and recordings.

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{json, value::RawValue};

use crate::{
    domain::{
        pair::{Asset, Pair},
        quote::TopOfBook,
        trade::Side,
        venue::{MarketKind, Venue},
    },
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        number::{Number, Text, Volume, Words, millis, positive, side},
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

    fn parse<'a>(&self, session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
        if text.trim_start().starts_with('[') {
            data(session, &serde_json::from_str::<Vec<&RawValue>>(text)?)
        } else {
            event(session, serde_json::from_str(text)?)
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

fn event<'a>(session: &mut Session, message: Message<'a>) -> Result<Parsed<'a>, ParseError> {
    let words = message.msg.map_or("without a reason", |Words(words)| words);
    match message.event {
        "subscribed" => {
            let absent = |field| move || ParseError::value(field, "absent");
            let number = message.chan_id.ok_or_else(absent("chanId"))?;
            let name = message.channel.ok_or_else(absent("channel"))?;
            let symbol = message.symbol.or(message.key).ok_or_else(absent("symbol"))?;
            let channel = Channel { name: name.to_owned(), symbol: symbol.to_owned() };
            session.channels.insert(number, channel);
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
fn data<'a>(session: &'a Session, parts: &[&'a RawValue]) -> Result<Parsed<'a>, ParseError> {
    let [number, first, rest @ ..] = parts else {
        return Err(ParseError::unknown_channel("short array"));
    };
    let number: u64 = serde_json::from_str(number.get())?;
    let channel = session.channels.get(&number);
    let kind = match first.get() {
        // The number of a subscription is sometimes told only after its first heartbeat.
        "\"hb\"" => return Ok(heartbeat(channel)),
        kind if kind.starts_with('"') => Some(kind.trim_matches('"')),
        _ => None,
    };
    let Channel { name, symbol } =
        channel.ok_or_else(|| ParseError::unknown_channel(&format!("number {number}")))?;
    match (name.as_str(), kind) {
        // Funding is lent, not traded: its rows are other rows.
        ("trades" | "ticker", _) if symbol.starts_with('f') => Ok(Parsed::ignored(name)),
        ("trades", None) => {
            let trades: Vec<Trade<'a>> = serde_json::from_str(first.get())?;
            let trades = trades.iter().map(|t| trade(symbol, t, true));
            Ok(Parsed::many(name, trades.collect::<Result<_, _>>()?))
        }
        ("trades", Some("te")) => {
            let row = rest.first().ok_or_else(|| ParseError::value("te", "absent"))?;
            let row: Trade<'a> = serde_json::from_str(row.get())?;
            Ok(Parsed::one(name, trade(symbol, &row, false)?))
        }
        ("trades", Some("tu")) => Ok(Parsed::ignored(name)),
        ("ticker", None) => Ok(Parsed::one(name, ticker(symbol, first.get())?)),
        ("book" | "candles" | "status", _) => Ok(Parsed::ignored(name)),
        (name, kind) => Err(ParseError::unknown_channel(kind.unwrap_or(name))),
    }
}

/// A silent ticker still stands, and it holds all that is quoted; a silent channel of another kind says less.
fn heartbeat(channel: Option<&Channel>) -> Parsed<'_> {
    match channel {
        Some(Channel { name, symbol }) if name == "ticker" => Parsed::one("hb", Event::Confirm(Some(symbol))),
        _ => Parsed::ignored("hb"),
    }
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>, snapshot: bool) -> Result<Event<'a>, ParseError> {
    let Trade(Text(id), time, Number(amount), price) = *trade;
    Ok(Event::Trade(TradeReport {
        symbol,
        id: Some(id),
        price: positive("price", price)?,
        amount: positive("amount", Number(amount.abs()))?,
        side: if amount.is_sign_negative() { Side::Sell } else { Side::Buy },
        time: millis(time).ok_or_else(|| ParseError::value("time", time))?,
        snapshot,
    }))
}

/// Reads a ticker: bid, its amount, ask, its amount, change, relative change, last price, volume, high, low.
fn ticker<'a>(symbol: &'a str, row: &str) -> Result<Event<'a>, ParseError> {
    let row: Vec<&RawValue> = serde_json::from_str(row)?;
    Ok(Event::Ticker(Ticker {
        symbol,
        book: Some(TopOfBook { bid: side(column(&row, 0)?), ask: side(column(&row, 2)?) }),
        last: side(column(&row, 6)?),
        base_volume_24h: column(&row, 7)?.map(|Volume(volume)| volume),
        ..Ticker::default()
    }))
}

/// Reads one column of a row, which may be null but not missing.
fn column<T: DeserializeOwned>(row: &[&RawValue], at: usize) -> Result<Option<T>, ParseError> {
    let value = row.get(at).ok_or_else(|| ParseError::value("column", at))?;
    Ok(serde_json::from_str(value.get())?)
}
