//! Every frame of every recording is understood, and says what an independent client made of the same frames.
//!
//! Per recording: each frame parses, frames are as many per channel as the index of the recordings says, and
//! trades and best bid and ask equal the peer's. Where the two differ for a reason, the row names it.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use cryptoprice::{
    domain::{decimal, pair::Pair, trade::Side, venue::MarketKind},
    feed::{
        event::{Event, Ticker, TradeReport},
        recording::{RecordKind, Recording},
        venue::{Protocol, Session},
    },
};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::data;

/// A recording, and how it is compared.
struct Row {
    /// The exchange, as recordings name it.
    exchange: &'static str,
    /// Channels of ours that the index counts together: our name, the common one.
    ours: &'static [(&'static str, &'static str)],
    /// Channels of the index that we count together: its name, the common one.
    theirs: &'static [(&'static str, &'static str)],
    /// What is compared with our tickers.
    best: Best,
    /// Whose clock the peer's tickers show.
    ticker_time: TickerTime,
    /// Where the peer departs from us, and why.
    differences: &'static [Difference],
}

/// What the peer knows about best bid and ask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Best {
    /// One event per ticker message.
    Ticker,
    /// The top of the book that it keeps, written when it changes.
    Book,
}

/// Whose clock the peer's tickers show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TickerTime {
    /// The venue's, as ours do.
    Venue,
    /// That of the machine that received, where the message carries none; ours then have none.
    Receiver,
    /// None, though the message may carry one.
    Absent,
}

/// A departure of the peer that is right to leave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// It passes on the maker's side as if it were the taker's.
    MakersSide,
    /// It leaves out the past trades that come first.
    PastTradesLeftOut,
}

const ROWS: &[Row] = &[
    Row { differences: &[Difference::MakersSide, Difference::PastTradesLeftOut], ..Row::of("COINBASE") },
    Row { ticker_time: TickerTime::Receiver, ..Row::of("BINANCE") },
    Row::of("BINANCE_FUTURES"),
    Row { ticker_time: TickerTime::Absent, ..Row::of("KRAKEN") },
    Row {
        theirs: &[("ack:books", "subscribe"), ("ack:tickers", "subscribe"), ("ack:trades", "subscribe")],
        ..Row::of("OKX")
    },
    Row {
        // The index counts answers to subscriptions by channel, and the data of all channels together.
        ours: &[("book", "chan-array"), ("ticker", "chan-array"), ("trades", "chan-array")],
        theirs: &[("book", "subscribed"), ("ticker", "subscribed"), ("trades", "subscribed")],
        ticker_time: TickerTime::Absent,
        ..Row::of("BITFINEX")
    },
    Row { ticker_time: TickerTime::Absent, ..Row::of("KUCOIN") },
    Row {
        // The index counts answers to subscriptions and data apart.
        theirs: &[
            ("spot.candlesticks/subscribe", "spot.candlesticks"),
            ("spot.candlesticks/update", "spot.candlesticks"),
            ("spot.order_book_update/subscribe", "spot.order_book_update"),
            ("spot.order_book_update/update", "spot.order_book_update"),
            ("spot.tickers/subscribe", "spot.tickers"),
            ("spot.tickers/update", "spot.tickers"),
            ("spot.trades/subscribe", "spot.trades"),
            ("spot.trades/update", "spot.trades"),
        ],
        ..Row::of("GATEIO")
    },
    Row::of("CRYPTO.COM"),
    Row { theirs: &[("id|status|subbed", "subbed")], best: Best::Book, ..Row::of("HUOBI") },
    Row { best: Best::Book, ..Row::of("UPBIT") },
];

#[test]
fn coinbase() {
    check("COINBASE");
}

#[test]
fn binance() {
    check("BINANCE");
}

#[test]
fn binance_futures() {
    check("BINANCE_FUTURES");
}

#[test]
fn kraken() {
    check("KRAKEN");
}

#[test]
fn okx() {
    check("OKX");
}

#[test]
fn bitfinex() {
    check("BITFINEX");
}

#[test]
fn kucoin() {
    check("KUCOIN");
}

#[test]
fn gate() {
    check("GATEIO");
}

#[test]
fn crypto_com() {
    check("CRYPTO.COM");
}

#[test]
fn htx() {
    check("HUOBI");
}

#[test]
fn upbit() {
    check("UPBIT");
}

