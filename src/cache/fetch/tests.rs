use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::cache::budget::Rate;

const POLICY: Policy = Policy {
    fresh: Duration::from_secs(60),
    stale: Duration::from_secs(60),
    missing: Duration::from_secs(60),
    failed: Duration::from_secs(60),
    patience: Duration::from_secs(5),
};

/// Counts how often it is asked.
#[derive(Debug, Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    async fn answer(self, answer: Result<Option<Bytes>, String>) -> Result<Option<Bytes>, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        answer
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn fetcher(max_answer: usize) -> Fetcher {
    Fetcher::new(FetchOptions { memory: 1 << 20, max_answer }, None)
}

fn upstream(burst: u32) -> Upstream {
    let rate = Rate { each: Duration::from_secs(600), burst };
    Upstream { name: "kraken".to_owned(), budget: Budget::new("kraken", rate, None) }
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a fetch gives")]
fn body(text: &str) -> Result<Option<Bytes>, String> {
    Ok(Some(Bytes::copy_from_slice(text.as_bytes())))
}

async fn get(
    fetcher: &Fetcher,
    upstream: &Upstream,
    name: &str,
    policy: &Policy,
    counted: &Counted,
    answer: Result<Option<Bytes>, String>,
) -> Result<Answer, FetchError> {
    let counted = counted.clone();
    fetcher.get_or_fetch(upstream, name, policy, move || counted.answer(answer)).await
}

#[tokio::test]
async fn all_that_can_be_answered_is_asked_once() {
    for (answer, expected) in [
        (body("{}"), Ok(Answer { body: Some(Bytes::from_static(b"{}")), stale: false })),
        (Ok(None), Ok(Answer { body: None, stale: false })),
        (Err("HTTP 503".to_owned()), Err(FetchError::Upstream("HTTP 503".to_owned()))),
    ] {
        let (fetcher, upstream, counted) = (fetcher(1_024), upstream(9), Counted::default());
        let asked = (0..100).map(|_| get(&fetcher, &upstream, "a", &POLICY, &counted, answer.clone()));
        for got in futures::future::join_all(asked).await {
            assert_eq!(got, expected);
        }
        assert_eq!(get(&fetcher, &upstream, "a", &POLICY, &counted, answer.clone()).await, expected);
        assert_eq!(counted.count(), 1);
        let _ = get(&fetcher, &upstream, "b", &POLICY, &counted, answer.clone()).await;
        assert_eq!(counted.count(), 2, "another name is another answer");
        let told =
            prometheus::core::Collector::collect(&metrics::FetchMetrics::new(fetcher.clone()).unwrap());
        let told: Vec<f64> = told
            .iter()
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value())
            .collect();
        assert_eq!(told[2..], [102.0, 2.0], "how often it was wanted, and asked for");
        fetcher.close().await;
        assert_eq!(get(&fetcher, &upstream, "c", &POLICY, &counted, answer).await, Err(FetchError::Closed));
    }
}

#[tokio::test]
async fn what_is_stale_is_given_at_once_and_fetched_anew_behind_it() {
    let (fetcher, upstream, counted) = (fetcher(1_024), upstream(9), Counted::default());
    let policy = Policy { fresh: Duration::ZERO, ..POLICY };
    let first = get(&fetcher, &upstream, "a", &policy, &counted, body("1")).await.unwrap();
    assert_eq!(first.body.as_deref(), Some(&b"1"[..]));
    let second = get(&fetcher, &upstream, "a", &POLICY, &counted, body("2")).await.unwrap();
    assert_eq!(second, Answer { body: Some(Bytes::from_static(b"1")), stale: true });
    fetcher.close().await;
    assert_eq!(counted.count(), 2);
    let third = get(&fetcher, &upstream, "a", &POLICY, &counted, body("3")).await.unwrap();
    assert_eq!(third, Answer { body: Some(Bytes::from_static(b"2")), stale: false });
}

#[tokio::test]
async fn a_failure_takes_nothing_away_and_is_not_repeated_at_once() {
    let (fetcher, upstream, counted) = (fetcher(1_024), upstream(9), Counted::default());
    let policy = Policy { fresh: Duration::ZERO, ..POLICY };
    get(&fetcher, &upstream, "a", &policy, &counted, body("1")).await.unwrap();
    for _ in 0..20 {
        let got = get(&fetcher, &upstream, "a", &policy, &counted, Err("HTTP 503".to_owned())).await;
        assert_eq!(got, Ok(Answer { body: Some(Bytes::from_static(b"1")), stale: true }));
        tokio::task::yield_now().await;
    }
    fetcher.close().await;
    assert_eq!(counted.count(), 2);
}

#[tokio::test]
async fn an_upstream_is_not_asked_beyond_its_budget() {
    let (fetcher, upstream, counted) = (fetcher(1_024), upstream(2), Counted::default());
    for (name, allowed) in [("a", true), ("b", true), ("c", false), ("a", true)] {
        let got = get(&fetcher, &upstream, name, &POLICY, &counted, body("1")).await;
        assert_eq!(got.is_ok(), allowed, "{name}: {got:?}");
        assert!(allowed || matches!(got, Err(FetchError::Budget(_))));
    }
    assert_eq!(counted.count(), 2);
}

#[tokio::test]
async fn what_is_too_long_is_given_and_not_kept_and_a_name_that_is_too_long_is_refused() {
    let (fetcher, upstream, counted) = (fetcher(4), upstream(9), Counted::default());
    for asked in 1..=2 {
        let got = get(&fetcher, &upstream, "a", &POLICY, &counted, body("12345")).await.unwrap();
        assert_eq!(got.body.as_deref(), Some(&b"12345"[..]));
        assert_eq!(counted.count(), asked);
    }
    let long = "a".repeat(MAX_NAME + 1);
    let got = get(&fetcher, &upstream, &long, &POLICY, &counted, body("1")).await;
    assert_eq!(got, Err(FetchError::Name(MAX_NAME + 1)));
}

#[tokio::test]
async fn who_goes_away_or_panics_leaves_others_their_answer() {
    let (fetcher, upstream, counted) = (fetcher(1_024), upstream(9), Counted::default());
    let gone = tokio::time::timeout(
        Duration::from_millis(1),
        get(&fetcher, &upstream, "a", &POLICY, &counted, body("1")),
    );
    drop(gone.await);
    get(&fetcher, &upstream, "a", &POLICY, &counted, body("1")).await.unwrap();
    assert_eq!(counted.count(), 1);
    let panics = fetcher.get_or_fetch(&upstream, "b", &POLICY, || async { panic!("on purpose") }).await;
    assert_eq!(panics, Err(FetchError::Closed));
    get(&fetcher, &upstream, "b", &POLICY, &counted, body("1")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_does_not_answer_is_given_up() {
    let (fetcher, upstream) = (fetcher(1_024), upstream(9));
    let got = fetcher.get_or_fetch(&upstream, "a", &POLICY, std::future::pending).await;
    assert_eq!(got, Err(FetchError::Upstream("no answer within 5s".to_owned())));
}
