//! Binance.US over REST: the formats of Binance at an address of its own, with a fifth of its budget.
//!
//! Candles of one second are not among those that it documents. Source: Binance.US's public REST documentation, which
//! describes the same interface.

use chrono::{DateTime, Utc};

use crate::{
    domain::candle::Interval,
    feed::{
        event::{Ticker, TradeReport},
        rest::{Budget, CandleReport, Instrument, Query, Reach, Rest},
        venue::ParseError,
        venues::binance::rest::BinanceRest,
    },
};

/// Asks Binance.US.
#[derive(Debug)]
pub(super) struct BinanceUsRest;

impl Rest for BinanceUsRest {
    fn base(&self) -> &'static str {
        "https://api.binance.us/api/v3"
    }

    /// Half of 1,200 a minute.
    fn budget(&self) -> Budget {
        Budget::new(600, 60)
    }

    fn instruments(&self) -> Query {
        BinanceRest.instruments()
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        BinanceRest.read_instruments(body)
    }

    fn ticker(&self, symbol: &str) -> Query {
        BinanceRest.ticker(symbol)
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        BinanceRest.read_ticker(symbol, body)
    }

    fn max_tickers(&self) -> usize {
        BinanceRest.max_tickers()
    }

    fn tickers(&self, symbols: &[&str]) -> Option<Query> {
        BinanceRest.tickers(symbols)
    }

    fn read_tickers<'a>(&self, symbols: &[&'a str], body: &'a str) -> Result<Vec<Ticker<'a>>, ParseError> {
        BinanceRest.read_tickers(symbols, body)
    }

    fn trades(&self, symbol: &str, since: DateTime<Utc>) -> Query {
        BinanceRest.trades(symbol, since)
    }

    fn reach(&self) -> Reach {
        BinanceRest.reach()
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        BinanceRest.read_trades(symbol, body)
    }

    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Query> {
        (interval != Interval::Second).then(|| BinanceRest.candles(symbol, interval, from, to)).flatten()
    }

    fn max_candles(&self) -> usize {
        BinanceRest.max_candles()
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        BinanceRest.read_candles(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect::rest as expect;

    #[test]
    fn it_asks_in_binances_words_for_less() {
        expect::asks(
            &BinanceUsRest,
            "ABCUSD",
            &[
                "https://api.binance.us/api/v3/exchangeInfo costs 20",
                "/ticker/24hr?symbol=ABCUSD costs 2",
                "/aggTrades?symbol=ABCUSD&startTime=1700000000123&limit=1000 costs 4",
            ],
        );
        let range = "startTime=1700000040000&endTime=1700000099999&limit=1000 costs 2";
        let asked = Interval::ALL.map(|i| (i, format!("/klines?symbol=ABCUSD&interval={i}&{range}")));
        expect::asks_candles(&BinanceUsRest, "ABCUSD", &asked[1..]);
        expect::asks_many(
            &BinanceUsRest,
            &["A", "B"],
            &["/ticker/24hr?symbols=%5B%22A%22,%22B%22%5D costs 2"],
        );
        assert!(BinanceUsRest.budget().weight < BinanceRest.budget().weight);
    }

    #[test]
    fn answers_mean_what_they_mean_at_binance() {
        let trades = r#"[{"a":7,"p":"1.5","q":"2","f":1,"l":1,"T":1700000000099,"m":true,"M":true}]"#;
        expect::trades(&BinanceUsRest, &[(trades, "7 Sell 2 at 1.5 1700000000.099")]);
        let candles =
            r#"[[1700000040000,"2.0","2.5","1.5","2.2","10.5",1700000099999,"21.5",3,"1","2","0"]]"#;
        expect::candles(
            &BinanceUsRest,
            &[(candles, "1700000040 2 2.5 1.5 2.2 base 10.5 quote 21.5 trades 3")],
        );
        expect::refuses(&BinanceUsRest, r#"{"code":-1121,"msg":"No."}"#, "refused: No.");
    }
}
