//! A gRPC status as an HTTP answer: the status line, and the body of AIP-193.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Response, StatusCode, header};
use prost::Message as _;
use serde::Serialize;
use serde_json::{json, value::RawValue};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{GatewayBody, error::Fault, json::Tables};
use crate::api::status::http;

/// The body of AIP-193.
#[derive(Serialize)]
struct ErrorBody<'s> {
    error: Error<'s>,
}

#[derive(Serialize)]
struct Error<'s> {
    code: u16,
    message: &'s str,
    status: &'static str,
    details: Vec<Box<RawValue>>,
}

/// Answers with an error of the call.
pub(super) fn answer(status: &Status, tables: &Tables) -> Response<GatewayBody> {
    let (code, _) = http(status.code());
    answer_as(code, status, tables)
}

/// Answers that there will be no call. Where HTTP has a word of its own for the reason, it is used.
pub(super) fn refuse(fault: Fault, tables: &Tables) -> Response<GatewayBody> {
    let (code, allow) = match &fault {
        Fault::MethodNotAllowed { allow, .. } => {
            (Some(StatusCode::METHOD_NOT_ALLOWED), HeaderValue::from_str(allow).ok())
        }
        Fault::TooLarge { .. } => (Some(StatusCode::PAYLOAD_TOO_LARGE), None),
        Fault::HeadTooLarge { .. } => (Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), None),
        _ => (None, None),
    };
    let status = fault.into_status();
    let mut response = answer_as(code.unwrap_or(http(status.code()).0), &status, tables);
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Writes `{"error": …}`, as a body or as the last record of a stream.
pub(super) fn json(code: StatusCode, status: &Status, tables: &Tables) -> Vec<u8> {
    let details =
        tonic_types::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
    let details: Vec<Box<RawValue>> =
        details.iter().filter_map(|detail| detail_json(detail, tables)).collect();
    let error = ErrorBody {
        error: Error {
            code: code.as_u16(),
            message: status.message(),
            status: http(status.code()).1,
            details,
        },
    };
    serde_json::to_vec(&error).unwrap_or_default()
}

fn answer_as(code: StatusCode, status: &Status, tables: &Tables) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::from(json(code, status, tables)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(delay) = status.get_details_retry_info().and_then(|info| info.retry_delay) {
        headers.insert(header::RETRY_AFTER, whole_seconds(delay).into());
    }
    response
}

fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}

/// Writes one detail; one of a type that the descriptors lack is passed on as its bytes.
fn detail_json(detail: &prost_types::Any, tables: &Tables) -> Option<Box<RawValue>> {
    let mut written = Vec::new();
    let known = tables
        .message("google.protobuf.Any")
        .is_some_and(|any| tables.write_json(any, &detail.encode_to_vec(), &mut written).is_ok());
    let text = if known {
        String::from_utf8(written).ok()?
    } else {
        json!({"@type": detail.type_url, "value": BASE64_STANDARD.encode(&detail.value)}).to_string()
    };
    RawValue::from_string(text).ok()
}
