//! OKX over REST: `/api/v5`, every answer `{"code", "msg", "data": [...]}` with the code `0` where all is well.
//!
//! Tickers and trades are those of the WebSocket; trades come newest first, 500 at most, and not from a moment on. A
//! candle is `[open time, open, high, low, close, base, quote, quote, whether it is over]`, for spot, newest first.
//! `after` is older than, `before` newer than, both without the moment itself. `history-candles` has what is over, of
//! all years, while `candles` ends 1,440 back. Days and weeks are Hong Kong's unless `utc` is asked for; weeks begin on
//! Monday. Source: OKX's public REST documentation, and recordings.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{DayTicker, Trade};
use crate::{
    domain::candle::Interval,
    feed::{
        event::{Ticker, TradeReport},
        number::{Row, Text, Volume, Words, milliseconds},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            just_before, trades_in_order,
        },
        venue::ParseError,
    },
};

/// Candles that an answer may have. Some accounts of the venue say 300: with less asked for, none can be left out.
const CANDLES: usize = 100;

/// Trades that an answer may have.
const TRADES: usize = 500;

/// Asks OKX.
#[derive(Debug)]
pub(super) struct OkxRest;

impl Rest for OkxRest {
    fn base(&self) -> &'static str {
        "https://www.okx.com/api/v5"
    }

    /// Half of 20 in two seconds, which the venue counts for each kind of question.
    fn budget(&self) -> Budget {
        Budget::new(10, 2)
    }

    fn instruments(&self) -> Query {
        Query::new("/public/instruments?instType=SPOT")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let markets: Vec<Listing<'_>> = answer(body)?;
        let markets = markets.iter().filter(|market| market.inst_type == "SPOT");
        let read = |market: &Listing<'_>| {
            let state = InstrumentState::of(market.state, "live");
            Instrument::spot(market.inst_id, market.base_ccy, market.quote_ccy, state)
        };
        Ok(markets.filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/market/ticker?instId={symbol}"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let tickers: Vec<DayTicker<'a>> = answer(body)?;
        let day = tickers.first().ok_or_else(|| ParseError::value("data", "empty"))?;
        Ok(Ticker { symbol, ..super::ticker(day)? })
    }

    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/market/trades?instId={symbol}&limit={TRADES}"))
    }

    fn reach(&self) -> Reach {
        Reach::Newest(TRADES)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let trades: Vec<Trade<'a>> = answer(body)?;
        trades_in_order(
            trades.iter().map(|trade| Ok(TradeReport { symbol, snapshot: true, ..super::trade(trade)? })),
        )
    }

    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Query> {
        let bar = match interval {
            Interval::Second => "1s",
            Interval::Minute => "1m",
            Interval::FiveMinutes => "5m",
            Interval::QuarterHour => "15m",
            Interval::Hour => "1H",
            Interval::FourHours => "4H",
            Interval::Day => "1Dutc",
            Interval::Week => "1Wutc",
        };
        let (after, before) = (to.timestamp_millis(), just_before(from).timestamp_millis());
        let range = format!("bar={bar}&after={after}&before={before}&limit={CANDLES}");
        Some(Query::new(format!("/market/history-candles?instId={symbol}&{range}")))
    }

    fn max_candles(&self) -> usize {
        CANDLES
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let rows: Vec<Row<'_>> = answer(body)?;
        candles_in_order(rows.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Answer<'a, T> {
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    msg: Option<Words<'a>>,
    data: Option<Vec<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    inst_type: &'a str,
    inst_id: &'a str,
    base_ccy: &'a str,
    quote_ccy: &'a str,
    state: &'a str,
}

/// Reads the list of an answer, or the refusal.
fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<Vec<T>, ParseError> {
    let Answer { code: Text(code), msg, data } = serde_json::from_str::<Answer<'a, T>>(body)?;
    match (code, data) {
        ("0", Some(data)) => Ok(data),
        ("0", None) => Err(ParseError::value("data", "absent")),
        _ => Err(ParseError::refused(&format!("{} ({code})", msg.map_or("", |Words(words)| words)))),
    }
}

fn candle(row: &Row<'_>) -> Result<CandleReport, ParseError> {
    let prices = [row.column(1)?, row.column(2)?, row.column(3)?, row.column(4)?];
    let (Volume(base), Volume(quote)) = (row.column(5)?, row.column(7)?);
    Ok(CandleReport {
        base_volume: Some(base),
        quote_volume: Some(quote),
        ..CandleReport::of(milliseconds("open time", row.column(0)?)?, prices)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::{expect::rest as expect, okx::Okx};

    const INFO: &str = r#"{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"ABC-USDT","baseCcy":"ABC","quoteCcy":"USDT","state":"live"},{"instType":"SPOT","instId":"XYZ-USDT","baseCcy":"XYZ","quoteCcy":"USDT","state":"preopen"},{"instType":"SWAP","instId":"ABC-USDT-SWAP","baseCcy":"","quoteCcy":"","state":"live"},{"instType":"SPOT","instId":"A.B-USDT","baseCcy":"A.B","quoteCcy":"USDT","state":"live"}]}"#;
    const TICKER: &str = r#"{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"ABC-USDT","last":"1.50","askPx":"","bidPx":"1.49","vol24h":"1000.5","volCcy24h":"1500.75","ts":"1700000000099"}]}"#;
    const TRADES: &str = r#"{"code":"0","msg":"","data":[{"instId":"ABC-USDT","side":"sell","sz":"0.5","px":"1.51","tradeId":"9","ts":"1700000000100"},{"instId":"ABC-USDT","side":"sell","sz":"0.25","px":"1.50","tradeId":"8","ts":"1700000000100"},{"instId":"ABC-USDT","side":"buy","sz":"2","px":"1.5","tradeId":"7","ts":"1700000000099"}]}"#;
    const CANDLES: &str = r#"{"code":"0","msg":"","data":[["1700000040000","2.0","2.5","1.5","2.2","10.5","21.4","21.5","0"],["1699999980000","1.0","4.0","0.5","2.0","7","13","14","1"]]}"#;
    const EMPTY: &str = r#"{"code":"0","msg":"","data":[]}"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &OkxRest,
            "ABC-USDT",
            &[
                "https://www.okx.com/api/v5/public/instruments?instType=SPOT costs 1",
                "/market/ticker?instId=ABC-USDT costs 1",
                "/market/trades?instId=ABC-USDT&limit=500 costs 1",
            ],
        );
        let bars = ["1s", "1m", "5m", "15m", "1H", "4H", "1Dutc", "1Wutc"];
        let asked: Vec<_> = Interval::ALL
            .into_iter()
            .zip(bars)
            .map(|(interval, bar)| {
                let range = "after=1700000100000&before=1700000039999&limit=100 costs 1";
                (interval, format!("/market/history-candles?instId=ABC-USDT&bar={bar}&{range}"))
            })
            .collect();
        expect::asks_candles(&OkxRest, "ABC-USDT", &asked);
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Okx, INFO, &["ABC-USDT ABC-USDT trading", "XYZ-USDT XYZ-USDT suspended: preopen"]);
        expect::tickers(
            &OkxRest,
            &[(TICKER, "A 1.49/- last 1.5 base 1000.5 quote 1500.75 at 1700000000099")],
        );
        expect::trades(
            &OkxRest,
            &[
                (
                    TRADES,
                    "7 Buy 2 at 1.5 1700000000.099|8 Sell 0.25 at 1.5 1700000000.100|9 Sell 0.5 at 1.51 1700000000.100",
                ),
                (EMPTY, ""),
            ],
        );
        expect::candles(
            &OkxRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote 14 trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote 21.5 trades -",
                ),
                (EMPTY, ""),
            ],
        );
        expect::lists(&Okx, EMPTY, &[]);
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"code":"51001","msg":"Instrument ID doesn't exist.","data":[]}"#;
        expect::refuses(&OkxRest, refusal, "refused: Instrument ID doesn't exist. (51001)");
        assert_eq!(OkxRest.read_ticker("A", EMPTY).unwrap_err().kind(), "value");
        assert_eq!(OkxRest.read_trades("A", r#"{"code":"0"}"#).unwrap_err().kind(), "value");
        assert_eq!(OkxRest.read_trades("A", &TRADES.replace("buy", "both")).unwrap_err().kind(), "value");
        assert_eq!(OkxRest.read_candles(&CANDLES.replace("\"2.0\"", "\"0\"")).unwrap_err().kind(), "value");
        expect::survives_answers(&OkxRest, [INFO, TICKER, TRADES, CANDLES]);
    }
}
