//! HTX over REST: `{"status": "ok", "data"}` or `"tick"`, a refusal as `{"status": "error", "err-msg"}`.
//!
//! `detail/merged` is the WebSocket's `detail` with best bid and ask, each as price and amount. The last 2,000 trades can
//! be had at once, in groups of those of one order; within a group the newest is first too. Candles cannot be asked for
//! by a range, only the newest of them, 2,000 at most: `{"id", "open", "close", "low", "high", "amount", "vol",
//! "count"}`, `id` when it opens in seconds, `amount` in units of base and `vol` of quote. Days and weeks begin at
//! midnight in Singapore, and so are not asked for. Source: HTX's public API documentation, and recordings.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Deal, Trades};
use crate::{
    domain::{candle::Interval, quote::TopOfBook},
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Row, Volume, Words, millis, side},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            trades_in_order,
        },
        venue::ParseError,
    },
};

/// Rows that an answer may have.
const LIMIT: usize = 2_000;

/// Asks HTX.
#[derive(Debug)]
pub(in crate::feed::venues) struct HtxRest;

impl Rest for HtxRest {
    fn base(&self) -> &'static str {
        "https://api.huobi.pro"
    }

    /// Half of 100 a second.
    fn budget(&self) -> Budget {
        Budget::new(50, 1)
    }

    fn instruments(&self) -> Query {
        Query::new("/v1/common/symbols")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let listings: Vec<Listing<'_>> = serde_json::from_str(answer(body)?.content("data")?)?;
        let read = |listing: &Listing<'_>| {
            let state = InstrumentState::of(listing.state, "online");
            Instrument::spot(listing.symbol, listing.base, listing.quote, state)
        };
        Ok(listings.iter().filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/market/detail/merged?symbol={symbol}"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let answer = answer(body)?;
        let tick = answer.content("tick")?;
        let Merged { bid, ask } = serde_json::from_str(tick)?;
        let price = |row: Option<Row<'_>>| row.map(|row| row.column(0)).transpose();
        let book = TopOfBook { bid: side(price(bid)?), ask: side(price(ask)?) };
        let day = serde_json::from_str(tick)?;
        Ok(Ticker { book: Some(book), ..super::day(symbol, &day, answer.ts.and_then(millis)) })
    }

    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/market/history/trade?symbol={symbol}&size={LIMIT}"))
    }

    fn reach(&self) -> Reach {
        Reach::Newest(LIMIT)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let groups: Vec<Trades<'a>> = serde_json::from_str(answer(body)?.content("data")?)?;
        let trades = groups.iter().flat_map(|group| &group.data);
        trades_in_order(trades.map(|trade: &Deal<'a>| super::trade(symbol, trade, true)))
    }

    /// Asks for the newest candles, whatever the range is.
    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        _from: DateTime<Utc>,
        _to: DateTime<Utc>,
    ) -> Option<Query> {
        let name = match interval {
            Interval::Minute => "1min",
            Interval::FiveMinutes => "5min",
            Interval::QuarterHour => "15min",
            Interval::Hour => "60min",
            Interval::FourHours => "4hour",
            Interval::Second | Interval::Day | Interval::Week => return None,
        };
        Some(Query::new(format!("/market/history/kline?symbol={symbol}&period={name}&size={LIMIT}")))
    }

    fn max_candles(&self) -> usize {
        LIMIT
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let candles: Vec<Candle> = serde_json::from_str(answer(body)?.content("data")?)?;
        candles_in_order(candles.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    status: &'a str,
    ts: Option<i64>,
    #[serde(borrow, alias = "tick")]
    data: Option<&'a RawValue>,
    #[serde(borrow, rename = "err-msg")]
    err_msg: Option<Words<'a>>,
}

#[derive(Deserialize)]
struct Listing<'a> {
    symbol: &'a str,
    #[serde(rename = "base-currency")]
    base: &'a str,
    #[serde(rename = "quote-currency")]
    quote: &'a str,
    state: &'a str,
}

/// Best bid and ask, each as price and amount.
#[derive(Deserialize)]
struct Merged<'a> {
    #[serde(borrow)]
    bid: Option<Row<'a>>,
    #[serde(borrow)]
    ask: Option<Row<'a>>,
}

#[derive(Deserialize)]
struct Candle {
    id: i64,
    open: Number,
    close: Number,
    low: Number,
    high: Number,
    amount: Volume,
    vol: Volume,
    count: u64,
}

impl<'a> Answer<'a> {
    /// Gets what was asked for.
    fn content(&self, field: &'static str) -> Result<&'a str, ParseError> {
        self.data.map(RawValue::get).ok_or_else(|| ParseError::value(field, "absent"))
    }
}

fn answer(body: &str) -> Result<Answer<'_>, ParseError> {
    let answer: Answer<'_> = serde_json::from_str(body)?;
    if answer.status == "ok" {
        Ok(answer)
    } else {
        Err(ParseError::refused(answer.err_msg.map_or(answer.status, |Words(words)| words)))
    }
}

