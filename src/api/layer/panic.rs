//! A panic ends one call, not the service: what its caller is told.

use std::any::Any;

use axum::response::Response;

use tonic::{Code, Status};
use tracing::error;

use crate::api::{gateway, pb::v1::ErrorReason, status::status};

/// Answers a gRPC call.
pub fn grpc(fault: Box<dyn Any + Send>) -> Response {
    failed(&fault).into_http()
}

/// Answers a REST call.
pub fn rest(fault: Box<dyn Any + Send>) -> Response {
    gateway::error_response(&failed(&fault))
}

fn failed(fault: &(dyn Any + Send)) -> Status {
    let text = fault.downcast_ref::<&str>().copied();
    let text = text.or_else(|| fault.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words");
    error!(panic = text, "a call has panicked");
    let none: [(&str, &str); 0] = [];
    status(Code::Internal, ErrorReason::Internal, "a fault of the service; its log knows more", none)
}
