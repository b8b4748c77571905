//! Coinbase over REST: Advanced Trade's `/api/v3/brokerage/market`, which can be asked without a key.
//!
//! Best bid and ask stand in one answer with the newest trades, whose ids are those of the WebSocket and whose side is
//! the **maker's**. They come newest first, 1,000 at most; from a moment on only with another one to end at, so that the
//! newest are asked for. A ticker has no volume; what is told of one product has. A candle is `{"start", "low", "high", "open", "close", "volume"}` with
//! seconds, newest first, both ends of a range inclusive; where nothing was traded there is none. Products that are
//! another name of a product (`alias`: `BTC-USDC` of `BTC-USD`) share its book, and the WebSocket tells their trades under
//! the other name: they are no markets of their own. The older Exchange API's ticker and products are understood too.
//! Source: Coinbase's public documentation, and recordings.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Trade;
use crate::{
    domain::{candle::Interval, quote::TopOfBook},
    feed::{
        event::{Ticker, TradeReport},
        number::{Number, Text, Volume, Words, optional, seconds, side},
        rest::{
            Budget, CandleReport, Instrument, InstrumentState, Query, Reach, Rest, answer, candles_in_order,
            just_before, trades_in_order,
        },
        venue::ParseError,
    },
};

/// Candles that an answer may have; the documentation says 350, and 300 come.
const CANDLES: usize = 300;

/// Trades that an answer may have.
const TRADES: usize = 1_000;

/// Asks Coinbase.
#[derive(Debug)]
pub(super) struct CoinbaseRest;

impl Rest for CoinbaseRest {
    fn base(&self) -> &'static str {
        "https://api.coinbase.com/api/v3/brokerage/market"
    }

    /// Half of ten a second.
    fn budget(&self) -> Budget {
        Budget::new(5, 1)
    }

    fn instruments(&self) -> Query {
        Query::new("/products?product_type=SPOT")
    }

    fn read_instruments(&self, body: &str) -> Result<Vec<Instrument>, ParseError> {
        let products = match read(body)? {
            Products::Advanced { products } | Products::Exchange(products) => products,
            Products::One(product) => vec![product],
        };
        Ok(products.iter().filter_map(listed).collect())
    }

    fn ticker(&self, symbol: &str) -> Query {
        Query::new(format!("/products/{symbol}/ticker?limit=1"))
    }

    fn read_ticker<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let day: Day<'a> = read(body)?;
        let newest = day.trades.iter().max_by_key(|trade| trade.time.0);
        Ok(Ticker {
            symbol,
            book: Some(TopOfBook { bid: side(day.best_bid), ask: side(day.best_ask) }),
            last: side(day.price.or(newest.map(|trade| trade.price))),
            base_volume_24h: day.volume.map(|Volume(volume)| volume),
            quote_volume_24h: None,
            time: day.time.or(newest.map(|trade| trade.time.0)),
        })
    }

    fn volume(&self, symbol: &str) -> Query {
        Query::new(format!("/products/{symbol}"))
    }

    fn read_volume<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Ticker<'a>, ParseError> {
        let turnover: Turnover = read(body)?;
        Ok(Ticker {
            symbol,
            last: side(turnover.price),
            base_volume_24h: turnover.volume_24h.map(|Volume(volume)| volume),
            ..Ticker::default()
        })
    }

    fn trades(&self, symbol: &str, _since: DateTime<Utc>) -> Query {
        Query::new(format!("/products/{symbol}/ticker?limit={TRADES}"))
    }

    fn reach(&self) -> Reach {
        Reach::Newest(TRADES)
    }

    fn read_trades<'a>(&self, symbol: &'a str, body: &'a str) -> Result<Vec<TradeReport<'a>>, ParseError> {
        let Trades { trades } = read(body)?;
        trades_in_order(trades.iter().map(|trade| Ok(TradeReport { symbol, ..super::trade(trade, true)? })))
    }

    fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Query> {
        let granularity = match interval {
            Interval::Minute => "ONE_MINUTE",
            Interval::FiveMinutes => "FIVE_MINUTE",
            Interval::QuarterHour => "FIFTEEN_MINUTE",
            Interval::Hour => "ONE_HOUR",
            Interval::FourHours => "FOUR_HOUR",
            Interval::Day => "ONE_DAY",
            Interval::Second | Interval::Week => return None,
        };
        let (start, end) = (from.timestamp(), just_before(to).timestamp());
        let range = format!("granularity={granularity}&start={start}&end={end}");
        Some(Query::new(format!("/products/{symbol}/candles?{range}")))
    }

    fn max_candles(&self) -> usize {
        CANDLES
    }

    fn read_candles(&self, body: &str) -> Result<Vec<CandleReport>, ParseError> {
        let Candles { candles } = read(body)?;
        candles_in_order(candles.iter().map(candle))
    }
}

