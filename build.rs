//! Compiles the protos, without a `protoc` on the machine.
//!
//! Server and client are generated apart: the server's `Price` is bytes that the board keeps encoded, the client's
//! is the plain message. For each service of the contract there is a way to call it without HTTP beside tonic's.

use std::{env, fmt::Write as _, fs, path::PathBuf};

/// The package of the contract.
const PACKAGE: &str = "cryptoprice.v1";

const PROTOS: &[&str] = &[
    "cryptoprice/v1/candle.proto",
    "cryptoprice/v1/candle_service.proto",
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
    let services = files.file.iter().filter(|file| file.package() == PACKAGE).flat_map(|file| &file.service);
    fs::write(out.join("direct.rs"), services.map(direct).collect::<String>())?;

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

/// Writes how a service is called by the name of a method, with the bytes of a message.
fn direct(service: &prost_types::ServiceDescriptorProto) -> String {
    let name = service.name();
    let module = snake(name);
    let mut methods = String::new();
    for method in &service.method {
        let (name, call) = (method.name(), snake(method.name()));
        let encode = if method.server_streaming() { "encode_each" } else { "encode" };
        // The type of the message is that of the call's argument.
        let _ = writeln!(
            methods,
            "            \"{name}\" => Box::pin(async move {{\n                \
             implementation.{call}(decode(request)?).await.map({encode})\n            }}),"
        );
    }
    format!(
        "/// Calls an implementation of `{name}` without HTTP.
#[derive(Debug)]
pub struct {name}Direct<T>(pub Arc<T>);

impl<T: v1::{module}_server::{name}> DirectService for {name}Direct<T> {{
    fn call(&self, method: &str, request: Request<Bytes>) -> Option<BoxFuture<Response<Outcome>, Status>> {{
        let implementation = Arc::clone(&self.0);
        Some(match method {{
{methods}            _ => return None,
        }})
    }}
}}
"
    )
}

/// Spells the name of a type as that of a function.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment")]
fn out_dir() -> Result<String, env::VarError> {
    env::var("OUT_DIR")
}
