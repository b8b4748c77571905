//! What the gateway calls: the services of the contract, within this process.

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use tonic::{Code, Request, Status, metadata::MetadataMap};

use crate::api::{
    layer::{Calls, direct::Answered},
    replies::AsText,
};

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

/// The services behind a gateway.
pub trait Backend: Sync {
    /// Calls a method by its path, such as `/package.Service/Method`, with an encoded message.
    fn call(
        &self,
        path: &str,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Answered, Status>> + Send;

    /// Takes note of a request that did not become a call, or whose answer did not become JSON.
    fn refused(&self, code: Code);

    /// Takes note of a price that was written as text, for all the answers that it will be a part of.
    fn wrote(&self);
}

impl Backend for Calls {
    async fn call(&self, path: &str, request: Request<Bytes>) -> Result<Answered, Status> {
        self.direct(path, request).await
    }

    fn refused(&self, code: Code) {
        self.measures().begin("", self.door()).end(code);
    }

    fn wrote(&self) {
        self.measures().text();
    }
}

/// Makes the request of a call, with what of the headers means something to it.
pub(super) fn request(parts: &Parts, message: Vec<u8>) -> Request<Bytes> {
    let mut headers = HeaderMap::new();
    for (name, value) in parts.headers.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str())) {
        headers.append(name, value.clone());
    }
    let mut extensions = parts.extensions.clone();
    extensions.insert(AsText);
    Request::from_parts(MetadataMap::from_headers(headers), extensions, message.into())
}

/// Takes from the metadata of an answer what tells of gRPC, so that the rest can go out over HTTP.
pub(super) fn own(mut headers: HeaderMap) -> HeaderMap {
    let foreign = |name: &str| name.starts_with("grpc-") || name.ends_with("-bin");
    let names: Vec<_> = headers.keys().filter(|name| foreign(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    headers
}
