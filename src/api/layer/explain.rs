//! Gives a reason to errors that come from the gRPC library itself: broken frames, unknown calls, messages too large.
//!
//! Our own errors carry their details already. What the library refuses before a call is reached does not, and some of
//! it is reported as INTERNAL although the caller is at fault.

use http::Response;
use tonic::{Code, Status, body::Body};

use crate::api::{limits::Limits, pb::v1::ErrorReason, status::status};

/// Gives a reason to a refusal that has none; passes on everything else. `unknown` is the path of a call that its
/// service does not have.
pub fn explained(answer: Response<Body>, unknown: Option<&str>, limits: &Limits) -> Response<Body> {
    if !answer.headers().contains_key(Status::GRPC_STATUS) {
        return answer;
    }
    let bare = Status::from_header_map(answer.headers())
        .filter(|status| status.code() != Code::Ok && status.details().is_empty());
    match bare {
        Some(bare) => again(&bare, unknown.unwrap_or_default(), limits, answer),
        None => answer,
    }
}

/// Says that no service has a call.
pub fn unknown_call(path: &str) -> Status {
    let message = format!("no service has the call {path}");
    status(Code::Unimplemented, ErrorReason::CallUnknown, message, [("path", path)])
}

/// Makes the same refusal again, with a reason. Other headers, such as the encodings understood, are kept.
fn again(bare: &Status, path: &str, limits: &Limits, answer: Response<Body>) -> Response<Body> {
    let message = bare.message();
    let none: [(&str, &str); 0] = [];
    let status = match bare.code() {
        Code::Unimplemented if answer.headers().contains_key("grpc-accept-encoding") => {
            status(Code::Unimplemented, ErrorReason::EncodingUnsupported, message, none)
        }
        Code::Unimplemented => unknown_call(path),
        // Only the health service leaves it at that.
        Code::NotFound => status(Code::NotFound, ErrorReason::ServiceUnknown, message, none),
        Code::OutOfRange | Code::ResourceExhausted => {
            let limit = [("limit", limits.max_message.to_string())];
            status(Code::ResourceExhausted, ErrorReason::MessageTooLarge, message, limit)
        }
        // The library calls a message that cannot be decoded internal; our own handlers never do so without details.
        Code::Internal | Code::InvalidArgument | Code::Unknown => {
            status(Code::InvalidArgument, ErrorReason::RequestMalformed, message, none)
        }
        _ => bare.clone(),
    };
    let (mut parts, _) = answer.into_parts();
    for name in [Status::GRPC_STATUS, Status::GRPC_MESSAGE, Status::GRPC_STATUS_DETAILS] {
        parts.headers.remove(name);
    }
    match status.add_header(&mut parts.headers) {
        Ok(()) => Response::from_parts(parts, Body::empty()),
        Err(failed) => failed.into_http(),
    }
}
