//! Gate over REST: `/api/v4`, bare lists, a refusal as `{"label", "message"}`.
//!
//! Objects have the fields of the WebSocket's messages; a ticker has no time. The last thousand trades can be had at once,
//! newest first. A candle is `[seconds, quote, close, high, low, open, base, closed]` as text, oldest first; both ends of a
//! range are inclusive, and a range excludes a limit. Candles of seven days begin on Thursday, and so are not asked for.
//! Source: Gate's public documentation, and a recorded list of markets.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Day, Trade};
use crate::{
    domain::candle::Interval,
    feed::{
        event::{Ticker, TradeReport},
        number::{Row, Text, Volume, Words, seconds},
        rest::{
            self, Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            just_before, trades_in_order,
        },
        venue::ParseError,
    },
};

/// Rows that an answer may have.
const LIMIT: usize = 1_000;

/// Asks Gate.
#[derive(Debug)]
pub(in crate::feed::venues) struct GateRest;

impl Rest for GateRest {
    fn base(&self) -> &'static str {
        "https://api.gateio.ws/api/v4"
    }

    /// Half of 200 in ten seconds.
    fn budget(&self) -> Budget {
        Budget::new(100, 10)
    }

    fn instruments(&self) -> Query {
        Query::new("/spot/currency_pairs")
    }

    /// Reads the markets; one where only one of buying and selling is allowed is not traded.
    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let listings: Vec<Listing<'_>> = answer(body)?;
        let read = |listing: &Listing<'_>| {
            let state = InstrumentState::of(listing.trade_status, "tradable");
            Instrument::spot(listing.id, listing.base, listing.quote, state)
        };
        Ok(listings.iter().filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/spot/tickers?currency_pair={symbol}"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let days: Vec<Day<'a>> = answer(body)?;
        let day = days.iter().find(|day| day.currency_pair == symbol);
        day.map(super::ticker).ok_or_else(|| ParseError::unknown_symbol(symbol))
    }

    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/spot/trades?currency_pair={symbol}&limit={LIMIT}"))
    }

    fn reach(&self) -> Reach {
        Reach::Newest(LIMIT)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let trades: Vec<Trade<'a>> = answer(body)?;
        trades_in_order(
            trades.iter().map(|t| super::trade(t).map(|t| TradeReport { symbol, snapshot: true, ..t })),
        )
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
        let (from, to) = (from.timestamp(), just_before(to).timestamp());
        let range = format!("from={from}&to={to}");
        Some(Query::new(format!("/spot/candlesticks?currency_pair={symbol}&interval={interval}&{range}")))
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
struct Refusal<'a> {
    #[serde(borrow)]
    label: Words<'a>,
    #[serde(borrow, alias = "detail")]
    message: Option<Words<'a>>,
}

#[derive(Deserialize)]
struct Listing<'a> {
    id: &'a str,
    base: &'a str,
    quote: &'a str,
    trade_status: &'a str,
}

fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    rest::answer(body, |Refusal { label, message }| message.unwrap_or(label))
}

fn candle(row: &Row<'_>) -> Result<CandleReport, ParseError> {
    let Text(time) = row.column(0)?;
    let [close, high, low, open] = [row.column(2)?, row.column(3)?, row.column(4)?, row.column(5)?];
    let (Volume(quote), Volume(base)) = (row.column(1)?, row.column(6)?);
    let open_time = seconds(time).ok_or_else(|| ParseError::value("time", time))?;
    let candle = CandleReport::of(open_time, [open, high, low, close])?;
    Ok(CandleReport { base_volume: Some(base), quote_volume: Some(quote), ..candle })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::{expect::rest as expect, gate::Gate};

    const LIST: &str = r#"[{"id":"ABC_USDT","base":"ABC","quote":"USDT","fee":"0.2","trade_status":"tradable","sell_start":0,"buy_start":0},{"id":"XYZ_ETH","base":"XYZ","quote":"ETH","trade_status":"sellable"},{"id":"币_USDT","base":"币","quote":"USDT","trade_status":"tradable"}]"#;
    const TICKERS: &str = r#"[{"currency_pair":"A","last":"1.50","lowest_ask":"1.51","highest_bid":"","base_volume":"1000.5","quote_volume":"1500.75","etf_leverage":null}]"#;
    const TRADES: &str = r#"[{"id":"10","create_time":"1700000000","create_time_ms":"1700000000099.378000","currency_pair":"B","side":"sell","amount":"0.25","price":"1.50"},{"id":"9","create_time":"1700000000","create_time_ms":"1700000000099.378000","currency_pair":"B","side":"buy","amount":"2","price":"1.4"}]"#;
    const CANDLES: &str = r#"[["1699999980","14","2.0","4.0","0.5","1.0","7"],["1700000040","21.5","2.2","2.5","1.5","2.0","10.5","false"]]"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &GateRest,
            "ABC_USDT",
            &[
                "https://api.gateio.ws/api/v4/spot/currency_pairs costs 1",
                "/spot/tickers?currency_pair=ABC_USDT costs 1",
                "/spot/trades?currency_pair=ABC_USDT&limit=1000 costs 1",
            ],
        );
        let asked = |interval, name| {
            let range = "from=1700000040&to=1700000099 costs 1";
            (interval, format!("/spot/candlesticks?currency_pair=ABC_USDT&interval={name}&{range}"))
        };
        expect::asks_candles(
            &GateRest,
            "ABC_USDT",
            &[
                asked(Interval::Minute, "1m"),
                asked(Interval::FiveMinutes, "5m"),
                asked(Interval::QuarterHour, "15m"),
                asked(Interval::Hour, "1h"),
                asked(Interval::FourHours, "4h"),
                asked(Interval::Day, "1d"),
            ],
        );
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Gate, LIST, &["ABC_USDT ABC-USDT trading", "XYZ_ETH XYZ-ETH suspended: sellable"]);
        expect::tickers(&GateRest, &[(TICKERS, "A -/1.51 last 1.5 base 1000.5 quote 1500.75 at 0")]);
        expect::trades(
            &GateRest,
            &[(TRADES, "9 Buy 2 at 1.4 1700000000.099378|10 Sell 0.25 at 1.5 1700000000.099378"), ("[]", "")],
        );
        expect::candles(
            &GateRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote 14 trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote 21.5 trades -",
                ),
                ("[]", ""),
            ],
        );
        assert_eq!(GateRest.read_instruments("[]"), Ok(vec![]));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"label":"INVALID_CURRENCY_PAIR","message":"Invalid currency pair"}"#;
        expect::refuses(&GateRest, refusal, "refused: Invalid currency pair");
        expect::refuses(&GateRest, r#"{"label":"SERVER_ERROR"}"#, "refused: SERVER_ERROR");
        assert_eq!(GateRest.read_ticker("A", "[]").unwrap_err().kind(), "unknown_symbol");
        for (text, kind) in [
            (TRADES.replace("1.50", "0"), "value"),
            (TRADES.replace("1.50", "1,5"), "json"),
            (TRADES.replace("sell", "hold"), "value"),
        ] {
            assert_eq!(GateRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        for (text, kind) in [
            (CANDLES.replace("\"2.2\"", "\"-2\""), "value"),
            (CANDLES.replace(",\"7\"", ""), "value"),
            (CANDLES.replace("1700000040", "soon"), "value"),
        ] {
            assert_eq!(GateRest.read_candles(&text).unwrap_err().kind(), kind, "{text}");
        }
        expect::survives_answers(&GateRest, [LIST, TICKERS, TRADES, CANDLES]);
    }
}
