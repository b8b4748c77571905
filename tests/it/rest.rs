//! Every recorded answer of a venue's REST interface is understood, and says what an independent client made of it.
//!
//! All files are walked, for all venues. Each case is read by the reader of its kind; where a
//! peer's result stands beside it, every field that the peer has is compared, and where ours has none or another, a row of
//! [`DIFFERENCES`] says why.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use chrono::DateTime;
use cryptoprice::{
    domain::{candle::Interval, decimal, pair::Pair, trade::Side},
    feed::{
        event::{Ticker, TradeReport},
        rest::{CandleReport, Instrument, InstrumentState, Rest},
        venue::Protocol,
        venues,
    },
};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::data;

/// What kinds of answers there are, and which reader understands them.
const KINDS: &[(&str, Kind)] = &[
    ("ticker", Kind::Ticker),
    ("fetch_ticker", Kind::Ticker),
    ("book_ticker", Kind::Ticker),
    ("ticker_price", Kind::Ticker),
    ("tickers", Kind::Ticker),
    ("trades", Kind::Trades),
    ("fetch_trades", Kind::Trades),
    ("klines", Kind::Candles),
    ("candles", Kind::Candles),
    ("fetch_ohlcv", Kind::Candles),
    ("exchange_info", Kind::Instruments),
    ("fetch_markets", Kind::Instruments),
    ("asset_pairs", Kind::Instruments),
    ("instruments", Kind::Instruments),
    ("product", Kind::Instruments),
    ("products", Kind::Instruments),
    // Nobody is asked for these.
    ("order_book", Kind::Unused),
    ("fetch_order_book", Kind::Unused),
    ("server_time", Kind::Unused),
    ("system_status", Kind::Unused),
    ("index_price", Kind::Unused),
    ("avg_price", Kind::Unused),
];

/// Files of venues that are not ours, or that are ours under another name.
const OTHER_NAMES: &[(&str, Option<&str>)] = &[("coinbaseexchange", Some("coinbase")), ("bitflyer", None)];

/// Where ours departs from the peer: the case, the field, why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("binance/fetch_markets/980efc54", "markets", "the answer was cut to nothing, the peer's list was not"),
    (
        "kraken/trades/d2e7b89e",
        "id",
        "the peer takes the cursor beside trades without ids for that of the last one",
    ),
    ("bitstamp/ticker/3607fa66", "quoteVolume", "the peer multiplies the volume by a rounded average price"),
    ("kraken/ticker/bd2d8db9", "quoteVolume", "the peer multiplies the volume by a rounded average price"),
];

/// What understands an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Ticker,
    Trades,
    Candles,
    Instruments,
    Unused,
}

/// What was compared.
#[derive(Default, Debug)]
struct Counts {
    cases: BTreeMap<Kind, usize>,
    rows: usize,
    fields: usize,
    /// Rows of [`DIFFERENCES`] that were met.
    differences: BTreeSet<(&'static str, &'static str)>,
}

/// One recorded answer.
struct Case<'a> {
    id: &'a str,
    protocol: &'static dyn Protocol,
    body: String,
    /// The market that the peer was asked for.
    pair: Pair,
    /// What the peer made of it.
    parsed: Option<&'a Value>,
}

#[test]
fn every_answer_says_what_a_peer_makes_of_it() {
    let Some(folder) = data::folder("every_answer_says_what_a_peer_makes_of_it") else {
        return;
    };
    let mut counts = Counts::default();
    for entry in fs::read_dir(folder.join("rest")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
        let Some(name) = other.map_or(Some(name), |(_, venue)| *venue) else {
            continue;
        };
        let protocol = venues::by_name(name).unwrap();
        let rest = protocol.rest().unwrap();
        for value in data::json(&path).as_array().unwrap() {
            let kind = value["kind"].as_str().unwrap();
            let kind =
                KINDS.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("kind {kind}")).1;
            *counts.cases.entry(kind).or_default() += 1;
            check(kind, rest, &Case::of(protocol, value), &mut counts);
        }
    }
    eprintln!("{counts:?}");
    for (kind, least) in [(Kind::Ticker, 13), (Kind::Trades, 5), (Kind::Candles, 7), (Kind::Instruments, 9)] {
        assert!(counts.cases.get(&kind) >= Some(&least), "{kind:?}: {counts:?}");
    }
    assert!(counts.rows >= 235 && counts.fields >= 957, "{counts:?}");
    for (case, field, _) in DIFFERENCES {
        assert!(counts.differences.contains(&(*case, *field)), "no difference any more: {case} {field}");
    }
}

