//! Single messages out of the test suites of three other clients are read to the fields that those suites assert.
//!
//! `crypto_msg_parser` holds messages with the fields of one trade or ticker each; `tardis` messages in the order of
//! a connection, with normalized trades and best bids and asks; `nautilus` messages of public channels alone. What
//! is left out is named with its reason, and must exist.

mod expected;

use std::{borrow::Cow, collections::HashSet, path::Path};

use cryptoprice::feed::{
    event::{Event, Parsed},
    recording::protocol_for,
    venue::{Channel, Protocol, Session},
};
use serde_json::{Value, json};

use crate::data;

/// A file of messages.
struct Source {
    /// The file, without its ending.
    file: &'static str,
    /// The exchange, as recordings name it.
    exchange: &'static str,
    /// Messages that are not read, and why: by name, by what their names begin with up to `::`, or by their places
    /// from the first to before the last (`0..38`).
    left_out: &'static [(&'static str, &'static str)],
    /// What the connection said before the messages begin.
    earlier: &'static [&'static str],
    /// The venue does not mark past trades, so that those which come first are taken for past ones. The suite's
    /// messages begin in the middle of a connection, where they are not.
    past_is_unmarked: bool,
}

const REST: &str = "the answer to a REST call";
const OLD: &str = "a protocol that the venue no longer speaks";
const DERIVATIVES: &str = "a feed of derivatives, with a host and a protocol of its own";

const CRYPTO_MSG_PARSER: &[Source] = &[
    Source {
        left_out: &[
            ("trade::option", DERIVATIVES),
            ("ticker::option", DERIVATIVES),
            ("l2_snapshot::", REST),
            ("open_interest::", REST),
        ],
        ..Source::of("binance", "BINANCE")
    },
    Source {
        left_out: &[
            ("trade::spot_tu", "it repeats the `te` that counts"),
            ("trade::swap_tu", "it repeats the `te` that counts"),
            ("l2_snapshot::", REST),
        ],
        ..Source::of("bitfinex", "BITFINEX")
    },
    Source { left_out: &[("l2_snapshot", REST)], ..Source::of("bitstamp", "BITSTAMP") },
    Source {
        left_out: &[("trade", "the suite passes on the maker's side as if it were the taker's")],
        ..Source::of("coinbase_pro", "COINBASE")
    },
    Source {
        left_out: &[
            ("trade::spot_20210916", OLD),
            ("trade::inverse_swap", DERIVATIVES),
            ("trade::linear_swap_2", DERIVATIVES),
            ("l2_event::spot_snapshot_20200916", OLD),
            ("l2_event::spot_update_20210916", OLD),
            ("l2_event::inverse_swap_update", DERIVATIVES),
            ("l2_event::linear_swap_update", DERIVATIVES),
            ("l2_event::linear_future_snapshot", DERIVATIVES),
            ("l2_event::linear_future_update", DERIVATIVES),
            ("l2_topk::inverse_swap", DERIVATIVES),
            ("l2_topk::linear_swap", DERIVATIVES),
            ("bbo::inverse_swap", DERIVATIVES),
            ("bbo::linear_swap", DERIVATIVES),
            ("candlestick::", DERIVATIVES),
            ("ticker::spot_sample_2", OLD),
            ("ticker::inverse_future", DERIVATIVES),
            ("ticker::inverse_swap", DERIVATIVES),
            ("l2_snapshot::", REST),
            ("open_interest::", REST),
        ],
        ..Source::of("gate", "GATEIO")
    },
    Source {
        left_out: &[
            ("funding_rate::", DERIVATIVES),
            ("bbo::inverse_future", DERIVATIVES),
            ("bbo::inverse_swap", DERIVATIVES),
            ("bbo::linear_swap", DERIVATIVES),
        ],
        ..Source::of("huobi", "HUOBI")
    },
    Source {
        left_out: &[
            ("trade::", DERIVATIVES),
            ("l2_event::inverse_swap_update", DERIVATIVES),
            ("l2_event::inverse_future_update", DERIVATIVES),
            ("ticker::", DERIVATIVES),
            ("l2_snapshot::", REST),
        ],
        ..Source::of("kraken", "KRAKEN")
    },
    Source {
        left_out: &[
            ("trade::", DERIVATIVES),
            ("l2_event::", DERIVATIVES),
            ("bbo::inverse_future", DERIVATIVES),
            ("l3_event::linear_swap", DERIVATIVES),
            ("candlestick::inverse_future", DERIVATIVES),
            ("candlestick::inverse_swap", DERIVATIVES),
            ("ticker::inverse_future", DERIVATIVES),
            ("l2_snapshot::", REST),
            ("open_interest::", REST),
        ],
        ..Source::of("kucoin", "KUCOIN")
    },
    Source { left_out: &[("l2_snapshot::", REST), ("open_interest::", REST)], ..Source::of("okx", "OKX") },
];

