//! `record`: what is written is what was heard, every file can be played by itself, and no end spoils it.

mod command;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use cryptoprice::{
    client::v1::{ExplainPriceRequest, ListPricesRequest, ListSourcesRequest},
    clock::Clock,
    domain::{decimal, pair::Pair, venue::Venue},
    feed::{
        delivery::{Delivery, DeliveryKind},
        listener::{self, ListenerOptions, Wanted},
        pulses::PulseOptions,
        recording::{Record, RecordKind, Recording, Writer, WriterOptions},
        socket::{BackOff, Penalty, SocketOptions},
        translate::Translator,
        venue::{MAX_FRAME, Session},
        venues,
    },
    sim::{SimOptions, Simulation},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{Running, eventually, provide_crypto};

/// What a venue said, and when it was received.
type Heard = Vec<(DateTime<Utc>, DeliveryKind)>;

/// The same of each connection, by its name.
type ByConnection<N> = BTreeMap<N, Heard>;

/// The simulated market, listened to and recorded at once by the code that does so for real.
struct Recorded {
    folder: tempfile::TempDir,
    live: BTreeMap<Venue, ByConnection<u64>>,
}

impl Recorded {
    /// Records until every venue has so many files.
    async fn with_files(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (market, ended) = market().await;
        let clock = Clock::system();
        let options = WriterOptions {
            folder: folder.path().to_owned(),
            rotate_size: 1 << 30,
            rotate_every: TimeDelta::seconds(1),
            flush_every: Duration::from_millis(100),
            room: 64 << 20,
        };
        let names = market.venues().iter().map(|venue| venue.venue);
        let (writer, taps) = Writer::create(options, names, clock.now()).unwrap();
        let writing = tokio::task::spawn_blocking(|| writer.run());
        let (sender, receiver) = mpsc::channel(1024);
        let shutdown = CancellationToken::new();
        let mut sockets = JoinSet::new();
        for (venue, tap) in market.venues().iter().zip(taps) {
            let socket = SocketOptions {
                penalty: Penalty { after: 1_000, lasts: Duration::from_secs(60) },
                url_override: Some(venue.url.clone()),
                back_off: BackOff { base: Duration::from_millis(10), cap: Duration::from_secs(1) },
                stable_after: Duration::from_secs(30),
                rotate_after: Duration::from_secs(3_600),
                silence_limit: Duration::from_secs(30),
                max_frame: MAX_FRAME,
                starts: Arc::new(Semaphore::new(4)),
                tap: Some(tap),
            };
            let protocol = venues::by_name(venue.venue.as_str()).unwrap();
            let pulses = PulseOptions {
                silent_after: Duration::from_secs(30),
                poll_after: Duration::from_secs(30),
                poll_every: Duration::from_secs(5),
            };
            let refresh_every = Duration::from_secs(3_600);
            let options = ListenerOptions { socket, pulses, rest: None, refresh_every };
            let wanted = Wanted { pairs: venue.pairs.clone(), max_markets: None, budget: None };
            let (_, wanted) = watch::channel(Arc::new(wanted));
            let (clock, sender, shutdown) = (clock.clone(), sender.clone(), shutdown.clone());
            sockets.spawn(listener::run(protocol, options, wanted, clock, sender, shutdown));
        }
        drop(sender);
        let hearing = tokio::spawn(hear(receiver));
        let enough = |venue: Venue| files(folder.path(), venue).len() >= count;
        eventually("every venue has its files", async || {
            market.venues().iter().all(|venue| enough(venue.venue)).then_some(())
        })
        .await;
        shutdown.cancel();
        sockets.join_all().await;
        writing.await.unwrap().unwrap();
        ended.cancel();
        let live = hearing.await.unwrap();
        market.join().await;
        Self { folder, live }
    }

    fn files(&self, venue: Venue) -> Vec<PathBuf> {
        files(self.folder.path(), venue)
    }

