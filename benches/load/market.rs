//! What the servers under load are fed: a recording of as many pairs as are needed, in a real venue's format.

use std::{fs::File, io::Write as _, path::Path};

/// Names a pair by its number.
pub fn pair(number: usize) -> String {
    format!("C{number:05}-USD")
}

/// Writes a recording in which each of so many pairs is quoted once.
pub fn record(path: &Path, pairs: usize) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    let start = 1_750_000_000.0;
    writeln!(file, r#"{{"t":"header","format":2,"exchange":"KRAKEN","config":{{}},"recorded":{start:.1}}}"#)?;
    writeln!(file, r#"{{"t":"connect","conn":"1","addr":"wss://example.invalid","ts":{start:.1}}}"#)?;
    for number in 0..pairs {
        let frame = quote(number, 60_004 + number, "2025-06-15T15:06:40.100000Z");
        let line = serde_json::json!({ "t": "recv", "conn": "1", "ts": start + 0.2, "data": frame });
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

/// Writes Kraken's message of a new best bid and ask.
pub fn quote(number: usize, bid: usize, time: &str) -> String {
    let symbol = pair(number).replace('-', "/");
    format!(
        r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","bid":{bid}.1,"bid_qty":1.5,"ask":{bid}.3,"ask_qty":2.5,"last":{bid}.2,"volume":812.5,"vwap":{bid}.0,"low":1.0,"high":99999.0,"change":1.0,"change_pct":0.1,"timestamp":"{time}"}}]}}"#
    )
}
