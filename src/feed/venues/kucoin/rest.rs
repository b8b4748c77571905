//! KuCoin over REST: `{"code": "200000", "data"}`, any other code a refusal with its words in `msg`.
//!
//! The last hundred trades can be had, no more: oldest or newest first, and with `time` in nanoseconds. They are numbered by
//! `sequence`, which in KuCoin's present documentation is the number that the WebSocket tells as `tradeId` too. In the
//! recordings of 2021 that was a name of its own: by it, no trade of then could be known over REST. A candle is
//! `[seconds, open, close, high, low, base, quote]` as text, newest first. Weeks begin on Thursday, and so are not asked
//! for. Answers draw from one pool, 2,000 in 30 seconds, by weight. Source: KuCoin's public documentation, and recordings.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::KuCoin;
use crate::{
    domain::{candle::Interval, quote::TopOfBook, trade::Side},
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Row, Text, Volume, Words, millis, optional, positive, seconds, side},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            just_before, trades_in_order,
        },
        venue::{ParseError, Protocol},
    },
};

/// What an answer is marked with that is no refusal.
const OK: &str = "200000";

/// Asks KuCoin.
#[derive(Debug)]
pub(in crate::feed::venues) struct KuCoinRest;

impl Rest for KuCoinRest {
    fn base(&self) -> &'static str {
        "https://api.kucoin.com"
    }

    /// Half of what the pool has.
    fn budget(&self) -> Budget {
        Budget::new(1_000, 30)
    }

    fn instruments(&self) -> Query {
        Query::new("/api/v2/symbols").weighing(4)
    }

    /// Reads the markets. An asset that was renamed is listed by its new name, while the symbol keeps the old one; that is
    /// the one by which the venue knows it everywhere else.
    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let listings: Vec<Listing<'_>> = answer(body)?;
        let read = |listing: &Listing<'_>| {
            let state = match (listing.enable_trading, listing.auction) {
                (true, None | Some(false)) => InstrumentState::Trading,
                (true, Some(true)) => InstrumentState::Suspended("call auction".to_owned()),
                (false, _) => InstrumentState::Suspended("trading not enabled".to_owned()),
            };
            let market = KuCoin.market(listing.symbol).ok()?;
            Some(Instrument { symbol: listing.symbol.to_owned(), market, state })
        };
        Ok(listings.iter().filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/api/v1/market/stats?symbol={symbol}")).weighing(15)
    }

    /// Reads `stats`, and `allTickers` too, which lists all markets.
    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let data: &RawValue = answer(body)?;
        let All { ticker, time } = serde_json::from_str(data.get())?;
        let day = match ticker {
            Some(all) => all.into_iter().find(|day| day.symbol == symbol),
            None => Some(serde_json::from_str(data.get())?),
        };
        let day = day.ok_or_else(|| ParseError::unknown_symbol(symbol))?;
        Ok(Ticker {
            symbol,
            book: Some(TopOfBook { bid: side(day.buy), ask: side(day.sell) }),
            last: side(day.last),
            base_volume_24h: day.vol.map(|Volume(volume)| volume),
            quote_volume_24h: day.vol_value.map(|Volume(volume)| volume),
            time: time.and_then(millis),
        })
    }

    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/api/v1/market/histories?symbol={symbol}")).weighing(3)
    }

    fn reach(&self) -> Reach {
        Reach::Newest(100)
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
        let name = match interval {
            Interval::Minute => "1min",
            Interval::FiveMinutes => "5min",
            Interval::QuarterHour => "15min",
            Interval::Hour => "1hour",
            Interval::FourHours => "4hour",
            Interval::Day => "1day",
            Interval::Second | Interval::Week => return None,
        };
        let (start, end) = (from.timestamp(), just_before(to).timestamp());
        let range = format!("startAt={start}&endAt={end}");
        Some(Query::new(format!("/api/v1/market/candles?symbol={symbol}&type={name}&{range}")).weighing(3))
    }

    fn max_candles(&self) -> usize {
        1_500
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let rows: Vec<Row<'_>> = answer(body)?;
        candles_in_order(rows.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    msg: Option<Words<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    symbol: &'a str,
    enable_trading: bool,
    #[serde(rename = "callauctionIsEnabled")]
    auction: Option<bool>,
}

/// The tickers of all markets, or the time beside the one of `stats`.
#[derive(Deserialize)]
struct All<'a> {
    #[serde(borrow)]
    ticker: Option<Vec<Day<'a>>>,
    time: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Day<'a> {
    symbol: &'a str,
    #[serde(default, deserialize_with = "optional")]
    buy: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    sell: Option<Number>,
    #[serde(default, deserialize_with = "optional")]
    last: Option<Number>,
    vol: Option<Volume>,
    vol_value: Option<Volume>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    sequence: Text<'a>,
    side: &'a str,
    size: Number,
    price: Number,
    time: i64,
}

fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    let Envelope { code: Text(code), msg, data } = serde_json::from_str(body)?;
    if code != OK {
        return Err(ParseError::refused(msg.map_or(code, |Words(words)| words)));
    }
    let data = data.ok_or_else(|| ParseError::value("data", "absent"))?;
    Ok(serde_json::from_str(data.get())?)
}

fn trade<'a>(symbol: &'a str, trade: &Trade<'a>) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.sequence.0),
        count: 1,
        price: positive("price", trade.price)?,
        amount: positive("size", trade.size)?,
        side: match trade.side {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            other => return Err(ParseError::value("side", other)),
        },
        time: DateTime::from_timestamp_nanos(trade.time),
        snapshot: true,
    })
}

fn candle(row: &Row<'_>) -> Result<CandleReport, ParseError> {
    let Text(time) = row.column(0)?;
    let [open, close, high, low] = [row.column(1)?, row.column(2)?, row.column(3)?, row.column(4)?];
    let (Volume(base), Volume(quote)) = (row.column(5)?, row.column(6)?);
    let open_time = seconds(time).ok_or_else(|| ParseError::value("time", time))?;
    let candle = CandleReport::of(open_time, [open, high, low, close])?;
    Ok(CandleReport { base_volume: Some(base), quote_volume: Some(quote), ..candle })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect::rest as expect;

    const LIST: &str = r#"{"code":"200000","data":[{"symbol":"ABC-USDT","name":"ABC-USDT","baseCurrency":"ABC","quoteCurrency":"USDT","enableTrading":true},{"symbol":"XYZ-BTC","name":"NEWXYZ-BTC","baseCurrency":"NEWXYZ","quoteCurrency":"BTC","enableTrading":false},{"symbol":"NEW-USDT","name":"NEW-USDT","baseCurrency":"NEW","quoteCurrency":"USDT","enableTrading":true,"callauctionIsEnabled":true},{"symbol":"币-USDT","name":"币-USDT","baseCurrency":"币","quoteCurrency":"USDT","enableTrading":true}]}"#;
    const STATS: &str = r#"{"code":"200000","data":{"time":1700000000099,"symbol":"A","buy":"1.49","sell":"1.51","changeRate":"-0.0055","vol":"1000.5","volValue":"1500.75","last":"1.50","averagePrice":null}}"#;
    const ALL: &str = r#"{"code":"200000","data":{"time":1700000000099,"ticker":[{"symbol":"B","buy":"7","sell":"8","last":"7.5","vol":"1"},{"symbol":"A","buy":null,"sell":"1.51","last":"1.50","vol":"1000.5","volValue":"1500.75"}]}}"#;
    const TRADES: &str = r#"{"code":"200000","data":[{"sequence":"10","side":"sell","size":"0.25","price":"1.50","time":1700000000099000001},{"sequence":"9","side":"buy","size":"2","price":"1.4","time":1700000000099000001},{"sequence":"8","side":"buy","size":"1","price":"1.5","time":1700000000098000000}]}"#;
    const CANDLES: &str = r#"{"code":"200000","data":[["1700000040","2.0","2.2","2.5","1.5","10.5","21.5"],["1699999980","1.0","2.0","4.0","0.5","7","14","more"]]}"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &KuCoinRest,
            "ABC-USDT",
            &[
                "https://api.kucoin.com/api/v2/symbols costs 4",
                "/api/v1/market/stats?symbol=ABC-USDT costs 15",
                "/api/v1/market/histories?symbol=ABC-USDT costs 3",
            ],
        );
        let asked = |interval, name| {
            let range = "startAt=1700000040&endAt=1700000099 costs 3";
            (interval, format!("/api/v1/market/candles?symbol=ABC-USDT&type={name}&{range}"))
        };
        expect::asks_candles(
            &KuCoinRest,
            "ABC-USDT",
            &[
                asked(Interval::Minute, "1min"),
                asked(Interval::FiveMinutes, "5min"),
                asked(Interval::QuarterHour, "15min"),
                asked(Interval::Hour, "1hour"),
                asked(Interval::FourHours, "4hour"),
                asked(Interval::Day, "1day"),
            ],
        );
    }

    #[test]
    fn answers_are_read() {
        expect::lists(
            &KuCoin,
            LIST,
            &[
                "ABC-USDT ABC-USDT trading",
                "XYZ-BTC XYZ-BTC suspended: trading not enabled",
                "NEW-USDT NEW-USDT suspended: call auction",
            ],
        );
        expect::tickers(
            &KuCoinRest,
            &[
                (STATS, "A 1.49/1.51 last 1.5 base 1000.5 quote 1500.75 at 1700000000099"),
                (ALL, "A -/1.51 last 1.5 base 1000.5 quote 1500.75 at 1700000000099"),
            ],
        );
        expect::trades(
            &KuCoinRest,
            &[
                (
                    TRADES,
                    "8 Buy 1 at 1.5 1700000000.098|9 Buy 2 at 1.4 1700000000.099000001|10 Sell 0.25 at 1.5 1700000000.099000001",
                ),
                (r#"{"code":"200000","data":[]}"#, ""),
            ],
        );
        expect::candles(
            &KuCoinRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote 14 trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote 21.5 trades -",
                ),
                (r#"{"code":"200000","data":[]}"#, ""),
            ],
        );
        assert_eq!(KuCoinRest.read_instruments(r#"{"code":"200000","data":[]}"#), Ok(vec![]));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"code":"400100","msg":"symbol not exists"}"#;
        expect::refuses(&KuCoinRest, refusal, "refused: symbol not exists");
        expect::refuses(&KuCoinRest, r#"{"code":"900001"}"#, "refused: 900001");
        expect::refuses(&KuCoinRest, r#"{"code":"200000"}"#, "bad data: `absent`");
        let missing = ALL.replace(r#""symbol":"A""#, r#""symbol":"C""#);
        assert_eq!(KuCoinRest.read_ticker("A", &missing).unwrap_err().kind(), "unknown_symbol");
        for (text, kind) in [
            (TRADES.replace("1.50", "0"), "value"),
            (TRADES.replace("1.50", "1,5"), "json"),
            (TRADES.replace("sell", "hold"), "value"),
            (TRADES.replace("1700000000098000000", "\"soon\""), "json"),
        ] {
            assert_eq!(KuCoinRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        for (text, kind) in [
            (CANDLES.replace("\"2.2\"", "\"-2\""), "value"),
            (CANDLES.replace(",\"21.5\"", ""), "value"),
            (CANDLES.replace("1700000040", "soon"), "value"),
        ] {
            assert_eq!(KuCoinRest.read_candles(&text).unwrap_err().kind(), kind, "{text}");
        }
        expect::survives_answers(&KuCoinRest, [LIST, STATS, TRADES, CANDLES]);
    }
}
