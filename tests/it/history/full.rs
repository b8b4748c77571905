//! A disk that is full.

use std::process::Command;

use super::*;
use crate::store::faults::Holder;

/// Names the folder for the process that has a small disk.
const FOLDER: &str = "CRYPTOPRICE_TEST_FULL_IN";

const TEST: &str = "history::full::a_historian_with_a_small_disk";

/// Not a test by itself: the process that has the small disk, of which its spool is a folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_historian_with_a_small_disk() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let store = Arc::new(Store::open(store_options(sqlite(folder), Origin::Live)));
    store.check().await.unwrap();
    let options = HistorianOptions { queue: 100_000, ..historian_options(&folder.join("disk"), 1 << 30) };
    let historian = Historian::new(options, Arc::clone(&store), Clock::system()).unwrap();
    let (inbox, status, shutdown) = (historian.inbox(), historian.status(), CancellationToken::new());
    let holder = Holder::held(sqlite(folder), None).await;
    let running = tokio::spawn(historian.run(shutdown.clone()));
    // Until nothing more goes to the disk, and then some.
    let (mut put, mut rows, mut still) = (0, 0, 0);
    while still < 40 {
        inbox.put_candles(seconds(put..put + 100));
        put += 100;
        assert!(put < 90_000, "it is never full");
        tokio::time::sleep(Duration::from_millis(10)).await;
        still = if status.spool_rows() == rows { still + 1 } else { 0 };
        rows = status.spool_rows();
    }
    let error = std::fs::write(folder.join("disk/more"), vec![1; 100_000]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    std::fs::remove_file(folder.join("disk/more")).unwrap();
    assert!(rows > 0 && !inbox.is_empty(), "{rows} on the disk, {} in memory", inbox.len());
    holder.release().await;
    eventually("all that waits is written", async || {
        (status.spool_rows() == 0 && inbox.is_empty() && status.is_available()).then_some(())
    })
    .await;
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(status.lost(), 0);
    // What took long when it was told to stop lies on the disk, where there is room again.
    drain(&store, &folder.join("disk")).await;
    let kept = stored(&store, SECONDS).await;
    assert_eq!((i64::try_from(kept.len()).unwrap(), holes(&kept)), (put, Vec::new()));
    assert!(kept == seconds(0..put), "each is as it was put in");
    println!("nothing is lost of {put} rows");
}

#[test]
fn a_disk_that_is_full_loses_nothing_that_memory_can_hold() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    // A disk of its own, which only this process sees, and which goes with it.
    let within = "mount -t tmpfs -o size=96k tmpfs \"$1/disk\" || exit 77; shift; exec \"$@\"";
    let made = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", within, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(FOLDER, folder.path())
        .output();
    let ran = match made {
        Ok(output) if output.status.code() == Some(77) => None,
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare:") => None,
        Ok(output) => Some(output),
        Err(_) => None,
    };
    let Some(output) = ran else {
        // That takes rights which not everybody has.
        eprintln!("skipped: history: a full disk: no file system can be mounted here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("nothing is lost of"), "{said} {}", String::from_utf8_lossy(&output.stderr));
}
