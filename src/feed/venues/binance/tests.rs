//! What it says, and what is made of that.

use super::*;
use crate::feed::venues::expect;

const AGGREGATE: &str = r#"{"stream":"abcusdt@aggTrade","data":{"e":"aggTrade","E":1700000000100,"s":"ABCUSDT","a":7,"p":"1.5000","q":"2","f":1,"l":1,"T":1700000000099,"m":true,"M":true}}"#;
const TRADE: &str = r#"{"stream":"abcusdt@trade","data":{"e":"trade","E":1700000000100,"s":"ABCUSDT","t":9,"p":"1.5","q":"2","b":3,"a":4,"T":1700000000099,"m":false}}"#;
const BEST: &str =
    r#"{"stream":"abcusdt@bookTicker","data":{"u":1,"s":"ABCUSDT","b":"1.49","B":"3","a":"0.00","A":"0"}}"#;
const DAY: &str = r#"{"stream":"abcusdt@ticker","data":{"e":"24hrTicker","E":1700000000200,"s":"ABCUSDT","c":"1.5","b":"1.49","a":"1.51","v":"1000.50","q":"1500.75"}}"#;
const FUTURE_DAY: &str = r#"{"stream":"abcusdt@ticker","data":{"e":"24hrTicker","E":1700000000200,"s":"ABCUSDT","c":"1.5","v":"1000","q":"1500"}}"#;

fn event(text: &str) -> Event<'_> {
    let parsed = message(text).unwrap();
    parsed.events.into_iter().next().unwrap()
}

#[test]
fn a_trade_names_the_takers_side() {
    for (text, id, side) in [(AGGREGATE, "7", Side::Sell), (TRADE, "9", Side::Buy)] {
        let Event::Trade(trade) = event(text) else { panic!("no trade: {text}") };
        assert_eq!((trade.symbol, trade.id, trade.side, trade.snapshot), ("ABCUSDT", Some(id), side, false));
        assert_eq!(trade.price.normalize().to_string(), "1.5");
        assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_099);
    }
}

#[test]
fn what_an_insurance_fund_takes_over_is_no_trade() {
    for (origin, trades) in [("MARKET", 1), ("INSURANCE_FUND", 0)] {
        let text = TRADE.replace(r#""m":false"#, &format!(r#""X":"{origin}","m":false"#));
        assert_eq!(message(&text).unwrap().events.len(), trades, "{origin}");
    }
}

#[test]
fn tickers_carry_what_their_stream_does() {
    for (text, expected) in [
        (BEST, "ABCUSDT 1.49/- last - base - quote - at 0"),
        (DAY, "ABCUSDT 1.49/1.51 last 1.5 base 1000.5 quote 1500.75 at 1700000000200"),
        (
            &FUTURE_DAY.replace("ABCUSDT", "ABCUSD_PERP"),
            "ABCUSD_PERP - last 1.5 base 1500 quote - at 1700000000200",
        ),
        (&BEST.replace("abcusdt@", "!"), "ABCUSDT 1.49/- last - base - quote - at 0"),
        (FUTURE_DAY, "ABCUSDT - last 1.5 base 1000 quote 1500 at 1700000000200"),
    ] {
        assert_eq!(expect::line(&event(text)), expected);
    }
}

#[test]
fn subscriptions_are_answered() {
    assert_eq!(event(r#"{"result":null,"id":1}"#), Event::Subscribed);
    let refused = r#"{"error":{"code":2,"msg":"Invalid \"stream\""},"id":1}"#;
    assert_eq!(event(refused), Event::Refused(r#"Invalid \"stream\""#));
}

#[test]
fn known_streams_that_are_not_used_are_ignored_by_name() {
    for channel in ["depth@100ms", "kline_1m", "miniTicker", "avgPrice", "markPrice@1s", "forceOrder"] {
        let text = format!(r#"{{"stream":"abcusdt@{channel}","data":{{}}}}"#);
        assert_eq!(message(&text), Ok(Parsed::ignored(channel)));
    }
}

#[test]
fn what_it_is_not_is_an_error() {
    for (text, kind) in [
        ("", "json"),
        ("[]", "json"),
        ("{}", "unknown_channel"),
        ("null", "json"),
        (r#"{"stream":"abc"}"#, "value"),
        (r#"{"stream":"abc","data":{}}"#, "unknown_channel"),
        (r#"{"stream":"!abc@arr","data":{}}"#, "unknown_channel"),
        (r#"{"stream":"abc@nonsense","data":{}}"#, "unknown_channel"),
        (r#"{"stream":"abc@aggTrade","data":{}}"#, "json"),
        (&AGGREGATE.replace("1.5000", "0.000"), "value"),
        (&AGGREGATE.replace("1.5000", "-1.5"), "value"),
        (&AGGREGATE.replace("1.5000", "1,500"), "json"),
        (&AGGREGATE.replace("1.5000", "NaN"), "json"),
        (&AGGREGATE.replace("\"1.5000\"", "null"), "json"),
        (&AGGREGATE.replace("1700000000099", "9223372036854775807"), "value"),
    ] {
        assert_eq!(message(text).unwrap_err().kind(), kind, "{text}");
    }
}

#[test]
fn the_end_of_a_connection_is_announced() {
    for text in [
        r#"{"e":"serverShutdown","E":1770123456789}"#,
        r#"{"E":1770123456789,"e":"serverShutdown"}"#,
        r#"{"stream":"serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#,
    ] {
        assert!(matches!(event(text), Event::GoingAway(_)), "{text}");
    }
    assert_eq!(message(r#"{"e":"serverStart","E":1}"#).unwrap_err().kind(), "unknown_channel");
}

#[test]
fn symbols_read_and_spell() {
    expect::spells(
        &Binance,
        &[("BTCUSDT", "BTC-USDT Spot"), ("ETHBTC", "ETH-BTC Spot")],
        &["", "BTC", "USDT", "BTC_USDT", "比特币USDT"],
    );
    expect::spells(
        &BinanceFutures,
        &[
            ("BTCUSDT", "BTC-USDT Perpetual"),
            ("BTCUSD_PERP", "BTC-USD Perpetual"),
            ("BTCUSD_210625", "BTC-USD Dated"),
        ],
        &["", "BTC", "_PERP"],
    );
}

#[test]
fn a_subscription_names_three_streams_per_market() {
    let messages = Binance.subscribe(&["ABCUSDT".to_owned()], DateTime::default());
    assert_eq!(
        messages,
        [
            r#"{"id":1,"method":"SUBSCRIBE","params":["abcusdt@aggTrade","abcusdt@bookTicker","abcusdt@ticker"]}"#
        ]
    );
}

#[test]
fn hostile_frames_are_errors() {
    expect::survives(&Binance, &[AGGREGATE, TRADE, BEST, DAY, FUTURE_DAY]);
}
