//! Holds the gateway against the public table of `google.api.http` cases, through its own door.
//!
//! Each case becomes a small contract of its own. In the place of the service stands one that keeps what it is
//! called with, so that a case sees which call was meant and with which message.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use bytes::Bytes;
use cryptoprice::api::gateway::template::{Template, UnknownVerb};
use http::{Request, StatusCode, Uri};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Value, json};

use crate::{
    data, protos,
    replies::{self, ToldGateway},
};

/// Cases that do not hold here, by name, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("query-012", "`field[key]=value` for maps is an extension of grpc-gateway"),
    ("query-025", "a parameter that the path sets too is refused here; grpc-gateway ignores it"),
    ("query-027", "a parameter that the path sets too is refused here; grpc-gateway ignores it"),
    ("body-003", "the path wins over the body here, as in grpc-gateway; in Envoy the body wins"),
    ("mux-019", "decoding the path before it is split is an old mode of grpc-gateway"),
];

/// Options of other products that are not ours, by name and value, and why their cases do not hold here.
const FOREIGN_OPTIONS: &[(&str, &str, &str)] = &[
    ("multi_segment_unescape", "\"all\"", "http.proto keeps reserved characters of `**` encoded"),
    ("system_parameters", "[\"key\",\"api_key\"]", "system parameters belong to Google's own proxies"),
];

#[tokio::test]
async fn requests_match_and_bind() {
    for case in cases("match") {
        let rules = list(&case["rules"]);
        let request = &case["request"];
        let expected = &case["expect"];
        let bindings: Vec<(&str, &str)> = list(&expected["bindings"])
            .iter()
            .map(|binding| (text(&binding["field"]), text(&binding["value"])))
            .collect();

        let mut contract = Contract::default();
        for rule in rules {
            let path = text(&rule["path"]);
            let mut fields = Fields::default();
            let template: Template = path.parse().unwrap();
            for variable in template.variables() {
                fields.add(&variable.field, "string");
            }
            if expected["rule"] == rule["path"] {
                for (field, _) in &bindings {
                    fields.add(field, "string");
                }
            }
            contract.call(&fields, text(&rule["method"]), path, "");
        }
        let (server, calls) = contract.serve();
        let strict = case["options"]["match_unregistered_custom_verb"] == true;
        let server =
            server.with_unknown_verb(if strict { UnknownVerb::NotFound } else { UnknownVerb::PartOfValue });
        let uri = format!("{}?{}", text(&request["path"]), text(&request["query"]));
        let Ok(uri) = uri.parse::<Uri>() else {
            assert_eq!(expected["matched"], false, "{case}");
            continue;
        };
        let request = Request::builder().method(text(&request["method"])).uri(uri);
        let response = server.handle(request.body(Body::empty()).unwrap()).await;

        let call = calls.take();
        assert_eq!(call.is_some(), expected["matched"] == true, "{case}");
        assert_eq!(response.status().is_success(), call.is_some(), "{case}");
        if let Some((index, message)) = call {
            assert_eq!(rules[index]["path"], expected["rule"], "{case}");
            let mut wanted = json!({});
            for (field, value) in bindings.iter().filter(|(_, value)| !value.is_empty()) {
                wanted.pointer_set(field, value);
            }
            assert_eq!(message, wanted, "{case}");
        }
    }
}

#[test]
fn templates_are_valid_or_not() {
    for case in cases("template") {
        let template = text(&case["template"]).parse::<Template>();
        assert_eq!(template.is_ok(), case["valid"] == true, "{case}: {template:?}");
        let Ok(template) = template else { continue };
        let segments: Vec<String> = template.segments().iter().map(ToString::to_string).collect();
        let variables: Vec<Value> = template
            .variables()
            .iter()
            .map(|variable| {
                json!({"field": variable.field, "pattern_segments": segments[variable.segments.clone()]})
            })
            .collect();
        assert_eq!(case["segments"], json!(segments), "{case}");
        assert_eq!(case["verb"], json!(template.verb().unwrap_or_default()), "{case}");
        assert_eq!(case["variables"], json!(variables), "{case}");
    }
}

