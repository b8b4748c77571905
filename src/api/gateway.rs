//! REST over the contract: a gateway that the descriptors drive, with no code for any one call.
//!
//! A request is matched against the `google.api.http` bindings ([`template`], `routes`); path, query and body become
//! the call's message (`bind`, `parameter`, [`json`]); the call is made within this process (`backend`), through the very
//! same layers as any other; and the reply is written as JSON, NDJSON or server-sent events
//! (`output`, `stream`, `status`). [`openapi`] describes all of it, and [`docs`] shows the description.

pub mod docs;
pub mod json;
pub mod openapi;
pub mod template;

mod backend;
mod bind;
mod body;
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

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use prost_reflect::DescriptorPool;
use tokio::time::timeout;
use tonic::Status;

pub use self::{backend::Backend, body::GatewayBody, error::GatewayError};
use self::{
    error::Fault,
    json::Tables,
    routes::{Binding, BodyRule, Routes},
    stream::Format,
    template::UnknownVerb,
};
use super::{
    layer::{
        deadline,
        direct::{Answered, Messages},
    },
    limits::head_size,
    replies::Within,
};

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
    pub fn refuse(&self, error: &Status) -> Response<GatewayBody> {
        status::answer(error, &self.tables)
    }

    /// Answers that a request cannot be understood, and why.
    pub fn refuse_malformed(&self, problem: &str) -> Response<GatewayBody> {
        status::refuse(Fault::malformed(problem.to_owned()), &self.tables)
    }

    /// Answers that a path of another router does not take this method.
    pub fn refuse_method(&self, method: &Method, allow: &str) -> Response<GatewayBody> {
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
    pub async fn handle<B>(&self, request: Request<B>, backend: &impl Backend) -> Response<GatewayBody>
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
            *response.body_mut() = GatewayBody::default();
            if let Some(length) = length {
                response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            }
        }
        response
    }

    async fn rest<B>(
        &self,
        parts: &Parts,
        body: B,
        backend: &impl Backend,
    ) -> Result<Response<GatewayBody>, Refused>
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
        let request = backend::request(parts, message);
        let Answered { headers, within, messages } = backend.call(&binding.call_path, request).await?;
        let (content_type, body) = match messages {
            Messages::One(message) => {
                let json = self.write(binding, &message, within.as_ref(), backend)?;
                ("application/json", GatewayBody::from(json))
            }
            Messages::Many(replies) => {
                let format = Format::accepted(&parts.headers);
                let (tables, output) = (Arc::clone(&self.tables), binding.output.clone());
                (format.content_type(), stream::body(replies, tables, output, format).await?)
            }
        };
        let mut response = Response::new(body);
        let own = response.headers_mut();
        if !headers.is_empty() {
            *own = backend::own(headers);
        }
        // A price that a cache kept is old without saying so.
        own.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        own.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(response)
    }

    /// Writes the one message of an answer.
    fn write(
        &self,
        binding: &Binding,
        message: &[u8],
        within: Option<&Within>,
        backend: &impl Backend,
    ) -> Result<Vec<u8>, Fault> {
        let mut json = Vec::new();
        match within {
            None => binding.output.write(&self.tables, message, &mut json)?,
            Some(within) => {
                let known = text::of(within.updates(), &self.tables, || backend.wrote());
                binding.output.write_with(&self.tables, message, &mut json, known)?;
            }
        }
        Ok(json)
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
