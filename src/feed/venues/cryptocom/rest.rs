//! Crypto.com over REST: `{"code": 0, "result": {"data"}}`, any other code a refusal with its words in `message`.
//!
//! Objects have the fields of the WebSocket's messages. Trades come newest first, from the newest back to the moment that is
//! asked for, 150 at most. A candle is `{"t", "o", "h", "l", "c", "v"}`, `t` when it opens in milliseconds and `v` in units
//! of base. A range is asked for a millisecond earlier on both sides, so that it is the same whether its ends are
//! inclusive or not. Candles of seven days are not asked for, as nothing says on which day they begin. Contracts are
//! listed beside spot. Source: Crypto.com's public exchange documentation, and a recorded list of markets (v2, whose
//! fields have other names).

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Day, Trade};
use crate::{
    domain::candle::Interval,
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Volume, Words, millis},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            trades_in_order,
        },
        venue::ParseError,
    },
};

/// Candles that an answer may have.
const CANDLES: usize = 300;

/// Trades that an answer may have.
const TRADES: usize = 150;

/// Asks Crypto.com.
#[derive(Debug)]
pub(in crate::feed::venues) struct CryptoComRest;

impl Rest for CryptoComRest {
    fn base(&self) -> &'static str {
        "https://api.crypto.com/exchange/v1"
    }

    /// Half of 100 a second.
    fn budget(&self) -> Budget {
        Budget::new(50, 1)
    }

    fn instruments(&self) -> Query {
        Query::new("/public/get-instruments")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let listings: Vec<Listing<'_>> = answer(body)?;
        let spot = listings.iter().filter(|listing| listing.kind.is_none_or(|kind| kind == "CCY_PAIR"));
        let read = |listing: &Listing<'_>| {
            let state = match listing.tradable {
                None | Some(true) => InstrumentState::Trading,
                Some(false) => InstrumentState::Suspended("not tradable".to_owned()),
            };
            Instrument::spot(listing.symbol, listing.base_ccy, listing.quote_ccy, state)
        };
        Ok(spot.filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/public/get-tickers?instrument_name={symbol}"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let days: Vec<Day<'_>> = answer(body)?;
        let found = days.iter().find(|day| day.i == symbol);
        super::day(symbol, found.ok_or_else(|| ParseError::unknown_symbol(symbol))?)
    }

    fn trades(&self, symbol: &str, since: DateTime<Utc>) -> Query {
        let since = since.timestamp_millis();
        Query::new(format!("/public/get-trades?instrument_name={symbol}&count={TRADES}&start_ts={since}"))
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
        let name = match interval {
            Interval::Minute
            | Interval::FiveMinutes
            | Interval::QuarterHour
            | Interval::Hour
            | Interval::FourHours => interval.as_str(),
            Interval::Day => "1D",
            Interval::Second | Interval::Week => return None,
        };
        let (start, end) = (from.timestamp_millis() - 1, to.timestamp_millis() - 1);
        let range = format!("count={CANDLES}&start_ts={start}&end_ts={end}");
        Some(Query::new(format!("/public/get-candlestick?instrument_name={symbol}&timeframe={name}&{range}")))
    }

    fn max_candles(&self) -> usize {
        CANDLES
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let candles: Vec<Candle> = answer(body)?;
        candles_in_order(candles.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    code: i64,
    #[serde(borrow)]
    message: Option<Words<'a>>,
    #[serde(borrow)]
    result: Option<Answer<'a>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, alias = "instruments")]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Listing<'a> {
    #[serde(alias = "instrument_name")]
    symbol: &'a str,
    #[serde(rename = "inst_type")]
    kind: Option<&'a str>,
    #[serde(alias = "base_currency")]
    base_ccy: &'a str,
    #[serde(alias = "quote_currency")]
    quote_ccy: &'a str,
    tradable: Option<bool>,
}

#[derive(Deserialize)]
struct Candle {
    t: i64,
    o: Number,
    h: Number,
    l: Number,
    c: Number,
    v: Volume,
}

fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    let Envelope { code, message, result } = serde_json::from_str(body)?;
    if code != 0 {
        let code = code.to_string();
        return Err(ParseError::refused(message.map_or(&code, |Words(words)| words)));
    }
    let result = result.ok_or_else(|| ParseError::value("result", "absent"))?;
    Ok(serde_json::from_str(result.data.get())?)
}

fn candle(candle: &Candle) -> Result<CandleReport, ParseError> {
    let open_time = millis(candle.t).ok_or_else(|| ParseError::value("t", candle.t))?;
    let prices = [candle.o, candle.h, candle.l, candle.c];
    Ok(CandleReport { base_volume: Some(candle.v.0), ..CandleReport::of(open_time, prices)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::{cryptocom::CryptoCom, expect::rest as expect};

    const LIST: &str = r#"{"id":1,"method":"public/get-instruments","code":0,"result":{"data":[{"symbol":"ABC_USDT","inst_type":"CCY_PAIR","display_name":"ABC/USDT","base_ccy":"ABC","quote_ccy":"USDT","tradable":true},{"symbol":"XYZ_USD","inst_type":"CCY_PAIR","base_ccy":"XYZ","quote_ccy":"USD","tradable":false},{"symbol":"ABCUSD-PERP","inst_type":"PERPETUAL_SWAP","base_ccy":"ABC","quote_ccy":"USD","tradable":true},{"symbol":"币_USD","inst_type":"CCY_PAIR","base_ccy":"币","quote_ccy":"USD","tradable":true}]}}"#;
    const OLD_LIST: &str = r#"{"id":-1,"method":"public/get-instruments","code":0,"result":{"instruments":[{"instrument_name":"ABC_USDT","quote_currency":"USDT","base_currency":"ABC","price_decimals":5}]}}"#;
    const TICKERS: &str = r#"{"id":-1,"method":"public/get-tickers","code":0,"result":{"data":[{"i":"A","h":"2","l":"1","a":"1.50","v":"1000.5","vv":"1500.75","c":"0.1","b":"1.49","k":"1.51","t":1700000000099}]}}"#;
    const PAST: &str = r#"{"id":-1,"method":"public/get-trades","code":0,"result":{"data":[{"s":"sell","p":"1.50","q":"0.25","t":1700000000099,"tn":1700000000099000001,"d":"4611686018455979971","i":"B"},{"s":"BUY","p":"1.4","q":"2","t":1700000000099,"d":"4611686018455979970","i":"B"}]}}"#;
    const BARS: &str = r#"{"id":-1,"method":"public/get-candlestick","code":0,"result":{"interval":"1m","data":[{"o":"2.0","h":"2.5","l":"1.5","c":"2.2","v":"10.5","t":1700000040000},{"o":"1.0","h":"4.0","l":"0.5","c":"2.0","v":"7","t":1699999980000}],"instrument_name":"B"}}"#;
    const NONE: &str = r#"{"id":-1,"method":"public/get-trades","code":0,"result":{"data":[]}}"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &CryptoComRest,
            "ABC_USDT",
            &[
                "https://api.crypto.com/exchange/v1/public/get-instruments costs 1",
                "/public/get-tickers?instrument_name=ABC_USDT costs 1",
                "/public/get-trades?instrument_name=ABC_USDT&count=150&start_ts=1700000000123 costs 1",
            ],
        );
        let asked = |interval, name| {
            let range = "count=300&start_ts=1700000039999&end_ts=1700000099999 costs 1";
            (interval, format!("/public/get-candlestick?instrument_name=ABC_USDT&timeframe={name}&{range}"))
        };
        expect::asks_candles(
            &CryptoComRest,
            "ABC_USDT",
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
    fn answers_are_read() {
        expect::lists(
            &CryptoCom,
            LIST,
            &["ABC_USDT ABC-USDT trading", "XYZ_USD XYZ-USD suspended: not tradable"],
        );
        expect::lists(&CryptoCom, OLD_LIST, &["ABC_USDT ABC-USDT trading"]);
        expect::tickers(
            &CryptoComRest,
            &[(TICKERS, "A 1.49/1.51 last 1.5 base 1000.5 quote - at 1700000000099")],
        );
        expect::trades(
            &CryptoComRest,
            &[
                (
                    PAST,
                    "4611686018455979970 Buy 2 at 1.4 1700000000.099|4611686018455979971 Sell 0.25 at 1.5 1700000000.099",
                ),
                (NONE, ""),
            ],
        );
        expect::candles(
            &CryptoComRest,
            &[
                (
                    BARS,
                    "1699999980 1 4 0.5 2 base 7 quote - trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote - trades -",
                ),
                (NONE, ""),
            ],
        );
        assert_eq!(CryptoComRest.read_instruments(NONE), Ok(vec![]));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal =
            r#"{"id":-1,"method":"public/get-trades","code":40004,"message":"Missing or invalid argument"}"#;
        expect::refuses(&CryptoComRest, refusal, "refused: Missing or invalid argument");
        expect::refuses(&CryptoComRest, r#"{"code":50001}"#, "refused: 50001");
        expect::refuses(&CryptoComRest, r#"{"code":0}"#, "bad result: `absent`");
        assert_eq!(CryptoComRest.read_ticker("A", NONE).unwrap_err().kind(), "unknown_symbol");
        for (text, kind) in [
            (PAST.replace("1.50", "0"), "value"),
            (PAST.replace("1.50", "1,5"), "json"),
            (PAST.replace("sell", "hold"), "value"),
            (PAST.replace("\"t\":1700000000099", "\"t\":9223372036854775807"), "value"),
        ] {
            assert_eq!(CryptoComRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        for (text, kind) in [
            (BARS.replace("\"2.2\"", "\"-2\""), "value"),
            (BARS.replace("\"v\":\"7\",", ""), "json"),
            (BARS.replace("1700000040000", "9223372036854775807"), "value"),
        ] {
            assert_eq!(CryptoComRest.read_candles(&text).unwrap_err().kind(), kind, "{text}");
        }
        expect::survives_answers(&CryptoComRest, [LIST, TICKERS, PAST, BARS]);
    }
}
