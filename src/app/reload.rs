//! Applies another configuration to a service that runs.

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    aggregation::options,
    backfill::{clients, markets},
    markets::{Listened, Shared},
};
use crate::{
    config::{Config, Plan},
    domain::price::Origin,
    feed::{venue::Protocol, venues},
    pipeline::{backfill::service::Extender, ingest::Changes, standards::Standards},
};

/// Changes what venues a service listens to and how it makes prices, while it runs.
#[derive(Debug)]
pub struct Reloader {
    config: Config,
    shared: Shared,
    changes: mpsc::Sender<Changes>,
    standards: Standards,
    /// Tells who fills in the history, if anybody does.
    extender: Option<Extender>,
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        shared: Shared,
        changes: mpsc::Sender<Changes>,
        standards: Standards,
        extender: Option<Extender>,
    ) -> Self {
        Self { config, shared, changes, standards, extender }
    }

    /// Applies what can be applied without a restart. What stays is not touched; if something cannot be, nothing changes.
    pub async fn apply(&mut self, new: Config) -> anyhow::Result<Plan> {
        let plan = Plan::between(&self.config, &new);
        let listened = Listened::configured(&new)?;
        let options = options(&new, Origin::Live, &listened);
        self.standards.set(&options);
        let venue = |name: &String| venues::by_name(name).map(Protocol::venue);
        let begins =
            |name: &str| [&plan.start, &plan.anew].iter().any(|names| names.iter().any(|n| n == name));
        let wanted = plan.change.iter().filter_map(|(name, _)| {
            let protocol = venues::by_name(name)?;
            Some((protocol.venue(), listened.wanted(protocol.venue())?))
        });
        let changes = Changes {
            stopped: plan.stop.iter().chain(&plan.anew).filter_map(venue).collect(),
            wanted: wanted.collect(),
            options: Some(options),
            // What a restart would change of the connections is not changed for some of them only.
            started: listened
                .listeners(&self.config.feed, &self.shared)
                .into_iter()
                .filter(|listen| begins(listen.protocol.venue().as_str()))
                .collect(),
        };
        if let Some(extender) = &self.extender {
            extender.extend(clients(&changes.started), markets(&new));
        }
        plan.to_string().lines().for_each(|line| info!("configuration: {line}"));
        if !plan.later.is_empty() {
            warn!("some settings take effect when the service is started again");
        }
        // Where nobody takes it, the service is ending.
        let _ = self.changes.send(changes).await;
        // What was not applied is still to be said the next time.
        let kept = std::mem::replace(&mut self.config, new);
        self.config.keep_until_restart(kept);
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[tokio::test]
    async fn what_is_judged_later_is_judged_by_what_is_configured_then() {
        let old = Config::load(None, []).unwrap();
        let age = ("CRYPTOPRICE__AGGREGATION__MAX_AGE".to_owned(), "7s".to_owned());
        let new = Config::load(None, [age]).unwrap();
        let standards = Standards::new(&options(&old, Origin::Live, &Listened::configured(&old).unwrap()));
        let (sender, mut changes) = mpsc::channel(1);
        let shared = Shared::new(&old).unwrap();
        let mut reloader = Reloader::new(old, shared, sender, standards.clone(), None);
        assert_eq!(standards.max_age(), TimeDelta::seconds(30));
        reloader.apply(new).await.unwrap();
        assert_eq!(standards.max_age(), TimeDelta::seconds(7));
        assert!(changes.recv().await.is_some_and(|changes| changes.options.is_some()));
    }
}
