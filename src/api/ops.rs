//! Whether the service lives, and whether it is ready: for whoever runs it, and for what routes to it.

mod status;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    extract::State,
    http::{
        StatusCode,
        header::{CONNECTION, CONTENT_TYPE},
    },
    response::IntoResponse,
    routing::get,
};
use prometheus::{Registry, TextEncoder};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use self::status::{StatusOf, status};
use crate::{
    domain::{pair::Pair, price::Status},
    pipeline::{
        board::Board,
        health::Reports,
        historian::status::HistoryStatus,
        lead::{Standing, StandingReport},
    },
};

/// What readiness is judged by.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// The prices.
    pub board: Board,
    /// How the sources do.
    pub sources: Reports,
    /// How the keeping of history does, if it is kept. Prices do not wait for it.
    pub history: Option<HistoryStatus>,
    /// How this replica stands to the others, if there are any.
    pub standing: Option<Standing>,
    /// Pairs whose price must be fresh; if none is named, any fresh price will do.
    pub required: Arc<[Pair]>,
    /// Set once the service is stopping.
    pub stopping: CancellationToken,
}

#[derive(Serialize)]
struct Report {
    ready: bool,
    reasons: Vec<Reason>,
    /// What does not stand against it, and should be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Reason>,
    #[serde(flatten)]
    place: Option<Place>,
}

/// What a replica does among the others.
#[derive(Serialize)]
struct Place {
    part: &'static str,
    /// Who leads, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
}

#[derive(Serialize)]
struct Reason {
    #[serde(rename = "reason")]
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pair: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

/// Makes `/metrics`: what the registry gathers, in the text format of Prometheus.
pub fn metrics(registry: Registry) -> Router {
    // What is read when it is asked for is read for one at a time.
    let alone = Arc::new(Mutex::new(()));
    let gather = async move || {
        let _alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        let text = text.map_err(|error| {
            error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR
        });
        text.map(|text| ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
    };
    Router::new().route("/metrics", get(gather))
}

/// Makes `/livez` and `/readyz` for a replica that has not found anything to follow.
pub fn waiting() -> Router {
    let reasons = || vec![Reason { what: "NOTHING_TO_FOLLOW", pair: None, status: None }];
    let report = move || Report { ready: false, reasons: reasons(), warnings: Vec::new(), place: None };
    // Nobody stays: the next answer comes from the replica that serves by then.
    let readyz = async move || (StatusCode::SERVICE_UNAVAILABLE, [(CONNECTION, "close")], Json(report()));
    let livez = async move || ([(CONNECTION, "close")], livez().await);
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

/// Makes `/livez` and `/readyz`.
pub fn routes(readiness: Readiness) -> Router {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(readiness)
}

async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(readiness): State<Readiness>) -> impl IntoResponse {
    let reasons = readiness.reasons();
    let ready = reasons.is_empty();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let place = Place::of(readiness.standing.as_ref().map(Standing::report).as_ref());
    (code, Json(Report { ready, reasons, warnings: readiness.warnings(), place: Some(place) }))
}

impl Place {
    fn of(report: Option<&StandingReport>) -> Self {
        let part = report.map_or("single", |report| report.part.name());
        Self { part, leader: report.and_then(|report| report.leader.clone()) }
    }
}

impl Readiness {
    /// Lists the pairs that are asked for and that no venue lists, and whether history has to wait.
    fn warnings(&self) -> Vec<Reason> {
        let unlisted = self.sources.all_unlisted().into_iter();
        let unlisted = unlisted.map(|pair| Reason {
            what: "PAIR_NOT_LISTED",
            pair: Some(pair.to_string()),
            status: None,
        });
        let away = self.history.iter().filter(|history| !history.is_available());
        let away = away.map(|_| Reason { what: "HISTORY_UNAVAILABLE", pair: None, status: None });
        unlisted.chain(away).collect()
    }

    /// Lists what stands against being ready.
    fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.stopping.is_cancelled() {
            reasons.push(Reason { what: "STOPPING", pair: None, status: None });
        }
        if self.standing.as_ref().is_some_and(Standing::is_stale) {
            reasons.push(Reason { what: "MIRROR_STALE", pair: None, status: None });
        }
        if self.required.is_empty() {
            if !self.board.list(None, None).any(|update| fresh(update.price.status)) {
                reasons.push(Reason { what: "NO_FRESH_PRICE", pair: None, status: None });
            }
            return reasons;
        }
        for pair in self.required.iter() {
            let status = self.board.get(*pair).map_or(Status::Unavailable, |update| update.price.status);
            if !fresh(status) {
                let (pair, status) = (Some(pair.to_string()), Some(name(status)));
                reasons.push(Reason { what: "REQUIRED_PAIR_NOT_FRESH", pair, status });
            }
        }
        reasons
    }
}

fn fresh(status: Status) -> bool {
    matches!(status, Status::Live | Status::Degraded)
}

fn name(status: Status) -> &'static str {
    super::wire::status(status).as_str_name()
}