#[tokio::test]
async fn queries_become_messages() {
    const CONTRACT: &str = r#"
        service Rules {
          rpc Call0(Everything) returns (google.protobuf.Empty) { option (google.api.http) = {get: "/"}; }
        }
        enum Letter { X = 0; Y = 1; Z = 2; }
        message Everything {
          Everything nested = 1;
          float float_value = 2;
          double double_value = 3;
          int64 int64_value = 4;
          int32 int32_value = 5;
          uint64 uint64_value = 6;
          uint32 uint32_value = 7;
          bool bool_value = 8;
          string string_value = 9;
          bytes bytes_value = 10;
          repeated string repeated_value = 11;
          repeated google.protobuf.UInt64Value repeated_message = 12;
          Letter enum_value = 13;
          repeated Letter repeated_enum = 14;
          google.protobuf.Timestamp timestamp_value = 15;
          google.protobuf.Duration duration_value = 16;
          google.protobuf.FieldMask fieldmask_value = 17;
          oneof choice {
            bool oneof_bool_value = 18;
            string oneof_string_value = 19;
          }
          oneof nested_choice {
            Everything nested_oneof_value_one = 20;
            Everything nested_oneof_value_two = 21;
          }
          google.protobuf.FloatValue wrapper_float_value = 22;
          google.protobuf.DoubleValue wrapper_double_value = 23;
          google.protobuf.Int64Value wrapper_int64_value = 24;
          google.protobuf.Int32Value wrapper_int32_value = 25;
          google.protobuf.UInt64Value wrapper_u_int64_value = 26;
          google.protobuf.UInt32Value wrapper_u_int32_value = 27;
          google.protobuf.BoolValue wrapper_bool_value = 28;
          google.protobuf.StringValue wrapper_string_value = 29;
          google.protobuf.BytesValue wrapper_bytes_value = 30;
        }"#;
    let (server, calls) = serve(&protos::compile(CONTRACT));
    for case in cases("query") {
        let uri = format!("/?{}", text(&case["query"]));
        let response = server.handle(Request::get(uri).body(Body::empty()).unwrap()).await;
        let call = calls.take();
        if case["error"].is_string() {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{case}");
            continue;
        }
        let (_, message) = call.unwrap_or_else(|| panic!("{case}"));
        assert_eq!(message, spelled(&case["message"]), "{case}");
    }
}

#[tokio::test]
async fn bodies_become_messages() {
    for case in cases("body") {
        let mut fields = Fields::default();
        fields.add_all("", &case["message"]);
        let rule = &case["rule"];
        let body = rule["body"].as_str().unwrap_or_default();
        let mut contract = Contract::default();
        contract.call(&fields, text(&rule["method"]), text(&rule["path"]), body);
        let (server, calls) = contract.serve();

        let request = &case["request"];
        let query = request["query"].as_str().unwrap_or_default();
        let uri = format!("{}?{query}", text(&request["path"]));
        let body = request.get("json").map_or_else(Body::empty, |json| Body::from(json.to_string()));
        let request = Request::builder().method(text(&request["method"])).uri(uri).body(body).unwrap();
        let response = server.handle(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{case}");
        assert_eq!(calls.take(), Some((0, case["message"].clone())), "{case}");
    }
}

#[tokio::test]
async fn requests_get_their_status() {
    for case in cases("status") {
        let rules: Vec<(&str, &str)> =
            list(&case["rules"]).iter().map(|rule| text(rule).split_once(' ').unwrap()).collect();
        let mut contract = Contract::default();
        for (method, path) in &rules {
            let mut fields = Fields::default();
            let template: Template = path.parse().unwrap();
            for variable in template.variables() {
                fields.add(&variable.field, "string");
            }
            contract.call(&fields, method, path, "");
        }
        let (server, calls) = contract.serve();
        let server = server.with_unknown_verb(UnknownVerb::PartOfValue);
        let request = &case["request"];
        let mut built = Request::builder().method(text(&request["method"])).uri(text(&request["path"]));
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            built = built.header(name, text(value));
        }
        let response = server.handle(built.body(Body::empty()).unwrap()).await;
        // A known path with another method is 501 in grpc-gateway; HTTP has 405 for it.
        let status = if case["http_status"] == 501 { json!(405) } else { case["http_status"].clone() };
        assert_eq!(json!(response.status().as_u16()), status, "{case}");
        if let Some(route) = case["route"].as_str() {
            let (index, _) = calls.take().unwrap();
            assert_eq!(Some(rules[index]), route.split_once(' '), "{case}");
        }
    }
}

/// Gets the cases of a table that are to hold, or none if the data is not there.
fn cases(table: &str) -> Vec<Value> {
    let Some(folder) = data::folder(&format!("http_rules::{table}")) else {
        return Vec::new();
    };
    let mut tables = data::json(&folder.join("transcoding/http_rule_cases.json"));
    let cases: Vec<Value> = serde_json::from_value(tables[table].take()).unwrap();
    let of_ours = |case: &Value| {
        let named = EXCEPTIONS.iter().any(|(id, _)| case["id"] == *id);
        let foreign = FOREIGN_OPTIONS.iter().any(|(option, value, _)| {
            case["options"]
                .get(option)
                .is_some_and(|set| *set == serde_json::from_str::<Value>(value).unwrap())
        });
        !named && !foreign
    };
    let kept: Vec<Value> = cases.into_iter().filter(of_ours).collect();
    assert!(!kept.is_empty(), "the table `{table}` is empty");
    kept
}

