//! What a gRPC service answers, put together by hand.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderMap, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::Status;

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
