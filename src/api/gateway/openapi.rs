//! The REST side described as an OpenAPI 3.1 document, made from the same descriptors that drive it.

mod comments;
mod parameters;
mod schema;

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, MethodDescriptor, prost_types::MethodOptions};
use serde_json::{Map, Value, json};

use self::{
    comments::{Comments, summary},
    schema::{Schemas, reference, with},
};
use super::{
    error::GatewayError,
    json::Tables,
    routes::{Binding, BodyRule, Routes},
};

/// The methods that a path of a document can have.
const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch", "trace"];

const SPELLING: &str = "Fields and parameters are lowerCamelCase; the spelling of the protos (`max_age` for `maxAge`) \
                        is understood too.";

/// Describes every call of the pool that has a binding.
///
/// Comments become descriptions, services tags, messages schemas under their full names.
pub fn document(pool: &DescriptorPool) -> Result<Value, GatewayError> {
    let routes = Routes::new(pool, &Tables::new(pool))?;
    let comments = Comments::of(pool);
    let mut schemas = Schemas::new(&comments);
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for binding in routes.bindings() {
        let method = binding.method.as_str().to_ascii_lowercase();
        if METHODS.contains(&method.as_str()) {
            let count = seen.entry(binding.call.full_name()).or_default();
            *count += 1;
            let operation = operation(binding, *count, &comments, &mut schemas);
            paths.entry(parameters::path(&binding.template)).or_default().insert(method, operation);
        }
    }
    let tags: Vec<Value> = pool
        .services()
        .filter(|service| routes.bindings().iter().any(|binding| binding.call.parent_service() == service))
        .map(|service| {
            let calls: Vec<String> = service.methods().map(|call| grpc_call(&call)).collect();
            json!({
                "name": service.name(),
                "description": comments.on(&service.parent_file(), service.path()),
                // Paths have no order; the page takes that of the protos.
                "x-grpc-calls": calls,
            })
        })
        .collect();
    // Some enums, such as the reasons of errors, are referred to by words only.
    let packages: Vec<&str> =
        routes.bindings().iter().map(|binding| binding.call.parent_service().package_name()).collect();
    for enumeration in pool.all_enums().filter(|e| packages.contains(&e.package_name())) {
        schemas.enumeration(&enumeration);
    }
    let mut schemas = schemas.into_named();
    schemas.insert("Error".to_owned(), error());
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("{}.\n\n{SPELLING}", env!("CARGO_PKG_DESCRIPTION")),
            "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Error": {
                    "description": "The call failed.",
                    "content": {"application/json": {"schema": reference("Error")}},
                },
            },
        },
    }))
}

/// Describes one binding; `count` tells it from others of the same call.
fn operation(binding: &Binding, count: usize, comments: &Comments, schemas: &mut Schemas<'_>) -> Value {
    let call = &binding.call;
    let service = call.parent_service();
    let comment = comments.on(&call.parent_file(), call.path());
    let suffix = if count > 1 { format!("_{count}") } else { String::new() };
    let mut operation = json!({
        "operationId": format!("{}_{}{suffix}", service.name(), call.name()),
        "summary": summary(comment),
        "description": comment,
        "tags": [service.name()],
        "parameters": parameters::parameters(binding, schemas),
        "responses": {
            "200": response(binding, schemas),
            "default": {"$ref": "#/components/responses/Error"},
        },
        "x-grpc-call": grpc_call(call),
    });
    let body = match &binding.body {
        BodyRule::None => None,
        BodyRule::Whole => Some(schemas.message(&call.input())),
        BodyRule::Field(field) => Some(schemas.field(field)),
    };
    if let Some(schema) = body {
        let content = json!({"content": {"application/json": {"schema": schema}}});
        operation = with(operation, "requestBody", content);
    }
    let options = call.method_descriptor_proto().options.as_ref();
    if options.is_some_and(MethodOptions::deprecated) {
        with(operation, "deprecated", true)
    } else {
        operation
    }
}

fn grpc_call(call: &MethodDescriptor) -> String {
    format!("{}/{}", call.parent_service().full_name(), call.name())
}

/// Describes what a call answers when it goes well.
fn response(binding: &Binding, schemas: &mut Schemas<'_>) -> Value {
    let schema = match &binding.output.field {
        Some(field) => schemas.field(field),
        None => schemas.message(&binding.call.output()),
    };
    if binding.call.is_server_streaming() {
        let events = "Server-sent events: the data of each is one message, its id the cursor where there is one. An \
                      error after the first message is a last event of the type `error`.";
        json!({
            "description": "One message a line, or an event each if the caller accepts `text/event-stream`. An \
                            error after the first message is a last line `{\"error\": …}`.",
            "content": {
                "application/x-ndjson": {"schema": schema},
                "text/event-stream": {"schema": {"type": "string", "description": events}},
            },
        })
    } else {
        json!({"description": "The call went well.", "content": {"application/json": {"schema": schema}}})
    }
}

/// Describes the body of an error, by AIP-193.
fn error() -> Value {
    json!({
        "type": "object",
        "description": "Why a call failed.",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "code": {"type": "integer", "description": "The HTTP status."},
                    "message": {"type": "string", "description": "What went wrong, for a developer to read."},
                    "status": {"type": "string", "description": "The name of the gRPC code, such as `NOT_FOUND`."},
                    "details": {
                        "type": "array",
                        "description": "One `google.rpc.ErrorInfo` with the reason; `google.rpc.BadRequest` where a \
                                        field is at fault; `google.rpc.RetryInfo` where waiting helps.",
                        "items": {
                            "type": "object",
                            "properties": {"@type": {"type": "string"}},
                            "additionalProperties": true,
                        },
                    },
                },
            },
        },
    })
}
