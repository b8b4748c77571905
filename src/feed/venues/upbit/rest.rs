//! Upbit over REST: `/v1`, bare lists, a refusal as `{"error": {"message"}}`.
//!
//! Objects have long field names. A ticker has no bid and ask, which `orderbook` has, and the time of
//! its last trade; both tell of several markets at once. The last 500 trades can be
//! had at once, newest first. Candles are asked for by their number and an exclusive end, 200 at most, and come newest
//! first; their times are UTC without saying so, their prices `opening_price`, `high_price`, `low_price` and `trade_price`.
//! Intervals without trades are left out, so that older candles than were asked for may come. Weeks begin on Monday.
//! Markets are listed with warnings to investors at most, which stop no trading, and not with a state: what is listed is
//! taken for traded. Source: Upbit's public documentation, and recordings.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;

use super::Upbit;
use crate::{
    domain::{candle::Interval, quote::TopOfBook},
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Text, Volume, positive, side},
        rest::{
            self, Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, candles_in_order,
            trades_in_order,
        },
        venue::{ParseError, Protocol},
    },
};

/// Candles that an answer may have.
const CANDLES: i64 = 200;

/// Trades that an answer may have.
const TRADES: usize = 500;

/// Markets that are asked for at once.
const MARKETS: usize = 50;

/// Asks Upbit.
#[derive(Debug)]
pub(in crate::feed::venues) struct UpbitRest;

impl Rest for UpbitRest {
    fn base(&self) -> &'static str {
        "https://api.upbit.com/v1"
    }

    /// Half of ten a second, which is allowed for each kind of question.
    fn budget(&self) -> Budget {
        Budget::new(5, 1)
    }

    fn instruments(&self) -> Query {
        Query::new("/market/all")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let listings: Vec<Listing<'_>> = answer(body)?;
        let read = |listing: &Listing<'_>| {
            let market = Upbit.market(listing.market).ok()?;
            Some(Instrument { symbol: listing.market.to_owned(), market, state: InstrumentState::Trading })
        };
        Ok(listings.iter().filter_map(read).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/ticker?markets={symbol}"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let days: Vec<Day<'a>> = answer(body)?;
        let found = days.iter().find(|day| day.market == symbol);
        let day = found.ok_or_else(|| ParseError::unknown_symbol(symbol))?;
        Ok(Ticker {
            symbol,
            book: None,
            last: side(Some(day.trade_price)),
            base_volume_24h: day.acc_trade_volume_24h.map(|Volume(volume)| volume),
            quote_volume_24h: day.acc_trade_price_24h.map(|Volume(volume)| volume),
            time: Some(super::time("trade_timestamp", day.trade_timestamp)?),
        })
    }

    fn max_tickers(&self) -> usize {
        MARKETS
    }

    fn tickers(&self, symbols: &[&str]) -> Option<Query> {
        Some(Query::new(format!("/ticker?markets={}", symbols.join(","))))
    }

    fn books(&self, symbols: &[&str]) -> Option<Query> {
        Some(Query::new(format!("/orderbook?markets={}&count=1", symbols.join(","))))
    }

    fn read_book(&self, symbol: &str, body: &str) -> Result<TopOfBook, ParseError> {
        let books: Vec<Book<'_>> = answer(body)?;
        let found = books.iter().find(|book| book.market == symbol);
        let best = found.ok_or_else(|| ParseError::unknown_symbol(symbol))?.orderbook_units.first();
        let [bid, ask] = [best.map(|unit| unit.bid_price), best.map(|unit| unit.ask_price)].map(side);
        Ok(TopOfBook { bid, ask })
    }

    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/trades/ticks?market={symbol}&count={TRADES}"))
    }

    fn reach(&self) -> Reach {
        Reach::Newest(TRADES)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let trades: Vec<Tick<'a>> = answer(body)?;
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
            Interval::Second => "seconds",
            Interval::Minute => "minutes/1",
            Interval::FiveMinutes => "minutes/5",
            Interval::QuarterHour => "minutes/15",
            Interval::Hour => "minutes/60",
            Interval::FourHours => "minutes/240",
            Interval::Day => "days",
            Interval::Week => "weeks",
        };
        let begun = (to - from).num_seconds() + interval.seconds() - 1;
        let count = (begun / interval.seconds()).clamp(1, CANDLES);
        let to = to.format("%Y-%m-%dT%H:%M:%SZ");
        Some(Query::new(format!("/candles/{name}?market={symbol}&to={to}&count={count}")))
    }

    fn max_candles(&self) -> usize {
        200
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let candles: Vec<Bar<'_>> = answer(body)?;
        candles_in_order(candles.iter().map(candle))
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: super::Refusal<'a>,
}

#[derive(Deserialize)]
struct Listing<'a> {
    market: &'a str,
}

#[derive(Deserialize)]
struct Day<'a> {
    market: &'a str,
    trade_timestamp: i64,
    trade_price: Number,
    acc_trade_volume_24h: Option<Volume>,
    acc_trade_price_24h: Option<Volume>,
}

#[derive(Deserialize)]
struct Book<'a> {
    market: &'a str,
    /// The best first.
    orderbook_units: Vec<Unit>,
}

