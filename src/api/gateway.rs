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
mod text;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use prost_reflect::DescriptorPool;
use tokio::time::timeout;
use tonic::Status;

pub use self::call::Backend;
pub use self::error::GatewayError;
use self::{
    call::Replies,
    error::Fault,
    json::Tables,
    routes::{Binding, BodyRule, Routes},
    stream::Format,
    template::UnknownVerb,
};
use super::layer::{deadline, limits::head_size};

/// What the gateway allows a request.
#[derive(Debug, Clone, Copy)]
pub struct GatewayLimits {
    /// Bytes of the path and headers at most.
    pub max_head: usize,
    /// Bytes of a body at most.
    pub max_body: usize,
    /// How long a body may take to come.
    pub body_timeout: Duration,
}

/// The door for all that is not gRPC: answers REST by calling gRPC.
#[derive(Debug, Clone)]
pub struct Gateway {
    tables: Arc<Tables>,
    routes: Arc<Routes>,
    limits: GatewayLimits,
}

impl Gateway {
    /// Makes a gateway to the calls of a descriptor pool.
    pub fn new(pool: &DescriptorPool, limits: GatewayLimits) -> Result<Self, GatewayError> {
        let tables = Tables::new(pool);
        let routes = Routes::new(pool, &tables)?;
        Ok(Self { tables: Arc::new(tables), routes: Arc::new(routes), limits })
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

    /// Answers that a request cannot be understood, and why.
    pub fn refuse_malformed(&self, problem: &str) -> Response<Body> {
        status::refuse(Fault::malformed(problem.to_owned()), &self.tables)
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

    /// Answers a request, by a call of the backend.
    pub async fn handle<B>(&self, request: Request<B>, backend: &impl Backend) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
    {
        let head = request.method() == Method::HEAD;
        let (parts, body) = request.into_parts();
        let mut response = match self.rest(&parts, body, backend).await {
            Ok(response) => response,
            Err(Refused::Fault(fault)) => {
                backend.refused(fault.code());
                status::refuse(fault, &self.tables)
            }
            Err(Refused::Status(status)) => status::answer(&status, &self.tables),
        };
        if head {
            let length = response.body().size_hint().exact();
            *response.body_mut() = Body::empty();
            if let Some(length) = length {
                response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            }
        }
        response
    }

    async fn rest<B>(&self, parts: &Parts, body: B, backend: &impl Backend) -> Result<Response<Body>, Refused>
    where
        B: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
    {
        let limit = self.limits.max_head;
        if head_size(&parts.uri, &parts.headers) > limit {
            return Err(Fault::HeadTooLarge { limit }.into());
        }
        let path = parts.uri.path();
        let binding = self.routes.find(&parts.method, path)?;
        let body =
            if body.is_end_stream() { Bytes::new() } else { self.read_body(&parts.headers, body).await? };
        if !body.is_empty() && !matches!(binding.body, BodyRule::None) && !is_json(&parts.headers) {
            return Err(Fault::malformed("the body's content type is not application/json".to_owned()).into());
        }
        let message = bind::message(binding, &self.tables, path, parts.uri.query(), &body)?;
        let mut replies = call::call(backend, binding.call_path.clone(), parts, &message).await?;
        let own = std::mem::take(&mut replies.headers);
        let (content_type, body) = if binding.call.is_server_streaming() {
            let format = Format::accepted(&parts.headers);
            (format.content_type(), stream::body(replies, self, binding, format).await?)
        } else {
            ("application/json", self.only(binding, replies, backend).await?)
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        *headers = own;
        // A price that a cache kept is old without saying so.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(response)
    }

    async fn read_body<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Refused>
    where
        B: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
    {
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|value| *value != "identity") {
            let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
            return Err(Fault::EncodingUnsupported { encoding }.into());
        }
        let limit = self.limits.max_body;
        let read = Limited::new(body, limit).collect();
        match timeout(self.limits.body_timeout, std::pin::pin!(read)).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Fault::TooLarge { limit }.into()),
            Ok(Err(_)) => Err(Fault::malformed("the body breaks off".to_owned()).into()),
            Err(_) => Err(deadline::exceeded(self.limits.body_timeout).into()),
        }
    }

    /// Writes the one reply of a call that does not stream.
    async fn only(
        &self,
        binding: &Binding,
        mut replies: Replies,
        backend: &impl Backend,
    ) -> Result<Body, Refused> {
        let unexpected =
            |problem: &str| Fault::internal(format!("{}: {problem}", binding.call_path)).into_status();
        let message = replies.next().await?.ok_or_else(|| unexpected("a call without a reply"))?;
        if replies.next().await?.is_some() {
            return Err(unexpected("a call with more than one reply").into());
        }
        let mut json = Vec::new();
        match &replies.within {
            None => binding.output.write(&self.tables, &message, &mut json)?,
            Some(within) => {
                let known = text::of(within.updates(), &self.tables, || backend.wrote());
                binding.output.write_with(&self.tables, &message, &mut json, known)?;
            }
        }
        Ok(Body::from(json))
    }
}

/// Why a request has no answer but an error.
enum Refused {
    /// The gateway refuses it.
    Fault(Fault),
    /// The call has failed.
    Status(Status),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
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
