//! A gateway in front of a service that answers as told.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use cryptoprice::{
    api::{
        gateway::{Backend, Gateway, GatewayBody, GatewayLimits, template::UnknownVerb},
        layer::direct::{Answered, Messages},
        replies::{Own, Replies, Reply, Source},
    },
    domain::price::Cursor,
    pipeline::message::Encoded,
};
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderMap, Request, Response};
use prost_reflect::DescriptorPool;
use tonic::{Code, Status};

/// What the gateways of tests allow.
pub(crate) const LIMITS: GatewayLimits =
    GatewayLimits { max_head: 8 << 10, max_body: 4 << 20, body_timeout: Duration::from_millis(300) };

/// What a service answers.
pub(crate) type Answer = Result<Answered, Status>;

/// A gateway to a service that answers as told.
pub(crate) struct ToldGateway {
    gateway: Gateway,
    service: Told,
}

type Service = dyn Fn(&str, tonic::Request<Bytes>) -> Answer + Send + Sync;

/// Answers a call of a path with an encoded message.
#[derive(Clone)]
struct Told(Arc<Service>);

impl ToldGateway {
    /// Makes a gateway to a contract whose every call is answered by `service`.
    pub(crate) fn new<F>(pool: &DescriptorPool, service: F) -> Self
    where
        F: Fn(&str, tonic::Request<Bytes>) -> Answer + Send + Sync + 'static,
    {
        Self { gateway: Gateway::new(pool, LIMITS).unwrap(), service: Told(Arc::new(service)) }
    }

    pub(crate) fn with_unknown_verb(self, unknown_verb: UnknownVerb) -> Self {
        Self { gateway: self.gateway.with_unknown_verb(unknown_verb), ..self }
    }

    pub(crate) async fn handle(&self, request: Request<Body>) -> Response<GatewayBody> {
        let (head, body) = request.into_parts();
        let body = http_body_util::BodyExt::map_err(body, std::io::Error::other);
        self.gateway.handle(Request::from_parts(head, body), &self.service).await
    }
}

impl Backend for Told {
    async fn call(&self, path: &str, request: tonic::Request<Bytes>) -> Answer {
        (self.0)(path, request)
    }

    fn refused(&self, _: Code) {}

    fn wrote(&self) {}
}

/// Answers with one message.
#[expect(clippy::unnecessary_wraps, reason = "an answer, as a service gives it")]
pub(crate) fn one(message: Vec<u8>) -> Answer {
    Ok(Answered { headers: HeaderMap::new(), within: None, messages: Messages::One(message.into()) })
}

/// Answers with messages, each at its place if it has one, and then with how the call ends.
pub(crate) fn many(
    messages: impl IntoIterator<Item = (Vec<u8>, Option<Cursor>)>,
    end: Option<Status>,
) -> Answer {
    let messages: Vec<_> = messages.into_iter().map(Ok).chain(end.map(Err)).collect();
    many_in(stream::iter(messages))
}

/// Answers with messages as they come.
#[expect(clippy::unnecessary_wraps, reason = "an answer, as a service gives it")]
pub(crate) fn many_in(
    messages: impl Stream<Item = Result<(Vec<u8>, Option<Cursor>), Status>> + Send + 'static,
) -> Answer {
    let replies: Source = Box::pin(messages.map(|message| {
        message.map(|(message, cursor)| match cursor {
            None => Own::reply(&message),
            Some(cursor) => Arc::new(At(Encoded::new(framed(&message)), cursor)) as Arc<dyn Reply>,
        })
    }));
    let messages = Messages::Many(Replies::from(replies));
    Ok(Answered { headers: HeaderMap::new(), within: None, messages })
}

/// A reply at a place.
#[derive(Debug)]
struct At(Encoded, Cursor);

impl Reply for At {
    fn encoded(&self) -> &Encoded {
        &self.0
    }

    fn cursor(&self) -> Option<Cursor> {
        Some(self.1)
    }
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat().into()
}
