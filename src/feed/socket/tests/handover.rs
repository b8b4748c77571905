//! One connection taking over from another.

use tokio::time::advance;

use super::*;
use crate::feed::venues::{bitstamp::Bitstamp, kraken::Kraken};

/// Keeps a paused clock from running ahead of what goes over the loopback: it is moved by hand for as long as this is kept.
/// A test that hangs would hang for ever, and so not for longer than a minute.
pub(super) fn hold_the_clock() -> std::sync::mpsc::Sender<()> {
    let (held, until) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || until.recv_timeout(Duration::from_secs(60)));
    held
}

/// Moves the clock, and a little more: timers are kept to the millisecond.
pub(super) async fn pass(time: Duration) {
    advance(time + Duration::from_millis(2)).await;
}

/// Waits until we have left.
async fn left(socket: &mut WebSocketStream<TcpStream>) {
    while let Some(Ok(_)) = socket.next().await {}
}

/// A trade of another market.
fn ether(id: u64) -> Message {
    Message::text(trade(id).to_text().unwrap().replace("BTC_USDT", "ETH_USDT"))
}

/// Two markets on one connection, which both have spoken.
async fn two_markets(listener: &TcpListener, address: &str) -> (Running, WebSocketStream<TcpStream>) {
    let mut running = Running::start_with(&Gate, format!("ws://{address}"), |options| {
        options.silence_limit = Duration::from_secs(7_200);
    });
    let pairs = ["BTC", "ETH"].map(|base| Pair::literal(base, "USDT"));
    running.wanted.send_replace(subscribe(&Gate, &pairs));
    let mut old = accept(listener).await;
    for said in [trade(1), ether(2)] {
        old.send(said).await.unwrap();
        running.traded().await;
    }
    (running, old)
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_left_when_the_next_one_has_all_that_was_heard_of_it() {
    let _held = hold_the_clock();
    let (listener, address) = listen().await;
    let (mut running, mut old) = two_markets(&listener, &address).await;
    pass(Duration::from_secs(3_590)).await;
    for said in [trade(3), ether(4)] {
        old.send(said).await.unwrap();
        running.traded().await;
    }
    pass(Duration::from_secs(10)).await;
    let mut next = accept(&listener).await;
    next.send(trade(5)).await.unwrap();
    assert_eq!(running.traded().await, "5");
    // What the next one takes longer to be subscribed to is heard on the old one.
    for id in 6..9 {
        old.send(ether(id)).await.unwrap();
        assert_eq!(running.traded().await, id.to_string());
    }
    next.send(ether(9)).await.unwrap();
    assert_eq!(running.traded().await, "9");
    left(&mut old).await;
    next.send(trade(10)).await.unwrap();
    assert_eq!(running.traded().await, "10");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_heard_lately_is_not_waited_for() {
    let _held = hold_the_clock();
    let (listener, address) = listen().await;
    let (mut running, mut old) = two_markets(&listener, &address).await;
    pass(Duration::from_secs(3_590)).await;
    old.send(trade(3)).await.unwrap();
    running.traded().await;
    pass(Duration::from_secs(10)).await;
    let mut next = accept(&listener).await;
    next.send(trade(4)).await.unwrap();
    assert_eq!(running.traded().await, "4");
    left(&mut old).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_market_that_the_next_one_does_not_bring_keeps_the_old_one_for_a_while_only() {
    let _held = hold_the_clock();
    let (listener, address) = listen().await;
    let (mut running, mut old) = two_markets(&listener, &address).await;
    // As for a market whose stream is dead.
    running.wanted.send_modify(|_| ());
    let mut next = accept(&listener).await;
    next.send(trade(3)).await.unwrap();
    assert_eq!(running.traded().await, "3");
    pass(Duration::from_secs(29)).await;
    old.send(ether(4)).await.unwrap();
    assert_eq!(running.traded().await, "4");
    pass(Duration::from_secs(1)).await;
    left(&mut old).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn heartbeats_alone_do_not_take_over() {
    let beat = || Message::text(r#"{"channel":"heartbeat"}"#);
    let trade = |id: u64| {
        Message::text(format!(
            r#"{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USDT","side":"buy","price":1.5,"qty":0.5,"ord_type":"limit","trade_id":{id},"timestamp":"2023-11-14T22:13:20.123456Z"}}]}}"#
        ))
    };
    let _held = hold_the_clock();
    let (listener, address) = listen().await;
    let mut running = Running::start_with(&Kraken, format!("ws://{address}"), |options| {
        options.back_off.cap = Duration::from_secs(60);
        options.silence_limit = Duration::from_secs(7_200);
    });
    let mut old = accept(&listener).await;
    old.send(trade(1)).await.unwrap();
    assert_eq!(running.traded().await, "1");
    running.wanted.send_modify(|_| ());
    let mut next = accept(&listener).await;
    for id in 2..5 {
        next.send(beat()).await.unwrap();
        assert_eq!(running.said().await, DeliveryKind::Confirm(None));
        pass(Duration::from_secs(29)).await;
        old.send(trade(id)).await.unwrap();
        assert_eq!(running.traded().await, id.to_string());
    }
    // Too long: the next one is left, and the old one stays until there is a better one.
    pass(Duration::from_secs(3)).await;
    left(&mut next).await;
    drop(next);
    old.send(trade(5)).await.unwrap();
    assert_eq!(running.traded().await, "5");
    pass(Duration::from_secs(60)).await;
    let mut next = accept(&listener).await;
    next.send(trade(6)).await.unwrap();
    assert_eq!(running.traded().await, "6");
    left(&mut old).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_while_another_is_being_made_is_not_kept_waiting_for_it() {
    let _held = hold_the_clock();
    let (listener, address) = listen().await;
    let (mut running, mut old) = two_markets(&listener, &address).await;
    running.wanted.send_modify(|_| ());
    let mut outdated = accept(&listener).await;
    let pairs = ["BTC", "XRP"].map(|base| Pair::literal(base, "USDT"));
    running.wanted.send_replace(subscribe(&Gate, &pairs));
    left(&mut outdated).await;
    drop(outdated);
    let mut next = accept(&listener).await;
    let heard = next.next().await.unwrap().unwrap();
    assert!(heard.to_text().unwrap().contains(r#"["BTC_USDT","XRP_USDT"]"#), "{heard}");
    // The market that is not wanted any more is not waited for.
    next.send(trade(3)).await.unwrap();
    assert_eq!(running.traded().await, "3");
    left(&mut old).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_connection_takes_over_from_one_whose_end_is_announced() {
    let trade = |id: u64| {
        Message::text(format!(
            r#"{{"data":{{"id":{id},"amount_str":"1","price_str":"1.5","type":1,"microtimestamp":"1700000000123456"}},"channel":"live_trades_btcusdt","event":"trade"}}"#
        ))
    };
    let _held = hold_the_clock();
    let (listener, address) = listen().await;
    let mut running = Running::start(&Bitstamp, format!("ws://{address}"));
    let mut old = accept(&listener).await;
    for turn in 0..3 {
        let first = turn * 10;
        old.send(trade(first)).await.unwrap();
        assert_eq!(running.traded().await, first.to_string());
        // Twice is as once.
        for _ in 0..2 {
            let announced = r#"{"event":"bts:request_reconnect","channel":"","data":""}"#;
            old.send(Message::text(announced)).await.unwrap();
            assert!(matches!(running.said().await, DeliveryKind::GoingAway(_)));
        }
        // At once, but for what keeps all from coming together.
        pass(Duration::from_secs(2)).await;
        let mut next = accept(&listener).await;
        old.send(trade(first + 1)).await.unwrap();
        assert_eq!(running.traded().await, (first + 1).to_string());
        next.send(trade(first + 2)).await.unwrap();
        assert_eq!(running.traded().await, (first + 2).to_string());
        left(&mut old).await;
        old = next;
    }
    running.stop().await;
}

#[tokio::test]
async fn another_connection_takes_over_from_one_that_grows_old_and_nothing_is_missed() {
    let (listener, address) = listen().await;
    let mut running = Running::start_with(&Gate, format!("ws://{address}"), |options| {
        options.rotate_after = Duration::from_millis(50);
    });
    let mut old = accept(&listener).await;
    for turn in 0..3 {
        let first = turn * 10;
        old.send(trade(first)).await.unwrap();
        assert_eq!(running.traded().await, first.to_string());
        // The next one is there, and both bring what happens until the next one has brought something.
        let mut next = accept(&listener).await;
        old.send(trade(first + 1)).await.unwrap();
        assert_eq!(running.traded().await, (first + 1).to_string());
        next.send(trade(first + 2)).await.unwrap();
        assert_eq!(running.traded().await, (first + 2).to_string());
        // Only then is the old one left, with a goodbye.
        let goodbye = async {
            while let Some(Ok(message)) = old.next().await {
                if message.is_close() {
                    return true;
                }
            }
            false
        };
        assert!(timeout(Duration::from_secs(10), goodbye).await.unwrap());
        old = next;
    }
    running.stop().await;
}

#[tokio::test]
async fn another_connection_takes_over_when_something_else_is_wanted() {
    let (listener, address) = listen().await;
    let mut running = Running::start(&Gate, format!("ws://{address}"));
    let mut old = accept(&listener).await;
    old.send(trade(1)).await.unwrap();
    assert_eq!(running.traded().await, "1");
    let pairs = ["BTC", "ETH"].map(|base| Pair::literal(base, "USDT"));
    running.wanted.send_replace(subscribe(&Gate, &pairs));
    let mut next = accept(&listener).await;
    let heard = next.next().await.unwrap().unwrap();
    assert!(heard.to_text().unwrap().contains(r#"["BTC_USDT","ETH_USDT"]"#), "{heard}");
    // The old one is listened to until the new one has brought something.
    old.send(trade(2)).await.unwrap();
    assert_eq!(running.traded().await, "2");
    next.send(trade(3)).await.unwrap();
    assert_eq!(running.traded().await, "3");
    running.stop().await;
}

#[tokio::test]
async fn a_connection_stays_while_none_can_take_over() {
    let (listener, address) = listen().await;
    let mut running = Running::start_with(&Gate, format!("ws://{address}"), |options| {
        options.rotate_after = Duration::from_millis(20);
    });
    let mut socket = accept(&listener).await;
    for id in 0..3 {
        // The next one is turned away.
        answer(&listener, "503 Service Unavailable", "").await;
        socket.send(trade(id)).await.unwrap();
        assert_eq!(running.traded().await, id.to_string());
    }
    // The old one is cut while the next is being made: that one takes over all the same.
    let mut next = accept(&listener).await;
    drop(socket);
    next.send(trade(7)).await.unwrap();
    assert_eq!(running.traded().await, "7");
    running.stop().await;
}

#[tokio::test]
async fn a_venue_that_wants_no_other_connection_is_not_asked_for_one() {
    let tried =
        async |listener: &TcpListener| timeout(Duration::from_millis(200), listener.accept()).await.is_ok();
    let pairs = ["BTC", "ETH"].map(|base| Pair::literal(base, "USDT"));
    for (status, again_for_others) in
        [("403 Forbidden", true), ("429 Too Many Requests\r\nretry-after: 600", false)]
    {
        let (listener, address) = listen().await;
        let mut running = Running::start_with(&Gate, format!("ws://{address}"), |options| {
            options.rotate_after = Duration::from_millis(20);
        });
        let mut socket = accept(&listener).await;
        answer(&listener, status, "").await;
        assert!(!tried(&listener).await, "{status}");
        // As for a market whose stream is dead, and then for other markets.
        running.wanted.send_modify(|_| ());
        assert!(!tried(&listener).await, "{status}");
        running.wanted.send_replace(subscribe(&Gate, &pairs));
        assert_eq!(tried(&listener).await, again_for_others, "{status}");
        // The one that stands is not concerned.
        socket.send(trade(1)).await.unwrap();
        assert_eq!(running.traded().await, "1");
        running.stop().await;
    }
}
