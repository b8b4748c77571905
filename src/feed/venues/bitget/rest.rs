//! Bitget over REST: `/api/v2/spot`, every answer `{"code", "msg", "data": [...]}` with the code `00000` where all is
//! well.
//!
//! Trades carry the ids of the WebSocket's, newest first, 1,000 at most; the moment to begin with may lie seven days
//! back, so the newest are asked for. A candle is `[open time, open, high, low, close, base, in USDT, quote]`.
//! `history-candles` counts back from an end, however far it lies, while `candles` ends after a month (minutes) or
//! some years (weeks). Days and weeks are those of UTC+8 unless `utc` is asked for. Source: Bitget's public REST documentation.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Day, Trade};
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

/// What an answer says that is no refusal.
const SUCCESS: &str = "00000";

/// Candles that an answer may have.
const CANDLES: usize = 200;

/// Trades that an answer may have.
const TRADES: usize = 1_000;

/// Asks Bitget.
#[derive(Debug)]
pub(super) struct BitgetRest;

impl Rest for BitgetRest {
    fn base(&self) -> &'static str {
        "https://api.bitget.com/api/v2/spot"
    }

    /// Half of 10 a second, the least that the venue allows for a kind of question.
    fn budget(&self) -> Budget {
        Budget::new(5, 1)
    }

    fn instruments(&self) -> Query {
        Query::new("/public/symbols")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let markets: Vec<Listing<'_>> = answer(body)?;
        let read = |market: &Listing<'_>| {
            let state = InstrumentState::of(market.status, "online");
            Instrument::spot(market.symbol, market.base_coin, market.quote_coin, state)
        };
        Ok(markets.iter().filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/market/tickers?symbol={symbol}"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let days: Vec<Day<'a>> = answer(body)?;
        let day = days.first().ok_or_else(|| ParseError::value("data", "empty"))?;
        Ok(Ticker { symbol, ..super::ticker(day)? })
    }

    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/market/fills-history?symbol={symbol}&limit={TRADES}"))
    }

    fn reach(&self) -> Reach {
        Reach::Newest(TRADES)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let trades: Vec<Trade<'a>> = answer(body)?;
        trades_in_order(trades.iter().map(|trade| super::trade(symbol, trade, true)))
    }

    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Query> {
        let granularity = match interval {
            Interval::Second => return None,
            Interval::Minute => "1min",
            Interval::FiveMinutes => "5min",
            Interval::QuarterHour => "15min",
            Interval::Hour => "1h",
            Interval::FourHours => "4h",
            Interval::Day => "1Dutc",
            Interval::Week => "1Wutc",
        };
        // Counted back from the end, so only as many as the range has.
        let last = just_before(to).timestamp_millis();
        let spans = (last - from.timestamp_millis()) / interval.span().num_milliseconds() + 1;
        let limit = usize::try_from(spans).unwrap_or(1).clamp(1, CANDLES);
        let range = format!("granularity={granularity}&endTime={last}&limit={limit}");
        Some(Query::new(format!("/market/history-candles?symbol={symbol}&{range}")))
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
    symbol: &'a str,
    base_coin: &'a str,
    quote_coin: &'a str,
    status: &'a str,
}

