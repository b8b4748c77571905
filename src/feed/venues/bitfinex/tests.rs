//! What it says, and what is made of that.

use super::*;
use crate::feed::venues::expect;

const SUBSCRIBED: &[&str] = &[
    r#"{"event":"subscribed","channel":"trades","chanId":7,"symbol":"tABCUSD","pair":"ABCUSD"}"#,
    r#"{"event":"subscribed","channel":"ticker","chanId":8,"symbol":"tABCUSD","pair":"ABCUSD"}"#,
    r#"{"event":"subscribed","channel":"book","chanId":9,"symbol":"tABCUSD","prec":"P0","freq":"F0","len":"25","pair":"ABCUSD"}"#,
    r#"{"event":"subscribed","channel":"candles","chanId":10,"key":"trade:1m:tABCUSD"}"#,
    r#"{"event":"subscribed","channel":"ticker","chanId":11,"symbol":"fUSD","currency":"USD"}"#,
];
const PAST: &str = "[7,[[31,1700000000099,-0.25,1.50],[30,1700000000001,2,1.4e0]]]";
const EXECUTED: &str = r#"[7,"te",[32,1700000000100,-0.25,1.50],18,1700000000101]"#;
const BOOKED: &str = r#"[7,"tu",[32,1700000000100,-0.25,1.50],19,1700000000102]"#;
const TICKER: &str = "[8,[1.49,2,1.51,3.0000000000000004,9.7e-06,0.0096,1.50,1000.5,2,1],20]";

fn parse<'a>(session: &'a mut Session, text: &'a str) -> Result<Parsed<'a>, ParseError> {
    for message in SUBSCRIBED {
        Bitfinex.parse(session, message).unwrap();
    }
    Bitfinex.parse(session, text)
}

fn events(text: &str) -> Vec<Event<'_>> {
    parse(Box::leak(Box::default()), text).unwrap().events.into_vec()
}

