//! Binance over REST: `/api/v3`, rows and objects bare, a refusal as `{"code", "msg"}`.
//!
//! Trades are asked of `/aggTrades`, whose numbers are those of the WebSocket's `aggTrade`; `m` (`isBuyerMaker`) true means
//! that the taker sold. They come from a moment on, oldest first, 1,000 at most. A candle is
//! `[open time, open, high, low, close, base, close time, quote, trades, …]`, both ends of a range are inclusive and
//! count opening times. Weeks begin on Monday. Source: Binance's public REST documentation, and recordings.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    domain::{candle::Interval, quote::TopOfBook, trade::Side},
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Row, Text, Volume, Words, millis, milliseconds, optional, positive, side},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, answer, candles_in_order,
            just_before, trades_in_order,
        },
        venue::ParseError,
    },
};

/// Rows that an answer may have.
const LIMIT: usize = 1_000;

/// Markets that are asked for at once: more of them weigh twenty times as much.
const MARKETS: usize = 20;

/// Asks Binance.
#[derive(Debug)]
pub(in crate::feed::venues) struct BinanceRest;

impl Rest for BinanceRest {
    fn base(&self) -> &'static str {
        "https://api.binance.com/api/v3"
    }

    /// Half of 6,000 a minute.
    fn budget(&self) -> Budget {
        Budget::new(3_000, 60)
    }

    fn instruments(&self) -> Query {
        Query::new("/exchangeInfo").weighing(20)
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let info: Info<'_> = read(body)?;
        let markets = info.symbols.iter().filter(|market| market.spot);
        let listed = |market: &Listing<'_>| {
            let state = InstrumentState::of(market.status, "TRADING");
            Instrument::spot(market.symbol, market.base_asset, market.quote_asset, state)
        };
        Ok(markets.filter_map(listed).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/ticker/24hr?symbol={symbol}")).weighing(2)
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        ticker(symbol, &read(body)?)
    }

    fn max_tickers(&self) -> usize {
        MARKETS
    }

    fn tickers(&self, symbols: &[&str]) -> Option<Query> {
        // A list in JSON.
        let symbols = symbols.join("%22,%22");
        Some(Query::new(format!("/ticker/24hr?symbols=%5B%22{symbols}%22%5D")).weighing(2))
    }

    fn read_tickers<'a>(&self, symbols: &[&'a str], body: &'a str) -> Result<Vec<Ticker<'a>>, ParseError> {
        let days: Vec<&RawValue> = read(body)?;
        let mut tickers = Vec::with_capacity(days.len());
        for day in days {
            let Named { symbol } = serde_json::from_str(day.get())?;
            if let Some(symbol) = symbols.iter().find(|asked| **asked == symbol) {
                tickers.push(ticker(symbol, &serde_json::from_str(day.get())?)?);
            }
        }
        Ok(tickers)
    }

    fn trades(&self, symbol: &str, since: DateTime<Utc>) -> Query {
        let since = since.timestamp_millis();
        Query::new(format!("/aggTrades?symbol={symbol}&startTime={since}&limit={LIMIT}")).weighing(4)
    }

    fn reach(&self) -> Reach {
        Reach::Oldest(LIMIT)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let trades: Vec<Trade<'a>> = read(body)?;
        trades_in_order(trades.iter().map(|t| trade(symbol, t)))
    }

    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Query> {
        // The venue names all intervals as we do.
        let (from, last) = (from.timestamp_millis(), just_before(to).timestamp_millis());
        let range = format!("startTime={from}&endTime={last}&limit={LIMIT}");
        Some(Query::new(format!("/klines?symbol={symbol}&interval={interval}&{range}")).weighing(2))
    }

    fn max_candles(&self) -> usize {
        LIMIT
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let rows: Vec<Row<'_>> = read(body)?;
        candles_in_order(rows.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    msg: Words<'a>,
}

#[derive(Deserialize)]
struct Info<'a> {
    #[serde(borrow)]
    symbols: Vec<Listing<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    symbol: &'a str,
    status: &'a str,
    base_asset: &'a str,
    quote_asset: &'a str,
    #[serde(rename = "isSpotTradingAllowed", default = "yes")]
    spot: bool,
}

