//! Kraken over REST: `/0/public`, every answer `{"error": [...], "result": {...}}`, the list of errors empty where all
//! is well.
//!
//! It spells markets as v1 of the WebSocket does, without the slash (`XBTUSD`), and answers under whichever of its names
//! it likes, so that an answer's only market is the one that was asked for. A trade is that of v1 with the id of v2 at its
//! end; trades come from a moment on (nanoseconds, exclusive), oldest first, 1,000 at most. A candle is
//! `[seconds, open, high, low, close, vwap, base, trades]`, from a moment on (seconds, exclusive) but never more than the
//! newest 720, empty ones flat. Its weeks begin on Thursday, so it has none of ours. Source: Kraken's public REST
//! documentation, and recordings.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::v1::{self, DayTicker, Trade};
use crate::{
    domain::{candle::Interval, pair::Pair},
    feed::{
        event::{Ticker, TradeReport},
        number::{Row, Text, Volume, Words, seconds},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            just_before, trades_in_order,
        },
        venue::ParseError,
    },
};

/// Candles that an answer may have.
const CANDLES: usize = 720;

/// Trades that an answer may have.
const TRADES: usize = 1_000;

/// Markets that are asked for at once: an address may not be too long.
const MARKETS: usize = 100;

/// What assets are called over REST where v2 of the WebSocket has another name.
const NAMES: &[(&str, &str)] = &[("BTC", "XBT"), ("DOGE", "XDG")];

/// Asks Kraken.
#[derive(Debug)]
pub(super) struct KrakenRest;

impl Rest for KrakenRest {
    fn base(&self) -> &'static str {
        "https://api.kraken.com/0/public"
    }

    /// Half of about one a second.
    fn budget(&self) -> Budget {
        Budget::new(5, 10)
    }

    fn instruments(&self) -> Query {
        Query::new("/AssetPairs")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let markets: BTreeMap<&str, Listing<'_>> = answer(body)?;
        Ok(markets.values().filter_map(listed).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/Ticker?pair={}", spelled(symbol)))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let day: DayTicker = only(body)?;
        Ok(v1::ticker(symbol, &day))
    }

    fn max_tickers(&self) -> usize {
        MARKETS
    }

    fn tickers(&self, symbols: &[&str]) -> Option<Query> {
        let names: Vec<String> = symbols.iter().map(|symbol| spelled(symbol)).collect();
        Some(Query::new(format!("/Ticker?pair={}", names.join(","))))
    }

    fn read_tickers<'a>(&self, symbols: &[&'a str], body: &'a str) -> Result<Vec<Ticker<'a>>, ParseError> {
        let days: BTreeMap<&str, DayTicker> = answer(body)?;
        let found = symbols.iter().filter_map(|symbol| {
            let (_, day) = days.iter().find(|(name, _)| names(name, symbol))?;
            Some(v1::ticker(symbol, day))
        });
        Ok(found.collect())
    }

    fn trades(&self, symbol: &str, since: DateTime<Utc>) -> Query {
        let before = just_before(since);
        let nanoseconds = format!("{}{:09}", before.timestamp(), before.timestamp_subsec_nanos());
        Query::new(format!("/Trades?pair={}&since={nanoseconds}&count={TRADES}", spelled(symbol)))
    }

    fn reach(&self) -> Reach {
        Reach::Oldest(TRADES)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let trades: Vec<Trade<'a>> = only(body)?;
        trades_in_order(
            trades.iter().map(|trade| Ok(TradeReport { snapshot: true, ..v1::trade(symbol, trade)? })),
        )
    }

    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        _to: DateTime<Utc>,
    ) -> Option<Query> {
        if matches!(interval, Interval::Second | Interval::Week) {
            return None;
        }
        let (minutes, since) = (interval.span().num_minutes(), just_before(from).timestamp());
        Some(Query::new(format!("/OHLC?pair={}&interval={minutes}&since={since}", spelled(symbol))))
    }

    fn max_candles(&self) -> usize {
        CANDLES
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let rows: Vec<Row<'_>> = only(body)?;
        candles_in_order(rows.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Answer<'a, T> {
    #[serde(borrow)]
    error: Vec<Words<'a>>,
    result: Option<T>,
}

#[derive(Deserialize)]
struct Listing<'a> {
    /// What v1 of the WebSocket calls it; absent from markets that it does not have.
    wsname: Option<&'a str>,
    /// Absent from older answers, which list what is traded.
    status: Option<&'a str>,
    /// What kind of thing is traded; shares of companies are none of ours.
    aclass_base: Option<&'a str>,
}

