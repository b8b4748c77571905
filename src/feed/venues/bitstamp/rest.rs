//! Bitstamp over REST: `/api/v2`, objects and lists bare, a refusal as `{"error"}` or `{"status": "error", "reason"}`.
//!
//! Markets are asked for by the WebSocket's symbols. Numbers and times are text, times in seconds: those of trades are less
//! exact than the WebSocket's, though their numbers (`tid`) are the same. All trades of a day can be had at once,
//! newest first; `type` is the taker's side, 0 bought and 1 sold. A candle is `{"timestamp", "open", "high", "low",
//! "close", "volume"}`, the volume in units of base, oldest first; both ends of a range are inclusive. There are no
//! candles of a week. Source: Bitstamp's public documentation, and a recorded ticker.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::{
    domain::{candle::Interval, quote::TopOfBook},
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Text, Volume, Words, optional, positive, seconds, side},
        rest::{
            self, Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            just_before, trades_in_order,
        },
        venue::ParseError,
    },
};

/// Candles that an answer may have.
const LIMIT: usize = 1_000;

/// Asks Bitstamp.
#[derive(Debug)]
pub(in crate::feed::venues) struct BitstampRest;

impl Rest for BitstampRest {
    fn base(&self) -> &'static str {
        "https://www.bitstamp.net/api/v2"
    }

    /// Half of 10,000 in ten minutes, spread evenly.
    fn budget(&self) -> Budget {
        Budget::new(8, 1)
    }

    fn instruments(&self) -> Query {
        Query::new("/markets/")
    }

    /// Reads `markets`, and the older `trading-pairs-info` too.
    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let listings: Vec<Listing<'_>> = answer(body)?;
        let spot = listings.iter().filter(|listing| listing.market_type.is_none_or(|kind| kind == "SPOT"));
        let read = |listing: &Listing<'_>| {
            let (base, quote) = listing.name.split_once('/')?;
            let state = InstrumentState::of(listing.trading, "Enabled");
            Instrument::spot(listing.symbol, base, quote, state)
        };
        Ok(spot.filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/ticker/{symbol}/"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let day: Day<'_> = answer(body)?;
        Ok(Ticker {
            symbol,
            book: Some(TopOfBook { bid: side(day.bid), ask: side(day.ask) }),
            last: side(day.last),
            base_volume_24h: day.volume.map(|Volume(volume)| volume),
            quote_volume_24h: None,
            time: Some(time("timestamp", day.timestamp)?),
        })
    }

    fn streams_volumes(&self) -> bool {
        false
    }

    /// Asks for those of a day, the longest span there is.
    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/transactions/{symbol}/?time=day"))
    }

    fn reach(&self) -> Reach {
        Reach::Within(TimeDelta::days(1))
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let trades: Vec<Trade<'a>> = answer(body)?;
        trades_in_order(trades.iter().map(|t| trade(symbol, t)))
    }

    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Query> {
        if matches!(interval, Interval::Second | Interval::Week) {
            return None;
        }
        let (step, start, end) = (interval.seconds(), from.timestamp(), just_before(to).timestamp());
        let range = format!("limit={LIMIT}&start={start}&end={end}");
        Some(Query::new(format!("/ohlc/{symbol}/?step={step}&{range}")))
    }

    fn max_candles(&self) -> usize {
        LIMIT
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let Candles { data } = answer(body)?;
        candles_in_order(data.ohlc.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow, alias = "reason", alias = "response_explanation")]
    error: Words<'a>,
}

#[derive(Deserialize)]
struct Listing<'a> {
    name: &'a str,
    #[serde(rename = "market_symbol", alias = "url_symbol")]
    symbol: &'a str,
    trading: &'a str,
    market_type: Option<&'a str>,
}

#[derive(Deserialize)]
struct Day<'a> {
    #[serde(default, deserialize_with = "optional")]
    bid: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    ask: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    last: Option<Number>,
    volume: Option<Volume>,
    #[serde(borrow)]
    timestamp: Text<'a>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    tid: Text<'a>,
    #[serde(borrow)]
    date: Text<'a>,
    price: Number,
    amount: Number,
    #[serde(borrow, rename = "type")]
    side: Text<'a>,
}

#[derive(Deserialize)]
struct Candles<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    ohlc: Vec<Candle<'a>>,
}

#[derive(Deserialize)]
struct Candle<'a> {
    #[serde(borrow)]
    timestamp: Text<'a>,
    open: Number,
    high: Number,
    low: Number,
    close: Number,
    volume: Volume,
}

fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    rest::answer(body, |Refusal { error }| error)
}

