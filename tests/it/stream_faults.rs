//! Readers that stop, drip, vanish, come back a thousand times, or come by the thousand: what they see, and what the
//! service holds for them meanwhile.

use std::{io::Read as _, io::Write as _, net::SocketAddr, time::Duration};

use cryptoprice::client::v1::{Cursor, StreamPricesKind, StreamPricesResponse};
use futures::StreamExt as _;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    harness::eventually,
    program::{Program, follow},
};

const STALL_TIMEOUT: &str = "CRYPTOPRICE__STREAMS__STALL_TIMEOUT";
const MIB: usize = 1 << 20;

/// What a reader has got: the places of the updates, the last cursor, and the error at the end if there was one.
#[derive(Debug, Default)]
struct Got {
    updates: Vec<u64>,
    skipped: u64,
    cursor: Option<Cursor>,
    end: Option<Status>,
}

impl Got {
    fn take(&mut self, message: &StreamPricesResponse) {
        if message.kind() == StreamPricesKind::Update {
            self.updates.extend(message.prices.iter().map(|price| price.sequence));
        }
        self.skipped += message.skipped;
        self.cursor = message.cursor;
    }
}

/// Reads on to the end, or until there are so many updates.
async fn read(stream: &mut Streaming<StreamPricesResponse>, enough: usize) -> Got {
    let mut got = Got::default();
    while got.updates.len() < enough {
        match timeout(Duration::from_secs(20), stream.next()).await.expect("a stream is never silent so long")
        {
            Some(Ok(message)) => got.take(&message),
            Some(Err(status)) => {
                got.end = Some(status);
                break;
            }
            None => break,
        }
    }
    got
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn resume_position(status: &Status) -> Cursor {
    let info = status.get_details_error_info().unwrap();
    let number = |name: &str| info.metadata[name].parse().unwrap();
    Cursor { epoch: number("epoch"), sequence: number("sequence") }
}

/// Every update has come, and none twice: the sequence has no hole.
fn assert_whole(updates: &[u64]) {
    assert!(!updates.is_empty());
    assert!(updates.windows(2).all(|two| two[1] == two[0] + 1), "{updates:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_is_cut_while_others_read_on() {
    let program = Program::looping("50", &[(STALL_TIMEOUT, "1s")]).await;
    let channel = program.channel(4_096).await;
    let mut stopped = follow(&channel, &[], None).await;
    let mut other = follow(&channel, &[], None).await;
    let other = tokio::spawn(async move { read(&mut other, 400).await });
    let metrics = eventually("the stalled reader is cut", async || {
        let metrics = program.metrics().await;
        (metrics.get("cryptoprice_streams_cut_total{reason=\"stalled\"}") > 0).then_some(metrics)
    })
    .await;
    assert!(metrics.get("cryptoprice_open_streams{door=\"grpc\"}") <= 1);
    let got = read(&mut stopped, usize::MAX).await;
    let end = got.end.expect("the reader is told that it was cut");
    // In words if it reads again in time, by a reset of its stream if not.
    assert!(reason(&end) == "SLOW_READER" || end.code() == Code::Cancelled, "{end:?}");
    let mut again = follow(&channel, &[], got.cursor).await;
    let rest = read(&mut again, 50).await;
    assert_whole(&[got.updates, rest.updates].concat());
    let other = other.await.unwrap();
    assert!(other.end.is_none(), "{other:?}");
    assert_whole(&other.updates);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_comes_back_in_time_is_told_where_to_go_on() {
    // It is told from the limit on, which is noticed within a half, and reset after one and a half.
    let program = Program::looping("50", &[(STALL_TIMEOUT, "2s")]).await;
    for _ in 0..5 {
        let channel = program.channel(4_096).await;
        let mut stream = follow(&channel, &[], None).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let got = read(&mut stream, 1_000).await;
        let Some(end) = got.end.filter(|end| reason(end) == "SLOW_READER") else {
            // Too early or too late, as the machine was busy: once more.
            continue;
        };
        assert_eq!(end.code(), Code::Unavailable);
        assert!(end.get_details_retry_info().is_some());
        assert_eq!(Some(resume_position(&end)), got.cursor, "it has got everything up to there");
        let rest = read(&mut follow(&channel, &[], got.cursor).await, 20).await;
        assert_whole(&[got.updates, rest.updates].concat());
        return;
    }
    panic!("no reader was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_the_latest_and_how_much_it_missed() {
    let program = Program::looping("200", &[]).await;
    let channel = program.channel(4_096).await;
    let request = cryptoprice::client::v1::StreamPricesRequest::default();
    let mut client = cryptoprice::client::v1::price_service_client::PriceServiceClient::new(channel.clone());
    let mut stream = client.stream_prices(request).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // What lies in the transport comes first; then the latest of each pair, however much there was.
    let (mut got, mut most) = (Got::default(), 0);
    let head = program.metrics().await.get("cryptoprice_board_updates_total");
    while got.cursor.is_none_or(|cursor| cursor.sequence < head) {
        let message = timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap().unwrap();
        most = most.max(message.skipped);
        got.take(&message);
    }
    assert!(most > 100, "{most} were left out at once, {} in all", got.skipped);
    let missing = got.cursor.unwrap().sequence - got.updates.len() as u64 - got.skipped;
    // Nothing but what the snapshot showed is unaccounted for.
    let first = got.updates[0] - 1;
    assert!(missing <= first, "{missing} of {first}");
    let metrics = program.metrics().await;
    assert!(metrics.get("cryptoprice_stream_skipped_updates_total") >= got.skipped);
    assert!(metrics.get("cryptoprice_stream_conflated_messages_total") >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_a_byte_a_second_is_cut() {
    let program = Program::looping("500", &[(STALL_TIMEOUT, "1s")]).await;
    let (address, ended) = (program.address, CancellationToken::new());
    let dripping = tokio::task::spawn_blocking({
        let ended = ended.clone();
        move || drip(address, &ended)
    });
    eventually("the dripping reader is cut", async || {
        let metrics = program.metrics().await;
        let cut = metrics.get("cryptoprice_streams_cut_total{reason=\"stalled\"}") > 0;
        (cut && metrics.get("cryptoprice_connections") == 0).then_some(())
    })
    .await;
    ended.cancel();
    assert!(dripping.await.unwrap() > 1, "it has read all the while");
}

/// Reads a byte a second until told to stop; gives how many it got.
fn drip(address: SocketAddr, ended: &CancellationToken) -> usize {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut socket = std::net::TcpStream::from(socket);
    socket.write_all(b"GET /v1/prices:stream HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut got = 0;
    while !ended.is_cancelled() && matches!(socket.read(&mut [0]), Ok(1)) {
        got += 1;
        std::thread::sleep(Duration::from_secs(1));
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_vanishes_without_a_word_is_noticed() {
    let settings =
        [("CRYPTOPRICE__SERVER__KEEP_ALIVE", "500ms"), ("CRYPTOPRICE__SERVER__KEEP_ALIVE_TIMEOUT", "500ms")];
    // Nothing changes: no write would ever fail.
    let program = Program::quiet(&settings).await;
    let silent = Silent::open(program.address, 10).await;
    let before = program.metrics().await;
    assert_eq!(before.get("cryptoprice_open_streams{door=\"grpc\"}"), 10);
    eventually("nobody answers the ping", async || {
        let open = program.metrics().await.get("cryptoprice_open_streams{door=\"grpc\"}");
        (open == 0).then_some(())
    })
    .await;
    drop(silent);
}

/// A client that has opened streams over HTTP/2 and from then on neither reads nor answers anything. Its socket stays
/// open: nothing tells the other side.
struct Silent {
    _connection: h2::client::Connection<TcpStream>,
    _streams: Vec<h2::client::ResponseFuture>,
}

impl Silent {
    async fn open(address: SocketAddr, streams: usize) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let (mut client, mut connection) = h2::client::handshake(socket).await.unwrap();
        let mut opened = Vec::new();
        for _ in 0..streams {
            let request =
                http::Request::post(format!("http://{address}/cryptoprice.v1.PriceService/StreamPrices"))
                    .header("content-type", "application/grpc")
                    .body(())
                    .unwrap();
            // Whoever waits for leave to send has to let the connection move.
            tokio::select! {
                ready = client.clone().ready() => client = ready.unwrap(),
                ended = &mut connection => panic!("{ended:?}"),
            }
            let (answer, mut body) = client.send_request(request, false).unwrap();
            body.send_data(bytes::Bytes::from_static(&[0; 5]), true).unwrap();
            opened.push(answer);
        }
        // Until the answer to the last has begun.
        if let Some(last) = opened.pop() {
            tokio::select! {
                answer = last => assert!(answer.unwrap().status().is_success()),
                ended = &mut connection => panic!("{ended:?}"),
            }
        }
        Self { _connection: connection, _streams: opened }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_frozen_client_costs_stays_flat() {
    let program = Program::looping("1000", &[(STALL_TIMEOUT, "10m")]).await;
    // The log of the last updates takes its share only once it is full.
    eventually("the log is full", async || {
        (program.metrics().await.get("cryptoprice_board_updates_total") > 17_000).then_some(())
    })
    .await;
    let before = program.resident();
    // As many as one connection may have, and one that reads, for comparison.
    let silent = Silent::open(program.address, 999).await;
    let channel = program.channel(1 << 16).await;
    let mut reading = follow(&channel, &[], None).await;
    read(&mut reading, 2_000).await;
    let full = program.resident();
    read(&mut reading, 20_000).await;
    let later = program.resident();
    let (held, grown) = (full.saturating_sub(before), later.saturating_sub(full));
    assert!(held < 80 * MIB, "a frozen client of 1,000 streams is held to {} MiB", held / MIB);
    assert!(grown < 8 * MIB, "{} MiB more after 20,000 updates", grown / MIB);
    println!(
        "a frozen client of 1,000 streams holds {} kB, and {} kB more after 20,000 updates",
        held / 1024,
        grown / 1024
    );
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_reconnections_leave_nothing_behind() {
    let program = Program::looping("50", &[]).await;
    let (mut updates, mut cursor) = (Vec::new(), None);
    let mut before = 0;
    for turn in 0..1_000 {
        if turn == 100 {
            before = program.resident();
        }
        // Sometimes politely, sometimes in the middle of an answer over HTTP/1.1.
        if turn % 4 == 3 {
            let mut answer = reqwest::get(program.url("/v1/prices:stream")).await.unwrap();
            answer.chunk().await.unwrap();
            continue;
        }
        let channel = program.channel(1 << 16).await;
        let mut stream = follow(&channel, &[], cursor).await;
        let got = read(&mut stream, 1).await;
        updates.extend(got.updates);
        cursor = got.cursor;
    }
    assert_whole(&updates);
    eventually("all of them are gone", async || {
        let metrics = program.metrics().await;
        let open = metrics.sum("cryptoprice_open_streams") + metrics.get("cryptoprice_connections");
        (open == 0).then_some(())
    })
    .await;
    let grown = program.resident().saturating_sub(before);
    assert!(grown < 8 * MIB, "{} kB more after 900 connections", grown / 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_inside_the_log_and_starts_over_outside() {
    // So slow that the log reaches back for minutes, however busy the machine is.
    let slow = Program::looping("20", &[]).await;
    let channel = slow.channel(1 << 16).await;
    let early = read(&mut follow(&channel, &["BTC-USD"], None).await, 1).await.cursor.unwrap();
    let inside = follow(&channel, &["BTC-USD"], Some(early)).await.next().await.unwrap().unwrap();
    assert_eq!(inside.kind(), StreamPricesKind::Update);

    let program = Program::looping("1000", &[]).await;
    let channel = program.channel(1 << 16).await;
    let early = read(&mut follow(&channel, &["BTC-USD"], None).await, 1).await.cursor.unwrap();
    let moved_past = async {
        while program.metrics().await.get("cryptoprice_board_updates_total") <= early.sequence + 17_000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), moved_past).await.expect("the log moves on");
    assert_eq!(kinds(&channel, early).await, [StreamPricesKind::Reset, StreamPricesKind::Snapshot]);
    let ahead = Cursor { sequence: early.sequence + 1_000_000_000, ..early };
    assert_eq!(kinds(&channel, ahead).await, [StreamPricesKind::Reset, StreamPricesKind::Snapshot]);
    let elsewhere = Cursor { epoch: early.epoch + 1, ..early };
    assert_eq!(kinds(&channel, elsewhere).await, [StreamPricesKind::Reset, StreamPricesKind::Snapshot]);
}

/// What the first two messages of a resumed stream are.
async fn kinds(channel: &Channel, after: Cursor) -> [StreamPricesKind; 2] {
    let mut stream = follow(channel, &["BTC-USD"], Some(after)).await;
    [stream.next().await.unwrap().unwrap().kind(), stream.next().await.unwrap().unwrap().kind()]
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_streams_are_cheap_and_told_of_the_end() {
    const CONNECTIONS: usize = 16;
    const STREAMS: usize = 10_000;
    let program = Program::quiet(&[]).await;
    let empty = program.resident();
    let mut opening = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let channel = program.channel(1 << 16).await;
        opening.spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..STREAMS / CONNECTIONS {
                let mut stream = follow(&channel, &["BTC-USD"], None).await;
                assert_eq!(stream.next().await.unwrap().unwrap().kind(), StreamPricesKind::Snapshot);
                streams.push(stream);
            }
            streams
        });
    }
    let streams: Vec<_> = opening.join_all().await.into_iter().flatten().collect();
    assert_eq!(program.metrics().await.get("cryptoprice_open_streams{door=\"grpc\"}"), STREAMS as u64);
    let each = program.resident().saturating_sub(empty) / STREAMS;
    assert!(each < 20_000, "an idle stream costs {each} bytes");
    let reading = tokio::spawn(async {
        let ends = futures::stream::iter(streams).map(async |mut stream| {
            loop {
                // Heartbeats may come before the end.
                if let Err(status) = stream.next().await.expect("a stream ends with its reason") {
                    return status;
                }
            }
        });
        ends.buffer_unordered(STREAMS).collect::<Vec<_>>().await
    });
    let (status, took) = tokio::task::spawn_blocking(|| program.terminate()).await.unwrap();
    assert!(status.success(), "{status}");
    let ends = timeout(Duration::from_secs(10), reading).await.unwrap().unwrap();
    for end in &ends {
        assert_eq!((end.code(), reason(end).as_str()), (Code::Unavailable, "STOPPING"), "{end:?}");
        assert!(resume_position(end).sequence > 0);
    }
    assert_eq!(ends.len(), STREAMS);
    println!("an idle stream costs {each} bytes; ending {STREAMS} took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_do_not_hold_up_the_end() {
    let program = Program::looping("50", &[]).await;
    let channel = program.channel(1 << 16).await;
    let mut reading = JoinSet::new();
    for _ in 0..1_000 {
        let channel = channel.clone();
        reading.spawn(async move { read(&mut follow(&channel, &[], None).await, usize::MAX).await });
    }
    eventually("all streams are open", async || {
        (program.metrics().await.get("cryptoprice_open_streams{door=\"grpc\"}") == 1_000).then_some(())
    })
    .await;
    let (status, took) = tokio::task::spawn_blocking(|| program.terminate()).await.unwrap();
    assert!(status.success(), "{status}");
    // The grace is five seconds: that is not what ends it.
    assert!(took < Duration::from_secs(4), "{took:?}");
    for got in reading.join_all().await {
        let end = got.end.unwrap();
        assert_eq!(reason(&end), "STOPPING", "{end:?}");
        assert_eq!(Some(resume_position(&end)), got.cursor);
    }
}
