//! Gemini over REST: objects and lists bare, a refusal as `{"result": "error", "reason", "message"}`.
//!
//! Markets are spelled in small letters and listed by name alone; the details of each tell its `status`: open, closed,
//! `cancel_only`, `post_only` or `limit_only`. A ticker's volume names the assets that it is counted in, and has the only
//! time there is: that of the volume, which is older than bid and ask. Trades come from a moment on, 500 at most, with the
//! numbers that the WebSocket calls `tid`; `type` is the taker's side, and those of an auction or a block, which have none,
//! are left out. A candle is `[milliseconds, open, high, low, close, base]`, newest first, and there is no range: of each
//! interval the venue gives what it has, from a day of minutes to two months of hours. Days begin at four o'clock, and so
//! are not asked for. Source: Gemini's public documentation, and a recorded ticker.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Gemini;
use crate::{
    domain::{candle::Interval, quote::TopOfBook, venue::MarketKind},
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Row, Text, Volume, Words, millis, optional, positive, side},
        rest::{
            self, Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            trades_in_order,
        },
        venue::{ParseError, Protocol},
    },
};

/// Kinds of trades in which nobody takes.
const WITHOUT_TAKER: &[&str] = &["auction", "block"];

/// Asks Gemini.
#[derive(Debug)]
pub(in crate::feed::venues) struct GeminiRest;

impl Rest for GeminiRest {
    fn base(&self) -> &'static str {
        "https://api.gemini.com"
    }

    /// Half of 120 a minute, and spread evenly as the venue asks.
    fn budget(&self) -> Budget {
        Budget::new(1, 1)
    }

    fn instruments(&self) -> Query {
        Query::new("/v1/symbols")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let names: Vec<&str> = answer(body)?;
        let read = |name: &&str| {
            let symbol = name.to_ascii_uppercase();
            let market = Gemini.market(&symbol).ok().filter(|market| market.kind == MarketKind::Spot)?;
            let details = Query::new(format!("/v1/symbols/details/{name}"));
            Some(Instrument { symbol, market, state: InstrumentState::Untold(details) })
        };
        Ok(names.iter().filter_map(read).collect())
    }

    fn read_state(&self, body: &str) -> Result<InstrumentState, ParseError> {
        let Details { status } = answer(body)?;
        Ok(InstrumentState::of(status, "open"))
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/v1/pubticker/{}", symbol.to_ascii_lowercase()))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let day: Day<'a> = answer(body)?;
        let volumes = day.volume.unwrap_or_default();
        let volume = |asset: &str| match volumes.get(asset) {
            Some(volume) => serde_json::from_str(volume.get()).map(|Volume(volume)| Some(volume)),
            None => Ok(None),
        };
        let assets = volumes.keys().find_map(|base| Some((*base, symbol.strip_prefix(base)?)));
        let (base, quote) = assets.filter(|(_, quote)| volumes.contains_key(quote)).unwrap_or_default();
        let time = volumes.get("timestamp").map(|time| serde_json::from_str(time.get())).transpose()?;
        Ok(Ticker {
            symbol,
            book: Some(TopOfBook { bid: side(day.bid), ask: side(day.ask) }),
            last: side(day.last),
            base_volume_24h: volume(base)?,
            quote_volume_24h: volume(quote)?,
            time: time.and_then(millis),
        })
    }

    fn streams_volumes(&self) -> bool {
        false
    }

    fn trades(&self, symbol: &str, since: DateTime<Utc>) -> Query {
        let (name, since) = (symbol.to_ascii_lowercase(), since.timestamp_millis());
        Query::new(format!("/v1/trades/{name}?timestamp={since}&limit_trades=500"))
    }

    /// Leaves room for some of auctions and blocks.
    fn reach(&self) -> Reach {
        Reach::Oldest(450)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let trades: Vec<Trade<'a>> = answer(body)?;
        let taken = trades.iter().filter(|trade| !WITHOUT_TAKER.contains(&trade.kind));
        trades_in_order(taken.map(|t| trade(symbol, t)))
    }

    /// Asks for all there are, whatever the range is.
    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        _from: DateTime<Utc>,
        _to: DateTime<Utc>,
    ) -> Option<Query> {
        let width = match interval {
            Interval::Minute | Interval::FiveMinutes | Interval::QuarterHour => interval.as_str(),
            Interval::Hour => "1hr",
            Interval::Second | Interval::FourHours | Interval::Day | Interval::Week => return None,
        };
        Some(Query::new(format!("/v2/candles/{}/{width}", symbol.to_ascii_lowercase())))
    }

    /// Tells how many there are of five minutes, in a week; of other intervals there are fewer.
    fn max_candles(&self) -> usize {
        2_016
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let rows: Vec<Row<'_>> = answer(body)?;
        candles_in_order(rows.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    result: Mark,
    #[serde(borrow)]
    reason: Words<'a>,
    #[serde(borrow)]
    message: Option<Words<'a>>,
}

/// How a refusal is marked.
#[derive(Deserialize)]
enum Mark {
    #[serde(rename = "error")]
    Error,
}

#[derive(Deserialize)]
struct Details<'a> {
    status: &'a str,
}

