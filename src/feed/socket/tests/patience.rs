//! How long a venue is left alone, through the loop.

use futures::FutureExt as _;
use tokio::time::advance;

use super::{
    handover::{hold_the_clock, pass},
    *,
};

/// Has a connection bring trades for a while and then fall silent; gets the wait before the next.
async fn wait_after(running: &mut Running, listener: &TcpListener, good_for: Duration) -> Duration {
    let mut socket = accept(listener).await;
    socket.send(trade(1)).await.unwrap();
    running.traded().await;
    pass(good_for).await;
    socket.send(trade(2)).await.unwrap();
    running.traded().await;
    pass(running.contact.options.silence_limit).await;
    loop {
        let delivery = running.deliveries.recv().await.unwrap();
        if let DeliveryKind::Disconnected { error, outlook: Outlook::Retry(next), .. } = delivery.kind {
            assert!(error.contains("no event"), "{error}");
            let wait = (next - delivery.receive_time).to_std().unwrap();
            pass(wait).await;
            return wait;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_venue_that_is_good_for_long_enough_is_tried_soon_again() {
    let _held = hold_the_clock();
    let (listener, address) = listen().await;
    let base = Duration::from_secs(1);
    let mut running = Running::start_with(&Gate, format!("ws://{address}"), |options| {
        options.back_off = BackOff { base, cap: base * 4_096 };
        options.stable_after = Duration::from_secs(30);
        // The silence at the end is longer than that.
        options.silence_limit = Duration::from_secs(45);
    });
    let mut waits = Vec::new();
    for good_for in [0, 29].into_iter().cycle().take(12) {
        waits.push(wait_after(&mut running, &listener, Duration::from_secs(good_for)).await);
    }
    // Drawn from nothing to 256, 512, 1,024 and 2,048 seconds: less than a second each is out of the question.
    assert!(waits[8..].iter().sum::<Duration>() > 4 * base, "{waits:?}");
    for _ in 0..3 {
        let wait = wait_after(&mut running, &listener, Duration::from_secs(30)).await;
        assert!(wait <= base, "{wait:?}");
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_venue_that_tells_one_connection_to_wait_is_asked_by_none() {
    const HOURS: Duration = Duration::from_secs(4 * 3_600);
    for retry_after in ["14400".to_owned(), date(Clock::system().now() + HOURS)] {
        let _held = hold_the_clock();
        let (listener, address) = listen().await;
        let mut running = Running::start(&Gate, format!("ws://{address}"));
        answer(&listener, &format!("418 I'm a teapot\r\nretry-after: {retry_after}"), "").await;
        let error = running.disconnected().await;
        assert!(error.contains("418"), "{error}");
        let (wanted, subscriptions) = watch::channel(subscribe(&Gate, &[Pair::literal("ETH", "USDT")]));
        let other = keep(&running.contact, subscriptions);
        for _ in 0..4 {
            advance(Duration::from_secs(3_599)).await;
            // As for a market whose stream is dead.
            wanted.send_modify(|_| ());
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            assert!(listener.accept().now_or_never().is_none(), "asked before it may be");
        }
        advance(Duration::from_secs(5)).await;
        let (_one, _other) = (accept(&listener).await, accept(&listener).await);
        running.stop().await;
        other.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_not_asked_for_while_the_venue_wants_to_be_left_alone() {
    let _held = hold_the_clock();
    let (rest, address) = listen().await;
    let running = Running::start(&KuCoin, format!("http://{address}/api/v1/bullet-public"));
    // As REST was told, before the loop has begun.
    running.contact.closed.keep_for(Duration::from_secs(100));
    advance(Duration::from_secs(99)).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(rest.accept().now_or_never().is_none());
    pass(Duration::from_secs(1)).await;
    answer(&rest, "429 Too Many Requests\r\nretry-after: 70", "").await;
    let mut running = running;
    running.disconnected().await;
    let left = running.contact.closed.left().unwrap();
    assert_eq!(left.as_secs(), 70, "REST is told, too");
    running.stop().await;
}

fn date(time: chrono::DateTime<chrono::Utc>) -> String {
    httpdate::fmt_http_date(time.into())
}
