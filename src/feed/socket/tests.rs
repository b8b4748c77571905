//! The loop against servers on the loopback.

mod handover;
mod patience;
mod recorded;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use super::*;
use crate::{
    clock::Clock,
    feed::{
        delivery::Delivery,
        pulses::{PulseOptions, Pulses},
        venues::{gate::Gate, kucoin::KuCoin},
    },
};

const TRADE: &str = r#"{"channel":"spot.trades","event":"update","result":{"id":1,"create_time_ms":"1700000000123.4","side":"buy","currency_pair":"BTC_USDT","amount":"2","price":"1.5"}}"#;

/// A loop that runs against a server of the test.
struct Running {
    contact: Arc<Contact>,
    deliveries: mpsc::Receiver<Delivery>,
    wanted: watch::Sender<Arc<[Subscription]>>,
    shutdown: CancellationToken,
    task: JoinHandle<Kept>,
}

impl Running {
    fn start(protocol: &'static dyn Protocol, url: String) -> Self {
        Self::start_with(protocol, url, |_| {})
    }

    fn start_with(
        protocol: &'static dyn Protocol,
        url: String,
        change: impl FnOnce(&mut SocketOptions),
    ) -> Self {
        let mut options = SocketOptions {
            url_override: Some(url),
            back_off: BackOff { base: Duration::from_millis(5), cap: Duration::from_millis(20) },
            starts: Arc::new(Semaphore::new(4)),
            max_frame: 4096,
            penalty: Penalty { after: 1_000, lasts: Duration::from_secs(60) },
            stable_after: Duration::from_secs(60),
            rotate_after: Duration::from_secs(3_600),
            silence_limit: Duration::from_secs(60),
            tap: None,
        };
        change(&mut options);
        let (out, deliveries) = mpsc::channel(16);
        let pulses = PulseOptions {
            silent_after: Duration::from_secs(30),
            poll_after: Duration::from_secs(10),
            poll_every: Duration::from_secs(5),
        };
        let outlet = Outlet::new(protocol.venue(), Clock::system(), Pulses::new(pulses), out);
        let shutdown = CancellationToken::new();
        let contact = Contact::new(protocol, options, outlet, Arc::default(), shutdown.clone());
        let (contact, pair) = (Arc::new(contact), Pair::literal("BTC", "USDT"));
        let (wanted, subscriptions) = watch::channel(subscribe(protocol, &[pair]));
        let task = keep(&contact, subscriptions);
        Self { contact, deliveries, wanted, shutdown, task }
    }

    /// Gets the next delivery that is more than the sign of a message.
    async fn delivered(&mut self) -> DeliveryKind {
        loop {
            let delivery = timeout(Duration::from_secs(10), self.deliveries.recv()).await;
            let kind = delivery.unwrap().unwrap().kind;
            if !matches!(kind, DeliveryKind::Message | DeliveryKind::Left(_)) {
                return kind;
            }
        }
    }

    async fn disconnected(&mut self) -> String {
        match self.delivered().await {
            DeliveryKind::Disconnected { error, .. } => error,
            other => panic!("{other:?}"),
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(2), self.task).await.unwrap().unwrap();
    }
}

/// Keeps a connection.
fn keep(contact: &Arc<Contact>, wanted: Wanted) -> JoinHandle<Kept> {
    let (contact, stop) = (Arc::clone(contact), contact.shutdown.clone());
    tokio::spawn(async move { run(&contact, wanted, stop).await })
}

/// Says what a connection is asked for.
fn subscribe(protocol: &dyn Protocol, pairs: &[Pair]) -> Arc<[Subscription]> {
    pairs.iter().map(|pair| Subscription { pair: *pair, symbol: protocol.symbol(*pair) }).collect()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address.to_string())
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    accept_async(stream).await.unwrap()
}