/// Spells a symbol of v2 (`BTC/USD`) as REST does (`XBTUSD`).
fn spelled(symbol: &str) -> String {
    let name = |asset: &str| {
        let found = NAMES.iter().find(|(name, _)| *name == asset);
        found.map_or(asset, |(_, name)| *name).to_owned()
    };
    symbol.split('/').map(name).collect()
}

/// Tells whether an answer's name of a market is that of a symbol: older assets have an X before their name there, and
/// currencies a Z.
fn names(name: &str, symbol: &str) -> bool {
    let Some((base, quote)) = symbol.split_once('/') else { return false };
    let [base, quote] = [base, quote].map(spelled);
    let before = name.strip_suffix(quote.as_str()).unwrap_or_default();
    let asset = |before: &str| before == base || before.strip_prefix(['X', 'Z']) == Some(base.as_str());
    asset(before) || before.strip_suffix(['X', 'Z']).is_some_and(asset)
}

/// Names a market as v2 of the WebSocket does: `XBT/USD` is `BTC/USD`.
fn listed(market: &Listing<'_>) -> Option<Instrument> {
    if market.aclass_base.is_some_and(|class| class != "currency") {
        return None;
    }
    let Pair { base, quote } = Pair::split_at(market.wsname?, '/').ok()?.canonical();
    let state = InstrumentState::of(market.status.unwrap_or("online"), "online");
    Instrument::spot(&format!("{base}/{quote}"), base.as_str(), quote.as_str(), state)
}

/// Reads an answer, or the refusal.
fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    let Answer { error, result } = serde_json::from_str::<Answer<'a, &RawValue>>(body)?;
    match (error.first(), result) {
        (None, Some(result)) => Ok(serde_json::from_str(result.get())?),
        (None, None) => Err(ParseError::value("result", "absent")),
        (Some(Words(words)), _) => Err(ParseError::refused(words)),
    }
}

/// Reads what an answer says of its only market; beside it may stand where to go on (`last`).
fn only<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    let mut markets: BTreeMap<&str, &RawValue> = answer(body)?;
    markets.remove("last");
    match (markets.pop_first(), markets.is_empty()) {
        (Some((_, market)), true) => Ok(serde_json::from_str(market.get())?),
        _ => Err(ParseError::value("result", "not one market")),
    }
}

