//! Bybit over REST: `/v5/market`, every answer `{"retCode", "retMsg", "result", "time"}` with the code 0 where all is
//! well.
//!
//! Trades carry the ids of the WebSocket's, newest first, of spot 60 at most, and not from a moment on; those agreed on
//! beside the book are marked. A candle is `[open time, open, high, low, close, base, quote]`, newest first, both ends
//! of a range inclusive; its open is the close of the one before, and high and low include that. Weeks begin on Monday.
//! Source: Bybit's public REST documentation, and recordings (contracts, whose rows are the same).

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    domain::{candle::Interval, quote::TopOfBook},
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Row, Text, Volume, Words, millis, milliseconds, optional, positive, side},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            just_before, trades_in_order,
        },
        venue::ParseError,
    },
};

/// Candles that an answer may have.
const CANDLES: usize = 1_000;

/// Asks Bybit.
#[derive(Debug)]
pub(super) struct BybitRest;

impl Rest for BybitRest {
    fn base(&self) -> &'static str {
        "https://api.bybit.com/v5/market"
    }

    /// Half of 600 in five seconds.
    fn budget(&self) -> Budget {
        Budget::new(300, 5)
    }

    /// Spot comes as a whole, without pages.
    fn instruments(&self) -> Query {
        Query::new("/instruments-info?category=spot")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let (markets, _) = answer::<Listing<'_>>(body)?;
        // A dated contract says when it ends, a perpetual what kind it is.
        let spot = markets.iter().filter(|market| market.contract_type.is_none());
        let read = |market: &Listing<'_>| {
            let state = InstrumentState::of(market.status, "Trading");
            Instrument::spot(market.symbol, market.base_coin, market.quote_coin, state)
        };
        Ok(spot.filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/tickers?category=spot&symbol={symbol}"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let (days, time) = answer::<Day>(body)?;
        let day = days.first().ok_or_else(|| ParseError::value("list", "empty"))?;
        Ok(Ticker {
            symbol,
            book: Some(TopOfBook { bid: side(day.bid1_price), ask: side(day.ask1_price) }),
            last: side(day.last_price),
            base_volume_24h: day.volume24h.map(|Volume(volume)| volume),
            quote_volume_24h: day.turnover24h.map(|Volume(volume)| volume),
            time,
        })
    }

    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/recent-trade?category=spot&symbol={symbol}&limit=60"))
    }

    /// Leaves room for some that are agreed on beside the book.
    fn reach(&self) -> Reach {
        Reach::Newest(50)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let (trades, _) = answer::<Trade<'a>>(body)?;
        trades_in_order(trades.iter().filter(|trade| !trade.block).map(|t| trade(symbol, t)))
    }

    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Query> {
        let word = match interval {
            Interval::Second => return None,
            Interval::Minute => "1",
            Interval::FiveMinutes => "5",
            Interval::QuarterHour => "15",
            Interval::Hour => "60",
            Interval::FourHours => "240",
            Interval::Day => "D",
            Interval::Week => "W",
        };
        let (start, end) = (from.timestamp_millis(), just_before(to).timestamp_millis());
        let range = format!("interval={word}&start={start}&end={end}&limit={CANDLES}");
        Some(Query::new(format!("/kline?category=spot&symbol={symbol}&{range}")))
    }

    fn max_candles(&self) -> usize {
        CANDLES
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let (rows, _) = answer::<Row<'_>>(body)?;
        candles_in_order(rows.iter().map(candle))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a, T> {
    ret_code: i64,
    #[serde(borrow)]
    ret_msg: Option<Words<'a>>,
    #[serde(default = "none")]
    result: List<T>,
    time: Option<i64>,
}

/// A list of rows, absent from a refusal.
#[derive(Deserialize)]
struct List<T> {
    list: Option<Vec<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    symbol: &'a str,
    base_coin: &'a str,
    quote_coin: &'a str,
    status: &'a str,
    contract_type: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Day {
    #[serde(default, deserialize_with = "optional")]
    bid1_price: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    ask1_price: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    last_price: Option<Number>,
    volume24h: Option<Volume>,
    turnover24h: Option<Volume>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trade<'a> {
    #[serde(borrow)]
    exec_id: Text<'a>,
    price: Number,
    size: Number,
    side: &'a str,
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(rename = "isBlockTrade", default)]
    block: bool,
}

fn none<T>() -> List<T> {
    List { list: None }
}

/// Reads the list of an answer and when it was made, or the refusal.
fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<(Vec<T>, Option<DateTime<Utc>>), ParseError> {
    let answer: Answer<'a, T> = serde_json::from_str(body)?;
    match (answer.ret_code, answer.result.list) {
        (0, Some(list)) => Ok((list, answer.time.and_then(millis))),
        (0, None) => Err(ParseError::value("list", "absent")),
        (code, _) => {
            let words = answer.ret_msg.map_or("", |Words(words)| words);
            Err(ParseError::refused(&format!("{words} ({code})")))
        }
    }
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.exec_id.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("size", trade.size)?,
        side: super::taker(trade.side)?,
        time: milliseconds("time", trade.time)?,
        snapshot: true,
    })
}

