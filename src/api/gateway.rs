//! REST over the same calls as gRPC.

pub mod json;
