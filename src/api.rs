//! The doors: what a caller sees, and the only floor that names a protobuf type or a gRPC code.
//!
//! [`pb`] fences the generated code, [`wire`] turns domain values into it, [`status`] errors. [`grpc`] implements the
//! contract, one file per noun; [`gateway`] serves the same calls as REST, driven by the descriptors; [`layer`] is what
//! every call passes through, and [`replies`] what every stream leaves by. [`mod@front`] tells requests apart;
//! [`ops`] answers the questions of whoever runs the service; [`server`] puts them on a port.

pub mod codec;
pub mod front;
pub mod gateway;
pub mod grpc;
pub mod layer;
pub mod limits;
pub mod measure;
pub mod ops;
pub mod pb;
pub mod replies;
pub mod server;
pub mod status;
pub mod wire;
