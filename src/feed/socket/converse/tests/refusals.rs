//! What is subscribed again after a refusal.

use super::{super::roll::AGAIN_AFTER, *};
use crate::feed::venues::upbit::Upbit;

#[tokio::test(start_paused = true)]
async fn what_has_not_spoken_after_a_refusal_is_subscribed_by_itself() {
    let (ours, theirs) = duplex(1 << 16);
    let pairs = ["BTC", "ETH", "ABC"].map(|base| Pair::literal(base, "USDT"));
    let mut venue = Venue::asking(&Gate, None, 16, ours, theirs, &pairs).await;
    for _ in 0..3 {
        assert_eq!(venue.hear_json().await["payload"], json!(["BTC_USDT", "ETH_USDT", "ABC_USDT"]));
    }
    assert!(matches!(venue.delivered().await, DeliveryKind::Connected(_)));
    let refusal = r#"{"time":1,"channel":"spot.trades","event":"subscribe","error":{"code":2,"message":"unknown currency pair: abc_usdt"},"result":null}"#;
    let words = "unknown currency pair: abc_usdt".to_owned();
    for _ in 0..2 {
        venue.say(refusal).await;
        let refused = DeliveryKind::Refused { market: Some(pairs[2]), words: words.clone() };
        assert_eq!(venue.delivered().await, refused);
    }
    venue.say(TRADE).await;
    assert!(matches!(venue.delivered().await, DeliveryKind::Trade { .. }));
    let before = Instant::now();
    // Not the one that has spoken, and each of the others only once.
    for symbol in ["ETH_USDT", "ABC_USDT"] {
        for _ in 0..3 {
            assert_eq!(venue.hear_json().await["payload"], json!([symbol]));
        }
    }
    assert_eq!(before.elapsed(), AGAIN_AFTER);
    venue.say(refusal).await;
    venue.delivered().await;
    assert_eq!(venue.hear_json().await["channel"], "spot.ping");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_subscribed_again_ever_later_until_it_speaks() {
    let (ours, theirs) = duplex(1 << 16);
    let pairs = ["BTC", "ETH"].map(|base| Pair::literal(base, "USDT"));
    let mut venue = Venue::asking(&Gate, None, 16, ours, theirs, &pairs).await;
    let refusal = r#"{"time":1,"channel":"spot.trades","event":"subscribe","error":{"code":2,"message":"too many requests: ETH_USDT"},"result":null}"#;
    venue.say(TRADE).await;
    venue.say(refusal).await;
    let mut last = Instant::now();
    venue.resubscribed("BTC_USDT").await;
    for seconds in [5, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
        assert_eq!(venue.resubscribed("ETH_USDT").await, 3, "alone");
        let waited = last.elapsed();
        // Timers are kept to the millisecond.
        assert!(waited.as_secs().abs_diff(seconds) <= 1, "{waited:?} and not {seconds} s");
        last = Instant::now();
        venue.say(TRADE).await;
        venue.say(refusal).await;
    }
    // It speaks: nothing is left to be subscribed.
    venue.say(&TRADE.replace("BTC_USDT", "ETH_USDT")).await;
    for _ in 0..1_000 {
        venue.say(TRADE).await;
        assert_eq!(venue.hear_json().await["channel"], "spot.ping");
        while venue.deliveries.try_recv().is_ok() {}
    }
}

impl Venue {
    /// Passes pings by until something is subscribed; takes the messages that name just this market, and counts them.
    async fn resubscribed(&mut self, symbol: &str) -> usize {
        let mut count = 0;
        while count < 3 {
            let heard = self.hear_json().await;
            while self.deliveries.try_recv().is_ok() {}
            if heard["channel"] == "spot.ping" {
                self.say(TRADE).await;
                continue;
            }
            let named = heard["payload"].as_array().unwrap();
            assert_eq!(heard["event"], "subscribe");
            if named.len() == 1 {
                assert_eq!(named[0], symbol);
            }
            count += 1;
        }
        count
    }
}

#[tokio::test(start_paused = true)]
async fn where_subscriptions_replace_one_another_all_but_the_refused_are_subscribed_together() {
    let refusal = |words| json!({ "error": { "name": "INVALID_PARAM", "message": words } }).to_string();
    for (words, expected) in [
        ("unknown code KRW-ABC", Some(json!(["KRW-BTC", "KRW-ETH"]))),
        // It is not known which: the same once more would not help.
        ("unknown code", None),
    ] {
        let (ours, theirs) = duplex(1 << 16);
        let pairs = ["BTC", "ETH", "ABC"].map(|base| Pair::literal(base, "KRW"));
        let mut venue = Venue::asking(&Upbit, None, 16, ours, theirs, &pairs).await;
        assert_eq!(venue.hear_json().await[1]["codes"], json!(["KRW-BTC", "KRW-ETH", "KRW-ABC"]));
        let before = Instant::now();
        venue.say(&refusal(words)).await;
        if let Some(codes) = &expected {
            let request = venue.hear_json().await;
            assert_eq!((&request[1]["codes"], &request[3]["codes"]), (codes, codes));
            assert_eq!(before.elapsed(), AGAIN_AFTER);
        }
        // Something is said, so that it is not taken for dead.
        tokio::time::sleep(Duration::from_secs(30)).await;
        let time = 1_700_000_000_000_u64;
        venue.say(&format!(r#"{{"ty":"trade","cd":"KRW-BTC","tp":1.5,"tv":2,"ab":"BID","ttms":{time},"tms":{time},"sid":1,"st":"REALTIME"}}"#)).await;
        assert_eq!(venue.hear().await, Message::text("PING"));
        // After a while all are tried again; when that is refused, those that are not are not kept waiting.
        let all = json!(["KRW-BTC", "KRW-ETH", "KRW-ABC"]);
        assert_eq!(venue.hear_json().await[1]["codes"], all);
        assert_eq!(before.elapsed(), AGAIN_AFTER + Duration::from_secs(60));
        venue.say(&refusal(words)).await;
        if let Some(codes) = &expected {
            assert_eq!(venue.hear_json().await[1]["codes"], *codes);
            assert_eq!(before.elapsed().as_secs(), (AGAIN_AFTER + Duration::from_secs(60)).as_secs());
        }
    }
}