#[test]
fn past_trades_come_first() {
    let events = events(PAST);
    let [Event::Trade(newer), Event::Trade(older)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((newer.id, newer.side, newer.snapshot), (Some("31"), Side::Sell, true));
    assert_eq!((older.id, older.side, older.snapshot), (Some("30"), Side::Buy, true));
    assert_eq!(newer.amount.normalize().to_string(), "0.25");
}

#[test]
fn a_trade_that_is_told_twice_counts_once() {
    let executed = events(EXECUTED);
    let [Event::Trade(trade)] = executed.as_slice() else { panic!("{executed:?}") };
    assert_eq!(
        (trade.symbol, trade.id, trade.side, trade.snapshot),
        ("tABCUSD", Some("32"), Side::Sell, false)
    );
    assert_eq!(trade.price.normalize().to_string(), "1.5");
    assert_eq!(trade.time.timestamp_millis(), 1_700_000_000_100);
    assert_eq!(events(BOOKED), []);
}

#[test]
fn a_ticker_is_a_row_of_numbers() {
    for (text, expected) in [
        (TICKER, "tABCUSD 1.49/1.51 last 1.5 base 1000.5 quote - at 0"),
        ("[8,[null,0,1.51,3,null,null,null,0,null,null,null]]", "tABCUSD -/1.51 last - base 0 quote - at 0"),
    ] {
        assert_eq!(expect::line(&events(text)[0]), expected);
    }
}

#[test]
fn only_the_heartbeat_of_a_ticker_confirms_what_is_quoted() {
    assert_eq!(events(r#"[8,"hb",21]"#), [Event::Confirm(Some("tABCUSD"))]);
    for text in [r#"[7,"hb"]"#, r#"[9,"hb"]"#, r#"[99,"hb"]"#] {
        assert_eq!(events(text), [], "{text}");
    }
}

#[test]
fn answers_are_told() {
    for (text, expected) in [
        (r#"{"event":"info","version":2,"platform":{"status":1}}"#, vec![]),
        (r#"{"event":"conf","status":"OK","flags":65536}"#, vec![]),
        (r#"{"event":"info","code":20051,"msg":"Stopping"}"#, vec![Event::GoingAway("Stopping")]),
        (r#"{"event":"info","code":20061,"msg":"Resuming"}"#, vec![Event::GoingAway("Resuming")]),
        (r#"{"event":"info","code":20099,"msg":"Other"}"#, vec![]),
        (
            r#"{"event":"error","msg":"symbol: invalid","code":10300}"#,
            vec![Event::Refused("symbol: invalid")],
        ),
    ] {
        assert_eq!(events(text), expected, "{text}");
    }
}

#[test]
fn a_silence_during_maintenance_confirms_nothing() {
    let begins = [
        r#"{"event":"info","code":20060,"msg":"Entering in Maintenance mode"}"#,
        r#"{"event":"info","version":2,"platform":{"status":0}}"#,
    ];
    for begins in begins {
        let mut session = Session::default();
        assert_eq!(parse(&mut session, begins).unwrap().events.to_vec(), [Event::Gap(None)]);
        assert_eq!(parse(&mut session, begins).unwrap().events.to_vec(), [], "once");
        assert_eq!(parse(&mut session, r#"[8,"hb"]"#).unwrap().events.to_vec(), []);
        assert_eq!(parse(&mut session, TICKER).unwrap().events.len(), 1, "what is said is heard");
    }
}

#[test]
fn a_connection_has_no_more_channels_than_the_venue_bears() {
    let symbols: Vec<String> = (0..Bitfinex.limits().markets).map(|n| format!("tA{n}:USD")).collect();
    assert!(Bitfinex.subscribe(&symbols, DateTime::UNIX_EPOCH).len() <= 25);
}

#[test]
fn what_is_unsubscribed_is_forgotten() {
    let mut session = Session::default();
    parse(&mut session, r#"{"event":"unsubscribed","status":"OK","chanId":8}"#).unwrap();
    let error = Bitfinex.parse(&mut session, TICKER).unwrap_err();
    assert_eq!(error, ParseError::UnknownChannel("number 8".to_owned()));
}

#[test]
fn what_is_not_used_is_ignored_by_name() {
    for (text, channel) in [
        ("[9,[1.5,2,-3]]", "book"),
        (r#"[9,"cs",123]"#, "book"),
        ("[10,[1700000000000,1,1,1,1,2]]", "candles"),
        ("[11,[1.25e-05,7.88e-06,90]]", "ticker"),
    ] {
        let mut session = Session::default();
        assert_eq!(parse(&mut session, text), Ok(Parsed::ignored(channel)));
    }
}

#[test]
fn what_it_is_not_is_an_error() {
    for (text, expected) in [
        ("{}", "json"),
        ("[]", "unknown_channel"),
        ("[8]", "unknown_channel"),
        ("[-8,[]]", "json"),
        ("[99,[]]", "unknown_channel"),
        (r#"{"event":"nonsense"}"#, "unknown_channel"),
        (r#"{"event":"subscribed","channel":"ticker"}"#, "value"),
        (r#"[7,"nonsense"]"#, "unknown_channel"),
        (r#"[7,"te"]"#, "value"),
        ("[8,[1,2,3]]", "value"),
        (&EXECUTED.replace("1.50", "0"), "value"),
        (&EXECUTED.replace("1.50", "-1.5"), "value"),
        (&EXECUTED.replace("-0.25", "0"), "value"),
        (&EXECUTED.replace("1.50", "null"), "json"),
        (&EXECUTED.replace("1700000000100", "9223372036854775807"), "value"),
    ] {
        let mut session = Session::default();
        let error = parse(&mut session, text).unwrap_err();
        assert_eq!(error.kind(), expected, "{text}");
    }
}

#[test]
fn symbols_read_and_spell() {
    expect::spells(
        &Bitfinex,
        &[
            ("tBTCUSD", "BTC-USD Spot"),
            ("tBTCUST", "BTC-UST Spot"),
            ("tDUSK:USD", "DUSK-USD Spot"),
            ("tTESTBTC:TESTUSD", "TESTBTC-TESTUSD Spot"),
            ("tBTCF0:USTF0", "BTC-UST Perpetual"),
        ],
        &["", "t", "BTCUSD", "fUSD", "tBTC", "tDUSKUSD", "t:USD", "téééé"],
    );
    for (name, canonical) in [("UST", "USDT"), ("IOT", "IOTA"), ("DOG", "MDOGE")] {
        assert_eq!(Bitfinex.canonical(Asset::literal(name)), Asset::literal(canonical));
    }
    let tether = Pair::literal("BTC", "USDT");
    assert_eq!(Bitfinex.symbol(tether), "tBTCUST");
}

#[test]
fn each_channel_of_each_market_is_subscribed_apart() {
    let messages = Bitfinex.subscribe(&["tABCUSD".to_owned()], DateTime::default());
    assert_eq!(
        messages,
        [
            r#"{"channel":"trades","event":"subscribe","symbol":"tABCUSD"}"#,
            r#"{"channel":"ticker","event":"subscribe","symbol":"tABCUSD"}"#,
        ]
    );
}

#[test]
fn hostile_frames_are_errors() {
    expect::survives(&Bitfinex, SUBSCRIBED);
    let heartbeat = r#"[8,"hb"]"#;
    expect::survives_after(&Bitfinex, SUBSCRIBED, &[PAST, EXECUTED, BOOKED, TICKER, heartbeat]);
}
