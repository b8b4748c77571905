//! Gives a reason to errors that come from the gRPC library itself: broken frames, unknown calls, messages too large.
//!
//! Our own errors carry their details already. What the library refuses before a call is reached does not, and some of
//! it is reported as INTERNAL although the caller is at fault.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body, extract::Request, response::Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::api::{pb::v1::ErrorReason, status::status};

/// Wraps the gRPC routes.
#[derive(Debug, Clone, Copy)]
pub struct ExplainLayer;

/// The wrapped routes.
#[derive(Debug, Clone)]
pub struct Explain<S>(S);

impl<S> Layer<S> for ExplainLayer {
    type Service = Explain<S>;

    fn layer(&self, inner: S) -> Explain<S> {
        Explain(inner)
    }
}

impl<S> Service<Request> for Explain<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let path = request.uri().path().to_owned();
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let bare = Status::from_header_map(answer.headers())
                .filter(|status| status.code() != Code::Ok && status.details().is_empty());
            Ok(match bare {
                Some(bare) => explained(&bare, &path, answer),
                None => answer,
            })
        })
    }
}

/// Makes the same refusal again, with a reason. Other headers, such as the encodings understood, are kept.
fn explained(bare: &Status, path: &str, answer: Response) -> Response {
    let message = bare.message();
    let path = [("path", path)];
    let none: [(&str, &str); 0] = [];
    let status = match bare.code() {
        Code::Unimplemented if answer.headers().contains_key("grpc-accept-encoding") => {
            status(Code::Unimplemented, ErrorReason::EncodingUnsupported, message, none)
        }
        Code::Unimplemented => {
            let message = format!("no service has the call {}", path[0].1);
            status(Code::Unimplemented, ErrorReason::CallUnknown, message, path)
        }
        // Only the health service leaves it at that.
        Code::NotFound => status(Code::NotFound, ErrorReason::ServiceUnknown, message, none),
        Code::OutOfRange | Code::ResourceExhausted => {
            status(Code::ResourceExhausted, ErrorReason::MessageTooLarge, message, none)
        }
        // The library calls a message that cannot be decoded internal; our own handlers never do so without details.
        Code::Internal | Code::InvalidArgument | Code::Unknown => {
            status(Code::InvalidArgument, ErrorReason::RequestMalformed, message, none)
        }
        _ => bare.clone(),
    };
    let (mut parts, _) = answer.into_parts();
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        parts.headers.remove(name);
    }
    match status.add_header(&mut parts.headers) {
        Ok(()) => Response::from_parts(parts, Body::empty()),
        Err(failed) => failed.into_http(),
    }
}
