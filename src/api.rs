//! The doors: what a caller sees, and the only floor that names a protobuf type or a gRPC code.
//!
//! [`pb`] fences the generated code, [`wire`] turns domain values into it.

pub mod pb;
pub mod wire;
