//! What is mirrored: followers get each update once and in order, or are told that they cannot.

mod edges;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cryptoprice::{
    cache::{
        CacheError,
        lease::Tenure,
        mirror::{
            Batch, Follow, Follower, Formats, Position, Reset, States, Update, Writer, WriterOptions, Written,
        },
        pool::Pool,
    },
    clock::uptime,
};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::{task::JoinSet, time::timeout};

use super::{
    proxy::Proxy,
    server::{self, Redis, keys},
};

const FORMATS: Formats = 1..=2;

/// What a leader knows, and how it changes at random.
#[derive(Debug)]
struct Market {
    chance: SmallRng,
    sequence: u64,
    pairs: BTreeMap<String, Update>,
    states: States,
}

impl Market {
    fn new(seed: u64) -> Self {
        let chance = SmallRng::seed_from_u64(seed);
        Self { chance, sequence: 0, pairs: BTreeMap::new(), states: States::default() }
    }

    /// Changes some pairs, some states, or nothing.
    fn change(&mut self, most: usize) -> Batch {
        let mut updates = Vec::new();
        for _ in 0..self.chance.random_range(0..=most) {
            self.sequence += 1;
            let pair = format!("P{}-USD", self.chance.random_range(0..50));
            let last = self.chance.random_ratio(1, 20);
            let (price, contributions) = (self.bytes(), self.bytes());
            let update = Update { pair: pair.clone(), sequence: self.sequence, price, contributions, last };
            self.pairs.remove(&pair);
            if !last {
                self.pairs.insert(pair.clone(), update.clone());
            }
            // As on the board, a pair has one update at most in what is written together.
            updates.retain(|other: &Update| other.pair != pair);
            updates.push(update);
        }
        let sources = self.chance.random_ratio(1, 4).then(|| self.bytes());
        let series: BTreeSet<_> =
            (0..self.chance.random_range(0..4)).map(|_| self.chance.random_range(0..9)).collect();
        let candles = series.into_iter().map(|series| (format!("S{series}:okx:1m"), self.bytes())).collect();
        let states = States { sources, candles };
        take(&mut self.states, &states);
        Batch { sequence: self.sequence, updates, states }
    }

    fn bytes(&mut self) -> Bytes {
        (0..self.chance.random_range(0..40)).map(|_| self.chance.random::<u8>()).collect()
    }

    fn everything(&self) -> Batch {
        let mut updates: Vec<_> = self.pairs.values().cloned().collect();
        updates.sort_by_key(|update| update.sequence);
        Batch { sequence: self.sequence, updates, states: self.states.clone() }
    }
}

/// What a follower has heard.
#[derive(Debug, Default)]
struct Heard {
    everything: Option<Batch>,
    pairs: BTreeMap<String, Update>,
    states: States,
    updates: Vec<Update>,
    before: Vec<Update>,
    resets: Vec<Reset>,
    position: Option<Position>,
}

impl Heard {
    fn take(&mut self, follow: Follow) {
        match follow {
            Follow::Snapshot { position, everything, before } => {
                self.before = before;
                self.pairs = everything.updates.iter().map(|u| (u.pair.clone(), u.clone())).collect();
                self.states = everything.states.clone();
                self.everything = Some(everything);
                self.updates.clear();
                self.position = Some(position);
            }
            Follow::Changes { position, batch } => {
                let before = self.position.unwrap();
                assert_eq!((position.epoch, position.entry), (before.epoch, before.entry + 1));
                for update in &batch.updates {
                    self.pairs.remove(&update.pair);
                    if !update.last {
                        self.pairs.insert(update.pair.clone(), update.clone());
                    }
                }
                take(&mut self.states, &batch.states);
                self.updates.extend(batch.updates);
                self.position = Some(position);
            }
            Follow::Reset(why) => self.resets.push(why),
            Follow::Quiet | Follow::Nothing => {}
        }
    }

    async fn next(&mut self, follower: &mut Follower) {
        // While Redis is away there is nothing to hear.
        if let Ok(follow) = follower.next().await {
            self.take(follow);
        }
    }

    /// Follows until it has come to a position.
    async fn until(&mut self, follower: &mut Follower, position: Position) {
        let follow = async {
            while self.position != Some(position) {
                self.next(follower).await;
            }
        };
        timeout(Duration::from_secs(30), follow).await.unwrap();
    }

    /// Follows until there has been a reset.
    async fn reset(&mut self, follower: &mut Follower) -> Reset {
        let follow = async {
            while self.resets.is_empty() {
                self.next(follower).await;
            }
            self.resets.remove(0)
        };
        timeout(Duration::from_secs(30), follow).await.unwrap()
    }
}