/// Takes one HTTP request and answers it.
async fn answer(listener: &TcpListener, status: &str, body: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\nretry-after: 0\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn a_venue_that_refuses_is_tried_again() {
    let (listener, address) = listen().await;
    drop(listener);
    let mut running = Running::start(&Gate, format!("ws://{address}"));
    for _ in 0..3 {
        let error = running.disconnected().await;
        assert!(error.contains("refused"), "{error}");
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_that_are_refused_together_do_not_come_back_together() {
    const LOOPS: u32 = 200;
    const TRIES: u32 = 10;
    let back_off = BackOff { base: Duration::from_millis(500), cap: Duration::from_secs(60) };
    let (listener, address) = listen().await;
    drop(listener);
    let loops = (0..LOOPS).map(|_| {
        let mut running =
            Running::start_with(&Gate, format!("ws://{address}"), |options| options.back_off = back_off);
        tokio::spawn(async move {
            let mut at = Vec::new();
            while at.len() <= TRIES as usize {
                // Waits as long as it takes: time is not real here.
                let delivery = running.deliveries.recv().await.unwrap();
                assert!(matches!(
                    delivery.kind,
                    DeliveryKind::Disconnected { outlook: Outlook::Retry(_), .. }
                ));
                at.push(tokio::time::Instant::now());
            }
            running.stop().await;
            at
        })
    });
    let times = futures::future::try_join_all(loops).await.unwrap();
    for attempt in 0..TRIES {
        let number = usize::try_from(attempt).unwrap();
        let mut waits: Vec<Duration> = times.iter().map(|at| at[number + 1] - at[number]).collect();
        waits.sort_unstable();
        let longest = back_off.wait(attempt, 1.0);
        // Timers are kept to the millisecond.
        assert!(waits.last().unwrap() <= &(longest + Duration::from_millis(5)), "{attempt}: {waits:?}");
        // Drawn evenly: the mean is in the middle, within five standard errors, and each fifth has its share.
        let mean = waits.iter().sum::<Duration>().as_secs_f64() / f64::from(LOOPS) / longest.as_secs_f64();
        assert!((mean - 0.5).abs() < 5.0 * 0.289 / f64::from(LOOPS).sqrt(), "{attempt}: {mean}");
        for fifth in 0..5 {
            let within = |wait: &&Duration| (longest / 5 * fifth..longest / 5 * (fifth + 1)).contains(wait);
            let share = waits.iter().filter(within).count();
            assert!((12..=68).contains(&share), "{attempt}: {share} of {LOOPS} in fifth {fifth}");
        }
    }
}

#[tokio::test]
async fn a_venue_that_refuses_for_good_is_left_alone() {
    for status in ["403 Forbidden", "451 Unavailable For Legal Reasons"] {
        let (listener, address) = listen().await;
        let mut running = Running::start(&Gate, format!("ws://{address}"));
        answer(&listener, status, "").await;
        // The loop ends by itself.
        let kept = timeout(Duration::from_secs(2), &mut running.task).await.unwrap().unwrap();
        let Kept::Blocked(error) = kept else { panic!("{kept:?}") };
        assert!(error.contains(&status[..3]), "{error}");
        drop(running.contact);
        assert_eq!(running.deliveries.recv().await, None);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_and_subscribed_again() {
    let (listener, address) = listen().await;
    let mut running = Running::start(&Gate, format!("ws://{address}"));
    for _ in 0..3 {
        let mut socket = accept(&listener).await;
        for _ in 0..3 {
            let heard = socket.next().await.unwrap().unwrap();
            assert!(heard.to_text().unwrap().contains(r#""event":"subscribe""#), "{heard}");
        }
        socket.send(Message::text(TRADE)).await.unwrap();
        assert!(matches!(running.delivered().await, DeliveryKind::Connected(_)));
        let DeliveryKind::Trade { market, trade, .. } = running.delivered().await else { panic!("no trade") };
        assert_eq!(market, Pair::literal("BTC", "USDT"));
        assert_eq!(trade.id.as_deref(), Some("1"));
        drop(socket);
        running.disconnected().await;
    }
    running.stop().await;
}

/// A trade by its id.
fn trade(id: u64) -> Message {
    Message::text(TRADE.replace(r#""id":1"#, &format!(r#""id":{id}"#)))
}

impl Running {
    /// Gets the next delivery that is no word of a connection.
    async fn said(&mut self) -> DeliveryKind {
        loop {
            let kind = self.delivered().await;
            if !matches!(kind, DeliveryKind::Connected(_)) {
                return kind;
            }
        }
    }

    /// Gets the id of the next trade; nothing else may come before but word of a connection.
    async fn traded(&mut self) -> String {
        match self.said().await {
            DeliveryKind::Trade { trade, .. } => trade.id.unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection() {
    let (listener, address) = listen().await;
    let mut running = Running::start(&Gate, format!("ws://{address}"));
    let mut socket = accept(&listener).await;
    assert!(matches!(running.delivered().await, DeliveryKind::Connected(_)));
    socket.send(Message::text("x".repeat(4097))).await.unwrap();
    let error = running.disconnected().await;
    assert!(error.contains("4096"), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn an_address_is_asked_for_where_the_venue_wants_it() {
    let (rest, rest_address) = listen().await;
    let (listener, address) = listen().await;
    let mut running = Running::start(&KuCoin, format!("http://{rest_address}/api/v1/bullet-public"));
    let body = format!(
        r#"{{"code":"200000","data":{{"token":"a=","instanceServers":[{{"endpoint":"ws://{address}/endpoint","pingInterval":1000}}]}}}}"#
    );
    let request = answer(&rest, "200 OK", &body).await;
    assert!(request.starts_with("POST /api/v1/bullet-public "), "{request}");
    assert!(request.to_lowercase().contains("user-agent: cryptoprice/"), "{request}");
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("GET /endpoint?token=a%3D "), "{request}");
    drop(stream);
    running.disconnected().await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_socket_is_named_in_the_error() {
    for (status, body, scheme, expected) in [
        ("429 Too Many Requests", "", "ws", "status 429"),
        ("404 Not Found", "<html>", "ws", "status 404"),
        ("503 Service Unavailable", "{}", "http", "status 503"),
        ("200 OK", "<html>", "http", "not understood"),
        ("200 OK", &"x".repeat(1 << 17), "http", "more than 65536 bytes"),
    ] {
        let (listener, address) = listen().await;
        let mut running = Running::start(&KuCoin, format!("{scheme}://{address}/"));
        answer(&listener, status, body).await;
        let error = running.disconnected().await;
        assert!(error.contains(expected), "{status}: {error}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_server_without_tls_is_an_error_where_tls_is_meant() {
    let (listener, address) = listen().await;
    let mut running = Running::start(&Gate, format!("wss://{address}"));
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let error = running.disconnected().await;
    assert!(!error.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_shutdown_ends_the_loop_wherever_it_is() {
    let (listener, address) = listen().await;
    // Opening: the server takes the connection and says nothing.
    let running = Running::start(&Gate, format!("ws://{address}"));
    let (stream, _) = listener.accept().await.unwrap();
    running.stop().await;
    drop(stream);
    // Listening: the server hears the goodbye.
    let mut running = Running::start(&Gate, format!("ws://{address}"));
    let mut socket = accept(&listener).await;
    assert!(matches!(running.delivered().await, DeliveryKind::Connected(_)));
    running.stop().await;
    let mut heard = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        heard.push(message);
    }
    assert_eq!(heard.last(), Some(&Message::Close(None)));
    // Nobody is left to listen.
    let running = Running::start(&Gate, format!("ws://{address}"));
    drop(running.deliveries);
    let _socket = accept(&listener).await;
    timeout(Duration::from_secs(2), running.task).await.unwrap().unwrap();
}