const TARDIS: &[Source] = &[
    Source::of("binance", "BINANCE"),
    Source {
        left_out: &[
            ("0", "the suite counts `trade`, and this is `aggTrade`"),
            ("8", "made by a recorder, not by the venue"),
        ],
        ..Source::of("binance-futures", "BINANCE_FUTURES")
    },
    Source {
        left_out: &[("0", "its subscription is not among the messages")],
        earlier: &[
            r#"{"event":"subscribed","channel":"ticker","chanId":94952,"symbol":"tMATIC:BTC"}"#,
            r#"{"event":"subscribed","channel":"ticker","chanId":147794,"symbol":"tBTCUSD"}"#,
        ],
        ..Source::of("bitfinex", "BITFINEX")
    },
    Source {
        left_out: &[
            ("3", "made by a recorder, not by the venue"),
            ("4", "made by a recorder, not by the venue"),
        ],
        ..Source::of("bitstamp", "BITSTAMP")
    },
    Source { left_out: &[("0..38", OLD)], ..Source::of("bybit", "BYBIT") },
    Source::of("coinbase", "COINBASE"),
    Source { past_is_unmarked: true, ..Source::of("crypto-com", "CRYPTO.COM") },
    Source {
        left_out: &[("0", OLD), ("1", OLD), ("2", OLD), ("3", OLD), ("4", OLD), ("5", OLD)],
        ..Source::of("gate-io", "GATEIO")
    },
    Source {
        left_out: &[("20", "an answer to a request for a book, which is not sent")],
        past_is_unmarked: true,
        ..Source::of("huobi", "HUOBI")
    },
    Source::of("kraken", "KRAKEN"),
    Source::of("kucoin", "KUCOIN"),
    Source {
        left_out: &[("0", OLD), ("1", OLD), ("2", OLD), ("3", OLD), ("4", OLD), ("5", OLD), ("6", OLD)],
        ..Source::of("okex", "OKX")
    },
    Source::of("upbit", "UPBIT"),
];

const NAUTILUS: &[Source] = &[
    Source::of("binance", "BINANCE_FUTURES"),
    Source {
        left_out: &[("ws_public_trade", "its topic is none of the venue's")],
        ..Source::of("bybit", "BYBIT")
    },
    Source::of("coinbase", "COINBASE"),
    Source::of("kraken", "KRAKEN"),
    Source::of("okx", "OKX"),
];

#[test]
fn crypto_msg_parser() {
    let Some(folder) = data::folder("crypto_msg_parser") else {
        return;
    };
    for source in CRYPTO_MSG_PARSER {
        source.each(&folder.join("ws_messages/crypto_msg_parser"), |name, entry| {
            let raw = entry["raw"].as_str().unwrap();
            let exchange = match (source.exchange, entry["market_type"].as_str().unwrap()) {
                ("BINANCE", "Spot") => "BINANCE",
                ("BINANCE", _) => "BINANCE_FUTURES",
                (exchange, _) => exchange,
            };
            let protocol = protocol_for(exchange).unwrap();
            let mut session = Session::default();
            let text = numbered(&mut session, raw);
            let parsed = read(protocol, &mut session, &text, name);
            expected::fields(protocol, &parsed, &entry["expected"], name);
        });
    }
}

#[test]
fn tardis() {
    let Some(folder) = data::folder("tardis") else {
        return;
    };
    for source in TARDIS {
        let protocol = protocol_for(source.exchange).unwrap();
        let mut session = Session::default();
        for message in source.earlier {
            read(protocol, &mut session, message, source.file);
        }
        source.each(&folder.join("ws_messages/tardis"), |name, entry| {
            let text = entry["message"].to_string();
            let mut parsed = read(protocol, &mut session, &text, name);
            if !source.past_is_unmarked {
                let past = |event: &Event<'_>| matches!(event, Event::Trade(trade) if trade.snapshot);
                parsed.events.retain(|event| !past(event));
            }
            expected::normalized(&parsed, entry["normalized"].as_array().unwrap(), name);
        });
    }
}

