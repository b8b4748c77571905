//! What a call may cost at most. Each limit that is passed is an error with a reason of its own.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tonic::{Code, Status};

use crate::api::{pb::v1::ErrorReason, status::status};

/// The limits of calls.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a call that does not stream may take, whatever deadline its caller sets.
    pub call_timeout: Duration,
    /// Bytes of a request's path and headers together.
    pub max_head: usize,
    /// Bytes of a request's message, and of a body over REST.
    pub max_message: usize,
    /// Streams of prices or candles that one connection may have open.
    pub max_streams: usize,
}

/// Bytes that each header counts beyond its name and value: as HTTP/2 counts, RFC 9113, section 6.5.2.
const HEADER_OVERHEAD: usize = 32;

impl Limits {
    /// Refuses a path and headers that are too large.
    pub fn check_head(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Status> {
        if head_size(uri, headers) <= self.max_head {
            return Ok(());
        }
        let message = format!("the path and headers of the request are larger than {} bytes", self.max_head);
        let limit = [("limit", self.max_head.to_string())];
        Err(status(Code::ResourceExhausted, ErrorReason::HeadTooLarge, message, limit))
    }

    /// Says that a connection has as many streams as it may have.
    pub fn too_many_streams(&self) -> Status {
        let message = format!(
            "this connection has {} streams open, as many as are allowed: open another connection, or ask for \
             several pairs in one stream",
            self.max_streams
        );
        let limit = [("limit", self.max_streams.to_string())];
        status(Code::ResourceExhausted, ErrorReason::TooManyStreams, message, limit)
    }
}

/// Counts the bytes of a request's path and headers.
pub fn head_size(uri: &Uri, headers: &HeaderMap) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let one =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + HEADER_OVERHEAD;
    path + headers.iter().map(one).sum::<usize>()
}
