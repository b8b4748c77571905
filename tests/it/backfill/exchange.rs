//! Venues on loopback that tell candles as Kraken, Binance and Coinbase do, of a market that hangs on the time alone.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What a venue does with a question, instead of answering it.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// Wants to be left alone for a second.
    TooOften,
    /// Fails.
    Status(u16),
    /// Answers with a page for people.
    Page,
    /// Never answers.
    Hang,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The minute of the first candle, and that of the last one if the question names it.
    pub(super) from: i64,
    pub(super) to: Option<i64>,
    /// Whether it was answered.
    pub(super) answered: bool,
}

#[derive(Debug, Default)]
struct Told {
    /// The minute that is being formed.
    now: i64,
    asked: BTreeMap<String, Vec<Asked>>,
    faults: BTreeMap<(String, usize), Fault>,
}

/// All of them, at one address.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    address: SocketAddr,
    told: Arc<Mutex<Told>>,
}

impl Exchange {
    /// Starts at a time, which stands still.
    pub(super) async fn start(now: DateTime<Utc>) -> Self {
        let told = Arc::new(Mutex::new(Told { now: now.timestamp() / 60, ..Told::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&told));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, told }
    }

    /// Gets where a venue is asked.
    pub(super) fn base(&self, venue: &str) -> String {
        format!("http://{}/{venue}", self.address)
    }

    /// Has a venue do something else with its nth question, counted from 0 and over all that were asked.
    pub(super) fn fail(&self, venue: &str, nth: usize, fault: Fault) {
        self.told.lock().unwrap().faults.insert((venue.to_owned(), nth), fault);
    }

    /// Lists what a venue was asked.
    pub(super) fn asked(&self, venue: &str) -> Vec<Asked> {
        self.told.lock().unwrap().asked.get(venue).cloned().unwrap_or_default()
    }

    /// Counts it.
    pub(super) fn count(&self, venue: &str) -> usize {
        self.asked(venue).len()
    }
}

/// Tells whether anything was traded in a minute.
pub(super) fn is_traded(minute: i64) -> bool {
    minute % 7 != 3
}

/// The first price of a minute at a venue; the highest is two above it, the lowest one below, the last one above.
pub(super) fn open(venue: &str, minute: i64) -> i64 {
    let level = match venue {
        "kraken" => 10_000,
        "binance" => 20_000,
        _ => 30_000,
    };
    level + minute % 100
}

/// What is traded in a minute, in units of base: most at Binance.
pub(super) fn volume(venue: &str, minute: i64) -> i64 {
    1 + minute % 3 + if venue == "binance" { 10 } else { 0 }
}

async fn answer(
    State(told): State<Arc<Mutex<Told>>>,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut parts = uri.path().trim_start_matches('/').splitn(2, '/');
    let (venue, call) = (parts.next().unwrap().to_owned(), parts.next().unwrap_or_default().to_owned());
    let number = |name: &str| query.get(name).map(|text| text.parse::<i64>().unwrap());
    let (from, to) = match (venue.as_str(), call.as_str()) {
        ("kraken", "OHLC") => (number("since").unwrap() + 1, None),
        ("binance", "klines") => {
            (number("startTime").unwrap() / 1_000, Some(number("endTime").unwrap() / 1_000))
        }
        ("coinbase", call) if call.ends_with("/candles") => (number("start").unwrap(), number("end")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let asked = Asked { from: from / 60, to: to.map(|to| to / 60), answered: true };
    let (fault, now) = {
        let mut told = told.lock().unwrap();
        let all = told.asked.entry(venue.clone()).or_default();
        let nth = all.len();
        all.push(asked.clone());
        let fault = told.faults.get(&(venue.clone(), nth)).cloned();
        if fault.is_some() {
            told.asked.get_mut(&venue).unwrap()[nth].answered = false;
        }
        (fault, told.now)
    };
    match fault {
        Some(Fault::TooOften) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
        Some(Fault::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::Page) => "<html>We are improving things</html>".into_response(),
        Some(Fault::Hang) => std::future::pending().await,
        None => {
            let span = query.get("interval").and_then(|text| text.parse().ok()).unwrap_or(1);
            candles(&venue, &asked, span, now).to_string().into_response()
        }
    }
}

/// What a venue says of minutes, or (Kraken) of candles so many minutes long.
fn candles(venue: &str, asked: &Asked, span: i64, now: i64) -> Value {
    let text = |number: i64| number.to_string();
    let last = asked.to.unwrap_or(now).min(now);
    let opens = (asked.from..=last).filter(|minute| minute % span == 0);
    let prices = |minute| {
        let open = open(venue, minute);
        [open, open + 2, open - 1, open + 1]
    };
    match venue {
        "kraken" => {
            let row = |minute: i64| {
                let [open, high, low, close] = prices(minute).map(text);
                let seconds = minute * 60;
                if is_traded(minute) || span > 1 {
                    json!([seconds, open, high, low, close, open, text(volume(venue, minute)), 5])
                } else {
                    json!([seconds, open, open, open, open, "0.0", "0", 0])
                }
            };
            // The newest 720, whatever was asked for.
            let mut rows: Vec<_> = opens.rev().take(720).map(row).collect();
            rows.reverse();
            json!({ "error": [], "result": { "XXBTZUSD": rows, "last": now * 60 } })
        }
        "binance" => {
            let row = |minute: i64| {
                let [open, high, low, close] = prices(minute).map(text);
                let (volume, count) = if is_traded(minute) { (volume(venue, minute), 7) } else { (0, 0) };
                let (opens, closes) = (minute * 60_000, minute * 60_000 + 59_999);
                json!([
                    opens,
                    open,
                    high,
                    low,
                    close,
                    text(volume),
                    closes,
                    text(volume * 20_000),
                    count,
                    "0",
                    "0",
                    "0"
                ])
            };
            opens.take(1_000).map(row).collect()
        }
        _ => {
            assert!(last - asked.from < 300, "more than an answer has");
            let row = |minute: i64| {
                let [open, high, low, close] = prices(minute).map(text);
                let (start, volume) = (text(minute * 60), text(volume(venue, minute)));
                json!({ "start": start, "open": open, "high": high, "low": low, "close": close, "volume": volume })
            };
            let rows: Vec<_> = opens.filter(|minute| is_traded(*minute)).rev().map(row).collect();
            json!({ "candles": rows })
        }
    }
}
