//! Bitfinex over REST: `/v2`, bare rows, a refusal as `["error", code, "words"]`.
//!
//! Rows are those of the WebSocket: a ticker without a time, and with its symbol in front where several are asked for, trades
//! with the same numbers. Trades are asked for from a moment on, oldest first, 10,000 at most. A candle is
//! `[milliseconds, open, close, high, low, base]`; both ends of a range are inclusive, and intervals without trades are left
//! out. Candles of seven days are not asked for, as nothing says on which day they begin. Markets are listed by name alone:
//! what is listed is taken for traded. Each address has a limit of its own, 15 to 90 a minute. Source: Bitfinex's public documentation,
//! and a recorded list of markets.

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};

use super::{Bitfinex, Trade};
use crate::{
    domain::{candle::Interval, venue::MarketKind},
    feed::{
        event::{Ticker, TradeReport},
        json::{Items, Raw},
        number::{Row, Volume, Words, millis},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            just_before, trades_in_order,
        },
        venue::{ParseError, Protocol},
    },
};

/// Rows that an answer may have.
const LIMIT: usize = 10_000;

/// Markets that are asked for at once: an address may not be too long.
const MARKETS: usize = 100;

/// Asks Bitfinex.
#[derive(Debug)]
pub(in crate::feed::venues) struct BitfinexRest;

impl Rest for BitfinexRest {
    fn base(&self) -> &'static str {
        "https://api-pub.bitfinex.com/v2"
    }

    /// Half of 90 a minute, which tickers and lists may be asked; what may be asked less often weighs more.
    fn budget(&self) -> Budget {
        Budget::new(45, 60)
    }

    fn instruments(&self) -> Query {
        Query::new("/conf/pub:list:pair:exchange")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let lists: Vec<Vec<&str>> = answer(body)?;
        let read = |name: &str| {
            let symbol = format!("t{name}");
            let market = Bitfinex.market(&symbol).ok().filter(|market| market.kind == MarketKind::Spot)?;
            Some(Instrument { symbol, market, state: InstrumentState::Trading })
        };
        Ok(lists.into_iter().flatten().filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/ticker/{symbol}"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let row: Raw<'_> = answer(body)?;
        super::ticker(symbol, &mut Items::open(row.get())?)
    }

    fn max_tickers(&self) -> usize {
        MARKETS
    }

    fn tickers(&self, symbols: &[&str]) -> Option<Query> {
        Some(Query::new(format!("/tickers?symbols={}", symbols.join(","))).weighing(3))
    }

    fn read_tickers<'a>(&self, symbols: &[&'a str], body: &'a str) -> Result<Vec<Ticker<'a>>, ParseError> {
        let rows: Vec<Raw<'_>> = answer(body)?;
        let mut tickers = Vec::with_capacity(rows.len());
        for row in rows {
            let mut row = Items::open(row.get())?;
            let name: &str = super::column(&mut row)?;
            if let Some(symbol) = symbols.iter().find(|symbol| **symbol == name) {
                tickers.push(super::ticker(symbol, &mut row)?);
            }
        }
        Ok(tickers)
    }

    fn trades(&self, symbol: &str, since: DateTime<Utc>) -> Query {
        let since = since.timestamp_millis();
        Query::new(format!("/trades/{symbol}/hist?start={since}&limit={LIMIT}&sort=1")).weighing(6)
    }

    fn reach(&self) -> Reach {
        Reach::Oldest(LIMIT)
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
        let name = match interval {
            Interval::Minute
            | Interval::FiveMinutes
            | Interval::QuarterHour
            | Interval::Hour
            | Interval::FourHours => interval.as_str(),
            Interval::Day => "1D",
            Interval::Second | Interval::Week => return None,
        };
        let (start, end) = (from.timestamp_millis(), just_before(to).timestamp_millis());
        let range = format!("start={start}&end={end}&limit={LIMIT}&sort=1");
        Some(Query::new(format!("/candles/trade:{name}:{symbol}/hist?{range}")).weighing(3))
    }

    fn max_candles(&self) -> usize {
        LIMIT
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let rows: Vec<Row<'_>> = answer(body)?;
        candles_in_order(rows.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Refusal<'a>(Mark, IgnoredAny, #[serde(borrow)] Words<'a>);

/// What a refusal begins with.
#[derive(Deserialize)]
enum Mark {
    #[serde(rename = "error")]
    Error,
}

fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    match serde_json::from_str(body) {
        Ok(Refusal(Mark::Error, _, Words(words))) => Err(ParseError::refused(words)),
        Err(_) => Ok(serde_json::from_str(body)?),
    }
}

