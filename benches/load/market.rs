//! The pairs that the servers under load price, and how they are quoted.

use std::{fs::File, io::Write as _, path::Path};

/// Pairs on the board of those that answer single calls.
pub(crate) const PAIRS: usize = 1_000;

/// Where all of them are listed.
pub(crate) const LIST: &str = "/v1/prices?page_size=1000&quote=USD";

/// Names a pair by its number.
pub(crate) fn pair(number: usize) -> String {
    format!("C{number:05}-USD")
}

/// Writes a recording in which each of so many pairs is quoted once.
pub(crate) fn record(path: &Path, pairs: usize) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    let start = 1_750_000_000.0;
    writeln!(file, r#"{{"t":"header","format":2,"exchange":"KRAKEN","config":{{}},"recorded":{start:.1}}}"#)?;
    writeln!(file, r#"{{"t":"connect","conn":"1","addr":"wss://example.invalid","ts":{start:.1}}}"#)?;
    for number in 0..pairs {
        let frame = quote(number, 60_004 + number, Some("2025-06-15T15:06:40.100000Z"));
        let line = serde_json::json!({ "t": "recv", "conn": "1", "ts": start + 0.2, "data": frame });
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

/// Writes Kraken's message of a new best bid and ask, whose middle is `price` and two tenths.
pub(crate) fn quote(number: usize, price: usize, time: Option<&str>) -> String {
    let symbol = pair(number).replace('-', "/");
    let time = time.map_or_else(String::new, |time| format!(r#","timestamp":"{time}""#));
    format!(
        r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","bid":{price}.1,"bid_qty":1.5,"ask":{price}.3,"ask_qty":2.5,"last":{price}.2,"volume":812.5,"vwap":{price}.0,"low":1.0,"high":99999.0,"change":1.0,"change_pct":0.1{time}}}]}}"#
    )
}

/// Settings of a service that listens to an exchange of ours alone, with so many pairs.
pub(crate) fn settings(exchange: std::net::SocketAddr, pairs: usize) -> String {
    let names: Vec<String> = (0..pairs).map(|number| format!("\"{}\"", pair(number))).collect();
    let others = ["binance", "coinbase", "okx", "bitfinex", "kucoin", "gate", "cryptocom", "htx", "upbit"];
    let others: String = others.map(|venue| format!("[venues.{venue}]\nenabled = false\n")).concat();
    format!(
        "[aggregation]\nmin_sources = 1\n[jump]\nthreshold = \"1000000\"\n[cross]\npairs = []\n\
         [venues.kraken]\nurl = \"ws://{exchange}\"\npairs = [{}]\n{others}",
        names.join(", ")
    )
}
