//! What a gRPC service answers, put together by hand; and a gateway in front of a service that does so.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use cryptoprice::api::{
    gateway::{Backend, Gateway, GatewayLimits, template::UnknownVerb},
    layer::{AnswerBody, RequestBody},
};
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderMap, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost_reflect::DescriptorPool;
use tonic::{Code, Status};

/// What the gateways of tests allow.
pub(crate) const LIMITS: GatewayLimits =
    GatewayLimits { max_head: 8 << 10, max_body: 4 << 20, body_timeout: Duration::from_millis(300) };

/// A gateway to a service that answers as told.
pub(crate) struct ToldGateway {
    gateway: Gateway,
    service: Told,
}

#[derive(Clone)]
struct Told(Arc<dyn Fn(Request<Bytes>) -> Response<Body> + Send + Sync>);

impl ToldGateway {
    /// Makes a gateway to a contract whose every call is answered by `service`.
    pub(crate) fn new<F>(pool: &DescriptorPool, service: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Response<Body> + Send + Sync + 'static,
    {
        Self { gateway: Gateway::new(pool, LIMITS).unwrap(), service: Told(Arc::new(service)) }
    }

    pub(crate) fn with_unknown_verb(self, unknown_verb: UnknownVerb) -> Self {
        Self { gateway: self.gateway.with_unknown_verb(unknown_verb), ..self }
    }

    pub(crate) async fn handle(&self, request: Request<Body>) -> Response<Body> {
        self.gateway.handle(request, &self.service).await
    }
}

impl Backend for Told {
    async fn answer(&self, request: Request<RequestBody>) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = (self.0)(Request::from_parts(head, body));
        answer.map(|body| AnswerBody::from(tonic::body::Body::new(body)))
    }

    fn refused(&self, _: Code) {}

    fn wrote(&self) {}
}

/// Frames a message for the wire.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat().into()
}

/// Answers with messages, then with how the call ends.
pub(crate) fn reply(messages: impl IntoIterator<Item = Vec<u8>>, end: &Status) -> Response<Body> {
    let chunks: Vec<Bytes> = messages.into_iter().map(|message| framed(&message)).collect();
    reply_in(stream::iter(chunks), end)
}

/// Answers with chunks of bytes as they come, then with how the call ends.
pub(crate) fn reply_in(chunks: impl Stream<Item = Bytes> + Send + 'static, end: &Status) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    end.add_header(&mut trailers).unwrap();
    let frames =
        chunks.map(Frame::data).chain(stream::iter([Frame::trailers(trailers)])).map(Ok::<_, Infallible>);
    Response::builder()
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(Body::new(StreamBody::new(frames)))
        .unwrap()
}
