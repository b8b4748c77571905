//! What it says, and what is made of that.

use super::*;
use crate::feed::venues::expect;

const TRADES: &str = r#"{"topic":"publicTrade.ABCUSDT","type":"snapshot","ts":1700000000100,"data":[{"T":1700000000099,"s":"ABCUSDT","S":"Sell","v":"0.25","p":"1.50","L":"PlusTick","i":"2100000000000000001","BT":false,"RPI":false}]}"#;
const DAY: &str = r#"{"topic":"tickers.ABCUSDT","type":"snapshot","ts":1700000000200,"cs":5,"data":{"symbol":"ABCUSDT","lastPrice":"1.5","highPrice24h":"2","lowPrice24h":"1","prevPrice24h":"1.4","volume24h":"1000.5","turnover24h":"1500.75","price24hPcnt":"0.07","usdIndexPrice":""}}"#;
const BOOK: &str = r#"{"topic":"orderbook.1.ABCUSDT","type":"snapshot","ts":1700000000300,"data":{"s":"ABCUSDT","b":[["1.49","3"]],"a":[["1.51","2"]],"u":41,"seq":900},"cts":1700000000298}"#;
const CHANGE: &str = r#"{"topic":"orderbook.1.ABCUSDT","type":"delta","ts":1700000000310,"data":{"s":"ABCUSDT","b":[["1.49","0"],["1.48","7"]],"a":[],"u":42,"seq":905},"cts":1700000000309}"#;
const TAKEN: &str = r#"{"success":true,"ret_msg":"subscribe","conn_id":"c-1","req_id":"","op":"subscribe"}"#;
const PONG: &str = r#"{"success":true,"ret_msg":"pong","conn_id":"c-1","req_id":"","op":"ping"}"#;

fn events(text: &str) -> Vec<Event<'_>> {
    Bybit.parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
}

/// Reads messages of one connection; tells best bid and ask after each, and where something was missed.
fn tops(texts: &[&str]) -> Vec<String> {
    let mut session = Session::default();
    let mut tops = Vec::new();
    for text in texts {
        tops.push(match Bybit.parse(&mut session, text) {
            Ok(parsed) => {
                let gap = parsed.events[0] == Event::Gap(Some("ABCUSDT"));
                let line = expect::line(&parsed.events[usize::from(gap)]);
                let gap = if gap { "gap " } else { "" };
                format!("{gap}{}", line.split(' ').nth(1).unwrap())
            }
            Err(error) => error.kind().to_owned(),
        });
    }
    tops
}

#[test]
fn a_trade_names_the_takers_side() {
    for (text, side) in [(TRADES, Side::Sell), (&TRADES.replace("Sell", "Buy"), Side::Buy)] {
        let events = events(text);
        let [Event::Trade(trade)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(
            (trade.symbol, trade.id, trade.side, trade.snapshot),
            ("ABCUSDT", Some("2100000000000000001"), side, false)
        );
        assert_eq!(trade.price.normalize().to_string(), "1.5");
        assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_099);
    }
}