#[test]
fn krakens_candles_are_what_its_trades_make() {
    let Some(folder) = data::folder("krakens_candles_are_what_its_trades_make") else {
        return;
    };
    let read = |name: &str| fs::read_to_string(folder.join("candles").join(name)).unwrap();
    let (trades, candles) =
        (read("kraken_xbtusdt_trades.part1.json"), read("kraken_xbtusdt_ohlc_1m.part1.json"));
    let rest = venues::by_name("kraken").unwrap().rest().unwrap();
    let trades = rest.read_trades("BTC/USDT", &trades).unwrap();
    let candles = rest.read_candles(&candles).unwrap();
    let mut made: BTreeMap<_, Vec<&TradeReport<'_>>> = BTreeMap::new();
    for trade in &trades {
        made.entry(Interval::Minute.open_time(trade.time)).or_default().push(trade);
    }
    let mut compared = 0;
    for candle in &candles {
        let Some(trades) = made.get(&candle.open_time) else {
            assert_eq!((candle.trade_count, candle.base_volume), (Some(0), Some(Decimal::ZERO)));
            continue;
        };
        let prices = || trades.iter().map(|trade| trade.price);
        let made = CandleReport {
            open: prices().next().unwrap(),
            high: prices().max().unwrap(),
            low: prices().min().unwrap(),
            close: prices().next_back().unwrap(),
            base_volume: Some(trades.iter().map(|trade| trade.amount).sum()),
            trade_count: u64::try_from(trades.len()).ok(),
            ..*candle
        };
        assert_eq!(made, *candle);
        compared += 1;
    }
    assert!(compared >= 120 && candles.len() > compared, "{compared} of {}", candles.len());
}

impl<'a> Case<'a> {
    fn of(protocol: &'static dyn Protocol, value: &'a Value) -> Self {
        let body = &value["body"];
        let expected = value.get("expected").filter(|expected| !expected.is_null());
        let pair = expected.and_then(|e| e["args"][0].as_str()).unwrap_or("BTC/USD");
        Self {
            id: value["id"].as_str().unwrap(),
            protocol,
            body: body.as_str().map_or_else(|| body.to_string(), str::to_owned),
            pair: pair.parse().unwrap(),
            parsed: expected.map(|expected| &expected["parsed"]),
        }
    }

    /// Compares a field: where the peer has it, ours must, unless a row says why it need not.
    fn compare<T: PartialEq + std::fmt::Debug>(
        &self,
        field: &'static str,
        ours: Option<T>,
        theirs: Option<T>,
        counts: &mut Counts,
    ) {
        if theirs.is_none() {
            return;
        }
        let [ours, theirs] = [ours, theirs];
        if let Some((id, field, _)) = DIFFERENCES.iter().find(|row| (row.0, row.1) == (self.id, field)) {
            assert_ne!(ours, theirs, "{}: {field}", self.id);
            counts.differences.insert((*id, *field));
            return;
        }
        assert_eq!(ours, theirs, "{}: {field}", self.id);
        counts.fields += 1;
    }

    /// Compares a number as far as a double tells it.
    fn compare_number(
        &self,
        field: &'static str,
        ours: Option<Decimal>,
        theirs: &Value,
        counts: &mut Counts,
    ) {
        let theirs = theirs.is_number().then(|| decimal::parse_venue(&theirs.to_string()).unwrap());
        let near =
            |ours: Decimal, theirs: Decimal| (ours - theirs).abs() <= theirs.abs() * Decimal::new(1, 15);
        let ours = match (ours, theirs) {
            (Some(ours), Some(theirs)) if near(ours, theirs) => Some(theirs),
            _ => ours,
        };
        self.compare(field, ours, theirs, counts);
    }
}

fn check(kind: Kind, rest: &dyn Rest, case: &Case<'_>, counts: &mut Counts) {
    match kind {
        Kind::Ticker => check_tickers(rest, case, counts),
        Kind::Trades => check_trades(rest, case, counts),
        Kind::Candles => check_candles(rest, case, counts),
        Kind::Instruments => check_instruments(rest, case, counts),
        Kind::Unused => {}
    }
}

