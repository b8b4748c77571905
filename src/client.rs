//! The generated client of the contract, for the command line, for tests, and for other Rust programs.

/// `cryptoprice.v1`.
#[allow(
    clippy::pedantic,
    clippy::large_enum_variant,
    clippy::allow_attributes_without_reason,
    reason = "generated; the comments are in the proto"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/client/cryptoprice.v1.rs"));
}

/// The encoded `FileDescriptorSet` of all protos and their imports, with comments and options.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
