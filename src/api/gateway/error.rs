//! What the gateway itself refuses, and what keeps it from starting.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{json::JsonError, template::TemplateError};
use crate::api::{
    pb::v1::ErrorReason,
    status::{DOMAIN, reason_text},
};

/// Why no gateway can be made of the descriptors.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A path template is malformed.
    #[error("path `{path}` of `{call}`")]
    Template {
        /// The call that it stands on.
        call: String,
        /// The template.
        path: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// A binding does not fit its call.
    #[error("path `{path}` of `{call}`: {problem}")]
    Rule {
        /// The call that it stands on.
        call: String,
        /// The template.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Two calls answer the same requests.
    #[error("path `{path}` leads to both `{first}` and `{second}`")]
    Conflict {
        /// The template.
        path: String,
        /// One of the calls.
        first: String,
        /// The other.
        second: String,
    },
}

/// Why a request does not become a call, or an answer no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// No call has this path.
    RouteUnknown { path: String },
    /// Calls have this path, but with other methods.
    MethodNotAllowed { method: String, allow: String },
    /// The request has no such field. The problem reads on from the parameter.
    ParameterUnknown { parameter: String, problem: String },
    /// A field has no value that it can take.
    FieldInvalid { field: String, problem: String },
    /// The request cannot be read.
    Malformed { problem: String },
    /// The body is larger than allowed.
    TooLarge { limit: usize },
    /// The path and headers are larger than allowed.
    HeadTooLarge { limit: usize },
    /// The body is compressed.
    EncodingUnsupported { encoding: String },
    /// Something that cannot happen has. The problem is for the log only.
    Internal { problem: String },
}

impl Fault {
    pub(super) fn malformed(problem: String) -> Self {
        Self::Malformed { problem }
    }

    pub(super) fn internal(problem: String) -> Self {
        Self::Internal { problem }
    }

    /// Says what is wrong with a body.
    pub(super) fn from_json(error: &JsonError) -> Self {
        let path = error.path().as_str().to_owned();
        match error {
            JsonError::Syntax { .. } => Self::malformed(format!("body: {error}")),
            JsonError::UnknownField { message, .. } => {
                Self::ParameterUnknown { parameter: path, problem: format!("is not a field of {message}") }
            }
            _ if path.is_empty() => Self::malformed(format!("body: {error}")),
            _ => Self::FieldInvalid { field: path, problem: problem(error) },
        }
    }

    /// Gets the code of the status.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::RouteUnknown { .. } => Code::NotFound,
            Self::MethodNotAllowed { .. } | Self::EncodingUnsupported { .. } => Code::Unimplemented,
            Self::ParameterUnknown { .. } | Self::FieldInvalid { .. } | Self::Malformed { .. } => {
                Code::InvalidArgument
            }
            Self::TooLarge { .. } | Self::HeadTooLarge { .. } => Code::ResourceExhausted,
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// Makes the status that the caller gets: one `ErrorInfo`, and `BadRequest` where a field is at fault.
    pub(super) fn into_status(self) -> Status {
        let (reason, message) = match &self {
            Self::RouteUnknown { path } => {
                (ErrorReason::RouteUnknown, format!("no call has the path `{path}`"))
            }
            Self::MethodNotAllowed { method, allow } => {
                (ErrorReason::MethodNotAllowed, format!("this path does not take {method}, but {allow}"))
            }
            Self::ParameterUnknown { parameter, problem } => {
                (ErrorReason::ParameterUnknown, format!("`{parameter}` {problem}"))
            }
            Self::FieldInvalid { field, problem } => {
                (ErrorReason::FieldInvalid, format!("`{field}`: {problem}"))
            }
            Self::Malformed { problem } => (ErrorReason::RequestMalformed, problem.clone()),
            Self::TooLarge { limit } => {
                (ErrorReason::MessageTooLarge, format!("the body is larger than {limit} bytes"))
            }
            Self::HeadTooLarge { limit } => (
                ErrorReason::HeadTooLarge,
                format!("the path and headers of the request are larger than {limit} bytes"),
            ),
            Self::EncodingUnsupported { encoding } => (
                ErrorReason::EncodingUnsupported,
                format!("a body with the encoding `{encoding}` is not understood"),
            ),
            Self::Internal { problem } => {
                tracing::error!(problem, "the gateway failed");
                (ErrorReason::Internal, "internal error".to_owned())
            }
        };
        Status::with_error_details(self.code(), message, self.details(reason))
    }

    fn details(self, reason: ErrorReason) -> ErrorDetails {
        let violation = match &self {
            Self::ParameterUnknown { parameter, problem } => Some((parameter.clone(), problem.clone())),
            Self::FieldInvalid { field, problem } => Some((field.clone(), problem.clone())),
            _ => None,
        };
        let metadata = match self {
            Self::RouteUnknown { path } => vec![("path", path)],
            Self::MethodNotAllowed { method, allow } => vec![("method", method), ("allow", allow)],
            Self::ParameterUnknown { parameter, .. } => vec![("parameter", parameter)],
            Self::TooLarge { limit } | Self::HeadTooLarge { limit } => vec![("limit", limit.to_string())],
            _ => Vec::new(),
        };
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value));
        let mut details =
            ErrorDetails::with_error_info(reason_text(reason), DOMAIN, metadata.collect::<HashMap<_, _>>());
        if let Some((field, problem)) = violation {
            details.add_bad_request_violation(field, problem);
        }
        details
    }
}

/// Says what is wrong with a field, without its name.
pub(super) fn problem(error: &JsonError) -> String {
    let text = error.to_string();
    match text.strip_prefix(&format!("{}: ", error.path())) {
        Some(problem) => problem.to_owned(),
        None => text,
    }
}
