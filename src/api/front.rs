//! The front of the house: tells by a request's headers which door it means.
//!
//! gRPC goes straight to the calls. gRPC-Web goes there through its translation, REST through the gateway, and what is
//! no call at all (the documentation, health for machines) to a router of its own. Only what comes from a browser,
//! with an origin, passes through CORS.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body as PlainBody};
use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Code;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::cors::CorsLayer;

use super::{
    gateway::{Backend as _, Gateway, GatewayBody},
    layer::{AnswerBody, Call, Calls, RequestBody, panic},
    measure::Door,
    server::{Serve, connection::Connection},
};

/// All public doors, as one service. Clones lead to the same doors.
#[derive(Debug, Clone)]
pub struct Front {
    doors: Arc<Doors>,
    calls: Calls,
}

#[derive(Debug)]
struct Doors {
    gateway: Gateway,
    plain: Plain,
    cors: CorsLayer,
}

/// What is no call.
#[derive(Debug, Clone)]
pub struct Plain {
    /// The paths.
    pub paths: &'static [&'static str],
    /// What answers them.
    pub router: Router,
}

/// An answer of any door.
#[derive(Debug)]
pub enum FrontBody {
    /// Of a call.
    Answer(AnswerBody),
    /// Of a call, translated for gRPC-Web.
    Web(tonic::body::Body),
    /// Of a call, as JSON.
    Rest(GatewayBody),
    /// Of anything else.
    Plain(PlainBody),
}

/// The way to an answer.
#[must_use = "there is no answer unless polled"]
pub struct Answer(Way);

enum Way {
    /// Straight: a gRPC call.
    Call(Call),
    /// Through the translation of gRPC-Web.
    Web(tonic_web::ResponseFuture<Call>),
    /// Around some corners.
    Other(BoxFuture<'static, Response<FrontBody>>),
}

/// What a request's content type says of its door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grpc,
    GrpcWeb,
    Other,
}

/// The doors behind CORS.
#[derive(Debug, Clone)]
struct Behind(Front);

impl Front {
    /// Leads to the calls, as REST by the gateway, and to what is no call.
    pub fn new(calls: Calls, gateway: Gateway, plain: Plain, cors: CorsLayer) -> Self {
        Self { doors: Arc::new(Doors { gateway, plain, cors }), calls }
    }

    /// Serves the requests of a connection.
    #[must_use]
    pub fn on(&self, connection: Connection) -> Self {
        Self { doors: Arc::clone(&self.doors), calls: self.calls.on(connection) }
    }

    /// Gets the calls behind all doors.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Answers a request.
    pub fn answer(&self, request: Request<Incoming>) -> Answer {
        if request.headers().contains_key(header::ORIGIN) {
            let answer = self.doors.cors.layer(Behind(self.clone())).oneshot(request);
            return Answer(Way::Other(Box::pin(answer.map(|Ok(answer)| answer))));
        }
        self.through(request)
    }

    /// Lets a request in by its door.
    fn through(&self, request: Request<Incoming>) -> Answer {
        let other: BoxFuture<'static, _> = match kind(request.headers()) {
            Kind::Grpc if request.version() == Version::HTTP_2 => {
                return Answer(Way::Call(self.calls.answer(request.map(RequestBody::Incoming))));
            }
            Kind::Grpc => {
                let refused = self.refuse_grpc();
                Box::pin(async { refused })
            }
            Kind::GrpcWeb => {
                let mut calls = GrpcWebLayer::new().layer(self.calls.through(Door::GrpcWeb));
                return Answer(Way::Web(calls.call(request)));
            }
            Kind::Other if self.doors.plain.paths.contains(&request.uri().path()) => {
                let answer = self.doors.plain.router.clone().oneshot(request.map(PlainBody::new));
                Box::pin(answer.map(|Ok(answer)| answer.map(FrontBody::Plain)))
            }
            Kind::Other => Box::pin(Arc::clone(&self.doors).rest(self.calls.through(Door::Rest), request)),
        };
        Answer(Way::Other(other))
    }

    fn refuse_grpc(&self) -> Response<FrontBody> {
        self.calls.refused(Code::InvalidArgument);
        let refused = "gRPC needs HTTP/2; over HTTP/1.1 there are gRPC-Web and REST";
        self.doors.gateway.refuse_malformed(refused).map(FrontBody::Rest)
    }
}

impl Doors {
    async fn rest(self: Arc<Self>, calls: Calls, request: Request<Incoming>) -> Response<FrontBody> {
        let answer = AssertUnwindSafe(self.gateway.handle(request, &calls)).catch_unwind().await;
        answer
            .unwrap_or_else(|fault| {
                calls.refused(Code::Internal);
                self.gateway.refuse(&panic::status(fault))
            })
            .map(FrontBody::Rest)
    }
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<FrontBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.answer(request)
    }
}

impl Serve for Front {
    type Service = Self;
    type Body = FrontBody;

    fn begin(&self, connection: &Connection) -> Self {
        self.calls.measures().connected();
        self.on(connection.clone())
    }

    fn end(&self) {
        self.calls.measures().disconnected();
    }
}

impl Service<Request<Incoming>> for Behind {
    type Response = Response<FrontBody>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        self.0.through(request)
    }
}

impl Future for Answer {
    type Output = Result<Response<FrontBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Way::Call(call) => call.poll_unpin(context).map_ok(|answer| answer.map(FrontBody::Answer)),
            Way::Web(call) => call.poll_unpin(context).map_ok(|answer| answer.map(FrontBody::Web)),
            Way::Other(other) => other.poll_unpin(context).map(Ok),
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Default for FrontBody {
    fn default() -> Self {
        Self::Plain(PlainBody::empty())
    }
}

impl Body for FrontBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Answer(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Web(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Rest(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Plain(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Answer(body) => body.is_end_stream(),
            Self::Web(body) => body.is_end_stream(),
            Self::Rest(body) => body.is_end_stream(),
            Self::Plain(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Answer(body) => body.size_hint(),
            Self::Web(body) => body.size_hint(),
            Self::Rest(body) => body.size_hint(),
            Self::Plain(body) => body.size_hint(),
        }
    }
}

fn kind(headers: &HeaderMap) -> Kind {
    const GRPC: &[u8] = b"application/grpc";
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
    match content_type.split_at_checked(GRPC.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(GRPC) => match rest {
            [b'-', ..] => Kind::GrpcWeb,
            _ => Kind::Grpc,
        },
        _ => Kind::Other,
    }
}
