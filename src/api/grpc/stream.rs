//! What a caller asks of a stream: the request's fields, and the header that browsers resume with.

use std::time::Duration;

use tonic::{Request, metadata::MetadataMap};

use super::requests::{Barred as _, basis_points, heartbeat, within};
use crate::{
    api::pb::v1::{StreamDelivery, StreamPricesRequest},
    domain::price::Cursor,
    service::{error::ServiceError, streams::StreamQuery},
};

/// The longest time between two messages that a caller may want.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3_600);

/// The header by which server-sent events are resumed: the id of the last one, `EPOCH-SEQUENCE`.
const LAST_EVENT_ID: &str = "last-event-id";

/// Reads what is asked of a stream. The field `resume_after` wins over the header.
pub(super) fn query(request: Request<StreamPricesRequest>) -> Result<StreamQuery, ServiceError> {
    let last_event = last_event(request.metadata())?;
    let request = request.into_inner();
    let delivery = StreamDelivery::try_from(request.delivery)
        .map_err(|_| ServiceError::field("delivery", format!("{} is not a delivery", request.delivery)))?;
    let resume_after =
        request.resume_after.map(|cursor| Cursor { epoch: cursor.epoch, sequence: cursor.sequence });
    Ok(StreamQuery {
        bar: request.bar()?,
        every_update: delivery == StreamDelivery::All,
        min_interval: within(
            "min_interval",
            request.min_interval,
            Duration::ZERO,
            (Duration::ZERO, LONGEST_INTERVAL),
        )?,
        deviation_bps: basis_points("deviation_bps", &request.deviation_bps)?,
        heartbeat: heartbeat(request.heartbeat)?,
        resume_after: resume_after.or(last_event),
        pairs: request.pairs,
    })
}

fn last_event(metadata: &MetadataMap) -> Result<Option<Cursor>, ServiceError> {
    let Some(id) = metadata.get(LAST_EVENT_ID) else { return Ok(None) };
    let parsed = id.to_str().ok().and_then(|id| id.split_once('-'));
    let cursor = parsed.and_then(|(epoch, sequence)| {
        Some(Cursor { epoch: epoch.parse().ok()?, sequence: sequence.parse().ok()? })
    });
    let wrong = || ServiceError::field("resume_after", "Last-Event-ID is not EPOCH-SEQUENCE");
    cursor.map(Some).ok_or_else(wrong)
}