#[test]
fn nautilus() {
    let Some(folder) = data::folder("nautilus") else {
        return;
    };
    for source in NAUTILUS {
        let protocol = protocol_for(source.exchange).unwrap();
        source.each(&folder.join("ws_messages/nautilus"), |name, entry| {
            let text = streamed(&entry["message"]).to_string();
            let mut session = Session::default();
            let parsed = read(protocol, &mut session, &text, name);
            // Bybit's book of one level is where its best bid and ask come from.
            let used =
                ["trade", "ticker", "bbo", "bybit ws_orderbook"].iter().any(|kind| name.contains(kind));
            let told = parsed.events.iter().any(|event| matches!(event, Event::Trade(_) | Event::Ticker(_)));
            assert_eq!(told, used, "{name}: {parsed:?}");
        });
    }
}

impl Source {
    const fn of(file: &'static str, exchange: &'static str) -> Self {
        Self { file, exchange, left_out: &[], earlier: &[], past_is_unmarked: false }
    }

    /// Calls for each message that is not left out, with its name in the file.
    fn each(&self, folder: &Path, mut call: impl FnMut(&str, &Value)) {
        let entries = data::json(&folder.join(format!("{}.json", self.file)));
        let mut unused: HashSet<&str> = self.left_out.iter().map(|(name, _)| *name).collect();
        for entry in entries.as_array().unwrap() {
            let name = name(entry);
            let left_out = self.left_out.iter().find(|(pattern, _)| covers(pattern, &name));
            match left_out {
                Some((pattern, _)) => {
                    unused.remove(pattern);
                }
                None => call(&format!("{} {name}", self.file), entry),
            }
        }
        assert_eq!(unused, HashSet::new(), "left out, but not there: {}", self.file);
    }
}

/// Tells whether a message is among those that are left out.
fn covers(pattern: &str, name: &str) -> bool {
    let place = |text: &str| text.parse::<u32>().ok();
    let between = pattern.split_once("..").and_then(|(first, end)| {
        let (first, end) = (place(first)?, place(end)?);
        Some((first..end).contains(&place(name)?))
    });
    between.unwrap_or(pattern == name || pattern.ends_with("::") && name.starts_with(pattern))
}

/// Names a message: by the test that it comes from, or by its place among the messages of a connection.
fn name(entry: &Value) -> String {
    match (&entry["test"], &entry["seq"], &entry["name"]) {
        (_, Value::Number(seq), _) => seq.to_string(),
        (Value::String(name), ..) | (.., Value::String(name)) => name.clone(),
        _ => panic!("without a name: {entry}"),
    }
}

fn read<'a>(protocol: &dyn Protocol, session: &'a mut Session, text: &'a str, name: &str) -> Parsed<'a> {
    let parsed = protocol.parse(session, text);
    let parsed = parsed.unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
    for event in &parsed.events {
        let symbol = match event {
            Event::Trade(trade) => trade.symbol,
            Event::Ticker(ticker) => ticker.symbol,
            Event::Confirm(_)
            | Event::Gap(_)
            | Event::Subscribed
            | Event::Refused(_)
            | Event::GoingAway(_) => continue,
        };
        assert!(protocol.market(symbol).is_ok(), "{name}: {symbol}");
    }
    parsed
}

/// Puts a number back where the collection wrote out the Bitfinex subscription that the number stands for.
fn numbered<'a>(session: &mut Session, raw: &'a str) -> Cow<'a, str> {
    let Some(end) = raw.find('}').filter(|_| raw.starts_with("[{")) else {
        return Cow::Borrowed(raw);
    };
    let (subscription, rest) = raw[1..].split_at(end);
    let subscription: Value = serde_json::from_str(subscription).unwrap();
    let channel = Channel {
        name: subscription["channel"].as_str().unwrap().to_owned(),
        symbol: subscription["symbol"].as_str().unwrap_or_default().to_owned(),
    };
    session.channels.insert(1, channel);
    Cow::Owned(format!("[1{rest}"))
}

/// Puts Binance's data into the combined stream that it would come in.
fn streamed(message: &Value) -> Cow<'_, Value> {
    let stream = match message["e"].as_str() {
        None => return Cow::Borrowed(message),
        Some("24hrTicker") => "ticker",
        Some("depthUpdate") => "depth",
        Some("kline") => "kline_1m",
        Some(kind) => kind,
    };
    Cow::Owned(json!({ "stream": format!("x@{stream}"), "data": message }))
}
