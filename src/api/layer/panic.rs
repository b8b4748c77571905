//! A panic ends one call, not the service: what its caller is told.

use std::any::Any;

use tonic::{Code, Status};
use tracing::error;

use crate::api::{pb::v1::ErrorReason, status};

/// Logs a panic, and makes of it what the caller may know.
#[expect(clippy::needless_pass_by_value, reason = "the layer gives it away")]
pub fn status(fault: Box<dyn Any + Send>) -> Status {
    let text = fault.downcast_ref::<&str>().copied();
    let text = text.or_else(|| fault.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words");
    error!(panic = text, "a call has panicked");
    let none: [(&str, &str); 0] = [];
    status::status(Code::Internal, ErrorReason::Internal, "a fault of the service; its log knows more", none)
}
