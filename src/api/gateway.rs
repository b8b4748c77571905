//! REST over the contract: a gateway that the descriptors drive, with no code for any one call.
//!
//! A request is matched against the `google.api.http` bindings ([`template`], `routes`); path, query and body become
//! the call's message (`bind`, `parameter`, [`json`]); our own gRPC routes are called in process (`call`), so that
//! REST passes the very same layers as gRPC; and the reply is written as JSON, NDJSON or server-sent events
//! (`output`, `stream`, `status`). [`openapi`] describes all of it, and [`docs`] shows the description.

pub mod docs;
pub mod json;
pub mod openapi;
pub mod template;

mod bind;
mod call;
mod cursor;
mod error;
mod output;
mod parameter;
mod percent;
mod routes;
mod rule;
mod status;
mod stream;

use std::{convert::Infallible, sync::Arc, task};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use prost_reflect::DescriptorPool;
use tonic::Status;
use tower::{Service, ServiceExt as _};

pub use self::error::GatewayError;
use self::{
    call::Replies,
    error::Fault,
    json::Tables,
    routes::{Binding, BodyRule, Routes},
    stream::Format,
    template::UnknownVerb,
};

/// The largest body of a request, in bytes; tonic's limit for a message is the same.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The front door: answers REST itself and hands gRPC through.
#[derive(Debug, Clone)]
pub struct Gateway {
    tables: Arc<Tables>,
    routes: Arc<Routes>,
    grpc: Router,
}

impl Gateway {
    /// Makes a gateway to the calls of a descriptor pool, which the gRPC routes serve.
    pub fn new(pool: &DescriptorPool, grpc: Router) -> Result<Self, GatewayError> {
        let tables = Tables::new(pool);
        let routes = Routes::new(pool, &tables)?;
        Ok(Self { tables: Arc::new(tables), routes: Arc::new(routes), grpc })
    }

    /// Sets what a colon in the last segment of a path means if no binding knows what follows as its verb.
    #[must_use]
    pub fn with_unknown_verb(mut self, unknown_verb: UnknownVerb) -> Self {
        Arc::make_mut(&mut self.routes).set_unknown_verb(unknown_verb);
        self
    }

    /// Answers with an error that no call has given.
    pub fn refuse(&self, error: &Status) -> Response<Body> {
        status::answer(error, &self.tables)
    }

    /// Answers that a path of another router does not take this method.
    pub fn refuse_method(&self, method: &Method, allow: &str) -> Response<Body> {
        let fault = Fault::MethodNotAllowed { method: method.to_string(), allow: allow.to_owned() };
        status::refuse(fault, &self.tables)
    }

    /// Lists the calls that are served, each with its route.
    pub fn calls(&self) -> impl Iterator<Item = String> {
        self.routes
            .bindings()
            .iter()
            .map(|binding| format!("{} {} -> {}", binding.method, binding.template, binding.call_path))
    }

    /// Answers a request.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        if is_grpc(request.headers()) {
            return match self.grpc.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
        }
        let head = request.method() == Method::HEAD;
        let mut response = self.rest(request).await;
        if head {
            let length = response.body().size_hint().exact();
            *response.body_mut() = Body::empty();
            if let Some(length) = length {
                response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            }
        }
        response
    }

    async fn rest(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let (binding, message) = match self.read(&parts, body).await {
            Ok(read) => read,
            Err(fault) => return status::refuse(fault, &self.tables),
        };
        match self.call(binding, parts, &message).await {
            Ok(response) => response,
            Err(error) => status::answer(&error, &self.tables),
        }
    }

    /// Finds the call that is meant, and makes its message.
    async fn read(&self, parts: &Parts, body: Body) -> Result<(&Binding, Vec<u8>), Fault> {
        let path = parts.uri.path();
        let binding = self.routes.find(&parts.method, path)?;
        let body = read_body(&parts.headers, body).await?;
        if !body.is_empty() && !matches!(binding.body, BodyRule::None) && !is_json(&parts.headers) {
            return Err(Fault::malformed("the body's content type is not application/json".to_owned()));
        }
        let message = bind::message(binding, &self.tables, path, parts.uri.query(), &body)?;
        Ok((binding, message))
    }

    async fn call(&self, binding: &Binding, parts: Parts, message: &[u8]) -> Result<Response<Body>, Status> {
        let path = binding.call_path.clone();
        let mut replies =
            call::call(self.grpc.clone(), path, &parts.headers, parts.extensions, message).await?;
        let own = std::mem::take(&mut replies.headers);
        let (content_type, body) = if binding.call.is_server_streaming() {
            let format = Format::accepted(&parts.headers);
            let body =
                stream::body(replies, Arc::clone(&self.tables), binding.output.clone(), format).await?;
            (format.content_type(), body)
        } else {
            ("application/json", self.only(binding, replies).await?)
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        // A price that a cache kept is old without saying so.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(own);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(response)
    }

    /// Writes the one reply of a call that does not stream.
    async fn only(&self, binding: &Binding, mut replies: Replies) -> Result<Body, Status> {
        let unexpected =
            |problem: &str| Fault::internal(format!("{}: {problem}", binding.call_path)).into_status();
        let message = replies.next().await?.ok_or_else(|| unexpected("a call without a reply"))?;
        if replies.next().await?.is_some() {
            return Err(unexpected("a call with more than one reply"));
        }
        let mut json = Vec::new();
        binding.output.write(&self.tables, &message, &mut json).map_err(Fault::into_status)?;
        Ok(Body::from(json))
    }
}

impl Service<Request<Body>> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gateway = self.clone();
        Box::pin(async move { Ok(gateway.handle(request).await) })
    }
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Fault> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        return Err(Fault::EncodingUnsupported {
            encoding: String::from_utf8_lossy(encoding.as_bytes()).into_owned(),
        });
    }
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLarge { limit: BODY_LIMIT }),
        Err(_) => Err(Fault::malformed("the body breaks off".to_owned())),
    }
}

/// Tells gRPC and gRPC-Web from all else.
fn is_grpc(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media_type| media_type.starts_with("application/grpc"))
}

/// Tells whether the body is JSON; one of no stated type is taken for it.
fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers)
        .is_none_or(|media_type| media_type == "application/json" || media_type.ends_with("+json"))
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}