fn time(field: &'static str, Text(text): Text<'_>) -> Result<DateTime<Utc>, ParseError> {
    seconds(text).ok_or_else(|| ParseError::value(field, text))
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    let taker = trade.side.0.parse().map_err(|_| ParseError::value("type", trade.side.0))?;
    Ok(TradeReport {
        symbol,
        id: Some(trade.tid.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("amount", trade.amount)?,
        side: super::taker(taker)?,
        time: time("date", trade.date)?,
        snapshot: true,
    })
}

fn candle(candle: &Candle<'_>) -> Result<CandleReport, ParseError> {
    let open_time = time("timestamp", candle.timestamp)?;
    let prices = [candle.open, candle.high, candle.low, candle.close];
    Ok(CandleReport { base_volume: Some(candle.volume.0), ..CandleReport::of(open_time, prices)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::{bitstamp::Bitstamp, expect::rest as expect};

    const LIST: &str = r#"[{"name":"ABC/USD","market_symbol":"abcusd","base_currency":"ABC","counter_currency":"USD","trading":"Enabled","instant_and_market_orders":"Disabled","description":"Abc / U.S. dollar","market_type":"SPOT"},{"name":"XYZ/BTC","market_symbol":"xyzbtc","trading":"Disabled","market_type":"SPOT"},{"name":"ABC/USD-PERP","market_symbol":"abcusd-perp","trading":"Enabled","market_type":"PERPETUAL"},{"name":"币/USD","market_symbol":"币usd","trading":"Enabled","market_type":"SPOT"}]"#;
    const OLD_LIST: &str = r#"[{"trading":"Enabled","base_decimals":8,"url_symbol":"abcusd","name":"ABC/USD","minimum_order":"5.0 USD"}]"#;
    const TICKER: &str = r#"{"high": "2", "last": "1.50", "timestamp": "1700000000", "bid": "1.49", "vwap": "1.5", "volume": "1000.5", "low": "1", "ask": "1.51", "open": 1.2}"#;
    const TRADES: &str = r#"[{"date":"1700000000","tid":"10","amount":"0.25","type":"1","price":"1.50"},{"date":"1700000000","tid":"9","amount":"2","type":"0","price":"1.4"}]"#;
    const CANDLES: &str = r#"{"data":{"pair":"ABC/USD","ohlc":[{"high":"4.0","timestamp":"1699999980","volume":"7","low":"0.5","close":"2.0","open":"1.0"},{"high":"2.5","timestamp":"1700000040","volume":"10.5","low":"1.5","close":"2.2","open":"2.0"}]}}"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &BitstampRest,
            "abcusd",
            &[
                "https://www.bitstamp.net/api/v2/markets/ costs 1",
                "/ticker/abcusd/ costs 1",
                "/transactions/abcusd/?time=day costs 1",
            ],
        );
        let asked = |interval, step| {
            let range = "limit=1000&start=1700000040&end=1700000099 costs 1";
            (interval, format!("/ohlc/abcusd/?step={step}&{range}"))
        };
        expect::asks_candles(
            &BitstampRest,
            "abcusd",
            &[
                asked(Interval::Minute, 60),
                asked(Interval::FiveMinutes, 300),
                asked(Interval::QuarterHour, 900),
                asked(Interval::Hour, 3_600),
                asked(Interval::FourHours, 14_400),
                asked(Interval::Day, 86_400),
            ],
        );
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Bitstamp, LIST, &["abcusd ABC-USD trading", "xyzbtc XYZ-BTC suspended: Disabled"]);
        expect::lists(&Bitstamp, OLD_LIST, &["abcusd ABC-USD trading"]);
        expect::tickers(
            &BitstampRest,
            &[(TICKER, "A 1.49/1.51 last 1.5 base 1000.5 quote - at 1700000000000")],
        );
        expect::trades(
            &BitstampRest,
            &[(TRADES, "9 Buy 2 at 1.4 1700000000|10 Sell 0.25 at 1.5 1700000000"), ("[]", "")],
        );
        expect::candles(
            &BitstampRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote - trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote - trades -",
                ),
                (r#"{"data":{"pair":"ABC/USD","ohlc":[]}}"#, ""),
            ],
        );
        assert_eq!(BitstampRest.read_instruments("[]"), Ok(vec![]));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        expect::refuses(&BitstampRest, r#"{"error":"no such pair"}"#, "refused: no such pair");
        let refusal = r#"{"status":"error","reason":"too often","code":"400.002"}"#;
        expect::refuses(&BitstampRest, refusal, "refused: too often");
        let fields = r#"{"status":"error","reason":{"step":["Select a valid choice."]}}"#;
        expect::refuses(&BitstampRest, fields, r#"refused: {"step":["Select a valid choice."]}"#);
        for (text, kind) in [
            (TRADES.replace("1.50", "0"), "value"),
            (TRADES.replace("1.50", "1,5"), "json"),
            (TRADES.replace(r#""type":"1""#, r#""type":"2""#), "value"),
            (TRADES.replace(r#""type":"1""#, r#""type":"sell""#), "value"),
            (TRADES.replace("\"date\":\"1700000000\"", "\"date\":\"soon\""), "value"),
        ] {
            assert_eq!(BitstampRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        for (text, kind) in [
            (CANDLES.replace("\"2.2\"", "\"-2\""), "value"),
            (CANDLES.replace("\"volume\":\"7\",", ""), "json"),
            (CANDLES.replace("1700000040", "soon"), "value"),
        ] {
            assert_eq!(BitstampRest.read_candles(&text).unwrap_err().kind(), kind, "{text}");
        }
        expect::survives_answers(&BitstampRest, [LIST, TICKER, TRADES, CANDLES]);
    }
}
