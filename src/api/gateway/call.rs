//! A call of our own gRPC services, in process: no socket, but the very same layers.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header, request::Parts,
    uri::PathAndQuery,
};
use http_body_util::BodyExt as _;
use tonic::{Code, Status};

use super::error::Fault;
use crate::api::{
    layer::{AnswerBody, RequestBody},
    replies::{self, AsText, PREFIX, Within},
};

/// What the gateway calls: gRPC services, within this process.
pub trait Backend {
    /// Answers a call.
    fn answer(&self, request: Request<RequestBody>) -> impl Future<Output = Response<AnswerBody>> + Send;

    /// Takes note of a request that did not become a call, or whose answer did not become JSON.
    fn refused(&self, code: Code);

    /// Takes note of a price that was written as text, for all the answers that it will be a part of.
    fn wrote(&self);
}

/// What of a request's headers the call gets as metadata.
///
/// Not all of them: those that frame the HTTP message, or name encodings, mean something else to gRPC.
const PASSED_ON: &[&str] = &[
    "accept-language",
    "authorization",
    "forwarded",
    "grpc-timeout",
    "last-event-id",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-api-key",
    "x-forwarded-for",
    "x-request-id",
];

/// The messages that a call answers.
#[derive(Debug)]
pub(super) struct Replies {
    /// The metadata that came before them, without what belongs to gRPC.
    pub(super) headers: HeaderMap,
    /// What of the answer may have its text already.
    pub(super) within: Option<Within>,
    body: AnswerBody,
    /// What has come and was not taken yet.
    received: Bytes,
    /// How the call ended, if that is known.
    end: Option<Status>,
}

/// Calls a method with one message. What goes wrong shows when the first reply is asked for.
pub(super) async fn call(
    backend: &impl Backend,
    path: PathAndQuery,
    parts: &Parts,
    message: &[u8],
) -> Result<Replies, Status> {
    let mut request = Request::new(RequestBody::Whole(Some(framed(message)?)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(path);
    // Layers know gRPC by it.
    *request.version_mut() = Version::HTTP_2;
    *request.extensions_mut() = parts.extensions.clone();
    request.extensions_mut().insert(AsText);
    for (name, value) in parts.headers.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str())) {
        request.headers_mut().append(name, value.clone());
    }
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));

    let (mut head, body) = backend.answer(request).await.into_parts();
    let end = Status::from_header_map(&head.headers);
    keep_own(&mut head.headers);
    let within = head.extensions.remove();
    Ok(Replies { headers: head.headers, within, body, received: Bytes::new(), end })
}

impl Replies {
    /// Gets the replies as they are shared with other callers, if they are.
    pub(super) fn into_shared(self) -> Result<replies::Replies, Self> {
        match self.body {
            AnswerBody::Shared(framed) => Ok(framed.replies),
            body => Err(Self { body, ..self }),
        }
    }

    /// Waits for the next message. `None` is the end of a call that went well.
    ///
    /// Cancel safe: what has come is kept.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.ready()? {
                return Ok(Some(message));
            }
            if let Some(status) = self.end.take() {
                return if status.code() == Code::Ok { Ok(None) } else { Err(status) };
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.receive(data),
                    Err(frame) => self.end = frame.trailers_ref().and_then(end),
                },
                Some(Err(error)) => return Err(internal(format!("a reply broke off: {error}"))),
                None => return Err(internal("a call ended without a status".to_owned())),
            }
        }
    }

    /// Takes the next message if all of it has come.
    pub(super) fn ready(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((&[compressed, a, b, c, d], _)) = self.received.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        if compressed != 0 {
            return Err(internal("a reply is compressed, though that was not asked for".to_owned()));
        }
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d]))
            .map_err(|_| internal("a reply is larger than the memory".to_owned()))?;
        if self.received.len() - PREFIX < length {
            return Ok(None);
        }
        self.received.advance(PREFIX);
        Ok(Some(self.received.split_to(length)))
    }

    fn receive(&mut self, data: Bytes) {
        if self.received.is_empty() {
            self.received = data;
        } else {
            self.received = [&*self.received, &*data].concat().into();
        }
    }
}

/// Reads how a call ended; most end well.
fn end(trailers: &HeaderMap) -> Option<Status> {
    let well = trailers.get(Status::GRPC_STATUS).is_some_and(|code| code == "0");
    if well { Some(Status::ok("")) } else { Status::from_header_map(trailers) }
}

fn framed(message: &[u8]) -> Result<Bytes, Status> {
    let length = u32::try_from(message.len()).map_err(|_| internal("a request of 4 GiB".to_owned()))?;
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    Ok(frame.freeze())
}

/// Takes away what tells of the gRPC message, so that the rest can go out over HTTP.
fn keep_own(headers: &mut HeaderMap) {
    let foreign = |name: &HeaderName| {
        let text = name.as_str();
        text.starts_with("grpc-")
            || text.ends_with("-bin")
            || [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::TRAILER, header::TRANSFER_ENCODING]
                .contains(name)
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| foreign(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn internal(problem: String) -> Status {
    Fault::internal(problem).into_status()
}