/// What is said where an answer should be: over Advanced Trade beside a short name of the error, over Exchange alone.
#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    message: Words<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Products<'a> {
    Advanced {
        #[serde(borrow)]
        products: Vec<Product<'a>>,
    },
    Exchange(Vec<Product<'a>>),
    /// What is said of one product alone.
    One(Product<'a>),
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "that is how the venue says what a market is limited to")]
struct Product<'a> {
    #[serde(alias = "product_id")]
    id: &'a str,
    #[serde(alias = "base_currency")]
    base_currency_id: &'a str,
    #[serde(alias = "quote_currency")]
    quote_currency_id: &'a str,
    /// Absent from older answers, which list what is traded.
    status: Option<&'a str>,
    #[serde(rename = "product_type")]
    kind: Option<&'a str>,
    #[serde(default)]
    alias: &'a str,
    #[serde(default)]
    is_disabled: bool,
    #[serde(default)]
    trading_disabled: bool,
    #[serde(default)]
    cancel_only: bool,
    #[serde(default)]
    limit_only: bool,
    #[serde(default)]
    post_only: bool,
    #[serde(default)]
    auction_mode: bool,
    #[serde(default)]
    view_only: bool,
}

/// A ticker: best bid and ask beside trades, or (Exchange) beside the last price, volume and time.
#[derive(Deserialize)]
struct Day<'a> {
    #[serde(alias = "bid", deserialize_with = "optional")]
    best_bid: Option<Number>,
    #[serde(alias = "ask", deserialize_with = "optional")]
    best_ask: Option<Number>,
    #[serde(borrow, default)]
    trades: Vec<Trade<'a>>,
    #[serde(default, deserialize_with = "optional")]
    price: Option<Number>,
    volume: Option<Volume>,
    time: Option<DateTime<Utc>>,
}

/// What is said of one product beside what it is.
#[derive(Deserialize)]
struct Turnover {
    #[serde(deserialize_with = "optional")]
    price: Option<Number>,
    volume_24h: Option<Volume>,
}

#[derive(Deserialize)]
struct Trades<'a> {
    #[serde(borrow)]
    trades: Vec<Trade<'a>>,
}

#[derive(Deserialize)]
struct Candles<'a> {
    #[serde(borrow)]
    candles: Vec<Candle<'a>>,
}

#[derive(Deserialize)]
struct Candle<'a> {
    #[serde(borrow)]
    start: Text<'a>,
    low: Number,
    high: Number,
    open: Number,
    close: Number,
    volume: Volume,
}