#[test]
fn every_recording_has_a_row() {
    let Some(folder) = data::folder("every_recording_has_a_row") else {
        return;
    };
    let index = data::json(&folder.join("replay/index.json"));
    let mut recorded: Vec<&str> =
        index.as_array().unwrap().iter().map(|entry| entry["exchange"].as_str().unwrap()).collect();
    let mut rows: Vec<&str> = ROWS.iter().map(|row| row.exchange).collect();
    recorded.sort_unstable();
    rows.sort_unstable();
    assert_eq!(rows, recorded);
}

impl Row {
    const fn of(exchange: &'static str) -> Self {
        Self {
            exchange,
            ours: &[],
            theirs: &[],
            best: Best::Ticker,
            ticker_time: TickerTime::Venue,
            differences: &[],
        }
    }

    fn differs(&self, difference: Difference) -> bool {
        self.differences.contains(&difference)
    }
}

/// Frames per channel.
type Counts = BTreeMap<String, usize>;

/// Best bid and ask of each market, in order.
type Changes = BTreeMap<String, Vec<(Option<Decimal>, Option<Decimal>)>>;

/// What the frames of a recording say, by one of the two parsers.
#[derive(Default)]
struct Said {
    trades: Vec<TradeSeen>,
    tops: Vec<TopSeen>,
}

/// A trade in terms that both sides share. What names it comes before its time, so that sorting pairs them up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct TradeSeen {
    market: String,
    id: Option<String>,
    price: Decimal,
    amount: Decimal,
    bought: bool,
    micros: i64,
}

/// Best bid and ask in terms that both sides share.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TopSeen {
    market: String,
    bid: Option<Decimal>,
    ask: Option<Decimal>,
    micros: Option<i64>,
}

/// Holds one recording against the index and the peer.
fn check(exchange: &str) {
    let Some(folder) = data::folder(exchange) else {
        return;
    };
    let row = ROWS.iter().find(|row| row.exchange == exchange).unwrap();
    let replay = folder.join("replay");
    let (counts, mut ours) = replayed(row, &replay);
    assert_eq!(grouped(counts, row.ours), grouped(indexed(row, &replay), row.theirs), "frames per channel");

    let mut theirs = heard_by_the_peer(row, &replay);
    ours.trades.sort();
    theirs.trades.sort();
    assert_eq!(ours.trades.len(), theirs.trades.len(), "trades");
    for (our, their) in ours.trades.iter().zip(&theirs.trades) {
        // The peer's times are floats: a microsecond is what they hold.
        let near = our.micros.abs_diff(their.micros) <= 1;
        let their = TradeSeen { micros: our.micros, ..their.clone() };
        assert!(near && *our == their, "{our:?}\n{their:?}");
    }

    match row.best {
        Best::Ticker => tickers_are_equal(row, ours.tops, theirs.tops),
        Best::Book => assert_eq!(changes(ours.tops), changes(theirs.tops), "tops of book"),
    }
}

fn tickers_are_equal(row: &Row, mut ours: Vec<TopSeen>, mut theirs: Vec<TopSeen>) {
    for (our, their) in ours.iter_mut().zip(&mut theirs) {
        match row.ticker_time {
            TickerTime::Venue => assert!(our.micros.is_some(), "{our:?}"),
            TickerTime::Receiver => {
                assert_eq!(our.micros, None);
                their.micros = None;
            }
            TickerTime::Absent => {
                assert_eq!(their.micros, None);
                our.micros = None;
            }
        }
    }
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs, "tickers");
}

/// Lists per market the values that best bid and ask took, one after the other.
fn changes(tops: Vec<TopSeen>) -> Changes {
    let mut markets = Changes::new();
    for top in tops {
        markets.entry(top.market).or_default().push((top.bid, top.ask));
    }
    for values in markets.values_mut() {
        values.dedup();
    }
    markets
}

/// Parses a recording as the service would, one session per connection.
fn replayed(row: &Row, replay: &Path) -> (Counts, Said) {
    let recording = Recording::open(replay.join(format!("{}.jsonl.zst", row.exchange))).unwrap();
    let protocol = recording.protocol();
    let mut sessions: HashMap<String, Session> = HashMap::new();
    let (mut counts, mut said) = (Counts::new(), Said::default());
    for record in recording {
        let record = record.unwrap();
        let RecordKind::Frame(frame) = record.kind else {
            continue;
        };
        let text = protocol.decode(frame.as_frame()).unwrap();
        let session = sessions.entry(record.connection).or_default();
        let parsed = protocol
            .parse(session, &text)
            .unwrap_or_else(|error| panic!("{error}: {}", text.chars().take(300).collect::<String>()));
        *counts.entry(parsed.channel.to_owned()).or_default() += 1;
        for event in parsed.events {
            match event {
                Event::Trade(trade) if trade.snapshot && row.differs(Difference::PastTradesLeftOut) => {}
                Event::Trade(trade) => said.trades.push(trade_seen(protocol, &trade)),
                Event::Ticker(ticker) => said.tops.extend(top_seen(protocol, &ticker)),
                Event::Refused(words) => panic!("refused: {words}"),
                Event::Gap(symbol) => panic!("a gap: {symbol:?}"),
                Event::Confirm(_) | Event::Subscribed | Event::GoingAway(_) => {}
            }
        }
    }
    (counts, said)
}

