//! What the suites of other clients assert about a message, held against what ours says.

use chrono::{DateTime, Utc};
use cryptoprice::{
    domain::{decimal, pair::Pair, trade::Side},
    feed::{
        event::{Event, Parsed, Ticker, TradeReport},
        venue::Protocol,
    },
};
use rust_decimal::Decimal;
use serde_json::{Map, Value};

/// What a trade or a ticker says, spelled as both sides can: symbol, side or nothing, numbers, milliseconds.
type Said = (String, String, [Option<Decimal>; 2], Option<i64>);

/// Holds a message against named fields, such as `trade.price`. Fields of what is not read (candles, funding) and of
/// what is not kept (books but for their best prices, amounts of the best bid) are passed over.
pub(super) fn fields(protocol: &dyn Protocol, parsed: &Parsed<'_>, expected: &Value, name: &str) {
    let expected = expected.as_object().unwrap();
    for event in &parsed.events {
        let Some((symbol, _)) = heading(event) else {
            continue;
        };
        let pair = protocol.market(symbol).unwrap().pair;
        let pair = Pair::new(protocol.canonical(pair.base), protocol.canonical(pair.quote));
        let pair = format!("{}/{}", pair.base, pair.quote);
        assert!(expected.get("pair").is_none_or(|e| *e == pair), "{name}: {pair}");
        let named = expected.get("extracted_symbol");
        assert!(named.is_none_or(|e| e == symbol || e == "ALL"), "{name}: {symbol}");
    }
    message_time(parsed, expected.get("extracted_timestamp_ms"), name);
    message_time(parsed, expected.get("bbo_msg.timestamp"), name);
    for at in 0..2 {
        trade_fields(parsed, at, expected, name);
    }
    best_fields(parsed, expected, name);
    book_fields(parsed, expected, name);
}

/// Holds a message against normalized events. A ticker is looked at where one is expected, because the suite says
/// nothing about the tickers of a day.
pub(super) fn normalized(parsed: &Parsed<'_>, expected: &[Value], name: &str) {
    let of = |kind: &str| expected.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let (mut trades, mut tickers) = (Vec::new(), Vec::new());
    for event in &parsed.events {
        match event {
            Event::Trade(trade) => trades.push(trade_said(trade)),
            Event::Ticker(ticker) => tickers.push(ticker_said(ticker)),
            _ => {}
        }
    }
    let mut expected_trades: Vec<Said> =
        of("trade").into_iter().map(|event| said(event, "price", "amount")).collect();
    trades.sort();
    expected_trades.sort();
    assert_eq!(trades, expected_trades, "{name}");

    let expected_tickers = of("book_ticker");
    if !expected_tickers.is_empty() {
        let mut expected: Vec<Said> =
            expected_tickers.into_iter().map(|event| said(event, "bidPrice", "askPrice")).collect();
        // A message without a time is given that of its receipt.
        for (our, their) in tickers.iter().zip(&mut expected) {
            their.3 = their.3.filter(|_| our.3.is_some());
        }
        assert_eq!(tickers, expected, "{name}");
    }
}

/// Holds the time of a message against its events. Some venues stamp a message apart from what it tells.
fn message_time(parsed: &Parsed<'_>, expected: Option<&Value>, name: &str) {
    let times: Vec<i64> =
        parsed.events.iter().filter_map(|event| heading(event)?.1).map(|t| t.timestamp_millis()).collect();
    if let (Some(expected), false) = (expected.and_then(Value::as_i64), times.is_empty()) {
        let near = times.iter().any(|time| time.abs_diff(expected) < 1000);
        assert!(near, "{name}: {times:?}, expected {expected}");
    }
}