#[derive(Deserialize)]
struct Unit {
    bid_price: Number,
    ask_price: Number,
}

#[derive(Deserialize)]
struct Tick<'a> {
    timestamp: i64,
    trade_price: Number,
    trade_volume: Number,
    ask_bid: &'a str,
    #[serde(borrow)]
    sequential_id: Text<'a>,
}

#[derive(Deserialize)]
struct Bar<'a> {
    candle_date_time_utc: &'a str,
    opening_price: Number,
    high_price: Number,
    low_price: Number,
    trade_price: Number,
    candle_acc_trade_volume: Volume,
    candle_acc_trade_price: Volume,
}

fn answer<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    rest::answer::<_, Refusal<'a>>(body, |refusal| refusal.error.message)
}

fn trade<'a>(symbol: &'a str, trade: &Tick<'a>) -> Result<TradeReport<'a>, ParseError> {
    Ok(TradeReport {
        symbol,
        id: Some(trade.sequential_id.0),
        count: 1,
        price: positive("trade_price", trade.trade_price)?,
        amount: positive("trade_volume", trade.trade_volume)?,
        side: super::taker("ask_bid", trade.ask_bid)?,
        time: super::time("timestamp", trade.timestamp)?,
        snapshot: true,
    })
}

fn candle(candle: &Bar<'_>) -> Result<CandleReport, ParseError> {
    let text = candle.candle_date_time_utc;
    let open_time: NaiveDateTime =
        text.parse().map_err(|_| ParseError::value("candle_date_time_utc", text))?;
    let prices = [candle.opening_price, candle.high_price, candle.low_price, candle.trade_price];
    Ok(CandleReport {
        base_volume: Some(candle.candle_acc_trade_volume.0),
        quote_volume: Some(candle.candle_acc_trade_price.0),
        ..CandleReport::of(open_time.and_utc(), prices)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::venues::expect::rest as expect;

    const LIST: &str = r#"[{"market":"KRW-ABC","korean_name":"에이비씨","english_name":"Abc","market_event":{"warning":true,"caution":{"PRICE_FLUCTUATIONS":false}}},{"market":"BTC-XYZ","korean_name":"x","english_name":"Xyz"},{"market":"KRW-币","korean_name":"x","english_name":"x"}]"#;
    const TICKER: &str = r#"[{"market":"A","trade_date":"20231114","trade_timestamp":1700000000000,"opening_price":1.00000000,"trade_price":1.50,"acc_trade_price":1.5E3,"acc_trade_price_24h":1500.750000,"acc_trade_volume":7,"acc_trade_volume_24h":1000.5,"timestamp":1700000000099}]"#;
    const BOOKS: &str = r#"[{"market":"KRW-ABC","timestamp":1700000000099,"total_ask_size":1.5,"total_bid_size":2,"orderbook_units":[{"ask_price":151.0,"bid_price":149.0,"ask_size":1.5,"bid_size":2},{"ask_price":152,"bid_price":148,"ask_size":1,"bid_size":1}],"level":0},{"market":"BTC-XYZ","orderbook_units":[{"ask_price":2,"bid_price":0.0,"ask_size":1,"bid_size":0}]},{"market":"KRW-EMPTY","orderbook_units":[]}]"#;
    const TRADES: &str = r#"[{"market":"B","trade_date_utc":"2023-11-14","trade_time_utc":"22:13:20","timestamp":1700000000099,"trade_price":1.50,"trade_volume":0.25,"prev_closing_price":1,"change_price":0.5,"ask_bid":"ASK","sequential_id":17000000000990001},{"market":"B","timestamp":1700000000099,"trade_price":1.4,"trade_volume":2,"ask_bid":"BID","sequential_id":17000000000990000}]"#;
    const CANDLES: &str = r#"[{"market":"B","candle_date_time_utc":"2023-11-14T22:14:00","candle_date_time_kst":"2023-11-15T07:14:00","opening_price":2.0,"high_price":2.5,"low_price":1.5,"trade_price":2.2,"timestamp":1700000050000,"candle_acc_trade_price":21.5,"candle_acc_trade_volume":10.5,"unit":1},{"market":"B","candle_date_time_utc":"2023-11-14T22:13:00","opening_price":1.0,"high_price":4.0,"low_price":0.5,"trade_price":2.0,"timestamp":1,"candle_acc_trade_price":14,"candle_acc_trade_volume":7}]"#;

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &UpbitRest,
            "KRW-ABC",
            &[
                "https://api.upbit.com/v1/market/all costs 1",
                "/ticker?markets=KRW-ABC costs 1",
                "/trades/ticks?market=KRW-ABC&count=500 costs 1",
            ],
        );
        let asked = |interval, name, count| {
            let range = format!("to=2023-11-14T22:15:00Z&count={count} costs 1");
            (interval, format!("/candles/{name}?market=KRW-ABC&{range}"))
        };
        expect::asks_candles(
            &UpbitRest,
            "KRW-ABC",
            &[
                asked(Interval::Second, "seconds", 60),
                asked(Interval::Minute, "minutes/1", 1),
                asked(Interval::FiveMinutes, "minutes/5", 1),
                asked(Interval::QuarterHour, "minutes/15", 1),
                asked(Interval::Hour, "minutes/60", 1),
                asked(Interval::FourHours, "minutes/240", 1),
                asked(Interval::Day, "days", 1),
                asked(Interval::Week, "weeks", 1),
            ],
        );
    }

    #[test]
    fn several_markets_and_their_books_are_asked_for_at_once() {
        let symbols = ["KRW-ABC", "BTC-XYZ", "KRW-NO"];
        expect::asks_many(
            &UpbitRest,
            &symbols[..2],
            &[
                "/ticker?markets=KRW-ABC,BTC-XYZ costs 1",
                "/orderbook?markets=KRW-ABC,BTC-XYZ&count=1 costs 1",
            ],
        );
        expect::asks_many(
            &UpbitRest,
            &symbols[..1],
            &["/ticker?markets=KRW-ABC costs 1", "/orderbook?markets=KRW-ABC&count=1 costs 1"],
        );
        let day = |market, price| {
            TICKER.replace("\"A\"", &format!("\"{market}\"")).replace("1.50,", price).replace(['[', ']'], "")
        };
        let days = format!("[{},{}]", day("BTC-XYZ", "7,"), day("KRW-ABC", "8,"));
        expect::many_tickers(
            &UpbitRest,
            &symbols,
            &days,
            &[
                "KRW-ABC - last 8 base 1000.5 quote 1500.75 at 1700000000000",
                "BTC-XYZ - last 7 base 1000.5 quote 1500.75 at 1700000000000",
            ],
        );
        let book = |symbol| UpbitRest.read_book(symbol, BOOKS).map(|book| (book.bid, book.ask));
        assert_eq!(book("KRW-ABC"), Ok((Some(149.into()), Some(151.into()))));
        // A side without orders is zero.
        assert_eq!(book("BTC-XYZ"), Ok((None, Some(2.into()))));
        assert_eq!(book("KRW-EMPTY"), Ok((None, None)));
        assert_eq!(book("KRW-NO").unwrap_err().kind(), "unknown_symbol");
        assert_eq!(UpbitRest.read_book("A", r#"{"error":{"message":"no"}}"#).unwrap_err().kind(), "refused");
        assert_eq!(UpbitRest.read_book("A", "[{}]").unwrap_err().kind(), "json");
    }

    #[test]
    fn no_more_candles_are_asked_for_than_an_answer_has() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (from, to, count) in [
            ("2023-11-14T22:00:00Z", "2023-11-14T22:00:00Z", 1),
            ("2023-11-14T22:00:00Z", "2023-11-14T22:01:30Z", 2),
            ("2023-11-14T22:00:00Z", "2023-11-14T23:00:00Z", 60),
            ("2023-11-14T00:00:00Z", "2023-11-14T22:00:00Z", 200),
            ("2023-11-14T22:00:00Z", "2023-11-14T00:00:00Z", 1),
        ] {
            let query = UpbitRest.candles("KRW-ABC", Interval::Minute, time(from), time(to)).unwrap();
            assert!(query.path.ends_with(&format!("&count={count}")), "{query:?}");
        }
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Upbit, LIST, &["KRW-ABC ABC-KRW trading", "BTC-XYZ XYZ-BTC trading"]);
        expect::tickers(&UpbitRest, &[(TICKER, "A - last 1.5 base 1000.5 quote 1500.75 at 1700000000000")]);
        expect::trades(
            &UpbitRest,
            &[
                (
                    TRADES,
                    "17000000000990000 Buy 2 at 1.4 1700000000.099|17000000000990001 Sell 0.25 at 1.5 1700000000.099",
                ),
                ("[]", ""),
            ],
        );
        expect::candles(
            &UpbitRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote 14 trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote 21.5 trades -",
                ),
                ("[]", ""),
            ],
        );
        assert_eq!(UpbitRest.read_instruments("[]"), Ok(vec![]));
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"error":{"name":404,"message":"Code not found"}}"#;
        expect::refuses(&UpbitRest, refusal, "refused: Code not found");
        assert_eq!(UpbitRest.read_ticker("A", "[]").unwrap_err().kind(), "unknown_symbol");
        for (text, kind) in [
            (TRADES.replace("1.50", "0"), "value"),
            (TRADES.replace("1.50", "\"1,5\""), "json"),
            (TRADES.replace("ASK", "ask"), "value"),
        ] {
            assert_eq!(UpbitRest.read_trades("A", &text).unwrap_err().kind(), kind, "{text}");
        }
        for (text, kind) in [
            (CANDLES.replace("2.2", "-2"), "value"),
            (CANDLES.replace(",\"candle_acc_trade_volume\":7", ""), "json"),
            (CANDLES.replace("2023-11-14T22:14:00", "2023-11-14T22:14:00+09:00"), "value"),
        ] {
            assert_eq!(UpbitRest.read_candles(&text).unwrap_err().kind(), kind, "{text}");
        }
        expect::survives_answers(&UpbitRest, [LIST, TICKER, TRADES, CANDLES]);
    }
}