fn candle(row: &Row<'_>) -> Result<CandleReport, ParseError> {
    let prices = [row.column(1)?, row.column(2)?, row.column(3)?, row.column(4)?];
    let (Volume(base), Volume(quote)) = (row.column(5)?, row.column(6)?);
    Ok(CandleReport {
        base_volume: Some(base),
        quote_volume: Some(quote),
        ..CandleReport::of(milliseconds("open time", row.column(0)?)?, prices)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::{bybit::Bybit, expect::rest as expect};

    const INFO: &str = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"ABCUSDT","baseCoin":"ABC","quoteCoin":"USDT","status":"Trading"},{"symbol":"XYZUSDT","baseCoin":"XYZ","quoteCoin":"USDT","status":"PreLaunch"},{"symbol":"ABCPERP","baseCoin":"ABC","quoteCoin":"USDC","status":"Trading","contractType":"LinearPerpetual"},{"symbol":"A.BUSDT","baseCoin":"A.B","quoteCoin":"USDT","status":"Trading"}]},"time":1700000000099}"#;
    const TICKER: &str = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"ABCUSDT","bid1Price":"1.49","bid1Size":"2","ask1Price":"","ask1Size":"","lastPrice":"1.50","prevPrice24h":"1","turnover24h":"1500.75","volume24h":"1000.5"}]},"time":1700000000099}"#;
    const TRADES: &str = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"execId":"9","symbol":"ABCUSDT","price":"1.6","size":"5","side":"Buy","time":"1700000000100","isBlockTrade":true},{"execId":"8","symbol":"ABCUSDT","price":"1.51","size":"0.5","side":"Sell","time":"1700000000099","isBlockTrade":false},{"execId":"7","symbol":"ABCUSDT","price":"1.5","size":"2","side":"Buy","time":"1700000000099","isBlockTrade":false}]},"time":1700000000100}"#;
    const CANDLES: &str = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","symbol":"ABCUSDT","list":[["1700000040000","2.0","2.5","1.5","2.2","10.5","21.5"],["1699999980000","1.0","4.0","0.5","2.0","7","14"]]},"time":1700000000100}"#;
    const EMPTY: &str =
        r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[]},"time":1700000000100}"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &BybitRest,
            "ABCUSDT",
            &[
                "https://api.bybit.com/v5/market/instruments-info?category=spot costs 1",
                "/tickers?category=spot&symbol=ABCUSDT costs 1",
                "/recent-trade?category=spot&symbol=ABCUSDT&limit=60 costs 1",
            ],
        );
        let words = ["1", "5", "15", "60", "240", "D", "W"];
        let asked: Vec<_> = Interval::ALL
            .into_iter()
            .skip(1)
            .zip(words)
            .map(|(interval, word)| {
                let range = format!("interval={word}&start=1700000040000&end=1700000099999&limit=1000");
                (interval, format!("/kline?category=spot&symbol=ABCUSDT&{range} costs 1"))
            })
            .collect();
        expect::asks_candles(&BybitRest, "ABCUSDT", &asked);
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Bybit, INFO, &["ABCUSDT ABC-USDT trading", "XYZUSDT XYZ-USDT suspended: PreLaunch"]);
        expect::lists(&Bybit, EMPTY, &[]);
        expect::tickers(
            &BybitRest,
            &[(TICKER, "A 1.49/- last 1.5 base 1000.5 quote 1500.75 at 1700000000099")],
        );
        expect::trades(
            &BybitRest,
            &[(TRADES, "7 Buy 2 at 1.5 1700000000.099|8 Sell 0.5 at 1.51 1700000000.099"), (EMPTY, "")],
        );
        expect::candles(
            &BybitRest,
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
        for result in [r#","result":{}"#, ""] {
            let refusal = format!(r#"{{"retCode":10001,"retMsg":"Not supported symbols"{result},"time":1}}"#);
            expect::refuses(&BybitRest, &refusal, "refused: Not supported symbols (10001)");
        }
        assert_eq!(BybitRest.read_ticker("A", EMPTY).unwrap_err().kind(), "value");
        assert_eq!(BybitRest.read_trades("A", r#"{"retCode":0}"#).unwrap_err().kind(), "value");
        assert_eq!(
            BybitRest.read_trades("A", &TRADES.replace("\"Sell\"", "\"\"")).unwrap_err().kind(),
            "value"
        );
        assert_eq!(BybitRest.read_candles(&CANDLES.replace("\"2.2\"", "\"0\"")).unwrap_err().kind(), "value");
        expect::survives_answers(&BybitRest, [INFO, TICKER, TRADES, CANDLES]);
    }
}
