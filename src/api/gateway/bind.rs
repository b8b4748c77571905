//! A request's path, query and body, put together as the wire bytes of the call's message.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use prost_reflect::FieldDescriptor;
use serde_json::value::RawValue;

use super::{
    error::Fault,
    json::Tables,
    parameter::Parameter,
    percent,
    routes::{Binding, BodyRule},
};

/// Encodes the call's message.
///
/// The body comes first, then the query, then the path: the later fragment wins, so that what the path says holds
/// even if the body says otherwise.
pub(super) fn message(
    binding: &Binding,
    tables: &Tables,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Vec<u8>, Fault> {
    let mut wire = read_body(binding, tables, body)?;
    let values = || {
        let values = binding.template.values(path);
        let values = values.map_err(|error| Fault::malformed(format!("path: {error}")))?;
        Ok::<_, Fault>(binding.variables.iter().zip(values))
    };
    let mut bound = Bound::default();
    // The path alone sets no field twice.
    let more = query.is_some() || !matches!(binding.body, BodyRule::None);
    for variable in binding.variables.iter().filter(|_| more) {
        bound.add(variable.path(), false).map_err(|problem| field_invalid(&variable.name(), problem))?;
    }
    if let BodyRule::Field(field) = &binding.body {
        bound.add([field], false).map_err(|problem| field_invalid(field.name(), problem))?;
    }
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, text) = (decode(name, name)?, decode(name, text)?);
        let parameter = query_parameter(binding, &name)?;
        bound
            .add(parameter.path(), parameter.is_repeated())
            .map_err(|problem| field_invalid(&name, problem))?;
        parameter.encode(&text, tables, &mut wire).map_err(|problem| field_invalid(&name, problem))?;
    }
    for (parameter, text) in values()? {
        let set = parameter.encode(&text, tables, &mut wire);
        set.map_err(|problem| field_invalid(&parameter.name(), problem))?;
    }
    Ok(wire)
}

fn read_body(binding: &Binding, tables: &Tables, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input = binding.call.input();
    let message = tables
        .message(input.full_name())
        .ok_or_else(|| Fault::internal(format!("{} is not in the tables", input.full_name())))?;
    let read = |json: &[u8]| tables.read_json(message, json).map_err(|error| Fault::from_json(&error));
    match &binding.body {
        _ if body.is_empty() => Ok(Vec::new()),
        BodyRule::None => Err(Fault::malformed("this call takes no body".to_owned())),
        BodyRule::Whole => read(body),
        BodyRule::Field(field) => {
            // Read by itself first: a body must not reach past the field by closing its braces.
            let value: &RawValue = serde_json::from_slice(body)
                .map_err(|error| Fault::malformed(format!("the body is not JSON: {error}")))?;
            read(format!("{{\"{}\":{}}}", field.json_name(), value.get()).as_bytes())
        }
    }
}

/// Finds the field that a query parameter sets.
fn query_parameter(binding: &Binding, name: &str) -> Result<Parameter, Fault> {
    let parameter = match &binding.body {
        BodyRule::Whole => Err("is not known: all fields of this call go into the body"),
        BodyRule::None | BodyRule::Field(_) => Parameter::resolve(&binding.call.input(), name),
    };
    parameter.map_err(|problem| Fault::ParameterUnknown {
        parameter: name.to_owned(),
        problem: problem.to_owned(),
    })
}

fn decode<'t>(name: &str, text: &'t str) -> Result<Cow<'t, str>, Fault> {
    percent::decode_query(text)
        .map_err(|error| Fault::malformed(format!("query parameter `{name}`: {error}")))
}

fn field_invalid(field: &str, problem: impl Into<String>) -> Fault {
    Fault::FieldInvalid { field: field.to_owned(), problem: problem.into() }
}

/// Which fields have their value already.
#[derive(Debug, Default)]
struct Bound {
    fields: HashSet<Vec<u32>>,
    /// The member that is set of each oneof, by the way to its message and its name.
    oneofs: HashMap<(Vec<u32>, String), u32>,
}

impl Bound {
    /// Takes note that a field gets its value, unless it or another member of its oneof has one.
    fn add<'f>(
        &mut self,
        path: impl IntoIterator<Item = &'f FieldDescriptor>,
        repeated: bool,
    ) -> Result<(), String> {
        let mut way = Vec::new();
        for field in path {
            if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                let set = self.oneofs.entry((way.clone(), oneof.name().to_owned())).or_insert(field.number());
                if *set != field.number() {
                    return Err(format!("another member of `{}` is set already", oneof.name()));
                }
            }
            way.push(field.number());
            if self.fields.contains(&way) {
                return Err("has its value already".to_owned());
            }
        }
        if !repeated {
            self.fields.insert(way);
        }
        Ok(())
    }
}
