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

/// The encoded `FileDescriptorSet` of all protos and their imports, with comments and options.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
