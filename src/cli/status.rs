//! `cryptoprice status`: what a replica does among the others, asked of its ops listener.

use std::time::Duration;

use serde_json::Value;

use super::{Outcome, client::Address, console::Console, failure::Failure, words};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// The ops listener to ask
    #[arg(long, value_name = "URL", env = "CRYPTOPRICE_OPS", default_value = "http://127.0.0.1:9090")]
    ops: Address,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(super) async fn run(self, console: &mut Console<'_>) -> Result<Outcome, Failure> {
        let told = self.ask().await?;
        let text = if self.json { format!("{told}\n") } else { show(&told) };
        console.print(&text)?;
        Ok(Outcome::Complete)
    }

    async fn ask(&self) -> Result<Value, Failure> {
        let unreachable = |error: reqwest::Error| Failure::Unreachable {
            address: self.ops.clone(),
            cause: super::failure::root_cause(&error),
        };
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(unreachable)?;
        let answer = client.get(format!("{}/status", self.ops)).send().await.map_err(unreachable)?;
        let answer = answer.error_for_status().map_err(unreachable)?;
        answer.json().await.map_err(unreachable)
    }
}

/// Shows it, a line for each thing.
fn show(told: &Value) -> String {
    let text = |key: &str| match &told[key] {
        Value::String(text) => words::one_line(text),
        Value::Null => words::NOTHING.to_owned(),
        other => words::one_line(&other.to_string()),
    };
    let reasons = told["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reasons: Vec<_> = reasons.iter().filter_map(|reason| reason["reason"].as_str()).collect();
    let ready = if told["ready"] == true { "yes".to_owned() } else { format!("no: {}", reasons.join(", ")) };
    let age = told["mirrorAgeSeconds"].as_f64();
    let lines = [
        ("part", text("part")),
        ("role", text("role")),
        ("ready", words::one_line(&ready)),
        ("leader", text("leader")),
        ("name", text("name")),
        ("origin", words::lower(&text("origin"), "ORIGIN_")),
        ("epoch", text("epoch")),
        ("sequence", text("sequence")),
        ("mirror age", age.map_or_else(|| words::NOTHING.to_owned(), |age| format!("{age:.3} s"))),
        ("redis", text("redis")),
        ("version", text("version")),
    ];
    lines.map(|(name, text)| format!("{name:<12}{text}\n")).concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_stands_line_by_line_and_what_is_not_is_a_dash() {
        let told = json!({
            "part": "standby", "role": "all", "ready": false, "leader": "a/1/ff", "name": "b/2/ee",
            "reasons": [{"reason": "MIRROR_STALE"}, {"reason": "NO_FRESH_PRICE"}],
            "origin": "ORIGIN_SIMULATED", "epoch": 1_700_000_000_000_u64, "sequence": 12,
            "mirrorAgeSeconds": 7.25, "redis": "away", "version": "1.2.3",
        });
        insta::assert_snapshot!(show(&told), @r"
        part        standby
        role        all
        ready       no: MIRROR_STALE, NO_FRESH_PRICE
        leader      a/1/ff
        name        b/2/ee
        origin      simulated
        epoch       1700000000000
        sequence    12
        mirror age  7.250 s
        redis       away
        version     1.2.3
        ");
        let single = show(&json!({"part": "single", "ready": true}));
        assert!(single.contains("ready       yes\nleader      -\n"), "{single}");
    }
}
