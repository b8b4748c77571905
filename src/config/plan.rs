//! What another configuration changes in a service that runs.

use std::{collections::BTreeSet, fmt};

use toml::{Table, Value};

use super::{Config, PairText, VenueConfig};

/// Sections whose settings take effect at once; those of the venues do so, too.
const LIVE: &[&str] = &["aggregation", "jump", "peg"];

/// What becomes of a service when another configuration is applied to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Venues that are listened to from then on.
    pub start: Vec<String>,
    /// Venues that are not any more.
    pub stop: Vec<String>,
    /// Venues that are listened to anew, because their addresses change.
    pub anew: Vec<String>,
    /// Venues that stay connected, and what changes of them.
    pub change: Vec<(String, String)>,
    /// Other settings that take effect at once: the key, and from what to what.
    pub set: Vec<(String, String)>,
    /// Settings that take effect when the service is started again.
    pub later: Vec<(String, String)>,
}

impl Plan {
    /// Compares two configurations.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut plan = Self::default();
        let names: BTreeSet<&String> = old.venues.keys().chain(new.venues.keys()).collect();
        for name in names {
            let of = |config: &'_ Config| config.venues.get(name).filter(|venue| listens(venue)).cloned();
            match (of(old), of(new)) {
                (None, Some(_)) => plan.start.push(name.clone()),
                (Some(_), None) => plan.stop.push(name.clone()),
                (Some(old), Some(new)) if addresses(&old) != addresses(&new) => plan.anew.push(name.clone()),
                (Some(old), Some(new)) => {
                    let changed = changed(&old, &new);
                    if !changed.is_empty() {
                        plan.change.push((name.clone(), changed.join(", ")));
                    }
                }
                (None, None) => {}
            }
        }
        for (key, change) in settings(old, new) {
            let section = key.split('.').next().unwrap_or_default();
            let lists = if LIVE.contains(&section) { &mut plan.set } else { &mut plan.later };
            lists.push((key, change));
        }
        plan
    }

    /// Tells whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing changes");
        }
        for (what, names) in [("start", &self.start), ("stop", &self.stop), ("anew", &self.anew)] {
            for name in names {
                writeln!(f, "{what:<6}  {name}")?;
            }
        }
        for (what, changes) in [("change", &self.change), ("set", &self.set), ("later", &self.later)] {
            for (name, change) in changes {
                writeln!(f, "{what:<6}  {name}: {change}")?;
            }
        }
        Ok(())
    }
}

/// Tells whether a venue is listened to.
fn listens(venue: &VenueConfig) -> bool {
    venue.enabled && !venue.pairs.is_empty()
}

fn addresses(venue: &VenueConfig) -> [Option<&str>; 2] {
    [&venue.url, &venue.rest_url].map(|address| address.as_ref().map(super::Address::expose))
}

/// Says what changes of a venue that is listened to.
fn changed(old: &VenueConfig, new: &VenueConfig) -> Vec<String> {
    let pairs = |venue: &VenueConfig| venue.pairs.iter().copied().collect::<BTreeSet<PairText>>();
    let (before, after) = (pairs(old), pairs(new));
    let mut changed: Vec<String> = after.difference(&before).map(|pair| format!("+{pair}")).collect();
    changed.extend(before.difference(&after).map(|pair| format!("-{pair}")));
    let limits = |venue: &VenueConfig| {
        [
            ("weight", venue.weight.map(|weight| weight.to_string())),
            ("max_markets", venue.max_markets.map(|max| max.to_string())),
            ("requests_per_minute", venue.requests_per_minute.map(|requests| requests.to_string())),
        ]
    };
    for ((name, old), (_, new)) in limits(old).into_iter().zip(limits(new)) {
        if old != new {
            let shown = |value: Option<String>| value.unwrap_or_else(|| "default".to_owned());
            changed.push(format!("{name} {} → {}", shown(old), shown(new)));
        }
    }
    changed
}

/// Lists the settings that differ, but for the venues', by key.
fn settings(old: &Config, new: &Config) -> Vec<(String, String)> {
    let table = |config: &Config| {
        let mut table = Table::try_from(config).unwrap_or_default();
        table.remove("venues");
        table
    };
    let (old, new) = (flat(&table(old)), flat(&table(new)));
    let keys: BTreeSet<&String> = old.iter().chain(&new).map(|(key, _)| key).collect();
    let find = |settings: &[(String, String)], key: &String| {
        settings.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    let differing = keys.into_iter().filter_map(|key| {
        let [before, after] =
            [find(&old, key), find(&new, key)].map(|value| value.unwrap_or_else(|| "nothing".to_owned()));
        (before != after).then(|| (key.clone(), format!("{before} → {after}")))
    });
    differing.collect()
}

/// Lists the values of a table by their full keys.
fn flat(table: &Table) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(table) => {
                let inner = flat(table).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value));
                settings.extend(inner);
            }
            Value::String(text) => settings.push((key.clone(), text.clone())),
            other => settings.push((key.clone(), other.to_string())),
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cryptoprice.toml");
        std::fs::write(&file, change).unwrap();
        Config::load(Some(&file), []).unwrap()
    }

    #[test]
    fn a_plan_says_what_starts_stops_and_changes() {
        let old = config(
            "[venues.gemini]\nenabled = false\n[venues.okx]\nurl = 'wss://user:secret@a.example'\n\
             [venues.binance]\npairs = ['BTC-USDT', 'ETH-USDT']",
        );
        let new = config(
            "[aggregation]\nmax_age = '10s'\n[server]\nlisten = '127.0.0.1:1'\n[venues.htx]\nenabled = false\n\
             [venues.kraken]\nweight = '0.5'\n[venues.okx]\nurl = 'wss://user:other@a.example'\n\
             [venues.binance]\npairs = ['BTC-USDT', 'SOL-USDT']\nmax_markets = 5",
        );
        insta::assert_snapshot!(Plan::between(&old, &new), @r"
        start   gemini
        stop    htx
        anew    okx
        change  binance: +SOL-USDT, -ETH-USDT, max_markets default → 5
        change  kraken: weight default → 0.5
        set     aggregation.max_age: 30s → 10s
        later   server.listen: 127.0.0.1:8080 → 127.0.0.1:1
        ");
        assert!(Plan::between(&new, &new.clone()).is_empty());
        assert_eq!(Plan::between(&new, &new).to_string(), "nothing changes\n");
    }
}
