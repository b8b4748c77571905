//! Migrations, retention, copies, and the commands for them.

use std::{collections::BTreeMap, process::Output};

use cryptoprice::store::{StoreError, retention::Retention};

use super::*;
use crate::{harness::eventually, program};

#[tokio::test]
async fn two_that_migrate_at_once_do_it_once() {
    each("store: migrations", async |place| {
        let stores: Vec<_> = (0..4).map(|_| Store::open(place.options.clone())).collect();
        let applied = futures::future::join_all(stores.iter().map(Store::migrate)).await;
        let applied: Vec<_> = applied.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(applied, ["0001"]);
        let migrations = stores[0].migrations().await.unwrap();
        assert_eq!((migrations.applied.len(), migrations.pending.len()), (1, 0));

        assert_eq!(stores[1].migrate_down().await.unwrap().as_deref(), Some("0001"));
        assert_eq!(stores[1].migrate_down().await.unwrap(), None);
        assert_eq!(stores[2].migrations().await.unwrap().pending, ["0001"]);
        assert_eq!(stores[2].migrate().await.unwrap(), ["0001"]);
        stores[3].write_candles(&minutes(3), start()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_fails_half_way_leaves_nothing_of_it() {
    each("store: half a migration", async |place| {
        let store = Store::open(place.options.clone());
        // The tables are made one after the other, and one of the last is in the way.
        beside(&place, "CREATE TABLE prices (what text)").await;
        let error = store.migrate().await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Migration { cause, .. } if cause.contains("prices")),
            "{error:?}"
        );
        assert_eq!(store.migrations().await.unwrap().pending, ["0001"]);
        // Nothing of it is there: what came before can be made by others.
        beside(&place, "CREATE TABLE candles (what text)").await;
        beside(&place, "DROP TABLE candles").await;
        beside(&place, "DROP TABLE prices").await;
        assert_eq!(store.migrate().await.unwrap(), ["0001"]);
        store.write_candles(&minutes(3), start()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_is_cut_half_way_leaves_nothing_of_it() {
    let Some(url) = server::database("store: a migration is cut").await else { return };
    let place = Place::postgres(url.clone());
    // Somebody makes the last table and does not say whether it stays: so the migration waits for that in the middle.
    let connect = async || {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let (client, other) = (connect().await, connect().await);
    client.batch_execute("BEGIN; CREATE TABLE prices (what text)").await.unwrap();
    let store = std::sync::Arc::new(Store::open(place.options.clone()));
    let migrating = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move { store.migrate().await }
    });
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name = 'cryptoprice' AND wait_event_type = 'Lock'";
    eventually("it waits, and is cut", async || {
        (!other.query(cut, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
    migrating.await.unwrap().unwrap_err();
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(store.migrations().await.unwrap().pending, ["0001"]);
    assert_eq!(store.migrate().await.unwrap(), ["0001"]);
    store.write_candles(&minutes(3), start()).await.unwrap();
}

/// Runs a statement beside the store.
async fn beside(place: &Place, text: &str) {
    match (&place.url, &place.options.location) {
        (Some(url), _) => server::execute(url, text).await.unwrap(),
        (None, Location::File(path)) => {
            use diesel::{Connection as _, connection::SimpleConnection as _};
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut connection = diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            connection.batch_execute(text).unwrap();
        }
        _ => panic!("a file"),
    }
}

#[tokio::test]
async fn a_server_is_not_migrated_by_itself_and_a_file_is() {
    each("store: who migrates", async |place| {
        let store = Store::open(place.options.clone());
        match store.write_candles(&minutes(3), start()).await {
            Ok(written) => assert!(place.is_sqlite() && written == 3),
            Err(error) => {
                assert!(matches!(error, StoreError::NotMigrated { .. }), "{error:?}");
                assert!(!place.is_sqlite());
                // The same store goes on once somebody has done it.
                Store::open(place.options.clone()).migrate().await.unwrap();
                store.write_candles(&minutes(3), start()).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_schema_of_a_later_program_is_refused() {
    each("store: later schema", async |place| {
        place.store().await;
        let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')";
        beside(&place, later).await;
        let error = Store::open(place.options.clone()).ping().await.unwrap_err();
        assert!(error.to_string().contains("9999"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn what_is_old_goes_unless_a_longer_candle_needs_it() {
    each("store: retention", async |place| {
        let store = place.store().await;
        let hours = Series { interval: Interval::Hour, ..MINUTES };
        let other = Series { venue: None, ..MINUTES };
        // Ninety days of minutes in two partitions or more, a hundredth of them, in two series; restated now and then.
        let days = 90;
        let mut candles = Vec::new();
        for series in [MINUTES, other] {
            for step in 0..days * 15 {
                let mut candle = candle(series, start() + TimeDelta::minutes(step * 96), step);
                candles.push(candle.clone());
                if step % 3 == 0 {
                    (candle.revision, candle.state) = (1, CandleState::Restated);
                    candles.push(candle);
                }
            }
        }
        // The hours are there up to day 80, but for one of day 70, and of one series alone.
        let missing = start() + TimeDelta::hours(70 * 24 + 8);
        let made = (0..80 * 24).map(|hour| candle(hours, start() + TimeDelta::hours(hour), 1));
        candles.extend(made.filter(|candle| candle.open_time != missing));
        store.write_candles(&candles, start()).await.unwrap();
        let prices: Vec<_> =
            (0..days).map(|day| point(BTC_USD, start() + TimeDelta::days(day), Decimal::ONE, 1)).collect();
        store.write_prices(&prices, start()).await.unwrap();

        let day = |days| start() + TimeDelta::days(days);
        let retention = Retention {
            candles: BTreeMap::from([(Interval::Minute, day(85)), (Interval::Hour, day(60))]),
            prices: Some(day(87)),
            batch: 50,
        };
        let pruned = store.prune(&retention).await.unwrap();
        assert!(pruned.rows > 500, "{pruned:?}");
        assert_eq!(pruned.partitions > 80, !place.is_sqlite(), "{pruned:?}");

        let oldest = async |series| list(&store, &all(series)).await[0].open_time;
        // 70 days and 8 hours, the first candle from there on.
        assert_eq!(oldest(MINUTES).await, missing);
        // No hour of the other was made: all of the hours that are wanted are needed.
        assert_eq!(oldest(other).await, day(60));
        assert_eq!(oldest(hours).await, day(60));
        assert_eq!(store.price_at(BTC_USD, day(86), None).await.unwrap(), None);
        assert!(store.price_at(BTC_USD, day(87), None).await.unwrap().is_some());

        // Once the hour is there, its minutes go; and what is done is done.
        store.write_candles(&[candle(hours, missing, 1)], start()).await.unwrap();
        store.prune(&retention).await.unwrap();
        assert_eq!(oldest(MINUTES).await, day(80));
        assert_eq!(store.prune(&retention).await.unwrap().rows, 0);

        // What was dropped can be written again, also by another who has not heard of it.
        store.write_candles(&minutes(10), start()).await.unwrap();
        let another = place.store().await;
        another.write_candles(&minutes(20), start()).await.unwrap();
        let nothing =
            Retention { candles: BTreeMap::from([(Interval::Minute, day(89))]), batch: 50, prices: None };
        store.prune(&nothing).await.unwrap();
        assert_eq!(another.write_candles(&minutes(20), start()).await.unwrap(), 20);
    })
    .await;
}

#[tokio::test]
async fn partitions_are_made_ahead() {
    each("store: partitions", async |place| {
        let store = place.store().await;
        let now = start();
        store.make_partitions(now, TimeDelta::days(3)).await.unwrap();
        store.make_partitions(now, TimeDelta::days(3)).await.unwrap();
        let Some(url) = place.url else { return };
        // A writer that may not make tables finds those that are there.
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'prices'::regclass";
        assert_eq!(client.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 4);
    })
    .await;
}

#[tokio::test]
async fn the_pools_and_the_size_are_told() {
    each("store: upkeep", async |place| {
        let store = Store::open(place.options.clone());
        // Nothing is connected to before it is needed.
        assert!(store.pools().iter().all(|pool| pool.size == 0));
        let store = place.store().await;
        store.ping().await.unwrap();
        let before = store.size().await.unwrap();
        store.write_candles(&minutes(2_000), start()).await.unwrap();
        assert!(store.size().await.unwrap() > before);
        let pools = store.pools();
        assert!(pools.iter().any(|pool| pool.size > 0 && pool.waiting == 0), "{pools:?}");
    })
    .await;
}

#[tokio::test]
async fn what_lies_in_memory_stays_as_long_as_the_store() {
    let store = Store::open(options(Location::Memory));
    store.write_candles(&minutes(10), start()).await.unwrap();
    assert_eq!(list(&store, &all(MINUTES)).await, minutes(10));
}

#[tokio::test]
async fn a_copy_is_made_while_others_write() {
    each("store: backup", async |place| {
        let store = place.store().await;
        store.write_candles(&minutes(500), start()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy.db");
        let later: Vec<_> = minutes(3_000).split_off(500);
        let (copied, written) = tokio::join!(store.backup(&file), store.write_candles(&later, start()));
        written.unwrap();
        if !place.is_sqlite() {
            assert!(matches!(copied, Err(StoreError::Unsupported(_))));
            return;
        }
        copied.unwrap();
        let copy = Store::open(options(Location::File(file.clone())));
        let count = list(&copy, &all(MINUTES)).await.len();
        assert!(count == 500 || count == 3_000, "{count}");
        store.backup(&file).await.expect_err("nothing is written over");
    })
    .await;
}

#[tokio::test]
async fn the_command_line_migrates_and_copies() {
    each("store: commands", async |place| {
        let url = place.url.clone().unwrap_or_else(|| place.options.location.to_string());
        let run = |arguments: &[&str]| -> Output {
            program::command()
                .args(arguments)
                .env_remove("CRYPTOPRICE__STORE__URL")
                .env("DATABASE_URL", &url)
                .output()
                .unwrap()
        };
        let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
        let status = run(&["migrate", "status"]);
        assert_eq!((said(&status).as_str(), status.status.success()), ("pending 0001\n", false));
        assert_eq!(said(&run(&["migrate", "up"])), "applied 0001\n");
        assert!(said(&run(&["migrate", "up"])).starts_with("nothing to do in "));
        let status = run(&["migrate", "status"]);
        assert_eq!((said(&status).as_str(), status.status.success()), ("applied 0001\n", true));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy.db");
        let backup = run(&["backup", file.to_str().unwrap()]);
        assert_eq!(backup.status.success(), place.is_sqlite());
        assert_eq!(file.exists(), place.is_sqlite());
        assert_eq!(said(&run(&["migrate", "down"])), "took back 0001\n");
    })
    .await;
}

#[tokio::test]
async fn the_shell_is_that_of_the_database_and_told_nothing_secret_on_its_command_line() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["psql", "sqlite3"] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\"\necho \"$PGUSER $PGPASSWORD\" >&2\n"))
            .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let file = folder.path().join("history.db");
    std::fs::write(&file, "").unwrap();
    let shell = |url: &str, path: &std::path::Path| {
        let mut command = program::command();
        command.args(["db-shell", "--", "-x"]).env("CRYPTOPRICE__STORE__URL", url).env("PATH", path);
        let output = command.output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let sqlite = format!("sqlite://{}", file.display());
    assert_eq!(shell(&sqlite, folder.path())[0], format!("sqlite3 {} -x\n", file.display()));
    let postgres = "postgres://me:hush@h/d";
    assert_eq!(shell(postgres, folder.path()), ["psql -x\n", "me hush\n"]);
    let empty = tempfile::tempdir().unwrap();
    let [out, error] = shell(postgres, empty.path());
    assert!(out.is_empty() && error.contains("psql is not installed") && !error.contains("hush"), "{error}");
}
