//! In one process, on one core: wire to JSON, encoding, and the board's writer beside its readers.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::DateTime;
use cryptoprice::{
    api::{
        gateway::json::Tables,
        pb::{self, v1 as server},
        wire::{self, EncodedPrice},
    },
    domain::{
        pair::Pair,
        price::{Origin, Price, Status, Value},
    },
    pipeline::board::{Board, Publisher},
};
use cryptoprice_peers::v1 as peer;
use prost::Message as _;
use prost_reflect::DescriptorPool;

use crate::{
    market, process,
    ratio::{Ratio, compare, median, thread_time},
    report::{Bound, Row},
};

/// Updates that the board's writer publishes in a turn.
const UPDATES: usize = 40_000;

/// Pairs on the board.
const PAIRS: usize = 1_000;

/// Wire to JSON: our tables, against pbjson from the struct in memory.
pub(crate) fn transcode(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let tables = Tables::new(&DescriptorPool::decode(pb::DESCRIPTORS)?);
    let id = tables.message("cryptoprice.v1.ListPricesResponse").expect("a message of the contract");
    [1, 10, 1_000]
        .map(|count| {
            let wire = listed(count).encode_to_vec();
            let message = peer::ListPricesResponse::decode(wire.as_slice())?;
            let mut ours = Vec::new();
            let mut theirs = Vec::new();
            tables.write_json(id, &wire, &mut ours)?;
            serde_json::to_writer(&mut theirs, &message)?;
            let parse = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json);
            anyhow::ensure!(parse(&ours)? == parse(&theirs)?, "the texts differ");
            let (ratio, ours, theirs) = compare(
                rounds,
                || {
                    ours.clear();
                    tables.write_json(id, black_box(&wire), &mut ours).expect("a message");
                    black_box(&ours);
                },
                || {
                    theirs.clear();
                    serde_json::to_writer(&mut theirs, black_box(&message)).expect("a message");
                    black_box(&theirs);
                },
            );
            let what = format!("wire to JSON, {count} prices, against pbjson with serde_json");
            Ok(Row::new("transcode", what)
                .ratio(ratio, Bound::AtLeast(2.0))
                .figure("ns", ours)
                .baseline("ns", theirs))
        })
        .into_iter()
        .collect()
}

/// Encoding a response: encoded prices, against prost structs.
pub(crate) fn encode(rounds: usize) -> anyhow::Result<Vec<Row>> {
    [1, 10, 1_000]
        .map(|count| {
            let ours = listed(count);
            let theirs = peer::ListPricesResponse::decode(ours.encode_to_vec().as_slice())?;
            anyhow::ensure!(ours.encode_to_vec() == theirs.encode_to_vec(), "the bytes differ");
            let mut buffers = [Vec::new(), Vec::new()];
            let [first, second] = &mut buffers;
            let (ratio, ours, theirs) = compare(
                rounds,
                || {
                    first.clear();
                    black_box(&ours).encode(first).expect("room");
                    black_box(&first);
                },
                || {
                    second.clear();
                    black_box(&theirs).encode(second).expect("room");
                    black_box(&second);
                },
            );
            let what = format!("encoding a response of {count} prices, against prost structs");
            Ok(Row::new("encode", what)
                .ratio(ratio, Bound::AtLeast(10.0))
                .figure("ns", ours)
                .baseline("ns", theirs))
        })
        .into_iter()
        .collect()
}

/// The processor time of the writer for an update, beside readers of the board and beside readers of private copies.
pub(crate) fn board(rounds: usize) -> Vec<Row> {
    [1, 4, 16]
        .map(|readers| {
            let mut turns: [Vec<f64>; 2] = Default::default();
            for round in 0..=rounds {
                for which in 0..2 {
                    let shared = (which + round) % 2 == 0;
                    let nanos = writer_beside(readers, shared);
                    // The first round warms up.
                    if round > 0 {
                        turns[usize::from(!shared)].push(nanos);
                    }
                }
            }
            let [ours, theirs] = turns;
            let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
            let what = format!("CPU of the board's writer for an update beside {readers} readers, against readers of private copies");
            Row::new("board", what)
                .ratio(Ratio::of(&ratios), Bound::AtMost(1.1))
                .figure("ns", median(&ours))
                .baseline("ns", median(&theirs))
        })
        .into()
}

/// Publishes beside readers that read as fast as they can; gives the writer's nanoseconds for an update.
fn writer_beside(readers: usize, shared: bool) -> f64 {
    let (board, mut publisher) = filled();
    let pairs: Arc<Vec<Pair>> = Arc::new((0..PAIRS).map(pair).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..readers)
        .map(|reader| {
            let (stop, pairs) = (Arc::clone(&stop), Arc::clone(&pairs));
            // A private copy is a board that nobody writes.
            let board = if shared { board.clone() } else { filled().0 };
            std::thread::spawn(move || {
                process::pin(process::CLIENT);
                for pair in pairs.iter().cycle().skip(reader * 61) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    black_box(board.get(*pair));
                }
            })
        })
        .collect();
    process::pin(process::SERVER);
    let nanos = {
        let before = thread_time();
        for update in 0..UPDATES {
            publisher.publish(price(update % PAIRS, update), Vec::new(), DateTime::UNIX_EPOCH);
        }
        thread_time().saturating_sub(before).as_nanos() as f64 / UPDATES as f64
    };
    process::pin(process::CLIENT);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("a reader");
    }
    nanos
}

/// Makes a board with a price of each pair.
fn filled() -> (Board, Publisher) {
    let (board, mut publisher) = Board::new(1, wire::ENCODER);
    publisher.register((0..PAIRS).map(|number| price(number, number)).collect(), DateTime::UNIX_EPOCH);
    (board, publisher)
}

/// Lists so many prices, encoded.
fn listed(count: usize) -> server::ListPricesResponse {
    let (board, _) = filled();
    let prices = board.list(None, None).take(count).map(|update| EncodedPrice::new(update.encoded.clone()));
    server::ListPricesResponse { prices: prices.collect(), ..server::ListPricesResponse::default() }
}

fn pair(number: usize) -> Pair {
    market::pair(number).parse().expect("a pair")
}

fn price(number: usize, update: usize) -> Price {
    let time = DateTime::from_timestamp_nanos(1_750_000_000_123_456_789);
    let decimal = |text: String| cryptoprice::domain::decimal::parse(&text).expect("a decimal");
    let value = Value {
        price: decimal(format!("{}.2", 60_000 + update)),
        bid: Some(decimal(format!("{}.1", 60_000 + update))),
        ask: Some(decimal(format!("{}.3", 60_000 + update))),
        dispersion_bps: decimal("1.25".into()),
        observe_time: time,
        receive_time: time,
    };
    Price {
        pair: pair(number),
        status: Status::Live,
        status_reason: None,
        value: Some(value),
        source_count: 6,
        aggregate_time: time,
        route: Vec::new(),
        origin: Origin::Simulated,
    }
}
