//! What the path and the query of a binding set.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::schema::{Schemas, described, with};
use crate::api::gateway::{
    parameter::{Parameter, is_settable},
    routes::{Binding, BodyRule},
    template::{Segment, Template, Variable},
};

/// Writes a template as a document has it: each variable, or wildcard without one, is a name in braces.
pub(super) fn path(template: &Template) -> String {
    let part = |(index, segment): (usize, &Segment)| match (variable_at(template, index), segment) {
        (Some(variable), _) if variable.segments.start == index => Some(format!("{{{}}}", variable.field)),
        (Some(_), _) => None,
        (None, Segment::Literal(text)) => Some(text.clone()),
        (None, Segment::Single | Segment::Deep) => Some(format!("{{{}}}", wildcard(index))),
    };
    let parts: Vec<String> = template.segments().iter().enumerate().filter_map(part).collect();
    let verb = template.verb().map(|verb| format!(":{verb}")).unwrap_or_default();
    format!("/{}{verb}", parts.join("/"))
}

/// Describes what the path and the query of a binding set.
pub(super) fn parameters(binding: &Binding, schemas: &mut Schemas<'_>) -> Vec<Value> {
    let mut parameters = path_parameters(binding, schemas);
    query_parameters(binding, schemas, &mut parameters);
    parameters
}

fn variable_at(template: &Template, index: usize) -> Option<&Variable> {
    template.variables().iter().find(|variable| variable.segments.contains(&index))
}

fn wildcard(index: usize) -> String {
    format!("wildcard{index}")
}

fn path_parameters(binding: &Binding, schemas: &mut Schemas<'_>) -> Vec<Value> {
    let template = &binding.template;
    let mut parameters = Vec::new();
    for (variable, parameter) in template.variables().iter().zip(&binding.variables) {
        let mut schema = schemas.field(parameter.field());
        let description = schemas.description(parameter.field());
        let segments = template.segments().get(variable.segments.clone()).unwrap_or_default();
        if segments != [Segment::Single] {
            schema = with(schema, "pattern", pattern(segments));
        }
        parameters.push(parameter_of(&variable.field, "path", schema, &description));
    }
    for (index, segment) in template.segments().iter().enumerate() {
        if !matches!(segment, Segment::Literal(_)) && variable_at(template, index).is_none() {
            let schema = json!({"type": "string", "pattern": pattern(std::slice::from_ref(segment))});
            parameters.push(parameter_of(&wildcard(index), "path", schema, ""));
        }
    }
    parameters
}

/// Writes segments as a regular expression.
fn pattern(segments: &[Segment]) -> String {
    let parts: Vec<String> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => escaped(text),
            Segment::Single => "[^/]+".to_owned(),
            Segment::Deep => ".*".to_owned(),
        })
        .collect();
    format!("^{}$", parts.join("/"))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if r"^$\.*+?()[]{}|".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Describes the fields that path and body leave to the query.
fn query_parameters(binding: &Binding, schemas: &mut Schemas<'_>, parameters: &mut Vec<Value>) {
    let taken: Vec<String> = binding.variables.iter().map(Parameter::name).collect();
    let skip = |field: &FieldDescriptor, name: &str| {
        taken.iter().any(|taken| taken == name)
            || matches!(&binding.body, BodyRule::Field(body) if body == field)
    };
    if !matches!(binding.body, BodyRule::Whole) {
        let mut within = Vec::new();
        collect(&binding.call.input(), &mut within, &skip, schemas, parameters);
    }
}

/// Adds the parameters of a message that is reached through the fields `within`.
fn collect(
    message: &MessageDescriptor,
    within: &mut Vec<FieldDescriptor>,
    skip: &impl Fn(&FieldDescriptor, &str) -> bool,
    schemas: &mut Schemas<'_>,
    parameters: &mut Vec<Value>,
) {
    for field in message.fields() {
        let joined = |name: fn(&FieldDescriptor) -> &str| {
            within.iter().chain([&field]).map(name).collect::<Vec<_>>().join(".")
        };
        if skip(&field, &joined(FieldDescriptor::name)) {
            continue;
        }
        if is_settable(&field) {
            let name = joined(FieldDescriptor::json_name);
            let schema = schemas.field(&field);
            let description = schemas.description(&field);
            parameters.push(parameter_of(&name, "query", schema, &description));
            continue;
        }
        let Kind::Message(inner) = field.kind() else { continue };
        let around = within.iter().any(|outer| outer.parent_message() == &inner) || inner == *message;
        // A message within itself would never end.
        if !field.is_list() && !field.is_map() && !around {
            within.push(field);
            collect(&inner, within, skip, schemas, parameters);
            within.pop();
        }
    }
}

fn parameter_of(name: &str, place: &str, mut schema: Value, description: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("description");
    }
    described(json!({"name": name, "in": place, "required": place == "path", "schema": schema}), description)
}