fn check_tickers(rest: &dyn Rest, case: &Case<'_>, counts: &mut Counts) {
    // Of all markets, the peer has a table by name.
    let expected: Vec<(Pair, Option<&Value>)> = match case.parsed {
        Some(parsed) if parsed.get("symbol").is_none() => {
            let table = parsed.as_object().unwrap();
            table.iter().map(|(name, ticker)| (name.parse().unwrap(), Some(ticker))).collect()
        }
        parsed => vec![(case.pair, parsed)],
    };
    for (pair, theirs) in expected {
        let symbol = case.protocol.symbol(pair);
        let ticker = rest.read_ticker(&symbol, &case.body).unwrap_or_else(|e| panic!("{}: {e}", case.id));
        let Ticker { book, last, base_volume_24h, quote_volume_24h, time, .. } = ticker;
        let (bid, ask) = book.map_or((None, None), |book| (book.bid, book.ask));
        assert!(bid.or(ask).or(last).is_some(), "{}", case.id);
        assert!(bid.is_none() || ask.is_none() || bid < ask, "{}: {book:?}", case.id);
        counts.rows += 1;
        let Some(theirs) = theirs else {
            continue;
        };
        for (field, ours) in [
            ("bid", bid),
            ("ask", ask),
            ("last", last),
            ("baseVolume", base_volume_24h),
            ("quoteVolume", quote_volume_24h),
        ] {
            case.compare_number(field, ours, &theirs[field], counts);
        }
        let ours = time.map(|time| time.timestamp_millis());
        case.compare("timestamp", ours, theirs["timestamp"].as_i64(), counts);
    }
}

fn check_trades(rest: &dyn Rest, case: &Case<'_>, counts: &mut Counts) {
    let symbol = case.protocol.symbol(case.pair);
    let trades = rest.read_trades(&symbol, &case.body).unwrap_or_else(|e| panic!("{}: {e}", case.id));
    assert!(!trades.is_empty(), "{}", case.id);
    assert!(trades.iter().all(|trade| trade.symbol == symbol), "{}", case.id);
    assert!(trades.is_sorted_by_key(|trade| trade.time), "{}", case.id);
    counts.rows += trades.len();
    let Some(theirs) = case.parsed else {
        return;
    };
    let theirs = theirs.as_array().unwrap();
    assert_eq!(trades.len(), theirs.len(), "{}", case.id);
    for (ours, theirs) in trades.iter().zip(theirs) {
        case.compare("timestamp", Some(ours.time.timestamp_millis()), theirs["timestamp"].as_i64(), counts);
        case.compare("id", ours.id, theirs["id"].as_str(), counts);
        let side = if ours.side == Side::Buy { "buy" } else { "sell" };
        case.compare("side", Some(side), theirs["side"].as_str(), counts);
        case.compare_number("price", Some(ours.price), &theirs["price"], counts);
        case.compare_number("amount", Some(ours.amount), &theirs["amount"], counts);
    }
}

fn check_candles(rest: &dyn Rest, case: &Case<'_>, counts: &mut Counts) {
    let candles = rest.read_candles(&case.body).unwrap_or_else(|e| panic!("{}: {e}", case.id));
    assert!(!candles.is_empty(), "{}", case.id);
    assert!(candles.is_sorted_by_key(|candle| candle.open_time), "{}", case.id);
    counts.rows += candles.len();
    let Some(theirs) = case.parsed else {
        return;
    };
    let theirs = theirs.as_array().unwrap();
    assert_eq!(candles.len(), theirs.len(), "{}", case.id);
    for (ours, theirs) in candles.iter().zip(theirs) {
        let time = theirs[0].as_i64().and_then(DateTime::from_timestamp_millis);
        case.compare("open_time", Some(ours.open_time), time, counts);
        for (at, ours) in [ours.open, ours.high, ours.low, ours.close].into_iter().enumerate() {
            case.compare_number("price", Some(ours), &theirs[at + 1], counts);
        }
        case.compare_number("volume", ours.base_volume, &theirs[5], counts);
    }
}

fn check_instruments(rest: &dyn Rest, case: &Case<'_>, counts: &mut Counts) {
    let instruments = rest.read_instruments(&case.body).unwrap_or_else(|e| panic!("{}: {e}", case.id));
    let mut ours = BTreeSet::new();
    for Instrument { symbol, market, state } in &instruments {
        // The symbol is the WebSocket's.
        assert_eq!(case.protocol.market(symbol).as_ref(), Ok(market), "{}", case.id);
        ours.insert((
            market.pair.base.to_string(),
            market.pair.quote.to_string(),
            *state == InstrumentState::Trading,
        ));
    }
    assert_eq!(ours.len(), instruments.len(), "{}", case.id);
    counts.rows += instruments.len();
    let Some(theirs) = case.parsed else {
        assert!(ours.iter().any(|(.., trading)| *trading), "{}", case.id);
        return;
    };
    let spot = theirs.as_array().unwrap().iter().filter(|market| market["spot"] == true);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let theirs: BTreeSet<_> =
        spot.map(|m| (text(&m["baseId"]), text(&m["quoteId"]), m["active"] == true)).collect();
    case.compare("markets", Some(ours), Some(theirs), counts);
}
