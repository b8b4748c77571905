//! Sources: the venues that prices come from.

use super::{error::ServiceError, page, prices::nearest};
use crate::{
    clock::Clock,
    pipeline::health::{Reports, SourceReport},
};

/// Reads how the sources do.
#[derive(Debug, Clone)]
pub struct Sources {
    reports: Reports,
    clock: Clock,
}

impl Sources {
    /// Reads these reports.
    pub fn new(reports: Reports, clock: Clock) -> Self {
        Self { reports, clock }
    }

    /// Gets one source.
    pub fn get(&self, name: &str) -> Result<SourceReport, ServiceError> {
        if name.is_empty() {
            return Err(ServiceError::field("source", "is empty"));
        }
        self.reports.report(name, self.clock.now()).ok_or_else(|| ServiceError::SourceUnknown {
            source_name: name.chars().take(48).collect(),
            nearest: nearest(name, self.reports.names().into_iter().map(ToOwned::to_owned)),
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
        let mut reports: Vec<_> = self.reports.reports(&after, self.clock.now());
        let more = reports.len() > size;
        reports.truncate(size);
        let last = reports.last().filter(|_| more);
        let token = last.map_or_else(String::new, |last| page::token(&["sources"], last.venue.as_str()));
        Ok((reports, token))
    }
}