fn trade_fields(parsed: &Parsed<'_>, at: usize, expected: &Map<String, Value>, name: &str) {
    let field = |field: &str| {
        let plain = format!("trade.{field}");
        let listed = format!("trades[{at}].{field}");
        expected
            .get(&listed)
            .or_else(|| expected.get(&plain).filter(|_| at == 0))
            .filter(|value| !value.is_null())
    };
    let Some(side) = field("side") else {
        return;
    };
    let mut trades = parsed.events.iter().filter_map(|event| match event {
        Event::Trade(trade) => Some(trade),
        _ => None,
    });
    let trade = trades.nth(at).unwrap_or_else(|| panic!("{name}: no trade {at}"));
    assert_eq!(format!("{:?}", trade.side), side.as_str().unwrap(), "{name}");
    let amount = field("quantity_contract").or_else(|| field("quantity_base")).and_then(number);
    assert_eq!(Some(trade.amount), amount, "{name}");
    if let Some(price) = field("price") {
        assert_eq!(Some(trade.price), number(price), "{name}");
    }
    if let Some(time) = field("timestamp") {
        assert_eq!(Some(trade.time.timestamp_millis()), time.as_i64(), "{name}");
    }
}

fn best_fields(parsed: &Parsed<'_>, expected: &Map<String, Value>, name: &str) {
    let Some(ask) = expected.get("bbo_msg.ask_price") else {
        return;
    };
    let [Event::Ticker(ticker)] = parsed.events.as_slice() else { panic!("{name}: {parsed:?}") };
    let book = ticker.book.unwrap();
    assert_eq!(book.ask, number(ask), "{name}");
    assert_eq!(book.bid, number(&expected["bbo_msg.bid_price"]), "{name}");
}

/// Holds the first level of each side of a book, where best bid and ask are read out of it.
fn book_fields(parsed: &Parsed<'_>, expected: &Map<String, Value>, name: &str) {
    let [Event::Ticker(ticker)] = parsed.events.as_slice() else {
        return;
    };
    let book = ticker.book.unwrap_or_default();
    for (field, ours) in [("orderbook.bids[0].price", book.bid), ("orderbook.asks[0].price", book.ask)] {
        if let Some(price) = expected.get(field) {
            assert_eq!(ours, number(price), "{name}");
        }
    }
}

fn heading<'a>(event: &Event<'a>) -> Option<(&'a str, Option<DateTime<Utc>>)> {
    match event {
        Event::Trade(trade) => Some((trade.symbol, Some(trade.time))),
        Event::Ticker(ticker) => Some((ticker.symbol, ticker.time)),
        Event::Confirm(_) | Event::Gap(_) | Event::Subscribed | Event::Refused(_) | Event::GoingAway(_) => {
            None
        }
    }
}

fn trade_said(trade: &TradeReport<'_>) -> Said {
    let side = match trade.side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    };
    let id = trade.id.unwrap_or_default();
    (
        spelled(trade.symbol),
        format!("{side} {id}"),
        [Some(trade.price), Some(trade.amount)],
        millis(Some(trade.time)),
    )
}

fn ticker_said(ticker: &Ticker<'_>) -> Said {
    let book = ticker.book.unwrap_or_default();
    (spelled(ticker.symbol), String::new(), [book.bid, book.ask], millis(ticker.time))
}

fn said(event: &Value, first: &str, second: &str) -> Said {
    let side =
        event["side"].as_str().map(|side| format!("{side} {}", event["id"].as_str().unwrap_or_default()));
    let time: DateTime<Utc> = event["timestamp"].as_str().unwrap().parse().unwrap();
    (
        spelled(event["symbol"].as_str().unwrap()),
        side.unwrap_or_default(),
        [number(&event[first]), number(&event[second])],
        millis(Some(time)),
    )
}

/// The suite writes symbols in capitals, and those of Bitfinex without the `t`.
fn spelled(symbol: &str) -> String {
    symbol
        .strip_prefix('t')
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        .unwrap_or(symbol)
        .to_uppercase()
}

fn millis(time: Option<DateTime<Utc>>) -> Option<i64> {
    time.map(|time| time.timestamp_millis())
}

fn number(value: &Value) -> Option<Decimal> {
    value.is_number().then(|| decimal::parse_venue(&value.to_string()).unwrap())
}