fn candle(candle: &Candle) -> Result<CandleReport, ParseError> {
    let open_time =
        DateTime::from_timestamp(candle.id, 0).ok_or_else(|| ParseError::value("id", candle.id))?;
    let prices = [candle.open, candle.high, candle.low, candle.close];
    Ok(CandleReport {
        base_volume: Some(candle.amount.0),
        quote_volume: Some(candle.vol.0),
        trade_count: Some(candle.count),
        ..CandleReport::of(open_time, prices)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::{expect::rest as expect, htx::Htx};

    const LIST: &str = r#"{"status":"ok","data":[{"base-currency":"abc","quote-currency":"usdt","symbol":"abcusdt","state":"online","api-trading":"enabled"},{"base-currency":"xyz","quote-currency":"btc","symbol":"xyzbtc","state":"offline"},{"base-currency":"币","quote-currency":"usdt","symbol":"币usdt","state":"online"}]}"#;
    const MERGED: &str = r#"{"status":"ok","ch":"market.abcusdt.detail.merged","ts":1700000000099,"tick":{"amount":1000.5,"open":1,"close":1.50,"high":2,"id":5,"count":6,"low":1,"version":5,"ask":[1.51,2.9566],"vol":1500.75,"bid":[1.49,5.1036]}}"#;
    const TRADES: &str = r#"{"status":"ok","ch":"market.abcusdt.trade.detail","ts":1700000000200,"data":[{"id":100,"ts":1700000000099,"data":[{"amount":0.250000000000000000,"trade-id":102,"ts":1700000000099,"id":10050170342731945949471234,"price":1.500000000000000000,"direction":"sell"},{"amount":2,"trade-id":101,"ts":1700000000099,"id":10050170342731945949471233,"price":1.4,"direction":"sell"}]},{"id":99,"ts":1700000000098,"data":[{"amount":1,"ts":1700000000098,"id":10050170342731945949471232,"price":1.5,"direction":"buy"}]}]}"#;
    const CANDLES: &str = r#"{"status":"ok","ch":"market.abcusdt.kline.1min","ts":1700000060000,"data":[{"id":1700000040,"open":2.0,"close":2.2,"low":1.5,"high":2.5,"amount":10.5,"vol":21.5,"count":3},{"id":1699999980,"open":1.0,"close":2.0,"low":0.5,"high":4.0,"amount":7,"vol":14,"count":2}]}"#;
    const NONE: &str = r#"{"status":"ok","ts":1700000060000,"data":[]}"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &HtxRest,
            "abcusdt",
            &[
                "https://api.huobi.pro/v1/common/symbols costs 1",
                "/market/detail/merged?symbol=abcusdt costs 1",
                "/market/history/trade?symbol=abcusdt&size=2000 costs 1",
            ],
        );
        let asked = |interval, name| {
            let query = format!("/market/history/kline?symbol=abcusdt&period={name}&size=2000 costs 1");
            (interval, query)
        };
        expect::asks_candles(
            &HtxRest,
            "abcusdt",
            &[
                asked(Interval::Minute, "1min"),
                asked(Interval::FiveMinutes, "5min"),
                asked(Interval::QuarterHour, "15min"),
                asked(Interval::Hour, "60min"),
                asked(Interval::FourHours, "4hour"),
            ],
        );
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Htx, LIST, &["abcusdt ABC-USDT trading", "xyzbtc XYZ-BTC suspended: offline"]);
        expect::tickers(
            &HtxRest,
            &[
                (MERGED, "A 1.49/1.51 last 1.5 base 1000.5 quote 1500.75 at 1700000000099"),
                (
                    &MERGED.replace("[1.49,5.1036]", "null"),
                    "A -/1.51 last 1.5 base 1000.5 quote 1500.75 at 1700000000099",
                ),
            ],
        );
        expect::trades(
            &HtxRest,
            &[
                (
                    TRADES,
                    "10050170342731945949471232 Buy 1 at 1.5 1700000000.098|101 Sell 2 at 1.4 1700000000.099|102 Sell 0.25 at 1.5 1700000000.099",
                ),
                (NONE, ""),
            ],
        );
        expect::candles(
            &HtxRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote 14 trades 2|1700000040 2 2.5 1.5 2.2 base 10.5 quote 21.5 trades 3",
                ),
                (NONE, ""),
            ],
        );
        assert_eq!(HtxRest.read_instruments(NONE), Ok(vec![]));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"status":"error","err-code":"invalid-parameter","err-msg":"invalid symbol","ts":1700000000000,"data":null}"#;
        expect::refuses(&HtxRest, refusal, "refused: invalid symbol");
        expect::refuses(&HtxRest, r#"{"status":"maintain"}"#, "refused: maintain");
        assert_eq!(HtxRest.read_ticker("A", r#"{"status":"ok"}"#).unwrap_err().kind(), "value");
        for (text, kind) in [
            (TRADES.replace("1.500000000000000000", "0"), "value"),
            (TRADES.replace("1.500000000000000000", "\"1,5\""), "json"),
            (TRADES.replace("buy", "hold"), "value"),
            (TRADES.replace("\"ts\":1700000000098,\"id\"", "\"ts\":9223372036854775807,\"id\""), "value"),
        ] {
            assert_eq!(HtxRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        for (text, kind) in [
            (CANDLES.replace("2.2", "-2"), "value"),
            (CANDLES.replace("\"vol\":14,", ""), "json"),
            (CANDLES.replace("1700000040", "9223372036854775807"), "value"),
        ] {
            assert_eq!(HtxRest.read_candles(&text).unwrap_err().kind(), kind, "{text}");
        }
        expect::survives_answers(&HtxRest, [LIST, MERGED, TRADES, CANDLES]);
    }
}