    /// Gets what the files of a venue say, each by itself, which must be what was heard live.
    fn heard(&self, venue: Venue) -> Heard {
        let mut recorded = ByConnection::<String>::new();
        for (connection, heard) in self.files(venue).iter().flat_map(|file| understand(file)) {
            recorded.entry(connection).or_default().extend(heard);
        }
        let live = &self.live[&venue];
        assert_eq!(recorded.len(), live.len(), "{venue}");
        for heard in recorded.values() {
            let last = heard.last().unwrap().0;
            // The last frame may have been recorded and its meaning no longer delivered when the end came.
            let is_that = |live: &&Heard| {
                let rest = heard.strip_prefix(live.as_slice());
                rest.is_some_and(|rest| rest.iter().all(|(time, _)| *time == last))
            };
            assert_eq!(live.values().filter(is_that).count(), 1, "{venue}: {heard:?}");
        }
        let mut all: Heard = recorded.into_values().flatten().collect();
        all.sort_by_key(|(time, _)| *time);
        all
    }
}

/// Starts the simulated market without trouble.
async fn market() -> (Simulation, CancellationToken) {
    provide_crypto();
    let shutdown = CancellationToken::new();
    let clock = Clock::system();
    let options = SimOptions {
        seed: 7,
        trouble: false,
        updates_per_second: NonZeroU32::new(20).unwrap(),
        now: Arc::new(move || clock.now()),
    };
    (Simulation::start(options, shutdown.clone()).await.unwrap(), shutdown)
}

/// Keeps what is said of the market, in the order in which it came.
async fn hear(mut receiver: mpsc::Receiver<Delivery>) -> BTreeMap<Venue, ByConnection<u64>> {
    let mut heard: BTreeMap<Venue, ByConnection<u64>> = BTreeMap::new();
    while let Some(Delivery { venue, connection, receive_time, kind }) = receiver.recv().await {
        match kind {
            DeliveryKind::Message
            | DeliveryKind::Connected(_)
            | DeliveryKind::Left(_)
            | DeliveryKind::Listening { .. } => {}
            DeliveryKind::Disconnected { error, .. } => panic!("{venue}: {error}"),
            kind => {
                let connection = connection.expect("nothing is asked for over REST");
                heard.entry(venue).or_default().entry(connection).or_default().push((receive_time, kind));
            }
        }
    }
    heard
}

/// Lists the files of a venue in the order of their names.
fn files(folder: &Path, venue: Venue) -> Vec<PathBuf> {
    let exchange = format!("{}-", venue.as_str().to_uppercase());
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&exchange)).collect();
    paths.sort();
    paths
}

/// Reads a file that must be complete.
fn read(path: &Path) -> (DateTime<Utc>, Vec<Record>) {
    let mut recording = Recording::open(path).unwrap();
    let records = recording.by_ref().map(Result::unwrap).collect();
    assert!(!recording.is_cut(), "{} is complete", path.display());
    (recording.started(), records)
}

