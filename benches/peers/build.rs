//! Generates the contract as any service would: prost structs, tonic's traits, pbjson's serde.

use std::{env, path::PathBuf};

const PROTOS: [&str; 1] = ["cryptoprice/v1/price_service.proto"];

/// What is written as JSON.
const AS_JSON: [&str; 6] = [
    ".cryptoprice.v1.Price",
    ".cryptoprice.v1.PriceStatus",
    ".cryptoprice.v1.PriceStatusReason",
    ".cryptoprice.v1.Origin",
    ".cryptoprice.v1.GetPriceResponse",
    ".cryptoprice.v1.ListPricesResponse",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["../../proto"])?;
    compiler.include_imports(true).open_files(PROTOS)?;
    let mut settings = tonic_prost_build::Config::new();
    settings
        .compile_well_known_types()
        .extern_path(".google.protobuf.Timestamp", "crate::Timestamp")
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(".google.rpc", "::tonic_types");
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(&out)
        .compile_fds_with_config(compiler.file_descriptor_set(), settings)?;
    pbjson_build::Builder::new()
        .register_descriptors(&compiler.encode_file_descriptor_set())?
        .extern_path(".google.protobuf", "::pbjson_types")
        .emit_fields()
        .out_dir(&out)
        .build(&AS_JSON)?;
    Ok(())
}