/// A contract in the making, one call for each rule.
#[derive(Default)]
struct Contract {
    calls: String,
    messages: String,
    count: usize,
}

impl Contract {
    fn call(&mut self, fields: &Fields, method: &str, path: &str, body: &str) {
        let index = self.count;
        self.count += 1;
        let body = if body.is_empty() { String::new() } else { format!(", body: \"{body}\"") };
        writeln!(
            self.calls,
            "rpc Call{index}(Request{index}) returns (google.protobuf.Empty) {{
               option (google.api.http) = {{custom: {{kind: \"{method}\", path: \"{path}\"}}{body}}};
             }}"
        )
        .unwrap();
        self.messages += &fields.message(&format!("Request{index}"));
    }

    fn serve(&self) -> (ToldGateway, Calls) {
        serve(&protos::compile(&format!("service Rules {{ {} }}\n{}", self.calls, self.messages)))
    }
}

/// The fields of a message, nested by name.
#[derive(Default)]
struct Fields(BTreeMap<String, (&'static str, Fields)>);

impl Fields {
    fn add(&mut self, path: &str, kind: &'static str) {
        match path.split_once('.') {
            None => {
                self.0.entry(path.to_owned()).or_default().0 = kind;
            }
            Some((parent, rest)) => self.0.entry(parent.to_owned()).or_default().1.add(rest, kind),
        }
    }

    /// Adds fields that can hold a value.
    fn add_all(&mut self, path: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.add_all(&path, value);
                }
            }
            // 64-bit numbers are text in JSON.
            Value::String(text) if text.parse::<i64>().is_ok() => self.add(path, "int64"),
            _ => self.add(path, "string"),
        }
    }

    fn message(&self, name: &str) -> String {
        let mut text = format!("message {name} {{\n");
        for (number, (field, (kind, inner))) in (1..).zip(&self.0) {
            if inner.0.is_empty() {
                writeln!(text, "{kind} {field} = {number};").unwrap();
            } else {
                writeln!(text, "{} Of_{field} {field} = {number};", inner.message(&format!("Of_{field}")))
                    .unwrap();
            }
        }
        text + "}\n"
    }
}

/// The last call that came: which it was, and its message.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Option<(usize, Value)>>>);

impl Calls {
    fn take(&self) -> Option<(usize, Value)> {
        self.0.lock().unwrap().take()
    }
}

/// Serves a contract whose calls are `Call0`, `Call1`, …, and keeps what comes.
fn serve(pool: &DescriptorPool) -> (ToldGateway, Calls) {
    let calls = Calls::default();
    let (kept, contract) = (calls.clone(), pool.clone());
    let service = move |path: &str, request: tonic::Request<Bytes>| {
        let index: usize = path.strip_prefix("/test.Rules/Call").unwrap().parse().unwrap();
        let method = contract.get_service_by_name("test.Rules").unwrap().methods().nth(index).unwrap();
        let message = DynamicMessage::decode(method.input(), request.into_inner()).unwrap();
        let options = SerializeOptions::new().use_proto_field_name(true);
        let message = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
        *kept.0.lock().unwrap() = Some((index, message));
        replies::one(Vec::new())
    };
    (ToldGateway::new(pool, service), calls)
}

trait PointerSet {
    /// Sets a member by the path of its field, making objects on the way.
    fn pointer_set(&mut self, path: &str, text: &str);
}

impl PointerSet for Value {
    fn pointer_set(&mut self, path: &str, text: &str) {
        let target = path.split('.').fold(self, |object, name| &mut object[name]);
        *target = text.into();
    }
}

/// Spells a message of the table as canonical JSON does.
fn spelled(message: &Value) -> Value {
    let mut message = message.clone();
    let fields = message.as_object_mut().unwrap();
    if let Some(value) = fields.remove("bytes_value_utf8") {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        fields.insert("bytes_value".into(), BASE64_STANDARD.encode(text(&value)).into());
    }
    if let Some(mask) = fields.get_mut("fieldmask_value") {
        let paths: Vec<&str> = list(mask).iter().map(text).collect();
        *mask = paths.join(",").replace("_v", "V").into();
    }
    message
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}