fn take(states: &mut States, changed: &States) {
    states.sources = changed.sources.clone().or(states.sources.take());
    let candles = std::mem::take(&mut states.candles).into_iter().chain(changed.candles.clone());
    states.candles = candles.collect::<BTreeMap<_, _>>().into_iter().collect();
}

fn follower(pool: &Pool) -> Follower {
    Follower::new(pool, keys().ingest(), FORMATS)
}

fn options() -> WriterOptions {
    WriterOptions { format: 1, keep_for: Duration::from_secs(60), keep_bytes: 64 << 20 }
}

fn writer(pool: &Pool, epoch: u64, options: WriterOptions) -> Writer {
    let tenure = Tenure::new(epoch, uptime() + Duration::from_secs(3_600));
    Writer::new(pool, keys().ingest(), options, tenure)
}

/// Adds what has changed, and does not give up.
async fn append(writer: &mut Writer, batch: &Batch) -> Written {
    let mut written = writer.append(batch).await;
    while let Err(error) = written {
        assert!(error.is_uncertain(), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        written = writer.settle().await;
    }
    written.unwrap()
}

fn mirrored(written: Written) -> Position {
    match written {
        Written::Mirrored(position) => position,
        Written::Incomplete => panic!("it is not mirrored"),
    }
}

/// Writes at random while several follow, over ways that are cut in between, and holds what each has heard against what
/// was written.
async fn follow_at_random(seed: u64, interrupted: bool) {
    let Some(redis) = Redis::start("cache: mirror: followers") else {
        return;
    };
    let ways = [Proxy::to(redis.port).await, Proxy::to(redis.port).await];
    let mut market = Market::new(seed);
    let mut writer = writer(&server::pool(&ways[0].url()), 5, options());
    assert_eq!(writer.append(&market.change(9)).await.unwrap(), Written::Incomplete);
    let begun = writer.replace(&market.everything()).await.unwrap();
    let (done, _) = tokio::sync::watch::channel(None);
    let mut followers = JoinSet::new();
    for at in 0..4 {
        let pool = if at % 2 == 0 { redis.pool() } else { server::pool(&ways[1].url()) };
        let mut done = done.subscribe();
        followers.spawn(async move {
            let (mut follower, mut heard) = (follower(&pool), Heard::default());
            loop {
                heard.next(&mut follower).await;
                let end: Option<Position> = *done.borrow_and_update();
                if end.is_some() && heard.position == end {
                    return heard;
                }
            }
        });
    }
    let mut written = Vec::new();
    let mut position = begun;
    for round in 0..300 {
        if interrupted && round % 40 == 20 {
            ways[0].interrupt();
            ways[1].interrupt();
        }
        if interrupted && round % 40 == 30 {
            ways[0].swallow_an_answer();
        }
        let batch = market.change(30);
        written.extend(batch.updates.clone());
        position = mirrored(append(&mut writer, &batch).await);
        assert_eq!(position, Position { epoch: 5, entry: begun.entry + round + 1, sequence: batch.sequence });
    }
    done.send_replace(Some(position));
    let all = timeout(Duration::from_secs(30), followers.join_all()).await.unwrap();
    for heard in all {
        assert_eq!(heard.resets, []);
        // Whoever came later has less to hear.
        let since = heard.everything.unwrap().sequence;
        let expected: Vec<_> = written.iter().filter(|update| update.sequence > since).collect();
        assert!(heard.updates.iter().eq(expected), "each once, and in order");
        assert_eq!(heard.pairs, market.pairs);
        assert_eq!(heard.states, market.states);
    }
    let (mut late, mut heard) = (follower(&redis.pool()), Heard::default());
    heard.until(&mut late, position).await;
    assert_eq!(heard.everything, Some(market.everything()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_hear_every_update_once_and_in_order() {
    follow_at_random(1, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_off_is_written_once_and_heard_once_all_the_same() {
    for seed in 2..5 {
        follow_at_random(seed, true).await;
    }
}

#[tokio::test]
async fn who_was_away_for_longer_than_changes_are_kept_is_told_to_begin_anew() {
    let Some(redis) = Redis::start("cache: mirror: trimmed") else {
        return;
    };
    let pool = redis.pool();
    for (keep_for, keep_bytes, epoch) in
        [(Duration::from_secs(60), 8 << 10, 1), (Duration::from_millis(50), 64 << 20, 2)]
    {
        let options = WriterOptions { format: 1, keep_for, keep_bytes };
        let (mut market, mut writer) = (Market::new(epoch), writer(&pool, epoch, options));
        let begun = writer.replace(&market.everything()).await.unwrap();
        let (mut away, mut heard) = (follower(&pool), Heard::default());
        heard.until(&mut away, begun).await;
        let (mut there, mut also_heard) = (follower(&pool), Heard::default());
        also_heard.until(&mut there, begun).await;
        let mut position = begun;
        for _ in 0..200 {
            position = mirrored(append(&mut writer, &market.change(9)).await);
            also_heard.until(&mut there, position).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(heard.reset(&mut away).await, Reset::Trimmed);
        assert_eq!(also_heard.resets, [], "who was there has missed nothing");
        heard.until(&mut away, position).await;
        assert_eq!((&heard.pairs, &heard.states), (&market.pairs, &market.states));
        let kept: u64 = redis.ask(&["XLEN", &keys().ingest().updates]).parse().unwrap();
        assert!(kept < 150, "the stream does not grow without an end: {kept}");
    }
}

#[tokio::test]
async fn an_emptied_redis_is_noticed_by_followers_and_by_who_writes() {
    let Some(mut redis) = Redis::start("cache: mirror: emptied") else {
        return;
    };
    let pool = redis.pool();
    let (mut market, mut writer) = (Market::new(3), writer(&pool, 1, options()));
    let (mut follower, mut heard) = (follower(&pool), Heard::default());
    assert_eq!(follower.next().await.unwrap(), Follow::Nothing);
    for restart in [false, true] {
        writer.replace(&market.everything()).await.unwrap();
        let position = mirrored(append(&mut writer, &market.change(9)).await);
        heard.until(&mut follower, position).await;
        if restart {
            redis.kill();
            assert!(follower.next().await.is_err());
            redis.restart();
        } else {
            redis.ask(&["FLUSHALL"]);
        }
        let began = Instant::now();
        assert_eq!(heard.reset(&mut follower).await, Reset::Emptied);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(append(&mut writer, &market.change(9)).await, Written::Incomplete);
        assert_eq!(append(&mut writer, &market.change(9)).await, Written::Incomplete, "until it is replaced");
    }
    // Emptied and written anew before the follower has looked.
    let position = writer.replace(&market.everything()).await.unwrap();
    heard.until(&mut follower, position).await;
    redis.ask(&["FLUSHALL"]);
    let position = writer.replace(&market.everything()).await.unwrap();
    assert_eq!(heard.reset(&mut follower).await, Reset::Replaced);
    heard.until(&mut follower, position).await;
    assert_eq!(heard.pairs, market.pairs);
}

#[tokio::test]
async fn who_was_deposed_writes_nothing_and_followers_go_over_to_the_new_one() {
    let Some(redis) = Redis::start("cache: mirror: deposed") else {
        return;
    };
    let pool = redis.pool();
    let (mut market, mut old) = (Market::new(4), writer(&pool, 7, options()));
    old.replace(&market.everything()).await.unwrap();
    let position = mirrored(append(&mut old, &market.change(9)).await);
    let (mut follower, mut heard) = (follower(&pool), Heard::default());
    heard.until(&mut follower, position).await;

    let mut new = writer(&pool, 9, options());
    let position = new.replace(&market.everything()).await.unwrap();
    let mut elsewhere = Market::new(5);
    for _ in 0..2 {
        let deposed = old.append(&elsewhere.change(9)).await;
        assert!(matches!(deposed, Err(CacheError::Deposed { epoch: 7, newest: 9 })), "{deposed:?}");
    }
    let deposed = old.replace(&elsewhere.everything()).await;
    assert!(matches!(deposed, Err(CacheError::Deposed { epoch: 7, newest: 9 })), "{deposed:?}");
    assert_eq!(heard.reset(&mut follower).await, Reset::Epoch(9));
    heard.until(&mut follower, position).await;
    let position = mirrored(append(&mut new, &market.change(9)).await);
    heard.until(&mut follower, position).await;
    assert_eq!((&heard.pairs, &heard.states), (&market.pairs, &market.states));
}

#[tokio::test]
async fn a_format_that_is_not_read_is_not_taken_for_one_that_is() {
    let Some(redis) = Redis::start("cache: mirror: formats") else {
        return;
    };
    let pool = redis.pool();
    let market = Market::new(6);
    // The next version reads both, and writes its own only when all do.
    let (mut old, mut heard) = (Follower::new(&pool, keys().ingest(), 1..=1), Heard::default());
    let (mut next, mut next_heard) = (Follower::new(&pool, keys().ingest(), 1..=2), Heard::default());
    let position = writer(&pool, 1, options()).replace(&market.everything()).await.unwrap();
    heard.until(&mut old, position).await;
    next_heard.until(&mut next, position).await;
    let position = writer(&pool, 2, WriterOptions { format: 2, ..options() })
        .replace(&market.everything())
        .await
        .unwrap();
    assert_eq!(heard.reset(&mut old).await, Reset::Epoch(2));
    for _ in 0..2 {
        assert_eq!(old.next().await.unwrap(), Follow::Nothing);
    }
    next_heard.until(&mut next, position).await;
    let position = writer(&pool, 3, options()).replace(&market.everything()).await.unwrap();
    heard.until(&mut old, position).await;
}