#[test]
fn a_block_trade_says_nothing_about_the_book() {
    assert_eq!(events(&TRADES.replace(r#""BT":false"#, r#""BT":true"#)), []);
}

#[test]
fn the_day_comes_without_a_book() {
    let expected = "ABCUSDT - last 1.5 base 1000.5 quote 1500.75 at 1700000000200";
    assert_eq!(expect::line(&events(DAY)[0]), expected);
    let part = r#"{"topic":"tickers.ABCUSDT","type":"delta","ts":1700000000200,"data":{"symbol":"ABCUSDT","bid1Price":"1"}}"#;
    assert_eq!(expect::line(&events(part)[0]), "ABCUSDT - last - base - quote - at 1700000000200");
}

#[test]
fn the_book_follows_its_changes() {
    let empty = CHANGE.replace(r#"[["1.49","0"],["1.48","7"]]"#, r#"[["1.48","0"]]"#).replace("42", "43");
    let anew = BOOK.replace("41", "1").replace("snapshot", "delta").replace("1.49", "1.4");
    assert_eq!(
        tops(&[BOOK, CHANGE, &empty, &anew, BOOK, BOOK]),
        ["1.49/1.51", "1.48/1.51", "-/1.51", "1.4/1.51", "1.49/1.51", "1.49/1.51"]
    );
}

#[test]
fn after_a_missed_change_only_what_is_said_is_known() {
    let later = CHANGE.replace("42", "44");
    let next = CHANGE
        .replace(r#""b":[["1.49","0"],["1.48","7"]],"a":[]"#, r#""b":[],"a":[["1.51","0"],["1.5","2"]]"#)
        .replace("42", "45");
    assert_eq!(
        tops(&[BOOK, &later, &next, CHANGE, BOOK]),
        ["1.49/1.51", "gap 1.48/-", "1.48/1.5", "gap 1.48/-", "1.49/1.51"]
    );
    assert_eq!(tops(&[CHANGE, BOOK]), ["1.48/-", "1.49/1.51"]);
    let bad = CHANGE.replace(r#""7""#, r#""-7""#);
    let after = later.replace("44", "43");
    assert_eq!(tops(&[BOOK, &bad, &after]), ["1.49/1.51", "value", "gap 1.48/-"]);
}

#[test]
fn the_venue_takes_or_refuses() {
    let refused = r#"{"success":false,"ret_msg":"Invalid symbol :[tickers.XUSDT]","conn_id":"c-1","req_id":"","op":"subscribe"}"#;
    for (text, expected) in [
        (TAKEN, vec![Event::Subscribed]),
        (PONG, vec![]),
        (r#"{"op":"pong","args":["1700000000000"],"conn_id":"c-1"}"#, vec![]),
        (refused, vec![Event::Refused("Invalid symbol :[tickers.XUSDT]")]),
    ] {
        assert_eq!(events(text), expected, "{text}");
    }
}

#[test]
fn known_channels_that_are_not_used_are_ignored_by_name() {
    for channel in ["orderbook.50", "kline.1", "liquidation", "allLiquidation"] {
        let text = format!(r#"{{"topic":"{channel}.ABCUSDT","type":"snapshot","ts":1,"data":{{}}}}"#);
        let mut session = Session::default();
        assert_eq!(Bybit.parse(&mut session, &text), Ok(Parsed::ignored(channel)));
    }
}

#[test]
fn what_it_is_not_is_an_error() {
    for (text, kind) in [
        ("{}", "unknown_channel"),
        ("[]", "json"),
        (r#"{"op":"nonsense"}"#, "unknown_channel"),
        (r#"{"topic":"tickers"}"#, "unknown_channel"),
        (r#"{"topic":"nonsense.ABCUSDT","data":{}}"#, "unknown_channel"),
        (r#"{"topic":"publicTrade.ABCUSDT","ts":1}"#, "value"),
        (&TRADES.replace("1.50", "0"), "value"),
        (&TRADES.replace("1.50", "-1"), "value"),
        (&TRADES.replace("1.50", "1,5"), "json"),
        (&TRADES.replace("\"1.50\"", "null"), "json"),
        (&TRADES.replace("Sell", "sell"), "value"),
        (&TRADES.replace("1700000000099", "9223372036854775807"), "value"),
        (&DAY.replace(r#""ts":1700000000200,"#, ""), "value"),
        (&BOOK.replace("snapshot", "nonsense"), "value"),
        (&BOOK.replace("1.49", "0"), "value"),
        (&BOOK.replace(r#""3""#, r#""-3""#), "value"),
        (&BOOK.replace("41", "-41"), "json"),
    ] {
        let mut session = Session::default();
        assert_eq!(Bybit.parse(&mut session, text).unwrap_err().kind(), kind, "{text}");
    }
}

#[test]
fn symbols_read_and_spell() {
    expect::spells(
        &Bybit,
        &[
            ("BTCUSDT", "BTC-USDT Spot"),
            ("ETHBTC", "ETH-BTC Spot"),
            ("BTCPERP", "BTC-USDC Perpetual"),
            ("BTCUSDU23", "BTC-USD Dated"),
        ],
        &["", "BTC", "USDT", "PERP", "U23", "BTC-USDT", "BTC-29DEC23", "BTC-29DEC23-30000-C", "比特币USDT"],
    );
}

#[test]
fn each_market_is_subscribed_by_a_message_of_its_own() {
    let messages = Bybit.subscribe(&["ABCUSDT".to_owned(), "XYZUSDT".to_owned()], DateTime::default());
    assert_eq!(messages.len(), 2);
    assert_eq!(
        messages[0],
        r#"{"args":["publicTrade.ABCUSDT","orderbook.1.ABCUSDT","tickers.ABCUSDT"],"op":"subscribe"}"#
    );
}

#[test]
fn hostile_frames_are_errors() {
    expect::survives(&Bybit, &[TRADES, DAY, BOOK, TAKEN, PONG]);
    expect::survives_after(&Bybit, &[BOOK], &[CHANGE]);
}
