//! Conversations over a pipe in memory, on a clock that is moved by hand.

mod refusals;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{
    io::{DuplexStream, duplex},
    sync::{Semaphore, mpsc},
};
use tokio_tungstenite::tungstenite::{self, protocol::Role};

use super::*;
use crate::{
    clock::Clock,
    domain::pair::Pair,
    feed::{
        delivery::Delivery,
        outlet::Outlet,
        pulses::{PulseOptions, Pulses},
        socket::{BackOff, Penalty, SocketOptions},
        venue::{MAX_FRAME, Protocol},
        venues::{binance::Binance, cryptocom::CryptoCom, gate::Gate},
    },
};

const TRADE: &str = r#"{"channel":"spot.trades","event":"update","result":{"id":1,"create_time_ms":"1700000000123.4","side":"buy","currency_pair":"BTC_USDT","amount":"2","price":"1.5"}}"#;
const PONG: &str = r#"{"time":1,"channel":"spot.pong","event":""}"#;

/// The venue's end of a conversation, and what we hand on.
struct Venue {
    socket: WebSocketStream<DuplexStream>,
    deliveries: mpsc::Receiver<Delivery>,
    shutdown: CancellationToken,
    /// Ends this connection alone.
    leave: CancellationToken,
    talk: tokio::task::JoinHandle<String>,
}

impl Venue {
    async fn start(protocol: &'static dyn Protocol, ping_every: Option<Duration>, room: usize) -> Self {
        let (ours, theirs) = duplex(1 << 16);
        Self::over(protocol, ping_every, room, ours, theirs).await
    }

    async fn over(
        protocol: &'static dyn Protocol,
        ping_every: Option<Duration>,
        room: usize,
        ours: DuplexStream,
        theirs: DuplexStream,
    ) -> Self {
        Self::asking(protocol, ping_every, room, ours, theirs, &[Pair::literal("BTC", "USDT")]).await
    }

    async fn asking(
        protocol: &'static dyn Protocol,
        ping_every: Option<Duration>,
        room: usize,
        ours: DuplexStream,
        theirs: DuplexStream,
        pairs: &[Pair],
    ) -> Self {
        let (out, deliveries) = mpsc::channel(room);
        let shutdown = CancellationToken::new();
        let pulses = PulseOptions {
            silent_after: Duration::from_secs(30),
            poll_after: Duration::from_secs(10),
            poll_every: Duration::from_secs(5),
        };
        let outlet = Outlet::new(protocol.venue(), Clock::system(), Pulses::new(pulses), out);
        let (token, leave) = (shutdown.clone(), shutdown.child_token());
        let left = leave.clone();
        let subscriptions: Arc<[Subscription]> =
            pairs.iter().map(|pair| Subscription { pair: *pair, symbol: protocol.symbol(*pair) }).collect();
        let socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let talk = tokio::spawn(async move {
            let options = SocketOptions {
                starts: Arc::new(Semaphore::new(1)),
                url_override: None,
                penalty: Penalty { after: 10, lasts: Duration::from_secs(60) },
                back_off: BackOff { base: Duration::from_secs(1), cap: Duration::from_secs(60) },
                stable_after: Duration::from_secs(60),
                rotate_after: Duration::from_secs(3_600),
                silence_limit: Duration::from_secs(60),
                max_frame: MAX_FRAME,
                tap: None,
            };
            let contact = Contact::new(protocol, options, outlet, Arc::default(), token);
            let voices = Arc::new(Voices::new(&subscriptions));
            let mut conversation = Conversation::new(&contact, subscriptions, &leave, voices);
            conversation.hold(socket, ping_every).await.to_string()
        });
        Self {
            socket: WebSocketStream::from_raw_socket(theirs, Role::Server, None).await,
            deliveries,
            shutdown,
            leave: left,
            talk,
        }
    }

    async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn hear(&mut self) -> Message {
        self.socket.next().await.unwrap().unwrap()
    }

    async fn hear_json(&mut self) -> Value {
        serde_json::from_str(self.hear().await.to_text().unwrap()).unwrap()
    }