/// The last 24 hours, or those parts of them that shorter answers (`bookTicker`, `price`) have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Day {
    #[serde(default, deserialize_with = "optional")]
    bid_price: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    ask_price: Option<Number>,
    #[serde(default, deserialize_with = "optional", alias = "price")]
    last_price: Option<Number>,
    volume: Option<Volume>,
    quote_volume: Option<Volume>,
    close_time: Option<i64>,
}

/// Which of several markets a part of an answer is about.
#[derive(Deserialize)]
struct Named<'a> {
    symbol: &'a str,
}

/// A trade of `aggTrades`, or of `trades`, which says the same in words.
#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow, alias = "id")]
    a: Text<'a>,
    #[serde(alias = "price")]
    p: Number,
    #[serde(alias = "qty")]
    q: Number,
    #[serde(rename = "T", alias = "time")]
    time: i64,
    #[serde(alias = "isBuyerMaker")]
    m: bool,
}

const fn yes() -> bool {
    true
}

/// Reads an answer, or the refusal that stands in its place.
fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    answer(body, |refusal: Refusal<'a>| refusal.msg)
}

fn ticker<'a>(symbol: &'a str, day: &Day) -> Result<Ticker<'a>, ParseError> {
    let book = (day.bid_price.is_some() || day.ask_price.is_some())
        .then(|| TopOfBook { bid: side(day.bid_price), ask: side(day.ask_price) });
    if book.is_none() && day.last_price.is_none() {
        return Err(ParseError::value("ticker", "empty"));
    }
    Ok(Ticker {
        symbol,
        book,
        last: side(day.last_price),
        base_volume_24h: day.volume.map(|Volume(volume)| volume),
        quote_volume_24h: day.quote_volume.map(|Volume(volume)| volume),
        time: day.close_time.and_then(millis),
    })
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.a.0),
        count: 1,
        price: positive("p", trade.p)?,
        amount: positive("q", trade.q)?,
        side: if trade.m { Side::Sell } else { Side::Buy },
        time: millis(trade.time).ok_or_else(|| ParseError::value("T", trade.time))?,
        snapshot: true,
    })
}