/// Reads an answer, or the refusal that stands in its place.
fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ParseError> {
    answer(body, |refusal: Refusal<'a>| refusal.message)
}

fn listed(product: &Product<'_>) -> Option<Instrument> {
    if product.kind.is_some_and(|kind| kind != "SPOT") || !product.alias.is_empty() {
        return None;
    }
    let limits = [
        (product.is_disabled, "is_disabled"),
        (product.trading_disabled, "trading_disabled"),
        (product.cancel_only, "cancel_only"),
        (product.limit_only, "limit_only"),
        (product.post_only, "post_only"),
        (product.auction_mode, "auction_mode"),
        (product.view_only, "view_only"),
    ];
    let status = product.status.filter(|status| *status != "online");
    let limit = limits.iter().find_map(|(limited, name)| limited.then_some(*name));
    let state = InstrumentState::of(status.or(limit).unwrap_or("online"), "online");
    Instrument::spot(product.id, product.base_currency_id, product.quote_currency_id, state)
}

fn candle(candle: &Candle<'_>) -> Result<CandleReport, ParseError> {
    let Text(start) = candle.start;
    let time = seconds(start).ok_or_else(|| ParseError::value("start", start))?;
    let prices = [candle.open, candle.high, candle.low, candle.close];
    Ok(CandleReport { base_volume: Some(candle.volume.0), ..CandleReport::of(time, prices)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{
        event::Event,
        venues::{
            coinbase::Coinbase,
            expect::{line, rest as expect},
        },
    };

    const INFO: &str = r#"{"products":[{"product_id":"ABC-USD","status":"online","product_type":"SPOT","base_currency_id":"ABC","quote_currency_id":"USD","alias":"","alias_to":["ABC-USDC"],"is_disabled":false,"trading_disabled":false},{"product_id":"ABC-USDC","status":"online","product_type":"SPOT","base_currency_id":"ABC","quote_currency_id":"USDC","alias":"ABC-USD"},{"product_id":"FUT-31DEC27-CDE","status":"online","product_type":"FUTURE","base_currency_id":"","quote_currency_id":"USD"},{"product_id":"B.C-USD","status":"online","product_type":"SPOT","base_currency_id":"B.C","quote_currency_id":"USD"}],"num_products":4}"#;
    const TICKER: &str = r#"{"trades":[{"trade_id":"7","product_id":"ABC-USD","price":"1.48","size":"1","time":"2023-11-14T22:13:20.05Z","side":"BUY"},{"trade_id":"8","product_id":"ABC-USD","price":"1.50","size":"1","time":"2023-11-14T22:13:20.099Z","side":"SELL"}],"best_bid":"1.49","best_ask":""}"#;
    const TRADES: &str = r#"{"trades":[{"trade_id":"8","product_id":"ABC-USD","price":"1.51","size":"0.5","time":"2023-11-14T22:13:20.099001Z","side":"SELL","bid":"","ask":""},{"trade_id":"7","product_id":"ABC-USD","price":"1.5","size":"2","time":"2023-11-14T22:13:20.099Z","side":"BUY","bid":"","ask":""}],"best_bid":"1.49","best_ask":"1.51"}"#;
    const CANDLES: &str = r#"{"candles":[{"start":"1700000040","low":"1.5","high":"2.5","open":"2.0","close":"2.2","volume":"10.5"},{"start":"1699999980","low":"0.5","high":"4.0","open":"1.0","close":"2.0","volume":"7"}]}"#;

    #[test]
    fn a_volume_is_asked_of_the_product() {
        let asked = CoinbaseRest.volume("ABC-USD");
        assert_eq!((asked.path.as_str(), asked.weight), ("/products/ABC-USD", 1));
        let body = r#"{"product_id":"ABC-USD","price":"1.5","price_percentage_change_24h":"1","volume_24h":"1000.5","status":"online"}"#;
        let told = CoinbaseRest.read_volume("ABC-USD", body).unwrap();
        assert_eq!(line(&Event::Ticker(told)), "ABC-USD - last 1.5 base 1000.5 quote - at 0");
        let refusal = r#"{"error":"NOT_FOUND","message":"no product"}"#;
        assert_eq!(CoinbaseRest.read_volume("A", refusal).unwrap_err().kind(), "refused");
    }

    #[test]
    fn it_asks_in_the_venues_words() {
        expect::asks(
            &CoinbaseRest,
            "ABC-USD",
            &[
                "https://api.coinbase.com/api/v3/brokerage/market/products?product_type=SPOT costs 1",
                "/products/ABC-USD/ticker?limit=1 costs 1",
                "/products/ABC-USD/ticker?limit=1000 costs 1",
            ],
        );
        let words = ["ONE_MINUTE", "FIVE_MINUTE", "FIFTEEN_MINUTE", "ONE_HOUR", "FOUR_HOUR", "ONE_DAY"];
        let asked: Vec<_> = Interval::ALL
            .into_iter()
            .skip(1)
            .zip(words)
            .map(|(interval, word)| {
                let range = format!("granularity={word}&start=1700000040&end=1700000099");
                (interval, format!("/products/ABC-USD/candles?{range} costs 1"))
            })
            .collect();
        expect::asks_candles(&CoinbaseRest, "ABC-USD", &asked);
    }

    #[test]
    fn answers_are_read() {
        expect::lists(&Coinbase, INFO, &["ABC-USD ABC-USD trading"]);
        expect::lists(&Coinbase, r#"{"products":[]}"#, &[]);
        let one = r#"{"product_id":"ABC-USD","status":"online","base_currency_id":"ABC","quote_currency_id":"USD"}"#;
        expect::lists(&Coinbase, one, &["ABC-USD ABC-USD trading"]);
        expect::tickers(
            &CoinbaseRest,
            &[
                (TICKER, "A 1.49/- last 1.5 base - quote - at 1700000000099"),
                (r#"{"trades":[],"best_bid":"1","best_ask":"2"}"#, "A 1/2 last - base - quote - at 0"),
            ],
        );
        expect::trades(
            &CoinbaseRest,
            &[
                (TRADES, "7 Sell 2 at 1.5 1700000000.099|8 Buy 0.5 at 1.51 1700000000.099001"),
                (r#"{"trades":[]}"#, ""),
            ],
        );
        expect::candles(
            &CoinbaseRest,
            &[
                (
                    CANDLES,
                    "1699999980 1 4 0.5 2 base 7 quote - trades -|1700000040 2 2.5 1.5 2.2 base 10.5 quote - trades -",
                ),
                (r#"{"candles":[]}"#, ""),
            ],
        );
    }

    #[test]
    fn a_product_with_a_limit_is_not_traded() {
        for (given, expected) in [
            ("\"status\":\"delisted\"", "delisted"),
            ("\"status\":\"online\",\"post_only\":true", "post_only"),
            ("\"status\":\"online\",\"limit_only\":true", "limit_only"),
            ("\"status\":\"online\",\"cancel_only\":true", "cancel_only"),
            ("\"status\":\"online\",\"auction_mode\":true", "auction_mode"),
            ("\"status\":\"online\",\"trading_disabled\":true", "trading_disabled"),
            ("\"status\":\"online\",\"is_disabled\":true", "is_disabled"),
            ("\"status\":\"online\",\"view_only\":true", "view_only"),
        ] {
            let body = format!(
                r#"{{"products":[{{"product_id":"ABC-USD",{given},"base_currency_id":"ABC","quote_currency_id":"USD"}}]}}"#
            );
            expect::lists(&Coinbase, &body, &[&format!("ABC-USD ABC-USD suspended: {expected}")]);
        }
    }

    #[test]
    fn the_older_interface_is_understood() {
        let products = r#"[{"id":"ABC-EUR","base_currency":"ABC","quote_currency":"EUR","display_name":"ABC/EUR"},{"id":"XYZ-EUR","base_currency":"XYZ","quote_currency":"EUR","status":"delisted","trading_disabled":true}]"#;
        expect::lists(
            &Coinbase,
            products,
            &["ABC-EUR ABC-EUR trading", "XYZ-EUR XYZ-EUR suspended: delisted"],
        );
        let ticker = r#"{"trade_id":7,"price":"1.50","size":"1","bid":"1.49","ask":"1.51","volume":"1000.5","time":"2023-11-14T22:13:20.099Z"}"#;
        let expected = "A 1.49/1.51 last 1.5 base 1000.5 quote - at 1700000000099";
        expect::tickers(&CoinbaseRest, &[(ticker, expected)]);
    }

    #[test]
    fn what_it_is_not_is_an_error() {
        let refusal = r#"{"error":"NOT_FOUND","error_details":"valid product_id is required","message":"valid product_id is required"}"#;
        expect::refuses(&CoinbaseRest, refusal, "refused: valid product_id is required");
        expect::refuses(&CoinbaseRest, r#"{"message":"NotFound"}"#, "refused: NotFound");
        for (text, kind) in [
            ("{}", "json"),
            (&*TRADES.replace("SELL", "BOTH"), "value"),
            (&TRADES.replace("\"1.51\",\"size", "\"0\",\"size"), "value"),
            (&TRADES.replace("20.099001Z", "61Z"), "json"),
        ] {
            assert_eq!(CoinbaseRest.read_trades("A", text).unwrap_err().kind(), kind, "{text}");
        }
        assert_eq!(CoinbaseRest.read_ticker("A", "{}").unwrap_err().kind(), "json");
        assert_eq!(
            CoinbaseRest.read_candles(&CANDLES.replace("\"1700000040\"", "-")).unwrap_err().kind(),
            "json"
        );
        assert_eq!(
            CoinbaseRest.read_candles(&CANDLES.replace("1700000040", "soon")).unwrap_err().kind(),
            "value"
        );
        expect::survives_answers(&CoinbaseRest, [INFO, TICKER, TRADES, CANDLES]);
    }
}
