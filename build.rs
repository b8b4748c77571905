//! Compiles the protos, without a `protoc` on the machine.
//!
//! Server and client are generated apart: the server's `Price` is bytes that the board keeps encoded, the client's
//! is the plain message.

use std::{env, fs, path::PathBuf};

const PROTOS: &[&str] = &[
    "cryptoprice/v1/error_reason.proto",
    "cryptoprice/v1/price.proto",
    "cryptoprice/v1/price_service.proto",
    "cryptoprice/v1/source_service.proto",
    // Imported by nothing, but packed into `google.rpc.Status`.
    "google/rpc/error_details.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(out_dir()?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(PROTOS)?;
    // The set as protox encodes it keeps `google.api.http`; one that went through prost's types would not.
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let files = compiler.file_descriptor_set();

    for (side, server) in [("server", true), ("client", false)] {
        let directory = out.join(side);
        fs::create_dir_all(&directory)?;
        let mut builder = tonic_prost_build::configure()
            .build_server(server)
            .build_client(!server)
            .build_transport(false)
            .out_dir(directory)
            .extern_path(".google.rpc.Status", "::tonic_types::Status");
        if server {
            builder = builder
                .extern_path(".cryptoprice.v1.Price", "crate::api::wire::EncodedPrice")
                .codec_path("crate::api::codec::Prost");
        }
        builder.compile_fds(files.clone())?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment")]
fn out_dir() -> Result<String, env::VarError> {
    env::var("OUT_DIR")
}
