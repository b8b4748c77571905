//! A PostgreSQL for the tests: the one of the environment, or a private one that ends with this process.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

use crate::data::skip;

/// Stops the server when it is told, and starts it with any other word of its input, after it has ended. At the end of that, which
/// comes when the test's process ends, however that happens, it takes away what it made.
const WARDEN: &str = r#"
set -e
folder=$1 port=$2 programs=$3
"$programs/initdb" --pgdata="$folder/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >"$folder/log"
run() {
    "$programs/postgres" -D "$folder/data" -p "$port" -k "$folder" -c listen_addresses=127.0.0.1 -c fsync=off \
        -c full_page_writes=off -c max_connections=200 >>"$folder/log" 2>&1 </dev/null &
    server=$!
}
run
while read -r word; do
    [ "$word" != stop ] || kill -INT "$server"
    wait "$server" || true
    [ "$word" = stop ] || run
done
kill -QUIT "$server" || true
wait "$server" || true
rm -rf "$folder"
"#;

static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

struct Server {
    url: String,
    /// Ends by itself when its input does.
    _warden: Option<Child>,
}

/// Gets the address of the one at a port.
pub(crate) fn address(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

/// Makes an empty database, and gives its address; or says why the test is skipped.
pub(crate) async fn database(test: &str) -> Option<String> {
    let server = SERVER.get_or_init(|| start(test)).await.as_ref();
    let Some(server) = server else {
        skip(test, "CRYPTOPRICE_TEST_POSTGRES is not set, and PostgreSQL is not installed");
        return None;
    };
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("cryptoprice_{}_{number}", std::process::id());
    execute(&server.url, &format!("CREATE DATABASE {name}")).await.unwrap();
    let (address, _) = server.url.rsplit_once('/').unwrap();
    Some(format!("{address}/{name}"))
}

/// Runs statements beside the store.
pub(crate) async fn execute(url: &str, text: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let result = client.batch_execute(text).await;
    drop(client);
    let _ = connection.await;
    result
}

async fn start(test: &str) -> Option<Server> {
    if let Ok(url) = std::env::var("CRYPTOPRICE_TEST_POSTGRES") {
        return Some(Server { url, _warden: None });
    }
    let (warden, _, port) = run(test).await?;
    Some(Server { url: address(port), _warden: Some(warden) })
}

/// Starts a private one: what looks after it, where it lies, and its port.
pub(super) async fn run(test: &str) -> Option<(Child, PathBuf, u16)> {
    let programs = programs()?;
    // Below /tmp, as the path of a socket has to be short.
    let folder = tempfile::Builder::new().prefix("cryptoprice-test-").tempdir_in("/tmp").unwrap().keep();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let root = rustix::process::geteuid().is_root();
    // PostgreSQL refuses root.
    let mut command = if root {
        let given = Command::new("chown").arg("postgres:").arg(&folder).status();
        if !given.is_ok_and(|status| status.success()) {
            skip(test, "there is no user postgres to run a server");
            return None;
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut warden = command
        .args(["-c", WARDEN, "warden"])
        .arg(&folder)
        .arg(port.to_string())
        .arg(&programs)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if execute(&address(port), "SELECT 1").await.is_ok() {
            return Some((warden, folder, port));
        }
        if warden.try_wait().unwrap().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    drop(warden.stdin.take());
    panic!("PostgreSQL does not start: {log}");
}

/// Finds PostgreSQL's programs: Debian keeps those of the server out of the path.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = std::env::split_paths(&path).chain(debian.map(|entry| entry.path().join("bin")));
    let mut folders =
        folders.filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    folders.next()
}