/// Reads the list of an answer, or the refusal.
fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<Vec<T>, ParseError> {
    let Answer { code: Text(code), msg, data } = serde_json::from_str::<Answer<'a, T>>(body)?;
    match (code, data) {
        (SUCCESS, Some(data)) => Ok(data),
        (SUCCESS, None) => Err(ParseError::value("data", "absent")),
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
    use crate::feed::venues::{bitget::Bitget, expect::rest as expect};

    const INFO: &str = r#"{"code":"00000","msg":"success","requestTime":1700000000099,"data":[{"symbol":"ABCUSDT","baseCoin":"ABC","quoteCoin":"USDT","status":"online"},{"symbol":"XYZUSDT","baseCoin":"XYZ","quoteCoin":"USDT","status":"halt"},{"symbol":"A_BUSDT","baseCoin":"A_B","quoteCoin":"USDT","status":"online"}]}"#;
    const TICKER: &str = r#"{"code":"00000","msg":"success","requestTime":1700000000100,"data":[{"symbol":"ABCUSDT","high24h":"2","open":"1","low24h":"1","lastPr":"1.50","quoteVolume":"1500.75","baseVolume":"1000.5","usdtVolume":"1500.7","bidPr":"1.49","askPr":"","ts":"1700000000099"}]}"#;
    const TRADES: &str = r#"{"code":"00000","msg":"success","requestTime":1700000000100,"data":[{"symbol":"ABCUSDT","tradeId":"8","side":"Sell","price":"1.51","size":"0.5","ts":"1700000000099"},{"symbol":"ABCUSDT","tradeId":"7","side":"buy","price":"1.5","size":"2","ts":"1700000000099"}]}"#;
    const CANDLES: &str = r#"{"code":"00000","msg":"success","requestTime":1700000000100,"data":[["1699999980000","1.0","4.0","0.5","2.0","7","13","14"],["1700000040000","2.0","2.5","1.5","2.2","10.5","21.4","21.5"]]}"#;
    const EMPTY: &str = r#"{"code":"00000","msg":"success","requestTime":1700000000100,"data":[]}"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &BitgetRest,
            "ABCUSDT",
            &[
                "https://api.bitget.com/api/v2/spot/public/symbols costs 1",
                "/market/tickers?symbol=ABCUSDT costs 1",
                "/market/fills-history?symbol=ABCUSDT&limit=1000 costs 1",
            ],
        );
        let words = ["1min", "5min", "15min", "1h", "4h", "1Dutc", "1Wutc"];
        let asked: Vec<_> = Interval::ALL
            .into_iter()
            .skip(1)
            .zip(words)
            .map(|(interval, word)| {
                let range = format!("granularity={word}&endTime=1700000099999&limit=1 costs 1");
                (interval, format!("/market/history-candles?symbol=ABCUSDT&{range}"))
            })
            .collect();
        expect::asks_candles(&BitgetRest, "ABCUSDT", &asked);
    }

    #[test]
    fn as_many_candles_are_asked_for_as_the_range_has() {
        let time = |seconds: i64| DateTime::from_timestamp(1_700_000_040 + seconds, 0).unwrap();
        for (seconds, limit) in [(0, 1), (1, 1), (60, 1), (61, 2), (600, 10), (1_000_000, 200)] {
            let query = BitgetRest.candles("A", Interval::Minute, time(0), time(seconds)).unwrap();
            assert!(query.path.ends_with(&format!("&limit={limit}")), "{seconds}: {}", query.path);
        }
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Bitget, INFO, &["ABCUSDT ABC-USDT trading", "XYZUSDT XYZ-USDT suspended: halt"]);
        expect::lists(&Bitget, EMPTY, &[]);
        expect::tickers(
            &BitgetRest,
            &[(TICKER, "A 1.49/- last 1.5 base 1000.5 quote 1500.75 at 1700000000099")],
        );
        expect::trades(
            &BitgetRest,
            &[(TRADES, "7 Buy 2 at 1.5 1700000000.099|8 Sell 0.5 at 1.51 1700000000.099"), (EMPTY, "")],
        );
        expect::candles(
            &BitgetRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote 14 trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote 21.5 trades -",
                ),
                (EMPTY, ""),
            ],
        );
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"code":"40034","msg":"Parameter does not exist","requestTime":1,"data":null}"#;
        expect::refuses(&BitgetRest, refusal, "refused: Parameter does not exist (40034)");
        assert_eq!(BitgetRest.read_ticker("A", EMPTY).unwrap_err().kind(), "value");
        assert_eq!(BitgetRest.read_trades("A", r#"{"code":"00000"}"#).unwrap_err().kind(), "value");
        assert_eq!(BitgetRest.read_trades("A", &TRADES.replace("buy", "both")).unwrap_err().kind(), "value");
        assert_eq!(
            BitgetRest.read_candles(&CANDLES.replace("\"2.2\"", "\"0\"")).unwrap_err().kind(),
            "value"
        );
        expect::survives_answers(&BitgetRest, [INFO, TICKER, TRADES, CANDLES]);
    }
}
