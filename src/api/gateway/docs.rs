//! The documentation page and the document that it shows. Works without any other site.

use axum::{Router, response::IntoResponse, routing::get};
use bytes::Bytes;
use http::{HeaderName, header};
use serde_json::Value;

const PAGE: &str = include_str!("docs.html");

/// All that the page may do: its own style and script, and asking this service.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves an OpenAPI document at `/v1/openapi.json` and a page that shows it at `/docs`.
pub fn routes(document: &Value) -> Router {
    let document = Bytes::from(document.to_string());
    Router::new()
        .route("/v1/openapi.json", get(async move || answer("application/json", document)))
        .route("/docs", get(async || answer("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes()))))
}

fn answer(content_type: &'static str, body: Bytes) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body)
}
