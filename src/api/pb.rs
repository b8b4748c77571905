//! The fence around generated code: the server's side of the contract, and its descriptors.

/// `cryptoprice.v1`.
#[allow(
    clippy::pedantic,
    clippy::large_enum_variant,
    clippy::allow_attributes_without_reason,
    reason = "generated; the comments are in the proto"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/server/cryptoprice.v1.rs"));
}

/// The services of the contract, to be called without HTTP.
pub mod direct {
    use std::sync::Arc;

    use bytes::Bytes;
    use tonic::{Request, Response, Status, codegen::BoxFuture};

    use super::v1;
    use crate::api::layer::direct::{DirectService, Outcome, decode, encode, encode_each};

    include!(concat!(env!("OUT_DIR"), "/direct.rs"));
}

/// The encoded `FileDescriptorSet` of all protos and their imports, with comments and options.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
