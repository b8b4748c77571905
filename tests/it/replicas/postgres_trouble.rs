//! A PostgreSQL that three replicas share, and that dies, stops, is far away, or cannot be reached by one of them.

use std::time::Duration;

use cryptoprice::client::v1::{Candle, CandleState, ListCandlesRequest, PriceStatus};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::node::{CALM, Node};
use crate::{
    cache::{proxy::Proxy, server::Redis},
    harness::eventually,
    program::command,
    store::{postgres::Postgres, server::address},
};

/// How long a call may take that asks the database.
const BOUND: Duration = Duration::from_secs(20);

/// How long it may take until all that waited is written, on a busy machine.
const RECOVERY: Duration = Duration::from_secs(120);

/// For how long there is trouble.
const TROUBLE: Duration = Duration::from_secs(5);

/// Three replicas, each with a way of its own to PostgreSQL.
struct Three {
    leader: Node,
    standby: Node,
    serving: Node,
    ways: [Proxy; 3],
    /// Where history waits.
    _folder: TempDir,
}

impl Three {
    async fn start(redis: &Redis, postgres: &Postgres) -> Self {
        let migrated = command()
            .args(["migrate", "up"])
            .env("CRYPTOPRICE__STORE__URL", address(postgres.port))
            .env("CRYPTOPRICE__CLUSTER__ORIGIN", "simulated")
            .output()
            .unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let ways = [(); 3].map(|()| Proxy::to(postgres.port));
        let ways: [Proxy; 3] = futures::future::join_all(ways).await.try_into().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let spools = [0, 1, 2].map(|node| folder.path().join(node.to_string()).display().to_string());
        let urls = ways.each_ref().map(|way| address(way.port()));
        let settings = [0, 1, 2].map(|node: usize| {
            let store = [
                ("CRYPTOPRICE__STORE__URL", urls[node].as_str()),
                ("CRYPTOPRICE__HISTORY__SPOOL_FOLDER", &spools[node]),
                ("CRYPTOPRICE__STORE__CONNECT_TIMEOUT", "1s"),
                ("CRYPTOPRICE__STORE__STATEMENT_TIMEOUT", "5s"),
            ];
            [&CALM[..], &store].concat()
        });
        let redis = redis.url();
        let leader = Node::demo(&redis, &settings[0]).await;
        leader.becomes("leader").await;
        let (standby, serving) =
            tokio::join!(Node::demo(&redis, &settings[1]), Node::serve(&redis, &settings[2]));
        standby.becomes("standby").await;
        serving.becomes("follower").await;
        Self { leader, standby, serving, ways, _folder: folder }
    }

    fn all(&self) -> [&Node; 3] {
        [&self.leader, &self.standby, &self.serving]
    }

    /// Checks on all of them that prices go on for some time.
    async fn prices_go_on(&self, what: &str) {
        let mut before = Vec::new();
        for node in self.all() {
            before.push(node.reached().await);
        }
        sleep(TROUBLE).await;
        for (node, before) in self.all().into_iter().zip(before) {
            let price = node.price("BTC-USD").await.unwrap();
            assert_eq!(price.status(), PriceStatus::Live, "{what}");
            assert_eq!(price.epoch, before.0, "{what}: nobody has taken over");
            assert!(node.reached().await.1 > before.1 + 20, "{what}: updates go on");
            assert_eq!(node.reasons().await, Vec::<String>::new(), "{what}");
        }
    }
}

/// Lists candles that were final some time ago, from the newest; the call may not hang.
async fn past(node: &Node, from: i64, to: i64) -> Result<Vec<Candle>, Status> {
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let request = ListCandlesRequest {
        pair: "BTC-USD".to_owned(),
        interval: "1s".to_owned(),
        start_time: time(from),
        end_time: time(to),
        page_size: 1_000,
        ..Default::default()
    };
    let listed = async { node.candles().await.list_candles(request).await };
    let listed = timeout(BOUND, listed).await.expect("no call hangs");
    Ok(listed?.into_inner().candles)
}

/// Gets the time of what whoever serves has found out.
async fn now(node: &Node) -> i64 {
    let price = node.price("BTC-USD").await.unwrap();
    price.observe_time.unwrap().seconds
}

/// Waits until something holds that may take its time.
async fn in_time<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(RECOVERY, asked).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// Waits until every second of a range is stored as it was.
async fn every_second_is_there(node: &Node, from: i64, to: i64, what: &str) {
    in_time(&format!("every second is there after: {what}"), async || {
        let candles = past(node, from, to).await.ok()?;
        let times = candles.iter().map(|candle| candle.open_time.unwrap().seconds);
        let whole = times.eq(from..to) && candles.iter().all(|candle| candle.state() == CandleState::Final);
        whole.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_go_on_and_history_comes_back_whatever_postgresql_does() {
    let Some(redis) = Redis::start("replicas: PostgreSQL") else { return };
    let Some(mut postgres) = Postgres::start("replicas: PostgreSQL").await else { return };
    let three = Three::start(&redis, &postgres).await;
    let begun = now(&three.leader).await + 2;
    eventually("there is a past", async || {
        past(&three.serving, begun, begun + 3).await.ok().filter(|candles| candles.len() == 3)
    })
    .await;

    for what in ["killed", "paused"] {
        match what {
            "killed" => postgres.kill(),
            _ => postgres.pause(),
        }
        three.prices_go_on(what).await;
        eventually("it says that history waits", async || {
            three.leader.warnings().await.contains(&"HISTORY_UNAVAILABLE".to_owned()).then_some(())
        })
        .await;
        for node in three.all() {
            let refused = past(node, begun, begun + 3).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{what}: {refused:?}");
            let details = refused.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "HISTORY_UNAVAILABLE", "{what}");
        }
        match what {
            "killed" => postgres.restart().await,
            _ => postgres.go_on(),
        }
        in_time("history is written again", async || {
            (!three.leader.warnings().await.contains(&"HISTORY_UNAVAILABLE".to_owned())).then_some(())
        })
        .await;
        let until = now(&three.leader).await;
        every_second_is_there(&three.serving, begun, until, what).await;
    }

    // Far away: it takes longer, and nothing else.
    three.ways.iter().for_each(|way| way.delay(Duration::from_millis(40)));
    three.prices_go_on("slow").await;
    assert!(!three.leader.warnings().await.contains(&"HISTORY_UNAVAILABLE".to_owned()));
    let until = now(&three.leader).await;
    every_second_is_there(&three.serving, begun, until, "slow").await;
    three.ways.iter().for_each(|way| way.delay(Duration::ZERO));

    // Cut off from one: that one knows no past, and the others do.
    three.ways[2].cut();
    three.prices_go_on("partitioned").await;
    let refused = past(&three.serving, begun, begun + 3).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    for node in [&three.leader, &three.standby] {
        assert_eq!(past(node, begun, begun + 3).await.unwrap().len(), 3);
    }
    three.ways[2].mend();
    let until = now(&three.leader).await;
    every_second_is_there(&three.serving, begun, until, "partitioned").await;
    let (leading, serving) =
        (past(&three.leader, begun, until).await.unwrap(), past(&three.serving, begun, until).await.unwrap());
    assert_eq!(leading, serving);
}
