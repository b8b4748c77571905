//! `/status`: what this replica does among the others, for whoever runs it.

use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;

use super::{Place, Readiness, Reason};
use crate::{
    domain::price::Origin,
    pipeline::lead::{Standing, StandingReport},
};

/// What the status is told of.
#[derive(Debug, Clone)]
pub struct StatusOf {
    /// What stands against being ready.
    pub readiness: Readiness,
    /// The role of the configuration.
    pub role: &'static str,
    /// Where the prices come from.
    pub origin: Origin,
}

/// What is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version: &'static str,
    ready: bool,
    reasons: Vec<Reason>,
    role: &'static str,
    #[serde(flatten)]
    place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    origin: &'static str,
    epoch: u64,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror_age_seconds: Option<f64>,
    redis: &'static str,
}

/// Makes `/status`.
pub fn status(of: StatusOf) -> Router {
    Router::new().route("/status", get(tell)).with_state(of)
}

async fn tell(State(of): State<StatusOf>) -> Json<Status> {
    let reasons = of.readiness.reasons();
    let cursor = of.readiness.board.cursor();
    let report = of.readiness.standing.as_ref().map(Standing::report);
    let redis = match &report {
        None => "none",
        Some(StandingReport { redis_answers: true, .. }) => "answers",
        Some(_) => "away",
    };
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: reasons.is_empty(),
        reasons,
        role: of.role,
        place: Place::of(report.as_ref()),
        name: report.as_ref().map(|report| report.name.clone()),
        origin: crate::api::wire::origin(of.origin).as_str_name(),
        epoch: cursor.epoch,
        sequence: cursor.sequence,
        mirror_age_seconds: report.and_then(|report| Some(report.mirror_age?.as_secs_f64())),
        redis,
    })
}