#[derive(Deserialize)]
struct Day<'a> {
    #[serde(deserialize_with = "optional")]
    bid: Option<Number>,
    #[serde(deserialize_with = "optional")]
    ask: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    last: Option<Number>,
    /// By asset, and when in milliseconds.
    #[serde(borrow)]
    volume: Option<HashMap<&'a str, &'a RawValue>>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    tid: Text<'a>,
    timestampms: i64,
    price: Number,
    amount: Number,
    #[serde(rename = "type")]
    kind: &'a str,
}

fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    rest::answer(body, |Refusal { result: Mark::Error, reason, message }| message.unwrap_or(reason))
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.tid.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("amount", trade.amount)?,
        side: super::read_side(trade.kind)?,
        time: millis(trade.timestampms).ok_or_else(|| ParseError::value("timestampms", trade.timestampms))?,
        snapshot: true,
    })
}

fn candle(row: &Row<'_>) -> Result<CandleReport, ParseError> {
    let time: i64 = row.column(0)?;
    let [open, high, low, close] = [row.column(1)?, row.column(2)?, row.column(3)?, row.column(4)?];
    let Volume(base) = row.column(5)?;
    let open_time = millis(time).ok_or_else(|| ParseError::value("time", time))?;
    Ok(CandleReport { base_volume: Some(base), ..CandleReport::of(open_time, [open, high, low, close])? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::decimal,
        feed::{
            event::Event,
            venues::expect::{line, rest as expect},
        },
    };

    const LIST: &str = r#"["abcusd","dotusd","paxgusd","btcgusdperp","币usd","xyz"]"#;
    const DETAILS: &str = r#"{"symbol":"ABCUSD","base_currency":"ABC","quote_currency":"USD","tick_size":1e-8,"quote_increment":0.01,"min_order_size":"0.00001","status":"open","wrap_enabled":false,"product_type":"spot"}"#;
    const TICKER: &str = r#"{"bid":"1.49","ask":"1.51","volume":{"ABC":"1000.5","USD":"1500.75","timestamp":1700000000000},"last":"1.50"}"#;
    const TRADES: &str = r#"[{"timestamp":1700000000,"timestampms":1700000000099,"tid":10,"price":"1.50","amount":"0.25","exchange":"gemini","type":"sell"},{"timestamp":1700000000,"timestampms":1700000000099,"tid":9,"price":"1.4","amount":"2","exchange":"gemini","type":"buy"},{"timestamp":1700000000,"timestampms":1700000000098,"tid":8,"price":"1.4","amount":"2","exchange":"gemini","type":"auction"}]"#;
    const CANDLES: &str = "[[1700000040000,2.0,2.5,1.5,2.2,10.5],[1699999980000,1.0,4.0,0.5,2.0,7]]";

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &GeminiRest,
            "ABCUSD",
            &[
                "https://api.gemini.com/v1/symbols costs 1",
                "/v1/pubticker/abcusd costs 1",
                "/v1/trades/abcusd?timestamp=1700000000123&limit_trades=500 costs 1",
            ],
        );
        let asked = |interval, width| (interval, format!("/v2/candles/abcusd/{width} costs 1"));
        expect::asks_candles(
            &GeminiRest,
            "ABCUSD",
            &[
                asked(Interval::Minute, "1m"),
                asked(Interval::FiveMinutes, "5m"),
                asked(Interval::QuarterHour, "15m"),
                asked(Interval::Hour, "1hr"),
            ],
        );
    }

    #[test]
    fn answers_are_read() {
        expect::lists(
            &Gemini,
            LIST,
            &[
                "ABCUSD ABC-USD untold: /v1/symbols/details/abcusd",
                "DOTUSD DOT-USD untold: /v1/symbols/details/dotusd",
                "PAXGUSD PAXG-USD untold: /v1/symbols/details/paxgusd",
            ],
        );
        expect::trades(
            &GeminiRest,
            &[(TRADES, "9 Buy 2 at 1.4 1700000000.099|10 Sell 0.25 at 1.5 1700000000.099"), ("[]", "")],
        );
        expect::candles(
            &GeminiRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote - trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote - trades -",
                ),
                ("[]", ""),
            ],
        );
        assert_eq!(GeminiRest.read_instruments("[]"), Ok(vec![]));
    }

    #[test]
    fn only_what_is_open_is_traded() {
        for status in ["open", "closed", "cancel_only", "post_only", "limit_only", "as yet unknown"] {
            let expected = match status {
                "open" => InstrumentState::Trading,
                other => InstrumentState::Suspended(other.to_owned()),
            };
            assert_eq!(GeminiRest.read_state(&DETAILS.replace("open", status)), Ok(expected), "{status}");
        }
        for wrong in ["", "[]", "{}", r#"{"status":1}"#, r#"{"result":"error","reason":"Bad Request"}"#] {
            assert!(GeminiRest.read_state(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_volume_is_told_apart_by_the_names_of_its_assets() {
        for (symbol, body, expected) in [
            ("ABCUSD", TICKER, "1.49/1.51 last 1.5 base 1000.5 quote 1500.75 at 1700000000000"),
            ("USDABC", TICKER, "1.49/1.51 last 1.5 base 1500.75 quote 1000.5 at 1700000000000"),
            ("XYZUSD", TICKER, "1.49/1.51 last 1.5 base - quote - at 1700000000000"),
            ("ABCUSD", r#"{"bid":null,"ask":"1.51"}"#, "-/1.51 last - base - quote - at 0"),
        ] {
            let ticker = GeminiRest.read_ticker(symbol, body).unwrap();
            assert_eq!(line(&Event::Ticker(ticker)), format!("{symbol} {expected}"));
        }
        let long = TICKER.replace("1500.75", "21292243.8030044617981234567890123");
        let ticker = GeminiRest.read_ticker("ABCUSD", &long).unwrap();
        assert_eq!(
            ticker.quote_volume_24h.map(decimal::text).as_deref(),
            Some("21292243.80300446179812345678")
        );
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal =
            r#"{"result":"error","reason":"Bad Request","message":"Supplied value 'x' is not a symbol"}"#;
        expect::refuses(&GeminiRest, refusal, "refused: Supplied value 'x' is not a symbol");
        expect::refuses(&GeminiRest, r#"{"result":"error","reason":"RateLimit"}"#, "refused: RateLimit");
        for (text, kind) in [
            (TRADES.replace("1.50", "0"), "value"),
            (TRADES.replace("1.50", "1,5"), "json"),
            (TRADES.replace("sell", "hold"), "value"),
            (TRADES.replace("1700000000099", "9223372036854775807"), "value"),
        ] {
            assert_eq!(GeminiRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        for (text, kind) in [
            (CANDLES.replace("2.2", "-2"), "value"),
            (CANDLES.replace(",10.5", ""), "value"),
            (CANDLES.replace("1700000040000", "9223372036854775807"), "value"),
        ] {
            assert_eq!(GeminiRest.read_candles(&text).unwrap_err().kind(), kind, "{text}");
        }
        expect::survives_answers(&GeminiRest, [LIST, TICKER, TRADES, CANDLES]);
    }
}