fn candle(row: &Row<'_>) -> Result<CandleReport, ParseError> {
    let Text(time) = row.column(0)?;
    let time = seconds(time).ok_or_else(|| ParseError::value("time", time))?;
    let prices = [row.column(1)?, row.column(2)?, row.column(3)?, row.column(4)?];
    let Volume(base) = row.column(6)?;
    Ok(CandleReport {
        base_volume: Some(base),
        // The vwap is cut to the market's tick, so that it does not tell the volume in quote.
        quote_volume: None,
        trade_count: Some(row.column(7)?),
        ..CandleReport::of(time, prices)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::{expect::rest as expect, kraken::Kraken};

    const INFO: &str = r#"{"error":[],"result":{"ABCUSD":{"altname":"ABCUSD","wsname":"ABC/USD","aclass_base":"currency","base":"ABC","quote":"ZUSD","status":"post_only"},"ABCUSD.d":{"altname":"ABCUSD.d","base":"ABC","quote":"ZUSD","status":"online"},"XYZXUSD":{"wsname":"XYZx/USD","aclass_base":"tokenized_asset","status":"online"},"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD"},"XXDGXXBT":{"altname":"XDGXBT","wsname":"XDG/XBT","base":"XXDG","quote":"XXBT","status":"online"}}}"#;
    const TICKER: &str = r#"{"error":[],"result":{"ABCUSD":{"a":["1.51","3","3.0"],"b":["1.49","2","2.0"],"c":["1.50","0.25"],"v":["400.0","1000.5"],"p":["1.4","1.5"],"t":[3,9],"l":["1","1"],"h":["2","2"],"o":"1.3"}}}"#;
    const TRADES: &str = r#"{"error":[],"result":{"ABCUSD":[["1.50000","0.25",1700000000.0990001,"s","l","",7],["1.51","0.5",1700000000.1,"b","m","",8]],"last":"1700000000100000000"}}"#;
    const CANDLES: &str = r#"{"error":[],"result":{"ABCUSD":[[1699999980,"1.0","4.0","0.5","2.0","1.7","7",2],[1700000040,"2.0","2.0","2.0","2.0","0.0","0.0",0]],"last":1699999980}}"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &KrakenRest,
            "BTC/USD",
            &[
                "https://api.kraken.com/0/public/AssetPairs costs 1",
                "/Ticker?pair=XBTUSD costs 1",
                "/Trades?pair=XBTUSD&since=1700000000123456788&count=1000 costs 1",
            ],
        );
        let minutes = [1, 5, 15, 60, 240, 1440];
        let asked: Vec<_> = Interval::ALL
            .into_iter()
            .skip(1)
            .zip(minutes)
            .map(|(interval, minutes)| {
                (interval, format!("/OHLC?pair=XDGETH&interval={minutes}&since=1700000039 costs 1"))
            })
            .collect();
        expect::asks_candles(&KrakenRest, "DOGE/ETH", &asked);
    }

    #[test]
    fn several_markets_are_told_under_whichever_names_they_have() {
        let symbols = ["BTC/USD", "DOGE/BTC", "USDT/USD", "EUR/USD", "ABC/USD"];
        expect::asks_many(
            &KrakenRest,
            &symbols,
            &["/Ticker?pair=XBTUSD,XDGXBT,USDTUSD,EURUSD,ABCUSD costs 1"],
        );
        for (name, told) in [
            ("XXBTZUSD", Some("BTC/USD")),
            ("XBTUSD", Some("BTC/USD")),
            ("XXDGXXBT", Some("DOGE/BTC")),
            ("XDGXBT", Some("DOGE/BTC")),
            ("USDTZUSD", Some("USDT/USD")),
            ("ZEURZUSD", Some("EUR/USD")),
            ("ABCUSD", Some("ABC/USD")),
            ("ABCUSDT", None),
            ("AABCUSD", None),
            ("USD", None),
            ("XETHZUSD", None),
        ] {
            let body = TICKER.replace("ABCUSD", name);
            let line = told.map(|told| format!("{told} 1.49/1.51 last 1.5 base 1000.5 quote - at 0"));
            expect::many_tickers(
                &KrakenRest,
                &symbols,
                &body,
                &line.iter().map(String::as_str).collect::<Vec<_>>(),
            );
        }
    }

    #[test]
    fn answers_are_read() {
        expect::lists(
            &Kraken,
            INFO,
            &["ABC/USD ABC-USD suspended: post_only", "BTC/USD BTC-USD trading", "DOGE/BTC DOGE-BTC trading"],
        );
        expect::tickers(&KrakenRest, &[(TICKER, "A 1.49/1.51 last 1.5 base 1000.5 quote - at 0")]);
        let without_ids =
            r#"{"error":[],"result":{"ABCUSD":[["1.5","0.25",1700000000.0990001,"s","l",""]]}}"#;
        expect::trades(
            &KrakenRest,
            &[
                (TRADES, "7 Sell 0.25 at 1.5 1700000000.099000100|8 Buy 0.5 at 1.51 1700000000.100"),
                (without_ids, "- Sell 0.25 at 1.5 1700000000.099000100"),
                (r#"{"error":[],"result":{"ABCUSD":[],"last":"1"}}"#, ""),
            ],
        );
        expect::candles(
            &KrakenRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote - trades 2|1700000040 2 2 2 2 base 0 quote - trades 0",
                ),
                (r#"{"error":[],"result":{"ABCUSD":[],"last":1}}"#, ""),
            ],
        );
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"error":["EQuery:Unknown asset pair"]}"#;
        expect::refuses(&KrakenRest, refusal, "refused: EQuery:Unknown asset pair");
        for (text, kind) in [
            (TRADES.replace("ABCUSD", "last"), "value"),
            (TRADES.replace("\"s\"", "\"x\""), "value"),
            (TRADES.replace("1.50000", "0"), "value"),
            (TRADES.replace("1700000000.0990001", "\"soon\""), "value"),
            (r#"{"error":[]}"#.to_owned(), "value"),
            (r#"{"error":[],"result":{"A":[],"B":[]}}"#.to_owned(), "value"),
        ] {
            assert_eq!(KrakenRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        assert_eq!(KrakenRest.read_candles(&CANDLES.replace("0.5", "0")).unwrap_err().kind(), "value");
        expect::survives_answers(&KrakenRest, [INFO, TICKER, TRADES, CANDLES]);
    }
}