fn candle(row: &Row<'_>) -> Result<CandleReport, ParseError> {
    let time: i64 = row.column(0)?;
    let [open, close, high, low] = [row.column(1)?, row.column(2)?, row.column(3)?, row.column(4)?];
    let Volume(base) = row.column(5)?;
    let open_time = millis(time).ok_or_else(|| ParseError::value("time", time))?;
    Ok(CandleReport { base_volume: Some(base), ..CandleReport::of(open_time, [open, high, low, close])? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect::rest as expect;

    const LIST: &str = r#"[["ABCUSD","DUSK:USD","XYZF0:USTF0","A-BUSD","币USD"]]"#;
    const TICKER: &str = "[1.49,2,1.51,3,9.7e-06,0.0096,1.50,1000.5,2,1,null]";
    const TRADES: &str = "[[9,1700000000099,-0.25,1.50],[10,1700000000099,2,1.4e0],[8,1700000000098,1,1.5]]";
    const CANDLES: &str = "[[1700000040000,2.0,2.2,2.5,1.5,10.5],[1699999980000,1.0,2.0,4.0,0.5,7,\"more\"]]";

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &BitfinexRest,
            "tABCUSD",
            &[
                "https://api-pub.bitfinex.com/v2/conf/pub:list:pair:exchange costs 1",
                "/ticker/tABCUSD costs 1",
                "/trades/tABCUSD/hist?start=1700000000123&limit=10000&sort=1 costs 6",
            ],
        );
        let asked = |interval, name| {
            let range = "start=1700000040000&end=1700000099999&limit=10000&sort=1 costs 3";
            (interval, format!("/candles/trade:{name}:tABCUSD/hist?{range}"))
        };
        expect::asks_candles(
            &BitfinexRest,
            "tABCUSD",
            &[
                asked(Interval::Minute, "1m"),
                asked(Interval::FiveMinutes, "5m"),
                asked(Interval::QuarterHour, "15m"),
                asked(Interval::Hour, "1h"),
                asked(Interval::FourHours, "4h"),
                asked(Interval::Day, "1D"),
            ],
        );
    }

    #[test]
    fn several_markets_are_asked_for_at_once() {
        let symbols = ["tABCUSD", "tDUSK:USD", "tNOUSD"];
        expect::asks_many(&BitfinexRest, &symbols, &["/tickers?symbols=tABCUSD,tDUSK:USD,tNOUSD costs 3"]);
        // Funding is not what was asked for, and has other columns.
        let body = r#"[["tDUSK:USD",7,1,8,1,0,0,7.5,10,9,6],["fUSD",1e-4,2],["tABCUSD",1.49,2,1.51,3,0,0,1.50,1000.5,2,1]]"#;
        expect::many_tickers(
            &BitfinexRest,
            &symbols,
            body,
            &[
                "tDUSK:USD 7/8 last 7.5 base 10 quote - at 0",
                "tABCUSD 1.49/1.51 last 1.5 base 1000.5 quote - at 0",
            ],
        );
        for (body, kind) in
            [(r#"["error",10020,"symbol: invalid"]"#, "refused"), (r#"[["tABCUSD",1]]"#, "value")]
        {
            assert_eq!(BitfinexRest.read_tickers(&symbols, body).unwrap_err().kind(), kind, "{body}");
        }
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Bitfinex, LIST, &["tABCUSD ABC-USD trading", "tDUSK:USD DUSK-USD trading"]);
        expect::tickers(
            &BitfinexRest,
            &[
                (TICKER, "A 1.49/1.51 last 1.5 base 1000.5 quote - at 0"),
                ("[null,0,1.51,3,null,null,null,0,null,null]", "A -/1.51 last - base 0 quote - at 0"),
            ],
        );
        expect::trades(
            &BitfinexRest,
            &[
                (
                    TRADES,
                    "8 Buy 1 at 1.5 1700000000.098|9 Sell 0.25 at 1.5 1700000000.099|10 Buy 2 at 1.4 1700000000.099",
                ),
                ("[]", ""),
            ],
        );
        expect::candles(
            &BitfinexRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote - trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote - trades -",
                ),
                ("[]", ""),
            ],
        );
        assert_eq!(BitfinexRest.read_instruments("[[]]"), Ok(vec![]));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        expect::refuses(&BitfinexRest, r#"["error",10020,"symbol: invalid"]"#, "refused: symbol: invalid");
        for (text, kind) in [
            (TRADES.replace("1.50", "0"), "value"),
            (TRADES.replace("-0.25", "0"), "value"),
            (TRADES.replace("1.50", "null"), "json"),
            (TRADES.replace("1700000000098", "9223372036854775807"), "value"),
        ] {
            assert_eq!(BitfinexRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        for (text, kind) in [
            (CANDLES.replace("2.0,2.2", "-2,2.2"), "value"),
            (CANDLES.replace(",10.5", ""), "value"),
            (CANDLES.replace("1700000040000", "9223372036854775807"), "value"),
        ] {
            assert_eq!(BitfinexRest.read_candles(&text).unwrap_err().kind(), kind, "{text}");
        }
        assert_eq!(BitfinexRest.read_ticker("A", "[1,2,3]").unwrap_err().kind(), "value");
        expect::survives_answers(&BitfinexRest, [LIST, TICKER, TRADES, CANDLES]);
    }
}
