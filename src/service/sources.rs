//! Sources: the venues that prices come from.

use super::{error::ServiceError, page, prices::nearest};
use crate::{
    clock::Clock,
    pipeline::health::{SourceReport, Sources as Health},
};

/// Reads how the sources do.
#[derive(Debug, Clone)]
pub struct Sources {
    health: Health,
    clock: Clock,
}

impl Sources {
    /// Reads these counters.
    pub fn new(health: Health, clock: Clock) -> Self {
        Self { health, clock }
    }

    /// Gets one source.
    pub fn get(&self, name: &str) -> Result<SourceReport, ServiceError> {
        if name.is_empty() {
            return Err(ServiceError::field("source", "is empty"));
        }
        self.health.report(name, self.clock.now()).ok_or_else(|| ServiceError::SourceUnknown {
            source_name: name.chars().take(48).collect(),
            nearest: nearest(name, self.health.names().into_iter().map(ToOwned::to_owned)),
        })
    }

    /// Lists a page of sources, and the token of the next.
    pub fn list(
        &self,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<SourceReport>, String), ServiceError> {
        let size = page::size(page_size)?;
        let after = page::after(page_token, &["sources"])?.unwrap_or_default();
        let mut reports: Vec<_> = self.health.reports(&after, self.clock.now()).take(size + 1).collect();
        let more = reports.len() > size;
        reports.truncate(size);
        let last = reports.last().filter(|_| more);
        let token = last.map_or_else(String::new, |last| page::token(&["sources"], last.venue.as_str()));
        Ok((reports, token))
    }
}