    async fn hear_subscriptions(&mut self) {
        for channel in ["spot.trades", "spot.book_ticker", "spot.tickers"] {
            let heard = self.hear_json().await;
            assert_eq!(heard["channel"], channel);
            assert_eq!(heard["payload"], json!(["BTC_USDT"]));
        }
        assert!(matches!(self.delivered().await, DeliveryKind::Connected(_)));
    }

    /// Gets the next delivery that is more than the sign of a message.
    async fn delivered(&mut self) -> DeliveryKind {
        loop {
            let kind = self.deliveries.recv().await.unwrap().kind;
            if !matches!(kind, DeliveryKind::Message | DeliveryKind::Left(_)) {
                return kind;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_and_pings_are_answered() {
    let mut venue = Venue::start(&CryptoCom, None, 8).await;
    let request = venue.hear_json().await;
    let channels = json!(["trade.BTC_USDT", "ticker.BTC_USDT"]);
    assert_eq!(request["params"]["channels"], channels);
    venue.say(r#"{"id":42,"method":"public/heartbeat"}"#).await;
    let answer = venue.hear_json().await;
    assert_eq!(answer, json!({ "id": 42, "method": "public/respond-heartbeat" }));
    venue.socket.send(Message::Ping("x".into())).await.unwrap();
    assert_eq!(venue.hear().await, Message::Pong("x".into()));
}

#[tokio::test(start_paused = true)]
async fn messages_of_ours_keep_the_distances_that_the_venue_wants() {
    let before = Instant::now();
    let mut venue = Venue::start(&CryptoCom, None, 8).await;
    venue.hear().await;
    assert_eq!(before.elapsed(), Duration::from_secs(1));

    let (ours, theirs) = duplex(1 << 16);
    let pairs = ["BTC", "ETH", "ABC"].map(|base| Pair::literal(base, "USDT"));
    let mut venue = Venue::asking(&Binance, None, 16, ours, theirs, &pairs).await;
    let mut heard = vec![venue.hear_json().await];
    venue.say(r#"{"error":{"code":2,"msg":"Invalid request"},"id":1}"#).await;
    let mut times = Vec::new();
    for _ in pairs {
        heard.push(venue.hear_json().await);
        times.push(Instant::now());
    }
    assert!(heard.iter().all(|request| request["method"] == "SUBSCRIBE"), "{heard:?}");
    let gaps: Vec<_> = times.windows(2).map(|at| at[1] - at[0]).collect();
    assert_eq!(gaps, [Duration::from_millis(250); 2], "five a second at most");
}

#[tokio::test(start_paused = true)]
async fn pings_go_out_as_the_venue_wants_them() {
    for (told, expected) in [(None, 15), (Some(Duration::from_secs(5)), 5)] {
        let mut venue = Venue::start(&Gate, told, 8).await;
        venue.hear_subscriptions().await;
        for _ in 0..3 {
            let before = Instant::now();
            assert_eq!(venue.hear_json().await["channel"], "spot.ping");
            assert_eq!(before.elapsed().as_secs(), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pongs_do_not_pass_for_news() {
    let mut venue = Venue::start(&Gate, None, 8).await;
    venue.hear_subscriptions().await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        venue.say(TRADE).await;
        assert!(matches!(venue.delivered().await, DeliveryKind::Trade { .. }));
    }
    let last = Instant::now();
    while !venue.talk.is_finished() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = venue.socket.send(Message::text(PONG)).await;
        while venue.deliveries.try_recv().is_ok() {}
    }
    let silent = last.elapsed().as_secs();
    assert!((60..=61).contains(&silent), "{silent}");
    assert_eq!(venue.talk.await.unwrap(), "no event for 60s");
}

#[tokio::test(start_paused = true)]
async fn every_message_is_told_of_before_what_it_says() {
    let mut venue = Venue::start(&Gate, None, 8).await;
    venue.hear_subscriptions().await;
    for (text, says_something) in [(PONG, false), (TRADE, true), ("?", true), (PONG, false)] {
        venue.say(text).await;
        let first = venue.deliveries.recv().await.unwrap();
        assert_eq!(first.kind, DeliveryKind::Message, "{text}");
        if says_something {
            let next = venue.deliveries.recv().await.unwrap();
            assert_ne!(next.kind, DeliveryKind::Message, "{text}");
            assert_eq!(next.receive_time, first.receive_time);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_is_counted_and_survived() {
    let mut venue = Venue::start(&Gate, None, 8).await;
    venue.hear_subscriptions().await;
    for (garbage, expected) in [
        (Message::text("<html>"), "json"),
        (Message::text(""), "json"),
        (Message::binary(vec![0xff, 0x00]), "not_text"),
        (Message::text(r#"{"channel":"spot.nonsense"}"#), "unknown_channel"),
        (Message::text(TRADE.replace("BTC_USDT", "?")), "unknown_symbol"),
        (Message::text(TRADE.replace("1.5", "-1.5")), "value"),
    ] {
        venue.socket.send(garbage).await.unwrap();
        let delivered = venue.delivered().await;
        assert!(
            matches!(&delivered, DeliveryKind::Malformed { kind, .. } if *kind == expected),
            "{delivered:?}"
        );
    }
    venue.say(TRADE).await;
    assert!(matches!(venue.delivered().await, DeliveryKind::Trade { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_taken_for_a_silent_venue() {
    let mut venue = Venue::start(&Gate, None, 1).await;
    venue.hear_subscriptions().await;
    for _ in 0..4 {
        venue.say(TRADE).await;
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    for _ in 0..4 {
        assert!(matches!(venue.delivered().await, DeliveryKind::Trade { .. }));
    }
    assert!(!venue.talk.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_venue_that_takes_nothing_is_left() {
    let (ours, theirs) = duplex(16);
    let venue = Venue::over(&Gate, None, 8, ours, theirs).await;
    assert_eq!(venue.talk.await.unwrap(), "a message was not taken within 10s");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_venue_that_takes_nothing() {
    let (ours, theirs) = duplex(16);
    let venue = Venue::over(&Gate, None, 8, ours, theirs).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    venue.shutdown.cancel();
    assert_eq!(venue.talk.await.unwrap(), "stopped by us");
    assert!(before.elapsed() <= CLOSE_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn the_venues_words_are_kept_when_it_closes() {
    let mut venue = Venue::start(&Gate, None, 8).await;
    venue.hear_subscriptions().await;
    let frame = tungstenite::protocol::CloseFrame { code: 1012.into(), reason: "back soon".into() };
    venue.socket.close(Some(frame)).await.unwrap();
    assert_eq!(venue.talk.await.unwrap(), "closed by the venue: 1012 back soon");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_says_goodbye_at_once() {
    // The second time nobody takes the deliveries, so that the conversation waits for room.
    for unread in [0, 20] {
        let mut venue = Venue::start(&Gate, None, 8).await;
        venue.hear_subscriptions().await;
        for _ in 0..unread {
            venue.say(TRADE).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = Instant::now();
        venue.shutdown.cancel();
        assert_eq!(venue.hear().await, Message::Close(None));
        assert_eq!(venue.talk.await.unwrap(), "stopped by us");
        assert!(before.elapsed() <= CLOSE_WITHIN);
    }
}

#[tokio::test(start_paused = true)]
async fn that_a_connection_is_left_is_told_however_long_it_takes() {
    let mut venue = Venue::start(&Gate, None, 4).await;
    venue.hear_subscriptions().await;
    for _ in 0..20 {
        venue.say(TRADE).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Another has taken over from it, and what it said still waits to be heard.
    venue.leave.cancel();
    assert_eq!(venue.hear().await, Message::Close(None));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut last = None;
    while let Some(delivery) = venue.deliveries.recv().await {
        last = Some(delivery.kind);
    }
    assert_eq!(last, Some(DeliveryKind::Left([Pair::literal("BTC", "USDT")].into())));
    assert_eq!(venue.talk.await.unwrap(), "stopped by us");
}
