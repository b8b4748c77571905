//! The description of the REST side, and the page that shows it.

use axum::body::Body;
use cryptoprice::api::{
    gateway::{docs, openapi},
    pb::DESCRIPTORS,
};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::protos;

#[test]
fn every_call_of_the_contract_is_described() {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let document = openapi::document(&pool).unwrap();
    let operations: Vec<&Value> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .collect();
    for call in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let name = format!("{}/{}", call.parent_service().full_name(), call.name());
        let operation = operations.iter().find(|operation| operation["x-grpc-call"] == name).expect(&name);
        assert_ne!(operation["summary"], "", "{name}");
        for parameter in operation["parameters"].as_array().unwrap() {
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
        }
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in references(&document) {
        let found = document.pointer(reference.strip_prefix('#').unwrap());
        assert!(found.is_some_and(Value::is_object), "{reference}");
    }
    for (name, schema) in schemas {
        assert_ne!(schema["description"], "", "{name}");
    }
    assert!(schemas.contains_key("cryptoprice.v1.ErrorReason"));
}

fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(reference) if name == "$ref" => vec![reference],
                _ => references(value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

const SHELVES: &str = r#"
    // Keeps shelves.
    service Shelves {
      // Puts a thing. It stays there.
      rpc Put(PutRequest) returns (Thing) {
        option deprecated = true;
        option (google.api.http) = {
          post: "/v1/{shelf=rooms/*/shelves.v1/**}/things:put"
          body: "thing"
          additional_bindings {put: "/v1/things", body: "*", response_body: "name"}
        };
      }
      rpc Watch(PutRequest) returns (stream Thing) { option (google.api.http) = {get: "/v1/*/watch"}; }
    }
    message PutRequest {
      string shelf = 1;
      Thing thing = 2;
      repeated uint32 numbers = 3;
    }
    // What a shelf holds.
    message Thing {
      // Its name.
      string name = 1;
      oneof size {
        // In metres.
        double metres = 2;
        int64 atoms = 3;
      }
      Thing part = 4;
      map<string, Colour> colours = 5;
      bytes data = 6 [deprecated = true];
      google.protobuf.Timestamp time = 7;
      google.protobuf.BoolValue maybe = 8;
      repeated Thing parts = 9;
    }
    enum Colour {
      // None.
      COLOUR_UNSPECIFIED = 0;
      // As roses.
      RED = 1;
    }"#;

/// Holds parts of the description of `SHELVES` against what they should be.
fn check(document: &Value, parts: &[(&str, Value)]) {
    for (pointer, expected) in parts {
        let found = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {document:#}"));
        assert_eq!(found, expected, "{pointer}");
    }
}

#[test]
fn bindings_have_their_description() {
    let document = openapi::document(&protos::compile(SHELVES)).unwrap();
    check(
        &document,
        &[
            (
                "/tags",
                json!([{
                    "name": "Shelves",
                    "description": "Keeps shelves.",
                    "x-grpc-calls": ["test.Shelves/Put", "test.Shelves/Watch"],
                }]),
            ),
            ("/paths/~1v1~1{shelf}~1things:put/post/summary", json!("Puts a thing")),
            ("/paths/~1v1~1{shelf}~1things:put/post/deprecated", json!(true)),
            (
                "/paths/~1v1~1{shelf}~1things:put/post/parameters",
                json!([
                    {
                        "name": "shelf", "in": "path", "required": true,
                        "schema": {"type": "string", "pattern": r"^rooms/[^/]+/shelves\.v1/.*$"},
                    },
                    {
                        "name": "numbers", "in": "query", "required": false,
                        "schema": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32}},
                    },
                ]),
            ),
            (
                "/paths/~1v1~1{shelf}~1things:put/post/requestBody/content",
                json!({"application/json": {"schema": {"$ref": "#/components/schemas/test.Thing"}}}),
            ),
            ("/paths/~1v1~1things/put/parameters", json!([])),
            (
                "/paths/~1v1~1things/put/responses/200/content",
                json!({"application/json": {"schema": {"type": "string", "description": "Its name."}}}),
            ),
        ],
    );
    let names: Vec<&str> = document["paths"]["/v1/{wildcard1}/watch"]["get"]["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    // What contains itself is not unfolded for ever.
    assert_eq!(
        names,
        [
            "wildcard1",
            "shelf",
            "thing.name",
            "thing.metres",
            "thing.atoms",
            "thing.data",
            "thing.time",
            "thing.maybe",
            "numbers"
        ]
    );
    let content = &document["paths"]["/v1/{wildcard1}/watch"]["get"]["responses"]["200"]["content"];
    assert_eq!(
        content.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["application/x-ndjson", "text/event-stream"]
    );
}

#[test]
fn messages_and_enums_have_their_schema() {
    let document = openapi::document(&protos::compile(SHELVES)).unwrap();
    check(
        &document,
        &[
            (
                "/components/schemas/test.Thing",
                json!({
                    "type": "object",
                    "description": "What a shelf holds.",
                    "properties": {
                        "name": {"type": "string", "description": "Its name.", "x-field-number": 1},
                        "metres": {
                            "anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}],
                            "description": "In metres.\n\nOnly one of `metres`, `atoms` is set.",
                            "x-field-number": 2,
                        },
                        "atoms": {
                            "type": "string",
                            "pattern": "^-?[0-9]+$",
                            "description": "Only one of `metres`, `atoms` is set.",
                            "x-field-number": 3,
                        },
                        "part": {"$ref": "#/components/schemas/test.Thing", "x-field-number": 4},
                        "colours": {
                            "type": "object",
                            "additionalProperties": {"$ref": "#/components/schemas/test.Colour"},
                            "x-field-number": 5,
                        },
                        "data": {
                            "type": "string", "contentEncoding": "base64", "deprecated": true, "x-field-number": 6,
                        },
                        "time": {"type": "string", "format": "date-time", "x-field-number": 7},
                        "maybe": {"type": "boolean", "x-field-number": 8},
                        "parts": {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/test.Thing"},
                            "x-field-number": 9,
                        },
                    },
                }),
            ),
            (
                "/components/schemas/test.Colour",
                json!({
                    "type": "string",
                    "enum": ["COLOUR_UNSPECIFIED", "RED"],
                    "description": "- `COLOUR_UNSPECIFIED`: None.\n- `RED`: As roses.",
                }),
            ),
        ],
    );
}

#[tokio::test]
async fn document_and_page_are_served() {
    let document = json!({"openapi": "3.1.0"});
    for (path, content_type, start) in [
        ("/v1/openapi.json", "application/json", "{\"openapi\":\"3.1.0\"}"),
        ("/docs", "text/html; charset=utf-8", "<!doctype html>"),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = docs::routes(&document).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], content_type);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(start.as_bytes()), "{path}");
        // Works where there is no other site.
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(!text.contains("https://") && !text.contains("http://"), "{path}");
    }
}