/// Understands a file with nothing but what is in it.
fn understand(path: &Path) -> ByConnection<String> {
    let (started, records) = read(path);
    let protocol = Recording::open(path).unwrap().protocol();
    let mut translator = Translator::new(protocol);
    let mut sessions: HashMap<String, Session> = HashMap::new();
    let mut heard = ByConnection::new();
    for record in records {
        let RecordKind::Frame(frame) = &record.kind else { continue };
        let session = sessions.entry(record.connection.clone()).or_default();
        let text = protocol.decode(frame.as_frame()).unwrap();
        for event in protocol.parse(session, &text).unwrap().events {
            // What is older than the file is known, and said no second time.
            if record.time >= started {
                let said = translator.translate(&event, record.time).unwrap();
                let heard: &mut Heard = heard.entry(record.connection.clone()).or_default();
                heard.push((record.time, said));
            }
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_by_itself_says_what_was_heard_live() {
    let recorded = Recorded::with_files(4).await;
    assert_eq!(recorded.live.len(), 6);
    for venue in recorded.live.keys() {
        let heard = recorded.heard(*venue);
        assert!(heard.len() > 100, "{venue}: {}", heard.len());
        let files = recorded.files(*venue);
        assert!(files.len() >= 4, "{venue}: {files:?}");
        for file in &files {
            let (started, records) = read(file);
            assert!(matches!(records[0].kind, RecordKind::Connect(_)), "{}", file.display());
            let own = records.iter().filter(|record| record.time >= started).count();
            assert!(own > 0, "{}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_quotes_are_the_last_ones_heard_live() {
    let recorded = Recorded::with_files(3).await;
    let mut expected = BTreeMap::new();
    for venue in recorded.live.keys() {
        for (_, kind) in recorded.heard(*venue) {
            if let DeliveryKind::Ticker { market, book: Some(book), .. } = kind {
                let side = |price: Option<_>| price.map(decimal::text);
                expected.insert((market, venue.as_str().to_owned()), (side(book.bid), side(book.ask)));
            }
        }
    }
    let mut all: Vec<_> = recorded.live.keys().flat_map(|venue| recorded.files(*venue)).collect();
    let replayed = Running::replay(all.clone()).await;
    let explained = quotes(&replayed).await;
    let prices = prices(&replayed).await;
    let counted = counts(&replayed).await;
    replayed.stop().await;
    assert!(expected.len() > 80, "{}", expected.len());
    assert_eq!(explained, expected);
    assert!(prices.len() > 20, "{}", prices.len());

    // The files of a venue are one recording in pieces: neither their order nor where it was cut changes anything.
    all.reverse();
    let whole: Vec<_> = recorded.live.keys().map(|venue| joined(&recorded, *venue)).collect();
    for files in [all, whole] {
        let again = Running::replay(files).await;
        assert!(self::prices(&again).await == prices);
        assert_eq!(self::counts(&again).await, counted);
        again.stop().await;
    }
}

/// Makes one plain recording out of the files of a venue.
fn joined(recorded: &Recorded, venue: Venue) -> PathBuf {
    let mut text = String::new();
    for (index, file) in recorded.files(venue).iter().enumerate() {
        let (started, records) = read(file);
        let known = records.iter().take_while(|record| record.time < started).count();
        // The header of the first file, and from all what is in no other.
        let skipped = if index == 0 { 0 } else { 1 + known };
        let lines = zstd::decode_all(fs::File::open(file).unwrap()).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        text.extend(lines.lines().skip(skipped).flat_map(|line| [line, "\n"]));
    }
    let path = recorded.folder.path().join(format!("{venue}.jsonl"));
    fs::write(&path, text).unwrap();
    path
}

/// Gets what was counted of each venue: frames, tickers, trades, past trades, trades that came twice, misunderstood.
async fn counts(running: &Running) -> BTreeMap<String, [u64; 6]> {
    let listed = running.sources().await.list_sources(ListSourcesRequest::default()).await.unwrap();
    let counted = listed.into_inner().sources.into_iter().map(|source| {
        let counts = [
            source.frame_count,
            source.ticker_count,
            source.trade_count,
            source.snapshot_trade_count,
            source.duplicate_count,
            source.malformed_count,
        ];
        (source.source, counts)
    });
    counted.collect()
}

/// Gets all prices as bytes.
async fn prices(running: &Running) -> Vec<Vec<u8>> {
    let request = ListPricesRequest { page_size: 1_000, ..Default::default() };
    let listed = running.prices().await.list_prices(request).await.unwrap().into_inner();
    listed.prices.iter().map(prost::Message::encode_to_vec).collect()
}

/// Gets bid and ask of every market at every venue, as the explanations of all prices show them.
async fn quotes(running: &Running) -> BTreeMap<(Pair, String), (Option<String>, Option<String>)> {
    let mut client = running.prices().await;
    let request = ListPricesRequest { page_size: 1_000, ..Default::default() };
    let listed = client.list_prices(request).await.unwrap().into_inner().prices;
    let mut quotes = BTreeMap::new();
    for price in listed {
        let request = ExplainPriceRequest { pair: price.pair, ..Default::default() };
        let explained = client.explain_price(request).await.unwrap().into_inner();
        for made in explained.legs.into_iter().flat_map(|leg| leg.contributions) {
            quotes.insert((made.market.parse().unwrap(), made.source), (made.bid, made.ask));
        }
    }
    quotes
}
