//! What the store is held against.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use cryptoprice::{domain::candle::Candle, store::candles::CandleQuery};
use tokio_postgres::{Client, NoTls, Statement};

use crate::data;

/// A database, as its own tools see it.
pub(crate) enum Tool {
    Postgres(String),
    Sqlite(PathBuf),
}

/// What reads pages.
pub(crate) enum Reader {
    Postgres(Client, Statement),
    Sqlite(Child, ChildStdin, BufReader<ChildStdout>),
}

const READ: &str = "open_time, revision, state, maker, open, high, low, close, base_volume, quote_volume, trade_count, \
     source_count, coverage, record_time FROM candles";

impl Tool {
    /// Brings candles into a temporary table, and inserts those that are not there.
    pub(crate) fn write(&self, candles: &[Candle]) -> Duration {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let columns = data::COLUMNS;
        let (mut command, script) = match self {
            Self::Postgres(url) => {
                file.write_all(data::csv(candles, |time| time.to_rfc3339()).as_bytes()).unwrap();
                let mut command = Command::new("psql");
                command.args([url, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
                let script = format!(
                    "CREATE TEMPORARY TABLE given (LIKE candles);\n\\copy given ({columns}) FROM '{}' (FORMAT csv)\n\
                     INSERT INTO candles SELECT * FROM given ON CONFLICT DO NOTHING;\n",
                    file.path().display()
                );
                (command, script)
            }
            Self::Sqlite(path) => {
                file.write_all(data::csv(candles, |time| time.timestamp_micros().to_string()).as_bytes())
                    .unwrap();
                let mut command = Command::new("sqlite3");
                command.arg("-bail").arg(path);
                let script = format!(
                    "PRAGMA synchronous = NORMAL;\nPRAGMA temp_store = MEMORY;\nPRAGMA cache_size = -16384;\n\
                     CREATE TEMPORARY TABLE given AS SELECT * FROM candles LIMIT 0;\n.mode csv\n\
                     .import --schema temp '{}' given\n\
                     INSERT INTO candles SELECT * FROM given WHERE true ON CONFLICT DO NOTHING;\n",
                    file.path().display()
                );
                (command, script)
            }
        };
        let started = Instant::now();
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the shell is installed");
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        started.elapsed()
    }

    pub(crate) async fn reader(&self) -> Reader {
        match self {
            Self::Postgres(url) => {
                let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
                tokio::spawn(connection);
                let text = format!(
                    "SELECT {READ} WHERE origin = 'LIVE' AND interval = $1 AND pair = $2 \
                     AND venue = $3 AND open_time >= $4::text::timestamptz AND open_time < $5::text::timestamptz \
                     AND record_time <= $5::text::timestamptz ORDER BY open_time, revision LIMIT 1000"
                );
                let statement = client.prepare(&text).await.unwrap();
                Reader::Postgres(client, statement)
            }
            Self::Sqlite(path) => {
                let mut command = Command::new("sqlite3");
                let mut child =
                    command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                Reader::Sqlite(child, input, BufReader::new(output))
            }
        }
    }
}

impl Reader {
    /// Reads a page, and tells how many microseconds that took.
    pub(crate) async fn read(&mut self, query: &CandleQuery) -> f64 {
        let series = query.series;
        let (pair, venue) = (series.pair.to_string(), series.venue.unwrap().as_str());
        let count;
        let started = Instant::now();
        match self {
            Self::Postgres(client, statement) => {
                let (from, to) = (query.from.to_rfc3339(), query.to.to_rfc3339());
                let rows =
                    client.query(statement, &[&series.interval.as_str(), &pair, &venue, &from, &to]).await;
                count = rows.unwrap().len();
            }
            Self::Sqlite(_, input, output) => {
                let text = format!(
                    "SELECT {READ} WHERE origin = 'LIVE' AND interval = '{}' AND pair = '{pair}' AND venue = '{venue}' \
                     AND open_time >= {} AND open_time < {} AND record_time < 9000000000000000 \
                     ORDER BY open_time, revision LIMIT 1000;\n.print done\n",
                    series.interval,
                    query.from.timestamp_micros(),
                    query.to.timestamp_micros(),
                );
                input.write_all(text.as_bytes()).unwrap();
                let lines = output.lines().map(Result::unwrap);
                count = lines.take_while(|line| line != "done").count();
            }
        }
        let micros = started.elapsed().as_secs_f64() * 1e6;
        assert_eq!(count, data::PAGE);
        micros
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Self::Sqlite(child, ..) = self {
            // It is ours, and has nothing to lose.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
