//! What goes wrong is told by its kind, and soon.

use std::{path::Path, time::Instant};

use cryptoprice::store::StoreError;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;

/// Longer than any of these may take, on a busy machine; a wait for ever is what they are to show.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_store_of_another_origin_is_refused() {
    each("store: origin", async |place| {
        place.store().await.write_candles(&minutes(1), start()).await.unwrap();
        let mut options = place.options.clone();
        options.origin = Origin::Simulated;
        let foreign = Store::open(options);
        for _ in 0..2 {
            let error = foreign.list_candles(&all(MINUTES)).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    StoreError::ForeignOrigin { found: Origin::Live, expected: Origin::Simulated, .. }
                ),
                "{error:?}"
            );
        }
        assert_eq!(list(&place.store().await, &all(MINUTES)).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_full_file_is_told_and_what_is_in_it_stays() {
    let mut place = Place::sqlite();
    place.options.max_bytes = 300 << 10;
    let store = place.store().await;
    let mut written = 0;
    let error = loop {
        let candles: Vec<_> =
            (0..500).map(|at| candle(MINUTES, start() + TimeDelta::minutes(written + at), 1)).collect();
        match store.write_candles(&candles, start()).await {
            Ok(_) => written += 500,
            Err(error) => break error,
        }
        assert!(written < 100_000, "it is never full");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.is_passing());
    // A batch is written as a whole or not at all.
    assert_eq!(i64::try_from(list(&store, &all(MINUTES)).await.len()).unwrap(), written);
    assert!(store.size().await.unwrap() <= 300 << 10);
}

#[tokio::test]
async fn a_lock_that_is_held_is_waited_for_so_long_and_no_longer() {
    each("store: locks", async |mut place| {
        place.store().await;
        place.options.lock_timeout = Duration::from_millis(300);
        let store = Store::open(place.options.clone());
        store.check().await.unwrap();
        let holder = Holder::of(&place).await;
        let started = Instant::now();
        let error = store.write_candles(&minutes(1), start()).await.unwrap_err();
        assert!(matches!(error, StoreError::Timeout { .. }), "{error:?}");
        assert!(started.elapsed() < SOON);
        holder.release().await;
        assert_eq!(store.write_candles(&minutes(1), start()).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn connections_that_are_cut_are_made_anew() {
    let Some(url) = server::database("store: cut connections").await else { return };
    let place = Place::postgres(url.clone());
    let store = place.store().await;
    store.write_candles(&minutes(1), start()).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server::execute(&url, cut).await.unwrap();
    let mut failures = 0;
    while let Err(error) = store.ping().await {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        failures += 1;
        assert!(failures < 5, "it does not recover");
    }
    assert_eq!(list(&store, &all(MINUTES)).await.len(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_at_once_and_found_again() {
    let Some(url) = server::database("store: a server that is away").await else { return };
    let direct = Place::postgres(url.clone());
    direct.store().await;
    let way = Way::to(&url).await;
    let mut options = options(Location::parse(&way.url).unwrap());
    (options.connect_timeout, options.statement_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    let store = Store::open(options);

    // Nothing listens; connections are refused.
    way.set(Traffic::Refused).await;
    for _ in 0..3 {
        let error = soon(store.ping()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    }
    // It is there again.
    way.set(Traffic::Open).await;
    soon(store.write_candles(&minutes(2), start())).await.unwrap();
    // It takes what is sent and says nothing, on old connections and on new ones.
    way.set(Traffic::Silent).await;
    for _ in 0..3 {
        let error = soon(store.list_candles(&all(MINUTES))).await.unwrap_err();
        assert!(matches!(error, StoreError::Timeout { .. } | StoreError::Unavailable { .. }), "{error:?}");
        assert!(error.is_passing());
    }
    // It goes away under the connections that are open, and comes back.
    way.set(Traffic::Refused).await;
    while soon(store.ping()).await.is_ok() {}
    way.set(Traffic::Open).await;
    let mut tries = 0;
    while let Err(error) = soon(store.list_candles(&all(MINUTES))).await {
        assert!(error.is_passing() && tries < 10, "{error:?}");
        tries += 1;
    }
}

#[tokio::test]
async fn what_was_never_there_is_not_waited_for() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://me:hush@{closed}/history");
    let store = Store::open(options(Location::parse(&url).unwrap()));
    let error = soon(store.check()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(
        error.to_string().contains("refused") && !format!("{error} {error:?} {store:?}").contains("hush")
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("history.db");
    let store = Store::open(options(Location::File(below)));
    let error = soon(store.check()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.expect("an answer in time")
}

/// Holds a lock on all candles.
pub(crate) struct Holder {
    done: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Holder {
    async fn of(place: &Place) -> Self {
        Self::held(place.options.location.clone(), place.url.clone()).await
    }

    /// The same where there is an address and no place.
    pub(crate) async fn held(location: Location, url: Option<String>) -> Self {
        let (done, released) = tokio::sync::oneshot::channel();
        let (holds, held) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            if let Some(url) = url {
                let (client, connection) =
                    tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                client.batch_execute("BEGIN; LOCK TABLE candles IN ACCESS EXCLUSIVE MODE").await.unwrap();
                holds.send(()).unwrap();
                released.await.unwrap();
                client.batch_execute("COMMIT").await.unwrap();
                return;
            }
            let Location::File(path) = location else { panic!("a file") };
            tokio::task::spawn_blocking(move || hold_file(&path, holds, released)).await.unwrap();
        });
        held.await.unwrap();
        Self { done, task }
    }

    pub(crate) async fn release(self) {
        self.done.send(()).unwrap();
        self.task.await.unwrap();
    }
}

fn hold_file(
    path: &Path,
    holds: tokio::sync::oneshot::Sender<()>,
    released: tokio::sync::oneshot::Receiver<()>,
) {
    use diesel::{Connection as _, connection::SimpleConnection as _};
    let mut connection = diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    connection.batch_execute("BEGIN IMMEDIATE").unwrap();
    holds.send(()).unwrap();
    released.blocking_recv().unwrap();
    connection.batch_execute("COMMIT").unwrap();
}

/// What becomes of what is sent to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// It is passed on.
    Open,
    /// Connections are made, but nothing is passed on.
    Silent,
    /// Connections are cut and refused.
    Refused,
}

/// A way to the server that can be blocked.
pub(crate) struct Way {
    pub(crate) url: String,
    traffic: watch::Sender<Traffic>,
    listening: watch::Receiver<bool>,
}

impl Way {
    pub(crate) async fn to(url: &str) -> Self {
        let (_, rest) = url.split_once('@').unwrap();
        let (target, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (traffic, watched) = watch::channel(Traffic::Open);
        let (listens, listening) = watch::channel(true);
        let target = target.to_owned();
        let mut listener = Some(listener);
        let mut seen = watched.clone();
        tokio::spawn(async move {
            loop {
                let now = *seen.borrow_and_update();
                match (now, &listener) {
                    (Traffic::Refused, _) => listener = None,
                    (_, None) => {
                        let socket = tokio::net::TcpSocket::new_v4().unwrap();
                        socket.set_reuseaddr(true).unwrap();
                        socket.bind(address).unwrap();
                        listener = Some(socket.listen(16).unwrap());
                    }
                    _ => {}
                }
                listens.send_replace(listener.is_some());
                tokio::select! {
                    changed = seen.changed() => if changed.is_err() { return },
                    Ok((stream, _)) = async { listener.as_ref().unwrap().accept().await }, if listener.is_some() => {
                        tokio::spawn(pass(stream, target.clone(), watched.clone()));
                    }
                }
            }
        });
        Self { url: format!("postgres://postgres@{address}/{database}"), traffic, listening }
    }

    pub(crate) async fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
        self.listening.clone().wait_for(|listens| *listens == (traffic != Traffic::Refused)).await.unwrap();
    }
}

/// Passes on what comes in either direction, while it may.
async fn pass(mut near: TcpStream, target: String, mut traffic: watch::Receiver<Traffic>) {
    let mut far = TcpStream::connect(target).await.unwrap();
    loop {
        let now = *traffic.borrow_and_update();
        tokio::select! {
            changed = traffic.changed() => if changed.is_err() { return },
            _ = copy_bidirectional(&mut near, &mut far), if now == Traffic::Open => return,
            () = std::future::ready(()), if now == Traffic::Refused => return,
        }
    }
}
