//! The `google.api.http` option as it stands on a call, read through the descriptors.

use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage, Value};

const EXTENSION: &str = "google.api.http";

/// One HTTP binding of a call, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// The HTTP method, upper-case.
    pub(super) method: String,
    /// The path template.
    pub(super) path: String,
    /// What the body is: a field, `*` for the whole request, or empty for none.
    pub(super) body: String,
    /// The field that makes up the response, or empty for the whole.
    pub(super) response_body: String,
}

/// Reads the bindings of a call: its main one, then the additional ones.
pub(super) fn of(method: &MethodDescriptor) -> Vec<Rule> {
    let Some(extension) = method.parent_pool().get_extension_by_name(EXTENSION) else {
        return Vec::new();
    };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Vec::new();
    }
    match options.get_extension(&extension).as_message() {
        Some(rule) => [rule]
            .into_iter()
            .chain(additional(rule).iter().filter_map(Value::as_message))
            .filter_map(read)
            .collect(),
        None => Vec::new(),
    }
}

fn additional(rule: &DynamicMessage) -> Vec<Value> {
    rule.get_field_by_name("additional_bindings")
        .and_then(|bindings| bindings.as_list().map(<[Value]>::to_vec))
        .unwrap_or_default()
}

fn read(rule: &DynamicMessage) -> Option<Rule> {
    let text = |message: &DynamicMessage, field: &str| -> String {
        let value = message.get_field_by_name(field);
        value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let descriptor = rule.descriptor();
    let pattern = descriptor.oneofs().find(|oneof| oneof.name() == "pattern")?;
    let set = pattern.fields().find(|field| rule.has_field(field))?;
    let (method, path) = if set.name() == "custom" {
        let value = rule.get_field(&set);
        let custom = value.as_message()?;
        (text(custom, "kind"), text(custom, "path"))
    } else {
        (set.name().to_uppercase(), text(rule, set.name()))
    };
    Some(Rule { method, path, body: text(rule, "body"), response_body: text(rule, "response_body") })
}
