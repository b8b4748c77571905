//! All HTTP bindings of the contract, and which of them a request means.

use std::sync::Arc;

use http::Method;
use prost_reflect::{DescriptorPool, FieldDescriptor, MethodDescriptor};

use super::{
    error::{Fault, GatewayError},
    json::Tables,
    output::Output,
    parameter::Parameter,
    rule::{self, Rule},
    template::{Template, UnknownVerb},
};

/// One way to call a method over HTTP.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    /// The HTTP method.
    pub(super) method: Method,
    /// Which paths it answers.
    pub(super) template: Template,
    /// The fields that the template's variables set, in their order.
    pub(super) variables: Vec<Parameter>,
    /// What the body sets.
    pub(super) body: BodyRule,
    /// What is answered.
    pub(super) output: Output,
    /// The call.
    pub(super) call: MethodDescriptor,
    /// The call's path in gRPC.
    pub(super) call_path: Arc<str>,
}

/// What the body of a request sets.
#[derive(Debug, Clone)]
pub(super) enum BodyRule {
    /// Nothing: there must be none.
    None,
    /// All fields that the path does not.
    Whole,
    /// This field.
    Field(FieldDescriptor),
}

/// All bindings, the more exact before the less.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    bindings: Vec<Binding>,
    unknown_verb: UnknownVerb,
}

impl Routes {
    /// Gets all bindings.
    pub(super) fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Reads the bindings of every call in the pool.
    pub(super) fn new(pool: &DescriptorPool, tables: &Tables) -> Result<Self, GatewayError> {
        let mut bindings: Vec<Binding> = Vec::new();
        for call in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            for rule in rule::of(&call) {
                let binding = Binding::new(&call, &rule, tables)?;
                if let Some(rival) = bindings.iter().find(|rival| {
                    rival.method == binding.method && rival.template.same_paths(&binding.template)
                }) {
                    return Err(GatewayError::Conflict {
                        path: rule.path,
                        first: rival.call.full_name().to_owned(),
                        second: call.full_name().to_owned(),
                    });
                }
                bindings.push(binding);
            }
        }
        bindings.sort_by(|a, b| a.template.by_precedence(&b.template));
        Ok(Self { bindings, unknown_verb: UnknownVerb::default() })
    }

    /// Sets what a colon means that no template knows.
    pub(super) fn set_unknown_verb(&mut self, unknown_verb: UnknownVerb) {
        self.unknown_verb = unknown_verb;
    }

    /// Finds the binding for a request. `HEAD` is answered wherever `GET` is.
    pub(super) fn find(&self, method: &Method, path: &str) -> Result<&Binding, Fault> {
        let asked = if *method == Method::HEAD { &Method::GET } else { method };
        let fitting = || {
            let fits = |binding: &&Binding| binding.template.matches(path, self.unknown_verb);
            self.bindings.iter().filter(fits)
        };
        if let Some(binding) = fitting().find(|binding| binding.method == *asked) {
            return Ok(binding);
        }
        let mut allowed: Vec<&str> = fitting().map(|binding| binding.method.as_str()).collect();
        if allowed.is_empty() {
            return Err(Fault::RouteUnknown { path: path.to_owned() });
        }
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.sort_unstable();
        allowed.dedup();
        Err(Fault::MethodNotAllowed { method: method.to_string(), allow: allowed.join(", ") })
    }
}

impl Binding {
    fn new(call: &MethodDescriptor, rule: &Rule, tables: &Tables) -> Result<Self, GatewayError> {
        let invalid = |problem: String| GatewayError::Rule {
            call: call.full_name().to_owned(),
            path: rule.path.clone(),
            problem,
        };
        if call.is_client_streaming() {
            return Err(invalid("a call that takes a stream has no binding to HTTP".into()));
        }
        let template: Template = rule.path.parse().map_err(|error| GatewayError::Template {
            call: call.full_name().to_owned(),
            path: rule.path.clone(),
            source: error,
        })?;
        let input = call.input();
        let variables = template
            .variables()
            .iter()
            .map(|variable| match Parameter::resolve(&input, &variable.field) {
                Ok(parameter) if parameter.is_single_scalar() => Ok(parameter),
                Ok(_) => Err(invalid(format!("`{}` is not a single scalar field", variable.field))),
                Err(problem) => Err(invalid(format!("`{}` {problem}", variable.field))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let body = match rule.body.as_str() {
            "" => BodyRule::None,
            "*" => BodyRule::Whole,
            name => BodyRule::Field(
                input
                    .get_field_by_name(name)
                    .ok_or_else(|| invalid(format!("the request has no field `{name}` to be the body")))?,
            ),
        };
        let response = call.output();
        let response_field = match rule.response_body.as_str() {
            "" => None,
            name => Some(
                response
                    .get_field_by_name(name)
                    .ok_or_else(|| invalid(format!("the response has no field `{name}` to be the body")))?,
            ),
        };
        let output = Output {
            message: tables
                .message(response.full_name())
                .ok_or_else(|| invalid("the tables lack the response".to_owned()))?,
            field: response_field,
        };
        let call_path = format!("/{}/{}", call.parent_service().full_name(), call.name());
        Ok(Self {
            method: Method::from_bytes(rule.method.as_bytes())
                .map_err(|_| invalid(format!("`{}` is not an HTTP method", rule.method)))?,
            template,
            variables,
            body,
            output,
            call: call.clone(),
            call_path: call_path.into(),
        })
    }
}