fn trade_seen(protocol: &dyn Protocol, trade: &TradeReport<'_>) -> TradeSeen {
    TradeSeen {
        market: market(protocol, trade.symbol),
        id: trade.id.map(str::to_owned),
        price: trade.price,
        amount: trade.amount,
        bought: trade.side == Side::Buy,
        micros: trade.time.timestamp_micros(),
    }
}

fn top_seen(protocol: &dyn Protocol, ticker: &Ticker<'_>) -> Option<TopSeen> {
    let book = ticker.book?;
    Some(TopSeen {
        market: market(protocol, ticker.symbol),
        bid: book.bid,
        ask: book.ask,
        micros: ticker.time.map(|time| time.timestamp_micros()),
    })
}

fn market(protocol: &dyn Protocol, symbol: &str) -> String {
    let market = protocol.market(symbol).unwrap();
    spelled(market.pair, market.kind)
}

/// Spells a market for both sides. Only names that mean the same everywhere are resolved: the peer does no more.
fn spelled(pair: Pair, kind: MarketKind) -> String {
    format!("{} {kind:?}", pair.canonical())
}

/// Reads what the peer made of the recording.
fn heard_by_the_peer(row: &Row, replay: &Path) -> Said {
    let mut said = Said::default();
    let events = data::json_lines(&replay.join(format!("peer_output/{}.jsonl.zst", row.exchange)));
    for event in events {
        match (event["ch"].as_str().unwrap(), row.best) {
            ("trades", _) => said.trades.push(TradeSeen {
                market: peer_market(&event),
                id: event["id"].as_str().map(str::to_owned),
                price: number(&event["price"]).unwrap(),
                amount: number(&event["amount"]).unwrap(),
                bought: (event["side"] == "buy") != row.differs(Difference::MakersSide),
                micros: micros(&event["timestamp"]).unwrap(),
            }),
            ("ticker", Best::Ticker) | ("bbo_from_l2_book", Best::Book) => said.tops.push(TopSeen {
                market: peer_market(&event),
                bid: number(&event["bid"]),
                ask: number(&event["ask"]),
                micros: micros(&event["timestamp"]),
            }),
            _ => {}
        }
    }
    said
}

/// Reads `BTC-USD`, `UNI-USD-PERP` and `BTC-USD-22K27`.
fn peer_market(event: &Value) -> String {
    let symbol = event["symbol"].as_str().unwrap();
    let parts: Vec<&str> = symbol.split('-').collect();
    let (pair, kind) = match parts.as_slice() {
        [_, _] => (symbol.to_owned(), MarketKind::Spot),
        [base, quote, "PERP"] => (format!("{base}-{quote}"), MarketKind::Perpetual),
        [base, quote, _] => (format!("{base}-{quote}"), MarketKind::Dated),
        _ => panic!("{symbol}"),
    };
    spelled(pair.parse().unwrap(), kind)
}

fn number(value: &Value) -> Option<Decimal> {
    let text = value.as_str().unwrap();
    (text != "None").then(|| decimal::parse_venue(text).unwrap())
}

#[expect(clippy::cast_possible_truncation, reason = "microseconds since 1970 fit for 290,000 years")]
fn micros(seconds: &Value) -> Option<i64> {
    seconds.as_f64().map(|seconds| (seconds * 1e6).round() as i64)
}

fn indexed(row: &Row, replay: &Path) -> Counts {
    let index = data::json(&replay.join("index.json"));
    let entries = index.as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["exchange"] == row.exchange);
    serde_json::from_value(entry.unwrap()["received_by_channel"].clone()).unwrap()
}

fn grouped(counts: Counts, names: &[(&str, &str)]) -> Counts {
    let mut groups = Counts::new();
    for (channel, count) in counts {
        let common = names.iter().find(|(name, _)| *name == channel);
        let group = common.map_or(channel.as_str(), |(_, group)| group);
        *groups.entry(group.to_owned()).or_default() += count;
    }
    groups
}
