//! Contracts written down in a test, compiled on the spot.

use std::path::Path;

use prost_reflect::DescriptorPool;
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver},
};

/// The name under which the written file is compiled.
const NAME: &str = "written.proto";

/// Compiles the body of a proto file of the package `test`; annotations and the common well-known types are
/// imported.
pub(crate) fn compile(body: &str) -> DescriptorPool {
    let source = format!(
        r#"
        syntax = "proto3";
        package test;
        import "google/api/annotations.proto";
        import "google/protobuf/duration.proto";
        import "google/protobuf/empty.proto";
        import "google/protobuf/field_mask.proto";
        import "google/protobuf/struct.proto";
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/wrappers.proto";
        import "google/rpc/error_details.proto";
        import "google/rpc/status.proto";
        {body}"#
    );
    let mut files = ChainFileResolver::new();
    files.add(Written(source));
    files.add(IncludeFileResolver::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")));
    files.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(files);
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file(NAME).unwrap_or_else(|error| panic!("{error}\n{body}"));
    DescriptorPool::decode(&*compiler.encode_file_descriptor_set()).unwrap()
}

struct Written(String);

impl FileResolver for Written {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == NAME { File::from_source(name, &self.0) } else { Err(protox::Error::file_not_found(name)) }
    }
}