fn candle(row: &Row<'_>) -> Result<CandleReport, ParseError> {
    let prices = [row.column(1)?, row.column(2)?, row.column(3)?, row.column(4)?];
    let (Volume(base), Volume(quote)) = (row.column(5)?, row.column(7)?);
    Ok(CandleReport {
        base_volume: Some(base),
        quote_volume: Some(quote),
        trade_count: Some(row.column(8)?),
        ..CandleReport::of(milliseconds("open time", row.column(0)?)?, prices)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::{binance::Binance, expect::rest as expect};

    const INFO: &str = r#"{"timezone":"UTC","rateLimits":[],"symbols":[{"symbol":"ABCUSDT","status":"TRADING","baseAsset":"ABC","quoteAsset":"USDT","isSpotTradingAllowed":true},{"symbol":"XYZUSDT","status":"BREAK","baseAsset":"XYZ","quoteAsset":"USDT","isSpotTradingAllowed":true},{"symbol":"FUTUSDT","status":"TRADING","baseAsset":"FUT","quoteAsset":"USDT","isSpotTradingAllowed":false},{"symbol":"币USDT","status":"TRADING","baseAsset":"币","quoteAsset":"USDT","isSpotTradingAllowed":true}]}"#;
    const DAY: &str = r#"{"symbol":"ABCUSDT","lastPrice":"1.50","bidPrice":"1.49","askPrice":"0.00","volume":"1000.5","quoteVolume":"1500.75","openTime":1699913600000,"closeTime":1700000000099,"count":9}"#;
    const TRADES: &str = r#"[{"a":7,"p":"1.5000","q":"2","f":1,"l":1,"T":1700000000099,"m":true,"M":true},{"a":8,"p":"1.51","q":"0.5","f":2,"l":3,"T":1700000000100,"m":false,"M":true}]"#;
    const CANDLES: &str = r#"[[1700000040000,"2.0","2.5","1.5","2.2","10.5",1700000099999,"21.5",3,"1","2","0"],[1699999980000,"1.0","4.0","0.5","2.0","7",1700000039999,"14",2,"1","2","0"]]"#;

    #[test]
    fn several_markets_are_asked_for_at_once() {
        expect::asks_many(
            &BinanceRest,
            &["ABCUSDT", "XYZUSDT"],
            &["/ticker/24hr?symbols=%5B%22ABCUSDT%22,%22XYZUSDT%22%5D costs 2"],
        );
        let body = r#"[{"symbol":"XYZUSDT","lastPrice":"7","bidPrice":"6","askPrice":"8","volume":"2","quoteVolume":"14","closeTime":1700000000099},{"symbol":"OTHER"},{"symbol":"ABCUSDT","lastPrice":"1.5","bidPrice":"0.00","askPrice":"2"}]"#;
        expect::many_tickers(
            &BinanceRest,
            &["ABCUSDT", "XYZUSDT", "NOUSDT"],
            body,
            &[
                "XYZUSDT 6/8 last 7 base 2 quote 14 at 1700000000099",
                "ABCUSDT -/2 last 1.5 base - quote - at 0",
            ],
        );
        let refusal = r#"{"code":-1121,"msg":"Invalid symbol."}"#;
        assert_eq!(BinanceRest.read_tickers(&["A"], refusal).unwrap_err().kind(), "refused");
    }

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &BinanceRest,
            "ABCUSDT",
            &[
                "https://api.binance.com/api/v3/exchangeInfo costs 20",
                "/ticker/24hr?symbol=ABCUSDT costs 2",
                "/aggTrades?symbol=ABCUSDT&startTime=1700000000123&limit=1000 costs 4",
            ],
        );
        let range = "startTime=1700000040000&endTime=1700000099999&limit=1000 costs 2";
        let asked = Interval::ALL.map(|i| (i, format!("/klines?symbol=ABCUSDT&interval={i}&{range}")));
        expect::asks_candles(&BinanceRest, "ABCUSDT", &asked);
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Binance, INFO, &["ABCUSDT ABC-USDT trading", "XYZUSDT XYZ-USDT suspended: BREAK"]);
        expect::tickers(
            &BinanceRest,
            &[
                (DAY, "A 1.49/- last 1.5 base 1000.5 quote 1500.75 at 1700000000099"),
                (r#"{"symbol":"A","price":"1.5"}"#, "A - last 1.5 base - quote - at 0"),
                (
                    r#"{"symbol":"A","bidPrice":"1","bidQty":"3","askPrice":"2","askQty":"1"}"#,
                    "A 1/2 last - base - quote - at 0",
                ),
            ],
        );
        let words = r#"[{"id":7,"price":"1.5","qty":"2","quoteQty":"3","time":1700000000099,"isBuyerMaker":false,"isBestMatch":true}]"#;
        expect::trades(
            &BinanceRest,
            &[
                (TRADES, "7 Sell 2 at 1.5 1700000000.099|8 Buy 0.5 at 1.51 1700000000.100"),
                (words, "7 Buy 2 at 1.5 1700000000.099"),
                ("[]", ""),
            ],
        );
        expect::candles(
            &BinanceRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote 14 trades 2|1700000040 2 2.5 1.5 2.2 base 10.5 quote 21.5 trades 3",
                ),
                ("[]", ""),
            ],
        );
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"code":-1121,"msg":"Invalid symbol."}"#;
        expect::refuses(&BinanceRest, refusal, "refused: Invalid symbol.");
        for (text, kind) in [
            (TRADES.replace("1.5000", "0"), "value"),
            (TRADES.replace("1.5000", "1,5"), "json"),
            (TRADES.replace("1700000000099", "9223372036854775807"), "value"),
        ] {
            assert_eq!(BinanceRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        assert_eq!(
            BinanceRest.read_candles(&CANDLES.replace("\"2.0\"", "\"-2\"")).unwrap_err().kind(),
            "value"
        );
        assert_eq!(BinanceRest.read_ticker("A", "{}").unwrap_err().kind(), "value");
        expect::survives_answers(&BinanceRest, [INFO, DAY, TRADES, CANDLES]);
    }
}
